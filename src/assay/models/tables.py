"""A language model small enough to be a table: laws of the next token behind every short prefix, exact laws of whole texts.

    table = Table.of_logits([first, second], stop=2)   # [1, 3] and [3, 3]: at most two of three tokens, of which 2 ends a text
    tilted = table.tilted(reward, beta=0.5)            # the best policy under reward - beta KL, again a table
    table.texts.tokens, table.law(), tilted.law(), tilted.divergence(table)

Everything is enumerated, so nothing is approximate: the probability of a text, a divergence between tables, the optimum under a
reward on whole texts, and the value of each prefix on the way to it. Tables may have any axes in front (prompts, runs).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Floats
from assay.core.errors import SettingsError

__all__ = ["MOST_TEXTS", "NOTHING", "Table", "Texts", "texts_of"]

MOST_TEXTS = 65_536
NOTHING = -1  # stands behind the end of a text


@dataclass(frozen=True, eq=False)
class Texts:
    """All texts of a vocabulary: those that a stop token ended, and those that reached the most tokens.

    Attributes:
        tokens: of every text; behind its end -1.
        n_tokens: how many there are.
        prefix: the number of the prefix before each token: its tokens as digits of a number. Behind the end 0.
    """

    tokens: Int[np.ndarray, "text place"]
    n_tokens: Int[np.ndarray, " text"]
    prefix: Int[np.ndarray, "text place"]

    def ended_at(self, place: int) -> tuple[Int[np.ndarray, " ended"], Int[np.ndarray, " ended"], Int[np.ndarray, " ended"]]:
        """The texts whose last token stands at this place, with the prefix before it and that token."""
        which = np.flatnonzero(self.n_tokens == place + 1)
        return which, self.prefix[which, place], self.tokens[which, place]


@lru_cache(maxsize=16)
def texts_of(vocab_size: int, n_places: int, stop: int | None = None) -> Texts:
    """All texts of at most `n_places` tokens, in the order of their tokens.

    Raises:
        SettingsError: there are no tokens or places, more than 65,536 sequences, or the stop token is not in the vocabulary.
    """
    if vocab_size < 1 or n_places < 1 or vocab_size**n_places > MOST_TEXTS:
        raise SettingsError(
            f"a table needs a token and a place at least, and at most {MOST_TEXTS:,} sequences; got {vocab_size} tokens and "
            f"{n_places} places. Take fewer"
        )
    if stop is not None and not 0 <= stop < vocab_size:
        raise SettingsError(f"the token that ends a text must be one of {vocab_size}; got {stop}")
    tokens = np.indices((vocab_size,) * n_places).reshape(n_places, -1).T.copy()
    if stop is not None:
        tokens[((tokens == stop).cumsum(1) - (tokens == stop)) > 0] = NOTHING
        tokens = tokens[np.sort(np.unique(tokens, axis=0, return_index=True)[1])]
    there = tokens != NOTHING
    prefix = np.zeros_like(tokens)
    for place in range(1, n_places):
        prefix[:, place] = np.where(there[:, place], prefix[:, place - 1] * vocab_size + tokens[:, place - 1], 0)
    for array in (tokens, prefix):
        array.flags.writeable = False  # they are shared by whoever asks
    return Texts(tokens, there.sum(1), prefix)


@dataclass(frozen=True, eq=False)
class Table:
    """Log-probabilities of the next token behind every prefix; `of_logits` normalises.

    Attributes:
        levels: for each place [..., prefix, token], in nats: vocab_size**place prefixes, numbered by their tokens as digits.
            Those with a stop token in them are never reached, and what stands there does not matter.
        stop: the token that ends a text; None where every text has all places.

    Raises:
        SettingsError: a level has another shape, a law does not sum to 1, or there are more than 65,536 sequences.
    """

    levels: tuple[Floats, ...]
    stop: int | None = None

    def __post_init__(self) -> None:
        vocab_size, lead = self.levels[0].shape[-1], self.levels[0].shape[:-2]
        for place, level in enumerate(self.levels):
            if level.shape != (*lead, vocab_size**place, vocab_size):
                raise SettingsError(
                    f"level {place} of a table must be {[*lead, vocab_size**place, vocab_size]} (prefixes, tokens); got "
                    f"{list(level.shape)}"
                )
            if not np.allclose(np.exp(level).sum(-1), 1):
                raise SettingsError(f"the laws of a table must sum to 1; those of level {place} do not. Use Table.of_logits")
        texts_of(vocab_size, len(self.levels), self.stop)

    @classmethod
    def of_logits(cls, levels: Sequence[Floats], stop: int | None = None) -> "Table":
        """The table with these logits, which may be -inf for what cannot come next."""
        return cls(tuple(level - np.logaddexp.reduce(level, axis=-1, keepdims=True) for level in levels), stop)

    @property
    def vocab_size(self) -> int:
        """Different tokens, the stop token included."""
        return int(self.levels[0].shape[-1])

    @property
    def texts(self) -> Texts:
        """All its texts, in the order of its laws."""
        return texts_of(self.vocab_size, len(self.levels), self.stop)

    def log_law(self) -> Float[np.ndarray, "*lead text"]:
        """The log-probability of every text, in nats."""
        texts = self.texts
        found = np.zeros((*self.levels[0].shape[:-2], len(texts.tokens)))
        for place, level in enumerate(self.levels):
            there = texts.n_tokens > place
            found[..., there] += level[..., texts.prefix[there, place], texts.tokens[there, place]]
        return found

    def law(self) -> Float[np.ndarray, "*lead text"]:
        """The probability of every text; sums to 1."""
        return np.asarray(np.exp(self.log_law()))

    def divergence(self, other: "Table") -> Float[np.ndarray, "*lead"]:
        """KL(this || other) between the laws of whole texts, in nats; infinite where the other leaves out what this says."""
        own, others = self.log_law(), other.log_law()
        said = own > -np.inf
        gap = np.where(said, own, 0.0) - np.where(said, others, 0.0)
        return np.asarray((np.exp(own) * gap).sum(-1))

    def tilted(self, reward: Float[np.ndarray, "*lead text"], beta: float) -> "Table":
        """The table whose law is proportional to law · exp(reward / beta): the one optimum of reward - beta KL(· || this).

        By dynamic programming over prefixes: a token's log-probability rises by what it adds to the soft value, over beta.

        Args:
            reward: of every text, in the order of `texts`.
            beta: nats are worth this much reward.

        Raises:
            SettingsError: beta is not positive, or there is not one finite reward a text.
        """
        after, values = self._valued(reward, beta)
        levels = zip(self.levels, after, values, strict=True)
        return Table.of_logits([level + (then - now[..., None]) / beta for level, then, now in levels], self.stop)

    def soft_values(self, reward: Float[np.ndarray, "*lead text"], beta: float) -> tuple[Floats, ...]:
        """beta log of the mean of exp(reward / beta) over what may follow each prefix, [..., prefix] for each place.

        That of the empty prefix is the value of the optimum: its mean reward less beta times its divergence.

        Raises:
            SettingsError: as for `tilted`.
        """
        return self._valued(reward, beta)[1]

    def _valued(self, reward: Floats, beta: float) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """The soft values behind each token of each place, and before it."""
        texts = self.texts
        if not beta > 0:
            raise SettingsError(f"beta must be positive; got {beta}")
        if reward.shape[-1:] != (len(texts.tokens),) or not np.isfinite(reward).all():
            raise SettingsError(
                f"a reward must be finite, one for each of {len(texts.tokens)} texts; got an array of shape {reward.shape}"
            )
        lead = np.broadcast_shapes(reward.shape[:-1], self.levels[0].shape[:-2])
        after: list[Floats] = []
        values: list[Floats] = []
        for place in reversed(range(len(self.levels))):
            then = np.zeros((*lead, *self.levels[place].shape[-2:]))
            if values:
                then += values[0].reshape(then.shape)
            which, prefix, token = texts.ended_at(place)
            then[..., prefix, token] = reward[..., which]
            after.insert(0, then)
            values.insert(0, beta * np.logaddexp.reduce(self.levels[place] + then / beta, axis=-1))
        return tuple(after), tuple(values)
