"""What a plan will cost, said before it is spent: runs, time and memory of each experiment at its settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.claims.study import Experiment, Study
from assay.core.settings import changes
from assay.runner.plan import Cell, Plan

__all__ = ["Estimate", "core_minutes", "estimates", "long_said", "minutes_text"]

LONG = 30.0  # minutes from which on a command says beforehand what takes them


@dataclass(frozen=True)
class Estimate:
    """The cost of one experiment at one settings value.

    Attributes:
        experiment: its name.
        settings: what differs from the preset's, as `--set` reads it; empty where nothing does.
        stored: runs that are there, of those asked for; `to_do` are the others.
        minutes: until they are done, with as many workers as were asked for; None where nothing is known.
        memory_gib: of one worker at its peak, as measured; None where it was not.
        rests_on: "stored runs", "the stated cost", "the stated cost, scaled to these settings", "the cost at the laptop's
            settings" or "nothing".
    """

    experiment: str
    settings: str
    stored: int
    to_do: int
    minutes: float | None
    memory_gib: float | None
    rests_on: str


def estimates(plan: Plan, workers: int) -> list[Estimate]:
    """The cost of each cell of a plan, with so many workers."""
    return [_estimate(cell, plan.preset, workers) for cell in plan.cells]


def _estimate(cell: Cell, preset: str, workers: int) -> Estimate:
    experiment, n = cell.experiment, len(cell.todo)
    seconds, rests_on = _seconds(cell, preset)
    together = max(1, min(workers, n))
    return Estimate(
        experiment=experiment.name,
        settings=", ".join(changes(experiment.preset(preset).settings, cell.settings)),
        stored=len(cell.done),
        to_do=n,
        minutes=0.0 if not n else None if seconds is None else n * seconds / together / 60,
        memory_gib=experiment.cost.memory if experiment.cost else None,
        rests_on=rests_on,
    )


def _seconds(cell: Cell, preset: str) -> tuple[float | None, str]:
    """Seconds of one core that a run takes, and what that rests on."""
    experiment = cell.experiment
    if cell.seconds_per_run is not None:
        return cell.seconds_per_run, "stored runs"
    if experiment.cost is None:
        return None, "nothing"
    laptop = experiment.presets["laptop"].settings
    if cell.settings == laptop:
        return experiment.seconds_of(cell.settings), "the stated cost"
    if experiment.cost.work is not None:
        return experiment.seconds_of(cell.settings), "the stated cost, scaled to these settings"
    if preset != "laptop":  # another scale altogether
        return None, "nothing"
    return experiment.seconds_per_run, "the cost at the laptop's settings"


def core_minutes(study: Study) -> float | None:
    """Minutes of one core that all laptop presets of a study take; None where one of them does not say."""
    stated = [_of_laptop(experiment) for experiment in study.experiments if experiment.has_runs]
    return None if None in stated else sum(minutes for minutes in stated if minutes is not None)


def _of_laptop(experiment: Experiment) -> float | None:
    return None if experiment.cost is None else experiment.cost.minutes * experiment.cost.cores


def minutes_text(minutes: float | None) -> str:
    """Such as "40 s", "3 min" or "1 h 20 min"; "unknown" for None."""
    if minutes is None:
        return "unknown"
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    whole = round(minutes)
    return f"{whole} min" if whole < 90 else f"{whole // 60} h {whole % 60} min"


def long_said(study: Study, found: Sequence[Estimate]) -> list[str]:
    """What a person should know before the first run: how long all of it takes, and which part takes most; nothing if short."""
    known = [(one.minutes, one) for one in found if one.minutes]
    total = sum(minutes for minutes, _ in known)
    if total < LONG:
        return []
    most, longest = max(known, key=lambda pair: pair[0])
    at = f" at {longest.settings}" if longest.settings else ""
    part = f", of which {longest.experiment}{at} takes {minutes_text(most)}" if len(known) > 1 else ""
    return [f"{study.slug}: about {minutes_text(total)} in all{part}. --dry-run says more, --experiment NAME runs one part"]
