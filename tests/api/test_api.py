"""`import assay` does what the command line does: the same rows, typed, and without a word on standard output."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import assay
from assay.api import PLACES
from assay.core.errors import InputError, MissingExtra, UsageError

ROOT = Path(__file__).parents[2]
BIRTHDAY = ROOT / "examples" / "birthday.py"
FEW = {"n_groups": 400}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "assay", *arguments], capture_output=True, text=True, timeout=120)


def test_a_run_returns_what_the_command_prints(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = assay.run(BIRTHDAY, set=FEW, runs=4)
    assert (results.outcome and results.outcome.computed, len(results.runs), results.failures) == (4, 4, ())
    printed = cli("judge", str(BIRTHDAY), "--set", "n_groups=400", "--json")
    assert json.loads(printed.stdout) == results.to_dicts()
    again = assay.run(BIRTHDAY, set=FEW, runs=4)
    assert again.outcome is not None
    assert again.outcome.computed == 0
    assert assay.judge(BIRTHDAY, set=FEW).to_dicts() == results.to_dicts()
    assert [one.verdict for one in results.exact] == ["holds"]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_results_come_as_rows_tables_frames_and_html(store: Path) -> None:
    results = assay.run(BIRTHDAY, set=FEW, runs=3)
    runs = results.to_dicts("runs")
    assert [row["seed"] for row in runs] == [0, 1, 2]
    assert runs[0]["settings_n_groups"] == 400
    assert {row["run"] for row in results.tables["groups/sizes"]} == {0, 1, 2}
    assert results.to_dicts("groups/sizes") == results.tables["groups/sizes"]
    with pytest.raises(UsageError, match="did you mean 'groups/sizes'"):
        results.to_dicts("groups/size")
    page = results._repr_html_()
    assert "<table>" in page
    assert "C1" in page
    assert "<script" not in page
    assert repr(results).startswith("Results('birthday', preset 'laptop': 3 runs;")
    assert results.only(["E1"]).verdicts == []
    with pytest.raises(MissingExtra, match="polars"):
        results.to_frame(library="polars")


def test_a_data_frame_has_a_column_for_every_field(store: Path) -> None:
    pytest.importorskip("pandas")
    results = assay.run(BIRTHDAY, set=FEW, runs=2)
    frame = results.to_frame("runs")
    assert list(frame["seed"]) == [0, 1]
    assert frame["twenty-three/shared"].dtype == float
    assert "control_estimate" in results.to_frame().columns


def test_a_grid_has_a_judgement_for_each_point(store: Path) -> None:
    results = assay.run(BIRTHDAY, set={"n_groups": [100, 200]}, runs=2)
    assert [point.changed for point in results.points] == [{"n_groups": 100}, {"n_groups": 200}]
    assert {row["settings"]["n_groups"] for row in results.to_dicts()} == {100, 200}
    assert {row["n_groups"] for row in results.tables["groups/sizes"]} == {100, 200}


def test_a_page_is_written_where_it_is_asked_for(store: Path, tmp_path: Path) -> None:
    assay.run(BIRTHDAY, set=FEW, runs=2)
    page = assay.report(BIRTHDAY, set=FEW, out=tmp_path / "pages")
    assert page == tmp_path / "pages" / "birthday" / "index.html"
    assert "Twenty-three" in page.read_text()


def test_names_are_refused_as_on_the_command_line(store: Path) -> None:
    with pytest.raises(UsageError, match="unknown study"):
        assay.run("birthdoy")
    with pytest.raises(InputError, match="there is no such file"):
        assay.study("./birthdoy.py")
    with pytest.raises(UsageError, match="must be a mapping"):
        assay.run(BIRTHDAY, set="n_groups=400")
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        assay.rum  # noqa: B018
    with pytest.raises(UsageError, match="two of a kind"):
        assay.compare(1, 2)  # type: ignore[call-overload]


def test_packages_whose_names_are_verbs_can_be_called() -> None:
    import assay.report
    import assay.studies.games

    assert "off-switch-game" in [line.study for line in assay.studies()]
    assert callable(assay.report)
    script = "import assay.studies.games; import assay; print(len(assay.studies()))"  # the package first
    assert int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout) > 5


def test_every_public_name_is_typed_and_leads_somewhere() -> None:
    tree = ast.parse((ROOT / "src" / "assay" / "__init__.py").read_text())
    typed = {alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    typed.pop(None, None)
    assert typed == PLACES
    for name in PLACES:
        assert callable(getattr(assay, name))
        assert name in dir(assay)


def test_checks_and_needs_come_as_records(store: Path) -> None:
    checked = assay.check(BIRTHDAY)
    assert (checked.faults, checked.nulls, checked.passes) == ((), (), True)
    assay.run(BIRTHDAY, runs=2)
    assert [line.need.claim for line in assay.power(BIRTHDAY, pilot=0)] == ["C1"]


def test_two_settings_are_compared_in_pairs_of_seeds(store: Path) -> None:
    first, second = assay.run(BIRTHDAY, set=FEW, runs=5), assay.run(BIRTHDAY, set={"n_groups": 100}, runs=5)
    (found,) = assay.compare(first, second).differences
    name = "twenty-three/shared"
    by_hand = [b[name] - a[name] for a, b in zip(first.to_dicts("runs"), second.to_dicts("runs"), strict=True)]
    low, high = stats.t.interval(0.95, 4, np.mean(by_hand), stats.sem(by_hand))
    assert (found.estimand, found.claims, found.paired, found.n_runs, found.level) == (name, "C1", True, 5, 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((np.mean(by_hand), low, high))
    assert found.second - found.first == pytest.approx(found.estimate)
    arguments = ("n_groups=400", "n_groups=100", "--study", str(BIRTHDAY), "--json")
    (row,) = json.loads(cli("compare", *arguments).stdout)
    assert (row["estimate"], row["low"], row["high"]) == (found.estimate, found.low, found.high)


def test_two_stores_are_compared_and_seeds_that_are_not_shared_are_told(store: Path, tmp_path: Path) -> None:
    mine = assay.run(BIRTHDAY, set=FEW, runs=3, store=tmp_path / "mine")
    theirs = assay.run(BIRTHDAY, set=FEW, runs=3, store=tmp_path / "theirs")
    (same,) = assay.compare(mine, theirs).differences
    assert (same.estimate, same.low, same.high, same.clear, same.says) == (0, 0, 0, False, "equal to the bit")
    others = assay.run(BIRTHDAY, set=FEW, runs=4, seed=50, store=tmp_path / "others")
    comparison = assay.compare(mine, others)
    (apart,) = comparison.differences
    assert (apart.paired, apart.n_runs) == (False, 7)
    name = "twenty-three/shared"
    x, y = ([row[name] for row in side.to_dicts("runs")] for side in (mine, others))
    interval = stats.ttest_ind(y, x, equal_var=False).confidence_interval(0.95)
    assert (apart.low, apart.high) == pytest.approx((interval.low, interval.high))
    assert "No two seeds are shared" in comparison.notes[0]
    done = cli("compare", "mine", "others", "--study", str(BIRTHDAY), "--set", "n_groups=400", "--json")
    assert json.loads(done.stdout) == comparison.to_dicts(), done.stderr


def test_what_cannot_be_compared_is_refused(store: Path) -> None:
    results = assay.run(BIRTHDAY, set=FEW, runs=2)
    with pytest.raises(InputError, match="at least two runs each"):
        assay.compare(results, assay.judge(BIRTHDAY))
    with pytest.raises(UsageError, match="a grid of 2"):
        assay.compare(results, assay.judge(BIRTHDAY, set={"n_groups": [1000, 2000]}))
    with pytest.raises(UsageError, match="must be of one study"):
        assay.compare(results, assay.judge("off-switch-game"))


SCRIPT = """
from pathlib import Path

import assay


def main() -> None:
    results: assay.Results = assay.run("study.py", set={"n": [1, 2]}, runs=3, on="processes")
    for verdict in results.verdicts:
        low: float | None = verdict.low
        reveal_type(verdict.verdict)
    rows = results.to_dicts("runs")
    page: Path = assay.report("study.py")
    comparison = assay.compare(results, assay.judge("study.py"))
    reveal_type(comparison)
    names = [line.study for line in assay.studies()]
    model = assay.load_model("smollm2-135m")
    audit = assay.audit_model(model, "facts.yaml")
    reveal_type(assay.compare(audit, audit))
    print(low, rows, page, names, assay.check("study.py").faults, assay.power("study.py"))
    assay.run("study.py", rums=3)


main()
"""


def test_a_type_checker_accepts_a_users_script_and_finds_its_faults(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.lstrip())
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "script.py")],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    said = done.stdout
    assert "assay.api.comparing.Comparison" in said, said + done.stderr
    assert "assay.audit.compare.Comparison" in said
    assert "Literal['supported'" in said
    errors = [line for line in said.splitlines() if " error: " in line]
    assert [line for line in errors if 'Unexpected keyword argument "rums"' in line] == errors, said


@pytest.mark.parametrize("name", ["verdicts", "own_study", "own_model"])
def test_the_notebooks_run(name: str, tmp_path: Path) -> None:
    if name == "own_model":
        pytest.importorskip("transformers", reason="needs the extra 'lm'")
    environment = os.environ | {"ASSAY_STORE": str(tmp_path / "store"), "ASSAY_CACHE": str(tmp_path / "cache")}
    file = ROOT / "examples" / "notebooks" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
