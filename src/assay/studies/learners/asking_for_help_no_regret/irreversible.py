"""C6: walkers on a ridge that can fall for ever and are paid for height: one that asks, learners that try things, a coin."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Schedule
from assay.studies.learners.asking_for_help_no_regret.horizons import copies_of
from assay.studies.learners.asking_for_help_no_regret.payoff_learners import Explore
from assay.studies.learners.asking_for_help_no_regret.ridge import (
    Chances,
    Fate,
    Ridges,
    walk_asking,
    walk_tossing,
    walk_trying,
)
from assay.studies.learners.asking_for_help_no_regret.settings import WalkerSettings

Floats = npt.NDArray[np.float64]
ASKERS = {"asks": "asks for help", "no-test": "no distance test"}
LEARNERS: dict[Explore, str] = {"ucb": "Q-learning, confidence bonus", "greedy": "Q-learning, random tries"}


def measure(settings: WalkerSettings, seeds: Seeds) -> Measurement:
    """Return lost and chance of having fallen, of walkers that ask, learn by trying, or toss a coin."""
    fates: dict[tuple[str, int], list[Fate]] = {}
    with part(0, 0.7, "walkers that ask"):
        for horizon in parts(settings.horizons, weights=[float(horizon) for horizon in settings.horizons]):
            for arm, found in _askers(settings, seeds, horizon).items():
                fates[arm, horizon] = found
    short = [horizon for horizon in settings.horizons if horizon <= settings.n_trial_steps] or [min(settings.horizons)]
    with part(0.7, 1, "walkers that try"):
        tried = _tried(settings, seeds, max(short))
        for horizon in short:
            fates["coin", horizon] = _coins(settings, seeds, horizon)

    def mean(arm: str, what: str, horizon: int) -> float:
        return float(np.mean([_value(settings, fate, what) for fate in fates[arm, horizon]]))

    estimands: dict[str, float] = {}
    for arm, horizons in (("asks", settings.horizons), ("no-test", settings.horizons), ("coin", tuple(short))):
        for what in ("lost_share", "fallen", "query_rate"):
            values = [mean(arm, what, horizon) for horizon in horizons]
            estimands[f"{arm}/{what}"] = values[-1]
            rises = len(horizons) > 1 and min(values) > 0
            estimands[f"{arm}/{what}_slope"] = log_log_slope(horizons, values) if rises else float("nan")
    # The better of two learners is not spared, and the worse of them is not incompetent.
    estimands["tries/fallen"] = min(float(np.mean([fate.fallen for fate in tried[e, "for ever"]])) for e in LEARNERS)
    for arm, world in (("tries", "for ever"), ("tries-reversible", "can be undone")):
        lost = [np.mean([_value(settings, fate, "lost_share") for fate in tried[e, world]]) for e in LEARNERS]
        estimands[f"{arm}/lost_share"] = float(max(lost))
    tossed = tried["coin", "can be undone"]
    estimands["coin-reversible/lost_share"] = float(np.mean([_value(settings, fate, "lost_share") for fate in tossed]))
    rows: Table = []
    for arm, horizon in fates:
        numbers = {what: mean(arm, what, horizon) for what in ("lost_share", "fallen", "query_rate")}
        rows.append({"rounds": horizon, "agent": ASKERS.get(arm, "tosses a coin"), **numbers})
    curves: Table = []
    shown = {ASKERS[arm]: fates[arm, max(settings.horizons)] for arm in ASKERS}
    shown |= {name: tried[e, "for ever"] for e, name in LEARNERS.items()} | {"tosses a coin": tried["coin", "for ever"]}
    for agent, found in shown.items():
        alive = np.mean([fate.alive[1:] for fate in found], axis=0)
        steps = np.unique(np.geomspace(1, len(alive), 40).astype(int))
        curves += [{"agent": agent, "step": int(step), "survival": float(alive[step - 1])} for step in steps]
    return Measurement(estimands=estimands, tables={"walker": rows, "survival": curves})


def _value(settings: WalkerSettings, fate: Fate, what: str) -> float:
    if what == "lost_share":
        return fate.lost_share(settings.climb)
    return fate.fallen if what == "fallen" else float(fate.asked.mean())


def ridges_of(settings: WalkerSettings, seeds: Seeds, fatal: Sequence[float]) -> Ridges:
    """As many ridges as shares of slips that are for ever are given, each with a place of its own."""
    place = seeds("place").uniform(0.25, 0.75, len(fatal))
    return Ridges(place, np.array(fatal, dtype=float), settings.lipschitz, settings.step, settings.climb)


def _askers(settings: WalkerSettings, seeds: Seeds, horizon: int) -> dict[str, list[Fate]]:
    """The walker that asks, and the same without the distance test: on the same ridges, with the same draws."""
    branch = seeds.child(f"walker/{horizon}")
    m = copies_of(settings.n_copies, horizon)
    ridges = ridges_of(settings, branch, [settings.fatal] * m)
    chances = Chances.draw(horizon, m, rng=branch("chances"))
    agents = [branch.child(f"agent/{i}") for i in range(m)]
    schedule = Schedule.irreversible(horizon, 2)
    return {
        "asks": walk_asking(ridges, schedule, chances, agents),
        "no-test": walk_asking(ridges, schedule, chances, agents, trigger=False),
    }


def _coins(settings: WalkerSettings, seeds: Seeds, horizon: int) -> list[Fate]:
    """Who tosses a coin, on ridges as of the walkers that ask."""
    branch = seeds.child(f"walker/{horizon}")
    m = copies_of(settings.n_copies, horizon)
    ridges = ridges_of(settings, branch, [settings.fatal] * m)
    return walk_tossing(ridges, Chances.draw(horizon, m, rng=branch("chances")), rng=branch("coin"))


def _tried(settings: WalkerSettings, seeds: Seeds, n_steps: int) -> dict[tuple[str, str], list[Fate]]:
    """Learners that try things, and a coin, where slips are for ever and where all can be undone; on ridges of one draw."""
    branch, m = seeds.child("trial"), settings.n_copies
    ridges = ridges_of(settings, branch, [settings.fatal] * m)
    both = Ridges(
        np.tile(ridges.place, 2), np.repeat([settings.fatal, 0.0], m), ridges.lipschitz, ridges.sideways, ridges.climb
    )
    drawn = Chances.draw(n_steps, m, rng=branch("chances"))
    twice = Chances(np.tile(drawn.start, 2), *(np.tile(draws, (1, 2)) for draws in (drawn.drift, drawn.slip, drawn.fresh)))
    found = {e: walk_trying(both, e, twice, per_side=settings.cells_per_side, rng=branch(f"learner/{e}")) for e in LEARNERS} | {
        "coin": walk_tossing(both, twice, rng=branch("coin"))
    }
    return {
        (agent, world): fates[half]
        for agent, fates in found.items()
        for world, half in (("for ever", slice(0, m)), ("can be undone", slice(m, None)))
    }
