"""How many questions of a column: the interval is of the share that is shown, over whoever the questions share."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from assay.audit.counts import counts
from assay.audit.outcomes import Outcome
from assay.audit.probes import Probe
from assay.audit.totals import shares_of, table, table_of_differences, values_of
from assay.core.seeds import Seeds
from assay.stats.intervals import proportion


@dataclass(frozen=True)
class Told:
    subject: str
    object: str


def asked(fact: int, right: float, runs: tuple[float, ...] = ()) -> Outcome:
    question = Probe("p", ("a", "b"), kind="sentence", about=str(fact), column="learned", fact=fact, measure="share")
    return Outcome(question, 0.0, right, 0.0, right, right_runs=runs)


FACTS = [Told("one", "a"), Told("one", "b"), Told("one", "c"), Told("two", "d"), Told("three", "e")]


def test_every_question_counts_once_and_units_are_subjects() -> None:
    found = [asked(fact, right) for fact, right in enumerate((1, 1, 1, 0, 1))]
    values = shares_of(FACTS, found, lambda one: (one.right_after,))
    entries = np.array([entry for own in values.facts.values() for entry in own])
    assert list(values.facts) == ["one", "two", "three"]
    assert entries.mean() == pytest.approx(4 / 5)
    # The textbook's variance of a ratio of two sums over three clusters.
    pulls = np.array([3 - 3 * 0.8, 0 - 0.8, 1 - 0.8])
    assert entries.var(ddof=1) / 3 == pytest.approx(3 / 2 * (pulls**2).sum() / 25)
    (count,) = counts(FACTS, found, seeds=Seeds(0))
    assert (count.n, count.before, count.after) == (5, 0.0, pytest.approx(4.0))
    assert 0 <= count.low < 4 < count.high == 5


def test_where_all_are_alike_the_interval_is_the_binomial_one_over_subjects() -> None:
    (count,) = counts(FACTS, [asked(fact, 1.0) for fact in range(5)], seeds=Seeds(0))
    exact = proportion(3, 3, level=0.95)
    assert (count.after, count.low, count.high) == pytest.approx((5, 5 * exact.low, 5))


def test_a_question_more_about_one_subject_does_not_move_the_share_away_from_its_interval() -> None:
    rng = np.random.default_rng(0)
    facts = [Told(str(i // 8 if i < 40 else i), str(i)) for i in range(60)]
    inside = 0
    for draw in range(100):
        level = {fact.subject: rng.beta(6, 3) for fact in facts}
        found = [asked(i, float(rng.random() < level[fact.subject])) for i, fact in enumerate(facts)]
        (count,) = counts(facts, found, seeds=Seeds(draw))
        assert count.low <= count.after <= count.high
        inside += count.low <= 60 * 2 / 3 <= count.high
    assert inside >= 88


def test_trainings_add_to_the_interval() -> None:
    once = [asked(fact, right) for fact, right in enumerate((1, 0.5, 1, 0.5, 1))]
    three = [asked(fact, 0.8, runs) for fact, runs in enumerate([(1, 0, 1), (1, 0, 0.5), (1, 1, 1), (1, 0, 0.5), (1, 1, 1)])]
    (alone,), (several,) = (counts(FACTS, found, seeds=Seeds(0)) for found in (once, three))
    assert several.after == pytest.approx(5 * np.mean([np.mean(one.right_runs) for one in three]))
    assert several.high - several.low >= alone.high - alone.low


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_few_losses_among_many_have_a_binomial_end(lost: int) -> None:
    """A bootstrap of 36 questions of which two were lost has resamples without any spread, and no end."""
    facts = [Told(str(i), str(i)) for i in range(36)]
    runs = [(0.0, 0.0, 0.0) if i < lost else (1.0, 1.0, 1.0) for i in range(36)]
    (count,) = counts(facts, [asked(i, one[0], one) for i, one in enumerate(runs)], seeds=Seeds(0))
    exact = proportion(36 - lost, 36, level=0.95)
    assert count.after == 36 - lost
    assert 36 * exact.low - 1e-9 <= count.low <= count.after <= count.high <= 36 * exact.high + 1e-9
    assert count.low >= 25


def test_a_total_of_few_losses_has_an_end() -> None:
    facts = [Told(str(i), str(i)) for i in range(36)]
    question = Probe("p", ("a", "b"), kind="sentence", about="", column="forgotten", fact=0, measure="share")
    found = [Outcome(replace(question, about=str(i), fact=i), 0.9, 0.9 - 0.5 * (i < 2), 1.0, float(i >= 2)) for i in range(36)]
    (line,) = table({("forgotten", "all"): values_of(facts, found)}, seeds=Seeds(0))
    assert line.estimate == pytest.approx(1 / 36)
    assert (line.low, line.clear) == (0, False)
    assert line.high == pytest.approx(proportion(2, 36, level=line.level).high)


def rare(column: str, changes: dict[int, float]) -> list[Outcome]:
    """36 questions about as many subjects, of which few changed by so much."""
    question = Probe("p", ("a", "b"), kind="sentence", about="", column=column, fact=0, measure="share")
    return [Outcome(replace(question, about=str(i), fact=i), 0.9, 0.9 + changes.get(i, 0.0), 1.0, 1.0) for i in range(36)]


def test_a_difference_of_rare_losses_has_ends_on_both_sides() -> None:
    facts = [Told(str(i), str(i)) for i in range(36)]
    pairs = {"arm": (rare("forgotten", {0: -0.5}), rare("forgotten", {1: -0.4}))}
    (line,) = table_of_differences(facts, pairs, seeds=Seeds(0))
    reach = proportion(1, 36, level=line.level).high
    assert line.estimate == pytest.approx(0.1 / 36)
    assert (line.low, line.high) == pytest.approx((-reach, reach))


def test_only_losses_lie_between_nought_and_one() -> None:
    """Of a column whose numbers may fall below 0 nothing is known beyond what the bootstrap says."""
    facts = [Told(str(i), str(i)) for i in range(36)]
    (line,) = table({("learned", "all"): values_of(facts, rare("learned", {0: -0.5}))}, seeds=Seeds(0))
    assert not line.clear
    assert line.low == -1
