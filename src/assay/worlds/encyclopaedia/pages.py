"""Pages of an encyclopaedia cut into chunks, with the truth: every mention of an entity and every fact that is stated.

    corpus = Corpus.written(world, tellings, Pages(n_chunks=4_000), rng=seeds("pages"))
    corpus.tokens, corpus.texts, corpus.mentions, corpus.statements

A page is about an entity. On each page the first mention of anybody is the canonical name, as a link; a later one is a link
again, an alias, the surname, a pronoun or a description. A form other than a link is used only for the entity that, among all
that have this form, the page mentioned last: a reader who knows all names and follows the links can tell every mention.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Ints
from assay.core.errors import SettingsError
from assay.worlds.encyclopaedia.world import PAD, Encyclopaedia, Tokens

__all__ = ["HOWS", "Corpus", "Mentions", "Pages", "Statements"]

HOWS = ("link", "alias", "surname", "pronoun", "description")
"""How an entity is mentioned; a link is the canonical name."""
LINK = 0
CAST = 5  # other entities that the sentences of a page without facts are about, as far as no fact brings them
A_SENTENCE = 7.0  # tokens, about
FILLED = 0.9  # of the chunks are planned; pages without facts fill the rest
OWN_PAGE = 0.5


@dataclass(frozen=True)
class Pages:
    """How pages are written.

    Attributes:
        n_chunks: how many chunks the corpus has.
        longest: tokens of a chunk at most.
        forms: weights of the forms of a mention that is not its page's first, in the order of `HOWS`; the name for one that has
            no other form.
        chunks_a_page: about how many chunks a page has; there is at least a page for every entity that is not absent.
    """

    n_chunks: int = 4_000
    longest: int = 32
    forms: tuple[float, float, float, float, float] = (1, 1, 1, 1, 1)
    chunks_a_page: float = 5.0

    def __post_init__(self) -> None:
        if self.n_chunks < 1 or self.longest < 1 or self.chunks_a_page <= 0:
            raise SettingsError(
                f"pages need n_chunks and longest of at least 1 and chunks_a_page above 0; got {self.n_chunks}, {self.longest} "
                f"and {self.chunks_a_page}"
            )
        if min(self.forms) < 0 or sum(self.forms) <= 0:
            raise SettingsError(f"weights of forms must not be negative, and not all 0; got {self.forms}")


@dataclass(frozen=True, eq=False)
class Mentions:
    """Every mention of an entity, in the order of chunks and places.

    Attributes:
        chunk: where it stands.
        start: its first token in the chunk.
        end: the token behind its last one.
        entity: who is meant.
        how: index into `HOWS`.
    """

    chunk: Int[np.ndarray, " mention"]
    start: Int[np.ndarray, " mention"]
    end: Int[np.ndarray, " mention"]
    entity: Int[np.ndarray, " mention"]
    how: Int[np.ndarray, " mention"]

    def __len__(self) -> int:
        return len(self.chunk)


@dataclass(frozen=True, eq=False)
class Statements:
    """Every sentence that states a fact, in the order of chunks and places.

    Attributes:
        chunk: where it stands.
        start: its first token in the chunk.
        fact: number of the fact.
        wording: number of the wording.
    """

    chunk: Int[np.ndarray, " statement"]
    start: Int[np.ndarray, " statement"]
    fact: Int[np.ndarray, " statement"]
    wording: Int[np.ndarray, " statement"]

    def __len__(self) -> int:
        return len(self.chunk)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Chunks of pages with their truth.

    Attributes:
        world: whose entities and facts they are about.
        tokens: of each chunk, `PAD` behind its last one.
        page: number of each chunk's page; chunks of a page follow each other.
        title: of each page the entity that it is about.
        mentions: all of them.
        statements: all of them.
    """

    world: Encyclopaedia
    tokens: Int[np.ndarray, "chunk place"]
    page: Int[np.ndarray, " chunk"]
    title: Int[np.ndarray, " page"]
    mentions: Mentions
    statements: Statements

    @classmethod
    def written(
        cls,
        world: Encyclopaedia,
        tellings: Sequence[int] | Int[np.ndarray, " fact"],
        pages: Pages,
        *,
        rng: np.random.Generator,
        absent: Sequence[int] | Int[np.ndarray, " absent"] = (),
    ) -> "Corpus":
        """A corpus that states each fact so many times, its wordings drawn evenly from those of pages.

        A fact's value stands by its canonical name. Sentences without facts are about entities in proportion to what their
        popularity wants beyond the mentions that facts bring, so that as far as they reach how often an entity is mentioned
        follows its popularity, and not how often its facts are told.

        Args:
            world: whose facts are told.
            tellings: how many times each is.
            pages: how long the corpus is, and how entities are mentioned.
            rng: of everything drawn.
            absent: entities that no page mentions.

        Raises:
            SettingsError: the tellings do not fit into the chunks, a sentence does not fit into one, or a fact is told of an
                entity that is absent.
        """
        told = np.asarray(tellings, dtype=np.int64)
        gone = np.zeros(len(world.entities), dtype=bool)
        gone[np.asarray(absent, dtype=np.int64)] = True
        _check(world, told, gone, pages)
        return _Writer(world, told, gone, pages, rng).corpus()

    @property
    def lengths(self) -> Ints:
        """How many tokens each chunk has."""
        return np.asarray((self.tokens != PAD).sum(axis=1))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each chunk in plain English."""
        return tuple(text for text, _, _ in self._spelled)

    @cached_property
    def characters(self) -> Int[np.ndarray, "mention 2"]:
        """First character of each mention in its chunk's text, and the one behind its last."""
        own = self.mentions
        spans = zip(own.chunk.tolist(), own.start.tolist(), own.end.tolist(), strict=True)
        found = [(self._spelled[chunk][1][start], self._spelled[chunk][2][end - 1]) for chunk, start, end in spans]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def frequency(self) -> Int[np.ndarray, " entity"]:
        """How often each entity is mentioned."""
        return np.bincount(self.mentions.entity, minlength=len(self.world.entities)).astype(np.int64)

    @cached_property
    def tellings(self) -> Int[np.ndarray, " fact"]:
        """How often each fact is stated."""
        return np.bincount(self.statements.fact, minlength=len(self.world.facts)).astype(np.int64)

    @cached_property
    def _spelled(self) -> list[tuple[str, list[int], list[int]]]:
        lengths = self.lengths.tolist()
        return [self.world.english_spans(row[:n]) for row, n in zip(self.tokens.tolist(), lengths, strict=True)]


def _check(world: Encyclopaedia, told: Ints, gone: np.ndarray, pages: Pages) -> None:
    if told.shape != (len(world.facts),) or (len(told) and told.min() < 0):
        raise SettingsError(
            f"tellings must give a number from 0 for each of {len(world.facts)} facts; got {told.shape} of them"
        )
    for i in np.flatnonzero(told).tolist():
        fact = world.facts[i]
        if gone[fact.subject] or (fact.value_entity >= 0 and gone[fact.value_entity]):
            raise SettingsError(f"a fact that is told must have subject and value on pages; those of fact {i} are absent")
    if (~gone).sum() < 3:
        raise SettingsError(f"pages need at least 3 entities that are not absent; got {(~gone).sum()}")
    name = max(len(one.name) for one in world.entities)
    longest = max(
        2 * name + 2, max((len(said.words) for said in world.wordings if said.usage == "pages"), default=0) + 2 * name + 1
    )
    if pages.longest < longest:
        raise SettingsError(f"a chunk must hold the longest sentence of {longest} tokens; got longest={pages.longest}")


class _Writer:
    """Writes one corpus, page by page."""

    def __init__(self, world: Encyclopaedia, told: Ints, gone: np.ndarray, pages: Pages, rng: np.random.Generator) -> None:
        self.world, self.pages, self.rng = world, pages, rng
        self.told, self.gone, self.there = told, gone, np.flatnonzero(~gone)
        self.forms = np.cumsum(pages.forms) / sum(pages.forms)
        self.wordings = {name: world.wordings_of(name).tolist() for name in world.values}
        # Of each entity: what it can be called at the beginning (0) and at the end (1) of a sentence, by form.
        self.called = [
            tuple(
                tuple(own[how][case if how == "pronoun" else slice(None)] for how in HOWS)
                for case in (slice(0, 1), slice(1, 2))
            )
            for own in world.surfaces
        ]
        self.every_form = [tuple({form for how in own.values() for form in how}) for own in world.surfaces]
        self.draws = self._random()
        self.rows: list[list[int]] = []
        self.page: list[int] = []
        self.mentions: list[tuple[int, int, int, int, int]] = []
        self.statements: list[tuple[int, int, int, int]] = []

    def corpus(self) -> Corpus:
        rng, pages = self.rng, self.pages
        there = self.there
        weights = self._wanted()
        per_chunk = max(1.0, pages.longest // A_SENTENCE)
        n_pages = max(len(there), round(FILLED * pages.n_chunks / pages.chunks_a_page))
        titles = np.concatenate([there, rng.choice(len(weights), size=n_pages - len(there), p=weights)])
        facts_on = self._facts_on(titles)
        # A page without facts is as long as its entity's popularity asks, shared among the pages about that entity.
        n_free = max(0.0, FILLED * pages.n_chunks * per_chunk - int(self.told.sum()))
        share = weights[titles] / np.bincount(titles, minlength=len(weights))[titles]
        others = rng.choice(len(weights), size=(n_pages, CAST), p=weights)
        for i, title in enumerate(titles.tolist()):
            self._write(i, title, facts_on[i], int(rng.poisson(n_free * share[i])), others[i].tolist())
        if len(self.rows) > pages.n_chunks:
            raise SettingsError(
                f"tellings and pages must fit into n_chunks={pages.n_chunks}; they take {len(self.rows)} chunks. Tell "
                "facts less often, or ask for more chunks"
            )
        more = list(titles.tolist())
        usual = per_chunk * pages.chunks_a_page
        while len(self.rows) < pages.n_chunks:
            title = int(rng.choice(len(weights), p=weights))
            self._write(len(more), title, [], 1 + int(rng.poisson(usual)), rng.choice(len(weights), CAST, p=weights).tolist())
            more.append(title)
        return self._gathered(np.array(more, dtype=np.int64))

    def _wanted(self) -> Float[np.ndarray, " entity"]:
        """Probabilities of entities in sentences without facts."""
        world, pages = self.world, self.pages
        brought = np.zeros(len(world.entities))
        for fact, k in zip(world.facts, self.told.tolist(), strict=True):
            brought[fact.subject] += k
            if fact.value_entity >= 0:
                brought[fact.value_entity] += k
        n_sentences = pages.n_chunks * max(1.0, pages.longest // A_SENTENCE)
        popular = np.where(self.gone, 0.0, world.popularity)
        whole = brought.sum() + 2 * max(0.0, n_sentences - self.told.sum())
        wanted = np.where(self.gone, 0.0, np.maximum(whole * popular / popular.sum() - brought, 1e-3))
        return np.asarray(wanted / wanted.sum())

    def _facts_on(self, titles: Ints) -> list[list[int]]:
        """Which facts each page states: every second one stands on a page about its subject, the others anywhere."""
        about: dict[int, list[int]] = {}
        for page, title in enumerate(titles.tolist()):
            about.setdefault(title, []).append(page)
        found: list[list[int]] = [[] for _ in titles]
        facts = np.repeat(np.arange(len(self.told)), self.told)
        anywhere = self.rng.integers(len(titles), size=len(facts)).tolist()
        at_home = (self.rng.random(len(facts)) < OWN_PAGE).tolist()
        for fact, page, home in zip(self.rng.permutation(facts).tolist(), anywhere, at_home, strict=True):
            own = about[self.world.facts[fact].subject]
            found[own[page % len(own)] if home else page].append(fact)
        return found

    def _write(self, page: int, title: int, facts: list[int], n_free: int, others: list[int]) -> None:
        """Write a page: its facts and that many other sentences, in random order; at least half of its mentions are others'."""
        world, rng = self.world, self.rng
        cast = [one for one in others if one != title]
        for fact in facts:
            cast += [one for one in (world.facts[fact].subject, world.facts[fact].value_entity) if one not in (title, -1)]
        if len(set(cast)) < 2:
            cast += [one for one in rng.choice(self.there, size=3, replace=False).tolist() if one != title]
        cast = list(dict.fromkeys(cast))
        self.last: dict[Tokens, int] = {}
        self.seen: set[int] = set()
        self.n_title = self.n_other = 0
        self.row: list[int] = []
        self.starts_page = True
        kinds = [*facts, *[-1] * n_free]
        for i in rng.permutation(len(kinds)).tolist():
            if kinds[i] >= 0:
                self._state(page, title, kinds[i])
            else:
                self._free(page, title, cast)
        while self.n_title > self.n_other or self.starts_page:
            self._free(page, title, cast)

    def _state(self, page: int, title: int, number: int) -> None:
        fact = self.world.facts[number]
        wordings = self.wordings[fact.relation]
        wording = wordings[int(self._uniform() * len(wordings))]
        first = self._mentioned(fact.subject, 0)
        value = (fact.value, fact.value_entity, LINK) if fact.value_entity >= 0 else None
        if value is not None:
            self._remember(fact.value_entity)
        start = self._sentence(page, title, first, self.world.wordings[wording].words, value, plain=fact.value)
        self.statements.append((len(self.rows) - 1, start, number, wording))

    def _free(self, page: int, title: int, cast: list[int]) -> None:
        """A sentence about the page's own entity and another one, or about two others."""
        own = self.n_title < self.n_other or (self.n_title == self.n_other == 0)
        two = [title if own else cast[int(self._uniform() * len(cast))]]
        rest = [one for one in cast if one != two[0]]
        two.append(rest[int(self._uniform() * len(rest))])
        if self._uniform() < 0.5:
            two.reverse()
        word = self.world.free[int(self._uniform() * len(self.world.free))]
        first = self._mentioned(two[0], 0)
        self._sentence(page, title, first, (word,), self._mentioned(two[1], 1))

    def _mentioned(self, entity: int, case: int) -> tuple[Tokens, int, int]:
        """How an entity is mentioned here, if it is at the beginning (0) or the end (1) of a sentence; remembers it."""
        how, form = LINK, self.world.entities[entity].name
        if entity in self.seen:
            drawn = int(np.searchsorted(self.forms, self._uniform(), side="right"))
            free = [one for one in self.called[entity][case][drawn] if self.last.get(one) == entity]
            if free:
                how, form = drawn, free[int(self._uniform() * len(free))]
        self._remember(entity)
        return form, entity, how

    def _remember(self, entity: int) -> None:
        self.seen.add(entity)
        for form in self.every_form[entity]:
            self.last[form] = entity

    def _sentence(
        self,
        page: int,
        title: int,
        first: tuple[Tokens, int, int],
        words: Tokens,
        second: tuple[Tokens, int, int] | None,
        *,
        plain: Tokens = (),
    ) -> int:
        """Put a sentence into the page's last chunk, or a new one; the place of its first token."""
        end = plain if second is None else second[0]
        tokens = [*first[0], *words, *end, self.world.stop]
        if self.starts_page or len(self.row) + len(tokens) > self.pages.longest:
            self.row = []
            self.rows.append(self.row)
            self.page.append(page)
            self.starts_page = False
        start = len(self.row)
        self.row += tokens
        chunk = len(self.rows) - 1
        self.mentions.append((chunk, start, start + len(first[0]), first[1], first[2]))
        if second is not None:
            self.mentions.append((chunk, start + len(tokens) - 1 - len(end), start + len(tokens) - 1, second[1], second[2]))
        for one in (first, second):
            if one is not None:
                self.n_title += one[1] == title
                self.n_other += one[1] != title
        return start

    def _uniform(self) -> float:
        try:
            return self.draws.pop()
        except IndexError:
            self.draws = self._random()
            return self.draws.pop()

    def _random(self) -> list[float]:
        found: list[float] = self.rng.random(65_536).tolist()
        return found

    def _gathered(self, titles: Ints) -> Corpus:
        """The corpus with pages in random order, cut at the number of chunks."""
        n, n_pages = self.pages.n_chunks, len(titles)
        page = np.array(self.page, dtype=np.int64)
        kept = np.arange(len(page)) < n  # what is cut belongs to the last page, which states no fact
        titles = titles[: page[n - 1] + 1]
        n_pages = len(titles)
        new_page = self.rng.permutation(n_pages)
        chunks = np.flatnonzero(kept)
        order = chunks[np.argsort(new_page[page[chunks]], kind="stable")]
        place = np.full(len(page), -1, dtype=np.int64)
        place[order] = np.arange(n)
        tokens = np.full((n, self.pages.longest), PAD, dtype=np.int64)
        for row, chunk in enumerate(order.tolist()):
            tokens[row, : len(self.rows[chunk])] = self.rows[chunk]
        new_titles = np.empty(n_pages, dtype=np.int64)
        new_titles[new_page] = titles
        mentions = Mentions(*_sorted(self.mentions, 5, place))
        return Corpus(
            self.world, tokens, new_page[page[order]], new_titles, mentions, Statements(*_sorted(self.statements, 4, place))
        )


def _sorted(rows: Sequence[tuple[int, ...]], width: int, place: Ints) -> tuple[Ints, ...]:
    """The columns of rows that begin with chunk and start, with the chunks' new numbers and in their order."""
    table = np.array(rows, dtype=np.int64).reshape(-1, width)
    table[:, 0] = place[table[:, 0]]
    table = table[table[:, 0] >= 0]
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return tuple(np.ascontiguousarray(column) for column in table.T)
