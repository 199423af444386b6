import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.claims.charts import Figure, Lines
from assay.claims.claim import Arm, Claim
from assay.claims.paper import Paper
from assay.claims.rules import Above, Below, Equals, Ordered, Outside, Rule, Within
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.errors import SettingsError, UsageError
from assay.stats.intervals import Interval

PAPER = Paper("Somebody et al.", 2023, "A title", "arXiv:0000.00000")


def claim(name: str = "C1", **changes: object) -> Claim:
    fields: dict[str, object] = {
        "name": name,
        "says": "It holds.",
        "at": "Table 1",
        "estimand": "net/x",
        "rule": Above(0.5),
        "negative": Arm("control", "cause removed"),
        "why": "the paper's",
    }
    return Claim(**{**fields, **changes})  # type: ignore[arg-type]


def experiment(*claims: Claim, name: str = "only", **changes: object) -> Experiment:
    fields: dict[str, object] = {
        "name": name,
        "question": "Does it?",
        "claims": claims or (claim(),),
        "presets": {"quick": Preset(Example(), 1), "laptop": Preset(Example(), 10)},
        "measure": lambda settings, seeds: Measurement({"net/x": 1.0, "control/x": 0.0}),
    }
    return Experiment(**{**fields, **changes})  # type: ignore[arg-type]


class Example:
    pass


def study(*experiments: Experiment, **changes: object) -> Study:
    fields: dict[str, object] = {
        "slug": "reversal",
        "title": 'Reversal: does learning "A is B" also teach "B is A"?',
        "paper": PAPER,
        "scale": "Theirs: large. Ours: small.",
        "experiments": experiments or (experiment(),),
    }
    return Study(**{**fields, **changes})  # type: ignore[arg-type]


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, 5, "given")


RULES: list[tuple[Rule, Interval, Interval, Interval]] = [  # rule, supported by, refuted by, undecided by
    (Above(1), interval(1.1, 2), interval(0, 0.9), interval(0.5, 1.5)),
    (Below(1), interval(0, 0.9), interval(1.1, 2), interval(0.5, 1.5)),
    (Within(-1, 1), interval(-1, 1), interval(1.1, 2), interval(0, 1.1)),
    (Outside(-1, 1), interval(1.1, 2), interval(-1, 1), interval(0, 1.1)),
    (Equals(2, 0.1), interval(1.95, 2.05), interval(2.2, 2.3), interval(2, 2.2)),
    (Equals(1.75), interval(1.75, 1.75), interval(1.76, 1.76), interval(1.75, 1.76)),
    (Ordered(0.1), interval(0.2, 0.3), interval(-1, 0), interval(0, 1)),
]


@pytest.mark.parametrize(("rule", "yes", "no", "open_"), RULES, ids=lambda value: getattr(value, "text", None))
def test_every_rule_reaches_every_judgement(rule: Rule, yes: Interval, no: Interval, open_: Interval) -> None:
    assert rule.judge(yes) == "supported"
    assert rule.judge(no) == "refuted"
    assert rule.judge(open_) == "inconclusive"
    assert rule.distance(yes.estimate) >= 0 > rule.distance(no.estimate)
    assert rule.text


ENDS = st.floats(-10, 10)


@pytest.mark.parametrize("rule", [rule for rule, *_ in RULES], ids=lambda rule: rule.text)
@given(a=ENDS, b=ENDS, c=ENDS, d=ENDS)
def test_a_wider_interval_never_decides_more(rule: Rule, a: float, b: float, c: float, d: float) -> None:
    outer, *inner, last = sorted((a, b, c, d))
    narrow, wide = rule.judge(interval(*inner)), rule.judge(interval(outer, last))
    assert wide in (narrow, "inconclusive")


def test_unbounded_intervals_decide_nothing() -> None:
    everything = Interval(0.0, -float("inf"), float("inf"), 0.95, 2, "too few")
    assert {rule.judge(everything) for rule, *_ in RULES} == {"inconclusive"}


def test_a_claim_without_a_control_is_refused_at_load() -> None:
    with pytest.raises(SettingsError, match="must have a negative control"):
        claim(negative=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"says": ""},
        {"why": ""},
        {"rule": Ordered()},
        {"estimand": ("a/x", "b/x")},
        {"rule": Ordered(), "estimand": ("net/x",), "negative": Arm(("c",), "c")},
        {"rule": Ordered(), "estimand": ("a/x", "b/x")},
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        claim(**changes)


def test_a_study_that_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(SettingsError, match="unique"):
        study(experiment(claim("C1"), claim("C1")))
    with pytest.raises(SettingsError, match="unique"):
        study(experiment(claim("C1")), experiment(claim("C2")))
    with pytest.raises(SettingsError, match="slug"):
        study(slug="Reversal Curse")
    for name in ("../../owned", "Two Words", "", "a" * 3 + "\n"):
        with pytest.raises(SettingsError, match="figure is named by a slug"):
            experiment(figures=(Figure(name, "Title", "Caption.", Lines("t", x="x", y="y")),))
    with pytest.raises(SettingsError, match="at least one"):
        study(experiments=())
    with pytest.raises(SettingsError, match="title must not be empty"):
        study(title=" ")
    with pytest.raises(SettingsError, match="preset 'laptop'"):
        experiment(presets={"quick": Preset(Example(), 1)})
    with pytest.raises(SettingsError, match="one settings type"):
        experiment(presets={"quick": Preset(1, 1), "laptop": Preset("a", 1)})


def test_names_are_looked_up_with_a_suggestion() -> None:
    told = study()
    assert told.experiment("only").claims == told.claims
    assert told.claim("C1").name == "C1"
    with pytest.raises(UsageError, match="did you mean 'only'"):
        told.experiment("onli")
    with pytest.raises(UsageError, match="unknown claim"):
        told.claim("C9")
    with pytest.raises(UsageError, match="unknown preset"):
        told.experiment("only").preset("huge")
    assert told.experiment("only").preset("paper") is told.experiment("only").presets["laptop"]


def test_the_digest_of_a_claim_follows_what_decides_it_and_nothing_else() -> None:
    assert claim().digest == claim(says="Said better.").digest
    assert claim().digest != claim(rule=Above(0.6)).digest
    assert claim().digest != claim(negative=Arm("other", "another arm")).digest
