"""The exactness of the test, whatever losses are tested: random orders of a bigram learner's texts."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from assay.core.seeds import Seeds
from assay.stats.order_tests import order_test
from assay.studies.knowledge.palimpsestic_membership.settings import SmallSettings

__all__ = ["Bigram", "check"]

N_TEXTS, N_WORDS = 240, 30
LONGEST, SHORTEST = 16, 6
BATCH = 8


class Bigram:
    """A log-linear model of the next word, u[w] + B[word before, w], trained by gradient descent text by text."""

    def __init__(self) -> None:
        self.u, self.B = np.zeros(N_WORDS), np.zeros((N_WORDS, N_WORDS))

    def loss(self, text: Int[np.ndarray, " place"]) -> float:
        """Mean loss of the words behind the first, in nats."""
        logits = self.u + self.B[text[:-1]]
        norms = np.log(np.exp(logits).sum(1))
        return float((norms - logits[np.arange(len(text) - 1), text[1:]]).mean())

    def trained(self, texts: list[np.ndarray], order: Int[np.ndarray, " text"], rate: float = 1.0) -> "Bigram":
        """Itself, after one pass over the texts in that order."""
        for i in order:
            before, after = texts[i][:-1], texts[i][1:]
            p = np.exp(self.u + self.B[before])
            slope = p / p.sum(1, keepdims=True)
            slope[np.arange(len(after)), after] -= 1
            self.u -= rate * slope.mean(0)
            np.add.at(self.B, before, -rate * slope / len(after))
        return self

    def losses(self, texts: list[np.ndarray]) -> Float[np.ndarray, " text"]:
        """Of every text."""
        return np.array([self.loss(text) for text in texts])


def check(settings: SmallSettings) -> Mapping[str, float]:
    """The share of p-values of at most 0.05 over random orders, for each kind of loss."""
    seeds = Seeds(0).child("palimpsestic-membership").child("exact")
    texts, others = two_domains(seeds("texts")), two_domains(seeds("other texts"))
    bob = Bigram().trained(texts, seeds("order").permutation(N_TEXTS)).losses(texts)
    references = {
        "V.alone": np.zeros(N_TEXTS),
        "V.shuffle": Bigram().trained(texts, seeds("another order").permutation(N_TEXTS)).losses(texts),
        "V.data": Bigram().trained(others, np.arange(N_TEXTS)).losses(texts),
        "V.garbage": seeds("garbage").standard_cauchy(N_TEXTS),
    }
    return {name: rejected(bob - reference, settings.n_orders, seeds.child(name)) for name, reference in references.items()}


def rejected(losses: Float[np.ndarray, " text"], n_orders: int, seeds: Seeds) -> float:
    """The share of random orders whose test gives a p-value of at most 0.05."""
    rng = seeds("orders")
    tested = [
        order_test(rng.permutation(len(losses)) // BATCH, losses, rng=rng, n_permutations=len(losses)).p_value
        for _ in range(n_orders)
    ]
    return float(np.mean(np.array(tested) <= 0.05))


def two_domains(rng: np.random.Generator) -> list[np.ndarray]:
    """Texts of two kinds, one with few words and one with many, of several lengths; three in ten stand twice."""
    texts = []
    for i in range(N_TEXTS - 3 * N_TEXTS // 20):
        n_words = N_WORDS // 3 if i % 2 else N_WORDS
        texts.append(np.minimum(rng.geometric(3 / n_words, int(rng.integers(SHORTEST, LONGEST + 1))), n_words) - 1)
    return texts + texts[: N_TEXTS - len(texts)]
