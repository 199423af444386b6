"""What a continuous thought holds: which nodes can be read off it, which edges it looks at, and what it needs.

Reading: `content` is the inner product of each thought with each node's embedding; `edge_groups` and `node_groups` sort edges
and nodes by the exact search; `auc` says how well one group stands above another. Cutting: `without` takes one node out of a
thought, `onto` keeps nothing but some nodes, `collapsed` replaces the thought by a single node. Source: Zhu et al. 2025,
arXiv:2505.12514, section 5 (the read-outs); the cuts are ours.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor

from assay.core.errors import InputError
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency
from assay.studies.mechanisms.reasoning_by_superposition.world import Questions

__all__ = ["auc", "collapsed", "content", "drawn_node", "edge_groups", "node_groups", "onto", "without"]

Groups = dict[Literal["not reachable", "reachable", "frontier", "optimal", "off path", "other branch", "older"], np.ndarray]


def content(
    thoughts: Float[Tensor, "*run batch thought d_model"], embeddings: Float[Tensor, "*run node d_model"]
) -> Float[Tensor, "*run batch thought node"]:
    """Inner products of thoughts with node embeddings."""
    return thoughts @ embeddings.unsqueeze(-3).mT


def node_groups(questions: Questions, c: int, *, but_candidates: bool = True) -> Groups:
    """Masks [batch, node] of what thought c may hold: groups overlap as in the paper's tables.

    `not reachable` from the root at all; `reachable` within c steps; `frontier` in exactly c; `optimal` those of them on a
    shortest path to the target and `off path` the others; `other branch` those of the others to which no optimal node of the
    step before leads, so that a thought which follows one way to the target has not met them; `older` reached before.

    Args:
        questions: with node numbers as the embeddings have.
        c: from 1.
        but_candidates: leave the candidates out, which the prompt itself names.
    """
    counted = questions.present.copy()
    if but_candidates:
        np.put_along_axis(counted, questions.candidates, False, axis=1)
    frontier, optimal = questions.frontier(c), questions.optimal(c)
    within = (questions.distance >= 0) & (questions.distance <= c)
    joined = adjacency(questions.edges, questions.n_nodes)
    met = (joined & questions.optimal(c - 1)[:, :, None]).any(1) if c > 1 else np.zeros_like(frontier)
    return {
        "not reachable": counted & (questions.distance < 0),
        "reachable": counted & within,
        "frontier": counted & frontier,
        "optimal": counted & optimal,
        "off path": counted & frontier & ~optimal,
        "other branch": counted & frontier & ~optimal & ~met,
        "older": counted & within & ~frontier,
    }


def edge_groups(questions: Questions, c: int) -> Groups:
    """Masks [batch, edge] of what is looked at when thought c is made: edges by their source, which thought c - 1 holds or not.

    `not reachable`: the source is not within c - 1 steps of the root; `frontier`: in exactly so many; `optimal`: a frontier
    edge into a node of a shortest path; `off path`: another frontier edge; `older`: the source was reached before.
    """
    real = questions.edges[..., 0] >= 0
    rows = np.arange(len(questions))[:, None]
    sources, targets = questions.edges[..., 0], questions.edges[..., 1]
    away = questions.distance[rows, sources]
    within, frontier = real & (away >= 0) & (away <= c - 1), real & (away == c - 1)
    optimal = frontier & questions.optimal(c)[rows, targets]
    return {
        "not reachable": real & ~within,
        "reachable": within,
        "frontier": frontier,
        "optimal": optimal,
        "off path": frontier & ~optimal,
        "older": within & ~frontier,
    }


def auc(above: Float[np.ndarray, " a"], below: Float[np.ndarray, " b"]) -> float:
    """Probability that a value of the first group is larger than one of the second, ties one half; nan for an empty group."""
    if not len(above) or not len(below):
        return float("nan")
    ranks = rankdata(np.concatenate((above, below)))
    return float((ranks[: len(above)].sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def without(
    thought: Float[Tensor, "batch d_model"], embeddings: Float[Tensor, "node d_model"], nodes: Int[Tensor, " batch"]
) -> Float[Tensor, "batch d_model"]:
    """Each thought without its component along one node's embedding."""
    along = embeddings[nodes]
    return thought - (thought * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True) * along


def onto(
    thought: Float[Tensor, "batch d_model"], embeddings: Float[Tensor, "node d_model"], nodes: Bool[Tensor, "batch node"]
) -> Float[Tensor, "batch d_model"]:
    """Each thought's projection onto the span of its own nodes' embeddings, at its own length.

    Raises:
        InputError: an item without any node.
    """
    empty = torch.nonzero(~nodes.any(-1)).flatten()
    if len(empty):
        raise InputError(f"a projection needs at least one node an item; item {int(empty[0])} has none")
    # Normal equations: nodes of other rows stand in them with weight 0, so that all items have one shape.
    kept_nodes, table = nodes.double(), embeddings.double()
    gram = kept_nodes.unsqueeze(-1) * (table @ table.mT + 1e-9 * torch.eye(len(table), dtype=torch.float64))
    gram = gram * kept_nodes.unsqueeze(-2) + torch.diag_embed(1 - kept_nodes)
    share = torch.linalg.solve(gram, kept_nodes * (thought.double() @ table.mT))
    kept = (share @ table).to(thought.dtype)
    return _as_long_as(thought, kept)


def collapsed(
    thought: Float[Tensor, "batch d_model"],
    embeddings: Float[Tensor, "node d_model"],
    *,
    rng: np.random.Generator | None = None,
) -> Float[Tensor, "batch d_model"]:
    """The embedding of one node in place of each thought, at the thought's length: the nearest by angle, or one drawn by `rng`.

    A drawn node has the probability that the tied read-out gives it among nodes.
    """
    scores = thought @ embeddings.mT
    chosen = (scores / embeddings.norm(dim=-1)).argmax(-1) if rng is None else drawn_node(scores, rng)
    return _as_long_as(thought, embeddings[chosen])


def drawn_node(scores: Float[Tensor, "*batch node"], rng: np.random.Generator) -> Int[Tensor, "*batch"]:
    """One node an item, as likely as the softmax of its scores says."""
    odds = torch.softmax(scores.double(), -1).cumsum(-1)
    chosen = torch.searchsorted(odds, torch.from_numpy(rng.random((*odds.shape[:-1], 1)))).squeeze(-1)
    return chosen.clamp_max(odds.shape[-1] - 1)


def _as_long_as(thought: Tensor, other: Tensor) -> Tensor:
    scaled: Tensor = other * (thought.norm(dim=-1, keepdim=True) / other.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return scaled
