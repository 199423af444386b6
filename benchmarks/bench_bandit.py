"""A table's updates beside the loops that they stand for.

all pairs       a step of DPO on all pairs of 100 contexts of 10 samples, 64 runs at once, counting the pairs included; beside a
                loop over pairs with a graph for each, the shape of the code of Tajwar et al. 2024, on the same table. Budget:
                1,000x
a group         the expected update of a group of 16, three actions, its preparation included; beside a loop over seeds that
                draws groups until the rare action's update is known to 5 %. Budget: 50x

Both sides of a comparison must give the same numbers, the second within its error. One thread, processor time.

    python benchmarks/bench_bandit.py [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from assay.core.seeds import Seeds
from assay.solvers.policy_flows import counted_pairs, dpo, group_rewards, in_logits
from assay.training.reinforcement import normalised

N_RUNS, N_ACTIONS, N_CONTEXTS, N_SAMPLES, BETA = 64, 100, 100, 10, 0.1
START, REWARD, SIZE = np.array([0.5, 0.01, 0.49]), np.array([0.8, 1.0, 0.0]), 16
ERROR = 0.05


def seconds(work: Callable[[], object], times: int) -> float:
    """The least processor time of `times` calls."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def pair_by_pair(logits: torch.Tensor, reference: torch.Tensor, actions: np.ndarray, reward: torch.Tensor) -> torch.Tensor:
    """The gradient of the mean loss over all pairs of every context, one pair after the other."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for context in actions.tolist():
        ordered = sorted(context, key=lambda action: reward[action].item())
        for i in range(len(ordered) - 1):
            for j in range(i + 1, len(ordered)):
                first, second = ordered[i], ordered[j]
                winner, loser = (first, second) if reward[first].item() > reward[second].item() else (second, first)
                with torch.no_grad():
                    of_reference = reference[winner] - reference[loser]
                of_policy = logits.log_softmax(-1)[winner] - logits.log_softmax(-1)[loser]
                total = total - F.logsigmoid(BETA * (of_policy - of_reference))
                count += 1
    (gradient,) = torch.autograd.grad(total / count, logits)
    return gradient


def all_pairs(times: int) -> dict[str, object]:
    """64 runs at once beside one run by its loop, 64 times."""
    rng = Seeds(0)("pairs")
    reference = rng.dirichlet(np.ones(N_ACTIONS), size=N_RUNS)
    policy = rng.dirichlet(np.ones(N_ACTIONS), size=N_RUNS)
    reward = rng.normal(size=(N_RUNS, N_ACTIONS))
    actions = rng.integers(N_ACTIONS, size=(N_RUNS, N_CONTEXTS, N_SAMPLES))

    def together() -> np.ndarray:
        return in_logits(dpo(counted_pairs(actions, reward), reference, beta=BETA))(policy)

    logits = torch.from_numpy(np.log(policy[0])).requires_grad_()
    one = (logits, torch.from_numpy(np.log(reference[0])), actions[0], torch.from_numpy(reward[0]))
    np.testing.assert_allclose(-pair_by_pair(*one).numpy(), together()[0], atol=1e-12)
    ours, loop = seconds(together, times), seconds(lambda: pair_by_pair(*one), 2) * N_RUNS
    return {"what": "all pairs, 64 runs", "ours_ms": 1e3 * ours, "loop_ms": 1e3 * loop, "ratio": loop / ours, "budget": 1_000}


def groups(times: int) -> dict[str, object]:
    """The expected update beside the mean over seeds, whose error is watched as it goes."""

    def exact() -> np.ndarray:
        return group_rewards(REWARD, size=SIZE, advantage=normalised)(START)

    expected, found = exact(), list[np.ndarray]()
    start, seed, error = time.process_time(), 0, np.inf
    while error > ERROR:
        for _ in range(1_000):
            rng = np.random.default_rng(seed)
            actions = rng.choice(3, size=SIZE, p=START)
            rewards = REWARD[actions]
            spread = rewards.std()
            advantages = (rewards - rewards.mean()) / spread if spread > 1e-3 else np.zeros(SIZE)
            found.append(np.bincount(actions, advantages, 3) / SIZE)
            seed += 1
        drawn = np.array(found)
        error = drawn[:, 1].std() / np.sqrt(seed) / expected[1]
    loop = time.process_time() - start
    assert abs(drawn[:, 1].mean() / expected[1] - 1) < 4 * error
    ours = seconds(exact, times)
    return {
        "what": f"a group of 16, {seed:,} seeds for an error of 5 %",
        "ours_ms": 1e3 * ours,
        "loop_ms": 1e3 * loop,
        "ratio": loop / ours,
        "budget": 50,
    }


def main() -> int:
    """Print a line a comparison; how many budgets were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--times", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [all_pairs(asked.times), groups(asked.times)]
    if asked.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(
                f"{row['what']}: {row['ratio']:,.0f}x (ours {row['ours_ms']:.3g} ms, loop {row['loop_ms']:,.0f} ms; budget "
                f"{row['budget']:,}x)"
            )
    return sum(float(str(row["ratio"])) < float(str(row["budget"])) for row in rows)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
