"""The transformers library, loaded where it is first needed, and kept quiet."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from assay.core.errors import MissingExtra

__all__ = ["optional", "quiet"]


def optional(package: str, purpose: str) -> Any:
    """The package of that name.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtra(error.name or package, "lm", purpose) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Inside the block transformers prints neither progress bars nor advice; errors are raised as ever."""
    logging = optional("transformers.utils.logging", "a pretrained language model")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # one library calling another in a way that will go away
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
