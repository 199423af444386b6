"""What goes into a store comes out of it, by address, in order, and by one writer of a study at a time."""

import dataclasses
import json
import math
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.core.errors import StoreError
from assay.core.places import default_folder
from assay.store.rows import row_hash
from assay.store.schema import MIGRATIONS
from assay.store.store import Store, StoredRun
from assay.store.tables import decode_table, encode_table

MakeRun = Callable[..., StoredRun]
TABLE = [{"step": 1, "loss": 0.5, "arm": "a"}, {"step": 2, "loss": math.nan}]


def artefacts_of(store: Store) -> set[str]:
    return {digest for (digest,) in store._connection.execute("SELECT digest FROM artefacts")}


def test_a_run_comes_back_as_it_was(store: Store, make_run: MakeRun) -> None:
    run = make_run(4)
    stored = store.add(run, {"curve": TABLE})
    (found,) = store.runs()
    assert row_hash(found) == row_hash(stored)
    assert row_hash(dataclasses.replace(found, tables={})) == row_hash(run)
    assert (found.settings, found.claims, found.environment) == (run.settings, run.claims, run.environment)
    assert math.isnan(found.estimands["absent"])
    assert found.estimands["far"] == -math.inf
    assert repr(store.table(found, "curve")) == repr(TABLE)
    assert store.has(run.run_id)
    assert not store.has(make_run(5).run_id)
    assert not store.verify()


def test_rows_survive_closing_and_a_second_process_reads_them(folder: Path, make_run: MakeRun) -> None:
    with Store.open(folder) as store:
        store.add(make_run(1), {"curve": TABLE})
    script = (
        "import sys, pathlib; from assay.store.store import Store\n"
        "with Store.open(pathlib.Path(sys.argv[1]), read_only=True) as store:\n"
        "    run, = store.runs(); print(run.run_id, len(store.table(run, 'curve')))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [make_run(1).run_id, "2"]


def test_filters_select_and_seeds_order(store: Store, make_run: MakeRun) -> None:
    store.add_all([(make_run(seed), {}) for seed in (3, 1, 2)])
    store.add(make_run(0, experiment="depth", preset="quick"), {})
    store.add(make_run(9, status="diverged", error="at step 3", fingerprint="e" * 16), {})
    assert [run.seed for run in store.runs("reversal", experiment="symbolic", fingerprint="f" * 16)] == [1, 2, 3]
    assert [run.seed for run in store.runs(preset="quick")] == [0]
    assert [run.seed for run in store.runs(status="diverged")] == [9]
    assert store.runs("another") == []
    assert len(store.runs(settings_digest=make_run(0).settings_digest)) == 5


def test_of_one_address_the_newest_row_counts_and_the_others_stay(store: Store, make_run: MakeRun) -> None:
    store.add(make_run(1, status="failed", error="no memory", estimands={}), {})
    store.add(make_run(1), {})
    (found,) = store.runs()
    assert found.status == "ok"
    assert store.runs(status="failed") == []
    assert [run.status for run in store.runs(history=True)] == ["failed", "ok"]


def test_a_run_under_a_wrong_address_is_refused(store: Store, make_run: MakeRun) -> None:
    with pytest.raises(StoreError, match="its own address"):
        store.add(dataclasses.replace(make_run(1), seed=2), {})
    assert store.runs() == []


def test_adding_is_all_or_nothing(store: Store, make_run: MakeRun) -> None:
    with pytest.raises(StoreError):
        store.add_all([(make_run(1), {"curve": TABLE}), (dataclasses.replace(make_run(2), seed=3), {})])
    assert store.runs() == []
    assert not store.verify()


def test_names_with_control_characters_and_marks(store: Store, make_run: MakeRun) -> None:
    nasty = "<script>\x00\x1b[31m \u202e\ud800 '; DROP TABLE runs; --\n"
    run = make_run(1, error=nasty, estimands={nasty: 1.0}, claims={nasty.replace("\ud800", ""): "x"}, items={nasty: (1.0,)})
    stored = store.add(run, {nasty: [{nasty: nasty}]})
    (found,) = store.runs()
    assert (found.error, dict(found.estimands), dict(found.items)) == (nasty, {nasty: 1.0}, {nasty: (1.0,)})
    assert store.table(stored, nasty) == [{nasty: nasty}]
    assert not store.verify()


scalars = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.text(st.characters(exclude_categories=[]), max_size=8)
)


@settings(max_examples=80)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c d", "é\x00"]), scalars), max_size=6))
def test_any_table_of_numbers_and_texts_round_trips(table: list[dict[str, float | int | str | bool]]) -> None:
    back = decode_table(encode_table(table))
    assert [{name: (type(v), repr(v)) for name, v in row.items()} for row in back] == [
        {name: (type(v), repr(v)) for name, v in row.items()} for row in table
    ]


def test_equal_tables_are_kept_once(store: Store, make_run: MakeRun) -> None:
    first = store.add(make_run(1), {"curve": TABLE, "again": TABLE})
    second = store.add(make_run(2), {"curve": [dict(row) for row in TABLE]})
    assert set(first.tables.values()) == set(second.tables.values())
    assert artefacts_of(store) == set(first.tables.values())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=8), st.floats(), max_size=5))
def test_any_estimands_round_trip(store: Store, make_run: MakeRun, estimands: dict[str, float]) -> None:
    store.add(make_run(1, estimands=estimands), {})
    assert repr(dict(sorted(store.runs()[0].estimands.items()))) == repr(dict(sorted(estimands.items())))


def test_tables_of_runs_are_read_together(store: Store, make_run: MakeRun) -> None:
    rows = [{"step": 1, "loss": 0.5, "arm": "a"}, {"step": 2, "loss": math.inf, "arm": "b"}]
    runs = store.add_all([(make_run(seed), {"curve": [{**row, "seed": seed} for row in rows]}) for seed in range(1200)])
    diverged = store.add(make_run(5000, status="diverged"), {})
    found = store.pooled_table([*runs, diverged], "curve")
    assert found == [{**row, "seed": seed, "run": seed} for seed in range(1200) for row in rows]
    assert store.pooled_table(runs, "curves") == []
    assert store.pooled_table([], "curve") == []
    store._connection.execute("UPDATE artefacts SET data = x'00' WHERE rowid = 700")
    with pytest.raises(StoreError, match="was altered"):
        store.pooled_table(runs, "curve")


@pytest.mark.parametrize("table", [[], [{}], [{}, {"a": 1}], [{"a": 2**63}], [{"a": True}, {"a": 1}], [{"a": 1}, {"a": 1.0}]])
def test_odd_tables_round_trip_and_take_constants(table: list[dict[str, float | int | str | bool]]) -> None:
    assert repr(decode_table(encode_table(table))) == repr(table)
    assert repr(decode_table(encode_table(table), run=3)) == repr([{**row, "run": 3} for row in table])


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b""), zlib.compress(b"\xff" * 9), zlib.compress(b"\2\0\0\0{}")])
def test_bytes_that_are_no_table_are_named(data: bytes) -> None:
    with pytest.raises(StoreError, match="a table must be"):
        decode_table(data)


def test_a_table_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.store.tables._LARGEST_TABLE", 10_000)
    with pytest.raises(StoreError, match="at most"):
        decode_table(zlib.compress(bytes(10_001), 9))


def test_a_value_that_is_no_number_or_text_is_refused() -> None:
    with pytest.raises(TypeError, match="column 'a'"):
        encode_table([{"a": [1, 2]}])  # type: ignore[dict-item]


def test_removing_takes_rows_and_the_artefacts_only_they_had(store: Store, make_run: MakeRun) -> None:
    store.add(make_run(1), {"own": [{"a": 1}], "shared": TABLE})
    kept = store.add(make_run(2), {"shared": TABLE})
    assert store.remove([make_run(1).run_id, make_run(7).run_id]) == 1
    assert [run.seed for run in store.runs()] == [2]
    assert artefacts_of(store) == {kept.tables["shared"]}
    assert not store.verify()


def test_removed_rows_give_their_space_back(folder: Path, make_run: MakeRun) -> None:
    with Store.open(folder) as store:
        noise = [[{"x": (seed * 7919 + i * 104729) % 999_983 / 999_983} for i in range(500)] for seed in range(40)]
        store.add_all([(make_run(seed), {"noise": noise[seed]}) for seed in range(40)])
    full = (folder / "store.sqlite3").stat().st_size
    with Store.open(folder) as store:
        store.remove([make_run(seed).run_id for seed in range(5, 40)])
    assert (folder / "store.sqlite3").stat().st_size < full / 2
    with Store.open(folder) as store:
        assert len(store.runs()) == 5
        assert not store.verify()


def test_a_table_that_a_run_does_not_have(store: Store, make_run: MakeRun) -> None:
    run = store.add(make_run(1), {"curve": TABLE})
    with pytest.raises(StoreError, match="must have the table 'curves'; it has curve"):
        store.table(run, "curves")


# Opening


def test_the_default_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "there"))
    assert default_folder() == tmp_path / "there"
    with Store.open() as store:
        assert store.folder == tmp_path / "there"
    monkeypatch.delenv("ASSAY_STORE")
    monkeypatch.chdir(tmp_path)  # a project above, such as this one after a command was run in it, has a store of its own
    assert default_folder().name == "assay"


def test_reading_a_store_that_is_not_there_finds_nothing_and_makes_nothing(folder: Path) -> None:
    with Store.open(folder, read_only=True) as store:
        assert store.runs() == []
        assert not store.verify()
    assert not folder.exists()


def test_a_store_opened_to_be_read_refuses_to_write(folder: Path, make_run: MakeRun) -> None:
    Store.open(folder).close()
    with Store.open(folder, read_only=True) as store, pytest.raises(StoreError, match="opened to be read"):
        store.add(make_run(1), {})


def test_a_reader_sees_what_the_writer_has_committed(store: Store, folder: Path, make_run: MakeRun) -> None:
    store.add(make_run(1), {})
    with Store.open(folder, read_only=True) as reader:
        assert len(reader.runs()) == 1
        store.add(make_run(2), {})
        assert len(reader.runs()) == 2


WRITE = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from conftest import build_run
from assay.store.store import Store
with Store.open(pathlib.Path(sys.argv[1])) as store:
    print("open", flush=True)
    for seed in range(300):
        store.add(build_run(seed), {"curve": [{"step": seed}]})
    store.remove([build_run(seed).run_id for seed in range(0, 300, 2)])
"""


def test_a_reader_beside_a_busy_writer_sees_whole_states_only(folder: Path) -> None:
    """Rows and their seals are read from one moment, or a reader would take a commit in between for damage."""
    command = [sys.executable, "-c", WRITE, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        seen = set()
        with Store.open(folder, read_only=True) as store:
            while writer.poll() is None:
                seen.add(len(store.runs()))
                assert not store.verify()
    assert writer.returncode == 0
    assert len(seen) > 3
    with Store.open(folder, read_only=True) as store:
        assert len(store.runs()) == 150


HOLD = """
import sys, pathlib
from assay.store.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
store.close()
"""


def test_a_second_writer_is_told_who_writes_or_waits(folder: Path, make_run: MakeRun) -> None:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"being written by process {holder.pid} on"):
            Store.open(folder, wait_s=0.1)
        Store.open(folder, read_only=True).close()
        holder.stdin.write("\n")
        holder.stdin.flush()
        with Store.open(folder, wait_s=20) as store:
            store.add(make_run(1), {})
    with Store.open(folder, wait_s=0) as store:
        assert len(store.runs()) == 1


def test_the_lock_of_a_killed_writer_is_free(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        holder.kill()
    Store.open(folder, wait_s=5).close()


HOLD_STUDY = HOLD.replace("sys.argv[1])", "sys.argv[1]), study=sys.argv[2]")


def test_two_studies_are_written_at_once_and_one_study_by_one(folder: Path, make_run: MakeRun) -> None:
    command = [sys.executable, "-c", HOLD_STUDY, str(folder), "reversal"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with Store.open(folder, study="forward", wait_s=0) as store:
            store.add(make_run(1, study="forward"), {})
        with pytest.raises(StoreError, match=f"'reversal' in .* is being written by process {holder.pid} on"):
            Store.open(folder, study="reversal", wait_s=0.1)
        with pytest.raises(StoreError, match=f"being written by process {holder.pid} on"):
            Store.open(folder, wait_s=0.1)  # all of it: whoever removes or imports waits for everybody
        with Store.open(folder, study="forward", wait_s=0) as store:  # and leaves nothing locked
            store.add(make_run(2, study="forward"), {})
        holder.stdin.write("\n")
        holder.stdin.flush()
        with Store.open(folder, wait_s=20) as whole, pytest.raises(StoreError, match="being written by process"):
            Store.open(whole.folder, study="forward", wait_s=0.1)
    with Store.open(folder, study="reversal", wait_s=0) as store:
        assert [run.seed for run in store.runs("forward")] == [1, 2]


def test_a_store_that_is_open_for_one_study_takes_no_other(folder: Path, make_run: MakeRun) -> None:
    with Store.open(folder, study="reversal") as store:
        store.add(make_run(1), {})
        with pytest.raises(StoreError, match="opened to write 'reversal'; got forward"):
            store.add(make_run(1, study="forward"), {})
        with pytest.raises(StoreError, match="opened to write 'reversal'; got all of it"):
            store.remove([make_run(1).run_id])
        assert len(store.runs()) == 1


WRITE_ONE = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from conftest import build_run
from assay.store.store import Store
for start in range(0, 60, 20):
    with Store.open(pathlib.Path(sys.argv[1]), study=sys.argv[3], wait_s=60) as store:
        for seed in range(start, start + 20):
            store.add(build_run(seed, study=sys.argv[3]), {"curve": [{"step": seed}]})
"""


def test_writers_of_several_studies_begin_a_store_together(folder: Path) -> None:
    """They make the database, open and close it over and over, and share a table's bytes: nothing is lost or doubled."""
    command = [sys.executable, "-c", WRITE_ONE, str(folder), str(Path(__file__).parent)]
    writers = [subprocess.Popen([*command, name]) for name in ("one", "two", "three")]
    assert [writer.wait(timeout=200) for writer in writers] == [0, 0, 0]
    with Store.open(folder, read_only=True) as store:
        assert not store.verify()
        assert [len(store.runs(name)) for name in ("one", "two", "three")] == [60, 60, 60]


def test_looks_are_noted_once_and_go_with_their_rows(folder: Path, make_run: MakeRun) -> None:
    run = make_run(1)
    with Store.open(folder) as store:
        store.add(run, {})
        store.note_looks([(*run.pool, 3)])
    with Store.open(folder, read_only=True) as store:
        store.note_looks([(*run.pool, 3), (*run.pool, 5)])  # who judges opens the store to read
        assert store.looks() == {(*run.pool, 3), (*run.pool, 5)}
    with Store.open(folder) as store:
        store.remove([run.run_id])
        assert store.looks() == set()
    with Store.open(folder / "nowhere", read_only=True) as store:
        store.note_looks([(*run.pool, 3)])
        assert not (folder / "nowhere").exists()


# Versions


def test_a_store_of_the_oldest_version_opens(tmp_path: Path) -> None:
    """The fixture is a database of version 1 as text; it is never edited, however many migrations follow."""
    folder = tmp_path / "old"
    folder.mkdir()
    connection = sqlite3.connect(folder / "store.sqlite3")
    connection.executescript((Path(__file__).parent / "version_1.sql").read_text())
    connection.close()
    with Store.open(folder) as store:
        assert [(run.seed, run.status) for run in store.runs()] == [(0, "ok"), (1, "diverged")]
        assert store.runs()[0].estimands["gap"] == 0.25
        assert store.table(store.runs()[0], "curve") == [{"step": 1, "loss": 0.5}]
        assert not store.verify()


def test_an_older_store_is_brought_up_to_date_also_by_a_reader(
    folder: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(folder) as store:
        store.add(make_run(1), {})

    def add_notes(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE notes (run_id TEXT) STRICT")

    newer = (*MIGRATIONS, add_notes)
    monkeypatch.setattr("assay.store.schema.MIGRATIONS", newer)
    monkeypatch.setattr("assay.store.store.MIGRATIONS", newer)
    with Store.open(folder, read_only=True) as store:
        assert len(store.runs()) == 1
    monkeypatch.undo()
    with pytest.raises(StoreError, match=f"of version {len(MIGRATIONS)} or earlier; it is of version {len(newer)}"):
        Store.open(folder)


def test_a_migration_that_fails_leaves_the_old_version(
    folder: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(folder) as store:
        store.add(make_run(1), {})

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE notes (run_id TEXT) STRICT")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    monkeypatch.setattr("assay.store.schema.MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StoreError, match="no such table"):
        Store.open(folder)
    monkeypatch.undo()
    with Store.open(folder) as store:
        assert len(store.runs()) == 1


def test_another_programs_database_is_not_taken_for_a_store(folder: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "store.sqlite3")
    connection.execute("CREATE TABLE runs (a)")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="must be an Assay store"):
            Store.open(folder, read_only=read_only)


def test_the_marker_of_the_folder_is_readable(folder: Path) -> None:
    Store.open(folder).close()
    assert json.loads((folder / "store.json").read_text())["database"] == "store.sqlite3"
