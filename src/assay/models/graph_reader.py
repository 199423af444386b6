"""A decoder that is told a graph as a set of edges, and then thinks in vectors, in words, or not at all.

One position an edge: W_source e_s + W_target e_t + a mark, without any position code, so that edges are a set. This is what
the first layer of the paper's network makes of three tokens (an edge mark that copies its source and its target); given it
for free, sequences are three times shorter. Then the two candidates and the root, each with a mark of its own. After the root
come continuous thoughts (the last hidden state as the next input), or the nodes of a path, or nothing; then the mark that asks
for the answer. Source: Zhu et al. 2025, arXiv:2505.12514, section 5; thoughts: Hao et al. 2024, arXiv:2412.06769.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import InputError, SettingsError
from assay.models.decoder import Decoder, DecoderConfig, Parameters, Past

__all__ = ["GraphReader", "Thinking", "reader_config"]

MARKS = ("edge", "candidate", "root", "answer")
Edit = Callable[[int, Tensor], Tensor]
"""edit(c, thought [batch, d_model]) is what is fed back in place of thought c (from 1)."""


class Thinking(NamedTuple):
    """What a reader says after thinking, and how it came to it.

    Attributes:
        logits: over nodes and marks, [batch, vocab].
        thoughts: as they were made (before an edit), [batch, thought, d_model].
        attention: of the last layer on each edge when that thought is made, summed over heads, [batch, thought, edge].
    """

    logits: Tensor
    thoughts: Tensor
    attention: Tensor


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


class GraphReader(nn.Module):
    """The decoder and the two matrices that make one vector of an edge; a leading run axis as in `Decoder`.

    What it is told is one row of integers a question: the edges' sources and targets in turn (-1 pads), the two candidates,
    the root: [batch, 2 edge + 3].
    """

    def __init__(
        self, config: DecoderConfig, *, n_runs: int | None = None, rngs: Sequence[np.random.Generator] | None = None
    ) -> None:
        super().__init__()
        if config.vocab_size is None or config.positions != "none" or not config.tied:
            raise SettingsError("a graph reader needs a vocabulary, tied embeddings and no positions; use reader_config()")
        self.n_nodes, self.n_runs = config.vocab_size - len(MARKS), n_runs
        parameter = Parameters(config, n_runs, rngs)
        self.W_source, self.W_target = (parameter.matrix(config.d_model, config.d_model, config.d_model) for _ in range(2))
        self.decoder = Decoder(config, n_runs=n_runs, rngs=rngs)

    @classmethod
    def init(cls, config: DecoderConfig, rng: np.random.Generator | Sequence[np.random.Generator]) -> "GraphReader":
        """A reader with random weights; from several generators, as many runs side by side."""
        if isinstance(rng, np.random.Generator):
            return cls(config, rngs=[rng])
        return cls(config, n_runs=len(rng), rngs=rng)

    def run(self, index: int) -> "GraphReader":
        """Run `index` alone, copied, without the run axis."""
        if self.n_runs is None:
            raise InputError("run(i) needs a reader with a run axis; this one has a single run")
        alone = GraphReader(self.decoder.config)
        alone.load_state_dict({name: value[index] for name, value in self.state_dict().items()})
        return alone

    @property
    def embeddings(self) -> Float[Tensor, "*run vocab d_model"]:
        """Of nodes, then marks."""
        assert self.decoder.W_E is not None
        return self.decoder.W_E

    def told(self, inputs: Int[Tensor, "*run batch told"]) -> Float[Tensor, "*run batch edge+3 d_model"]:
        """The prompt as vectors: edges, candidates, root."""
        table, n = self.embeddings, self.n_nodes
        edge, candidate, root = (table[..., None, n + i : n + i + 1, :] for i in range(3))
        blank = F.pad(table[..., :n, :], (0, 0, 1, 0))  # row 0 stands for -1
        sources, targets = inputs[..., :-3:2] + 1, inputs[..., 1:-3:2] + 1
        edges = _rows(blank @ self.W_source, sources) + _rows(blank @ self.W_target, targets) + edge
        return torch.cat((edges, _rows(table, inputs[..., -3:-1]) + candidate, _rows(table, inputs[..., -1:]) + root), -2)

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
        decoder, last = self.decoder, self.decoder.config.n_layers - 1
        n_edges = (inputs.shape[-1] - 3) // 2
        seen: list[Tensor] = []

        def keep(site: str, layer: int, value: Tensor) -> None:
            if site == "pattern" and layer == last:
                seen.append(value[..., -1, :n_edges].sum(-2).detach())

        visit = keep if look else None
        past: Past = []
        state = decoder.hidden(self.told(inputs), at=-1, past=past, visit=visit)
        thoughts = []
        for c in range(1, n_thoughts + 1):
            thoughts.append(state)
            fed = state if edit is None else edit(c, state.squeeze(-2)).unsqueeze(-2)
            if ask and c == n_thoughts:  # the last thought and the mark that follows it, in one pass
                fed = torch.cat((fed, self._mark("answer", like=fed)), -2)
            state = decoder.hidden(fed, at=-1, past=past, visit=visit)
        if ask and not n_thoughts:
            state = decoder.hidden(self._mark("answer", like=state), at=-1, past=past)
        logits = decoder.read_out(state).squeeze(-2)
        none = state[..., :0, :]
        return Thinking(
            logits,
            torch.cat(thoughts, -2) if thoughts else none,
            torch.stack(seen[:n_thoughts], -2) if look and n_thoughts else none[..., :n_edges],
        )

    def spoken(self, inputs: Tensor, path: Int[Tensor, "*run batch step"]) -> Float[Tensor, "*run batch step+2 vocab"]:
        """Logits of a discrete chain of thought: at the root, at each node of the path, and at the answer mark."""
        told = self.told(inputs)
        words = _rows(self.embeddings, path)
        x = torch.cat((told, words, self._mark("answer", like=told)), -2)
        hidden = self.decoder.hidden(x)
        return self.decoder.read_out(hidden[..., told.shape[-2] - 1 :, :])

    def speak(self, inputs: Tensor, n_steps: int) -> tuple[Tensor, Tensor]:
        """The path a discrete chain of thought takes, greedily, [batch, step], and the logits of the answer [batch, vocab]."""
        past: Past = []
        state = self.decoder.hidden(self.told(inputs), at=-1, past=past)
        said = []
        for _ in range(n_steps):
            said.append(self.decoder.read_out(state).squeeze(-2).argmax(-1, keepdim=True))
            state = self.decoder.hidden(_rows(self.embeddings, said[-1]), at=-1, past=past)
        state = self.decoder.hidden(self._mark("answer", like=state), at=-1, past=past)
        path = torch.cat(said, -1) if said else inputs[..., :0]
        return path, self.decoder.read_out(state).squeeze(-2)

    def _mark(self, name: str, *, like: Tensor) -> Tensor:
        row = self.n_nodes + MARKS.index(name)
        return self.embeddings[..., None, row : row + 1, :].expand(*like.shape[:-2], 1, -1)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """table[index], with the run axis of the table matched to the first axis of the index."""
    if table.dim() == 2:
        return F.embedding(index, table)
    starts = torch.arange(table.shape[0]).mul_(table.shape[1])
    return F.embedding(index + starts.view(-1, *(1 for _ in index.shape[1:])), table.flatten(0, 1))
