"""A pretrained language model that reads about invented people: what is stored, what can be asked for? (C3 to C5, C8, C9)

One run draws people with two facts each. One copy of the model reads every fact in a single wording, another in several, as
many sentences in all; a third copy reads nothing. Each is then fine-tuned in several ways on questions about some of the people
and asked about the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, doc
from jaxtyping import Bool

from assay.claims.charts import Bars, Figure, Line
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.language_model import NEEDS, ModelSettings, Subject, ask, find_model, load_base, tune
from assay.studies.knowledge.filtering_attention_storing_mlp.paraphrased_facts import (
    MOST_VALUES,
    RELATIONS,
    ParaphrasedFacts,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.system import PAPER
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Answers

__all__ = ["LANGUAGE_MODEL"]

SOURCE = PAPER + "experiments on PopQA"
CLAIMS = (
    Claim(
        "C3.lm",
        says="Stored is not extractable in a language model either: after reading every fact in several wordings, it tells at "
        "most 0.3 of them when asked, before any fine-tuning on questions.",
        source=SOURCE,
        estimand="zero_shot",
        rule=Below(0.3),
        margin="as C3",
        summary="clustered",
        control=Control("the same facts in a wording that was read", "stated"),
        paper_value="extraction needs fine-tuning",
    ),
    Claim(
        "C4.lm",
        says="Questions about half of the people rather than a twelfth, in as many steps, let it tell at least 0.15 more of "
        "the facts of the others.",
        source=SOURCE,
        estimand="more_subjects",
        rule=Above(0.15),
        margin="as C5.lm: sixty facts cannot tell a difference of a few hundredths from none, in the control either",
        summary="clustered",
        control=Control("the same fine-tuning of a copy that read nothing about these people", "more_subjects/unstored"),
        paper_value="extraction rises with N_f",
    ),
    Claim(
        "C5.lm",
        says="Facts read in several wordings rather than one, in as many sentences, are easier to ask for: at least 0.15 more "
        "of those of the people not fine-tuned on are told.",
        source=SOURCE,
        estimand="more_wordings",
        rule=Above(0.15),
        margin="as C5",
        summary="clustered",
        control=Control("the same facts stated again, not asked for: both copies have stored them", "more_wordings/stated"),
        paper_value="extraction rises with K",
    ),
    Claim(
        "C9.lm",
        says="Updates of rank one suffice: they let it tell more than 0.9 of what full fine-tuning does of the facts of others "
        "(the difference to 0.9 times, fact by fact).",
        source=SOURCE + ", low-rank fine-tuning",
        estimand="low_rank",
        rule=Above(0.0),
        margin="as C9.low; a difference, because a quotient of small counts has no mean",
        summary="clustered",
        control=Control("no fine-tuning at all", "low_rank/before"),
        paper_value="low rank works as full",
    ),
    Claim(
        "C8.lm",
        says="Too few subjects make it hallucinate: fine-tuned on a twelfth of the people, its wrong answers about the others "
        "have a mean probability above 0.5 among all candidates.",
        source=PAPER + "section 1 (hallucination)",
        estimand="confidence",
        rule=Above(0.5),
        margin="as C8",
        summary="clustered",
        control=Control("the same questions answered anew each time, with values of any type: nothing to be sure of",
                        "confidence/untrue"),
        given="a wrong answer",
        paper_value="hallucination where N_f or K is small",
    ),
    Claim(
        "C8.lm.type",
        says="These wrong answers are of the right type, more than nine times in ten.",
        source=PAPER + "section 1 (hallucination)",
        estimand="right_type",
        rule=Above(0.9),
        margin="as C8.type; half by chance",
        summary="clustered",
        control=Control("the same questions answered anew each time, with values of any type", "right_type/untrue"),
        given="a wrong answer",
        paper_value="plausible, wrong",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Settings(ModelSettings):
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
    rank: Annotated[int, Ge(1), doc("of low-rank updates beside the matrices of attention and MLP")] = 1
    low_rank_rate: Annotated[float, Gt(0), doc("learning rate of low-rank updates, constant")] = 3e-4

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


QUICK = Settings(model="tiny", n_people=4, n_values=2, n_few=1, multiplicity=2, frozen=1, n_passes=1, n_lessons=2)


@dataclass(frozen=True)
class Way:
    """A way of fine-tuning: on few people or on half, with true answers or any, all weights or low-rank updates."""

    few: bool = False
    untrue: bool = False
    low_rank: bool = False


# What was read before, and how each copy is then fine-tuned.
WAYS: Mapping[str, Mapping[str, Way]] = {
    "one wording": {"half": Way()},
    "several wordings": {
        "half": Way(),
        "few": Way(few=True),
        "half, low rank": Way(low_rank=True),
        "few, untrue": Way(few=True, untrue=True),
    },
    "nothing": {"half": Way(), "few": Way(few=True)},
}


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run: one draw of people and facts, read by three copies of the model, which are fine-tuned in seven ways.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a training left the finite numbers.
    """
    base = load_base(settings.model)
    answers: dict[str, Answers] = {}
    # In units of a fine-tuning; reading takes about four of them.
    costs = [len(ways) + (0 if history == "nothing" else 4) for history, ways in WAYS.items()]
    for history in parts(list(WAYS), weights=costs, label=lambda history: f"read {history}"):
        answers |= {f"{history}, {way}": said for way, said in answers_of(base, settings, seeds, history).items()}
    return Measurement(*numbers(settings, settings.world(seeds, settings.multiplicity), answers))


def answers_of(base: Subject, settings: Settings, seeds: Seeds, history: str) -> dict[str, Answers]:
    """What a copy with that history says before and after each fine-tuning: asked about everyone, and in statements."""
    world = settings.world(seeds, 1 if history == "one wording" else settings.multiplicity)
    people = range(settings.n_people)
    questions = [*world.questions(people), *world.statements(people)]
    reader = base
    if history != "nothing":
        recipe = Recipe(
            **trained_weights(base, settings),
            learning_rate=settings.pretrain_rate,
            warmup=0.1,
            schedule="linear",
            batch_size=settings.pretrain_batch,
            n_epochs=settings.n_passes,
        )
        reader = tune(base, world.sentences(settings.multiplicity), recipe, seeds.child("statements"), "reading")
    subjects = {"before": reader} | {
        name: tune(reader, *curriculum(base, settings, world, way, seeds.child("questions")), seeds.child("questions"), name)
        for name, way in WAYS[history].items()
    }
    weights = [1.0 if history == "nothing" else 4.0] + [1.0] * len(WAYS[history])
    found = {}
    for name in parts(list(subjects), weights=weights):
        found[name] = ask(subjects.pop(name), questions)  # a copy takes two gigabytes, and none is asked twice
    return found


def trained_weights(base: Subject, settings: Settings) -> dict[str, Any]:
    """The matrices that reading and asking train, or stand beside: of attention and MLP, above the frozen blocks."""
    n_layers = int(base.model.model.config.num_hidden_layers)
    if settings.frozen >= n_layers:
        raise SettingsError(f"some blocks must be trained; got frozen = {settings.frozen} of {n_layers}")
    return {"layers": tuple(range(settings.frozen, n_layers)), "parts": ("attention", "mlp")}


def curriculum(
    base: Subject, settings: Settings, world: ParaphrasedFacts, way: Way, seeds: Seeds
) -> tuple[list[tuple[str, str]], Recipe]:
    """The questions of one epoch with their answers, and how they are taught; every way has as many steps of one size."""
    taught = range(settings.n_few if way.few else settings.half)
    repeats = settings.half // len(taught)
    lessons, n_epochs = world.lessons(taught) * repeats, settings.n_lessons
    if way.untrue:
        rng = seeds("untrue")
        lessons = [lesson for _ in range(repeats * n_epochs) for lesson in world.untrue_lessons(taught, rng=rng)]
        n_epochs = 1
    recipe = Recipe(
        **trained_weights(base, settings),
        method="lora" if way.low_rank else "full",
        learning_rate=settings.low_rank_rate if way.low_rank else settings.finetune_rate,
        batch_size=min(settings.finetune_batch, settings.half * len(RELATIONS)),
        n_epochs=n_epochs,
        lora_rank=settings.rank,
    )
    return lessons, recipe


# --------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: Settings, world: ParaphrasedFacts, answers: Mapping[str, Answers]
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said; facts stand person by person, the fine-tuned people first."""
    others: Bool[np.ndarray, " fact"] = np.arange(settings.n_people).repeat(len(RELATIONS)) >= settings.half
    everything = {name: said.where(kind="asked").right for name, said in answers.items()}

    def told(name: str) -> np.ndarray:
        right: np.ndarray = everything[name][others]
        return right

    def stated(name: str) -> np.ndarray:
        return answers[name].where(kind="stated").right

    full = told("several wordings, half")
    items = {
        "zero_shot": everything["several wordings, before"],
        "stated": stated("several wordings, before"),
        "more_subjects": full - told("several wordings, few"),
        "more_subjects/unstored": told("nothing, half") - told("nothing, few"),
        "more_wordings": full - told("one wording, half"),
        "more_wordings/stated": (stated("several wordings, before") - stated("one wording, before"))[others],
        "low_rank": told("several wordings, half, low rank") - 0.9 * full,
        "low_rank/before": told("several wordings, before") - 0.9 * full,
    }
    for suffix, name in (("", "several wordings, few"), ("/untrue", "several wordings, few, untrue")):
        wrong = answers[name].where(kind="asked").take(others & (everything[name] == 0))
        items[f"confidence{suffix}"] = wrong.confidence
        items[f"right_type{suffix}"] = (world.relation_of(wrong.said) == world.relation_of(wrong.answer)).astype(float)
    estimands = {name: float(values.mean()) for name, values in items.items() if len(values)}
    told_table: Table = []
    fates: Table = []
    for name in answers:
        history, way = name.split(", ", 1)
        was = stated(f"{history}, before")[others] == 1
        right, known = told(name) == 1, stated(name)[others] == 1
        shares = {
            "taught": float(everything[name][~others].mean()),
            "others": float(right.mean()),
            "stated": float(stated(name).mean()),
        }
        told_table += [{"read": history, "way": way, "what": what, "share": share} for what, share in shares.items()]
        estimands |= {f"{what}/{name}": share for what, share in shares.items()}
        fate = {
            "told": right,
            "not triggered": ~right & known,
            "overwritten": ~right & ~known & was,
            "never stored": ~right & ~known & ~was,
        }
        if history != "nothing":
            fates += [{"read": history, "way": way, "fate": key, "share": float(at.mean())} for key, at in fate.items()]
    return estimands, {"told": told_table, "fates": fates}, {name: values.tolist() for name, values in items.items()}


WAY_NAMES = {
    "before": "not asked yet",
    "half": "asked about half",
    "half, low rank": "half, rank one",
    "few": "asked about one",
    "few, untrue": "one, any answer",
}
FIGURES = (
    Figure(
        "told",
        "Reading, asking, and telling",
        "Share of facts whose true value is the most likely of forty candidates: asked about people of the fine-tuning half, "
        "about the others, and stated in a wording that was read. 12 people with two facts each in every run; marks are means "
        "over runs with 95% intervals.",
        Bars("told", x="way", y="share", by="what", panel="read", y_label="share of facts", lines=(Line(0.025, "chance"),)),
        {**WAY_NAMES, "taught": "asked about the half", "others": "asked about the others", "stated": "stated, about all"},
    ),
    Figure(
        "fates",
        "Why facts are not told",
        "What became of the facts of people not fine-tuned on: told when asked; not told although the statement is still "
        "completed (not triggered); no longer completed (overwritten); never completed. 12 facts a run; means over runs with "
        "95% intervals.",
        Bars("fates", x="way", y="share", by="fate", panel="read", y_label="share of facts"),
        WAY_NAMES,
        further=True,
    ),
)

LANGUAGE_MODEL = Experiment(
    name="language-model",
    question="Does a pretrained language model store and extract as the one-layer transformer does?",
    claims=CLAIMS,
    presets={
        "quick": Preset(QUICK, n_runs=2),
        "laptop": Preset(Settings(), n_runs=5),
    },
    measure=measure,
    figures=FIGURES,
    cost="12 min of one core",
    needs={**NEEDS, "peft": "lm"},
    ready=find_model,
)
