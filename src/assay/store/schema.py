"""The database's shape as an ordered list of small migrations; a store of any earlier version opens and is brought along."""

import sqlite3
from collections.abc import Callable

from assay.core.errors import StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate", "schema_version"]

APPLICATION_ID = 0x41535359  # "ASSY", so that no other program's database is taken for a store


def _runs_texts_seals(connection: sqlite3.Connection) -> None:
    """Version 1: append-only rows, tables by hash, texts shared by many rows, and one seal per pool of rows."""
    connection.execute(
        """CREATE TABLE runs (
            entry INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL,
            study TEXT NOT NULL,
            version INTEGER NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            seed INTEGER NOT NULL,
            preset TEXT NOT NULL,
            custom INTEGER NOT NULL,
            sequential INTEGER NOT NULL,
            status TEXT NOT NULL,
            error TEXT NOT NULL,
            claims TEXT NOT NULL,
            environment TEXT NOT NULL,
            layout TEXT NOT NULL,
            tables TEXT NOT NULL,
            wall_s REAL NOT NULL,
            created TEXT NOT NULL,
            numbers BLOB NOT NULL,
            row_hash TEXT NOT NULL
        ) STRICT"""
    )
    connection.execute("CREATE INDEX runs_by_pool ON runs (study, experiment, settings_digest, fingerprint, seed, entry)")
    connection.execute("CREATE INDEX runs_by_address ON runs (run_id, entry)")
    connection.execute("CREATE TABLE artefacts (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT")
    connection.execute("CREATE TABLE texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID")
    connection.execute(
        """CREATE TABLE seals (
            study TEXT NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            n_rows INTEGER NOT NULL,
            row_hash_sum TEXT NOT NULL,
            PRIMARY KEY (study, experiment, settings_digest, fingerprint)
        ) STRICT, WITHOUT ROWID"""
    )


def _origins(connection: sqlite3.Connection) -> None:
    """Version 2: which runs were imported, and from where; not part of a row, so that a row is the same wherever it lies."""
    connection.execute("CREATE TABLE origins (run_id TEXT PRIMARY KEY, origin TEXT NOT NULL) STRICT, WITHOUT ROWID")


def _looks(connection: sqlite3.Connection) -> None:
    """Version 3: at how many runs a pool of rows was judged; not part of a row, and not exported with it."""
    connection.execute(
        """CREATE TABLE looks (
            study TEXT NOT NULL,
            experiment TEXT NOT NULL,
            settings_digest TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            n_runs INTEGER NOT NULL,
            PRIMARY KEY (study, experiment, settings_digest, fingerprint, n_runs)
        ) STRICT, WITHOUT ROWID"""
    )


# The n-th function takes a database of version n - 1 to version n. Never edit one that was released; append another.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_runs_texts_seals, _origins, _looks)


def schema_version(connection: sqlite3.Connection) -> int:
    """How many migrations the database has seen; 0 for an empty one.

    Raises:
        StoreError: the database belongs to another program or to a newer Assay.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and owner != APPLICATION_ID:
        raise StoreError(
            f"the database must be an Assay store; its application id is {owner:#x}. Choose another folder, or it is damaged"
        )
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store must be of version {len(MIGRATIONS)} or earlier; it is of version {version}. Install a newer assay"
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest version in one transaction: a kill leaves the old version or the new one."""
    version = schema_version(connection)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
