"""Every number that a claim is judged by, from planted curves and accuracies: which arm, which evaluation, which step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.claims.study import Measurement
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights import data, emergence, remembering, sgd, skew, two_parameters
from assay.studies.mechanisms.in_context_vs_in_weights.claims import DATA, REMEMBERING
from assay.studies.mechanisms.in_context_vs_in_weights.minimal_induction import MinimalInduction
from assay.studies.mechanisms.in_context_vs_in_weights.settings import (
    DataSettings,
    EmergenceSettings,
    FidelitySettings,
    MinimalSettings,
    Regime,
    RememberingSettings,
    SkewSettings,
    Training,
)
from assay.studies.mechanisms.in_context_vs_in_weights.system import Setting, constant_accuracy, guessing_accuracy, prepare
from assay.training.optimiser import Optimiser, Stepper

SEEDS = Seeds(0)


class Planted:
    """What training an arm would yield: its curves by evaluation, and evaluations that say whose they are."""

    def __init__(self, name: str, steps: Sequence[int], curves: Any) -> None:
        self.name, self.curves = name, curves
        self.model = name
        self.sets = {key: (name, key) for key in ("ic", "ic2", "iw", "iw_uniform", "known", "scrambled", "stranger")}
        self.trace = SimpleNamespace(steps=tuple(steps))

    def curve(self, key: str) -> np.ndarray:
        return np.array([self.curves(self.name, key, step) for step in self.trace.steps])

    def last(self, key: str) -> float:
        return float(self.curve(key)[-1])


def plant(monkeypatch: pytest.MonkeyPatch, module: Any, curves: Any, seen: dict[str, Any] | None = None) -> None:
    """Lets `module` train nothing and find these curves; `seen` keeps what it asked for."""

    def train_regimes(regimes: Any, settings: Any, seeds: Any, *, observe: Any, observe_at: Any, **more: Any) -> Any:
        if seen is not None:
            seen.update(regimes=dict(regimes), settings=settings, observe=observe, observe_at=tuple(observe_at), **more)
        return {name: Planted(name, observe_at, curves) for name in regimes}

    monkeypatch.setattr(module, "train_regimes", train_regimes)


def accuracy_of(model: str, sets: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """A number that tells arm and evaluation apart, the same every time."""
    assert all(owner == model for owner, _ in sets.values())
    return {name: number(model, name) for name in names}


def number(*what: object) -> float:
    return Seeds(0)(repr(what)).random()


def test_costs_are_read_beside_the_twin_after_equally_many_questions_about_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def train_regimes(regimes: Any, settings: Any, seeds: Any, **how: Any) -> Any:
        calls.append({"regimes": dict(regimes), "settings": settings, **how})
        return {name: Planted(name, how["observe_at"], number) for name in regimes}

    monkeypatch.setattr(data, "train_regimes", train_regimes)
    monkeypatch.setattr(data, "accuracies", accuracy_of)
    settings = DATA.presets["laptop"].settings
    measured = data.measure(settings, SEEDS)
    found, tables = measured.estimands, measured.tables
    cells = {
        "few": "K=128 B=2",
        "many": "K=2048 B=2",
        "single": "K=512 B=1",
        "burst": "K=512 B=4",
        "clean": "K=608 B=1 eps=0.1",
        "noisy": "K=608 B=1 eps=0.5",
    }
    steps = {"few": 88, "many": 1400, "single": 1400, "burst": 1400, "clean": 1400, "noisy": 1400}

    def cost(role: str, key: str) -> float:
        cell = cells[role]
        return number(f"{cell}, no look-up", key, steps[role]) - number(cell, key, steps[role])

    for name, (high, low) in {"classes": ("many", "few"), "bursts": ("burst", "single"), "noise": ("noisy", "clean")}.items():
        assert found[f"{name}/ic_gain"] == pytest.approx(number(cells[high], "ic") - number(cells[low], "ic"))
        scrambled = number(cells[high], "scrambled") - number(cells[low], "scrambled")
        assert found[f"{name}-scrambled/ic_gain"] == pytest.approx(scrambled)
        assert found[f"{name}/iw_cost"] == pytest.approx(cost(high, "iw") - cost(low, "iw"))
        assert found[f"{name}-stranger/iw_cost"] == pytest.approx(cost(high, "stranger") - cost(low, "stranger"))
    gaps = [abs(number(cells[role], "ic2") - number(cells[role], "ic")) for role in ("many", "burst")]
    assert found["readers/override_gap"] == pytest.approx(max(gaps))
    assert found["few/shift_loss"] == pytest.approx(number(cells["few"], "known") - number(cells["few"], "ic2"))
    ends = {(row["cell"], row["evaluation"]): row["accuracy"] for row in tables["cells"]}
    course = {(row["cell"], row["evaluation"], row["step"]): row["accuracy"] for row in tables["course"]}
    assert (len(ends), len(course)) == (len(tables["cells"]), len(tables["course"]))
    for role, cell in cells.items():
        twin = f"{cell}, no look-up"
        own_numbers = {"ic": number(cell, "ic"), "iw": number(cell, "iw", steps[role])}
        twins_numbers = {"twin_iw": number(twin, "iw", steps[role]), "twin_ic": number(twin, "ic", steps[role])}
        assert {key: ends[cell, key] for key in ("ic", "iw", "twin_iw", "twin_ic")} == own_numbers | twins_numbers
        shown = {(key, step): value for (name, key, step), value in course.items() if name == cell}
        assert {step for _, step in shown} == {88, 467, 933, 1400}
        assert shown == {(key, step): number(cell, key, step) for key, step in shown}
    own, *twins = calls
    assert own["settings"] == settings
    assert own["regimes"] == settings.regimes
    assert "twins" not in own
    trained = {twin: (call["settings"].n_steps, regime) for call in twins for twin, regime in call["regimes"].items()}
    assert trained == {
        f"{cells[role]}, no look-up": (step, settings.regimes[cells[role]].without_look_up) for role, step in steps.items()
    }
    for call in twins:
        assert call["twins"] == {twin: twin.removesuffix(", no look-up") for twin in call["regimes"]}
        assert call["observe_at"] == (call["settings"].n_steps,)
        assert replace(call["settings"], n_steps=settings.n_steps) == settings
    assert own["observe"]("x", "x", {"ic": ("x", "ic")}) == {key: number("x", key) for key in ("ic", "iw", "stranger")}


def test_few_and_many_classes_are_read_beside_their_twins_after_equally_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, dict[str, Any]] = {}

    def train_regimes(regimes: Any, settings: Any, seeds: Any, **how: Any) -> Any:
        calls.update({name: {"regime": regime, "settings": settings, **how} for name, regime in regimes.items()})
        return {name: Planted(name, how["observe_at"], number) for name in regimes}

    monkeypatch.setattr(remembering, "train_regimes", train_regimes)
    monkeypatch.setattr(remembering, "accuracies", accuracy_of)
    settings = REMEMBERING.presets["laptop"].settings
    last = {128: settings.n_steps // 16, 2048: settings.n_steps}
    found = remembering.measure(settings, SEEDS)

    def cost(k: int, key: str) -> float:
        return number(f"K={k}, cannot look up", key, last[k]) - number(f"K={k}", key, last[k])

    assert found.estimands["classes/iw_cost"] == pytest.approx(cost(2048, "iw") - cost(128, "iw"))
    assert found.estimands["classes-stranger/iw_cost"] == pytest.approx(cost(2048, "stranger") - cost(128, "stranger"))
    for k, n_steps in last.items():
        own, twin = calls[f"K={k}"], calls[f"K={k}, cannot look up"]
        assert (own["regime"], twin["regime"]) == (Regime(k, 2), Regime(k, 2, shown="random"))
        for one in (own, twin):
            assert one["settings"] == replace(settings, n_steps=n_steps)
            assert one["observe_at"][-1] == n_steps
            assert one["twins"] == {f"K={k}, cannot look up": f"K={k}"}
        assert own["observe"]("x", "x", {"ic": ("x", "ic")}) == {key: number("x", key) for key in ("ic", "iw", "stranger")}
    for row in found.tables["course"]:
        k = int(str(row["network"]).removeprefix("K=").split(",")[0])
        step = round(float(row["questions"]) * k / settings.batch)
        assert row["accuracy"] == number(row["network"], row["evaluation"], step)
    asked = {row["network"]: row["questions"] for row in found.tables["course"]}  # at the last look
    assert len(asked) == 4
    assert set(asked.values()) == {settings.n_steps * settings.batch / 2048}
    with pytest.raises(SettingsError, match="at least two numbers and rise"):
        RememberingSettings(classes=(128, 128))


def test_a_property_that_does_not_vary_has_no_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, data, number)
    monkeypatch.setattr(data, "accuracies", accuracy_of)
    settings = DataSettings(classes=(512,), bursts=(1,), noisy_classes=512)
    found = data.measure(settings, SEEDS).estimands
    assert {name.split("/")[0] for name in found} == {"noise", "noise-scrambled", "noise-stranger", "readers", "few"}


def setting_of(answers: Sequence[int]) -> Setting:
    drawn: Any = SimpleNamespace(answers=np.array(answers))
    return Setting(drawn, None)  # type: ignore[arg-type]


def test_the_best_constant_answer_is_the_label_that_most_questions_have() -> None:
    assert constant_accuracy(setting_of([3, 3, 5, 7])) == 0.5
    sets = prepare("x", Regime(1024, 2, zipf=2.0), Training(n_eval=4000, batch=1), SEEDS, d_content=3, placed=False).sets
    mass = 1 / np.arange(1, 1025) ** 2.0
    commonest = (mass / mass.sum()).reshape(32, 32).sum(0).max()
    assert commonest == pytest.approx(0.609, abs=0.001)
    assert constant_accuracy(sets["iw"]) == pytest.approx(commonest, abs=0.03)
    assert constant_accuracy(sets["iw_uniform"]) < 0.06


@pytest.mark.parametrize("burst", [1, 2, 4])
def test_guessing_among_the_labels_of_the_context_is_right_once_in_their_number(burst: int) -> None:
    made = prepare("x", Regime(64, burst), Training(n_eval=50, batch=1), SEEDS, d_content=3, placed=False)
    assert guessing_accuracy(made.sets["ic"]) == pytest.approx(burst / 8)


def test_skew_gains_are_read_at_the_exponent_claimed_beyond_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    plant(monkeypatch, skew, lambda name, key, step: number(name, key), seen)
    monkeypatch.setattr(skew, "constant_accuracy", lambda setting: 0.1 * number("constant", *setting))
    monkeypatch.setattr(skew, "guessing_accuracy", lambda setting: 0.1 * number("guessing", *setting))

    def cuts(done: Planted, key: str) -> dict[str, float]:
        names = ("whole", "layer 1 uniform", "layer 2 uniform", "layer 1 uniform, item rows", "query exchanged")
        return {name: number(done.name, key, name) for name in names}

    monkeypatch.setattr(skew, "after_cuts", cuts)
    settings = SkewSettings(exponents=(0.0, 0.5, 1.0, 2.0))
    measured = skew.measure(settings, SEEDS)
    found, tables = measured.estimands, measured.tables

    def lesser(name: str, weights: str) -> float:
        looked_up = number(name, "ic") - 0.1 * number("guessing", name, "ic")
        return max(0.0, min(looked_up, number(name, weights) - 0.1 * number("constant", name, weights)))

    for arm, weights in {"frequent": "iw", "uniform": "iw_uniform", "stranger": "stranger"}.items():
        assert found[f"{arm}/gain"] == pytest.approx(lesser("alpha=1", weights) - lesser("alpha=0", weights))
    assert found["steepest/gain"] == pytest.approx(lesser("alpha=2", "iw") - lesser("alpha=0", "iw"))
    steep = {(key, name): number("alpha=2", key, name) for key in ("iw", "ic") for name in cuts(Planted("x", (), None), "ic")}
    changes = [steep["iw", f"layer {layer} uniform"] - steep["iw", "whole"] for layer in (1, 2)]
    losses = [steep["ic", "whole"] - steep["ic", f"layer {layer} uniform"] for layer in (1, 2)]
    assert found["head-uniform/iw_change"] == pytest.approx(max(changes, key=abs))
    assert found["head-uniform/ic_loss"] == pytest.approx(min(losses))
    assert found["query-exchanged/iw_change"] == pytest.approx(steep["iw", "query exchanged"] - steep["iw", "whole"])
    rows = steep["ic", "whole"] - steep["ic", "layer 1 uniform, item rows"]
    assert found["item-rows-uniform/ic_loss"] == pytest.approx(rows)
    assert list(seen["regimes"].values()) == list(settings.regimes.values())
    assert seen["settings"] is settings
    exponents = ("0", "0.5", "1", "2")
    expected = {(a, key): number(f"alpha={a}", key) for a in exponents for key in ("ic", "iw", "iw_uniform")}
    expected |= {(a, "constant"): 0.1 * number("constant", f"alpha={a}", "iw") for a in exponents}
    assert {(row["exponent"], row["evaluation"]): row["accuracy"] for row in tables["skew"]} == expected
    assert {(row["cut"], row["evaluation"]): row["accuracy"] for row in tables["cuts"]} == {
        (name, key): value for (key, name), value in steep.items()
    }
    for row in tables["course"]:
        assert row["accuracy"] == number(f"alpha={row['exponent']}", row["evaluation"])
    assert {(row["exponent"], row["evaluation"]) for row in tables["course"]} == {
        (a, key) for a in exponents for key in ("ic", "iw")
    }
    assert len({row["step"] for row in tables["course"]}) == 6


@pytest.mark.parametrize(
    ("ic", "iw", "excess"), [(0.9, 0.5, 0.3), (0.6, 0.9, 0.35), (0.05, 0.9, 0), (0.9, 0.1, 0), (0.05, 0.1, 0)]
)
def test_who_is_not_beyond_guessing_or_a_constant_has_nothing(
    ic: float, iw: float, excess: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skew, "guessing_accuracy", lambda setting: 0.25)
    monkeypatch.setattr(skew, "constant_accuracy", lambda setting: 0.2)
    done: Any = Planted("x", (1,), lambda name, key, step: {"ic": ic, "iw": iw}[key])
    assert skew.lesser_excess(done) == pytest.approx(excess)


def test_one_share_of_every_rise_is_read() -> None:
    steps = np.arange(0.0, 101.0)
    curves = {"early": np.clip(steps / 50, 0, 1), "late": 0.2 + 0.6 * np.clip((steps - 40) / 50, 0, 1)}
    for share in (0.1, 0.25, 0.5):
        found = emergence.part_rises(steps, curves, share)
        assert found["early"] == pytest.approx(50 * share, abs=0.01)
        assert found["late"] == pytest.approx(40 + 50 * share, abs=0.01)


def test_leads_are_positive_for_what_comes_before_accuracy_and_attention_is_the_later_pattern() -> None:
    rises = {"ic": 100.0, "ic2": 97.0, "context_labels": 60.0, "previous_item": 80.0, "target_label": 110.0}
    assert emergence.leads(rises) == {"attention": -10, "context-labels": 40, "shifted-labels": 3}
    assert emergence.leads(rises | {"previous_item": 95.0, "target_label": 70.0})["attention"] == 5


def test_the_share_of_the_context_is_read_at_one_in_ten() -> None:
    steps = np.arange(0.0, 101.0)
    accuracy = steps / 100
    assert emergence.share_at_guessing(steps, accuracy, 1 - accuracy) == pytest.approx(0.9)
    assert math.isnan(emergence.share_at_guessing(steps, 0 * accuracy, accuracy))


def test_emergence_reads_each_arm_by_what_it_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    middles = {"isolated": 300, "guesser": 340, "renamed": 500, "equal": 420, "memoriser": 90}
    wides = {"isolated": 20, "guesser": 120, "renamed": 30, "equal": 120, "memoriser": 30}
    shifts = {"ic": 0, "iw": 10, "ic2": 5, "context_labels": -60, "previous_item": -30, "target_label": -20}
    shifts["from_context"] = -40
    calls: list[tuple[set[str], int, tuple[int, ...]]] = []

    def curves(name: str, key: str, step: int) -> float:
        moved = 10 * shifts[key] if name == "renamed" else shifts[key]
        return float(1 / (1 + np.exp(-(step - middles[name] - moved) / wides[name])))

    def train_regimes(regimes: Any, given: Any, seeds: Any, *, observe: Any, observe_at: Any) -> Any:
        calls.append((set(regimes), given.n_steps, tuple(observe_at)))
        assert all(regime == settings.regimes[name] for name, regime in regimes.items())
        assert replace(given, n_steps=settings.n_steps) == settings
        return {name: Planted(name, observe_at, curves) for name in regimes}

    monkeypatch.setattr(emergence, "train_regimes", train_regimes)
    cuts = {
        "whole": 1.0, "layer 1, label rows": 0.2, "layer 1, all rows": 0.3, "layer 1, item rows": 0.9,
        "layer 2, query row": 0.1,
    }  # fmt: skip
    monkeypatch.setattr(emergence, "_cut", lambda done: cuts if done.name == "isolated" else {})
    settings = EmergenceSettings(n_steps=1000, every=1)
    found = emergence.measure(settings, SEEDS)
    numbers = found.estimands

    def crossing(name: str, key: str, level: float) -> float:
        return float(middles[name] + shifts[key] + wides[name] * math.log(level / (1 - level)))

    for name, key in (("isolated", "ic"), ("renamed", "ic"), ("memoriser", "iw")):
        quarter, most = crossing(name, key, 0.25), crossing(name, key, 0.9)
        assert numbers[f"{name}/cliff"] == pytest.approx((most - quarter) / quarter, rel=0.02)
    for name, key in (("isolated", "ic"), ("guesser", "ic"), ("memoriser", "iw")):
        there = crossing(name, key, 1 / 10)
        share = curves(name, "from_context", there)  # type: ignore[arg-type]
        assert numbers[f"{name}/from_context"] == pytest.approx(share, abs=0.01)
    assert numbers["isolated/ic"] == pytest.approx(curves("isolated", "ic", 1000))
    assert numbers["equal/ic"] == pytest.approx(curves("equal", "ic", 1000))
    assert numbers["layer-1-uniform/cut_ic"] == 0.3
    assert numbers["layer-2-uniform/cut_ic"] == 0.1
    assert numbers["item-rows-uniform/cut_ic"] == 0.9
    assert numbers["attention/lead"] == pytest.approx(20, abs=1.5)
    assert numbers["context-labels/lead"] == pytest.approx(60, abs=1.5)
    assert numbers["shifted-labels/lead"] == pytest.approx(-5, abs=1.5)
    assert numbers["attention-renamed/lead"] == pytest.approx(200, abs=1.5)
    ends = {key: (curves("guesser", key, 0), curves("guesser", key, 1000)) for key in ("ic", "context_labels")}
    rise = {key: crossing("guesser", key, start + (end - start) / 4) for key, (start, end) in ends.items()}
    assert numbers["guesser/lead"] == pytest.approx(rise["ic"] - rise["context_labels"], abs=1.5)
    named = ("attention", "context-labels", "shifted-labels", "attention, renamed", "context-labels, guesser")
    assert {(row["share"], row["measure"]) for row in found.tables["order"]} == {
        (share, name) for share in ("10%", "25%", "50%") for name in named
    }
    assert {row["cut"]: row["accuracy"] for row in found.tables["cuts"]} == cuts
    jumps = {row["arm"]: (row["step"], row["seen"]) for row in found.tables["jumps"]}
    assert jumps == {name: (pytest.approx(middles[name], abs=1), True) for name in ("isolated", "equal")}
    for row in found.tables["curves"]:
        assert row["value"] == curves("isolated", str(row["measure"]), row["step"])  # type: ignore[arg-type]
    assert {row["measure"] for row in found.tables["curves"]} == set(emergence.SHOWN) - {"ic2"}
    for row in found.tables["accuracy"]:
        key = "iw" if row["arm"] == "memoriser" else "ic"
        assert row["accuracy"] == curves(str(row["arm"]), key, row["step"])  # type: ignore[arg-type]
    assert {row["arm"] for row in found.tables["accuracy"]} == set(middles)
    (brief, short, early), (rest, long, looks) = calls
    assert (brief, short) == ({"memoriser"}, 200)
    assert (early[0], early[-1], len(early)) == (0, 200, 41)
    assert (rest, long, looks[-1]) == ({"isolated", "guesser", "renamed", "equal"}, 1000, 1000)


def test_what_is_observed_of_each_arm_of_emergence(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def stop(regimes: Any, settings: Any, seeds: Any, **how: Any) -> Any:
        seen.update(how)
        raise KeyboardInterrupt

    monkeypatch.setattr(emergence, "train_regimes", stop)
    with pytest.raises(KeyboardInterrupt):
        emergence.measure(EmergenceSettings(), SEEDS)
    assert "twins" not in seen
    monkeypatch.setattr(emergence, "accuracies", lambda model, sets, names: dict.fromkeys(names, 0.5))
    monkeypatch.setattr(emergence, "answers", lambda model, batch: batch)
    monkeypatch.setattr(emergence, "_of_context", lambda logits, setting: {"ic": logits, "context_labels": setting.drawn})
    sets = {"ic": Setting("new classes", 0.3), "iw": Setting("alone", 0.4)}  # type: ignore[arg-type]
    observe = seen["observe"]
    monkeypatch.setattr(emergence, "_measures", lambda model, sets, n: {"all": n})
    assert observe("equal", None, sets) == {"ic": 0.5}
    assert observe("isolated", None, sets) == observe("renamed", None, sets) == {"all": EmergenceSettings().n_attended}
    assert observe("guesser", None, sets) == {"ic": 0.3, "context_labels": "new classes"}
    assert observe("memoriser", None, sets) == {"ic": 0.3, "context_labels": "new classes", "iw": 0.5}


def test_sgd_reads_its_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    plant(monkeypatch, sgd, lambda name, key, step: number(key, step), seen)
    settings = FidelitySettings(n_steps=100)
    measured = sgd.measure(settings, SEEDS)
    found = measured.estimands
    keys = {"trained/ic": "ic", "scrambled/ic": "scrambled", "trained/ic2": "ic2", "trained/iw": "iw"}
    assert found == {name: number(key, 100) for name, key in keys.items()}
    assert list(seen["regimes"].values()) == [Regime(512, 2)]
    assert seen["settings"] is settings
    course = {(row["evaluation"], row["step"]): row["accuracy"] for row in measured.tables["course"]}
    assert course == {(key, step): number(key, step) for key in ("ic", "ic2", "iw") for step in seen["observe_at"] if step}


MODELS = two_parameters.models_of(MinimalSettings())


def test_models_are_free_or_held_in_every_corner_and_at_every_rate() -> None:
    Model = two_parameters.Model
    corners = [Model(role, held) for role in ("few", "many", "single", "burst", "noisy", "clean") for held in (False, True)]
    assert corners + [Model(arm, rate=rate) for arm in ("isolated", "memoriser") for rate in (10.0, 3.0, 1.0)] == MODELS
    arms = MinimalSettings().arms
    assert arms["isolated"] == Regime(256, 1, p_fresh=0.8)
    assert arms["memoriser"] == Regime(32, 0, p_bursty=0.0)
    assert arms["many"] == Regime(2048, 2)
    with pytest.raises(SettingsError, match="rates must be positive"):
        MinimalSettings(rates=(1.0, 3.0))


def test_the_two_parameter_models_and_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MinimalSettings(n_steps=400, n_eval=8, batch=4)
    ramps = {(arm, rate): 30 * (1 + place) for place, (arm, rate) in enumerate((m.arm, m.rate) for m in MODELS[12:])}
    steps_of: dict[int, int] = {}
    owners: dict[int, str] = {}
    made = two_parameters.prepare

    def prepare_known(name: str, *args: Any, **kwargs: Any) -> Any:
        arm = made(name, *args, **kwargs)
        owners[id(arm.sets)] = name
        return arm

    def accuracies(model: MinimalInduction, sets: Any, names: Sequence[str]) -> dict[str, float]:
        arm, held, rate, step = owners[id(sets)], bool(model.held), float(model.rates), steps_of[0]
        if arm in ("isolated", "memoriser"):
            return {key: number(key) * 0 + min(1.0, step / ramps[arm, rate]) for key in names}
        return {key: 0.5 + 0.5 * number(arm, held, key, step) for key in names}

    def train(models: MinimalInduction, stage: Any, optimiser: Optimiser, *, observe: Any, observe_at: Any) -> Any:
        assert models.held.tolist() == [model.held for model in MODELS]
        assert models.rates.tolist() == [model.rate for model in MODELS]
        assert optimiser.kind == "adamw"
        batch = stage.draw(0)
        for i, one in enumerate(MODELS):
            for j, other in enumerate(MODELS):
                assert torch.equal(models.W_U[i], models.W_U[j]) == (one.arm == other.arm)
                assert torch.equal(batch.inputs[i], batch.inputs[j]) == (one.arm == other.arm)
        seen: dict[str, list[float]] = {}
        for step in observe_at:
            steps_of[0] = step
            for key, value in observe(step, models).items():
                seen.setdefault(key, []).append(value)
        return SimpleNamespace(steps=observe_at, series=lambda key: np.array(seen[key]), raise_if_diverged=lambda: None)

    monkeypatch.setattr(two_parameters, "prepare", prepare_known)
    monkeypatch.setattr(two_parameters, "accuracies", accuracies)
    monkeypatch.setattr(two_parameters, "train", train)
    least: dict[str, Any] = {}
    monkeypatch.setattr(two_parameters, "least_contrasts", lambda cells, held: least.update(cells=cells, held=held) or {})
    found = two_parameters.measure(settings, SEEDS)
    numbers = found.estimands
    for (arm, rate), length in ramps.items():
        name = f"{'no-look-up-' if arm == 'memoriser' else ''}rate-{rate:g}/cliff"
        assert numbers[name] == pytest.approx(2.6, rel=0.1), (name, length)
    steps = {"few": 25, "many": 400, "single": 400, "burst": 400, "clean": 400, "noisy": 400}
    for role, cell in least["cells"].items():

        def at(held: bool, key: str, step: int, role: str = role) -> float:
            return 0.5 + 0.5 * number(role, held, key, step)

        assert cell["ic"] == at(False, "ic", 400)
        assert cell["known"] == at(False, "known", 400)
        assert cell["scrambled"] == at(False, "scrambled", 400)
        assert cell["cost"] == pytest.approx(at(True, "iw", steps[role]) - at(False, "iw", steps[role]))
        assert cell["stranger_cost"] == pytest.approx(at(True, "stranger", steps[role]) - at(False, "stranger", steps[role]))
        assert least["held"][role]["ic"] == at(True, "ic", 400)
        assert least["held"][role]["cost"] == 0
        shown = {row["reading"]: row["accuracy"] for row in found.tables["cells"] if row["cell"] == settings.corners[role]}
        assert shown == {
            "ic": at(False, "ic", 400), "iw": at(False, "iw", steps[role]), "held_ic": at(True, "ic", 400),
            "held_iw": at(True, "iw", steps[role]),
        }  # fmt: skip
    for row in found.tables["rates"]:
        assert row["accuracy"] == min(1.0, row["step"] / ramps["isolated", float(row["rate"])])
    assert {row["rate"] for row in found.tables["rates"]} == {"10", "3", "1"}
    by_name = {key: [row for row in found.tables["curves"] if row["measure"] == key] for key in ("ic", "beta_1", "alpha")}
    assert sum(map(len, by_name.values())) == len(found.tables["curves"]) == len(found.tables["rates"])
    for row in by_name["ic"]:
        assert row["value"] == min(1.0, row["step"] / ramps["isolated", 1.0])


@pytest.mark.parametrize(
    "changed", [None, *[(high, low, key) for high, low in data.CONTRASTS.values() for key in ("ic", "cost")]]
)
def test_the_least_of_all_six_contrasts_counts(changed: tuple[str, str, str] | None) -> None:
    high, low = {"ic": 0.9, "cost": 0.5}, {"ic": 0.1, "cost": 0.0}
    same = {"known": 0.9, "scrambled": 0.3, "stranger_cost": 0.02}
    cells = {
        "few": low | same, "many": high | same, "single": low | same, "burst": high | same, "clean": low | same,
        "noisy": high | same,
    }  # fmt: skip
    held = {role: {"ic": 0.2, "cost": 0.0, "scrambled": 0.0, "stranger_cost": 0.0} for role in cells}
    expected = 0.5
    if changed is not None:
        cells[changed[0]] = cells[changed[0]] | {changed[2]: cells[changed[1]][changed[2]] - 0.05}
        expected = -0.05
    found = two_parameters.least_contrasts(cells, held)
    assert found["free/least_contrast"] == pytest.approx(expected)
    assert found["unanswerable/least_contrast"] == pytest.approx(0)
    assert found["no-look-up/least_contrast"] == pytest.approx(0)
    lower = cells | {"burst": cells["burst"] | {"scrambled": 0.1}, "noisy": cells["noisy"] | {"stranger_cost": -0.3}}
    assert two_parameters.least_contrasts(lower, held)["unanswerable/least_contrast"] == pytest.approx(-0.32)
    dead = cells | {"single": cells["single"] | {"known": 0.03}}
    assert all(math.isnan(value) for value in two_parameters.least_contrasts(dead, held).values())


@pytest.mark.parametrize("rate", [1.0, 3.0, 10.0])
def test_the_two_numbers_move_at_their_own_rate(rate: float) -> None:
    model = MinimalInduction(rng=np.random.default_rng(0), d_content=63, n_labels=32)
    model.set_rates(rate)
    assert model.parameters_by_name == {"beta_1": 0, "alpha": 0, "beta_2": 0}
    content = torch.randn(16, 17, 63, generator=torch.Generator().manual_seed(0))
    model.gates.data[:] = torch.tensor([0.2, 0.3, 0.0])
    before, weights = model.parameters_by_name, model.W_U.detach().clone()
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(model(content).square().sum(), parameters, allow_unused=True)
    Stepper(parameters, Optimiser("adamw", 1e-3)).step(gradients)
    after = model.parameters_by_name
    for name in ("beta_1", "alpha"):
        assert abs(after[name] - before[name]) == pytest.approx(1e-3 * rate, rel=0.01)
    assert after["beta_2"] == 0  # of the three-parameter model alone
    assert (model.W_U - weights).abs().max().item() == pytest.approx(1e-3, rel=0.01)


def test_attention_follows_numbers_times_rate() -> None:
    content = torch.randn(4, 17, 63, generator=torch.Generator().manual_seed(1))

    def attention(gates: Tensor, rate: float) -> Tensor:
        model = MinimalInduction(rng=np.random.default_rng(0), d_content=63, n_labels=32)
        model.gates.data[:] = gates
        model.set_rates(rate)
        return model.attention(content).detach()

    numbers = torch.tensor([0.5, 0.7, 0.0])
    torch.testing.assert_close(attention(numbers, 3.0), attention(3 * numbers, 1.0))
    assert not torch.allclose(attention(numbers, 3.0), attention(numbers, 1.0))


def test_null_arms_go_through_the_claims_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def record(estimands: dict[str, float]) -> Any:
        def measure(settings: Any, seeds: Seeds) -> Measurement:
            asked.append(settings)
            return Measurement(estimands)

        return measure

    contrast = {"classes/ic_gain": 0.1, "bursts/ic_gain": 0.3, "classes/iw_cost": -0.1, "bursts/iw_cost": -0.2}
    monkeypatch.setattr(data, "measure", record(contrast | {"classes-scrambled/ic_gain": 0.9, "readers/override_gap": 0.02}))
    found = data.measure_nulls(DataSettings(), SEEDS).estimands
    assert found == {"untrained/ic_gain": 0.3, "untrained/iw_cost": -0.1, "untrained/override_gap": 0.02}
    monkeypatch.setattr(remembering, "measure", record({"classes/iw_cost": 0.2, "classes-stranger/iw_cost": 0.5}))
    assert remembering.measure_nulls(RememberingSettings(), SEEDS).estimands == {"untrained/iw_cost": 0.2}
    gains = {"frequent/gain": 0.01, "uniform/gain": 0.5, "head-uniform/iw_change": 0.02, "head-uniform/ic_loss": 0.03}
    monkeypatch.setattr(skew, "measure", record(gains | {"item-rows-uniform/ic_loss": 0.6, "query-exchanged/iw_change": 0.7}))
    found = skew.measure_nulls(SkewSettings(), SEEDS).estimands
    assert found == {"untrained/gain": 0.01, "untrained/iw_change": 0.02, "untrained/ic_loss": 0.03}
    monkeypatch.setattr(sgd, "measure", record({"trained/ic": 0.04, "scrambled/ic": 0.5}))
    assert sgd.measure_nulls(FidelitySettings(), SEEDS).estimands == {"untrained/ic": 0.04}
    for settings in asked:
        assert settings.n_steps == 1
        assert settings.learning_rate < 1e-9


def test_an_even_learner_has_no_cliff_no_lead_and_no_parts() -> None:
    found = emergence.measure_nulls(EmergenceSettings(), SEEDS).estimands
    rise = 31 / 32
    assert found["even/cliff"] == pytest.approx(0.65 / (0.25 - 1 / 32), rel=0.02)
    assert found["even/from_context"] == pytest.approx(0.25 + 0.75 * (1 / 10 - 1 / 32) / rise, abs=0.01)
    assert (found["even/ic"], found["even/cut_ic"], found["even/lead"]) == (1, 1, 0)
