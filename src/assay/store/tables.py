"""Tables of a run as bytes: column by column, numbers as eight bytes each, compressed; the same rows give the same bytes.

The bytes are a zlib stream of: the length of the header (four bytes, little-endian), the header as JSON, and the columns of
numbers one after the other, little-endian. The header names each column and its kind: `d` floats, `q` integers, `json` values
that stand in the header itself. There a list of one text stands for what JSON cannot say: ["nan"], ["inf"], ["-inf"], and
["absent"] for a cell that a row does not have.
"""

import functools
import itertools
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.core.errors import StoreError

__all__ = ["Row", "decode_table", "encode_table", "plain_rows"]

Scalar = float | int | str | bool
Row = dict[str, Scalar]
_LARGEST_TABLE = 1 << 28  # bytes, uncompressed
_REPAIR = "Remove its runs ('assay store rm --damaged') and repeat them"


class _Absent:
    """A cell that a row does not have."""


_ABSENT = _Absent()
_Cell = Scalar | _Absent


def encode_table(table: Sequence[Mapping[str, Scalar]]) -> bytes:
    """The bytes of a table of tidy rows; rows may differ in their cells, a cell may hold any number or text.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    columns: list[dict[str, object]] = []
    blocks: list[bytes] = []
    for name in dict.fromkeys(name for row in table for name in row):
        cells: list[_Cell] = [_plain(row[name], name) if name in row else _ABSENT for row in table]
        kinds = {type(cell) for cell in cells}
        if kinds == {float}:
            columns.append({"name": name, "kind": "d"})
            blocks.append(struct.pack(f"<{len(cells)}d", *cells))
        elif kinds == {int} and all(-(2**63) <= cell < 2**63 for cell in cells):  # type: ignore[operator]
            columns.append({"name": name, "kind": "q"})
            blocks.append(struct.pack(f"<{len(cells)}q", *cells))
        else:
            columns.append({"name": name, "kind": "json", "cells": [_as_json(cell) for cell in cells]})
    header = json.dumps({"n_rows": len(table), "columns": columns}, sort_keys=True, separators=(",", ":")).encode()
    return zlib.compress(struct.pack("<I", len(header)) + header + b"".join(blocks), 6)


def decode_table(data: bytes, **constant: Scalar) -> list[Row]:
    """The rows that `encode_table` was given, keys in order of first appearance.

    Args:
        data: its bytes.
        constant: cells to add to every row.

    Raises:
        StoreError: the data are not a table, or one so large that it can only be meant to fill the memory.
    """
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(data, _LARGEST_TABLE)
        if not reader.eof:
            raise StoreError(f"a table must be whole and of at most {_LARGEST_TABLE} bytes; this one is not. {_REPAIR}")
        (length,) = struct.unpack_from("<I", plain)
        header = _header(plain[4 : 4 + length])
        names = [column["name"] for column in header["columns"]]
        columns = list(_columns(header, plain, 4 + length))
        return _rows(names, columns, header["n_rows"], constant)
    except (zlib.error, struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"a table must be readable; {type(error).__name__}: {error}. {_REPAIR}") from error


def plain_rows(table: Sequence[Mapping[str, object]]) -> list[Row]:
    """The rows with Python's own numbers and texts, NumPy's and torch's scalars converted.

    Raises:
        TypeError: a value is neither a number nor a text.
    """
    return [{str(name): _plain(value, name) for name, value in row.items()} for row in table]


@functools.lru_cache(maxsize=64)
def _header(text: bytes) -> Mapping[str, Any]:
    """Tables of the runs of one study mostly share their header."""
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("the header is no mapping")
    return header


def _columns(header: Mapping[str, Any], plain: bytes, place: int) -> Iterator[Sequence[_Cell]]:
    n_rows: int = header["n_rows"]
    for column in header["columns"]:
        if column["kind"] == "json":
            yield [_from_json(cell) for cell in column["cells"]]
        else:
            yield struct.unpack_from(f"<{n_rows}{column['kind']}", plain, place)
            place += 8 * n_rows


def _rows(names: Sequence[str], columns: Sequence[Sequence[_Cell]], n_rows: int, constant: Mapping[str, Scalar]) -> list[Row]:
    if not columns:
        return [dict(constant) for _ in range(n_rows)]
    keys, ends = (*names, *constant), tuple(constant.values())
    if any(isinstance(column, list) and _ABSENT in column for column in columns):
        present = (
            {name: cell for name, cell in zip(names, row, strict=True) if cell is not _ABSENT}
            for row in zip(*columns, strict=True)
        )
        return [{**row, **constant} for row in present]
    whole = zip(*columns, *(itertools.repeat(end, n_rows) for end in ends), strict=True)
    return list(map(dict, map(zip, itertools.repeat(keys), whole)))  # in C: pages read a million rows


def _as_json(cell: _Cell) -> Scalar | list[str]:
    if isinstance(cell, _Absent):
        return ["absent"]
    return [repr(cell)] if isinstance(cell, float) and not math.isfinite(cell) else cell


def _from_json(cell: Scalar | list[str]) -> _Cell:
    if isinstance(cell, list):
        return _ABSENT if cell[0] == "absent" else float(cell[0])
    return cell


def _plain(value: object, column: str) -> Scalar:
    if type(value) in (float, int, str, bool):
        return value  # type: ignore[return-value]
    item = getattr(value, "item", None)  # a NumPy or torch scalar
    if callable(item) and getattr(value, "ndim", 0) == 0:
        value = item()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(
        f"a table holds numbers and texts; got {type(value).__name__} in column '{column}'. Reduce it, or leave the cell out"
    )
