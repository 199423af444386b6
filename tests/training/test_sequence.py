"""The sequence loop: observing changes nothing, runs share nothing, divergence is named, checkpoints come back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.core.errors import Diverged, InputError, SettingsError
from assay.core.progress import listening
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainWorld
from assay.training.sequence import Batch, Optimiser, Stage, drawn_ahead, last_token_loss, log_steps, next_token_loss, train

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
    draws = draw_from(first), draw_from(second)

    def draw(step: int) -> Batch:
        return Batch(*(torch.stack(parts) for parts in zip(*(one(step)[:2] for one in draws), strict=True)))

    return draw


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
    train(watched, Stage(30, draw_from(1), last_token_loss), FAST, observe=rude, observe_at=range(31), checkpoint_at=(3, 30))
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
        lost.whole()
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


def test_checkpoints_come_back_and_only_into_their_configuration() -> None:
    model = fresh()
    trace = train(model, Stage(10, draw_from(1), last_token_loss), FAST, checkpoint_at=(0, 4, 10))
    tokens = draw_from(7)(0).inputs
    assert torch.equal(trace.checkpoints[10].restored(CONFIG)(tokens), model(tokens))
    assert torch.equal(trace.checkpoints[0].restored(CONFIG)(tokens), fresh()(tokens))
    with pytest.raises(InputError, match="d_model: 16 not 32"):
        trace.checkpoints[4].restored(replace(CONFIG, d_model=32))


def test_a_curriculum_runs_its_stages_in_order() -> None:
    seen: list[tuple[str, int]] = []

    def stage(name: str, **changes: bool) -> Stage[Decoder]:
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
    with listening(lambda share, label: heard.append(share)):
        trace = train(
            fresh(), Stage(200, draw_from(1), last_token_loss), FAST, observe=lambda step, m: {"step": step},
            observe_at=range(0, 201, 20), stop=lambda row: row["step"] >= 120, share=(0.5, 1.0),
        )  # fmt: skip
    assert trace.loss_nats.shape[1] == 120
    assert heard == [0.625, 0.75]


def test_drawing_ahead_changes_no_batch() -> None:
    asked: list[int] = []

    def counted(step: int) -> Batch:
        asked.append(step)
        return plain(step)

    plain, alone = draw_from(1), draw_from(1)
    ahead = drawn_ahead(counted, 3)
    for step in range(7):
        assert torch.equal(ahead(step).inputs, alone(step).inputs)
    assert asked == list(range(9))
    with pytest.raises(SettingsError, match="at least one at a time"):
        drawn_ahead(plain, 0)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observe_at": (5,)}, "0..3"),
        ({"checkpoint_at": (-1,)}, "0..3"),
    ],
)
def test_refuses_steps_outside_the_training(arguments: dict[str, tuple[int]], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        train(fresh(), Stage(3, draw_from(1), last_token_loss), FAST, **arguments)  # type: ignore[arg-type]


def test_refuses_what_cannot_work() -> None:
    both = Decoder.init(CONFIG, [np.random.default_rng(3), np.random.default_rng(4)])
    with pytest.raises(SettingsError, match="single run"):
        train(both, Stage(3, draw_from(1), last_token_loss), FAST, stop=lambda row: True)
    with pytest.raises(SettingsError, match="at least 1"):
        log_steps(0)
    with pytest.raises(SettingsError, match="learning rate"):
        Optimiser(learning_rate=0.0)
    with pytest.raises(SettingsError, match="kept of decoders"):
        train(torch.nn.Linear(2, 2), Stage(3, draw_from(1), lambda m, b: m.weight.sum()), FAST, checkpoint_at=(1,))
