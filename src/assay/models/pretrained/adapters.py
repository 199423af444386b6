"""What a folder with a PEFT adapter says about itself, checked before anything is wrapped: its kind, its base, its shapes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained import cache
from assay.models.pretrained.library import optional
from assay.models.pretrained.registry import ENTRIES, entry_of_hub_id
from assay.models.sites import unwrapped

__all__ = ["CONFIG", "check_kind", "check_loaded", "is_adapter", "names_of", "note_on_base", "resized", "shapes_of"]

CONFIG = "adapter_config.json"
# Learned vectors stand before the prompt, or in the attention of every layer: no text of a file then stands where it stood.
LEARNED_PROMPTS = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "ADAPTION_PROMPT")


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter and not a whole model."""
    return (folder / CONFIG).is_file()


def check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """Hold that an adapter changes the weights of a causal language model.

    Raises:
        InputError: it is a learned prompt, or made for another task.
    """
    kind, task = str(config.get("peft_type") or ""), config.get("task_type")
    if kind in LEARNED_PROMPTS or "num_virtual_tokens" in config:
        raise InputError(
            f"an adapter must change weights; {folder} is {visible(kind)}, a prompt of learned vectors, which no text can be "
            f"scored behind as it stands. Audit an adapter that changes weights (LoRA and its kin), or a tuned model"
        )
    if task not in (None, "CAUSAL_LM"):
        raise InputError(
            f"an adapter must be made for a causal language model (task_type CAUSAL_LM); {folder} is made for "
            f"'{visible(str(task))}'. Audit the one that was trained to go on with texts"
        )


def shapes_of(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in weight files whose headers were checked."""
    safetensors = optional("safetensors", "a low-rank adapter")
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        with safetensors.safe_open(file, "pt") as opened:
            found |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 - no mapping
    return found


def resized(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give the model as many rows of its vocabulary as the adapter was trained with, where the adapter's weights say so."""
    rows = _vocabulary(unwrapped(model), shapes)
    if rows is not None and rows != int(model.get_input_embeddings().weight.shape[0]):
        model.resize_token_embeddings(rows, mean_resizing=False)


def _vocabulary(whole: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    ends = {name: module for name, module in whole.named_modules() if name}
    embedding, read_out = whole.get_input_embeddings(), whole.get_output_embeddings()
    looked_up = next((name for name, module in ends.items() if module is embedding), "")
    read = next((name for name, module in ends.items() if module is read_out), "")
    for key, shape in shapes.items():
        of_embedding, of_read_out = f".{looked_up}." in f".{key}", bool(read) and f".{read}." in f".{key}"
        if (of_embedding or of_read_out) and len(shape) == 2:
            if "lora_" not in key and key.endswith("weight"):
                return shape[0]
            if of_embedding and "lora_embedding_A" in key:
                return shape[1]
            if of_read_out and "lora_B" in key:
                return shape[0]
    return None


def check_loaded(folder: Path, model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Hold that every weight of the adapter was found in its file, and every weight of the file was used.

    Raises:
        InputError: with the names.
    """
    said = model.load_adapter(str(folder), "default", is_trainable=False, local_files_only=True)
    # A trained embedding may stand in the file twice, under its plain name as well.
    twice = {name for name in said.unexpected_keys if name.replace(".modules_to_save.", ".") in shapes.keys() - {name}}
    missing, unused = sorted(said.missing_keys), sorted(set(said.unexpected_keys) - twice)
    for names, fault, why in (
        (missing, "must find all its weights", "Was it saved whole, by the PEFT that trained it?"),
        (unused, "must be used with all its weights", "Is this the base it was trained on, and the adapter's own config?"),
    ):
        if names:
            raise InputError(
                f"an adapter {fault}; of {folder} {len(names)} {'is' if len(names) == 1 else 'are'} not: "
                f"{_listed(names)}. {why}"
            )


def names_of(base: str | Path, folder: Path | None) -> set[str]:
    """Under which names a model may be known, in lower case: as it was given, its folder, its source, its hub ids."""
    names = {str(base)}
    if folder is not None:
        names |= {str(folder), str(folder.resolve())}
    found = cache.find(str(base))
    for model in cache.listed():
        if (found is not None and model.name == found.name) or (folder is not None and model.folder == folder):
            names |= {model.name, model.source}
    for name in list(names):
        entry = ENTRIES.get(name) or entry_of_hub_id(name)
        if entry is not None:
            names |= {entry.name, *entry.hub_ids}
    return {name.casefold() for name in names}


def note_on_base(folder: Path, config: Mapping[str, Any], base: str | Path, base_folder: Path | None) -> str:
    """A sentence where an adapter is loaded around another base than its configuration names; empty where it is the same.

    A path of another machine is the same model if its last part is.
    """
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        return ""
    known = names_of(base, base_folder)
    if named.casefold() in known or _last(named) in {_last(name) for name in known}:
        return ""
    return (
        f"The adapter in {folder} says that it was trained on '{visible(named)}'; it is loaded around '{visible(str(base))}', "
        f"as asked. If these are not the same weights, what is measured is neither."
    )


def _last(name: str) -> str:
    """The last part of a path or hub id, whichever system wrote it, without what stands for how weights are stored."""
    last = PurePosixPath(PureWindowsPath(name).as_posix()).name.casefold()
    return re.sub(r"-(bnb-4bit|unsloth-bnb-4bit|gguf)$", "", last)


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{visible(name[:160])}'" for name in names[:most]) + more
