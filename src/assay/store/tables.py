"""Tables of a run as bytes: column by column, canonical JSON, compressed; the same rows always give the same bytes."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.errors import StoreError

__all__ = ["Row", "decode_table", "encode_table", "plain_rows"]

Scalar = float | int | str | bool
Row = dict[str, Scalar]
_LARGEST_TABLE = 1 << 28  # bytes, uncompressed
_REPAIR = "Remove its runs ('assay store rm --damaged') and repeat them"


def encode_table(table: Sequence[Mapping[str, Scalar]]) -> bytes:
    """The bytes of a table of tidy rows.

    Numbers that are not finite and cells that a row does not have are written as such beside the values, so that JSON stays
    JSON and every row comes back as it was.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    names = list(dict.fromkeys(name for row in table for name in row))
    columns: dict[str, list[Scalar | None]] = {}
    special: dict[str, dict[str, str]] = {}
    for name in names:
        values: list[Scalar | None] = []
        for index, row in enumerate(table):
            value = _plain(row[name], name) if name in row else None
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                special.setdefault(name, {})[str(index)] = "absent" if value is None else repr(value)
                value = None
            values.append(value)
        columns[name] = values
    text = json.dumps(
        {"n_rows": len(table), "order": names, "columns": columns, "special": special}, sort_keys=True, separators=(",", ":")
    )
    return zlib.compress(text.encode(), 6)


def decode_table(data: bytes) -> list[Row]:
    """The rows that `encode_table` was given, keys in order of first appearance.

    Raises:
        StoreError: the data are not a table, or one so large that it can only be meant to fill the memory.
    """
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, _LARGEST_TABLE)
        if not reader.eof:
            raise StoreError(f"a table must be whole and of at most {_LARGEST_TABLE} bytes; this one is not. {_REPAIR}")
        return _rows(json.loads(text))
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StoreError(f"a table must be readable; {type(error).__name__}: {error}. {_REPAIR}") from error


def _rows(stored: dict[str, Any]) -> list[Row]:
    special = {name: {int(index): what for index, what in cells.items()} for name, cells in stored["special"].items()}
    if stored["order"] and not special:  # the usual case, in one sweep
        columns = [stored["columns"][name] for name in stored["order"]]
        return [dict(zip(stored["order"], row, strict=True)) for row in zip(*columns, strict=True)]
    rows: list[Row] = [{} for _ in range(stored["n_rows"])]
    for name in stored["order"]:
        cells = special.get(name, {})
        for index, value in enumerate(stored["columns"][name]):
            if index in cells:
                if cells[index] == "absent":
                    continue
                value = float(cells[index])
            rows[index][name] = value
    return rows


def plain_rows(table: Sequence[Mapping[str, object]]) -> list[Row]:
    """The rows with Python's own numbers and texts, NumPy's and torch's scalars converted.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    return [{str(name): _plain(value, name) for name, value in row.items()} for row in table]


def _plain(value: object, column: str) -> Scalar:
    if isinstance(value, (bool, str, int, float)) and type(value).__module__ == "builtins":
        return value
    item = getattr(value, "item", None)  # a NumPy or torch scalar
    if callable(item) and getattr(value, "ndim", 0) == 0:
        value = item()
    if isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a table holds numbers and texts; got {type(value).__name__} in column '{column}'. Reduce it, or leave the cell out"
    )
