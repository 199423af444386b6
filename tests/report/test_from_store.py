"""From the store to the page: the rows that are stored, the command that made them, and nothing else."""

import dataclasses
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from assay.claims.study import Study
from assay.core.errors import StoreError, UsageError
from assay.core.settings import resolve
from assay.report.from_store import gather, report_atlas, report_study
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored
from assay.store.store import Store, run_address


@pytest.fixture
def study(synthetic: Any) -> Study:
    """The synthetic study with one figure, so that its pages are quick to make."""
    symbolic = dataclasses.replace(synthetic.SYMBOLIC, figures=synthetic.FIGURES[3:4])
    found: Study = dataclasses.replace(synthetic.STUDY, experiments=(symbolic, synthetic.DEPTH))
    return found


def run(study: Study, folder: Path, **asked: Any) -> None:
    with Store.open(folder) as store:
        selected = Selection(study, asked.pop("experiments"), overrides=asked.pop("overrides", ()))
        execute(plan(selected, store, **asked), store, executor=executor("local"))


def test_a_page_and_the_atlas_are_written_from_stored_rows(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path / "store", experiments=["symbolic"])
    with Store.open(tmp_path / "store", read_only=True) as store:
        page = report_study(Selection(study), store, tmp_path / "out")
        (judged,) = judge_stored(Selection(study), store)
        atlas = report_atlas([study], store, tmp_path / "out")
        again = report_study(Selection(study), store, tmp_path / "again")
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "out" / study.slug / "index.html"
    assert "4 supported, 1 not-reproduced, 1 inconclusive, 1 void, 1 not run of 8 claims." in text
    assert "assay run recall-of-hidden-pairs --experiment symbolic --preset laptop --runs 10" in text
    assert "cpu_class" in text
    drawn = (page.parent / "figures" / "symbolic" / "rank-threshold.csv").read_text().splitlines()
    assert drawn[0] == "init,d_head,accuracy,low,high,n_runs"
    assert len(drawn) == 9
    assert all(line.endswith(",10") for line in drawn[1:])
    assert again.read_text(encoding="utf-8") == text
    assert "4 supported" in atlas.read_text(encoding="utf-8")
    assert 'href="recall-of-hidden-pairs/index.html"' in atlas.read_text(encoding="utf-8")
    wanted = {"supported", "not-reproduced", "inconclusive", "void", "not-asked"}
    assert {verdict.verdict for verdict in judged.verdicts} == wanted


def test_the_command_makes_these_very_runs(study: Study, tmp_path: Path) -> None:
    overrides = ["decay=0.25", "d_heads=3,8"]
    for seed, n_runs in ((0, 2), (7, 3)):
        run(study, tmp_path / "store", experiments=["symbolic"], overrides=overrides, seed=seed, n_runs=n_runs)
    with Store.open(tmp_path / "store", read_only=True) as store:
        (judged,) = judge_stored(Selection(study, experiments=["symbolic"], overrides=overrides), store)
        (data,) = gather(study, store, judged)
        stored = {stored.seed: stored.run_id for stored in judged.runs["symbolic"]}
    assert data.custom
    for part, (first, count) in zip(data.command.split(" && "), ((0, 2), (7, 3)), strict=True):
        words = shlex.split(part)
        assert words[:6] == ["assay", "run", study.slug, "--experiment", "symbolic", "--preset"]
        given = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        assert resolve(study.experiment("symbolic").preset("laptop").settings, given, where="") == [
            judged.cells["symbolic"].settings
        ]
        named = {word: int(words[i + 1]) for i, word in enumerate(words) if word in ("--runs", "--seed")}
        assert (named.get("--seed", 0), named["--runs"]) == (first, count)
    assert sorted(stored) == [0, 1, 7, 8, 9]
    assert {row["run"] for row in data.tables["widths"]} == set(stored)


def test_a_grid_needs_a_choice(study: Study, tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "store", read_only=True) as store,
        pytest.raises(UsageError, match="a study's page shows one settings value; got a grid of 2"),
    ):
        report_study(Selection(study, experiments=["symbolic"], overrides=["decay=0,1"]), store, tmp_path)


def test_without_rows_everything_is_not_run(study: Study, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", read_only=True) as store:
        page = report_study(Selection(study), store, tmp_path / "out")
        atlas = report_atlas([study], store, tmp_path / "out")
    assert "8 not run of 8 claims." in page.read_text(encoding="utf-8")
    assert "assay run recall-of-hidden-pairs" in atlas.read_text(encoding="utf-8")


def test_a_damaged_table_is_named_and_no_page_is_written(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path / "store", experiments=["symbolic"], n_runs=2)
    connection = sqlite3.connect(tmp_path / "store" / "store.sqlite3", isolation_level=None)
    connection.execute("UPDATE artefacts SET data = x'00'")
    connection.close()
    with Store.open(tmp_path / "store", read_only=True) as store, pytest.raises(StoreError, match="was altered"):
        report_study(Selection(study), store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_of_other_sources_are_counted_and_not_judged(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path / "store", experiments=["symbolic"], n_runs=3)
    with Store.open(tmp_path / "store") as store:
        (stored,) = store.runs(study.slug, experiment="symbolic")[:1]
        others = [dataclasses.replace(stored, fingerprint="0" * 16, seed=seed) for seed in range(50, 52)]
        for old in others:
            address = run_address(old.study, old.version, old.experiment, old.settings_digest, old.seed, old.fingerprint)
            store.add(dataclasses.replace(old, run_id=address, tables={}), {})
        text = report_study(Selection(study), store, tmp_path / "out").read_text(encoding="utf-8")
        store.remove(run.run_id for run in store.runs(study.slug) if run.fingerprint != "0" * 16)
        bare = report_study(Selection(study), store, tmp_path / "out").read_text(encoding="utf-8")
        atlas = report_atlas([study], store, tmp_path / "out").read_text(encoding="utf-8")
    assert "2 stored runs were made by other code" in text
    assert "<li>3 runs</li>" in text
    assert "2 stored runs were made by other code" in bare
    assert "8 not run of 8 claims." in bare
    assert "<figure" not in bare
    assert "2 stale runs" in atlas


def test_the_page_shows_the_whole_study_whatever_was_named(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path / "store", experiments=["symbolic", "depth"], n_runs=3)
    run(study, tmp_path / "store", experiments=["symbolic"], overrides=["decay=0.5"], n_runs=2)
    with Store.open(tmp_path / "store", read_only=True) as store:
        whole = report_study(Selection(study), store, tmp_path / "a").read_text(encoding="utf-8")
        named = report_study(Selection(study, ["depth"]), store, tmp_path / "b").read_text(encoding="utf-8")
        changed = Selection(study, ["symbolic"], overrides=["decay=0.5"])
        other = report_study(changed, store, tmp_path / "c").read_text(encoding="utf-8")
        atlas = report_atlas([study], store, tmp_path / "c").read_text(encoding="utf-8")
    assert whole == named
    assert "also stored: 2 runs at decay=0.5" in whole  # mentioned, not denied
    assert "also symbolic: 2 runs at decay=0.5" in atlas
    assert "also stored: 3 runs of the laptop preset</li>" in other
    assert "laptop preset, changed" in other
    assert 'id="experiment-depth-1"' in other


def test_a_printed_command_names_the_store_unless_it_is_the_default(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(study, tmp_path / "store", experiments=["symbolic"], n_runs=2)
    with Store.open(tmp_path / "store", read_only=True) as store:
        (judged,) = judge_stored(Selection(study, ["symbolic"]), store)
        (elsewhere,) = gather(study, store, judged)
        monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "store"))
        (default,) = gather(study, store, judged)
        text = report_study(Selection(study), store, tmp_path / "out").read_text(encoding="utf-8")
    assert elsewhere.command == f"{default.command} --store {tmp_path / 'store'}"
    assert "--store" not in text
    assert shlex.split(default.command)[:3] == ["assay", "run", study.slug]
    assert "assay run recall-of-hidden-pairs --experiment depth --preset laptop" in text  # of what was not run, too


def test_commands_use_two_cores_where_another_process_finds_the_study(tmp_path: Path) -> None:
    from assay.runner.discovery import find

    found = find("off-switch-game")
    with Store.open(tmp_path / "store", read_only=True) as store:
        (judged,) = judge_stored(Selection(found), store)
        data = gather(found, store, judged)
    assert all(" --on processes" in item.command for item in data)
