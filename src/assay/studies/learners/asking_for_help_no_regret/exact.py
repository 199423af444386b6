"""What holds by construction: no payoff reaches the algorithm, its regret is linear in L, and three sums.

Each number is a function of the condition under which the statement holds, so that a test can take the condition away.
"""

import math

import numpy as np

from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Run, Schedule, ThresholdCover, ask_for_help, cover_precision
from assay.studies.learners.asking_for_help_no_regret.local_safety import tight_share, worst_excess
from assay.studies.learners.asking_for_help_no_regret.settings import ImpossibleSettings, LocalSettings, OnlineSettings
from assay.studies.learners.asking_for_help_no_regret.world import Half, uniform_inputs

ROUNDS = 3_000
LIPSCHITZ = (0.25, 1.0, 4.0)


def check_online(settings: OnlineSettings) -> dict[str, float]:
    """C3.asking, C4 and C5."""
    return {"C3.asking": survival_at(0.02, 100_000), "C4": decisions_changed(), "C5": lipschitz_slope(LIPSCHITZ)}


def check_impossible(settings: ImpossibleSettings) -> dict[str, float]:
    """C1.bound: what the q costliest of sqrt(qT) cells leave, on average over inputs and coins."""
    slopes = [
        log_log_slope(
            [horizon / (round(horizon**a) + 1) for horizon in settings.horizons],
            [left_over(horizon, round(horizon**a)) for horizon in settings.horizons],
        )
        for a in settings.sparse_budgets
    ]
    return {"C1.bound": float(np.mean(slopes))}


def check_local_safety(settings: LocalSettings) -> dict[str, float]:
    """C7 and C7.tight: the bound on drawn processes, and the process in which it is all but reached."""
    return {"C7": worst_excess(), "C7.tight": tight_share(settings.horizon)}


def survival_at(off: float, rounds: int) -> float:
    """The expected survival, in the exponent, of who never asks and whose threshold is `off` from the mentor's, L = 1.

    A uniform input lies between the two with probability `off`, at a mean distance of half of that.
    """
    return math.exp(-rounds * off * off / 2)


def _transcript_and_problem(lipschitz: float) -> tuple[Run, Half, np.ndarray]:
    problem = Half.sample(1, rng=Seeds(0)("mentor"), lipschitz=lipschitz)
    inputs = uniform_inputs(ROUNDS, 1, rng=Seeds(0)("inputs"))
    cover = ThresholdCover.even(problem.normal, cover_precision(ROUNDS, 1))
    run = Run(inputs, problem.mentor(inputs), cover, Schedule.online(ROUNDS, 1, cover.size), Seeds(0)("agent"))
    transcript = ask_for_help([run])[0]
    return run, problem, np.where(transcript.asked, -1, transcript.action)


def decisions_changed(other: float = 0.0) -> float:
    """The share of decisions that change when a wrong action costs `other` a unit of distance instead of 1."""
    return float(np.mean(_transcript_and_problem(1.0)[2] != _transcript_and_problem(other)[2]))


def lipschitz_slope(values: tuple[float, ...]) -> float:
    """The exponent of L in the summed chance of survival lost, by decisions that do not know L."""
    losses = []
    for value in values:
        run, problem, decisions = _transcript_and_problem(value)
        played = np.where(decisions < 0, problem.mentor(run.inputs), decisions)
        losses.append(float(problem.loss(run.inputs, played).sum()))
    return log_log_slope(values, losses)


def left_over(rounds: int, budget: int, *, n_cells: int | None = None) -> float:
    """What is lost in expectation to coin flips in the cells that are not asked about, when each is as costly as the mean.

    A cell of width w holds w T inputs, at a mean distance of w / 4 from its border; half of the guesses are wrong.
    """
    cells = max(1, math.isqrt(budget * rounds)) if n_cells is None else n_cells
    return max(cells - budget, 0) * (rounds / cells) / (4 * cells) / 2
