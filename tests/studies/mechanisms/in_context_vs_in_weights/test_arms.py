"""Every arm is what its name says: it differs from the arm beside it in that and in nothing else."""

from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights import emergence, gates, skew
from assay.studies.mechanisms.in_context_vs_in_weights.claims import (
    DATA,
    EMERGENCE,
    GATES,
    REMEMBERING,
    SGD,
    SKEW,
    TWO_PARAMETERS,
)
from assay.studies.mechanisms.in_context_vs_in_weights.settings import (
    DataSettings,
    EmergenceSettings,
    FidelitySettings,
    GateSettings,
    MinimalSettings,
    Regime,
    SkewSettings,
    Training,
    check_regimes,
)
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Arm,
    Setting,
    Trained,
    network,
    optimiser_of,
    prepare,
    train_regimes,
    untrained,
)
from assay.training.trace import Trace

SMALL = Training(n_steps=2, n_eval=400, batch=32)


def changes(first: Regime, second: Regime) -> dict[str, tuple[Any, Any]]:
    pairs = {field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(Regime)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def arm(regime: Regime, name: str = "arm", settings: Training = SMALL) -> Arm:
    return prepare(name, regime, settings, Seeds(0), d_content=63, placed=True)


@pytest.mark.parametrize("settings", [DATA.presets["laptop"].settings, DATA.presets["paper"].settings, MinimalSettings()])
def test_the_settings_that_are_compared_differ_in_one_property(settings: DataSettings) -> None:
    cells, corners = settings.regimes, settings.corners
    assert changes(cells[corners["few"]], cells[corners["many"]]) == {"n_classes": (128, 2048)}
    assert changes(cells[corners["single"]], cells[corners["burst"]]) == {"burst": (1, 4)}
    most = max(settings.noises)
    assert changes(cells[corners["clean"]], cells[corners["noisy"]]) == {"noise": (0.1, most)}
    assert (cells[corners["clean"]].n_classes, cells[corners["clean"]].burst) == (settings.noisy_classes, 1)
    assert {cells[corners["single"]].n_classes, cells[corners["burst"]].n_classes} == {512}
    assert cells[corners["few"]].burst == cells[corners["many"]].burst == 2


def test_the_whole_grid_holds_every_pair_and_the_laptop_s_what_is_compared() -> None:
    laptop = DATA.presets["laptop"].settings
    assert set(laptop.regimes) == set(laptop.corners.values())
    assert {(one.n_classes, one.burst, one.noise) for one in laptop.regimes.values()} == {
        (128, 2, 0.1), (512, 1, 0.1), (512, 4, 0.1), (2048, 2, 0.1), (608, 1, 0.1), (608, 1, 0.5),
    }  # fmt: skip
    whole = DATA.presets["paper"].settings.regimes
    assert len({(one.n_classes, one.burst) for name, one in whole.items() if "eps" not in name}) == 15
    assert [(one.n_classes, one.noise) for name, one in whole.items() if "eps" in name] == [
        (1024, 0.1), (1024, 0.25), (1024, 0.5), (1024, 0.75),
    ]  # fmt: skip
    assert len(whole) == 19


def test_what_is_remembered_is_compared_after_equally_many_questions_about_each_class() -> None:
    settings = DATA.presets["laptop"].settings
    asked = {
        role: settings.read_step(settings.regimes[cell]) * settings.batch / settings.regimes[cell].n_classes
        for role, cell in settings.corners.items()
    }
    assert asked["few"] == pytest.approx(asked["many"], rel=0.01)
    assert asked["single"] == asked["burst"] == 1400 * 32 / 512
    assert asked["clean"] == asked["noisy"] == 1400 * 32 / 608
    assert settings.read_step(Regime(2048, 2)) == settings.n_steps
    assert replace(settings, classes=(512,), bursts=(1,)).read_step(Regime(512, 1)) == settings.n_steps


def test_the_arms_of_emergence() -> None:
    settings = EmergenceSettings()
    arms = settings.regimes
    isolated = arms["isolated"]
    assert isolated == Regime(256, 1, noise=0.1, p_bursty=1.0, p_fresh=0.8, n_labels=32, shown="own")
    assert changes(isolated, arms["guesser"]) == {"shown": ("own", "dealt")}
    assert changes(isolated, arms["equal"]) == {"n_labels": (32, 8)}
    assert changes(isolated, arms["renamed"]) == {"renamed": (0, 1200)}
    assert arms["memoriser"] == Regime(32, 0, noise=0.1, p_bursty=0.0, p_fresh=0.0, n_labels=32, shown="own")
    assert arm(arms["equal"]).sets["ic"].drawn.item_labels.shape[1] == 8  # as many items as labels


def test_skewed_regimes_differ_in_the_exponent_alone() -> None:
    settings = SkewSettings()
    assert [changes(settings.regimes[0.0], settings.regimes[a]) for a in (1.0, 2.0)] == [
        {"zipf": (0.0, 1.0)},
        {"zipf": (0.0, 2.0)},
    ]
    assert settings.claimed == 1.0
    with pytest.raises(SettingsError, match="one of the exponents above 0"):
        SkewSettings(claimed=0.0)


def test_sentences_speak_of_the_laptop_s_settings() -> None:
    grid = DATA.presets["laptop"].settings
    assert (grid.classes[0], grid.classes[-1]) == (128, 2048)
    assert (grid.classes[len(grid.classes) // 2], grid.bursts[0], grid.bursts[-1]) == (512, 1, 4)
    assert (grid.noisy_classes, grid.noises[0], grid.noises[-1]) == (608, 0.1, 0.5)
    assert REMEMBERING.presets["laptop"].settings.classes == (128, 2048)
    skewed = SKEW.presets["laptop"].settings
    assert (skewed.claimed, skewed.exponents[-1]) == (1, 2)
    sgd: FidelitySettings = SGD.presets["laptop"].settings
    assert (sgd.n_classes, sgd.burst, sgd.optimiser) == (512, 2, "sgd")
    assert sgd.n_steps * sgd.learning_rate == pytest.approx(0.3 * 150_000 * 0.01)
    assert TWO_PARAMETERS.presets["laptop"].settings.rates == (10, 3, 1)
    assert emergence.CLAIMED == 1 / 4
    assert emergence.GUESSING == 1 / 10
    assert EMERGENCE.presets["laptop"].settings.renamed == 4 / 5
    for experiment in (DATA, REMEMBERING, SKEW, EMERGENCE, TWO_PARAMETERS):
        assert experiment.presets["laptop"].settings.optimiser == "adamw"


def test_the_laptop_s_protocol_is_the_one_that_was_written_down() -> None:
    network = {"network": "strict", "optimiser": "adamw", "learning_rate": 1e-3, "n_eval": 1000, "batch": 32}
    fast = network | {"learning_rate": 0.002}
    grid = fast | {"whole": False, "classes": (128, 512, 2048), "bursts": (1, 2, 4)}
    protocol = {
        DATA.name: grid | {"n_steps": 1400, "n_looks": 3, "noises": (0.1, 0.5), "noisy_classes": 608},
        TWO_PARAMETERS.name: grid
        | {"n_steps": 1200, "n_looks": 6, "n_eval": 500, "noises": (0.1, 0.75), "noisy_classes": 512}
        | {"rates": (10.0, 3.0, 1.0)},
        EMERGENCE.name: network
        | {"n_steps": 1500, "n_eval": 500, "n_attended": 256, "n_classes": 256, "burst": 1, "p_fresh": 0.8, "per_decade": 5}
        | {"every": 30, "memoriser_steps": 200, "renamed": 0.8},
        SKEW.name: fast
        | {"n_steps": 2600, "n_classes": 1024, "burst": 2, "p_bursty": 0.5, "exponents": (0.0, 1.0, 2.0), "claimed": 1.0},
        REMEMBERING.name: fast | {"n_steps": 2000, "classes": (128, 2048), "burst": 2, "n_looks": 8},
        SGD.name: network | {"n_steps": 4500, "optimiser": "sgd", "learning_rate": 0.1, "n_classes": 512, "burst": 2},
        GATES.name: {"others": (16.0, 16.0, 7.0), "n_steps": 6000, "learning_rate": 0.4, "spread": 0.3},
    }  # fmt: skip
    for experiment in (DATA, TWO_PARAMETERS, EMERGENCE, SKEW, REMEMBERING, SGD, GATES):
        assert asdict(experiment.presets["laptop"].settings) == protocol[experiment.name]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_classes": 48}, "multiple of n_labels"),
        ({"n_labels": 3}, "multiple of n_labels"),
        ({"n_labels": 2, "burst": 1}, "different labels"),
        ({"burst": 3}, "burst must divide"),
        ({"noise": -0.1}, "noise"),
        ({"zipf": -1.0}, "zipf"),
        ({"p_bursty": 1.5}, "got 1.5, 0.5"),
        ({"p_bursty": -0.5}, "got -0.5, 0.5"),
        ({"p_fresh": 1.5}, "got 0.25, 1.5"),
        ({"burst": 0}, "fresh classes come in bursts"),
    ],
)
def test_each_property_of_a_regime_is_checked(changed: dict[str, Any], message: str) -> None:
    good = Regime(64, 2, noise=1.25, p_bursty=0.25, p_fresh=0.5)  # a noise may be above 1, a share may not
    check_regimes([good])
    with pytest.raises(SettingsError, match=message):
        check_regimes([good, replace(good, **changed)])


def test_optimisers_are_adam_without_decay_and_the_paper_s_sgd() -> None:
    adam, sgd = optimiser_of(Training()), optimiser_of(Training(optimiser="sgd", learning_rate=0.02))
    assert (adam.kind, adam.learning_rate, adam.weight_decay) == ("adamw", 1e-3, 0)
    assert (sgd.kind, sgd.learning_rate, sgd.momentum) == ("sgd", 0.02, 0)
    assert sgd.learning_rate * sgd.weight_decay == pytest.approx(1e-6)


@pytest.mark.parametrize(
    "regime",
    [
        Regime(64, 2, noise=0.3),
        Regime(128, 1, p_fresh=0.5),
        Regime(64, 4, p_bursty=0.25),
        Regime(64, 2, zipf=2.0, p_bursty=0.0),
        Regime(64, 0, p_bursty=0.0),
    ],
)
def test_batches_are_of_their_regime(regime: Regime) -> None:
    made = arm(regime, settings=replace(SMALL, batch=2000))
    inputs, targets, _ = made.draw(0)
    items, labels = inputs[:, :-1:2], inputs[:, 1::2]
    near = ((items[:, :, None] - inputs[:, None, -1:, :]) ** 2).sum(-1)[..., 0] < 0.5 * (1 + regime.noise)
    table = made.sets["iw"].drawn
    vectors = {
        int(label): row for label, row in zip(table.item_labels.ravel(), table.content[:, 1::2].reshape(-1, 63), strict=True)
    }
    shown = torch.from_numpy(np.stack([vectors[label] for label in range(32)]))
    which = ((labels[:, :, None] - shown) ** 2).sum(-1).argmin(-1)
    if regime.zipf == 0:
        found = near.any(1).float().mean()
        by_chance = 1 - (1 - 1 / regime.n_classes) ** 8
        bursty = regime.p_bursty if regime.burst else 0
        assert found == pytest.approx(bursty + (1 - bursty) * by_chance, abs=0.04)
        known = torch.from_numpy(made.sets["iw_uniform"].drawn.content[:, ::2].reshape(-1, 63))
        is_new = (torch.cdist(inputs[:, -1], known).min(-1).values ** 2 > 0.5 * (1 + regime.noise)).float().mean()
        assert is_new == pytest.approx(regime.p_fresh, abs=0.04)
    if regime.burst and regime.p_bursty == 1:
        assert near.sum(1).tolist() == [regime.burst] * 2000
    own = which[near] == targets[:, None].expand_as(near)[near]
    assert own.float().mean() > 0.99  # an item of the query's class stands before its label
    lengths = (items**2).sum(-1).mean()
    assert lengths == pytest.approx(1, abs=0.1)
    if regime.zipf:
        commonest = torch.bincount(targets).max() / len(targets)
        assert commonest == pytest.approx(1 / np.sum(1 / np.arange(1, 65) ** 2), abs=0.05)


def test_a_twin_that_cannot_look_up_gets_the_same_questions_about_the_same_items() -> None:
    regime = Regime(64, 2)
    own, twin = arm(regime, "cell"), arm(regime.without_look_up, "cell")
    assert changes(regime, regime.without_look_up) == {"shown": ("own", "random")}
    for step in range(3):
        (first, asked, places), (second, again, also) = own.draw(step), twin.draw(step)
        assert torch.equal(asked, again)
        assert places is not None
        assert also is not None
        assert torch.equal(places, also)
        assert torch.equal(first[:, ::2], second[:, ::2])
        assert (first[:, 1::2] == second[:, 1::2]).all(-1).float().mean() < 0.2
    for name, setting in own.sets.items():
        assert torch.equal(setting.batch.inputs, twin.sets[name].batch.inputs)


def test_answers_have_other_names_until_the_step_that_is_said() -> None:
    own, renamed = arm(Regime(64, 2)), arm(Regime(64, 2, renamed=2))
    for step in range(4):
        (first, asked, _), (second, answered, _) = own.draw(step), renamed.draw(step)
        assert torch.equal(first, second)
        assert torch.equal(answered, (asked + 1) % 32 if step < 2 else asked)
    assert all(torch.equal(setting.batch.targets, renamed.sets[key].batch.targets) for key, setting in own.sets.items())


@pytest.mark.parametrize(("shown", "right"), [("own", 1.0), ("dealt", 1 / 4), ("random", 1 / 32)])
def test_labels_of_the_context_tell_as_much_as_is_said(shown: Any, right: float) -> None:
    made = arm(Regime(64, 2, shown=shown), settings=replace(SMALL, batch=4000))
    inputs, targets, _ = made.draw(0)
    drawn = made.sets["ic"].drawn
    vectors = {
        int(label): row for label, row in zip(drawn.item_labels.ravel(), drawn.content[:, 1::2].reshape(-1, 63), strict=True)
    }
    answer = torch.from_numpy(np.stack([vectors[int(target)] for target in targets]))
    is_answer = (inputs[:, 1::2] == answer[:, None]).all(-1)
    matches = ((inputs[:, :-1:2] - inputs[:, -1:]) ** 2).sum(-1) < 0.5
    assert matches.sum(1).tolist() == [2] * 4000
    assert is_answer[matches].float().mean() == pytest.approx(right, abs=0.02)
    in_context = {"own": 1.0, "dealt": 1.0, "random": 1 - (31 / 32) ** 8}[shown]
    assert is_answer.any(1).float().mean() == pytest.approx(in_context, abs=0.03)


def test_twins_start_alike_and_are_trained_on_their_own_contexts() -> None:
    starts: dict[str, Tensor] = {}

    def observe(name: str, model: Decoder, sets: Any) -> dict[str, float]:
        starts.setdefault(name, model.W_U.detach().clone())
        return {"seen": 0.0}

    regimes = {"cell": Regime(64, 2), "other": Regime(64, 2), "twin": Regime(64, 2).without_look_up}
    done = train_regimes(
        regimes, replace(SMALL, n_eval=8), Seeds(1), observe=observe, observe_at=(0, 2), twins={"twin": "cell"}
    )
    assert torch.equal(starts["cell"], starts["twin"])
    assert not torch.equal(starts["cell"], starts["other"])
    assert not torch.equal(done["cell"].model.W_U, done["twin"].model.W_U)
    assert torch.equal(done["cell"].sets["iw"].batch.inputs, done["twin"].sets["iw"].batch.inputs)


def test_evaluations_are_held_out_and_ask_what_their_names_say() -> None:
    regime = Regime(64, 2, zipf=1.5, p_bursty=0.5)
    sets = arm(regime, settings=replace(SMALL, n_eval=3000)).sets
    assert set(sets) == {"ic", "ic2", "iw", "iw_uniform", "known", "scrambled", "stranger"}
    drawn = {name: setting.drawn for name, setting in sets.items()}
    # New classes, and known ones with their own and with shifted labels.
    assert (drawn["ic"].classes >= 64).all()
    assert (drawn["known"].classes < 64).all()
    assert (drawn["known"].answers == drawn["known"].classes[:, -1] % 32).all()
    assert (drawn["ic2"].classes < 64).all()
    assert (drawn["ic2"].answers == (drawn["ic2"].classes[:, -1] + 1) % 32).all()
    # Strangers: other classes under the labels of this world, asked outside bursts.
    own, strange = (
        {int(k): row for k, row in zip(one.classes[:, -1], one.content[:, -1], strict=True)}
        for one in (drawn["iw_uniform"], drawn["stranger"])
    )
    both = sorted(set(own) & set(strange))
    apart = [((own[k] - strange[k]) ** 2).sum() for k in both]
    assert len(both) > 60
    assert min(apart) > 0.8
    vectors = [
        {int(k): row.tobytes() for k, row in zip(one.item_labels.ravel(), one.content[:, 1::2].reshape(-1, 63), strict=True)}
        for one in drawn.values()
    ]
    assert all(found == vectors[0] for found in vectors)
    # As frequent as trained, and all alike.
    frequency = 1 / np.arange(1, 65) ** 1.5
    assert (drawn["iw"].classes[:, -1] == 0).mean() == pytest.approx(frequency[0] / frequency.sum(), abs=0.04)
    assert (drawn["iw_uniform"].classes[:, -1] == 0).mean() == pytest.approx(1 / 64, abs=0.01)
    # Dealt out again: the same labels, of which the right one no longer stands behind the query's class.
    matching = drawn["scrambled"].item_labels[drawn["scrambled"].matches]
    right = np.repeat(drawn["scrambled"].answers, 2)
    assert (matching == right).mean() == pytest.approx(1 / 4, abs=0.05)
    assert (drawn["ic"].item_labels[drawn["ic"].matches] == right).all()


def test_nothing_is_learnt_untrained() -> None:
    settings = untrained(replace(SMALL, n_eval=8))
    seen: list[dict[str, Tensor]] = []

    def observe(name: str, model: Decoder, sets: Any) -> dict[str, float]:
        seen.append({key: value.clone() for key, value in model.state_dict().items()})
        return {"seen": 0.0}

    train_regimes({"x": Regime(64, 2)}, settings, Seeds(0), observe=observe, observe_at=(0, 1))
    for key, value in seen[0].items():
        torch.testing.assert_close(value, seen[1][key], atol=1e-8, rtol=0)
    assert changes(Regime(64, 2), Regime(64, 2)) == {}
    assert {field.name for field in fields(Training) if getattr(settings, field.name) != getattr(SMALL, field.name)} == {
        "n_steps", "learning_rate", "n_eval",
    }  # fmt: skip


def trained() -> Trained:
    made = arm(Regime(64, 2), settings=replace(SMALL, n_eval=6))
    return Trained("x", Decoder.init(network("strict", 32), np.random.default_rng(0)), made.sets, Trace(np.zeros((1, 0))))


ITEMS, LABELS, QUERY = tuple(range(0, 16, 2)), tuple(range(1, 16, 2)), 16


def test_cuts_of_emergence_reach_the_rows_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def record(model: Any, inputs: Tensor, *cuts: Any, at: int, offset: Tensor) -> Tensor:
        asked.append(tuple((cut.layer, cut.rows, cut.head) for cut in cuts))
        assert at == -1
        assert torch.equal(inputs, one.sets["ic"].batch.inputs)
        assert offset is one.sets["ic"].batch.offset
        return torch.zeros(len(inputs), 32)

    one = trained()
    monkeypatch.setattr(emergence, "knocked_out", record)
    names = list(emergence._cut(one))
    assert dict(zip(names, asked, strict=True)) == {
        "whole": (),
        "layer 1, label rows": ((0, LABELS, None),),
        "layer 1, all rows": ((0, None, None),),
        "layer 1, item rows": ((0, ITEMS, None),),
        "layer 2, query row": ((1, (QUERY,), None),),
    }


@pytest.mark.parametrize("key", ["iw", "ic"])
def test_cuts_of_skew_reach_the_rows_they_name(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    given: list[Tensor] = []

    def record(model: Any, inputs: Tensor, *cuts: Any, at: int, offset: Tensor) -> Tensor:
        asked.append(tuple((cut.layer, cut.rows) for cut in cuts))
        given.append(inputs)
        return torch.nn.functional.one_hot(torch.from_numpy(one.sets[key].drawn.answers), 32).float() * (len(asked) == 2)

    one = trained()
    monkeypatch.setattr(skew, "knocked_out", record)
    found = skew.after_cuts(one, key)
    assert dict(zip(found, asked, strict=True)) == {
        "whole": (),
        "layer 1 uniform": ((0, None),),
        "layer 2 uniform": ((1, (QUERY,)),),
        "layer 1 uniform, item rows": ((0, ITEMS),),
        "query exchanged": (),
    }
    assert found["layer 1 uniform"] == 1 > found["whole"]  # judged by the answers of that evaluation
    own = one.sets[key].batch.inputs
    for inputs in given[:-1]:
        assert torch.equal(inputs, own)
    assert torch.equal(given[-1][:, :-1], own[:, :-1])
    assert torch.equal(given[-1][1:, -1], own[:-1, -1])


def test_progress_measures_read_the_attention_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trained()
    first, second = torch.zeros(6, 1, 17, 17), torch.zeros(6, 1, 17, 17)
    first[:, :, LABELS, ITEMS] = 0.75
    matches = torch.from_numpy(one.sets["ic"].drawn.matches)
    second[:, 0, QUERY, 1::2] = matches * 0.2  # two labels of the query's class
    second[:, 0, QUERY, :-1:2] = matches * 0.3  # and its items, which do not count

    def patterns(model: Any, inputs: Tensor, *, offset: Tensor) -> tuple[Tensor, Tensor]:
        assert len(inputs) == len(offset) == 4
        return first[:4], second[:4]

    monkeypatch.setattr(emergence, "patterns", patterns)
    found = emergence._measures(one.model, one.sets, 4)
    assert found["previous_item"] == pytest.approx(0.75)
    assert found["target_label"] == pytest.approx(0.4)
    assert set(found) == {"ic", "ic2", "from_context", "context_labels", "previous_item", "target_label"}


def test_labels_of_the_context_are_counted_once_and_answers_against_the_truth() -> None:
    setting: Setting = trained().sets["ic"]
    n = len(setting.drawn.answers)
    even = emergence._of_context(np.zeros((n, 32)), setting)
    assert even["context_labels"] == pytest.approx(4 / 32)  # four labels, each shown twice
    assert even["from_context"] == (setting.drawn.item_labels == 0).any(1).mean()  # the first of equals is the answer
    sure = np.full((n, 32), -50.0)
    sure[np.arange(n), setting.drawn.answers] = 0
    assert emergence._of_context(sure, setting) == pytest.approx({"ic": 1, "from_context": 1, "context_labels": 1})
    wrong = np.full((n, 32), -50.0)
    for row, shown in enumerate(setting.drawn.item_labels):
        wrong[row, min(set(range(32)) - set(shown.tolist()))] = 0
    assert emergence._of_context(wrong, setting) == pytest.approx({"ic": 0, "from_context": 0, "context_labels": 0})


def test_gates_are_nested_or_side_by_side_from_the_same_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[str, int], Any] = {}
    descend = gates.descend

    def record(given: Any, starts: np.ndarray, **how: Any) -> Any:
        seen[given.form, len(given.others)] = (given.others, starts.copy(), how["learning_rate"], how["n_steps"])
        return descend(given, starts, **how)

    monkeypatch.setattr(gates, "descend", record)
    settings = GateSettings(n_steps=400)
    found = gates.measure_many(settings, [Seeds(0), Seeds(1)])[1]
    assert set(seen) == {(form, depth) for form in ("chain", "apart") for depth in (1, 2, 3)}
    for (_, depth), (others, starts, rate, n_steps) in seen.items():
        assert others == settings.others[-depth:]
        np.testing.assert_array_equal(starts, seen["chain", 3][1][:, -depth:])
        assert (rate, n_steps) == (settings.learning_rate, 400)
    assert (seen["chain", 3][1] >= 0).all()
    assert found.estimands["gates-1/plateau"] == found.estimands["apart-gates-1/plateau"]  # one gate has nothing to nest
    # A single gate against descent written out: loss -log g, g = 1 / (1 + 7 e^-x), slope g - 1.
    x, loss = seen["chain", 1][1][1, 0], []
    for _ in range(401):
        g = 1 / (1 + 7 * np.exp(-x))
        loss.append(-np.log(g))
        x -= settings.learning_rate * (g - 1)
    fallen = (loss[0] - np.array(loss)) / loss[0]
    quarter, most = (np.interp(level, fallen, np.arange(401)) for level in (0.25, 0.9))
    assert found.estimands["gates-1/plateau"] == pytest.approx(quarter / (most - quarter), rel=0.02)
