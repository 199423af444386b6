"""Sampling beside the library's `generate`: SmolLM2 on prompts of mixed length, and a dozen tiny decoders side by side.

    python benchmarks/bench_rollouts.py [--model smollm2-135m]

8 prompts x 16 continuations x 24 tokens at temperature 1, nothing ends early, once with prompts of a line and once with what
users ask, of some dozens of tokens: the library computes a prompt for each of its continuations. It gets the prompts in one
batch, padded in front; both sides must first write the same greedy texts. The tiny decoders, with one continuation a prompt and
with 16, are set beside Llamas of the library of the same size, one after the other, and beside our own one after the other.
Sides take turns.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.utils import logging

from assay.models.decoder import Decoder, DecoderConfig
from assay.models.pretrained import cache
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.sampling import sample

N, N_NEW, N_TINY = 16, 24, 12
ASKED = (
    "I have to write to my landlord because the heating in my flat has been broken for two weeks. I was patient so far, but "
    "now I want a date. Please write a short and polite letter that he cannot ignore.",
    "My son is nine years old and asked me why the sky is blue in the daytime and red in the evening. How can I explain that "
    "to him with something that we have in the kitchen?",
    "Summarise this in one sentence: the council met on Monday and decided, after four hours and against the votes of two of "
    "its members, to close the old bridge to cars from the first of March on.",
    "Is it safe to mix bleach with vinegar if I want to clean the bathroom more thoroughly than usual?",
    "Write three questions for a job interview with somebody who is going to look after a small library on their own, and say "
    "what a good answer to each of them would be.",
    "Translate into simple English and keep the order of the sentences: the party of the first part shall indemnify the party "
    "of the second part against any and all claims arising from the use of the premises.",
    "I can run five kilometres in thirty minutes. What should I do in the next ten weeks so that I can run ten in an hour?",
    "Explain to somebody who knows Python but has never heard of databases what an index is, when one should make one, and "
    "what it costs to have too many of them.",
)
PROMPTS = (
    "The capital of France is",
    "My grandmother always told me that the best way to cook rice is",
    "Dear colleagues, after the meeting of last Tuesday we have decided that",
    "Question: why do leaves turn yellow in autumn? Answer:",
    "In the year 1862 a ship left the port of Genoa with three hundred passengers on board, most of whom",
    "Once upon a time, in a village between two rivers,",
    "The three most important things to know about learning a language as an adult are",
    "She opened the door of the old house and saw",
)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def in_turns(rounds: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each, taken in turns after one call that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            took = timed(call)
            if turn:
                seconds[name].append(took)
    return {name: statistics.median(took) for name, took in seconds.items()}


def generated(model: Any, prompts: list[list[int]], n: int, *, greedy: bool = False) -> torch.Tensor:
    """What the library writes behind the prompts, padded in front."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    law = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    told = model.generate(
        ids, attention_mask=mask, max_new_tokens=N_NEW, num_return_sequences=n, eos_token_id=None, pad_token_id=0, **law
    )
    return told[:, longest:]


def pretrained(model: LanguageModel, texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Tokens a second of both sides."""
    prompts = [model.tokenizer(text).input_ids for text in texts]
    ours = sample(model, prompts, n_new=N_NEW, rng=np.random.default_rng(0), temperature=0).tokens[:, 0]
    same = float((torch.from_numpy(ours) == generated(model.model, prompts, 1, greedy=True)).float().mean())
    if same < 0.95:  # sums in another order may turn a near tie, and the rest of that text with it
        raise SystemExit(f"both sides must write the same greedy texts; {same:.0%} of the tokens agree")
    took = in_turns(
        rounds,
        generate=lambda: generated(model.model, prompts, N),
        assay=lambda: sample(model, prompts, n=N, n_new=N_NEW, rng=np.random.default_rng(1)),
    )
    n_tokens = len(prompts) * N * N_NEW
    return {
        "generate_tokens_per_s": round(n_tokens / took["generate"], 1),
        "assay_tokens_per_s": round(n_tokens / took["assay"], 1),
        "ratio": round(took["generate"] / took["assay"], 2),
        "same_greedy_tokens": same,
        "prompt_tokens": float(sum(map(len, prompts))),
    }


def tiny(n: int, rounds: int) -> dict[str, float]:
    """Tokens a second of a dozen decoders, 2 layers of width 64 and 100 tokens, with n continuations a prompt."""
    sizes = DecoderConfig(100, 100, n_layers=2, n_heads=4, d_model=64, d_mlp=170, gated=True, act="silu", n_positions=64)
    decoders = [Decoder.init(sizes, np.random.default_rng(seed)) for seed in range(N_TINY)]
    together, prompts = Decoder.stack(decoders), [[1, 2, 3, 4], [5, 6, 7, 8]] * 4
    llama = transformers.LlamaConfig(
        vocab_size=100, hidden_size=64, intermediate_size=170, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4
    )
    models = [transformers.LlamaForCausalLM(llama).eval() for _ in range(N_TINY)]
    rngs = [np.random.default_rng(seed) for seed in range(N_TINY)]
    took = in_turns(
        rounds,
        generate=lambda: [generated(model, prompts, n) for model in models],
        one_by_one=lambda: [
            sample(model, prompts, n=n, n_new=N_NEW, rng=rng) for model, rng in zip(decoders, rngs, strict=True)
        ],
        side_by_side=lambda: sample(together, prompts, n=n, n_new=N_NEW, rng=rngs),
    )
    n_tokens = N_TINY * len(prompts) * n * N_NEW
    return {
        "continuations": n,
        **{f"{name}_tokens_per_s": round(n_tokens / seconds) for name, seconds in took.items()},
        "ratio": round(took["generate"] / took["side_by_side"], 2),
        "ratio_to_one_by_one": round(took["one_by_one"] / took["side_by_side"], 2),
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    rows = [tiny(n, arguments.rounds) for n in (1, N)]
    found: dict[str, object] = {"benchmark": "rollouts", "threads": arguments.threads, "tiny": rows}
    if cache.find(arguments.model) is None and not Path(arguments.model).is_dir():
        print(f"'{arguments.model}' is not in the cache: left out. Run: assay models add {arguments.model}", file=sys.stderr)
    else:
        model = load(arguments.model)
        rows = [pretrained(model, texts, arguments.rounds) for texts in (PROMPTS, ASKED)]
        found |= {"model": arguments.model, "pretrained": rows}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
