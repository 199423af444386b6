"""One table object, four forms: nothing is lost in the exact ones, and no text acts in the others."""

import csv
import dataclasses
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.claims.verdict import ControlVerdict, Verdict
from assay.report.tables import VerdictTable, csv_text, latex_text, markdown_text

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[31mred\x07",
    "\u202eevil\u2066",
    "=HYPERLINK(1)",
    "a|b\nc\td",
    "\\input{/etc/passwd} $x$ 50% & #1 _^~ {",
    "`code` *bold* [link](javascript:alert(1))",
    "]]> --> <!-- </style></title>",
    "w" * 500,
    "\ud800 \ufffe\uffff",
    "عربي עברית",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))


def verdict(**changes: Any) -> Verdict:
    control = ControlVerdict("the cause is removed", "> 1", "refuted", 0.1, 0.05, 0.15, "refuted")
    plain = Verdict(
        "study", "arm", "C1", "It rises.", "§1", "> 1", 1.5, 1.2, 1.8, 0.99, 10, "run", 1.4, control, "supported", "", 2.0, "t"
    )
    return dataclasses.replace(plain, **changes)


def test_records_have_the_fields_of_the_design_in_order() -> None:
    (record,) = VerdictTable((verdict(),)).records()
    assert list(record)[:15] == (
        [
            "study",
            "experiment",
            "claim",
            "says",
            "source",
            "rule",
            "estimate",
            "low",
            "high",
            "level",
            "n_runs",
            "unit",
            "paper_value",
            "control",
            "verdict",
        ]
    )
    assert isinstance(record["control"], dict)
    assert record["control"]["flips"] is True
    assert json.loads(VerdictTable((verdict(),)).json()) == [record]


def test_csv_keeps_full_precision_and_absence() -> None:
    third = 1 / 3
    table = VerdictTable((verdict(estimate=third, low=None, effect=None),))
    (row,) = csv.DictReader(io.StringIO(table.csv()))
    assert float(row["estimate"]) == third
    assert row["low"] == row["effect"] == ""
    assert row["control_flips"] == "true"
    assert float(row["control_estimate"]) == 0.1


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_csv_is_inert_in_a_spreadsheet_and_reads_back(rows: list[tuple[str, str]]) -> None:
    written = csv_text(("a", "b"), rows)
    found = list(csv.reader(io.StringIO(written)))
    assert len(found) == len(rows) + 1
    for cells in found:
        assert len(cells) == 2
        assert not any(cell.lstrip().startswith(tuple("=+-@\t\r＝＋－＠")) for cell in cells)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)


def test_a_negative_number_is_not_a_formula() -> None:
    assert csv_text(("x",), [(-1.5,), ("-1.5",)]) == "x\n-1.5\n'-1.5\n"


@given(st.lists(st.tuples(texts, texts, texts), max_size=3))
def test_markdown_keeps_its_columns_whatever_a_cell_says(rows: list[tuple[str, str, str]]) -> None:
    written = markdown_text(("a", "b", "c"), rows)
    lines = written.split("\n")
    assert len(lines) == len(rows) + 3
    assert lines[-1] == ""
    for line in lines[:-1]:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4
        assert "<" not in line
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", written)


@given(texts)
def test_latex_runs_no_command_of_a_cell(text: str) -> None:
    cell = latex_text(("a",), [(text,)]).split("\n")[4]
    assert cell.endswith(r" \\")
    known = r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl)\{\}|\\[&%$#_{}]"
    left = re.sub(known, "", cell.removesuffix(r" \\"))
    assert not re.search(r"[\\{}$&#%^_~]", left)


@pytest.mark.parametrize("text", HOSTILE)
def test_every_form_takes_hostile_verdicts(text: str) -> None:
    bad = verdict(says=text, source=text, reason=text, paper_value=text, claim=text)
    table = VerdictTable((bad, verdict(verdict="void", estimate=None, low=None, high=None, level=None)))
    assert json.loads(table.json().encode())[0]["says"] == text
    assert table.markdown().count("\n") == 4
    assert len(list(csv.reader(io.StringIO(table.csv())))) == 3
    assert table.latex().count(r"\begin{longtable}") == table.latex().count(r"\end{longtable}") == 1
    assert all("\x1b" not in cell and "\u202e" not in cell for row in table.cells()[1] for cell in row)


def test_a_latex_table_is_as_wide_as_the_text_and_has_caption_and_label() -> None:
    lines = VerdictTable((verdict(), verdict())).latex().splitlines()
    assert lines[0] == "% packages: array, booktabs, longtable"
    (begin,) = [line for line in lines if line.startswith(r"\begin{longtable}")]
    widths = [float(found) for found in re.findall(r"p\{([\d.]+)\\linewidth\}", begin)]
    assert len(widths) == len(VerdictTable(()).cells()[0])
    assert 0.9 < sum(widths) < 1  # the gaps between columns need the rest
    (caption,) = [line for line in lines if line.startswith(r"\caption")]
    assert "2 claims" in caption
    assert caption.endswith(r"\label{tab:study}\\")


def test_a_void_claim_has_no_number() -> None:
    void = verdict(verdict="void", reason="1 of 2 runs diverged", estimate=None, low=None, high=None, level=None)
    _, (cells,) = VerdictTable((void,)).cells()
    assert cells[4:6] == ("–", "–")
    assert cells[-1] == "void: 1 of 2 runs diverged"


def test_records_tell_kind_family_both_controls_and_what_the_number_is() -> None:
    planted = dataclasses.replace(verdict().control, says="planted", expected="supported", judgement="supported")
    one = verdict(kind="every", family="Does it rise?", positive=planted, estimand_unit="nats", range="at least 0")
    (record,) = VerdictTable((one,)).records()
    told = {name: record[name] for name in ("kind", "family", "estimand_unit", "range", "at", "paper")}
    assert told == {
        "kind": "every", "family": "Does it rise?", "estimand_unit": "nats", "range": "at least 0", "at": "§1", "paper": 1.4,
    }  # fmt: skip
    assert record["negative"] == record["control"]
    positive = record["positive"]
    assert isinstance(positive, dict)
    assert positive["says"] == "planted"
    assert positive["flips"] is True
    assert VerdictTable((verdict(),)).records()[0]["positive"] is None
    with_it, without = csv.DictReader(io.StringIO(VerdictTable((one, verdict())).csv()))
    assert (with_it["kind"], with_it["estimand_unit"], with_it["range"]) == ("every", "nats", "at least 0")
    assert (with_it["positive_says"], with_it["positive_flips"], without["positive_says"]) == ("planted", "true", "")
