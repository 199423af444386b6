"""What a study's rows say, as one object: verdicts, runs, tables, in plain rows, data frames and a table for notebooks."""

import html
import importlib.util
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from assay.claims.exact import ExactVerdict
from assay.claims.study import Study
from assay.claims.verdict import Verdict
from assay.core.errors import MissingExtra, UsageError, unknown_name
from assay.core.extras import load_extra
from assay.core.text import visible
from assay.report.tables import VerdictTable
from assay.runner.plan import Selection
from assay.runner.run import Judged, Outcome
from assay.store.rows import StoredRun
from assay.store.store import Store
from assay.store.tables import Row

__all__ = ["Results", "run_row"]

Rows = list[dict[str, Any]]
Library = Literal["pandas", "polars"]
_TONES = {"supported": "#1a7f37", "holds": "#1a7f37", "refuted": "#b42318", "fails": "#b42318"}


@dataclass(frozen=True, eq=False)
class Results:
    """The verdicts of a study on its stored rows, at one settings value or at every point of a grid, and the rows behind them.

    Attributes:
        selection: the study, its experiments, the preset and the settings that were changed.
        points: one judgement for each point of the settings grid; one in all, without a grid.
        folder: of the store that holds the rows.
        outcome: what was computed for them; None where stored rows were judged again.
    """

    selection: Selection
    points: tuple[Judged, ...]
    folder: Path
    outcome: Outcome | None = field(default=None)

    @property
    def study(self) -> Study:
        """The study."""
        return self.selection.study

    @property
    def verdicts(self) -> list[Verdict]:
        """One a claim, in the study's order, point after point."""
        return [verdict for point in self.points for verdict in point.verdicts]

    @property
    def exact(self) -> list[ExactVerdict]:
        """One an exact check."""
        return [one for point in self.points for one in point.exact]

    @property
    def runs(self) -> list[StoredRun]:
        """The runs that were judged, each once, by experiment and seed."""
        return list({run.run_id: run for point in self.points for runs in point.runs.values() for run in runs}.values())

    @property
    def failures(self) -> tuple[str, ...]:
        """Why runs failed while these results were computed."""
        return () if self.outcome is None else self.outcome.failures

    @cached_property
    def tables(self) -> Mapping[str, list[Row]]:
        """The rows of every table that the runs hold, by "experiment/table", each row with its `run` (the seed).

        Where settings are a grid, every row also has the settings that differ from the preset's.

        Raises:
            StoreError: an artefact is missing or altered.
        """
        found: dict[str, list[Row]] = {}
        with Store.open(self.folder, read_only=True) as store:
            for point in self.points:
                changed = {name: _scalar(value) for name, value in point.changed.items()} if len(self.points) > 1 else {}
                for experiment, runs in point.runs.items():
                    for name in sorted({table for run in runs for table in run.tables}):
                        rows = store.pooled_table(runs, name)
                        found.setdefault(f"{experiment}/{name}", []).extend(changed | row for row in rows)
        return found

    @property
    def table(self) -> VerdictTable:
        """The verdicts as a table that can be printed: `.markdown()`, `.csv()`, `.latex()`, `.json()`."""
        return VerdictTable(tuple(self.verdicts), tuple(self.exact), self.study.slug)

    def to_dicts(self, of: str = "verdicts") -> Rows:
        """Plain rows, ready for JSON.

        Args:
            of: "verdicts" (the rows of `assay judge --json`), "runs", or the name of one of the `tables`.

        Raises:
            UsageError: there is no such table.
        """
        if of == "verdicts":
            return [row for point in self.points for row in self.rows_of(point)]
        if of == "runs":
            return [run_row(run) for run in self.runs]
        if of not in self.tables:
            known = ("verdicts", "runs", *self.tables)
            raise UsageError(unknown_name("table", of, known, see=f"These results have: {', '.join(known)}"))
        return [dict(row) for row in self.tables[of]]

    def rows_of(self, point: Judged) -> Rows:
        """The verdict rows of one point; of a grid, each with the preset and the settings that were changed."""
        rows: Rows = VerdictTable(tuple(point.verdicts), point.exact, self.study.slug).records()
        if len(self.points) == 1:
            return rows
        return [{**row, "preset": self.selection.preset, "settings": point.changed} for row in rows]

    def to_frame(self, of: str = "verdicts", *, library: Library | None = None) -> Any:
        """The same rows as a data frame; records inside a row become columns `control_estimate`, `settings_n_facts`, ...

        Args:
            of: as of `to_dicts`.
            library: whose; None for pandas, or polars where only that is installed.

        Raises:
            MissingExtra: neither, or not the one named, is installed.
        """
        names: tuple[Library, ...] = ("pandas", "polars") if library is None else (library,)
        chosen = next((name for name in names if importlib.util.find_spec(name) is not None), None)
        if chosen is None:
            raise MissingExtra(names[0], "frames", "a data frame")
        rows = [dict(_flat(row)) for row in self.to_dicts(of)]
        made = load_extra(chosen, "frames", "a data frame")
        return made.from_dicts(rows, infer_schema_length=None) if chosen == "polars" else made.DataFrame.from_records(rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items()) or "no claims"
        return f"Results({self.study.slug!r}, preset {self.selection.preset!r}: {len(self.runs)} runs; {counts})"

    @property
    def counts(self) -> Mapping[str, int]:
        """How many claims and exact checks came out how."""
        found: dict[str, int] = {}
        for name in (*(one.verdict for one in self.verdicts), *(one.verdict for one in self.exact)):
            found[name] = found.get(name, 0) + 1
        return found

    def _repr_html_(self) -> str:
        """A table for a notebook: claim, verdict, sentence, number with its interval, rule."""
        parts = [f"<p><strong>{_text(self.study.title)}</strong><br>{_text(repr(self)[8:-1])}</p>"]
        for point in self.points:
            if point.changed and len(self.points) > 1:
                parts.append(f"<p>{_text(', '.join(f'{name}={value}' for name, value in point.changed.items()))}</p>")
            parts.append(_html(*VerdictTable(tuple(point.verdicts), point.exact, self.study.slug).cells()))
        return "\n".join(parts)

    def only(self, claims: Collection[str]) -> "Results":
        """The same with these claims and exact checks alone."""
        from dataclasses import replace

        points = [
            replace(
                point,
                verdicts=[one for one in point.verdicts if one.claim in claims],
                exact=tuple(one for one in point.exact if one.check.name in claims),
            )
            for point in self.points
        ]
        return Results(self.selection, tuple(points), self.folder, self.outcome)


def run_row(run: StoredRun) -> dict[str, Any]:
    """One run: what it is, its settings as `settings_NAME`, its numbers by their own names."""
    head = {"study": run.study, "experiment": run.experiment, "seed": run.seed, "preset": run.preset, "status": run.status}
    settings = {f"settings_{name}": value for name, value in run.settings.items()}
    return head | {"error": run.error, "wall_s": run.wall_s} | settings | dict(run.estimands)


def _flat(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}_{inner}", _scalar(item)) for inner, item in value.items())
        else:
            yield name, _scalar(value)


def _scalar(value: Any) -> Any:
    """A value that a column can hold: a sequence as text."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = []
    for row in rows:
        tone = _TONES.get(row[-1].partition(":")[0].removeprefix("exact: "), "")
        style = f' style="color:{tone}"' if tone else ""
        cells.append("".join(f"<td>{_text(cell)}</td>" for cell in row[:-1]) + f"<td{style}>{_text(row[-1])}</td>")
    top = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return html.escape(visible(text))
