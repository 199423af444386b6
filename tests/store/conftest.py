import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.core.settings import digest
from assay.store.store import Store, StoredRun, run_address

MakeRun = Callable[..., StoredRun]


def build_run(seed: int, **changes: Any) -> StoredRun:
    """A run of a study nobody declared; `changes` replace fields, the address follows them."""
    settings = changes.pop("settings", {"n_facts": 3, "rate": 1.0, "layers": [1, 2]})
    run = StoredRun(
        run_id="",
        study="reversal",
        version=1,
        experiment="symbolic",
        preset="laptop",
        custom=False,
        settings=settings,
        settings_digest=digest(settings),
        seed=seed,
        status="ok",
        error="",
        estimands={"gap": 0.1 * seed, "rate": 1 / 3, "absent": math.nan, "far": -math.inf},
        items={"recall": (1.0, 0.0, math.nan)},
        tables={},
        claims={"C1": "0123456789abcdef"},
        fingerprint="f" * 16,
        environment={"python": "3.11", "threads": 1},
        wall_s=0.5,
        created="2026-01-01T00:00:00+00:00",
    )
    run = dataclasses.replace(run, **changes)
    address = run_address(run.study, run.version, run.experiment, run.settings_digest, run.seed, run.fingerprint)
    return dataclasses.replace(run, run_id=address)


@pytest.fixture
def make_run() -> MakeRun:
    return build_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a store with spaces ü"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.open(folder) as opened:
        yield opened
