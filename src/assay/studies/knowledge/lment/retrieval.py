"""Finding an entity's chunks: the index of annotated mentions beside searches for strings (C1, C2, C3, C7); no model.

One run draws a world and its pages, and worlds that differ in who shares names with whom. The truth is known, so recall and
precision are counted, not judged.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.instruments.entity_index.postings import EntityIndex
from assay.studies.knowledge.lment.annotations import Annotations, Candidates, annotated, beyond, elsewhere
from assay.studies.knowledge.lment.searches import SEARCHES, Hits, Returned, Strings, returned, titled
from assay.studies.knowledge.lment.settings import RetrievalSettings
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.words import DESCRIPTIONS
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia

__all__ = ["Library", "change", "gain", "measure", "with_common_aliases"]

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)
COSTLY = 0.02  # precision that a source may cost where its gain in recall is asked
PEOPLED = 0.2  # share of confidences that must lie among the thresholds where these are asked


@dataclass(frozen=True, eq=False)
class Library:
    """Pages and what searches return of them.

    Attributes:
        corpus: the pages.
        best: chunks that a search returns at most.
        ties: by which equally strong chunks are ordered.
        truth: who is mentioned where.
    """

    corpus: Corpus
    best: int
    ties: Float[np.ndarray, " chunk"]
    truth: EntityIndex

    @classmethod
    def of(cls, corpus: Corpus, settings: RetrievalSettings, seeds: Seeds) -> "Library":
        """The library of a corpus."""
        n_entities, n_chunks = len(corpus.world.entities), len(corpus.page)
        truth = EntityIndex.of(corpus.mentions.entity, corpus.mentions.chunk, n_entities=n_entities, n_chunks=n_chunks)
        return cls(corpus, settings.best, seeds("ties").permutation(n_chunks).astype(float), truth)

    def returned(self, hits: Hits) -> Returned:
        """What a search with these hits returns."""
        return returned(hits, self.truth, self.best, self.ties)

    def searches(self, names: tuple[str, ...] = tuple(SEARCHES)) -> dict[str, Returned]:
        """What string searches return."""
        finders = {any_case: Strings(self.corpus, ignore_case=any_case) for any_case in {SEARCHES[name][1] for name in names}}
        surfaces = self.corpus.world.surfaces
        found = {}
        for name in names:
            aliases, any_case = SEARCHES[name]
            phrases = [own["link"] + (own["alias"] if aliases else ()) for own in surfaces]
            found[name] = self.returned(finders[any_case].hits(phrases))
        return found

    def rivals(self) -> dict[str, Returned]:
        """The four string searches and the reader who goes by the page's title."""
        return self.searches() | {"title": self.returned(titled(self.corpus, Strings(self.corpus)))}

    def true(self) -> Returned:
        """What an index of the truth returns."""
        own = self.corpus.mentions
        return self.returned(Hits.alike(own.entity, own.chunk))


def measure(settings: RetrievalSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of a world and of its variants."""
    estimands: dict[str, float] = {}
    with part(0.0, 0.45, "index"):
        library = drawn(settings, seeds)
        notes = annotated(library.corpus, settings, seeds.child("annotations"))
        rivals = library.rivals()
        shared = library.corpus.world.shared
        indices = {
            "index": library.returned(notes.hits()),
            "linker-only": library.returned(notes.hits(links=False, coreference=False)),
            "truth": library.true(),
            "title": rivals["title"],
        }
        for name, found in indices.items():
            estimands[f"{name}/lead"] = min(found.lead(other) for other in rivals.values())
            if name != "linker-only":
                estimands |= {f"{name}/{what}": value for what, value in advantages(found, rivals, shared).items()}
    with part(0.45, 0.75, "other pages"):
        written = drawn(settings, seeds, forms=(1, 0, 0, 0, 0))
        own = written.returned(annotated(written.corpus, settings, seeds.child("annotations")).hits())
        estimands["written-out/recall_gain"] = advantages(own, written.rivals(), written.corpus.world.shared)["recall_gain"]
        unique = drawn(settings, seeds, surnames_shared_by=1, aliases_shared_by=1, shared_names=0.0)
        own = unique.returned(annotated(unique.corpus, settings, seeds.child("annotations")).hits())
        # Who would share a name: as many entities as there, at the same places.
        estimands["unshared/precision_gain"] = advantages(own, unique.rivals(), shared)["precision_gain"]
    with part(0.75, 0.9, "aliases"):
        searched = {"strings": library}
        searched["own-aliases"] = drawn(settings, seeds, common=False, aliases_shared_by=1)
        searched["aliases-of-three"] = drawn(settings, seeds, aliases_shared_by=3)
        by_alias = {name: one.searches() for name, one in searched.items()}
        estimands |= {f"{name}/alias_cost": alias_cost(found) for name, found in by_alias.items()}
    with part(0.9, 1.0, "sources"):
        gains, sources = source_gains(library, notes, seeds)
        changes, thresholds = threshold_changes(notes.candidates, seeds)
    methods: Table = [
        {"search": name, "recall": found.recall(), "precision": found.precision(), "lead": indices["index"].lead(found)}
        for name, found in (rivals | indices).items()
    ]
    aliases: Table = [
        {"aliases": name, "search": search, "precision": one.precision()}
        for name, found in by_alias.items()
        for search, one in found.items()
    ]
    return Measurement(
        {name: float(value) for name, value in (estimands | gains | changes).items()},
        {"methods": methods, "aliases": aliases, "sources": sources, "thresholds": thresholds},
    )


def drawn(
    settings: RetrievalSettings,
    seeds: Seeds,
    *,
    forms: tuple[float, ...] = (1, 1, 1, 1, 1),
    common: bool = True,
    **design: float,
) -> Library:
    """A library drawn from the same streams, whatever its design is.

    Args:
        settings: how large it is.
        seeds: of everything drawn.
        forms: weights of the forms of mentions that are not their page's first.
        common: whether some aliases are common words with capitals.
        design: of the world, where it is not the usual one.
    """
    world = Encyclopaedia.drawn(Design(n_entities=settings.n_entities, **design), rng=seeds("world"))  # type: ignore[arg-type]
    if common:
        world = with_common_aliases(world)
    pages = Pages(n_chunks=settings.n_chunks, forms=forms)  # type: ignore[arg-type]
    corpus = Corpus.written(world, [settings.told] * len(world.facts), pages, rng=seeds("pages"))
    return Library.of(corpus, settings, seeds)


def with_common_aliases(world: Encyclopaedia) -> Encyclopaedia:
    """The same world with some aliases spelled as common words with capitals, such as "The Harbour".

    Aliases have two words. Those whose first word is that of the first alias have "The" in its place, and their second words
    become nouns of descriptions, as far as there are any. Only who ignores capitals takes them for descriptions.
    """
    aliases = [alias for one in world.entities for alias in one.aliases]
    words = list(world.words)
    first = aliases[0][0]
    seconds = list(dict.fromkeys(second for left, second in aliases if left == first))
    nouns = [noun for nouns in zip(*DESCRIPTIONS.values(), strict=True) for noun in nouns]
    words[first] = "The"
    for token, noun in zip(seconds, nouns, strict=False):
        words[token] = noun.capitalize()
    return dataclasses.replace(world, words=tuple(words))


# --------------------------------------------------------------------------------------------------- numbers


def advantages(own: Returned, rivals: Mapping[str, Returned], shared: Bool[np.ndarray, " entity"]) -> dict[str, float]:
    """How far recall of uniquely named entities, and precision of the others, lie above those of the best other search."""
    return {
        "recall_gain": own.recall(~shared) - max(other.recall(~shared) for other in rivals.values()),
        "precision_gain": own.precision(shared) - max(other.precision(shared) for other in rivals.values()),
    }


def alias_cost(found: Mapping[str, Returned]) -> float:
    """Precision by name minus that by name and aliases, the smaller of with and without capitals."""
    plain, any_case = (found[f"name{case}"].precision() - found[f"names{case}"].precision() for case in ("", "-any-case"))
    return min(plain, any_case)


def gain(more: Returned, less: Returned) -> float:
    """Recall of an index with a source minus without it."""
    return more.recall() - less.recall()


def source_gains(library: Library, notes: Annotations, seeds: Seeds) -> tuple[dict[str, float], Table]:
    """What the linker adds to links, and coreference to both, and the same with annotations elsewhere and with true ones."""
    corpus = library.corpus
    stages = {
        "links": notes.hits(linker=False, coreference=False),
        "linker": notes.hits(coreference=False),
        "coreference": notes.hits(),
    }
    found = {name: library.returned(hits) for name, hits in stages.items()}
    numbers: dict[str, float] = {}
    for source, without, named in (("linker", "links", True), ("coreference", "linker", False)):
        base = stages[without]
        cost = found[without].precision() - found[source].precision()
        own = gain(found[source], found[without])
        numbers[f"{source}/source_gain"] = own if cost <= COSTLY else float("nan")
        moved = base + elsewhere(beyond(stages[source], base, corpus), corpus, seeds(f"{source} elsewhere"))
        true = base + notes.true_hits(named=named)
        for arm, hits in ((f"{source}-elsewhere", moved), (f"true-{source}", true)):
            found[arm] = library.returned(hits)
            numbers[f"{arm}/source_gain"] = gain(found[arm], found[without])
    table: Table = [{"sources": name, "recall": one.recall(), "precision": one.precision()} for name, one in found.items()]
    return numbers, table


def threshold_changes(candidates: Candidates, seeds: Seeds) -> tuple[dict[str, float], Table]:
    """How far the linker's precision changes with its threshold, and that of others with the same confidences."""
    confidence, n = candidates.confidence, len(candidates.confidence)
    linkers = {
        "linker": (confidence, candidates.right),
        "calibrated": (confidence, seeds("calibrated").random(n) < confidence),
        "noise": (seeds("noise").permutation(confidence), candidates.right),
    }
    peopled = ((confidence >= THRESHOLDS[0]) & (confidence <= THRESHOLDS[-1])).mean()
    numbers = {f"{name}/threshold_change": change(*linker) for name, linker in linkers.items()}
    if peopled < PEOPLED:
        numbers["linker/threshold_change"] = float("nan")
    table: Table = [
        {"linker": name, "threshold": threshold, "precision": float(right[sure >= threshold].mean())}
        for name, (sure, right) in linkers.items()
        for threshold in THRESHOLDS
    ]
    return numbers, table


def change(confidence: Float[np.ndarray, " candidate"], right: Bool[np.ndarray, " candidate"]) -> float:
    """The largest precision over the thresholds minus the smallest."""
    found = [float(right[confidence >= threshold].mean()) for threshold in THRESHOLDS]
    return max(found) - min(found)
