"""Networks that read an encyclopaedia: what explains which facts they know, learn and forget? (C4, C5, C6, cause, C9)

One run draws a world whose facts are told a number of times that is independent of how often their subjects and values are
mentioned. A wide network reads the pages once, a narrow one in two orders; from the middle of the narrow one's training forks
read further chunks about facts that nobody was told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from assay.claims.study import Measurement, Table
from assay.core.arrays import Floats
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.knowledge.lment.bigram import Pairs, favourites
from assay.studies.knowledge.lment.networks import Asked, Known, forked, fresh, go_on, reading, reading_more
from assay.studies.knowledge.lment.numbers import (
    Chain,
    flips,
    odds_gap,
    partial_correlation,
    planted_knowledge,
    rest,
    rest_planted,
)
from assay.studies.knowledge.lment.settings import LearningSettings
from assay.studies.knowledge.lment.taught import Dosed, Lesson, dosed, drawn_pages
from assay.training.order import Order
from assay.worlds.encyclopaedia.world import Design

__all__ = ["Course", "frequency_numbers", "measure", "told_between"]

RELATIONS = ("home", "craft", "instrument", "setting", "product", "river")
PLANTED_GAP = 0.4  # nats put into log-odds of frequent facts: twice the bound of C5
BOTH, NET = Chain(0.1, 0.02, 0.15, 0.15), Chain(0.02, 0.4, 0.3, 0.0)  # planted: both rates rise; what is learned alone does
ELSEWHERE = 0.5  # of the reliable variance is planted to come from elsewhere


@dataclass(frozen=True, eq=False)
class Course:
    """What was known over a training.

    Attributes:
        known: [checkpoint, fact].
        told: chunks that tell a fact between two checkpoints.
    """

    known: Known
    told: Int[np.ndarray, "interval fact"]


def measure(settings: LearningSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of a world and its pages, three networks and their forks.

    Raises:
        SettingsError: the facts do not fit into the pages, or too few are untold.
        Diverged: a training left the finite numbers.
    """
    lesson = drawn_pages(design(settings), settings, settings.n_chunks, seeds)
    world, tokens = lesson.corpus.world, lesson.corpus.tokens
    asked = Asked(world)
    orders = [
        Order.shuffled(settings.n_chunks, settings.batch, settings.n_epochs, seeds(f"order {name}")) for name in ("one", "two")
    ]
    middle, at = settings.steps // 2, settings.checkpoints
    early, late = [step for step in at if step < middle], [step for step in at if step >= middle]
    with part(0.0, 0.3, "narrow"):
        small = fresh(settings, world, settings.small, settings.small_rate, [seeds("weights"), seeds("weights")])
        half, first = go_on(small, reading(tokens, orders), middle, ask=asked.ask, at=early)
        _, second = go_on(half, reading(tokens, orders), settings.steps - middle, ask=asked.ask, at=late)
        narrow = Known.together([*first, *second])  # [checkpoint, order, fact]
    with part(0.3, 0.45, "forks"):
        plan = dosed(lesson, settings, seeds)
        draw, n_steps = reading_more(tokens, orders[0], plan.chunks, settings.rows_added, middle)
        end, _ = go_on(forked(half, 0, len(plan.chunks)), draw, n_steps)
        after = asked.ask(end.model).log_prob[:, plan.fact]
    with part(0.45, 1.0, "wide"):
        large = fresh(settings, world, settings.large, settings.large_rate, [seeds("wide weights")])
        _, found = go_on(large, reading(tokens, orders[:1]), settings.steps, ask=asked.ask, at=at)
        wide = Known.together(found)
    told = told_between(lesson, orders[0], at)
    courses = {
        "wide": Course(wide[:, 0], told),
        "narrow": Course(narrow[:, 0], told),
        "other-order": Course(narrow[:, 1], told_between(lesson, orders[1], at)),
    }
    courses["bigram"] = Course(pairs_over_time(settings, lesson, asked, orders[0]), told)
    read = Pairs(world.vocab_size).read(tokens[orders[0].examples[: orders[0].bounds[middle + n_steps]]])
    doses = {"narrow": after, "bigram": pairs_with_doses(lesson, asked, read, plan)}
    estimands = (
        frequency_numbers(
            lesson, {name: courses[name].known.right[-1] for name in ("wide", "bigram")}, settings.planted, seeds, "wide"
        )
        | odds_numbers(settings, lesson, courses)
        | flip_numbers(courses, favourites(world, lesson.k), seeds)
        | cause_numbers(plan, doses)
        | rest_numbers(lesson, courses, seeds)
    )
    return Measurement(
        {name: float(value) for name, value in estimands.items()},
        tables(lesson, courses, plan, after, at, seeds),
    )


def design(settings: LearningSettings) -> Design:
    """Of the world: every value one word, no name shared."""
    return Design(n_entities=settings.n_entities, relations=RELATIONS, n_held_out=8 - settings.n_wordings, shared_names=0.0)


def told_between(lesson: Lesson, order: Order, at: tuple[int, ...]) -> Int[np.ndarray, "interval fact"]:
    """How many chunks that tell each fact a training in that order saw between every two steps."""
    own = lesson.corpus.statements
    chunk, fact = np.unique(np.stack([own.chunk, own.fact]), axis=1)
    n, chunks = len(lesson.k), np.arange(order.n_examples)
    seen = [order.between(chunks, a, b)[chunk] for a, b in pairwise(at)]
    return np.stack([np.bincount(fact, weights=times, minlength=n).astype(np.int64) for times in seen])


# -------------------------------------------------------------------------------------------------------- null players


def pairs_over_time(settings: LearningSettings, lesson: Lesson, asked: Asked, order: Order) -> Known:
    """What a table of word pairs knows at each checkpoint, [checkpoint, fact]."""
    pairs, found = Pairs(lesson.corpus.world.vocab_size), []
    before = 0
    for step in settings.checkpoints:
        pairs.read(lesson.corpus.tokens[order.examples[order.bounds[before] : order.bounds[step]]])
        found.append(asked.read(pairs.log_probs(asked.last).mean(1)))
        before = step
    return Known.together(found)


def pairs_with_doses(lesson: Lesson, asked: Asked, read: Pairs, plan: Dosed) -> Float[np.ndarray, "fork dosed"]:
    """Log-probability of the dosed facts' values by that table of word pairs and what each fork adds to it."""
    found = []
    for chunks in plan.chunks:
        pairs = Pairs(lesson.corpus.world.vocab_size, read.counts)
        for chunk in chunks:
            pairs.read(np.array([chunk]))
        found.append(asked.read(pairs.log_probs(asked.last).mean(1)).log_prob[plan.fact])
    return np.stack(found)


# ------------------------------------------------------------------------------------------------------------- numbers


def frequency_numbers(
    lesson: Lesson, right: Mapping[str, Bool[np.ndarray, " fact"]], planted: float, seeds: Seeds, own: str
) -> dict[str, float]:
    """How knowledge beyond the favourite value goes with k, given how often subject and value are mentioned (C4).

    Args:
        lesson: what was told.
        right: whether each fact is known, by who is asked.
        planted: correlation that is put into the knowledge of `own`, dealt out anew.
        seeds: of the draws.
        own: the name of the network that the controls are about.
    """
    constant = favourites(lesson.corpus.world, lesson.k).astype(float)
    given = [lesson.subject.astype(float), lesson.value.astype(float)]

    def follows(knowledge: np.ndarray, k: np.ndarray) -> float:
        return partial_correlation(knowledge, k.astype(float), given)

    beyond = {name: known.astype(float) - constant for name, known in right.items()}
    return {
        **{f"{name}/follows_k": follows(known, lesson.k) for name, known in beyond.items()},
        "constant/follows_k": follows(np.zeros(len(constant)), lesson.k),
        "other-world/follows_k": follows(beyond[own], lesson.other_k),
        "planted/follows_k": follows(planted_knowledge(beyond[own], lesson.k, planted, seeds("planted")), lesson.k),
    }


def odds_numbers(settings: LearningSettings, lesson: Lesson, courses: Mapping[str, Course]) -> dict[str, float]:
    """How much more width raises log-odds of frequent than of rare facts, at equal mean probability of being right (C5).

    Against each narrow network but itself, the mean. A share of right answers would be equal by luck: most facts are guessed.
    """
    facts = lesson.corpus.world.facts
    number = {pair: i for i, pair in enumerate(dict.fromkeys((fact.relation, fact.value) for fact in facts))}
    value = np.array([number[fact.relation, fact.value] for fact in facts])
    frequent, rare, told = lesson.k >= settings.frequent, lesson.k <= settings.rare, lesson.k > 0
    odds = {name: courses[name].known.odds for name in ("wide", "narrow", "other-order", "bigram")}

    def gap(own: Floats, other: Floats) -> float:
        accuracies = expit(own[:, told]).mean(1), expit(other[:, told]).mean(1)
        return odds_gap(accuracies, (own, other), frequent, rare, value)

    found = {
        name: float(np.mean([gap(odds[name], odds[other]) for other in ("narrow", "other-order") if other != name]))
        for name in ("wide", "other-order", "bigram")
    }
    return {f"{name}/odds_gap": gap for name, gap in found.items()} | {"planted/odds_gap": found["other-order"] + PLANTED_GAP}


def flip_numbers(courses: Mapping[str, Course], constant: Bool[np.ndarray, " fact"], seeds: Seeds) -> dict[str, float]:
    """How what is learned and forgotten in an interval goes with the chunks that tell a fact in it (C6)."""
    own = courses["wide"]
    told = own.told
    arms = {
        "wide": flips(own.known.right, told, seeds("permuted")),
        "permuted": flips(own.known.right, told, seeds("permuted"), permuted=True),
        "planted": flips(BOTH.course(told, seeds("both")), told, seeds("permuted")),
        "planted-net": flips(NET.course(told, seeds("net")), told, seeds("permuted")),
        "bigram": flips(courses["bigram"].known.right, told, seeds("permuted")),
        "constant": flips(np.broadcast_to(constant, own.known.right.shape), told, seeds("permuted")),
    }
    both = {f"{name}/flips_both": min(learned, forgotten) for name, (learned, forgotten, _) in arms.items()}
    return both | {f"{name}/flips_net": net for name, (_, _, net) in arms.items()}


def cause_numbers(plan: Dosed, doses: Mapping[str, Float[np.ndarray, "fork dosed"]]) -> dict[str, float]:
    """How log P of a fact rises with added chunks, less what chunks that give its answer of another subject do (cause)."""
    numbers = {}
    for name, log_prob in doses.items():
        slopes = plan.slopes(log_prob)
        numbers[f"{name}/cause"] = slopes["named"] - slopes["other"]
        if "pronoun" in slopes:
            numbers[f"{name}/cause_how"] = slopes["named"] - slopes["pronoun"]
        if name != "bigram":
            numbers["other-subjects/cause"] = slopes["other"] - slopes["other-again"]
            if "pronoun" in slopes:
                numbers["put-back/cause_how"] = slopes["named"] - slopes["named-again"]
    return numbers


def rest_numbers(lesson: Lesson, courses: Mapping[str, Course], seeds: Seeds) -> dict[str, float]:
    """Share of the reliable variance of log P that a curve of k explains (C9)."""
    pairs = courses["bigram"].known.log_prob[-1]
    log_prob = np.stack([courses[name].known.log_prob[-1] for name in ("narrow", "other-order")])
    arms = {
        "narrow": log_prob,
        "from-the-curve": rest_planted(log_prob, lesson.k, 1.0, seeds.child("curve alone")),
        "half-elsewhere": rest_planted(log_prob, lesson.k, ELSEWHERE, seeds.child("half elsewhere")),
        "bigram": np.stack([pairs, pairs]),
    }
    return {f"{name}/explained_by_k": rest(values, lesson.k, seeds("halves")) for name, values in arms.items()}


# -------------------------------------------------------------------------------------------------------------- tables


def tables(
    lesson: Lesson,
    courses: Mapping[str, Course],
    plan: Dosed,
    after: Float[np.ndarray, "fork dosed"],
    at: tuple[int, ...],
    seeds: Seeds,
) -> dict[str, Table]:
    """What the figures draw."""
    k, wide = lesson.k, courses["wide"]
    by_k: Table = [
        {"who": name, "k": int(level), "right": float(course.known.right[-1][k == level].mean()),
         "log_odds": float(course.known.odds[-1][k == level].mean())}
        for name, course in courses.items() for level in np.unique(k)
    ]  # fmt: skip
    accuracy: Table = [
        {"who": name, "step": step, "right": float(known.mean())}
        for name, course in courses.items()
        for step, known in zip(at, course.known.right, strict=True)
    ]
    before, later = wide.known.right[:-1], wide.known.right[1:]
    rates: Table = []
    for low, high in ((0, 0), (1, 1), (2, 3), (4, 7), (8, 10**9)):
        here = (wide.told >= low) & (wide.told <= high)
        for what, of, happens in (("learned", ~before, later), ("forgotten", before, ~later)):
            if (here & of).any():
                rates.append({"chunks": low, "what": what, "share": float(happens[here & of].mean())})
        if here.any():
            rates.append({"chunks": low, "what": "net", "share": float(later[here].mean() - before[here].mean())})
    gains: Table = [{"chunks": treatment, "dose": dose, "nats": gain} for treatment, dose, gain in plan.by_dose(after)]
    noisy = k * np.exp(seeds("proxy").normal(scale=1.0, size=len(k)))
    right = wide.known.right[-1].astype(float)
    proxies: Table = [
        {"explained_by": name, "rho": partial_correlation(right, values.astype(float), [])}
        for name, values in (("k", k), ("a noisy copy of k", noisy), ("subject", lesson.subject), ("value", lesson.value))
    ]
    return {"by_k": by_k, "accuracy": accuracy, "rates": rates, "gains": gains, "proxies": proxies}
