"""Commands do their work, speak JSON, suggest names, and leave with the exit code the design promises."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Assay = Callable[..., subprocess.CompletedProcess[str]]
FIELDS = [
    "study", "experiment", "claim", "says", "source", "rule", "estimate", "low", "high", "level", "n_runs", "unit",
    "paper_value", "control", "verdict",
]  # fmt: skip


def test_a_run_prints_one_row_a_claim_with_the_promised_fields(assay: Assay) -> None:
    done = assay("run", "tides", "--experiment", "pull", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["claim"] for row in rows] == ["rise", "fall"]
    for row in rows:
        assert list(row)[: len(FIELDS)] == FIELDS
    rise, fall = rows
    assert (rise["verdict"], fall["verdict"]) == ("supported", "refuted")
    assert rise["n_runs"] == 6
    assert rise["control"]["judgement"] == rise["control"]["expected"] == "refuted"
    assert rise["low"] <= rise["estimate"] <= rise["high"]
    assert "6 to do" in done.stderr
    again = assay("run", "tides", "--experiment", "pull", "--json")
    assert again.stdout == done.stdout
    assert "6 of 6 runs are stored, 0 to do" in again.stderr
    judged = assay("judge", "tides", "--experiment", "pull", "--json")
    assert judged.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "tide"), 2, "did you mean 'tides'"),
        (("run",), 2, "name one STUDY"),
        (("run", "tides", "--all"), 2, "name one STUDY"),
        (("run", "tides", "-e", "pul"), 2, "did you mean 'pull'"),
        (("run", "tides", "-e", "pull", "--preset", "laptopp"), 2, "did you mean 'laptop'"),
        (("run", "tides", "--on", "proceses"), 2, "did you mean 'processes'"),
        (("run", "tides", "-e", "pull", "--set", "n_day=3"), 3, "did you mean 'n_days'"),
        (("run", "tides", "-e", "pull", "--set", "n_days=1"), 3, "greater than or equal to 2; got '1'"),
        (("run", "tides", "-e", "pull", "--set", "n_days=many"), 3, "n_days"),
        (("run", "tides", "-e", "pull", "--set", "pull"), 3, "name=value"),
        (("run", "tides", "-e", "pull", "--runs", "0"), 2, "--runs"),
        (("run", "tides", "-e", "pull", "--until-decided"), 2, "--max-runs"),
        (("judge", "tides", "--claim", "ris"), 2, "did you mean 'rise'"),
        (("show", "nothing-like-it"), 2, "unknown study"),
        (("show", "broken-study"), 3, "must load"),
        (("report", "tides", "--format", "docx"), 2, "--format must be one of"),
        (("store", "rm"), 2, "name one thing"),
        (("store", "rm", "tides", "--yes"), 2, "holds no runs called 'tides'"),
        (("store", "rm", "--memo", "base", "--yes"), 2, "holds no memoised steps called 'base'"),
        (("store", "ls", "tides"), 2, "holds no runs called 'tides'"),
        (("run", "tides", "-e", "pull", "--max-runs", "4"), 2, "give both, or --runs N"),
        (("store", "import", "nowhere"), 3, "nowhere"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_what_cannot_be_done_says_so_with_its_code(assay: Assay, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = assay(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_broken_plug_in_is_reported_and_skipped(assay: Assay) -> None:
    done = assay("list", "--json")
    assert done.returncode == 0
    assert "tides" in {row["study"] for row in json.loads(done.stdout)}
    assert "broken-study" in done.stderr


def test_hostile_text_is_shown_and_not_obeyed(assay: Assay) -> None:
    for command in (("list",), ("show", "tides"), ("run", "tides", "-e", "pull")):
        done = assay(*command)
        assert done.returncode == 0, done.stderr
        assert "\u202e" not in done.stdout + done.stderr
        assert "\\u202e" in done.stdout
    failed = assay("run", "tides", "-e", "pull", "--set", "trouble=fail")
    assert "\x1b" not in failed.stdout + failed.stderr


def test_a_failed_run_is_recorded_and_the_work_reported_as_failed(assay: Assay) -> None:
    done = assay("run", "tides", "-e", "pull", "--set", "trouble=fail", "--json")
    assert done.returncode == 4
    assert "the tide" in done.stderr
    assert {row["verdict"] for row in json.loads(done.stdout)} == {"void"}
    assert "6 of 6 runs failed" in json.loads(done.stdout)[0]["reason"]


def test_a_diverged_run_is_a_result_and_never_averaged(assay: Assay) -> None:
    done = assay("run", "tides", "-e", "pull", "--set", "trouble=diverge", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["verdict"] for row in json.loads(done.stdout)} == {"void"}
    assert "6 of 6 runs diverged" in json.loads(done.stdout)[0]["reason"]


def test_strict_turns_a_refuted_claim_into_an_exit_code(assay: Assay) -> None:
    assert assay("judge", "tides", "-e", "pull", "--strict").returncode == 1  # nobody has asked yet
    assert assay("run", "tides", "-e", "pull", "--strict", "--json").returncode == 1
    assert assay("judge", "tides", "-e", "pull", "--strict", "--claim", "rise").returncode == 0


def test_a_grid_gets_verdicts_point_by_point(assay: Assay) -> None:
    done = assay("run", "tides", "-e", "pull", "--set", "pull=0,1,2", "--json")
    rows = json.loads(done.stdout)
    assert [(row["settings"].get("pull"), row["verdict"]) for row in rows if row["claim"] == "rise"] == [
        (0.0, "not-reproduced"),  # the paper's claim, and no positive control
        (None, "supported"),
        (2.0, "supported"),
    ]


def test_quick_verdicts_are_void(assay: Assay) -> None:
    done = assay("run", "tides", "--preset", "quick", "--json")
    assert {row["verdict"] for row in json.loads(done.stdout)} == {"void"}


def test_until_decided_adds_runs_and_stops(assay: Assay) -> None:
    done = assay("run", "tides", "-e", "pull", "--until-decided", "--max-runs", "40", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["verdict"] for row in rows} == {"supported", "refuted"}
    assert rows[0]["n_runs"] == 10  # decided at the first look
    assert "looked at after 10, 20, 30, 40 runs" in done.stderr


def test_the_store_is_listed_verified_exported_imported_and_emptied(assay: Assay, tmp_path: Path) -> None:
    assay("run", "tides", "-e", "pull")
    (row,) = json.loads(assay("store", "ls", "--json").stdout)
    assert (row["study"], row["runs"], row["state"]) == ("tides", 6, "current")
    assert assay("store", "verify").returncode == 0
    assert assay("store", "export", "away").returncode == 0
    judged = assay("judge", "tides", "-e", "pull", "--json").stdout
    assert assay("store", "import", "away", "--store", "second").returncode == 0
    assert assay("judge", "tides", "-e", "pull", "--json", "--store", "second").stdout == judged
    assert assay("store", "compare", "away", "--store", "second").returncode == 3  # what was imported was not made here
    assert assay("run", "tides", "-e", "pull", "--fresh", "--store", "second").returncode == 0
    (row,) = json.loads(assay("store", "compare", "away", "--store", "second", "--json").stdout)
    assert (row["study"], row["runs"], row["equal"], row["same_environment"]) == ("tides", 6, 6, True)
    assert assay("store", "rm", "tides", "--yes").returncode == 0
    assert json.loads(assay("store", "ls", "--json").stdout) == []


def test_what_does_not_count_is_left_out_of_an_export_of_counted_runs(assay: Assay) -> None:
    assay("run", "tides", "-e", "pull")
    assay("run", "tides", "-e", "pull", "--seed", "901", "--runs", "2")
    assert "wrote 6 runs" in assay("store", "export", "counted", "--counted").stderr
    assert "wrote 8 runs" in assay("store", "export", "all").stderr


def test_a_damaged_store_is_named_and_mended(assay: Assay, tmp_path: Path) -> None:
    assay("run", "tides", "-e", "pull")
    connection = sqlite3.connect(tmp_path / "store" / "store.sqlite3", isolation_level=None)
    connection.execute("UPDATE artefacts SET data = x'00' WHERE rowid = 1")
    connection.close()
    done = assay("store", "verify", "--json")
    assert done.returncode == 4
    assert {problem["kind"] for problem in json.loads(done.stdout)} == {"artefact"}
    assert assay("store", "rm", "--damaged", "--yes").returncode == 0
    assert assay("store", "verify").returncode == 0
    assert "1 to do" in assay("run", "tides", "-e", "pull").stderr


def test_reports_are_written_and_printed(assay: Assay, tmp_path: Path) -> None:
    assay("run", "tides", "-e", "pull")
    done = assay("report", "tides", "--out", "pages")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "pages" / "index.html"
    page = (tmp_path / "pages" / "tides" / "index.html").read_text()
    assert "<script" not in page
    assert "supported" in page
    for form, sign in (("md", "|"), ("csv", "claim"), ("latex", "longtable"), ("json", '"verdict"')):
        assert sign in assay("report", "tides", "-e", "pull", "--format", form).stdout


def test_doctor_says_what_is_missing(assay: Assay) -> None:
    done = assay("doctor", "--json")
    assert done.returncode == 0
    parts = {row["part"]: row for row in json.loads(done.stdout)}
    assert parts["torch"]["state"] == "ok"
    assert {row["state"] for row in parts.values()} <= {"ok", "note", "optional"}


def test_version_and_help(assay: Assay) -> None:
    assert assay("--version").stdout.startswith("assay ")
    assert "Examples:\n    assay run out-of-context-reasoning" in assay("run", "--help").stdout
