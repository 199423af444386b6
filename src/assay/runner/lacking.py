"""What a run does not give although its experiment's claims and figures ask for it: mostly a name that was misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches

from assay.claims.claim import names
from assay.claims.study import Experiment, Measurement

__all__ = ["lacks"]

_COLUMNS = ("x", "y", "by", "panel", "theory", "label", "row", "column", "value")


def lacks(experiment: Experiment, found: Measurement) -> list[str]:
    """Numbers that claims need, and tables and columns that figures draw, which are not there; each with the nearest name."""
    faults = []
    for claim in experiment.claims:
        place = found.items if claim.summary == "clustered" else found.estimands
        for needed in (claim.estimand, *(control.measured(claim.estimand) for control in claim.controls)):
            faults += [
                f"claim '{claim.name}' needs '{name}', which measure does not give{_near(name, place)}"
                for name in names(needed)
                if name not in place
            ]
    for figure in experiment.figures:
        rows = found.tables.get(figure.chart.table, ())
        if not rows:
            near = _near(figure.chart.table, found.tables)
            faults.append(f"figure '{figure.name}': its table '{figure.chart.table}' is empty or missing{near}")
        for column in filter(None, (getattr(figure.chart, name, None) for name in _COLUMNS)):
            if not all(column in row for row in rows):
                near = _near(column, {name for row in rows for name in row})
                faults.append(f"figure '{figure.name}': the column '{column}' is missing{near}")
    return faults


def _near(name: str, known: Iterable[str]) -> str:
    """The nearest name that is there, as a hint."""
    near = get_close_matches(name, [one for one in known if one != name], n=1, cutoff=0.8)
    return f"; did you mean '{near[0]}'?" if near else ""
