"""`assay facts`: files of facts for an audit: check one, convert one, print one to begin with, print their schema."""

import json
from pathlib import Path

import typer

from assay.cli.completing import models_named
from assay.cli.facts_options import CHAT_OPTION, JOINT_OPTION, PROMPT_OPTION, SUITE_OPTION, TEXTS_OPTION, facts_of, prompts_of
from assay.cli.output import JSON_OPTION, emit, note

__all__ = ["app"]

app = typer.Typer(
    help="Files of facts for 'assay audit': check, convert, template, schema.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("check")
def check(
    file: Path = typer.Argument(metavar="FILE", help="A file in YAML, JSON, JSON lines or CSV."),
    model: str | None = typer.Option(
        None, "--model", help="Also hold that this model's tokenizer gives every text back.", autocompletion=models_named
    ),
    prompt: list[str] | None = PROMPT_OPTION,
    joint: str | None = JOINT_OPTION,
    chat_template: str | None = CHAT_OPTION,
    suite: Path | None = SUITE_OPTION,
    texts: Path | None = TEXTS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a file of facts: what is wrong is named with its line and field; what is asked is counted.

    Examples:
      assay facts check examples/countries.yaml
      assay facts check examples/countries.yaml --model smollm2-135m --json
      assay facts check table.csv --prompt home="{subject} lives in the city of"
    """
    from collections import Counter

    from assay.audit.columns import COLUMNS, questions
    from assay.worlds.facts.questions import pairs_of

    facts = facts_of(file, prompt, joint, suite, texts)
    if model is None:
        asked, notes = questions(facts), facts.notes
    else:
        from assay.api.language_models import load_model
        from assay.audit.chats import chat_template_named
        from assay.audit.probes import Extent
        from assay.audit.session import Session
        from assay.core.seeds import Seeds

        session = Session.of(
            load_model(model), facts, Extent(), Seeds(0), template=chat_template_named(chat_template)
        ).checked()
        asked, notes, facts = list(session.asked), (*session.facts.notes, *session.notes), session.facts
    counts = Counter(question.column for question in asked)
    rows = [{"column": column, "questions": counts.get(column, 0)} for column, one in COLUMNS.items() if one.asks is not None]
    note(
        f"assay: {file.name}: {len(facts.facts)} facts, {len(facts.trained)} to inject in {len(facts.sentences)} sentences, "
        f"{len(pairs_of(asked))} answers to score"
    )
    for line in notes:
        note(f"assay: {line}")
    emit(rows, as_json=as_json)


@app.command("convert")
def convert(
    file: Path = typer.Argument(metavar="FILE", help="A file of another tool or a published test, in JSON, JSON lines or CSV."),
    form: str | None = typer.Option(
        None,
        "--from",
        metavar="FORM",
        help="counterfact, easyedit, zsre, mquake, ripple, popqa, tofu, alpaca, sharegpt or messages. [default: as it looks]",
    ),
    prompt: list[str] | None = PROMPT_OPTION,
    joint: str | None = JOINT_OPTION,
) -> None:
    """Print a file of another tool as a file of facts, in JSON; tables of subject, relation, object with --prompt.

    Examples:
      assay facts convert counterfact.json --from counterfact > facts.json
      assay facts convert table.csv --prompt home="{subject} lives in the city of" > facts.json
    """
    from assay.worlds.facts.file import converted_file

    document, notes = converted_file(file, form, prompts=prompts_of(prompt), joint=joint)
    for line in notes:
        note(f"assay: {line}")
    head = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items() if key != "facts"]
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in document["facts"])
    typer.echo("{" + "".join(f"{line},\n" for line in head) + f'"facts": [\n{rows}\n]' + "}")


@app.command("template")
def template(
    form: str = typer.Option("yaml", "--form", metavar="FORM", help="yaml, csv, table, jsonl, chat or edits."),
) -> None:
    """Print a small file of facts to begin with, in any of the forms that are read.

    Examples:
      assay facts template > facts.yaml
      assay facts template --form edits > edits.yaml
    """
    from assay.core.errors import UsageError, unknown_name
    from assay.worlds.facts.templates import TEMPLATES

    if form not in TEMPLATES:
        raise UsageError(unknown_name("form", form, TEMPLATES, see=f"Forms are {', '.join(TEMPLATES)}"))
    typer.echo(TEMPLATES[form][1], nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a file of facts, for editors and generators.

    Examples:
      assay facts schema > facts.schema.json
      assay facts schema | head
    """
    from assay.worlds.facts.file import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
