"""Knowledge triples: statements tell the facts, questions differ from them in one token, coverage follows its closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import LENGTH, SUBJECT, TripleWorld


def world_of(seed: int = 0, **sizes: object) -> TripleWorld:
    return TripleWorld.sample(rng=np.random.default_rng(seed), **sizes)  # type: ignore[arg-type]


@given(
    n_subjects=st.integers(1, 9), n_types=st.integers(1, 3), n_templates=st.integers(1, 6), multiplicity=st.integers(1, 6),
    shared=st.booleans(), seed=st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=60)
def test_statements_tell_the_facts_in_their_wordings(
    n_subjects: int, n_types: int, n_templates: int, multiplicity: int, shared: bool, seed: int
) -> None:
    sizes = {"n_subjects": n_subjects, "n_types": n_types, "n_templates": n_templates, "n_values": 3, "n_noise": 2}
    multiplicity = min(multiplicity, n_templates)
    world = world_of(seed, multiplicity=multiplicity, shared=shared, **sizes)
    rng = np.random.default_rng(seed + 1)
    assert world.values.max() < world.n_outputs == 3 * (1 if shared else n_types)
    for fact in world.wordings.reshape(-1, multiplicity):
        assert len(set(fact.tolist())) == multiplicity
    for drawn in (world.statements(40, rng=rng), world.stated(rng=rng)):
        assert drawn.tokens.shape == (len(drawn.answers), LENGTH)
        assert drawn.tokens.max() < world.vocab_size
        for tokens, answer, who, which in zip(drawn.tokens, drawn.answers, drawn.subjects, drawn.types, strict=True):
            assert tokens[SUBJECT] == who
            assert answer == world.values[who, which]
            assert tokens[-1] in world.template_tokens(which, world.wordings[who, which])
            assert (np.delete(tokens, (SUBJECT, LENGTH - 1)) >= world.vocab_size - world.n_noise).all()
    asked, stated = world.asked(rng=rng), world.stated(rng=rng)
    assert (asked.answers == stated.answers).all()
    assert (asked.answers == world.values.reshape(-1)).all()
    assert (asked.tokens[:, -1] == world.question_tokens(asked.types)).all()
    assert not set(asked.tokens[:, -1].tolist()) & set(stated.tokens[:, -1].tolist())
    if not shared:
        assert (world.type_of_output(asked.answers) == asked.types).all()


def test_every_token_has_one_meaning() -> None:
    world = world_of(n_subjects=4, n_types=2, n_templates=3, multiplicity=1, n_values=2, n_noise=2)
    templates = {int(world.template_tokens(np.array(j), np.array(i))) for j in range(2) for i in range(3)}
    questions = set(world.question_tokens(np.arange(2)).tolist())
    noise = set(world.noise((500,), rng=np.random.default_rng(0)).tolist())
    assert (templates, questions, noise) == (set(range(4, 10)), {10, 11}, {12, 13})
    assert world.vocab_size == 14


def test_chosen_subjects_are_the_only_ones_asked_about_and_equally_often() -> None:
    world = world_of(n_subjects=10)
    drawn = world.questions(6000, rng=np.random.default_rng(0), subjects=np.array([2, 5, 7]))
    who, counts = np.unique(drawn.subjects, return_counts=True)
    assert who.tolist() == [2, 5, 7]
    assert np.abs(counts / 6000 - 1 / 3).max() < 0.03


def test_leaving_the_subject_out_changes_nothing_else() -> None:
    world = world_of(n_subjects=10)
    drawn = world.stated(rng=np.random.default_rng(0))
    bare = drawn.without_subject(world.noise(drawn.answers.shape, rng=np.random.default_rng(1)))
    assert (np.delete(bare.tokens, SUBJECT, 1) == np.delete(drawn.tokens, SUBJECT, 1)).all()
    assert (bare.tokens[:, SUBJECT] >= world.vocab_size - world.n_noise).all()
    assert (drawn.tokens[:, SUBJECT] < 10).all()


def test_coverage_follows_its_closed_form() -> None:
    # A template is missed by one fact with probability 1 - K/R, and facts draw theirs independently.
    n_taught, templates, multiplicity = 6, 16, 4
    shares = []
    for seed in range(40):
        world = world_of(seed, n_subjects=100, n_templates=templates, multiplicity=multiplicity)
        taught = np.arange(100) < n_taught
        coverage = world.coverage(taught)
        assert (coverage[taught] == 1).all()
        shares.append(coverage[~taught].mean())
    assert np.mean(shares) == pytest.approx(1 - (1 - multiplicity / templates) ** n_taught, abs=0.02)
    assert (world.coverage(np.zeros(100, dtype=bool)) == 0).all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"multiplicity": 5, "n_templates": 4}, "multiplicity 5 with n_templates = 4"),
        ({"n_values": 1}, "at least 2 possible values"),
        ({"n_subjects": 0}, "n_subjects must be at least 1"),
        ({"n_noise": 0}, "n_noise must be at least 1"),
    ],
)
def test_impossible_worlds_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        world_of(**sizes)


def test_questions_that_have_no_answer_are_refused() -> None:
    with pytest.raises(SettingsError, match="shared values belong to every type"):
        world_of(shared=True).type_of_output(np.array([0]))
    with pytest.raises(SettingsError, match="at least one subject"):
        world_of().questions(3, rng=np.random.default_rng(0), subjects=np.array([], dtype=int))
