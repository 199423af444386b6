"""The settings of the experiments."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt, doc

from assay.core.errors import SettingsError
from assay.protocols.language_model import ModelSettings, Precision
from assay.studies.knowledge.factual_knowledge_acquisition.items import BEFORE, LAST_AFTER, RELATIONS
from assay.worlds.encyclopaedia.world import Design

__all__ = ["AcquisitionSettings", "LanguageModelSettings"]

TOLD_GROUPS = 4
LM_WINDOW = 14  # steps from the first state that is scored around an exposure to the last


@dataclass(frozen=True)
class AcquisitionSettings:
    """The stream, the networks that read it, and how facts are told in it."""

    n_entities: Annotated[int, Ge(60), doc("entities of the encyclopaedia, those of the items among them")] = 400
    vocabulary: Annotated[int, Ge(100), doc("tokens that the networks have; the world must not need more")] = 400
    n_chunks: Annotated[int, Ge(100), doc("rows of pages that are read in a new order each pass")] = 12_000
    n_fresh: Annotated[int, Ge(8), doc("further rows that are never read, for the background loss")] = 256
    per_group: Annotated[int, Ge(2), doc("items of each of the five groups")] = 4
    d_model: Annotated[int, Ge(8), doc("width")] = 64
    n_layers: Annotated[int, Ge(1), doc("layers")] = 2
    batch: Annotated[int, Ge(4), doc("rows a step")] = 8
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant; ten tellings saturate at higher ones")] = 1e-3
    first_beta: Annotated[float, Ge(0), Lt(1), doc("of AdamW; at 0.9 more than a quarter of a jump comes after its window")] = (
        0.5
    )
    late: Annotated[int, Ge(3), doc("steps before facts are told")] = 2500
    early: Annotated[int, Ge(1), doc("the same in the early fork; at 500 a telling gives next to nothing")] = 1500
    rounds: Annotated[int, Ge(2), doc("rounds in which every item is told once")] = 10
    spacing: Annotated[int, Ge(17), doc("steps of a round")] = 40
    plain: Annotated[int, Ge(40), doc("plain steps after the last round")] = 1000
    d_narrow: Annotated[int, Ge(4), doc("width of the narrow network")] = 32
    narrow_rate: Annotated[float, Gt(0), doc("its rate of lowest background loss")] = 5e-3
    wide_rate: Annotated[float, Gt(0), doc("the same of the wide network that it is compared with")] = 3e-3
    equal: Annotated[int, Ge(1), doc("steps at which the wide network has the narrow one's background loss")] = 1300
    features_rate: Annotated[float, Gt(0), doc("rate of lowest background loss where only the read-out learns")] = 3e-3
    narrow_features_rate: Annotated[float, Gt(0), doc("the same at the narrow width")] = 3e-3
    features: Annotated[int, Ge(1), doc("steps before facts are told there")] = 310
    narrow_features: Annotated[int, Ge(1), doc("the same at the narrow width, at equal background loss on average")] = 1500
    large_batch: Annotated[int, Ge(4), doc("rows a step where they are many")] = 32
    large_rate: Annotated[float, Gt(0), doc("learning rate there, for equal jumps")] = 1.45e-3

    def __post_init__(self) -> None:
        slots = self.spacing // self.per_group
        if slots < TOLD_GROUPS or self.spacing - slots + 1 < BEFORE + LAST_AFTER:
            raise SettingsError(
                f"a round must have a step for each of {TOLD_GROUPS} items a block, and leave {BEFORE + LAST_AFTER} steps "
                f"between two exposures; got spacing={self.spacing} for {self.per_group} blocks. Raise spacing"
            )
        if not self.early < self.late or self.large_batch % self.batch:
            raise SettingsError(
                f"forks must lie in the training, early < late, and the large batch be a multiple of the other; got "
                f"early={self.early}, late={self.late}, {self.large_batch} and {self.batch} rows"
            )

    @property
    def design(self) -> Design:
        """Of the world: six relations of two-token subjects and one-token values, all wordings in pages."""
        return Design(
            self.n_entities, RELATIONS, n_held_out=0, surnames_shared_by=4, n_aliases=0, shared_names=0.0,
        )  # fmt: skip

    @property
    def short(self) -> int:
        """Rounds of the half group, and of every fork but the main one."""
        return self.rounds // 2


@dataclass(frozen=True)
class LanguageModelSettings(ModelSettings):
    """How a pretrained model is told facts."""

    text: Annotated[str, doc("plain text by its name in 'assay texts list'; empty for pages about invented people")] = ""
    passages: Annotated[str, doc("a JSON file of passages with probes, in the paper's form; empty for invented ones")] = ""
    blocks: Annotated[int, Ge(2), doc("items of each of three groups: paraphrase, duplicate, never")] = 4
    lead: Annotated[int, Ge(3), doc("plain steps before the first round, in which the form of the pages is learned")] = 24
    exposures: Annotated[int, Ge(2), doc("times that an item is told")] = 4
    spacing: Annotated[int, Ge(1), doc("steps from one round of tellings to the next")] = 24
    plain: Annotated[int, Ge(12), doc("plain steps after the last round")] = 12
    batch: Annotated[int, Ge(3), doc("rows a step, two of them a passage's")] = 4
    row_words: Annotated[int, Ge(4), doc("words of a row of a plain text that is named")] = 24
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant")] = 1e-3
    layers: Annotated[tuple[int, ...], doc("blocks that are trained, from 0; none named: all weights")] = tuple(range(20, 30))
    precision: Annotated[Precision, doc("of the arithmetic of training; probes are scored in float32")] = "bfloat16"
    fewest: Annotated[int, Ge(1), doc("pairs of probes, below which nothing is compared")] = 10

    def __post_init__(self) -> None:
        slots = self.spacing // self.blocks // 2
        if slots < 2 or self.spacing - 2 * (slots - 1) < LM_WINDOW:
            raise SettingsError(
                f"a round must have two slots of two steps a block, and leave {LM_WINDOW} steps between two exposures; got "
                f"spacing={self.spacing} for {self.blocks} blocks. Raise spacing"
            )

    @property
    def n_steps(self) -> int:
        """Of the training."""
        return self.lead + self.exposures * self.spacing + self.plain
