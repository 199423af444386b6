"""What training finds, on graphs without a shortcut: accuracy, attention, superposition and its causes (C2 to C8)."""

from dataclasses import dataclass

import numpy as np

from assay.claims.charts import Bars, Figure, Heat, Line
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.reasoning_by_superposition.readouts import (
    array,
    attention_ratios,
    collapse,
    content_table,
    cut,
    cuts_table,
    held,
)
from assay.studies.reasoning_by_superposition.system import (
    PAPER,
    Data,
    Labels,
    Training,
    chance_of_a_walk,
    guessing,
    right,
    speaking,
    thinking,
    told,
)
from assay.worlds.reachability import deeper_candidate, superposition

__all__ = ["TRAINED"]

ARMS: tuple[Labels, ...] = ("optimal", "fixed path", "breadth-first")

CLAIMS = (
    Claim(
        "C2",
        says="Trained by the curriculum, two layers that think in vectors answer more than 95% of held-out questions.",
        source=PAPER + "section 5, accuracy figure",
        estimand="optimal/exact",
        rule=Above(0.95),
        margin="the paper's is close to 1",
        control=Control("the same network without thoughts, with about as much computation", "no thoughts/exact"),
        paper_value="about 1.00",
    ),
    Claim(
        "C2.words",
        says="The same network trained to say a path in words stays more than 10 points behind, where depths are matched.",
        source=PAPER + "section 5, accuracy figure",
        estimand="ahead of words",
        rule=Above(0.1),
        margin="the paper's gap on its own data is 25 points",
        control=Control("another network that thinks in vectors is not behind", "ahead of fixed path"),
        paper_value="about 0.25 on ProsQA",
    ),
    Claim(
        "C2.none",
        says="Without thoughts the same network stays more than 10 points behind, where depths are matched.",
        source=PAPER + "section 5, accuracy figure",
        estimand="ahead of no thoughts",
        rule=Above(0.1),
        margin="the paper's gap on its own data is 25 points",
        control=Control("another network that thinks in vectors is not behind", "ahead of fixed path"),
        paper_value="about 0.25 on ProsQA",
    ),
    Claim(
        "C2.curriculum",
        says="The curriculum is needed: trained from the start with all thoughts and the answer alone, for as many steps, the "
        "network stays more than 10 points behind.",
        source="arXiv:2412.06769, ablation",
        estimand="ahead of no curriculum",
        rule=Above(0.1),
        margin="as C2.words",
        control=Control("another network trained by the curriculum is not behind", "ahead of fixed path"),
        paper_value="0.21 (0.97 to 0.76, text version)",
    ),
    Claim(
        "C3",
        says="When a thought is made, an edge of the frontier gets at least five times the attention of an edge that is not "
        "reachable, at every step.",
        source=PAPER + "section 5, table 1",
        estimand="optimal/frontier_ratio",
        rule=Above(5.0),
        margin="the card's margin; the paper's smallest ratio is 5",
        control=Control("before training all edges are alike", "untrained/frontier_ratio"),
        paper_value="53, 33, 8, 5",
    ),
    Claim(
        "C3.optimal",
        says="Edges into a node of a shortest path get at least a tenth more than the frontier on average, at every step.",
        source=PAPER + "section 5, table 1",
        estimand="optimal/optimal_ratio",
        rule=Above(1.1),
        margin="the paper's smallest ratio is 1.2",
        control=Control("before training all edges are alike", "untrained/optimal_ratio"),
        paper_value="1.2, 1.7, 2.5, 3.7",
    ),
    Claim(
        "C4",
        says="A thought is closer to the nodes of its frontier than to those not reachable: AUC above 0.8 at every step.",
        source=PAPER + "section 5, inner products",
        estimand="optimal/auc_frontier",
        rule=Above(0.8),
        margin="the card's margin",
        control=Control("nodes grouped by another graph's search", "shuffled/auc_frontier"),
        paper_value="separated at every step",
    ),
    Claim(
        "C4.others",
        says="Not only to the best one: frontier nodes on no shortest path stand above the not reachable too, AUC above 0.65.",
        source=PAPER + "section 5, inner products",
        estimand="optimal/auc_off_path",
        rule=Above(0.65),
        margin="the card's margin",
        control=Control("nodes grouped by another graph's search", "shuffled/auc_off_path"),
        paper_value="separated at every step",
    ),
    Claim(
        "C4.older",
        says="A thought also still holds what was reached before, as the construction's does: older nodes stand above the not "
        "reachable with an AUC of more than 0.8 at every later step.",
        source=PAPER + "section 4 (the construction), asked of trained networks",
        estimand="optimal/auc_older",
        rule=Above(0.8),
        margin="as C4",
        control=Control("the thoughts of the construction, read in the same way, do", "built/auc_older", rule=Above(0.99)),
        paper_value="in the construction yes; the released network's older nodes fade",
    ),
    Claim(
        "C5",
        says="No label ever shows several paths: with one fixed shortest path an item, off-path frontier nodes are held as "
        "well, AUC above 0.65 at every step.",
        source=PAPER + "section 5 (superposition emerges without supervision)",
        estimand="fixed path/auc_off_path",
        rule=Above(0.65),
        margin="as C4.others",
        control=Control("nodes grouped by another graph's search", "shuffled/fixed_auc_off_path"),
        paper_value="emerges",
    ),
    Claim(
        "C6",
        says="Labels drawn from the whole frontier (breadth-first) reach the same accuracy, within 2 points.",
        source=PAPER + "section 5, breadth-first variant",
        estimand="breadth-first minus optimal",
        rule=Within(-0.02, 0.02),
        margin="the card's margin",
        control=Control("the network without thoughts is farther away", "no thoughts minus optimal"),
        paper_value="both about 1.00",
    ),
    Claim(
        "C6.flat",
        says="They flatten the preference for the optimal node: its AUC over other frontier nodes is lower by more than 0.05.",
        source=PAPER + "section 5, breadth-first variant",
        estimand="flattened",
        rule=Above(0.05),
        margin="a twentieth of the scale; toy runs showed 0.2",
        control=Control("labels of one fixed path do not flatten it", "flattened by fixed path"),
        paper_value="flatter",
    ),
    Claim(
        "C7",
        says="The superposition is used: with the only optimal node taken out of a thought, the right candidate is preferred "
        "hardly more often than by chance.",
        source="ours",
        estimand="cut/on_path",
        rule=Below(0.6),
        margin="chance is 0.5",
        control=Control("with another frontier node taken out it is preferred as before", "cut/off_path"),
    ),
    Claim(
        "C7.others",
        says="Taking out another frontier node changes less than 5 points.",
        source="ours",
        estimand="cut/off_path_drop",
        rule=Below(0.05),
        margin="the card's margin",
        control=Control("taking out the only optimal node changes more", "cut/on_path_drop"),
    ),
    Claim(
        "C8",
        says="Discreteness hurts: every thought replaced by its nearest node costs more than 10 points.",
        source="ours; the paper argues it in section 1",
        estimand="collapse/nearest_drop",
        rule=Above(0.1),
        margin="toy runs lost 14 to 33",
        control=Control("every thought replaced by its part along all frontier nodes costs less", "collapse/frontier_drop"),
    ),
    Claim(
        "C8.walk",
        says="Trained breadth-first and collapsed to a sampled node at every thought, the network is as good as one random "
        "walk along the edges and a coin toss, within 10 points.",
        source="ours",
        estimand="collapse/minus_walk",
        rule=Within(-0.1, 0.1),
        margin="the walk's own accuracy is about 0.7, that of thoughts about 1",
        control=Control("uncollapsed it is better than a walk by more", "collapse/intact_minus_walk"),
    ),
)


@dataclass(frozen=True)
class TrainedSettings(Training):
    """Depth-matched graphs: every layer joined to the next, both candidates in the last."""


def measure(settings: TrainedSettings, seeds: Seeds) -> Measurement:
    """One seed: three kinds of labels side by side, words, no thoughts, no curriculum; then the cuts."""
    from assay.instruments.thoughts import content
    from assay.models.graph_reader import GraphReader

    data, n_steps = Data.drawn(settings, seeds), settings.n_steps
    questions, inputs = data.held_out, told(data.held_out)
    thinkers = thinking(data, settings, seeds, ARMS, share=(0.0, 0.5))
    at_once = thinking(data, settings, seeds, ("optimal",), curriculum=False, share=(0.5, 0.67))
    speaker = speaking(data, settings, seeds, share=(0.67, 0.82))
    guesser = guessing(data, settings, seeds, share=(0.82, 0.98))

    arms = {arm: thinkers.run(i).requires_grad_(requires_grad=False) for i, arm in enumerate(ARMS)}
    untrained = GraphReader.init(arms["optimal"].decoder.config, seeds("untrained")).requires_grad_(requires_grad=False)
    seen = {name: model.think(inputs, n_steps, look=True) for name, model in (arms | {"untrained": untrained}).items()}
    answers = {arm: right(seen[arm].logits, questions) for arm in ARMS} | {
        "words": right(speaker.speak(inputs, n_steps)[1], questions),
        "no thoughts": right(guesser.think(inputs, 0).logits, questions),
        "no curriculum": right(at_once.think(inputs[None], n_steps).logits[0], questions),
    }
    scores = {arm: array(content(seen[arm].thoughts, model.embeddings[: settings.n_names])) for arm, model in arms.items()}
    other = questions.take(np.roll(np.arange(len(questions)), 1))
    exact = superposition(questions.distance, n_steps)
    read = {arm: held(scores[arm], questions) for arm in ARMS}
    shuffled = {arm: held(scores[arm], other) for arm in ("optimal", "fixed path")}
    built = held(exact, questions)
    cuts = cut(arms["optimal"], questions, n_steps, seeds("cut"))
    collapses = {arm: collapse(arms[arm], questions, n_steps, seeds(f"collapse {arm}")) for arm in ("optimal", "breadth-first")}
    walk = chance_of_a_walk(questions)
    progress(1.0, "read-outs")

    accuracy = {name: found["exact"] for name, found in answers.items()}
    best = accuracy["optimal"]
    estimands: dict[str, float] = {f"{name}/exact": value for name, value in accuracy.items()}
    estimands |= {f"ahead of {name}": best - value for name, value in accuracy.items() if name != "optimal"}
    estimands |= {f"{arm}/{name}": value for arm in ARMS for name, value in read[arm].items()}
    estimands |= {
        f"{arm}/{name}": value
        for arm in ("optimal", "untrained")
        for name, value in attention_ratios(seen[arm], questions).items()
    }
    estimands |= {f"cut/{name}": value for name, value in cuts.items()}
    estimands |= {
        "shuffled/auc_frontier": shuffled["optimal"]["auc_frontier"],
        "shuffled/auc_off_path": shuffled["optimal"]["auc_off_path"],
        "shuffled/fixed_auc_off_path": shuffled["fixed path"]["auc_off_path"],
        "built/auc_older": built["auc_older"],
        "breadth-first minus optimal": accuracy["breadth-first"] - best,
        "no thoughts minus optimal": accuracy["no thoughts"] - best,
        "flattened": read["optimal"]["auc_preference"] - read["breadth-first"]["auc_preference"],
        "flattened by fixed path": read["optimal"]["auc_preference"] - read["fixed path"]["auc_preference"],
        "collapse/nearest_drop": collapses["optimal"]["intact"] - collapses["optimal"]["nearest"],
        "collapse/frontier_drop": collapses["optimal"]["intact"] - collapses["optimal"]["frontier"],
        "collapse/minus_walk": collapses["breadth-first"]["sampled"] - walk,
        "collapse/intact_minus_walk": collapses["breadth-first"]["intact"] - walk,
        "walk": walk,
        "depth heuristic": deeper_candidate(questions),
    }
    tables: dict[str, Table] = {
        "accuracy": [{"network": name, "accuracy": value} for name, value in accuracy.items()],
        "content": content_table({"built by hand": exact} | {f"trained, {arm}": scores[arm] for arm in ARMS[::2]}, questions),
        "cuts": cuts_table(cuts, collapses),
    }
    return Measurement(estimands, tables)


NAMES = {
    "optimal": "thoughts", "fixed path": "thoughts, fixed path", "breadth-first": "thoughts, breadth-first",
    "words": "words", "no thoughts": "no thoughts", "no curriculum": "thoughts, no curriculum",
}  # fmt: skip
FIGURES = (
    Figure(
        "superposition",
        "One thought, many nodes",
        "How strongly each thought points at nodes by their distance from the root, in units of its own frontier: nodes "
        "exactly as far as the thought counts. Built by hand, a thought keeps all it has reached (1 from the first row down "
        "to its own). A trained one that searches need only show the frontier above nodes that are never reached.",
        Heat("content", row="node", column="thought", value="content", panel="network", row_label="distance from the root",
             value_label="inner product / that of the frontier", annotate=True),
    ),
    Figure(
        "accuracy",
        "Vectors, words and guesses",
        "Share of held-out questions answered exactly, on graphs where nothing but search tells the candidates apart: the same "
        "network thinking in vectors (three kinds of labels), trained without the curriculum, in words, or not at all.",
        Bars("accuracy", x="network", y="accuracy", y_label="share of answers exact",
             lines=(Line(0.5, "one of the two candidates"),)),
        names=NAMES,
    ),
    Figure(
        "cuts",
        "What a thought needs",
        "How often the right candidate is preferred when thoughts are changed before they are fed back: one frontier node "
        "taken out of one thought, or every thought replaced by its part along the frontier, by its nearest node, or by a "
        "sampled node.",
        Bars("cuts", x="thoughts", y="preferred", by="labels", y_label="right candidate preferred",
             lines=(Line(0.5, "chance"),)),
        names={"on_path": "without the only optimal node", "off_path": "without another frontier node", "intact": "as thought",
               "frontier": "frontier alone", "nearest": "nearest node", "sampled": "a sampled node",
               "optimal": "trained on optimal labels", "breadth-first": "trained breadth-first"},
    ),
)  # fmt: skip

SMALL = {"first_steps": 4, "stage_steps": 4, "last_steps": 6, "batch": 8, "n_pool": 60, "n_eval": 64, "d_model": 16}
TRAINED = Experiment(
    name="trained",
    question="Does a small network trained to think in vectors search in superposition, and does it need to?",
    claims=CLAIMS,
    presets={
        "quick": Preset(TrainedSettings(**SMALL), n_runs=2),  # type: ignore[arg-type]
        "laptop": Preset(TrainedSettings(), n_runs=5),
        "paper": Preset(
            TrainedSettings(
                first_steps=2500,
                stage_steps=2500,
                last_steps=20_000,
                batch=256,
                n_pool=14_785,
                n_nodes=14,
                d_model=768,
                n_heads=8,
                learning_rate=1e-4,
                n_eval=419,
            ),
            n_runs=5,
        ),
    },
    measure=measure,
    figures=FIGURES,
    cost="20 min on two cores",
)
