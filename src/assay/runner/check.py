"""Whether a study is fit to be judged: its structure, its numbers' names, and what players without the mechanism make of it.

A claim that a network without the mechanism passes is no finding about the mechanism. So every claim's own function is put to
the experiment's null arms (untrained, a constant answer, the same network without what the claim is about), and a claim that
one of them passes is refused, unless it says why that is no fault (`Claim.null_passes`).
"""

import inspect
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Literal

import numpy as np

from assay.claims.claim import Arm, Claim, Names, names
from assay.claims.estimand import arm_of, name_of
from assay.claims.evidence import RunRow, Runs, decide, look_at
from assay.claims.study import Experiment, Measurement, Study
from assay.core.errors import Diverged
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.core.settings import canonical_json
from assay.runner.environment import environment, limited_threads
from assay.runner.fingerprint import fingerprint
from assay.runner.lacking import lacks
from assay.runner.plan import Cell, counted_seeds
from assay.runner.run import run_rows
from assay.store.memo import memos_in
from assay.store.store import Store, StoredRun, run_address

__all__ = [
    "NULLS",
    "NullOutcome",
    "compute_nulls",
    "null_names",
    "null_outcomes",
    "quick_faults",
    "same_numbers",
    "structure_faults",
]

NULLS = "nulls"  # the part of an experiment whose rows hold the null arms
ERROR = 0.05  # of each null's interval; nulls are looked at one by one, so that none slips through a correction
SAME = 0.999  # a correlation above it makes two claims one number
FEWEST = 8  # runs, below which nothing is said of how numbers go together


@dataclass(frozen=True)
class NullOutcome:
    """What a claim's rule says of a null arm.

    Attributes:
        experiment: its name, with the `claim`'s and the null `arm`'s.
        outcome: "passes" if the rule is supported on the arm, "fails" if refuted, "open" if neither; "not measured" where the
            arm has no such number.
        estimate: with `low` and `high`, of the arm; None where it has no number.
        said: why the claim may be passed (`Claim.null_passes`), or why the arm has no such number (`Arm.lacks`).
    """

    experiment: str
    claim: str
    arm: str
    rule: str
    outcome: Literal["passes", "fails", "open", "not measured"]
    estimate: float | None
    low: float | None
    high: float | None
    n_runs: int
    said: str

    @property
    def refused(self) -> bool:
        """Whether the claim may not stand: a null passes it unsaid, or nobody has asked this null, and nobody says why."""
        return self.outcome in ("passes", "not measured") and not self.said


def structure_faults(study: Study) -> list[str]:
    """What is wrong with what a study declares, one sentence each; empty when nothing is."""
    return [fault for experiment in study.experiments for fault in _faults_of(experiment)]


def _faults_of(experiment: Experiment) -> Iterator[str]:
    where = f"experiment '{experiment.name}'"
    for claim in experiment.claims:
        own = {name_of(name) for name in names(claim.estimand)}
        for control in claim.controls:
            there = {name_of(name) for name in names(control.measured(claim.estimand))}
            if there != own and not control.why:
                yield (
                    f"{where}, claim '{claim.name}': its control on '{control.name}' is another number, "
                    f"{', '.join(sorted(there))}. Measure the claim's own there, or say why=..."
                )
    if experiment.claims and not experiment.nulls:
        yield f"{where}: no null arms are named. Give nulls=(Arm('untrained', ...), ...): what has no mechanism must not pass"
    for other, claim in combinations(experiment.claims, 2):
        if claim.related or other.related or claim.kind != "finding" or other.kind != "finding":
            continue
        if claim.negative.measured(claim.estimand) == other.negative.measured(other.estimand) and claim.rule == other.rule:
            yield (
                f"{where}: '{other.name}' and '{claim.name}' share one control number and rule. Merge them, or say in "
                "related=... why they are two findings"
            )
    if isinstance(experiment.check, str) or experiment.check is not None:
        required = [
            parameter.name
            for parameter in inspect.signature(experiment.function("check")).parameters.values()
            if parameter.default is parameter.empty
        ]
        if len(required) != 1:
            yield f"{where}: an exact check is a function of the settings alone, without seeds; its parameters are {required}"


def quick_faults(experiment: Experiment, found: Measurement) -> list[str]:
    """What a run lacks or has too much of, measured against what its experiment declares; empty when they agree."""
    faults = lacks(experiment, found)
    if experiment.estimands:
        defined = {estimand.name for estimand in experiment.estimands}
        given = {name_of(name) for name in (*found.estimands, *found.items)}
        faults += [f"'{name}' is measured and not defined" for name in sorted(given - defined)]
        faults += [f"'{name}' is defined and not measured" for name in sorted(defined - given)]
    for name, value in found.estimands.items():
        estimand = experiment.estimand(name)
        if estimand is not None and not math.isnan(value) and not math.isclose(estimand.inside(value), value, abs_tol=1e-9):
            faults.append(f"'{name}' = {value:g} lies outside its range, {estimand.range}")
    return faults


def null_names(arm: Arm, claimed: Names) -> Names:
    """The name(s) of a null arm's number for a claim: "null/estimand"; for an ordering "null-arm/estimand" of each arm."""
    if isinstance(claimed, str):
        return f"{arm.name}/{name_of(claimed)}"
    return tuple(f"{arm.name}-{arm_of(name)}/{name_of(name)}" for name in claimed)


def compute_nulls(study: Study, store: Store, cell: Cell, *, preset: str, n_runs: int, fresh: bool = False) -> int:
    """Measure and store the null arms of an experiment that has a function for them; return how many runs were added.

    Seeds are the first that count. Where the counted runs have the null arms themselves, nothing is to be done here.

    Raises:
        AssayError: what the study says to its user.
        StoreError: the store cannot be written.
    """
    experiment = cell.experiment
    if experiment.measure_nulls is None:
        return 0
    code, name = fingerprint(study, experiment.name, NULLS), f"{experiment.name}/{NULLS}"
    stored = {run.seed for run in _null_runs(study, store, cell)}
    seeds = counted_seeds(study, experiment.name, None, n_runs)
    todo = [seed for seed in seeds if fresh or seed not in stored]
    for done, seed in enumerate(todo):
        begun = time.perf_counter()
        progress(done / len(todo), f"{experiment.name}: null arms, seed {seed}")
        with part(done / len(todo), (done + 1) / len(todo)), limited_threads(1), memos_in(store.folder / "memos"):
            try:
                found, error = experiment.measure_null_run(cell.settings, Seeds(seed)), ""
            except Diverged as lost:
                found, error = Measurement({}), str(lost)
        run = StoredRun(
            run_id=run_address(study.slug, study.version, name, cell.settings_digest, seed, code),
            study=study.slug,
            version=study.version,
            experiment=name,
            preset=preset,
            custom=cell.custom,
            settings=json.loads(canonical_json(cell.settings)),
            settings_digest=cell.settings_digest,
            seed=seed,
            status="diverged" if error else "ok",
            error=error,
            estimands={key: float(value) for key, value in found.estimands.items()},
            items={key: tuple(map(float, values)) for key, values in found.items.items()},
            tables={},
            claims={claim.name: claim.digest for claim in experiment.claims},
            fingerprint=code,
            environment=environment(1),
            wall_s=time.perf_counter() - begun,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        store.add(run, {})
    return len(todo)


def null_outcomes(study: Study, store: Store, cells: Sequence[Cell]) -> list[NullOutcome]:
    """What each claim's own rule says of each null arm of its experiment, from stored rows."""
    outcomes = []
    for cell in cells:
        runs = Runs(run_rows(_null_runs(study, store, cell)))
        for claim in cell.experiment.claims:
            outcomes += [_outcome(cell.experiment.name, claim, arm, runs) for arm in cell.experiment.nulls]
    return outcomes


def _outcome(experiment: str, claim: Claim, arm: Arm, runs: Runs) -> NullOutcome:
    wanted = null_names(arm, claim.estimand)
    having = runs.having(names(wanted), claim.summary)
    if len(having.rows) < (1 if claim.summary == "every" else 2):
        return NullOutcome(
            experiment,
            claim.name,
            str(arm.name),
            claim.rule_text,
            "not measured",
            None,
            None,
            None,
            len(having.rows),
            arm.why if {name_of(name) for name in names(wanted)} <= set(arm.lacks) else "",
        )
    look = look_at(wanted, claim.summary, having, Seeds(0).child("nulls").child(claim.name), anytime=False, part=1.0)
    decision = decide(claim.rule, (look,), ERROR)
    said: Mapping[str, Literal["passes", "fails", "open"]] = {"supported": "passes", "refuted": "fails", "inconclusive": "open"}
    shown = claim.defined.shown if claim.defined else float
    interval = decision.interval
    return NullOutcome(
        experiment,
        claim.name,
        str(arm.name),
        claim.rule_text,
        said[decision.judgement],
        shown(interval.estimate),
        shown(interval.low),
        shown(interval.high),
        len(having.rows),
        claim.null_passes,
    )


def same_numbers(study: Study, rows: Mapping[str, Sequence[RunRow]]) -> list[str]:
    """Findings that are one number: two that go together over the runs, one that does not vary at all; one sentence each.

    Claims that say why (`Claim.related`) are left out, and so is an experiment with fewer than eight runs.
    """
    faults = []
    for experiment in study.experiments:
        own = Runs(list(rows.get(experiment.name, ())))
        if len(own.rows) < FEWEST:
            continue
        columns = {
            claim.name: own.column(claim.estimand)
            for claim in experiment.claims
            if claim.kind == "finding" and claim.summary != "share" and isinstance(claim.estimand, str) and not claim.related
        }
        columns = {name: values for name, values in columns.items() if np.isfinite(values).all()}
        faults += [
            f"'{name}' is the same in all {len(own.rows)} runs" for name, values in columns.items() if np.ptp(values) == 0
        ]
        varying = {name: values for name, values in columns.items() if np.ptp(values) > 0}
        for (first, one), (second, other) in combinations(varying.items(), 2):
            together = abs(float(np.corrcoef(one, other)[0, 1]))
            ranked = abs(float(np.corrcoef(_ranks(one), _ranks(other))[0, 1]))
            if together > SAME or ranked > 1 - 1e-9:
                faults.append(f"'{first}' and '{second}' are one number over {len(own.rows)} runs (correlation {together:.4f})")
    return faults


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)


def _null_runs(study: Study, store: Store, cell: Cell) -> list[StoredRun]:
    own = cell.experiment.measure_nulls is not None
    return [
        run
        for run in store.runs(
            study.slug,
            experiment=f"{cell.experiment.name}/{NULLS}" if own else cell.experiment.name,
            settings_digest=cell.settings_digest,
            fingerprint=fingerprint(study, cell.experiment.name, NULLS if own else ""),
        )
        if run.status == "ok"
    ]
