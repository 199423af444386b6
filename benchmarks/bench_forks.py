"""Forked toy training with probes at every step, beside the HF Trainer with a callback that scores the same probes.

    python benchmarks/bench_forks.py [--runs 12] [--steps 40] [--rounds 3] [--threads 1]

A network of the size of the study factual-knowledge-acquisition (2 layers, width 64, 400 tokens, batches of 8 x 24) has read
some steps; from there branches read rows of their own, and after every step 216 prompts, each with its value, are scored: the
gradients differ from branch to branch, as those of a study's conditions do. Ours takes all branches side by side from one
`State`. The Trainer takes them one after the other from a copy of the same GPT-2 weights, and its callback scores the probes as
one pads them: whole sentences with a mask, log-probabilities gathered at the values. Both start with the same weights and
moments, read the same rows in the same order, and must come to the same losses and scores. Processor time of the branches,
taking turns; budget: 3 times the Trainer's speed.
"""

import argparse
import json
import tempfile
import time
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from torch.utils.data import SequentialSampler

from assay.models.decoder import Decoder, DecoderConfig
from assay.training.losses import Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, State, train_from

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH, ROWS = 400, 64, 4, 2, 24, 8
N_PROBES, RATE, BUDGET = 216, 1e-3, 3.0
SHORTEST, LONGEST = 3, 6  # tokens of a prompt


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    transformers.logging.set_verbosity_error()
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.integers(VOCABULARY, size=(chosen.runs, chosen.steps, ROWS, LENGTH)))
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=N_PROBES)
    prompts = [rng.integers(VOCABULARY, size=length).tolist() for length in lengths]
    values = rng.integers(VOCABULARY, size=N_PROBES).tolist()
    torch.manual_seed(0)
    reference = gpt2()
    best, found = {"ours": np.inf, "Trainer": np.inf}, dict[str, Any]()
    for _ in range(chosen.rounds):
        for name, way in (("ours", ours), ("Trainer", theirs)):
            seconds, *found[name] = way(reference, rows, prompts, values)
            best[name] = min(best[name], seconds)
    gaps = [float(np.abs(one - other).max()) for one, other in zip(found["ours"], found["Trainer"], strict=True)]
    if max(gaps) > 2e-3:
        raise SystemExit(f"both must come to the same losses and scores; they differ by up to {gaps[0]:.2g} and {gaps[1]:.2g}")
    steps = chosen.runs * chosen.steps
    numbers = {
        "branches": chosen.runs,
        "steps_a_branch": chosen.steps,
        "probes_a_step": N_PROBES,
        "ours_ms_a_step": best["ours"] / steps * 1e3,
        "trainer_ms_a_step": best["Trainer"] / steps * 1e3,
        "ratio": best["Trainer"] / best["ours"],
        "largest_gap_of_losses_nats": gaps[0],
        "largest_gap_of_scores_nats": gaps[1],
    }
    if chosen.json:
        print(json.dumps(numbers))
        return
    print(f"{chosen.runs} branches of {chosen.steps} steps, {N_PROBES} probes after every step, {chosen.threads} thread(s)")
    print(f"ours {numbers['ours_ms_a_step']:.1f} ms a step of a branch, HF Trainer {numbers['trainer_ms_a_step']:.1f} ms")
    print(f"losses differ by at most {gaps[0]:.1g} nats, scores by {gaps[1]:.1g}")
    print(f"ratio {numbers['ratio']:.1f} x   budget {BUDGET:g} x: {'kept' if numbers['ratio'] >= BUDGET else 'MISSED'}")


def gpt2() -> Any:
    """The network as the transformers library has it."""
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip


def as_decoder(source: dict[str, Tensor]) -> Decoder:
    """The same weights as a decoder."""
    config = DecoderConfig(
        VOCABULARY, VOCABULARY, n_layers=LAYERS, n_heads=HEADS, d_model=WIDTH, d_mlp=4 * WIDTH, norm="layer",
        positions="learned", n_positions=LENGTH, tied=True, biases=True,
    )  # fmt: skip
    named = {
        "b_O": "attn.c_proj.bias", "W_in": "mlp.c_fc.weight", "b_in": "mlp.c_fc.bias", "W_out": "mlp.c_proj.weight",
        "b_out": "mlp.c_proj.bias", "w_ln1": "ln_1.weight", "b_ln1": "ln_1.bias", "w_ln2": "ln_2.weight", "b_ln2": "ln_2.bias",
    }  # fmt: skip
    weights = {
        "W_E": source["transformer.wte.weight"], "W_pos": source["transformer.wpe.weight"],
        "w_final": source["transformer.ln_f.weight"], "b_final": source["transformer.ln_f.bias"],
    }  # fmt: skip
    for i in range(LAYERS):
        layer = {name.removeprefix(f"transformer.h.{i}."): value for name, value in source.items() if f".h.{i}." in name}
        split = layer["attn.c_attn.weight"].split(WIDTH, 1), layer["attn.c_attn.bias"].split(WIDTH)
        for letter, weight, bias in zip("QKV", *split, strict=True):
            weights[f"blocks.{i}.W_{letter}"] = weight.unflatten(1, (HEADS, -1)).transpose(0, 1)
            weights[f"blocks.{i}.b_{letter}"] = bias.unflatten(0, (HEADS, -1))
        weights[f"blocks.{i}.W_O"] = layer["attn.c_proj.weight"].unflatten(0, (HEADS, -1))
        weights |= {f"blocks.{i}.{mine}": layer[other] for mine, other in named.items()}
    return Decoder.from_weights(config, weights)


def ours(
    reference: Any, rows: Tensor, prompts: list[list[int]], values: list[int]
) -> tuple[float, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Seconds, losses [run, step] and scores [run, step, probe] of branches side by side; prompts of a length together."""
    n_runs = len(rows)
    by_length: dict[int, list[int]] = {}
    for place, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(place)
    groups = [
        (places, torch.tensor([prompts[place] for place in places]), torch.tensor([values[place] for place in places]))
        for places in by_length.values()
    ]
    scores = np.empty((n_runs, rows.shape[1], len(prompts)), dtype=np.float32)

    def observe(step: int, model: Decoder) -> dict[str, float]:
        for places, tokens, answers in groups:
            logits = model(tokens.expand(n_runs, *tokens.shape), at=-1)
            found = logits.gather(-1, answers.expand(n_runs, -1)[..., None])[..., 0] - logits.logsumexp(-1)
            scores[:, step - 1, places] = found.numpy()
        return {}

    inputs, targets = rows[..., :-1].contiguous(), rows[..., 1:].contiguous()
    stage = Stage(
        rows.shape[1], lambda step: Batch(inputs[:, step].contiguous(), targets[:, step].contiguous()), next_token_loss
    )
    plan = Optimiser(learning_rate=RATE, weight_decay=0.0, clip_norm=None)
    start = State.fresh(Decoder.stack([as_decoder(dict(reference.state_dict()))] * n_runs), plan)
    begun = time.process_time()
    _, trace = train_from(start, stage, observe=observe, observe_at=range(1, rows.shape[1] + 1))
    return time.process_time() - begun, trace.loss_nats, scores


class InOrder(transformers.Trainer):
    """The Trainer on its rows in the order in which they are given."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)


class Scored(transformers.TrainerCallback):
    """Scores the probes after every step, in one padded batch, and keeps the losses."""

    def __init__(self, prompts: list[list[int]], values: list[int]) -> None:
        sentences = [[*prompt, value] for prompt, value in zip(prompts, values, strict=True)]
        longest = max(map(len, sentences))
        self.ids = torch.tensor([one + [0] * (longest - len(one)) for one in sentences])
        self.mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in sentences])
        self.last = torch.tensor([len(one) - 1 for one in sentences])
        self.values = torch.tensor(values)
        self.scores, self.losses = list[np.ndarray[Any, Any]](), list[float]()

    def on_step_end(self, *_: Any, model: Any = None, **__: Any) -> None:  # noqa: D102 - the Trainer's names
        model.eval()
        with torch.no_grad():
            logits = model(input_ids=self.ids, attention_mask=self.mask, use_cache=False).logits
        at = torch.log_softmax(logits[torch.arange(len(self.last)), self.last - 1], -1)
        self.scores.append(at[torch.arange(len(self.last)), self.values].numpy())
        model.train()

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:  # noqa: D102
        if "loss" in logs:
            self.losses.append(logs["loss"])


def theirs(
    reference: Any, rows: Tensor, prompts: list[list[int]], values: list[int]
) -> tuple[float, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The same of branches one after the other."""
    seconds, losses, scores = 0.0, list[Any](), list[Any]()
    for own in rows:
        model = gpt2()
        model.load_state_dict(reference.state_dict())
        # The first token is predicted by nothing, and the Trainer would count it among those that its mean is over.
        data = [{"input_ids": row, "labels": torch.cat((row.new_tensor([-100]), row[1:]))} for row in own.flatten(0, 1)]
        watch = Scored(prompts, values)
        with tempfile.TemporaryDirectory() as folder:
            settings = transformers.TrainingArguments(
                output_dir=folder, per_device_train_batch_size=ROWS, max_steps=len(own), learning_rate=RATE,
                lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=0.0, use_cpu=True, report_to=[],
                save_strategy="no", logging_steps=1, disable_tqdm=True, dataloader_pin_memory=False,
                remove_unused_columns=False,
            )  # fmt: skip
            trainer = InOrder(model=model, args=settings, train_dataset=data, callbacks=[watch])
            trainer.remove_callback(transformers.PrinterCallback)
            begun = time.process_time()
            trainer.train()
            seconds += time.process_time() - begun
        losses.append(watch.losses)
        scores.append(np.stack(watch.scores))
    return seconds, np.array(losses), np.stack(scores)


if __name__ == "__main__":
    main()
