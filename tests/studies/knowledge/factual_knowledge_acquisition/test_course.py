"""Trainings that tell facts: what is read, what is scored, and what a table of word pairs cannot show."""

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.factual_knowledge_acquisition import course
from assay.studies.knowledge.factual_knowledge_acquisition.bigram import Bigram
from assay.studies.knowledge.factual_knowledge_acquisition.claims import ACQUISITION
from assay.studies.knowledge.factual_knowledge_acquisition.course import Reader, World, follow, network, read_pages, silence
from assay.studies.knowledge.factual_knowledge_acquisition.items import FORMS, ROWS, Plan
from assay.training.losses import Batch, next_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import State

SETTINGS = ACQUISITION.presets["quick"].settings
SEEDS = Seeds(5)
WORLD = World.drawn(SETTINGS, SEEDS)
PLAN = Plan.drawn(WORLD.items, 2, 40, {name: (form, 0) for name, form in FORMS.items()}, rng=SEEDS("plan"))


def fresh() -> Reader:
    model = Decoder.init(network(SETTINGS, 16), [SEEDS("weights")])
    return Reader(State.fresh(model, Optimiser(learning_rate=3e-3)), 0, SETTINGS.batch)


def weights(reader: Reader) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in reader.state.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_reading_in_two_stretches_is_reading_at_once_and_a_fork_leaves_its_start_alone() -> None:
    start = fresh()
    before = weights(start)
    whole, half = read_pages([WORLD], start, 30), read_pages([WORLD], start, 10)
    assert same(weights(read_pages([WORLD], half, 20)), weights(whole))
    assert (whole.read, half.read) == (240, 80)
    follow([WORLD], half, [PLAN], 12)
    assert same(weights(read_pages([WORLD], half, 20)), weights(whole))
    assert same(weights(start), before)


def test_a_passage_takes_the_first_rows_of_its_step_and_pages_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    own = course._stage

    def noted(rows: np.ndarray, *rest: object) -> object:
        seen.append(rows)
        return own(rows, *rest)

    monkeypatch.setattr(course, "_stage", noted)
    start = read_pages([WORLD], fresh(), 10)
    follow([WORLD], start, [PLAN], 12, batch=16)
    told, plain = (rows.reshape(-1, 16, 24) for rows in seen[1:])
    pages = WORLD.stream(80, (PLAN.n_steps + 12) * 16).reshape(-1, 16, 24)
    assert np.array_equal(plain, pages[PLAN.n_steps :])
    at = {int(PLAN.at[i, k]): PLAN.rows[i, k] for i, k in np.argwhere(PLAN.at >= 0)}
    for step in range(PLAN.n_steps):
        if step in at:
            assert np.array_equal(told[step, :ROWS], at[step])
            assert np.array_equal(told[step, ROWS:], pages[step, ROWS:])
        else:
            assert np.array_equal(told[step], pages[step])


def test_the_loss_is_the_next_token_loss_without_padding() -> None:
    model = fresh().state.model
    rows = WORLD.pages[None, :8]
    tokens = torch.from_numpy(rows)
    targets = torch.where(tokens[..., 1:] == 0, -100, tokens[..., 1:])
    expected = next_token_loss(model, Batch(tokens[..., :-1], targets))
    assert torch.allclose(course._loss(model, course._lesson(rows)), expected)


def test_scores_are_those_of_the_model_at_that_state() -> None:
    start = read_pages([WORLD], fresh(), 10)
    told = follow([WORLD], start, [PLAN], 12, kinds=("told", "held"))
    (tracks,) = told.tracks
    items = WORLD.items
    end = told.reader.state.model
    asked_for = items.among(*FORMS)
    for kind, wordings in (("told", PLAN.asked[:, -1]), ("held", items.held)):
        track = tracks[kind]
        assert track.states[-1] == PLAN.n_steps + 12
        for values, subjects in (
            (track.own, np.arange(len(items))),
            (track.reference, items.never()),
            (track.other, items.never(1)),
        ):
            prompts = torch.from_numpy(items.prompts(wordings, subjects).reshape(1, -1, 4))
            logs = torch.log_softmax(end(prompts, at=-1), -1)[0].detach().numpy()
            own = logs[np.arange(len(logs)), items.values.ravel()].reshape(items.values.shape)
            assert np.allclose(values[-1, asked_for], own[asked_for], atol=1e-5)
        dealt = torch.log_softmax(
            end(torch.from_numpy(items.prompts(wordings, np.arange(len(items))).reshape(1, -1, 4)), at=-1), -1
        )
        expected = dealt[0].detach().numpy()[np.arange(items.dealt.size), items.dealt.ravel()].reshape(items.dealt.shape)
        assert np.allclose(track.dealt[0, -1, asked_for], expected[asked_for], atol=1e-5)
        assert np.isnan(track.own[:, items.among("never")]).all()
    duplicates = items.among("duplicate")
    assert np.allclose(tracks["told"].base[0, duplicates], tracks["told"].own[:5, duplicates].mean(0), atol=1e-6)
    five = read_pages([WORLD], start, 5).state.model  # the fifth state, before anything is told, in the words told last
    prompts = torch.from_numpy(items.prompts(PLAN.asked[:, -1], np.arange(len(items))).reshape(1, -1, 4))
    logs = torch.log_softmax(five(prompts, at=-1), -1)[0].detach().numpy()
    own = logs[np.arange(len(logs)), items.values.ravel()].reshape(items.values.shape)
    assert np.allclose(tracks["told"].own[4, duplicates], own[duplicates], atol=1e-5)


def test_a_table_of_word_pairs_has_no_level_and_learns_all_the_same() -> None:
    table = Reader(State.fresh(Bigram(SETTINGS.vocabulary, 1), Optimiser(learning_rate=1e-2)), 0, 8)
    read = read_pages([WORLD], table, 100)
    assert course.fresh_loss([WORLD], read)[0] < course.fresh_loss([WORLD], table)[0] - 0.5
    (tracks,) = follow([WORLD], read, [PLAN], 12, kinds=("told", "held")).tracks
    for track in tracks.values():
        assert np.nanmax(np.abs(track.level)) == 0
        assert np.nanmax(track.own) - np.nanmin(track.own) > 0.1


def test_silence_hides_the_subject_and_nothing_else() -> None:
    start = read_pages([WORLD], fresh(), 10)
    (tracks,) = follow([WORLD], start, [PLAN], 12, visit=silence).tracks
    assert np.nanmax(np.abs(tracks["told"].level)) < 1e-6
    (tracks,) = follow([WORLD], start, [PLAN], 12).tracks
    assert np.nanmax(np.abs(tracks["told"].level)) > 0.01


def test_plain_steps_may_have_a_rate_of_their_own() -> None:
    start = read_pages([WORLD], fresh(), 10)
    slow = Optimiser(learning_rate=1e-9)
    (usual,), (still,) = (follow([WORLD], start, [PLAN], 60, plain_optimiser=rule).tracks for rule in (None, slow))
    n = PLAN.n_steps
    assert np.array_equal(usual["told"].own[:n], still["told"].own[:n], equal_nan=True)
    assert np.nanmax(np.abs(still["told"].own[n + 1 :] - still["told"].own[n])) < 1e-3
    assert np.nanmax(np.abs(usual["told"].own[-1] - usual["told"].own[n])) > 1e-2


def test_a_run_does_not_depend_on_the_one_beside_it() -> None:
    other = World.drawn(SETTINGS, Seeds(6))
    plan = Plan.drawn(other.items, 2, 40, {"duplicate": ("duplicate", 0)}, rng=SEEDS("other plan"))
    model = Decoder.init(network(SETTINGS, 16), [SEEDS("weights"), Seeds(6)("weights")])
    both = Reader(State.fresh(model, Optimiser(learning_rate=3e-3)), 0, 8)
    together = follow([WORLD, other], both, [PLAN, plan], 12).tracks[0]["told"]
    alone = follow([WORLD], fresh(), [PLAN], 12).tracks[0]["told"]
    assert np.allclose(together.own, alone.own, atol=1e-5, equal_nan=True)


def test_one_of_several_readers_goes_on_as_it_would_beside_the_others() -> None:
    model = Decoder.init(network(SETTINGS, 16), [SEEDS("weights"), Seeds(6)("weights")])
    worlds = [WORLD, World.drawn(SETTINGS, Seeds(6))]
    both = read_pages(worlds, Reader(State.fresh(model, Optimiser(learning_rate=3e-3)), 0, 8), 10)
    for run in range(2):
        together = read_pages(worlds, both, 5).state.model.select([run]).state_dict()
        assert same(weights(read_pages([worlds[run]], both.alone(run), 5)), together)


def test_seldom_items_are_told_at_every_second_exposure_and_the_others_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    own = course._stage

    def noted(rows: np.ndarray, *rest: object) -> object:
        seen.append(rows)
        return own(rows, *rest)

    monkeypatch.setattr(course, "_stage", noted)
    seldom = WORLD.items.among("duplicate").tolist()
    usual, other = (follow([WORLD], fresh(), [PLAN], 12, seldom=some).tracks[0]["told"] for some in ((), seldom))
    assert np.array_equal(usual.at, other.at)
    every, second = (rows.reshape(-1, 8, 24) for rows in seen[::2])
    pages = WORLD.stream(0, PLAN.n_steps * 8).reshape(-1, 8, 24)
    left_out = sorted(PLAN.at[seldom, 0].tolist())
    assert np.flatnonzero((every != second).any((1, 2))).tolist() == left_out
    assert np.array_equal(second[left_out], pages[left_out])


def test_what_is_told_on_comes_in_plain_steps_and_is_no_exposure(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    own = course._stage

    def noted(rows: np.ndarray, *rest: object) -> object:
        seen.append(rows)
        return own(rows, *rest)

    monkeypatch.setattr(course, "_stage", noted)
    items = WORLD.items.among("paraphrase").tolist()
    usual, again = (follow([WORLD], fresh(), [PLAN], 250, retold=some).tracks[0]["told"] for some in ((), items))
    assert np.array_equal(usual.at, again.at)
    (rounds, plain), (same_rounds, more) = ([rows.reshape(-1, 8, 24) for rows in seen[i : i + 2]] for i in (0, 2))
    assert np.array_equal(rounds, same_rounds)
    changed = np.flatnonzero((plain != more).any((1, 2)))
    assert changed.tolist() == [100, 101, 200, 201]
    for step in changed.tolist():
        assert np.array_equal(more[step, :ROWS], PLAN.rows[items[step % 100], -1])
        assert np.array_equal(more[step, ROWS:], plain[step, ROWS:])
