"""What `assay audit --preferences` shows in a terminal."""

import json
from typing import TYPE_CHECKING

import typer

from assay.cli.output import emit, note

if TYPE_CHECKING:
    from assay.audit.preference_record import PairAudit

__all__ = ["show_preferences"]

TOTALS = ("column", "estimate", "low", "high", "level", "n_facts", "n_units", "clear")
FORECASTS = ("line", "prompt", "log_prob_chosen", "log_prob_rejected", "ches", "ches_per_token", "rank", "alone", "together")


def show_preferences(found: "PairAudit", *, as_json: bool) -> None:
    """The record as JSON, or its table: totals of what came, or the forecast of every pair."""
    if as_json:
        typer.echo(json.dumps(found.json(), ensure_ascii=False, indent=2, allow_nan=False))
        return
    from assay.audit.preference_hits import pair_sentences

    for line in pair_sentences(found):
        note(f"assay: {line}")
    if found.totals:
        emit([vars(total) for total in found.totals], as_json=False, columns=TOTALS)
    else:
        emit([vars(row) for row in found.rows], as_json=False, columns=FORECASTS)
        if found.cost.expected_minutes is not None:
            note(f"assay: training and measuring would take about {found.cost.expected_minutes:.1f} min")
    for line in (*(f"{one.says} ({one.cites})" for one in found.advice), *found.notes):
        note(f"assay: {line}")
