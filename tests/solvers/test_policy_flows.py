"""Laws at the optimum and expected updates of one softmax policy: closed forms, enumeration, finite differences, sampling."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.solvers import policy_flows as flows
from assay.training.reinforcement import centred, left_out, negative_only, normalised, positive_only, weighted

START = np.array([0.5, 0.01, 0.49])
GRADED = np.array([0.8, 1.0, 0.0])


def drawn(n_actions: int, *name: object, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = Seeds(0)(f"world {name}")
    reward = rng.normal(size=n_actions)
    if ties:
        reward = np.round(reward)
    return rng.dirichlet(np.ones(n_actions)), reward


def bins() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bandit of Tajwar et al. 2024: tanh of -0.7 + 0.4 Cauchy in 100 bins, and rewards R4 and R5."""
    edges = np.arctanh(np.clip(np.linspace(-1, 1, 101), -1 + 1e-15, 1 - 1e-15))
    edges[0], edges[-1] = -np.inf, np.inf
    cumulative = 0.5 + np.arctan((edges + 0.7) / 0.4) / np.pi
    actions = np.arange(100)
    return np.diff(cumulative), np.exp(-(((actions - 70) / 10) ** 2)), np.exp(-(((actions - 20) / 10) ** 2))


# ---------------------------------------------------------------------------------------------------- laws at the optimum


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_n_is_what_enumeration_of_all_samples_gives(n: int, ties: bool) -> None:
    reference, reward = drawn(4, "best", ties=ties)
    expected = np.zeros(4)
    for sample in product(range(4), repeat=n):
        best = [a for a in sample if reward[a] == max(reward[list(sample)])]
        for action in best:  # ties broken at random among the samples
            expected[action] += reference[list(sample)].prod() / len(best)
    np.testing.assert_allclose(flows.best_of_law(reference, reward, n), expected, atol=1e-14)


def test_best_of_n_of_a_law_with_an_impossible_action_and_with_axes_in_front() -> None:
    reference, reward = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    laws = flows.best_of_law(reference, reward, 2.5)
    assert laws[0] == pytest.approx([0.5**2.5, 1 - 0.5**2.5, 0])
    assert laws.sum(-1) == pytest.approx([1, 1])
    np.testing.assert_array_equal(laws[1], flows.best_of_law(reference[1], reward[1], 2.5))
    with pytest.raises(SettingsError, match="at least 1"):
        flows.best_of_law(reference, reward, 0.5)


def test_laws_of_the_paper_s_bandit() -> None:
    """Mean rewards under each optimum, as they are known from another computation of the same formulas."""
    reference, rare, common = bins()
    laws = {
        "reference": reference,
        "best of 10": flows.best_of_law(reference, rare, 10),
        "IPO at 10": flows.ipo_law(reference, rare, 10.0),
        "weighted at 0.1": flows.tilted_law(reference, rare, 0.1),
        "weighted at 1": flows.tilted_law(reference, rare, 1.0),
        "DPO at 0.05": flows.tilted_law(reference, rare, 0.05),
    }
    means = {name: float(law @ rare) for name, law in laws.items()}
    known = (0.039, 0.313, 0.500, 0.941, 0.076, 0.974)
    assert means == pytest.approx(dict(zip(laws, known, strict=True)), abs=2e-3)
    assert flows.best_of_law(reference, common, 10) @ common == pytest.approx(0.940, abs=2e-3)
    spent = {name: float(law @ np.log(law / reference)) for name, law in laws.items()}
    assert (spent["best of 10"], spent["IPO at 10"]) == pytest.approx((1.40, 2.00), abs=0.01)


def lowest(loss, n_actions: int) -> np.ndarray:
    """The law at which a loss of logits is lowest, by a descent that knows no formula of ours."""
    found = minimize(loss, np.zeros(n_actions), method="BFGS", options={"gtol": 1e-9})
    return softmax(found.x)


@pytest.mark.parametrize("ties", [False, True])
def test_the_optimum_of_ipo_by_descent_is_the_mid_rank_law(ties: bool) -> None:
    reference, reward = drawn(5, "ipo", ties=ties)
    lead = np.sign(reward[:, None] - reward[None, :])

    def loss(logits: np.ndarray) -> float:
        h = log_softmax(logits) - np.log(reference)
        u = h[:, None] - h[None, :]
        weight = reference[:, None] * reference[None, :]
        # Every ordered pair once with its winner in front; of equal ones either.
        return float((weight * ((lead > 0) + (lead == 0) / 2) * (u - 0.7) ** 2).sum())

    np.testing.assert_allclose(flows.ipo_law(reference, reward, 0.7), lowest(loss, 5), atol=1e-6)


def test_dpo_with_bradley_terry_labels_has_the_optimum_of_reward_weighting() -> None:
    reference, reward = drawn(5, "dpo")
    beta = 0.6
    wins = flows.expected_pairs(reference, reward, noiseless=False)

    def preferences(logits: np.ndarray) -> float:
        h = beta * (log_softmax(logits) - np.log(reference))
        return -float((wins * log_expit(h[:, None] - h[None, :])).sum())

    def likelihood(logits: np.ndarray) -> float:
        return -float((reference * np.exp(reward / beta) * log_softmax(logits)).sum())

    law = flows.tilted_law(reference, reward, beta)
    np.testing.assert_allclose(law, lowest(preferences, 5), atol=1e-6)
    np.testing.assert_allclose(law, lowest(likelihood, 5), atol=1e-6)
    assert np.abs(flows.in_logits(flows.dpo(wins, reference, beta=beta))(law)).max() < 1e-15


def test_dpo_with_noiseless_labels_has_no_optimum_at_finite_logits() -> None:
    """Along the ray of the rewards its loss only falls, to 0, and its pull never vanishes."""
    reference, reward = drawn(4, "noiseless")
    wins = flows.expected_pairs(reference, reward, noiseless=True)
    order = np.argsort(np.argsort(reward))
    losses = []
    for far in (0.0, 1.0, 4.0, 16.0, 64.0):
        h = far * order
        losses.append(-float((wins * log_expit(h[:, None] - h[None, :])).sum()))
        if far <= 16:  # beyond, it is below rounding
            pull = flows.dpo(wins, reference, beta=1.0)(softmax(np.log(reference) + h))
            assert pull[reward.argmax()] > 0 > pull[reward.argmin()]
    # Pairs of one action with itself win half of the time, and no logits change that.
    alone = np.log(2) * float((reference**2).sum())
    assert losses[0] == pytest.approx(np.log(2))
    assert (np.diff(losses) < 0).all()
    assert losses[-1] == pytest.approx(alone)


def test_tilting_is_safe_far_from_one_and_refuses_no_temperature() -> None:
    law = flows.tilted_law(np.array([0.5, 0.5, 0.0]), np.array([0.0, 3.0, 1e6]), 1e-3)
    assert law == pytest.approx([0, 1, 0])
    with pytest.raises(SettingsError, match="temperature must be positive"):
        flows.tilted_law(law, law, 0.0)


# -------------------------------------------------------------------------------------------------------------- the pulls


def slope(value, logits: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The derivative of a function of logits, by central differences."""
    steps = h * np.eye(len(logits))
    return np.array([(value(logits + step) - value(logits - step)) / (2 * h) for step in steps])


def objectives() -> dict[str, tuple[flows.Pull, object]]:
    """By name a pull, and the function of logits that it should ascend."""
    target, reward = drawn(4, "target")
    reference, _ = drawn(4, "reference")
    wins = Seeds(0)("wins").dirichlet(np.ones(16)).reshape(4, 4)

    def u(logits: np.ndarray) -> np.ndarray:
        h = log_softmax(logits) - np.log(reference)
        return h[:, None] - h[None, :]

    return {
        "forward": (flows.forward_kl(target), lambda z: target @ log_softmax(z)),
        "reverse": (flows.reverse_kl(target), lambda z: -softmax(z) @ (log_softmax(z) - np.log(target))),
        "reinforce": (flows.reinforce(reward), lambda z: softmax(z) @ reward),
        "dpo": (flows.dpo(wins, reference, beta=0.3), lambda z: (wins * log_expit(0.3 * u(z))).sum()),
        "ipo": (flows.ipo(wins, reference, beta=2.0), lambda z: -(wins * (u(z) - 2.0) ** 2).sum()),
        "left out": (
            flows.group_rewards(reward, size=3, advantage=left_out),
            lambda z: softmax(z) @ reward,
        ),
        "centred": (
            flows.group_rewards(reward, size=3, advantage=centred),
            lambda z: softmax(z) @ reward * 2 / 3,
        ),
    }


@pytest.mark.parametrize("name", objectives())
def test_pulls_are_gradients(name: str) -> None:
    pull, objective = objectives()[name]
    logits = Seeds(1)("logits").normal(size=4)
    np.testing.assert_allclose(flows.in_logits(pull)(softmax(logits)), slope(objective, logits), atol=1e-8)


@pytest.mark.parametrize("name", objectives())
def test_the_natural_gradient_is_the_gradient_over_the_fisher_information(name: str) -> None:
    pull, _ = objectives()[name]
    p, _ = drawn(4, "law")
    natural = flows.natural(pull)(p)
    fisher = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(fisher @ natural, flows.in_logits(pull)(p), atol=1e-12)


def test_one_pair_of_dpo_in_a_table() -> None:
    """-beta sigma(-beta u) (e_loser - e_winner): winner and loser move by the same amount, others not at all."""
    p, reference, beta = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.4, 0.2]), 0.25
    wins = np.zeros((3, 3))
    wins[0, 1] = 1
    u = np.log(0.2 / 0.4) - np.log(0.3 / 0.4)
    size = beta * expit(-beta * u)
    assert flows.dpo(wins, reference, beta=beta)(p) == pytest.approx([size, -size, 0])
    assert flows.in_logits(flows.dpo(wins, reference, beta=beta))(p) == pytest.approx([size, -size, 0])
    assert flows.dpo(wins, p, beta=beta)(p)[0] == pytest.approx(beta / 2)  # at equality
    far = flows.dpo(wins, np.array([1e-290, 0.5, 0.5]), beta=5.0)(np.array([0.9, 1e-290, 0.1]))
    assert far == pytest.approx([0, 0, 0])


def test_a_forward_divergence_pulls_by_its_target_whatever_the_law() -> None:
    target, p = np.array([0.2, 0.8]), np.array([[0.5, 0.5], [0.9, 0.1]])
    np.testing.assert_allclose(flows.in_logits(flows.forward_kl(target))(p), target - p)
    with pytest.raises(SettingsError, match="positive everywhere"):
        flows.reverse_kl(np.array([1.0, 0.0]))


# -------------------------------------------------------------------------------------------------------- groups of samples


ADVANTAGES = {
    "centred": centred,
    "normalised": normalised,
    "ddof 1": partial(normalised, ddof=1),
    "left out": left_out,
    "negative": negative_only(normalised),
    "positive": positive_only(normalised),
    "weighted": weighted(partial(normalised, ddof=1), 0.1),
}


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("coin", [False, True])
def test_a_group_s_pull_is_the_mean_over_every_group_that_can_be_drawn(name: str, coin: bool) -> None:
    """By brute force: all sequences of actions and outcomes, one at a time."""
    size, p, advantage = 4, np.array([0.55, 0.1, 0.35]), ADVANTAGES[name]
    rewards = np.tile([1.0, 0.0], (3, 1)) if coin else GRADED[:, None]
    chances = np.column_stack((GRADED, 1 - GRADED)) if coin else np.ones((3, 1))
    kinds = [(a, rewards[a, o], p[a] * chances[a, o]) for a in range(3) for o in range(rewards.shape[1])]
    expected = np.zeros(3)
    for group in product(kinds, repeat=size):
        chance = np.prod([kind[2] for kind in group])
        values = advantage(np.array([[kind[1] for kind in group]]))[0]
        for (action, _, _), value in zip(group, values, strict=True):
            expected[action] += chance * value / size
    pull = flows.group_rewards(rewards if coin else GRADED, size=size, advantage=advantage, chances=chances if coin else None)
    np.testing.assert_allclose(pull(p), expected, atol=1e-14)


def test_a_group_s_pull_has_as_many_terms_as_there_are_groups() -> None:
    seen = []

    def spying(rewards: np.ndarray) -> np.ndarray:
        seen.append(rewards.shape)
        return normalised(rewards)

    flows.group_rewards(GRADED, size=16, advantage=spying)
    assert seen == [(153, 16)]


def test_a_sampled_group_agrees_with_the_expected_one_and_not_with_an_infinite_one() -> None:
    rng, n = Seeds(2)("groups"), 400_000
    exact = flows.group_rewards(GRADED, size=4, advantage=normalised)(START)
    drawn_actions = np.searchsorted(START.cumsum(), rng.random((n, 4)))
    advantages = normalised(GRADED[drawn_actions])
    each = np.stack([(advantages * (drawn_actions == a)).mean(1) for a in range(3)], 1)
    error = each.std(0) / np.sqrt(n)
    assert (np.abs(each.mean(0) - exact) < 4.5 * error).all()
    mean = START @ GRADED
    infinite = START * (GRADED - mean) / np.sqrt(START @ (GRADED - mean) ** 2)
    assert abs(infinite[1] / exact[1] - 1) > 0.15
    assert np.abs(infinite - each.mean(0)).max() > 10 * error.max()


def test_speed_is_proportional_to_probability_and_a_saturated_policy_switches_at_the_group_s_rate() -> None:
    """Near saturation d log(p2/p1)/dt is 2 eta sqrt(G - 1) p2, whatever the gap, also for positive advantages alone."""
    p2, size = 1e-4, 16
    p = np.array([1 - p2 - 1e-9, p2, 1e-9])
    for gap in (0.2, 0.01):
        reward = np.array([1 - gap, 1.0, 0.0])
        for advantage in (normalised, positive_only(normalised)):
            flow = flows.in_logits(flows.group_rewards(reward, size=size, advantage=advantage))(p)
            assert (flow[1] - flow[0]) / p2 == pytest.approx(2 * np.sqrt(size - 1), rel=0.02)
        slow = flows.in_logits(flows.group_rewards(reward, size=size, advantage=negative_only(normalised)))(p)
        assert (slow[1] - slow[0]) / p2 < 0.01 * np.sqrt(size - 1)


def test_groups_that_cannot_be_summed_over_are_refused() -> None:
    with pytest.raises(SettingsError, match="at most 200,000"):
        flows.group_rewards(np.arange(8.0), size=32, advantage=normalised)
    with pytest.raises(SettingsError, match="at least one sample"):
        flows.group_rewards(GRADED, size=0, advantage=normalised)
    with pytest.raises(SettingsError, match="sum to 1"):
        flows.group_rewards(np.ones((3, 2)), size=4, advantage=normalised, chances=np.ones((3, 2)))
    with pytest.raises(SettingsError, match="without chances"):
        flows.group_rewards(np.ones((3, 2)), size=4, advantage=normalised)


def test_a_mixture_of_prompts_pulls_by_their_shares() -> None:
    easy, hard = (flows.reinforce(np.array(r)) for r in ([1.0, 1.0, 0.0], [0.0, 1.0, 0.0]))
    both = flows.mixture([easy, hard], [0.8, 0.2])
    np.testing.assert_allclose(both(START), flows.reinforce(np.array([0.8, 1.0, 0.0]))(START), atol=1e-15)


# ------------------------------------------------------------------------------------------------------------- the pairs


def test_expected_pairs_are_chances() -> None:
    law, reward = drawn(4, "pairs", ties=True)
    for noiseless in (False, True):
        wins = flows.expected_pairs(law, reward, noiseless=noiseless)
        assert wins.sum() == pytest.approx(1)
        np.testing.assert_allclose((wins + wins.T) / 2, np.outer(law, law))
    wins = flows.expected_pairs(law, reward, noiseless=True)
    assert not wins[reward[:, None] < reward[None, :]].any()
    np.testing.assert_allclose(np.diag(wins), law**2)


def test_counted_pairs_are_the_official_loop_over_sorted_samples() -> None:
    rng = Seeds(3)("samples")
    rewards = np.stack([np.round(rng.normal(size=6)), rng.normal(size=6)])  # the first with ties
    actions = rng.integers(6, size=(2, 3, 5))
    expected = np.zeros((2, 6, 6))
    for run, reward in enumerate(rewards):
        for context in actions[run]:
            ordered = sorted(context, key=lambda a, reward=reward: reward[a])
            for i in range(4):
                for j in range(i + 1, 5):
                    first, second = ordered[i], ordered[j]
                    winner, loser = (first, second) if reward[first] > reward[second] else (second, first)
                    expected[run, winner, loser] += 1 / 30
    np.testing.assert_allclose(flows.counted_pairs(actions, rewards), expected, atol=1e-15)
    with pytest.raises(SettingsError, match="two samples"):
        flows.counted_pairs(actions[..., :1], rewards)


def test_counted_pairs_of_many_contexts_approach_the_expected_ones() -> None:
    law, reward = drawn(4, "law of pairs")
    actions = np.searchsorted(law.cumsum(), Seeds(4)("contexts").random((20_000, 4)))
    expected = flows.expected_pairs(law, reward, noiseless=True)
    counted = flows.counted_pairs(actions, reward)
    np.testing.assert_allclose(counted, expected, atol=0.01)


# ------------------------------------------------------------------------------------------------------------- the flows


def test_a_path_is_the_loop_that_it_stands_for() -> None:
    flow = flows.in_logits(flows.reinforce(GRADED))
    logits = np.log(START)
    for _ in range(7):
        logits = logits + 0.5 * flow(softmax(logits))
    path = flows.integrate(flow, START, steps=7, eta=0.5)
    assert path.shape == (8, 3)
    np.testing.assert_array_equal(path[0], START)
    np.testing.assert_allclose(path[-1], softmax(logits), atol=1e-15)
    np.testing.assert_array_equal(flows.integrate(flow, START, steps=7, eta=0.5, keep=[0, 7]), path[[0, 7]])


def test_flows_end_where_their_optimum_is() -> None:
    reference, reward = drawn(4, "ends")
    for pull, law in (
        (flows.forward_kl(flows.tilted_law(reference, reward, 0.5)), flows.tilted_law(reference, reward, 0.5)),
        (flows.reverse_kl(flows.tilted_law(reference, reward, 0.5)), flows.tilted_law(reference, reward, 0.5)),
        (
            flows.ipo(flows.expected_pairs(reference, reward, noiseless=True), reference, beta=1.5),
            flows.ipo_law(reference, reward, 1.5),
        ),
        (
            flows.dpo(flows.expected_pairs(reference, reward, noiseless=False), reference, beta=0.5),
            flows.tilted_law(reference, reward, 0.5),
        ),
    ):
        (end,) = flows.integrate(flows.in_logits(pull), reference, steps=10_000, eta=1.0, keep=[10_000])
        np.testing.assert_allclose(end, law, atol=1e-9)


def test_exact_groups_first_starve_the_rare_best_action_and_then_take_it_over() -> None:
    """The two stages of Yao et al. 2025; the take-over at G = 4 and 16 is known from 200 sampled runs (2,668 and 1,480)."""
    for size, known in ((4, 2_668), (16, 1_480)):
        flow = flows.in_logits(flows.group_rewards(GRADED, size=size, advantage=normalised))
        path = flows.integrate(flow, START, steps=4_000, eta=0.1)
        saturated = int((path[:, 0] > 0.95).argmax())
        assert path[saturated, 1] < START[1]
        over = int((path[:, 1] > 0.5).argmax())
        assert over == pytest.approx(known, rel=0.05)
    natural = flows.natural(flows.group_rewards(GRADED, size=16, advantage=normalised))
    path = flows.integrate(natural, START, steps=300, eta=0.1)
    assert (path[:, 1] >= START[1]).all()
    assert path[:, 0].max() < 0.95


def test_many_worlds_at_once_are_each_alone() -> None:
    references = np.stack([drawn(5, i)[0] for i in range(3)])
    rewards = np.stack([drawn(5, i)[1] for i in range(3)])

    def flow_of(reference: np.ndarray, reward: np.ndarray) -> flows.Flow:
        wins = flows.expected_pairs(reference, reward, noiseless=True)
        return flows.in_logits(flows.mixture([flows.dpo(wins, reference, beta=0.2), flows.reinforce(reward)], [0.5, 0.5]))

    together = flows.integrate(flow_of(references, rewards), references, steps=30, eta=0.3)
    for i in range(3):
        alone = flows.integrate(flow_of(references[i], rewards[i]), references[i], steps=30, eta=0.3)
        np.testing.assert_allclose(together[:, i], alone, atol=1e-15)


def test_paths_refuse_what_cannot_be_one() -> None:
    flow = flows.in_logits(flows.reinforce(GRADED))
    with pytest.raises(SettingsError, match="rise from 0 to 5"):
        flows.integrate(flow, START, steps=5, eta=0.1, keep=[3, 2])
    with pytest.raises(SettingsError, match="rise from 0 to 5"):
        flows.integrate(flow, START, steps=5, eta=0.1, keep=[6])
    with pytest.raises(SettingsError, match="eta must be positive"):
        flows.integrate(flow, START, steps=5, eta=0.0)
    with pytest.raises(SettingsError, match="positive everywhere"):
        flows.integrate(flow, np.array([1.0, 0.0]), steps=5, eta=0.1)
    with pytest.raises(SettingsError, match="stay finite"):
        flows.integrate(lambda p: np.full_like(p, np.nan), START, steps=5, eta=0.1)
    assert flows.integrate(flow, START, steps=5, eta=0.1, keep=[]).shape == (0, 3)


def test_logits_far_apart_stay_a_law() -> None:
    path = flows.integrate(lambda p: np.array([400.0, 0.0, -400.0]), START, steps=5, eta=1.0)
    assert np.isfinite(path).all()
    assert path.sum(-1) == pytest.approx(np.ones(6))
    assert logsumexp(np.log(np.maximum(path[-1], 1e-300))) == pytest.approx(0)
