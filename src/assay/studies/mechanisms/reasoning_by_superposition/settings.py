"""The settings of the experiments."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, doc

from assay.core.errors import SettingsError
from assay.studies.mechanisms.reasoning_by_superposition.world import LayeredWorld, ProsqaWorld

Labels = Literal["optimal", "fixed path", "breadth-first"]


@dataclass(frozen=True)
class Training:
    """The network and its curriculum; every arm of a study shares them."""

    small_steps: Annotated[int, Ge(1), doc("steps of each stage on the smallest graphs, on which the parts form")] = 150
    stage_steps: Annotated[int, Ge(1), doc("steps of each stage but the last on whole graphs")] = 100
    last_steps: Annotated[int, Ge(1), doc("steps of the last stage, in which the answer is asked for")] = 1700
    guess_factor: Annotated[float, Gt(0), doc("steps of the network without thoughts, relative to the others'")] = 1.0
    batch: Annotated[int, Ge(1), doc("questions a step")] = 128
    n_pool: Annotated[int, Ge(1), doc("graphs to train on, told anew at every use")] = 5_000
    n_eval: Annotated[int, Ge(8), doc("held-out questions of each evaluation")] = 1000
    d_model: Annotated[int, Ge(8), doc("width; the MLP is twice as wide")] = 64
    n_heads: Annotated[int, Ge(1), doc("attention heads of a layer")] = 2
    learning_rate: Annotated[float, Gt(0), doc("of AdamW, falling to 0; weight decay 0.01, gradients clipped at norm 1")] = 3e-3
    edges_at: Annotated[int, Ge(0), Le(1), doc("first layer that looks edges up: 0 for both, 1 for the second alone")] = 1
    mixing: Annotated[float, Ge(0), doc("share of batches from an earlier stage, drawn uniformly")] = 0.1
    n_steps: Annotated[int, Ge(1), doc("edges from root to target, and thoughts")] = 3
    n_nodes: Annotated[int, Ge(8), doc("of a graph")] = 16
    n_extra: Annotated[int, Ge(0), doc("edges of a depth-matched graph beside its tree")] = 4
    n_names: Annotated[int, Ge(8), doc("node tokens; a graph takes some of them")] = 18
    family: Annotated[Literal["layered", "prosqa"], doc("depth-matched graphs, or the benchmark's with its shortcut")] = (
        "layered"
    )

    def __post_init__(self) -> None:
        if self.n_steps < 3:
            raise SettingsError(
                f"the curriculum needs questions of at least 3 steps, so that some stage is supervised by a node that is no "
                f"candidate; got n_steps = {self.n_steps}"
            )
        if self.n_names < self.n_nodes:
            raise SettingsError(f"graphs of {self.n_nodes} nodes need as many names; got n_names = {self.n_names}")
        _ = self.world  # refuses graphs that cannot be before anything is trained

    @property
    def world(self) -> LayeredWorld | ProsqaWorld:
        """What is asked about."""
        if self.family == "layered":
            return LayeredWorld(self.n_nodes, self.n_steps, self.n_extra)
        return ProsqaWorld(
            self.n_nodes, self.n_nodes, fewest_steps=self.n_steps, most_steps=self.n_steps, most_edges=2 * self.n_nodes - 4
        )

    @property
    def total_steps(self) -> int:
        """Steps of the whole curriculum."""
        return self.all_small_steps + self.n_steps * self.stage_steps + self.last_steps

    @property
    def all_small_steps(self) -> int:
        """Steps of the whole curriculum on the smallest graphs."""
        return (self.n_steps + 1) * self.small_steps


@dataclass(frozen=True)
class TrainedSettings(Training):
    """Depth-matched graphs: every layer joined to the next, both candidates in the last."""

    n_grown: Annotated[int, Ge(8), doc("held-out questions of each larger kind")] = 500
    n_branching: Annotated[int, Ge(8), doc("held-out graphs that are searched for a second target on another branch")] = 12_000


@dataclass(frozen=True)
class ShortcutSettings(Training):
    """Graphs as in the benchmark, of one size and one distance; the same network and curriculum."""

    family: Annotated[Literal["layered", "prosqa"], doc("depth-matched graphs, or the benchmark's with its shortcut")] = (
        "prosqa"
    )
    n_nodes: Annotated[int, Ge(8), doc("of a graph")] = 14
    guess_factor: Annotated[float, Gt(0), doc("steps of the network without thoughts, relative to the others'")] = 1.5


@dataclass(frozen=True)
class ConstructionSettings:
    """Random acyclic graphs, sizes log-uniform, asked from all their sources."""

    n_graphs: Annotated[int, Ge(1), doc("graphs a run solves, from every source")] = 200
    fewest_nodes: Annotated[int, Ge(3), doc("of a graph")] = 4
    most_nodes: Annotated[int, Ge(4), doc("of a graph")] = 60
    sizes: Annotated[tuple[int, ...], doc("nodes of the graphs on which sharpness is varied")] = (15, 30, 60)
    n_questions: Annotated[int, Ge(1), doc("questions at each sharpness and size")] = 60

    def __post_init__(self) -> None:
        if self.fewest_nodes > self.most_nodes or min(self.sizes, default=0) < 4:
            raise SettingsError(
                f"graphs need fewest_nodes <= most_nodes and sizes of at least 4; got {self.fewest_nodes}, {self.most_nodes}, "
                f"{self.sizes}"
            )
