"""A section for a model card: what injecting facts, or training on preferences, did, with intervals and the file's hash."""

import html
from collections.abc import Sequence

from assay.audit.columns import column_named
from assay.audit.hits import hits, sentences
from assay.audit.preference_hits import pair_sentences
from assay.audit.preference_record import PAIR_COLUMNS, PairAudit
from assay.audit.record import Audit
from assay.audit.totals import EVERYTHING
from assay.core.text import visible

__all__ = ["MOST_HITS", "any_card", "card_section", "pair_card_section"]

MOST_HITS = 3


def card_section(found: Audit) -> str:
    """Markdown: the table of totals, what was done, what is not known."""
    injected = f"`{_inert(found.tuned)}` against `{_inert(found.model)}`" if found.tuned else f"`{_inert(found.model)}`"
    lines = [
        "## What injecting facts did to this model",
        "",
        f"Audited: {injected}, {found.n_trained} injected facts of `{_inert(found.facts_name)}` "
        f"(SHA-256 begins {found.facts_digest}), {found.n_questions} questions before and after.",
        "",
    ]
    lines += [f"- {_inert(count.text)}" for count in found.counts]
    lines += [f"- Hit hardest: {_inert(line)}" for line in sentences(hits(found)[:MOST_HITS])]
    if found.totals:
        lines += [""] * bool(found.counts)
        head = ("column", "change", "unit", "interval", "level", "units", "clear of zero")
        rows = [
            (
                column_named(total.column).title,
                f"{total.estimate:+.3g}",
                column_named(total.column).unit,
                "–" if total.low is None or total.high is None else f"[{total.low:+.3g}, {total.high:+.3g}]",
                f"{100 * total.level:.4g} %",
                str(total.n_units),
                "yes" if total.clear else "no",
            )
            for total in found.totals
            if total.group == EVERYTHING
        ]
        lines += [*_table(head, rows), ""]
        once = f"over {len(found.runs)} trainings" if found.runs else "of one training"
        lines.append(
            f"Means {once}; displaced and forgotten count what was lost. Intervals are clustered by subject and, where facts "
            "share questions, by object and by whom was asked; levels keep false alarms of all columns at 4 %. Losses below "
            "0.1 count as none, gains do not pay for them."
        )
    else:
        counts = {name: sum(one.status == name for one in found.forecast) for name in ("known", "partly known", "unknown")}
        lines.append("Forecast only: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    if found.benchmarks:
        edits = [(one.name, f"{one.before:.3f}", f"{one.after:.3f}", str(one.n)) for one in found.benchmarks]
        lines += ["", *_table(("benchmark of editing", "before", "after", "edits"), edits)]
    said = (*(f"{one.says} ({one.cites})" for one in found.advice), *found.notes)
    lines += ["", *(f"- {_inert(line)}" for line in said)]
    return "\n".join(lines).rstrip() + "\n"


def pair_card_section(found: PairAudit) -> str:
    """Markdown: what training on preferences did to their own answers."""
    trained = f"`{_inert(found.tuned)}` against `{_inert(found.model)}`" if found.tuned else f"`{_inert(found.model)}`"
    how = f", trained with {_inert(found.method)}" if found.method else ""
    lines = [
        "## What training on preferences did to this model",
        "",
        f"Audited: {trained}{how}, {found.n_pairs} pairs of {found.n_prompts} prompts of `{_inert(found.pairs_name)}` "
        f"(SHA-256 begins {found.pairs_digest}).",
        "",
    ]
    lines += [f"- {_inert(line)}" for line in pair_sentences(found)]
    if found.totals:
        lines += [""]
        head = ("column", "change", "unit", "interval", "level", "prompts", "clear of zero")
        rows = [
            (
                total.column,
                f"{total.estimate:+.3g}",
                PAIR_COLUMNS[total.column].unit,
                "–" if total.low is None or total.high is None else f"[{total.low:+.3g}, {total.high:+.3g}]",
                f"{100 * total.level:.4g} %",
                str(total.n_units),
                "yes" if total.clear else "no",
            )
            for total in found.totals
        ]
        lines += [*_table(head, rows), ""]
        lines.append("Means over prompts of one training; levels keep false alarms of all columns at 5 %.")
    else:
        falls = sum(row.together is not None and row.together < 0 for row in found.rows)
        lines.append(f"Forecast only: the first step lowers the chosen answer of {falls} of {found.n_pairs} pairs.")
    said = (*(f"{one.says} ({one.cites})" for one in found.advice), *found.notes)
    lines += ["", *(f"- {_inert(line)}" for line in said)]
    return "\n".join(lines).rstrip() + "\n"


def any_card(found: Audit | PairAudit) -> str:
    """The section of either kind of audit."""
    return pair_card_section(found) if isinstance(found, PairAudit) else card_section(found)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *[[_inert(cell) for cell in row] for row in rows]]
    return ["| " + " | ".join(row) + " |" for row in cells]


def _inert(text: str) -> str:
    """Text that opens no markup of its own."""
    shown = html.escape(visible(text), quote=False)
    return "".join("\\" + character if character in r"\`*_{}[]|#!~" else character for character in shown)
