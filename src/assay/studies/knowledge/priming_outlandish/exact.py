"""What holds by identity: a step of biases in closed form, and a small step of gradient descent as a gradient product."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from assay.core.seeds import Seeds
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.priming_outlandish.biases import Lessons, reweighted, train_biases
from assay.studies.knowledge.priming_outlandish.drawing import drawn
from assay.studies.knowledge.priming_outlandish.insertion import Asked, copies, lesson, read, told_rows
from assay.studies.knowledge.priming_outlandish.priming import products
from assay.studies.knowledge.priming_outlandish.scores import LN10, primed
from assay.studies.knowledge.priming_outlandish.settings import PrimingSettings
from assay.studies.knowledge.priming_outlandish.themes import LENGTH
from assay.training.losses import next_token_loss
from assay.training.optimiser import Optimiser, Stepper

__all__ = ["check"]

N_TEXTS, N_CONTEXTS, N_WORDS, RATE = 40, 6, 300, 4.0
SMALL = 1e-5  # rate of the small step
WIDTH = 16


def check(settings: PrimingSettings) -> dict[str, float]:
    """The number of each exact check, by its name."""
    return {"X.bias": bias_error(), "X.product": product_slope(settings)}


def bias_error() -> float:
    """The largest error in S_mem and S_prime of one step of biases beside their closed forms, in powers of ten."""
    rng = Seeds(0)("bias")
    text = _softmax(3 * rng.normal(size=(N_TEXTS, N_WORDS)))
    contexts = _softmax(3 * rng.normal(size=(N_TEXTS, N_CONTEXTS, N_WORDS)))
    words = rng.integers(N_WORDS, size=N_TEXTS)
    every = np.arange(N_TEXTS)
    none = torch.zeros(0, N_WORDS, dtype=torch.float64)
    told = Lessons(
        torch.from_numpy(text)[:, None], torch.from_numpy(words)[:, None], [none], [torch.zeros(0, dtype=torch.long)],
        np.array([True]),
    )  # fmt: skip
    biases = train_biases(told, Optimiser(kind="sgd", learning_rate=RATE))
    asked = torch.from_numpy(np.concatenate([text[:, None], contexts], 1))
    before = np.log(asked.numpy()[every[:, None], np.arange(1 + N_CONTEXTS), words[:, None]])
    after = reweighted(torch.from_numpy(before), asked, biases, torch.from_numpy(words)).numpy()

    # The step adds the rate to the keyword and takes the rate times P from every word.
    moved = -RATE * text
    moved[every, words] += RATE
    gained = moved[every, words]
    memory = (gained - np.log((text * np.exp(moved)).sum(1))) / LN10
    ratio = np.exp(gained)[:, None] / np.einsum("tcw,tw->tc", contexts, np.exp(moved))
    errors = ((after - before)[:, 0] / LN10 - memory, primed(before[:, 1:], after[:, 1:]) - np.log10(ratio.mean(1)))
    return float(max(np.abs(error).max() for error in errors))


def product_slope(settings: PrimingSettings) -> float:
    """Slope, through zero, of what a small step of each text changes in log P on the rate times the gradient product."""
    few = replace(settings, n_keywords=8, n_few=8, n_prefixes=4)
    found = drawn(few, few.n_keywords, Seeds(0).child("product"))
    config = DecoderConfig(
        few.n_tokens, few.n_tokens, n_layers=few.n_layers, d_model=WIDTH, d_mlp=4 * WIDTH, n_positions=2 * LENGTH
    )
    base = Decoder.init(config, [Seeds(0)("product weights")]).double()
    rows = told_rows([text.plain for text in found.texts])
    asked = Asked(found.keywords, told_rows([text.prompt for text in found.texts]), found.prefixes[found.themes])
    forks = copies(base, len(rows))
    parameters = list(forks.parameters())
    gradients = torch.autograd.grad(next_token_loss(forks, lesson(rows[:, None])).sum(), parameters)
    Stepper(parameters, Optimiser(kind="sgd", learning_rate=SMALL), n_runs=len(rows)).step(gradients)
    moved = read(forks, asked).elsewhere - read(base, asked).elsewhere
    expected = SMALL * products(found, base)[0]
    return float((moved * expected).sum() / (expected * expected).sum())


def _softmax(logits: Float[np.ndarray, "*lead word"]) -> Float[np.ndarray, "*lead word"]:
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(-1, keepdims=True))
