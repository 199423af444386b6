"""Which version of a study's code made a row; a row with another fingerprint than today's is stale: shown, never pooled."""

import functools
from collections.abc import Iterable, Iterator

from assay.claims.study import Experiment, Study
from assay.core.errors import SettingsError
from assay.core.settings import canonical_json, digest
from assay.store.sources import source_digest, symbols_of

__all__ = ["fingerprint", "symbols", "why_stale"]

SEEDS = "assay.core.seeds:Seeds"  # what every measure is given, whether or not it says so


def fingerprint(study: Study, experiment: str, part: str = "") -> str:
    """Sixteen hexadecimal digits over the study's version and the code that computes the experiment's numbers.

    The code is what `measure` and the methods of its settings reach by name (see `assay.store.sources`), with the values that
    are bound to a partial `measure`. The same in every checkout; computed once per process.

    Args:
        study: the study.
        experiment: the name of one of its experiments.
        part: "" for its runs, "exact" for its exact checks, "nulls" for its null arms.
    """
    found = study.experiment(experiment)
    bound = [value for function in _functions(found, part) for value in _bound(function)]
    return digest([study.version, source_digest(symbols(found, part)), bound])


def why_stale(study: Study, versions: Iterable[int]) -> str:
    """Why stored runs that these versions of the study made are stale: "made by other code", or which version made them."""
    older = sorted(set(versions) - {study.version})
    if not older:
        return "made by other code"
    named = " and ".join(map(str, older))
    return f"made by version{'s' if len(older) > 1 else ''} {named} of the study, which is now {study.version}"


def symbols(experiment: Experiment, part: str = "") -> list[str]:
    """The functions and classes that the fingerprint starts from, as "module:name"."""
    found = {SEEDS}
    for function in _functions(experiment, part):
        if isinstance(function, str):
            found.add(function)
        elif function is not None:
            found |= set(symbols_of(function))
    for preset in experiment.presets.values():
        found |= set(symbols_of(type(preset.settings)))
    return sorted(found)


def _functions(experiment: Experiment, part: str) -> tuple[object, ...]:
    parts = {"exact": (experiment.check,), "nulls": (experiment.measure_nulls,)}
    return parts.get(part, (experiment.measure, experiment.measure_many))


def _bound(function: object) -> Iterator[str]:
    """The plain values among the arguments of a partial function; functions among them are symbols."""
    if isinstance(function, functools.partial):
        yield from _bound(function.func)
        for name, value in [*enumerate(function.args), *sorted(function.keywords.items())]:
            if callable(value):
                yield from _bound(value)
                continue
            try:
                yield f"{name}={canonical_json(value)}"
            except SettingsError:  # no plain value; its class is a symbol
                continue
