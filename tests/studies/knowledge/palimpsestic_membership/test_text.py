"""What texts alone tell: sequences are looked up as by hand, reshuffles keep their texts, tests need what they are said to."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.knowledge.palimpsestic_membership import text as study
from assay.studies.knowledge.palimpsestic_membership.learner import Learner, network
from assay.studies.knowledge.palimpsestic_membership.ngrams import SequenceIndex
from assay.studies.knowledge.palimpsestic_membership.settings import TextSettings
from assay.training.optimiser import Optimiser
from assay.training.order import Order

RNG = np.random.default_rng(3)
SETTINGS = TextSettings(
    n_texts=160, length=16, n_words=100, n_patterns=4, d_model=16, n_layers=1, n_reshuffles=3, phases=(0.1, 0.3),
    n_scored=16, n_counted=32,
)  # fmt: skip


def by_hand(known: np.ndarray, steps: np.ndarray, n_steps: int, asked: np.ndarray, longest: int) -> np.ndarray:
    found = np.zeros((len(asked), n_steps))
    for i, one in enumerate(asked.tolist()):
        for place in range(len(one)):
            for length in range(min(longest, len(one) - place), 0, -1):
                wanted = one[place : place + length]
                hits = [
                    int(step)
                    for row, step in zip(known.tolist(), steps, strict=True)
                    for start in range(len(row) - length + 1)
                    if row[start : start + length] == wanted
                ]
                if hits:
                    np.add.at(found[i], hits, 1 / len(hits))
                    break
    return found


@pytest.mark.parametrize("longest", [1, 3, 8])
def test_the_longest_known_sequences_are_counted_at_their_steps(longest: int) -> None:
    known, asked = RNG.integers(0, 6, (20, 7)), RNG.integers(0, 7, (9, 7))
    steps = RNG.permutation(20) // 4
    index = SequenceIndex.of(known, steps, 5, longest=longest)
    assert index.counts(asked) == pytest.approx(by_hand(known, steps, 5, asked, longest))


def test_reshuffled_models_see_the_texts_of_the_last_phase_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order.shuffled(160, 8, 1, RNG)
    fork = Learner.fresh(network(SETTINGS), Optimiser(), [RNG])
    seen: list[Any] = []
    monkeypatch.setattr(Learner, "train", lambda self, texts, orders, *rest: seen.extend(orders) or self)
    study.reshuffled(SETTINGS, Seeds(0), fork, np.zeros((160, 17), dtype=int), order, 14)
    assert len(seen) == 3
    last = np.concatenate([order.batch(step) for step in range(14, 20)])
    for one in seen:
        assert one.n_steps == 6
        assert [len(one.batch(step)) for step in range(6)] == [8] * 6
        assert sorted(one.examples) == sorted(last)
        assert one.examples.tolist() != last.tolist()


def test_every_second_sentence_is_copied_from_a_text_of_the_last_phase() -> None:
    order = Order.shuffled(160, 8, 1, RNG)
    texts, wrote = RNG.integers(1, 10_000, (160, 33)), np.zeros((40, 33), dtype=int)
    settings = replace(SETTINGS, length=32)
    copied = study.with_copies(settings, Seeds(0), wrote, texts, order, 14)
    last = [i for step in range(14, 20) for i in order.batch(step)]
    for sentence in range(4):
        places = slice(1 + 8 * sentence, 9 + 8 * sentence)
        known = {tuple(texts[i, places]) for i in last}
        assert len(known) == 48
        if sentence % 2:
            assert {tuple(row) for row in copied[:, places]} <= known
        else:
            assert not copied[:, places].any()
    sources = [{tuple(row): i for i, row in enumerate(texts[:, places])} for places in (slice(9, 17), slice(25, 33))]
    pairs = [(sources[0][tuple(row[9:17])], sources[1][tuple(row[25:33])]) for row in copied]
    assert sum(one == other for one, other in pairs) < 10  # not one text a row
    assert len({one for one, _ in pairs}) > 15
    assert not copied[:, 0].any()
    assert not wrote.any()


def test_tokens_needed_are_those_from_which_on_every_p_value_convinces() -> None:
    assert study.tokens_needed({1: 0.01, 2: 0.2, 4: 0.03, 8: 0.001}, 99) == 4
    assert study.tokens_needed({1: 0.01, 2: 0.01}, 99) == 1
    assert study.tokens_needed({1: 0.01, 2: 0.06}, 99) == 99
    assert study._grid(9) == [1, 2, 4, 8, 9]
    assert study._grid(8) == [1, 2, 4, 8]


def planted(kl: float, late: float) -> dict[str, float]:
    """Estimands of likelihoods in which Alice's model stands out by `kl` a text, and counts that rise for late steps."""
    settings = TextSettings(n_counted=512, n_scored=64)
    noise = {name: RNG.normal(size=(20, 64)) for name in ("alice", "copied", "independent")}
    for name in ("alice", "copied"):
        noise[name][0] += kl
    likelihoods = {0.01: {name: RNG.normal(size=(20, 64)) for name in noise}, 0.05: noise, 0.1: noise}
    counts = {name: RNG.poisson(0.2, (512, 100)).astype(float) for name in noise}
    counts["copied"] += RNG.poisson(late * np.linspace(0, 1, 100), (512, 100))
    return study.numbers(settings, Seeds(0), likelihoods, counts)[0]


def test_a_ratio_of_words_from_planted_likelihoods_and_counts() -> None:
    found = planted(kl=3.0, late=2.0)
    assert found["alice/tokens_ratio"] > 2
    assert found["copied/tokens_ratio"] < 1
    assert found["alice/z_growth"] > 5
    nothing = [planted(kl=0.0, late=0.0) for _ in range(10)]
    assert sum(one["independent/tokens_ratio"] == 0 for one in nothing) >= 7
    assert abs(np.mean([one["independent/z_growth"] for one in nothing])) < 1.5


def test_steps_that_all_count_alike_tell_nothing() -> None:
    assert study.partition(np.ones((4, 20)), Seeds(0)) == 1.0
