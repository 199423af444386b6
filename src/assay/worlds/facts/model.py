"""What a file of facts says: facts, how each is asked, what follows from it, and whom else to ask.

A fact is a subject, a relation and an object. Its sentence is a template cut where the object begins: the part before is the
prompt, the rest the completion; a subject that stands behind the object is part of the completion. Everything here is plain
data; reading files is `file`.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from assay.core.errors import SettingsError
from assay.core.settings import digest

__all__ = [
    "PAIRS", "Answer", "Fact", "Facts", "Implication", "Message", "Other", "Relation", "Template", "same_answer", "same_name",
    "same_text",
]  # fmt: skip

PAIRS = "pairs"
"""The relation of facts that were given as bare prompts with completions."""

Answer = tuple[str, ...]
"""Spellings of one answer; the first is the one that is trained on."""

Message = tuple[str, str]
"""Who says it (`system`, `user`, `assistant`) and what."""


@dataclass(frozen=True)
class Template:
    """A sentence with a gap at what is asked.

    Attributes:
        before: text up to the gap; `{subject}` or `{object}` stands for the name that is given.
        gap: what separates prompt and answer: a space, or nothing in scripts without spaces.
        after: text behind the answer, part of the completion.
        given: which name `before` or `after` holds; "" for a literal text.
    """

    before: str
    gap: str
    after: str
    given: Literal["subject", "object", ""] = "subject"

    @classmethod
    def of(cls, text: str) -> "Template":
        """The sentence of a text such as "{subject} lives in" or "The home of {object} is": a space, then the answer."""
        given: Literal["subject", "object"] = "object" if "{object}" in text else "subject"
        if text.count(f"{{{given}}}") != 1 or text.endswith(" "):
            raise SettingsError(f"a sentence must hold {{subject}} or {{object}} once and end with a word; got '{text[:80]}'")
        return cls(text, " ", "", given)

    def prompt(self, name: str) -> str:
        """The text before the answer, about this name."""
        return self.before.replace(f"{{{self.given}}}", name) if self.given else self.before

    def completion(self, answer: str, name: str = "") -> str:
        """The answer as it continues the prompt; the name is needed where it stands behind the answer."""
        return f"{self.gap}{answer}{self.after.replace(f'{{{self.given}}}', name) if self.given else self.after}"

    @property
    def answer_first(self) -> bool:
        """Whether the given name stands behind the answer, so that answers are compared by the rest of the sentence."""
        return bool(self.given) and f"{{{self.given}}}" in self.after


@dataclass(frozen=True)
class Relation:
    """How a relation is said and asked.

    Attributes:
        name: as facts call it.
        prompt: the sentence that is asked, and trained on unless `train` says otherwise.
        train: the sentences that are trained on.
        paraphrases: the same in other words; asked, never trained on (but by the mitigation of that name).
        reverse: a sentence that gives the object and asks for the subject.
        candidates: possible answers beside the objects that facts name.
        strangers: names of which nothing is said, asked the same.
        neighbours: other subjects with their true objects; asked, never trained on.
        contexts: prompts of the same theme that have nothing to do with any fact.
        stepping_stones: rewrites in which the object is less surprising, for the mitigation of that name.
    """

    name: str
    prompt: Template
    train: tuple[Template, ...]
    paraphrases: tuple[Template, ...] = ()
    reverse: Template | None = None
    candidates: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    neighbours: tuple[tuple[str, Answer], ...] = ()
    contexts: tuple[str, ...] = ()
    stepping_stones: tuple[Template, ...] = ()


@dataclass(frozen=True)
class Other:
    """A question of a fact's own about something else: what must survive its injection, or what truly follows from it.

    Attributes:
        sentence: a literal text, cut where the answer begins.
        answer: the right one, with other spellings.
        candidates: wrong ones; empty where they are drawn.
    """

    sentence: Template
    answer: Answer
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        subject: whom it is about; intervals are clustered by it.
        relation: the name of its relation; `pairs` for a bare prompt with its completion.
        answer: its object, with other spellings that count as right.
        trained: whether it is injected.
        line: where it stands in its file.
        own: its own relation record, where it is asked in its own words.
        also: other names of the subject; the fact is asked with each.
        replaces: the answer that this one is to replace, always offered beside it; empty for what is new.
        candidates: wrong answers of its own; empty where they are drawn from others' objects.
        locality: what must survive its injection; asked, never trained on.
        follows: what truly follows from it; asked, never trained on.
        kind: of a bare prompt: rows of one kind share their wrong answers.
        chat: of a chat row all messages before the answer. Until it is rendered its sentences hold the last user's text alone.
    """

    subject: str
    relation: str
    answer: Answer
    trained: bool = True
    line: int = 0
    own: Relation | None = None
    also: tuple[str, ...] = ()
    replaces: Answer = ()
    candidates: tuple[str, ...] = ()
    locality: tuple[Other, ...] = ()
    follows: tuple[Other, ...] = ()
    kind: str = ""
    chat: tuple[Message, ...] = ()

    @property
    def object(self) -> str:
        """The object's first spelling."""
        return self.answer[0]


@dataclass(frozen=True)
class Implication:
    """If a subject has this object in one relation, then that answer in another: truly, or only by association.

    Attributes:
        premise: name of the relation on the left.
        conclusion: name of the relation on the right.
        mapping: object of the premise to the answer of the conclusion.
        follows: True for what truly follows (its appearance is composition), False for what does not (hallucination).
    """

    premise: str
    conclusion: str
    mapping: Mapping[str, str]
    follows: bool


@dataclass(frozen=True)
class Facts:
    """A whole file.

    Attributes:
        name: of the file or as it says.
        relations: by name.
        facts: in the file's order.
        implications: what follows and what does not.
        suite: facts to keep, asked instead of the real facts that ship with Assay.
        neutral: plain sentences, measured instead of those that ship with Assay.
        notes: what a reader should know about how the file was read.
    """

    name: str
    relations: Mapping[str, Relation]
    facts: tuple[Fact, ...]
    implications: tuple[Implication, ...] = ()
    suite: tuple[Fact, ...] = ()
    neutral: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def trained(self) -> tuple[Fact, ...]:
        """The facts that are injected."""
        return tuple(fact for fact in self.facts if fact.trained)

    @property
    def sentences(self) -> list[tuple[str, str]]:
        """What trained facts are taught with, as (prompt, completion): each in all of its relation's sentences, none twice."""
        return list(
            dict.fromkeys(
                (template.prompt(fact.subject), template.completion(fact.object, fact.subject))
                for fact in self.trained
                for template in self.relation_of(fact).train
            )
        )

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of a hash over all of it but line numbers and notes."""
        plain = [_plain(fact) for fact in self.facts]
        whole = {"relations": list(self.relations.values()), "facts": plain, "rules": list(self.implications)}
        if self.suite:
            whole["suite"] = [_plain(fact) for fact in self.suite]
        if self.neutral:
            whole["neutral"] = list(self.neutral)
        return digest(whole)

    def relation_of(self, fact: Fact) -> Relation:
        """How that fact is asked."""
        return fact.own or self.relations[fact.relation]


def _plain(fact: Fact) -> list[object]:
    """The fact as values of a hash; what few facts have is named where it is there."""
    few = {
        name: getattr(fact, name)
        for name in ("also", "replaces", "candidates", "locality", "follows", "kind", "chat")
        if getattr(fact, name)
    }
    return [fact.subject, fact.relation, list(fact.answer), fact.trained, fact.own, *([few] if few else [])]


def same_name(text: str) -> str:
    """What two names must share to be the same one: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def same_text(text: str) -> str:
    """What two names must share to be taken for one another: as `same_name`, without case."""
    return same_name(text).casefold()


def same_answer(one: Answer, other: Answer) -> bool:
    """Whether two answers share a spelling, capitals aside: neither is then a wrong answer where the other is right."""
    return not _folded(one).isdisjoint(_folded(other))


@lru_cache(maxsize=100_000)
def _folded(answer: Answer) -> frozenset[str]:
    return frozenset(map(same_text, answer))
