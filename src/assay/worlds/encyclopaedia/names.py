"""Invented words that names are made of."""

import numpy as np

from assay.core.errors import SettingsError

__all__ = ["invented"]

ONSETS = ("b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "br", "dr", "gr", "kr", "st", "tr")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("l", "n", "r", "s", "m", "k", "t", "nd", "rn", "lt")


def invented(n: int, taken: set[str], *, rng: np.random.Generator, endings: tuple[str, ...] = CODAS) -> list[str]:
    """So many capitalised words of two syllables that are not among `taken`, capitals aside; they are added to it.

    Args:
        n: how many.
        taken: words in small letters that must not occur.
        rng: where the words are drawn from.
        endings: what they end with.

    Raises:
        SettingsError: there are not so many.
    """
    most = len(ONSETS) * len(VOWELS) * len(ONSETS) * len(VOWELS) * len(endings)
    if n > most // 4:  # beyond that, drawing until a word is new takes long
        raise SettingsError(
            f"invented names have at most {most // 4} different pieces of one sort; got {n}. Ask for fewer entities"
        )
    found: list[str] = []
    while len(found) < n:
        drawn = (rng.choice(some) for some in (ONSETS, VOWELS, ONSETS, VOWELS, endings))
        word = "".join(str(part) for part in drawn)
        if word not in taken:
            taken.add(word)
            found.append(word.capitalize())
    return found
