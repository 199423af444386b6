"""What is exported can be imported elsewhere, whole; what is not as it was written is refused."""

import json
import math
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay.core.errors import InputError, StoreError
from assay.store.exchange import compare_runs, export_runs, import_runs, reference_files
from assay.store.rows import row_hash
from assay.store.store import Store, StoredRun

MakeRun = Callable[..., StoredRun]
TABLE = [{"step": 1, "loss": math.inf, "arm": "a\x00\u202e"}]


@pytest.fixture
def exported(store: Store, make_run: MakeRun, tmp_path: Path) -> Path:
    store.add(make_run(2, status="failed", error="once"), {})
    store.add_all([(make_run(seed), {"curve": TABLE}) for seed in range(3)])
    store.add(make_run(0, study="depth", sequential=True, custom=True), {})
    assert export_runs(store, tmp_path / "out") == 4
    return tmp_path / "out"


def test_a_store_moves_whole(store: Store, exported: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "other") as other:
        assert import_runs(other, exported) == 4
        assert [row_hash(run) for run in other.runs()] == [row_hash(run) for run in store.runs()]
        run = other.runs("reversal")[0]
        assert other.table(run, "curve") == TABLE
        assert not other.verify()
        assert import_runs(other, exported) == 0
    with Store.open(tmp_path / "other", read_only=True) as other:
        assert len(other.runs(history=True)) == 4


def test_runs_made_twice_are_compared(exported: Path, make_run: MakeRun, tmp_path: Path) -> None:
    """By the bit and by how far apart; what was imported says nothing, until it has been made anew."""
    with Store.open(tmp_path / "other") as other:
        import_runs(other, exported)
        assert compare_runs(other, exported) == []
        same = make_run(0)
        near = make_run(1)
        near = replace(near, estimands={**near.estimands, "rate": near.estimands["rate"] + 1e-9})
        gone = replace(make_run(2), estimands={}, environment={"python": "another"})
        other.add_all([(run, {}) for run in (same, near, gone)])
        found = compare_runs(other, exported)
    assert [(one.seed, one.number, one.same_environment) for one in found] == [
        (0, "", True),
        (1, "rate", True),
        (2, "absent", False),
    ]
    assert found[0].difference == 0
    assert 0 < found[1].difference < 1e-8
    assert math.isinf(found[2].difference)


def test_one_study_can_be_exported(store: Store, exported: Path, tmp_path: Path) -> None:
    assert export_runs(store, tmp_path / "depth", study="depth") == 1
    assert not list((tmp_path / "depth" / "artefacts").glob("*"))


def test_an_export_of_nothing_is_refused(store: Store, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least one run of nosuch that is stored; .* has runs of depth, reversal"):
        export_runs(store, tmp_path / "none", study="nosuch")
    with pytest.raises(InputError, match="at least one run that is stored and counts"):
        export_runs(store, tmp_path / "none.tar.xz", only=())
    assert not (tmp_path / "none").exists()


def test_an_export_replaces_nothing(store: Store, exported: Path) -> None:
    with pytest.raises(InputError, match="does not exist yet"):
        export_runs(store, exported)


def test_an_export_that_fails_leaves_nothing(store: Store, exported: Path, tmp_path: Path) -> None:
    store._connection.execute("UPDATE artefacts SET data = x'00'")
    with pytest.raises(StoreError, match="was altered"):
        export_runs(store, tmp_path / "next")
    assert not list(tmp_path.glob("next*"))


@pytest.mark.parametrize("name", ["manifest.json", "runs.jsonl"])
def test_an_export_without_a_file_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    (exported / name).unlink()
    with Store.open(tmp_path / "other") as other, pytest.raises(InputError, match=r"has manifest.json and runs.jsonl"):
        import_runs(other, exported)


def test_an_altered_export_is_refused_and_nothing_is_added(exported: Path, tmp_path: Path) -> None:
    rows = exported / "runs.jsonl"
    sound = rows.read_bytes()
    rows.write_bytes(sound.replace(b"0.1", b"0.9", 1))
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(InputError, match="was altered"):
            import_runs(other, exported)
        rows.write_bytes(sound)
        (artefact,) = (exported / "artefacts").iterdir()
        artefact.write_bytes(b"x")
        with pytest.raises(InputError, match="was altered"):
            import_runs(other, exported)
        artefact.unlink()
        with pytest.raises(InputError, match="must be whole"):
            import_runs(other, exported)
        assert other.runs() == []


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"row_hash": 1, "estimands": [], "items": {}}', '"text"', "null"])
def test_a_line_that_is_no_run_is_named(exported: Path, tmp_path: Path, line: str) -> None:
    """Even where somebody has made the manifest fit."""
    import hashlib

    data = (exported / "runs.jsonl").read_text().splitlines()[0] + "\n" + line + "\n"
    (exported / "runs.jsonl").write_text(data)
    manifest = {"format": 1, "n_runs": 2, "sha256": hashlib.sha256(data.encode()).hexdigest()}
    (exported / "manifest.json").write_text(json.dumps(manifest))
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(InputError, match="line 2"):
            import_runs(other, exported)
        assert other.runs() == []


def test_a_row_whose_number_was_changed_is_named(exported: Path, tmp_path: Path) -> None:
    import hashlib

    data = (exported / "runs.jsonl").read_bytes().replace(b'"status":"ok"', b'"status":"ko"')
    (exported / "runs.jsonl").write_bytes(data)
    (exported / "manifest.json").write_text(json.dumps({"format": 1, "sha256": hashlib.sha256(data).hexdigest()}))
    with Store.open(tmp_path / "other") as other, pytest.raises(InputError, match="does not match its hash"):
        import_runs(other, exported)


def test_a_newer_format_is_refused(exported: Path, tmp_path: Path) -> None:
    (exported / "manifest.json").write_text(json.dumps({"format": 99}))
    with Store.open(tmp_path / "other") as other, pytest.raises(InputError, match="format 1"):
        import_runs(other, exported)


def test_a_packed_export_moves_whole_and_is_equal_for_equal_rows(store: Store, exported: Path, tmp_path: Path) -> None:
    assert export_runs(store, tmp_path / "new" / "one.tar.xz") == 4
    assert export_runs(store, tmp_path / "two.tar.xz") == 4
    assert (tmp_path / "new" / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    with Store.open(tmp_path / "other") as other:
        assert import_runs(other, tmp_path / "two.tar.xz") == 4
        assert [row_hash(run) for run in other.runs()] == [row_hash(run) for run in store.runs()]
        assert other.table(other.runs("reversal")[0], "curve") == TABLE
        assert not other.verify()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["new", "other", "out", store.folder.name, "two.tar.xz"])


def test_only_chosen_runs_can_be_exported(store: Store, exported: Path, tmp_path: Path) -> None:
    chosen = [run.run_id for run in store.runs("reversal")[:2]]
    assert export_runs(store, tmp_path / "some.tar.xz", only=chosen) == 2


def test_imported_runs_are_marked_and_ones_own_are_not(store: Store, exported: Path, make_run: MakeRun, tmp_path: Path) -> None:
    with Store.open(tmp_path / "other") as other:
        other.add(make_run(0), {})
        import_runs(other, exported, origin="reference")
        own = {run.seed for run in other.runs("reversal") if run.run_id not in other.origins()}
        assert own == {0}
        assert set(other.origins().values()) == {"reference"}
        other.remove([run.run_id for run in other.runs()])
        assert other.origins() == {}


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" + data])
def test_a_damaged_packed_export_is_refused(
    store: Store, exported: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    packed = tmp_path / "packed.tar.xz"
    export_runs(store, packed)
    packed.write_bytes(damage(packed.read_bytes()))
    with Store.open(tmp_path / "other") as other:
        with pytest.raises(InputError, match=r"packed\.tar\.xz|has manifest"):
            import_runs(other, packed)
        assert other.runs() == []


def test_a_packed_export_with_other_things_than_files_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "links.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        entry = tarfile.TarInfo("manifest.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with Store.open(tmp_path / "other") as other, pytest.raises(InputError, match="plain files"):
        import_runs(other, packed)


def test_the_reference_store_is_small_and_whole(tmp_path: Path) -> None:
    files = reference_files()
    assert sum(file.stat().st_size for file in files) <= 20 * 2**20
    with Store.open(tmp_path / "other") as other:
        for file in files:
            assert import_runs(other, file) > 0, file.name
        assert not other.verify()
