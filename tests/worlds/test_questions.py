"""Questions and answers: every number against one worked out by hand, and selections that keep what belongs together."""

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.worlds.facts.model import Template
from assay.worlds.facts.names import MOST_NAMES, draw_names
from assay.worlds.facts.questions import Answers, Question, pairs_of

FIRST = Question("Ana is in", (" Rome", " Oslo", " Lima"), 1, about="Ana", kind="home")
SPELLED = Question("Ben is in", ((" Rome", " Roma"), " Oslo"), 0, about="Ben", kind="home")
ALONE = Question("Ana drinks", (" tea",), 0, about="Ana", kind="taste")
ANSWERS = Answers.of([FIRST, SPELLED, ALONE], [np.log([0.2, 0.3, 0.1]), np.log([0.2, 0.2]), np.log([0.6])])


def test_every_number_is_the_one_by_hand() -> None:
    np.testing.assert_allclose(ANSWERS.prob, [0.3, 0.2, 0.6])
    np.testing.assert_allclose(ANSWERS.share, [0.5, 0.5, 1.0])
    np.testing.assert_allclose(ANSWERS.rank, [0, 0.5, 0])
    np.testing.assert_allclose(ANSWERS.right, [1, 0, 1])
    np.testing.assert_allclose(ANSWERS.margin, [np.log(0.3) - (np.log(0.2) + np.log(0.1)) / 2, 0.0, np.nan])
    np.testing.assert_allclose(ANSWERS.confidence, [0.5, 0.5, 1.0])
    assert ANSWERS.said.tolist() == [1, 0, 0]
    assert ANSWERS.mean("right") == pytest.approx(2 / 3)


def test_spellings_of_an_answer_are_added() -> None:
    log_probs = {pair: float(np.log(0.1)) for pair in pairs_of([FIRST, SPELLED])}
    assert len(log_probs) == 6
    found = Answers.from_pairs([FIRST, SPELLED], log_probs)
    np.testing.assert_allclose(found.prob, [0.1, 0.2])
    assert SPELLED.lesson == ("Ben is in", " Rome")


def test_answers_are_selected_narrowed_and_turned() -> None:
    assert ANSWERS.where(kind="home").questions == (FIRST, SPELLED)
    assert ANSWERS.where(kind="home", about="Ana").questions == (FIRST,)
    assert ANSWERS.where(about=["Ben", "Cy"]).questions == (SPELLED,)
    assert ANSWERS.take(np.array([False, False, True])).questions == ANSWERS.take([2]).questions == (ALONE,)
    first = ANSWERS.take([0])
    np.testing.assert_allclose(first.among([2, 1]).share, [0.75])
    np.testing.assert_allclose(first.instead(0).share, [1 / 3])
    np.testing.assert_allclose(first.instead([2]).among([2, 1]).share, [0.25])
    with pytest.raises(SettingsError, match="at least one question"):
        ANSWERS.where(kind="nothing").mean("right")
    with pytest.raises(SettingsError, match="for each candidate"):
        Answers.of([FIRST], [[0.0]])


def test_names_are_different_people_and_sentences_have_one_gap() -> None:
    names = draw_names(MOST_NAMES, rng=np.random.default_rng(0))
    assert len({name.split()[0] for name in names}) == len({name.split()[1] for name in names}) == MOST_NAMES
    with pytest.raises(SettingsError, match="names for 1"):
        draw_names(MOST_NAMES + 1, rng=np.random.default_rng(0))
    sentence = Template.of("The home of {object} is")
    assert (sentence.prompt("X"), sentence.completion("Y")) == ("The home of X is", " Y")
    for text in ("no gap", "{subject} of {subject}", "{subject} is "):
        with pytest.raises(SettingsError, match="once and end with a word"):
            Template.of(text)
