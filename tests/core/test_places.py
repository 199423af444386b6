"""A project's own store is found from every folder below it, as `.git` is."""

from pathlib import Path

import pytest

from assay.core.places import default_folder, local_folder
from assay.store.store import Store


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ASSAY_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    below = tmp_path / "project" / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "project"


def test_the_nearest_store_above_is_the_default(project: Path) -> None:
    assert default_folder() == project.parent / "data" / "assay"
    Store.open(project / ".assay").close()
    assert default_folder() == local_folder() == project / ".assay"
    Store.open(project / "a" / ".assay").close()
    assert default_folder() == project / "a" / ".assay"


def test_a_folder_of_that_name_that_is_no_store_is_passed_over(project: Path) -> None:
    Store.open(project / ".assay").close()
    (project / "a" / ".assay").mkdir()
    assert default_folder() == project / ".assay"


def test_a_named_store_comes_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(project / ".assay").close()
    monkeypatch.setenv("ASSAY_STORE", str(project / "named"))
    assert default_folder() == project / "named"


def test_a_removed_working_folder_has_no_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError("gone")

    monkeypatch.setattr(Path, "cwd", gone)
    assert local_folder() is None
