"""`assay check`: whether a study is fit to be judged, before anything is counted."""

import dataclasses
from pathlib import Path

import typer

from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note

__all__ = ["check"]


def check(
    study: str = typer.Argument(help="A slug of 'assay list'."),
    nulls: bool = typer.Option(False, "--nulls", help="Also put the arms without the mechanism through every claim."),
    n_runs: int = typer.Option(4, "--runs", min=2, help="Runs of the null arms."),
    preset: str = typer.Option("laptop", "--preset", metavar="quick|laptop|paper", help="Scale of the null arms."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a study: structure, names, one quick run; with --nulls, which claims a player without the mechanism passes.

    Exits 1 if something is refused. Rows of null arms are stored beside the counted ones.

    Examples:
      assay check out-of-context-reasoning
      assay check out-of-context-reasoning --nulls
    """
    from assay.cli.progress import shown
    from assay.core.progress import listening
    from assay.core.seeds import Seeds
    from assay.runner.check import compute_nulls, null_outcomes, quick_faults, same_numbers, structure_faults
    from assay.runner.discovery import find
    from assay.runner.plan import Selection
    from assay.runner.run import Event, judge_stored
    from assay.store.memo import memos_in
    from assay.store.store import Store

    found = find(study)
    faults = structure_faults(found)
    with (
        Store.open(store) as opened,
        shown(f"check {study}", quiet=False) as show,
        listening(lambda share, label: show(Event("progress", label, share, 1, None))),
    ):
        for experiment in found.experiments:
            if experiment.has_runs:
                with memos_in(opened.folder / "memos"):
                    run = experiment.measure_run(
                        experiment.preset("quick").settings, Seeds(found.first_seed_of(experiment.name))
                    )
                faults += [f"experiment '{experiment.name}': {fault}" for fault in quick_faults(experiment, run)]
        selection = Selection(found, preset=preset)
        outcomes = []
        if nulls:
            for cell in selection.cells:
                compute_nulls(found, opened, cell, preset=preset, n_runs=n_runs)
            outcomes = null_outcomes(found, opened, selection.cells)
        (judged,) = judge_stored(selection, opened)
        faults += [
            f"one number, one claim: {fault}. Merge them, or say in related=..." for fault in same_numbers(found, judged.rows)
        ]
    table = [dataclasses.asdict(outcome) | {"refused": outcome.refused} for outcome in outcomes]
    if as_json:
        emit([{"study": found.slug, "faults": faults, "nulls": table}], as_json=True)
    else:
        if nulls:
            emit(
                table,
                as_json=False,
                columns=("experiment", "claim", "arm", "rule", "outcome", "estimate", "low", "high", "said"),
            )
        for fault in faults:
            note(f"{found.slug}: {fault}")
        for outcome in outcomes:
            if outcome.refused:
                what, mend = (
                    (
                        "passes it unsaid",
                        "Put the claim as the excess over the null, or say in null_passes=... why that is no fault",
                    )
                    if outcome.outcome == "passes"
                    else (
                        "was not measured",
                        "Run the experiment, or name in the arm's lacks=... what it cannot have, and why=...",
                    )
                )
                note(f"{found.slug}: claim '{outcome.claim}': the null arm '{outcome.arm}' {what}. {mend}")
        if not faults and not any(outcome.refused for outcome in outcomes):
            note(f"{found.slug}: nothing is wrong with {len(found.claims)} claims and {len(found.exact)} exact checks")
    if faults or any(outcome.refused for outcome in outcomes):
        raise typer.Exit(1)
