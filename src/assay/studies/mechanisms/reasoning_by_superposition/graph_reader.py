"""A decoder that is told a graph as a set of edges, and then thinks in vectors, in words, or not at all.

One vector an edge: W_source e_s + W_target e_t + a mark, without any position code, so that edges are a set. This is what the
first layer of the paper's network makes of three tokens (an edge mark that copies its source and its target), given for free.
The second layer alone looks edges up (`edges_at=1`), and the first serves what is told one token at a time; or both do
(`edges_at=0`), which leaves room for two look-ups in a row. The two candidates are told with the edges, each with a mark. Then
comes the root; after it continuous thoughts (the last hidden state as the next input), or the nodes of a path, or nothing. The
answer is asked for by a mark added to the last of them, for the paper's first layer would copy that one to the mark.

Why it is fast: what is told is looked up, and never changes. An edge's key is the sum of a key of its source and one of its
target, so that a query meets each node three times (as a candidate, too) and no edge; what edges give is a sum over nodes
again. No vector of an edge is made. Only the root, thoughts and words go through the layers.
Source: Zhu et al. 2025, arXiv:2505.12514, section 5; thoughts: Hao et al. 2024, arXiv:2412.06769.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import SettingsError
from assay.models.decoder import Block, Decoder, DecoderConfig, DecoderParameters, looked_up
from assay.models.runs import SideBySide

__all__ = ["Edit", "GraphReader", "Speaking", "Thinking", "reader_config"]

MARKS = ("edge", "candidate", "root", "answer")
FIRST_LOOK = 0.3  # of queries and keys at the start: attention is then nearly even, and a look-up forms twice as fast
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
        attention: on each edge when that state is made, as of a thought.
    """

    path: Tensor
    logits: Tensor
    states: Tensor
    attention: Tensor


def likeliest(logits: Float[Tensor, "*batch vocab"]) -> Int[Tensor, "*batch"]:
    """The token with the largest logit."""
    return logits.argmax(-1)


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


@dataclass(frozen=True)
class _Layer:
    """One layer's weights as they are multiplied, each with the runs in front; norms' scales and shifts are in the maps.

    Attributes:
        query, key, value: of the tokens (queries scaled), each [d_model, head d_head] and its bias. Three maps: what one joined
            map gives would be cut, and its gradient joined again.
        out, out_bias: of the heads' values, [head d_head, d_model].
        up, up_bias, down, down_bias: of the MLP.
        keys: what a query meets at each node as a source, a target, a candidate, [head d_head, head 3 node]; None where
            nothing is told.
        values: what an edge's source, its target, a candidate adds to the stream through each head, [head 3 node, d_model].
    """

    query: tuple[Tensor, Tensor]
    key: tuple[Tensor, Tensor]
    value: tuple[Tensor, Tensor]
    out: Tensor
    out_bias: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor
    keys: Tensor | None
    values: Tensor | None


@dataclass
class _Pass:
    """What stays the same while a question is answered, and what its tokens have left behind.

    Attributes:
        layers: weights.
        ends: where the two ends of what is told (the edges, then the candidates) stand among 3 node, first all first ends,
            [run, batch, 1, 1, 2 told]; both ends of a candidate are one.
        blank: which edges only pad, -inf there and 0 elsewhere, [run, batch, 1, 1, told]; None for none.
        past: of each layer the tokens' keys and values as they came, each [run, batch, pos, head, d_head].
        looked: attention on edges summed over heads, one [run, batch, edge] for each visit; None keeps none.
    """

    layers: list[_Layer]
    ends: Tensor
    blank: Tensor | None
    past: list[list[tuple[Tensor, Tensor]]]
    looked: list[Tensor] | None


class GraphReader(SideBySide):
    """The decoder and the two matrices that make one vector of an edge; a leading run axis as in `Decoder`.

    What it is told is one row of integers a question: the edges' sources and targets in turn (-1 pads), the two candidates,
    the root: [batch, 2 edge + 3]. Layers from `edges_at` on look edges up.
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
        free = {"n_outputs", "vocab_size", "n_layers", "n_heads", "d_model", "d_mlp", "embed_std"}
        usual = reader_config(1)
        if config.vocab_size is None or any(
            getattr(config, part.name) != getattr(usual, part.name) for part in fields(config) if part.name not in free
        ):
            raise SettingsError("a graph reader needs a vocabulary, tied embeddings and no positions; use reader_config()")
        self.n_nodes = config.n_outputs - len(MARKS)
        parameter = DecoderParameters(config, n_runs, rngs)
        self.W_source, self.W_target = (parameter.matrix(config.d_model, config.d_model, config.d_model) for _ in range(2))
        self.decoder = Decoder(config, n_runs=n_runs, rngs=rngs)
        with torch.no_grad():
            for name, weight in self.decoder.named_parameters():
                if name.endswith(("W_Q", "W_K")):
                    weight.mul_(FIRST_LOOK)

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

    def ends_of_edges(self) -> Float[Tensor, "*run 3*node d_model"]:
        """What each node adds to the vector of an edge as its source (mark included), then as its target; half a candidate's.

        The factor makes an edge about twice as long as a norm would at the start, √d_model.
        """
        nodes, n = self.embeddings[..., : self.n_nodes, :], self.n_nodes
        edge, candidate = (self.embeddings[..., [n + MARKS.index(name)], :] for name in ("edge", "candidate"))
        ends = torch.cat((nodes @ self.W_source + edge, nodes @ self.W_target, (nodes + candidate) / 2), -2)
        return ends * (2 * math.sqrt(self.decoder.config.d_model / 3))

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
        now, x = self._begun(inputs, look=look)
        state = self._read(now, self._marked(x) if ask and not n_thoughts else x)
        thoughts = []
        for c in range(1, n_thoughts + 1):
            thoughts.append(state)
            fed = state if edit is None else self._run_axis(edit(c, self._no_axis(state).squeeze(-2)).unsqueeze(-2), 3)
            state = self._read(now, self._marked(fed) if ask and c == n_thoughts else fed)
        return Thinking(
            self._no_axis(self._logits(state)).squeeze(-2),
            self._no_axis(torch.cat(thoughts, -2) if thoughts else state[..., :0, :]),
            self._looked(now, state, n_thoughts),
        )

    def spoken(self, inputs: Tensor, path: Int[Tensor, "*run batch step"]) -> Float[Tensor, "*run batch step+1 vocab"]:
        """Logits of a discrete chain of thought: at the root and at each node of the path, the last of which asks."""
        now, asked = self._begun(inputs)
        x = self._marked(torch.cat((asked, self._words(self._run_axis(path, 2))), -2))
        return self._no_axis(self._logits(self._read(now, x, n_read=path.shape[-1] + 1)))

    def speak(
        self, inputs: Tensor, n_steps: int, *, choose: Callable[[Tensor], Tensor] = likeliest, look: bool = False
    ) -> Speaking:
        """The path a discrete chain of thought takes, and the answer at its last word.

        Args:
            inputs: see the class.
            n_steps: words said.
            choose: the token that is said, [batch], from logits [batch, vocab].
            look: keep the attention; without it the field is empty.
        """
        now, asked = self._begun(inputs, look=look)
        state = self._read(now, asked if n_steps else self._marked(asked))
        said, states = [], []
        for step in range(1, n_steps + 1):
            states.append(state)
            said.append(choose(self._logits(state).squeeze(-2)).unsqueeze(-1))
            word = self._words(said[-1])
            state = self._read(now, self._marked(word) if step == n_steps else word)
        return Speaking(
            self._no_axis(torch.cat(said, -1)) if said else inputs[..., :0],
            self._no_axis(self._logits(state)).squeeze(-2),
            self._no_axis(torch.cat(states, -2) if states else state[..., :0, :]),
            self._looked(now, state, n_steps),
        )

    def _looked(self, now: _Pass, state: Tensor, n_steps: int) -> Tensor:
        """Attention of the passes that made so many states, by layer that sees edges; empty where it was not kept."""
        n_layers = self.decoder.config.n_layers - self.edges_at
        if not now.looked or not n_steps:
            return self._no_axis(state[..., :0])
        attention = torch.stack(now.looked[: n_steps * n_layers], -2)
        return self._no_axis(torch.unflatten(attention, -2, (n_steps, n_layers)))

    def _begun(self, inputs: Tensor, *, look: bool = False) -> tuple[_Pass, Tensor]:
        """What does not change, and the root as a vector, [run, batch, 1, d_model]."""
        inputs, n = self._run_axis(inputs, 2), self.n_nodes
        sources, targets, candidates = inputs[..., :-3:2], inputs[..., 1:-3:2], inputs[..., -3:-1] + 2 * n
        padding = F.pad(sources < 0, (0, 2))
        blank = torch.zeros(padding.shape).masked_fill(padding, -math.inf)[..., None, None, :] if padding.any() else None
        ends = torch.cat((sources.clamp_min(0), candidates, targets.clamp_min(0) + n, candidates), -1)[..., None, None, :]
        tables = self._run_axis(self.ends_of_edges(), 2)
        layers = [self._weights(layer, tables) for layer in range(self.decoder.config.n_layers)]
        table = self._run_axis(self.embeddings, 2)
        x = looked_up(table, inputs[..., -1:]) + table[:, None, [n + MARKS.index("root")]]
        return _Pass(layers, ends, blank, [[] for _ in layers], [] if look else None), x

    def _weights(self, layer: int, ends: Tensor) -> _Layer:
        """A layer's weights, made ready for all passes of a question."""
        config = self.decoder.config
        n_heads, d_head = config.n_heads, config.width_of_head
        block = self.decoder.blocks[layer]
        assert isinstance(block, Block)
        named = {name: value if self.n_runs is not None else value[None] for name, value in block.named_parameters()}
        scale = 1 / math.sqrt(d_head)
        into = {name: named[f"W_{name}"].transpose(1, 2).flatten(2) for name in "QKV"}
        bias = {name: named[f"b_{name}"].flatten(1)[:, None] for name in "QKV"}
        into["Q"], bias["Q"] = into["Q"] * scale, bias["Q"] * scale
        out = named["W_O"].flatten(1, 2)
        keys = values = None
        if layer >= self.edges_at:
            # Of the bias, so that both ends together have it once.
            share = torch.tensor([1.0, 0.0, 0.5]).repeat_interleave(self.n_nodes)[:, None]
            by_head = [
                torch.unflatten(ends @ into[name] + share * bias[name], -1, (n_heads, d_head)).transpose(1, 2) for name in "KV"
            ]  # each [run, head, 3 node, d_head]
            apart = torch.eye(n_heads).view(n_heads, 1, n_heads, 1)
            keys = (by_head[0].transpose(-2, -1).unsqueeze(-2) * apart).flatten(3).flatten(1, 2)
            values = (by_head[1] @ named["W_O"]).flatten(1, 2)
        query, key, value = (
            (named["w_ln1"][..., None] * into[name], bias[name] + named["b_ln1"][:, None] @ into[name]) for name in "QKV"
        )
        return _Layer(
            query,
            key,
            value,
            out,
            named["b_O"][:, None],
            named["w_ln2"][..., None] * named["W_in"],
            (named["b_in"] + (named["b_ln2"][:, None] @ named["W_in"]).squeeze(1))[:, None],
            named["W_out"],
            named["b_out"][:, None],
            keys,
            values,
        )

    def _read(self, now: _Pass, x: Tensor, *, n_read: int = 1) -> Float[Tensor, "run batch n_read d_model"]:
        """The stream after last block and final norm at the last `n_read` positions of x."""
        for i, layer in enumerate(now.layers):
            attended = self._attended(now, i, x, n_read if i == len(now.layers) - 1 else x.shape[-2])
            x = x[..., -attended.shape[-2] :, :] + attended
            hidden = F.gelu(_map(F.layer_norm(x, x.shape[-1:]), layer.up, layer.up_bias), approximate="tanh")
            x = x + _map(hidden, layer.down, layer.down_bias)
        assert self.decoder.w_final is not None
        assert self.decoder.b_final is not None
        weight, shift = (self._run_axis(value, 1)[:, None, None] for value in (self.decoder.w_final, self.decoder.b_final))
        return F.layer_norm(x, x.shape[-1:]) * weight + shift

    def _attended(self, now: _Pass, i: int, x: Tensor, n_rows: int) -> Tensor:
        """What layer i's heads add to the stream at the last `n_rows` positions of x."""
        layer, config = now.layers[i], self.decoder.config
        normed = F.layer_norm(x, x.shape[-1:])
        at = normed if n_rows == x.shape[-2] else normed[:, :, x.shape[-2] - n_rows :]
        q, k, v = (
            torch.unflatten(_map(some, *into), -1, (config.n_heads, -1))  # [run, batch, pos, head, d_head]
            for some, into in ((at, layer.query), (normed, layer.key), (normed, layer.value))
        )
        now.past[i].append((k, v))
        scores = _scores(q, [key for key, _ in now.past[i]])
        n_all = scores.shape[-1]
        if n_rows > 1:
            later = torch.ones(n_rows, n_all, dtype=torch.bool).triu(1 + n_all - n_rows)[:, None]
            scores = scores.masked_fill(later, -math.inf)
        if layer.keys is None or layer.values is None:
            weights, given = torch.softmax(scores, -1), None
        else:
            n_told = now.ends.shape[-1] // 2
            index = now.ends.expand(*scores.shape[:-1], -1)
            met = torch.unflatten(_map(q.flatten(-2), layer.keys), -1, (config.n_heads, -1)).gather(-1, index)
            found = met[..., :n_told] + met[..., n_told:]
            found = found if now.blank is None else found + now.blank
            looked, weights = torch.split(torch.softmax(torch.cat((found, scores), -1), -1), [n_told, n_all], -1)
            if now.looked is not None:
                now.looked.append(looked[:, :, -1, :, :-2].sum(-2).detach())
            shares = torch.zeros(*scores.shape[:-1], 3 * self.n_nodes).scatter_add(-1, index, torch.cat((looked, looked), -1))
            given = _map(shares.flatten(-2), layer.values)
        mixed = _mixed(weights, [value for _, value in now.past[i]])
        attended = _map(mixed.flatten(-2), layer.out, layer.out_bias)
        return attended if given is None else attended + given

    def _logits(self, state: Tensor) -> Tensor:
        return _map(state, self._run_axis(self.embeddings, 2).mT)

    def _words(self, nodes: Tensor) -> Tensor:
        return looked_up(self._run_axis(self.embeddings, 2), nodes)

    def _marked(self, x: Tensor) -> Tensor:
        """The vectors with the mark that asks for the answer on the last of them."""
        mark = self._run_axis(self.embeddings, 2)[:, None, None, self.n_nodes + MARKS.index("answer")]
        return torch.cat((x[..., :-1, :], x[..., -1:, :] + mark), -2) if x.shape[-2] > 1 else x + mark

    def _run_axis(self, value: Tensor, dims: int) -> Tensor:
        """The value, of `dims` axes beside the runs, with a run axis whether there are several runs or not."""
        return value if self.n_runs is not None else value[None]

    def _no_axis(self, value: Tensor) -> Tensor:
        return value if self.n_runs is not None else value[0]


def _map(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight + bias over [run, batch, pos, in]: one product a run."""
    flat = x.flatten(1, 2)
    y = flat @ weight if bias is None else torch.baddbmm(bias, flat, weight)
    return torch.unflatten(y, 1, x.shape[1:3])


def _scores(q: Tensor, keys: list[Tensor]) -> Tensor:
    """Queries times keys by head, [run, batch, row, head, pos]; of one row a question the keys came one by one.

    One row is multiplied number by number: a thousand products of matrices as small as these take longer.
    """
    if q.shape[2] > 1:
        return (q.transpose(2, 3) @ torch.cat(keys, 2).permute(0, 1, 3, 4, 2)).transpose(2, 3)
    return torch.stack([(q * key).sum(-1) for key in keys], -1)


def _mixed(weights: Tensor, values: list[Tensor]) -> Tensor:
    """Values weighted by head, [run, batch, row, head, d_head]; see `_scores`."""
    if weights.shape[2] > 1:
        return (weights.transpose(2, 3) @ torch.cat(values, 2).transpose(2, 3)).transpose(2, 3)
    first, *others = weights.unsqueeze(-1).unbind(-2)
    mixed = first * values[0]
    for weight, value in zip(others, values[1:], strict=True):
        mixed = torch.addcmul(mixed, weight, value)
    return mixed
