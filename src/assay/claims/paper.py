"""Paper, Headline, Departure, Example and Cost: what a study says of its source, its task and the time it takes, as records."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assay.core.errors import SettingsError

__all__ = ["Cost", "Departure", "Example", "Headline", "Paper"]

MOST_LINES = 6


@dataclass(frozen=True)
class Headline:
    """A sentence of the paper's abstract, in our words, with what tests it here.

    Attributes:
        says: one sentence.
        claims: the names of the claims that test it.
        reason: why nothing here can show it; instead of claims.
    """

    says: str
    claims: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.says.strip():
            raise SettingsError("a headline must say something; its sentence is empty")
        if bool(self.claims) == bool(self.reason.strip()):
            raise SettingsError(
                f"headline '{self.says}': give the claims that test it, or the reason why nothing here can show it; "
                f"got {'both' if self.claims else 'neither'}"
            )


@dataclass(frozen=True)
class Paper:
    """Where a study's claims come from.

    Attributes:
        authors: as cited ("Guo, Zhu and Russell").
        year: of the version that was read.
        title: of the paper.
        where: journal or conference, and identifier ("ICLR 2024, arXiv:2312.03002").
        headlines: three to six sentences that a reader remembers of it.
    """

    authors: str
    year: int
    title: str
    where: str
    headlines: tuple[Headline, ...] = ()

    def __post_init__(self) -> None:
        for what in ("authors", "title"):
            if not getattr(self, what).strip():
                raise SettingsError(f"a paper must have {what}; got an empty text")
        if self.headlines and not 3 <= len(self.headlines) <= 6:
            raise SettingsError(f"'{self.title}' must have three to six headlines; got {len(self.headlines)}")

    @property
    def text(self) -> str:
        """Authors, year, title and place on one line."""
        where = f", {self.where}" if self.where else ""
        return f'{self.authors} {self.year}, "{self.title}"{where}'


@dataclass(frozen=True)
class Departure:
    """What a study does differently from its paper, and why. `name` is D1, D2, ...; other texts refer to it by that name."""

    name: str
    says: str

    def __post_init__(self) -> None:
        if not self.says.strip():
            raise SettingsError(f"departure {self.name}: says must tell what is different and why; it is empty")


@dataclass(frozen=True)
class Example:
    """The task of a study in one example, for a reader who knows nothing of it yet.

    Attributes:
        lines: at most six pairs: what the learner meets, and what that is in plain words. A word between asterisks is
            explained where it stands (`a *bridge*: a name of whom both are told`).
    """

    lines: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= MOST_LINES:
            raise SettingsError(f"an example must have one to {MOST_LINES} lines; got {len(self.lines)}")
        for shown, says in self.lines:
            if not shown.strip() or not says.strip():
                raise SettingsError(f"a line of an example shows something and says what it is; got {shown!r} and {says!r}")


@dataclass(frozen=True)
class Cost:
    """How long all runs of the laptop preset take, as measured.

    Attributes:
        minutes: of wall time.
        cores: the cores it was measured on.
        work: how much work given settings ask for, in a unit of the experiment's own; it scales the minutes to other settings.
        memory: of one process at its peak, in GiB, as measured; None where it was not.
    """

    minutes: float
    cores: int = 2
    work: Callable[[Any], float] | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if not self.minutes > 0 or self.cores < 1:
            raise SettingsError(f"a cost must have minutes > 0 and cores >= 1; got {self.minutes} and {self.cores}")

    @property
    def text(self) -> str:
        """Such as "5 min on two cores"."""
        time = (
            f"{self.minutes:.0f} min"
            if self.minutes >= 10
            else f"{self.minutes:.2g} min"
            if self.minutes >= 2
            else f"{60 * self.minutes:.0f} s"
        )
        return f"{time} {'of one core' if self.cores == 1 else 'on two cores' if self.cores == 2 else f'on {self.cores} cores'}"

    def core_seconds(self, laptop: Any, settings: Any) -> float:
        """Of all runs at these settings; as at the laptop preset where no `work` tells them apart."""
        share = 1.0 if self.work is None else self.work(settings) / self.work(laptop)
        return 60 * self.minutes * self.cores * share
