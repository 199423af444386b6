"""A measure may raise what it likes or die: that run failed, is named, and the others go on. Ctrl-C is for the user."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from assay.claims.study import Experiment, Measurement
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.runner.new_study import new_study
from assay.runner.work import Task, carry_out

ODD = """

def odd(settings, seeds):
    if seeds.root == 1:
        DOES
    return measure(settings, seeds)


def replaced():
    import dataclasses
    presets = {"quick": Preset(Settings(n_worlds=20, n_draws=10), 2), "laptop": Preset(Settings(n_worlds=20, n_draws=10), 4)}
    one = dataclasses.replace(STUDY.experiments[0], measure=odd, presets=presets)
    return dataclasses.replace(STUDY, experiments=(one,))


STUDY = replaced()
"""
DOES = {"KeyboardInterrupt": "raise KeyboardInterrupt"}


class Odd(BaseException):
    """Of nobody's kind."""


def assay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASSAY_STORE": str(folder / "store"), "ASSAY_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def carried_out(does: Callable[[int], None], tmp_path: Path, *, many: bool = False) -> list[str]:
    """The outcome of four runs, one of which does something."""

    def measure(settings: object, seeds: Seeds) -> Measurement:
        does(seeds.root)
        return Measurement({"rate": 0.0})

    def measure_runs(settings: object, seeds: list[Seeds]) -> list[Measurement]:
        return [measure(settings, one) for one in seeds]

    experiment = cast("Experiment", SimpleNamespace(has_many=many, measure_run=measure, measure_runs=measure_runs))
    task = Task("study", "experiment", None, (0, 1, 2, 3), "", tmp_path, None)
    found = carry_out(experiment, task, 1, lambda share, says: None).results
    return [f"{result.status} {result.error}".strip() for result in found]


@pytest.fixture(autouse=True)
def keyboard() -> Iterator[None]:
    """A process that a shell began in the background ignores Ctrl-C; these tests press it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, ValueError, Odd])
def test_whatever_is_raised_is_a_failed_run(kind: type[BaseException], many: bool, tmp_path: Path) -> None:
    def does(seed: int) -> None:
        if seed == 1:
            raise kind("why")

    found = carried_out(does, tmp_path, many=many)
    assert [one.partition(" ")[0] for one in found] == ["ok", "failed", "ok", "ok"]
    assert found[1].startswith(f"failed {kind.__name__}: why")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("many", [False, True])
def test_ctrl_c_is_for_the_user(many: bool, tmp_path: Path) -> None:
    def does(seed: int) -> None:
        if seed == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        carried_out(does, tmp_path, many=many)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("many", [False, True])
def test_what_speaks_to_the_user_ends_the_command(many: bool, tmp_path: Path) -> None:
    def does(seed: int) -> None:
        if seed == 1:
            raise InputError("bring a file")

    with pytest.raises(InputError, match="bring a file"):
        carried_out(does, tmp_path, many=many)


@pytest.mark.parametrize("what", ["KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_workers_that_are_interrupted_or_die_lose_their_run_alone(what: str, tmp_path: Path) -> None:
    does = DOES.get(what, f"import os, signal; {what}")
    (tmp_path / "odd.py").write_text(new_study("odd") + ODD.replace("DOES", does))
    done = assay(tmp_path, "run", "odd.py", "--on", "processes", "--json")
    assert done.returncode == 4, done.stderr
    assert "1 of 4 runs failed" in json.loads(done.stdout)[0]["reason"]


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tmp_path: Path) -> None:
    slow = "open('begun', 'w').close(); import time; time.sleep(100)"
    (tmp_path / "odd.py").write_text(new_study("odd") + ODD.replace("DOES", slow))
    environment = os.environ | {"ASSAY_STORE": str(tmp_path / "store"), "ASSAY_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "assay", "run", "odd.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "odd was interrupted. What was finished is kept; the same command goes on from there" in said
    assert "Traceback" not in said + out
    listed = assay(tmp_path, "store", "ls", "--json")
    assert [row["runs"] for row in json.loads(listed.stdout)] == [1]
