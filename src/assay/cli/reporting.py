"""`assay report`: pages, tables and figures from stored rows."""

from pathlib import Path

import typer

from assay.cli.output import STORE_OPTION, note
from assay.cli.running import EXPERIMENT_OPTION, PRESET_OPTION, SET_OPTION
from assay.core.errors import UsageError

__all__ = ["report"]

FORMATS = ("html", "md", "json", "csv", "latex")


def report(
    study: str | None = typer.Argument(None, help="A slug of 'assay list'; without it, the atlas of all studies."),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    form: str = typer.Option("html", "--format", metavar="|".join(FORMATS), help="html writes pages; the others print tables."),
    out: Path = typer.Option(Path("reports"), "--out", metavar="DIR", help="Where pages are written."),
    store: Path | None = STORE_OPTION,
) -> None:
    """Report stored verdicts: one self-contained page a study and the atlas over all of them, or a table to print.

    Examples:
      assay report out-of-context-reasoning
      assay report out-of-context-reasoning --format md
    """
    from assay.report.tables import VerdictTable
    from assay.runner.discovery import find, studies
    from assay.runner.plan import Selection
    from assay.runner.run import judge_stored
    from assay.store.store import Store

    if form not in FORMATS:
        raise UsageError(f"report: --format must be one of {', '.join(FORMATS)}; got '{form}'")
    chosen = [find(study)] if study else list(studies().studies.values())
    selections = [Selection(one, experiment, preset, overrides or ()) for one in chosen]
    with Store.open(store, read_only=True) as opened:
        if form == "html":
            from assay.report.from_store import report_atlas, report_study

            for selection in selections:
                if study or opened.runs(selection.study.slug):
                    page = report_study(selection, opened, out)
                    note(f"wrote {page}")
            atlas = report_atlas(list(studies().studies.values()), opened, out, preset=preset)
            typer.echo(str(atlas.resolve()))
            return

        verdicts = [
            verdict for selection in selections for judged in judge_stored(selection, opened) for verdict in judged.verdicts
        ]
    table = VerdictTable(tuple(verdicts))
    typer.echo({"md": table.markdown, "json": table.json, "csv": table.csv, "latex": table.latex}[form](), nl=False)
