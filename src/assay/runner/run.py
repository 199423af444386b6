"""Carry out a plan: tasks to an executor, finished runs into the store at once, verdicts from what is stored."""

import contextlib
import json
import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Literal

from assay.claims.exact import ExactVerdict
from assay.claims.study import Measurement, Study
from assay.claims.verdict import RunRow, Verdict, counts, judge, undecided
from assay.core.errors import UsageError
from assay.core.settings import canonical_json, digest
from assay.runner.discovery import address_of
from assay.runner.exact import compute_exact, exact_verdicts
from assay.runner.executors import Executor
from assay.runner.fingerprint import fingerprint, why_stale
from assay.runner.lacking import lacks
from assay.runner.plan import Cell, Plan, Selection, counted_seeds
from assay.runner.work import Finished, Task
from assay.stats.sequential import planned_looks
from assay.store.store import Look, Store, StoredRun, run_address

__all__ = ["Event", "Judged", "Outcome", "checked_most", "execute", "judge_stored", "run_rows"]

_TELLING = 0.1  # the share of a run whose pace is believed in full


@dataclass(frozen=True)
class Event:
    """Something to show while a plan is carried out.

    Attributes:
        kind: "plan" (what is stored and what is to do), "progress", "stored" (runs were stored), "round" (`--until-decided`
            looked at the verdicts).
        says: one line for a person; empty for mere progress without a label.
        done: runs done, the shares of those in flight included; of `total`.
        total: runs to do, as far as is known.
        remaining_s: estimated seconds until all are done; None while nothing is known.
        runs: what was stored just now.
    """

    kind: Literal["plan", "progress", "stored", "round"]
    says: str
    done: float
    total: int
    remaining_s: float | None
    runs: tuple[StoredRun, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.

    Attributes:
        computed: runs stored by this command, `diverged` and `failed` ones included.
        failures: the distinct messages of failed runs.
        rounds: looks at the verdicts in `--until-decided`; 0 without it.
        undecided: names of claims that the last look found undecided.
    """

    computed: int
    diverged: int
    failed: int
    failures: tuple[str, ...]
    rounds: int = 0
    undecided: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 4 where a run failed."""
        return 4 if self.failed else 0


@dataclass(frozen=True)
class Judged:
    """The verdicts at one settings value (of each experiment), and what a reader must know about the rows behind them.

    Attributes:
        preset: the scale asked for.
        cells: experiment and settings, by experiment name.
        verdicts: one per claim, in the study's order.
        runs: the rows judged, by experiment, ordered by seed.
        stale: stored runs of other sources that were left aside, by experiment.
        edited: claims that were declared otherwise when some of the rows were made.
        environments: the distinct environments the rows were made in; numbers are promised equal to the bit only within one.
        exact: one per exact check, in the study's order.
        looks: of experiments with runs that `--until-decided` added, the most runs it was allowed; 0 where it was not one plan.
        why_stale: why the stale ones are, by experiment; only where there are some.
        aside: stored runs that do not count (a pilot's, seeds before the study's first, or others than were asked for), by
            experiment.
        elsewhere: today's runs at other settings, by experiment; they are not judged here.
    """

    preset: str
    cells: Mapping[str, Cell]
    verdicts: list[Verdict]
    runs: Mapping[str, list[StoredRun]]
    stale: Mapping[str, int]
    edited: tuple[str, ...]
    environments: tuple[Mapping[str, object], ...]
    looks: Mapping[str, int]
    aside: Mapping[str, int]
    why_stale: Mapping[str, str]
    exact: tuple[ExactVerdict, ...] = ()
    elsewhere: Mapping[str, Sequence[StoredRun]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, list[RunRow]]:
        """What was judged, by experiment."""
        return {name: run_rows(runs) for name, runs in self.runs.items()}

    @property
    def changed(self) -> dict[str, object]:
        """The settings that differ from the preset's, over all experiments."""
        changed: dict[str, object] = {}
        for cell in self.cells.values():
            base = cell.experiment.preset(self.preset).settings
            for one in fields(cell.settings):  # type: ignore[arg-type]
                value = getattr(cell.settings, one.name)
                if value != getattr(base, one.name):
                    changed[one.name] = value
        return changed


def execute(
    plan: Plan,
    store: Store,
    *,
    executor: Executor,
    until_decided: bool = False,
    max_runs: int | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    """Do what the plan leaves to do, storing every task's runs in one transaction as soon as it is finished.

    A kill at any moment loses the tasks under way and nothing else; carrying out the same plan again goes on from there.

    Args:
        plan: see `assay.runner.plan.plan`.
        store: open for writing.
        executor: where to compute.
        until_decided: run a quarter of `max_runs` and look; give experiments with open claims the next quarter, and so on.
        max_runs: the most runs per settings value in that case; with the looks, it is fixed before the first run.
        on_event: called in this thread.

    Raises:
        UsageError: `until_decided` without a sensible `max_runs`, or at the quick preset.
        AssayError: what a study says to its user (a missing file, package or model).
        StoreError: the store cannot be written.
    """
    most = checked_most(plan, max_runs) if until_decided else 0
    session = _Session(plan, store, executor, most, on_event)
    for cell in plan.cells:
        if compute_exact(plan.study, store, cell, preset=plan.preset):
            session.say("plan", f"{plan.study.slug}/{cell.experiment.name}: {len(cell.experiment.exact)} exact checks computed")
    with executor:
        if not most:
            session.carry_out(plan.cells)
        rounds, open_claims = 0, list[str]()
        while most:
            cells, open_claims = session.undecided_cells(most)
            if not cells:
                break
            more = sum(len(cell.todo) for cell in cells)
            if rounds:
                session.say("round", f"undecided: {', '.join(open_claims)}; {more} runs are added")
            session.carry_out(cells)
            rounds += 1
    return Outcome(session.computed, session.diverged, session.failed, tuple(session.failures), rounds, tuple(open_claims))


def judge_stored(selection: Selection, store: Store, *, seeds: range | None = None) -> list[Judged]:
    """The verdicts that stored rows support, one element per point of the settings grid (one, without a grid).

    Every stored run of a settings value made by today's sources counts, whatever its seed, so that no run can be left out. At
    how many runs that was is noted in the store, and told where more runs are judged later by intervals for one look.

    Args:
        selection: what is judged.
        store: where the rows are.
        seeds: judge these alone, as a replication on fresh seeds is; the others are told as left aside.

    Raises:
        UsageError: unknown experiment or preset.
        SettingsError: an override is refused.
        StoreError: rows do not verify.
    """
    study, stored = selection.study, selection.stored(store)
    base = _base(study, selection.preset, store, stored, stored)
    before = store.looks() if seeds is None else set()
    points = [
        replace(
            _judged(study, selection.preset, point, stored, base, seeds, before),
            exact=tuple(exact_verdicts(study, store, point)),
        )
        for point in selection.points
    ]
    if seeds is None and selection.preset != "quick":
        store.note_looks(look for judged in points for look in _looks_at(study, judged))
    return points


def _looks_at(study: Study, judged: Judged) -> Iterator[Look]:
    """What this judgement was a look at, as far as there were intervals to look at."""
    for name, cell in judged.cells.items():
        if len(judged.runs[name]) > 1:
            yield (study.slug, name, cell.settings_digest, cell.fingerprint, len(judged.runs[name]))


def _base(
    study: Study, preset: str, store: Store, names: Iterable[str], stored: Mapping[str, list[StoredRun]]
) -> dict[str, list[StoredRun]]:
    """The runs that count at the preset's own settings, of every experiment that shares a family with one of these.

    Claims of one family share their error, so the interval of one depends on what the others say. They are always those at the
    preset's settings, whatever a command names or changes: the same rows have the same interval everywhere.
    """
    families = {study.experiment(name).family for name in names}
    found = {}
    for experiment in study.experiments:
        if experiment.family in families and experiment.has_runs:
            name, at = experiment.name, digest(experiment.preset(preset).settings)
            code = fingerprint(study, name)
            runs = stored[name] if name in stored else store.runs(study.slug, experiment=name, settings_digest=at)
            same = [run for run in runs if (run.settings_digest, run.fingerprint) == (at, code)]
            found[name] = [run for run in same if counts(study, name, run.seed)]
    return found


def _verdicts(
    study: Study,
    preset: str,
    runs: Mapping[str, list[StoredRun]],
    custom: Collection[str],
    base: Mapping[str, list[StoredRun]],
    before: Mapping[str, Sequence[int]],
) -> list[Verdict]:
    """The verdicts of these experiments' runs; each is judged beside its family as it stands at the preset's settings."""

    def judged(rows: Mapping[str, list[StoredRun]]) -> list[Verdict]:
        looks = {name: _planned(found) for name, found in rows.items() if any(run.sequential for run in found)}
        by_name = {name: run_rows(found) for name, found in rows.items()}
        return judge(study, by_name, quick=preset == "quick", looks=looks, before=before)

    plain = {name: found for name, found in runs.items() if name not in custom}
    verdicts = [one for one in judged({**base, **plain}) if one.experiment in plain] if plain else []
    for name in custom:
        family = study.experiment(name).family
        kin = {other: found for other, found in base.items() if study.experiment(other).family == family}
        verdicts += [one for one in judged({**kin, name: runs[name]}) if one.experiment == name]
    order = [experiment.name for experiment in study.experiments]
    return sorted(verdicts, key=lambda one: order.index(one.experiment))


def _judged(
    study: Study,
    preset: str,
    point: Sequence[Cell],
    stored: Mapping[str, list[StoredRun]],
    base: Mapping[str, list[StoredRun]],
    seeds: range | None = None,
    before: Collection[Look] = (),
) -> Judged:
    cells = {cell.experiment.name: cell for cell in point}
    runs, stale, aside, why, elsewhere = {}, {}, {}, {}, {}
    for name, cell in cells.items():
        same_code = [run for run in stored[name] if run.fingerprint == cell.fingerprint]
        elsewhere[name] = [run for run in same_code if run.settings_digest != cell.settings_digest]
        kin = [run for run in stored[name] if run.settings_digest == cell.settings_digest]
        current = [run for run in kin if run.fingerprint == cell.fingerprint]
        runs[name] = [run for run in current if counts(study, name, run.seed) and (seeds is None or run.seed in seeds)]
        aside[name] = len(current) - len(runs[name])
        same_scale = [run for run in stored[name] if run.preset == preset and run.custom == cell.custom]
        old = {run.run_id: run.version for run in (*kin, *same_scale) if run.fingerprint != cell.fingerprint}
        stale[name] = len(old)
        if old:
            why[name] = why_stale(study, old.values())
    everything = [run for found in runs.values() for run in found]
    looks = {name: _planned(found) for name, found in runs.items() if any(run.sequential for run in found)}
    declared = {claim.name: claim.digest for cell in point for claim in cell.experiment.claims}
    # Rows made together share these records, so each is looked at once and not once a row.
    made_under = {id(run.claims): run.claims for run in everything}.values()
    made_in = {id(run.environment): run.environment for run in everything}.values()
    edited = {name for claims in made_under for name, value in claims.items() if declared.get(name, value) != value}
    custom = [name for name, cell in cells.items() if cell.custom]
    earlier: dict[str, list[int]] = {}
    for slug, name, settings, code, n in before:
        if slug == study.slug and name in cells and (cells[name].settings_digest, cells[name].fingerprint) == (settings, code):
            earlier.setdefault(name, []).append(n)
    return Judged(
        preset=preset,
        cells=cells,
        verdicts=_verdicts(study, preset, runs, custom, base, earlier),
        runs=runs,
        stale=stale,
        edited=tuple(name for name in declared if name in edited),
        environments=tuple(json.loads(text) for text in sorted({canonical_json(dict(record)) for record in made_in})),
        looks=looks,
        aside=aside,
        why_stale=why,
        elsewhere=elsewhere,
    )


def run_rows(runs: Iterable[StoredRun]) -> list[RunRow]:
    """What a judge sees of stored runs, ordered by seed."""
    return [
        RunRow(run.experiment, run.seed, run.status, run.estimands, run.items) for run in sorted(runs, key=lambda run: run.seed)
    ]


def _planned(runs: Sequence[StoredRun]) -> int:
    """The most runs that one plan of looks allowed, where all runs were made under it; else 0."""
    plans = {run.sequential for run in runs}
    return plans.pop() if len(plans) == 1 and min(plans) > 1 else 0


def checked_most(plan: Plan, max_runs: int | None) -> int:
    """The most runs that an experiment may be given until it is decided.

    Raises:
        UsageError: it is not said, too few, or asked of a preset that may not speak.
    """
    least = max(plan_cell.experiment.preset(plan.preset).n_runs for plan_cell in plan.cells)
    if max_runs is None or max_runs < least:
        raise UsageError(f"--until-decided needs --max-runs of at least {least}, the preset's number of runs; got {max_runs}")
    if plan.preset == "quick":
        raise UsageError("--until-decided needs a preset that may speak; 'quick' decides nothing. Use --preset laptop")
    return max_runs


class _Session:
    """The state of one `execute`: what was done, how fast, and what is under way."""

    def __init__(
        self, plan: Plan, store: Store, executor: Executor, sequential: int, on_event: Callable[[Event], None]
    ) -> None:
        self.plan, self.store, self.executor, self.sequential = plan, store, executor, sequential
        self._on_event = on_event
        self.computed = self.diverged = self.failed = 0
        self.failures: list[str] = []
        self._total = plan.n_todo
        self._seconds = {cell.key: cell.seconds_per_run for cell in plan.cells}
        self._left: dict[int, list[Cell]] = {}
        self._shares: dict[int, tuple[float, float]] = {}  # task under way: share done, when it began
        self._tasks: list[tuple[Cell, Task]] = []
        self._open: set[int] = set()
        self._tried: set[tuple[tuple[str, str], int]] = set()
        self._looked_at: set[str] = set()
        self._last_event = -math.inf
        for line in plan.lines:
            self.say("plan", line)
        if sequential:
            looks = ", ".join(map(str, planned_looks(sequential)))
            self.say("plan", f"{plan.study.slug}: looked at after {looks} runs, as far as claims are open")

    def say(self, kind: Literal["plan", "progress", "stored", "round"], says: str, runs: tuple[StoredRun, ...] = ()) -> None:
        """Send an event with the present state of progress."""
        self._last_event = time.monotonic()
        under_way = sum(share * len(self._tasks[index][1].seeds) for index, (share, _) in self._shares.items())
        self._on_event(Event(kind, says, self.computed + under_way, self._total, self._remaining(), runs))

    def carry_out(self, cells: Sequence[Cell]) -> None:
        """Run what is left of the cells, storing as it comes."""
        address = address_of(self.plan.study) if self.executor.elsewhere else None
        self._tasks = [(cell, self._task(cell, seeds, address)) for cell in cells for seeds in self._chunks(cell)]
        self._open = set(range(len(self._tasks)))
        self._shares = {}
        if self._tasks:
            self.say("progress", self._tasks[0][0].experiment.name)  # with an estimate, where stated costs allow one
        work = [(cell.experiment, task) for cell, task in self._tasks]
        with contextlib.closing(self.executor.run(work, self._progress)) as results:
            for index, finished in results:
                self._keep(index, finished)

    def undecided_cells(self, most: int) -> tuple[list[Cell], list[str]]:
        """The cells to give runs up to their next planned look, with the seeds to add, and the claims that ask for them."""
        found: dict[tuple[str, str], Cell] = {}
        claims: list[str] = []
        names = [cell.experiment.name for cell in self.plan.points[0]]
        looks = planned_looks(most)
        base = _base(self.plan.study, self.plan.preset, self.store, names, {})
        for point in self.plan.points:
            stored = {
                cell.experiment.name: self.store.runs(
                    self.plan.study.slug, experiment=cell.experiment.name, settings_digest=cell.settings_digest
                )
                for cell in point
            }
            judged = _judged(self.plan.study, self.plan.preset, point, stored, base)
            open_claims = {one.claim: one.experiment for one in undecided(judged.verdicts)}
            for name, cell in judged.cells.items():
                runs = judged.runs[name]
                own = [claim for claim, experiment in open_claims.items() if experiment == name]
                target = next((look for look in looks if look > len(runs)), None)
                # Between two looks the runs are those of a command that was stopped: it goes on, whatever they say so far.
                waiting = len(runs) < looks[0] or (_planned(runs) == most and len(runs) not in looks)
                claims += own
                if target is not None and cell.experiment.has_runs and (own or waiting):
                    # A run that failed is no result: it is tried again, once a command.
                    done = {run.seed for run in runs if run.status != "failed" or (cell.key, run.seed) in self._tried}
                    more = counted_seeds(self.plan.study, name, self.plan.seed, most + len(done))
                    seeds = tuple(seed for seed in more if seed not in done)[: target - len(done)]
                    found[cell.key] = replace(cell, seeds=seeds, done=())
        cells = sorted(found.values(), key=lambda cell: names.index(cell.experiment.name))
        self._total = self.computed + sum(len(cell.todo) for cell in cells)
        return cells, list(dict.fromkeys(claims))

    def _task(self, cell: Cell, seeds: tuple[int, ...], address: object) -> Task:
        study = self.plan.study
        memos = self.store.folder / "memos"
        return Task(study.slug, cell.experiment.name, cell.settings, seeds, cell.fingerprint, memos, address)  # type: ignore[arg-type]

    def _chunks(self, cell: Cell) -> list[tuple[int, ...]]:
        """The seeds of each task: one, or for a program that measures many runs as many as keep every worker busy.

        The cuts depend on the runs asked for, not on those left to do, and a task is stored whole: a command that resumes
        computes the very batches that were lost, so that its rows are the uninterrupted command's to the last bit.
        """
        size = 1
        if cell.experiment.has_many:
            size = max(1, min(cell.experiment.batch, math.ceil(len(cell.seeds) / self.executor.workers)))
        todo = set(cell.todo)
        parts = [cell.seeds[start : start + size] for start in range(0, len(cell.seeds), size)]
        return [left for part in parts if (left := tuple(seed for seed in part if seed in todo))]

    def _progress(self, index: int, share: float, label: str) -> None:
        before, began = self._shares.get(index, (0.0, time.monotonic()))
        # A run that trains twice within one part begins to count anew; it has not become less far for that.
        self._shares[index] = (max(before, share), began)
        if time.monotonic() - self._last_event >= 0.1:
            cell, _ = self._tasks[index]
            self.say("progress", f"{cell.experiment.name}: {label}" if label else cell.experiment.name)

    def _keep(self, index: int, finished: Finished) -> None:
        cell, task = self._tasks[index]
        study, per_run = self.plan.study, finished.wall_s / len(task.seeds)
        claims = {claim.name: claim.digest for claim in cell.experiment.claims}
        settings = json.loads(canonical_json(cell.settings))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        rows = []
        for result in finished.results:
            run_id = run_address(
                study.slug, study.version, task.experiment, cell.settings_digest, result.seed, task.fingerprint
            )
            run = StoredRun(
                run_id=run_id,
                study=study.slug,
                version=study.version,
                experiment=task.experiment,
                preset=self.plan.preset,
                custom=cell.custom,
                settings=settings,
                settings_digest=cell.settings_digest,
                seed=result.seed,
                status=result.status,
                error=result.error,
                estimands=result.estimands,
                items=result.items,
                tables={},
                claims=claims,
                fingerprint=task.fingerprint,
                environment=finished.environment,
                wall_s=per_run,
                created=created,
                sequential=self.sequential,
            )
            rows.append((run, result.tables))
        stored = self.store.add_all(rows)
        self._tried |= {(cell.key, seed) for seed in task.seeds}
        self._shares.pop(index, None)
        self._open.discard(index)
        self.computed += len(stored)
        self.diverged += sum(run.status == "diverged" for run in stored)
        bad = [run for run in stored if run.status == "failed"]
        self.failed += len(bad)
        self.failures += [message for message in dict.fromkeys(run.error for run in bad) if message not in self.failures]
        if not cell.custom and cell.experiment.name not in self._looked_at:
            self._look_at(cell, finished)
        if not bad:
            known = self._seconds.get(cell.key)
            self._seconds[cell.key] = per_run if known is None else (known + per_run) / 2
        lost = [f"seed {run.seed} {run.status}: {run.error}" for run in stored if run.status != "ok"]
        what = f"seed {stored[0].seed}" if len(stored) == 1 else f"{len(stored)} runs"
        self.say("stored", "; ".join([f"{task.experiment}: {what} stored", *lost]), tuple(stored))

    def _look_at(self, cell: Cell, finished: Finished) -> None:
        """Say once an experiment, as soon as a run is there, what its claims and figures ask for in vain.

        Settings that were changed may leave something out, so that it is said at a preset's own only.
        """
        for result in finished.results:
            if result.status == "ok":
                self._looked_at.add(cell.experiment.name)
                measured = Measurement(result.estimands, result.tables, result.items)
                for fault in lacks(cell.experiment, measured):
                    self.say("plan", f"{self.plan.study.slug}/{cell.experiment.name}, in its first run: {fault}")
                return

    def _remaining(self) -> float | None:
        """Seconds until the open tasks are done, from finished runs, else the shares of those under way, else stated costs."""
        now = time.monotonic()
        known = dict(self._seconds)
        for index, (share, began) in self._shares.items():
            cell, task = self._tasks[index]
            if known.get(cell.key) is None and share > 0.01:
                seen = (now - began) / share / len(task.seeds)
                stated = self._stated(cell)
                # The beginning of a run (loading, first questions) says little about the rest of it.
                trust = 1.0 if stated is None else min(share / _TELLING, 1.0)
                known[cell.key] = trust * seen + (1 - trust) * (stated or 0.0)
        guess = self._guesses(known)
        work = 0.0
        for index in self._open:
            cell, task = self._tasks[index]
            share = self._shares.get(index, (0.0, now))[0]
            seconds = known.get(cell.key) or guess.get(cell.key)
            if seconds is None:
                return None
            work += seconds * len(task.seeds) * (1 - share)
        return work / max(1, min(self.executor.workers, len(self._open)))

    def _stated(self, cell: Cell) -> float | None:
        """Seconds that a run is stated to take; None where the statement does not follow the settings to another preset."""
        cost = cell.experiment.cost
        follows = self.plan.preset == "laptop" or (cost is not None and cost.work is not None)
        return cell.experiment.seconds_of(cell.settings) if follows else None

    def _guesses(self, known: Mapping[tuple[str, str], float | None]) -> dict[tuple[str, str], float]:
        """Seconds a run of each cell may take: as long as its experiment states, times how this machine and preset compare.

        How they compare is seen in the cells of which a speed is known. Before any is, stated costs hold as they are: at the
        laptop preset, and at all settings where they say how they follow them (`Cost.work`). Where nothing is stated, a run
        takes as long as the others do.
        """
        stated = {cell.key: cell.experiment.seconds_of(cell.settings) for cell, _ in self._tasks}
        seen = [(speed, stated.get(key)) for key, speed in known.items() if speed is not None]
        paces = [speed / cost for speed, cost in seen if cost]
        if paces:
            pace = statistics.median(paces)
            guesses = {key: cost * pace for key, cost in stated.items() if cost}
        else:
            guesses = {cell.key: cost for cell, _ in self._tasks if (cost := self._stated(cell))}
        if seen:
            typical = statistics.fmean(speed for speed, _ in seen)
            guesses |= {key: typical for key in stated if key not in guesses}
        return guesses
