"""What was hit hardest: single questions whose answer changed for the worse, in words, with what the model says to them now."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from assay.audit.columns import COLUMNS, column_named
from assay.audit.outcomes import Outcome
from assay.audit.record import Audit, Spoken

__all__ = ["Hit", "Reply", "hits", "reply", "sentences"]

What = Literal["lost", "made up", "not learned"]
MOST: Mapping[What, int] = {"lost": 4, "made up": 2, "not learned": 2}
MOST_TOGETHER = 6


@dataclass(frozen=True)
class Reply:
    """What a model answers before and after.

    Attributes:
        before, after: in its own words, the likeliest at each step; else the likeliest of the answers that were offered, or
            nothing where one alone was, and is not likely.
        aloud: whether they are its own words.
        runs: in how many trainings it now answers so, of how many.
    """

    before: str
    after: str
    aloud: bool
    runs: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Hit:
    """One question that came out worse.

    Attributes:
        what: whether a right answer was lost, something that does not follow is made up, or a trained sentence is not learned.
        outcome: the question, before and after.
        reply: what the model answers.
    """

    what: What
    outcome: Outcome
    reply: Reply

    @property
    def prompt(self) -> str:
        """Of the question."""
        return self.outcome.question.prompt

    @property
    def answer(self) -> str:
        """The answer in view: the right one, or the one that does not follow."""
        return self.outcome.question.lesson[1].strip()


def hits(found: Audit) -> list[Hit]:
    """The hardest hit, the worst first: what was lost, then what is made up, then what is not learned; each prompt once."""
    spoken = {one.prompt: one for one in found.spoken}
    told: list[Hit] = []
    for what, most in MOST.items():
        own = sorted((one for one in found.outcomes if _what(one) == what), key=_badness, reverse=True)
        once = list({one.question.prompt: one for one in reversed(own)}.values())[::-1]
        told += [Hit(what, one, reply(one, spoken)) for one in once[:most]]
    return told[:MOST_TOGETHER]


def reply(outcome: Outcome, spoken: Mapping[str, Spoken]) -> Reply:
    """What the model answers to a question, in its own words where it was let."""
    own = spoken.get(outcome.question.prompt)
    if own is not None and own.before.strip() and all(text.strip() for text in own.after):
        counted = Counter(own.after).most_common(1)[0]
        return Reply(own.before.strip(), counted[0].strip(), True, (counted[1], len(own.after)))
    spellings = outcome.question.spellings
    sides = ((outcome.first_before, outcome.right_before), (outcome.first_after, outcome.right_after))
    before, after = (spellings[at][0].strip() if len(spellings) > 1 or right >= 0.5 else "" for at, right in sides)
    return Reply(before, after, False)


def _what(outcome: Outcome) -> What | None:
    question = outcome.question
    column = column_named(question.column)
    if not question.prompt or question.kind in column.by_fact:
        return None
    if column.losses:
        return "lost" if outcome.right_after < 0.5 else None
    if question.column == "hallucinated":
        return "made up" if outcome.right_after >= 0.5 > outcome.right_before else None
    return "not learned" if question.column == "learned" and outcome.right_after < 0.5 else None


def _badness(outcome: Outcome) -> tuple[float, int, float]:
    """By how much, to a tenth; then by the order of columns, so that what a file names comes before what is known at large."""
    size = -outcome.after if outcome.question.column == "learned" else outcome.change
    place = list(COLUMNS).index(outcome.question.column) if outcome.question.column in COLUMNS else len(COLUMNS)
    return round(size, 1), -place, size


def sentences(found: Iterable[Hit]) -> Sequence[str]:
    """The hits in words."""
    return [_sentence(one) for one in found]


def _sentence(hit: Hit) -> str:
    outcome, said = hit.outcome, hit.reply
    verb = "says" if said.aloud else "prefers"
    often = "" if said.runs[1] == 1 else f" (in {said.runs[0]} of {said.runs[1]} trainings)"
    if said.runs[1] > said.runs[0] == 1:
        often = " (and something else after each other training)"
    now = f"it now {verb} “{said.after}”{often}"
    before = f"“{said.before}” before" if said.before else "something else before"
    number = f"{outcome.before:.2f} → {outcome.after:.2f}"
    if hit.what == "lost":
        return f"“{hit.prompt}”: {before}, {now}; “{hit.answer}” had a share of {number}."
    if hit.what == "made up":
        return f"“{hit.prompt}”: {before}, {now}; “{hit.answer}” does not follow ({number})."
    return f"“{hit.prompt}”: {now} and not “{hit.answer}” ({number})."
