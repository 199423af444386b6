"""Generated short stories as rows of word ids: what Alice trains on. NumPy only."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SettingsError

__all__ = ["BEGIN", "SENTENCE", "StoryWorld"]

BEGIN = 0  # the token in front of every story
SENTENCE = 8  # words of a sentence
N_FUNCTION = 40
KINDS = ("name", "place", "thing", "verb", "trait")
SHARES = (0.3, 0.22, 0.22, 0.15, 0.11)  # of the content words
# What a place of a pattern holds: a function word, somebody or something of the whole story, or a word drawn for this sentence.
STORY_SLOTS = ("hero", "friend", "scene", "goal")
FRESH_SLOTS = ("thing", "verb", "trait")
SLOTS = (*STORY_SLOTS, *FRESH_SLOTS)
SLOT_KIND = {"hero": "name", "friend": "name", "scene": "place", "goal": "thing"} | {slot: slot for slot in FRESH_SLOTS}


@dataclass(frozen=True, eq=False)
class StoryWorld:
    """A grammar: patterns of sentences, and content words by kind with probabilities that fall off as one over their rank.

    Stories differ in how strange they are: each draws a share of its content words evenly instead, so that losses have a heavy
    tail, as those of real texts have.

    Attributes:
        n_words: size of the vocabulary, the beginning included.
        patterns: of a place the function word that stands there, or minus one minus the number of its slot.
        words: of each kind its word ids, the most frequent first.
    """

    n_words: int
    patterns: Int[np.ndarray, "pattern place"]
    words: tuple[Int[np.ndarray, " _word"], ...]

    @classmethod
    def drawn(cls, n_words: int, n_patterns: int, *, rng: np.random.Generator) -> "StoryWorld":
        """A world of that many words.

        Raises:
            SettingsError: there are too few words for every kind.
        """
        content = n_words - 1 - N_FUNCTION
        if content < 50 or n_patterns < 1:
            raise SettingsError(
                f"stories need n_words of at least {51 + N_FUNCTION} and a pattern; got {n_words}, {n_patterns}"
            )
        patterns = 1 + rng.integers(N_FUNCTION, size=(n_patterns, SENTENCE))
        for pattern in patterns:
            places = rng.choice(SENTENCE, size=int(rng.integers(3, 6)), replace=False)
            slots = [0 if rng.random() < 0.5 else int(rng.integers(len(SLOTS))) for _ in places]
            pattern[places] = [-1 - slot for slot in slots]
        ids = 1 + N_FUNCTION + rng.permutation(content)
        ends = np.round(np.cumsum(SHARES) * content).astype(int)
        return cls(n_words, patterns, tuple(np.split(ids, ends[:-1])))

    def stories(self, n: int, length: int, *, rng: np.random.Generator) -> Int[np.ndarray, "story place"]:
        """That many stories of `length` words, the beginning in front.

        Raises:
            SettingsError: length is no whole number of sentences.
        """
        if length < SENTENCE or length % SENTENCE:
            raise SettingsError(f"a story has whole sentences of {SENTENCE} words; got {length} words")
        sentences = length // SENTENCE
        chosen = self.patterns[rng.integers(len(self.patterns), size=(n, sentences))].reshape(n, length)
        strange = rng.beta(0.6, 2.0, size=(n, 1))
        words = np.where(chosen > 0, chosen, BEGIN)
        for slot, name in enumerate(SLOTS):
            ids = self.words[KINDS.index(SLOT_KIND[name])]
            n_drawn = length if name in FRESH_SLOTS else 1
            usual = rng.choice(len(ids), size=(n, n_drawn), p=falling(len(ids)))
            even = rng.integers(len(ids), size=(n, n_drawn))
            drawn = ids[np.where(rng.random((n, n_drawn)) < strange, even, usual)]
            words = np.where(chosen == -1 - slot, drawn, words)
        return np.concatenate([np.full((n, 1), BEGIN), words], axis=1)


def falling(n: int) -> Float[np.ndarray, " rank"]:
    """Probabilities that fall off as one over the rank."""
    weights = 1 / np.arange(1, n + 1)
    return np.asarray(weights / weights.sum())
