"""Levels of told facts over a training, and the numbers that claims speak of. NumPy and the room of curves only.

The level of a fact is log P(value | its subject) minus log P(the same value | a subject that is never told), in the same words:
what a model learns about words and values alone changes both alike.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Floats, Ints
from assay.stats.curves import RetentionLine, held_out_errors, retention_line
from assay.studies.knowledge.factual_knowledge_acquisition.items import BEFORE, FIRST_AFTER, LAST_AFTER

__all__ = [
    "Response",
    "Track",
    "decay",
    "fall",
    "gain",
    "jump",
    "kept_after",
    "level_after",
    "log_ratio",
    "matched",
    "pairs",
    "shape_error",
    "threshold",
]

PER_DECADE = 20  # bins of time
FITTED = 0.25  # share of the plain steps that a forgetting curve is fitted to; the rest judges it
WITHIN = 0.3  # nats within which probes are paired by their log P before
FEWEST = 10  # pairs, below which nothing is compared
LEAST = 0.01  # of a jump, as which a smaller one counts where a ratio is taken
Response = Callable[[Floats], Floats]
"""response(steps since an exposure) is what the exposure adds to a level, in nats."""


@dataclass(frozen=True, eq=False)
class Track:
    """Log-probabilities of every fact in one wording over a training, and what they are compared with.

    Attributes:
        states: steps taken, from the fork; the first ones are consecutive.
        at: the step that tells an item in each round; -1 where it is not told.
        own: log P(value | subject), in nats.
        reference: log P(value | a subject never told).
        other: log P(value | another subject never told).
        dealt: the same three for the value of another item.
        base: the five states before the first round, in the wording of the last one: own, reference and other.
    """

    states: Int[np.ndarray, " state"]
    at: Int[np.ndarray, "item round"]
    own: Float[np.ndarray, "state item fact"]
    reference: Float[np.ndarray, "state item fact"]
    other: Float[np.ndarray, "state item fact"]
    dealt: Float[np.ndarray, "3 state item fact"]
    base: Float[np.ndarray, "3 item fact"]

    @property
    def level(self) -> Float[np.ndarray, "state item fact"]:
        """Of the told subjects."""
        return np.asarray(self.own - self.reference)

    def of(self, items: Ints) -> "Track":
        """These items alone."""
        return replace(
            self, at=self.at[items], own=self.own[:, items], reference=self.reference[:, items], other=self.other[:, items],
            dealt=self.dealt[:, :, items], base=self.base[:, items],
        )  # fmt: skip

    @property
    def untold(self) -> "Track":
        """The subjects that are never told, asked for the same values at the same steps: no exposure is about them."""
        own, reference = self.reference, self.other
        base = np.stack([self.base[1], self.base[2], self.base[2]])
        return replace(self, own=own, reference=reference, dealt=self.dealt[[1, 2, 2]], base=base)

    @property
    def ending(self) -> "Track":
        """The same with the last exposure alone."""
        last = self.at.max(axis=1, keepdims=True)
        return replace(self, at=np.where(self.at == last, self.at, -1))

    @property
    def redealt(self) -> "Track":
        """The same subjects, asked for the values of other items."""
        own, reference, other = self.dealt
        base = np.full_like(self.base, np.nan)  # nothing that is asked of them needs it
        return replace(self, own=own, reference=reference, other=other, base=base)

    def planted(self, response: Response) -> "Track":
        """The untold subjects with a response to every exposure put in: their noise is this training's, as it is correlated."""
        left = self.untold
        since = self.states[:, None, None] - self.at[None]
        told = (self.at >= 0)[None] & (since > 0)
        added = np.where(told, response(np.maximum(since, 1).astype(float)), 0.0).sum(-1)
        return replace(left, own=left.own + added[..., None])

    def windows(self, values: Float[np.ndarray, "state item fact"]) -> tuple[Floats, Floats]:
        """Means over the five states up to each exposure, and five to twelve steps after it, [item, round, fact]."""
        first = int(self.states[0])
        n = values.shape[0]

        def mean(low: int, high: int) -> Floats:
            places = self.at[..., None] + np.arange(low, high + 1) - first
            inside = (places >= 0) & (places < n) & (self.at >= 0)[..., None]
            items = np.arange(values.shape[1])[:, None, None]
            found = values[places.clip(0, n - 1), items].mean(axis=2)
            return np.asarray(np.where(inside.all(-1)[..., None], found, np.nan))

        return mean(1 - BEFORE, 0), mean(FIRST_AFTER, LAST_AFTER)

    @property
    def jumps(self) -> Float[np.ndarray, "item round fact"]:
        """Level from five to twelve steps after an exposure minus in the five states up to it; nan where there is none."""
        before, after = self.windows(self.level)
        return np.asarray(after - before)

    @property
    def probes(self) -> tuple[Floats, Floats]:
        """log P before each exposure, and its jump: what facts are paired by, and what is compared."""
        return self.windows(self.own)[0], self.jumps

    def gains(self) -> Float[np.ndarray, " item"]:
        """Level after the last exposure minus before the first, in the wording of the last, mean over an item's facts."""
        after = self.windows(self.level)[1]
        last = np.argmax(self.at, axis=1)
        start = self.base[0] - self.base[1]
        return np.asarray((after[np.arange(len(self.at)), last] - start).mean(-1))

    def kept(self, longest: float) -> tuple[Floats, Floats]:
        """Times since the last exposure on a log grid, and what is left of each item's gain then, [item, time], in nats."""
        start = (self.base[0] - self.base[1]).mean(-1)
        since = self.states[:, None] - self.at.max(axis=1)
        value = self.level.mean(-1) - start
        inside = (since >= 1) & (since <= longest)
        with np.errstate(divide="ignore", invalid="ignore"):
            bins = np.where(inside, np.round(np.log10(np.maximum(since, 1)) * PER_DECADE), -1).astype(int)
        n_bins = bins.max() + 1
        count = np.stack([(bins == number).sum(0) for number in range(n_bins)], -1)
        total = np.stack([np.where(bins == number, value, 0.0).sum(0) for number in range(n_bins)], -1)
        full = (count > 0).all(0)
        return np.asarray(10 ** (np.flatnonzero(full) / PER_DECADE)), np.asarray(total[:, full] / count[:, full])


# --------------------------------------------------------------------------------------------------- jumps


def jump(track: Track) -> float:
    """Mean over facts and exposures, in nats."""
    return float(np.nanmean(track.jumps))


def fall(track: Track) -> float:
    """Share of the jump that is gone by the five states up to the next exposure; nan where nothing jumped."""
    before, after = track.windows(track.level)
    up, down = (after - before)[:, :-1], after[:, :-1] - before[:, 1:]
    both = np.isfinite(up) & np.isfinite(down)
    risen = float(up[both].mean())
    return float(down[both].mean()) / risen if risen > 0 else math.nan


def matched(probes: Sequence[tuple[Floats, Floats]], *, fewest: int = FEWEST) -> list[float]:
    """Mean jump of each of several sets of facts that are paired by log P before, within 0.3 nats, exposure by exposure.

    Args:
        probes: of each set log P before and the jump, both [item, exposure, fact]; nan where there is none.
        fewest: pairs, below which the jumps are nan.
    """
    before, jumps = ([probe[i] for probe in probes] for i in range(2))
    found: list[list[Floats]] = [[] for _ in probes]
    for this in range(min(each.shape[1] for each in jumps)):
        flat = [each[:, this].ravel() for each in before]
        told = [np.flatnonzero(np.isfinite(each)) for each in flat]
        chosen = pairs([each[some] for each, some in zip(flat, told, strict=True)], WITHIN)
        for gathered, each, some, own in zip(found, jumps, told, chosen, strict=True):
            gathered.append(each[:, this].ravel()[some[own]])
    if sum(len(some) for some in found[0]) < fewest:
        return [math.nan] * len(probes)
    return [float(np.concatenate(some).mean()) for some in found]


def pairs(values: Sequence[Floats], within: float) -> list[Ints]:
    """Places in each list of values, taken together; each place is used once.

    Those of every further list differ by at most `within` from those of the first. The nearest are paired first: pairing from
    one end on would leave all differences with one sign where the lists lie apart.
    """
    first, found = values[0], [np.full(len(values[0]), -1) for _ in values[1:]]
    for partner, other in zip(found, values[1:], strict=True):
        apart = np.abs(first[:, None] - other)
        used = np.zeros(len(other), dtype=bool)
        for place in np.argsort(apart, axis=None, kind="stable").tolist():
            a, b = divmod(place, len(other))
            if apart[a, b] > within:
                break
            if partner[a] < 0 and not used[b]:
                partner[a], used[b] = b, True
    both = np.flatnonzero(np.all([partner >= 0 for partner in found], axis=0))
    return [both, *(partner[both] for partner in found)]


def log_ratio(one: float, other: float) -> float:
    """log(one / other); a jump below a hundredth of the other counts as that, and nothing is told where neither is positive."""
    if not math.isfinite(one) or not math.isfinite(other) or max(one, other) <= 0:
        return math.nan
    floor = LEAST * max(one, other)
    return math.log(max(one, floor) / max(other, floor))


# --------------------------------------------------------------------------------------------------- what is kept


def gain(track: Track) -> float:
    """Mean over items of the level after the last exposure minus that before the first, in nats."""
    return float(track.gains().mean())


def shape_error(track: Track, longest: float) -> float:
    """How much worse a floored curve than the line in log time predicts the kept gain of times that none was fitted to.

    Error of the line minus that of the better of floored exponential and floored power law, root mean square, in nats: below
    zero the line is better.
    """
    times, kept = track.kept(longest)
    errors = held_out_errors(times, kept.mean(0), fit_until=FITTED * longest)
    return float(errors["log-linear"] - min(errors["floored exponential"], errors["floored power"]))


def decay(track: Track, first: float, longest: float) -> float:
    """a, the fall of the kept share of the gain per factor 10 in steps, `first` to `longest`; nan where nothing was gained."""
    line = _line(track, first, longest)
    return math.nan if line is None else float(line.decay)


def threshold(track: Track, first: float, longest: float) -> float:
    """tau, the steps after which that line is at zero; nan where nothing was gained."""
    line = _line(track, first, longest)
    return math.nan if line is None else float(line.threshold)


def _line(track: Track, first: float, longest: float) -> RetentionLine | None:
    gains = track.gains()
    if not gains.mean() > 0:
        return None
    times, kept = track.kept(longest)
    used = times >= first
    return retention_line(times[used], kept[:, used], gains)


def kept_after(track: Track, steps: float) -> float:
    """Share of the gain that is left that many steps after the last exposure (a tenth more or less); nan where none was."""
    gains = track.gains()
    if not gains.mean() > 0:
        return math.nan
    return float(level_after(track, steps) / gains.mean())


def level_after(track: Track, steps: float) -> float:
    """Mean level, less that before the first exposure, that many steps after the last (a tenth more or less), in nats."""
    times, kept = track.kept(1.1 * steps)
    return float(kept[:, times >= 0.9 * steps].mean())
