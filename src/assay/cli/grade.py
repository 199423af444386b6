"""`assay grade`: what graded answers are worth."""

from dataclasses import asdict
from pathlib import Path

import typer

from assay.cli.output import JSON_OPTION, emit, note
from assay.core.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="Grades of answers: pass-at-k.", no_args_is_help=True, rich_markup_mode=None)

ONE = ("k", "pass_at_k", "low", "high")
TWO = (*ONE, "other", "other_low", "other_high", "difference", "difference_low", "difference_high")


@app.callback()
def _grade() -> None:
    """Grades of answers: pass-at-k."""


@app.command("pass-at-k")
def pass_at_k(
    samples: Path = typer.Argument(
        metavar="SAMPLES", help="JSON lines: a 'prompt' and 'correct' an answer, or 'prompt', 'n' and 'correct' a prompt."
    ),
    k: str = typer.Option("1", "--k", metavar="K,K", help="How many answers may be tried; commas between several."),
    compare: Path | None = typer.Option(
        None, "--compare", metavar="OTHER", help="Another model's answers to the same prompts."
    ),
    prompt_field: str = typer.Option("prompt", "--prompt-field", metavar="NAME", help="Of a row, what tells its prompt."),
    correct_field: str = typer.Option("correct", "--correct-field", metavar="NAME", help="Of a row, whether it is right."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Tell the chance that one of k answers is right, without bias, with intervals over prompts.

    Every prompt needs the same number of answers, at least k; what cannot be told is refused, with the prompt. With another
    file the difference is taken prompt by prompt.

    Examples:
      assay grade pass-at-k examples/samples.jsonl --k 1,8,64
      assay grade pass-at-k examples/samples.jsonl --k 1,8,64 --compare examples/samples-cooler.jsonl --json
    """
    try:
        ks = sorted({int(part) for part in k.split(",")})
    except ValueError as error:
        raise UsageError(f"--k takes whole numbers with commas between them, such as 1,8,64; got '{k}'") from error
    if ks[0] < 1:
        raise UsageError(f"--k takes numbers of at least 1; got {ks[0]}")
    for file in (samples, compare):
        if file is not None and not file.is_file():
            raise UsageError(f"grade: a file of graded answers must be a plain file; {file} is none. Check its name")
    from assay.audit.grading import grade_pass_at_k, read_graded

    graded = read_graded(samples, prompt_field=prompt_field, correct_field=correct_field)
    other = None if compare is None else read_graded(compare, prompt_field=prompt_field, correct_field=correct_field)
    rows = [asdict(row) for row in grade_pass_at_k(graded, ks, other)]
    emit(rows, as_json=as_json, columns=ONE if other is None else TWO)
    if not as_json:
        note(f"assay: {len(graded.prompts)} prompts, {graded.n} answers to each; 95 % intervals over prompts, one k at a time.")
