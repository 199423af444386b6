"""The command line as a user meets it: a process of its own, a store of its own, and a small study from a plug-in."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = '''
"""Tides: does the moon pull?"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost, Departure, Paper
from assay.claims.rules import Above, Below
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.errors import Diverged


@dataclass(frozen=True)
class Settings:
    pull: float = 1.0
    n_days: Annotated[int, Ge(2)] = 5
    trouble: str = ""


def measure(settings, seeds):
    if settings.trouble == "diverge":
        raise Diverged(3, 0.5)
    if settings.trouble == "fail":
        raise ValueError("the tide\\x1b[31m went out")
    noise = seeds("noise").standard_normal(settings.n_days) * 0.01
    height = float(settings.pull + noise.mean())
    rows = [{"day": day, "height": settings.pull + float(noise[day])} for day in range(settings.n_days)]
    return Measurement({"moon/height": height, "none/height": float(noise.mean()), "two/height": 2 * height}, {"days": rows})


CLAIMS = (
    Claim("rise", "The moon <b>lifts</b> the sea by more than {bound}.", "moon/height", Above(0.5), why="half a unit",
          at="book 3", negative=Arm("none", "no moon"), paper="it does"),
    Claim("fall", "It is lower than {bound}.", "moon/height", Below(0.5), why="half a unit", at="ours",
          negative=Arm("two", "two moons")),
)
ESTIMANDS = (Estimand("height", "how high the sea stands"),)
STUDY = Study(
    "tides",
    title="Tides\\u202e<script>alert(1)</script>: does the moon pull?",
    paper=Paper("Newton", 1687, "Principia", "London"),
    scale="Theirs: seas. Ours: numbers.",
    departures=(Departure("D1", "No seas."),),
    experiments=(
        Experiment("pull", "Does it?", CLAIMS, {"quick": Preset(Settings(n_days=2), 2), "laptop": Preset(Settings(), 6)},
                   measure, estimands=ESTIMANDS, cost=Cost(1 / 60),
                   figures=(Figure("days", "Days", "By day.", Lines("days", x="day", y="height")),)),
        Experiment("other", "And else?", (), {"quick": Preset(Settings(n_days=2), 2),
                   "laptop": Preset(Settings(n_days=7), 2)}, measure, estimands=ESTIMANDS),
    ),
)
'''

Assay = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def assay(tmp_path: Path) -> Assay:
    """Run the command line in a fresh folder that has the study `tides` installed; its store is `store` in that folder."""
    plugin = tmp_path / "plugin"
    metadata = plugin / "tides-1.0.dist-info"
    metadata.mkdir(parents=True)
    (plugin / "tides.py").write_text(STUDY.lstrip())
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tides\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[assay.studies]\ntides = tides:STUDY\nbroken-study = tides:NOTHING\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(plugin), os.environ.get("PYTHONPATH")])),
        "HOME": str(tmp_path),
        "ASSAY_STORE": str(tmp_path / "store"),
        "ASSAY_CACHE": str(tmp_path / "cache"),
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "assay", *arguments],
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    return run
