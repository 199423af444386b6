"""What a shell offers behind the names of options: studies, experiments, presets, models, recipes, mitigations.

Nothing heavy is loaded and nothing is ever printed: a completion that fails offers nothing.
"""

from collections.abc import Callable, Iterable

import typer

__all__ = [
    "METHOD_NAMES",
    "MITIGATION_NAMES",
    "PAIR_MITIGATION_NAMES",
    "RECIPE_NAMES",
    "experiments_named",
    "mitigations_named",
    "models_named",
    "one_of",
    "studies_named",
]

# Written down, for the modules that define them load torch; a test holds that they are the same.
RECIPE_NAMES = ("full", "lora", "mlp", "attention")
MITIGATION_NAMES = (
    "enough", "ignore-top-k", "stepping-stones", "paraphrases", "replay", "kl-anchor", "counter-examples", "facts-first",
    "conclusions-first", "lora-4", "lora-16", "early-stop",
)  # fmt: skip
PAIR_MITIGATION_NAMES = ("filter-ches", "random-subset", "nll", "dpop")
METHOD_NAMES = ("dpo", "ipo", "hinge", "simpo", "dpo+nll", "dpop")


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def studies_named(incomplete: str) -> list[str]:
    """Slugs that begin so."""
    try:
        from assay.runner.listing import listing

        return _beginning((line.study for line in listing()[0]), incomplete)
    except Exception:
        return []


def experiments_named(ctx: typer.Context, incomplete: str) -> list[str]:
    """Experiments that begin so: of the study that the line names already, else of all."""
    try:
        from assay.runner.listing import listing

        # A line that ends with an option without its value is not parsed to the end: what it names is left over.
        named = ctx.params.get("study") or next(iter(ctx.args), None)
        found = [line.experiments.split(", ") for line in listing()[0] if named in (None, line.study)]
        return _beginning(dict.fromkeys(name for names in found for name in names), incomplete)
    except Exception:
        return []


def models_named(incomplete: str) -> list[str]:
    """Models of the cache, and those that can be added, that begin so."""
    try:
        from assay.models.pretrained.cache import listed
        from assay.models.pretrained.registry import ENTRIES

        return _beginning(dict.fromkeys([*(model.name for model in listed()), *ENTRIES]), incomplete)
    except Exception:
        return []


def mitigations_named(incomplete: str) -> list[str]:
    """Mitigations, of facts and of preferences, that begin so, behind those that are named already."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(("all", *MITIGATION_NAMES, *PAIR_MITIGATION_NAMES), last)]


def one_of(*names: str) -> Callable[[str], list[str]]:
    """A completion of fixed names."""

    def found(incomplete: str) -> list[str]:
        return _beginning(names, incomplete)

    return found
