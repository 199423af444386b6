"""Audits that were made, kept below the store by a digest of everything they depend on: found again, listed, shown anew.

What an audit depends on is the weights and tokens of its models, everything that is asked, how facts were injected, the seed,
and the code of the rooms that compute it. The same audit asked for again is read and not made: nothing is trained twice.
"""

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

import assay
from assay.audit.preference_record import PairAudit
from assay.audit.record import Audit
from assay.core.errors import InputError, StoreError
from assay.core.settings import digest
from assay.models.pretrained.loading import LanguageModel
from assay.store.files import write_atomically

__all__ = ["Kept", "KeptAudits", "depends_on"]

ROOMS = ("audit", "instruments", "models", "protocols", "stats", "training", "worlds/facts")
SUFFIX = ".json.gz"
Made = TypeVar("Made", Audit, PairAudit)


@dataclass(frozen=True)
class Kept:
    """One kept audit, as a list shows it.

    Attributes:
        digest: its name.
        model, facts: what was audited: the model, and the file of facts or of preferences.
        injected: the recipe's method (of preferences its loss), the tuned model's name, or "forecast".
        mitigations: how many were compared.
        runs: trainings behind it; 0 where nothing was trained.
        then: plain steps behind the injection; None where none were asked for.
        made: when, in UTC.
        path: its file.
    """

    digest: str
    model: str
    facts: str
    injected: str
    mitigations: int
    runs: int
    then: int | None
    made: str
    path: Path


class KeptAudits:
    """The audits in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> Audit | PairAudit | None:
        """The audit of that digest; None where there is none that this version can read."""
        return _read(self.folder / f"{name}{SUFFIX}")

    def put(self, found: Made, name: str) -> Made:
        """Keep an audit, and return it with its digest and the time.

        Raises:
            StoreError: it cannot be written.
        """
        stamped = replace(found, digest=name, made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        path = self.folder / f"{name}{SUFFIX}"
        try:
            text = json.dumps(_adapter().dump_python(stamped, mode="json"), ensure_ascii=False)
            write_atomically(path, gzip.compress(text.encode(), mtime=0))
        except OSError as error:
            raise StoreError(
                f"an audit must be writable; {path}: {error.strerror}. Free space, or name another --store"
            ) from error
        return stamped

    def find(self, prefix: str) -> Audit | PairAudit:
        """The audit whose digest begins so.

        Raises:
            InputError: there is none, or there are several.
        """
        names = [path.name.removesuffix(SUFFIX) for path in self._paths() if prefix and path.name.startswith(prefix)]
        if len(names) != 1:
            which = f"{len(names)} do: {', '.join(names[:3])}" if names else f"none of the {len(self._paths())} does"
            raise InputError(
                f"a kept audit must be named by the beginning of its digest; got '{prefix}', and {which}. Run: assay report "
                f"--audit list"
            )
        found = self.get(names[0])
        if found is None:
            raise InputError(
                f"a kept audit must be readable; {names[0]} is torn or of another version of Assay. Make it anew with "
                f"assay audit"
            )
        return found

    def listed(self) -> list[Kept]:
        """All that can be read, the newest first."""
        found = [(path, _read(path)) for path in self._paths()]
        kept = [_line(path, audit) for path, audit in found if audit is not None]
        return sorted(kept, key=lambda one: (one.made, one.digest), reverse=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


def depends_on(models: Sequence[tuple[LanguageModel, str]], rest: Mapping[str, object]) -> str:
    """The digest of an audit: of its models' names, weights and tokens, of the code, and of what else is given.

    Args:
        models: before and, where it was tuned elsewhere, after; each with the digest of its weights.
        rest: what is asked, how it is injected, and with which seed.
    """
    named = [[model.name, weights, _tokens(model), model.device.type] for model, weights in models]
    return digest([named, _code(), dict(rest)])


def _tokens(model: LanguageModel) -> str:
    """What a tokenizer depends on."""
    inner = getattr(model.tokenizer, "backend_tokenizer", None)
    text = inner.to_str() if inner is not None else json.dumps(sorted(model.tokenizer.get_vocab().items()))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _code() -> str:
    """A digest of all files of the rooms that compute an audit; the same in every checkout of the same sources."""
    (root,) = (Path(place) for place in assay.__path__)
    text = hashlib.sha256()
    for room in ROOMS:
        for path in sorted(path for path in (root / room).rglob("*") if path.suffix in (".py", ".json")):
            text.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return text.hexdigest()


@cache
def _adapter() -> Any:
    return TypeAdapter(Audit | PairAudit)


def _read(path: Path) -> Audit | PairAudit | None:
    try:
        found: Audit | PairAudit = _adapter().validate_json(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error, ValidationError, ValueError):
        return None
    return found


def _line(path: Path, found: Audit | PairAudit) -> Kept:
    if isinstance(found, PairAudit):
        done = found.tuned or (found.method if found.totals else "forecast")
        runs = int(bool(found.totals) and not found.tuned)
        arms = max(0, len(found.arms) - 1)
        return Kept(found.digest, found.model, found.pairs_name, done, arms, runs, None, found.made, path)
    injected = found.tuned or (str(found.recipe.get("method", "")) if found.rows else "forecast")
    runs = len(found.runs) or int(bool(found.rows) and not found.tuned)
    then = None if found.retention is None else found.retention.n_steps
    arms = max(0, len(found.arms) - 1)
    return Kept(found.digest, found.model, found.facts_name, injected, arms, runs, then, found.made, path)
