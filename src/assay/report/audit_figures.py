"""The figures of an audit: forecasts against outcomes. What injection did is drawn in its table, by the same intervals."""

import math
from collections.abc import Iterable, Mapping

from assay.audit.record import Audit
from assay.audit.retention_record import Retention
from assay.claims.charts import Figure, Line, Lines, Scatter
from assay.claims.study import Table
from assay.core.errors import InputError
from assay.report.charts import draw
from assay.report.page import Plate, plate

__all__ = ["lasted", "plates"]

DIAGRAMS = (
    ("primes", "Priming, forecast and outcome", "expected by the tangent, powers of ten", "primed, powers of ten"),
    ("composes", "Composition, forecast and outcome", "expected transfer", "composed"),
    ("hallucinates", "Spurious rules, forecast and outcome", "expected transfer", "hallucinated by rules"),
    ("spreads", "Said of strangers, forecast and outcome", "expected gain", "hallucinated of strangers"),
    ("displaces", "Displacement, forecast and outcome", "similarity of hidden states (CHES)", "displaced"),
)


def lasted(found: Audit, files: dict[str, bytes]) -> list[Plate]:
    """The figure of what plain steps left of the facts, with its files added to `files`; none where nothing was gained."""
    kept = found.retention
    if kept is None or len(kept.steps) < 3 or not kept.kept:
        return []
    rows: Table = [
        {"run": 0, "step": step, "kept": share, **_line(kept, step)}
        for step, share in zip(kept.steps[1:], kept.kept[1:], strict=True)
    ]
    figure = Figure(
        "retained",
        "What plain text leaves of the facts",
        "The share of what the trained answers gained in log-probability that is left, the mean over subjects; dashed, the "
        "line whose slope and threshold are told above.",
        Lines(
            "kept", "step", "kept", theory="line", x_label="plain steps since injection", y_label="share of the gain",
            x_scale="log", lines=(Line(0.0, "nothing left"),), markers=True,
        ),
    )  # fmt: skip
    note = f"{kept.n_units} subjects; {f'mean over {len(found.runs)} trainings' if found.runs else 'one training'}."
    return [_drawn(figure, {"kept": rows}, note, files)]


def _line(kept: Retention, step: int) -> dict[str, float]:
    """The line's height at a step: the line goes through the mean of shares at the mean of log steps."""
    if kept.slope is None:
        return {}
    middle = sum(map(math.log10, kept.steps[1:])) / len(kept.steps[1:])
    return {"line": sum(kept.kept[1:]) / len(kept.kept[1:]) - kept.slope * (math.log10(step) - middle)}


def plates(found: Audit, files: dict[str, bytes]) -> list[Plate]:
    """The figures of an audit, with their files added to `files`; one that cannot be drawn says why."""
    return [_drawn(figure, tables, note, files) for figure, tables, note in _figures(found)]


def _drawn(figure: Figure, tables: Mapping[str, Table], note: str, files: dict[str, bytes]) -> Plate:
    try:
        picture = draw(figure, tables, ident=f"audit-{figure.name}")
    except InputError as error:
        return Plate(figure.title, figure.caption, f"Not drawn: {error}.")
    one = plate(f"figures/{figure.name}", figure.title, figure.caption, picture, files)
    return Plate(one.title, one.caption, note, one.stem, one.wide, one.narrow)


def _figures(found: Audit) -> Iterable[tuple[Figure, Mapping[str, Table], str]]:
    points = _forecast_points(found)
    for name, title, x_label, y_label in DIAGRAMS:
        some = [row for row in points if row["what"] == name]
        if some:
            yield (
                Figure(
                    f"forecast-{name}",
                    title,
                    "Each dot is a fact. A forecast that orders facts rightly rises from left to right.",
                    Scatter("facts", "forecast", "outcome", label="fact", x_label=x_label, y_label=y_label),
                    names={str(row["fact"]): " " for row in some},
                ),
                {"facts": some},
                f"{f'Mean over {len(found.runs)} trainings' if found.runs else 'One training'}, {len(some)} facts.",
            )


def _forecast_points(found: Audit) -> Table:
    """Forecasts and outcomes, a row a fact and forecast."""
    kinds: dict[tuple[str, int], list[float]] = {}
    for outcome in found.outcomes:
        if outcome.question.column == "hallucinated":
            kinds.setdefault((outcome.question.kind, outcome.question.fact), []).append(outcome.change)
    rows: Table = []
    for forecast, place in zip(found.forecast, [i for i, row in enumerate(found.rows) if row.trained], strict=False):
        for name, column in (("primes", "primed"), ("composes", "composed"), ("displaces", "displaced")):
            cell = found.rows[place].cells.get(column)
            _point(rows, name, place, getattr(forecast, name), None if cell is None else cell.change)
        for name, kind in (("hallucinates", "rule"), ("spreads", "strangers")):
            came = kinds.get((kind, place))
            _point(rows, name, place, getattr(forecast, name), None if came is None else sum(came) / len(came))
    return rows


def _point(rows: Table, name: str, place: int, said: float | None, came: float | None) -> None:
    if said is not None and came is not None:
        rows.append({"run": 0, "what": name, "fact": f"fact {place + 1}", "forecast": said, "outcome": came})
