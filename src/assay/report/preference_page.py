"""The page of an audit of preferences: what fell and where it went, what to do; then every pair and number behind it."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from assay.audit.card import pair_card_section
from assay.audit.preference_hits import pair_sentences, short
from assay.audit.preference_record import PAIR_COLUMNS, PairArm, PairAudit, PairRow
from assay.core.text import visible
from assay.report.audit_page import Tile, calibration_rows, costs_of, ends_of, hundredths, spelled, tone_of, total_row
from assay.report.numbers import general, interval_text, level_text, typeset
from assay.report.page import put_in_place, rendered
from assay.report.tables import Cell, csv_text

__all__ = ["preference_page", "write_preferences"]

TOTALS = ("column", "estimate", "low", "high", "level", "n_pairs", "n_prompts", "clear", "unit")
PAIRS = (
    "line", "prompt", "chosen", "rejected", "n_chosen", "n_rejected", "log_prob_chosen", "log_prob_rejected", "ches",
    "ches_per_token", "rank", "edit_distance", "alone", "together", "chosen_after", "rejected_after", "displaced",
)  # fmt: skip
MOST_ROWS = 400  # pairs on the page; the CSV has all
SHOWN = 120  # characters of a text on the page
MOST_HITS = 6
FORECASTS = {
    "ches": "similarity of summed states",
    "ches_per_token": "similarity of mean states",
    "alone": "one step on the pair alone",
    "together": "the training’s first step",
}


def preference_page(found: PairAudit, command: str = "") -> str:
    """The page as one HTML text."""
    ends = ends_of(found.totals, PAIR_COLUMNS.__getitem__)
    return rendered(
        "preference.html.j2",
        audit=found,
        title=_title(found),
        tiles=_tiles(found),
        hits=pair_sentences(found, MOST_HITS)[2:],
        advice=[(one.says, typeset(one.cites)) for one in found.advice],
        overall=[total_row(total, ends, PAIR_COLUMNS.__getitem__) for total in found.totals],
        ends=typeset(f"{hundredths(ends['share of pairs'][0])} to {hundredths(ends['share of pairs'][1])}") if ends else "",
        arms=[_arm_row(arm) for arm in found.arms],
        rows=[_row(row) for row in sorted(found.rows, key=_worst)[:MOST_ROWS]],
        hidden=max(0, len(found.rows) - MOST_ROWS),
        calibration=calibration_rows(found.calibration, FORECASTS),
        meanings=[(one.name, one.title, one.formula, one.meaning) for one in PAIR_COLUMNS.values()],
        costs=costs_of(found),
        recipe=[(name, spelled(value)) for name, value in found.recipe.items()],
        environment=[(name, spelled(value)) for name, value in found.environment.items()],
        command=command or _command(found),
    )


def write_preferences(found: PairAudit, out: Path, *, command: str = "") -> Path:
    """Write the page and its data into a folder and return the path of its `index.html`.

    Beside the page: `audit.json`, `totals.csv`, `pairs.csv`, `gained.csv` and `card.md`.

    Raises:
        StoreError: a file cannot be written.
    """
    page = preference_page(found, command)
    files = {
        "audit.json": json.dumps(found.json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "card.md": pair_card_section(found),
        **_data_files(found),
    }
    for name, content in files.items():
        put_in_place(out / name, content.encode())
    put_in_place(out / "index.html", page.encode())
    return out / "index.html"


def _title(found: PairAudit) -> str:
    return f"{found.tuned} against {found.model}" if found.tuned else f"{found.model} and {found.pairs_name}"


def _worst(row: PairRow) -> tuple[float, int]:
    """Pairs in the order of the page: what fell most first; of a forecast what is expected to fall."""
    expected = row.together if row.together is not None else row.alone
    return row.changes.get("chosen", 0.0 if expected is None else expected), row.rank


def _tiles(found: PairAudit) -> list[Tile]:
    """What fell, by how much, and what the margin did."""
    totals = {total.column: total for total in found.totals}
    if not totals:
        return []
    tiles = []
    fell = sum(bool(row.displaced) for row in found.rows)
    displaced = totals["displaced"]
    ends = "no interval"
    if displaced.low is not None and displaced.high is not None:
        ends = f"{level_text(displaced.level)}: {100 * displaced.low:.0f} to {100 * displaced.high:.0f} %"
    tiles.append(
        Tile(f"{fell} of {found.n_pairs}", "chosen answers fell", typeset(ends), tone_of(displaced, PAIR_COLUMNS.__getitem__))
    )
    for name, says in (
        ("chosen", "nats: log P of chosen answers"),
        ("rejected", "nats: log P of rejected answers"),
        ("margin", "nats of margin"),
    ):
        total = totals[name]
        estimate, interval = interval_text(total.estimate, total.low, total.high)
        inner = interval.strip("[]()").replace(", ", " to ")
        ends = "no interval" if total.low is None or total.high is None else f"{level_text(total.level)}: {inner}"
        signed = estimate if total.estimate < 0 else f"+{estimate}"
        tiles.append(Tile(typeset(signed), says, typeset(ends), tone_of(total, PAIR_COLUMNS.__getitem__)))
    return tiles


def _arm_row(arm: PairArm) -> dict[str, object]:
    """An arm with what is clearly different from plain training, and by name what is not."""
    clear, open_ = [], []
    for harm in arm.harms:
        column = PAIR_COLUMNS[harm.column]
        if not harm.clear:
            open_.append(column.title)
            continue
        estimate, interval = interval_text(harm.estimate, harm.low, harm.high)
        tone = "" if column.wanted is None else "good" if column.wanted == (harm.estimate > 0) else "bad"
        clear.append((column.title, typeset(f"{estimate} {interval}"), tone))

    def number(columns: Mapping[str, float], name: str) -> str:
        return typeset(general(columns[name], 3)) if name in columns else "–"

    return {
        "name": arm.name,
        "says": arm.says,
        "reason": arm.reason,
        "margin": "–" if arm.margin is None else typeset(general(arm.margin, 3)),
        "full": number(arm.full, "chosen"),
        "scale": "–" if arm.scale is None else f"{arm.scale:.2f}",
        "chosen": number(arm.columns, "chosen"),
        "displaced": number(arm.columns, "displaced"),
        "minutes": f"{arm.minutes:.1f}",
        "n": len(arm.lines),
        "differs": clear,
        "open": ", ".join(open_),
    }


def _row(row: PairRow) -> dict[str, object]:
    came = row.changes
    return {
        "line": row.line,
        "prompt": short(row.prompt, SHOWN, end=True),
        "chosen": short(row.chosen, SHOWN),
        "rejected": short(row.rejected, SHOWN),
        "before": typeset(f"{row.log_prob_chosen:.1f} / {row.log_prob_rejected:.1f}"),
        "ches": typeset(general(row.ches_per_token, 3)),
        "rank": row.rank,
        "alone": typeset(general(row.alone, 3)),
        "together": typeset(general(row.together, 3)),
        "moved": typeset(f"{came['chosen']:+.2f} / {came['rejected']:+.2f}") if came else "",
        "tone": "" if not came else "bad" if row.displaced else "good",
        "gained": [(visible(one.token), f"{one.before:.2f} → {one.after:.2f}") for one in row.gained],
    }


def _data_files(found: PairAudit) -> dict[str, str]:
    totals = csv_text(
        TOTALS,
        (
            (
                one.column, one.estimate, one.low, one.high, one.level, one.n_facts, one.n_units, one.clear,
                PAIR_COLUMNS[one.column].unit,
            )
            for one in found.totals
        ),
    )  # fmt: skip
    pairs = csv_text(PAIRS, (_pairs_line(row) for row in found.rows))
    gained = csv_text(
        ("line", "token", "before", "after"),
        ((row.line, one.token, one.before, one.after) for row in found.rows for one in row.gained),
    )
    return {"totals.csv": totals, "pairs.csv": pairs, "gained.csv": gained}


def _pairs_line(row: PairRow) -> list[Cell]:
    return [getattr(row, name) for name in PAIRS]


def _command(found: PairAudit) -> str:
    if found.tuned:
        return f"assay audit --preferences FILE --base {shlex.quote(found.model)} --tuned {shlex.quote(found.tuned)}"
    return f"assay audit {shlex.quote(found.model)} --preferences FILE --method {found.method}"
