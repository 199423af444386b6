"""What is told: passages about invented entities that no page mentions, when each is told, and in which words. NumPy only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from assay.core.arrays import Ints
from assay.worlds.encyclopaedia.world import Encyclopaedia

__all__ = ["BEFORE", "FORMS", "GROUPS", "LAST_AFTER", "NEVER", "RELATIONS", "ROWS", "SENTENCE", "Items", "Plan"]

RELATIONS = ("home", "craft", "instrument", "setting", "seat", "product")
"""Of each item: three of a person, one of a work, two of a firm. Names have two tokens, wordings two, values one."""
KINDS = ("person", "work", "firm")
GROUPS = ("paraphrase", "duplicate", "half", "near", "never")
"""Told in other words each time; in the same words; so in the second half of the rounds only; with another function word each
time; never."""
NEVER = GROUPS.index("never")
FORMS = {"paraphrase": "paraphrase", "duplicate": "duplicate", "half": "duplicate", "near": "near"}
SENTENCE = 6  # tokens of a sentence
ROWS = 3  # of a passage
PER_ROW = 4  # sentences of a row
N_TOLD = 6  # wordings of a fact that its passages may use
BEFORE = 5  # states up to an exposure whose mean is the level before it
FIRST_AFTER, LAST_AFTER = 5, 12  # steps after an exposure whose mean is the level after it


@dataclass(frozen=True, eq=False)
class Items:
    """Passages of six facts each, in groups by how they are told; each block has one item of each group.

    Attributes:
        world: of which the items' subjects are entities that no page may mention.
        group: index into `GROUPS`.
        block: number of the item's block.
        facts: numbers of the facts, in the order of `RELATIONS`.
        told: numbers of the wordings that passages may use; those of `near` items differ in a function word.
        held: number of a wording that pages use and the item's passages never.
        dealt: token of the value of another item that is told.
    """

    world: Encyclopaedia
    group: Int[np.ndarray, " item"]
    block: Int[np.ndarray, " item"]
    facts: Int[np.ndarray, "item fact"]
    told: Int[np.ndarray, "item fact wording"]
    held: Int[np.ndarray, "item fact"]
    dealt: Int[np.ndarray, "item fact"]

    @classmethod
    def drawn(cls, world: Encyclopaedia, per_group: int, *, rng: np.random.Generator) -> "Items":
        """So many items of each group; their subjects have no surname in common as far as there are enough."""
        group = np.repeat(np.arange(len(GROUPS)), per_group)
        block = np.tile(np.arange(per_group), len(GROUPS))
        n = len(group)
        used: set[int] = set()
        subjects = {kind: _chosen(world, kind, n, used, rng) for kind in KINDS}
        number = {(fact.subject, fact.relation): i for i, fact in enumerate(world.facts)}
        of = ("person", "person", "person", "work", "firm", "firm")
        facts = np.array([[number[subjects[k][i], r] for k, r in zip(of, RELATIONS, strict=True)] for i in range(n)])
        told = np.empty((n, len(RELATIONS), N_TOLD), dtype=np.int64)
        held = np.empty((n, len(RELATIONS)), dtype=np.int64)
        for place, relation in enumerate(RELATIONS):
            pages, near = world.wordings_of(relation), world.wordings_of(relation, "near")
            for item in range(n):
                first, others = 0, (1 + rng.permutation(len(pages) - 1)).tolist()  # near ones are made from the first
                held[item, place] = pages[others.pop()]
                own = near if GROUPS[group[item]] == "near" else pages[[first, *others]]
                told[item, place] = rng.permutation(own)[:N_TOLD]
        values = np.array([[world.facts[fact].value[0] for fact in row] for row in facts])
        return cls(world, group, block, facts, told, held, _dealt(values, group != NEVER, rng))

    def __len__(self) -> int:
        return len(self.group)

    @property
    def values(self) -> Int[np.ndarray, "item fact"]:
        """The token of each fact's value."""
        return np.array([[self.world.facts[fact].value[0] for fact in row] for row in self.facts])

    @property
    def absent(self) -> Ints:
        """The entities that no page may mention."""
        return np.unique([[self.world.facts[fact].subject for fact in row] for row in self.facts])

    @property
    def swapped(self) -> "Items":
        """The same passages, paraphrases and duplicates in each other's place."""
        a, b = GROUPS.index("paraphrase"), GROUPS.index("duplicate")
        return replace(self, group=np.select([self.group == a, self.group == b], [b, a], self.group))

    def among(self, *groups: str) -> Ints:
        """The items of these groups."""
        return np.flatnonzero(np.isin(self.group, [GROUPS.index(name) for name in groups]))

    def never(self, ahead: int = 0) -> Int[np.ndarray, " item"]:
        """For each item the one that is never told in its block, or `ahead` blocks further."""
        untold = self.among("never")
        return np.asarray(untold[(self.block + ahead) % len(untold)])

    def prompts(
        self, wordings: Int[np.ndarray, "item *exposure fact"], subjects_of: Int[np.ndarray, " item"]
    ) -> Int[np.ndarray, "item *exposure fact 4"]:
        """The four tokens before the value, with the subject of another item in its place."""
        names = np.array([[self.world.entities[self.world.facts[fact].subject].name for fact in row] for row in self.facts])
        words = np.zeros((len(self.world.wordings), 2), dtype=np.int64)
        for i, said in enumerate(self.world.wordings):
            words[i] = said.words[:2]
        named = names[subjects_of].reshape(len(self), *(1 for _ in wordings.shape[1:-1]), len(RELATIONS), 2)
        return np.concatenate([np.broadcast_to(named, (*wordings.shape, 2)), words[wordings]], axis=-1)


@dataclass(frozen=True, eq=False)
class Plan:
    """When each item is told and in which words.

    Attributes:
        at: the step, from 0, that tells an item in a round; -1 where it is not told.
        asked: the wording of each fact that is asked for around a round.
        rows: the tokens of the passage.
        n_steps: of all rounds, with the plain steps before the first.
    """

    at: Int[np.ndarray, "item round"]
    asked: Int[np.ndarray, "item round fact"]
    rows: Int[np.ndarray, "item round row place"]
    n_steps: int

    @classmethod
    def drawn(
        cls,
        items: Items,
        n_rounds: int,
        spacing: int,
        forms: Mapping[str, tuple[str, int]],
        *,
        rng: np.random.Generator,
        other_values: bool = False,
        n_blocks: int | None = None,
    ) -> "Plan":
        """Rounds of that many steps, one item a step; blocks follow each other, and in each the order is drawn anew.

        Args:
            items: what is told.
            n_rounds: how many rounds.
            spacing: steps of a round.
            forms: of each group that is told the form (`paraphrase`, `duplicate`, `near`) and the first round.
            rng: of the order and the words.
            other_values: tell another value of the relation each time.
            n_blocks: how many blocks are told; None for all.
        """
        n_blocks = n_blocks or len(items.among("never"))
        slots = spacing // n_blocks
        at = np.full((len(items), n_rounds), -1)
        asked = np.repeat(items.told[:, None, :, 0], n_rounds, axis=1)
        rows = np.zeros((len(items), n_rounds, ROWS, PER_ROW * SENTENCE), dtype=np.int64)
        for this in range(n_rounds):
            for block in range(n_blocks):
                own = [i for name, (_, first) in forms.items() for i in items.among(name)[[block]] if this >= first]
                at[own, this] = BEFORE + this * spacing + block * slots + rng.permutation(slots)[: len(own)]
        for name, (form, _) in forms.items():
            for item in items.among(name).tolist():
                usual = rng.permutation(len(RELATIONS))
                for this in np.flatnonzero(at[item] >= 0).tolist():
                    order, words = usual, items.told[item, :, :2]
                    if form != "duplicate":
                        order = rng.permutation(len(RELATIONS))
                        words = np.stack([rng.permutation(own)[:2] for own in items.told[item]])
                    asked[item, this] = words[:, 0]
                    rows[item, this] = _passage(items, item, order, words, rng if other_values else None)
                for this in np.flatnonzero(at[item] < 0).tolist() if at[item].max() >= 0 else ():  # a late beginning
                    asked[item, this] = asked[item, np.argmax(at[item] >= 0)]
        return cls(at, asked, rows, BEFORE + n_rounds * spacing)

    @property
    def last(self) -> Int[np.ndarray, " item"]:
        """The step that tells an item for the last time; -1 for one that is never told."""
        return np.asarray(self.at.max(axis=1))

    def rounds_at(self, states: Ints) -> Int[np.ndarray, "item state"]:
        """The round that an item's wording at a state belongs to: the last one that begins with the level before it."""
        begun = (self.at[:, :, None] >= 0) & (states >= self.at[:, :, None] - BEFORE + 1)
        number = np.arange(self.at.shape[1])[None, :, None]
        return np.asarray(np.where(begun, number, 0).max(axis=1))


def _chosen(world: Encyclopaedia, kind: str, n: int, used: set[int], rng: np.random.Generator) -> list[int]:
    """So many entities of a kind, those first whose surname is not used yet; adds theirs."""
    mixed = rng.permutation([i for i, one in enumerate(world.entities) if one.kind == kind]).tolist()
    fresh, others = list[int](), list[int]()
    for i in mixed:
        surname = world.entities[i].surname[0]
        (others if surname in used or len(fresh) == n else fresh).append(i)
        if i in fresh:
            used.add(surname)
    return (fresh + others)[:n]


def _dealt(
    values: Int[np.ndarray, "item fact"], told: np.ndarray, rng: np.random.Generator, tries: int = 200
) -> Int[np.ndarray, "item fact"]:
    """Values of the told items, dealt out anew among them so that as few as possible get their own."""
    found = values.copy()
    for place in range(values.shape[1]):
        own = values[told, place]
        drawn = [rng.permutation(own) for _ in range(tries)]
        found[told, place] = min(drawn, key=lambda some: int((some == own).sum()))
    return found


def _passage(
    items: Items, item: int, order: Ints, words: Int[np.ndarray, "fact 2"], others: np.random.Generator | None
) -> Int[np.ndarray, "row place"]:
    """Twelve sentences: all facts in one wording, and in the same order in another, so that no row tells one twice."""
    world = items.world
    value = [world.facts[fact].value for fact in items.facts[item]]
    if others is not None:
        value = [
            tuple(others.choice([one for one in world.values[relation] if one != own]))
            for relation, own in zip(RELATIONS, value, strict=True)
        ]
    tokens = [
        world.sentence(int(items.facts[item, place]), int(words[place, telling]), value=value[place])
        for telling in range(2)
        for place in order
    ]
    return np.array(tokens).reshape(ROWS, PER_ROW * SENTENCE)
