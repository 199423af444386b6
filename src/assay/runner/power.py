"""What the open claims of a study need, from what is stored of it, or from a pilot."""

from dataclasses import dataclass

from assay.claims.power import Need, needs, needs_unseen
from assay.claims.study import Study
from assay.claims.verdict import PILOT_SEEDS
from assay.core.errors import UsageError
from assay.runner.executors import Local
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored, run_rows
from assay.store.store import Store, StoredRun

__all__ = ["Planned", "planned"]


@dataclass(frozen=True)
class Planned:
    """A claim's need, the minutes of one core that its further runs take, and what kind of runs the answer rests on."""

    need: Need
    minutes: float | None
    rests_on: str


def planned(study: Study, store: Store, *, pilot: int, most: int) -> list[Planned]:
    """The needs of all findings of the study, after a pilot of the experiments without any run.

    Runs that count come first, then a pilot's, then stale ones of the same preset: the first kind with two runs or more. Where
    there are none, the preset's number of runs is told, at the cost that the experiment states.

    Raises:
        UsageError: more pilot runs than there are seeds that never count.
    """
    if pilot > len(PILOT_SEEDS):
        raise UsageError(f"a pilot has at most {len(PILOT_SEEDS)} runs, for its seeds never count; got {pilot}")
    unseen = [one.name for one in study.experiments if one.has_runs and not store.runs(study.slug, experiment=one.name)]
    if pilot and unseen:
        execute(plan(Selection(study, experiments=unseen), store, n_runs=pilot, seed=PILOT_SEEDS[0]), store, executor=Local())
    (judged,) = judge_stored(Selection(study), store)
    seen: dict[str, list[StoredRun]] = {}
    kinds = {}
    for name, cell in judged.cells.items():
        stored = store.runs(study.slug, experiment=name)
        current = [run for run in stored if (run.fingerprint, run.settings_digest) == (cell.fingerprint, cell.settings_digest)]
        pilots = [run for run in current if run.seed in PILOT_SEEDS]
        stale = [run for run in stored if run.fingerprint != cell.fingerprint and run.preset == "laptop" and not run.custom]
        for kind, runs in (("counted", judged.runs[name]), ("pilot", pilots), ("stale", stale)):
            if len(runs) > 1:
                seen[name], kinds[name] = list(runs), kind
                break
    counted = {name: rows for name, rows in judged.rows.items() if rows}
    found = needs(study, counted, {name: run_rows(runs) for name, runs in seen.items()}, most=most, looks=judged.looks)
    found += needs_unseen(study, counted, seen)
    return [
        Planned(need, _minutes(study, need, seen.get(need.experiment, [])), kinds.get(need.experiment, "the stated cost"))
        for need in found
    ]


def _minutes(study: Study, need: Need, runs: list[StoredRun]) -> float | None:
    """Of one core, from the runs; from the stated cost where there are none."""
    stated = study.experiment(need.experiment).seconds_per_run
    seconds = sum(run.wall_s for run in runs) / len(runs) if runs else stated
    return None if need.more is None or seconds is None else need.more * seconds / 60
