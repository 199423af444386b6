"""A small, tame part of YAML: mappings, sequences and texts, with the line each of them stands on.

Every scalar is a text ("no" is not a boolean and 1986 is not a number). Aliases, anchors, tags, merge keys, repeated keys,
several documents and deep nesting are refused before anything is built, so that a file means what it shows and a small file
cannot become a large one.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from assay.core.errors import InputError
from assay.core.text import visible

__all__ = ["Lines", "Path", "read_yaml"]

Path = tuple[str | int, ...]
Lines = dict[Path, int]
"""The line, from 1, of every value by its place in the document."""

MAX_DEPTH = 12
MAX_EVENTS = 2_000_000


def read_yaml(text: str, *, where: str) -> tuple[Any, Lines]:
    """The document's plain values (dict, list, str) and the line of each.

    Raises:
        InputError: it is not YAML, or uses what this reader leaves out; the message names the line.
    """
    events = _events(text, where)
    lines: Lines = {}
    for kind in (yaml.StreamStartEvent, yaml.DocumentStartEvent):
        first = next(events, None)
        if not isinstance(first, kind):
            raise InputError(f"{where}: a facts file must hold something; it is empty. 'assay facts template' prints one")
    value = _value(next(events), events, (), lines, where)
    next(events)  # the document's end
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise InputError(f"{where}: a facts file is one YAML document; this has several. Leave out the lines '---'")
    return value, lines


def _events(text: str, where: str) -> Iterator[Any]:
    depth = 0
    try:
        parsed: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        for count, event in enumerate(parsed):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise InputError(f"{where}, line {line}: anchors and aliases (& and *) are not read. Write the value out")
            if getattr(event, "tag", None):
                raise InputError(f"{where}, line {line}: tags are not read; got '{visible(str(event.tag)[:60])}'. Leave it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise InputError(f"{where}, line {line}: values may be nested {MAX_DEPTH} deep; this is deeper. Flatten it")
            if count > MAX_EVENTS:
                raise InputError(f"{where}: a facts file may hold {MAX_EVENTS} values; this has more. Split it")
            yield event
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        says = visible(str(getattr(error, "problem", None) or error)[:160])
        raise InputError(f"{where}{at}: must be YAML; {says}. Quote texts that hold ': ' or begin with a sign") from error


def _value(event: Any, events: Iterator[Any], path: Path, lines: Lines, where: str) -> Any:
    lines[path] = event.start_mark.line + 1
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(following := next(events), yaml.SequenceEndEvent):
            items.append(_value(following, events, (*path, len(items)), lines, where))
        return items
    found: dict[str, Any] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarEvent):
            raise InputError(f"{where}, line {line}: a name before ':' must be a text. Quote it")
        if key.value in found:
            raise InputError(f"{where}, line {line}: '{visible(key.value[:60])}' stands twice in one mapping. Leave one out")
        found[key.value] = _value(next(events), events, (*path, key.value), lines, where)
    return found
