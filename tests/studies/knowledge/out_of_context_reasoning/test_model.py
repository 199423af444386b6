import math

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack, aligned
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

WORLD = RecallWorld.intact(n=4, m_train=1, m_test=2, n_noise=3, length=8)


def drawn(world, n_runs, n=12, seed=0):
    """Batches (counts, labels as positions among the answers, tokens) of every run."""
    rng = np.random.default_rng(seed)
    draws = world.draw(dict.fromkeys(world.taught, n), n_runs, rng)
    return (
        torch.from_numpy(world.counts(draws)),
        torch.from_numpy(world.labels(draws)),
        torch.from_numpy(world.sequences(draws, rng)),
    )


def dense_attention(tokens, W_OV, W_KQ, *, softmax):
    """f(X) = W_OV Xᵀ a as the paper writes it, on one-hot sequences X with the last token as the query."""
    d = W_OV.shape[-1]
    X = torch.nn.functional.one_hot(tokens, d).to(W_OV.dtype)
    a = X @ W_KQ @ X[..., -1, :, None]
    if softmax:
        a = torch.softmax(a / math.sqrt(d), dim=-2)
    return (W_OV @ X.mT @ a)[..., 0]


def dense_parameters(stack, world):
    """The stack's parameters spread out to the full vocabulary, as independent leaves with gradients."""
    d, inputs, answers = world.vocab_size, torch.from_numpy(world.input_ids), torch.from_numpy(world.answer_ids)
    row_of = torch.full((d,), len(stack.multiplicity) - 1)
    row_of[answers] = torch.arange(world.n_answers)
    if not stack.tied_rows:
        row_of = torch.arange(d)
    factors = []
    for i, factor in enumerate(stack.factors):
        full = factor[0].clone()
        if i == 0:
            full = full[row_of]
        if i == len(stack.factors) - 1:
            wide = torch.zeros(full.shape[0], d, dtype=full.dtype)
            wide[:, inputs] = full
            full = wide
        factors.append(full.requires_grad_())
    W_KQ = torch.zeros(d, d, dtype=stack.dtype)
    W_KQ[inputs, d - 1] = stack.scores[0]
    return factors, W_KQ.requires_grad_(), row_of


@pytest.mark.parametrize("attention", ["linear", "softmax"])
@pytest.mark.parametrize(("depth", "d_hidden"), [(1, None), (2, None), (2, 3), (3, 5)])
@pytest.mark.parametrize("initialisation", ["constant", "gaussian"])
def test_logits_loss_and_gradient_agree_with_dense_attention_and_autograd(attention, depth, d_hidden, initialisation):
    architecture = Architecture(depth, d_hidden, attention)
    if initialisation == "constant":
        stack = RecallStack.constant(WORLD, architecture, n_runs=1, scale=0.3, dtype=torch.float64)
    else:
        stack = RecallStack.gaussian(WORLD, architecture, rngs=[Seeds(3)("init")], std=0.4, dtype=torch.float64)
    counts, labels, tokens = drawn(WORLD, 1)
    factors, W_KQ, row_of = dense_parameters(stack, WORLD)
    W_OV = factors[0]
    for factor in factors[1:]:
        W_OV = W_OV @ factor
    logits = dense_attention(tokens[0], W_OV, W_KQ, softmax=attention == "softmax")
    probability = torch.softmax(logits, -1).gather(1, labels[0, :, None] + 2)
    loss = -torch.log(probability + 1e-3).mean() + 0.05 * W_OV[:, torch.from_numpy(WORLD.input_ids)].square().sum()
    loss.backward()

    torch.testing.assert_close(
        stack.logits(counts)[0], logits[:, [int((row_of == r).nonzero()[0]) for r in range(len(stack.multiplicity))]]
    )
    ours = stack.backward(counts, labels, floor=1e-3, product_penalty=0.05)
    torch.testing.assert_close(ours[0], -torch.log(probability + 1e-3).mean())
    inputs = torch.from_numpy(WORLD.input_ids)
    for i, (factor, gradient) in enumerate(zip(factors, stack._factor_gradients, strict=True)):
        expected = factor.grad
        if i == len(factors) - 1:
            expected = expected[:, inputs]
        got = gradient[0][row_of] if i == 0 else gradient[0]
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(stack._score_gradient[0], W_KQ.grad[inputs, -1])


def test_the_cases_above_and_below_take_both_orders_of_multiplication():
    narrow = [RecallStack.gaussian(WORLD, Architecture(2, h), rngs=[Seeds(0)("init")])._is_narrow(36) for h in (None, 3)]
    assert narrow == [False, True]
    world = RecallWorld.intact()
    narrow = [RecallStack.gaussian(world, Architecture(2, h), rngs=[Seeds(0)("init")])._is_narrow(252) for h in (1, 6, 128)]
    assert narrow == [True, True, False]


def test_rows_tied_together_stay_equal_when_they_are_kept_apart():
    # The claim behind tied rows: with a constant start, training never tells tokens apart that are never a label.
    tied = RecallStack.constant(WORLD, Architecture(), n_runs=1, scale=0.1, dtype=torch.float64)
    apart = RecallStack(WORLD, Architecture(), 1, tied_rows=False, dtype=torch.float64)
    apart.factors[0].fill_(0.1)
    apart.factors[1].copy_(tied.factors[1])
    apart.scores.copy_(tied.scores)
    for seed in range(30):
        counts, labels, _ = drawn(WORLD, 1, seed=seed)
        for stack in (tied, apart):
            stack.backward(counts, labels)
            stack.weights.detach().sub_(stack.gradient, alpha=0.5)
    others = [v for v in range(WORLD.vocab_size) if v not in WORLD.answer_ids]
    full = apart.value_output()[0]
    assert (full[others] == full[others[0]]).all()
    torch.testing.assert_close(tied.value_output()[0, :-1], full[apart.answer_rows], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(tied.value_output()[0, -1], full[others[0]], rtol=1e-9, atol=1e-12)


# The headline's world; the depth experiment's, without noise; and one with an odd number of tokens, batches and widths.
WORLDS = {
    "headline": (RecallWorld.intact(), 84),
    "no noise": (RecallWorld.intact(n=4, m_train=1, m_test=3, n_noise=0, length=3), 8),
    "odd": (RecallWorld.intact(n=3, m_train=1, m_test=4, n_noise=2, length=6), 7),
}
SHAPES = [
    *[
        Architecture(depth, width)
        for depth, width in ((1, None), (2, None), (2, 1), (2, 3), (2, 8), (2, 32), (3, None), (3, 5))
    ],
    *[Architecture(depth, key_query="fixed") for depth in (1, 2, 3, 4)],
    *[Architecture(depth, width, "softmax") for depth, width in ((1, None), (2, None), (2, 6), (3, 5))],
]


def made(world, architecture, runs, *, tied_rows, dtype):
    """A stack of the runs named; with tied rows a constant start, moved off its symmetry by noise of each run's own."""
    if not tied_rows:
        return RecallStack.gaussian(world, architecture, rngs=[Seeds(run)("init") for run in runs], dtype=dtype)
    stack = RecallStack.constant(world, architecture, n_runs=len(runs), scale=0.05, dtype=dtype)
    for place, run in enumerate(runs):
        for factor in stack.factors:
            noise = Seeds(run)("init").standard_normal(tuple(factor.shape[1:]))
            factor[place] += torch.from_numpy(0.05 * noise).to(dtype)
    return stack


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("tied_rows", [True, False])
@pytest.mark.parametrize("world", WORLDS)
def test_a_run_does_not_depend_on_its_stack_mates_to_the_bit(world, tied_rows, dtype, architecture):
    world, per_kind = WORLDS[world]
    counts, labels, _ = drawn(world, 20, n=per_kind)
    counts = counts.to(dtype)

    ways = [{"direction_only": True}] if architecture.key_query == "fixed" else [{"floor": 1e-8}, {"product_penalty": 0.1}]

    def computed(runs):
        stack = made(world, architecture, runs, tied_rows=tied_rows, dtype=dtype)
        found = [stack.logits(counts[runs]), stack.value_output()]
        for options in ways:
            found += [stack.backward(counts[runs], labels[runs], **options), stack.gradient.clone()]
        return found

    alone = {run: computed([run]) for run in (0, 1, 2, 7, 19)}
    for n_runs in (2, 3, 8, 20):
        together = computed(list(range(n_runs)))
        for run in alone.keys() & set(range(n_runs)):
            for i, (ours, theirs) in enumerate(zip(alone[run], together, strict=True)):
                assert torch.equal(ours[0], theirs[run]), (i, n_runs, run)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("architecture", [Architecture(1), Architecture(2, 3), Architecture(3, 5, "softmax")])
def test_every_runs_part_of_every_factor_begins_at_a_cache_line_and_the_filling_never_learns(dtype, architecture):
    stack = RecallStack.gaussian(WORLD, architecture, rngs=[Seeds(i)("init") for i in range(3)], dtype=dtype)
    counts, labels, _ = drawn(WORLD, 3)
    for penalty in (0.0, 0.1):
        stack.backward(counts.to(dtype), labels, product_penalty=penalty)
        for factor, gradient in zip(stack.factors, stack._factor_gradients, strict=True):
            for tensor in (factor, gradient):
                assert all(run.data_ptr() % 64 == 0 for run in tensor)
                tensor.zero_()
        # What is left belongs to no factor: the scores, and the filling.
        assert torch.equal(stack.gradient.count_nonzero(dim=1), stack._score_gradient.count_nonzero(dim=1))
        assert torch.equal(stack.weights.count_nonzero(dim=1), stack.scores.count_nonzero(dim=1))


def test_aligned_counts_are_the_same_numbers_and_are_copied_once_at_most():
    counts = torch.arange(3 * 5 * 7, dtype=torch.float32).view(3, 5, 7)
    once = aligned(counts)
    assert torch.equal(once, counts)
    assert all(run.data_ptr() % 64 == 0 for run in once)
    assert aligned(once) is once
    assert aligned(counts[1:2]).data_ptr() % 64 == 0  # 35 floats from the beginning: inside a line
    whole = torch.zeros(3, 4, 4)
    assert aligned(whole) is whole


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_the_combined_form_computes_the_same_function(attention):
    stack = RecallStack.gaussian(WORLD, Architecture(3, 4, attention), rngs=[Seeds(1)("init")], dtype=torch.float64)
    counts, _, _ = drawn(WORLD, 1)
    torch.testing.assert_close(stack.combined().logits(counts), stack.logits(counts))


def test_a_certain_answer_keeps_a_small_loss_and_gradient():
    # Logits of 60: the probability rounds to one in float64, loss and gradient are about 1e-26 and must not be nought.
    world = RecallWorld.intact(n=2, m_train=1, m_test=1, n_noise=0, length=3)
    stack = RecallStack.constant(world, Architecture(1, key_query="fixed"), n_runs=1, scale=0.0, dtype=torch.float64)
    draws, weights = world.population(world.taught)
    counts, labels = torch.from_numpy(world.counts(draws))[None], torch.from_numpy(world.labels(draws))[None]
    for relation, rows in ((0, slice(0, 2)), (1, slice(2, 4))):
        stack.factors[0][0, rows, relation] = 60.0
    for subject, group in enumerate(world.group):
        stack.factors[0][0, group, 2 + subject] = stack.factors[0][0, 2 + group, 2 + subject] = 60.0
    loss = stack.backward(counts, labels, weights=torch.from_numpy(weights))
    assert 0 < loss[0] < 1e-25
    assert stack.gradient.abs().max() > 0


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_the_rescaled_gradient_has_the_gradients_direction(attention):
    stack = RecallStack.gaussian(
        WORLD, Architecture(2, 3, attention), rngs=[Seeds(i)("init") for i in range(2)], dtype=torch.float64
    )
    counts, labels, _ = drawn(WORLD, 2)
    stack.backward(counts, labels)
    plain = stack.gradient.clone()
    stack.backward(counts, labels, direction_only=True)
    factor = (stack.gradient * plain).sum(dim=1) / plain.square().sum(dim=1)
    assert (factor > 0).all()
    torch.testing.assert_close(stack.gradient, factor[:, None] * plain)


def test_the_rescaled_gradient_survives_margins_that_underflow():
    world = RecallWorld.intact(n=2, m_train=1, m_test=1, n_noise=0, length=3)
    stack = RecallStack.constant(world, Architecture(1, key_query="fixed"), n_runs=1, scale=0.0, dtype=torch.float64)
    draws, weights = world.population(world.taught)
    counts, labels = torch.from_numpy(world.counts(draws))[None], torch.from_numpy(world.labels(draws))[None]
    stack.factors[0][0, :4, 2:6] = 3000 * (torch.tensor([1.0, 0, 1, 0])[:, None] == torch.tensor([1.0, 0, 1, 0]))
    stack.factors[0][0, :4, :2] = 3000 * torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.float64)
    assert stack.backward(counts, labels, weights=torch.from_numpy(weights), direction_only=True)[0] == 0.0
    assert torch.isfinite(stack.gradient).all()
    assert stack.gradient.abs().max() > 0.5


def test_impossible_architectures_are_refused():
    with pytest.raises(SettingsError, match="depth=0"):
        Architecture(depth=0)
    with pytest.raises(SettingsError, match="d_hidden=0"):
        Architecture(d_hidden=0)
    with pytest.raises(SettingsError, match="softmax"):
        Architecture(attention="softmax", key_query="fixed")
