"""A study in a file of the user's own runs where it lies; whatever is wrong with the file is one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.core.errors import InputError, UsageError
from assay.runner.discovery import find
from assay.runner.new_study import new_study, slug_of
from assay.runner.study_files import called, is_path, study_at

ROOT = Path(__file__).parents[2]
BIRTHDAY = ROOT / "examples" / "birthday.py"


def assay(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASSAY_STORE": str(cwd / "store"), "ASSAY_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_the_birthday_problem_runs_from_its_file(executor: str, tmp_path: Path) -> None:
    done = assay("run", str(BIRTHDAY), "--on", executor, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    claim, exact = json.loads(done.stdout)
    assert (claim["verdict"], exact["verdict"]) == ("supported", "holds")
    assert claim["low"] > 0.5


def test_every_verb_about_a_study_takes_a_file(tmp_path: Path) -> None:
    made = assay("new", "left-or-right", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [f"assay {verb} left_or_right.py" for verb in ("check", "run", "report")]
    for verb, *more in (
        ("show",),
        ("check",),
        ("run", "--preset", "quick"),
        ("run",),
        ("check", "--nulls"),
        ("judge",),
        ("power", "--pilot", "0"),
        ("report",),
    ):
        done = assay(verb, "left_or_right.py", *more, cwd=tmp_path)
        assert done.returncode == 0, (verb, done.stderr)
    judged = json.loads(assay("judge", "left_or_right.py", "--json", cwd=tmp_path).stdout)
    assert [row["verdict"] for row in judged] == ["supported"]
    assert (tmp_path / "reports" / "left-or-right" / "index.html").is_file()
    again = assay("new", "left-or-right", cwd=tmp_path)
    assert (again.returncode, "does not exist yet" in again.stderr) == (4, True)


def test_what_a_study_prints_never_reaches_json(tmp_path: Path) -> None:
    prints = '    print("words of a measure")\n    os.write(1, b"raw words")\n'
    text = new_study("loud").replace('    truth = seeds("truth")', f'{prints}    truth = seeds("truth")')
    assert prints in text
    (tmp_path / "loud.py").write_text(f"import os\nprint('words at import')\nos.write(1, b'raw words')\n{text}")
    for verb, *more in (("show",), ("run", "--preset", "quick"), ("run", "--on", "processes"), ("check",), ("judge",)):
        done = assay(verb, "loud.py", *more, "--json", cwd=tmp_path)
        assert done.returncode == 0, (verb, done.stderr)
        assert json.loads(done.stdout)
        assert "words at import" in done.stderr
        assert ("words of a measure" in done.stderr) == (verb in ("run", "check"))


def test_what_claims_and_figures_ask_for_in_vain_is_said_with_the_first_run(tmp_path: Path) -> None:
    text = new_study("spelt").replace('"last/error_ratio": float', '"lst/error_ratio": float').replace('y="error"', 'y="eror"')
    (tmp_path / "spelt.py").write_text(text)
    for executor in ("local", "processes"):
        done = assay("run", "spelt.py", "--on", executor, "--fresh", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if "in its first run" in line]
        assert said == [
            "spelt/draws, in its first run: claim 'C1' needs 'last/error_ratio', which measure does not give; did you mean "
            "'lst/error_ratio'?",
            "spelt/draws, in its first run: figure 'error': the column 'eror' is missing; did you mean 'error'?",
        ]
    changed = assay("run", "spelt.py", "--set", "n_draws=5", cwd=tmp_path)
    assert "in its first run" not in changed.stderr


def test_rows_of_a_study_in_a_file_are_not_taken_for_stale(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(new_study("mine"))
    assay("run", "mine.py", "--preset", "quick", cwd=tmp_path)
    done = assay("store", "rm", "--stale", "--yes", cwd=tmp_path)
    assert "2 runs of mine, which is not installed, stay" in done.stderr
    assert [row["runs"] for row in json.loads(assay("store", "ls", "--json", cwd=tmp_path).stdout)] == [2]


def test_what_new_writes_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "left_or_right.py"
    file.write_text(new_study("left-or-right"))
    for command in (
        ("ruff", "check", "--config", str(ROOT / "pyproject.toml")),
        ("ruff", "format", "--check", "--line-length", "128"),
        ("mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")),
    ):
        environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-m", *command, str(file)], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "slug"), [("Left_or right", "left-or-right"), ("a.py", "a"), ("x2-y", "x2-y")])
def test_a_new_study_has_a_slug_for_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", ["", "2x", "a/b", "../a", "class", "é", "a--b", "a" * 61, "off-switch-game"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"a study is named by|a name of its own"):
        slug_of(name)


def test_a_path_is_told_from_a_slug() -> None:
    assert [is_path(text) for text in ("a.py", "./a", "a/b", "/a", "a", "off-switch-game")] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nothing_here.py", "X = 1\n", "must define STUDY.*no STUDY"),
        ("of_a_kind.py", "STUDY = 3\n", "STUDY is a int"),
        ("not_python.py", "X = 1\ndef (\n", r"SyntaxError.*\(line 2\)"),
        ("raises_here.py", "X = 1\n\nraise ValueError('odd\\x1b[31m')\n", r"ValueError: odd.*\(line 3\)"),
        ("exits_here.py", "import sys\nsys.exit(3)\n", r"SystemExit: 3 \(line 2\)"),
        ("lacks_it.py", "import no_such_module_at_all\n", "ModuleNotFoundError"),
        ("two words.py", "X = 1\n", "letters, digits and underscores"),
        ("random.py", "X = 1\n", "no other module has"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    name: str, text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        study_at(tmp_path / name)


def test_a_place_without_a_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("")
    for place, says in (("folder", "it is"), ("text.txt", "it is neither"), ("gone.py", "no such file"), ("a\0b.py", "")):
        with pytest.raises(InputError, match="must be a Python file or a folder"):
            study_at(tmp_path / place)
        assert says is not None


def test_a_slug_of_an_installed_study_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "borrowed_name.py").write_text(new_study("off-switch-game"))
    with pytest.raises(InputError, match="'off-switch-game' is installed"):
        find(str(tmp_path / "borrowed_name.py"))


def test_a_folder_is_a_study_and_is_called_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'lm'")
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = ROOT / "examples" / "reversal_curse"
    assert study_at(folder).slug == "reversal-curse"
    assert called("reversal-curse") == str(folder)
    assert called("off-switch-game") == "off-switch-game"
    tree = ROOT / "src" / "assay" / "studies" / "games" / "off_switch_game"
    assert find(str(tree)) is find("off-switch-game")
