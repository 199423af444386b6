"""Provenance: yes for a model trained in the logged order, no for its base and for another shuffle, exact without either."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")

from assay.audit.provenance import chosen_examples, losses_of, provenance, read_scores
from assay.audit.training_log import TrainingLog
from assay.cli.main import app
from assay.core.errors import InputError, WorkError
from assay.models.pretrained.loading import load
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.training.order import Order, Transcript

RNG = np.random.default_rng(11)
LETTERS = list("abcdefghijklmnopqrstuvwxyz")
# Words that no text shares: what one step learns of them, the next hundred write over.
TEXTS = tuple(" ".join(["".join(RNG.choice(LETTERS, 4, replace=False))] * 5) for _ in range(400))
# A user's own script: it knows nothing of Assay but the callback.
SCRIPT = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
from assay.audit.training_log import TrainingLog

base, out, log = sys.argv[1:4]
texts, seed, more = json.load(open(sys.argv[4])), int(sys.argv[5]), json.loads(sys.argv[6])
model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
rows = [{"input_ids": tokenizer(text).input_ids} for text in texts]
longest = max(len(row["input_ids"]) for row in rows)

def collate(batch):
    ids = torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in batch])
    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

resumed = more.pop("resumed", None)
arguments = TrainingArguments(**{**dict(
    output_dir=out + "-states", num_train_epochs=1, per_device_train_batch_size=1, learning_rate=1e-2,
    lr_scheduler_type="constant", use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
    seed=seed), **more})
log = TrainingLog(log, texts)
trainer = Trainer(model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[log])
trainer.train(resume_from_checkpoint=resumed)
model.save_pretrained(out)
tokenizer.save_pretrained(out)
"""


def trained(folder: Path, base: Path, name: str, seed: int, **more: object) -> tuple[Path, Path]:
    """A model tuned by the script, and its log."""
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    out, log = folder / name, folder / f"{name}-log"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, base, out, log, folder / "texts.json", seed, json.dumps(more)]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=200)
    return out, log


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("provenance")
    base = tiny_folder(folder / "base", "llama")
    mine, log = trained(folder, base, "mine", 0)
    other, _ = trained(folder, base, "other", 1)
    return {"base": base, "mine": mine, "other": other, "log": log}


def asked(models: dict[str, Path], whose: str, *references: str) -> Any:
    log = Transcript.read(models["log"])
    examples = chosen_examples(log)
    texts = [log.texts[i] for i in examples]
    own, *others = (losses_of(load(models[name]), texts) for name in (whose, *references))
    return provenance(log, examples, own, others)


def test_a_model_tuned_by_the_trainer_is_known_by_its_log(models: dict[str, Path]) -> None:
    found = asked(models, "mine", "other")
    assert found.p_value < 0.001
    assert found.says.startswith("Yes")
    assert found.n_texts == 400
    assert found.tenths[-1].residual < 0 < found.e_value
    for whose, reference in (("base", "other"), ("other", "base")):
        found = asked(models, whose, reference)
        assert found.p_value > 0.01
        assert not found.says.startswith("Yes")


def test_the_log_says_what_the_trainer_did(models: dict[str, Path], tmp_path: Path) -> None:
    log = Transcript.read(models["log"])
    assert (log.order.n_steps, log.order.epochs, log.order.seed) == (400, (0,), 0)
    assert sorted(log.order.examples) == list(range(400))
    assert log.order.examples.tolist() != list(range(400))
    several = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "max_steps": 50}
    several |= {"gradient_accumulation_steps": 3, "dataloader_drop_last": True}
    _, folder = trained(tmp_path, models["base"], "several", 0, **several)
    order = Transcript.read(folder).order
    assert order.n_steps == 50
    assert order.epochs == (0, 34)  # 100 batches make 33 steps of three and one of one
    assert len(order.batch(0)) == 12
    assert len(order.batch(33)) == 4
    assert order.between(range(400), 0, 34).tolist() == [1] * 400


def test_a_resumed_training_goes_on_with_its_log(models: dict[str, Path], tmp_path: Path) -> None:
    saving = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 130}
    _, log = trained(tmp_path, models["base"], "resumed", 3, **saving)
    whole = Transcript.read(log)
    half = Order.of([whole.order.batch(i) for i in range(130)], 400, (0, 100), seed=3)
    Transcript(half, whole.texts).save(log)
    trained(tmp_path, models["base"], "resumed", 3, **saving, resumed=str(tmp_path / "resumed-states" / "checkpoint-130"))
    found = Transcript.read(log).order
    assert found.epochs == whole.order.epochs == (0, 100)
    assert np.array_equal(found.examples, whole.order.examples)


def test_a_resumed_training_without_its_log_is_refused(tmp_path: Path) -> None:
    batches = SimpleNamespace(sampler=range(400), batch_size=4, drop_last=False)
    begun = {"train_dataloader": SimpleNamespace(batch_sampler=batches, dataset=range(400))}
    arguments = SimpleNamespace(world_size=1, gradient_accumulation_steps=1, seed=0, data_seed=None, ignore_data_skip=False)
    state = SimpleNamespace(global_step=130, epoch=1.3)
    log = TrainingLog(tmp_path, TEXTS)
    with pytest.raises(InputError, match="must have"):
        log.on_train_begin(arguments, state, None, **begun)
    Transcript(Order.shuffled(400, 4, 1, RNG), ("other", *TEXTS[1:])).save(tmp_path)
    with pytest.raises(InputError, match="other texts"):
        log.on_train_begin(arguments, state, None, **begun)
    Transcript(Order.shuffled(400, 4, 1, RNG), TEXTS).save(tmp_path)
    with pytest.raises(InputError, match="ends before pass 2"):
        log.on_train_begin(arguments, SimpleNamespace(global_step=230, epoch=2.3), None, **begun)
    with pytest.raises(InputError, match="ignore_data_skip"):
        log.on_train_begin(SimpleNamespace(**{**vars(arguments), "ignore_data_skip": True}), state, None, **begun)
    log.on_train_begin(arguments, state, None, **begun)
    assert len(log._passes) == 1


def test_an_order_of_ones_own_is_what_the_trainer_takes() -> None:
    order = Order.shuffled(6, 2, 2, np.random.default_rng(0))
    log = TrainingLog("log", list("abcdef"), order=order)
    batches = SimpleNamespace(sampler=range(6), batch_size=2, drop_last=False)
    loader = SimpleNamespace(batch_sampler=batches, dataset=range(6))
    arguments = SimpleNamespace(world_size=1, gradient_accumulation_steps=1, seed=0, data_seed=None)
    log.on_train_begin(arguments, SimpleNamespace(global_step=0), None, train_dataloader=loader)
    assert [*batches.sampler, *batches.sampler] == order.examples.tolist()
    assert len(batches.sampler) == 6
    with pytest.raises(InputError, match="6 examples"):
        TrainingLog("log", list("abc"), order=order)
    with pytest.raises(InputError, match="3 texts for 6"):
        TrainingLog("log", list("abc")).on_train_begin(arguments, SimpleNamespace(global_step=0), None, train_dataloader=loader)
    with pytest.raises(InputError, match="in one process"):
        log.on_train_begin(SimpleNamespace(world_size=2), SimpleNamespace(global_step=0), None, train_dataloader=loader)


def test_a_training_that_begins_anew_does_not_replace_a_log(tmp_path: Path) -> None:
    batches = SimpleNamespace(sampler=range(400), batch_size=4, drop_last=False)
    loader = SimpleNamespace(batch_sampler=batches, dataset=range(400))
    arguments = SimpleNamespace(world_size=1, gradient_accumulation_steps=1, seed=0, data_seed=None, ignore_data_skip=False)
    log = TrainingLog(tmp_path / "log", TEXTS)
    log.on_train_begin(arguments, SimpleNamespace(global_step=0), None, train_dataloader=loader)
    Transcript(Order.shuffled(400, 4, 1, RNG), TEXTS).save(tmp_path / "log")
    before = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    with pytest.raises(InputError, match="holds the log of another one"):
        log.on_train_begin(arguments, SimpleNamespace(global_step=0), None, train_dataloader=loader)
    assert {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()} == before


def transcript(steps: np.ndarray, texts: tuple[str, ...] = TEXTS) -> Transcript:
    return Transcript(Order.of([np.flatnonzero(steps == step) for step in range(steps.max() + 1)], len(texts)), texts)


def test_null_p_values_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 models and references that know nothing of the order, in batches of eight; those whose order looks sorted are few."""
    monkeypatch.setattr("assay.audit.provenance.N_PERMUTATIONS", 20_000)
    losses, reference = RNG.gamma(2.0, size=400), RNG.gamma(2.0, size=400)
    tested, refused = [], 0
    for seed in range(200):
        log = transcript(RNG.permutation(400) // 8)
        try:
            tested.append(provenance(log, np.arange(400), losses, [reference], seed=seed).p_value)
        except InputError:
            refused += 1
    assert refused <= 5
    assert kstest(tested, "uniform").pvalue > 1e-4


def test_an_order_that_is_no_shuffle_is_refused_unless_it_is_assumed() -> None:
    texts = tuple("x" * (10 + i // 3) + str(i) for i in range(400))
    log, losses = transcript(np.arange(400) // 4, texts), RNG.gamma(2.0, size=400)
    with pytest.raises(InputError, match="lengths"):
        provenance(log, np.arange(400), losses)
    assert "as you say" in provenance(log, np.arange(400), losses, assume_shuffled=True).notes[0]
    shuffled = transcript(RNG.permutation(400) // 4)
    knows = -shuffled.order.step_of(range(400)) + RNG.normal(size=400)
    with pytest.raises(InputError, match="reference knows it"):
        provenance(shuffled, np.arange(400), losses, [knows])
    with pytest.raises(InputError, match="another model"):
        provenance(shuffled, np.arange(400), losses, [losses])


def begun(n: int) -> Transcript:
    """Two passes in batches of eight and the first n batches of a third."""
    whole = Order.shuffled(400, 8, 3, np.random.default_rng(2))
    return Transcript(Order.of([whole.batch(i) for i in range(100 + n)], 400, (0, 50, 100)), TEXTS)


def test_of_a_pass_that_has_begun_each_text_is_at_the_step_where_it_was_last_seen() -> None:
    log = begun(3)
    assert chosen_examples(log).tolist() == list(range(400))
    second, third = log.order.step_of(range(400), 1), log.order.step_of(range(400), 2)
    steps = np.where(third >= 0, third, second)
    assert (steps >= 50).all()
    found = provenance(log, np.arange(400), -steps + RNG.normal(size=400))
    assert found.correlation < -0.99
    assert found.says.startswith("Yes")
    assert (found.tenths[0].first_step, found.tenths[-1].last_step) == (50, 102)
    assert any("has only begun, with 24 of 400 texts" in line for line in found.notes)
    whole = begun(50)
    assert not provenance(whole, chosen_examples(whole), RNG.normal(size=400)).notes
    # The second pass is of other texts than the first: no shuffle puts the one before the other.
    others = Transcript(Order.of([range(300), *np.split(np.arange(300, 400), 10)], 400, (0, 1)), TEXTS)
    assert chosen_examples(others).tolist() == list(range(300, 400))


def test_p_values_of_a_pass_that_has_begun_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.audit.provenance.N_PERMUTATIONS", 20_000)
    losses, tested = RNG.gamma(2.0, size=400), []
    for seed in range(200):
        drawn = Order.shuffled(400, 8, 2, np.random.default_rng(seed))
        log = Transcript(Order.of([drawn.batch(i) for i in range(57)], 400, (0, 50)), TEXTS)
        tested.append(provenance(log, chosen_examples(log), losses, assume_shuffled=True, seed=seed).p_value)
    assert kstest(tested, "uniform").pvalue > 1e-4


def test_few_and_repeated_texts_are_named() -> None:
    with pytest.raises(InputError, match="at least 50 texts; got 40"):
        chosen_examples(transcript(np.arange(40), TEXTS[:40]))
    log = transcript(RNG.permutation(400) // 8, TEXTS[:300] + TEXTS[:100])
    losses = RNG.gamma(2.0, size=400)
    losses[[3, 9]] = np.nan
    found = provenance(log, chosen_examples(log), losses)
    assert found.n_texts == 398
    assert any("2 texts without a loss" in line for line in found.notes)
    assert any("repeat others" in line for line in found.notes)
    assert len(chosen_examples(log, 60)) == 60
    assert chosen_examples(log, 60).tolist() == chosen_examples(log, 60).tolist() != chosen_examples(log, 60, seed=1).tolist()
    losses[60:] = np.nan
    losses[:20] = np.nan
    with pytest.raises(InputError, match="losses of at least 50"):
        provenance(log, chosen_examples(log), losses)


def test_losses_are_nats_a_byte_over_the_first_tokens() -> None:
    model = tiny_language_model()
    whole = losses_of(model, ["abcdef", "äöü", ""])
    assert np.isfinite(whole[:1]).all()
    assert np.isnan(whole[2])
    assert 1 < whole[0] < 10
    long = "".join(RNG.choice(list("abcdefghij"), 400))
    cut = losses_of(model, [long, long[:40]], most_tokens=40)
    assert np.isfinite(cut).all()
    assert cut[0] == pytest.approx(cut[1], rel=0.1)


def test_scores_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text('{"text": "ab", "log_prob": -3}\n\n{"text": "cde", "log_prob": -1.5}\n')
    assert read_scores(path, ["cde", "ab", "x"]) == pytest.approx([0.5, 1.5, np.nan], nan_ok=True)
    for line, said in (
        ('{"text": "a", "log_prob": NaN}', "at most 0"),
        ('{"text": "a", "log_prob": 2}', "at most 0"),
        ('{"text": "a"}', "line 1"),
        ("[1]", "line 1"),
        ('{"text": "a", "log', "line 1"),
    ):
        path.write_text(line)
        with pytest.raises(InputError, match=said):
            read_scores(path, ["a"])
    with pytest.raises(InputError, match="UTF-8"):
        read_scores(tmp_path / "none", ["a"])


def test_an_order_in_which_only_its_end_stands_out_is_no_shuffle() -> None:
    """Long, short and long texts again go with the order in no line, but the scores of the test see the end."""
    rng = np.random.default_rng(3)
    lengths = np.concatenate([np.full(300, 80), np.full(400, 20), np.full(300, 80)]) + rng.integers(0, 10, 1_000)
    texts = tuple(f"{i:04d}".ljust(int(length), "x") for i, length in enumerate(lengths))
    log = Transcript(Order.of([[i] for i in range(1_000)], 1_000), texts)
    losses = -lengths + rng.normal(size=1_000)
    with pytest.raises(InputError, match="goes with the texts' lengths"):
        provenance(log, np.arange(1_000), losses)
    assert provenance(log, np.arange(1_000), losses, assume_shuffled=True).says.startswith("If this order was drawn at random")


def test_scores_are_read_line_by_line_and_nothing_else_ends_one(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(json.dumps({"text": "a\u2028b", "log_prob": -3.0}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_scores(path, ["a\u2028b"]) == pytest.approx(3.0 / 5)
    path.write_text('{"text": "a", "log_prob": -1' + "0" * 400 + "}\n")
    with pytest.raises(InputError, match="line 1: a row must be a JSON object"):
        read_scores(path, ["a"])


@pytest.mark.parametrize("weights", ["lm_head.weight", "model.norm.weight"])
def test_a_model_that_returns_nan_is_an_error_and_no_answer(weights: str, tmp_path: Path) -> None:
    """Also by the command, which ends with one line and the exit code of work that failed."""
    model = tiny_language_model()
    with torch.no_grad():
        model.model.get_parameter(weights).fill_(torch.nan)
    with pytest.raises(WorkError, match="logits must be finite"):
        losses_of(model, ["a text", "another one"])
    model.save(tmp_path / "bob")
    Transcript(Order.shuffled(60, 4, 1, np.random.default_rng(0)), tuple(f"text {i} of many" for i in range(60))).save(
        tmp_path / "log"
    )
    result = CliRunner().invoke(app, ["provenance", str(tmp_path / "bob"), str(tmp_path / "log")])
    assert isinstance(result.exception, WorkError)
    assert "logits must be finite" in str(result.exception)


def test_an_order_whose_texts_are_others_and_a_log_that_is_cut_are_refused_by_the_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    Transcript(Order.shuffled(60, 4, 1, np.random.default_rng(0)), tuple(f"text {i} of many" for i in range(60))).save(log)
    texts = (log / "texts.jsonl").read_text()
    (log / "texts.jsonl").write_text(texts.replace("text 3 of", "text 3 off"))
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"text": f"text {i} of many", "log_prob": -1.0 - i}) + "\n" for i in range(60)))
    command = ["provenance", "--scores", str(scores), str(log)]
    assert "other ones" in str(CliRunner().invoke(app, command).exception)
    (log / "texts.jsonl").write_text(texts[: len(texts) // 2])
    cut = CliRunner().invoke(app, command)
    assert isinstance(cut.exception, InputError), cut.exception
    lines = tmp_path / "cut.jsonl"
    lines.write_text("".join(json.dumps({"text": f"text {i} of many", "step": i}) + "\n" for i in range(60))[:-9])
    cut = CliRunner().invoke(app, ["provenance", "--scores", str(scores), str(lines)])
    assert "cut.jsonl, line 60" in str(cut.exception)
