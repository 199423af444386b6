"""Samples from a language model, ours or a pretrained one: one call, one random stream a row, log-probabilities returned.

    drawn = sample(model, [prompt_tokens], n=8, n_new=20, rng=seeds("samples"), temperature=0.7, stop=[end])
    drawn.tokens[0, 3, : drawn.n_tokens[0, 3]], drawn.log_prob.sum(-1)

A prompt is computed once for all of its continuations, keys and values are kept, logits are made at the last position only, and
continuations that have ended leave the batch. Draws of a row come from a stream of its own: of run, prompt and sample, whatever
others there are, so up to the rounding of logits a row's text does not depend on its batch mates. Temperature 0 is greedy.

Planned users: studies of preferences and of self-made data.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, Past
from assay.models.pretrained.continuing import PretrainedContinuation
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import evaluating

__all__ = ["NOTHING", "Sampled", "sample"]

NOTHING = -1  # stands in `tokens` behind the end of a continuation
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


class Continuation(Protocol):
    """A prompt that is being continued, row by row."""

    def logits(self) -> Float[Tensor, "row vocab"]:
        """Of the next token of every row that is left."""
        ...

    def extend(self, tokens: Int[Tensor, " row"], kept: Sequence[int]) -> None:
        """Goes on with these rows only, each with its token behind it."""
        ...


def sample(
    model: Decoder | LanguageModel,
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
        model: a decoder, with or without a run axis, or a pretrained model.
        prompts: tokens, with those that the tokenizer puts in front; all runs get the same. They may differ in length.
        n_new: tokens at the most.
        rng: one generator; for a decoder with a run axis one a run.
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
    law = _Law(temperature, top_k, top_p, allowed)
    if isinstance(model, Decoder) and model.n_runs is not None:
        rngs = [rng] if isinstance(rng, np.random.Generator) else list(rng)
        if len(rngs) != model.n_runs:
            raise SettingsError(f"sampling needs one generator for each of {model.n_runs} runs; got {len(rngs)}")
        # Runs end at different times and may share no batch, so each goes its own way.
        each = [_sampled(model.run(run), prompts, n, n_new, own, law, stop) for run, own in enumerate(rngs)]
        return Sampled(*(np.stack([getattr(one, name) for one in each]) for name in Sampled.__dataclass_fields__))
    if not isinstance(rng, np.random.Generator):
        raise SettingsError(f"a model without a run axis is sampled with one generator; got {len(rng)}")
    return _sampled(model, prompts, n, n_new, rng, law, stop)


@dataclass(frozen=True)
class _Law:
    """From logits to the law that tokens are drawn from."""

    temperature: float
    top_k: int | None
    top_p: float | None
    allowed: Allowed | None

    def log_probs(self, logits: Float[Tensor, "row vocab"], drawn: Sequence[Sequence[int]]) -> Float[Tensor, "row vocab"]:
        """Log-probabilities after everything that narrows the choice; -inf for what may not be drawn."""
        if self.allowed is not None:
            masks = np.stack([self.allowed(tuple(row)) for row in drawn])
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


def _sampled(
    model: Decoder | LanguageModel,
    prompts: Sequence[Sequence[int]],
    n: int,
    n_new: int,
    rng: np.random.Generator,
    law: _Law,
    stop: Collection[int],
) -> Sampled:
    shape = (len(prompts), n, n_new)
    tokens, drawn_from, own = np.full(shape, NOTHING), np.zeros(shape), np.zeros(shape)
    module = model if isinstance(model, Decoder) else model.model
    with evaluating(module), torch.inference_mode():
        for place, (prompt, stream) in enumerate(zip(prompts, rng.spawn(len(prompts)), strict=True)):
            rows: Continuation = (
                _DecoderContinuation(model, prompt, n)
                if isinstance(model, Decoder)
                else PretrainedContinuation(model, prompt, n, n_new)
            )
            streams, left = stream.spawn(n), list(range(n))
            for step in range(n_new):
                logits = rows.logits().double()
                log_law = law.log_probs(logits, [tokens[place, row, :step].tolist() for row in left])
                chosen = _draw(log_law, [streams[row].random() for row in left])
                at = torch.arange(len(left), device=logits.device)
                tokens[place, left, step] = chosen.cpu().numpy()
                drawn_from[place, left, step] = log_law[at, chosen].cpu().numpy()
                own[place, left, step] = logits.log_softmax(-1)[at, chosen].cpu().numpy()
                kept = [index for index, token in enumerate(chosen.tolist()) if token not in stop]
                left = [left[index] for index in kept]
                if not left or step == n_new - 1:
                    break
                rows.extend(chosen[kept], kept)
    return Sampled(tokens, (tokens != NOTHING).sum(axis=-1), drawn_from, own)


def _draw(log_law: Float[Tensor, "row vocab"], uniforms: Sequence[float]) -> Int[Tensor, " row"]:
    """For each row the token at which the cumulative probability passes its uniform number."""
    passed = log_law.exp().cumsum(-1)
    wanted = torch.tensor(uniforms, dtype=passed.dtype, device=passed.device)[:, None] * passed[:, -1:]
    return torch.searchsorted(passed, wanted, right=True).clamp_max(passed.shape[-1] - 1).squeeze(-1)


class _DecoderContinuation:
    """A prompt of our decoder."""

    def __init__(self, model: Decoder, prompt: Sequence[int], n: int) -> None:
        self.model, self.past, self.place = model, Past(), len(prompt)
        device = next(model.parameters()).device
        state = model.hidden(torch.tensor([list(prompt)], device=device), at=-1, past=self.past)
        self.past = self.past.of(torch.zeros(n, dtype=torch.long, device=device))
        self.state = state.expand(n, -1, -1)

    def logits(self) -> Float[Tensor, "row vocab"]:
        """Of the next token of every row that is left."""
        return self.model.read_out(self.state).squeeze(-2)

    def extend(self, tokens: Int[Tensor, " row"], kept: Sequence[int]) -> None:
        """Goes on with these rows only, each with its token behind it."""
        self.past = self.past.of(torch.tensor(kept, device=tokens.device))
        self.state = self.model.hidden(tokens[:, None], at=-1, first=self.place, past=self.past)
        self.place += 1


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
