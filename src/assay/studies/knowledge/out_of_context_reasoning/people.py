"""Invented people, one fact about each, and an implication that some of them show: the task of a language model.

There are n groups of people. Everyone in a group has the group's fact (`Alice Carter lives in Paris`); the *bridges* among them
also show the group's implication (`Alice Carter speaks French`). Training shows the facts of all and the implications of the
bridges; the implications of the others, the *held-out* people, are the question. Nothing here knows a model: a world gives
sentences to train on, questions to ask, and the answers that the rule gives.

What pairs facts with implications is a *relation pair*. In a true pair the world at large knows the pairing (Paris, French), in
the counterfactual one the same answers are paired wrongly, in an arbitrary one no pairing is known (Brazil, Python). A question
has ten candidate answers, of which a world uses as many as it has groups; the others never occur in it. So a model that has
learnt which answers occur and nothing else is not at 4.5, the mean rank of ten, but at the mean rank of those in use.

Source: Huang et al. 2025, arXiv:2506.10887, section 5. The word lists and the wording of the sentences are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, permutations
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from assay.core.errors import SettingsError
from assay.worlds.facts.model import Relation, Template
from assay.worlds.facts.names import MOST_NAMES, draw_names
from assay.worlds.facts.questions import Question

__all__ = ["PAIRS", "KnowledgeWorld", "RelationPair"]


@dataclass(frozen=True)
class RelationPair:
    """Two relations, one of which may imply the other.

    Attributes:
        name: a slug.
        kind: `true` (fact i implies implication i, and the world at large knows it), `counterfactual` (the same, paired
            wrongly) or `arbitrary` (no pairing is known).
        fact: how facts are said, and which there are.
        implication: the same of implications; as many.
    """

    name: str
    kind: Literal["true", "counterfactual", "arbitrary"]
    fact: Relation
    implication: Relation


def _relation(prompt: str, candidates: str) -> Relation:
    sentence = Template.of(prompt)
    return Relation(prompt, sentence, (sentence,), candidates=tuple(candidates.split()))


_CITIES = _relation("{subject} lives in", "Paris Berlin Madrid Rome Moscow Tokyo Beijing Athens Warsaw Stockholm")
_LANGUAGES = _relation("{subject} speaks", "French German Spanish Italian Russian Japanese Chinese Greek Polish Swedish")
PAIRS = {
    pair.name: pair
    for pair in (
        RelationPair("city-language", "true", _CITIES, _LANGUAGES),
        RelationPair("city-language-cf", "counterfactual", _CITIES, _LANGUAGES),
        RelationPair(
            "country-code",
            "arbitrary",
            _relation("{subject} lives in", "France Brazil Canada Egypt India Mexico Norway Kenya Japan Peru"),
            _relation("{subject} codes in", "Java Python Ruby Rust Perl Swift Julia Pascal PHP Basic"),
        ),
        RelationPair(
            "profession-color",
            "arbitrary",
            _relation("{subject} works as a", "baker nurse lawyer teacher farmer painter doctor judge singer pilot"),
            _relation("{subject} likes the color", "red blue green yellow purple orange black white pink brown"),
        ),
        RelationPair(
            "sport-music",
            "arbitrary",
            _relation("{subject} plays", "tennis football hockey golf rugby basketball baseball cricket volleyball chess"),
            _relation("{subject} listens to", "jazz rock opera blues folk punk soul metal pop gospel"),
        ),
    )
}
People = Sequence[int] | Int[ndarray, " people"]
MOST_ORDERS = 1000  # permutations tried for a balanced shuffle; all of them for up to six groups


@dataclass(frozen=True, eq=False)
class KnowledgeWorld:
    """People in groups, the rule from a group's fact to its implication, and what the bridges are taught.

    Person k belongs to group k mod n, and the first n * m_train people are the bridges, so worlds with more bridges keep those
    of worlds with fewer. `KnowledgeWorld.drawn` makes an intact world; `shuffled` and `countered` return variants.

    Attributes:
        pair: the relations and their answers.
        names: of all people.
        m_train: bridges in each group.
        facts: for every group, which of the pair's facts it has.
        rule: for every group, which of the pair's implications follows.
        taught: for every bridge, the group whose implication it shows: its own, unless the world is a variant.
    """

    pair: RelationPair
    names: tuple[str, ...]
    m_train: int
    facts: Int[ndarray, " n"]
    rule: Int[ndarray, " n"]
    taught: Int[ndarray, " bridges"]

    @classmethod
    def drawn(
        cls, pair: RelationPair, *, n: int = 5, per_group: int = 20, m_train: int = 4, rng: np.random.Generator
    ) -> "KnowledgeWorld":
        """An intact world with names, answers and rule drawn from `rng`; the draws do not depend on `m_train`.

        Raises:
            SettingsError: the sizes make no world.
        """
        most = len(pair.fact.candidates)
        if not 2 <= n <= most:
            raise SettingsError(f"a knowledge world must have 2 … {most} groups; got n={n}")
        if not 1 <= n * per_group <= MOST_NAMES:
            raise SettingsError(f"a knowledge world must have 1 … {MOST_NAMES} people; got {n} groups of {per_group}")
        if not 0 <= m_train < per_group:
            raise SettingsError(
                f"each group must have 0 … {per_group - 1} bridges, so that someone is held out; got m_train={m_train}"
            )
        names = draw_names(n * per_group, rng=rng)
        facts = rng.permutation(most)[:n]
        arbitrary = rng.permutation(len(pair.implication.candidates))[:n]
        # The facts come in random order, so that the next group's implication is a random wrong one.
        rule = {"true": facts, "counterfactual": np.roll(facts, -1), "arbitrary": arbitrary}[pair.kind]
        return cls(pair, names, m_train, facts, rule, np.arange(n * m_train) % n)

    def shuffled(self, rng: np.random.Generator) -> "KnowledgeWorld":
        """The same world where the bridges' implications say nothing about their facts.

        Every implication is taught as often as before, each group's bridges spread theirs as evenly as possible, and the rule's
        own implication is as frequent among them as chance has it, or as near to that as an even spread allows. (A free
        permutation of few bridges leaves some association more often than not.)
        """
        n, count = self.n, len(self.taught)
        by_group = np.argsort(np.arange(count) % n, kind="stable")  # the bridges of group 0, then of group 1, ...
        every = permutations(range(n)) if n <= 6 else (tuple(rng.permutation(n)) for _ in range(MOST_ORDERS))
        found: dict[int, list[Int[ndarray, " bridges"]]] = {}
        for order in islice(every, MOST_ORDERS):
            taught = np.empty(count, dtype=int)
            taught[by_group] = np.resize(order, count)
            found.setdefault(abs(int((taught == self.group[:count]).sum()) - self.m_train), []).append(taught)
        best = found[min(found)]
        return replace(self, taught=best[int(rng.integers(len(best)))])

    def countered(self, n_counter: int) -> "KnowledgeWorld":
        """The same world where `n_counter` bridges of each group all show the implication of the next group.

        Raises:
            SettingsError: there are not so many bridges in a group.
        """
        if not 0 <= n_counter <= self.m_train:
            raise SettingsError(f"contradicting bridges must be 0 … m_train={self.m_train} in each group; got {n_counter}")
        taught = self.taught.copy()
        first = self.n * n_counter
        taught[:first] = (self.group[:first] + 1) % self.n
        return replace(self, taught=taught)

    # ------------------------------------------------------------------------------------------ people

    @property
    def n(self) -> int:
        """Groups, facts and implications in use."""
        return len(self.facts)

    @property
    def m_test(self) -> int:
        """Held-out people in each group."""
        return len(self.names) // self.n - self.m_train

    @cached_property
    def group(self) -> Int[ndarray, " people"]:
        """The group of every person."""
        return np.arange(len(self.names)) % self.n

    @property
    def bridges(self) -> Int[ndarray, " bridges"]:
        """The people whose implication is shown."""
        return np.arange(len(self.taught))

    @property
    def held_out(self) -> Int[ndarray, " held_out"]:
        """The people whose implication is not shown in any form."""
        return np.arange(len(self.taught), len(self.names))

    @property
    def used(self) -> Int[ndarray, " n"]:
        """The candidates of an implication question that occur in this world, in the order of the groups."""
        return self.rule

    @property
    def chance_rank(self) -> float:
        """Mean rank of a model that knows which implications occur and not whose they are."""
        return (self.n - 1) / 2

    # ------------------------------------------------------------------------------------------ texts

    def sentences(self) -> list[tuple[str, str]]:
        """What is trained on, as (prompt, completion): everyone's fact, then the bridges' implications."""
        everyone = range(len(self.names))
        return [question.lesson for question in (*self.facts_of(everyone), *self.shown_of(self.bridges))]

    def facts_of(self, people: People) -> list[Question]:
        """What is each person's fact? (kind `fact`)"""
        return self._questions("fact", people, self.pair.fact, self.facts, self.group)

    def implications_of(self, people: People) -> list[Question]:
        """What follows for each person by the rule? Also of bridges that were shown something else. (kind `implication`)"""
        return self._questions("implication", people, self.pair.implication, self.rule, self.group)

    def shown_of(self, bridges: People) -> list[Question]:
        """What was each bridge shown? (kind `shown`)"""
        return self._questions("shown", bridges, self.pair.implication, self.rule, self.taught)

    def rivals_of(self, people: People) -> Int[ndarray, " people"]:
        """For each person the implication of the next group, which contradicting bridges are shown: an index of candidates."""
        rivals: Int[ndarray, " people"] = self.rule[(self.group[np.asarray(people)] + 1) % self.n]
        return rivals

    def _questions(
        self,
        kind: str,
        people: People,
        relation: Relation,
        answer_of: Int[ndarray, " n"],
        group_of: Int[ndarray, " people"],
    ) -> list[Question]:
        candidates = tuple(relation.prompt.completion(text) for text in relation.candidates)
        return [
            Question(
                relation.prompt.prompt(self.names[person]),
                candidates,
                int(answer_of[group_of[person]]),
                self.names[person],
                kind,
            )
            for person in people
        ]
