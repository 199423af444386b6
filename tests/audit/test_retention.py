"""Plain steps after injection: none are exactly what was learned, a planted loss comes back, a killed audit goes on."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.advice import advice
from assay.audit.compare import compare
from assay.audit.kept import KeptAudits
from assay.audit.probes import Probe
from assay.audit.record import Audit
from assay.audit.retention import Plain, asked_at, combined, plain_texts, recipe_of_steps, retained
from assay.audit.retention_record import PAGES, Retention
from assay.audit.run import BRIEF, audit
from assay.cli.main import app
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.report.audit_page import write_audit
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts
from assay.worlds.facts.questions import Answers

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=1e-2, n_epochs=12, batch_size=4)
PEOPLE = parse_facts(
    'relations:\n  home: {prompt: "{subject} lives in"}\nfacts:\n'
    + "".join(f"  - [P{i} Q, home, City{i}]\n" for i in range(12)),
    form=".yaml",
    where="f.yaml",
)


def made(**given: Any) -> Audit:
    own: dict[str, Any] = {"recipe": RECIPE, "extent": BRIEF}
    return audit(tiny_language_model(), FACTS, **(own | given))


def lines_of(found: Audit, column: str) -> list[tuple[Any, ...]]:
    return [(one.group, one.estimate, one.low, one.high, one.clear) for one in found.totals if one.column == column]


@pytest.fixture(scope="module")
def thirty() -> Audit:
    return made(then=30, mitigations=["enough"])


def test_no_plain_steps_are_exactly_what_was_learned() -> None:
    found = made(then=0)
    assert lines_of(found, "retained") == lines_of(found, "learned") != []
    assert all(row.cells["retained"] == row.cells["learned"] for row in found.rows if row.trained)
    learned, kept = ([count for count in found.counts if count.column == name] for name in ("learned", "retained"))
    assert [replace(one, column="learned") for one in kept] == learned
    assert found.retention is not None
    assert (found.retention.steps, found.retention.slope, found.cost.plain_expected) == ((0,), None, 0.0)


def test_plain_steps_change_nothing_but_what_is_retained(thirty: Audit) -> None:
    """What was learned, displaced and compared is that of the model before its plain steps."""
    alone = made(mitigations=["enough"])
    assert alone.retention is None
    assert [one for one in thirty.outcomes if one.question.column != "retained"] == list(alone.outcomes)
    assert [replace(one, minutes=0) for one in thirty.arms] == [replace(one, minutes=0) for one in alone.arms]
    assert lines_of(thirty, "retained") != lines_of(thirty, "learned")


def test_what_is_left_is_followed_from_all_of_it_to_what_the_column_has(thirty: Audit) -> None:
    kept = thirty.retention
    assert kept is not None
    assert kept.steps == (0, *asked_at(30)) == (0, 1, 2, 4, 5, 8, 13, 20, 30)
    assert (kept.kept[0], len(kept.kept), kept.n_units) == (1.0, len(kept.steps), 4)
    assert kept.recipe["schedule"] == "constant"
    last = {one.question.fact: one for one in thirty.outcomes if one.question.column == "retained"}
    before = {one.question.fact: one for one in thirty.outcomes if one.question.column == "learned"}
    assert all(last[fact].before == before[fact].before for fact in before)
    assert thirty.cost.plain is not None


def planted(slope: float, noise: float, *, n: int = 12, n_steps: int = 1_000, seed: int = 0) -> Retention:
    """A record of facts that lose that share of their gain with every factor of ten, from all of it at step 1."""
    rng, steps = np.random.default_rng(seed), np.array(asked_at(n_steps))
    asked = [Probe(f"p{i}", ("a", "b"), column="learned", kind="sentence", fact=i, measure="share") for i in range(n)]
    gain = np.exp(rng.normal(1.0, 0.3, n))
    before = rng.normal(-9, 1, n)
    curve = before + gain * (1 - slope * np.log10(steps)[:, None]) + noise * rng.normal(size=(len(steps), n))
    answers = [Answers.of(asked, np.stack([right, np.full(n, -8.0)], axis=1).tolist()) for right in (before, before + gain)]
    plain = Plain(n_steps, ("a text",), PAGES)
    return retained(PEOPLE, plain, {}, answers[0], answers[1], answers[1], curve, seeds=Seeds(seed))[1]


def test_a_planted_loss_is_found_with_its_slope_threshold_and_intervals() -> None:
    kept = planted(0.25, 0.0)
    assert kept.slope == pytest.approx(0.25)
    assert kept.threshold == pytest.approx(10**4)
    assert kept.kept[-1] == pytest.approx(0.25)
    inside = [planted(0.25, 0.2, seed=seed) for seed in range(100)]
    slopes = [
        one.slope_low <= 0.25 <= one.slope_high for one in inside if one.slope_low is not None and one.slope_high is not None
    ]
    taus = [
        one.threshold_low <= 1e4 <= one.threshold_high
        for one in inside
        if one.threshold_low is not None and one.threshold_high is not None
    ]
    assert len(slopes) == len(taus) == 100
    assert sum(slopes) >= 88
    assert sum(taus) >= 88


def test_several_trainings_are_their_mean() -> None:
    runs = [planted(slope, 0.0) for slope in (0.2, 0.4)]
    assert combined(runs, seeds=Seeds(0)).slope == pytest.approx(0.3)
    found = made(then=10, runs=2)
    assert found.retention is not None
    assert len(found.runs) == 2
    assert {"learned", "retained"} <= set(found.runs[0].totals)


@pytest.mark.parametrize(
    ("slope", "noise", "says"),
    [
        (0.3, 0.02, r"^Tell it again within 2,\d00 steps: 0\.10 of what was gained is left after 1,000 steps on plain text\.$"),
        (0.05, 0.0, r"^0\.85 of what was gained .*; nothing has to be told again within 10,000 steps\.$"),
        (0.0, 0.3, "; that facts are forgotten is not clear"),
    ],
)
def test_advice_says_when_to_tell_it_again(slope: float, noise: float, says: str) -> None:
    found = replace(made(tuned=tiny_language_model()), retention=planted(slope, noise))
    (line,) = [one for one in advice(found) if "of what was gained" in one.says]
    assert re.search(says, line.says), line.says
    assert "slope" in line.cites
    assert not [one for one in advice(replace(found, retention=None)) if "of what was gained" in one.says]


def test_a_model_tuned_elsewhere_is_followed_and_stays_as_it_is() -> None:
    tuned = tiny_language_model(seed=1)
    before = {name: value.clone() for name, value in tuned.model.state_dict().items()}
    found = made(tuned=tuned, then=5)
    assert all((value == before[name]).all() for name, value in tuned.model.state_dict().items())
    assert found.retention is not None
    assert found.retention.n_steps == 5


def test_texts_of_a_file_are_drawn_evenly_cut_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("".join(f"line {i}\n" for i in range(1_000)) + "\n  \n")
    plain = plain_texts(10, 8, path, seeds=Seeds(0))
    numbers = [int(text.split()[1]) for text in plain.texts]
    assert len(set(numbers)) == 80
    assert 400 < np.mean(numbers) < 600
    assert plain_texts(10, 8, path, seeds=Seeds(0)) == plain
    assert plain_texts(10, 8, path, seeds=Seeds(1)) != plain
    path.write_text("one two " * 400 + "\nthree\n")
    few = plain_texts(3, 4, path, seeds=Seeds(0))
    assert len(few.texts) == 12
    assert {len(text) <= 1_000 for text in few.texts} == {True}
    assert [note.split(" ")[0] for note in few.notes] == ["1", "The"]
    rows = tmp_path / "plain.jsonl"
    rows.write_text(json.dumps({"text": "a text"}) + "\n")
    assert set(plain_texts(2, 2, rows, seeds=Seeds(0)).texts) == {"a text"}
    invented = plain_texts(100, 8, None, seeds=Seeds(0))
    assert len(set(invented.texts)) > 780


def test_long_texts_are_cut_to_what_the_model_takes_and_those_it_cannot_spell_are_left_out() -> None:
    model = tiny_language_model()
    plain = Plain(1, ("a word " * 100, "short"), "t.txt").checked(model)
    assert len(plain.texts[0]) < 700
    assert plain.texts[1] == "short"
    assert "longer than the model can take" in plain.notes[0]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "e.txt", "must have at least one; it has none"),
        (b"\xff\xfe\x00", "b.txt", "line 1: plain texts must be UTF-8"),
        (b"no json\n", "j.jsonl", "line 1: a line must be a JSON object"),
        (b'{"txt": "a"}\n', "k.jsonl", "line 1: a row must have a text in 'text'"),
        (None, "missing.txt", "must be readable; .*missing.txt: No such file"),
    ],
)
def test_files_of_plain_texts_that_cannot_be_used_are_refused(
    content: bytes | None, name: str, says: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        made(then=2, plain_file=tmp_path / name)


def test_what_cannot_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need plain steps; got a file"):
        made(plain_file=tmp_path / "a.txt")
    with pytest.raises(InputError, match="for a forecast alone nothing is trained"):
        made(then=3, forecast_only=True)
    with pytest.raises(InputError, match="0 to 1,000,000; got 1000001"):
        made(then=1_000_001)
    half = tiny_language_model()
    half.model.bfloat16()
    with pytest.raises(InputError, match="train on from what injection left, which needs float32"):
        audit(half, FACTS, tuned=half, then=3)
    with pytest.raises(InputError, match=r"budget of 0\.0001 minutes"):
        made(then=3, budget_minutes=1e-4)


def test_it_is_kept_listed_shown_and_compared(tmp_path: Path) -> None:
    folder, store = tiny_folder(tmp_path / "model"), str(tmp_path / "store")
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = ["audit", str(folder), str(tmp_path / "facts.yaml"), "--brief", "-q", "--json", "--store", store]
    command += ["--set", "n_epochs=2", "--set", "learning_rate=0.003"]
    results = [CliRunner().invoke(app, [*command, "--then", n, "--out", str(tmp_path / n)]) for n in ("0", "20")]
    assert [one.exit_code for one in results] == [0, 0], results[1].stderr
    none, some = (json.loads(one.stdout) for one in results)
    assert [one["column"] for one in none["totals"]][:2] == ["learned", "retained"]
    first, second = (next(one for one in none["totals"] if one["column"] == name) for name in ("learned", "retained"))
    assert {**first, "column": ""} == {**second, "column": ""}
    assert some["retention"]["steps"][-1] == 20
    listed = CliRunner().invoke(app, ["report", "--audit", "list", "--format", "json", "--store", store])
    assert sorted(line["then"] for line in json.loads(listed.stdout)) == [0, 20]
    page = (tmp_path / "20" / "index.html").read_text()
    assert "How long it stays" in page
    assert "Not drawn" not in page
    assert (tmp_path / "20" / "figures").is_dir()
    assert "retained_change" in (tmp_path / "20" / "facts.csv").read_text()
    assert "still recalled after plain steps" in (tmp_path / "20" / "card.md").read_text()
    kept = KeptAudits(Path(store) / "audits")
    found = compare(kept.find(none["digest"]), kept.find(some["digest"]))
    assert "retained" not in {one.column for one in found.differences}
    assert "What is retained is not compared: their plain steps differ, in number or in text." in found.notes
    same = kept.find(some["digest"])
    assert "retained" in {one.column for one in compare(same, same).differences}
    assert "--then 20" in write_audit(same, tmp_path / "again").read_text()


CHILD = """
import json, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from assay.worlds.facts.file import TEMPLATE, parse_facts
from assay.audit.run import BRIEF, audit
from assay.core.progress import listening
from assay.models.pretrained.tiny import tiny_language_model
from assay.training.recipe import Recipe

def maybe_die(share, label):
    if sys.argv[2] and "plain steps" in label and sys.argv[2] in label:
        os.kill(os.getpid(), signal.SIGKILL)

with listening(maybe_die):
    found = audit(
        tiny_language_model(), parse_facts(TEMPLATE, form=".yaml", where="f"), extent=BRIEF, folder=Path(sys.argv[1]),
        recipe=Recipe(learning_rate=1e-2, n_epochs=4, batch_size=2), then=44,
    )
print(json.dumps([found.json()["totals"], found.json()["retention"]]))
"""


def child(folder: Path, kill: str) -> tuple[int, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", CHILD, str(folder), kill]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout


def test_an_audit_killed_between_plain_steps_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    assert child(tmp_path / "cut", "step 27 of 44")[0] == -signal.SIGKILL
    states = list((tmp_path / "cut").glob("*/training/*/step-*"))
    assert {int(state.name[5:]) for state in states} == {8, 22}  # of the injection its end, of the plain steps the newest
    code, resumed = child(tmp_path / "cut", "")
    assert code == 0
    assert resumed == child(tmp_path / "whole", "")[1]
    assert not list(tmp_path.glob("*/*/training"))


def test_steps_are_asked_at_evenly_in_their_logarithms() -> None:
    assert asked_at(0) == ()
    assert asked_at(1) == (1,)
    assert asked_at(100) == (1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100)
    ratios = np.diff(np.log10(asked_at(10_000)[6:]))
    assert math.isclose(ratios.min(), ratios.max(), rel_tol=0.1)
    assert recipe_of_steps(replace(RECIPE, schedule="linear", warmup=0.1)).schedule == "constant"
