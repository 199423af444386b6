"""Advantages by hand, losses beside autograd's on a law that is enumerated, and closed sets beside both."""

from functools import partial

import numpy as np
import pytest
import torch

from assay.core.errors import Diverged, InputError, SettingsError
from assay.core.seeds import Seeds
from assay.models.pretrained.text import TokenPair
from assay.models.pretrained.tiny import tiny_language_model
from assay.solvers import policy_flows as flows
from assay.training import reinforcement as rl
from assay.training.closed_sets import ClosedSet, closed_sets, expected_update, finetune_on_sets, laws
from assay.training.recipe import Recipe

# ------------------------------------------------------------------------------------------------------------ advantages


def test_advantages_by_hand() -> None:
    rewards = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(rl.centred(rewards), [[0.75, -0.25, -0.25, -0.25], [0.5, 0.5, -0.5, -0.5]])
    # deviations: sqrt(3)/4 and 1/2; with ddof 1 1/2 and 1/sqrt(3)
    root = np.sqrt(3)
    np.testing.assert_allclose(rl.normalised(rewards), [[root, -1 / root, -1 / root, -1 / root], [1, 1, -1, -1]])
    np.testing.assert_allclose(rl.normalised(rewards, ddof=1)[0], [1.5, -0.5, -0.5, -0.5])
    # each less the mean of the other three
    np.testing.assert_allclose(rl.left_out(rewards)[0], [1, -1 / 3, -1 / 3, -1 / 3])
    np.testing.assert_allclose(rl.negative_only(rl.normalised)(rewards)[0], [0, -1 / root, -1 / root, -1 / root])
    np.testing.assert_allclose(rl.positive_only(rl.normalised)(rewards)[1], [1, 1, 0, 0])
    np.testing.assert_allclose(rl.weighted(rl.normalised, 0.1)(rewards)[1], [0.1, 0.1, -1, -1])
    np.testing.assert_allclose(rl.negative_samples(rewards), [[0, -4 / 3, -4 / 3, -4 / 3], [0, 0, -2, -2]])
    with pytest.raises(SettingsError, match="0 and 1"):
        rl.negative_samples(rewards / 2)
    with pytest.raises(SettingsError, match="at least 2"):
        rl.left_out(rewards[:, :1])


def test_negative_only_is_not_negative_sample_reinforcement() -> None:
    """At success rate p the one gives each wrong sample -sqrt(p / (1 - p)), the other -1 over their share."""
    rewards = np.array([1.0] * 3 + [0.0] * 5)
    p = 3 / 8
    assert rl.negative_only(rl.normalised)(rewards)[-1] == pytest.approx(-np.sqrt(p / (1 - p)))
    assert rl.negative_samples(rewards)[-1] == pytest.approx(-1 / (1 - p))
    assert rl.negative_samples(np.ones(4)) == pytest.approx(np.zeros(4))
    assert rl.negative_samples(np.zeros(4)) == pytest.approx(-np.ones(4))  # signal where a group has no deviation


def test_a_deviation_below_the_floor_is_no_signal() -> None:
    """Rounding of equal rewards divided by itself makes advantages of a million elsewhere."""
    rewards = np.array([[0.7, 0.7, 0.7 + 1e-9, 0.7], [0.7, 0.7, 0.71, 0.7], [1.0, 1.0, 1.0, 1.0]])
    assert rl.carries_signal(rewards).tolist() == [False, True, False]
    found = rl.normalised(rewards)
    np.testing.assert_array_equal(found[[0, 2]], 0)
    assert np.abs(found[1]).max() == pytest.approx(np.sqrt(3))
    assert np.abs(rl.normalised(rewards, floor=0.0)[0]).max() > 1  # what the floor is for


def test_advantages_sum_to_zero_and_do_not_depend_on_scale_or_on_the_order() -> None:
    rewards = Seeds(0)("rewards").normal(size=(5, 7))
    for advantage in (rl.centred, rl.normalised, rl.left_out, partial(rl.normalised, ddof=1)):
        np.testing.assert_allclose(advantage(rewards).sum(-1), 0, atol=1e-12)
        np.testing.assert_allclose(advantage(rewards[:, ::-1])[:, ::-1], advantage(rewards))
    np.testing.assert_allclose(rl.normalised(3 * rewards + 2), rl.normalised(rewards))


# ---------------------------------------------------------------------------------------------------------------- losses


def batch(n: int = 6, length: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities, those of the law that drew, advantages, and which tokens count: one of each length at least."""
    rng = Seeds(1)("batch")
    log_probs = torch.from_numpy(-rng.exponential(size=(n, length)))
    old = log_probs + torch.from_numpy(rng.normal(scale=0.3, size=(n, length)))
    counted = torch.arange(length) < torch.from_numpy(rng.integers(1, length + 1, size=n))[:, None]
    return log_probs.requires_grad_(), old, torch.from_numpy(rng.normal(size=n)), counted


def test_reinforce_is_what_it_says() -> None:
    log_probs, _, advantages, counted = batch()
    loss = rl.reinforce(log_probs, advantages, counted)
    by_hand = -np.mean(
        [float(a) * float(row[mask].sum()) for a, row, mask in zip(advantages, log_probs.detach(), counted, strict=True)]
    )
    assert loss.item() == pytest.approx(by_hand)
    (gradient,) = torch.autograd.grad(loss, log_probs)
    torch.testing.assert_close(gradient, -advantages[:, None] * counted / len(advantages))


@pytest.mark.parametrize("average", ["sample", "token"])
def test_the_clipped_loss_by_token_is_the_loop_over_tokens(average: str) -> None:
    log_probs, old, advantages, counted = batch()
    total, per_sample = [], []
    for i in range(len(advantages)):
        terms = []
        for t in range(int(counted[i].sum())):
            ratio = (log_probs[i, t] - old[i, t]).exp().item()
            a = float(advantages[i])
            terms.append(min(ratio * a, min(max(ratio, 0.8), 1.3) * a))
        per_sample.append(np.mean(terms))
        total += terms
    expected = -np.mean(per_sample) if average == "sample" else -np.mean(total)
    loss = rl.clipped(log_probs, old, advantages, counted, high=0.3, average=average)
    assert loss.item() == pytest.approx(expected)


def test_the_clipped_loss_by_sequence_has_one_ratio_a_sample() -> None:
    log_probs, old, advantages, counted = batch()
    expected = []
    for i, a in enumerate(advantages.tolist()):
        n = int(counted[i].sum())
        ratio = ((log_probs[i, :n] - old[i, :n]).sum() / n).exp().item()
        expected.append(min(ratio * a, min(max(ratio, 0.9), 1.1) * a))
    loss = rl.clipped(log_probs, old, advantages, counted, by="sequence", low=0.1, high=0.1)
    assert loss.item() == pytest.approx(-np.mean(expected))


def test_at_one_update_a_batch_no_clip_acts() -> None:
    log_probs, _, advantages, counted = batch()
    lengths = counted.sum(-1, keepdim=True)
    for by in ("token", "sequence"):
        loss = rl.clipped(log_probs, log_probs.detach(), advantages, counted, by=by)
        (gradient,) = torch.autograd.grad(loss, log_probs)
        torch.testing.assert_close(gradient, -advantages[:, None] * counted / lengths / len(advantages))
    moved = log_probs.detach() - 0.5  # ratios of 1.65: only what would fall is pulled
    (gradient,) = torch.autograd.grad(rl.clipped(log_probs, moved, advantages, counted), log_probs)
    assert ((gradient != 0) == (counted & (advantages < 0)[:, None])).all()


def test_what_is_behind_the_end_does_not_matter() -> None:
    log_probs, old, advantages, counted = batch()
    signal = torch.tensor([True, False, True, True, False, True])
    wild = torch.where(counted, log_probs.detach(), -torch.inf).requires_grad_()
    for loss in (
        lambda x: rl.reinforce(x, advantages, counted),
        lambda x: rl.clipped(x, old, advantages, counted),
        lambda x: rl.clipped(x, old, advantages, counted, by="sequence"),
        lambda x: rl.kl_penalty(x, old, counted, signal),
    ):
        plain, odd = loss(log_probs), loss(wild)
        torch.testing.assert_close(plain, odd)
        torch.testing.assert_close(*(torch.autograd.grad(one, x)[0] for one, x in ((plain, log_probs), (odd, wild))))


def test_runs_side_by_side_have_losses_of_their_own() -> None:
    log_probs, old, advantages, counted = (torch.stack([part, part.flip(0)]) for part in batch())
    for loss in (
        rl.reinforce(log_probs, advantages, counted),
        rl.clipped(log_probs, old, advantages, counted, average="token"),
        rl.clipped(log_probs, old, advantages, counted, by="sequence"),
        rl.kl_penalty(log_probs, old, counted, advantages > 0),
    ):
        assert loss.shape == (2,)
        assert loss[0].item() == pytest.approx(loss[1].item())
    with pytest.raises(SettingsError, match="not negative"):
        rl.clipped(log_probs, old, advantages, counted, low=-0.1)


# ------------------------------------------------------------------------------------------------------- the divergence


def test_estimates_of_the_divergence_have_its_sign_and_the_gradients_that_are_said() -> None:
    """By enumeration of a law: the mean of an estimate under the policy, and the mean of its gradient."""
    logits = torch.tensor([0.3, -0.8, 1.1, 0.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([1.0, 0.2, -0.5, 0.1], dtype=torch.float64).log_softmax(-1)
    log_p = logits.log_softmax(-1)
    p = log_p.detach().exp()
    ahead, back = (p * (log_p - reference)).sum(), (reference.exp() * (reference - log_p)).sum()
    own, mirrored = (
        torch.autograd.grad(one, logits, retain_graph=True)[0] for one in ((log_p.exp() * (log_p - reference)).sum(), back)
    )
    for kind, gradient in (("k1", torch.zeros_like(own)), ("k2", own), ("k3", mirrored)):
        estimate = rl.kl_estimate(log_p, reference, kind=kind)
        if kind != "k2":
            torch.testing.assert_close((p * estimate).sum(), ahead)
        (found,) = torch.autograd.grad((p * estimate).sum(), logits, retain_graph=True)
        torch.testing.assert_close(found, gradient)
    assert (rl.kl_estimate(log_p, reference, kind="k3") >= 0).all()
    assert (rl.kl_estimate(log_p, reference, kind="k1") < 0).any()
    assert rl.kl_estimate(log_p, log_p, kind="k3").abs().max().item() == 0
    # Added to a loss it leads back: a step down the penalty brings the policy nearer.
    for kind in ("k2", "k3"):
        (down,) = torch.autograd.grad((p * rl.kl_estimate(log_p, reference, kind=kind)).sum(), logits, retain_graph=True)
        nearer = (logits - 0.1 * down).log_softmax(-1)
        assert (nearer.exp() * (nearer - reference)).sum() < ahead


def test_a_group_without_signal_has_no_term_of_the_divergence() -> None:
    log_probs, reference, _, counted = batch()
    rewards = np.array([[1.0, 0.0], [1.0, 1.0], [0.5, 0.5 + 1e-9]])
    signal = torch.from_numpy(np.repeat(rl.carries_signal(rewards), 2))
    assert signal.tolist() == [True, True, False, False, False, False]
    (gradient,) = torch.autograd.grad(rl.kl_penalty(log_probs, reference, counted, signal), log_probs)
    assert (gradient[2:] == 0).all()
    assert (gradient[:2][counted[:2]] != 0).all()
    estimate = rl.kl_estimate(log_probs.detach(), reference)
    expected = sum(float(estimate[i][counted[i]].mean()) for i in range(2)) / 6
    assert rl.kl_penalty(log_probs, reference, counted, signal).item() == pytest.approx(expected)
    assert rl.kl_penalty(log_probs, reference, counted, signal & False).item() == 0


def test_sampled_losses_have_the_expected_pull_as_their_gradient() -> None:
    """The losses, averaged over all groups of three of a four-armed bandit, against `policy_flows` on the same law."""
    reward = np.array([0.2, 1.0, 0.0, 0.7])
    logits = torch.tensor([0.1, -1.0, 0.6, 0.2], dtype=torch.float64, requires_grad=True)
    p = logits.detach().softmax(-1).numpy()
    groups = np.indices((4, 4, 4)).reshape(3, -1).T
    chance = torch.from_numpy(p[groups].prod(-1))
    for advantage in (rl.normalised, rl.negative_only(rl.normalised), rl.left_out):
        advantages = torch.from_numpy(advantage(reward[groups]))
        log_probs = logits.log_softmax(-1)[torch.from_numpy(groups)][..., None]
        counted = torch.ones_like(log_probs, dtype=torch.bool)
        flow = flows.in_logits(flows.group_rewards(reward, size=3, advantage=advantage))(p)
        for loss in (
            rl.reinforce(log_probs, advantages, counted),
            rl.clipped(log_probs, log_probs.detach(), advantages, counted),
            rl.clipped(log_probs, log_probs.detach(), advantages, counted, by="sequence"),
        ):
            (gradient,) = torch.autograd.grad((chance * loss).sum(), logits, retain_graph=True)
            np.testing.assert_allclose(-gradient.numpy(), flow, atol=1e-14)


# ----------------------------------------------------------------------------------------------------------- closed sets

ASKED = [
    ("What is 2 + 5?", (" 7.", " 6.", " 12.")),
    ("Where does Ana live?", (" Paris.", " Rome.")),
    ("What is 3 + 5?", (" 8.", " 9.", " 10.", " 11.")),
]


def plain_log_probs(model, one: ClosedSet) -> torch.Tensor:
    """Of each answer, by a forward pass of its own."""
    found = []
    for pair in one:
        tokens = torch.tensor([[*pair.context, *pair.completion]])
        logits = model.model(input_ids=tokens).logits[0, len(pair.context) - 1 : -1].log_softmax(-1)
        found.append(logits.gather(-1, torch.tensor(pair.completion)[:, None]).sum().double())
    return torch.stack(found)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mamba"])
@pytest.mark.parametrize("budget", [1, 10_000])
def test_the_expected_update_is_the_gradient_by_plain_passes(family: str, budget: int) -> None:
    model = tiny_language_model(family, seed=3)
    sets = closed_sets(model.tokenizer, ASKED)
    rewards = [np.array([1.0, 0.0, 0.5]), np.array([0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])]
    pulls = [flows.group_rewards(reward, size=4, advantage=rl.negative_only(rl.normalised)) for reward in rewards]
    update = expected_update(model, sets, pulls, budget=budget)
    objective = torch.zeros((), dtype=torch.float64)
    for one, pull, law in zip(sets, pulls, update.laws, strict=True):
        log_probs = plain_log_probs(model, one).log_softmax(-1)
        np.testing.assert_allclose(law, log_probs.detach().exp().numpy(), atol=1e-6)
        objective = objective + (torch.from_numpy(pull(law)) * log_probs).sum() / len(sets)
    parameters = dict(model.model.named_parameters())
    expected = torch.autograd.grad(objective, list(parameters.values()), allow_unused=True)
    assert set(update.gradients) == set(parameters)
    for name, gradient in zip(parameters, expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(update.gradients[name], gradient, atol=2e-6, rtol=1e-3)
    assert max(float(one.abs().max()) for one in update.gradients.values()) > 1e-4
    for one, law in zip(laws(model, sets, budget=budget), update.laws, strict=True):
        np.testing.assert_allclose(one, law, atol=1e-7)


def test_a_step_along_the_update_raises_what_it_should() -> None:
    model = tiny_language_model(seed=4)
    sets = closed_sets(model.tokenizer, ASKED)
    rewards = [np.eye(len(one))[0] for one in sets]
    before = laws(model, sets)
    update = expected_update(model, sets, [flows.reinforce(reward) for reward in rewards])
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            parameter += 0.002 * update.gradients[name]
    gain = [float((after - law) @ reward) for after, law, reward in zip(laws(model, sets), before, rewards, strict=True)]
    squared = sum(float((gradient.double() ** 2).sum()) for gradient in update.gradients.values())
    assert np.mean(gain) == pytest.approx(0.002 * squared, rel=0.05)


def test_the_model_and_its_other_parameters_stay_as_they_are() -> None:
    model = tiny_language_model(seed=5)
    sets = closed_sets(model.tokenizer, ASKED[:1])
    kept = {name: value.clone() for name, value in model.model.state_dict().items()}
    some = [name for name, _ in model.model.named_parameters()][3:5]
    update = expected_update(model, sets, [flows.reinforce(np.array([1.0, 0.0, 0.0]))], names=some)
    assert list(update.gradients) == some
    assert all(parameter.grad is None for parameter in model.model.parameters())
    for name, value in model.model.state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=0)


PULLS = [flows.reinforce(np.eye(len(answers))[-1]) for _, answers in ASKED]


def test_training_on_closed_sets_is_adamw_on_the_expected_update() -> None:
    model, other = tiny_language_model(seed=6), tiny_language_model(seed=6)
    sets = closed_sets(model.tokenizer, ASKED)
    recipe = Recipe(learning_rate=1e-3, layers=(1, 2), parts=("mlp",), max_grad_norm=0.01)
    tuned = finetune_on_sets(model, sets, PULLS, recipe, n_steps=4, seeds=Seeds(0))
    named = dict(other.model.named_parameters())
    moving = {name: named[name] for name in named if ".mlp." in name and ("layers.1." in name or "layers.2." in name)}
    adam = torch.optim.AdamW(moving.values(), lr=1e-3, weight_decay=0.0)
    for step in range(4):
        update = expected_update(other, sets, PULLS, names=moving)
        for name, parameter in moving.items():
            parameter.grad = -update.gradients[name]
        norm = torch.nn.utils.clip_grad_norm_(moving.values(), 0.01)
        assert tuned.grad_norm[step] == pytest.approx(float(norm), rel=1e-4)
        for one, law in zip(tuned.laws[step], update.laws, strict=True):
            np.testing.assert_allclose(one, law, atol=1e-5)
        adam.step()
    for name, parameter in model.model.named_parameters():
        torch.testing.assert_close(parameter, named[name], atol=1e-5, rtol=1e-4)
    rise = [float(last[-1] - first[-1]) for first, last in zip(tuned.laws[0], tuned.laws[-1], strict=True)]
    assert len(tuned.laws) == 5
    assert np.mean(rise) > 1e-4


def test_an_adapter_learns_beside_weights_that_stay_and_no_step_changes_nothing() -> None:
    model = tiny_language_model(seed=7)
    sets = closed_sets(model.tokenizer, ASKED)
    kept = {name: value.clone() for name, value in model.model.state_dict().items()}
    none = finetune_on_sets(model, sets, PULLS, Recipe(), n_steps=0, seeds=Seeds(0))
    assert (len(none.laws), len(none.grad_norm)) == (1, 0)
    for name, value in model.model.state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=0)
    recipe = Recipe(method="lora", layers=(2,), parts=("attention",), learning_rate=1e-2)
    state = torch.get_rng_state()
    tuned = finetune_on_sets(model, sets, PULLS, recipe, n_steps=5, seeds=Seeds(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.mean([last[-1] - first[-1] for first, last in zip(tuned.laws[0], tuned.laws[-1], strict=True)]) > 0
    under = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): value
        for name, value in tuned.model.model.state_dict().items()
    }
    for name, value in kept.items():
        torch.testing.assert_close(under[name], value, rtol=0, atol=0)
    again = finetune_on_sets(tiny_language_model(seed=7), sets, PULLS, recipe, n_steps=5, seeds=Seeds(1))
    for one, other in zip(tuned.laws[-1], again.laws[-1], strict=True):
        np.testing.assert_array_equal(one, other)
    wild = Recipe(learning_rate=9.0, max_grad_norm=None)
    with pytest.raises(Diverged, match="step 0"):
        finetune_on_sets(
            tiny_language_model(seed=7), sets, [lambda p: np.full_like(p, np.nan)] * 3, wild, n_steps=2, seeds=Seeds(1)
        )


def test_closed_sets_refuse_what_is_none() -> None:
    model = tiny_language_model()
    tokenizer = model.tokenizer
    with pytest.raises(InputError, match="two or more different"):
        closed_sets(tokenizer, [("Yes or no?", (" yes",))])
    with pytest.raises(InputError, match="two or more different"):
        closed_sets(tokenizer, [("Yes or no?", (" yes", " no", " yes"))])
    with pytest.raises(InputError, match="begins ' no, never'"):
        closed_sets(tokenizer, [("Yes or no?", (" no, never", " no"))])
    sets = closed_sets(tokenizer, ASKED[:1])
    with pytest.raises(SettingsError, match="one pull for each"):
        expected_update(model, sets, [])
    with pytest.raises(SettingsError, match="must be in the model"):
        expected_update(model, sets, [flows.reinforce(np.zeros(3))], names=["nothing"])
    long = TokenPair(tuple([5] * 200), (6,))
    with pytest.raises(InputError):
        laws(model, [(long, TokenPair(long.context, (7,)))])
