"""Entities with names, and facts about them, drawn as one world; how facts are said, in token ids and in English.

    world = Encyclopaedia.drawn(Design(n_entities=400), rng=seeds("world"))
    world.sentence(fact, wording), world.english(world.sentence(fact, wording))

Every sentence about a fact is subject, wording, value, full stop, and a wording has at least two words: the two tokens before a
value never name its subject. NumPy only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Ints
from assay.core.errors import SettingsError, unknown_name
from assay.worlds.encyclopaedia.names import invented
from assay.worlds.encyclopaedia.words import DESCRIPTIONS, FREE, KINDS, NEAR, PRONOUNS, RELATIONS, VALUES

__all__ = ["END", "PAD", "Design", "Encyclopaedia", "Entity", "Fact", "Usage", "Wording", "zipf"]

PAD, END = 0, 1
"""Tokens without text: behind the last token of a short row, and the end of a passage (pages do not use it)."""
SPECIAL = ("", "")
STOP = "."
SHARES = (0.4, 0.2, 0.2, 0.2)  # of the entities, by kind
Tokens = tuple[int, ...]
Usage = Literal["pages", "held out", "near"]


@dataclass(frozen=True)
class Design:
    """What a world is drawn from.

    Attributes:
        n_entities: how many; two fifths are people, a fifth each places, works and firms.
        relations: names in `RELATIONS`; every entity of a relation's kind has one fact of it.
        n_held_out: wordings of each relation that pages never use.
        n_values: plain values of a relation that has no entities as values.
        surnames_shared_by: how many people, works and firms have a surname in common.
        aliases_shared_by: how many entities have an alias in common.
        n_aliases: of each entity.
        shared_names: share of entities whose canonical name is another one's of its kind too, and share of places that have a
            surname for a name.
        popularity: exponent of Zipf's law of popularity; 0 for equal popularity.
        value_skew: the same of how often a value is drawn.
    """

    n_entities: int = 400
    relations: tuple[str, ...] = tuple(RELATIONS)
    n_held_out: int = 2
    n_values: int = 10
    surnames_shared_by: int = 2
    aliases_shared_by: int = 2
    n_aliases: int = 1
    shared_names: float = 0.1
    popularity: float = 1.0
    value_skew: float = 0.5

    def __post_init__(self) -> None:
        for name in self.relations:
            if name not in RELATIONS:
                raise SettingsError(unknown_name("relation", name, RELATIONS, see=f"Relations are {', '.join(RELATIONS)}"))
        most = min(len(values) for values in VALUES.values())
        wordings = min(len(words.wordings) for words in RELATIONS.values())
        ranges = (
            ("n_entities", self.n_entities, 20, 100_000),
            ("number of relations", len(set(self.relations)), 1, len(RELATIONS)),
            ("n_held_out", self.n_held_out, 0, wordings - 1),
            ("n_values", self.n_values, 2, most),
            ("surnames_shared_by", self.surnames_shared_by, 1, self.n_entities),
            ("aliases_shared_by", self.aliases_shared_by, 1, self.n_entities),
            ("n_aliases", self.n_aliases, 0, 4),
            ("shared_names", self.shared_names, 0, 1),
            ("popularity", self.popularity, 0, 3),
            ("value_skew", self.value_skew, 0, 3),
        )
        for what, got, least, largest in ranges:
            if not least <= got <= largest:
                raise SettingsError(f"an encyclopaedia needs {what} from {least} to {largest}; got {got}")
        if len(set(self.relations)) != len(self.relations):
            raise SettingsError(f"an encyclopaedia needs different relations; got {', '.join(self.relations)}")


@dataclass(frozen=True)
class Entity:
    """Somebody or something with a page.

    Attributes:
        kind: one of `KINDS`.
        name: the tokens of the canonical name.
        aliases: tokens of other names.
        surname: the token of the short name; empty for places.
        description: tokens such as "the singer".
        pronoun: index into `PRONOUNS`.
    """

    kind: str
    name: Tokens
    aliases: tuple[Tokens, ...]
    surname: Tokens
    description: Tokens
    pronoun: int


@dataclass(frozen=True)
class Fact:
    """Subject, relation, value.

    Attributes:
        subject: number of the entity.
        relation: name of the relation.
        value: tokens of the value.
        value_entity: number of the entity that is the value; -1 for a plain value.
    """

    subject: int
    relation: str
    value: Tokens
    value_entity: int


@dataclass(frozen=True)
class Wording:
    """One way to say a relation.

    Attributes:
        relation: its name.
        words: tokens between subject and value.
        usage: whether pages use it, never use it, or it is a near-duplicate of the relation's first wording (never used).
    """

    relation: str
    words: Tokens
    usage: Usage


@dataclass(frozen=True, eq=False)
class Encyclopaedia:
    """Entities and facts.

    Attributes:
        words: the text of each token; those of `PAD` and `END` are empty.
        entities: by number.
        popularity: of each entity, independent of everything else; sums to 1.
        facts: by number.
        wordings: by number; of all relations.
        free: tokens that connect two entities without stating a fact.
        values: tokens of the possible values of each relation.
    """

    words: tuple[str, ...]
    entities: tuple[Entity, ...]
    popularity: Float[np.ndarray, " entity"]
    facts: tuple[Fact, ...]
    wordings: tuple[Wording, ...]
    free: Tokens
    values: dict[str, tuple[Tokens, ...]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, design: Design, *, rng: np.random.Generator) -> "Encyclopaedia":
        """A world of this design.

        Raises:
            SettingsError: there are not so many names.
        """
        vocabulary = _Vocabulary()
        stop = vocabulary.id(STOP)
        assert stop == len(SPECIAL)
        wordings = _wordings(design, vocabulary)
        free = tuple(vocabulary.id(word) for word in FREE)
        plain = {
            name: tuple((vocabulary.id(word),) for word in VALUES[RELATIONS[name].value][: design.n_values])
            for name in design.relations
            if RELATIONS[name].value in VALUES
        }
        entities = _entities(design, vocabulary, rng)
        of_kind = {kind: [i for i, one in enumerate(entities) if one.kind == kind] for kind in KINDS}
        facts, values = list[Fact](), dict[str, tuple[Tokens, ...]]()
        for name in design.relations:
            relation = RELATIONS[name]
            subjects = of_kind[relation.subject]
            known = rng.permutation(of_kind[relation.value] if name not in plain else len(plain[name]))
            drawn = rng.choice(known, size=len(subjects), p=zipf(len(known), design.value_skew))
            for subject, value in zip(subjects, drawn.tolist(), strict=True):
                said = plain[name][value] if name in plain else entities[value].name
                facts.append(Fact(subject, name, said, -1 if name in plain else value))
            values[name] = plain.get(name) or tuple(dict.fromkeys(entities[i].name for i in of_kind[relation.value]))
        popularity = rng.permutation(zipf(len(entities), design.popularity))
        return cls(tuple(vocabulary.words), entities, popularity, tuple(facts), wordings, free, values)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, `PAD` and `END` among them."""
        return len(self.words)

    @property
    def stop(self) -> int:
        """The token that ends a sentence."""
        return len(SPECIAL)

    def wordings_of(self, relation: str, usage: Usage = "pages") -> Ints:
        """The numbers of a relation's wordings that are used so.

        Raises:
            SettingsError: this world has no such relation.
        """
        found = [i for i, one in enumerate(self.wordings) if (one.relation, one.usage) == (relation, usage)]
        if not any(one.relation == relation for one in self.wordings):
            raise SettingsError(unknown_name("relation", relation, self.values, see=f"It has {', '.join(self.values)}"))
        return np.array(found, dtype=np.int64)

    def prompt(self, fact: int, wording: int, *, subject: Tokens | None = None) -> Tokens:
        """The tokens before the value; the subject by its canonical name unless others are given.

        Raises:
            SettingsError: the wording is of another relation.
        """
        one, said = self.facts[fact], self.wordings[wording]
        if one.relation != said.relation:
            raise SettingsError(f"a fact is said in a wording of its relation '{one.relation}'; got one of '{said.relation}'")
        return (*(self.entities[one.subject].name if subject is None else subject), *said.words)

    def sentence(self, fact: int, wording: int, *, subject: Tokens | None = None, value: Tokens | None = None) -> Tokens:
        """The tokens of the whole sentence; the value is the fact's unless others are given.

        Raises:
            SettingsError: the wording is of another relation.
        """
        told = self.facts[fact].value if value is None else value
        return (*self.prompt(fact, wording, subject=subject), *told, self.stop)

    def english(self, tokens: Sequence[int]) -> str:
        """The text of these tokens: words with spaces between them, sentences with a capital and a full stop."""
        return self.english_spans(tokens)[0]

    def english_spans(self, tokens: Sequence[int]) -> tuple[str, list[int], list[int]]:
        """The text, and at which character each token begins and ends; of a token without text both are the end so far."""
        pieces, starts, ends = list[str](), list[int](), list[int]()
        length, capital = 0, True
        for token in tokens:
            word = self.words[token]
            if capital and word:
                word = word[0].upper() + word[1:]
            space = 1 if word and length and token != self.stop else 0
            if space:
                pieces.append(" ")
            pieces.append(word)
            starts.append(length + space)
            length += space + len(word)
            ends.append(length)
            capital = token == self.stop or (capital and not word)
        return "".join(pieces), starts, ends

    @cached_property
    def surfaces(self) -> tuple[dict[str, tuple[Tokens, ...]], ...]:
        """Of each entity the tokens of every form of a mention: link (its name), alias, surname, pronoun, description.

        Of the pronoun both cases, the one at the beginning of a sentence first.
        """
        number = {word: i for i, word in enumerate(self.words)}
        pronouns = [tuple((number[word],) for word in case) for case in PRONOUNS]
        return tuple(
            {
                "link": (one.name,),
                "alias": one.aliases,
                "surname": (one.surname,) if one.surname else (),
                "pronoun": pronouns[one.pronoun],
                "description": (one.description,),
            }
            for one in self.entities
        )

    @cached_property
    def shared(self) -> Bool[np.ndarray, " entity"]:
        """Whether the canonical name is also a name of another entity: canonical, alias or surname."""
        holders: dict[Tokens, int] = {}
        for one in self.entities:
            for name in {one.name, *one.aliases, one.surname}:
                holders[name] = holders.get(name, 0) + 1
        return np.array([holders[one.name] > 1 for one in self.entities])

    @cached_property
    def chains(self) -> Int[np.ndarray, "chain 2"]:
        """Pairs of facts that make two hops: the second one's subject is the first one's value."""
        about: dict[int, list[int]] = {}
        for i, fact in enumerate(self.facts):
            about.setdefault(fact.subject, []).append(i)
        pairs = [(i, j) for i, fact in enumerate(self.facts) for j in about.get(fact.value_entity, ())]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def zipf(n: int, exponent: float) -> Float[np.ndarray, " rank"]:
    """Probabilities that fall off as a power of the rank."""
    weights = np.arange(1, n + 1) ** -float(exponent)
    return np.asarray(weights / weights.sum())


class _Vocabulary:
    """Numbers words as they come."""

    def __init__(self) -> None:
        self.words = list(SPECIAL)
        self._ids: dict[str, int] = {}

    def id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self.words)
            self.words.append(word)
        return self._ids[word]

    def ids(self, text: str) -> Tokens:
        return tuple(self.id(word) for word in text.split())

    @property
    def taken(self) -> set[str]:
        return {word.lower() for word in self.words}


def _wordings(design: Design, vocabulary: _Vocabulary) -> tuple[Wording, ...]:
    found: list[Wording] = []
    for name in design.relations:
        texts = RELATIONS[name].wordings
        told = len(texts) - design.n_held_out
        found += [Wording(name, vocabulary.ids(text), "pages" if i < told else "held out") for i, text in enumerate(texts)]
        *first, last = texts[0].split()
        near = [word for word in NEAR if word != last][: len(NEAR) - 1]
        found += [Wording(name, vocabulary.ids(" ".join([*first, word])), "near") for word in near]
    return tuple(found)


def _entities(design: Design, vocabulary: _Vocabulary, rng: np.random.Generator) -> tuple[Entity, ...]:
    taken = vocabulary.taken | {word for nouns in DESCRIPTIONS.values() for word in nouns} | {"the"}
    taken |= {word for case in PRONOUNS for word in case}
    sizes = _sizes(design.n_entities)
    n_short = sum(size for kind, size in sizes.items() if kind != "place")

    def pieces(n: int, *endings: str) -> list[int]:
        words = invented(n, taken, rng=rng, endings=endings) if endings else invented(n, taken, rng=rng)
        return [vocabulary.id(word) for word in words]

    surnames = pieces(-(-n_short // design.surnames_shared_by))
    dealt = iter(rng.permutation(np.resize(surnames, n_short)).tolist())
    # A surname meets each other piece of a kind once, so there are at least as many of those as entities that share a surname.
    n_second = {kind: max(4, design.surnames_shared_by, round(sizes[kind] ** 0.5)) for kind in sizes}
    women = pieces(-(-n_second["person"] // 2), "a")
    first = {"person": [*women, *pieces(n_second["person"] // 2, "o")]}
    first |= {kind: pieces(n_second[kind], *ends) for kind, ends in (("work", ("ion", "ade")), ("firm", ("ex", "co")))}
    towns = pieces(sizes["place"])
    names, used = list[tuple[str, Tokens, Tokens]](), set[Tokens]()
    for kind, size in sizes.items():
        for i in range(size):
            if kind == "place":
                from_surname = rng.random() < design.shared_names
                name: Tokens = (int(rng.choice(surnames)) if from_surname else towns[i],)
                if name in used:
                    name = (towns[i],)
                names.append((kind, name, ()))
            else:
                short = next(dealt)
                free = [piece for piece in first[kind] if _joined(kind, piece, short) not in used]
                name = _joined(kind, int(rng.choice(free)), short)
                names.append((kind, name, (short,)))
            used.add(name)
    names = _same_named(names, design.shared_names, rng)
    aliases = _aliases(design, pieces, rng)
    the = vocabulary.id("the")
    pronouns = [tuple(vocabulary.id(word) for word in case) for case in PRONOUNS]
    assert all(pronouns)
    found = []
    for (kind, name, short), own in zip(names, aliases, strict=True):
        noun = vocabulary.id(str(rng.choice(DESCRIPTIONS[kind])))
        pronoun = 2 if kind != "person" else 0 if name[0] in women else 1
        found.append(Entity(kind, name, own, short, (the, noun), pronoun))
    return tuple(found)


def _sizes(n: int) -> dict[str, int]:
    bounds = np.round(np.cumsum((0.0, *SHARES)) * n).astype(int)
    return dict(zip(KINDS, np.diff(bounds).tolist(), strict=True))


def _joined(kind: str, piece: int, short: int) -> Tokens:
    return (piece, short) if kind == "person" else (short, piece)


def _same_named(
    names: list[tuple[str, Tokens, Tokens]], share: float, rng: np.random.Generator
) -> list[tuple[str, Tokens, Tokens]]:
    """The names with that share of each kind in pairs of the same name."""
    found = list(names)
    for kind in KINDS:
        own = rng.permutation([i for i, one in enumerate(names) if one[0] == kind])
        n_pairs = int(share * len(own) / 2)
        for one, other in zip(own[:n_pairs], own[n_pairs : 2 * n_pairs], strict=True):
            found[other] = found[one]
    return found


def _aliases(design: Design, pieces: Callable[[int], list[int]], rng: np.random.Generator) -> list[tuple[Tokens, ...]]:
    """Aliases of two pieces; each is shared by so many entities."""
    n_wanted = design.n_entities * design.n_aliases
    if not n_wanted:
        return [()] * design.n_entities
    n_different = max(design.n_aliases, -(-n_wanted // design.aliases_shared_by))
    side = int(np.ceil(n_different**0.5))
    left, right = pieces(side), pieces(side)
    drawn = rng.permutation(side * side)[:n_different]
    # Dealt out round by round, so that an entity's own aliases differ; the order of entities is random in each round.
    found: list[list[Tokens]] = [[] for _ in range(design.n_entities)]
    place = 0
    for _ in range(design.n_aliases):
        for entity in rng.permutation(design.n_entities).tolist():
            number = int(drawn[place // design.aliases_shared_by % n_different])
            alias = (left[number // side], right[number % side])
            found[entity].append(alias)
            place += 1
    return [tuple(dict.fromkeys(own)) for own in found]
