"""A pretrained language model that reads about invented people: what is stored, what can be asked for? (C3.lm, C5.lm, C8.lm)

One run draws people with two facts each. One copy of the model reads every fact in a single wording, another in several, as
many sentences in all; a third copy reads nothing. Each is then fine-tuned in several ways on questions about some of the people
and asked about the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from assay.claims.study import Measurement, Table
from assay.core.errors import SettingsError
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject, ask, load_base, tune
from assay.studies.knowledge.filtering_attention_storing_mlp.paraphrased_facts import RELATIONS, ParaphrasedFacts
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import LanguageModelSettings
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Answers

__all__ = ["measure"]


@dataclass(frozen=True)
class Way:
    """A way of fine-tuning on questions, every one in as many steps.

    Attributes:
        people: asked about: the half, few of it, or, to plant an effect, the others.
        true: whether the answers are; else another value of the right relation.
        draw: another number, another order.
    """

    people: Literal["half", "few", "others"] = "half"
    true: bool = True
    draw: int = 0

    def taught(self, settings: LanguageModelSettings) -> range:
        """Whom it asks about."""
        if self.people == "others":
            return range(settings.half, settings.n_people)
        return range(settings.half if self.people == "half" else settings.n_few)


# What was read before, and how each copy is then fine-tuned.
WAYS: Mapping[str, Mapping[str, Way]] = {
    "one wording": {"half": Way()},
    "several wordings": {
        "half": Way(),
        "few": Way("few"),
        "others": Way("others"),
        "others, false": Way("others", true=False),
    },
    "nothing": {"half": Way(), "half again": Way(draw=1), "few": Way("few")},
}


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of people and facts, read by three copies of the model, which are fine-tuned in eight ways.

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
    return Measurement(*numbers(settings, answers))


def answers_of(base: Subject, settings: LanguageModelSettings, seeds: Seeds, history: str) -> dict[str, Answers]:
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
    subjects = {"before": reader}
    for name, way in WAYS[history].items():
        own = seeds.child(f"questions {way.draw}")
        subjects[name] = tune(reader, *curriculum(base, settings, world, way, own), own, name)
    weights = [1.0 if history == "nothing" else 4.0] + [1.0] * len(WAYS[history])
    found = {}
    for name in parts(list(subjects), weights=weights):
        found[name] = ask(subjects.pop(name), questions)  # a copy takes two gigabytes, and none is asked twice
    return found


def trained_weights(base: Subject, settings: LanguageModelSettings) -> dict[str, Any]:
    """The matrices that reading and asking train: of attention and MLP, above the frozen blocks."""
    n_layers = int(base.model.model.config.num_hidden_layers)
    if settings.frozen >= n_layers:
        raise SettingsError(f"some blocks must be trained; got frozen = {settings.frozen} of {n_layers}")
    return {"layers": tuple(range(settings.frozen, n_layers)), "parts": ("attention", "mlp")}


def curriculum(
    base: Subject, settings: LanguageModelSettings, world: ParaphrasedFacts, way: Way, seeds: Seeds
) -> tuple[list[tuple[str, str]], Recipe]:
    """The questions of one epoch with their answers, and how they are taught; every way has as many steps of one size."""
    taught = way.taught(settings)
    lessons = world.lessons(taught) if way.true else world.false_lessons(taught, rng=seeds("false"))
    recipe = Recipe(
        **trained_weights(base, settings),
        learning_rate=settings.finetune_rate,
        batch_size=min(settings.finetune_batch, settings.half * len(RELATIONS)),
        n_epochs=settings.n_lessons,
    )
    return lessons * (settings.half // len(taught)), recipe


# --------------------------------------------------------------------------------------------------- numbers


def numbers(
    settings: LanguageModelSettings, answers: Mapping[str, Answers]
) -> tuple[dict[str, float], dict[str, Table], dict[str, list[float]]]:
    """Estimands, tables and items from what the models said; facts stand person by person, the fine-tuned people first.

    Items are facts of the people who are in no fine-tuning set but a planted one.
    """
    others: Bool[np.ndarray, " fact"] = np.arange(settings.n_people).repeat(len(RELATIONS)) >= settings.half
    asked = {name: said.where(kind="asked") for name, said in answers.items()}

    def told(name: str) -> Float[np.ndarray, " other"]:
        right: np.ndarray = asked[name].right[others]
        return right

    def stated(name: str) -> Float[np.ndarray, " fact"]:
        return answers[name].where(kind="stated").right

    single, several, nothing = "one wording", "several wordings", "nothing"
    items = {
        "asked/told": told(f"{several}, before"),
        "stated/told": stated(f"{several}, before")[others],
        "asked-after-lies/told": told(f"{several}, others, false"),
        "unread/told": told(f"{nothing}, before"),
        "asked/more_wordings": told(f"{several}, half") - told(f"{single}, half"),
        "stated/more_wordings": (stated(f"{several}, before") - stated(f"{single}, before"))[others],
        "planted/more_wordings": told(f"{several}, others") - told(f"{single}, half"),
        "unread/more_wordings": told(f"{nothing}, half again") - told(f"{nothing}, half"),
        "read/more_subjects": told(f"{several}, half") - told(f"{several}, few"),
        "unread/more_subjects": told(f"{nothing}, half") - told(f"{nothing}, few"),
        "planted/more_subjects": told(f"{several}, others") - told(f"{several}, few"),
    }
    estimands = {name: float(values.mean()) for name, values in items.items()}
    told_table: Table = []
    fates: Table = []
    for name in answers:
        history, way = name.split(", ", 1)
        was = stated(f"{history}, before")[others] == 1
        right, known = told(name) == 1, stated(name)[others] == 1
        shares = {
            "taught": float(asked[name].right[~others].mean()),
            "others": float(right.mean()),
            "stated": float(stated(name).mean()),
        }
        told_table += [{"read": history, "way": way, "what": what, "share": share} for what, share in shares.items()]
        fate = {
            "told": right,
            "not triggered": ~right & known,
            "overwritten": ~right & ~known & was,
            "never stored": ~right & ~known & ~was,
        }
        if history != "nothing":
            fates += [{"read": history, "way": way, "fate": key, "share": float(at.mean())} for key, at in fate.items()]
    return estimands, {"told": told_table, "fates": fates}, {name: values.tolist() for name, values in items.items()}
