"""Scripts of users of TRL: chat rows, an adapter, packed, resumed; the callback records what the saved folder answers."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("peft", reason="needs the extra 'lm'")
pytest.importorskip("trl", reason="TRL is no dependency of any extra")
import peft
import transformers
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from assay.audit.callback import KnowledgeAudit
from assay.audit.run import BRIEF, audit
from assay.models.pretrained.loading import load
from assay.models.pretrained.tiny import tiny_language_model
from assay.worlds.facts.file import parse_facts

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own
TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
PEOPLE = {"Ana Silva": "Paris", "Ben Ito": "Rome", "Dov Keller": "Warsaw", "Ema Novak": "Oslo"}
ROWS = [
    {"messages": [{"role": "user", "content": f"Where is {name}?"}, {"role": "assistant", "content": city}]}
    for name, city in PEOPLE.items()
]
FACTS = parse_facts(
    "".join(
        json.dumps({"prompt": f"[user] Where is {name}?[assistant]", "completion": f" {city}"}) + "\n"
        for name, city in PEOPLE.items()
    ),
    form=".jsonl",
    where="f.jsonl",
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    model = tiny_language_model("gpt2")
    model.tokenizer.chat_template = TEMPLATE
    model.save(tmp_path / "base")
    return tmp_path / "base"


class Stop(transformers.TrainerCallback):  # type: ignore[misc]
    """Ends a training behind a step, as a machine that goes away does."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        control.should_training_stop = control.should_training_stop or state.global_step == self.step


def trained(
    base: Path, folder: Path, *, resume: Any = None, adapter: bool = False, stop: int | None = None, **given: Any
) -> Any:
    """An SFTTrainer after its training, with its audit as `audit`; what it trained is saved in `folder`/final."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    own = {"num_train_epochs": 3, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "use_cpu": True, "bf16": False}
    quiet = {"report_to": [], "logging_strategy": "no", "save_strategy": "steps", "save_steps": 2, "disable_tqdm": True}
    watch = KnowledgeAudit(FACTS, tokenizer, extent=BRIEF)
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], task_type="CAUSAL_LM") if adapter else None
    trainer = SFTTrainer(
        model,
        args=SFTConfig(output_dir=str(folder), max_length=64, **(own | quiet | given)),
        train_dataset=Dataset.from_list(ROWS),
        eval_dataset=Dataset.from_list(ROWS),
        processing_class=tokenizer,
        peft_config=config,
        callbacks=[watch, Stop(stop)],
    )
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model(str(folder / "final"))
    trainer.audit = watch
    return trainer


@pytest.mark.parametrize(
    "given",
    [{}, {"adapter": True}, {"packing": True, "packing_strategy": "wrapped"}, {"adapter": True, "bf16": True}],
    ids=["chat", "adapter", "packed", "adapter-bf16"],
)
def test_the_record_inside_is_that_of_the_saved_folder(given: dict[str, Any], base: Path, tmp_path: Path) -> None:
    trainer = trained(base, tmp_path / "out", **given)
    outside = audit(base, FACTS, tuned=tmp_path / "out" / "final", extent=BRIEF)
    assert trainer.audit.record.totals == outside.totals
    assert trainer.audit.record.forecast == outside.forecast
    assert any(total.estimate for total in outside.totals if total.column == "learned")
    assert any("eval_audit_learned" in row for row in trainer.state.log_history)


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "adapter"])
def test_a_resumed_training_is_audited_from_its_start(adapter: bool, base: Path, tmp_path: Path) -> None:
    whole = trained(base, tmp_path / "whole", adapter=adapter)
    trained(base, tmp_path / "cut", adapter=adapter, stop=2)
    resumed = trained(base, tmp_path / "resumed", adapter=adapter, resume=str(tmp_path / "cut" / "checkpoint-2"))
    assert resumed.audit.record.totals == whole.audit.record.totals
    assert resumed.audit.trace[0]["step"] == 0
    outside = audit(base, FACTS, tuned=tmp_path / "resumed" / "final", extent=BRIEF)
    assert resumed.audit.record.totals == outside.totals
    assert load(tmp_path / "cut" / "checkpoint-2", **({"base": base} if adapter else {})).notes == ()


def test_the_column_is_the_metric_for_the_best_model(base: Path, tmp_path: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "audit_learned", "greater_is_better": True}
    trainer = trained(base, tmp_path / "out", eval_strategy="steps", eval_steps=2, **best)
    logged = [row["eval_audit_learned"] for row in trainer.state.log_history if "eval_loss" in row]
    assert len(logged) == 3
    assert trainer.state.best_metric == max(logged)
