"""Directed graphs as arrays: adjacency, distances by breadth-first search, and random acyclic ones."""

import numpy as np
from jaxtyping import Bool, Int

from assay.core.errors import InputError, SettingsError

__all__ = ["MOST_NODES", "adjacency", "any_of", "diameter", "distances", "is_acyclic", "random_dags", "sources"]

MOST_NODES = 512  # distances of a batch take batch x nodes x nodes


def adjacency(edges: Int[np.ndarray, "batch edge 2"], n_nodes: int) -> Bool[np.ndarray, "batch source target"]:
    """Whether an edge leads from source to target; rows of -1 are no edges.

    Raises:
        InputError: more nodes than a distance matrix can hold, or an edge names a node that does not exist.
    """
    if not 1 <= n_nodes <= MOST_NODES:
        raise InputError(f"graphs must have 1 to {MOST_NODES} nodes; got {n_nodes}. Split the graph or ask about a part of it")
    if edges.size and (edges.max() >= n_nodes or edges.min() < -1):
        raise InputError(f"edges must join nodes 0..{n_nodes - 1} (-1 pads); got {int(edges.min())}..{int(edges.max())}")
    joined = np.zeros((len(edges), n_nodes + 1, n_nodes + 1), dtype=bool)
    joined[np.arange(len(edges))[:, None], edges[..., 0], edges[..., 1]] = True
    return joined[:, :n_nodes, :n_nodes]


def distances(
    joined: Bool[np.ndarray, "batch source target"], start: Bool[np.ndarray, "batch row node"] | None = None
) -> Int[np.ndarray, "batch row node"]:
    """Edges on the shortest way to every node, by breadth-first search of all rows at once; -1 where there is no way.

    Args:
        joined: the graphs; cycles are allowed.
        start: the nodes each row starts from; None for every node as a source of its own.
    """
    n_nodes = joined.shape[-1]
    steps = joined.astype(np.float32)
    frontier = np.broadcast_to(np.eye(n_nodes, dtype=bool), joined.shape) if start is None else start
    found = np.where(frontier, 0, -1)
    for c in range(1, n_nodes):
        frontier = (frontier.astype(np.float32) @ steps > 0) & (found < 0)
        if not frontier.any():
            break
        found[frontier] = c
    return found


def is_acyclic(joined: Bool[np.ndarray, "batch source target"]) -> Bool[np.ndarray, " batch"]:
    """Whether each graph can be emptied by taking away nodes without incoming edges."""
    alive = np.ones(joined.shape[:2], dtype=bool)
    for _ in range(joined.shape[-1]):
        left = alive & (joined & alive[:, :, None]).any(1)
        if (left == alive).all():
            break
        alive = left
    return np.asarray(~alive.any(1))


def diameter(joined: Bool[np.ndarray, "batch source target"]) -> Int[np.ndarray, " batch"]:
    """The longest shortest way of each acyclic graph, in edges: as many thoughts decide every question about it.

    Raises:
        InputError: a graph has a cycle.
    """
    cyclic = np.flatnonzero(~is_acyclic(joined))
    if cyclic.size:
        raise InputError(
            f"a diameter is asked of acyclic graphs; graph {cyclic[0]} (of {len(joined)}, {cyclic.size} cyclic) has a cycle. "
            f"Use distances(), which cycles do not disturb"
        )
    return np.asarray(distances(joined).max((1, 2)))


def sources(
    present: Bool[np.ndarray, "batch node"], joined: Bool[np.ndarray, "batch source target"]
) -> Bool[np.ndarray, "batch node"]:
    """Nodes of each graph to which no edge leads: its roots."""
    return np.asarray(present & ~joined.any(1))


def random_dags(
    n: int, *, fewest_nodes: int, most_nodes: int, rng: np.random.Generator, parents: float = 1.3
) -> list[Int[np.ndarray, "edge 2"]]:
    """Edges of `n` acyclic graphs, numbered at random; each node but the first takes a Poisson number of earlier parents.

    Sizes are log-uniform in fewest_nodes..most_nodes; nodes may be unconnected. Cheap variety for exact solvers.

    Raises:
        SettingsError: a size that cannot be.
    """
    if not 2 <= fewest_nodes <= most_nodes <= MOST_NODES:
        raise SettingsError(f"random graphs: 2 <= fewest_nodes <= most_nodes <= {MOST_NODES}; got {fewest_nodes}, {most_nodes}")
    sizes = np.exp(rng.uniform(np.log(fewest_nodes), np.log(most_nodes + 1), size=n)).astype(int)
    graphs = []
    for size in sizes:
        share = np.minimum(1.0, parents / np.maximum(1, np.arange(size)))
        source, target = np.nonzero(np.triu(rng.random((size, size)) < share, k=1))
        number = rng.permutation(size)
        graphs.append(np.stack((number[source], number[target]), axis=1)[rng.permutation(len(source))])
    return graphs


def any_of(mask: Bool[np.ndarray, "*batch node"], rng: np.random.Generator) -> Int[np.ndarray, "*batch"]:
    """One of the marked nodes of each row, uniformly."""
    return np.asarray(np.where(mask, rng.random(mask.shape, dtype=np.float32), -1).argmax(-1))
