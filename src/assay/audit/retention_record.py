"""What an audit says of how long facts stay, as a record: read and shown where no language model can be loaded.

See `retention` for how it is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LEVEL", "PAGES", "Retention", "steps_text"]

PAGES = "pages of an invented encyclopaedia"
LEVEL = 0.95


@dataclass(frozen=True)
class Retention:
    """What plain steps after injection left of the facts.

    Attributes:
        n_steps: how many plain steps were taken.
        source, n_texts, digest: what was read: where it comes from, how many different texts, and the digest of all.
        recipe: of these steps.
        subjects: of every trained fact its subject.
        gains: of every trained fact the gain, in nats.
        curves: of every trained fact what is left of it, at each of `asked_at(n_steps)`.
        steps: after which facts were asked, from 0.
        gain: of the answers that were trained on, mean over subjects of log P after injection less before, in nats.
        kept: at each of the steps the share of that gain that is left; empty where nothing was gained.
        slope, slope_low, slope_high: the fall of the kept share per factor of ten in steps, with its interval over subjects.
        threshold, threshold_low, threshold_high: the step from which on the line is not above zero; infinite where it does not
            fall.
        level: of both intervals.
        n_units: subjects. Of fewer than two there is no interval; without a gain, or with fewer than two askings, no line.
    """

    n_steps: int
    source: str
    n_texts: int
    digest: str
    recipe: Mapping[str, object]
    subjects: tuple[str, ...]
    gains: tuple[float, ...]
    curves: tuple[tuple[float, ...], ...]
    steps: tuple[int, ...] = ()
    gain: float = 0.0
    kept: tuple[float, ...] = ()
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    threshold: float | None = None
    threshold_low: float | None = None
    threshold_high: float | None = None
    level: float = LEVEL
    n_units: int = 0


def steps_text(value: float) -> str:
    """A number of steps as it is shown; what lies beyond a million was not measured."""
    return f"{value:,.0f}" if value < 1e6 else "over a million"
