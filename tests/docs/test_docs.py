"""What we wrote is true: the pages' examples run and the generated parts are current."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")])


def assay(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "", "HOME": str(cwd), "PYTHONPATH": str(path) if path else "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


def test_the_studies_of_adding_a_study_run_by_touching_only_their_own_files(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-study.md").read_text()
    (source,) = re.findall(r'```python title="coin_weighing.py"\n(.*?)```', page, re.S)
    (tmp_path / "coin_weighing.py").write_text(source)
    metadata = tmp_path / "coins-1.0.dist-info"  # what installing a package with that one file leaves behind
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: coins\nVersion: 1.0\n")
    studies = "coin-weighing = coin_weighing:STUDY\nreversal-curse = reversal_curse:STUDY\n"
    (metadata / "entry_points.txt").write_text(f"[assay.studies]\n{studies}")
    shutil.copytree(ROOT / "examples" / "reversal_curse", tmp_path / "reversal_curse")
    commands = re.findall(r"^(assay [^\n#]*)", page, re.M)
    assert len(commands) >= 5
    for command in commands:
        done = assay(*command.split()[1:], "--store", str(tmp_path / "store"), cwd=tmp_path, path=tmp_path)
        assert done.returncode == 0, done.stderr
    judged = assay("judge", "coin-weighing", "--json", "--store", str(tmp_path / "store"), cwd=tmp_path, path=tmp_path)
    assert judged.stdout.count('"supported"') == 2, judged.stdout
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "E,F,B", tmp_path / "coin_weighing.py"], capture_output=True
    )
    assert ruff.returncode == 0, ruff.stdout.decode()


def test_the_language_model_study_of_the_page_takes_at_most_150_lines() -> None:
    files = sorted((ROOT / "examples" / "reversal_curse").glob("*.py"))
    assert [file.name for file in files] == ["__init__.py", "claims.py", "language_model.py"]
    assert sum(len(file.read_text().splitlines()) for file in files) <= 150


def test_the_tiny_transformer_study_of_the_cookbook_runs_and_takes_at_most_100_lines(tmp_path: Path) -> None:
    page, file = (ROOT / "docs" / "cookbook.md").read_text(), ROOT / "examples" / "induction.py"
    (source,) = re.findall(r'```python title="induction.py"\n(.*?)```', page, re.S)
    assert source == file.read_text()
    assert len(source.splitlines()) <= 100
    for command in ("check", "run --preset quick", "run --dry-run", "report --preset quick"):
        verb, *options = command.split()
        done = assay(verb, str(file), *options, "--store", str(tmp_path / "store"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "induction" / "index.html").is_file()
    (stored,) = re.findall(r"```python\n(import assay.*?)```", page, re.S)
    environment = {**os.environ, "ASSAY_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", f"{stored}\nprint(len(runs), len({{row['arm'] for row in curves}}))"]
    told = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=240)
    assert told.stdout == "2 2\n", told.stderr


def test_the_command_line_page_is_what_the_commands_say() -> None:
    from assay.cli.main import app
    from assay.cli.reference import reference

    assert (ROOT / "docs" / "cli.md").read_text() == reference(typer.main.get_command(app)), (
        "run: assay docs-reference > docs/cli.md"
    )


def test_the_page_of_the_rooms_is_what_the_sources_say() -> None:
    from assay.cli.rooms import rooms_reference

    page = rooms_reference()  # `make docs` writes it
    assert "- `mean(values, *, level=0.95)`: The mean and its Student t interval" in page
    assert "None:" not in page


def test_every_public_command_has_help_and_two_examples() -> None:
    from assay.cli.main import app
    from assay.cli.reference import reference

    for section in reference(typer.main.get_command(app)).split("\n## ")[1:]:
        name = section.splitlines()[0]
        if "COMMAND [ARGS]" in section:
            continue
        assert section.count("  assay ") >= 2, f"{name}: its help needs two runnable examples"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)  # brackets in code are no links
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_the_pages_exist(page: Path) -> None:
    import typer

    from assay.cli.main import app

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^(?:\.venv/bin/)?assay ([a-z-]+)", page.read_text(), re.M):
        assert line in known, f"{page.name}: assay {line}"
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"


def test_the_readme_fits_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 70


def test_the_log_has_a_page_a_study() -> None:
    """Each page is called by a study's slug (or is of the platform), is listed, and stands in the navigation."""
    from assay.runner.discovery import studies

    others = {"engine", "platform", "audit"}
    pages = {page.stem for page in (ROOT / "docs" / "log").glob("*.md")} - {"index"}
    assert pages - others <= set(studies().studies)
    index, navigation = (ROOT / "docs" / "log" / "index.md").read_text(), (ROOT / "zensical.toml").read_text()
    for page in pages:
        assert f"({page}.md)" in index, f"docs/log/index.md must list {page}.md"
        assert f'"log/{page}.md"' in navigation, f"zensical.toml must have log/{page}.md"
