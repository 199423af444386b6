"""`assay run` and `assay judge`: measurements into the store, verdicts out of it."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.device import DEVICE_OPTION, device_of
from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.core.errors import InputError, MissingExtra, UsageError
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.claims.study import Study
    from assay.runner.plan import Selection
    from assay.runner.run import Judged
    from assay.store.store import Store

__all__ = ["EXPERIMENT_OPTION", "PRESET_OPTION", "SET_OPTION", "judge", "run"]

EXPERIMENT_OPTION = typer.Option(None, "--experiment", "-e", metavar="NAME", help="Only this experiment; may be repeated.")
PRESET_OPTION = typer.Option("laptop", "--preset", metavar="quick|laptop|paper", help="quick: plumbing, verdicts are void.")
SET_OPTION = typer.Option(
    None,
    "--set",
    metavar="NAME=VALUE",
    help="Change a setting (of one experiment alone: EXPERIMENT.NAME=VALUE); commas make a grid; may be repeated.",
)
CLAIM_OPTION = typer.Option(None, "--claim", "-c", metavar="NAME", help="Show only this claim; may be repeated.")
FAILED = ("refuted", "not-reproduced", "void", "fails")
COLUMNS = ("claim", "verdict", "ours", "rule", "paper", "runs", "control")


def run(
    study: str | None = typer.Argument(None, help="A slug of 'assay list'."),
    every: bool = typer.Option(False, "--all", help="Every study; one that cannot run here is named at the end (exit 3)."),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    n_runs: int | None = typer.Option(None, "--runs", min=1, help="Runs (seeds) per experiment. [default: the preset's]"),
    seed: int | None = typer.Option(None, "--seed", min=0, help="Seed of the first run. [default: the study's first]"),
    on: str = typer.Option("local", "--on", metavar="local|processes|ray", help="Where runs are computed."),
    until_decided: bool = typer.Option(
        False, "--until-decided", help="Run quarters of --max-runs, each only where claims are still open."
    ),
    max_runs: int | None = typer.Option(
        None, "--max-runs", min=2, help="The most runs per experiment with --until-decided; not to be changed later."
    ),
    fresh: bool = typer.Option(False, "--fresh", help="Compute again what is stored."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be run, how long it takes and in how much memory."),
    device: str | None = DEVICE_OPTION,
    strict: bool = typer.Option(False, "--strict", help="Exit 1 if a claim fails or is void, or none was asked."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress on standard error."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a study and print a verdict for each of its claims. What is stored already is not computed again.

    Examples:
      assay run out-of-context-reasoning --experiment symbolic
      assay run out-of-context-reasoning --set weight_decay=0,0.03 --experiment symbolic --on processes
      assay run out-of-context-reasoning --until-decided --max-runs 40
      assay run out-of-context-reasoning --dry-run
    """
    from assay.cli.progress import shown
    from assay.runner.cost import estimates, long_said
    from assay.runner.discovery import studies
    from assay.runner.executors import executor
    from assay.runner.plan import Selection, plan
    from assay.runner.run import execute
    from assay.store.store import Store

    if (study is None) == (not every):
        raise UsageError("run: name one STUDY, or give --all; 'assay list' shows them")
    if until_decided and (n_runs is not None or fresh):
        raise UsageError(
            "run: --until-decided plans the runs by --max-runs and goes on from what is stored; leave out --runs, --fresh"
        )
    if max_runs is not None and not until_decided:
        raise UsageError(
            "run: --max-runs is the most that --until-decided may run; give both, or --runs N for N runs of each experiment"
        )
    chosen = list(studies().studies.values()) if every else [_find(study or "")]
    if dry_run:
        _print_costs(
            [Selection(one, experiment, preset, overrides or ()) for one in chosen], n_runs, seed, fresh, on, store, as_json
        )
        return
    rows, failed, left_out = [], False, dict(studies().broken) if every else {}
    with device_of(device), Store.open(store) as opened:
        for one in chosen:
            selection = Selection(one, experiment, preset, overrides or ())
            try:
                asked = plan(selection, opened, n_runs=n_runs, seed=seed, fresh=fresh)
                for line in [] if quiet else long_said(one, estimates(asked, executor(on).workers)):
                    note(line)
                with shown(one.slug, quiet=quiet) as on_event:
                    outcome = execute(
                        asked, opened, executor=executor(on), until_decided=until_decided, max_runs=max_runs, on_event=on_event
                    )
            except (InputError, MissingExtra) as error:
                if not every:
                    raise
                left_out[one.slug] = str(error)
                continue
            failed = failed or outcome.failed > 0
            for message in outcome.failures:
                note(f"assay: a run of {one.slug} failed: {message}")
            rows += _judged_rows(selection, opened, as_json)
    if as_json:
        emit(rows, as_json=True)
    for slug, why in left_out.items():
        note(f"assay: {slug} cannot run here: {why}")
    if failed:
        raise typer.Exit(4)
    if left_out:
        raise typer.Exit(InputError.exit_code)
    if strict and _falls_short(rows):
        raise typer.Exit(1)


def _print_costs(
    selections: Sequence["Selection"],
    n_runs: int | None,
    seed: int | None,
    fresh: bool,
    on: str,
    store: Path | None,
    as_json: bool,
) -> None:
    """A row for each experiment that a command would run: runs stored and to do, minutes, memory, and what these rest on."""
    from assay.runner.cost import estimates, minutes_text
    from assay.runner.executors import executor
    from assay.runner.plan import plan
    from assay.store.store import Store

    rows, total, unknown = [], 0.0, False
    with Store.open(store, read_only=True) as opened:
        for selection in selections:
            asked = plan(selection, opened, n_runs=n_runs, seed=seed, fresh=fresh)
            found = estimates(asked, executor(on).workers)
            for name, why in asked.left_out.items():
                note(f"{selection.study.slug}/{name} is left out: {why}")
            rows += [{"study": selection.study.slug, **dataclasses.asdict(one)} for one in found]
            total += sum(one.minutes or 0.0 for one in found)
            unknown = unknown or any(one.minutes is None for one in found)
    if as_json:
        emit(rows, as_json=True)
        return
    shown = [
        row
        | {
            "time": minutes_text(row["minutes"]),
            "memory": "not measured" if row["memory_gib"] is None else f"{row['memory_gib']:.1f} GiB a process",
        }
        for row in rows
    ]
    columns = ("study", "experiment", "settings", "stored", "to_do", "time", "memory", "rests_on")
    emit(shown, as_json=False, columns=columns)
    note(f"in all {'at least ' if unknown else 'about '}{minutes_text(total)} with --on {on}; nothing was run")


def judge(
    study: str = typer.Argument(help="A slug of 'assay list'."),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    claim: list[str] | None = CLAIM_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    strict: bool = typer.Option(False, "--strict", help="Exit 1 if a claim fails or is void, or none was asked."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Judge stored rows again, computing nothing.

    Examples:
      assay judge out-of-context-reasoning
      assay judge out-of-context-reasoning --claim C2 --json
    """
    from assay.runner.plan import Selection
    from assay.store.store import Store

    found = _find(study)
    exact = {one.name for one in found.exact}
    for name in claim or ():
        if name not in exact:
            found.claim(name)
    with Store.open(store, read_only=True) as opened:
        rows = _judged_rows(Selection(found, experiment, preset, overrides or ()), opened, as_json, claim)
    if as_json:
        emit(rows, as_json=True)
    if strict and _falls_short(rows):
        raise typer.Exit(1)


def _falls_short(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether a claim fails or is void, or nothing was asked at all: silence is no success."""
    return any(row["verdict"] in FAILED for row in rows) or all(row["verdict"] == "not-asked" for row in rows)


def _find(slug: str) -> "Study":
    from assay.runner.discovery import find

    return find(slug)


def _judged_rows(
    selection: "Selection", store: "Store", as_json: bool, claims: Sequence[str] | None = None
) -> list[dict[str, object]]:
    """The JSON rows of every point of the grid; without JSON each point's table is printed, with what a reader must know."""
    from assay.report.tables import VerdictTable
    from assay.runner.run import judge_stored

    rows: list[dict[str, object]] = []
    study, points = selection.study, judge_stored(selection, store)
    for judged in points:
        verdicts = [verdict for verdict in judged.verdicts if not claims or verdict.claim in claims]
        changed = _changed(judged)
        exact = tuple(one for one in judged.exact if not claims or one.check.name in claims)
        found = VerdictTable(tuple(verdicts), exact, study.slug).records()
        rows += [{**row, "preset": selection.preset, "settings": changed} for row in found] if len(points) > 1 else found
        if not as_json:
            _print_point(study, judged, found, changed)
    return rows


def _changed(judged: "Judged") -> dict[str, object]:
    """The settings that differ from the preset's, over all experiments."""
    changed: dict[str, object] = {}
    for cell in judged.cells.values():
        base = cell.experiment.preset(judged.preset).settings
        for field in dataclasses.fields(cell.settings):  # type: ignore[arg-type]
            value = getattr(cell.settings, field.name)
            if value != getattr(base, field.name):
                changed[field.name] = value
    return changed


def _print_point(study: "Study", judged: "Judged", rows: list[dict[str, object]], changed: dict[str, object]) -> None:
    at = ", ".join(f"{name}={value}" for name, value in changed.items())
    typer.echo(f"\n{visible(study.title)}\n{study.slug}, preset {judged.preset}{', ' + at if at else ''}")
    for name in judged.cells:
        own = [_short(row) for row in rows if row["experiment"] == name and row.get("kind") != "exact"]
        exact = [one for one in judged.exact if one.experiment == name]
        if own or exact:
            typer.echo(f"\n{name}: {visible(judged.cells[name].experiment.question)}\n")
        if own:
            emit(own, as_json=False, columns=COLUMNS)
        for outcome, count in Counter(one.verdict for one in exact).items():
            typer.echo(f"exact: {outcome} ({count})")
        for one in exact:
            if one.verdict == "fails":
                note(
                    f"{one.check.name} fails: {one.check.sentence} The number is {one.number:g}, the rule {one.check.rule.text}"
                )
    for row in rows:
        if row["verdict"] == "void":
            note(f"{row['claim']} is void: {row['reason']}")
    not_asked = [str(row["claim"]) for row in rows if row["verdict"] == "not-asked"]
    if not_asked:
        note(f"not asked with these settings, and open: {', '.join(not_asked)}")
    for name, count in judged.aside.items():
        if count:
            note(f"{name}: {count} stored runs have seeds that do not count (a pilot's, or used before) and were left aside")
    for name, count in judged.stale.items():
        if count:
            note(f"{name}: {count} stored runs are stale ({judged.why_stale[name]}) and were left aside")
    if judged.edited:
        note(f"these claims were declared otherwise when rows were made: {', '.join(judged.edited)}")
    if len(judged.environments) > 1:
        note(f"the rows come from {len(judged.environments)} environments; numbers are equal to the bit only within one")


def _short(row: dict[str, object]) -> dict[str, object]:
    """A row as a terminal shows it: the interval in the page's own words, the control by its outcome."""
    from assay.report.numbers import interval_text

    control = row["control"]
    assert isinstance(control, dict)
    judgement, expected = control["judgement"], control["expected"]
    outcome = "–" if judgement is None else "flips" if judgement == expected else f"{judgement}, not {expected}"
    numbers: list[float | None] = [row[name] for name in ("estimate", "low", "high")]  # type: ignore[misc]
    ours = "–" if numbers[0] is None else " ".join(interval_text(*numbers))
    return {**row, "ours": ours, "runs": row["n_runs"], "control": outcome}
