"""Judging and reporting 100,000 stored rows, beside the least that any program would do with them.

Budget: loading, verifying, judging and writing the report in 8 s of processor time together, each run with a table that a
figure draws. (On an idle machine that is how long one waits; what else a machine is doing takes no part.)
The baseline keeps the same estimands and tables as JSON in one plain SQLite table, without hashes, seals, settings or
environments, reads them all and takes a t interval of each estimand: no verification, no verdict, no page.
"""

import dataclasses
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Paper
from assay.claims.rules import Above
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.settings import digest
from assay.report.from_store import report_study
from assay.runner.environment import environment
from assay.runner.fingerprint import fingerprint
from assay.runner.plan import Selection
from assay.runner.run import judge_stored
from assay.stats.intervals import mean
from assay.store.store import Store, StoredRun, run_address

N_RUNS = 100_000
N_CLAIMS = 10
N_STEPS = 10
BUDGET_S = 8.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """The only settings value."""

    n_steps: int = N_STEPS


def measure(settings: Settings, seeds: object) -> Measurement:
    """Never called: the rows are written below."""
    raise NotImplementedError


def _study() -> Study:
    claims = tuple(
        Claim(
            f"C{i}", f"Number {i} is above {{bound}}.", f"drawn/e{i}", Above(0.0), why="none", at="ours",
            negative=Arm("negative", "the same number with its sign changed"),
        )
        for i in range(N_CLAIMS)
    )  # fmt: skip
    estimands = tuple(Estimand(f"e{i}", f"the number drawn as number {i}") for i in range(N_CLAIMS))
    figure = Figure("curve", "The loss falls", "Mean loss over runs.", Lines("curve", "step", "loss"))
    preset = Preset(Settings(), N_RUNS)
    presets = {"quick": preset, "laptop": preset}
    return Study(
        "rows",
        title="Rows: how long do a hundred thousand take?",
        paper=Paper("Nobody", 2020, "A benchmark", ""),
        scale="Ours alone.",
        experiments=(Experiment("one", "How long?", claims, presets, measure, figures=(figure,), estimands=estimands),),
    )


def _numbers(seed: int) -> tuple[dict[str, float], list[dict[str, float]]]:
    rng = np.random.Generator(np.random.PCG64(seed))
    values, losses = rng.normal(0.5, 1.0, N_CLAIMS), rng.random(N_STEPS).cumsum()[::-1]
    estimands = {f"drawn/e{i}": float(value) for i, value in enumerate(values)} | {
        f"negative/e{i}": -float(value) for i, value in enumerate(values)
    }
    return estimands, [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses)]


def _fill(folder: Path, study: Study) -> None:
    settings = dataclasses.asdict(Settings())
    settings_digest, code, machine = digest(settings), fingerprint(study, "one"), environment(1)
    claims = {claim.name: claim.digest for claim in study.claims}
    # Written without waiting for the disk: what is measured is reading.
    with mock.patch("os.fsync", return_value=None), Store.open(folder) as store:
        for start in range(0, N_RUNS, 2000):
            batch = []
            for seed in range(start, min(start + 2000, N_RUNS)):
                estimands, curve = _numbers(seed)
                run_id = run_address(study.slug, study.version, "one", settings_digest, seed, code)
                run = StoredRun(
                    run_id, study.slug, study.version, "one", "laptop", False, settings, settings_digest, seed, "ok", "",
                    estimands, {}, {}, claims, code, machine, 0.01, "2026-01-01T00:00:00+00:00",
                )  # fmt: skip
                batch.append((run, {"curve": curve}))
            store.add_all(batch)


def _fill_plain(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (seed INTEGER PRIMARY KEY, estimands TEXT, curve TEXT)")
        rows = ((seed, *map(json.dumps, _numbers(seed))) for seed in range(N_RUNS))
        connection.executemany("INSERT INTO runs VALUES (?, ?, ?)", rows)


def _plain(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT seed, estimands, curve FROM runs ORDER BY seed").fetchall()
    runs = [json.loads(estimands) for _, estimands, _ in rows]
    curves = [row for _, _, curve in rows for row in json.loads(curve)]
    for i in range(N_CLAIMS):
        mean(np.array([run[f"drawn/e{i}"] for run in runs]), level=0.95)
    losses = np.array([row["loss"] for row in curves]).reshape(N_RUNS, N_STEPS)
    for step in range(N_STEPS):
        mean(losses[:, step], level=0.95)


def _timed(name: str, work: Callable[[], object], baseline: float | None = None) -> float:
    start, waiting = time.process_time(), time.perf_counter()
    work()
    took, waited = time.process_time() - start, time.perf_counter() - waiting
    ratio = f"   {took / baseline:5.1f} x" if baseline else ""
    print(f"{name:42} {took:6.2f} s (waited {waited:5.2f} s){ratio}", flush=True)
    return took


def main() -> int:
    """Print a line a step; 1 where the budget is missed."""
    study = _study()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder / "store", study)
        _fill_plain(folder / "plain.sqlite3")
        size = sum(file.stat().st_size for file in (folder / "store").glob("store.*")) / 2**20
        print(f"{N_RUNS} runs, {2 * N_CLAIMS} estimands and a table of {N_STEPS} rows each; database {size:.0f} MiB")
        baseline = _timed("plain SQLite: read and summarise", lambda: _plain(folder / "plain.sqlite3"))
        with Store.open(folder / "store", read_only=True) as store:
            _timed("load and verify", lambda: store.runs(study.slug, experiment="one"), baseline)
            _timed("load, verify and judge", lambda: judge_stored(Selection(study), store), baseline)
            total = _timed(
                "load, verify, judge and report", lambda: report_study(Selection(study), store, folder / "out"), baseline
            )
            _timed("verify everything, artefacts included", store.verify, baseline)
        print(f"budget {BUDGET_S:.0f} s: {'kept' if total < BUDGET_S else 'MISSED'}")
    return int(total >= BUDGET_S)


if __name__ == "__main__":
    sys.exit(main())
