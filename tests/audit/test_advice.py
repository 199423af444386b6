"""What to do: every line rests on a number that is there, fits what was done, and names nothing that a table speaks against."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.advice import advice
from assay.audit.columns import COLUMNS
from assay.audit.counts import Count
from assay.audit.forecast import FactForecast
from assay.audit.mitigations import MITIGATIONS, SHRUNK
from assay.audit.record import Arm, Audit, Harm
from assay.audit.totals import EVERYTHING, Total
from assay.report import audit_page

DOCS = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
ROW = "a row"
UNWANTED = [name for name, column in COLUMNS.items() if not column.wanted]


def total(column: str, estimate: float, *, clear: bool = True) -> Total:
    return Total(column, EVERYTHING, estimate, estimate - 0.01, estimate + 0.01, 0.99, 30, 20, clear)


def found(*totals: Total, tuned: str = "", arms: tuple[Arm, ...] = (), recalled: int = 30, **more: object) -> Audit:
    forecast = tuple(FactForecast(f"s{place}", "r", "o", "known" if place < 3 else "unknown", 1.0, 4.0) for place in range(30))
    counts = (Count("learned", 30, 10, recalled, recalled - 1, min(30, recalled + 1)),)
    record = Audit(
        "base", tuned, "f.yaml", "0" * 8, 30, 30, 100, {}, (0.0,) * 30, forecast,
        rows=(ROW,), totals=totals, counts=counts, arms=arms,  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(record, **more)


def arm(name: str, *harms: Harm, against: str = "enough", scale: float = 0.4) -> Arm:
    counted = (Count("learned", 30, 10, 28, 26, 30),)
    return Arm(name, "does so", True, "", against, 0.9, scale, counts=counted, harms=harms)


def harm(column: str, estimate: float, *, clear: bool = True) -> Harm:
    return Harm(column, estimate, estimate - 0.01, estimate + 0.01, 20, clear)


@pytest.mark.parametrize("column", UNWANTED)
@pytest.mark.parametrize("tuned", ["", "theirs"])
def test_every_harm_has_a_remedy_that_fits_the_mode(column: str, tuned: str) -> None:
    (line, *others) = advice(found(total(column, 0.5), tuned=tuned))
    (named,) = re.findall(r"--mitigate ([a-z0-9,-]+)", line.says)
    for name in named.split(","):
        assert column in MITIGATIONS[name].helps or name == SHRUNK  # less of an update does less of anything
        assert not (tuned and MITIGATIONS[name].trains)
    assert "+0.5 [+0.49, +0.51]" in line.cites
    said = " ".join(one.says for one in (line, *others))
    assert not tuned or not re.search(r"n_epochs|learning_rate|known already", said)


def test_what_is_named_before_it_was_compared_rests_on_a_table_of_the_documentation() -> None:
    """The numbers stand in docs/audit.md; what that table speaks against helps nothing."""
    table = DOCS[DOCS.index("### Mitigations at equal memorisation") :]
    for one in MITIGATIONS.values():
        for column, number in one.helps.items():
            assert column in COLUMNS
            assert all(part in table for part in re.findall(r"\d+\.\d+", number)), (one.name, number)
    assert not any(MITIGATIONS[name].helps for name in ("ignore-top-k", "stepping-stones", "early-stop", "lora-4", "lora-16"))


@pytest.mark.parametrize("column", UNWANTED)
def test_a_change_that_is_not_worth_a_sentence_is_none(column: str) -> None:
    small = COLUMNS[column].worth / 2
    lines = advice(found(total(column, small)))
    assert lines[0].says.startswith("What is clear is small")
    assert "upper ends" in lines[0].cites
    (unclear, *_) = advice(found(total(column, small, clear=False)))
    assert unclear.says.startswith("No harm is clear")


def test_an_arm_that_helped_is_the_remedy_and_one_that_harms_is_not() -> None:
    helped = arm("enough", harm("displaced", -0.3), against="plain")
    harmed = arm("replay", harm("displaced", 0.2))
    (line, *_) = advice(found(total("displaced", 0.4), arms=(helped, harmed)))
    assert "Keep 0.40 of the update" in line.says
    assert "28 of 30 are still recalled" in line.says
    assert line.cites.endswith("Mitigations: enough against plain, displaced -0.3 [-0.31, -0.29]")
    (line, *_) = advice(found(total("displaced", 0.4), arms=(arm("enough", against="plain"), harmed)))
    assert "replay" not in line.says
    assert "keep less of the update" in line.says
    # A smaller step gives up some of what was wanted as well: it is still the remedy, and its price is said.
    dear = arm("enough", harm("displaced", -0.3), harm("composed", -0.2), against="plain")
    (line, *_) = advice(found(total("displaced", 0.4), arms=(dear,)))
    assert "are still recalled, at the price of less composition (-0.2)." in line.says
    # Another arm must give more than it costs.
    dear = arm("replay", harm("displaced", -0.3), harm("composed", -0.2))
    (line, *_) = advice(found(total("displaced", 0.4), arms=(arm("enough", against="plain"), dear)))
    assert "What was compared helps at the price of as much" in line.says
    # The smaller step is measured against plain training, the others against it: theirs comes on top, however small.
    further = arm("replay", harm("displaced", -0.1))
    (line, *_) = advice(found(total("displaced", 0.4), arms=(helped, further)))
    assert "'replay', which does so, lowers it at the same memorisation" in line.says
    # One that was compared and did not help is not offered from the documentation either.
    (line, *_) = advice(found(total("primed", 0.4), arms=(arm("enough", against="plain"), arm("replay"))))
    assert "replay" not in line.says


def test_an_arm_that_costs_more_than_it_gives_is_not_recommended() -> None:
    costly = arm("paraphrases", harm("paraphrase", 0.5), harm("primed", 0.5), harm("displaced", 0.2))
    lines = advice(found(total("displaced", 0.4, clear=False), arms=(arm("enough", against="plain"), costly)))
    assert not any("gives more" in line.says for line in lines)
    good = arm("paraphrases", harm("paraphrase", 0.5), harm("replay", 0.0, clear=False))
    lines = advice(found(arms=(arm("enough", against="plain"), good)))
    assert any(line.says.startswith("'paraphrases', which does so, gives more answers to paraphrases (+0.5)") for line in lines)


def test_little_learned_is_said_as_the_mode_allows() -> None:
    (line, *_) = advice(found(recalled=4, recipe={"n_epochs": 40}))
    assert line.says == "Little was learned: train longer or harder (--set n_epochs=80, or a larger learning_rate)."
    assert line.cites == "Counted: 4 of 30 trained sentences recalled"
    (line, *_) = advice(found(recalled=4, tuned="theirs"))
    assert "saved and merged" in line.says


def test_before_training_the_file_is_spoken_of_and_no_forecast_that_orders_nothing() -> None:
    record = found(rows=(), totals=(), counts=())
    assert all(one.surprise > 3 for one in record.forecast)  # surprising objects: a hint, no forecast
    (line,) = advice(record)
    assert "3 of 30 facts to inject are known already" in line.says
    paired = replace(record, forecast=tuple(replace(one, hallucinates=0.6) for one in record.forecast))
    warned, known = advice(paired)
    assert known == line
    assert warned.says.startswith("For 30 facts the file teaches a pairing that does not follow")
    assert warned.cites.startswith("Forecast, hallucinates above 0.25: 30")


@pytest.mark.parametrize(
    ("count", "likely"),
    [
        (Count("hallucinated", 327, 3, 42, 18, 66), True),
        (Count("hallucinated", 327, 3, 9, 2, 16), False),
        (Count("hallucinated", 327, 30, 9, 2, 16), False),
        (Count("displaced", 19, 0, 3.3, 0.2, 8), False),
        (Count("displaced", 19, 0, 5, 1, 9), True),
        (Count("forgotten", 36, 36, 34, 30, 35.9), False),
        (Count("forgotten", 36, 36, 20, 15, 25), True),
        (Count("paraphrase", 40, 8, 17, 10, 26), False),
    ],
)
def test_a_count_that_is_beyond_its_own_interval_is_named_where_no_harm_is_clear(count: Count, likely: bool) -> None:
    record = found(total("hallucinated", 0.1, clear=False))
    (line, *_) = advice(replace(record, counts=(*record.counts, count)))
    assert line.says.startswith("No harm is clear")
    assert ("Looked at alone" in line.says) == likely
    assert ("--mitigate" in line.says) == likely
    if likely:
        assert f"{count.after:.3g} of {count.n}" in line.says
        offered = [name for name, one in MITIGATIONS.items() if count.column in one.helps]
        assert all(f"'{name}'" in line.says for name in offered)


@pytest.mark.parametrize(
    ("count", "tone"),
    [
        (Count("hallucinated", 327, 3, 42, 18, 66), "bad"),
        (Count("hallucinated", 327, 3, 42, 2.5, 66), ""),  # clear in the table, and not in what the tile shows
        (Count("displaced", 19, 0, 5, 1.2, 9), "bad"),
        (Count("paraphrase", 40, 8, 17, 9.1, 25), "good"),
        (Count("paraphrase", 40, 8, 17, 8.9, 25), ""),
    ],
)
def test_a_tile_is_coloured_where_its_own_interval_says_so_too(count: Count, tone: str) -> None:
    record = replace(found(total(count.column, 0.3)), counts=(count,))
    (tile,) = audit_page._tiles(record)
    assert tile.tone == tone
    assert tile.number == f"{count.number} of {count.n}"
    (unclear,) = audit_page._tiles(replace(found(total(count.column, 0.3, clear=False)), counts=(count,)))
    assert not unclear.tone
