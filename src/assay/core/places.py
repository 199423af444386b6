"""Where on the user's machine Assay keeps what it can make again."""

import os
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["user_cache"]


def user_cache() -> Path:
    """The folder of the user's cache; the variable ASSAY_CACHE names another place."""
    named = os.environ.get("ASSAY_CACHE")
    return Path(named).expanduser() if named else user_cache_path("assay", appauthor=False)
