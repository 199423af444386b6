"""Costs are said before they are spent, and follow the settings."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.claims.paper import Cost, Paper
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.runner.cost import core_minutes, estimates, long_said, minutes_text
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute
from assay.store.store import Store


@dataclass(frozen=True)
class Settings:
    n_steps: int = 100


def measure(settings: Settings, seeds: object) -> Measurement:
    return Measurement({"plain/x": 1.0})


def study(**costs: Cost | None) -> Study:
    presets = {"quick": Preset(Settings(1), 2), "laptop": Preset(Settings(), 6)}
    arms = tuple(Experiment(name, "?", (), presets, measure, cost=cost) for name, cost in costs.items())
    return Study("costly", "Costly: how much?", Paper("Nobody", 2020, "A title", ""), "ours", arms)


def found(one: Study, tmp_path: Path, *sets: str, workers: int = 2, preset: str = "laptop", **asked: Any) -> list[Any]:
    with Store.open(tmp_path / "store", read_only=True) as store:
        return estimates(plan(Selection(one, preset=preset, overrides=sets), store, **asked), workers)


def by_steps(settings: Settings) -> float:
    return settings.n_steps


def test_a_cost_follows_the_settings_the_runs_and_the_cores(tmp_path: Path) -> None:
    one = study(training=Cost(12, cores=1, work=by_steps, memory=1.5))
    (whole,) = found(one, tmp_path, workers=1)
    assert (whole.to_do, whole.minutes, whole.memory_gib, whole.rests_on) == (6, 12.0, 1.5, "the stated cost")
    (two,) = found(one, tmp_path)
    assert two.minutes == 6.0
    (half,) = found(one, tmp_path, "n_steps=50", workers=1)
    assert half.minutes == 6.0
    assert (half.settings, half.rests_on) == ("n_steps=50", "the stated cost, scaled to these settings")
    (fewer,) = found(one, tmp_path, workers=1, n_runs=2)
    assert fewer.minutes == 4.0
    (quick,) = found(one, tmp_path, workers=1, preset="quick")
    assert quick.minutes == pytest.approx(2 * 0.02)


def test_what_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    one = study(silent=None, stated=Cost(10, cores=1))
    silent, stated = found(one, tmp_path, preset="quick")
    assert silent.minutes is None
    assert stated.minutes is None  # the quick preset is another scale, and no work is said
    assert [line.rests_on for line in found(one, tmp_path, "n_steps=7")] == ["nothing", "the cost at the laptop's settings"]
    assert core_minutes(one) is None
    assert core_minutes(study(a=Cost(10, cores=1), b=Cost(3))) == 16


def test_stored_runs_cost_nothing_and_tell_the_speed(tmp_path: Path) -> None:
    one = study(training=Cost(60, cores=1))
    with Store.open(tmp_path / "store") as store:
        execute(plan(Selection(one), store, n_runs=4), store, executor=executor("local"))
    (line,) = found(one, tmp_path)
    assert (line.stored, line.to_do, line.rests_on) == (4, 2, "stored runs")
    assert line.minutes is not None
    assert line.minutes < 0.1  # not the twenty minutes that are stated


def test_an_hour_is_said_beforehand_and_minutes_are_not(tmp_path: Path) -> None:
    one = study(short=Cost(4, cores=1), language=Cost(110, cores=1))
    (said,) = long_said(one, found(one, tmp_path))
    assert said.startswith("costly: about 57 min in all, of which language takes 55 min.")
    assert "--dry-run" in said
    assert long_said(one, found(one, tmp_path, n_runs=1)) == []
    changed = dataclasses.replace(found(one, tmp_path, "n_steps=7")[1])
    assert "language at n_steps=7 takes" in long_said(one, [changed, changed])[0]


def test_minutes_as_a_person_says_them() -> None:
    assert [minutes_text(one) for one in (None, 0.5, 3, 80, 95)] == ["unknown", "30 s", "3 min", "80 min", "1 h 35 min"]
