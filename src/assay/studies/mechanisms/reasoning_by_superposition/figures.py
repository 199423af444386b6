"""The figures of the study."""

from assay.claims.charts import Bars, Figure, Heat, Line, Lines

NAMES = {
    "no-thoughts": "no thoughts", "fixed-path": "thoughts, fixed path", "breadth-first": "thoughts, breadth-first",
    "spare": "thoughts, edges in both layers", "thoughts-walk": "thoughts, one node each",
    "given-path": "words, the path given",
}  # fmt: skip

TRAINED_FIGURES = (
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
        names={f"thought {i}": str(i) for i in (1, 2, 3)}
        | {"0 steps": "the root", "1 steps": "1 step", "thoughts": "trained", "breadth-first": "trained, breadth-first",
           "spare": "trained, edges in both layers"},
        opens=True,
    ),
    Figure(
        "accuracy",
        "Vectors, words and guesses",
        "How often the right candidate is preferred to the wrong one in held-out questions, on graphs where nothing but search "
        "tells them apart: the same network thinking in vectors (three kinds of labels), told edges in both layers, in words, "
        "or not at all.",
        Bars("accuracy", x="network", y="preferred", y_label="right candidate preferred", lines=(Line(0.5, "chance"),)),
        names=NAMES,
    ),
    Figure(
        "cuts",
        "What a thought needs",
        "How often the right candidate is preferred when thoughts are changed before they are fed back: one frontier node "
        "taken out of one thought, or every thought replaced by its part along the frontier, by its nearest node, or by a "
        "sampled node. One walk along random edges, and a coin toss where it ends elsewhere, are right as often as the last "
        "bar says.",
        Bars("cuts", x="thoughts", y="preferred", by="network", y_label="right candidate preferred",
             lines=(Line(0.5, "chance"),)),
        names={"on_path": "without the only optimal node", "off_path": "without another frontier node", "intact": "as thought",
               "frontier": "frontier alone", "nearest": "nearest node", "sampled": "a sampled node",
               "walk": "one walk", "thoughts": "trained on optimal labels", "breadth-first": "trained breadth-first"},
    ),
    Figure(
        "branches",
        "Nodes that one path has not met",
        "How well a thought tells groups of nodes from those the root does not lead to (area under the curve; one half is "
        "nothing): its frontier, the frontier nodes to which no node of a shortest path leads, and what was reached before. "
        "Words: the state from which each word is read. One node each: the same network, every thought replaced by a node "
        "drawn from it.",
        Lines("aucs", x="thought", y="auc", by="network", panel="nodes", x_label="thought, or word", y_label="AUC",
              lines=(Line(0.5, "nothing"),), markers=True),
        names=NAMES,
        further=True,
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

SHORTCUT_FIGURES = (
    Figure(
        "shortcut",
        "Where guessing is not chance",
        "How often the right candidate is preferred on graphs grown as the benchmark's. The wrong one is usually shallower, so "
        "that naming the deeper one, which searches nothing from the root, is often right.",
        Bars("accuracy", x="network", y="preferred", y_label="right candidate preferred", lines=(Line(0.5, "chance"),)),
        names=NAMES | {"deeper": "the deeper candidate"},
    ),
)  # fmt: skip

CONSTRUCTION_FIGURES = (
    Figure(
        "sharpness",
        "Exact once attention is sharp enough",
        "Share of questions whose thoughts are all exact, against the score of an edge in layer 2 in units of twice √n times "
        "the logarithm of the string's length. In these units graphs of different sizes should become exact together.",
        Lines("sharpness", x="share", y="exact", by="nodes", x_label="score of an edge, in units of 2 √n log(length)",
              y_label="share of questions exact", lines=(Line(1.0, "all"),), markers=True),
        further=True,
    ),
)  # fmt: skip
