"""Item-label sequences: what the paper says of them holds in every sequence drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.studies.mechanisms.in_context_vs_in_weights.world import ItemLabelWorld, _normal


def world(n_classes: int = 64, seed: int = 0, **changes: object) -> ItemLabelWorld:
    return ItemLabelWorld.sample(rng=np.random.default_rng(seed), n_classes=n_classes, **changes)  # type: ignore[arg-type]


@given(burst=st.sampled_from([1, 2, 4, 8]), seed=st.integers(0, 10**6), p_fresh=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=30)
def test_bursty_sequences_hold_each_class_burst_times_with_distinct_labels(burst: int, seed: int, p_fresh: float) -> None:
    w = world()
    drawn = w.sequences(40, rng=np.random.default_rng(seed), burst=burst, p_fresh=p_fresh)
    for classes, labels, answer, matches in zip(drawn.classes, drawn.item_labels, drawn.answers, drawn.matches, strict=True):
        kinds, counts = np.unique(classes[:-1], return_counts=True)
        assert set(counts) == {burst}
        assert len(set(labels)) == len(kinds) == 8 // burst
        assert matches.sum() == burst
        assert set(labels[matches]) == {answer}


def test_items_and_labels_stand_where_they_must() -> None:
    w = world(noise=0.0)
    drawn = w.sequences(50, rng=np.random.default_rng(1), burst=2)
    np.testing.assert_allclose(drawn.content[:, ::2], w.means[drawn.classes], rtol=1e-6)
    np.testing.assert_array_equal(drawn.content[:, 1::2], w.labels[drawn.item_labels])
    np.testing.assert_array_equal(drawn.classes[:, :-1] % 32, drawn.item_labels)
    assert drawn.content.dtype == np.float32
    assert drawn.content.shape == (50, 17, 63)


def test_noise_has_its_size_and_items_keep_their_length() -> None:
    w = world(noise=0.5)
    drawn = w.sequences(2000, rng=np.random.default_rng(1), burst=1)
    residual = drawn.content[:, ::2] * np.sqrt(1.25) - w.means[drawn.classes]
    assert residual.std() * np.sqrt(63) == pytest.approx(0.5, rel=0.01)
    assert (drawn.content[:, ::2] ** 2).sum(-1).mean() == pytest.approx((w.means**2).sum(-1).mean(), rel=0.05)


def test_fast_normal_numbers_are_normal() -> None:
    from scipy import stats

    numbers = _normal((400, 501), np.random.default_rng(3)).ravel()
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01


def test_shares_and_frequencies_are_as_asked() -> None:
    w = world(zipf=1.0)
    rng = np.random.default_rng(2)
    drawn = w.sequences(20_000, rng=rng, burst=1, p_bursty=0.3)
    answer_shown = drawn.matches.any(1).mean()
    by_chance = 1 - ((1 - w.frequencies) ** 8 * w.frequencies).sum()
    assert answer_shown == pytest.approx(0.3 + 0.7 * by_chance, abs=0.02)
    loose = w.in_weights(20_000, rng=rng)
    counts = np.bincount(loose.classes.ravel(), minlength=64) / loose.classes.size
    np.testing.assert_allclose(counts, w.frequencies, atol=0.004)
    uniform = w.in_weights(20_000, rng=rng, uniform=True)
    np.testing.assert_allclose(np.bincount(uniform.classes.ravel()) / uniform.classes.size, 1 / 64, atol=0.002)
    fresh = w.sequences(20_000, rng=rng, burst=1, p_bursty=1.0, p_fresh=0.8)
    assert (fresh.classes[:, 0] >= 64).mean() == pytest.approx(0.8, abs=0.01)


def test_evaluations_ask_what_they_say() -> None:
    w, rng = world(n_classes=512), np.random.default_rng(4)
    novel = w.in_context(200, rng=rng, burst=2)
    assert (novel.classes >= 512).all()
    assert len(np.unique(novel.classes)) == novel.classes.max() - 511 == 128  # as many new ones a call as in the author's
    swapped = w.swapped(200, rng=rng, burst=2)
    assert (swapped.classes < 512).all()
    np.testing.assert_array_equal(swapped.answers, (swapped.classes[:, -1] + 1) % 32)
    assert w.in_context(50, rng=rng, burst=0).matches.sum(1).tolist() == [4] * 50
    assert w.in_weights(2000, rng=rng).matches.any(1).mean() < 0.05


def test_a_sequence_depends_on_its_stream_alone() -> None:
    first, again = (world(seed=3).sequences(5, rng=np.random.default_rng(9), burst=2, p_fresh=0.5) for _ in range(2))
    np.testing.assert_array_equal(first.content, again.content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 48}, "multiple of n_labels"),
        ({"n_classes": 0}, "multiple"),
        ({"noise": -1.0}, "noise"),
        ({"n_items": 0}, "n_items"),
        ({"d_content": 0}, "d_content"),
        ({"zipf": -1.0}, "zipf"),
    ],
)
def test_refuses_impossible_worlds(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        world(**{"n_classes": 64, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"burst": 3}, "burst must divide"),
        ({"burst": -1}, "burst must divide"),
        ({"burst": 1, "p_bursty": 1.5}, "shares"),
        ({"burst": 0, "p_fresh": 0.5}, "fresh classes come in bursts"),
    ],
)
def test_refuses_impossible_sequences(how: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        world().sequences(4, rng=np.random.default_rng(0), **how)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="different labels"):
        world(n_classes=8, n_labels=4).sequences(4, rng=np.random.default_rng(0), burst=1)
