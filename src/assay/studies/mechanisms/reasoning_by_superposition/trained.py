"""What training finds, on graphs without a shortcut: accuracy, attention, superposition and its causes (C2 to C8)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.branches import (
    Pairs,
    other_drops,
    other_preferred,
    pairs_of,
    words_preferred,
)
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader
from assay.studies.mechanisms.reasoning_by_superposition.readouts import (
    array,
    attention_ratios,
    attention_table,
    aucs,
    aucs_table,
    collapse,
    content_table,
    cut,
    cuts_table,
    excess,
    growth_table,
    least,
    nearest,
    sampled,
)
from assay.studies.mechanisms.reasoning_by_superposition.settings import Labels, TrainedSettings
from assay.studies.mechanisms.reasoning_by_superposition.system import (
    Data,
    chance_of_a_walk,
    guessing,
    network,
    right,
    speaking,
    thinking,
    told,
    told_the_path,
)
from assay.studies.mechanisms.reasoning_by_superposition.thoughts import content, drawn_node
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, superposition

__all__ = ["check", "measure_many"]

LABELS: dict[str, Labels] = {"thoughts": "optimal", "fixed-path": "fixed path", "breadth-first": "breadth-first"}
"""The networks that think, one look-up a thought, by the labels they are trained on."""


def check(settings: TrainedSettings) -> Mapping[str, float]:
    """The best share of right answers that a guess can have which reads the graph and the candidates, but not the root."""
    drawn = settings.world.questions(settings.n_eval, rng=np.random.default_rng(0))
    # The turned question, asked from the other root about the same candidates, is one that could have been drawn as well if the
    # other candidate is the only one in its reach, as many steps away. A guess is then right in one of the two and wrong in
    # the other, whatever it is.
    turned, rows = drawn.from_the_other_root(), np.arange(len(drawn))
    wrong = drawn.candidates.sum(1) - drawn.targets
    exchanged = (turned[rows, wrong] == drawn.n_steps) & (turned[rows, drawn.targets] < 0)
    return {"C2.none": float(np.where(exchanged, 0.5, 1.0).mean())}


def measure_many(settings: TrainedSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """Thinkers by three kinds of labels, one with a spare look-up; words; no thoughts."""
    data = [Data.drawn(settings, seed) for seed in seeds]
    with part(0.0, 0.47, "thoughts"):
        thinkers = thinking(data, settings, seeds, tuple(LABELS.values()))
    with part(0.47, 0.7, "thoughts with a spare look-up"):
        spare = thinking(data, replace(settings, edges_at=0), seeds, ("optimal",))
    with part(0.7, 0.84, "words"):
        speakers = speaking(data, settings, seeds)
    with part(0.84, 0.95, "no thoughts"):
        guessers = guessing(data, settings, seeds)
    found = []
    for i, seed in enumerate(seeds):
        readers = dict(zip(LABELS, thinkers[i], strict=True))
        readers |= {"spare": spare[i][0], "words": speakers[i], "no-thoughts": guessers[i]}
        found.append(_read(settings, seed, data[i], readers))
        progress(0.95 + 0.05 * (i + 1) / len(seeds), "read-outs")
    return found


def _read(settings: TrainedSettings, seeds: Seeds, data: Data, readers: Mapping[str, GraphReader]) -> Measurement:
    """Everything that is read off one run's networks."""
    n_steps, questions = settings.n_steps, data.held_out
    inputs = torch.from_numpy(told(questions))
    untrained = {
        arm: GraphReader.init(network(settings), seeds(f"untrained {at}"), edges_at=at).requires_grad_(requires_grad=False)
        for arm, at in (("untrained", settings.edges_at), ("untrained-spare", 0))
    }
    thinkers = {name: readers[name] for name in (*LABELS, "spare")} | untrained
    words, guesser = readers["words"].speak(inputs, n_steps, look=True), readers["no-thoughts"]
    seen = {name: model.think(inputs, n_steps, look=True) for name, model in thinkers.items()}
    answers = {name: right(found.logits, questions) for name, found in seen.items()}
    answers |= {
        "words": right(words.logits, questions),
        "given-path": right(told_the_path(readers["words"], questions), questions),
        "no-thoughts": right(guesser.think(inputs, 0).logits, questions),
    }
    best = answers["thoughts"]["preferred"]

    made = {name: found.thoughts for name, found in seen.items()} | {"words": words.states}
    made |= _with_one_node(settings, seeds, inputs, thinkers, readers["words"])
    scores = {
        name: array(content(thoughts, _embeddings(name, {**readers, **untrained})[: settings.n_names]))
        for name, thoughts in made.items()
    }
    exact = superposition(questions.distance, n_steps)
    read = {name: aucs(values, questions) for name, values in scores.items()} | {"built": aucs(exact, questions)}
    other = questions.take(np.roll(np.arange(len(questions)), 1))
    read |= {"shuffled": aucs(scores["thoughts"], other)}

    estimands: dict[str, float] = {}
    for name, found in answers.items():
        estimands |= {f"{name}/{what}": value for what, value in found.items()}
        if name != "thoughts":
            estimands[f"{name}/behind"] = best - found["preferred"]
    for name in (*LABELS, "untrained", "thoughts-walk"):
        estimands[f"{name}/frontier_excess"] = excess(read[name], read["words"], "frontier")
    for name in (*LABELS, "untrained", "thoughts-nearest", "fixed-path-nearest", "words"):
        walk_of = read[f"{name.removesuffix('-nearest')}-walk"]
        estimands[f"{name}/branch_excess"] = excess(read[name], walk_of, "other branch")
    for name in ("thoughts", "words", "untrained", "shuffled", "built"):
        estimands[f"{name}/auc_older"] = least(read[name], "older")
    for name in ("fixed-path", "breadth-first", "words", "untrained", "built"):
        estimands[f"{name}/flattened"] = least(read["thoughts"], "preference") - least(read[name], "preference")
    looks = {name: array(found.attention) for name, found in (seen | {"words": words}).items()}
    layers = {name: _layer_that_looks_up(thinkers[name], data, settings, seeds) for name in ("spare", "untrained-spare")}
    for name in ("thoughts", "spare", "words", "untrained", "untrained-spare"):
        for what, value in attention_ratios(looks[name][:, :, layers.get(name, 0)], questions).items():
            estimands[f"{name}/{what}"] = value
    drawn = LayeredWorld(settings.n_nodes, n_steps, settings.n_extra).questions(settings.n_branching, rng=seeds("branching"))
    pairs = pairs_of(drawn.retold(settings.n_names, rng=seeds("branching names")), seeds("second targets"))
    estimands |= _of_pairs(settings, seeds, pairs, thinkers, readers["words"])
    collapses = {
        name: collapse(thinkers[name], questions, n_steps, seeds(f"collapse {name}"))
        for name in ("thoughts", "breadth-first", "untrained")
    }
    for name, model, simpler in (
        ("nearest", "thoughts", "nearest"), ("frontier", "thoughts", "frontier"), ("untrained", "untrained", "nearest")
    ):  # fmt: skip
        estimands[f"{name}/collapse_drop"] = collapses[model]["intact"] - collapses[model][simpler]
    looked = {
        "one look-up: layer 2": looks["thoughts"][:, :, 0],
        "before training: layer 2": looks["untrained"][:, :, 0],
        "spare look-up: layer 1": looks["spare"][:, :, 0],
        "spare look-up: layer 2": looks["spare"][:, :, 1],
    }
    shown = {name: scores[name] for name in ("thoughts", "breadth-first", "spare")}
    trained = [name for name in answers if name not in untrained]
    tables: dict[str, Table] = {
        "accuracy": [{"network": name, "preferred": answers[name]["preferred"]} for name in trained],
        "attention": attention_table(looked, questions),
        "content": content_table({"built by hand": exact} | shown, questions),
        "aucs": aucs_table({name: read[name] for name in (*LABELS, "spare", "thoughts-walk", "words")}),
        "cuts": cuts_table(
            cut(readers["thoughts"], questions, n_steps, seeds("cut")),
            {name: collapses[name] for name in ("thoughts", "breadth-first")},
            chance_of_a_walk(questions),
        ),
        "growth": growth_table(readers["thoughts"], {_kind(settings): questions} | _larger(settings, seeds), n_steps + 3),
    }
    return Measurement(estimands, tables)


def _with_one_node(
    settings: TrainedSettings, seeds: Seeds, inputs: torch.Tensor, thinkers: Mapping[str, GraphReader], words: GraphReader
) -> dict[str, torch.Tensor]:
    """The networks' states where one node is fed back at a time: a drawn one (`-walk`) or the nearest (`-nearest`)."""
    n_steps, n_names = settings.n_steps, settings.n_names
    rng = seeds("walk words")
    said = words.speak(inputs, n_steps, choose=lambda logits: drawn_node(logits[..., :n_names], rng))
    found = {"words-walk": said.states}
    for name in (*LABELS, "untrained"):
        walk = sampled(thinkers[name], n_names, seeds(f"walk {name}"))
        found[f"{name}-walk"] = thinkers[name].think(inputs, n_steps, edit=walk).thoughts
    for name in ("thoughts", "fixed-path"):
        found[f"{name}-nearest"] = thinkers[name].think(inputs, n_steps, edit=nearest(thinkers[name], n_names)).thoughts
    return found


def _embeddings(name: str, readers: Mapping[str, GraphReader]) -> torch.Tensor:
    return readers[name.removesuffix("-walk").removesuffix("-nearest")].embeddings


def _of_pairs(
    settings: TrainedSettings, seeds: Seeds, pairs: Pairs, thinkers: Mapping[str, GraphReader], words: GraphReader
) -> dict[str, float]:
    """What thoughts made for one target know about a target on another branch, and whether a node on the way there matters."""
    n_steps = settings.n_steps
    found = {f"{name}/other_preferred": other_preferred(model, pairs, n_steps) for name, model in thinkers.items()}
    found["words/other_preferred"] = words_preferred(words, pairs, n_steps)
    walk = sampled(thinkers["thoughts"], settings.n_names, seeds("walk other"))
    found["thoughts-walk/other_preferred"] = other_preferred(thinkers["thoughts"], pairs, n_steps, walk)
    drops = {
        name: other_drops(thinkers[name], pairs, n_steps, seeds(f"other cuts {name}"))
        for name in ("thoughts", "breadth-first", "untrained")
    }
    found |= {f"{arm}/other_drop": value for arm, value in drops["thoughts"].items()}
    found |= {f"{name}/other_drop": drops[name]["cut"] for name in ("breadth-first", "untrained")}
    return found


def _layer_that_looks_up(model: GraphReader, data: Data, settings: TrainedSettings, seeds: Seeds) -> int:
    """The layer with the higher frontier ratio on graphs of the pool, so that the held-out ones do not choose it."""
    rng = seeds("layer")
    some = data.pool.take(rng.permutation(len(data.pool))[: settings.n_eval]).retold(settings.n_names, rng=rng)
    attention = array(model.think(torch.from_numpy(told(some)), settings.n_steps, look=True).attention)
    ratios = [attention_ratios(attention[:, :, layer], some)["frontier_ratio"] for layer in range(attention.shape[2])]
    return int(np.nanargmax(ratios)) if not np.isnan(ratios).all() else 0


def _kind(settings: TrainedSettings) -> str:
    return f"{settings.n_nodes} nodes, {settings.n_steps} steps"


def _larger(settings: TrainedSettings, seeds: Seeds) -> dict[str, Questions]:
    """Held-out questions with more nodes or more steps than trained on."""
    sizes = {"18 nodes, 3 steps": (18, 3), "16 nodes, 4 steps": (16, 4), "18 nodes, 5 steps": (18, 5)}
    return {
        name: LayeredWorld(n_nodes, depth, settings.n_extra)
        .questions(settings.n_grown, rng=seeds(name))
        .retold(settings.n_names, rng=seeds(f"names {name}"))
        for name, (n_nodes, depth) in sizes.items()
    }
