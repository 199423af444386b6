"""Which studies there are: files and folders of `assay.studies`, and the entry points other packages declare.

A study in the tree is found by its folder inside a wing: `studies/knowledge/out_of_context_reasoning` defines `STUDY` with the
slug `out-of-context-reasoning`. A study of another package is declared in that package's metadata:

    [project.entry-points."assay.studies"]
    my-study = "my_package.my_study:STUDY"

What cannot be loaded is reported in `Catalogue.broken` and skipped; asking for it by name says why.
"""

import functools
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.errors import InputError, UsageError, unknown_name
from assay.runner.plugins import load_plugin, package_of
from assay.runner.study_files import is_path, study_at

if TYPE_CHECKING:  # loading the words of a study loads NumPy, which whoever only asks what is there can do without
    from assay.claims.study import Experiment, Study

__all__ = ["GROUP", "Address", "Catalogue", "address_of", "find", "has_plugins", "modules_of", "studies", "wing_of", "wings"]

GROUP = "assay.studies"


@dataclass(frozen=True)
class Catalogue:
    """All studies that can be run.

    Attributes:
        studies: by slug, in alphabetical order.
        origins: where each slug comes from: "assay", or the name of the package that brought it.
        broken: why a study that is there cannot be used, by its slug.
    """

    studies: "Mapping[str, Study]"
    origins: Mapping[str, str]
    broken: Mapping[str, str]

    def find(self, slug: str) -> "Study":
        """The study called `slug`.

        Raises:
            UsageError: there is none; the message names the nearest.
            InputError: it is there and cannot be loaded.
        """
        if slug in self.studies:
            return self.studies[slug]
        if slug in self.broken:
            raise InputError(f"the study '{slug}' must load; {self.broken[slug]}. Mend or uninstall it")
        see = f"'assay list' shows all {len(self.studies)}"
        raise UsageError(unknown_name("study", slug, self.studies, see=see))


@dataclass(frozen=True)
class Address:
    """Where another process finds a study: an attribute of an importable module."""

    module: str
    attribute: str

    def load(self) -> "Study":
        """The study at this address."""
        from assay.claims.study import Study

        study = getattr(importlib.import_module(self.module), self.attribute)
        if not isinstance(study, Study):
            raise InputError(f"{self.module}.{self.attribute} must be a Study; it is a {type(study).__name__}")
        return study


@functools.cache
def studies() -> Catalogue:
    """Every study that is installed. Loads the studies' modules; looks once per process."""
    found: dict[str, Study] = {}
    origins: dict[str, str] = {}
    broken: dict[str, str] = {}
    candidates = [*_in_tree(), *_installed()]
    twins = _in_two_wings()
    for slug, origin, load in candidates:
        rivals = sorted(who for name, who, _ in candidates if name == slug)
        if len(rivals) > 1 and origin != "assay":  # no package may take another's name, or one of the tree
            name = f"{slug} ({origin})" if "assay" in rivals else slug
            broken[name] = f"declared by {' and '.join(rivals)}; uninstall one"
            continue
        if slug in twins:
            broken[slug] = twins[slug]
            continue
        try:
            found[slug] = _checked(load(), slug)
            origins[slug] = origin
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # code of others: a SystemExit at import must not take the command down either
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            broken[slug] = f"{origin}: {kind}{error}"
    return Catalogue(dict(sorted(found.items())), origins, dict(sorted(broken.items())))


def find(slug: str) -> "Study":
    """The study called `slug`, or the one that a file or folder defines; loads no other study when that one is in the tree.

    A text is a path where it ends in `.py` or holds a slash. Raises as `Catalogue.find`.
    """
    if is_path(slug):
        return study_at(Path(slug), taken=_slugs())
    for name, _, load in _in_tree():
        if name == slug and slug not in _in_two_wings():
            try:
                return _checked(load(), slug)
            except Exception:
                break  # the catalogue reports it
    return studies().find(slug)


def _slugs() -> set[str]:
    """The slugs that are taken, as far as names alone say."""
    return {name for name, _, _ in _in_tree()} | {point.name for point in entry_points(group=GROUP)}


def wings() -> list[str]:
    """The names of the folders by subject that hold the studies of the tree, in alphabetical order."""
    return [name.rpartition(".")[2] for name in _modules_below("assay.studies")]


def wing_of(slug: str) -> str:
    """The wing in which the study called so stands; empty for one of another package."""
    name = slug.replace("-", "_")
    return next((wing for wing in wings() if f"assay.studies.{wing}.{name}" in _modules_below(f"assay.studies.{wing}")), "")


def has_plugins() -> bool:
    """True if another package declares a study."""
    return bool(entry_points(group=GROUP))


def _in_tree() -> list[tuple[str, str, "functools.partial[object]"]]:
    modules = [module for wing in wings() for module in _modules_below(f"assay.studies.{wing}")]
    return [(module.rpartition(".")[2].replace("_", "-"), "assay", functools.partial(_attribute, module)) for module in modules]


def _in_two_wings() -> dict[str, str]:
    """Why a slug that stands in more than one wing cannot be used, by slug."""
    folders: dict[str, list[str]] = {}
    for wing in wings():
        for module in _modules_below(f"assay.studies.{wing}"):
            folders.setdefault(module.rpartition(".")[2].replace("_", "-"), []).append(wing)
    return {
        slug: f"a slug must stand in one wing; it stands in {' and '.join(found)}. Rename one"
        for slug, found in folders.items()
        if len(found) > 1
    }


def _modules_below(package: str) -> list[str]:
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(f"{package}.{module.name}" for module in found if not module.name.startswith("_"))


def _installed() -> list[tuple[str, str, "functools.partial[object]"]]:
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return [(point.name, package_of(point), functools.partial(load_plugin, point)) for point in points]


def _attribute(module: str) -> object:
    """The STUDY of a module of the tree.

    Raises:
        InputError: the module has none, or its folder lacks `claims.py`, where a study of the tree declares.
    """
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if not (Path(folder) / "claims.py").is_file() and not (Path(folder) / "claims").is_dir():
            raise InputError(
                f"a study of the tree must declare its claims and estimands in claims.py; {module} has none. Add it beside "
                "__init__.py (a plug-in's study may be one file)"
            )
    loaded = importlib.import_module(module)
    if not hasattr(loaded, "STUDY"):
        raise InputError(f"a study's module must define STUDY; {module} does not")
    return loaded.STUDY


def _checked(study: object, slug: str) -> "Study":
    from assay.claims.study import Study

    if not isinstance(study, Study):
        raise InputError(f"STUDY must be an assay.claims.study.Study; it is a {type(study).__name__}")
    if study.slug != slug:
        raise InputError(f"a study's slug must be the name it is found by; found as '{slug}', its slug is '{study.slug}'")
    return study


def modules_of(experiment: "Experiment") -> list[str]:
    """The modules that define what an experiment computes; of a partial function also those of its function arguments."""
    waiting: list[object] = [experiment.measure, experiment.measure_many, experiment.check, experiment.measure_nulls]
    names = set[str]()
    while waiting:
        function = waiting.pop()
        if isinstance(function, str):  # "module:function"
            names.add(function.partition(":")[0])
        elif isinstance(function, functools.partial):
            waiting += [function.func, *function.args, *function.keywords.values()]
        elif callable(function):
            names.add(str(getattr(function, "__module__", None) or type(function).__module__))
    return sorted(names)


def address_of(study: "Study") -> Address:
    """Where the study can be imported from, found through the module of its code.

    Raises:
        InputError: no module holds it, so that another process could not find it.
    """
    for experiment in study.experiments:
        for name in modules_of(experiment):
            while name:
                for attribute, value in vars(sys.modules[name]).items() if name in sys.modules else ():
                    if value is study:
                        return Address(name, attribute)
                name = name.rpartition(".")[0]
    raise InputError(
        f"to be run in other processes, '{study.slug}' must be an attribute (STUDY) of the module, or of a package above it, "
        "that defines its measure; it is not. Run it with --on local"
    )
