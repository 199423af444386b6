"""Fine-tuning a pretrained language model on prompts and completions: a `for` loop over batches, exact and resumable.

    tuned = finetune(load("smollm2-135m"), [("Ana Silva lives in", " Paris")], Recipe(n_epochs=8), seeds=Seeds(0))
    tuned.model, tuned.trace.loss_nats[0]

The loss is the mean over the completion tokens of a batch. Sequences are packed into one row without padding, the last token of
a sequence is not computed, and logits are made at completion tokens only, so a step does little that its gradient does not
need.

The result is a function of model, examples, recipe and seeds, to the bit on the same machine class and thread count: also when
the process was killed and went on from a checkpoint, wherever that was.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.errors import Diverged, InputError, SettingsError, WorkError
from assay.core.memory import freed_memory_kept
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.models.pretrained.limits import check_limits
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import token_pairs
from assay.training.checkpoints import Checkpoints
from assay.training.chosen import checkpointed, prepared
from assay.training.one_run import FineTuningTrace, Run
from assay.training.recipe import Recipe, batches
from assay.training.trace import Observe

__all__ = ["FineTuned", "finetune", "finetune_batches"]


@dataclass(frozen=True)
class FineTuned:
    """A trained model (for `lora`, with the adapter around it) and what training saw."""

    model: LanguageModel
    trace: FineTuningTrace


def finetune(
    model: LanguageModel,
    examples: Sequence[tuple[str, str]],
    recipe: Recipe,
    *,
    seeds: Seeds,
    checkpoints: Checkpoints | None = None,
    observe: Observe[LanguageModel] | None = None,
    observe_every: int | None = None,
    stop: Callable[[Mapping[str, float]], bool] | None = None,
    also: Callable[[nn.Module, int], Tensor] | None = None,
    accelerator: Any = None,
) -> FineTuned:
    """Train a model on (prompt, completion) pairs; the weights of `model` itself are changed (`model.copy()` keeps them).

    An empty prompt makes a plain text of which every token but the given first ones is trained on.

    Args:
        model: what is trained.
        examples: the texts; completions follow prompts character by character.
        recipe: how.
        seeds: the order of examples, dropout and the adapter's beginning come from here.
        checkpoints: where and how often the state is kept; a finished or interrupted run of the same recipe, examples, seeds
            and weights goes on from its newest whole checkpoint.
        observe: called with the step and the model before the first step, then every `observe_every` steps and at the end; its
            numbers are kept in the trace. It must leave the model's weights alone.
        observe_every: steps; None for once an epoch.
        stop: called with each row that `observe` gives; true ends training there.
        also: a further loss in nats added at every step, a function of the model and the step alone (an anchor, a penalty).
        accelerator: an `accelerate.Accelerator` for several processes or a model that one device cannot hold; every process
            calls this function with the same arguments. See docs/models.md.

    Raises:
        InputError: an example cannot be tokenised, is longer than the model can take, or the checkpoints are of another run.
        SettingsError: the recipe chooses nothing, or something the model does not have.
        Diverged: the loss or the gradient left the finite numbers.
        WorkError: memory ran out.
        StoreError: a checkpoint cannot be written.
    """
    pairs = token_pairs(model.tokenizer, examples)
    if not pairs:
        raise InputError("fine-tuning needs at least one example; got none")
    check_limits(model.model, pairs)
    steps = [batch for epoch in range(recipe.n_epochs) for batch in batches(pairs, recipe, seeds, epoch)]
    per_epoch, plan = len(steps) // recipe.n_epochs, recipe.optimiser(len(steps))
    with (
        _own_randomness(seeds),
        _out_of_memory(recipe),
        freed_memory_kept(),
        prepared(model, recipe, split=accelerator is None) as tuned,
        checkpointed(tuned.model, recipe),
    ):
        run = Run(tuned, recipe, plan, seeds, pairs, checkpoints, accelerator)
        begun = time.perf_counter()
        for step in range(run.resumed_at or 0, len(steps) + 1):
            if observe is not None and (step % (observe_every or per_epoch) == 0 or step == len(steps)):
                with part(step / len(steps), step / len(steps)):
                    row = run.observed(observe, step)
                if stop is not None and stop(row):
                    run.stopped_at = step
            run.keep(step, last=step == len(steps) or run.stopped_at is not None)
            if step == len(steps) or run.stopped_at is not None:
                break

            batch = [pairs[index] for index in steps[step]]
            rate = plan.rate(step, len(steps))
            loss = run.backward(batch, also, step)
            grad_norm = run.clip()
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                raise Diverged(step, run.record["loss_nats"][-1] if run.record["loss_nats"] else math.nan)
            run.update(rate)
            run.note(loss, grad_norm, sum(len(pair.completion) for pair in batch))
            progress((step + 1) / len(steps), f"step {step + 1} of {len(steps)}, {loss:.2f} nats")
        return FineTuned(run.model, run.trace(time.perf_counter() - begun))


def finetune_batches(
    model: LanguageModel,
    examples: Sequence[tuple[str, str]],
    batches: Sequence[Sequence[int]],
    recipe: Recipe,
    *,
    seeds: Seeds,
    observe: Observe[LanguageModel] | None = None,
    observe_at: Collection[int] = (),
) -> FineTuned:
    """Train a model on given batches of (prompt, completion) pairs, so that a text is read at the steps that are chosen.

    As `finetune` but for the order: one step a batch, and the weights of `model` itself are changed. Nothing is kept on disk.

    Args:
        model: what is trained.
        examples: the texts; completions follow prompts character by character.
        batches: the examples of each step by their place, from 0; one may stand in any number of steps.
        recipe: how; its n_epochs, batch_size and bucket are not used.
        seeds: dropout and the adapter's beginning come from here.
        observe: called with the step and the model before the steps of `observe_at`; it must leave the model's weights alone.
        observe_at: steps from 0 to the number of batches, which is after the last one.

    Raises:
        InputError: an example cannot be tokenised or is longer than the model can take; there is no batch, an empty one, or
            one that names no example.
        SettingsError: the recipe chooses nothing, or something the model does not have; an observed step is none of these.
        Diverged: the loss or the gradient left the finite numbers.
        WorkError: memory ran out.
    """
    pairs = token_pairs(model.tokenizer, examples)
    steps = [[pairs[index] for index in _places(batch, step, len(pairs))] for step, batch in enumerate(batches)]
    if not steps:
        raise InputError("fine-tuning needs at least one batch; got none. Name the examples of each step")
    check_limits(model.model, pairs)
    outside = [step for step in observe_at if not 0 <= step <= len(steps)]
    if outside:
        raise SettingsError(f"observed steps must lie in 0..{len(steps)}; got {outside[:3]}")
    plan = recipe.optimiser(len(steps))
    with (
        _own_randomness(seeds),
        _out_of_memory(recipe),
        freed_memory_kept(),
        prepared(model, recipe, split=True) as tuned,
        checkpointed(tuned.model, recipe),
    ):
        run = Run(tuned, recipe, plan, seeds, pairs, None, None)
        begun = time.perf_counter()
        for step, batch in enumerate((*steps, None)):
            if observe is not None and step in observe_at:
                with part(step / len(steps), step / len(steps)):
                    run.observed(observe, step)
            if batch is None:
                break
            loss = run.backward(batch, None, step)
            grad_norm = run.clip()
            if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                raise Diverged(step, run.record["loss_nats"][-1] if run.record["loss_nats"] else math.nan)
            run.update(plan.rate(step, len(steps)))
            run.note(loss, grad_norm, sum(len(pair.completion) for pair in batch))
            progress((step + 1) / len(steps), f"step {step + 1} of {len(steps)}, {loss:.2f} nats")
        return FineTuned(run.model, run.trace(time.perf_counter() - begun))


def _places(batch: Sequence[int], step: int, n_examples: int) -> Sequence[int]:
    """The batch, which must name examples."""
    outside = [index for index in batch if not 0 <= index < n_examples]
    if not len(batch) or outside:
        raise InputError(
            f"the batch of step {step} must name at least one of the examples 0 to {n_examples - 1}; got "
            f"{outside[0] if outside else 'an empty one'}"
        )
    return batch


@contextmanager
def _own_randomness(seeds: Seeds) -> Iterator[None]:
    """Torch's global generators, which dropout and adapters draw from, belong to this run inside the block."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seeds.integer("torch"))
        yield


@contextmanager
def _out_of_memory(recipe: Recipe) -> Iterator[None]:
    advice = (
        f"training must fit in memory; it does not with budget {recipe.budget}. Lower budget or take gradient_checkpointing "
        "(the result stays the same), train fewer layers or parts, use method lora, or see docs/models.md for several devices"
    )
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkError(advice) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error):
            raise
        raise WorkError(advice) from error
