"""The two-parameter induction head in the corners of the data settings, and its cliff by the rate of its two numbers (C9)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio
from assay.studies.mechanisms.in_context_vs_in_weights.data import CONTRASTS, contrasts
from assay.studies.mechanisms.in_context_vs_in_weights.minimal_induction import MinimalInduction
from assay.studies.mechanisms.in_context_vs_in_weights.settings import MinimalSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import accuracies, optimiser_of, prepare
from assay.training.losses import Batch, answer_loss
from assay.training.sequence import Stage, draw_together, log_steps, train

LEARNT = 0.1  # accuracy on known classes in bursts, three times chance: below it the classifier is dead
ASKED = {"isolated": "ic", "memoriser": "iw"}


@dataclass(frozen=True)
class Model:
    """One of the models that are trained side by side.

    Attributes:
        arm: the regime it is trained in.
        held: whether its two numbers stay at zero, so that it cannot look up.
        rate: how many times as fast as the classifier they move.
    """

    arm: str
    held: bool = False
    rate: float = 1.0


def models_of(settings: MinimalSettings) -> list[Model]:
    """Every corner free and held, and the isolated regime and the memoriser at every rate."""
    corners = [Model(role, held) for role in settings.roles for held in (False, True)]
    return corners + [Model(arm, rate=rate) for arm in ASKED for rate in settings.rates]


def measure(settings: MinimalSettings, seeds: Seeds) -> Measurement:
    """One seed: all models in one program."""

    arms = {name: prepare(name, regime, settings, seeds, d_content=63, placed=False) for name, regime in settings.arms.items()}
    plan = models_of(settings)
    # Models of one arm start alike and see the same batches, whatever is done to their numbers.
    models = MinimalInduction(rng=[seeds.child(model.arm)("init") for model in plan], d_content=63, n_labels=32)
    models.hold(np.array([model.held for model in plan]))
    models.set_rates(np.array([model.rate for model in plan]))
    equal = {role: settings.read_step(regime) for role, regime in settings.roles.items()}
    early: dict[Model, dict[str, float]] = {}

    def observe(step: int, several: MinimalInduction) -> dict[str, float]:
        found = {}
        for place, model in enumerate(plan):
            if equal.get(model.arm) == step:
                early[model] = accuracies(several.run(place), arms[model.arm].sets, ("iw", "stranger"))
            if model.arm in ASKED:
                one = several.run(place)
                key = ASKED[model.arm]
                found[f"{model.arm}-{model.rate:g}/{key}"] = accuracies(one, arms[model.arm].sets, (key,))[key]
                found |= {f"{model.arm}-{model.rate:g}/{name}": value for name, value in one.parameters_by_name.items()}
        return found

    looks = sorted({*log_steps(settings.n_steps, per_decade=20), *equal.values()})
    draw = draw_together([arms[model.arm].draw for model in plan])
    stage: Stage[MinimalInduction, Batch] = Stage(
        settings.n_steps, draw, lambda m, batch: answer_loss(m(batch.inputs), batch.targets)
    )
    trace = train(models, stage, optimiser_of(settings), observe=observe, observe_at=looks)
    trace.raise_if_diverged()
    final = {
        (model.arm, model.held): accuracies(models.run(place), arms[model.arm].sets, ("ic", "known", "scrambled"))
        for place, model in enumerate(plan)
        if model.arm in settings.roles
    }
    cells = {
        role: final[role, False]
        | {
            "iw": early[Model(role)]["iw"],
            "held_ic": final[role, True]["ic"],
            "held_iw": early[Model(role, held=True)]["iw"],
            "cost": early[Model(role, held=True)]["iw"] - early[Model(role)]["iw"],
            "stranger_cost": early[Model(role, held=True)]["stranger"] - early[Model(role)]["stranger"],
        }
        for role in settings.roles
    }
    held = {role: {"ic": final[role, True]["ic"], "cost": 0.0, "scrambled": 0.0, "stranger_cost": 0.0} for role in cells}
    estimands = least_contrasts(cells, held) | {
        f"{'' if arm == 'isolated' else 'no-look-up-'}rate-{rate:g}/cliff": cliff_ratio(
            trace.steps, trace.series(f"{arm}-{rate:g}/{key}"), 0.25, 0.9
        )
        for arm, key in ASKED.items()
        for rate in settings.rates
    }
    curves: Table = [
        {"step": int(step), "measure": key, "value": float(value)}
        for key in ("ic", "beta_1", "alpha")
        for step, value in zip(trace.steps, trace.series(f"isolated-{settings.rates[-1]:g}/{key}"), strict=True)
        if step
    ]
    speeds: Table = [
        {"step": int(step), "rate": f"{rate:g}", "accuracy": float(value)}
        for rate in settings.rates
        for step, value in zip(trace.steps, trace.series(f"isolated-{rate:g}/ic"), strict=True)
        if step
    ]
    rows: Table = [
        {"cell": settings.corners[role], "reading": reading, "accuracy": found[reading]}
        for role, found in cells.items()
        for reading in ("ic", "iw", "held_ic", "held_iw")
    ]
    return Measurement(estimands, {"cells": rows, "curves": curves, "rates": speeds})


def least_contrasts(cells: Mapping[str, Mapping[str, float]], held: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The smallest of the six contrasts of the free models, of their controls, and of the models that cannot look up.

    nan where a model's classifier is dead: it answers nothing that it was trained on.
    """
    roles = {role: role for role in cells}
    free, frozen = contrasts(cells, roles), contrasts(held, roles)
    alive = min(cell["known"] for cell in cells.values()) > LEARNT
    arms = {
        "free": [free[f"{name}/{key}"] for name in CONTRASTS for key in ("ic_gain", "iw_cost")],
        "unanswerable": [free[f"{name}-{kind}"] for name in CONTRASTS for kind in ("scrambled/ic_gain", "stranger/iw_cost")],
        "no-look-up": [frozen[f"{name}/{key}"] for name in CONTRASTS for key in ("ic_gain", "iw_cost")],
    }
    return {f"{arm}/least_contrast": min(six) if alive else float("nan") for arm, six in arms.items()}
