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


def test_asking_every_no_steps_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 step"):
        KnowledgeAudit(FACTS, None, every=0)
