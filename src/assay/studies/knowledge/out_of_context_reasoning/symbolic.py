"""The paper's symbolic system: the claims C1 to C12, each with what could have refuted it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen, doc
from jaxtyping import Float
from numpy import ndarray

from assay.claims.charts import Bars, Figure, Heat, Line, Lines, Scatter
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import Arm, descended, trained
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["SYMBOLIC"]

PAPER = "arXiv:2506.10887, "

CLAIMS = (
    Claim(
        "C1",
        says="The factorised model infers: its loss on held-out implications falls below 0.1 nats in 2,000 steps.",
        source=PAPER + "section 3, figure 2",
        estimand="factorised/test_loss",
        rule=Below(0.1),
        margin="0.1 nats is nine right answers in ten by probability; chance is log 20 = 3.0",
        control=Control("implications shuffled over the bridge subjects: nothing to infer", "shuffled/test_loss"),
        paper_value="about 0",
    ),
    Claim(
        "C1.accuracy",
        says="The factorised model's first answer to held-out implications is right in more than 95% of cases.",
        source=PAPER + "section 3, figure 2",
        estimand="factorised/test_accuracy",
        rule=Above(0.95),
        margin="the paper's picture shows 1; 0.95 leaves three of 60 subjects for runs that are a little late",
        control=Control("implications shuffled over the bridge subjects: hardly ever right", "shuffled/test_accuracy"),
        paper_value=1.0,
    ),
    Claim(
        "C2",
        says="The combined model never infers: at no evaluation is its loss on held-out implications below chance, log n.",
        source=PAPER + "section 3, figure 2; theorem 3",
        estimand="combined/least_excess",
        rule=Above(-0.05),
        margin="theorem 3 bounds the loss by log n under exact gradients; minibatch noise gets 0.05 nats of room",
        control=Control("the factorised model on the same batches falls far below", "factorised/least_excess"),
        paper_value=">= log 20",
    ),
    Claim(
        "C2.longer",
        says="Five times the steps do not help the combined model.",
        source=PAPER + "theorem 3 (for all times)",
        estimand="combined/least_excess_long",
        rule=Above(-0.05),
        margin="as C2",
        control=Control("the factorised model, a fifth of the steps", "factorised/least_excess"),
        paper_value=">= log 20",
    ),
    Claim(
        "C2.accuracy",
        says="Among implications, the combined model's first answer is right no more often than by chance.",
        source=PAPER + "section 3",
        estimand="combined/accuracy_over_chance",
        rule=Below(2.7),
        margin="in units of chance 1/n: one run asks 60 subjects, and 1 + 3 standard errors of their mean is 2.7",
        control=Control("the factorised model: nearly always right, n times chance", "factorised/accuracy_over_chance"),
        paper_value=1.0,
    ),
    Claim(
        "C2.fits",
        says="Both models learn what they are taught: every taught kind's loss is below 0.02 nats after 2,000 steps.",
        source=PAPER + "section 3, figure 2",
        estimand="worst_taught_loss",
        rule=Below(0.02),
        margin="both are taught alike, so that the difference on held-out implications is no difference of fit",
        control=Control("before training: log of the vocabulary", "untrained_taught_loss"),
        paper_value="about 0",
    ),
    Claim(
        "C3",
        says="The combined model can express the factorised solution: with W_OV set to W_O W_V it has the same held-out loss.",
        source=PAPER + "proposition 1",
        estimand="graft_difference",
        rule=Below(1e-5),
        margin="single precision: the same sums in another order",
        summary="every",
        control=Control("the combined model as training leaves it: another loss", "trained_difference"),
        paper_value=0.0,
    ),
    Claim(
        "C4",
        says="In the factorised model's weights the held-out subjects' implication block repeats the bridges' block.",
        source=PAPER + "section 3, weight figure",
        estimand="factorised/completion",
        rule=Above(0.3),
        margin="0 is an empty block and 1 a copy; the max-margin value here is 0.58, half of it counts as a repeat",
        control=Control("the combined model's block", "combined/completion"),
        paper_value="same stripes",
    ),
    Claim(
        "C4.empty",
        says="In the combined model's weights that block is empty.",
        source=PAPER + "section 3, weight figure",
        estimand="combined/completion",
        rule=Within(-0.02, 0.02),
        margin="two hundredths of the bridges' block: the noise of minibatches in blocks that no label touches",
        control=Control("the factorised model's block", "factorised/completion"),
        paper_value=0.0,
    ),
    Claim(
        "C5",
        says="The max-margin solutions are the closed forms: a conic solver's norm and held-out margin agree to 1e-3.",
        source=PAPER + "section 4, theorem 2; closed form derived",
        estimand="closed_form/error",
        rule=Below(1e-3),
        summary="every",
        margin="interior-point solvers stop at relative gaps far below",
        control=Control("an earlier statement of the margin, m_train/(m_train + m_test), in its place", "older_form/error"),
        paper_value="equal",
    ),
    Claim(
        "C6",
        says="Descent on the product finds least nuclear norm: within 5% of the optimum at unit margin.",
        source=PAPER + "theorem 1",
        estimand="factorised/nuclear_excess",
        rule=Below(0.05),
        margin="the Frobenius solution of this world is 10% above the optimum; half-way is nobody's direction",
        control=Control("descent on the single matrix ends where the nuclear norm is larger", "combined/nuclear_excess"),
        paper_value="0 in the limit",
    ),
    Claim(
        "C6.frobenius",
        says="Descent on the single matrix finds least Frobenius norm: within 5% of the optimum at unit margin.",
        source=PAPER + "theorem 1",
        estimand="combined/frobenius_excess",
        rule=Below(0.05),
        margin="the nuclear solution of this world is 13% above the optimum",
        control=Control("descent on the product ends where the Frobenius norm is larger", "factorised/frobenius_excess"),
        paper_value="0 in the limit",
    ),
    Claim(
        "C6.shape",
        says="The product's matrix has the shape of the least nuclear norm, not that of the least Frobenius norm: it is nearer "
        "to the former.",
        source="ours, from theorem 1",
        estimand="factorised/nearer_to_nuclear",
        rule=Above(0.1),
        margin="difference of two distances between centred matrices of norm 1; the two solutions are 0.5 apart",
        control=Control("the single matrix is nearer to the other", "combined/nearer_to_nuclear"),
        paper_value="same picture",
    ),
    Claim(
        "C7",
        says="With attention trained, exact gradients and a symmetric start, the combined model's held-out loss is at "
        "least log n at every step, in whatever world and from whatever constant.",
        source=PAPER + "theorem 3",
        estimand="combined/bound_excess",
        rule=Above(-1e-6),
        summary="every",
        margin="double precision; each run draws its own sizes and starting constant",
        control=Control("the factorised model breaks the bound from the same start", "factorised/bound_excess"),
        paper_value=">= 0",
    ),
    Claim(
        "C8",
        says="One bridge subject per group is enough: with 1, 2, 4 or 7 bridges of 8 the held-out accuracy is above 95%.",
        source=PAPER + "theorem 2, sample efficiency",
        estimand="efficiency/least_accuracy",
        rule=Above(0.95),
        margin="the paper says OCR for every m_train > 0; 0.95 as in C1.accuracy",
        control=Control("no bridge subject at all: nothing to transfer", "efficiency/accuracy_without_bridges"),
        paper_value=1.0,
    ),
    Claim(
        "C8.order",
        says="The held-out margin of converged factorised models rises with the share of bridges: 1:7, then 1:3, then 2:3.",
        source=PAPER + "theorem 2",
        estimand=("margin/factorised/1:7", "margin/factorised/1:3", "margin/factorised/2:3"),
        rule=Ordered(0.05),
        margin="the closed form's steps are 0.20 and 0.24; a quarter of a step is still a step",
        control=Control(
            "converged combined models: no margin, so no order",
            ("margin/combined/1:7", "margin/combined/1:3", "margin/combined/2:3"),
        ),
        paper_value="sqrt(m_train/m_test): 0.38, 0.58, 0.82",
    ),
    Claim(
        "C8.bound",
        says="That margin is at least min(sqrt(m_train/m_test), 1), for five shares of bridges.",
        source=PAPER + "theorem 2",
        estimand="margin/least_above_bound",
        rule=Above(-0.05),
        margin="the theorem speaks of the limit; directions still move by 0.05 at the margins that we reach",
        control=Control("converged combined models: the margin is 0", "margin/combined_least_above_bound"),
        paper_value=">= 0",
    ),
    Claim(
        "C8.value",
        says="That margin equals min(sqrt(m_train/m_test), 1), the nuclear-norm solution's, from a small start.",
        source="ours, from theorems 1 and 2",
        estimand="margin/farthest_from_value",
        rule=Below(0.05),
        margin="as C8.bound",
        control=Control("converged combined models: far from it", "margin/combined_farthest_from_value"),
        paper_value=0.0,
    ),
    Claim(
        "C8.start",
        says="Where bridges are rare the start decides: from small weights descent ends at the solution of least rank, "
        "whose nuclear norm is hardly above the optimum and whose held-out margin is larger.",
        source="ours",
        estimand="margin/low_rank_share_small_start",
        rule=Above(0.5),
        margin="0 is the margin of least nuclear norm, 1 that of least Schatten-2/3 norm (least rank); half-way decides",
        control=Control(
            "from ordinary weights (std 0.3) it ends nearer the least nuclear norm's margin",
            "margin/low_rank_share_ordinary_start",
        ),
    ),
    Claim(
        "C9",
        says="Without an association there is nothing to infer: with implications shuffled over four bridges per group, "
        "held-out accuracy among implications is at chance.",
        source=PAPER + "section 3; control of the paper's reading",
        estimand="shuffled/accuracy_over_chance",
        rule=Below(2.7),
        margin="as C2.accuracy",
        control=Control("the same world unshuffled", "four_bridges/accuracy_over_chance"),
        paper_value=1.0,
    ),
    Claim(
        "C9.fits",
        says="The shuffled implications are learnt all the same: every taught kind's loss is below 0.02 nats.",
        source=PAPER + "section 3",
        estimand="shuffled/worst_taught_loss",
        rule=Below(0.02),
        margin="as C2.fits",
        control=Control("before training", "untrained_taught_loss"),
        paper_value="about 0",
    ),
    Claim(
        "C10",
        says="Causal or spurious is in the eye of the beholder: under another bijection the learning curve is the same.",
        source=PAPER + "section 1 and 3",
        estimand="other_rule/curve_difference",
        rule=Within(-0.3, 0.3),
        margin="mean difference over the curve in nats; a tenth of chance, log 20 = 3.0. The two arms share no randomness",
        control=Control("shuffled implications: another curve altogether", "shuffled/curve_difference"),
        paper_value="no difference",
    ),
    Claim(
        "C11",
        says="A hidden width of 4 is enough to infer: held-out loss below 0.1 nats.",
        source=PAPER + "figure 6",
        estimand="rank/test_loss_at_4",
        rule=Below(0.1),
        margin="as C1",
        control=Control("a hidden width of 3", "rank/test_loss_at_3"),
        paper_value="works for d_h >= 4",
    ),
    Claim(
        "C11.wider",
        says="So is every width from 8 to 128: the largest of their held-out losses is below 0.1 nats.",
        source=PAPER + "figure 6",
        estimand="rank/largest_test_loss_from_8",
        rule=Below(0.1),
        margin="as C1",
        control=Control("a hidden width of 3", "rank/test_loss_at_3"),
        paper_value="works for d_h >= 4",
    ),
    Claim(
        "C11.three",
        says="A hidden width of 3 is too little to infer: held-out loss above 1 nat.",
        source=PAPER + "figure 6",
        estimand="rank/test_loss_at_3",
        rule=Above(1.0),
        margin="1 nat is a third of chance, and ten times what counts as inferring",
        control=Control("a hidden width of 4", "rank/test_loss_at_4"),
        paper_value="fails for d_h = 3",
    ),
    Claim(
        "C11.fits",
        says="Every width from 3 on learns what it is taught: the largest taught loss is below 0.02 nats.",
        source=PAPER + "figure 6",
        estimand="rank/worst_taught_loss",
        rule=Below(0.02),
        margin="as C2.fits",
        control=Control("a hidden width of 1, which cannot hold 40 answers apart", "rank/taught_loss_at_1"),
        paper_value="about 0",
    ),
    Claim(
        "C12.decay",
        says="Inference is no artefact of weight decay: without it the factorised model still gets below 0.1 nats, later.",
        source="ours; the paper's headline runs use decay 0.03",
        estimand="no_decay/test_loss",
        rule=Below(0.1),
        margin="as C1; decay on both factors is itself a nuclear-norm penalty, so it must be taken away",
        control=Control("the combined model without decay", "no_decay_combined/test_loss"),
    ),
    Claim(
        "C12.decay-combined",
        says="Nor does its absence let the combined model infer.",
        source="ours",
        estimand="no_decay_combined/least_excess",
        rule=Above(-0.05),
        margin="as C2",
        control=Control("the factorised model without decay", "no_decay/least_excess"),
    ),
    Claim(
        "C12.softmax",
        says="Inference is no artefact of linear attention: with softmax attention the factorised model gets below 0.1 nats.",
        source="ours; the official code has the variant",
        estimand="softmax/test_loss",
        rule=Below(0.1),
        margin="as C1",
        control=Control("the combined model with softmax attention", "softmax_combined/test_loss"),
    ),
    Claim(
        "C12.softmax-combined",
        says="Nor does softmax attention let the combined model infer.",
        source="ours",
        estimand="softmax_combined/least_excess",
        rule=Above(-0.05),
        margin="as C2",
        control=Control("the factorised model with softmax attention", "softmax/least_excess"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The reference system of the paper; the other sizes are the arms'."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 20
    m_train: Annotated[int, Ge(1), doc("bridge subjects in each group")] = 1
    m_test: Annotated[int, Ge(1), doc("held-out subjects in each group")] = 3
    n_noise: Annotated[int, Ge(1), doc("noise tokens in the vocabulary")] = 5
    length: Annotated[int, Ge(4), doc("tokens in a sequence")] = 16
    learning_rate: Annotated[float, Gt(0), doc("of AdamW, constant")] = 5e-3
    weight_decay: Annotated[float, Ge(0), doc("of AdamW, decoupled")] = 0.03
    n_steps: Annotated[int, Ge(1), doc("optimiser steps of the headline arms")] = 2_000
    n_steps_long: Annotated[int, Ge(1), doc("steps of the combined model's second chance, and of the arms without decay")] = (
        10_000
    )
    n_steps_slow: Annotated[int, Ge(1), doc("steps of the softmax and sample-efficiency arms")] = 4_000
    widths: Annotated[tuple[int, ...], MinLen(1), doc("hidden widths of the rank sweep beyond 3 and 4, from 8 on")] = (
        8,
        16,
        32,
        64,
        128,
    )
    n_steps_narrow: Annotated[int, Ge(1), doc("steps at the widths 3 and 4, where the threshold lies")] = 12_000
    n_steps_wide: Annotated[int, Ge(1), doc("steps at the other widths")] = 3_000
    n_steps_descent: Annotated[int, Ge(1), doc("steps of normalised descent on the exact population")] = 3_000
    n_steps_population: Annotated[int, Ge(1), doc("steps of the arms with exact gradients and trained attention")] = 1_500


QUICK = Settings(
    n=4, n_noise=2, length=6, n_steps=40, n_steps_long=60, n_steps_slow=40, widths=(8,), n_steps_narrow=40, n_steps_wide=40,
    n_steps_descent=60, n_steps_population=20,
)  # fmt: skip
PAPER_SCALE = Settings(widths=(8, 16, 32, 64, 128), n_steps_narrow=20_000, n_steps_wide=20_000, n_steps_descent=10_000)


def measure_many(settings: Settings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Every arm of the design for all seeds at once; arms share a seed's batches, so that their contrasts are paired."""
    ledger = Rows(len(seeds))
    done = 0.0
    for part, share in PARTS:
        progress(done, part.__name__.replace("_", " "))
        part(settings, seeds, ledger)
        done += share
    return ledger.measurements()


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run of the design."""
    (found,) = measure_many(settings, [seeds])
    if isinstance(found, Diverged):
        raise found
    return found


# ------------------------------------------------------------------------------------------------------ the headline arms


def reference_world(settings: Settings, **sizes: int) -> RecallWorld:
    """The world of the settings, with some sizes replaced."""
    defaults = {name: getattr(settings, name) for name in ("n", "m_train", "m_test", "n_noise", "length")}
    return RecallWorld.intact(**(defaults | sizes))


def headline(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Factorised against combined: C1 to C4, and the factorised arms with which C10 compares."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe, key_query_profile
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.training.optimiser import Optimiser

    world = reference_world(settings)
    worlds = [world] * len(seeds)
    adamw = Optimiser("adamw", settings.learning_rate, settings.weight_decay)
    long = max(settings.n_steps_long, settings.n_steps)
    factorised = trained(worlds, seeds, architecture=Architecture(2), n_steps=settings.n_steps, optimiser=adamw)
    combined = trained(worlds, seeds, architecture=Architecture(1), n_steps=settings.n_steps, optimiser=adamw)
    longer = trained(worlds, seeds, architecture=Architecture(1), n_steps=long, optimiser=adamw, read_every=500)
    for name, arm in (("factorised", factorised), ("combined", combined)):
        enter_arm(ledger, name, arm)
        enter_curves(ledger, name, arm)
        for tokens, weight in key_query_profile(arm.stack, world).items():
            ledger.rows("attention", {"model": name, "tokens": tokens, "weight": weight})
    ledger.failures(longer.diverged)
    ledger.estimand("combined/least_excess_long", least_excess(longer))
    ledger.estimand("worst_taught_loss", np.maximum(factorised.worst_taught_loss(), combined.worst_taught_loss()))
    ledger.estimand("untrained_taught_loss", factorised.readings[0]["train_fact"].loss_nats)

    probe = RecallProbe.sampled(worlds, seeds)
    grafted = probe.read(factorised.stack.combined())["test_implication"].loss_nats
    ledger.estimand("graft_difference", np.abs(grafted - factorised.final("test_implication", "loss_nats")))
    between = combined.final("test_implication", "loss_nats") - factorised.final("test_implication", "loss_nats")
    ledger.estimand("trained_difference", np.abs(between))
    enter_weights(ledger, world, factorised, combined)

    # The curve of another rule shares no batch with the intact one: a two-sample comparison, not a relabelled copy.
    others = [node.child("other rule") for node in seeds]
    ruled = [world.with_rule(node("rule").permutation(world.n)) for node in others]
    other = trained(ruled, others, architecture=Architecture(2), n_steps=settings.n_steps, optimiser=adamw)
    enter_arm(ledger, "other_rule", other)
    ledger.estimand("other_rule/curve_difference", mean_loss(other) - mean_loss(factorised))

    four = reference_world(settings, m_train=4)
    shuffled_worlds = [four.shuffled(node("shuffle")) for node in seeds]
    shuffled = trained(shuffled_worlds, seeds, architecture=Architecture(2), n_steps=settings.n_steps, optimiser=adamw)
    unshuffled = trained([four] * len(seeds), seeds, architecture=Architecture(2), n_steps=settings.n_steps, optimiser=adamw)
    enter_arm(ledger, "shuffled", shuffled)
    enter_arm(ledger, "four_bridges", unshuffled)
    ledger.estimand("shuffled/curve_difference", mean_loss(shuffled) - mean_loss(factorised))
    for name, arm in (("intact", factorised), ("another bijection", other), ("shuffled, 4 bridges", shuffled)):
        for step, loss in zip(arm.steps, arm.course("test_implication", "loss_nats"), strict=True):
            ledger.rows("associations", {"association": name, "step": step, "loss_nats": loss})


def robustness(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Without decay, and with softmax attention: C12."""
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.training.optimiser import Optimiser

    worlds = [reference_world(settings)] * len(seeds)
    plain = Optimiser("adamw", settings.learning_rate, 0.0)
    decayed = Optimiser("adamw", settings.learning_rate, settings.weight_decay)
    for depth, suffix in ((2, ""), (1, "_combined")):
        arm = trained(
            worlds, seeds, architecture=Architecture(depth), n_steps=settings.n_steps_long, optimiser=plain, read_every=500
        )
        enter_arm(ledger, "no_decay" + suffix, arm)
        soft = Architecture(depth, attention="softmax")
        arm = trained(worlds, seeds, architecture=soft, n_steps=settings.n_steps_slow, optimiser=decayed, read_every=200)
        enter_arm(ledger, "softmax" + suffix, arm)


def efficiency(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """How few bridge subjects suffice: C8, with eight subjects in each of ten groups."""
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.training.optimiser import Optimiser

    adamw = Optimiser("adamw", settings.learning_rate, settings.weight_decay)
    accuracy = {}
    for m_train in (0, 1, 2, 4, 7):
        world = reference_world(settings, n=min(10, settings.n), m_train=m_train, m_test=8 - m_train)
        arm = trained(
            [world] * len(seeds),
            seeds,
            architecture=Architecture(2),
            n_steps=settings.n_steps_slow,
            optimiser=adamw,
            read_every=500,
        )
        ledger.failures(arm.diverged)
        accuracy[m_train] = arm.final("test_implication", "accuracy")
        ledger.rows("efficiency", {"bridges": f"{m_train} of 8", "accuracy": accuracy[m_train]})
    ledger.estimand("efficiency/least_accuracy", np.min([accuracy[m] for m in (1, 2, 4, 7)], axis=0))
    ledger.estimand("efficiency/accuracy_without_bridges", accuracy[0])


def rank_sweep(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Hidden widths from 3 up, from a Gaussian start: C11."""
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.training.optimiser import Optimiser

    world = reference_world(settings)
    adamw = Optimiser("adamw", settings.learning_rate, settings.weight_decay)
    wide = [width for width in settings.widths if width >= 8]
    test_loss, taught_loss = {}, {}
    for width in (1, 3, 4, *wide):
        n_steps = settings.n_steps_narrow if width in (3, 4) else settings.n_steps_wide
        arm = trained(
            [world] * len(seeds),
            seeds,
            architecture=Architecture(2, d_hidden=width),
            n_steps=n_steps,
            optimiser=adamw,
            initialisation="gaussian",
            read_every=n_steps,
        )
        ledger.failures(arm.diverged)
        test_loss[width], taught_loss[width] = arm.final("test_implication", "loss_nats"), arm.worst_taught_loss()
        if width > 1:
            for kind, loss in (("held-out implication", test_loss[width]), ("worst taught kind", taught_loss[width])):
                ledger.rows("rank", {"d_hidden": width, "kind": kind, "loss_nats": loss})
    ledger.estimand("rank/test_loss_at_3", test_loss[3])
    ledger.estimand("rank/test_loss_at_4", test_loss[4])
    ledger.estimand("rank/largest_test_loss_from_8", np.max([test_loss[width] for width in wide], axis=0))
    ledger.estimand("rank/worst_taught_loss", np.max([taught_loss[width] for width in (3, 4, *wide)], axis=0))
    ledger.estimand("rank/taught_loss_at_1", taught_loss[1])


# ------------------------------------------------------------------------------------------------------ theory at its scale


NORMS: tuple[Literal["nuclear", "frobenius"], ...] = ("nuclear", "frobenius")


def closed_forms(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """The conic solver against the closed forms, on two triples (n, m_train, m_test) of each run's own: C5."""
    from assay.studies.knowledge.out_of_context_reasoning.max_margin import MarginProblem, solve, symmetric

    triples = [(n, m_train, m_test) for n in (3, 4) for m_train in (1, 2, 3) for m_test in (1, 2, 3) if m_train + m_test < 6]
    errors, older_errors = [], []
    for node in seeds:
        found, older = [], []
        for pick in node("triples").permutation(len(triples))[:2]:
            n, m_train, m_test = triples[pick]
            world = RecallWorld.intact(n=n, m_train=m_train, m_test=m_test, n_noise=0, length=3)
            for norm in NORMS:
                exact, conic = symmetric(n, m_train, m_test, norm), solve(MarginProblem.of(world), norm)
                margin = held_out_margins(conic.W, world)
                found += [abs(conic.certificate.value / exact.value - 1), float(np.abs(margin - exact.completion).max())]
                if norm == "nuclear":
                    older.append(float(np.abs(margin - m_train / (m_train + m_test)).max()))
        errors.append(max(found))
        older_errors.append(max(older))
    ledger.estimand("closed_form/error", errors)
    ledger.estimand("older_form/error", older_errors)


def implicit_bias(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Norms at unit margin after long descent from small weights: C6, in eight groups with two bridges and two held out."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import shape_distance, value_output
    from assay.studies.knowledge.out_of_context_reasoning.max_margin import MarginProblem, norm_of, symmetric
    from assay.studies.knowledge.out_of_context_reasoning.spectra import effective_rank

    world = RecallWorld.intact(n=8, m_train=2, m_test=2, n_noise=0, length=3)
    problem = MarginProblem.of(world)
    for name, depth, step_size in (("factorised", 2, 0.02), ("combined", 1, 0.1)):
        stack, diverged = descended(
            [world] * len(seeds), seeds, depth=depth, std=1e-3, n_steps=settings.n_steps_descent, step_size=step_size
        )
        ledger.failures(diverged)
        matrices = value_output(stack)[:, :, : problem.n_inputs]
        excess = {
            norm: np.array([norm_of(W, norm) / problem.least_margin(W) for W in matrices]) / symmetric(8, 2, 2, norm).value - 1
            for norm in NORMS
        }
        ledger.estimand(f"{name}/nuclear_excess", excess["nuclear"])
        ledger.estimand(f"{name}/frobenius_excess", excess["frobenius"])
        nuclear, frobenius = (
            np.array([shape_distance(W, symmetric(8, 2, 2, norm).matrix()) for W in matrices]) for norm in NORMS
        )
        ledger.estimand(f"{name}/nearer_to_nuclear", frobenius - nuclear)
        ledger.estimand(f"{name}/effective_rank", effective_rank(matrices))
        ledger.rows("norms", {"model": name, "nuclear": 100 * excess["nuclear"], "frobenius": 100 * excess["frobenius"]})


SPLITS = ((1, 7), (1, 3), (2, 3), (1, 1), (3, 1))


def margin_ratios(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Held-out margin over training margin after long descent, for five shares of bridges in four groups: C8."""
    from assay.studies.knowledge.out_of_context_reasoning.max_margin import least_schatten, symmetric

    n = 4
    ratio: dict[str, list[Float[ndarray, " runs"]]] = {"small": [], "combined": [], "ordinary": []}
    exact = [symmetric(n, *split, "nuclear").completion for split in SPLITS]
    low_rank = [least_schatten(n, *split, 2 / 3).completion for split in SPLITS]
    arms = {"small": (2, 1e-3, 0.02), "combined": (1, 1e-3, 0.1), "ordinary": (2, 0.3, 0.02)}
    labels = {"small": "factorised, small start", "combined": "combined", "ordinary": "factorised, ordinary start"}
    for i, (m_train, m_test) in enumerate(SPLITS):
        world = RecallWorld.intact(n=n, m_train=m_train, m_test=m_test, n_noise=0, length=3)
        for name, (depth, std, step_size) in arms.items():
            if name == "ordinary" and m_train >= m_test:
                continue  # the two optima agree there
            stack, diverged = descended(
                [world] * len(seeds), seeds, depth=depth, std=std, n_steps=settings.n_steps_descent, step_size=step_size
            )
            ledger.failures(diverged)
            ratio[name].append(completions(stack, [world] * len(seeds)))
            theory = 0.0 if name == "combined" else exact[i]
            enter_ratio(ledger, m_train / m_test, labels[name], ratio[name][-1], theory)
        enter_ratio(ledger, m_train / m_test, "solution of least rank (theory)", low_rank[i], exact[i])
    for i, (m_train, m_test) in enumerate(SPLITS[:3]):
        ledger.estimand(f"margin/factorised/{m_train}:{m_test}", ratio["small"][i])
        ledger.estimand(f"margin/combined/{m_train}:{m_test}", ratio["combined"][i])
    for prefix, name in (("margin/", "small"), ("margin/combined_", "combined")):
        above = np.array(ratio[name]) - np.array(exact)[:, None]
        ledger.estimand(prefix + "least_above_bound", above.min(axis=0))
        ledger.estimand(prefix + "farthest_from_value", np.abs(above).max(axis=0))
    for name in ("small", "ordinary"):
        shares = [(ratio[name][i] - exact[i]) / (low_rank[i] - exact[i]) for i in range(3)]
        ledger.estimand(f"margin/low_rank_share_{name}_start", np.mean(shares, axis=0))


def enter_ratio(ledger: Rows, share: float, model: str, ratio: float | Float[ndarray, " runs"], theory: float) -> None:
    """One point of the margin-ratio figure."""
    ledger.rows("margin_ratio", {"share": share, "model": model, "ratio": ratio, "theory": theory})


def population_bound(settings: Settings, seeds: Sequence[Seeds], ledger: Rows) -> None:
    """Exact gradients from a constant start with attention trained, each run in a world of its own: C7."""
    import torch

    from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
    from assay.studies.knowledge.out_of_context_reasoning.training import train
    from assay.training.optimiser import Optimiser

    least: dict[str, list[float]] = {"combined": [], "factorised": []}
    for run, node in enumerate(seeds):
        rng = node("population world")
        n, m_train, m_test = int(rng.integers(4, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
        scale = float(10 ** rng.uniform(-4, -2))
        world = RecallWorld.intact(n=n, m_train=m_train, m_test=m_test, n_noise=3, length=7)
        probe = RecallProbe.exact([world])
        for name, depth in (("combined", 1), ("factorised", 2)):
            stack = RecallStack.constant(world, Architecture(depth), n_runs=1, scale=scale, dtype=torch.float64)
            losses: list[float] = []

            def observe(step: int, stack: RecallStack, losses: list[float] = losses, probe: RecallProbe = probe) -> None:
                losses.append(float(probe.read(stack)["test_implication"].loss_nats[0]))

            trace = train(
                stack, [world], seeds=[node], n_steps=settings.n_steps_population, per_kind=None,
                optimiser=Optimiser("adamw", 2 * settings.learning_rate, settings.weight_decay),
                observe=observe, observe_at=range(0, settings.n_steps_population + 1, 25),
            )  # fmt: skip
            ledger.failures([trace.diverged[0] if other == run else None for other in range(len(seeds))])
            least[name].append(min(losses) - float(np.log(n)))
    for name, values in least.items():
        ledger.estimand(f"{name}/bound_excess", values)


# Each part with its share of the time at the laptop preset.
PARTS: tuple[tuple[Callable[[Settings, Sequence[Seeds], Rows], None], float], ...] = (
    (closed_forms, 0.05),  # first, so that a missing solver is named before minutes are spent
    (headline, 0.15),
    (robustness, 0.25),
    (efficiency, 0.05),
    (implicit_bias, 0.05),
    (margin_ratios, 0.10),
    (population_bound, 0.05),
    (rank_sweep, 0.30),
)


# ------------------------------------------------------------------------------------------------------------- reading arms


def enter_arm(ledger: Rows, name: str, arm: Arm) -> None:
    """The estimands that every trained arm has, under its name."""
    ledger.failures(arm.diverged)
    ledger.estimand(f"{name}/test_loss", arm.final("test_implication", "loss_nats"))
    ledger.estimand(f"{name}/test_accuracy", arm.final("test_implication", "accuracy"))
    ledger.estimand(f"{name}/accuracy_over_chance", arm.final("test_implication", "family_accuracy") * arm.worlds[0].n)
    ledger.estimand(f"{name}/test_rank", arm.final("test_implication", "rank"))
    ledger.estimand(f"{name}/worst_taught_loss", arm.worst_taught_loss())
    ledger.estimand(f"{name}/least_excess", least_excess(arm))
    ledger.estimand(f"{name}/completion", completions(arm.stack, arm.worlds, weighted=True))


def enter_curves(ledger: Rows, name: str, arm: Arm) -> None:
    """The losses by kind of question at every evaluation."""
    for kind in arm.worlds[0].kinds:
        for step, loss in zip(arm.steps, arm.course(kind, "loss_nats"), strict=True):
            ledger.rows("curves", {"model": name, "kind": kind, "step": step, "loss_nats": loss})


SHOWN = 5  # groups in the weight picture


def enter_weights(ledger: Rows, world: RecallWorld, factorised: Arm, combined: Arm) -> None:
    """The blocks of the first groups beside both max-margin solutions, in units of the bridges' mean implication margin."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import value_output
    from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric

    def scaled(W: Float[ndarray, "n_answers n_inputs"]) -> Float[ndarray, "n_answers n_inputs"]:
        unit = float(held_out_margins(W, world, "train_implication").mean())
        centred: Float[ndarray, "n_answers n_inputs"] = (W - W.mean(axis=0)) / unit
        return centred

    panels = {
        "factorised, trained": [scaled(W) for W in value_output(factorised.stack, weighted=True)],
        "least nuclear norm": [scaled(symmetric(world.n, world.m_train, world.m_test, "nuclear").matrix())] * len(ledger),
        "combined, trained": [scaled(W) for W in value_output(combined.stack, weighted=True)],
        "least Frobenius norm": [scaled(symmetric(world.n, world.m_train, world.m_test, "frobenius").matrix())] * len(ledger),
    }
    shown = range(min(SHOWN, world.n))
    rows = [(f"b{g + 1}", g) for g in shown] + [(f"c{g + 1}", world.n + g) for g in shown]
    columns = [("r1", 0), ("r2", 1)]
    for subject in np.flatnonzero(world.group < SHOWN):
        label = "bridge" if subject < world.n_bridges else "held out"
        columns.append((f"{label} {world.group[subject] + 1}.{subject // world.n + 1}", 2 + int(subject)))
    for panel, matrices in panels.items():
        for answer, row in rows:
            for token, column in columns:
                value = np.array([W[row, column] for W in matrices])
                ledger.rows("weights", {"matrix": panel, "answer": answer, "token": token, "weight": value})


def completions(stack: object, worlds: Sequence[RecallWorld], *, weighted: bool = False) -> Float[ndarray, " runs"]:
    """Block completion of every run."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import block_completion, value_output
    from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack

    assert isinstance(stack, RecallStack)
    matrices = value_output(stack, weighted=weighted)
    return np.array([block_completion(W, world) for W, world in zip(matrices, worlds, strict=True)])


def least_excess(arm: Arm) -> Float[ndarray, " runs"]:
    """The least loss on held-out implications over all evaluations, minus log n, in nats."""
    least: Float[ndarray, " runs"] = arm.course("test_implication", "loss_nats").min(axis=0) - np.log(arm.worlds[0].n)
    return least


def mean_loss(arm: Arm) -> Float[ndarray, " runs"]:
    """The loss on held-out implications averaged over all evaluations after the first, in nats."""
    losses = np.ascontiguousarray(arm.course("test_implication", "loss_nats")[1:].T)  # summed in one order, however many runs
    mean: Float[ndarray, " runs"] = losses.mean(axis=1)
    return mean


def held_out_margins(
    W: Float[ndarray, "n_answers n_inputs"], world: RecallWorld, kind: str = "test_implication"
) -> Float[ndarray, "subjects others"]:
    """Margins of the right implication over each other one, for every subject of the kind, in logits."""
    subjects = world.subjects(kind)  # type: ignore[arg-type]
    logits = (W[world.n : 2 * world.n, 1:2] + W[world.n : 2 * world.n, 2 + subjects]).T
    right = world.implication[subjects]
    margins = np.take_along_axis(logits, right[:, None], axis=1) - logits
    over_others: Float[ndarray, "subjects others"] = margins[np.arange(world.n) != right[:, None]].reshape(len(subjects), -1)
    return over_others


# ------------------------------------------------------------------------------------------------------------------ figures

KIND_NAMES = {
    "train_fact": "bridge, fact",
    "train_implication": "bridge, implication",
    "test_fact": "held-out, fact",
    "test_implication": "held-out, implication (never taught)",
}
FIGURES = (
    Figure(
        "learning-curves",
        "One model infers what it was never taught",
        "Loss on the four kinds of question while training shows three of them. Both models learn what they are taught; only "
        "the factorised one also learns the implications of held-out subjects, hundreds of steps later.",
        Lines(
            "curves",
            x="step",
            y="loss_nats",
            by="kind",
            panel="model",
            x_label="optimiser step",
            y_label="loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(20)), "chance among 20 implications"),),
        ),
        KIND_NAMES,
    ),
    Figure(
        "weights",
        "What training writes into the weights, beside the two max-margin solutions",
        "W_OV of the first five groups, each column weighted by its token's attention, in units of the bridges' margin. In the "
        "factorised model the held-out subjects point at implications that they were never shown with (lower right), as in the "
        "solution of least nuclear norm; in the combined model that block is empty, as in the one of least Frobenius norm.",
        Heat(
            "weights",
            row="answer",
            column="token",
            value="weight",
            panel="matrix",
            row_label="answer",
            column_label="input token",
            value_label="weight / margin",
        ),
        further=True,
    ),
    Figure(
        "rank-threshold",
        "How much width inference needs",
        "Final loss against the hidden width of the factorised model. What is taught is learnt at every width shown; at width "
        "3 inference fails.",
        Lines(
            "rank",
            x="d_hidden",
            y="loss_nats",
            by="kind",
            x_label="hidden width d_h",
            y_label="loss (nats)",
            x_scale="log",
            y_scale="log",
            markers=True,
            lines=(Line(0.1, "counts as inferring"),),
        ),
        further=True,
    ),
    Figure(
        "margin-ratio",
        "How strongly it infers, against theory",
        "Margin of held-out implications over the bridges', after long descent on the exact population. The dashed line is the "
        "nuclear-norm solution's min(sqrt(m_train/m_test), 1). Where bridges are rare, small starts end above it, at the "
        "solution of least rank; ordinary starts approach it from below.",
        Lines(
            "margin_ratio",
            x="share",
            y="ratio",
            by="model",
            theory="theory",
            x_label="bridges per held-out subject",
            y_label="margin, held out / bridges",
            x_scale="log",
            markers=True,
        ),
    ),
    Figure(
        "norms",
        "Each parametrisation minimises its own norm",
        "Norms at unit margin, in per cent above the least possible, after long descent: the product is near the least nuclear "
        "norm, the single matrix near the least Frobenius norm.",
        Scatter(
            "norms",
            x="nuclear",
            y="frobenius",
            label="model",
            x_label="nuclear norm above optimum (%)",
            y_label="Frobenius norm above optimum (%)",
        ),
        further=True,
    ),
    Figure(
        "associations",
        "Any bijection is inferred, no shuffle is",
        "Loss on held-out implications. Which implication goes with which fact does not matter to the model, only that it is "
        "always the same one.",
        Lines(
            "associations",
            x="step",
            y="loss_nats",
            by="association",
            x_label="optimiser step",
            y_label="loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(20)), "chance"),),
        ),
        further=True,
    ),
    Figure(
        "efficiency",
        "One example per group is enough",
        "Accuracy on held-out implications with 0 to 7 bridge subjects among the 8 of a group.",
        Bars("efficiency", x="bridges", y="accuracy", x_label="bridge subjects", y_label="accuracy"),
        further=True,
    ),
    Figure(
        "attention",
        "Where the trained models look",
        "Attention weight of the kinds of token, linear attention.",
        Bars("attention", x="tokens", y="weight", by="model", x_label="token", y_label="attention weight"),
        {"held_out": "held out", "eos": "EOS"},
        further=True,
    ),
)

SYMBOLIC = Experiment(
    name="symbolic",
    question="Why does one of two equally expressive models infer what it was never taught?",
    cost="4 min",
    claims=CLAIMS,
    presets={"quick": Preset(QUICK, 2), "laptop": Preset(Settings(), 10), "paper": Preset(PAPER_SCALE, 20)},
    measure=measure,
    measure_many=measure_many,
    batch=5,
    figures=FIGURES,
    needs={"cvxpy": "opt", "clarabel": "opt"},
)
