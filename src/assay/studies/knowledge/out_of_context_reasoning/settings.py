"""Settings of the study's experiments, with the presets' values."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, MinLen, doc

from assay.core.errors import SettingsError, unknown_name
from assay.protocols import language_model
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS

__all__ = [
    "CONTRADICTED",
    "DOSED",
    "DOSES",
    "DepthSettings",
    "DoseSettings",
    "LanguageModelSettings",
    "MitigationSettings",
    "OptimiserSettings",
    "SymbolicSettings",
]

DOSED = "sport-music"  # the relation pair on which shares of bridges are compared
DOSES = (0, 10, 20, 50)  # per cent of the names that are bridges
CONTRADICTED = 0.8  # share of contradicting bridges in the design that has them


@dataclass(frozen=True)
class SymbolicSettings:
    """The reference system of the paper; the other sizes are the arms'."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 20
    m_train: Annotated[int, Ge(1), doc("bridge subjects in each group")] = 1
    m_test: Annotated[int, Ge(1), doc("held-out subjects in each group")] = 3
    n_noise: Annotated[int, Ge(1), doc("noise tokens in the vocabulary")] = 5
    length: Annotated[int, Ge(4), doc("tokens in a sequence")] = 16
    learning_rate: Annotated[float, Gt(0), doc("of AdamW, constant")] = 5e-3
    weight_decay: Annotated[float, Ge(0), doc("of AdamW, decoupled")] = 0.03
    n_steps: Annotated[int, Ge(1), doc("optimiser steps of the headline arms")] = 2_000
    n_steps_long: Annotated[
        int, Ge(1), doc("steps of the combined model's second chance, of the arms without decay, and at width 8")
    ] = 10_000
    n_steps_slow: Annotated[int, Ge(1), doc("steps of the softmax and sample-efficiency arms")] = 4_000
    widths: Annotated[tuple[int, ...], MinLen(1), doc("hidden widths of the rank sweep beyond 3 and 4, from 8 on")] = (
        8,
        16,
        32,
        64,
        128,
    )
    n_steps_narrow: Annotated[int, Ge(1), doc("steps at the widths 3 and 4, about the threshold")] = 20_000
    n_steps_wide: Annotated[int, Ge(1), doc("steps at the other widths")] = 3_000
    n_steps_descent: Annotated[int, Ge(1), doc("steps of normalised descent on the exact population")] = 3_000
    n_steps_population: Annotated[int, Ge(1), doc("steps of the exact check of theorem 3")] = 1_500


@dataclass(frozen=True)
class DepthSettings:
    """Four groups; normalised descent on the exact population with attention fixed, in double precision."""

    n_steps: Annotated[int, Ge(1), doc("steps of normalised descent")] = 2_500
    growth: Annotated[float, Gt(0), doc("length of a late step, as a share of the weights' length")] = 4e-3
    std: Annotated[float, Gt(0), doc("standard deviation of the initial weights; small ones starve directions")] = 0.3


@dataclass(frozen=True)
class DoseSettings:
    """The world has eight bridges and four held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("AdamW steps, at the paper's settings")] = 1_500


@dataclass(frozen=True)
class MitigationSettings:
    """The world has four bridges and four held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("AdamW steps, at the paper's settings")] = 2_000


@dataclass(frozen=True)
class OptimiserSettings:
    """One bridge and three held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("optimiser steps")] = 4_000


@dataclass(frozen=True)
class LanguageModelSettings(language_model.Settings):
    """How many people, which designs, and how the model is trained."""

    pairs: Annotated[tuple[str, ...], MinLen(1), doc("relation pairs; claims about absent ones are void")] = tuple(PAIRS)
    shuffled: Annotated[
        tuple[str, ...], doc("pairs that are trained with shuffled bridges too, if they are among the pairs")
    ] = (
        "city-language",
        DOSED,
    )
    doses: Annotated[
        bool, doc("train sport-music with other shares of bridges, with contradicting ones, and for more epochs")
    ] = True
    n_facts: Annotated[int, Ge(2), doc("facts, implications and groups of names, of ten each")] = 5
    per_fact: Annotated[int, Ge(10), doc("names for each fact; a fifth of them are bridges")] = 10
    batch_size: Annotated[int, Ge(1), doc("sentences a step")] = 10
    n_epochs_long: Annotated[
        int, Ge(1), doc("epochs of the designs whose margin is asked for at the end of training; n_epochs or more")
    ] = 16
    n_asked: Annotated[int, Ge(1), doc("held-out names of each fact that are asked on the way, twice in n_epochs")] = 3
    n_steps_symbolic: Annotated[int, Ge(1), doc("AdamW steps of the symbolic model")] = 1_500

    def __post_init__(self) -> None:
        for name in (*self.pairs, *self.shuffled):
            if name not in PAIRS:
                raise SettingsError(unknown_name("relation pair", name, PAIRS, see=f"There are {', '.join(PAIRS)}"))
        if self.n_epochs_long < self.n_epochs:
            raise SettingsError(
                "n_epochs_long must be at least n_epochs, as the longer training is asked where the shorter one ends; got "
                f"n_epochs_long = {self.n_epochs_long}, n_epochs = {self.n_epochs}"
            )

    @property
    def epochs_between(self) -> int:
        """Epochs between two askings on the way, so that one falls on the last of `n_epochs`."""
        return self.n_epochs if self.n_epochs % 2 else self.n_epochs // 2

    @property
    def dosed(self) -> bool:
        """Whether shares of bridges are compared."""
        return self.doses and DOSED in self.pairs

    def bridges(self, percent: int) -> int:
        """Bridges in each group for that share of names."""
        return round(percent * self.per_fact / 100)

    def bridges_per_held_out(self, percent: int) -> float:
        """m_train over m_test at that share of names."""
        return self.bridges(percent) / (self.per_fact - self.bridges(percent))

    def theory(self, percent: int) -> float:
        """The held-out margin over the bridges' of the solution of least nuclear norm."""
        return min(math.sqrt(self.bridges_per_held_out(percent)), 1.0)

    @property
    def work(self) -> float:
        """Sentences that a run trains on, over all designs and epochs; asking counts as a tenth of a fine-tuning."""

        def sentences(percent: int) -> int:
            return self.n_facts * (self.per_fact + self.bridges(percent))

        asked = 0.1 * self.n_epochs * len(self.pairs) * sentences(20)
        own = [
            pair for pair in self.pairs if not (self.dosed and pair == DOSED)
        ]  # that one is asked on the way of a longer one
        trained = self.n_epochs * sum(1 + (pair in self.shuffled) for pair in own) * sentences(20)
        if not self.dosed:
            return asked + trained
        doses = [sentences(percent) for percent in DOSES if percent != 20]
        others = self.n_epochs * (sum(doses) + sentences(DOSES[-1]) + sentences(100))
        return asked + trained + others + self.n_epochs_long * 2 * sentences(20)
