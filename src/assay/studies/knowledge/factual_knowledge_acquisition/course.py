"""Trainings that tell facts: the stream, forks of a state, and the scores of every fact on the way; runs side by side."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from assay.core.arrays import Ints
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.models.decoder import DecoderConfig, Visitor
from assay.models.runs import SideBySide
from assay.studies.knowledge.factual_knowledge_acquisition.items import BEFORE, FORMS, ROWS, Items, Plan
from assay.studies.knowledge.factual_knowledge_acquisition.levels import Track
from assay.studies.knowledge.factual_knowledge_acquisition.settings import AcquisitionSettings
from assay.training.losses import IGNORED, Batch, cross_entropy
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, State, train_from
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.world import PAD, Encyclopaedia

__all__ = ["Course", "Reader", "World", "follow", "network", "read_pages", "silence"]

LENGTH = 24  # tokens of a row
TOLD_SHARE = 0.5  # of the sentences of pages that state facts
DENSE = 100  # steps after the last round at each of which every fact is scored
SPARSE = 8  # steps between scores behind that
RETOLD_EVERY = 100  # plain steps from one telling to the next where a control tells on
KINDS = ("told", "held")


@dataclass(frozen=True, eq=False)
class World:
    """What a run reads and is told.

    Attributes:
        items: the passages.
        pages: rows of pages that are read.
        fresh: rows that are never read.
        seeds: of the order.
    """

    items: Items
    pages: Int[np.ndarray, "row place"]
    fresh: Int[np.ndarray, "row place"]
    seeds: Seeds

    @classmethod
    def drawn(cls, settings: AcquisitionSettings, seeds: Seeds) -> "World":
        """The encyclopaedia, items and pages of a run.

        Raises:
            SettingsError: the world needs more tokens than the networks have, or its pages do not fit.
        """
        world = Encyclopaedia.drawn(settings.design, rng=seeds("world"))
        if world.vocab_size > settings.vocabulary:
            raise SettingsError(
                f"the vocabulary must hold the world's {world.vocab_size} tokens; got vocabulary={settings.vocabulary}. Raise "
                "it, or ask for fewer entities"
            )
        items = Items.drawn(world, settings.per_group, rng=seeds("items"))
        absent = set(items.absent.tolist())
        told = np.array([fact.subject not in absent for fact in world.facts])
        n_chunks = settings.n_chunks + settings.n_fresh
        n_sentences = n_chunks * (LENGTH // 7)
        tellings = np.where(told, max(1, round(TOLD_SHARE * n_sentences / told.sum())), 0)
        pages = Pages(n_chunks, LENGTH, forms=(1, 0, 0, 0, 0))
        rows = Corpus.written(world, tellings, pages, rng=seeds("pages"), absent=items.absent).tokens
        return cls(items, rows[settings.n_fresh :], rows[: settings.n_fresh], seeds)

    def stream(self, first: int, n: int, order: str = "order") -> Int[np.ndarray, "row place"]:
        """Rows `first` to before `first + n` of endless passes over the pages, each in a random order of its own."""
        size = len(self.pages)
        places = np.arange(first, first + n)
        orders = {number: self.seeds(f"{order} {number}").permutation(size) for number in np.unique(places // size).tolist()}
        chosen = np.array([orders[place // size][place % size] for place in places.tolist()], dtype=np.int64)
        return np.asarray(self.pages[chosen])


def network(settings: AcquisitionSettings, d_model: int) -> DecoderConfig:
    """A network of that width."""
    return DecoderConfig(
        settings.vocabulary, settings.vocabulary, n_layers=settings.n_layers, d_model=d_model, d_mlp=4 * d_model,
        n_positions=LENGTH,
    )  # fmt: skip


def silence(site: str, layer: int, value: Tensor) -> Tensor | None:
    """Sets the output of attention to zero: a token's neighbours cannot be seen."""
    return torch.zeros_like(value) if site == "attn_out" else None


@dataclass(frozen=True, eq=False)
class Reader:
    """Networks side by side that have read pages, as a moment of their training.

    Attributes:
        state: weights and moments, with a run axis.
        read: rows read so far.
        batch: rows a step.
    """

    state: State[Any]
    read: int
    batch: int

    def alone(self, run: int) -> "Reader":
        """One of them, still with a run axis."""
        state = self.state
        moments = tuple(tuple(moment[[run]].clone() for moment in moments) for moments in state.moments)
        own = replace(state, model=state.model.select([run]), moments=moments, optimisers=(state.optimisers[run],))
        return replace(self, state=own)


def read_pages(worlds: Sequence[World], start: Reader, n_steps: int, *, order: str = "order") -> Reader:
    """The same reader after so many more steps of pages."""
    rows = np.stack([world.stream(start.read, n_steps * start.batch, order) for world in worlds])
    state, trace = train_from(start.state, _stage(rows, start.batch, start.state.step))
    trace.raise_if_diverged()
    return replace(start, state=state, read=start.read + n_steps * start.batch)


@dataclass(frozen=True, eq=False)
class Course:
    """A training that was told facts.

    Attributes:
        tracks: of each run, by the wording: the one of each exposure (`told`), and one that no passage uses (`held`).
        plans: of each run.
        reader: where it ended.
    """

    tracks: tuple[dict[str, Track], ...]
    plans: tuple[Plan, ...]
    reader: Reader


def follow(
    worlds: Sequence[World],
    start: Reader,
    plans: Sequence[Plan],
    n_plain: int,
    *,
    kinds: Collection[str] = ("told",),
    order: str = "order",
    batch: int | None = None,
    optimiser: Optimiser | None = None,
    plain_optimiser: Optimiser | None = None,
    visit: Visitor | None = None,
    seldom: Collection[int] = (),
    retold: Sequence[int] = (),
) -> Course:
    """What becomes of every fact when the passages of the plans are told, and pages are read alone afterwards.

    A passage takes the place of the first rows of its step.

    Args:
        worlds: one a run.
        start: where the fork begins; it stays as it is.
        plans: one a run, equally long.
        n_plain: steps after the last round.
        kinds: wordings that are scored.
        order: of the pages.
        batch: rows a step; None for those so far.
        optimiser: of the fork; None for that of the start.
        plain_optimiser: of the steps after the last round; None for that of the rounds.
        visit: changes the network wherever it is used.
        seldom: items that are told at every second of their exposures only; the others count and change nothing.
        retold: items whose last passage is told again every so many plain steps; these tellings are no exposures of the plan.

    Raises:
        Diverged: a run left the finite numbers.
    """
    batch = start.batch if batch is None else batch
    n_rounds, first = plans[0].n_steps, start.state.step
    rows = np.stack([world.stream(start.read, (n_rounds + n_plain) * batch, order) for world in worlds])
    for run, plan in enumerate(plans):
        for item, this in np.argwhere(plan.at >= 0).tolist():
            if item in seldom and this % 2 == 0:
                continue
            place = int(plan.at[item, this]) * batch
            rows[run, place : place + ROWS] = plan.rows[item, this]
        for i, item in enumerate(retold):
            for step in range(n_rounds + RETOLD_EVERY + i, n_rounds + n_plain, RETOLD_EVERY):
                rows[run, step * batch : step * batch + ROWS] = plan.rows[item, -1]
    dense = range(1, n_rounds + min(n_plain, DENSE) + 1)
    states = np.array([*dense, *range(dense[-1] + SPARSE, n_rounds + n_plain + 1, SPARSE)])
    probes = Probes(worlds, plans, states, first, [kind for kind in KINDS if kind in kinds], visit)
    state = start.state
    for begin, end, rule in ((0, n_rounds, optimiser), (n_rounds, n_rounds + n_plain, plain_optimiser)):
        if begin < end:
            state, trace = train_from(
                state, _stage(rows[:, begin * batch : end * batch], batch, first + begin, visit), optimiser=rule,
                observe=probes, observe_at=[first + own for own in states.tolist() if begin < own <= end],
            )  # fmt: skip
            trace.raise_if_diverged()
    reader = Reader(state, start.read + (n_rounds + n_plain) * batch, batch)
    return Course(probes.tracks(), tuple(plans), reader)


def fresh_loss(worlds: Sequence[World], reader: Reader) -> Float[np.ndarray, " run"]:
    """Mean loss of a token of rows that nobody read, in nats."""
    batch = _lesson(np.stack([world.fresh for world in worlds]))
    with torch.no_grad():
        return np.asarray(_loss(reader.state.model, batch).double().numpy())


# --------------------------------------------------------------------------------------------------- steps


def _stage(rows: Int[np.ndarray, "run row place"], batch: int, first: int, visit: Visitor | None = None) -> Stage[Any, Batch]:
    lessons = _lesson(rows)
    inputs, targets = (torch.unflatten(part, 1, (-1, batch)) for part in lessons[:2])

    def draw(step: int) -> Batch:
        return Batch(inputs[:, step - first].contiguous(), targets[:, step - first].contiguous())

    return Stage(inputs.shape[1], draw, partial(_loss, visit=visit))


def _lesson(rows: Int[np.ndarray, "run row place"]) -> Batch:
    tokens = torch.from_numpy(rows)
    targets = tokens[..., 1:]
    return Batch(tokens[..., :-1].contiguous(), targets.masked_fill(targets == PAD, IGNORED))


def _loss(model: nn.Module, batch: Batch, visit: Visitor | None = None) -> Float[Tensor, "*run"]:
    """As `next_token_loss`, with a visitor."""
    return cross_entropy(model(batch.inputs, visit=visit), batch.targets, over=2)


class Probes:
    """Scores every fact of the told groups at the states it is called at; of items that are never told nan."""

    def __init__(
        self, worlds: Sequence[World], plans: Sequence[Plan], states: Ints, first: int, kinds: Sequence[str],
        visit: Visitor | None,
    ) -> None:  # fmt: skip
        self.plans, self.states, self.kinds, self.visit = plans, states, kinds, visit
        self.place = {first + own: i for i, own in enumerate(states.tolist())}
        told = self.items = worlds[0].items.among(*FORMS)  # groups are the same items in every run
        asked = [_prompts(world.items, plan.asked)[:, told] for world, plan in zip(worlds, plans, strict=True)]
        self.told = np.stack(asked).transpose(0, 2, 3, 1, 4, 5)  # [run, item, round, subject, fact, 4]
        self.held = np.stack([_prompts(world.items, world.items.held[:, None])[:, told, 0] for world in worlds])
        self.rounds = np.stack([plan.rounds_at(states)[told] for plan in plans])  # [run, item, state]
        self.values = np.stack([np.stack([world.items.values, world.items.dealt])[:, told] for world in worlds])
        shape = (len(worlds), len(kinds), 2, 3)
        self.scores = np.full((*shape, len(states), *worlds[0].items.facts.shape), np.nan)
        self.base = np.full((*shape, BEFORE, *worlds[0].items.facts.shape), np.nan)

    def __call__(self, step: int, model: SideBySide) -> dict[str, float]:
        """Scores, and keeps them."""
        place = self.place[step]
        self.scores[..., place, self.items, :] = self._scored(model, self.rounds[..., place])
        if place < BEFORE:  # nothing is told yet
            last = np.full_like(self.rounds[..., place], self.told.shape[2] - 1)
            self.base[..., place, self.items, :] = self._scored(model, last)
        return {}

    def tracks(self) -> tuple[dict[str, Track], ...]:
        """Of each run, by kind."""
        found = []
        for run, plan in enumerate(self.plans):
            own = {}
            for i, kind in enumerate(self.kinds):
                (told, never, other), dealt = self.scores[run, i]
                own[kind] = Track(self.states, plan.at, told, never, other, dealt, self.base[run, i, 0].mean(1))
            found.append(own)
        return tuple(found)

    def _scored(self, model: SideBySide, rounds: Int[np.ndarray, "run item"]) -> Float[np.ndarray, "run kind 2 3 item fact"]:
        """Log-probabilities of own and dealt values after every subject, in the wordings of these rounds."""
        run, item = np.ogrid[: rounds.shape[0], : rounds.shape[1]]
        asked = {"told": self.told[run, item, rounds].transpose(0, 2, 1, 3, 4), "held": self.held}
        prompts = np.stack([asked[kind] for kind in self.kinds], 1)  # [run, kind, subject, item, fact, 4]
        shape = prompts.shape[:-1]
        tokens = torch.from_numpy(np.ascontiguousarray(prompts.reshape(shape[0], -1, prompts.shape[-1])))
        logits = model(tokens, at=-1, visit=self.visit)
        norms = torch.logsumexp(logits, -1)
        found = []
        for which in range(2):
            values = np.broadcast_to(self.values[:, which, None, None], shape).reshape(shape[0], -1, 1)
            chosen = logits.gather(-1, torch.from_numpy(values.copy()))[..., 0]
            found.append((chosen - norms).double().numpy().reshape(shape))
        return np.stack(found, 2)


def _prompts(items: Items, wordings: Int[np.ndarray, "item round fact"]) -> Int[np.ndarray, "3 item round fact 4"]:
    """With the item's own subjects, with those of its block's item that is never told, and with the next block's."""
    who = (np.arange(len(items)), items.never(), items.never(1))
    return np.stack([items.prompts(wordings, subjects) for subjects in who])
