"""The numbers by which editing methods are usually compared, before and after.

Of every edit, a fact with the answer that it `replaces`, as Meng et al. 2022 define them (arXiv:2202.05262, section 3.2):

    efficacy success        the share of edits whose new answer is likelier than the old one, in the sentence that is edited
    paraphrase success      the same in its paraphrases
    neighbourhood success   the share of prompts that must survive whose own answer is likelier than the edit's new answer

and their harmonic mean, the score. Probabilities are of whole answers; prompts are averaged within an edit, then over edits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.audit.probes import Probe
from assay.worlds.facts.questions import Answers

__all__ = ["BENCHMARKS", "Benchmark", "benchmarks"]

BENCHMARKS = ("efficacy success", "paraphrase success", "neighbourhood success")
SCORE = "score"


@dataclass(frozen=True)
class Benchmark:
    """One of these numbers.

    Attributes:
        name: of `BENCHMARKS`, or `score`.
        before, after: its value for the model before and after, in [0, 1].
        n: edits behind it.
    """

    name: str
    before: float
    after: float
    n: int


def benchmarks(before: Answers, after: Answers) -> tuple[Benchmark, ...]:
    """The numbers of a file that has edits, as far as it asks for them; none where it has no edit."""
    asked = [question for question in before.questions if isinstance(question, Probe)]
    edits = {probe.fact for probe in asked if probe.rival and probe.column in ("learned", "paraphrase")}
    places: dict[str, dict[int, list[int]]] = {name: {} for name in BENCHMARKS}
    for place, probe in enumerate(asked):
        name = _name(probe)
        if name is not None and probe.fact in edits:
            places[name].setdefault(probe.fact, []).append(place)
    found = [
        Benchmark(name, _success(before, by_edit), _success(after, by_edit), len(by_edit))
        for name, by_edit in places.items()
        if by_edit
    ]
    if len(found) == len(BENCHMARKS):
        was, now = ([getattr(one, side) for one in found] for side in ("before", "after"))
        found.append(Benchmark(SCORE, _harmonic(was), _harmonic(now), found[0].n))
    return tuple(found)


def _name(probe: Probe) -> str | None:
    if not probe.rival:
        return None
    if probe.kind == "sentence":
        return {"learned": BENCHMARKS[0], "paraphrase": BENCHMARKS[1]}.get(probe.column)
    return BENCHMARKS[2] if probe.column == "displaced" else None


def _success(answers: Answers, by_edit: dict[int, list[int]]) -> float:
    """How often the right answer is likelier than its rival: within every edit, then over edits."""
    return float(
        np.mean(
            [
                np.mean([answers.log_probs[place][0] > answers.log_probs[place][1] for place in places])
                for places in by_edit.values()
            ]
        )
    )


def _harmonic(values: Sequence[float]) -> float:
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0
