"""The options that say how a file of facts is read, for every command that reads one."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.core.errors import UsageError

if TYPE_CHECKING:
    from assay.worlds.facts.model import Facts

__all__ = ["CHAT_OPTION", "JOINT_OPTION", "PROMPT_OPTION", "SUITE_OPTION", "TEXTS_OPTION", "facts_of", "prompts_of"]

PROMPT_OPTION = typer.Option(
    None, "--prompt", metavar='NAME="…"', help="How a relation is asked that the file does not say; may be repeated."
)
JOINT_OPTION = typer.Option(
    None, "--joint", metavar="TEXT", help="What stands between a row's prompt and completion where neither has a blank."
)
CHAT_OPTION = typer.Option(
    None, "--chat-template", metavar="none|model", help="How rows of chats are rendered. [default: the model's template]"
)
SUITE_OPTION = typer.Option(
    None, "--suite", metavar="FILE", help="Facts to keep, in any form of a facts file, instead of those of Assay."
)
TEXTS_OPTION = typer.Option(
    None, "--texts", metavar="FILE", help="Plain sentences to measure, one a line, instead of those of Assay."
)


def prompts_of(options: list[str] | None) -> dict[str, str]:
    """Relations' sentences by name, from NAME=TEXT.

    Raises:
        UsageError: an option is not of that form.
    """
    found = {}
    for option in options or ():
        name, sign, text = option.partition("=")
        if not sign or not name.strip() or not text.strip():
            raise UsageError(f"--prompt must be NAME=TEXT, e.g. home='{{subject}} lives in'; got '{option[:60]}'. Write both")
        found[name.strip()] = text
    return found


def facts_of(
    file: Path, prompts: list[str] | None, joint: str | None, suite: Path | None = None, texts: Path | None = None
) -> "Facts":
    """The facts of a file, with the facts to keep and the plain sentences of others, where they are named.

    Raises:
        InputError: a file cannot be read, or says something that cannot be meant.
        UsageError: an option is not of its form.
    """
    from assay.api.language_models import read_facts_with

    return read_facts_with(file, prompts_of(prompts), joint, suite, texts)
