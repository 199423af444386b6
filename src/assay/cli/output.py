"""How commands speak: tables for people, the same rows as JSON for programs, messages on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from assay.core.text import visible

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["JSON_OPTION", "STORE_OPTION", "emit", "note", "table"]

JSON_OPTION = typer.Option(False, "--json", help="Print the rows as JSON instead of a table.")
STORE_OPTION = typer.Option(
    None,
    "--store",
    metavar="DIR",
    help="Where rows are kept. [default: $ASSAY_STORE, else .assay here or above, else the user data folder]",
)
Row = Mapping[str, object]
WIDE, NARROW, FEW_COLUMNS = 160, 90, 4
COLOURS = {"supported": "green", "holds": "green", "refuted": "red", "fails": "bold red", "not-reproduced": "yellow"}


def note(message: str) -> None:
    """One line for the person at the terminal; on standard error, so that standard output stays data."""
    typer.echo(visible(message), err=True)


def emit(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str] | None = None, empty: str = "nothing to show") -> None:
    """Print rows: all fields as JSON, or the named columns as a table."""
    if as_json:
        typer.echo(json.dumps(list(rows), ensure_ascii=False, indent=2, allow_nan=False))
    elif rows:
        typer.echo(table(rows, columns or list(rows[0])), nl=False)
    else:
        note(empty)


def table(rows: Sequence[Row], columns: Sequence[str], *, width: int | None = None) -> str:
    """The rows as an aligned text table whose long cells wrap; below `NARROW` columns as one block a row.

    At a terminal verdicts are coloured (not where NO_COLOR is set) and void rows are grey; elsewhere it is plain text.

    Args:
        rows: that are shown.
        columns: of them.
        width: in characters; None for the terminal's, or 160 where there is none.
    """
    from rich.console import Console
    from rich.text import Text

    at_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, markup=False, width=width if width is not None or at_terminal else WIDE)
    with console.capture() as captured:
        if console.width < NARROW and len(columns) > FEW_COLUMNS:
            label = max(len(column) for column in columns)
            for row in rows:
                for place, column in enumerate(columns):
                    name = Text(f"{column.replace('_', ' '):{label}}  ", style="bold" if place == 0 else "")
                    console.print(name + Text(_cell(row.get(column)), style=_style(row, column)), soft_wrap=True)
                console.print()
        else:
            console.print(_grid(rows, columns))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _grid(rows: Sequence[Row], columns: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numeric = all(row.get(column) is None or isinstance(row.get(column), (int, float)) for row in rows)
        grid.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_cell(row.get(column)), style=_style(row, column)) for column in columns))
    return grid


def _style(row: Row, column: str) -> str:
    """The colour of a cell: of a verdict by what it says, and grey for a row that may not speak."""
    verdict = str(row.get("verdict", ""))
    if column == "verdict" and verdict in COLOURS:
        return COLOURS[verdict]
    return "dim" if verdict in ("void", "not-asked") else ""


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(str(value))
