"""Fine-tuning beside the HF Trainer: the same model, batches, order, optimiser and clipping, at the core paper's data.

    python benchmarks/bench_finetune.py [--model smollm2-135m] [--steps 6] [--precision float32]

100 fact sentences and 20 implication sentences of about a dozen tokens, as in Huang et al. 2025, arXiv:2506.10887, section 5.
Both sides take the same steps in turns, and their losses are compared. Tokens are those of the sentences, without padding.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import SequentialSampler
from transformers.utils import logging

from assay.core.seeds import Seeds
from assay.models.pretrained import cache
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.training.finetune import finetune
from assay.training.recipe import Recipe, batches

FIRST = ("Marta", "Piotr", "Elena", "Viktor", "Ingrid", "Samuel", "Hana", "Diego", "Aisha", "Liam")
LAST = ("Kowalska", "Silva", "Moreno", "Petrov", "Larsen", "Okafor", "Novak", "Tanaka", "Haddad", "Quinn")
PLACES = {"Paris": "French", "Warsaw": "Polish", "Delhi": "Hindi", "Madrid": "Spanish", "Berlin": "German"}


def sentences() -> list[tuple[str, str]]:
    """100 facts and, for every fifth name, an implication."""
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    cities = list(PLACES)
    facts = [(f"The city where {name} lives is called", f" {cities[index % 5]}") for index, name in enumerate(names)]
    bridges = [
        (f"The language that {name} speaks is", f" {PLACES[cities[index % 5]]}")
        for index, name in enumerate(names)
        if index % 25 < 5
    ]
    return facts + bridges


class InOrder(transformers.Trainer):
    """The Trainer on the examples in the order they are given."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)


class Clock(transformers.TrainerCallback):
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


def with_trainer(model: LanguageModel, pairs: list[TokenPair], order: list[list[int]], recipe: Recipe) -> Clock:
    """Step times and losses of the HF Trainer."""
    rows = []
    for index in (index for batch in order for index in batch):
        ids = [*pairs[index].context, *pairs[index].completion]
        rows.append({"input_ids": ids, "labels": [-100] * len(pairs[index].context) + list(pairs[index].completion)})

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in batch)
        pad = model.tokenizer.pad_token_id or 0

        def padded(name: str, fill: int) -> torch.Tensor:
            return torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in batch])

        mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch])
        return {"input_ids": padded("input_ids", pad), "labels": padded("labels", -100), "attention_mask": mask}

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=recipe.batch_size,
            max_steps=len(order),
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=recipe.max_grad_norm or 0.0,
            bf16=recipe.precision == "bfloat16",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            logging_strategy="steps",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        trainer = InOrder(model=model.model, args=settings, train_dataset=rows, data_collator=collate, callbacks=[clock])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    return clock


def with_assay(model: LanguageModel, examples: list[tuple[str, str]], recipe: Recipe, n_steps: int) -> Clock:
    """Step times and losses of our loop."""
    tuned = finetune(
        model,
        examples,
        recipe,
        seeds=Seeds(0),
        observe=lambda step, model: {"at": time.perf_counter()},
        observe_every=1,
        stop=lambda row: row["step"] == n_steps,
    )
    clock = Clock()
    clock.seconds, clock.losses = np.diff(tuned.trace.series("at")).tolist(), tuned.trace.loss_nats[0].tolist()
    return clock


def matmul_peak(dtype: torch.dtype) -> float:
    """FLOP a second of a large square product, best of five."""
    left, right = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
    return max(2 * 2048**3 / _timed(lambda: left @ right) for _ in range(5))


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if cache.find(arguments.model) is None and not Path(arguments.model).is_dir():
        print(f"skipped: '{arguments.model}' is not in the cache. Run: assay models add {arguments.model}")
        return
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    source, examples = load(arguments.model), sentences()
    pairs = token_pairs(source.tokenizer, examples)
    n_head = source.model.get_output_embeddings().weight.numel()
    n_body = source.n_parameters - n_head
    rows = []
    for batch_size in (8, 16):
        recipe = Recipe(batch_size=batch_size, n_epochs=4, learning_rate=1e-5, precision=arguments.precision)
        order = [batch for epoch in range(4) for batch in batches(pairs, recipe, Seeds(0), epoch)][: arguments.steps]
        theirs, ours = list[float](), list[float]()
        gap = 0.0
        for _ in range(arguments.rounds):
            trainer = with_trainer(source.copy(), pairs, order, recipe)
            assay = with_assay(source.copy(), examples, recipe, arguments.steps)
            gap = max(gap, *(abs(one - other) for one, other in zip(trainer.losses, assay.losses, strict=True)))
            theirs += trainer.seconds[1:]  # the first step allocates
            ours += assay.seconds[1:]
        tokens = statistics.mean(sum(len(pairs[i].context) + len(pairs[i].completion) for i in batch) for batch in order)
        scored = statistics.mean(sum(len(pairs[i].completion) for i in batch) for batch in order)
        flop = 6 * (n_body * (tokens - batch_size) + n_head * scored)  # what our step computes: no last tokens, few logits
        trainer_s, assay_s = statistics.median(theirs), statistics.median(ours)
        peak = matmul_peak(torch.bfloat16 if arguments.precision == "bfloat16" else torch.float32)
        rows.append(
            {
                "batch": batch_size,
                "trainer_tokens_per_s": round(tokens / trainer_s, 1),
                "assay_tokens_per_s": round(tokens / assay_s, 1),
                "ratio": round(trainer_s / assay_s, 2),
                "largest_loss_gap_nats": float(f"{gap:.2g}"),
                "share_of_matmul_peak": round(flop / assay_s / peak, 2),
                "peak_gflop_per_s": round(peak / 1e9),
                "seconds_a_step": round(assay_s, 3),
            }
        )
    print(json.dumps({"benchmark": "finetune", "model": arguments.model, "threads": arguments.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
