"""Where a pretrained model's heads look while it answers a two-hop question, and what it answers when some look evenly.

The sequential query in a model of many heads: from the question some head looks at the bridge of the asked chain, from the last
token, some head looks at its end. Heads are chosen on one half of the prompts and judged on the other. A cut makes the chosen
heads' attention uniform in every row of the question; the answer is then read from the first tokens of the ends, which differ.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from assay.core.progress import part, parts
from assay.core.settings import digest
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel
from assay.models.sites import unwrapped
from assay.protocols.language_model import Subject
from assay.store.memo import memoised_json
from assay.studies.mechanisms.two_hop_reasoning.prompts import ChainPrompt

__all__ = ["Looked", "Seen", "followed", "look"]

OURS = "assay-evened"  # the name under which the attention below is known to the library
Head = tuple[int, int]


@dataclass(frozen=True)
class Looked:
    """What was seen of one half of the prompts by heads that the other half chose.

    Attributes:
        end_margin: of each prompt, attention from the last token on the asked end above that on the mean other end, of the
            heads chosen for it, less the same in a prompt without a path; a mean over heads and questions.
        right: by name of a cut, of each prompt the share of questions that are answered right by the first token.
    """

    end_margin: list[float]
    right: dict[str, list[float]]


@dataclass(frozen=True)
class Seen:
    """One question as tokens.

    Attributes:
        ids: of the prompt.
        question: the rows of the question, behind the premises.
        bridges: for each chain, where its bridge stands among the premises.
        ends: for each chain, where its end stands.
        firsts: for each chain, the first token of its end as an answer.
        chain: which one is asked.
    """

    ids: list[int]
    question: Bool[np.ndarray, " pos"]
    bridges: Bool[np.ndarray, "chain pos"]
    ends: Bool[np.ndarray, "chain pos"]
    firsts: list[int]
    chain: int

    @classmethod
    def of(cls, tokenizer: Any, prompt: ChainPrompt, chain: int) -> "Seen":
        """The question for the end of a chain."""
        text = prompt.question(chain)
        found = tokenizer(text, return_offsets_mapping=True)
        starts, stops = np.array(found["offset_mapping"]).T
        premises = len(prompt.premises)

        def places(name: str) -> np.ndarray:
            spans = [match.span() for match in re.finditer(rf"\b{name}\b", text[:premises])]
            return np.asarray(np.any([(starts < stop) & (stops > start) for start, stop in spans], axis=0))

        firsts = [tokenizer(f"{text} {end}")["input_ids"][len(found["input_ids"])] for end in prompt.ends]
        return cls(
            ids=list(found["input_ids"]),
            question=starts >= premises,
            bridges=np.stack([places(bridge) for _, bridge, _ in prompt.chains]),
            ends=np.stack([places(end) for end in prompt.ends]),
            firsts=firsts,
            chain=chain,
        )


def look(
    subject: Subject,
    prompts: Sequence[ChainPrompt],
    without_path: Sequence[ChainPrompt],
    share: float,
    rng: np.random.Generator,
) -> Looked:
    """Where the model's heads look, and what it answers when those that look most at the asked bridge look evenly.

    Kept with the store's memoised steps where the model has a key.

    Args:
        subject: the model.
        prompts: an even number of them; every chain of each is asked for. The first half chooses heads, the second is judged.
        without_path: half as many, with as many chains, in which no path leads to an end; read with the same heads.
        share: of all heads that are chosen, at least one.
        rng: draws the heads of the control cut, as many of each layer as were chosen.
    """
    draw = int(rng.integers(2**31))
    key = subject.key
    if key is None:
        found = _look(subject, prompts, without_path, share, draw)
    else:
        asked = (*prompts, *without_path)
        texts = [prompt.question(chain) for prompt in asked for chain in range(len(prompt.chains))]
        whole = {**key, "prompts": digest(texts), "share": share, "draw": draw}
        found = memoised_json("two-hop-heads", whole, partial(_look, subject, prompts, without_path, share, draw))
    return Looked(found["end_margin"], found["right"])


def _look(
    subject: Subject, prompts: Sequence[ChainPrompt], without_path: Sequence[ChainPrompt], share: float, draw: int
) -> dict[str, Any]:
    model = subject.model
    half = len(prompts) // 2
    asked = [
        [Seen.of(model.tokenizer, prompt, chain) for chain in range(len(prompt.chains))] for prompt in (*prompts, *without_path)
    ]
    with part(0.0, 0.5, "where heads look"):
        weights = [[followed(model, seen) for seen in questions] for questions in parts(asked)]
    to_bridge, to_end = (
        np.array([np.mean([found[place] for found in questions], axis=0) for questions in weights]) for place in (0, 1)
    )
    n_chosen = max(1, round(share * to_bridge[0].size))
    chosen = _largest(to_bridge[:half].mean(axis=0), n_chosen)
    readers = _largest(to_end[:half].mean(axis=0), n_chosen)
    cuts: dict[str, Collection[Head]] = {
        "whole": (),
        "bridge-heads": chosen,
        "other-heads": _others(chosen, to_bridge[0].shape[1], np.random.default_rng(draw)),
    }
    right: dict[str, list[float]] = {}
    with part(0.5, 1.0, "what cuts leave"):
        for name in parts(list(cuts)):
            right[name] = [
                float(np.mean([_answered(model, seen, cuts[name]) for seen in questions]))
                for questions in asked[half : len(prompts)]
            ]
    margins = [float(np.mean([prompt[head] for head in readers])) for prompt in to_end[half:]]
    judged, other = margins[: len(prompts) - half], margins[len(prompts) - half :]
    return {"end_margin": np.subtract(judged, other).tolist(), "right": right}


def followed(model: LanguageModel, seen: Seen) -> tuple[Float[np.ndarray, "layer head"], Float[np.ndarray, "layer head"]]:
    """By head: attention from the question on the asked bridge above the mean other; from the last token on the asked end."""
    patterns: dict[int, np.ndarray] = {}
    _logits(model, seen, (), patterns)
    bridges, ends = [], []
    for layer in sorted(patterns):
        of_question = patterns[layer][:, seen.question].mean(axis=1)
        bridges.append(_above_others(of_question, seen.bridges, seen.chain))
        ends.append(_above_others(patterns[layer][:, -1], seen.ends, seen.chain))
    return np.array(bridges), np.array(ends)


def _above_others(
    attention: Float[np.ndarray, "head pos"], places: Bool[np.ndarray, "chain pos"], chain: int
) -> Float[np.ndarray, " head"]:
    sums = attention @ places.T.astype(float)
    others = np.delete(sums, chain, axis=1)
    return np.asarray(sums[:, chain] - others.mean(axis=1))


def _largest(values: Float[np.ndarray, "layer head"], n: int) -> list[Head]:
    order = np.argsort(-values, axis=None, kind="stable")[:n]
    layers, heads = np.unravel_index(order, values.shape)
    return [(int(layer), int(head)) for layer, head in zip(layers, heads, strict=True)]


def _others(chosen: Sequence[Head], n_heads: int, rng: np.random.Generator) -> list[Head]:
    """As many heads of the same layers, none of them chosen; where a layer has no more, all that it has."""
    found: list[Head] = []
    for layer in sorted({layer for layer, _ in chosen}):
        taken = {head for one, head in chosen if one == layer}
        free = [head for head in range(n_heads) if head not in taken]
        found += [(layer, int(head)) for head in rng.permutation(free)[: len(taken)]]
    return found


def _answered(model: LanguageModel, seen: Seen, cut: Collection[Head]) -> bool:
    logits = _logits(model, seen, cut, {})
    return int(np.argmax(logits[seen.firsts])) == seen.chain


# ------------------------------------------------------------------------------------------------- attention, seen and evened


@dataclass
class _Plan:
    """What the attention below does while a model runs: which heads it evens in which rows, and where it notes patterns."""

    rows: torch.Tensor
    evened: Mapping[int, list[int]]
    patterns: dict[int, np.ndarray] = field(default_factory=dict)


_plans: list[_Plan] = []  # the innermost is followed


def _logits(model: LanguageModel, seen: Seen, cut: Collection[Head], patterns: dict[int, np.ndarray]) -> np.ndarray:
    """Logits behind the last token, with some heads' attention uniform in the rows of the question; notes all patterns."""
    by_layer: dict[int, list[int]] = {}
    for layer, head in cut:
        by_layer.setdefault(layer, []).append(head)
    plan = _Plan(torch.from_numpy(np.flatnonzero(seen.question)).to(model.device), by_layer, patterns)
    with _ours(model), torch.no_grad():
        _plans.append(plan)
        try:
            logits = model.model(torch.tensor([seen.ids], device=model.device)).logits[0, -1]
        finally:
            _plans.pop()
    return np.asarray(logits.float().cpu().numpy())


@contextmanager
def _ours(model: LanguageModel) -> Iterator[None]:
    """Inside the block the model's attention is the one below."""
    optional("transformers", "a language model").AttentionInterface.register(OURS, _attention)
    config = unwrapped(model.model).config
    before = config._attn_implementation
    config._attn_implementation = OURS
    try:
        yield
    finally:
        config._attn_implementation = before


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: float, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention of one unpadded sequence, as the library's, but that it follows the plan."""
    plan, layer = _plans[-1], int(module.layer_idx)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    seen = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    scores = (query @ key.transpose(-1, -2) * scaling).float().masked_fill(~seen, float("-inf"))
    pattern = scores.softmax(-1)
    if heads := plan.evened.get(layer):
        even = seen.float() / seen.sum(-1, keepdim=True)
        pattern[:, torch.tensor(heads)[:, None], plan.rows] = even[plan.rows]
    plan.patterns[layer] = pattern[0].cpu().numpy()
    return (pattern.to(value.dtype) @ value).transpose(1, 2).contiguous(), pattern
