"""The one-layer system: its network, its two trainings, and what is asked of it; shared by all experiments."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.instruments.attention import attended
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import Scale
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import SUBJECT, TripleSequences, TripleWorld
from assay.training.losses import Batch, last_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, train
from assay.training.trace import Trace

__all__ = [
    "Answers",
    "Lesson",
    "answers",
    "chosen_subjects",
    "filtering",
    "network",
    "shuffled",
    "strangers",
    "taught",
    "told",
    "train_on",
]

AHEAD = 50  # steps whose data are drawn together


class Lesson(NamedTuple):
    """What one run of a program is trained on: draw(n, rng) gives n sequences."""

    draw: Callable[[int, np.random.Generator], TripleSequences]
    rng: np.random.Generator


@dataclass(frozen=True)
class Answers:
    """What networks say about every fact, [run, draw, fact] where not said otherwise.

    Attributes:
        right: whether the most probable value is the true one.
        said: the most probable value.
        confidence: its probability.
    """

    right: Bool[np.ndarray, "run draw fact"]
    said: Int[np.ndarray, "run draw fact"]
    confidence: Float[np.ndarray, "run draw fact"]

    def accuracy(self, among: Bool[np.ndarray, "run fact"] | None = None) -> Float[np.ndarray, " run"]:
        """Share of right answers of each run, over all facts or the chosen ones; nan where none is chosen."""
        by_fact = self.right.mean(1)
        if among is None:
            return np.asarray(by_fact.mean(-1))
        chosen = among.sum(-1)
        shares: np.ndarray = np.divide((by_fact * among).sum(-1), chosen, out=np.full(len(chosen), np.nan), where=chosen > 0)
        return shares


def network(scale: Scale, worlds: Sequence[TripleWorld], *, mlp: bool = True) -> DecoderConfig:
    """One layer wide enough for each of the worlds.

    `strict`: tokens without positions, one head whose mix of values replaces the stream, a ReLU MLP whose output replaces it
    again, a read-out; without the MLP the mix itself is read out.
    """
    vocab, outputs = max(world.vocab_size for world in worlds), max(world.n_outputs for world in worlds)
    width, d_mlp = scale.d_model, 4 * scale.d_model if mlp else 0
    if scale.network == "modern":
        return DecoderConfig(outputs, vocab, n_layers=1, n_heads=4, d_model=width, d_mlp=d_mlp)
    return DecoderConfig(
        outputs, vocab, n_layers=1, n_heads=1, d_model=width, d_mlp=d_mlp, act="relu", norm="none", positions="none",
        output_matrix=False, residual=False, embed_std=1.0,
    )  # fmt: skip


def told(world: TripleWorld, rng: np.random.Generator) -> Lesson:
    """Pre-training: statements about all subjects."""
    return Lesson(lambda n, draws: world.statements(n, rng=draws), rng)


def taught(world: TripleWorld, subjects: Int[np.ndarray, " chosen"], rng: np.random.Generator) -> Lesson:
    """Fine-tuning: questions about the chosen subjects."""
    return Lesson(lambda n, draws: world.questions(n, rng=draws, subjects=subjects), rng)


def chosen_subjects(world: TripleWorld, n: int, seeds: Seeds) -> Int[np.ndarray, " chosen"]:
    """The `n` subjects that are fine-tuned on; those of a smaller n are among them.

    Raises:
        SettingsError: no subject would be left to test on.
    """
    if not 1 <= n < world.n_subjects:
        raise SettingsError(f"fine-tuning needs 1 to {world.n_subjects - 1} subjects, so that some are left to ask; got {n}")
    return np.sort(seeds("chosen").permutation(world.n_subjects)[:n])


def shuffled(world: TripleWorld, rng: np.random.Generator) -> TripleWorld:
    """The same world with the values of each type dealt out again among the subjects: what was stated says nothing of them."""
    return replace(world, values=rng.permuted(world.values, axis=0))


def strangers(model: Decoder, world: TripleWorld, rngs: Sequence[np.random.Generator]) -> Decoder:
    """Copies of a decoder of one run, one for each generator, with embeddings of the question tokens drawn anew from it.

    No statement has a question token, so before fine-tuning its embedding is a draw like any other.
    """
    copies = model.select([0] * len(rngs))
    assert copies.W_E is not None
    rows = world.question_tokens(np.arange(world.n_types))
    with torch.no_grad():
        for i, rng in enumerate(rngs):
            drawn = rng.standard_normal((len(rows), copies.W_E.shape[-1]), dtype=np.float32)
            copies.W_E[i, rows] = model.config.embed_std * torch.from_numpy(drawn)
    return copies


def train_on(
    model: Any,
    lessons: Sequence[Lesson],
    optimiser: Optimiser,
    *,
    n_steps: int,
    batch: int,
    observe: Callable[[Any], dict[str, Any]] | None = None,
    observe_at: Collection[int] = (),
) -> Trace:
    """Trains every run of a program on its own lesson.

    Args:
        model: a decoder (or low-rank updates of one) with as many runs as there are lessons.
        lessons: one for each run.
        optimiser: how gradients become steps.
        n_steps: steps.
        batch: sequences of each run in a step.
        observe: called at the observed steps.
        observe_at: those steps.
    """
    batches = _batches(lessons, batch, n_steps)
    stage: Stage[Any, Batch] = Stage(n_steps, lambda step: next(batches), last_token_loss)
    look = None if observe is None else (lambda step, m: observe(m))
    return train(model, stage, optimiser, observe=look, observe_at=observe_at)


def _batches(lessons: Sequence[Lesson], batch: int, n_steps: int) -> Iterator[Batch]:
    for start in range(0, n_steps, AHEAD):
        n = min(AHEAD, n_steps - start)
        drawn = [lesson.draw(n * batch, lesson.rng) for lesson in lessons]
        tokens = torch.from_numpy(np.stack([one.tokens.reshape(n, batch, -1) for one in drawn], 1))
        values = torch.from_numpy(np.stack([one.answers.reshape(n, batch) for one in drawn], 1))
        for step in range(n):
            yield Batch(tokens[step], values[step])


def answers(model: Any, sequences: Sequence[Sequence[TripleSequences]]) -> Answers:
    """What each run says to its own sequences, [run][draw], every draw being about all facts in the same order."""
    tokens = np.stack([np.concatenate([one.tokens for one in draws]) for draws in sequences])
    truth = np.stack([[one.answers for one in draws] for draws in sequences])
    with torch.no_grad():
        odds = model(torch.from_numpy(tokens), at=-1).softmax(-1)
    confidence, said = (part.numpy().reshape(truth.shape) for part in odds.max(-1))
    return Answers(said == truth, said, confidence)


def filtering(model: Decoder, sequences: Sequence[TripleSequences]) -> Float[np.ndarray, " run"]:
    """Attention of the last token on subject and relation together, mean over sequences and heads, of each run."""
    tokens = torch.from_numpy(np.stack([one.tokens for one in sequences]))
    (pattern,) = attended(model, tokens).patterns  # [run, batch, head, query, key]
    last = pattern[..., -1, :].mean((1, 2))
    return np.asarray((last[:, SUBJECT] + last[:, -1]).numpy(), dtype=float)
