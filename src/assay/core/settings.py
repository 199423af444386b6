"""Settings are frozen dataclasses; this module parses overrides by field type, checks ranges and gives canonical text.

A field carries its own limits and its sentence of explanation:

    n_facts: Annotated[int, Ge(2), doc("facts, and as many implications")] = 20

Relations between fields are checked in `__post_init__` with `SettingsError`. Derived quantities are properties.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from itertools import product
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import DocInfo

from assay.core.errors import SettingsError, unknown_name

__all__ = ["FieldInfo", "canonical_json", "changes", "digest", "fields_of", "from_mapping", "resolve", "spelled"]

S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class FieldInfo:
    """One setting as a reader sees it."""

    name: str
    type: str
    value: object
    limits: str
    says: str


def fields_of(settings: object) -> list[FieldInfo]:
    """The fields of a settings record in order: name, type, value, limits and sentence."""
    hints = get_type_hints(type(settings), include_extras=True)
    rows = []
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        base, *notes = get_args(hints[field.name]) if hasattr(hints[field.name], "__metadata__") else (hints[field.name],)
        limits = ", ".join(_limit(note) for note in notes if not isinstance(note, DocInfo))
        says = " ".join(note.documentation for note in notes if isinstance(note, DocInfo))
        type_name = base.__name__ if isinstance(base, type) and not get_args(base) else str(base).replace("typing.", "")
        rows.append(FieldInfo(field.name, type_name, getattr(settings, field.name), limits, says))
    return rows


_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}
_LENGTHS = {"min_length": "at least", "max_length": "at most"}


def _limit(note: object) -> str:
    """A limit as a reader says it: "at least 3" for `Ge(3)`."""
    parts = [f"{word} {value}" for name, word in _LIMITS.items() if (value := getattr(note, name, None)) is not None]
    lengths = [f"{word} {value}" for name, word in _LENGTHS.items() if (value := getattr(note, name, None)) not in (None, 0)]
    return ", ".join([*parts, *(f"{length} of them" for length in lengths)]) or str(note)


def resolve(settings: S, overrides: Sequence[str], *, where: str) -> list[S]:
    """The grid of settings that `name=value` overrides ask for; one element when nothing is a list.

    A scalar field takes several values separated by commas (`d_head=3,4,8`) and the result is the product over all such
    fields, last field fastest. A field that is itself a tuple takes commas inside a value and semicolons between values.

    Args:
        settings: the record to start from.
        overrides: texts `name=value`.
        where: what the settings belong to, for messages ("out-of-context-reasoning/symbolic").

    Raises:
        SettingsError: unknown name, ill-typed or out-of-range value, a name given twice, or a combination the record refuses.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    known = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    axes: dict[str, list[Any]] = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise SettingsError(f"{where}: an override must read name=value; got '{text}' (from --set)")
        if name not in known:
            see = f"The settings of {where} are: {', '.join(known)}"
            raise SettingsError(f"{where}: {unknown_name('setting', name, known, see=see)}")
        if name in axes:
            raise SettingsError(
                f"{where}: {name} must be given once; got it twice (from --set {text}). Use {name}=a,b for a grid"
            )
        axes[name] = _values(name, hints[name], value.strip(), where)
    grid = []
    for combination in product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        try:
            grid.append(dataclasses.replace(settings, **chosen))  # type: ignore[type-var]
        except SettingsError as error:
            shown = ", ".join(f"{name}={value}" for name, value in chosen.items()) or "the defaults"
            raise SettingsError(f"{where}: {error} (from {shown})") from error
    return grid


def from_mapping(kind: type[S], values: dict[str, Any], *, where: str) -> S:
    """The settings record that stored values describe (the inverse of `canonical_json`).

    Raises:
        SettingsError: a name is unknown or a value does not fit its field, as when a record has changed since it was stored.
    """
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise SettingsError(
                f"{where}: {unknown_name('setting', name, known, see='The record has changed since it was stored')}"
            )
    return kind(**{name: _checked(name, hints[name], value, where) for name, value in values.items()})


def canonical_json(value: object) -> str:
    """The one JSON text of a settings record, mapping, sequence or scalar: sorted keys, no spaces, no NaN.

    Raises:
        SettingsError: a number is not finite or a value has no JSON form.
    """
    try:
        text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()  # refuses half a surrogate pair, which a command line may hand over
        return text
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"settings must be finite numbers, texts, booleans, None or sequences of them; got {value!r}"
        ) from error


def digest(value: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of `canonical_json(value)`: 64 bits, enough for a store of millions."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def spelled(value: object) -> str:
    """A settings value as `--set` reads it: items by commas, a grid of tuples by semicolons."""
    if isinstance(value, (list, tuple)):
        sign = ";" if any(isinstance(item, (list, tuple)) for item in value) else ","
        return sign.join(map(spelled, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def changes(base: object, settings: object) -> list[str]:
    """How settings differ from others of the same kind, as `--set` reads it: ["n_facts=4"]."""
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    return [f"{name}={spelled(getattr(settings, name))}" for name in names if getattr(settings, name) != getattr(base, name)]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return float(value)
    return value


def _values(name: str, hint: Any, text: str, where: str) -> list[Any]:
    base = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if get_origin(base) is tuple or base is tuple:
        return [
            _checked(name, hint, [part.strip() for part in value.split(",") if part.strip()], where)
            for value in text.split(";")
        ]
    return [_checked(name, hint, part.strip(), where) for part in text.split(",")]


def _checked(name: str, hint: Any, value: Any, where: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    if value in ("none", "None"):
        value = None
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"{where}: {name}: {first['msg'].lower()}; got {value!r}. See 'assay show' for types and limits"
        ) from error
