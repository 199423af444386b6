"""One run as the laboratory sees it, and as a row of the database: the two forms, the address and the hash."""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from assay.core.settings import canonical_json, digest

__all__ = [
    "COLUMNS",
    "Layout",
    "Status",
    "StoredRun",
    "content_of",
    "hash_of",
    "revive",
    "row_hash",
    "run_address",
    "text_digest",
    "texts_of",
]

Status = Literal["ok", "diverged", "failed"]
# In this order a row is written, read and hashed; `numbers` are its eight-byte floats, so that every bit comes back.
COLUMNS = (
    "run_id", "study", "version", "experiment", "settings_digest", "fingerprint", "seed", "preset", "custom", "sequential",
    "status", "error", "claims", "environment", "layout", "tables", "wall_s", "created", "numbers",
)  # fmt: skip


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
        estimands: the named numbers of the run, by name; a number that is not finite comes back as it was.
        items: per-item values of an estimand.
        tables: artefact hash by table name; read one with `Store.table`.
        claims: digest of each claim as it was declared when the run was made.
        fingerprint: of the sources that computed the run; a row with another one than today's is stale.
        environment: versions, machine class and threads.
        wall_s: seconds the run took (its share, where several ran in one program).
        created: when it was stored, UTC, ISO 8601.
        sequential: the most runs that `--until-decided`, which added this one, was allowed beforehand; 0 without it, 1 where
            nothing was planned (older rows), so that only anytime-valid intervals may judge it.
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
    sequential: int = 0

    @property
    def pool(self) -> tuple[str, str, str, str]:
        """The rows it may be averaged with: study, experiment, settings digest, fingerprint."""
        return (self.study, self.experiment, self.settings_digest, self.fingerprint)


def run_address(study: str, version: int, experiment: str, settings_digest: str, seed: int, fingerprint: str) -> str:
    """Sixteen hexadecimal digits that are equal exactly when a run would be the same computation."""
    return digest([study, version, experiment, settings_digest, seed, fingerprint])


class Layout(NamedTuple):
    """Where each number of a row is: estimands first, then the items of each name; shared by rows of one kind."""

    estimands: tuple[str, ...]
    items: tuple[tuple[str, int, int], ...]  # name, first, one past the last
    reader: struct.Struct

    @classmethod
    def of(cls, text: Mapping[str, Any]) -> "Layout":
        """The layout that a stored text describes."""
        place = len(text["estimands"])
        items = []
        for name, count in text["items"]:
            items.append((name, place, place + count))
            place += count
        return cls(tuple(text["estimands"]), tuple(items), struct.Struct(f"<{place}d"))


def texts_of(run: StoredRun) -> dict[str, str]:
    """What a row shares with others, by column: settings, claims, environment and layout, each as canonical text."""
    layout = {
        "estimands": sorted(run.estimands),
        "items": [[name, len(values)] for name, values in sorted(run.items.items())],
    }
    return {
        "settings_digest": canonical_json(dict(run.settings)),
        "claims": canonical_json(dict(run.claims)),
        "environment": canonical_json(dict(run.environment)),
        "layout": json.dumps(layout, sort_keys=True, separators=(",", ":")),
    }


def text_digest(text: object) -> str:
    """As `assay.core.settings.digest`, for a text that is canonical already (or whatever a damaged cell holds)."""
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def content_of(run: StoredRun, texts: Mapping[str, str]) -> tuple[Any, ...]:
    """The row's cells, in the order of `COLUMNS`."""
    values = [value for _, value in sorted(run.estimands.items())]
    for _, numbers in sorted(run.items.items()):
        values += numbers
    return (
        run.run_id,
        run.study,
        run.version,
        run.experiment,
        text_digest(texts["settings_digest"]),
        run.fingerprint,
        run.seed,
        run.preset,
        int(run.custom),
        int(run.sequential),
        run.status,
        json.dumps(run.error) if run.error else "",
        text_digest(texts["claims"]),
        text_digest(texts["environment"]),
        text_digest(texts["layout"]),
        json.dumps(dict(run.tables), sort_keys=True, separators=(",", ":")),
        float(run.wall_s),
        run.created,
        struct.pack(f"<{len(values)}d", *values),
    )


def hash_of(content: Sequence[Any]) -> str:
    """SHA-256 over everything a row says, in hexadecimal."""
    numbers = content[-1]
    whole = hashlib.sha256("\x1f".join(map(str, content[:-1])).encode("utf-8", "surrogatepass"))
    whole.update(numbers if isinstance(numbers, bytes) else str(numbers).encode())
    return whole.hexdigest()


def row_hash(run: StoredRun) -> str:
    """The hash of the row that holds a run."""
    return hash_of(content_of(run, texts_of(run)))


def revive(content: Sequence[Any], texts: Mapping[str, Any], layouts: Mapping[str, Layout]) -> StoredRun:
    """The run that verified cells describe.

    Raises:
        KeyError: a text that the row names is not in `texts` or `layouts`.
    """
    (
        run_id, study, version, experiment, settings, fingerprint, seed, preset, custom, sequential,
        status, error, claims, environment, layout, tables, wall_s, created, numbers,
    ) = content  # fmt: skip
    form = layouts[layout]
    values = form.reader.unpack(numbers)
    return StoredRun(
        run_id,
        study,
        version,
        experiment,
        preset,
        bool(custom),
        texts[settings],
        settings,
        seed,
        status,
        json.loads(error) if error else "",
        dict(zip(form.estimands, values, strict=False)),
        {name: values[first:end] for name, first, end in form.items},
        json.loads(tables) if tables != "{}" else {},
        texts[claims],
        fingerprint,
        texts[environment],
        wall_s,
        created,
        sequential,
    )
