"""A measure may raise what it likes or die: that run failed, is named, and the others go on. Ctrl-C is for the user."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.runner.new_study import new_study

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
DOES = {
    "SystemExit": "raise SystemExit(3)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "BaseException": "raise BaseException('bare')",
}


def assay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASSAY_STORE": str(folder / "store"), "ASSAY_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("what", DOES)
def test_whatever_is_raised_is_a_failed_run(what: str, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(new_study("odd") + ODD.replace("DOES", DOES[what]))
    done = assay(tmp_path, "run", "odd.py", "--json")
    assert done.returncode == 4, done.stderr
    assert f"a run of odd failed: {what}" in done.stderr
    (row,) = json.loads(done.stdout)
    assert "1 of 4 runs failed" in row["reason"]


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
