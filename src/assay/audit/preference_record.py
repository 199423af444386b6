"""What an audit of preferences returns: one frozen record, and its JSON form."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.audit.forecast import Calibration, Cost
from assay.audit.record import Advice, Harm, plain
from assay.audit.totals import Total

__all__ = ["PAIR_COLUMNS", "Gained", "PairArm", "PairAudit", "PairColumn", "PairRow"]


@dataclass(frozen=True)
class PairColumn:
    """One thing that an audit measures of pairs.

    Attributes:
        name: in tables and files.
        word: what it is called in a sentence.
        wanted: whether training on pairs is for more of it; None for what is neither wanted nor a harm.
        unit: of a change.
        bounds: the least and the most that a change can be; infinite where there is no end.
        worth: the smallest change of a total that is worth a sentence.
        formula: of a pair's number.
        meaning: what it means.
    """

    name: str
    word: str
    wanted: bool | None
    unit: str
    bounds: tuple[float, float]
    worth: float
    formula: str
    meaning: str

    @property
    def title(self) -> str:
        """In tables."""
        return self.name

    @property
    def losses(self) -> bool:
        """Whether its numbers are shares of what went away."""
        return self.bounds == (0.0, 1.0)

    @property
    def reach(self) -> float:
        """How far a difference of two changes can go, either way."""
        return max(map(abs, self.bounds))


UNBOUNDED = (-math.inf, math.inf)
_COLUMNS = (
    PairColumn(
        "chosen", "probability of chosen answers", True, "nats", UNBOUNDED, 0.1, "Δ log P(chosen)",
        "how the log-probability of the whole chosen answer changed; below zero the preferred answer has become less likely",
    ),
    PairColumn(
        "rejected", "probability of rejected answers", None, "nats", UNBOUNDED, 0.1, "Δ log P(rejected)",
        "the same of the rejected answer; a loss of pairs asks for its fall, and the chosen answer may fall with it",
    ),
    PairColumn(
        "margin", "margin", True, "nats", UNBOUNDED, 0.1, "Δ log P(chosen) − Δ log P(rejected)",
        "how much more the model prefers the chosen answer than before: what a loss of pairs sees",
    ),
    PairColumn(
        "displaced", "displacement", False, "share of pairs", (0.0, 1.0), 0.02, "1 where Δ log P(chosen) < 0",
        "the chosen answer fell, so what it lost went to other texts (arXiv:2410.08847)",
    ),
    PairColumn(
        "preferred", "preference", True, "share of pairs", (-1.0, 1.0), 0.02, "Δ [P(chosen) > P(rejected)]",
        "whether the chosen answer is the likelier one of the two, after less before",
    ),
)  # fmt: skip
PAIR_COLUMNS: Mapping[str, PairColumn] = {one.name: one for one in _COLUMNS}
"""All columns, in the order of the tables."""


@dataclass(frozen=True)
class Gained:
    """A token that took probability where the answers of a pair part.

    Attributes:
        token: its text.
        before, after: its probability there.
    """

    token: str
    before: float
    after: float


@dataclass(frozen=True)
class PairRow:
    """A pair: what the model before makes of it, what is forecast, and what came.

    Attributes:
        line: where it stands in the file.
        prompt, chosen, rejected: as the model meets them.
        n_chosen, n_rejected: tokens of the answers, the one that ends them included.
        log_prob_chosen, log_prob_rejected: of the whole answers before, in nats.
        ches: centred hidden embedding similarity; higher foretells a fall.
        ches_per_token: the same with means over tokens in place of sums.
        rank: its place in the file by `ches_per_token`, 1 for the highest.
        edit_distance: of the two answers, over the longer one's length.
        alone: first-order change of log P(chosen) by a step on this pair alone, per unit of step; below zero it falls.
        together: change of log P(chosen), in nats, by the first step of this training on all pairs at once.
        chosen_after, rejected_after: log-probabilities after; None for a forecast.
        displaced: whether the chosen answer fell; None for a forecast.
        gained: tokens that gained most where the two answers part.
    """

    line: int
    prompt: str
    chosen: str
    rejected: str
    n_chosen: int
    n_rejected: int
    log_prob_chosen: float
    log_prob_rejected: float
    ches: float
    ches_per_token: float
    rank: int
    edit_distance: float
    alone: float | None
    together: float | None
    chosen_after: float | None = None
    rejected_after: float | None = None
    displaced: bool | None = None
    gained: tuple[Gained, ...] = ()

    @property
    def changes(self) -> Mapping[str, float]:
        """What came of it, by column; empty for a forecast."""
        if self.chosen_after is None or self.rejected_after is None:
            return {}
        return changes_of(self.log_prob_chosen, self.log_prob_rejected, self.chosen_after, self.rejected_after)


def changes_of(chosen: float, rejected: float, chosen_after: float, rejected_after: float) -> dict[str, float]:
    """A pair's number in every column, from its log-probabilities before and after."""
    up, down = chosen_after - chosen, rejected_after - rejected
    return {
        "chosen": up,
        "rejected": down,
        "margin": up - down,
        "displaced": float(up < 0),
        "preferred": float(chosen_after > rejected_after) - float(chosen > rejected),
    }


@dataclass(frozen=True)
class PairArm:
    """One way to train on the file, and what it did at the mean margin that all compared ways share.

    Attributes:
        name: of the mitigation; `plain` for training without one.
        says: what it does, in a clause.
        reason: why it was not compared; empty where it was.
        margin: mean gain in margin over the pairs of the file at full strength, in nats.
        full: mean of every column at full strength.
        scale: how much of its update was kept for the shared margin, in (0, 1]; None where it was not compared.
        columns: mean of every column at that scale.
        harms: against plain training at the same margin, paired by pair; a difference in `chosen` above zero is less of a fall.
        lines: of the pairs that it trains on, where these are not all.
        n_steps: optimiser steps.
        minutes: of training.
    """

    name: str
    says: str
    reason: str = ""
    margin: float | None = None
    full: Mapping[str, float] = field(default_factory=dict)
    scale: float | None = None
    columns: Mapping[str, float] = field(default_factory=dict)
    harms: tuple[Harm, ...] = ()
    lines: tuple[int, ...] = ()
    n_steps: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class PairAudit:
    """An audit of a model and a file of preferences.

    Attributes:
        model: its name; `tuned` names the other folder where two models were compared and nothing was trained.
        pairs_name, pairs_digest: the file.
        n_pairs, n_prompts: how many.
        recipe: how pairs were, or would be, trained on; empty for a model that was tuned elsewhere.
        rows: one a pair.
        totals: means over prompts with intervals; empty for a forecast alone.
        calibration: forecasts against what came, over prompts.
        arms: mitigations.
        margin: the mean gain in margin at which arms are compared, in nats.
        advice: what to do, each line with the number that it rests on.
        cost: minutes and memory, expected and spent.
        notes: what a reader should know about these numbers.
        environment: versions, machine class, threads, seed.
        digest, made: under which it is kept, and since when, in UTC; empty for one that is not kept.
    """

    model: str
    tuned: str
    pairs_name: str
    pairs_digest: str
    n_pairs: int
    n_prompts: int
    recipe: Mapping[str, object]
    rows: tuple[PairRow, ...]
    totals: tuple[Total, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    arms: tuple[PairArm, ...] = ()
    margin: float | None = None
    advice: tuple[Advice, ...] = ()
    cost: Cost = field(default_factory=lambda: Cost())
    notes: tuple[str, ...] = ()
    environment: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    made: str = ""

    @property
    def method(self) -> str:
        """The loss that was, or would be, trained with; empty for a model that was tuned elsewhere."""
        return str(self.recipe.get("loss", ""))

    def json(self) -> dict[str, Any]:
        """The record as JSON values, with what its columns are."""
        about = {name: plain(one) for name, one in PAIR_COLUMNS.items()}
        return {**{item.name: plain(getattr(self, item.name)) for item in dataclasses.fields(self)}, "columns": about}
