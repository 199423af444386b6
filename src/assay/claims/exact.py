"""Exact: a statement that holds by identity, by arithmetic or because the world was built so; checked once, and no finding.

    Exact("P2", "With a sure human, waiting is worth {value} more than acting.", Equals(0.25), why="arithmetic", at="section 2")

An experiment's checks are computed by one function of its settings, without seeds: the same number every time. They have no
interval, no control and no place among the findings; they come out as `holds` or `fails`, with the number.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from assay.claims.rules import Rule
from assay.core.errors import SettingsError

__all__ = ["Exact", "ExactVerdict"]

_PLACE = re.compile(r"\{(\w+)(?::([^{}]*))?\}")


@dataclass(frozen=True)
class Exact:
    """A statement with one number that must obey a rule, whatever is trained or drawn.

    Attributes:
        name: short and unique among the study's claims and checks ("P2.always").
        says: the sentence; it names the rule's numbers as a claim's does (`{value}`, `{bound}`, ...).
        rule: what the number must obey.
        why: why it must hold: an identity, the world's formula, a proposition.
        at: the place in the study's paper, or "ours".
        paper: the paper's own number, where it has one.
        unit: of the number.
    """

    name: str
    says: str
    rule: Rule
    why: str
    at: str
    paper: str | float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        for what in ("name", "says", "why", "at"):
            if not str(getattr(self, what)).strip():
                raise SettingsError(f"exact check '{self.name}': {what} must not be empty")
        for place in _PLACE.finditer(self.says):
            if place[1] not in self.rule.numbers:
                raise SettingsError(
                    f"exact check '{self.name}': its sentence names {{{place[1]}}}, which {type(self.rule).__name__} does not "
                    f"have; it has {', '.join(f'{{{name}}}' for name in self.rule.numbers)}"
                )

    @property
    def sentence(self) -> str:
        """What is said, with the rule's numbers in it."""
        return _PLACE.sub(lambda place: format(self.rule.numbers[place[1]], place[2] or ".6g"), self.says)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change when anything the outcome depends on changes."""
        return hashlib.sha256(repr((self.name, self.rule)).encode()).hexdigest()[:16]

    def judge(self, number: float) -> Literal["holds", "fails"]:
        """Whether the number obeys the rule; nan never does."""
        return "holds" if self.rule.distance(number) >= 0 else "fails"


@dataclass(frozen=True)
class ExactVerdict:
    """One exact check with its number; None and "not-asked" where it was not computed."""

    check: Exact
    experiment: str
    number: float | None
    verdict: Literal["holds", "fails", "not-asked"]
    reason: str = ""
