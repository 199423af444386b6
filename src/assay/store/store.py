"""Runs as append-only rows: addressed by what they are, hashed one by one, sealed together, read only when both agree.

A store is a folder: `store.sqlite3` (rows, and their tables as artefacts by hash), `memos/` (expensive steps), `store.json`
(marks the folder). Tables lie in the database so that a batch of runs and all their tables are one transaction and one wait for
the disk. Rows are never changed. A run that is repeated (`--fresh`, or after a failure) is appended again, and of the rows of
one address the newest counts.

Two checks stand between a damaged disk and a verdict. Every row carries the SHA-256 of its content. Every pool of rows (one
study, experiment, settings value and source fingerprint: what one interval is taken over) carries a seal, the number and the
sum of its rows' hashes, written in the same transaction, so that a lost or doubled row is noticed as surely as an altered one.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from assay.core.errors import AssayError, StoreError
from assay.core.places import default_folder
from assay.store.files import write_atomically
from assay.store.lock import WriterLock
from assay.store.memo import Memo, Memos
from assay.store.rows import COLUMNS, Layout, Status, StoredRun, content_of, hash_of, revive, run_address, text_digest, texts_of
from assay.store.schema import MIGRATIONS, migrate, schema_version
from assay.store.tables import Row, decode_table, encode_table

__all__ = ["Look", "Problem", "Status", "Store", "StoredRun", "run_address"]

_DATABASE = "store.sqlite3"
_POOL = ("study", "experiment", "settings_digest", "fingerprint")
_SELECT = f"SELECT {', '.join(COLUMNS)}, row_hash, entry FROM runs"
_TWO_256 = 1 << 256
Look = tuple[str, str, str, str, int]  # a pool, and the number of its runs that were judged


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a store: `kind`, `where` it is and what was found."""

    kind: Literal["database", "row", "pool", "text", "artefact", "memo"]
    where: str
    says: str


class Store:
    """An open store. Use it as a context manager, or call `close`."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        lock: WriterLock | None,
        inode: int | None,
        study: str | None = None,
    ) -> None:
        self.folder = folder
        self.read_only = lock is None
        self._study = study
        self._connection = connection
        self._lock = lock
        self._inode = inode
        self._memos = Memos(folder / "memos")
        self._texts: dict[str, Any] = {}
        self._layouts: dict[str, Layout] = {}

    # Opening and closing

    @classmethod
    def open(
        cls, path: Path | None = None, *, read_only: bool = False, study: str | None = None, wait_s: float = 3.0
    ) -> "Store":
        """The store in the folder `path` (default: see `default_folder`), made if it is not there yet.

        Args:
            path: the store's folder.
            read_only: read beside writers, or from a folder nobody may write; a store that is not there is then empty.
            study: the only one whose runs will be added; several may be written at once. None to write all of the store.
            wait_s: how long to wait for another writer of the same to end.

        Raises:
            StoreError: the folder cannot be used, another process is writing, or the database is damaged.
        """
        folder = (path if path is not None else default_folder()).absolute()
        return cls._open_to_read(folder) if read_only else cls._open_to_write(folder, wait_s, study)

    @classmethod
    def _open_to_write(cls, folder: Path, wait_s: float, study: str | None = None) -> "Store":
        database = folder / _DATABASE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(folder, study)
            lock.acquire(wait_s)
        except OSError as error:
            raise StoreError(
                f"the store's folder must be writable; {folder}: {error.strerror}. Name another with ASSAY_STORE"
            ) from error
        try:
            with _named(database):
                _refuse_emptied(folder)
                connection = sqlite3.connect(database, isolation_level=None, timeout=30)
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # removed rows give their space back
                connection.execute("PRAGMA journal_mode = WAL")
                # FULL: a run that was reported as stored survives a power cut; one sync per run is nothing beside the run.
                connection.execute("PRAGMA synchronous = FULL")
                migrate(connection)
                if not (folder / "store.json").is_file():
                    write_atomically(folder / "store.json", json.dumps({"assay store": 1, "database": _DATABASE}).encode())
                lock.opened()
                return cls(folder, connection, lock, database.stat().st_ino, study)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_to_read(cls, folder: Path) -> "Store":
        database = folder / _DATABASE
        with _named(database):
            _refuse_emptied(folder)
            if not database.is_file():
                empty = sqlite3.connect(":memory:", isolation_level=None)
                migrate(empty)
                return cls(folder, empty, None, None)
            connection = _connect_read_only(database)
            if schema_version(connection) < len(MIGRATIONS):
                connection.close()
                cls._open_to_write(folder, 3.0).close()
                connection = _connect_read_only(database)
        return cls(folder, connection, None, None)

    def close(self) -> None:
        """Fold the write-ahead log into the database and give the writer's lock back."""
        try:
            if not self.read_only:
                with _named(self._database):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:  # the first error is the one to show
                raise

    @property
    def _database(self) -> Path:
        return self.folder / _DATABASE

    # Writing

    def add(self, run: StoredRun, tables: Mapping[str, Sequence[Mapping[str, float | int | str | bool]]]) -> StoredRun:
        """Append one run; see `add_all`."""
        return self.add_all([(run, tables)])[0]

    def add_all(
        self, finished: Sequence[tuple[StoredRun, Mapping[str, Sequence[Mapping[str, float | int | str | bool]]]]]
    ) -> list[StoredRun]:
        """Append runs with their tables in one transaction, all or none, and return them with the hashes of their tables.

        Raises:
            StoreError: the store cannot be written; nothing of `finished` is in it then.
        """
        if not finished:
            return []
        self._writable(*{run.study for run, _ in finished})
        with self._transaction() as connection:
            complete, hashes = [], []
            for run, tables in finished:
                kept = {name: _keep_artefact(connection, encode_table(table)) for name, table in tables.items()}
                complete.append(replace(run, tables=kept))
                hashes.append(self._insert(connection, complete[-1]))
            connection.executemany("DELETE FROM origins WHERE run_id = ?", [(run.run_id,) for run in complete])
            self._seal(connection, complete, hashes)
        return complete

    def note_looks(self, looks: Iterable[Look]) -> None:
        """Note at how many runs pools were judged, as far as it can be written: who may only read may look all the same."""
        new = sorted(set(looks) - self.looks())
        if not new or (self.read_only and not self._database.is_file()):
            return
        query = "INSERT OR IGNORE INTO looks VALUES (?, ?, ?, ?, ?)"
        if not self.read_only:
            with self._transaction() as connection:
                connection.executemany(query, new)
            return
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self._database, timeout=1)) as connection,
            connection,
        ):
            connection.executemany(query, new)

    def looks(self) -> set[Look]:
        """At how many runs each pool of rows was judged: study, experiment, settings, fingerprint, number of runs."""
        with _named(self._database):
            return set(self._connection.execute("SELECT * FROM looks"))

    def mark_imported(self, run_ids: Iterable[str], origin: str) -> None:
        """Note where stored runs came from; what is computed here has no origin."""
        self._writable()
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO origins VALUES (?, ?)", [(run_id, origin) for run_id in run_ids])

    def origins(self) -> dict[str, str]:
        """Where the imported runs came from, by run id."""
        with _named(self._database):
            return dict(self._connection.execute("SELECT run_id, origin FROM origins"))

    def _insert(self, connection: sqlite3.Connection, run: StoredRun) -> str:
        texts = texts_of(run)
        content = content_of(run, texts)
        expected = run_address(run.study, run.version, run.experiment, content[4], run.seed, run.fingerprint)
        if run.run_id != expected or run.settings_digest != content[4]:
            raise StoreError(
                f"a run is stored under its own address; {run.study} seed {run.seed} has {expected}, got {run.run_id}"
            )
        connection.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", [(text_digest(one), one) for one in texts.values()])
        row_hash = hash_of(content)
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        connection.execute(f"INSERT INTO runs ({', '.join(COLUMNS)}, row_hash) VALUES ({marks})", (*content, row_hash))
        return row_hash

    def _seal(self, connection: sqlite3.Connection, runs: Sequence[StoredRun], hashes: Sequence[str]) -> None:
        """Add rows to the seals of their pools."""
        added: dict[tuple[str, ...], list[int]] = {}
        for run, row_hash in zip(runs, hashes, strict=True):
            seal = added.setdefault(run.pool, [0, 0])
            seal[0] += 1
            seal[1] += int(row_hash, 16)
        where = " AND ".join(f"{name} = ?" for name in _POOL)
        for pool, (count, total) in added.items():
            known = connection.execute(f"SELECT n_rows, row_hash_sum FROM seals WHERE {where}", pool).fetchone()
            try:
                before = (int(known[0]), int(known[1], 16)) if known else (0, 0)
            except (TypeError, ValueError) as error:
                raise StoreError(_damaged(f"the seal of {'/'.join(pool)} is no number")) from error
            self._write_seal(connection, pool, before[0] + count, before[1] + total)

    def _reseal(self, connection: sqlite3.Connection, pools: Iterable[tuple[str, ...]]) -> None:
        """Seal pools anew from the rows that are there."""
        where = " AND ".join(f"{name} = ?" for name in _POOL)
        for pool in pools:
            hashes = [row[0] for row in connection.execute(f"SELECT row_hash FROM runs WHERE {where}", pool)]
            self._write_seal(connection, pool, len(hashes), sum(int(value, 16) for value in hashes))

    def _write_seal(self, connection: sqlite3.Connection, pool: tuple[str, ...], count: int, total: int) -> None:
        connection.execute(f"DELETE FROM seals WHERE {' AND '.join(f'{name} = ?' for name in _POOL)}", pool)
        if count:
            connection.execute("INSERT INTO seals VALUES (?, ?, ?, ?, ?, ?)", (*pool, count, f"{total % _TWO_256:064x}"))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _named(self._database):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._still_there()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._still_there()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever a writer commits meanwhile: rows belong with their seals."""
        with _named(self._database):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def _still_there(self) -> None:
        # SQLite writes on happily after its file was deleted: the rows would go nowhere.
        try:
            there = self._database.stat().st_ino == self._inode
        except FileNotFoundError:
            there = False
        if not there:
            hint = "Run the command again"
            raise StoreError(f"the store must stay in place while it is open; {self._database} was removed or replaced. {hint}")

    def _writable(self, *studies: str) -> None:
        """Nothing where runs of these studies may be written; without any, whether everything may."""
        if self.read_only:
            raise StoreError(f"the store was opened to be read; {self.folder}. Open it without read_only to write")
        if self._study is not None and set(studies) != {self._study}:
            what = ", ".join(sorted(studies)) or "all of it"
            raise StoreError(f"the store was opened to write '{self._study}'; got {what}. Open it without a study")

    # Reading

    def runs(
        self,
        study: str | None = None,
        *,
        experiment: str | None = None,
        settings_digest: str | None = None,
        preset: str | None = None,
        fingerprint: str | None = None,
        status: Status | None = None,
        history: bool = False,
    ) -> list[StoredRun]:
        """The stored runs that match every given filter, ordered by study, experiment, settings, fingerprint and seed.

        Of several rows of one address only the newest is returned, unless `history` is set.

        Raises:
            StoreError: a row that matches, or the pool it belongs to, does not verify.
        """
        chosen = {"study": study, "experiment": experiment, "settings_digest": settings_digest, "fingerprint": fingerprint}
        given = {name: value for name, value in chosen.items() if value is not None}
        where = " WHERE " + " AND ".join(f"{name} = ?" for name in given) if given else ""
        order = " ORDER BY study, experiment, settings_digest, fingerprint, seed, entry"
        with self._snapshot():
            stored = self._connection.execute(_SELECT + where + order, tuple(given.values())).fetchall()
            seals = self._connection.execute("SELECT * FROM seals" + where, tuple(given.values())).fetchall()
            texts = self._connection.execute("SELECT digest, text FROM texts").fetchall() if stored else []
        for key, text in texts:
            self._learn(key, text)
        found: dict[object, StoredRun] = {}
        tally: dict[tuple[str, ...], list[int]] = {}
        for row in stored:
            content, written, entry = row[:-2], row[-2], row[-1]
            if hash_of(content) != written:
                raise StoreError(_damaged(f"row {entry} does not match its hash"))
            try:
                run = revive(content, self._texts, self._layouts)
            except KeyError as error:
                raise StoreError(_damaged(f"row {entry} names the text {error}, which is missing")) from error
            counted = tally.setdefault(run.pool, [0, 0])
            counted[0] += 1
            counted[1] += int(written, 16)
            found[entry if history else run.run_id] = run
        for pool, says in _broken_seals(tally, seals):
            raise StoreError(_damaged(f"{pool}: {says}"))
        return [
            run
            for run in found.values()
            if (preset is None or run.preset == preset) and (status is None or run.status == status)
        ]

    def has(self, run_id: str) -> bool:
        """Whether a run of this address is stored, whatever its status."""
        with _named(self._database):
            return self._connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is not None

    def table(self, run: StoredRun, name: str) -> list[Row]:
        """The rows of a run's table.

        Raises:
            StoreError: the run has no such table, or the artefact is missing or altered.
        """
        if name not in run.tables:
            known = ", ".join(run.tables) or "none"
            raise StoreError(f"run {run.run_id} of {run.study}/{run.experiment} must have the table '{name}'; it has {known}")
        return decode_table(self.artefact(run.tables[name]))

    def pooled_table(self, runs: Sequence[StoredRun], name: str) -> list[Row]:
        """The rows of the table `name` of all runs together, in their order, each with the column `run`, its run's seed.

        Runs that do not have the table (a diverged one) are passed over.

        Raises:
            StoreError: an artefact is missing or altered.
        """
        rows: list[Row] = []
        for start in range(0, len(runs), 500):
            part = [(run.seed, run.tables[name]) for run in runs[start : start + 500] if name in run.tables]
            found = self._artefacts({digest for _, digest in part})
            for seed, digest in part:
                rows += decode_table(found[digest], run=seed)
        return rows

    def artefact(self, digest: str) -> bytes:
        """The bytes of a table, as `assay.store.tables` reads them.

        Raises:
            StoreError: they are missing or do not match their hash.
        """
        return self._artefacts({digest})[digest]

    def _artefacts(self, digests: Collection[str]) -> dict[str, bytes]:
        marks = ", ".join("?" * len(digests))
        with _named(self._database):
            query = f"SELECT digest, data FROM artefacts WHERE digest IN ({marks})"
            found: dict[str, bytes] = dict(self._connection.execute(query, tuple(digests)).fetchall())
        for digest in digests:
            if digest not in found:
                raise StoreError(_damaged(f"artefact {digest[:12]}… is missing"))
            if not isinstance(found[digest], bytes) or hashlib.sha256(found[digest]).hexdigest() != digest:
                raise StoreError(_damaged(f"artefact {digest[:12]}… was altered: its bytes do not match its name"))
        return found

    def _learn(self, key: str, text: str) -> None:
        if key in self._texts:
            return
        if text_digest(text) != key:
            raise StoreError(_damaged(f"text {key} does not match its digest"))
        self._texts[key] = found = json.loads(text)
        if found.keys() == {"estimands", "items"}:
            self._layouts[key] = Layout.of(found)

    # Checking and removing

    def verify(self) -> list[Problem]:
        """Everything that is wrong with the store, by name; empty when every byte that matters is as it was written."""
        problems: list[Problem] = []
        try:
            with self._snapshot():
                for (says,) in self._connection.execute("PRAGMA integrity_check(20)").fetchall():
                    if says != "ok":
                        problems.append(Problem("database", _DATABASE, says))
                problems += self._verify_rows()
        except StoreError as error:
            problems.append(Problem("database", _DATABASE, str(error)))
        return problems + [
            Problem("memo", memo.name, says) for memo in self._memos.listed() for says in self._memos.faults(memo)
        ]

    def _verify_rows(self) -> list[Problem]:
        problems: list[Problem] = []
        texts = {}
        for key, text in self._connection.execute("SELECT digest, text FROM texts"):
            if text_digest(text) == key:
                texts[key] = text
            else:
                problems.append(Problem("text", key, "does not match its digest"))
        tally: dict[tuple[str, ...], list[int]] = {}
        artefacts: dict[str, str] = {}
        for *content, written, entry in self._connection.execute(_SELECT + " ORDER BY entry"):
            where = f"row {entry}"
            counted = tally.setdefault((content[1], content[3], content[4], content[5]), [0, 0])
            counted[0] += 1
            if hash_of(content) != written:
                problems.append(Problem("row", where, "does not match its hash"))
                continue
            counted[1] += int(written, 16)
            cells = dict(zip(COLUMNS, content, strict=True))
            if cells["run_id"] != _address(cells):
                problems.append(Problem("row", where, "its address does not match its content"))
            for key in _texts_named(cells):
                if key not in texts:
                    problems.append(Problem("row", where, f"names the text {key}, which is missing or altered"))
            for value in json.loads(cells["tables"]).values():
                artefacts.setdefault(value, f"{cells['study']}/{cells['experiment']} seed {cells['seed']}")
        seals = self._connection.execute("SELECT * FROM seals").fetchall()
        problems += [Problem("pool", pool, says) for pool, says in _broken_seals(tally, seals)]
        for value, owner in artefacts.items():
            try:
                self.artefact(value)
            except StoreError as error:
                problems.append(Problem("artefact", owner, str(error)))
        return problems

    def remove(self, run_ids: Iterable[str]) -> int:
        """Delete runs (with the history of their addresses) and the artefacts only they had; return how many rows went."""
        wanted = sorted(set(run_ids))
        self._writable()
        gone = 0
        with self._transaction() as connection:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                among = f"run_id IN ({', '.join('?' * len(part))})"
                pools = connection.execute(f"SELECT DISTINCT {', '.join(_POOL)} FROM runs WHERE {among}", part).fetchall()
                gone += connection.execute(f"DELETE FROM runs WHERE {among}", part).rowcount
                self._reseal(connection, pools)
            _drop_unused(connection)
        self._give_space_back()
        return gone

    def remove_damaged(self) -> int:
        """Delete every row that does not verify, seal what is left, and return how many rows went; then the rest can be read.

        A row whose artefact is missing or altered goes too. Nothing can be brought back: repeat the runs.
        """
        self._writable()
        gone = 0
        with self._transaction() as connection:
            texts = {key for key, text in connection.execute("SELECT digest, text FROM texts") if text_digest(text) == key}
            connection.execute(
                "DELETE FROM texts WHERE digest NOT IN (SELECT value FROM json_each(?))", (json.dumps(sorted(texts)),)
            )
            for *content, written, entry in connection.execute(_SELECT).fetchall():
                if not self._sound(content, written, texts):
                    gone += connection.execute("DELETE FROM runs WHERE entry = ?", (entry,)).rowcount
            connection.execute("DELETE FROM seals")
            self._reseal(connection, connection.execute(f"SELECT DISTINCT {', '.join(_POOL)} FROM runs").fetchall())
            _drop_unused(connection)
        self._texts.clear()
        self._layouts.clear()
        self._give_space_back()
        return gone

    def _sound(self, content: Sequence[Any], written: str, texts: set[str]) -> bool:
        if hash_of(content) != written:
            return False
        cells = dict(zip(COLUMNS, content, strict=True))
        if not set(_texts_named(cells)) <= texts:
            return False
        try:
            for value in json.loads(cells["tables"]).values():
                self.artefact(value)
        except StoreError:
            return False
        return bool(cells["run_id"] == _address(cells))

    def _give_space_back(self) -> None:
        with _named(self._database):
            # A script, since each step of this statement frees one page and `execute` takes one step.
            self._connection.executescript("PRAGMA incremental_vacuum")

    # Memoised steps

    def memo(self, name: str, key: Mapping[str, object], build: Callable[[Path], None]) -> Path:
        """The folder that `build(folder)` filled for this key, built once whoever asks; see `Memos.get`."""
        return self._memos.get(name, key, build)

    def memos(self) -> list[Memo]:
        """The memoised steps, by name."""
        return self._memos.listed()

    def remove_memo(self, memo: Memo) -> None:
        """Delete a memoised step; it is built again when somebody needs it."""
        self._writable()
        self._memos.remove(memo)


def _keep_artefact(connection: sqlite3.Connection, data: bytes) -> str:
    """The hash under which the bytes are now kept; damaged ones of that name are replaced."""
    digest = hashlib.sha256(data).hexdigest()
    connection.execute(
        "INSERT INTO artefacts VALUES (?, ?) ON CONFLICT DO UPDATE SET data = excluded.data WHERE data IS NOT excluded.data",
        (digest, data),
    )
    return digest


def _drop_unused(connection: sqlite3.Connection) -> None:
    """Delete the artefacts that no row names, and the origins and looks of runs that are gone."""
    connection.execute("DELETE FROM origins WHERE run_id NOT IN (SELECT run_id FROM runs)")
    pool = " AND ".join(f"runs.{name} = looks.{name}" for name in _POOL)
    connection.execute(f"DELETE FROM looks WHERE NOT EXISTS (SELECT 1 FROM runs WHERE {pool})")
    used = "SELECT named.value FROM runs, json_each(runs.tables) AS named"
    connection.execute(f"DELETE FROM artefacts WHERE digest NOT IN ({used})")


def _address(cells: Mapping[str, Any]) -> str:
    names = ("study", "version", "experiment", "settings_digest", "seed", "fingerprint")
    return run_address(*(cells[name] for name in names))


def _texts_named(cells: Mapping[str, Any]) -> list[str]:
    return [cells[name] for name in ("settings_digest", "claims", "environment", "layout")]


def _broken_seals(tally: Mapping[tuple[str, ...], Sequence[int]], seals: Sequence[Sequence[Any]]) -> list[tuple[str, str]]:
    """The pools whose rows (number and sum of hashes) are not those that were sealed, each with what is wrong."""
    sealed = {tuple(seal[:4]): (seal[4], seal[5]) for seal in seals}
    found = {pool: (count, f"{total % _TWO_256:064x}") for pool, (count, total) in tally.items()}
    broken = []
    for pool in sorted(found.keys() | sealed.keys(), key=str):
        (count, total), (expected, expected_total) = found.get(pool, (0, "")), sealed.get(pool, (0, ""))
        if (count, total) != (expected, expected_total):
            says = f"{count} rows are found, {expected} were sealed" + (
                ", and their content differs" if count == expected else ""
            )
            broken.append(("/".join(map(str, pool)), says))
    return broken


def _damaged(says: str) -> str:
    hint = "Run 'assay store verify' for all damage, 'assay store rm --damaged' to drop it"
    return f"stored rows must be as they were written; {says}. {hint}"


def _refuse_emptied(folder: Path) -> None:
    """A marked folder whose database is gone or empty has lost its rows: that is never taken for a new store."""
    database = folder / _DATABASE
    size = database.stat().st_size if database.is_file() else 0
    # SQLite takes a file shorter than its smallest page for an empty database.
    if (size == 0 and (folder / "store.json").is_file()) or 0 < size < 512:
        hint = "Restore it from a copy, or remove the folder to start anew"
        raise StoreError(f"the store's database must be there; {database} is missing or empty. {hint}")


def _connect_read_only(database: Path) -> sqlite3.Connection:
    address = database.as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None, timeout=30)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection
    except sqlite3.OperationalError:
        # A log cannot be opened where nothing may be written. Without one, the file is all there is and nobody changes it.
        log = database.with_name(database.name + "-wal")
        connection.close()
        if os.access(database.parent, os.W_OK) or (log.is_file() and log.stat().st_size > 0):
            raise
        return sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None)


@contextmanager
def _named(database: Path) -> Iterator[None]:
    """Give every failure of the database or the disk below it a name and a way out."""
    try:
        yield
    except AssayError:
        raise
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        says = f"{database}: {error}"
        if any(word in str(error) for word in ("full", "disk I/O", "readonly", "unable to open", "locked")):
            raise StoreError(_unusable(says)) from error
        raise StoreError(f"the store's database must be sound; {says}. Run 'assay store verify', or restore a copy") from error
    except OSError as error:
        raise StoreError(_unusable(f"{error.filename or database}: {error.strerror}")) from error


def _unusable(says: str) -> str:
    hint = "Free space or mend the rights, then run again: finished runs are kept"
    return f"the store must be readable and writable; {says}. {hint}"
