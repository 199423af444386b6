"""A grid of settings is a table and figures over what was swept; settings are told by name and value."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from assay.claims.study import Study
from assay.core.errors import UsageError
from assay.report.found import number_text
from assay.report.from_store import report_grid, seen, write_study
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored
from assay.store.store import Store


@pytest.fixture
def study(synthetic: Any) -> Study:
    arm = dataclasses.replace(synthetic.SYMBOLIC, figures=synthetic.FIGURES[3:5], claims=synthetic.CLAIMS[:2])
    found: Study = dataclasses.replace(synthetic.STUDY, experiments=(arm,))
    return found


def test_a_grid_has_a_table_and_a_figure_over_the_swept_setting(study: Study, tmp_path: Path) -> None:
    grid = Selection(study, overrides=["decay=0,0.03,1"])
    with Store.open(tmp_path / "store") as store:
        execute(plan(Selection(study, overrides=["decay=0,0.03"]), store, n_runs=4), store, executor=executor("local"))
        judged = judge_stored(grid, store)
        page = report_grid(grid, store, tmp_path / "out", created="2026-01-01")
        with pytest.raises(UsageError, match="a setting with several values"):
            report_grid(Selection(study), store, tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "out" / study.slug / "grid-decay.html"
    for at in ("decay=0.0", "decay=0.03", "decay=1.0"):
        assert f">{at}<br>" in text
    assert not any(cell.settings_digest[:8] in text for point in judged for cell in point.cells.values())
    for point in judged[:2]:
        for verdict in point.verdicts:
            assert number_text(verdict) in text
    assert text.count("not run") == 2  # two claims at the third value
    rows = (page.parent / "grid" / "c1.csv").read_text().splitlines()
    assert rows[0] == "decay,estimate,low,high,n_runs,verdict"
    assert [row.split(",")[0] for row in rows[1:]] == ["0.0", "0.03"]
    assert "1 point has no number and is not drawn." in text
    assert (page.parent / "grid" / "c1.svg").is_file()


def test_two_swept_settings_stand_point_by_point(study: Study, tmp_path: Path) -> None:
    grid = Selection(study, overrides=["decay=0,1", "n_facts=4,8"])
    with Store.open(tmp_path / "store") as store:
        execute(plan(grid, store, n_runs=2), store, executor=executor("local"))
        page = report_grid(grid, store, tmp_path / "out")
    assert page.name == "grid-n_facts-decay.html"
    text = page.read_text(encoding="utf-8")
    assert ">n_facts=4 decay=0.0<br>" in text
    assert ">n_facts=8 decay=1.0<br>" in text
    assert "Points: 1, n_facts=4 decay=0.0; 2, n_facts=8 decay=0.0; 3, n_facts=4 decay=1.0; 4, n_facts=8 decay=1.0." in text


def test_a_report_says_what_was_seen_and_that_few_runs_decide_nothing(study: Study, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        execute(plan(Selection(study), store, n_runs=2), store, executor=executor("local"))
        few = seen(write_study(Selection(study), store, tmp_path / "out"))
        execute(plan(Selection(study), store), store, executor=executor("local"))
        all_of_them = seen(write_study(Selection(study), store, tmp_path / "out"))
    assert few[0] == "symbolic, 2 of 10 runs: shows, does not decide"
    assert all_of_them[0] == "symbolic, 10 of 10 runs: 2 supported"
    assert few[1] == "  Three dimensions are too few"
    assert few[2].startswith("    accuracy – 3: gaussian 0.")
    assert not any("void" in line for line in few)
