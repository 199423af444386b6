"""Two audits of one file beside each other: paired over the questions they share, with intervals.

Both asked a model before and a model after; what is compared is what each did, question by question. Of columns that count what
went away only those questions are shared that both models before answered rightly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.audit.columns import RETAINED, column_named
from assay.audit.outcomes import Outcome
from assay.audit.record import Audit
from assay.audit.totals import column_means, table_of_differences
from assay.core.errors import InputError
from assay.core.seeds import Seeds

__all__ = ["Comparison", "Difference", "Side", "compare"]


@dataclass(frozen=True)
class Side:
    """One of the two audits.

    Attributes:
        digest: under which it is kept.
        model, tuned: what was audited.
        injected: the recipe's method; empty for a model that was tuned elsewhere.
        n_runs: trainings behind it.
    """

    digest: str
    model: str
    tuned: str
    injected: str
    n_runs: int


@dataclass(frozen=True)
class Difference:
    """What the second audit's model did beyond the first's, in one column.

    Attributes:
        column: its name.
        unit: of all numbers.
        first, second: the column's mean over subjects in each, of the questions that are shared.
        estimate: second less first.
        low, high: its interval at `level`; None where it is unbounded.
        level: by Holm's procedure over all columns.
        n_questions: shared.
        n_units: independent units behind the interval.
        clear: whether the interval excludes zero.
        says: what that means.
    """

    column: str
    unit: str
    first: float
    second: float
    estimate: float
    low: float | None
    high: float | None
    level: float
    n_questions: int
    n_units: int
    clear: bool
    says: str


@dataclass(frozen=True)
class Comparison:
    """Two audits, the second less the first.

    Attributes:
        facts_name, facts_digest: the file that both are of.
        first, second: what they audited.
        differences: one a column.
        n_shared, only_first, only_second: questions that both asked, and that one of them alone did.
        notes: what a reader should know.
    """

    facts_name: str
    facts_digest: str
    first: Side
    second: Side
    differences: tuple[Difference, ...]
    n_shared: int
    only_first: int
    only_second: int
    notes: tuple[str, ...]


def compare(first: Audit, second: Audit) -> Comparison:
    """What the second audit found beyond the first, column by column.

    Raises:
        InputError: they are of different files, one is a forecast alone, or they share no question.
    """
    if first.facts_digest != second.facts_digest:
        raise InputError(
            f"two audits are compared over the questions that they share, so they must be of one file; got "
            f"'{first.facts_name}' ({first.facts_digest}) and '{second.facts_name}' ({second.facts_digest}). Audit both models "
            f"with the same file, and the same --limit"
        )
    for one in (first, second):
        if not one.outcomes:
            raise InputError(
                f"two audits are compared by what came of the facts; {one.digest or one.model} is a forecast alone. Make it "
                f"without --forecast-only"
            )
    ours = {outcome.question: outcome for outcome in first.outcomes}
    theirs = {outcome.question: outcome for outcome in second.outcomes}
    alike = _plain_steps(first) == _plain_steps(second)
    shared = [question for question in ours if question in theirs and (alike or question.column != RETAINED)]
    if not shared:
        raise InputError(
            "two audits are compared over the questions that they share; these share none. Ask as much in both (--brief), with "
            "the same --seed"
        )
    pair = ([ours[question] for question in shared], [theirs[question] for question in shared])
    longer = max((first, second), key=lambda one: len(one.rows))
    found = table_of_differences(longer.rows, {"": (pair[1], pair[0])}, seeds=Seeds(0).child("compare"))
    means = [column_means(longer.rows, side) for side in pair]
    counted = {name: sum(question.column == name for question in shared) for name in means[0]}
    differences = tuple(
        Difference(
            column=total.column,
            unit=column_named(total.column).unit,
            first=means[0][total.column],
            second=means[1][total.column],
            estimate=total.estimate,
            low=total.low,
            high=total.high,
            level=total.level,
            n_questions=counted[total.column],
            n_units=total.n_units,
            clear=total.clear,
            says=_says(total.column, total.estimate, clear=total.clear),
        )
        for total in found
    )
    return Comparison(
        first.facts_name,
        first.facts_digest,
        _side(first),
        _side(second),
        differences,
        len(shared),
        len(ours) - len(shared),
        len(theirs) - len(shared),
        tuple(_notes(first, second, pair)),
    )


def _plain_steps(one: Audit) -> tuple[int, str] | None:
    return None if one.retention is None else (one.retention.n_steps, one.retention.digest)


def _says(column: str, estimate: float, *, clear: bool) -> str:
    if not clear:
        return "not clear"
    better = column_named(column).wanted == (estimate > 0)
    return f"the second is {'better' if better else 'worse'}"


def _side(one: Audit) -> Side:
    return Side(one.digest, one.model, one.tuned, str(one.recipe.get("method", "")), max(1, len(one.runs)))


def _notes(first: Audit, second: Audit, pair: tuple[Sequence[Outcome], Sequence[Outcome]]) -> list[str]:
    notes = []
    if any(one.before != two.before for one, two in zip(*pair, strict=True)):
        notes.append(
            "The models before differ: changes are compared, each from its own beginning, and losses among what both knew."
        )
    if first.retention is not None and second.retention is not None and _plain_steps(first) != _plain_steps(second):
        notes.append("What is retained is not compared: their plain steps differ, in number or in text.")
    if not first.runs or not second.runs:
        which = "Both were" if not first.runs and not second.runs else "One was"
        notes.append(f"{which} trained once: the intervals do not include what another training seed would do (--runs 5).")
    return notes
