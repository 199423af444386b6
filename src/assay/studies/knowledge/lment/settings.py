"""The settings of the experiments."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, doc

from assay.core.errors import SettingsError
from assay.protocols.language_model import ModelSettings, Precision

__all__ = ["LanguageModelSettings", "LearningSettings", "RetrievalSettings", "Taught"]

DOSES = (0, 1, 2, 4, 8)


@dataclass(frozen=True)
class RetrievalSettings:
    """Pages, how they are annotated, and how many chunks a search returns."""

    n_entities: Annotated[int, Ge(40), doc("entities of a world")] = 800
    n_chunks: Annotated[int, Ge(100), doc("chunks of its pages, of at most 32 words")] = 8000
    told: Annotated[int, Ge(0), doc("times that each fact is told")] = 1
    best: Annotated[int, Ge(5), doc("chunks that a search returns at most")] = 100
    wrong_links: Annotated[float, Ge(0), Le(1), doc("share of links that lead to another entity")] = 0.1
    missing_links: Annotated[float, Ge(0), Le(1), doc("share of links that are not marked")] = 0.1
    wrong_antecedents: Annotated[float, Ge(0), Le(1), doc("share of antecedents that are another earlier mention")] = 0.1
    context: Annotated[float, Ge(0), doc("weight of the words around a name in the linker's confidence")] = 1.0
    linker: Annotated[float, Gt(0), Le(1), doc("confidence from which on a linked name is accepted")] = 0.6
    coreference: Annotated[float, Gt(0), Le(1), doc("coreference score from which on a mention is accepted")] = 0.6
    cluster: Annotated[float, Gt(0), Le(1), doc("share of a cluster's evidence from which on its mentions are accepted")] = 0.5


@dataclass(frozen=True)
class Taught:
    """Facts that pages tell a known number of times, and chunks about untold ones that are added later."""

    told: Annotated[tuple[int, ...], doc("how often a fact may be told in a pass, if at all")] = (1, 2, 4, 8, 16, 32)
    untold: Annotated[float, Gt(0), Le(1), doc("share of facts that pages never tell")] = 0.5
    doses: Annotated[tuple[int, ...], doc("chunks of a fact that a fork adds, rising from 0")] = DOSES
    n_dosed: Annotated[int, Ge(1), doc("facts of each treatment that get each dose in a fork")] = 5
    planted: Annotated[float, Gt(0), Le(1), doc("correlation of rank with k planted into scores that know nothing of it")] = 0.5

    def __post_init__(self) -> None:
        if len(self.doses) < 3 or self.doses[0] != 0 or list(self.doses) != sorted(set(self.doses)):
            raise SettingsError(f"doses must be three or more rising numbers from 0; got {self.doses}")
        if not self.told or min(self.told) < 1:
            raise SettingsError(f"facts that are told must be told at least once; got {self.told}")


@dataclass(frozen=True)
class LearningSettings(Taught):
    """Two widths on pages with known tellings, and forks to which chunks are added."""

    n_entities: Annotated[int, Ge(40), doc("entities of a world")] = 400
    n_chunks: Annotated[int, Ge(80), doc("chunks of its pages, of at most 32 words")] = 4000
    n_wordings: Annotated[int, Ge(1), Le(8), doc("wordings of each relation")] = 4
    n_epochs: Annotated[int, Ge(2), doc("passes over the pages; forks branch off in the middle")] = 4
    batch: Annotated[int, Ge(1), doc("chunks a step")] = 8
    n_checkpoints: Annotated[int, Ge(4), doc("times that facts are asked, evenly spaced")] = 20
    small: Annotated[int, Ge(8), doc("width of the network that is trained in two orders")] = 32
    large: Annotated[int, Ge(8), doc("width of the other one")] = 96
    n_layers: Annotated[int, Ge(1), doc("layers")] = 2
    small_rate: Annotated[float, Gt(0), doc("learning rate of AdamW at the small width, constant")] = 4e-3
    large_rate: Annotated[float, Gt(0), doc("learning rate of AdamW at the large width, constant")] = 2e-3
    rows_added: Annotated[int, Ge(1), doc("added chunks a step of a fork, beside those of the pages")] = 3
    frequent: Annotated[int, Ge(1), doc("tellings a pass from which on a fact is frequent")] = 16
    rare: Annotated[int, Ge(0), doc("tellings a pass up to which it is rare")] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_epochs % 2 or self.steps % self.n_checkpoints or (self.steps // 2) % (self.steps // self.n_checkpoints):
            raise SettingsError(
                "passes must be an even number, and checkpoints divide their steps with one in the middle; got "
                f"{self.n_epochs} passes of {self.steps // self.n_epochs} steps and {self.n_checkpoints} checkpoints"
            )
        if self.small % 8 or self.large % 8:
            raise SettingsError(f"widths must be multiples of 8, four heads of even width; got {self.small} and {self.large}")
        if not self.rare < self.frequent <= max(self.told):
            raise SettingsError(f"some facts must be frequent, and others rare; got {self.rare}, {self.frequent}, {self.told}")

    @property
    def steps(self) -> int:
        """Of all passes."""
        return self.n_epochs * -(-self.n_chunks // self.batch)

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps at which facts are asked, 0 among them."""
        every = self.steps // self.n_checkpoints
        return tuple(range(0, self.steps + 1, every))


@dataclass(frozen=True)
class LanguageModelSettings(Taught, ModelSettings):
    """How much a pretrained model reads, and how."""

    told: Annotated[tuple[int, ...], doc("how often a fact may be told in a pass, if at all")] = (1, 2, 4, 8, 16)
    n_dosed: Annotated[int, Ge(1), doc("facts of each treatment that get each dose in a fork")] = 1
    n_entities: Annotated[int, Ge(40), doc("entities of a world")] = 160
    n_chunks: Annotated[int, Ge(40), doc("chunks of its pages, of at most 32 words")] = 400
    n_wordings: Annotated[int, Ge(1), Le(8), doc("wordings of each relation")] = 4
    n_values: Annotated[int, Ge(2), doc("values of each relation")] = 12
    n_asked: Annotated[int, Ge(1), doc("wordings in which a fact is asked")] = 2
    n_epochs: Annotated[int, Ge(1), doc("passes over the pages")] = 2
    batch: Annotated[int, Ge(1), doc("chunks a step")] = 4
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant")] = 6e-4
    fork_rate: Annotated[float, Gt(0), doc("the same while a fork reads what it adds")] = 2e-4
    layers: Annotated[tuple[int, ...], doc("blocks that are trained, from 0; none named: all weights")] = tuple(range(20, 30))
    precision: Annotated[Precision, doc("of the arithmetic of training; answers are computed in float32")] = "bfloat16"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_asked > self.n_wordings:
            raise SettingsError(
                f"a fact is asked in wordings that pages use; got n_asked = {self.n_asked} of {self.n_wordings}"
            )
