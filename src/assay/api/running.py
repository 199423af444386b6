"""Studies from Python: list them, run them, judge what is stored, write their pages."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay.api.results import Results
from assay.claims.study import Study
from assay.core.device import on_device
from assay.core.errors import UsageError
from assay.core.settings import spelled
from assay.runner import listing
from assay.runner.cost import Estimate, estimates, long_said
from assay.runner.discovery import find
from assay.runner.executors import Executor, executor
from assay.runner.listing import Listed
from assay.runner.plan import Selection, plan
from assay.runner.run import Event, checked_most, execute, judge_stored
from assay.store.store import Store

__all__ = ["Changes", "Place", "estimate", "judge", "opened", "report", "run", "selected", "studies", "study"]

# Settings that are changed: by name (a list is a grid), or as the command line writes them, "name=value".
Changes = Mapping[str, object] | Sequence[str]
# A store: its folder, or one that is open; None for the one that commands use.
Place = str | Path | Store | None
_PATIENCE_S = 3.0  # for another writer to end


def studies() -> list[Listed]:
    """The studies that are installed, in alphabetical order: slug, number of claims, experiments, title."""
    return listing.listing()[0]


def study(name: str | Path | Study) -> Study:
    """The study of that slug, or the one that the file or folder of that path defines.

    Raises:
        UsageError: there is none of that slug.
        InputError: it cannot be loaded.
    """
    if isinstance(name, Study):
        return name
    return find(name if isinstance(name, str) else f"./{name}" if len(name.parts) == 1 else str(name))


def run(
    study: str | Path | Study,
    *,
    experiments: str | Sequence[str] | None = None,
    preset: str = "laptop",
    set: Changes = (),
    runs: int | None = None,
    seed: int | None = None,
    on: str | Executor = "local",
    until_decided: bool = False,
    max_runs: int | None = None,
    fresh: bool = False,
    device: str | None = None,
    store: Place = None,
    wait: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Results:
    """Run a study, store every run as soon as it is finished, and return the verdicts. What is stored is not computed again.

    A run that fails is recorded, and `Results.failures` says why; the others go on.

    Args:
        study: a slug of `assay.studies()`, the path of a file, or a `Study`.
        experiments: their names; None for all.
        preset: the scale: "quick", whose verdicts are void, "laptop" or "paper".
        set: settings to change, `{"n_facts": 30}`; a list of values makes a grid. "experiment.name" is for one alone.
        runs: how many seeds per experiment; None for the preset's number.
        seed: the first; None for the study's own.
        on: "local", "processes", "ray", or an executor. With "processes" a script needs `if __name__ == "__main__":`.
        until_decided: run quarters of `max_runs`, each only where claims are still open.
        max_runs: the most runs per experiment, with `until_decided`.
        fresh: compute again what is stored.
        device: where models are loaded and trained; see `assay.core.device`.
        store: where rows are kept.
        wait: while another process writes this study's runs, wait for it to end, however long that takes. Several studies may
            be written into one store at once.
        on_event: told what is planned, done and left; nothing is printed.

    Raises:
        UsageError: there is no such study, experiment, preset or executor, or numbers that make no sense together.
        SettingsError: a setting is refused.
        MissingExtra: an experiment needs a package that is not installed.
        InputError: it needs something else that is not there.
        StoreError: the store cannot be read or written.
    """
    most = _most_runs(runs, fresh, until_decided, max_runs)
    selection = selected(study, experiments, preset, set)
    with on_device(device), opened(store, study=selection.study.slug, wait=wait) as there:
        asked = plan(selection, there, n_runs=runs, seed=seed, fresh=fresh)
        how = executor(on) if isinstance(on, str) else on
        whole = plan(selection, there, n_runs=most, seed=seed) if until_decided else asked
        for line in long_said(selection.study, estimates(whole, how.workers)):
            on_event(Event("plan", line, 0, asked.n_todo, None))
        outcome = execute(asked, there, executor=how, until_decided=until_decided, max_runs=max_runs, on_event=on_event)
        return Results(selection, tuple(judge_stored(selection, there)), there.folder, outcome)


def estimate(
    study: str | Path | Study,
    *,
    experiments: str | Sequence[str] | None = None,
    preset: str = "laptop",
    set: Changes = (),
    runs: int | None = None,
    seed: int | None = None,
    on: str | Executor = "local",
    until_decided: bool = False,
    max_runs: int | None = None,
    fresh: bool = False,
    store: Place = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Estimate]:
    """What `run` with these arguments would take, one record an experiment and settings value; nothing is run.

    With `until_decided` it is the most that it can take: all of `max_runs`. `on_event` is told which experiments cannot run
    here, and why.

    Raises:
        UsageError: there is no such study, experiment, preset or executor.
        SettingsError: a setting is refused.
    """
    most = _most_runs(runs, fresh, until_decided, max_runs)
    selection = selected(study, experiments, preset, set)
    how = executor(on) if isinstance(on, str) else on
    with opened(store, read_only=True) as there:
        asked = plan(selection, there, n_runs=most, seed=seed, fresh=fresh)
    if until_decided:
        checked_most(asked, max_runs)
    for name, why in asked.left_out.items():
        on_event(Event("plan", f"{selection.study.slug}/{name} is left out: {why}", 0, 0, None))
    return estimates(asked, how.workers)


def _most_runs(runs: int | None, fresh: bool, until_decided: bool, max_runs: int | None) -> int | None:
    """How many runs an experiment may be given at most; None for the preset's number."""
    if until_decided and (runs is not None or fresh):
        raise UsageError(
            "run: --until-decided plans the runs by --max-runs and goes on from what is stored; leave out --runs, --fresh"
        )
    if max_runs is not None and not until_decided:
        raise UsageError(
            "run: --max-runs is the most that --until-decided may run; give both, or --runs N for N runs of each experiment"
        )
    return max_runs if until_decided else runs


def judge(
    study: str | Path | Study,
    *,
    experiments: str | Sequence[str] | None = None,
    preset: str = "laptop",
    set: Changes = (),
    seeds: range | None = None,
    store: Place = None,
) -> Results:
    """The verdicts that stored rows support; nothing is computed. Arguments as of `run`.

    With `seeds`, such as `range(100, 110)`, those runs alone are judged: a replication on fresh seeds, beside the first runs.

    Raises:
        UsageError: there is no such study, experiment or preset.
        SettingsError: a setting is refused.
        StoreError: stored rows do not verify.
    """
    selection = selected(study, experiments, preset, set)
    with opened(store, read_only=True) as there:
        return Results(selection, tuple(judge_stored(selection, there, seeds=seeds)), there.folder)


def report(
    study: str | Path | Study,
    *,
    out: str | Path = "reports",
    experiments: str | Sequence[str] | None = None,
    preset: str = "laptop",
    set: Changes = (),
    store: Place = None,
) -> Path:
    """Write the page of a study from its stored rows and return its path, `out/<slug>/index.html`. Arguments as of `run`.

    Raises:
        UsageError: there is no such study, experiment or preset, or the settings make a grid.
        StoreError: stored rows do not verify, or the page cannot be written.
    """
    from assay.report.from_store import report_study

    selection = selected(study, experiments, preset, set)
    with opened(store, read_only=True) as there:
        return report_study(selection, there, Path(out))


def selected(study_: str | Path | Study, experiments: str | Sequence[str] | None, preset: str, set: Changes) -> Selection:
    """What a call is about; see `Selection`."""
    names = [experiments] if isinstance(experiments, str) else experiments
    if isinstance(set, str):
        raise UsageError(f"settings to change must be a mapping, or a list of texts name=value; got '{set}'")
    texts = [f"{name}={spelled(value)}" for name, value in set.items()] if isinstance(set, Mapping) else set
    return Selection(study(study_), names, preset, tuple(texts))


@contextmanager
def opened(store: Place, *, read_only: bool = False, study: str | None = None, wait: bool = False) -> Iterator[Store]:
    """The store, open inside the block, as `Store.open` opens it; one that is handed over open stays so."""
    if isinstance(store, Store):
        yield store
        return
    patience = math.inf if wait else _PATIENCE_S
    folder = None if store is None else Path(store)
    with Store.open(folder, read_only=read_only, study=study, wait_s=patience) as there:
        yield there
