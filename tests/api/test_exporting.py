"""Runs for other tools: the calls that the libraries get; where these are installed, what was written is read back."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import assay
from assay.api.exporting import to_parquet, to_tracker
from assay.core.errors import InputError, MissingExtra
from assay.store.rows import StoredRun

BIRTHDAY = Path(__file__).parents[2] / "examples" / "birthday.py"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StoredRun]:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return assay.run(BIRTHDAY, set={"n_groups": 50}, runs=2, store=tmp_path / "store").runs


def test_a_tracker_gets_every_run_with_its_settings(runs: list[StoredRun], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    tracker = ModuleType("trackio")
    tracker.init = lambda **given: said.append(("init", given))  # type: ignore[attr-defined]
    tracker.log = lambda numbers: said.append(("log", numbers))  # type: ignore[attr-defined]
    tracker.finish = lambda: said.append(("finish", None))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", tracker)
    assert to_tracker(runs, "mine") == 2
    assert [what for what, _ in said] == ["init", "log", "finish"] * 2
    first = said[0][1]
    assert (first["project"], first["config"]["n_groups"], first["config"]["seed"]) == ("mine", 50, 0)
    assert said[1][1]["twenty-three/shared"] == runs[0].estimands["twenty-three/shared"]


def test_a_parquet_file_has_a_column_a_number(runs: list[StoredRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, Any] = {}
    arrow, parquet = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    arrow.table = lambda columns: SimpleNamespace(columns=columns)  # type: ignore[attr-defined]
    parquet.write_table = lambda table, place: written.update({place: table.columns})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    assert to_parquet(runs, tmp_path / "runs.parquet") == 2
    columns = written[str(tmp_path / "runs.parquet")]
    assert columns["seed"] == [0, 1]
    assert columns["twenty-three/shared"] == [run.estimands["twenty-three/shared"] for run in runs]
    with pytest.raises(InputError, match="does not exist yet"):
        to_parquet(runs, tmp_path)
    with pytest.raises(InputError, match="at least one run"):
        to_parquet([], tmp_path / "none.parquet")


def test_a_library_that_is_not_there_is_named(runs: list[StoredRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "trackio"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"assay\[parquet\]"):
        to_parquet(runs, tmp_path / "runs.parquet")
    with pytest.raises(MissingExtra, match=r"assay\[track\]"):
        to_tracker(runs, "mine")


def test_a_file_that_was_written_is_read_back(runs: list[StoredRun], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra 'parquet'")
    to_parquet(runs, tmp_path / "runs.parquet")
    found = parquet.read_table(str(tmp_path / "runs.parquet")).to_pydict()
    assert found["twenty-three/shared"] == [run.estimands["twenty-three/shared"] for run in runs]


def test_a_local_project_that_was_written_is_read_back(tmp_path: Path, runs: list[StoredRun]) -> None:
    pytest.importorskip("trackio", reason="needs the extra 'track'")
    place = tmp_path / "trackio"
    command = [sys.executable, "-m", "assay", "store", "export", "mine", "--tracker", "--store", str(tmp_path / "store")]
    told = subprocess.run(command, env={**os.environ, "TRACKIO_DIR": str(place)}, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    with sqlite3.connect(place / "mine.db") as project:
        logged = [json.loads(metrics) for (metrics,) in project.execute("SELECT metrics FROM metrics ORDER BY id")]
        given = [json.loads(config) for (config,) in project.execute("SELECT config FROM configs ORDER BY id")]
    for run, numbers, config in zip(runs, logged, given, strict=False):
        assert numbers == {**run.estimands, "wall_s": run.wall_s}
        assert (config["n_groups"], config["seed"]) == (50, run.seed)
    assert len(logged) >= len(runs)
