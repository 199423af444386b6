"""What is read off trained thoughts, and what breaks when they are changed: attention, content, cuts, collapses (C3 to C8)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from assay.claims.study import Table
from assay.studies.mechanisms.reasoning_by_superposition.system import right, told
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions

if TYPE_CHECKING:
    from torch import Tensor

    from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader

__all__ = [
    "array",
    "attention_ratios",
    "attention_table",
    "collapse",
    "content_table",
    "cut",
    "cuts_table",
    "growth_table",
    "held",
]


def array(tensor: "Tensor") -> np.ndarray:
    """The numbers of a tensor in double precision."""
    return np.asarray(tensor.detach().double().numpy())


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")


def _mean(values: np.ndarray, mask: np.ndarray) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")


def attention_ratios(attention: np.ndarray, questions: Questions) -> dict[str, float]:
    """Smallest ratios over steps of mean attention [batch, thought, edge]: frontier to not reachable, optimal to frontier."""
    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import edge_groups

    frontier, optimal = [], []
    for c in range(1, attention.shape[1] + 1):
        groups = edge_groups(questions, c)
        mean = {name: _mean(attention[:, c - 1], mask) for name, mask in groups.items()}
        frontier.append(_ratio(mean["frontier"], mean["not reachable"]))
        optimal.append(_ratio(mean["optimal"], mean["frontier"]))
    return {"frontier_ratio": min(frontier), "optimal_ratio": min(optimal)}


def attention_table(attention: Mapping[str, np.ndarray], questions: Questions) -> Table:
    """Mean attention on an edge of each group at each step, for each named layer."""
    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import edge_groups

    rows: Table = []
    for layer, weights in attention.items():
        for c in range(1, weights.shape[1] + 1):
            groups = edge_groups(questions, c)
            for name in ("optimal", "off path", "older", "not reachable"):
                value = _mean(weights[:, c - 1], groups[name])
                rows.append({"layer": layer, "edges": name, "step": f"step {c}", "attention": value})
    return rows


def held(scores: np.ndarray, questions: Questions) -> dict[str, float]:
    """Smallest AUCs over thoughts of what inner products [batch, thought, node] tell apart; see the claims C4 to C6."""
    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import auc, node_groups

    found: dict[str, list[float]] = {"frontier": [], "off_path": [], "older": [], "preference": []}
    for c in range(1, scores.shape[1] + 1):
        groups, values = node_groups(questions, c), scores[:, c - 1]
        rest = values[groups["not reachable"]]
        found["frontier"].append(auc(values[groups["frontier"]], rest))
        found["off_path"].append(auc(values[groups["off path"]], rest))
        if c > 1:
            found["older"].append(auc(values[groups["older"]], rest))
        if c < scores.shape[1]:
            found["preference"].append(auc(values[groups["optimal"]], values[groups["off path"]]))
    return {f"auc_{name}": min(values, default=float("nan")) for name, values in found.items()}


def cut(model: "GraphReader", questions: Questions, n_steps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the right candidate is preferred with one node taken out of one thought, on items with both kinds of nodes."""
    import torch

    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import without

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

            def edit(at: int, thought: "Tensor", c: int = c, taken: "Tensor" = taken) -> "Tensor":
                return without(thought, nodes, taken) if at == c else thought

            values[name].append(right(model.think(inputs, n_steps, edit=edit).logits, some)["preferred"])
    mean = {name: float(np.mean(found)) if found else float("nan") for name, found in values.items()}
    return mean | {f"{name}_drop": mean["intact"] - mean[name] for name in ("on_path", "off_path")}


def collapse(model: "GraphReader", questions: Questions, n_steps: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the right candidate is preferred when every thought is replaced by something simpler."""
    import torch

    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import collapsed, onto

    nodes, inputs = model.embeddings[: questions.n_nodes], torch.from_numpy(told(questions))
    edits = {
        "intact": None,
        "nearest": lambda c, thought: collapsed(thought, nodes),
        "sampled": lambda c, thought: collapsed(thought, nodes, rng=rng),
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


def cuts_table(cuts: Mapping[str, float], collapses: Mapping[str, Mapping[str, float]]) -> Table:
    """How often the right candidate is preferred after each change of the thoughts."""
    rows: Table = [{"thoughts": name, "labels": "optimal", "preferred": cuts[name]} for name in ("on_path", "off_path")]
    for arm, found in collapses.items():
        rows += [{"thoughts": name, "labels": arm, "preferred": value} for name, value in found.items()]
    return rows


def growth_table(model: "GraphReader", asked: Mapping[str, Questions], most_thoughts: int) -> Table:
    """How often the right candidate is preferred after 1..most_thoughts thoughts, on each named set of questions."""
    import torch

    rows: Table = []
    for name, questions in asked.items():
        inputs = torch.from_numpy(told(questions))
        for n in range(1, most_thoughts + 1):
            value = right(model.think(inputs, n).logits, questions)["preferred"]
            rows.append({"questions": name, "thoughts": n, "preferred": value})
    return rows
