"""The optimiser as a variable: is the transfer a matter of AdamW, or of decay?"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import TrainedArm, completions, train_arm
from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import OptimiserSettings
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.training.optimiser import Optimiser

DECAYED, PLAIN, SGD, SIGN = "AdamW, decay 0.03", "AdamW, no decay", "SGD", "sign descent"
OPTIMISERS = {
    DECAYED: Optimiser("adamw", 5e-3, 0.03),
    PLAIN: Optimiser("adamw", 5e-3, 0.0),
    SGD: Optimiser("sgd", 0.3, 0.0),
    SIGN: Optimiser("sign", 5e-4, 0.0),
}
STD = 0.05  # of initial weights, where they are drawn
MODELS = {"factorised": 2, "combined": 1}  # by depth


def measure_many(settings: OptimiserSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Both models under four optimisers, on the same batches."""
    worlds = [RecallWorld.intact(n=settings.n)] * len(seeds)
    ledger = Rows(len(seeds))
    arms = {}
    for model, name in parts(list(product(MODELS, OPTIMISERS)), label=", ".join):
        arms[model, name] = arm = train_arm(
            worlds,
            seeds,
            architecture=Architecture(MODELS[model]),
            n_steps=settings.n_steps,
            optimiser=OPTIMISERS[name],
            # From the paper's constant start plain SGD does not leave the saddle in reasonable time.
            initialisation="gaussian" if name == SGD else "constant",
            std=STD,
            read_every=200,
        )
        ledger.failures(arm.diverged)
        for step, value in zip(arm.steps, arm.course("test_implication", "loss_nats"), strict=True):
            ledger.rows("curves", {"model": model, "optimiser": name, "step": step, "loss_nats": value})
    for model in MODELS:
        enter_model(ledger, model, {name: arms[model, name] for name in OPTIMISERS})
    ledger.estimand("all/worst_taught_loss", np.max([arm.worst_taught_loss() for arm in arms.values()], axis=0))
    ledger.estimand("untrained/worst_taught_loss", arms["factorised", DECAYED].worst_taught_loss(at=0))
    return ledger.measurements()


def enter_model(ledger: Rows, model: str, arms: Mapping[str, TrainedArm]) -> None:
    """What one model's trainings yield together, under its name."""
    loss = {name: arm.final("test_implication", "loss_nats") for name, arm in arms.items()}
    completion = {name: completions(arm.stack, arm.worlds, weighted=True) for name, arm in arms.items()}
    for name, found in completion.items():
        ledger.rows("completions", {"optimiser": name, "model": model, "completion": found})
    accuracy = [arm.final("test_implication", "family_accuracy") for arm in arms.values()]
    ledger.estimand(f"{model}/least_accuracy", np.min(accuracy, axis=0))
    ledger.estimand(f"{model}/largest_completion", np.max(np.abs(list(completion.values())), axis=0))
    ledger.estimand(f"{model}/log10_loss_without_decay", np.log10(loss[PLAIN] / loss[DECAYED]))
    ledger.estimand(f"{model}/completion_adamw_minus_sgd", completion[PLAIN] - completion[SGD])


def measure_nulls(settings: OptimiserSettings, seeds: Seeds) -> Measurement:
    """The same numbers of a product as it is drawn, which no optimiser has touched."""
    world, ledger = RecallWorld.intact(n=settings.n), Rows(1)
    stack = RecallStack.gaussian(world, Architecture(2), rngs=[seeds("init")], std=STD)
    arm = TrainedArm(stack, [world], (0,), [RecallProbe.sampled([world], [seeds]).read(stack)], (None,))
    enter_model(ledger, "untrained", dict.fromkeys(OPTIMISERS, arm))
    ledger.estimand("untrained/worst_taught_loss", arm.worst_taught_loss())
    (found,) = ledger.measurements()
    assert isinstance(found, Measurement)
    return found
