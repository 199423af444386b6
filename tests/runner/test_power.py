"""What open claims need: from a pilot where nothing is stored, else from what counts."""

import dataclasses

import pytest

from assay.claims.paper import Cost
from assay.claims.study import Study
from assay.core.errors import UsageError
from assay.runner.executors import Local
from assay.runner.plan import Selection, plan
from assay.runner.power import planned
from assay.runner.run import execute
from assay.store.store import Store


def test_a_pilot_says_how_many_runs_each_claim_needs(coins: Study, store: Store) -> None:
    lines = planned(coins, store, pilot=4, most=64)
    assert {one.seed for one in store.runs()} == {901, 902, 903, 904}
    assert {line.rests_on for line in lines} == {"pilot"}
    for line in lines:
        assert (line.need.verdict, line.need.heading, line.need.n_runs) == ("not run", "supported", 0)
        assert line.need.needed is not None
        assert line.need.more == line.need.needed < 64
        assert line.minutes is not None


def test_what_counts_goes_before_a_pilot_and_decided_claims_need_nothing(coins: Study, store: Store) -> None:
    planned(coins, store, pilot=2, most=64)
    execute(plan(Selection(coins), store), store, executor=Local())
    lines = planned(coins, store, pilot=2, most=64)
    assert {(line.rests_on, line.need.verdict, line.need.more) for line in lines} == {("counted", "supported", 0)}


def test_without_a_run_the_presets_runs_are_told_at_the_stated_cost(coins: Study, store: Store) -> None:
    told = dataclasses.replace(coins, experiments=(dataclasses.replace(coins.experiments[0], cost=Cost(3, cores=2)),))
    (line,) = planned(told, store, pilot=0, most=64)
    assert (line.need.verdict, line.need.more, line.minutes, line.rests_on) == ("not run", 8, 6, "the stated cost")
    assert store.runs() == []
    (unstated,) = planned(dataclasses.replace(coins, experiments=coins.experiments[:1]), store, pilot=0, most=64)
    assert (unstated.need.more, unstated.minutes) == (8, None)


def test_a_pilot_never_takes_a_seed_that_counts(coins: Study, store: Store) -> None:
    with pytest.raises(UsageError, match="at most 20 runs"):
        planned(coins, store, pilot=21, most=64)
    assert store.runs() == []
