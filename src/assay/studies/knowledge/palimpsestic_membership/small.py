"""Alice's model and what became of it: does the loss on her texts tell when they were seen? (C1, C3, C5, C6, C8, scores)

One run draws a world of stories, Alice's texts and her order. The models of other orders, starts, batches and schedules, and
those that were fine-tuned or distilled, are asked for the loss of every text of hers.
"""

import math
from collections.abc import Mapping, Sequence
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

__all__ = ["Alice", "gain", "gap", "measure", "planted"]

REMEMBERED = 0.05  # rank correlation that a model must have for the effect of the batch to be asked
ALIKE = 0.05  # nats a word within which final losses count as equal
SCORED = math.sqrt(3 / math.pi)  # rank correlation over Pearson's, of normal scores with an even order
LEFT, LOST = 0.02, 0.04  # rank correlation planted as left after distilling, and as lost by it: twice the bounds of C6


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
    fresh = world.stories(min(n, 1000), settings.length, rng=seeds("fresh texts"))
    orders = {name: Order.shuffled(n, settings.batch, 1, seeds(f"order {name}")) for name in ("alice", "reference", "other")}
    steps = {name: order.step_of(range(n)) for name, order in orders.items()}
    found: dict[str, Float[np.ndarray, " text"]] = {}
    final: dict[str, float] = {}

    def note(names: Sequence[str], learner: Learner) -> None:
        found.update(zip(names, losses(learner.model, texts), strict=True))
        final.update(zip(names, losses(learner.model, fresh).mean(1).tolist(), strict=True))

    config, constant = network(settings), Optimiser(learning_rate=settings.rate)
    own = ("alice", "reference", "independent", "another-start")
    with part(0, 0.35, "Alice's model"):
        taught = Learner.fresh(config, constant, [seeds(f"weights {name}") for name in own])
        taught.train([texts] * 4, [orders[name] for name in ("alice", "reference", "other", "alice")])
        note(own, taught)
    with part(0.35, 0.55, "other batches"):
        for name, batch, rate, decay_from in (
            ("small-batch", settings.small_batch, settings.small_rate, 1.0),
            ("large-batch", settings.large_batch, settings.large_rate, 1.0),
            ("decayed", settings.batch, settings.rate, 0.5),
        ):
            learner = Learner.fresh(config, Optimiser(learning_rate=rate), [seeds("weights alice")])
            note([name], learner.train([texts], [rebatched(orders["alice"], batch)], decay_from=decay_from))
    alice = Alice(steps["alice"], found["reference"])
    with part(0.55, 0.75, "fine-tuning"):
        other = world.stories(settings.n_other, settings.length, rng=seeds("other texts"))
        tuned, courses = fine_tuned(settings, seeds, taught, other, texts, alice)
        note(("fine-tuned", "independent-fine-tuned"), tuned)
    with part(0.75, 1, "distilling"):
        note(("distilled", "independent-distilled"), distilled(settings, seeds, taught))
    estimands = numbers(settings, seeds, alice, found, steps, final)
    tested = {name: loss for name, loss in found.items() if name != "reference"}
    models: Table = [{"model": name, "rho": alice.rho(loss), "loss": final[name]} for name, loss in tested.items()]
    return Measurement(
        estimands,
        {"deciles": deciles(alice, found), "by_n": by_n(alice, found, seeds), "fine_tuning": courses, "models": models},
    )


def rebatched(order: Order, batch: int) -> Order:
    """The same examples one after the other in steps of another size."""
    seen = order.examples
    return Order.of([seen[start : start + batch] for start in range(0, len(seen), batch)], order.n_examples)


def fine_tuned(
    settings: SmallSettings,
    seeds: Seeds,
    taught: Learner,
    other: Int[np.ndarray, "text place"],
    texts: Int[np.ndarray, "text place"],
    alice: Alice,
) -> tuple[Learner, Table]:
    """Alice's and the independent model, fine-tuned on other texts at a tenth of the rate; rho of hers by rate and amount."""
    shares = (0.1, 0.1, *settings.other_rates)
    optimisers = [Optimiser(learning_rate=settings.rate * share) for share in shares]
    independent = 2  # among the models that Alice's program trained
    tuned = taught.forked([0, independent, *[0] * len(settings.other_rates)], optimisers)
    order = Order.shuffled(len(other), settings.batch, 1, seeds("order other texts"))
    shown: Table = []
    middle = max(1, order.n_steps // 4)
    before = alice.rho(losses(taught.model.select([0]), texts)[0])
    for first, last in ((0, middle), (middle, order.n_steps)):
        tuned.train([other] * len(shares), [order] * len(shares), first, last)
        seen = min(len(other), last * settings.batch)
        for share, loss in zip(shares, losses(tuned.model, texts), strict=True):
            shown.append({"rate": settings.rate * share, "texts": seen, "rho": alice.rho(loss)})
    shown = [row for i, row in enumerate(shown) if i % len(shares) != 1]  # without the independent model
    shown += [{"rate": settings.rate * share, "texts": 0, "rho": before} for share in shares[1:]]
    return tuned.forked([0, 1], optimisers[0]), shown


def distilled(settings: SmallSettings, seeds: Seeds, taught: Learner) -> Learner:
    """New models, each trained on texts that Alice's, or the independent one, wrote."""
    wrote = [written(taught.model, run, settings.n_written, settings.length, seeds(f"written by {run}")) for run in (0, 2)]
    learner = Learner.fresh(
        network(settings), Optimiser(learning_rate=settings.rate), [seeds(f"weights distilled {run}") for run in (0, 2)]
    )
    orders = [Order.shuffled(settings.n_written, settings.batch, 1, seeds(f"order distilled {run}")) for run in (0, 2)]
    return learner.train(wrote, orders)


# --------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: SmallSettings,
    seeds: Seeds,
    alice: Alice,
    found: Mapping[str, Float[np.ndarray, " text"]],
    steps: Mapping[str, Int[np.ndarray, " text"]],
    final: Mapping[str, float],
) -> dict[str, float]:
    """The estimands of a run from the loss of every text under every model, and its mean loss on texts that none has seen."""
    rho = {name: alice.rho(loss) for name, loss in found.items() if name != "reference"}
    rho["planted"] = planted(alice.steps, found["independent"] - found["reference"], settings.planted)
    arms = ("alice", "independent", "planted", "fine-tuned", "independent-fine-tuned", "distilled", "independent-distilled")
    estimands = {f"{name}/rho": rho[name] for name in arms}
    distilled = found["independent-distilled"] - found["reference"]  # knows nothing of the order
    estimands["planted-distilled/rho"] = planted(alice.steps, distilled, LEFT)

    shuffled = Alice(alice.steps, seeds("permuted reference").permutation(alice.reference))
    estimands["alice/reference_gain"] = gain(alice, found["alice"])
    estimands["permuted/reference_gain"] = gain(shuffled, found["alice"])
    estimands["independent/reference_gain"] = gain(alice, found["independent"])
    estimands["planted/reference_gain"] = gain(alice, with_imprint(alice, found["independent"], 2 * settings.planted))

    estimands["distilled/weaker"] = rho["distilled"] - rho["alice"]
    estimands["another-start/weaker"] = rho["another-start"] - rho["alice"]
    estimands["independent/weaker"] = rho["independent-distilled"] - rho["independent"]
    estimands["planted-distilled/weaker"] = planted(alice.steps, distilled, max(0.0, -rho["alice"] - LOST)) - rho["alice"]

    for size in ("small", "large"):
        estimands[f"{size}-batch/batch_gap"] = gap(rho[f"{size}-batch"], rho["alice"], final[f"{size}-batch"] - final["alice"])
    estimands["decayed/batch_gap"] = gap(rho["decayed"], rho["alice"])
    estimands["another-start/batch_gap"] = gap(rho["another-start"], rho["alice"])
    estimands["independent/batch_gap"] = gap(rho["independent"], rho["alice"])

    # A rehearsal: the reference was trained on a shuffle of its own, which Alice knows and which tells nothing of hers.
    rehearsed = found["reference"] - found["independent"]
    taught = learned_scores(steps["reference"], rehearsed)
    amiss = learned_scores(seeds("no order").permutation(steps["reference"]), rehearsed)
    for arm, loss, scores in (
        ("alice", found["alice"], taught),
        ("another-shuffle", found["alice"], amiss),
        ("independent", found["independent"], taught),
    ):
        estimands[f"{arm}/scores_gain"] = alice.z(loss, scores) - alice.z(loss)
    return {name: float(value) for name, value in estimands.items()}


def gain(alice: Alice, loss: Float[np.ndarray, " text"]) -> float:
    """How much larger the rank correlation with the order is with the reference taken off than without."""
    return abs(alice.rho(loss)) - abs(order_correlation(alice.steps, loss))


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


def deciles(alice: Alice, found: Mapping[str, Float[np.ndarray, " text"]]) -> Table:
    """Mean loss less the reference's by tenth of the order, from the mean of all."""
    rows: Table = []
    tenth = (np.argsort(np.argsort(alice.steps, kind="stable"), kind="stable") * 10) // len(alice.steps)
    for name in ("alice", "fine-tuned", "distilled", "independent"):
        if name not in found:
            continue
        left = found[name] - alice.reference
        rows += [{"model": name, "tenth": int(i) + 1, "nats": float(left[tenth == i].mean() - left.mean())} for i in range(10)]
    return rows


def by_n(alice: Alice, found: Mapping[str, Float[np.ndarray, " text"]], seeds: Seeds) -> Table:
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
