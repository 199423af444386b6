"""What recall models know: losses, accuracies and ranks by kind of question, and the picture in their weights.

A question has more scores than loss and accuracy, because a wrong answer can be wrong in two ways. The *family* of a
relation is the set of answers it can have (facts, or implications); a subject's *pair* is its own fact and implication. A model
that knows the relation but not the subject has a small family loss and a chance rank inside the family; one that knows the
subject but not the relation has a small pair loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack
from assay.studies.knowledge.out_of_context_reasoning.world import Draws, Kind, RecallWorld

__all__ = [
    "RecallProbe",
    "Scores",
    "block_completion",
    "key_query_profile",
    "shape_distance",
    "value_output",
]

ONE_HALF = math.log(0.5)


@dataclass(frozen=True)
class Scores:
    """Means over the questions of one kind, for every run.

    Attributes:
        loss_nats: -log p(right).
        accuracy: share of questions whose right answer beats the whole vocabulary; ties are broken at random, in expectation.
        family_accuracy: the same against the relation's answers only; chance is one over their number.
        rank: answers of the family above the right one, ties counting half: 0 is best, half the family less one half is chance.
        family_loss_nats: -log of the probability on the family (the paper's relation loss).
        pair_loss_nats: -log of the probability on the subject's fact and implication (the paper's subject loss).
        asserted: share of questions whose right answer has a probability above one half.
        any_asserted: share of questions of which some answer of the family, right or wrong, has one; "unknown" is no answer.
        abstained: share of questions of which "unknown" has one; 0 where the world has no such label.
    """

    loss_nats: Float[ndarray, " runs"]
    accuracy: Float[ndarray, " runs"]
    family_accuracy: Float[ndarray, " runs"]
    rank: Float[ndarray, " runs"]
    family_loss_nats: Float[ndarray, " runs"]
    pair_loss_nats: Float[ndarray, " runs"]
    asserted: Float[ndarray, " runs"]
    any_asserted: Float[ndarray, " runs"]
    abstained: Float[ndarray, " runs"]


class RecallProbe:
    """A fixed set of questions for every run of a stack, all kinds in one forward pass.

    Attributes:
        kinds: the kinds of question asked, those that the worlds have.
    """

    def __init__(
        self, worlds: Sequence[RecallWorld], draws: Sequence[Draws], weights: Sequence[Float[ndarray, " draws"]]
    ) -> None:
        world = worlds[0]
        self.kinds: tuple[Kind, ...] = world.kinds
        self._counts = torch.from_numpy(np.stack([w.counts(d) for w, d in zip(worlds, draws, strict=True)]).astype(np.float32))
        self._labels = torch.from_numpy(np.stack([w.labels(d) for w, d in zip(worlds, draws, strict=True)]))
        self._pairs = torch.from_numpy(np.stack([w.answers[d.subject] for w, d in zip(worlds, draws, strict=True)]))
        self._relation = torch.from_numpy(np.stack([d.relation for d in draws]))
        self._weights = torch.from_numpy(np.stack(weights))
        family = (np.arange(world.n_answers) >= world.n).astype(int)
        self._family = torch.from_numpy(family) == self._relation[:, :, None]
        self._says_something = torch.from_numpy(np.arange(world.n_answers) < 2 * world.n)
        self._kind_of = self._kinds_of(world, draws[0])

    @classmethod
    def sampled(cls, worlds: Sequence[RecallWorld], seeds: Sequence[Seeds], *, n_noise_draws: int = 2) -> "RecallProbe":
        """Every (subject, relation) in `n_noise_draws` fresh noises; each run draws from its own stream "probe"."""
        draws = [world.every_pair(world.kinds, n_noise_draws, node("probe")) for world, node in zip(worlds, seeds, strict=True)]
        return cls(worlds, draws, [np.ones(len(d.subject)) for d in draws])

    @classmethod
    def exact(cls, worlds: Sequence[RecallWorld]) -> "RecallProbe":
        """Every possible sequence with its probability: no sampling error at all, for worlds small enough to enumerate."""
        draws, weights = zip(*(world.population(world.kinds) for world in worlds), strict=True)
        return cls(worlds, draws, weights)

    def read(self, stack: RecallStack) -> dict[Kind, Scores]:
        """Scores of every kind of question; the stack is left as it is."""
        logits = stack.logits(self._counts.to(stack.dtype)).double()
        log_all = torch.logsumexp(logits + torch.log(stack.multiplicity.double()), dim=2)
        answers = logits[:, :, stack.answer_rows]
        right = answers.gather(2, self._labels.unsqueeze(2))
        pair = torch.logsumexp(answers.gather(2, self._pairs), dim=2)
        in_family = answers.masked_fill(~self._family, -torch.inf)
        sure = answers - log_all.unsqueeze(2) > ONE_HALF
        above, level = _standing(logits, right, stack.multiplicity)
        family_above, family_level = _standing(in_family, right, torch.ones(()))
        values = Scores(
            loss_nats=(log_all - right[:, :, 0]).numpy(),
            accuracy=((above == 0) / level).numpy(),
            family_accuracy=((family_above == 0) / family_level).numpy(),
            rank=(family_above + (family_level - 1) / 2).numpy(),
            family_loss_nats=(log_all - torch.logsumexp(in_family, dim=2)).numpy(),
            pair_loss_nats=(log_all - pair).numpy(),
            asserted=sure.gather(2, self._labels.unsqueeze(2))[:, :, 0].double().numpy(),
            any_asserted=(sure & self._family & self._says_something).any(dim=2).double().numpy(),
            abstained=(sure & ~self._says_something).any(dim=2).double().numpy(),
        )
        weights = self._weights.numpy()
        return {kind: self._mean(values, weights * (self._kind_of == i)) for i, kind in enumerate(self.kinds)}

    @staticmethod
    def _mean(values: Scores, weights: Float[ndarray, "runs draws"]) -> Scores:
        weights = weights / weights.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a run that left the finite numbers reads as nan
            return Scores(**{field.name: (getattr(values, field.name) * weights).sum(axis=1) for field in fields(Scores)})

    def _kinds_of(self, world: RecallWorld, draws: Draws) -> Float[ndarray, " draws"]:
        kind_of = np.empty(draws.subject.shape, dtype=int)
        for i, kind in enumerate(self.kinds):
            subjects = world.subjects(kind)
            relation = 0 if kind.endswith("fact") else 1
            kind_of[(draws.relation == relation) & (draws.subject >= subjects[0]) & (draws.subject <= subjects[-1])] = i
        return kind_of


def _standing(logits: torch.Tensor, right: torch.Tensor, multiplicity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many answers stand above the right one, and how many level with it (itself included)."""
    return ((logits > right) * multiplicity).sum(dim=2).double(), ((logits == right) * multiplicity).sum(dim=2).double()


def value_output(stack: RecallStack, *, weighted: bool = False) -> Float[ndarray, "runs n_answers n_inputs"]:
    """W_OV on the answers' rows and the input tokens' columns, in logits per unit of attention.

    With `weighted` each column is multiplied by its token's attention weight: what one such token adds to the logits under
    linear attention.
    """
    W = stack.value_output()[:, stack.answer_rows]
    if weighted:
        W = W * stack.token_weights()[:, None, :]
    return W.double().numpy()


def block_completion(W: Float[ndarray, "n_answers n_inputs"], world: RecallWorld) -> float:
    """How far the held-out subjects' implication block repeats the bridges': 1 is a copy, 0 is nothing (dimensionless).

    The ratio of two projections, per subject: of W[c, held-out] and of W[c, bridges] on the centred indicator of the
    implication that the rule gives each subject. Equals the ratio of mean margins against other implications, and y of the
    max-margin solution.
    """
    of_rule = world.rule[world.group]
    pattern = (np.arange(world.n)[:, None] == of_rule) - 1 / world.n
    projected = (W[world.n : 2 * world.n, 2 : 2 + world.n_subjects] * pattern).sum(axis=0)
    bridges, held_out = world.subjects("train_implication"), world.subjects("test_implication")
    return float(projected[held_out].mean() / projected[bridges].mean())


def key_query_profile(stack: RecallStack, world: RecallWorld) -> dict[str, Float[ndarray, " runs"]]:
    """Mean attention weight (before any softmax normalisation) of relations, bridges, held-out subjects, noise and EOS."""
    weights = stack.token_weights().double().numpy()
    columns = {
        "relation": np.arange(2),
        "bridge": 2 + world.subjects("train_fact"),
        "held_out": 2 + world.subjects("test_fact"),
        "noise": np.arange(2 + world.n_subjects, world.n_inputs - 1),
        "eos": np.array([world.n_inputs - 1]),
    }
    return {name: weights[:, where].mean(axis=1) for name, where in columns.items() if len(where)}


def shape_distance(W: Float[ndarray, "rows columns"], reference: Float[ndarray, "rows columns"]) -> float:
    """Distance of two matrices after centring every column and scaling both to norm 1: 0 is the same shape, √2 orthogonal.

    Centring removes what a softmax cannot see (a constant added to a column), scaling what a margin direction does not fix.
    """
    shapes = []
    for matrix in (W, reference):
        centred = matrix - matrix.mean(axis=0, keepdims=True)
        shapes.append(centred / np.linalg.norm(centred))
    return float(np.linalg.norm(shapes[0] - shapes[1]))
