"""`assay`: one thin command a verb. Heavy libraries are loaded inside the command that needs them."""

import inspect
import sys
from collections.abc import Sequence

import typer

from assay import __version__
from assay.cli import (
    audit,
    check,
    compare,
    doctor,
    exposure,
    facts,
    game,
    models,
    power,
    provenance,
    reference,
    reporting,
    running,
    store,
    studies,
    texts,
)
from assay.cli.output import note
from assay.core.errors import AssayError

__all__ = ["app", "main"]

app = typer.Typer(
    name="assay",
    help=(
        "A laboratory for one question: what does a learning system do with what it is told?\n\n"
        "Begin with: assay run out-of-context-reasoning --experiment symbolic"
    ),
    epilog="Exit codes: 0 the work was done, 1 --strict and a claim fails, 2 usage, 3 input refused, 4 the work failed.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and leave."),
) -> None:
    pass


app.command("list")(studies.list_studies)
app.command("show")(studies.show)
app.command("run")(running.run)
app.command("judge")(running.judge)
app.command("check")(check.check)
app.command("power")(power.power)
app.command("report")(reporting.report)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("provenance")(provenance.provenance)
app.command("exposure")(exposure.exposure)
app.add_typer(facts.app, name="facts")
app.add_typer(store.app, name="store")
app.add_typer(game.app, name="game")
app.add_typer(models.app, name="models")
app.add_typer(texts.app, name="texts")
app.command("doctor")(doctor.doctor)
app.command("docs-reference", hidden=True)(reference.docs_reference)

# Help text keeps the lines of its examples: click folds paragraphs unless they begin with a backspace.
for part in (app, store.app, game.app, models.app, texts.app, facts.app):
    for command in part.registered_commands:
        command.help = inspect.getdoc(command.callback or _root).replace("Examples:", "\b\nExamples:")  # type: ignore[union-attr]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; an expected error is one message, never a traceback."""
    try:
        app(args=None if arguments is None else list(arguments), standalone_mode=True)
    except AssayError as error:
        for line in f"assay: {error}".splitlines():
            note(line)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe left early (assay list | head)
        sys.stderr.close()
        sys.exit(0)
