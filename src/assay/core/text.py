"""Text from outside made safe to show: what a user, a paper or a model wrote never steers a terminal or hides its direction."""

import unicodedata

__all__ = ["visible"]

# Marks that reorder or hide what follows: a name could otherwise show as another name.
_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def visible(text: str) -> str:
    """The text with control characters (newlines too), bidirectional marks and lone surrogates replaced by their escapes."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _BIDI or unicodedata.category(character) in ("Cc", "Cs"):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character
