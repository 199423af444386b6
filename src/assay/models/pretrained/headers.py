"""What the header of a weight file says, read within fixed bounds: GGUF and safetensors, standard library only.

A header from outside is a program for its reader: counts decide loops, lengths decide allocations. Here every count and length
is checked against a limit and against the bytes the file really has before it is used, nothing is read beyond the header, and a
file that says anything twice, overlaps or points outside of itself is refused. This module imports nothing of Assay, because
`limited` runs it as a script in a child process with little memory and time; `check_headers` there is the door for other code.

Formats: GGUF versions 2 and 3, little-endian (ggml-org/ggml, docs/gguf.md); safetensors (huggingface/safetensors, README).
"""

import json
import os
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import BinaryIO, NoReturn

__all__ = ["Header", "HeaderError", "read_header"]

MAX_HEADER = 128 * 2**20  # bytes of GGUF metadata; a vocabulary of 262,144 tokens takes about 8 MiB
MAX_JSON = 32 * 2**20  # bytes of a safetensors header; 100,000 tensors take about 10 MiB
MAX_KEYS = 65_536
MAX_TENSORS = 262_144
MAX_ITEMS = 4 * 2**20  # of one array
MAX_KEY = 1_024  # bytes of a name
MAX_STRING = 2**20  # bytes of a value; chat templates are the longest known
MAX_DIMS = 4  # of a GGUF tensor
MAX_ELEMENTS = 2**48
MAX_ALIGNMENT = 2**20

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9
# ggml type -> (name, elements of a block, bytes of a block); the gaps are types that ggml removed.
BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
# safetensors dtype -> bits of an element
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class HeaderError(ValueError):
    """The header breaks the format or a bound; the message says what must hold, what was got and where."""


@dataclass(frozen=True)
class Header:
    """What a weight file says about itself.

    Attributes:
        format: "gguf" or "safetensors".
        architecture: GGUF `general.architecture`; empty for safetensors.
        n_tensors: how many tensors.
        n_parameters: their elements in all.
        dtypes: how many tensors of each type.
        metadata: scalars and texts of the header; arrays as their length.
        n_empty, empty: how many tensors have no elements, and the name of the first.
    """

    format: str
    architecture: str
    n_tensors: int
    n_parameters: int
    dtypes: dict[str, int]
    metadata: dict[str, str | int | float]
    n_empty: int = 0
    empty: str = ""


def read_header(path: str) -> Header:
    """The header of a GGUF or safetensors file, checked in full.

    Raises:
        HeaderError: the file is neither, or its header breaks the format or a bound.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise HeaderError("a weight file must be a regular file")
        if file.read(4) == b"GGUF":
            return _Gguf(file, status.st_size).read()
        file.seek(0)
        return _safetensors(file, status.st_size)


class _Gguf:
    """One pass over a GGUF header; `self.left` is what remains of the file or of the bound, whichever ends first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.where = file, size, "the first bytes"
        self.position = 4
        self.end = min(size, MAX_HEADER)

    def read(self) -> Header:
        (version,) = self._unpack("<I")
        if version not in (2, 3):
            self._refuse(f"the version must be 2 or 3 in little-endian order; got {version}")
        n_tensors, n_keys = self._unpack("<QQ")
        # A key takes at least 8 + 1 + 4 + 1 bytes and a tensor 8 + 1 + 4 + 8 + 4 + 8, so a count is also bounded by the file.
        self._bounded("the number of metadata keys", n_keys, min(MAX_KEYS, self.end // 14))
        self._bounded("the number of tensors", n_tensors, min(MAX_TENSORS, self.end // 33))
        metadata: dict[str, str | int | float] = {}
        for index in range(n_keys):
            self.where = f"metadata key {index}"
            key = self._text(MAX_KEY)
            self.where = f"metadata key {key[:80]!r}"
            if not key or key in metadata:
                self._refuse("keys must be named and differ" if not key else "a key must stand once; it stands twice")
            metadata[key] = self._value(*self._unpack("<I"))
        alignment = metadata.get("general.alignment", 32)
        self.where = "general.alignment"
        if not isinstance(alignment, int) or not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            self._refuse(f"the alignment must be a power of two up to {MAX_ALIGNMENT}; got {alignment!r}")
        architecture = metadata.get("general.architecture", "")
        if not isinstance(architecture, str) or not 0 < len(architecture) <= 64:
            self.where = "general.architecture"
            self._refuse("the architecture must be named in at most 64 characters")
        extents, dtypes, n_parameters = self._tensors(n_tensors, alignment)
        start = -(-self.position // alignment) * alignment
        self.where = "the tensor data"
        last = 0
        for begin, end, name in sorted(extents):
            if begin < last:
                self._refuse(f"tensors must not overlap; {name!r} begins at {begin}, inside of another one")
            if start + end > self.size:
                self._refuse(
                    f"tensors must lie within the file ({self.size} bytes); {name!r} ends at {start + end}. It is cut short"
                )
            last = end
        return Header("gguf", architecture, n_tensors, n_parameters, dtypes, metadata)

    def _tensors(self, n_tensors: int, alignment: int) -> tuple[list[tuple[int, int, str]], dict[str, int], int]:
        """Where each tensor lies in the data, the count of each type, and the number of elements."""
        extents, dtypes, names, n_parameters = [], dict[str, int](), set[str](), 0
        for index in range(n_tensors):
            self.where = f"tensor {index}"
            name = self._text(MAX_KEY)
            self.where = f"tensor {name[:80]!r}"
            if not name or name in names:
                self._refuse("tensors must be named and differ" if not name else "a tensor must stand once; it stands twice")
            names.add(name)
            (n_dims,) = self._unpack("<I")
            self._bounded("the number of dimensions", n_dims, MAX_DIMS)
            dims = self._unpack(f"<{n_dims}Q")
            n_elements = 1
            for dim in dims:
                n_elements *= dim
                if dim < 1 or n_elements > MAX_ELEMENTS:
                    self._refuse(f"dimensions must be positive and give at most {MAX_ELEMENTS} elements; got {list(dims)}")
            kind, offset = self._unpack("<IQ")
            if kind not in BLOCKS:
                self._refuse(f"the type must be one of ggml's; got {kind}")
            dtype, block, n_bytes = BLOCKS[kind]
            if (dims[0] if dims else 1) % block:
                self._refuse(f"a row of {dtype} must be whole blocks of {block}; got {dims[0]} elements")
            if offset % alignment:
                self._refuse(f"the data must begin at a multiple of {alignment}; got {offset}")
            extents.append((offset, offset + n_elements // block * n_bytes, name))
            dtypes[dtype] = dtypes.get(dtype, 0) + 1
            n_parameters += n_elements
        return extents, dtypes, n_parameters

    def _value(self, kind: int) -> str | int | float:
        """A scalar or text; of an array only its length, after a walk over its items."""
        if kind in SCALARS:
            value: int | float = self._unpack(SCALARS[kind])[0]
            return value
        if kind == STRING:
            return self._text(MAX_STRING)
        if kind != ARRAY:
            self._refuse(f"the type of a value must be 0 to 12; got {kind}")
        item, count = self._unpack("<IQ")
        if item in SCALARS:
            width = struct.calcsize(SCALARS[item])
            self._bounded("the length of an array", count, min(MAX_ITEMS, (self.end - self.position) // width))
            self._skip(count * width)
        elif item == STRING:
            self._bounded("the length of an array", count, min(MAX_ITEMS, (self.end - self.position) // 8))
            for _ in range(count):
                self._text(MAX_STRING)
        else:
            self._refuse(f"an array must hold scalars or texts; its items have type {item}")
        return int(count)

    def _text(self, limit: int) -> str:
        (length,) = self._unpack("<Q")
        self._bounded("the length of a text", length, min(limit, self.end - self.position))
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            self._refuse("a text must be UTF-8")

    def _unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _take(self, count: int) -> bytes:
        self._room(count)
        data = self.file.read(count)
        if len(data) != count:
            self._refuse("the file ends too early")
        self.position += count
        return data

    def _skip(self, count: int) -> None:
        self._room(count)
        self.file.seek(count, os.SEEK_CUR)
        self.position += count

    def _room(self, count: int) -> None:
        if count > self.end - self.position:
            what = "the file ends too early" if self.end == self.size else f"the header must take at most {MAX_HEADER} bytes"
            self._refuse(what)

    def _bounded(self, what: str, got: int, limit: int) -> None:
        if got > limit:
            self._refuse(f"{what} must be at most {limit} here; got {got}")

    def _refuse(self, why: str) -> NoReturn:
        raise HeaderError(f"GGUF, at {self.where}: {why}")


def _safetensors(file: BinaryIO, size: int) -> Header:
    def refuse(why: str) -> NoReturn:
        raise HeaderError(f"safetensors: {why}")

    prefix = file.read(8)
    if len(prefix) < 8:
        refuse(f"a weight file must have a header; this one has {size} bytes")
    (length,) = struct.unpack("<Q", prefix)
    if length > min(MAX_JSON, size - 8):
        refuse(
            f"the header must take at most {min(MAX_JSON, size - 8)} bytes here; it claims {length}. Is it a safetensors or "
            f"GGUF file?"
        )
    content = file.read(length)
    if len(content) != length or not content.startswith(b"{"):
        refuse("the header must begin with '{'. Is it a safetensors or GGUF file?")
    try:
        header = json.loads(content.decode(), object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except UnicodeDecodeError:
        refuse("the header must be UTF-8")
    except RecursionError:
        refuse("the header is nested too deeply")
    except ValueError as error:
        refuse(f"the header must be JSON whose names stand once; {error}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        refuse("__metadata__ must map texts to texts")
    if len(header) > MAX_TENSORS:
        refuse(f"the number of tensors must be at most {MAX_TENSORS}; got {len(header)}")
    dtypes: dict[str, int] = {}
    extents, n_parameters = [], 0
    empty: list[str] = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            refuse(f"tensor {name[:80]!r} must have dtype, shape and data_offsets and nothing else")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in BITS:
            refuse(f"tensor {name[:80]!r}: the dtype must be one of {', '.join(BITS)}; got {str(dtype)[:40]!r}")
        if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
            refuse(f"tensor {name[:80]!r}: shape and data_offsets must be lists of natural numbers")
        n_elements = 1
        for dim in shape:
            n_elements *= dim
            if n_elements > MAX_ELEMENTS:
                refuse(f"tensor {name[:80]!r} must have at most {MAX_ELEMENTS} elements; its shape is {shape}")
        if n_elements * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
            refuse(f"tensor {name[:80]!r}: {n_elements} elements of {dtype} do not take the bytes {offsets[0]} to {offsets[1]}")
        extents.append((offsets[0], offsets[1], name))
        dtypes[dtype] = dtypes.get(dtype, 0) + 1
        n_parameters += n_elements
        if n_elements == 0:
            empty.append(name)
    last = 0
    for begin, end, name in sorted(extents):
        if begin != last:
            refuse(f"tensors must follow each other without gap or overlap; {name[:80]!r} begins at {begin} instead of {last}")
        last = end
    if last != size - 8 - length:
        refuse(
            f"the tensors must fill the file; they end at {last} of {size - 8 - length} bytes of data. It is cut short or "
            f"padded"
        )
    first = empty[0] if empty else ""
    return Header("safetensors", "", len(header), n_parameters, dtypes, metadata, len(empty), first)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _answers(paths: list[str], read: Callable[[str], Header]) -> list[dict[str, object]]:
    """For every file its header, or the reason why it is refused."""
    answers: list[dict[str, object]] = []
    for path in paths:
        try:
            answers.append(asdict(read(path)))
        except HeaderError as error:
            answers.append({"refused": str(error)})
        except OSError as error:
            answers.append({"refused": f"it must be readable: {error.strerror}"})
        except MemoryError:
            answers.append({"refused": "its header needs more memory than a header may take"})
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answers(sys.argv[1:], read_header)))
