"""The tangent forecast: one virtual step of training, and every answer carried on to where trained answers end.

A step is taken along the training gradient of the whole file, as large as the optimiser's first, in the sign of the gradient
as AdamW takes it; what the audit asks is asked again, and the step is taken back. Trained answers have then moved in
log-odds; going on so, their mean probability reaches the end of training after k such steps. Everything else is carried on by
k as well: the answers to one prompt, and the rest of what may be said there, by k times their change of log-probability, made
to sum to one again. So no answer goes beyond certainty, and objects that become likelier in the same place share it. Columns
are computed from those answers as they are from the ones that come: the forecast has each column's own unit.

It costs one pass over the sentences and one over some of the questions. It is blind to all that is not first order: the order
of examples, and what later steps take back of what the first ones do.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from assay.audit.forecast import TANGENT_COLUMNS, Carried
from assay.audit.inject import Example, n_steps
from assay.audit.measuring import LogProbs, Tokens, log_probs_of
from assay.audit.probes import Probe
from assay.core.seeds import Seeds
from assay.instruments.first_order import Direction, descent_of_texts, first_step, stepped
from assay.models.pretrained.library import quiet
from assay.models.pretrained.loading import Dtype, LanguageModel
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.training.chosen import chosen_names, prepared
from assay.training.optimiser import Optimiser
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Answers

__all__ = ["adapted", "can_be_stepped", "carried_on", "tangent_answers", "virtually_stepped"]

END = 0.95
"""The mean probability at which trained answers are taken to end."""
STEP = 1.0
"""The size of the virtual step, in first steps of the optimiser."""
SURE = 1e-7  # no probability is taken for closer to one; single precision holds no more


def can_be_stepped(recipe: Recipe, dtype: Dtype) -> bool:
    """Whether a virtual step of this training can be taken: 16 bits swallow one of whole weights, and one that must not keep a
    block's inner values would need more memory than training does.
    """
    return not recipe.gradient_checkpointing and (dtype == "float32" or recipe.method == "lora")


def tangent_answers(
    model: LanguageModel, sentences: Sequence[Example], recipe: Recipe, before: Answers, tokens: Tokens, *, seeds: Seeds
) -> tuple[Answers, Carried]:
    """What the model is expected to answer once it was trained, and how that was worked out; the model stays as it is.

    Args:
        model: before.
        sentences: what will be trained on.
        recipe: how.
        before: what the model answers to all of the audit's questions. Those of other columns stay as they are.
        tokens: of every pair.
        seeds: of the adapter's beginning.
    """
    begun = time.perf_counter()
    told = [place for place, probe in enumerate(before.questions) if _column(probe) == "learned"]
    asked = [place for place, probe in enumerate(before.questions) if _column(probe) in TANGENT_COLUMNS]
    wanted = {before.questions[place].lesson for place in told}
    wanted |= {pair for place in asked for pair in before.questions[place].pairs}
    with virtually_stepped(model, sentences, recipe, seeds=seeds) as after:
        found = log_probs_of(after, {pair: tokens[pair] for pair in wanted})
    moved = _replaced(before, found)
    answers, factor, memorised = carried_on(before, moved, told, end=END, most=n_steps(len(sentences), recipe) / STEP)
    return answers, Carried(factor, memorised, (time.perf_counter() - begun) / 60)


@contextmanager
def virtually_stepped(
    model: LanguageModel, sentences: Sequence[Example], recipe: Recipe, *, seeds: Seeds
) -> Iterator[LanguageModel]:
    """Inside the block the model after one step on all sentences at once; afterwards the model given is as it was.

    Args:
        model: before.
        sentences: what is trained on.
        recipe: which weights move, or which adapter, and how its optimiser makes steps of gradients.
        seeds: of the adapter's beginning.
    """
    pairs, optimiser = token_pairs(model.tokenizer, sentences), replace(recipe.optimiser(1), warmup_steps=0)
    if recipe.method == "lora":
        with adapted(model, recipe, seeds) as tuned, stepped(tuned.model, _step(tuned, pairs, optimiser, None), STEP):
            yield tuned
        return
    step = _step(model, pairs, optimiser, chosen_names(model.model, recipe))
    with stepped(model.model, step, STEP):
        yield model


def _step(model: LanguageModel, pairs: Sequence[TokenPair], optimiser: Optimiser, names: Collection[str] | None) -> Direction:
    return first_step(descent_of_texts(model.model, pairs, names=names), optimiser)


@contextmanager
def adapted(model: LanguageModel, recipe: Recipe, seeds: Seeds) -> Iterator[LanguageModel]:
    """Inside the block the model with the adapter that training begins with; afterwards it is as it was, without one."""
    wanted = {name: value.requires_grad for name, value in model.model.named_parameters()}
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seeds.integer("torch"))
        with prepared(model, recipe, split=False) as tuned:
            try:
                yield tuned
            finally:
                with quiet():
                    tuned.model.unload()
                if hasattr(model.model, "peft_config"):
                    del model.model.peft_config
                for name, value in model.model.named_parameters():
                    value.requires_grad_(wanted[name])


def carried_on(
    before: Answers, moved: Answers, told: Sequence[int], *, end: float, most: float
) -> tuple[Answers, float, float]:
    """Answers carried on by so many steps as take the trained ones to their end; that factor; and where those end.

    Of a prompt, all answers that moved and whatever else may be said go on together: each by the factor times its change of
    log-probability, made to sum to one again.

    Args:
        before, moved: what was answered before and after one step.
        told: the places of the questions that are trained on.
        end: the mean probability of their answers where they end, in (0, 1).
        most: the largest factor.
    """
    own = log_odds(before.log_prob[list(told)])
    change = log_odds(moved.log_prob[list(told)]) - own

    def memorised(factor: float) -> float:
        return float(np.mean(np.exp(log_probs_at(own + factor * change))))

    factor = _smallest(lambda factor: memorised(factor) >= end, most)
    prompts: dict[str, dict[tuple[str, ...], tuple[float, float]]] = {}
    for question, was, now in zip(before.questions, before.log_probs, moved.log_probs, strict=True):
        for spelled, one, other in zip(question.spellings, was, now, strict=True):
            if one != other:
                prompts.setdefault(question.prompt, {})[spelled] = float(one), float(other)
    ends = {
        prompt: dict(zip(answers, _tilted(np.array(list(answers.values())), factor), strict=True))
        for prompt, answers in prompts.items()
    }
    whole = [
        [
            ends[question.prompt][spelled] if one != other else float(one)
            for spelled, one, other in zip(question.spellings, was, now, strict=True)
        ]
        for question, was, now in zip(before.questions, before.log_probs, moved.log_probs, strict=True)
    ]
    return Answers.of(before.questions, whole), factor, memorised(factor)


def _tilted(answers: Float[ndarray, "answer 2"], factor: float) -> list[float]:
    """Log-probabilities of answers that exclude each other, from those before and after one step, after that many steps.

    They move as logits would: what is left over for all other texts is one more answer. For one answer alone that is its
    log-odds, moved in proportion.
    """
    rest = np.log(np.maximum(SURE, 1 - np.exp(answers).sum(0)))
    before, after = np.vstack((answers, rest)).T
    logits = before + factor * (after - before)
    found: list[float] = (logits - np.logaddexp.reduce(logits))[:-1].tolist()
    return found


def log_odds(log_probs: Float[ndarray, " item"]) -> Float[ndarray, " item"]:
    """log(P / (1 - P)) of logarithms of probabilities, in nats."""
    at = np.minimum(log_probs, math.log1p(-SURE))
    found: Float[ndarray, " item"] = at - np.log(-np.expm1(at))
    return found


def log_probs_at(odds: Float[ndarray, " item"]) -> Float[ndarray, " item"]:
    """The logarithm of the probability with these log-odds."""
    found: Float[ndarray, " item"] = -np.logaddexp(0.0, -odds)
    return found


def _column(probe: object) -> str:
    return probe.column if isinstance(probe, Probe) else ""


def _replaced(before: Answers, found: LogProbs) -> Answers:
    """The answers with those that were asked again; a candidate with a spelling that was not stays as it is."""
    made = []
    for question, log_probs in zip(before.questions, before.log_probs, strict=True):
        values = log_probs.copy()
        for place, spelled in enumerate(question.spellings):
            if all((question.prompt, text) in found for text in spelled):
                values[place] = np.logaddexp.reduce([found[question.prompt, text] for text in spelled])
        made.append(values)
    return Answers.of(before.questions, made)


def _smallest(reached: Callable[[float], bool], most: float) -> float:
    """The smallest factor from 1 on at which it is reached, by bisection; the largest where it is not."""
    if reached(1.0) or most <= 1:
        return 1.0
    if not reached(most):
        return most
    low, high = 1.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
