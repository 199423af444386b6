"""What holds by arithmetic: two ways to the doors, the elementary bound, E-DROPO's closed form, and what no force can show.

Each number is a function of the condition under which the statement holds, so that a test can take the condition away.
"""

import math
from itertools import pairwise

import numpy as np

from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.offline_domain_randomization.belief import optimal_under_belief
from assay.studies.learners.offline_domain_randomization.families import law_of_mass, random_family
from assay.studies.learners.offline_domain_randomization.randomisation import FitSettings, edropo_variance, log_likelihood
from assay.studies.learners.offline_domain_randomization.settings import CollapseSettings, ConsistencySettings, GapSettings
from assay.studies.learners.offline_domain_randomization.simulators import Doors, SpringDamper, draw_truth, record_transitions

DOORS = (2, 4, 8, 16, 32, 64)
TRIES, AIM = 30, 0.3  # of a half-trained policy: it tries the right door in 3 of 10, else any
# Deviations computed when this study was planned, for N = 100, eps = 0.01, g = 1; (tau^2, beta): sigma.
PLANNED = {(0.0, 1.0): 0.01005, (0.02, 1.0): 0.1020, (0.02, 10.0): 0.1188}
BONUSES = (0.1, 1.0, 10.0)


def check_consistency(settings: ConsistencySettings) -> dict[str, float]:
    """C2.flat: what no record without forces can tell."""
    return {"C2.flat": likelihood_change(0.0)}


def check_gap(settings: GapSettings) -> dict[str, float]:
    """C3.ratio, C3.known and C3.bound: the doors, and the elementary bound on random families."""
    return {
        "C3.ratio": log_log_slope(DOORS, [steps(m, "uniform") / steps(m, "known") for m in DOORS]),
        "C3.known": chance_shown(max(DOORS), AIM),
        "C3.bound": bound_excess(settings.horizon),
    }


def check_collapse(settings: CollapseSettings) -> dict[str, float]:
    """C4.collapse, C4.monotone and C4.values: the maximum of E-DROPO's objective for one parameter."""
    return {"C4.collapse": deviation(0.005, 0.0), "C4.monotone": least_rise(), "C4.values": worst_digit()}


def steps(n_doors: int, law: str) -> float:
    """Expected tries until the door is open, of the policy that is best under the law: `uniform` or `known`."""
    belief = law_of_mass(1.0, n_doors) if law == "known" else np.full(n_doors, 1 / n_doors)
    return 1 + Doors(n_doors).expected_gap(belief, 0)


def chance_shown(n_doors: int, aim: float) -> float:
    """The chance that the record of a half-trained policy contains the door that opens."""
    return 1 - (1 - aim - (1 - aim) / n_doors) ** TRIES


def bound_excess(horizon: int, *, divided: bool = True, n_families: int = 25) -> float:
    """Largest gap minus its bound, the average gap over the law's mass on the process, over families, laws and members.

    Without the division by the mass the statement is false.
    """
    worst = -math.inf
    for k in range(n_families):
        rng = Seeds(0)(f"family {k}")
        family = random_family(4, rng=rng)
        for law in (np.full(4, 0.25), rng.dirichlet(np.ones(4)), law_of_mass(0.05, 4), law_of_mass(0.9, 4)):
            solution = optimal_under_belief(family, law, horizon)
            worst = max(worst, float((solution.gaps - solution.bayes_gap / (law if divided else 1.0)).max()))
    return worst


def deviation(residual: float, bonus: float) -> float:
    """The best deviation in units of the noise floor's, for 100 records, gain 1 and floor 0.01."""
    return math.sqrt(edropo_variance(100, 1.0, 0.01, residual, bonus) / 0.01)


def worst_digit(factor: float = 1.0) -> float:
    """The largest distance of the closed form from a planned value, in units of its last digit; the bonus times `factor`."""
    worst = 0.0
    for (tau2, bonus), sigma in PLANNED.items():
        digit = 1e-5 if sigma < 0.1 else 1e-4
        worst = max(worst, abs(math.sqrt(edropo_variance(100, 1.0, 0.01, tau2, factor * bonus)) - sigma) / digit)
    return worst


def least_rise(*, grown: bool = False) -> float:
    """The smallest rise of the log deviation from one bonus to ten times it; with `grown`, the record grows tenfold as well."""
    rises = []
    for tau2 in (0.0, 0.005):
        records = [round(100 * bonus) if grown else 100 for bonus in BONUSES]
        sds = [math.sqrt(edropo_variance(n, 1.0, 0.01, tau2, bonus)) for n, bonus in zip(records, BONUSES, strict=True)]
        rises += [math.log(larger / smaller) for smaller, larger in pairwise(sds)]
    return min(rises)


def likelihood_change(force: float, *, n_springs: int = 20) -> float:
    """How much a record's log likelihood changes at most when mass, stiffness and damping are all doubled, in nats."""
    spring, fit = SpringDamper(with_mass=True), FitSettings(n_draws=2, noise_floor=1e-4)
    worst = 0.0
    for k in range(n_springs):
        rng = Seeds(0)(f"spring {k}")
        truth = draw_truth(spring.parameters, rng)
        state, pushes = rng.uniform(-1, 1, (20, 2)), force * rng.standard_normal((20, 1))
        data = record_transitions(spring, truth, state, pushes, noise=0.01, rng=rng)
        means = np.stack([truth, 2 * truth])
        scores = log_likelihood(spring, data, means, np.zeros_like(means), np.zeros((20, 2, 3)), fit)
        worst = max(worst, abs(float(scores[1] - scores[0])))
    return worst
