"""Studies of other packages are found, broken ones are reported and skipped, and nothing heavy is loaded on the way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.claims.study import Study
from assay.core.errors import InputError, UsageError
from assay.runner.discovery import Address, Catalogue, address_of, find, modules_of, studies, wings

LIST = """
import json, sys
from assay.runner.discovery import studies
found = studies()
heavy = sorted({"torch", "matplotlib", "cvxpy", "transformers", "ray", "scipy"} & set(sys.modules))
print(json.dumps([list(found.studies), dict(found.origins), dict(found.broken), heavy]))
"""


def test_a_package_that_is_installed_appears(environ: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", LIST], env=environ, capture_output=True, text=True, timeout=120, check=True)
    found, origins, broken, heavy = json.loads(done.stdout)
    assert {"coins", "slopes"} <= set(found)
    assert found == sorted(found)
    assert origins["coins"] == "coins-study"
    assert heavy == []
    assert broken["gone"].startswith("broken-studies: ModuleNotFoundError")
    assert broken["leaves"] == "broken-studies: SystemExit: 3"
    assert "found as 'misnamed', its slug is 'coins'" in broken["misnamed"]
    assert "must be an assay.claims.study.Study; it is a module" in broken["empty"]
    assert broken["twice"] == "declared by broken-studies and coins-study; uninstall one"


def test_find_names_the_nearest_and_says_what_is_broken(installed: Path) -> None:
    assert isinstance(find("coins"), Study)
    with pytest.raises(UsageError, match=r"unknown study 'coinz'; did you mean 'coins'\?"):
        find("coinz")
    with pytest.raises(InputError, match="the study 'leaves' must load; broken-studies: SystemExit"):
        find("leaves")
    with pytest.raises(UsageError, match="unknown study"):
        find("\x1b[31m")


def test_studies_of_the_tree_are_named_like_their_files() -> None:
    catalogue = studies()
    for slug, origin in catalogue.origins.items():
        if origin == "assay":
            wing, name = address_of(catalogue.studies[slug]).module.removeprefix("assay.studies.").split(".")
            assert wing in wings()
            assert name == slug.replace("-", "_")


def test_a_slug_in_two_wings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import assay.studies.games
    import assay.studies.learners

    for wing, package in (("games", assay.studies.games), ("learners", assay.studies.learners)):
        (tmp_path / wing).mkdir()
        (tmp_path / wing / "twin_study.py").write_text("X = 1\n")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / wing)])
    studies.cache_clear()
    try:
        assert "games and learners" in studies().broken["twin-study"]
        with pytest.raises(InputError, match="games and learners"):
            find("twin-study")
    finally:
        monkeypatch.undo()
        studies.cache_clear()


def test_a_study_of_the_tree_without_study_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import assay.studies.games

    (tmp_path / "no_study_here.py").write_text("X = 1\n")
    (tmp_path / "not_python_at_all.py").write_text("def (\n")
    (tmp_path / "_private.py").write_text("raise RuntimeError\n")
    monkeypatch.setattr(assay.studies.games, "__path__", [*assay.studies.games.__path__, str(tmp_path)])
    studies.cache_clear()
    try:
        broken = studies().broken
        assert "must define STUDY" in broken["no-study-here"]
        assert "SyntaxError" in broken["not-python-at-all"]
        assert not [name for name in broken if "private" in name]
        with pytest.raises(InputError, match="SyntaxError"):
            find("not-python-at-all")
    finally:
        monkeypatch.undo()
        studies.cache_clear()


def test_a_study_of_the_tree_without_claims_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import assay.studies.games

    (tmp_path / "no_claims_here").mkdir()
    (tmp_path / "no_claims_here" / "__init__.py").write_text("raise RuntimeError('not even loaded')\n")
    monkeypatch.setattr(assay.studies.games, "__path__", [*assay.studies.games.__path__, str(tmp_path)])
    studies.cache_clear()
    try:
        assert "must declare its claims and estimands in claims.py" in studies().broken["no-claims-here"]
    finally:
        monkeypatch.undo()
        studies.cache_clear()


def test_the_address_of_a_study_leads_back_to_it(coins: Study) -> None:
    address = address_of(coins)
    assert address == Address("coins_study.coins", "STUDY")
    assert address.load() is coins
    assert modules_of(coins.experiments[0]) == ["coins_study.coins"]


def test_an_address_must_hold_a_study() -> None:
    with pytest.raises(InputError, match="must be a Study; it is a type"):
        Address("assay.claims.study", "Study").load()


def test_a_study_that_no_module_holds_has_no_address(coins: Study) -> None:
    with pytest.raises(InputError, match="Run it with --on local"):
        address_of(Study("coins", coins.title, coins.paper, coins.scale, coins.experiments))


def test_the_listing_is_kept_until_a_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import assay
    from assay.runner import listing as lines
    from assay.runner.listing import listing

    source, looked = tmp_path / "source", list[int]()
    source.mkdir()
    (source / "a.py").write_text("A = 1\n")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(assay, "__path__", [str(source)])
    monkeypatch.setattr(lines, "has_plugins", lambda: False)
    tree = Catalogue({slug: study for slug, study in studies().studies.items() if studies().origins[slug] == "assay"}, {}, {})
    monkeypatch.setattr(lines, "studies", lambda: looked.append(1) or tree)

    first = listing()
    assert [line.study for line in first[0]] == list(tree.studies)
    assert listing() == first
    assert len(looked) == 1
    (source / "a.py").write_text("A = 12\n")
    assert listing() == first
    assert len(looked) == 2
    kept = tmp_path / "cache" / "studies.json"
    for damaged in ("", "[1]", '{"key": 3}', kept.read_text()[:-3], kept.read_text().replace('"claims"', '"n"')):
        kept.write_text(damaged)
        assert listing() == first, damaged
    assert len(looked) == 7
    kept.unlink()
    kept.mkdir()  # nothing can be written there
    assert listing() == first == listing()
    monkeypatch.setattr(lines, "has_plugins", lambda: True)
    assert listing() == first
    assert len(looked) == 10
