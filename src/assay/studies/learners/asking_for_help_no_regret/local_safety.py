"""C7: low local risk implies low regret, summed exactly on small decision processes."""

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
    excess = [float(row["lost_per_step"]) - float(row["risk"]) for row in rows]
    excess_rewards = [float(row["lost_per_step"]) - float(row["reward_risk"]) for row in rows]
    return Measurement(
        estimands={"whole-risk/worst_excess": max(excess), "reward-risk/worst_excess": max(excess_rewards)},
        tables={"local": _tightest(rows), "agents": rows[: 15 * 12]},
    )


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
