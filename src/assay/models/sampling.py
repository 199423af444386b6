"""Samples from a language model, ours or a pretrained one: one call, one random stream a row, log-probabilities returned.

    drawn = sample(model, [prompt_tokens], n=8, n_new=20, rng=seeds("samples"), temperature=0.7, stop=[end])
    drawn.tokens[0, 3, : drawn.n_tokens[0, 3]], drawn.log_prob.sum(-1)

A prompt is computed once for all of its continuations, keys and values are kept, logits are made at the last position only, and
continuations that have ended leave the batch. Prompts that fit together share a batch, and decoders with a run axis go on side
by side. Draws of a row come from a stream of its own: of run, prompt and sample, whatever others there are, so up to the
rounding of logits a row's text does not depend on its batch mates. Temperature 0 is greedy.

Planned users: studies of preferences and of self-made data.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, Past
from assay.models.pretrained.continuing import PretrainedContinuation, pads_exactly
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import evaluating

__all__ = ["NOTHING", "Continuation", "Continues", "DecoderContinuation", "Sampled", "sample"]

NOTHING = -1  # stands in `tokens` behind the end of a continuation
ROWS = 256  # continuations of several prompts in a batch: enough for full speed, and their keys and values fit in memory
SPARE = 1 / 8  # share of a batch that may have ended before it is made smaller, which copies all that is kept
Allowed = Callable[[tuple[int, ...]], Bool[ndarray, " vocab"]]
"""allowed(tokens drawn so far) says which tokens may come next."""


@dataclass(frozen=True)
class Sampled:
    """What was drawn; behind the end of a continuation tokens are -1 and log-probabilities 0.

    Attributes:
        tokens: of every continuation; a stop token that ended it is its last.
        n_tokens: how many there are.
        log_prob_drawn: of each token by the law that it was drawn from, after temperature, top-k, top-p and `allowed`, in nats.
        log_prob: of each by the model's own law, in nats.
    """

    tokens: Int[ndarray, "*run prompt sample new"]
    n_tokens: Int[ndarray, "*run prompt sample"]
    log_prob_drawn: Float[ndarray, "*run prompt sample new"]
    log_prob: Float[ndarray, "*run prompt sample new"]


@runtime_checkable
class Continuation(Protocol):
    """Prompts that are being continued, row by row, in several runs side by side; a model without a run axis is one run."""

    def logits(self) -> Float[Tensor, "run row vocab"]:
        """Of the next token of every row that is left."""
        ...

    def extend(self, tokens: Int[Tensor, "run row"], kept: Int[Tensor, "run row"] | None) -> None:
        """Goes on with each run's rows at `kept`, each with its token behind it; None keeps all as they are."""
        ...


@runtime_checkable
class Continues(Protocol):
    """What can be sampled besides decoders and pretrained models."""

    @property
    def n_runs(self) -> int | None:
        """Side by side; None without a run axis."""
        ...

    def continuation(self, prompts: Sequence[Sequence[int]], n: int, n_new: int) -> Continuation:
        """n rows for each prompt, in order, each to be continued by at most `n_new` tokens; prompts are equally long."""
        ...


def sample(
    model: Decoder | LanguageModel | Continues,
    prompts: Sequence[Sequence[int]],
    *,
    n_new: int,
    rng: np.random.Generator | Sequence[np.random.Generator],
    n: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Collection[int] = (),
    allowed: Allowed | None = None,
) -> Sampled:
    """Continuations of every prompt.

    Args:
        model: a decoder, with or without a run axis, a pretrained model, or a product of either.
        prompts: tokens, with those that the tokenizer puts in front; all runs get the same. They may differ in length.
        n_new: tokens at the most.
        rng: one generator; for a model with a run axis one a run.
        n: continuations of each prompt.
        temperature: logits are divided by it; 0 takes the likeliest token.
        top_k: only that many of the likeliest tokens may be drawn.
        top_p: only the likeliest tokens that together have this probability, the last one included.
        stop: tokens that end a continuation.
        allowed: which tokens may come next, given those drawn.

    Raises:
        SettingsError: a setting is out of its range, a prompt is empty, `allowed` leaves nothing, or there are not as many
            generators as runs.
        InputError: a sequence becomes longer than the model can take.
    """
    _check(n, n_new, temperature, top_k, top_p, prompts)
    n_runs = None if isinstance(model, LanguageModel) else model.n_runs
    rngs = [rng] if isinstance(rng, np.random.Generator) else list(rng)
    if n_runs is not None and len(rngs) != n_runs:
        raise SettingsError(f"sampling needs one generator for each of {n_runs} runs; got {len(rngs)}")
    if n_runs is None and not isinstance(rng, np.random.Generator):
        raise SettingsError(f"a model without a run axis is sampled with one generator; got {len(rng)}")
    law = _Law(temperature, top_k, top_p, allowed)
    # As many numbers as a row could ever need, drawn beforehand: what others do shifts none of them.
    uniforms = np.array(
        [[[row.random(n_new) for row in prompt.spawn(n)] for prompt in run.spawn(len(prompts))] for run in rngs]
    ).reshape(len(rngs), len(prompts), n, n_new)
    shape = uniforms.shape
    tokens, drawn_from, own = np.full(shape, NOTHING), np.zeros(shape), np.zeros(shape)
    module = model if isinstance(model, Decoder) else model.model if isinstance(model, LanguageModel) else None
    with nullcontext() if module is None else evaluating(module), torch.inference_mode():
        for some in _batches(model, prompts, n, n_new):
            rows = _continuation(model, [prompts[place] for place in some], n, n_new)
            found = _drawn(rows, law, uniforms[:, some].reshape(len(rngs), -1, n_new), stop)
            for whole, part in zip((tokens, drawn_from, own), found, strict=True):
                whole[:, some] = part.reshape(len(rngs), len(some), n, n_new)
    lead = slice(None) if n_runs is not None else 0
    return Sampled(tokens[lead], (tokens[lead] != NOTHING).sum(axis=-1), drawn_from[lead], own[lead])


@dataclass(frozen=True)
class _Law:
    """From logits to the law that tokens are drawn from."""

    temperature: float
    top_k: int | None
    top_p: float | None
    allowed: Allowed | None

    @property
    def narrows(self) -> bool:
        """Whether it is another law than the model's own."""
        return self.temperature != 1 or self.top_k is not None or self.top_p is not None or self.allowed is not None

    def log_probs(self, logits: Float[Tensor, "row vocab"], drawn: Sequence[tuple[int, ...]]) -> Float[Tensor, "row vocab"]:
        """Log-probabilities after everything that narrows the choice; -inf for what may not be drawn."""
        if self.allowed is not None:
            masks = np.stack([self.allowed(row) for row in drawn])
            if not masks.any(axis=1).all():
                raise SettingsError(
                    "allowed must leave at least one token at every place; it leaves none. Let a stop token pass"
                )
            logits = logits.masked_fill(~torch.from_numpy(masks).to(logits.device), -torch.inf)
        if self.temperature == 0:
            best = torch.full_like(logits, -torch.inf)
            return best.scatter(-1, logits.argmax(-1, keepdim=True), 0.0)
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            values, places = logits.topk(self.top_k, dim=-1)
            logits = torch.full_like(logits, -torch.inf).scatter(-1, places, values)
        if self.top_p is not None:
            ordered, places = logits.log_softmax(-1).sort(dim=-1, descending=True, stable=True)
            before = ordered.exp().cumsum(-1) - ordered.exp()
            cut = torch.empty_like(before, dtype=torch.bool).scatter(-1, places, before >= self.top_p)
            logits = logits.masked_fill(cut, -torch.inf)
        return logits.log_softmax(-1)


def _drawn(
    rows: Continuation, law: _Law, uniforms: Float[ndarray, "run row new"], stop: Collection[int]
) -> tuple[Int[ndarray, "run row new"], Float[ndarray, "run row new"], Float[ndarray, "run row new"]]:
    """Tokens of every row, and their log-probabilities by the law they were drawn from and by the model's own."""
    n_runs, n_rows, n_new = uniforms.shape
    tokens, drawn_from, own = np.full(uniforms.shape, NOTHING), np.zeros(uniforms.shape), np.zeros(uniforms.shape)
    # Runs end at different times: the batch is as wide as the run with most rows left needs, the rest of it is not read.
    left = np.ones((n_runs, n_rows), dtype=bool)  # at each place of the batch, whether its row goes on
    name = np.tile(np.arange(n_rows), (n_runs, 1))  # and which row it is
    for step in range(n_new):
        run, place = np.nonzero(left)
        row = name[run, place]
        logits = rows.logits().flatten(0, 1)
        if not left.all():
            logits = logits[torch.from_numpy(np.flatnonzero(left)).to(logits.device)]
        mine = logits.double().log_softmax(-1)
        texts = [tuple(tokens[at][:step].tolist()) for at in zip(run, row, strict=True)] if law.allowed is not None else []
        log_law = law.log_probs(logits.double(), texts) if law.narrows else mine
        chosen = _draw(log_law, uniforms[run, row, step])
        at = torch.arange(len(chosen), device=chosen.device)
        drawn = chosen.cpu().numpy()
        tokens[run, row, step] = drawn
        drawn_from[run, row, step] = log_law[at, chosen].cpu().numpy()
        own[run, row, step] = mine[at, chosen].cpu().numpy()
        left[run, place] = ~np.isin(drawn, list(stop))
        most = int(left.sum(axis=1).max())
        if not most or step == n_new - 1:
            break
        following = np.zeros(left.shape, dtype=np.int64)
        following[run, place] = drawn
        kept = None
        if most <= (1 - SPARE) * left.shape[1]:
            order = np.argsort(~left, axis=1, kind="stable")[:, :most]
            left, name, following = (np.take_along_axis(values, order, axis=1) for values in (left, name, following))
            kept = torch.from_numpy(order).to(logits.device)
        rows.extend(torch.from_numpy(following).to(logits.device), kept)
    return tokens, drawn_from, own


def _draw(log_law: Float[Tensor, "row vocab"], uniforms: Float[ndarray, " row"]) -> Int[Tensor, " row"]:
    """For each row the token at which the cumulative probability passes its uniform number."""
    passed = log_law.exp().cumsum(-1)
    wanted = torch.from_numpy(uniforms).to(passed)[:, None] * passed[:, -1:]
    return torch.searchsorted(passed, wanted, right=True).clamp_max(passed.shape[-1] - 1).squeeze(-1)


def _batches(
    model: Decoder | LanguageModel | Continues, prompts: Sequence[Sequence[int]], n: int, n_new: int
) -> Iterator[list[int]]:
    """Places of prompts that go on together: those of equal length, or any that the model computes exactly side by side."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    padded = isinstance(model, LanguageModel) and pads_exactly(model, len(prompts[order[-1]]) + n_new)
    some: list[int] = []
    for place in order:
        if some and ((len(some) + 1) * n > ROWS or not (padded or len(prompts[some[0]]) == len(prompts[place]))):
            yield some
            some = []
        some.append(place)
    yield some


def _continuation(
    model: Decoder | LanguageModel | Continues, prompts: Sequence[Sequence[int]], n: int, n_new: int
) -> Continuation:
    if isinstance(model, Decoder):
        return DecoderContinuation(model, prompts, n)
    if isinstance(model, LanguageModel):
        return PretrainedContinuation(model, prompts, n, n_new)
    return model.continuation(prompts, n, n_new)


class DecoderContinuation:
    """Prompts of equal length of our decoder; without a run axis it is one run."""

    def __init__(self, model: Decoder, prompts: Sequence[Sequence[int]], n: int) -> None:
        self.model, self.past, self.place = model, Past(), len(prompts[0])
        device = next(model.parameters()).device
        tokens = torch.tensor([list(prompt) for prompt in prompts], device=device)
        tokens = tokens if model.n_runs is None else tokens.expand(model.n_runs, -1, -1)
        state = model.hidden(tokens, at=-1, past=self.past)
        items = torch.arange(len(prompts), device=device).repeat_interleave(n)
        self.state = state.index_select(-3, items)
        self._take(lambda part: part.index_select(-4, items))

    def logits(self) -> Float[Tensor, "run row vocab"]:
        """Of the next token of every row that is left."""
        logits = self.model.read_out(self.state).squeeze(-2)
        return logits[None] if self.model.n_runs is None else logits

    def extend(self, tokens: Int[Tensor, "run row"], kept: Int[Tensor, "run row"] | None) -> None:
        """Goes on with each run's rows at `kept`, each with its token behind it; None keeps all as they are."""
        if kept is not None and self.model.n_runs is None:
            self._take(lambda part: part[kept[0]])
        elif kept is not None:
            runs = torch.arange(len(kept), device=kept.device)[:, None]
            self._take(lambda part: part[runs, kept])
        tokens = tokens[0] if self.model.n_runs is None else tokens
        self.state = self.model.hidden(tokens[..., None], at=-1, first=self.place, past=self.past)
        self.place += 1

    def _take(self, rows: Callable[[Tensor], Tensor]) -> None:
        """Goes on with some rows of the past."""
        taken = []
        for parts in self.past.layers:
            # One head's stream serves as keys and as values, and stays one.
            found = [(keys, rows(keys), values) for keys, values in parts]
            taken.append([(mine, mine if values is keys else rows(values)) for keys, mine, values in found])
        self.past = Past(taken)


def _check(
    n: int, n_new: int, temperature: float, top_k: int | None, top_p: float | None, prompts: Sequence[Sequence[int]]
) -> None:
    faults = {
        "n must be at least 1": (n, n >= 1),
        "n_new must be at least 1": (n_new, n_new >= 1),
        "temperature must be at least 0": (temperature, temperature >= 0),
        "top_k must be at least 1, or None": (top_k, top_k is None or top_k >= 1),
        "top_p must lie in (0, 1], or be None": (top_p, top_p is None or 0 < top_p <= 1),
        "a prompt must have at least one token": ("an empty one", all(len(prompt) for prompt in prompts)),
    }
    for must, (got, holds) in faults.items():
        if not holds:
            raise SettingsError(f"sampling: {must}; got {got}")
