"""Test-only studies, written into a folder as an installed package would be: modules beside a dist-info with entry points."""

from pathlib import Path

STUDY = '''"""Coins: does a fair coin come up heads half of the time?

Paper   Nobody, "Coins", a test.
Scale   A few tosses.
"""

import os
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Study
from assay.core.errors import Diverged
from assay.core.progress import progress

CLAIMS = (
    Claim(
        "C1",
        says="Heads come up in half of the tosses.",
        source="ours",
        estimand="heads",
        rule=Within(0.4, 0.6),
        control=Control("a coin that always shows heads", "heads_of_a_trick_coin"),
        margin="a tenth either way",
    ),
)


@dataclass(frozen=True)
class Settings:
    n_tosses: Annotated[int, Ge(1)] = 400
    pause_s: float = 0.0
    diverge_at: int = -1
    fail_at: int = -1
    die_at: int = -1


def measure(settings, seeds):
    for part in range(5):
        time.sleep(settings.pause_s / 5)
        progress((part + 1) / 5, "tossing")
    if seeds.root == settings.diverge_at:
        raise Diverged(3, 1.5)
    if seeds.root == settings.fail_at:
        raise ValueError("a fault \\x1b[31m of \\u202e this \\x00 run")
    if seeds.root == settings.die_at:
        os._exit(9)
    heads = seeds("tosses").random(settings.n_tosses) < 0.5
    running = np.cumsum(heads) / np.arange(1, len(heads) + 1)
    return Measurement(
        {"heads": heads.mean(), "heads_of_a_trick_coin": 1.0},
        tables={"tosses": [{"toss": i, "heads": running[i]} for i in range(0, len(running), 40)]},
    )


def measure_many(settings, seeds):
    found = []
    for one in seeds:
        try:
            found.append(measure(settings, one))
        except Diverged as error:
            found.append(error)
    return found


def experiment(name, claims, many):
    return Experiment(
        name,
        question="Half?",
        claims=claims,
        presets={"quick": Preset(Settings(n_tosses=10), 2), "laptop": Preset(Settings(), 8)},
        measure=measure,
        measure_many=measure_many if many else None,
        batch=3,
        figures=(Figure("tosses", "Heads so far", "The share of heads.", Lines("tosses", "toss", "heads")),),
    )


STUDY = Study("coins", __doc__, (experiment("one-by-one", CLAIMS, False), experiment("together", (), True)))
'''


def install(folder: Path, name: str, modules: dict[str, str], studies: dict[str, str]) -> Path:
    """Lay out a package in `folder` as an installer would: modules, and metadata with the entry points `studies`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, source in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{slug} = {value}\n" for slug, value in studies.items())
    (info / "entry_points.txt").write_text(f"[assay.studies]\n{points}")
    return folder
