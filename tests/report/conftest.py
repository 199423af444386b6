"""The synthetic study as a module of its own name, and its page written once for all tests that only look at it."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from assay.claims.charts import Figure
from assay.claims.claim import Arm, Claim
from assay.claims.paper import Departure, Paper
from assay.claims.rules import Above
from assay.claims.study import Experiment, Measurement, Preset, Study, Table
from assay.claims.verdict import RunRow, Verdict, judge
from assay.report.page import ExperimentData, study_page, write_report

NAME = "assay_synthetic_report"


def _load() -> ModuleType:
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name("synthetic.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    return sys.modules[NAME]


@pytest.fixture(scope="session")
def synthetic() -> Any:
    return _load()


@pytest.fixture(scope="session")
def verdicts(synthetic: Any) -> list[Verdict]:
    return judge(synthetic.STUDY, {"symbolic": synthetic.rows(10)[0]})


@pytest.fixture(scope="session")
def data(synthetic: Any) -> ExperimentData:
    return ExperimentData(
        experiment=synthetic.SYMBOLIC,
        preset="laptop",
        settings=asdict(synthetic.SETTINGS) | {"decay": 0.05},
        custom=True,
        n_runs=10,
        n_stale=3,
        edited_claims=("C4",),
        tables=synthetic.rows(10)[1],
        environment={"assay": "0.1.0", "python": "3.11", "threads": 1},
        wall_s=41.3,
        code="0123456789abcdef",
        made=("2026-01-01", "2026-01-02"),
        elsewhere=("2 runs at n_facts=4",),
        command="assay run recall-of-hidden-pairs --experiment symbolic --preset laptop --set decay=0.05 --runs 10",
    )


@pytest.fixture(scope="session")
def written(synthetic: Any, verdicts: list[Verdict], data: ExperimentData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the synthetic study's report."""
    return write_report(synthetic.STUDY, verdicts, [data], tmp_path_factory.mktemp("reports")).parent


@dataclass(frozen=True)
class Size:
    size: int = 1


@pytest.fixture(scope="session")
def hostile_page() -> Callable[..., str]:
    """Makes the page of a study whose every text is one of ten given."""
    return _hostile_page


def _hostile_page(texts: list[str], figures: tuple[Figure, ...] = ()) -> str:
    """A page of a study whose every text is hostile."""
    planted = Arm("planted", texts[7], power_only=True)
    claim = Claim(
        texts[1], texts[2], "told/a", Above(0.5), texts[4], texts[3], Arm("untold", texts[0]), planted, paper=texts[5]
    )
    presets = {name: Preset(Size(), 3) for name in ("quick", "laptop")}
    experiment = Experiment("arm", texts[6], (claim,), presets, lambda *_: Measurement({}), figures=figures, family=texts[8])
    study = Study(
        "hostile",
        title=f"x {texts[7]}: {texts[8]}",
        paper=Paper(f"x {texts[9]}", 2020, f"x {texts[0]}", texts[1]),
        scale=f"x {texts[0]}",
        departures=(Departure("D1", f"x {texts[1]}"),),
        experiments=(experiment,),
    )
    found = judge(
        study,
        {
            "arm": [
                RunRow("arm", seed, "ok", {"told/a": 1.0 + seed / 9, "untold/a": seed / 90, "planted/a": 2.0})
                for seed in range(3)
            ]
        },
    )
    rows: Table = [{"run": run, "x": x, "g": texts[run], "y": 1.0 + x} for run in range(3) for x in range(3)]
    data = ExperimentData(
        experiment, "laptop", {"size": texts[2]}, True, 3, 1, (texts[1],), {texts[3]: rows}, {texts[4]: texts[5]}, 1.0, texts[6]
    )  # fmt: skip
    return study_page(study, found, [data])
