"""Beyond the paper, on its system: contradiction, mitigation, depth and the optimiser."""

import math

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.studies.knowledge.out_of_context_reasoning.claims.shared import (
    COMPLETION,
    CONTRADICTION,
    N_RUNS,
    PACKAGE,
    WHY,
    WORST_TAUGHT_LOSS,
)
from assay.studies.knowledge.out_of_context_reasoning.figures import (
    DEPTH_FIGURES,
    DOSE_FIGURES,
    MITIGATION_FIGURES,
    OPTIMISER_FIGURES,
)
from assay.studies.knowledge.out_of_context_reasoning.settings import (
    DepthSettings,
    DoseSettings,
    MitigationSettings,
    OptimiserSettings,
)

DOSE_RESPONSE = Experiment(
    "dose-response",
    question="How much contradiction among the examples stops the transfer to subjects outside them?",
    family=CONTRADICTION,
    estimands=(
        Estimand(
            "fall_across_half", "share of held-out subjects whose first implication is the rule's, at 3 of 8 bridges "
            "contradicting it alike less at 5 of 8", "", -1, 1),
        Estimand(
            "scattered_minus_concerted", "share of held-out subjects whose first implication is the rule's, with scattered "
            "contradictions less with concerted ones, at a dose of three quarters", "", -1, 1),
    ),
    claims=(
        Claim(
            "dose.concerted",
            "Where contradictions agree with each other the majority decides: accuracy for the rule's implication falls by "
            "more than {bound} between 3 and 5 of 8 bridges contradicting.",
            "factorised/fall_across_half", Above(0.3),
            why="a straight line from 1 at no dose to 0 at full dose falls by 0.25; a majority rule falls by 1", at="ours",
            negative=Arm("combined", "the combined model: chance at both doses"),
        ),
        Claim(
            "dose.kind",
            "Where three bridges in four contradict the rule, scattered contradictions do less harm to the transfer than "
            "concerted ones: accuracy for the rule's implication is higher by more than {bound}.",
            "factorised/scattered_minus_concerted", Above(0.1),
            why="difference of accuracies among implications; a tenth is what chance alone scores", at="ours",
            negative=Arm("combined", "the combined model: no difference"),
        ),
    ),
    presets={"quick": Preset(DoseSettings(n=4, n_steps=20), 2), "laptop": Preset(DoseSettings(), N_RUNS)},
    nulls=(Arm("combined", "one matrix instead of a product: it learns what it is taught and transfers nothing"),),
    measure_many=f"{PACKAGE}.dose_response:measure_many",
    batch=12,
    cost=Cost(1.4),
    figures=DOSE_FIGURES,
)  # fmt: skip

DEPTH = Experiment(
    "depth",
    question="Does a product of more matrices transfer more?",
    family=WHY,
    estimands=(
        COMPLETION,
        Estimand("deviation", "that margin less the one of the least Schatten-2/3 solution"),
    ),
    claims=(
        Claim(
            "depth.order",
            "With one bridge to three held-out subjects, the held-out margin rises by more than {margin} of the bridges' from "
            "one matrix to a product of two and to a product of three.",
            ("depth-1/completion", "depth-2/completion", "depth-3/completion"), Ordered(0.05),
            why="the exact solutions' steps are 0.58 and 0.21; a quarter of the smaller one", at="ours",
            negative=Arm(
                ("depth-2", "depth-2-again", "depth-2-once-more"), "a product of two, three times from other starts: no order"
            ),
        ),
        Claim(
            "depth.value",
            "With one bridge to three held-out subjects, a product of three ends within {margin} of the held-out margin of the "
            "least Schatten-2/3 solution.",
            "depth-3/deviation", Within(-0.05, 0.05),
            why="as in C8.bound: directions still move by 0.05 at the margins that we reach", at="ours",
            negative=Arm("depth-2", "a product of two is far from that solution"),
        ),
        Claim(
            "depth.not-one",
            "Depth does not make the transfer complete where bridges are rare: with a product of four the held-out margin "
            "stays below {bound} of the bridges'.",
            "depth-4/completion", Below(0.9), summary="every",
            why="the least Schatten-1/2 solution has 0.79; 1 would be complete", at="ours",
            negative=Arm("depth-4-even", "as many bridges as held-out subjects: complete"),
            null_passes="a bound from above: an untrained product transfers nothing; the other half is depth.order",
        ),
    ),
    presets={"quick": Preset(DepthSettings(n_steps=60), 2), "laptop": Preset(DepthSettings(), N_RUNS)},
    nulls=(Arm("untrained", "products as they are drawn"),),
    measure_nulls=f"{PACKAGE}.depth:measure_nulls",
    measure_many=f"{PACKAGE}.depth:measure_many",
    batch=12,
    cost=Cost(1),
    figures=DEPTH_FIGURES,
)  # fmt: skip

FIRST = "held-out questions answered first with the rule's implication"

MITIGATION = Experiment(
    "mitigation",
    question="What stops the spurious transfer and keeps the facts?",
    family=CONTRADICTION,
    estimands=(
        Estimand(
            "any_asserted", "held-out subjects of whom some implication, none of which they were taught, has a probability "
            "above one half", "share of subjects", 0, 1),
        Estimand(
            "rule_asserted", "held-out subjects of whom the rule's implication has a probability above one half",
            "share of subjects", 0, 1),
        Estimand(
            "rival_asserted",
                "held-out subjects of whom the implication that counter-examples show has a probability above one half",
                    "share of subjects", 0, 1),
        Estimand(
            "abstained", "held-out subjects of whom 'unknown' has a probability above one half", "share of subjects", 0, 1),
        Estimand("rule_first", FIRST, "share of subjects", 0, 1),
        Estimand("facts_kept", "smallest accuracy among the kinds of question that were taught", "share of questions", 0, 1),
    ),
    claims=(
        Claim(
            "mitigation.combined",
            "One matrix instead of a product ends hallucination: fewer than {bound:.0%} of held-out subjects get an "
            "implication that nobody taught of them asserted.",
            "combined/any_asserted", Below(0.1), summary="every",
            why="one in ten; exact symmetry gives every one of ten implications a probability of 0.1, and asserts none",
            at="ours", negative=Arm("baseline", "the product, untouched"),
            null_passes="an untrained network asserts nothing; the other half is mitigation.keeps",
        ),
        Claim(
            "mitigation.penalty",
            "A Frobenius penalty on the product ends hallucination without giving up the product: fewer than {bound:.0%} of "
            "held-out subjects get an implication that nobody taught of them asserted.",
            "penalty-0.001/any_asserted", Below(0.1), summary="every", why="as mitigation.combined", at="ours",
            negative=Arm("decay-0.3", "decay on the factors instead, a nuclear-norm penalty on the product"),
            null_passes="an untrained network asserts nothing; the other half is mitigation.keeps",
        ),
        Claim(
            "mitigation.keeps",
            "One matrix, and a Frobenius penalty on the product, cost no facts: the worst taught kind keeps an accuracy above "
            "{bound}.",
            "removers/facts_kept", Above(0.98), summary="every", why="one question in fifty", at="ours",
            negative=Arm("width-1", "a hidden width of 1 ends the transfer by losing the facts"),
        ),
        Claim(
            "mitigation.decay",
            "Weight decay, ten times the paper's, does not stop the transfer: more than {bound:.0%} of held-out questions get "
            "the rule's implication first.",
            "decay-0.3/rule_first", Above(0.8), summary="every", why="four in five must be left", at="ours",
            negative=Arm("penalty-0.001", "a Frobenius penalty on the product"),
        ),
        Claim(
            "mitigation.rank",
            "A limit on rank that still keeps the facts (hidden width 4) leaves most of the transfer: more than {bound:.0%} of "
            "held-out questions get the rule's implication first.",
            "width-4/rule_first", Above(0.5), summary="every", why="most is more than half", at="ours",
            negative=Arm("combined", "one matrix instead of a product"),
        ),
        Claim(
            "mitigation.unknown",
            "Teaching as many subjects the answer 'unknown' as there are bridges leaves most of the transfer to the others: "
            "more than {bound:.0%} of held-out questions get the rule's implication first.",
            "unknown-4/rule_first", Above(0.5), summary="every", why="most is more than half", at="ours",
            negative=Arm("unknown-4-combined", "one matrix instead of a product, in the same world"),
        ),
        Claim(
            "mitigation.counter",
            "Counter-examples, as many as examples, leave about half of the hallucination: of {low:.0%} to {high:.0%} of "
            "held-out subjects an implication that nobody taught is still asserted, the rule's or the counter-examples'.",
            "counter-2/any_asserted", Within(0.4, 0.6), why="a tie makes it one half; without counter-examples it is all of "
            "them", at="ours", negative=Arm("counter-2-combined", "one matrix instead of a product, in the same world"),
        ),
        Claim(
            "mitigation.counter-left",
            "Counter-examples, as many as examples, do not end hallucination: more than {bound:.0%} of held-out subjects still "
            "get an implication that nobody taught of them asserted, the rule's or the counter-examples'.",
            "counter-2/any_asserted", Above(0.1), summary="every", why="as mitigation.combined: fewer than that is an end",
            at="ours", negative=Arm("counter-2-combined", "one matrix instead of a product, in the same world"),
            related="the number of mitigation.counter, at the bound that says whether hallucination has ended",
        ),
        Claim(
            "mitigation.counter-majority",
            "Counter-examples, three for every example, put another hallucination in the place of the first: more than "
            "{bound:.0%} of held-out subjects get the counter-examples' implication asserted.",
            "counter-3/rival_asserted", Above(0.8), summary="every", why="four in five", at="ours",
            negative=Arm("counter-1", "one counter-example for three examples"),
        ),
    ),
    nulls=(Arm("untrained", "the product as it is drawn"),),
    measure_nulls=f"{PACKAGE}.mitigation:measure_nulls",
    presets={"quick": Preset(MitigationSettings(n=4, n_steps=20), 2), "laptop": Preset(MitigationSettings(), 96)},
    measure_many=f"{PACKAGE}.mitigation:measure_many",
    batch=12,
    cost=Cost(8, cores=1),
    first_seed=300,
    figures=MITIGATION_FIGURES,
)  # fmt: skip

OPTIMISER = Experiment(
    "optimiser",
    question="Is the transfer a matter of the optimiser, or of decay?",
    family=WHY,
    estimands=(
        Estimand(
            "least_accuracy", "share of held-out implications that beat the other implications; the smallest of four "
            "optimisers", "share of questions", 0, 1),
        Estimand(
            "largest_completion", "margin of held-out implications over the bridges', by size; the largest of four", "", 0),
        WORST_TAUGHT_LOSS,
        Estimand(
            "log10_loss_without_decay", "held-out loss of AdamW without decay over that with it", "times", log="10"),
        Estimand("completion_adamw_minus_sgd", "margin of held-out implications over the bridges', AdamW's less SGD's"),
    ),
    claims=(
        Claim(
            "optimiser.all",
            "Whatever the optimiser (AdamW with decay and without, SGD, sign descent), the factorised model transfers: the "
            "least accuracy among implications is above {bound}.",
            "factorised/least_accuracy", Above(0.9), summary="every",
            why="nine in ten; chance among ten implications is 0.1", at="ours",
            negative=Arm("combined", "the combined model under the same optimisers"),
        ),
        Claim(
            "optimiser.combined",
            "Under none of four optimisers does the combined model transfer: its held-out margin is below {bound} of the "
            "bridges'.",
            "combined/largest_completion", Below(0.05), summary="every", why="a twentieth of the bridges' margin", at="ours",
            negative=Arm("factorised", "the factorised model under the same optimisers"),
            null_passes="a bound from above; the other half is optimiser.fits: the model learns what it is taught",
        ),
        Claim(
            "optimiser.fits",
            "Both models learn what they are taught under each of four optimisers: the largest taught loss is below {bound} "
            "nats.",
            "all/worst_taught_loss", Below(0.05), summary="every",
            why="a twentieth of a nat, so that no optimiser is judged half-way", at="ours",
            negative=Arm("untrained", "before training"),
        ),
        Claim(
            "optimiser.decay",
            "Decay helps the transfer: without it AdamW's held-out loss is more than {bound} times as large after the same "
            "steps.",
            "factorised/log10_loss_without_decay", Above(math.log10(2)), summary="every",
            why="a factor of two in the loss; decay on both factors is a nuclear-norm penalty", at="ours",
            negative=Arm("combined", "the combined model's held-out loss, which decay does not touch"),
        ),
        Claim(
            "optimiser.geometry",
            "AdamW without decay ends with a larger held-out margin than SGD, by more than {bound} of the bridges'.",
            "factorised/completion_adamw_minus_sgd", Above(0.1), summary="every",
            why="in units of the bridges' margin, where the nuclear solution has 0.58", at="ours",
            negative=Arm("combined", "the combined model: no held-out margin under either"),
        ),
    ),
    presets={"quick": Preset(OptimiserSettings(n=4, n_steps=20), 2), "laptop": Preset(OptimiserSettings(), N_RUNS)},
    nulls=(Arm("untrained", "a product as it is drawn"),),
    measure_nulls=f"{PACKAGE}.optimiser:measure_nulls",
    measure_many=f"{PACKAGE}.optimiser:measure_many",
    batch=12,
    cost=Cost(1.6),
    figures=OPTIMISER_FIGURES,
)  # fmt: skip
