"""How commands speak: tables for people, the same rows as JSON for programs, messages on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence

import typer

from assay.core.text import visible

__all__ = ["JSON_OPTION", "STORE_OPTION", "emit", "note", "table"]

JSON_OPTION = typer.Option(False, "--json", help="Print the rows as JSON instead of a table.")
STORE_OPTION = typer.Option(
    None,
    "--store",
    metavar="DIR",
    help="Where rows are kept. [default: $ASSAY_STORE, else .assay here or above, else the user data folder]",
)
Row = Mapping[str, object]


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


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The rows as an aligned text table whose long cells wrap to the terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numeric = all(row.get(column) is None or isinstance(row.get(column), (int, float)) for row in rows)
        grid.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_cell(row.get(column))) for column in columns))
    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return visible(str(value))
