"""Judgement on synthetic rows: claims are driven to every verdict without training anything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from assay.claims.claim import Arm, Claim, Names
from assay.claims.estimand import Estimand
from assay.claims.paper import Paper
from assay.claims.rules import Above, Below, Equals, Ordered, Outside, Rule, Within
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.claims.verdict import RunRow, Verdict, expected_false, judge, undecided
from assay.core.seeds import Seeds

PAPER = Paper("Somebody", 2023, "A title", "nowhere")
N = 12


def study(*claims: Claim) -> Study:
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", N)}
    return Study(
        "example",
        "A title",
        PAPER,
        "Ours: small.",
        (Experiment("only", "?", claims, presets, lambda settings, seeds: Measurement({})),),
    )


@dataclass(frozen=True)
class Number(Arm):
    """A control by the whole name of its number, so that rows need no arms."""

    def measured(self, claimed: Names) -> Names:
        return self.name


def control_on(says: str, name: Names, rule: Rule | None = None) -> Arm:
    return Number(name, says, rule)


def claim(rule: Rule = Above(0.5), name: str = "C1", control: Arm | None = None, **changes: object) -> Claim:  # noqa: B008
    fields = {
        "says": "It holds.",
        "at": "ours",
        "estimand": "x",
        "why": "given",
        "negative": control or control_on("without the cause", "x_control"),
    }
    return Claim(name=name, rule=rule, **{**fields, **changes})  # type: ignore[arg-type]


def rows(columns: Mapping[str, Sequence[float]], items: Mapping[str, Sequence[Sequence[float]]] | None = None) -> list[RunRow]:
    n = len(next(iter((columns or items or {}).values())))
    return [
        RunRow(
            "only", i, "ok", {k: float(v[i]) for k, v in columns.items()}, {k: tuple(v[i]) for k, v in (items or {}).items()}
        )
        for i in range(n)
    ]


def around(centre: float, spread: float = 0.05, n: int = N, name: str = "noise") -> list[float]:
    noise = Seeds(7)(name).standard_normal(n)
    return list(centre + spread * (noise - noise.mean()))


def only(claim_: Claim, runs: list[RunRow], **options: Any) -> Verdict:
    (verdict,) = judge(study(claim_), {"only": runs}, **options)
    return verdict


OUTCOMES = {"supported": 1.0, "refuted": 0.0, "inconclusive": 0.5}


@pytest.mark.parametrize("summary", ["mean", "bca", "median", "iqm", "every"])
@pytest.mark.parametrize("wanted", OUTCOMES)
def test_every_summary_reaches_every_judgement(summary: str, wanted: str) -> None:
    runs = rows({"x": around(OUTCOMES[wanted]), "x_control": around(0.0, name="control")})
    verdict = only(claim(summary=summary), runs)
    assert verdict.verdict == wanted
    assert verdict.control.flips
    assert verdict.control.judgement == "refuted"
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low <= (verdict.estimate or 0) <= verdict.high


@pytest.mark.parametrize(("successes", "wanted"), [(12, "supported"), (0, "refuted"), (6, "inconclusive")])
def test_shares_are_judged_by_exact_binomial_intervals(successes: int, wanted: str) -> None:
    runs = rows({"x": [1.0] * successes + [0.0] * (N - successes), "x_control": [0.0] * N})
    assert only(claim(summary="share"), runs).verdict == wanted


@pytest.mark.parametrize(("centre", "wanted"), [(1.0, "supported"), (0.0, "refuted"), (0.5, "inconclusive")])
def test_clustered_items_are_judged_with_runs_as_the_unit(centre: float, wanted: str) -> None:
    items = [list(around(c, 0.3, 20, f"items {i}")) for i, c in enumerate(around(centre))]
    control = [[0.0, 0.1, -0.1]] * N
    verdict = only(claim(summary="clustered"), rows({}, {"x": items, "x_control": control}))
    assert verdict.verdict == wanted


@pytest.mark.parametrize(
    ("centres", "wanted"),
    [((0, 1, 2), "supported"), ((0, 1, 0), "refuted"), ((0, 1, 1.1), "inconclusive"), ((2, 1, 0), "refuted")],
)
def test_an_ordering_is_judged_by_its_weakest_step(centres: tuple[float, ...], wanted: str) -> None:
    columns = {f"x{i}": around(c, name=f"x{i}") for i, c in enumerate(centres)}
    columns |= {f"c{i}": around(-i, name=f"c{i}") for i in range(3)}
    ordering = claim(Ordered(0.1), estimand=("x0", "x1", "x2"), control=control_on("reversed", ("c0", "c1", "c2")))
    assert only(ordering, rows(columns)).verdict == wanted


def test_a_control_that_does_not_flip_voids_whatever_the_claim_shows() -> None:
    verdict = only(claim(), rows({"x": around(1.0), "x_control": around(1.0, name="control")}))
    assert verdict.verdict == "void"
    assert "control" in verdict.reason
    assert verdict.estimate == pytest.approx(1.0)
    assert not verdict.control.flips


def test_a_planted_control_has_a_rule_of_its_own() -> None:
    null = claim(Within(-0.1, 0.1), control=control_on("effect planted", "planted", Above(0.5)))
    found = rows({"x": around(0.0), "planted": around(1.0)})
    missed = rows({"x": around(0.0), "planted": around(0.0)})
    assert only(null, found).verdict == "supported"
    assert only(null, missed).verdict == "void"


def test_numbers_on_a_logarithm_are_shown_as_the_ratio_that_the_rule_names() -> None:
    times = Estimand("x", "steps with noise over steps without", "times", log="e")
    told = claim(Above(math.log(1.5)), defined=times)
    verdict = only(told, rows({"x": around(math.log(2)), "x_control": around(0.0)}))
    assert verdict.rule == "> 1.5 times"
    assert verdict.verdict == "supported"
    assert verdict.estimate == pytest.approx(2)
    assert verdict.control.estimate == pytest.approx(1)
    assert 1.5 < (verdict.low or 0) < 2 < (verdict.high or 0)
    assert verdict.effect == pytest.approx(
        (math.log(2) - math.log(1.5)) / np.std(around(math.log(2)), ddof=1)
    )  # on the logarithm


def test_not_significant_never_supports_a_null() -> None:
    null = claim(Within(-0.1, 0.1), control=control_on("effect planted", "planted", Above(0.5)))
    vague = rows({"x": around(0.0, 2.0), "planted": around(1.0)})
    assert only(null, vague).verdict == "inconclusive"


def good() -> list[RunRow]:
    return rows({"x": around(1.0), "x_control": around(0.0)})


def replaced(status: str, estimands: Mapping[str, float]) -> list[RunRow]:
    return [*good()[:-1], RunRow("only", N, status, estimands)]  # type: ignore[arg-type]


def test_a_claim_that_nobody_has_run_is_not_asked() -> None:
    verdict = only(claim(), [])
    assert (verdict.verdict, verdict.reason, verdict.estimate) == ("not-asked", "no runs are stored", None)


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (good()[:1], "at least 2 runs"),
        (replaced("diverged", {}), "1 of 12 runs diverged"),
        (replaced("failed", {}), "1 of 12 runs failed"),
        (replaced("ok", {"x": math.nan, "x_control": 0.0}), "'x' is missing or not a number in 1"),
        (replaced("ok", {"x": math.inf, "x_control": 0.0}), "'x' is missing or not a number in 1"),
        (replaced("ok", {"x": 1.0}), "'x_control' is missing or not a number in 1 of 12 runs"),
    ],
)
def test_runs_that_may_not_speak_are_void_with_a_reason(runs: list[RunRow], reason: str) -> None:
    verdict = only(claim(), runs)
    assert verdict.verdict == "void"
    assert reason in verdict.reason
    assert verdict.estimate is None
    assert verdict.level is None


@pytest.mark.parametrize("summary", ["mean", "clustered"])
def test_runs_without_what_a_conditional_claim_speaks_of_take_no_part(summary: str) -> None:
    full = rows({"x": around(1.0), "x_control": around(0.0)}, {"x": [[x] for x in around(1.0)], "x_control": [[0.0]] * N})

    def without(n: int) -> list[RunRow]:
        return [*(RunRow("only", i, "ok", {}) for i in range(n)), *full[n:]]

    conditional, whole = claim(summary=summary, given="a wrong answer"), claim(summary=summary)
    few, rest = only(conditional, without(2)), only(whole, full[2:])
    assert (few.verdict, few.n_runs) == ("supported", N - 2)
    assert few.reason == f"2 of {N} runs are without a wrong answer, and no part of this"
    assert (few.estimate, few.low, few.high) == (rest.estimate, rest.low, rest.high)
    assert not only(conditional, full).reason
    stuck = claim(summary=summary, given="a wrong answer", control=control_on("never out of the way", "x"))
    assert only(stuck, without(2)).reason == f"the control did not come out as it must: supported, not refuted; {few.reason}"
    # Where half of the runs or more lack it, a claim of ours stays open, and one of the paper's is not reproduced.
    most = only(conditional, without(N // 2))
    assert (most.verdict, most.n_runs, most.reason) == ("inconclusive", N, f"{N // 2} of {N} runs are without a wrong answer")
    theirs = claim(summary=summary, given="a wrong answer", at="figure 2")
    assert only(theirs, without(N // 2)).verdict == "not-reproduced"
    # Anything else that is wrong with a run still voids the claim.
    assert only(whole, without(2)).verdict == "void"
    broken = RunRow("only", N, "ok", {"x": math.inf, "x_control": 0.0}, {"x": (math.inf,), "x_control": (0.0,)})
    assert "'x' is missing or not a number in 1" in only(conditional, [*without(2), broken]).reason
    assert "1 of 13 runs diverged" in only(conditional, [*without(2), RunRow("only", N, "diverged", {})]).reason
    assert conditional.digest != whole.digest


def test_the_quick_preset_may_not_speak() -> None:
    assert only(claim(), good(), quick=True).verdict == "void"


def test_a_share_of_something_that_is_not_yes_or_no_is_void() -> None:
    assert "0 or 1" in only(claim(summary="share"), good()).reason


def test_a_statement_about_every_run_may_rest_on_one_exact_run() -> None:
    exact = claim(Equals(1.75), summary="every", control=control_on("another game", "other"))
    assert only(exact, rows({"x": [1.75], "other": [2.0]})).verdict == "supported"
    mixed = only(exact, rows({"x": [1.75, 1.5], "other": [2.0, 2.0]}))
    assert mixed.verdict == "inconclusive"
    assert not undecided([mixed]), "no further run can make every run equal"
    assert (mixed.kind, mixed.error, mixed.side) == ("every", None, "")
    assert only(exact, rows({"x": [1.5], "other": [2.0]})).verdict == "refuted"


def test_shown_interval_and_verdict_agree_at_the_levels_of_the_family() -> None:
    claims = [claim(Above(bound), name=f"C{i}") for i, bound in enumerate((0.2, 0.93, 0.96, 0.99, 0.5))]
    verdicts = judge(study(*claims), {"only": rows({"x": around(1.0, 0.07), "x_control": around(-5.0)})})
    for found, declared in zip(verdicts, claims, strict=True):
        assert found.low is not None
        assert found.error is not None
        assert (found.low > declared.rule.bound) == (found.verdict == "supported")  # type: ignore[attr-defined]
        assert found.level == pytest.approx(1 - 2 * found.error), "one end has the whole error"
        assert found.side == "one"
    # Those that are clear are decided at a fifth of 5 %; they hand their parts on to those that are open.
    assert verdicts[0].error == pytest.approx(0.05 / 5)
    assert verdicts[3].verdict == "inconclusive"
    assert (verdicts[3].error or 0) > 0.05 / 5


def test_an_open_claim_of_the_paper_does_not_block_ours_and_the_reverse() -> None:
    theirs = [claim(Above(0.5), name=f"P{i}", estimand=name, at="table 1") for i, name in enumerate(("x", "x", "open"))]
    ours = [claim(Above(0.5), name=f"O{i}", estimand=name) for i, name in enumerate(("open", "x"))]
    found = rows({"x": around(1.0), "open": around(0.5), "x_control": around(-5.0)})
    verdicts = {one.claim: one for one in judge(study(*theirs, *ours), {"only": found})}
    assert [verdicts[name].tier for name in ("P0", "O0")] == ["paper", "ours"]
    assert verdicts["P0"].error == pytest.approx(0.04 / 3)
    assert verdicts["O1"].error == pytest.approx(0.01 / 2)
    # Two of three and one of two are decided; each hands on half of its part to either tier.
    assert verdicts["P2"].error == pytest.approx(0.04 - 0.04 * 2 / 3 / 2 + 0.01 / 2 / 2)
    assert verdicts["O0"].error == pytest.approx(0.05 - (verdicts["P2"].error or 0))


def test_a_decided_claim_hands_on_its_part_whatever_its_control_says() -> None:
    claims = [claim(Above(0.5), name="C1"), claim(Above(1.0), name="C2")]
    stuck = judge(study(*claims), {"only": rows({"x": around(1.0, 0.03), "x_control": around(1.0)})})
    assert [one.verdict for one in stuck] == ["void", "inconclusive"]
    assert [one.error for one in stuck] == pytest.approx([0.025, 0.05])


def test_judging_one_experiment_alone_is_not_easier_and_families_are_apart() -> None:
    one, other = claim(name="C1"), claim(name="C2", estimand="y")
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", N)}

    def arms(*families: str) -> Study:
        parts = zip(("a", "b"), (one, other), families, strict=True)
        return Study(
            "example",
            "A title",
            PAPER,
            "Ours: small.",
            tuple(Experiment(n, "?", (c,), presets, lambda s, r: Measurement({}), family=f) for n, c, f in parts),
        )

    (alone,) = judge(arms("", ""), {"a": good()})
    (apart,) = judge(arms("first", "second"), {"a": good()})
    assert alone.error == pytest.approx(0.025)
    assert (apart.error, apart.family) == (pytest.approx(0.05), "first")
    assert expected_false(arms("", "")) == pytest.approx(0.05)
    assert expected_false(arms("first", "second")) == pytest.approx(0.1)


def test_a_bound_is_tested_on_the_side_where_it_can_be_wrong() -> None:
    runs = rows({"x": around(1.0, 0.3), "x_control": around(-5.0)})

    def shown(rule: Rule, control: Arm | None = None) -> tuple[str, str, float | None]:
        found = only(claim(rule, control=control), runs)
        return found.verdict, found.side, found.level

    far = control_on("far away", "x_control", Below(0.0))
    assert shown(Above(0.5)) == ("supported", "one", pytest.approx(0.9))
    assert shown(Below(0.5), far) == ("refuted", "one", pytest.approx(0.9))
    assert shown(Within(0.0, 2.0), far) == ("supported", "one", pytest.approx(0.9))
    assert shown(Within(2.0, 3.0), far) == ("refuted", "both", pytest.approx(0.95))
    assert shown(Outside(2.0, 3.0), far) == ("supported", "both", pytest.approx(0.95))
    assert shown(Outside(0.0, 2.0), far) == ("refuted", "one", pytest.approx(0.9))
    assert shown(Within(0.95, 1.05), far) == ("inconclusive", "both", pytest.approx(0.95))


@pytest.mark.parametrize(("steps", "level"), [(2, 0.95), (4, 0.975)])
def test_a_step_of_an_ordering_is_refuted_at_its_share(steps: int, level: float) -> None:
    columns = {f"x{i}": around(-i, name=f"x{i}") for i in range(steps + 1)} | {"c": around(-5.0)}
    names = tuple(columns)[:-1]
    ordering = claim(Ordered(), estimand=names, control=control_on("far", "c", Below(0.0)))
    found = only(ordering, rows(columns))
    assert (found.verdict, found.side, found.level) == ("refuted", "each step", pytest.approx(level))


def test_an_open_ordering_shows_a_step_that_is_open() -> None:
    # The second step is clear, with a small upper end; the first is vague and is what keeps the claim open.
    columns = {"x0": around(0.0, 9.0), "x1": around(1.0, 0.1), "x2": around(1.5, 0.1, name="other"), "c": around(-5.0)}
    ordering = claim(Ordered(0.1), estimand=("x0", "x1", "x2"), control=control_on("far", "c", Below(0.0)))
    found = only(ordering, rows(columns))
    assert found.verdict == "inconclusive"
    assert found.low is not None
    assert found.low < 0.1


TABLE = [  # judgement, tier, negative (refuted is as it must be), positive, power only, verdict
    ("supported", "paper", "refuted", None, False, "supported"),
    ("supported", "ours", "refuted", "inconclusive", False, "supported"),
    ("supported", "paper", "supported", "supported", False, "void"),
    ("supported", "paper", "inconclusive", None, False, "inconclusive"),
    ("refuted", "ours", "supported", None, False, "refuted"),
    ("refuted", "paper", "supported", "supported", False, "refuted"),
    ("refuted", "paper", "refuted", "refuted", False, "not-reproduced"),
    ("refuted", "paper", "refuted", "supported", True, "not-reproduced"),
    ("refuted", "paper", "refuted", None, False, "not-reproduced"),
    ("refuted", "paper", "refuted", "inconclusive", False, "inconclusive"),
    ("inconclusive", "paper", "refuted", "supported", False, "inconclusive"),
]


@pytest.mark.parametrize(("claimed", "tier", "negative", "positive", "power_only", "wanted"), TABLE)
def test_the_table_of_verdicts(
    claimed: str, tier: str, negative: str, positive: str | None, power_only: bool, wanted: str
) -> None:
    values = {"supported": 1.0, "refuted": 0.0, "inconclusive": 0.5}
    columns = {"x": around(values[claimed]), "x_control": around(values[negative], name="n")}
    planted = None
    if positive is not None:
        columns["planted/"] = around(values[positive], name="p")
        planted = Arm("planted", "the effect is there", power_only=power_only)
    one = replace(claim(at="table 1" if tier == "paper" else "ours"), positive=planted)
    found = only(one, rows(columns))
    assert found.verdict == wanted
    assert bool(found.reason) == (
        wanted in ("void", "not-reproduced") or (claimed != "inconclusive" and wanted == "inconclusive")
    )
    assert (found.positive is None) == (positive is None)
    if found.positive is not None:
        assert (found.positive.judgement, found.positive.expected) == (positive, "supported")


def test_what_settings_leave_out_is_not_asked() -> None:
    found = only(claim(), rows({"x": around(1.0)}))
    assert (found.verdict, found.reason) == ("not-asked", "'x_control' is not measured with these settings")
    assert not undecided([found])


def test_a_step_of_an_ordering_does_not_bear_the_range_of_what_it_is_a_difference_of() -> None:
    columns = {f"x{i}": around(i) for i in range(2)} | {"c": around(-1.0)}
    share = Estimand("x", "a share", low=0, high=1)
    ordering = claim(Ordered(0.1), estimand=("x0", "x1"), control=control_on("far", "c", Below(0.0)), defined=share)
    assert only(ordering, rows(columns)).range == ""
    plain = claim(Above(-0.5), estimand="x0", control=control_on("far", "c"), defined=share)
    assert only(plain, rows(columns)).range == "0 to 1"


def test_intervals_are_shown_within_the_range_and_judged_as_they_are() -> None:
    accuracy = Estimand("accuracy", "share of right answers", low=0.0, high=1.0)
    near_one = [0.99, 1.0, 0.9, 1.0, 1.0, 0.97]
    band = Claim("C1", "It is in [{low}, {high}].", "net/accuracy", Within(0.9, 1.0), "given", "ours", Arm("off", "off"))
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", N)}
    one = Experiment("only", "?", (band,), presets, lambda s, r: Measurement({}), estimands=(accuracy,))
    (found,) = judge(
        Study("example", "A title", PAPER, "Ours: small.", (one,)),
        {"only": rows({"net/accuracy": near_one, "off/accuracy": [0.1, 0.0, 0.3, 0.5, 0.0, 0.0]})},
    )
    assert found.high == 1.0
    assert found.control.low == 0.0
    assert "within its range" in found.method
    assert found.verdict == "inconclusive", "the interval itself reaches beyond 1, and so beyond the rule"


# Looks


def series(n: int, effect: float, spread: float = 0.3) -> list[RunRow]:
    return rows({"x": around(0.5 + effect, spread, 32)[:n], "x_control": around(-5.0, n=32)[:n]})


def test_planned_looks_spend_the_error_and_unplanned_ones_pay_more() -> None:
    runs = series(16, 0.5)
    fixed, planned = only(claim(), runs), only(claim(), runs, looks={"only": 32})
    between, unplanned = only(claim(), runs[:15], looks={"only": 32}), only(claim(), runs, looks={"only": 0})
    assert fixed.level == pytest.approx(0.9)
    assert planned.error == pytest.approx(0.05)
    assert planned.level in (pytest.approx(1 - 2 * 0.05 / 64), pytest.approx(1 - 2 * 0.05 * 7 / 64))
    assert "sequence" in between.method
    assert "sequence" in unplanned.method
    assert reach(fixed) < min(reach(planned), reach(unplanned))


def reach(found: Verdict) -> float:
    assert found.low is not None
    assert found.estimate is not None
    return found.estimate - found.low


def test_what_a_look_decided_stays_decided() -> None:
    early = only(claim(), series(8, 3.0, 0.1), looks={"only": 32})
    later = only(
        claim(), [*series(8, 3.0, 0.1), *(replace(run, seed=run.seed) for run in series(16, -3.0)[8:])], looks={"only": 32}
    )
    assert (early.verdict, early.n_runs) == ("supported", 8)
    assert (later.verdict, later.n_runs, later.low) == ("supported", 8, early.low)


def test_runs_that_are_all_equal_decide_nothing_early() -> None:
    def equal(n: int) -> list[RunRow]:
        return rows({"x": [1.0] * n, "x_control": [0.0] * n})

    for looks in ({"only": 0}, {"only": 16}):
        assert only(claim(), equal(4), looks=looks).verdict == "inconclusive"
        assert undecided([only(claim(), equal(4), looks=looks)])
        assert only(claim(), equal(12), looks=looks).verdict == "supported"


def test_an_interquartile_mean_is_judged_at_planned_looks_only() -> None:
    assert "planned beforehand" in only(claim(summary="iqm"), good(), looks={"only": 0}).reason
    assert only(claim(summary="iqm"), series(16, 3.0, 0.1), looks={"only": 32}).verdict == "supported"


def test_undecided_names_what_more_runs_could_change() -> None:
    open_ = only(claim(), rows({"x": around(0.5), "x_control": around(0.0)}))
    closed = only(claim(), good())
    control_open = only(claim(), rows({"x": around(1.0), "x_control": around(0.5)}))
    control_wrong = only(claim(), rows({"x": around(1.0), "x_control": around(1.0)}))
    assert undecided([open_, closed, control_open, control_wrong]) == [open_, control_open]


def test_judging_is_repeatable_and_ignores_the_order_of_runs() -> None:
    runs = good()
    shuffled = [runs[i] for i in np.random.default_rng(0).permutation(N)]
    for summary in ("mean", "median", "every"):
        assert only(claim(summary=summary), runs).low == pytest.approx(only(claim(summary=summary), shuffled).low)
    assert only(claim(summary="bca"), runs) == only(claim(summary="bca"), runs)


def test_effect_is_the_distance_from_the_margin_in_standard_deviations() -> None:
    values = around(1.0, 0.25)
    verdict = only(claim(Below(2.0), control=control_on("above", "c")), rows({"x": values, "c": around(3.0)}))
    assert verdict.effect == pytest.approx((2.0 - 1.0) / np.std(values, ddof=1))
