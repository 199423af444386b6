"""What is claimed, of which numbers, and what is run to decide it."""

import math

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Equals, Within
from assay.claims.study import Experiment, Preset
from assay.studies.learners.offline_domain_randomization.figures import (
    COLLAPSE_FIGURES,
    CONSISTENCY_FIGURES,
    ENGINE_FIGURES,
    GAP_FIGURES,
    MISFIT_FIGURES,
    TRANSFER_FIGURES,
)
from assay.studies.learners.offline_domain_randomization.settings import (
    CollapseSettings,
    ConsistencySettings,
    EngineSettings,
    GapSettings,
    MisfitSettings,
    TransferSettings,
)

V1, V2, DROPO = "arXiv:2506.10133v1, ", "arXiv:2506.10133v2, ", "the fit itself: arXiv:2201.08434, "
TENTH = "a tenth of the cost is worth having"

CONSISTENT = "Does the fitted law close in on the truth, and on what else where it cannot?"
GAP = "How much less is lost under a law that knows more than the uniform one?"
ROBUST = "Is a fitted law too sure of itself, and does an entropy bonus mend it?"
ENGINE_FAMILY = "Does what is found hold in a physics engine?"

NO_RECORD = Arm("uniform", "the uniform law over the bounds, or its middle: what is said without a record")

CONSISTENCY = Experiment(
    "consistency",
    question="Does the fitted law close in on the truth as records grow?",
    family=CONSISTENT,
    estimands=(
        Estimand("error_slope", "exponent of the number of records in the distance of the law's mean from the truth"),
        Estimand("deviation_slope", "exponent of the number of records in the law's deviation"),
        Estimand(
            "mass", "the law's mass in a box of a twentieth of the search width around the truth, largest record", "", 0, 1),
        Estimand("error", "root mean square error of mass, stiffness and damping, largest record", "search widths", 0),
        Estimand(
            "ratio_error", "root mean square error of stiffness and damping once the mass is known, largest record",
            "search widths", 0),
    ),
    nulls=(NO_RECORD,),
    claims=(
        Claim(
            "C1.mean",
            "The mean of a law fitted to the transitions of a spring closes in on its true parameters about as one over the "
            "root of the records: exponent {low} to {high}.",
            "plain/error_slope", Within(-0.65, -0.35),
            why="a regular estimator's is -1/2; 0.15 either way tells it from -1/4 and from -1",
            at=V2 + "theorems 1 and 2; the rate is inferred", paper="consistent; about -1/2",
            negative=Arm("still", "a record of a spring held still shows no damping: the error does not fall"),
        ),
        Claim(
            "C1.deviation",
            "The deviation of a law fitted to the transitions of a spring falls with the number of records: exponent below "
            "{bound}.",
            "plain/deviation_slope", Below(-0.1),
            why="a fall of a fifth per decade of records; we expect -1/4, as it is a variance at its edge that is estimated",
            at=V2 + "theorem 1", paper="goes to 0",
            negative=Arm("changing", "a real spring whose parameters change from step to step: the deviation stays"),
        ),
        Claim(
            "C2.set",
            "Without forces in the record, a fit of mass, stiffness and damping finds the ratios to the mass to within {bound} "
            "search widths.",
            "free/ratio_error", Below(0.1), summary="every", why="a tenth of the width in which it searches",
            at=V2 + "remark on identifiability", paper="converges to the identified set",
            negative=Arm("held", "no velocities in the record either: the ratio of damping to mass is invisible too"),
        ),
        Claim(
            "C2.truth",
            "Without forces in the record, a fit of mass, stiffness and damping stays more than {bound} search widths away "
            "from them.",
            "free/error", Above(0.1), why="a tenth of the width in which it searches",
            at=V2 + "assumption A4", paper="does not converge to the truth",
            negative=Arm("forced", "with forces in the record the same fit comes nearer than that"),
            null_passes="uniform: the claim is of a lack, and who knows nothing lacks it too; its other half is C2.set",
        ),
        Claim(
            "C6.informative",
            "With the largest record, the mass of the fitted law in a small box around the truth is above {bound}.",
            "plain/mass", Above(0.95), why="alpha = 0.95; the box is a twentieth of the search width to either side",
            at=V2 + "alpha-informativeness", paper="goes to 1",
            negative=Arm("changing", "a spring whose parameters change from step to step: no point holds the mass"),
        ),
        Claim(
            "C6.fixed-bonus",
            "Fitted with an entropy bonus that does not grow with the record, the law's mass in a small box around the truth "
            "is above {bound} with the largest record.",
            "fixed-bonus/mass", Above(0.95), why="as C6.informative", at=V1 + "E-DROPO; inferred",
            paper="kept if beta does not grow with N",
            negative=Arm("growing-bonus", "a bonus in proportion to the record keeps the law wide for ever"),
        ),
    ),
    exact=(
        Exact(
            "C2.flat",
            "Without forces, doubling mass, stiffness and damping changes no record's log likelihood by as much as {bound} "
            "nats.",
            Below(1e-9), why="only the ratios enter the step", at=V2 + "remark on identifiability", unit="nats",
        ),
    ),
    check=f"{__package__}.exact:check_consistency",
    presets={
        "quick": Preset(
            ConsistencySettings(sizes=(10, 30), searched_sizes=(10, 20), n_copies=4, n_searched=1, budget=40, n_draws=8), 2
        ),
        "laptop": Preset(ConsistencySettings(), 60),
    },
    measure=f"{__package__}.consistency:measure",
    needs={"cma": "rl"},
    cost=Cost(5.5, cores=1),
    first_seed=200,
    figures=CONSISTENCY_FIGURES,
)  # fmt: skip

GAPS = Experiment(
    "gap",
    question="What does not knowing the process cost, and how does that grow with the number of candidates?",
    family=GAP,
    estimands=(
        Estimand(
            "log_advantage",
                "return lost under the uniform law over return lost under this one, most candidates", "times", log="e"),
        Estimand("growth", "exponent of the number of candidates in that ratio"),
    ),
    nulls=(Arm("uniform", "the uniform law: no advantage over itself"),),
    claims=(
        Claim(
            "C3.less",
            "With eight random decision processes for candidates, the best policy under the uniform law loses more than "
            "{bound} times what it loses under a law fitted to thirty recorded transitions.",
            "fitted/log_advantage", Above(math.log(2)), why="half of what not knowing costs",
            at=V1 + "comparison of bounds", paper="up to O(M)",
            negative=Arm("other", "thirty transitions of another candidate: as sure a law, about the wrong process"),
            positive=Arm("informed", "a law with nine tenths of its mass on the real process, put in"),
        ),
        Claim(
            "C3.grows",
            "The advantage of a law with nine tenths of its mass on the real process over the uniform law grows with the "
            "number of candidates with an exponent above {bound}.",
            "informed/growth", Above(0.75), why="nearer to linear than to the square root",
            at=V1 + "comparison of bounds", paper="up to O(M)",
            negative=Arm("fitted", "thirty transitions however many the candidates are: the law knows less of more of them"),
        ),
    ),
    exact=(
        Exact(
            "C3.ratio",
            "Where one of M doors opens, the tries of who knows nothing, over those of who knows, grow from 2 to 64 doors with "
            "exponent {value}.",
            Equals(0.8935, 5e-5), why="they are (M + 1) / 2 and 1", at=V1 + "comparison of bounds", paper="O(M)",
        ),
        Exact(
            "C3.known",
            "Thirty tries of a policy that tries the right one of 64 doors in three of ten show it with a chance above "
            "{bound}.",
            Above(0.95), why="arithmetic; one opened door has all the mass", at=V2 + "alpha-informativeness", paper="goes to 1",
        ),
        Exact(
            "C3.bound",
            "No gap exceeds the average gap under the law divided by the law's mass on the real process: the largest excess is "
            "below {bound}.",
            Below(1e-9), why="the average holds the real process's gap times its mass, and no gap is negative",
            at="ours", paper="M for the uniform law, 1/alpha for an informative one",
        ),
    ),
    check=f"{__package__}.exact:check_gap",
    presets={
        "quick": Preset(GapSettings(sizes=(2, 4), n_families=12, horizon=3, n_bound=1), 2),
        "laptop": Preset(GapSettings(), 12),
    },
    measure=f"{__package__}.gap:measure",
    cost=Cost(1.5, cores=1),
    figures=GAP_FIGURES,
)  # fmt: skip

COLLAPSE = Experiment(
    "collapse",
    question="How sure of itself is a fitted law, and what holds it open?",
    family=ROBUST,
    estimands=(
        Estimand("visible", "the law's part of the variance that it predicts for the next state", "share of variance", 0, 1),
        Estimand("coverage", "true parameters inside two of the law's deviations", "share of parameters", 0, 1),
    ),
    nulls=(NO_RECORD,),
    claims=(
        Claim(
            "C4.narrow",
            "Fitted to a hundred transitions of a cart-pole that the simulator has exactly, a law adds less than {bound:.0%} "
            "of the variance it predicts beside the sensor's.",
            "plenty/visible", Below(0.2), why="a fifth, so that four fifths of what is predicted are the sensor's",
            at=V1 + "motivation of E-DROPO", paper="collapses to the lower bound", summary="every",
            negative=Arm("changing", "a cart-pole whose parameters change from step to step: the law must stay wide"),
        ),
        Claim(
            "C5.overconfident",
            "Fitted to four transitions without a bonus, a law has fewer than {bound:.0%} of a cart-pole's true parameters "
            "inside two of its deviations.",
            "scarce/coverage", Below(0.5), why="more often outside than inside; a calibrated law has 95%",
            at=V1 + "motivation of E-DROPO", paper="overconfident",
            negative=Arm("scarce-bonus", "the same four transitions, fitted with a large entropy bonus"),
        ),
    ),
    exact=(
        Exact(
            "C4.collapse",
            "Without a bonus the most likely deviation is {value} where the record leaves no more unexplained than the noise "
            "floor.",
            Equals(0.0), why="the maximum of the objective for one parameter", at=V1 + "motivation of E-DROPO",
            paper="collapses to the lower bound",
        ),
        Exact(
            "C4.monotone",
            "Ten times the entropy bonus raises the logarithm of the best deviation by more than {bound}.",
            Above(0.5), why="the closed form; a larger bonus never narrows the best law", at=V1 + "E-DROPO's objective",
            paper="broader randomisation",
        ),
        Exact(
            "C4.values",
            "The closed form gives the three deviations computed when the study was planned to within {bound} units of their "
            "last digit.",
            Below(0.51), why="half a unit of the last digit given", at="ours", paper="0.01005, 0.1020, 0.1188 (ours)",
        ),
    ),
    check=f"{__package__}.exact:check_collapse",
    presets={
        "quick": Preset(
            CollapseSettings(
                few=2, plenty=6, n_copies=1, n_plenty=1, n_draws=6, fit_budget=40, n_records=20, bonuses=(1.0,),
                residuals=(0.0,),
            ),
            2,
        ),
        "laptop": Preset(CollapseSettings(), 8),
    },
    measure=f"{__package__}.collapse:measure",
    needs={"cma": "rl"},
    cost=Cost(1.5, cores=1),
    figures=COLLAPSE_FIGURES,
)  # fmt: skip

MISFIT = Experiment(
    "misfit",
    question="What do missing effects, short blocks and small noise floors do to a fit?",
    family=CONSISTENT,
    estimands=(
        Estimand("width", "deviation of the fitted law of the damping", "search widths", 0),
        Estimand("bias", "distance of the squared-error point's damping from the truth", "search widths", 0),
        Estimand("log_gain_of_length", "error of single steps over error of blocks of sixteen", "times", log="e"),
        Estimand("log_cost", "error with this noise floor over error with the right one", "times", log="e"),
    ),
    nulls=(NO_RECORD,),
    claims=(
        Claim(
            "C7.wide",
            "Fitted to a spring with friction that the simulator lacks, the law of the damping is wider than {bound} search "
            "widths.",
            "with-friction/width", Above(0.05), summary="every",
            why="a twentieth of the search width, the box of alpha-informativeness",
            at=DROPO + "experiments with unmodelled effects", paper="likelihood widens sigma",
            negative=Arm("without-friction", "without the effect the law stays narrow"),
            null_passes= (
                "uniform: it is as wide with friction as without; the other half is the control, where it is not narrow"
            ),
        ),
        Claim(
            "C7.biased",
            "Fitted by squared error to a spring with friction that the simulator lacks, the damping is off by more than "
            "{bound} search widths.",
            "with-friction/bias", Above(0.1), summary="every", why="a tenth of the search width",
            at=DROPO + "experiments with unmodelled effects", paper="squared error gives a biased point",
            negative=Arm("without-friction", "without the effect the point is right"),
            null_passes= (
                "uniform: the middle is off with friction as without; the other half is the control, where it is not right"
            ),
        ),
        Claim(
            "C8.floor",
            "A noise floor far below the sensor's variance makes the error of the damping more than {bound} times as large.",
            "tiny/log_cost", Above(0.2), why="a fifth more error", summary="every", at=DROPO + "choice of epsilon",
            paper="too small a floor is ill-conditioned",
            negative=Arm("double", "twice the right floor costs nothing"),
        ),
    ),
    presets={
        "quick": Preset(
            MisfitSettings(n_records=50, lengths=(1, 2), n_episodes=1, n_steps=8, n_copies=1, budget=30, n_draws=6), 2
        ),
        "laptop": Preset(MisfitSettings(), 8),
    },
    measure=f"{__package__}.misfit:measure",
    needs={"cma": "rl"},
    cost=Cost(1.5, cores=1),
    figures=MISFIT_FIGURES,
)  # fmt: skip

TRANSFER = Experiment(
    "transfer",
    question="What do a few records, and a bonus for staying unsure, buy on the real system?",
    family=ROBUST,
    estimands=(
        Estimand("log_gain_of_bonus", "cost on the real system without the bonus over cost with it", "times", log="e"),
        Estimand("log_cost_of_tenfold_bonus", "cost with ten times the bonus over cost with it", "times", log="e"),
        Estimand(
            "log_gain_over_uniform",
                "cost after training on the uniform law over cost after training on this one", "times", log="e"),
    ),
    nulls=(NO_RECORD,),
    claims=(
        Claim(
            "C5.bonus",
            "After four transitions of a cart-pole with friction that the simulator lacks, a small entropy bonus makes the "
            "cost on the real one more than {bound} times smaller.",
            "scarce/log_gain_of_bonus", Above(0.1), why=TENTH, at=V1 + "experiments",
            paper="more robust zero-shot transfer than without",
            negative=Arm("plenty", "a hundred transitions and an exact simulator: the bonus cannot help"),
        ),
        Claim(
            "C5.too-much",
            "After four transitions of a cart-pole with friction that the simulator lacks, ten times the small entropy bonus "
            "makes the cost on the real one more than {bound} times larger.",
            "scarce/log_cost_of_tenfold_bonus", Above(math.log(1.5)), why="half as much again", at="ours",
            paper="an interior optimum, if C5.bonus holds too",
            negative=Arm("plenty", "a hundred transitions and an exact simulator: they outweigh ten times the bonus too"),
        ),
        Claim(
            "C3.transfer",
            "Trained on the law fitted to a hundred transitions, a controller costs more than {bound} times less on the real "
            "cart-pole than trained on all.",
            "fitted/log_gain_over_uniform", Above(0.1), why=TENTH, at=V1 + "fitted against uniform randomisation",
            paper="fitted beats uniform",
            negative=Arm("other", "a hundred transitions of another cart-pole: breadth would have been better"),
            positive=Arm("truth", "trained on the real parameters themselves"),
        ),
    ),
    presets={
        "quick": Preset(
            TransferSettings(
                few=2, plenty=5, n_scarce=1, n_plenty=1, n_draws=6, fit_budget=24, policy_budget=20, n_trained_on=2, n_starts=1
            ),
            2,
        ),
        "laptop": Preset(TransferSettings(), 20),
    },
    measure=f"{__package__}.transfer:measure",
    needs={"cma": "rl"},
    cost=Cost(4, cores=1),
    figures=TRANSFER_FIGURES,
)  # fmt: skip

ENGINE = Experiment(
    "engine",
    question="Are masses found, and is a fitted law worth its records, in a physics engine?",
    family=ENGINE_FAMILY,
    estimands=(
        Estimand(
            "log_nearer",
                "distance of the box's middle from the hopper's masses over distance of the law's mean", "times", log="e"),
        Estimand(
            "log_gain_over_uniform",
                "cost on the real pendulum after the uniform law over cost after this one", "times", log="e"),
    ),
    nulls=(NO_RECORD,),
    claims=(
        Claim(
            "P1.masses",
            "From twenty noisy transitions of short episodes, the mean of a law fitted to a hopper is more than {bound} times "
            "nearer to its link masses "
            "than the middle of the bounds.",
            "fitted/log_nearer", Above(math.log(2)), why="half the distance", at=DROPO + "simulated hopper",
            paper="recovers masses in simulation",
            negative=Arm("other", "twenty transitions of another hopper bring it no nearer"),
        ),
        Claim(
            "P3.pendulum",
            "Trained on the law fitted to twenty transitions, a controller costs more than {bound} times less on the real "
            "pendulum than trained on every pendulum in the bounds.",
            "fitted/log_gain_over_uniform", Above(0.1), why=TENTH, at=V1 + "experiments", paper="fitted beats uniform",
            negative=Arm("other", "fitted to another pendulum's transitions"),
        ),
    ),
    presets={
        "quick": Preset(
            EngineSettings(records=4, fit_budget=10, n_draws=2, policy_budget=10, n_trained_on=1, n_starts=1, n_steps=3), 2
        ),
        "laptop": Preset(EngineSettings(), 96),
    },
    measure=f"{__package__}.engine:measure",
    needs={"cma": "rl", "gymnasium": "rl", "mujoco": "rl"},
    cost=Cost(20, cores=1),
    first_seed=200,
    figures=ENGINE_FIGURES,
)  # fmt: skip
