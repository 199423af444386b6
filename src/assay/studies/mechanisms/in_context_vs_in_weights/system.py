"""The paper's system: its network, its data regimes, its evaluations and its training loop, shared by all experiments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.mechanisms.in_context_vs_in_weights.settings import Regime, Training
from assay.studies.mechanisms.in_context_vs_in_weights.world import ItemLabelSequences, ItemLabelWorld
from assay.training.losses import Batch, last_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, draw_together, train
from assay.training.trace import Trace

__all__ = [
    "Arm",
    "Setting",
    "Trained",
    "accuracies",
    "answers",
    "constant_accuracy",
    "guessing_accuracy",
    "network",
    "optimiser_of",
    "prepare",
    "train_regimes",
    "untrained",
]

Settings = TypeVar("Settings", bound=Training)

N_PLACES = 65  # positions of the paper: 2 * 32 + 1, in which the 17 tokens stand at a random offset
TOGETHER = 192  # sequences that a step of one program holds: with more, its activations leave the cache and nothing is won


class Setting(NamedTuple):
    """An evaluation: sequences with their truth, and the same as a batch."""

    drawn: ItemLabelSequences
    batch: Batch


@dataclass(frozen=True)
class Trained:
    """A trained network with its evaluations; the trace has what was seen of it on the way under its name."""

    name: str
    model: Decoder
    sets: Mapping[str, Setting]
    trace: Trace

    def curve(self, key: str) -> np.ndarray:
        """An observed quantity over the observed steps."""
        return self.trace.series(f"{self.name}/{key}")

    def last(self, key: str) -> float:
        """Its value at the end of training."""
        return float(self.curve(key)[-1])


def network(kind: str, n_labels: int) -> DecoderConfig:
    """Two layers that read item and label vectors; `strict` is the paper's network exactly."""

    if kind == "modern":
        return DecoderConfig(n_labels, n_layers=2, n_heads=4, d_model=128, d_mlp=512, norm="rms", positions="rotary")
    return DecoderConfig(
        n_labels, n_layers=2, n_heads=1, d_model=128, d_mlp=0, norm="none", positions="one-hot", n_positions=N_PLACES,
        scaled=False, output_matrix=False, readout_layers=3, weight_std=63**-0.5,
    )  # fmt: skip


def _as_batch(drawn: ItemLabelSequences, rng: np.random.Generator, *, placed: bool) -> Batch:
    """Sequences as tensors, each at a random place among the paper's positions where the network has such."""

    offset = rng.integers(N_PLACES - drawn.content.shape[1] + 1, size=len(drawn.answers)) if placed else None
    return Batch(
        torch.from_numpy(drawn.content), torch.from_numpy(drawn.answers), None if offset is None else torch.from_numpy(offset)
    )


def _evaluations(world: ItemLabelWorld, regime: Regime, n: int, rng: np.random.Generator) -> dict[str, ItemLabelSequences]:
    """The paper's three evaluations, and the controls of ours.

    ic, ic2 and iw are the paper's. `scrambled` is ic with the labels dealt out again among the items, so that the context says
    nothing; `stranger` is iw with classes the network never met; `known` is ic2 without the shift; `iw_uniform` draws classes
    with equal frequencies.
    """
    burst = regime.burst
    ic = world.in_context(n, rng=rng, burst=burst)
    scrambled = world.shown_otherwise(ic, "dealt", rng=rng)
    others = ItemLabelWorld.sample(
        rng=rng, n_classes=world.n_classes, n_labels=world.n_labels, n_items=world.n_items, d_content=world.labels.shape[1],
        noise=world.noise,
    )  # fmt: skip
    return {
        "ic": ic,
        "ic2": world.swapped(n, rng=rng, burst=burst),
        "iw": world.in_weights(n, rng=rng),
        "iw_uniform": world.in_weights(n, rng=rng, uniform=True),
        "known": world.sequences(n, rng=rng, burst=burst or world.n_items // 2),
        "scrambled": scrambled,
        "stranger": replace(others, labels=world.labels).in_weights(n, rng=rng),
    }


def accuracies(model: nn.Module, sets: Mapping[str, Setting], names: Sequence[str]) -> dict[str, float]:
    """Share of right answers on each of the named evaluations."""
    return {name: float((answers(model, sets[name].batch).argmax(-1) == sets[name].drawn.answers).mean()) for name in names}


def constant_accuracy(setting: Setting) -> float:
    """Share of right answers of the best constant answer."""
    return float(np.bincount(setting.drawn.answers).max() / len(setting.drawn.answers))


def guessing_accuracy(setting: Setting) -> float:
    """Share of right answers of guessing among the labels that stand in the context, of which one is right."""
    return float(np.mean([1 / len(set(shown)) for shown in setting.drawn.item_labels.tolist()]))


def answers(model: nn.Module, batch: Batch) -> Float[np.ndarray, "batch label"]:
    """Logits of the query's label."""

    with torch.no_grad():
        if isinstance(model, Decoder):
            logits: np.ndarray = model(batch.inputs, at=-1, offset=batch.offset).numpy()
            return logits
        logits = model(batch.inputs).numpy()
        return logits


@dataclass(frozen=True)
class Arm:
    """A regime as one run draws it: its evaluations, and the batch of a step (called once a step, in order)."""

    sets: Mapping[str, Setting]
    draw: Callable[[int], Batch]


def prepare(name: str, regime: Regime, settings: Training, seeds: Seeds, *, d_content: int, placed: bool) -> Arm:
    """A regime from the streams of `name`.

    Args:
        name: of the arm.
        regime: what its data are like.
        settings: sizes of evaluations and batches.
        seeds: of the run.
        d_content: dimensions of an item or label.
        placed: put each sequence at a random place among the paper's positions.
    """
    mine = seeds.child(name)
    world = ItemLabelWorld.sample(
        rng=mine("world"), n_classes=regime.n_classes, n_labels=regime.n_labels, d_content=d_content, noise=regime.noise,
        zipf=regime.zipf,
    )  # fmt: skip
    places, batches, shown = mine("places"), mine("batches"), mine("shown labels")
    drawn_sets = _evaluations(world, regime, settings.n_eval, mine("evaluations"))
    sets = {key: Setting(drawn, _as_batch(drawn, places, placed=placed)) for key, drawn in drawn_sets.items()}

    def draw(step: int) -> Batch:
        drawn = world.sequences(
            settings.batch, rng=batches, burst=regime.burst, p_bursty=regime.p_bursty, p_fresh=regime.p_fresh
        )
        if regime.shown != "own":  # from a stream of its own, so that items and questions are those of the regime beside it
            drawn = world.shown_otherwise(drawn, regime.shown, rng=shown)
        batch = _as_batch(drawn, batches, placed=placed)
        return batch._replace(targets=(batch.targets + 1) % regime.n_labels) if step < regime.renamed else batch

    return Arm(sets, draw)


def untrained(settings: Settings) -> Settings:
    """The settings under which nothing is learnt: a single step of no length."""
    return replace(settings, n_steps=1, learning_rate=1e-12)


def optimiser_of(settings: Training) -> Optimiser:
    """The settings' optimiser; plain SGD shrinks parameters by 1e-6 a step as in the paper, whatever the rate."""

    decay = 1e-6 / settings.learning_rate if settings.optimiser == "sgd" else 0.0
    return Optimiser(settings.optimiser, settings.learning_rate, weight_decay=decay)


Observe = Callable[[str, Decoder, Mapping[str, Setting]], dict[str, float]]


def train_regimes(
    regimes: Mapping[str, Regime],
    settings: Training,
    seeds: Seeds,
    *,
    observe: Observe,
    observe_at: Sequence[int],
    twins: Mapping[str, str] | None = None,
) -> dict[str, Trained]:
    """By name, the settings' network trained from scratch in each regime, several in one program where that is faster.

    Args:
        regimes: what the data of each arm are like; their names name the random streams.
        settings: how they are trained.
        seeds: of the run.
        observe: what is measured at the observed steps, from an arm's name, its model and its evaluations.
        observe_at: those steps.
        twins: of an arm that is another's twin the other's name: both have one world, one start and the same questions.

    Raises:
        Diverged: the loss of an arm left the finite numbers.
    """
    programs = _programs(regimes, settings.batch)
    done: dict[str, Trained] = {}
    for names in parts(programs, label=", ".join, weights=[len(names) for names in programs]):
        streams = {name: (twins or {}).get(name, name) for name in names}
        done |= _train_together({name: regimes[name] for name in names}, settings, seeds, observe, observe_at, streams)
    return done


def _programs(regimes: Mapping[str, Regime], batch: int) -> list[list[str]]:
    """Names of the arms of each program, in order: of equally many labels, and few enough for the processor's cache."""
    most = max(1, TOGETHER // batch)
    programs: list[list[str]] = []
    for name, regime in regimes.items():
        if programs and len(programs[-1]) < most and regimes[programs[-1][0]].n_labels == regime.n_labels:
            programs[-1].append(name)
        else:
            programs.append([name])
    return programs


def _train_together(
    regimes: Mapping[str, Regime],
    settings: Training,
    seeds: Seeds,
    observe: Observe,
    observe_at: Sequence[int],
    streams: Mapping[str, str],
) -> dict[str, Trained]:
    """The arms of one program; see `train_regimes`."""

    config = network(settings.network, next(iter(regimes.values())).n_labels)
    placed = config.positions == "one-hot"
    arms = {
        name: prepare(streams[name], regime, settings, seeds, d_content=config.d_content, placed=placed)
        for name, regime in regimes.items()
    }

    def look(step: int, models: Decoder) -> dict[str, float]:
        return {
            f"{name}/{key}": value
            for i, (name, arm) in enumerate(arms.items())
            for key, value in observe(name, models.run(i), arm.sets).items()
        }

    models = Decoder.init(config, [seeds.child(streams[name])("init") for name in arms])
    stage: Stage[Decoder, Batch] = Stage(settings.n_steps, draw_together([arm.draw for arm in arms.values()]), last_token_loss)
    trace = train(models, stage, optimiser_of(settings), observe=look, observe_at=observe_at)
    trace.raise_if_diverged()
    return {name: Trained(name, models.run(i), arm.sets, trace) for i, (name, arm) in enumerate(arms.items())}
