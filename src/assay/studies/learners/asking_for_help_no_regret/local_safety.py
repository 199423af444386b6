"""C7: low local risk implies low regret, summed exactly on small decision processes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.seeds import Seeds
from assay.solvers.mdp import expected_sum, policy_iteration
from assay.worlds.mdps import FiniteMDP, random_trap_mdp

Floats = npt.NDArray[np.float64]

CLAIMS = (
    Claim(
        "C7",
        says="Low local risk implies low regret: no process and no agent lost more return per step than its summed local risk.",
        source="arXiv:2502.14043v1",
        estimand="worst_excess",
        rule=Below(1e-9),
        summary="every",
        margin="exact up to rounding",
        control=Control(
            "risk that looks at rewards alone, not at where an action leads, is no safeguard", "worst_excess_rewards"
        ),
        paper_value="holds for all",
    ),
)


@dataclass(frozen=True)
class LocalSettings:
    """Sizes of the decision processes."""

    n_processes: Annotated[int, Ge(1), doc("random decision processes a run looks at")] = 60
    n_states: Annotated[int, Ge(3), doc("states, the last one or two of them traps")] = 6
    n_actions: Annotated[int, Ge(2), doc("actions")] = 3
    horizon: Annotated[int, Ge(1), doc("steps")] = 50


def measure_local(settings: LocalSettings, seeds: Seeds) -> Measurement:
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
        estimands={"worst_excess": max(excess), "worst_excess_rewards": max(excess_rewards)},
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


EXPERIMENT = Experiment(
    "local-safety",
    question="Does low local risk bound the return that is lost, whatever the process and the agent?",
    claims=CLAIMS,
    presets={
        "quick": Preset(LocalSettings(n_processes=3, horizon=10), 2),
        "laptop": Preset(LocalSettings(), 5),
    },
    measure=measure_local,
    cost="6 s of one core",
    figures=(
        Figure(
            "local",
            title="Who strays little loses little",
            caption="Agents that follow the mentor, except for a share of the time, in random decision processes with traps. "
            "Of all processes the one is drawn in which the loss comes nearest to its bound, the local risk: how far the "
            "agent's actions strayed in where they lead and what they pay, summed over its steps. No loss was ever above it.",
            chart=Lines(
                "local",
                x="share",
                y="lost_per_step",
                by="agent",
                theory="risk",
                x_scale="log",
                y_scale="log",
                x_label="share of the time it strays",
                y_label="return lost per step",
                markers=True,
            ),
            names={"risk": "the bound: its local risk"},
        ),
    ),
)
