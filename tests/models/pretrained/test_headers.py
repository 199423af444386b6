"""Headers of weight files: sound ones are read, hostile ones are refused fast, and nothing else is ever raised."""

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.models.pretrained import headers
from assay.models.pretrained.headers import HeaderError, read_header
from assay.models.pretrained.limited import ChildRefused, check_headers, run_limited

U32, U64 = struct.Struct("<I"), struct.Struct("<Q")


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return U64.pack(len(data)) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + U32.pack(kind) + value


ARCHITECTURE = key("general.architecture", 8, text("llama"))


def tensor(name: str = "a", dims: tuple[int, ...] = (32, 2), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + U32.pack(len(dims)) + b"".join(U64.pack(dim) for dim in dims) + U32.pack(kind) + U64.pack(offset)


def gguf(
    keys: tuple[bytes, ...] = (ARCHITECTURE,),
    tensors: tuple[bytes, ...] = (),
    *,
    data: int = 0,
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    head = b"GGUF" + U32.pack(version) + U64.pack(len(tensors) if n_tensors is None else n_tensors)
    head += U64.pack(len(keys) if n_keys is None else n_keys) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + b"\0" * data


def safetensors(header: Any, data: int = 0) -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return U64.pack(len(content)) + content + b"\0" * data


def entry(shape: Any = (2, 2), dtype: Any = "F32", offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE_GGUF = {
    "only the magic": b"GGUF",
    "version 1": gguf(version=1),
    "big-endian": b"GGUF" + struct.pack(">I", 3) + b"\0" * 16,
    "43 bytes that claim 2^61 keys": gguf(n_keys=2**61)[:43],
    "2^64 - 1 tensors": gguf(n_tensors=2**64 - 1),
    "a key of 2^63 bytes": gguf((U64.pack(2**63) + b"x",)),
    "a key of 2 KiB": gguf((ARCHITECTURE, key("k" * 2048, 4, U32.pack(1)))),
    "a text that is not UTF-8": gguf((key("general.architecture", 8, text(b"\xff\xfe")),)),
    "a key twice": gguf((ARCHITECTURE, ARCHITECTURE)),
    "a key without a name": gguf((ARCHITECTURE, key("", 4, U32.pack(1)))),
    "a value of type 99": gguf((ARCHITECTURE, key("k", 99, b"\0" * 8))),
    "an array of 2^62 items": gguf((ARCHITECTURE, key("k", 9, U32.pack(4) + U64.pack(2**62)))),
    "an array of 2^40 empty texts": gguf((ARCHITECTURE, key("k", 9, U32.pack(8) + U64.pack(2**40) + b"\0" * 64))),
    "arrays in arrays": gguf((ARCHITECTURE, key("k", 9, (U32.pack(9) + U64.pack(1)) * 1000))),
    "no architecture": gguf((key("general.name", 8, text("x")),)),
    "an architecture that is a number": gguf((key("general.architecture", 4, U32.pack(7)),)),
    "alignment 0": gguf((ARCHITECTURE, key("general.alignment", 4, U32.pack(0)))),
    "alignment 24": gguf((ARCHITECTURE, key("general.alignment", 4, U32.pack(24)))),
    "five dimensions": gguf(tensors=(tensor(dims=(1, 1, 1, 1, 1)),), data=64),
    "2^31 dimensions": gguf(tensors=(text("a") + U32.pack(2**31),)),
    "a dimension of zero": gguf(tensors=(tensor(dims=(32, 0)),), data=64),
    "dimensions whose product overflows": gguf(tensors=(tensor(dims=(2**32, 2**32)),), data=64),
    "an unknown type": gguf(tensors=(tensor(kind=77),), data=256),
    "half a block": gguf(tensors=(tensor(dims=(33,), kind=3),), data=256),
    "an odd offset": gguf(tensors=(tensor(offset=7),), data=512),
    "data beyond the end": gguf(tensors=(tensor(offset=2**50),), data=256),
    "data cut short": gguf(tensors=(tensor(),), data=255),
    "overlapping tensors": gguf(tensors=(tensor("a"), tensor("b", offset=32)), data=512),
    "a tensor twice": gguf(tensors=(tensor("a"), tensor("a", offset=256)), data=512),
    "a tensor without a name": gguf(tensors=(tensor(""),), data=256),
}
HOSTILE_SAFETENSORS = {
    "empty": b"",
    "too short": b"\x01\x02",
    "a header longer than the file": U64.pack(10_000) + b"{}",
    "a header of 2^63 bytes": U64.pack(2**63) + b"{}",
    "not JSON": safetensors(b"{ nothing"),
    "not an object": safetensors([1, 2]),
    "not UTF-8": safetensors(b'{"\xff": 1}'),
    "a name twice": safetensors(b'{"a": %b, "a": %b}' % (json.dumps(entry()).encode(), json.dumps(entry()).encode()), 16),
    "nested without end": safetensors(b'{"a":' + b"[" * 100_000),
    "NaN": safetensors(b'{"a": NaN}'),
    "an entry that is a number": safetensors({"a": 3}),
    "an entry with more in it": safetensors({"a": {**entry(), "run": "me"}}, 16),
    "an unknown dtype": safetensors({"a": entry(dtype="PICKLE")}, 16),
    "a dtype that is a list": safetensors({"a": entry(dtype=["F32"])}, 16),
    "a negative size": safetensors({"a": entry(shape=[-2, -2])}, 16),
    "a size that is true": safetensors({"a": entry(shape=[True, 4])}, 16),
    "a size that overflows": safetensors({"a": entry(shape=[2**40, 2**40])}, 16),
    "offsets that do not fit the shape": safetensors({"a": entry(offsets=[0, 12])}, 12),
    "offsets the wrong way round": safetensors({"a": entry(offsets=[16, 0])}, 16),
    "data cut short": safetensors({"a": entry()}, 15),
    "data beyond the tensors": safetensors({"a": entry()}, 17),
    "a gap": safetensors({"a": entry(), "b": entry(offsets=[20, 36])}, 36),
    "an overlap": safetensors({"a": entry(), "b": entry(offsets=[8, 24])}, 24),
    "metadata that is not text": safetensors({"__metadata__": {"a": 1}}),
    "a pickle": b"\x80\x04\x95" + b"\0" * 60,
    "a zip": b"PK\x03\x04" + b"\0" * 60,
}


HOSTILE = HOSTILE_GGUF | HOSTILE_SAFETENSORS


@pytest.mark.parametrize("content", [pytest.param(value, id=name) for name, value in HOSTILE.items()])
def test_hostile_headers_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    begun = time.process_time()
    with pytest.raises(HeaderError):
        read_header(str(path))
    assert time.process_time() - begun < 5  # a hang would show; a slow machine does not


def test_all_hostile_headers_are_refused_through_the_child_too(tmp_path: Path) -> None:
    for index, (name, content) in enumerate(HOSTILE.items()):
        (tmp_path / f"{index:03d}").write_bytes(content)
        if index % 20 == 0:
            with pytest.raises(InputError, match="It is not used"):
                check_headers([tmp_path / f"{index:03d}"])
        assert name


def test_a_sound_gguf_header_is_read(tmp_path: Path) -> None:
    keys = (
        ARCHITECTURE,
        key("llama.block_count", 4, U32.pack(2)),
        key("tokens", 9, U32.pack(8) + U64.pack(3) + text("a") + text("é") + text("")),
        key("scores", 9, U32.pack(6) + U64.pack(2) + struct.pack("<2f", 1, 2)),
        key("flag", 7, b"\1"),
        key("ratio", 6, struct.pack("<f", 0.5)),
    )
    tensors = (tensor("w", (32, 4), kind=3), tensor("b", (5,), offset=96))
    path = tmp_path / "ok.gguf"
    path.write_bytes(gguf(keys, tensors, data=128))
    (header,) = check_headers([path])
    assert (header.format, header.architecture, header.n_tensors, header.n_parameters) == ("gguf", "llama", 2, 133)
    assert header.dtypes == {"Q4_1": 1, "F32": 1}
    assert header.metadata == {
        "general.architecture": "llama", "llama.block_count": 2, "tokens": 3, "scores": 2, "flag": 1, "ratio": 0.5,
    }  # fmt: skip


def test_headers_agree_with_the_libraries_that_write_them(tmp_path: Path) -> None:
    writer_of = pytest.importorskip("gguf", reason="needs the extra 'lm'")
    save = pytest.importorskip("safetensors.numpy", reason="needs the extra 'lm'").save_file
    writer = writer_of.GGUFWriter(str(tmp_path / "w.gguf"), "gpt2")
    writer.add_uint32("gpt2.block_count", 3)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_tensor("x", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.add_tensor("y", np.arange(5, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save(
        {"x": np.zeros((3, 4), np.float32), "y": np.zeros((0, 9), np.int64), "z": np.ones((), np.bool_)},
        tmp_path / "w.safetensors",
    )
    first, second = check_headers([tmp_path / "w.gguf", tmp_path / "w.safetensors"])
    assert (first.architecture, first.n_tensors, first.n_parameters) == ("gpt2", 2, 69)
    assert first.dtypes == {"F32": 1, "F16": 1}
    assert (second.format, second.n_tensors, second.n_parameters) == ("safetensors", 3, 13)


SOUND = gguf(
    (ARCHITECTURE, key("k", 9, U32.pack(8) + U64.pack(2) + text("a") + text("b"))),
    (tensor(), tensor("b", offset=256)),
    data=512,
)


def read_or_refuse(path: Path, content: bytes) -> bool:
    """Whether the content is accepted; anything but a Header or a HeaderError fails the test."""
    path.write_bytes(content)
    try:
        header = read_header(str(path))
    except HeaderError:
        return False
    assert header.n_parameters <= 8 * len(content)  # no type has more than 8 elements a byte, so no claim exceeds the file
    return True


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_fuzzed_gguf_headers_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(4, 300))
        kind = data.draw(st.sampled_from(("flip", "big", "cut", "insert")))
        if kind == "flip":
            content[place % len(content)] ^= data.draw(st.integers(1, 255))
        elif kind == "big":
            content[place : place + 8] = U64.pack(data.draw(st.sampled_from((2**63, 2**64 - 1, 2**32, 2**31 - 1, 2**40, 0))))
        elif kind == "cut":
            del content[place:]
        else:
            content[place:place] = data.draw(st.binary(max_size=9))
    read_or_refuse(tmp_path / "fuzzed", bytes(content))
    assert read_or_refuse(tmp_path / "sound", SOUND)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    read_or_refuse(tmp_path / "a", content)
    read_or_refuse(tmp_path / "b", b"GGUF" + content)
    read_or_refuse(tmp_path / "c", safetensors(content))


FIELDS = st.sampled_from(("dtype", "shape", "data_offsets", "x"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(("dtype", "shape", "data_offsets", "x")), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(("__metadata__", "a", "b")), json_values, max_size=3), st.integers(0, 40))
def test_fuzzed_safetensors_headers_are_read_or_refused(tmp_path: Path, header: dict[str, Any], data: int) -> None:
    read_or_refuse(tmp_path / "fuzzed", safetensors(header, data))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=5))
def test_every_sound_safetensors_header_is_accepted(tmp_path: Path, shapes: list[list[int]]) -> None:
    header, place = {}, 0
    for index, shape in enumerate(shapes):
        size = 4 * int(np.prod(shape, dtype=int))
        header[f"t{index}"] = entry(shape, "F32", [place, place + size])
        place += size
    (tmp_path / "sound").write_bytes(safetensors(header, place))
    found = read_header(str(tmp_path / "sound"))
    assert found.n_parameters == place // 4


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readable"):
        check_headers([tmp_path / "missing"])
    with pytest.raises(InputError, match="not used"):
        check_headers([tmp_path])
    with pytest.raises(HeaderError, match="regular file"):
        read_header("/dev/zero")
    assert check_headers([]) == []


# --- the limited child


def script(folder: Path, content: str) -> Path:
    path = folder / "script.py"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x = bytearray(2**30)", "MemoryError"),
        ("while True: pass", "seconds|took more|did not end|Killed|exit code"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.write(os.open('made-here', os.O_CREAT | os.O_WRONLY), b'x')", "File too large"),
        ("raise ValueError('\\x1b[31mred')", r"ValueError: \\x1b\[31mred"),
    ],
)
def test_a_child_keeps_to_its_limits(content: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChildRefused, match=says):
        run_limited(script(tmp_path, content), memory_mib=256, seconds=1)
    assert not (tmp_path / "made-here").exists() or (tmp_path / "made-here").stat().st_size == 0  # no byte was written


def test_a_child_gets_its_input_and_gives_its_output(tmp_path: Path) -> None:
    echo = script(tmp_path, "import sys; print(sys.argv[1], sys.stdin.read())")
    assert run_limited(echo, ["a b"], given="é").strip() == "a b é"


def test_headers_imports_nothing_of_assay() -> None:
    """It runs alone in the child."""
    source = Path(headers.__file__).read_text()
    assert "import assay" not in source
    assert "from assay" not in source


def test_a_child_that_cannot_read_a_header_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: object, **__: object) -> str:
        raise ChildRefused("it did not end well")

    monkeypatch.setattr("assay.models.pretrained.limited.run_limited", dead)
    with pytest.raises(InputError, match="must be readable; it did not end well"):
        check_headers([tmp_path / "x"])
