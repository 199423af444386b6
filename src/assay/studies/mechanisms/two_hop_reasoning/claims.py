"""What is claimed of small transformers and of the three-parameter model, and what is run to decide it."""

import math

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below
from assay.claims.study import Experiment, Preset
from assay.studies.mechanisms.two_hop_reasoning.figures import DEPTH_FIGURES, GATES_FIGURES, SYMBOLIC_FIGURES
from assay.studies.mechanisms.two_hop_reasoning.settings import DepthSettings, GateSettings, SymbolicSettings

CIRCUIT = "How does a small transformer learn to follow two edges, and which of its parts do it?"
LAYERS = "How many layers does it take to follow two edges?"
GATE_MODEL = "Do three nested gates have a plateau and a cliff by themselves?"

SOLVED = "a network that solves the task in one of three starts"
UNTRAINED = Arm("untrained", "the same network before training")

SYMBOLIC = Experiment(
    "symbolic",
    question="How does a small transformer learn to follow two edges, and which of its parts do it?",
    family=CIRCUIT,
    estimands=(
        Estimand("solved", "whether the first start solves the task", "yes or no"),
        Estimand("start", "which start is measured: the first that solves the task", low=1),
        Estimand("jump_step", "step at which the right end's probability passes one half", "steps", 0),
        Estimand(
            "guessing_share",
            "share of the steps to the jump at which the right one of k ends has a probability of 1/k - 0.05 to 1/k + 0.1",
            "share of steps", 0, 1,
        ),
        Estimand("ends_probability", "probability of all ends together, at half of the steps to the jump", "probability", 0, 1),
        Estimand(
            "cliff", "steps from 1/k + 0.15 to 0.95 probability of the right one of k ends, in steps to 0.5; at least, where "
            "0.95 did not come, and 1 where the first level did not",
            "times", 0,
        ),
        Estimand(
            "coincidence",
            "largest distance between the steps at which attention of each layer and accuracy pass half of their rise for "
            "good, in steps to the jump; 1 where one does not rise", "times", 0,
        ),
        Estimand("least_lost", "accuracy lost by a cut, the least of three cuts", "share of answers", -1, 1),
        Estimand("most_lost", "accuracy lost by a cut, the most of three cuts", "share of answers", -1, 1),
        Estimand(
            "route_share",
            "share of the logit difference of right and wrong end that is lost when this direct route alone carries the "
            "values of a sequence with exchanged bridges",
        ),
        Estimand(
            "copy_margin",
            "logit lens of a layer's values at the ends: own token's logit above the best other, over all chains", "logits",
        ),
        Estimand(
            "log_error_ratio",
            "attention cut in part: held-out error of what the measured attention of layers 1 and 2, multiplied, says of the "
            "answer, over the least error of either alone, plain or squared, or of both side by side", "times", log="e",
        ),
        Estimand("least_accuracy", "accuracy with two, three or four chains, the least of them", "share of answers", 0, 1),
    ),
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.symbolic:measure_nulls",
    claims=(
        Claim(
            "C1",
            "Networks that solve the task guess first: for more than {bound:.0%} of the steps before the jump the right one of "
            "five ends has a probability between 0.15 and 0.3.",
            "network/guessing_share", Above(0.5), given=SOLVED,
            why="'at least half of the training before the jump'; five ends, a fifth each",
            at="section 4, training curve", paper="0.2 to 0.25 from step 450 to 900",
            negative=Arm("one-chain", "with a single chain there is nothing to guess among"),
        ),
        Claim(
            "C1.ends",
            "Networks that solve the task guess among the ends: half-way to the jump all ends together have a probability "
            "above {bound}.",
            "network/ends_probability", Above(0.8), summary="every", given=SOLVED, why="of it the right one has a fifth",
            at="section 4, training curve", paper="sources and bridges go to about 0 early",
            negative=Arm("untrained", "before training all tokens are alike: 5 of 34"),
            positive=Arm("at-jump", "the same networks at the jump, when they have long known the ends"),
        ),
        Claim(
            "C1.jump",
            "Networks that solve the task jump: the right end's probability goes from 0.35 to 0.95 within {bound} times the "
            "steps it took to 0.5.",
            "network/cliff", Below(0.1), given=SOLVED, why="the paper's jump takes about 30 of 900 steps",
            at="section 4, training curve", paper="steps 900 to 930",
            negative=Arm("one-chain", "with a single chain learning is gradual"),
        ),
        Claim(
            "C2",
            "In networks that solve the task attention of all three layers and accuracy jump together: they pass half of "
            "their rise for good within {bound} times the steps to the jump.",
            "network/coincidence", Below(0.1), given=SOLVED, why="a tenth of the steps to the jump",
            at="section 4, attention curves", paper="all at about step 900",
            negative=Arm("with-guessing", "the same with the probability of all ends among them, which rises far earlier"),
        ),
        Claim(
            "C3",
            "Networks that solve the task need the sequential query: uniform attention of the query in layer 2 or 3, or of the "
            "children in layer 1, takes more than {bound} of accuracy.",
            "circuit/least_lost", Above(0.6), summary="every", given=SOLVED,
            why="three quarters of what lies between knowing (1) and guessing among five ends (0.2)", at="ours",
            paper="attention maps only",
            negative=Arm("other-rows", "uniform attention in all other rows of each layer"),
        ),
        Claim(
            "C3.others",
            "Networks that solve the task need nothing but the sequential query: uniform attention in all other rows of any "
            "layer takes less than {bound} of accuracy.",
            "other-rows/most_lost", Below(0.05), summary="every", given=SOLVED,
            why="the whole network is above 0.98", at="ours",
            negative=Arm("circuit", "uniform attention in the rows of the sequential query"),
            null_passes="untrained: who knows nothing has nothing to lose; its other half is C3",
        ),
        Claim(
            "C3.route",
            "In networks that solve the task layer 3 is told by layer 2: when only what layer 2 sends directly to layer 3 "
            "comes from a sequence with exchanged bridges, more than {bound:.0%} of the preference for the right end is lost.",
            "layer-2-to-3/route_share", Above(0.8), given=SOLVED,
            why="the rest may flow through more than one route", at="ours",
            negative=Arm("tokens-to-3", "only what the tokens themselves send directly to layer 3 is exchanged"),
        ),
        Claim(
            "C4",
            "In networks that solve the task copying comes before routing: half-way to the jump every end's value in layer 3 "
            "votes for its own token by more than {bound} logits above any other.",
            "layer-3/copy_margin", Above(3.0), given=SOLVED, why="half of the paper's",
            at="section 4, logit lens at step 400", paper="ends' own logits 6 to 7, others about 0",
            negative=Arm("layer-3-untrained", "the same network before training"),
            positive=Arm("layer-3-end", "the same network when it has solved the task: copying has come by then"),
        ),
        Claim(
            "C4.first",
            "In networks that solve the task layer 1 copies before routing: half-way to the jump every end's value there "
            "votes for its own token by more than {bound} logits above any other.",
            "layer-1/copy_margin", Above(3.0), given=SOLVED, why="as C4", at="ours", paper="layer 3 copies",
            negative=Arm("layer-1-untrained", "the same network before training"),
        ),
        Claim(
            "C6",
            "In networks that solve the task three gates say more than two: with attention cut in part, the product of that of "
            "layers 1 and 2 tells the answer with less than {bound} times the held-out error of one gate or of both added.",
            "network/log_error_ratio", Below(math.log(0.8)), given=SOLVED, why="a fifth less error is worth a gate",
            at="section 5 (three-parameter model)", paper="the gates of all three layers multiply",
            negative=Arm(
                "planted-two", "answers that follow the best of those rivals, with the noise by which two halves of the "
                "sequences differ"
            ),
            positive=Arm("planted-three", "answers that follow the product, with the same noise", power_only=True),
        ),
        Claim(
            "C8",
            "The circuit works with fewer chains: a network that solves the task with five answers two, three and four among "
            "unrelated edges with an accuracy above {bound}.",
            "fewer-chains/least_accuracy", Above(0.8), summary="every", given=SOLVED, why="most of what it reaches with five",
            at="ours", negative=Arm("fewer-chains-cut", "the same sequences with the query of layer 2 made uniform"),
        ),
    ),
    presets={
        "quick": Preset(
            SymbolicSettings(
                n_steps=20, n_eval=24, batch=16, d_model=16, n_chains=3, n_nodes=20, every=2, solved=0.0, single_steps=20
            ),
            n_runs=2,
        ),
        "laptop": Preset(SymbolicSettings(), n_runs=16),
        "paper": Preset(
            SymbolicSettings(
                n_steps=10_000, batch=512, ask_all=False, d_model=256, mlp=True, learning_rate=3e-4, every=5
            ),
            12,
        ),
    },
    measure=f"{__package__}.symbolic:measure",
    cost=Cost(3.2, cores=1, work=lambda settings: settings.n_starts * settings.n_steps * settings.batch * settings.d_model),
    figures=SYMBOLIC_FIGURES,
)  # fmt: skip

DEPTH = Experiment(
    "depth",
    question="Can two layers follow two edges, given the same starts, steps and stopping as three?",
    family=LAYERS,
    estimands=(
        Estimand("solved", "whether the start solves the task within its steps", "yes or no"),
        Estimand("best_accuracy", "largest accuracy on the way", "share of answers", 0, 1),
    ),
    nulls=(UNTRAINED,),
    measure_nulls=f"{__package__}.depth:measure_nulls",
    claims=(
        Claim(
            "C5",
            "Two layers of one head do not learn the task in the steps and at the rate at which three do: the share of their "
            "starts that solve it is below {bound}.",
            "two-layers/solved", Below(0.25), summary="share",
            why="one start in four is hardly ever", at="section 3",
            paper="three layers are needed",
            negative=Arm("three-layers", "a third layer, on the same data with the same steps and stopping"),
            positive=Arm("one-layer", "one layer, which cannot follow two edges"), run_is="start",
            null_passes="untrained: the claim is of a lack, which a network that learns nothing has too; its other half is the "
            "three-layer control, which must solve the task more often than that",
        ),
    ),
    presets={
        "quick": Preset(
            DepthSettings(n_steps=20, n_eval=24, batch=16, d_model=16, n_chains=3, n_nodes=20, every=10, heads=2), 2
        ),
        "laptop": Preset(DepthSettings(), n_runs=16),
        "paper": Preset(
            DepthSettings(
                n_steps=10_000, batch=512, ask_all=False, d_model=256, mlp=True, learning_rate=3e-4, every=5,
                heads=2,
            ),
            24,
        ),
    },
    measure=f"{__package__}.depth:measure",
    # With the three-layer networks that `symbolic` keeps; 9 minutes where it was not run before.
    cost=Cost(6.4, cores=1, work=lambda settings: settings.n_steps * settings.batch * settings.d_model),
    figures=DEPTH_FIGURES,
)  # fmt: skip

GATES = Experiment(
    "gates",
    question="Do three nested gates have plateau and cliff by themselves, and which of them make it?",
    family=GATE_MODEL,
    estimands=(
        Estimand("half", "step at which the loss has fallen to half of its start; the last step where it has not", "steps", 0),
        Estimand(
            "cliff", "steps from 88% to 9% of the loss at the start, in steps from the start to 88%; 1 where it never falls",
            "times", 0,
        ),
        Estimand(
            "longest_without", "half-way step with one gate held open, the latest of three, over that with all gates", "times",
            0,
        ),
        Estimand("without_guess", "half-way step without the guessing route over that with it", "times", 0),
        Estimand("final_loss", "loss at the end", "nats", 0),
    ),
    nulls=(Arm("apart", "the same gates side by side: nothing is nested"),),
    claims=(
        Claim(
            "C6.cliff",
            "Three nested gates have the cliff by themselves: their loss falls from 88% to 9% of its start within {bound} "
            "times the steps before.",
            "nested/cliff", Below(0.25), summary="median", why="the authors' run: about 100 steps after about 600",
            at="section 5", paper="plateau, then cliff",
            negative=Arm("one-gate", "one gate, the others held open, falls gradually"),
        ),
        Claim(
            "C6.nesting",
            "Every gate is needed for the plateau: with any one of them held open it is shorter than {bound} times that of all "
            "three.",
            "nested/longest_without", Below(0.8), summary="median",
            why="a fifth is more than the starts differ among themselves by chance", at="section 5",
            paper="all three gates are learnt before the loss falls",
            negative=Arm("apart", "gates side by side: holding one open does not shorten what is no plateau"),
        ),
        Claim(
            "C6.guess",
            "The route that guesses among the ends starts the learning: without it the plateau is more than {bound} times as "
            "long.",
            "nested/without_guess", Above(1.2), summary="median", why="a fifth longer", at="ours",
            paper="about twice as long in the authors' notebook",
            negative=Arm(
                "second-open", "with the second gate held open there is nothing to get round: the route saves no time"
            ),
        ),
    ),
    presets={"quick": Preset(GateSettings(n_steps=1500), n_runs=2), "laptop": Preset(GateSettings(), n_runs=128)},
    measure_many=f"{__package__}.gates:measure_many",
    batch=64,
    cost=Cost(0.42, cores=1, work=lambda settings: settings.n_steps),
    figures=GATES_FIGURES,
)  # fmt: skip
