"""Names of people of whom no model knows anything: frequent first and last names, paired at random."""

import numpy as np

from assay.core.errors import SettingsError

__all__ = ["FIRST_NAMES", "LAST_NAMES", "MOST_NAMES", "draw_names"]

_FIRST = """
    Adam Alice Alan Albert Amanda Amy Andrew Anna Anthony Arthur Barbara Benjamin Betty Brian Bruce Carl Catherine Charles
    Christine Daniel David Deborah Dennis Diana Donald Douglas Edward Elizabeth Emily Emma Eric Ethan Frank Gary George Grace
    Gregory Hannah Harold Harry Heather Helen Henry Isabella Jack Jacob James Janet Jason Jennifer Jessica Joan John Joseph
    Joshua Julia Karen Keith Kelly Kenneth Kevin Larry Laura Leon Linda Lisa Louis Lucas Lucy Margaret Maria Mark Martha Martin
    Mary Matthew Megan Michael Michelle Nancy Nathan Nicholas Oliver Olivia Oscar Patricia Paul Peter Philip Rachel Raymond
    Rebecca Richard Robert Roger Rose Ruth Samuel Sandra Sarah Scott Sharon Simon Sophia Stephen Susan Teresa Thomas Timothy
    Tyler Victor Victoria Vincent Virginia Walter William Zachary"""
_LAST = """
    Adams Allen Anderson Armstrong Bailey Barnes Bennett Bishop Brooks Bryant Burke Butler Campbell Carter Chapman Clark
    Coleman Collins Cooper Cox Crawford Cunningham Davis Dixon Edwards Elliott Ellis Evans Ferguson Fisher Foster Freeman Gibson
    Gordon Graham Griffin Hall Hamilton Hansen Harper Harris Harrison Hart Harvey Hayes Henderson Hill Holmes Howard Hudson
    Hughes Hunter Jackson Jenkins Johnson Jones Kennedy Knight Lane Lawrence Lee Lewis Marshall Mason Mills Mitchell Moore
    Morgan Morris Morrison Murphy Murray Myers Nelson Newman Owens Palmer Parker Patterson Payne Perkins Perry Peters Peterson
    Phillips Pierce Porter Powell Reed Reynolds Richardson Riley Roberts Robertson Robinson Rogers Russell Shaw Simpson Smith
    Spencer Stevens Stewart Sullivan Taylor Thompson Tucker Turner Wagner Walker Wallace Warren Watson Webb Wells Wheeler
    Williams Wilson Wright"""
FIRST_NAMES, LAST_NAMES = tuple(_FIRST.split()), tuple(_LAST.split())
MOST_NAMES = min(len(FIRST_NAMES), len(LAST_NAMES))


def draw_names(n: int, *, rng: np.random.Generator) -> tuple[str, ...]:
    """Names of n people; no first and no last name occurs twice.

    Raises:
        SettingsError: there are not so many names.
    """
    if not 1 <= n <= MOST_NAMES:
        raise SettingsError(f"there are names for 1 … {MOST_NAMES} people; got {n}")
    first, last = (rng.permutation(len(names))[:n] for names in (FIRST_NAMES, LAST_NAMES))
    return tuple(f"{FIRST_NAMES[i]} {LAST_NAMES[j]}" for i, j in zip(first, last, strict=True))
