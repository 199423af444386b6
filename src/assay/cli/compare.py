"""`assay compare`: two kept audits beside each other."""

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note

if TYPE_CHECKING:
    from assay.audit.kept import KeptAudits
    from assay.audit.record import Audit

__all__ = ["compare"]

SHOWN = ("column", "first", "second", "estimate", "low", "high", "level", "n_questions", "n_units", "says")


def compare(
    first: str = typer.Argument(metavar="A", help="A kept audit, by the beginning of its digest, or the folder of its page."),
    second: str = typer.Argument(metavar="B", help="Another, of the same file of facts."),
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Compare two audits of one file, paired over the questions they share: what B did beyond A, with intervals.

    Examples:
      assay compare 3f9c 81d0
      assay compare reports/plain reports/replay --json
    """
    from assay.audit.compare import compare as compared
    from assay.audit.kept import KeptAudits
    from assay.audit.record import plain
    from assay.core.places import default_folder

    kept = KeptAudits((store or default_folder()) / "audits")
    found = compared(_named(kept, first), _named(kept, second))
    if as_json:
        typer.echo(json.dumps(plain(found), ensure_ascii=False, indent=2, allow_nan=False))
        return
    emit([dataclasses.asdict(one) for one in found.differences], as_json=False, columns=SHOWN)
    for side, name in ((found.first, "first"), (found.second, "second")):
        which = f"{side.tuned} against {side.model}" if side.tuned else f"{side.model}, {side.injected}"
        note(f"assay: {name}: {side.digest}, {which}, {side.n_runs} training{'s' if side.n_runs > 1 else ''}")
    only = f"; {found.only_first} of the first and {found.only_second} of the second alone" * bool(
        found.only_first or found.only_second
    )
    note(f"assay: {found.n_shared} questions shared{only}")
    for line in found.notes:
        note(f"assay: {line}")


def _named(kept: "KeptAudits", name: str) -> "Audit":
    """The audit of that digest, or the one whose page lies in that folder."""
    record = Path(name) / "audit.json"
    if record.is_file():
        with suppress(ValueError, KeyError, TypeError):  # where it is no record of ours, the name is looked for as it is
            name = str(json.loads(record.read_text(encoding="utf-8"))["digest"]) or name
    return kept.find(name)
