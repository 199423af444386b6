"""Displacement: the theorem's formula against autograd with free features, forecasts against steps that were taken."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.instruments.displacement import (
    AnswerStates,
    ches,
    coefficients,
    edit_distance,
    flow_terms,
    forecast_alone,
    forecast_together,
    mass_alignment,
    similarities,
    states_of,
    weighted_ches,
)
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.pretrained.text import TokenPair
from assay.models.pretrained.tiny import tiny_language_model
from assay.training.optimiser import Optimiser, RmsProp
from assay.training.preference import (
    Preference,
    PreferenceRecipe,
    answer_log_probs,
    dpo,
    finetune_on_pairs,
    preferences,
    train_on_pairs,
)

CONFIG = DecoderConfig(n_outputs=12, vocab_size=12, d_model=16, n_heads=2, d_mlp=32, n_positions=24, embed_std=1.0)
PAIRS = [
    Preference((1, 2), (3, 11), (4, 5, 11)),
    Preference((1, 2, 6), (7, 8, 9, 11), (7, 8, 11)),  # a common beginning
    Preference((5,), (6, 11), (6, 11, 3)),  # one begins the other
    Preference((2, 2), (9,), (10,)),
]
TEXTS = [("Ana says", " Yes", " No way!"), ("Ana says", " is", " Parma is near"), ("Q: how? A:", " li", " like this.")]


def decoder(seed: int = 0) -> Decoder:
    return Decoder.init(CONFIG, np.random.default_rng(seed)).double()


def log_probs(model: Decoder, pair: Preference) -> list[Tensor]:
    found = []
    for answer in pair.answers:
        law = model(torch.tensor([[*answer.context, *answer.completion]]))[0].log_softmax(-1)
        first = len(answer.context) - 1
        found.append(sum((law[first + k, token] for k, token in enumerate(answer.completion)), torch.zeros(())))
    return found


# --------------------------------------------------------------------------------------------------------------- theorem


def free_derivative(pair: Preference, states: dict[tuple[int, ...], Tensor], read_out: Tensor) -> float:
    """By autograd: <grad log p(y+), grad (log p(y+) - log p(y-))> over the read-out and every prefix's own state."""

    def log_p(answer: tuple[int, ...]) -> Tensor:
        return sum(((read_out @ states[answer[:k]]).log_softmax(0)[token] for k, token in enumerate(answer)), torch.zeros(()))

    free = [read_out, *states.values()]
    of_chosen, of_rejected = (
        torch.autograd.grad(log_p(answer), free, allow_unused=True) for answer in (pair.chosen, pair.rejected)
    )
    products = [
        (mine * (mine - (0 if other is None else other))).sum()
        for mine, other in zip(of_chosen, of_rejected, strict=True)
        if mine is not None
    ]
    return float(torch.stack(products).sum())


@pytest.mark.parametrize("pair", PAIRS)
def test_with_the_theorems_coefficients_it_is_the_flows_derivative(pair: Preference) -> None:
    """On the states of a decoder, set free: each prefix has one, and two answers share those of their common beginning."""
    model = decoder()
    states: dict[tuple[int, ...], Tensor] = {}
    found = [states_of(model, answer) for answer in pair.answers]
    for answer, told in zip((pair.chosen, pair.rejected), found, strict=True):
        for k in range(len(answer)):
            states[answer[:k]] = torch.from_numpy(told.states[k]).requires_grad_()
    assert model.W_U is not None
    read_out = model.W_U.detach().T.clone().requires_grad_()
    terms = flow_terms(*found, read_out.detach().numpy())
    assert terms.total == pytest.approx(free_derivative(pair, states, read_out), abs=1e-9)
    assert terms.read_out == pytest.approx(-weighted_ches(*found), abs=1e-12)


def test_of_one_token_it_is_theorem_four_and_theorem_five() -> None:
    rng = np.random.default_rng(1)
    read_out, h, plus, minus = rng.normal(size=(9, 4)), rng.normal(size=4), 2, 6
    law = np.exp(read_out @ h - np.logaddexp.reduce(read_out @ h))
    told = [AnswerStates(np.array([token]), h[None], law[None]) for token in (plus, minus)]
    others = [z for z in range(9) if z not in (plus, minus)]
    w_plus, w_minus = read_out[plus], read_out[minus]
    m = (1 - law[plus] + law[minus]) * h @ h + (1 - law[plus]) * w_plus @ w_plus + law[minus] * w_minus @ w_minus
    along = mass_alignment(read_out, plus, minus)
    theorem = m - (1 - law[plus] + law[minus]) * w_plus @ w_minus - sum(law[z] * along[z] for z in others)
    assert flow_terms(*told, read_out).total == pytest.approx(theorem, abs=1e-12)
    # Theorem 5: a small step of the flow moves log p_z by <W_z, W+ - W-> plus what is common to all z.
    free, state = torch.from_numpy(read_out).requires_grad_(), torch.from_numpy(h).requires_grad_()
    log_law = (free @ state).log_softmax(0)
    up = torch.autograd.grad(log_law[plus] - log_law[minus], [free, state], retain_graph=True)
    moved = np.array(
        [
            sum(
                float((a * b).sum())
                for a, b in zip(torch.autograd.grad(log_law[z], [free, state], retain_graph=True), up, strict=True)
            )
            for z in others
        ]
    )
    np.testing.assert_allclose(np.ptp(moved - along[others]), 0, atol=1e-12)


def test_frozen_states_never_displace() -> None:
    """With h frozen the derivative is (1 - p+ + p-) |h|**2 for one token, never negative."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        read_out, h = rng.normal(size=(9, 4)), rng.normal(size=4)
        law = np.exp(read_out @ h - np.logaddexp.reduce(read_out @ h))
        told = [AnswerStates(np.array([token]), h[None], law[None]) for token in (0, 1)]
        terms = flow_terms(*told, read_out)
        assert terms.read_out == pytest.approx((1 - law[0] + law[1]) * h @ h)
        assert terms.read_out >= 0


def test_coefficients_lie_between_minus_two_and_two_and_ones_make_ches() -> None:
    model = decoder()
    mine, other = (states_of(model, answer) for answer in PAIRS[1].answers)
    found = coefficients(mine, other)
    by_hand = (np.eye(12)[mine.tokens] - mine.laws) @ (np.eye(12)[other.tokens] - other.laws).T
    np.testing.assert_allclose(found, by_hand, atol=1e-12)
    assert np.abs(found).max() <= 2
    products, own = mine.states @ other.states.T, mine.states @ mine.states.T
    assert ches(mine.states, other.states) == pytest.approx(products.sum() - own.sum())
    assert ches(mine.states, other.states, per_token=True) == pytest.approx(products.mean() - own.mean())


def test_states_are_those_before_each_token_of_the_answer() -> None:
    model = decoder()
    chosen, _ = PAIRS[0].answers
    told = states_of(model, chosen)
    with torch.no_grad():
        whole = model.hidden(torch.tensor([[1, 2, 3]]))[0]
    np.testing.assert_allclose(
        told.states, whole[1:].numpy(), atol=1e-12
    )  # at the prompt's last token, and at all but the last
    assert told.laws.sum(-1) == pytest.approx(np.ones(2))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "bloom"])
def test_of_a_pretrained_model_states_are_what_the_read_out_is_fed_with(family: str) -> None:
    model = tiny_language_model(family)
    model.model.double()
    pairs = preferences(model.tokenizer, TEXTS)
    told = states_of(model, pairs[0][1])
    answer = pairs[0][1]
    tokens = torch.tensor([[*answer.context, *answer.completion]])
    with torch.no_grad():
        out = model.model(input_ids=tokens, output_hidden_states=True)
    expected = out.hidden_states[-1][0, len(answer.context) - 1 : -1]
    np.testing.assert_allclose(told.states, expected.numpy(), atol=1e-9)
    own = np.log(told.laws[np.arange(len(told.tokens)), told.tokens]).sum()
    with torch.no_grad():
        assert own == pytest.approx(float(answer_log_probs(model.model, [pairs[0]])[1]), abs=1e-6)
    assert model.model.get_output_embeddings()._forward_pre_hooks == {}


def test_edit_distances() -> None:
    assert edit_distance((1, 2, 3), (1, 2, 3)) == 0
    assert edit_distance((1, 2, 3), (1, 3)) == pytest.approx(1 / 3)
    assert edit_distance((1, 2), (3, 4, 5)) == 1
    assert edit_distance((1, 2, 3, 4), (2, 3, 4, 5)) == pytest.approx(2 / 4)


def test_scores_of_a_file_are_those_of_its_pairs() -> None:
    model = decoder()
    scores = similarities(model, [pair.answers for pair in PAIRS])
    for index, pair in enumerate(PAIRS):
        mine, other = (states_of(model, answer) for answer in pair.answers)
        assert scores.ches[index] == pytest.approx(ches(mine.states, other.states))
        assert scores.ches_per_token[index] == pytest.approx(ches(mine.states, other.states, per_token=True))
        assert scores.weighted[index] == pytest.approx(weighted_ches(mine, other))
        assert scores.last_state[index] == pytest.approx(mine.states[-1] @ other.states[-1])
    assert scores.n_rejected.tolist() == [3, 3, 3, 1]
    with pytest.raises(SettingsError, match="one run"):
        similarities(Decoder.stack([model, model]), [PAIRS[0].answers])
    with pytest.raises(InputError, match="got none"):
        forecast_alone(model, [])


# -------------------------------------------------------------------------------------------------------------- forecast


@pytest.mark.parametrize("pair", PAIRS)
def test_the_forecast_of_a_pair_is_the_change_by_a_small_step_on_it(pair: Preference) -> None:
    model = decoder()
    found = forecast_alone(model, [pair.answers])
    before = [float(value.detach()) for value in log_probs(model, pair)]
    rate, beta = 1e-6, 0.2  # -l' is beta / 2 before the first step
    train_on_pairs(model, [pair], partial(dpo, beta=beta), Optimiser(kind="sgd", learning_rate=rate), n_steps=1)
    after = [float(value.detach()) for value in log_probs(model, pair)]
    for forecast, one, other in zip((found.chosen, found.rejected), before, after, strict=True):
        assert (other - one) / (rate * beta / 2) == pytest.approx(forecast[0], rel=1e-3)
    assert found.chosen[0] - found.rejected[0] > 0


@pytest.mark.parametrize("plan", [RmsProp(learning_rate=1e-7, eps=1e-14), Optimiser(learning_rate=1e-6, eps=1e-14)])
def test_the_forecast_of_a_file_is_the_change_by_the_optimisers_first_step(plan: Optimiser) -> None:
    model = decoder()
    found = forecast_together(model, [pair.answers for pair in PAIRS], optimiser=plan, slope=0.1)
    before = np.array([[float(value.detach()) for value in log_probs(model, pair)] for pair in PAIRS])
    train_on_pairs(model, PAIRS, partial(dpo, beta=0.2), plan, n_steps=1)
    after = np.array([[float(value.detach()) for value in log_probs(model, pair)] for pair in PAIRS])
    np.testing.assert_allclose(np.stack([found.chosen, found.rejected], 1), after - before, rtol=0.02, atol=1e-7)
    assert np.abs(after - before).max() > 1e-5


def test_a_file_of_one_pair_is_that_pair_and_parameters_can_be_chosen() -> None:
    model = decoder()
    alone = forecast_alone(model, [PAIRS[0].answers], names=["W_U"])
    together = forecast_together(model, [PAIRS[0].answers], names=["W_U"])
    np.testing.assert_allclose(alone.chosen, together.chosen)
    mine, other = (states_of(model, answer) for answer in PAIRS[0].answers)
    assert alone.chosen[0] == pytest.approx(-weighted_ches(mine, other))  # through the read-out alone it is the theorem's part
    assert abs(forecast_alone(model, [PAIRS[0].answers]).chosen[0] - alone.chosen[0]) > 1e-3


@pytest.mark.parametrize("steps", ["adamw", "rmsprop"])
def test_of_a_pretrained_model_the_forecast_is_the_first_step(steps: Any) -> None:
    model = tiny_language_model("llama")
    model.model.double()
    pairs = preferences(model.tokenizer, TEXTS)
    recipe = PreferenceRecipe(steps=steps, learning_rate=1e-6, batch_size=3, eps=1e-12, beta=0.2, max_grad_norm=None)
    plan = recipe.optimiser(1)
    found = forecast_together(model, pairs, optimiser=plan, slope=0.1)
    with torch.no_grad():
        before = torch.stack(answer_log_probs(model.model, pairs)).numpy()
    finetune_on_pairs(model, TEXTS, recipe, seeds=Seeds(0))
    with torch.no_grad():
        after = torch.stack(answer_log_probs(model.model, pairs)).numpy()
    np.testing.assert_allclose(np.stack([found.chosen, found.rejected]), after - before, rtol=0.02, atol=1e-6)
    assert np.abs(after - before).max() > 1e-5


def test_opposed_states_displace_and_the_forecast_says_so() -> None:
    """Planted: y- has y+'s own row, nearly, and a third likely token lies along W+ - W-, so that p(y+) falls."""
    rng = np.random.default_rng(0)
    read_out = 0.3 * rng.normal(size=(12, 16))
    h = rng.normal(size=16)
    h *= 0.3 / np.linalg.norm(h)
    read_out[0] = 3.0 * rng.normal(size=16) / 4
    read_out[1] = read_out[0] + 2 * rng.normal(size=16) / 4
    read_out[2] = 4 * (read_out[0] - read_out[1])
    law = np.exp(read_out @ h - np.logaddexp.reduce(read_out @ h))
    told = [AnswerStates(np.array([token]), h[None], law[None]) for token in (0, 1)]
    assert flow_terms(*told, read_out).total < 0
    apart = read_out.copy()
    apart[1] = -read_out[0]  # the same answer against one with the opposite row
    apart[2] = 0
    law = np.exp(apart @ h - np.logaddexp.reduce(apart @ h))
    told = [AnswerStates(np.array([token]), h[None], law[None]) for token in (0, 1)]
    assert flow_terms(*told, apart).total > 0


def test_token_pairs_of_any_kind_can_be_scored() -> None:
    model = decoder()
    assert forecast_alone(model, [(TokenPair((1,), (2, 3)), TokenPair((1,), (4,)))]).chosen.shape == (1,)
