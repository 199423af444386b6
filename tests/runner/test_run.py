"""A plan says what it will do, does it once, resumes, and never lets a row speak that may not."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.api import running as api
from assay.claims.paper import Cost
from assay.claims.study import Study
from assay.claims.verdict import counts
from assay.core.errors import Diverged, InputError, MissingExtra, SettingsError, UsageError
from assay.core.settings import digest
from assay.runner.executors import Local, executor
from assay.runner.new_study import new_study
from assay.runner.plan import Plan, Selection, counted_seeds, plan
from assay.runner.run import Event, Outcome, execute, judge_stored
from assay.stats.sequential import planned_looks
from assay.store.store import Store, run_address


def run(study: Study, store: Store, **asked: object) -> tuple[Plan, Outcome, list[Event]]:
    events: list[Event] = []
    selected = {name: asked.pop(name) for name in ("experiments", "preset", "overrides") if name in asked}
    made = plan(Selection(study, **selected), store, **asked)  # type: ignore[arg-type]
    outcome = execute(made, store, executor=Local(), on_event=events.append)
    return made, outcome, events


def test_every_run_is_stored_with_all_that_made_it(coins: Study, store: Store) -> None:
    _, outcome, _ = run(coins, store, experiments=["one-by-one"])
    assert outcome == Outcome(8, 0, 0, ())
    assert outcome.exit_code == 0
    runs = store.runs("coins")
    assert [one.seed for one in runs] == list(range(8))
    one = runs[3]
    assert one.settings == {"n_tosses": 400, "pause_s": 0.0, "diverge_at": -1, "fail_at": -1, "die_at": -1}
    assert one.run_id == run_address("coins", 1, "one-by-one", digest(dict(one.settings)), 3, one.fingerprint)
    assert (one.preset, one.custom, one.status, one.sequential) == ("laptop", False, "ok", False)
    assert one.environment["threads"] == 1
    assert one.environment["numpy"]
    assert one.claims == {"C1": coins.claim("C1").digest}
    assert store.table(one, "tosses")[1]["toss"] == 40
    assert isinstance(store.table(one, "tosses")[1]["heads"], float)
    assert not store.verify()


def test_what_is_stored_is_not_computed_again(coins: Study, store: Store) -> None:
    run(coins, store, n_runs=3)
    made, outcome, events = run(coins, store, n_runs=5)
    assert outcome.computed == 4
    assert [event.says for event in events if event.kind == "plan"] == [
        "coins/one-by-one: 3 of 5 runs are stored, 2 to do",
        "coins/together: 3 of 5 runs are stored, 2 to do",
    ]
    assert [cell.todo for cell in made.cells] == [(3, 4), (3, 4)]
    assert run(coins, store, n_runs=5)[1].computed == 0
    assert run(coins, store, n_runs=2, seed=4)[1].computed == 2


def test_fresh_runs_are_appended_and_count(coins: Study, store: Store) -> None:
    run(coins, store, n_runs=2, experiments=["one-by-one"])
    assert run(coins, store, n_runs=2, experiments=["one-by-one"], fresh=True)[1].computed == 2
    assert len(store.runs()) == 2
    assert len(store.runs(history=True)) == 4


def test_a_batch_gives_the_rows_of_single_runs(coins: Study, store: Store) -> None:
    run(coins, store)
    single = {one.seed: one for one in store.runs(experiment="one-by-one")}
    for one in store.runs(experiment="together"):
        assert one.estimands == single[one.seed].estimands
        assert one.tables == single[one.seed].tables


@pytest.mark.parametrize("name", ["one-by-one", "together"])
def test_a_run_that_diverges_or_fails_takes_no_other_with_it(coins: Study, store: Store, name: str) -> None:
    changed = ["diverge_at=1", "fail_at=4"]
    _, outcome, events = run(coins, store, experiments=[name], overrides=changed)
    assert (outcome.computed, outcome.diverged, outcome.failed, outcome.exit_code) == (8, 1, 1, 4)
    assert [one.status for one in store.runs()] == ["ok", "diverged", "ok", "ok", "failed", "ok", "ok", "ok"]
    (failed,) = store.runs(status="failed")
    assert failed.error.startswith("ValueError: a fault \x1b[31m of \u202e this \x00 run (at coins_study/coins.py:")
    assert outcome.failures == (failed.error,)
    (diverged,) = store.runs(status="diverged")
    assert diverged.error == str(Diverged(3, 1.5))
    assert any("seed 1 diverged" in event.says for event in events)
    judged = judge_stored(Selection(coins, experiments=["one-by-one"], overrides=changed), store)[0]
    verdict, reason = ("void", "1 of 8 runs diverged") if name == "one-by-one" else ("not-asked", "no runs are stored")
    assert judged.verdicts[0].verdict == verdict
    assert reason in judged.verdicts[0].reason


def test_a_failed_run_is_tried_again_a_diverged_one_is_not(coins: Study, store: Store) -> None:
    changed = ["diverge_at=1", "fail_at=4"]
    run(coins, store, experiments=["one-by-one"], overrides=changed)
    made, outcome, events = run(coins, store, experiments=["one-by-one"], overrides=changed)
    assert outcome.computed == 1
    assert made.cells[0].retried == (4,)
    assert "1 failed before and are tried again" in events[0].says


def test_a_grid_is_run_and_judged_point_by_point(coins: Study, store: Store) -> None:
    grid = ["n_tosses=40,400,4000"]
    made, outcome, _ = run(coins, store, overrides=grid, n_runs=3)
    assert len(made.cells) == 6
    assert outcome.computed == 18
    points = judge_stored(Selection(coins, overrides=grid), store)
    assert [point.cells["one-by-one"].settings.n_tosses for point in points] == [40, 400, 4000]  # type: ignore[attr-defined]
    assert [point.cells["one-by-one"].custom for point in points] == [True, False, True]
    assert all(point.verdicts[0].n_runs == 3 for point in points)
    assert len({point.verdicts[0].estimate for point in points}) == 3


def test_the_quick_preset_decides_nothing(coins: Study, store: Store) -> None:
    run(coins, store, preset="quick")
    (judged,) = judge_stored(Selection(coins, preset="quick"), store)
    assert judged.verdicts[0].verdict == "void"
    assert judge_stored(Selection(coins), store)[0].verdicts[0].reason == "no runs are stored"


def test_rows_of_other_sources_are_stale_shown_and_never_pooled(
    coins: Study, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.runner.plan.fingerprint", lambda study, name: "0" * 16)
    run(coins, store, experiments=["one-by-one"], n_runs=5)
    run(coins, store, experiments=["one-by-one"], n_runs=1, overrides=["n_tosses=7"])
    monkeypatch.undo()
    (judged,) = judge_stored(Selection(coins, experiments=["one-by-one"]), store)
    assert judged.stale == {"one-by-one": 5}
    assert judged.why_stale == {"one-by-one": "made by other code"}
    assert judged.runs == {"one-by-one": []}
    made, outcome, events = run(coins, store, experiments=["one-by-one"], n_runs=3)
    assert "5 stored runs are of other sources (stale)" in events[0].says
    assert (made.cells[0].stale, outcome.computed) == (5, 3)
    assert judge_stored(Selection(coins, experiments=["one-by-one"]), store)[0].verdicts[0].n_runs == 3


def test_rows_of_another_version_are_stale(coins: Study, store: Store) -> None:
    run(dataclasses.replace(coins, version=2), store, experiments=["one-by-one"], n_runs=2)
    (judged,) = judge_stored(Selection(coins, experiments=["one-by-one"]), store)
    assert judged.stale == {"one-by-one": 2}
    assert judged.why_stale == {"one-by-one": "made by version 2 of the study, which is now 1"}


def test_rows_judged_under_edited_claims_say_so(coins: Study, store: Store) -> None:
    run(coins, store, experiments=["one-by-one"], n_runs=2)
    experiment = coins.experiments[0]
    claim = dataclasses.replace(experiment.claims[0], says="Reworded: {low:.0%} to {high:.0%}.")
    reworded = dataclasses.replace(coins, experiments=(dataclasses.replace(experiment, claims=(claim,)),))
    assert judge_stored(Selection(reworded), store)[0].edited == ()
    claim = dataclasses.replace(claim, estimand="fair/heads", negative=dataclasses.replace(claim.negative, name="other"))
    changed = dataclasses.replace(coins, experiments=(dataclasses.replace(experiment, claims=(claim,)),))
    # A study that only this process knows is fingerprinted as a whole, so it is asked with the rows' own fingerprint.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.runner.plan.fingerprint", lambda study, name: store.runs()[0].fingerprint)
        assert judge_stored(Selection(changed), store)[0].edited == ("C1",)


def test_rows_for_judgement_are_ordered_by_seed(coins: Study, store: Store) -> None:
    run(coins, store, experiments=["one-by-one"], n_runs=2, seed=5)
    run(coins, store, experiments=["one-by-one"], n_runs=2, seed=1)
    (judged,) = judge_stored(Selection(coins, ["one-by-one"]), store)
    assert [row.seed for row in judged.rows["one-by-one"]] == [1, 2, 5, 6]
    other = dataclasses.replace(coins, version=2)
    assert judge_stored(Selection(other, ["one-by-one"]), store)[0].rows == {"one-by-one": []}


# Progress


def test_before_anything_was_run_the_stated_cost_is_the_estimate(coins: Study, store: Store) -> None:
    slow, fast = (
        dataclasses.replace(coins.experiments[0], name=name, claims=(), cost=cost)
        for name, cost in (("slow", Cost(2)), ("fast", Cost(4 / 60)))
    )
    told = dataclasses.replace(coins, experiments=(fast, slow))
    runs = fast.presets["laptop"].n_runs
    assert (slow.seconds_per_run, fast.seconds_per_run) == (240 / runs, 8 / runs)
    assert dataclasses.replace(fast, cost=Cost(4 / 60, cores=1)).seconds_per_run == 4 / runs
    assert dataclasses.replace(fast, cost=None).seconds_per_run is None
    events: list[Event] = []
    execute(plan(Selection(told, overrides=["pause_s=0.2"]), store, n_runs=2), store, executor=Local(), on_event=events.append)
    first = next(event.remaining_s for event in events if event.kind == "progress")
    assert first == pytest.approx(2 * 248 / runs, rel=0.1)
    # Once the fast one is seen to take a twentieth of its stated time, or twenty of them, so may the slow one.
    later = next(event.remaining_s for event in events if event.kind == "stored" and event.done == 2)
    pace = sum(run.wall_s for run in store.runs(experiment="fast")) / 2 / (8 / runs)
    assert later == pytest.approx(2 * 240 / runs * pace, rel=0.2)


def test_a_cost_that_says_how_it_follows_the_settings_is_the_estimate_at_every_preset(coins: Study, store: Store) -> None:
    following = Cost(2, cores=1, work=lambda settings: settings.n_tosses)
    n_runs, n_tosses = coins.experiments[0].presets["laptop"].n_runs, coins.experiments[0].presets["laptop"].settings.n_tosses

    def first_estimate(cost: Cost, preset: str, overrides: Sequence[str] = ()) -> float | None:
        told = dataclasses.replace(coins, experiments=(dataclasses.replace(coins.experiments[0], claims=(), cost=cost),))
        events: list[Event] = []
        asked = plan(Selection(told, preset=preset, overrides=overrides), store, n_runs=2, fresh=True)
        asked = dataclasses.replace(
            asked, points=tuple(tuple(dataclasses.replace(cell, seconds_per_run=None) for cell in one) for one in asked.points)
        )
        execute(asked, store, executor=Local(), on_event=events.append)
        return next(event.remaining_s for event in events if event.kind == "progress")

    assert first_estimate(following, "quick") == pytest.approx(2 * 120 / n_runs * 10 / n_tosses)
    assert first_estimate(following, "laptop", ["n_tosses=40"]) == pytest.approx(2 * 120 / n_runs * 40 / n_tosses)
    assert first_estimate(Cost(2, cores=1), "quick") is None


def test_progress_is_told_from_within_a_run_with_the_time_that_remains(coins: Study, store: Store) -> None:
    _, _, events = run(coins, store, experiments=["one-by-one"], n_runs=3, overrides=["pause_s=0.6"])
    inside = [event for event in events if event.kind == "progress" and event.remaining_s is not None]
    assert inside
    assert inside[0].done < 1, "an estimate must come before the first run is finished"
    assert inside[0].says == "one-by-one: tossing"
    assert (inside[0].remaining_s or 0) > 0.5  # three runs of 0.6 s at the least
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (events[-1].done, events[-1].total, events[-1].remaining_s) == (3, 3, 0)
    assert [len(event.runs) for event in events if event.kind == "stored"] == [1, 1, 1]


def test_a_run_that_counts_anew_within_one_part_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "    for step in [*range(8), *range(8)]:\n        time.sleep(0.15)\n        progress(step / 8)\n"
    text = new_study("counting-anew").replace('    truth = seeds("truth")', f'{twice}    truth = seeds("truth")')
    assert twice in text
    head = "import time\nfrom assay.core.progress import progress\n"
    (tmp_path / "counting_anew.py").write_text(head + text)
    monkeypatch.syspath_prepend(str(tmp_path))
    events: list[Event] = []
    api.run(tmp_path / "counting_anew.py", runs=1, store=tmp_path / "store", on_event=events.append)
    done = [event.done for event in events if event.kind == "progress"]
    assert len(done) > 4
    assert done == sorted(done)


# Until decided


def test_runs_are_added_until_the_claim_is_decided(coins: Study, store: Store) -> None:
    asked = plan(Selection(coins, experiments=["one-by-one"], overrides=["n_tosses=40"]), store)
    outcome = execute(asked, store, executor=Local(), until_decided=True, max_runs=32)
    (judged,) = judge_stored(Selection(coins, experiments=["one-by-one"], overrides=["n_tosses=40"]), store)
    assert outcome.undecided == ()
    assert outcome.rounds > 1
    assert outcome.computed == judged.verdicts[0].n_runs < 32
    assert outcome.computed in planned_looks(32)
    assert judged.verdicts[0].verdict == "supported"
    assert "sequence" not in judged.verdicts[0].method
    assert judged.looks == {"one-by-one": 32}
    assert all(one.sequential == 32 for one in store.runs())
    # The same command finds nothing more to do; a run beyond the plan makes it a series that nobody planned.
    assert execute(asked, store, executor=Local(), until_decided=True, max_runs=32).computed == 0
    run(coins, store, experiments=["one-by-one"], overrides=["n_tosses=40"], n_runs=outcome.computed + 1)
    (beyond,) = judge_stored(Selection(coins, experiments=["one-by-one"], overrides=["n_tosses=40"]), store)
    assert beyond.looks == {"one-by-one": 0}
    assert "sequence" in beyond.verdicts[0].method


def test_adding_stops_at_the_most_runs_and_looks_when_it_was_planned(coins: Study, store: Store) -> None:
    asked = plan(Selection(coins, experiments=["one-by-one"], overrides=["n_tosses=3"]), store)
    events: list[Event] = []
    outcome = execute(asked, store, executor=Local(), until_decided=True, max_runs=9, on_event=events.append)
    assert outcome.computed == 9
    assert outcome.undecided == ("C1",)
    rounds = [event.says for event in events if event.kind == "round"]
    assert rounds == [f"undecided: C1; {more} runs are added" for more in (2, 2, 2)]
    assert "coins: looked at after 3, 5, 7, 9 runs, as far as claims are open" in [event.says for event in events]
    assert [one.seed for one in store.runs()] == list(range(9))


def test_what_was_judged_before_is_told_beside_the_interval(coins: Study, store: Store) -> None:
    """Runs added after a look: the interval is for one look, and says so; the number itself is the same as without the look."""
    asked = Selection(coins, experiments=["one-by-one"])

    def looks(selection: Selection = asked, **more: range) -> str:
        (judged,) = judge_stored(selection, store, **more)
        return next(one.looks for one in judged.verdicts if one.kind == "finding")

    for n, says in (
        (3, "allows for one look"),
        (5, "allows for one look; judged before at 3 runs"),
        (6, "allows for one look; judged before at 3 and 5 runs"),
    ):
        run(coins, store, experiments=["one-by-one"], n_runs=n)
        assert looks() == says
        assert looks() == says  # looking again at the same runs is no further look
    assert looks(seeds=range(2, 6)) == "allows for one look"  # a replication on fresh seeds is another analysis
    assert {look[-1] for look in store.looks()} == {3, 5, 6}
    other = Selection(coins, experiments=["one-by-one"], overrides=["n_tosses=40"])
    run(coins, store, experiments=["one-by-one"], overrides=["n_tosses=40"], n_runs=8)
    assert looks(other) == "allows for one look"
    third = ["n_tosses=39"]
    adding = plan(Selection(coins, experiments=["one-by-one"], overrides=third), store)
    execute(adding, store, executor=Local(), until_decided=True, max_runs=8)
    planned = Selection(coins, experiments=["one-by-one"], overrides=third)
    assert looks(planned) == "allows for the looks planned at 2, 4, 6 and 8 runs"
    run(coins, store, experiments=["one-by-one"], overrides=third, n_runs=9)
    assert looks(planned) == "allows for a look at any time"


def test_pilot_runs_and_seeds_before_the_first_do_not_count(coins: Study, store: Store) -> None:
    run(coins, store, experiments=["one-by-one"], n_runs=3)
    run(coins, store, experiments=["one-by-one"], n_runs=4, seed=901)
    (judged,) = judge_stored(Selection(coins, experiments=["one-by-one"]), store)
    assert [one.seed for one in judged.runs["one-by-one"]] == [0, 1, 2]
    assert judged.aside == {"one-by-one": 4}
    again = dataclasses.replace(coins, first_seed=100)
    assert plan(Selection(again), store, n_runs=3).cells[0].seeds == (100, 101, 102)
    assert [counts(again, "together", seed) for seed in (99, 100, 900, 901, 920, 921)] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert counted_seeds(coins, "together", 899, 4) == (899, 900, 921, 922)
    assert counted_seeds(coins, "together", 919, 3) == (919, 920, 921)


def test_an_experiment_can_be_judged_anew_on_seeds_of_its_own(coins: Study, store: Store) -> None:
    run(coins, store, n_runs=3)
    first, *others = coins.experiments
    again = dataclasses.replace(coins, experiments=(dataclasses.replace(first, first_seed=200), *others))
    made, _, _ = run(again, store, n_runs=2)
    assert [cell.seeds for cell in made.cells] == [(200, 201), (0, 1)]
    (judged,) = judge_stored(Selection(again), store)
    assert {name: [one.seed for one in runs] for name, runs in judged.runs.items()} == {
        "one-by-one": [200, 201], "together": [0, 1, 2],
    }  # fmt: skip
    assert judged.aside == {"one-by-one": 3, "together": 0}
    adding = plan(Selection(again, experiments=["one-by-one"], overrides=["n_tosses=3"]), store)
    execute(adding, store, executor=Local(), until_decided=True, max_runs=9)
    assert [one.seed for one in store.runs() if one.custom] == list(range(200, 209))
    with pytest.raises(SettingsError, match="must lie beyond the study's, 0; experiment 'one-by-one' has 0"):
        dataclasses.replace(coins, experiments=(dataclasses.replace(first, first_seed=0), *others))


@pytest.mark.parametrize(("preset", "max_runs"), [("laptop", None), ("laptop", 3), ("quick", 50)])
def test_until_decided_asks_for_sense(coins: Study, store: Store, preset: str, max_runs: int | None) -> None:
    with pytest.raises(UsageError, match="--until-decided needs"):
        execute(plan(Selection(coins, preset=preset), store), store, executor=Local(), until_decided=True, max_runs=max_runs)
    assert store.runs() == []


# What is refused before anything starts


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        ({"experiments": ["one-by-on"]}, UsageError, "did you mean 'one-by-one'"),
        ({"preset": "lap"}, UsageError, "did you mean 'laptop'"),
        ({"n_runs": 0}, UsageError, "at least one run; got 0"),
        ({"n_runs": 10**20}, UsageError, "at most 1,000,000 runs; got 100,000,000,000,000,000,000"),
        ({"seed": -1}, UsageError, "between 0 and"),
        ({"seed": 2**70}, UsageError, "between 0 and"),
        ({"overrides": ["n_tosses=none"]}, SettingsError, "n_tosses"),
        ({"overrides": ["n_tosses=0"]}, SettingsError, "greater than or equal to 1"),
        ({"overrides": ["n_toses=5"]}, SettingsError, "did you mean 'n_tosses'"),
        ({"overrides": ["pause_s=nan"]}, SettingsError, "finite"),
        ({"overrides": ["n_tosses=5", "n_tosses=6"]}, SettingsError, "given once"),
    ],
)
def test_bad_requests_are_refused_before_anything_starts(
    coins: Study, store: Store, asked: dict[str, object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        run(coins, store, **asked)
    assert store.runs() == []


def test_a_setting_of_one_arm_alone_asks_for_that_arm(coins: Study, store: Store) -> None:
    @dataclasses.dataclass(frozen=True)
    class Other:
        depth: int = 1

    first, second = coins.experiments
    presets = {name: dataclasses.replace(preset, settings=Other()) for name, preset in second.presets.items()}
    mixed = dataclasses.replace(coins, experiments=(first, dataclasses.replace(second, presets=presets)))
    with pytest.raises(SettingsError, match=r"'n_tosses' belongs to one-by-one\. Add --experiment one-by-one, or"):
        plan(Selection(mixed, overrides=["n_tosses=5"]), store)


def test_a_setting_can_be_changed_in_one_arm_alone(coins: Study, store: Store) -> None:
    first, second = (experiment.name for experiment in coins.experiments)
    cells = plan(Selection(coins, overrides=[f"{second}.n_tosses=5", "pause_s=0.5"]), store).cells
    assert {cell.experiment.name: cell.settings.n_tosses for cell in cells} == {first: 400, second: 5}  # type: ignore[attr-defined]
    assert {cell.settings.pause_s for cell in cells} == {0.5}  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=f"{first}: a grid must be of all experiments that are run; got n_tosses=5,6"):
        plan(Selection(coins, overrides=[f"{first}.n_tosses=5,6"]), store)
    with pytest.raises(SettingsError, match="n_tosses must be given once"):
        plan(Selection(coins, overrides=["n_tosses=5", f"{first}.n_tosses=6"]), store)
    with pytest.raises(SettingsError, match=r"unknown setting 'third\.n_tosses'"):
        plan(Selection(coins, overrides=["third.n_tosses=5"]), store)


def test_an_experiment_that_lacks_something_is_refused_if_named_and_else_left_out(coins: Study, store: Store) -> None:
    def no_model(settings: object) -> None:
        raise InputError("the model 'large' must be in the cache; it is not. Add it")

    free = coins.experiments[0]
    needy = dataclasses.replace(coins.experiments[1], needs={"no_such_package.part": "games"})
    study = dataclasses.replace(coins, experiments=(free, needy))
    package = r"coins/together needs the package 'no_such_package.part'.*assay\[games\]"
    with pytest.raises(MissingExtra, match=package):
        plan(Selection(study, experiments=["together"]), store)
    with pytest.raises(MissingExtra, match=package):
        plan(Selection(dataclasses.replace(coins, experiments=(needy,))), store)

    lacking = dataclasses.replace(coins.experiments[1], ready=no_model)
    study = dataclasses.replace(coins, experiments=(free, lacking))
    with pytest.raises(InputError, match="must be in the cache"):
        plan(Selection(study, experiments=[free.name, "together"]), store)
    made = plan(Selection(study), store)
    assert [cell.experiment.name for cell in made.cells] == [free.name]
    assert made.lines[-1] == "coins/together is left out: the model 'large' must be in the cache; it is not. Add it"
    assert execute(made, store, executor=Local()).computed == 8


def test_executors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown executor 'procesess'; did you mean 'processes'"):
        executor("procesess")
    with pytest.raises(UsageError, match="one run at a time"):
        executor("local", workers=2)
    with pytest.raises(UsageError, match="at least 1"):
        executor("processes", workers=0)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"assay\[cluster\]"):
        executor("ray")


def test_what_a_study_says_to_its_user_stops_the_command_and_keeps_what_is_done(coins: Study, store: Store) -> None:
    experiment = coins.experiments[0]

    def measure(settings: object, seeds: object) -> object:
        if seeds.root == 2:  # type: ignore[attr-defined]
            raise InputError("the file 'facts.csv' must exist; it does not. Name another")
        return experiment.measure_run(settings, seeds)  # type: ignore[arg-type]

    study = dataclasses.replace(coins, experiments=(dataclasses.replace(experiment, measure=measure),))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"facts\.csv"):
        run(study, store)
    assert [one.seed for one in store.runs()] == [0, 1]


@pytest.mark.parametrize(
    "value", [None, {"heads": 1.0}, "Measurement({'heads': 'many'})", "Measurement({}, tables={'t': [{'a': None}]})"]
)
def test_a_measurement_that_is_none_fails_its_run(coins: Study, store: Store, value: object) -> None:
    from assay.claims.study import Measurement

    made = eval(value, {"Measurement": Measurement}) if isinstance(value, str) else value
    experiment = dataclasses.replace(coins.experiments[0], measure=lambda settings, seeds: made)
    _, outcome, _ = run(dataclasses.replace(coins, experiments=(experiment,)), store, n_runs=1)
    assert outcome.failed == 1
    assert store.runs()[0].error.startswith(("TypeError", "ValueError"))


def test_measure_many_must_return_one_measurement_per_seed(coins: Study, store: Store) -> None:
    experiment = dataclasses.replace(coins.experiments[1], measure_many=lambda settings, seeds: [])
    _, outcome, _ = run(dataclasses.replace(coins, experiments=(experiment,)), store, n_runs=2)
    assert outcome.failed == 2
    assert "one measurement per seed; got 0 for 1" in store.runs()[0].error


def test_the_store_of_the_command_holds_the_memos(coins: Study, store: Store, tmp_path: Path) -> None:
    from assay.store.memo import memoised

    def measure(settings: object, seeds: object) -> object:
        path = memoised("base", {}, lambda folder: (folder / "base.txt").write_text("x") and None)  # type: ignore[arg-type, func-returns-value]
        assert path.is_relative_to(tmp_path / "store" / "memos")
        return experiment.measure_run(settings, seeds)  # type: ignore[arg-type]

    experiment = coins.experiments[0]
    study = dataclasses.replace(coins, experiments=(dataclasses.replace(experiment, measure=measure),))  # type: ignore[arg-type]
    _, outcome, _ = run(study, store, n_runs=2)
    assert outcome.failures == ()
    assert [memo.name for memo in store.memos()] == ["base"]
