"""`assay run` and `assay judge`: measurements into the store, verdicts out of it."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from assay.cli.completing import experiments_named, one_of, studies_named
from assay.cli.device import DEVICE_OPTION, device_of
from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.core.errors import InputError, MissingExtra, UsageError
from assay.core.printing import prints_aside
from assay.core.settings import spelled
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.api.results import Results
    from assay.claims.study import Study
    from assay.runner.run import Judged

__all__ = ["EXPERIMENT_OPTION", "PRESETS", "PRESET_OPTION", "SET_OPTION", "STUDY_ARGUMENT", "judge", "run"]

PRESETS = one_of("quick", "laptop", "paper")
STUDY = "A slug of 'assay list', or the path of a study's file."
STUDY_ARGUMENT = typer.Argument(help=STUDY, autocompletion=studies_named)
EXPERIMENT_OPTION = typer.Option(
    None,
    "--experiment",
    "-e",
    metavar="NAME",
    help="Only this experiment; may be repeated.",
    autocompletion=experiments_named,
)
PRESET_OPTION = typer.Option(
    "laptop",
    "--preset",
    metavar="quick|laptop|paper",
    help="quick: plumbing, verdicts are void.",
    autocompletion=PRESETS,
)
SET_OPTION = typer.Option(
    None,
    "--set",
    metavar="NAME=VALUE",
    help="Change a setting (of one experiment alone: EXPERIMENT.NAME=VALUE); commas make a grid; may be repeated.",
)
CLAIM_OPTION = typer.Option(None, "--claim", "-c", metavar="NAME", help="Show only this claim; may be repeated.")
FAILED = ("refuted", "not-reproduced", "void", "fails")
PEEKED = " †"  # beside an interval whose runs were judged before, which it does not allow for
COLUMNS = ("claim", "verdict", "ours", "rule", "paper", "runs", "control")


def run(
    study: str | None = typer.Argument(None, help=STUDY, autocompletion=studies_named),
    every: bool = typer.Option(False, "--all", help="Every study; one that cannot run here is named at the end (exit 3)."),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    n_runs: int | None = typer.Option(None, "--runs", min=1, help="Runs (seeds) per experiment. [default: the preset's]"),
    seed: int | None = typer.Option(None, "--seed", min=0, help="Seed of the first run. [default: the study's first]"),
    on: str = typer.Option(
        "local",
        "--on",
        metavar="local|processes|ray",
        help="Where runs are computed.",
        autocompletion=one_of("local", "processes", "ray"),
    ),
    until_decided: bool = typer.Option(
        False, "--until-decided", help="Run quarters of --max-runs, each only where claims are still open."
    ),
    max_runs: int | None = typer.Option(
        None, "--max-runs", min=2, help="The most runs per experiment with --until-decided; not to be changed later."
    ),
    fresh: bool = typer.Option(False, "--fresh", help="Compute again what is stored."),
    wait: bool = typer.Option(
        False, "--wait", help="While another command runs this study into this store, wait for it to end."
    ),
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
    from assay.api import running as api
    from assay.cli.progress import interruption, shown
    from assay.runner.discovery import studies

    if (study is None) == (not every):
        raise UsageError("run: name one STUDY, or give --all; 'assay list' shows them")
    chosen = list(studies().studies.values()) if every else [api.study(study or "")]
    told: dict[str, Any] = {
        "experiments": experiment,
        "preset": preset,
        "set": overrides or (),
        "runs": n_runs,
        "seed": seed,
        "on": on,
        "until_decided": until_decided,
        "max_runs": max_runs,
        "fresh": fresh,
        "store": store,
    }
    if dry_run:
        _print_costs(chosen, told, as_json)
        return
    rows, failed, left_out = [], False, dict(studies().broken) if every else {}
    with device_of(device):
        for one in chosen:
            try:
                with interruption(one.slug), shown(one.slug, quiet=quiet) as on_event, prints_aside():
                    results = api.run(one, **told, wait=wait, on_event=on_event)
            except (InputError, MissingExtra) as error:
                if not every:
                    raise
                left_out[one.slug] = str(error)
                continue
            failed = failed or bool(results.failures)
            for message in results.failures:
                note(f"assay: a run of {one.slug} failed: {message}")
            rows += _told(results, as_json)
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


def _print_costs(chosen: Sequence["Study"], told: Mapping[str, Any], as_json: bool) -> None:
    """A row for each experiment that a command would run: runs stored and to do, minutes, memory, and what these rest on."""
    from assay.api.running import estimate
    from assay.runner.cost import minutes_text

    rows: list[dict[str, Any]] = []
    for study in chosen:
        found = estimate(study, **told, on_event=lambda event: note(event.says))
        rows += [{"study": study.slug, **dataclasses.asdict(one)} for one in found]
    total = sum(row["minutes"] or 0.0 for row in rows)
    unknown = any(row["minutes"] is None for row in rows)
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
    about = "at least" if unknown else "at most about" if told["until_decided"] else "about"
    note(f"in all {about} {minutes_text(total)} with --on {told['on']}; nothing was run")


def judge(
    study: str = STUDY_ARGUMENT,
    experiment: list[str] | None = EXPERIMENT_OPTION,
    claim: list[str] | None = CLAIM_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    seeds: str | None = typer.Option(
        None, "--seeds", metavar="FIRST-LAST", help="Only runs with these seeds: a replication on fresh ones."
    ),
    strict: bool = typer.Option(False, "--strict", help="Exit 1 if a claim fails or is void, or none was asked."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Judge stored rows again, computing nothing.

    Examples:
      assay judge out-of-context-reasoning
      assay judge out-of-context-reasoning --claim C2 --json
      assay judge out-of-context-reasoning --seeds 100-109
    """
    from assay.api import running as api
    from assay.store.exchange import reference_files

    found = api.study(study)
    exact = {one.name for one in found.exact}
    for name in claim or ():
        if name not in exact:
            found.claim(name)
    asked = None if seeds is None else _seeds(seeds)
    results = api.judge(found, experiments=experiment, preset=preset, set=overrides or (), seeds=asked, store=store)
    if asked is not None:
        note(f"only runs with seeds {asked[0]} to {asked[-1]} are judged; see 'assay judge {study}' for all")
    results = results.only(claim) if claim else results
    rows = _told(results, as_json)
    if not any(_holds(point) for point in results.points):
        brings = (
            ""
            if found.slug not in {one.name.partition(".")[0] for one in reference_files()}
            else (", and 'assay store import reference' brings the counted runs that ship with the source")
        )
        note(f"{results.folder} holds no run of {found.slug} at these settings; 'assay run {study}' computes them{brings}")
    if as_json:
        emit(rows, as_json=True)
    if strict and _falls_short(rows):
        raise typer.Exit(1)


def _holds(point: "Judged") -> bool:
    """Whether anything is stored at a settings value, be it judged or left aside."""
    runs = [*point.runs.values(), *point.stale.values(), *point.aside.values()]
    return any(runs) or any(one.verdict != "not-asked" for one in point.exact)


def _seeds(text: str) -> range:
    """The seeds from FIRST to LAST."""
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)) or int(last or first) < int(first):
        raise UsageError(f"judge: --seeds must be FIRST-LAST, e.g. 100-109; got '{text}'")
    return range(int(first), int(last or first) + 1)


def _falls_short(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether a claim fails or is void, or nothing was asked at all: silence is no success."""
    return any(row["verdict"] in FAILED for row in rows) or all(row["verdict"] == "not-asked" for row in rows)


def _told(results: "Results", as_json: bool) -> list[dict[str, Any]]:
    """The JSON rows of every point of the grid; without JSON each point's table is printed, with what a reader must know."""
    if not as_json:
        for point in results.points:
            _print_point(results.study, point, results.rows_of(point))
    return results.to_dicts()


def _print_point(study: "Study", judged: "Judged", rows: list[dict[str, Any]]) -> None:
    from assay.claims.verdict import ONE_LOOK, peeked

    at = ", ".join(f"{name}={spelled(value)}" for name, value in judged.changed.items())
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
    for name in judged.cells:
        for looks in dict.fromkeys(one.looks for one in judged.verdicts if one.experiment == name):
            if looks not in ("", ONE_LOOK):
                note(f"{f'{PEEKED.strip()} ' * peeked(looks)}{name}: the interval {looks}")
    not_asked = [str(row["claim"]) for row in rows if row["verdict"] == "not-asked"]
    if not_asked and _holds(judged):
        note(f"not asked with these settings, and open: {', '.join(not_asked)}")
    for name, count in judged.aside.items():
        if count:
            note(
                f"{name}: {count} stored runs have seeds that do not count here (a pilot's, used before, or not asked for) and "
                "were left aside"
            )
    for name, count in judged.stale.items():
        if count:
            note(f"{name}: {count} stored runs are stale ({judged.why_stale[name]}) and were left aside")
    if judged.edited:
        note(f"these claims were declared otherwise when rows were made: {', '.join(judged.edited)}")
    if len(judged.environments) > 1:
        note(f"the rows come from {len(judged.environments)} environments; numbers are equal to the bit only within one")


def _short(row: dict[str, object]) -> dict[str, object]:
    """A row as a terminal shows it: the interval in the page's own words, the control by its outcome."""
    from assay.claims.verdict import peeked
    from assay.report.numbers import interval_text

    control = row["control"]
    assert isinstance(control, dict)
    judgement, expected = control["judgement"], control["expected"]
    outcome = "–" if judgement is None else "flips" if judgement == expected else f"{judgement}, not {expected}"
    numbers: list[float | None] = [row[name] for name in ("estimate", "low", "high")]  # type: ignore[misc]
    ours = "–" if numbers[0] is None else " ".join(interval_text(*numbers))
    ours += PEEKED if peeked(str(row.get("looks") or "")) else ""
    return {**row, "ours": ours, "runs": row["n_runs"], "control": outcome}
