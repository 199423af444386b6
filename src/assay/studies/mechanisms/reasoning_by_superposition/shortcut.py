"""Graphs grown as the benchmark's, where the wrong candidate is usually shallower: what needs search (C2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Line
from assay.claims.rules import Above
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.system import (
    PAPER,
    Data,
    Training,
    guessing,
    right,
    speaking,
    thinking,
    told,
)
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, deeper_candidate

if TYPE_CHECKING:
    from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader

__all__ = ["SHORTCUT"]

CLAIMS = (
    Claim(
        "C2.benchmark",
        says="On graphs grown as the benchmark's, two layers that think in vectors answer more than 95% of held-out questions.",
        source=PAPER + "section 5, accuracy figure",
        estimand="thoughts/exact",
        rule=Above(0.95),
        margin="the paper's is close to 1",
        control=Control("the same network without thoughts, with about as much computation", "no thoughts/exact"),
        paper_value="about 1.00",
    ),
    Claim(
        "C2.benchmark_words",
        says="There too the same network trained to say a path in words stays more than 10 points behind.",
        source=PAPER + "section 5, accuracy figure",
        estimand="ahead of words",
        rule=Above(0.1),
        margin="the paper's gap is 25 points",
        control=Control("a network is not ahead of itself on other questions", "ahead of itself"),
        paper_value="about 0.25",
    ),
    Claim(
        "C2.benchmark_none",
        says="There too the same network without thoughts stays more than 10 points behind.",
        source=PAPER + "section 5, accuracy figure",
        estimand="ahead of no thoughts",
        rule=Above(0.1),
        margin="the paper's gap is 25 points",
        control=Control("a network is not ahead of itself on other questions", "ahead of itself"),
        paper_value="about 0.25",
    ),
    Claim(
        "C2.shortcut",
        says="Part of that accuracy needs no search: without thoughts the network prefers the right candidate in more than 60% "
        "of the questions, and the deeper candidate is right even more often.",
        source="ours",
        estimand="no thoughts/preferred",
        rule=Above(0.6),
        margin="0.5 is chance; the paper's networks without thoughts are at about 0.75",
        control=Control("asked about depth-matched graphs, the same network is at chance", "no thoughts/preferred_matched"),
        paper_value="about 0.75",
    ),
)


@dataclass(frozen=True)
class ShortcutSettings(Training):
    """Graphs as in the benchmark, of one size and one distance; the same network and curriculum."""

    family: Annotated[Literal["layered", "prosqa"], doc("depth-matched graphs, or the benchmark's with its shortcut")] = (
        "prosqa"
    )
    n_nodes: Annotated[int, Ge(8), doc("of a graph")] = 14


def measure(settings: ShortcutSettings, seeds: Seeds) -> Measurement:
    """One seed: see `measure_many`."""
    return measure_many(settings, [seeds])[0]


def measure_many(settings: ShortcutSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """Thoughts, words and no thoughts on the benchmark's graphs; the last also on depth-matched ones."""
    data = [Data.drawn(settings, seed) for seed in seeds]
    with part(0.0, 0.4, "thoughts"):
        thinkers = thinking(data, settings, seeds, ("optimal",))
    with part(0.4, 0.7, "words"):
        speakers = speaking(data, settings, seeds)
    with part(0.7, 1.0, "no thoughts"):
        guessers = guessing(data, settings, seeds)
    readers = zip(thinkers, speakers, guessers, strict=True)
    return [
        _read(settings, seed, graphs.held_out, thinker, speaker, guesser)
        for seed, graphs, ((thinker,), speaker, guesser) in zip(seeds, data, readers, strict=True)
    ]


def _read(
    settings: ShortcutSettings, seeds: Seeds, questions: Questions, thinker: "GraphReader", speaker: "GraphReader",
    guesser: "GraphReader",
) -> Measurement:  # fmt: skip
    """What one run's networks answer."""
    import torch

    n_steps, inputs = settings.n_steps, torch.from_numpy(told(questions))
    world = LayeredWorld(settings.n_nodes, n_steps)
    matched = world.questions(len(questions), rng=seeds("matched")).retold(settings.n_names, rng=seeds("matched names"))
    logits = {
        "thoughts": thinker.think(inputs, n_steps).logits,
        "words": speaker.speak(inputs, n_steps)[1],
        "no thoughts": guesser.think(inputs, 0).logits,
    }
    found = {name: right(value, questions) for name, value in logits.items()}
    accuracy = {name: value["exact"] for name, value in found.items()}
    half = np.arange(len(questions)) < len(questions) // 2
    first = right(logits["thoughts"][torch.from_numpy(half)], questions.take(half))["exact"]
    deeper = deeper_candidate(questions)
    rows: Table = [{"network": name, "accuracy": value} for name, value in accuracy.items()]
    return Measurement(
        estimands={
            **{f"{name}/exact": value for name, value in accuracy.items()},
            **{f"ahead of {name}": accuracy["thoughts"] - accuracy[name] for name in ("words", "no thoughts")},
            "ahead of itself": 2 * (first - accuracy["thoughts"]),
            "no thoughts/preferred": found["no thoughts"]["preferred"],
            "no thoughts/preferred_matched": right(guesser.think(torch.from_numpy(told(matched)), 0).logits, matched)[
                "preferred"
            ],
            "depth heuristic": deeper,
        },
        tables={"accuracy": [*rows, {"network": "deeper candidate", "accuracy": deeper}]},
    )


FIGURES = (
    Figure(
        "shortcut",
        "Where guessing is not chance",
        "Share of held-out questions answered exactly on graphs grown as the benchmark's. The wrong candidate is usually "
        "shallower, so that naming the deeper one, which searches nothing from the root, is often right. Words that end at "
        "neither candidate are wrong.",
        Bars("accuracy", x="network", y="accuracy", y_label="share of answers exact",
             lines=(Line(0.5, "one of the two candidates"),)),
    ),
)  # fmt: skip

SMALL = {"small_steps": 4, "stage_steps": 4, "last_steps": 6, "batch": 8, "n_pool": 60, "n_eval": 64, "d_model": 16}
SHORTCUT = Experiment(
    name="shortcut",
    question="How much of the benchmark can be answered without searching?",
    claims=CLAIMS,
    presets={
        "quick": Preset(ShortcutSettings(**SMALL), n_runs=2),  # type: ignore[arg-type]
        "laptop": Preset(ShortcutSettings(), n_runs=4),
    },
    measure=measure,
    measure_many=measure_many,
    batch=2,
    figures=FIGURES,
    cost="about 13 min of one core",
)
