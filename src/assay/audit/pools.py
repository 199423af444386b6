"""Wrong answers: a question's own, or drawn once for all questions of a kind, and the injected objects of a file."""

from collections.abc import Sequence

from assay.audit.probes import Extent
from assay.core.seeds import Seeds
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Other, Relation, same_answer

__all__ = ["Pools", "asked_key", "distinct_from", "some_of"]

ENOUGH_OF_A_KIND = 3


class Pools:
    """The wrong answers of one file, drawn once for all of its questions."""

    def __init__(self, facts: Facts, extent: Extent, seeds: Seeds) -> None:
        self.facts, self.extent, self.seeds = facts, extent, seeds
        self.known: dict[str, dict[str, Answer]] = {}
        for fact in facts.facts:
            for kind in _kinds(fact):
                self.known.setdefault(kind, {}).setdefault(fact.object, fact.answer)
        objects = {fact.object: fact.answer for fact in facts.trained}
        self.injected = [objects[text] for text in some_of(sorted(objects), extent.n_injected, seeds, "injected objects")]
        local = {one.answer[0]: one.answer for fact in facts.facts for one in fact.locality}
        self.local = [local[text] for text in some_of(sorted(local), extent.n_candidates, seeds, "local answers")]
        self.drawn: dict[tuple[str, tuple[str, ...]], list[Answer]] = {}

    def wrong_for(self, fact: Fact, right: Sequence[Answer]) -> list[Answer]:
        """Wrong answers to a fact: the one that it replaces, then its own, or else others' of its kind."""
        first = [fact.replaces] if fact.replaces else []
        drawn = [(text,) for text in fact.candidates] or self._drawn_for(fact)
        return distinct_from(right, [*first, *drawn])[: self.extent.n_candidates - 1]

    def surviving(self, fact: Fact, right: Sequence[Answer]) -> tuple[Answer, ...]:
        """Answers to what must survive: its own rivals, and the injected objects of the whole file.

        These are the same for every question of the file, so that it is one whether facts stand in one relation or in many.
        """
        own = [(text,) for text in fact.candidates] or self._drawn_for(fact)
        return (fact.answer, *distinct_from(right, [*own[: self.extent.n_candidates - 1], *self.injected]))

    def others_of_neighbour(self, relation: Relation, *taken: Answer) -> list[Answer]:
        """What else might be said of a neighbour: other neighbours' answers, and the relation's candidates."""
        others = [*(answer for _, answer in relation.neighbours), *((text,) for text in relation.candidates)]
        return distinct_from(taken, others[: 4 * self.extent.n_candidates])[: self.extent.n_candidates - 2]

    def rivals_of_neighbour(self, relation: Relation, theirs: Answer) -> list[Answer]:
        """The same, and the injected objects of the whole file."""
        return distinct_from([theirs], [*self.others_of_neighbour(relation, theirs), *self.injected])

    def rivals_of_local(self, one: Other, fact: Fact) -> list[Answer]:
        """Wrong answers to what must survive one fact, beside its object: its own, or right elsewhere, and injected ones."""
        own = [(text,) for text in one.candidates] or self.local[: self.extent.n_candidates]
        return distinct_from([one.answer, fact.answer], [*own, *self.injected[: self.extent.n_injected_locally]])

    def concluded(self, relation: str, answer: str, further: tuple[str, ...]) -> tuple[Answer, ...]:
        """What a rule says first, then what else may be said in its relation."""
        known = self.known.get(relation, {}).get(answer, (answer,))
        return (known, *distinct_from([known], self._drawn(relation, further))[: self.extent.n_candidates - 1])

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
            drawn = some_of(sorted(known), self.extent.n_candidates + 4, self.seeds, f"answers {kind}")
            self.drawn[kind, further] = [known[text] for text in drawn]
        return self.drawn[kind, further]


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


def asked_key(fact: Fact) -> tuple[str, str]:
    """What facts share that answer the same question."""
    if fact.relation == PAIRS and fact.own is not None:
        return PAIRS, fact.own.prompt.before
    return fact.relation, fact.subject


def distinct_from(right: Sequence[Answer], others: Sequence[Answer]) -> list[Answer]:
    """The other answers that are none of the right ones, each once."""
    found: list[Answer] = []
    for answer in others:
        if not any(same_answer(answer, one) for one in (*right, *found)):
            found.append(answer)
    return found


def some_of(items: Sequence[str], count: int, seeds: Seeds, stream: str) -> list[str]:
    """So many of the items, in their order; all of them where there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[int(place)] for place in sorted(seeds(stream).choice(len(items), size=count, replace=False))]
