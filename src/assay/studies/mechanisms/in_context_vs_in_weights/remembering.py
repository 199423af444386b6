"""Whether looking up takes the place of remembering, few classes against many (C1.weights).

Each network stands beside a twin that cannot look up: from the same start, asked the same questions about the same items, with
labels at random in the context. Both are read when each class has been asked equally often.
"""

from collections.abc import Mapping
from dataclasses import replace

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import RememberingSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import Setting, accuracies, train_regimes, untrained

READ = {"classes": "iw", "classes-stranger": "stranger"}
TWIN = "cannot look up"


def measure(settings: RememberingSettings, seeds: Seeds) -> Measurement:
    """One seed: for each number of classes a network and its twin."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", *READ.values()))

    costs: dict[int, dict[str, float]] = {}
    course: Table = []
    for k, regime in parts(list(settings.regimes.items()), weights=[settings.steps(k) for k in settings.classes]):
        own, n_steps = f"K={k}", settings.steps(k)
        twin = f"{own}, {TWIN}"
        looks = sorted({max(1, round(n_steps * i / settings.n_looks)) for i in range(1, settings.n_looks + 1)})
        done = train_regimes(
            {own: regime, twin: regime.without_look_up},
            replace(settings, n_steps=n_steps), seeds, observe=observe, observe_at=looks, twins={twin: own},
        )  # fmt: skip
        costs[k] = {arm: done[twin].last(key) - done[own].last(key) for arm, key in READ.items()}
        course += [
            {"network": name, "questions": step * settings.batch / k, "evaluation": key, "accuracy": float(value)}
            for name, trained in done.items()
            for key in ("ic", "iw")
            for step, value in zip(trained.trace.steps, trained.curve(key), strict=True)
        ]
    few, many = costs[settings.classes[0]], costs[settings.classes[-1]]
    return Measurement({f"{arm}/iw_cost": many[arm] - few[arm] for arm in READ}, {"course": course})


def measure_nulls(settings: RememberingSettings, seeds: Seeds) -> Measurement:
    """One seed of the same networks before training."""
    return Measurement({"untrained/iw_cost": measure(untrained(settings), seeds).estimands["classes/iw_cost"]})
