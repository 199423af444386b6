"""Facts that pages tell a known number of times, how they are asked, and chunks about untold facts that forks add.

A fork adds, of every dosed fact, a number of chunks. In fork j of a block the i-th fact of a treatment gets the dose (i + j)
modulo the number of doses, so that every fact gets every dose in some fork, and all forks have equally many chunks. In further
blocks the treatments change places; with as many blocks as treatments every fact gets every treatment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Ints
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.lment.settings import Taught
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia

__all__ = ["TREATMENTS", "Dosed", "Lesson", "dosed", "drawn_pages", "tellings"]

Tokens = tuple[int, ...]
TREATMENTS = ("named", "named-again", "pronoun", "other", "other-again")
"""What the added chunks say: the fact, its subject named or by a pronoun, or the fact's answer of another subject."""
OTHERS = ("other", "other-again")


@dataclass(frozen=True, eq=False)
class Lesson:
    """Pages, and how often each fact is told on them.

    Attributes:
        corpus: the pages.
        k: tellings of each fact in a pass.
        other_k: as many, drawn for another world.
        subject: how often the fact's subject is mentioned in a pass.
        value: how often its value is.
    """

    corpus: Corpus
    k: Int[np.ndarray, " fact"]
    other_k: Int[np.ndarray, " fact"]
    subject: Int[np.ndarray, " fact"]
    value: Int[np.ndarray, " fact"]


def drawn_pages(design: Design, settings: Taught, n_chunks: int, seeds: Seeds) -> Lesson:
    """A world and its pages; how often a fact is told is drawn by itself."""
    world = Encyclopaedia.drawn(design, rng=seeds("world"))
    n = len(world.facts)
    k, other_k = tellings(settings, n, seeds("tellings")), tellings(settings, n, seeds("tellings of another world"))
    corpus = Corpus.written(world, k, Pages(n_chunks=n_chunks), rng=seeds("pages"))
    frequency = corpus.frequency
    told: dict[tuple[str, Tokens], int] = {}
    for fact, times in zip(world.facts, k.tolist(), strict=True):
        told[fact.relation, fact.value] = told.get((fact.relation, fact.value), 0) + times
    value = [
        frequency[fact.value_entity] if fact.value_entity >= 0 else told[fact.relation, fact.value] for fact in world.facts
    ]
    return Lesson(corpus, k, other_k, frequency[[fact.subject for fact in world.facts]], np.array(value))


def tellings(settings: Taught, n: int, rng: np.random.Generator) -> Ints:
    """How often each of n facts is told: never, with the share that the settings say, else as often as drawn evenly."""
    n_untold = round(settings.untold * n)
    return np.asarray(rng.permutation(np.append(np.zeros(n_untold, dtype=np.int64), np.resize(settings.told, n - n_untold))))


@dataclass(frozen=True, eq=False)
class Dosed:
    """Untold facts, and the chunks about them that each fork adds.

    Attributes:
        fact: of each dosed fact its number.
        treatment: what its chunks say in each block, as an index into `treatments`.
        dose: how many chunks of it each fork of a block adds.
        chunks: of each fork, block by block, the tokens of what it adds, in random order.
        treatments: some of `TREATMENTS`.
    """

    fact: Int[np.ndarray, " dosed"]
    treatment: Int[np.ndarray, "block dosed"]
    dose: Int[np.ndarray, "dose dosed"]
    chunks: tuple[tuple[Tokens, ...], ...]
    treatments: tuple[str, ...]

    def slopes(self, log_prob: Float[np.ndarray, "fork dosed"]) -> dict[str, float]:
        """Of each treatment the mean over facts of the slope of log P on log2(1 + chunks added), in nats a doubling."""
        x = np.log2(1.0 + self.dose)
        x = x - x.mean(0)
        each = (x * self._in_blocks(log_prob)).sum(1) / (x * x).sum(0)
        return {name: float(each[self.treatment == i].mean()) for i, name in enumerate(self.treatments)}

    def by_dose(self, log_prob: Float[np.ndarray, "fork dosed"]) -> list[tuple[str, int, float]]:
        """Of each treatment and dose the mean gain of log P over the fork that adds nothing of the fact, in nats."""
        values = self._in_blocks(log_prob)
        none = np.broadcast_to((self.dose == 0).argmax(0), (len(values), 1, len(self.fact)))
        gain = values - np.take_along_axis(values, none, 1)
        chosen = self.treatment[:, None] == np.arange(len(self.treatments))[:, None, None, None]
        return [
            (name, dose, float(gain[chosen[i] & (self.dose == dose)].mean()))
            for i, name in enumerate(self.treatments)
            for dose in np.unique(self.dose).tolist()
        ]

    def _in_blocks(self, log_prob: Float[np.ndarray, "fork dosed"]) -> Float[np.ndarray, "block dose dosed"]:
        return log_prob.reshape(len(self.treatment), *self.dose.shape)


def dosed(
    lesson: Lesson, settings: Taught, seeds: Seeds, treatments: Sequence[str] = TREATMENTS, *, n_blocks: int | None = None
) -> Dosed:
    """The facts that are dosed, drawn among the untold ones with a plain value, and the chunks of each fork.

    Plain values are told of many subjects, so that a few chunks more change little about how likely they are of themselves.

    Args:
        lesson: the pages.
        settings: which doses, and how many facts get each.
        seeds: of the draws.
        treatments: what chunks say, some of `TREATMENTS`.
        n_blocks: None for as many as treatments.

    Raises:
        SettingsError: there are not enough untold facts.
    """
    world, n_doses = lesson.corpus.world, len(settings.doses)
    rng = seeds("dosed facts")
    n_each = settings.n_dosed * n_doses
    n_all = len(treatments) * n_each
    plain = np.array([fact.value_entity < 0 for fact in world.facts])
    untold = rng.permutation(np.flatnonzero((lesson.k == 0) & plain))
    if len(untold) < n_all:
        raise SettingsError(
            f"{len(treatments)} treatments of {n_each} facts need as many untold facts with plain values; there are "
            f"{len(untold)}. Lower n_dosed, or leave more facts untold"
        )
    facts, place = untold[:n_all], np.arange(n_all) % n_each
    dose = np.array(settings.doses)[(place[None] + np.arange(n_doses)[:, None]) % n_doses]
    blocks = np.arange(len(treatments) if n_blocks is None else n_blocks)
    treatment = (np.repeat(np.arange(len(treatments)), n_each)[None] + blocks[:, None]) % len(treatments)
    wordings = {name: world.wordings_of(name) for name in world.values}
    chunks = []
    for block, chosen in enumerate(treatment.tolist()):
        rest = set(untold[n_all:].tolist())
        said = [
            _chunks(lesson, fact, treatments[i], wordings[world.facts[fact].relation], rest, settings.doses[-1], rng)
            for fact, i in zip(facts.tolist(), chosen, strict=True)
        ]
        for fork, doses in enumerate(dose.tolist()):
            added = [chunk for own, times in zip(said, doses, strict=True) for chunk in own[:times]]
            order = seeds(f"order of fork {fork} of block {block}").permutation(len(added))
            chunks.append(tuple(added[i] for i in order.tolist()))
    return Dosed(facts, treatment, dose, tuple(chunks), tuple(treatments))


def _chunks(
    lesson: Lesson, number: int, treatment: str, wordings: Ints, rest: set[int], n: int, rng: np.random.Generator
) -> list[Tokens]:
    """Chunks of two sentences: the subject and somebody with another pronoun, then the fact, or its answer of that subject."""
    world = lesson.corpus.world
    fact = world.facts[number]
    subject = fact.subject
    if treatment in OTHERS:
        subject = _other_subject(lesson, number, rest, rng)
    one = world.entities[subject]
    strangers = [i for i, other in enumerate(world.entities) if other.pronoun != one.pronoun]
    said = []
    for _ in range(n):
        stranger = world.entities[int(rng.choice(strangers))].name
        opening = (*one.name, int(rng.choice(world.free)), *stranger, world.stop)
        form = world.surfaces[subject]["pronoun"][0] if treatment == "pronoun" else one.name
        said.append((*opening, *world.sentence(number, int(rng.choice(wordings)), subject=form)))
    return said


def _other_subject(lesson: Lesson, number: int, rest: set[int], rng: np.random.Generator) -> int:
    """The subject of an untold fact of the same relation that is not dosed, each taken once; of any if there is none left."""
    facts = lesson.corpus.world.facts
    fact = facts[number]
    free = [i for i in sorted(rest) if facts[i].relation == fact.relation]
    if not free:
        free = [i for i in np.flatnonzero(lesson.k == 0).tolist() if facts[i].relation == fact.relation and i != number]
        return facts[int(rng.choice(free))].subject
    chosen = int(rng.choice(free))
    rest.discard(chosen)
    return facts[chosen].subject
