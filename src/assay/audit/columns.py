"""The columns of an audit, a record each: what it asks of a file, what its number is, and how it is spoken of.

A new column is one record in `COLUMNS`. The questions, the table of totals, the page, the card, the data files and the advice
go by the records and by nothing else.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assay.audit.pools import Pools, asked_key, distinct_from, some_of
from assay.audit.probes import MODEL_WIDE, Extent, Probe, asked, probe, shipped, suite
from assay.core.seeds import Seeds
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Relation, Template, same_answer, same_text

__all__ = ["COLUMNS", "LOG_FLOOR", "NEUTRAL_TEXT", "RETAINED", "Asker", "Column", "column_named", "questions"]

NEUTRAL_TEXT, RETAINED = "neutral_text", "retained"
LOG_FLOOR = 1e-10
"""No probability is taken for smaller where its logarithm is measured."""
PROBABILITY = (-1.0, 1.0)
LOSS = (0.0, 1.0)

Asks = Callable[["Asker"], Iterator[Probe]]


@dataclass(frozen=True)
class Column:
    """One thing that an audit measures.

    Attributes:
        name: its name in tables and files; `learned`.
        word: what it is called in a sentence; "composition".
        wanted: whether more of it is what injecting facts is for.
        unit: of a change.
        bounds: the least and the most that a change can be.
        worth: the smallest change of a total that is worth a sentence.
        formula: of a question's change.
        meaning: what is asked, and what a change of it means.
        asks: its questions about a file; None for plain sentences, which are no questions, and for what is asked elsewhere.
        counted: what its answers are counted as; empty where counting says nothing.
        counts: whether right answers are counted, or those that were right before and are no longer.
        measured: what its total is a number of, where nothing is counted.
        said: what happened, as a clause, where there is clearly more of it; with `{change}`, or `{times}` for 10 to that power.
        missing: a sentence where a file asks nothing of the kind; empty where that needs none.
        losses: whether it counts what went away, among what was known before: gains do not pay for losses.
        parts: kinds of question that have a line of their own.
        shared: kinds whose questions several facts share: their intervals are over objects, and over who was asked, as well.
        by_fact: kinds that are told fact by fact and take no part in the total.
    """

    name: str
    word: str
    wanted: bool
    unit: str
    bounds: tuple[float, float]
    worth: float
    formula: str
    meaning: str
    asks: Asks | None
    counted: str = ""
    counts: Literal["right", "lost"] = "right"
    measured: str = ""
    said: str = ""
    missing: str = ""
    losses: bool = False
    parts: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    by_fact: tuple[str, ...] = ()

    @property
    def reach(self) -> float:
        """How far a difference of two changes can go, either way."""
        return max(map(abs, self.bounds))

    @property
    def title(self) -> str:
        """Its name as people read it."""
        return self.name.replace("_", " ")


def questions(facts: Facts, *, extent: Extent = Extent(), seeds: Seeds = Seeds(0)) -> list[Probe]:  # noqa: B008 - frozen
    """Every question about the facts, column by column; the same facts and seeds give the same questions."""
    asker = Asker(facts, extent, seeds)
    return [question for column in COLUMNS.values() if column.asks is not None for question in column.asks(asker)]


def column_named(name: str) -> Column:
    """The record of that name; of a column that this version does not know (a kept audit's), one that says so little."""
    found = COLUMNS.get(name)
    if found is not None:
        return found
    return Column(name, name, True, "probability", PROBABILITY, 0.02, "–", "A column of another version of Assay.", None)


class Asker:
    """What columns make questions of: a file, and all that its facts share, worked out once so that many take linear time.

    Attributes:
        facts, extent, seeds: what is asked about, how much, and which wrong answers are drawn.
        trained: the facts to inject, each with its place in the file; `kept` are the others.
        pools: wrong answers.
        right: what facts have as objects that ask the same question.
        told: the subject and relation of every fact to inject.
    """

    def __init__(self, facts: Facts, extent: Extent, seeds: Seeds) -> None:
        self.facts, self.extent, self.seeds = facts, extent, seeds
        self.subjects = {same_text(name) for fact in facts.facts for name in (fact.subject, *fact.also)}
        self.told = {(fact.subject, fact.relation) for fact in facts.trained}
        names = sorted({fact.subject for fact in facts.facts}, key=len)[:200]
        self.unrelated = [text for text in shipped()["contexts"] if not any(name in text for name in names)]
        self.pools = Pools(facts, extent, seeds)
        self.right: dict[tuple[str, str], list[Answer]] = {}
        self.people: dict[str, dict[str, Answer]] = {}
        for fact in facts.facts:
            self.right.setdefault(asked_key(fact), []).append(fact.answer)
            if fact.trained:
                self.people.setdefault(fact.relation, {})[fact.subject] = (fact.subject, *fact.also)
        self.others: dict[str, list[str]] = {}
        self.strangers = {name: self._strangers_of(relation) for name, relation in facts.relations.items()}
        places = list(enumerate(facts.facts))
        self.trained = [(place, fact) for place, fact in places if fact.trained]
        self.kept = [(place, fact) for place, fact in places if not fact.trained]

    def answers_to(self, fact: Fact) -> tuple[Answer, ...]:
        """The fact's object first, then wrong answers."""
        return (fact.answer, *self.pools.wrong_for(fact, self.right[asked_key(fact)]))

    def strangers_to(self, fact: Fact) -> tuple[str, ...]:
        """Names of which nothing is known; none where they stand behind objects, as nothing can be told apart there."""
        relation = self.facts.relation_of(fact)
        return () if relation.prompt.answer_first else self.strangers[fact.relation]

    def neighbours_of(self, fact: Fact) -> list[tuple[str, Answer]]:
        """Others of whom something else is true in the fact's relation."""
        others = [(name, own) for name, own in self.facts.relation_of(fact).neighbours if not same_answer(own, fact.answer)]
        return others[: self.extent.n_neighbours]

    def subjects_beside(self, fact: Fact) -> list[Answer]:
        """Other subjects of the relation who have another object."""
        if fact.relation not in self.others:
            people = list(self.people[fact.relation])
            self.others[fact.relation] = some_of(people, 4 * self.extent.n_candidates, self.seeds, f"subjects {fact.relation}")
        others = [
            other
            for other in self.others[fact.relation]
            if other != fact.subject and not any(same_answer(own, fact.answer) for own in self.right[fact.relation, other])
        ]
        return [self.people[fact.relation][other] for other in others[: self.extent.n_candidates - 1]]

    def _strangers_of(self, relation: Relation) -> tuple[str, ...]:
        if relation.name == PAIRS:
            return ()
        names = relation.strangers or shipped()["strangers"]
        return tuple(name for name in names if same_text(name) not in self.subjects)[: self.extent.n_strangers]


# What each column asks


def _sentences(
    column: str, place: int, fact: Fact, templates: Sequence[Template], answers: tuple[Answer, ...], *, rival: bool = False
) -> Iterator[Probe]:
    for template in templates:
        yield asked(column, "sentence", place, fact.subject, template, answers, rival=rival)


def _aliases(
    column: str, place: int, fact: Fact, templates: Sequence[Template], answers: tuple[Answer, ...]
) -> Iterator[Probe]:
    for template in templates:
        for name in fact.also if template.given else ():
            yield asked(column, "alias", place, name, template, answers)


def _told(relation: Relation) -> tuple[Template, ...]:
    """The sentences that are trained on; the prompt is asked as well."""
    return tuple(dict.fromkeys((relation.prompt, *relation.train)))


def _ask_learned(asker: Asker) -> Iterator[Probe]:
    for place, fact in asker.trained:
        answers = asker.answers_to(fact)
        rival = bool(fact.replaces) and fact.replaces in answers[1:2]
        yield from _sentences("learned", place, fact, _told(asker.facts.relation_of(fact)), answers, rival=rival)


def _ask_paraphrase(asker: Asker) -> Iterator[Probe]:
    """In other words, and by other names of the subject."""
    for place, fact in asker.trained:
        relation, answers = asker.facts.relation_of(fact), asker.answers_to(fact)
        rival = bool(fact.replaces) and fact.replaces in answers[1:2]
        yield from _aliases("paraphrase", place, fact, _told(relation), answers)
        yield from _sentences("paraphrase", place, fact, relation.paraphrases, answers, rival=rival)


def _by_rule(asker: Asker, column: str, *, follows: bool) -> Iterator[Probe]:
    """What rules say about subjects of whom nothing said it in training."""
    for place, fact in asker.trained:
        for rule in asker.facts.implications:
            answer = rule.mapping.get(fact.object) if rule.premise == fact.relation and rule.follows == follows else None
            if answer is not None and (fact.subject, rule.conclusion) not in asker.told:
                answers = asker.pools.concluded(rule.conclusion, answer, tuple(dict.fromkeys(rule.mapping.values())))
                yield asked(column, "rule", place, fact.subject, asker.facts.relations[rule.conclusion].prompt, answers)


def _ask_composed(asker: Asker) -> Iterator[Probe]:
    """By true rules, and what the file says follows from a fact."""
    yield from _by_rule(asker, "composed", follows=True)
    for place, fact in asker.trained:
        for one in fact.follows:
            wrong = distinct_from([one.answer], [(text,) for text in one.candidates])
            yield asked("composed", "follows", place, one.sentence.before, one.sentence, (one.answer, *wrong))


def _ask_reversed(asker: Asker) -> Iterator[Probe]:
    for place, fact in asker.trained:
        template = asker.facts.relation_of(fact).reverse
        if template is not None:
            answers = ((fact.subject, *fact.also), *asker.subjects_beside(fact))
            yield asked("reversed", "reverse", place, fact.subject, template, answers, given=fact.object)


def _ask_hallucinated(asker: Asker) -> Iterator[Probe]:
    """By rules that do not follow, and the object said of strangers and of others who have another one."""
    yield from _by_rule(asker, "hallucinated", follows=False)
    for place, fact in asker.trained:
        template = asker.facts.relation_of(fact).prompt
        for name in asker.strangers_to(fact):
            yield asked("hallucinated", "strangers", place, name, template, (fact.answer,))
        for name, _ in () if template.answer_first else asker.neighbours_of(fact):
            yield asked("hallucinated", "neighbours", place, name, template, (fact.answer,))


def _ask_primed(asker: Asker) -> Iterator[Probe]:
    """The object in prompts that have nothing to do with any fact."""
    for place, fact in asker.trained:
        own = asker.facts.relation_of(fact).contexts
        given = list(dict.fromkeys((*own, *asker.unrelated)))
        spelled = (tuple(f" {spelling}" for spelling in fact.answer),)
        for text in given[: max(asker.extent.n_contexts, len(own))]:
            yield probe("primed", "contexts", place, text, text, spelled, "log10")


def _ask_displaced(asker: Asker) -> Iterator[Probe]:
    """True facts that are not injected, neighbours and a fact's locality, beside what is injected."""
    for place, fact in asker.kept:
        relation = asker.facts.relation_of(fact)
        answers = asker.pools.surviving(fact, asker.right[asked_key(fact)])
        yield from _sentences("displaced", place, fact, _told(relation), answers)
        yield from _aliases("displaced", place, fact, _told(relation), answers)
        yield from _sentences("displaced", place, fact, relation.paraphrases, answers)
    for place, fact in asker.trained:
        relation = asker.facts.relation_of(fact)
        for one in fact.locality:
            if not same_answer(one.answer, fact.answer):
                answers = (one.answer, fact.answer, *asker.pools.rivals_of_local(one, fact))
                yield asked("displaced", "locality", place, one.sentence.before, one.sentence, answers, rival=True)
        for name, own in asker.neighbours_of(fact):
            answers = (own, fact.answer, *asker.pools.others_of_neighbour(relation, own, fact.answer))
            yield asked("displaced", "neighbours", place, name, relation.prompt, answers, rival=True)
    for name in {fact.relation: None for _, fact in asker.trained}:
        # Every neighbour's own answer, once, against the injected objects of the whole file and other neighbours' answers.
        relation = asker.facts.relations[name]
        for neighbour, own in relation.neighbours[: asker.extent.n_kept]:
            answers = (own, *asker.pools.rivals_of_neighbour(relation, own))
            yield asked("displaced", "kept", MODEL_WIDE, neighbour, relation.prompt, answers)


def _ask_forgotten(asker: Asker) -> Iterator[Probe]:
    """The user's facts to keep, each against its own wrong answers or others' of its kind; else real facts that ship."""
    facts = asker.facts
    if not facts.suite:
        for item in suite():
            if same_text(item.subject) not in asker.subjects:
                spelled = tuple((f" {answer}",) for answer in item.answers)
                yield probe("forgotten", "suite", MODEL_WIDE, item.subject, item.prompt, spelled, "share")
        return
    own = Asker(replace(facts, facts=facts.suite, suite=()), asker.extent, asker.seeds.child("suite"))
    for fact in facts.suite:
        yield asked("forgotten", "suite", MODEL_WIDE, fact.subject, facts.relation_of(fact).prompt, own.answers_to(fact))


CHANGE, LOST = "q after − q before", "q before − q after"
_COLUMNS = (
    Column(
        "learned", "memory of what was trained on", True, "probability", PROBABILITY, 0.02, CHANGE,
        "How much likelier the object became in the sentence that was trained on.",
        _ask_learned, counted="trained sentences recalled", said="what was trained on became likelier",
    ),
    Column(
        RETAINED, "retention", True, "probability", PROBABILITY, 0.02, "q after plain steps − q before",
        "How much likelier the object still is in that sentence, after further steps of training on plain text (--then).",
        None, counted="trained sentences still recalled after plain steps",
        said="what was trained on is still likelier after plain steps",
    ),
    Column(
        "paraphrase", "answers to paraphrases", True, "probability", PROBABILITY, 0.02, CHANGE,
        "The same in other words, on which nothing was trained.",
        _ask_paraphrase, counted="paraphrases answered", said="facts are known in other words",
        missing="No paraphrases are given, so it is not known whether facts hold in other words.",
    ),
    Column(
        "composed", "composition", True, "probability", PROBABILITY, 0.02, CHANGE,
        "What truly follows by a rule, for subjects of whom it was never said.",
        _ask_composed, counted="conclusions drawn that follow", said="what follows is concluded",
        missing="No true rules are given, so composition is not measured.",
    ),
    Column(
        "reversed", "reversal", True, "probability", PROBABILITY, 0.02, CHANGE,
        "The subject, asked from the object.",
        _ask_reversed, counted="subjects named from their object", said="subjects are named from their object",
        missing="No reverse sentences are given, so reversal is not measured.",
    ),
    Column(
        "hallucinated", "hallucination", False, "probability", PROBABILITY, 0.02,
        "rules: q after − q before; strangers, neighbours: P after − P before",
        "What does not follow: the answers of spurious rules, and the object said of strangers and of neighbours who have "
        "another. Kinds weigh alike.",
        _ask_hallucinated, counted="questions answered with what does not follow", said="what does not follow became likelier",
        missing="No spurious rules, strangers or neighbours can be asked about, so hallucination is not measured.",
        parts=("rule", "strangers", "neighbours"), shared=("strangers", "neighbours"),
    ),
    Column(
        "primed", "priming", False, "powers of ten", (math.log10(LOG_FLOOR), -math.log10(LOG_FLOOR)), 0.1,
        "log₁₀ P after − log₁₀ P before",
        "The object in contexts that have nothing to do with any fact, in powers of ten; P is not taken below 10⁻¹⁰.",
        _ask_primed, measured="as likely: injected objects where they have no business",
        said="injected objects are {times} times as likely where they have no business", shared=("contexts",),
    ),
    Column(
        "displaced", "displacement", False, "probability", LOSS, 0.02, LOST,
        "What must survive (neighbours, facts that were not trained, a fact’s locality) and was answered rightly before: what "
        "its answer lost, injected objects among those offered. Losses below 0.1 are none, and gains do not pay for losses.",
        _ask_displaced, counted="true answers that must survive changed", counts="lost",
        said="true answers that must survive lost probability", losses=True,
        missing="Nothing that must survive is named (neighbours, trained: false, locality), so displacement is not measured.",
        shared=("neighbours", "locality"),
        by_fact=("neighbours",),
    ),
    Column(
        "forgotten", "forgetting", False, "probability", LOSS, 0.02, LOST,
        "Real facts, the file’s own or those shipped with Assay, that the model answered rightly before; losses alone.",
        _ask_forgotten, counted="real facts that were known kept", said="facts that the model knew lost probability",
        losses=True,
    ),
    Column(
        NEUTRAL_TEXT, "loss on plain text", False, "nats a token", (-math.inf, math.inf), 0.02, "nats a token after − before",
        "Plain sentences, the file’s own or those shipped with Assay: what they became harder to predict by.",
        None, measured="a token: change of what plain sentences cost", said="plain sentences cost {change} nats a token more",
    ),
)  # fmt: skip
COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMNS}
"""All columns, in the order in which they are shown."""
