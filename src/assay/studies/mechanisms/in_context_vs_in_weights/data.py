"""Which data make the network look the answer up: classes and burstiness (C1, C2, C11), and noise (C3).

What looking up takes from remembering is read beside a twin that cannot look up: the same network from the same start, asked
the same questions about the same items with labels at random in the context. Both are read when each class has been asked
equally often, whatever the number of classes: otherwise few classes are remembered better for having been asked more often.
"""

from collections.abc import Mapping

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import DataSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    Trained,
    accuracies,
    train_regimes,
    untrained,
)

CONTRASTS = {"classes": ("many", "few"), "bursts": ("burst", "single"), "noise": ("noisy", "single")}
NAMES = ("ic", "ic2", "known", "scrambled")


def contrasts(final: Mapping[str, Mapping[str, float]], corners: Mapping[str, str]) -> dict[str, float]:
    """What each data property adds to in-context accuracy and to the cost of looking up, with controls.

    A property that the cells do not vary is left out.

    Args:
        final: of each cell, in-context accuracy (`ic`, and `scrambled`) and the cost of looking up (`cost`, and
            `stranger_cost`).
        corners: the cells that are compared, by role.
    """
    found = {}
    for name, (high, low) in CONTRASTS.items():
        if corners.get(high, corners[low]) == corners[low]:
            continue
        for arm, estimand, key in (
            (name, "ic_gain", "ic"),
            (name, "iw_cost", "cost"),
            (f"{name}-scrambled", "ic_gain", "scrambled"),
            (f"{name}-stranger", "iw_cost", "stranger_cost"),
        ):
            found[f"{arm}/{estimand}"] = final[corners[high]][key] - final[corners[low]][key]
    return found


def override_gap(cells: Mapping[str, Mapping[str, float]], corners: Mapping[str, str]) -> float:
    """The largest difference between accuracy on new classes and with labels shifted, where the context should win."""
    return max(abs(cells[corners[role]]["ic2"] - cells[corners[role]]["ic"]) for role in ("many", "burst"))


def measure(settings: DataSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every cell, and its twin that cannot look up."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "iw", "stranger"))

    cells = settings.regimes
    twins = {f"{name}, no look-up": name for name in cells}
    regimes = cells | {twin: cells[name].without_look_up for twin, name in twins.items()}
    looks = {round(settings.n_steps * i / settings.n_looks) for i in range(1, settings.n_looks + 1)}
    looks |= {settings.equal_step(regime) for regime in cells.values()}
    done = train_regimes(regimes, settings, seeds, observe=observe, observe_at=sorted(looks), twins=twins)

    def when_equal(trained: Trained, key: str) -> float:
        """An accuracy when each class had been asked equally often."""
        return float(trained.curve(key)[list(trained.trace.steps).index(settings.equal_step(regimes[trained.name]))])

    final: dict[str, dict[str, float]] = {}
    for twin, name in twins.items():
        numbers = accuracies(done[name].model, done[name].sets, NAMES)
        numbers |= {"iw": when_equal(done[name], "iw"), "twin_iw": when_equal(done[twin], "iw")}
        numbers["cost"] = numbers["twin_iw"] - numbers["iw"]
        numbers["stranger_cost"] = when_equal(done[twin], "stranger") - when_equal(done[name], "stranger")
        final[name] = numbers | {"twin_ic": done[twin].last("ic")}
    few = final[settings.corners["few"]]
    estimands = contrasts(final, settings.corners) | {
        "readers/override_gap": override_gap(final, settings.corners),
        "few/shift_loss": few["known"] - few["ic2"],
    }
    course: Table = [
        {"cell": name, "step": int(step), "evaluation": key, "accuracy": float(value)}
        for name, trained in done.items()
        for key in ("ic", "iw")
        for step, value in zip(trained.trace.steps, trained.curve(key), strict=True)
    ]
    rows: Table = [
        {"cell": name, "eps": cells[name].noise, "evaluation": key, "accuracy": values[key]}
        for name, values in final.items()
        for key in ("ic", "iw", "twin_iw", "twin_ic")
    ]
    return Measurement(estimands, {"cells": rows, "course": course})


def measure_nulls(settings: DataSettings, seeds: Seeds) -> Measurement:
    """One seed of the same networks before training; of several contrasts the largest."""
    found = measure(untrained(settings), seeds).estimands
    largest = {
        key: max(found[f"{name}/{key}"] for name in CONTRASTS if f"{name}/{key}" in found) for key in ("ic_gain", "iw_cost")
    }
    numbers = largest | {"override_gap": found["readers/override_gap"]}
    return Measurement({f"untrained/{name}": value for name, value in numbers.items()})
