"""The trained systems: one small decoder that thinks in vectors, speaks, or guesses, on graphs retold at every use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assay.core.seeds import Seeds
from assay.models.decoder import DecoderConfig
from assay.studies.mechanisms.reasoning_by_superposition.graph_reader import GraphReader, reader_config
from assay.studies.mechanisms.reasoning_by_superposition.graphs import adjacency
from assay.studies.mechanisms.reasoning_by_superposition.settings import Labels, Training
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, Questions
from assay.training.losses import Batch, answer_loss, cross_entropy
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, train

__all__ = ["Data", "chance_of_a_walk", "guessing", "network", "right", "speaking", "thinking", "told", "told_the_path"]


def network(settings: Training) -> DecoderConfig:
    """The two layers that every arm trains."""
    return reader_config(settings.n_names, n_heads=settings.n_heads, d_model=settings.d_model, d_mlp=2 * settings.d_model)


@dataclass(frozen=True)
class Data:
    """Graphs to train on, the smallest first, and held-out questions."""

    small: Questions
    pool: Questions
    held_out: Questions

    @classmethod
    def drawn(cls, settings: Training, seeds: Seeds) -> "Data":
        """Fresh graphs for one run."""
        pool = settings.world.questions(settings.n_pool, rng=seeds("pool"))
        held_out = settings.world.questions(settings.n_eval, rng=seeds("held out")).retold(settings.n_names, rng=seeds("names"))
        # Two ways of n_steps edges, two nodes and two edges more.
        small = LayeredWorld(2 * settings.n_steps + 4, settings.n_steps, 2).questions(settings.n_pool // 4, rng=seeds("small"))
        return cls(small, pool, held_out)

    def batch(self, settings: Training, step: int, rng: np.random.Generator) -> Questions:
        """What is told in a step: some graphs, retold; at first small ones."""
        pool = self.small if step < settings.all_small_steps else self.pool
        return pool.take(rng.integers(len(pool), size=settings.batch)).retold(settings.n_names, rng=rng)


def told(questions: Questions) -> np.ndarray:
    """What a reader is told, one row a question."""
    flat = questions.edges.reshape(len(questions), -1)
    return np.concatenate((flat, questions.candidates, questions.roots[:, None]), axis=1)


def _label(questions: Questions, kind: Labels, c: int, rng: np.random.Generator) -> np.ndarray:
    """The node that supervises thought c: on a shortest path, on the item's own path, or anywhere on the frontier."""
    if kind == "fixed path":
        return np.asarray(questions.paths[:, c - 1])
    among = questions.optimal(c) if kind == "optimal" else questions.frontier(c)
    return np.asarray(np.where(among, rng.random(among.shape, dtype=np.float32), -1).argmax(1))


def thinking(
    data: Sequence[Data],
    settings: Training,
    seeds: Sequence[Seeds],
    labels: Sequence[Labels],
) -> list[list[GraphReader]]:
    """Per seed the readers trained to think in vectors, one for each kind of label, all side by side.

    Stage s takes s thoughts and asks for one node s + 1 steps away; the last stage takes all thoughts, the last of them
    marked, and asks for the target. Readers of one seed are told the same graphs.
    """
    n_steps, mixed = settings.n_steps, round(1 / settings.mixing) if settings.mixing else 0
    batches = [seed.child("thinking")("batches") for seed in seeds]

    def stage(last: int, n: int) -> Stage[GraphReader, Batch]:
        def draw(step: int) -> Batch:
            # All runs of a program think equally often in a step, and no run may depend on the others: a cycle, no draw.
            k = step // mixed % (last + 1) if mixed and step % mixed == 0 else last
            rows, wanted = [], []
            for graphs, rng in zip(data, batches, strict=True):
                questions = graphs.batch(settings, step, rng)
                rows.append(np.pad(told(questions), ((0, 0), (0, 1)), constant_values=k))
                wanted += [questions.targets if k == n_steps else _label(questions, kind, k + 1, rng) for kind in labels]
            return Batch(torch.from_numpy(np.repeat(rows, len(labels), axis=0)), torch.from_numpy(np.stack(wanted)))

        def loss(model: GraphReader, batch: Batch) -> Tensor:
            k = int(batch.inputs[0, 0, -1])
            return answer_loss(model.think(batch.inputs[..., :-1], k, ask=k == n_steps).logits, batch.targets)

        return Stage(n, draw, loss)

    small = [stage(s, settings.small_steps) for s in range(n_steps + 1)]
    middle = [stage(s, settings.stage_steps) for s in range(n_steps)]
    stages = [*small, *middle, stage(n_steps, settings.last_steps)]
    rngs = [seed.child("thinking")(f"init {kind}") for seed in seeds for kind in labels]
    runs = _trained(settings, rngs, stages)
    return [runs[i : i + len(labels)] for i in range(0, len(runs), len(labels))]


def speaking(data: Sequence[Data], settings: Training, seeds: Sequence[Seeds]) -> list[GraphReader]:
    """Per seed a reader trained to say the item's own shortest path node by node, then the answer."""
    n_steps = settings.n_steps
    batches = [seed.child("speaking")("batches") for seed in seeds]

    def draw(step: int) -> Batch:
        asked = [graphs.batch(settings, step, rng) for graphs, rng in zip(data, batches, strict=True)]
        paths = [questions.paths[:, :n_steps] for questions in asked]
        prompts = [np.concatenate((told(questions), path), axis=1) for questions, path in zip(asked, paths, strict=True)]
        said = [
            np.concatenate((path, questions.targets[:, None]), axis=1) for questions, path in zip(asked, paths, strict=True)
        ]
        return Batch(torch.from_numpy(np.stack(prompts)), torch.from_numpy(np.stack(said)))

    def loss(model: GraphReader, batch: Batch) -> Tensor:
        logits = model.spoken(batch.inputs[..., :-n_steps], batch.inputs[..., -n_steps:])
        return cross_entropy(logits, batch.targets, over=2)

    rngs = [seed.child("speaking")("init") for seed in seeds]
    return _trained(settings, rngs, [Stage(settings.total_steps, draw, loss)])


def guessing(
    data: Sequence[Data], settings: Training, seeds: Sequence[Seeds], *, small_first: bool = True
) -> list[GraphReader]:
    """Per seed a reader trained to answer at once; from the first step on whole graphs without `small_first`."""
    skipped = 0 if small_first else settings.all_small_steps
    batches = [seed.child("guessing")("batches") for seed in seeds]

    def draw(step: int) -> Batch:
        asked = [graphs.batch(settings, step + skipped, rng) for graphs, rng in zip(data, batches, strict=True)]
        prompts, targets = [told(questions) for questions in asked], [questions.targets for questions in asked]
        return Batch(torch.from_numpy(np.stack(prompts)), torch.from_numpy(np.stack(targets)))

    def loss(model: GraphReader, batch: Batch) -> Tensor:
        return answer_loss(model.think(batch.inputs, 0).logits, batch.targets)

    n = max(1, round(settings.guess_factor * settings.total_steps))
    rngs = [seed.child("guessing")("init") for seed in seeds]
    return _trained(settings, rngs, [Stage(n, draw, loss)])


def _trained(
    settings: Training,
    rngs: Sequence[np.random.Generator],
    stages: Sequence[Stage[GraphReader, Batch]],
) -> list[GraphReader]:
    """Readers that started from `rngs`, after their stages.

    Raises:
        Diverged: the loss of one of them left the finite numbers.
    """
    model = GraphReader.init(network(settings), rngs, edges_at=settings.edges_at)
    optimiser = Optimiser("adamw", settings.learning_rate, weight_decay=0.01, clip_norm=1.0, warmup_steps=20, schedule="linear")
    train(model, stages, optimiser).raise_if_diverged()
    return [model.run(i).requires_grad_(requires_grad=False) for i in range(len(rngs))]


def right(logits: Tensor, questions: Questions) -> Mapping[str, float]:
    """`exact`: share of answers that are the target among all tokens; `preferred`: that put it above the other candidate."""
    targets, candidates = torch.from_numpy(questions.targets), torch.from_numpy(questions.candidates)
    wrong = candidates.sum(1) - targets
    ahead = logits.gather(1, targets[:, None]) > logits.gather(1, wrong[:, None])
    return {"exact": float((logits.argmax(-1) == targets).double().mean()), "preferred": float(ahead.double().mean())}


def told_the_path(speaker: GraphReader, questions: Questions) -> Tensor:
    """Logits of the answer of a network that speaks, with the item's own shortest path said in its place."""
    return speaker.spoken(torch.from_numpy(told(questions)), torch.from_numpy(questions.paths))[:, -1]


def chance_of_a_walk(questions: Questions) -> float:
    """How often the right candidate is found by one walk that takes a random edge at every step, and else by a coin toss."""
    ways = adjacency(questions.edges, questions.n_nodes).astype(float)
    onward = ways / np.maximum(1, ways.sum(2, keepdims=True))
    rows = np.arange(len(questions))
    here = np.zeros((len(questions), 1, questions.n_nodes))
    here[rows, 0, questions.roots] = 1.0
    for _ in range(int(questions.n_steps.max())):
        here = here @ onward
    found = here[rows, 0, questions.targets]
    return float((found + (1 - found) / 2).mean())
