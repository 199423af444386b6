"""What is claimed, of which numbers, and what is run to decide it."""

import math

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Equals, Within
from assay.claims.study import Experiment, Preset
from assay.studies.mechanisms.reasoning_by_superposition.figures import (
    CONSTRUCTION_FIGURES,
    SHORTCUT_FIGURES,
    TRAINED_FIGURES,
)
from assay.studies.mechanisms.reasoning_by_superposition.settings import (
    ConstructionSettings,
    ShortcutSettings,
    TrainedSettings,
    Training,
)

BY_HAND = "Can two layers search a graph in one vector?"
BY_TRAINING = "Do trained networks that think in vectors search many paths at once, and does it help?"
ON_BENCHMARK = "How much of the benchmark needs search?"

PREFERRED = Estimand(
    "preferred", "held-out questions in which the right candidate is put above the wrong one; chance is 0.5",
    "share of questions", 0, 1,
)  # fmt: skip
EXACT = Estimand("exact", "held-out questions in which the target is the likeliest of all tokens", "share of questions", 0, 1)
BEHIND = Estimand(
    "behind", "by how much the right candidate is preferred less often than by the network that thinks (optimal labels)",
    "share of questions", -1, 1,
)  # fmt: skip
UNTRAINED = Arm("untrained", "the same network before training, asked to think")
WORDS = Arm(
    "words", "the same network trained to say one path: its words, and the states they are read from",
    why="the claim is the excess over words (C4), or words have no thoughts to cut or replace",
    lacks=("frontier_excess", "other_drop", "collapse_drop"),
)  # fmt: skip

CONSTRUCTION = Experiment(
    "construction",
    question="Do two layers set by hand, fed their own last state, search every graph exactly?",
    family=BY_HAND,
    estimands=(
        Estimand(
            "least_exact", "questions whose thoughts are all exact to 0.0001, at the size of graph where they are fewest",
            "share of questions", 0, 1,
        ),
    ),
    claims=(
        Claim(
            "C1.sharpness",
            "How sharp layer 2 must be grows with the root of the nodes times the logarithm of the string's length: at twice "
            "their product the share of questions searched exactly is {value} at every size.",
            "sharp/least_exact", Equals(1.0), summary="every",
            why="the weakest node of a thought has 1/√n, the sink half of it, and other edges must stay below one edge's share",
            at="ours", paper="section 4: large enough scores, no rate",
            negative=Arm("blunt", "at a tenth of that sharpness some size is not exact"),
        ),
    ),
    exact=(
        Exact(
            "C1",
            "Two layers set by hand search exactly: on every graph, from every source, each thought is the normalised sum of "
            "the nodes within as many steps and of nothing else, in a share {value} of the questions.",
            Equals(1.0), why="a theorem; components may differ by 0.0001 from the exact ones (single precision)",
            at="section 4, lemma on the continuous thoughts", paper="exact (theorem)", unit="share of questions",
        ),
        Exact(
            "C1.answers",
            "With as many thoughts as the target has steps, the hand-set network answers a share {value} of the questions "
            "right.",
            Equals(1.0), why="a theorem; the target must win among all tokens",
            at="section 4, main theorem", paper="exact (theorem)", unit="share of questions",
        ),
        Exact(
            "C1.short",
            "With one thought fewer than steps, the hand-set network answers a share {value} of the questions right.",
            Equals(0.0), why="neither candidate is in the thought, and nothing else tells them apart",
            at="ours", paper="as many thoughts as steps suffice (section 4)", unit="share of questions",
        ),
    ),
    nulls=(Arm("blunt", "layer 2 hardly looks anything up"),),
    presets={
        "quick": Preset(ConstructionSettings(n_graphs=20, most_nodes=12, sizes=(8, 12), n_questions=8), n_runs=2),
        "laptop": Preset(ConstructionSettings(), n_runs=5),
    },
    measure=f"{__package__}.construction:measure",
    check=f"{__package__}.construction:check",
    cost=Cost(1.3, cores=1, work=lambda settings: settings.n_graphs + len(settings.sizes) * settings.n_questions),
    figures=CONSTRUCTION_FIGURES,
)  # fmt: skip


def _work(settings: Training) -> float:
    """Steps times questions, of all networks together."""
    return (settings.total_steps * (4.5 + settings.guess_factor)) * settings.batch


TRAINED = Experiment(
    "trained",
    question="Does a small network trained to think in vectors search in superposition, and does it need to?",
    family=BY_TRAINING,
    estimands=(
        PREFERRED,
        EXACT,
        BEHIND,
        Estimand(
            "frontier_ratio",
                "attention on an edge of the frontier over that on an edge not reachable, at the step where it is smallest, "
                "in the layer where it is larger on other graphs", "times", log="e",
        ),
        Estimand(
            "others_ratio",
                "as frontier_ratio from the second step, without the edges of the frontier node that is looked at most: 1 for "
                "whoever is at one node", "times", log="e",
        ),
        Estimand(
            "optimal_ratio", "attention on an edge into a node of a shortest path over that on an edge of the frontier, at the "
            "step where it is smallest, in the layer that looks up", "times", log="e",
        ),
        Estimand(
            "frontier_excess", "AUC of frontier nodes over nodes not reachable in thoughts, minus the same in the states from "
            "which words are read; the mean from the second thought", low=-1, high=1,
        ),
        Estimand(
            "branch_excess", "AUC over nodes not reachable of those frontier nodes to which no node of a shortest path leads, "
            "minus the same in the same network with one node fed back at a time, drawn from its state; the mean from the "
            "second thought", low=-1, high=1,
        ),
        Estimand("auc_older", "AUC of nodes reached before over nodes not reachable, at the thought where it is smallest",
                 low=0, high=1),
        Estimand(
            "flattened",
                "AUC of optimal over other frontier nodes (the smallest of the thoughts but the last) in the network with "
                "optimal labels, minus the same in this one", low=-1, high=1,
        ),
        Estimand(
            "other_preferred", "questions about a target on another branch answered right with the thoughts made for the first "
            "target; chance is 0.5", "share of questions", 0, 1,
        ),
        Estimand(
            "other_drop", "by how much less often those are answered right with a node taken out of one thought (any but "
            "the last)", "share of questions", -1, 1,
        ),
        Estimand(
            "collapse_drop", "by how much less often the right candidate is preferred with every thought replaced by something "
            "simpler, at its length", "share of questions", -1, 1,
        ),
    ),
    claims=(
        Claim(
            "C2",
            "Trained by the curriculum, two layers that think in vectors prefer the right candidate in more than {bound:.0%} "
            "of held-out questions.",
            "thoughts/preferred", Above(0.95), why="the paper's accuracy is close to 1",
            at="section 5, accuracy figure", paper="about 1.00",
            negative=Arm("no-thoughts", "the same network without thoughts, with about as much computation"),
        ),
        Claim(
            "C2.words",
            "Where depths are matched, the same network trained to say a path in words stays behind the one that thinks in "
            "vectors by more than {bound:.0%} of the questions.",
            "words/behind", Above(0.1), why="the paper's gap on its own data is 25 points",
            at="section 5, accuracy figure", paper="about 0.25 on ProsQA",
            negative=Arm("given-path", "the same network is not behind where the right path is said in its place"),
            positive=Arm("no-thoughts", "a network without thoughts, which is at chance, is behind"),
            null_passes="untrained and words: what is claimed is a lack, of the network that says words; C2 is the other half",
        ),
        Claim(
            "C3.spare",
            "Told edges in both layers, a network that makes a thought looks at many nodes of the frontier at once: beside the "
            "node that it looks at most, an edge out of another gets on average more than {bound} times the attention of an "
            "edge not reachable, at every step from the second, in the layer where the frontier stands out more on other "
            "graphs.",
            "spare/others_ratio", Above(math.log(5)), why="the paper's smallest ratio, of all frontier edges, is 5",
            at="section 5, table 1", paper="53, 33, 8, 5",
            negative=Arm("untrained-spare", "before training all edges are alike"),
            positive=Arm("thoughts", "told edges in the second layer alone, a network has nowhere else to look them up"),
        ),
        Claim(
            "C3.spare_optimal",
            "Told edges in both layers, a network that makes a thought gives edges into a node of a shortest path more than "
            "{bound} times the attention of the frontier on average, at every step.",
            "spare/optimal_ratio", Above(math.log(1.1)), why="the paper's smallest ratio is 1.2",
            at="section 5, table 1", paper="1.2, 1.7, 2.5, 3.7",
            negative=Arm("untrained-spare", "before training all edges are alike"),
            positive=Arm("thoughts", "told edges in the second layer alone"),
        ),
        Claim(
            "C4",
            "From the second thought on, the nodes of the frontier stand out from the nodes not reachable by more than "
            "{bound} of AUC above what they do in the states of a network that says one path.",
            "thoughts/frontier_excess", Above(0.05), why= (
                "a twentieth of the scale; a word's state holds the children of one node"
            ),
            at="section 5, inner products", paper="separated at every step",
            negative=Arm("thoughts-walk", "the same network with each thought replaced by one node drawn from it: one path"),
            positive=Arm("breadth-first", "a network whose labels are drawn from the whole frontier"),
        ),
        Claim(
            "C4.others",
            "From the second thought on, frontier nodes to which no shortest path leads stand out from the nodes not "
            "reachable by more than {bound} of AUC above what they do once each thought is replaced by one node drawn from it.",
            "thoughts/branch_excess", Above(0.05), why="a twentieth of the scale",
            at="section 5, inner products", paper="separated at every step",
            negative=Arm("thoughts-nearest", "the same with each thought replaced by its nearest node, above a drawn one"),
            positive=Arm("breadth-first", "a network whose labels are drawn from the whole frontier"),
        ),
        Claim(
            "C4.older",
            "A thought of a trained network still holds what was reached before, as the construction's does: older nodes stand "
            "above those not reachable with an AUC of more than {bound} at every later thought.",
            "thoughts/auc_older", Above(0.8), why="well separated; the construction has 1",
            at="section 4 (the construction), asked of trained networks",
            paper="in the construction yes; in the released network older nodes fade",
            negative=Arm("shuffled", "nodes grouped by another graph's search"),
            positive=Arm("built", "the construction's own thoughts, read in the same way", power_only=True),
        ),
        Claim(
            "C5",
            "Labels that show one fixed shortest path an item are enough: frontier nodes to which no shortest path leads "
            "stand out by more than {bound} of AUC above what they do once each thought is replaced by one node drawn from it.",
            "fixed-path/branch_excess", Above(0.05), why="as C4.others",
            at="section 5 (superposition emerges without supervision)", paper="emerges",
            negative=Arm("fixed-path-nearest", "the same with each thought replaced by its nearest node, above a drawn one"),
            positive=Arm("breadth-first", "a network whose labels are drawn from the whole frontier"),
        ),
        Claim(
            "C6",
            "Labels drawn from the whole frontier (breadth-first) reach the same accuracy as optimal ones, within {margin}.",
            "breadth-first/behind", Within(-0.02, 0.02), why="two points: well within the distance to words",
            at="section 5, breadth-first variant", paper="both about 1.00",
            negative=Arm("no-thoughts", "the network without thoughts is farther away"),
        ),
        Claim(
            "C6.flat",
            "Breadth-first labels flatten the preference for the optimal node: its AUC over other frontier nodes is lower by "
            "more than {bound} than with optimal labels.",
            "breadth-first/flattened", Above(0.05), why="a twentieth of the scale",
            at="section 5, breadth-first variant", paper="flatter",
            negative=Arm("fixed-path", "labels of one fixed path do not flatten it"),
            positive=Arm("built", "the construction prefers no node of a thought", power_only=True),
            null_passes="untrained: what holds nothing prefers nothing; C6 is the other half",
        ),
        Claim(
            "C7.branch",
            "Thoughts made for one target know another branch: fed back while a target there is asked about, they prefer the "
            "right candidate in more than {bound:.0%} of the questions.",
            "thoughts/other_preferred", Above(0.75), why="half-way between chance and certainty", at="ours",
            paper="a thought holds all frontiers at once (section 4)",
            negative=Arm(
                "thoughts-walk", "each thought replaced by one node drawn from it: one path has not met the other target"),
            positive=Arm("breadth-first", "a network whose labels are drawn from the whole frontier"),
        ),
        Claim(
            "C7.cut",
            "Thoughts know another branch node by node: with the only node on the way to a second target there taken out of "
            "one thought, the share of right answers about that target falls by more than {bound}.",
            "cut/other_drop", Above(0.1), why="a fifth of the way from certainty to chance", at="ours",
            paper="a thought is used as a set of nodes (section 4)",
            negative=Arm("cut-elsewhere", "a frontier node on the way to neither target is taken out instead"),
            positive=Arm("breadth-first", "the same cut in a network whose labels are drawn from the whole frontier"),
        ),
        Claim(
            "C8",
            "Discreteness hurts: every thought replaced by its nearest node costs more than {bound:.0%} of the questions.",
            "nearest/collapse_drop", Above(0.1), why="ten points, as between vectors and words", at="ours",
            paper="argued in section 1",
            negative=Arm("frontier", "every thought replaced by its part along all frontier nodes costs less"),
        ),
    ),
    exact=(
        Exact(
            "C2.none",
            "On depth-matched graphs the best answer that does not read which root is asked is right in {value:.0%} of the "
            "questions: the other root leads to the other candidate in as many steps, and which is asked is a coin toss.",
            Equals(0.5), why="how the graphs are drawn: no shortcut is left", at="section 5, accuracy figure",
            paper="about 0.75 on ProsQA, where depth gives the answer away", unit="share of questions",
        ),
    ),
    nulls=(UNTRAINED, WORDS),
    presets={
        "quick": Preset(
            TrainedSettings(
                small_steps=4, stage_steps=4, last_steps=6, batch=8, n_pool=60, n_eval=64, d_model=16, n_grown=16,
                n_branching=400,
            ),
            n_runs=2,
        ),
        "laptop": Preset(TrainedSettings(), n_runs=10),
        "paper": Preset(
            TrainedSettings(
                small_steps=500, stage_steps=2500, last_steps=20_000, batch=256, n_pool=14_785, n_nodes=23, n_extra=10,
                n_names=31, d_model=768, n_heads=8, learning_rate=1e-4, n_eval=419,
            ),
            n_runs=5,
        ),
    },
    measure_many=f"{__package__}.trained:measure_many",
    check=f"{__package__}.trained:check",
    first_seed=200,
    batch=5,
    cost=Cost(17.3, cores=1, work=_work),
    figures=TRAINED_FIGURES,
)  # fmt: skip

SHORTCUT = Experiment(
    "shortcut",
    question="How much of the benchmark can be answered without searching?",
    family=ON_BENCHMARK,
    estimands=(PREFERRED, EXACT, BEHIND),
    claims=(
        Claim(
            "C2.benchmark",
            "On graphs grown as the benchmark's, two layers that think in vectors prefer the right candidate in more than "
            "{bound:.0%} of held-out questions.",
            "thoughts/preferred", Above(0.95), why="the paper's accuracy is close to 1",
            at="section 5, accuracy figure", paper="about 1.00",
            negative=Arm("no-thoughts", "the same network without thoughts, told edges in both layers and trained for longer"),
        ),
        Claim(
            "C2.benchmark_words",
            "On graphs grown as the benchmark's, the same network trained to say a path in words stays behind the one that "
            "thinks in vectors by more than {bound:.0%} of the questions.",
            "words/behind", Above(0.1), why="the paper's gap is 25 points",
            at="section 5, accuracy figure", paper="about 0.25",
            negative=Arm("given-path", "the same network is not behind where the right path is said in its place"),
            positive=Arm("untrained", "a network that has learnt nothing is behind", power_only=True),
            null_passes="untrained: what is claimed is a lack, of the network that says words; C2.benchmark is the other half",
        ),
        Claim(
            "C2.shortcut",
            "Part of the benchmark needs no search: without thoughts a network told edges in both layers prefers the right "
            "candidate in more than {bound:.0%} of the questions.",
            "no-thoughts/preferred", Above(0.6), why="chance is 0.5, the paper's networks without thoughts are at about 0.75",
            at="section 5, accuracy figure", paper="about 0.75",
            negative=Arm("no-thoughts-matched", "asked about depth-matched graphs, the same network is at chance"),
            positive=Arm("deeper", "the deeper candidate, named by rule", power_only=True),
        ),
    ),
    nulls=(UNTRAINED,),
    presets={
        "quick": Preset(
            ShortcutSettings(small_steps=4, stage_steps=4, last_steps=6, batch=8, n_pool=60, n_eval=64, d_model=16), n_runs=2
        ),
        "laptop": Preset(ShortcutSettings(), n_runs=8),
    },
    measure_many=f"{__package__}.shortcut:measure_many",
    batch=4,
    cost=Cost(7.7, cores=1, work=_work),
    figures=SHORTCUT_FIGURES,
)  # fmt: skip
