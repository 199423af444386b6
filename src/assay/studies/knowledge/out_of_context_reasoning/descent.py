"""Long descent on the exact population with attention fixed: the theory's norms and margins at its own scale."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import completions, descend_arm, draw_fixed
from assay.studies.knowledge.out_of_context_reasoning.instruments import shape_distance, value_output
from assay.studies.knowledge.out_of_context_reasoning.max_margin import (
    MarginProblem,
    Norm,
    least_schatten,
    norm_of,
    symmetric,
)
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import SymbolicSettings
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

Numbers = Float[ndarray, " runs"]

NORMS: tuple[Norm, ...] = ("nuclear", "frobenius")
SMALL, ORDINARY = 1e-3, 0.3  # standard deviations of initial weights
STEP_SIZES = {2: 0.02, 1: 0.1}  # by depth
BIAS_SIZES = (8, 2, 2)  # groups, bridges and held-out subjects of each, for the norms
N_GROUPS = 4  # for the margins
SPLITS = ((1, 7), (1, 3), (2, 3), (1, 1), (3, 1))  # bridges and held-out subjects of each group
RARE = SPLITS[:3]  # where the least nuclear norm and the least rank have different margins


def bare_world(n: int, m_train: int, m_test: int) -> RecallWorld:
    """A world without noise."""
    return RecallWorld.intact(n=n, m_train=m_train, m_test=m_test, n_noise=0, length=3)


# ------------------------------------------------------------------------------------------------------------------- norms


def implicit_bias(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Norms at unit margin after long descent from small weights: C6, in eight groups with two bridges and two held out."""
    for arm, depth in (("product", 2), ("matrix", 1)):
        stack, diverged = descend_arm(
            [bare_world(*BIAS_SIZES)] * len(seeds),
            seeds,
            depth=depth,
            std=SMALL,
            n_steps=settings.n_steps_descent,
            step_size=STEP_SIZES[depth],
        )
        ledger.failures(diverged)
        found = norms_of(stack)
        for name, values in found.items():
            ledger.estimand(f"{arm}/{name}", values)
        nuclear, frobenius = (100 * found[f"{norm}_shortfall"] for norm in NORMS)
        ledger.rows("norms", {"model": "factorised" if depth == 2 else "combined", "nuclear": nuclear, "frobenius": frobenius})


def norms_of(stack: RecallStack) -> dict[str, Numbers]:
    """By how much the margin at unit norm falls short of the largest possible, and which solution is nearer in shape.

    A matrix that does not separate what is taught has a negative margin, and falls short by more than 1.
    """
    problem = MarginProblem.of(bare_world(*BIAS_SIZES))
    matrices = value_output(stack)[:, :, : problem.n_inputs]
    margins = np.array([problem.least_margin(W) for W in matrices])
    found = {}
    distance = {}
    for norm in NORMS:
        best = symmetric(*BIAS_SIZES, norm)
        found[f"{norm}_shortfall"] = 1 - margins / np.array([norm_of(W, norm) for W in matrices]) * best.value
        distance[norm] = np.array([shape_distance(W, best.matrix()) for W in matrices])
    found["nearer_to_nuclear"] = distance["frobenius"] - distance["nuclear"]
    return found


# ------------------------------------------------------------------------------------------------------------------ margins

MARGIN_ARMS = {"product": (2, SMALL), "matrix": (1, SMALL), "ordinary-start": (2, ORDINARY)}  # depth and start
LABELS = {"product": "factorised, small start", "matrix": "combined", "ordinary-start": "factorised, ordinary start"}


def margin_ratios(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Held-out margin over training margin after long descent, for five shares of bridges in four groups: C8."""
    ratio: dict[str, dict[tuple[int, int], Numbers]] = {arm: {} for arm in MARGIN_ARMS}
    for split in SPLITS:
        worlds = [bare_world(N_GROUPS, *split)] * len(seeds)
        share = split[0] / split[1]
        for arm, (depth, std) in MARGIN_ARMS.items():
            if arm == "ordinary-start" and split not in RARE:
                continue  # the two optima agree there
            stack, diverged = descend_arm(
                worlds, seeds, depth=depth, std=std, n_steps=settings.n_steps_descent, step_size=STEP_SIZES[depth]
            )
            ledger.failures(diverged)
            ratio[arm][split] = completions(stack, worlds)
            theory = 0.0 if arm == "matrix" else nuclear_margin(split)
            enter_ratio(ledger, share, LABELS[arm], ratio[arm][split], theory)
        enter_ratio(ledger, share, "solution of least rank (theory)", low_rank_margin(split), nuclear_margin(split))
    for arm in ("product", "matrix"):
        enter_margins(ledger, arm, ratio[arm])
        enter_distances(ledger, arm, ratio[arm])
    for arm, name in (("product", "small-start"), ("ordinary-start", "ordinary-start")):
        ledger.estimand(f"{name}/low_rank_share", low_rank_share(ratio[arm]))


def nuclear_margin(split: tuple[int, int]) -> float:
    """The held-out margin of the solution of least nuclear norm, min(sqrt(m_train / m_test), 1)."""
    return symmetric(N_GROUPS, *split, "nuclear").completion


def low_rank_margin(split: tuple[int, int]) -> float:
    """The held-out margin of the solution of least rank (least Schatten-2/3 quasi-norm)."""
    return least_schatten(N_GROUPS, *split, 2 / 3).completion


def enter_margins(ledger: Rows, arm: str, ratio: Mapping[tuple[int, int], Numbers]) -> None:
    """The held-out margins where bridges are rare."""
    for m_train, m_test in RARE:
        ledger.estimand(f"{arm}-{m_train}-{m_test}/held_out_margin", ratio[m_train, m_test])


def enter_distances(ledger: Rows, arm: str, ratio: Mapping[tuple[int, int], Numbers]) -> None:
    """How far the held-out margins are above the theory's, and away from it."""
    above = np.array([ratio[split] - nuclear_margin(split) for split in SPLITS])
    ledger.estimand(f"{arm}/margin_above_bound", above.min(axis=0))
    ledger.estimand(f"{arm}/margin_error", np.abs(above).max(axis=0))


def low_rank_share(ratio: Mapping[tuple[int, int], Numbers]) -> Numbers:
    """Where the margin lies between those of least nuclear norm (0) and of least rank (1), averaged over rare bridges."""
    shares = [(ratio[split] - nuclear_margin(split)) / (low_rank_margin(split) - nuclear_margin(split)) for split in RARE]
    mean: Numbers = np.mean(shares, axis=0)
    return mean


def enter_ratio(ledger: Rows, share: float, model: str, ratio: float | Numbers, theory: float) -> None:
    """One point of the margin-ratio figure."""
    ledger.rows("margin_ratio", {"share": share, "model": model, "ratio": ratio, "theory": theory})


def enter_nulls(seeds: Seeds, ledger: Rows) -> None:
    """The numbers of products as they are drawn, before any descent."""
    for name, values in norms_of(draw_fixed(bare_world(*BIAS_SIZES), [seeds], depth=2, std=SMALL)).items():
        ledger.estimand(f"untrained/{name}", values)
    worlds = {split: bare_world(N_GROUPS, *split) for split in SPLITS}
    ratio = {split: completions(draw_fixed(world, [seeds], depth=2, std=SMALL), [world]) for split, world in worlds.items()}
    enter_margins(ledger, "untrained-product", ratio)
    enter_distances(ledger, "untrained", ratio)
    ledger.estimand("untrained/low_rank_share", low_rank_share(ratio))
