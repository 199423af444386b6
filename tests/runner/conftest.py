"""Test-only studies in packages that are really installed, into a folder of their own."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.claims.study import Study
from assay.runner.discovery import find, studies
from assay.store.store import Store

STUDY = '''"""Coins: does a fair coin come up heads half of the time?"""

import os
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Paper
from assay.claims.rules import Within
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.errors import Diverged
from assay.core.progress import progress

CLAIMS = (
    Claim(
        "C1",
        "Heads come up in {low:.0%} to {high:.0%} of the tosses.",
        "fair/heads",
        Within(0.4, 0.6),
        why="a tenth either way",
        at="ours",
        negative=Arm("trick", "a coin that always shows heads"),
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
        {"fair/heads": heads.mean(), "trick/heads": 1.0},
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
        estimands=(Estimand("heads", "heads among the tosses", "share of tosses", low=0, high=1),),
        figures=(Figure("tosses", "Heads so far", "The share of heads.", Lines("tosses", "toss", "heads")),),
    )


STUDY = Study(
    "coins",
    title="Coins: does a fair coin come up heads half of the time?",
    paper=Paper("Nobody", 2020, "Coins", "a test"),
    scale="A few tosses.",
    experiments=(experiment("one-by-one", CLAIMS, False), experiment("together", (), True)),
)
'''


TORCH_STUDY = '''"""Slopes: does a line fit a line?"""

from dataclasses import dataclass

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Paper
from assay.claims.rules import Within
from assay.claims.study import Experiment, Measurement, Preset, Study


@dataclass(frozen=True)
class Settings:
    n_steps: int = 20


def measure(settings, seeds):
    return measure_many(settings, [seeds])[0]


def measure_many(settings, many):
    import torch

    found = []
    for seeds in many:
        generator = torch.Generator().manual_seed(seeds.integer("data"))
        x = torch.randn(200, 8, generator=generator)
        y = x @ torch.arange(8.0)
        w = torch.zeros(8, requires_grad=True)
        optimiser = torch.optim.AdamW([w], lr=0.1)
        for _ in range(settings.n_steps):
            loss = ((x @ w - y) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found.append(Measurement({"data/slope": w[1].item(), "none/slope": 0.0, "all/threads": float(torch.get_num_threads())}))
    return found


SAYS = "The slope is {low} to {high}."
CLAIM = Claim("C1", SAYS, "data/slope", Within(0.5, 1.5), why="wide", at="ours", negative=Arm("none", "no data"))
ESTIMANDS = (Estimand("slope", "the fitted slope"), Estimand("threads", "threads of a run"))
PRESETS = {"quick": Preset(Settings(n_steps=2), 2), "laptop": Preset(Settings(), 6)}
STUDY = Study(
    "slopes",
    title="Slopes: does a line fit a line?",
    paper=Paper("Nobody", 2020, "Slopes", "a test"),
    scale="A few steps.",
    experiments=(Experiment("fit", "?", (CLAIM,), PRESETS, measure, measure_many, batch=4, estimands=ESTIMANDS),),
)
'''


def wheel(folder: Path, name: str, modules: dict[str, str], studies: dict[str, str]) -> Path:
    """A wheel, as a build tool would leave it: modules, and metadata with the entry points `studies`."""
    points = "".join(f"{slug} = {value}\n" for slug, value in studies.items())
    stem = f"{name.replace('-', '_')}-1.0"
    files = modules | {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/entry_points.txt": f"[assay.studies]\n{points}",
    }
    files[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{stem}.dist-info/RECORD"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in_archive, text in files.items():
            archive.writestr(name_in_archive, text)
    return path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: one with two studies, one whose studies cannot be used."""
    folder = tmp_path_factory.mktemp("packages")
    good = wheel(
        folder,
        "coins-study",
        {"coins_study/__init__.py": "", "coins_study/coins.py": STUDY, "coins_study/slopes.py": TORCH_STUDY},
        {"coins": "coins_study.coins:STUDY", "slopes": "coins_study.slopes", "twice": "coins_study.coins:STUDY"},
    )
    bad = wheel(
        folder,
        "broken-studies",
        {
            "broken_studies/__init__.py": "",
            "broken_studies/leaves.py": "import sys\nsys.exit(3)\n",
            "broken_studies/misnamed.py": STUDY,
            "broken_studies/empty.py": "",
        },
        {
            "gone": "broken_studies.gone:STUDY",
            "leaves": "broken_studies.leaves:STUDY",
            "misnamed": "broken_studies.misnamed:STUDY",
            "empty": "broken_studies.empty",
            "twice": "broken_studies.misnamed:STUDY",
        },
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(good), str(bad)], check=True, timeout=120)
    return folder / "site"


@pytest.fixture(scope="module")
def installed(site: Path) -> Iterator[Path]:
    """The packages importable in this process, for the tests of one file: those of others see Assay's own studies alone."""
    sys.path.append(str(site))
    studies.cache_clear()
    yield site
    sys.path.remove(str(site))
    studies.cache_clear()


@pytest.fixture
def coins(installed: Path) -> Study:
    return find("coins")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def environ(installed: Path) -> dict[str, str]:
    """The environment of a child process that finds the packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])}
