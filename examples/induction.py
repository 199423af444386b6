"""Induction heads: does looking up what followed the last time take two layers? Run it: assay run examples/induction.py"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost, Headline, Paper
from assay.claims.rules import Above
from assay.claims.study import Experiment, Measurement, Preset, Study, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder, DecoderConfig
from assay.training.losses import IGNORED, Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, log_steps, train

ESTIMANDS = (Estimand("accuracy", "tokens of the second telling that are foretold", "share of tokens", low=0, high=1),)
CLAIM = Claim(
    "C1",
    "Two layers of attention foretell a list that is told again from another place: more than {bound:.0%} of its tokens.",
    "two-layers/accuracy",
    Above(0.9),
    why="nine in ten; leaving out what was told already and guessing among the rest is right in 27%",
    at="argument 1",
    paper="models of two layers and more do, of one layer do not",
    negative=Arm("one-layer", "the same network with one layer: no head can look at what stood before a token"),
)
VOCABULARY = 32


@dataclass(frozen=True)
class Settings:
    """How long a list is, and how long a network learns."""

    length: Annotated[int, Ge(3), doc("tokens of a list")] = 12
    n_steps: Annotated[int, Ge(1), doc("training steps")] = 1500


def draw(settings: Settings, rng: np.random.Generator, n: int) -> Batch:
    """Lists of distinct tokens, each told twice; the second time from another place, so that no fixed distance helps."""
    lists = rng.permuted(np.tile(np.arange(VOCABULARY), (n, 1)), axis=1)[:, : settings.length]
    turns = (np.arange(settings.length) + rng.integers(1, settings.length, size=(n, 1))) % settings.length
    told = torch.from_numpy(np.concatenate([lists, np.take_along_axis(lists, turns, axis=1)], axis=1))
    targets = told[:, 1:].clone()
    targets[:, : settings.length] = IGNORED  # the first telling, and where the second begins, nobody can know
    return Batch(told[:, :-1], targets)


def learn(settings: Settings, seeds: Seeds, n_layers: int, asked: Batch) -> list[tuple[int, float]]:
    """Train a network on lists; at some steps, the share of the tokens asked for that it foretells."""
    config = DecoderConfig(VOCABULARY, VOCABULARY, n_layers=n_layers, n_heads=2, d_model=64, d_mlp=0)
    known, told = asked.targets != IGNORED, seeds("told")

    def accuracy(step: int, model: Decoder) -> dict[str, float]:
        return {"accuracy": (model(asked.inputs).argmax(-1) == asked.targets)[known].float().mean().item()}

    stage = Stage[Decoder, Batch](settings.n_steps, lambda step: draw(settings, told, 64), next_token_loss)
    model, steps = Decoder.init(config, seeds("weights")), log_steps(settings.n_steps, per_decade=8)
    trace = train(model, stage, Optimiser(learning_rate=3e-3), observe=accuracy, observe_at=steps)
    return [(step, float(seen["accuracy"])) for step, seen in zip(trace.steps, trace.observations, strict=True)]


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Train a network of two layers and one of one on the same lists, and ask both about new ones."""
    asked, both = draw(settings, seeds("asked"), 256), parts([("two-layers", 2), ("one-layer", 1)], label=lambda arm: arm[0])
    curves = {arm: learn(settings, seeds, n_layers, asked) for arm, n_layers in both}
    rows: Table = [{"arm": arm, "step": step, "accuracy": share} for arm, curve in curves.items() for step, share in curve]
    return Measurement({f"{arm}/accuracy": curve[-1][1] for arm, curve in curves.items()}, tables={"curve": rows})


CURVE = Lines("curve", x="step", y="accuracy", by="arm", x_scale="log")
HEADLINES = (
    Headline("Induction heads complete a sequence by what followed the last time.", claims=("C1",)),
    Headline("They appear abruptly, where in-context learning does, in a bump of the loss.", reason="not asked here"),
    Headline("They may be how large models do most of their in-context learning.", reason="nothing of that size is trained"),
)
EXPERIMENT = Experiment(
    "lists",
    question="Can a network foretell a list that it is told again?",
    estimands=ESTIMANDS,
    claims=(CLAIM,),
    presets={"quick": Preset(Settings(length=4, n_steps=5), 2), "laptop": Preset(Settings(), 6)},
    measure=measure,
    nulls=(Arm("one-layer", "no composition"),),
    cost=Cost(minutes=3.5, cores=1),
    figures=(Figure("curve", "Two layers look it up", "Accuracy on the second telling of new lists.", CURVE),),
)
STUDY = Study(
    "induction",
    title="Induction heads: does looking up what followed the last time take two layers?",
    paper=Paper("Olsson and others", 2022, "In-context learning and induction heads", "2209.11895", headlines=HEADLINES),
    scale="Theirs: language models of up to 40 layers. Ours: attention alone, two layers of width 64, on lists of 12 tokens.",
    experiments=(EXPERIMENT,),
)
