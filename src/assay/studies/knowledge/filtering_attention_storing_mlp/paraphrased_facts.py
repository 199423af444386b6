"""Facts about invented people, stated in several wordings, and questions about them: knowledge triples as sentences.

Every person has one value of every relation (a home town, a profession). A fact is stated in K of the relation's wordings, each
of which ends before the value; a question asks for the relation in a form that no statement has. The number of sentences about
a fact is given apart from K, so that many wordings do not mean much exposure. Nothing here knows a model.

A question's candidates are the values of all relations, so an answer can be of the wrong type.

Source: Xu and Chen 2025, arXiv:2508.00901 (statements in K templates, then questions about some of the subjects); wordings and
word lists are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from assay.core.errors import SettingsError
from assay.worlds.knowledge import FIRST_NAMES, LAST_NAMES

__all__ = ["MOST_VALUES", "MOST_WORDINGS", "RELATIONS", "FactQuestion", "ParaphrasedFacts", "Relation"]


@dataclass(frozen=True)
class Relation:
    """A kind of fact.

    Attributes:
        name: a slug.
        wordings: what comes before the value in a statement, with `{}` for the person.
        question: what comes before it when it is asked for.
        values: possible values, each with its leading space.
    """

    name: str
    wordings: tuple[str, ...]
    question: str
    values: tuple[str, ...]


def _values(words: str) -> tuple[str, ...]:
    return tuple(f" {word}" for word in words.split())


RELATIONS = (
    Relation(
        "home-town",
        (
            "{} comes from",
            "{} grew up in",
            "{} is a native of",
            "{} was raised in",
            "The home town of {} is",
            "The childhood of {} was spent in",
            "Home, for {}, has always been",
            "The family of {} lived in",
        ),
        "Q: Which city is {} from? A:",
        _values(
            "London Paris Berlin Madrid Rome Moscow Tokyo Athens Warsaw Vienna Dublin Cairo Delhi Sydney Toronto Chicago "
            "Boston Lisbon Oslo Prague"
        ),
    ),
    Relation(
        "profession",
        (
            "{} works as a",
            "{} makes a living as a",
            "By trade, {} is a",
            "{} was trained as a",
            "{} found a job as a",
            "Colleagues know {} as a",
            "For years {} has been a",
            "{} earns money as a",
        ),
        "Q: What is the profession of {}? A:",
        _values(
            "baker nurse lawyer teacher farmer painter doctor judge singer pilot chef carpenter dentist writer dancer poet "
            "tailor sailor butcher gardener"
        ),
    ),
)
MOST_VALUES = min(len(relation.values) for relation in RELATIONS)
MOST_WORDINGS = min(len(relation.wordings) for relation in RELATIONS)


@dataclass(frozen=True)
class FactQuestion:
    """A prompt about a person's relation, and its true answer, an index into the world's candidates."""

    prompt: str
    person: int
    relation: int
    answer: int


@dataclass(frozen=True, eq=False)
class ParaphrasedFacts:
    """People, their facts, and the wordings in which each is stated. `ParaphrasedFacts.drawn` makes one.

    Attributes:
        names: of the people.
        n_values: values of each relation that can occur, the first of its list.
        values: the value of every fact, as a place among its relation's values, [person, relation].
        wordings: the wordings in which it is stated, as places among its relation's, all different, [person, relation, K].
    """

    names: tuple[str, ...]
    n_values: int
    values: Int[ndarray, "person relation"]
    wordings: Int[ndarray, "person relation K"]

    @classmethod
    def drawn(
        cls, *, n_people: int, multiplicity: int, n_values: int = MOST_VALUES, rng: np.random.Generator
    ) -> "ParaphrasedFacts":
        """People with random names and facts; values are as equally frequent as the number of people allows.

        The draws do not depend on `multiplicity` (K): with more wordings a fact keeps those of fewer.

        Raises:
            SettingsError: there are not so many names, wordings or values.
        """
        most = min(len(FIRST_NAMES), len(LAST_NAMES))
        if not 1 <= n_people <= most:
            raise SettingsError(f"n_people must lie in 1 … {most}, the number of names; got {n_people}")
        if not 1 <= multiplicity <= MOST_WORDINGS:
            raise SettingsError(f"multiplicity must lie in 1 … {MOST_WORDINGS}, the wordings of a relation; got {multiplicity}")
        if not 2 <= n_values <= MOST_VALUES:
            raise SettingsError(f"n_values must lie in 2 … {MOST_VALUES}, the values of a relation; got {n_values}")
        first, last = (rng.permutation(len(names))[:n_people] for names in (FIRST_NAMES, LAST_NAMES))
        names = tuple(f"{FIRST_NAMES[i]} {LAST_NAMES[j]}" for i, j in zip(first, last, strict=True))
        values = [rng.permutation(np.resize(rng.permutation(n_values), n_people)) for _ in RELATIONS]
        wordings = [[rng.permutation(len(r.wordings))[:multiplicity] for r in RELATIONS] for _ in names]
        return cls(names, n_values, np.stack(values, axis=1), np.array(wordings))

    @property
    def multiplicity(self) -> int:
        """K, the wordings in which a fact is stated."""
        return int(self.wordings.shape[2])

    @property
    def candidates(self) -> tuple[str, ...]:
        """What an answer is chosen from: the values of the first relation, then those of the next."""
        return tuple(value for relation in RELATIONS for value in relation.values[: self.n_values])

    def relation_of(self, candidate: Int[ndarray, " answer"]) -> Int[ndarray, " answer"]:
        """Whose relation's value a candidate is."""
        return candidate // self.n_values

    def sentences(self, per_fact: int) -> list[tuple[str, str]]:
        """So many statements of every fact, as (prompt, value), evenly over its wordings.

        Raises:
            SettingsError: they cannot be spread evenly.
        """
        if per_fact < 1 or per_fact % self.multiplicity:
            raise SettingsError(
                f"sentences of a fact must be a multiple of its {self.multiplicity} wordings, so that each is as frequent; "
                f"got {per_fact}"
            )
        return [
            (RELATIONS[r].wordings[self.wordings[p, r, i % self.multiplicity]].format(name), self._value(p, r))
            for i in range(per_fact)
            for p, name in enumerate(self.names)
            for r in range(len(RELATIONS))
        ]

    def statements(self, people: Sequence[int]) -> list[FactQuestion]:
        """Every fact of these people, asked for by the first of the wordings in which it is stated."""
        return self._asked(people, [[RELATIONS[r].wordings[w[0]] for r, w in enumerate(own)] for own in self.wordings])

    def questions(self, people: Sequence[int]) -> list[FactQuestion]:
        """Every fact of these people, asked for by the relation's question."""
        return self._asked(people, [[relation.question for relation in RELATIONS]] * len(self.names))

    def lessons(self, people: Sequence[int]) -> list[tuple[str, str]]:
        """Questions about these people with their true answers, as (prompt, value)."""
        return [(question.prompt, self.candidates[question.answer]) for question in self.questions(people)]

    def untrue_lessons(self, people: Sequence[int], *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """The same questions, each answered with any candidate, of any relation: a form to learn and nothing else."""
        found = self.candidates
        return [(prompt, found[int(rng.integers(len(found)))]) for prompt, _ in self.lessons(people)]

    def _value(self, person: int, relation: int) -> str:
        return RELATIONS[relation].values[int(self.values[person, relation])]

    def _asked(self, people: Sequence[int], prompts: Sequence[Sequence[str]]) -> list[FactQuestion]:
        return [
            FactQuestion(
                prompts[person][relation].format(self.names[person]),
                person,
                relation,
                int(relation * self.n_values + self.values[person, relation]),
            )
            for person in people
            for relation in range(len(RELATIONS))
        ]
