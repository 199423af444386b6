"""A pretrained language model that reads about invented people: what is stored, what can be asked for? (C3 to C5, C8, C9)

One run draws people with two facts each. One copy of the model reads every fact in a single wording, another in several, as
many sentences in all; a third copy reads nothing. Each is then fine-tuned in several ways on questions about some of the people
and asked about the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, doc
from jaxtyping import Bool

from assay.claims.charts import Bars, Figure, Line
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.models.pretrained.named import base_model, find_model
from assay.studies.knowledge.filtering_attention_storing_mlp.paraphrased_facts import (
    MOST_VALUES,
    RELATIONS,
    FactQuestion,
    ParaphrasedFacts,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.system import PAPER

if TYPE_CHECKING:
    from assay.models.pretrained.loading import LanguageModel
    from assay.training.finetune import Recipe

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
class Settings:
    """How many people, how much is read about them, and how the model is trained."""

    model: Annotated[str, doc("a name of 'assay models list', a folder, or 'tiny': a random one made in memory")] = (
        "smollm2-135m"
    )
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
Say = Callable[[float, str], None]


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
    base = base_model(settings.model)
    readings: dict[str, Reading] = {}
    # In units of a fine-tuning; reading takes about four of them.
    costs = {history: len(ways) + (0 if history == "nothing" else 4) for history, ways in WAYS.items()}
    done = 0
    for history, cost in costs.items():

        def say(share: float, label: str, *, done: int = done, cost: int = cost, history: str = history) -> None:
            progress((done + share * cost) / sum(costs.values()), f"read {history}; {label}")

        found = kept_readings(base, settings, seeds, history, say)
        readings |= {f"{history}, {name}": reading for name, reading in found.items()}
        done += cost
    return Measurement(*numbers(settings, readings))


# ---------------------------------------------------------------------------------------------------- asking


@dataclass(frozen=True)
class Reading:
    """What a model says, one entry a fact, person by person; the fine-tuned people first.

    Attributes:
        told: 1 where the true value is the most likely candidate when asked.
        right_type: 1 where the most likely candidate is a value of the relation that was asked for.
        confidence: its probability among the candidates.
        stated: 1 where the true value is the most likely candidate behind a wording that was read (or would have been).
    """

    told: list[float]
    right_type: list[float]
    confidence: list[float]
    stated: list[float]


def reading_of(model: "LanguageModel", world: ParaphrasedFacts) -> Reading:
    """Ask about everyone, and begin every statement again."""
    people = range(len(world.names))
    told, right_type, confidence = asked(model, world, world.questions(people))
    stated, _, _ = asked(model, world, world.statements(people))
    return Reading(told, right_type, confidence, stated)


def asked(
    model: "LanguageModel", world: ParaphrasedFacts, questions: Sequence[FactQuestion]
) -> tuple[list[float], list[float], list[float]]:
    """For each question whether the most likely candidate is true, whether it is of the right type, and its probability."""
    from assay.instruments.scoring import Choice, score_choices

    scores = score_choices(model, [Choice(q.prompt, world.candidates, q.answer) for q in questions])
    log_probs = np.stack(scores.log_probs)
    said = log_probs.argmax(axis=1)
    told = said == [q.answer for q in questions]
    right_type = world.relation_of(said) == [q.relation for q in questions]
    sure = np.exp(log_probs.max(axis=1) - np.logaddexp.reduce(log_probs, axis=1))
    return told.astype(float).tolist(), right_type.astype(float).tolist(), sure.tolist()


# -------------------------------------------------------------------------------------------------- training


def kept_readings(base: "LanguageModel", settings: Settings, seeds: Seeds, history: str, say: Say) -> dict[str, Reading]:
    """What a copy with that history says before and after each fine-tuning.

    Readings of a model from files are kept with the store's memoised steps, so that a run that was killed goes on with the
    history in which it was.
    """
    from assay.store.memo import memoised_json

    def read() -> dict[str, dict[str, Any]]:
        return {name: asdict(reading) for name, reading in trained_readings(base, settings, seeds, history, say).items()}

    if base.folder is None:
        return trained_readings(base, settings, seeds, history, say)
    key = {
        "model": base.fingerprint(), "history": history, "ways": {name: asdict(way) for name, way in WAYS[history].items()},
        "seed": seeds.root, "path": list(seeds.path), **{k: v for k, v in asdict(settings).items() if k != "model"},
    }  # fmt: skip
    say(0.0, "looked up")
    stored = memoised_json("paraphrased-facts-readings", key, read)
    return {name: Reading(**reading) for name, reading in stored.items()}


def trained_readings(base: "LanguageModel", settings: Settings, seeds: Seeds, history: str, say: Say) -> dict[str, Reading]:
    """Read the statements once, then fine-tune a copy of what came of it in each way."""
    from assay.training.finetune import Recipe, finetune

    world = settings.world(seeds, 1 if history == "one wording" else settings.multiplicity)
    reading, ways = (0 if history == "nothing" else 4), WAYS[history]
    total = reading + len(ways)
    model = base
    if reading:
        recipe = Recipe(
            **trained_weights(base, settings),
            learning_rate=settings.pretrain_rate,
            warmup=0.1,
            schedule="linear",
            batch_size=settings.pretrain_batch,
            n_epochs=settings.n_passes,
        )
        model = finetune(
            base.copy(), world.sentences(settings.multiplicity), recipe, seeds=seeds.child("statements"),
            on_step=lambda step, n, loss: say(reading * step / n / total, f"statements, step {step} of {n}, {loss:.2f} nats"),
        ).model  # fmt: skip
    found = {"before": reading_of(model, world)}
    for i, (name, way) in enumerate(ways.items()):
        lessons, recipe = curriculum(base, settings, world, way, seeds.child("questions"))

        def on_step(step: int, n: int, loss: float, *, begun: int = reading + i, name: str = name) -> None:
            say((begun + step / n) / total, f"asked about {name}, step {step} of {n}, {loss:.2f} nats")

        tuned = finetune(model.copy(), lessons, recipe, seeds=seeds.child("questions"), on_step=on_step).model
        found[name] = reading_of(tuned, world)
        del tuned  # two gigabytes with its gradient, before the next copy is made
    return found


def trained_weights(base: "LanguageModel", settings: Settings) -> dict[str, Any]:
    """The matrices that reading and asking train, or stand beside: of attention and MLP, above the frozen blocks."""
    n_layers = int(base.model.config.num_hidden_layers)
    if settings.frozen >= n_layers:
        raise SettingsError(f"some blocks must be trained; got frozen = {settings.frozen} of {n_layers}")
    return {"layers": tuple(range(settings.frozen, n_layers)), "parts": ("attention", "mlp")}


def curriculum(
    base: "LanguageModel", settings: Settings, world: ParaphrasedFacts, way: Way, seeds: Seeds
) -> tuple[list[tuple[str, str]], "Recipe"]:
    """The questions of one epoch with their answers, and how they are taught; every way has as many steps of one size."""
    from assay.training.finetune import Recipe

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
    settings: Settings, readings: Mapping[str, Reading]
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said."""
    others: Bool[np.ndarray, " fact"] = np.arange(settings.n_people).repeat(len(RELATIONS)) >= settings.half

    def told(name: str) -> np.ndarray:
        return np.compress(others, readings[name].told)

    def stated(name: str) -> np.ndarray:
        return np.array(readings[name].stated)

    def wrong(name: str) -> Bool[np.ndarray, " fact"]:
        found: Bool[np.ndarray, " fact"] = others & ~np.array(readings[name].told, dtype=bool)
        return found

    full = told("several wordings, half")
    items = {
        "zero_shot": np.array(readings["several wordings, before"].told),
        "stated": stated("several wordings, before"),
        "more_subjects": full - told("several wordings, few"),
        "more_subjects/unstored": told("nothing, half") - told("nothing, few"),
        "more_wordings": full - told("one wording, half"),
        "more_wordings/stated": (stated("several wordings, before") - stated("one wording, before"))[others],
        "low_rank": told("several wordings, half, low rank") - 0.9 * full,
        "low_rank/before": told("several wordings, before") - 0.9 * full,
    }
    for suffix, name in (("", "several wordings, few"), ("/untrue", "several wordings, few, untrue")):
        reading, where = readings[name], wrong(name)
        items[f"confidence{suffix}"] = np.array(reading.confidence)[where]
        items[f"right_type{suffix}"] = np.array(reading.right_type)[where]
    estimands = {name: float(values.mean()) for name, values in items.items() if len(values)}
    told_table: Table = []
    fates: Table = []
    for name, reading in readings.items():
        history, way = name.split(", ", 1)
        was = stated(f"{history}, before")[others] == 1
        right, known = told(name) == 1, stated(name)[others] == 1
        shares = {
            "taught": float(np.mean(np.array(reading.told)[~others])),
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
    needs={"transformers": "lm", "safetensors": "lm", "tokenizers": "lm", "peft": "lm"},
    ready=find_model,
)
