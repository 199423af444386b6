"""The paper's symbolic system: claims C1 to C12."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.studies.knowledge.out_of_context_reasoning.claims.shared import (
    COMPLETION,
    N_RUNS,
    PACKAGE,
    TEST_ACCURACY,
    WHY,
    WORST_TAUGHT_LOSS,
)
from assay.studies.knowledge.out_of_context_reasoning.figures import SYMBOLIC_FIGURES, WIDTH_FIGURES
from assay.studies.knowledge.out_of_context_reasoning.settings import SymbolicSettings

QUICK = SymbolicSettings(
    n=4, n_noise=2, length=6, n_steps=40, n_steps_long=60, n_steps_slow=40, widths=(8,), n_steps_narrow=40, n_steps_wide=40,
    n_steps_descent=60, n_steps_population=20,
)  # fmt: skip
PAPER_SCALE = SymbolicSettings(n_steps_wide=20_000, n_steps_descent=10_000)

CLAIMS = (
    Claim(
        "C1",
        "A factorised model infers: its loss on held-out implications falls below {bound} nats in 2,000 steps.",
        "factorised/test_loss", Below(0.1), why="nine right answers in ten by probability; chance is log 20 = 3.0",
        at="section 3, figure 2", paper="about 0",
        negative=Arm("shuffled", "implications shuffled over four bridge subjects a group: nothing to infer"),
        positive=Arm("planted", "the solution of least nuclear norm put in as weights", power_only=True),
    ),
    Claim(
        "C1.accuracy",
        "A factorised model's first answer to held-out implications is right in more than {bound:.0%} of cases.",
        "factorised/test_accuracy", Above(0.95), summary="every",
        why="the paper's picture shows 1; 0.95 leaves three of 60 subjects for runs that are a little late",
        at="section 3, figure 2", paper=1.0,
        negative=Arm("shuffled", "implications shuffled over four bridge subjects a group: hardly ever right"),
    ),
    Claim(
        "C2",
        "A combined model never infers: its least loss on held-out implications at any evaluation in 10,000 steps, less that "
        "of guessing among them (log n), is above {bound} nats.",
        "combined-longer/least_excess", Above(-0.05),
        why="theorem 3 bounds the loss by log n under exact gradients; minibatch noise gets 0.05 nats of room",
        at="section 3, figure 2; theorem 3", paper=">= log 20",
        negative=Arm("factorised", "the factorised model on the same batches falls far below, in a fifth of the steps"),
        null_passes="an untrained network infers nothing either; the other half is C2.fits: the model learns what it is taught",
    ),
    Claim(
        "C2.fits",
        "Factorised and combined models learn what they are taught: every taught kind's loss is below {bound} nats after 2,000 "
        "steps.",
        "factorised-and-combined/worst_taught_loss", Below(0.02), summary="every",
        why="both are taught alike, so that the difference on held-out implications is no difference of fit",
        at="section 3, figure 2", paper="about 0",
        negative=Arm("untrained", "before training: log of the vocabulary"),
    ),
    Claim(
        "C4",
        "In a factorised model's weights the held-out subjects' implication block repeats the bridges': its margin is more "
        "than {bound} of theirs.",
        "factorised/completion", Above(0.3), summary="every",
        why="0 is an empty block and 1 a copy; the max-margin value here is 0.58, half of it counts as a repeat",
        at="section 3, weight figure", paper="same stripes",
        negative=Arm("combined", "the combined model's block"),
    ),
    Claim(
        "C4.empty",
        "In a combined model's weights the held-out subjects' implication block is empty: its margin is within {margin} of the "
        "bridges'.",
        "combined/completion", Within(-0.02, 0.02), summary="every",
        why="two hundredths of the bridges' block: the noise of minibatches in blocks that no label touches",
        at="section 3, weight figure", paper=0.0,
        negative=Arm("four-bridges", "a factorised model's block"),
    ),
    Claim(
        "C6",
        "Descent on a product of two matrices finds least nuclear norm: its margin at unit nuclear norm falls short of the "
        "largest possible by less than {bound:.0%}.",
        "product/nuclear_shortfall", Below(0.05), summary="every",
        why="the Frobenius solution of this world falls short by 9%; half-way is nobody's direction",
        at="theorem 1", paper="0 in the limit",
        negative=Arm("matrix", "descent on the single matrix ends where the nuclear norm is larger"),
    ),
    Claim(
        "C6.frobenius",
        "Descent on a single matrix finds least Frobenius norm: its margin at unit Frobenius norm falls short of the largest "
        "possible by less than {bound:.0%}.",
        "matrix/frobenius_shortfall", Below(0.05), summary="every",
        why="the nuclear solution of this world falls short by 12%", at="theorem 1", paper="0 in the limit",
        negative=Arm("product", "descent on the product ends where the Frobenius norm is larger"),
    ),
    Claim(
        "C6.shape",
        "After long descent a product's matrix is nearer in shape to the solution of least nuclear norm than to that of least "
        "Frobenius norm, by more than {bound}.",
        "product/nearer_to_nuclear", Above(0.1), summary="every",
        why="difference of two distances between centred matrices of norm 1; the two solutions are 0.5 apart",
        at="ours", paper="same picture",
        negative=Arm("matrix", "the single matrix is nearer to the other"),
    ),
    Claim(
        "C8",
        "One bridge subject a group is enough: with 1, 2, 4 or 7 bridges of 8 the held-out accuracy is above {bound:.0%}.",
        "some-bridges/test_accuracy", Above(0.95), summary="every",
        why="the paper says OCR for every m_train > 0; 0.95 as in C1.accuracy",
        at="theorem 2, sample efficiency", paper=1.0,
        negative=Arm("no-bridges", "no bridge subject at all: nothing to transfer"),
    ),
    Claim(
        "C8.order",
        "The held-out margin of converged factorised models rises with the share of bridges, from 1:7 to 1:3 to 2:3, by more "
        "than {margin} of the bridges' margin a step.",
        ("product-1-7/held_out_margin", "product-1-3/held_out_margin", "product-2-3/held_out_margin"), Ordered(0.05),
        why="the closed form's steps are 0.20 and 0.24; a quarter of a step is still a step",
        at="theorem 2", paper="sqrt(m_train/m_test): 0.38, 0.58, 0.82",
        negative=Arm(("matrix-1-7", "matrix-1-3", "matrix-2-3"), "converged combined models: no margin, so no order"),
    ),
    Claim(
        "C8.bound",
        "For each of five shares of bridges the held-out margin of converged factorised models, less the bound "
        "min(sqrt(m_train/m_test), 1), is above {bound}.",
        "product/margin_above_bound", Above(-0.05), summary="every",
        why="the theorem speaks of the limit; directions still move by 0.05 at the margins that we reach",
        at="theorem 2", paper=">= 0",
        negative=Arm("matrix", "converged combined models: the margin is 0"),
    ),
    Claim(
        "C8.value",
        "From a small start the held-out margin of converged factorised models is within {bound} of min(sqrt(m_train/m_test), "
        "1), the nuclear-norm solution's, for each of five shares of bridges.",
        "product/margin_error", Below(0.05), summary="every", why="as C8.bound", at="ours", paper=0.0,
        negative=Arm("matrix", "converged combined models: far from it"),
    ),
    Claim(
        "C8.start",
        "Where bridges are rare, descent from small weights ends nearer to the held-out margin of least rank than to that of "
        "least nuclear norm: more than {bound} of the way between.",
        "small-start/low_rank_share", Above(0.5), summary="every",
        why="0 is the margin of least nuclear norm, 1 that of least Schatten-2/3 norm (least rank); half-way decides",
        at="ours", negative=Arm("ordinary-start", "ordinary weights (std 0.3): nearer the least nuclear norm's margin"),
    ),
    Claim(
        "C9",
        "Without an association there is nothing to infer: with implications shuffled over four bridges a group, the first "
        "implication of held-out subjects is right at most {bound} times as often as by chance.",
        "shuffled/accuracy_over_chance", Below(2.0), why="chance is 1, and the intact association gives 20",
        at="section 3", paper=1.0,
        negative=Arm("four-bridges", "the same world unshuffled"),
        null_passes="an untrained network infers nothing either; the other half is C9.fits: the shuffle is learnt",
    ),
    Claim(
        "C9.fits",
        "Shuffled implications are learnt all the same: every taught kind's loss is below {bound} nats.",
        "shuffled/worst_taught_loss", Below(0.02), summary="every", why="as C2.fits", at="section 3", paper="about 0",
        negative=Arm("shuffled-untrained", "before training: log of the vocabulary"),
    ),
    Claim(
        "C11",
        "A hidden width of 4 is enough to infer: held-out loss below {bound} nats after 20,000 steps.",
        "width-4/test_loss", Below(0.1), summary="every", why="as C1", at="figure 6", paper="works for d_h >= 4",
        negative=Arm("width-3", "a hidden width of 3"),
        positive=Arm("width-8-up", "wider models, trained and asked alike"),
    ),
    Claim(
        "C11.wider",
        "Every hidden width from 8 to 128 is enough to infer: the largest of their held-out losses is below {bound} nats.",
        "width-8-up/test_loss", Below(0.1), summary="every", why="as C1", at="figure 6", paper="works for d_h >= 4",
        negative=Arm("width-1", "a hidden width of 1"),
    ),
    Claim(
        "C11.three",
        "A hidden width of 3 is too little to infer: held-out loss above {bound} nat after 20,000 steps.",
        "width-3/test_loss", Above(1.0), summary="every",
        why="1 nat is a third of chance, and ten times what counts as inferring", at="figure 6", paper="fails for d_h = 3",
        negative=Arm("width-4", "a hidden width of 4"),
        null_passes="an untrained network infers nothing either; the other half is C11.fits: width 3 learns what it is taught",
    ),
    Claim(
        "C11.fits",
        "Every hidden width from 3 on learns what it is taught: the largest taught loss is below {bound} nats.",
        "width-3-up/worst_taught_loss", Below(0.02), summary="every", why="as C2.fits", at="figure 6", paper="about 0",
        negative=Arm("width-1", "a hidden width of 1, which cannot hold 40 answers apart"),
    ),
    Claim(
        "C12.decay",
        "Inference is no artefact of weight decay: without it the factorised model's held-out loss is below {bound} nats after "
        "10,000 steps.",
        "no-decay/test_loss", Below(0.1),
        why="as C1; decay on both factors is itself a nuclear-norm penalty, so it must be taken away",
        at="ours", paper="the headline runs use decay 0.03",
        negative=Arm("no-decay-combined", "the combined model without decay"),
    ),
    Claim(
        "C12.decay-combined",
        "Without weight decay the combined model does not infer: its least held-out loss at any evaluation, less that of "
        "guessing, is above {bound} nats.",
        "no-decay-combined/least_excess", Above(-0.05), summary="every", why="as C2", at="ours",
        negative=Arm("no-decay", "the factorised model without decay"),
        null_passes="an untrained network infers nothing either; the other half is C12.decay",
    ),
    Claim(
        "C12.softmax",
        "Inference is no artefact of linear attention: with softmax attention the factorised model's held-out loss is below "
        "{bound} nats after 4,000 steps.",
        "softmax/test_loss", Below(0.1), summary="every", why="as C1", at="ours", paper="the official code has the variant",
        negative=Arm("softmax-combined", "the combined model with softmax attention"),
    ),
    Claim(
        "C12.softmax-combined",
        "With softmax attention the combined model does not infer: its least held-out loss at any evaluation, less that of "
        "guessing, is above {bound} nats.",
        "softmax-combined/least_excess", Above(-0.05), summary="every", why="as C2", at="ours",
        negative=Arm("softmax", "the factorised model with softmax attention"),
        null_passes="an untrained network infers nothing either; the other half is C12.softmax",
    ),
)  # fmt: skip

EXACT = (
    Exact(
        "C3",
        "With W_OV set to the product W_O W_V of a trained factorised model, the combined model's held-out loss is the same to "
        "within {bound} nats.",
        Below(1e-9), why="the same function of the same weights, summed in another order",
        at="proposition 1", paper=0.0, unit="nats",
    ),
    Exact(
        "C5",
        "A conic solver's norms and held-out margins agree with the closed forms of the max-margin solutions to within "
        "{bound}, for both norms and six sizes of world.",
        Below(1e-3), why="both solve one convex problem; interior-point solvers stop at relative gaps far below",
        at="section 4, theorem 2", paper="equal",
    ),
    Exact(
        "C5.bound",
        "At the solution of least nuclear norm every held-out margin, less min(sqrt(m_train/m_test), 1), is above {bound}, for "
        "six sizes of world.",
        Above(-1e-3), why="theorem 2; in these worlds the two are equal", at="theorem 2", paper=">= 0",
    ),
    Exact(
        "C5.frobenius",
        "At the solution of least Frobenius norm no held-out implication has a margin of {bound} over another one, for six "
        "sizes of world.",
        Below(1e-3), why="theorem 2: nothing asks for weights there, and every weight costs", at="theorem 2", paper=0.0,
    ),
    Exact(
        "C7",
        "With attention trained, exact gradients and a constant start, the combined model's held-out loss less log n is above "
        "{bound} nats at every step, in three worlds and from three constants.",
        Above(-1e-6), why="theorem 3: the pairs of fact and implication stay exchangeable", at="theorem 3", paper=">= 0",
        unit="nats",
    ),
    Exact(
        "C10",
        "Under another bijection of facts and implications the factorised model's held-out loss is the same at every step, to "
        "within {bound} nats.",
        Below(1e-9), why="in a symmetric world another bijection gives implications other names and changes nothing else",
        at="sections 1 and 3", paper="no difference", unit="nats",
    ),
)  # fmt: skip

SYMBOLIC = Experiment(
    "symbolic",
    question="Why does one of two equally expressive models infer what it was never taught?",
    family=WHY,
    estimands=(
        Estimand("test_loss", "-log probability of the implications of held-out subjects at the end of training", "nats", 0),
        TEST_ACCURACY,
        Estimand(
            "accuracy_over_chance", "share of held-out implications that beat the other implications, over 1/n", "times", 0),
        Estimand("least_excess", "least held-out loss at any evaluation, less log n", "nats"),
        WORST_TAUGHT_LOSS,
        COMPLETION,
        Estimand(
            "nuclear_shortfall", "1 less the training margin at unit nuclear norm over the largest possible",
            "share of the largest", 0),
        Estimand(
            "frobenius_shortfall", "1 less the training margin at unit Frobenius norm over the largest possible",
            "share of the largest", 0),
        Estimand(
            "nearer_to_nuclear", "distance in shape from the Frobenius solution less that from the nuclear one, of matrices "
            "with centred columns and norm 1"),
        Estimand("held_out_margin", "margin of held-out implications over the bridges', after long descent"),
        Estimand("margin_above_bound", "least held-out margin less min(sqrt(m_train/m_test), 1), over five shares of bridges"),
        Estimand(
            "margin_error", "largest distance of held-out margin and min(sqrt(m_train/m_test), 1), over five shares of bridges",
            "", 0),
        Estimand(
            "low_rank_share", "where the held-out margin lies between those of least nuclear norm (0) and least rank (1), mean "
            "of three rare shares of bridges"),
    ),
    claims=CLAIMS,
    exact=EXACT,
    check=f"{PACKAGE}.exact:check_symbolic",
    nulls=(Arm("untrained", "networks and products as they are drawn"),),
    measure_nulls=f"{PACKAGE}.symbolic:measure_nulls",
    presets={
        "quick": Preset(QUICK, 2),
        "laptop": Preset(SymbolicSettings(), N_RUNS),
        "paper": Preset(PAPER_SCALE, 20),
    },
    measure_many=f"{PACKAGE}.symbolic:measure_many",
    batch=12,
    cost=Cost(3.5),
    figures=SYMBOLIC_FIGURES,
    needs={"cvxpy": "opt", "clarabel": "opt"},
)  # fmt: skip

WIDTH = Experiment(
    "width",
    question="How narrow may a factorised model be that infers?",
    family=WHY,
    estimands=(TEST_ACCURACY,),
    claims=(
        Claim(
            "C11.accuracy",
            "With a hidden width of 4 the first answer to held-out implications is right in more than {bound:.0%} of cases "
            "after 20,000 steps.",
            "width-4/test_accuracy", Above(0.9),
            why="nine right answers in ten, as in C1; a start that loses one group of twenty has 0.95, chance 0.05",
            at="figure 6", paper="works for d_h >= 4",
            negative=Arm("width-3", "a hidden width of 3"),
            positive=Arm("width-8", "the next wider model, trained half as long"),
        ),
    ),
    nulls=(Arm("untrained", "the network of width 4 as it is drawn"),),
    presets={
        "quick": Preset(QUICK, 2),
        "laptop": Preset(SymbolicSettings(), 40),
        "paper": Preset(PAPER_SCALE, 40),
    },
    measure_many=f"{PACKAGE}.width:measure_many",
    first_seed=200,
    batch=20,
    cost=Cost(3.2),
    figures=WIDTH_FIGURES,
)  # fmt: skip
