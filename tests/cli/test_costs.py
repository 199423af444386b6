"""Costs are said before they are spent; a project's store is made by one command; a report ends in plain words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.claims.study import Study
from assay.cli.main import app
from assay.core.errors import UsageError
from assay.core.settings import fields_of
from assay.runner import discovery
from assay.runner.discovery import studies
from assay.runner.listing import listing
from assay.studies.games.off_switch_game.settings import GameSettings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of work: no store is named, and the user's own folders are elsewhere."""
    for name, place in (("HOME", "home"), ("XDG_DATA_HOME", "data"), ("ASSAY_CACHE", "cache")):
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.delenv("ASSAY_STORE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def said(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_every_study_says_what_it_costs(folder: Path) -> None:
    lines, _ = listing()
    assert {line.study for line in lines} >= set(studies().studies)
    assert all(line.cost.endswith((" s", " min")) for line in lines)
    table, _ = said("list")
    assert "cost" in table.splitlines()[0]


def test_a_dry_run_says_runs_time_and_memory_and_computes_nothing(folder: Path) -> None:
    table, notes = said("run", "out-of-context-reasoning", "--dry-run")
    assert "symbolic" in table
    assert "language-model is left out: " in notes  # its model is not in this cache
    assert "nothing was run" in notes
    rows = json.loads(said("run", "off-switch-game", "--dry-run", "--runs", "2", "--json")[0])
    assert [(row["experiment"], row["stored"], row["to_do"]) for row in rows] == [("games", 0, 2), ("learners", 0, 2)]
    assert not (folder / "data").exists()


def test_a_dry_run_until_decided_says_the_most_that_it_can_take(folder: Path) -> None:
    most = ("run", "off-switch-game", "--until-decided", "--max-runs", "64", "--dry-run")
    rows = json.loads(said(*most, "--json")[0])
    assert [row["to_do"] for row in rows] == [64, 64]
    assert "in all at most about " in said(*most)[1]
    for wrong, says in ((most[:3], "needs --max-runs"), (most[:2] + most[3:], "give both")):
        with pytest.raises(UsageError, match=says):
            CliRunner().invoke(app, [*wrong, "--dry-run"], catch_exceptions=False)


def test_an_empty_store_is_said_with_what_fills_it(folder: Path) -> None:
    _, notes = said("judge", "off-switch-game")
    assert "holds no run of off-switch-game at these settings; 'assay run off-switch-game' computes them" in notes
    assert "'assay store import reference' brings" in notes
    assert "not asked with these settings" not in notes
    assert "holds no run of off-switch-game" in said("judge", "off-switch-game", "--claim", "E1")[1]
    assert "nothing yet: no run of off-switch-game at these settings is stored in " in said("report", "off-switch-game")[1]
    assert "no audit is kept in " in said("report", "--audit", "list")[1]


def test_a_project_s_store_is_made_found_below_and_left_as_it_is(folder: Path) -> None:
    _, notes = said("store", "init")
    assert str(folder / "work" / ".assay") in notes
    said("run", "off-switch-game", "-e", "games", "--preset", "quick", "--quiet")
    said("store", "init")
    table, _ = said("store", "ls")
    assert "off-switch-game" in table
    assert not (folder / "data").exists()


def test_settings_are_told_by_name_and_value_never_as_a_digest(folder: Path) -> None:
    study = studies().studies["off-switch-game"]
    _, notes = said("run", "off-switch-game", "-e", "games", "--preset", "quick", "--set", "n_games=64,128")
    assert "off-switch-game/games at n_games=64:" in notes
    assert "off-switch-game/games at n_games=128:" in notes
    table, _ = said("store", "ls", "off-switch-game")
    assert "n_games=64" in table
    _digests_absent(study, table + notes)


def _digests_absent(study: Study, text: str) -> None:
    from assay.runner.plan import Selection

    for point in Selection(study, ["games"], "quick", ["n_games=64,128"]).points:
        assert all(cell.settings_digest[:8] not in text for cell in point)


def test_limits_are_said_in_words() -> None:
    limits = {info.name: info.limits for info in fields_of(GameSettings())}
    assert any(text.startswith("at least ") for text in limits.values())
    assert not any("(" in text for text in limits.values())


def test_a_report_ends_with_what_was_seen_and_three_things_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = studies().studies["off-switch-game"]
    monkeypatch.setattr(discovery, "studies", lambda: discovery.Catalogue({study.slug: study}, {}, {}))
    said("store", "init")
    said("run", study.slug, "-e", "games", "--runs", "2", "--quiet", "--set", "n_games=256", "--set", "n_talks=256")
    stdout, notes = said("report", study.slug, "--set", "games.n_games=256", "--set", "games.n_talks=256")
    assert stdout.strip() == str(folder / "work" / "reports" / "index.html")
    lines = notes.splitlines()
    assert "games, 2 of 32 runs: shows, does not decide" in lines
    assert any("expected payoff: " in line and "A always waits 1" in line for line in lines)
    assert f"The page: {folder / 'work' / 'reports' / study.slug / 'index.html'}" in lines
    assert [line[:4] for line in lines[-3:]] == ["  1.", "  2.", "  3."]
    assert "decide games (about " in lines[-3]
    assert "--set n_games=256" in lines[-3]
    assert "assay store import reference" in lines[-2]
    assert "void" not in notes
