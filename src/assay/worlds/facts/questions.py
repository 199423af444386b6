"""What a language model is asked, and what it answered: one record of a question, one record of arrays for all answers.

    asked = [Question("Ana Silva lives in", (" Paris", " Rome"), 0, about="Ana Silva", kind="fact"), ...]
    answers.where(kind="fact").mean("right")

The completions of a prompt are compared as wholes: a number of `Answers` is worked out from the log-probability of every
candidate, with its spellings added. Nothing here knows a model.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from assay.core.errors import SettingsError

__all__ = ["Answers", "Candidate", "Question", "pairs_of"]

Candidate = str | tuple[str, ...]
"""A text that may follow a prompt, usually with a leading space; or several spellings of one answer."""


@dataclass(frozen=True)
class Question:
    """A prompt, what may follow it, and which of that is the answer in view.

    Attributes:
        prompt: what the model is given.
        candidates: possible completions. One candidate alone is judged by its probability.
        answer: index of the one in view: the right one, unless a study asks about another.
        about: whom or what it is about; answers are selected by it.
        kind: which sort of question it is; answers are selected by it.
    """

    prompt: str
    candidates: tuple[Candidate, ...]
    answer: int = 0
    about: str = ""
    kind: str = ""

    @property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        """Every candidate as a tuple of its spellings."""
        return tuple((one,) if isinstance(one, str) else one for one in self.candidates)

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every (prompt, completion) whose log-probability its answer needs."""
        return ((self.prompt, text) for spelled in self.spellings for text in spelled)

    @property
    def lesson(self) -> tuple[str, str]:
        """The prompt with the completion in view, as (prompt, completion): what teaches the answer."""
        return self.prompt, self.spellings[self.answer][0]


def pairs_of(questions: Sequence[Question]) -> list[tuple[str, str]]:
    """The distinct (prompt, completion) pairs that the questions need, in order."""
    return list(dict.fromkeys(pair for question in questions for pair in question.pairs))


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered, one entry a question.

    Attributes:
        questions: what was asked.
        log_probs: for each question the log-probability of every candidate as a whole, in nats.
    """

    questions: tuple[Question, ...]
    log_probs: tuple[Float[ndarray, " _candidate"], ...]

    def __post_init__(self) -> None:
        for question, found in zip(self.questions, self.log_probs, strict=True):
            if len(found) != len(question.candidates) or not 0 <= question.answer < len(found):
                raise SettingsError(
                    f"a question needs a log-probability for each candidate, and an answer among them; got {len(found)} for "
                    f"{len(question.candidates)} and answer {question.answer} after '{question.prompt[-60:]}'"
                )

    @classmethod
    def of(
        cls, questions: Sequence[Question], log_probs: Sequence[Sequence[float] | Float[ndarray, " _candidate"]]
    ) -> "Answers":
        """Answers with these log-probabilities of the candidates."""
        return cls(tuple(questions), tuple(np.asarray(found, dtype=float) for found in log_probs))

    @classmethod
    def from_pairs(cls, questions: Sequence[Question], log_probs: Mapping[tuple[str, str], float]) -> "Answers":
        """Answers from the log-probability of every (prompt, completion), spellings of a candidate added."""
        return cls.of(
            questions,
            [
                [
                    log_probs[question.prompt, spelled[0]]
                    if len(spelled) == 1
                    else float(np.logaddexp.reduce([log_probs[question.prompt, text] for text in spelled]))
                    for spelled in question.spellings
                ]
                for question in questions
            ],
        )

    def __len__(self) -> int:
        return len(self.questions)

    # ------------------------------------------------------------------------------------------ one number a question

    @cached_property
    def answer(self) -> Int[ndarray, " question"]:
        """Index of the candidate in view."""
        return np.array([question.answer for question in self.questions], dtype=int)

    @cached_property
    def log_prob(self) -> Float[ndarray, " question"]:
        """Log-probability of the answer in view, in nats."""
        return np.array([found[place] for found, place in zip(self.log_probs, self.answer, strict=True)], dtype=float)

    @cached_property
    def prob(self) -> Float[ndarray, " question"]:
        """Probability of the answer in view, in [0, 1]."""
        found: Float[ndarray, " question"] = np.exp(np.minimum(self.log_prob, 0.0))  # a sum may round to above 1
        return found

    @cached_property
    def share(self) -> Float[ndarray, " question"]:
        """The answer's probability among the candidates, in [0, 1]."""
        whole = np.array([np.logaddexp.reduce(found) for found in self.log_probs], dtype=float)
        found: Float[ndarray, " question"] = np.exp(self.log_prob - whole)
        return found

    @cached_property
    def rank(self) -> Float[ndarray, " question"]:
        """How many candidates are likelier than the answer; ties count half, so knowing nothing of n gives (n - 1) / 2."""
        pairs = zip(self.log_probs, self.log_prob, strict=True)
        return np.array([(found > own).sum() + ((found == own).sum() - 1) / 2 for found, own in pairs], dtype=float)

    @cached_property
    def right(self) -> Float[ndarray, " question"]:
        """1 where the answer is likelier than every other candidate, or, alone, has a probability above 1/2; else 0."""
        alone = np.array([len(found) == 1 for found in self.log_probs], dtype=bool)
        found: Bool[ndarray, " question"] = np.where(alone, self.prob > 0.5, self.rank == 0)
        return found.astype(float)

    @cached_property
    def margin(self) -> Float[ndarray, " question"]:
        """The answer's log-probability less the mean of the other candidates', in nats; nan where there is no other."""
        found = [
            own - (each.sum() - own) / (len(each) - 1) if len(each) > 1 else np.nan
            for each, own in zip(self.log_probs, self.log_prob, strict=True)
        ]
        return np.array(found, dtype=float)

    @cached_property
    def said(self) -> Int[ndarray, " question"]:
        """Index of the likeliest candidate."""
        return np.array([int(found.argmax()) for found in self.log_probs], dtype=int)

    @cached_property
    def confidence(self) -> Float[ndarray, " question"]:
        """Probability of the likeliest candidate among the candidates, in [0, 1]."""
        return np.array([np.exp(found.max() - np.logaddexp.reduce(found)) for found in self.log_probs], dtype=float)

    @property
    def table(self) -> Float[ndarray, "question candidate"]:
        """All log-probabilities as one array; the questions must have equally many candidates."""
        return np.stack(self.log_probs)

    def mean(self, name: str) -> float:
        """The mean over questions of `rank`, `share`, `right`, `margin`, `log_prob`, `prob` or `confidence`.

        Raises:
            SettingsError: there is no question to take it over.
        """
        if not self.questions:
            raise SettingsError(f"a mean needs at least one question; there is none for '{name}'. Check what was selected")
        return float(np.mean(getattr(self, name)))

    # --------------------------------------------------------------------------------------------------- other answers

    def where(self, *, kind: str | None = None, about: Collection[str] | str | None = None) -> "Answers":
        """The answers to questions of that kind, about that or one of those; None asks for nothing."""
        wanted = {about} if isinstance(about, str) else about
        return self.take(
            [
                place
                for place, question in enumerate(self.questions)
                if (kind is None or question.kind == kind) and (wanted is None or question.about in wanted)
            ]
        )

    def take(self, places: Sequence[int] | Int[ndarray, " taken"] | Bool[ndarray, " question"]) -> "Answers":
        """The answers at these places, or where a mask is true."""
        chosen = [int(place) for place in np.arange(len(self))[np.asarray(places, dtype=bool if _is_mask(places) else int)]]
        return Answers(tuple(self.questions[place] for place in chosen), tuple(self.log_probs[place] for place in chosen))

    def among(self, candidates: Sequence[int] | Int[ndarray, " kept"]) -> "Answers":
        """The same answers where only these candidates are offered; the answer in view must be one of them."""
        kept = [int(place) for place in candidates]
        questions = [
            replace(
                question,
                candidates=tuple(question.candidates[place] for place in kept),
                answer=kept.index(question.answer),
            )
            for question in self.questions
        ]
        return Answers.of(questions, [found[kept] for found in self.log_probs])

    def instead(self, answers: Sequence[int] | Int[ndarray, " question"] | int) -> "Answers":
        """The same answers with another candidate in view, one for each question or one for all."""
        each = np.broadcast_to(np.asarray(answers, dtype=int), len(self))
        questions = [replace(question, answer=int(place)) for question, place in zip(self.questions, each, strict=True)]
        return Answers(tuple(questions), self.log_probs)


def _is_mask(places: object) -> bool:
    return isinstance(places, ndarray) and places.dtype == bool
