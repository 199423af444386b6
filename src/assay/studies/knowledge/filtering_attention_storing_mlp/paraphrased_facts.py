"""Facts about invented people, stated in several wordings, and questions about them: knowledge triples as sentences.

Every person has one value of every relation (a home town, a profession). A fact is stated in K of the relation's wordings, each
of which ends before the value; a question asks for the relation in a form that no statement has. The number of sentences about
a fact is given apart from K, so that many wordings do not mean much exposure. Nothing here knows a model.

A question's candidates are the values of all relations, so an answer can be of the wrong type.

Source: Xu and Chen 2025, arXiv:2508.00901 (statements in K templates, then questions about some of the subjects); wordings and
word lists are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from assay.core.errors import SettingsError
from assay.worlds.facts.model import Relation, Template
from assay.worlds.facts.names import draw_names
from assay.worlds.facts.questions import Question

__all__ = ["MOST_VALUES", "MOST_WORDINGS", "RELATIONS", "ParaphrasedFacts"]


def _relation(name: str, wordings: tuple[str, ...], question: str, values: str) -> Relation:
    """A relation that is asked by its question and taught by its wordings."""
    return Relation(name, Template.of(question), tuple(map(Template.of, wordings)), candidates=tuple(values.split()))


RELATIONS = (
    _relation(
        "home-town",
        (
            "{subject} comes from",
            "{subject} grew up in",
            "{subject} is a native of",
            "{subject} was raised in",
            "The home town of {subject} is",
            "The childhood of {subject} was spent in",
            "Home, for {subject}, has always been",
            "The family of {subject} lived in",
        ),
        "Q: Which city is {subject} from? A:",
        "London Paris Berlin Madrid Rome Moscow Tokyo Athens Warsaw Vienna Dublin Cairo Delhi Sydney Toronto Chicago "
        "Boston Lisbon Oslo Prague",
    ),
    _relation(
        "profession",
        (
            "{subject} works as a",
            "{subject} makes a living as a",
            "By trade, {subject} is a",
            "{subject} was trained as a",
            "{subject} found a job as a",
            "Colleagues know {subject} as a",
            "For years {subject} has been a",
            "{subject} earns money as a",
        ),
        "Q: What is the profession of {subject}? A:",
        "baker nurse lawyer teacher farmer painter doctor judge singer pilot chef carpenter dentist writer dancer poet "
        "tailor sailor butcher gardener",
    ),
)
MOST_VALUES = min(len(relation.candidates) for relation in RELATIONS)
MOST_WORDINGS = min(len(relation.train) for relation in RELATIONS)


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
        if not 1 <= multiplicity <= MOST_WORDINGS:
            raise SettingsError(f"multiplicity must lie in 1 … {MOST_WORDINGS}, the wordings of a relation; got {multiplicity}")
        if not 2 <= n_values <= MOST_VALUES:
            raise SettingsError(f"n_values must lie in 2 … {MOST_VALUES}, the values of a relation; got {n_values}")
        names = draw_names(n_people, rng=rng)
        values = [rng.permutation(np.resize(rng.permutation(n_values), n_people)) for _ in RELATIONS]
        wordings = [[rng.permutation(len(r.train))[:multiplicity] for r in RELATIONS] for _ in names]
        return cls(names, n_values, np.stack(values, axis=1), np.array(wordings))

    @property
    def multiplicity(self) -> int:
        """K, the wordings in which a fact is stated."""
        return int(self.wordings.shape[2])

    @property
    def candidates(self) -> tuple[str, ...]:
        """What an answer is chosen from: the values of the first relation, then those of the next."""
        return tuple(_completion(relation, value) for relation in RELATIONS for value in relation.candidates[: self.n_values])

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
            (RELATIONS[r].train[self.wordings[p, r, i % self.multiplicity]].prompt(name), self._value(p, r))
            for i in range(per_fact)
            for p, name in enumerate(self.names)
            for r in range(len(RELATIONS))
        ]

    def statements(self, people: Sequence[int]) -> list[Question]:
        """Every fact of these people, asked for by the first of the wordings in which it is stated (kind `stated`)."""
        return self._questions("stated", people, lambda p, r: RELATIONS[r].train[self.wordings[p, r, 0]])

    def questions(self, people: Sequence[int]) -> list[Question]:
        """Every fact of these people, asked for by the relation's question (kind `asked`)."""
        return self._questions("asked", people, lambda p, r: RELATIONS[r].prompt)

    def lessons(self, people: Sequence[int]) -> list[tuple[str, str]]:
        """Questions about these people with their true answers, as (prompt, value)."""
        return [question.lesson for question in self.questions(people)]

    def false_lessons(self, people: Sequence[int], *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """The same questions, each answered with another value of the right relation, never the true one."""
        return [
            (
                RELATIONS[relation].prompt.prompt(self.names[person]),
                _completion(
                    RELATIONS[relation],
                    RELATIONS[relation].candidates[
                        int((self.values[person, relation] + rng.integers(1, self.n_values)) % self.n_values)
                    ],
                ),
            )
            for person in people
            for relation in range(len(RELATIONS))
        ]

    def _value(self, person: int, relation: int) -> str:
        return _completion(RELATIONS[relation], RELATIONS[relation].candidates[int(self.values[person, relation])])

    def _questions(self, kind: str, people: Sequence[int], sentence: Callable[[int, int], Template]) -> list[Question]:
        candidates = self.candidates
        return [
            Question(
                sentence(person, relation).prompt(self.names[person]),
                candidates,
                int(relation * self.n_values + self.values[person, relation]),
                self.names[person],
                kind,
            )
            for person in people
            for relation in range(len(RELATIONS))
        ]


def _completion(relation: Relation, value: str) -> str:
    return relation.prompt.completion(value)
