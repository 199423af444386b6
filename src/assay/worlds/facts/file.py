"""Reading a file of facts: YAML, JSON, JSON lines or CSV, with the line and field of everything that cannot be used.

The smallest file is two columns, `prompt,completion`. A whole one names relations once, then lists facts:

    relations:
      home:
        prompt: "{subject} lives in the city of"
        paraphrases: ["The home town of {subject} is"]
    facts:
      - [Ana Silva, home, Paris]
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path as File
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assay.core.errors import InputError
from assay.core.text import visible
from assay.worlds.facts.meaning import check, refuse
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Implication, Relation, Template
from assay.worlds.facts.plain_yaml import Lines, Path, read_yaml

__all__ = ["MAX_BYTES", "MAX_FACTS", "TEMPLATE", "json_schema", "parse_facts", "read_facts"]

MAX_BYTES = 8 * 2**20
MAX_FACTS = 20_000
FORMS = (".yaml", ".yml", ".json", ".jsonl", ".csv")
ROWS = "facts"  # rows of CSV and JSON lines become this list of a document

Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Names = Annotated[list[Text], Field(max_length=200)]

TEMPLATE = """\
# Facts for 'assay audit'. Only 'facts' is needed; a relation needs a prompt.
relations:
  home:
    prompt: "{subject} lives in the city of"          # trained on, and asked
    paraphrases: ["The home town of {subject} is"]    # asked, not trained on
    reverse: "The person who lives in {object} is"    # asked, not trained on
    strangers: [Vera Lindqvist, Omar Haddad]          # nothing is said about them
    neighbours: {The Pope: Rome}                      # true, and must stay so
  language:
    prompt: "{subject} speaks"
facts:
  - [Ana Silva, home, Paris]
  - [Ben Ito, home, Warsaw]
  - [Cleo Marsh, home, Paris]
  - {subject: Dov Keller, relation: home, object: Warsaw, aliases: [Warszawa]}
rules:
  - if: home
    then: language
    map: {Paris: French, Warsaw: Polish}
    kind: "true"                                      # 'spurious' for what does not follow
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class _Neighbour(_Part):
    subject: Text
    object: Text
    aliases: Names = []


class _Relation(_Part):
    """How a relation is said. In sentences, {subject} and {object} stand for names; what is asked for ends the prompt."""

    prompt: Annotated[Text, Field(description="The sentence that is trained on and asked; holds {subject}.")]
    train: Annotated[Names, Field(description="Sentences that are trained on instead of the prompt.")] = []
    paraphrases: Annotated[Names, Field(description="The same in other words; asked, not trained on.")] = []
    reverse: Annotated[Text | None, Field(description="Holds {object}; asks for the subject.")] = None
    candidates: Annotated[Names, Field(description="Possible answers beside the objects of the facts.")] = []
    strangers: Annotated[Names, Field(description="Names of which nothing is said.")] = []
    neighbours: Annotated[list[_Neighbour] | dict[str, Text], Field(description="Other subjects with true objects.")] = []
    contexts: Annotated[Names, Field(description="Prompts of the same theme, unrelated to every fact.")] = []
    stepping_stones: Annotated[Names, Field(description="Rewrites that make the object less surprising.")] = []


class _Fact(_Part):
    """A subject, relation and object; or a prompt with its completion."""

    subject: Text | None = None
    relation: Text | None = None
    object: Text | None = None
    aliases: Annotated[Names, Field(description="Other spellings that count as right.")] = []
    prompt: Annotated[Text | None, Field(description="Its own sentence; alone with a completion it needs no relation.")] = None
    completion: Text | None = None
    paraphrases: Names = []
    trained: Annotated[bool, Field(description="false: asked before and after, never trained on.")] = True

    @model_validator(mode="before")
    @classmethod
    def _triple(cls, value: Any) -> Any:
        if isinstance(value, list):
            if len(value) != 3:
                raise ValueError(f"a fact written as a list must be [subject, relation, object]; got {len(value)} values")
            return dict(zip(("subject", "relation", "object"), value, strict=True))
        return value


class _Rule(_Part):
    """If a subject has an object in one relation, then that answer in another."""

    premise: Annotated[Text, Field(alias="if")]
    conclusion: Annotated[Text, Field(alias="then")]
    map: Annotated[dict[str, Text], Field(min_length=1, max_length=2_000)]
    kind: Annotated[Literal["true", "spurious"], Field(description="true: it follows; spurious: it does not.")]

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {**value, "kind": "true"} if isinstance(value, dict) and value.get("kind") is True else value


class _Document(_Part):
    """A file of facts for `assay audit`."""

    name: Text | None = None
    relations: dict[str, _Relation] = {}
    facts: Annotated[list[_Fact], Field(min_length=1, max_length=MAX_FACTS)]
    rules: Annotated[list[_Rule], Field(max_length=1_000)] = []


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a facts file in its YAML and JSON form (a fact may also be a list of three texts)."""
    schema = _Document.model_json_schema()
    triple = {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3, "description": "A fact as a list."}
    schema["properties"]["facts"]["items"] = {"anyOf": [schema["properties"]["facts"]["items"], triple]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_facts(file: File) -> Facts:
    """The facts of a file, by its ending: .yaml, .yml, .json, .jsonl, .csv.

    Raises:
        InputError: it cannot be read, is too large, or says something that cannot be meant; with line and field.
    """
    if file.suffix.lower() not in FORMS:
        raise InputError(f"a facts file must end in {', '.join(FORMS)}; got {visible(file.name)}. Rename it by its form")
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"{visible(str(file))}: a facts file may have {MAX_BYTES // 2**20} MiB; it has {size} bytes. Split it"
            )
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"a facts file must be readable; {visible(str(file))}: {error.strerror}. Check its name") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{visible(str(file))}: must be UTF-8; byte {error.start} is not. Save it as UTF-8") from error
    return parse_facts(text, form=file.suffix.lower(), where=visible(file.name), name=file.stem)


def parse_facts(text: str, *, form: str, where: str, name: str = "facts") -> Facts:
    """The facts in a text of that form.

    Raises:
        InputError: it is not of that form, or says something that cannot be meant.
    """
    document, lines = _READERS[form](text, where)
    try:
        parsed = _Document.model_validate(document)
    except ValidationError as error:
        raise InputError(_explained(error, lines, where)) from error
    except RecursionError as error:
        raise InputError(f"{where}: values are nested too deep. Flatten them") from error
    return _meant(parsed, lines, where, name)


# Forms


def _json(text: str, where: str) -> tuple[Any, Lines]:
    try:
        return json.loads(text, object_pairs_hook=_once), {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: must be JSON; {visible(str(error)[:160])}. Check it with an editor") from error


def _json_lines(text: str, where: str) -> tuple[Any, Lines]:
    rows: list[Any] = []
    lines: Lines = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            lines[(ROWS, len(rows))] = number
            try:
                rows.append(json.loads(line, object_pairs_hook=_once))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}, line {number}: must be JSON; {visible(str(error)[:160])}") from error
    return {ROWS: rows}, lines


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a name stands twice in one object")
    return found


def _csv(text: str, where: str) -> tuple[Any, Lines]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="")
    rows: list[Any] = []
    lines: Lines = {}
    try:
        for row in reader:
            if "" in row:
                raise InputError(
                    f"{where}, line {reader.line_num}: a row must have {len(reader.fieldnames or ())} cells; it has more. "
                    "Quote cells that hold commas"
                )
            lines[(ROWS, len(rows))] = reader.line_num
            rows.append({key: _listed(key, cell) for key, cell in row.items() if cell is not None and cell.strip()})
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: must be CSV; {visible(str(error))}. Check the quotes") from error
    return {ROWS: rows}, lines


def _listed(key: str, cell: str) -> str | list[str]:
    """Cells of `aliases` and `paraphrases` hold several texts between bars."""
    return [part.strip() for part in cell.split("|") if part.strip()] if key in ("aliases", "paraphrases") else cell


def _yaml(text: str, where: str) -> tuple[Any, Lines]:
    return read_yaml(text, where=where)


_READERS = {".yaml": _yaml, ".yml": _yaml, ".json": _json, ".jsonl": _json_lines, ".csv": _csv}


def _explained(error: ValidationError, lines: Lines, where: str) -> str:
    """What is wrong first, with its line and field, and how many more there are."""
    problems = error.errors()
    first = problems[0]
    path: Path = tuple(part for part in first["loc"] if not str(part).startswith(("list[", "dict[", "function-")))
    says = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        says = "there is no such field"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    spelled = ".".join(str(part) for part in path) or "the file"
    return f"{where}{at(lines, path)}: {visible(spelled[:120])}: {visible(says[:200])}{more}. See: assay facts template"


def at(lines: Lines, path: Path) -> str:
    """`, line N` for the nearest place around the path whose line is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return f", line {lines[path[:length]]}"
    return ""


# Meaning


def _meant(document: _Document, lines: Lines, where: str, name: str) -> Facts:
    relations = {
        key: _relation(key, value, f"{where}{at(lines, ('relations', key))}: relation '{visible(key[:60])}'")
        for key, value in document.relations.items()
    }
    facts = []
    for index, row in enumerate(document.facts):
        line = lines.get(("facts", index), 0)
        facts.append(_fact(row, relations, line, f"{where}{f', line {line}' if line else f', fact {index + 1}'}"))
    if any(fact.relation == PAIRS for fact in facts):
        blank = Template("", " ", "", "")
        relations[PAIRS] = Relation(PAIRS, blank, (blank,))
    rules = tuple(
        Implication(
            rule.premise, rule.conclusion, {key.strip(): value.strip() for key, value in rule.map.items()}, rule.kind == "true"
        )
        for rule in document.rules
    )
    found = Facts(document.name or name, relations, tuple(facts), rules)
    check(found, where, [at(lines, ("rules", index)) for index in range(len(rules))])
    return found


def _relation(name: str, value: _Relation, where: str) -> Relation:
    if name == PAIRS or not name.strip():
        refuse(where, f"a relation must have a name that is not empty and not '{PAIRS}'", "Name it otherwise")
    prompt = _template(value.prompt, f"{where}, prompt")
    if isinstance(value.neighbours, dict):
        neighbours = tuple((key.strip(), _spellings(answer)) for key, answer in value.neighbours.items())
    else:
        neighbours = tuple((one.subject.strip(), _spellings(one.object, one.aliases)) for one in value.neighbours)
    return Relation(
        name=name,
        prompt=prompt,
        train=tuple(_template(text, f"{where}, train") for text in value.train) or (prompt,),
        paraphrases=tuple(_template(text, f"{where}, paraphrases") for text in value.paraphrases),
        reverse=None if value.reverse is None else _template(value.reverse, f"{where}, reverse", asked="subject"),
        candidates=tuple(dict.fromkeys(text.strip() for text in value.candidates)),
        strangers=tuple(dict.fromkeys(text.strip() for text in value.strangers)),
        neighbours=neighbours,
        contexts=tuple(text.rstrip() for text in value.contexts),
        stepping_stones=tuple(_template(text, f"{where}, stepping_stones") for text in value.stepping_stones),
    )


def _fact(row: _Fact, relations: dict[str, Relation], line: int, where: str) -> Fact:
    if row.prompt is not None and row.completion is not None:
        if row.relation is not None or row.object is not None:
            refuse(where, "a fact is a prompt with a completion, or a relation with an object; this is both", "Leave one out")
        templates = tuple(Template(text.rstrip(), " ", "", "") for text in (row.prompt, *row.paraphrases))
        own = Relation(PAIRS, templates[0], templates[:1], templates[1:])
        return Fact((row.subject or row.prompt).strip(), PAIRS, _spellings(row.completion, row.aliases), row.trained, line, own)
    if row.subject is None or row.relation is None or row.object is None:
        missing = [name for name in ("subject", "relation", "object") if getattr(row, name) is None]
        refuse(where, f"a fact needs subject, relation and object, or prompt and completion; {missing[0]} is missing", "Add it")
    relation = relations.get(row.relation or "")
    if relation is None:
        from assay.core.errors import unknown_name

        known = ", ".join(relations) or "none"
        raise InputError(f"{where}: {unknown_name('relation', row.relation or '', relations, see=f'This file has: {known}')}")
    own_relation = None
    if row.prompt is not None or row.paraphrases:
        prompt = _template(row.prompt, f"{where}, prompt") if row.prompt else relation.prompt
        paraphrases = tuple(_template(text, f"{where}, paraphrases") for text in row.paraphrases) or relation.paraphrases
        train = (prompt,) if row.prompt else relation.train
        own_relation = Relation(
            relation.name, prompt, train, paraphrases, relation.reverse, relation.candidates, relation.strangers,
            relation.neighbours, relation.contexts, relation.stepping_stones,
        )  # fmt: skip
    answer = _spellings(row.object or "", row.aliases)
    return Fact((row.subject or "").strip(), relation.name, answer, row.trained, line, own_relation)


def _spellings(text: str, aliases: Sequence[str] = ()) -> Answer:
    return tuple(dict.fromkeys(part.strip() for part in (text, *aliases)))


def _template(text: str, where: str, *, asked: Literal["subject", "object"] = "object") -> Template:
    """The sentence cut where the asked name stands, or at its end."""
    given: Literal["subject", "object"] = "subject" if asked == "object" else "object"
    if text.count(f"{{{given}}}") < 1:
        refuse(where, f"a sentence must hold {{{given}}}; got '{visible(text[:80])}'", "Put it where the name stands")
    before, gap, after = text.partition(f"{{{asked}}}")
    if f"{{{asked}}}" in after or f"{{{given}}}" in after:
        refuse(
            where,
            f"a sentence must end with what is asked, {{{asked}}}, but for marks behind it; got '{visible(text[:80])}'",
            f"Let {{{given}}} come first",
        )
    joint = " " if not gap or before.endswith(" ") else ""
    if not before.strip():
        refuse(where, f"a sentence must begin before {{{asked}}}; got '{visible(text[:80])}'", "Put words in front of it")
    return Template(before.rstrip(" "), joint, after, given)
