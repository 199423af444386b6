"""A pretrained language model asked two-hop questions with invented names, before and after a short fine-tuning.

One run splits the names, asks the base model, fine-tunes a copy with low-rank adapters on prompts of two chains, and asks the
copy about names that it was not trained on: with one to five chains, with premises in any order, with chains that are cut, and
in wordings it has not seen. Every source of a prompt is asked for, so whoever does not read the question is right once in k.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.claim import Claim as ClaimRecord
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.protocols import language_model
from assay.protocols.language_model import NEEDS, Precision, Subject, ask, find_model, load_base, tune
from assay.studies.mechanisms.two_hop_reasoning.prompts import (
    TOPICS,
    WORDINGS,
    ChainPrompt,
    Names,
    Order,
    asked_about,
    drawn_prompts,
)
from assay.worlds.facts.questions import Answers

__all__ = ["LANGUAGE_MODEL", "Settings"]

PAPER = "arXiv:2502.13913, "
CHAINS = (1, 2, 3, 4, 5)
SEVERAL = CHAINS[1:]
TRAINED_WORDINGS = tuple(wording for wording in WORDINGS if not wording.held_out)
NEW_WORDINGS = tuple(wording for wording in WORDINGS if wording.held_out)
CUT = "the second premises speak of other bridges: no source leads to an end, and only place and order could tell"


def _with_more_chains(k: int) -> "ClaimRecord":
    return Claim(
        f"C7.length-{k}",
        says=f"Trained with two chains only, the model answers with {k}: accuracy of at least 0.9 on new names.",
        source=PAPER + "section 3 (fine-tuning transfers to more chains)",
        estimand=f"after/right/{k}",
        rule=Above(0.9),
        margin="the card's bound on 'near-perfect'",
        summary="clustered",
        control=Control(CUT, f"cut/right/{k}"),
        paper_value="near-perfect",
    )


CLAIMS = (
    Claim(
        "C7.before",
        says="Before fine-tuning the right end is hardly likelier than the other: with two chains its probability is less than "
        "1.5 times as large (the geometric mean over questions; in nats).",
        source=PAPER + "section 3, figure of next-token probabilities",
        estimand="before/log_ratio/2",
        rule=Below(float(np.log(1.5))),
        margin="the natural logarithm of 1.5",
        summary="clustered",
        control=Control("the same prompts after fine-tuning", "after/log_ratio/2"),
        paper_value="0.29/0.27, 0.39/0.36 and 0.36/0.32 for three models of 7 to 8 billion parameters",
    ),
    Claim(
        "C7.chance",
        says="Before fine-tuning it guesses between two ends: its accuracy with two chains is within 0.1 of one half.",
        source="ours: the paper reports probabilities",
        estimand="before/right/2",
        rule=Within(0.4, 0.6),
        margin="a fifth of the way from guessing to knowing",
        summary="clustered",
        control=Control("the same prompts after fine-tuning", "after/right/2"),
    ),
    Claim(
        "C7.after",
        says="After fine-tuning on two chains it answers: accuracy of at least 0.95 with two chains on new names.",
        source=PAPER + "section 3 (fine-tuning)",
        estimand="after/right/2",
        rule=Above(0.95),
        margin="the card's bound on 'near-perfect'; the paper tests two chains on the prompts that were trained on",
        summary="clustered",
        control=Control(CUT, "cut/right/2"),
        paper_value="near-perfect",
    ),
    *(_with_more_chains(k) for k in SEVERAL[1:]),
    Claim(
        "C7.order",
        says="It follows names, not places: fine-tuned on chains told in order, it is right in more than 0.75 of questions "
        "when the premises of two chains stand in any order.",
        source="ours: in the paper's prompts a chain's first premise always stands before its second",
        estimand="any/right/2",
        rule=Above(0.75),
        margin="half-way from guessing to knowing",
        summary="clustered",
        control=Control(CUT, "cut/right/2"),
    ),
    Claim(
        "C7.wording",
        says="It has learnt more than the wordings: with two chains, new names and wordings that were held out it is right in "
        "more than 0.75 of questions.",
        source="ours: the paper's templates are the same in training and test",
        estimand="wording/right/2",
        rule=Above(0.75),
        margin="as C7.order",
        summary="clustered",
        control=Control("the same prompts before fine-tuning", "wording_before/right/2"),
    ),
)


@dataclass(frozen=True)
class Settings(language_model.Settings):
    """Which model, how it is trained, and how much it is asked."""

    n_training: Annotated[int, Ge(1), doc("prompts of two chains to train on, one question each")] = 400
    n_epochs: Annotated[int, Ge(1), doc("passes over them")] = 1
    batch_size: Annotated[int, Ge(1), doc("prompts a step")] = 8
    learning_rate: Annotated[float, Gt(0), doc("of AdamW; rises over 5% of the steps, then falls to zero on a line")] = 1e-3
    lora_rank: Annotated[int, Ge(1), doc("of the updates of the attention's four matrices")] = 16
    n_asked: Annotated[int, Ge(1), doc("prompts of each kind and number of chains that are asked")] = 16
    precision: Annotated[
        Precision,
        doc("of the arithmetic of training and answers; auto: bfloat16 where the processor multiplies it, else float32"),
    ] = "auto"


QUICK = Settings(model="tiny", n_training=4, batch_size=2, n_asked=2)
BEFORE = {**{f"before/{k}": ("in order", k, 2) for k in CHAINS}, "wording_before/2": ("wording", 2, 2)}
BEFORE["one_hop_before/2"] = ("in order", 2, 1)
AFTER = {**{f"after/{k}": ("in order", k, 2) for k in CHAINS}, "wording/2": ("wording", 2, 2), "one_hop/2": ("in order", 2, 1)}
AFTER |= {f"{kind}/{k}": (kind, k, 2) for kind in ("any", "cut") for k in SEVERAL}
BUDGET = 512  # tokens at a time: prompts of five chains are long


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run: one split of the names and one draw of prompts, asked of the base model and of a fine-tuned copy.

    Raises:
        InputError: the model is not in the cache.
        Diverged: the fine-tuning left the finite numbers.
    """
    names = Names.split(seeds("names"))
    base = load_base(settings.model)
    with part(0.0, 0.2, "before training"):
        before = answers_to(base, BEFORE, settings, seeds, names)
    with part(0.2, 1.0):
        after = answers_to(tuned(base, settings, seeds, names), AFTER, settings, seeds, names)
    return Measurement(*numbers(before | after))


def tuned(base: Subject, settings: Settings, seeds: Seeds, names: Names) -> Subject:
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


def prompts_of(kind: str, k: int, settings: Settings, seeds: Seeds, names: Names) -> list[ChainPrompt]:
    """The prompts of one kind, with new names: `in order`, `any`, `cut` or `wording`; the same before and after training."""
    order: Order = "any" if kind == "any" else "forward"
    wordings = NEW_WORDINGS if kind == "wording" else TRAINED_WORDINGS
    rng = seeds(f"{kind} {k}")
    return drawn_prompts(settings.n_asked, k, wordings=wordings, stems=names.new, rng=rng, order=order, cut=kind == "cut")


def answers_to(
    model: Subject, conditions: Mapping[str, tuple[str, int, int]], settings: Settings, seeds: Seeds, names: Names
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
    """Estimands, tables and items from what the models said in each condition ("after/3": with three chains)."""
    found = {name: fares(answers, int(name.split("/")[1])) for name, answers in said.items()}
    items: dict[str, list[float]] = {}
    for name, answers in found.items():
        condition, k = name.split("/")
        items[f"{condition}/right/{k}"] = answers.right
        if k != "1":
            items[f"{condition}/log_ratio/{k}"] = answers.log_ratio
    estimands = {name: float(np.mean(values)) for name, values in items.items()}
    tables: dict[str, Table] = {"probabilities": [], "accuracy": [], "topics": []}
    for name, answers in found.items():
        condition, k = name.split("/")
        if condition in ("before", "after"):
            mass = {"right end": answers.target, "each other end": answers.distractor, "own bridge": answers.bridge}
            for what, values in mass.items():
                value = float(np.mean(values))
                if np.isfinite(value):
                    estimands[f"{condition}/{what.replace(' ', '_')}/{k}"] = value
                    tables["probabilities"].append({"when": condition, "chains": int(k), "what": what, "probability": value})
            others = (int(k) - 1) * np.mean(answers.distractor) if k != "1" else 0.0
            estimands[f"{condition}/ends/{k}"] = float(np.mean(answers.target) + others)
        if condition in ("before", "after", "any", "cut") and k != "1":
            tables["accuracy"].append(
                {"condition": condition, "chains": int(k), "accuracy": float(np.mean(answers.right)), "guessing": 1 / int(k)}
            )
        if k == "2":
            for topic in TOPICS:
                own = [right for right, about in zip(answers.right, answers.topic, strict=True) if about == topic]
                if own:
                    tables["topics"].append({"condition": condition, "topic": topic, "accuracy": float(np.mean(own))})
                    estimands[f"{condition}/{topic}/right"] = float(np.mean(own))
    return estimands, tables, items


FIGURES = (
    Figure(
        "probabilities",
        "Which name comes next",
        "Probability of the right end, of each other end and of the asked chain's bridge as the next name, with one to five "
        "chains of new names, before and after fine-tuning on two chains.",
        Lines(
            "probabilities",
            x="chains",
            y="probability",
            by="what",
            panel="when",
            x_label="chains in the prompt",
            y_label="probability of the whole name",
            markers=True,
        ),
        {"before": "before fine-tuning", "after": "after fine-tuning on two chains"},
        further=True,
    ),
    Figure(
        "accuracy",
        "Two chains taught, up to five asked",
        "How often the right end is the likeliest of the ends, on new names: before fine-tuning and after it, with premises in "
        "order, in any order, and with cut chains that cannot be followed. Dashed: one in k.",
        Lines(
            "accuracy",
            x="chains",
            y="accuracy",
            by="condition",
            theory="guessing",
            x_label="chains in the prompt",
            y_label="accuracy among the ends",
            markers=True,
            lines=(Line(2.0, "trained on", axis="x"),),
        ),
        {"before": "before", "after": "after, in order", "any": "after, in any order", "cut": "after, chains cut"},
    ),
)

LANGUAGE_MODEL = Experiment(
    name="language-model",
    question="Does a pretrained language model guess among the ends, and does a short fine-tuning teach it to follow chains?",
    cost="about 19 min of one core that multiplies bfloat16, 26 min of one that does not",
    claims=CLAIMS,
    presets={
        "quick": Preset(QUICK, 2),
        "laptop": Preset(Settings(), 4),
        "paper": Preset(
            Settings(n_training=1_000, n_epochs=3, batch_size=16, learning_rate=2e-4, n_asked=200, precision="float32"),
            4,
        ),
    },
    measure=measure,
    figures=FIGURES,
    needs={**NEEDS, "peft": "lm"},
    ready=find_model,
)
