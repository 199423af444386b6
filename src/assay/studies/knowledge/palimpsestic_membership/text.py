"""What Alice can tell from texts alone: models retrained on her last phase, and counts of word sequences. (C7, C9)

One run trains Alice's model and forks it before its last phase, of several lengths: it goes on in her order, and copies of the
fork in fresh orders of the same texts. Another model, of another shuffle, writes texts that cannot know her order.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.stats.order_tests import exchangeable_t, order_test
from assay.studies.knowledge.palimpsestic_membership.learner import Learner, losses, network, written
from assay.studies.knowledge.palimpsestic_membership.ngrams import SequenceIndex
from assay.studies.knowledge.palimpsestic_membership.settings import TextSettings
from assay.studies.knowledge.palimpsestic_membership.stories import SENTENCE
from assay.training.optimiser import Optimiser
from assay.training.order import Order

__all__ = ["measure", "reshuffled", "tokens_needed"]

CONVINCED = 0.05
ALICE, INDEPENDENT = 0, 1

Texts = Int[np.ndarray, "text place"]


def measure(settings: TextSettings, seeds: Seeds) -> Measurement:
    """One run: Alice's model and its forks, and the texts of two writers.

    Raises:
        Diverged: a training left the finite numbers.
    """
    world, n = settings.world(seeds), settings.n_texts
    texts = world.stories(n, settings.length, rng=seeds("texts"))
    orders = [Order.shuffled(n, settings.batch, 1, seeds(f"order {name}")) for name in ("alice", "other")]
    optimiser = Optimiser(learning_rate=settings.rate)
    learner = Learner.fresh(network(settings), optimiser, [seeds(f"weights {name}") for name in ("alice", "independent")])
    starts = {share: orders[ALICE].n_steps - max(1, round(share * orders[ALICE].n_steps)) for share in settings.phases}
    forks: dict[float, Learner] = {}
    done = 0
    with part(0, 0.25, "Alice's model"):
        for share, start in sorted(starts.items(), key=lambda item: item[1]):
            learner.train([texts] * 2, orders, done, start)
            forks[share], done = learner.forked([ALICE]), start
        learner.train([texts] * 2, orders, done)
    with part(0.25, 0.45, "writing"):
        wrote = {
            name: written(learner.model, run, settings.n_counted, settings.length, seeds(f"written by {name}"))
            for run, name in enumerate(("alice", "independent"))
        }
        wrote["copied"] = with_copies(settings, seeds, wrote["alice"], texts, orders[ALICE], min(starts.values()))
    own = learner.forked([ALICE])
    likelihoods: dict[float, dict[str, Float[np.ndarray, "model text"]]] = {}
    with part(0.45, 0.9, "reshuffling"):
        for share in parts(settings.phases, weights=settings.phases):
            others = reshuffled(settings, seeds.child(f"last {share}"), forks[share], texts, orders[ALICE], starts[share])
            asked = wrote if share == settings.phases[-1] else {name: wrote[name] for name in ("alice", "independent")}
            likelihoods[share] = {
                name: log_likelihoods((own, others), some[: settings.n_scored]) for name, some in asked.items()
            }
    with part(0.9, 1, "counting"):
        steps = orders[ALICE].step_of(range(n))
        index = SequenceIndex.of(texts[:, 1:], steps, orders[ALICE].n_steps, longest=settings.longest)
        counted = {name: index.counts(some[:, 1:]) for name, some in wrote.items()}
    return Measurement(*numbers(settings, seeds, likelihoods, counted))


def reshuffled(settings: TextSettings, seeds: Seeds, fork: Learner, texts: Texts, order: Order, start: int) -> Learner:
    """Copies of the fork that were trained on the rest of the order's texts, each in an order of its own."""
    rest = order.examples[order.bounds[start] :]
    others = []
    for i in range(settings.n_reshuffles):
        shuffled = seeds(f"reshuffle {i}").permutation(rest)
        others.append(Order.of(np.split(shuffled, order.bounds[start + 1 : -1] - order.bounds[start]), order.n_examples))
    return fork.forked([0] * len(others)).train([texts] * len(others), others)


def with_copies(settings: TextSettings, seeds: Seeds, wrote: Texts, texts: Texts, order: Order, start: int) -> Texts:
    """The texts with a share of the sentences of each replaced, by ones at the same place of texts of Alice's last phase."""
    rest = order.examples[order.bounds[start] :]
    copied = wrote.copy()
    for sentence in range(settings.length // SENTENCE):
        if math.floor((sentence + 1) * settings.copied) > math.floor(sentence * settings.copied):
            places = slice(1 + sentence * SENTENCE, 1 + (sentence + 1) * SENTENCE)
            copied[:, places] = texts[seeds(f"copied {sentence}").choice(rest, size=len(wrote)), places]
    return copied


def log_likelihoods(models: Sequence[Learner], texts: Texts) -> Float[np.ndarray, "model text"]:
    """Log-likelihood of each text under Alice's model, then under each other one."""
    return np.concatenate([-losses(learner.model, texts) * (texts.shape[1] - 1) for learner in models])


# --------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: TextSettings,
    seeds: Seeds,
    likelihoods: Mapping[float, Mapping[str, Float[np.ndarray, "model text"]]],
    counted: Mapping[str, Float[np.ndarray, "text step"]],
) -> tuple[dict[str, float], dict[str, Table]]:
    """Estimands and tables from what the models say of the texts, and from the steps of their word sequences."""
    shortest, longest = settings.phases[0], settings.phases[-1]
    estimands: dict[str, float] = {}
    rows: Table = []
    phases: Table = []
    for name in ("alice", "copied", "independent"):
        by_reshuffle = {n: exchangeable_t(*_sums(likelihoods[longest][name][:, :n]))[1] for n in _grid(settings.n_scored)}
        by_partition = {n: partition(counted[name][:n], seeds) for n in _grid(settings.n_counted)}
        most = settings.n_counted
        needed = {
            "reshuffle": tokens_needed(by_reshuffle, most),
            "partition": tokens_needed(by_partition, most),
        }
        estimands[f"{name}/tokens_ratio"] = math.log10(needed["partition"] / needed["reshuffle"])
        for test, found in (("reshuffle", by_reshuffle), ("partition", by_partition)):
            rows += [
                {"writer": name, "test": test, "words": n * settings.length, "minus_log10_p": -math.log10(max(p, 1e-300))}
                for n, p in found.items()
            ]
        if name != "copied":
            z = {share: exchangeable_t(*_sums(likelihoods[share][name]))[0] for share in settings.phases}
            estimands[f"{name}/z_growth"] = z[longest] - z[shortest]
            phases += [{"writer": name, "share": share, "t": value} for share, value in z.items()]
    return {name: float(value) for name, value in estimands.items()}, {"tokens": rows, "phases": phases}


def partition(counts: Float[np.ndarray, "text step"], seeds: Seeds) -> float:
    """One-sided p-value that word sequences of later steps are not found more often."""
    total = counts.sum(0)
    if np.ptp(total) == 0:
        return 1.0
    return order_test(np.arange(len(total)), -total, rng=seeds("partition"), n_permutations=10_000).p_value


def tokens_needed(p_values: Mapping[int, float], most: int) -> int:
    """The fewest texts from which on every p-value convinces; `most` where the last one does not."""
    found = most
    for n in sorted(p_values, reverse=True):
        if p_values[n] > CONVINCED:
            break
        found = n
    return found


def _sums(likelihoods: Float[np.ndarray, "model text"]) -> tuple[float, list[float]]:
    own, *others = likelihoods.sum(1).tolist()
    return own, others


def _grid(most: int) -> list[int]:
    """1, 2, 4, ... texts, and all of them."""
    return [n for n in (2**i for i in range(24)) if n < most] + [most]
