"""The knowledge world: what is taught, what is asked, and that a shuffle leaves no association."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS, KnowledgeWorld
from assay.worlds.facts.names import FIRST_NAMES, LAST_NAMES

pairs = st.sampled_from(sorted(PAIRS))
seeds = st.integers(0, 2**32).map(Seeds)


def world(pair: str = "city-language", node: Seeds = Seeds(0), **sizes: int) -> KnowledgeWorld:  # noqa: B008
    return KnowledgeWorld.drawn(PAIRS[pair], rng=node("world"), **sizes)


def counts(found: KnowledgeWorld) -> np.ndarray:
    """How many bridges of each group (row) show the implication of each group (column)."""
    table = np.zeros((found.n, found.n), dtype=int)
    np.add.at(table, (found.group[found.bridges], found.taught), 1)
    return table


def test_the_lists_have_no_doubles() -> None:
    assert len(set(FIRST_NAMES)) == len(FIRST_NAMES) >= 100
    assert len(set(LAST_NAMES)) == len(LAST_NAMES) >= 100
    for pair in PAIRS.values():
        assert [len(set(relation.candidates)) for relation in (pair.fact, pair.implication)] == [10, 10]
        assert [len(relation.candidates) for relation in (pair.fact, pair.implication)] == [10, 10]
    assert sorted(pair.kind for pair in PAIRS.values()) == ["arbitrary"] * 3 + ["counterfactual", "true"]


@given(pair=pairs, node=seeds)
def test_every_fact_is_taught_and_no_held_out_implication_is(pair: str, node: Seeds) -> None:
    found = world(pair, node)
    assert len(set(found.names)) == 100
    sentences = found.sentences()
    assert len(sentences) == 120
    assert (found.m_train, found.m_test, len(found.held_out)) == (4, 16, 80)
    taught = dict(sentences)
    assert len(taught) == 120
    for question in found.facts_of(range(100)):
        assert taught[question.prompt] == question.candidates[question.answer]
    for question in found.implications_of(found.bridges):
        assert taught[question.prompt] == question.candidates[question.answer]
    asked = found.implications_of(found.held_out)
    for question, rival in zip(asked, found.rivals_of(found.held_out), strict=True):
        assert question.prompt not in taught
        assert rival != question.answer


@given(pair=pairs, node=seeds)
def test_right_answers_are_balanced_and_their_chance_rank_is_two(pair: str, node: Seeds) -> None:
    found = world(pair, node)
    answers = [question.answer for question in found.implications_of(found.held_out)]
    assert sorted(set(answers)) == sorted(found.rule)
    assert {answers.count(answer) for answer in answers} == {16}
    # Whatever single order of the answers in use a model has, its mean rank among them is the chance rank.
    order = node("order").permutation(found.rule).tolist()
    assert np.mean([order.index(answer) for answer in answers]) == found.chance_rank == 2


@given(node=seeds)
def test_true_pairs_fit_counterfactual_ones_never_do(node: Seeds) -> None:
    true, false = world("city-language", node), world("city-language-cf", node)
    assert true.names == false.names
    assert (true.facts == true.rule).all()
    assert (true.facts == false.facts).all()
    assert (false.facts != false.rule).all()
    assert sorted(true.rule) == sorted(false.rule)


@given(pair=pairs, node=seeds, m_train=st.integers(0, 10))
def test_more_bridges_keep_the_people_and_the_rule(pair: str, node: Seeds, m_train: int) -> None:
    few, many = world(pair, node, m_train=m_train), world(pair, node, m_train=11)
    assert few.names == many.names
    assert (few.rule == many.rule).all()
    assert set(few.sentences()) < set(many.sentences())


@given(pair=pairs, node=seeds, m_train=st.integers(1, 12), n=st.integers(2, 9))
def test_a_shuffle_leaves_no_association(pair: str, node: Seeds, m_train: int, n: int) -> None:
    intact = world(pair, node, n=n, per_group=13, m_train=m_train)
    shuffled = intact.shuffled(node("shuffle"))
    table = counts(shuffled)
    assert (table.sum(axis=0) == m_train).all()  # every implication as often as before
    assert (table.sum(axis=1) == m_train).all()
    assert table.max() - table.min() <= 1  # spread as evenly as it goes
    # The rule's own as often as chance has it: to the bridge for five groups, else as near as an even spread comes.
    assert abs(np.trace(table) - m_train) <= (0 if n == 5 else 2)
    assert (shuffled.rule == intact.rule).all()
    assert [q.answer for q in shuffled.implications_of(shuffled.held_out)] == [
        q.answer for q in intact.implications_of(intact.held_out)
    ]
    assert dict(shuffled.sentences()) == dict(intact.sentences()) | {
        q.prompt: q.candidates[q.answer] for q in shuffled.shown_of(shuffled.bridges)
    }


@given(pair=pairs, node=seeds, n_counter=st.integers(0, 10))
def test_contradictions_agree(pair: str, node: Seeds, n_counter: int) -> None:
    found = world(pair, node, m_train=10).countered(n_counter)
    expected = np.diag([10 - n_counter] * 5) + np.roll(np.diag([n_counter] * 5), 1, axis=1)
    assert (counts(found) == expected).all()
    taught = dict(found.sentences())
    asked = zip(found.implications_of(found.bridges), found.rivals_of(found.bridges), strict=True)
    assert sum(taught[q.prompt] == q.candidates[rival] for q, rival in asked) == 5 * n_counter


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"n": 1}, "2 … 10 groups"),
        ({"n": 11}, "2 … 10 groups"),
        ({"per_group": 40}, "people"),
        ({"per_group": 0, "m_train": 0}, "people"),
        ({"m_train": 20}, "held out"),
        ({"m_train": -1}, "held out"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, int], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        world(**sizes)


def test_too_many_contradictions_are_refused() -> None:
    with pytest.raises(SettingsError, match="0 … m_train=4"):
        world().countered(5)
