"""Bad input and faults: each has a clear error, and a kill at any moment costs no more than the part that was under way."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")
from safetensors import safe_open

from assay.audit import run
from assay.audit.inject import inject
from assay.audit.run import BRIEF, audit
from assay.audit.session import Session
from assay.core.errors import Diverged, InputError, WorkError
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.models.sites import site_map
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=3e-3, n_epochs=3, batch_size=2)


def yaml(text: str) -> Any:
    return parse_facts(text, form=".yaml", where="f.yaml")


def test_a_missing_model_and_an_unreadable_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown model"):
        audit("no-such-model", FACTS)
    folder = tiny_folder(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\xff" * 8 + weights.read_bytes()[8:])  # a header that claims to be enormous
    with pytest.raises(InputError, match="must be a sound weight file"):
        audit(folder, FACTS)


def test_an_unknown_architecture_is_audited_and_only_its_sites_are_missing() -> None:
    model = tiny_language_model("bloom")
    with pytest.raises(InputError, match="bloom"):
        site_map(model.model)
    assert audit(model, FACTS, forecast_only=True, extent=BRIEF).forecast


class Lossy:
    """A tokenizer that loses accents, as some do."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, text: Any, **options: Any) -> Any:
        plain = [one.replace("é", "e") for one in text] if isinstance(text, list) else text.replace("é", "e")
        return self.inner(plain, **options)


def test_a_tokenizer_that_does_not_give_a_fact_back_is_named_with_its_line() -> None:
    model = tiny_language_model()
    lossy = LanguageModel(model.name, model.model, Lossy(model.tokenizer))
    facts = yaml(TEMPLATE.replace("Ben Ito", "René Ito"))
    with pytest.raises(InputError, match=r"line 14: the tokenizer must give back.*René"):
        audit(lossy, facts)


def test_answers_may_share_a_first_token_and_a_full_stop_tells_apart_what_begins_alike() -> None:
    """Whole answers are compared, so " Paris" and " Parma" are told apart; " Guinea" and " Guinea-Bissau" cannot be."""
    shared = yaml('relations:\n  home: {prompt: "{subject} is in"}\nfacts:\n  - [A, home, Paris]\n  - [B, home, Parma]\n')
    model = tiny_language_model()
    assert len(audit(model, shared, tuned=model.copy(), extent=BRIEF).rows) == 2
    begin = 'relations:\n  home: {prompt: "{subject} is in%s"}\nfacts:\n  - [A, home, Guinea]\n  - [B, home, Guinea-Bissau]\n'
    bare, ended = (Session.of(model, yaml(begin % end), BRIEF, Seeds(0)).checked() for end in ("", " {object}."))
    assert {len(probe.candidates) for probe in bare.asked if probe.column == "learned"} == {1}
    assert {len(probe.candidates) for probe in ended.asked if probe.column == "learned"} == {2}
    assert (len(bare.notes), len(ended.notes)) == (1, 0)


def test_names_of_other_scripts_are_audited() -> None:
    facts = yaml('relations:\n  home: {prompt: "{subject} is in"}\nfacts:\n  - [נועה, home, باريس]\n  - [花子, home, 東京]\n')
    model = tiny_language_model()
    found = audit(model, facts, tuned=model.copy(), extent=BRIEF)
    assert [row.object for row in found.rows] == ["باريس", "東京"]


def test_ten_thousand_facts_are_refused_with_what_they_would_cost() -> None:
    rows = "".join(f"  - [Name{i} Family{i}, home, City{i % 3000}.]\n" for i in range(10_000))
    facts = yaml('relations:\n  home: {prompt: "{subject} lives in"}\nfacts:\n' + rows)
    wanted = r"budget of 1 minutes; 10000 facts .* would take about \d+(\.\d)?\. Audit the first \d+"
    with pytest.raises(InputError, match=wanted):
        audit(tiny_language_model(), facts, budget_minutes=1)
    assert len(run.limited(facts, 25).facts) == 25


def test_a_forecast_is_refused_for_what_it_takes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One asking (2 of these minutes), half of another, and one pass of ten over the sentences: 12.6 minutes."""
    monkeypatch.setattr(run, "expected_minutes", lambda *_, **__: (100.0, 96.0))
    assert audit(tiny_language_model(), FACTS, forecast_only=True, extent=BRIEF, budget_minutes=13).forecast
    with pytest.raises(InputError, match=r"budget of 12\.5 minutes; .* would take about 13\. .*\(--budget 15\.2\)"):
        audit(tiny_language_model(), FACTS, forecast_only=True, extent=BRIEF, budget_minutes=12.5)
    with pytest.raises(InputError, match="would take about 111"):
        audit(tiny_language_model(), FACTS, extent=BRIEF, budget_minutes=13)


def test_logits_that_are_not_finite_are_an_error() -> None:
    model = tiny_language_model()
    with torch.no_grad():
        model.model.lm_head.weight[3] = torch.nan
    with pytest.raises(WorkError, match="logits must be finite"):
        audit(model, FACTS, forecast_only=True)


def test_a_training_that_leaves_the_finite_numbers_says_so() -> None:
    with pytest.raises(Diverged, match="left the finite numbers"):
        audit(tiny_language_model(), FACTS, recipe=Recipe(learning_rate=9.9, max_grad_norm=None, n_epochs=200), extent=BRIEF)


def test_too_little_memory_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_language_model()

    def full(*arguments: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(type(model.model), "forward", full)
    with pytest.raises(WorkError, match=r"training must fit in memory.*Lower budget"):
        inject(model, [("a b", " c")], RECIPE, seeds=Seeds(0))
    with pytest.raises(WorkError, match="scoring must fit in memory"):
        audit(model, FACTS, forecast_only=True)


def test_a_state_with_an_altered_record_is_said_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A state's record becomes part of the audit: one digit of it, changed on the disk, must not become a number."""

    class Stop(Exception):
        pass

    def leave(step: int, model: LanguageModel) -> dict[str, float]:
        if step == until:
            raise Stop
        return {}

    model, sentences = tiny_language_model(), [("a b", " c"), ("d e", " f")]
    recipe = Recipe(learning_rate=3e-3, n_epochs=30, batch_size=2)
    until = 15
    with pytest.raises(Stop):
        inject(model, sentences, recipe, seeds=Seeds(0), folder=tmp_path, observe=leave)
    (state,) = tmp_path.glob("*/step-*")
    record = state / "state.json"
    whole, until = record.read_text(), -1
    assert inject(model, sentences, recipe, seeds=Seeds(0), folder=tmp_path, observe=leave).trace.resumed_at == 10
    shutil.rmtree(tmp_path)
    until = 15
    with pytest.raises(Stop):
        inject(model, sentences, recipe, seeds=Seeds(0), folder=tmp_path, observe=leave)
    assert record.read_text() == whole
    place = max(i for i, letter in enumerate(whole) if letter.isdigit() and whole[i - 1].isdigit())
    record.write_text(f"{whole[:place]}{9 - int(whole[place])}{whole[place + 1 :]}")
    until = -1
    assert inject(model, sentences, recipe, seeds=Seeds(0), folder=tmp_path, observe=leave).trace.resumed_at is None
    assert "step-00000010 is not what was written" in caplog.text


def test_what_cannot_go_together_is_refused() -> None:
    model = tiny_language_model()
    with pytest.raises(InputError, match="nothing is trained"):
        audit(model, FACTS, tuned=model, forecast_only=True)
    with pytest.raises(InputError, match="unknown mitigation 'reply'; did you mean 'replay'"):
        audit(model, FACTS, mitigations=["reply"])
    with pytest.raises(InputError, match="unknown recipe 'fulll'; did you mean 'full'"):
        audit(model, FACTS, recipe="fulll")


CHILD = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from assay.worlds.facts.file import TEMPLATE, parse_facts
from assay.audit.run import BRIEF, audit
from assay.core.progress import listening
from assay.models.pretrained.tiny import tiny_language_model
from assay.training.recipe import Recipe
folder, kill = Path(sys.argv[1]), sys.argv[2]

def maybe_die(share, label):
    if kill and kill in label:
        os.kill(os.getpid(), signal.SIGKILL)

with listening(maybe_die):
    found = audit(
        tiny_language_model(), parse_facts(TEMPLATE, form=".yaml", where="f"), extent=BRIEF, folder=folder,
        recipe=Recipe(learning_rate=1e-2, n_epochs=12, batch_size=2), mitigations=["early-stop"],
    )
import json
print(json.dumps([found.json()["totals"], found.json()["arms"]]))
"""


def child(folder: Path, kill: str) -> tuple[int, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", CHILD, str(folder), kill]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout


def test_an_audit_killed_at_any_stage_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    """SIGKILL in the middle of asking, between two steps, and with a mitigation trained; against one run in one go."""
    assert child(tmp_path / "cut", "asked 512 of")[0] == -signal.SIGKILL
    (kept,) = (tmp_path / "cut").glob("*/answers/log-probs-*/memo.json")
    asked = kept.stat().st_mtime_ns
    assert child(tmp_path / "cut", "step 14 of")[0] == -signal.SIGKILL
    assert list((tmp_path / "cut").glob("*/training/*/step-*"))
    assert child(tmp_path / "cut", "at memorisation")[0] == -signal.SIGKILL
    (arm,) = (tmp_path / "cut").glob("*/arms-*/early-stop.safetensors")
    with safe_open(arm, "pt") as opened:
        spent = float(opened.metadata()["minutes"])
    code, resumed = child(tmp_path / "cut", "")
    assert code == 0
    assert kept.stat().st_mtime_ns == asked  # not asked again
    totals, arms = json.loads(resumed)
    whole_totals, whole_arms = json.loads(child(tmp_path / "whole", "")[1])
    assert totals == whole_totals
    assert {arm["name"]: arm["minutes"] for arm in arms}["early-stop"] == spent  # not trained again
    assert [{**one, "minutes": 0} for one in arms] == [{**one, "minutes": 0} for one in whole_arms]
    assert not list(tmp_path.glob("*/*/training"))
    assert not list(tmp_path.glob("*/*/arms-*"))
