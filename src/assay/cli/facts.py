"""`assay facts`: files of facts for an audit: check one, print one to begin with, print their schema."""

import json
from pathlib import Path

import typer

from assay.cli.output import JSON_OPTION, emit, note

__all__ = ["app"]

app = typer.Typer(
    help="Files of facts for 'assay audit': check, template, schema.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("check")
def check(
    file: Path = typer.Argument(metavar="FILE", help="A file in YAML, JSON, JSON lines or CSV."),
    model: str | None = typer.Option(None, "--model", help="Also hold that this model's tokenizer gives every text back."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a file of facts: what is wrong is named with its line and field; what is asked is counted.

    Examples:
      assay facts check examples/countries.yaml
      assay facts check examples/countries.yaml --model smollm2-135m --json
    """
    from collections import Counter

    from assay.audit.probes import COLUMNS, questions
    from assay.worlds.facts.file import read_facts
    from assay.worlds.facts.questions import pairs_of

    facts = read_facts(file)
    asked = questions(facts)
    pairs = pairs_of(asked)
    if model is not None:
        from assay.audit.measuring import tokenised
        from assay.models.pretrained.loading import load

        tokenised(load(model), [*pairs, *facts.sentences], facts=facts, asked=asked)
    counts = Counter(question.column for question in asked)
    rows = [{"column": column, "questions": counts.get(column, 0)} for column in COLUMNS]
    note(
        f"assay: {file.name}: {len(facts.facts)} facts, {len(facts.trained)} to inject in {len(facts.sentences)} sentences, "
        f"{len(pairs)} answers to score"
    )
    emit(rows, as_json=as_json)


@app.command("template")
def template() -> None:
    """Print a small file of facts to begin with.

    Examples:
      assay facts template > facts.yaml
      assay facts template | less
    """
    from assay.worlds.facts.file import TEMPLATE

    typer.echo(TEMPLATE, nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a file of facts, for editors and generators.

    Examples:
      assay facts schema > facts.schema.json
      assay facts schema | head
    """
    from assay.worlds.facts.file import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
