"""A pretrained language model asked two-hop questions with invented names, before and after a short fine-tuning.

One run splits the names, asks the base model, fine-tunes a copy with low-rank adapters on prompts of two chains, and asks the
copy about names that it was not trained on: with one to five chains, with premises in any order, with chains that are cut, and
in wordings it has not seen. Every source of a prompt is asked for, so whoever does not read the question is right once in k.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject, ask, load_base, tune
from assay.studies.mechanisms.two_hop_reasoning.heads import Looked, look
from assay.studies.mechanisms.two_hop_reasoning.prompts import (
    TOPICS,
    WORDINGS,
    ChainPrompt,
    Names,
    Order,
    asked_about,
    drawn_prompts,
)
from assay.studies.mechanisms.two_hop_reasoning.settings import ModelSettings
from assay.worlds.facts.questions import Answers

CHAINS = (1, 2, 3, 4, 5)
SEVERAL = CHAINS[1:]
MORE = CHAINS[2:]  # than it was taught
TRAINED_WORDINGS = tuple(wording for wording in WORDINGS if not wording.held_out)
NEW_WORDINGS = tuple(wording for wording in WORDINGS if wording.held_out)
# What is asked, by arm: kind of prompt, chains, hops.
BEFORE = {
    **{f"before-{k}": ("in order", k, 2) for k in CHAINS},
    "wording-before-2": ("wording", 2, 2),
    "one-hop-before-2": ("in order", 2, 1),
}
AFTER = {
    **{f"after-{k}": ("in order", k, 2) for k in CHAINS},
    "wording-2": ("wording", 2, 2),
    "one-hop-2": ("in order", 2, 1),
    **{f"{kind}-{k}": (kind, k, 2) for kind in ("any", "cut") for k in SEVERAL},
}
BUDGET = 512  # tokens at a time: prompts of five chains are long


def measure(settings: ModelSettings, seeds: Seeds) -> Measurement:
    """One run: one split of the names and one draw of prompts, asked of the base model and of a fine-tuned copy.

    Raises:
        InputError: the model is not in the cache.
        Diverged: the fine-tuning left the finite numbers.
    """
    names = Names.split(seeds("names"))
    base = load_base(settings.model)
    with part(0.0, 0.15, "before training"):
        before = answers_to(base, BEFORE, settings, seeds, names)
    with part(0.15, 0.2, "before training"):
        seen_before = looks(base, settings, seeds, names)
    taught = tuned(base, settings, seeds, names)
    with part(0.2, 0.9):
        after = answers_to(taught, AFTER, settings, seeds, names)
    estimands, tables, items = numbers(before | after)
    with part(0.9, 1.0):
        seen = looks(taught, settings, seeds, names)
    items |= {"path/end_margin": seen.end_margin, "before/end_margin": seen_before.end_margin}
    items |= {f"{cut}/right_first": right for cut, right in seen.right.items()}
    estimands |= {name: float(np.mean(items[name])) for name in items if name not in estimands}
    return Measurement(estimands, tables, items)


def looks(model: Subject, settings: ModelSettings, seeds: Seeds, names: Names) -> Looked:
    """Where heads look, prompt by prompt, beyond where they look in cut prompts, and what cutting heads leaves."""
    prompts, cut = (prompts_of(kind, 2, settings, seeds, names) for kind in ("in order", "cut"))
    return look(model, prompts, cut[: len(prompts) - len(prompts) // 2], settings.cut_share, seeds("heads"))


def tuned(base: Subject, settings: ModelSettings, seeds: Seeds, names: Names) -> Subject:
    """A copy that is fine-tuned on prompts of two chains with the other half of the names."""
    recipe = settings.recipe(
        method="lora",
        parts=("q_proj", "k_proj", "v_proj", "o_proj"),
        lora_rank=settings.lora_rank,
        schedule="linear",
        warmup=0.05,
        budget=BUDGET,
    )
    told = drawn_prompts(settings.n_training, 2, wordings=TRAINED_WORDINGS, stems=names.training, rng=seeds("training prompts"))
    rng = seeds("training questions")
    return tune(base, [asked_about(prompt, rng) for prompt in told], recipe, seeds, "fine-tuning")


def prompts_of(kind: str, k: int, settings: ModelSettings, seeds: Seeds, names: Names) -> list[ChainPrompt]:
    """The prompts of one kind, with new names: `in order`, `any`, `cut` or `wording`."""
    order: Order = "any" if kind == "any" else "forward"
    wordings = NEW_WORDINGS if kind == "wording" else TRAINED_WORDINGS
    rng = seeds(f"{kind} {k}")
    return drawn_prompts(settings.n_asked, k, wordings=wordings, stems=names.new, rng=rng, order=order, cut=kind == "cut")


def answers_to(
    model: Subject, conditions: Mapping[str, tuple[str, int, int]], settings: ModelSettings, seeds: Seeds, names: Names
) -> dict[str, Answers]:
    """What the model says in each condition (kind of prompt, chains, hops), prompt by prompt, source by source."""
    questions = [
        prompt.asked(chain, hops=hops, kind=name)
        for name, (kind, k, hops) in conditions.items()
        for prompt in prompts_of(kind, k, settings, seeds, names)
        for chain in range(k)
    ]
    found = ask(model, questions, precision=settings.precision, budget=BUDGET)
    return {name: found.where(kind=name) for name in conditions}


def measure_nulls(settings: ModelSettings, seeds: Seeds) -> Measurement:
    """The same prompts answered by who follows nothing: all ends alike, by place, and a small model that was never trained."""
    names = Names.split(seeds("names"))
    prompts = prompts_of("in order", 2, settings, seeds, names)
    asked = [(prompt, chain) for prompt in prompts for chain in range(2)]
    items: dict[str, list[float]] = {}
    for arm in ("constant", "place"):
        odds = np.zeros((len(asked), 3))
        if arm == "place":
            odds[np.arange(len(asked)), [by_place(prompt, chain) for prompt, chain in asked]] = math.log(2)
        log_probs = odds - np.logaddexp.reduce(odds, axis=1, keepdims=True)
        fare = fares(Answers.of([prompt.asked(chain) for prompt, chain in asked], list(log_probs)), 2)
        items |= {f"{arm}/right": fare.right, f"{arm}/log_ratio": fare.log_ratio}
    blank = load_base("tiny")
    said = answers_to(blank, {"untrained-2": ("in order", 2, 2)}, settings, seeds, names)
    fare = fares(said["untrained-2"], 2)
    seen = looks(blank, settings, seeds, names)
    items |= {"untrained/right": fare.right, "untrained/log_ratio": fare.log_ratio}
    items |= {"untrained/end_margin": seen.end_margin, "untrained/right_first": seen.right["bridge-heads"]}
    return Measurement({name: float(np.mean(values)) for name, values in items.items()}, items=items)


def by_place(prompt: ChainPrompt, chain: int) -> int:
    """The chain whose end has the place among the ends that the asked chain's source has among the sources."""
    sources, ends = ([chain for chain, hop in prompt.slots if hop == one] for one in (0, 1))
    return ends[sources.index(chain)]


# --------------------------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Fares:
    """How the ends of a prompt's chains fare when each source is asked for, one entry a prompt: means over its questions.

    Attributes:
        topic: what the prompt is about.
        right: share of questions whose right end is the likeliest of the ends.
        target: probability of the right end, as a whole name.
        distractor: mean probability of another end; nan with a single chain.
        bridge: probability of the bridge of the asked chain.
        log_ratio: logarithm of target over distractor, in nats; nan with a single chain.
    """

    topic: list[str]
    right: list[float]
    target: list[float]
    distractor: list[float]
    bridge: list[float]
    log_ratio: list[float]


def fares(answers: Answers, k: int) -> Fares:
    """How ends fare in prompts of k chains; the last candidate of a question is the asked chain's bridge."""
    log_probs = answers.table.reshape(-1, k, k + 1)
    ends, own = log_probs[..., :k], np.arange(k)
    target = ends[:, own, own]
    others = np.exp(ends).sum(axis=-1) - np.exp(target)
    distractor = others / (k - 1) if k > 1 else np.full_like(others, np.nan)
    return Fares(
        topic=[question.about for question in answers.questions[::k]],
        right=(ends.argmax(axis=-1) == own).mean(axis=1).tolist(),
        target=np.exp(target).mean(axis=1).tolist(),
        distractor=distractor.mean(axis=1).tolist(),
        bridge=np.exp(log_probs[..., k]).mean(axis=1).tolist(),
        log_ratio=(target - np.log(distractor)).mean(axis=1).tolist(),
    )


def numbers(said: Mapping[str, Answers]) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said in each arm ("after-3": with three chains)."""
    found = {arm: fares(answers, chains_of(arm)) for arm, answers in said.items()}
    items: dict[str, list[float]] = {}
    for arm, fare in found.items():
        items[f"{arm}/right"] = fare.right
        if chains_of(arm) > 1:
            items[f"{arm}/log_ratio"] = fare.log_ratio
    for kind in ("after", "cut"):
        if all(f"{kind}-{k}" in found for k in MORE):
            items[f"{kind}-more/right"] = [right for k in MORE for right in found[f"{kind}-{k}"].right]
    estimands = {name: float(np.mean(values)) for name, values in items.items()}
    tables: dict[str, Table] = {"probabilities": [], "accuracy": [], "topics": []}
    for arm, fare in found.items():
        condition, k = arm.rpartition("-")[0], chains_of(arm)
        if condition in ("before", "after"):
            mass = {"right end": fare.target, "each other end": fare.distractor, "own bridge": fare.bridge}
            for what, values in mass.items():
                value = float(np.mean(values))
                if np.isfinite(value):
                    estimands[f"{arm}/{what.replace(' ', '_')}"] = value
                    tables["probabilities"].append({"when": condition, "chains": k, "what": what, "probability": value})
            others = (k - 1) * np.mean(fare.distractor) if k > 1 else 0.0
            estimands[f"{arm}/ends"] = float(np.mean(fare.target) + others)
        if condition in ("before", "after", "any", "cut") and k > 1:
            tables["accuracy"].append(
                {"condition": condition, "chains": k, "accuracy": float(np.mean(fare.right)), "guessing": 1 / k}
            )
        if k == 2:
            for topic in TOPICS:
                own = [right for right, about in zip(fare.right, fare.topic, strict=True) if about == topic]
                if own:
                    tables["topics"].append({"condition": condition, "topic": topic, "accuracy": float(np.mean(own))})
    return estimands, tables, items


def chains_of(arm: str) -> int:
    """The chains of an arm's prompts: the number at the end of its name."""
    return int(arm.rpartition("-")[2])
