"""C7: low local risk implies low regret, summed exactly on small decision processes."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.solvers.mdp import expected_sum, policy_iteration
from assay.studies.learners.asking_for_help_no_regret.settings import LocalSettings
from assay.worlds.mdps import FiniteMDP, random_trap_mdp

Floats = npt.NDArray[np.float64]


def measure(settings: LocalSettings, seeds: Seeds) -> Measurement:
    """Return lost per step against summed local risk, both exact, over random processes and agents."""
    rows: Table = []
    for k in range(settings.n_processes):
        rng = seeds(f"process {k}")
        mdp = random_trap_mdp(settings.n_states, settings.n_actions, rng=rng, traps=1 + k % 2)
        best = policy_iteration(mdp, 0.95).policy if k % 3 else rng.integers(settings.n_actions, size=settings.n_states)
        mentor = np.eye(settings.n_actions)[best]
        rows += _risk_and_regret(k, mdp, mentor, settings.horizon, rng)
    return Measurement(
        estimands={
            "drawn/share_of_bound": max(_share(row) for row in rows),
            "tight/share_of_bound": tight_share(settings.horizon),
        },
        tables={"local": _tightest(rows), "agents": rows[: 15 * 12]},
    )


def _share(row: Mapping[str, float | int | str | bool]) -> float:
    """Return lost per step over summed local risk; 0 where there is no risk."""
    risk = float(row["risk"])
    return float(row["lost_per_step"]) / risk if risk > 0 else 0.0


def worst_excess(n_processes: int = 40, horizon: int = 50, *, whole: bool = True) -> float:
    """Return lost per step minus summed local risk, in the drawn process and agent where it is largest.

    With `whole` False the risk looks at rewards alone, not at where an action leads: then nothing is bounded.
    """
    worst = -math.inf
    for k in range(n_processes):
        rng = Seeds(0)(f"process {k}")
        mdp = random_trap_mdp(6, 3, rng=rng, traps=1 + k % 2)
        mentor = np.eye(3)[policy_iteration(mdp, 0.95).policy]
        rows = _risk_and_regret(k, mdp, mentor, horizon, rng)
        worst = max(worst, *(float(row["lost_per_step"]) - float(row["risk" if whole else "reward_risk"]) for row in rows))
    return worst


def tight_share(horizon: int) -> float:
    """Return lost per step over summed local risk in the process in which the bound is all but reached.

    Two ways to go at the start, alike in reward: the mentor's pays 1 a step from then on, the agent's pays nothing for ever.
    The agent's risk is the total variation of its one step, 1, and it loses all but the first step's reward of 1.
    """
    start, paid, stuck = 0, 1, 2
    transition = np.zeros((3, 2, 3))
    transition[start, 0, paid] = transition[start, 1, stuck] = 1
    transition[paid, :, paid] = transition[stuck, :, stuck] = 1
    reward = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    mdp = FiniteMDP(transition, reward, np.array([1.0, 0.0, 0.0]))
    mentor, agent = (np.eye(2)[[action, 0, 0]] for action in (0, 1))
    shift = np.abs(transition - transition[:, :1]).sum(axis=2) / 2
    risk = expected_sum(mdp, agent, shift, horizon)
    lost = expected_sum(mdp, mentor, reward, horizon) - expected_sum(mdp, agent, reward, horizon)
    return float(lost / horizon / risk)


def _tightest(rows: Table) -> Table:
    """For every agent and share of straying, the process in which the return lost comes nearest to its bound."""
    nearest: dict[tuple[float | int | str | bool, float | int | str | bool], dict[str, float | int | str | bool]] = {}
    for row in rows:
        key = (row["agent"], row["share"])
        risk, lost = float(row["risk"]), float(row["lost_per_step"])
        if lost > 0 and (
            key not in nearest or lost / risk > float(nearest[key]["lost_per_step"]) / float(nearest[key]["risk"])
        ):
            nearest[key] = {"agent": row["agent"], "share": row["share"], "risk": risk, "lost_per_step": lost}
    return list(nearest.values())


def _risk_and_regret(place: int, mdp: FiniteMDP, mentor: Floats, horizon: int, rng: np.random.Generator) -> Table:
    chosen = mentor.argmax(axis=1)
    states = np.arange(mdp.n_states)
    shift = np.abs(mdp.transition - mdp.transition[states, chosen][:, None]).sum(axis=2) / 2
    reward_gap = np.abs(mdp.reward - mdp.reward[states, chosen][:, None])
    one_slip = mentor.copy()
    slip = rng.integers(mdp.n_states)
    one_slip[slip] = np.eye(mdp.n_actions)[rng.integers(mdp.n_actions)]
    others = {
        "plays at random": np.full_like(mentor, 1 / mdp.n_actions),
        "takes the largest reward": np.eye(mdp.n_actions)[mdp.reward.argmax(axis=1)],
        "slips in one state": one_slip,
    }
    target = expected_sum(mdp, mentor, mdp.reward, horizon)
    rows: Table = []
    for name, other in others.items():
        for share in (0.001, 0.01, 0.1, 0.5, 1.0):
            agent = (1 - share) * mentor + share * other
            rows.append(
                {
                    "agent": name,
                    "share": share,
                    "case": f"{place}/{name}/{share:g}",
                    "risk": expected_sum(mdp, agent, shift + reward_gap, horizon),
                    "reward_risk": expected_sum(mdp, agent, reward_gap, horizon),
                    "lost_per_step": (target - expected_sum(mdp, agent, mdp.reward, horizon)) / horizon,
                }
            )
    return rows
