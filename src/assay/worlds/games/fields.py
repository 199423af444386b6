"""JSON documents read strictly: numbers as they were spelled, names normalised, every field asked for by type or refused."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.worlds.games.rationals import exact

__all__ = ["Decimal", "Fields", "checked_names", "index", "json_object", "kind_of", "law", "shortened", "text_of"]

REMARKS = ("comment", "source")  # accepted anywhere in a game and not read


class Decimal(str):
    """A JSON number as it was spelled, so that 0.1 is one tenth and not its nearest binary neighbour."""

    __slots__ = ()


def json_object(text: str, where: str) -> object:
    """What a JSON text says, with decimals kept as spelled and names in one spelling (Unicode's composed form).

    Raises:
        InputError: it is no JSON, a key is repeated, a number is not finite, or a text holds half of a surrogate pair.
    """

    def constant(spelled: str) -> object:
        raise InputError(f"{where}: payoffs and probabilities must be finite; got {spelled}. An infinite payoff has no optimum")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in pairs:
            name = text_of(name, where)
            if name in found:
                raise InputError(
                    f"{where}: a key must appear once in an object; got '{visible(name)}' again. Remove one of them"
                )
            found[name] = _normal(value, where)
        return found

    try:
        return _normal(json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=once), where)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} must be JSON; line {error.lineno}, column {error.colno}: {error.msg}. Check commas and quotes"
        ) from error
    except RecursionError as error:
        raise InputError(f"{where} must be JSON of ordinary depth; it is nested too deeply. See docs/games.md") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise InputError(f"{where} must hold numbers of at most 100 digits; one has thousands. See docs/games.md") from error


def text_of(value: str, where: str) -> str:
    """A text in the composed form, so that one letter in two spellings is one name.

    Raises:
        InputError: it holds half of a surrogate pair, which no file can spell.
    """
    if isinstance(value, Decimal):
        return value
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise InputError(
            f"{where}: texts must be Unicode; '{visible(value)}' holds half of a surrogate pair. Write the whole character"
        )
    return unicodedata.normalize("NFC", value)


def _normal(value: object, where: str) -> object:
    if isinstance(value, str):
        return text_of(value, where)
    return [_normal(entry, where) for entry in value] if isinstance(value, list) else value


class Fields:
    """The keys of one JSON object: each is asked for by type, and those nobody asked for are an error."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a JSON object with named fields; got {kind_of(value)}. See docs/games.md")
        self.value: Mapping[str, Any] = value
        self.where = where
        self.asked: list[str] = list(REMARKS)

    def get(self, name: str, default: object = None) -> Any:
        """The value of a field; an error where it is missing and has no default."""
        self.asked.append(name)
        if name not in self.value:
            if default is not None:
                return default
            have = ", ".join(map(visible, self.value)) or "nothing"
            raise InputError(f"{self.where}: the field '{name}' must be given; the object has {have}. See docs/games.md")
        return self.value[name]

    def has(self, name: str) -> bool:
        """Whether an optional field is there."""
        self.asked.append(name)
        return name in self.value

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.get(name, default)
        if not isinstance(value, str) or isinstance(value, Decimal) or not value.strip():
            raise InputError(f"{self.where}: {name} must be a non-empty text; got {kind_of(value)}")
        return value

    def names(self, name: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of distinct names."""
        return checked_names(self.get(name, default), f"{self.where}: {name}", may_be_empty=default is not None)

    def number(self, name: str, default: int | None = None) -> Fraction:
        """A rational number."""
        return exact(self.get(name, default), where=f"{self.where}: {name}")

    def whole(self, name: str, default: int | None = None, *, least: int = 1, why: str = "") -> int:
        """A whole number."""
        value = self.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{self.where}: {name} must be a whole number of at least {least}{why}; got {kind_of(value)}")
        return value

    def objects(self, name: str) -> "list[Fields]":
        """A list of objects, each with a name of its own."""
        rows = self.get(name)
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{self.where}: {name} must be a non-empty list of objects; got {kind_of(rows)}")
        found = []
        for i, row in enumerate(rows):
            entry = Fields(row, f"{self.where}: {name}[{i}]")
            entry.where = f"{self.where}: state '{visible(entry.text('name'))}'"
            found.append(entry)
        checked_names([entry.text("name") for entry in found], f"{self.where}: {name}")
        return found

    def done(self, **hints: str) -> None:
        """Refuse every field that nobody asked for; `hints` says why some well-meant ones do not belong here."""
        for name in self.value:
            if name not in self.asked:
                if name in hints:
                    raise InputError(f"{self.where}: {hints[name]}")
                see = f"Fields here are {', '.join(dict.fromkeys(n for n in self.asked if n not in REMARKS))}"
                raise InputError(f"{self.where}: {unknown_name('field', visible(name), self.asked, see=see)}")


def checked_names(value: object, where: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
    """A list of distinct, non-empty names.

    Raises:
        InputError: it is no list, or an entry is a number, is empty or is repeated.
    """
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list of texts; got {kind_of(value)}")
    for i, entry in enumerate(value):
        if isinstance(entry, (int, Decimal)) and not isinstance(entry, bool):
            raise InputError(f'{where}[{i}] is the number {entry}; names are texts. Write "{entry}"')
        if not isinstance(entry, str):
            raise InputError(f"{where}[{i}] must be a text; got {kind_of(entry)}. Names are texts")
        if not entry.strip():
            raise InputError(f"{where}[{i}] must be a non-empty text; it is empty. Give every element a name")
    if not value and not may_be_empty:
        raise InputError(f"{where} must name at least one element; it is empty. A side that sees nothing has one observation")
    seen: set[str] = set()
    for entry in value:
        if entry in seen:
            raise InputError(f"{where} must be distinct; '{visible(entry)}' appears more than once. Rename or remove one")
        seen.add(entry)
    return tuple(value)


def index(name: object, names: Mapping[str, int], where: str, kind: str) -> int:
    """The place of a name among those declared.

    Raises:
        InputError: it is a number, or it was not declared; the message names the nearest one that was.
    """
    if isinstance(name, (int, Decimal)) and not isinstance(name, bool):
        raise InputError(f'{where}: {name} is a number, and names are texts. Write "{name}"')
    if not isinstance(name, str):
        raise InputError(f"{where}: the name of {kind_article(kind)} must be a text; got {kind_of(name)}")
    if name not in names:
        declared = [visible(n) for n in list(names)[:20]]
        see = f"Declared are {', '.join(declared)}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        near = names if len(names) <= 2000 else ()  # similarity of thousands of names takes seconds
        raise InputError(f"{where}: {unknown_name(kind, visible(name), near, see=see)}")
    return names[name]


def law(value: object, names: Mapping[str, int], where: str, kind: str = "observation") -> dict[int, Fraction]:
    """A distribution over names, by place: one name for certainty, or an object of probabilities; zeros are left out.

    Raises:
        InputError: a name is unknown, a probability is negative, or the sum is not one.
    """
    if isinstance(value, str) and not isinstance(value, Decimal):
        return {index(value, names, where, kind): Fraction(1)}
    if not isinstance(value, dict) or not value:
        raise InputError(
            f"{where} must be the name of {kind_article(kind)} or an object of probabilities; got {kind_of(value)}"
        )
    return {
        index(name, names, where, kind): exact(p, where=f"{where}: probability of '{visible(name)}'")
        for name, p in value.items()
    }


def kind_article(kind: str) -> str:
    """The kind with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, Decimal):
        return f"the number {value}"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int):
        return f"the number {value}" if value.bit_length() < 300 else "a number of very many digits"
    if isinstance(value, str):
        return f"the text '{visible(value[:60])}'" if value.strip() else "an empty text"
    names = {dict: "an object", list: "a list", type(None): "null"}
    if isinstance(value, (list, dict)) and not value:
        return f"an empty {'list' if isinstance(value, list) else 'object'}"
    return names.get(type(value), type(value).__name__)


def shortened(names: Sequence[str], most: int = 8) -> str:
    """The first few of many names."""
    return ", ".join(visible(n) for n in names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
