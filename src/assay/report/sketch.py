"""How every picture of a report is made: a plan painted in the layouts a page needs, as light SVG and as PDF.

Matplotlib draws in the report's own style, whatever the reader's configuration says, and without dates, so that the same rows
give the same bytes.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib import font_manager, ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D

from assay.claims.charts import Line
from assay.core.text import visible
from assay.report.numbers import general, typeset
from assay.report.palette import INK, PAPER, RAMP, RULE, SERIES, SOFT, Colour, svg_variables
from assay.report.svg import Drawing, finish
from assay.report.tables import Cell

__all__ = [
    "DASHED",
    "SMALL",
    "Look",
    "Picture",
    "Plan",
    "looks",
    "margin_labels",
    "name_axes",
    "references",
    "render",
    "scale",
    "shown",
]

Scale = Literal["linear", "log", "symlog"]
SINGLE, PAIR, WIDE = 372.0, 580.0, 760.0  # widths in points; a phone shows the first at nearly its own size
SMALL = 9.0  # font size of what is written inside a plot
DASHED: Any = (0, (3.2, 1.8))  # exact values
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "h")
_STROKES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "assay",
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["Assay Sans", "DejaVu Sans"],
    "font.size": 10,
    "text.color": INK.light,
    "axes.edgecolor": SOFT.light,
    "axes.labelcolor": INK.light,
    "axes.labelsize": 10,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK.light,
    "grid.color": RULE.light,
    "grid.linewidth": 0.5,
    "xtick.color": SOFT.light,
    "ytick.color": SOFT.light,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.4,
    "lines.markeredgewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.borderpad": 0.1,
    "legend.borderaxespad": 0.1,
    "legend.columnspacing": 1.4,
    "savefig.transparent": True,
}


@dataclass(frozen=True)
class Look:
    """How one series is drawn and named; also an entry of a legend."""

    text: str
    colour: str
    mark: str | None = None
    stroke: Any = "none"


@dataclass(frozen=True)
class Picture:
    """A chart, drawn.

    Attributes:
        wide: the drawing for a page and for its own file.
        narrow: the same with its panels stacked for a phone; None where one drawing serves both.
        pdf: the wide drawing.
        columns, rows: what was drawn, for its CSV.
        note: n, unit and interval level, and what could not be drawn, in a sentence or two.
        n_panels: how many small multiples it has.
    """

    wide: Drawing
    narrow: Drawing | None
    pdf: bytes
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    note: str
    n_panels: int = 1


def _plain(sheet: Sheet, axes: list[Axes]) -> Callable[[], None]:
    return lambda: None


@dataclass(frozen=True)
class Plan:
    """Everything about a picture but its layout: worked out once, painted in each layout.

    Attributes:
        panels: titles of the small multiples; one empty title for a single panel.
        paint: draws panel i on its axes; told whether it is one of several.
        height: of a panel that is as wide as a phone, in points; `margin` more below it, whatever its width.
        abreast: how many panels stand side by side on a phone.
        legend: entries of the legend above the panels.
        columns, rows, note: as in `Picture`.
        description: what the picture shows, for readers who cannot see it.
        cells: whether a panel's height follows its width, as cells do, or stays readable when it gets narrow, as curves must.
        decorate: adds what takes room (colour bars, labels) and returns what remains to be done once everything has its place.
    """

    panels: tuple[str, ...]
    paint: Callable[[Axes, int, bool], None]
    height: float
    legend: tuple[Look, ...]
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    note: str
    description: str
    cells: bool = False
    margin: float = 0.0
    abreast: int = 2
    decorate: Callable[[Sheet, list[Axes]], Callable[[], None]] = _plain


def render(plan: Plan, *, ident: str, title: str) -> Picture:
    """The plan in the layouts it needs, and its PDF.

    Args:
        plan: what to draw.
        ident: begins every id of the drawing; unique within a page.
        title: names the picture for readers who cannot see it.
    """
    n_panels = len(plan.panels)
    n_columns = 3 if n_panels in (3, 5, 6, 9) else min(n_panels, 4)
    with _sketching():
        sheet = _lay_out(plan, n_columns, SINGLE if n_panels == 1 else PAIR if n_panels == 2 else WIDE)
        wide, pdf = _svg(sheet, plan, ident, title), _pdf(sheet)
        narrow = _svg(_lay_out(plan, plan.abreast, SINGLE), plan, f"{ident}-narrow", title) if n_panels > 1 else None
    return Picture(wide, narrow, pdf, plan.columns, plan.rows, plan.note, n_panels)


def shown(text: str, limit: int = 40) -> str:
    """A text as a drawing may hold it: visible characters that XML allows, at most `limit` of them."""
    safe = visible(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    return safe if len(safe) <= limit else safe[: max(limit - 1, 1)] + "…"


def looks(texts: Sequence[str], *, ordered: bool, marks: bool, strokes: Literal["varied", "solid"] | None) -> tuple[Look, ...]:
    """One look a series, no two alike in black and white for as many as there are marks or strokes.

    Args:
        texts: the series' names.
        ordered: whether the series are steps of a quantity; then their colours are steps too.
        marks, strokes: what tells them apart beside the colour; without strokes a series is points alone.
    """
    found = []
    for i, text in enumerate(texts):
        colour: Colour = SERIES[i % len(SERIES)]
        if ordered and len(texts) > 2:
            colour = RAMP[round(i * (len(RAMP) - 1) / (len(texts) - 1))]
        stroke = {"varied": _STROKES[i % len(_STROKES)], "solid": "solid", None: "none"}[strokes]
        found.append(Look(text, colour.light, _MARKS[i % len(_MARKS)] if marks else None, stroke))
    return tuple(found)


def name_axes(ax: Axes, x_label: str, y_label: str, *, several: bool, grid: Literal["x", "y", "both", "none"] = "y") -> None:
    """Labels of both axes, folded where they are long, and hairlines across the values."""
    ax.set_xlabel(_folded(x_label, 26 if several else 42))
    ax.set_ylabel(_folded(y_label, 26 if several else 38))
    ax.grid(visible=False)
    if grid != "none":
        ax.grid(visible=True, axis=grid)


def _folded(text: str, width: int) -> str:
    """The text on at most two lines."""
    return "\n".join(wrap(shown(text, 2 * width - 4), width)[:2])


def scale(ax: Axes, axis: Literal["x", "y"], kind: Scale, values: np.ndarray) -> None:
    """Set an axis' scale with few ticks in plain numbers; `values` are all that stand on it."""
    own = ax.xaxis if axis == "x" else ax.yaxis
    setter = ax.set_xscale if axis == "x" else ax.set_yscale
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if kind == "log" and len(sizes):
        setter("log")
        reach = sizes.max() / sizes.min()
        own.set_major_locator(
            ticker.LogLocator(subs=(1.0, 2.0, 5.0) if reach < 30 else (1.0, 3.0) if reach < 1000 else (1.0,), numticks=7)
        )
        own.set_minor_locator(ticker.NullLocator())
        own.set_major_formatter(ticker.FuncFormatter(lambda value, _: _power(value)))
    elif kind == "symlog" and len(sizes):
        threshold = 10.0 ** math.floor(math.log10(sizes.min()))
        setter("symlog", linthresh=threshold)
        locator = ticker.SymmetricalLogLocator(base=10, linthresh=threshold)
        locator.set_params(numticks=7)
        own.set_major_locator(locator)
        own.set_minor_locator(ticker.NullLocator())
        own.set_major_formatter(ticker.FuncFormatter(lambda value, _: _power(value)))
    else:
        own.set_major_locator(ticker.MaxNLocator(5 if axis == "x" else 6, steps=[1, 2, 2.5, 5, 10]))


def references(ax: Axes, lines: Sequence[Line], *, several: bool, beside: bool = False) -> None:
    """Dotted reference lines with their labels: one at an x above the plot, one at a y inside it.

    Labels above the plot that would run into each other stand on lines of their own.

    Args:
        ax: where.
        lines: what.
        several: whether the axes are one of several panels; then the title's place is taken, and labels run along the line.
        beside: whether lines at a y get their labels from `margin_labels` instead.
    """
    ends: list[float] = []  # where each line of labels above the plot ends, in points
    for line in sorted(lines, key=lambda line: (line.axis, line.at)):
        draw_line = ax.axhline if line.axis == "y" else ax.axvline
        draw_line(line.at, color=SOFT.light, linewidth=0.9, linestyle=(0, (1, 1.6)), zorder=1.5)
        text, look = shown(line.label, 30), {"fontsize": SMALL, "color": SOFT.light}
        if line.axis == "x" and not several:
            # Half a label is 2.5 points a letter; the axes may still be made narrower.
            middle, half = float(ax.transData.transform((line.at, 0))[0]) * 72 / ax.figure.dpi, 3.3 * len(text)
            row = next((i for i, end in enumerate(ends) if end < middle - half), len(ends))
            ends[row : row + 1] = [middle + half]
            place = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "va": "bottom", "ha": "center"}
            ax.annotate(text, (line.at, 1), (0, 2.5 + 11 * row), **look, **place)  # type: ignore[arg-type]
        elif line.axis == "x":
            ground = {"facecolor": PAPER.light, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
            along = {"va": "top", "ha": "right", "rotation": 90, "in_layout": False, "zorder": 4, "bbox": ground}
            ax.text(line.at, 0.98, f" {text}", transform=ax.get_xaxis_transform(), **look, **along)  # type: ignore[arg-type]
        elif not beside:
            # At the right: curves begin together at the left, and part.
            # On a ground of its own, and above what is drawn: a label under a curve cannot be read.
            ground = {"facecolor": PAPER.light, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
            along = {"va": "bottom", "ha": "right", "in_layout": False, "zorder": 4, "bbox": ground}
            ax.text(0.99, line.at, text, transform=ax.get_yaxis_transform(), **look, **along)  # type: ignore[arg-type]


def margin_labels(ax: Axes, labels: Sequence[tuple[float, str, str]]) -> Callable[[], None]:
    """Labels (value, text, colour) in the right margin, beside the values they name.

    Returns:
        What moves them, once the layout is known, to where none hides another.
    """
    folded = ["\n".join(wrap(shown(text, 34), 18)[:2]) for _, text, _ in labels]
    texts = [
        ax.text(1.02, 0.5, text, transform=ax.transAxes, color=colour, fontsize=SMALL, va="center", linespacing=1.0)
        for text, (_, _, colour) in zip(folded, labels, strict=True)
    ]
    lines = max((text.count("\n") + 1 for text in folded), default=1)

    def settle() -> None:
        height = ax.bbox.height * 72 / ax.figure.dpi
        low, high = ax.get_ylim()
        wanted = [min(max(_fraction(ax, value), 0.0), 1.0) if low <= value <= high else 0.0 for value, _, _ in labels]
        for text, at, place in zip(texts, wanted, _spread(wanted, (SMALL * lines + 2.5) / height), strict=True):
            text.set_y(place)
            if abs(place - at) * height > 2.5:
                ax.plot([1.0, 1.016], [at, place], transform=ax.transAxes, color=text.get_color(), linewidth=0.5, clip_on=False)

    return settle


def _fraction(ax: Axes, value: float) -> float:
    """Where a value of the y axis stands, as a share of the axes' height."""
    return float(ax.transAxes.inverted().transform(ax.transData.transform((ax.get_xlim()[1], value)))[1])


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places as near as may be to those wanted, in the same order, at least `gap` apart, within 0 to 1 if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [wanted[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    ceiling = 1.0 + gap / 2
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    found = [0.0] * len(wanted)
    for i, place in zip(order, places, strict=True):
        found[i] = place
    return found


def _power(value: float) -> str:
    """A tick of a logarithmic axis: plain where short, else a power of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return typeset(general(value))
    return typeset(f"{value:.0e}")


@cache
def _lean_font() -> None:
    """Make the package's own font known to matplotlib: cutting all of DejaVu down for each PDF takes longer than drawing."""
    font_manager.fontManager.addfont(Path(__file__).with_name("fonts") / "AssaySans.ttf")


@contextmanager
def _sketching() -> Iterator[None]:
    _lean_font()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its stub lists every key as a literal
        # A page shows text in the reader's fonts; only the PDF lacks a letter that its font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        yield


def _lay_out(plan: Plan, n_columns: int, width: float) -> Sheet:
    n_panels, several = len(plan.panels), len(plan.panels) > 1
    n_columns = min(n_columns, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    column = width / n_columns
    natural = min(plan.height, 120 + 0.3 * column) if several else plan.height
    height = plan.margin + (plan.height * column / SINGLE if plan.cells else natural)
    # Beside its cells a panel has the names of its rows, and the last a bar of colours.
    titles = [_folded(text, int(column / (8 if plan.cells else 6))) for text in plan.panels]
    height += 14 * several + 12 * any("\n" in text for text in titles)
    legend_columns = _legend_columns(plan.legend, width)
    legend_rows = math.ceil(len(plan.legend) / legend_columns)
    sheet = Sheet(
        figsize=(width / 72, (n_rows * height + 15 * legend_rows) / 72),
        layout="compressed" if plan.cells else "constrained",
    )
    grid = sheet.subplots(n_rows, n_columns, squeeze=False, sharex=not plan.cells, sharey=not plan.cells)
    axes: list[Axes] = list(grid.flat)
    for ax in axes[n_panels:]:
        ax.remove()
    del axes[n_panels:]
    for panel, ax in enumerate(axes):
        plan.paint(ax, panel, several)
        if several:
            ax.set_title(titles[panel])
            _label_outside_only(ax, panel, n_columns, n_panels)
    if plan.legend:
        handles = [Line2D([], [], color=look.colour, marker=look.mark or "", linestyle=look.stroke) for look in plan.legend]
        texts = [shown(look.text, 40) for look in plan.legend]
        length = 2.2 if _has_strokes(plan.legend) else 0.9
        sheet.legend(handles, texts, loc="outside upper left", ncols=legend_columns, handlelength=length)
    settle = plan.decorate(sheet, axes)
    _arrange(sheet, close=plan.cells)
    settle()
    return sheet


def _arrange(sheet: Sheet, *, close: bool) -> None:
    """Lay the sheet out once for every canvas that draws it; where long labels leave no room for a plot it is made larger.

    With `close` it is made no higher than what stands on it: cells keep their proportion, and a sheet that foresaw more room
    for them than its labels left would be empty above and below.
    """
    layout = sheet.get_layout_engine()
    assert layout is not None
    for growth in (1.0, 1.4, 1.4, 1.4):
        sheet.set_size_inches(*(sheet.get_size_inches() * growth))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layout.execute(sheet)
        if not any("collapsed" in str(warning.message) for warning in caught):
            break
    if close:
        width, height = sheet.get_size_inches()
        needed = sheet.get_tightbbox().height + 0.08
        if needed < 0.97 * height:
            sheet.set_size_inches(width, needed)
            layout.execute(sheet)
    sheet.set_layout_engine("none")


def _legend_columns(legend: Sequence[Look], width: float) -> int:
    """How many entries stand in a line: all if they fit, else as many columns as the widest entry allows."""
    widths = [len(shown(look.text, 40)) * 5.4 + (44 if _has_strokes(legend) else 31) for look in legend]
    if sum(widths) <= width:
        return max(len(legend), 1)
    return max(int(width // max(widths)), 1)


def _has_strokes(legend: Sequence[Look]) -> bool:
    return any(look.stroke != "none" for look in legend)


def _label_outside_only(ax: Axes, panel: int, n_columns: int, n_panels: int) -> None:
    if panel % n_columns:
        ax.set_ylabel("")
    if panel + n_columns < n_panels:
        ax.set_xlabel("")
    else:
        ax.tick_params(labelbottom=True)


def _svg(sheet: Sheet, plan: Plan, ident: str, title: str) -> Drawing:
    out = io.StringIO()
    FigureCanvasSVG(sheet).print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return finish(
        out.getvalue(),
        ident=ident,
        title=shown(title, 200),
        description=shown(plan.description, 1500),
        variables=svg_variables(),
    )


def _pdf(sheet: Sheet) -> bytes:
    out = io.BytesIO()
    FigureCanvasPdf(sheet).print_pdf(out, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
    return out.getvalue()
