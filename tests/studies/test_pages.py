"""Every study of the tree says its task in one example, explains its words there, and has a figure to open its page with."""

import re

import pytest

from assay.claims.study import Study
from assay.runner.discovery import studies, wing_of, wings

STUDIES = list(studies().studies.values())


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.slug)
def test_a_study_has_an_example_that_explains_its_words(study: Study) -> None:
    assert study.example is not None, "a study's page opens with its task in one example: example=Example(...)"
    lines = study.example.lines
    assert 4 <= len(lines) <= 6
    assert all(len(shown) <= 60 and len(says) <= 240 for shown, says in lines)
    words = [word for _, says in lines for word in re.findall(r"\*([^*]+)\*", says)]
    assert len(words) >= 3
    assert len(words) == len(set(words))  # each is explained once
    assert all(says.count("*") % 2 == 0 for _, says in lines)
    assert study.opening is not None


def test_every_study_of_the_tree_stands_in_a_wing() -> None:
    assert {wing_of(study.slug) for study in STUDIES} <= set(wings())
    assert wing_of("no-such-study") == ""
