"""Facts in several wordings: as many sentences whatever the wordings, questions that no statement contains, nested draws."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.studies.knowledge.filtering_attention_storing_mlp.paraphrased_facts import (
    MOST_VALUES,
    MOST_WORDINGS,
    RELATIONS,
    ParaphrasedFacts,
)

seeds = st.integers(0, 2**32)


def world_of(seed: int = 0, *, n_people: int = 24, multiplicity: int = 4, n_values: int = MOST_VALUES) -> ParaphrasedFacts:
    rng = np.random.default_rng(seed)
    return ParaphrasedFacts.drawn(n_people=n_people, multiplicity=multiplicity, n_values=n_values, rng=rng)


def test_the_lists_fit_their_purpose() -> None:
    assert len({relation.name for relation in RELATIONS}) == len(RELATIONS) == 2
    values = [value for relation in RELATIONS for value in relation.candidates]
    assert len(set(values)) == len(values) == 40, "a value tells its relation"
    for relation in RELATIONS:
        assert len(set(relation.train)) == len(relation.train) == 8
        for sentence in (*relation.train, relation.prompt):
            assert sentence.before.count("{subject}") == 1
            assert (sentence.gap, sentence.after, sentence.given) == (" ", "", "subject")
        assert relation.prompt.before.endswith("A:")
        assert not any("Q:" in wording.before for wording in relation.train)


def test_professions_follow_their_article() -> None:
    assert not any(value[0] in "aeiou" for value in RELATIONS[1].candidates)
    assert all(wording.before.endswith(" a") for wording in RELATIONS[1].train)


@given(seed=seeds, multiplicity=st.sampled_from([1, 2, 4, 8]))
def test_every_fact_is_read_equally_often_in_k_wordings(seed: int, multiplicity: int) -> None:
    world = world_of(seed, n_people=5, multiplicity=multiplicity)
    assert world.multiplicity == multiplicity
    sentences = world.sentences(8)
    assert len(sentences) == 8 * 5 * 2
    assert set(Counter(sentences).values()) == {8 // multiplicity}
    truth = dict(sentences)
    assert len(truth) == 5 * 2 * multiplicity, "a wording names its relation"
    for question in world.statements(range(5)):
        assert truth[question.prompt] == world.candidates[question.answer]


@given(seed=seeds)
def test_questions_and_statements_ask_for_the_same_facts_in_different_words(seed: int) -> None:
    world = world_of(seed)
    asked, stated = world.questions(range(24)), world.statements(range(24))
    for place, (question, statement) in enumerate(zip(asked, stated, strict=True)):
        assert (question.about, question.answer) == (statement.about, statement.answer)
        assert question.about == world.names[place // 2]
        assert question.about in question.prompt
        value = RELATIONS[place % 2].candidates[world.values[place // 2, place % 2]]
        assert question.candidates[question.answer] == f" {value}"
    answers = np.array([question.answer for question in asked])
    assert (world.relation_of(answers) == np.arange(len(asked)) % 2).all()
    read = {prompt for prompt, _ in world.sentences(4)}
    assert not read & {question.prompt for question in asked}
    assert read >= {statement.prompt for statement in stated}
    assert world.lessons([3, 7]) == [q.lesson for q in asked if q.about in (world.names[3], world.names[7])]


@given(seed=seeds, n_people=st.integers(1, 60), n_values=st.integers(2, MOST_VALUES))
def test_values_are_as_frequent_as_can_be(seed: int, n_people: int, n_values: int) -> None:
    world = world_of(seed, n_people=n_people, n_values=n_values)
    assert len(set(world.names)) == n_people
    assert len(world.candidates) == 2 * n_values
    for of_relation in world.values.T:
        counts = np.bincount(of_relation, minlength=n_values)
        assert len(counts) == n_values
        assert counts.max() - counts.min() <= 1


@given(seed=seeds, multiplicity=st.integers(1, 7))
def test_more_wordings_keep_people_facts_and_wordings(seed: int, multiplicity: int) -> None:
    some, all_of_them = world_of(seed, multiplicity=multiplicity), world_of(seed, multiplicity=MOST_WORDINGS)
    assert some.names == all_of_them.names
    assert (some.values == all_of_them.values).all()
    assert (some.wordings == all_of_them.wordings[:, :, :multiplicity]).all()
    assert some.statements(range(24)) == all_of_them.statements(range(24))


def test_all_wordings_occur_whatever_the_multiplicity() -> None:
    for relation in range(2):
        assert set(world_of(multiplicity=1, n_people=90).wordings[:, relation, 0].tolist()) == set(range(MOST_WORDINGS))


def test_false_lessons_ask_the_same_and_answer_with_any_other_value_of_the_relation() -> None:
    world = world_of()
    rng = np.random.default_rng(1)
    drawn = [lesson for _ in range(500) for lesson in world.false_lessons([2], rng=rng)]
    assert [prompt for prompt, _ in drawn[:2]] == [prompt for prompt, _ in world.lessons([2])]
    counts = Counter(drawn)
    assert set(counts).isdisjoint(world.lessons([2]))
    assert len(counts) == 2 * 19, "every other value of the right relation, and no value of another"
    assert max(counts.values()) < 60  # 26 each: far above would be 7 standard deviations


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"n_people": 0}, "names for 1"),
        ({"n_people": 10**3}, "people; got 1000"),
        ({"multiplicity": 0}, "multiplicity must lie in 1"),
        ({"multiplicity": 9}, "the wordings of a relation; got 9"),
        ({"n_values": 1}, "n_values must lie in 2"),
        ({"n_values": 21}, "the values of a relation; got 21"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, int], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        world_of(**sizes)


def test_wordings_that_cannot_be_spread_evenly_are_refused() -> None:
    for per_fact in (0, 6):
        with pytest.raises(SettingsError, match="multiple of its 4 wordings"):
            world_of().sentences(per_fact)
