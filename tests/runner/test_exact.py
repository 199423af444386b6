"""Exact checks: no seeds, one row, `holds` or `fails` with the number, apart from the findings."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from assay.claims.exact import Exact
from assay.claims.paper import Paper
from assay.claims.rules import Below, Equals
from assay.claims.study import Experiment, Preset, Study
from assay.core.errors import InputError, SettingsError
from assay.report.tables import VerdictTable
from assay.runner.executors import executor
from assay.runner.plan import Selection, plan
from assay.runner.run import execute, judge_stored
from assay.store.store import Store


@dataclasses.dataclass(frozen=True)
class Settings:
    size: int = 3


CALLS: list[int] = []


def check(settings: Settings) -> Mapping[str, float]:
    CALLS.append(settings.size)
    return {"E1": settings.size * (settings.size + 1) / 2, "E2": 0.3}


CHECKS = (
    Exact(
        "E1", "The first three numbers sum to {value}.", Equals(6.0), why="n (n + 1) / 2", at="ours", paper=6.0, unit="apples"
    ),
    Exact("E2", "A share lies below {bound}.", Below(0.25), why="it does not", at="section 1"),
)


def experiment(**changes: object) -> Experiment:
    told: dict[str, object] = {
        "name": "sums",
        "question": "What do numbers sum to?",
        "claims": (),
        "presets": {"quick": Preset(Settings(2), 1), "laptop": Preset(Settings(), 1)},
        "exact": CHECKS,
        "check": check,
    }
    return Experiment(**(told | changes))  # type: ignore[arg-type]


def study(*experiments: Experiment) -> Study:
    return Study("sums", "Sums: what are they?", Paper("Somebody", 2020, "Sums", "nowhere"), "Small.", experiments)


def test_a_check_is_computed_once_and_judged_without_runs(tmp_path: Path) -> None:
    CALLS.clear()
    sums = study(experiment())
    with Store.open(tmp_path) as store:
        for _ in range(2):
            outcome = execute(plan(Selection(sums), store), store, executor=executor("local"))
            assert outcome.computed == 0
        assert CALLS == [3]
        (judged,) = judge_stored(Selection(sums), store)
        assert not store.verify()
    assert judged.verdicts == []
    assert [(one.check.name, one.number, one.verdict) for one in judged.exact] == [("E1", 6.0, "holds"), ("E2", 0.3, "fails")]
    first, second = VerdictTable((), judged.exact, "sums").records()
    assert (first["kind"], first["verdict"], first["estimate"], first["low"]) == ("exact", "holds", 6.0, None)
    assert first["says"] == "The first three numbers sum to 6."
    assert (second["rule"], second["verdict"]) == ("< 0.25", "fails")
    table = VerdictTable((), judged.exact, "sums")
    assert json.loads(table.json())[0]["unit"] == "apples"
    assert "exact: holds" in table.markdown()
    assert "E2" in table.csv()


def test_a_check_that_was_not_computed_is_not_asked(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        (judged,) = judge_stored(Selection(study(experiment())), store)
    assert [one.verdict for one in judged.exact] == ["not-asked", "not-asked"]


def test_nan_never_holds() -> None:
    assert CHECKS[1].judge(math.nan) == "fails"
    assert CHECKS[1].judge(0.25) == "holds"


def test_numbers_and_declarations_must_agree(tmp_path: Path) -> None:
    lacking = experiment(check=lambda settings: {"E1": 6.0, "E3": 1.0})
    with Store.open(tmp_path) as store, pytest.raises(InputError, match=r"without a number: E2; not declared: E3"):
        execute(plan(Selection(study(lacking)), store), store, executor=executor("local"))


def test_what_is_refused_at_load() -> None:
    with pytest.raises(SettingsError, match="exact checks go with a function"):
        experiment(check=None)
    with pytest.raises(SettingsError, match="measure or measure_many"):
        experiment(exact=(), check=None)
    with pytest.raises(SettingsError, match="which Equals does not have"):
        Exact("E1", "It is {bound}.", Equals(1.0), why="x", at="ours")
    with pytest.raises(SettingsError, match="why must not be empty"):
        Exact("E1", "It is {value}.", Equals(1.0), why=" ", at="ours")
    with pytest.raises(SettingsError, match="claim and exact check names must be unique"):
        study(experiment(), experiment(name="again"))
