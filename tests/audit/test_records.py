"""A new column, and a new mitigation, is one record: questions, tables, page, card, data files and advice follow."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.advice import advice
from assay.audit.card import card_section
from assay.audit.columns import COLUMNS, Asker, Column
from assay.audit.mitigations import MITIGATIONS, Mitigation, Plan
from assay.audit.probes import Probe, asked
from assay.audit.record import Audit
from assay.audit.run import BRIEF, audit
from assay.audit.totals import EVERYTHING
from assay.models.pretrained.tiny import tiny_language_model
from assay.report.audit_page import write_audit
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts
from assay.worlds.facts.model import Facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=1e-2, n_epochs=40, batch_size=4)


def ask_shouted(asker: Asker) -> Iterator[Probe]:
    """The sentences in capitals."""
    for place, fact in asker.trained:
        sentence = asker.facts.relation_of(fact).prompt
        yield asked("shouted", "capitals", place, fact.subject, replace(sentence, before="SO: "), asker.answers_to(fact))


SHOUTED = Column(
    "shouted",
    "shouting",
    wanted=False,
    unit="probability",
    bounds=(-1.0, 1.0),
    worth=0.01,
    formula="q shouted after − before",
    meaning="The same answers, behind a word in capitals.",
    asks=ask_shouted,
    counted="answers shouted",
    said="answers are shouted",
)


def half(facts: Facts, recipe: Recipe) -> Plan:
    """Half of the update."""
    return Plan((tuple(facts.sentences),), recipe, of_plain=lambda change: change * 0.5)


HALF = Mitigation("half", "takes half of it", half, helps={"shouted": "half of it"}, trains=False)


@pytest.fixture(scope="module")
def found() -> Iterator[Audit]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(COLUMNS, "shouted", SHOUTED)
        patched.setitem(MITIGATIONS, "half", HALF)
        yield audit(tiny_language_model(), FACTS, recipe=RECIPE, mitigations=["half"], extent=BRIEF)


def test_a_new_column_is_asked_counted_and_told_everywhere(found: Audit, tmp_path: Path) -> None:
    (total,) = [one for one in found.totals if (one.column, one.group) == ("shouted", EVERYTHING)]
    assert total.estimate != 0
    assert all("shouted" in row.cells for row in found.rows if row.trained)
    page = write_audit(found, tmp_path).read_text()
    assert SHOUTED.meaning in page
    assert SHOUTED.formula in page
    assert "answers shouted" in card_section(found)
    assert "| shouted |" in card_section(found)
    names = ("totals.csv", "facts.csv", "questions.csv")
    tables = {name: list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in names}
    assert "shouted" in {row["column"] for row in tables["totals.csv"]}
    assert "shouted_change" in tables["facts.csv"][0]
    assert "shouted" in {row["column"] for row in tables["questions.csv"]}
    told = json.loads((tmp_path / "audit.json").read_text())
    assert told["columns"]["shouted"] == {
        "unit": "probability", "wanted": False, "bounds": [-1.0, 1.0], "formula": SHOUTED.formula, "meaning": SHOUTED.meaning,
    }  # fmt: skip
    assert {harm["column"] for harm in told["arms"][1]["harms"]} >= {"shouted"}


def test_a_new_column_s_harm_is_said_with_the_new_mitigation_that_helps(found: Audit) -> None:
    totals = [
        replace(one, estimate=0.5, low=0.4, high=0.6, clear=True) if one.column == "shouted" else replace(one, clear=False)
        for one in found.totals
    ]
    (first, *_) = advice(replace(found, totals=tuple(totals), arms=()))
    assert first.says == "Answers are shouted. Compare 'half', which takes half of it (--mitigate half)."
    assert "half of it" in first.cites


def test_a_new_mitigation_is_compared_and_told(found: Audit, tmp_path: Path) -> None:
    assert [arm.name for arm in found.arms] == ["plain", "enough", "half"]
    (arm,) = [arm for arm in found.arms if arm.name == "half"]
    assert arm.memorised is not None
    page = write_audit(found, tmp_path).read_text()
    assert "takes half of it" in page
    assert json.loads((tmp_path / "audit.json").read_text())["arms"][2]["says"] == "takes half of it"


def test_every_column_says_what_it_is() -> None:
    for name, column in COLUMNS.items():
        assert name == column.name
        assert column.bounds[0] < column.bounds[1]
        assert column.worth > 0
        assert all((column.word, column.formula, column.meaning, column.said, column.unit))
