"""Which data make the network look the answer up: classes, burstiness and noise (C1, C2, C3, C11).

What looking up takes from remembering is read beside a twin that cannot look up: the same network from the same start, asked
the same questions about the same items with labels at random in the context. Both are read when each class has been asked
equally often: otherwise few classes are remembered better for having been asked more often.
"""

from collections.abc import Mapping
from dataclasses import replace

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import DataSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    accuracies,
    train_regimes,
    untrained,
)

CONTRASTS = {"classes": ("many", "few"), "bursts": ("burst", "single"), "noise": ("noisy", "clean")}
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
    read = {name: settings.read_step(regime) for name, regime in cells.items()}
    twins = {name: f"{name}, no look-up" for name in cells}
    looks = {round(settings.n_steps * i / settings.n_looks) for i in range(1, settings.n_looks + 1)}
    share = len(cells) * settings.n_steps / (len(cells) * settings.n_steps + sum(read.values()))
    with part(0.0, share):
        done = train_regimes(cells, settings, seeds, observe=observe, observe_at=sorted(looks | set(read.values())))
    with part(share, 1.0):
        for step in parts(sorted(set(read.values()))):
            group = {twins[name]: name for name in cells if read[name] == step}
            done |= train_regimes(
                {twin: cells[name].without_look_up for twin, name in group.items()},
                replace(settings, n_steps=step), seeds, observe=observe, observe_at=(step,), twins=group,
            )  # fmt: skip

    def when_read(cell: str, key: str) -> float:
        """An accuracy of a cell's network at the step by which its twin was trained."""
        return float(done[cell].curve(key)[list(done[cell].trace.steps).index(read[cell])])

    final: dict[str, dict[str, float]] = {}
    for name, twin in twins.items():
        numbers = accuracies(done[name].model, done[name].sets, NAMES)
        numbers |= {"iw": when_read(name, "iw"), "twin_iw": done[twin].last("iw")}
        numbers["cost"] = numbers["twin_iw"] - numbers["iw"]
        numbers["stranger_cost"] = done[twin].last("stranger") - when_read(name, "stranger")
        final[name] = numbers | {"twin_ic": done[twin].last("ic")}
    few = final[settings.corners["few"]]
    estimands = contrasts(final, settings.corners) | {
        "readers/override_gap": override_gap(final, settings.corners),
        "few/shift_loss": few["known"] - few["ic2"],
    }
    course: Table = [
        {"cell": name, "step": int(step), "evaluation": key, "accuracy": float(value)}
        for name in cells
        for key in ("ic", "iw")
        for step, value in zip(done[name].trace.steps, done[name].curve(key), strict=True)
    ]
    rows: Table = [
        {"cell": name, "evaluation": key, "accuracy": values[key]}
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
