"""Linear probes: can a quantity be read off activations by one matrix, and is that more than the probe's own skill?

A probe alone proves little: enough dimensions fit anything. So a reading comes with its controls: the same probe on shuffled
labels (what it memorises), and on the activations of an untrained model (what the input gives away). Source: Hewitt and Liang
2019, arXiv:1909.03368.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SettingsError

__all__ = ["LinearProbe", "ProbeReading", "probe"]


@dataclass(frozen=True)
class LinearProbe:
    """A least-squares classifier: the class whose fitted indicator is largest.

    Attributes:
        weights: [feature + 1, class]; the last row is the intercept.
        classes: the labels in the columns' order.
    """

    weights: Float[np.ndarray, "row class"]
    classes: Int[np.ndarray, " class"]

    @classmethod
    def fit(
        cls, features: Float[np.ndarray, "item feature"], labels: Int[np.ndarray, " label"], *, ridge: float = 1e-3
    ) -> "LinearProbe":
        """The exact minimiser of squared error plus ridge times squared weights, features taken relative to their spread.

        Raises:
            SettingsError: fewer than two classes, or features and labels of different number.
        """
        features, labels = np.asarray(features, dtype=float), np.asarray(labels)
        classes, which = np.unique(labels, return_inverse=True)
        if len(features) != len(labels) or len(classes) < 2:
            raise SettingsError(
                f"a probe needs a label for every item and at least two classes; got {len(features)} items, "
                f"{len(labels)} labels, {len(classes)} classes"
            )
        centre, spread = features.mean(0), features.std() + 1e-12
        x = (features - centre) / spread
        targets = np.eye(len(classes))[which]
        gram = x.T @ x / len(x) + ridge * np.eye(x.shape[1])
        slope = np.linalg.solve(gram, x.T @ (targets - targets.mean(0)) / len(x)) / spread
        return cls(np.vstack((slope, targets.mean(0) - centre @ slope)), classes)

    def predict(self, features: Float[np.ndarray, "item feature"]) -> Int[np.ndarray, " item"]:
        """The class of each item."""
        predicted: np.ndarray = self.classes[(features @ self.weights[:-1] + self.weights[-1]).argmax(1)]
        return predicted

    def accuracy(self, features: Float[np.ndarray, "item feature"], labels: Int[np.ndarray, " item"]) -> float:
        """Share of items whose class is right."""
        return float(np.mean(self.predict(features) == labels))


@dataclass(frozen=True)
class ProbeReading:
    """Accuracies on held-out items.

    Attributes:
        accuracy: of the probe.
        shuffled: of the same probe trained on shuffled labels.
        untrained: of the same probe on an untrained model's activations; nan when none were given.
        chance: of always naming the most frequent class.
    """

    accuracy: float
    shuffled: float
    untrained: float
    chance: float

    @property
    def selectivity(self) -> float:
        """Accuracy above the best control."""
        return self.accuracy - float(np.nanmax([self.shuffled, self.untrained, self.chance]))


def probe(
    features: Float[np.ndarray, "item feature"],
    labels: Int[np.ndarray, " item"],
    *,
    rng: np.random.Generator,
    untrained: Float[np.ndarray, "item feature"] | None = None,
    held_out: float = 0.5,
    ridge: float = 1e-3,
) -> ProbeReading:
    """How well labels can be read off features by one matrix, beside its controls, on items the probe has not seen.

    Args:
        features: activations, one row an item.
        labels: what is to be read.
        rng: splits the items and shuffles the labels.
        untrained: activations of the same items in a model with fresh weights.
        held_out: share of items the accuracies are taken on.
        ridge: see `LinearProbe.fit`.

    Raises:
        SettingsError: the share leaves no items to fit or to test on.
    """
    labels = np.asarray(labels)
    order = rng.permutation(len(labels))
    n_test = round(held_out * len(labels))
    if not 0 < n_test < len(labels):
        raise SettingsError(f"held_out must leave items to fit and items to test; got {held_out} of {len(labels)} items")
    test, fit = order[:n_test], order[n_test:]

    def accuracy(x: np.ndarray, y: np.ndarray) -> float:
        return LinearProbe.fit(x[fit], y[fit], ridge=ridge).accuracy(x[test], y[test])

    shuffled = labels.copy()
    shuffled[fit] = rng.permutation(labels[fit])
    values, counts = np.unique(labels[fit], return_counts=True)
    return ProbeReading(
        accuracy=accuracy(np.asarray(features), labels),
        shuffled=accuracy(np.asarray(features), shuffled),
        untrained=float("nan") if untrained is None else accuracy(np.asarray(untrained), labels),
        chance=float(np.mean(labels[test] == values[counts.argmax()])),
    )
