"""The study of reading and asking: equal steps in every way, nobody of the other half is taught, planted answers are found."""

import math

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject, load_base
from assay.studies.knowledge.filtering_attention_storing_mlp import language_model as study
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import LanguageModelSettings
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Answers

pytest.importorskip("transformers", reason="needs the extra lm")

SETTINGS = LanguageModelSettings(model="tiny", frozen=1)
WAYS = [way for ways in study.WAYS.values() for way in ways.values()]


def test_ways_are_what_their_names_say_and_each_copy_has_those_that_are_compared() -> None:
    said = {
        "half": ("half", True, 0), "half again": ("half", True, 1), "few": ("few", True, 0), "others": ("others", True, 0),
        "others, false": ("others", False, 0),
    }  # fmt: skip
    assert {history: set(ways) for history, ways in study.WAYS.items()} == {
        "one wording": {"half"},
        "several wordings": {"half", "few", "others", "others, false"},
        "nothing": {"half", "half again", "few"},
    }
    for ways in study.WAYS.values():
        assert {name: (way.people, way.true, way.draw) for name, way in ways.items()} == {name: said[name] for name in ways}


def test_every_way_of_asking_has_as_many_steps_and_asks_about_its_people_only() -> None:
    base = load_base("tiny")
    world = SETTINGS.world(Seeds(0), 4)
    for way in WAYS:
        lessons, recipe = study.curriculum(base, SETTINGS, world, way, Seeds(0))
        assert len(lessons) * recipe.n_epochs == 12 * 3
        assert recipe.n_epochs * math.ceil(len(lessons) / recipe.batch_size) == 6
        taught = {person for person in range(12) for prompt, _ in lessons if world.names[person] in prompt}
        assert taught == {"half": set(range(6)), "few": {0}, "others": set(range(6, 12))}[way.people]
        true = set(world.lessons(range(12)))
        assert (set(lessons) <= true) == way.true
        assert set(lessons).isdisjoint(true) != way.true
        assert recipe.method == "full"
        assert recipe.layers == (1, 2)


def test_copies_differ_in_what_they_read_and_ways_in_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each copy is trained on, and from which copy it comes."""
    tuned: list[tuple[str, Subject, list[tuple[str, str]], Recipe, Seeds]] = []
    true = study.tune

    def look(base: Subject, sentences: list[tuple[str, str]], recipe: Recipe, seeds: Seeds, name: str) -> Subject:
        tuned.append((name, base, sentences, recipe, seeds))
        return true(base, sentences, recipe, seeds, name)

    monkeypatch.setattr(study, "tune", look)
    monkeypatch.setattr(study, "ask", lambda subject, questions: (subject, questions))
    base = load_base("tiny")
    found = {history: study.answers_of(base, SETTINGS, Seeds(3), history) for history in study.WAYS}
    readings = {len({prompt for prompt, _ in sentences}): sentences for name, _, sentences, _, _ in tuned if name == "reading"}
    assert sorted(readings) == [24, 96]  # one wording of each fact, or four
    assert len(readings[24]) == len(readings[96]) == 96
    assert {value for _, value in readings[24]} == {value for _, value in readings[96]}
    for history, ways in study.WAYS.items():
        reader = found[history]["before"][0]
        assert (reader is base) == (history == "nothing")
        assert set(found[history]) == {"before", *ways}
        own = [entry for entry in tuned if entry[1] is reader and entry[0] != "reading"]
        assert [name for name, *_ in own] == list(ways)
    half, again = (next(entry for entry in tuned if entry[0] == name and entry[1] is base) for name in ("half", "half again"))
    assert half[2] == again[2]
    assert half[4].path != again[4].path  # another order


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    for sizes in ({"n_people": 7}, {"n_people": 12, "n_few": 5}):
        with pytest.raises(SettingsError, match="two halves"):
            LanguageModelSettings(**sizes)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="some blocks must be trained"):
        study.trained_weights(load_base("tiny"), LanguageModelSettings(frozen=3))


def test_planted_answers_give_the_numbers_of_their_plan() -> None:
    """Four people, two facts each, of which the last four belong to people who were never asked about."""
    settings = LanguageModelSettings(model="tiny", n_people=4, n_few=1)

    world = settings.world(Seeds(0), settings.multiplicity)
    questions = [*world.questions(range(4)), *world.statements(range(4))]
    n_values = settings.n_values

    def reading(told: str, *, right_type: str = "11111111", stated: str = "11111111", sure: float = 0.5) -> Answers:
        """Answers in which the likeliest candidate is true, else of the right type or not, as planned, digit by digit."""
        said = []
        for place, question in enumerate(questions):
            own, fact = question.answer, place % 8
            first = question.answer // n_values * n_values  # of the relation's values
            other = first + (own - first + 1) % n_values
            if place < 8:
                wrong = other if right_type[fact] == "1" else (own + n_values) % len(question.candidates)
                top = own if told[fact] == "1" else wrong
            else:
                top = own if stated[fact] == "1" else other
            share = 0.9 if fact < 4 else sure
            log_probs = np.log(np.full(2 * n_values, (1 - share) / (2 * n_values - 1)))
            log_probs[top] = np.log(share)
            said.append(log_probs)
        return Answers.of(questions, said)

    plan = {f"{history}, {name}": reading("00000000") for history, ways in study.WAYS.items() for name in ("before", *ways)}
    plan["several wordings, before"] = reading("10001000", stated="11111110")
    plan["several wordings, half"] = reading("11111110", stated="11111100", sure=0.9)
    plan["several wordings, few"] = reading("11001000", sure=0.51)
    plan["several wordings, others"] = reading("00001111")
    plan["several wordings, others, false"] = reading("11110100", sure=0.9)
    plan["one wording, before"] = reading("00000000", stated="11111000")
    plan["one wording, half"] = reading("11110100")
    plan["nothing, before"] = reading("00000001")
    plan["nothing, half"] = reading("11110001", sure=0.6)
    plan["nothing, half again"] = reading("11110010")
    plan["nothing, few"] = reading("11000001", sure=0.6)
    estimands, tables, items = study.numbers(settings, plan)
    assert {name: list(values) for name, values in items.items()} == {
        "asked/told": [1, 0, 0, 0],
        "stated/told": [1, 1, 1, 0],
        "asked-after-lies/told": [0, 1, 0, 0],
        "unread/told": [0, 0, 0, 1],
        "asked/more_wordings": [1, 0, 1, 0],
        "stated/more_wordings": [0, 1, 1, 0],
        "planted/more_wordings": [1, 0, 1, 1],
        "unread/more_wordings": [0, 0, 1, -1],
        "read/more_subjects": [0, 1, 1, 0],
        "unread/more_subjects": [0, 0, 0, 0],
        "planted/more_subjects": [0, 1, 1, 1],
    }
    assert estimands == pytest.approx({name: sum(values) / 4 for name, values in items.items()})
    fates = {row["fate"]: row["share"] for row in tables["fates"] if (row["read"], row["way"]) == ("several wordings", "half")}
    assert fates == {"told": 0.75, "not triggered": 0, "overwritten": 0, "never stored": 0.25}
