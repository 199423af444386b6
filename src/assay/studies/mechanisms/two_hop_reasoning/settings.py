"""How networks are trained, and what each experiment asks for."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, doc

from assay.protocols import language_model
from assay.protocols.language_model import Precision
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainWorld


@dataclass(frozen=True)
class Training:
    """The network and how it is trained."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps at the most; training stops once the task is solved")] = 2500
    n_eval: Annotated[int, Ge(8), doc("sequences of each evaluation")] = 512
    batch: Annotated[int, Ge(1), doc("contexts a step")] = 64
    ask_all: Annotated[bool, doc("ask every context for each of its chains instead of one, as the paper does")] = True
    d_model: Annotated[int, Ge(8), doc("width")] = 64
    mlp: Annotated[bool, doc("a ReLU MLP of four widths in each block, as in the released training command")] = False
    network: Annotated[Literal["strict", "modern"], doc("the paper's parts, or RMS norm, rotary positions and a gated MLP")] = (
        "strict"
    )
    embed: Annotated[float, Gt(0), doc("standard deviation of tokens at the start; positions have half of it")] = 0.2
    learning_rate: Annotated[float, Gt(0), doc("of AdamW, constant")] = 2e-3
    weight_decay: Annotated[float, Ge(0), doc("of AdamW")] = 1e-4
    n_chains: Annotated[int, Ge(2), doc("chains in a sequence, one of which is asked")] = 5
    n_nodes: Annotated[int, Ge(2), doc("node tokens to draw from")] = 30
    every: Annotated[int, Ge(1), doc("steps between observations once training is under way")] = 20
    solved: Annotated[float, doc("probability of the answer at which the task is solved, and training stops")] = 0.99

    def __post_init__(self) -> None:
        ChainWorld(self.n_chains, 2, self.n_nodes)  # refuses more chains than nodes before anything is trained

    @property
    def world(self) -> ChainWorld:
        """What it is trained on."""
        return ChainWorld(self.n_chains, 2, self.n_nodes)


@dataclass(frozen=True)
class SymbolicSettings(Training):
    """The three-layer network and its controls."""

    n_starts: Annotated[int, Ge(1), doc("starts at the most, of which the first that solves the task is measured")] = 3
    single_steps: Annotated[int, Ge(1), doc("steps of the network with a single chain, at the most")] = 1000


@dataclass(frozen=True)
class DepthSettings(Training):
    """One start of each depth, all with the same steps and the same stopping."""

    heads: Annotated[int, Ge(0), doc("heads of another two-layer network, reported beside; 0 leaves it out")] = 0


@dataclass(frozen=True)
class GateSettings:
    """Random starts of the gates' descent, all in one program."""

    others: Annotated[tuple[float, ...], doc("competitors of each gate")] = (10.0, 10.0, 30.0)
    n_steps: Annotated[int, Ge(1), doc("steps of gradient descent")] = 20_000
    learning_rate: Annotated[float, Gt(0), doc("of plain descent")] = 0.1


@dataclass(frozen=True)
class ModelSettings(language_model.Settings):
    """Which model, how it is trained, and how much it is asked."""

    n_training: Annotated[int, Ge(1), doc("prompts of two chains to train on, one question each")] = 400
    n_epochs: Annotated[int, Ge(1), doc("passes over them")] = 1
    batch_size: Annotated[int, Ge(1), doc("prompts a step")] = 8
    learning_rate: Annotated[float, Gt(0), doc("of AdamW; rises over 5% of the steps, then falls to zero on a line")] = 1e-3
    lora_rank: Annotated[int, Ge(1), doc("of the updates of the attention's four matrices")] = 16
    n_asked: Annotated[int, Ge(2), doc("prompts of each kind and number of chains that are asked")] = 16
    cut_share: Annotated[float, Gt(0), doc("of all heads that are chosen and cut")] = 0.05
    precision: Annotated[
        Precision,
        doc("of the arithmetic of training and answers; auto: bfloat16 where the processor multiplies it, else float32"),
    ] = "auto"
