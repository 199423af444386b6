"""What the stored runs of an experiment show, in plain words and numbers, for a terminal: the figures' means as sentences."""

from collections.abc import Mapping, Sequence

from assay.claims.charts import Bars, Figure, Lines
from assay.claims.study import Scalar, Table
from assay.core.errors import InputError
from assay.report.numbers import general, typeset
from assay.report.points import group, label

__all__ = ["figure_in_words"]

_MOST_SERIES = 8
_MOST_NUMBERS = 12


def figure_in_words(figure: Figure, tables: Mapping[str, Table]) -> list[str]:
    """A line for each group of numbers that a figure of bars or curves draws: means over runs, of curves the last.

    None where the figure holds too many to be read, is of another kind, or has no rows.
    """
    chart, table = figure.chart, tables.get(figure.chart.table, [])
    if not table or not isinstance(chart, Bars | Lines):
        return []
    try:
        grouped = group(table, (chart.panel, chart.by, chart.x), where=f"figure '{figure.name}'")
        means, _ = grouped.means(chart.y, with_intervals=False)
    except InputError:
        return []
    names = figure.names
    if isinstance(chart, Bars):
        parts = {(panel, x): [] for panel, by, x in means}  # type: ignore[var-annotated]
        for (panel, by, x), mean in means.items():
            parts[panel, x].append((by, mean.estimate))
        if all(len(found) == 1 and found[0][0] == "" for found in parts.values()):  # one bar a category
            merged: dict[tuple[Scalar, Scalar], list[tuple[Scalar, float]]] = {}
            for (panel, x), found in parts.items():
                merged.setdefault((panel, ""), []).append((x, found[0][1]))
            parts = merged
    else:
        parts = {}
        last: dict[tuple[Scalar, Scalar], tuple[Scalar, float]] = {}
        for (panel, by, x), mean in means.items():
            if (panel, by) not in last or float(x) >= float(last[panel, by][0]):
                last[panel, by] = (x, mean.estimate)
        for (panel, by), (_, value) in last.items():
            parts.setdefault((panel, ""), []).append((by, value))
    if sum(map(len, parts.values())) > _MOST_NUMBERS or any(len(found) > _MOST_SERIES for found in parts.values()):
        return []
    what = chart.y_label or label(chart.y, names)
    end = " at the end" if isinstance(chart, Lines) else ""
    return [f"{what}{end}{_of(key, names)}: {_numbers(found, names)}" for key, found in parts.items()]


def _of(key: Sequence[Scalar], names: Mapping[str, str]) -> str:
    told = [label(part, names) for part in key if part != ""]
    return f" – {', '.join(told)}" if told else ""


def _numbers(found: Sequence[tuple[Scalar, float]], names: Mapping[str, str]) -> str:
    return "; ".join(f"{label(by, names)} {_short(value)}" if by != "" else _short(value) for by, value in found)


def _short(value: float) -> str:
    return typeset(general(float(f"{value:.2f}"))) if 0.1 <= abs(value) < 1000 else typeset(general(value, 2))
