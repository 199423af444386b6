"""An encyclopaedia annotated as the paper annotates Wikipedia: links, a linker's confidences, coreference, all with faults.

Which spans are mentions is given. What is found out is whom each means: by a link, as far as that is marked and right; by a
linker of strings, which weighs popularity and the words around; and by the nearest antecedent, whose mentions share evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Ints
from assay.core.seeds import Seeds
from assay.instruments.entity_index.coreference import Scores, clusters, mention_scores, nearest_antecedent
from assay.instruments.entity_index.names import StringLinker
from assay.studies.knowledge.lment.searches import Hits
from assay.studies.knowledge.lment.settings import RetrievalSettings
from assay.worlds.encyclopaedia.pages import HOWS, Corpus

__all__ = ["Annotations", "Candidates", "annotated", "beyond", "elsewhere"]

NONE = -1
LINK = HOWS.index("link")
NAMED = tuple(HOWS.index(how) for how in ("link", "alias", "surname"))
WEIGHTS = np.array([[1.0], [1.0], [0.75], [0.5]])  # of link, linker, coreference and cluster in the order of chunks


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the linker proposes, one row a mention and entity.

    Attributes:
        mention: number of the mention.
        entity: who it may mean.
        confidence: that it does, in (0, 1].
        right: whether it does.
    """

    mention: Int[np.ndarray, " candidate"]
    entity: Int[np.ndarray, " candidate"]
    confidence: Float[np.ndarray, " candidate"]
    right: Bool[np.ndarray, " candidate"]


@dataclass(frozen=True, eq=False)
class Annotations:
    """A corpus with the scores of its mentions.

    Attributes:
        corpus: the pages, with their truth.
        candidates: of the linker.
        scores: of every mention and entity.
        settings: the thresholds.
    """

    corpus: Corpus
    candidates: Candidates
    scores: Scores
    settings: RetrievalSettings

    def hits(self, *, links: bool = True, linker: bool = True, coreference: bool = True) -> Hits:
        """The chunks of every entity by some of the sources; clusters count as coreference."""
        scores, settings = self.scores, self.settings
        parts = np.stack([scores.link, scores.linker, scores.coreference, scores.cluster])
        bounds = np.array([1.0, settings.linker, settings.coreference, settings.cluster])[:, None]
        used = np.array([links, linker, coreference, coreference])[:, None]
        accepted = ((parts >= bounds) & used).any(0)
        strength = (WEIGHTS * np.where(used, parts, 0.0)).sum(0) / WEIGHTS.sum()
        return Hits(scores.entity[accepted], self.corpus.mentions.chunk[scores.mention[accepted]], strength[accepted])

    def true_hits(self, *, named: bool) -> Hits:
        """The truth of what is said by a name, alias or surname, or of what is said by a pronoun or description."""
        own = self.corpus.mentions
        chosen = np.isin(own.how, NAMED) == named
        return Hits.alike(own.entity[chosen], own.chunk[chosen])


def annotated(corpus: Corpus, settings: RetrievalSettings, seeds: Seeds) -> Annotations:
    """The corpus with links some of which are missing or wrong, linked names, and antecedents some of which are wrong."""
    own = corpus.mentions
    linked = _links(corpus, settings, seeds("links"))
    candidates = _candidates(corpus, linked, settings.context)
    known = _meant(linked, candidates, settings)
    forms = {form: i for i, form in enumerate(dict.fromkeys(form for one in corpus.world.surfaces for form in _all(one)))}
    said = [
        forms[tuple(row[start:end])]
        for row, start, end in zip(corpus.tokens[own.chunk].tolist(), own.start.tolist(), own.end.tolist(), strict=True)
    ]
    forms_of = {entity: [forms[form] for form in _all(one)] for entity, one in enumerate(corpus.world.surfaces)}
    page = corpus.page[own.chunk]
    antecedent = nearest_antecedent(page, known, np.array(said), forms_of)
    antecedent = _mistaken(antecedent, page, settings.wrong_antecedents, seeds("antecedents"))
    spans = zip(own.chunk.tolist(), corpus.characters.tolist(), strict=True)
    texts = [corpus.texts[chunk][start:end] for chunk, (start, end) in spans]
    rows = zip(candidates.mention.tolist(), candidates.entity.tolist(), candidates.confidence.tolist(), strict=True)
    scores = mention_scores(texts, clusters(antecedent), linked, list(rows))
    return Annotations(corpus, candidates, scores, settings)


def beyond(hits: Hits, base: Hits, corpus: Corpus) -> Hits:
    """The hits in chunks in which the base has not found the entity."""
    n_chunks = len(corpus.page)
    new = ~np.isin(hits.entity * n_chunks + hits.chunk, base.entity * n_chunks + base.chunk)
    return Hits(hits.entity[new], hits.chunk[new], hits.strength[new])


def elsewhere(hits: Hits, corpus: Corpus, rng: np.random.Generator) -> Hits:
    """As many hits of the same entities and strengths, each in a random chunk of another page."""
    n_chunks, page = len(corpus.page), corpus.page
    drawn = rng.integers(n_chunks, size=len(hits.chunk))
    while (same := page[drawn] == page[hits.chunk]).any():
        drawn[same] = rng.integers(n_chunks, size=int(same.sum()))
    return Hits(hits.entity, drawn, hits.strength)


def _all(surfaces: dict[str, tuple[tuple[int, ...], ...]]) -> Sequence[tuple[int, ...]]:
    return list(dict.fromkeys(form for how in HOWS for form in surfaces[how]))


def _links(corpus: Corpus, settings: RetrievalSettings, rng: np.random.Generator) -> Ints:
    """The entity to whose page each mention is marked to lead; wrong ones lead to popular entities more often."""
    own = corpus.mentions
    fate = rng.random(len(own))
    popular = rng.choice(len(corpus.world.entities), size=len(own), p=corpus.world.popularity)
    wrong = (fate < settings.wrong_links) & (popular != own.entity)
    missing = (own.how != LINK) | (fate >= 1 - settings.missing_links)
    return np.where(missing, NONE, np.where(wrong, popular, own.entity))


def _candidates(corpus: Corpus, linked: Ints, weight: float) -> Candidates:
    """What a linker of strings proposes, that knows names, how often links lead to whom, and the words of each entity."""
    world, own = corpus.world, corpus.mentions
    names = {
        entity: [world.english(form) for how in ("link", "alias", "surname") for form in forms[how]]
        for entity, forms in enumerate(world.surfaces)
    }
    prior = np.sqrt(np.bincount(linked[linked != NONE], minlength=len(names)) + 1.0)
    linker = StringLinker(names, prior=dict(enumerate(prior.tolist())), context=_context(corpus), weight=weight)
    links = linker.link(corpus.texts)
    # A name found is a mention: forms of mentions are the linker's names, and no two of them touch.
    width = 1 + max(len(text) for text in corpus.texts)
    places = own.chunk * width + corpus.characters[:, 0]
    found = links.text * width + links.span[:, 0]
    order = np.argsort(places)
    at = order[np.minimum(np.searchsorted(places, found, sorter=order), len(places) - 1)]
    whole = (places[at] == found) & (corpus.characters[at, 1] == links.span[:, 1])
    kept = whole[links.mention]
    mention, entity = at[links.mention][kept], links.entity[kept]
    return Candidates(mention, entity, links.confidence[kept], own.entity[mention] == entity)


def _context(corpus: Corpus) -> dict[int, list[str]]:
    """Of each entity the words of its names, its description and the values of its facts."""
    world = corpus.world
    tokens: list[set[int]] = [{token for form in _all(own) for token in form} for own in world.surfaces]
    for fact in world.facts:
        tokens[fact.subject].update(fact.value)
    return {entity: sorted({world.words[token].lower() for token in own}) for entity, own in enumerate(tokens)}


def _meant(linked: Ints, candidates: Candidates, settings: RetrievalSettings) -> Ints:
    """Who each mention means as far as antecedents go: by the surer of link and linker; -1 where neither says so.

    A link is as sure as links are right. A linker is believed from its threshold on, and above one half.
    """
    found, sure = np.full(len(linked), NONE, dtype=np.int64), np.zeros(len(linked))
    accepted = candidates.confidence >= max(settings.linker, 0.5 + 1e-9)
    found[candidates.mention[accepted]] = candidates.entity[accepted]
    sure[candidates.mention[accepted]] = candidates.confidence[accepted]
    return np.where((linked != NONE) & (sure <= 1 - settings.wrong_links), linked, found)


def _mistaken(antecedent: Ints, page: Ints, share: float, rng: np.random.Generator) -> Ints:
    """Antecedents, that share of which are replaced by another earlier mention of the page, where there is one."""
    found = antecedent.copy()
    first = np.searchsorted(page, page)  # pages stand in the order of their numbers
    wrong = (antecedent != NONE) & (rng.random(len(page)) < share) & (np.arange(len(page)) - first > 1)
    for i in np.flatnonzero(wrong).tolist():
        drawn = int(rng.integers(first[i], i - 1))
        found[i] = drawn + (drawn >= antecedent[i])
    return found
