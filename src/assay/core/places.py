"""Where on the user's machine Assay keeps runs, and what it can make again."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

__all__ = ["LOCAL", "default_folder", "local_folder", "user_cache"]

LOCAL = ".assay"  # a project's own store, found from every folder below it
MARK = "store.json"  # what a store's folder has in it


def user_cache() -> Path:
    """The folder of the user's cache; the variable ASSAY_CACHE names another place."""
    named = os.environ.get("ASSAY_CACHE")
    return Path(named).expanduser() if named else user_cache_path("assay", appauthor=False)


def default_folder() -> Path:
    """The folder of the store that commands use: `$ASSAY_STORE`, else the project's own, else the user's data folder."""
    named = os.environ.get("ASSAY_STORE")
    return Path(named).expanduser() if named else local_folder() or user_data_path("assay")


def local_folder() -> Path | None:
    """The store `.assay` of the working folder, or of the nearest folder above it that has one; None where none has."""
    try:
        here = Path.cwd()
    except OSError:  # the working folder was removed
        return None
    return next((folder / LOCAL for folder in (here, *here.parents) if (folder / LOCAL / MARK).is_file()), None)
