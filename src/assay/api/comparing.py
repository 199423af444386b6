"""Two results of one study, or two audits of one file, beside each other."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from assay.api.results import Results
from assay.claims.comparison import Difference, differences
from assay.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from assay.audit.compare import Comparison as AuditComparison
    from assay.audit.record import Audit

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Two results of one study, the second less the first.

    Attributes:
        study: its slug.
        differences: one for every number that a claim speaks of and both have.
        notes: what a reader should know.
    """

    study: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The differences as plain rows."""
        return [dataclasses.asdict(one) for one in self.differences]


@overload
def compare(first: Results, second: Results) -> Comparison: ...
@overload
def compare(first: "Audit", second: "Audit") -> "AuditComparison": ...
def compare(first: "Results | Audit", second: "Results | Audit") -> "Comparison | AuditComparison":
    """What the second found beyond the first, with intervals: paired over equal seeds, or over the questions both audits asked.

    Args:
        first, second: two results of one study (other settings, another store), or two audits of one file.

    Raises:
        UsageError: they are of different kinds, or one of the results is a grid.
        InputError: they share nothing that could be compared.
    """
    if isinstance(first, Results) and isinstance(second, Results):
        return _compare_results(first, second)
    from assay.audit.compare import compare as compare_audits
    from assay.audit.record import Audit

    if isinstance(first, Audit) and isinstance(second, Audit):
        return compare_audits(first, second)
    raise UsageError(
        f"two results, or two audits, are compared; got a {type(first).__name__} and a {type(second).__name__}. Name two of a "
        "kind"
    )


def _compare_results(first: Results, second: Results) -> Comparison:
    if first.study.slug != second.study.slug:
        raise UsageError(
            f"two results are compared number by number, so they must be of one study; got '{first.study.slug}' and "
            f"'{second.study.slug}'"
        )
    for one in (first, second):
        if len(one.points) != 1:
            raise UsageError(
                f"results are compared at one settings value each; got a grid of {len(one.points)}. Give one value a setting"
            )
    sides = [one.points[0].rows for one in (first, second)]
    found = differences(first.study, *sides)
    if not found:
        raise InputError(
            f"two results need at least two runs each of one experiment; of {first.study.slug} there are {_told(sides[0])} and "
            f"{_told(sides[1])}. Run both first"
        )
    return Comparison(first.study.slug, tuple(found), tuple(_notes(first, second, found)))


def _told(rows: Mapping[str, Sequence[object]]) -> str:
    return ", ".join(f"{len(found)} of {name}" for name, found in rows.items() if found) or "none"


def _notes(first: Results, second: Results, found: Sequence[Difference]) -> list[str]:
    notes = []
    if not all(one.paired for one in found):
        apart = dict.fromkeys(one.experiment for one in found if not one.paired)
        notes.append(f"No two seeds are shared in {', '.join(apart)}: all runs of both are compared (Welch), not pairs.")
    elif any(one.n_runs < len(point.runs[one.experiment]) for one in found for point in (first.points[0], second.points[0])):
        notes.append("Only runs whose seeds both have are compared.")
    if first.points[0].environments != second.points[0].environments:
        notes.append("They come from different environments; equal settings and seeds then differ in the last digits.")
    return notes
