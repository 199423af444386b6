"""The questions of an audit: what is asked of a model before and after, for which fact, and what its answer would mean.

A question is a prompt with several possible answers, one of them in view. Its value is a number of the log-probabilities of
those answers, and a column of the audit is the change of such values; see `columns` for the formulae. Questions are made from
the facts alone, so that the model before and the model after are asked the very same.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal

from assay.core.seeds import Seeds
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Other, Relation, Template, same_answer, same_text
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
        rival: whether the candidate behind the right one has a part of its own: the old answer of an edit, or, where something
            must survive a fact, that fact's object. Benchmarks of editing compare the two.
    """

    column: Column
    fact: int
    measure: Measure
    rival: bool = False


@dataclass(frozen=True)
class Extent:
    """How much is asked; more costs time and narrows intervals over the model's answers.

    Attributes:
        n_candidates: answers of a question, the right one included.
        n_strangers: names per relation of which nothing is said.
        n_neighbours: true neighbours per relation.
        n_contexts: unrelated prompts per object.
        n_injected: injected objects of the whole file that are offered where something must survive.
        n_injected_locally: the same for what must survive one fact, beside that fact's own object.
        n_kept: neighbours per relation that are asked once against all of those.
    """

    n_candidates: int = 10
    n_strangers: int = 6
    n_neighbours: int = 8
    n_contexts: int = 12
    n_injected: int = 32
    n_injected_locally: int = 8
    n_kept: int = 60


def questions(facts: Facts, *, extent: Extent = Extent(), seeds: Seeds = Seeds(0)) -> list[Probe]:  # noqa: B008 - frozen
    """Every question about the facts, then those of the suite; the same facts and seeds give the same questions."""
    asker = _Asker(facts, extent, seeds)
    made = [question for index, fact in enumerate(facts.facts) for question in asker.about(index, fact)]
    made += asker.kept()
    if facts.suite:
        return [*made, *_own_suite(facts, extent, seeds)]
    return [*made, *(_suite_question(item) for item in suite() if same_text(item.subject) not in asker.subjects)]


class _Asker:
    """Makes questions; what all facts of a relation share is worked out once, so that many facts take linear time."""

    def __init__(self, facts: Facts, extent: Extent, seeds: Seeds) -> None:
        self.facts, self.extent, self.seeds = facts, extent, seeds
        self.subjects = {same_text(name) for fact in facts.facts for name in (fact.subject, *fact.also)}
        self.told = {(fact.subject, fact.relation) for fact in facts.trained}
        names = sorted({fact.subject for fact in facts.facts}, key=len)[:200]
        self.unrelated = [text for text in _data()["contexts"] if not any(name in text for name in names)]
        self.pools = _Pools(facts, extent, seeds)
        self.people: dict[str, dict[str, Answer]] = {}
        self.objects: dict[tuple[str, str], list[Answer]] = {}
        for fact in facts.facts:
            self.objects.setdefault(_asked_key(fact), []).append(fact.answer)
            if fact.trained:
                self.people.setdefault(fact.relation, {})[fact.subject] = (fact.subject, *fact.also)
        self.others: dict[str, list[str]] = {}
        self.strangers = {name: self._strangers_of(relation) for name, relation in facts.relations.items()}

    def about(self, index: int, fact: Fact) -> Iterator[Probe]:
        """The questions about one fact."""
        relation = self.facts.relation_of(fact)
        told = tuple(dict.fromkeys((relation.prompt, *relation.train)))
        right = self.objects[_asked_key(fact)]
        if fact.trained:
            answers = (fact.answer, *self.pools.wrong_for(fact, right))
            rival = bool(fact.replaces) and answers[1] == fact.replaces
        else:  # a true fact that is not injected may be displaced by those that are
            answers, rival = self.pools.surviving(fact, right), False
        wordings: tuple[tuple[Column, tuple[Template, ...]], ...] = (("learned", told), ("paraphrase", relation.paraphrases))
        for column, templates in wordings:
            held: Column = column if fact.trained else "displaced"
            for template in templates:
                yield _asked(held, "sentence", index, fact.subject, template, answers, rival=rival)
                if column == "learned":
                    for name in fact.also if template.given else ():
                        other: Column = "paraphrase" if fact.trained else "displaced"
                        yield _asked(other, "alias", index, name, template, answers, rival=rival)
        if fact.trained:
            yield from self._followed(index, fact)
            yield from self._stated(index, fact)
            yield from self._reversed(index, fact, relation)
            yield from self._of_strangers(index, fact, relation)
            yield from self._of_neighbours(index, fact, relation)
            yield from self._in_contexts(index, fact, relation)

    def kept(self) -> Iterator[Probe]:
        """Every neighbour's own answer, once, against the injected objects of the whole file and other neighbours' answers."""
        for name in {fact.relation: None for fact in self.facts.trained}:
            relation = self.facts.relations[name]
            for neighbour, answer in relation.neighbours[: self.extent.n_kept]:
                answers = (answer, *self.pools.rivals_of_neighbour(relation, answer))
                yield _asked("displaced", "kept", MODEL_WIDE, neighbour, relation.prompt, answers)

    def _followed(self, index: int, fact: Fact) -> Iterator[Probe]:
        """What rules say about the subject, where nothing said it in training."""
        for rule in self.facts.implications:
            answer = rule.mapping.get(fact.object) if rule.premise == fact.relation else None
            if answer is None or (fact.subject, rule.conclusion) in self.told:
                continue
            answers = self.pools.concluded(rule.conclusion, answer, tuple(dict.fromkeys(rule.mapping.values())))
            column: Column = "composed" if rule.follows else "hallucinated"
            yield _asked(column, "rule", index, fact.subject, self.facts.relations[rule.conclusion].prompt, answers)

    def _stated(self, index: int, fact: Fact) -> Iterator[Probe]:
        """What the file says of other things: what truly follows from the fact, and what must survive it."""
        for one in fact.follows:
            yield _asked("composed", "follows", index, one.sentence.before, one.sentence, (one.answer, *_wrong_of(one)))
        for one in fact.locality:
            if not same_answer(one.answer, fact.answer):
                answers = (one.answer, fact.answer, *self.pools.rivals_of_local(one, fact))
                yield _asked("displaced", "locality", index, one.sentence.before, one.sentence, answers, rival=True)

    def _reversed(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        if relation.reverse is None:
            return
        if fact.relation not in self.others:
            people = list(self.people[fact.relation])
            self.others[fact.relation] = _drawn(people, 4 * self.extent.n_candidates, self.seeds, f"subjects {fact.relation}")
        others = [
            other
            for other in self.others[fact.relation]
            if other != fact.subject
            and not any(same_answer(theirs, fact.answer) for theirs in self.objects[fact.relation, other])
        ][: self.extent.n_candidates - 1]
        answers = ((fact.subject, *fact.also), *(self.people[fact.relation][other] for other in others))
        yield _asked("reversed", "reverse", index, fact.subject, relation.reverse, answers, given=fact.object)

    def _of_strangers(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        """The object said of names of which nothing is known; where names stand behind objects, it cannot be told apart."""
        for name in self.strangers[fact.relation] if not relation.prompt.answer_first else ():
            yield _asked("hallucinated", "strangers", index, name, relation.prompt, (fact.answer,))

    def _of_neighbours(self, index: int, fact: Fact, relation: Relation) -> Iterator[Probe]:
        """The object said of others who have another one, and what that takes from theirs."""
        others = [(name, answer) for name, answer in relation.neighbours if not same_answer(answer, fact.answer)]
        for name, answer in others[: self.extent.n_neighbours]:
            if not relation.prompt.answer_first:
                yield _asked("hallucinated", "neighbours", index, name, relation.prompt, (fact.answer,))
            answers = (answer, fact.answer, *self.pools.others_of_neighbour(relation, answer, fact.answer))
            yield _asked("displaced", "neighbours", index, name, relation.prompt, answers, rival=True)

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


class _Pools:
    """Wrong answers: a question's own, or drawn once for all questions of a kind, and the injected objects of a file."""

    def __init__(self, facts: Facts, extent: Extent, seeds: Seeds) -> None:
        self.facts, self.extent, self.seeds = facts, extent, seeds
        self.known: dict[str, dict[str, Answer]] = {}
        for fact in facts.facts:
            for kind in _kinds(fact):
                self.known.setdefault(kind, {}).setdefault(fact.object, fact.answer)
        objects = {fact.object: fact.answer for fact in facts.trained}
        self.injected = [objects[text] for text in _drawn(sorted(objects), extent.n_injected, seeds, "injected objects")]
        local = {one.answer[0]: one.answer for fact in facts.facts for one in fact.locality}
        self.local = [local[text] for text in _drawn(sorted(local), extent.n_candidates, seeds, "local answers")]
        self.drawn: dict[tuple[str, tuple[str, ...]], list[Answer]] = {}

    def wrong_for(self, fact: Fact, right: Sequence[Answer]) -> list[Answer]:
        """Wrong answers to a fact: the one that it replaces, then its own, or else others' of its kind."""
        first = [fact.replaces] if fact.replaces else []
        drawn = [(text,) for text in fact.candidates] or self._drawn_for(fact)
        return _distinct_from(right, [*first, *drawn])[: self.extent.n_candidates - 1]

    def surviving(self, fact: Fact, right: Sequence[Answer]) -> tuple[Answer, ...]:
        """Answers to what must survive: its own rivals, and the injected objects of the whole file.

        These are the same for every question of the file, so that it is one whether facts stand in one relation or in many.
        """
        own = [(text,) for text in fact.candidates] or self._drawn_for(fact)
        return (fact.answer, *_distinct_from(right, [*own[: self.extent.n_candidates - 1], *self.injected]))

    def others_of_neighbour(self, relation: Relation, *taken: Answer) -> list[Answer]:
        """What else might be said of a neighbour: other neighbours' answers, and the relation's candidates."""
        others = [*(answer for _, answer in relation.neighbours), *((text,) for text in relation.candidates)]
        return _distinct_from(taken, others[: 4 * self.extent.n_candidates])[: self.extent.n_candidates - 2]

    def rivals_of_neighbour(self, relation: Relation, theirs: Answer) -> list[Answer]:
        """The same, and the injected objects of the whole file."""
        return _distinct_from([theirs], [*self.others_of_neighbour(relation, theirs), *self.injected])

    def rivals_of_local(self, one: Other, fact: Fact) -> list[Answer]:
        """Wrong answers to what must survive one fact, beside its object: its own, or right elsewhere, and injected ones."""
        own = [(text,) for text in one.candidates] or self.local[: self.extent.n_candidates]
        return _distinct_from([one.answer, fact.answer], [*own, *self.injected[: self.extent.n_injected_locally]])

    def concluded(self, relation: str, answer: str, further: tuple[str, ...]) -> tuple[Answer, ...]:
        """What a rule says first, then what else may be said in its relation."""
        known = self.known.get(relation, {}).get(answer, (answer,))
        return (known, *_distinct_from([known], self._drawn(relation, further))[: self.extent.n_candidates - 1])

    def _drawn_for(self, fact: Fact) -> list[Answer]:
        """Others' answers of the fact's kind; of all bare prompts where its kind has too few."""
        for kind in _kinds(fact):
            if len(self.known.get(kind, ())) > ENOUGH_OF_A_KIND or kind == fact.relation:
                return self._drawn(kind, ())
        return self._drawn(fact.relation, ())

    def _drawn(self, kind: str, further: tuple[str, ...]) -> list[Answer]:
        if (kind, further) not in self.drawn:
            known: dict[str, Answer] = {text: (text,) for text in further} | self.known.get(kind, {})
            if kind in self.facts.relations:
                known |= {answer[0]: answer for _, answer in self.facts.relations[kind].neighbours}
                known |= {text: (text,) for text in self.facts.relations[kind].candidates if text not in known}
            # A few more than are needed, as the right one is among them for some facts.
            drawn = _drawn(sorted(known), self.extent.n_candidates + 4, self.seeds, f"answers {kind}")
            self.drawn[kind, further] = [known[text] for text in drawn]
        return self.drawn[kind, further]


ENOUGH_OF_A_KIND = 3


def _kinds(fact: Fact) -> tuple[str, ...]:
    """The kinds that a fact's answer belongs to, the narrowest first: what its row says, or its form, then the relation."""
    if fact.relation != PAIRS:
        return (fact.relation,)
    if fact.kind:
        return (f"{PAIRS}, kind {fact.kind}", PAIRS)
    return (f"{PAIRS}, {_form(fact.object)}", PAIRS)


def _form(text: str) -> str:
    """A coarse form of an answer, so that numbers are compared with numbers and sentences with sentences."""
    words = text.split()
    if len(words) > 8:
        return "sentence"
    if text.casefold().strip(".") in ("yes", "no", "true", "false"):
        return "yes or no"
    if words and words[0].lstrip("$€£-+(")[:1].isdigit():
        return "number"
    return "name" if text[:1].isupper() or not text[:1].islower() else "words"


def _asked_key(fact: Fact) -> tuple[str, str]:
    """What facts share that answer the same question."""
    if fact.relation == PAIRS and fact.own is not None:
        return PAIRS, fact.own.prompt.before
    return fact.relation, fact.subject


def _distinct_from(right: Sequence[Answer], others: Sequence[Answer]) -> list[Answer]:
    """The other answers that are none of the right ones, each once."""
    found: list[Answer] = []
    for answer in others:
        if not any(same_answer(answer, one) for one in (*right, *found)):
            found.append(answer)
    return found


def _wrong_of(one: Other, *also_known: Answer) -> list[Answer]:
    return _distinct_from([one.answer, *also_known], [(text,) for text in one.candidates])


def _asked(
    column: Column,
    kind: str,
    fact: int,
    about: str,
    template: Template,
    answers: Sequence[Answer],
    *,
    given: str | None = None,
    rival: bool = False,
) -> Probe:
    """A question for the first of the answers, with its share among them; with its probability where it is the only one.

    The template is about `about`, or about what is `given` where that is another name.
    """
    name = about if given is None else given
    spelled = tuple(tuple(template.completion(spelling, name) for spelling in answer) for answer in answers)
    measure: Measure = "share" if len(spelled) > 1 else "probability"
    return _probe(column, kind, fact, about, template.prompt(name), spelled, measure, rival=rival and len(spelled) > 1)


def _probe(
    column: Column,
    kind: str,
    fact: int,
    about: str,
    prompt: str,
    candidates: tuple[Answer, ...],
    measure: Measure,
    *,
    rival: bool = False,
) -> Probe:
    return Probe(prompt, candidates, 0, about, kind, column=column, fact=fact, measure=measure, rival=rival)


def _drawn(items: Sequence[str], count: int, seeds: Seeds, stream: str) -> list[str]:
    if len(items) <= count:
        return list(items)
    return [items[int(place)] for place in sorted(seeds(stream).choice(len(items), size=count, replace=False))]


def _own_suite(facts: Facts, extent: Extent, seeds: Seeds) -> Iterator[Probe]:
    """The user's facts to keep, each against its own wrong answers or others' of its kind."""
    whole = replace(facts, facts=facts.suite)
    pools = _Pools(whole, extent, seeds.child("suite"))
    right: dict[tuple[str, str], list[Answer]] = {}
    for fact in facts.suite:
        right.setdefault(_asked_key(fact), []).append(fact.answer)
    for fact in facts.suite:
        answers = (fact.answer, *pools.wrong_for(fact, right[_asked_key(fact)]))
        template = facts.relation_of(fact).prompt
        yield _asked("forgotten", "suite", MODEL_WIDE, fact.subject, template, answers)


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
