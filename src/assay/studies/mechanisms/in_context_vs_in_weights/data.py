"""Which data make the network look the answer up: classes and burstiness (C1, C2, C11), and noise (C3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Heat
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    PAPER,
    Regime,
    Setting,
    Training,
    accuracies,
    check_regimes,
    train_regimes,
)

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["CONTRASTS", "DATA", "NAMES", "NOISE", "DataSettings", "contrasts"]

SCRAMBLED = "the same contrast with each context's labels dealt out again: then the context says nothing"
STRANGER = "the same contrast on classes the network never met: there is nothing to remember"

CLAIMS = (
    Claim(
        "C1",
        says="Many classes favour the context: in-context accuracy with 2,048 classes is at least 0.7 above that with 128.",
        source=PAPER + "section 3, figure 2a",
        estimand="classes/ic",
        rule=Above(0.7),
        margin="the figure runs from about 0 to about 1; 0.7 is most of it",
        control=Control(SCRAMBLED, "classes/scrambled"),
        paper_value="rises with K",
    ),
    Claim(
        "C1.weights",
        says="Few classes favour the weights: in-weights accuracy with 128 classes is at least 0.4 above that with 2,048.",
        source=PAPER + "section 3, figure 2a",
        estimand="classes/iw",
        rule=Above(0.4),
        margin="after few steps remembering 128 classes is under way, not done",
        control=Control(STRANGER, "classes/stranger"),
        paper_value="falls with K",
    ),
    Claim(
        "C2",
        says="Burstiness favours the context: with 512 classes, bursts of 4 give at least 0.7 more in-context accuracy than 1.",
        source=PAPER + "section 3, figure 2a",
        estimand="bursts/ic",
        rule=Above(0.7),
        margin="as C1",
        control=Control(SCRAMBLED, "bursts/scrambled"),
        paper_value="rises with B",
    ),
    Claim(
        "C2.weights",
        says="Burstiness works against the weights: bursts of 1 give at least 0.3 more in-weights accuracy than bursts of 4.",
        source=PAPER + "section 3, figure 2a",
        estimand="bursts/iw",
        rule=Above(0.3),
        margin="half of what bursts of 1 reach in these steps",
        control=Control(STRANGER, "bursts/stranger"),
        paper_value="falls with B",
    ),
    Claim(
        "C11",
        says="Whoever reads the context believes it: where accuracy on new classes is above 0.8, accuracy on known classes "
        "with all labels shifted is within 0.05 of it.",
        source=PAPER + "section 3 (IC2)",
        estimand="override_gap",
        rule=Below(0.05),
        margin="two standard errors of a difference of two accuracies on 1,000 sequences, twice",
        control=Control(
            "a network that remembers (128 classes) loses most of its accuracy when labels are shifted", "memory_gap"
        ),
        paper_value="IC2 follows IC",
    ),
    Claim(
        "C11.trade",
        says="Over the data settings, in-context and in-weights accuracy exclude each other: correlation below -0.5.",
        source=PAPER + "section 3, figure 2",
        estimand="tradeoff",
        rule=Below(-0.5),
        margin="half of a perfect trade",
        control=Control("two readings of the context (new classes, shifted labels) go together", "agreement"),
        paper_value="trade-off",
    ),
)


NOISE_CLAIMS = (
    Claim(
        "C3",
        says="Noise inside classes favours the context: from 0.1 to 0.75 in-context accuracy rises by at least 0.1.",
        source=PAPER + "section 3, figure 2b (K = 1024 there)",
        estimand="noise/ic",
        rule=Above(0.1),
        margin="three times chance (1/32); after 3,000 steps of Adam the rise has begun",
        control=Control(SCRAMBLED, "noise/scrambled"),
        paper_value="rises with eps",
    ),
    Claim(
        "C3.weights",
        says="Noise inside classes works against the weights: in-weights accuracy falls by at least 0.1.",
        source=PAPER + "section 3, figure 2b (K = 1024 there)",
        estimand="noise/iw",
        rule=Above(0.1),
        margin="as C3",
        control=Control(STRANGER, "noise/stranger"),
        paper_value="falls with eps",
    ),
)


@dataclass(frozen=True)
class DataSettings(Training):
    """A grid of classes and burstiness, and noisy cells beside one of it; the claims compare its corners."""

    classes: Annotated[tuple[int, ...], doc("numbers of classes (K), rising")] = (128, 512, 2048)
    bursts: Annotated[tuple[int, ...], doc("copies of a class in a sequence (B), rising")] = (1, 2, 4)
    noises: Annotated[tuple[float, ...], doc("standard deviations inside a class (eps), rising")] = (0.1, 0.75)
    n_looks: Annotated[int, Ge(1), doc("observations of each network on the way")] = 6

    def __post_init__(self) -> None:
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[str, Regime]:
        """All cells by name: the grid, then the noisy ones."""
        middle, single = self.classes[len(self.classes) // 2], self.bursts[0]
        grid = {f"K={k} B={b}": Regime(k, b, self.noises[0]) for k in self.classes for b in self.bursts}
        return grid | {f"K={middle} B={single} eps={e:g}": Regime(middle, single, e) for e in self.noises[1:]}

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
        return corners | ({"noisy": f"K={middle} B={single} eps={self.noises[-1]:g}"} if len(self.noises) > 1 else {})


CONTRASTS = {"classes": ("many", "few"), "bursts": ("burst", "single"), "noise": ("noisy", "single")}
NAMES = ("ic", "ic2", "iw", "known", "scrambled", "stranger")


def contrasts(final: Mapping[str, Mapping[str, float]], corners: Mapping[str, str]) -> dict[str, float]:
    """What each data property adds to in-context accuracy and takes from in-weights accuracy, with controls.

    A property that the cells do not vary is left out.
    """
    found = {}
    for name, (high, low) in CONTRASTS.items():
        if corners.get(high, corners[low]) == corners[low]:
            continue
        for key, sign in (("ic", 1), ("iw", -1), ("scrambled", 1), ("stranger", -1)):
            found[f"{name}/{key}"] = sign * (final[corners[high]][key] - final[corners[low]][key])
    return found


def measure(settings: DataSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every cell."""

    def observe(name: str, model: "Decoder", sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "iw"))

    regimes = settings.regimes
    looks = sorted({round(settings.n_steps * i / settings.n_looks) for i in range(1, settings.n_looks + 1)})
    done = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    final = {name: accuracies(cell.model, cell.sets, NAMES) for name, cell in done.items()}
    course: Table = [
        {"cell": name, "step": step, "evaluation": key, "accuracy": float(value)}
        for name, cell in done.items()
        for key in ("ic", "iw")
        for step, value in zip(cell.trace.steps, cell.curve(key), strict=True)
    ]
    ic, ic2, iw = (np.array([cell[key] for cell in final.values()]) for key in ("ic", "ic2", "iw"))
    gaps = np.abs(ic2 - ic)[ic > 0.8]
    few = final[settings.corners["few"]]
    estimands = contrasts(final, settings.corners) | {
        "override_gap": float(gaps.max()) if gaps.size else float("nan"),
        "memory_gap": few["known"] - few["ic2"],
        "tradeoff": _correlation(ic, iw),
        "agreement": _correlation(ic, ic2),
    }
    cells: Table = [
        {"cell": name, "K": regimes[name].n_classes, "B": regimes[name].burst, "eps": regimes[name].noise, **values}
        for name, values in final.items()
    ]
    grid: Table = [
        {"K": row["K"], "B": row["B"], "evaluation": key, "accuracy": row[key]}
        for row in cells
        if row["eps"] == settings.noises[0]
        for key in ("ic", "iw")
    ]
    noise: Table = [
        {"eps": row["eps"], "evaluation": key, "accuracy": row[key]}
        for row in cells
        if (row["K"], row["B"]) == (settings.classes[len(settings.classes) // 2], settings.bursts[0])
        for key in ("ic", "iw")
    ]
    return Measurement(estimands, {"cells": cells, "grid": grid, "noise": noise, "course": course})


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1]) if min(first.std(), second.std()) > 0 else float("nan")


READINGS = {"ic": "in context (new classes)", "iw": "in weights"}
GRID_FIGURES = (
    Figure(
        "grid",
        "Classes and burstiness decide",
        "Accuracy on new classes (only the context can tell) and on independent sequences (only the weights can), after the "
        "same number of steps. Many classes or bursty contexts: looked up. Few classes, no bursts: remembered.",
        Heat("grid", row="K", column="B", value="accuracy", panel="evaluation", row_label="classes (K)",
             column_label="copies of a class in the context (B)", value_label="accuracy", annotate=True),
        names=READINGS,
    ),
)  # fmt: skip

NOISE_FIGURES = (
    Figure(
        "noise",
        "Noise makes remembering harder",
        "Accuracy by the spread of items inside a class, at 512 classes without bursts.",
        Bars("noise", x="eps", y="accuracy", by="evaluation", x_label="noise inside a class (eps)", y_label="accuracy"),
        names=READINGS,
        further=True,
    ),
)  # fmt: skip

DATA = Experiment(
    name="data",
    question="How many classes and how bursty a context make the network look the answer up, and which make it remember?",
    claims=CLAIMS,
    presets={
        "quick": Preset(DataSettings(n_steps=4, n_eval=24, batch=16, n_looks=1, noises=(0.1,)), n_runs=2),
        "laptop": Preset(DataSettings(n_steps=2000, batch=64, noises=(0.1,)), n_runs=5),
        "paper": Preset(
            DataSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, classes=(128, 256, 512, 1024, 2048),
                bursts=(1, 2, 4), noises=(0.1,),
            ),
            n_runs=6,
        ),
    },
    measure=measure,
    figures=GRID_FIGURES,
    cost="5.5 min on two cores",
)  # fmt: skip

NOISE = Experiment(
    name="noise",
    question="Does noise inside the classes make the network look the answer up?",
    claims=NOISE_CLAIMS,
    presets={
        "quick": Preset(DataSettings(n_steps=4, n_eval=24, batch=16, n_looks=1, classes=(512,), bursts=(1,)), n_runs=2),
        "laptop": Preset(DataSettings(classes=(512,), bursts=(1,)), n_runs=5),
        "paper": Preset(
            DataSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, classes=(1024,), bursts=(1,),
                noises=(0.1, 0.25, 0.5, 0.75),
            ),
            n_runs=6,
        ),
    },
    measure=measure,
    figures=NOISE_FIGURES,
    cost="5 min on two cores",
)  # fmt: skip
