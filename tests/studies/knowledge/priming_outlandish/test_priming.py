"""The arms of the priming experiment: which network, schedule and plain rows each has, and where its contexts come from."""

import math
from typing import Any

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.knowledge.priming_outlandish import STUDY, priming
from assay.studies.knowledge.priming_outlandish.drawing import drawn
from assay.studies.knowledge.priming_outlandish.insertion import in_contexts, stages
from assay.studies.knowledge.priming_outlandish.scores import LN10, MOST_PAIRS, NEAR
from assay.studies.knowledge.priming_outlandish.settings import DilutionSettings, LanguageModelSettings, PrimingSettings

SETTINGS = PrimingSettings(
    n_tokens=160, d_model=16, n_layers=1, warm_up=20, stages=(10, 15), widths=(8,), n_keywords=12, n_few=8, n_prefixes=4,
    n_presentations=2, n_fewest=2, far=3, spaced=2,
)  # fmt: skip
SEEDS = Seeds(1)
FOUND = drawn(SETTINGS, 12, SEEDS)
BASE = stages(SETTINGS, FOUND.world, 16, (20,), SEEDS("weights"), SEEDS("plain text"))[0]


def test_every_setting_has_its_network_schedule_and_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    compared = priming.compared

    def noted(settings: Any, seeds: Any, found: Any, model: Any, which: Any, told: Any, contexts: Any = None) -> Any:
        asked.append((model.config.d_model, len(which), told.tolist(), model))
        return compared(settings, seeds, found, model, which, told, contexts)

    monkeypatch.setattr(priming, "compared", noted)
    inserted = priming.inserted
    told_of: list[Any] = []

    def watched(model: Any, texts: Any, plain: Any, told: Any, rate: float) -> Any:
        told_of.append((texts, plain))
        return inserted(model, texts, plain, told, rate)

    monkeypatch.setattr(priming, "inserted", watched)
    found = priming.measure(SETTINGS, SEEDS)
    once, apart, far = [True, True], [True, False, True], [True, False, False, True]
    assert [one[:3] for one in asked] == [
        (16, 36, once), (16, 24, once), (16, 24, once), (16, 24, once), (8, 24, once), (16, 24, apart), (16, 24, far)
    ]  # fmt: skip
    assert asked[0][3] is asked[1][3] is asked[5][3] is asked[6][3]
    assert len({id(one[3]) for one in asked}) == 4
    assert {row["setting"] for row in found.tables["settings"]} == {
        "width 16, 20 steps", "width 16, 10 steps", "width 16, 15 steps", "width 8, 20 steps", "10 times, 1 step apart",
        "10 times, 2 steps apart", "2 times, 3 steps apart",
    }  # fmt: skip
    *_, alone, another, other, same = told_of
    assert len(alone[0]) == len(another[0]) == 1
    assert np.array_equal(np.delete(alone[1], 1, 1), np.delete(another[1], 1, 1))
    assert not np.array_equal(alone[1][:, 1], another[1][:, 1])
    for (texts, plain), fits in ((other, lambda a, b: a != b), (same, lambda a, b: a == b)):
        assert np.array_equal(plain, alone[1])
        assert np.array_equal(texts[0], alone[0][0])
        for first, second in zip(*texts, strict=True):
            keywords = [int(row[(row >= 0).sum() - 1]) for row in (first, second)]
            assert keywords[0] != keywords[1]
            assert fits(*((keyword - 1) // 8 for keyword in keywords))


def test_biases_see_the_network_s_plain_rows_and_the_second_ones_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    lessons, inserted = priming.lessons, priming.inserted
    monkeypatch.setattr(
        priming, "lessons", lambda model, texts, plain, told: seen.append(plain) or lessons(model, texts, plain, told)
    )
    monkeypatch.setattr(
        priming,
        "inserted",
        lambda model, texts, plain, told, rate: seen.append(plain) or inserted(model, texts, plain, told, rate),
    )
    told = priming.schedule(2, 1)
    one = priming.compared(SETTINGS, SEEDS, FOUND, BASE, np.arange(6), told)
    network, planted, biases, others = seen
    assert np.array_equal(network, planted)
    assert np.array_equal(network, biases)
    assert not np.array_equal(network, others)
    longer = FOUND.plain_rows(SETTINGS, 5, SEEDS("plain rows"))
    assert np.array_equal(longer[:2], network)  # all schedules begin with the same rows
    assert np.median(one.memorised(one.bias)) == pytest.approx(np.median(one.memorised(one.network)), abs=0.02)
    assert one.equal is one.network  # nothing is scaled down where biases reach as much


def test_paired_contexts_are_of_both_kinds_and_equally_likely() -> None:
    contexts = priming.paired_contexts(FOUND, BASE)
    assert contexts.shape == (36, SETTINGS.n_prefixes + 2 * MOST_PAIRS, 5)
    says = in_contexts(BASE, contexts, 36)
    n = SETTINGS.n_prefixes
    some = 0
    for text, rows, values in zip(FOUND.texts, contexts, says, strict=True):
        assert np.array_equal(rows[:n], FOUND.prefixes[text.theme])
        own, other = rows[n : n + MOST_PAIRS], rows[n + MOST_PAIRS :]
        pool = {tuple(row) for row in FOUND.pool[text.theme].tolist()}
        log_p = values[:, text.keyword].double().numpy() / LN10
        for i in range(MOST_PAIRS):
            if (own[i] == other[i]).all():
                continue
            some += 1
            assert tuple(own[i]) in pool
            assert tuple(other[i]) not in pool
            assert abs(log_p[n + i] - log_p[n + MOST_PAIRS + i]) <= NEAR + 1e-4
    assert some > 36


def test_a_second_text_is_asked_of_where_there_is_something_to_change() -> None:
    class Said:
        def __init__(self, size: float) -> None:
            self.elsewhere = np.full((6, 2), size * LN10)

    keywords = np.array([1, 1, 2, 2, 3, 3])

    def found(alone: float, same: float) -> dict[str, float]:
        sizes = {"alone": alone, "same-theme": same, "network": alone - 0.05, "another-plain": alone}
        return priming.changes(Said(0), {arm: Said(size) for arm, size in sizes.items()}, keywords)  # type: ignore[arg-type]

    assert found(0.8, 0.5) == pytest.approx({"same-theme": -0.3, "network": -0.05, "another-plain": 0})
    assert all(math.isnan(value) for value in found(0.4, 0.1).values())
    assert all(math.isnan(value) for value in found(0.8, 0.7).values())


def test_gradients_of_another_text_are_of_its_theme_and_another_keyword() -> None:
    products = priming.products(FOUND, BASE)
    assert products.shape == (3, 36, 4)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.isclose(products[one], products[other]).all(1).any()
    # All texts of a keyword are asked behind the same prefixes, so another keyword's gradients are those of its own texts.
    for theme in range(4):
        own = np.flatnonzero(FOUND.themes == theme)
        for shift in (3, 6):
            assert (FOUND.keywords[own] != FOUND.keywords[np.roll(own, shift)]).all()


def test_bounds_in_the_sentences_are_those_that_planting_doubles() -> None:
    rules = {claim.name: claim.rule.numbers for claim in STUDY.claims}
    assert pytest.approx(2 * abs(rules["C1.excess.lm"]["bound"])) == LanguageModelSettings().planted
    assert pytest.approx(2 * rules["C4"]["bound"]) == priming.GAP
    assert {name: rules[name]["bound"] for name in ("C6", "C7.k", "C7.step")} == {"C6": 0.3, "C7.k": 0.3, "C7.step": -0.1}
    for name in ("C1.excess", "C4", "C5", "C6", "C7.step"):
        assert rules[name] == rules[f"{name}.lm"]


def test_settings_that_make_no_experiment_are_refused() -> None:
    for wrong in ({"n_few": 10}, {"stages": (2000,)}, {"n_keywords": 12, "n_few": 16}):
        with pytest.raises(SettingsError):
            PrimingSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        DilutionSettings(n_few=36)
    with pytest.raises(SettingsError):
        LanguageModelSettings(n_keywords=10)
