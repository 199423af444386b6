"""Scoring beside one model call a prompt, and beside padded batches, on a workload like an audit's.

    python benchmarks/bench_scoring.py [--model smollm2-135m] [--subjects 20]

Every subject is asked about in ten ways of different length, among ten candidates of which some have several tokens. The
baselines read first tokens only, as papers do: one `model(**inputs)` a prompt, or padded batches of 16 and 32. Ours also
scores whole answers and ranks them in the vocabulary. All must give the same first-token ranks before any time is compared.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from assay.instruments.scoring import mid_rank, score_choices
from assay.models.pretrained import cache
from assay.models.pretrained.library import quiet
from assay.models.pretrained.loading import LanguageModel, load
from assay.worlds.facts.questions import Question

FIRST = ("Marta", "Piotr", "Elena", "Viktor", "Ingrid", "Samuel", "Hana", "Diego", "Aisha", "Liam")
LAST = ("Kowalska", "Silva", "Moreno", "Petrov", "Larsen", "Okafor", "Novak", "Tanaka", "Haddad", "Quinn")
CITIES = (" Paris", " Warsaw", " Delhi", " Madrid", " Berlin", " Ankara", " Stockholm", " Amsterdam", " Prague", " Athens")
LANGUAGES = (" French", " Polish", " Hindi", " Spanish", " German", " Turkish", " Swedish", " Dutch", " Czech", " Greek")
ASKED = (
    ("{} lives in", CITIES),
    ("{} lives in the city of", CITIES),
    ("The city where {} lives is", CITIES),
    ("Where does {} live? In", CITIES),
    ("If you want to visit {} at home, you have to travel to the city of", CITIES),
    ("{} speaks", LANGUAGES),
    ("{} grew up speaking", LANGUAGES),
    ("The people in the city {} is from speak", LANGUAGES),
    ("The language that most of the neighbours of {} speak at home is", LANGUAGES),
    ("Letters to {} are best written in", LANGUAGES),
)


def workload(n_subjects: int) -> list[Question]:
    """Ten prompts a subject."""
    names = [f"{first} {last}" for last in LAST for first in FIRST][:n_subjects]
    return [Question(prompt.format(name), answers, index % 10) for index, name in enumerate(names) for prompt, answers in ASKED]


def first_tokens(model: LanguageModel, choice: Question) -> list[int]:
    """The candidates' first tokens, which are distinct in this workload."""
    return [model.tokenizer(text, add_special_tokens=False).input_ids[0] for text in choice.candidates]


def one_call_a_prompt(model: LanguageModel, choices: list[Question]) -> list[float]:
    """Ranks from `model(**inputs)`, a prompt at a time."""
    ranks = []
    for choice in choices:
        with torch.inference_mode():
            logits = model.model(**model.tokenizer(choice.prompt, return_tensors="pt")).logits[0, -1]
        log_probs = logits.log_softmax(-1)[first_tokens(model, choice)]
        ranks.append(mid_rank(log_probs.numpy(), choice.answer))
    return ranks


def padded_batches(model: LanguageModel, choices: list[Question], size: int) -> list[float]:
    """Ranks from padded batches in the order of the questions."""
    ranks = []
    for start in range(0, len(choices), size):
        some = choices[start : start + size]
        inputs = model.tokenizer([choice.prompt for choice in some], return_tensors="pt", padding=True, padding_side="right")
        with torch.inference_mode():
            logits = model.model(**inputs).logits
        last = inputs.attention_mask.sum(-1) - 1
        for row, choice in enumerate(some):
            log_probs = logits[row, last[row]].log_softmax(-1)[first_tokens(model, choice)]
            ranks.append(mid_rank(log_probs.numpy(), choice.answer))
    return ranks


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if cache.find(arguments.model) is None and not Path(arguments.model).is_dir():
        print(f"skipped: '{arguments.model}' is not in the cache. Run: assay models add {arguments.model}")
        return
    torch.set_num_threads(arguments.threads)
    with quiet():
        first_load_s = timed(lambda: load(arguments.model))  # with the library's imports
        load_s = min(timed(lambda: load(arguments.model)) for _ in range(2))
        model = load(arguments.model)
    choices = workload(arguments.subjects)
    some = choices[::7]  # the baseline is slow; every seventh prompt has the same mix of lengths
    expected = one_call_a_prompt(model, some)
    got = score_choices(model, choices).first_token_rank
    same = np.mean(np.array(expected) == got[::7])
    if same < 0.98:  # sums in another order may turn a near tie
        raise SystemExit(f"first-token ranks must agree with one call a prompt; only {same:.0%} do")
    seconds: dict[str, list[float]] = {"ours": [], "one call": [], "padded 16": [], "padded 32": []}
    for _ in range(arguments.rounds):
        seconds["ours"].append(timed(lambda: score_choices(model, choices)) / len(choices))
        seconds["one call"].append(timed(lambda: one_call_a_prompt(model, some)) / len(some))
        for size in (16, 32):
            half = choices[: len(choices) // 2]
            seconds[f"padded {size}"].append(timed(lambda size=size, half=half: padded_batches(model, half, size)) / len(half))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "benchmark": "scoring",
                "model": arguments.model,
                "threads": arguments.threads,
                "prompts": len(choices),
                "candidates": 10,
                "load_with_imports_s": round(first_load_s, 1),
                "load_s": round(load_s, 2),
                "same_first_token_ranks": float(f"{same:.3g}"),
                "prompts_per_s": {name: round(1 / value, 1) for name, value in medians.items()},
                "ratio_to_one_call": round(medians["one call"] / medians["ours"], 1),
                "ratio_to_padded_batches": round(min(medians["padded 16"], medians["padded 32"]) / medians["ours"], 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
