"""A decoder that is told a graph as a set of edges, and then thinks in vectors, in words, or not at all.

One vector an edge: W_source e_s + W_target e_t + a mark, without any position code, so that edges are a set. This is what the
first layer of the paper's network makes of three tokens (an edge mark that copies its source and its target). Given it for
free, edges may enter where such copies would stand, before the second layer (`edges_at=1`): that layer alone then looks things
up, and the first serves what is told one token at a time. Or they enter before the first (`edges_at=0`), which leaves room for
two look-ups in a row. Then the two candidates and the root, each with a mark of its own. After the root come continuous
thoughts (the last hidden state as the next input), or the nodes of a path, or nothing. The answer is asked for by a mark added
to the last of them, for the paper's first layer would copy that one to the mark.
Source: Zhu et al. 2025, arXiv:2505.12514, section 5; thoughts: Hao et al. 2024, arXiv:2412.06769.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, DecoderConfig, DecoderParameters, Past, Visitor, looked_up
from assay.models.runs import SideBySide

__all__ = ["Edit", "GraphReader", "Speaking", "Thinking", "reader_config"]

MARKS = ("edge", "candidate", "root", "answer")
Edit = Callable[[int, Tensor], Tensor]
"""edit(c, thought [batch, d_model]) is what is fed back in place of thought c (from 1)."""


class Thinking(NamedTuple):
    """What a reader says after thinking, and how it came to it.

    Attributes:
        logits: over nodes and marks, [batch, vocab].
        thoughts: as they were made (before an edit), [batch, thought, d_model].
        attention: on each edge when that thought is made, summed over heads, of each layer that sees edges,
            [batch, thought, layer, edge].
    """

    logits: Tensor
    thoughts: Tensor
    attention: Tensor


class Speaking(NamedTuple):
    """What a reader says word by word, and in which state.

    Attributes:
        path: the nodes said, [batch, step].
        logits: of the answer, [batch, vocab].
        states: the last hidden state from which each word is read, [batch, step, d_model]; the first is the root's, as
            thought 1 is.
    """

    path: Tensor
    logits: Tensor
    states: Tensor


def reader_config(
    n_nodes: int, *, n_layers: int = 2, n_heads: int = 4, d_model: int = 64, d_mlp: int | None = None
) -> DecoderConfig:
    """GPT-2's parts, tied, without positions; the vocabulary is the node numbers and the four marks.

    Embeddings start with length one: from GPT-2's 0.02 a look-up takes several times as long to form.
    """
    vocab = n_nodes + len(MARKS)
    return DecoderConfig(
        vocab, vocab, n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_mlp=4 * d_model if d_mlp is None else d_mlp,
        norm="layer", positions="none", tied=True, biases=True, embed_std=d_model**-0.5,
    )  # fmt: skip


class GraphReader(SideBySide):
    """The decoder and the two matrices that make one vector of an edge; a leading run axis as in `Decoder`.

    What it is told is one row of integers a question: the edges' sources and targets in turn (-1 pads), the two candidates,
    the root: [batch, 2 edge + 3]. Edges enter before layer `edges_at`.
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        edges_at: int = 0,
        n_runs: int | None = None,
        rngs: Sequence[np.random.Generator] | None = None,
    ) -> None:
        super().__init__(n_runs)
        if not 0 <= edges_at < config.n_layers:
            raise SettingsError(f"edges must enter one of the layers 0..{config.n_layers - 1}; got edges_at = {edges_at}")
        self.edges_at = edges_at
        if config.vocab_size is None or config.positions != "none" or not config.tied:
            raise SettingsError("a graph reader needs a vocabulary, tied embeddings and no positions; use reader_config()")
        self.n_nodes = config.vocab_size - len(MARKS)
        parameter = DecoderParameters(config, n_runs, rngs)
        self.W_source, self.W_target = (parameter.matrix(config.d_model, config.d_model, config.d_model) for _ in range(2))
        self.decoder = Decoder(config, n_runs=n_runs, rngs=rngs)

    @classmethod
    def init(
        cls, config: DecoderConfig, rng: np.random.Generator | Sequence[np.random.Generator], *, edges_at: int = 0
    ) -> "GraphReader":
        """A reader with random weights; from several generators, as many runs side by side."""
        if isinstance(rng, np.random.Generator):
            return cls(config, edges_at=edges_at, rngs=[rng])
        return cls(config, edges_at=edges_at, n_runs=len(rng), rngs=rng)

    @property
    def embeddings(self) -> Float[Tensor, "*run vocab d_model"]:
        """Of nodes, then marks."""
        assert self.decoder.W_E is not None
        return self.decoder.W_E

    def told(self, inputs: Int[Tensor, "*run batch told"]) -> tuple[Tensor, Tensor]:
        """The prompt as vectors: edges [batch, edge, d_model]; candidates and root [batch, 3, d_model]."""
        table, n = self.embeddings, self.n_nodes
        edge, candidate, root = (table[..., None, n + i : n + i + 1, :] for i in range(3))
        blank = F.pad(table[..., :n, :], (0, 0, 1, 0))  # row 0 stands for -1
        # One row for each pair of nodes: there are fewer pairs than edges in a batch, so that one look-up is cheaper than two.
        pairs = (blank @ self.W_source).unsqueeze(-2) + (blank @ self.W_target).unsqueeze(-3) + edge
        places = (inputs[..., :-3:2] + 1) * (n + 1) + inputs[..., 1:-3:2] + 1
        edges = looked_up(pairs.flatten(-3, -2), places)
        return edges, torch.cat(
            (looked_up(table, inputs[..., -3:-1]) + candidate, looked_up(table, inputs[..., -1:]) + root), -2
        )

    def hidden(
        self,
        x: Float[Tensor, "*run batch pos d_model"],
        past: Past | None = None,
        *,
        edges: Float[Tensor, "*run batch edge d_model"] | None = None,
        n_read: int = 1,
        visit: Visitor | None = None,
    ) -> Float[Tensor, "*run batch n_read d_model"]:
        """The stream after last block and final norm at the last `n_read` positions of x; edges join it at their layer."""
        blocks = self.decoder.blocks
        for layer, block in enumerate(blocks):
            is_last = layer == len(blocks) - 1
            if layer == self.edges_at and edges is not None:
                x = torch.cat((edges, x), -2)
            n_new, n_past = x.shape[-2], 0 if past is None else past.n_positions(layer)
            later = torch.ones(n_new, n_past + n_new, dtype=torch.bool).triu(1 + n_past)
            rows = slice(n_new - n_read, n_new) if is_last else None
            x = block(x, later if rows is None else later[rows], rows=rows, past=past, few=is_last, visit=visit)
        return self.decoder.final_norm(x)

    def think(
        self, inputs: Tensor, n_thoughts: int, *, ask: bool = True, edit: Edit | None = None, look: bool = False
    ) -> Thinking:
        """What is said after `n_thoughts` continuous thoughts: at the answer mark with `ask`, else at the last thought.

        Args:
            inputs: see the class.
            n_thoughts: thoughts fed back.
            ask: end with the mark that asks for the answer.
            edit: changes thoughts before they are fed back.
            look: keep the attention; without it the field is empty.

        Raises:
            SettingsError: a negative number of thoughts.
        """
        if n_thoughts < 0:
            raise SettingsError(f"n_thoughts must be at least 0; got {n_thoughts}")
        n_layers = self.decoder.config.n_layers - self.edges_at  # that see edges
        n_edges = (inputs.shape[-1] - 3) // 2
        seen: list[Tensor] = []

        def keep(site: str, layer: int, value: Tensor) -> None:
            if site == "pattern" and layer >= self.edges_at:
                seen.append(value[..., -1, :n_edges].sum(-2).detach())

        visit = keep if look else None
        past = Past()
        edges, asked = self.told(inputs)
        if ask and not n_thoughts:
            asked = self._marked(asked)
        state = self.hidden(asked, past, edges=edges, visit=visit)
        thoughts = []
        for c in range(1, n_thoughts + 1):
            thoughts.append(state)
            fed = state if edit is None else edit(c, state.squeeze(-2)).unsqueeze(-2)
            if ask and c == n_thoughts:
                fed = self._marked(fed)
            state = self.hidden(fed, past, visit=visit)
        logits, none = self.decoder.read_out(state).squeeze(-2), state[..., :0, :]
        looked = seen[: n_thoughts * n_layers]
        return Thinking(
            logits,
            torch.cat(thoughts, -2) if thoughts else none,
            torch.unflatten(torch.stack(looked, -2), -2, (n_thoughts, n_layers))
            if looked
            else none.unsqueeze(-2)[..., :n_edges],
        )

    def spoken(self, inputs: Tensor, path: Int[Tensor, "*run batch step"]) -> Float[Tensor, "*run batch step+1 vocab"]:
        """Logits of a discrete chain of thought: at the root and at each node of the path, the last of which asks."""
        edges, asked = self.told(inputs)
        x = self._marked(torch.cat((asked, looked_up(self.embeddings, path)), -2))
        return self.decoder.read_out(self.hidden(x, edges=edges, n_read=path.shape[-1] + 1))

    def speak(self, inputs: Tensor, n_steps: int) -> Speaking:
        """The path a discrete chain of thought takes, greedily, and the answer at its last word."""
        past = Past()
        edges, asked = self.told(inputs)
        state = self.hidden(asked if n_steps else self._marked(asked), past, edges=edges)
        said, states = [], []
        for step in range(1, n_steps + 1):
            states.append(state)
            said.append(self.decoder.read_out(state).squeeze(-2).argmax(-1, keepdim=True))
            word = looked_up(self.embeddings, said[-1])
            state = self.hidden(self._marked(word) if step == n_steps else word, past)
        return Speaking(
            torch.cat(said, -1) if said else inputs[..., :0],
            self.decoder.read_out(state).squeeze(-2),
            torch.cat(states, -2) if states else state[..., :0, :],
        )

    def _marked(self, x: Tensor) -> Tensor:
        """The vectors with the mark that asks for the answer on the last of them."""
        row = self.n_nodes + MARKS.index("answer")
        mark = self.embeddings[..., None, row : row + 1, :]
        return torch.cat((x[..., :-1, :], x[..., -1:, :] + mark), -2)
