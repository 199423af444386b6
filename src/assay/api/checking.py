"""Whether a study is fit to be judged, and how many more runs its open claims need."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.api.running import Place, opened
from assay.api.running import study as named
from assay.claims.study import Study
from assay.core.progress import listening
from assay.core.seeds import Seeds
from assay.runner import power as planning
from assay.runner.check import NullOutcome, compute_nulls, null_outcomes, quick_faults, same_numbers, structure_faults
from assay.runner.plan import Selection
from assay.runner.run import Event, judge_stored
from assay.store.memo import memos_in

__all__ = ["Checked", "check", "power"]


@dataclass(frozen=True)
class Checked:
    """What is wrong with a study.

    Attributes:
        study: the study.
        faults: of its structure, its names and its numbers, one sentence each.
        nulls: what every claim says of every arm without the mechanism; empty where that was not asked.
    """

    study: Study
    faults: tuple[str, ...]
    nulls: tuple[NullOutcome, ...]

    @property
    def passes(self) -> bool:
        """Whether nothing is refused."""
        return not self.faults and not any(one.refused for one in self.nulls)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The outcomes of the null arms as plain rows."""
        return [dataclasses.asdict(one) | {"refused": one.refused} for one in self.nulls]


def check(
    study: str | Path | Study,
    *,
    nulls: bool = False,
    runs: int = 4,
    preset: str = "laptop",
    store: Place = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Checked:
    """What is wrong with a study: its structure, the names of one quick run; with `nulls` what passes without the mechanism.

    Args:
        study: a slug, the path of a file, or a `Study`.
        nulls: put the arms without the mechanism through every claim; their rows are stored.
        runs: of the null arms.
        preset: their scale.
        store: where rows are kept.
        on_event: told how far it is.

    Raises:
        UsageError: there is no such study.
        InputError: it cannot be loaded.
    """
    found = named(study)
    faults = structure_faults(found)
    with (
        opened(store, study=found.slug) as there,
        listening(lambda share, label: on_event(Event("progress", label, share, 1, None))),
    ):
        for experiment in found.experiments:
            if experiment.has_runs:
                with memos_in(there.folder / "memos"):
                    run = experiment.measure_run(
                        experiment.preset("quick").settings, Seeds(found.first_seed_of(experiment.name))
                    )
                faults += [f"experiment '{experiment.name}': {fault}" for fault in quick_faults(experiment, run)]
        selection, outcomes = Selection(found, preset=preset), list[NullOutcome]()
        if nulls:
            for cell in selection.cells:
                compute_nulls(found, there, cell, preset=preset, n_runs=runs)
            outcomes = null_outcomes(found, there, selection.cells)
        (judged,) = judge_stored(selection, there)
        faults += [
            f"one number, one claim: {fault}. Merge them, or say in related=..." for fault in same_numbers(found, judged.rows)
        ]
    return Checked(found, tuple(faults), tuple(outcomes))


def power(study: str | Path | Study, *, pilot: int = 4, most: int = 64, store: Place = None) -> list[planning.Planned]:
    """How many more runs each open claim needs, and how long they take.

    Args:
        study: a slug, the path of a file, or a `Study`.
        pilot: runs (seeds 901 on) of experiments of which nothing is stored, computed first; 0 computes nothing.
        most: the most runs that can be afforded for an experiment.
        store: where rows are kept.

    Raises:
        UsageError: there is no such study.
        StoreError: the store cannot be read or written.
    """
    found = named(study)
    with opened(store, study=found.slug) as there:
        return planning.planned(found, there, pilot=pilot, most=most)
