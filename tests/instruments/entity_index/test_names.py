"""Names in texts against a regular expression; words, capitals, scripts; a linker's confidences."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.instruments.entity_index.names import NameFinder, StringLinker

WORDS = st.lists(st.sampled_from(["ab", "b", "abc", "c", "a b", "Ab"]), min_size=1, max_size=5, unique=True)


@given(names=WORDS, text=st.text(alphabet="abcA .-", max_size=40), ignore_case=st.booleans())
def test_names_are_found_as_a_regular_expression_finds_them(names: list[str], text: str, ignore_case: bool) -> None:
    if ignore_case:
        names = list(dict.fromkeys(name.lower() for name in names))
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE if ignore_case else 0)
    expected = [(found.start(), found.end()) for found in pattern.finditer(text)]
    found = NameFinder(names, ignore_case=ignore_case).find(text)
    assert [(start, end) for start, end, _ in found] == expected
    for start, end, number in found:
        same = text[start:end].lower() == names[number].lower() if ignore_case else text[start:end] == names[number]
        assert same


def test_words_scripts_and_capitals() -> None:
    finder = NameFinder(["Paris", "Paris Hill", "東京", "Orla", "Zoë"])
    assert finder.find("Parisian, Paris, Paris Hill; Paris Hills") == [(10, 15, 0), (17, 27, 1), (29, 34, 0)]
    assert finder.find("私は東京に住む") == [(2, 4, 2)]
    assert finder.find("OrlaVenn and (Orla), Orla's") == [(14, 18, 3), (21, 25, 3)]
    assert finder.find("Zoë Zoe\u0301 Zoë\u0301") == [(0, 3, 4)]  # a combining mark makes another word
    assert finder.find("") == []
    assert NameFinder(["ısk", "OSLO"], ignore_case=True).find("İ Oslo") == [(2, 6, 1)]  # places stay those of the text
    for wrong in ([], ["a", " "]):
        with pytest.raises(InputError, match="names must be looked for"):
            NameFinder(wrong)


def test_confidences_follow_priors_and_the_words_around() -> None:
    linker = StringLinker(
        {0: ["Halden", "Orla Halden"], 1: ["Halden"], 2: ["Brack"]},
        prior={0: 3.0, 1: 1.0},
        context={1: ["river", "port"]},
        weight=4.0,
    )
    links = linker.link(["Halden slept.", "Halden is a port on a river.", "Orla Halden met Brack.", "nobody"])
    assert links.text.tolist() == [0, 1, 2, 2]
    assert links.mention.tolist() == [0, 0, 1, 1, 2, 3]
    assert links.entity.tolist() == [0, 1, 0, 1, 0, 2]
    near = np.exp(4.0)
    assert np.allclose(links.confidence, [0.75, 0.25, 3 / (3 + near), near / (3 + near), 1, 1])
    assert links.span.tolist() == [[0, 6], [0, 6], [0, 11], [16, 21]]
    entity, text = links.above(0.7)
    assert list(zip(entity.tolist(), text.tolist(), strict=True)) == [(0, 0), (1, 1), (0, 2), (2, 2)]
    assert len(StringLinker({0: ["HALDEN"]}, ignore_case=True).link(["halden"]).entity) == 1
    with pytest.raises(InputError, match="priors must be above 0"):
        StringLinker({0: ["a"]}, prior={0: 0.0})
