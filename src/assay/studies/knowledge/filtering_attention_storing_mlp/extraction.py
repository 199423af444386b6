"""After fine-tuning on some subjects: which facts of the others can be asked for? (C4 to C8)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.rules import Above, Ordered
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    PAPER,
    Answers,
    Lesson,
    Scale,
    answers,
    chosen_subjects,
    network,
    shuffled,
    taught,
    told,
    train_on,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleSequences, TripleWorld

__all__ = ["EXTRACTION"]

CLAIMS = (
    Claim(
        "C4",
        says="The more subjects are fine-tuned on, the more facts of the others are told when asked: rising over 10, 30 and "
        "100 subjects.",
        source=PAPER + "theorem on extraction (N_f)",
        estimand=("subjects 1", "subjects 2", "subjects 3"),
        rule=Ordered(0.02),
        margin="2% of the facts a step; monotone is claimed",
        control=Control(
            "the same fine-tuning of a network that was never pre-trained: there is nothing to extract",
            ("subjects/unstored 1", "subjects/unstored 2", "subjects/unstored 3"),
        ),
        paper_value="error falls with N_f",
    ),
    Claim(
        "C5",
        says="Facts stated in several wordings are easier to ask for: at least 0.15 more of them are told than of facts stated "
        "in one.",
        source=PAPER + "theorem on extraction (K)",
        estimand="multiplicity/gain",
        rule=Above(0.15),
        margin="three times chance within a type",
        control=Control("the same fine-tuning of networks that were never pre-trained", "multiplicity/gain_unstored"),
        paper_value="error falls with K",
    ),
    Claim(
        "C6",
        says="One number decides: over all settings the logarithm of the extraction error is a falling function of "
        "N_f K² / |R|², with more than 0.8 of its variance explained.",
        source=PAPER + "theorem on extraction (exponent of the bound)",
        estimand="collapse",
        rule=Above(0.8),
        margin="an isotonic fit, which may take any falling shape",
        control=Control("the settings dealt out anew among the errors", "collapse/shuffled"),
        paper_value="error ~ exp(-N_f K² log|R| / 2|R|²)",
    ),
    Claim(
        "C6.better",
        says="It decides better than either number of fine-tuned subjects or wordings alone.",
        source=PAPER + "theorem on extraction (exponent of the bound)",
        estimand="collapse/gain",
        rule=Above(0.1),
        margin="a tenth of the variance: having more levels alone gives a few hundredths",
        control=Control("the settings dealt out anew among the errors", "collapse/gain_shuffled"),
        paper_value="a single exponent",
    ),
    Claim(
        "C7",
        says="Coverage explains which facts: where fine-tuning covers a fact's wordings in part, the odds that it is told rise "
        "by at least a fifth from none covered to all.",
        source=PAPER + "section 1 (relation covering)",
        estimand="coverage",
        rule=Above(float(np.log(1.2))),
        margin="odds up by a fifth: a small effect, but not none",
        control=Control("coverage dealt out anew among the facts", "coverage/shuffled"),
        paper_value="covering the relation templates suffices",
    ),
    Claim(
        "C14",
        says="The trigger needs no truth: fine-tuned on values dealt out anew among the taught subjects, it still tells more "
        "than half as many true facts of the others as after fine-tuning on the truth.",
        source="ours, seen in a pilot on a seed of its own",
        estimand="untrue/ratio",
        rule=Above(0.5),
        margin="half",
        control=Control("a network that was never pre-trained", "untrue/ratio_unstored"),
    ),
    Claim(
        "C8",
        says="Too few subjects make it hallucinate: fine-tuned on 10 subjects, wrong answers about the others have a mean "
        "probability above 0.5.",
        source=PAPER + "section 1 (hallucination)",
        estimand="confidence/few",
        rule=Above(0.5),
        margin="more sure than of all other values together",
        control=Control("fine-tuned on values drawn anew in every question: a form to learn, nothing to be sure of",
                        "confidence/few_redrawn"),
        paper_value="hallucination where N_f or K is small",
    ),
    Claim(
        "C8.single",
        says="So does a single wording: with K = 1 wrong answers about the others have a mean probability above 0.5.",
        source=PAPER + "section 1 (hallucination)",
        estimand="confidence/single",
        rule=Above(0.5),
        margin="as C8",
        control=Control("fine-tuned on values drawn anew in every question", "confidence/single_redrawn"),
        paper_value="hallucination where N_f or K is small",
    ),
    Claim(
        "C8.type",
        says="The wrong answers are of the right type, more than nine times in ten.",
        source=PAPER + "section 1 (hallucination)",
        estimand="right_type/few",
        rule=Above(0.9),
        margin="a third by chance",
        control=Control("before fine-tuning, when the question says nothing yet", "right_type/before"),
        paper_value="plausible, wrong",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ExtractionSettings(Scale):
    """A grid of pre-training worlds, each fine-tuned on several numbers of subjects."""

    templates: Annotated[tuple[int, ...], doc("templates of each type (|R|), rising")] = (4, 16, 64)
    multiplicities: Annotated[tuple[int, ...], doc("wordings of each fact (K), rising; those above |R| are left out")] = (
        1,
        2,
        4,
        16,
    )
    subjects: Annotated[tuple[int, ...], doc("subjects fine-tuned on (N_f), three, rising")] = (10, 30, 100)
    n_shuffles: Annotated[int, Ge(1), doc("times that settings or coverage are dealt out anew in controls")] = 100

    def __post_init__(self) -> None:
        if len(self.subjects) != 3 or len(self.templates) < 2 or self.multiplicities[:1] != (1,) or len(self.many) < 1:
            raise SettingsError(
                f"the claims compare three numbers of subjects, two or more of templates, and one wording with several; "
                f"got {self.subjects}, {self.templates}, {self.multiplicities}"
            )

    @property
    def worlds(self) -> list[tuple[int, int]]:
        """(|R|, K) of every pre-training world."""
        return [(r, k) for r in self.templates for k in self.multiplicities if k <= r]

    @property
    def middle(self) -> tuple[int, int]:
        """The world in which N_f is varied: the middle |R|, and a K between one and all."""
        r = self.templates[len(self.templates) // 2]
        fitting = [k for k in self.multiplicities if k <= r]
        return r, fitting[(len(fitting) + 1) // 2]

    @property
    def many(self) -> list[tuple[int, int]]:
        """The worlds of the middle |R| with several wordings."""
        return [(r, k) for r, k in self.worlds if r == self.middle[0] and k > 1]


class Arm(NamedTuple):
    """One fine-tuning: of which world, on how many subjects, on what (see `_lesson`)."""

    world: tuple[int, int]
    n_subjects: int
    what: str = "facts"


def _arms(settings: ExtractionSettings) -> list[Arm]:
    few, _, most = settings.subjects
    single = (settings.middle[0], 1)
    grid = [Arm(world, n) for world in settings.worlds for n in settings.subjects]
    controls = {Arm(settings.middle, n, what) for n in settings.subjects for what in ("shuffled", "unstored")}
    controls |= {Arm(world, most, "unstored") for world in (single, *settings.many)}
    controls |= {Arm(settings.middle, few, "redrawn"), Arm(single, most, "redrawn")}
    return grid + sorted(controls)


def _lesson(world: TripleWorld, chosen: np.ndarray, what: str, seeds: Seeds) -> Lesson:
    """Questions about the chosen subjects: true ones, with values dealt out anew, or with values drawn in every question."""
    rng = seeds("questions")
    if what == "shuffled":
        return taught(shuffled(world, seeds("shuffled")), chosen, rng)
    if what in ("facts", "unstored"):
        return taught(world, chosen, rng)

    def draw(n: int, draws: np.random.Generator) -> TripleSequences:
        asked = world.questions(n, rng=draws, subjects=chosen)
        return replace(asked, answers=asked.types * world.n_values + draws.integers(world.n_values, size=n))

    return Lesson(draw, rng)


def measure(settings: ExtractionSettings, seeds: Seeds) -> Measurement:
    """One seed: every world is stored once, in one program, and fine-tuned in every way, in another."""
    from assay.models.decoder import Decoder
    from assay.training.optimiser import Optimiser

    cells = settings.worlds
    nodes = {cell: seeds.child(f"R={cell[0]} K={cell[1]}") for cell in cells}
    worlds = {cell: settings.world(nodes[cell], n_templates=cell[0], multiplicity=cell[1]) for cell in cells}
    base = Decoder.init(network(settings, list(worlds.values())), [nodes[cell]("init") for cell in cells])
    blank = base.select(range(len(cells)))
    with part(0.0, 0.7, "statements"):
        train_on(
            base, [told(worlds[cell], nodes[cell]("statements")) for cell in cells],
            Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
            batch=settings.pretrain_batch,
        )  # fmt: skip
    arms = _arms(settings)
    chosen = [chosen_subjects(worlds[arm.world], arm.n_subjects, nodes[arm.world]) for arm in arms]
    starts = [(blank if arm.what == "unstored" else base).run(cells.index(arm.world)) for arm in arms]
    model = Decoder.stack(starts)
    lessons = [
        _lesson(worlds[arm.world], own, arm.what, nodes[arm.world].child(f"{arm.n_subjects} {arm.what}"))
        for arm, own in zip(arms, chosen, strict=True)
    ]
    with part(0.7, 0.98, "questions"):
        train_on(
            model, lessons, Optimiser("adamw", settings.finetune_rate), n_steps=settings.finetune_steps,
            batch=settings.finetune_batch,
        )  # fmt: skip

    rng = seeds("evaluation")
    asked, stated = (
        {cell: [one(rng=rng) for _ in range(settings.n_draws)] for cell in cells for one in [getattr(worlds[cell], kind)]}
        for kind in ("asked", "stated")
    )
    before = answers(base, [asked[cell] for cell in cells])
    stored = answers(base, [stated[cell] for cell in cells]).accuracy()
    after = answers(model, [asked[arm.world] for arm in arms])
    kept = answers(model, [stated[arm.world] for arm in arms]).accuracy()
    seen = np.stack([np.isin(np.arange(settings.n_subjects), own).repeat(settings.n_types) for own in chosen])
    extracted = dict(zip(arms, after.accuracy(~seen).tolist(), strict=True))
    learned = dict(zip(arms, after.accuracy(seen).tolist(), strict=True))

    few, _, most = settings.subjects
    middle, single = settings.middle, (settings.middle[0], 1)
    estimands: dict[str, float] = {}
    for what, suffix in (("facts", ""), ("unstored", "unstored")):
        label = f"subjects/{suffix}" if suffix else "subjects"
        estimands |= {f"{label} {i + 1}": extracted[Arm(middle, n, what)] for i, n in enumerate(settings.subjects)}
        gain = np.mean([extracted[Arm(cell, most, what)] for cell in settings.many]) - extracted[Arm(single, most, what)]
        estimands["multiplicity/gain" + (f"_{suffix}" if suffix else "")] = float(gain)
    true = extracted[Arm(middle, most)] or float("nan")
    estimands["untrue/ratio"] = extracted[Arm(middle, most, "shuffled")] / true
    estimands["untrue/ratio_unstored"] = extracted[Arm(middle, most, "unstored")] / true
    grid = [arm for arm in arms if arm.what == "facts"]
    estimands |= _collapse(grid, extracted, rng=seeds("collapse"), n=settings.n_shuffles)
    shares = {arm: worlds[arm.world].coverage(np.isin(np.arange(settings.n_subjects), own)).reshape(-1)
              for arm, own in zip(arms, chosen, strict=True)}  # fmt: skip
    estimands |= _coverage(arms, after, seen, shares, rng=seeds("coverage"), n=settings.n_shuffles)
    for name, arm in {
        "few": Arm(middle, few), "few_redrawn": Arm(middle, few, "redrawn"), "single": Arm(single, most),
        "single_redrawn": Arm(single, most, "redrawn"),
    }.items():  # fmt: skip
        wrong = ~after.right[arms.index(arm)] & ~seen[arms.index(arm)]
        estimands[f"confidence/{name}"] = (
            float(after.confidence[arms.index(arm)][wrong].mean()) if wrong.any() else float("nan")
        )
    for name, found, run in (("few", after, arms.index(Arm(middle, few))), ("before", before, cells.index(middle))):
        wrong = ~found.right[run] & ~seen[arms.index(Arm(middle, few))]
        said = worlds[middle].type_of_output(found.said[run])
        right_type = said == np.tile(np.arange(settings.n_types), settings.n_subjects)
        estimands[f"right_type/{name}"] = float(right_type[wrong].mean()) if wrong.any() else float("nan")
    estimands["stored/least"] = float(stored.min())
    rows: Table = [
        {
            "R": arm.world[0], "K": arm.world[1], "N_f": arm.n_subjects, "what": arm.what, "extracted": extracted[arm],
            "learned": learned[arm], "kept": float(kept[i]), "stored": float(stored[cells.index(arm.world)]),
        }
        for i, arm in enumerate(arms)
    ]  # fmt: skip
    return Measurement(estimands, _tables(settings, rows, arms, after, seen, shares))


def _scaled(arm: Arm) -> float:
    """N_f K² / |R|²."""
    return arm.n_subjects * (arm.world[1] / arm.world[0]) ** 2


def falling_fit(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of y that the best falling function of x explains; equal x get one value."""
    from scipy.optimize import isotonic_regression

    levels, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(which, weights=y) / counts
    fitted = isotonic_regression(means, weights=counts, increasing=False).x[which] if len(levels) > 1 else means[which]
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - fitted) ** 2).sum()) / spread if spread > 0 else float("nan")


def _collapse(grid: Sequence[Arm], extracted: Mapping[Arm, float], *, rng: np.random.Generator, n: int) -> dict[str, float]:
    """How well one number orders the logarithm of the error over all settings, beside N_f and K alone and chance."""
    error = np.log(np.maximum(1 - np.array([extracted[arm] for arm in grid]), 1e-3))
    numbers = {"scaled": np.array([_scaled(arm) for arm in grid]), "N_f": np.array([float(arm.n_subjects) for arm in grid]),
               "K": np.array([float(arm.world[1]) for arm in grid])}  # fmt: skip

    def fits(values: np.ndarray) -> tuple[float, float]:
        own = {name: falling_fit(x, values) for name, x in numbers.items()}
        return own["scaled"], own["scaled"] - max(own["N_f"], own["K"])

    chance = np.array([fits(rng.permutation(error)) for _ in range(n)])
    whole, gain = fits(error)
    return {
        "collapse": whole,
        "collapse/shuffled": float(chance[:, 0].mean()),
        "collapse/gain": gain,
        "collapse/gain_shuffled": float(chance[:, 1].mean()),
        "collapse/N_f": falling_fit(numbers["N_f"], error),
        "collapse/K": falling_fit(numbers["K"], error),
    }


def log_odds_slope(x: np.ndarray, y: np.ndarray, *, ridge: float = 0.01, n_steps: int = 30) -> float:
    """Slope of the logistic regression of y (0 or 1) on x by Newton's method, with a small ridge for separable data."""
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    weights = np.zeros(2)
    penalty = ridge * np.diag([0.0, 1.0])
    for _ in range(n_steps):
        p = 1 / (1 + np.exp(-(design @ weights)))
        slope = design.T @ (p - y) + penalty @ weights
        weights = weights - np.linalg.solve((design.T * np.maximum(p * (1 - p), 1e-9)) @ design + penalty, slope)
    return float(weights[1])


def _coverage(
    arms: Sequence[Arm], after: Answers, seen: np.ndarray, shares: Mapping[Arm, np.ndarray], *, rng: np.random.Generator, n: int
) -> dict[str, float]:
    """Slope of extraction on coverage among the facts not fine-tuned on, mean over the settings where coverage varies."""
    slopes, chance = [], []
    for i, arm in enumerate(arms):
        x, y = shares[arm][~seen[i]], after.right[i, 0][~seen[i]].astype(float)
        if arm.what != "facts" or x.std() < 0.1 or not 0 < y.mean() < 1:
            continue
        slopes.append(log_odds_slope(x, y))
        chance += [log_odds_slope(rng.permutation(x), y) for _ in range(max(1, n // 10))]
    nan = float("nan")
    return {
        "coverage": float(np.mean(slopes)) if slopes else nan,
        "coverage/shuffled": float(np.mean(chance)) if chance else nan,
    }


def _tables(
    settings: ExtractionSettings, rows: Table, arms: Sequence[Arm], after: Answers, seen: np.ndarray,
    shares: Mapping[Arm, np.ndarray],
) -> dict[str, Table]:  # fmt: skip
    """Rows for the figures."""
    middle, most = settings.middle, settings.subjects[-1]
    labels = {
        "facts": "facts of other subjects",
        "shuffled": "the same, taught untruths",
        "unstored": "the same, nothing stored",
    }
    at_middle = [row for row in rows if (row["R"], row["K"]) == middle]
    subjects: Table = [
        {"N_f": row["N_f"], "what": labels[str(row["what"])], "told": row["extracted"]}
        for row in at_middle
        if row["what"] in labels
    ] + [
        {"N_f": row["N_f"], "what": "facts of taught subjects", "told": row["learned"]}
        for row in at_middle
        if row["what"] == "facts"
    ]
    wordings: Table = [
        {"K": row["K"], "R": f"{row['R']} templates", "told": row["extracted"]}
        for row in rows
        if row["N_f"] == most and row["what"] == "facts"
    ]
    collapse: Table = [
        {"setting": f"R={arm.world[0]} K={arm.world[1]} N={arm.n_subjects}", "R": f"{arm.world[0]} templates",
         "scaled": _scaled(arm), "error": 1 - float(row["extracted"])}
        for arm, row in zip(arms, rows, strict=True) if arm.what == "facts"
    ]  # fmt: skip
    covered: Table = []
    for i, arm in enumerate(arms):
        share = np.round(shares[arm][~seen[i]], 2)
        if arm.what == "facts" and arm.world[0] == settings.templates[-1] and arm.n_subjects == settings.subjects[0]:
            covered += [
                {"K": f"{arm.world[1]} wordings", "coverage": float(level),
                 "told": float(after.right[i].mean(0)[~seen[i]][share == level].mean())}
                for level in np.unique(share) if (share == level).sum() >= 5
            ]  # fmt: skip
    return {"grid": rows, "subjects": subjects, "wordings": wordings, "collapse": collapse, "covered": covered}


FIGURES = (
    Figure(
        "subjects",
        "More questions taught, more facts reached",
        "Share of facts told when asked, by the number of subjects fine-tuned on: of those subjects, of all others, of the "
        "others when the questions were taught with values dealt out anew, and when nothing was stored before.",
        Lines("subjects", x="N_f", y="told", by="what", x_label="subjects fine-tuned on", y_label="facts told when asked",
              x_scale="log", lines=(Line(0.05, "chance in a type"),), markers=True),
    ),
    Figure(
        "collapse",
        "Three lines, not one",
        "Facts of other subjects not told when asked, against the exponent of the bound, in all settings of templates (|R|), "
        "wordings (K) and fine-tuned subjects (N_f). If the exponent decided, the three lines would be one falling line.",
        Lines("collapse", x="scaled", y="error", by="R", x_label="N_f K² / |R|²", y_label="facts not told when asked",
              x_scale="log", markers=True),
    ),
)  # fmt: skip

EXTRACTION = Experiment(
    name="extraction",
    question="How many subjects, wordings and templates does it take until a question reaches facts it was not taught on?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            ExtractionSettings(
                n_subjects=40, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, finetune_steps=5,
                finetune_batch=16, n_draws=1, templates=(2, 8), multiplicities=(1, 2), subjects=(2, 4, 8), n_shuffles=3,
            ),
            n_runs=2,
        ),
        "laptop": Preset(ExtractionSettings(), n_runs=5),
    },
    measure=measure,
    figures=FIGURES,
    cost="9 min on one core",
)  # fmt: skip
