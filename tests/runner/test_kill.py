"""kill -9 at random moments of a running study, then resume: the rows of the uninterrupted run, whole and sound."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assay.claims.study import Study
from assay.runner.executors import Local
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored
from assay.store.store import Store

N_KILLS = N_RUNS = 24
LONGEST_WAIT_S = 0.03  # two runs and what is between them
ASKED: dict[str, Any] = {"n_runs": 12}
OVERRIDES = ["pause_s=0.01"]

CHILD = """
import json, pathlib, sys
from assay.runner.discovery import find
from assay.runner.executors import Local
from assay.runner.plan import Selection, plan
from assay.runner.run import execute
from assay.store.store import Store

coins = find("coins")
print("ready", flush=True)
with Store.open(pathlib.Path(sys.argv[1])) as store:
    plan = plan(Selection(coins, overrides=["pause_s=0.01"]), store, **json.loads(sys.argv[2]))
    execute(plan, store, executor=Local(), on_event=lambda event: event.kind == "stored" and print("stored", flush=True))
print("done", flush=True)
"""


def killed_after(folder: Path, n_stored: int, wait_s: float, environ: dict[str, str]) -> bool:
    """True if the command reached its end; it is killed so long after it says that it stored so many runs."""
    command = [sys.executable, "-c", CHILD, str(folder), json.dumps(ASKED)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        said = "stored\n"
        for _ in range(n_stored):
            if said == "stored\n":
                said = child.stdout.readline()
        time.sleep(wait_s)
        child.kill()
        ended = "done" in said + child.communicate(timeout=60)[0]
    assert child.returncode in (-signal.SIGKILL, 0)
    return ended


def content(coins: Study, folder: Path) -> tuple[list[object], list[object]]:
    """Everything a report can show: rows with their tables, and verdicts."""
    with Store.open(folder, read_only=True) as store:
        assert not store.verify()
        rows = [
            (run.run_id, run.seed, run.status, run.error, run.estimands, run.items, run.tables, run.settings, run.claims)
            for run in store.runs(history=True)
        ]
        tables = [store.table(run, name) for run in store.runs() for name in run.tables]
        (judged,) = judge_stored(Selection(coins, overrides=OVERRIDES), store)
        return [*rows, *tables], list(judged.verdicts)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> tuple[list[object], list[object]]:
    from assay.runner.discovery import find

    folder, coins = tmp_path_factory.mktemp("whole") / "store", find("coins")
    with Store.open(folder) as store:
        execute(plan(Selection(coins, overrides=OVERRIDES), store, **ASKED), store, executor=Local())
    return content(coins, folder)


def test_killed_anywhere_and_resumed(
    tmp_path: Path, coins: Study, environ: dict[str, str], uninterrupted: tuple[list[object], list[object]]
) -> None:
    rng = random.Random(0)
    survived = set()
    for attempt in range(N_KILLS):
        folder = tmp_path / str(attempt)
        killed_after(folder, attempt, rng.uniform(0, LONGEST_WAIT_S), environ)
        with Store.open(folder) as store:
            stored = store.runs()
            assert not store.verify()
            survived.add(len(stored))
            made = plan(Selection(coins, overrides=OVERRIDES), store, **ASKED)
            assert sum(len(cell.done) for cell in made.cells) == len(stored) >= attempt
            outcome = execute(made, store, executor=Local())
            assert outcome.computed == N_RUNS - len(stored), "what was stored is not computed again"
        assert content(coins, folder) == uninterrupted
    assert len(survived) > 5, f"the kills must fall all over the run; runs that were stored by then: {survived}"


def test_killed_again_and_again_on_one_store(
    tmp_path: Path, coins: Study, environ: dict[str, str], uninterrupted: tuple[list[object], list[object]]
) -> None:
    """Each command goes on where the last was killed, until one reaches the end."""
    rng = random.Random(1)
    folder = tmp_path / "store"
    n_commands = 1
    while not killed_after(folder, rng.randint(1, 4), rng.uniform(0, LONGEST_WAIT_S), environ):
        Store.open(folder, wait_s=5).close()
        n_commands += 1
        assert n_commands <= N_RUNS, "each command stores a run at least: nothing is kept between them"
    assert n_commands > 2
    assert content(coins, folder) == uninterrupted
    whole = tmp_path / "whole"
    with Store.open(whole) as store:
        execute(plan(Selection(coins, overrides=OVERRIDES), store, **ASKED), store, executor=Local())
    assert report(coins, folder, tmp_path / "resumed") == report(coins, whole, tmp_path / "whole report")


def report(coins: Study, folder: Path, out: Path) -> dict[str, bytes]:
    """Every file of the study's report, without the seconds it took to compute and the folder of the store."""
    from assay.report.from_store import report_study

    with Store.open(folder, read_only=True) as store:
        report_study(Selection(coins, overrides=OVERRIDES), store, out)
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    page = re.sub(rb"[0-9. a-z]+ of computing", b"", files["coins/index.html"])
    assert page != files["coins/index.html"]
    page = page.replace(str(folder).encode(), b"STORE")
    return files | {"coins/index.html": page}
