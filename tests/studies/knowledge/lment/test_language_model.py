"""The language model's run on a tiny model: what is read, what is asked, and who reads further chunks."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject
from assay.studies.knowledge.lment import language_model as study
from assay.studies.knowledge.lment.claims import LANGUAGE_MODEL
from assay.studies.knowledge.lment.settings import LanguageModelSettings
from assay.studies.knowledge.lment.taught import drawn_pages
from assay.worlds.encyclopaedia.world import Design
from assay.worlds.facts.questions import Answers, Question

SETTINGS: LanguageModelSettings = dataclasses.replace(LANGUAGE_MODEL.presets["quick"].settings, layers=(1,))


def knowing(questions: Sequence[Question], sure: float) -> Answers:
    return Answers.of(questions, [[sure * (i == one.answer) for i in range(len(one.candidates))] for one in questions])


def test_forks_read_on_from_the_reader_and_are_asked_about_dosed_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, tuple[Subject, Sequence[Question]]] = {}

    def ask(model: Subject, questions: Sequence[Question], **_: Any) -> Answers:
        asked[model.name] = (model, questions)
        return knowing(questions, float(model.name == "reader"))

    monkeypatch.setattr(study, "ask", ask)
    measured = study.measure(SETTINGS, Seeds(1))
    found = measured.estimands
    forks = [f"fork {i}" for i in range(3 * len(SETTINGS.doses))]  # every fact gets every treatment
    assert set(asked) == {SETTINGS.model, "reader", *forks}
    reader = asked["reader"][0]
    assert len(reader.sentences) == SETTINGS.n_chunks
    assert reader.parent is asked[SETTINGS.model][0]
    assert reader.recipe is not None
    assert reader.recipe.n_epochs == SETTINGS.n_epochs
    assert reader.recipe.batch_size == SETTINGS.batch
    assert reader.recipe.layers == SETTINGS.layers
    assert reader.recipe.precision == SETTINGS.precision == "bfloat16"
    assert SETTINGS.batch != type(reader.recipe)(learning_rate=SETTINGS.rate, n_epochs=1).batch_size  # else it shows nothing
    for name in forks:
        fork, questions = asked[name]
        assert fork.parent is reader
        assert fork.recipe is not None
        assert fork.recipe == dataclasses.replace(reader.recipe, n_epochs=1, learning_rate=SETTINGS.fork_rate)
        assert fork.recipe.learning_rate < reader.recipe.learning_rate == SETTINGS.rate
        assert len(fork.sentences) == 3 * sum(SETTINGS.doses)
        assert len(questions) == 3 * len(SETTINGS.doses) * SETTINGS.n_asked
        assert set(fork.sentences).isdisjoint(reader.sentences)
    everything = asked["reader"][1]
    assert {one.about for one in asked["fork 0"][1]} < {one.about for one in everything}
    assert {row["right"] for row in measured.tables["by_k"] if row["who"] == "reader"} == {1.0}  # as it was made to answer
    # Who is right everywhere is right beyond the favourite value where that is wrong, whatever k is.
    assert abs(found["unread/follows_k"]) <= 1
    assert found["reader/cause"] == 0.0  # every fork answered alike


def test_questions_are_english_and_have_one_right_answer() -> None:
    design = Design(n_entities=60, relations=study.RELATIONS, n_held_out=4, n_values=3, shared_names=0.0)
    lesson = drawn_pages(design, SETTINGS, 120, Seeds(0))
    world = lesson.corpus.world
    found = study.questions(world, [0, 5], 2)
    assert [one.about for one in found] == ["0", "0", "5", "5"]
    fact = world.facts[5]
    right = found[2].spellings[found[2].answer][0]
    assert right == " " + world.words[fact.value[0]]
    assert world.english(world.sentence(5, int(world.wordings_of(fact.relation)[0]))) == found[2].prompt + right + "."
    answers = Answers.of(found, [[0.0, -1, -2], [-2.0, -3, -4], [0.0, 0, 0], [0.0, 0, 0]])
    assert np.allclose(study.mean_log_probs(answers, 2), [[-1, -2, -3], [0, 0, 0]])
