"""An expensive step is built once, whole or not at all, whoever asks and however it ends."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from assay.core.errors import SettingsError, StoreError
from assay.core.settings import canonical_json
from assay.store.memo import Memos, memoised, memos_in
from assay.store.store import Store, StoredRun


def build_text(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "text.txt").write_text("built")


def test_built_once_and_found_again(tmp_path: Path) -> None:
    memos = Memos(tmp_path)
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        build_text(folder)

    first = memos.get("base", {"seed": 0}, build)
    assert (first / "inner" / "text.txt").read_text() == "built"
    assert memos.get("base", {"seed": 0}, build) == first
    assert len(calls) == 1
    assert memos.get("base", {"seed": 1}, build) != first
    assert memos.get("other", {"seed": 0}, build) != first
    assert len(calls) == 3


def test_a_value_is_made_once_and_belongs_to_the_code_that_makes_it(tmp_path: Path) -> None:
    memos, made = Memos(tmp_path), []

    def make() -> object:
        made.append(1)
        return {"pairs": [(1, 2.5)], "none": float("nan")}

    for _ in range(2):
        found = memos.json("numbers", {"seed": 0}, make)
        assert found["pairs"] == [[1, 2.5]]
        assert found["none"] != found["none"]
    memos.json("numbers", {"seed": 1}, make)
    assert len(made) == 2
    elsewhere = partial(canonical_json, {"pairs": []})  # the same name and key, made by another module
    assert memos.json("numbers", {"seed": 0}, elsewhere) == '{"pairs":[]}'


def test_listed_checked_and_deleted_through_the_store(store: Store) -> None:
    path = store.memo("base", {"seed": 0, "rate": 0.5}, build_text)
    (memo,) = store.memos()
    assert (memo.name, memo.key, memo.path, memo.size) == ("base", {"seed": 0, "rate": 0.5}, path, 5)
    assert not store.verify()
    (path / "inner" / "text.txt").write_text("BUILT")
    (problem,) = store.verify()
    assert problem.kind == "memo"
    (path / "memo.json").write_text("{")
    assert store.verify()[0].kind == "memo"
    store.remove_memo(store.memos()[0])
    assert not path.exists()
    assert store.memos() == []


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    memos = Memos(tmp_path)

    def broken(folder: Path) -> None:
        build_text(folder)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        memos.get("base", {}, broken)
    assert memos.listed() == []
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert memos.get("base", {}, build_text).is_dir()


@pytest.mark.parametrize("name", ["", "Base", "a/b", "..", "a" * 81, "a\x00"])
def test_a_name_must_be_a_slug(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="slug"):
        Memos(tmp_path).get(name, {}, build_text)


def test_a_key_must_have_a_json_form(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="finite"):
        Memos(tmp_path).get("base", {"rate": float("nan")}, build_text)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="must be writable"):
        Memos(tmp_path / "file").get("base", {}, build_text)


def test_a_study_reaches_the_store_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "default"))
    with memos_in(tmp_path / "command" / "memos"):
        assert memoised("base", {}, build_text).is_relative_to(tmp_path / "command")
    assert memoised("base", {}, build_text).is_relative_to(tmp_path / "default" / "memos")


def slow_build(folder: Path) -> None:
    time.sleep(0.5)
    (folder / "pid").write_text(str(os.getpid()))
    with (folder.parent / "log").open("a") as log:
        log.write("built\n")


def ask(folder: str) -> None:
    Memos(Path(folder)).get("base", {}, slow_build)


def test_of_several_processes_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    processes = [context.Process(target=ask, args=(str(tmp_path),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


KILLED = """
import os, sys, pathlib
from assay.store.memo import Memos
def build(folder):
    (folder / "half").write_text("x")
    if len(sys.argv) > 2:
        os._exit(9)
Memos(pathlib.Path(sys.argv[1])).get("base", {}, build)
"""


def test_a_builder_that_is_killed_is_replaced(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    folder = tmp_path / "memos"
    killed = subprocess.run([sys.executable, str(script), str(folder), "die"], timeout=60)
    assert killed.returncode == 9
    assert [path.name for path in folder.glob("*.part/*")] == ["half"]
    assert Memos(folder).listed() == []
    assert [path.name for path in folder.iterdir() if path.suffix == ".part"]
    subprocess.run([sys.executable, str(script), str(folder)], timeout=60, check=True)
    (memo,) = Memos(folder).listed()
    assert not Memos(folder).faults(memo)
    assert not list(folder.glob("*.part"))


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    path = Memos(tmp_path).get("base", {}, build_text)
    assert list(json.loads((path / "memo.json").read_text())["files"]) == ["inner/text.txt"]


def test_removing_rows_leaves_memos(store: Store, make_run: Callable[..., StoredRun]) -> None:
    store.memo("base", {}, build_text)
    store.add(make_run(1), {})
    store.remove([make_run(1).run_id])
    assert len(store.memos()) == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("value.json", lambda text: text.replace("2.5", "2.4")),  # a digit, with nothing else to be noticed by
        ("value.json", lambda text: text[:-3]),
        ("value.json", lambda text: ""),
        ("value.json", lambda text: "[1]"),
        ("value.json", lambda text: None),
        ("memo.json", lambda text: text[:-9]),
        ("memo.json", lambda text: "[1]"),
        ("memo.json", lambda text: '{"files": [1]}'),
        ("memo.json", lambda text: '{"files": {"value.json": 3}}'),
        ("memo.json", lambda text: '{"files": {"value.json": [1, "a", "b"]}}'),
        ("memo.json", lambda text: None),
    ],
)
def test_a_damaged_step_is_made_again_and_said(
    name: str, damage: Callable[[str], str | None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memos, made = Memos(tmp_path), []

    def make() -> object:
        made.append(1)
        return [1.5, 2.5]

    assert memos.json("numbers", {}, make) == [1.5, 2.5]
    (path,) = tmp_path.glob("numbers-*/")
    text = damage((path / name).read_text())
    if text is None:
        (path / name).unlink()
    else:
        (path / name).write_text(text)
    (memo,) = [*memos.listed(), None][:1]
    assert memo is None or memos.faults(memo)
    assert memos.json("numbers", {}, make) == [1.5, 2.5]
    assert memos.json("numbers", {}, make) == [1.5, 2.5]
    assert len(made) == 2
    assert "'numbers' is built again" in caplog.text
    (memo,) = memos.listed()
    assert not memos.faults(memo)


def test_files_are_hashed_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.store import memo

    memos, hashed = Memos(tmp_path), []
    real = memo._hash
    monkeypatch.setattr(memo, "_hash", lambda file: hashed.append(file.name) or real(file))
    for _ in range(3):
        memos.get("base", {}, build_text)
    assert hashed == ["text.txt", "text.txt"]  # when it was built, and when it was first used
