"""Charts as data: what a figure shows, said by the study, drawn by the report from stored rows only.

Every chart reads one table of the measurement (tidy rows; the column `run` is added by the store). Where a chart averages over
runs it draws the mean with a t interval; the report's caption states n, the unit and the level, and a CSV of what was drawn
stands beside the picture. Columns named in `panel` split the figure into small multiples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Bars", "Chart", "Figure", "Heat", "Line", "Lines", "Scatter"]

Scale = Literal["linear", "log", "symlog"]


@dataclass(frozen=True)
class Line:
    """A straight reference line with a label, at one value of an axis."""

    at: float
    label: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True)
class Lines:
    """Curves: mean of `y` over runs at each `x`, one line per value of `by`, with a band."""

    table: str
    x: str
    y: str
    by: str | None = None
    panel: str | None = None
    theory: str | None = None  # a column holding the exact value at each x, drawn as a dashed line
    x_label: str = ""
    y_label: str = ""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    lines: tuple[Line, ...] = ()
    markers: bool = False


@dataclass(frozen=True)
class Bars:
    """Categories: mean of `y` per `x` (and `by`) as a point with its interval, single runs as faint dots."""

    table: str
    x: str
    y: str
    by: str | None = None
    panel: str | None = None
    theory: str | None = None
    x_label: str = ""
    y_label: str = ""
    y_scale: Scale = "linear"
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Scatter:
    """Points: mean of `x` against mean of `y` over runs, one point per `label` (and colour per `by`), with both intervals."""

    table: str
    x: str
    y: str
    label: str | None = None
    by: str | None = None
    panel: str | None = None
    diagonal: bool = False
    x_label: str = ""
    y_label: str = ""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Heat:
    """Matrices: mean of `value` over runs in a cell (`row`, `column`), one panel per `panel`; zero is the middle colour."""

    table: str
    row: str
    column: str
    value: str
    panel: str | None = None
    row_label: str = ""
    column_label: str = ""
    value_label: str = ""
    shared_scale: bool = True  # one colour scale for all panels; False when panels differ in unit
    annotate: bool = False  # print the numbers in the cells
    limit: float | None = None  # values beyond it, either way, have its colour; None for the largest there is


Chart = Lines | Bars | Scatter | Heat


@dataclass(frozen=True)
class Figure:
    """One figure of a study's report: a chart, a title, and a caption that says what to see.

    Attributes:
        name: a slug, the file name of the picture and its CSV.
        title: a headline of a few words; stands above the picture as text, not burnt into it.
        caption: two or three sentences for a reader who has not read the paper.
        chart: what is drawn.
        names: how column values are spelled for readers (`{"dh": "heads' width"}`), in legends, axes and panels.
        further: supports the story without telling it; the page folds it away. A study tells its story in three to five others.
        opens: explains the study at a glance; its page opens with it. One a study; where none says so, the first that tells
            the story.
    """

    name: str
    title: str
    caption: str
    chart: Chart
    names: Mapping[str, str] = field(default_factory=dict)
    further: bool = False
    opens: bool = False
