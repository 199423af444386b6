"""The null arm: a frozen network of which a single bias a word is trained, the same in every context.

Softmax(l + b) over fixed logits l is softmax(l) reweighted by e^b. So a step of all texts' biases is two matrix products with
the probabilities that the network gave before, however large the network is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.training.optimiser import Optimiser, Stepper

__all__ = ["Lessons", "matched", "reweighted", "train_biases"]

RATES = np.geomspace(3e-3, 3.0, 22)  # among which the first that memorises as much is sought; too high ones overshoot
N_HALVINGS = 10


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a frozen network says where it is trained, and the words that come there.

    Attributes:
        text: its probabilities at the places of each text, [text, place, word]; zeros behind the end.
        words: the words there, [text, place]; -1 behind the end.
        plain: for each step those at all places of the plain rows, [place, word].
        plain_words: the words there.
        told: whether a step holds the texts.
    """

    text: Float[Tensor, "text place word"]
    words: Int[Tensor, "text place"]
    plain: Sequence[Float[Tensor, "place word"]]
    plain_words: Sequence[Int[Tensor, " place"]]
    told: Bool[np.ndarray, " step"]


def train_biases(lessons: Lessons, optimiser: Optimiser) -> Float[Tensor, "text word"]:
    """The biases of each text after all steps, from zero; the loss of a step is the mean over its places."""
    n_texts, _, n_words = lessons.text.shape
    biases = torch.zeros(n_texts, n_words, dtype=lessons.text.dtype)
    stepper = Stepper([biases], optimiser, n_runs=n_texts)
    counted = lessons.words >= 0
    text_counts = torch.zeros_like(biases).scatter_add_(1, lessons.words.clamp_min(0), counted.to(biases))
    for plain, words, told in zip(lessons.plain, lessons.plain_words, lessons.told.tolist(), strict=True):
        odds = biases.exp()
        gradient = odds * ((odds @ plain.T).reciprocal() @ plain)
        gradient -= torch.bincount(words, minlength=n_words)
        n_places = torch.full((n_texts, 1), float(len(words)), dtype=biases.dtype)
        if told:
            normaliser = torch.bmm(lessons.text, odds[:, :, None]).squeeze(-1)
            share = torch.where(counted, normaliser.clamp_min(torch.finfo(normaliser.dtype).tiny).reciprocal(), 0.0)
            gradient += odds * torch.bmm(share[:, None], lessons.text).squeeze(1) - text_counts
            n_places += counted.sum(1, keepdim=True)
        stepper.step([gradient / n_places])
    return biases


def reweighted(
    log_prob: Float[Tensor, "text context"],
    before: Float[Tensor, "text context word"],
    biases: Float[Tensor, "text word"],
    words: Int[Tensor, " text"],
) -> Float[Tensor, "text context"]:
    """Log-probability of each text's word in each context with its biases, in nats.

    Args:
        log_prob: that without them.
        before: probabilities of all words there.
        biases: of each text.
        words: of each text.
    """
    normaliser = torch.stack([one @ odds for one, odds in zip(before, biases.exp(), strict=True)])
    return log_prob + biases.gather(1, words[:, None]) - normaliser.log()


def matched(
    lessons: Lessons, memorised: Callable[[Float[Tensor, "text word"]], float], wanted: float
) -> tuple[float, Float[Tensor, "text word"]]:
    """The lowest learning rate of AdamW at which biases memorise as much as is wanted, and the biases trained at it.

    Where no rate does, the one at which they memorise most.

    Args:
        lessons: what is trained on.
        memorised: how much biases do.
        wanted: as much.
    """

    def at(rate: float) -> Float[Tensor, "text word"]:
        return train_biases(lessons, Optimiser(learning_rate=rate))

    found = list[float]()
    for rate in RATES.tolist():
        found.append(memorised(at(rate)))
        if found[-1] >= wanted:
            break
    else:
        best = float(RATES[int(np.argmax(found))])
        return best, at(best)
    high = math.log(RATES[len(found) - 1])
    low = math.log(RATES[max(0, len(found) - 2)])
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if memorised(at(math.exp(middle))) < wanted else (low, middle)
    return math.exp(high), at(math.exp(high))
