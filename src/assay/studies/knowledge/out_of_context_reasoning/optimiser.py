"""The optimiser as a variable: is the transfer a matter of AdamW, or of decay?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import trained
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["OPTIMISER"]

CLAIMS = (
    Claim(
        "optimiser.all",
        says="Whatever the optimiser (AdamW with decay and without, SGD, sign descent), the factorised model transfers: the "
        "least accuracy among implications is above 0.9.",
        source="ours",
        estimand="factorised/least_accuracy",
        rule=Above(0.9),
        margin="nine in ten; chance among ten implications is 0.1",
        control=Control("the combined model under the same optimisers", "combined/least_accuracy"),
    ),
    Claim(
        "optimiser.combined",
        says="Under none of them does the combined model transfer: its largest held-out margin is below 0.05 of the bridges'.",
        source="ours",
        estimand="combined/largest_completion",
        rule=Below(0.05),
        margin="a twentieth of the bridges' margin",
        control=Control("the factorised model's smallest", "factorised/least_completion"),
    ),
    Claim(
        "optimiser.fits",
        says="All of them fit: the largest taught loss over models and optimisers is below 0.05 nats.",
        source="ours",
        estimand="worst_taught_loss",
        rule=Below(0.05),
        margin="a twentieth of a nat, so that no optimiser is judged half-way",
        control=Control("before training", "untrained_taught_loss"),
    ),
    Claim(
        "optimiser.decay",
        says="Decay is not the cause, but it is a help: without it AdamW's held-out loss is more than twice as large "
        "after the same steps.",
        source="ours",
        estimand="factorised/log10_loss_without_over_with_decay",
        rule=Above(float(np.log10(2))),
        margin="a factor of two in the loss; decay on both factors is a nuclear-norm penalty",
        control=Control(
            "the combined model's held-out loss, which decay does not touch",
            "combined/log10_loss_without_over_with_decay",
        ),
    ),
    Claim(
        "optimiser.geometry",
        says="Adam's bias is not gradient descent's: AdamW without decay ends with a larger held-out margin than SGD.",
        source="ours",
        estimand="factorised/completion_adamw_minus_sgd",
        rule=Above(0.1),
        margin="in units of the bridges' margin, where the nuclear solution has 0.58",
        control=Control("the combined model: no held-out margin under either", "combined/completion_adamw_minus_sgd"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """One bridge and three held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("optimiser steps")] = 4_000


def measure_many(settings: Settings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Both models under four optimisers, on the same batches."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import block_completion, value_output
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.training.optimiser import Optimiser

    world = RecallWorld.intact(n=settings.n)
    optimisers = {
        "AdamW, decay 0.03": Optimiser("adamw", 5e-3, 0.03),
        "AdamW, no decay": Optimiser("adamw", 5e-3, 0.0),
        "SGD": Optimiser("sgd", 0.3, 0.0),
        "sign descent": Optimiser("sign", 5e-4, 0.0),
    }
    ledger = Rows(len(seeds))
    taught = []
    for i, (model, depth) in enumerate((("factorised", 2), ("combined", 1))):
        accuracy, completion, loss = {}, {}, {}
        for j, (name, optimiser) in enumerate(optimisers.items()):
            progress((4 * i + j) / 8, f"{model}, {name}")
            arm = trained(
                [world] * len(seeds),
                seeds,
                architecture=Architecture(depth),
                n_steps=settings.n_steps,
                optimiser=optimiser,
                # From the paper's constant start plain SGD does not leave the saddle in reasonable time.
                initialisation="gaussian" if optimiser.kind == "sgd" else "constant",
                std=0.05,
                read_every=200,
            )
            ledger.failures(arm.diverged)
            taught.append(arm.worst_taught_loss())
            accuracy[name] = arm.final("test_implication", "family_accuracy")
            loss[name] = arm.final("test_implication", "loss_nats")
            matrices = value_output(arm.stack, weighted=True)
            completion[name] = np.array([block_completion(W, world) for W in matrices])
            ledger.rows("completions", {"optimiser": name, "model": model, "completion": completion[name]})
            for step, value in zip(arm.steps, arm.course("test_implication", "loss_nats"), strict=True):
                ledger.rows("curves", {"model": model, "optimiser": name, "step": step, "loss_nats": value})
            if i == j == 0:
                ledger.estimand("untrained_taught_loss", arm.readings[0]["train_fact"].loss_nats)
        ledger.estimand(f"{model}/least_accuracy", np.min(list(accuracy.values()), axis=0))
        ledger.estimand(f"{model}/least_completion", np.min(list(completion.values()), axis=0))
        ledger.estimand(f"{model}/largest_completion", np.max(np.abs(list(completion.values())), axis=0))
        ratio = np.log10(loss["AdamW, no decay"] / loss["AdamW, decay 0.03"])
        ledger.estimand(f"{model}/log10_loss_without_over_with_decay", ratio)
        ledger.estimand(f"{model}/completion_adamw_minus_sgd", completion["AdamW, no decay"] - completion["SGD"])
    ledger.estimand("worst_taught_loss", np.max(taught, axis=0))
    return ledger.measurements()


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run of the design."""
    (found,) = measure_many(settings, [seeds])
    if isinstance(found, Diverged):
        raise found
    return found


OPTIMISER = Experiment(
    name="optimiser",
    question="Is the transfer a matter of the optimiser, or of decay?",
    cost="33 s",
    claims=CLAIMS,
    presets={"quick": Preset(Settings(n=4, n_steps=20), 2), "laptop": Preset(Settings(), 10)},
    measure=measure,
    measure_many=measure_many,
    batch=5,
    figures=(
        Figure(
            "curves",
            "Every optimiser transfers when there is a product to train",
            "Loss on held-out implications during training, for both models under four optimisers.",
            Lines(
                "curves",
                x="step",
                y="loss_nats",
                by="optimiser",
                panel="model",
                x_label="optimiser step",
                y_label="loss (nats)",
                y_scale="log",
                lines=(Line(float(np.log(10)), "chance"),),
            ),
            further=True,
        ),
        Figure(
            "completions",
            "How much of the bridges' margin the held-out subjects get",
            "The dotted line is the max-margin solution of least nuclear norm, which gradient descent is biased to.",
            Bars(
                "completions",
                x="optimiser",
                y="completion",
                by="model",
                x_label="optimiser",
                y_label="margin, held out / bridges",
                lines=(Line(float(np.sqrt(1 / 3)), "least nuclear norm"),),
            ),
            further=True,
        ),
    ),
)
