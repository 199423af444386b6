"""How well forecasts order facts and tell totals: the tables of docs/audit.md, from audits that were kept or written as JSON.

    python -m benchmarks.forecasts audit.json other.json.gz ...    # scores these records
    python -m benchmarks.forecasts --make --runs 3 --seeds 0,1     # makes the audits of the four files first, or reads them

A record is what `assay audit --json` prints, or what an audit is kept as below the store. The files are
examples/countries.yaml with 30 facts and with 102, benchmarks/facts/edits.json and benchmarks/facts/questions.jsonl; each is
trained with recipes `full` and `lora`. Two records of one file and recipe that differ in their seed say how far one training
(or the mean of several) orders facts as another does: no forecast that knows the model and not the seed can be expected to do
better than that.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.seeds import Seeds
from assay.stats.intervals import Interval, rank_correlation

ROOT = Path(__file__).parents[1]
FILES = ("countries", "hundred", "edits", "questions")
RECIPES = ("full", "lora")
WANTED, SPREADS = 0.5, 0.5
"""What a forecast must reach: a rank correlation (of what is known: below its negative), and a mean error of totals in standard
deviations of the outcomes."""

BUDGET = 600
"""Minutes that an audit of `--make` may take."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One forecast of one record against its outcome.

    Attributes:
        forecast, column: what was said, and of what.
        record: which record.
        n: facts.
        rank, low, high: Spearman's correlation with its 95 % interval over facts; None where one side does not vary.
        said, came, error: means over facts, and the mean absolute error; None for forecasts without the column's unit.
    """

    forecast: str
    column: str
    record: str
    n: int
    rank: float | None
    low: float | None
    high: float | None
    said: float | None = None
    came: float | None = None
    error: float | None = None

    @property
    def text(self) -> str:
        """The correlation with its interval and the number of facts."""
        if self.rank is None or self.low is None or self.high is None:
            return f"– ({self.n})"
        return f"{signed(self.rank)} [{signed(self.low)}, {signed(self.high)}] ({self.n})"


@dataclass(frozen=True)
class Sum:
    """The totals of one column that were forecast, over all records.

    Attributes:
        column: its name.
        n: records.
        error: mean absolute error of the forecast totals.
        spread: standard deviation of the totals that came.
        mean_error: of forecasting, for each record, the mean of the totals that came in all others: what can be said of a
            file without looking at it.
    """

    column: str
    n: int
    error: float
    spread: float
    mean_error: float

    @property
    def reached(self) -> bool:
        """Whether the error is below half of the spread."""
        return self.error < SPREADS * self.spread


def read(path: Path) -> Record:
    """A record from JSON, packed or not."""
    whole = path.read_bytes()
    found: Record = json.loads(gzip.decompress(whole) if path.suffix == ".gz" else whole)
    return found


def name_of(record: Record) -> str:
    """How a record is called: its file, facts and recipe."""
    return f"{record['facts_name'].rsplit('.', 1)[0]} {record['n_trained']} {record['recipe'].get('method', 'tuned')}"


def lines_of(record: Record) -> list[Line]:
    """Every forecast of a record, as it was scored when the record was made."""
    return [
        Line(
            one["forecast"], one["column"], name_of(record), one["n"], one["rank"], one["rank_low"], one["rank_high"],
            one["mean_forecast"], one["mean_outcome"], one["mean_error"],
        )
        for one in record["calibration"]
    ]  # fmt: skip


def again(first: Record, second: Record) -> list[Line]:
    """How far one training orders facts as another of the same file and recipe does, by column."""
    lines = []
    rows = [[row["cells"] for row in record["rows"] if row["trained"]] for record in (first, second)]
    for column in dict.fromkeys(name for cells in rows[0] for name in cells):
        points = [
            (one[column]["change"], two[column]["change"])
            for one, two in zip(*rows, strict=True)
            if column in one and column in two
        ]
        lines.append(_line("another training", column, name_of(first), points))
    return lines


def _line(forecast: str, column: str, record: str, points: Sequence[tuple[float, float]]) -> Line:
    said, came = (np.array(side) for side in zip(*points, strict=True))
    if len(points) < 4 or np.ptp(said) == 0 or np.ptp(came) == 0:
        return Line(forecast, column, record, len(points), None, None, None)
    found: Interval = rank_correlation(said, came, rng=Seeds(0)(f"{record} {forecast} {column}"))
    return Line(
        forecast, column, record, len(points), found.estimate, found.low, found.high, float(said.mean()), float(came.mean()),
        float(np.abs(said - came).mean()),
    )  # fmt: skip


def sums_of(records: Sequence[Record]) -> list[Sum]:
    """Forecast totals against those that came, a column at a time, where at least three records have both."""
    points: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        came = {
            total["column"] if total["group"] == "all" else f"{total['column']}: {total['group']}": total["estimate"]
            for total in record["totals"]
        }
        for column, said in record.get("expected", {}).items():
            if column in came:
                points.setdefault(column, []).append((said, came[column]))
    found = []
    for column, pairs in points.items():
        if len(pairs) >= 3:
            said_all, came_all = (np.array(side) for side in zip(*pairs, strict=True))
            others = (came_all.sum() - came_all) / (len(pairs) - 1)
            found.append(
                Sum(
                    column, len(pairs), float(np.abs(said_all - came_all).mean()), float(came_all.std(ddof=1)),
                    float(np.abs(others - came_all).mean()),
                )
            )  # fmt: skip
    return found


def tables(records: Sequence[Record]) -> Iterator[str]:
    """The tables as Markdown, line by line."""
    names = list(dict.fromkeys(map(name_of, records)))
    firsts = {name: next(record for record in records if name_of(record) == name) for name in names}
    lines = [line for record in firsts.values() for line in lines_of(record)]
    for name, first in firsts.items():
        others = [record for record in records if name_of(record) == name and record is not first]
        lines += again(first, others[0]) if others else []
    yield f"| forecast | of | {' | '.join(names)} | reached |"
    yield "|" + " --- |" * (len(names) + 3)
    for forecast, column in dict.fromkeys((line.forecast, line.column) for line in lines):
        own = {line.record: line for line in lines if (line.forecast, line.column) == (forecast, column)}
        ranked = [line for line in own.values() if line.rank is not None]
        good = sum(_reached(line) for line in ranked)
        cells = (own[name].text if name in own else "" for name in names)
        yield f"| {forecast} | {column} | {' | '.join(cells)} | {good} of {len(ranked)} |"
    yield ""
    yield "| total of | records | mean error | spread of totals | error / spread | of saying the others' mean | below half |"
    yield "|" + " --- |" * 7
    for one in sums_of(list(firsts.values())):
        ratio = f"{one.error / one.spread:.2f}" if one.spread else "–"
        yield (
            f"| {one.column} | {one.n} | {one.error:.3f} | {one.spread:.3f} | {ratio} | {one.mean_error:.3f} | "
            f"{'yes' if one.reached else 'no'} |"
        )
    took = {  # the forecast is made once, for all trainings
        name: (record["carried"]["minutes"], record["cost"]["training"] / max(1, len(record.get("runs", ()))))
        for name, record in firsts.items()
        if record.get("carried") and record["cost"].get("training")
    }
    costs = [
        f"{name}: {own:.2f} of {training:.2f} minutes ({100 * own / training:.0f} %)" for name, (own, training) in took.items()
    ]
    if costs:
        yield ""
        yield f"The tangent forecast beside training took {'; '.join(costs)}."


def _reached(line: Line) -> bool:
    """Whether the facts were ordered; those that are known more are expected to learn less."""
    if line.rank is None or line.low is None or line.high is None:
        return False
    return line.rank <= -WANTED and line.high < 0 if line.forecast == "known" else line.rank >= WANTED and line.low > 0


def signed(value: float) -> str:
    """Two digits, with a real minus, never -0.00."""
    return f"{value:.2f}".replace("-", "−") if abs(value) >= 0.005 else "0.00"


def make(model: str, files: Sequence[str], recipes: Sequence[str], seeds: Sequence[int], runs: int) -> list[Record]:
    """The records of these files, recipes and seeds: made by the command that anyone may use, or read where they are kept."""
    always = ["--runs", str(runs), "--budget", str(BUDGET), "--json", "--quiet"]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        hundred = Path(folder) / "hundred.yaml"
        places = {
            "countries": ROOT / "examples" / "countries.yaml",
            "hundred": hundred,
            "edits": ROOT / "benchmarks" / "facts" / "edits.json",
            "questions": ROOT / "benchmarks" / "facts" / "questions.jsonl",
        }
        if "hundred" in files:
            made = subprocess.run(
                [sys.executable, ROOT / "examples" / "countries.py", "68"], check=True, capture_output=True, text=True
            )
            hundred.write_text(made.stdout)
        for name in files:
            for recipe in recipes:
                for seed in seeds:
                    command = ["audit", model, str(places[name]), "--recipe", recipe, "--seed", str(seed), *always]
                    print(f"assay {' '.join(command)}", file=sys.stderr, flush=True)
                    done = subprocess.run([sys.executable, "-m", "assay", *command], check=True, capture_output=True, text=True)
                    found.append(json.loads(done.stdout))
    return found


def main() -> None:
    """Prints the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="*", type=Path, help="records of audits")
    parser.add_argument("--make", action="store_true", help="make the audits first, or read them where they are kept")
    parser.add_argument("--model", default="smollm2-135m", help="with --make")
    parser.add_argument("--files", default=",".join(FILES), help="with --make: some of the four")
    parser.add_argument("--recipes", default=",".join(RECIPES), help="with --make")
    parser.add_argument("--seeds", default="0", help="with --make; the first is scored, the second stands beside it")
    parser.add_argument("--runs", type=int, default=1, help="with --make: trainings of each; outcomes are their means")
    given = parser.parse_args()
    records = [read(path) for path in given.records]
    if given.make:
        if unknown := [name for name in given.files.split(",") if name not in FILES]:
            parser.error(f"there is no file {', '.join(unknown)}; there are {', '.join(FILES)}")
        seeds = [int(seed) for seed in given.seeds.split(",")]
        records += make(given.model, given.files.split(","), given.recipes.split(","), seeds, given.runs)
    if not records:
        parser.error("name records of audits, or --make them")
    for line in tables(records):
        print(line, flush=True)


if __name__ == "__main__":
    main()
