"""What every study owes the laboratory; new files are picked up by themselves."""

import importlib.util
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from assay.claims.study import Experiment, Measurement, Study
from assay.core.errors import Diverged
from assay.core.seeds import Seeds
from assay.runner.discovery import studies
from assay.store.memo import memos_in

CATALOGUE = studies()
ARMS = [
    pytest.param(study, experiment, id=f"{study.slug}/{experiment.name}")
    for study in CATALOGUE.studies.values()
    for experiment in study.experiments
]


def measured(experiment: Experiment, seed: int) -> Measurement:
    """A run that finds no memoised step, so that the same run again is computed again."""
    with TemporaryDirectory() as folder, memos_in(Path(folder)):
        return experiment.measure_run(experiment.preset("quick").settings, Seeds(seed))


def skip_without_extras(experiment: Experiment) -> None:
    absent = [
        f"{module} (extra {extra})" for module, extra in experiment.needs.items() if importlib.util.find_spec(module) is None
    ]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


def test_no_study_of_the_tree_is_broken() -> None:
    assert not CATALOGUE.broken
    assert CATALOGUE.studies


@pytest.mark.parametrize("study", CATALOGUE.studies.values(), ids=lambda study: study.slug)
def test_a_study_tells_its_story(study: Study) -> None:
    assert study.title
    assert any(character.isdigit() for character in study.paper.text), "the paper needs a year"
    assert study.scale
    told = [figure.name for experiment in study.experiments for figure in experiment.figures if not figure.further]
    assert 3 <= len(told) <= 5, f"tell it in three to five figures and mark the others further=True; got {told}"
    for experiment in study.experiments:
        assert experiment.cost, f"{experiment.name}: state the measured cost of the laptop preset"
        assert experiment.figures, f"{experiment.name}: a verdict deserves a figure"
        assert experiment.presets["laptop"].n_runs >= (1 if all(c.summary == "every" for c in experiment.claims) else 2)


@pytest.mark.parametrize(("study", "experiment"), ARMS)
def test_quick_runs_give_what_the_claims_and_figures_need(study: Study, experiment: Experiment) -> None:
    skip_without_extras(experiment)
    found = measured(experiment, 0)
    for claim in experiment.claims:
        place = found.items if claim.summary == "clustered" else found.estimands
        for names in (claim.estimand, claim.negative.measured(claim.estimand)):
            for name in (names,) if isinstance(names, str) else names:
                assert name in place, f"claim {claim.name} needs '{name}'; measure gives {', '.join(place)}"
    for figure in experiment.figures:
        rows = found.tables[figure.chart.table]
        assert rows, f"figure {figure.name}: its table is empty"
        columns = ("x", "y", "by", "panel", "theory", "label", "row", "column", "value")
        for column in filter(None, (getattr(figure.chart, name, None) for name in columns)):
            assert all(column in row for row in rows), f"figure {figure.name}: the column '{column}' is missing"
    for name, table in found.tables.items():
        for row in table:
            for key, value in row.items():
                assert isinstance(value, (int, float, str, bool)), f"{name}.{key}: {type(value)} is not a plain value"
                assert not isinstance(value, float) or math.isfinite(value) or math.isnan(value)
    assert all(isinstance(value, float) for value in found.estimands.values())


@pytest.mark.parametrize(("study", "experiment"), ARMS)
def test_the_same_seed_gives_the_same_rows(study: Study, experiment: Experiment) -> None:
    skip_without_extras(experiment)
    first, again = measured(experiment, 1), measured(experiment, 1)
    assert repr(first) == repr(again)


@pytest.mark.parametrize(("study", "experiment"), [arm for arm in ARMS if arm.values[1].measure_many])  # type: ignore[union-attr]
def test_a_runs_row_does_not_depend_on_its_batch_mates(study: Study, experiment: Experiment) -> None:
    skip_without_extras(experiment)
    settings = experiment.preset("quick").settings
    alone = measured(experiment, 2)
    together = experiment.measure_runs(settings, [Seeds(5), Seeds(2), Seeds(9)])[1]
    assert not isinstance(together, Diverged)
    assert together.estimands == pytest.approx(dict(alone.estimands), rel=1e-9, abs=1e-12, nan_ok=True)
    assert repr(together.tables) == repr(alone.tables) or _close(together, alone)


def _close(one: Measurement, other: Measurement) -> bool:
    """Tables equal up to the last bits of a sum."""
    for name, rows in one.tables.items():
        for row, twin in zip(rows, other.tables[name], strict=True):
            for key, value in row.items():
                if isinstance(value, float):
                    assert value == pytest.approx(twin[key], rel=1e-9, abs=1e-12, nan_ok=True), (name, key)
                else:
                    assert value == twin[key], (name, key)
    return True
