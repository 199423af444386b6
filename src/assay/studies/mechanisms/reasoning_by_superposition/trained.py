"""What training finds, on graphs without a shortcut: accuracy, attention, superposition and its causes (C2 to C8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Heat, Line, Lines
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part, progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.reasoning_by_superposition.readouts import (
    array,
    attention_ratios,
    attention_table,
    collapse,
    content_table,
    cut,
    cuts_table,
    growth_table,
    held,
)
from assay.studies.mechanisms.reasoning_by_superposition.system import (
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
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions, deeper_candidate, superposition

if TYPE_CHECKING:
    from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader

__all__ = ["TRAINED"]

ARMS: tuple[Labels, ...] = ("optimal", "fixed path", "breadth-first")
LONGER = "16 nodes, 4 steps"

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
        "C2.longer",
        says="The search goes on where training stopped: four-step questions are answered with a fourth thought, the right "
        "candidate preferred in more than three quarters, though three steps and three thoughts were all it was taught.",
        source="ours",
        estimand="longer/preferred",
        rule=Above(0.75),
        margin="half-way between chance and certainty",
        control=Control("with three thoughts, one fewer than steps, it is not", "longer/one_short"),
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
        "C3.spare",
        says="Told edges in both layers, a network still looks at the frontier: five times the attention of an edge not "
        "reachable at every step, in the layer with the larger ratio on other graphs.",
        source=PAPER + "section 5, table 1, asked of a network that may look up in either layer",
        estimand="spare/frontier_ratio",
        rule=Above(5.0),
        margin="as C3",
        control=Control("before training all edges are alike", "untrained/frontier_ratio"),
        paper_value="53, 33, 8, 5",
    ),
    Claim(
        "C3.spare_optimal",
        says="There edges into a node of a shortest path get a tenth more than the frontier on average, at every step.",
        source=PAPER + "section 5, table 1, asked of a network that may look up in either layer",
        estimand="spare/optimal_ratio",
        rule=Above(1.1),
        margin="as C3.optimal",
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

    n_grown: Annotated[int, Ge(8), doc("held-out questions of each larger kind")] = 500


def measure(settings: TrainedSettings, seeds: Seeds) -> Measurement:
    """One seed: see `measure_many`."""
    return measure_many(settings, [seeds])[0]


def measure_many(settings: TrainedSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """Thinkers of three kinds of labels, one with a spare look-up, one without curriculum; words; no thoughts."""
    data = [Data.drawn(settings, seed) for seed in seeds]
    with part(0.0, 0.4, "thoughts"):
        thinkers = thinking(data, settings, seeds, ARMS)
    with part(0.4, 0.6, "thoughts with a spare look-up"):
        spare = thinking(data, replace(settings, edges_at=0), seeds, ("optimal",))
    with part(0.6, 0.75, "thoughts without curriculum"):
        at_once = thinking(data, settings, seeds, ("optimal",), curriculum=False)
    with part(0.75, 0.87, "words"):
        speakers = speaking(data, settings, seeds)
    with part(0.87, 0.97, "no thoughts"):
        guessers = guessing(data, settings, seeds)
    found = []
    for i, seed in enumerate(seeds):
        readers: dict[str, GraphReader] = dict(zip(ARMS, thinkers[i], strict=True))
        readers |= {"spare look-up": spare[i][0], "no curriculum": at_once[i][0]}
        readers |= {"words": speakers[i], "no thoughts": guessers[i]}
        found.append(_read(settings, seed, data[i], readers))
        progress(0.97 + 0.03 * (i + 1) / len(seeds), "read-outs")
    return found


def _read(settings: TrainedSettings, seeds: Seeds, data: Data, readers: "Mapping[str, GraphReader]") -> Measurement:
    """Everything that is read off one run's networks."""
    import torch

    from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader
    from assay.studies.mechanisms.reasoning_by_superposition.thoughts import content

    n_steps, questions = settings.n_steps, data.held_out
    inputs = torch.from_numpy(told(questions))
    untrained = GraphReader.init(settings.network, seeds("untrained"), edges_at=settings.edges_at).requires_grad_(False)
    thinkers = {name: readers[name] for name in (*ARMS, "spare look-up", "no curriculum")}
    seen = {name: model.think(inputs, n_steps, look=True) for name, model in (thinkers | {"untrained": untrained}).items()}
    answers = {name: right(seen[name].logits, questions) for name in thinkers}
    answers |= {"words": right(readers["words"].speak(inputs, n_steps)[1], questions)}
    answers |= {"no thoughts": right(readers["no thoughts"].think(inputs, 0).logits, questions)}
    accuracy = {name: found["exact"] for name, found in answers.items()}
    best, walk = accuracy["optimal"], chance_of_a_walk(questions)

    scores = {
        name: array(content(seen[name].thoughts, model.embeddings[: settings.n_names])) for name, model in thinkers.items()
    }
    other = questions.take(np.roll(np.arange(len(questions)), 1))
    exact = superposition(questions.distance, n_steps)
    read, shuffled = ({name: held(scores[name], asked) for name in thinkers} for asked in (questions, other))
    looks = {name: array(seen[name].attention) for name in ("optimal", "spare look-up", "untrained")}
    chosen = _layer_that_looks_up(readers["spare look-up"], data, settings, seeds)
    ratios = {
        "optimal": attention_ratios(looks["optimal"][:, :, 0], questions),
        "untrained": attention_ratios(looks["untrained"][:, :, 0], questions),
        "spare": attention_ratios(looks["spare look-up"][:, :, chosen], questions),
    }
    cuts = cut(readers["optimal"], questions, n_steps, seeds("cut"))
    collapses = {
        arm: collapse(readers[arm], questions, n_steps, seeds(f"collapse {arm}")) for arm in ("optimal", "breadth-first")
    }
    growth = growth_table(
        readers["optimal"], {f"{settings.n_nodes} nodes, {n_steps} steps": questions} | _larger(settings, seeds), n_steps + 3
    )
    longer = {int(row["thoughts"]): float(row["preferred"]) for row in growth if row["questions"] == LONGER}

    estimands: dict[str, float] = {f"{name}/exact": value for name, value in accuracy.items()}
    estimands |= {f"ahead of {name}": best - value for name, value in accuracy.items() if name != "optimal"}
    estimands |= {f"{name}/{what}": value for name, found in read.items() for what, value in found.items()}
    estimands |= {f"{name}/{what}": value for name, found in ratios.items() for what, value in found.items()}
    estimands |= {f"cut/{name}": value for name, value in cuts.items()}
    estimands |= {
        "shuffled/auc_frontier": shuffled["optimal"]["auc_frontier"],
        "shuffled/auc_off_path": shuffled["optimal"]["auc_off_path"],
        "shuffled/fixed_auc_off_path": shuffled["fixed path"]["auc_off_path"],
        "built/auc_older": held(exact, questions)["auc_older"],
        "breadth-first minus optimal": accuracy["breadth-first"] - best,
        "no thoughts minus optimal": accuracy["no thoughts"] - best,
        "flattened": _flattened(read, "optimal", "breadth-first"),
        "flattened by fixed path": _flattened(read, "optimal", "fixed path"),
        "collapse/nearest_drop": collapses["optimal"]["intact"] - collapses["optimal"]["nearest"],
        "collapse/frontier_drop": collapses["optimal"]["intact"] - collapses["optimal"]["frontier"],
        "collapse/minus_walk": collapses["breadth-first"]["sampled"] - walk,
        "collapse/intact_minus_walk": collapses["breadth-first"]["intact"] - walk,
        "longer/preferred": longer[n_steps + 1],
        "longer/one_short": longer[n_steps],
        "walk": walk,
        "depth heuristic": deeper_candidate(questions),
    }
    shown = {
        "trained, optimal": "optimal",
        "trained, breadth-first": "breadth-first",
        "spare look-up, optimal": "spare look-up",
    }
    layers = {
        "one look-up: layer 2": looks["optimal"][:, :, 0],
        "before training: layer 2": looks["untrained"][:, :, 0],
        "spare look-up: layer 1": looks["spare look-up"][:, :, 0],
        "spare look-up: layer 2": looks["spare look-up"][:, :, 1],
    }
    tables: dict[str, Table] = {
        "accuracy": [{"network": name, "accuracy": value} for name, value in accuracy.items()],
        "attention": attention_table(layers, questions),
        "content": content_table({"built by hand": exact} | {panel: scores[name] for panel, name in shown.items()}, questions),
        "cuts": cuts_table(cuts, collapses),
        "growth": growth,
    }
    return Measurement(estimands, tables)


def _flattened(read: Mapping[str, Mapping[str, float]], leaning: str, flat: str) -> float:
    """How much less the second network prefers optimal to other frontier nodes than the first."""
    return read[leaning]["auc_preference"] - read[flat]["auc_preference"]


def _layer_that_looks_up(model: "GraphReader", data: Data, settings: TrainedSettings, seeds: Seeds) -> int:
    """The layer with the higher frontier ratio on graphs of the pool, so that the held-out ones do not choose it."""
    import torch

    rng = seeds("layer")
    some = data.pool.take(rng.permutation(len(data.pool))[: settings.n_eval]).retold(settings.n_names, rng=rng)
    attention = array(model.think(torch.from_numpy(told(some)), settings.n_steps, look=True).attention)
    ratios = [attention_ratios(attention[:, :, layer], some)["frontier_ratio"] for layer in range(attention.shape[2])]
    return int(np.argmax(ratios))


def _larger(settings: TrainedSettings, seeds: Seeds) -> dict[str, Questions]:
    """Held-out questions with more nodes or more steps than trained on."""
    sizes = {"18 nodes, 3 steps": (18, 3), LONGER: (16, 4), "18 nodes, 5 steps": (18, 5)}
    return {
        name: LayeredWorld(n_nodes, depth, settings.n_extra)
        .questions(settings.n_grown, rng=seeds(name))
        .retold(settings.n_names, rng=seeds(f"names {name}"))
        for name, (n_nodes, depth) in sizes.items()
    }


NAMES = {
    "optimal": "thoughts", "fixed path": "thoughts, fixed path", "breadth-first": "thoughts, breadth-first",
    "spare look-up": "thoughts, edges in both layers", "words": "words", "no thoughts": "no thoughts",
    "no curriculum": "thoughts, no curriculum",
}  # fmt: skip
FIGURES = (
    Figure(
        "attention",
        "Where a thought looks",
        "Mean attention on an edge while thoughts are made, both heads together, by where the edge starts: on the frontier "
        "(into a node of a shortest path, or another), at a node reached before, or at one not reached. Told edges in the "
        "second layer only, that layer looks up the frontier. Told them in both, the look-up may sit in either.",
        Bars("attention", x="step", y="attention", by="edges", panel="layer", y_label="attention on an edge"),
        names={"optimal": "frontier, shortest path", "off path": "frontier, other", "older": "reached before",
               "not reachable": "not reached"},
    ),
    Figure(
        "superposition",
        "One thought, many nodes",
        "How strongly each thought points at nodes by their distance from the root, in units of its own frontier: nodes "
        "exactly as far as the thought counts. Built by hand, a thought keeps all it has reached (1 from the first row down "
        "to its own). A trained one that searches need only show the frontier above nodes that are never reached; where it "
        "hardly holds its frontier, the others are many times as large.",
        Heat("content", row="node", column="thought", value="content", panel="network", row_label="distance from the root",
             value_label="inner product / that of the frontier", annotate=True, limit=2.0),
        names={f"thought {i}": str(i) for i in (1, 2, 3)} | {"0 steps": "the root", "1 steps": "1 step"},
    ),
    Figure(
        "accuracy",
        "Vectors, words and guesses",
        "Share of held-out questions answered exactly, on graphs where nothing but search tells the candidates apart: the same "
        "network thinking in vectors (three kinds of labels), told edges in both layers, trained without the curriculum, in "
        "words, or not at all. Words that end at neither candidate are wrong.",
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
    Figure(
        "growth",
        "As many thoughts as steps",
        "How often the right candidate is preferred after so many thoughts, on the kind of question the network was trained on "
        "(16 nodes, 3 steps, 3 thoughts) and on larger and longer ones. The pass that answers looks up as well, so that one "
        "thought fewer than steps can do.",
        Lines("growth", x="thoughts", y="preferred", by="questions", x_label="thoughts", y_label="right candidate preferred",
              lines=(Line(0.5, "chance"),), markers=True),
        further=True,
    ),
)  # fmt: skip

SMALL = {
    "small_steps": 4,
    "stage_steps": 4,
    "last_steps": 6,
    "batch": 8,
    "n_pool": 60,
    "n_eval": 64,
    "d_model": 16,
    "n_grown": 16,
}
TRAINED = Experiment(
    name="trained",
    question="Does a small network trained to think in vectors search in superposition, and does it need to?",
    claims=CLAIMS,
    presets={
        "quick": Preset(TrainedSettings(**SMALL), n_runs=2),  # type: ignore[arg-type]
        "laptop": Preset(TrainedSettings(), n_runs=5),
        "paper": Preset(
            TrainedSettings(
                small_steps=500,
                stage_steps=2500,
                last_steps=20_000,
                batch=256,
                n_pool=14_785,
                n_nodes=23,
                n_extra=10,
                n_names=31,
                d_model=768,
                n_heads=8,
                learning_rate=1e-4,
                n_eval=419,
            ),
            n_runs=5,
        ),
    },
    measure=measure,
    measure_many=measure_many,
    batch=3,
    figures=FIGURES,
    cost="about 47 min of one core",
)
