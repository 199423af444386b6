"""Prompts with K possible answers each as bandits of K actions: the exact update of a language model, without sampling.

    sets = closed_sets(model.tokenizer, [("What is 2 + 5?", (" 7", " 6", " 8"))])
    pulls = [group_rewards(np.array([1.0, 0.0, 0.0]), size=16, advantage=normalised)]
    update = expected_update(model, sets, pulls)
    tuned = finetune_on_sets(model, sets, pulls, Recipe(method="lora"), n_steps=30, seeds=Seeds(0))

The law over a set is the softmax of the answers' log-probabilities: the model's own, given that it answers from the set. An
update is the mean over prompts of sum_a c_a grad log p_a, c the pull of `assay.solvers.policy_flows` on that law, so whatever
moves a table there moves a model here. It is computed in passes of whole sets, each token once: the same pass gives the law and
carries the gradient.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.core.errors import Diverged, InputError, SettingsError, WorkError
from assay.core.memory import freed_memory_kept
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.models.pretrained.limits import check_limits
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, evaluating, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.solvers.policy_flows import Pull
from assay.training.chosen import prepared
from assay.training.optimiser import Stepper, clip
from assay.training.recipe import Recipe

__all__ = ["ClosedSet", "SetsTuned", "Update", "closed_sets", "expected_update", "finetune_on_sets", "laws"]

ClosedSet = tuple[TokenPair, ...]
"""The answers to one prompt."""
Law = Float[np.ndarray, " _answer"]


@dataclass(frozen=True, eq=False)
class Update:
    """An expected update.

    Attributes:
        gradients: of the parameters that may move, by name: the direction in which the pull goes, to be added.
        laws: of every set, before the update.
    """

    gradients: Mapping[str, Tensor]
    laws: tuple[Law, ...]


@dataclass(frozen=True, eq=False)
class SetsTuned:
    """A model trained on closed sets, and what was seen on the way.

    Attributes:
        model: for `lora` with the adapter around it.
        laws: of every set before each step, and after the last one.
        grad_norm: Euclidean norm of every step's update, before it was clipped.
    """

    model: LanguageModel
    laws: tuple[tuple[Law, ...], ...]
    grad_norm: Float[np.ndarray, " step"]


def closed_sets(tokenizer: Any, asked: Sequence[tuple[str, Sequence[str]]]) -> list[ClosedSet]:
    """For every (prompt, answers) its closed set in tokens.

    Raises:
        InputError: there are fewer than two answers, two are equal, one begins another in tokens (the other's probability would
            be in its own), or a text does not survive the tokenizer.
    """
    found = []
    for prompt, answers in asked:
        pairs = tuple(token_pairs(tokenizer, [(prompt, answer) for answer in answers]))
        written = {pair.completion: answer for pair, answer in zip(pairs, answers, strict=True)}
        if len(written) < max(2, len(pairs)):
            raise InputError(f"a closed set needs two or more different answers; got {list(answers)} to '{prompt[-60:]}'")
        for completion, answer in written.items():
            for length in range(1, len(completion)):
                if completion[:length] in written:
                    raise InputError(
                        f"no answer of a closed set may begin another; '{written[completion[:length]]}' begins '{answer}' "
                        f"after '{prompt[-60:]}'. End all of them the same way, e.g. with a full stop"
                    )
        found.append(pairs)
    return found


def laws(model: LanguageModel, sets: Sequence[ClosedSet], *, budget: int = BUDGET) -> tuple[Law, ...]:
    """The law over every set's answers.

    Raises:
        InputError: an answer with its prompt is longer than the model can take.
        WorkError: a log-probability is not finite.
    """
    check_limits(model.model, [pair for one in sets for pair in one])
    with evaluating(model.model), torch.no_grad():
        return tuple(
            _law(log_probs, sets[place]) for places in _passes(sets, budget) for place, log_probs in _read(model, sets, places)
        )


def expected_update(
    model: LanguageModel,
    sets: Sequence[ClosedSet],
    pulls: Sequence[Pull],
    *,
    names: Collection[str] | None = None,
    budget: int = BUDGET,
) -> Update:
    """The mean over sets of sum_a c_a grad log p_a, with log p normalised over the set. The model stays as it is.

    Args:
        model: a pretrained model, with or without an adapter; dropout is off.
        sets: the prompts with their answers.
        pulls: of each set.
        names: of the parameters that may move; None for all that require a gradient.
        budget: tokens of a pass, which holds one whole set at least; changes memory, not the result.

    Raises:
        InputError: an answer with its prompt is longer than the model can take.
        SettingsError: there is not one pull a set, or no parameter may move.
        WorkError: a log-probability is not finite.
    """
    if len(pulls) != len(sets) or not sets:
        raise SettingsError(f"an expected update needs sets and one pull for each; got {len(sets)} sets, {len(pulls)} pulls")
    known = dict(model.model.named_parameters())
    moving = {name: known[name] for name in known if (known[name].requires_grad if names is None else name in names)}
    if not moving or (names is not None and len(moving) != len(set(names))):
        raise SettingsError(
            f"parameters that move must be in the model, at least one; got {sorted(names or ())[:3]} of which {len(moving)} are"
        )
    check_limits(model.model, [pair for one in sets for pair in one])
    total = {name: torch.zeros_like(parameter) for name, parameter in moving.items()}
    found: list[Law] = []
    with evaluating(model.model):
        for places in _passes(sets, budget):
            objective = torch.zeros((), dtype=torch.float64, device=model.device)
            for place, log_probs in _read(model, sets, places):
                law = _law(log_probs, sets[place])
                pull = torch.from_numpy(np.array(pulls[place](law))).to(model.device)
                objective = objective + (pull * log_probs.log_softmax(-1)).sum() / len(sets)
                found.append(law)
            gradients = torch.autograd.grad(objective, list(moving.values()), allow_unused=True)
            for added, gradient in zip(total.values(), gradients, strict=True):
                if gradient is not None:
                    added += gradient
    return Update(total, tuple(found))


def finetune_on_sets(
    model: LanguageModel,
    sets: Sequence[ClosedSet],
    pulls: Sequence[Pull],
    recipe: Recipe,
    *,
    n_steps: int,
    seeds: Seeds,
) -> SetsTuned:
    """Train a model by exact expected updates; its own weights are changed (`model.copy()` keeps them).

    Nothing is drawn but the adapter's beginning: at every step all sets are read, and their mean update is taken. Dropout is
    off.

    Args:
        model: what is trained.
        sets: the prompts with their answers.
        pulls: of each set.
        recipe: how; its n_epochs, batch_size, bucket, precision and gradient_checkpointing are not used.
        n_steps: how many; 0 leaves the weights as they are, to the bit.
        seeds: the adapter's beginning comes from here.

    Raises:
        InputError: an answer with its prompt is longer than the model can take.
        SettingsError: there is not one pull a set, or the recipe chooses nothing, or something the model does not have.
        Diverged: an update left the finite numbers.
        WorkError: a log-probability is not finite.
    """
    plan = recipe.optimiser(n_steps)
    seen, norms = list[tuple[Law, ...]](), list[float]()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), freed_memory_kept():
        torch.manual_seed(seeds.integer("torch"))
        with prepared(model, recipe, split=False) as tuned:
            moving = {name: value for name, value in tuned.model.named_parameters() if value.requires_grad}
            stepper = Stepper(list(moving.values()), plan)
            for step in range(n_steps):
                update = expected_update(tuned, sets, pulls, names=moving, budget=recipe.budget)
                down: list[Tensor | None] = [-update.gradients[name] for name in moving]
                norms.append(math.sqrt(sum(float(one.double().square().sum()) for one in update.gradients.values())))
                if not math.isfinite(norms[-1]):
                    raise Diverged(step, math.nan)
                if plan.clip_norm is not None:
                    down = clip(down, plan.clip_norm, n_runs=None)
                stepper.step(down, plan.share_of_rate(step, n_steps))
                seen.append(update.laws)
                progress((step + 1) / n_steps, f"step {step + 1} of {n_steps}")
            seen.append(laws(tuned, sets, budget=recipe.budget))
            return SetsTuned(tuned, tuple(seen), np.array(norms, dtype=float))


def _passes(sets: Sequence[ClosedSet], budget: int) -> Iterator[range]:
    """Runs of whole sets that have about `budget` tokens together, prompts counted once."""
    start, tokens = 0, 0
    for place, one in enumerate(sets):
        size = len(one[0].context) + sum(len(pair.completion) for pair in one)
        if place > start and tokens + size > budget:
            yield range(start, place)
            start, tokens = place, 0
        tokens += size
    if sets:
        yield range(start, len(sets))


def _read(model: LanguageModel, sets: Sequence[ClosedSet], places: range) -> Iterator[tuple[int, Float[Tensor, " answer"]]]:
    """The log-probabilities of the answers of these sets, in double precision, as tensors that can be differentiated."""
    pairs = [pair for place in places for pair in sets[place]]
    owners, values = list[int](), list[Tensor]()
    for reading in readings(model.model, pairs, whole=True):
        # Normalised in the logits' own precision at least single: a sum of double ones of a whole vocabulary is not needed.
        values.append(reading.logits.float().log_softmax(-1)[reading.row, reading.target].double())
        owners += reading.owner
    tokens = torch.cat(values)
    whole = torch.zeros(len(pairs), dtype=torch.float64, device=tokens.device)
    whole = whole.index_add(0, torch.tensor(owners, device=tokens.device), tokens)
    yield from zip(places, torch.split(whole, [len(sets[place]) for place in places]), strict=True)


def _law(log_probs: Float[Tensor, " answer"], one: ClosedSet) -> Law:
    if not bool(torch.isfinite(log_probs).all()):
        raise WorkError(
            f"log-probabilities must be finite; one of a set of {len(one)} answers is not. Load the model in float32, or train "
            "it less hard"
        )
    return log_probs.detach().softmax(-1).cpu().numpy()
