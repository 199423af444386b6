"""Two-hop prompts: the answer follows from what is told, cut prompts have none, and the interleavings are the paper's."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.studies.mechanisms.two_hop_reasoning.prompts import (
    ENDINGS,
    STEMS,
    TOPICS,
    WORDINGS,
    ChainPrompt,
    Names,
    Wording,
    asked_about,
    drawn_prompts,
)

ALL_NAMES = {stem + ending for stem in STEMS for ending in ENDINGS.values()}


def prompts(n: int = 12, n_chains: int = 2, *, seed: int = 0, **options: object) -> list[ChainPrompt]:
    rng = np.random.default_rng(seed)
    return drawn_prompts(n, n_chains, wordings=WORDINGS, stems=STEMS, rng=rng, **options)  # type: ignore[arg-type]


def names_in(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if word in ALL_NAMES]


def told_edges(prompt: ChainPrompt) -> dict[str, str]:
    """Parent -> child, read from the text alone: every sentence names two."""
    found = {}
    for sentence in prompt.premises.removesuffix(".").split(". "):
        parent, child = names_in(sentence)
        assert parent not in found
        found[parent] = child
    return found


def test_names_are_many_distinct_and_none_begins_another() -> None:
    assert len(set(STEMS)) == len(STEMS) == 96
    assert set(Counter(stem[0] for stem in STEMS).values()) == {4}
    assert list(STEMS) == sorted(STEMS, key=lambda stem: stem[0])
    assert len(ALL_NAMES) == len(STEMS) * len(ENDINGS)
    for ending in ENDINGS.values():
        names = sorted(stem + ending for stem in STEMS)
        assert not any(later.startswith(earlier) for earlier, later in pairwise(names))


def test_every_topic_has_wordings_to_train_and_one_held_out() -> None:
    assert len(TOPICS) == 4
    for topic in TOPICS:
        assert sorted(wording.held_out for wording in WORDINGS if wording.topic == topic) == [False, False, True]
    for wording in WORDINGS:
        assert wording.kind in ENDINGS
        assert wording.first.count("{}") == wording.second.count("{}") == 2
        assert wording.question.count("{}") == 1
        assert wording.second.endswith(" {}.")
        assert not wording.question.endswith(" ")
    assert len({wording.name for wording in WORDINGS}) == len(WORDINGS)


def test_people_of_one_sex_where_the_words_want_it() -> None:
    kinds = {wording.name: wording.kind for wording in WORDINGS if wording.topic == "kinship"}
    assert kinds == {"mother": "woman", "father": "man", "daughter": "woman"}


@given(n_chains=st.integers(1, 5), seed=st.integers(0, 10**6), order=st.sampled_from(["forward", "any"]))
@settings(max_examples=50)
def test_following_the_told_edges_gives_the_answer(n_chains: int, seed: int, order: str) -> None:
    for prompt in prompts(12, n_chains, seed=seed, order=order):
        edges = told_edges(prompt)
        assert len(edges) == 2 * n_chains
        for chain, (source, bridge, end) in enumerate(prompt.chains):
            question = prompt.question(chain).removeprefix(prompt.premises)
            assert names_in(question) == [source]
            assert edges[edges[source]] == end == prompt.ends[chain]
            assert names_in(prompt.question(chain, hops=1).removeprefix(prompt.premises)) == [bridge]
        if order == "forward":
            assert all(prompt.slots.index((chain, 0)) < prompt.slots.index((chain, 1)) for chain in range(n_chains))
        initials = [name[0] for name in names_in(prompt.premises)]
        assert len(set(initials)) == 3 * n_chains


@given(n_chains=st.integers(1, 5), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_cut_chains_lead_nowhere(n_chains: int, seed: int) -> None:
    for prompt in prompts(12, n_chains, seed=seed, cut=True):
        edges = told_edges(prompt)
        for source, bridge, end in prompt.chains:
            assert edges[source] == bridge
            assert bridge not in edges
            assert end in edges.values()


def test_the_wording_of_a_question_goes_on_from_its_premises() -> None:
    wording = Wording("w", "kinship", "woman", "{} bore {}.", "The child {} bore {}.", "So {} is the grandmother of")
    prompt = ChainPrompt(wording, (("A", "B", "C"), ("D", "E", "F")), ("B", "E"), ((1, 0), (0, 0), (0, 1), (1, 1)))
    assert prompt.question(0) == "D bore E. A bore B. The child B bore C. The child E bore F. So A is the grandmother of"
    assert prompt.question(1, hops=1) == (
        "D bore E. A bore B. The child B bore C. The child E bore F. As we said, the child E bore"
    )
    with pytest.raises(SettingsError, match="hops=3"):
        prompt.question(0, hops=3)


@given(hops=st.sampled_from([1, 2]), n_chains=st.integers(1, 4), seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_a_question_s_answer_is_the_end_of_its_chain_among_all_ends_and_its_bridge(hops: int, n_chains: int, seed: int) -> None:
    for prompt in prompts(12, n_chains, seed=seed):
        for chain, (_, bridge, end) in enumerate(prompt.chains):
            question = prompt.asked(chain, hops=hops, kind="some")
            assert question.candidates == (*(f" {name}" for name in prompt.ends), f" {bridge}")
            assert question.candidates[question.answer] == f" {end}"
            assert (question.prompt, question.about, question.kind) == (
                prompt.question(chain, hops=hops), prompt.wording.topic, "some",
            )  # fmt: skip


def test_chains_are_told_in_order_and_whole_unless_it_is_said() -> None:
    assert prompts(60, 3) == prompts(60, 3, order="forward", cut=False)


def test_interleavings_follow_the_authors_law() -> None:
    # Two chains of two sentences in order: 6 interleavings, each 1/6; in any order 24.
    for order, count in (("forward", 6), ("any", 24)):
        seen = Counter(prompt.slots for prompt in prompts(6000, 2, order=order))
        assert len(seen) == count
        assert all(abs(times / 6000 - 1 / count) < 0.02 for times in seen.values())


def test_a_fixed_guess_is_right_once_in_k() -> None:
    for prompt in prompts(24, 5):
        guess = prompt.ends[2]
        assert [prompt.ends[chain] == guess for chain in range(5)].count(True) == 1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_new_names_are_new(seed: int) -> None:
    names = Names.split(np.random.default_rng(seed))
    assert not set(names.training) & set(names.new)
    assert set(names.training) | set(names.new) == set(STEMS)
    for stems in (names.training, names.new):
        assert set(Counter(stem[0] for stem in stems).values()) == {2}
        drawn_prompts(1, 5, wordings=WORDINGS, stems=stems, rng=np.random.default_rng(seed), cut=True)


def test_training_examples_are_right_and_ask_for_all_chains() -> None:
    rng = np.random.default_rng(0)
    found = prompts(400, 2)
    examples = [asked_about(prompt, rng) for prompt in found]
    asked: Counter[int] = Counter()
    for prompt, (text, answer) in zip(found, examples, strict=True):
        chain = prompt.ends.index(answer.removeprefix(" "))
        assert text == prompt.question(chain)
        asked[chain] += 1
    assert abs(asked[0] / 400 - 0.5) < 0.1


def test_wordings_take_turns() -> None:
    assert Counter(prompt.wording.name for prompt in prompts(24)) == {wording.name: 2 for wording in WORDINGS}


@pytest.mark.parametrize(
    ("n_chains", "options", "says"),
    [
        (0, {}, "at least one chain"),
        (9, {}, "9 chains need 27, and there are 24"),
        (7, {"cut": True}, "Take at most 6 chains"),
    ],
)
def test_impossible_prompts_are_refused(n_chains: int, options: dict[str, bool], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        prompts(1, n_chains, **options)


def test_prompts_need_a_wording() -> None:
    with pytest.raises(SettingsError, match="one wording"):
        drawn_prompts(1, 2, wordings=(), stems=STEMS, rng=np.random.default_rng(0))
