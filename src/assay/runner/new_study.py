"""The file that `assay new` writes: a small study that runs, to be changed line by line."""

import keyword
import re
from importlib.resources import files

from assay.core.errors import UsageError
from assay.runner.discovery import find

__all__ = ["new_study", "slug_of"]


def slug_of(name: str) -> str:
    """The slug of a new study, from the name that its author gave.

    Raises:
        UsageError: it is no name of a file that Python can import, or another study has it.
    """
    slug = re.sub(r"[_\s]+", "-", name.removesuffix(".py").strip().lower())
    module = slug.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug) or keyword.iskeyword(module) or len(slug) > 60:
        raise UsageError(
            f"a study is named by letters, digits and single hyphens, beginning with a letter; got '{name}'. Try: assay new "
            "left-or-right"
        )
    try:
        find(slug)
    except UsageError:
        return slug
    raise UsageError(f"a new study needs a name of its own; '{slug}' is installed. Choose another")


def new_study(slug: str) -> str:
    """The text of the file."""
    text = files("assay.runner").joinpath("new_study.txt").read_text(encoding="utf-8")
    title = slug.replace("-", " ").capitalize()
    return text.replace("SLUG", slug).replace("NAME", title).replace("FILE", f"{slug.replace('-', '_')}.py")
