"""Pages of a generated encyclopaedia: the text, read again without the truth, gives the truth; chunks, counts, refusals."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from assay.core.errors import SettingsError
from assay.worlds.encyclopaedia.pages import HOWS, Corpus, Pages
from assay.worlds.encyclopaedia.world import PAD, Design, Encyclopaedia

SMALL = Pages(n_chunks=300)
WORD = re.compile(r"\w+|\.")


def made(
    seed: int, *, n_entities: int = 60, told: tuple[int, ...] = (0, 1, 2), pages: Pages = SMALL, **design: object
) -> Corpus:
    rng = np.random.default_rng(seed)
    world = Encyclopaedia.drawn(Design(n_entities=n_entities, **design), rng=rng)  # type: ignore[arg-type]
    return Corpus.written(world, rng.choice(told, size=len(world.facts)), pages, rng=rng)


def forms(world: Encyclopaedia) -> list[tuple[list[str], int, str]]:
    """Every form of every entity in small letters, the longest first."""
    found = [
        ([world.words[token].lower() for token in form], entity, how)
        for entity, own in enumerate(world.surfaces)
        for how in HOWS
        for form in own[how]
    ]
    return sorted(found, key=lambda one: -len(one[0]))


def read(corpus: Corpus, links: dict[tuple[int, int], int]) -> Iterator[tuple[int, int, int, int, str]]:
    """Mentions as (chunk, first character, last, entity, how), from the English text, names, and where links lead."""
    by_first: dict[str, list[tuple[list[str], int, str]]] = {}
    for form in forms(corpus.world):
        by_first.setdefault(form[0][0], []).append(form)
    page, last = -1, dict[tuple[str, ...], int]()
    everything: dict[int, list[tuple[str, ...]]] = {}
    for form, owner, _ in forms(corpus.world):
        everything.setdefault(owner, []).append(tuple(form))
    for chunk, text in enumerate(corpus.texts):
        if corpus.page[chunk] != page:
            page, last = int(corpus.page[chunk]), {}
        words = list(WORD.finditer(text))
        lower = [word.group().lower() for word in words]
        place = 0
        while place < len(words):
            start = words[place].start()
            fitting = [one for one in by_first.get(lower[place], []) if lower[place : place + len(one[0])] == one[0]]
            longest = [one for one in fitting if len(one[0]) == len(fitting[0][0])]
            entity = links.get((chunk, start))
            if entity is None and longest:
                entity = last.get(tuple(longest[0][0]))
            if entity is None:
                place += 1
                continue
            how = "link" if (chunk, start) in links else next(how for _, owner, how in longest if owner == entity)
            size = len(corpus.world.entities[entity].name) if how == "link" else len(longest[0][0])
            yield chunk, start, words[place + size - 1].end(), entity, how
            for form in everything[entity]:
                last[form] = entity
            place += size


def truth(corpus: Corpus) -> list[tuple[int, int, int, int, str]]:
    own = corpus.mentions
    spans = corpus.characters.tolist()
    return [
        (chunk, *span, entity, HOWS[how])
        for chunk, span, entity, how in zip(own.chunk.tolist(), spans, own.entity.tolist(), own.how.tolist(), strict=True)
    ]


@settings(max_examples=6)
@given(seed=st.integers(0, 999), longest=st.integers(14, 70), share=st.sampled_from([0.0, 0.4]), by=st.integers(1, 4))
def test_the_text_read_again_gives_every_mention_and_every_fact(seed: int, longest: int, share: float, by: int) -> None:
    corpus = made(
        seed, shared_names=share, surnames_shared_by=by, aliases_shared_by=by, pages=Pages(n_chunks=300, longest=longest)
    )
    expected = truth(corpus)
    links = {(chunk, start): entity for chunk, start, _, entity, how in expected if how == "link"}
    found = list(read(corpus, links))
    assert found == expected
    # Facts: subject, a wording of the relation, the value, in one sentence.
    world = corpus.world
    said = {
        (one.relation, " ".join(world.words[token] for token in one.words)): i
        for i, one in enumerate(world.wordings)
        if one.usage == "pages"
    }
    numbers = {(fact.subject, fact.relation): i for i, fact in enumerate(world.facts)}
    stated = []
    for chunk, start, end, entity, _ in found:
        text = corpus.texts[chunk]
        if start and text[start - 2] != ".":
            continue
        rest = text[end + 1 : text.index(".", end)]
        for (relation, words), wording in said.items():
            number = numbers.get((entity, relation))
            if number is not None and rest == f"{words} {' '.join(world.words[token] for token in world.facts[number].value)}":
                stated.append((chunk, number, wording))
    own = corpus.statements
    assert stated == list(zip(own.chunk.tolist(), own.fact.tolist(), own.wording.tolist(), strict=True))


def test_token_ids_and_english_say_the_same() -> None:
    corpus = made(3)
    for row, n, text in zip(corpus.tokens, corpus.lengths, corpus.texts, strict=True):
        assert (row[n:] == PAD).all()
        assert (row[:n] != PAD).all()
        words = [corpus.world.words[token].lower() for token in row[:n].tolist()]
        assert [word.lower() for word in WORD.findall(text)] == words
    own = corpus.mentions
    for chunk, start, end, entity, how in zip(own.chunk, own.start, own.end, own.entity, own.how, strict=True):
        form = tuple(corpus.tokens[chunk, start:end].tolist())
        assert form in corpus.world.surfaces[entity][HOWS[how]]
    said = corpus.statements
    for chunk, start, number, wording in zip(said.chunk, said.start, said.fact, said.wording, strict=True):
        fact, words = corpus.world.facts[number], corpus.world.wordings[wording].words
        tail = (*words, *fact.value, corpus.world.stop)
        at = next(place for place in range(start, start + 4) if tuple(corpus.tokens[chunk, place : place + len(tail)]) == tail)
        assert 0 < at - start <= 2
        assert corpus.world.wordings[wording].usage == "pages"


def test_pages_begin_with_links_and_half_of_their_mentions_are_others() -> None:
    corpus = made(4, n_entities=100, pages=Pages(n_chunks=800))
    own = corpus.mentions
    page = corpus.page[own.chunk]
    seen: set[tuple[int, int]] = set()
    for one, entity, how in zip(page.tolist(), own.entity.tolist(), own.how.tolist(), strict=True):
        if (one, entity) not in seen:
            assert HOWS[how] == "link"
        seen.add((one, entity))
    title = corpus.title[page] == own.entity
    last = np.unique(page)[-1]
    for one in range(last + 1):
        assert title[page == one].mean() <= 0.5 or (corpus.page == one).sum() == 1  # the last page may be cut
    assert all(((own.how == how) & ~title).sum() > 20 for how in range(len(HOWS)))
    assert (np.diff(corpus.page) != 0).sum() == len(corpus.title) - 1  # chunks of a page follow each other
    assert set(corpus.title.tolist()) == set(range(100))


def test_facts_are_told_as_often_as_asked_whatever_the_popularity() -> None:
    rng = np.random.default_rng(5)
    world = Encyclopaedia.drawn(Design(n_entities=200, relations=("home", "craft", "seat", "river")), rng=rng)
    told = rng.choice([0, 1, 2, 4, 8], size=len(world.facts))
    corpus = Corpus.written(world, told, Pages(n_chunks=3_000), rng=rng)
    assert np.array_equal(corpus.tellings, told)
    assert len(corpus.tokens) == 3_000
    assert corpus.tokens.shape[1] == 32
    subjects = np.array([fact.subject for fact in world.facts])
    assert spearmanr(world.popularity, corpus.frequency).statistic > 0.6
    assert abs(spearmanr(told, world.popularity[subjects]).statistic) < 0.2
    assert abs(spearmanr(told, corpus.frequency[subjects]).statistic) < 0.35
    wordings = np.bincount(corpus.statements.wording, minlength=len(world.wordings))
    for name in world.values:
        assert wordings[world.wordings_of(name)].min() > 10


def test_the_absent_are_on_no_page_and_forms_may_be_names_alone() -> None:
    rng = np.random.default_rng(6)
    world = Encyclopaedia.drawn(Design(n_entities=60), rng=rng)
    told = np.zeros(len(world.facts), dtype=int)
    corpus = Corpus.written(world, told, Pages(n_chunks=200, forms=(1, 0, 0, 0, 0)), rng=rng, absent=[0, 5, 59])
    assert np.flatnonzero(corpus.frequency == 0).tolist() == [0, 5, 59]
    assert len(corpus.statements) == 0
    assert (corpus.mentions.how == 0).all()
    about = next(i for i, fact in enumerate(world.facts) if fact.subject == 5)
    told[about] = 1
    with pytest.raises(SettingsError, match="absent"):
        Corpus.written(world, told, Pages(n_chunks=200), rng=rng, absent=[5])


def test_what_makes_no_pages_is_refused() -> None:
    rng = np.random.default_rng(0)
    world = Encyclopaedia.drawn(Design(n_entities=20), rng=rng)
    none = np.zeros(len(world.facts), dtype=int)
    for told, pages, said in (
        (none, Pages(longest=8), "longest sentence of"),
        (none[:-1], Pages(), "a number from 0 for each"),
        (none - 1, Pages(), "a number from 0"),
        (none + 50, Pages(n_chunks=100), "must fit into n_chunks=100"),
    ):
        with pytest.raises(SettingsError, match=said):
            Corpus.written(world, told, pages, rng=rng)
    with pytest.raises(SettingsError, match="not absent"):
        Corpus.written(world, none, Pages(), rng=rng, absent=range(18))
    for wrong in ({"n_chunks": 0}, {"chunks_a_page": 0}, {"forms": (0, 0, 0, 0, 0)}, {"forms": (1, -1, 0, 0, 0)}):
        with pytest.raises(SettingsError):
            Pages(**wrong)  # type: ignore[arg-type]
