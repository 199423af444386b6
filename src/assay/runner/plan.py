"""What a command is about, and what it will do before it does anything: settings values times seeds, stored or left to run."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from assay.claims.study import Experiment, Study
from assay.claims.verdict import PILOT_SEEDS, counts
from assay.core.errors import AssayError, InputError, MissingExtra, SettingsError, UsageError
from assay.core.settings import changes, digest, resolve
from assay.runner.fingerprint import fingerprint
from assay.store.store import Store, StoredRun

__all__ = ["Cell", "Plan", "Selection", "counted_seeds", "plan"]

_LARGEST_SEED = 2**62
_MOST_RUNS = 1_000_000  # of an experiment; seeds are listed one by one


@dataclass(frozen=True)
class Cell:
    """One experiment at one settings value.

    Attributes:
        experiment: the arm.
        settings: its settings record, with `settings_digest`.
        custom: whether they differ from the preset's.
        fingerprint: of today's sources.
        seeds: the runs that were asked for.
        done: those of them that are stored.
        retried: those whose stored run failed, which is no result; they are run again.
        stale: how many stored runs of this arm (same settings, or same preset) were made by other sources.
        seconds_per_run: mean over the stored runs; None where there are none.
    """

    experiment: Experiment
    settings: object
    settings_digest: str
    custom: bool
    fingerprint: str
    seeds: tuple[int, ...] = ()
    done: tuple[int, ...] = ()
    retried: tuple[int, ...] = ()
    stale: int = 0
    seconds_per_run: float | None = None

    @property
    def todo(self) -> tuple[int, ...]:
        """The seeds that are left to run."""
        return tuple(sorted(set(self.seeds) - set(self.done)))

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the other cells of a study."""
        return (self.experiment.name, self.settings_digest)


@dataclass(frozen=True)
class Selection:
    """What a command is about: a study, which of its experiments, at which scale, with which settings changed.

    Attributes:
        study: the study.
        experiments: names; None for all.
        preset: "quick", "laptop" or "paper".
        overrides: texts `name=value`; see `assay.core.settings.resolve`. `experiment.name=value` is for that experiment alone.
    """

    study: Study
    experiments: Sequence[str] | None = None
    preset: str = "laptop"
    overrides: Sequence[str] = ()

    @cached_property
    def points(self) -> tuple[tuple[Cell, ...], ...]:
        """For each point of the settings grid, one cell per experiment, without seeds.

        Raises:
            UsageError: unknown experiment or preset.
            SettingsError: an override is refused, or is not a setting of every experiment that is asked for.
        """
        names = dict.fromkeys(self.experiments) if self.experiments else [one.name for one in self.study.experiments]
        wanted = [self.study.experiment(name) for name in names]
        shared, own = self._overrides(wanted)
        grids = []
        for experiment in wanted:
            base, where = experiment.preset(self.preset).settings, f"{self.study.slug}/{experiment.name}"
            for text in own[experiment.name]:
                if len(resolve(base, [text], where=where)) > 1:
                    raise SettingsError(
                        f"{where}: a grid must be of all experiments that are run; got {text}. Run this one alone"
                    )
            code = fingerprint(self.study, experiment.name)
            grid = resolve(base, [*shared, *own[experiment.name]], where=where)
            grids.append([Cell(experiment, one, digest(one), digest(one) != digest(base), code) for one in grid])
        return tuple(zip(*grids, strict=True))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all points, each once (an experiment that the grid does not touch is in several points)."""
        return _each_once(self.points)

    def stored(self, store: Store) -> dict[str, list[StoredRun]]:
        """All runs that are stored of each experiment, at whatever settings, by its name.

        Raises:
            StoreError: rows do not verify.
        """
        return {cell.experiment.name: store.runs(self.study.slug, experiment=cell.experiment.name) for cell in self.points[0]}

    def _overrides(self, wanted: Sequence[Experiment]) -> tuple[list[str], dict[str, list[str]]]:
        """What is for all experiments, and what is for one alone, by its name."""
        own: dict[str, list[str]] = {experiment.name: [] for experiment in wanted}
        shared = []
        for text in self.overrides:
            name = text.partition("=")[0].strip()
            alone = name.partition(".")[0]
            if "." in name and alone in own:
                own[alone].append(text.strip().removeprefix(f"{alone}."))
                continue
            shared.append(text)
            having = [one.name for one in wanted if name in {field.name for field in fields(one.preset(self.preset).settings)}]
            if having and len(having) < len(wanted):
                chosen = " ".join(f"--experiment {one}" for one in having)
                raise SettingsError(
                    f"{self.study.slug}: a setting must belong to every experiment that is run; '{name}' belongs to "
                    f"{', '.join(having)}. Add {chosen}, or write --set {having[0]}.{text.strip()} to change it there alone"
                )
        return shared, own


def _each_once(points: Sequence[Sequence[Cell]]) -> tuple[Cell, ...]:
    return tuple({cell.key: cell for point in points for cell in point}.values())


@dataclass(frozen=True)
class Plan:
    """The runs of one command, cell by cell; the cells are grouped by points of the settings grid.

    Attributes:
        selection: what it is about.
        points: for each point of the grid, one cell per experiment that can be run here.
        seed: of the first run, as asked for; None for each experiment's first that counts.
        left_out: why an experiment that nobody named cannot be run here, by its name.
    """

    selection: Selection
    points: tuple[tuple[Cell, ...], ...]
    seed: int | None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        """The study."""
        return self.selection.study

    @property
    def preset(self) -> str:
        """The scale asked for."""
        return self.selection.preset

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, each once (an experiment that the grid does not touch is in several points)."""
        return _each_once(self.points)

    @property
    def n_todo(self) -> int:
        """Runs to do."""
        return sum(len(cell.todo) for cell in self.cells)

    @property
    def lines(self) -> list[str]:
        """What is stored and what will be done, one sentence per cell, so that a resumed command says that it resumes."""
        several = len(self.points) > 1
        lines = [_line(self.study, cell, self.preset, several) for cell in self.cells]
        return lines + [f"{self.study.slug}/{name} is left out: {why}" for name, why in self.left_out.items()]


def plan(
    selection: Selection, store: Store, *, n_runs: int | None = None, seed: int | None = None, fresh: bool = False
) -> Plan:
    """The runs that are asked for and those of them that are stored already.

    Everything that can be refused is refused here, before anything starts. An experiment that lacks a package or a model is
    refused where it was named, or where none could be run; otherwise it is left out, and the plan says so.

    Args:
        selection: what is to be run.
        store: where runs are kept.
        n_runs: how many seeds; None for the preset's number.
        seed: the first; the others follow one by one, past the seeds kept for pilots. None for each experiment's first that
            counts.
        fresh: run again what is stored; the newer rows count.

    Raises:
        UsageError: unknown experiment or preset, or numbers that make no sense.
        SettingsError: an override is refused.
        MissingExtra: an experiment needs a package that is not installed.
        InputError: an experiment needs something else that is not there.
        StoreError: stored rows do not verify.
    """
    study, preset, points = selection.study, selection.preset, selection.points
    if n_runs is not None and n_runs < 1:
        raise UsageError(f"an experiment needs at least one run; got {n_runs} (from --runs)")
    if seed is not None and not 0 <= seed < _LARGEST_SEED:
        raise UsageError(f"a seed must lie between 0 and 2^62; got {seed} (from --seed)")
    missing = {cell.experiment.name: error for cell in selection.cells if (error := _lacking(study, cell))}
    if missing and (selection.experiments is not None or len(missing) == len(points[0])):
        raise next(iter(missing.values()))
    stored = selection.stored(store)
    filled = []
    for point in points:
        cells = []
        for cell in point:
            if cell.experiment.name in missing:
                continue
            count = n_runs if n_runs is not None else cell.experiment.preset(preset).n_runs
            seeds = counted_seeds(study, cell.experiment.name, seed, count) if cell.experiment.has_runs else ()
            cells.append(_filled(cell, seeds, stored[cell.experiment.name], preset, fresh))
        filled.append(tuple(cells))
    return Plan(selection, tuple(filled), seed, {name: str(error) for name, error in missing.items()})


def counted_seeds(study: Study, experiment: str, first: int | None, count: int) -> tuple[int, ...]:
    """So many seeds of an experiment, without the pilot's; one by one where the first does not count itself.

    Args:
        study: the study.
        experiment: the name of one of its experiments.
        first: the seed to begin with; None for the first that counts.
        count: how many.

    Raises:
        UsageError: more than a million.
    """
    if count > _MOST_RUNS:
        raise UsageError(f"an experiment takes at most {_MOST_RUNS:,} runs; got {count:,}")
    first = study.first_seed_of(experiment) if first is None else first
    if not counts(study, experiment, first):
        return tuple(range(first, first + count))
    found = (seed for seed in range(first, first + count + len(PILOT_SEEDS)) if seed not in PILOT_SEEDS)
    return tuple(seed for seed, _ in zip(found, range(count), strict=False))


def _filled(cell: Cell, seeds: tuple[int, ...], runs: Sequence[StoredRun], preset: str, fresh: bool) -> Cell:
    mine = [run for run in runs if run.settings_digest == cell.settings_digest and run.fingerprint == cell.fingerprint]
    kin = [
        run
        for run in runs
        if run.settings_digest == cell.settings_digest or (run.preset == preset and run.custom == cell.custom)
    ]
    finished = [run for run in mine if run.status != "failed"]
    return replace(
        cell,
        seeds=seeds,
        done=() if fresh else tuple(sorted({run.seed for run in finished} & set(seeds))),
        retried=tuple(sorted({run.seed for run in mine if run.status == "failed"} & set(seeds))),
        stale=sum(run.fingerprint != cell.fingerprint for run in kin),
        seconds_per_run=sum(run.wall_s for run in finished) / len(finished) if finished else None,
    )


def _lacking(study: Study, cell: Cell) -> AssayError | None:
    """Why this experiment cannot be run here."""
    for module, extra in cell.experiment.needs.items():
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            return MissingExtra(module, extra, f"{study.slug}/{cell.experiment.name}")
    try:
        cell.experiment.check_ready(cell.settings)
    except InputError as error:
        return error
    return None


def _line(study: Study, cell: Cell, preset: str, several: bool) -> str:
    changed = ", ".join(changes(cell.experiment.preset(preset).settings, cell.settings))
    at = f" at {changed or f'the settings of {preset}'}" if several else ""
    state = f"{len(cell.done)} of {len(cell.seeds)} runs are stored, {len(cell.todo)} to do"
    if not cell.experiment.has_runs:
        state = f"{len(cell.experiment.exact)} exact checks, no runs"
    parts = [f"{study.slug}/{cell.experiment.name}{at}: {state}"]
    if cell.retried and cell.todo:
        parts.append(f"{len(cell.retried)} failed before and are tried again")
    if cell.stale:
        parts.append(f"{cell.stale} stored runs are of other sources (stale) and are left aside")
    return "; ".join(parts)
