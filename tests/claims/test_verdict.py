"""Judgement on synthetic rows: every claim is driven to all four verdicts without training anything."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from assay.claims.claim import Arm
from assay.claims.claim import Claim as ClaimRecord
from assay.claims.rules import Above, Below, Equals, Ordered, Rule, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Study
from assay.claims.verdict import RunRow, Verdict, judge, undecided
from assay.core.seeds import Seeds

DOC = "A title.\n\nPaper   Somebody 2023.\nScale   Ours: small.\n"
N = 12


def study(*claims: ClaimRecord) -> Study:
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", N)}
    return Study("example", DOC, (Experiment("only", "?", claims, presets, lambda settings, seeds: Measurement({})),))


def claim(rule: Rule = Above(0.5), name: str = "C1", control: Arm | None = None, **changes: object) -> ClaimRecord:  # noqa: B008
    fields = {
        "says": "It holds.",
        "source": "ours",
        "estimand": "x",
        "margin": "given",
        "control": control or Control("without the cause", "x_control"),
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


def only(claim_: ClaimRecord, runs: list[RunRow], **options: bool) -> Verdict:
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
    ordering = claim(Ordered(0.1), estimand=("x0", "x1", "x2"), control=Control("reversed", ("c0", "c1", "c2")))
    assert only(ordering, rows(columns)).verdict == wanted


def test_a_control_that_does_not_flip_voids_whatever_the_claim_shows() -> None:
    verdict = only(claim(), rows({"x": around(1.0), "x_control": around(1.0, name="control")}))
    assert verdict.verdict == "void"
    assert "control" in verdict.reason
    assert verdict.estimate == pytest.approx(1.0)
    assert not verdict.control.flips


def test_a_planted_control_has_a_rule_of_its_own() -> None:
    null = claim(Within(-0.1, 0.1), control=Control("effect planted", "planted", Above(0.5)))
    found = rows({"x": around(0.0), "planted": around(1.0)})
    missed = rows({"x": around(0.0), "planted": around(0.0)})
    assert only(null, found).verdict == "supported"
    assert only(null, missed).verdict == "void"


def test_not_significant_never_supports_a_null() -> None:
    null = claim(Within(-0.1, 0.1), control=Control("effect planted", "planted", Above(0.5)))
    vague = rows({"x": around(0.0, 2.0), "planted": around(1.0)})
    assert only(null, vague).verdict == "inconclusive"


def good() -> list[RunRow]:
    return rows({"x": around(1.0), "x_control": around(0.0)})


def replaced(status: str, estimands: Mapping[str, float]) -> list[RunRow]:
    return [*good()[:-1], RunRow("only", N, status, estimands)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([], "no runs"),
        (good()[:1], "at least 2 runs"),
        (replaced("diverged", {}), "1 of 12 runs diverged"),
        (replaced("failed", {}), "1 of 12 runs failed"),
        (replaced("ok", {"x": math.nan, "x_control": 0.0}), "'x' is missing or not a number in 1"),
        (replaced("ok", {"x": math.inf, "x_control": 0.0}), "'x' is missing or not a number in 1"),
        (replaced("ok", {"x": 1.0}), "'x_control' is missing or not a number in 1 of 12 runs"),
        (rows({"x": around(1.0)}), "'x_control' is not measured with these settings"),
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
    stuck = claim(summary=summary, given="a wrong answer", control=Control("never out of the way", "x"))
    assert only(stuck, without(2)).reason == f"the control did not come out as it must: supported, not refuted; {few.reason}"
    most = only(conditional, without(N // 2))
    assert (most.verdict, most.n_runs, most.reason) == ("void", N, f"{N // 2} of {N} runs are without a wrong answer")
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
    exact = claim(Equals(1.75), summary="every", control=Control("another game", "other"))
    assert only(exact, rows({"x": [1.75], "other": [2.0]})).verdict == "supported"
    assert only(exact, rows({"x": [1.75, 1.5], "other": [2.0, 2.0]})).verdict == "inconclusive"
    assert only(exact, rows({"x": [1.5], "other": [2.0]})).verdict == "refuted"


def test_shown_interval_and_verdict_agree_at_holms_levels() -> None:
    claims = [claim(Above(bound), name=f"C{i}") for i, bound in enumerate((0.2, 0.93, 0.96, 0.99, 0.5))]
    verdicts = judge(study(*claims), {"only": rows({"x": around(1.0, 0.07), "x_control": around(-5.0)})})
    levels = sorted(v.level or 0 for v in verdicts)
    assert levels[-1] == pytest.approx(1 - 0.05 / 5)
    for found, declared in zip(verdicts, claims, strict=True):
        assert found.low is not None
        assert (found.low > declared.rule.bound) == (found.verdict == "supported")  # type: ignore[attr-defined]
    # The strongest claim is judged most strictly, and nothing after the first failure gets an easier level than it.
    assert verdicts[0].verdict == "supported"
    assert verdicts[3].verdict == "inconclusive"


def test_holm_keeps_the_family_wise_error_rate_and_no_correction_does_not() -> None:
    claims = [claim(Above(0.0), name=f"C{i}", estimand=f"x{i}", control=Control("far below", "low")) for i in range(8)]
    family, rng, wrong_family, wrong_single, n_sets = study(*claims), Seeds(3)("null"), 0, 0, 150
    for _ in range(n_sets):
        columns = {f"x{i}": list(rng.standard_normal(8)) for i in range(8)} | {"low": [-9.0 + 0.1 * i for i in range(8)]}
        runs = rows(columns)
        wrong_family += any(v.verdict in ("supported", "refuted") for v in judge(family, {"only": runs}))
        wrong_single += any(judge(study(c), {"only": runs})[0].verdict in ("supported", "refuted") for c in claims)
    # 5 % family-wise (two-sided); 150 sets: mean 7.5, standard deviation 2.7. Uncorrected: 1 - 0.95^8 = 34 %, mean 50.
    assert wrong_family <= 7.5 + 4 * 2.7
    assert wrong_single > 30


def test_judging_one_experiment_alone_is_not_easier() -> None:
    one, other = claim(name="C1"), claim(name="C2", estimand="y")
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", N)}
    arms = tuple(Experiment(name, "?", (c,), presets, lambda s, r: Measurement({})) for name, c in (("a", one), ("b", other)))
    whole = Study("example", DOC, arms)
    (alone,) = judge(whole, {"a": good()})
    assert alone.level == pytest.approx(0.975)


def test_anytime_intervals_are_wider_and_decide_later() -> None:
    runs = rows({"x": around(1.0, 0.3), "x_control": around(0.0)})
    fixed, anytime = only(claim(), runs), only(claim(), runs, anytime=True)
    assert fixed.low is not None
    assert anytime.low is not None
    assert anytime.low < fixed.low
    assert anytime.method != fixed.method


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
    verdict = only(claim(Below(2.0), control=Control("above", "c")), rows({"x": values, "c": around(3.0)}))
    assert verdict.effect == pytest.approx((2.0 - 1.0) / np.std(values, ddof=1))


def test_runs_that_are_all_equal_decide_nothing_early() -> None:
    def equal(n: int) -> list[RunRow]:
        return rows({"x": [1.0] * n, "x_control": [0.0] * n})

    assert only(claim(), equal(4), anytime=True).verdict == "void"  # neither the claim's nor the control's interval is bounded
    assert undecided([only(claim(), equal(4), anytime=True)])
    assert only(claim(), equal(10), anytime=True).verdict == "supported"


def test_an_interquartile_mean_is_not_judged_while_peeking() -> None:
    assert "anytime-valid" in only(claim(summary="iqm"), good(), anytime=True).reason
