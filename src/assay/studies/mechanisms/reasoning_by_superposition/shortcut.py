"""Graphs grown as the benchmark's, where the wrong candidate is usually shallower: what needs search (C2)."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader
from assay.studies.mechanisms.reasoning_by_superposition.settings import ShortcutSettings
from assay.studies.mechanisms.reasoning_by_superposition.system import (
    Data,
    guessing,
    network,
    right,
    speaking,
    thinking,
    told,
    told_the_path,
)
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, deeper_candidate

__all__ = ["measure_many"]


def measure_many(settings: ShortcutSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """Thoughts, words and no thoughts on the benchmark's graphs; the last also asked about depth-matched ones.

    The network without thoughts is told edges in both layers, and meets the benchmark's graphs from the first step. Its edges
    do not look at each other, as the paper's do: it can find edges into the candidates, but not how deep these are.
    """
    data = [Data.drawn(settings, seed) for seed in seeds]
    with part(0.0, 0.3, "thoughts"):
        thinkers = thinking(data, settings, seeds, ("optimal",))
    with part(0.3, 0.65, "words"):
        speakers = speaking(data, settings, seeds)
    with part(0.65, 1.0, "no thoughts"):
        guessers = guessing(data, replace(settings, edges_at=0), seeds, small_first=False)
    found = []
    for seed, graphs, (thinker,), speaker, guesser in zip(seeds, data, thinkers, speakers, guessers, strict=True):
        found.append(_read(settings, seed, graphs.held_out, thinker, speaker, guesser))
    return found


def _read(
    settings: ShortcutSettings, seeds: Seeds, questions: Questions, thinker: GraphReader, speaker: GraphReader,
    guesser: GraphReader,
) -> Measurement:  # fmt: skip
    """What one run's networks answer."""
    n_steps, inputs = settings.n_steps, torch.from_numpy(told(questions))
    world = LayeredWorld(settings.n_nodes, n_steps)
    matched = world.questions(len(questions), rng=seeds("matched")).retold(settings.n_names, rng=seeds("matched names"))
    untrained = GraphReader.init(network(settings), seeds("untrained"), edges_at=settings.edges_at)
    answers = {
        "thoughts": right(thinker.think(inputs, n_steps).logits, questions),
        "words": right(speaker.speak(inputs, n_steps).logits, questions),
        "given-path": right(told_the_path(speaker, questions), questions),
        "no-thoughts": right(guesser.think(inputs, 0).logits, questions),
        "no-thoughts-matched": right(guesser.think(torch.from_numpy(told(matched)), 0).logits, matched),
        "untrained": right(untrained.requires_grad_(requires_grad=False).think(inputs, n_steps).logits, questions),
    }
    deeper = deeper_candidate(questions)
    estimands = {f"{name}/{what}": value for name, found in answers.items() for what, value in found.items()}
    estimands["deeper/preferred"] = deeper
    best = answers["thoughts"]["preferred"]
    estimands |= {
        f"{name}/behind": best - answers[name]["preferred"] for name in ("given-path", "words", "no-thoughts", "untrained")
    }
    shown = {name: answers[name]["preferred"] for name in ("thoughts", "words", "given-path", "no-thoughts")}
    rows: Table = [{"network": name, "preferred": value} for name, value in (shown | {"deeper": deeper}).items()]
    return Measurement(estimands, {"accuracy": rows})
