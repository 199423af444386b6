"""`assay new`: a study of one's own, in a file that runs."""

from pathlib import Path

import typer

from assay.cli.output import note

__all__ = ["new"]


def new(
    name: str = typer.Argument(metavar="NAME", help="Of the study: letters, digits, hyphens. The file is NAME.py."),
    out: Path = typer.Option(Path("."), "--out", metavar="DIR", help="The folder that the file is written to."),
) -> None:
    """Write a study that runs: one claim, its control, settings, a function that measures, a figure. Then change it.

    Examples:
      assay new left-or-right
      assay run left_or_right.py --preset quick
    """
    from assay.core.errors import StoreError
    from assay.runner.new_study import new_study, slug_of
    from assay.store.files import write_atomically

    slug = slug_of(name)
    file = out / f"{slug.replace('-', '_')}.py"
    if file.exists():
        raise StoreError(f"a new study needs a file that does not exist yet; {file} does. Choose another name, or remove it")
    try:
        write_atomically(file, new_study(slug).encode())
    except OSError as error:
        raise StoreError(f"a study's folder must be writable; {out}: {error.strerror}. Name another with --out") from error
    shown = file if len(file.parts) > 1 else Path(file.name)
    note(f"wrote {shown}")
    for verb in (f"check {shown}", f"run {shown}", f"report {shown}"):
        typer.echo(f"assay {verb}")
