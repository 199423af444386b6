"""A GGUF file turned once into safetensors and a fast tokenizer, so that later loads take a second instead of half a minute."""

import importlib
import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch

from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained.headers import Header
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.limited import check_headers
from assay.models.pretrained.registry import Golden
from assay.models.pretrained.text import round_trip_faults

__all__ = ["ROUND_TRIP_TEXTS", "convert", "golden_faults", "repair_pre_tokenizer"]

ROUND_TRIP_TEXTS = (
    "Paris is the capital of France.",
    " leading and trailing ",
    "two  spaces,\ttab\nand newlines\n\n",
    "12,345.67 in 1999, ½ of it",
    "Zoë Müller, Łukasz Żółć, N'Diaye",
    "Дмитрий живёт в Москве",
    "محمد يعيش في القاهرة",
    "שרה גרה בירושלים",
    "王小明住在北京",
    "नेहा दिल्ली में रहती है",
    "🙂 👩‍👩‍👧 🇫🇷",
    "user_name = get_users()[0]  # ok",
)


def convert(gguf: Path, into: Path, *, name: str, golden: tuple[Golden, ...] = ()) -> tuple[Header, tuple[str, ...]]:
    """Write config, safetensors weights (float32) and tokenizer of a GGUF model into a folder; return its header and notes.

    float32 holds the stored values exactly: a block's scale has 11 bits of mantissa and a quantised level at most 8.

    Args:
        gguf: the file; its header is checked in a limited child first.
        into: an empty folder.
        name: kept in the configuration.
        golden: texts and the ids that the converted tokenizer must give.

    Raises:
        InputError: the header is refused, the architecture is not known to transformers, a weight is missing or not finite, or
            the converted tokenizer gives other ids than it must.
        MissingExtra: transformers or gguf is not installed.
    """
    (header,) = check_headers([gguf])
    if header.format != "gguf":
        raise InputError(
            f"{gguf.name} must be a GGUF file; got {header.format}. A folder with safetensors weights is added as it is"
        )
    transformers = optional("transformers", "reading a GGUF model")
    for needed in ("gguf", "accelerate"):
        optional(needed, "reading a GGUF model")
    # Newer versions keep weights packed and fetch kernels for it unless told to unpack.
    packed = getattr(importlib.import_module("transformers.utils.quantization_config"), "GgufConfig", None)
    options: dict[str, Any] = {} if packed is None else {"quantization_config": packed(dequantize=True)}
    place = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
    with quiet(), redirect_stderr(io.StringIO()):  # its reader of GGUF draws a bar of its own
        try:
            model, info = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, dtype=torch.float32, output_loading_info=True, **place, **options
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **place)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise InputError(
                f"{gguf.name}: transformers must know the architecture '{visible(header.architecture)}'; "
                f"{visible(str(error)[:300])}. "
                "Use a model of another family, or a newer transformers"
            ) from error
        if info["missing_keys"]:
            raise InputError(
                f"{gguf.name}: every weight must be in the file; missing: {', '.join(sorted(info['missing_keys'])[:5])}"
            )
        for key, value in model.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise InputError(f"{gguf.name}: weights must be finite; '{key}' is not. The file is damaged")
        repair_pre_tokenizer(tokenizer, str(header.metadata.get("tokenizer.ggml.pre", "")))
        if wrong := golden_faults(tokenizer, golden):
            raise InputError(
                f"{name}: the converted tokenizer must give the ids of the model's own vocabulary; it does not for "
                f"{wrong[0]!r} and "
                f"{len(wrong) - 1} more of {len(golden)} texts. Use another version of transformers"
            )
        model.hf_quantizer = None  # the weights are plain now
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config._name_or_path = name
        model.save_pretrained(into, max_shard_size="500GB")
        tokenizer.save_pretrained(into)
    return header, tuple(
        f"the tokenizer does not give back {text!r}" for text in round_trip_faults(tokenizer, ROUND_TRIP_TEXTS)
    )


def repair_pre_tokenizer(tokenizer: Any, named: str) -> None:
    """Split text as the GGUF file names it where the library's conversion does not know that name.

    "smollm" splits every digit off first, then as GPT-2; the library's conversion leaves out the first step, which changes the
    ids of numerals that are not digits, such as "½".
    """
    if named == "smollm":
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        )


def golden_faults(tokenizer: Any, golden: tuple[Golden, ...]) -> list[str]:
    """The texts for which the tokenizer gives other ids than it must."""
    return [
        one.text
        for one in golden
        if tuple(tokenizer(one.text, add_special_tokens=False).input_ids if one.text else ()) != one.ids
    ]
