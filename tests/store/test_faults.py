"""A damaged, full, read-only or vanished disk gives a named error or the very rows that were written; never other rows."""

import math
import os
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.core.errors import StoreError
from assay.store.rows import COLUMNS, row_hash
from assay.store.store import Problem, Store, StoredRun

MakeRun = Callable[..., StoredRun]
CELLS = ", ".join((*COLUMNS, "row_hash"))
TABLE = [{"step": step, "loss": 1 / (step + 1)} for step in range(40)]


@pytest.fixture
def filled(folder: Path, make_run: MakeRun) -> Path:
    """A store of several pools, with history and artefacts, closed."""
    with Store.open(folder) as store:
        store.add_all([(make_run(seed), {"curve": TABLE, "last": [{"seed": seed}]}) for seed in range(8)])
        store.add_all([(make_run(seed, experiment="depth", settings={"depth": 2}), {}) for seed in range(4)])
        store.add(make_run(2, status="diverged", error="at step 3", estimands={}), {})
    return folder


def rows_in(folder: Path) -> list[str]:
    """The rows that reading yields, by hash; reading twice, as a whole and by pool, must agree."""
    with Store.open(folder, read_only=True) as store:
        whole = [row_hash(run) for run in store.runs(history=True)]
        parts = [
            row_hash(run) for name in ("depth", "symbolic") for run in store.runs("reversal", experiment=name, history=True)
        ]
    assert sorted(parts) == sorted(whole)
    return whole


def problems_in(folder: Path) -> list[Problem]:
    try:
        with Store.open(folder, read_only=True) as store:
            return store.verify()
    except StoreError as error:
        return [Problem("database", str(folder), str(error))]


def check_damage(folder: Path, written: list[str]) -> tuple[bool, bool]:
    """Whether verification named something and whether reading refused; what is read must be what was written."""
    problems = problems_in(folder)
    try:
        refused = False
        assert rows_in(folder) == written, "reading gave other rows than were written"
    except StoreError:
        refused = True
    assert problems or not refused, "reading refused what verification calls sound"
    return bool(problems), refused


def test_a_flipped_bit_anywhere_in_the_database(filled: Path) -> None:
    written = rows_in(filled)
    database = filled / "store.sqlite3"
    sound = database.read_bytes()
    rng = random.Random(0)
    offsets = [*range(100), *(rng.randrange(len(sound)) for _ in range(300))]
    named = refused = 0
    for offset in offsets:
        data = bytearray(sound)
        data[offset] ^= 1 << rng.randrange(8)
        database.write_bytes(data)
        found = check_damage(filled, written)
        named, refused = named + found[0], refused + found[1]
    assert named > 100  # the rest fell on free space or on counters that nothing depends on
    assert refused > 60


def test_every_flipped_bit_of_a_row_is_noticed(filled: Path) -> None:
    written = rows_in(filled)
    database = filled / "store.sqlite3"
    sound = database.read_bytes()
    start = sound.index(struct.pack("<dd", math.nan, -math.inf))  # the numbers of a row
    for offset in range(start, start + 56):
        data = bytearray(sound)
        data[offset] ^= 1
        database.write_bytes(data)
        assert check_damage(filled, written) == (True, True)


def test_a_database_cut_short_anywhere(filled: Path) -> None:
    written = rows_in(filled)
    database = filled / "store.sqlite3"
    sound = database.read_bytes()
    for length in [0, 1, 15, 16, 99, 100, 101, 4095, 4096, 4097, *range(5000, len(sound), 1777), len(sound) - 1]:
        database.write_bytes(sound[:length])
        assert check_damage(filled, written) == (True, True), length


CRASH = """
import os, sys, pathlib
sys.path.insert(0, sys.argv[2])
from conftest import build_run
from assay.store.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
for seed in range(6):
    store.add(build_run(seed), {})
os._exit(9)
"""


def test_a_damaged_log_loses_the_last_runs_at_most(folder: Path) -> None:
    """A crash leaves committed runs in the write-ahead log; what is damaged there is as if it had never been committed."""
    subprocess.run([sys.executable, "-c", CRASH, str(folder), str(Path(__file__).parent)], timeout=60)
    log = folder / "store.sqlite3-wal"
    sound, database = log.read_bytes(), (folder / "store.sqlite3").read_bytes()
    assert len(rows_in(folder)) == 6
    counts = set()
    for offset in range(40, len(sound), len(sound) // 40):
        data = bytearray(sound)
        data[offset] ^= 4
        log.write_bytes(data)
        (folder / "store.sqlite3").write_bytes(database)
        (folder / "store.sqlite3-shm").unlink(missing_ok=True)
        try:
            with Store.open(folder, read_only=True) as store:
                seeds = [run.seed for run in store.runs()]
                assert not store.verify()
        except StoreError:
            continue
        assert seeds == list(range(len(seeds)))
        counts.add(len(seeds))
    assert len(counts) > 2


def test_a_database_that_is_gone_is_not_taken_for_an_empty_store(filled: Path) -> None:
    (filled / "store.sqlite3").unlink()
    for read_only in (True, False):
        with pytest.raises(StoreError, match="missing or empty"):
            Store.open(filled, read_only=read_only)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM runs WHERE entry = 3", "pool"),
        ("DELETE FROM runs WHERE experiment = 'depth'", "pool"),
        ("UPDATE runs SET seed = 99 WHERE entry = 3", "row"),
        ("UPDATE runs SET status = 'ok' WHERE status = 'diverged'", "row"),
        (f"INSERT INTO runs ({CELLS}) SELECT {CELLS} FROM runs WHERE entry = 3", "pool"),
        ("UPDATE runs SET numbers = zeroblob(8) WHERE entry = 3", "row"),
        ("UPDATE runs SET layout = claims WHERE entry = 3", "row"),
        ("DELETE FROM seals", "pool"),
        ("UPDATE seals SET n_rows = n_rows - 1", "pool"),
        ("UPDATE texts SET text = replace(text, '2', '3')", "text"),
        ("DELETE FROM texts", "row"),
    ],
)  # fmt: skip
def test_rows_changed_behind_the_stores_back(filled: Path, statement: str, kind: str) -> None:
    connection = sqlite3.connect(filled / "store.sqlite3")
    with connection:
        connection.execute(statement)
    connection.close()
    assert kind in {problem.kind for problem in problems_in(filled)}
    with pytest.raises(StoreError, match="must be as they were written"), Store.open(filled, read_only=True) as store:
        store.runs()


def test_what_is_damaged_can_be_dropped_and_the_rest_read(filled: Path) -> None:
    connection = sqlite3.connect(filled / "store.sqlite3")
    with connection:
        connection.execute("UPDATE runs SET numbers = zeroblob(length(numbers)) WHERE entry = 4")
        connection.execute("DELETE FROM runs WHERE entry = 5")
    connection.close()
    with Store.open(filled) as store:
        run = store.runs(experiment="depth")[0]  # an undamaged pool is readable all along
        assert run.seed == 0
        store._connection.execute("UPDATE artefacts SET data = x'00' WHERE rowid = 2")
        gone = store.remove_damaged()
        assert gone >= 1
        assert not store.verify()
        assert {4, 5}.isdisjoint({run.seed + 1 for run in store.runs(experiment="symbolic", history=True)})


def alter(folder: Path, digest: str, data: bytes | None) -> None:
    """Change an artefact behind the store's back, or take it away."""
    connection = sqlite3.connect(folder / "store.sqlite3", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    if data is None:
        connection.execute("DELETE FROM artefacts WHERE digest = ?", (digest,))
    else:
        connection.execute("UPDATE artefacts SET data = ? WHERE digest = ?", (data, digest))
    connection.close()


def test_every_flipped_bit_and_every_cut_of_an_artefact_is_noticed(filled: Path) -> None:
    with Store.open(filled, read_only=True) as store:
        run = store.runs(experiment="symbolic")[0]
        sound = store.artefact(run.tables["curve"])
        damaged = [sound[:length] for length in range(len(sound))]
        for offset in range(len(sound)):
            data = bytearray(sound)
            data[offset] ^= 1 << offset % 8
            damaged.append(bytes(data))
        for data in damaged:
            alter(filled, run.tables["curve"], data)
            with pytest.raises(StoreError, match="was altered"):
                store.table(run, "curve")
        assert {problem.kind for problem in store.verify()} == {"artefact"}
        alter(filled, run.tables["curve"], None)
        with pytest.raises(StoreError, match="is missing"):
            store.table(run, "curve")
        assert {problem.kind for problem in store.verify()} == {"artefact"}


def test_storing_a_table_again_mends_its_artefact(filled: Path, make_run: MakeRun) -> None:
    with Store.open(filled) as store:
        alter(filled, store.runs(experiment="symbolic")[0].tables["curve"], b"rust")
        assert store.verify()
        store.add(make_run(50), {"curve": TABLE})
        assert not store.verify()


# Folders that cannot be written

OTHER = 65534  # "nobody": root may write anywhere, so rights are tested as somebody else

READ = """
import os, sys, pathlib
from assay.core.errors import StoreError
from assay.store.store import Store
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
folder = pathlib.Path(sys.argv[1])
with Store.open(folder, read_only=True) as store:
    print(len(store.runs()), store.verify())
try:
    Store.open(folder)
except StoreError as error:
    print(error)
"""


def test_a_read_only_folder_is_read_and_refuses_a_writer(filled: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("rights are taken away by becoming another user, which only root can")
    for path in (filled, *filled.parents):
        if path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", READ, str(filled), str(OTHER)], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "12 []"
    assert "writable" in lines[1]


def test_a_vanished_folder_is_noticed_before_a_run_counts_as_stored(filled: Path, make_run: MakeRun) -> None:
    store = Store.open(filled)
    shutil.rmtree(filled)
    with pytest.raises(StoreError, match="was removed or replaced"):
        store.add(make_run(77), {})
    with pytest.raises(StoreError):
        store.add(make_run(78), {"curve": TABLE})
    store._connection.close()  # closing properly would fold a log that is gone


# Disks that are full

FILL = """
import sys, pathlib, resource
sys.path.insert(0, sys.argv[2])
from conftest import build_run
from assay.core.errors import StoreError
from assay.store.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
stored = 0
try:
    for seed in range(100_000):
        noise = [{"x": (seed * 7919 + i * 104729) % 999_983 / 999_983} for i in range(200)]
        store.add(build_run(seed, items={"recall": tuple(float(row["x"]) for row in noise)}), {"noise": noise})
        stored += 1
except StoreError as error:
    print(stored, error, flush=True)
try:
    print(len(store.runs()), store.verify(), flush=True)
except StoreError as error:
    print("unreadable", error)
"""


def fill(folder: Path, *limit: str) -> tuple[int, str, str]:
    """Add runs until the disk refuses; how many were reported as stored, the error, and what the same process reads then."""
    command = [sys.executable, "-c", FILL, str(folder), str(Path(__file__).parent), *limit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    count, _, message = first.partition(" ")
    return int(count), message, second


def check_full(folder: Path, stored: int, message: str, after: str) -> None:
    assert stored > 3
    assert "must be readable and writable" in message
    assert "finished runs are kept" in message
    assert after == f"{stored} []"
    with Store.open(folder, read_only=True) as store:
        assert sorted(run.seed for run in store.runs()) == list(range(stored))


def test_a_file_that_may_not_grow_loses_nothing_that_was_reported(folder: Path, make_run: MakeRun) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    stored, message, after = fill(folder, str(300_000))
    check_full(folder, stored, message, after)
    with Store.open(folder) as store:  # with room again, it goes on
        store.add(make_run(stored), {"curve": TABLE})
        assert len(store.runs()) == stored + 1
        assert not store.verify()


def test_a_full_disk_loses_nothing_that_was_reported(tmp_path: Path, make_run: MakeRun) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        folder = disk / "store"
        stored, message, after = fill(folder)
        check_full(folder, stored, message, after)
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        with Store.open(folder) as store:
            store.add(make_run(stored), {"curve": TABLE})
            assert len(store.runs()) == stored + 1
            assert not store.verify()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_database_that_may_not_grow(store: Store, make_run: MakeRun) -> None:
    """The disk full in the middle of a transaction, wherever no small disk can be mounted: SQLite's own limit."""
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    stored = list[int]()

    def add_until_full() -> None:
        for seed in range(1000):
            store.add(make_run(seed), {"curve": TABLE})
            stored.append(seed)

    with pytest.raises(StoreError, match="database or disk is full"):
        add_until_full()
    assert stored
    assert [run.seed for run in store.runs()] == stored
    assert not store.verify()
