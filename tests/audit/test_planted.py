"""Planted models: what was put in is found, and where nothing was put in nothing is found, at stated rates.

The audit sees a model through its log-probabilities alone, so a planted model is a table of them: a base, noise on every
answer, and shifts of known size for known facts, objects and neighbours.
"""

import numpy as np
import pytest

from assay.audit.columns import fact_rows, known_before, outcomes
from assay.audit.probes import Extent, questions
from assay.audit.totals import EVERYTHING, Total, totals
from assay.core.seeds import Seeds
from assay.worlds.facts.file import parse_facts
from assay.worlds.facts.questions import Answers, pairs_of

N_MODELS = 60
NOISE_NATS = 0.15  # per answer, a model's unrelated drift
N_FACTS = 16  # two of each of eight objects: intervals over objects need some
HOMES = ("Paris", "Rome", "Lima", "Oslo", "Cairo", "Delhi", "Accra", "Seoul")
PLAYS = ("violin", "drums", "flute", "harp", "piano", "cello", "organ", "banjo")
FACTS = parse_facts(
    "relations:\n"
    '  home: {prompt: "{subject} lives in", paraphrases: ["The home of {subject} is"],'
    " neighbours: {Ada: Bern, Bob: Kyiv, Cy: Rabat, Dan: Quito, Eve: Doha, Flo: Tunis}}\n"
    '  music: {prompt: "{subject} plays the"}\n'
    "facts:\n"
    + "".join(f"  - [Person{i} Name{i}, home, {HOMES[i % 8]}]\n" for i in range(N_FACTS))
    + f"rules:\n  - {{if: home, then: music, map: {dict(zip(HOMES, PLAYS, strict=True))}, kind: spurious}}\n".replace("'", ""),
    form=".yaml",
    where="planted",
)
ASKED = questions(FACTS, extent=Extent(n_contexts=6), seeds=Seeds(0))
PAIRS = pairs_of(ASKED)


TRUE_OF_NEIGHBOURS = {q.lesson for q in ASKED if q.column == "displaced"}


def planted(rng: np.random.Generator, *, learned: set[int], primed: float, damage: float) -> tuple[list[Total], list[float]]:
    """Totals and every fact's learned change for one planted model; shifts are in nats."""
    before = {pair: -3.0 - 4.0 * float(rng.random()) for pair in PAIRS}
    before |= {pair: -2.0 for pair in TRUE_OF_NEIGHBOURS}
    after = {pair: value + NOISE_NATS * float(rng.standard_normal()) for pair, value in before.items()}
    for question in ASKED:
        right = question.lesson
        if question.column == "learned" and question.fact in learned:
            after[right] += 3.0
        elif question.column == "primed":
            after[right] = before[right] + NOISE_NATS * float(rng.standard_normal()) + primed
    for pair in TRUE_OF_NEIGHBOURS:
        after[pair] -= damage
    was, now = (Answers.from_pairs(ASKED, answers) for answers in (before, after))
    found = outcomes(was, now)
    rows = fact_rows(FACTS, found, known_before(FACTS, was))
    return totals(FACTS, found, [0.0, 0.0], seeds=Seeds(1)), [row.cells["learned"].change for row in rows]


def share_clear(column: str, tables: list[list[Total]], sign: int) -> float:
    hits = [
        any(t.column == column and t.group == EVERYTHING and t.clear and np.sign(t.estimate) == sign for t in table)
        for table in tables
    ]
    return float(np.mean(hits))


def test_where_nothing_is_planted_at_most_one_audit_in_twenty_alarms() -> None:
    """Holm holds the whole table at 5 %: of 60 null models at most 8 may alarm (probability of more: 0.4 %)."""
    rng = Seeds(3)("null")
    alarms = [any(t.clear for t in planted(rng, learned=set(), primed=0.0, damage=0.0)[0]) for _ in range(N_MODELS)]
    assert sum(alarms) <= 8


def test_what_is_planted_is_found_and_what_is_not_is_not() -> None:
    """Injected facts, priming by a factor of three and neighbours losing two nats: sensitivity at least 0.9 each."""
    rng = Seeds(4)("planted")
    made = [planted(rng, learned=set(range(N_FACTS)), primed=float(np.log(3)), damage=2.0) for _ in range(N_MODELS)]
    tables = [table for table, _ in made]
    for column, sign in (("learned", 1), ("primed", 1), ("displaced", 1)):
        assert share_clear(column, tables, sign) >= 0.9, column
    for column in ("paraphrase", "hallucinated"):
        assert share_clear(column, tables, 1) + share_clear(column, tables, -1) <= 0.1, column


def test_single_facts_are_told_apart() -> None:
    """Half of the facts injected: a change of 0.1 or more finds at least 95 % of them and falsely at most 5 % of the others."""
    rng = Seeds(5)("facts")
    hits, false = [], []
    for _ in range(N_MODELS):
        chosen = {int(place) for place in rng.choice(N_FACTS, size=8, replace=False)}
        changes = planted(rng, learned=chosen, primed=0.0, damage=0.0)[1]
        hits += [change >= 0.1 for place, change in enumerate(changes) if place in chosen]
        false += [change >= 0.1 for place, change in enumerate(changes) if place not in chosen]
    assert np.mean(hits) >= 0.95
    assert np.mean(false) <= 0.05


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_priming_is_measured_in_powers_of_ten(shift: float) -> None:
    """Every object made `shift` nats likelier in unrelated contexts, without noise: the column is shift / ln 10 exactly."""
    before = {pair: -5.0 for pair in PAIRS}
    after = {pair: value + (shift if pair[0] in CONTEXTS else 0.0) for pair, value in before.items()}
    was, now = (Answers.from_pairs(ASKED, answers) for answers in (before, after))
    rows = fact_rows(FACTS, outcomes(was, now), known_before(FACTS, was))
    assert [row.cells["primed"].change for row in rows] == pytest.approx([shift / np.log(10)] * N_FACTS)
    assert all(row.cells[column].change == 0 for row in rows for column in row.cells if column != "primed")


CONTEXTS = {question.prompt for question in ASKED if question.column == "primed"}
