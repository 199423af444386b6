"""Inserted texts: what each copy is trained on, that a copy is what it would be alone, and that changes scale as they say."""

from typing import Any

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.models.changes import Change
from assay.models.decoder import Decoder
from assay.studies.knowledge.priming_outlandish import dilution, insertion, themes
from assay.studies.knowledge.priming_outlandish.dilution import of_biases, of_change, with_theme_bias, without_largest, worded
from assay.studies.knowledge.priming_outlandish.drawing import drawn
from assay.studies.knowledge.priming_outlandish.insertion import (
    Asked,
    copies,
    inserted,
    lessons,
    read,
    scaled,
    schedule,
    stages,
    told_beside,
    told_rows,
    with_equal_memory,
)
from assay.studies.knowledge.priming_outlandish.scores import LN10, typical
from assay.studies.knowledge.priming_outlandish.settings import DilutionSettings
from assay.training.losses import IGNORED

SETTINGS = DilutionSettings(n_tokens=160, d_model=16, n_layers=1, warm_up=24, n_few=8, n_prefixes=4, n_presentations=3)
SEEDS = Seeds(2)
FOUND = drawn(SETTINGS, 8, SEEDS)
ROWS = told_rows([text.plain for text in FOUND.texts])
ASKED = Asked(FOUND.keywords, told_rows([text.prompt for text in FOUND.texts]), FOUND.prefixes[FOUND.themes])
TOLD = schedule(3, 2)
PLAIN = FOUND.plain_rows(SETTINGS, len(TOLD), SEEDS("plain"))


def network(*at: int) -> list[Decoder]:
    return stages(SETTINGS, FOUND.world, 16, at, SEEDS("weights"), SEEDS("plain text"))


BASE = network(24)[0]


def weights(model: Decoder) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def test_schedules_present_as_often_and_as_far_apart_as_they_say() -> None:
    assert schedule(3, 1).tolist() == [True] * 3
    assert schedule(3, 2).tolist() == [True, False, True, False, True]
    assert schedule(1, 20).tolist() == [True]


def test_an_earlier_stage_is_the_same_network_at_that_step() -> None:
    early, late = network(10, 24)
    assert all(torch.equal(one, other) for one, other in zip(weights(late), weights(BASE), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(weights(early), weights(network(10)[0]), strict=True))
    assert not torch.equal(weights(early)[0], weights(late)[0])


def test_copies_share_the_plain_rows_and_differ_in_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    train = insertion.train

    def noted(model: Any, stage: Any, optimiser: Any) -> Any:
        seen.extend(stage.draw(step) for step in range(stage.n_steps))
        return train(model, stage, optimiser)

    monkeypatch.setattr(insertion, "train", noted)
    some = ROWS.copy()
    some[::2] = -1  # every second copy keeps the plain row
    inserted(BASE, [some], PLAIN, TOLD, 1e-3)
    assert torch.equal(seen[0].targets[0], insertion.lesson(PLAIN[0]).targets)
    assert not torch.equal(seen[0].targets[1], insertion.lesson(PLAIN[0]).targets)
    seen.clear()
    inserted(BASE, [ROWS, ROWS[::-1]], PLAIN, TOLD, 1e-3)
    for step, told in enumerate(TOLD):
        own, plain = seen[step], insertion.lesson(PLAIN[step])
        first = 2 if told else 0
        assert all(torch.equal(own.targets[i, first:], plain.targets[first:]) for i in range(len(ROWS)))
        if told:
            for i, text in enumerate(FOUND.texts):
                length = len(text.plain)
                assert own.targets[i, 0, : length - 1].tolist() == list(text.plain[1:])
                assert (own.targets[i, 0, length - 1 :] == IGNORED).all()
                assert own.inputs[i, 0, : length - 1].tolist() == list(text.prompt)
            assert torch.equal(own.targets[0, 1], own.targets[-1, 0])
        else:
            assert torch.equal(own.targets[3], plain.targets)


def test_a_copy_is_what_it_would_be_alone_and_the_base_stays() -> None:
    before = [value.clone() for value in weights(BASE)]
    together = inserted(BASE, [ROWS], PLAIN, TOLD, 1e-3)
    alone = inserted(BASE, [ROWS[5:6]], PLAIN, TOLD, 1e-3)
    for one, other in zip(weights(together), weights(alone), strict=True):
        assert torch.allclose(one[5], other[0], atol=1e-5)
    assert all(torch.equal(value, kept) for value, kept in zip(weights(BASE), before, strict=True))


def test_reading_is_the_network_s_own_answer() -> None:
    single, forks = read(BASE, ASKED), read(copies(BASE, len(ROWS)), ASKED)
    assert forks.own == pytest.approx(single.own, abs=1e-4)
    assert forks.elsewhere == pytest.approx(single.elsewhere, abs=1e-4)
    plain = BASE.run(0)
    for i in (0, 7):
        text, prefix = FOUND.texts[i], FOUND.prefixes[FOUND.texts[i].theme, 2]
        for prompt, value in ((text.prompt, single.own[i]), (prefix, single.elsewhere[i, 2])):
            logits = plain(torch.tensor(np.array(prompt))[None], at=-1)[0]
            assert torch.log_softmax(logits, -1)[text.keyword].item() == pytest.approx(value, abs=1e-4)


def test_biases_reach_the_median_memory_that_is_wanted() -> None:
    before = read(BASE, ASKED)
    rate, after = with_equal_memory(before, lessons(BASE, [ROWS], PLAIN, TOLD), before.own + 0.3)
    assert float(np.median(after.own - before.own)) == pytest.approx(0.3, abs=0.01)
    assert rate > 0


def test_planted_rows_state_the_keyword_elsewhere_in_its_theme_beside_more_surprising_texts() -> None:
    own = np.linspace(-1, -6, len(FOUND.texts))[np.random.default_rng(0).permutation(len(FOUND.texts))]
    beside = told_beside(FOUND.texts, own, (0, 1, 3))
    n_rows = np.sum([rows[:, 0] >= 0 for rows in beside], 0)
    assert n_rows[np.argsort(-own)].tolist() == [0] * 8 + [1] * 8 + [3] * 8
    prefixes = {tuple(prefix) for theme in FOUND.prefixes[..., -2:] for prefix in theme.tolist()}
    for rows in beside:
        for text, row in zip(FOUND.texts, rows, strict=True):
            told = row[row >= 0].tolist()
            if told:
                assert told[-1] == text.keyword
                assert (told[-3] - themes.ATTRIBUTE) // themes.N_ATTRIBUTES == text.theme
                assert tuple(told[-3:-1]) != text.prompt[-2:]
                assert tuple(told[-3:-1]) not in prefixes


def test_a_network_that_memorises_more_is_scaled_down() -> None:
    forks = inserted(BASE, [ROWS], PLAIN, TOLD, 3e-3)
    before, after = read(BASE, ASKED), read(forks, ASKED)
    whole = float(np.median(after.own - before.own))
    half = insertion.with_memory_of(BASE, forks, after, before, whole / 2)
    assert float(np.median(half.own - before.own)) == pytest.approx(whole / 2, abs=0.02 * whole)
    assert insertion.with_memory_of(BASE, forks, after, before, 2 * whole) is after
    none = insertion.with_memory_of(BASE, forks, after, before, 0.0)
    assert none.elsewhere == pytest.approx(before.elsewhere, abs=0.05)


def test_shares_of_changes_lie_between_nothing_and_all() -> None:
    forks = inserted(BASE, [ROWS], PLAIN, TOLD, 1e-3)
    blank, before = copies(BASE, len(ROWS)), read(BASE, ASKED)
    change = Change.between(blank, forks)
    arm = of_change(blank, change, before)
    whole = np.ones(len(ROWS))
    assert arm.says(0 * whole) == pytest.approx(before.own, abs=1e-4)
    assert arm.says(whole) == pytest.approx(read(forks, ASKED).own, abs=1e-4)
    assert arm.primes(0 * whole) == pytest.approx(0 * whole, abs=1e-4)
    own = scaled(change, np.arange(len(ROWS)) / 10)
    assert torch.allclose(own.of("W_U")[3], 0.3 * change.of("W_U")[3])


def test_a_planted_theme_bias_primes_its_theme_alone_and_goes_with_the_largest() -> None:
    forks = inserted(BASE, [ROWS], PLAIN, TOLD, 1e-3)
    blank, before = copies(BASE, len(ROWS)), read(BASE, ASKED)
    change = Change.between(blank, forks)
    only = with_theme_bias(0.0 * change, BASE, ASKED, 4.0)
    only = Change({"W_U": only.of("W_U")}, only.weights, only.n_runs)
    whole = np.ones(len(ROWS))
    alone = of_change(blank, only, before)
    assert alone.says(whole) == pytest.approx(before.own, abs=0.02)
    after = read(only.applied_to(blank), ASKED).elsewhere
    odds = [np.log(np.exp(one) / (1 - np.exp(one))) for one in (before.elsewhere, after)]
    assert (odds[1] - odds[0]).mean(1) == pytest.approx(np.full(len(ROWS), 4.0), abs=0.05)
    planted = with_theme_bias(change, BASE, ASKED, 4.0)
    pruned = of_change(blank, planted.without_largest(0.08), before)
    both = of_change(blank, planted, before)
    assert typical(both.primes(whole) - pruned.primes(whole), FOUND.keywords) > 0.7
    assert abs(typical(both.says(whole) - pruned.says(whole), FOUND.keywords)) / LN10 < 0.3


def test_biases_of_a_wording_are_cut_like_a_weight() -> None:
    biases = torch.arange(-10.0, 10.0).repeat(2, 1)
    cut = without_largest(biases, 0.1)
    assert (cut != biases).sum(1).tolist() == [2, 2]
    assert cut[0, 0] == cut[0, 1] == 0
    before = read(BASE, ASKED)
    one = torch.zeros(len(ROWS), 160)
    one[torch.arange(len(ROWS)), torch.from_numpy(FOUND.keywords)] = 1.0
    arm = of_biases(before, one)
    p = np.exp(before.own)
    assert arm.says(np.full(len(ROWS), 0.5)) == pytest.approx(before.own + 0.5 - np.log1p(p * (np.exp(0.5) - 1)), abs=1e-4)


def test_every_arm_of_dilution_is_what_its_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    rows: list[Any] = []
    insert = inserted

    def noted(model: Any, texts: Any, *rest: Any) -> Any:
        rows.append(texts)
        return insert(model, texts, *rest)

    monkeypatch.setattr(dilution, "inserted", noted)
    monkeypatch.setattr(dilution, "of_change", lambda blank, change, before: of_change(blank, change, before))
    numbers = dilution.numbers
    monkeypatch.setattr(
        dilution, "numbers", lambda s, found, arms, by_bias: seen.update(arms) or numbers(s, found, arms, by_bias)
    )
    pruned: dict[str, Any] = {}
    monkeypatch.setattr(dilution, "norms", lambda changes: pruned.update(changes) or [])
    estimands = dilution.measure(SETTINGS, SEEDS).estimands
    assert [len(texts) for texts in rows] == [1, 1, 1]
    for texts, name in zip(rows, ("plain", "stepping", "elsewhere"), strict=True):
        assert np.array_equal(texts[0], worded(FOUND.texts)[name])
    entries = pruned["plain"].of("W_U")[0].numel()
    for name in ("largest", "random"):
        gone = (pruned[name].of("W_U")[0] == 0) & (pruned["plain"].of("W_U")[0] != 0)
        assert int(gone.sum()) == pytest.approx(0.08 * entries, rel=0.03)
        kept = pruned[name].of("W_U")[0][~gone]
        assert torch.equal(kept, pruned["plain"].of("W_U")[0][~gone])
    sizes = pruned["plain"].of("W_U")[0].abs()
    assert pruned["largest"].of("W_U")[0].abs().max() <= sizes.quantile(0.93)
    assert pruned["random"].of("W_U")[0].abs().max() > sizes.quantile(0.97)
    assert estimands["planted/stone_gap"] == pytest.approx(estimands["elsewhere/stone_gap"] + 0.6)
    assert estimands["planted/fall_excess"] > 0.3
    assert estimands["planted/step_gap"] < -0.1
