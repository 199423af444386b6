"""Wherever runs are computed, they are the same runs; and a worker that dies is reported, not waited for."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from assay.claims.study import Study
from assay.core.errors import WorkError
from assay.runner.executors import Processes
from assay.runner.plan import Selection, plan
from assay.runner.run import execute
from assay.store.store import Store

RUN = """
import json, sys, pathlib
from assay.core.errors import AssayError
from assay.runner.discovery import find
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute
from assay.store.store import Store

if __name__ == "__main__":
    folder, on, asked = pathlib.Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    with Store.open(folder) as store, executor(on) as chosen:  # one Ray for all studies
        for slug, overrides in asked:
            made = plan(Selection(find(slug), overrides=overrides), store)
            try:
                print(execute(made, store, executor=chosen, on_event=lambda e: print(e.says, flush=True)))
            except AssayError as error:
                print(type(error).__name__, error)
"""


def compute(folder: Path, on: str, asked: list[tuple[str, list[str]]], environ: dict[str, str]) -> list[dict[str, Any]]:
    """The rows that one executor leaves in a store of its own, without what must differ (times)."""
    script = folder.parent / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(folder), on, json.dumps(asked)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Outcome" in done.stdout
    with Store.open(folder, read_only=True) as store:
        assert not store.verify()
        return [
            {
                "id": run.run_id,
                "status": run.status,
                "error": run.error,
                "estimands": run.estimands,
                "tables": {name: store.table(run, name) for name in run.tables},
                "environment": run.environment,
            }
            for run in store.runs()
        ]


ASKED = [("coins", ["diverge_at=3", "fail_at=5"]), ("slopes", [])]


@pytest.fixture(scope="module")
def local_rows(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> list[dict[str, Any]]:
    environ = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return compute(tmp_path_factory.mktemp("local") / "store", "local", ASKED, environ)


def test_local_rows_are_complete(local_rows: list[dict[str, Any]]) -> None:
    assert len(local_rows) == 8 + 8 + 6
    assert [row["status"] for row in local_rows].count("diverged") == 2
    assert [row["status"] for row in local_rows].count("failed") == 2
    assert all(row["environment"]["threads"] == 1 for row in local_rows)
    assert {row["estimands"]["all/threads"] for row in local_rows if "all/threads" in row["estimands"]} == {1.0}


def test_processes_give_the_same_rows(tmp_path: Path, local_rows: list[dict[str, Any]], environ: dict[str, str]) -> None:
    """To the last bit: numbers, tables, statuses and messages, of a NumPy and of a torch study."""
    assert compute(tmp_path / "store", "processes", ASKED, environ) == local_rows


def test_ray_gives_the_same_rows(tmp_path: Path, local_rows: list[dict[str, Any]], environ: dict[str, str]) -> None:
    """On a real Ray of one node, started and stopped by the command."""
    pytest.importorskip("ray", reason="extra 'cluster' is not installed")
    mark = str(tmp_path)
    # Ray's workers give way to every other program (niceness 15): beside two busy ones they take minutes to import torch.
    started = {**environ, "ASSAY_TEST": mark, "RAY_worker_niceness": "0"}
    started.pop("RAY_ADDRESS", None)
    assert compute(tmp_path / "store", "ray", ASKED, started) == local_rows
    left = [one for one in psutil.process_iter(["environ"]) if (one.info["environ"] or {}).get("ASSAY_TEST") == mark]
    assert gone(left), f"still running: {left}"


def test_a_worker_that_dies_fails_its_run_and_no_other(coins: Study, store: Store) -> None:
    asked = plan(Selection(coins, overrides=["die_at=2", "pause_s=0.05"]), store)
    outcome = execute(asked, store, executor=Processes(2))
    assert (outcome.computed, outcome.exit_code) == (16, 4)
    alone = store.runs(experiment="one-by-one")
    assert [run.seed for run in alone if run.status == "failed"] == [2]
    assert "killed or crashed, twice" in next(run.error for run in alone if run.status == "failed")
    # A batch shares the fate of its program; every other batch is whole.
    together = store.runs(experiment="together")
    assert [run.seed for run in together if run.status == "failed"] == [0, 1, 2]


def test_a_worker_with_other_sources_refuses(coins: Study, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.runner.plan.fingerprint", lambda study, name: "0" * 16)
    asked = plan(Selection(coins), store, n_runs=1)
    with pytest.raises(WorkError, match="every worker must have the sources of the driver"):
        execute(asked, store, executor=Processes(1))
    assert store.runs() == []


def test_a_study_that_workers_cannot_import_is_named(
    coins: Study, store: Store, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan(Selection(coins), store, n_runs=1)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(installed)])
    with pytest.raises(WorkError, match=r"must be able to load the study; .*coins_study"):
        execute(asked, store, executor=Processes(1))


def test_progress_comes_from_the_workers(coins: Study, store: Store) -> None:
    events = []
    asked = plan(Selection(coins, experiments=["one-by-one"], overrides=["pause_s=2"]), store, n_runs=2)
    execute(asked, store, executor=Processes(2), on_event=events.append)
    inside = [event for event in events if event.kind == "progress" and event.remaining_s is not None]
    assert inside
    assert inside[0].done < 2
    assert any("tossing" in event.says for event in events)


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process], within_s: float = 20) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("on", "how"), [("local", "INT"), ("processes", "INT"), ("processes", "KILL")])
def test_an_interrupted_command_keeps_what_is_done_and_leaves_no_process(
    tmp_path: Path, environ: dict[str, str], coins: Study, on: str, how: str
) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    folder = tmp_path / "store"
    command = [sys.executable, str(script), str(folder), on, json.dumps([("coins", ["pause_s=0.3"])])]
    with subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # tests started in the background ignore it
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if "stored" in line and "to do" not in line:
                break
        workers = children_of(child.pid)
        if how == "INT":
            os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the command and to its workers
        else:
            child.kill()
        _, errors = child.communicate(timeout=60)
    assert child.returncode != 0
    if how == "INT":
        assert errors.count("Traceback") == 1, errors  # no worker printed one of its own
        assert errors.rstrip().endswith("KeyboardInterrupt")
    assert gone(workers)
    with Store.open(folder) as store:
        stored = store.runs()
        assert 1 <= len(stored) < 16
        assert not store.verify()
        outcome = execute(plan(Selection(coins, overrides=["pause_s=0.3"]), store), store, executor=Processes(2))
        assert outcome.computed == 16 - len(stored)


def test_two_commands_on_one_store(tmp_path: Path, environ: dict[str, str]) -> None:
    """The second says who is writing; the first goes on undisturbed."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(tmp_path / "store"), "local"]
    first = subprocess.Popen(
        [*command, json.dumps([("coins", ["pause_s=0.4"])])], env=environ, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    first.stdout.readline()
    started = time.monotonic()
    second = subprocess.run([*command, json.dumps([("coins", [])])], env=environ, capture_output=True, text=True, timeout=60)
    assert second.returncode != 0
    assert f"being written by process {first.pid} on" in second.stderr
    assert time.monotonic() - started < 60
    output, _ = first.communicate(timeout=60)
    assert "Outcome(computed=16" in output
