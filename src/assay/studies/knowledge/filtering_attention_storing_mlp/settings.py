"""The settings of the four experiments."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, doc

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.protocols.language_model import ModelSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.paraphrased_facts import MOST_VALUES, ParaphrasedFacts
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleWorld

__all__ = ["AcquisitionSettings", "ExtractionSettings", "FineTuningSettings", "LanguageModelSettings", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Facts, network and pre-training; the fields every experiment has."""

    n_subjects: Annotated[int, Ge(4), doc("subjects (N)")] = 200
    n_types: Annotated[int, Ge(1), doc("attributes of each subject")] = 3
    n_values: Annotated[int, Ge(2), doc("values of each attribute")] = 20
    d_model: Annotated[int, Ge(8), doc("width")] = 64
    network: Annotated[Literal["strict", "modern"], doc("the theory's layer, or residual, norm, rotary positions, 4 heads")] = (
        "strict"
    )
    pretrain_steps: Annotated[int, Ge(1), doc("steps on statements")] = 1500
    pretrain_batch: Annotated[int, Ge(1), doc("statements a step")] = 256
    pretrain_rate: Annotated[float, Gt(0), doc("learning rate of AdamW on statements, falling linearly to zero")] = 3e-3
    finetune_steps: Annotated[int, Ge(1), doc("steps on questions")] = 300
    finetune_batch: Annotated[int, Ge(1), doc("questions a step")] = 128
    finetune_rate: Annotated[float, Gt(0), doc("learning rate of AdamW on questions, constant where not said otherwise")] = 1e-3
    n_draws: Annotated[int, Ge(1), doc("times every fact is stated and asked in an evaluation, each in fresh noise")] = 4

    def world(self, seeds: Seeds, *, n_templates: int, multiplicity: int, shared: bool = False) -> TripleWorld:
        """The facts of a run, stated in `multiplicity` of `n_templates` templates of their type."""
        return TripleWorld.sample(
            rng=seeds("world"), n_subjects=self.n_subjects, n_types=self.n_types, n_templates=n_templates,
            multiplicity=multiplicity, n_values=self.n_values, shared=shared,
        )  # fmt: skip


@dataclass(frozen=True)
class AcquisitionSettings(Scale):
    """Networks with and without MLP, on values of each type's own and on shared values."""

    n_templates: Annotated[int, Ge(1), doc("templates of each type (|R|)")] = 16
    multiplicity: Annotated[int, Ge(1), doc("templates in which each fact is stated (K)")] = 4
    question_draws: Annotated[int, Ge(1), doc("embeddings of the question tokens that are asked with, drawn anew")] = 32
    per_decade: Annotated[int, Ge(1), doc("observations per factor of ten in steps")] = 8


@dataclass(frozen=True)
class ExtractionSettings(Scale):
    """A grid of pre-training worlds, each fine-tuned on several numbers of subjects."""

    templates: Annotated[tuple[int, ...], doc("templates of each type (|R|), rising")] = (4, 16, 64)
    multiplicities: Annotated[tuple[int, ...], doc("wordings of each fact (K), rising; those above |R| are left out")] = (
        1,
        4,
        16,
    )
    subjects: Annotated[tuple[int, ...], doc("subjects fine-tuned on (N_f), three, rising")] = (10, 30, 100)
    n_shuffles: Annotated[int, Ge(1), doc("times that settings or coverage are permuted in controls")] = 100

    def __post_init__(self) -> None:
        several = [k for k in self.multiplicities if 1 < k <= self.templates[len(self.templates) // 2]]
        if len(self.subjects) != 3 or len(self.templates) < 2 or self.multiplicities[:1] != (1,) or not several:
            raise SettingsError(
                f"the claims compare three numbers of subjects, two or more of templates, and one wording with several; "
                f"got {self.subjects}, {self.templates}, {self.multiplicities}"
            )

    @property
    def worlds(self) -> list[tuple[int, int]]:
        """(|R|, K) of every pre-training world."""
        return [(r, k) for r in self.templates for k in self.multiplicities if k <= r]

    @property
    def middle(self) -> tuple[int, int]:
        """The world in which N_f is varied: the middle |R|, and a K between one and all."""
        r = self.templates[len(self.templates) // 2]
        fitting = [k for k in self.multiplicities if k <= r]
        return r, fitting[len(fitting) // 2]

    @property
    def single(self) -> tuple[int, int]:
        """The world of the middle |R| in which each fact has one wording."""
        return self.middle[0], 1

    @property
    def widest(self) -> list[tuple[int, int]]:
        """The worlds of the largest |R| with several wordings, in which few subjects cover wordings in part."""
        return [(r, k) for r, k in self.worlds if r == self.templates[-1] and k > 1]


@dataclass(frozen=True)
class FineTuningSettings(Scale):
    """One stored world, fine-tuned in many ways."""

    pretrain_steps: Annotated[int, Ge(1), doc("steps on statements")] = 1000
    n_templates: Annotated[int, Ge(1), doc("templates of each type (|R|)")] = 16
    multiplicity: Annotated[int, Ge(1), doc("templates in which each fact is stated (K)")] = 4
    n_taught: Annotated[int, Ge(1), doc("subjects fine-tuned on (N_f)")] = 100
    n_copies: Annotated[int, Ge(1), doc("copies that each way fine-tunes, with question tokens and questions of their own")] = 2
    question_draws: Annotated[int, Ge(1), doc("embeddings of the question tokens over which the first gradient is a mean")] = 16
    ranks: Annotated[tuple[int, ...], doc("ranks of low-rank updates, two or more; the first must be 1")] = (1, 4)
    path_tolerance: Annotated[float, Gt(0), doc("by which share the paths of schedules may differ in length")] = 0.02

    def __post_init__(self) -> None:
        if self.ranks[:1] != (1,) or len(self.ranks) < 2:
            raise SettingsError(
                f"ranks must start with 1, which the claims speak of, and go on to its positive control; got {self.ranks}"
            )
        if self.n_taught >= self.n_subjects:
            raise SettingsError(
                f"some subjects must be left to ask; got n_taught = {self.n_taught} of n_subjects = {self.n_subjects}"
            )


@dataclass(frozen=True)
class LanguageModelSettings(ModelSettings):
    """How many people, how much is read about them, and how the model is trained."""

    n_people: Annotated[int, Ge(4), doc("people, with a home town and a profession each; half are never asked in training")] = (
        12
    )
    n_values: Annotated[int, Ge(2), doc("home towns, and professions; an answer is chosen among both")] = MOST_VALUES
    n_few: Annotated[int, Ge(1), doc("people in the small fine-tuning set")] = 1
    multiplicity: Annotated[int, Ge(2), doc("wordings of a fact (K) where there are several")] = 4
    frozen: Annotated[int, Ge(0), doc("blocks at the bottom that are never trained; embeddings and norms are not either")] = 10
    n_passes: Annotated[int, Ge(1), doc("passes over the sentences, which are K for each fact")] = 4
    pretrain_rate: Annotated[float, Gt(0), doc("peak learning rate of AdamW on statements")] = 5e-4
    pretrain_batch: Annotated[int, Ge(1), doc("sentences a step")] = 8
    n_lessons: Annotated[int, Ge(1), doc("times that each person of the half is asked about; all sets get as many steps")] = 3
    finetune_rate: Annotated[float, Gt(0), doc("learning rate on questions, constant")] = 1.5e-4
    finetune_batch: Annotated[int, Ge(1), doc("questions a step")] = 6

    def __post_init__(self) -> None:
        if self.n_people % 2 or self.half % self.n_few:
            raise SettingsError(
                "people must come in two halves, and the small set must fit into a half a whole number of times; "
                f"got n_people = {self.n_people}, n_few = {self.n_few}"
            )

    @property
    def half(self) -> int:
        """People in the large fine-tuning set, and people never fine-tuned on."""
        return self.n_people // 2

    def world(self, seeds: Seeds, multiplicity: int) -> ParaphrasedFacts:
        """The people of a run with their facts, each in so many wordings; who and what does not depend on them."""
        return ParaphrasedFacts.drawn(
            n_people=self.n_people, n_values=self.n_values, multiplicity=multiplicity, rng=seeds("world")
        )
