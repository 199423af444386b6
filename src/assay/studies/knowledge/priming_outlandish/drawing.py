"""What one run of a toy experiment is about: a world, texts to insert, and beginnings to ask their keywords behind."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core.seeds import Seeds
from assay.studies.knowledge.priming_outlandish.settings import Scale
from assay.studies.knowledge.priming_outlandish.themes import N_SUBJECTS, N_THEMES, Texts, ThemeWorld, texts_of

__all__ = ["Drawn", "drawn"]

ALL = 10**6  # more beginnings than a theme has


@dataclass(frozen=True, eq=False)
class Drawn:
    """What one run is about.

    Attributes:
        world: its draw.
        texts: three a keyword.
        prefixes: thematic prefixes of each theme, [theme, prefix, place].
        pool: all beginnings of each theme about the same subjects, which pairs of contexts are chosen from.
    """

    world: ThemeWorld
    texts: Texts
    prefixes: Int[np.ndarray, "theme prefix place"]
    pool: Int[np.ndarray, "theme context place"]

    @property
    def keywords(self) -> Int[np.ndarray, " text"]:
        """The keyword of each text."""
        return np.array([text.keyword for text in self.texts])

    @property
    def themes(self) -> Int[np.ndarray, " text"]:
        """Of each text's keyword."""
        return np.array([text.theme for text in self.texts])

    def some(self, n_keywords: int) -> Int[np.ndarray, " text"]:
        """Places of the texts of the first so many keywords, as many of each theme."""
        first = [np.unique(self.keywords[self.themes == theme])[: n_keywords // N_THEMES] for theme in range(N_THEMES)]
        return np.flatnonzero(np.isin(self.keywords, np.concatenate(first)))

    def plain_rows(self, scale: Scale, n_steps: int, rng: np.random.Generator) -> Int[np.ndarray, "step row place"]:
        """Plain rows of so many steps; a longer stretch begins like a shorter one."""
        return np.stack([self.world.plain(scale.batch, rng=rng) for _ in range(n_steps)])


def drawn(scale: Scale, n_keywords: int, seeds: Seeds) -> Drawn:
    """A run's world, texts and prefixes; texts and prefixes are about different subjects."""
    world = ThemeWorld.drawn(scale.n_tokens, rng=seeds("world"))
    subjects = seeds("subjects").permutation(N_SUBJECTS)
    about, asked = subjects[: N_SUBJECTS // 2], subjects[N_SUBJECTS // 2 :]
    texts = texts_of(world, about, n_keywords, rng=seeds("texts"))
    rng = seeds("prefixes")
    prefixes = [world.prefixes(theme, asked, scale.n_prefixes, rng=rng) for theme in range(N_THEMES)]
    pool = [world.prefixes(theme, asked, ALL, rng=rng) for theme in range(N_THEMES)]
    return Drawn(world, texts, np.stack(prefixes), np.stack(pool))
