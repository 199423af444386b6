"""A second target on another branch of the same graph: what thoughts made for one target know about it.

A thought that follows one way to its target has never met the other; one that holds every node of the frontier has. So thoughts
are made while one target is asked about, and fed back while the other is; and a node on the way to the other is taken out
of them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import Edit, GraphReader
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency, any_of, distances, sources
from assay.studies.mechanisms.reasoning_by_superposition.system import right, told
from assay.studies.mechanisms.reasoning_by_superposition.thoughts import without
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions, asked_of

__all__ = ["Pairs", "answer_with", "other_drops", "other_preferred", "pairs_of", "thoughts_fed", "words_preferred"]


@dataclass(frozen=True)
class Pairs:
    """The same graphs asked twice from the same root.

    Attributes:
        first: the question that thoughts are made for.
        second: about a target on another branch, with other candidates.
    """

    first: Questions
    second: Questions

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: np.ndarray) -> "Pairs":
        """Some of the pairs."""
        return Pairs(self.first.take(rows), self.second.take(rows))


def pairs_of(questions: Questions, rng: np.random.Generator) -> Pairs:
    """Those questions about layered graphs that have a second question, with it.

    Both candidates are new, as far from their roots as the first ones, and reached from one root alone, the target from the one
    that is asked. The last node before the target is none of those on a shortest way to the first target.
    """
    joined = adjacency(questions.edges, questions.n_nodes)
    rows, nodes = np.arange(len(questions)), np.arange(questions.n_nodes)
    root = questions.roots[:, None] == nodes
    other_root = sources(questions.present, joined) & ~root
    from_root, from_other = (distances(joined, start[:, None])[:, 0] for start in (root, other_root))
    n_steps = questions.n_steps[:, None]
    before = (from_root == n_steps - 1) & joined[rows, :, questions.targets]
    met = (joined & before[:, :, None]).any(1)
    targets = (from_root == n_steps) & (from_other < 0) & ~met
    wrong = (from_other == n_steps) & (from_root < 0)
    wrong[rows, questions.candidates.sum(1) - questions.targets] = False
    fine = targets.any(1) & wrong.any(1)
    kept = questions.take(fine)
    second = asked_of(
        kept.edges, joined[fine], kept.roots, any_of(targets[fine], rng), any_of(wrong[fine], rng), kept.present,
        int(n_steps.max()), rng,
    )  # fmt: skip
    return Pairs(kept, second)


def thoughts_fed(model: GraphReader, questions: Questions, n_steps: int, edit: Edit | None = None) -> Tensor:
    """What is fed back in place of each thought, [batch, thought, d_model]: the thoughts, after the edit."""
    fed: list[Tensor] = []

    def keep(c: int, thought: Tensor) -> Tensor:
        fed.append(thought if edit is None else edit(c, thought))
        return fed[-1]

    model.think(torch.from_numpy(told(questions)), n_steps, edit=keep)
    return torch.stack(fed, 1)


def answer_with(model: GraphReader, questions: Questions, fed: Tensor) -> Tensor:
    """Logits of the answer where these thoughts are fed back, whatever the network would think."""
    inputs = torch.from_numpy(told(questions))
    return model.think(inputs, fed.shape[1], edit=lambda c, thought: fed[:, c - 1]).logits


def other_preferred(model: GraphReader, pairs: Pairs, n_steps: int, edit: Edit | None = None) -> float:
    """How often the second question is answered right with the thoughts made for the first."""
    if not len(pairs):
        return float("nan")
    fed = thoughts_fed(model, pairs.first, n_steps, edit)
    return right(answer_with(model, pairs.second, fed), pairs.second)["preferred"]


def words_preferred(model: GraphReader, pairs: Pairs, n_steps: int) -> float:
    """The same of a network that speaks: how often the second question is answered right with the words said for the first."""
    if not len(pairs):
        return float("nan")
    path = model.speak(torch.from_numpy(told(pairs.first)), n_steps).path
    logits = model.spoken(torch.from_numpy(told(pairs.second)), path)[:, -1]
    return right(logits, pairs.second)["preferred"]


def other_drops(model: GraphReader, pairs: Pairs, n_steps: int, rng: np.random.Generator) -> dict[str, float]:
    """By how much the second question is answered right less often when a node is taken out of one thought.

    `cut`: the only node on a shortest way to the second target, on none to the first; `cut-elsewhere`: a frontier node on the
    way to neither. Both on the same pairs, those that have both; the mean over all of them, whichever thought is cut.
    """
    nodes = model.embeddings[: pairs.first.n_nodes]
    lost, counted = {"cut": 0.0, "cut-elsewhere": 0.0}, 0
    for c in range(1, n_steps):
        way, first = pairs.second.optimal(c), pairs.first.optimal(c)
        neither = pairs.first.frontier(c) & ~first & ~way
        fine = (way.sum(1) == 1) & ~(way & first).any(1) & neither.any(1)
        if not fine.any():
            continue
        some = pairs.take(fine)
        counted += len(some)
        intact = other_preferred(model, some, n_steps)
        for name, chosen in (("cut", way[fine].argmax(1)), ("cut-elsewhere", any_of(neither[fine], rng))):
            taken = torch.from_numpy(chosen)

            def edit(at: int, thought: Tensor, c: int = c, taken: Tensor = taken) -> Tensor:
                return without(thought, nodes, taken) if at == c else thought

            lost[name] += len(some) * (intact - other_preferred(model, some, n_steps, edit))
    return {name: value / counted if counted else float("nan") for name, value in lost.items()}
