"""Likelihood evaluations per second of a fit: a population of candidates in one call, beside a plain loop over transitions.

The plain loop does what the released code does: for each candidate and transition, simulate every draw, then take mean,
covariance and density. The simulator is the cart-pole, whose step takes a single state as well. Both give the same numbers,
which is checked here too.
"""

import argparse
import json
import math
import time

import numpy as np

from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.randomisation import FitSettings, log_likelihood, standard_draws
from assay.studies.learners.offline_domain_randomization.simulators import CartPole, Transitions, record_transitions


def plain_log_likelihood(
    simulator: CartPole, data: Transitions, mean: np.ndarray, sd: np.ndarray, draws: np.ndarray, floor: float
) -> float:
    """One candidate, one transition and one draw at a time."""
    minimum = np.array([p.minimum for p in simulator.parameters])
    total = 0.0
    for i in range(len(data)):
        nexts = np.array([simulator.step(np.maximum(mean + sd * z, minimum), data.state[i], data.action[i]) for z in draws[i]])
        covariance = np.cov(nexts.T) + floor * np.eye(nexts.shape[1])
        residual = data.next_state[i] - nexts.mean(axis=0)
        _, log_det = np.linalg.slogdet(covariance)
        total -= 0.5 * (residual @ np.linalg.solve(covariance, residual) + log_det + len(residual) * math.log(2 * math.pi))
    return total


def main() -> None:
    """Print one line per size of the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    simulator, rng = CartPole(), Seeds(0)("bench")
    settings = FitSettings(n_draws=100, noise_floor=1e-3)
    rows = []
    for n in (10, 200):
        state, action = rng.uniform(-0.3, 0.3, (n, 4)), rng.normal(size=(n, 1))
        data = record_transitions(simulator, np.array([9.8, 1.0, 0.1, 0.5]), state, action, noise=0.01, rng=rng)
        draws = standard_draws((n, 100, 4), rng=rng, truncation=2.0)
        means = np.array([9.8, 1.0, 0.1, 0.5]) * rng.uniform(0.8, 1.2, (12, 4))
        sds = 0.1 * means
        repeats = 200 // n + 1
        start = time.process_time()
        for _ in range(repeats):
            batched_values = log_likelihood(simulator, data, means, sds, draws, settings)
        batched = repeats * len(means) / (time.process_time() - start)
        start = time.process_time()
        plain_value = plain_log_likelihood(simulator, data, means[0], sds[0], draws, settings.noise_floor)
        plain = 1 / (time.process_time() - start)
        assert np.isclose(plain_value, batched_values[0], rtol=1e-6), (plain_value, batched_values[0])
        rows.append(
            {"transitions": n, "evaluations_per_s": batched, "plain_evaluations_per_s": plain, "ratio": batched / plain}
        )
        if not arguments.json:
            speeds = f"{batched:.1f}/s beside {plain:.2f}/s plain: {batched / plain:.0f}x"
            print(f"DROPO likelihood, {n} transitions x 100 draws: {speeds}")
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
