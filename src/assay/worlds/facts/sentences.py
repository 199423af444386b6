"""Where a sentence is cut: what the model is given, what stands between, and what it is asked for."""

import re
import unicodedata
from typing import Literal

from assay.core.text import visible
from assay.worlds.facts.faults import refuse
from assay.worlds.facts.model import Template

__all__ = ["common_ending", "literal", "sentence", "spaceless", "touching"]

SPACELESS = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "IDEOGRAPHIC",
    "FULLWIDTH",
    "BOPOMOFO",
)
MARKS = re.compile(r"(?:\s*(?:<[^<>\s]{1,40}>|\[/?[A-Z]{2,12}\]))+\s*$")
STOPS = ".。!！?？"


def sentence(text: str, place: str, *, asked: Literal["subject", "object"] = "object", joint: str | None = None) -> Template:
    """The sentence cut where the asked name stands, or at its end; `[X]`, `[Y]`, `{}` and `__` are read as gaps too.

    Raises:
        Fault: it does not hold what is given, or what is asked more than once.
    """
    given: Literal["subject", "object"] = "subject" if asked == "object" else "object"
    text = _gaps(text, asked)
    if f"{{{given}}}" not in text:
        refuse(place, f"a sentence must hold {{{given}}}; got '{visible(text[:80])}'", "Put it where the name stands")
    before, gap, after = text.partition(f"{{{asked}}}")
    if f"{{{asked}}}" in after:
        refuse(place, f"a sentence must hold {{{asked}}} once; got '{visible(text[:80])}'", "Leave the others out")
    if not before.strip() and not gap:
        refuse(place, f"a sentence must not be empty; got '{visible(text[:80])}'", "Write it out")
    if not before.strip() and f"{{{given}}}" not in after:
        refuse(place, f"a sentence must begin before {{{asked}}}; got '{visible(text[:80])}'", "Put words in front of it")
    bare = before.rstrip(" ")
    blank = before[len(bare) :]
    if not gap and not blank:
        blank = _joint(bare, joint)
    return Template(bare, blank, after, given)


def literal(prompt: str, like: Template) -> Template:
    """A prompt to the letter, answered as another sentence is: with its joint, unless the prompt ends with a blank."""
    gap = "" if prompt[-1:].isspace() else like.gap
    return Template(prompt, gap, like.after if not like.given else "", "")


def touching(prompt: str, completion: str) -> bool:
    """Whether no blank stands between prompt and completion, in a script that has blanks between words."""
    if not prompt or not completion or prompt[-1].isspace() or completion[0].isspace():
        return False
    return not (spaceless(prompt[-1]) or spaceless(completion[0])) and not MARKS.search(prompt)


def spaceless(character: str) -> bool:
    """Whether the character is of a script, or a mark, that has no blank behind it."""
    return unicodedata.name(character, "").startswith(SPACELESS)


def common_ending(texts: list[str]) -> str:
    """The end markers (`<|im_end|>`, `</s>`) and full stop that all texts end with: no part of their answers."""
    found = MARKS.search(texts[0]) if texts else None
    marker = found.group() if found and all(text.endswith(found.group()) for text in texts) else ""
    rest = [text.removesuffix(marker) for text in texts]
    if len(rest) > 1 and len({text[-1:] for text in rest}) == 1 and rest[0][-1:] in STOPS and rest[0][-1:]:
        marker = rest[0][-1] + marker
    return "" if any(not text.removesuffix(marker).strip() for text in texts) else marker


def _gaps(text: str, asked: str) -> str:
    """The sentence with the gaps of other notations as {subject} and {object}."""
    if "{subject}" not in text:
        text = text.replace("[X]", "{subject}").replace("{}", "{subject}" if asked == "object" else "{object}")
    if "{object}" not in text:
        text = text.replace("[Y]", "{object}")
        if asked == "object":
            text = re.sub(r"_{2,}|\[MASK\]", "{object}", text, count=1)
    return text


def _joint(before: str, joint: str | None) -> str:
    if joint is not None:
        return joint
    return "" if before[-1:].isspace() or (before and spaceless(before[-1])) else " "
