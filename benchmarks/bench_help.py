"""Steps per second of the help-asking agent: 20 seeds in one batch, beside a plain loop over rounds and seeds.

The plain loop is the agent of the library taken one round at a time (`HelpAsker`: NumPy for the weights of the cover and for
the distances to everything heard). Both make the same decisions, which is checked here too.
"""

import argparse
import json
import time

import numpy as np

from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret.agents import (
    HelpAsker,
    Run,
    Schedule,
    ThresholdCover,
    ask_for_help,
    cover_precision,
)
from assay.studies.learners.asking_for_help_no_regret.world import Half, uniform_inputs


def runs(n_rounds: int, n_dims: int, n_seeds: int) -> list[Run]:
    """One run a seed on uniform inputs."""
    built = []
    for seed in range(n_seeds):
        seeds = Seeds(seed).child("bench")
        problem = Half.sample(n_dims, rng=seeds("mentor"))
        inputs = uniform_inputs(n_rounds, n_dims, rng=seeds("inputs"))
        cover = ThresholdCover.even(problem.normal, cover_precision(n_rounds, n_dims))
        built.append(Run(inputs, problem.mentor(inputs), cover, Schedule.online(n_rounds, n_dims, cover.size), seeds("agent")))
    return built


def plain(run: Run, n_rounds: int) -> np.ndarray:
    """Which of the first rounds asked, one at a time."""
    agent = HelpAsker(run.cover, run.schedule, rng=run.rng)
    asked = np.zeros(n_rounds, dtype=bool)
    for t in range(n_rounds):
        action = agent.decide(run.inputs[t])
        if action is None:
            asked[t] = True
            agent.hear(run.inputs[t], int(run.labels[t]))
    return asked


def main() -> None:
    """Print one line per dimension."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    ask_for_help(runs(100, 1, 1))  # imports are not part of the speed
    rows = []
    for n_dims in (1, 2, 3):
        built = runs(arguments.rounds, n_dims, arguments.seeds)
        start = time.process_time()
        transcripts = ask_for_help(built)
        batched = arguments.rounds * arguments.seeds / (time.process_time() - start)
        # Two whole runs of the plain loop: its cost grows with what was heard, so a part of a run would flatter it.
        again = runs(arguments.rounds, n_dims, 2)
        start = time.process_time()
        loops = [plain(run, arguments.rounds) for run in again]
        single = 2 * arguments.rounds / (time.process_time() - start)
        assert all(np.array_equal(loop, transcript.asked) for loop, transcript in zip(loops, transcripts, strict=False))
        rows.append(
            {"n_dims": n_dims, "steps_per_s": round(batched), "plain_steps_per_s": round(single), "ratio": batched / single}
        )
        if not arguments.json:
            print(f"help-asking n={n_dims}: {batched:,.0f} steps/s beside {single:,.0f} plain: {batched / single:.0f}x")
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
