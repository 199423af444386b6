"""Emulated fine-tuning: what tuning changed in one model, added to another model's log-probabilities while it writes.

    product = Emulated(large_base, small_tuned, small_base)           # up-scaling; with small and large exchanged, down-scaling
    sample(product, prompts, n=8, n_new=24, rng=rng, stop=[end])      # or score_choices(product.language_model, questions)
    speculative(product, prompts, n_new=24, rng=rng, k=4)             # the same law with fewer passes of the large model

The token rule is log p(y) = log base(y) + sum_i w_i (log tuned_i(y) - log reference(y)) - log Z, with Z the sum over the next
token. It is a product of three models made token by token, not the law of whole texts that tuning the large model would be the
optimum of: those two differ by the soft values of prefixes. Parts are our decoders, with or without a run axis, or pretrained
models.

Source: Mitchell et al. 2023, arXiv:2310.12962; Liu et al. 2024, arXiv:2401.08565, is the same arithmetic.
"""

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from assay.core.errors import InputError, SettingsError
from assay.models.decoder import Decoder, Past
from assay.models.pretrained.continuing import PretrainedContinuation
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import evaluating
from assay.models.sampling import NOTHING, Continuation, DecoderContinuation
from assay.models.sites import unwrapped

__all__ = ["Emulated", "Outside", "Speculated", "product_log_probs", "speculate", "speculative", "speculative_law"]

Model = Decoder | LanguageModel
Outside = Literal["tuned", "nothing"]
Law = Float[ndarray, " vocab"]


def product_log_probs(
    base: Float[Tensor, "*lead vocab"],
    tuned: Sequence[Float[Tensor, "*lead vocab"]],
    reference: Float[Tensor, "*lead vocab"],
    weights: Sequence[float],
    *,
    top_p: float | None = None,
    outside: Outside = "tuned",
) -> Float[Tensor, "*lead vocab"]:
    """Log-probabilities of the product by the token rule, from logits or log-probabilities of its parts.

    Args:
        base: of the model that is added to.
        tuned: of the tuned models.
        reference: of what they were tuned from.
        weights: of each difference; 1 is emulated fine-tuning, 0 leaves the base.
        top_p: tokens outside of the first tuned model's likeliest ones that together have this probability are not up-scaled.
        outside: what becomes of them: `tuned` keeps the tuned model's own probability (the weight base / reference is 1),
            `nothing` forbids them (it is 0).
    """
    own, before = base.log_softmax(-1), reference.log_softmax(-1)
    after = [one.log_softmax(-1) for one in tuned]
    total = own
    for weight, one in zip(weights, after, strict=True):
        if weight:
            total = total + weight * (one - before)
    if top_p is not None:
        ordered, places = after[0].sort(dim=-1, descending=True, stable=True)
        passed = ordered.exp().cumsum(-1) - ordered.exp()
        cut = torch.empty_like(passed, dtype=torch.bool).scatter(-1, places, passed >= top_p)
        total = torch.where(cut, after[0] if outside == "tuned" else torch.full_like(total, -torch.inf), total)
    return total.log_softmax(-1)


class Emulated:
    """A product of models, which can be sampled and, where its parts are pretrained, scored by `language_model`.

    Attributes:
        base, tuned, reference: its parts; there may be several tuned ones.
        weights: of each tuned one.
        top_p, outside: the filter; see `product_log_probs`.
    """

    def __init__(
        self,
        base: Model,
        tuned: Model | Sequence[Model],
        reference: Model,
        weight: float | Sequence[float] = 1.0,
        *,
        top_p: float | None = None,
        outside: Outside = "tuned",
    ) -> None:
        """The product of these parts.

        Raises:
            InputError: the parts have not one vocabulary, or are of different kinds.
            SettingsError: there is not one weight for each tuned model, or the filter is out of range.
        """
        self.base, self.reference = base, reference
        self.tuned = (tuned,) if isinstance(tuned, (Decoder, LanguageModel)) else tuple(tuned)
        self.weights = (float(weight),) * len(self.tuned) if isinstance(weight, (int, float)) else tuple(map(float, weight))
        self.top_p, self.outside = top_p, outside
        if not self.tuned or len(self.weights) != len(self.tuned):
            raise SettingsError(f"a product needs a weight for each tuned model; got {len(self.weights)} for {len(self.tuned)}")
        if (top_p is not None and not 0 < top_p <= 1) or outside not in ("tuned", "nothing"):
            raise SettingsError(f"top_p must lie in (0, 1], outside be tuned or nothing; got {top_p}, {outside!r}")
        _check_parts(self.parts)

    @property
    def parts(self) -> tuple[Model, ...]:
        """Base, reference, and the tuned ones."""
        return (self.base, self.reference, *self.tuned)

    @property
    def n_runs(self) -> int | None:
        """Side by side; None without a run axis."""
        return self.base.n_runs if isinstance(self.base, Decoder) else None

    def log_probs(self, logits: Sequence[Float[Tensor, "*lead vocab"]]) -> Float[Tensor, "*lead vocab"]:
        """The product's, from the logits of its parts in their order."""
        base, reference, *tuned = logits
        return product_log_probs(base, tuned, reference, self.weights, top_p=self.top_p, outside=self.outside)

    def continuation(self, prompts: Sequence[Sequence[int]], n: int, n_new: int) -> Continuation:
        """n rows for each prompt, in order, each to be continued by at most `n_new` tokens; prompts are equally long."""
        return _ProductContinuation(self, prompts, n, n_new)

    @property
    def language_model(self) -> LanguageModel:
        """The product as a pretrained model, for scoring and whatever else asks one; its weights are those of its parts.

        Raises:
            InputError: its parts are not pretrained models, or their attention takes masks in different forms.
        """
        if not isinstance(self.base, LanguageModel):
            raise InputError("a product must be of pretrained models to be asked as one; this one is of decoders. Sample it")
        names = " + ".join(
            f"{weight:g} x ({_of(one).name} - {_of(self.reference).name})"
            for weight, one in zip(self.weights, self.tuned, strict=True)
        )
        note = "This is a product of models, made token by token: nothing was tuned."
        return LanguageModel(f"{self.base.name} + {names}", _Product(self).eval(), self.base.tokenizer, None, (note,))


def _of(part: Model) -> LanguageModel:
    assert isinstance(part, LanguageModel)
    return part


def _check_parts(parts: Sequence[Model]) -> None:
    base = parts[0]
    for other in parts[1:]:
        if isinstance(base, Decoder) != isinstance(other, Decoder):
            raise InputError("the parts of a product must all be decoders or all be pretrained models; got both")
        if isinstance(base, Decoder) and isinstance(other, Decoder):
            mine, theirs = (base.config.n_outputs, base.n_runs), (other.config.n_outputs, other.n_runs)
            if mine != theirs:
                raise InputError(f"the parts of a product must share vocabulary and runs; got {mine} and {theirs} of these")
        elif isinstance(base, LanguageModel) and isinstance(other, LanguageModel):
            _check_vocabularies(base, other)


def _check_vocabularies(base: LanguageModel, other: LanguageModel) -> None:
    ours, theirs = (model.tokenizer.convert_ids_to_tokens(range(len(model.tokenizer))) for model in (base, other))
    differing = [place for place in range(max(len(ours), len(theirs))) if ours[place : place + 1] != theirs[place : place + 1]]
    if not differing and base.vocab_size == other.vocab_size:
        return
    place = differing[0] if differing else min(base.vocab_size, other.vocab_size)
    here, there = ((tokens[place : place + 1] or ["nothing"])[0] for tokens in (ours, theirs))
    raise InputError(
        f"the parts of a product must share one vocabulary; '{base.name}' has {len(ours)} tokens and {base.vocab_size} rows, "
        f"'{other.name}' {len(theirs)} and {other.vocab_size}, and the first that differs is {place}: '{here}' and '{there}'"
    )


class _ProductContinuation:
    """Prompts of equal length, continued by every part."""

    def __init__(self, product: Emulated, prompts: Sequence[Sequence[int]], n: int, n_new: int) -> None:
        self.product = product
        self.rows: list[Continuation] = [
            DecoderContinuation(part, prompts, n)
            if isinstance(part, Decoder)
            else PretrainedContinuation(part, prompts, n, n_new)
            for part in product.parts
        ]

    def logits(self) -> Float[Tensor, "run row vocab"]:
        """Of the next token of every row that is left."""
        return self.product.log_probs([rows.logits().double() for rows in self.rows])

    def extend(self, tokens: Int[Tensor, "run row"], kept: Int[Tensor, "run row"] | None) -> None:
        """Goes on with each run's rows at `kept`, each with its token behind it; None keeps all as they are."""
        for rows in self.rows:
            rows.extend(tokens, kept)


class _Product(nn.Module):
    """A product with the call of a transformers causal language model; of a cache the parts have stretches of layers each."""

    def __init__(self, product: Emulated) -> None:
        super().__init__()
        self.product = product
        self.each = nn.ModuleList([_of(part).model for part in product.parts])
        # Among the weights, so that whatever tells models apart by their weights tells products of the same parts apart.
        dials = (*product.weights, product.top_p or 0.0, float(product.outside == "tuned"))
        self.register_buffer("dials", torch.tensor(dials, dtype=torch.float64))
        wholes = [unwrapped(module) for module in self.each]
        forms = {getattr(whole.config, "_attn_implementation", None) for whole in wholes}
        if len(forms) > 1:
            raise InputError(f"the parts of a product must take masks in one form; got {', '.join(sorted(map(str, forms)))}")
        self.config = copy.copy(wholes[0].config)
        for name in ("max_position_embeddings", "sliding_window", "attention_chunk_size"):
            found = [size for whole in wholes if isinstance(size := getattr(whole.config, name, None), int)]
            if found:
                setattr(self.config, name, min(found))
        self._is_stateful = any(getattr(whole, "_is_stateful", False) for whole in wholes)
        self.layers = [int(whole.config.num_hidden_layers) for whole in wholes]
        self.keeps = ["logits_to_keep" in inspect.signature(type(whole).forward).parameters for whole in wholes]

    def get_input_embeddings(self) -> Any:
        return unwrapped(self.each[0]).get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        return unwrapped(self.each[0]).get_output_embeddings()

    def empty_cache(self) -> Any:
        return optional("transformers", "a pretrained language model").DynamicCache()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
    ) -> SimpleNamespace:
        given: dict[str, Any] = {"input_ids": input_ids, "use_cache": use_cache}
        given |= {} if attention_mask is None else {"attention_mask": attention_mask}
        given |= {} if position_ids is None else {"position_ids": position_ids}
        logits, layers = list[Tensor](), list[Any]()
        for part, n_layers, keeps in zip(self.each, self.layers, self.keeps, strict=True):
            own = dict(given)
            if past_key_values is not None:
                own["past_key_values"] = self.empty_cache()
                own["past_key_values"].layers = past_key_values.layers[len(layers) : len(layers) + n_layers]
            if keeps:
                own["logits_to_keep"] = logits_to_keep
            told = part(**own).logits
            if not keeps:
                told = told[:, logits_to_keep if isinstance(logits_to_keep, Tensor) else slice(-logits_to_keep or None, None)]
            logits.append(told.float())
            if past_key_values is not None:
                found = own["past_key_values"].layers
                layers += found
                assert len(found) == n_layers
        if past_key_values is not None:
            past_key_values.layers = layers
        return SimpleNamespace(logits=self.product.log_probs(logits), past_key_values=past_key_values)


# ----------------------------------------------------------------------------------------------------------- speculation


@dataclass(frozen=True, eq=False)
class Speculated:
    """What was drawn with a draft; behind the end of a continuation tokens are -1.

    Attributes:
        tokens: of every continuation; a stop token that ended it is its last.
        n_tokens: how many there are.
        n_forwards: passes of the large model that they took.
        n_accepted: tokens that the draft had proposed.
    """

    tokens: Int[ndarray, "prompt sample new"]
    n_tokens: Int[ndarray, "prompt sample"]
    n_forwards: Int[ndarray, "prompt sample"]
    n_accepted: Int[ndarray, "prompt sample"]


def speculate(
    draft: Callable[[tuple[int, ...]], Law],
    target: Callable[[tuple[int, ...], tuple[int, ...]], Sequence[Law]],
    choose: Callable[[Law], int],
    *,
    k: int,
    n_new: int,
    stop: Collection[int] = (),
) -> tuple[tuple[int, ...], int, int]:
    """A text of the target's law, how many calls of the target it took, and how many of its tokens the draft had proposed.

    A proposed token y is accepted with probability min(1, p(y) / q(y)), where q must be the very law it was drawn from; at the
    first that is not, a token of the law max(0, p - q) takes its place, and where all are accepted, one more is drawn from p.

    Args:
        draft: draft(text) is the law of the next token that is proposed from.
        target: target(text, proposed) are the laws behind the text and behind each of the proposed tokens: one pass.
        choose: choose(law) draws a place of a law; all randomness comes from it.
        k: tokens proposed at a time.
        n_new: the most tokens of the text.
        stop: tokens that end it.

    Source: Leviathan et al. 2023, arXiv:2211.17192, algorithm 1.
    """
    if k < 1 or n_new < 1:
        raise SettingsError(f"a draft must propose at least one token, and a text have one; got k={k}, n_new={n_new}")
    text: tuple[int, ...] = ()
    n_calls = n_accepted = 0
    while len(text) < n_new and not (text and text[-1] in stop):
        proposed: tuple[int, ...] = ()
        offered = list[Law]()
        while len(proposed) < min(k, n_new - len(text)) and not (proposed and proposed[-1] in stop):
            offered.append(draft(text + proposed))
            proposed += (choose(offered[-1]),)
        wanted = target(text, proposed)
        n_calls += 1
        for token, p, q in zip(proposed, wanted, offered, strict=False):
            accepted = min(1.0, float(p[token] / q[token]))
            if choose(np.array([accepted, 1 - accepted])) == 0:
                text += (token,)
                n_accepted += 1
                continue
            rest = np.maximum(p - q, 0)
            rest = rest if rest.any() else p  # equal laws, of which rounding refused a token
            text += (choose(rest / rest.sum()),)
            break
        else:
            if len(text) < n_new and text[-1] not in stop:
                text += (choose(np.asarray(wanted[len(proposed)])),)
    return text, n_calls, n_accepted


def speculative_law(
    draft: Callable[[tuple[int, ...]], Law],
    target: Callable[[tuple[int, ...], tuple[int, ...]], Sequence[Law]],
    *,
    k: int,
    n_new: int,
    stop: Collection[int] = (),
) -> dict[tuple[int, ...], float]:
    """The law of `speculate` over whole texts, by going through every draw that it could make."""
    found: dict[tuple[int, ...], float] = {}
    for text, probability in _every(partial(speculate, draft, target, k=k, n_new=n_new, stop=stop)):
        found[text] = found.get(text, 0.0) + probability
    return found


def _every(run: Callable[[Callable[[Law], int]], tuple[tuple[int, ...], int, int]]) -> Iterator[tuple[tuple[int, ...], float]]:
    """What a random procedure gives for each sequence of draws, with that sequence's probability."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        told, probability, taken = waiting.pop(), 1.0, list[int]()

        def choose(law: Law) -> int:
            nonlocal probability
            at = len(taken)  # noqa: B023 - called within this turn alone
            possible = np.flatnonzero(law > 0)
            if at < len(told):  # noqa: B023
                place = told[at]  # noqa: B023
            else:
                place = int(possible[0])
                waiting.extend((*taken, int(other)) for other in possible[1:])  # noqa: B023
            taken.append(place)  # noqa: B023
            probability *= float(law[place])
            return place

        text, *_ = run(choose)
        yield text, probability


def speculative(
    product: Emulated,
    prompts: Sequence[Sequence[int]],
    *,
    n_new: int,
    rng: np.random.Generator,
    n: int = 1,
    k: int = 4,
    temperature: float = 1.0,
    stop: Collection[int] = (),
    draft: Model | None = None,
) -> Speculated:
    """Continuations of the product's law, for which the base is run once for several tokens.

    The draft is drawn from, and acceptance compares with, one and the same law: the draft's at this temperature.

    Args:
        product: of models without a run axis.
        prompts: tokens, with those that the tokenizer puts in front.
        n_new: tokens at the most.
        rng: where draws come from; each row has a stream of its own.
        n: continuations of each prompt.
        k: tokens proposed at a time.
        temperature: of both laws; positive.
        stop: tokens that end a continuation.
        draft: what proposes; None for the first tuned model, which the product needs in any case.

    Raises:
        SettingsError: a setting is out of its range, or the parts have a run axis.
    """
    if not temperature > 0 or n < 1 or not all(len(prompt) for prompt in prompts):
        raise SettingsError(f"speculation needs a positive temperature, rows and prompts with tokens; got {temperature}, {n}")
    if product.n_runs is not None:
        raise SettingsError(f"speculation goes text by text; these decoders have {product.n_runs} runs. Take one out of each")
    shape = (len(prompts), n)
    tokens = np.full((*shape, n_new), NOTHING)
    n_forwards, n_accepted = np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
    with torch.inference_mode():
        for place, (prompt, stream) in enumerate(zip(prompts, rng.spawn(len(prompts)), strict=True)):
            readers = [_Reader(part, prompt) for part in product.parts]
            proposer = readers[2] if draft is None else _Reader(draft, prompt)

            def offered(text: tuple[int, ...], proposer: "_Reader" = proposer) -> Law:
                return _law(proposer.logits(text, 1)[0], temperature)

            def wanted(text: tuple[int, ...], proposed: tuple[int, ...], readers: "Sequence[_Reader]" = readers) -> list[Law]:
                told = [reader.logits(text + proposed, len(proposed) + 1).double() for reader in readers]
                return [_law(row, temperature) for row in product.log_probs(told)]

            for row, own in enumerate(stream.spawn(n)):

                def choose(law: Law, own: np.random.Generator = own) -> int:
                    passed = law.cumsum()
                    return min(int(np.searchsorted(passed, own.random() * passed[-1], side="right")), len(law) - 1)

                text, n_forwards[place, row], n_accepted[place, row] = speculate(
                    offered, wanted, choose, k=k, n_new=n_new, stop=stop
                )
                tokens[place, row, : len(text)] = text
    return Speculated(tokens, (tokens != NOTHING).sum(-1), n_forwards, n_accepted)


def _law(logits: Float[Tensor, " vocab"], temperature: float) -> Law:
    return (logits.double() / temperature).softmax(-1).cpu().numpy()


class _Reader:
    """Logits behind every token of a text that grows and is cut back; what is known of its beginning is not computed again."""

    def __init__(self, model: Model, prompt: Sequence[int]) -> None:
        self.model, self.prompt = model, tuple(prompt)
        self.seen: tuple[int, ...] = ()
        self.told: list[Tensor] = []  # logits behind each token that was seen
        self.past = Past()
        self.cache: Any = None
        if isinstance(model, LanguageModel) and not getattr(unwrapped(model.model), "_is_stateful", False):
            self.cache = optional("transformers", "a pretrained language model").DynamicCache()

    def logits(self, text: Sequence[int], n: int) -> Float[Tensor, "n vocab"]:
        """Behind the prompt with the text, and behind its last n - 1 shortenings, the shortest first."""
        whole = (*self.prompt, *text)
        known = 0
        while known < min(len(whole), len(self.seen)) and whole[known] == self.seen[known]:
            known += 1
        if known < len(whole):
            self._cut(known)
            self.told += self._run(whole, known).unbind(0)
            self.seen = whole
        return torch.stack(self.told[len(whole) - n : len(whole)])

    def _run(self, whole: Sequence[int], known: int) -> Float[Tensor, "new vocab"]:
        if isinstance(self.model, Decoder):
            tokens = torch.tensor([whole[known:]], device=next(self.model.parameters()).device)
            return self.model.read_out(self.model.hidden(tokens, first=known, past=self.past))[0]
        first = 0 if self.cache is None else known
        tokens = torch.tensor([whole[first:]], device=self.model.device)
        given = {} if self.cache is None else {"past_key_values": self.cache}
        with evaluating(self.model.model):
            logits: Tensor = self.model.model(input_ids=tokens, use_cache=self.cache is not None, **given).logits[0]
        return logits[known - first :]

    def _cut(self, length: int) -> None:
        """Forget what stands behind the first tokens."""
        if length == len(self.seen):
            return
        if self.cache is not None:
            self.cache.crop(length - len(self.seen))  # a negative number: how many go
        self.told, self.seen = self.told[:length], self.seen[:length]
        layers = []
        for parts in self.past.layers:
            left, kept = length, []
            for keys, values in parts:
                if left > 0:
                    mine = keys[..., :left, :]
                    kept.append((mine, mine if values is keys else values[..., :left, :]))
                left -= keys.shape[-2]
            layers.append(kept)
        self.past = Past(layers) if length else Past()
