"""The settings of the experiments, and the data regimes that they speak of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt, doc

from assay.core.errors import SettingsError
from assay.studies.mechanisms.in_context_vs_in_weights.world import ItemLabelWorld


@dataclass(frozen=True)
class Training:
    """How a network is trained; the fields every experiment has."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps of each network")] = 3000
    n_eval: Annotated[int, Ge(8), doc("sequences of each evaluation")] = 1000
    batch: Annotated[int, Ge(1), doc("sequences a step")] = 128
    network: Annotated[Literal["strict", "modern"], doc("the paper's network, or norm, MLP, rotary positions and 4 heads")] = (
        "strict"
    )
    optimiser: Annotated[Literal["adamw", "sgd"], doc("Adam, or the paper's plain SGD")] = "adamw"
    learning_rate: Annotated[float, Gt(0), doc("constant over training")] = 1e-3


@dataclass(frozen=True)
class Regime:
    """What the training data are like; the fields carry the paper's names in brackets.

    Attributes:
        n_classes: K.
        burst: B.
        noise: eps.
        zipf: alpha.
        p_bursty: p_B.
        p_fresh: p_C.
        n_labels: L.
        shown: the labels that stand in the context while training (ours): the items' own; the same ones `dealt` out again among
            the items, so that a label of the context is right and none says which; or drawn at `random` from all labels, so
            that nothing can be looked up and every question must be answered from the weights.
        renamed: training steps in which the answer to each question is the label after the right one (ours): what has to be
            attended to is learnt as ever, and accuracy can only come when the names are set right.
    """

    n_classes: int
    burst: int
    noise: float = 0.1
    zipf: float = 0.0
    p_bursty: float = 1.0
    p_fresh: float = 0.0
    n_labels: int = 32
    shown: Literal["own", "dealt", "random"] = "own"
    renamed: int = 0

    @property
    def without_look_up(self) -> "Regime":
        """The same questions about the same items with nothing to look up."""
        return replace(self, shown="random")


def check_regimes(regimes: Sequence[Regime]) -> None:
    """Nothing when all regimes can be drawn; called before any training starts.

    Raises:
        SettingsError: a regime is impossible.
    """
    for regime in regimes:
        probe = ItemLabelWorld.sample(
            rng=np.random.default_rng(0), n_classes=regime.n_classes, n_labels=regime.n_labels, d_content=1,
            noise=regime.noise, zipf=regime.zipf,
        )  # fmt: skip
        probe.check(burst=regime.burst, p_bursty=regime.p_bursty, p_fresh=regime.p_fresh)


@dataclass(frozen=True)
class DataSettings(Training):
    """Numbers of classes and of copies in the context, and noise inside a class; the claims compare the ends of each."""

    classes: Annotated[tuple[int, ...], doc("numbers of classes (K), rising")] = (128, 512, 2048)
    bursts: Annotated[tuple[int, ...], doc("copies of a class in a sequence (B), rising")] = (1, 2, 4)
    noises: Annotated[tuple[float, ...], doc("standard deviations inside a class (eps), rising")] = (0.1, 0.5)
    noisy_classes: Annotated[int, Ge(1), doc("number of classes (K) at which noises are compared, without bursts")] = 608
    whole: Annotated[bool, doc("every pair of classes and bursts, not only those that are compared")] = False
    n_looks: Annotated[int, Ge(1), doc("observations of each network on the way")] = 6

    def __post_init__(self) -> None:
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[str, Regime]:
        """All cells by name: classes and bursts, then the noisy ones; those that the claims compare, or the whole grid."""
        k, single = self.noisy_classes, self.bursts[0]
        grid = {f"K={k} B={b}": Regime(k, b, self.noises[0]) for k in self.classes for b in self.bursts}
        if len(self.noises) > 1:
            grid |= {f"K={k} B={single} eps={e:g}": Regime(k, single, e) for e in self.noises}
        compared = set(self.corners.values())
        return {name: regime for name, regime in grid.items() if self.whole or name in compared}

    def read_step(self, regime: Regime) -> int:
        """The step by which what is remembered is read.

        Where numbers of classes are compared each class has been asked as often by then as each of the most numerous at the
        end; elsewhere the settings that are compared have equally many classes, and it is the end.
        """
        if (regime.burst, regime.noise) != (self.bursts[len(self.bursts) // 2], self.noises[0]) or len(self.classes) == 1:
            return self.n_steps
        return max(1, round(self.n_steps * regime.n_classes / self.classes[-1]))

    @property
    def corners(self) -> dict[str, str]:
        """The cells that the claims compare, by role."""
        few, middle, many = self.classes[0], self.classes[len(self.classes) // 2], self.classes[-1]
        single, pair, most = self.bursts[0], self.bursts[len(self.bursts) // 2], self.bursts[-1]
        corners = {
            "few": f"K={few} B={pair}",
            "many": f"K={many} B={pair}",
            "single": f"K={middle} B={single}",
            "burst": f"K={middle} B={most}",
        }
        ends = {"noisy": self.noises[-1], "clean": self.noises[0]} if len(self.noises) > 1 else {}
        return corners | {role: f"K={self.noisy_classes} B={single} eps={noise:g}" for role, noise in ends.items()}


@dataclass(frozen=True)
class RememberingSettings(Training):
    """Few and many classes, each network beside its twin that cannot look up, until each class was asked equally often."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps with the most classes; with fewer, in proportion")] = 2000
    classes: Annotated[tuple[int, ...], doc("numbers of classes (K), rising; the first and the last are compared")] = (
        128,
        2048,
    )
    burst: Annotated[int, Ge(1), doc("copies of a class in a sequence (B)")] = 2
    n_looks: Annotated[int, Ge(1), doc("observations of each network")] = 8

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or any(few >= many for few, many in pairwise(self.classes)):
            raise SettingsError(f"classes must be at least two numbers and rise; got {self.classes}")
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[int, Regime]:
        """One per number of classes."""
        return {k: Regime(k, self.burst) for k in self.classes}

    def steps(self, n_classes: int) -> int:
        """Steps after which each of so many classes has been asked as often as each of the most at the end."""
        return max(1, round(self.n_steps * n_classes / self.classes[-1]))


@dataclass(frozen=True)
class MinimalSettings(DataSettings):
    """The corners of the data settings, for the two-parameter model, and how fast its two numbers move."""

    noises: Annotated[tuple[float, ...], doc("standard deviations inside a class (eps), rising")] = (0.1, 0.75)
    noisy_classes: Annotated[int, Ge(1), doc("number of classes (K) at which noises are compared, without bursts")] = 512
    rates: Annotated[tuple[float, ...], doc("learning rates of the two numbers, in the classifier's; falling")] = (
        10.0,
        3.0,
        1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.rates) < 2 or any(slow >= fast for fast, slow in pairwise(self.rates)) or self.rates[-1] <= 0:
            raise SettingsError(f"rates must be positive, at least two, and fall; got {self.rates}")

    @property
    def roles(self) -> dict[str, Regime]:
        """The regimes that the claims compare, by role."""
        return {role: self.regimes[cell] for role, cell in self.corners.items()}

    @property
    def arms(self) -> dict[str, Regime]:
        """The corners, the isolated regime and one that can only be remembered."""
        return self.roles | {"isolated": Regime(256, 1, p_fresh=0.8), "memoriser": Regime(32, 0, p_bursty=0.0)}


@dataclass(frozen=True)
class GateSettings:
    """The loss of nested gates alone."""

    others: Annotated[tuple[float, ...], doc("competitors of each gate: context, tokens, labels")] = (16.0, 16.0, 7.0)
    n_steps: Annotated[int, Ge(1), doc("steps of gradient descent")] = 6000
    learning_rate: Annotated[float, Gt(0), doc("of plain descent")] = 0.4
    spread: Annotated[float, Ge(0), doc("standard deviation of the start")] = 0.3


@dataclass(frozen=True)
class EmergenceSettings(Training):
    """The isolation regime: mostly new classes, so that only the context can tell."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps of each network but the memoriser")] = 1500
    n_attended: Annotated[int, Ge(1), doc("sequences of an evaluation on which attention is read")] = 256
    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 256
    burst: Annotated[int, Ge(1), doc("copies of each class in a sequence (B)")] = 1
    p_fresh: Annotated[float, doc("share of sequences of new classes (p_C)")] = 0.8
    per_decade: Annotated[int, Ge(1), doc("observations per factor of ten in steps")] = 5
    every: Annotated[int, Ge(0), doc("observations every so many steps beside them; 0 for none")] = 30
    memoriser_steps: Annotated[int, Ge(1), doc("optimiser steps of the memoriser, observed 40 times")] = 200
    renamed: Annotated[float, Ge(0), Lt(1), doc("share of its steps in which the control's answers have other names")] = 0.8

    def __post_init__(self) -> None:
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[str, Regime]:
        """The arms.

        `isolated` is the paper's isolation, `equal` its variant with as many labels as items. `guesser` is isolated with each
        context's labels dealt out again, so that nothing but guessing among them can be learnt; `renamed` is isolated with the
        label after the right one as the answer for most of its training, so that attention is learnt before accuracy can rise;
        `memoriser` has contexts that never hold the answer.
        """
        isolated = Regime(self.n_classes, self.burst, p_fresh=self.p_fresh)
        return {
            "isolated": isolated,
            "guesser": replace(isolated, shown="dealt"),
            "renamed": replace(isolated, renamed=round(self.renamed * self.n_steps)),
            "memoriser": Regime(32, 0, p_bursty=0.0),
            "equal": replace(isolated, n_labels=8),
        }


@dataclass(frozen=True)
class SkewSettings(Training):
    """Half of the sequences bursty, classes drawn by a rank-frequency law."""

    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 1024
    burst: Annotated[int, Ge(1), doc("copies of each class in a bursty sequence (B)")] = 2
    p_bursty: Annotated[float, doc("share of bursty sequences (p_B)")] = 0.5
    exponents: Annotated[tuple[float, ...], doc("of the rank-frequency law (alpha); the first must be 0")] = (0.0, 1.0, 2.0)
    claimed: Annotated[float, doc("the exponent that the paper's claim is judged at, one of them")] = 1.0

    def __post_init__(self) -> None:
        if len(self.exponents) < 2 or self.exponents[0] != 0:
            raise SettingsError(f"exponents must start with 0, the comparison, and name another; got {self.exponents}")
        if self.claimed not in self.exponents[1:]:
            raise SettingsError(f"claimed must be one of the exponents above 0, {self.exponents[1:]}; got {self.claimed}")
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[float, Regime]:
        """One per exponent."""
        return {a: Regime(self.n_classes, self.burst, zipf=a, p_bursty=self.p_bursty) for a in self.exponents}


@dataclass(frozen=True)
class FidelitySettings(Training):
    """The paper's optimiser; ten times its rate, 3% of the steps, a quarter of the batch."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps")] = 4500
    batch: Annotated[int, Ge(1), doc("sequences a step")] = 32
    optimiser: Annotated[Literal["adamw", "sgd"], doc("Adam, or the paper's plain SGD")] = "sgd"
    learning_rate: Annotated[float, Gt(0), doc("constant over training")] = 0.1
    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 512
    burst: Annotated[int, Ge(1), doc("copies of each class in a sequence (B)")] = 2

    def __post_init__(self) -> None:
        check_regimes([Regime(self.n_classes, self.burst)])
