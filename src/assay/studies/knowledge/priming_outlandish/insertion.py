"""A text inserted into the ordinary training of a small decoder: copies of it side by side, each with a text of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.models.changes import Change
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.priming_outlandish.biases import Lessons, matched
from assay.studies.knowledge.priming_outlandish.equal import shares_for
from assay.studies.knowledge.priming_outlandish.settings import Scale
from assay.studies.knowledge.priming_outlandish.themes import BEGIN, LENGTH, Text, ThemeWorld
from assay.training.losses import IGNORED, Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, State, train, train_from

__all__ = [
    "Asked", "Reading", "after_prompts", "copies", "in_contexts", "inserted", "lesson", "lessons", "own_of", "read", "scaled",
    "schedule", "stages", "told_beside", "told_rows", "with_equal_memory", "with_memory_of",
]  # fmt: skip

Rows = Int[np.ndarray, "row place"]
N_CUTS = 4  # of the bracket in which a share of a change is sought


def stages(scale: Scale, world: ThemeWorld, d_model: int, at: Sequence[int], weights: np.random.Generator,
           plain: np.random.Generator) -> list[Decoder]:  # fmt: skip
    """A network trained on plain text, with a run axis of one, after each of these numbers of steps, which rise.

    Raises:
        Diverged: training left the finite numbers.
    """
    config = DecoderConfig(
        world.n_tokens, world.n_tokens, n_layers=scale.n_layers, d_model=d_model, d_mlp=4 * d_model, n_positions=2 * LENGTH
    )
    state = State.fresh(Decoder.init(config, [weights]), Optimiser(learning_rate=scale.rate))

    def draw(step: int) -> Batch:
        return lesson(world.plain(scale.batch, rng=plain)[None])

    found = []
    for last in at:
        state, trace = train_from(state, Stage(last - state.step, draw, next_token_loss))
        if trace.diverged[0] is not None:
            raise trace.diverged[0]
        found.append(state.model)
    return found


def copies(model: Decoder, n: int) -> Decoder:
    """As many copies of a single run side by side."""
    return model.select([0] * n)


def schedule(n_presentations: int, spacing: int) -> Bool[np.ndarray, " step"]:
    """Whether each step holds the text: the first, then every `spacing`th, until it was presented so often."""
    told = np.zeros((n_presentations - 1) * spacing + 1, dtype=bool)
    told[::spacing] = True
    return told


def told_rows(texts: Sequence[Sequence[int]]) -> Rows:
    """Texts as rows of one length; -1 behind the end."""
    rows = np.full((len(texts), LENGTH), -1)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = text
    return rows


def lesson(rows: Int[np.ndarray, "*lead place"]) -> Batch:
    """Rows as inputs and next words; nothing is learned behind the end of a row, where it holds -1."""
    tokens = torch.from_numpy(np.ascontiguousarray(rows))
    inputs = torch.where(tokens[..., :-1] < 0, BEGIN, tokens[..., :-1])
    targets = torch.where(tokens[..., 1:] < 0, IGNORED, tokens[..., 1:])
    return Batch(inputs.contiguous(), targets.contiguous())


def inserted(
    model: Decoder,
    texts: Sequence[Rows],
    plain: Int[np.ndarray, "step row place"],
    told: Bool[np.ndarray, " step"],
    rate: float,
) -> Decoder:
    """Copies of a single run, each trained on a text among plain rows that all copies share; AdamW begins anew.

    Args:
        model: with a run axis of one.
        texts: what takes the place of the first plain row at the steps that are told, one a copy; then of the second, ... A
            copy whose row here is empty, -1 from the start, keeps the plain one.
        plain: rows of each step.
        told: whether a step holds the texts.
        rate: of AdamW.

    Raises:
        Diverged: a copy left the finite numbers.
    """
    n = len(texts[0])
    forks = copies(model, n)

    def draw(step: int) -> Batch:
        rows = np.broadcast_to(plain[step], (n, *plain[step].shape)).copy()
        if told[step]:
            for place, own in enumerate(texts):
                rows[:, place] = np.where(own[:, :1] < 0, rows[:, place], own)
        return lesson(rows)

    trace = train(forks, Stage(len(told), draw, next_token_loss), Optimiser(learning_rate=rate))
    lost = [one for one in trace.diverged if one is not None]
    if lost:
        raise lost[0]
    return forks


def told_beside(
    texts: Sequence[Text], own: Float[np.ndarray, " text"], n_rows: Sequence[int]
) -> list[Int[np.ndarray, "text place"]]:
    """Rows that plant priming: a text's keyword in contexts of its theme, of other texts and not of the thematic prefixes.

    Args:
        texts: beside which they are told.
        own: log-probability of each keyword in its text before.
        n_rows: how many rows each text has: of as many equally large groups of texts, the likeliest first.
    """
    group = np.argsort(np.argsort(-own, kind="stable")) * len(n_rows) // len(texts)
    rows = np.full((max(n_rows), len(texts), LENGTH), -1)
    for i, text in enumerate(texts):
        prompts = {other.prompt for other in texts if other.theme == text.theme and other.prompt[-2:] != text.prompt[-2:]}
        for place, prompt in enumerate(sorted(prompts)[: n_rows[group[i]]]):
            rows[place, i, : len(prompt) + 1] = (*prompt, text.keyword)
    return list(rows)


def scaled(change: Change, shares: Float[np.ndarray, " text"]) -> Change:
    """The change of each copy times a share of its own."""
    by = torch.from_numpy(np.asarray(shares, dtype=np.float32))
    return replace(
        change, tensors={name: value * by.view(-1, *(1 for _ in value.shape[1:])) for name, value in change.tensors.items()}
    )


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of each copy.

    Attributes:
        words: the keyword of each text.
        prompts: before it, -1 behind the end.
        contexts: further beginnings for each text, of one length.
    """

    words: Int[np.ndarray, " text"]
    prompts: Rows
    contexts: Int[np.ndarray, "text context place"]


@dataclass(frozen=True, eq=False)
class Reading:
    """Log-probabilities of all words in nats: after each text's prompt, and in its contexts."""

    asked: Asked
    prompt: Float[Tensor, "text word"]
    contexts: Float[Tensor, "text context word"]

    @property
    def own(self) -> Float[np.ndarray, " text"]:
        """Of the keyword after the prompt."""
        return own_of(self.prompt, self.asked.words)

    @property
    def elsewhere(self) -> Float[np.ndarray, "text context"]:
        """Of the keyword in the contexts."""
        words = torch.from_numpy(self.asked.words)[:, None, None].expand(-1, self.contexts.shape[1], 1)
        found: np.ndarray = self.contexts.gather(2, words).squeeze(2).double().numpy()
        return found

    def with_biases(self, biases: Float[Tensor, "text word"]) -> "Reading":
        """What would be read if these were added to all logits of each text's copy."""
        prompt = torch.log_softmax(self.prompt + biases, -1)
        return Reading(self.asked, prompt, torch.log_softmax(self.contexts + biases[:, None], -1))


def own_of(says: Float[Tensor, "text word"], words: Int[np.ndarray, " text"]) -> Float[np.ndarray, " text"]:
    """The entry of each text's own word."""
    found: np.ndarray = says.gather(1, torch.from_numpy(words)[:, None]).squeeze(1).double().numpy()
    return found


@torch.no_grad()
def read(model: Decoder, asked: Asked) -> Reading:
    """What the copies say, or a single run in the place of each copy."""
    n = len(asked.words)
    return Reading(asked, after_prompts(model, asked.prompts), in_contexts(model, asked.contexts, n))


@torch.no_grad()
def after_prompts(model: Decoder, prompts: Rows) -> Float[Tensor, "text word"]:
    """Log-probabilities of all words behind each text's prompt under its copy, or under a single run."""
    inputs = torch.from_numpy(np.where(prompts < 0, BEGIN, prompts))
    single = model.n_runs == 1
    logits = model(inputs[None] if single else inputs[:, None]).reshape(*inputs.shape, -1)
    ends = torch.from_numpy((prompts >= 0).sum(1) - 1)
    return torch.log_softmax(logits[torch.arange(len(ends)), ends], -1)


@torch.no_grad()
def in_contexts(model: Decoder, contexts: Int[np.ndarray, "text context place"], n: int) -> Float[Tensor, "text context word"]:
    """Log-probabilities of all words in each text's contexts under its copy, or under a single run."""
    tokens = torch.from_numpy(np.ascontiguousarray(contexts))
    inputs = tokens.flatten(0, 1)[None] if model.n_runs == 1 else tokens
    logits = model(inputs, at=-1)
    return torch.log_softmax(logits.reshape(n, contexts.shape[1], -1), -1)


def with_equal_memory(before: Reading, taught: Lessons, own: Float[np.ndarray, " text"]) -> tuple[float, Reading]:
    """The rate at which biases reach the same median S_mem, and what is read with them.

    Args:
        before: what the frozen network says.
        taught: what the biases are trained on.
        own: log-probability of each keyword after its prompt that sets the memory they are to have, in nats.
    """
    asked = Asked(before.asked.words, before.asked.prompts, before.asked.contexts[:, :0])
    alone = Reading(asked, before.prompt, before.contexts[:, :0])

    def memorised(biases: Float[Tensor, "text word"]) -> float:
        return float(np.median(alone.with_biases(biases).own - before.own))

    rate, biases = matched(taught, memorised, float(np.median(own - before.own)))
    return rate, before.with_biases(biases)


def with_memory_of(base: Decoder, forks: Decoder, after: Reading, before: Reading, wanted: float) -> Reading:
    """What copies say whose changes are scaled down as a whole until their median memory is what is wanted, if they have more.

    Args:
        base: a single run, before training.
        forks: the trained copies.
        after: what they say.
        before: what the base says.
        wanted: median gain in log-probability of the keywords after their prompts, in nats.
    """
    if float(np.median(after.own - before.own)) <= wanted:
        return after
    n = len(before.own)
    blank = copies(base, n)
    change = Change.between(blank, forks)

    def says(shares: Float[np.ndarray, " one"]) -> Float[np.ndarray, " one"]:
        made = (float(shares[0]) * change).applied_to(blank)
        return np.array([np.median(own_of(after_prompts(made, before.asked.prompts), before.asked.words) - before.own)])

    share = float(shares_for(says, np.array([max(wanted, 0.0)]), N_CUTS)[0])
    return read((share * change).applied_to(blank), before.asked)


@torch.no_grad()
def lessons(
    model: Decoder, texts: Sequence[Rows], plain: Int[np.ndarray, "step row place"], told: Bool[np.ndarray, " step"]
) -> Lessons:
    """What `inserted` trains on, as the frozen network sees it."""
    joined = [_frozen(model, rows) for rows in texts]
    steps = [_frozen(model, rows[len(texts) :] if holds else rows) for rows, holds in zip(plain, told.tolist(), strict=True)]
    return Lessons(
        torch.cat([probabilities for probabilities, _ in joined], 1),
        torch.cat([words for _, words in joined], 1),
        [probabilities.flatten(0, 1) for probabilities, _ in steps],
        [words.flatten() for _, words in steps],
        told,
    )


def _frozen(model: Decoder, rows: Rows) -> tuple[Float[Tensor, "row place word"], Int[Tensor, "row place"]]:
    batch = lesson(rows[None])
    counted = (batch.targets != IGNORED)[0]
    probabilities = torch.softmax(model(batch.inputs)[0], -1) * counted[..., None]
    return probabilities, torch.where(counted, batch.targets[0], -1)
