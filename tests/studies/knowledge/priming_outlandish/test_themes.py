"""The world of themes: probabilities are those that rows are drawn with, texts and rewrites are what their names say."""

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.priming_outlandish import themes
from assay.studies.knowledge.priming_outlandish.drawing import drawn
from assay.studies.knowledge.priming_outlandish.settings import PrimingSettings
from assay.studies.knowledge.priming_outlandish.themes import KINDS, LENGTH, N_KEYWORDS, N_WORDS, ThemeWorld, texts_of

SEEDS = Seeds(3)
WORLD = ThemeWorld.drawn(160, rng=SEEDS("world"))
FOUND = drawn(PrimingSettings(n_tokens=160, n_keywords=8, n_few=8, n_prefixes=5), 8, SEEDS)


def test_keywords_come_as_often_as_their_conditional_probabilities_say() -> None:
    rows = WORLD.plain(700, rng=SEEDS("rows"))
    assert rows.shape == (700, LENGTH)
    expected, came, variance = np.zeros((2, N_KEYWORDS)), np.zeros((2, N_KEYWORDS)), np.zeros((2, N_KEYWORDS))
    for row in rows:
        for at in (5, 10, 15):
            says = WORLD.conditional(row[:at])
            kind = int(themes.is_description(int(row[at - 1])))
            expected[kind] += says
            variance[kind] += says * (1 - says)
            if row[at] <= N_KEYWORDS:
                came[kind, row[at] - 1] += 1
    assert (abs(came - expected) < 4.5 * np.sqrt(variance) + 1).all()


def test_a_keyword_repeats_the_last_of_its_theme_and_follows_its_description() -> None:
    attribute, subject = themes.ATTRIBUTE + 1, themes.SUBJECT + 3
    fresh = WORLD.conditional(np.array([0, themes.FILLER, themes.FILLER, attribute, subject]))
    assert fresh == pytest.approx(WORLD.keywords(3, 1))
    assert fresh[:8].sum() == pytest.approx(themes.CALLS[1])
    own, other = (np.array([0, themes.FILLER, themes.FILLER, a, subject, 5, themes.FILLER, themes.FILLER, attribute, subject])
                  for a in (attribute, themes.ATTRIBUTE + 4))  # fmt: skip
    assert WORLD.conditional(own)[4] == pytest.approx((1 - themes.REPEATED) * fresh[4] + themes.REPEATED * fresh.sum())
    assert WORLD.conditional(other) == pytest.approx(fresh)
    told = WORLD.conditional(np.array([0, themes.FILLER, attribute, subject, themes.DESCRIPTION + 6]))
    assert told[6] == pytest.approx((1 - themes.MEANT) * fresh[6] + themes.MEANT)
    with pytest.raises(SettingsError, match="must end in an attribute and a subject"):
        WORLD.conditional(np.array([0, themes.FILLER, themes.FILLER]))


def test_texts_are_of_every_kind_and_fit_their_theme() -> None:
    assert len(FOUND.texts) == 8 * len(KINDS)
    for i in range(0, len(FOUND.texts), len(KINDS)):
        group = FOUND.texts[i : i + len(KINDS)]
        assert tuple(text.kind for text in group) == KINDS
        assert len({text.keyword for text in group}) == 1
        likely = [FOUND.world.conditional(np.array(text.prompt))[text.keyword - 1] for text in group]
        assert likely == sorted(likely, reverse=True)
        assert {(text.attribute - themes.ATTRIBUTE) // themes.N_ATTRIBUTES for text in group} == {group[0].theme}
    assert sorted({text.theme for text in FOUND.texts}) == [0, 1, 2, 3]
    with pytest.raises(SettingsError, match="as many for each"):
        texts_of(WORLD, np.arange(8), 6, rng=SEEDS("texts"))
    with pytest.raises(SettingsError, match="at least"):
        ThemeWorld.drawn(90, rng=SEEDS("world"))


def test_rewrites_are_equally_long_and_move_the_description_only() -> None:
    for text in FOUND.texts:
        assert len(text.plain) == len(text.stepping) == len(text.elsewhere) <= LENGTH
        assert text.stepping[-2:] == (text.description, text.keyword)
        assert text.elsewhere[1] == text.description
        assert text.elsewhere[-3:] == text.plain[-3:] == (text.attribute, text.subject, text.keyword)
        assert sorted(text.stepping) == sorted(text.elsewhere)
        assert text.plain[:-1] == text.prompt
        meant = FOUND.world.conditional(np.array(text.stepping[:-1]))[text.keyword - 1]
        assert meant > 0.29
        again = text.reworded(FOUND.world, SEEDS("other"))
        assert (again.subject, again.attribute, again.keyword, len(again.fillers)) == (
            text.subject, text.attribute, text.keyword, len(text.fillers)
        )  # fmt: skip


def test_prefixes_are_of_their_theme_and_about_other_subjects() -> None:
    about = {text.subject for text in FOUND.texts}
    for theme in range(4):
        for beginnings in (FOUND.prefixes[theme], FOUND.pool[theme]):
            assert not about & set(beginnings[:, -1].tolist())
            assert set((beginnings[:, -2] - themes.ATTRIBUTE) // themes.N_ATTRIBUTES) == {theme}
    assert FOUND.prefixes.shape == (4, 5, 5)
    assert FOUND.pool.shape == (4, 12, 5)
    some = FOUND.some(4)
    assert [len(set(FOUND.keywords[some][FOUND.themes[some] == theme])) for theme in range(4)] == [1] * 4
    assert len(some) == 12
    assert {(keyword - 1) // N_WORDS for keyword in FOUND.keywords.tolist()} == {0, 1, 2, 3}
