"""Item-label sequences: does the answer stand in the context, or must it be remembered?

x_1 l_1 ... x_N l_N x_q: N items, each followed by its label, then a query item whose label is asked. Classes are points in a
content space, items are noisy copies of them. What decides between looking it up and knowing it is how sequences are drawn:
burstiness, the number of classes, the noise inside a class, the skew of class frequencies, and brand-new classes.
Source: Reddy 2023, arXiv:2312.03002, section 2 and appendix A.
"""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import SettingsError

__all__ = ["FRESH", "ItemLabelSequences", "ItemLabelWorld"]

FRESH = 128  # new classes that one call draws from, as in the author's generator


@dataclass(frozen=True)
class ItemLabelSequences:
    """A batch of sequences with its truth.

    Attributes:
        content: items at even places, labels at odd ones, the query last.
        answers: the label that is right.
        item_labels: the label shown after each item.
        classes: the class of each item and of the query (last); fresh classes count from n_classes.
    """

    content: Float[np.ndarray, "batch pos d_content"]
    answers: Int[np.ndarray, " batch"]
    item_labels: Int[np.ndarray, "batch item"]
    classes: Int[np.ndarray, "batch item+1"]

    @property
    def matches(self) -> Bool[np.ndarray, "batch item"]:
        """Whether each item is of the query's class."""
        matches: np.ndarray = np.equal(self.classes[:, :-1], self.classes[:, -1:])
        return matches


@dataclass(frozen=True)
class ItemLabelWorld:
    """Classes, labels and how often each class occurs.

    Attributes:
        means: the centre of each class; class k has label k mod n_labels.
        labels: the vector of each label.
        n_items: items before the query (N).
        noise: standard deviation of an item around its class mean, relative to the means' own (eps).
        zipf: exponent of the rank-frequency law of classes (alpha); 0 for equal frequencies.
    """

    means: Float[np.ndarray, "class d_content"]
    labels: Float[np.ndarray, "label d_content"]
    n_items: int
    noise: float
    zipf: float

    @classmethod
    def sample(
        cls,
        *,
        rng: np.random.Generator,
        n_classes: int,
        n_labels: int = 32,
        n_items: int = 8,
        d_content: int = 63,
        noise: float = 0.1,
        zipf: float = 0.0,
    ) -> "ItemLabelWorld":
        """A world with Gaussian class means and labels of squared length about 1.

        Raises:
            SettingsError: n_classes is not a multiple of n_labels, or a number is out of range.
        """
        if n_labels < 2 or n_classes < n_labels or n_classes % n_labels:
            raise SettingsError(
                f"item-label world: n_classes must be a positive multiple of n_labels >= 2, for equally frequent labels; "
                f"got {n_classes} classes, {n_labels} labels"
            )
        if min(n_items, d_content) < 1 or noise < 0 or zipf < 0:
            raise SettingsError(
                f"item-label world: n_items and d_content must be positive, noise and zipf not negative; "
                f"got {n_items}, {d_content}, {noise}, {zipf}"
            )
        means, labels = (
            rng.standard_normal((rows, d_content), dtype=np.float32) / np.float32(np.sqrt(d_content))
            for rows in (n_classes, n_labels)
        )
        return cls(means, labels, n_items, noise, zipf)

    @property
    def n_classes(self) -> int:
        """Classes (K)."""
        return len(self.means)

    @property
    def n_labels(self) -> int:
        """Labels (L)."""
        return len(self.labels)

    @property
    def n_tokens(self) -> int:
        """Tokens of a sequence."""
        return 2 * self.n_items + 1

    @property
    def frequencies(self) -> Float[np.ndarray, " class"]:
        """How often each class occurs outside bursts; sums to 1."""
        weights: np.ndarray = np.arange(1, self.n_classes + 1, dtype=float) ** -self.zipf
        weights /= weights.sum()
        return weights

    def check(self, *, burst: int, p_bursty: float, p_fresh: float) -> None:
        """Nothing when sequences can be drawn so.

        Raises:
            SettingsError: the burst does not divide the items, there are too few labels for its classes, or a share is not one.
        """
        if burst < 0 or (burst and self.n_items % burst):
            raise SettingsError(f"item-label world: burst must divide n_items = {self.n_items} (0 for none); got {burst}")
        if burst and self.n_items // burst > self.n_labels:
            raise SettingsError(
                f"item-label world: a bursty sequence needs n_items / burst different labels; "
                f"got {self.n_items} / {burst} with {self.n_labels} labels"
            )
        if not (0 <= p_bursty <= 1 and 0 <= p_fresh <= 1):
            raise SettingsError(f"item-label world: p_bursty and p_fresh are shares; got {p_bursty}, {p_fresh}")
        if p_fresh and not burst:
            raise SettingsError("item-label world: fresh classes come in bursts; got p_fresh > 0 with burst = 0")

    def sequences(
        self,
        n: int,
        *,
        rng: np.random.Generator,
        burst: int,
        p_bursty: float = 1.0,
        p_fresh: float = 0.0,
        label_shift: int = 0,
        uniform: bool = False,
    ) -> ItemLabelSequences:
        """`n` sequences.

        Args:
            n: how many.
            rng: where they are drawn from.
            burst: copies of each class in a bursty sequence (B), whose n_items / burst classes have different labels and
                include the query's; 0 makes no sequence bursty.
            p_bursty: share of bursty sequences; in the others every class, the query's too, is drawn by its frequency.
            p_fresh: share of sequences whose classes are new (and bursty), so that only the context can tell.
            label_shift: added to every label of a known class that is shown or asked (the paper's IC2 shifts by 1).
            uniform: draw classes outside bursts with equal frequencies.

        Raises:
            SettingsError: see `check`.
        """
        self.check(burst=burst, p_bursty=p_bursty, p_fresh=p_fresh)
        n_items, n_labels, table = self.n_items, self.n_labels, self._table
        width = math.sqrt(table.shape[1])
        n_fresh = -(-FRESH // n_labels) * n_labels
        fresh: np.ndarray | None = None
        if p_fresh:
            fresh = (rng.random(n) < p_fresh)[:, None]
            table = np.concatenate((table, _normal((n_fresh, table.shape[1]), rng, std=self._shrink / width)))
        if burst:
            shared_by = self.n_classes // n_labels if fresh is None else np.where(fresh, n_fresh, self.n_classes) // n_labels
            classes = self._in_bursts(n, burst, shared_by, rng)
            if fresh is not None:
                classes += fresh * self.n_classes
            if p_bursty < 1:
                loose = rng.random(n) >= p_bursty
                if fresh is not None:
                    loose &= ~fresh[:, 0]
                classes[loose] = self._by_frequency((int(loose.sum()), n_items + 1), uniform, rng)
        else:
            classes = self._by_frequency((n, n_items + 1), uniform, rng)
        shifted = classes if not label_shift else classes + label_shift * (classes < self.n_classes)
        labels = shifted % n_labels  # of fresh classes too: n_labels divides n_classes
        rows = np.empty((n, self.n_tokens), dtype=np.intp)
        rows[:, ::2] = classes + n_labels
        rows[:, 1::2] = labels[:, :-1]
        content = table.take(rows, axis=0)
        if self.noise:
            content[:, ::2] += _normal((n, n_items + 1, table.shape[1]), rng, std=self._shrink * self.noise / width)
        return ItemLabelSequences(content, labels[:, -1], labels[:, :-1], classes)

    def in_context(self, n: int, *, rng: np.random.Generator, burst: int) -> ItemLabelSequences:
        """Sequences of brand-new classes: only the context tells the answer (IC)."""
        return self.sequences(n, rng=rng, burst=burst or max(1, self.n_items // 2), p_fresh=1.0)

    def swapped(self, n: int, *, rng: np.random.Generator, burst: int) -> ItemLabelSequences:
        """Sequences of known classes with every label shifted by one: context against memory, context being right (IC2)."""
        return self.sequences(n, rng=rng, burst=burst or max(1, self.n_items // 2), label_shift=1)

    def in_weights(self, n: int, *, rng: np.random.Generator, uniform: bool = False) -> ItemLabelSequences:
        """Sequences of independent items: the answer is hardly ever in the context and must be remembered (IW)."""
        return self.sequences(n, rng=rng, burst=0, uniform=uniform)

    def shown_otherwise(
        self, drawn: ItemLabelSequences, how: Literal["dealt", "random"], *, rng: np.random.Generator
    ) -> ItemLabelSequences:
        """The same sequences, questions and answers with other labels in the context.

        Args:
            drawn: sequences of this world.
            how: `dealt` deals each context's labels out again among its items; `random` draws them anew from all labels, so
                that the context says nothing at all.
            rng: where the labels are drawn from.
        """
        if how == "dealt":
            places = rng.random(drawn.item_labels.shape).argsort(axis=1)
            shown = np.take_along_axis(drawn.item_labels, places, axis=1)
        else:
            shown = rng.integers(self.n_labels, size=drawn.item_labels.shape)
        content = drawn.content.copy()
        content[:, 1::2] = self.labels[shown]
        return replace(drawn, content=content, item_labels=shown)

    @property
    def _shrink(self) -> float:
        """What keeps a noisy item as long as its class mean."""
        return 1 / math.sqrt(1 + self.noise**2)

    @cached_property
    def _table(self) -> Float[np.ndarray, "row d_content"]:
        """Labels, then shrunk class means: every vector a sequence of known classes can need, but for the noise."""
        return np.concatenate((self.labels, self.means * np.float32(self._shrink)))

    def _by_frequency(self, shape: tuple[int, int], uniform: bool, rng: np.random.Generator) -> np.ndarray:
        if uniform or self.zipf == 0:
            return rng.integers(self.n_classes, size=shape)
        edges = np.cumsum(self.frequencies)
        return np.minimum(np.searchsorted(edges, rng.random(shape), side="right"), self.n_classes - 1)

    def _in_bursts(self, n: int, burst: int, shared_by: int | np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Classes of the items and the query (last), [batch, item + 1]; each label is shared by so many classes."""
        n_kinds = self.n_items // burst
        labels = rng.random((n, self.n_labels), dtype=np.float32).argpartition(n_kinds - 1, axis=1)[:, :n_kinds]
        drawn = rng.random((n, n_kinds + 1), dtype=np.float32)  # the class behind each label, and which of them is asked
        kinds = (drawn[:, :-1] * shared_by).astype(np.intp) * self.n_labels + labels
        places = np.empty((n, self.n_items + 1), dtype=np.intp)
        places[:, :-1] = rng.random((n, self.n_items), dtype=np.float32).argsort(axis=1) % n_kinds
        places[:, -1] = drawn[:, -1] * n_kinds
        classes: np.ndarray = kinds[np.arange(n)[:, None], places]
        return classes


def _normal(shape: tuple[int, ...], rng: np.random.Generator, *, std: float = 1.0) -> np.ndarray:
    """Normal numbers, each one of 4,096 equally likely quantiles: ten times faster than exact ones."""
    n = math.prod(shape)
    bits = rng.bit_generator.random_raw(-(-n // 4)).view(np.uint16)[:n]
    return (_quantiles() * np.float32(std)).take(bits >> 4).reshape(shape)


@cache
def _quantiles() -> np.ndarray:
    values = np.array([NormalDist().inv_cdf((i + 0.5) / 2**12) for i in range(2**12)])
    return np.asarray(values / values.std(), dtype=np.float32)
