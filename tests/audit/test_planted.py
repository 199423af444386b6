"""Planted models: what was put in is found, and where nothing was put in nothing is found, at stated rates.

The audit sees a model through its log-probabilities alone, so a planted model is a table of them: a base, noise on every
answer, and shifts of known size for known facts, objects and neighbours.
"""

from dataclasses import replace

import numpy as np
import pytest

from assay.audit.columns import questions
from assay.audit.outcomes import Outcome, fact_rows, known_before, outcomes
from assay.audit.probes import Extent
from assay.audit.totals import EVERYTHING, Total, totals
from assay.core.seeds import Seeds
from assay.worlds.facts.file import parse_facts
from assay.worlds.facts.model import Facts
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
    return totals(FACTS, found, seeds=Seeds(1)), [row.cells["learned"].change for row in rows]


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


# What must survive, asked against what was injected

SURVIVORS = tuple(zip(("Ada", "Bob", "Cy", "Dan", "Eve", "Flo", "Gil", "Hal", "Ivo", "Joy", "Kim", "Lea"),
                      ("Bern", "Kyiv", "Rabat", "Quito", "Doha", "Tunis", "Riga", "Hanoi", "Minsk", "Dakar", "Baku", "Praia"),
                      strict=True))  # fmt: skip
INJECTED = "".join(f"  - [Person{i} Name{i}, home, {HOMES[i % 8]}]\n" for i in range(N_FACTS))


def surviving(form: str) -> Facts:
    """The same facts and survivors: as neighbours, as facts that are not trained in one relation or in many, as bare rows."""
    if form == "rows":
        rows = [f"Person{i} Name{i} lives in, {HOMES[i % 8]},true" for i in range(N_FACTS)]
        rows += [f"{name} lives in, {city},false" for name, city in SURVIVORS]
        return parse_facts("prompt,completion,trained\n" + "\n".join(rows), form=".csv", where="planted")
    home = '  home: {prompt: "{subject} lives in"'
    if form == "neighbours":
        named = ", ".join(f"{name}: {city}" for name, city in SURVIVORS)
        text = f"relations:\n{home}, neighbours: {{{named}}}}}\nfacts:\n{INJECTED}"
    else:
        names = ["home"] * len(SURVIVORS) if form == "one relation" else [f"home{place}" for place in range(len(SURVIVORS))]
        text = "relations:\n" + "".join(
            f'  {name}: {{prompt: "{{subject}} lives in"}}\n' for name in {"home": 0} | dict.fromkeys(names)
        )
        text += f"facts:\n{INJECTED}" + "".join(
            f"  - {{subject: {name}, relation: {relation}, object: {city}, trained: false}}\n"
            for relation, (name, city) in zip(names, SURVIVORS, strict=True)
        )
    return parse_facts(text, form=".yaml", where="planted")


def displaced(form: str, moved: int, n_models: int, seeds: Seeds) -> list[Total]:
    """The line of displacement for models in which so many survivors' answers moved to an injected object, with noise."""
    facts = surviving(form)
    asked = questions(facts, extent=Extent(n_contexts=1, n_strangers=1), seeds=Seeds(0))
    pairs, rng = pairs_of(asked), seeds(form)
    true = {f"{name} lives in": f" {city}" for name, city in SURVIVORS}
    found = []
    for _ in range(n_models):
        gone = set(rng.permutation(list(true))[:moved])
        taken = {prompt: f" {HOMES[int(rng.integers(8))]}" for prompt in true}
        before = {pair: -0.7 if true.get(pair[0]) == pair[1] else -4.0 - 3.0 * float(rng.random()) for pair in pairs}
        after = {pair: value + NOISE_NATS * float(rng.standard_normal()) for pair, value in before.items()}
        for prompt, answer in pairs:
            if prompt in gone and answer == true[prompt]:
                after[prompt, answer] = -4.0
            elif prompt in gone and answer == taken[prompt]:
                after[prompt, answer] = -0.7
        outcome = outcomes(Answers.from_pairs(asked, before), Answers.from_pairs(asked, after))
        table = totals(facts, outcome, seeds=Seeds(1))
        found += [one for one in table if (one.column, one.group) == ("displaced", EVERYTHING)]
    return found


FORMS = ("neighbours", "one relation", "a relation each", "rows")


@pytest.mark.parametrize("form", FORMS)
def test_answers_that_moved_to_injected_objects_are_displaced_in_every_form_of_file(form: str) -> None:
    """Eight of twelve survivors now say an injected object: found in at least 90 % of 12 models, and of the right size."""
    found = displaced(form, 8, 12, Seeds(7))
    assert np.mean([one.clear for one in found]) >= 0.9
    assert all(0.4 < one.estimate < 0.7 for one in found)


@pytest.mark.parametrize("form", FORMS)
def test_where_no_answer_moved_nothing_is_displaced(form: str) -> None:
    """At 5 % false alarms at most 3 of 20 models may alarm (probability of more: 1.6 %); losses below 0.1 do not count."""
    found = displaced(form, 0, 20, Seeds(8))
    assert sum(one.clear for one in found) <= 3
    assert np.mean([one.estimate for one in found]) < 0.01


def test_gains_do_not_pay_for_losses() -> None:
    """One survivor loses 0.6 and one gains 0.6: the column is their mean loss, 0.3."""
    probe = [question for question in ASKED if question.kind == "kept"][:2]
    rows = [[[np.log(0.9), np.log(0.1)], [np.log(0.3), np.log(0.7)]], [[np.log(0.3), np.log(0.7)], [np.log(0.9), np.log(0.1)]]]
    two = [replace(one, candidates=one.candidates[:2]) for one in probe]
    lost, gained = (
        Outcome(question, float(np.exp(was[0])), float(np.exp(now[0]))) for question, (was, now) in zip(two, rows, strict=True)
    )
    assert (lost.change, gained.change) == (pytest.approx(0.6), 0.0)
    (counted,) = outcomes(*(Answers.of(two, [pair[side] for pair in rows]) for side in (0, 1)))
    assert counted.question == two[0]
    assert counted.change == pytest.approx(0.6)


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
