"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.studies.mechanisms.in_context_vs_in_weights.figures import (
    EMERGENCE_FIGURES,
    FIDELITY_FIGURES,
    GATES_FIGURES,
    GRID_FIGURES,
    MINIMAL_FIGURES,
    NOISE_FIGURES,
    SKEW_FIGURES,
)
from assay.studies.mechanisms.in_context_vs_in_weights.settings import (
    DataSettings,
    EmergenceSettings,
    FidelitySettings,
    GateSettings,
    MinimalSettings,
    SkewSettings,
)

WHICH_DATA = "Which data make a transformer look the answer up, and which make it remember?"
BOTH = "Can one network do both?"
HOW = "How does looking up appear, and of what is it made?"
REDUCED = "Do two attention logits repeat what the network does?"

SCRAMBLED = "the same contrast with each context's labels dealt out again: then the context says nothing"
STRANGER = "the same contrast on classes the network never met: there is nothing to remember"

IC_GAIN = Estimand(
    "ic_gain", "in-context accuracy (new classes) at the property's high value minus at its low one", "share of answers", -1, 1
)
IW_LOSS = Estimand(
    "iw_loss", "in-weights accuracy (nothing in the context) at the property's low value minus at its high one",
    "share of answers", -1, 1,
)  # fmt: skip
IC = Estimand(
    "ic", "in-context accuracy: right answers about new classes; of several cuts the largest", "share of answers", 0, 1
)
CLIFF = Estimand("cliff", "steps from 25% to 90% accuracy, in steps from the start to 25%", "times", 0)
OF_GRID = (
    IC_GAIN,
    IW_LOSS,
    Estimand(
        "override_gap",
            "accuracy on new classes against that on known ones with all labels shifted: the largest difference, of the "
            "cells where the former is above 0.8", "share of answers", 0, 1,
    ),
    Estimand(
        "shift_loss", "accuracy on known classes minus that on known classes with all labels shifted", "share of answers", -1, 1
    ),
    Estimand("correlation", "of two accuracies over the cells of the grid", low=-1, high=1),
)  # fmt: skip

DATA = Experiment(
    "data",
    question="How many classes and how bursty a context make the network look the answer up, and which make it remember?",
    family=WHICH_DATA,
    estimands=OF_GRID,
    claims=(
        Claim(
            "C1",
            "Many classes favour the context: in-context accuracy with 2,048 classes is more than {bound} above that with 128.",
            "classes/ic_gain", Above(0.7), why="the figure runs from about 0 to about 1; 0.7 is most of it",
            at="section 3, figure 2a", paper="rises with K", negative=Arm("classes-scrambled", SCRAMBLED),
        ),
        Claim(
            "C1.weights",
            "Few classes favour the weights: in-weights accuracy with 128 classes is more than {bound} above that with 2,048.",
            "classes/iw_loss", Above(0.4), why="after few steps remembering 128 classes is under way, not done",
            at="section 3, figure 2a", paper="falls with K", negative=Arm("classes-stranger", STRANGER),
        ),
        Claim(
            "C2",
            "Burstiness favours the context: with 512 classes, bursts of 4 give more than {bound} more in-context accuracy "
            "than bursts of 1.",
            "bursts/ic_gain", Above(0.7), why="as C1",
            at="section 3, figure 2a", paper="rises with B", negative=Arm("bursts-scrambled", SCRAMBLED),
        ),
        Claim(
            "C2.weights",
            "Burstiness works against the weights: with 512 classes, bursts of 1 give more than {bound} more in-weights "
            "accuracy than bursts of 4.",
            "bursts/iw_loss", Above(0.3), why="half of what bursts of 1 reach in these steps",
            at="section 3, figure 2a", paper="falls with B", negative=Arm("bursts-stranger", STRANGER),
        ),
        Claim(
            "C11",
            "Where accuracy on new classes is above 0.8, accuracy on known classes with all labels shifted differs from it by "
            "less than {bound}: the context overrides what is remembered.",
            "readers/override_gap", Below(0.05),
            why="two standard errors of a difference of two accuracies on 1,000 sequences, twice",
            at="section 3 (IC2)", paper="IC2 follows IC",
            negative=Arm(
                "few", "a network that remembers (128 classes) loses most of its accuracy when labels are shifted",
                estimand="shift_loss", why="on new classes it has no accuracy that shifted labels could take",
            ),
        ),
        Claim(
            "C11.trade",
            "Over the data settings, in-context and in-weights accuracy exclude each other: their correlation is below "
            "{bound}.",
            "ic-iw/correlation", Below(-0.5), why="half of a perfect trade", at="section 3, figure 2", paper="trade-off",
            negative=Arm("ic-ic2", "two readings of the context (new classes, shifted labels) go together"),
        ),
    ),
    presets={
        "quick": Preset(DataSettings(n_steps=4, n_eval=24, batch=16, n_looks=1, noises=(0.1,)), n_runs=2),
        "laptop": Preset(DataSettings(n_steps=2000, batch=64, noises=(0.1,)), n_runs=5),
        "paper": Preset(
            DataSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, classes=(128, 256, 512, 1024, 2048),
                bursts=(1, 2, 4), noises=(0.1,),
            ),
            n_runs=6,
        ),
    },
    measure=f"{__package__}.data:measure",
    cost=Cost(5.5),
    figures=GRID_FIGURES,
)  # fmt: skip

NOISE = Experiment(
    "noise",
    question="Does noise inside the classes make the network look the answer up?",
    family=WHICH_DATA,
    estimands=OF_GRID,
    claims=(
        Claim(
            "C3",
            "Noise inside classes favours the context: from 0.1 to 0.75 in-context accuracy rises by more than {bound}.",
            "noise/ic_gain", Above(0.1), why="three times chance (1/32); after 3,000 steps of Adam the rise has begun",
            at="section 3, figure 2b", paper="rises with eps (K = 1024)", negative=Arm("noise-scrambled", SCRAMBLED),
        ),
        Claim(
            "C3.weights",
            "Noise inside classes works against the weights: from 0.1 to 0.75 in-weights accuracy falls by more than {bound}.",
            "noise/iw_loss", Above(0.1), why="as C3",
            at="section 3, figure 2b", paper="falls with eps (K = 1024)", negative=Arm("noise-stranger", STRANGER),
        ),
    ),
    presets={
        "quick": Preset(DataSettings(n_steps=4, n_eval=24, batch=16, n_looks=1, classes=(512,), bursts=(1,)), n_runs=2),
        "laptop": Preset(DataSettings(classes=(512,), bursts=(1,)), n_runs=5),
        "paper": Preset(
            DataSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, classes=(1024,), bursts=(1,),
                noises=(0.1, 0.25, 0.5, 0.75),
            ),
            n_runs=6,
        ),
    },
    measure=f"{__package__}.data:measure",
    cost=Cost(5),
    figures=NOISE_FIGURES,
)  # fmt: skip

SGD = Experiment(
    "sgd",
    question="Does the paper's plain SGD take the same way as Adam, only slower?",
    family=WHICH_DATA,
    estimands=(
        IC,
        Estimand("ic2", "right answers about known classes with all labels shifted", "share of answers", 0, 1),
        Estimand("iw", "in-weights accuracy: right answers with nothing in the context", "share of answers", 0, 1),
    ),
    claims=(
        Claim(
            "C0",
            "Plain SGD takes the same way as Adam: with 512 classes in bursts of 2, accuracy on new classes is above {bound} "
            "by the end.",
            "trained/ic", Above(0.3), summary="every",
            why="above guessing among the context's 4 labels (0.25); steps times rate are a fifth of the paper's run",
            at="section 3, figure 1d", paper="about 1 after 150,000 steps",
            negative=Arm("scrambled", "with each context's labels dealt out again the same network guesses"),
        ),
    ),
    presets={
        "quick": Preset(FidelitySettings(n_steps=6, n_eval=24, batch=16), n_runs=1),
        "laptop": Preset(FidelitySettings(), n_runs=1),
        "paper": Preset(FidelitySettings(n_steps=150_000, n_eval=10_000, learning_rate=0.01), n_runs=6),
    },
    measure=f"{__package__}.sgd:measure",
    cost=Cost(3, cores=1),
    figures=FIDELITY_FIGURES,
)  # fmt: skip

SKEW = Experiment(
    "skew",
    question="Does a skewed distribution of classes let one network remember and look up?",
    family=BOTH,
    estimands=(
        Estimand(
            "gain", "the smaller of in-context and in-weights accuracy at the best exponent above zero, minus the same at zero",
            "share of answers", -1, 1,
        ),
        Estimand("best_exponent", "the exponent of the class frequencies at which that smaller accuracy is largest", low=0),
        Estimand(
            "iw_change", "in-weights accuracy after an intervention minus before; the largest change of several",
            "share of answers", -1, 1,
        ),
    ),
    claims=(
        Claim(
            "C4",
            "Skewed class frequencies let both live: at some exponent above zero the smaller of in-context and in-weights "
            "accuracy is more than {bound} above that with equal frequencies.",
            "frequent/gain", Above(0.3), why="'far above': ten times chance",
            at="section 3, figure 2c", paper="both high near exponent 1",
            negative=Arm(
                "uniform",
                "asked about all classes equally often, it does not remember: what it holds in its weights is the frequent few",
            ),
        ),
        Claim(
            "C7.weights",
            "The induction head serves the context only: made uniform in a network that does both, in-weights accuracy "
            "changes by at most {margin}.",
            "head-uniform/iw_change", Within(-0.1, 0.1), why="a tenth: small beside the loss of the whole in-context accuracy",
            at="section 4", paper="separate circuits (attention maps; the intervention is ours)",
            negative=Arm("query-exchanged", "with the query exchanged for one of another class, in-weights accuracy is lost"),
        ),
    ),
    presets={
        "quick": Preset(SkewSettings(n_steps=6, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(SkewSettings(n_steps=1500, batch=64), n_runs=5),
        "paper": Preset(
            SkewSettings(
                n_steps=150_000, n_eval=10_000, optimiser= (
                    "sgd"
                ), learning_rate=0.01, burst=1, exponents=(0.0, 0.5, 1.0, 1.5, 2.0)
            ),
            n_runs=6,
        ),
    },
    measure=f"{__package__}.skew:measure",
    cost=Cost(2),
    figures=SKEW_FIGURES,
)  # fmt: skip

EMERGENCE = Experiment(
    "emergence",
    question="How does in-context learning appear when nothing else can be learned, and which parts is it made of?",
    family=HOW,
    estimands=(
        CLIFF,
        IC,
        Estimand(
            "context_label_share",
                "probability of the context's labels when a quarter of the answers are right", "probability", 0, 1
        ),
        Estimand("last_context_label_share", "probability of the context's labels at the end of training", "probability", 0, 1),
        Estimand(
            "lead", "steps by which a tenth of the rise of both attention patterns precedes an accuracy of one half", "steps"),
        Estimand("half_lead", "steps by which an accuracy of one half precedes in-context accuracy of one half", "steps"),
        Estimand(
            "lead_over_attention",
                "steps by which a tenth of the rise precedes a tenth of the rise of either attention pattern",
            "steps",
        ),
        Estimand(
            "half_lead_over_attention",
                "steps by which an accuracy of one half precedes a tenth of the rise of either attention pattern", "steps",
        ),
        Estimand("lag", "steps by which in-context accuracy follows, as the best lag of their rates of change", "steps"),
    ),
    claims=(
        Claim(
            "C5",
            "In-context learning appears abruptly: going from 25% to 90% accuracy takes less than {bound} of the steps before.",
            "isolated/cliff", Below(0.25), why="a straight line through the origin has 2.6; a quarter is a tenth of that",
            at="section 4, figure 3", paper="slow phase, then a jump",
            negative=Arm("memoriser", "remembering 32 classes without bursts, in the same network, is gradual"),
        ),
        Claim(
            "C6",
            "Before the jump the network answers with some label of the context: when a quarter of its answers are right, "
            "labels of the context have more than {bound} of the probability.",
            "isolated/context_label_share", Above(0.5), why="8 labels of 32 would have 0.25 by chance",
            at="section 4, figures 3 and 4", paper="random label of the context: accuracy from 1/32 towards 1/8",
            negative=Arm(
                "memoriser",
                "trained where the context never holds the answer, labels of the context get no more than chance",
                estimand="last_context_label_share",
                why="a quarter of its answers about new classes is never right, so the end of training is read",
            ),
        ),
        Claim(
            "C6.equal",
            "Where the context holds all labels (L = N) the circuit does not form: mean in-context accuracy stays below "
            "{bound}.",
            "equal/ic", Below(0.5), why="one half lies far above chance (1/8) and far below the solution (1)",
            at="section 5, figure A.5", paper="not robustly learned",
            negative=Arm("isolated", "with L = 32 labels and the same steps it forms"),
        ),
        Claim(
            "C7",
            "The induction head is causal: with layer 1's or layer 2's attention made uniform, in-context accuracy is below "
            "{bound}.",
            "head-uniform/ic", Below(0.25), why="two in N = 8; guessing among the labels of the context gives 1/8",
            at="section 4", paper="induction head in attention maps (the intervention is ours)",
            negative=Arm("other-rows-uniform", "layer 2 made uniform in every row but the query's"),
        ),
        Claim(
            "C8",
            "Both attention patterns of the induction head start to rise more than {bound} steps before accuracy is at one "
            "half.",
            "attention/lead", Above(10.0), why="10 steps, about a third of the distance of two observations near the jump",
            at="section 4, figure 4", paper="both rise just before the jump",
            negative=Arm(
                "shifted-labels", "another accuracy (labels shifted) does not lead: it moves at the same time",
                estimand="half_lead", why="guessing takes an accuracy past a tenth of its rise, so it is read at one half",
            ),
        ),
        Claim(
            "C8.labels",
            "The probability of the context's labels starts to rise more than {bound} steps before either attention pattern.",
            "context-labels/lead_over_attention", Above(0.0), why="order alone is claimed",
            at="section 4, figure 4", paper="rises in the slow phase",
            negative=Arm(
                "accuracy", "accuracy itself, at one half, does not come before the attention patterns",
                estimand="half_lead_over_attention",
                why="guessing takes an accuracy past a tenth of its rise, so it is read at one half",
            ),
        ),
        Claim(
            "C8.lag",
            "Accuracy follows layer 1's attention to the item before a label: the best lag of their rates is above {bound} "
            "steps.",
            "previous-item/lag", Above(5.0), why="5 steps: order is claimed, not size",
            at="section 4, figure 4", paper="rises just before the jump (as a cross-correlation ours)",
            negative=Arm("shifted-labels", "accuracy with shifted labels has no lag"),
        ),
    ),
    presets={
        "quick": Preset(EmergenceSettings(n_steps=12, n_eval=32, n_attended=16, batch=16, per_decade=6), n_runs=2),
        "laptop": Preset(EmergenceSettings(), n_runs=5),
        "paper": Preset(EmergenceSettings(n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01), n_runs=6),
    },
    measure=f"{__package__}.emergence:measure",
    cost=Cost(3),
    figures=EMERGENCE_FIGURES,
)  # fmt: skip

GATES = Experiment(
    "gates",
    question="Does nesting of soft gates alone turn gradient descent into plateau and cliff?",
    family=HOW,
    estimands=(Estimand(
        "plateau", "steps before a quarter of the fall of the loss, in steps from there to nine tenths", "cliffs", 0),),
    claims=(
        Claim(
            "C10",
            "With one, two and three nested gates the plateau before the cliff grows, each time by more than {margin} "
            "lengths of the cliff.",
            ("nested-1/plateau", "nested-2/plateau", "nested-3/plateau"), Ordered(0.5),
            why="each gate adds at least half a cliff's length of plateau",
            at="section 5 (phenomenological loss)", paper="plateau, then cliff, with three gates",
            negative=Arm(
                ("apart-1", "apart-2", "apart-3"),
                "the same gates side by side instead of nested: more of them do not lengthen the plateau",
            ),
        ),
    ),
    presets={
        "quick": Preset(GateSettings(n_steps=1000), n_runs=2),
        "laptop": Preset(GateSettings(), n_runs=10),
    },
    measure_many=f"{__package__}.gates:measure_many",
    cost=Cost(5 / 60),
    figures=GATES_FIGURES,
)  # fmt: skip

TWO_PARAMETERS = Experiment(
    "two-parameters",
    question="Do two attention logits and a classifier repeat what the network does?",
    family=REDUCED,
    estimands=(
        IC_GAIN,
        IW_LOSS,
        Estimand(
            "least_contrast",
                "the smallest of what classes, bursts and noise add to in-context accuracy and take from in-weights accuracy",
                    "share of answers", -1, 1,
        ),
        CLIFF,
    ),
    claims=(
        Claim(
            "C9",
            "Two attention logits and a classifier repeat the data's effects: classes, bursts and noise each move in-context "
            "accuracy up and in-weights accuracy down by more than {bound}.",
            "free/least_contrast", Above(0.1),
            why="signs are claimed; the smallest of the six contrasts must be above what a bag of labels can do",
            at="section 4, figure 5", paper="the same trade",
            negative=Arm("frozen", "with both numbers held at zero there is no looking up to be favoured"),
        ),
        Claim(
            "C9.jump",
            "The two-parameter model jumps as the network does: from 25% to 90% accuracy takes less than {bound} of the steps "
            "before.",
            "isolated/cliff", Below(0.25), why="as C5", at="section 4, figure 5", paper="abrupt",
            negative=Arm("memoriser", "the same model remembering 32 classes is gradual"),
        ),
    ),
    presets={
        "quick": Preset(MinimalSettings(n_steps=10, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(MinimalSettings(n_steps=2000, batch=64), n_runs=5),
        "paper": Preset(MinimalSettings(n_steps=150_000, optimiser="sgd", learning_rate=0.01, n_eval=10_000), n_runs=6),
    },
    measure=f"{__package__}.two_parameters:measure",
    cost=Cost(1.5),
    figures=MINIMAL_FIGURES,
)  # fmt: skip
