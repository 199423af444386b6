"""After fine-tuning on some subjects: which facts of the others can be asked for, and which are got wrong? (C4 to C8)

Each pre-training world is stored once; from each stored network, and from the same network before pre-training, copies are
fine-tuned side by side. "Others" are always the subjects that the fine-tuning set of the arm's size leaves out, so a planted
arm that is taught something about others is still asked about them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.filtering_attention_storing_mlp.collapse import (
    falling_fit,
    log_error,
    log_odds_slope,
    sampled_shares,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import ExtractionSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    Answers,
    Lesson,
    answers,
    chosen_subjects,
    network,
    shuffled,
    taught,
    told,
    train_on,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleWorld
from assay.training.optimiser import Optimiser

__all__ = ["measure", "measure_nulls"]

SURE = 0.5  # an answer more probable than all other values together


class Tuning(NamedTuple):
    """One fine-tuning.

    Attributes:
        world: (|R|, K) of what was stored.
        n_subjects: N_f.
        what: the questions' values are true ("facts"), or permuted among all subjects ("untrue"); planted effects are
            "leaked" (half of the others are taught, too) and "covered" (the half of the others whose wordings are covered best
            is taught, too).
        blank: from the network before pre-training: nothing is stored.
    """

    world: tuple[int, int]
    n_subjects: int
    what: str = "facts"
    blank: bool = False


def tunings(settings: ExtractionSettings) -> list[Tuning]:
    """All fine-tunings of a run: the grid, and what its claims are compared with."""
    few, _, most = settings.subjects
    middle, single = settings.middle, settings.single
    grid = [Tuning(world, n) for world in settings.worlds for n in settings.subjects]
    beside = [Tuning(middle, n, "untrue") for n in settings.subjects] + [Tuning(single, most, "untrue")]
    beside += [Tuning(middle, n, "facts", blank=True) for n in settings.subjects]
    beside += [Tuning(single, most, "facts", blank=True)]
    beside += [Tuning(world, n, "untrue", blank=True) for world, n in ((middle, few), (middle, most), (single, most))]
    beside += [Tuning(middle, most, "leaked")]
    return grid + beside + [Tuning(world, few, "covered") for world in settings.widest]


def lesson(world: TripleWorld, tuning: Tuning, chosen: np.ndarray, seeds: Seeds) -> Lesson:
    """The questions of a fine-tuning on the chosen subjects (see `Tuning.what`)."""
    rng = seeds("questions")
    others = np.setdiff1d(np.arange(world.n_subjects), chosen)
    planted = seeds("planted")
    match tuning.what:
        case "untrue":
            return taught(shuffled(world, seeds("shuffled")), chosen, rng)
        case "leaked":
            return taught(world, np.union1d(chosen, planted.permutation(others)[: len(others) // 2]), rng)
        case "covered":
            shares = world.coverage(np.isin(np.arange(world.n_subjects), chosen)).mean(-1)
            return taught(world, np.union1d(chosen, others[np.argsort(-shares[others])[: len(others) // 2]]), rng)
    return taught(world, chosen, rng)


@dataclass(frozen=True)
class Outcome:
    """What one fine-tuned network says, fact by fact.

    Attributes:
        right: share of draws in which the true value is the most probable.
        sure_and_wrong: share of draws in which another value has a probability above one half.
        hallucinated: share of draws in which that is so although the fact's statement is completed rightly.
        wrong: right or wrong, of each draw.
        said: the most probable value, of each draw.
        others: whether its subject is outside the fine-tuning set.
    """

    right: Float[np.ndarray, " fact"]
    sure_and_wrong: Float[np.ndarray, " fact"]
    hallucinated: Float[np.ndarray, " fact"]
    wrong: Bool[np.ndarray, "draw fact"]
    said: Int[np.ndarray, "draw fact"]
    others: Bool[np.ndarray, " fact"]

    @classmethod
    def of(cls, asked: Answers, stated: Answers, run: int, others: Bool[np.ndarray, " fact"]) -> "Outcome":
        """The outcome of one run of a program, from what it says when asked and when facts are stated."""
        right = asked.right[run]
        wrong = ~right & (asked.confidence[run] > SURE)
        return cls(right.mean(0), wrong.mean(0), (wrong & stated.right[run]).mean(0), ~right, asked.said[run], others)

    @property
    def extracted(self) -> float:
        """Share of the others' facts that are told."""
        return float(self.right[self.others].mean())

    @property
    def confident_errors(self) -> float:
        """Share of the others' facts that are told wrongly with a probability above one half."""
        return float(self.sure_and_wrong[self.others].mean())

    @property
    def hallucinations(self) -> float:
        """Share of the others' facts of which that is so although their statement is completed."""
        return float(self.hallucinated[self.others].mean())

    def right_type(self, world: TripleWorld) -> float:
        """Share of the wrong answers about others that are values of the type asked for; nan where there is no wrong one."""
        wrong = self.wrong & self.others
        own = world.type_of_output(self.said) == np.tile(np.arange(world.n_types), world.n_subjects)
        return float(own[wrong].mean()) if wrong.any() else float("nan")


@dataclass(frozen=True)
class Run:
    """A run's networks after fine-tuning, with their worlds.

    Attributes:
        worlds: by (|R|, K).
        found: by fine-tuning.
        coverage: share of each fact's wordings that the fine-tuning set covers, by fine-tuning.
        before: what the stored networks say when asked, by (|R|, K).
        rows: one a fine-tuning, for the table.
    """

    worlds: Mapping[tuple[int, int], TripleWorld]
    found: Mapping[Tuning, Outcome]
    coverage: Mapping[Tuning, Float[np.ndarray, " fact"]]
    before: Mapping[tuple[int, int], Outcome]
    rows: Table


def measure(settings: ExtractionSettings, seeds: Seeds) -> Measurement:
    """One seed: every world is stored once, in one program, and fine-tuned in every way, in another."""
    run = tuned(settings, seeds, tunings(settings))
    most, middle = settings.subjects[-1], settings.middle

    def stored(world: tuple[int, int], n: int, what: str) -> Outcome:
        return run.found[Tuning(world, n, what)]

    def leaked(world: tuple[int, int], n: int, what: str) -> Outcome:
        return stored(world, n, "leaked" if (world, n, what) == (middle, most, "facts") else what)

    def unstored(world: tuple[int, int], n: int, what: str) -> Outcome:
        return run.found[Tuning(world, n, what, blank=True)]

    estimands = {f"stored/{name}": value for name, value in contrasts(settings, stored).items()}
    estimands |= {f"unstored/{name}": value for name, value in contrasts(settings, unstored).items()}
    planted = ("subjects_excess", "wordings_excess", "hallucinations_subjects", "hallucinations_wordings")
    estimands |= {f"planted/{name}": contrasts(settings, leaked)[name] for name in planted}
    few = Tuning(middle, settings.subjects[0])
    estimands["before/right_type"] = run.before[middle].right_type(run.worlds[middle])
    estimands["stored/right_type"] = run.found[few].right_type(run.worlds[middle])
    rng, n = seeds("collapse"), settings.n_shuffles
    grid = [arm for arm in run.found if arm.what == "facts" and not arm.blank]
    shares = np.array([run.found[arm].extracted for arm in grid])
    estimands["stored/collapse"] = collapse(grid, shares)
    estimands["dealt-anew/collapse"] = float(np.mean([collapse(grid, rng.permutation(shares)) for _ in range(n)]))
    asked = np.array([int(run.found[arm].others.sum()) for arm in grid])
    estimands["planted/collapse"] = collapse(grid, sampled_shares(bound(grid), asked, rng))
    rng = seeds("coverage")
    estimands["stored/coverage_slope"] = mean_slope(run, grid)
    estimands["planted/coverage_slope"] = mean_slope(run, [arm for arm in run.found if arm.what == "covered"])
    again = [mean_slope(run, grid, rng=rng) for _ in range(max(1, n // 10))]
    estimands["dealt-anew/coverage_slope"] = float(np.mean(again))
    estimands |= {f"stored/extracted_{i + 1}": stored(middle, n, "facts").extracted for i, n in enumerate(settings.subjects)}
    estimands |= {f"untrue/extracted_{i + 1}": stored(middle, n, "untrue").extracted for i, n in enumerate(settings.subjects)}
    estimands |= {
        f"unstored/extracted_{i + 1}": unstored(middle, n, "facts").extracted for i, n in enumerate(settings.subjects)
    }
    return Measurement(estimands, _tables(settings, run, grid))


def measure_nulls(settings: ExtractionSettings, seeds: Seeds) -> Measurement:
    """One seed of the same fine-tunings where nothing was stored: every claim's number of networks with nothing to tell."""
    middle, single, most = settings.middle, settings.single, settings.subjects[-1]
    arms = [Tuning(world, n) for world in settings.worlds for n in settings.subjects]
    arms += [Tuning(middle, n, "untrue") for n in settings.subjects] + [Tuning(single, most, "untrue")]
    run = tuned(settings, seeds, arms, pretrain=False)
    grid = [arm for arm in arms if arm.what == "facts"]
    found = contrasts(settings, lambda world, n, what: run.found[Tuning(world, n, what)])
    found["right_type"] = run.found[Tuning(middle, settings.subjects[0])].right_type(run.worlds[middle])
    found["collapse"] = collapse(grid, np.array([run.found[arm].extracted for arm in grid]))
    found["coverage_slope"] = mean_slope(run, grid)
    return Measurement({f"nothing-stored/{name}": value for name, value in found.items()})


def tuned(settings: ExtractionSettings, seeds: Seeds, arms: Sequence[Tuning], *, pretrain: bool = True) -> Run:
    """The networks of a run after all these fine-tunings; without `pretrain` none has read a statement."""
    cells = settings.worlds
    nodes = {cell: seeds.child(f"R={cell[0]} K={cell[1]}") for cell in cells}
    worlds = {cell: settings.world(nodes[cell], n_templates=cell[0], multiplicity=cell[1]) for cell in cells}
    base = Decoder.init(network(settings, list(worlds.values())), [nodes[cell]("init") for cell in cells])
    blank = base.select(range(len(cells)))
    if pretrain:
        with part(0.0, 0.65, "statements"):
            train_on(
                base, [told(worlds[cell], nodes[cell]("statements")) for cell in cells],
                Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
                batch=settings.pretrain_batch,
            )  # fmt: skip
    chosen = [chosen_subjects(worlds[arm.world], arm.n_subjects, nodes[arm.world]) for arm in arms]
    model = Decoder.stack([(blank if arm.blank else base).run(cells.index(arm.world)) for arm in arms])
    lessons = [
        lesson(worlds[arm.world], arm, own, nodes[arm.world].child(f"{arm.n_subjects} {arm.what}"))
        for arm, own in zip(arms, chosen, strict=True)
    ]
    with part(0.65 if pretrain else 0.0, 0.98, "questions"):
        train_on(
            model, lessons, Optimiser("adamw", settings.finetune_rate), n_steps=settings.finetune_steps,
            batch=settings.finetune_batch,
        )  # fmt: skip
    rng = seeds("evaluation")
    asked = {cell: [worlds[cell].asked(rng=rng) for _ in range(settings.n_draws)] for cell in cells}
    stated = {cell: [worlds[cell].stated(rng=rng) for _ in range(settings.n_draws)] for cell in cells}
    taught_one = [np.isin(np.arange(settings.n_subjects), own) for own in chosen]
    others = [~one.repeat(settings.n_types) for one in taught_one]
    after, after_stated = (answers(model, [drawn[arm.world] for arm in arms]) for drawn in (asked, stated))
    found = {arm: Outcome.of(after, after_stated, i, others[i]) for i, arm in enumerate(arms)}
    untaught, untaught_stated = (answers(base, [drawn[cell] for cell in cells]) for drawn in (asked, stated))
    few = arms.index(Tuning(settings.middle, settings.subjects[0]))
    before = {cell: Outcome.of(untaught, untaught_stated, i, others[few]) for i, cell in enumerate(cells)}
    acquired, kept = untaught_stated.accuracy(), after_stated.accuracy()
    rows: Table = [
        {
            "R": arm.world[0], "K": arm.world[1], "N_f": arm.n_subjects, "what": arm.what + (", unstored" if arm.blank else ""),
            "extracted": found[arm].extracted, "learned": float(found[arm].right[~others[i]].mean()), "kept": float(kept[i]),
            "confident errors": found[arm].confident_errors, "hallucinations": found[arm].hallucinations,
            "acquired": float(acquired[cells.index(arm.world)]),
        }
        for i, arm in enumerate(arms)
    ]  # fmt: skip
    coverage = {arm: worlds[arm.world].coverage(taught_one[i]).reshape(-1) for i, arm in enumerate(arms)}
    return Run(worlds, found, coverage, before, rows)


def contrasts(settings: ExtractionSettings, get: Callable[[tuple[int, int], int, str], Outcome]) -> dict[str, float]:
    """What more subjects and more wordings change, where `get(world, n_subjects, what)` is a fine-tuned network's outcome."""
    few, _, most = settings.subjects
    middle, single = settings.middle, settings.single

    def excess(world: tuple[int, int], n: int) -> float:
        return get(world, n, "facts").extracted - get(world, n, "untrue").extracted

    small, large, one = get(middle, few, "facts"), get(middle, most, "facts"), get(single, most, "facts")
    return {
        "subjects_excess": excess(middle, most) - excess(middle, few),
        "wordings_excess": excess(middle, most) - excess(single, most),
        "untrue_rise": get(middle, most, "untrue").extracted - get(middle, few, "untrue").extracted,
        "confident_errors_subjects": small.confident_errors - large.confident_errors,
        "confident_errors_wordings": one.confident_errors - large.confident_errors,
        "hallucinations_subjects": small.hallucinations - large.hallucinations,
        "hallucinations_wordings": one.hallucinations - large.hallucinations,
    }


def scaled(arm: Tuning) -> float:
    """N_f K² / |R|²."""
    return arm.n_subjects * (arm.world[1] / arm.world[0]) ** 2


def bound(grid: Sequence[Tuning]) -> Float[np.ndarray, " setting"]:
    """Extraction in every setting if the error were the bound itself, exp(-N_f K² log|R| / 2|R|²)."""
    return np.array([1 - np.exp(-scaled(arm) * np.log(arm.world[0]) / 2) for arm in grid])


def collapse(grid: Sequence[Tuning], extracted: Float[np.ndarray, " setting"]) -> float:
    """Share of the variance of the logarithm of the error that a falling function of N_f K² / |R|² explains."""
    return falling_fit(np.array([scaled(arm) for arm in grid]), log_error(extracted))


def mean_slope(run: Run, arms: Sequence[Tuning], *, rng: np.random.Generator | None = None) -> float:
    """Slope of extraction on coverage among the others' facts, mean over the settings where coverage varies.

    With a generator coverage is permuted among the facts first. nan where it varies nowhere.
    """
    slopes = []
    for arm in arms:
        outcome = run.found[arm]
        x, y = run.coverage[arm][outcome.others], ~outcome.wrong[0, outcome.others]
        if x.std() >= 0.1 and 0 < y.mean() < 1:
            slopes.append(log_odds_slope(x if rng is None else rng.permutation(x), y.astype(float)))
    return float(np.mean(slopes)) if slopes else float("nan")


def _tables(settings: ExtractionSettings, run: Run, grid: Sequence[Tuning]) -> dict[str, Table]:
    """Rows for the figures."""
    labels = {
        "facts": "facts of other subjects",
        "untrue": "the same, taught untruths",
        "facts, unstored": "the same, nothing stored",
    }
    at_middle = [row for row in run.rows if (row["R"], row["K"]) == settings.middle]
    subjects: Table = [
        {"N_f": row["N_f"], "what": labels[str(row["what"])], "told": row["extracted"]}
        for row in at_middle
        if row["what"] in labels
    ]
    subjects += [
        {"N_f": row["N_f"], "what": "facts of taught subjects", "told": row["learned"]}
        for row in at_middle
        if row["what"] == "facts"
    ]
    order: Table = [
        {"setting": f"R={arm.world[0]} K={arm.world[1]} N={arm.n_subjects}", "R": f"{arm.world[0]} templates",
         "scaled": scaled(arm), "error": 1 - run.found[arm].extracted}
        for arm in grid
    ]  # fmt: skip
    return {"grid": run.rows, "subjects": subjects, "collapse": order}
