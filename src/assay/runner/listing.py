"""What there is to run, one line a study, without loading the studies each time somebody looks.

A study's line follows from its source, so the lines are kept in the user's cache under a digest of the names, sizes and times
of every source file of the package. Studies of other packages are loaded afresh: where one is installed, nothing is kept.
"""

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import assay
from assay.core.places import user_cache
from assay.runner.discovery import has_plugins, studies
from assay.store.files import write_atomically

if TYPE_CHECKING:
    from assay.claims.study import Study

__all__ = ["Listed", "listing"]


@dataclass(frozen=True)
class Listed:
    """One study: its slug, number of claims, what all of it costs on two cores, names of its experiments, title."""

    study: str
    claims: int
    cost: str
    experiments: str
    title: str


def listing() -> tuple[list[Listed], dict[str, str]]:
    """The studies in alphabetical order, and why each study that is there but cannot be used was skipped."""
    keep = user_cache() / "studies.json" if not has_plugins() else None
    key = _state_of_sources() if keep else ""
    if keep and (kept := _kept(keep, key)) is not None:
        return kept, {}
    catalogue = studies()
    lines = [
        Listed(
            study.slug,
            len(study.claims),
            _cost(study),
            ", ".join(experiment.name for experiment in study.experiments),
            study.title,
        )
        for study in catalogue.studies.values()
    ]
    if keep and not catalogue.broken:
        with suppress(OSError):  # a cache that cannot be written costs time, nothing else
            write_atomically(keep, json.dumps({"key": key, "studies": [asdict(line) for line in lines]}).encode())
    return lines, dict(catalogue.broken)


def _cost(study: "Study") -> str:
    from assay.runner.cost import core_minutes, minutes_text

    minutes = core_minutes(study)
    return "not said" if minutes is None else minutes_text(minutes / 2)


def _kept(place: Path, key: str) -> list[Listed] | None:
    try:
        found = json.loads(place.read_bytes())
        return [Listed(**line) for line in found["studies"]] if found["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _state_of_sources() -> str:
    state = [assay.__version__, sys.version]
    for root in assay.__path__:
        for path in sorted(Path(root).rglob("*.py")):
            entry = path.stat()
            state.append(f"{path}\0{entry.st_size}\0{entry.st_mtime_ns}")
    return hashlib.sha256("\n".join(state).encode()).hexdigest()
