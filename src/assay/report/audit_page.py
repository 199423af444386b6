"""The page of an audit: counts, what was hit hardest and what to do first; then every number that they rest on.

Colour and figure go by evidence: a number is coloured where its interval excludes no change, and a bar is that interval.
"""

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay.audit.card import card_section
from assay.audit.columns import COLUMNS, Column, column_named
from assay.audit.counts import Count
from assay.audit.forecast import HINTS, Calibration
from assay.audit.hits import hits, sentences
from assay.audit.preference_record import PairAudit
from assay.audit.record import Arm, Audit
from assay.audit.retention_record import PAGES, Retention, steps_text
from assay.audit.totals import EVERYTHING, Total
from assay.report.audit_figures import lasted, plates
from assay.report.explore import explore_page
from assay.report.numbers import general, interval_text, level_text, typeset
from assay.report.page import put_in_place, rendered
from assay.report.tables import Cell, csv_text

__all__ = [
    "Tile", "audit_page", "calibration_rows", "costs_of", "ends_of", "hundredths", "spelled", "tone_of", "total_row",
    "write_audit",
]  # fmt: skip

TOTALS = (
    "column", "group", "estimate", "low", "high", "level", "n_facts", "n_units", "clear", "unit", "counted", "n", "before",
    "after",
)  # fmt: skip
QUESTIONS = (
    "column", "kind", "fact", "about", "prompt", "answer", "measure", "before", "after", "change", "right_before",
    "right_after",
)  # fmt: skip
CELL = ("before", "after", "change", "low", "high")  # of a fact and column, in its CSV
MOST_ROWS = 400  # facts on the page; the CSV has all
BAR = 160.0  # width of a bar's drawing
FORECASTS = {
    "known": "known before",
    "learns": "1 − q before",
    "surprise": "−log₁₀ P in its own sentence",
    "primes": "one virtual step, carried on",
    "composes": "margin of bridges and own association",
    "hallucinates": "margin of bridges and own association",
    "spreads": "object’s frequency among facts",
    "displaces": "hidden-state similarity (CHES)",
    "tangent": "one virtual step, carried on",
}


class Titled(Protocol):
    """A column, as far as tables show it."""

    @property
    def name(self) -> str:
        """In files."""

    @property
    def title(self) -> str:
        """In tables."""

    @property
    def unit(self) -> str:
        """Of a change."""

    @property
    def wanted(self) -> bool | None:
        """Whether more of it is what training is for; None for neither."""


@dataclass(frozen=True)
class Tile:
    """A number of the first screen."""

    number: str
    says: str
    more: str
    tone: str


@dataclass(frozen=True)
class _Bar:
    """An interval drawn beside its numbers, in a drawing of `BAR` by 14."""

    zero: float
    low: float
    high: float
    at: float


@dataclass(frozen=True)
class _TotalRow:
    column: str
    anchor: str
    group: str
    estimate: str
    unit: str
    interval: str
    bar: _Bar | None
    level: str
    n: str
    outcome: str
    tone: str


@dataclass(frozen=True)
class _FactCell:
    column: str
    text: str
    interval: str
    before: str
    tone: str


@dataclass(frozen=True)
class _FactRow:
    subject: str
    relation: str
    object: str
    known: str
    trained: bool
    cells: tuple[_FactCell, ...]


def audit_page(found: Audit, command: str = "") -> str:
    """The page as one HTML text."""
    return _composed(found, command)[0]


def write_audit(found: Audit, out: Path, *, command: str = "") -> Path:
    """Write the page and its data into a folder and return the path of its `index.html`.

    Beside the page: `explore.html`, which sorts and searches all questions, `audit.json`, `totals.csv`, `facts.csv`,
    `questions.csv`, `card.md`, and the figures. A text that a spreadsheet would take for a formula is made harmless in the CSV
    files.

    Raises:
        StoreError: a file cannot be written.
    """
    page, files = _composed(found, command)
    files["audit.json"] = (json.dumps(found.json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()
    files["card.md"] = card_section(found).encode()
    if found.outcomes:
        files["explore.html"] = explore_page(found, _title(found)).encode()
    files |= {name: text.encode() for name, text in _data_files(found).items()}
    for name, content in files.items():
        put_in_place(out / name, content)
    put_in_place(out / "index.html", page.encode())
    return out / "index.html"


def _title(found: Audit) -> str:
    return f"{found.tuned} against {found.model}" if found.tuned else f"{found.model} and {found.facts_name}"


def _composed(found: Audit, command: str) -> tuple[str, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    ends = ends_of(found.totals)
    columns = [name for name in COLUMNS if any(name in row.cells for row in found.rows)]
    page = rendered(
        "audit.html.j2",
        audit=found,
        title=_title(found),
        tiles=_tiles(found),
        hits=sentences(hits(found)),
        overall=[total_row(total, ends) for total in found.totals if total.group == EVERYTHING],
        parts=[total_row(total, ends) for total in found.totals if total.group != EVERYTHING],
        ends=typeset(f"{hundredths(ends['probability'][0])} to {hundredths(ends['probability'][1])}")
        if "probability" in ends
        else "",
        columns=[column_named(name).title for name in columns],
        facts=[_fact_row(found, place, columns) for place in range(min(len(found.rows), MOST_ROWS))],
        hidden=max(0, len(found.rows) - MOST_ROWS),
        forecast=_forecast_rows(found) if not found.rows else [],
        hints=HINTS,
        expected=_expected_rows(found) if not found.rows else [],
        heads=_expected_columns(found),
        calibration=calibration_rows(found.calibration, FORECASTS),
        benchmarks=[
            (one.name, typeset(general(one.before, 3)), typeset(general(one.after, 3)), str(one.n)) for one in found.benchmarks
        ],
        advice=[(one.says, typeset(one.cites)) for one in found.advice],
        arms=[_arm_row(arm) for arm in found.arms],
        meanings=[(one.name, one.title, one.formula, one.meaning) for one in COLUMNS.values()],
        retention=_retention_rows(found.retention),
        lasted=lasted(found, files),
        plates=plates(found, files),
        costs=costs_of(found),
        recipe=[(name, spelled(value)) for name, value in found.recipe.items()],
        environment=[(name, spelled(value)) for name, value in found.environment.items()],
        command=command or _command(found),
    )
    return page, files


# The first screen


def _tiles(found: Audit) -> list[Tile]:
    """One number a column: counted where it can be, else its change."""
    counts = {count.column: count for count in found.counts}
    tiles = []
    for total in found.totals:
        column = column_named(total.column)
        if total.group != EVERYTHING:
            continue
        if total.column in counts:
            number, says, more = _counted(column, counts[total.column])
        elif column.measured:
            number, says, more = _changed(column, total)
        else:
            continue
        moved = total.column not in counts or counts[total.column].moved  # the tile's own interval has to say so too
        tiles.append(Tile(typeset(number), says, typeset(more), tone_of(total) if moved else ""))
    return tiles


def _counted(column: Column, count: Count) -> tuple[str, str, str]:
    before = "" if column.losses else f"{count.before:.0f} before; "
    ends = "{} to {}".format(*count.ends)
    return f"{count.number} of {count.n}", column.counted, f"{before}95 %: {ends}"


def _changed(column: Column, total: Total) -> tuple[str, str, str]:
    if column.unit == "powers of ten":
        low, high = (None if end is None else 10**end for end in (total.low, total.high))
        estimate, interval = interval_text(10**total.estimate, low, high)
        estimate = f"{estimate}×"
    else:
        estimate, interval = interval_text(total.estimate, total.low, total.high)
        estimate = f"{estimate if total.estimate < 0 else f'+{estimate}'} {column.unit.partition(' ')[0]}"
    ends = "no interval" if total.low is None and total.high is None else f"{level_text(total.level)}: {_to(interval)}"
    return estimate, column.measured, ends


def _to(interval: str) -> str:
    """An interval in words: "0.1 to 0.3"."""
    return interval.strip("[]()").replace(", ", " to ")


def tone_of(total: Total, columns: Callable[[str], Titled] = column_named) -> str:
    """What a total's evidence says: good or bad where it is clear of zero, else nothing."""
    wanted = columns(total.column).wanted
    if not total.clear or wanted is None:
        return ""
    return "good" if wanted == (total.estimate > 0) else "bad"


# Rows of the page's tables


def ends_of(totals: Sequence[Total], columns: Callable[[str], Titled] = column_named) -> dict[str, tuple[float, float]]:
    """By unit the ends of the axis on which its intervals are drawn; zero is always on it."""
    found: dict[str, tuple[float, float]] = {}
    for total in totals:
        unit = columns(total.column).unit
        low, high = found.get(unit, (0.0, 0.0))
        ends = [end for end in (total.low, total.estimate, total.high) if end is not None]
        found[unit] = min(low, *ends), max(high, *ends)
    return {unit: (low, high if high > low else low + 1.0) for unit, (low, high) in found.items()}


def _bar(total: Total, least: float, most: float) -> _Bar | None:

    def place(value: float) -> float:
        return round(4 + (BAR - 8) * (value - least) / (most - least), 1)

    if total.low is None and total.high is None:
        return None
    low, high = (least if total.low is None else total.low), (most if total.high is None else total.high)
    return _Bar(place(0.0), place(low), place(high), place(total.estimate))


def total_row(
    total: Total, ends: Mapping[str, tuple[float, float]], columns: Callable[[str], Titled] = column_named
) -> _TotalRow:
    """A total as the page's tables show it.

    Args:
        total: the line.
        ends: of `ends_of`.
        columns: by name.
    """
    column = columns(total.column)
    estimate, interval = interval_text(total.estimate, total.low, total.high)
    unbounded = total.low is None and total.high is None
    tone = tone_of(total, columns)
    return _TotalRow(
        column.title,
        f"means-{column.name}",
        "" if total.group == EVERYTHING else total.group,
        typeset(estimate),
        "" if column.unit == "probability" else column.unit,
        "–" if unbounded else typeset(interval),
        _bar(total, *ends[column.unit]),
        "–" if unbounded else level_text(total.level),
        f"{total.n_units}",
        {"": "clear" if total.clear else "not clear of zero", "good": "clear, wanted", "bad": "clear, unwanted"}[tone],
        tone,
    )


def _fact_row(found: Audit, place: int, columns: Sequence[str]) -> _FactRow:
    row = found.rows[place]
    cells = []
    for name in columns:
        column, cell = column_named(name), row.cells.get(name)
        if cell is None:
            cells.append(_FactCell(column.title, "", "", "", ""))
            continue
        clear = cell.low is not None and cell.high is not None and (cell.low > 0 or cell.high < 0)
        clear = clear and abs(cell.change) >= 0.005  # as far as it shows
        tone = "" if not clear else "good" if column.wanted == (cell.change > 0) else "bad"
        spelled = f"{cell.before:.2f} → {cell.after:.2f}"
        interval = "" if cell.low is None or cell.high is None else f"{hundredths(cell.low)} to {hundredths(cell.high)}"
        change = f"{cell.change:+.2f}" if abs(cell.change) >= 0.005 else "0.00"
        cells.append(_FactCell(column.title, typeset(change), typeset(interval), typeset(spelled), tone))
    return _FactRow(row.subject, row.relation, row.object, f"{100 * row.known:.0f} %", row.trained, tuple(cells))


def hundredths(value: float) -> str:
    """With two digits behind the point."""
    return f"{value:.2f}" if abs(value) >= 0.005 else "0.00"  # never -0.00


def _forecast_rows(found: Audit) -> list[tuple[str, ...]]:
    return [
        (
            one.subject,
            one.relation,
            one.object,
            one.status,
            *(
                typeset(general(value, 3))
                for value in (one.learns, one.surprise, one.primes, one.composes, one.hallucinates, one.spreads, one.displaces)
            ),
        )
        for one in found.forecast[:MOST_ROWS]
    ]


def _expected_columns(found: Audit) -> list[str]:
    """The columns, and parts of columns, of which the tangent forecast speaks."""
    return list(dict.fromkeys(name for one in found.forecast for name in one.tangent))


def _expected_rows(found: Audit) -> list[tuple[str, ...]]:
    """What the tangent forecast expects in total, then of every fact."""
    names = _expected_columns(found)
    if not names:
        return []
    return [
        ("all", "", "", *(typeset(general(found.expected.get(name), 2)) for name in names)),
        *(
            (one.subject, one.relation, one.object, *(typeset(general(one.tangent.get(name), 2)) for name in names))
            for one in found.forecast[:MOST_ROWS]
        ),
    ]


def calibration_rows(calibration: Sequence[Calibration], says: Mapping[str, str]) -> list[dict[str, str]]:
    """Forecasts against outcomes as the page shows them.

    Args:
        calibration: the lines.
        says: what each forecast is made from.
    """
    rows = []
    for one in calibration:
        rank, interval = interval_text(one.rank, one.rank_low, one.rank_high)
        rows.append(
            {
                "forecast": one.forecast,
                "says": says[one.forecast],
                "column": one.column,
                "n": str(one.n),
                "rank": typeset(rank),
                "interval": typeset(interval),
                "risky": f"{typeset(general(one.risky, 3))} ({one.n_risky})",
                "calm": f"{typeset(general(one.calm, 3))} ({one.n - one.n_risky})",
                "error": "–" if one.mean_error is None else typeset(general(one.mean_error, 2)),
                "means": "–"
                if one.mean_forecast is None
                else typeset(f"{general(one.mean_forecast, 2)} / {general(one.mean_outcome, 2)}"),
            }
        )
    return rows


def _arm_row(arm: Arm) -> dict[str, object]:
    """An arm with what is clearly different, and by name what is not."""
    clear, open_ = [], []
    for harm in arm.harms:
        column = column_named(harm.column)
        if not harm.clear:
            open_.append(column.title)
            continue
        estimate, interval = interval_text(harm.estimate, harm.low, harm.high)
        tone = "good" if column.wanted == (harm.estimate > 0) else "bad"
        clear.append((column.title, typeset(f"{estimate} {interval}"), tone))
    recalled = next((count for count in arm.counts if count.column == "learned"), None)
    return {
        "name": arm.name,
        "says": arm.says,
        "reason": arm.reason,
        "against": arm.against,
        "memorised": "–" if arm.memorised is None else f"{arm.memorised:.2f}",
        "scale": "–" if arm.scale is None else f"{arm.scale:.2f}",
        "recalled": "–" if recalled is None else f"{recalled.number} of {recalled.n}",
        "minutes": f"{arm.minutes:.1f}",
        "differs": clear,
        "open": ", ".join(open_),
    }


def _retention_rows(kept: Retention | None) -> list[tuple[str, str, str]]:
    """What plain steps left, in numbers: what it is, the number, its interval."""
    if kept is None or len(kept.steps) < 2:
        return []
    rows = [("gain of the answers that were trained on, nats", general(kept.gain, 3), "")]
    if kept.kept:
        rows.append((f"share of it that is left after {kept.n_steps:,} plain steps", general(kept.kept[-1], 2), ""))
    if kept.slope is not None:
        low, high = (None if end is None or math.isinf(end) else end for end in (kept.slope_low, kept.slope_high))
        estimate, interval = interval_text(kept.slope, low, high)
        interval = "" if kept.slope_low is None else interval
        rows.append(("slope: share that goes with every factor of ten in steps", estimate, interval))
    if kept.threshold is not None:
        low, high = kept.threshold_low, kept.threshold_high
        interval = "" if low is None or high is None else f"{steps_text(low)} to {steps_text(high)}"
        rows.append(("threshold: steps after which the line is not above zero", steps_text(kept.threshold), interval))
    return [(name, typeset(number), typeset(interval)) for name, number, interval in rows]


def costs_of(found: Audit | PairAudit) -> list[tuple[str, str]]:
    """What it took, expected and spent."""
    cost = found.cost
    what = (
        "asking and forecasting, training, asking" if isinstance(found, PairAudit) else "asking before, injecting, asking after"
    )
    lines = [(what, cost.expected_minutes, cost.minutes)]
    lines += [("of this, training", cost.expected_training, cost.training)]
    if isinstance(found, Audit) and found.retention is not None:
        lines.append(("plain steps", cost.plain_expected, cost.plain))
    if found.arms:
        lines.append(("mitigations", cost.mitigations_expected, cost.mitigations))
    rows = [
        (
            name,
            f"{_minutes(expected)} expected, {_minutes(spent)} spent"
            if spent is not None
            else f"{_minutes(expected)} expected",
        )
        for name, expected, spent in lines
    ]
    if cost.peak_gib is not None:
        forecast = "" if cost.expected_gib is None else f"{cost.expected_gib:.1f} GiB expected, "
        rows.append(("most memory", f"{forecast}{cost.peak_gib:.1f} GiB{' held' if forecast else ''}"))
    return rows


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} min"


# Data beside the page


def _data_files(found: Audit) -> dict[str, str]:
    names = dict.fromkeys([*COLUMNS, *(name for row in found.rows for name in row.cells)])
    totals = csv_text(
        TOTALS,
        (_totals_line(found, total) for total in found.totals),
    )
    facts = csv_text(
        (
            "subject",
            "relation",
            "object",
            "trained",
            "known",
            *(f"{name}_{part}" for name in names for part in CELL),
            *(f"tangent: {name}" for name in _expected_columns(found)),
        ),
        (_facts_line(found, place, list(names)) for place in range(len(found.rows))),
    )
    questions = csv_text(
        QUESTIONS,
        (
            (
                one.question.column,
                one.question.kind,
                one.question.fact + 1 or None,
                one.question.about,
                one.question.prompt,
                one.question.lesson[1],
                one.question.measure,
                one.before,
                one.after,
                one.change,
                one.right_before,
                one.right_after,
            )
            for one in found.outcomes
        ),
    )
    return {"totals.csv": totals, "facts.csv": facts, "questions.csv": questions}


def _totals_line(found: Audit, total: Total) -> list[Cell]:
    line: list[Cell] = [
        total.column, total.group, total.estimate, total.low, total.high, total.level, total.n_facts, total.n_units,
        total.clear,
    ]  # fmt: skip
    column = column_named(total.column)
    count = next((one for one in found.counts if total.group == EVERYTHING and one.column == total.column), None)
    counted: list[Cell] = [None] * 4 if count is None else [column.counted, count.n, count.before, count.after]
    return [*line, column.unit, *counted]


def _facts_line(found: Audit, place: int, names: Sequence[str]) -> list[Cell]:
    row = found.rows[place]
    line: list[Cell] = [row.subject, row.relation, row.object, row.trained, row.known]
    for name in names:
        cell = row.cells.get(name)
        line += [None if cell is None else getattr(cell, part) for part in CELL]
    forecast = found.forecast[sum(one.trained for one in found.rows[:place])] if row.trained and found.forecast else None
    return [*line, *(None if forecast is None else forecast.tangent.get(name) for name in _expected_columns(found))]


def spelled(value: object) -> str:
    """A setting's value in a table."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "all"
    return "none" if value is None else typeset(str(value)) if isinstance(value, float) else str(value)


def _command(found: Audit) -> str:
    runs = f" --runs {len(found.runs)}" if found.runs else ""
    if found.retention is not None:
        runs += f" --then {found.retention.n_steps}"
        runs += "" if found.retention.source == PAGES else f" --plain {shlex.quote(found.retention.source)}"
    if found.tuned:
        return f"assay audit FACTS --base {shlex.quote(found.model)} --tuned {shlex.quote(found.tuned)}{runs}"
    return f"assay audit {shlex.quote(found.model)} FACTS{runs}"
