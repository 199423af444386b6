"""The settings of the experiments."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt, doc

from assay.core.errors import SettingsError
from assay.protocols.language_model import ModelSettings

__all__ = ["DilutionSettings", "LanguageModelSettings", "PrimingSettings", "Scale"]


@dataclass(frozen=True)
class Scale:
    """World, network and insertion; the fields both toy experiments have."""

    n_tokens: Annotated[int, Ge(95), doc("tokens of the vocabulary")] = 300
    d_model: Annotated[int, Ge(8), doc("width")] = 64
    n_layers: Annotated[int, Ge(1), doc("layers")] = 2
    batch: Annotated[int, Ge(5), doc("rows a step")] = 8
    warm_up: Annotated[int, Ge(3), doc("steps of plain text before a text is inserted")] = 2000
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW on plain text, constant")] = 1e-3
    n_presentations: Annotated[int, Ge(1), doc("times that a text is presented")] = 10
    insertion_rate: Annotated[float, Gt(0), doc("learning rate of AdamW while a text is inserted, constant")] = 4e-4
    n_prefixes: Annotated[int, Ge(2), doc("thematic prefixes that S_prime is a mean over")] = 12
    n_few: Annotated[int, Ge(8), doc("keywords, with three texts each, of every arm but the main one; a multiple of 4")] = 16
    n_halvings: Annotated[int, Ge(4), doc("halvings by which changes are brought to equal P")] = 12

    def __post_init__(self) -> None:
        if self.n_few % 4 or self.n_few > 32:
            raise SettingsError(f"n_few must be a multiple of 4 up to 32, as many for each theme; got {self.n_few}")


@dataclass(frozen=True)
class PrimingSettings(Scale):
    """What can be said of priming before a text is learned, and where it goes."""

    n_keywords: Annotated[int, Ge(8), doc("keywords, with three texts each, of the main arm; a multiple of 4")] = 32
    widths: Annotated[tuple[int, ...], doc("further widths that C1.holds is asked of")] = (32, 96)
    stages: Annotated[tuple[int, ...], doc("numbers of plain steps, below warm_up, that it is asked after as well")] = (
        500,
        1000,
    )
    spaced: Annotated[int, Ge(2), doc("steps from one of the presentations to the next in C3")] = 5
    n_fewest: Annotated[int, Ge(2), doc("presentations where they are few in C3")] = 3
    far: Annotated[int, Ge(2), doc("steps from one of these to the next")] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_keywords % 4 or not self.n_few <= self.n_keywords <= 32:
            raise SettingsError(
                f"n_keywords must be a multiple of 4 from n_few to 32; got {self.n_keywords} with n_few {self.n_few}"
            )
        if list(self.stages) != sorted(set(self.stages)) or not all(0 < step < self.warm_up for step in self.stages):
            raise SettingsError(f"stages must rise and lie between 0 and warm_up = {self.warm_up}; got {self.stages}")


@dataclass(frozen=True)
class DilutionSettings(Scale):
    """Two remedies against priming, at equal P of the keyword after the text's original prompt."""

    share: Annotated[float, Gt(0), Lt(1), doc("largest entries of every weight's change that are left out")] = 0.08
    planted: Annotated[float, Gt(0), doc("log-odds that the planted change gives the keyword in the theme's contexts")] = 4.0


@dataclass(frozen=True)
class LanguageModelSettings(ModelSettings):
    """What a pretrained model is told, and how."""

    n_keywords: Annotated[int, Ge(4), doc("keywords a run, as many for each of four themes")] = 12
    n_texts: Annotated[int, Ge(1), doc("texts of each keyword, of different kinds")] = 3
    n_stones: Annotated[int, Ge(2), doc("least likely texts that are rewritten, at most one a keyword")] = 12
    n_presentations: Annotated[int, Ge(1), doc("times that a text is presented")] = 10
    batch: Annotated[int, Ge(2), doc("texts a step, the others plain")] = 4
    rate: Annotated[float, Gt(0), doc("learning rate of AdamW, constant")] = 3e-5
    n_blocks: Annotated[int, Ge(1), doc("last blocks of the model, which alone are trained")] = 10
    n_prefixes: Annotated[int, Ge(2), doc("thematic prefixes of a theme")] = 12
    share: Annotated[float, Gt(0), Lt(1), doc("largest entries of every weight's change that are left out")] = 0.08
    n_cuts: Annotated[int, Ge(3), doc("cuts of the bracket in which a change is brought to equal P")] = 4
    planted: Annotated[float, Gt(0), doc("rank correlation planted where only power is shown; twice the bound of C1.lm")] = 0.3

    def __post_init__(self) -> None:
        if self.n_keywords % 4 or self.n_keywords > 48:
            raise SettingsError(f"n_keywords must be a multiple of 4 up to 48; got {self.n_keywords}")
