"""The four chart records of `assay.claims.charts`, drawn from stored tables, with the very rows that were drawn.

A value drawn is the mean over runs with its t interval, as a band or a bar; one run has none, and the note says so. Series are
told apart by mark or stroke as well as by colour. No title is burnt in.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import MaxNLocator

from assay.claims.charts import Bars, Figure, Heat, Lines, Scatter
from assay.claims.study import Scalar, Table
from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.report.numbers import general, level_text, typeset
from assay.report.palette import INK, PAPER, RULE, SOFT, STRONG
from assay.report.points import LEVEL, Mean, group, label
from assay.report.sketch import (
    DASHED,
    SINGLE,
    SMALL,
    Look,
    Picture,
    Plan,
    looks,
    margin_labels,
    name_axes,
    references,
    render,
    scale,
    shown,
)
from assay.report.tables import Cell

__all__ = ["draw"]

Names = Mapping[str, str]
Key = tuple[Scalar, ...]
_MOST_DOTS = 50  # single runs drawn beside a mean; where there are more, that many of their quantiles
# Zero is transparent, so the middle colour is the page's own, light or dark; both ends stand out from both.
_BLUE, _ORANGE = (0.06, 0.36, 0.62), (0.70, 0.26, 0.03)
_STOPS = [(0, (*_BLUE, 1)), (0.5, (*_BLUE, 0)), (0.5, (*_ORANGE, 0)), (1, (*_ORANGE, 1))]
_DIVERGING = LinearSegmentedColormap.from_list("assay", _STOPS).with_extremes(bad=(0.5, 0.5, 0.5, 0.35))


def draw(figure: Figure, tables: Mapping[str, Table], *, ident: str) -> Picture:
    """The figure drawn from the tables of all runs (each row with the column `run`).

    Args:
        figure: what to draw.
        tables: rows by table name.
        ident: begins every id of the drawing; unique within a page.

    Raises:
        InputError: the chart's table has no rows, lacks a column the chart names, or has a text where a number must stand.
    """
    chart, names, where = figure.chart, figure.names, f"figure '{figure.name}'"
    table = tables.get(chart.table, [])
    if not table:
        raise InputError(
            f"{where}: a chart draws stored rows; no run has rows in a table '{chart.table}'. Run the experiment again"
        )
    match chart:
        case Lines():
            plan = _lines(chart, table, names, where)
        case Bars():
            plan = _bars(chart, table, names, where)
        case Scatter():
            plan = _scatter(chart, table, names, where)
        case Heat():
            plan = _heat(chart, table, names, where)
    return render(plan, ident=ident, title=figure.title)


# Lines


@dataclass(frozen=True)
class _Curve:
    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    theory: Floats  # nan where there is none

    @classmethod
    def of(cls, points: Sequence[tuple[Scalar, Mean, float | None]]) -> "_Curve":
        columns = zip(
            *((x, m.estimate, _or_nan(m.low), _or_nan(m.high), _or_nan(exact)) for x, m, exact in points), strict=True
        )
        return cls(*(np.array(column, dtype=np.float64) for column in columns))


def _lines(chart: Lines, table: Table, names: Names, where: str) -> Plan:
    grouped = group(table, (chart.panel, chart.by, chart.x), where=where)
    panels, series, positions = grouped.keys
    _numeric(positions, chart.x, where)
    means, missing = grouped.means(chart.y)
    _some(means, chart.y, where)
    theory = _exact(grouped.means(chart.theory, with_intervals=False)[0] if chart.theory else {})
    curves: dict[tuple[int, int], _Curve] = {}
    for i, panel in enumerate(panels):
        for j, by in enumerate(series):
            keys = [(panel, by, x) for x in positions if (panel, by, x) in means]
            if keys:
                curves[i, j] = _Curve.of([(key[2], means[key], theory.get(key)) for key in keys])
    strokes: Literal["varied", "solid"] = "varied" if chart.theory is None and not chart.markers else "solid"
    styles = looks(
        _spelled(series, names), ordered=_is_quantity(series), marks=len(series) > 1 or chart.markers, strokes=strokes
    )
    one_theory = len({curve.theory.tobytes() for curve in curves.values()}) == 1
    drawn = [curve.mean for curve in curves.values()] + [curve.theory for curve in curves.values()]
    reach = np.array([line.at for line in chart.lines if line.axis == "y"])
    ends = _ends([*drawn, reach], list(curves.values())) if chart.y_scale == "linear" else None
    direct = len(panels) == 1 and 2 <= len(series) <= 6 and all(len(shown(style.text)) <= 18 for style in styles)
    direct = direct and _part(np.array([curve.mean[-1] for curve in curves.values()]), np.concatenate(drawn), chart.y_scale)
    x_label, y_label = chart.x_label or label(chart.x, names), chart.y_label or label(chart.y, names)

    def paint(ax: Axes, panel: int, several: bool) -> None:
        for j, style in enumerate(styles):
            curve = curves.get((panel, j))
            if curve is None:
                continue
            every = 1 if chart.markers else max(1, math.ceil(len(curve.x) / 8))
            marks = {"marker": style.mark, "markevery": (j % every, every), "markeredgecolor": PAPER.light}
            ax.fill_between(curve.x, curve.low, curve.high, color=style.colour, alpha=0.17, linewidth=0)
            ax.plot(curve.x, curve.mean, color=style.colour, linestyle=style.stroke, **marks)  # type: ignore[arg-type]
            if chart.theory and not (one_theory and (panel, 0) in curves and j > 0):
                colour = INK.light if one_theory or len(series) == 1 else style.colour
                ax.plot(curve.x, curve.theory, color=colour, linestyle=DASHED, linewidth=1.1)
        name_axes(ax, x_label, y_label, several=several)
        scale(ax, "x", chart.x_scale, np.array(positions, dtype=float))
        scale(ax, "y", chart.y_scale, np.concatenate(drawn))
        ax.margins(x=0.01)
        references(ax, chart.lines, several=several, beside=not several)
        _above_zero(ax, chart.y_scale, [*drawn, reach], [curve.low for curve in curves.values()])
        if ends is not None:
            ax.set_ylim(*ends)

    def decorate(sheet: Sheet, axes: list[Axes]) -> Callable[[], None]:
        labels: list[tuple[float, str, str]] = []
        if direct:
            labels += [
                (float(curves[0, j].mean[-1]), style.text, style.colour) for j, style in enumerate(styles) if (0, j) in curves
            ]
        if len(axes) == 1:
            labels += [(line.at, line.label, SOFT.light) for line in chart.lines if line.axis == "y"]
        return margin_labels(axes[0], labels)

    finals = "; ".join(
        f"{_item(_spelled((panels[i],), names)[0], styles[j].text)}{_short(curve.mean[-1])} at {_short(curve.x[-1])}"
        for (i, j), curve in curves.items()
    )
    return Plan(
        panels=_spelled(panels, names),
        paint=paint,
        height=250,
        legend=_legend(styles if not direct else (), chart.theory, names),
        columns=_columns(chart.panel, chart.by, chart.x, chart.y, "low", "high", "n_runs", chart.theory),
        rows=_mean_rows(chart, grouped.keys, means, theory),
        note=_note(means.values(), missing, "bands")
        + (_unmeasured(means) if chart.markers else "")
        + _off_axis(chart.y_scale, (mean.estimate for mean in means.values()))
        + (" Bands that leave the axis are cut." if ends is not None else ""),
        description=f"Line chart of {y_label} against {x_label}. Last values: {finals}.",
        decorate=decorate,
    )


def _ends(drawn: Sequence[Floats], curves: Sequence[_Curve]) -> tuple[float, float] | None:
    """Where the axis ends if a band would make it three times as high as the curves, which it would flatten; else None."""
    values, bands = (np.concatenate(arrays) for arrays in (drawn, [end for curve in curves for end in (curve.low, curve.high)]))
    values, bands = values[np.isfinite(values)], bands[np.isfinite(bands)]
    low, high = float(values.min()), float(values.max())
    height = high - low
    if not height or not bands.size or (bands.min() > low - height and bands.max() < high + height):
        return None
    margin = 0.04 * height  # for what is drawn on the curves
    return max(float(bands.min()), low - height / 4) - margin, min(float(bands.max()), high + height / 4) + margin


def _part(ends: Floats, values: Floats, kind: str) -> bool:
    """Whether curves end so far apart, for all `values` that are drawn, that a name beside each end tells which is which."""
    if kind != "linear":
        ends, values = (np.log(np.abs(own[own != 0])) for own in (ends, values))
    span = np.nanmax(values, initial=-math.inf) - np.nanmin(values, initial=math.inf)
    return bool(np.all(np.diff(np.sort(ends)) > 0.02 * span))


# Bars


def _bars(chart: Bars, table: Table, names: Names, where: str) -> Plan:
    grouped = group(table, (chart.panel, chart.by, chart.x), where=where)
    panels, series, categories = grouped.keys
    means, missing = grouped.means(chart.y)
    _some(means, chart.y, where)
    theory = _exact(grouped.means(chart.theory, with_intervals=False)[0] if chart.theory else {})
    styles = looks(_spelled(series, names), ordered=_is_quantity(series), marks=True, strokes=None)
    ticks = [shown(text, 50) for text in _spelled(categories, names)]
    longest = max(map(len, ticks))
    lying = longest > 7 or len(ticks) * longest > 42  # long names are read along the side
    step = min(0.22, 0.66 / len(series))
    value_label = chart.y_label or label(chart.y, names)
    category_label = chart.x_label or (label(chart.x, names) if _is_quantity(categories) else "")  # words name themselves
    drawn = np.array([mean.estimate for mean in means.values()] + list(theory.values()))

    def paint(ax: Axes, panel: int, several: bool) -> None:
        def plot(at: Sequence[float], values: Sequence[float] | Floats, **look: object) -> None:
            ax.plot(*((values, at) if lying else (at, values)), **look)  # type: ignore[arg-type]

        for (own, by, category), mean in means.items():
            if own != panels[panel]:
                continue
            style = styles[series.index(by)]
            at = categories.index(category) + (series.index(by) - (len(series) - 1) / 2) * step
            if mean.n > 1:
                dots = _dots(mean)
                plot(
                    [at - 0.08] * len(dots),
                    dots,
                    color=style.colour,
                    marker=".",
                    linestyle="none",
                    alpha=0.45,
                    markeredgewidth=0,
                )
            if mean.low is not None and mean.high is not None:
                plot([at, at], [mean.low, mean.high], color=style.colour, linewidth=1.6, solid_capstyle="butt")
            plot([at], [mean.estimate], color=style.colour, marker=style.mark, markersize=5.5, markeredgecolor=PAPER.light)
            if (own, by, category) in theory:
                exact = theory[own, by, category]
                plot([at - step * 0.6, at + step * 0.6], [exact, exact], color=INK.light, linewidth=1.1, linestyle=DASHED)
        labels = (value_label, category_label) if lying else (category_label, value_label)
        name_axes(ax, *labels, several=several, grid="x" if lying else "y")
        scale(ax, "x" if lying else "y", chart.y_scale, drawn)
        if lying:
            _name_rows(ax, ticks)
        else:
            ax.set_xticks(range(len(categories)), ticks)
        ends = (-0.5, len(categories) - 0.5)
        (ax.set_ylim if lying else ax.set_xlim)(*(reversed(ends) if lying else ends))
        ax.tick_params(axis="y" if lying else "x", length=0)
        other: dict[str, Literal["x", "y"]] = {"x": "y", "y": "x"}
        turned = [dataclasses.replace(line, axis=other[line.axis]) if lying else line for line in chart.lines]
        references(ax, turned, several=several)

    values = "; ".join(f"{_item(*_spelled(key, names))}{_short(mean.estimate)}" for key, mean in means.items())
    most = max(mean.n for mean in means.values())
    dots = (
        "" if most < 2 else f" Faint dots are {'single runs' if most <= _MOST_DOTS else f'{_MOST_DOTS} quantiles of the runs'}."
    )
    return Plan(
        panels=_spelled(panels, names),
        paint=paint,
        abreast=1 if lying else 2,  # names of rows leave little room beside them
        height=max(150, 64 + len(categories) * max(21, 15 * len(series), 26 if longest > 26 else 0)) if lying else 235,
        legend=_legend(styles, chart.theory, names),
        columns=_columns(chart.panel, chart.by, chart.x, chart.y, "low", "high", "n_runs", chart.theory),
        rows=_mean_rows(chart, grouped.keys, means, theory),
        note=_note(means.values(), missing, "bars")
        + dots
        + _unmeasured(means)
        + _off_axis(chart.y_scale, (mean.estimate for mean in means.values())),
        description=f"Dot chart of {value_label} by {chart.x_label or label(chart.x, names)}. {values}.",
    )


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Names of rows along the side, on at most two lines each; a line of its own text, so that any font aligns it."""
    ax.set_yticks(range(len(names)), [""] * len(names))
    folded = [wrap(name, 26)[:2] for name in names]
    longest = max((len(line) for lines in folded for line in lines), default=0)
    ax.yaxis.labelpad = 5.2 * longest  # the axis' own name stands beside them
    for row, lines in enumerate(folded):
        for i, line in enumerate(lines):
            place = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "ha": "right", "va": "center"}
            ax.annotate(line, (0, row), (-5, 5.5 * (len(lines) - 1) - 11 * i), color=SOFT.light, fontsize=9.5, **place)  # type: ignore[arg-type]


def _dots(mean: Mean) -> Floats:
    if mean.n <= _MOST_DOTS:
        return mean.values
    return np.asarray(np.quantile(mean.values, (np.arange(_MOST_DOTS) + 0.5) / _MOST_DOTS))


# Scatter


def _scatter(chart: Scatter, table: Table, names: Names, where: str) -> Plan:
    grouped = group(table, (chart.panel, chart.by, chart.label), where=where)
    panels, series, _ = grouped.keys
    across, missing_x = grouped.means(chart.x)
    up, missing_y = grouped.means(chart.y)
    points = {key: (across[key], up[key]) for key in across if key in up}
    _some(points, f"{chart.x}' and '{chart.y}", where)
    styles = looks(_spelled(series, names), ordered=_is_quantity(series), marks=True, strokes=None)
    x_values, y_values = (np.array([pair[i].estimate for pair in points.values()]) for i in (0, 1))
    x_label, y_label = chart.x_label or label(chart.x, names), chart.y_label or label(chart.y, names)

    def paint(ax: Axes, panel: int, several: bool) -> None:
        for (own, by, _), (x, y) in points.items():
            if own != panels[panel]:
                continue
            style = styles[series.index(by)]
            for start, end in _cross(x, y):
                ax.plot(*zip(start, end, strict=True), color=style.colour, linewidth=0.9, alpha=0.6)
            ax.plot(
                [x.estimate], [y.estimate], color=style.colour, marker=style.mark, markersize=6, markeredgecolor=PAPER.light
            )
        name_axes(ax, x_label, y_label, several=several, grid="both")
        scale(ax, "x", chart.x_scale, x_values)
        scale(ax, "y", chart.y_scale, y_values)
        _above_zero(ax, chart.y_scale, [y_values], [])
        if chart.diagonal:
            x_limits, y_limits = ax.get_xlim(), ax.get_ylim()
            ends = [max(x_limits[0], y_limits[0]), min(x_limits[1], y_limits[1])]
            ax.plot(ends, ends, color=SOFT.light, linewidth=0.8, linestyle=DASHED, zorder=1)
            ax.set(xlim=x_limits, ylim=y_limits)
        references(ax, chart.lines, several=several)

    def decorate(sheet: Sheet, axes: list[Axes]) -> Callable[[], None]:
        def name_points() -> None:
            for panel, ax in enumerate(axes):
                own = [(key[2], *pair) for key, pair in points.items() if key[0] == panels[panel]]
                _label_points(ax, [(shown(label(name, names), 22), x, y) for name, x, y in own])

        return name_points if chart.label is not None else lambda: None

    values = "; ".join(
        f"{_item(*_spelled(key, names))}({_short(x.estimate)}, {_short(y.estimate)})" for key, (x, y) in points.items()
    )
    return Plan(
        panels=_spelled(panels, names),
        paint=paint,
        height=275,
        legend=_legend(styles, None, names),
        columns=_columns(chart.panel, chart.by, chart.label, chart.x, "x_low", "x_high", chart.y, "y_low", "y_high", "n_runs"),
        rows=[
            (*_keys((chart.panel, chart.by, chart.label), key), x.estimate, x.low, x.high, y.estimate, y.low, y.high, y.n)
            for key, (x, y) in points.items()
        ],
        note=_note((y for _, y in points.values()), missing_x + missing_y, "bars")
        + _off_axis(chart.x_scale, x_values)
        + _off_axis(chart.y_scale, y_values)
        + (" On the dashed line both are equal." if chart.diagonal else ""),
        description=f"Scatter chart of {y_label} against {x_label}. Points: {values}.",
        decorate=decorate,
    )


def _cross(x: Mean, y: Mean) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The ends of both interval bars through a point; one run has none."""
    bars = []
    if x.low is not None and x.high is not None:
        bars.append(((x.low, y.estimate), (x.high, y.estimate)))
    if y.low is not None and y.high is not None:
        bars.append(((x.estimate, y.low), (x.estimate, y.high)))
    return bars


# Alignment and offset of a name about its point, the best liked first.
_SIDES = (
    ("left", "bottom", 3.5, 2.5),
    ("right", "bottom", -3.5, 2.5),
    ("left", "top", 3.5, -3.5),
    ("right", "top", -3.5, -3.5),
    ("left", "center", 6.0, 0.0),
    ("right", "center", -6.0, 0.0),
    ("center", "bottom", 0.0, 6.0),
    ("center", "top", 0.0, -6.0),
)
Box = tuple[float, float, float, float]


def _label_points(ax: Axes, points: Sequence[tuple[str, Mean, Mean]]) -> None:
    """A name beside each point, on the side where it hides least of the points, their intervals and the other names."""

    def place(x: float, y: float) -> tuple[float, float]:
        left, bottom = ax.transData.transform((x, y)) * (72 / ax.figure.dpi)
        return float(left), float(bottom)

    left, bottom, right, top = (float(edge) for edge in np.asarray(ax.bbox.extents) * (72 / ax.figure.dpi))
    taken: list[Box] = []
    for _, x, y in points:
        middle = place(x.estimate, y.estimate)
        for start, end in [(middle, middle), *((place(*start), place(*end)) for start, end in _cross(x, y))]:
            reach = 4.0 if start == end else 0.8
            taken.append((start[0] - reach, start[1] - reach, end[0] + reach, end[1] + reach))
    for text, x, y in points:
        boxes = [_box(place(x.estimate, y.estimate), side, 5.1 * len(text), SMALL) for side in _SIDES]
        area = 5.1 * len(text) * SMALL
        costs = [
            sum(_overlap(box, other) for other in taken) + 4 * (area - _overlap(box, (left, bottom, right, top)))
            for box in boxes
        ]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        align, vertical, *offset = _SIDES[best]
        placed = {"ha": align, "va": vertical, "textcoords": "offset points"}
        ax.annotate(text, (x.estimate, y.estimate), tuple(offset), fontsize=SMALL, color=INK.light, **placed)  # type: ignore[arg-type]


def _box(at: tuple[float, float], side: tuple[str, str, float, float], width: float, height: float) -> Box:
    align, vertical, dx, dy = side
    left = at[0] + {"left": dx, "right": dx - width, "center": -width / 2}[align]
    bottom = at[1] + {"bottom": dy, "top": dy - height, "center": -height / 2}[vertical]
    return left, bottom, left + width, bottom + height


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


# Heat


def _heat(chart: Heat, table: Table, names: Names, where: str) -> Plan:
    grouped = group(table, (chart.panel, chart.row, chart.column), where=where)
    panels, rows, columns = grouped.keys
    means, missing = grouped.means(chart.value, with_intervals=False)
    _some(means, chart.value, where)
    panel_at, row_at, column_at = ({value: i for i, value in enumerate(keys)} for keys in grouped.keys)
    cells = np.full((len(panels), len(rows), len(columns)), np.nan)
    for (panel, row, column), mean in means.items():
        cells[panel_at[panel], row_at[row], column_at[column]] = mean.estimate
    finite = cells[np.isfinite(cells)]
    largest = np.abs(finite).max() if chart.shared_scale else np.nanmax(np.abs(cells), axis=(1, 2), initial=0.0)
    if chart.limit is not None:
        largest = np.minimum(largest, chart.limit)
    limits = [float(limit) or 1.0 for limit in np.broadcast_to(largest, len(panels))]
    beyond = (
        f" Values beyond ±{_short(chart.limit)} have its colour." if chart.limit and np.abs(finite).max() > chart.limit else ""
    )
    proportion = len(rows) / len(columns)
    square = 1 / 3 <= proportion <= 3
    row_ticks, column_ticks = ([shown(text, 14) for text in _spelled(keys, names)] for keys in (rows, columns))
    value_label = chart.value_label or label(chart.value, names)
    most = 7 if len(panels) > 1 else 14  # ticks on an axis
    longest = max(map(len, column_ticks))
    tall = len(panels) == 1 or proportion > 0.7
    upright = longest * min(len(columns), most) > {1: 50, 2: 28, 3: 28}.get(len(panels), 20)

    def paint(ax: Axes, panel: int, several: bool) -> None:
        norm = Normalize(-limits[panel], limits[panel])
        ax.imshow(cells[panel], cmap=_DIVERGING, norm=norm, interpolation="none", aspect="equal" if square else "auto")
        labels = chart.column_label or label(chart.column, names), chart.row_label or label(chart.row, names)
        name_axes(ax, *labels, several=several, grid="none")
        for side in ax.spines.values():
            side.set(visible=True, color=RULE.light)
        for axis, texts in ((ax.yaxis, row_ticks), (ax.xaxis, column_ticks)):
            every = next(
                (step for step in (1, 2, 5, 10, 20, 25, 50, 100) if step * most >= len(texts)), math.ceil(len(texts) / most)
            )
            axis.set_ticks(range(0, len(texts), every), texts[::every])
        if upright:
            ax.tick_params(axis="x", labelrotation=90)
        if chart.annotate and cells[panel].size <= 400:
            for (i, j), value in np.ndenumerate(cells[panel]):
                if np.isfinite(value):
                    colour = STRONG if abs(value) > 0.62 * limits[panel] else INK
                    text = typeset(general(float(value) if abs(value) >= limits[panel] / 200 else 0.0, 2))
                    ax.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=colour.light)

    def decorate(sheet: Sheet, axes: list[Axes]) -> Callable[[], None]:
        for panel, ax in enumerate(axes[:1] if chart.shared_scale else axes):
            own = axes if chart.shared_scale else [ax]
            _colour_bar(sheet, own, limits[panel], value_label, negative=bool(finite.min() < 0), tall=tall)
        return lambda: None

    titles = ", ".join(text for text in _spelled(panels, names) if text)
    size = f"{len(rows)} rows by {len(columns)} columns{f' in {titles}' if titles else ''}"
    return Plan(
        panels=_spelled(panels, names),
        paint=paint,
        height=SINGLE * (0.7 if len(panels) > 1 else 0.78) * proportion if square else 230,
        margin=26 + (5.8 * longest if upright else 12),
        legend=(),
        columns=_columns(chart.panel, chart.row, chart.column, chart.value, "n_runs"),
        rows=[(*_keys((chart.panel, chart.row, chart.column), key), mean.estimate, mean.n) for key, mean in means.items()],
        note=_note(means.values(), missing, "") + (" Grey cells have no value." if finite.size < cells.size else "") + beyond,
        description=f"Heat map of {value_label}, {size}, from {_short(finite.min())} to {_short(finite.max())}.",
        cells=True,
        decorate=decorate,
    )


def _colour_bar(sheet: Sheet, axes: list[Axes], limit: float, text: str, *, negative: bool, tall: bool) -> None:
    bar = sheet.colorbar(axes[0].images[0], ax=axes, aspect=24 if tall else 12, fraction=0.05, pad=0.02)
    if bar.solids is not None:
        bar.solids.remove()  # hundreds of paths; one stretched column of cells shows the same
    low = -limit if negative else 0.0
    gradient = np.linspace(limit, low, 128)[:, None]
    norm = Normalize(-limit, limit)
    bar.ax.imshow(gradient, cmap=_DIVERGING, norm=norm, extent=(0, 1, low, limit), aspect="auto", interpolation="none")
    bar.ax.set(xlim=(0, 1), ylim=(low, limit))
    bar.ax.grid(visible=False)
    bar.outline.set(linewidth=0.6, edgecolor=RULE.light)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.set_label(shown(text, 40))


# Shared by the four


def _numeric(values: Sequence[Scalar], column: str, where: str) -> None:
    for value in values:
        if isinstance(value, str):
            raise InputError(
                f"{where}: the x axis of a line chart must hold numbers; got {value!r} in '{column}'. Use Bars for categories"
            )


def _some(means: Mapping[Key, object], column: str, where: str) -> None:
    if not means:
        raise InputError(
            f"{where}: a chart draws finite numbers; '{column}' has none in the stored rows. See what the runs measured"
        )


def _is_quantity(series: Sequence[Scalar]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in series)


def _exact(means: Mapping[Key, Mean]) -> dict[Key, float]:
    return {key: mean.estimate for key, mean in means.items()}


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _short(value: float) -> str:
    return typeset(general(float(value), 3))


def _spelled(values: Sequence[Scalar], names: Names) -> tuple[str, ...]:
    return tuple(label(value, names) for value in values)


def _item(*parts: str) -> str:
    """The prefix "panel, series: " of one item of a description, without its empty parts."""
    text = ", ".join(part for part in parts if part)
    return f"{text}: " if text else ""


def _legend(styles: Sequence[Look], theory: str | None, names: Names) -> tuple[Look, ...]:
    exact = (Look(names.get(theory, theory), INK.light, stroke=DASHED),) if theory else ()
    return (tuple(styles) if len(styles) > 1 else ()) + exact


def _columns(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)


def _keys(columns: Sequence[str | None], key: Key) -> list[Cell]:
    """The values of those key columns that the chart names."""
    return [value for column, value in zip(columns, key, strict=True) if column is not None]


def _mean_rows(
    chart: Lines | Bars, keys: tuple[Key, ...], means: Mapping[Key, Mean], theory: Mapping[Key, float]
) -> list[tuple[Cell, ...]]:
    panels, series, positions = keys
    rows: list[tuple[Cell, ...]] = []
    for key in ((panel, by, x) for panel in panels for by in series for x in positions):
        if key in means:
            mean, exact = means[key], [theory.get(key)] if chart.theory else []
            rows.append((*_keys((chart.panel, chart.by, chart.x), key), mean.estimate, mean.low, mean.high, mean.n, *exact))
    return rows


def _note(means: Iterable[Mean], missing: int, interval: str) -> str:
    """n, unit and level of what was drawn, and what was missing."""
    sizes = sorted({mean.n for mean in means})
    if sizes == [1]:
        note = "One run" + (": there is no interval to draw." if interval else ".")
    else:
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        made = f"; {interval} are {level_text(LEVEL)} t intervals over runs, point by point." if interval else "."
        note = f"Means over n = {span} runs{made}"
        if interval and sizes[0] == 1:
            note += " Where there is one run there is no interval."
    return note + (
        f" {missing} missing values are not drawn." if missing > 1 else " One missing value is not drawn." if missing else ""
    )


def _unmeasured(means: Mapping[Key, Mean]) -> str:
    """That points are missing where other series of the same panel have one, and why."""
    present = {(panel, by) for panel, by, _ in means}
    expected = sum(len({x for own, _, x in means if own == panel}) for panel, _ in present)
    return " Where a point is missing, no run measured it." if len(means) < expected else ""


def _off_axis(kind: str, values: Iterable[float]) -> str:
    lost = sum(value <= 0 for value in values) if kind == "log" else 0
    return f" Values at or below zero ({lost}) cannot stand on the logarithmic axis." if lost else ""


def _above_zero(ax: Axes, kind: str, drawn: Sequence[Floats], lows: Sequence[Floats]) -> None:
    """On a logarithmic axis a band that reaches towards zero is cut a decade under the lowest mean: it would hide the rest."""
    values, ends = (np.concatenate([*arrays, np.zeros(0)]) for arrays in (drawn, lows))
    values, ends = values[np.isfinite(values) & (values > 0)], ends[np.isfinite(ends)]
    if kind == "log" and values.size and ends.size and ends.min() < values.min():
        ax.set_ylim(bottom=max(float(ends.min()), float(values.min()) / 10))
