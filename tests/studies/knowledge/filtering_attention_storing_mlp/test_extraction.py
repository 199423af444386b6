"""The arms of extraction are what their names say, and its numbers are found again where they were planted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy import ndarray

from assay.core.seeds import Seeds
from assay.studies.knowledge.filtering_attention_storing_mlp import extraction
from assay.studies.knowledge.filtering_attention_storing_mlp.collapse import sampled_shares
from assay.studies.knowledge.filtering_attention_storing_mlp.extraction import (
    Outcome,
    Run,
    Tuning,
    bound,
    collapse,
    contrasts,
    lesson,
    mean_slope,
    tunings,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import ExtractionSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import Answers, chosen_subjects
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleSequences, TripleWorld

SETTINGS = ExtractionSettings()
SMALL = ExtractionSettings(
    n_subjects=40, n_values=4, d_model=8, pretrain_steps=3, pretrain_batch=8, finetune_steps=2, finetune_batch=8, n_draws=1,
    templates=(2, 8), multiplicities=(1, 2), subjects=(2, 4, 8), n_shuffles=2,
)  # fmt: skip
CHOSEN = np.arange(10)
OTHERS = np.arange(10, 40)


def world_of() -> TripleWorld:
    return TripleWorld.sample(rng=np.random.default_rng(0), n_subjects=40, n_values=5, n_templates=16, multiplicity=2)


def drawn_for(what: str) -> tuple[TripleWorld, TripleSequences]:
    world = world_of()
    found = lesson(world, Tuning((16, 2), 10, what), CHOSEN, Seeds(0))
    return world, found.draw(6000, found.rng)


def test_every_fine_tuning_that_a_claim_compares_is_there_once() -> None:
    arms = tunings(SETTINGS)
    assert len(set(arms)) == len(arms)
    assert sum(arm.what == "facts" and not arm.blank for arm in arms) == 24
    assert SETTINGS.middle == (16, 4)
    for blank in (False, True):
        for world, n in (((16, 4), 10), ((16, 4), 100), ((16, 1), 100)):
            assert {Tuning(world, n, "facts", blank), Tuning(world, n, "untrue", blank)} <= set(arms)
    assert [arm for arm in arms if arm.what == "covered"] == [Tuning((64, k), 10, "covered") for k in (4, 16)]
    assert [arm for arm in arms if arm.what == "leaked"] == [Tuning((16, 4), 100, "leaked")]


@pytest.mark.parametrize("what", ["facts", "untrue", "leaked", "covered"])
def test_a_lesson_asks_about_whom_it_says_and_answers_as_it_says(what: str) -> None:
    world, drawn = drawn_for(what)
    assert np.isin(drawn.tokens[:, -1], world.question_tokens(np.arange(3))).all()
    assert (drawn.tokens[:, -1] == world.question_tokens(drawn.types)).all()
    assert (world.type_of_output(drawn.answers) == drawn.types).all()
    right = drawn.answers == world.values[drawn.subjects, drawn.types]
    taught = np.unique(drawn.subjects)
    assert set(CHOSEN) <= set(taught.tolist())
    n_others = {"facts": 0, "untrue": 0, "leaked": 15, "covered": 15}[what]
    assert np.isin(taught, OTHERS).sum() == n_others
    if what == "untrue":
        assert 0.05 < right.mean() < 0.5  # by accident only: one of five values
        pairs = {(s, t, a) for s, t, a in zip(drawn.subjects, drawn.types, drawn.answers, strict=True)}
        assert len(pairs) == 30  # the same untruth every time
    else:
        assert right.all()


def test_the_planted_coverage_teaches_the_others_whose_wordings_are_covered_best() -> None:
    world, drawn = drawn_for("covered")
    shares = world.coverage(np.isin(np.arange(40), CHOSEN)).mean(-1)
    also = np.intersect1d(np.unique(drawn.subjects), OTHERS)
    assert shares[also].min() >= shares[np.setdiff1d(OTHERS, also)].max()
    assert shares[also].mean() > shares[np.setdiff1d(OTHERS, also)].mean() + 0.1


def test_arms_ask_the_same_questions_but_for_what_they_differ_in() -> None:
    (_, true), (_, untrue) = drawn_for("facts"), drawn_for("untrue")
    assert (true.tokens == untrue.tokens).all()
    assert (true.answers != untrue.answers).any()


def outcome(extracted: float, errors: float, *, n: int = 1000, known: float = 1.0) -> Outcome:
    """Of n facts, all of others, the first are told and the last wrong and sure; of the last, a share is known when stated."""
    told = np.arange(n) < round(extracted * n)
    sure = np.arange(n) >= n - round(errors * n)
    found = Answers(told[None, None], np.zeros((1, 1, n), dtype=int), np.where(sure, 0.9, 0.3)[None, None])
    stated = replace(found, right=(np.arange(n) >= n - round(known * errors * n))[None, None])
    return Outcome.of(found, stated, 0, np.ones(n, dtype=bool))


def test_contrasts_are_differences_in_the_direction_that_is_claimed() -> None:
    middle, single = (16, 4), (16, 1)
    plan = {
        (middle, 100, "facts"): outcome(0.8, 0.1, known=0.5),
        (middle, 100, "untrue"): outcome(0.5, 0.2),
        (middle, 10, "facts"): outcome(0.4, 0.45),
        (middle, 10, "untrue"): outcome(0.3, 0.3),
        (single, 100, "facts"): outcome(0.35, 0.35),
        (single, 100, "untrue"): outcome(0.25, 0.3),
    }
    found = contrasts(SETTINGS, lambda *which: plan[which])
    assert found == pytest.approx(
        {
            "subjects_excess": 0.3 - 0.1,
            "wordings_excess": 0.3 - 0.1,
            "untrue_rise": 0.2,
            "confident_errors_subjects": 0.35,
            "confident_errors_wordings": 0.25,
            "hallucinations_subjects": 0.4,
            "hallucinations_wordings": 0.3,
        }
    )


def test_an_outcome_counts_others_only_and_errors_only_where_they_are_sure() -> None:
    right = np.array([[[True, False, False, True]]])
    confidence = np.array([[[0.9, 0.51, 0.5, 0.9]]])
    asked = Answers(right, np.zeros((1, 1, 4), dtype=int), confidence)
    forgotten, others = replace(asked, right=np.zeros((1, 1, 4), dtype=bool)), np.array([True, True, True, False])
    assert Outcome.of(asked, forgotten, 0, others).hallucinations == 0
    found = Outcome.of(asked, replace(asked, right=~forgotten.right), 0, others)
    assert found.extracted == found.hallucinations == pytest.approx(1 / 3)
    assert found.confident_errors == pytest.approx(1 / 3)  # neither the right ones nor the one at one half
    world = TripleWorld.sample(rng=np.random.default_rng(0), n_subjects=2, n_types=2, n_values=3, n_templates=2, multiplicity=1)
    said = np.array([[[0, 3, 3, 3]]])  # facts in order: types 0, 1, 0, 1; value 3 is of type 1
    found = Outcome.of(Answers(right, said, confidence), asked, 0, others)
    assert found.right_type(world) == pytest.approx(1 / 2)


def test_errors_planted_along_one_number_collapse_and_others_do_not() -> None:
    grid = [arm for arm in tunings(SETTINGS) if arm.what == "facts" and not arm.blank]
    along = bound(grid)
    by_hand = [1 - np.exp(-arm.n_subjects * arm.world[1] ** 2 * np.log(arm.world[0]) / (2 * arm.world[0] ** 2)) for arm in grid]
    np.testing.assert_allclose(along, by_hand)
    assert collapse(
        grid, 1 - np.exp([-arm.n_subjects * (arm.world[1] / arm.world[0]) ** 2 / 20 for arm in grid])
    ) == pytest.approx(1)
    assert 0.95 < collapse(grid, along) < 1  # the bound itself has log|R| as well
    rng = np.random.default_rng(0)
    assert collapse(grid, sampled_shares(along, np.full(24, 300), rng)) > 0.9
    assert np.mean([collapse(grid, rng.permutation(along)) for _ in range(30)]) < 0.6
    assert collapse(grid, 1 - 0.9 / np.array([arm.n_subjects for arm in grid])) < 0.8


def run_of(right: dict[Tuning, ndarray], coverage: dict[Tuning, ndarray]) -> Run:
    found = {}
    for arm, told in right.items():
        n = len(told)
        said = Answers(told[None, None], np.zeros((1, 1, n), dtype=int), np.full((1, 1, n), 0.9))
        found[arm] = Outcome.of(said, replace(said, right=~told[None, None]), 0, np.arange(n) < n // 2)
    return Run({}, found, coverage, {}, [])


def test_the_slope_on_coverage_is_that_of_the_others_and_of_settings_in_which_it_varies() -> None:
    rng = np.random.default_rng(0)
    varied, even = Tuning((64, 4), 10), Tuning((4, 4), 100)
    x = rng.integers(5, size=8000) / 4
    told = rng.random(8000) < 1 / (1 + np.exp(-(2 * x - 1)))
    told[4000:] = x[4000:] < 0.5  # of subjects that were taught: must not count
    run = run_of({varied: told, even: told}, {varied: x, even: np.ones(8000)})
    assert mean_slope(run, [varied, even]) == pytest.approx(2.0, abs=0.3)
    assert mean_slope(run, [varied], rng=rng) == pytest.approx(0.0, abs=0.3)
    assert np.isnan(mean_slope(run, [even]))


def test_coverage_is_nearly_whole_where_many_subjects_are_fine_tuned_on() -> None:
    """1 - (1 - K/|R|)^N on average: with 100 subjects it cannot explain anything, with 10 of 64 templates it can."""
    for n, n_templates, k in ((100, 16, 1), (10, 64, 4)):
        worlds = [
            TripleWorld.sample(rng=np.random.default_rng(seed), n_templates=n_templates, multiplicity=k) for seed in range(20)
        ]
        found = np.mean([world.coverage(np.arange(200) < n)[n:].mean() for world in worlds])
        assert found == pytest.approx(1 - (1 - k / n_templates) ** n, abs=0.02)


def test_nothing_is_stored_where_an_arm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks before fine-tuning: all with the weights of the first step where blank, none of them else."""
    starts: list[tuple[int, torch.Tensor]] = []
    train_on = extraction.train_on

    def look(model, lessons, optimiser, **sizes):  # type: ignore[no-untyped-def]
        starts.append((model.n_runs, model.W_U.detach().clone()))
        return train_on(model, lessons, optimiser, **sizes)

    monkeypatch.setattr(extraction, "train_on", look)
    extraction.measure(SMALL, Seeds(0))
    (n_worlds, initial), (n_arms, before) = starts
    arms = tunings(SMALL)
    assert (n_worlds, n_arms) == (len(SMALL.worlds), len(arms))
    for i, arm in enumerate(arms):
        same = torch.equal(before[i], initial[SMALL.worlds.index(arm.world)])
        assert same == arm.blank, arm
    starts.clear()
    extraction.measure_nulls(SMALL, Seeds(0))
    (only,) = starts
    assert all(any(torch.equal(one, first) for first in initial) for one in only[1])


def test_the_subjects_of_an_arm_are_left_out_of_what_it_is_asked() -> None:
    run = extraction.tuned(SMALL, Seeds(0), tunings(SMALL))
    for arm, found in run.found.items():
        node = Seeds(0).child(f"R={arm.world[0]} K={arm.world[1]}")
        chosen = chosen_subjects(run.worlds[arm.world], arm.n_subjects, node)
        assert (~found.others).reshape(40, 3).all(1).nonzero()[0].tolist() == chosen.tolist()


@pytest.mark.parametrize(
    ("arm", "name", "changes"),
    [
        ("planted", "subjects_excess", "leaked"),
        ("planted", "wordings_excess", "leaked"),
        ("planted", "hallucinations_subjects", "leaked"),
        ("planted", "hallucinations_wordings", "leaked"),
        ("planted", "coverage_slope", "covered"),
        ("unstored", "subjects_excess", "blank"),
        ("unstored", "untrue_rise", "blank"),
        ("unstored", "wordings_excess", "blank"),
        ("unstored", "confident_errors_subjects", "blank"),
        ("unstored", "confident_errors_wordings", "blank"),
        ("unstored", "hallucinations_subjects", "blank"),
        ("unstored", "hallucinations_wordings", "blank"),
        ("stored", "subjects_excess", "untrue"),
        ("stored", "wordings_excess", "untrue"),
    ],
)
def test_each_arms_number_is_made_of_the_networks_that_it_names(
    monkeypatch: pytest.MonkeyPatch, arm: str, name: str, changes: str
) -> None:
    """A world of planned outcomes: a number moves exactly with the fine-tunings that its arm is about."""
    arms = tunings(SMALL)
    rng = np.random.default_rng(0)
    plan = {one: rng.random(120) < 0.5 for one in arms}
    coverage = {one: rng.integers(3, size=120) / 2 for one in arms}

    def numbers(of: dict[Tuning, ndarray]) -> dict[str, float]:
        run = run_of(of, coverage)
        worlds = {cell: SMALL.world(Seeds(1), n_templates=cell[0], multiplicity=cell[1]) for cell in SMALL.worlds}
        whole = Run(worlds, run.found, coverage, {cell: run.found[arms[0]] for cell in SMALL.worlds}, [])
        monkeypatch.setattr(extraction, "tuned", lambda *args, **kwargs: whole)
        monkeypatch.setattr(extraction, "_tables", lambda *args: {})
        return dict(extraction.measure(SMALL, Seeds(0)).estimands)

    def concerned(one: Tuning) -> bool:
        return one.blank if changes == "blank" else one.what == changes and not one.blank

    ticks = np.arange(120) < 60  # of others, as run_of has it
    moved = {one: (told | (ticks & (np.arange(120) % 3 == 0)) if concerned(one) else told) for one, told in plan.items()}
    before, after = numbers(plan), numbers(moved)
    assert before[f"{arm}/{name}"] != after[f"{arm}/{name}"]
    if arm != "stored":
        assert all(before[f"stored/{other}"] == after[f"stored/{other}"] for other in ("subjects_excess", "wordings_excess"))
        assert before["stored/coverage_slope"] == after["stored/coverage_slope"]


def test_what_is_said_before_fine_tuning_is_said_by_the_stored_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.Tensor] = []
    starts: list[torch.Tensor] = []
    answers, train_on = extraction.answers, extraction.train_on

    def look(model, sequences):  # type: ignore[no-untyped-def]
        asked.append(model.W_U.detach().clone())
        return answers(model, sequences)

    def begin(model, lessons, optimiser, **sizes):  # type: ignore[no-untyped-def]
        starts.append(model.W_U.detach().clone())
        return train_on(model, lessons, optimiser, **sizes)

    monkeypatch.setattr(extraction, "answers", look)
    monkeypatch.setattr(extraction, "train_on", begin)
    run = extraction.tuned(SMALL, Seeds(0), tunings(SMALL))
    stored = torch.stack([starts[1][tunings(SMALL).index(Tuning(cell, 2))] for cell in SMALL.worlds])
    n_arms, n_worlds = len(tunings(SMALL)), len(SMALL.worlds)
    assert [len(weights) for weights in asked] == [n_arms, n_arms, n_worlds, n_worlds]
    assert torch.equal(asked[2], stored)
    assert torch.equal(asked[3], stored)
    assert torch.equal(asked[0], asked[1])
    assert not torch.equal(asked[0], starts[1])
    few = run.found[Tuning(SMALL.middle, 2)]
    assert (run.before[SMALL.middle].others == few.others).all()
    rows = {(row["R"], row["K"], row["N_f"], row["what"]) for row in run.rows}
    assert len(rows) == len(run.rows) == len(tunings(SMALL))


def test_plausible_errors_are_those_of_the_smallest_set_and_their_control_comes_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arms = tunings(SMALL)
    found = {one: outcome(0.5, 0.2, n=120) for one in arms}
    right, wrong = ({"said": np.tile(said, (1, 40))} for said in (np.arange(3) * 4, (np.arange(3) + 1) % 3 * 4))
    found[Tuning(SMALL.middle, 2)] = replace(found[arms[0]], wrong=np.ones((1, 120), dtype=bool), **right)
    before = {cell: replace(found[arms[0]], wrong=np.ones((1, 120), dtype=bool), **wrong) for cell in SMALL.worlds}
    worlds = {cell: SMALL.world(Seeds(1), n_templates=cell[0], multiplicity=cell[1]) for cell in SMALL.worlds}
    run = Run(worlds, found, {one: np.ones(120) for one in arms}, before, [])
    monkeypatch.setattr(extraction, "tuned", lambda *args, **kwargs: run)
    monkeypatch.setattr(extraction, "_tables", lambda *args: {})
    estimands = extraction.measure(SMALL, Seeds(0)).estimands
    assert (estimands["stored/right_type"], estimands["before/right_type"]) == (1.0, 0.0)
    assert extraction.measure_nulls(SMALL, Seeds(0)).estimands["nothing-stored/right_type"] == 1.0


def test_permuted_controls_lose_what_is_planted_and_the_planted_collapse_does_not_look_at_the_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every network tells as much as the bound says, and the facts whose wordings are covered more."""
    arms, rng = tunings(SETTINGS), np.random.default_rng(0)
    worlds = {cell: SETTINGS.world(Seeds(1), n_templates=cell[0], multiplicity=cell[1]) for cell in SETTINGS.worlds}

    def numbers(shares: ndarray) -> dict[str, float]:
        right = {arm: np.tile(rng.permutation(300) < share * 300, 2) for arm, share in zip(arms, shares, strict=True)}
        coverage = {arm: np.where(told, 0.5, 0.0) + rng.integers(2, size=600) / 2 for arm, told in right.items()}
        run = run_of(right, coverage)
        whole = Run(worlds, run.found, coverage, {cell: run.found[arms[0]] for cell in worlds}, [])
        monkeypatch.setattr(extraction, "tuned", lambda *args, **kwargs: whole)
        monkeypatch.setattr(extraction, "_tables", lambda *args: {})
        return dict(extraction.measure(SETTINGS, Seeds(0)).estimands)

    along = numbers(bound(arms))
    assert along["stored/collapse"] > 0.9
    assert along["dealt-anew/collapse"] < 0.3
    assert along["stored/coverage_slope"] > 3
    assert abs(along["dealt-anew/coverage_slope"]) < 0.5
    other = numbers(np.full(len(arms), 0.5))
    assert other["planted/collapse"] == along["planted/collapse"] > 0.9
