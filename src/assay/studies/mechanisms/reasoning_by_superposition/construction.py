"""The theorem: weights set by hand search every graph exactly, one breadth-first step a thought (C1)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.rules import Equals
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.system import PAPER
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions, asked_everywhere, random_dags, superposition

__all__ = ["CONSTRUCTION"]

TOLERANCE = 1e-4  # single precision, thoughts of length one
SHARPNESS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

CLAIMS = (
    Claim(
        "C1",
        says="Two layers set by hand search exactly: on every graph, from every source, after every thought the thought is the "
        "normalised sum of the nodes within as many steps, and of nothing else.",
        source=PAPER + "section 4, lemma on the continuous thoughts",
        estimand="thoughts_exact",
        rule=Equals(1.0),
        margin="no exception is allowed; components may differ by 0.0001 from the exact ones (single precision)",
        control=Control("the same weights with scores of one in layer 2 spill over to other nodes", "soft/thoughts_exact"),
        paper_value="exact (theorem)",
        summary="every",
    ),
    Claim(
        "C1.answers",
        says="With as many thoughts as the target has steps, every answer is right.",
        source=PAPER + "section 4, main theorem",
        estimand="answers_right",
        rule=Equals(1.0),
        margin="no exception is allowed; the target must win among all tokens",
        control=Control("with one thought fewer no candidate wins, in not a single question", "one_short/answers_right"),
        paper_value="exact (theorem)",
        summary="every",
    ),
    Claim(
        "C1.sharpness",
        says="How sharp layer 2 must be grows with the root of the nodes times the logarithm of the string's length: at twice "
        "their product every graph is exact at every size.",
        source=PAPER + "section 4 (large enough scores); the rate is ours",
        estimand="sharp/least_exact",
        rule=Equals(1.0),
        margin="the weakest node of a thought has 1/√n, the sink half of it, and other edges must stay below one edge's share",
        control=Control("at a tenth of it some size is not exact", "blunt/least_exact"),
        summary="every",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ConstructionSettings:
    """Random acyclic graphs, sizes log-uniform, asked from all their sources."""

    n_graphs: Annotated[int, Ge(1), doc("graphs a run solves, from every source")] = 200
    fewest_nodes: Annotated[int, Ge(3), doc("of a graph")] = 4
    most_nodes: Annotated[int, Ge(4), doc("of a graph")] = 60
    sizes: Annotated[tuple[int, ...], doc("nodes of the graphs on which sharpness is varied")] = (15, 30, 60)
    n_questions: Annotated[int, Ge(1), doc("questions at each sharpness and size")] = 60

    def __post_init__(self) -> None:
        if self.fewest_nodes > self.most_nodes or min(self.sizes, default=0) < 4:
            raise SettingsError(
                f"graphs need fewest_nodes <= most_nodes and sizes of at least 4; got {self.fewest_nodes}, {self.most_nodes}, "
                f"{self.sizes}"
            )


def _solved(questions: Questions, sharpness: float | None = None) -> dict[str, np.ndarray]:
    """Per question: are all thoughts exact; is the answer right with enough thoughts; with one fewer."""
    import torch

    from assay.studies.mechanisms.reasoning_by_superposition.hand_built import search, superposition_network

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


def measure(settings: ConstructionSettings, seeds: Seeds) -> Measurement:
    """Solve every question with the hand-set weights, then with blunter ones."""
    batches = _batches(settings, seeds("graphs"))
    exact, soft = [], []
    for i, questions in enumerate(batches):
        exact.append(_solved(questions))
        progress(0.7 * (i + 1) / len(batches), "hand-set weights")
    for questions in batches[:: max(1, len(batches) // 4)]:
        soft.append(_solved(questions, sharpness=1.0)["exact"].mean())

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
        progress(0.7 + 0.3 * (i + 1) / len(settings.sizes), "sharpness")

    def over_all(name: str) -> float:
        return float(np.concatenate([found[name] for found in exact]).mean())

    return Measurement(
        estimands={
            "thoughts_exact": over_all("exact"),
            "answers_right": over_all("right"),
            "one_short/answers_right": over_all("short"),
            "soft/thoughts_exact": float(np.mean(soft)),
            "sharp/least_exact": min(float(row["exact"]) for row in curve if row["share"] == 1.0),
            "blunt/least_exact": min(float(row["exact"]) for row in curve if row["share"] == 0.1),
            "n_questions": float(sum(map(len, batches))),
        },
        tables={"sharpness": curve},
    )


FIGURES = (
    Figure(
        "sharpness",
        "Exact once attention is sharp enough",
        "Share of questions whose thoughts are all exact, against the score of an edge in layer 2 in units of twice √n times "
        "the logarithm of the string's length. In these units graphs of different sizes should become exact together.",
        Lines("sharpness", x="share", y="exact", by="nodes", x_label="score of an edge, in units of 2 √n log(length)",
              y_label="share of questions exact", lines=(Line(1.0, "all"),), markers=True),
        further=True,
    ),
)  # fmt: skip

CONSTRUCTION = Experiment(
    name="construction",
    question="Do two layers set by hand, fed their own last state, search every graph exactly?",
    claims=CLAIMS,
    presets={
        "quick": Preset(ConstructionSettings(n_graphs=20, most_nodes=12, sizes=(8, 12), n_questions=8), n_runs=2),
        "laptop": Preset(ConstructionSettings(), n_runs=5),
    },
    measure=measure,
    figures=FIGURES,
    cost="80 s of one core",
)
