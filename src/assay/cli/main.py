"""`assay`: one thin command a verb. Heavy libraries are loaded inside the command that needs them."""

import errno
import inspect
import io
import os
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
    grade,
    models,
    new,
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
from assay.core.errors import AssayError, MissingExtra

__all__ = ["app", "main"]

app = typer.Typer(
    name="assay",
    help=(
        "A laboratory for one question: what does a learning system do with what it is told?\n\n"
        "Begin with: assay run out-of-context-reasoning --experiment symbolic"
    ),
    epilog=(
        "Exit codes: 0 the work was done, 1 what was asked about does not hold (--strict, check, store compare), 2 usage, 3 "
        "input refused, 4 the work failed, 130 interrupted."
    ),
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
app.command("new")(new.new)
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
app.add_typer(grade.app, name="grade")
app.add_typer(models.app, name="models")
app.add_typer(texts.app, name="texts")
app.command("doctor")(doctor.doctor)
app.command("docs-reference", hidden=True)(reference.docs_reference)

# Help text keeps the lines of its examples: click folds paragraphs unless they begin with a backspace.
for part in (app, store.app, game.app, grade.app, models.app, texts.app, facts.app):
    for command in part.registered_commands:
        command.help = (inspect.getdoc(command.callback or _root) or "").replace("Examples:", "\b\nExamples:")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; an expected error is one message, never a traceback."""
    _mend_surroundings()
    code: str | int | None = 0
    try:
        app(args=None if arguments is None else list(arguments), standalone_mode=True)
    except SystemExit as left:
        code = left.code
    except KeyboardInterrupt:  # outside of a command
        code = 130
    except AssayError as error:
        for line in f"assay: {error}".splitlines():
            note(line)
        code = error.exit_code
    except ModuleNotFoundError as error:
        if (lacking := _missing(error)) is None:
            raise
        note(f"assay: {lacking}")
        code = lacking.exit_code
    except (OSError, RuntimeError) as error:
        if (said := _said_of(error)) is None:
            raise
        note(f"assay: {said}")
        code = 4 if isinstance(error, OSError) else 3
    sys.exit(_flushed(code))


def _missing(error: ModuleNotFoundError) -> MissingExtra | None:
    """What to install, where a package of an extra is not there; None where something else is missing."""
    package = (error.name or "").partition(".")[0]
    extra = next((extra for module, _, extra, _ in doctor.OPTIONAL if module == package), None)
    return None if extra is None else MissingExtra(package, extra, "this command")


class _Closed(io.TextIOBase):
    """Standard output that was closed before the command began: nothing can be written, and that is said."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _mend_surroundings() -> None:
    """What a shell may have left odd and no command needs: closed streams, a backend for windows that nobody opens."""
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process lives
    os.environ["MPLBACKEND"] = "agg"


def _said_of(error: OSError | RuntimeError) -> str | None:
    """A line about what surrounds the command and not the command itself; None for a fault of ours."""
    if isinstance(error, RuntimeError):
        home = "home directory" in str(error)
        return (
            "a path that begins with ~ must name a user of this machine; it does not. Write the path in full" if home else None
        )
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT):
        return f"standard output must be writable; {error.strerror}. What was stored is kept"
    try:
        os.getcwd()
    except OSError:
        return "the working folder must be there; it was removed. Go to another"
    return None


def _flushed(code: str | int | None) -> str | int | None:
    """The exit code, once what was printed has left; a reader of a pipe that left early (assay list | head) is no error."""
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - else the interpreter tries again on its way out
        if error.errno == errno.EPIPE:
            return 0 if code in (0, None) else code
        note(f"assay: standard output must be writable; {error.strerror}. What was stored is kept")
        return 4 if code in (0, None) else code
    return code
