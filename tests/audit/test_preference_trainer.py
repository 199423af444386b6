"""Preferences watched inside somebody else's training: the callback's own hooks, and TRL's DPOTrainer where it is installed."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.pairs import Pair, Pairs
from assay.audit.preference import audit_pairs
from assay.audit.preference_callback import PreferenceAudit
from assay.core.errors import InputError, WorkError
from assay.models.pretrained.tiny import tiny_language_model

PAIRS = Pairs("pairs", tuple(Pair(i + 1, f"q{i}:", f" {word} a", " no") for i, word in enumerate(("go", "is", "up", "so"))))


def state(step: int = 0, kept: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(global_step=step, epoch=float(step), log_history=[], stateful_callbacks={} if kept is None else kept)


def moved(model: Any, by: float) -> None:
    """Weights after some training: a nudge of the read-out that lowers most answers, and no answer's margin alike."""
    with torch.no_grad():
        model.lm_head.weight += by * torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(3))


def test_it_records_what_the_audit_of_both_folders_records() -> None:
    before, model = tiny_language_model(), tiny_language_model()
    watch, at = PreferenceAudit(PAIRS, model.tokenizer, every=2), state()
    with pytest.raises(WorkError, match="it has not ended"):
        _ = watch.record
    watch.on_train_begin(None, at, None, model=model.model)
    model.model.train()
    moved(model.model, 0.05)
    at.global_step = 1
    watch.on_step_end(None, at, None, model=model.model)
    at.global_step = 2
    watch.on_step_end(None, at, None, model=model.model)
    metrics: dict[str, float] = {}
    watch.on_evaluate(None, at, None, metrics, model=model.model)
    watch.on_train_end(SimpleNamespace(), at, None, model=model.model)
    assert model.model.training
    assert [row["step"] for row in watch.trace] == [0.0, 2.0]
    assert metrics["eval_audit_margin"] == watch.trace[-1]["margin"]
    outside = audit_pairs(before, PAIRS, tuned=model)
    assert watch.record.totals == outside.totals
    assert [one.changes for one in watch.record.rows] == [one.changes for one in outside.rows]
    assert [one.ches for one in watch.record.rows] == [one.ches for one in outside.rows]
    assert watch.trace[-1]["chosen"] == pytest.approx(next(t.estimate for t in outside.totals if t.column == "chosen"))


def test_it_warns_once_when_chosen_answers_fall_while_the_margin_rises(caplog: pytest.LogCaptureFixture) -> None:
    """Where both answers lose, the rejected one more: log P(chosen) falls and the margin rises."""
    model = tiny_language_model()
    watch, at = PreferenceAudit(PAIRS, model.tokenizer, every=1), state()
    watch.on_train_begin(None, at, None, model=model.model)
    begun = watch._before
    assert begun is not None
    with caplog.at_level(logging.WARNING):
        for step, (up, down) in enumerate([(0.5, -0.5), (-0.5, 0.2), (-0.5, -2.0), (-1.0, -4.0)], 1):
            at.global_step = step
            watch._noted(at, type(begun)(begun.chosen + up, begun.rejected + down))
            assert watch.warned == (step >= 3)
    (record,) = [one for one in caplog.records if "chosen answers have become less likely" in one.getMessage()]
    assert "at step 3" in record.getMessage()
    assert "margin rose by 1.5 nats" in record.getMessage()


def test_a_resumed_training_is_audited_from_its_start() -> None:
    model = tiny_language_model()
    first, at = PreferenceAudit(PAIRS, model.tokenizer), state()
    first.on_train_begin(None, at, None, model=model.model)
    moved(model.model, 0.05)
    resumed, later = PreferenceAudit(PAIRS, model.tokenizer), state(5, at.stateful_callbacks)
    resumed.on_train_begin(None, later, None, model=model.model)
    resumed.on_train_end(SimpleNamespace(), later, None, model=model.model)
    outside = audit_pairs(tiny_language_model(), PAIRS, tuned=model)
    assert resumed.record.totals == outside.totals
    assert [row["step"] for row in resumed.trace] == [0.0, 5.0]
    alone, bare = PreferenceAudit(PAIRS, model.tokenizer), state(5)
    alone.on_train_begin(None, bare, None, model=model.model)
    alone.on_train_end(SimpleNamespace(), bare, None, model=model.model)
    assert any("went on from step 5" in note for note in alone.record.notes)
    with pytest.raises(InputError, match="every must be at least 1 step"):
        PreferenceAudit(PAIRS, model.tokenizer, every=0)


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_inside_trl_s_trainer_it_records_what_the_saved_folder_answers(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL is no dependency of any extra")
    import pyarrow
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from assay.models.pretrained.loading import load

    tiny_language_model("gpt2").save(tmp_path / "base")
    model = load(tmp_path / "base")
    watch = PreferenceAudit(PAIRS, model.tokenizer, every=2)
    settings = DPOConfig(
        output_dir=str(tmp_path / "out"), max_steps=4, per_device_train_batch_size=4, learning_rate=1e-2, use_cpu=True,
        bf16=False, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
    )  # fmt: skip
    rows = [dict(zip(("prompt", "chosen", "rejected"), texts, strict=True)) for texts in PAIRS.texts]
    table = Dataset(pyarrow.Table.from_pylist(rows), fingerprint="pairs")
    trainer = DPOTrainer(model.model, args=settings, train_dataset=table, processing_class=model.tokenizer, callbacks=[watch])
    trainer.train()
    trainer.save_model(str(tmp_path / "final"))
    outside = audit_pairs(tmp_path / "base", PAIRS, tuned=tmp_path / "final")
    assert [row["step"] for row in watch.trace] == [0.0, 2.0, 4.0]
    for ours, theirs in zip(watch.record.totals, outside.totals, strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate, abs=1e-4)
    assert next(total.estimate for total in outside.totals if total.column == "margin") > 0.1
