"""`assay check`: whether a study is fit to be judged, before anything is counted."""

from pathlib import Path

import typer

from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.cli.running import PRESETS, STUDY_ARGUMENT
from assay.core.printing import prints_aside

__all__ = ["check"]


def check(
    study: str = STUDY_ARGUMENT,
    nulls: bool = typer.Option(False, "--nulls", help="Also put the arms without the mechanism through every claim."),
    n_runs: int = typer.Option(4, "--runs", min=2, help="Runs of the null arms."),
    preset: str = typer.Option(
        "laptop", "--preset", metavar="quick|laptop|paper", help="Scale of the null arms.", autocompletion=PRESETS
    ),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a study: structure, names, one quick run; with --nulls, which claims a player without the mechanism passes.

    Exits 1 if something is refused. Rows of null arms are stored beside the counted ones.

    Examples:
      assay check out-of-context-reasoning
      assay check out-of-context-reasoning --nulls
    """
    from assay.api import checking
    from assay.cli.progress import interruption, shown

    with interruption(study), shown(f"check {study}", quiet=False) as show, prints_aside():
        checked = checking.check(study, nulls=nulls, runs=n_runs, preset=preset, store=store, on_event=show)
    found, faults, outcomes, table = checked.study, checked.faults, checked.nulls, checked.to_dicts()
    if as_json:
        emit([{"study": found.slug, "faults": list(faults), "nulls": table}], as_json=True)
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
        if checked.passes:
            note(f"{found.slug}: nothing is wrong with {len(found.claims)} claims and {len(found.exact)} exact checks")
    if not checked.passes:
        raise typer.Exit(1)
