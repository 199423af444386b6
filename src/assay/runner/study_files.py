"""A study in a file or folder of the user's own, run where it lies: nothing is installed, nothing is registered.

The file is imported as Python would import it from its own folder, so that workers of `--on processes`, which are given the
same search path, find it too, and its functions have names that a fingerprint can follow.
"""

import importlib
import keyword
import os
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from assay.core.errors import AssayError, InputError
from assay.core.printing import prints_aside

if TYPE_CHECKING:
    from assay.claims.study import Study

__all__ = ["called", "is_path", "study_at"]

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
_places: dict[str, str] = {}  # slugs of studies that were loaded from a file, and the path as the user wrote it


def is_path(text: str) -> bool:
    """Whether a study is named by the place of its file and not by its slug, which has neither slash nor dot."""
    return text.endswith(".py") or any(separator in text for separator in _SEPARATORS)


def called(slug: str) -> str:
    """What a command must say to mean this study: the path that it was loaded from, or else its slug."""
    return _places.get(slug, slug)


def study_at(path: Path, *, taken: Collection[str] = ()) -> "Study":
    """The study (`STUDY`) of a Python file, or of a folder with `__init__.py`.

    Args:
        path: of the file or folder.
        taken: slugs of installed studies, which this one may not have unless it is the same module.

    Raises:
        InputError: there is no such file, it cannot be imported, or it defines no study of a free name.
    """
    from assay.claims.study import Study

    file = _file_of(path)
    module = _imported(file, path)
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        what = "no STUDY" if study is None else f"STUDY is a {type(study).__name__}"
        raise InputError(f"a study's file must define STUDY, an assay.claims.study.Study; {path}: {what}. See: assay new NAME")
    if study.slug in taken and not module.__name__.startswith("assay.studies."):
        raise InputError(
            f"a study of one's own must have a slug of its own, for rows are stored under it; {path}: '{study.slug}' is "
            "installed. Give it another slug"
        )
    _places[study.slug] = str(path)
    return study


def _file_of(path: Path) -> Path:
    """The Python file that defines the study."""
    try:
        whole = path.expanduser().resolve()
        file = whole / "__init__.py" if whole.is_dir() else whole
        there = file.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"a study must be a Python file or a folder with __init__.py; {path}: {error}") from error
    if not there or file.suffix != ".py":
        what = "there is no such file" if not whole.exists() else "it is neither"
        raise InputError(f"a study must be a Python file or a folder with __init__.py; {path}: {what}. See: assay new NAME")
    return file


def _imported(file: Path, path: Path) -> ModuleType:
    """The module of a file, imported by its name from the folder that its outermost package lies in."""
    root, parts = file.parent, [] if file.name == "__init__.py" else [file.stem]
    if file.name == "__init__.py":
        root, parts = file.parent.parent, [file.parent.name]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    for part in parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise InputError(
                f"a study's file must have a name that Python can import: letters, digits and underscores; got '{part}' "
                f"({path}). Rename it"
            )
    name = ".".join(parts)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        with prints_aside():
            module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a SystemExit at import is a fault of the file like any other
        raise InputError(f"a study's file must load; {path}: {_fault(error, file)}. Mend it") from error
    if Path(str(getattr(module, "__file__", ""))).resolve() != file:
        raise InputError(
            f"a study's file must have a name that no other module has; {path}: Python's '{name}' is another. Rename the file"
        )
    return module


def _fault(error: BaseException, file: Path) -> str:
    """Kind, message and line of an error at import."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    says = str(error) if isinstance(error, AssayError) else f"{type(error).__name__}: {error}"
    return f"{says} (line {lines[-1]})" if lines else says
