"""`assay report`: pages, tables and figures from stored rows and kept audits."""

import os
from datetime import UTC, datetime
from pathlib import Path

import typer

from assay.cli.completing import one_of, studies_named
from assay.cli.output import STORE_OPTION, note
from assay.cli.running import EXPERIMENT_OPTION, PRESET_OPTION, SET_OPTION
from assay.core.errors import UsageError

__all__ = ["report"]

FORMATS = ("html", "md", "json", "csv", "latex")


def report(
    study: str | None = typer.Argument(
        None,
        help="A slug of 'assay list', or the path of a study's file; without it, the atlas of all studies.",
        autocompletion=studies_named,
    ),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    form: str = typer.Option(
        "html",
        "--format",
        metavar="|".join(FORMATS),
        help="html writes pages; the others print tables.",
        autocompletion=one_of(*FORMATS),
    ),
    audit: str | None = typer.Option(
        None,
        "--audit",
        metavar="DIGEST|list",
        help="The page of a kept audit, by the beginning of its digest; or a list of all.",
    ),
    out: Path = typer.Option(Path("reports"), "--out", metavar="DIR", help="Where pages are written."),
    stamp: str | None = typer.Option(
        None, "--stamp", metavar="DATE", help="The date that pages bear; equal rows and stamp, equal bytes. [default: today]"
    ),
    store: Path | None = STORE_OPTION,
) -> None:
    """Report stored verdicts: one self-contained page a study and the atlas over all of them, or a table to print.

    A page shows the whole study; --experiment says what --set changes there. With several values (--set NAME=A,B) it is a page
    of the grid: every claim at every value, as a table and as figures over what was swept.

    Examples:
      assay report out-of-context-reasoning
      assay report out-of-context-reasoning --experiment symbolic --set weight_decay=0,0.03
      assay report out-of-context-reasoning --format md
      assay report --audit list
    """
    if audit is not None:
        if study is not None:
            raise UsageError(f"report: name a study or an audit; got '{study}' and --audit {audit}")
        _report_audit(audit, form, out, store)
        return
    from assay.core.places import default_folder
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
            from assay.report.from_store import next_steps, report_atlas, report_grid, seen, write_study

            created, told = stamp or _today(), list[str]()
            for selection in selections:
                if study and len(selection.points) > 1:
                    note(f"wrote {report_grid(selection, opened, out, created=created)}")
                elif study or opened.runs(selection.study.slug):
                    reported = write_study(selection, opened, out, created=created)
                    note(f"wrote {reported.page}")
                    if study:
                        where = f"no run of {selection.study.slug} at these settings is stored in {opened.folder}"
                        shown = seen(reported) or [f"nothing yet: {where}"]
                        told = ["", "What was seen", *shown, "", f"The page: {reported.page.resolve()}"]
                        steps = enumerate(next_steps(selection, reported, opened), 1)
                        told += ["", "What to do next", *(f"  {i}. {step}" for i, step in steps)]
            kept = (store or default_folder()) / "audits"
            atlas = report_atlas(list(studies().studies.values()), opened, out, preset=preset, audits=kept, created=created)
            typer.echo(str(atlas.resolve()))
            for line in told:
                note(line)
            return

        verdicts = [
            verdict for selection in selections for judged in judge_stored(selection, opened) for verdict in judged.verdicts
        ]
    table = VerdictTable(tuple(verdicts))
    typer.echo({"md": table.markdown, "json": table.json, "csv": table.csv, "latex": table.latex}[form](), nl=False)


def _today() -> str:
    """Today's date, or the one that $SOURCE_DATE_EPOCH gives to builds that must come out the same."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.date().isoformat()


def _report_audit(named: str, form: str, out: Path, store: Path | None) -> None:
    """The page of a kept audit, its record as JSON, or the list of all."""
    import json

    from assay.audit.kept import KeptAudits
    from assay.cli.output import emit
    from assay.core.places import default_folder

    if form not in ("html", "json"):
        raise UsageError(
            f"report: the --format of an audit must be html or json; got '{form}'. Its page has CSV files beside it"
        )
    kept = KeptAudits((store or default_folder()) / "audits")
    if named == "list":
        emit(
            [{name: value for name, value in vars(one).items() if name != "path"} for one in kept.listed()],
            as_json=form == "json",
            empty=f"no audit is kept in {kept.folder}",
        )
        return
    found = kept.find(named)
    if form == "json":
        typer.echo(json.dumps(found.json(), ensure_ascii=False, indent=2, allow_nan=False))
        return
    from assay.report.audits import write_any

    typer.echo(str(write_any(found, out / f"audit-{found.digest}").resolve()))
