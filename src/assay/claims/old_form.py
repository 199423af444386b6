"""The form in which claims were declared before estimands were defined; goes when the last study has left it."""

import inspect
import re
from dataclasses import dataclass

from assay.claims import claim as record
from assay.claims.paper import Cost, Departure, Paper
from assay.claims.rules import Rule

__all__ = ["Claim", "Control", "cost_of", "departures_of", "paper_of", "section"]

_TIME = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|h)")  # "40 s", "1.5 min", "2 h"


@dataclass(frozen=True)
class OldArm(record.Arm):
    """A control that names its whole estimand."""

    def measured(self, claimed: record.Names) -> record.Names:
        """The name it was given."""
        return self.name


@dataclass(frozen=True)
class OldPaper(Paper):
    """A citation that is no record."""

    @property
    def text(self) -> str:
        """As it was written."""
        return self.authors


def Control(says: str, estimand: record.Names, rule: Rule | None = None) -> record.Arm:  # noqa: N802
    """A control by its whole estimand."""
    return OldArm(estimand, says, rule)


def Claim(  # noqa: N802
    name: str,
    says: str,
    source: str,
    estimand: record.Names,
    rule: Rule,
    control: record.Arm,
    margin: str,
    paper_value: str | float | None = None,
    summary: record.Summary = "mean",
    unit: str = "run",
    given: str = "",
) -> record.Claim:
    """A claim by its old fields."""
    return record.Claim(
        name, says, estimand, rule, why=margin, at=source, negative=control, paper=paper_value, summary=summary, given=given,
        run_is=unit,
    )  # fmt: skip


def section(doc: str, name: str) -> str:
    """The text of a docstring section that starts with `name` at the margin, folded to one line."""
    found = re.search(rf"^{name}[ \t]+(.*(?:\n(?:[ \t]+.*|[ \t]*))*)", inspect.cleandoc(doc), re.M)
    return " ".join(found.group(1).split()) if found else ""


def paper_of(doc: str) -> Paper | None:
    """The section `Paper` as a record."""
    text = section(doc, "Paper")
    found = re.fullmatch(r'(.*?) (\d{4}), "(.*?)"(?:, (.*))?', text)
    if found:
        return Paper(found[1], int(found[2]), found[3], found[4] or "")
    return OldPaper(text, 0, text, "") if text else None


def departures_of(doc: str) -> tuple[Departure, ...]:
    """The section `Departs` as records."""
    text = section(doc, "Departs")
    starts: list[re.Match[str]] = []
    for label in re.finditer(r"(?:^|\s)D(\d+)\s+", text):
        if int(label[1]) == len(starts) + 1:  # any other label is a mention inside a sentence
            starts.append(label)
    ends = [label.start() for label in starts[1:]] + [len(text)]
    return tuple(
        Departure(f"D{i}", text[label.end() : end].strip()) for i, (label, end) in enumerate(zip(starts, ends, strict=False), 1)
    )


def cost_of(text: str) -> Cost | None:
    """A stated time as a record; None where it states none."""
    stated = _TIME.search(text)
    if stated is None:
        return None
    return Cost(float(stated[1]) * {"s": 1 / 60, "m": 1, "h": 60}[stated[2]], 1 if "one core" in text else 2)
