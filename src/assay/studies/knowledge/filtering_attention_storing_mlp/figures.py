"""What the report draws of the four experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines, Scatter

__all__ = ["ACQUISITION_FIGURES", "EXTRACTION_FIGURES", "FINE_TUNING_FIGURES", "LANGUAGE_MODEL_FIGURES"]

ACQUISITION_FIGURES = (
    Figure(
        "course",
        "Filtering and storing come together, answering does not",
        "During pre-training: share of facts told when stated and when asked, and the attention on subject and relation. "
        "Attention alone stores values of each type's own as well, shared values more slowly; attention that is held even "
        "cannot tell which of a subject's shared values is asked for.",
        Lines("courses", x="step", y="value", by="measure", panel="network", x_label="step", y_label="share, or attention",
              x_scale="log"),
        names={"stated": "told when stated", "asked": "told when asked", "filtering": "attention on subject and relation"},
    ),
)  # fmt: skip

EXTRACTION_FIGURES = (
    Figure(
        "subjects",
        "More questions taught, more facts reached",
        "Share of facts told when asked, by the number of subjects fine-tuned on: of those subjects, of all others, of the "
        "others when the questions were taught with values permuted among all subjects, and when nothing was stored before.",
        Lines("subjects", x="N_f", y="told", by="what", x_label="subjects fine-tuned on", y_label="facts told when asked",
              x_scale="log", lines=(Line(0.05, "chance in a type"),), markers=True),
    ),
    Figure(
        "collapse",
        "One number does not decide",
        "Facts of other subjects not told when asked, against the exponent of the bound: a point for each setting of "
        "templates (|R|), wordings (K) and fine-tuned subjects (N_f). If the exponent decided, the points of all colours would "
        "lie along one falling curve. At the same exponent more templates mean fewer errors.",
        Scatter("collapse", x="scaled", y="error", label="setting", by="R", x_label="N_f K² / |R|²",
                y_label="facts not told when asked", x_scale="log"),
    ),
)  # fmt: skip

FINE_TUNING_FIGURES = (
    Figure(
        "ways",
        "Reaching facts, and keeping them",
        "After fine-tuning in several ways on questions about half of the subjects: share of the other subjects' facts told "
        "when asked, and share of all facts still told when stated. Decaying and rising rates go a path as long as the "
        "constant rate's.",
        Bars("ways", x="way", y="share", by="measure", y_label="share of facts", lines=(Line(0.05, "chance in a type"),)),
        names={"told": "told when asked", "kept": "told when stated"},
    ),
    Figure(
        "fates",
        "Three ways to fail",
        "Facts of other subjects that are not told when asked: their statement is still completed (not triggered), no longer "
        "(overwritten), or never was.",
        Bars("fates", x="way", y="share", by="fate", y_label="share of facts"),
        further=True,
    ),
)  # fmt: skip

WAY_NAMES = {
    "before": "not asked yet",
    "half": "asked about half",
    "half again": "half, other order",
    "few": "asked about one",
    "others": "asked about the others",
    "others, false": "the others, falsely",
}
LANGUAGE_MODEL_FIGURES = (
    Figure(
        "told",
        "Reading, asking, and telling",
        "Share of facts whose true value is the most likely of forty candidates: asked about people of the fine-tuning half, "
        "about the others, and stated in a wording that was read. 12 people with two facts each in every run; marks are means "
        "over runs with 95% intervals.",
        Bars("told", x="way", y="share", by="what", panel="read", y_label="share of facts", lines=(Line(0.025, "chance"),)),
        {**WAY_NAMES, "taught": "of the half", "stated": "stated, about all"},
    ),
    Figure(
        "fates",
        "Why facts are not told",
        "What became of the facts of people not fine-tuned on: told when asked; not told although the statement is still "
        "completed (not triggered); no longer completed (overwritten); never completed. 12 facts a run; means over runs with "
        "95% intervals.",
        Bars("fates", x="way", y="share", by="fate", panel="read", y_label="share of facts"),
        WAY_NAMES,
        further=True,
    ),
)
