"""What the report draws of the three experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines, Scatter

__all__ = ["LANGUAGE_MODEL_FIGURES", "LEARNING_FIGURES", "RETRIEVAL_FIGURES"]

SEARCHES = {
    "name": "name",
    "names": "with aliases",
    "name-any-case": "name, any case",
    "names-any-case": "aliases, any case",
    "title": "the page's title",
    "index": "index",
    "linker-only": "index, linker alone",
    "truth": "index of the truth",
}
SOURCES = {
    "links": "links",
    "linker": "and a linker",
    "coreference": "and coreference",
    "linker-elsewhere": "links, and the linker's elsewhere",
    "true-linker": "links, and a true linker",
    "coreference-elsewhere": "both, and coreference's elsewhere",
    "true-coreference": "both, and true coreference",
}
ALIASES = {"strings": "shared by two", "own-aliases": "of one alone", "aliases-of-three": "shared by three"}
LINKERS = {"linker": "string linker", "calibrated": "confidence is the chance to be right", "noise": "confidence is noise"}
NETWORKS = {
    "wide": "wide network",
    "narrow": "narrow network",
    "other-order": "narrow, other order",
    "bigram": "table of word pairs",
    "constant": "favourite value",
    "reader": "language model",
    "unread": "before reading",
}
CHUNKS = {
    "named": "the fact, by name",
    "named-again": "the fact, by name, other facts",
    "pronoun": "the fact, by a pronoun",
    "other": "its answer, another subject",
    "other-again": "its answer, another subject, other facts",
}
PROXIES = {"subject": "mentions of the subject", "value": "mentions of the value"}

RETRIEVAL_FIGURES = (
    Figure(
        "searches",
        "Who finds an entity's chunks",
        "Recall and precision of what each search returns of an entity, at most 100 chunks; mean over entities.",
        Scatter("methods", x="recall", y="precision", label="search", x_label="recall", y_label="precision"),
        names=SEARCHES,
    ),
    Figure(
        "sources",
        "What each source adds",
        "Recall among the best 100 chunks, with links alone, a linker added, coreference added; beside them the same number of "
        "annotations in random chunks, and true annotations.",
        Bars("sources", x="sources", y="recall", y_label="recall among the best 100"),
        names=SOURCES,
    ),
    Figure(
        "aliases",
        "Aliases cost precision where others have them too",
        "Precision of string searches by whom an alias belongs to.",
        Bars("aliases", x="search", y="precision", by="aliases", y_label="precision"),
        names=SEARCHES | ALIASES,
        further=True,
    ),
    Figure(
        "thresholds",
        "A flat line says nothing good of a linker",
        "Precision of accepted links by the threshold of confidence: of the string linker, and of two others with the same "
        "confidences.",
        Lines("thresholds", x="threshold", y="precision", by="linker", x_label="threshold", y_label="precision", markers=True),
        names=LINKERS,
        further=True,
    ),
)

LEARNING_FIGURES = (
    Figure(
        "by-k",
        "The more often told, the better known",
        "Share of facts that are right after training, by how often a pass over the pages tells them.",
        Lines("by_k", x="k", y="right", by="who", x_label="tellings a pass", y_label="share right", x_scale="symlog",
              markers=True),
        names=NETWORKS,
    ),
    Figure(
        "gains",
        "What added chunks do",
        "Gain in log-probability of a fact that no page tells, by the chunks that a fork of the training adds about it.",
        Lines("gains", x="dose", y="nats", by="chunks", x_label="chunks added", y_label="nats", markers=True),
        names=CHUNKS,
    ),
    Figure(
        "rates",
        "Learned and forgotten",
        "Share of unknown facts that are known at the next checkpoint, of known ones that are not, and of all facts the "
        "difference, by the chunks between both that tell them (at least as many).",
        Lines("rates", x="chunks", y="share", by="what", x_label="chunks in the interval", y_label="share", x_scale="symlog",
              lines=(Line(0.0, ""),), markers=True),
        further=True,
    ),
    Figure(
        "accuracy",
        "Over the training",
        "Share of facts that are right.",
        Lines("accuracy", x="step", y="right", by="who", x_label="step", y_label="share right", markers=True),
        names=NETWORKS,
        further=True,
    ),
    Figure(
        "proxies",
        "A noisy copy loses by its noise",
        "Rank correlation of what the wide network knows with how often facts are told, with a noisy copy of that number, and "
        "with how often subject and value are mentioned.",
        Bars("proxies", x="explained_by", y="rho", y_label="rank correlation", lines=(Line(0.0, ""),)),
        names=PROXIES,
        further=True,
    ),
)  # fmt: skip

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "by-k",
        "A language model, two passes",
        "Share of facts that are right after reading, by how often a pass over the pages tells them.",
        Lines(
            "by_k", x="k", y="right", by="who", x_label="tellings a pass", y_label="share right", x_scale="symlog", markers=True
        ),
        names=NETWORKS,
    ),
    Figure(
        "gains",
        "A language model, chunks added",
        "Gain in log-probability of a fact that no page tells, by the chunks that are added about it.",
        Lines("gains", x="dose", y="nats", by="chunks", x_label="chunks added", y_label="nats", markers=True),
        names=CHUNKS,
        further=True,
    ),
)
