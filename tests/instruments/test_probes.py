"""Linear probes: a planted direction is read, shuffled labels and untrained features are not."""

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.instruments.probes import LinearProbe, probe


def planted(n: int = 600, n_features: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    features = rng.normal(size=(n, n_features)) + 3 * np.eye(n_features)[labels + 4]
    return features, labels, rng


def test_reads_what_is_there_and_nothing_else() -> None:
    features, labels, rng = planted()
    reading = probe(features, labels, rng=rng, untrained=rng.normal(size=features.shape))
    assert reading.accuracy > 0.95
    assert reading.shuffled < 0.45
    assert reading.untrained < 0.45
    assert reading.chance == pytest.approx(1 / 3, abs=0.05)
    assert reading.selectivity > 0.5
    absent = probe(rng.normal(size=features.shape), labels, rng=rng)
    assert abs(absent.selectivity) < 0.15
    assert np.isnan(absent.untrained)


def test_is_the_ridge_solution_whatever_the_scale_and_place_of_features() -> None:
    features, labels, _ = planted(n=80, n_features=9)
    base = LinearProbe.fit(features, labels, ridge=0.1)
    moved = LinearProbe.fit(5 * features - 3, labels, ridge=0.1)
    np.testing.assert_array_equal(base.predict(features), moved.predict(5 * features - 3))
    np.testing.assert_allclose(base.weights[:-1], 5 * moved.weights[:-1])
    spread = features.std()
    x = np.column_stack(((features - features.mean(0)) / spread, np.ones(80)))
    penalty = np.diag([0.1 * 80] * 9 + [0.0])
    exact = np.linalg.solve(x.T @ x + penalty, x.T @ np.eye(3)[labels])
    np.testing.assert_allclose(base.weights[:-1], exact[:-1] / spread, atol=1e-10)


def test_refuses_what_cannot_be_probed() -> None:
    features, labels, rng = planted(n=20)
    with pytest.raises(SettingsError, match="two classes"):
        LinearProbe.fit(features, np.zeros(20, dtype=int))
    with pytest.raises(SettingsError, match="19 labels"):
        LinearProbe.fit(features, labels[:19])
    with pytest.raises(SettingsError, match="held_out"):
        probe(features, labels, rng=rng, held_out=1.0)
