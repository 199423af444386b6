"""What is read off trained thoughts, and what breaks when they are changed: attention, content, cuts, collapses (C3 to C8)."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from assay.claims.study import Table
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import Edit, GraphReader
from assay.studies.mechanisms.reasoning_by_superposition.system import right, told
from assay.studies.mechanisms.reasoning_by_superposition.thoughts import (
    auc,
    collapsed,
    edge_groups,
    node_groups,
    onto,
    without,
)
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions

__all__ = [
    "array",
    "attention_ratios",
    "attention_table",
    "aucs",
    "aucs_table",
    "collapse",
    "content_table",
    "cut",
    "cuts_table",
    "excess",
    "growth_table",
    "least",
    "nearest",
    "sampled",
]


def array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor in double precision."""
    return np.asarray(tensor.detach().double().numpy())


def _log_ratio(above: float, below: float) -> float:
    return math.log(above / below) if above > 0 and below > 0 else float("nan")


def _mean(values: np.ndarray, mask: np.ndarray) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")


def attention_ratios(attention: np.ndarray, questions: Questions) -> dict[str, float]:
    """Logarithms of the smallest ratios over steps of mean attention [batch, thought, edge].

    Of a frontier edge to one that is not reachable; the same without the edges of the frontier node that is looked at most
    (`others`, from the second step), which is 0 for whoever is at one node; of an optimal edge to one of the frontier.
    """
    frontier, others, optimal = [], [], []
    for c in range(1, attention.shape[1] + 1):
        groups = edge_groups(questions, c)
        mean = {name: _mean(attention[:, c - 1], mask) for name, mask in groups.items()}
        frontier.append(_log_ratio(mean["frontier"], mean["not reachable"]))
        optimal.append(_log_ratio(mean["optimal"], mean["frontier"]))
        if c > 1:
            rest = groups["frontier"] & ~_of_top_node(attention[:, c - 1], groups["frontier"], questions)
            others.append(_log_ratio(_mean(attention[:, c - 1], rest), mean["not reachable"]))
    return {
        "frontier_ratio": min(frontier), "others_ratio": min(others, default=float("nan")), "optimal_ratio": min(optimal)
    }  # fmt: skip


def _of_top_node(attention: np.ndarray, frontier: np.ndarray, questions: Questions) -> np.ndarray:
    """The frontier edges [batch, edge] out of the node whose edges get the largest mean attention."""
    of_source = questions.edges[:, :, 0, None] == np.arange(questions.n_nodes)
    of_source &= frontier[..., None]
    sums = (attention[..., None] * of_source).sum(1)
    means = np.where(of_source.any(1), sums / np.maximum(of_source.sum(1), 1), -1.0)
    return np.asarray((questions.edges[:, :, 0] == means.argmax(1)[:, None]) & frontier)


def attention_table(attention: Mapping[str, np.ndarray], questions: Questions) -> Table:
    """Mean attention on an edge of each group at each step, for each named layer."""
    rows: Table = []
    for layer, weights in attention.items():
        for c in range(1, weights.shape[1] + 1):
            groups = edge_groups(questions, c)
            for name in ("optimal", "off path", "older", "not reachable"):
                value = _mean(weights[:, c - 1], groups[name])
                rows.append({"layer": layer, "edges": name, "step": f"step {c}", "attention": value})
    return rows


def aucs(scores: np.ndarray, questions: Questions) -> dict[str, list[float]]:
    """For each thought, how well inner products [batch, thought, node] tell groups of nodes apart; nan where a group is empty.

    `frontier`, `off path`, `other branch` and `older` against the nodes not reachable; `preference`: optimal nodes against the
    other frontier nodes.
    """
    found: dict[str, list[float]] = {"frontier": [], "off path": [], "other branch": [], "older": [], "preference": []}
    for c in range(1, scores.shape[1] + 1):
        groups, values = node_groups(questions, c), scores[:, c - 1]
        rest = values[groups["not reachable"]]
        for name in ("frontier", "off path", "other branch", "older"):
            found[name].append(auc(values[groups[name]], rest))
        found["preference"].append(auc(values[groups["optimal"]], values[groups["off path"]]))
    return found


def least(found: Mapping[str, list[float]], group: str) -> float:
    """The smallest AUC of a group over the thoughts that have one: older nodes from the second, preference before the last."""
    values = found[group][1:] if group == "older" else found[group][:-1] if group == "preference" else found[group]
    return min((value for value in values if not math.isnan(value)), default=float("nan"))


def excess(found: Mapping[str, list[float]], ground: Mapping[str, list[float]], group: str) -> float:
    """By how much the AUC of a group is above that in other states; the mean from the second thought.

    The first is made before any way is taken: it is the state from which the first word is read.
    """
    return float(np.mean(np.subtract(found[group][1:], ground[group][1:]))) if len(found[group]) > 1 else float("nan")


def aucs_table(found: Mapping[str, Mapping[str, list[float]]]) -> Table:
    """The AUCs of each named network, one row for each group and thought."""
    rows: Table = []
    for name, groups in found.items():
        for group in ("frontier", "other branch", "older"):
            rows += [
                {"network": name, "nodes": group, "thought": c, "auc": value} for c, value in enumerate(groups[group], start=1)
            ]
    return rows


def cut(model: GraphReader, questions: Questions, n_steps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the right candidate is preferred with one node taken out of one thought, on items with both kinds of nodes."""
    nodes = model.embeddings[: questions.n_nodes]
    values: dict[str, list[float]] = {"intact": [], "on_path": [], "off_path": []}
    for c in range(1, n_steps):
        optimal = questions.optimal(c)
        others = questions.frontier(c) & ~optimal
        some = questions.take((optimal.sum(1) == 1) & others.any(1))
        if not len(some):
            continue
        optimal, inputs = some.optimal(c), torch.from_numpy(told(some))
        others = some.frontier(c) & ~optimal
        chosen = {"on_path": optimal.argmax(1), "off_path": np.where(others, rng.random(others.shape), -1).argmax(1)}
        values["intact"].append(right(model.think(inputs, n_steps).logits, some)["preferred"])
        for name, node in chosen.items():
            taken = torch.from_numpy(node)

            def edit(at: int, thought: Tensor, c: int = c, taken: Tensor = taken) -> Tensor:
                return without(thought, nodes, taken) if at == c else thought

            values[name].append(right(model.think(inputs, n_steps, edit=edit).logits, some)["preferred"])
    return {name: float(np.mean(found)) if found else float("nan") for name, found in values.items()}


def sampled(model: GraphReader, n_nodes: int, rng: np.random.Generator) -> Edit:
    """The edit that puts one node, drawn from the thought, in place of every thought: one path in place of many."""
    nodes = model.embeddings[:n_nodes]
    return lambda c, thought: collapsed(thought, nodes, rng=rng)


def nearest(model: GraphReader, n_nodes: int) -> Edit:
    """The edit that puts the nearest node in place of every thought."""
    nodes = model.embeddings[:n_nodes]
    return lambda c, thought: collapsed(thought, nodes)


def collapse(model: GraphReader, questions: Questions, n_steps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the right candidate is preferred when every thought is replaced by something simpler."""
    nodes, inputs = model.embeddings[: questions.n_nodes], torch.from_numpy(told(questions))
    edits: dict[str, Edit | None] = {
        "intact": None,
        "nearest": nearest(model, questions.n_nodes),
        "sampled": sampled(model, questions.n_nodes, rng),
        "frontier": lambda c, thought: onto(thought, nodes, torch.from_numpy(questions.frontier(c))),
    }
    return {name: right(model.think(inputs, n_steps, edit=edit).logits, questions)["preferred"] for name, edit in edits.items()}


def content_table(scores: Mapping[str, np.ndarray], questions: Questions) -> Table:
    """Mean inner product by distance from the root, in units of that thought's mean over its frontier."""
    rows: Table = []
    counted = questions.present.copy()
    np.put_along_axis(counted, questions.candidates, False, axis=1)
    for panel, values in scores.items():
        for c in range(1, values.shape[1] + 1):
            unit = _mean(values[:, c - 1], counted & questions.frontier(c))
            for away in (*range(values.shape[1] + 1), -1):
                mask = counted & (questions.distance == away)
                name = "never" if away < 0 else f"{away} steps"
                value = _mean(values[:, c - 1], mask) / unit
                rows.append({"network": panel, "node": name, "thought": f"thought {c}", "content": value})
    return rows


def cuts_table(cuts: Mapping[str, float], collapses: Mapping[str, Mapping[str, float]], walk: float) -> Table:
    """How often the right candidate is preferred after each change of the thoughts, and by one walk along the edges."""
    rows: Table = [{"thoughts": name, "network": "thoughts", "preferred": cuts[name]} for name in ("on_path", "off_path")]
    for arm, found in collapses.items():
        rows += [{"thoughts": name, "network": arm, "preferred": value} for name, value in found.items()]
    rows += [{"thoughts": "walk", "network": arm, "preferred": walk} for arm in collapses]
    return rows


def growth_table(model: GraphReader, asked: Mapping[str, Questions], most_thoughts: int) -> Table:
    """How often the right candidate is preferred after 1..most_thoughts thoughts, on each named set of questions."""
    rows: Table = []
    for name, questions in asked.items():
        inputs = torch.from_numpy(told(questions))
        for n in range(1, most_thoughts + 1):
            value = right(model.think(inputs, n).logits, questions)["preferred"]
            rows.append({"questions": name, "thoughts": n, "preferred": value})
    return rows
