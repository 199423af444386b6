"""What is told, when, and in which words: every form is what its name says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.factual_knowledge_acquisition.claims import ACQUISITION
from assay.studies.knowledge.factual_knowledge_acquisition.course import World
from assay.studies.knowledge.factual_knowledge_acquisition.items import (
    BEFORE,
    FORMS,
    GROUPS,
    LAST_AFTER,
    RELATIONS,
    SENTENCE,
    Items,
    Plan,
)
from assay.studies.knowledge.factual_knowledge_acquisition.settings import AcquisitionSettings
from assay.worlds.encyclopaedia.world import PAD, Encyclopaedia

SETTINGS = AcquisitionSettings(n_chunks=600, n_fresh=40)
SEEDS = Seeds(1)
WORLD = World.drawn(SETTINGS, SEEDS)
ITEMS = WORLD.items
IN_FORMS = {name: (form, 5 if name == "half" else 0) for name, form in FORMS.items()}
PLAN = Plan.drawn(ITEMS, 10, 40, IN_FORMS, rng=SEEDS("plan"))


def sentences(item: int, this: int, plan: Plan = PLAN) -> list[tuple[int, ...]]:
    return [tuple(row) for row in plan.rows[item, this].reshape(-1, SENTENCE).tolist()]


def test_the_world_is_as_large_as_the_issue_says_and_pages_do_not_mention_the_items() -> None:
    assert ITEMS.world.vocab_size <= SETTINGS.vocabulary
    assert len(ITEMS) == 20
    assert len(ITEMS.absent) == 60
    names = {ITEMS.world.entities[i].name for i in ITEMS.absent}
    for row in np.concatenate([WORLD.pages, WORLD.fresh]).tolist():
        assert not names & set(pairwise(row))
    surnames = [ITEMS.world.entities[i].surname for i in ITEMS.absent]
    assert len(set(surnames)) == len(surnames)
    known = {
        one.name[i] for k, one in enumerate(ITEMS.world.entities) if k not in set(ITEMS.absent) for i in range(len(one.name))
    }
    assert {piece for name in names for piece in name} <= known  # the pieces are common, the pairs are new


def test_a_held_out_wording_is_one_of_pages_that_the_passages_never_use() -> None:
    for item in range(len(ITEMS)):
        for place, relation in enumerate(RELATIONS):
            pages = set(ITEMS.world.wordings_of(relation).tolist())
            assert ITEMS.held[item, place] in pages
            assert ITEMS.held[item, place] not in ITEMS.told[item, place]
            near = GROUPS[ITEMS.group[item]] == "near"
            assert (set(ITEMS.told[item, place].tolist()) <= pages) is not near
            if near:
                first = {ITEMS.world.wordings[i].words[0] for i in ITEMS.told[item, place]}
                assert len(first) == 1  # they differ in the second word, a function word


def test_duplicates_repeat_paraphrases_change_and_no_row_tells_a_fact_twice() -> None:
    for name, form in FORMS.items():
        for item in ITEMS.among(name).tolist():
            rounds = np.flatnonzero(PLAN.at[item] >= 0)
            assert list(rounds) == list(range(5 if name == "half" else 0, 10))
            told = {PLAN.rows[item, this].tobytes() for this in rounds}
            assert (len(told) == 1) is (form == "duplicate")
            for this in rounds.tolist():
                own = sentences(item, this)
                expected = {
                    ITEMS.world.sentence(int(fact), int(word))
                    for fact, words in zip(ITEMS.facts[item], ITEMS.told[item], strict=True)
                    for word in words
                }
                assert set(own) <= expected
                assert len(set(own)) == 12
                subjects = [(own[i][:2], own[i][-2]) for i in range(12)]
                assert subjects[:6] == subjects[6:]  # each fact twice, in another wording, never in one row
                asked = [
                    (*ITEMS.world.prompt(int(f), int(w)),)
                    for f, w in zip(ITEMS.facts[item], PLAN.asked[item, this], strict=True)
                ]
                assert {prompt for prompt in asked} <= {one[:4] for one in own[:6]}


def test_an_item_a_step_and_time_for_the_windows_between_two_exposures() -> None:
    told = PLAN.at[PLAN.at >= 0]
    assert len(np.unique(told)) == len(told)
    assert told.min() >= BEFORE
    assert PLAN.at.max() < PLAN.n_steps
    for item in ITEMS.among(*FORMS).tolist():
        own = PLAN.at[item][PLAN.at[item] >= 0]
        assert (np.diff(own) >= BEFORE + LAST_AFTER).all()
    assert (PLAN.at[ITEMS.among("never")] == -1).all()
    share = len(told) * 3 / (PLAN.n_steps * SETTINGS.batch)
    assert share <= 0.15
    by_group = [PLAN.at[ITEMS.among(name)][:, 5:].mean() for name in FORMS]
    assert np.ptp(by_group) < 3  # groups are told at like times
    assert not np.array_equal(PLAN.at[:, 1] - PLAN.at[:, 0], np.full(20, 40))  # the order is drawn anew


def test_states_belong_to_the_exposure_whose_words_they_are_asked_in() -> None:
    states = np.arange(1, PLAN.n_steps)
    rounds = PLAN.rounds_at(states)
    for item in ITEMS.among("paraphrase", "half").tolist():
        for this in np.flatnonzero(PLAN.at[item] >= 0).tolist():
            at = int(PLAN.at[item, this])
            assert (rounds[item, (states >= at - BEFORE + 1) & (states <= at + LAST_AFTER)] == this).all()


def test_other_values_are_other_values_each_time() -> None:
    plan = Plan.drawn(ITEMS, 4, 40, {"duplicate": ("duplicate", 0)}, rng=SEEDS("other"), other_values=True, n_blocks=2)
    told = ITEMS.among("duplicate")[:2]
    assert (plan.at[ITEMS.among("duplicate")[2:]] == -1).all()
    for item in told.tolist():
        prompts = [ITEMS.world.prompt(int(f), int(w[0])) for f, w in zip(ITEMS.facts[item], ITEMS.told[item], strict=True)]
        own = dict(zip(prompts, ITEMS.values[item].tolist(), strict=True))
        seen = [one for this in range(4) for one in sentences(item, this, plan) if one[:4] in own]
        assert len(seen) == 24
        assert all(one[4] != own[one[:4]] for one in seen)
        assert len({one[4] for one in seen}) > 6


def test_values_dealt_out_anew_are_values_of_told_items_and_hardly_ever_the_own() -> None:
    told = ITEMS.group != GROUPS.index("never")
    for place in range(len(RELATIONS)):
        assert sorted(ITEMS.dealt[told, place]) == sorted(ITEMS.values[told, place])
    assert (ITEMS.dealt[told] != ITEMS.values[told]).mean() > 0.95


def test_subjects_never_told_stand_in_for_those_of_their_block() -> None:
    untold = ITEMS.among("never")
    assert np.array_equal(ITEMS.never()[ITEMS.among("half")], untold)
    assert np.array_equal(ITEMS.never(1)[ITEMS.among("half")], np.roll(untold, -1))
    prompts = ITEMS.prompts(ITEMS.held, ITEMS.never())
    own = ITEMS.prompts(ITEMS.held, np.arange(len(ITEMS)))
    assert np.array_equal(prompts[..., 2:], own[..., 2:])
    assert (prompts[ITEMS.among(*FORMS)][..., :2] != own[ITEMS.among(*FORMS)][..., :2]).any(-1).all()
    word = ITEMS.world.wordings[ITEMS.held[0, 3]]
    assert tuple(own[0, 3]) == (*ITEMS.world.entities[ITEMS.world.facts[ITEMS.facts[0, 3]].subject].name, *word.words)


def test_pages_are_read_in_passes_each_in_an_order_of_its_own() -> None:
    n = len(WORLD.pages)
    first, second = WORLD.stream(0, n), WORLD.stream(n, n)
    assert sorted(map(tuple, first.tolist())) == sorted(map(tuple, WORLD.pages.tolist()))
    assert not np.array_equal(first, second)
    assert np.array_equal(WORLD.stream(n - 3, 6), np.concatenate([first[-3:], second[:3]]))
    assert not np.array_equal(WORLD.stream(0, n, "another"), first)
    assert (WORLD.pages != PAD).mean() > 0.7


def test_settings_that_make_no_experiment_are_refused() -> None:
    quick = ACQUISITION.presets["quick"].settings
    for wrong in ({"spacing": 18}, {"per_group": 12}):
        with pytest.raises(SettingsError, match="Raise spacing"):
            replace(SETTINGS, **wrong)
    for wrong in ({"early": 2500}, {"large_batch": 12}):
        with pytest.raises(SettingsError, match="forks must lie"):
            replace(SETTINGS, **wrong)
    with pytest.raises(SettingsError, match="must hold the world's"):
        World.drawn(replace(quick, vocabulary=100), SEEDS)


def test_items_do_not_depend_on_anything_but_their_generator() -> None:
    world = Encyclopaedia.drawn(SETTINGS.design, rng=SEEDS("world"))
    again = Items.drawn(world, 4, rng=SEEDS("items"))
    assert np.array_equal(again.facts, ITEMS.facts)
    assert np.array_equal(again.told, ITEMS.told)


def test_swapped_items_change_places_and_nothing_else() -> None:
    other = ITEMS.swapped
    assert np.array_equal(other.among("paraphrase"), ITEMS.among("duplicate"))
    assert np.array_equal(other.among("duplicate"), ITEMS.among("paraphrase"))
    for name in ("half", "near", "never"):
        assert np.array_equal(other.among(name), ITEMS.among(name))
    assert other.facts is ITEMS.facts
    assert other.told is ITEMS.told
    assert other.held is ITEMS.held
