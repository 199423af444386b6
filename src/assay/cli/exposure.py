"""`assay exposure`: how often a corpus mentions what facts are about."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from assay.cli.completing import models_named
from assay.cli.device import DEVICE_OPTION, device_of
from assay.cli.output import JSON_OPTION, emit, note
from assay.cli.progress import progress_said
from assay.core.errors import UsageError

__all__ = ["exposure"]

COUNTS = ("subject", "relation", "object", "n_subject", "n_object", "n_both")
STEPS = ("n_seen", "first_step", "last_step")
KNOWN = ("known", "predicted")


def exposure(
    corpus: Path = typer.Argument(
        metavar="CORPUS", help="JSON lines with a 'text' each (.jsonl), or text with a passage a line."
    ),
    facts: Path = typer.Argument(metavar="FACTS", help="A file of facts, as of 'assay audit'."),
    log: Path | None = typer.Option(
        None, "--log", metavar="LOG", help="Of a training on these lines, as of 'assay provenance'."
    ),
    model: str | None = typer.Option(
        None, "--model", metavar="MODEL", help="Ask this model which facts it knows.", autocompletion=models_named
    ),
    text_field: str = typer.Option("text", "--field", metavar="NAME", help="Of a JSON line, what holds its text."),
    device: str | None = DEVICE_OPTION,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress on standard error."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Count, for every fact, the passages of a corpus that mention its subject, its object, and both.

    With a log, also how often a training saw a passage with both, and at which step first and last. With a model, also whether
    it knows the fact, beside what the number of passages predicts. Mentions are told by names and aliases, with capitals.

    Examples:
      assay exposure corpus.jsonl facts.yaml
      assay exposure corpus.jsonl facts.yaml --log ./log --model ./my-model --json
    """
    if not corpus.is_file():
        raise UsageError(f"exposure: CORPUS must be a plain file; {corpus} is none. Check its name")
    from assay.audit import exposure as counting
    from assay.core.progress import part
    from assay.training.order import Transcript
    from assay.worlds.facts.file import read_facts

    read = read_facts(facts)
    transcript = None if log is None else Transcript.read(log)
    with progress_said(quiet=quiet), device_of(device):
        with part(0.0, 1.0 if model is None else 0.5, "counting"):
            found = counting.exposure(corpus, read, transcript, text_field=text_field)
        if model is not None:
            from assay.models.pretrained.named import base_model, check_own_folder

            check_own_folder(model)
            with part(0.5, 1.0, "asking"):
                found = counting.with_known(found, *counting.known_to(base_model(model), read))
    if as_json:
        typer.echo(json.dumps(found.json(), ensure_ascii=False, indent=2, allow_nan=False))
        return
    columns = (*COUNTS, *(STEPS if log is not None else ()), *(KNOWN if model is not None else ()))
    emit([asdict(row) for row in found.rows], as_json=False, columns=columns)
    for line in (f"{found.n_passages:,} passages.", *found.notes):
        note(f"assay: {line}")
