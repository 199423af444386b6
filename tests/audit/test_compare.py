"""Two audits beside each other: paired over the questions that they share, by the numbers that their records give by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.columns import COLUMNS
from assay.audit.compare import compare
from assay.audit.record import Audit
from assay.audit.run import BRIEF, audit
from assay.cli.main import app
from assay.core.errors import InputError
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.report.from_store import report_atlas
from assay.stats.intervals import clustered_mean
from assay.store.store import Store
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=3e-3, n_epochs=1, batch_size=4)


@pytest.fixture(scope="module")
def two() -> tuple[Audit, Audit]:
    model = tiny_language_model()
    longer = replace(RECIPE, n_epochs=8)
    return audit(model, FACTS, recipe=RECIPE, extent=BRIEF), audit(model, FACTS, recipe=longer, extent=BRIEF)


def test_the_difference_is_what_the_records_give_by_hand(two: tuple[Audit, Audit]) -> None:
    first, second = two
    found = compare(first, second)
    assert {one.column for one in found.differences} == {total.column for total in first.totals}
    assert (found.n_shared, found.only_first, found.only_second) == (len(first.outcomes), 0, 0)
    by_name = {one.column: one for one in found.differences}
    learned = by_name["learned"]
    ours, theirs = ({row.subject: row.cells["learned"].change for row in one.rows if "learned" in row.cells} for one in two)
    hand = [[theirs[name] - ours[name]] for name in ours]
    interval = clustered_mean(hand, level=learned.level, rng=np.random.default_rng(0))
    assert learned.estimate == pytest.approx(interval.estimate)
    assert [learned.low, learned.high] == pytest.approx([max(-1, interval.low), min(1, interval.high)])
    assert learned.second - learned.first == pytest.approx(learned.estimate)
    assert learned.estimate > 0
    back = compare(second, first)
    assert [one.estimate for one in back.differences] == pytest.approx([-one.estimate for one in found.differences])
    assert any("Both were trained once" in note for note in found.notes)


def test_an_audit_differs_from_itself_in_nothing(two: tuple[Audit, Audit]) -> None:
    found = compare(two[0], two[0])
    assert all(one.estimate == 0 and not one.clear for one in found.differences)
    assert {one.says for one in found.differences} == {"not clear"}


def test_trainings_of_both_sides_widen_the_interval() -> None:
    model = tiny_language_model()
    once = compare(*(audit(model, FACTS, recipe=RECIPE, extent=BRIEF, seed=0) for _ in range(2)))
    several = [audit(model, FACTS, recipe=replace(RECIPE, batch_size=size), extent=BRIEF, runs=3) for size in (1, 2)]
    found = compare(*several)
    assert {one.low for one in once.differences if one.low is not None} == {0.0}
    assert all(one.high > one.low for one in found.differences if one.low is not None and one.high is not None)
    assert (found.first.n_runs, found.second.n_runs) == (3, 3)
    assert not any("trained once" in note for note in found.notes)


def test_only_what_both_asked_is_compared(two: tuple[Audit, Audit]) -> None:
    part = audit(tiny_language_model(), FACTS, recipe=RECIPE, extent=replace(BRIEF, n_strangers=1, n_contexts=2))
    found = compare(part, two[0])
    assert 0 < found.n_shared < len(two[0].outcomes)
    assert found.only_second == len(two[0].outcomes) - found.n_shared


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"facts_digest": "other", "facts_name": "edits"}, r"must be of one file; got 'facts' \(.*\) and 'edits' \(other\)"),
        ({"outcomes": ()}, "is a forecast alone"),
    ],
)
def test_what_cannot_be_compared_says_why(two: tuple[Audit, Audit], change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        compare(two[0], replace(two[1], **change))


def test_the_command_compares_kept_audits_and_the_atlas_shows_them(tmp_path: Path) -> None:
    folder, store = tiny_folder(tmp_path / "model"), tmp_path / "store"
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = ["audit", str(folder), str(tmp_path / "facts.yaml"), "--brief", "-q", "--json", "--store", str(store)]
    command += ["--then", "0"]
    digests = []
    for epochs, more in ((1, ["--out", str(tmp_path / "page")]), (3, [])):
        done = CliRunner().invoke(app, [*command, "--set", f"n_epochs={epochs}", *more])
        assert done.exit_code == 0, done.stderr
        digests.append(json.loads(done.stdout)["digest"])
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "page"), digests[1][:8], "--store", str(store), "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [found["first"]["digest"], found["second"]["digest"]] == digests
    assert {one["column"] for one in found["differences"]} == set(COLUMNS)
    shown = CliRunner().invoke(app, ["compare", *digests, "--store", str(store)])
    assert "questions shared" in shown.stderr
    assert "neutral_text" in shown.stdout
    with Store.open(store) as opened:
        atlas = report_atlas([], opened, tmp_path / "reports", audits=store / "audits").read_text()
        assert f"assay report --audit {digests[0]}" in atlas
        assert "trained sentences recalled" in atlas
        CliRunner().invoke(app, ["report", "--audit", digests[0], "--store", str(store), "--out", str(tmp_path / "reports")])
        atlas = report_atlas([], opened, tmp_path / "reports", audits=store / "audits").read_text()
    assert f'href="audit-{digests[0]}/index.html"' in atlas
    assert f"assay report --audit {digests[0]}" not in atlas
