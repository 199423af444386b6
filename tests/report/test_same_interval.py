"""The same rows have the same interval everywhere: terminal, JSON, page and atlas, whichever experiments a command names."""

import dataclasses
import json
import re
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.claims.paper import Headline
from assay.claims.rules import Above
from assay.claims.study import Study
from assay.cli.main import app
from assay.report.found import number_text
from assay.report.numbers import interval_text
from assay.runner import discovery
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored
from assay.store.store import Store

SETS = ("n_facts=7",)


@pytest.fixture
def study(synthetic: Any) -> Study:
    """Two experiments of one family, three claims and one that stays open; each is the first that tests a headline."""
    symbolic = dataclasses.replace(synthetic.SYMBOLIC, figures=(), claims=synthetic.CLAIMS[:3])
    depth = dataclasses.replace(synthetic.DEPTH, figures=(), claims=(dataclasses.replace(synthetic.DEEPER, rule=Above(0.7)),))
    headlines = tuple(Headline(f"Headline {name}.", claims=(name,)) for name in ("C1", "C2", "C3", "B1"))
    found: Study = dataclasses.replace(
        synthetic.STUDY, experiments=(symbolic, depth), paper=dataclasses.replace(synthetic.STUDY.paper, headlines=headlines)
    )
    return found


@pytest.fixture
def stored(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with runs of both experiments, and of one at other settings; the only study there is."""
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        for names, sets, n_runs in ((["symbolic"], (), 5), (["depth"], (), 4), (["symbolic"], SETS, 3)):
            execute(plan(Selection(study, names, overrides=sets), store, n_runs=n_runs), store, executor=executor("local"))
    catalogue = discovery.Catalogue({study.slug: study}, {}, {})
    monkeypatch.setattr(discovery, "studies", lambda: catalogue)
    monkeypatch.setattr(discovery, "find", lambda slug: study)
    monkeypatch.setenv("ASSAY_STORE", str(folder))
    return folder


def said(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


SUBSETS = [tuple(some) for some in chain.from_iterable(combinations(("symbolic", "depth"), n) for n in (0, 1, 2))]


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda some: "+".join(some) or "all")
def test_terminal_json_page_and_atlas_show_the_same_interval(
    subset: tuple[str, ...], study: Study, stored: Path, tmp_path: Path
) -> None:
    with Store.open(stored, read_only=True) as store:
        (judged,) = judge_stored(Selection(study), store)
    names = [option for name in subset for option in ("-e", name)]
    records = json.loads(said("judge", study.slug, *names, "--json"))
    terminal = " ".join(said("judge", study.slug, *names).split())
    said("report", study.slug, *names, "--out", str(tmp_path / "out"), "--stamp", "2026-01-01")
    page = (tmp_path / "out" / study.slug / "index.html").read_text(encoding="utf-8")
    atlas = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    chosen = subset or ("symbolic", "depth")
    assert [record["claim"] for record in records] == [one.claim for one in judged.verdicts if one.experiment in chosen]
    by_claim = {record["claim"]: record for record in records}
    for one in judged.verdicts:
        assert number_text(one) in page  # the page shows the whole study, whatever was named
        assert number_text(one) in atlas
        if one.experiment in chosen:
            record = by_claim[one.claim]
            assert [record[name] for name in ("estimate", "low", "high", "level")] == [
                one.estimate,
                one.low,
                one.high,
                one.level,
            ]
            assert " ".join(interval_text(one.estimate, one.low, one.high)) in terminal


def test_a_claim_open_or_decided_elsewhere_moves_the_level_the_same_way_for_all(study: Study, stored: Path) -> None:
    """What the test above holds is not empty: without the other experiment's rows the level of an open claim is another one."""
    with Store.open(stored) as store:
        (whole,) = judge_stored(Selection(study, ["depth"]), store)
        store.remove(run.run_id for run in store.runs(study.slug, experiment="symbolic"))
        (alone,) = judge_stored(Selection(study, ["depth"]), store)
    assert whole.verdicts[0].level != alone.verdicts[0].level


def test_other_settings_of_one_experiment_leave_the_others_where_they_are(study: Study, stored: Path) -> None:
    with Store.open(stored, read_only=True) as store:
        (plain,) = judge_stored(Selection(study), store)
        (changed,) = judge_stored(Selection(study, overrides=[f"symbolic.{SETS[0]}"]), store)
        (alone,) = judge_stored(Selection(study, ["symbolic"], overrides=SETS), store)
    assert [one for one in changed.verdicts if one.experiment == "depth"] == [
        one for one in plain.verdicts if one.experiment == "depth"
    ]
    own = [one for one in changed.verdicts if one.experiment == "symbolic"]
    assert own == alone.verdicts
    assert {one.n_runs for one in own} == {3}


def test_pages_are_the_same_for_equal_rows_and_stamp(study: Study, stored: Path, tmp_path: Path) -> None:
    pages = []
    for name, stamp in (("a", "2026-01-01"), ("b", "2026-01-01"), ("c", "2026-01-02")):
        said("report", study.slug, "--out", str(tmp_path / name), "--stamp", stamp)
        texts = [(tmp_path / name / path).read_bytes() for path in ("index.html", f"{study.slug}/index.html")]
        pages.append(b"".join(texts))
        assert texts[1].count(f"on {stamp}.".encode()) == 1
    assert pages[0] == pages[1] != pages[2]
    assert re.search(rb"code [0-9a-f]{16}", pages[0])
