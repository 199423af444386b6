"""`assay store`: what is kept, whether it is sound, and how to remove or move it."""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.completing import experiments_named, studies_named
from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.core.errors import InputError, StoreError, UsageError

if TYPE_CHECKING:
    from assay.claims.study import Study
    from assay.store.exchange import Compared
    from assay.store.rows import StoredRun
    from assay.store.store import Store

__all__ = ["app", "sources"]

app = typer.Typer(help="Look at, check, remove and move stored runs.", no_args_is_help=True, rich_markup_mode=None)


@app.command("init")
def init(folder: Path = typer.Argument(Path(), help="The project's folder.")) -> None:
    """Make a project its own store, `.assay`: every command run in the folder or below it uses it without being told.

    A store that is there is left as it is.

    Examples:
      assay store init
      assay store init my-project
    """
    from assay.core.places import LOCAL
    from assay.store.store import Store

    with Store.open(folder / LOCAL) as opened:
        note(f"commands in {folder.resolve()} and below use the store {opened.folder}")


@app.command("ls")
def ls(
    study: str | None = typer.Argument(None, help="Only this study.", autocompletion=studies_named),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """List what is stored: runs by study, experiment and settings, and memoised steps. Stale rows are those of older code.

    Examples:
      assay store ls
      assay store ls out-of-context-reasoning --json
    """
    from assay.runner.discovery import studies
    from assay.runner.fingerprint import why_stale
    from assay.store.store import Store

    known = studies().studies
    with Store.open(store, read_only=True) as opened:
        if study is not None:
            _must_hold(opened, study)
        pools = Counter(
            (run.study, run.experiment, run.preset, run.custom, _told(known, run), run.fingerprint, run.version)
            for run in opened.runs(study)
        )
        memos = opened.memos() if study is None else []
    current = _codes({(pool[0], pool[1]) for pool in pools})
    rows: list[dict[str, object]] = [
        {
            "study": slug,
            "experiment": experiment,
            "preset": preset + (" (changed)" if custom else ""),
            "settings": settings,
            "runs": count,
            "state": "current"
            if current.get((slug, experiment)) == code
            else "study not installed"
            if slug not in known
            else f"stale: {why_stale(known[slug], [version])}"
            if (slug, experiment) in current
            else "stale: the study has no such experiment",
        }
        for (slug, experiment, preset, custom, settings, code, version), count in sorted(pools.items())
    ]
    rows += [
        {
            "study": f"memo {memo.name}",
            "experiment": "",
            "preset": "",
            "settings": memo.path.name,
            "runs": None,
            "state": f"{memo.size / 2**20:.1f} MiB",
        }
        for memo in memos
    ]
    emit(rows, as_json=as_json, empty="the store is empty")


def _told(known: Mapping[str, "Study"], run: "StoredRun") -> str:
    """A run's settings as `name=value`, those that differ from its preset's; all of them where the study is not installed."""
    from assay.core.settings import canonical_json, spelled

    base: Mapping[str, object] = {}
    name = run.experiment.partition("/")[0]
    if run.study in known and name in {one.name for one in known[run.study].experiments}:
        base = json.loads(canonical_json(known[run.study].experiment(name).preset(run.preset).settings))
    return ", ".join(f"{key}={spelled(value)}" for key, value in run.settings.items() if key not in base or base[key] != value)


@app.command("verify")
def verify(store: Path | None = STORE_OPTION, as_json: bool = JSON_OPTION) -> None:
    """Check every row, artefact and memoised step against its hash; exit 4 and name each problem if any is wrong.

    Examples:
      assay store verify
      assay store verify --json
    """
    from assay.store.store import Store

    with Store.open(store, read_only=True) as opened:
        problems = opened.verify()
        count = None if problems else len(opened.runs(history=True))
    emit(
        [dataclasses.asdict(problem) for problem in problems],
        as_json=as_json,
        empty=f"all {count} rows and their artefacts are sound",
    )
    if problems:
        note(f"assay: {len(problems)} problems. Run 'assay store rm --damaged', then run again what is missing")
        raise typer.Exit(StoreError.exit_code)


@app.command("rm")
def rm(
    study: str | None = typer.Argument(None, help="Remove the runs of this study.", autocompletion=studies_named),
    experiment: str | None = typer.Option(
        None, "--experiment", "-e", help="Only this experiment.", autocompletion=experiments_named
    ),
    stale: bool = typer.Option(False, "--stale", help="Only rows whose code has changed since."),
    damaged: bool = typer.Option(False, "--damaged", help="Rows and artefacts that do not verify."),
    memo: str | None = typer.Option(None, "--memo", help="Memoised steps of this name."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    store: Path | None = STORE_OPTION,
) -> None:
    """Remove stored runs or memoised steps. Asks first unless --yes is given.

    Examples:
      assay store rm out-of-context-reasoning --stale
      assay store rm --damaged --yes
    """
    from assay.runner.discovery import studies
    from assay.store.store import Store

    if sum((study is not None or stale, damaged, memo is not None)) != 1:
        raise UsageError(
            "store rm: name one thing to remove: a STUDY (with --experiment, --stale), --stale, --damaged or --memo NAME"
        )
    with Store.open(store) as opened:
        if damaged:
            _confirm("every damaged row", yes)
            note(f"removed {opened.remove_damaged()} damaged rows")
            return
        if memo is not None:
            found = [one for one in opened.memos() if one.name == memo]
            if not found:
                raise UsageError(_not_held(memo, "memoised steps", {one.name for one in opened.memos()}, opened))
            _confirm(f"{len(found)} memoised steps called '{memo}'", yes)
            for one in found:
                opened.remove_memo(one)
            note(f"removed {len(found)} memoised steps")
            return
        if study is not None:
            _must_hold(opened, study, experiment)
        found_runs = opened.runs(study, experiment=experiment)
        if stale:
            strange = Counter(run.study for run in found_runs if run.study not in studies().studies)
            for slug, count in strange.items():  # such as a study in a file: they may be the rows of today's code
                note(f"{count} runs of {slug}, which is not installed, stay; 'assay store rm {slug}' removes them all")
            found_runs = [run for run in found_runs if run.study not in strange]
        current = _codes({(run.study, run.experiment) for run in found_runs}) if stale else {}
        chosen = [run.run_id for run in found_runs if not stale or run.fingerprint != current.get((run.study, run.experiment))]
        _confirm(f"{len(chosen)} runs", yes)
        note(f"removed {opened.remove(chosen)} rows")


def _must_hold(store: "Store", study: str, experiment: str | None = None) -> None:
    """Refuse a study, or an experiment, of which nothing is stored."""
    runs = store.runs()
    studies, experiments = {run.study for run in runs}, {run.experiment for run in runs if run.study == study}
    if not experiments:
        raise UsageError(_not_held(study, "runs", studies, store))
    if experiment is not None and experiment not in experiments:
        raise UsageError(_not_held(experiment, f"runs of {study}", experiments, store))


def _not_held(name: str, what: str, held: Collection[str], store: "Store") -> str:
    return f"store: {store.folder} holds no {what} called '{name}'; it holds {', '.join(sorted(held)) or 'none'}"


@app.command("export")
def export(
    target: Path = typer.Argument(help="A folder that does not exist yet, or a file NAME.tar.xz or NAME.parquet."),
    study: str | None = typer.Option(None, "--study", help="Only this study.", autocompletion=studies_named),
    counted: bool = typer.Option(
        False, "--counted", help="Only runs that count today: not stale, no pilot, laptop preset as it is."
    ),
    tracker: bool = typer.Option(
        False, "--tracker", help="Log the runs into the project TARGET of trackio, a tracker on this machine with W&B's calls."
    ),
    store: Path | None = STORE_OPTION,
) -> None:
    """Write stored runs to a self-contained folder or file (JSON lines, artefacts, manifest) that another store can import.

    A Parquet file, or a tracker's project, has a row a run for other tools, and cannot be imported.

    Examples:
      assay store export backup
      assay store export runs.parquet --study off-switch-game
      assay store export reference/out-of-context-reasoning.tar.xz --study out-of-context-reasoning --counted
    """
    from assay.store.exchange import export_runs
    from assay.store.store import Store

    with Store.open(store, read_only=True) as opened:
        only = None
        if counted:
            found = opened.runs(study)
            only = _counted(found)
            for slug, name in sorted(_without_nulls(found, only)):
                note(f"{slug} {name}: no rows of its null arms; 'assay check {slug} --nulls' measures them")
        if tracker or target.suffix == ".parquet":
            from assay.api.exporting import to_parquet, to_tracker

            runs = [run for run in opened.runs(study) if only is None or run.run_id in only]
            count = to_tracker(runs, str(target)) if tracker else to_parquet(runs, target)
        else:
            count = export_runs(opened, target, study=study, only=only)
    note(f"wrote {count} runs to {target}")


@app.command("import")
def import_(
    source: Path = typer.Argument(help="What 'assay store export' wrote, or the word 'reference'."),
    store: Path | None = STORE_OPTION,
) -> None:
    """Add exported runs, each checked; runs that are stored already are left as they are.

    The word 'reference' stands for the counted runs that ship with the source.

    Examples:
      assay store import reference
      assay store import for-the-reviewer --store review
    """
    from assay.store.exchange import REFERENCE, import_runs
    from assay.store.store import Store

    there = sources(source)
    with Store.open(store) as opened:
        added = {one.name: import_runs(opened, one, origin=REFERENCE if source == Path(REFERENCE) else "") for one in there}
    for name, count in added.items():
        note(f"{name}: added {count} runs")


@app.command("compare")
def compare(
    source: Path = typer.Argument(help="What 'assay store export' wrote, or the word 'reference'."),
    within: float = typer.Option(1e-5, min=0.0, help="The largest difference allowed, relative above 1."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Say how far runs made here are from the same runs made elsewhere; exit 1 if one differs by more than --within.

    The same run has the same settings, sources and seed. Imported runs take no part: they were not made here.

    Examples:
      assay run off-switch-game --store mine
      assay store compare reference --store mine
    """
    from assay.store.exchange import compare_runs
    from assay.store.store import Store

    there = sources(source)
    with Store.open(store, read_only=True) as opened:
        found = [compared for one in there for compared in compare_runs(opened, one)]
    if not found:
        raise InputError(
            f"a comparison needs a run that was made here and stands in {source} too; there is none. Run a study first"
        )
    arms: dict[tuple[str, str], list[Compared]] = {}
    for one in found:
        arms.setdefault((one.study, one.experiment), []).append(one)
    rows: list[dict[str, object]] = []
    for (study, experiment), runs in sorted(arms.items()):
        most = max(runs, key=lambda run: run.difference)
        rows.append(
            {
                "study": study,
                "experiment": experiment,
                "runs": len(runs),
                "equal": sum(run.difference == 0 for run in runs),
                "difference": most.difference if math.isfinite(most.difference) else None,
                "number": most.number,
                "same_environment": all(run.same_environment for run in runs),
            }
        )
    emit(rows, as_json=as_json)
    far = [one for one in found if one.difference > within]
    if far:
        note(f"{len(far)} of {len(found)} runs differ by more than {within:g}")
        raise typer.Exit(1)


def sources(source: Path) -> list[Path]:
    """The export named, or the files of the reference store."""
    from assay.store.exchange import REFERENCE, reference_files

    found = reference_files() if source == Path(REFERENCE) else [source]
    if not found:
        raise InputError("the reference store must have come with the source; this installation has none. Use a checkout")
    return found


def _codes(arms: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Today's fingerprint of each (study, experiment) that is installed; its parts have their own."""
    from assay.runner.discovery import studies
    from assay.runner.fingerprint import fingerprint

    known = studies().studies
    return {
        (slug, name): fingerprint(known[slug], experiment, part)
        for slug, name in arms
        for experiment, _, part in [name.partition("/")]
        if slug in known and experiment in {one.name for one in known[slug].experiments}
    }


def _counted(runs: Sequence["StoredRun"]) -> set[str]:
    """The addresses of those runs that verdicts rest on today, with their exact checks and null arms."""
    from assay.claims.verdict import counts
    from assay.runner.discovery import studies
    from assay.runner.plan import Selection

    codes, known = _codes({(run.study, run.experiment) for run in runs}), studies().studies
    current = [run for run in runs if codes.get((run.study, run.experiment)) == run.fingerprint]
    settings = {
        (slug, cell.experiment.name): cell.settings_digest
        for slug in {run.study for run in current}
        for cell in Selection(known[slug]).cells
    }
    return {
        run.run_id
        for run in current
        for experiment, _, part in [run.experiment.partition("/")]
        if run.settings_digest == settings[run.study, experiment]
        and (part == "exact" or counts(known[run.study], experiment, run.seed))  # exact checks have no seeds
    }


def _without_nulls(runs: Sequence["StoredRun"], only: set[str]) -> set[tuple[str, str]]:
    """Each (study, experiment) among the chosen runs whose null arms are measured apart and are not among them."""
    from assay.runner.check import NULLS
    from assay.runner.discovery import studies

    known = studies().studies
    chosen = {(run.study, run.experiment) for run in runs if run.run_id in only}
    return {
        (slug, name)
        for slug, name in chosen
        if "/" not in name
        and known[slug].experiment(name).measure_nulls is not None
        and (slug, f"{name}/{NULLS}") not in chosen
    }


def _confirm(what: str, yes: bool) -> None:
    if not yes and not typer.confirm(f"Remove {what}?"):
        raise typer.Exit(0)
