"""One softmax policy over K actions: its laws at the optimum, and where winners, losers and rewards move it, without sampling.

    pull = group_rewards(np.array([0.8, 1.0, 0.0]), size=16, advantage=normalised)
    path = integrate(in_logits(pull), np.array([0.5, 0.01, 0.49]), steps=5_000, eta=0.1)

Every update of such a policy is a sum of c_a grad log p_a over its actions. The factors c, one an action, are its *pull*. In a
table the logits then move by c_a - p_a sum(c), or, by the natural gradient, by c_a / p_a - sum(c); in a language model the same
c stand before the gradients of its log-probabilities (`assay.training.closed_sets`). So what a table does and what a model does
under one pull differ by what grad log p_a shares between actions, and by nothing else.

Laws and pulls take any axes in front (worlds, runs); the last axis is the actions. Everything is in double precision.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Floats, Ints
from assay.core.errors import SettingsError

__all__ = [
    "MOST_GROUPS",
    "Advantage",
    "Flow",
    "Pull",
    "best_of_law",
    "counted_pairs",
    "dpo",
    "expected_pairs",
    "forward_kl",
    "group_rewards",
    "in_logits",
    "integrate",
    "ipo",
    "ipo_law",
    "mid_rank",
    "mixture",
    "natural",
    "reinforce",
    "reverse_kl",
    "tilted_law",
]

Pull = Callable[[Floats], Floats]
"""pull(p) [..., K] is the factor of grad log p_a in the update, for every action."""
Flow = Callable[[Floats], Floats]
"""flow(p) [..., K] is the rate at which the logits move."""
Advantage = Callable[[Floats], Floats]
"""advantage(rewards) [..., group] says what each sample of a group of rewards counts; the order of samples must not matter."""
MOST_GROUPS = 200_000  # different groups that are summed over: some 20 MB
TINY = 1e-300  # stands for an impossible action, so that 0 log 0 is 0


# ---------------------------------------------------------------------------------------------------- laws at the optimum


def best_of_law(
    reference: Float[np.ndarray, "*lead action"], reward: Float[np.ndarray, "*lead action"], n: float
) -> Float[np.ndarray, "*lead action"]:
    """The law of the best of n samples: F(a)^n - F(a-)^n, F the distribution function of the reward under the reference.

    Actions of equal reward share the mass of their reward as the reference does, as if ties were broken at random. n need not
    be whole, so that a divergence can be met exactly.

    Raises:
        SettingsError: n is below 1.
    """
    if n < 1:
        raise SettingsError(f"the best of n samples needs n of at least 1; got {n}")
    below, level = _distribution(reference, reward)
    share = np.divide(reference, level, out=np.zeros_like(reference), where=level > 0)
    return np.asarray(((below + level) ** n - below**n) * share)


def tilted_law(
    reference: Float[np.ndarray, "*lead action"], reward: Float[np.ndarray, "*lead action"], temperature: float
) -> Float[np.ndarray, "*lead action"]:
    """The law proportional to reference · exp(reward / temperature).

    It is the optimum of the reward less temperature times the divergence from the reference, of likelihood weighted by
    exp(reward / temperature), and of DPO at beta = temperature where labels are drawn by Bradley and Terry from the rewards.
    With noiseless labels DPO has no optimum at finite logits: what always wins is always pulled up.

    Source: Rafailov et al. 2023, arXiv:2305.18290, eq. 4; Peng et al. 2019, arXiv:1910.00177, for the weighted likelihood.

    Raises:
        SettingsError: the temperature is not positive.
    """
    _positive("temperature", temperature)
    return _tilted(reference, reward / temperature)


def ipo_law(
    reference: Float[np.ndarray, "*lead action"], reward: Float[np.ndarray, "*lead action"], beta: float
) -> Float[np.ndarray, "*lead action"]:
    """The optimum of IPO over all ordered pairs: reference · exp(beta (2 F_mid - 1)), F_mid the mid-rank of the reward.

    Args:
        reference: the law that pairs are drawn from, and that the policy is compared with.
        reward: says who wins, without noise; of equal ones either wins half of the time.
        beta: what the difference of log-ratios should be, as the papers' codes have it (1 / (2 tau) of the paper).

    Source: Azar et al. 2023, arXiv:2310.12036, eq. 17, for the loss.
    """
    return _tilted(reference, beta * (2 * mid_rank(reference, reward) - 1))


def mid_rank(
    reference: Float[np.ndarray, "*lead action"], reward: Float[np.ndarray, "*lead action"]
) -> Float[np.ndarray, "*lead action"]:
    """The chance that a sample of the reference has a lower reward than each action, an equal one counting half; in [0, 1]."""
    below, level = _distribution(reference, reward)
    return below + level / 2


def _distribution(reference: Floats, reward: Floats) -> tuple[Floats, Floats]:
    """The probability of a lower reward than each action's, and of an equal one."""
    mine, other = reward[..., :, None], reward[..., None, :]
    return np.asarray(((other < mine) * reference[..., None, :]).sum(-1)), np.asarray(
        ((other == mine) * reference[..., None, :]).sum(-1)
    )


def _tilted(reference: Floats, energy: Floats) -> Floats:
    possible = np.where(reference > 0, energy, -np.inf)
    weights = reference * np.exp(possible - possible.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


# ------------------------------------------------------------------------------------------------------------- the pulls


def forward_kl(target: Float[np.ndarray, "*lead action"]) -> Pull:
    """The pull of descent on KL(target || p), which is likelihood on samples of the target: the target itself."""
    return lambda p: np.broadcast_to(target, np.broadcast_shapes(target.shape, p.shape))


def reverse_kl(target: Float[np.ndarray, "*lead action"]) -> Pull:
    """The pull of descent on KL(p || target): -p log(p / target).

    Raises:
        SettingsError: the target leaves out an action.
    """
    if not (target > 0).all():
        raise SettingsError(f"the target of a reverse divergence must be positive everywhere; its least is {target.min()}")
    log_target = np.log(target)
    return lambda p: np.asarray(-p * (np.log(np.maximum(p, TINY)) - log_target))


def reinforce(reward: Float[np.ndarray, "*lead action"]) -> Pull:
    """The expected pull of policy gradient with the mean as its baseline: p (reward - mean)."""
    return lambda p: np.asarray(p * (reward - (p * reward).sum(-1, keepdims=True)))


def group_rewards(
    rewards: Float[np.ndarray, "action ..."],
    *,
    size: int,
    advantage: Advantage,
    chances: Float[np.ndarray, "action outcome"] | None = None,
) -> Pull:
    """The expected pull of a group of samples whose rewards are turned into advantages: mean over the group of A_i [a_i = a].

    It is exact: a sum over all groups that differ in how often each outcome occurs, each with its multinomial probability
    (153 for 3 actions and 16 samples). An infinite group is off by 17 % for the rare action at 4 samples.

    Args:
        rewards: [action], of each; or [action, outcome] where an action's reward is drawn.
        size: samples of a group.
        advantage: of the samples of many groups, [group, sample], e.g. `assay.training.reinforcement.normalised`.
        chances: of each action's outcomes, which sum to 1; None where a reward follows from its action.

    Source: Shao et al. 2024, arXiv:2402.03300, for groups (GRPO).

    Raises:
        SettingsError: there are no samples, chances are none, or there are more than 200,000 different groups.
    """
    actions, outcomes, chance = _outcomes(rewards, chances)
    n_actions, n_outcomes = len(rewards), len(outcomes)
    n_groups = math.comb(size + n_outcomes - 1, size) if size >= 1 else 0
    if not 1 <= n_groups <= MOST_GROUPS:
        raise SettingsError(
            f"a group must have at least one sample, and at most {MOST_GROUPS:,} different groups may be summed over; got size "
            f"{size} and {n_groups:,} groups. Take fewer samples, actions or outcomes"
        )
    counts = _counts(size, n_outcomes)
    drawn = np.repeat(np.tile(np.arange(n_outcomes), n_groups), counts.ravel()).reshape(n_groups, size)
    place = np.arange(n_groups)[:, None] * n_actions + actions[drawn]
    pulls = np.bincount(place.ravel(), advantage(outcomes[drawn]).ravel(), n_groups * n_actions).reshape(n_groups, n_actions)
    log_factorials = np.concatenate(([0.0], np.log(np.arange(1, size + 1)).cumsum()))
    log_ways = log_factorials[size] - log_factorials[counts].sum(1) + counts @ np.log(chance)
    matters = pulls.any(axis=1)  # a group of equal rewards pulls at nothing
    of_actions = (counts[matters].astype(float) @ np.eye(n_actions)[actions]).T
    weighed, log_ways = pulls[matters] / size, log_ways[matters]

    def pull(p: Floats) -> Floats:
        return np.asarray(np.exp(np.log(np.maximum(p, TINY)) @ of_actions + log_ways) @ weighed)

    return pull


def dpo(wins: Float[np.ndarray, "*lead action action"], reference: Float[np.ndarray, "*lead action"], *, beta: float) -> Pull:
    """The pull of descent on DPO's loss: for each pair beta sigma(-beta u), up for the winner and down for the loser.

    Args:
        wins: the weight of every pair (winner, loser), e.g. of `expected_pairs` or `counted_pairs`.
        reference: the law that log-ratios are taken to.
        beta: of the loss.

    Source: Rafailov et al. 2023, arXiv:2305.18290, eq. 7.

    Raises:
        SettingsError: beta is not positive.
    """
    _positive("beta", beta)
    log_reference = np.log(np.maximum(reference, TINY))

    def pull(p: Floats) -> Floats:
        h = beta * (np.log(np.maximum(p, TINY)) - log_reference)
        # 1 / (1 + exp(x)) is 0 where exp(x) is infinite, as it should be.
        with np.errstate(over="ignore"):
            push = (wins * beta) / (1 + np.exp(h[..., :, None] - h[..., None, :]))
        return np.asarray(push.sum(-1) - push.sum(-2))

    return pull


def ipo(wins: Float[np.ndarray, "*lead action action"], reference: Float[np.ndarray, "*lead action"], *, beta: float) -> Pull:
    """The pull of descent on IPO's loss (u - beta)^2: for each pair 2 (beta - u); arguments as for `dpo` and `ipo_law`."""
    log_reference, played = np.log(np.maximum(reference, TINY)), wins + wins.swapaxes(-1, -2)
    # The sum over pairs of beta - u splits: u is a difference of one number an action.
    target, n_played = beta * (wins.sum(-1) - wins.sum(-2)), played.sum(-1)

    def pull(p: Floats) -> Floats:
        h = np.log(np.maximum(p, TINY)) - log_reference
        return np.asarray(2 * (target - (n_played * h - (played @ h[..., None])[..., 0])))

    return pull


def mixture(pulls: Sequence[Pull], shares: Sequence[float]) -> Pull:
    """The pull where a step meets each of several kinds of prompts with its share, and all prompts share the logits."""
    return lambda p: np.asarray(sum(share * pull(p) for pull, share in zip(pulls, shares, strict=True)))


# ------------------------------------------------------------------------------------------------------------- the pairs


def expected_pairs(
    law: Float[np.ndarray, "*lead action"], reward: Float[np.ndarray, "*lead action"], *, noiseless: bool
) -> Float[np.ndarray, "*lead action action"]:
    """How probable it is that of two samples of the law the first action of an entry wins and the second loses; sums to 1.

    Args:
        law: of both samples.
        reward: of each action.
        noiseless: the higher reward wins, and of equal ones either half of the time; else a wins over b with the chance of
            Bradley and Terry, sigma(reward_a - reward_b).
    """
    lead = reward[..., :, None] - reward[..., None, :]
    with np.errstate(over="ignore"):
        label = (np.sign(lead) + 1) / 2 if noiseless else 1 / (1 + np.exp(-lead))
    return np.asarray(2 * law[..., :, None] * law[..., None, :] * label)


def counted_pairs(
    actions: Int[np.ndarray, "*lead context sample"], reward: Float[np.ndarray, "*lead action"]
) -> Float[np.ndarray, "*lead action action"]:
    """Of all pairs of samples of one context the share in which the first action of an entry wins and the second loses.

    Of equal rewards the later sample wins, as in the code of Tajwar et al. 2024 (arXiv:2404.14367).

    Raises:
        SettingsError: a context has fewer than two samples.
    """
    n_actions, lead = reward.shape[-1], reward.shape[:-1]
    if actions.shape[-1] < 2:
        raise SettingsError(f"a pair needs two samples of a context; got {actions.shape[-1]}")
    first, second = np.triu_indices(actions.shape[-1], 1)
    flat = actions.reshape(-1, *actions.shape[-2:])
    rewards = np.take_along_axis(reward.reshape(-1, n_actions), flat.reshape(len(flat), -1), 1).reshape(flat.shape)
    first_wins = rewards[..., first] > rewards[..., second]
    winner = np.where(first_wins, flat[..., first], flat[..., second])
    loser = np.where(first_wins, flat[..., second], flat[..., first])
    place = (np.arange(len(flat))[:, None, None] * n_actions + winner) * n_actions + loser
    counted = np.bincount(place.ravel(), minlength=len(flat) * n_actions**2)
    return np.asarray(counted.reshape(*lead, n_actions, n_actions) / winner[0].size)


# ------------------------------------------------------------------------------------------------------------- the flows


def in_logits(pull: Pull) -> Flow:
    """How a pull moves the logits of a table: c - p sum(c), since grad log p_a is e_a - p."""

    def flow(p: Floats) -> Floats:
        c = pull(p)
        return np.asarray(c - p * c.sum(-1, keepdims=True))

    return flow


def natural(pull: Pull) -> Flow:
    """How its natural gradient moves them: c / p - sum(c), without the factor p that makes rare actions slow."""

    def flow(p: Floats) -> Floats:
        c = pull(p)
        return np.asarray(c / np.maximum(p, TINY) - c.sum(-1, keepdims=True))

    return flow


def integrate(
    flow: Flow, start: Float[np.ndarray, "*lead action"], *, steps: int, eta: float, keep: Sequence[int] | None = None
) -> Float[np.ndarray, "kept *lead action"]:
    """The laws along a flow, by steps of size eta on the logits, as training takes them.

    Args:
        flow: of `in_logits` or `natural`.
        start: the law at step 0, positive everywhere.
        steps: how many.
        eta: their size.
        keep: the steps whose laws are returned, rising from 0 to `steps`; None for all of them.

    Raises:
        SettingsError: a count, size or law is out of range, or the logits left the finite numbers.
    """
    kept = list(range(steps + 1)) if keep is None else list(keep)
    if steps < 0 or kept != sorted(set(kept)) or (kept and not 0 <= kept[0] <= kept[-1] <= steps):
        raise SettingsError(f"kept steps must rise from 0 to {steps}; got {kept[:4]}")
    _positive("eta", eta)
    if not (start > 0).all() or not np.allclose(start.sum(-1), 1):
        raise SettingsError(
            "a flow must start at a law that is positive everywhere and sums to 1; got a least probability of "
            f"{start.min()} and sums from {start.sum(-1).min()} to {start.sum(-1).max()}"
        )
    logits, p = np.log(start), np.array(start)
    found = np.empty((len(kept), *start.shape))
    place = 0
    for step in range(kept[-1] + 1 if kept else 0):
        if step:
            logits = logits + eta * flow(p)
            logits = logits - logits.max(-1, keepdims=True)
            p = np.exp(logits)
            p /= p.sum(-1, keepdims=True)
        if step == kept[place]:
            if not np.isfinite(p).all():
                raise SettingsError(f"logits must stay finite; they did not by step {step}. Take a smaller eta than {eta}")
            found[place] = p
            place += 1
    return found


def _outcomes(rewards: Floats, chances: Floats | None) -> tuple[Ints, Floats, Floats]:
    """Actions, rewards and chances of everything that a sample can be; what never happens is left out."""
    if chances is None:
        if rewards.ndim != 1:
            raise SettingsError(f"rewards without chances must be one an action; got an array of shape {rewards.shape}")
        return np.arange(len(rewards)), rewards, np.ones(len(rewards))
    if rewards.shape != chances.shape or (chances < 0).any() or not np.allclose(chances.sum(-1), 1):
        raise SettingsError(
            f"chances must be of every action's outcomes, not negative, and sum to 1; got shapes {rewards.shape} and "
            f"{chances.shape}, and sums {chances.sum(-1)}"
        )
    possible = chances > 0
    return np.nonzero(possible)[0], rewards[possible], chances[possible]


def _counts(size: int, n: int) -> Ints:
    """All ways to share `size` samples among n outcomes, a row each."""
    bars = np.array(list(combinations(range(size + n - 1), n - 1)), dtype=np.int64).reshape(-1, n - 1)
    edges = np.column_stack((np.full(len(bars), -1), bars, np.full(len(bars), size + n - 1)))
    return np.diff(edges, axis=1) - 1


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise SettingsError(f"{name} must be positive; got {value}")
