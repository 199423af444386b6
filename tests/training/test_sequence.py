"""The sequence loop: observing changes nothing, runs share nothing, divergence is named, checkpoints come back."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.core.errors import Diverged, SettingsError
from assay.core.progress import listening, part
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainWorld
from assay.training.losses import Batch, last_token_loss, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, draw_ahead, draw_together, log_steps, train

WORLD = ChainWorld(2, 2, n_nodes=8)
CONFIG = DecoderConfig(
    WORLD.vocab_size, WORLD.vocab_size, n_layers=2, n_heads=1, d_model=16, d_mlp=0, norm="layer", positions="learned"
)
FAST = Optimiser(learning_rate=1e-2)


def draw_from(seed: int):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)

    def draw(step: int) -> Batch:
        drawn = WORLD.sequences(16, rng=rng)
        return Batch(torch.from_numpy(drawn.tokens), torch.from_numpy(drawn.answers))

    return draw


def pair_from(first: int, second: int):  # type: ignore[no-untyped-def]
    return draw_together([draw_from(first), draw_from(second)])


def fresh(seed: int = 0) -> Decoder:
    return Decoder.init(CONFIG, np.random.default_rng(seed))


def test_learns_and_counts_steps_by_updates() -> None:
    model = fresh()
    trace = train(
        model, Stage(150, draw_from(1), last_token_loss), FAST, observe=lambda step, m: {"step": step}, observe_at=(0, 150)
    )
    assert trace.loss_nats.shape == (1, 150)
    assert trace.loss_nats[0, -20:].mean() < trace.loss_nats[0, :20].mean() - 0.3
    assert trace.series("step").tolist() == [0, 150] == list(trace.steps)
    assert trace.diverged == (None,)


def test_observing_does_not_change_the_run() -> None:
    def rude(step: int, model: Decoder) -> dict[str, float]:
        torch.rand(7)  # draws from the global generator
        loss = last_token_loss(model, draw_from(99)(step))
        assert not loss.requires_grad
        return {"loss": float(loss)}

    watched, alone = fresh(), fresh()
    torch.manual_seed(0)
    train(watched, Stage(30, draw_from(1), last_token_loss), FAST, observe=rude, observe_at=range(31))
    after_watched = torch.rand(1)
    torch.manual_seed(0)
    train(alone, Stage(30, draw_from(1), last_token_loss), FAST)
    assert torch.equal(torch.rand(1), after_watched)
    for name, value in watched.state_dict().items():
        assert torch.equal(value, alone.state_dict()[name])


def test_runs_side_by_side_equal_runs_alone() -> None:
    optimiser = replace(FAST, clip_norm=0.5, weight_decay=0.1)
    both = Decoder.init(CONFIG, [np.random.default_rng(3), np.random.default_rng(4)])
    trace = train(both, Stage(25, pair_from(1, 2), last_token_loss), optimiser)
    for run in range(2):
        alone = fresh(3 + run)
        single = train(alone, Stage(25, draw_from(1 + run), last_token_loss), optimiser)
        np.testing.assert_allclose(trace.loss_nats[run], single.loss_nats[0], rtol=1e-3)
        tokens = draw_from(7)(0).inputs
        torch.testing.assert_close(both.run(run)(tokens), alone(tokens), atol=2e-3, rtol=1e-3)


def test_clipped_runs_are_those_of_any_other_number_of_batch_mates_to_the_last_bit() -> None:
    def trained(n_runs: int, at: int) -> Decoder:
        """A model among n_runs, all but it from other seeds."""
        seeds = [100 + run for run in range(n_runs)]
        seeds[at] = 3
        model = Decoder.init(CONFIG, [np.random.default_rng(seed) for seed in seeds])
        draws = [draw_from(seed) for seed in seeds]

        def draw(step: int) -> Batch:
            parts = [one(step) for one in draws]
            return Batch(torch.stack([part.inputs for part in parts]), torch.stack([part.targets for part in parts]))

        train(model, Stage(5, draw, last_token_loss), replace(FAST, clip_norm=0.1))
        return model.run(at)

    few, many = trained(1, 0), trained(8, 2)
    for name, value in few.state_dict().items():
        assert torch.equal(value, many.state_dict()[name]), name


def several(seeds: Sequence[int]) -> tuple[Decoder, Stage[Decoder, Batch]]:
    """Decoders side by side, and 40 steps for each on data of its own."""
    model = Decoder.init(CONFIG, [np.random.default_rng(seed) for seed in seeds])
    return model, Stage(40, draw_together([draw_from(100 + seed) for seed in seeds]), last_token_loss)


def test_a_stopped_run_keeps_its_weights_and_changes_no_other() -> None:
    def look(step: int, model: Decoder) -> dict[str, float | np.ndarray]:
        return {"step": step, "run": np.array(model.runs, dtype=float)}

    looks = range(0, 41, 10)
    for optimiser in (FAST, replace(FAST, clip_norm=0.1), Optimiser("sgd", 0.1, momentum=0.9)):
        model, stage = several([3, 4, 5])
        ends = {0: 20, 2: 30}  # of which run after how many steps
        trace = train(
            model, stage, optimiser, observe=look, observe_at=looks,
            stop=lambda step, seen: np.array([step >= ends.get(int(run), 99) for run in np.asarray(seen["run"])]),  # noqa: B023
        )  # fmt: skip
        assert trace.stopped == (20, None, 30)
        assert trace.steps == tuple(looks)
        nan = math.nan
        np.testing.assert_array_equal(trace.series("run"), [[0, 0, 0, nan, nan], [1] * 5, [2, 2, 2, 2, nan]])
        assert trace.diverged == (None,) * 3
        for run, n in enumerate((20, 40, 30)):
            alone, own = several([3 + run])
            lone = train(alone, replace(own, n_steps=n), optimiser)
            np.testing.assert_array_equal(trace.loss_nats[run, :n], lone.loss_nats[0])
            assert np.isnan(trace.loss_nats[run, n:]).all()
            for name, value in alone.state_dict().items():
                assert torch.equal(value[0], model.state_dict()[name][run]), (name, run)


def test_training_ends_with_the_last_run() -> None:
    model, stage = several([3, 4])
    trace = train(
        model, stage, FAST, observe=lambda step, m: {}, observe_at=(7, 9), stop=lambda step, seen: np.array([True, True])
    )
    assert trace.loss_nats.shape == (2, 7)
    assert trace.steps == (7,)


def test_every_run_has_its_own_rate_and_decay() -> None:
    plans = [Optimiser(learning_rate=rate, weight_decay=decay) for rate, decay in ((1e-2, 0.0), (1e-2, 0.0), (1e-3, 0.5))]
    for kind in ("adamw", "sgd", "sign", "normalised"):
        own = [replace(plan, kind=kind, growth=1e-3) for plan in plans]
        model, stage = several([3, 4, 5])
        train(model, replace(stage, n_steps=6), own)
        for run, optimiser in enumerate(own):
            alone, lone = several([3 + run])
            train(alone, replace(lone, n_steps=6), optimiser)
            for name, value in alone.state_dict().items():
                assert torch.equal(value[0], model.state_dict()[name][run]), (kind, name, run)


def test_steps_of_one_length_and_of_signs_are_the_written_out_ones() -> None:
    batch = draw_from(1)(0)

    def moved(optimiser: Optimiser) -> tuple[Tensor, Tensor, Tensor]:
        model = fresh()
        last_token_loss(model, batch).backward()  # type: ignore[no-untyped-call]
        weights = torch.cat([value.detach().flatten() for value in model.parameters()])
        slopes = torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
        train(model, Stage(1, lambda step: batch, last_token_loss), optimiser)
        return weights, slopes, torch.cat([value.detach().flatten() for value in model.parameters()])

    before, slopes, after = moved(Optimiser("sign", 0.1))
    torch.testing.assert_close(after, before - 0.1 * slopes.sign())
    before, slopes, after = moved(Optimiser("normalised", 1e-3, growth=0.01))
    torch.testing.assert_close(after, before - 0.01 * before.norm() * slopes / slopes.norm())
    before, slopes, after = moved(Optimiser("normalised", 5.0, growth=0.01))
    torch.testing.assert_close(after, before - 5.0 * slopes / slopes.norm())


def test_a_lost_run_does_not_disturb_the_others_and_is_named() -> None:
    def spoiled(model: Decoder, batch: Batch) -> Tensor:
        loss = last_token_loss(model, batch)
        spoiled.calls += 1  # type: ignore[attr-defined]
        return loss * torch.tensor([1.0, math.nan if spoiled.calls > 5 else 1.0])  # type: ignore[attr-defined]

    models = [Decoder.init(CONFIG, [np.random.default_rng(3), np.random.default_rng(4)]) for _ in range(2)]
    spoiled.calls = 0  # type: ignore[attr-defined]
    lost = train(models[0], Stage(12, pair_from(1, 2), spoiled), FAST)
    assert lost.diverged[0] is None
    assert lost.diverged[1] is not None
    assert lost.diverged[1].step == 5
    with pytest.raises(Diverged, match="step 5"):
        lost.raise_if_diverged()
    assert np.isfinite(lost.loss_nats[0]).all()
    assert torch.isfinite(models[0].run(0)(draw_from(7)(0).inputs)).all()
    with pytest.raises(Diverged, match="step 3"):
        train(
            fresh(), Stage(9, draw_from(1), lambda m, b: last_token_loss(m, b) * (math.nan if m.W_E.isnan().any() else 1)), # type: ignore[union-attr]
            FAST, observe=lambda step, m: _poison(m), observe_at=(3,),
        )  # fmt: skip


def _poison(model: Decoder) -> dict[str, float]:
    assert model.W_E is not None
    model.W_E.data[:] = math.nan
    return {}


def test_next_token_loss_counts_targets_only() -> None:
    model = fresh()
    tokens = draw_from(1)(0).inputs
    targets = torch.full_like(tokens, -100)
    targets[:, :-1] = tokens[:, 1:]
    logits = model(tokens).log_softmax(-1)
    by_hand = -logits[:, :-1].gather(-1, tokens[:, 1:, None]).mean()
    torch.testing.assert_close(next_token_loss(model, Batch(tokens, targets)), by_hand)
    targets[:, :-2] = -100
    by_hand = -logits[:, -2].gather(-1, tokens[:, -1:]).mean()
    torch.testing.assert_close(next_token_loss(model, Batch(tokens, targets)), by_hand)


def test_a_curriculum_runs_its_stages_in_order() -> None:
    seen: list[tuple[str, int]] = []

    def stage(name: str, **changes: bool) -> Stage[Decoder, Batch]:
        inner = draw_from(1)

        def draw(step: int) -> Batch:
            seen.append((name, step))
            return inner(step)

        return Stage(3, draw, last_token_loss, **changes)

    warm, cold = fresh(), fresh()
    train(warm, [stage("a"), stage("b")], FAST)
    assert seen == [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5)]
    train(cold, [stage("a"), stage("b", fresh_optimiser=True)], FAST)
    assert not torch.equal(warm.W_E, cold.W_E)  # type: ignore[arg-type]


def test_stops_when_told_and_says_how_far_it_is() -> None:
    heard: list[float] = []
    with listening(lambda share, label: heard.append(share)), part(0.5, 1.0):
        trace = train(
            fresh(), Stage(200, draw_from(1), last_token_loss), FAST, observe=lambda step, m: {"step": step},
            observe_at=range(0, 201, 20), stop=lambda step, observed: step >= 120,
        )  # fmt: skip
    assert trace.loss_nats.shape[1] == 120
    assert trace.stopped == (120,)
    assert heard == [0.5, 0.625, 0.75, 1.0]


def test_drawing_ahead_changes_no_batch() -> None:
    asked: list[int] = []

    def counted(step: int) -> Batch:
        asked.append(step)
        return plain(step)

    plain, alone = draw_from(1), draw_from(1)
    ahead = draw_ahead(counted, 3)
    for step in range(7):
        assert torch.equal(ahead(step).inputs, alone(step).inputs)
    assert asked == list(range(9))
    with pytest.raises(SettingsError, match="at least one at a time"):
        draw_ahead(plain, 0)


def test_sgd_with_decay_is_the_written_out_step() -> None:
    model = fresh()
    batch = draw_from(1)(0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    last_token_loss(model, batch).backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    train(model, Stage(1, lambda step: batch, last_token_loss), Optimiser("sgd", 0.1, weight_decay=0.2))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name] * (1 - 0.02) - 0.1 * gradients[name])


def test_log_steps_and_schedules() -> None:
    grid = log_steps(1000, per_decade=10)
    assert grid[:3] == (0, 1, 2)
    assert grid[-1] == 1000
    assert list(grid) == sorted(set(grid))
    assert set(range(500, 1000, 50)) <= set(log_steps(1000, dense_from=500, every=50))
    assert log_steps(1) == (0, 1)
    cosine = Optimiser(learning_rate=2.0, warmup_steps=4, schedule="cosine")
    assert [cosine.rate(step, 12) for step in (0, 3, 4)] == [0.5, 2.0, 2.0]
    assert cosine.rate(8, 12) == pytest.approx(1.0)
    assert Optimiser(learning_rate=2.0, schedule="linear").rate(5, 10) == pytest.approx(1.0)


@pytest.mark.parametrize("step", [5, -1])
def test_refuses_steps_outside_the_training(step: int) -> None:
    with pytest.raises(SettingsError, match=r"0\.\.3"):
        train(fresh(), Stage(3, draw_from(1), last_token_loss), FAST, observe_at=(step,))


def test_refuses_what_cannot_work() -> None:
    both = Decoder.init(CONFIG, [np.random.default_rng(3), np.random.default_rng(4)])
    with pytest.raises(SettingsError, match="each of 2 runs; got 3"):
        train(both, Stage(3, pair_from(1, 2), last_token_loss), [FAST] * 3)
    with pytest.raises(SettingsError, match="learning rate and weight decay only"):
        train(both, Stage(3, pair_from(1, 2), last_token_loss), [FAST, replace(FAST, clip_norm=1.0)])
    with pytest.raises(SettingsError, match="at least 1"):
        log_steps(0)
    with pytest.raises(SettingsError, match="learning rate"):
        Optimiser(learning_rate=0.0)
