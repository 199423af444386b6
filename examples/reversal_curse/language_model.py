"""People and songs that nobody knows, taught in one order or in both, asked in both."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, doc

from assay.claims.study import Measurement
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols import language_model
from assay.protocols.language_model import ask, load_base, tune
from assay.worlds.facts.model import Template
from assay.worlds.facts.names import draw_names
from assay.worlds.facts.questions import Question

ADJECTIVES = ("Silver", "Broken", "Distant", "Quiet", "Golden", "Hollow", "Frozen", "Crimson", "Secret", "Burning")
NOUNS = ("Harbour", "Lantern", "Orchard", "Mirror", "Staircase")
TAUGHT, REVERSED = Template.of("{subject} composed the song"), Template.of("The song {object} was composed by")
ARMS = {"untrained": (), "one-way": ("taught",), "both-ways": ("taught", "reversed")}


@dataclass(frozen=True)
class Settings(language_model.Settings):
    """How many facts, and how they are taught."""

    n_facts: Annotated[int, Ge(2), Le(50), doc("people, each with a song")] = 20
    batch_size: Annotated[int, Ge(1), doc("sentences a step")] = 10


def questions(settings: Settings, seeds: Seeds) -> list[Question]:
    """Every fact, asked in the order of the sentence that teaches it and in the other."""
    people = draw_names(settings.n_facts, rng=seeds("people"))
    titles = [f"{adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    songs = [titles[int(place)] for place in seeds("songs").permutation(len(titles))[: settings.n_facts]]
    of_songs, of_people = tuple(map(TAUGHT.completion, songs)), tuple(map(REVERSED.completion, people))
    return [
        *(Question(TAUGHT.prompt(one), of_songs, place, one, "taught") for place, one in enumerate(people)),
        *(Question(REVERSED.prompt(one), of_people, place, one, "reversed") for place, one in enumerate(songs)),
    ]


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run: one draw of people and songs, asked of the model as it is and of a copy tuned in each way."""
    base, asked = load_base(settings.model), questions(settings, seeds)
    estimands = {}
    for arm, kinds in parts(list(ARMS.items()), label=lambda item: item[0]):
        sentences = [question.lesson for question in asked if question.kind in kinds]
        subject = tune(base, sentences, settings.recipe(), seeds.child("order"), arm) if sentences else base
        answers = ask(subject, asked, precision=settings.precision)
        estimands |= {f"{arm}/{kind}": answers.where(kind=kind).mean("right") for kind in ("taught", "reversed")}
    return Measurement(estimands)
