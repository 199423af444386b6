"""What rewards make of samples: advantages of groups, the losses that train on them, and the price of leaving a reference.

    advantages = torch.from_numpy(negative_only(normalised)(rewards)).float()
    loss = clipped(log_probs, old, advantages, counted) + 0.04 * kl_penalty(log_probs, reference, counted, signal)

Advantages are NumPy functions of rewards [..., sample], the samples of one group on the last axis: they turn data into data,
and `assay.solvers.policy_flows.group_rewards` takes the same ones to give the expected update exactly. Losses are functions of
log-probabilities by token; what is behind the end of a sample is not counted, and its value does not matter.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from assay.core.errors import SettingsError
from assay.solvers.policy_flows import Advantage

__all__ = [
    "FLOOR",
    "carries_signal",
    "centred",
    "clipped",
    "kl_estimate",
    "kl_penalty",
    "left_out",
    "negative_only",
    "negative_samples",
    "normalised",
    "positive_only",
    "reinforce",
    "weighted",
]

FLOOR = 1e-3  # a deviation of rewards that is not above it is rounding, and dividing by it makes advantages of a million
Estimator = Literal["k1", "k2", "k3"]
Average = Literal["sample", "token"]


# ------------------------------------------------------------------------------------------------------------ advantages


def centred(rewards: Float[np.ndarray, "*lead sample"]) -> Float[np.ndarray, "*lead sample"]:
    """Rewards less their group's mean.

    Source: Liu et al. 2025, arXiv:2503.20783, who leave the division out.
    """
    return np.asarray(rewards - rewards.mean(-1, keepdims=True))


def normalised(
    rewards: Float[np.ndarray, "*lead sample"], *, floor: float = FLOOR, ddof: int = 0
) -> Float[np.ndarray, "*lead sample"]:
    """Rewards less their group's mean, over the group's deviation; 0 in a group that carries no signal.

    Source: Shao et al. 2024, arXiv:2402.03300, section 4.1. Codes add 1e-6 or 1e-4 to the deviation, which leaves a group of
    equal rewards at the mercy of rounding; here such a group counts nothing.

    Args:
        rewards: of the samples of a group.
        floor: the deviation that a group must exceed.
        ddof: 0 divides the squares by the number of samples, 1 (as common codes do) by one less.
    """
    above = carries_signal(rewards, floor=floor, ddof=ddof)[..., None]
    deviation = rewards.std(-1, ddof=ddof, keepdims=True)
    return np.asarray(np.where(above, centred(rewards), 0.0) / np.where(above, deviation, 1.0))


def left_out(rewards: Float[np.ndarray, "*lead sample"]) -> Float[np.ndarray, "*lead sample"]:
    """Each reward less the mean of the others of its group, without division.

    Its expected update is the gradient of the mean reward, whatever the size of the group.

    Source: Ahmadian et al. 2024, arXiv:2402.14740 (RLOO).

    Raises:
        SettingsError: a group has one sample, and so no others.
    """
    n = rewards.shape[-1]
    if n < 2:
        raise SettingsError(f"leaving one out needs groups of at least 2 samples; got {n}")
    return np.asarray(centred(rewards) * (n / (n - 1)))


def carries_signal(
    rewards: Float[np.ndarray, "*lead sample"], *, floor: float = FLOOR, ddof: int = 0
) -> Bool[np.ndarray, "*lead"]:
    """Whether the deviation of each group's rewards is above the floor. One that is not takes no part, in no term of a loss."""
    return np.asarray(rewards.std(-1, ddof=ddof) > floor)


def negative_only(advantage: Advantage) -> Advantage:
    """The advantage with what is positive set to 0 (GRPO-N of Yao et al. 2025, arXiv:2510.04028)."""
    return weighted(advantage, 0.0)


def positive_only(advantage: Advantage) -> Advantage:
    """The advantage with what is negative set to 0."""
    return lambda rewards: np.maximum(advantage(rewards), 0.0)


def weighted(advantage: Advantage, positive: float = 0.1) -> Advantage:
    """The advantage with what is positive multiplied by `positive`."""

    def scaled(rewards: Float[np.ndarray, "*lead sample"]) -> Float[np.ndarray, "*lead sample"]:
        found = advantage(rewards)
        return np.where(found > 0, positive * found, found)

    return scaled


def negative_samples(rewards: Float[np.ndarray, "*lead sample"]) -> Float[np.ndarray, "*lead sample"]:
    """-1 for every sample of reward 0, those of reward 1 taken out: the mean over the group is that over the wrong ones.

    Negative sample reinforcement is not `negative_only(normalised)`: a wrong sample counts the same however many are wrong.

    Source: Zhu et al. 2025, arXiv:2506.01347, and its code.

    Raises:
        SettingsError: a reward is neither 0 nor 1.
    """
    if not np.isin(rewards, (0, 1)).all():
        raise SettingsError(f"negative sample reinforcement needs rewards of 0 and 1; got {np.setdiff1d(rewards, (0, 1))[:3]}")
    wrong = rewards == 0
    return np.where(wrong, -rewards.shape[-1] / np.maximum(wrong.sum(-1, keepdims=True), 1), 0.0)


# ---------------------------------------------------------------------------------------------------------------- losses


def reinforce(
    log_probs: Float[Tensor, "*run sample token"],
    advantages: Float[Tensor, "*run sample"],
    counted: Bool[Tensor, "*run sample token"],
) -> Float[Tensor, "*run"]:
    """Minus the mean over samples of the advantage times the sample's log-probability.

    Source: Williams 1992, Machine Learning 8.

    Args:
        log_probs: of each token, by the policy that is trained, in nats.
        advantages: of each sample.
        counted: the tokens of each sample; prompts and what is behind the end are none.
    """
    return -(advantages * _sums(log_probs, counted)).mean(-1)


def clipped(
    log_probs: Float[Tensor, "*run sample token"],
    old: Float[Tensor, "*run sample token"],
    advantages: Float[Tensor, "*run sample"],
    counted: Bool[Tensor, "*run sample token"],
    *,
    by: Literal["token", "sequence"] = "token",
    low: float = 0.2,
    high: float = 0.2,
    average: Average = "sample",
) -> Float[Tensor, "*run"]:
    """Minus the mean of the lesser of ratio · advantage and clipped ratio · advantage.

    Where `log_probs` are `old` (one update a batch) every ratio is 1, no clip acts, and the gradient is the plain ratio's.

    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7 (PPO); Shao et al. 2024, arXiv:2402.03300, eq. 3 (GRPO); Zheng et al.
    2025, arXiv:2507.18071, eq. 5 and 7 (GSPO).

    Args:
        log_probs: of each token, by the policy that is trained, in nats.
        old: by the law that the samples were drawn from.
        advantages: of each sample.
        counted: the tokens of each sample.
        by: a ratio for each token, or one for each sample: the geometric mean over its tokens.
        low, high: a ratio counts from 1 - low to 1 + high.
        average: of tokens: over those of each sample, then over samples (GRPO); or over all tokens alike (DAPO).

    Raises:
        SettingsError: a side of the clip is negative.
    """
    if low < 0 or high < 0:
        raise SettingsError(f"a ratio is clipped to 1 - low and 1 + high, both not negative; got low {low}, high {high}")
    logs = torch.where(counted, log_probs - old, 0.0)
    if by == "sequence":
        ratio = (logs.sum(-1) / _lengths(counted)).exp()
        return -_lesser(ratio, advantages, low, high).mean(-1)
    return -_average(_lesser(logs.exp(), advantages[..., None], low, high), counted, average)


def kl_estimate(
    log_probs: Float[Tensor, "*lead"], reference: Float[Tensor, "*lead"], *, kind: Estimator = "k3"
) -> Float[Tensor, "*lead"]:
    """An estimate of KL(policy || reference) from each sample of the policy, in nats.

    k1 is log p - log ref: unbiased, of either sign, and as a loss without any expected gradient. k2 is half its square: biased,
    and its expected gradient is that of KL(policy || reference). k3 is ref / p - 1 - log(ref / p): unbiased and never
    negative, and its expected gradient is that of KL(reference || policy).

    Source: Schulman 2020, Approximating KL divergence; for the gradients, the identities that the tests hold.
    """
    log_ratio = log_probs - reference
    if kind == "k1":
        return log_ratio
    if kind == "k2":
        return log_ratio**2 / 2
    return torch.expm1(-log_ratio) + log_ratio


def kl_penalty(
    log_probs: Float[Tensor, "*run sample token"],
    reference: Float[Tensor, "*run sample token"],
    counted: Bool[Tensor, "*run sample token"],
    signal: Bool[Tensor, "*run sample"],
    *,
    kind: Estimator = "k3",
    average: Average = "sample",
) -> Float[Tensor, "*run"]:
    """The mean of the estimated divergence by token, averaged as `clipped` does; it is added to a loss, times a coefficient.

    Args:
        log_probs: of each token, by the policy that is trained, in nats.
        reference: by the policy that it is to stay near.
        counted: the tokens of each sample.
        signal: whether the group of each sample carries any; samples of one that does not count 0.
        kind: see `kl_estimate`.
        average: see `clipped`.
    """
    both = counted & signal[..., None]
    # Where nothing is counted numbers may be infinite, and 0 times their gradient would not be 0.
    estimate = kl_estimate(torch.where(both, log_probs, 0.0), torch.where(both, reference, 0.0), kind=kind)
    return _average(torch.where(both, estimate, 0.0), counted, average)


def _lesser(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    return torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def _sums(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, values, 0.0).sum(-1)


def _lengths(counted: Tensor) -> Tensor:
    return counted.sum(-1).clamp_min(1)


def _average(values: Tensor, counted: Tensor, average: Average) -> Tensor:
    sums = _sums(values, counted)
    return (sums / _lengths(counted)).mean(-1) if average == "sample" else sums.sum(-1) / counted.sum((-1, -2)).clamp_min(1)
