"""Entities, names and facts of a generated encyclopaedia: sizes, sharing, wordings, two renderings, refusals."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.worlds.encyclopaedia.names import invented
from assay.worlds.encyclopaedia.words import RELATIONS, VALUES
from assay.worlds.encyclopaedia.world import END, PAD, Design, Encyclopaedia, zipf

ONE_TOKEN = ("home", "craft", "instrument", "setting", "seat", "product")


def drawn(seed: int = 0, **design: object) -> Encyclopaedia:
    return Encyclopaedia.drawn(Design(**design), rng=np.random.default_rng(seed))  # type: ignore[arg-type]


WORLD = drawn(n_entities=200)


def test_relations_have_eight_wordings_of_two_words_or_more_and_no_wording_says_two_relations() -> None:
    for name, words in RELATIONS.items():
        assert len(set(words.wordings)) == len(words.wordings) >= 8
        assert all(len(text.split()) >= 2 for text in words.wordings)
        if words.value == "place" or words.value in VALUES:
            assert all(len(text.split()) == 2 for text in words.wordings), name
    texts = [(text, name) for name, words in RELATIONS.items() for text in words.wordings]
    assert len({text for text, _ in texts}) == len(texts)
    plain = [value for values in VALUES.values() for value in values]
    assert len(set(plain)) == len(plain)


def test_wordings_are_told_held_out_or_near() -> None:
    for name in WORLD.values:
        told, held_out, near = (WORLD.wordings_of(name, usage) for usage in ("pages", "held out", "near"))
        assert (len(told), len(held_out), len(near)) == (6, 2, 8)
        first = WORLD.wordings[told[0]].words
        for i in near.tolist():
            words = WORLD.wordings[i].words
            assert sum(a != b for a, b in zip(words, first, strict=True)) == 1
        assert len({WORLD.wordings[i].words for i in (*told, *held_out, *near)}) == 16


@settings(max_examples=15)
@given(
    seed=st.integers(0, 99),
    n=st.integers(20, 150),
    by=st.integers(1, 5),
    aliases=st.integers(0, 3),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_names_are_shared_by_as_many_as_asked(seed: int, n: int, by: int, aliases: int, share: float) -> None:
    world = drawn(seed, n_entities=n, surnames_shared_by=by, aliases_shared_by=by, n_aliases=aliases, shared_names=share)
    assert len(world.entities) == n
    assert len(set(world.words[2:])) == len(world.words) - 2
    kinds = Counter(one.kind for one in world.entities)
    assert abs(kinds["person"] - 0.4 * n) <= 1
    own = Counter(alias for one in world.entities for alias in one.aliases)
    assert not own or max(own.values()) <= by
    assert all(len(set(one.aliases)) <= aliases for one in world.entities)
    names = Counter((one.kind, one.name) for one in world.entities)
    assert max(names.values()) <= 2
    in_pairs = sum(count for count in names.values() if count > 1)
    assert in_pairs == sum(2 * int(share * count / 2) for count in kinds.values())
    if share == 0:
        surnames = Counter(one.surname for one in world.entities if one.surname)
        assert max(surnames.values()) <= by
        assert not world.shared.any()
    one = world.entities[0]
    assert len(one.name) == 2
    assert one.surname == one.name[1:]


def test_facts_are_one_for_each_subject_of_a_relation_and_make_chains() -> None:
    for name, words in RELATIONS.items():
        subjects = [fact.subject for fact in WORLD.facts if fact.relation == name]
        assert subjects == [i for i, one in enumerate(WORLD.entities) if one.kind == words.subject]
    for fact in WORLD.facts:
        assert fact.value in WORLD.values[fact.relation]
        if fact.value_entity >= 0:
            assert WORLD.entities[fact.value_entity].kind == RELATIONS[fact.relation].value
            assert WORLD.entities[fact.value_entity].name == fact.value
    assert len(WORLD.chains)
    for first, second in WORLD.chains.tolist():
        assert WORLD.facts[first].value_entity == WORLD.facts[second].subject


def test_the_two_tokens_before_a_value_are_the_wordings() -> None:
    names = {token for one in WORLD.entities for token in one.name}
    for number, fact in enumerate(WORLD.facts[::7]):
        for usage in ("pages", "held out", "near"):
            for wording in WORLD.wordings_of(fact.relation, usage).tolist():
                sentence = WORLD.sentence(number * 7, wording)
                prompt = WORLD.prompt(number * 7, wording)
                assert sentence == (*prompt, *fact.value, WORLD.stop)
                assert prompt[-2:] == WORLD.wordings[wording].words[-2:]
                assert not names & set(prompt[-2:])


def test_sentences_with_values_of_one_token_have_six_tokens_and_vocabularies_stay_small() -> None:
    world = drawn(n_entities=400, relations=ONE_TOKEN, surnames_shared_by=6, aliases_shared_by=4, shared_names=0.0)
    assert world.vocab_size <= 400
    for number, fact in enumerate(world.facts):
        for wording in world.wordings_of(fact.relation)[:1].tolist():
            assert len(world.sentence(number, wording)) == 6
    wide = drawn(n_entities=400, relations=(*ONE_TOKEN[:3], "employer", "author", "founder"))
    assert wide.vocab_size <= 500


def test_english_is_the_same_sentence() -> None:
    fact = next(i for i, one in enumerate(WORLD.facts) if one.relation == "craft")
    wording = int(WORLD.wordings_of("craft")[0])
    person = WORLD.entities[WORLD.facts[fact].subject]
    first, last = (WORLD.words[token] for token in person.name)
    value = WORLD.words[WORLD.facts[fact].value[0]]
    assert WORLD.english(WORLD.sentence(fact, wording)) == f"{first} {last} earns through {value}."
    she = WORLD.surfaces[WORLD.facts[fact].subject]["pronoun"][0]
    two = [*WORLD.sentence(fact, wording), *WORLD.sentence(fact, wording, subject=she), END, PAD]
    text, starts, ends = WORLD.english_spans(two)
    assert text == f"{first} {last} earns through {value}. {WORLD.words[she[0]].capitalize()} earns through {value}."
    words = [text[a:b] for a, b in zip(starts, ends, strict=True)]
    assert [word.lower() for word in words] == [WORLD.words[token].lower() for token in two]
    assert WORLD.english([]) == ""


def test_popularity_is_zipfs_and_draws_are_repeatable() -> None:
    assert np.allclose(np.sort(WORLD.popularity)[::-1], zipf(200, 1.0))
    assert np.allclose(drawn(popularity=0.0, n_entities=50).popularity, 0.02)
    again = drawn(n_entities=200)
    assert (again.words, again.entities, again.facts) == (WORLD.words, WORLD.entities, WORLD.facts)
    assert drawn(1, n_entities=200).facts != WORLD.facts


def test_what_makes_no_world_is_refused() -> None:
    for wrong, said in (
        ({"n_entities": 3}, "n_entities from 20"),
        ({"relations": ("home", "hme")}, "did you mean 'home'"),
        ({"relations": ()}, "number of relations"),
        ({"relations": ("home", "home")}, "different relations"),
        ({"n_held_out": 8}, "n_held_out from 0 to 7"),
        ({"n_values": 1}, "n_values"),
        ({"shared_names": 1.5}, "shared_names"),
        ({"surnames_shared_by": 0}, "surnames_shared_by"),
    ):
        with pytest.raises(SettingsError, match=said):
            Design(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="wording of its relation"):
        WORLD.sentence(0, int(WORLD.wordings_of("river")[0]))
    with pytest.raises(SettingsError, match="unknown relation"):
        WORLD.wordings_of("hom")
    with pytest.raises(SettingsError, match="different pieces"):
        invented(10**6, set(), rng=np.random.default_rng(0))
