"""Exact checks: computed once for each version of the code and settings value, stored, and read back by whoever judges."""

import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from assay.claims.exact import ExactVerdict
from assay.claims.study import Experiment, Study
from assay.core.settings import canonical_json
from assay.runner.environment import environment, limited_threads
from assay.runner.fingerprint import fingerprint
from assay.runner.plan import Cell
from assay.store.memo import memos_in
from assay.store.store import Store, StoredRun, run_address

__all__ = ["EXACT", "compute_exact", "exact_verdicts"]

EXACT = "exact"  # the part of an experiment whose one row holds the numbers of its checks


def compute_exact(study: Study, store: Store, cell: Cell, *, preset: str, fresh: bool = False) -> bool:
    """Compute and store the exact checks of an experiment at one settings value, unless they are there; whether it did.

    Raises:
        AssayError: what the check says to its user.
        StoreError: the store cannot be written.
    """
    experiment = cell.experiment
    if not experiment.exact or (not fresh and _stored(study, store, cell) is not None):
        return False
    begun = time.perf_counter()
    with limited_threads(1), memos_in(store.folder / "memos"):
        numbers = {name: float(value) for name, value in experiment.exact_numbers(cell.settings).items()}
    code, name = fingerprint(study, experiment.name, EXACT), _name(experiment)
    store.add(
        StoredRun(
            run_id=run_address(study.slug, study.version, name, cell.settings_digest, 0, code),
            study=study.slug,
            version=study.version,
            experiment=name,
            preset=preset,
            custom=cell.custom,
            settings=json.loads(canonical_json(cell.settings)),
            settings_digest=cell.settings_digest,
            seed=0,
            status="ok",
            error="",
            estimands=numbers,
            items={},
            tables={},
            claims={exact.name: exact.digest for exact in experiment.exact},
            fingerprint=code,
            environment=environment(1),
            wall_s=time.perf_counter() - begun,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        {},
    )
    return True


def exact_verdicts(study: Study, store: Store, cells: Sequence[Cell]) -> list[ExactVerdict]:
    """What became of each exact check of these experiments, in the study's order; not asked where no number is stored."""
    found = []
    for cell in cells:
        row = _stored(study, store, cell) if cell.experiment.exact else None
        for exact in cell.experiment.exact:
            number = math.nan if row is None else row.estimands.get(exact.name, math.nan)
            found.append(
                ExactVerdict(exact, cell.experiment.name, None, "not-asked", f"run 'assay run {study.slug}' to compute it")
                if row is None
                else ExactVerdict(exact, cell.experiment.name, number, exact.judge(number))
            )
    return found


def _stored(study: Study, store: Store, cell: Cell) -> StoredRun | None:
    runs = store.runs(
        study.slug,
        experiment=_name(cell.experiment),
        settings_digest=cell.settings_digest,
        fingerprint=fingerprint(study, cell.experiment.name, EXACT),
    )
    return runs[0] if runs else None


def _name(experiment: Experiment) -> str:
    return f"{experiment.name}/{EXACT}"
