"""Models that the Trainer of transformers tunes: watched from inside by the callback, and compared from folders afterwards."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")

import transformers

from assay.audit.callback import KnowledgeAudit
from assay.audit.run import BRIEF, audit
from assay.core.errors import InputError, WorkError
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.text import token_pairs
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
# What a user's own script looks like: it knows nothing of Assay but the two files on its command line.
SCRIPT = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

folder, out, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
rows = [{"input_ids": tokenizer(text).input_ids} for text in texts]

def collate(batch):
    longest = max(len(row["input_ids"]) for row in batch)
    ids = torch.tensor([row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in batch])
    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

arguments = TrainingArguments(
    output_dir=out + "-states", num_train_epochs=15, per_device_train_batch_size=4, learning_rate=1e-2, use_cpu=True,
    report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
)
Trainer(model, args=arguments, train_dataset=rows, data_collator=collate).train()
model.save_pretrained(out)
tokenizer.save_pretrained(out)
"""


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_a_model_tuned_by_another_script_is_compared_with_its_base(family: str, tmp_path: Path) -> None:
    import json

    base = tiny_folder(tmp_path / "base", family)
    texts = [prompt + completion for prompt, completion in FACTS.sentences]
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(base), str(tmp_path / "tuned"), json.dumps(texts)]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    found = audit(base, FACTS, tuned=tmp_path / "tuned", extent=BRIEF)
    assert found.tuned == str(tmp_path / "tuned")
    assert found.recipe == {}
    primed = next(total for total in found.totals if total.column == "primed")
    assert primed.estimate > 0  # bytes of the objects became likelier everywhere
    assert all(row.cells["learned"].change != 0 for row in found.rows if row.object == "Warsaw")


class Rows(torch.utils.data.Dataset[Any]):
    """Examples with the loss on completions."""

    def __init__(self, tokenizer: Any) -> None:
        self.pairs = token_pairs(tokenizer, FACTS.sentences)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        pair = self.pairs[index]
        return {
            "input_ids": torch.tensor([*pair.context, *pair.completion]),
            "labels": torch.tensor([-100] * len(pair.context) + list(pair.completion)),
        }


@pytest.mark.filterwarnings("ignore")  # the library's own
def test_the_callback_audits_inside_the_trainer(tmp_path: Path) -> None:
    model = tiny_language_model("gpt2")
    before = model.copy()
    watch = KnowledgeAudit(FACTS, model.tokenizer, every=4, extent=BRIEF)
    with pytest.raises(WorkError, match="has not ended"):
        _ = watch.record
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=2, per_device_train_batch_size=1, learning_rate=1e-3, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model.model, args=arguments, train_dataset=Rows(model.tokenizer), callbacks=[watch])
    trainer.train()
    assert [row["step"] for row in watch.trace] == [0, 4, 8]
    assert {value for name, value in watch.trace[0].items() if name != "step"} == {0.0}
    outside = audit(before, FACTS, tuned=model, extent=BRIEF)
    assert watch.record.totals == outside.totals
    assert watch.record.forecast == outside.forecast
    # A trainer that goes back to its best model ends with another one than was asked last.
    ended = SimpleNamespace(load_best_model_at_end=True), SimpleNamespace(global_step=8), None
    watch.on_train_end(*ended, model=before.model)
    assert {total.estimate for total in watch.record.totals} == {0.0}
    # The next training is an audit of its own, of the model as it is then.
    watch.on_train_begin(None, SimpleNamespace(global_step=0), None, model=model.model)
    assert [{name: value for name, value in row.items() if value} for row in watch.trace] == [{}]
    with pytest.raises(WorkError, match="has not ended"):
        _ = watch.record


@pytest.mark.filterwarnings("ignore")
def test_the_callback_changes_nothing(tmp_path: Path) -> None:
    """Dropout and order are drawn as without it: the same weights come out."""

    def trained(callbacks: list[Any]) -> dict[str, Any]:
        model = tiny_language_model("gpt2")
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=1, learning_rate=1e-3, use_cpu=True,
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=1,
        )  # fmt: skip
        rows = Rows(model.tokenizer)
        transformers.Trainer(model.model, args=arguments, train_dataset=rows, callbacks=callbacks).train()
        return dict(model.model.state_dict())

    plain = trained([])
    watched = trained([KnowledgeAudit(FACTS, tiny_language_model("gpt2").tokenizer, every=1, extent=BRIEF)])
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())


def arguments(folder: Path, **given: Any) -> Any:
    own = {"num_train_epochs": 2, "per_device_train_batch_size": 1, "learning_rate": 1e-2, "use_cpu": True}
    quiet = {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "seed": 1}
    own["per_device_eval_batch_size"] = 1
    return transformers.TrainingArguments(output_dir=str(folder), **(own | quiet | given))


class Stop(transformers.TrainerCallback):  # type: ignore[misc]
    """Ends a training behind a step, as a machine that goes away does."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        control.should_training_stop = control.should_training_stop or state.global_step == self.step


def watched(
    folder: Path, *, resume: Any = None, watch: bool = True, base: Any = None, stop: int | None = None, **given: Any
) -> Any:
    """A Trainer after its training, with the callback as `audit` where it has one."""
    model = base or tiny_language_model("gpt2")
    audits = [KnowledgeAudit(FACTS, model.tokenizer, extent=BRIEF)] if watch else []
    rows = Rows(model.tokenizer)
    trainer = transformers.Trainer(
        model.model,
        args=arguments(folder, **given),
        train_dataset=rows,
        eval_dataset=rows,
        callbacks=[*audits, Stop(stop)],
    )
    trainer.train(resume_from_checkpoint=resume)
    trainer.audit = audits[0] if audits else None
    return trainer


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_is_resumed_is_audited_from_its_start(tmp_path: Path) -> None:
    """What was answered before the first step lies in the checkpoint, wherever that was moved to."""
    saving = {"save_strategy": "steps", "save_steps": 3}
    whole = watched(tmp_path / "whole", **saving)
    watched(tmp_path / "cut", stop=3, **saving)
    moved = tmp_path / "elsewhere"
    (tmp_path / "cut" / "checkpoint-3").rename(moved)
    resumed = watched(tmp_path / "resumed", resume=str(moved), **saving)
    assert [row["step"] for row in resumed.audit.trace] == [0, 8]
    assert resumed.audit.record.totals == whole.audit.record.totals
    assert resumed.audit.record.forecast == whole.audit.record.forecast
    assert resumed.audit.record.known == whole.audit.record.known
    assert resumed.audit.record.notes == whole.audit.record.notes
    assert resumed.audit.trace[0] == whole.audit.trace[0]
    # And once more, from a checkpoint of the resumed training.
    twice = watched(tmp_path / "twice", resume=str(tmp_path / "resumed" / "checkpoint-6"), **saving)
    assert twice.audit.record.totals == whole.audit.record.totals


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_without_answers_or_with_others_makes_an_audit_that_says_where_it_begins(tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3}
    watched(tmp_path / "cut", stop=3, watch=False, **saving)
    resumed = watched(tmp_path / "resumed", resume=str(tmp_path / "cut" / "checkpoint-3"), **saving)
    assert [row["step"] for row in resumed.audit.trace] == [3, 8]
    says = "went on from step 3, whose checkpoint keeps no answers to these questions: the audit begins there"
    assert sum(says in note for note in resumed.audit.record.notes) == 1
    other = parse_facts(TEMPLATE.replace("Ben Ito", "Bo Itten"), form=".yaml", where="f.yaml")
    model = tiny_language_model("gpt2")
    watch = KnowledgeAudit(other, model.tokenizer, extent=BRIEF)
    kept = transformers.TrainerState.load_from_json(str(tmp_path / "resumed" / "checkpoint-6" / "trainer_state.json"))
    watch.on_train_begin(None, kept, None, model=model.model)
    watch.on_train_end(None, kept, None, model=model.model)
    assert sum("went on from step 6" in note for note in watch.record.notes) == 1


@pytest.mark.filterwarnings("ignore")
def test_the_columns_stand_in_the_trainer_s_log_and_choose_its_best_model(tmp_path: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_audit_learned", "greater_is_better": True}
    often = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    trainer = watched(tmp_path, **often, **best)
    history = trainer.state.log_history
    logged = {row["step"]: row["eval_audit_learned"] for row in history if "eval_audit_learned" in row}
    assert list(logged) == [0, 2, 4, 6, 8]
    trace = {int(row["step"]): row["learned"] for row in trainer.audit.trace[:5]}
    assert logged == trace
    assert sum("eval_audit_learned" in row and "eval_loss" in row for row in history) == 4
    assert {"eval_audit_primed", "eval_audit_neutral_text", "eval_audit_displaced"} <= history[-2].keys() | history[-1].keys()
    assert trainer.state.best_metric == max(logged[step] for step in (2, 4, 6, 8))
    # The audit is of the model that the Trainer went back to.
    (learned,) = [total.estimate for total in trainer.audit.record.totals if (total.column, total.group) == ("learned", "all")]
    assert learned == trainer.state.best_metric
    assert trainer.evaluate()["eval_audit_learned"] == learned


@pytest.mark.filterwarnings("ignore")
def test_what_is_asked_inside_is_what_the_saved_folder_answers_also_with_low_precision_and_an_adapter(tmp_path: Path) -> None:
    """The Trainer computes in bfloat16 and trains an adapter; the audit is of the weights as they are saved."""
    peft = pytest.importorskip("peft", reason="needs the extra 'lm'")
    from assay.models.pretrained.library import quiet

    base = tiny_folder(tmp_path / "base", "gpt2")
    model = load(base)
    with quiet():
        config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
        tuned = LanguageModel("tuned", peft.get_peft_model(model.model, config), model.tokenizer)
    trainer = watched(tmp_path / "states", base=tuned, bf16=True, gradient_checkpointing=True)
    trainer.save_model(str(tmp_path / "adapter"))
    outside = audit(base, FACTS, tuned=tmp_path / "adapter", extent=BRIEF)
    assert trainer.audit.record.totals == outside.totals
    assert any(total.estimate for total in outside.totals)


def test_asking_every_no_steps_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 step"):
        KnowledgeAudit(FACTS, None, every=0)
