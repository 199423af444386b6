"""One small decoder whose every part can be switched, with many independent runs in one program where that is faster.

Read it in the order the tensors flow: `DecoderConfig`, `Decoder.embed`, `Block.forward`, `Decoder.hidden`, `Decoder.forward`,
`Decoder.think`. Shapes are written without the run axis; a decoder made from several generators has it in front of every
parameter, input and activation ([run, batch, pos, d_model]), and run i computes exactly what it would compute alone.

Three exact rearrangements make it fast at toy sizes. With one head, or one query, products of weights are cheaper than those
of activations: scores are x W_QK xᵀ and outputs (pattern x) W_OV. With `at=-1` the last block computes its last row only. And
where blocks add one head's attention and nothing else, the stream before that row's block is never multiplied out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.errors import InputError, SettingsError, unknown_name
from assay.models.fused import gelu, rms_norm, rotate, turns
from assay.models.runs import Parameters, SideBySide

__all__ = ["SITES", "Block", "Decoder", "DecoderConfig", "DecoderParameters", "Past", "Thoughts", "Visitor"]

# attn_scores are told up to a constant for each query, which the softmax does not see.
SITES = ("resid_pre", "attn_scores", "pattern", "attn_out", "resid_mid", "mlp_out", "resid_post")
Visitor = Callable[[str, int, Tensor], Tensor | None]
"""visit(site, layer, value) is called at every site in order; the tensor it returns replaces the value, None leaves it."""

Part = tuple[Tensor, Tensor]  # keys and values of some positions
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": gelu,
    "silu": F.silu,
}


@dataclass(frozen=True)
class DecoderConfig:
    """What the decoder is made of. The defaults are the modern small model; a strict mode spells its paper's network out.

    Attributes:
        n_outputs: classes the read-out tells apart.
        vocab_size: tokens with an embedding; None for a model whose inputs are vectors.
        d_head: None for d_model / n_heads.
        d_mlp: width of the MLP; 0 leaves it out.
        gated: the MLP multiplies act(x W_gate) with x W_in (SwiGLU with `act="silu"`).
        norm: before every part and before the read-out.
        positions: "one-hot" gives the first n_positions of the d_model dimensions to the position, the rest to the content.
        n_positions: longest sequence, offset included.
        tied: read out with the embedding matrix.
        attention: "linear" leaves the softmax out; the scores themselves weigh the values.
        scaled: divide scores by √d_head.
        output_matrix: False writes each head's values to the stream directly (needs d_head = d_model).
        residual: False lets each part replace the stream instead of adding to it.
        biases: in every linear map and in the layer norm.
        readout_layers: ReLU layers of width d_model, one scalar bias each, between the stream and the last linear map.
        weight_std: standard deviation of initial attention and MLP matrices; None for 1/√fan-in.
        embed_std: standard deviation of initial embeddings.
    """

    n_outputs: int
    vocab_size: int | None = None
    n_layers: int = 2
    n_heads: int = 4
    d_model: int = 64
    d_head: int | None = None
    d_mlp: int = 256
    act: Literal["relu", "gelu", "silu"] = "gelu"
    gated: bool = False
    norm: Literal["none", "layer", "rms"] = "rms"
    norm_eps: float = 1e-5
    positions: Literal["none", "one-hot", "learned", "rotary"] = "rotary"
    n_positions: int = 256
    rotary_base: float = 10_000.0
    tied: bool = False
    attention: Literal["softmax", "linear"] = "softmax"
    scaled: bool = True
    output_matrix: bool = True
    residual: bool = True
    biases: bool = False
    readout_layers: int = 0
    weight_std: float | None = None
    embed_std: float = 0.02

    def __post_init__(self) -> None:
        for name in ("n_outputs", "n_layers", "n_heads", "d_model", "n_positions"):
            if getattr(self, name) < 1:
                raise SettingsError(f"decoder: {name} must be at least 1; got {getattr(self, name)}")
        if self.d_head is None and self.d_model % self.n_heads:
            raise SettingsError(f"decoder: n_heads must divide d_model or d_head be given; got {self.d_model} / {self.n_heads}")
        if not self.output_matrix and self.width_of_head != self.d_model:
            raise SettingsError(
                f"decoder: without an output matrix every head must be as wide as the stream ({self.d_model}); "
                f"got d_head {self.width_of_head}. Set d_head={self.d_model}"
            )
        if self.tied and (self.vocab_size != self.n_outputs or self.readout_layers):
            raise SettingsError(
                f"decoder: a tied read-out needs n_outputs = vocab_size and readout_layers = 0; "
                f"got {self.n_outputs}, {self.vocab_size}, {self.readout_layers}"
            )
        if self.positions == "one-hot" and self.n_positions >= self.d_model:
            raise SettingsError(
                f"decoder: one-hot positions must leave room for content; "
                f"got {self.n_positions} positions in {self.d_model} dimensions"
            )
        if self.positions == "rotary" and self.width_of_head % 2:
            raise SettingsError(f"decoder: rotary positions need an even d_head; got {self.width_of_head}")
        if self.gated and not self.d_mlp:
            raise SettingsError("decoder: a gated MLP needs d_mlp > 0; got 0. Set gated=False or give a width")

    @property
    def width_of_head(self) -> int:
        """d_head, or d_model / n_heads."""
        return self.d_head or self.d_model // self.n_heads

    @property
    def d_content(self) -> int:
        """Dimensions of an input vector or embedding: d_model less the one-hot positions."""
        return self.d_model - (self.n_positions if self.positions == "one-hot" else 0)

    @property
    def linear_stream(self) -> bool:
        """Whether blocks do nothing to the stream but add one head's attention, two blocks at least."""
        return (
            self.n_layers > 1 and self.n_heads == 1 and not self.d_mlp and self.norm == "none" and self.positions != "rotary"
            and self.residual and not self.biases
        )  # fmt: skip

    def check_site(self, site: str, layer: int) -> None:
        """Nothing when this configuration has the site.

        Raises:
            InputError: there is no such site, or not in this configuration.
        """
        if site not in SITES:
            raise InputError(unknown_name("site", site, SITES, see=f"Sites are {', '.join(SITES)}"))
        if not 0 <= layer < self.n_layers:
            raise InputError(f"{site} at layer {layer}: this model has layers 0–{self.n_layers - 1}")
        if site in ("mlp_out", "resid_mid") and not self.d_mlp:
            raise InputError(f"{site} at layer {layer}: this model has no MLP (d_mlp = 0)")


class Thoughts(NamedTuple):
    """What a decoder says after thinking.

    Attributes:
        logits: at the last position, [batch, n_outputs].
        thoughts: the vectors that were fed back, in order, [batch, thought, d_model].
    """

    logits: Tensor
    thoughts: Tensor


class Past:
    """Keys and values of the positions so far: of each layer those of the first pass, never copied, and those of all later."""

    def __init__(self, layers: Sequence[Sequence[Part]] = ()) -> None:
        self.layers = [list(parts) for parts in layers]

    def branch(self) -> "Past":
        """The same past, to go on from without a trace in this one."""
        return Past(self.layers)

    def of(self, items: Int[Tensor, " batch"]) -> "Past":
        """The past of some items of the batch, in that order and as often as they are named."""
        # Heads are views of one product; laid out one after the other they are multiplied without a copy ever after.
        return Past(
            [[(keys.contiguous()[items], values.contiguous()[items]) for keys, values in parts] for parts in self.layers]
        )

    def n_positions(self, layer: int) -> int:
        """How many positions that layer remembers."""
        return sum(keys.shape[-2] for keys, _ in self.layers[layer]) if layer < len(self.layers) else 0

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> list[Part]:
        """The layer's parts after these positions have joined it."""
        if layer == len(self.layers):
            self.layers.append([(keys, values)])
        else:
            first, *later = self.layers[layer]
            for k, v in later:
                same = keys is values  # one head's stream serves as both
                keys = torch.cat((k, keys), -2)
                values = keys if same else torch.cat((v, values), -2)
            self.layers[layer] = [first, (keys, values)]
        return self.layers[layer]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight over [*run, batch, pos, in]: one matrix product per run, however many axes stand before the last two."""
    y = torch.unflatten(x.flatten(-3, -2) @ weight, -2, x.shape[-3:-1])
    return y if bias is None else y + bias[..., None, None, :]


def _join_heads(weight: Tensor) -> Tensor:
    """[head, in, out] -> [in, head * out]."""
    return weight.transpose(-3, -2).flatten(-2)


class Block(nn.Module):
    """Attention, then the MLP if there is one; every parameter an attribute under its usual name.

    W_Q, W_K, W_V [head, d_model, d_head]; W_O [head, d_head, d_model]; W_in, W_gate [d_model, d_mlp]; W_out [d_mlp, d_model];
    w_ln1, w_ln2 [d_model]; with `biases` also b_Q, b_K, b_V [head, d_head], b_O, b_out, b_ln1, b_ln2 [d_model], b_in [d_mlp].
    """

    def __init__(self, config: DecoderConfig, layer: int, parameter: "DecoderParameters") -> None:
        super().__init__()
        self.config, self.layer = config, layer
        d_model, d_head, d_mlp, n_heads = config.d_model, config.width_of_head, config.d_mlp, config.n_heads
        self.W_Q, self.W_K, self.W_V = (parameter.matrix(d_model, n_heads, d_model, d_head) for _ in range(3))
        self.W_O = parameter.matrix(d_head * n_heads, n_heads, d_head, d_model) if config.output_matrix else None
        self.W_in = parameter.matrix(d_model, d_model, d_mlp) if d_mlp else None
        self.W_gate = parameter.matrix(d_model, d_model, d_mlp) if config.gated else None
        self.W_out = parameter.matrix(d_mlp, d_mlp, d_model) if d_mlp else None
        normed, biased = config.norm != "none", config.biases
        self.w_ln1 = parameter.ones(d_model) if normed else None
        self.w_ln2 = parameter.ones(d_model) if normed and d_mlp else None
        self.b_Q, self.b_K, self.b_V = (parameter.zeros(n_heads, d_head) if biased else None for _ in range(3))
        self.b_O = parameter.zeros(d_model) if biased else None
        self.b_in = parameter.zeros(d_mlp) if biased and d_mlp and not config.gated else None
        self.b_out = parameter.zeros(d_model) if biased and d_mlp else None
        self.b_ln1 = parameter.zeros(d_model) if biased and config.norm == "layer" else None
        self.b_ln2 = parameter.zeros(d_model) if biased and config.norm == "layer" and d_mlp else None

    def forward(
        self,
        x: Tensor,
        later: Tensor,
        *,
        rows: slice | None = None,
        first: int = 0,
        past: Past | None = None,
        few: bool = False,
        visit: Visitor | None = None,
    ) -> Tensor:
        """The stream after this block at `rows` of the positions, [batch, row, d_model].

        Args:
            x: the stream before it at all new positions.
            later: which keys lie in a query's future, [row, key].
            rows: which positions are computed, None for all; keys and values come from all.
            first: position of the first new one, for rotary positions.
            past: the cache to read and extend; the new positions come after its own.
            few: few rows will ever read these keys and values, so that they are left as the stream; the same in every pass.
            visit: see `Visitor`.
        """
        config = self.config
        x = _visited(visit, "resid_pre", self.layer, x)
        normed = _norm(x, config, self.w_ln1, self.b_ln1)
        x = x if rows is None else x[..., rows, :]
        queries = normed if rows is None else _norm(x, config, self.w_ln1, self.b_ln1)
        attn_out = self._attend(queries, normed, later, rows, first, past, visit, few=few)
        attn_out = _visited(visit, "attn_out", self.layer, attn_out)
        x = x + attn_out if config.residual else attn_out
        if config.d_mlp:
            x = _visited(visit, "resid_mid", self.layer, x)
            mlp_out = self._mlp(_norm(x, config, self.w_ln2, self.b_ln2))
            mlp_out = _visited(visit, "mlp_out", self.layer, mlp_out)
            x = x + mlp_out if config.residual else mlp_out
        return _visited(visit, "resid_post", self.layer, x)

    @property
    def bilinear(self) -> Tensor:
        """W_QK: the bilinear form of the scores, scale included, [head, d_model, d_model]."""
        return (self.W_Q * self._scale) @ self.W_K.mT

    @property
    def written(self) -> Tensor:
        """W_OV: what a head writes for each direction it reads, [head, d_model, d_model]."""
        return self.W_V if self.W_O is None else self.W_V @ self.W_O

    @property
    def _scale(self) -> float:
        """Goes into the query's weights, which are smaller than the scores and need no pass of their own backwards."""
        return 1 / math.sqrt(self.config.width_of_head) if self.config.scaled else 1.0

    def _attend(
        self, x_q: Tensor, x_k: Tensor, later: Tensor, rows: slice | None, first: int, past: Past | None, visit: Visitor | None,
        *, few: bool,
    ) -> Tensor:  # fmt: skip
        config, n_heads = self.config, self.config.n_heads
        linear = config.positions != "rotary" and not (config.biases and config.attention == "linear")
        shared = linear and (n_heads == 1 or few or (x_q.shape[-2] == 1 and past is None))
        b_Q: Tensor | None = None if self.b_Q is None else self.b_Q * self._scale
        W_O: Tensor | None = self.W_O
        b_V: Tensor | None = self.b_V
        if shared:  # every head reads the stream itself: W_K moves into the query, W_O into the value
            b_Q = None if b_Q is None else (b_Q[..., None, :] @ self.W_K.mT).squeeze(-2)
            b_V = b_V if W_O is None or b_V is None else (b_V[..., None, :] @ W_O).squeeze(-2)
            W_O = self.written
            q, k, v = self._heads(x_q, self.bilinear, b_Q), x_k, x_k
        else:
            q = self._heads(x_q, self.W_Q * self._scale, b_Q)
            k, v = self._heads(x_k, self.W_K, self.b_K), self._heads(x_k, self.W_V, b_V)
            if config.positions == "rotary":
                cos, sin = turns(config.width_of_head, config.rotary_base, first, x_k.shape[-2], x_k.dtype, x_k.device)
                q = rotate(q, cos, sin) if rows is None else rotate(q, cos[rows], sin[rows])
                k = rotate(k, cos, sin)
        parts = [(k, v)] if past is None else past.extended(self.layer, k, v)
        widths = [keys.shape[-2] for keys, _ in parts]
        masked = zip(parts, torch.split(later, widths, -1), strict=True)
        scores = _joined([self._scores(q, keys, mask, shared=shared) for (keys, _), mask in masked])
        scores = _visited(visit, "attn_scores", self.layer, scores)
        weights = self._weights(scores)
        pattern = _visited(visit, "pattern", self.layer, weights)
        shares = torch.split(pattern.flatten(-3, -2) if shared else pattern, widths, -1)
        mixed = shares[0] @ parts[0][1]
        for share, (_, values) in zip(shares[1:], parts[1:], strict=True):
            mixed = mixed + share @ values
        mixed = torch.unflatten(mixed, -2, q.shape[-3:-1]) if shared else mixed
        mixed = mixed.transpose(-3, -2)  # [batch, row, head, d_head]
        out = mixed.sum(-2) if W_O is None else _linear(mixed.flatten(-2), W_O.flatten(-3, -2))
        if shared and b_V is not None:  # the values' bias, as often as a row attends at all: once, unless a visitor changed it
            once = pattern is weights
            out = out + (b_V.sum(-2)[..., None, None, :] if once else _linear(pattern.sum(-1).transpose(-2, -1), b_V))
        return out if self.b_O is None else out + self.b_O[..., None, None, :]

    def _scores(self, q: Tensor, k: Tensor, later: Tensor, *, shared: bool) -> Tensor:
        """q kᵀ, masked, [batch, head, row, key]; shared keys serve all heads of a row in one product."""
        rows, later = (q.flatten(-3, -2), later.repeat(q.shape[-3], 1)) if shared else (q, later)
        if self.config.attention == "linear":
            scores = (rows @ k.mT).masked_fill(later, 0.0)
        else:
            mask = torch.zeros(later.shape, dtype=q.dtype).masked_fill(later, -math.inf)
            flat = torch.baddbmm(mask, rows.flatten(0, -3), k.mT.flatten(0, -3))
            scores = flat.view(*rows.shape[:-1], -1)
        return scores.view(*q.shape[:-1], -1)

    def _weights(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, -1) if self.config.attention == "softmax" else scores

    def _heads(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        joined = _linear(x, _join_heads(weight), None if bias is None else bias.flatten(-2))
        return torch.unflatten(joined, -1, (self.config.n_heads, -1)).transpose(-3, -2)

    def _mlp(self, x: Tensor) -> Tensor:
        assert self.W_in is not None
        assert self.W_out is not None
        act = ACTIVATIONS[self.config.act]
        hidden = _linear(x, self.W_in, self.b_in)
        hidden = act(hidden) if self.W_gate is None else act(_linear(x, self.W_gate)) * hidden
        return _linear(hidden, self.W_out, self.b_out)


class Decoder(SideBySide):
    """The decoder. `Decoder.init` draws one; `Decoder(config)` has zero matrices, for weights set by hand."""

    def __init__(
        self, config: DecoderConfig, *, n_runs: int | None = None, rngs: Sequence[np.random.Generator] | None = None
    ) -> None:
        """A decoder with weights from `rngs` (one a run), or zeros; without `n_runs` there is no run axis."""
        super().__init__(n_runs)
        self.config = config
        parameter = DecoderParameters(config, n_runs, rngs)
        d_model = config.d_model
        vocab, positions = config.vocab_size, config.positions
        self.W_E = parameter.embedding(vocab, config.d_content) if vocab is not None else None
        self.W_pos = parameter.embedding(config.n_positions, d_model) if positions == "learned" else None
        self.blocks = nn.ModuleList(Block(config, layer, parameter) for layer in range(config.n_layers))
        self.w_final = parameter.ones(d_model) if config.norm != "none" else None
        self.b_final = parameter.zeros(d_model) if config.norm == "layer" and config.biases else None
        n_readout = config.readout_layers
        self.W_readout = parameter.normal(math.sqrt(2 / d_model), n_readout, d_model, d_model) if n_readout else None
        self.b_readout = parameter.normal(math.sqrt(1 / d_model), n_readout, 1) if n_readout else None
        self.W_U = None if config.tied else parameter.normal(math.sqrt(1 / d_model), d_model, config.n_outputs)

    @classmethod
    def init(cls, config: DecoderConfig, rng: np.random.Generator | Sequence[np.random.Generator]) -> "Decoder":
        """A decoder with random weights; from several generators, as many runs side by side with a leading run axis.

        Run i of a batch has the very weights that `Decoder.init(config, rngs[i])` has.
        """
        if isinstance(rng, np.random.Generator):
            return cls(config, rngs=[rng])
        return cls(config, n_runs=len(rng), rngs=rng)

    @classmethod
    def stack(cls, models: Sequence["Decoder"]) -> "Decoder":
        """Single decoders of one configuration side by side, copied.

        Raises:
            InputError: the configurations differ.
        """
        configs = {model.config for model in models}
        if len(configs) != 1:
            raise InputError(f"decoders stacked side by side must share one configuration; got {len(configs)} different ones")
        weights = [model.state_dict() for model in models]
        return cls.from_weights(models[0].config, {name: torch.stack([w[name] for w in weights]) for name in weights[0]})

    @classmethod
    def from_weights(cls, config: DecoderConfig, weights: Mapping[str, Tensor]) -> "Decoder":
        """The decoder whose `state_dict` is `weights`, copied; a run axis in the weights stays.

        Raises:
            InputError: the weights are of another configuration.
        """
        shapes = {name: tuple(value.shape) for name, value in cls(config).state_dict().items()}
        leads = {}  # what stands before the expected shape: () for one run, (n_runs,) for several
        for name in shapes.keys() | weights.keys():
            expected, got = shapes.get(name, ()), tuple(weights[name].shape) if name in weights else ()
            n_lead = len(got) - len(expected)
            if name not in shapes or name not in weights or n_lead not in (0, 1) or got[n_lead:] != expected:
                raise InputError(
                    f"weights must be those of this configuration; {name} has shape {got}, expected {expected}. "
                    f"Use the configuration they were made with"
                )
            leads[name] = got[:n_lead]
        if len(set(leads.values())) != 1:
            raise InputError(f"all weights must have the same run axis; got {sorted(set(leads.values()))}")
        lead = next(iter(leads.values()))
        model = cls(config, n_runs=lead[0] if lead else None)
        model.load_state_dict(dict(weights))
        return model

    def embed(self, inputs: Tensor, *, first: int = 0, offset: Tensor | None = None) -> Tensor:
        """The stream before the first block, [batch, pos, d_model].

        Args:
            inputs: tokens [batch, pos] (integers), or vectors [batch, pos, d_content] in place of embeddings.
            first: position of the first input.
            offset: added to the positions of each sequence, [batch]; for learned and one-hot positions.

        Raises:
            InputError: a model without a vocabulary got tokens, vectors are of another width, or the sequence is too long.
        """
        config = self.config
        if inputs.is_floating_point():
            if inputs.shape[-1] != config.d_content:
                raise InputError(f"input vectors must have d_content = {config.d_content} dimensions; got {inputs.shape[-1]}")
            x = inputs
        elif self.W_E is None:
            raise InputError(
                "this decoder takes vectors [batch, pos, d_content]; got integers. Give it a vocab_size for tokens"
            )
        else:
            x = looked_up(self.W_E, inputs)
        if config.positions in ("none", "rotary"):
            return x
        n_pos = x.shape[-2]
        last = first + n_pos + (int(offset.max()) if offset is not None else 0)
        if last > config.n_positions:
            raise InputError(f"a sequence must end within n_positions = {config.n_positions}; it ends at {last}")
        places = torch.arange(first, first + n_pos)
        if offset is not None:
            places = places + offset[..., None]
        if self.W_pos is None:
            return F.pad(x, (config.n_positions, 0)).scatter_(-1, places.expand(x.shape[:-1])[..., None], 1.0)
        if offset is None:
            return x + self.W_pos[..., None, first : first + n_pos, :]
        return x + looked_up(self.W_pos, places.expand(x.shape[:-1]))

    def hidden(
        self,
        inputs: Tensor,
        *,
        at: int | None = None,
        first: int = 0,
        offset: Tensor | None = None,
        past: Past | None = None,
        visit: Visitor | None = None,
    ) -> Tensor:
        """The stream after last block and final norm, [batch, pos, d_model]; for one position `at`, [batch, 1, d_model]."""
        x = self.embed(inputs, first=first, offset=offset)
        n_new, n_past = x.shape[-2], past.n_positions(0) if past is not None else 0
        later = torch.ones(n_new, n_past + n_new, dtype=torch.bool).triu(1 + n_past)
        if at is None:
            for block in self.blocks:
                x = block(x, later, first=first, past=past, visit=visit)
            return self.final_norm(x)
        rows = slice(at % n_new, at % n_new + 1)
        folded = 2 if visit is None and past is None and self.config.linear_stream else 1
        for block in self.blocks[:-folded]:
            x = block(x, later, first=first, past=past, visit=visit)
        if folded == 2:
            x = self._last_two(x, later, rows)
        else:
            x = self.blocks[-1](x, later[rows], rows=rows, first=first, past=past, visit=visit)
        return self.final_norm(x)

    def _last_two(self, x: Tensor, later: Tensor, rows: slice) -> Tensor:
        """The stream after the last two blocks at one row, without the stream between them at any other.

        That stream is x + P x W with the first block's pattern P and its W_OV, here W. The one query of the second block sees
        it in two ways only: k scores its rows, x k + P x (W k), and p mixes them, p x + (p P) x W. So W multiplies single rows.
        """
        first, second = self.blocks[-2:]
        assert isinstance(first, Block)
        assert isinstance(second, Block)
        W, written = first.written.squeeze(-3), second.written.squeeze(-3)
        P = first._weights(first._scores(first._heads(x, first.bilinear), x, later, shared=True)).squeeze(-3)
        query = x[..., rows, :] + _linear(P[..., rows, :] @ x, W)
        k = _linear(query, second.bilinear.squeeze(-3))
        direct, through = (torch.cat((k, _linear(k, W.mT)), -2) @ x.mT).chunk(2, -2)
        blocked = -math.inf if self.config.attention == "softmax" else 0.0
        p = second._weights((direct + through @ P.mT).masked_fill(later[rows], blocked))
        direct, through = (torch.cat((p, p @ P), -2) @ x).chunk(2, -2)
        return query + _linear(direct + _linear(through, W), written)

    def final_norm(self, stream: Tensor) -> Tensor:
        """Stream vectors [batch, pos, d_model] as the read-out receives them."""
        return _norm(stream, self.config, self.w_final, self.b_final)

    def values_of(self, stream: Tensor, *, layer: int) -> Float[Tensor, "*run batch head pos d_model"]:
        """What each position writes into the stream when a head attends to it alone, from the stream before block `layer`."""
        block: Block = self.blocks[layer]  # type: ignore[assignment]
        values = block._heads(_norm(stream, self.config, block.w_ln1, block.b_ln1), block.W_V, block.b_V)
        return values if block.W_O is None else values @ block.W_O[..., None, :, :, :]

    def read_out(self, hidden: Tensor) -> Tensor:
        """Logits [batch, pos, n_outputs] of final-normed stream vectors [batch, pos, d_model]."""
        x = hidden
        if self.W_readout is not None and self.b_readout is not None:
            for weight, bias in zip(self.W_readout.unbind(-3), self.b_readout.unbind(-2), strict=True):
                x = torch.relu(_linear(x, weight, bias))
        if self.W_U is not None:
            return _linear(x, self.W_U)
        assert self.W_E is not None
        return _linear(x, self.W_E.mT)

    def forward(
        self, inputs: Tensor, *, at: int | None = None, offset: Tensor | None = None, visit: Visitor | None = None
    ) -> Float[Tensor, "*run batch pos n_outputs"] | Float[Tensor, "*run batch n_outputs"]:
        """Logits at every position [batch, pos, n_outputs], or at position `at` alone [batch, n_outputs].

        Args:
            inputs: tokens [batch, pos] or vectors [batch, pos, d_content].
            at: the only position that is read (-1 for the last); the last block then computes that row only.
            offset: added to the positions of each sequence, [batch].
            visit: called at every site; see `Visitor`.
        """
        logits = self.read_out(self.hidden(inputs, at=at, offset=offset, visit=visit))
        return logits if at is None else logits.squeeze(-2)

    def think(
        self,
        prompt: Int[Tensor, "*run batch pos"] | Float[Tensor, "*run batch pos d_content"],
        n_thoughts: int,
        then: Tensor | None = None,
        *,
        visit: Visitor | None = None,
    ) -> Thoughts:
        """Logits after continuous thoughts: the last hidden state is the next input, n_thoughts times, then the tokens `then`.

        Gradients flow through all passes; keys and values are cached. Sites are visited once a pass: prompt, thoughts, `then`.
        Source: Hao et al. 2024, arXiv:2412.06769, section 3.

        Raises:
            SettingsError: n_thoughts is negative.
        """
        if n_thoughts < 0:
            raise SettingsError(f"n_thoughts must be at least 0; got {n_thoughts}")
        past = Past()
        state, place = self.hidden(prompt, at=-1, past=past, visit=visit), prompt.shape[-1 if self.W_E is not None else -2]
        thoughts = []
        for _ in range(n_thoughts):
            thoughts.append(state)
            state, place = self.hidden(state, at=-1, first=place, past=past, visit=visit), place + 1
        if then is not None:
            state = self.hidden(then, at=-1, first=place, past=past, visit=visit)
        logits = self.read_out(state).squeeze(-2)
        return Thoughts(logits, torch.cat(thoughts, -2) if thoughts else state[..., :0, :])


class DecoderParameters(Parameters):
    """Draws a decoder's parameters with the standard deviations of its configuration."""

    def __init__(self, config: DecoderConfig, n_runs: int | None, rngs: Sequence[np.random.Generator] | None) -> None:
        super().__init__(n_runs, rngs)
        self.config = config

    def matrix(self, fan_in: int, *shape: int) -> nn.Parameter:
        """Normal entries of standard deviation `weight_std`, or 1/√fan_in."""
        std = self.config.weight_std
        return self.normal(1 / math.sqrt(fan_in) if std is None else std, *shape)

    def embedding(self, *shape: int) -> nn.Parameter:
        """Normal entries of standard deviation `embed_std`."""
        return self.normal(self.config.embed_std, *shape)


def _visited(visit: Visitor | None, site: str, layer: int, value: Tensor) -> Tensor:
    if visit is None:
        return value
    replaced = visit(site, layer, value)
    return value if replaced is None else replaced


def looked_up(
    table: Float[Tensor, "*run row d_model"], index: Int[Tensor, "*run batch pos"]
) -> Float[Tensor, "*run batch pos d_model"]:
    """table[index], with the run axis of the table matched to the first axis of the index."""
    if table.dim() == 2:
        return F.embedding(index, table)
    starts = torch.arange(table.shape[0]).mul_(table.shape[1])
    return F.embedding(index + starts.view(-1, *(1 for _ in index.shape[1:])), table.flatten(0, 1))


def _joined(parts: list[Tensor]) -> Tensor:
    """Parts of the last axis as one; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _norm(x: Tensor, config: DecoderConfig, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is None:
        return x
    shape, eps = x.shape[-1:], config.norm_eps
    if config.norm == "rms":
        return rms_norm(x, weight, eps)
    if weight.dim() == 1:  # one run: the kernel takes the weight as well
        return F.layer_norm(x, shape, weight, bias, eps)
    x = F.layer_norm(x, shape, eps=eps)
    x = x * weight[..., None, None, :]
    return x if bias is None else x + bias[..., None, None, :]
