"""Alice's model and what became of it: does the loss on her texts tell when they were seen? (C1, C3, C5, C6, C8, scores)

One run draws a world of stories, Alice's texts and her order. The models of other orders, starts, batches and schedules, and
those that were fine-tuned or distilled, are asked for the loss of every text of hers.

The independent model has an order of its own, and plays Alice's part in turn: a number that needs nothing but the two models
and what became of them is the mean over both turns, so that chance weighs half as much for the same training.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.stats.order_tests import Scores, learned_scores, mid_ranks, order_correlation, order_test, uniform
from assay.studies.knowledge.palimpsestic_membership.learner import Learner, losses, network, written
from assay.studies.knowledge.palimpsestic_membership.settings import SmallSettings
from assay.training.optimiser import Optimiser
from assay.training.order import Order

__all__ = ["Alice", "asked", "deciles", "gain", "gap", "in_turn", "measure", "planted"]

REMEMBERED = 0.05  # rank correlation that a model must have for the effect of the batch to be asked
ALIKE = 0.05  # nats a word within which final losses count as equal
SCORED = math.sqrt(3 / math.pi)  # rank correlation over Pearson's, of normal scores with an even order
LEFT, LOST = 0.02, 0.04  # rank correlation planted as left after distilling, and as lost by it: twice the bounds of C6
ASKED = 1000  # texts at which the figure of fine-tuning looks, and fresh ones for the final loss
ALICE, INDEPENDENT = 0, 2  # among the models that are trained side by side
ENDS = ("slow", "fast")  # lower and higher rate of a batch, between which Alice's final loss lies
PARTS = (("alice", "independent"), ("fine-tuned", "independent-fine-tuned"), ("distilled", "independent-distilled"))

Losses = Mapping[str, Float[np.ndarray, " text"]]


@dataclass(frozen=True, eq=False)
class Alice:
    """Whose order is tested: the step of each text, and its loss under a model of another shuffle.

    Attributes:
        steps: of each text.
        reference: loss of each text under the reference.
    """

    steps: Int[np.ndarray, " text"]
    reference: Float[np.ndarray, " text"]

    def rho(self, loss: Float[np.ndarray, " text"], scores: Scores = uniform) -> float:
        """Rank correlation of a model's loss, less the reference's, with the order."""
        return order_correlation(self.steps, loss - self.reference, scores=scores)

    def z(self, loss: Float[np.ndarray, " text"], scores: Scores = uniform) -> float:
        """Minus that, in its standard deviations under independence."""
        return -self.rho(loss, scores) * math.sqrt(len(self.steps) - 1)


def measure(settings: SmallSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of stories and orders, all models.

    Raises:
        Diverged: a training left the finite numbers.
    """
    world, n = settings.world(seeds), settings.n_texts
    texts = world.stories(n, settings.length, rng=seeds("texts"))
    fresh = world.stories(min(n, ASKED), settings.length, rng=seeds("fresh texts"))
    orders = {name: Order.shuffled(n, settings.batch, 1, seeds(f"order {name}")) for name in ("alice", "reference", "other")}
    steps = {name: order.step_of(range(n)) for name, order in orders.items()}
    found: dict[str, Float[np.ndarray, " text"]] = {}
    final: dict[str, float] = {}

    def note(names: Sequence[str], learner: Learner) -> None:
        found.update(zip(names, losses(learner.model, texts), strict=True))

    def note_final(names: Sequence[str], learner: Learner) -> None:
        some = learner.model.select(range(len(names)))
        final.update(zip(names, losses(some, fresh).mean(1).tolist(), strict=True))

    config, constant = network(settings), Optimiser(learning_rate=settings.rate)
    own = ("alice", "reference", "independent", "another-start")
    own_orders = [orders[name] for name in ("alice", "reference", "other", "alice")]
    half = orders["alice"].n_steps // 2
    with part(0, 0.4, "Alice's model"):
        taught = Learner.fresh(config, constant, [seeds(f"weights {name}") for name in own])
        taught.train([texts] * 4, own_orders, 0, half)
        decayed = taught.forked([ALICE])  # up to here its rate is Alice's
        taught.train([texts] * 4, own_orders, half)
        note(own, taught)
        note_final(["alice"], taught)
    with part(0.4, 0.65, "other batches"):
        note(["decayed"], decayed.train([texts], [orders["alice"]], half, decay_from=0.5))
        for size, batch, rates in (
            ("small", settings.small_batch, settings.small_rates),
            ("large", settings.large_batch, settings.large_rates),
        ):
            names = [f"{size}-batch-{end}" for end in ENDS]
            optimisers = [Optimiser(learning_rate=rate) for rate in rates]
            learner = Learner.fresh(config, optimisers, [seeds("weights alice") for _ in names])
            note(names, learner.train([texts] * 2, [rebatched(orders["alice"], batch)] * 2))
            note_final(names, learner)
    alice, other = Alice(steps["alice"], found["reference"]), Alice(steps["other"], found["reference"])
    with part(0.65, 0.8, "fine-tuning"):
        tuned, courses = fine_tuned(settings, seeds, taught, texts, alice)
        note(("fine-tuned", "independent-fine-tuned"), tuned)
    with part(0.8, 1, "distilling"):
        note(("distilled", "independent-distilled"), distilled(settings, seeds, taught))
    estimands = numbers(settings, seeds, (alice, other), found, steps["reference"], final)
    models: Table = [{"model": name, "rho": alice.rho(loss)} for name, loss in found.items() if name != "reference"]
    return Measurement(
        estimands,
        {"deciles": deciles(alice, found), "by_n": by_n(alice, found, seeds), "fine_tuning": courses, "models": models},
    )


def rebatched(order: Order, batch: int) -> Order:
    """The same examples one after the other in steps of another size."""
    seen = order.examples
    return Order.of([seen[start : start + batch] for start in range(0, len(seen), batch)], order.n_examples)


def fine_tuned(
    settings: SmallSettings, seeds: Seeds, taught: Learner, texts: Int[np.ndarray, "text place"], alice: Alice
) -> tuple[Learner, Table]:
    """Alice's and the independent model, fine-tuned on other texts at a tenth of the rate; rho of hers by rate and amount.

    The table is of the first texts only: which those are has nothing to do with the order.
    """
    other = settings.world(seeds).stories(settings.n_other, settings.length, rng=seeds("other texts"))
    shares = (0.1, *settings.other_rates)
    optimisers = [Optimiser(learning_rate=settings.rate * share) for share in (0.1, *shares)]
    tuned = taught.forked([INDEPENDENT, *[ALICE] * len(shares)], optimisers)
    order = Order.shuffled(len(other), settings.batch, 1, seeds("order other texts"))
    some = Alice(alice.steps[:ASKED], alice.reference[:ASKED])
    before = some.rho(losses(taught.model.select([ALICE]), texts[:ASKED])[0])
    shown: Table = [{"rate": settings.rate * share, "texts": 0, "rho": before} for share in shares]
    middle = max(1, order.n_steps // 4)
    for first, last in ((0, middle), (middle, order.n_steps)):
        tuned.train([other] * len(optimisers), [order] * len(optimisers), first, last)
        seen = min(len(other), last * settings.batch)
        hers = losses(tuned.model.select(range(1, len(optimisers))), texts[:ASKED])
        shown += [
            {"rate": settings.rate * share, "texts": seen, "rho": some.rho(loss)}
            for share, loss in zip(shares, hers, strict=True)
        ]
    return tuned.forked([1, 0], optimisers[0]), shown


def distilled(settings: SmallSettings, seeds: Seeds, taught: Learner) -> Learner:
    """New models, each trained on texts that Alice's, or the independent one, wrote."""
    runs = (ALICE, INDEPENDENT)
    wrote = [written(taught.model, run, settings.n_written, settings.length, seeds(f"written by {run}")) for run in runs]
    learner = Learner.fresh(
        network(settings), Optimiser(learning_rate=settings.rate), [seeds(f"weights distilled {run}") for run in runs]
    )
    orders = [Order.shuffled(settings.n_written, settings.batch, 1, seeds(f"order distilled {run}")) for run in runs]
    return learner.train(wrote, orders)


# --------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: SmallSettings,
    seeds: Seeds,
    alices: tuple[Alice, Alice],
    found: Losses,
    rehearsed: Int[np.ndarray, " text"],
    final: Mapping[str, float],
) -> dict[str, float]:
    """The estimands of a run.

    Args:
        settings: of the run.
        seeds: of the run.
        alices: Alice, and the independent model with its own order in her part.
        found: the loss of every text under every model.
        rehearsed: the reference's own step of each text.
        final: mean loss on texts that none has seen.
    """
    estimands = in_turn(alices, found, lambda alice, some: one_turn(settings, seeds, alice, some, rehearsed))
    alice = alices[0]
    rho = {name: alice.rho(loss) for name, loss in found.items() if name != "reference"}
    estimands["another-start/weaker"] = rho["another-start"] - rho["alice"]
    for size in ("small", "large"):
        ends = [(final[name], rho[name]) for name in (f"{size}-batch-{end}" for end in ENDS)]
        loss, at_loss = between(ends[0], ends[1], final["alice"])
        estimands[f"{size}-batch/batch_gap"] = gap(at_loss, rho["alice"], loss - final["alice"])
    for name in ("decayed", "another-start", "independent"):
        estimands[f"{name}/batch_gap"] = gap(rho[name], rho["alice"])
    return {name: float(value) for name, value in estimands.items()}


def in_turn(
    alices: tuple[Alice, Alice], found: Losses, number: Callable[[Alice, Losses], Mapping[str, float]]
) -> dict[str, float]:
    """The mean of numbers over two turns: as things are, and with the independent model as Alice and hers as independent."""
    swapped = dict(found)
    for hers, theirs in PARTS:
        if hers in found:
            swapped[hers], swapped[theirs] = found[theirs], found[hers]
    first, second = number(alices[0], found), number(alices[1], swapped)
    return {name: (value + second[name]) / 2 for name, value in first.items()}


def one_turn(
    settings: SmallSettings, seeds: Seeds, alice: Alice, found: Losses, rehearsed: Int[np.ndarray, " text"]
) -> dict[str, float]:
    """The numbers that need the two models, the reference, and what became of the two."""
    estimands = asked(alice, found, seeds, settings.planted, 2 * settings.planted)
    rho = {name: alice.rho(found[name]) for pair in PARTS for name in pair}
    for name in PARTS[2]:
        estimands[f"{name}/rho"] = rho[name]
    unknowing = found["independent-distilled"] - found["reference"]  # knows nothing of the order
    estimands["planted-distilled/rho"] = planted(alice.steps, unknowing, LEFT)
    estimands["distilled/weaker"] = rho["distilled"] - rho["alice"]
    estimands["independent/weaker"] = rho["independent-distilled"] - rho["independent"]
    estimands["planted-distilled/weaker"] = planted(alice.steps, unknowing, max(0.0, -rho["alice"] - LOST)) - rho["alice"]
    # A rehearsal: the reference was trained on a shuffle of its own, which Alice knows and which tells nothing of hers.
    rehearsal = found["reference"] - found["independent"]
    taught = learned_scores(rehearsed, rehearsal)
    amiss = learned_scores(seeds("no order").permutation(rehearsed), rehearsal)
    for arm, loss, scores in (
        ("alice", found["alice"], taught),
        ("another-shuffle", found["alice"], amiss),
        ("independent", found["independent"], taught),
    ):
        estimands[f"{arm}/scores_gain"] = alice.z(loss, scores) - alice.z(loss)
    return estimands


def asked(alice: Alice, found: Losses, seeds: Seeds, correlation: float, imprint: float) -> dict[str, float]:
    """Rank correlations and what a reference adds to them, with both controls; for models of any size.

    Args:
        alice: whose order.
        found: the loss of every text under every model.
        seeds: of the run.
        correlation: that is planted.
        imprint: that is planted for the reference to show, as a share of the spread that it leaves.
    """
    estimands = {f"{name}/rho": alice.rho(found[name]) for pair in PARTS[:2] for name in pair}
    estimands["planted/rho"] = planted(alice.steps, found["independent"] - found["reference"], correlation)
    permuted = Alice(alice.steps, seeds("permuted reference").permutation(alice.reference))
    estimands["alice/reference_gain"] = gain(alice, found["alice"])
    estimands["permuted/reference_gain"] = gain(permuted, found["alice"])
    estimands["independent/reference_gain"] = gain(alice, found["independent"])
    estimands["planted/reference_gain"] = gain(alice, with_imprint(alice, found["independent"], imprint))
    return estimands


def gain(alice: Alice, loss: Float[np.ndarray, " text"]) -> float:
    """How much larger the rank correlation with the order is with the reference taken off than without."""
    return abs(alice.rho(loss)) - abs(order_correlation(alice.steps, loss))


def between(one: tuple[float, float], other: tuple[float, float], wanted: float) -> tuple[float, float]:
    """The point on the line from one (loss, rank correlation) to the other whose loss is nearest to the wanted one."""
    share = 0.0 if one[0] == other[0] else min(1.0, max(0.0, (wanted - one[0]) / (other[0] - one[0])))
    return one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])


def gap(rho: float, at_batch: float, apart: float = 0.0) -> float:
    """How much larger a rank correlation is than Alice's; nan where hers is too small to be asked, or final losses differ."""
    return abs(rho) - abs(at_batch) if abs(at_batch) > REMEMBERED and abs(apart) <= ALIKE else float("nan")


def planted(steps: Int[np.ndarray, " text"], left: Float[np.ndarray, " text"], size: float) -> float:
    """Rank correlation with the order after one of that size is put into losses that know nothing of it.

    It is put into their normal scores: in losses with a heavy tail it would come out larger, by up to two and a half times.
    """
    noise = ndtri((mid_ranks(left) - 0.5) / len(left))
    late = (steps - steps.mean()) / steps.std()
    weight = min(1.0, size / SCORED)
    return order_correlation(steps, (1 - weight * weight) ** 0.5 * noise / noise.std() - weight * late)


def with_imprint(alice: Alice, loss: Float[np.ndarray, " text"], size: float) -> Float[np.ndarray, " text"]:
    """Losses lowered for late texts, by that share of the spread that the reference leaves."""
    late = (alice.steps - alice.steps.mean()) / alice.steps.std()
    return np.asarray(loss - size * (loss - alice.reference).std() * late)


def deciles(alice: Alice, found: Losses) -> Table:
    """Mean loss less the reference's by tenth of the order, from the mean of all."""
    rows: Table = []
    tenth = (np.argsort(np.argsort(alice.steps, kind="stable"), kind="stable") * 10) // len(alice.steps)
    for name in ("alice", "fine-tuned", "distilled", "independent"):
        if name not in found:
            continue
        left = found[name] - alice.reference
        rows += [{"model": name, "tenth": int(i) + 1, "nats": float(left[tenth == i].mean() - left.mean())} for i in range(10)]
    return rows


def by_n(alice: Alice, found: Losses, seeds: Seeds) -> Table:
    """-log10 of the p-value by how many texts are asked, with and without the reference."""
    rows: Table = []
    coming = seeds("texts asked").permutation(len(alice.steps))
    sizes = [n for n in (125, 250, 500, 1000, 2000, 4000) if n < len(coming)] + [len(coming)]
    for n in sizes:
        some = coming[:n]
        for what, loss in (
            ("Alice's, reference taken off", found["alice"] - alice.reference),
            ("Alice's alone", found["alice"]),
            ("independent, reference taken off", found["independent"] - alice.reference),
        ):
            test = order_test(alice.steps[some], loss[some], rng=seeds("permutations"), n_permutations=1)
            rows.append({"texts": n, "model": what, "minus_log10_p": -math.log10(max(test.approximate, 1e-300))})
    return rows
