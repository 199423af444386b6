"""A room whose name is also a verb of the Python API: `assay.studies()`, `assay.report(...)`, `assay.audit(...)`.

    sys.modules[__name__].__class__ = Verb

A room imports nothing from the rooms above it, and the verbs live in the highest; so this is the one door upwards, by name.
"""

import importlib
from types import ModuleType
from typing import Any

__all__ = ["Verb"]


class Verb(ModuleType):
    """A package that can be called: the call is that of the function of its name in `assay.api`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What that function returns."""
        room, _, name = self.__name__.rpartition(".")
        return getattr(importlib.import_module(f"{room}.api"), name)(*arguments, **options)
