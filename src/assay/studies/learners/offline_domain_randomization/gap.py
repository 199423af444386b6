"""C3: how much return does not knowing the simulator cost, with and without a law that knows more?"""

import math

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.offline_domain_randomization.belief import optimal_under_belief
from assay.studies.learners.offline_domain_randomization.families import (
    fit_finite_law,
    law_of_mass,
    random_family,
    record_of,
)
from assay.studies.learners.offline_domain_randomization.settings import GapSettings

LAWS = ("fitted", "growing", "other", "informed", "uniform")
BOUND_MASSES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.95)


def measure(settings: GapSettings, seeds: Seeds) -> Measurement:
    """How many times less than under the uniform law is lost, and how that grows with the number of candidates."""
    losses: dict[str, list[float]] = {law: [] for law in LAWS}
    masses: dict[str, list[float]] = {law: [] for law in LAWS}
    for size in parts(settings.sizes):
        found = [_lost(settings, seeds, size, k) for k in range(settings.n_families)]
        for law in LAWS:
            losses[law].append(float(np.mean([lost[law][0] for lost in found])))
            masses[law].append(float(np.mean([lost[law][1] for lost in found])))
    estimands: dict[str, float] = {}
    for law in LAWS:
        lost = losses[law]
        # A law under which nothing is lost at some size has no ratio there.
        ratios = [even / mine if mine > 0 else math.nan for even, mine in zip(losses["uniform"], lost, strict=True)]
        estimands[f"{law}/log_advantage"] = math.log(ratios[-1])
        estimands[f"{law}/growth"] = log_log_slope(settings.sizes, ratios) if min(lost) > 0 else math.nan
    rows: Table = [
        {"candidates": size, "law": law, "lost": losses[law][i], "mass_on_real": masses[law][i]}
        for law in LAWS
        for i, size in enumerate(settings.sizes)
    ]
    return Measurement(estimands=estimands, tables={"losses": rows, "masses": _bounds(settings, seeds)})


def _lost(settings: GapSettings, seeds: Seeds, size: int, k: int) -> dict[str, tuple[float, float]]:
    """(return lost on the real process, mass on it) by law; process 0 of the family is the real one.

    All are alike before the record, so what the uniform law's policy loses is averaged over which of them is real.
    """
    branch = seeds.child(f"family/{size}/{k}")
    family = random_family(size, rng=branch("family"))
    laws = {
        "fitted": fit_finite_law(record_of(family, 0, settings.records, rng=branch("record"))),
        "growing": fit_finite_law(record_of(family, 0, settings.records_each * size, rng=branch("longer record"))),
        "other": fit_finite_law(record_of(family, 1, settings.records, rng=branch("record"))),
        "informed": law_of_mass(settings.mass, size),
    }
    lost = {}
    for name, law in laws.items():
        lost[name] = (float(optimal_under_belief(family, law, settings.horizon).gaps[0]), float(law[0]))
    even = np.full(size, 1 / size)
    return lost | {"uniform": (optimal_under_belief(family, even, settings.horizon).bayes_gap, 1 / size)}


def _bounds(settings: GapSettings, seeds: Seeds) -> Table:
    """The real process's loss over the average loss, in the family of four where it is largest, by the law's mass on it."""
    worst = dict.fromkeys(BOUND_MASSES, 0.0)
    for k in range(settings.n_bound):
        family = random_family(4, rng=seeds(f"bound/{k}"))
        for mass in BOUND_MASSES:
            solution = optimal_under_belief(family, law_of_mass(mass, 4), settings.horizon)
            if solution.bayes_gap > 1e-12:
                worst[mass] = max(worst[mass], float(solution.gaps[0]) / solution.bayes_gap)
    return [{"mass": mass, "worst": ratio, "bound": 1 / mass} for mass, ratio in worst.items()]
