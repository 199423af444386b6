"""What every study owes the laboratory; new files are picked up by themselves."""

import ast
import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import assay
from assay.claims.study import Experiment, Measurement, Study
from assay.claims.verdict import counts
from assay.core.errors import Diverged
from assay.core.seeds import Seeds
from assay.runner.check import quick_faults, structure_faults
from assay.runner.discovery import studies
from assay.store.memo import memos_in

CATALOGUE = studies()
ARMS = [
    pytest.param(study, experiment, id=f"{study.slug}/{experiment.name}")
    for study in CATALOGUE.studies.values()
    for experiment in study.experiments
]

# A sentence that begins so needs the claim before it.
LEANING = re.compile(
    r"(it|its|they|their|them|these|those|this|that|so|nor|also|then|thus|therefore|hence|here|there too|again|likewise|"
    r"neither|such|the same|the other|the latter|the former|even so|and|but|or|yet|still|instead|otherwise|"
    r"(two|three|four|five|six|ten|\d+) times the (steps|rounds|data|runs))\b",
    re.I,
)


def folder_of(study: Study) -> Path:
    (found,) = Path(assay.__file__).parent.glob(f"studies/*/{study.slug.replace('-', '_')}")
    return found


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
def test_the_first_seed_of_an_experiment_counts(study: Study, experiment: Experiment) -> None:
    assert counts(study, experiment.name, study.first_seed_of(experiment.name)), "seeds of a pilot are never judged"


@pytest.mark.parametrize("study", CATALOGUE.studies.values(), ids=lambda study: study.slug)
def test_claims_are_whole_sentences_about_defined_numbers(study: Study) -> None:
    for experiment in study.experiments:
        assert experiment.estimands, f"{experiment.name}: define what is measured"
        assert experiment.family, f"{experiment.name}: name the paper's question it belongs to"
        for claim in experiment.claims:
            assert claim.defined is not None
            assert claim.sentence.endswith("."), f"{claim.name} is not a sentence: {claim.sentence}"
            assert not LEANING.match(claim.sentence), f"{claim.name} needs the claim before it: {claim.sentence}"
            assert not re.search(r"\{[a-z_]{3,}", claim.sentence), f"{claim.name}: nothing fills {claim.sentence}"
    assert 1 <= len(study.families) <= 4
    assert 3 <= len(study.paper.headlines) <= 6
    told = {name for headline in study.paper.headlines for name in headline.claims}
    theirs = {claim.name for claim in study.claims if claim.at != "ours"}
    assert theirs <= told, f"in no headline: {', '.join(sorted(theirs - told))}"


@pytest.mark.parametrize("study", CATALOGUE.studies.values(), ids=lambda study: study.slug)
def test_structure(study: Study) -> None:
    """A control is its claim's estimand on another arm, exact checks have no seeds, no number is two claims, nulls are told."""
    assert structure_faults(study) == []


@pytest.mark.parametrize("study", CATALOGUE.studies.values(), ids=lambda study: study.slug)
def test_what_a_study_declares_loads_nothing_heavy(study: Study) -> None:
    package = ".".join(folder_of(study).relative_to(Path(assay.__file__).parent.parent).parts)
    code = (
        f"import sys, {package}, {package}.claims\n"
        "print(sorted({'torch', 'scipy', 'transformers', 'matplotlib', 'mujoco', 'gymnasium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("study", CATALOGUE.studies.values(), ids=lambda study: study.slug)
def test_no_import_stands_inside_a_function(study: Study) -> None:
    for path in folder_of(study).rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = [node.lineno for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))]
                assert not inner, f"{path.name}:{inner[0]}: imports stand at a file's head"


@pytest.mark.parametrize(("study", "experiment"), ARMS)
def test_quick_runs_give_what_the_claims_and_figures_need(study: Study, experiment: Experiment) -> None:
    skip_without_extras(experiment)
    found = measured(experiment, 0)
    assert quick_faults(experiment, found) == []
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
