import numpy as np
import pytest
import torch

from assay.core.errors import Diverged, SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.training import descend, train
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.training.optimiser import Optimiser

WORLD = RecallWorld.intact(n=4, m_train=1, m_test=2, n_noise=3, length=8)


def gaussian(seeds, dtype=torch.float64):
    return RecallStack.gaussian(WORLD, Architecture(d_hidden=6), rngs=[s("init") for s in seeds], std=0.3, dtype=dtype)


@pytest.mark.parametrize("decay", [0.0, 0.03])
def test_the_adamw_loop_agrees_with_a_plain_loop_over_dense_parameters(decay):
    node = Seeds(5)
    stack = gaussian([node])
    full_value, full_key = stack.factors[0][0].clone(), stack.factors[1][0].clone()
    leaves = [full_value.requires_grad_(), full_key.requires_grad_(), stack.scores[0].clone().requires_grad_()]
    optimiser = torch.optim.AdamW(leaves, lr=0.01, weight_decay=decay)
    trace = train(stack, [WORLD], seeds=[node], n_steps=60, per_kind=7, optimiser=Optimiser("adamw", 0.01, decay))
    rng, losses = node("batches"), []
    draws = [WORLD.draw(dict.fromkeys(WORLD.taught, 7), 50, rng) for _ in range(2)]
    for step in range(60):
        block, at = draws[step // 50], step % 50
        counts, labels = torch.from_numpy(WORLD.counts(block)[at]), torch.from_numpy(WORLD.labels(block)[at]) + 2
        logits = (counts * leaves[2]) @ (leaves[0] @ leaves[1]).T
        loss = -torch.log(torch.softmax(logits, -1)[torch.arange(len(labels)), labels] + 1e-8).mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    np.testing.assert_allclose(trace.loss_nats[0], losses, rtol=1e-9)
    torch.testing.assert_close(stack.factors[0][0], leaves[0].detach())


@pytest.mark.parametrize("name", ["adamw", "sgd", "sign"])
def test_a_run_does_not_depend_on_its_stack_mates(name):
    seeds = [Seeds(i) for i in range(5)]
    worlds = [WORLD.shuffled(s("shuffle")) for s in seeds]
    together = gaussian(seeds, torch.float32)
    trace = train(together, worlds, seeds=seeds, n_steps=70, optimiser=Optimiser(name, 1e-3, 0.1))
    alone = gaussian(seeds[3:4], torch.float32)
    alone_trace = train(alone, worlds[3:4], seeds=seeds[3:4], n_steps=70, optimiser=Optimiser(name, 1e-3, 0.1))
    np.testing.assert_array_equal(alone_trace.loss_nats[0], trace.loss_nats[3])
    assert torch.equal(alone.weights[0], together.weights[3])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_run_of_exact_descent_does_not_depend_on_its_stack_mates(depth):
    world = RecallWorld.intact(n=3, m_train=1, m_test=4, n_noise=0, length=3)

    def descended(seeds):
        stack = RecallStack.gaussian(
            world, Architecture(depth, key_query="fixed"), rngs=[s("init") for s in seeds], std=0.3, dtype=torch.float64
        )
        trace = descend(stack, [world] * len(seeds), n_steps=40, step_size=0.01, normalised=True, growth=1e-3)
        return trace.loss_nats, stack.weights

    losses, parameters = descended([Seeds(i) for i in range(5)])
    alone_losses, alone_parameters = descended([Seeds(3)])
    np.testing.assert_array_equal(alone_losses[0], losses[3])
    assert torch.equal(alone_parameters[0], parameters[3])


def test_a_longer_training_begins_like_a_shorter_one():
    short, long = (train(gaussian([Seeds(1)]), [WORLD], seeds=[Seeds(1)], n_steps=n).loss_nats[0] for n in (30, 75))
    np.testing.assert_array_equal(long[:30], short)


def test_a_diverged_run_is_reported_with_its_step_and_disturbs_nobody():
    seeds = [Seeds(i) for i in range(3)]

    def break_the_second_run(step, stack):
        stack.factors[0][1] = torch.inf

    trace = train(gaussian(seeds), [WORLD] * 3, seeds=seeds, n_steps=20, observe=break_the_second_run, observe_at=(7,))
    assert [failure is not None for failure in trace.diverged] == [False, True, False]
    failure = trace.diverged[1]
    assert isinstance(failure, Diverged)
    assert failure.step == 7
    assert failure.last_finite_loss == trace.loss_nats[1, 6]
    reference = train(gaussian(seeds[2:]), [WORLD], seeds=seeds[2:], n_steps=20)
    np.testing.assert_array_equal(reference.loss_nats[0], trace.loss_nats[2])


def test_population_steps_are_the_mean_of_minibatch_steps():
    def one_step(per_kind, seed):
        stack = gaussian([Seeds(3)])
        train(stack, [WORLD], seeds=[Seeds(seed)], n_steps=1, per_kind=per_kind, optimiser=Optimiser("sgd", 1.0, 0.0))
        return stack.gradient[0]

    exact = one_step(None, 0)
    mean = torch.stack([one_step(400, seed) for seed in range(10)]).mean(dim=0)
    assert float((mean - exact).norm() / exact.norm()) < 0.1  # 4,000 sequences per kind
    assert torch.equal(one_step(None, 1), exact)


def test_sign_descent_moves_every_touched_parameter_by_the_learning_rate():
    stack = gaussian([Seeds(2)])
    before = stack.weights.detach().clone()
    train(stack, [WORLD], seeds=[Seeds(2)], n_steps=1, optimiser=Optimiser("sign", 1e-3, 0.0))
    moved = (stack.weights - before).abs()
    touched = stack.gradient != 0
    torch.testing.assert_close(moved[touched], torch.full_like(moved[touched], 1e-3))
    assert (moved[~touched] == 0).all()


def test_a_normalised_step_has_the_length_asked_for_in_every_run():
    seeds = [Seeds(i) for i in range(3)]
    stack = gaussian(seeds)
    before = stack.weights.detach().clone()
    descend(stack, [WORLD] * 3, n_steps=1, step_size=0.01, normalised=True)
    torch.testing.assert_close((stack.weights.detach() - before).norm(dim=1), torch.full((3,), 0.01, dtype=torch.float64))


def test_a_growing_step_is_a_share_of_the_weights_once_that_is_more():
    for growth, expected in ((0.5, 0.5), (1e-6, None)):
        stack = gaussian([Seeds(6)])
        before = stack.weights.detach().clone()
        descend(stack, [WORLD], n_steps=1, step_size=0.01, normalised=True, growth=growth)
        moved = float((stack.weights.detach() - before).norm())
        assert moved == pytest.approx(0.01 if expected is None else expected * float(before.norm()))


def test_small_plain_steps_lower_the_population_loss_at_the_rate_of_gradient_flow():
    # d loss / dt = -|gradient|^2, to first order in the step.
    stack = gaussian([Seeds(4)])
    trace = descend(stack, [WORLD], n_steps=2, step_size=1e-4, normalised=False)
    fresh = gaussian([Seeds(4)])
    descend(fresh, [WORLD], n_steps=1, step_size=1e-30, normalised=False)
    expected = -1e-4 * float(fresh.gradient.square().sum())
    np.testing.assert_allclose(trace.loss_nats[0, 1] - trace.loss_nats[0, 0], expected, rtol=1e-2)


def test_observation_happens_at_the_steps_asked_for():
    seen = []
    train(
        gaussian([Seeds(0)]),
        [WORLD],
        seeds=[Seeds(0)],
        n_steps=10,
        observe=lambda step, _: seen.append(step),
        observe_at=(0, 4, 10),
    )
    assert seen == [0, 4, 10]


def test_worlds_of_different_sizes_are_refused():
    other = RecallWorld.intact(n=4, m_train=2, m_test=1, n_noise=3, length=8)
    with pytest.raises(SettingsError, match="one size"):
        train(gaussian([Seeds(0), Seeds(1)]), [WORLD, other], seeds=[Seeds(0), Seeds(1)], n_steps=1)
    with pytest.raises(SettingsError, match="per run"):
        train(gaussian([Seeds(0)]), [WORLD], seeds=[], n_steps=1)
