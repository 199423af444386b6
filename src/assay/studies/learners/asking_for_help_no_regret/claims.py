"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Equals, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.studies.learners.asking_for_help_no_regret.figures import (
    IMPOSSIBLE_FIGURES,
    IRREVERSIBLE_FIGURES,
    LOCAL_SAFETY_FIGURES,
    MISSPECIFIED_FIGURES,
    ONLINE_FIGURES,
)
from assay.studies.learners.asking_for_help_no_regret.settings import (
    ImpossibleSettings,
    LocalSettings,
    MisspecifiedSettings,
    OnlineSettings,
    WalkerSettings,
    bound_slope,
)

BASE = "arXiv:2402.08062, "
FOLLOW_UP = "arXiv:2502.14043v2, "
SIGN = "the sign of the slope decides whether total risk goes to zero"

LEARNABLE = "With a learnable mentor, does total risk go to zero while the agent stops asking?"
HOPELESS = "Without structure, can a vanishing share of questions avoid catastrophe?"
FOR_EVER = "Does avoiding catastrophe also avoid regret where mistakes are for ever?"
BROKEN = "Which assumption breaks the guarantee first?"

COIN = Arm("coin", "tosses a coin for every step")

REGRET_SLOPE = Estimand(
    "regret_slope",
    "exponent of the number of rounds in the regret: log chance of survival lost to the mentor, summed over the run",
)

IRREVERSIBLE = Experiment(
    "irreversible",
    question="Who is still on the ridge, at what height, and has stopped asking?",
    family=FOR_EVER,
    estimands=(
        Estimand("lost_share", "expected share of the mentor's return that is lost; the larger one of two learners", "", 0, 1),
        Estimand(
            "lost_share_slope", "exponent of the number of steps in the expected share of the mentor's return that is lost"),
        Estimand("fallen", "chance of having fallen by the end; the smaller one of two learners", "probability", 0, 1),
        Estimand("fallen_slope", "exponent of the number of steps in the chance of having fallen by the end"),
        Estimand("query_rate", "share of steps on which it asks, longest run", "share of steps", 0, 1),
        Estimand("query_rate_slope", "exponent of the number of steps in the share of steps on which it asks"),
    ),
    nulls=(COIN,),
    claims=(
        Claim(
            "C6.gap",
            "In an irreversible world an agent that asks loses a vanishing share of the mentor's return: on log-log axes the "
            "share falls with the length of the run with a slope below {bound}.",
            "asks/lost_share_slope", Below(-0.1), why="a fifth less for ten times the steps is the least worth naming",
            at=FOLLOW_UP + "main theorem", paper="sublinear regret",
            negative=Arm("no-test", "without the distance test mistakes are as dear in a long run as in a short one"),
        ),
        Claim(
            "C6.catastrophe",
            "In an irreversible world an agent that asks is the less likely to have fallen by the end the longer the run: on "
            "log-log axes the chance has a slope below {bound}.",
            "asks/fallen_slope", Below(-0.1),
            why="a fifth less for ten times the steps is the least worth naming; the bound on mistakes times radius, "
            "T^(-1/6) log T, has a slope of -0.05 over these lengths",
            at=FOLLOW_UP + "main theorem", paper="no growth",
            negative=Arm("no-test", "without the distance test the chance does not fall"),
        ),
        Claim(
            "C6.no-regret",
            "Q-learning falls with a chance above {bound} where a fall is for ever, with a confidence bonus and with random "
            "tries.",
            "tries/fallen", Above(0.95), summary="every", why="nineteen in twenty", at="arXiv:2502.14043, introduction",
            paper="probability 1",
            negative=Arm("asks", "the agent that asks, on such ridges, does not"),
            null_passes="coin: it falls with certainty too; the other half is C6.competent, where nothing is for ever and "
            "Q-learning loses less than the coin",
        ),
        Claim(
            "C6.competent",
            "Where every slip can be undone, Q-learning loses less than {bound:.0%} of the mentor's return, with a confidence "
            "bonus and with random tries.",
            "tries-reversible/lost_share", Below(0.75), summary="every",
            why="a coin loses seven eighths there; the learners have learnt something", at="ours",
            negative=Arm("coin-reversible", "a coin on the same ridges, with the same draws, loses more"),
        ),
    ),
    presets={
        "quick": Preset(WalkerSettings(horizons=(100, 300), n_copies=1, n_trial_steps=300), 2),
        "laptop": Preset(WalkerSettings(), 12),
    },
    measure=f"{__package__}.irreversible:measure",
    cost=Cost(4, cores=1),
    figures=IRREVERSIBLE_FIGURES,
)  # fmt: skip

HORIZONS = OnlineSettings().horizons


def _regret_claims(n_dims: int) -> tuple[Claim, ...]:
    """The theorem's claim in n dimensions, for the step of Hedge as we read it and for the importance-weighted one.

    In one dimension the pilot's slope of the importance-weighted one is the bound's own to a hundredth, which no number of runs
    that can be had tells apart: it is shown, not claimed.
    """
    bound = round(bound_slope(n_dims, HORIZONS), 4)
    claims = []
    for name, arm, told, at in (
        ("C2.regret", "full", "Hedge, its step as we read it,", BASE + "main theorem"),
        ("C2.weighted", "weighted", "importance-weighted Hedge", "ours"),
    ):
        claims.append(
            Claim(
                f"{name}-{n_dims}",
                f"With a learnable mentor and inputs of dimension {n_dims}, the chance of survival that the algorithm with "
                f"{told} loses, summed over the run, falls as fast as the theorem's bound: its slope on log-log axes is "
                "below {bound}.",
                f"{arm}-{n_dims}d/additive_slope",
                Below(bound),
                why="the slope that T^(-1/(2n+1)) log T has over the same five lengths",
                at=at,
                paper=f"upper bound: T^(-1/{2 * n_dims + 1}) log T" if name == "C2.regret" else "",
                related="" if name == "C2.regret" else "another learner, with importance-weighted steps, on the same inputs",
                negative=Arm(f"no-test-{n_dims}d", "without the distance test regret grows"),
                positive=Arm(
                    f"constant-{n_dims}d", "Hedge with a step of 1: mistakes are O(log T / p), whatever the constants"
                ),
            )
        )
    return tuple(claims[: 1 if n_dims == 1 else 2])


ONLINE = Experiment(
    "online",
    question="Does the risk go to zero while the agent stops asking, and which part of it is needed?",
    family=LEARNABLE,
    estimands=(
        Estimand("additive_slope", "exponent of the number of rounds in the chance of survival lost, summed over the run"),
        Estimand("query_slope", "exponent of the number of rounds in the share of rounds on which it asks"),
        Estimand(
            "test_slope",
            "exponent of the number of rounds in the share of the rounds that the schedule does not force on which it asks"),
        Estimand("queries_to_full", "questions in the longest run, as a multiple of the full algorithm's", "times", 0),
    ),
    nulls=(
        Arm("coin", "tosses a coin, and asks by the schedule's coin and, in place of the distance test, in 1 round of 20"),
    ),
    claims=(
        *(claim for n_dims in (1, 2, 3) for claim in _regret_claims(n_dims)),
        Claim(
            "C2.queries",
            "With a learnable mentor in one dimension, the share of rounds on which the agent asks falls with the length of "
            "the run: its slope on log-log axes is below {bound}.",
            "full-1d/query_slope", Below(-0.05),
            why="a rate that falls by less than a tenth per decade could not be told from a constant one",
            at=BASE + "main theorem", paper="upper bound: -1/6",
            negative=Arm("no-transfer-1d", "radius 0, so that no answer carries over to another input: it asks for ever"),
            null_passes="coin: the schedule alone lets the share fall; the other half is C2.regret-1, which the coin fails",
        ),
        Claim(
            "C3.trigger",
            "Without the distance test regret grows about as the square root of the number of rounds: exponent {low} to "
            "{high}.",
            "no-test-1d/additive_slope", Within(0.35, 0.65),
            why="a half, with the room that a reference run (slope 0.59 up to 30,000 rounds) asked for",
            at=BASE + "section on the algorithm", paper="1/2",
            negative=Arm("full-1d", "with the distance test: no such growth"),
        ),
        Claim(
            "C3.hedge",
            "Without Hedge, copying the nearest answer, regret grows with the number of rounds in three dimensions: its "
            "slope on log-log axes is above {bound}.",
            "no-hedge-3d/additive_slope", Above(0.0), why=SIGN,
            at=BASE + "derived: (2n-3)/(2n+1) for a smooth boundary", paper="both ingredients are needed",
            negative=Arm("full-3d", "with Hedge: regret falls in three dimensions too"),
            null_passes="coin: the claim is of a lack, and who learns nothing lacks it too; the other half is C2.regret-3",
        ),
        Claim(
            "C3.nearest-queries",
            "In one dimension an agent that copies the nearest answer asks more often than the full algorithm, by a ratio "
            "above {bound}.",
            "no-hedge-1d/queries_to_full", Above(1.0), summary="every", why="more than as many", at="ours",
            negative=Arm("exact-1d", "the exact learner of one threshold asks less, so the ratio can come out below 1"),
            null_passes="coin: to ask often takes no mechanism; whoever copies the nearest answer asks far less than the coin",
        ),
        Claim(
            "C8",
            "The more dimensions, the more slowly the distance test stops asking: of the rounds that the schedule does not "
            "force, the share on which the agent asks falls with a slope on log-log axes that rises by more than {margin} from "
            "one dimension to two and from two to three.",
            ("full-1d/test_slope", "full-2d/test_slope", "full-3d/test_slope"), Ordered(0.02),
            why="balls of the radius fill the cube with slopes -1/3, -1/5 and -1/7; 0.02 is a third of the smaller step",
            at=BASE + "main theorem: the part of its bound on queries that the schedule does not put in",
            paper="-0.333, -0.200, -0.143 (derived)",
            negative=Arm(("full-1d-first", "full-1d-second", "full-1d-third"), "one dimension three times: no step"),
        ),
    ),
    exact=(
        Exact(
            "C3.asking",
            "Who never asks, a fiftieth from the mentor's threshold, survives 100,000 rounds with a chance below {bound}.",
            Below(0.01), why="it loses the square of that over two in expectation each round", at=BASE + "section 1",
            paper="catastrophe",
        ),
        Exact(
            "C4",
            "The algorithm uses no payoff: with every payoff changed, a share of {value} of its decisions changes.",
            Equals(0.0), why="no payoff is among what it is given", at=BASE + "section 3", paper="payoffs are never observed",
        ),
        Exact(
            "C5",
            "What one run that does not know L loses grows as L to the power {value}.",
            Equals(1.0, 1e-9), why="its decisions are the same for every L, and each costs L times a distance",
            at=BASE + "main theorem", paper="linear in L",
        ),
    ),
    check=f"{__package__}.exact:check_online",
    presets={
        "quick": Preset(OnlineSettings(horizons=(300, 600), n_angles=8, n_offsets=8), 2),
        "laptop": Preset(OnlineSettings(), 8),
    },
    measure_many=f"{__package__}.online:measure_many",
    measure_nulls=f"{__package__}.online:measure_nulls",
    batch=4,
    cost=Cost(5.5, cores=1),
    figures=ONLINE_FIGURES,
)  # fmt: skip

IMPOSSIBLE = Experiment(
    "impossible",
    question="What does a budget of questions buy where nothing carries over?",
    family=HOPELESS,
    estimands=(
        Estimand("exponent", "exponent of rounds per query in the regret, averaged over the sparse budgets"),
        Estimand(
            "least_growth", "log chance of survival lost, longest run minus shortest, for the budget with the least", "nats"),
    ),
    nulls=(
        Arm("coin", "asks as often at random, and tosses a coin elsewhere"),
        Arm("told", "knows every cell's safe action, and errs in one round"),
    ),
    claims=(
        Claim(
            "C1.exponent",
            "Where nothing carries over between inputs, an asker's regret grows as rounds per query to a power of {low} to "
            "{high}.",
            "coins/exponent", Within(0.4, 0.6),
            why="the theorem's exponent is 1/2; its lower-order term alone moves a fit over these T/q by up to 0.07",
            at=BASE + "theorem 4.1", paper="1/2",
            negative=Arm("one-change", "the same budgets where the safe action changes only once: another exponent"),
            null_passes="coin: the claim is that no asker's exponent is better than that of who learns nothing; the other half "
            "is the control, where one is",
        ),
        Claim(
            "C1.survival",
            "Where nothing carries over between inputs, an asker's log chance of survival falls by more than {bound} nats from "
            "the shortest to the longest run at every sublinear budget tried.",
            "coins/least_growth", Above(0.05), why="5% fewer survivors is the least worth naming",
            at=BASE + "corollary 4.1.1", paper="catastrophe almost surely",
            negative=Arm(
                "one-change", "a learnable mentor and an exact learner with the same budgets: at one at least nothing is lost"),
            null_passes="coin: the claim is that no asker is spared what befalls who learns nothing; the other half is the "
            "control, where one is",
        ),
    ),
    exact=(
        Exact(
            "C1.bound",
            "What who knows the costliest cells from the start, and asks there, loses in expectation grows as rounds per "
            "query to a power of {low} to {high}.",
            Within(0.4, 0.6), why= (
                "sqrt(T / q) / 8, less what the cells asked about take off"
            ), at=BASE + "theorem 4.1", paper="1/2",
        ),
    ),
    check=f"{__package__}.exact:check_impossible",
    presets={
        "quick": Preset(ImpossibleSettings(horizons=(100, 400), budgets=(0.1, 0.25), n_copies=1), 2),
        "laptop": Preset(ImpossibleSettings(), 8),
    },
    measure=f"{__package__}.impossible:measure",
    measure_nulls=f"{__package__}.impossible:measure_nulls",
    cost=Cost(40 / 60, cores=1),
    figures=IMPOSSIBLE_FIGURES,
)  # fmt: skip

LOCAL_SAFETY = Experiment(
    "local-safety",
    question="Does low local risk bound the return that is lost, whatever the process and the agent?",
    family=FOR_EVER,
    estimands=(
        Estimand("share_of_bound", "return lost per step over summed local risk, where that is largest", "", None, 1),
    ),
    claims=(),
    exact=(
        Exact(
            "C7",
            "Low local risk implies low regret: of the processes and agents drawn, none loses more return per step than its "
            "summed local risk by as much as {bound}.",
            Below(1e-9), why="returns per step are at most 1, so a step that differs costs at most its local risk",
            at=FOLLOW_UP + "first version", paper="holds for all",
        ),
        Exact(
            "C7.tight",
            "In the process made for it, the return lost per step is more than {bound:.0%} of the summed local risk.",
            Above(0.95), why="one wrong step of total variation 1 loses all that follows", at="ours",
        ),
    ),
    check=f"{__package__}.exact:check_local_safety",
    presets={
        "quick": Preset(LocalSettings(n_processes=3, horizon=10), 2),
        "laptop": Preset(LocalSettings(), 8),
    },
    measure=f"{__package__}.local_safety:measure",
    cost=Cost(15 / 60, cores=1, memory=0.1),
    figures=LOCAL_SAFETY_FIGURES,
)  # fmt: skip

MISSPECIFIED = Experiment(
    "misspecified",
    question="Which assumption breaks first?",
    family=BROKEN,
    estimands=(REGRET_SLOPE,),
    nulls=(
        Arm("coin", "asks as the schedule's coin says, and tosses a coin elsewhere"),
        Arm("told", "knows the mentor's threshold to within one over the number of rounds"),
    ),
    claims=(
        Claim(
            "M.noise",
            "A mentor misheard one time in five breaks the guarantee: in one dimension regret grows with the length of the "
            "run, with a slope above {bound} on log-log axes.",
            "misheard/regret_slope", Above(0.0), summary="every", why=SIGN, at="ours",
            negative=Arm("unbroken", "a mentor always heard right: regret falls"),
            null_passes="coin: the claim is of a lack, and who learns nothing lacks it too; the other half is the control",
        ),
        Claim(
            "M.boundary",
            "Inputs that crowd at the boundary, at log-uniform distances from it, break the guarantee: in one dimension regret "
            "grows with the length of the run, with a slope above {bound} on log-log axes.",
            "crowded/regret_slope", Above(0.0), why=SIGN, at="ours", paper="a density of at most 1/sigma is assumed",
            negative=Arm("unbroken", "uniform inputs: regret falls"),
            null_passes="coin: the claim is of a lack, and who learns nothing lacks it too; the other half is the control",
        ),
        Claim(
            "M.metric",
            "A metric that misses nine tenths of every distance does not break the guarantee: in one dimension regret falls "
            "with the length of the run, with a slope below {bound} on log-log axes.",
            "blind-metric/regret_slope", Below(0.0), why=SIGN, at="ours",
            negative=Arm("no-test", "a true metric but no distance test: regret grows"),
            null_passes="told: a bound from above, which who knows the threshold keeps without any metric; the coin fails it",
        ),
    ),
    presets={
        "quick": Preset(
            MisspecifiedSettings(horizons=(100, 200), noise=(0.2,), blindness=(0.9,), boundary=(1.0,), n_copies=2), 2
        ),
        "laptop": Preset(MisspecifiedSettings(), 8),
    },
    measure_many=f"{__package__}.misspecified:measure_many",
    measure_nulls=f"{__package__}.misspecified:measure_nulls",
    batch=4,
    cost=Cost(1.5, cores=1),
    figures=MISSPECIFIED_FIGURES,
)  # fmt: skip
