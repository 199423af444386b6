"""Reachability in directed graphs: which of two candidates does the root lead to?

Told as a string of edges, two candidates and a root, in symbols or in words, with the exact search beside it: how far every
node is from the root and from the answer. Two families ask the same question. `ProsqaWorld` grows graphs as the benchmark
does, and inherits its shortcut: the wrong candidate is usually the shallower one. `LayeredWorld` has none: two roots play the
same part, both candidates are equally deep leaves, and which root is asked is a coin toss, so nothing but search can tell.
Sources: Hao et al. 2024, arXiv:2412.06769, appendix (ProsQA); Zhu et al. 2025, arXiv:2505.12514, section 5 (as symbols).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import SettingsError
from assay.studies.mechanisms.reasoning_by_superposition.graphs import MOST_NODES, adjacency, any_of, distances, sources

__all__ = [
    "SPECIAL",
    "LayeredWorld",
    "ProsqaWorld",
    "Questions",
    "Vocabulary",
    "asked_everywhere",
    "asked_of",
    "deeper_candidate",
    "superposition",
]

SPECIAL = ("<eos>", "|", "[Q]", "[R]", "[A]")


class Vocabulary(NamedTuple):
    """Token numbers of the symbolic form: nodes 0..n_nodes - 1, then the special tokens.

    Attributes:
        n_nodes: node tokens.
    """

    n_nodes: int

    @property
    def size(self) -> int:
        """Nodes and special tokens."""
        return self.n_nodes + len(SPECIAL)

    def special(self, name: str) -> int:
        """The number of a special token."""
        return self.n_nodes + SPECIAL.index(name)


def superposition(distance: Int[np.ndarray, "batch node"], n_thoughts: int) -> Float[np.ndarray, "batch thought node"]:
    """The exact thoughts 1..n_thoughts: |V_c|^{-1/2} at every node within c steps of the root, 0 elsewhere.

    Source: Zhu et al. 2025, arXiv:2505.12514, lemma on the continuous thoughts.

    Raises:
        SettingsError: no thought is asked for.
    """
    if n_thoughts < 1:
        raise SettingsError(f"a superposition needs at least one thought; got n_thoughts = {n_thoughts}")
    within = (distance[:, None] >= 0) & (distance[:, None] <= np.arange(1, n_thoughts + 1)[:, None])
    return np.asarray(within / np.sqrt(within.sum(-1, keepdims=True)))


@dataclass(frozen=True)
class Questions:
    """A batch of questions with their truth.

    Attributes:
        edges: source and target of each edge, in the order told; rows of -1 pad.
        roots: where the search starts.
        candidates: in the order shown; one of them is reachable.
        targets: that one.
        distance: edges from the root to every node, -1 where the root does not lead.
        ahead: edges from every node to the target, -1 where it does not lead there.
        present: which nodes the graph has.
        paths: one fixed shortest path of each item, root left out, -1 after its end.
    """

    edges: Int[np.ndarray, "batch edge 2"]
    roots: Int[np.ndarray, " batch"]
    candidates: Int[np.ndarray, "batch 2"]
    targets: Int[np.ndarray, " batch"]
    distance: Int[np.ndarray, "batch node"]
    ahead: Int[np.ndarray, "batch node"]
    present: Bool[np.ndarray, "batch node"]
    paths: Int[np.ndarray, "batch step"]

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def n_nodes(self) -> int:
        """Node numbers in use: 0..n_nodes - 1."""
        return int(self.present.shape[1])

    @property
    def n_steps(self) -> Int[np.ndarray, " batch"]:
        """Edges from the root to the target."""
        return np.asarray(self.distance[np.arange(len(self)), self.targets])

    def frontier(self, c: int) -> Bool[np.ndarray, "batch node"]:
        """Nodes exactly c steps from the root."""
        return np.asarray(self.distance == c)

    def optimal(self, c: int) -> Bool[np.ndarray, "batch node"]:
        """The c-th nodes of the shortest paths to the target."""
        return np.asarray((self.distance == c) & (self.ahead >= 0) & (self.ahead == self.n_steps[:, None] - c))

    def unreached(self) -> Bool[np.ndarray, "batch node"]:
        """Nodes of the graph that the root does not lead to."""
        return np.asarray(self.present & (self.distance < 0))

    def from_the_other_root(self) -> Int[np.ndarray, "batch node"]:
        """Edges from the roots that are not asked to every node, by the nearest of them; -1 where none leads."""
        joined = adjacency(self.edges, self.n_nodes)
        asked = self.roots[:, None] == np.arange(self.n_nodes)
        return np.asarray(distances(joined, (sources(self.present, joined) & ~asked)[:, None])[:, 0])

    @classmethod
    def joined(cls, parts: "Sequence[Questions]") -> "Questions":
        """Several batches over the same node numbers as one; shorter lists of edges are padded."""
        n_edges = max(part.edges.shape[1] for part in parts)

        def values(name: str) -> np.ndarray:
            arrays = [getattr(part, name) for part in parts]
            if name == "edges":
                arrays = [np.pad(a, ((0, 0), (0, n_edges - a.shape[1]), (0, 0)), constant_values=-1) for a in arrays]
            return np.concatenate(arrays)

        return cls(**{name: values(name) for name in cls.__dataclass_fields__})

    def take(self, rows: Int[np.ndarray, " row"] | Bool[np.ndarray, " batch"]) -> "Questions":
        """Some of the questions."""
        return Questions(**{name: value[rows] for name, value in self.__dict__.items()})

    def retold(self, n_nodes: int, *, rng: np.random.Generator) -> "Questions":
        """The same questions with new node numbers out of 0..n_nodes - 1, edges and candidates in a new order.

        Raises:
            SettingsError: fewer numbers than nodes.
        """
        if n_nodes < self.n_nodes:
            raise SettingsError(f"retelling needs at least as many node numbers as nodes; got {n_nodes} for {self.n_nodes}")
        n, rows = len(self), np.arange(len(self))
        number = rng.random((n, n_nodes), dtype=np.float32).argsort(1)
        named = np.concatenate((number, np.full((n, 1), -1)), axis=1)  # so that -1 stays -1
        order = rng.random(self.edges.shape[:2], dtype=np.float32).argsort(1)
        shown = self.candidates[rows[:, None], rng.integers(2, size=(n, 1)) ^ np.arange(2)]

        def moved(values: np.ndarray, absent: int | bool) -> np.ndarray:
            by_number = np.full((n, n_nodes), absent)
            by_number[rows[:, None], number[:, : self.n_nodes]] = values
            return by_number

        return Questions(
            edges=named[rows[:, None, None], self.edges[rows[:, None], order]],
            roots=number[rows, self.roots],
            candidates=number[rows[:, None], shown],
            targets=number[rows, self.targets],
            distance=moved(self.distance, -1),
            ahead=moved(self.ahead, -1),
            present=moved(self.present, False),
            paths=named[rows[:, None], self.paths],
        )

    def tokens(self) -> Int[np.ndarray, "batch pos"]:
        """The symbolic form, <eos> s t | s t | ... s t | [Q] c c' [R] r; shorter graphs are padded with <eos> in front."""
        words = Vocabulary(self.n_nodes)
        n, n_edges = self.edges.shape[:2]
        told = np.full((n, 3 * n_edges + 6), words.special("<eos>"))
        in_front = np.argsort(self.edges[..., 0] >= 0, axis=1, kind="stable")
        edges = np.take_along_axis(self.edges, in_front[..., None], axis=1)
        marked = np.concatenate((edges, np.full((n, n_edges, 1), words.special("|"))), axis=2)
        told[:, 1:-5] = np.where(edges[..., :1] >= 0, marked, words.special("<eos>")).reshape(n, -1)
        told[:, -5], told[:, -2] = words.special("[Q]"), words.special("[R]")
        told[:, -4:-2], told[:, -1] = self.candidates, self.roots
        return told

    def worded(self, item: int) -> str:
        """One question in words, with invented names."""
        names = [_name(node) for node in range(self.n_nodes)]
        facts = [f"Every {names[s]} is a {names[t]}." for s, t in self.edges[item] if s >= 0]
        first, second = (names[node] for node in self.candidates[item])
        return f"{' '.join(facts)} Is every {names[self.roots[item]]} a {first} or a {second}?"


def _name(node: int) -> str:
    """An invented word, different for every node."""
    starts, ends = ("lem", "rom", "stee", "yim", "grim", "boom", "zhor", "jel", "wer", "hil"), ("pus", "ple", "gus", "kin")
    name = starts[node % 10] + ends[node // 10 % 4]
    return name if node < 40 else name + _name(node // 40 - 1)


def deeper_candidate(questions: Questions) -> float:
    """Accuracy of a guess that searches nothing for the root: the candidate farther from any node without incoming edges.

    Ties count one half. It measures a data set's shortcut.
    """
    joined = adjacency(questions.edges, questions.n_nodes)
    depth = distances(joined, sources(questions.present, joined)[:, None])[:, 0]
    rows = np.arange(len(questions))
    wrong = questions.candidates.sum(1) - questions.targets
    ahead = depth[rows, questions.targets] - depth[rows, wrong]
    return float((ahead > 0).mean() + 0.5 * (ahead == 0).mean())


@dataclass(frozen=True)
class LayeredWorld:
    """Graphs whose edges join consecutive layers, two roots in the first; nothing but the root tells the candidates apart.

    Every node below the roots has a parent one layer up, chosen uniformly; `n_extra` further edges are drawn uniformly from the
    remaining pairs of consecutive layers. Both candidates are leaves of the last layer, one of each root alone, and the root
    that is asked is drawn after the graph: guessing from the graph and the candidates is right half of the time, exactly.

    Attributes:
        n_nodes: of a graph.
        depth: layers below the roots, and edges from the root to the target.
        n_extra: edges beside the tree.
    """

    n_nodes: int = 12
    depth: int = 3
    n_extra: int = 4

    def __post_init__(self) -> None:
        if self.depth < 1 or self.n_extra < 0:
            raise SettingsError(
                f"layered world: at least one step and no negative number of extra edges; got depth {self.depth}, "
                f"n_extra {self.n_extra}"
            )
        if not 2 + 2 * self.depth <= self.n_nodes <= MOST_NODES:
            raise SettingsError(
                f"layered world: two ways of {self.depth} edges need {2 + 2 * self.depth} nodes, and {MOST_NODES} are the "
                f"most; got n_nodes = {self.n_nodes}"
            )
        spare = self.n_nodes - 2 - 2 * self.depth
        most = (2 * self.depth + spare) ** 2 // 4 + 4 * self.depth  # generous: refuses only what cannot be
        if self.n_extra > most:
            raise SettingsError(f"layered world: {self.n_nodes} nodes leave no room for {self.n_extra} extra edges")

    @property
    def n_edges(self) -> int:
        """Edges of every graph."""
        return self.n_nodes - 2 + self.n_extra

    def questions(self, n: int, *, rng: np.random.Generator) -> Questions:
        """`n` questions; node numbers rise with the layers until they are retold.

        Raises:
            SettingsError: such graphs are too rare to be found.
        """
        return _collected(self._some, n, rng, what=str(self))

    def _some(self, n: int, rng: np.random.Generator) -> Questions | None:
        n_nodes, depth = self.n_nodes, self.depth
        inner = np.sort(rng.integers(1, depth + 1, size=(n, n_nodes - 2)), axis=1)
        layer = np.concatenate((np.zeros((n, 2), dtype=int), inner), axis=1)
        full = ((layer[:, None] == np.arange(1, depth + 1)[:, None]).sum(2) >= 2).all(1)
        layer = layer[full]
        n = len(layer)
        allowed = layer[:, :, None] == layer[:, None, :] - 1
        keys = np.where(allowed, rng.random(allowed.shape, dtype=np.float32), -1)
        parents = keys.argmax(1)[:, 2:]
        rows = np.arange(n)[:, None]
        keys[rows, parents, np.arange(2, n_nodes)] = -1
        extra = np.argpartition(-keys.reshape(n, -1), self.n_extra, axis=1)[:, : self.n_extra]
        enough = (np.take_along_axis(keys.reshape(n, -1), extra, axis=1) >= 0).all(1)
        tree = np.stack((parents, np.broadcast_to(np.arange(2, n_nodes), parents.shape)), axis=2)
        edges = np.concatenate((tree, np.stack((extra // n_nodes, extra % n_nodes), axis=2)), axis=1)[enough]
        layer = layer[enough]
        joined = adjacency(edges, n_nodes)
        start = np.zeros((len(edges), 2, n_nodes), dtype=bool)
        start[:, [0, 1], [0, 1]] = True
        reached = distances(joined, start) >= 0
        last = layer == depth
        only = np.stack((last & reached[:, 0] & ~reached[:, 1], last & reached[:, 1] & ~reached[:, 0]), axis=1)
        fine = np.all(np.any(only, axis=2), axis=1)
        if not np.any(fine):
            return None
        edges, joined, only = edges[fine], joined[fine], only[fine]
        ends = any_of(only, rng)
        asked = rng.integers(2, size=len(edges))
        rows = np.arange(len(edges))
        return asked_of(
            edges, joined, asked, ends[rows, asked], ends[rows, 1 - asked], np.ones(only[:, 0].shape, bool), depth, rng
        )


@dataclass(frozen=True)
class ProsqaWorld:
    """Graphs grown as in the ProsQA benchmark; the wrong candidate is usually nearer to its root than the right one.

    Nodes 0 and 1 are roots. Every further node takes parents among the earlier ones: with probability 0.35 among those not
    below root 1, with 0.35 among those not below root 0, else among all; deeper parents are likelier (weight 1.5 depth + 1).
    The number of parents is Poisson without zero. The target is a leaf of the asked root's side alone, the wrong candidate a
    leaf of the other's.

    Attributes:
        fewest_nodes: with `most_nodes` the range of sizes, each equally likely before questions are selected.
        parents: mean parameter of the zero-truncated Poisson number of parents.
        fewest_steps: with `most_steps` which questions are kept.
        most_edges: of the graphs that are kept, to which all are padded; None for no limit.
    """

    fewest_nodes: int = 14
    most_nodes: int = 28
    parents: float = 1.3
    fewest_steps: int = 3
    most_steps: int = 4
    most_edges: int | None = None

    def __post_init__(self) -> None:
        if not 4 <= self.fewest_nodes <= self.most_nodes <= MOST_NODES or not self.parents > 0:
            raise SettingsError(
                f"ProsQA world: 4 <= fewest_nodes <= most_nodes <= {MOST_NODES} and parents > 0; "
                f"got {self.fewest_nodes}, {self.most_nodes}, {self.parents}"
            )
        if self.most_edges is not None and self.most_edges < self.fewest_nodes - 2:
            raise SettingsError(
                f"ProsQA world: {self.fewest_nodes} nodes have at least {self.fewest_nodes - 2} edges; "
                f"got most_edges = {self.most_edges}"
            )
        if not 1 <= self.fewest_steps <= self.most_steps < self.most_nodes:
            raise SettingsError(
                f"ProsQA world: steps must be at least one and fewer than nodes; "
                f"got {self.fewest_steps}..{self.most_steps} steps, {self.most_nodes} nodes"
            )

    def questions(self, n: int, *, rng: np.random.Generator) -> Questions:
        """`n` questions; every edge goes from a smaller to a larger node number until they are retold.

        Raises:
            SettingsError: such questions are too rare to be found.
        """
        return _collected(self._some, n, rng, what=str(self))

    def _some(self, n: int, rng: np.random.Generator) -> Questions | None:
        n_nodes = self.most_nodes
        size = rng.integers(self.fewest_nodes, self.most_nodes + 1, size=n)
        joined = np.zeros((n, n_nodes, n_nodes), dtype=bool)
        below = np.zeros((n, 2, n_nodes), dtype=bool)  # below which root
        below[:, [0, 1], [0, 1]] = True
        depth = np.zeros((n, n_nodes))
        for node in range(2, n_nodes):
            side = rng.random((n, 1))
            earlier = below[:, :, :node]
            free = np.where(side < 0.35, ~earlier[:, 1], np.where(side < 0.7, ~earlier[:, 0], True))
            n_parents = _positive_poisson(self.parents, n, rng)
            gumbel = rng.gumbel(size=(n, node)) + np.log(1.5 * depth[:, :node] + 1)
            keys = np.where(free, gumbel, -np.inf)
            place = (-keys).argsort(1).argsort(1)
            mothers = (place < n_parents[:, None]) & free & (node < size)[:, None]
            joined[:, :node, node] = mothers
            below[:, :, node] = (mothers[:, None] & earlier).any(2)
            depth[:, node] = 1 + np.where(mothers, depth[:, :node], np.inf).min(1, initial=n_nodes)
        present = np.arange(n_nodes) < size[:, None]
        leaf = present & ~joined.any(2)
        asked = rng.integers(2, size=n)
        rows = np.arange(n)
        mine = leaf & below[rows, asked] & ~below[rows, 1 - asked]
        theirs = leaf & below[rows, 1 - asked] & ~below[rows, asked]
        start = np.zeros((n, 1, n_nodes), dtype=bool)
        start[rows, 0, asked] = True
        away = distances(joined, start)[:, 0]
        mine &= (away >= self.fewest_steps) & (away <= self.most_steps)
        theirs[:, :2] = False
        fine = mine.any(1) & theirs.any(1)
        if self.most_edges is not None:
            fine &= joined.sum((1, 2)) <= self.most_edges
        if not fine.any():
            return None
        joined, asked, present = joined[fine], asked[fine], present[fine]
        ends = any_of(np.stack((mine, theirs), axis=1)[fine], rng)
        edges = _edges(joined, self.most_edges)
        return asked_of(edges, joined, asked, ends[:, 0], ends[:, 1], present, self.most_steps, rng)


def asked_everywhere(edges: Int[np.ndarray, "edge 2"], n_nodes: int, n_edges: int, *, rng: np.random.Generator) -> Questions:
    """A question from every source of one graph that leads to some of its nodes and not to all: a farthest node, or another?

    Args:
        edges: of the graph; cycles are allowed.
        n_nodes: node numbers.
        n_edges: edges are padded to so many.
        rng: draws the nodes asked about.
    """
    joined = adjacency(edges[None], n_nodes)[0]
    away = distances(joined[None])[0]
    present = np.isin(np.arange(n_nodes), edges)
    elsewhere = (away < 0) & present
    roots = np.flatnonzero(present & (away > 0).any(1) & elsewhere.any(1))
    right = (away + rng.random(away.shape)).argmax(1)[roots]
    wrong = any_of(elsewhere, rng)[roots]
    told = np.full((len(roots), n_edges, 2), -1)
    told[:, : len(edges)] = edges
    flip = rng.integers(2, size=len(roots))[:, None]
    return Questions(
        edges=told,
        roots=roots,
        candidates=np.where(flip == 0, np.stack((right, wrong), 1), np.stack((wrong, right), 1)),
        targets=right,
        distance=away[roots],
        ahead=distances(joined.T[None])[0][right],
        present=np.tile(present, (len(roots), 1)),
        paths=np.empty((len(roots), 0), dtype=int),
    )


def asked_of(
    edges: np.ndarray, joined: np.ndarray, roots: np.ndarray, targets: np.ndarray, wrong: np.ndarray, present: np.ndarray,
    most_steps: int, rng: np.random.Generator,
) -> Questions:  # fmt: skip
    """Questions with distances, candidates in a random order, and one shortest path each."""
    n, n_nodes = present.shape
    rows = np.arange(n)
    start, goal = np.zeros((2, n, 1, n_nodes), dtype=bool)
    start[rows, 0, roots] = True
    goal[rows, 0, targets] = True
    distance, ahead = distances(joined, start)[:, 0], distances(joined.transpose(0, 2, 1), goal)[:, 0]
    flip = rng.integers(2, size=(n, 1))
    candidates = np.where(flip == 0, np.stack((targets, wrong), 1), np.stack((wrong, targets), 1))
    found = Questions(edges, roots, candidates, targets, distance, ahead, present, np.empty((n, 0), dtype=int))
    paths, here = np.full((n, most_steps), -1), roots
    for c in range(1, most_steps + 1):
        onward = found.optimal(c) & joined[rows, here]
        going = onward.any(1)
        here = np.where(going, any_of(onward, rng), here)
        paths[:, c - 1] = np.where(going, here, -1)
    return replace(found, paths=paths)


def _edges(joined: np.ndarray, most: int | None = None) -> np.ndarray:
    """Edges of each graph, padded with rows of -1 to `most`, or to those of the largest."""
    graph, source, target = np.nonzero(joined)
    counts = joined.sum((1, 2))
    place = np.arange(len(graph)) - np.repeat(counts.cumsum() - counts, counts)
    edges = np.full((len(joined), int(counts.max()) if most is None else most, 2), -1)
    edges[graph, place] = np.stack((source, target), axis=1)
    return edges


def _positive_poisson(mean: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Poisson numbers given that they are not zero, by inversion."""
    k = np.arange(1, 40)
    weights = np.exp(k * np.log(mean) - np.cumsum(np.log(k)))
    return 1 + np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(n))


def _collected(
    some: Callable[[int, np.random.Generator], Questions | None], n: int, rng: np.random.Generator, *, what: str
) -> Questions:
    """`n` questions out of as many attempts as it takes."""
    if n < 1:
        raise SettingsError(f"at least one question must be asked for; got n = {n}")
    parts: list[Questions] = []
    found, attempts, tried = 0, 0, 0
    while found < n:
        size = min(4096, max(64, 1 + (n - found) * (1 + tried) // (1 + found)))
        part = some(size, rng)
        attempts, tried = attempts + 1, tried + size
        if part is not None:
            parts.append(part)
            found += len(part)
        if attempts > 200 and found < attempts:
            raise SettingsError(f"questions of this family are too rare to be found ({found} in {attempts} batches): {what}")
    return Questions.joined(parts).take(np.arange(n))
