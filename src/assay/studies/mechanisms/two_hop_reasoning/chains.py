"""Chains among distractors: src -> brg -> end told edge by edge, several chains interleaved, one source asked.

[BOS] s t  s t  ...  s t  q: every edge is two tokens, the last token repeats the source of one chain, and the answer is where
that chain ends. Source: Guo et al. 2025, arXiv:2502.13913, section 2 (k hops and unrelated edges as in the authors' generator).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from assay.core.errors import SettingsError

__all__ = ["SPECIAL", "ChainSequences", "ChainWorld"]

SPECIAL = 4  # BOS, EDGE, ANS, EOS come before the node tokens
BOS = 0


@dataclass(frozen=True)
class ChainSequences:
    """A batch of sequences with its truth.

    Attributes:
        tokens: BOS, the edges, the query.
        answers: the token at the end of the asked chain.
        chains: the node tokens of every chain in order.
        asked: which chain.
        slots: where each edge stands: its place among the edges, so that its parent is token 1 + 2 slot, its child the next.
    """

    tokens: Int[np.ndarray, "batch pos"]
    answers: Int[np.ndarray, " batch"]
    chains: Int[np.ndarray, "batch chain hop+1"]
    asked: Int[np.ndarray, " batch"]
    slots: Int[np.ndarray, "batch chain hop"]

    @property
    def asked_slots(self) -> Int[np.ndarray, "batch hop"]:
        """The slots of the asked chain's edges."""
        return np.take_along_axis(self.slots, self.asked[:, None, None], axis=1)[:, 0]

    @property
    def ends(self) -> Int[np.ndarray, "batch chain"]:
        """The last node of every chain."""
        return self.chains[..., -1]

    @property
    def sources(self) -> Int[np.ndarray, "batch chain"]:
        """The first node of every chain: what each is asked by."""
        return self.chains[..., 0]

    def __getitem__(self, rows: slice) -> "ChainSequences":
        """Some of them."""
        return ChainSequences(self.tokens[rows], self.answers[rows], self.chains[rows], self.asked[rows], self.slots[rows])


@dataclass(frozen=True)
class ChainWorld:
    """How many chains of how many hops, over how many nodes.

    Attributes:
        n_loose: unrelated single edges among them.
        order: whether a chain's edges keep their order ("forward", the paper's), are turned ("backward"), or may stand anyhow.
    """

    n_chains: int = 5
    n_hops: int = 2
    n_nodes: int = 30
    n_loose: int = 0
    order: Literal["forward", "backward", "any"] = "forward"

    def __post_init__(self) -> None:
        if self.n_chains < 1 or self.n_hops < 1 or self.n_loose < 0:
            raise SettingsError(
                f"chain world: at least one chain of one hop, loose edges not negative; "
                f"got {self.n_chains} chains, {self.n_hops} hops, {self.n_loose} loose edges"
            )
        if self.n_used > self.n_nodes:
            raise SettingsError(
                f"chain world: all nodes of a sequence are different; {self.n_chains} chains of {self.n_hops} hops and "
                f"{self.n_loose} loose edges need {self.n_used} nodes, got n_nodes = {self.n_nodes}"
            )

    @property
    def n_used(self) -> int:
        """Nodes in a sequence."""
        return self.n_chains * (self.n_hops + 1) + 2 * self.n_loose

    @property
    def n_edges(self) -> int:
        """Edges in a sequence."""
        return self.n_chains * self.n_hops + self.n_loose

    @property
    def n_tokens(self) -> int:
        """Tokens of a sequence, BOS and query included."""
        return 2 + 2 * self.n_edges

    @property
    def vocab_size(self) -> int:
        """Special tokens and nodes."""
        return SPECIAL + self.n_nodes

    def sequences(self, n: int, *, rng: np.random.Generator) -> ChainSequences:
        """`n` sequences; every interleaving of the chains is equally likely."""
        n_chains, n_hops = self.n_chains, self.n_hops
        in_chains = n_chains * (n_hops + 1)
        nodes = SPECIAL + rng.random((n, self.n_nodes), dtype=np.float32).argsort(axis=1)[:, : self.n_used]
        chains = nodes[:, :in_chains].reshape(n, n_chains, n_hops + 1)
        loose = nodes[:, in_chains:].reshape(n, self.n_loose, 2)
        slots = rng.random((n, self.n_edges), dtype=np.float32).argsort(axis=1)
        in_order = slots[:, : n_chains * n_hops].reshape(n, n_chains, n_hops)
        if self.order != "any":
            in_order = np.sort(in_order, axis=-1)
        if self.order == "backward":
            in_order = in_order[..., ::-1]
        edges = np.stack((chains[..., :-1], chains[..., 1:]), axis=-1).reshape(n, n_chains * n_hops, 2)
        edges = np.concatenate((edges, loose), axis=1)
        places = np.concatenate((in_order.reshape(n, -1), slots[:, n_chains * n_hops :]), axis=1)
        tokens = np.full((n, self.n_tokens), BOS)
        rows = np.arange(n)
        told = tokens[:, 1:-1].reshape(n, self.n_edges, 2)
        told[rows[:, None], places] = edges
        tokens[:, 1:-1] = told.reshape(n, -1)
        asked = rng.integers(n_chains, size=n)
        tokens[:, -1] = chains[rows, asked, 0]
        return ChainSequences(tokens, chains[rows, asked, -1], chains, asked, in_order)
