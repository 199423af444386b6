"""The record of a claim: its sentence tied to its rule, its controls, and what is refused at load with what to do."""

import math
from typing import Any

import pytest

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand, arm_of, name_of
from assay.claims.rules import Above, Below, Equals, Ordered, Outside, Rule, Within
from assay.claims.study import Experiment, Measurement, Preset
from assay.core.errors import Diverged, InputError, SettingsError
from assay.core.seeds import Seeds

LOSS = Estimand("test_loss", "mean loss on held-out facts", "nats", 0)


def claim(says: str = "Held-out loss falls below {bound} nats.", rule: Rule = Below(0.1), **changes: Any) -> Claim:  # noqa: B008
    fields: dict[str, Any] = {
        "estimand": "factorised/test_loss",
        "why": "nine right answers in ten",
        "at": "section 3",
        "negative": Arm("shuffled", "nothing to infer"),
    }
    return Claim("C1", says, rule=rule, **(fields | changes))


def experiment(*claims: Claim, estimands: tuple[Estimand, ...] = (LOSS,), **changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "presets": {"quick": Preset(0, 1), "laptop": Preset(0, 8)},
        "measure": lambda settings, seeds: Measurement({"factorised/test_loss": 0.0, "shuffled/test_loss": 3.0}),
    }
    return Experiment("only", "Does it?", claims, estimands=estimands, **(fields | changes))


def loaded(one: Claim, *estimands: Estimand) -> Claim:
    return experiment(one, estimands=estimands or (LOSS,)).claims[0]


@pytest.mark.parametrize(
    ("says", "rule", "sentence"),
    [
        ("Loss is above {bound}.", Above(0.25), "Loss is above 0.25."),
        ("Loss is above {bound:.0%}.", Above(0.25), "Loss is above 25%."),
        ("Loss is within {margin}.", Within(-0.1, 0.1), "Loss is within 0.1."),
        ("Loss is {low} to {high}.", Within(0.35, 0.65), "Loss is 0.35 to 0.65."),
        ("Loss is not {low} to {high}.", Outside(1, 1000), "Loss is not 1 to 1000."),
        ("Loss is {value}.", Equals(1 / 3, 1e-12), "Loss is 0.3333."),
        ("Waiting falls from {A, B} to {B}, by {value}.", Equals(1), "Waiting falls from {A, B} to {B}, by 1."),
    ],
)
def test_a_sentence_states_the_numbers_of_its_rule(says: str, rule: Rule, sentence: str) -> None:
    assert loaded(claim(says, rule)).sentence == sentence


@pytest.mark.parametrize(
    ("says", "rule", "message"),
    [
        ("Loss falls.", Below(0.1), r"must state the number that its rule tests \(< 0.1\): write {bound}"),
        ("Loss is above {low}.", Within(0.4, 0.6), "write {high} and {low}"),
        ("Loss stays.", Within(-0.4, 0.4), "write {margin} or {high} and {low}"),
        ("Loss is {bound}.", Equals(2), "{bound}, which Equals does not have; it has {value}, {tolerance}"),
        ("Loss falls below {bound:.0f}.", Below(2.7), "{bound:.0f} writes 2.7 as 3, which is another number"),
    ],
)
def test_a_sentence_that_does_not_is_refused(says: str, rule: Rule, message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("{", r"\{").replace("}", r"\}")):
        loaded(claim(says, rule))


def test_a_fact_need_not_name_its_value() -> None:
    fact = Estimand("acts", "A acts on its own", "yes or no", 0, 1)
    one = claim("A acts on its own.", Equals(1), estimand="full/acts", negative=Arm("informed", "H sees what A sees"))
    assert loaded(one, fact).sentence == "A acts on its own."
    assert loaded(one, fact).rule_text == "= 1"


@pytest.mark.parametrize(
    ("base", "value", "expected"), [("e", math.log(1.5), "1.5"), ("10", math.log10(2), "2"), ("e", 0.1, "1.105")]
)
def test_a_rule_on_a_logarithm_is_shown_as_a_ratio(base: Any, value: float, expected: str) -> None:
    ratio = Estimand("log_ratio", "steps with noise over steps without", "times", log=base)
    one = claim(
        "Noise takes more than {bound} times the steps.", Above(value),
        estimand="noisy/log_ratio", negative=Arm("clean", "no noise"),
    )  # fmt: skip
    told = loaded(one, ratio)
    assert told.sentence == f"Noise takes more than {expected} times the steps."
    assert told.rule_text == f"> {expected} times"
    assert told.rule == Above(value)  # judged on the logarithm


def test_the_rule_is_shown_with_the_unit_where_a_reader_needs_it() -> None:
    assert loaded(claim()).rule_text == "< 0.1 nats"
    share = Estimand("test_loss", "share of wrong answers", "share of answers", 0, 1)
    assert loaded(claim(), share).rule_text == "< 0.1"


def test_a_control_is_the_claims_estimand_on_another_arm() -> None:
    one = claim(positive=Arm("planted", "the solution put in as weights"))
    assert [control.measured(one.estimand) for control in one.controls] == ["shuffled/test_loss", "planted/test_loss"]
    steps = claim(
        "Loss rises by more than {margin} a step.", Ordered(0.1),
        estimand=("a/test_loss", "b/test_loss"), negative=Arm(("x", "y"), "no step"),
    )  # fmt: skip
    assert steps.negative.measured(steps.estimand) == ("x/test_loss", "y/test_loss")
    assert (arm_of("a/b/c"), name_of("a/b/c"), name_of("a")) == ("a", "b/c", "")


def test_a_control_by_another_estimand_says_why() -> None:
    other = Arm("planted", "the solution", estimand="train_loss", why="it has no held-out facts")
    assert other.measured("factorised/test_loss") == "planted/train_loss"
    with pytest.raises(SettingsError, match=r"another estimand, 'train_loss', than its claim: say why=\.\.\., or leave"):
        Arm("planted", "the solution", estimand="train_loss")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negative": None}, "must have a negative control that could refute it"),
        ({"positive": "planted"}, "positive must be an Arm or None"),
        ({"why": " "}, "why must not be empty"),
        ({"at": ""}, "at must not be empty"),
        ({"rule": Ordered()}, "Ordered goes with a tuple of estimands"),
        ({"estimand": ("a/test_loss", "b/test_loss")}, "Ordered goes with a tuple of estimands"),
        ({"rule": Ordered(), "estimand": ("a/test_loss",), "negative": Arm(("x",), "c")}, "at least two"),
        ({"rule": Ordered(), "estimand": ("a/test_loss", "b/test_loss")}, "as many arms as the claim"),
        ({"rule": Ordered(), "estimand": ("a/x", "b/x"), "negative": Arm(("p", "q", "r"), "c")}, "as many arms as the claim"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        claim(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimand": "factorised/tets_loss"}, "unknown estimand 'tets_loss'; did you mean 'test_loss'"),
        ({"estimand": "test_loss"}, "an estimand is named 'arm/estimand'; got 'test_loss'"),
        ({"negative": Arm("x", "s", estimand="loss_of_test", why="w")}, "unknown estimand 'loss_of_test'"),
        ({"positive": Arm("x", "s", estimand="pace", why="w")}, "unknown estimand 'pace'"),
        ({"negative": Arm("factorised", "the same")}, "a control must be another arm than the claim's"),
    ],
)
def test_a_claim_about_an_undefined_number_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        loaded(claim(**changes))


def test_an_ordering_is_one_estimand_on_several_arms() -> None:
    pace = Estimand("pace", "steps a second")
    mixed = claim(
        "Up by {margin}.", Ordered(0.1), estimand=("a/test_loss", "b/pace"), negative=Arm(("x", "y"), "no step"),
    )  # fmt: skip
    with pytest.raises(SettingsError, match="an ordering compares one estimand on several arms; got pace, test_loss"):
        loaded(mixed, LOSS, pace)


def test_the_digest_follows_what_decides_and_nothing_else() -> None:
    one = claim()
    assert one.digest == claim("Loss is at last under {bound} nats.", why="other words", at="ours", paper="0").digest
    assert one.digest == loaded(one).digest
    for changed in (
        claim(rule=Below(0.2)),
        claim(negative=Arm("silent", "nothing to infer")),
        claim(negative=Arm("shuffled", "nothing to infer", rule=Above(1))),
        claim(positive=Arm("planted", "put in")),
        claim(summary="median"),
        claim(given="a wrong answer"),
    ):
        assert changed.digest != one.digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "must have a name"),
        ({"says": " "}, "says must tell what the number is"),
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"log": "2"}, "log must be None, 'e' or '10'"),
    ],
)
def test_an_estimand_that_defines_nothing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Estimand(**({"name": "x", "says": "y"} | fields))


def test_an_estimands_range_bounds_what_is_shown() -> None:
    accuracy = Estimand("accuracy", "right answers", "share of answers", 0, 1)
    assert [accuracy.inside(value) for value in (-0.1, 0.5, 1.017)] == [0, 0.5, 1]
    assert [Estimand("x", "y", low=low, high=high).range for low, high in ((0, 1), (0, None), (None, 2), (None, None))] == [
        "0 to 1", "at least 0", "at most 2", "",
    ]  # fmt: skip


def test_measure_is_named_and_loaded_when_something_is_run() -> None:
    here = experiment(claim(), measure=f"{__name__}:planted_measure")
    assert here.measure_run(None, Seeds(0)).estimands == {"factorised/test_loss": 1.0}
    for name in ("no_such_file", "no.colon.here", ":measure", "module:two words"):
        with pytest.raises(SettingsError, match="measure must be a function or 'module:function'"):
            experiment(claim(), measure=name)
    with pytest.raises(InputError, match="has no function 'no_such_function'"):
        experiment(claim(), measure=f"{__name__}:no_such_function").measure_run(None, Seeds(0))
    with pytest.raises(SettingsError, match="must have measure or measure_many"):
        experiment(claim(), measure=None)


def planted_measure(settings: object, seeds: Seeds) -> Measurement:
    return Measurement({"factorised/test_loss": 1.0})


def test_one_run_is_derived_from_many() -> None:
    def measure_many(settings: object, seeds: list[Seeds]) -> list[Measurement | Diverged]:
        return [Diverged(3, 0.5) if settings == "bad" else Measurement({"x/y": float(len(seeds))}) for _ in seeds]

    many = experiment(claim(), measure=None, measure_many=measure_many)
    assert many.has_many
    assert many.measure_run("good", Seeds(0)).estimands == {"x/y": 1.0}
    with pytest.raises(Diverged):
        many.measure_run("bad", Seeds(0))
    one = experiment(claim())
    assert not one.has_many
    assert len(one.measure_runs(None, [Seeds(0), Seeds(1)])) == 2


def test_what_is_not_there_is_said_before_anything_starts() -> None:
    def ready(settings: object) -> None:
        raise InputError("the model must be there")

    experiment(claim()).check_ready(None)
    with pytest.raises(InputError, match="must be there"):
        experiment(claim(), ready=ready).check_ready(None)
