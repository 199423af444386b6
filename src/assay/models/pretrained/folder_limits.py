"""A model folder that a user brings, looked at before anything is built: declared sizes, the tokenizer, an adapter's numbers.

What a configuration declares decides loops and allocations, so every size is held against a limit and against what the weights'
header really has. A tokenizer file is a program for its reader, so it is read, and tried on a sentence, in a limited child.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained import adapters, trying_tokenizer
from assay.models.pretrained.limited import ChildRefused, check_headers, run_limited

__all__ = ["check_model_folder"]

MAX_JSON = 2**20  # bytes of a configuration
# The largest number that each kind of size may be; several times the largest model that is known.
SIZES = {
    1_024: ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    4_096: ("num_attention_heads", "n_head", "n_heads", "num_key_value_heads", "num_local_experts", "num_experts"),
    2**17: ("hidden_size", "n_embd", "d_model", "dim", "head_dim", "word_embed_proj_dim"),
    2**20: ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size"),
    2**23: ("vocab_size",),
    2**30: ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "sliding_window"),
}
LAYERS, HIDDEN, INNER = SIZES[1_024], SIZES[2**17][:4], SIZES[2**20]
MORE_THAN_HELD = 16  # how many times the numbers in the weights a declaration may ask for: packed weights hold eight in one
MAX_RANK = 2**16
MAX_PATTERN = 2_000  # characters


def check_model_folder(folder: Path) -> None:
    """Nothing; a folder whose declarations break a limit is refused in one line.

    Raises:
        InputError: what must hold, what was got, and in which file.
    """
    file = folder / adapters.CONFIG
    config = folder / "config.json"
    if file.is_file():
        _check_adapter(file, _object(file))
    if config.is_file():
        declared = _object(config)
        for part in (declared, declared.get("text_config")):
            if isinstance(part, Mapping):
                _check_sizes(config, part)
        inner = declared.get("text_config")
        _check_against_weights(folder, config, {**declared, **(inner if isinstance(inner, Mapping) else {})})
    _check_tokenizer(folder)


def _check_sizes(file: Path, config: Mapping[str, Any]) -> None:
    for most, names in SIZES.items():
        for name in names:
            value = config.get(name)
            if value is None or isinstance(value, list):  # some families list a size for each layer
                continue
            if not _is_size(value) or value > most:
                raise InputError(
                    f"{file}: {name} must be a whole number from 1 to {most}; got {visible(repr(value)[:60])}. The model is "
                    "not built"
                )


def _check_against_weights(folder: Path, file: Path, config: Mapping[str, Any]) -> None:
    """Hold that the weights have as much as the configuration says they have."""
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        return
    headers = check_headers(weights)
    n_tensors, n_numbers = sum(one.n_tensors for one in headers), sum(one.n_parameters for one in headers)
    layers, hidden, inner, rows = (_declared(config, names) for names in (LAYERS, HIDDEN, INNER, SIZES[2**23]))
    declared = hidden * (rows + layers * max(inner, 1))
    if layers > n_tensors:
        raise InputError(f"{file}: it declares {layers} layers; the weights hold {n_tensors} tensors in all. Is it theirs?")
    if declared > MORE_THAN_HELD * n_numbers:
        raise InputError(
            f"{file}: it declares at least {declared:,} weights; the files hold {n_numbers:,}. Is it the configuration of this "
            "model?"
        )


def _declared(config: Mapping[str, Any], names: Sequence[str]) -> int:
    """The size that a configuration gives under one of these names; 0 where it gives none."""
    return next((int(config[name]) for name in names if _is_size(config.get(name))), 0)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_adapter(file: Path, config: Mapping[str, Any]) -> None:
    for name, value in _numbers_of(config):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RANK:
            raise InputError(
                f"{file}: {name} must be a whole number from 0 to {MAX_RANK}; got {visible(repr(value)[:60])}. The adapter is "
                "not loaded"
            )
    alpha = config.get("lora_alpha", 1)
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise InputError(f"{file}: lora_alpha must be a finite number; got {visible(repr(alpha)[:60])}")
    for name in ("target_modules", "exclude_modules", "rank_pattern", "alpha_pattern", "layers_pattern"):
        given = config.get(name)
        for pattern in [given] if isinstance(given, str) else given if isinstance(given, (list, dict)) else ():
            try:
                if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
                    raise re.error("it is no text of a bearable length")
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise InputError(f"{file}: {name} must hold patterns that can be read; {visible(str(error)[:160])}") from error


def _numbers_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The ranks and the layers that an adapter names."""
    if config.get("r") is not None:
        yield "r", config["r"]
    for name in ("layers_to_transform", "layer_replication"):
        given = config.get(name)
        for value in given if isinstance(given, list) else [] if given is None else [given]:
            yield from ((name, item) for item in (value if isinstance(value, list) else [value]))
    ranks = config.get("rank_pattern")
    yield from (("rank_pattern", value) for value in (ranks.values() if isinstance(ranks, dict) else ()))


def _check_tokenizer(folder: Path) -> None:
    settings, file = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if settings.is_file():
        longest = _object(settings).get("model_max_length", 1)
        number = isinstance(longest, (int, float)) and not isinstance(longest, bool)
        if longest is not None and not (number and longest > 0):
            raise InputError(f"{settings}: model_max_length must be a number above 0; got {visible(repr(longest)[:60])}")
    if file.is_file():
        try:
            run_limited(Path(trying_tokenizer.__file__), [str(file)], memory_mib=3072, seconds=40)
        except ChildRefused as error:
            raise InputError(f"{file} must be a tokenizer that reads a plain sentence; {error}. It is not loaded") from error


def _object(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_JSON:
            raise InputError(f"{file} must have at most {MAX_JSON} bytes; it has {file.stat().st_size}")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} must be readable JSON; {visible(str(error)[:200])}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} must hold a JSON object; got {type(found).__name__}")
    return found
