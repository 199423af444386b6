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
    REMEMBERING_FIGURES,
    SKEW_FIGURES,
)
from assay.studies.mechanisms.in_context_vs_in_weights.settings import (
    DataSettings,
    EmergenceSettings,
    FidelitySettings,
    GateSettings,
    MinimalSettings,
    RememberingSettings,
    SkewSettings,
)

WHICH_DATA = "Which data make a transformer look the answer up, and which make it remember?"
BOTH = "Can one network do both?"
HOW = "How does looking up appear, and of what is it made?"
REDUCED = "Do two attention logits repeat what the network does?"

UNTRAINED = Arm("untrained", "the same networks before training")

SCRAMBLED = "the same contrast with each context's labels dealt out again: then the context says nothing"
STRANGER = "the same contrast on classes the network never met: there is nothing to remember"

IC_GAIN = Estimand(
    "ic_gain", "in-context accuracy (new classes) at the property's high value minus at its low one", "share of answers", -1, 1
)
IW_COST = Estimand(
    "iw_cost",
    "in-weights accuracy (nothing in the context) that a twin which cannot look up has beyond the network, after equally many "
    "questions about each class: at the property's high value minus at its low one",
    "share of answers",
    -2,
    2,
)
IC = Estimand("ic", "in-context accuracy: right answers about new classes", "share of answers", 0, 1)
CLIFF = Estimand("cliff", "steps from 25% to 90% accuracy, in steps from the start to 25%", "times", 0)

DATA = Experiment(
    "data",
    question="Do many classes, a bursty context and noise inside the classes make the network look the answer up, and stop it "
    "from remembering?",
    family=WHICH_DATA,
    estimands=(
        IC_GAIN,
        IW_COST,
        Estimand(
            "override_gap",
                "accuracy on new classes against that on known ones with all labels shifted: the larger difference, of the two "
                "settings where the context should win (most classes, longest bursts)", "share of answers", 0, 1,
        ),
        Estimand(
            "shift_loss", "accuracy on known classes minus that on known classes with all labels shifted", "share of answers",
            -1, 1,
        ),
    ),
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.data:measure_nulls",
    claims=(
        Claim(
            "C1",
            "Many classes favour the context: in-context accuracy with 2,048 classes is more than {bound} above that with 128.",
            "classes/ic_gain", Above(0.7), why="the figure runs from about 0 to about 1; 0.7 is most of it",
            at="section 3, figure 2a", paper="rises with K", negative=Arm("classes-scrambled", SCRAMBLED),
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
            "With bursts the context takes the place of remembering: of what a network that cannot look up remembers, with 512 "
            "classes, bursts of 4 cost more than {bound} more than bursts of 1.",
            "bursts/iw_cost", Above(0.3), why="as C1.weights",
            at="section 3, figure 2a", paper="falls with B", negative=Arm("bursts-stranger", STRANGER),
        ),
        Claim(
            "C3",
            "Noise inside classes favours the context: with 608 classes, from 0.1 to 0.5 in-context accuracy rises by more "
            "than {bound}.",
            "noise/ic_gain", Above(0.1), why="three times chance (1/32): the rise has begun",
            at="section 3, figure 2b", paper="rises with eps (K = 1024)", negative=Arm("noise-scrambled", SCRAMBLED),
        ),
        Claim(
            "C3.weights",
            "With noise inside classes the context takes the place of remembering: of what a network that cannot look up "
            "remembers, with 608 classes, noise of 0.5 costs more than {bound} more than noise of 0.1.",
            "noise/iw_cost", Above(0.1), why="as C3",
            at="section 3, figure 2b", paper="falls with eps (K = 1024)", negative=Arm("noise-stranger", STRANGER),
        ),
        Claim(
            "C11",
            "The context overrides what is remembered: with 2,048 classes and with bursts of 4, accuracy on new classes and on "
            "known classes with all labels shifted differ by less than {bound}.",
            "readers/override_gap", Below(0.05),
            why="two standard errors of a difference of two accuracies on 1,000 sequences, twice",
            at="section 3 (IC2)", paper="IC2 follows IC",
            null_passes="an equivalence, which chance on both sides fulfils; C1 and C2 say that both are far above chance",
            negative=Arm(
                "few", "a network that remembers (128 classes) loses most of its accuracy when labels are shifted",
                estimand="shift_loss", why="on new classes it has no accuracy that shifted labels could take",
            ),
        ),
    ),
    presets={
        "quick": Preset(DataSettings(n_steps=4, n_eval=24, batch=16, n_looks=1), n_runs=2),
        "laptop": Preset(DataSettings(n_steps=1400, batch=32, learning_rate=0.002, n_looks=3), n_runs=7),
        "paper": Preset(
            DataSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, classes=(128, 256, 512, 1024, 2048),
                bursts=(1, 2, 4), noises=(0.1, 0.25, 0.5, 0.75), noisy_classes=1024, whole=True,
            ),
            n_runs=6,
        ),
    },
    measure=f"{__package__}.data:measure",
    cost=Cost(4.8, cores=1),
    figures=GRID_FIGURES,
)  # fmt: skip

REMEMBERING = Experiment(
    "remembering",
    question="With many classes, does looking up take the place of remembering?",
    family=WHICH_DATA,
    first_seed=200,
    estimands=(IW_COST,),
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.remembering:measure_nulls",
    claims=(
        Claim(
            "C1.weights",
            "With many classes the context takes the place of remembering: of what a network that cannot look up remembers "
            "after equally many questions about each class, 2,048 classes cost more than {bound} more than 128.",
            "classes/iw_cost", Above(0.3), why="a third of all there is to remember; without look-up it is 0 by definition",
            at="section 3, figure 2a", paper="falls with K", negative=Arm("classes-stranger", STRANGER),
        ),
    ),
    presets={
        "quick": Preset(RememberingSettings(n_steps=16, n_eval=24, batch=16, n_looks=1), n_runs=2),
        "laptop": Preset(RememberingSettings(n_steps=2000, batch=32, learning_rate=0.002), n_runs=12),
        "paper": Preset(
            RememberingSettings(n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01), n_runs=6
        ),
    },
    measure=f"{__package__}.remembering:measure",
    cost=Cost(2.9, cores=1),
    figures=REMEMBERING_FIGURES,
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
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.sgd:measure_nulls",
    claims=(
        Claim(
            "C0",
            "Under plain SGD looking up has begun after three tenths of the paper's way: with 512 classes in bursts of 2, "
            "accuracy on new classes is above {bound}.",
            "trained/ic", Above(0.3), summary="every",
            why="above guessing among the context's 4 labels (0.25) by three standard errors of 1,000 sequences",
            at="section 3, figure 1d", paper="about 1 after 150,000 steps",
            negative=Arm("scrambled", "with each context's labels dealt out again the same network guesses"),
        ),
    ),
    presets={
        "quick": Preset(FidelitySettings(n_steps=6, n_eval=24, batch=16), n_runs=1),
        "laptop": Preset(FidelitySettings(), n_runs=2),
        "paper": Preset(FidelitySettings(n_steps=150_000, n_eval=10_000, learning_rate=0.01), n_runs=6),
    },
    measure=f"{__package__}.sgd:measure",
    cost=Cost(0.7, cores=1),
    figures=FIDELITY_FIGURES,
)  # fmt: skip

SKEW = Experiment(
    "skew",
    question="Does a skewed distribution of classes let one network remember and look up?",
    family=BOTH,
    first_seed=200,
    estimands=(
        Estimand(
            "gain",
                "the smaller of in-context accuracy less what guessing among the context's labels gives and in-weights "
                "accuracy less the best constant answer, 0 where one is not beyond; at exponent 1 minus at exponent 0",
                "share of answers", -1, 1,
        ),
        Estimand(
            "iw_change", "in-weights accuracy after an intervention minus before; the largest change of several",
            "share of answers", -1, 1,
        ),
        Estimand(
            "ic_loss", "in-context accuracy before an intervention minus after; the smallest loss of several",
            "share of answers", -1, 1,
        ),
    ),
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.skew:measure_nulls",
    claims=(
        Claim(
            "C4",
            "Skewed class frequencies let both live: at exponent 1 the smaller of in-context accuracy beyond guessing among "
            "the context's labels and in-weights accuracy beyond the best constant answer (nothing where one is not beyond) is "
            "more than {bound} above that with equal frequencies.",
            "frequent/gain", Above(0.2), why="a fifth of the way from nothing to the paper's",
            at="section 3, figure 2c", paper="both high near exponent 1",
            negative=Arm("stranger", "the same with in-weights questions about classes that the network never met"),
            positive=Arm("steepest", "at exponent 2, where the frequent classes are remembered and the others looked up"),
        ),
        Claim(
            "C7.weights",
            "The induction head serves the context only: in networks trained at exponent 2, which do both, making it uniform "
            "changes in-weights accuracy by at most {margin}.",
            "head-uniform/iw_change", Within(-0.1, 0.1), why="a tenth: small beside the loss of the whole in-context accuracy",
            at="section 4", paper="separate circuits (attention maps; the intervention is ours)",
            null_passes="an equivalence, which nothing to lose fulfils; C7.both says that in-context accuracy is lost",
            negative=Arm("query-exchanged", "with the query exchanged for one of another class, in-weights accuracy is lost"),
        ),
        Claim(
            "C7.both",
            "The induction head is what looks up in networks trained at exponent 2: making either half of it uniform costs "
            "more than {bound} of in-context accuracy.",
            "head-uniform/ic_loss", Above(0.5), summary="every", why="most of an accuracy near 1", at="ours",
            negative=Arm("item-rows-uniform", "layer 1 made uniform in the rows of the items, which the head does not need"),
        ),
    ),
    presets={
        "quick": Preset(SkewSettings(n_steps=6, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(SkewSettings(n_steps=2600, batch=32, learning_rate=0.002), n_runs=40),
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
    cost=Cost(14, cores=1),
    figures=SKEW_FIGURES,
)  # fmt: skip

EMERGENCE = Experiment(
    "emergence",
    question="How does in-context learning appear when nothing else can be learned, and which parts is it made of?",
    family=HOW,
    first_seed=200,
    estimands=(
        CLIFF,
        IC,
        Estimand(
            "from_context",
                "share of answers, to questions about new classes, that are labels of the context, when a tenth of the answers "
                "to the questions that it is trained on are right", "share of answers", 0, 1,
        ),
        Estimand(
            "cut_ic", "in-context accuracy with some rows of attention made uniform; of several cuts the largest",
            "share of answers", 0, 1,
        ),
        Estimand(
            "lead", "steps by which the first quarter of a measure's rise is done before that of in-context accuracy's", "steps"
        ),
    ),
    nulls=(Arm("even", "a learner without parts: all about it rises evenly from chance to the end, and no cut touches it"),),
    measure_nulls=f"{__package__}.emergence:measure_nulls",
    claims=(
        Claim(
            "C5",
            "In-context learning appears abruptly: in every run, going from 25% to 90% accuracy takes less than {bound} of the "
            "steps before.",
            "isolated/cliff", Below(0.25), summary="every",
            why="a straight line through the origin has 2.6; a quarter is a tenth of that",
            at="section 4, figure 3", paper="slow phase, then a jump",
            negative=Arm("memoriser", "remembering 32 classes without bursts, in the same network, is gradual"),
            positive=Arm(
                "renamed", "trained with the label after the right one as the answer until four fifths of its steps: when the "
                "names are set right, accuracy jumps"
            ),
        ),
        Claim(
            "C6",
            "Before the jump the network answers with some label of the context: when a tenth of its answers are right, more "
            "than {bound} of them all are labels of the context.",
            "isolated/from_context", Above(0.5),
            why="8 labels of 32 are a quarter; who guesses among them in 0.8 of the answers is right in a tenth",
            at="section 4, figures 3 and 4", paper="random label of the context: accuracy from 1/32 towards 1/8",
            negative=Arm("memoriser", "trained where the context never holds the answer: no more than chance"),
            positive=Arm("guesser", "trained with each context's labels dealt out again: there is only guessing to learn"),
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
            "The second half of the induction head is causal: with the query's attention in layer 2 made uniform, in-context "
            "accuracy is below {bound}.",
            "layer-2-uniform/cut_ic", Below(0.2),
            why="guessing among the labels of the context gives 1/8; half as much again, rounded up", at="ours",
            paper="induction head in attention maps",
            negative=Arm("item-rows-uniform", "layer 1 made uniform in the rows of the items, which the head does not need"),
        ),
        Claim(
            "C7.first",
            "The first half of the induction head is causal: with layer 1's attention made uniform, in all rows or in those of "
            "the labels, in-context accuracy is below {bound}.",
            "layer-1-uniform/cut_ic", Below(0.2), why="as C7", at="ours", paper="induction head in attention maps",
            negative=Arm("item-rows-uniform", "layer 1 made uniform in the rows of the items, which the head does not need"),
            related="the other layer than C7's, in the same networks and told from the same cut",
        ),
        Claim(
            "C8",
            "Both attention patterns of the induction head rise before accuracy: the first quarter of each one's rise is done "
            "more than {bound} steps before that of accuracy's.",
            "attention/lead", Above(10.0), why="10 steps, a third of the distance of two observations",
            at="section 4, figure 4", paper="both rise just before the jump",
            negative=Arm("shifted-labels", "another accuracy (labels shifted) moves at the same time"),
            positive=Arm(
                "attention-renamed",
                "trained with the label after the right one as the answer until four fifths of its steps: what must be "
                "attended to is learnt before accuracy can rise",
            ),
        ),
        Claim(
            "C8.labels",
            "The probability of the context's labels rises before accuracy: the first quarter of its rise is done more than "
            "{bound} steps before that of accuracy's.",
            "context-labels/lead", Above(10.0), why="as C8",
            at="section 4, figure 4", paper="rises in the slow phase",
            negative=Arm(
                "guesser", "trained with each context's labels dealt out again, so that accuracy is guessing among them: the "
                "probability of the context's labels does not come before it"
            ),
        ),
    ),
    presets={
        "quick": Preset(EmergenceSettings(
            n_steps=12, n_eval=32, n_attended=16, batch=16, per_decade=6, every=0, memoriser_steps=12), n_runs=2),
        "laptop": Preset(EmergenceSettings(n_steps=1500, n_eval=500, batch=32), n_runs=8),
        "paper": Preset(
            EmergenceSettings(
                n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01, per_decade=30, every=1000,
                memoriser_steps=20_000,
            ),
            n_runs=6,
        ),
    },
    measure=f"{__package__}.emergence:measure",
    cost=Cost(3.2, cores=1),
    figures=EMERGENCE_FIGURES,
)  # fmt: skip

GATES = Experiment(
    "gates",
    question="Does nesting of soft gates alone turn gradient descent into plateau and cliff?",
    family=HOW,
    estimands=(Estimand(
        "plateau", "steps before a quarter of the fall of the loss, in steps from there to nine tenths", "cliffs", 0),),
    nulls=(Arm("apart", "the same gates side by side"),),
    claims=(
        Claim(
            "C10",
            "With one, two and three nested gates the plateau before the cliff grows, each time by more than {margin} "
            "lengths of the cliff.",
            ("gates-1/plateau", "gates-2/plateau", "gates-3/plateau"), Ordered(0.5), summary="every",
            why="each gate adds at least half a cliff's length of plateau",
            at="section 5 (phenomenological loss)", paper="plateau, then cliff, with three gates",
            negative=Arm(
                ("apart-gates-1", "apart-gates-2", "apart-gates-3"),
                "the same gates side by side instead of nested: more of them do not lengthen the plateau",
            ),
        ),
    ),
    presets={
        "quick": Preset(GateSettings(n_steps=1000), n_runs=2),
        "laptop": Preset(GateSettings(), n_runs=16),
    },
    measure_many=f"{__package__}.gates:measure_many",
    cost=Cost(7 / 60, cores=1),
    figures=GATES_FIGURES,
)  # fmt: skip

TWO_PARAMETERS = Experiment(
    "two-parameters",
    question="Do two attention logits and a classifier repeat what the network does, and how fast must they move to jump?",
    family=REDUCED,
    estimands=(
        Estimand(
            "least_contrast",
                "the smallest of what classes, bursts and noise add to in-context accuracy and to the cost of looking up: the "
                "in-weights accuracy that the same model with its two numbers held at zero has beyond it", "share of answers",
                -2, 2,
        ),
        CLIFF,
    ),
    nulls=(Arm(
        "no-look-up", "models that cannot look up: both numbers held at zero, or trained where there is nothing to find"),),
    claims=(
        Claim(
            "C9",
            "Two attention logits and a classifier repeat the data's effects: classes, bursts and noise each move in-context "
            "accuracy up, and what looking up takes from in-weights accuracy, by more than {bound}.",
            "free/least_contrast", Above(0.1), given="a classifier in each setting that learnt to answer what it is trained on",
            why="signs are claimed; the smallest of the six contrasts must be above what a bag of labels can do",
            at="section 4, figure 5", paper="the same trade",
            negative=Arm("unanswerable", "the same six with labels dealt out again and with classes that were never met"),
        ),
        Claim(
            "C9.rate",
            "The two-parameter model jumps if its two numbers move fast: its cliff gets longer by more than {margin} of the "
            "steps before, from 10 to 3 times and from there to the classifier's own learning rate.",
            ("rate-10/cliff", "rate-3/cliff", "rate-1/cliff"), Ordered(0.05), summary="every",
            given="nine tenths of accuracy at each rate",
            why="a twentieth of the plateau, half of the smallest step that would matter beside a cliff of a quarter",
            at="ours", paper="abrupt (its two numbers have no rate of their own)",
            negative=Arm(
                ("no-look-up-rate-10", "no-look-up-rate-3", "no-look-up-rate-1"),
                "the same models remembering 32 classes, which needs neither number",
            ),
        ),
    ),
    presets={
        "quick": Preset(MinimalSettings(n_steps=10, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(MinimalSettings(n_steps=1200, n_eval=500, batch=32, learning_rate=0.002), n_runs=8),
        "paper": Preset(MinimalSettings(n_steps=150_000, optimiser="sgd", learning_rate=0.01, n_eval=10_000), n_runs=6),
    },
    measure=f"{__package__}.two_parameters:measure",
    cost=Cost(1.4, cores=1),
    figures=MINIMAL_FIGURES,
)  # fmt: skip
