"""The paper's symbolic system: factorised and combined models trained on minibatches, and exact descent behind them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import TrainedArm, completions, train_arm
from assay.studies.knowledge.out_of_context_reasoning.descent import enter_nulls, implicit_bias, margin_ratios
from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe, key_query_profile
from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import SymbolicSettings
from assay.studies.knowledge.out_of_context_reasoning.weights import enter_weights
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.training.optimiser import Optimiser

FACTORISED, COMBINED = Architecture(2), Architecture(1)
SUBJECTS = 8  # of each group, in the arms of sample efficiency
SOME_BRIDGES = (1, 2, 4, 7)
PLANTED_MARGIN = 20.0  # of taught answers, in logits


def measure_many(settings: SymbolicSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Every arm of the design for all seeds at once; arms share a seed's batches, so that their contrasts are paired."""
    ledger = Rows(len(seeds))
    for design in parts(list(DESIGNS), weights=list(DESIGNS.values()), label=lambda one: one.__name__.replace("_", " ")):
        design(settings, seeds, ledger)
    return ledger.measurements()


def measure_nulls(settings: SymbolicSettings, seeds: Seeds) -> Measurement:
    """The claims' numbers of networks as they are drawn, under the arm `untrained`."""
    ledger = Rows(1)
    world = reference_world(settings)
    stack = RecallStack.gaussian(world, FACTORISED, rngs=[seeds("init")])
    scores = [RecallProbe.sampled([world], [seeds]).read(stack)]
    enter_arm(ledger, "untrained", TrainedArm(stack, [world], (0,), scores, (None,)))
    enter_nulls(seeds, ledger)
    (found,) = ledger.measurements()
    assert isinstance(found, Measurement)
    return found


def reference_world(settings: SymbolicSettings, **sizes: int) -> RecallWorld:
    """The world of the settings, with some sizes replaced."""
    defaults = {name: getattr(settings, name) for name in ("n", "m_train", "m_test", "n_noise", "length")}
    return RecallWorld.intact(**(defaults | sizes))


def adamw(settings: SymbolicSettings) -> Optimiser:
    """The optimiser of the settings."""
    return Optimiser("adamw", settings.learning_rate, settings.weight_decay)


# ------------------------------------------------------------------------------------------------------ the headline arms


def headline(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Factorised against combined, and what there is to infer taken away: C1, C2, C4 and C9."""
    world = reference_world(settings)
    worlds = [world] * len(seeds)
    optimiser = adamw(settings)
    long = max(settings.n_steps_long, settings.n_steps)
    factorised = train_arm(worlds, seeds, architecture=FACTORISED, n_steps=settings.n_steps, optimiser=optimiser)
    combined = train_arm(worlds, seeds, architecture=COMBINED, n_steps=settings.n_steps, optimiser=optimiser)
    longer = train_arm(worlds, seeds, architecture=COMBINED, n_steps=long, optimiser=optimiser)
    for name, arm in (("factorised", factorised), ("combined", combined)):
        enter_arm(ledger, name, arm)
        enter_curves(ledger, name, arm)
        for tokens, weight in key_query_profile(arm.stack, world).items():
            ledger.rows("attention", {"model": name, "tokens": tokens, "weight": weight})
    enter_arm(ledger, "combined-longer", longer)
    ledger.estimand(
        "factorised-and-combined/worst_taught_loss", np.maximum(factorised.worst_taught_loss(), combined.worst_taught_loss())
    )
    ledger.estimand("untrained/worst_taught_loss", factorised.worst_taught_loss(at=0))
    enter_weights(ledger, world, factorised.stack, combined.stack)
    planted = plant(world, len(seeds))
    scores = [RecallProbe.sampled(worlds, seeds).read(planted)]
    enter_arm(ledger, "planted", TrainedArm(planted, worlds, (0,), scores, (None,) * len(seeds)))

    four = reference_world(settings, m_train=4)
    shuffled_worlds = [four.shuffled(node("shuffle")) for node in seeds]
    shuffled = train_arm(shuffled_worlds, seeds, architecture=FACTORISED, n_steps=settings.n_steps, optimiser=optimiser)
    unshuffled = train_arm([four] * len(seeds), seeds, architecture=FACTORISED, n_steps=settings.n_steps, optimiser=optimiser)
    enter_arm(ledger, "shuffled", shuffled)
    enter_arm(ledger, "four-bridges", unshuffled)
    ledger.estimand("shuffled-untrained/worst_taught_loss", shuffled.worst_taught_loss(at=0))
    for name, arm in (("one bridge a group", factorised), ("four bridges", unshuffled), ("four bridges, shuffled", shuffled)):
        for step, loss in zip(arm.steps, arm.course("test_implication", "loss_nats"), strict=True):
            ledger.rows("associations", {"association": name, "step": step, "loss_nats": loss})


def plant(world: RecallWorld, n_runs: int) -> RecallStack:
    """Models whose weights are the solution of least nuclear norm, with attention on subject and relation alone."""
    stack = RecallStack.constant(world, Architecture(1, key_query="fixed"), n_runs=n_runs, scale=0.0)
    W = torch.from_numpy(symmetric(world.n, world.m_train, world.m_test, "nuclear").matrix())
    stack.factors[0][:, stack.answer_rows, : W.shape[1]] = PLANTED_MARGIN * W.to(stack.dtype)
    return stack


def robustness(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Without decay, and with softmax attention: C12."""
    worlds = [reference_world(settings)] * len(seeds)
    plain = Optimiser("adamw", settings.learning_rate, 0.0)
    for depth, suffix in ((2, ""), (1, "-combined")):
        arm = train_arm(
            worlds, seeds, architecture=Architecture(depth), n_steps=settings.n_steps_long, optimiser=plain, read_every=500
        )
        enter_arm(ledger, "no-decay" + suffix, arm)
        soft = Architecture(depth, attention="softmax")
        arm = train_arm(
            worlds, seeds, architecture=soft, n_steps=settings.n_steps_slow, optimiser=adamw(settings), read_every=200
        )
        enter_arm(ledger, "softmax" + suffix, arm)


def efficiency(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """How few bridge subjects suffice: C8, with eight subjects in each of ten groups."""
    accuracy = {}
    for m_train in (0, *SOME_BRIDGES):
        world = reference_world(settings, n=min(10, settings.n), m_train=m_train, m_test=SUBJECTS - m_train)
        arm = train_arm(
            [world] * len(seeds),
            seeds,
            architecture=FACTORISED,
            n_steps=settings.n_steps_slow,
            optimiser=adamw(settings),
            read_every=500,
        )
        ledger.failures(arm.diverged)
        accuracy[m_train] = arm.final("test_implication", "accuracy")
        ledger.rows("efficiency", {"bridges": f"{m_train} of {SUBJECTS}", "accuracy": accuracy[m_train]})
    ledger.estimand("some-bridges/test_accuracy", np.min([accuracy[m] for m in SOME_BRIDGES], axis=0))
    ledger.estimand("no-bridges/test_accuracy", accuracy[0])


def rank_sweep(settings: SymbolicSettings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Hidden widths from 1 up, from a Gaussian start: C11."""
    worlds = [reference_world(settings)] * len(seeds)
    wide = [width for width in settings.widths if width >= 8]
    test_loss, accuracy, taught_loss = {}, {}, {}
    for width in (1, 3, 4, *wide):
        n_steps = steps_of(width, settings)
        arm = train_arm(
            worlds,
            seeds,
            architecture=Architecture(2, d_hidden=width),
            n_steps=n_steps,
            optimiser=adamw(settings),
            initialisation="gaussian",
            read_every=n_steps,
        )
        ledger.failures(arm.diverged)
        test_loss[width], accuracy[width] = (arm.final("test_implication", what) for what in ("loss_nats", "accuracy"))
        taught_loss[width] = arm.worst_taught_loss()
        if width > 1:
            for kind, loss in (("held-out implication", test_loss[width]), ("worst taught kind", taught_loss[width])):
                ledger.rows("rank", {"d_hidden": width, "kind": kind, "loss_nats": loss})
    for width in (1, 3, 4):
        ledger.estimand(f"width-{width}/test_loss", test_loss[width])
        ledger.estimand(f"width-{width}/test_accuracy", accuracy[width])
    ledger.estimand("width-8-up/test_loss", np.max([test_loss[width] for width in wide], axis=0))
    ledger.estimand("width-8-up/test_accuracy", np.min([accuracy[width] for width in wide], axis=0))
    ledger.estimand("width-3-up/worst_taught_loss", np.max([taught_loss[width] for width in (3, 4, *wide)], axis=0))
    ledger.estimand("width-1/worst_taught_loss", taught_loss[1])


def steps_of(width: int, settings: SymbolicSettings) -> int:
    """How long a width is trained: the two about the threshold longest, and eight, the next, longer than the others."""
    if width in (3, 4):
        return settings.n_steps_narrow
    return max(settings.n_steps_long, settings.n_steps_wide) if width == 8 else settings.n_steps_wide


# Each design with its share of the time at the laptop preset.
DESIGNS: dict[Callable[[SymbolicSettings, Sequence[Seeds], Rows], None], float] = {
    headline: 0.13,
    robustness: 0.20,
    efficiency: 0.14,
    implicit_bias: 0.02,
    margin_ratios: 0.10,
    rank_sweep: 0.41,
}


# ------------------------------------------------------------------------------------------------------------- the numbers


def enter_arm(ledger: Rows, name: str, arm: TrainedArm) -> None:
    """The estimands that every trained arm has, under its name."""
    ledger.failures(arm.diverged)
    ledger.estimand(f"{name}/test_loss", arm.final("test_implication", "loss_nats"))
    ledger.estimand(f"{name}/test_accuracy", arm.final("test_implication", "accuracy"))
    ledger.estimand(f"{name}/accuracy_over_chance", arm.final("test_implication", "family_accuracy") * arm.worlds[0].n)
    ledger.estimand(f"{name}/worst_taught_loss", arm.worst_taught_loss())
    ledger.estimand(f"{name}/least_excess", arm.least_excess())
    ledger.estimand(f"{name}/completion", completions(arm.stack, arm.worlds, weighted=True))


def enter_curves(ledger: Rows, name: str, arm: TrainedArm) -> None:
    """The losses by kind of question at every evaluation."""
    for kind in arm.worlds[0].kinds:
        for step, loss in zip(arm.steps, arm.course(kind, "loss_nats"), strict=True):
            ledger.rows("curves", {"model": name, "kind": kind, "step": step, "loss_nats": loss})
