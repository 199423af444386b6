"""The counted runs that ship with the source are those of today's code, and pass what a study must pass to be judged.

A row whose code has changed since is mended by running it anew; where that has to wait, the log page of its study names it:
a line that begins with "Stale reference rows:" and holds the experiments in backquotes.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.core.settings import canonical_json
from assay.runner.check import null_outcomes, same_numbers
from assay.runner.discovery import studies
from assay.runner.fingerprint import fingerprint
from assay.runner.plan import Selection
from assay.runner.run import Judged, judge_stored
from assay.stats.sequential import planned_looks
from assay.store.exchange import import_runs, reference_files
from assay.store.store import Store

ROOT = Path(__file__).parents[2]
FILES = {path.name.removesuffix(".tar.xz"): path for path in reference_files()}
LARGEST = 20 * 2**20  # bytes of all files together
JUDGED = pytest.mark.parametrize("slug", FILES)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("reference")) as opened:
        for path in FILES.values():
            import_runs(opened, path)
        yield opened


def left_stale(slug: str) -> set[str]:
    """The experiments whose stale rows the study's log page names as left."""
    text = (ROOT / "docs" / "log" / f"{slug}.md").read_text()
    return {name for line in re.findall(r"^Stale reference rows: (.*)$", text, re.M) for name in re.findall(r"`([^`]+)`", line)}


def judged_of(slug: str, reference: Store) -> Judged:
    (judged,) = judge_stored(Selection(studies().studies[slug]), reference)
    return judged


def test_the_files_are_few_bytes_and_of_installed_studies() -> None:
    assert sum(path.stat().st_size for path in FILES.values()) <= LARGEST
    assert FILES.keys() <= studies().studies.keys()


@JUDGED
def test_no_reference_row_is_stale_unless_the_log_says_so(slug: str, reference: Store) -> None:
    study = studies().studies[slug]
    stale, current = set[str](), set[str]()
    for run in reference.runs(slug):
        name, _, part = run.experiment.partition("/")
        known = name in {experiment.name for experiment in study.experiments}
        ours = known and run.fingerprint == fingerprint(study, name, part)
        (current if ours else stale).add(run.experiment)
    assert stale == left_stale(slug), "run these anew, export them to reference/, or name them in the log page as left"
    assert current or stale


@JUDGED
def test_counted_runs_had_the_settings_of_today(slug: str, reference: Store) -> None:
    """A protocol is frozen with its first counted run: what the laptop preset says is what was run."""
    study, left = studies().studies[slug], left_stale(slug)
    for run in reference.runs(slug):
        if run.experiment not in left:
            settings = study.experiment(run.experiment.partition("/")[0]).preset("laptop").settings
            assert json.loads(canonical_json(settings)) == run.settings, run.experiment


@JUDGED
def test_each_reference_experiment_has_the_runs_of_its_plan(slug: str, reference: Store) -> None:
    judged = judged_of(slug, reference)
    for name, runs in judged.runs.items():
        looks = planned_looks(judged.looks[name]) if judged.looks.get(name) else ()
        assert len(runs) in (0, judged.cells[name].experiment.preset("laptop").n_runs, *looks), name
    assert any(judged.runs.values())
    assert not [found.exact.name for found in judged.exact if found.verdict == "fails"]


@JUDGED
def test_findings_are_several_numbers(slug: str, reference: Store) -> None:
    assert not same_numbers(studies().studies[slug], judged_of(slug, reference).rows)


@JUDGED
def test_no_finding_is_passed_by_a_null_unsaid(slug: str, reference: Store) -> None:
    judged = judged_of(slug, reference)
    cells = [judged.cells[name] for name, runs in judged.runs.items() if runs]
    assert not [outcome for outcome in null_outcomes(studies().studies[slug], reference, cells) if outcome.refused]
