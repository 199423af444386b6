"""How often a corpus mentions what facts are about, when a training saw it, and whether that goes with what a model knows.

    found = exposure(Path("corpus.jsonl"), read_facts(Path("facts.yaml")), Transcript.read(Path("log")))
    found.rows, found.notes

A passage is a line of the corpus (of a longer one, a part). Who is mentioned is told by names alone: subjects, their aliases,
objects and their other spellings, as whole words with their capitals; pronouns are not resolved.
"""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.core.text import visible
from assay.instruments.entity_index.names import NameFinder, without_spaces
from assay.instruments.entity_index.postings import EntityIndex
from assay.training.order import Transcript
from assay.worlds.facts.model import PAIRS, Facts, same_name

if TYPE_CHECKING:
    from assay.models.pretrained.loading import LanguageModel

__all__ = ["LONGEST", "Exposure", "Exposures", "exposure", "known_to", "predicted", "with_known"]

LONGEST = 20_000  # characters of a passage; a longer line is cut
LONG_WORD = 400  # characters without a space that are no word
COMMON = 0.05  # share of all passages
ALSO_SMALL = 0.25  # of the passages with a name, those with the same word in small letters
SPLITS = 10
SEEN_OFTEN = 1_000  # lines between two reports of progress
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # but tabs and ends of lines


@dataclass(frozen=True)
class Exposure:
    """What one fact met with.

    Attributes:
        subject: of the fact.
        relation: of the fact.
        object: of the fact.
        n_subject: passages that mention the subject.
        n_object: passages that mention the object.
        n_both: passages that mention both.
        n_seen: how often the training saw such a passage; None without a log.
        first_step: the first step that saw one; None where none did, or without a log.
        last_step: the last one.
        known: share of the fact's sentences that the model answers rightly, in [0, 1]; None without a model.
        predicted: the same as `n_both` predicts it, from facts about other subjects.
    """

    subject: str
    relation: str
    object: str
    n_subject: int
    n_object: int
    n_both: int
    n_seen: int | None = None
    first_step: int | None = None
    last_step: int | None = None
    known: float | None = None
    predicted: float | None = None


@dataclass(frozen=True)
class Exposures:
    """What all facts met with.

    Attributes:
        rows: one a fact, in the order of the file.
        n_passages: of the corpus.
        notes: what a reader should know, in sentences.
    """

    rows: tuple[Exposure, ...]
    n_passages: int
    notes: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def exposure(corpus: Path, facts: Facts, transcript: Transcript | None = None, *, text_field: str = "text") -> Exposures:
    """How many passages mention the subject, the object and both of every fact, and the steps that saw the latter.

    Args:
        corpus: JSON lines with a text each (by its ending, .jsonl), or plain text with a passage a line.
        facts: the file of facts.
        transcript: of a training on lines of this corpus; a line was seen where the log has the very same text.
        text_field: of a JSON line the field that holds its text.

    Raises:
        InputError: the corpus cannot be read, has no passage, or none of its lines is in the log.
    """
    names = _Names.of(facts)
    reading = _Reading({} if transcript is None else {text: i for i, text in enumerate(dict.fromkeys(transcript.texts))})
    finder = NameFinder(names.names)
    entity, passage, of_text = list[int](), list[int](), list[int]()
    in_passages: Counter[int] = Counter()
    for text, known in _passages(corpus, reading, text_field):
        found = {number for _, _, number in finder.find(text)}
        in_passages.update(found)
        holders = {one for number in found for one in names.holders[number]}
        entity += holders
        passage += [reading.n_passages - 1] * len(holders)
        of_text.append(known)
    if not reading.n_passages:
        raise InputError(f"a corpus must have at least one passage; {visible(corpus.name)} has none. Name another file")
    index = EntityIndex.of(entity, passage, n_entities=names.n_entities, n_chunks=reading.n_passages)
    pairs = np.array(names.pairs, dtype=np.int64).reshape(-1, 2)
    pair, chunk = index.all_both(pairs)
    n_both = np.bincount(pair, minlength=len(pairs))
    rows = [
        Exposure(fact.subject, fact.relation, fact.object, int(index.counts[a]), int(index.counts[b]), int(both))
        for fact, (a, b), both in zip(facts.facts, names.pairs, n_both.tolist(), strict=True)
    ]
    notes = [*facts.notes, *reading.notes(), *names.notes(in_passages, reading.n_passages)]
    if transcript is not None:
        rows = _with_steps(rows, transcript, pair, np.array(of_text, dtype=np.int64)[chunk])
        notes += [*transcript.notes, *reading.notes_of_log(corpus)]
    return Exposures(tuple(rows), reading.n_passages, tuple(notes))


def known_to(model: "LanguageModel", facts: Facts) -> tuple[Floats, tuple[str, ...]]:
    """Of every fact the share of its sentences and paraphrases that the model answers rightly, and notes on the questions.

    Wrong answers are drawn as in an audit: a fact's own candidates, or other facts' objects of its relation.

    Raises:
        InputError: a text does not survive the tokenizer, or is longer than the model can take.
        WorkError: logits are not finite, or memory ran out.
    """
    from assay.audit.outcomes import known_before  # these load torch, and counting needs none
    from assay.audit.probes import Extent
    from assay.audit.session import Session

    everything = replace(facts, facts=tuple(replace(fact, trained=True) for fact in facts.facts))
    session = Session.of(model, everything, Extent(n_said=0), Seeds(0))
    own = tuple(probe for probe in session.asked if probe.column in ("learned", "paraphrase") and probe.kind == "sentence")
    session = replace(session, asked=own, premises={}).checked()
    return np.array(known_before(session.facts, session.ask(model).probes)), session.notes


def predicted(n_both: Ints, known: Floats, subjects: Sequence[str]) -> Floats:
    """For every fact the chance that it is known, from how many passages mention both its subject and its object.

    A logistic regression on log2(1 + passages), fitted to facts about other subjects: subjects are dealt into ten parts, and
    each part's facts are predicted from the rest. One more observation, known by half at the mean, keeps it finite.
    """
    x = np.log2(1 + np.asarray(n_both, dtype=float))
    part = {subject: i % SPLITS for i, subject in enumerate(dict.fromkeys(subjects))}
    parts = np.array([part[subject] for subject in subjects])
    found = np.full(len(x), np.nan)
    for one in np.unique(parts):
        held_out = parts == one
        if held_out.all():
            break
        intercept, slope = _logistic(x[~held_out], known[~held_out])
        found[held_out] = 1 / (1 + np.exp(-(intercept + slope * x[held_out])))
    return found


def with_known(found: Exposures, known: Floats, notes: Sequence[str] = ()) -> Exposures:
    """The exposures with what a model knows, what exposure predicts, and a sentence on how the two go together."""
    n_both = np.array([row.n_both for row in found.rows], dtype=np.int64)
    expected = predicted(n_both, known, [row.subject for row in found.rows])
    rows = tuple(
        replace(row, known=float(own), predicted=float(guess) if np.isfinite(guess) else None)
        for row, own, guess in zip(found.rows, known, expected, strict=True)
    )
    says = f"The model answers {int((known >= 0.5).sum())} of {len(known)} facts rightly in at least half of their sentences"
    if len(known) > 2 and np.ptp(n_both) and np.ptp(known):
        from scipy.stats import spearmanr

        correlation = float(spearmanr(n_both, known).statistic)
        says += f"; rank correlation with the number of passages that mention both: {correlation:.2f}"
    return replace(found, rows=rows, notes=(*found.notes, *notes, f"{says}."))


# ------------------------------------------------------------------------------------------------------------ the corpus


@dataclass
class _Reading:
    """What is noted while a corpus is read.

    Attributes:
        in_log: number of each text of the log.
    """

    in_log: Mapping[str, int]
    n_passages: int = 0
    n_lines: int = 0
    n_in_log: int = 0
    cut: list[tuple[int, int, int]] = field(default_factory=list)  # line, characters, parts
    control: list[int] = field(default_factory=list)
    unspaced: list[int] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        if self.cut:
            line, size, parts = self.cut[0]
            yield (
                f"{_lines(len(self.cut))} longer than {LONGEST:,} characters and cut into passages (line {line}: {size:,} "
                f"characters, {parts:,} passages): mentions in different parts do not count as together."
            )
        if self.control:
            yield (
                f"{_lines(len(self.control), 'have', 'has')} control characters (first line {self.control[0]}); they are taken "
                "as spaces."
            )
        if self.unspaced:
            yield (
                f"{_lines(len(self.unspaced), 'have', 'has')} more than {LONG_WORD} characters without a space (first line "
                f"{self.unspaced[0]}): names are found only where no letter touches them."
            )

    def notes_of_log(self, corpus: Path) -> Iterator[str]:
        if not self.n_in_log:
            raise InputError(
                f"the log must be of a training on texts of this corpus; none of the {self.n_lines:,} lines of "
                f"{visible(corpus.name)} is a text of the log. Name the file whose lines were trained on"
            )
        if self.n_in_log < self.n_lines:
            yield f"{self.n_lines - self.n_in_log:,} of {self.n_lines:,} lines are in no step of the log."


def _lines(n: int, several: str = "are", one: str = "is") -> str:
    return f"{n:,} lines {several}" if n > 1 else f"1 line {one}"


def _passages(corpus: Path, reading: _Reading, text_field: str) -> Iterator[tuple[str, int]]:
    """Passages in the form in which names are looked for, and the number of their line's text in the log; -1 for none."""
    rows = corpus.suffix.lower() == ".jsonl"
    try:
        size, done = max(1, corpus.stat().st_size), 0
        with corpus.open("rb") as file:
            for number, content in enumerate(file, 1):
                done += len(content)
                if number % SEEN_OFTEN == 1:
                    progress(done / size, f"read {number:,} lines")
                raw = _decoded(content, corpus, number).rstrip("\r\n")
                if not raw.strip():
                    continue
                text = _text_of(raw, corpus, number, text_field) if rows else raw
                known = reading.in_log.get(text, -1)
                reading.n_lines += 1
                reading.n_in_log += known >= 0
                for part in _parts(text, number, reading):
                    reading.n_passages += 1
                    yield part, known
    except OSError as error:
        raise InputError(f"a corpus must be a file that can be read; {visible(str(corpus))}: {error.strerror}") from error


def _decoded(content: bytes, corpus: Path, number: int) -> str:
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{visible(corpus.name)}, line {number}: a corpus must be UTF-8; byte {error.start} of the line is not. "
            "Save it as UTF-8"
        ) from error


def _text_of(line: str, corpus: Path, number: int, text_field: str) -> str:
    where = f"{visible(corpus.name)}, line {number}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: a line must be a JSON object; got '{visible(line[:60])}'. Plain text needs another ending than .jsonl"
        ) from error
    text = row.get(text_field) if isinstance(row, dict) else None
    if not isinstance(text, str):
        fields = ", ".join(visible(str(name)[:30]) for name in list(row)[:8]) if isinstance(row, dict) else "no object"
        raise InputError(
            f"{where}: a row must have a text in '{visible(text_field)}'; it has {fields}. Name the field with --field"
        )
    return text


def _parts(text: str, number: int, reading: _Reading) -> list[str]:
    """The text in composed characters, with single spaces and without control characters, cut where it is too long."""
    plain, n_control = CONTROL.subn(" ", unicodedata.normalize("NFC", text))
    if n_control:
        reading.control.append(number)
    words = plain.split()
    if any(len(word) > LONG_WORD and not any(map(without_spaces, word[:LONG_WORD])) for word in words):
        reading.unspaced.append(number)
    whole = " ".join(words)
    if len(whole) <= LONGEST:
        return [whole]
    found, start = list[str](), 0
    while start < len(whole):
        end = start + LONGEST
        if end < len(whole):
            end = max(whole.rfind(" ", start, end), 0) or end
        found.append(whole[start:end])
        start = end
    reading.cut.append((number, len(text), len(found)))
    return found


# -------------------------------------------------------------------------------------------------------------- the names


@dataclass(frozen=True)
class _Names:
    """What is looked for.

    Attributes:
        names: every name, and single words that are a subject's name once more in small letters.
        holders: the entities of each name; none for a word that is looked for to see how common it is.
        pairs: of every fact the entities that are its subject and its object.
        n_entities: how many there are.
        subjects: names of subjects.
        bare: how many facts are prompts without a subject of their own.
    """

    names: list[str]
    holders: list[list[int]]
    pairs: list[tuple[int, int]]
    n_entities: int
    subjects: dict[str, None]
    bare: int

    @classmethod
    def of(cls, facts: Facts) -> "_Names":
        entities: dict[tuple[str, ...], int] = {}
        pairs, subjects = list[tuple[int, int]](), dict[str, None]()
        holders: dict[str, list[int]] = defaultdict(list)
        for fact in facts.facts:
            both = []
            for given in ((fact.subject, *fact.also), fact.answer):
                own = tuple(dict.fromkeys(name for name in map(same_name, given) if name))
                if own not in entities:
                    entities[own] = len(entities)
                    for name in own:
                        holders[name].append(entities[own])
                both.append(entities[own])
            subjects |= dict.fromkeys(filter(None, map(same_name, (fact.subject, *fact.also))))
            pairs.append((both[0], both[1]))
        if not holders:
            raise InputError(f"facts must name their subjects and objects; those of {visible(facts.name)} name none")
        for name in subjects:
            if " " not in name and name.lower() not in holders:
                holders[name.lower()] = []
        bare = sum(fact.relation == PAIRS for fact in facts.facts)
        return cls(list(holders), list(holders.values()), pairs, len(entities), subjects, bare)

    def notes(self, in_passages: Mapping[int, int], n_passages: int) -> Iterator[str]:
        """Sentences on subjects that are common words, and facts that have none."""
        number = {name: i for i, name in enumerate(self.names)}
        for name in self.subjects:
            n, small = in_passages.get(number[name], 0), in_passages.get(number.get(name.lower(), -1), 0)
            shown = visible(name[:60])
            if n > max(3, COMMON * n_passages):
                yield (
                    f"'{shown}' stands in {n:,} of {n_passages:,} passages, as common words do: its counts say little "
                    "of the fact."
                )
            elif name != name.lower() and small > ALSO_SMALL * n and " " not in name:
                yield (
                    f"'{shown}' is a common word too: it stands in {n:,} passages, and '{visible(name.lower()[:60])}' in "
                    f"{small:,}. Some of the former may not mean the subject."
                )
            elif name == name.lower() and name != name.upper() and n:
                yield f"'{shown}' has no capital, so every passage with that word counts ({n:,}), whatever it means there."
        if self.bare:
            yield (
                f"{self.bare:,} facts are bare prompts: what is looked for as their subject is the prompt. Name subjects in "
                "the file to have them counted."
            )


# -------------------------------------------------------------------------------------------------- steps and prediction


def _with_steps(rows: Sequence[Exposure], transcript: Transcript, pair: Ints, text: Ints) -> list[Exposure]:
    """The rows with the steps that saw their passages, given by pair and number of the text in the log; -1 for none."""
    numbers = {one: i for i, one in enumerate(dict.fromkeys(transcript.texts))}
    of_example = np.array([numbers[one] for one in transcript.texts], dtype=np.int64)
    order, n = transcript.order, len(numbers)
    seen_text, steps = of_example[order.examples], order.steps
    times = np.bincount(seen_text, minlength=n)
    first, last = np.full(n, order.n_steps, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    np.minimum.at(first, seen_text, steps)
    np.maximum.at(last, seen_text, steps)
    known = text >= 0
    hits = np.unique(np.stack([pair[known], text[known]]), axis=1)  # several parts, or copies, of one text count once
    found = [(0, order.n_steps, -1)] * len(rows)
    for one, where in hits.T.tolist():
        n_seen, begun, ended = found[one]
        found[one] = (n_seen + int(times[where]), min(begun, int(first[where])), max(ended, int(last[where])))
    return [
        replace(row, n_seen=n_seen, first_step=begun if n_seen else None, last_step=ended if n_seen else None)
        for row, (n_seen, begun, ended) in zip(rows, found, strict=True)
    ]


def _logistic(x: Floats, y: Floats, *, ridge: float = 0.01, n_steps: int = 30) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of shares on x by Newton's method, with one more observation of a half."""
    mean = float(x.mean())
    design = np.stack([np.ones(len(x) + 1), np.append(x - mean, 0.0)], axis=1)
    shares, weights, penalty = np.append(y, 0.5), np.zeros(2), np.diag([0.0, ridge])
    for _ in range(n_steps):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (p - shares) + penalty @ weights
        weights = weights - np.linalg.solve((design.T * np.maximum(p * (1 - p), 1e-6)) @ design + penalty, slope)
    return float(weights[0] - weights[1] * mean), float(weights[1])
