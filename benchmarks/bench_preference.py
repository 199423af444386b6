"""A step of DPO beside TRL's trainer: the same model, pairs, order, reference, optimiser and clipping.

    python benchmarks/bench_preference.py [--model smollm2-135m] [--steps 3]

Pairs of 20 to 60 tokens, prompt and answer together, 64 a step. TRL has its reference log-probabilities beforehand, as we have.
Losses of both sides are compared before any time is. TRL is no dependency of Assay; without it nothing is done.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging

from assay.core.seeds import Seeds
from assay.models.pretrained import cache
from assay.models.pretrained.loading import LanguageModel, load
from assay.training.preference import PreferenceRecipe, finetune_on_pairs, preferences

TEXT = (
    "the small town by the river was quiet when a train from the north came in and nobody knew why it had stopped there so "
    "late in the evening with all of its windows dark and one door open while the rain went on over the roofs of the houses"
)


def texts(n: int) -> list[tuple[str, str, str]]:
    """Pairs of invented questions and answers, of about 20 to 60 tokens with the prompt."""
    rng, words = np.random.default_rng(0), TEXT.split()

    def some(low: int, high: int) -> str:
        start, length = int(rng.integers(0, 12)), int(rng.integers(low, high))
        return " ".join(words[(start + step * int(rng.integers(1, 3))) % len(words)] for step in range(length))

    return [(f"Question {index}: {some(8, 24)}? Answer:", f" {some(6, 30)}.", f" {some(6, 30)}.") for index in range(n)]


class Clock(TrainerCallback):  # type: ignore[misc]
    """The time of each step and its loss."""

    def __init__(self) -> None:
        self.seconds, self.losses, self.begun = list[float](), list[float](), 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:  # noqa: D102 - the Trainer's names
        self.begun = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self.seconds.append(time.perf_counter() - self.begun)

    def on_log(self, *arguments: Any, logs: dict[str, float], **__: Any) -> None:  # noqa: D102
        if "loss" in logs:
            self.losses.append(logs["loss"])


def with_trl(model: LanguageModel, batches: list[list[tuple[str, str, str]]], recipe: PreferenceRecipe) -> Clock:
    """Step times and losses of TRL's trainer, which takes the pairs in the order they are given."""
    import pyarrow
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from trl import DPOConfig, DPOTrainer

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    rows = [dict(zip(("prompt", "chosen", "rejected"), text, strict=True)) for batch in batches for text in batch]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=recipe.batch_size,
            precompute_ref_batch_size=8,
            precompute_ref_log_probs=True,
            max_steps=len(batches),
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=recipe.max_grad_norm or 0.0,
            beta=recipe.beta,
            max_length=None,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            logging_strategy="steps",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = InOrder(
            model=model.model,
            args=settings,
            train_dataset=Dataset(pyarrow.Table.from_pylist(rows), fingerprint="pairs"),
            processing_class=model.tokenizer,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock


def with_assay(model: LanguageModel, some: list[tuple[str, str, str]], recipe: PreferenceRecipe, n_steps: int) -> Clock:
    """Step times and losses of our loop."""
    tuned = finetune_on_pairs(
        model,
        some,
        recipe,
        seeds=Seeds(0),
        n_steps=n_steps,
        observe=lambda step, model: {"at": time.perf_counter()},
        observe_every=1,
    )
    clock = Clock()
    clock.seconds, clock.losses = np.diff(tuned.trace.series("at")).tolist(), tuned.trace.loss_nats[0].tolist()
    return clock


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if find_spec("trl") is None:
        print("skipped: TRL is not installed; it is no dependency of Assay. Run: pip install trl")
        return
    if cache.find(arguments.model) is None and not Path(arguments.model).is_dir():
        print(f"skipped: '{arguments.model}' is not in the cache. Run: assay models add {arguments.model}")
        return
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    source, some = load(arguments.model), texts(arguments.pairs)
    # One batch, taken again and again, so that the order is the same whoever draws it.
    recipe = PreferenceRecipe(batch_size=arguments.pairs, n_epochs=arguments.steps, learning_rate=1e-6, budget=arguments.budget)
    ours = with_assay(source.copy(), some, recipe, arguments.steps)
    theirs = with_trl(source.copy(), [some] * arguments.steps, recipe)
    gap = max(abs(one - other) for one, other in zip(ours.losses, theirs.losses, strict=True))
    if gap > 1e-3:
        raise SystemExit(f"both sides must have the same losses; they differ by {gap:.2g} nats: {ours.losses}, {theirs.losses}")
    lengths = [len(answer.context) + len(answer.completion) for pair in preferences(source.tokenizer, some) for answer in pair]
    assay_s, trl_s = (statistics.median(clock.seconds[1:] or clock.seconds) for clock in (ours, theirs))
    found = {
        "benchmark": "preference",
        "model": arguments.model,
        "threads": arguments.threads,
        "pairs": arguments.pairs,
        "tokens": f"{min(lengths)} to {max(lengths)}, mean {statistics.mean(lengths):.0f}",
        "trl_seconds_a_step": round(trl_s, 2),
        "assay_seconds_a_step": round(assay_s, 2),
        "ratio": round(trl_s / assay_s, 2),
        "losses": ours.losses,
        "largest_loss_gap": float(f"{gap:.2g}"),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
