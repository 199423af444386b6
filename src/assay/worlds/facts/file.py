"""Reading a file of facts: YAML, JSON, JSON lines or CSV, with the line and field of everything that cannot be used.

The smallest file is two columns, `prompt,completion`. A whole one names relations once, then lists facts:

    relations:
      home:
        prompt: "{subject} lives in the city of"
        paraphrases: ["The home town of {subject} is"]
    facts:
      - [Ana Silva, home, Paris]

What stands in it is `schema`, how it is laid out in each form `forms`, files of other tools `published`.
"""

import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from assay.core.errors import InputError
from assay.core.text import visible
from assay.worlds.facts.building import Builder
from assay.worlds.facts.chats import CHAT_FIELDS
from assay.worlds.facts.faults import Faults
from assay.worlds.facts.forms import FORMS, MAX_BYTES, Read, decoded, read_form
from assay.worlds.facts.meaning import check, place_of
from assay.worlds.facts.model import PAIRS, Fact, Facts, Relation, Template
from assay.worlds.facts.plain_yaml import Lines, Path
from assay.worlds.facts.published import converted, recognised
from assay.worlds.facts.schema import MAX_FACTS, Document, FactPart, RelationPart, json_schema, meant_field
from assay.worlds.facts.templates import TEMPLATE

__all__ = [
    "MAX_BYTES",
    "MAX_FACTS",
    "TEMPLATE",
    "converted_file",
    "json_schema",
    "parse_facts",
    "read_facts",
    "read_text",
    "with_suite",
    "with_texts",
]

_Part = TypeVar("_Part", bound=BaseModel)


def read_facts(file: File, *, prompts: Mapping[str, str] | None = None, joint: str | None = None) -> Facts:
    """The facts of a file, by its ending: .yaml, .yml, .json, .jsonl, .csv, .tsv.

    Args:
        file: its path.
        prompts: how relations are asked that the file itself does not say, e.g. {"home": "{subject} lives in"}.
        joint: what stands between prompt and completion of a row where neither has a blank; None for what the file says.

    Raises:
        InputError: it cannot be read, is too large, or says something that cannot be meant; with line and field.
    """
    text, form = read_text(file)
    return parse_facts(text, form=form, where=visible(file.name), name=file.stem, prompts=prompts, joint=joint)


def converted_file(
    file: File, form: str | None, *, prompts: Mapping[str, str] | None = None, joint: str | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A file of another tool as a document of our own form, and notes of how it was read; None for the form it looks like.

    Raises:
        InputError: it is not of that form, or what it says cannot be meant.
    """
    text, ending = read_text(file)
    where = visible(file.name)
    read = read_form(text, ending, where)
    rows = read.document.get("facts") if isinstance(read.document, dict) else None
    if form is not None:
        if not isinstance(rows, list):
            raise InputError(f"{where}: must hold a list of rows to convert; it holds none. Name another file")
        made, notes = converted(rows, form, where)
        document = {**{key: value for key, value in read.document.items() if key != "facts"}, **made}
    else:
        document, notes = recognised(read.document, where)
        if isinstance(document, dict) and any(isinstance(row, dict) and set(CHAT_FIELDS) & set(row) for row in rows or ()):
            document = {**document, **converted(rows or [], "messages", where)[0]}
    for name, sentence in (prompts or {}).items():
        relations = document.setdefault("relations", {})
        relations[name] = {**relations.get(name, {}), "prompt": sentence}
    if joint is not None:
        document["joint"] = joint
    faults = Faults(where)
    facts = _meant(replace(read, document=document), faults, file.stem, {}, None)  # what cannot be meant is not printed either
    return document, tuple(dict.fromkeys((*read.notes, *notes, *facts.notes)))


def with_suite(facts: Facts, suite: Facts) -> Facts:
    """The facts with those of another file as what must be kept; nothing of that file is injected.

    Raises:
        InputError: both files have a relation of one name, and ask it differently.
    """
    for name in set(facts.relations) & set(suite.relations):
        if facts.relations[name].prompt != suite.relations[name].prompt:
            raise InputError(
                f"{suite.name}: relation '{visible(name[:60])}' is asked otherwise in {facts.name}; both must ask it alike. "
                "Rename it in one file"
            )
    kept = tuple(replace(fact, trained=False) for fact in suite.facts)
    notes = tuple(f"Suite: {note}" for note in suite.notes)
    return replace(
        facts, relations={**suite.relations, **facts.relations}, suite=kept, notes=tuple(dict.fromkeys((*facts.notes, *notes)))
    )


def with_texts(facts: Facts, file: File) -> Facts:
    """The facts with the lines of a text file as the plain sentences that are measured.

    Raises:
        InputError: the file cannot be read, or holds no or too many sentences.
    """
    try:
        lines = decoded(file.read_bytes(), visible(str(file))).splitlines()
    except OSError as error:
        raise InputError(
            f"a file of sentences must be readable; {visible(str(file))}: {error.strerror}. Check its name"
        ) from error
    texts = tuple(line.strip() for line in lines if line.strip())
    if not 2 <= len(texts) <= 2_000:
        raise InputError(
            f"{visible(str(file))}: a file of sentences must hold 2 to 2000; got {len(texts)}. One sentence a line"
        )
    return replace(facts, neutral=texts)


def read_text(file: File, *, what: str = "a facts file") -> tuple[str, str]:
    """The text of a file of facts, or of what else has its forms, and its ending.

    Args:
        file: its path.
        what: it is called in errors.

    Raises:
        InputError: it cannot be read, is too large, or is of no known form or encoding.
    """
    form = file.suffix.lower()
    if form not in FORMS:
        raise InputError(f"{what} must end in {', '.join(FORMS)}; got {visible(file.name)}. Rename it by its form")
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{what} must be a plain file; {visible(str(file))} is none. Save what it gives to a file")
        size = found.st_size
        if size > MAX_BYTES:
            raise InputError(f"{visible(str(file))}: {what} may have {MAX_BYTES // 2**20} MiB; it has {size} bytes. Split it")
        return decoded(file.read_bytes(), visible(str(file))), form
    except OSError as error:
        raise InputError(f"{what} must be readable; {visible(str(file))}: {error.strerror}. Check its name") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{what} must have a name; {visible(str(file))}: {error}. Check its name") from error


def parse_facts(
    text: str,
    *,
    form: str,
    where: str,
    name: str = "facts",
    prompts: Mapping[str, str] | None = None,
    joint: str | None = None,
) -> Facts:
    """The facts in a text of that form; see `read_facts`.

    Raises:
        InputError: it is not of that form, or says something that cannot be meant.
    """
    read = read_form(text, form, where)
    document, notes = recognised(read.document, where)
    faults = Faults(where)
    try:
        return _meant(replace(read, document=document, notes=(*read.notes, *notes)), faults, name, prompts or {}, joint)
    except RecursionError as error:
        raise InputError(f"{where}: values are nested too deep. Flatten them") from error


def _meant(read: Read, faults: Faults, name: str, prompts: Mapping[str, str], joint: str | None) -> Facts:
    """The facts of a document; raises all of its faults together."""
    lines, given = read.lines, read.document
    for problem in read.faults:
        faults.add(*problem)
    if not isinstance(given, dict):
        faults.add("", f"a facts file must hold fields or rows; got {type(given).__name__}. 'assay facts template' prints one")
        faults.settle()
    rows, kept = _rows(given, "facts"), _rows(given, "suite")
    head = _validated(Document, {**given, "facts": [_STAND_IN], "suite": []}, (), lines, faults)
    if rows is None or not rows:
        faults.add(at(lines, ("facts",)), "facts: List should have at least 1 item. 'assay facts template' prints a file")
    elif len(rows) > MAX_FACTS:
        faults.add("", f"facts: List should have at most {MAX_FACTS} items; got {len(rows)}. Split the file")
        faults.settle()
    own_joint = given.get("joint") if isinstance(given.get("joint"), str) else None
    builder = Builder(joint if joint is not None else own_joint, faults)
    relations = dict(head.relations) if head is not None else _sound_relations(given)
    for key, text in prompts.items():
        stated_prompt = RelationPart(prompt=text or " ")
        relations[key] = relations[key].model_copy(update={"prompt": text}) if key in relations else stated_prompt
    for key, part in relations.items():
        builder.relation(key, part, f"{at(lines, ('relations', key))}: relation '{visible(key[:60])}'")
    facts = _built(builder, rows or [], "facts", lines, faults)
    suite = [replace(fact, trained=False) for fact in _built(builder, kept or [], "suite", lines, faults)]
    rules = list(head.rules) if head is not None else []
    if not facts:
        faults.settle()
    whole = builder.finished([*facts, *suite])
    facts, suite = whole[: len(facts)], whole[len(facts) :]
    if any(fact.relation == PAIRS for fact in whole):
        blank = Template("", " ", "", "")
        builder.relations[PAIRS] = Relation(PAIRS, blank, (blank,))
    found = Facts(
        name=(head.name if head is not None else None) or name,
        relations=builder.relations,
        facts=tuple(facts),
        implications=tuple(builder.rule(part) for part in rules),
        suite=tuple(suite),
        neutral=tuple(head.neutral) if head is not None else (),
    )
    check(found, faults, [at(lines, ("rules", index)) for index in range(len(rules))])
    faults.settle()
    return replace(found, notes=(*read.notes, *builder.notes(found)))


_STAND_IN = {"prompt": "a", "completion": "b"}


def _rows(given: dict[str, Any], key: str) -> list[Any] | None:
    return given[key] if isinstance(given.get(key), list) else None


def _built(builder: Builder, rows: list[Any], key: str, lines: Lines, faults: Faults) -> list[Fact]:
    found: list[Fact] = []
    for index, row in enumerate(rows):
        line = lines.get((key, index), 0)
        part = _validated(FactPart, row, (key, index), lines, faults)
        if part is not None:
            found += builder.facts(part, line, place_of(line, index + 1, "fact" if key == "facts" else "fact of the suite"))
    return found


def _sound_relations(given: dict[str, Any]) -> dict[str, RelationPart]:
    """The relations that can be read, of a document that has faults elsewhere."""
    found = {}
    relations = given.get("relations")
    for key, value in relations.items() if isinstance(relations, dict) else ():
        try:
            found[str(key)] = RelationPart.model_validate(value)
        except ValidationError:
            # Its own faults are noted already; facts that name it must not be called at fault for it.
            found[str(key)] = RelationPart(prompt="{subject}")
    return found


def _validated(kind: type[_Part], value: Any, path: Path, lines: Lines, faults: Faults) -> _Part | None:
    """The part; None with its faults noted where it cannot be one."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        for problem in error.errors():
            inner: Path = tuple(part for part in problem["loc"] if not str(part).startswith(("list[", "dict[", "function-")))
            says = str(problem["msg"]).removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                says = meant_field((*path, *inner))
            where = at(lines, (*path, *inner)) or (place_of(0, int(path[1]) + 1) if len(path) > 1 else "")
            spelled = ".".join(str(part) for part in inner)
            faults.add(
                where, f"{visible(spelled[:120])}{': ' if spelled else ''}{visible(says[:600])}. See: assay facts template"
            )
        return None


def at(lines: Lines, path: Path) -> str:
    """`, line N` for the nearest place around the path whose line is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return f", line {lines[path[:length]]}"
    return ""
