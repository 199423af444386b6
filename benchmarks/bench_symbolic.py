"""Runs per second of the symbolic experiment's training, beside a plain loop that trains one model at a time.

    python benchmarks/bench_symbolic.py [--steps 2000] [--runs 64] [--json]

The plain loop is written as the paper's code would be: dense one-hot sequences of 16 tokens, attention over them, an
`nn.Module`, autograd and AdamW. It gets the better of one process with two threads and two processes with one thread. Ours
trains the same models on the same batches in stacks of eight runs, two processes with one thread each. First the rows are
compared, then the times; workers are started and warmed before any clock runs. Budget: ten times the runs per second.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

BUDGET = 10.0
STACK = 8
PER_KIND = 84


def plain_run(seed: int, n_steps: int, n_threads: int) -> tuple[float, list[float], float]:
    """One factorised model by the plain loop: (seconds, training losses, final held-out loss)."""
    import torch
    from torch import nn

    from assay.core.seeds import Seeds
    from assay.studies.knowledge.out_of_context_reasoning.training import BLOCK
    from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

    class OneLayer(nn.Module):
        """f(X) = W_O W_Vᵀ Xᵀ X W_KQ x_T with one-hot tokens."""

        def __init__(self, d: int, scale: float) -> None:
            super().__init__()
            self.embedding = nn.Embedding.from_pretrained(torch.eye(d), freeze=True)
            self.W_K = nn.Parameter(torch.eye(d), requires_grad=False)
            self.W_Q = nn.Parameter(scale * torch.ones(d, d))
            self.W_V = nn.Parameter(scale * torch.eye(d))
            self.W_O = nn.Parameter(scale * torch.ones(d, d))

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            X = self.embedding(tokens)
            query = X[:, -1] @ (self.W_K @ self.W_Q.T).T
            attention = X @ query.unsqueeze(2)
            mixed = (X.mT @ attention).squeeze(2)
            return (mixed @ self.W_V) @ self.W_O.T

    torch.set_num_threads(n_threads)
    world, rng, order = RecallWorld.intact(), Seeds(seed)("batches"), Seeds(seed)("order")
    model = OneLayer(world.vocab_size, 1e-4)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3, weight_decay=0.03)
    losses: list[float] = []
    start = time.perf_counter()
    for step in range(n_steps):
        if step % BLOCK == 0:
            draws = world.draw(dict.fromkeys(world.taught, PER_KIND), BLOCK, rng)
            sequences, labels = world.sequences(draws, order), world.labels(draws) + 2
        tokens, label = torch.from_numpy(sequences[step % BLOCK]), torch.from_numpy(labels[step % BLOCK])
        probability = torch.softmax(model(tokens), dim=1)
        loss = -torch.log(probability.gather(1, label.unsqueeze(1)) + 1e-8).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - start
    held_out = world.every_pair(["test_implication"], 2, Seeds(seed)("probe"))
    with torch.no_grad():
        log_p = torch.log_softmax(model(torch.from_numpy(world.sequences(held_out, order))), dim=1)
    right = torch.from_numpy(world.labels(held_out) + 2)
    return seconds, losses, float(-log_p.gather(1, right.unsqueeze(1)).mean())


def stacked_runs(seeds: Sequence[int], n_steps: int) -> tuple[list[list[float]], list[float]]:
    """A stack of runs by ours: (training losses, final held-out losses)."""
    import torch

    from assay.core.seeds import Seeds
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
    from assay.studies.knowledge.out_of_context_reasoning.training import train
    from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

    torch.set_num_threads(1)
    world, nodes = RecallWorld.intact(), [Seeds(seed) for seed in seeds]
    stack = RecallStack.constant(world, Architecture(), n_runs=len(seeds))
    trace = train(stack, [world] * len(seeds), seeds=nodes, n_steps=n_steps, per_kind=PER_KIND)
    final = []
    for run, node in enumerate(nodes):
        held_out = world.every_pair(["test_implication"], 2, node("probe"))
        counts = torch.from_numpy(world.counts(held_out)).float().expand(len(seeds), -1, -1)
        logits = stack.logits(counts)[run]
        log_p = logits - torch.logsumexp(logits + torch.log(stack.multiplicity), dim=1, keepdim=True)
        right = torch.from_numpy(world.labels(held_out)).unsqueeze(1) + stack.answer_rows.start
        final.append(float(-log_p.gather(1, right).mean()))
    return trace.loss_nats.tolist(), final


def in_two_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], warm: tuple[Any, ...]
) -> tuple[float, list[Any]]:
    """Wall seconds of all calls over two warmed worker processes, and what they returned."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(function, *zip(*[warm] * 4, strict=True)))
        start = time.perf_counter()
        found = list(pool.map(function, *zip(*calls, strict=True)))
        return time.perf_counter() - start, found


def main() -> None:
    """Print the comparison of rows and the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    steps = chosen.steps

    share = max(steps // 4, 1)  # the two-thread figure from a quarter of the steps: time per step is constant
    _, ((two_threads, _, _), *_) = in_two_processes(plain_run, [(0, share, 2)], (0, 5, 2))
    wall, plain = in_two_processes(plain_run, [(0, steps, 1), (1, steps, 1)], (0, 5, 1))
    stacks = [tuple(range(first, min(first + STACK, chosen.runs))) for first in range(0, chosen.runs, STACK)]
    ours_wall, ours = in_two_processes(stacked_runs, [(seeds, steps) for seeds in stacks], ((0, 1), 5))

    rates = {
        "plain, one process, two threads": share / steps / two_threads,
        "plain, two processes": 2 / wall,
        "stacked, two processes": chosen.runs / ours_wall,
    }
    best = max(rates["plain, one process, two threads"], rates["plain, two processes"])
    ratio = rates["stacked, two processes"] / best
    losses, final = ours[0]
    differences = {
        "training loss, first 200 steps, largest relative": max(
            float(np.max(np.abs(np.array(losses[run][:200]) / np.array(plain[run][1][:200]) - 1))) for run in (0, 1)
        ),
        "training loss, all steps, largest absolute (nats)": max(
            float(np.max(np.abs(np.array(losses[run]) - np.array(plain[run][1])))) for run in (0, 1)
        ),
        "final held-out loss, largest relative": max(abs(final[run] / plain[run][2] - 1) for run in (0, 1)),
    }
    core_ms = 1e3 * 2 * ours_wall / chosen.runs / steps
    if chosen.json:
        print(
            json.dumps(
                {"runs_per_s": rates, "ratio": ratio, "budget": BUDGET, "core_ms_per_step": core_ms, "rows": differences}
            )
        )
        return
    for name, value in differences.items():
        print(f"{name:52} {value:.2e}")
    for name, rate in rates.items():
        print(f"{name:34} {rate:8.3f} runs/s   {1 / rate:8.2f} s a run of {steps:,} steps")
    print(f"{core_ms:.3f} core-milliseconds a step and run")
    print(f"ratio {ratio:.1f} x at {chosen.runs} runs   budget {BUDGET:g} x: {'kept' if ratio >= BUDGET else 'MISSED'}")


if __name__ == "__main__":
    main()
