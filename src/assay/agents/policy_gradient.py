"""Tabular softmax policy gradient on one-shot common-payoff games, for many seeds at once.

Both players (or A alone, against a model of the human) hold one logit for every observation and action and climb the common
payoff. With exact gradients the only randomness is the first policy: what is measured is where ascent ends, at the optimal pair
or at a pair from which neither side gains alone. With sampled episodes the gradient is REINFORCE with a running baseline.
"""

from dataclasses import dataclass

import numpy as np

from assay.core.arrays import Floats, Ints
from assay.core.errors import Diverged, SettingsError
from assay.solvers.games.humans import Human
from assay.worlds.games.team import TeamForm

__all__ = ["Learned", "train"]


@dataclass(frozen=True, eq=False)
class Learned:
    """Where the learners of all seeds ended.

    Attributes:
        assistant: [seed, assistant observation, action]; probabilities.
        human: [seed, human observation, action]; probabilities (of the model's reply, if the human was a model).
        value: [seed]; expected common payoff of the stochastic pair, in the game's unit.
        curve: [checkpoint, seed]; the value along the way; `steps` says when.
        steps: [checkpoint]; gradient steps taken.
    """

    assistant: Floats
    human: Floats
    value: Floats
    curve: Floats
    steps: Ints

    def greedy(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The most probable action at every observation, for each seed: (A's policy, H's policy)."""
        return [
            (tuple(int(a) for a in row_a), tuple(int(h) for h in row_h))
            for row_a, row_h in zip(self.assistant.argmax(axis=2), self.human.argmax(axis=2), strict=True)
        ]


def train(
    form: TeamForm,
    *,
    rng: np.random.Generator,
    n_seeds: int,
    n_steps: int = 500,
    learning_rate: float = 1.0,
    spread: float = 1.0,
    episodes: int | None = None,
    human: Human | None = None,
    n_checkpoints: int = 25,
) -> Learned:
    """Learners that have climbed the common payoff for `n_steps` steps from random first policies.

    Args:
        form: the game.
        rng: draws the first logits and, if asked for, the episodes.
        n_seeds: independent learners; they are computed together and do not influence each other.
        n_steps: gradient steps.
        learning_rate: step size on logits, per unit of payoff.
        spread: standard deviation of the first logits.
        episodes: episodes sampled a step; exact gradients where None.
        human: a model that replies to A's current policy; where None, H learns as A does.
        n_checkpoints: how many points of the learning curve to keep.

    Raises:
        SettingsError: a count or rate is out of range.
        Diverged: the logits left the finite numbers.
    """
    if n_seeds < 1 or n_steps < 1 or learning_rate <= 0 or (episodes is not None and episodes < 1):
        raise SettingsError(
            f"policy gradient needs n_seeds, n_steps and episodes of at least 1 and a positive learning_rate; got {n_seeds}, "
            f"{n_steps}, {episodes}, {learning_rate}"
        )
    table = form.weights()
    n_a, k_a, n_z, k_h = form.shape
    mass = np.asarray(form.mass / form.mass_denominator, dtype=np.float64)
    logits_a = spread * rng.standard_normal((n_seeds, n_a, k_a))
    logits_h = spread * rng.standard_normal((n_seeds, n_z, k_h))
    baseline = np.zeros(n_seeds)
    kept = np.unique(np.linspace(0, n_steps, min(n_checkpoints, n_steps + 1)).astype(np.int64))
    curve = []
    value, last_finite = np.zeros(n_seeds), float("nan")
    for step in range(n_steps + 1):
        assistant = _softmax(logits_a)
        # What H's action is worth at each observation, given A's policy; and A's, given H's.
        for_h = np.tensordot(assistant, table, axes=([1, 2], [0, 1]))
        if human is None:
            replies = _softmax(logits_h)
        else:
            replies = human.replies(form, for_h, np.tensordot(assistant, mass, axes=([1, 2], [0, 1])))
        for_a = np.tensordot(replies, table, axes=([1, 2], [2, 3]))
        value = (assistant * for_a).sum(axis=(1, 2))
        if not np.isfinite(value).all():
            raise Diverged(step, last_finite)
        last_finite = -float(value.mean())
        if step in kept:
            curve.append(value)
        if step == n_steps:
            break
        if episodes is None:
            grad_a, grad_h = _centred(assistant, for_a), _centred(replies, for_h)
        else:
            grad_a, grad_h, baseline = _reinforce(table, mass, assistant, replies, baseline, episodes, rng)
        logits_a = logits_a + learning_rate * grad_a
        if human is None:
            logits_h = logits_h + learning_rate * grad_h
    return Learned(assistant, np.asarray(replies), value, np.array(curve), kept)


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _centred(policy: Floats, worth: Floats) -> Floats:
    """Gradient of the expected payoff with respect to the logits: p (Q - sum p Q)."""
    return np.asarray(policy * (worth - (policy * worth).sum(axis=-1, keepdims=True)))


def _reinforce(
    table: Floats, mass: Floats, assistant: Floats, human: Floats, baseline: Floats, episodes: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Sampled score-function gradients of both sides, and the moved baseline."""
    n_seeds = len(assistant)
    seen = mass.sum(axis=2).max(axis=1)  # probability of each observation of A
    rows = np.arange(n_seeds)[:, None]
    o = _draw(np.broadcast_to(seen, (n_seeds, episodes, len(seen))), rng)
    a = _draw(assistant[rows, o], rng)
    asked = mass[o, a].sum(axis=-1) > 0
    z = _draw(np.where(asked[..., None], mass[o, a], 1.0), rng)
    h = _draw(human[rows, z], rng)
    # Where H is not asked, the payoff does not depend on her and is the whole cell's.
    cell = np.where(asked, mass[o, a, z], 1.0)
    payoff = np.where(asked, table[o, a, z, h] / cell, table[:, :, :, 0].sum(axis=2)[o, a] / seen[o])
    edge = (payoff - baseline[:, None]) / episodes
    grad_a, grad_h = np.zeros_like(assistant), np.zeros_like(human)
    np.add.at(grad_a, (rows, o, a), edge)
    np.add.at(grad_a, (rows, o), -edge[..., None] * assistant[rows, o])
    np.add.at(grad_h, (rows, z, h), edge * asked)
    np.add.at(grad_h, (rows, z), -(edge * asked)[..., None] * human[rows, z])
    return grad_a, grad_h, 0.9 * baseline + 0.1 * payoff.mean(axis=1)


def _draw(weights: Floats, rng: np.random.Generator) -> Ints:
    """Indices along the last axis, drawn in proportion to weights (which need not sum to one)."""
    edges = np.cumsum(weights, axis=-1)
    return np.asarray((rng.random(edges.shape[:-1])[..., None] * edges[..., -1:] > edges).sum(axis=-1))
