"""`assay power`: how many more runs the open claims of a study need, and how long those take."""

import dataclasses
from pathlib import Path

import typer

from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.cli.running import STUDY_ARGUMENT
from assay.core.printing import prints_aside

__all__ = ["power"]

COLUMNS = (
    "experiment",
    "claim",
    "verdict",
    "heading",
    "distance",
    "error",
    "n_runs",
    "needed",
    "more",
    "minutes",
    "rests_on",
    "why",
)


def power(
    study: str = STUDY_ARGUMENT,
    pilot: int = typer.Option(4, "--pilot", min=0, help="Pilot runs (seeds 901 on) of experiments of which nothing is stored."),
    most: int = typer.Option(64, "--most", min=2, help="The most runs that can be afforded for an experiment."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Say how many more runs each open claim needs, from stored or pilot runs, and how long they take.

    Pilot runs of an experiment of which nothing is stored are computed first, which takes minutes; --pilot 0 computes nothing.

    Examples:
      assay power out-of-context-reasoning
      assay power out-of-context-reasoning --pilot 0 --json
    """
    from assay.api import checking
    from assay.cli.progress import interruption

    with interruption(study), prints_aside():
        lines = checking.power(study, pilot=pilot, most=most, store=store)
    rows = [{**dataclasses.asdict(line.need), "minutes": line.minutes, "rests_on": line.rests_on} for line in lines]
    emit(rows, as_json=as_json, columns=COLUMNS, empty="nothing is stored of this study; give --pilot")
    if hopeless := [line.need.claim for line in lines if line.need.needed is None]:
        note(f"no affordable number of runs decides: {', '.join(hopeless)}")
