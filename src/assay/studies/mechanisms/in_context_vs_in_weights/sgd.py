"""One network by the paper's own optimiser, beside the many by Adam."""

from collections.abc import Mapping

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import FidelitySettings, Regime
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    accuracies,
    train_regimes,
    untrained,
)
from assay.training.sequence import log_steps


def measure(settings: FidelitySettings, seeds: Seeds) -> Measurement:
    """One seed: one network."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "ic2", "iw", "scrambled"))

    regime = Regime(settings.n_classes, settings.burst)
    looks = log_steps(settings.n_steps, per_decade=12)
    done = train_regimes({"sgd": regime}, settings, seeds, observe=observe, observe_at=looks)["sgd"]
    rows: Table = [
        {"step": int(step), "evaluation": key, "accuracy": float(value)}
        for key in ("ic", "ic2", "iw")
        for step, value in zip(done.trace.steps, done.curve(key), strict=True)
        if step
    ]
    return Measurement(
        {
            "trained/ic": done.last("ic"),
            "scrambled/ic": done.last("scrambled"),
            "trained/ic2": done.last("ic2"),
            "trained/iw": done.last("iw"),
        },
        {"course": rows},
    )


def measure_nulls(settings: FidelitySettings, seeds: Seeds) -> Measurement:
    """One seed of the same network before training."""
    return Measurement({"untrained/ic": measure(untrained(settings), seeds).estimands["trained/ic"]})
