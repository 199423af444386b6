"""Alice's trainer: the sequence loop's steps, forks that go on to the bit, imprints that decay as the theory says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.core.errors import Diverged, SettingsError
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.palimpsestic_membership.learner import Learner, losses, network, written
from assay.studies.knowledge.palimpsestic_membership.settings import SmallSettings
from assay.studies.knowledge.palimpsestic_membership.stories import BEGIN, StoryWorld, falling
from assay.training.losses import Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.order import Order
from assay.training.sequence import Stage, train

SETTINGS = SmallSettings(n_texts=80, length=16, n_words=100, n_patterns=4, d_model=16, n_layers=1)
SEEDS = Seeds(0)
TEXTS = SETTINGS.world(SEEDS).stories(80, 16, rng=SEEDS("texts"))
ORDERS = [Order.shuffled(80, 8, 4, SEEDS(f"order {i}")) for i in range(2)]
FAST = Optimiser(learning_rate=1e-2)


def fresh(n: int = 2) -> Learner:
    return Learner.fresh(network(SETTINGS), FAST, [SEEDS(f"weights {i}") for i in range(n)])


def same(one: Decoder, other: Decoder) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_steps_are_those_of_the_sequence_loop() -> None:
    ours = fresh(1).train([TEXTS], ORDERS[:1])
    theirs = Decoder.init(network(SETTINGS), [SEEDS("weights 0")])
    tokens = torch.from_numpy(TEXTS)[None]

    def draw(step: int) -> Batch:
        batch = tokens[:, ORDERS[0].batch(step)]
        return Batch(batch[..., :-1].contiguous(), batch[..., 1:].contiguous())

    train(theirs, Stage(40, draw, next_token_loss), FAST)
    assert same(ours.model, theirs)


def test_a_fork_goes_on_to_the_bit_also_with_a_run_axis() -> None:
    whole, half = fresh().train([TEXTS] * 2, ORDERS), fresh().train([TEXTS] * 2, ORDERS, 0, 20)
    fork = half.forked([0, 1])
    before = {name: value.clone() for name, value in half.model.state_dict().items()}
    fork.train([TEXTS] * 2, ORDERS, 20)
    assert same(fork.model, whole.model)
    assert all(torch.equal(value, before[name]) for name, value in half.model.state_dict().items())
    many = half.forked([0] * 5).train([TEXTS] * 5, [ORDERS[0]] * 5, 20)
    for run in range(5):
        for name, value in many.model.state_dict().items():
            assert torch.allclose(value[run], whole.model.state_dict()[name][0], atol=1e-5)
    without = half.forked([0, 1], FAST).train([TEXTS] * 2, ORDERS, 20)
    assert not same(without.model, whole.model)


def test_a_rate_that_falls_ends_at_zero() -> None:
    learner = fresh(1).train([TEXTS], ORDERS[:1], 0, 39, decay_from=0.5)
    before = losses(learner.model, TEXTS)
    learner.train([TEXTS], ORDERS[:1], 39, decay_from=0.5)
    moved = np.abs(losses(learner.model, TEXTS) - before).max()
    learner.train([TEXTS], ORDERS[:1], 39)
    assert moved < np.abs(losses(learner.model, TEXTS) - before).max() / 5


def test_runs_may_have_rates_of_their_own() -> None:
    start = fresh(1)
    both = start.forked([0, 0], [FAST, replace(FAST, learning_rate=1e-3)]).train([TEXTS] * 2, [ORDERS[0]] * 2)
    alone = start.forked([0], replace(FAST, learning_rate=1e-3)).train([TEXTS], ORDERS[:1])
    assert losses(both.model, TEXTS)[1] == pytest.approx(losses(alone.model, TEXTS)[0], abs=1e-4)


def test_losses_are_nats_a_word_and_those_of_the_training_loss() -> None:
    learner = fresh()
    found = losses(learner.model, TEXTS)
    assert found.shape == (2, 80)
    assert found.mean() == pytest.approx(np.log(100), rel=0.15)  # the read-out is drawn wide
    one = torch.from_numpy(TEXTS[:1])[None].expand(2, -1, -1)
    mean = next_token_loss(learner.model, Batch(one[..., :-1], one[..., 1:]))
    assert found[:, 0] == pytest.approx(mean.detach().numpy(), abs=1e-5)


def test_a_training_that_leaves_the_finite_numbers_says_so() -> None:
    with torch.no_grad():
        learner = fresh(1)
        learner.parameters[0].fill_(torch.nan)
    with pytest.raises(Diverged):
        learner.train([TEXTS], ORDERS[:1], 0, 2)


def test_written_texts_begin_like_stories() -> None:
    texts = written(fresh().model, 1, 5, 16, SEEDS("written"))
    assert texts.shape == (5, 17)
    assert (texts[:, 0] == BEGIN).all()
    assert np.array_equal(texts, written(fresh().model, 1, 5, 16, SEEDS("written")))


def test_stories_are_drawn_from_their_world() -> None:
    world = StoryWorld.drawn(300, 6, rng=SEEDS("w"))
    texts = world.stories(3000, 32, rng=SEEDS("s"))
    assert texts.shape == (3000, 33)
    assert texts[:, 1:].min() >= 1
    assert texts.max() < 300
    ids = np.concatenate(world.words)
    assert sorted(ids) == list(range(41, 300))
    words = np.bincount(texts[:, 1:].ravel(), minlength=300)
    for kind in world.words:
        assert words[kind[0]] > 5 * words[kind[len(kind) // 2 :]].mean()
    assert falling(3) == pytest.approx(np.array([6, 3, 2]) / 11)
    heroes = {tuple(row) for row in world.stories(50, 8, rng=SEEDS("s"))}
    assert len(heroes) > 40
    for n_words, length in ((90, 8), (300, 12), (300, 0)):
        with pytest.raises(SettingsError):
            StoryWorld.drawn(n_words, 2, rng=SEEDS("w")).stories(2, length, rng=SEEDS("s"))


def test_an_imprint_decays_as_the_product_of_what_later_steps_keep() -> None:
    """Linear regression by single steps: dw_T / de_t = rate * prod over later s of (I - rate x_s x_s^T) x_t, to rounding."""
    rng = SEEDS("linear")
    x, rate, n = rng.normal(size=(300, 5)), 0.02, 300
    targets = x @ rng.normal(size=5) + rng.normal(size=n)

    def end(y: np.ndarray) -> np.ndarray:
        w = np.zeros(5)
        for one, target in zip(x, y, strict=True):
            w -= rate * (one @ w - target) * one
        return w

    sizes = []
    for t in (20, 120, 220, 290):
        moved = targets.copy()
        moved[t] += 1.0
        kept = rate * x[t]
        for one in x[t + 1 :]:
            kept = kept - rate * one * (one @ kept)
        assert end(moved) - end(targets) == pytest.approx(kept, abs=1e-12)
        sizes.append(np.linalg.norm(kept) / np.linalg.norm(x[t]))
    slope = np.polyfit([20, 120, 220, 290], np.log(sizes), 1)[0]
    assert slope == pytest.approx(-np.log1p(-rate), rel=0.25)
