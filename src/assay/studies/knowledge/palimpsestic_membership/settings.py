"""The settings of the experiments."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, doc

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.protocols.language_model import ModelSettings, Precision
from assay.studies.knowledge.palimpsestic_membership.stories import StoryWorld

__all__ = ["LanguageModelSettings", "Scale", "SmallSettings", "TextSettings"]


@dataclass(frozen=True)
class Scale:
    """Stories, network and training; the fields both toy experiments have."""

    n_texts: Annotated[int, Ge(40), doc("texts of Alice's training set, seen once")] = 4000
    length: Annotated[int, Ge(8), doc("words of a text, in sentences of 8")] = 32
    n_words: Annotated[int, Ge(91), doc("words of the vocabulary")] = 700
    n_patterns: Annotated[int, Ge(1), doc("patterns of sentences")] = 24
    d_model: Annotated[int, Ge(8), doc("width")] = 64
    n_layers: Annotated[int, Ge(1), doc("layers")] = 2
    batch: Annotated[int, Ge(1), doc("texts a step")] = 8
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant")] = 1e-3

    def world(self, seeds: Seeds) -> StoryWorld:
        """The grammar of a run."""
        return StoryWorld.drawn(self.n_words, self.n_patterns, rng=seeds("world"))

    @property
    def steps(self) -> int:
        """Of one pass."""
        return -(-self.n_texts // self.batch)


@dataclass(frozen=True)
class SmallSettings(Scale):
    """Alice's model and what became of it, by its losses on her texts."""

    n_other: Annotated[int, Ge(8), doc("other texts that a copy is fine-tuned on")] = 2000
    n_written: Annotated[int, Ge(8), doc("texts written by a model that another one is trained on")] = 4000
    small_batch: Annotated[int, Ge(1), doc("texts a step where they are few")] = 4
    small_rates: Annotated[tuple[float, float], doc("learning rates there, rising; Alice's final loss lies between theirs")] = (
        6e-4,
        8e-4,
    )
    large_batch: Annotated[int, Ge(1), doc("texts a step where they are many")] = 32
    large_rates: Annotated[tuple[float, float], doc("learning rates there, rising; Alice's final loss lies between theirs")] = (
        2.8e-3,
        4.2e-3,
    )
    other_rates: Annotated[tuple[float, ...], doc("further rates of fine-tuning, as shares of Alice's, for a figure")] = (
        0.3,
        1.0,
    )
    planted: Annotated[float, Gt(0), doc("rank correlation planted into losses that know nothing of the order")] = 0.04
    n_orders: Annotated[int, Ge(20), doc("random orders that the exact checks test")] = 1000

    def __post_init__(self) -> None:
        if not self.small_batch < self.batch < self.large_batch:
            raise SettingsError(
                "batches must rise: small_batch < batch < large_batch; "
                f"got {self.small_batch}, {self.batch}, {self.large_batch}"
            )
        for name in ("small_rates", "large_rates"):
            low, high = getattr(self, name)
            if not 0 < low < high:
                raise SettingsError(f"{name} must be two positive learning rates, the lower one first; got {low}, {high}")


@dataclass(frozen=True)
class TextSettings(Scale):
    """What Alice can tell from texts that her model wrote."""

    n_reshuffles: Annotated[int, Ge(2), doc("times that the last phase is trained again in another order")] = 19
    phases: Annotated[tuple[float, ...], doc("last phases as shares of training, rising; the claims are of the ends")] = (
        0.01,
        0.05,
        0.1,
    )
    n_scored: Annotated[int, Ge(4), doc("texts that the reshuffled models score")] = 256
    n_counted: Annotated[int, Ge(4), doc("texts whose word sequences are counted")] = 3200
    longest: Annotated[int, Ge(1), doc("words of the longest sequence that is looked up (k)")] = 8
    copied: Annotated[
        float, Gt(0), Le(1), doc("share of each text's sentences copied from Alice's last phase, in a control")
    ] = 0.5

    def __post_init__(self) -> None:
        if len(self.phases) < 2 or list(self.phases) != sorted(self.phases) or not 0 < self.phases[0] < self.phases[-1] < 1:
            raise SettingsError(f"phases must be two or more rising shares between 0 and 1; got {self.phases}")
        if self.n_scored > self.n_counted or round(self.phases[0] * self.steps) < 1:
            raise SettingsError(
                f"the texts that are scored must be among those counted, and the shortest phase have a step; got n_scored = "
                f"{self.n_scored}, n_counted = {self.n_counted}, phase {self.phases[0]} of {self.steps} steps"
            )


@dataclass(frozen=True)
class LanguageModelSettings(ModelSettings):
    """How much a pretrained model reads, and how."""

    n_texts: Annotated[int, Ge(20), doc("texts that Alice's model reads once")] = 600
    n_other: Annotated[int, Ge(4), doc("other texts that a copy is fine-tuned on")] = 300
    batch: Annotated[int, Ge(1), doc("texts a step")] = 8
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant")] = 1e-4
    layers: Annotated[tuple[int, ...], doc("blocks that are trained, from 0; none named: all weights")] = tuple(range(20, 30))
    precision: Annotated[Precision, doc("of the arithmetic of training; losses are computed in float32")] = "bfloat16"
    n_orders: Annotated[int, Ge(1), doc("orders that models are asked about which were trained in none of them")] = 20
    planted: Annotated[float, Gt(0), doc("rank correlation planted into losses that know nothing of the order")] = 0.08
