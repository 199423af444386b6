"""Searches, annotations and what is returned, on pages written by hand and on small drawn ones."""

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.instruments.entity_index.names import NameFinder
from assay.studies.knowledge.lment import retrieval
from assay.studies.knowledge.lment.annotations import LINK, annotated, beyond, elsewhere
from assay.studies.knowledge.lment.retrieval import Library
from assay.studies.knowledge.lment.searches import SEARCHES, Hits, Strings, returned, titled
from assay.studies.knowledge.lment.settings import RetrievalSettings

SETTINGS = RetrievalSettings(n_entities=60, n_chunks=300, best=10)
PERFECT = RetrievalSettings(n_entities=60, n_chunks=300, best=10, wrong_links=0, missing_links=0, wrong_antecedents=0)


@pytest.fixture(scope="module")
def library() -> Library:
    return retrieval.drawn(SETTINGS, Seeds(3))


def codes(hits: Hits, n_chunks: int) -> set[int]:
    return set((hits.entity * n_chunks + hits.chunk).tolist())


@pytest.mark.parametrize("any_case", [False, True])
def test_a_string_search_finds_what_reading_the_text_finds(library: Library, any_case: bool) -> None:
    corpus = library.corpus
    strings = Strings(corpus, ignore_case=any_case)
    for own in corpus.world.surfaces[:30]:
        for phrase in (*own["link"], *own["alias"]):
            finder = NameFinder([" ".join(corpus.world.words[token] for token in phrase)], ignore_case=any_case)
            read = [chunk for chunk, text in enumerate(corpus.texts) for _ in finder.find(text)]
            assert strings.chunks(phrase).tolist() == read


def test_capitals_matter_to_aliases_that_are_common_words(library: Library) -> None:
    world = library.corpus.world
    common = [i for i, one in enumerate(world.entities) if any(world.words[alias[0]] == "The" for alias in one.aliases)]
    assert 0 < len(common) <= 20
    exact, any_case = (Strings(library.corpus, ignore_case=ignore) for ignore in (False, True))
    alias = world.entities[common[0]].aliases[0]
    assert set(exact.chunks(alias).tolist()) < set(any_case.chunks(alias).tolist())
    assert world.words[alias[1]][0].isupper()
    plain = retrieval.drawn(SETTINGS, Seeds(3), common=False).corpus
    assert np.array_equal(plain.tokens, library.corpus.tokens)  # the same pages, differently spelled
    assert "The" not in plain.world.words


def test_more_names_and_more_sources_lose_no_recall(library: Library) -> None:
    """Set inclusion: an OR of more finds all that fewer find."""
    corpus, n = library.corpus, len(library.corpus.page)
    names = [own["link"] for own in corpus.world.surfaces]
    aliases = [own["link"] + own["alias"] for own in corpus.world.surfaces]
    for any_case in (False, True):
        strings = Strings(corpus, ignore_case=any_case)
        assert codes(strings.hits(names), n) <= codes(strings.hits(aliases), n)
    assert codes(Strings(corpus).hits(names), n) <= codes(Strings(corpus, ignore_case=True).hits(names), n)
    notes = annotated(corpus, SETTINGS, Seeds(4))
    links, linker, full = (
        codes(hits, n) for hits in (notes.hits(linker=False, coreference=False), notes.hits(coreference=False), notes.hits())
    )
    assert links < linker < full


def test_the_reader_of_titles_takes_short_forms_for_the_page_s_entity(library: Library) -> None:
    corpus = library.corpus
    found = codes(titled(corpus, Strings(corpus)), len(corpus.page))
    plain = codes(Strings(corpus).hits([(*own["link"], *own["alias"]) for own in corpus.world.surfaces]), len(corpus.page))
    assert plain < found
    title = corpus.title[corpus.page]
    for code in found - plain:
        entity, chunk = divmod(code, len(corpus.page))
        assert title[chunk] == entity
        own = corpus.world.surfaces[entity]
        words = corpus.tokens[chunk].tolist()
        forms = [form for how in ("surname", "pronoun", "description") for form in own[how]]
        assert any(words[i : i + len(form)] == list(form) for form in forms for i in range(len(words)))


def test_what_is_returned_by_counting() -> None:
    from assay.instruments.entity_index.postings import EntityIndex

    truth = EntityIndex.of([0, 0, 0, 1], [0, 1, 2, 3], n_entities=3, n_chunks=5)
    hits = Hits(np.array([0, 0, 0, 0, 1, 1]), np.array([4, 0, 1, 1, 2, 3]), np.array([1.0, 0.5, 0.5, 0.5, 1.0, 0.9]))
    found = returned(hits, truth, 2, np.arange(5.0))
    # Entity 0: chunk 4 (strongest), then chunk 1 (two hits), and not chunk 0. Entity 1: both. Entity 2: nothing.
    assert found.right.tolist() == [1, 1, 0]
    assert found.n.tolist() == [2, 2, 0]
    assert found.most.tolist() == [2, 1, 0]
    assert found.recall() == pytest.approx((0.5 + 1.0) / 2)
    assert found.precision() == pytest.approx(0.5)
    better = returned(Hits.alike(np.array([0, 0]), np.array([0, 1])), truth, 2, np.arange(5.0))
    assert found.lead(better) == pytest.approx((-1 + 1 + 0) / 3)
    tied = returned(Hits.alike(np.array([0, 0, 0]), np.array([0, 1, 4])), truth, 1, np.array([3.0, 2.0, 5.0, 5.0, 1.0]))
    assert tied.right.tolist() == [0, 0, 0]  # the tie goes to chunk 4


def test_without_faults_links_and_antecedents_are_right() -> None:
    library = retrieval.drawn(PERFECT, Seeds(5))
    notes = annotated(library.corpus, PERFECT, Seeds(5))
    own, scores = library.corpus.mentions, notes.scores
    linked = scores.link == 1
    assert (own.how[scores.mention[linked]] == LINK).all()
    assert (own.entity[scores.mention[linked]] == scores.entity[linked]).all()
    assert int(linked.sum()) == int((own.how == LINK).sum())
    assert library.returned(notes.hits(linker=False, coreference=False)).precision() == 1.0
    faulty = annotated(library.corpus, SETTINGS, Seeds(5))
    right = own.entity[faulty.scores.mention] == faulty.scores.entity
    marked = faulty.scores.link == 1
    n_links = int((own.how == LINK).sum())
    assert (marked & ~right).sum() / n_links == pytest.approx(0.1, abs=0.03)
    assert marked.sum() / n_links == pytest.approx(0.9, abs=0.03)


def test_the_linker_s_candidates_are_the_names_holders(library: Library) -> None:
    corpus = library.corpus
    found = annotated(corpus, SETTINGS, Seeds(4)).candidates
    own = corpus.mentions
    surfaces = corpus.world.surfaces
    named = np.isin(own.how, (0, 1, 2))
    assert set(np.flatnonzero(named).tolist()) == set(found.mention.tolist())
    sums = np.bincount(found.mention, weights=found.confidence, minlength=len(own))
    assert np.allclose(sums[named], 1.0)
    for mention, entity in list(zip(found.mention.tolist(), found.entity.tolist(), strict=True))[:200]:
        said = tuple(corpus.tokens[own.chunk[mention], own.start[mention] : own.end[mention]].tolist())
        assert said in {form for how in ("link", "alias", "surname") for form in surfaces[entity][how]}
    assert np.bincount(found.mention, weights=found.right)[named].min() == 1  # one of them is meant


def test_annotations_elsewhere_are_as_many_on_other_pages(library: Library) -> None:
    corpus = library.corpus
    notes = annotated(corpus, SETTINGS, Seeds(4))
    base = notes.hits(coreference=False)
    more = beyond(notes.hits(), base, corpus)
    assert codes(more, len(corpus.page)).isdisjoint(codes(base, len(corpus.page)))
    assert codes(more, len(corpus.page)) | codes(base, len(corpus.page)) == codes(notes.hits(), len(corpus.page))
    moved = elsewhere(more, corpus, np.random.default_rng(0))
    assert np.array_equal(moved.entity, more.entity)
    assert np.array_equal(moved.strength, more.strength)
    assert (corpus.page[moved.chunk] != corpus.page[more.chunk]).all()


def test_controls_are_what_they_say() -> None:
    written = retrieval.drawn(SETTINGS, Seeds(6), forms=(1, 0, 0, 0, 0))
    assert (written.corpus.mentions.how == LINK).all()
    assert written.searches(("name",))["name"].recall(~written.corpus.world.shared) == 1.0
    unique = retrieval.drawn(SETTINGS, Seeds(6), surnames_shared_by=1, aliases_shared_by=1, shared_names=0.0)
    assert not unique.corpus.world.shared.any()
    assert retrieval.drawn(SETTINGS, Seeds(6)).corpus.world.shared.any()
    for n, more in ((1, {"common": False}), (3, {})):
        aliases = [
            alias
            for one in retrieval.drawn(SETTINGS, Seeds(6), aliases_shared_by=n, **more).corpus.world.entities
            for alias in one.aliases
        ]
        assert np.unique([aliases.count(alias) for alias in aliases]).max() == n
    truth = unique.true()
    assert truth.recall() == truth.precision() == 1.0


def test_changes_of_precision_by_hand() -> None:
    confidence = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 1.0])
    assert retrieval.change(confidence, np.ones(6, dtype=bool)) == 0
    right = np.array([False, False, False, True, True, True])
    assert retrieval.change(confidence, right) == pytest.approx(0.5)
    rng = np.random.default_rng(1)
    many = rng.uniform(0.3, 1, 20_000)
    assert retrieval.change(many, rng.random(20_000) < many) > 0.1
    assert retrieval.change(many, rng.random(20_000) < 0.85) < 0.02


def test_a_source_that_costs_precision_is_not_asked(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = annotated(library.corpus, SETTINGS, Seeds(4))
    monkeypatch.setattr(retrieval, "COSTLY", 1.0)
    found, table = retrieval.source_gains(library, notes, Seeds(0))
    assert all(np.isfinite(value) for value in found.values())
    by = {row["sources"]: row for row in table}
    assert found["linker/source_gain"] == pytest.approx(by["linker"]["recall"] - by["links"]["recall"])
    assert found["true-coreference/source_gain"] == pytest.approx(by["true-coreference"]["recall"] - by["linker"]["recall"])
    monkeypatch.setattr(retrieval, "COSTLY", -1.0)
    found, _ = retrieval.source_gains(library, notes, Seeds(0))
    assert np.isnan([found["linker/source_gain"], found["coreference/source_gain"]]).all()
    assert np.isfinite(found["true-linker/source_gain"])


def test_searches_are_two_by_two() -> None:
    assert sorted(SEARCHES.values()) == [(False, False), (False, True), (True, False), (True, True)]
