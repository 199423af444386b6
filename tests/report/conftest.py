"""The synthetic study as a module of its own name, and its page written once for all tests that only look at it."""

import importlib.util
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from assay.claims.verdict import Verdict, judge
from assay.report.page import ExperimentData, write_report

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
        command="assay run recall-of-hidden-pairs --experiment symbolic --preset laptop --set decay=0.05 --runs 10",
    )


@pytest.fixture(scope="session")
def written(synthetic: Any, verdicts: list[Verdict], data: ExperimentData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the synthetic study's report."""
    return write_report(synthetic.STUDY, verdicts, [data], tmp_path_factory.mktemp("reports")).parent
