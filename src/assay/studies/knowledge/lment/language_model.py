"""A pretrained language model that reads pages about invented entities: what explains the facts it knows? (C4.lm, cause.lm)

One run draws a world and its pages in English. The model reads them twice; forks of it read further chunks about facts that no
page tells.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject, ask, load_base, precision_of, tune
from assay.studies.knowledge.lment.bigram import Pairs, favourites
from assay.studies.knowledge.lment.learning import cause_numbers, frequency_numbers, pairs_with_doses
from assay.studies.knowledge.lment.networks import Asked
from assay.studies.knowledge.lment.settings import LanguageModelSettings
from assay.studies.knowledge.lment.taught import dosed, drawn_pages
from assay.training.recipe import Recipe
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia
from assay.worlds.facts.questions import Answers, Question

__all__ = ["measure", "questions"]

RELATIONS = ("craft", "instrument", "product", "river")
TREATMENTS = ("named", "other", "other-again")


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of a world and its pages, one reader and its forks.

    Raises:
        InputError: the model is not in the cache.
        SettingsError: the facts do not fit into the pages, or too few are untold.
        Diverged: a training left the finite numbers.
    """
    base = load_base(settings.model)
    design = Design(
        n_entities=settings.n_entities, relations=RELATIONS, n_held_out=8 - settings.n_wordings, n_values=settings.n_values,
        shared_names=0.0,
    )  # fmt: skip
    lesson = drawn_pages(design, settings, settings.n_chunks, seeds)
    world = lesson.corpus.world
    plan = dosed(lesson, settings, seeds, TREATMENTS)
    everything = questions(world, range(len(world.facts)), settings.n_asked)
    about_dosed = questions(world, plan.fact.tolist(), settings.n_asked)
    recipe = Recipe(
        layers=settings.layers, learning_rate=settings.rate, n_epochs=settings.n_epochs, batch_size=settings.batch,
        precision=precision_of(settings.precision),
    )  # fmt: skip
    reader = tune(base, plain(lesson.corpus.texts), recipe, seeds.child("pages"), "reader")
    once = dataclasses.replace(recipe, n_epochs=1, learning_rate=settings.fork_rate)
    forks = {
        f"fork {i}": tune(
            reader, plain([world.english(chunk) for chunk in chunks]), once, seeds.child(f"fork {i}"), f"fork {i}"
        )
        for i, chunks in enumerate(plan.chunks)
    }
    steps: dict[str, tuple[Subject, Sequence[Question]]] = {"unread": (base, everything), "reader": (reader, everything)}
    steps |= {name: (fork, about_dosed) for name, fork in forks.items()}
    asked: dict[str, Float[np.ndarray, "fact value"]] = {}
    del base, forks
    for name in parts(list(steps), weights=[1, 20, *[3] * len(plan.chunks)], label=str):
        asked[name] = mean_log_probs(ask(*steps.pop(name)), settings.n_asked)  # a copy takes a gigabyte and more
    answer = np.array([question.answer for question in everything[:: settings.n_asked]])
    pairs, known = Pairs(world.vocab_size).read(lesson.corpus.tokens), Asked(world)
    right = {name: asked[name].argmax(1) == answer for name in ("reader", "unread")}
    right["bigram"] = known.read(pairs.log_probs(known.last).mean(1)).right
    after = np.stack([asked[f"fork {i}"][np.arange(len(plan.fact)), answer[plan.fact]] for i in range(len(plan.chunks))])
    estimands = frequency_numbers(lesson, right, settings.planted, seeds, "reader")
    estimands |= cause_numbers(plan, {"reader": after, "bigram": pairs_with_doses(lesson, known, pairs, plan)})
    by_k: Table = [
        {"who": name, "k": int(k), "right": float(own[lesson.k == k].mean())}
        for name, own in (right | {"constant": favourites(world, lesson.k)}).items()
        for k in np.unique(lesson.k)
    ]
    gains: Table = [{"chunks": treatment, "dose": dose, "nats": gain} for treatment, dose, gain in plan.by_dose(after)]
    return Measurement({name: float(value) for name, value in estimands.items()}, {"by_k": by_k, "gains": gains})


def plain(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Texts without a prompt, of which every token but a first one is trained on."""
    return [("", text) for text in texts]


def questions(world: Encyclopaedia, facts: Sequence[int], n_asked: int) -> list[Question]:
    """Each fact in its relation's first wordings, with every value of the relation as a candidate."""
    found = []
    for number in facts:
        fact = world.facts[number]
        values = world.values[fact.relation]
        candidates = tuple(" " + " ".join(world.words[token] for token in value) for value in values)
        for wording in world.wordings_of(fact.relation)[:n_asked].tolist():
            prompt = world.english(world.prompt(number, wording))
            found.append(Question(prompt, candidates, values.index(fact.value), about=str(number)))
    return found


def mean_log_probs(answers: Answers, n_asked: int) -> Float[np.ndarray, "fact value"]:
    """Log-probability of every candidate, the mean over the wordings in which a fact was asked."""
    return np.asarray(answers.table.reshape(-1, n_asked, answers.table.shape[1]).mean(1))
