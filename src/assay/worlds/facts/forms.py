"""How a file of facts is laid out: encoding, YAML, JSON, JSON lines, CSV with whatever delimiter, as one document.

A list of rows is the `facts` of a document. Columns and fields that only number or describe rows are left out, and said so.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.errors import InputError
from assay.core.text import visible
from assay.worlds.facts.chats import CHAT_FIELDS
from assay.worlds.facts.plain_yaml import Lines, read_yaml
from assay.worlds.facts.schema import MEANT, FactPart, meant_field

__all__ = ["FORMS", "MAX_BYTES", "Read", "decoded", "read_form"]

FORMS = (".yaml", ".yml", ".json", ".jsonl", ".csv", ".tsv")
MAX_BYTES = 8 * 2**20
ROWS = "facts"
DELIMITERS = ",;\t|"
SEVERAL = ("aliases", "paraphrases", "candidates", "replaces", "subject_aliases")
"""Columns whose cells hold several texts between bars."""
VERBATIM = ("prompt", "completion")
DESCRIPTIVE = {
    "", "id", "idx", "index", "uuid", "row", "no", "nr", "number", "unnamed: 0", "split", "source", "dataset", "category",
    "metadata", "meta", "date", "comment", "notes", "url", "lang", "language", "difficulty", "tags", "topic",
}  # fmt: skip
"""Columns that only number or describe rows."""
FIELDS = tuple(FactPart.model_fields)


@dataclass(frozen=True)
class Read:
    """A file's document.

    Attributes:
        document: mappings, lists and texts.
        lines: where each value stands, as far as the form tells.
        notes: how it was read.
        faults: place and words of what is wrong with its layout.
    """

    document: Any
    lines: Lines
    notes: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


def decoded(content: bytes, where: str) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, or in UTF-16 with one.

    Raises:
        InputError: it is in neither.
    """
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{where}, line {line}: must be UTF-8; byte {error.start} is not. Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')"
        ) from error


def read_form(text: str, form: str, where: str) -> Read:
    """The document in a text of the form that a file's ending names.

    Raises:
        InputError: it is not of that form.
    """
    if form in (".yaml", ".yml"):
        document, lines = read_yaml(text, where=where)
        return _listed_rows(Read(document, lines))
    if form in (".csv", ".tsv"):
        return _csv(text, where)
    return _described(_json(text, form, where))


# JSON


def _json(text: str, form: str, where: str) -> Read:
    """One JSON value, or one a line; each ending may hold the other form, if it does so plainly."""
    begins = text.lstrip()[:1]
    several = sum(bool(line.strip()) for line in text.splitlines()) > 1
    if form == ".jsonl" and begins != "[":
        return _json_lines(text, where)
    try:
        return _listed_rows(Read(json.loads(text, object_pairs_hook=_once), {}))
    except (ValueError, RecursionError) as error:
        if form == ".json" and begins == "{" and several and "Extra data" in str(error):
            return _json_lines(text, where)
        raise InputError(f"{where}: must be JSON; {visible(str(error)[:160])}. Check it with an editor") from error


def _json_lines(text: str, where: str) -> Read:
    rows: list[Any] = []
    lines: Lines = {}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                faults.append((f", line {number}", f"must be JSON; {visible(str(error)[:160])}. Check it with an editor"))
                continue
            lines[(ROWS, len(rows))] = number
            rows.append(row)
    if faults and not rows:
        raise InputError(f"{where}{faults[0][0]}: {faults[0][1]}")
    if len(rows) == 1 and isinstance(rows[0], dict) and ROWS in rows[0]:
        return Read(rows[0], {}, faults=tuple(faults))
    return Read({ROWS: rows}, lines, faults=tuple(faults))


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a name stands twice in one object")
    return found


def _listed_rows(read: Read) -> Read:
    """A list at the top is the facts of a document."""
    if not isinstance(read.document, list):
        return read
    return Read({ROWS: read.document}, {(ROWS, *path): line for path, line in read.lines.items()}, read.notes, read.faults)


def _described(read: Read) -> Read:
    """The rows without what only numbers or describes them, and a note of it."""
    rows = read.document.get(ROWS) if isinstance(read.document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return read
    left_out = sorted({key for row in rows for key in row if key.strip().casefold() in DESCRIPTIVE})
    if not left_out:
        return read
    kept = [{key: value for key, value in row.items() if key not in left_out} for row in rows]
    return Read({**read.document, ROWS: kept}, read.lines, (*read.notes, _left_out(left_out)), read.faults)


def _left_out(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{visible(name[:40])}'" for name in names)
    return f"Not read, because it says nothing of a fact: {shown}."


# CSV


def _csv(text: str, where: str) -> Read:
    stated = re.match(r"sep=(.)\r?\n", text)
    start = 0
    if stated:  # what spreadsheets write for themselves
        text, start = text[stated.end() :], 1
    while text[:1] in "\r\n" and text:
        start += text[0] == "\n"
        text = text[1:]
    delimiter = stated.group(1) if stated else _delimiter(text.splitlines()[0] if text else "")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        head = next(reader, [])
        names = [_field(cell) for cell in head]
        faults = _head_faults(head, names)
        rows: list[Any] = []
        lines: Lines = {}
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) > len(names):
                    says = f"a row must have {len(names)} cells; it has more. Quote cells that hold '{_shown(delimiter)}'"
                    faults.append((f", line {start + line}", says))
                else:
                    lines[(ROWS, len(rows))] = start + line
                    rows.append(_row(names, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{where}, line {start + reader.line_num}: must be CSV; {visible(str(error))}. Check the quotes"
        ) from error
    left_out = [cell for cell, name in zip(head, names, strict=True) if name in DESCRIPTIVE and cell.strip()]
    notes = (_left_out(left_out),) if left_out else ()
    if delimiter != ",":
        notes = (f"Cells are separated by '{_shown(delimiter)}'.", *notes)
    return Read({ROWS: rows}, lines, notes, tuple(faults))


def _delimiter(head: str) -> str:
    """The one that cuts the first line into the most fields of facts; a comma where none does."""

    def known(delimiter: str) -> int:
        try:
            cells = next(csv.reader([head], delimiter=delimiter), [])
        except csv.Error:
            return 0
        return sum(_field(cell) in FIELDS or _field(cell) in MEANT or _field(cell) in CHAT_FIELDS for cell in cells)

    return max(DELIMITERS, key=lambda one: (known(one), one in head, -DELIMITERS.index(one)))


def _field(cell: str) -> str:
    return cell.strip().strip("\ufeff").casefold().replace(" ", "_").replace("-", "_")


def _head_faults(head: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    known = {*FIELDS, *CHAT_FIELDS, *PUBLISHED_COLUMNS}
    faults = [
        (", line 1", f"column '{visible(cell[:40])}': {meant_field((ROWS, 0, name))}")
        for cell, name in zip(head, names, strict=True)
        if name not in known and name not in DESCRIPTIVE
    ]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    faults += [(", line 1", f"a column must stand once; '{visible(name[:40])}' stands twice. Leave one out") for name in twice]
    return faults


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """The row by field: texts to the letter in prompts and completions, without blanks around them elsewhere."""
    found: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        if name in DESCRIPTIVE or not cell.strip():
            continue
        if name in SEVERAL:
            found[name] = [part.strip() for part in cell.split("|") if part.strip()]
        else:
            found[name] = cell if name in VERBATIM or name not in FIELDS else cell.strip()
    return found


def _shown(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else delimiter


PUBLISHED_COLUMNS = ("subj", "prop", "obj", "possible_answers", "s_aliases", "o_aliases", "s_uri", "o_uri", "s_wiki_title",
                     "o_wiki_title", "s_pop", "o_pop", "subj_id", "prop_id", "obj_id", "question", "answer")  # fmt: skip
"""Columns of a published test that comes as a table; see `published`."""
