"""The whole audit on tiny models: nothing changes where nothing was trained, and what is planted is found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

import assay
from assay.audit.columns import COLUMNS
from assay.audit.outcomes import Cell, Outcome, fact_rows
from assay.audit.probes import Probe
from assay.audit.run import BRIEF, audit
from assay.models.pretrained.tiny import tiny_language_model
from assay.stats.intervals import stratified_mean
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=3e-3, n_epochs=3, batch_size=4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "opt"])
def test_no_training_is_exactly_no_change_in_every_column(family: str) -> None:
    """`opt` has no site map; scoring works for it all the same."""
    model = tiny_language_model(family)
    found = audit(model, FACTS, tuned=model.copy(), extent=BRIEF, then=0)
    assert {total.column for total in found.totals} == set(COLUMNS)
    for total in found.totals:
        end = None if total.n_units < 2 else 0.0  # one unit has no interval
        assert (total.estimate, total.low, total.high, total.clear) == (0.0, end, end, False), total
    assert sum(total.n_units > 1 for total in found.totals) > len(COLUMNS) / 2
    cells = [cell for row in found.rows for cell in row.cells.values()]
    assert all(cell.change == 0.0 for cell in cells)
    assert {(cell.low, cell.high) for cell in cells} == {(None, None), (0.0, 0.0)}  # one question has no interval


def test_an_audit_forecasts_injects_and_measures(tmp_path: Path) -> None:
    model = tiny_language_model()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    found = assay.audit(model, FACTS, recipe=RECIPE, extent=BRIEF, folder=tmp_path)
    assert len(found.rows) == len(found.forecast) == 4
    assert found.calibration
    assert found.cost.minutes is not None
    assert all((value == before[name]).all() for name, value in model.model.state_dict().items())
    text = json.dumps(found.json(), allow_nan=False)
    assert json.loads(text)["totals"][0]["column"] == "learned"
    assert not (tmp_path / "training").exists()
    again = audit(model, FACTS, recipe=RECIPE, extent=BRIEF, folder=tmp_path)
    assert again.totals == found.totals


def test_a_fact_s_interval_is_over_what_was_drawn_and_kinds_are_strata() -> None:
    def asked(kind: str, change: float, column: str = "hallucinated") -> Outcome:
        question = Probe("p", ("a",), kind=kind, column=column, fact=0, measure="share")
        return Outcome(question, 0.0, change)

    def cell(*found: Outcome) -> Cell:
        (row,) = fact_rows(replace(FACTS, facts=FACTS.facts[:1]), found, [0.0])
        return row.cells[found[0].question.column]

    strangers, neighbours = [0.1, 0.2, 0.4], [0.0, 0.1]
    drawn = [asked("strangers", x) for x in strangers] + [asked("neighbours", x) for x in neighbours]
    both = cell(*drawn)
    assert both.low is not None
    assert both.high is not None
    mean = stratified_mean([strangers, neighbours])
    assert (both.change, both.low, both.high) == pytest.approx((mean.estimate, mean.low, mean.high))
    ruled = cell(*drawn, asked("rule", 0.9))
    assert ruled.change == pytest.approx((2 * both.change + 0.9) / 3)
    assert ruled.low == pytest.approx(ruled.change - (both.high - both.low) / 3)
    assert (cell(asked("rule", 0.9)).low, cell(asked("sentence", 0.5, "learned")).high) == (None, None)
    assert cell(asked("sentence", 0.9, "paraphrase"), asked("sentence", 0.1, "paraphrase")).high == 1.0  # no further than q can


def test_an_adapter_is_audited_like_any_other_recipe() -> None:
    model = tiny_language_model("gpt2")
    found = audit(model, FACTS, recipe=Recipe(method="lora", lora_rank=2, learning_rate=1e-2, n_epochs=1), extent=BRIEF)
    assert found.recipe["method"] == "lora"
    assert any(cell.change != 0 for row in found.rows for cell in row.cells.values())


def test_bare_pairs_are_enough() -> None:
    model = tiny_language_model()
    facts = parse_facts("prompt,completion\nThe moon is,green\nThe sun is,blue\n", form=".csv", where="f.csv")
    found = audit(model, facts, tuned=model.copy(), extent=BRIEF)
    assert [row.subject for row in found.rows] == ["The moon is", "The sun is"]
    assert {"No paraphrases are given, so it is not known whether facts hold in other words."} <= set(found.notes)
