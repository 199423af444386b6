"""Tests of a training order: permutations of many texts, and many null runs, beside plain loops over SciPy's `spearmanr`.

    python benchmarks/bench_orders.py [--texts 100000] [--permutations 10000] [--nulls 1000] [--json]

Permutations: `order_test` counts at least so many (all shifts of examples on a circle at random, by one Fourier transform).
The plain way permutes the steps and calls `spearmanr` each time; a share of that is timed and scaled up, and on a smaller set
its p-value must agree with ours. Null runs: so many random orders of 240 losses, each tested with 240 permutations, as the
exact check of palimpsestic-membership does; the plain way is a loop over orders and permutations. Budgets: 10 s and 20 times
the loop for the permutations, 20 times the loop for the null runs; in processor time of one thread.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from assay.stats.order_tests import order_test

SECONDS, RATIO = 10.0, 20.0
A_STEP = 8  # texts
NULL_TEXTS = 240
TIMED = 20  # calls of spearmanr on many texts
TIMED_NULLS = 4  # null runs of the plain loop


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--permutations", type=int, default=10_000)
    parser.add_argument("--nulls", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)

    steps = rng.permutation(chosen.texts) // A_STEP
    losses = rng.gamma(4.0, size=chosen.texts) - 1e-6 * steps
    ours_s = np.inf
    for _ in range(3):
        start = time.process_time()
        found = order_test(steps, losses, rng=rng, n_permutations=chosen.permutations)
        ours_s = min(ours_s, time.process_time() - start)
    start = time.process_time()
    for _ in range(TIMED):
        spearmanr(rng.permutation(steps), losses)
    loop_s = (time.process_time() - start) / TIMED * chosen.permutations
    if not np.isclose(found.correlation, spearmanr(steps, losses).statistic, atol=1e-9):
        raise SystemExit("both must find the same correlation; they do not")

    own = rng.gamma(4.0, size=NULL_TEXTS)
    start = time.process_time()
    ps = [null_run(own, rng) for _ in range(chosen.nulls)]
    nulls_s = time.process_time() - start
    start = time.process_time()
    plain = [plain_null_run(own, rng) for _ in range(TIMED_NULLS)]
    plain_s = (time.process_time() - start) / TIMED_NULLS * chosen.nulls
    if not all(0 < p <= 1 for p in (*ps, *plain)):
        raise SystemExit("every null run must give a p-value")
    agree(rng)

    numbers: dict[str, Any] = {
        "texts": chosen.texts,
        "permutations": found.n_permutations,
        "permutations_s": ours_s,
        "loop_s": loop_s,
        "permutations_ratio": loop_s / ours_s,
        "nulls": chosen.nulls,
        "nulls_s": nulls_s,
        "plain_nulls_s": plain_s,
        "nulls_ratio": plain_s / nulls_s,
        "rejected_at_5_percent": float(np.mean(np.array(ps) <= 0.05)),
    }
    if chosen.json:
        print(json.dumps(numbers))
        return
    print(f"{found.n_permutations:,} permutations of {chosen.texts:,} texts: {ours_s:.2f} s   budget {SECONDS:g} s: "
          f"{_kept(ours_s <= SECONDS)}")  # fmt: skip
    print(f"a loop of {chosen.permutations:,} calls of spearmanr {loop_s:.0f} s, ratio {numbers['permutations_ratio']:,.0f} x "
          f"  budget {RATIO:g} x: {_kept(numbers['permutations_ratio'] >= RATIO)}")  # fmt: skip
    print(f"{chosen.nulls:,} null runs of {NULL_TEXTS} texts {nulls_s:.2f} s, plain loop {plain_s:.0f} s, ratio "
          f"{numbers['nulls_ratio']:.0f} x   budget {RATIO:g} x: {_kept(numbers['nulls_ratio'] >= RATIO)}")  # fmt: skip


def null_run(losses: np.ndarray[Any, Any], rng: np.random.Generator) -> float:
    """The p-value of a random order, by our test."""
    return order_test(rng.permutation(len(losses)) // A_STEP, losses, rng=rng, n_permutations=len(losses)).p_value


def plain_null_run(losses: np.ndarray[Any, Any], rng: np.random.Generator, n: int | None = None) -> float:
    """The same by a loop."""
    return plain_p(rng.permutation(len(losses)) // A_STEP, losses, rng, n or len(losses))


def plain_p(steps: np.ndarray[Any, Any], losses: np.ndarray[Any, Any], rng: np.random.Generator, n: int) -> float:
    """The share of permutations, the observed order among them, with as low a correlation."""
    observed = spearmanr(steps, losses).statistic
    as_low = sum(spearmanr(rng.permutation(steps), losses).statistic <= observed + 1e-9 for _ in range(n - 1))
    return float((1 + as_low) / n)


def agree(rng: np.random.Generator) -> None:
    """Nothing; both ways must give p-values that agree within four standard errors of the loop."""
    steps = rng.permutation(60) // A_STEP
    losses = rng.normal(size=60) - 0.05 * steps
    loop = plain_p(steps, losses, rng, 2_000)
    fast = order_test(steps, losses, rng=rng, n_permutations=60_000).p_value
    if abs(loop - fast) > 4 * (loop * (1 - loop) / 2_000) ** 0.5 + 1e-3:
        raise SystemExit(f"both ways must give the same p-value; they give {fast:.4f} and {loop:.4f}")


def _kept(kept: bool) -> str:
    return "kept" if kept else "MISSED"


if __name__ == "__main__":
    main()
