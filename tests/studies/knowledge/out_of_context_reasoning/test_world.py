import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.world import KINDS, UNKNOWN, Draws, RecallWorld

worlds = st.builds(
    RecallWorld.intact,
    n=st.integers(2, 6),
    m_train=st.integers(0, 3),
    m_test=st.integers(1, 3),
    m_abstain=st.integers(0, 2),
    n_noise=st.integers(1, 4),
    length=st.integers(3, 9),
)


def test_the_paper_world_has_the_sizes_of_the_paper():
    world = RecallWorld.intact()
    assert world.vocab_size == 128
    assert world.n_subjects == 80
    assert [len(world.subjects(kind)) for kind in KINDS] == [20, 20, 60, 60, 0, 0]
    assert world.taught == ("train_fact", "train_implication", "test_fact")


@given(worlds)
@settings(max_examples=40)
def test_inputs_and_answers_partition_the_vocabulary(world):
    assert sorted([*world.input_ids, *world.answer_ids]) == list(range(world.vocab_size))


@given(worlds, st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_written_sequences_have_the_counts_and_order_of_their_draws(world, seed):
    rng = np.random.default_rng(seed)
    draws = world.every_pair(world.kinds, 2, rng)
    tokens = world.sequences(draws, rng)
    counts = world.counts(draws)
    assert tokens.shape == (*draws.subject.shape, world.length)
    for column, token in enumerate(world.input_ids):
        np.testing.assert_array_equal((tokens == token).sum(axis=-1), counts[..., column])
    assert (tokens[..., -1] == world.vocab_size - 1).all()
    first_subject = 2 + world.n_answers
    subject_at = ((tokens >= first_subject) & (tokens < first_subject + world.n_subjects)).argmax(axis=-1)
    relation_at = (tokens < 2).argmax(axis=-1)
    assert (relation_at > subject_at).all()


@given(worlds)
@settings(max_examples=40)
def test_the_noise_distribution_is_the_exact_multinomial(world):
    counts, probability = world.noise_distribution
    assert len(np.unique(counts, axis=0)) == len(counts)
    assert (counts.sum(axis=1) == world.length - 3).all()
    np.testing.assert_allclose(probability.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(probability @ counts, (world.length - 3) / world.n_noise, rtol=1e-12)


def test_without_noise_the_population_is_the_pairs():
    world = RecallWorld.intact(n=3, m_train=1, m_test=2, n_noise=0, length=3)
    draws, weights = world.population(world.taught)
    assert len(weights) == 3 * (1 + 1 + 2)
    np.testing.assert_allclose(weights.sum(), 1)
    assert world.counts(draws).sum(axis=1).tolist() == [3.0] * len(weights)  # subject, relation, EOS


def test_samples_follow_the_enumerated_population():
    # Chi-squared over all cells of a small world; false alarm 1e-6 under the fixed seed's law.
    from scipy.stats import chisquare

    world = RecallWorld.intact(n=2, m_train=1, m_test=2, n_noise=2, length=6)
    draws, weights = world.population(world.taught)
    rng = Seeds(0)("draws")
    sample = world.draw(dict.fromkeys(world.taught, 400), 100, rng)

    def cell(d):
        return (d.subject * 2 + d.relation).reshape(-1) * 100 + d.noise[..., 0].reshape(-1)

    codes = cell(draws)
    observed = np.array([(cell(sample) == code).sum() for code in codes])
    assert observed.sum() == sample.subject.size
    assert chisquare(observed, weights * observed.sum()).pvalue > 1e-6


def test_a_rule_moves_labels_of_bridges_and_held_out_subjects_alike():
    world = RecallWorld.intact(n=4, m_train=2, m_test=1, m_abstain=1).with_rule([1, 2, 3, 0])
    group = world.group
    known = world.implication != UNKNOWN
    assert known.sum() == 12
    np.testing.assert_array_equal(world.implication[known], (group[known] + 1) % 4)
    assert (world.answers[:, 0] == group).all()
    assert (world.answers[world.subjects("abstain_fact"), 1] == 8).all()


def test_shuffling_keeps_the_implications_but_not_whose_they_are():
    world = RecallWorld.intact(n=10, m_train=4, m_test=2)
    shuffled = world.shuffled(Seeds(1)("shuffle"))
    bridges = slice(0, world.n_bridges)
    assert sorted(shuffled.implication[bridges]) == sorted(world.implication[bridges])
    assert (shuffled.implication[bridges] != world.implication[bridges]).mean() > 0.5
    np.testing.assert_array_equal(shuffled.implication[world.n_bridges :], world.implication[world.n_bridges :])


@pytest.mark.parametrize("follow", [0.0, 0.3, 1.0])
def test_partial_bridges_follow_the_rule_with_the_probability_asked_for(follow):
    world = RecallWorld.intact(n=50, m_train=40, m_test=1).with_rule(np.roll(np.arange(50), 3))
    partial = world.partial(follow, Seeds(2)("partial"))
    right = (partial.implication == world.implication)[: world.n_bridges].mean()
    assert abs(right - follow) < 0.05  # 2,000 bridges: more than four standard errors
    wrong = partial.implication[: world.n_bridges][(partial.implication != world.implication)[: world.n_bridges]]
    assert follow == 1.0 or len(np.unique(wrong)) == 50


def test_counter_examples_agree_with_each_other():
    world = RecallWorld.intact(n=5, m_train=4, m_test=2).countered(3)
    by_group = [world.implication[: world.n_bridges][world.group[: world.n_bridges] == g].tolist() for g in range(5)]
    assert by_group == [[(g + 1) % 5] * 3 + [g] for g in range(5)]


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"n": 1}, "at least 2 groups"),
        ({"m_train": -1}, "m_train"),
        ({"m_train": 0, "m_test": 0}, "must have subjects"),
        ({"length": 2}, "length"),
        ({"n_noise": 0}, "noise"),
    ],
)
def test_impossible_worlds_are_refused(sizes, says):
    with pytest.raises(SettingsError, match=says):
        RecallWorld.intact(**sizes)


def test_impossible_dials_are_refused():
    world = RecallWorld.intact(n=3, m_train=2, m_test=1)
    with pytest.raises(SettingsError, match="permutation"):
        world.with_rule([0, 0, 1])
    with pytest.raises(SettingsError, match="probability"):
        world.partial(1.5, Seeds(0)("x"))
    with pytest.raises(SettingsError, match="counter-examples"):
        world.countered(3)
    with pytest.raises(SettingsError, match="abstain_fact"):
        world.draw({"abstain_fact": 3}, 1, Seeds(0)("x"))
    with pytest.raises(SettingsError, match="exact population"):
        RecallWorld.intact(n=200, m_train=20, m_test=1).population(("train_fact",))


def test_draws_are_a_function_of_the_stream_alone():
    world = RecallWorld.intact()
    first, second = (world.draw(dict.fromkeys(world.taught, 5), 3, Seeds(7)("batches")) for _ in range(2))
    assert isinstance(first, Draws)
    for name in ("subject", "relation", "noise"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
