"""Going on from a state: two stretches are one training to the bit, and branches of a state share nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.core.errors import Diverged, SettingsError
from assay.core.progress import listening
from assay.models.decoder import Decoder, DecoderConfig
from assay.training.losses import Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, State, train, train_from

CONFIG = DecoderConfig(12, 12, n_layers=1, n_heads=1, d_model=8, d_mlp=16, norm="layer", positions="learned")
FAST = Optimiser(learning_rate=1e-2)
PLANS = {
    "adamw": FAST,
    "decayed and clipped": replace(FAST, weight_decay=0.1, clip_norm=0.1),
    "momentum": Optimiser("sgd", 0.1, momentum=0.9),
    "warmed up and falling": replace(FAST, warmup_steps=15, schedule="cosine"),
    "sign": Optimiser("sign", 1e-3),
}


def batch_of(n_runs: int | None) -> Callable[[int], Batch]:
    """The same tokens at the same step; each run its own."""

    def draw(step: int) -> Batch:
        drawn = [np.random.default_rng([step, run]).integers(12, size=(4, 7)) for run in range(n_runs or 1)]
        tokens = torch.from_numpy(np.stack(drawn) if n_runs else drawn[0])
        return Batch(tokens[..., :-1], tokens[..., 1:])

    return draw


def fresh(n_runs: int | None = None) -> Decoder:
    rngs = [np.random.default_rng(run) for run in range(n_runs or 1)]
    return Decoder.init(CONFIG, rngs if n_runs else rngs[0])


def stage(n_steps: int, n_runs: int | None = None, **changes: bool) -> Stage[Decoder, Batch]:
    return Stage(n_steps, batch_of(n_runs), next_token_loss, **changes)


def weights(model: Decoder) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(found: Decoder, expected: Decoder) -> None:
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("n_runs", [None, 3])
def test_two_stretches_are_one_training_to_the_bit(plan: Optimiser, n_runs: int | None) -> None:
    whole, model = fresh(n_runs), fresh(n_runs)
    trace = train(whole, stage(40, n_runs), plan)
    state, first = train_from(State.fresh(model, plan), stage(20, n_runs), horizon=40)
    assert state.step == 20
    state, second = train_from(state, stage(20, n_runs), horizon=40)
    assert state.step == 40
    assert_equal(state.model, whole)
    np.testing.assert_array_equal(np.concatenate([first.loss_nats, second.loss_nats], axis=1), trace.loss_nats)
    assert_equal(model, fresh(n_runs))


def test_500_and_500_steps_are_1000() -> None:
    whole = fresh(2)
    train(whole, stage(1000, 2), FAST)
    state, _ = train_from(State.fresh(fresh(2), FAST), stage(500, 2))
    assert_equal(train_from(state, stage(500, 2))[0].model, whole)


def test_rates_of_their_own_go_on_as_well() -> None:
    plans = [FAST, replace(FAST, learning_rate=1e-3), replace(FAST, weight_decay=0.5)]
    whole = fresh(3)
    train(whole, stage(12, 3), plans)
    state, _ = train_from(State.fresh(fresh(3), plans), stage(5, 3))
    assert_equal(train_from(state, stage(7, 3))[0].model, whole)


def test_branches_share_nothing_and_leave_the_state_as_it_is() -> None:
    state, _ = train_from(State.fresh(fresh(2), FAST), stage(10, 2))
    before, moments = weights(state.model), [[part.clone() for part in some] for some in state.moments]
    plain, _ = train_from(state, stage(10, 2))
    slow, _ = train_from(state, stage(10, 2), optimiser=replace(FAST, learning_rate=1e-3))
    again, _ = train_from(state, stage(10, 2))
    assert_equal(again.model, plain.model)
    assert any(not torch.equal(value, slow.model.state_dict()[name]) for name, value in plain.model.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in state.model.state_dict().items())
    for some, others in zip(state.moments, moments, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(some, others, strict=True))
    assert {float(taken) for taken in state.taken} == {10.0}


def test_moments_are_kept_unless_a_stage_forgets_them() -> None:
    state, _ = train_from(State.fresh(fresh(), FAST), stage(10))
    kept, _ = train_from(state, stage(3))
    cold, _ = train_from(state, stage(3, fresh_optimiser=True))
    anew, _ = train_from(State.fresh(state.model, FAST), Stage(3, lambda step: batch_of(None)(step + 10), next_token_loss))
    assert_equal(cold.model, anew.model)
    assert (cold.step, anew.step) == (13, 3)
    assert any(not torch.equal(value, cold.model.state_dict()[name]) for name, value in kept.model.state_dict().items())


def test_steps_count_on_for_draws_and_observations() -> None:
    asked, heard = list[int](), list[float]()

    def draw(step: int) -> Batch:
        asked.append(step)
        return batch_of(None)(step)

    state, _ = train_from(State.fresh(fresh(), FAST), stage(30))
    with listening(lambda share, label: heard.append(share)):
        _, trace = train_from(
            state,
            [Stage(20, draw, next_token_loss), Stage(20, draw, next_token_loss)],
            observe=lambda step, model: {"step": step, "loss": float(next_token_loss(model, batch_of(None)(0)))},
            observe_at=(30, 45, 70),
        )
    assert asked == list(range(30, 70))
    assert trace.steps == (30, 45, 70)
    assert trace.series("step").tolist() == [30, 45, 70]
    assert trace.loss_nats.shape == (1, 40)
    assert heard == [0.5]


def test_a_lost_run_is_named() -> None:
    def spoiled(model: Decoder, batch: Batch) -> Tensor:
        return next_token_loss(model, batch) * float("nan")

    state, _ = train_from(State.fresh(fresh(), FAST), stage(5))
    with pytest.raises(Diverged, match="step 5"):
        train_from(state, replace(stage(5), loss=spoiled))
    several, _ = train_from(State.fresh(fresh(2), FAST), stage(5, 2))
    _, trace = train_from(several, replace(stage(5, 2), loss=spoiled))
    assert all(lost is not None for lost in trace.diverged)


def test_refuses_what_does_not_go_on() -> None:
    state, _ = train_from(State.fresh(fresh(2), FAST), stage(5, 2))
    for steps in ((4,), (11,)):
        with pytest.raises(SettingsError, match=r"5\.\.10"):
            train_from(state, stage(5, 2), observe_at=steps)
    with pytest.raises(SettingsError, match=r"at least one step"):
        train_from(state, [])
    with pytest.raises(SettingsError, match="horizon"):
        train_from(state, stage(5, 2), horizon=9)
    for other in (Optimiser("sgd", 0.1), Optimiser("sgd", 0.1, momentum=0.9)):
        with pytest.raises(SettingsError, match="same kind"):
            train_from(state, stage(5, 2), optimiser=other)
    with pytest.raises(SettingsError, match="each of 2 runs; got 3"):
        train_from(state, stage(5, 2), optimiser=[FAST] * 3)
