"""Runs as append-only rows: addressed by what they are, hashed one by one, sealed together, read only when both agree.

A store is a folder: `store.sqlite3` (rows, and their tables as artefacts by hash), `memos/` (expensive steps), `store.json`
(marks the folder). Tables lie in the database so that a batch of runs and all their tables are one transaction and one wait for
the disk. Rows are never changed. A run that is repeated (`--fresh`, or after a failure) is appended again, and of the rows of
one address the newest counts.

Two checks stand between a damaged disk and a verdict. Every row carries the SHA-256 of its content. Every pool of rows (one
study, experiment, settings value and source fingerprint: what one interval is taken over) carries a seal, the number and the
sum of its rows' hashes, written in the same transaction, so that a lost or doubled row is noticed as surely as an altered one.
"""

import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from assay.core.errors import AssayError, StoreError
from assay.core.settings import canonical_json, digest
from assay.store.files import write_atomically
from assay.store.lock import WriterLock
from assay.store.memo import Memo, Memos
from assay.store.schema import MIGRATIONS, migrate, schema_version
from assay.store.tables import Row, decode_table, encode_table

__all__ = ["Problem", "Status", "Store", "StoredRun", "default_folder", "number", "row_hash", "run_address"]

Status = Literal["ok", "diverged", "failed"]
_DATABASE = "store.sqlite3"
_POOL = ("study", "experiment", "settings_digest", "fingerprint")
_COLUMNS = ("run_id", "study", "version", "experiment", "settings_digest", "fingerprint", "seed", "preset", "status", "body")
_SELECT = f"SELECT {', '.join(_COLUMNS)}, row_hash, entry FROM runs"
_TWO_256 = 1 << 256


@dataclass(frozen=True)
class StoredRun:
    """One run as it was recorded.

    Attributes:
        run_id: content address, see `run_address`.
        study: slug, with the study's `version` and the `experiment`'s name.
        preset: "quick", "laptop" or "paper"; `custom` where a setting was changed on the command line.
        settings: the settings' values as JSON knows them (tuples are lists), and their digest.
        seed: the root of the run's random streams.
        status: "ok", "diverged" or "failed"; `error` says why, in one line.
        estimands: the named numbers of the run; a number that is not finite comes back as it was.
        items: per-item values of an estimand.
        tables: artefact hash by table name; read one with `Store.table`.
        claims: digest of each claim as it was declared when the run was made.
        fingerprint: of the sources that computed the run; a row with another one than today's is stale.
        environment: versions, machine class and threads.
        wall_s: seconds the run took (its share, where several ran in one program).
        created: when it was stored, UTC, ISO 8601.
        sequential: whether the run was added by `--until-decided`, so that only anytime-valid intervals may judge it.
    """

    run_id: str
    study: str
    version: int
    experiment: str
    preset: str
    custom: bool
    settings: Mapping[str, object]
    settings_digest: str
    seed: int
    status: Status
    error: str
    estimands: Mapping[str, float]
    items: Mapping[str, tuple[float, ...]]
    tables: Mapping[str, str]
    claims: Mapping[str, str]
    fingerprint: str
    environment: Mapping[str, object]
    wall_s: float
    created: str
    sequential: bool = False

    @property
    def pool(self) -> tuple[str, str, str, str]:
        """The rows it may be averaged with: study, experiment, settings digest, fingerprint."""
        return (self.study, self.experiment, self.settings_digest, self.fingerprint)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a store: `kind`, `where` it is and what was found."""

    kind: Literal["database", "row", "pool", "text", "artefact", "memo"]
    where: str
    says: str


def run_address(study: str, version: int, experiment: str, settings_digest: str, seed: int, fingerprint: str) -> str:
    """Sixteen hexadecimal digits that are equal exactly when a run would be the same computation."""
    return digest([study, version, experiment, settings_digest, seed, fingerprint])


def default_folder() -> Path:
    """The folder of the store that commands use: `$ASSAY_STORE`, else the user's data folder."""
    named = os.environ.get("ASSAY_STORE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("assay")


class Store:
    """An open store. Use it as a context manager, or call `close`."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: WriterLock | None, inode: int | None) -> None:
        self.folder = folder
        self.read_only = lock is None
        self._connection = connection
        self._lock = lock
        self._inode = inode
        self._memos = Memos(folder / "memos")
        self._texts: dict[str, Any] = {}

    # Opening and closing

    @classmethod
    def open(cls, path: Path | None = None, *, read_only: bool = False, wait_s: float = 3.0) -> "Store":
        """The store in the folder `path` (default: see `default_folder`), made if it is not there yet.

        Args:
            path: the store's folder.
            read_only: read beside a writer, or from a folder nobody may write; a store that is not there is then empty.
            wait_s: how long to wait for another writer to end.

        Raises:
            StoreError: the folder cannot be used, another process is writing, or the database is damaged.
        """
        folder = (path if path is not None else default_folder()).absolute()
        return cls._open_to_read(folder) if read_only else cls._open_to_write(folder, wait_s)

    @classmethod
    def _open_to_write(cls, folder: Path, wait_s: float) -> "Store":
        database = folder / _DATABASE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(folder)
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
                return cls(folder, connection, lock, database.stat().st_ino)
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
        self._writable()
        with self._transaction() as connection:
            complete = []
            for run, tables in finished:
                hashes = {name: _keep_artefact(connection, encode_table(table)) for name, table in tables.items()}
                complete.append(replace(run, tables=hashes))
                self._insert(connection, complete[-1])
            self._reseal(connection, {run.pool for run in complete}, added=complete)
        return complete

    def _insert(self, connection: sqlite3.Connection, run: StoredRun) -> None:
        expected = run_address(run.study, run.version, run.experiment, digest(dict(run.settings)), run.seed, run.fingerprint)
        if run.run_id != expected:
            raise StoreError(
                f"a run is stored under its own address; {run.study} seed {run.seed} has {expected}, got {run.run_id}"
            )
        shared = {
            run.settings_digest: run.settings,
            digest(dict(run.claims)): run.claims,
            digest(dict(run.environment)): run.environment,
        }
        for key, value in shared.items():
            connection.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (key, canonical_json(dict(value))))
        content = _content(run)
        connection.execute(
            f"INSERT INTO runs ({', '.join(_COLUMNS)}, row_hash) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})",
            (*content, _hash_of(content)),
        )

    def _reseal(
        self, connection: sqlite3.Connection, pools: Iterable[tuple[str, ...]], *, added: Sequence[StoredRun] | None = None
    ) -> None:
        """Bring the seals up to date: by the rows added, or (`added` is None) from what the table holds now."""
        where = " AND ".join(f"{name} = ?" for name in _POOL)
        for pool in sorted(pools):
            if added is None:
                hashes = [row[0] for row in connection.execute(f"SELECT row_hash FROM runs WHERE {where}", pool)]
                count, total = 0, 0
            else:
                hashes = [row_hash(run) for run in added if run.pool == pool]
                known = connection.execute(f"SELECT n_rows, row_hash_sum FROM seals WHERE {where}", pool).fetchone()
                count, total = (known[0], int(known[1], 16)) if known else (0, 0)
            count += len(hashes)
            total = (total + sum(int(value, 16) for value in hashes)) % _TWO_256
            connection.execute(f"DELETE FROM seals WHERE {where}", pool)
            if count:
                connection.execute("INSERT INTO seals VALUES (?, ?, ?, ?, ?, ?)", (*pool, count, f"{total:064x}"))

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

    def _still_there(self) -> None:
        # SQLite writes on happily after its file was deleted: the rows would go nowhere.
        try:
            there = self._database.stat().st_ino == self._inode
        except FileNotFoundError:
            there = False
        if not there:
            hint = "Run the command again"
            raise StoreError(f"the store must stay in place while it is open; {self._database} was removed or replaced. {hint}")

    def _writable(self) -> None:
        if self.read_only:
            raise StoreError(f"the store was opened to be read; {self.folder}. Open it without read_only to write")

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
        with _named(self._database):
            stored = self._connection.execute(_SELECT + where + order, tuple(given.values())).fetchall()
            seals = self._connection.execute("SELECT * FROM seals" + where, tuple(given.values())).fetchall()
            texts = self._connection.execute("SELECT digest, text FROM texts").fetchall() if stored else []
        for key, text in texts:
            self._learn(key, text)
        found: dict[object, StoredRun] = {}
        tally: dict[tuple[str, ...], list[int]] = {}
        for row in stored:
            content, written, entry = row[:-2], row[-2], row[-1]
            if _hash_of(content) != written:
                raise StoreError(_damaged(f"row {entry} does not match its hash"))
            run = self._revive(content, entry)
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

    def artefact(self, digest: str) -> bytes:
        """The bytes of a table, as `assay.store.tables` reads them.

        Raises:
            StoreError: they are missing or do not match their hash.
        """
        with _named(self._database):
            found = self._connection.execute("SELECT data FROM artefacts WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            raise StoreError(_damaged(f"artefact {digest[:12]}… is missing"))
        data: bytes = found[0]
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(_damaged(f"artefact {digest[:12]}… was altered: its bytes do not match its name"))
        return data

    def _learn(self, key: str, text: str) -> None:
        if key in self._texts:
            return
        if _digest_of(text) != key:
            raise StoreError(_damaged(f"text {key} does not match its digest"))
        self._texts[key] = json.loads(text)

    def _revive(self, content: Sequence[Any], entry: int) -> StoredRun:
        run_id, study, version, experiment, settings_digest, fingerprint, seed, preset, status, text = content
        body = json.loads(text)
        try:
            settings, claims, environment = (self._texts[key] for key in (settings_digest, body["claims"], body["environment"]))
        except KeyError as error:
            raise StoreError(_damaged(f"row {entry} names the text {error}, which is missing")) from error
        return StoredRun(
            run_id=run_id,
            study=study,
            version=version,
            experiment=experiment,
            preset=preset,
            custom=body["custom"],
            settings=settings,
            settings_digest=settings_digest,
            seed=seed,
            status=status,
            error=body["error"],
            estimands={name: float(value) for name, value in body["estimands"].items()},
            items={name: tuple(map(float, values)) for name, values in body["items"].items()},
            tables=body["tables"],
            claims=claims,
            fingerprint=fingerprint,
            environment=environment,
            wall_s=body["wall_s"],
            created=body["created"],
            sequential=body["sequential"],
        )

    # Checking and removing

    def verify(self) -> list[Problem]:
        """Everything that is wrong with the store, by name; empty when every byte that matters is as it was written."""
        problems: list[Problem] = []
        try:
            for (says,) in self._connection.execute("PRAGMA integrity_check(20)").fetchall():
                if says != "ok":
                    problems.append(Problem("database", _DATABASE, says))
            problems += self._verify_rows()
        except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
            problems.append(Problem("database", _DATABASE, str(error)))
        return problems + [
            Problem("memo", memo.name, says) for memo in self._memos.listed() for says in self._memos.faults(memo)
        ]

    def _verify_rows(self) -> list[Problem]:
        problems: list[Problem] = []
        texts = {}
        for key, text in self._connection.execute("SELECT digest, text FROM texts"):
            if _digest_of(text) == key:
                texts[key] = text
            else:
                problems.append(Problem("text", key, "does not match its digest"))
        tally: dict[tuple[str, ...], list[int]] = {}
        artefacts: dict[str, str] = {}
        for *content, written, entry in self._connection.execute(_SELECT + " ORDER BY entry"):
            where = f"row {entry}"
            counted = tally.setdefault((content[1], content[3], content[4], content[5]), [0, 0])
            counted[0] += 1
            if _hash_of(content) != written:
                problems.append(Problem("row", where, "does not match its hash"))
                continue
            counted[1] += int(written, 16)
            run_id, study, version, experiment, settings_digest, fingerprint, seed, _, _, text = content
            if run_id != run_address(study, version, experiment, settings_digest, seed, fingerprint):
                problems.append(Problem("row", where, "its address does not match its content"))
            body = json.loads(text)
            for key in (settings_digest, body["claims"], body["environment"]):
                if key not in texts:
                    problems.append(Problem("row", where, f"names the text {key}, which is missing or altered"))
            for value in body["tables"].values():
                artefacts.setdefault(value, f"{study}/{experiment} seed {seed}")
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
            texts = {key for key, text in connection.execute("SELECT digest, text FROM texts") if _digest_of(text) == key}
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
        self._give_space_back()
        return gone

    def _sound(self, content: Sequence[Any], written: str, texts: set[str]) -> bool:
        if _hash_of(content) != written:
            return False
        run_id, study, version, experiment, settings_digest, fingerprint, seed, _, _, text = content
        body = json.loads(text)
        if not {settings_digest, body["claims"], body["environment"]} <= texts:
            return False
        try:
            for value in body["tables"].values():
                self.artefact(value)
        except StoreError:
            return False
        return bool(run_id == run_address(study, version, experiment, settings_digest, seed, fingerprint))

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
    """Delete the artefacts that no row names."""
    used = "SELECT named.value FROM runs, json_each(runs.body, '$.tables') AS named"
    connection.execute(f"DELETE FROM artefacts WHERE digest NOT IN ({used})")


def _content(run: StoredRun) -> tuple[str | int, ...]:
    """The row's columns in their order, body last."""
    body = {
        "custom": run.custom,
        "error": run.error,
        "estimands": {name: number(value) for name, value in run.estimands.items()},
        "items": {name: [number(value) for value in values] for name, values in run.items.items()},
        "tables": dict(run.tables),
        "claims": digest(dict(run.claims)),
        "environment": digest(dict(run.environment)),
        "wall_s": run.wall_s,
        "created": run.created,
        "sequential": run.sequential,
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return (
        run.run_id,
        run.study,
        run.version,
        run.experiment,
        run.settings_digest,
        run.fingerprint,
        run.seed,
        run.preset,
        run.status,
        text,
    )


def number(value: float) -> float | str:
    """A number as JSON; one that is not finite by its name, which `float` reads back."""
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def row_hash(run: StoredRun) -> str:
    """SHA-256 over everything a row says, in hexadecimal."""
    return _hash_of(_content(run))


def _hash_of(content: Sequence[Any]) -> str:
    return hashlib.sha256("\x1f".join(map(str, content)).encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of(text: object) -> str:
    """As `assay.core.settings.digest`, over whatever a damaged cell may hold."""
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
