"""How long facts stay: after injection the model trains on plain text, and what is left of every fact is asked on the way.

What a fact gained is log P of its answer after injection less before, in nats; what is kept of that is followed over steps of
plain text, at steps that are evenly spaced in their logarithms. A line through the kept share (`assay.stats.curves`) gives its
slope, the share that goes with every factor of ten in steps, and the threshold, the step from which on the line is not above
zero. Intervals are over subjects, because facts of one subject are not independent.

Plain steps are those of the injection's recipe, at its full rate throughout, with moments that begin anew: the next training
that a model gets. Their texts are the user's; without any, pages about people, places and works that nobody has heard of, each
read once.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.audit.inject import SealedStates
from assay.audit.measuring import Tokens, log_probs_of
from assay.audit.outcomes import Outcome, outcomes
from assay.audit.probes import Probe
from assay.audit.retention_record import LEVEL, PAGES, Retention
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.core.text import visible
from assay.models.pretrained.limits import limits_of
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.stats.curves import decay_interval, retention_line, threshold_interval
from assay.training.finetune import finetune
from assay.training.recipe import Recipe
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia
from assay.worlds.facts.model import Facts
from assay.worlds.facts.questions import Answers

__all__ = [
    "Plain",
    "asked_at",
    "combined",
    "followed",
    "plain_texts",
    "recipe_of_steps",
    "retained",
]

LONGEST = 1_000  # characters of a plain text; the rest of a longer line is not read
PAGE_WORDS = 24
PAGES_AN_ENTITY = 8
FEWEST_PAGES = 400  # are written; of fewer the first are read
MOST_ENTITIES = 2_000
MOST_STEPS = 1_000_000
A_DECADE = 5  # askings per factor of ten in steps


@dataclass(frozen=True)
class Plain:
    """The plain steps of an audit.

    Attributes:
        n_steps: how many.
        texts: what they read, one for each place of a batch.
        source: where those come from.
        notes: what a reader should know of them.
    """

    n_steps: int
    texts: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def examples(self) -> list[tuple[str, str]]:
        """The texts as what is trained on."""
        return [("", text) for text in self.texts]

    @property
    def digest(self) -> str:
        """Of the texts; two audits with the same one read the same."""
        return digest(list(self.texts))

    def checked(self, model: LanguageModel) -> "Plain":
        """The same with texts that the model can take: longer ones are cut, those that its tokenizer changes left out.

        Raises:
            InputError: no text is left.
        """
        limits, fit, cut = limits_of(model.model), dict[str, str](), 0
        once = list(dict.fromkeys(self.texts))
        for text, tokens in zip(once, try_token_pairs(model.tokenizer, [("", text) for text in once]), strict=True):
            whole = text
            while isinstance(tokens, TokenPair) and text and limits.fault(tokens):
                text = _cut(text, len(text) * 3 // 4)
                (tokens,) = try_token_pairs(model.tokenizer, [("", text)])
            if isinstance(tokens, TokenPair) and text:
                fit[whole] = text
                cut += text != whole
        if once and not fit:
            raise InputError(
                f"{self.source}: the tokenizer must give plain texts back as they are; it changes all {len(once)}. Name texts "
                "that it can spell"
            )
        notes = list(self.notes)
        if cut:
            notes.append(f"{cut:,} of {len(once):,} plain texts are longer than the model can take; the rest is not read.")
        if len(fit) < len(once):
            lost = len(once) - len(fit)
            notes.append(f"{lost:,} of {len(once):,} plain texts are left out, because the tokenizer does not give them back.")
        kept = [fit[text] for text in self.texts if text in fit]
        return replace(self, texts=tuple(_repeated(kept, len(self.texts))), notes=tuple(notes))


def asked_at(n_steps: int) -> tuple[int, ...]:
    """The steps after which facts are asked: 1, the last one, and whole numbers evenly spaced in their logarithms between."""
    if not n_steps:
        return ()
    n = 1 + math.ceil(A_DECADE * math.log10(n_steps)) if n_steps > 1 else 1
    return tuple(sorted({round(step) for step in np.geomspace(1, n_steps, n)}))


def plain_texts(n_steps: int, batch: int, file: Path | None, *, seeds: Seeds) -> Plain:
    """As many plain texts as the steps read: of a file, drawn from its lines; else pages of an invented encyclopaedia.

    Args:
        n_steps: how many plain steps.
        batch: texts a step.
        file: JSON lines with a `text` each (by its ending, .jsonl), or plain text with a passage a line; None for pages.
        seeds: of which lines, and of the pages.

    Raises:
        InputError: the file cannot be read or has no text, or there are more than a million steps.
    """
    if not 0 <= n_steps <= MOST_STEPS:
        raise InputError(f"plain steps must number 0 to {MOST_STEPS:,}; got {n_steps}. Follow fewer (--then 1000)")
    wanted = n_steps * batch
    if file is None:
        told = f"Plain steps read {PAGES}; facts may fade faster or more slowly over a text of your own (--plain FILE)."
        return Plain(n_steps, tuple(_pages(wanted, seeds)), PAGES, (told,) * bool(wanted))
    name, rng = visible(file.name), seeds("plain texts")
    drawn, n_lines, n_cut = list[str](), 0, 0
    for text in _lines(file):
        n_lines += 1
        n_cut += len(text) > LONGEST
        # Every line has the same chance, whatever the length of the file.
        place = len(drawn) if len(drawn) < max(1, wanted) else int(rng.integers(n_lines))
        if place < max(1, wanted):
            drawn[place : place + 1] = [_cut(text, LONGEST)]
    if not drawn:
        raise InputError(f"{name}: a file of plain texts must have at least one; it has none. Write a passage a line")
    notes = []
    if n_cut:
        notes.append(f"{n_cut:,} of {n_lines:,} lines of {name} are longer than {LONGEST:,} characters; the rest is not read.")
    if n_lines < wanted:
        notes.append(
            f"The plain steps read each of the {n_lines:,} lines of {name} {wanted / n_lines:.1f} times on average: a text "
            "that is known moves a model less. More of them tell more."
        )
    order = rng.permutation(len(drawn))
    return Plain(n_steps, tuple(_repeated([drawn[i] for i in order], wanted)), name, tuple(notes))


def followed(
    model: LanguageModel,
    plain: Plain,
    recipe: Recipe,
    asked: Sequence[Probe],
    tokens: Tokens,
    *,
    seeds: Seeds,
    folder: Path | None,
) -> tuple[LanguageModel, Float[ndarray, "time probe"]]:
    """The model after its plain steps, and log P of every question's answer on the way, at the steps of `asked_at`.

    Args:
        model: after injection; its weights change.
        plain: what it reads.
        recipe: see `recipe_of_steps`.
        asked: what is asked.
        tokens: of every pair.
        seeds: of an adapter's beginning, and of dropout.
        folder: where states are kept, so that a killed run goes on.
    """
    steps = set(asked_at(plain.n_steps))
    pairs = {(probe.prompt, text) for probe in asked for text in probe.spellings[probe.answer]}
    right = [replace(probe, candidates=(probe.candidates[probe.answer],), answer=0) for probe in asked]

    def observe(step: int, tuned: LanguageModel) -> Mapping[str, float]:
        if step not in steps:
            return {}
        found = log_probs_of(tuned, {pair: tokens[pair] for pair in pairs})
        return {str(i): float(value) for i, value in enumerate(Answers.from_pairs(right, found).log_prob)}

    checkpoints = None
    if folder is not None:
        name = digest([plain.digest, recipe, seeds])
        checkpoints = SealedStates(folder / name, every=max(10, plain.n_steps // 4), keep=1)
    tuned = finetune(model, plain.examples, recipe, seeds=seeds, checkpoints=checkpoints, observe=observe, observe_every=1)
    rows = [row for step, row in zip(tuned.trace.steps, tuned.trace.observations, strict=True) if step in steps]
    return tuned.model, np.array([[row[str(i)] for i in range(len(asked))] for row in rows], dtype=float)


def recipe_of_steps(recipe: Recipe) -> Recipe:
    """How plain steps are made after an injection by this recipe: at its full rate throughout, every text once."""
    return replace(recipe, n_epochs=1, schedule="constant", warmup=0.0, bucket=1)


def retained(
    facts: Facts,
    plain: Plain,
    recipe: Mapping[str, object],
    before: Answers,
    after: Answers,
    later: Answers,
    curve: Float[ndarray, "time probe"],
    *,
    seeds: Seeds,
) -> tuple[list[Outcome], Retention]:
    """The outcomes of the column `retained`, and how the gain was lost on the way.

    Args:
        facts: the file.
        plain: what was read.
        recipe: of the plain steps.
        before, after, later: what the model answered before injection, after it, and after the plain steps, to the sentences
            that were trained on.
        curve: log P of the right answers at the steps of `asked_at`.
        seeds: of bootstraps.
    """
    asked = tuple(replace(probe, column="retained") for probe in before.questions if isinstance(probe, Probe))
    found = outcomes(replace(before, questions=asked), replace(later, questions=asked))
    by_fact: dict[int, list[int]] = {}
    for place, probe in enumerate(asked):
        by_fact.setdefault(probe.fact, []).append(place)
    gain, kept = after.log_prob - before.log_prob, curve - before.log_prob
    record = Retention(
        plain.n_steps,
        plain.source,
        len(set(plain.texts)),
        plain.digest,
        recipe,
        subjects=tuple(facts.facts[fact].subject for fact in by_fact),
        gains=tuple(float(gain[own].mean()) for own in by_fact.values()),
        curves=tuple(tuple(kept[:, own].mean(axis=1).tolist()) for own in by_fact.values()),
    )
    return found, _with_line(record, seeds)


def combined(runs: Sequence[Retention], *, seeds: Seeds) -> Retention:
    """One record of several trainings: what is left of each fact, the mean over them."""
    gains, curves = (np.mean([getattr(run, name) for run in runs], axis=0) for name in ("gains", "curves"))
    return _with_line(replace(runs[0], gains=tuple(gains.tolist()), curves=tuple(map(tuple, curves.tolist()))), seeds)


def _with_line(record: Retention, seeds: Seeds) -> Retention:
    """The record with what follows from what every fact gained and kept: the mean over subjects, and the line through it."""
    units: dict[str, list[int]] = {}
    for place, subject in enumerate(record.subjects):
        units.setdefault(subject, []).append(place)
    steps = asked_at(record.n_steps)
    gains, curves = np.array(record.gains), np.array(record.curves).reshape(len(record.gains), len(steps))
    gain = np.array([gains[own].mean() for own in units.values()])
    kept = np.array([curves[own].mean(axis=0) for own in units.values()])
    mean = float(gain.mean())
    record = replace(record, steps=(0, *steps), gain=mean, n_units=len(units))
    if mean <= 0:
        return record
    record = replace(record, kept=(1.0, *(kept.mean(axis=0) / mean).tolist()))
    if len(steps) < 2:
        return record
    times = np.array(steps, dtype=float)
    if len(units) < 2:
        line = retention_line(times, kept, gain)
        return replace(record, slope=float(line.decay), threshold=float(line.threshold))
    slope = decay_interval(times, kept, gain, rng=seeds("slope"), level=LEVEL)
    threshold = threshold_interval(times, kept, rng=seeds("threshold"), level=LEVEL)
    return replace(
        record,
        slope=slope.estimate,
        slope_low=slope.low,
        slope_high=slope.high,
        threshold=threshold.estimate,
        threshold_low=threshold.low,
        threshold_high=threshold.high,
    )


def _pages(n: int, seeds: Seeds) -> list[str]:
    """So many pages of plain English about entities that are invented, and facts about them."""
    if not n:
        return []
    written = max(n, FEWEST_PAGES)
    n_entities = min(MOST_ENTITIES, max(80, written // PAGES_AN_ENTITY))
    world = Encyclopaedia.drawn(Design(n_entities, n_held_out=0, n_aliases=0, shared_names=0.0), rng=seeds("world"))
    tellings = np.full(len(world.facts), max(1, round(written / len(world.facts))))
    pages = Pages(written, PAGE_WORDS, forms=(1, 0, 1, 1, 0))
    found = Corpus.written(world, tellings, pages, rng=seeds("pages")).texts
    return [found[i] for i in seeds("order of pages").permutation(len(found))[:n]]


def _repeated(texts: Sequence[str], n: int) -> list[str]:
    """So many texts, those given over and over."""
    return [texts[i % len(texts)] for i in range(n)]


def _cut(text: str, most: int) -> str:
    """The beginning of a text, of at most so many characters; whole words where it has any."""
    if len(text) <= most:
        return text
    return text[: max(text.rfind(" ", 0, most + 1), 0) or most].rstrip()


def _lines(file: Path) -> Iterator[str]:
    """The texts of a file that are not empty."""
    name, rows = visible(file.name), file.suffix.lower() == ".jsonl"
    try:
        with file.open("rb") as stream:
            for number, content in enumerate(stream, 1):
                try:
                    line = content.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    raise InputError(f"{name}, line {number}: plain texts must be UTF-8. Save the file as UTF-8") from error
                if line and (text := _text_of(line, f"{name}, line {number}") if rows else line).strip():
                    yield text.strip()
    except OSError as error:
        raise InputError(
            f"a file of plain texts must be readable; {visible(str(file))}: {error.strerror}. Check its name"
        ) from error


def _text_of(line: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: a line must be a JSON object with a text; got '{visible(line[:60])}'") from error
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{where}: a row must have a text in 'text'; it has none. Name the field so")
    return text
