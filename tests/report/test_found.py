"""What a page says was found follows from the verdicts, whatever they are."""

import dataclasses
from typing import Any

import pytest

from assay.claims.exact import Exact, ExactVerdict
from assay.claims.paper import Headline, Paper
from assay.claims.rules import Equals
from assay.claims.study import Study
from assay.claims.verdict import Verdict
from assay.report.found import headlines_found, number_text, what_was_found

CHECK = Exact("E1", "One and one are {value}.", Equals(2), why="arithmetic", at="ours")


@pytest.fixture
def study(synthetic: Any) -> Study:
    headlines = (
        Headline("It infers.", claims=("C1", "C2")),
        Headline("It completes and rises.", claims=("C4", "C6")),
        Headline("It is deep.", claims=("B1",)),
        Headline("It is conscious.", reason="nobody knows how to ask"),
    )
    return dataclasses.replace(synthetic.STUDY, paper=Paper("Nobody", 2020, "A title", "", headlines=headlines))


def told(study: Study, verdicts: list[Verdict], names: dict[str, str]) -> str:
    """What is said if these claims had these verdicts and nothing else had been asked."""
    some = [dataclasses.replace(one, verdict=names[one.claim]) for one in verdicts if one.claim in names]
    return " ".join(what_was_found(study, some, [], quick=False))


def test_each_headline_is_what_its_claims_are(study: Study, verdicts: list[Verdict]) -> None:
    by_name = {one.claim: one for one in verdicts}

    def outcome(first: str, second: str) -> str:
        some = [dataclasses.replace(by_name[name], verdict=verdict) for name, verdict in (("C1", first), ("C2", second))]
        return headlines_found(study, some, [])[0].outcome

    assert outcome("supported", "supported") == "holds"
    assert outcome("supported", "inconclusive") == outcome("supported", "refuted") == "holds in part"
    assert outcome("refuted", "inconclusive") == "fails"
    assert outcome("not-reproduced", "inconclusive") == "not reproduced"
    assert outcome("refuted", "not-reproduced") == "fails"
    assert outcome("inconclusive", "void") == "open"
    assert outcome("not-asked", "not-asked") == "not run"
    assert outcome("supported", "not-asked") == "holds in part"  # half of it was never asked
    found = headlines_found(study, verdicts, [])
    assert [one.outcome for one in found][2:] == ["not run", "not tested"]


def test_the_sentences_count_and_quote_what_failed(study: Study, verdicts: list[Verdict]) -> None:
    said = told(study, verdicts, {"C1": "supported", "C2": "refuted", "C4": "supported", "C6": "supported"})
    assert "Of 2 headlines of the paper that were tested, 1 holds in full, 1 holds in part." in said
    assert "Of 4 claims 3 are supported and 1 is refuted." in said
    (failed,) = [one for one in verdicts if one.claim == "C2"]
    assert f"What did not come out: “{failed.says.rstrip('.')}” – refuted: {number_text(failed)}, where the rule asks" in said
    assert "Open" not in said


def test_where_all_holds_it_says_so_and_where_nothing_ran_too(study: Study, verdicts: list[Verdict]) -> None:
    said = told(study, verdicts, dict.fromkeys(("C1", "C2", "C4", "C6"), "supported"))
    assert said.startswith("All 2 headlines of the paper that were tested hold here")
    assert "What did not" not in said
    assert what_was_found(study, [], [], quick=False) == ["Nothing has been run yet."]
    assert "nothing was found" in what_was_found(study, verdicts, [], quick=True)[0]


def test_an_open_claim_is_told_where_none_failed(study: Study, verdicts: list[Verdict]) -> None:
    said = told(study, verdicts, {"C1": "supported", "C2": "inconclusive"})
    assert "Open: “With one combined matrix" in said


def test_exact_checks_are_counted_apart_and_a_failing_one_comes_first(study: Study, verdicts: list[Verdict]) -> None:
    holds = ExactVerdict(CHECK, "symbolic", 2.0, "holds")
    fails = ExactVerdict(dataclasses.replace(CHECK, name="E2"), "symbolic", 3.0, "fails")
    said = " ".join(what_was_found(study, [one for one in verdicts if one.claim == "C1"], [holds, fails], quick=False))
    assert "The one claim is supported; 1 of 2 exact checks hold." in said
    assert 'What did not come out: "One and one are 2." (exact check)' in said


def test_three_claims_at_most_are_shown_and_what_failed_among_them(study: Study, verdicts: list[Verdict]) -> None:
    names = ("C1", "C2", "C3", "C4", "C5", "C6")
    wide = dataclasses.replace(
        study, paper=dataclasses.replace(study.paper, headlines=(Headline("All.", claims=names), *study.paper.headlines[:2]))
    )
    verdict = {"C5": "refuted", "C6": "not-reproduced"}
    some = [dataclasses.replace(one, verdict=verdict.get(one.claim, "supported")) for one in verdicts if one.claim in names]
    shown = [one.claim for one in headlines_found(wide, some, [])[0].told if isinstance(one, Verdict)]
    assert shown == ["C1", "C5", "C6"]


def test_a_number_has_its_unit_and_a_fact_has_none(verdicts: list[Verdict]) -> None:
    first = verdicts[0]
    assert number_text(first).endswith("] nats")
    assert number_text(dataclasses.replace(first, estimand_unit="yes or no")).endswith("]")
    assert number_text(dataclasses.replace(first, estimate=None)) == ""
