"""The page of an audit: totals, advice, every fact, forecast against outcome, mitigations, and what each column means."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.audit.card import card_section
from assay.audit.columns import COLUMNS, column_named
from assay.audit.record import Audit
from assay.audit.totals import EVERYTHING, Total
from assay.report.audit_figures import NAMES, plates
from assay.report.numbers import general, interval_text, level_text, typeset
from assay.report.page import put_in_place, rendered
from assay.report.tables import Cell, csv_text

__all__ = ["audit_page", "write_audit"]

CELL = ("before", "after", "change", "low", "high")  # of a fact and column, in its CSV
MOST_ROWS = 400  # facts on the page; the CSV has all
FORECASTS = {
    "known": "known before",
    "learns": "1 − q before",
    "primes": "−log₁₀ P in its own sentence",
    "composes": "margin of bridges and own association",
    "hallucinates": "margin of bridges and own association",
    "spreads": "object’s frequency among facts",
    "displaces": "hidden-state similarity (CHES)",
}


@dataclass(frozen=True)
class _TotalRow:
    column: str
    group: str
    estimate: str
    interval: str
    level: str
    n: str
    clear: str
    tone: str


@dataclass(frozen=True)
class _FactCell:
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

    Beside the page: `audit.json`, `totals.csv`, `facts.csv`, `questions.csv`, `card.md`, and the figures. A text that a
    spreadsheet would take for a formula is made harmless in the CSV files.

    Raises:
        StoreError: a file cannot be written.
    """
    page, files = _composed(found, command)
    files["audit.json"] = (json.dumps(found.json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()
    files["card.md"] = card_section(found).encode()
    files |= {name: text.encode() for name, text in _data_files(found).items()}
    for name, content in files.items():
        put_in_place(out / name, content)
    put_in_place(out / "index.html", page.encode())
    return out / "index.html"


def _composed(found: Audit, command: str) -> tuple[str, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    overall = [total for total in found.totals if total.group == EVERYTHING]
    parts = [total for total in found.totals if total.group != EVERYTHING]
    columns = [column for column in COLUMNS if any(column in row.cells for row in found.rows)]
    page = rendered(
        "audit.html.j2",
        audit=found,
        title=f"{found.model} and {found.facts_name}" if not found.tuned else f"{found.tuned} against {found.model}",
        overall=[_total_row(total) for total in overall],
        parts=[_total_row(total) for total in parts],
        columns=columns,
        facts=[_fact_row(found, place, columns) for place in range(min(len(found.rows), MOST_ROWS))],
        hidden=max(0, len(found.rows) - MOST_ROWS),
        forecast=_forecast_rows(found) if not found.rows else [],
        calibration=_calibration_rows(found),
        benchmarks=[
            (one.name, typeset(general(one.before, 3)), typeset(general(one.after, 3)), str(one.n)) for one in found.benchmarks
        ],
        arms=_arm_rows(found),
        meanings=[(one.name, one.formula, one.meaning) for one in COLUMNS.values()],
        names=NAMES,
        plates=plates(found, files),
        costs=_costs(found),
        recipe=[(name, _spelled(value)) for name, value in found.recipe.items()],
        environment=[(name, _spelled(value)) for name, value in found.environment.items()],
        command=command or _command(found),
    )
    return page, files


# Rows of the page's tables


def _total_row(total: Total) -> _TotalRow:
    estimate, interval = interval_text(total.estimate, total.low, total.high)
    unbounded = total.low is None and total.high is None
    tone = "" if not total.clear else "bad" if column_named(total.column).wanted != (total.estimate > 0) else "good"
    return _TotalRow(
        NAMES.get(total.column, total.column),
        "" if total.group == EVERYTHING else total.group,
        typeset(estimate),
        "–" if unbounded else typeset(interval),
        "–" if unbounded else level_text(total.level),
        f"{total.n_units}",
        "clear" if total.clear else "not clear of zero",
        tone,
    )


def _fact_row(found: Audit, place: int, columns: Sequence[str]) -> _FactRow:
    row = found.rows[place]
    cells = []
    for column in columns:
        cell = row.cells.get(column)
        if cell is None:
            cells.append(_FactCell("", "", "", ""))
            continue
        strong = abs(cell.change) >= (0.5 if column == "primed" else 0.1)
        tone = "" if not strong else "bad" if column_named(column).wanted != (cell.change > 0) else "good"
        spelled = f"{cell.before:.2f} → {cell.after:.2f}"
        interval = "" if cell.low is None or cell.high is None else f"[{_hundredths(cell.low)}, {_hundredths(cell.high)}]"
        change = f"{cell.change:+.2f}" if abs(cell.change) >= 0.005 else "0.00"
        cells.append(_FactCell(typeset(change), typeset(interval), typeset(spelled), tone))
    return _FactRow(row.subject, row.relation, row.object, f"{100 * row.known:.0f} %", row.trained, tuple(cells))


def _hundredths(value: float) -> str:
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
                for value in (one.learns, one.primes, one.composes, one.hallucinates, one.spreads, one.displaces)
            ),
        )
        for one in found.forecast[:MOST_ROWS]
    ]


def _calibration_rows(found: Audit) -> list[dict[str, str]]:
    rows = []
    for one in found.calibration:
        rank, interval = interval_text(one.rank, one.rank_low, one.rank_high)
        rows.append(
            {
                "forecast": one.forecast,
                "says": FORECASTS[one.forecast],
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


def _arm_rows(found: Audit) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = []
    for arm in found.arms:
        harms = []
        for harm in arm.harms:
            estimate, interval = interval_text(harm.estimate, harm.low, harm.high)
            tone = "" if not harm.clear else "good" if column_named(harm.column).wanted != (harm.estimate < 0) else "bad"
            harms.append((NAMES.get(harm.column, harm.column), typeset(f"{estimate} {interval}"), tone))
        rows.append(
            {
                "name": arm.name,
                "says": arm.says,
                "reason": arm.reason,
                "memorised": "–" if arm.memorised is None else f"{arm.memorised:.2f}",
                "scale": "–" if arm.scale is None else f"{arm.scale:.2f}",
                "minutes": f"{arm.minutes:.1f}",
                "steps": str(arm.n_steps),
                "harms": harms,
            }
        )
    return rows


def _costs(found: Audit) -> list[tuple[str, str]]:
    cost = found.cost
    lines = [("asking before, injecting, asking after", cost.expected_minutes, cost.minutes)]
    lines += [("of this, training", cost.expected_training, cost.training)]
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
    totals = csv_text(
        ("column", "group", "estimate", "low", "high", "level", "n_facts", "n_units", "clear"),
        ((t.column, t.group, t.estimate, t.low, t.high, t.level, t.n_facts, t.n_units, t.clear) for t in found.totals),
    )
    facts = csv_text(
        (
            "subject",
            "relation",
            "object",
            "trained",
            "known",
            *(f"{c}_{part}" for c in COLUMNS for part in CELL),
        ),
        (_facts_line(found, place) for place in range(len(found.rows))),
    )
    questions = csv_text(
        ("column", "kind", "fact", "about", "prompt", "answer", "measure", "before", "after"),
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
            )
            for one in found.outcomes
        ),
    )
    return {"totals.csv": totals, "facts.csv": facts, "questions.csv": questions}


def _facts_line(found: Audit, place: int) -> list[Cell]:
    row = found.rows[place]
    line: list[Cell] = [row.subject, row.relation, row.object, row.trained, row.known]
    for column in COLUMNS:
        cell = row.cells.get(column)
        line += [None if cell is None else getattr(cell, part) for part in CELL]
    return line


def _spelled(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "all"
    return "none" if value is None else typeset(str(value)) if isinstance(value, float) else str(value)


def _command(found: Audit) -> str:
    if found.tuned:
        return f"assay audit FACTS --base {shlex.quote(found.model)} --tuned {shlex.quote(found.tuned)}"
    return f"assay audit {shlex.quote(found.model)} FACTS"
