"""The theorem: weights set by hand search every graph exactly, one breadth-first step a thought (C1)."""

from collections.abc import Mapping

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.graphs import random_dags
from assay.studies.mechanisms.reasoning_by_superposition.hand_built import search, superposition_network
from assay.studies.mechanisms.reasoning_by_superposition.settings import ConstructionSettings
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions, asked_everywhere, superposition

__all__ = ["check", "measure"]

TOLERANCE = 1e-4  # single precision, thoughts of length one
SHARPNESS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def _solved(questions: Questions, sharpness: float | None = None) -> dict[str, np.ndarray]:
    """Per question: are all thoughts exact; is the answer right with enough thoughts; with one fewer."""
    n_thoughts = int(questions.distance.max())
    model = superposition_network(questions.n_nodes, questions.edges.shape[1], n_thoughts=n_thoughts, sharpness=sharpness)
    found = search(model, torch.from_numpy(questions.tokens()), n_thoughts)
    off = abs(found.thoughts.numpy() - superposition(questions.distance, n_thoughts)).max((1, 2))
    rows, logits = np.arange(len(questions)), found.logits.numpy()
    wrong = questions.candidates.sum(1) - questions.targets

    def answered(thoughts: np.ndarray) -> np.ndarray:
        last = logits[rows, thoughts]
        lead = last[rows, questions.targets] - last[rows, wrong]
        return np.asarray((last.argmax(1) == questions.targets) & (lead > TOLERANCE))

    enough = questions.n_steps
    return {"exact": off < TOLERANCE, "right": answered(enough), "short": answered(enough - 1)}


def _batches(settings: ConstructionSettings, rng: np.random.Generator, most: int = 256) -> list[Questions]:
    """Questions from all sources of all graphs, in batches of similar size."""
    graphs = random_dags(settings.n_graphs, fewest_nodes=settings.fewest_nodes, most_nodes=settings.most_nodes, rng=rng)
    graphs = sorted((edges for edges in graphs if len(edges)), key=lambda edges: (edges.max(), len(edges)))
    batches: list[Questions] = []
    for start in range(0, len(graphs), 20):
        group = graphs[start : start + 20]
        n_nodes, n_edges = 1 + max(int(edges.max()) for edges in group), max(map(len, group))
        asked = Questions.joined([asked_everywhere(edges, n_nodes, n_edges, rng=rng) for edges in group])
        batches += [asked.take(np.arange(i, min(i + most, len(asked)))) for i in range(0, len(asked), most)]
    return batches


def check(settings: ConstructionSettings) -> Mapping[str, float]:
    """The theorem's statements, counted on all questions about fixed random graphs of every size."""
    batches = _batches(settings, np.random.default_rng(0))
    found = []
    for i, questions in enumerate(batches):
        found.append(_solved(questions))
        progress((i + 1) / len(batches), "hand-set weights")
    share = {name: float(np.concatenate([part[name] for part in found]).mean()) for name in ("exact", "right", "short")}
    return {"C1": share["exact"], "C1.answers": share["right"], "C1.short": share["short"]}


def measure(settings: ConstructionSettings, seeds: Seeds) -> Measurement:
    """How sharp layer 2 must be, on random graphs of several sizes."""
    curve: Table = []
    rng = seeds("sharpness")
    for i, size in enumerate(settings.sizes):
        graphs = random_dags(12, fewest_nodes=size, most_nodes=size, rng=rng)
        n_edges = max(map(len, graphs))
        asked = Questions.joined([asked_everywhere(edges, size, n_edges, rng=rng) for edges in graphs])
        some = asked.take(rng.permutation(len(asked))[: settings.n_questions])
        scale = float(2 * np.sqrt(size) * np.log(3 * some.edges.shape[1] + 6))
        for share in SHARPNESS:
            value = float(_solved(some, share * scale)["exact"].mean())
            curve.append({"sharpness": share * scale, "share": share, "nodes": f"{size} nodes", "exact": value})
        progress((i + 1) / len(settings.sizes), "sharpness")
    return Measurement(
        estimands={
            f"{arm}/least_exact": min(float(row["exact"]) for row in curve if row["share"] == share)
            for arm, share in (("sharp", 1.0), ("blunt", 0.1))
        },
        tables={"sharpness": curve},
    )
