"""The study of reading and asking: equal steps in every way, nobody of the other half is taught, planted answers are found."""

import math

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.protocols.language_model import load_base
from assay.studies.knowledge.filtering_attention_storing_mlp import language_model as study
from assay.worlds.facts.questions import Answers

pytest.importorskip("transformers", reason="needs the extra lm")
pytest.importorskip("peft", reason="needs the extra lm")

SETTINGS = study.Settings(model="tiny", frozen=1)
WAYS = [way for ways in study.WAYS.values() for way in ways.values()]


def test_every_way_of_asking_has_as_many_steps_and_asks_about_its_people_only() -> None:
    base = load_base("tiny")
    world = SETTINGS.world(Seeds(0), 4)
    for way in WAYS:
        lessons, recipe = study.curriculum(base, SETTINGS, world, way, Seeds(0))
        assert len(lessons) * recipe.n_epochs == 12 * 3
        assert recipe.n_epochs * math.ceil(len(lessons) / recipe.batch_size) == 6
        taught = {person for person in range(12) for prompt, _ in lessons if world.names[person] in prompt}
        assert taught == set(range(1 if way.few else 6))
        true = set(world.lessons(range(12)))
        assert (set(lessons) <= true) != way.untrue
        assert recipe.method == ("lora" if way.low_rank else "full")
        assert recipe.layers == (1, 2)


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    for sizes in ({"n_people": 7}, {"n_people": 12, "n_few": 5}):
        with pytest.raises(SettingsError, match="two halves"):
            study.Settings(**sizes)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="some blocks must be trained"):
        study.trained_weights(load_base("tiny"), study.Settings(frozen=3))


def test_planted_answers_give_the_numbers_of_their_plan() -> None:
    """Four people, two facts each, of which the last four belong to people who were never asked about."""
    settings = study.Settings(model="tiny", n_people=4, n_few=1)

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
    plan["several wordings, before"] = reading("10001000")
    plan["several wordings, half"] = reading("11111110", stated="11111100")
    plan["several wordings, few"] = reading("11001000", right_type="00000011", sure=0.25)
    plan["several wordings, half, low rank"] = reading("00001110")
    plan["one wording, before"] = reading("00000000", stated="11110000")
    plan["one wording, half"] = reading("11110100")
    plan["nothing, half"] = reading("11110001")
    estimands, tables, items = study.numbers(settings, world, plan)
    items = {name: list(values) for name, values in items.items()}
    assert items["zero_shot"] == [1, 0, 0, 0, 1, 0, 0, 0]
    assert items["more_subjects"] == [0, 1, 1, 0]
    assert items["more_subjects/unstored"] == [0, 0, 0, 1]
    assert items["more_wordings"] == [1, 0, 1, 0]
    assert items["more_wordings/stated"] == [1, 1, 1, 1]
    assert items["low_rank"] == pytest.approx([0.1, 0.1, 0.1, 0])
    assert items["low_rank/before"] == pytest.approx([0.1, -0.9, -0.9, 0])
    assert items["confidence"] == pytest.approx([0.25] * 3)
    assert items["right_type"] == [0, 1, 1]
    assert estimands["taught/several wordings, half"] == 1
    assert estimands["others/several wordings, half"] == 0.75
    fates = {row["fate"]: row["share"] for row in tables["fates"] if (row["read"], row["way"]) == ("several wordings", "half")}
    assert fates == {"told": 0.75, "not triggered": 0, "overwritten": 0.25, "never stored": 0}
