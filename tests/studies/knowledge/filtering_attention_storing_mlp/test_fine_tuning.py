"""The ways of fine-tuning are what their names say, and differ in nothing else."""

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.filtering_attention_storing_mlp import fine_tuning
from assay.studies.knowledge.filtering_attention_storing_mlp.fine_tuning import (
    Path,
    Tuned,
    Way,
    gradient_along_questions,
    gradient_of_draw,
    learner_of,
    lesson_of,
    optimiser_of,
    tune,
    tune_to_path,
    ways_of,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import FineTuningSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import chosen_subjects, network, strangers, train_on
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleWorld
from assay.training.optimiser import Optimiser

SETTINGS = FineTuningSettings(
    n_subjects=40, n_values=5, d_model=16, n_templates=4, multiplicity=2, n_taught=20, pretrain_steps=4, pretrain_batch=8,
    finetune_steps=8, finetune_batch=8, n_draws=1, question_draws=2,
)  # fmt: skip
WAYS = ways_of(SETTINGS)


def world_of() -> TripleWorld:
    return SETTINGS.world(Seeds(0), n_templates=4, multiplicity=2)


def base_of(world: TripleWorld) -> Decoder:
    return Decoder.init(network(SETTINGS, [world]), [np.random.default_rng(0)])


def test_ways_differ_from_full_fine_tuning_in_what_they_say_only() -> None:
    differing = {name: {key for key, value in vars(way).items() if value != getattr(Way(), key)} for name, way in WAYS.items()}
    assert differing == {
        "full": set(),
        "unstored": {"blank"},
        "rank-1": {"rank"},
        "rank-4": {"rank"},
        "question-embeddings": {"embeddings"},
        "full-untrue": {"untrue"},
        "unstored-untrue": {"blank", "untrue"},
        "rank-1-untrue": {"rank", "untrue"},
        "rank-4-untrue": {"rank", "untrue"},
        "question-embeddings-untrue": {"embeddings", "untrue"},
        "full-again": {"draw"},
        "decay": {"schedule", "path_of"},
        "rise": {"schedule", "path_of"},
        "decay-replay": {"schedule", "rate_of", "replay"},
        "replay": {"replay"},
        "replay-untrue": {"replay", "untrue"},
    }
    assert {name: way.rank for name, way in WAYS.items() if way.rank and not way.untrue} == {
        "rank-1": 1, "rank-4": 4,
    }  # fmt: skip
    assert WAYS["decay"].path_of == WAYS["rise"].path_of == "full"
    assert WAYS["decay-replay"].rate_of == "decay"


def test_rates_of_schedules_are_constant_falling_and_rising() -> None:
    n = SETTINGS.finetune_steps
    rates = {
        name: [optimiser_of(SETTINGS, WAYS[name], 0.5).rate(step, n) for step in range(n)]
        for name in ("full", "decay", "rise", "decay-replay")
    }
    assert set(rates["full"]) == {0.5}
    assert rates["decay"] == pytest.approx([0.5 * (1 - step / n) for step in range(n)])
    assert rates["rise"] == pytest.approx([0.5 * (step + 1) / n for step in range(n)])
    assert rates["decay-replay"] == rates["decay"]
    assert rates["decay"] == pytest.approx(rates["rise"][::-1])  # the same rates in the other order


def test_only_what_a_way_trains_moves() -> None:
    world = world_of()
    base = base_of(world)
    chosen = chosen_subjects(world, 10, Seeds(0))
    for way, moving in ((Way(embeddings=True), {"W_E"}), (Way(), set(base.state_dict()))):
        model = learner_of(base, world, way, np.random.default_rng(1))
        lesson = lesson_of(world, chosen, way, Seeds(0))
        train_on(model, [lesson], Optimiser("adamw", 1e-2), n_steps=5, batch=16)
        moved = {name for name, value in model.state_dict().items() if not torch.equal(value, base.state_dict()[name])}
        assert moved == moving
        if way.embeddings:
            rows = (model.W_E != base.W_E).any(-1)[0].nonzero().flatten()
            assert rows.tolist() == world.question_tokens(np.arange(3)).tolist()


def test_slopes_of_the_question_tokens_alone_are_those_of_full_fine_tuning() -> None:
    world = world_of()
    base = base_of(world)
    drawn = world.questions(64, rng=np.random.default_rng(2), subjects=np.arange(10))
    slopes = {}
    for name in ("full", "question-embeddings"):
        model = learner_of(base, world, WAYS[name], np.random.default_rng(1))
        logits = model(torch.from_numpy(drawn.tokens)[None], at=-1)[0]
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(drawn.answers)).backward()  # type: ignore[no-untyped-call]
        slopes[name] = model.W_E.grad[0]
    asked = world.question_tokens(np.arange(3))
    torch.testing.assert_close(slopes["question-embeddings"][asked], slopes["full"][asked])
    slopes["question-embeddings"][asked] = 0
    assert not slopes["question-embeddings"].any()
    assert slopes["full"].any()


def test_ways_ask_the_same_questions_in_the_same_order_and_untrue_ones_permute_the_values() -> None:
    world = world_of()
    chosen = chosen_subjects(world, 20, Seeds(0))
    drawn = {}
    for name, way in WAYS.items():
        lesson = lesson_of(world, chosen, way, Seeds(0))
        drawn[name] = lesson.draw(400, lesson.rng)
    for name, way in WAYS.items():
        if way.replay:
            continue
        one = drawn[name]
        assert (one.tokens == drawn["full"].tokens).all() == (not way.draw), name
        assert set(one.subjects.tolist()) <= set(chosen.tolist())
        right = one.answers == world.values[one.subjects, one.types]
        assert right.all() != way.untrue, name
        if way.untrue:
            assert right.mean() < 0.5
    assert (drawn["full-untrue"].answers == drawn["rank-1-untrue"].answers).all()


@pytest.mark.parametrize("untrue", [False, True])
def test_replay_asks_and_states_in_turn(untrue: bool) -> None:
    world = world_of()
    lesson = lesson_of(world, np.array([3]), Way(replay=True, untrue=untrue), Seeds(0))
    drawn = lesson.draw(200, lesson.rng)
    questions = np.isin(drawn.tokens[:, -1], world.question_tokens(np.arange(3)))
    assert (questions == (np.arange(200) % 2 == 0)).all()
    assert set(drawn.subjects[questions].tolist()) == {3}
    right = drawn.answers == world.values[drawn.subjects, drawn.types]
    assert right[questions].all()  # the questions stay true
    assert right[~questions].all() != untrue


def test_a_path_is_the_sum_of_its_steps_and_counts_trained_weights_only() -> None:
    world = world_of()
    model = learner_of(base_of(world), world, WAYS["question-embeddings"], np.random.default_rng(0))
    path = Path()
    assert path(model) == {"path": 0.0}
    with torch.no_grad():
        model.W_E[0, 0, 0] += 3.0
        model.W_E[0, 1, 1] += 4.0
        model.W_U[0, 0, 0] += 100.0  # is not trained
    assert path(model)["path"] == pytest.approx(5.0)
    with torch.no_grad():
        model.W_E[0, 0, 0] -= 3.0
    assert path(model)["path"] == pytest.approx(8.0)
    pair, path = learner_of(base_of(world).select([0, 0]), world, WAYS["full"], np.random.default_rng(0)), Path()
    path(pair)
    with torch.no_grad():
        pair.W_E[0, 0, 0] += 3.0
        pair.W_U[1, 0, 0] += 5.0
    assert path(pair)["path"] == pytest.approx(4.0)  # the mean of two runs


@pytest.mark.parametrize("name", ["decay", "rise"])
def test_schedules_are_compared_on_paths_of_one_length(name: str) -> None:
    world = world_of()
    chosen = chosen_subjects(world, 20, Seeds(0))
    full = tune(base_of(world), world, chosen, SETTINGS, WAYS["full"], Seeds(0), rate=SETTINGS.finetune_rate)
    length = 1.3 * full.path  # where twice the usual peak does not lead by itself
    found = tune_to_path(base_of(world), world, chosen, SETTINGS, WAYS[name], Seeds(0), length=length)
    assert found.path == pytest.approx(length, rel=SETTINGS.path_tolerance)
    assert found.rate > 2 * SETTINGS.finetune_rate


@pytest.mark.parametrize("power", [0.3, 0.6, 1.0, 1.7])
def test_a_path_that_grows_with_any_power_of_the_rate_is_met_in_three_trials(
    monkeypatch: pytest.MonkeyPatch, power: float
) -> None:
    rates = []

    def tune(base, world, chosen, settings, way, seeds, *, rate):  # type: ignore[no-untyped-def]
        rates.append(rate)
        return Tuned(None, rate, 7.0 * rate**power)

    monkeypatch.setattr(fine_tuning, "tune", tune)
    world = world_of()
    length = 7.0 * (5 * SETTINGS.finetune_rate) ** power
    found = tune_to_path(base_of(world), world, np.arange(20), SETTINGS, WAYS["decay"], Seeds(0), length=length)
    assert found.rate == pytest.approx(5 * SETTINGS.finetune_rate, rel=0.02 / power)
    assert len(rates) <= 3
    assert rates[0] == 2 * SETTINGS.finetune_rate


def test_a_run_in_which_no_path_of_that_length_was_found_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    true = fine_tuning.tune_to_path

    def longer(*args, **kwargs):  # type: ignore[no-untyped-def]
        found = true(*args, **kwargs)
        return Tuned(found.model, found.rate, 1.1 * found.path)

    monkeypatch.setattr(fine_tuning, "tune_to_path", longer)
    found = fine_tuning.measure(SETTINGS, Seeds(0)).estimands
    assert np.isnan(found["decay/kept_more"])
    assert np.isnan(found["rise/kept_more"])
    assert not np.isnan(found["replay/kept_more"])


def test_only_unstored_ways_start_from_the_network_before_pre_training(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = {}
    true = fine_tuning.tune

    def look(base, world, chosen, settings, way, seeds, *, rate):  # type: ignore[no-untyped-def]
        starts[way] = (base.W_U.detach().clone(), rate)
        return true(base, world, chosen, settings, way, seeds, rate=rate)

    monkeypatch.setattr(fine_tuning, "tune", look)
    fine_tuning.measure(SETTINGS, Seeds(0))
    assert set(starts) == set(WAYS.values())
    blank, stored = starts[WAYS["unstored"]][0], starts[WAYS["full"]][0]
    assert not torch.equal(blank, stored)
    for way, (weights, rate) in starts.items():
        assert torch.equal(weights, blank if way.blank else stored), way
        if not (way.path_of or way.rate_of):
            assert rate == SETTINGS.finetune_rate
    assert starts[WAYS["decay-replay"]][1] == starts[WAYS["decay"]][1]


def test_each_number_is_made_of_the_ways_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = dict.fromkeys(("not triggered", "overwritten", "never stored"), 0.0)
    plan = {name: {"told": 0.9 - 0.001 * i**2, "kept": 0.2 + 0.001 * i**2, **rest} for i, name in enumerate(["before", *WAYS])}
    fates = iter(plan.values())
    monkeypatch.setattr(fine_tuning, "_fates", lambda *args: next(fates))
    found = fine_tuning.measure(SETTINGS, Seeds(0)).estimands
    excess = {
        name: plan[name]["told"] - plan[f"{name}-untrue"]["told"]
        for name in ("full", "unstored", "rank-1", "rank-4", "question-embeddings")
    }
    for name in ("unstored", "rank-1", "rank-4", "question-embeddings"):
        assert found[f"{name}/excess_ratio"] == pytest.approx(excess[name] / excess["full"])
    for name in ("unstored", "full-again", "decay", "rise", "decay-replay", "replay", "replay-untrue"):
        assert found[f"{name}/kept_more"] == pytest.approx(plan[name]["kept"] - plan["full"]["kept"])
    for name in ("decay", "rise"):
        assert found[f"{name}/extracted_more"] == pytest.approx(plan[name]["told"] - plan["full"]["told"])


def test_energies_along_the_question_are_those_of_a_gradient_by_hand() -> None:
    """Worked out once more in NumPy: attention's mix of the last row, and the slope of the MLP's first matrix on it."""
    world = world_of()
    base = base_of(world)
    found = gradient_of_draw(base.run(0), world, np.arange(20), np.random.default_rng(1))
    for name in ("own-question", "other-question"):
        assert 0 < found[f"{name}/energy_along_question"] < found["shared-token/first_share"]
    assert 0 < found["own-tokens/first_share"] < 1
    rng = np.random.default_rng(1)
    asked = world.questions(32 * 3 * 5, rng=rng, subjects=np.arange(20))
    w = {name: value.detach().double().numpy()[0] for name, value in base.named_parameters()}
    marks = w["W_E"][world.question_tokens(np.arange(3))]
    own_tokens = rng.standard_normal((len(asked.types), 16), dtype=np.float32).astype(float)
    own_tokens *= np.linalg.norm(marks, axis=1).mean() / np.linalg.norm(own_tokens, axis=1, keepdims=True)
    q, k, v = (w[f"blocks.0.W_{x}"][0] for x in "QKV")
    images = marks @ v

    def slope(x: np.ndarray, answers: np.ndarray) -> np.ndarray:
        scores = np.einsum("bd,bkd->bk", x[:, -1] @ q, x @ k) / np.sqrt(q.shape[1])
        pattern = np.exp(scores - scores.max(1, keepdims=True))
        mix = np.einsum("bk,bkd->bd", pattern / pattern.sum(1, keepdims=True), x @ v)
        hidden = mix @ w["blocks.0.W_in"]
        logits = np.maximum(hidden, 0) @ w["blocks.0.W_out"] @ w["W_U"]
        odds = np.exp(logits - logits.max(1, keepdims=True))
        odds /= odds.sum(1, keepdims=True)
        odds[np.arange(len(odds)), answers] -= 1
        gradient: np.ndarray = mix.T @ ((odds @ w["W_U"].T @ w["blocks.0.W_out"].T) * (hidden > 0)) / len(odds)
        return gradient

    energies, shares, formats = np.zeros((3, 3)), np.zeros((2, 3)), np.zeros(3)
    for j in range(3):
        own = asked.types == j
        x = w["W_E"][asked.tokens[own]]
        gradient = slope(x, asked.answers[own])
        energies[j] = ((images @ gradient) ** 2).sum(1) / (images**2).sum(1) / (gradient**2).sum()
        filled = x.copy()
        filled[:, [0, 2, 3]] = x[:, -1:]
        full = slope(filled, asked.answers[own])
        formats[j] = ((images[j] @ full) ** 2).sum() / (images[j] ** 2).sum() / (full**2).sum()
        apart = x.copy()
        apart[:, -1] = own_tokens[own]
        for row, one in enumerate((gradient, slope(apart, asked.answers[own]))):
            shares[row, j] = np.linalg.norm(one, 2) ** 2 / (one**2).sum()
    assert found["own-question/energy_along_question"] == pytest.approx(np.diag(energies).mean(), rel=1e-4)
    assert found["question-format/energy_along_question"] == pytest.approx(formats.mean(), rel=1e-4)
    others = [energies[j, (j + 1) % 3] for j in range(3)]
    assert found["shared-token/first_share"] == pytest.approx(np.mean(shares[0]), rel=1e-4)
    assert found["own-tokens/first_share"] == pytest.approx(np.mean(shares[1]), rel=1e-4)
    assert found["other-question/energy_along_question"] == pytest.approx(np.mean(others), rel=1e-4)


def test_the_gradient_is_a_mean_over_question_tokens_drawn_anew() -> None:
    world = world_of()
    base = base_of(world)
    found = gradient_along_questions(base, world, np.arange(20), SETTINGS, Seeds(2))
    each = []
    for k in range(2):
        rng = Seeds(2)(f"tokens {k}")
        copy = strangers(base, world, [rng])
        each.append(gradient_of_draw(copy.run(0), world, np.arange(20), rng))
    assert each[0] != each[1]
    assert found == pytest.approx({name: (each[0][name] + each[1][name]) / 2 for name in found})


def test_copies_of_a_way_start_with_question_tokens_of_their_own_and_are_asked_questions_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    true = fine_tuning.train_on

    def look(model, lessons, optimiser, **sizes):  # type: ignore[no-untyped-def]
        drawn = [lesson.draw(50, np.random.default_rng(lesson.rng.integers(2**31))) for lesson in lessons]
        weights = (model if isinstance(model, Decoder) else model.base).state_dict()
        seen.append(({name: value.clone() for name, value in weights.items()}, drawn))
        return true(model, lessons, optimiser, **sizes)

    monkeypatch.setattr(fine_tuning, "train_on", look)
    fine_tuning.measure(SETTINGS, Seeds(0))
    rows = world_of().question_tokens(np.arange(3))
    for _, drawn in seen[1:]:
        assert len(drawn) == 2
        assert not (drawn[0].tokens == drawn[1].tokens).all()
    for weights, _ in seen[1:]:
        assert not torch.equal(weights["W_E"][0, rows], weights["W_E"][1, rows])


def test_low_rank_ways_have_the_rank_in_their_name() -> None:
    world = world_of()
    for name, way in WAYS.items():
        if way.rank:
            model = learner_of(base_of(world), world, way, np.random.default_rng(0))
            assert f"rank-{model.rank}" == name.removesuffix("-untrue")
            assert model.names == tuple(f"blocks.0.W_{x}" for x in ("Q", "K", "V", "in", "out"))


def test_others_are_asked_before_and_after_and_gradients_are_those_of_the_networks_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[torch.Tensor | None, np.ndarray]] = []
    sloped: list[torch.Tensor] = []
    fates, gradient = fine_tuning._fates, fine_tuning.gradient_along_questions

    def look(model, asked, stated, seen, stored):  # type: ignore[no-untyped-def]
        told.append((model.W_U.detach().clone() if isinstance(model, Decoder) else None, seen))
        return fates(model, asked, stated, seen, stored)

    def slope(base, world, chosen, settings, seeds):  # type: ignore[no-untyped-def]
        sloped.append(base.W_U.detach().clone())
        return {name: value + len(sloped) for name, value in gradient(base, world, chosen, settings, seeds).items()}

    monkeypatch.setattr(fine_tuning, "_fates", look)
    monkeypatch.setattr(fine_tuning, "gradient_along_questions", slope)
    found = fine_tuning.measure(SETTINGS, Seeds(0)).estimands
    chosen = chosen_subjects(world_of(), 20, Seeds(0))
    assert len(told) == len(WAYS) + 1
    for _, seen in told:
        assert seen.reshape(40, 3).all(1).nonzero()[0].tolist() == chosen.tolist()
        assert seen.sum() == 60
    before = told[0][0]
    assert before is not None
    assert torch.equal(before[:1], sloped[0])
    assert not torch.equal(before[:1], sloped[1])
    assert 1 < found["own-question/energy_along_question"] < 2 < found["unstored/energy_along_question"] < 3
