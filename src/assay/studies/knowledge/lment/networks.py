"""Small networks that read pages, and what they know: training in a given order, forks that read further chunks, questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from assay.core.arrays import Floats, Ints
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.lment.settings import LearningSettings
from assay.training.losses import IGNORED, Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.order import Order
from assay.training.sequence import Draw, Stage, State, train_from
from assay.worlds.encyclopaedia.world import PAD, Encyclopaedia

__all__ = ["Asked", "Known", "forked", "fresh", "go_on", "reading", "reading_more"]

ASKED = 1500  # prompts of each run computed at a time
Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of facts, with any axes in front.

    Attributes:
        log_prob: log-probability of the value after the prompt, the mean over wordings, in nats.
        odds: log-odds of the value among the relation's values, in nats.
        right: whether it is the likeliest of them.
    """

    log_prob: Float[np.ndarray, "*lead fact"]
    odds: Float[np.ndarray, "*lead fact"]
    right: Bool[np.ndarray, "*lead fact"]

    @classmethod
    def together(cls, some: Sequence["Known"]) -> "Known":
        """All of them, along a new first axis."""
        return cls(*(np.stack([getattr(one, name) for one in some]) for name in ("log_prob", "odds", "right")))

    def __getitem__(self, index: int | tuple[int | slice, ...]) -> "Known":
        """A part along the axes in front."""
        return Known(self.log_prob[index], self.odds[index], self.right[index])


class Asked:
    """The questions about every fact, one a wording that pages use: the subject's name and the words before the value.

    Attributes:
        value: the token of each fact's value.
        last: the last token of each prompt, [fact, wording].
    """

    def __init__(self, world: Encyclopaedia) -> None:
        facts = world.facts
        wordings = {name: world.wordings_of(name).tolist() for name in world.values}
        prompts = [world.prompt(i, wording) for i, fact in enumerate(facts) for wording in wordings[fact.relation]]
        self.n_wordings = len(prompts) // len(facts)
        assert all(len(fact.value) == 1 for fact in facts)
        self.value = np.array([fact.value[0] for fact in facts])
        self.last = np.array([prompt[-1] for prompt in prompts]).reshape(len(facts), -1)
        self._groups: list[tuple[Ints, Ints]] = []  # the places of prompts of one length, and their tokens
        lengths = np.array([len(prompt) for prompt in prompts])
        for length in np.unique(lengths).tolist():
            places = np.flatnonzero(lengths == length)
            self._groups.append((places, np.array([prompts[i] for i in places.tolist()])))
        relation = np.array([fact.relation for fact in facts])
        self._relations = [
            (np.flatnonzero(relation == name), np.array([value[0] for value in dict.fromkeys(world.values[name])]))
            for name in world.values
        ]

    def ask(self, model: Decoder) -> Known:
        """What each run of a model knows, [run, fact]."""
        n_runs, n_facts = model.n_runs or 1, len(self.value)
        found = torch.empty(n_runs, n_facts * self.n_wordings, model.config.n_outputs)
        with torch.no_grad():
            for places, tokens in self._groups:
                for start in range(0, len(places), ASKED):
                    some = torch.from_numpy(
                        np.broadcast_to(tokens[start : start + ASKED], (n_runs, *tokens[start : start + ASKED].shape)).copy()
                    )
                    found[:, places[start : start + ASKED]] = model(some, at=-1).log_softmax(-1)
        return self.read(found.view(n_runs, n_facts, self.n_wordings, -1).mean(2).double().numpy())

    def read(self, log_probs: Float[np.ndarray, "*lead fact word"]) -> Known:
        """What is known, from the log-probability of every word after each fact's prompt."""
        lead = log_probs.shape[:-2]
        log_prob, odds = np.empty((*lead, len(self.value))), np.empty((*lead, len(self.value)))
        right = np.empty((*lead, len(self.value)), dtype=bool)
        for facts, candidates in self._relations:
            each = log_probs[..., facts, :][..., candidates]
            own = candidates == self.value[facts][:, None]
            log_prob[..., facts] = mine = np.where(own, each, 0.0).sum(-1)
            others = np.where(own, -np.inf, each)
            odds[..., facts] = mine - np.logaddexp.reduce(others, axis=-1)
            right[..., facts] = mine > others.max(-1)
        return Known(log_prob, odds, right)


def fresh(
    settings: LearningSettings, world: Encyclopaedia, width: int, rate: float, rngs: Sequence[np.random.Generator]
) -> State[Decoder]:
    """Networks of that width before their first step, one for each generator."""
    config = DecoderConfig(
        world.vocab_size, world.vocab_size, n_layers=settings.n_layers, d_model=width, d_mlp=4 * width, n_positions=64
    )  # fmt: skip
    return State.fresh(Decoder.init(config, list(rngs)), Optimiser(learning_rate=rate))


def reading(tokens: Int[np.ndarray, "chunk place"], orders: Sequence[Order]) -> Draw[Batch]:
    """The chunks of a step, of each run in its own order."""
    return lambda step: _batch(np.stack([tokens[order.batch(step)] for order in orders]))


def reading_more(
    tokens: Int[np.ndarray, "chunk place"], order: Order, added: Sequence[Sequence[Tokens]], rows: int, first: int
) -> tuple[Draw[Batch], int]:
    """The chunks of a step in that order, and beside them so many of those that each fork adds; and the steps this takes.

    Args:
        tokens: of the pages.
        order: of all forks.
        added: of each fork its chunks; equally many.
        rows: of them in a step.
        first: the step at which forks begin.
    """
    n, width = len(added[0]), tokens.shape[1]
    assert all(len(own) == n for own in added)
    n_steps = -(-n // rows)
    padded = np.full((len(added), n_steps * rows, width), PAD, dtype=np.int64)
    for fork, own in enumerate(added):
        for i, chunk in enumerate(own):
            padded[fork, i, : len(chunk)] = chunk

    def draw(step: int) -> Batch:
        own = padded[:, (step - first) * rows : (step - first + 1) * rows]
        pages = tokens[order.batch(step)]
        return _batch(np.concatenate([np.broadcast_to(pages, (len(added), *pages.shape)), own], axis=1))

    return draw, n_steps


def go_on(
    state: State[Decoder],
    draw: Draw[Batch],
    n_steps: int,
    *,
    ask: Callable[[Decoder], Known] | None = None,
    at: Sequence[int] = (),
) -> tuple[State[Decoder], list[Known]]:
    """The state so many steps later, and what was known at some of them, [run, fact]."""
    found: list[Known] = []

    def observe(step: int, model: Decoder) -> dict[str, Floats]:
        assert ask is not None
        found.append(ask(model))
        return {}

    stage: Stage[Decoder, Batch] = Stage(n_steps, draw, next_token_loss)
    after, trace = train_from(state, stage, observe=observe if at else None, observe_at=at)
    for failure in trace.diverged:
        if failure is not None:
            raise failure
    return after, found


def forked(state: State[Decoder], run: int, n: int) -> State[Decoder]:
    """So many copies of a run, with its moments."""
    runs = [run] * n
    moments = tuple(tuple(moment[runs].clone() for moment in some) for some in state.moments)
    return State(state.step, state.model.select(runs), moments, state.taken, (state.optimisers[run],) * n)


def _batch(tokens: Int[np.ndarray, "run text place"]) -> Batch:
    after = np.where(tokens[..., 1:] == PAD, IGNORED, tokens[..., 1:])
    return Batch(torch.from_numpy(np.ascontiguousarray(tokens[..., :-1])), torch.from_numpy(after))
