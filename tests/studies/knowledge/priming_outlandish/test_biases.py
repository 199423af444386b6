"""Biases of a frozen network: their steps are those of autograd, what is read with them is a softmax, rates are matched."""

import numpy as np
import pytest
import torch

from assay.studies.knowledge.priming_outlandish.biases import RATES, Lessons, matched, reweighted, train_biases
from assay.studies.knowledge.priming_outlandish.claims import PRIMING
from assay.studies.knowledge.priming_outlandish.exact import check
from assay.training.optimiser import Optimiser

N_TEXTS, N_PLACES, N_WORDS, N_STEPS = 3, 4, 11, 5
GENERATOR = torch.Generator().manual_seed(0)
TOLD = np.array([True, False, True, True, False])


def drawn() -> tuple[Lessons, torch.Tensor, list[torch.Tensor]]:
    """Lessons with the logits that they come from."""
    text = torch.randn(N_TEXTS, N_PLACES, N_WORDS, generator=GENERATOR, dtype=torch.float64)
    plain = [torch.randn(6, N_WORDS, generator=GENERATOR, dtype=torch.float64) for _ in range(N_STEPS)]
    words = torch.randint(N_WORDS, (N_TEXTS, N_PLACES), generator=GENERATOR)
    words[1, 2:] = -1
    shown = torch.softmax(text, -1) * (words >= 0)[..., None]
    around = [torch.randint(N_WORDS, (6,), generator=GENERATOR) for _ in range(N_STEPS)]
    return Lessons(shown, words, [torch.softmax(one, -1) for one in plain], around, TOLD), text, plain


@pytest.mark.parametrize("optimiser", [Optimiser(learning_rate=0.1), Optimiser(kind="sgd", learning_rate=0.5)])
def test_steps_are_those_of_autograd(optimiser: Optimiser) -> None:
    lessons, text, plain = drawn()
    found = train_biases(lessons, optimiser)
    for i in range(N_TEXTS):
        bias = torch.zeros(N_WORDS, dtype=torch.float64, requires_grad=True)
        kind = torch.optim.AdamW if optimiser.kind == "adamw" else torch.optim.SGD
        library = kind([bias], lr=optimiser.learning_rate, weight_decay=0.0)
        for step, told in enumerate(TOLD):
            logits, words = [plain[step]], [lessons.plain_words[step]]
            if told:
                logits, words = [*logits, text[i]], [*words, lessons.words[i]]
            target = torch.cat(words)
            loss = torch.nn.functional.cross_entropy(torch.cat(logits) + bias, target, ignore_index=-1)
            library.zero_grad()
            loss.backward()
            library.step()
        assert torch.allclose(found[i], bias.detach(), atol=1e-9)


def test_what_is_read_with_biases_is_a_softmax() -> None:
    logits = torch.randn(2, 5, N_WORDS, generator=GENERATOR, dtype=torch.float64)
    biases = torch.randn(2, N_WORDS, generator=GENERATOR, dtype=torch.float64)
    words = torch.tensor([3, 7])
    before = torch.log_softmax(logits, -1)
    own = before[torch.arange(2)[:, None], torch.arange(5), words[:, None]]
    expected = torch.log_softmax(logits + biases[:, None], -1)[torch.arange(2)[:, None], torch.arange(5), words[:, None]]
    assert torch.allclose(reweighted(own, before.exp(), biases, words), expected)


def test_the_lowest_rate_with_equal_memory_is_taken() -> None:
    lessons, _, _ = drawn()
    rate, biases = matched(lessons, lambda biases: float(biases.abs().max()), 0.4)
    assert float(biases.abs().max()) == pytest.approx(0.4, abs=1e-3)
    assert RATES[0] < rate < RATES[-1]
    most, _ = matched(lessons, lambda biases: -float(biases.abs().max()), 1.0)
    assert most == pytest.approx(RATES[0])  # none reaches it: the one that comes nearest


def test_exact_checks_hold() -> None:
    found = check(PRIMING.presets["quick"].settings)
    assert set(found) == {one.name for one in PRIMING.exact}
    for one in PRIMING.exact:
        assert one.judge(found[one.name]) == "holds", (one.name, found[one.name])
