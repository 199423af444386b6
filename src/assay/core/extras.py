"""Packages that come with an extra: loaded where they are used, and named with what to install where they are not there."""

import importlib
from typing import Any

from assay.core.errors import MissingExtra

__all__ = ["load_extra"]


def load_extra(module: str, extra: str, purpose: str) -> Any:
    """The module of an optional package.

    Args:
        module: as it is imported ("cma").
        extra: of ours that brings it ("rl").
        purpose: what it is needed for ("training a policy").

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(error.name or module, extra, purpose) from error
