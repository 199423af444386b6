"""Reachability by superposition, built by hand: a two-layer decoder whose thought holds every node reached so far.

Nothing is trained. The weights are those of the theorem that continuous thoughts search in parallel: layer 1 gathers, at the
mark of every edge, the edge's source and target; in layer 2 a thought attends to all edges whose source it holds, adds their
targets, and the MLP makes all that is there equally strong. So thought c is |V_c|^{-1/2} times the sum of the nodes within c
steps of the root, and at the answer mark the candidate inside it wins. Source: Zhu et al. 2025, arXiv:2505.12514, section 4.

It is our own decoder in a strict mode: sinusoidal positions, unscaled softmax attention, ReLU, RMS norm, no residual stream
(parts replace it, as the paper's MLP does). Three heads a layer do the work of the paper's five and one, since heads of one
offset serve several kinds of tokens; one of them carries each position's own content along.

Stream: content (one dimension a token), first and second buffer (one a node), positions. Told as
<eos> s t | ... s t | [Q] c c' [R] r, then thoughts, then [A]: see `Questions.tokens`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, DecoderConfig, Past

__all__ = ["SELF", "Search", "needed_sharpness", "search", "superposition_network"]

SELF, SOURCE, TARGET = 0, 1, 2  # heads of layer 1: own content; two back; one back
LOOKUP, ANSWER = 1, 2  # heads of layer 2, beside SELF
MARKS = ("<eos>", "|", "[Q]", "[R]", "[A]")  # token numbers after the nodes, as in Vocabulary
N_FREQUENCIES = 12
AMPLITUDE = 100.0  # squared norm of a position; large beside content, so that the norm hardly tells kinds of tokens apart
CERTAIN = 120.0  # a difference of scores that leaves the softmax nothing at all in single precision


class Search(NamedTuple):
    """What the network thinks and answers, step by step.

    Attributes:
        thoughts: thought c in the node dimensions, [batch, thought, node], from thought 1.
        rest: the largest magnitude of a thought outside the node dimensions; 0 when it holds nothing else.
        logits: of the answer asked for after c thoughts, [batch, thought + 1, vocab], from c = 0.
    """

    thoughts: Float[Tensor, "batch thought node"]
    rest: float
    logits: Float[Tensor, "batch thought+1 vocab"]


def needed_sharpness(n_nodes: int, n_edges: int, *, leak: float = 1e-6) -> float:
    """The sharpness of layer 2 from which no unreached edge can matter: 2 √n (log positions - log leak).

    The weakest node of a thought over n nodes has 1/√n, the edges of other nodes 0, and the sink stands half-way between.
    """
    return 2 * math.sqrt(n_nodes) * (math.log(3 * n_edges + 6) - math.log(leak))


def superposition_network(
    n_nodes: int, n_edges: int, *, n_thoughts: int, sharpness: float | None = None, dtype: torch.dtype = torch.float32
) -> Decoder:
    """The decoder that decides every reachability question about graphs of at most so many nodes and edges.

    Args:
        n_nodes: node numbers 0..n_nodes - 1; any of them may be missing from a graph.
        n_edges: edges of the largest graph.
        n_thoughts: thoughts it can take.
        sharpness: score of an edge whose source the thought is; None for enough to be exact (`CERTAIN`).
        dtype: of the weights.

    Raises:
        SettingsError: no nodes or edges, or zero thoughts.
    """
    if n_nodes < 2 or n_edges < 1 or n_thoughts < 1:
        raise SettingsError(
            f"the superposition network needs at least two nodes, one edge and one thought; "
            f"got {n_nodes} nodes, {n_edges} edges, {n_thoughts} thoughts"
        )
    if sharpness is None:
        sharpness = needed_sharpness(n_nodes, n_edges, leak=math.exp(-CERTAIN))
    layout = _Layout(n_nodes)
    d_model, d_head = layout.d_model, max(layout.vocab + layout.n_places, 2 * n_nodes)
    config = DecoderConfig(
        layout.vocab, layout.vocab, n_layers=2, n_heads=3, d_model=d_model, d_head=d_head,
        d_mlp=layout.vocab + 2 * n_nodes + 2 * layout.n_places, act="relu", norm="rms", norm_eps=1e-30, positions="learned",
        n_positions=3 * n_edges + 7 + n_thoughts, scaled=False, residual=False, biases=True,
    )  # fmt: skip
    model = Decoder(config).to(dtype)
    weights = {name: np.zeros(tuple(value.shape)) for name, value in model.state_dict().items()}
    weights["W_E"][:, layout.content] = np.eye(layout.vocab)
    weights["W_pos"][:, layout.place] = _places(config.n_positions)
    _gather(weights, layout, prefix="blocks.0.")
    _carry_on(weights, layout, prefix="blocks.0.")
    _look_up(weights, layout, sharpness, prefix="blocks.1.")
    _equalise(weights, layout, n_edges, prefix="blocks.1.")
    for name in ("blocks.0.w_ln1", "blocks.0.w_ln2", "blocks.1.w_ln1", "blocks.1.w_ln2"):
        weights[name][:] = 1.0
    # RMS norm makes vectors √d_model long; thoughts shall have length one.
    weights["w_final"][layout.nodes] = weights["w_final"][layout.second] = 1 / math.sqrt(d_model)
    weights["W_U"][layout.nodes, :n_nodes] = np.eye(n_nodes)
    weights["W_U"][layout.second, :n_nodes] = 0.5 * math.sqrt(3 / d_model) * np.eye(n_nodes)  # small: t_D only breaks the tie
    model.load_state_dict({name: torch.tensor(value, dtype=dtype) for name, value in weights.items()})
    return model


def search(model: Decoder, tokens: Int[Tensor, "batch pos"], n_thoughts: int) -> Search:
    """All thoughts up to n_thoughts, and the answer asked for after each of them, from one pass.

    Raises:
        SettingsError: zero thoughts.
    """
    if n_thoughts < 1:
        raise SettingsError(f"a search needs at least one thought; got n_thoughts = {n_thoughts}")
    vocab = model.config.n_outputs
    n_nodes = vocab - len(MARKS)
    mark = torch.full((len(tokens), 1), n_nodes + MARKS.index("[A]"))
    # Questions about one graph begin alike; what they begin with is read once.
    asked, place = 5, tokens.shape[-1]
    graphs, which = torch.unique(tokens[:, :-asked], dim=0, return_inverse=True)
    with torch.no_grad():
        read = Past()
        model.hidden(graphs, at=-1, past=read)
        past = read.of(which)
        state = model.hidden(tokens[:, -asked:], at=-1, first=place - asked, past=past)
        logits, thoughts = [_asked(model, mark, place, past)], []
        for _ in range(n_thoughts):
            thoughts.append(state)
            state, place = model.hidden(state, at=-1, first=place, past=past), place + 1
            logits.append(_asked(model, mark, place, past))
    held = torch.cat(thoughts, -2)
    return Search(held[..., :n_nodes], float(held[..., n_nodes:].abs().max()), torch.stack(logits, -2))


def _asked(model: Decoder, mark: Tensor, place: int, past: Past) -> Tensor:
    """Logits at an answer mark that leaves no trace in the cache."""
    return model.read_out(model.hidden(mark, at=-1, first=place, past=past.branch())).squeeze(-2)


class _Layout:
    """Which dimensions of the stream hold what."""

    def __init__(self, n_nodes: int) -> None:
        self.n_nodes, self.vocab, self.n_places = n_nodes, n_nodes + len(MARKS), 2 * N_FREQUENCIES
        parts = np.cumsum([0, self.vocab, n_nodes, n_nodes, self.n_places])
        self.content, self.first, self.second, self.place = (slice(*parts[i : i + 2]) for i in range(4))
        self.nodes = slice(0, n_nodes)
        self.d_model = int(parts[-1])
        # Every token of layer 1 is one unit of content and a position; RMS norm multiplies it by this.
        self.gain = math.sqrt(self.d_model / (1 + AMPLITUDE))

    def mark(self, *names: str) -> list[int]:
        return [self.n_nodes + MARKS.index(name) for name in names]


def _frequencies() -> np.ndarray:
    return 10_000.0 ** (-np.arange(N_FREQUENCIES) / N_FREQUENCIES)


def _places(n: int) -> np.ndarray:
    """Sinusoidal positions of squared length AMPLITUDE, [position, 2 frequency]."""
    turns = np.arange(n)[:, None] * _frequencies()
    return math.sqrt(AMPLITUDE / N_FREQUENCIES) * np.concatenate((np.cos(turns), np.sin(turns)), axis=1)


def _turned(offset: int) -> np.ndarray:
    """The matrix that takes the position p to p - offset: a rotation at every frequency."""
    cos, sin = np.diag(np.cos(offset * _frequencies())), np.diag(np.sin(offset * _frequencies()))
    return np.block([[cos, -sin], [sin, cos]])


def _choose(
    w: dict[str, np.ndarray], layout: _Layout, prefix: str, head: int, offset: int, kinds: Sequence[str] | None
) -> None:
    """Attention chooser: tokens of these kinds attend `offset` back, all others to <eos>; None for all tokens."""
    n = layout.n_places
    # The nearest other place is 0.5 of N_FREQUENCIES turns away: scale so that this is certain.
    strength = CERTAIN / (0.4 * AMPLITUDE / N_FREQUENCIES) / layout.gain**2
    w[prefix + "W_Q"][head, layout.place, :n] = strength * _turned(offset)
    w[prefix + "W_K"][head, layout.place, :n] = np.eye(n)
    if kinds is not None:
        others = [token for token in range(layout.vocab) if token not in layout.mark(*kinds)]
        w[prefix + "W_Q"][head, others, n] = 3 * AMPLITUDE * strength
        w[prefix + "W_K"][head, layout.mark("<eos>"), n] = 1.0


def _gather(w: dict[str, np.ndarray], layout: _Layout, prefix: str) -> None:
    """Layer 1's attention: own content and position; two back to the first buffer, one back to the second."""
    n, vocab = layout.n_nodes, layout.vocab
    places = slice(vocab, vocab + layout.n_places)
    w_v, w_o = w[prefix + "W_V"], w[prefix + "W_O"]
    _choose(w, layout, prefix, SELF, 0, None)
    w_v[SELF, layout.content, :vocab] = np.eye(vocab)
    w_v[SELF, layout.place, places] = np.eye(layout.n_places)
    w_o[SELF, :vocab, layout.content] = np.eye(vocab)
    w_o[SELF, places, layout.place] = np.eye(layout.n_places)
    _choose(w, layout, prefix, SOURCE, 2, ("|", "[R]"))
    _choose(w, layout, prefix, TARGET, 1, ("|", "[R]", "[A]"))
    for head, buffer in ((SOURCE, layout.first), (TARGET, layout.second)):
        w_v[head, layout.nodes, :n] = np.eye(n)
        w_o[head, :n, buffer] = np.eye(n)


def _carry_on(w: dict[str, np.ndarray], layout: _Layout, prefix: str) -> None:
    """Layer 1's MLP: the identity; only positions are ever negative."""
    held = layout.place.start
    w_in, w_out = w[prefix + "W_in"], w[prefix + "W_out"]
    w_in[:held, :held] = w_out[:held, :held] = np.eye(held)
    n = layout.n_places
    for i, sign in enumerate((1, -1)):
        units = slice(held + i * n, held + (i + 1) * n)
        w_in[layout.place, units] = w_out[units, layout.place] = sign * np.eye(n)


def _look_up(w: dict[str, np.ndarray], layout: _Layout, sharpness: float, prefix: str) -> None:
    """Layer 2's attention: own content; the targets of edges whose source the thought holds; at [A], the candidates."""
    n = layout.n_nodes
    w_q, w_k, w_v, w_o = (w[prefix + name] for name in ("W_Q", "W_K", "W_V", "W_O"))
    edge_gain = math.sqrt(layout.d_model / (3 + AMPLITUDE))
    _choose(w, layout, prefix, SELF, 0, None)
    w_v[SELF, layout.nodes, :n] = w_o[SELF, :n, layout.nodes] = np.eye(n)
    w_v[SELF, layout.second, n : 2 * n] = w_o[SELF, n : 2 * n, layout.second] = np.eye(n)
    # The score of an edge is sharpness * (the thought's share of its source). A sink at half the weakest share takes the
    # attention of a thought that holds leaves only; [R] keeps candidates in its buffers and must not pass for an edge.
    strength = sharpness / (layout.gain * edge_gain)
    w_q[LOOKUP, layout.nodes, :n] = strength * np.eye(n)
    w_k[LOOKUP, layout.first, :n] = np.eye(n)
    w[prefix + "b_Q"][LOOKUP, n] = sharpness / layout.gain
    w_k[LOOKUP, layout.mark("<eos>"), n] = 0.5 / math.sqrt(n)
    w_k[LOOKUP, layout.mark("[R]"), n] = -3.0 * layout.gain / edge_gain - CERTAIN / sharpness
    w_v[LOOKUP, layout.second, :n] = w_o[LOOKUP, :n, layout.nodes] = np.eye(n)
    certain = 4 * CERTAIN / layout.gain**2
    w_q[ANSWER, layout.mark("[A]"), 0] = 2 * certain
    w_k[ANSWER, layout.mark("[R]"), 0] = 1.0
    w[prefix + "b_Q"][ANSWER, 1] = certain * layout.gain / 2
    w_k[ANSWER, layout.mark("<eos>"), 1] = 1.0
    for buffer in (layout.first, layout.second):
        w_v[ANSWER, buffer, :n] = np.eye(n)
    w_o[ANSWER, :n, layout.nodes] = np.eye(n)


def _equalise(w: dict[str, np.ndarray], layout: _Layout, n_edges: int, prefix: str) -> None:
    """Layer 2's MLP: content becomes 1 where it is more than a threshold, 0 below half of it; the second buffer passes."""
    n = layout.n_nodes
    w_in, b_in, w_out = (w[prefix + name] for name in ("W_in", "b_in", "W_out"))
    # A stream vector here is at most 2 long (a unit thought and a mean of targets) before RMS norm makes it √d_model long,
    # and what was just reached has at least the share of one edge.
    threshold = math.sqrt(layout.d_model) * min(1 / n_edges, 1 / math.sqrt(n)) / 2 * 0.8
    on, off = slice(0, n), slice(n, 2 * n)
    w_in[layout.nodes, on] = w_in[layout.nodes, off] = np.eye(n)
    b_in[on], b_in[off] = -threshold / 2, -threshold
    w_out[on, layout.nodes], w_out[off, layout.nodes] = 2 / threshold * np.eye(n), -2 / threshold * np.eye(n)
    held = slice(2 * n, 3 * n)
    w_in[layout.second, held] = w_out[held, layout.second] = np.eye(n)
