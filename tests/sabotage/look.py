"""Prints, as JSON, what quick runs of a study say: the verdict of each claim and exact check, and what went wrong.

python tests/sabotage/look.py SLUG [SET]

SET: which set of seeds, 0 or 1.
"""

import json
import sys
import tempfile
from pathlib import Path

from assay.claims.study import Experiment, Measurement, Study
from assay.claims.verdict import RunRow, judge
from assay.core.errors import AssayError
from assay.core.seeds import Seeds
from assay.runner.discovery import find
from assay.store.memo import memos_in

N_RUNS = 4


def look(study: Study, which: int = 0) -> dict[str, str]:
    """By claim, exact check or experiment: the verdict, or the error."""
    found: dict[str, str] = {}
    rows: dict[str, list[RunRow]] = {}
    for experiment in study.experiments:
        try:
            found |= _exact(experiment)
            rows[experiment.name] = _rows(experiment, range(which * N_RUNS, (which + 1) * N_RUNS))
        except AssayError as error:  # what cannot run here says so with and without the mutation
            found[experiment.name] = f"{type(error).__name__}: {error}"
        except Exception as error:
            found[experiment.name] = f"error: {type(error).__name__}: {error}"
    return found | {verdict.claim: str(verdict.verdict) for verdict in judge(study, rows)}


def _exact(experiment: Experiment) -> dict[str, str]:
    numbers = experiment.exact_numbers(experiment.preset("quick").settings)
    return {exact.name: exact.judge(numbers[exact.name]) for exact in experiment.exact}


def _rows(experiment: Experiment, seeds: range) -> list[RunRow]:
    if not experiment.has_runs:
        return []
    settings = experiment.preset("quick").settings
    if experiment.ready is not None:
        ready = experiment.ready
        if callable(ready):
            ready(settings)
    results = experiment.measure_runs(settings, [Seeds(seed) for seed in seeds])
    return [
        RunRow(experiment.name, seed, "ok", result.estimands, result.items)
        if isinstance(result, Measurement)
        else RunRow(experiment.name, seed, "diverged", {})
        for seed, result in zip(seeds, results, strict=True)
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, memos_in(Path(folder)):
        print(json.dumps(look(find(sys.argv[1]), *map(int, sys.argv[2:]))))
