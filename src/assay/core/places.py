"""Where on the user's machine Assay keeps runs, and what it can make again."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

__all__ = ["default_folder", "user_cache"]


def user_cache() -> Path:
    """The folder of the user's cache; the variable ASSAY_CACHE names another place."""
    named = os.environ.get("ASSAY_CACHE")
    return Path(named).expanduser() if named else user_cache_path("assay", appauthor=False)


def default_folder() -> Path:
    """The folder of the store that commands use: `$ASSAY_STORE`, else the user's data folder."""
    named = os.environ.get("ASSAY_STORE")
    return Path(named).expanduser() if named else user_data_path("assay")
