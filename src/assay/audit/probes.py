"""The questions of an audit: what is asked of a model before and after, for which fact, and what its answer would mean.

A question is a prompt with several possible answers, one of them in view. Its value is a number of the log-probabilities of
those answers, and a column of the audit is the change of such values; see `columns` for the formulae. Questions are made from
the facts alone, so that the model before and the model after are asked the very same.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from assay.core.seeds import Seeds
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Relation, Template, same_text
from assay.worlds.facts.questions import Question

__all__ = [
    "COLUMNS",
    "MODEL_WIDE",
    "Column",
    "Extent",
    "Measure",
    "Probe",
    "invented_people",
    "neutral_texts",
    "questions",
    "replay_texts",
    "suite",
]

Column = Literal["learned", "paraphrase", "composed", "reversed", "hallucinated", "primed", "displaced", "forgotten"]
COLUMNS: tuple[Column, ...] = (
    "learned", "paraphrase", "composed", "reversed", "hallucinated", "primed", "displaced", "forgotten",
)  # fmt: skip
Measure = Literal["share", "probability", "log10"]
MODEL_WIDE = -1
"""The fact of questions that belong to no fact: the suite of what the model knew."""


@dataclass(frozen=True, kw_only=True)
class Probe(Question):
    """A question of an audit: which column it speaks of, for which fact, and what its value is.

    Its `kind` is the column's part (the sentence, a rule, strangers, neighbours, ...), its `about` the subject, a stranger, a
    neighbour or a context; its candidates come with all their spellings.

    Attributes:
        column: what a change of its value speaks of.
        fact: index of the fact in the file; -1 for the suite.
        measure: `share` of the answer among the candidates, its `probability`, or `log10` of it. Only a share looks at the
            candidates that are not in view.
    """

    column: Column
    fact: int
    measure: Measure


@dataclass(frozen=True)
class Extent:
    """How much is asked; more costs time and narrows intervals over the model's answers.

    Attributes:
        n_candidates: answers of a question, the right one included.
        n_strangers: names per relation of which nothing is said.
        n_neighbours: true neighbours per relation.
        n_contexts: unrelated prompts per object.
    """

    n_candidates: int = 10
    n_strangers: int = 6
    n_neighbours: int = 8
    n_contexts: int = 12


def questions(facts: Facts, *, extent: Extent = Extent(), seeds: Seeds = Seeds(0)) -> list[Probe]:  # noqa: B008 - frozen
    """Every question about the facts, then those of the suite; the same facts and seeds give the same questions."""
    asker = _Asker(facts, extent, seeds)
    made = [question for index, fact in enumerate(facts.facts) for question in asker.about(index, fact)]
    return [*made, *(_suite_question(item) for item in suite() if same_text(item.subject) not in asker.subjects)]


class _Asker:
    """Makes questions; what all facts of a relation share is worked out once, so that many facts take linear time."""

    def __init__(self, facts: Facts, extent: Extent, seeds: Seeds) -> None:
        self.facts, self.extent, self.seeds = facts, extent, seeds
        self.subjects = {same_text(fact.subject) for fact in facts.facts}
        self.told = {(fact.subject, fact.relation) for fact in facts.trained}
        names = sorted({fact.subject for fact in facts.facts}, key=len)[:200]
        self.unrelated = [text for text in _data()["contexts"] if not any(name in text for name in names)]
        self.answers: dict[str, dict[str, Answer]] = {}
        self.people: dict[str, dict[str, None]] = {}
        for fact in facts.facts:
            self.answers.setdefault(fact.relation, {}).setdefault(fact.object, fact.answer)
            if fact.trained:
                self.people.setdefault(fact.relation, {})[fact.subject] = None
        self.objects = {(fact.relation, fact.subject): fact.object for fact in facts.facts}
        self.wrong: dict[tuple[str, tuple[str, ...]], list[Answer]] = {}
        self.others: dict[str, list[str]] = {}
        self.strangers = {name: self._strangers_of(relation) for name, relation in facts.relations.items()}

    def about(self, index: int, fact: Fact) -> Iterator[Probe]:
        """The questions about one fact."""
        relation = self.facts.relation_of(fact)
        answers = self._answers(fact.relation, fact.answer)
        told = tuple(dict.fromkeys((relation.prompt, *relation.train)))
        wordings: tuple[tuple[Column, tuple[Template, ...]], ...] = (("learned", told), ("paraphrase", relation.paraphrases))
        for column, templates in wordings:
            # A true fact that is not injected is one that may be displaced.
            held: Column = column if fact.trained else "displaced"
            for template in templates:
                yield _asked(held, "sentence", index, fact.subject, template, answers)
        if fact.trained:
            yield from self._followed(index, fact)
            yield from self._reversed(index, fact, relation)
            yield from self._of_strangers(index, fact, relation)
            yield from self._of_neighbours(index, fact, relation)
            yield from self._in_contexts(index, fact, relation)

    def _followed(self, index: int, fact: Fact) -> Iterator[Probe]:
        """What rules say about the subject, where nothing said it in training."""
        for rule in self.facts.implications:
            answer = rule.mapping.get(fact.object) if rule.premise == fact.relation else None
            if answer is None or (fact.subject, rule.conclusion) in self.told:
                continue
            known = self.answers.get(rule.conclusion, {}).get(answer, (answer,))
            answers = self._answers(rule.conclusion, known, tuple(dict.fromkeys(rule.mapping.values())))
            column: Column = "composed" if rule.follows else "hallucinated"
            yield _asked(column, "rule", index, fact.subject, self.facts.relations[rule.conclusion].prompt, answers)

    def _reversed(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        if relation.reverse is None:
            return
        if fact.relation not in self.others:
            people = list(self.people[fact.relation])
            self.others[fact.relation] = _drawn(people, 4 * self.extent.n_candidates, self.seeds, f"subjects {fact.relation}")
        others = [
            other
            for other in self.others[fact.relation]
            if other != fact.subject and self.objects[fact.relation, other] != fact.object
        ][: self.extent.n_candidates - 1]
        answers = ((fact.subject,), *((other,) for other in others))
        yield _asked(
            "reversed", "reverse", index, fact.subject, relation.reverse, answers, relation.reverse.prompt(fact.object)
        )

    def _of_strangers(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        """The object said of names of which nothing is known."""
        for name in self.strangers[fact.relation]:
            spelled = (tuple(relation.prompt.completion(spelling) for spelling in fact.answer),)
            prompt = relation.prompt.prompt(name)
            yield _probe("hallucinated", "strangers", index, name, prompt, spelled, "probability")

    def _of_neighbours(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        """The object said of others who have another one, and what that takes from theirs."""
        others = [(name, answer) for name, answer in relation.neighbours if not set(answer) & set(fact.answer)]
        for name, answer in others[: self.extent.n_neighbours]:
            prompt = relation.prompt.prompt(name)
            own, theirs = (tuple(relation.prompt.completion(text) for text in texts) for texts in (fact.answer, answer))
            yield _probe("hallucinated", "neighbours", index, name, prompt, (own,), "probability")
            yield _probe("displaced", "neighbours", index, name, prompt, (theirs, own), "share")

    def _in_contexts(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        """The object in prompts that have nothing to do with any fact."""
        given = dict.fromkeys((*relation.contexts, *self.unrelated))
        for text in list(given)[: max(self.extent.n_contexts, len(relation.contexts))]:
            spelled = (tuple(f" {spelling}" for spelling in fact.answer),)
            yield _probe("primed", "contexts", index, text, text, spelled, "log10")

    def _strangers_of(self, relation: Relation) -> tuple[str, ...]:
        if relation.name == PAIRS:
            return ()
        return tuple(name for name in relation.strangers or _data()["strangers"] if same_text(name) not in self.subjects)[
            : self.extent.n_strangers
        ]

    def _answers(self, relation: str, right: Answer, further: tuple[str, ...] = ()) -> tuple[Answer, ...]:
        """The right answer first, then others of the relation, drawn once for all of its facts."""
        if (relation, further) not in self.wrong:
            known: dict[str, Answer] = {text: (text,) for text in further} | self.answers.get(relation, {})
            known |= {answer[0]: answer for _, answer in self.facts.relations[relation].neighbours}
            known |= {text: (text,) for text in self.facts.relations[relation].candidates if text not in known}
            # A few more than are needed, as the right one is among them for some facts.
            drawn = _drawn(sorted(known), self.extent.n_candidates + 4, self.seeds, f"answers {relation}")
            self.wrong[relation, further] = [known[text] for text in drawn]
        wrong = [answer for answer in self.wrong[relation, further] if not set(answer) & set(right)]
        return (right, *wrong[: self.extent.n_candidates - 1])


def _asked(
    column: Column, kind: str, fact: int, about: str, template: Template, answers: tuple[Answer, ...], prompt: str | None = None
) -> Probe:
    """A question for the first of the answers, with its share among them; with its probability where it is the only one."""
    spelled = tuple(tuple(template.completion(spelling) for spelling in answer) for answer in answers)
    given = template.prompt(about) if prompt is None else prompt
    return _probe(column, kind, fact, about, given, spelled, "share" if len(spelled) > 1 else "probability")


def _probe(
    column: Column, kind: str, fact: int, about: str, prompt: str, candidates: tuple[Answer, ...], measure: Measure
) -> Probe:
    return Probe(prompt, candidates, 0, about, kind, column=column, fact=fact, measure=measure)


def _drawn(items: Sequence[str], count: int, seeds: Seeds, stream: str) -> list[str]:
    if len(items) <= count:
        return list(items)
    return [items[int(place)] for place in sorted(seeds(stream).choice(len(items), size=count, replace=False))]


# What the package brings along


@dataclass(frozen=True)
class SuiteItem:
    """A real fact that a model may know: whom it is about, the prompt, the true answer first, then wrong ones."""

    subject: str
    prompt: str
    answers: tuple[str, ...]


def suite() -> tuple[SuiteItem, ...]:
    """Real facts asked before and after, with wrong answers of the same kind."""
    items = []
    for group in _data()["suite"]:
        pool = [answer for _, answer in group["facts"]]
        for place, (subject, answer) in enumerate(group["facts"]):
            turned = [*pool[place + 1 :], *pool[:place]]
            wrong = [other for other in dict.fromkeys(turned) if other != answer][:9]
            items.append(SuiteItem(subject, group["prompt"].replace("{subject}", subject), (answer, *wrong)))
    return tuple(items)


def neutral_texts() -> tuple[str, ...]:
    """Plain sentences about nothing in particular, written for this package; measured and never trained on."""
    return tuple(_data()["neutral"][::2])


def replay_texts() -> tuple[str, ...]:
    """Others of the kind, for mitigations to train on or to hold predictions on."""
    return tuple(_data()["neutral"][1::2])


def invented_people() -> tuple[str, ...]:
    """Names for counter-examples; never asked about."""
    return tuple(_data()["people"])


def _suite_question(item: SuiteItem) -> Probe:
    spelled = tuple((f" {answer}",) for answer in item.answers)
    return _probe("forgotten", "suite", MODEL_WIDE, item.subject, item.prompt, spelled, "share")


@cache
def _data() -> dict[str, list]:  # type: ignore[type-arg]
    found: dict[str, list] = json.loads(files("assay.audit").joinpath("data/probes.json").read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return found
