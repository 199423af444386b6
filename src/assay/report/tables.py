"""The table of verdicts, once: as JSON-ready records, CSV, Markdown, LaTeX and short cells for a terminal.

Records keep every text and number as it is. The other forms are read by programs that act on what they read (a terminal, a
spreadsheet, a typesetter), so texts pass through `visible` and that form's own guard.
"""

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.claims.exact import ExactVerdict
from assay.claims.verdict import Verdict
from assay.core.text import visible
from assay.report.numbers import interval_text, level_text, shared

__all__ = ["Cell", "VerdictTable", "csv_text", "latex_text", "markdown_text"]

Cell = str | int | float | bool | None
_FIELDS = (
    "study", "experiment", "claim", "says", "source", "rule", "estimate", "low", "high", "level", "n_runs", "unit",
    "paper_value", "control", "verdict", "reason", "effect", "method",
)  # fmt: skip
_MORE = ("kind", "family", "tier", "estimand_unit", "range", "looks")
_WIDTHS = (0.09, 0.08, 0.26, 0.08, 0.14, 0.06, 0.1, 0.09, 0.08)  # of the columns below, as shares of the text's width
_HEAD = ("Experiment", "Claim", "Says", "Rule", "Ours", "Level", "Paper", "Control", "Verdict")


@dataclass(frozen=True)
class VerdictTable:
    """Verdicts in the order given, and every form they are printed in; exact checks come after the claims."""

    verdicts: tuple[Verdict, ...]
    exact: tuple[ExactVerdict, ...] = ()
    study: str = ""  # slug, for the exact checks

    def records(self) -> list[dict[str, object]]:
        """One mapping per claim or exact check, ready for JSON; `control` is a mapping of its own with the field `flips`."""
        return [*(_record(verdict) for verdict in self.verdicts), *(_exact_record(self.study, one) for one in self.exact)]

    def json(self) -> str:
        """The records as an indented JSON array."""
        text = json.dumps(self.records(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        # A lone surrogate has no UTF-8 form; Python's escape for it is JSON's.
        return text.encode("utf-8", "backslashreplace").decode()

    def csv(self) -> str:
        """One line per claim with full precision; the fields of its two controls are columns `control_*` and `positive_*`."""
        records = [_flat(record) for record in self.records()]
        names = [
            f"{name}_{inner}" if inner else name
            for name in (*_FIELDS, *_MORE, "positive")
            for inner in (_CONTROL_FIELDS if name in ("control", "positive") else ("",))
        ]
        return csv_text(names, ([record.get(name) for name in names] for record in records))

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The head and the rows as short texts for people: estimate with its interval, control with its outcome."""
        return _HEAD, [*(_cells(verdict) for verdict in self.verdicts), *(_exact_cells(one) for one in self.exact)]

    def markdown(self) -> str:
        """A pipe table."""
        return markdown_text(*self.cells())

    def latex(self) -> str:
        """A `longtable` as wide as the text, with wrapped cells, caption and label; it breaks between rows, over pages."""
        head, rows = self.cells()
        slug = self.study or (self.verdicts[0].study if self.verdicts else "claims")
        widths = "".join(rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in _WIDTHS)
        top = " & ".join(_latex(cell) for cell in head) + r" \\"
        n = len(rows)
        caption = (
            rf"{_latex(slug)}: {n} claim{'s' * (n != 1)} with the interval that decided, the paper's own value and the control."
        )
        return "\n".join(
            [
                "% packages: array, booktabs, longtable",
                r"{\footnotesize\setlength{\tabcolsep}{2pt}",
                rf"\begin{{longtable}}{{{widths}}}",
                rf"\caption{{{caption}}}\label{{tab:{re.sub('[^a-z0-9-]', '-', slug.lower())}}}\\",
                *(r"\toprule", top, r"\midrule", r"\endfirsthead"),
                *(r"\toprule", top, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"),
                *(" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows),
                r"\end{longtable}}",
                "",
            ]
        )


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Comma-separated text that a spreadsheet shows and never executes; numbers keep full precision, None is empty.

    A text that a spreadsheet would read as a formula (it begins with = + - @ or their full-width forms) gets an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_inert(name) for name in names])
    for row in rows:
        writer.writerow([_inert(cell) if isinstance(cell, str) else _plain(cell) for cell in row])
    return out.getvalue()


def markdown_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table in which no cell can open markup of its own."""
    lines = [[_markdown(cell) for cell in head], ["---"] * len(head), *([_markdown(cell) for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def latex_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A `tabular` (package booktabs) in which no cell can run a command."""
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows]
    top = " & ".join(_latex(cell) for cell in head) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{'l' * len(head)}}}", r"\toprule", top, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", ""]
    )


def _record(verdict: Verdict) -> dict[str, object]:
    control = dataclasses.asdict(verdict.control) | {"flips": verdict.control.flips}
    positive = None if verdict.positive is None else dataclasses.asdict(verdict.positive) | {"flips": verdict.positive.flips}
    record = {name: control if name == "control" else getattr(verdict, name) for name in _FIELDS}
    more = {name: getattr(verdict, name) for name in _MORE}
    return record | more | {"at": verdict.source, "paper": verdict.paper_value, "negative": control, "positive": positive}


def _exact_record(study: str, found: ExactVerdict) -> dict[str, object]:
    """The fields of a claim's record that an exact check has; the others are None, for there is nothing to be uncertain of."""
    check = found.check
    own = {
        "study": study, "experiment": found.experiment, "claim": check.name, "says": check.sentence, "source": check.at,
        "rule": check.rule.text, "estimate": found.number, "n_runs": 0, "unit": check.unit, "paper_value": check.paper,
        "verdict": found.verdict, "reason": found.reason, "method": "exact", "kind": "exact",
    }  # fmt: skip
    no_control = dict.fromkeys(_CONTROL_FIELDS)
    return {name: no_control if name == "control" else own.get(name) for name in (*_FIELDS, "kind")}


_CONTROL_FIELDS = ("says", "rule", "expected", "estimate", "low", "high", "judgement", "flips")


def _flat(record: Mapping[str, object]) -> dict[str, Cell]:
    flat: dict[str, Cell] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": item for inner, item in value.items()}
        else:
            flat[name] = value  # type: ignore[assignment]  # every other field of a Verdict is a scalar
    return flat


def _cells(verdict: Verdict) -> tuple[str, ...]:
    estimate, interval = interval_text(verdict.estimate, verdict.low, verdict.high)
    control = verdict.control
    outcome = (
        "no number"
        if control.judgement is None
        else f"{interval_text(control.estimate, control.low, control.high)[0]}, {control.judgement}"
    )
    paper = verdict.paper_value
    texts = (
        verdict.experiment,
        verdict.claim,
        verdict.says,
        verdict.rule,
        f"{estimate} {interval}" if verdict.estimate is not None else "–",
        level_text(verdict.level),
        "–" if paper is None else paper if isinstance(paper, str) else shared([paper], 0.0)[0],
        outcome,
        f"{verdict.verdict}: {verdict.reason}" if verdict.reason else verdict.verdict,
    )
    return tuple(visible(text) for text in texts)


def _exact_cells(found: ExactVerdict) -> tuple[str, ...]:
    check, paper = found.check, found.check.paper
    number = "–" if found.number is None else shared([found.number], 0.0)[0]
    cited = "–" if paper is None else paper if isinstance(paper, str) else shared([paper], 0.0)[0]
    outcome = f"exact: {found.verdict}" if found.number is not None else found.verdict
    texts = (found.experiment, check.name, check.sentence, check.rule.text, number, "exact", cited, "–", outcome)
    return tuple(visible(text) for text in texts)


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    return repr(float(cell)) if isinstance(cell, float) else str(cell)  # float() drops numpy's own repr


def _inert(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(tuple("=+-@＝＋－＠")) else shown


def _markdown(text: str) -> str:
    shown = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + character if character in r"\`*_{}[]|#!~" else character for character in shown)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in visible(text))
