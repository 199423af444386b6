"""The command line as a user meets it: a process of its own, a store of its own, and a small study from a plug-in."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = '''
"""Tides\\u202e<script>alert(1)</script>: does the moon pull?

Paper   Newton 1687, Principia.
Scale   Theirs: seas. Ours: numbers.

Departs D1  No seas.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Study
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
    return Measurement({"height": height, "height_without": float(noise.mean())}, {"days": rows})


CLAIMS = (
    Claim("rise", says="The moon <b>lifts</b> the sea.", source="book 3", estimand="height", rule=Above(0.5),
          margin="half a unit", control=Control("no moon", "height_without"), paper_value="it does"),
    Claim("fall", says="It is low.", source="ours", estimand="height", rule=Below(0.5), margin="half a unit",
          control=Control("two moons", "height", rule=Above(0.5))),
)
STUDY = Study("tides", __doc__, (
    Experiment("pull", "Does it?", CLAIMS, {"quick": Preset(Settings(n_days=2), 2), "laptop": Preset(Settings(), 6)},
               measure,
               figures=(Figure("days", "Days", "By day.", Lines("days", x="day", y="height")),), cost="1 s"),
    Experiment("other", "And else?", (), {"quick": Preset(Settings(n_days=2), 2), "laptop": Preset(Settings(n_days=7), 2)},
               measure),
))
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
        "PYTHONPATH": str(plugin),
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
