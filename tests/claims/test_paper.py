"""Paper, Headline, Departure and Cost, and the study that holds them."""

from typing import Any

import pytest

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost, Departure, Headline, Paper
from assay.claims.rules import Below
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.core.errors import SettingsError

THREE = (
    Headline("Memory fades.", claims=("C1",)),
    Headline("Sleep helps.", reason="nothing here sleeps"),
    Headline("Age hurts.", reason="nothing here ages"),
)


def part(name: str, claim: str, **changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "presets": {"quick": Preset(1, 1), "laptop": Preset(10, 4)},
        "measure": lambda settings, seeds: Measurement({}),
        "estimands": (Estimand("loss", "mean loss", "nats", 0),),
    }
    told = Claim(claim, "Loss is below {bound}.", "a/loss", Below(1), why="why", at="ours", negative=Arm("b", "without"))
    return Experiment(name, "Does it?", (told,), **(fields | changes))


def study(*experiments: Experiment, **changes: Any) -> Study:
    fields: dict[str, Any] = {
        "title": "Memory: does it fade?",
        "paper": Paper("Ebbinghaus", 1885, "Über das Gedächtnis", "Leipzig", headlines=THREE),
        "scale": "Theirs: one man. Ours: none.",
        "departures": (Departure("D1", "No man."), Departure("D2", "No syllables; as D1 says.")),
    }
    return Study("memory", experiments=experiments or (part("fading", "C1"),), **(fields | changes))


def test_a_paper_is_cited_on_one_line() -> None:
    assert study().paper.text == 'Ebbinghaus 1885, "Über das Gedächtnis", Leipzig'
    assert Paper("A and B", 2024, "T", "").text == 'A and B 2024, "T"'


@pytest.mark.parametrize(
    ("claims", "reason", "message"),
    [(("C1",), "none", "got both"), ((), "", "got neither")],
)
def test_a_headline_has_claims_or_a_reason(claims: tuple[str, ...], reason: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Headline("Memory fades.", claims=claims, reason=reason)


def test_headlines_are_three_to_six_and_name_claims_that_there_are() -> None:
    with pytest.raises(SettingsError, match="three to six headlines; got 2"):
        Paper("A", 2000, "T", "", headlines=THREE[:2])
    with pytest.raises(SettingsError, match=r"headline 'Memory fades\.': unknown claim 'C1'; did you mean 'C11'"):
        study(part("fading", "C11"))


def test_departures_are_named_in_order() -> None:
    with pytest.raises(SettingsError, match="departures are named D1, D2 in this order; got D1, D3"):
        study(departures=(Departure("D1", "x"), Departure("D3", "y")))
    with pytest.raises(SettingsError, match="departure D1: says must tell"):
        Departure("D1", " ")


def test_a_study_asks_at_most_four_questions() -> None:
    five = tuple(part(f"e{i}", f"C{i}", family=f"question {i}") for i in range(1, 6))
    with pytest.raises(SettingsError, match="at most 4 families"):
        study(*five)
    assert study(*five[:4]).families == tuple(f"question {i}" for i in range(1, 5))
    same = part("again", "C9", family="question 1")
    assert study(*five[:3], same).families == ("question 1", "question 2", "question 3")
    assert study().families == ("",)


@pytest.mark.parametrize("what", ["title", "scale"])
def test_a_study_tells_its_story(what: str) -> None:
    with pytest.raises(SettingsError, match=f"{what} must not be empty"):
        study(**{what: ""})


def test_a_cost_follows_the_settings_that_are_asked_for() -> None:
    plain = part("a", "C1", cost=Cost(4, cores=1))
    scaled = part("b", "C2", cost=Cost(4, cores=2, work=float))
    assert plain.seconds_of(10) == plain.seconds_of(1) == 60
    assert scaled.seconds_of(10) == 120
    assert scaled.seconds_of(2) == 24
    assert part("c", "C3").seconds_of(10) is None
    assert [Cost(5).text, Cost(0.5, cores=1).text, Cost(2, cores=8).text] == [
        "5 min on two cores", "30 s of one core", "2 min on 8 cores",
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="minutes > 0"):
        Cost(0)
