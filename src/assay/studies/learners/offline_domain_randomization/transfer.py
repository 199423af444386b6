"""C3, C5: a controller trained on drawn cart-poles meets the real one. What do records buy, and what does the entropy bonus?"""

import dataclasses
import math

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.meeting import (
    CART_POLE,
    another_truth,
    fit_law,
    real_cost,
    record_plant,
)
from assay.studies.learners.offline_domain_randomization.randomisation import Randomisation, uniform_randomisation
from assay.studies.learners.offline_domain_randomization.settings import TransferSettings
from assay.studies.learners.offline_domain_randomization.simulators import CartPole, draw_truth

SIMULATOR = CartPole(dt=0.04, substeps=4)
SCARCE, PLENTY = "four records, friction missing", "a hundred records, exact simulator"


def measure(settings: TransferSettings, seeds: Seeds) -> Measurement:
    """Costs on the real cart-pole of controllers trained on differently fitted laws, averaged over real systems."""
    rows: Table = []
    with part(0, 0.75, "scarce records"):
        for copy in parts(range(settings.n_scarce)):
            rows += _scarce(settings, seeds.child(f"scarce/{copy}"))
    with part(0.75, 1, "plenty of records"):
        for copy in parts(range(settings.n_plenty)):
            rows += _plenty(settings, seeds.child(f"plenty/{copy}"))

    def log_cost(records: str, law: str) -> float:
        found = [float(row["cost"]) for row in rows if row["records"] == records and row["law"] == law]
        return float(np.mean(np.log(found)))

    estimands: dict[str, float] = {}
    for arm, records in (("scarce", SCARCE), ("plenty", PLENTY)):
        with_bonus = log_cost(records, "fitted, bonus")
        estimands[f"{arm}/log_gain_of_bonus"] = log_cost(records, "fitted") - with_bonus
        estimands[f"{arm}/log_cost_of_tenfold_bonus"] = log_cost(records, "fitted, ten times the bonus") - with_bonus
    # The law without a record is the same with every bonus.
    estimands |= {"uniform/log_gain_of_bonus": 0.0, "uniform/log_cost_of_tenfold_bonus": 0.0}
    for arm, law in (
        ("uniform", "uniform"),
        ("fitted", "fitted"),
        ("other", "fitted to another system"),
        ("truth", "the truth"),
    ):
        estimands[f"{arm}/log_gain_over_uniform"] = log_cost(PLENTY, "uniform") - log_cost(PLENTY, law)
    table: Table = [
        {"records": records, "law": law, "cost": math.exp(log_cost(records, law))}
        for records, law in dict.fromkeys((str(row["records"]), str(row["law"])) for row in rows)
    ]
    return Measurement(estimands=estimands, tables={"transfer": table})


def _bonuses(settings: TransferSettings) -> dict[str, float]:
    return {"fitted": 0.0, "fitted, bonus": settings.bonus, "fitted, ten times the bonus": 10 * settings.bonus}


def _scarce(settings: TransferSettings, seeds: Seeds) -> Table:
    """Few records of a cart with friction, which the simulator lacks, fitted with three bonuses."""
    truth = draw_truth(SIMULATOR.parameters, seeds("truth"))
    real = dataclasses.replace(SIMULATOR, friction=settings.friction)
    data = record_plant(CART_POLE, real, truth, settings.few, sensor=settings.sensor, seeds=seeds)
    rows: Table = []
    for name, bonus in _bonuses(settings).items():
        law = fit_law(CART_POLE, data, settings.budgets, floor=settings.sensor**2, bonus=bonus, seeds=seeds)
        cost = real_cost(CART_POLE, law, settings.budgets, real, truth, seeds=seeds)
        rows.append({"records": SCARCE, "law": name, "cost": cost})
    return rows


def _plenty(settings: TransferSettings, seeds: Seeds) -> Table:
    """Where records are plenty and the simulator exact: the fitted laws, the uniform one, another system's, and the truth."""
    truth = draw_truth(SIMULATOR.parameters, seeds("truth"))
    data, strange = (
        record_plant(CART_POLE, SIMULATOR, xi, settings.plenty, sensor=settings.sensor, seeds=seeds)
        for xi in (truth, another_truth(SIMULATOR, truth))
    )
    floor = settings.sensor**2
    laws: dict[str, Randomisation | None] = {
        name: fit_law(CART_POLE, data, settings.budgets, floor=floor, bonus=bonus, seeds=seeds)
        for name, bonus in _bonuses(settings).items()
    }
    laws["fitted to another system"] = fit_law(CART_POLE, strange, settings.budgets, floor=floor, bonus=0.0, seeds=seeds)
    laws["uniform"] = uniform_randomisation(SIMULATOR.parameters)
    laws["the truth"] = None
    return [
        {
            "records": PLENTY,
            "law": name,
            "cost": real_cost(CART_POLE, law, settings.budgets, SIMULATOR, truth, seeds=seeds),
        }
        for name, law in laws.items()
    ]
