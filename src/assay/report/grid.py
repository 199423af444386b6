"""A page for a grid of settings: each claim's verdict at every point as a table, its number over what was swept as a figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from assay.claims.study import Study
from assay.claims.verdict import Verdict
from assay.core.settings import spelled
from assay.report.found import number_text
from assay.report.numbers import interval_text, typeset
from assay.report.page import Plate, plate, rendered, shown_title
from assay.report.palette import PAPER, SOFT, VERDICT
from assay.report.sketch import Picture, Plan, name_axes, render, scale
from assay.report.tables import Cell

__all__ = ["GridPoint", "grid_page"]


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid: the value of each setting that was swept, runs, and the verdicts."""

    values: tuple[object, ...]
    n_runs: int
    verdicts: Sequence[Verdict]

    def verdict(self, claim: str) -> Verdict | None:
        """Of the claim called so."""
        return next((one for one in self.verdicts if one.claim == claim), None)


def grid_page(
    study: Study, swept: Sequence[str], points: Sequence[GridPoint], *, created: str | None = None
) -> tuple[str, dict[str, bytes]]:
    """The page as one HTML text, and the files of its figures by their path beside it.

    Args:
        study: as declared.
        swept: names of the settings that differ between points.
        points: in the order of the grid.
        created: a date for the colophon.
    """
    names = [" ".join(f"{name}={spelled(value)}" for name, value in zip(swept, point.values, strict=True)) for point in points]
    claims = list(dict.fromkeys(one.claim for point in points for one in point.verdicts))
    files: dict[str, bytes] = {}
    figures: list[Plate] = []
    rows = []
    for claim in claims:
        found = [point.verdict(claim) for point in points]
        first = next(one for one in found if one is not None)
        rows.append(
            {
                "name": claim,
                "says": first.says,
                "rule": typeset(first.rule),
                "cells": [
                    {"verdict": "unrun", "number": ""} if one is None else {"verdict": one.verdict, "number": number_text(one)}
                    for one in found
                ],
            }
        )
        if sum(one is not None and one.estimate is not None for one in found) > 1:
            stem = f"grid/{claim.lower().replace('.', '-').replace('_', '-')}"
            figures.append(plate(stem, claim, first.says, _drawn(study, claim, swept, points, names), files))
    page = rendered(
        "grid.html.j2",
        study=study,
        title=shown_title(study),
        swept=", ".join(swept),
        points=[{"name": name, "n_runs": point.n_runs} for name, point in zip(names, points, strict=True)],
        rows=rows,
        figures=figures,
        created=created,
    )
    return page, files


def _drawn(study: Study, claim: str, swept: Sequence[str], points: Sequence[GridPoint], names: Sequence[str]) -> Picture:
    """A claim's estimate with the interval that decided, at each point: over the setting's values, or point by point."""
    declared = study.claim(claim)
    shown = declared.defined.shown if declared.defined else float
    bounds = [shown(value) for name, value in declared.rule.numbers.items() if name in ("bound", "low", "high", "value")]
    found = [(point, point.verdict(claim)) for point in points]
    numeric = len(swept) == 1 and all(
        isinstance(point.values[0], int | float) and not isinstance(point.values[0], bool) for point in points
    )
    places = [float(point.values[0]) if numeric else float(i) for i, point in enumerate(points)]  # type: ignore[arg-type]
    drawn = [
        (at, one.estimate, one)
        for at, (_, one) in zip(places, found, strict=True)
        if one is not None and one.estimate is not None
    ]
    unit = next((one.estimand_unit for _, _, one in drawn if one.estimand_unit not in ("", "yes or no")), "")
    missing, many = len(points) - len(drawn), len(names) > 3

    def paint(ax: Axes, panel: int, several: bool) -> None:
        for bound in bounds:
            ax.axhline(bound, color=SOFT.light, linewidth=0.9, linestyle=(0, (1, 1.6)))
        if numeric:
            ax.plot([at for at, _, _ in drawn], [estimate for _, estimate, _ in drawn], color=SOFT.light, linewidth=0.7)
        for at, estimate, one in drawn:
            colour = VERDICT[one.verdict].light
            ends = [estimate if end is None else end for end in (one.low, one.high)]
            ax.plot([at, at], ends, color=colour, linewidth=1.6, solid_capstyle="butt")
            face = colour if one.verdict in ("supported", "refuted") else PAPER.light
            ax.plot([at], [estimate], color=colour, marker="o", markersize=5.5, markerfacecolor=face)
        name_axes(ax, swept[0] if numeric else ", ".join(swept), unit or "estimate", several=False)
        if numeric:
            wide = min(places) > 0 and max(places) / min(places) > 30
            scale(ax, "x", "log" if wide else "linear", np.array(places))
        else:
            ax.set_xticks(places, [str(i) if many else name for i, name in enumerate(names, 1)])
        ax.margins(x=0.08)

    columns: tuple[str, ...] = (*swept, "estimate", "low", "high", "n_runs", "verdict")
    rows: list[tuple[Cell, ...]] = [
        (*(spelled(value) for value in point.values), one.estimate, one.low, one.high, one.n_runs, one.verdict)
        for point, one in found
        if one is not None
    ]
    told = "; ".join(
        f"{name}: {interval_text(one.estimate, one.low, one.high)[0]}"
        for name, (_, one) in zip(names, found, strict=True)
        if one is not None and one.estimate is not None and math.isfinite(one.estimate)
    )
    note = "Estimates with the intervals that decided; dotted, the rule. Filled: supported or refuted; hollow: not decided."
    if missing:
        note += (
            f" {missing} point{'s have' if missing > 1 else ' has'} no number and {'are' if missing > 1 else 'is'} not drawn."
        )
    if many and not numeric:
        note += f" Points: {'; '.join(f'{i}, {name}' for i, name in enumerate(names, 1))}."
    plan = Plan(("",), paint, 200, (), columns, rows, note, f"{claim} over {', '.join(swept)}. {told}")
    return render(plan, ident=f"grid-{claim.lower().replace('.', '-').replace('_', '-')}", title=claim)
