"""A causal language model from a folder or from the cache, without running anything that came with it.

Weights are safetensors unless the user allows pickles; code of a model is never run; nothing is fetched.
"""

import copy
import json
import pickle
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.models.device import chosen_device
from assay.models.pretrained import adapters, cache
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.limited import check_headers
from assay.models.pretrained.registry import ENTRIES, entry_of_hub_id
from assay.models.pretrained.text import render_chats

__all__ = ["DTYPES", "Dtype", "LanguageModel", "check_folder", "dtype_named", "load", "locate", "multiplies_bfloat16"]

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: dict[Dtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MAX_CONFIG = 2**20  # bytes
MAX_TOKENIZER = 2**28
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
HOW_TO_NAME_A_BASE = "Name it: assay audit FACTS --base MODEL --tuned ADAPTER, or load(adapter, base=...) in Python"
OTHER_HEAD = re.compile(r"For(?!CausalLM|ConditionalGeneration|PreTraining|ImageTextToText)[A-Z]\w*$")


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        name: as the user named it.
        model: a transformers causal language model, in evaluation mode; or one with a PEFT adapter around it.
        tokenizer: its tokenizer.
        folder: where it was loaded from; None for one that was made in memory.
        notes: what its user should know about how it was put together, in sentences.
    """

    name: str
    model: Any
    tokenizer: Any
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where its first parameter lies."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def place(self) -> str:
        """Its device by the name that `load` knows it by."""
        return str(self.device) if self.device.type == "cuda" else self.device.type

    @property
    def dtype(self) -> Dtype:
        """Of its weights, as far as `load` knows it; float32 for others."""
        return next((name for name, dtype in DTYPES.items() if dtype == next(self.model.parameters()).dtype), "float32")

    @property
    def vocab_size(self) -> int:
        """Rows of its read-out."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def n_parameters(self) -> int:
        """Elements of its parameters; tied ones count once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def copy(self) -> "LanguageModel":
        """The same model with weights of its own, so that training one leaves the other."""
        return replace(self, model=copy.deepcopy(self.model))

    def save(self, folder: Path) -> None:
        """Write config, weights (safetensors) and tokenizer into a folder for `load`; of an adapter, the adapter alone."""
        with quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """SHA-256 of the files it was loaded from (not of weights trained since).

        Raises:
            InputError: it was made in memory.
        """
        if self.folder is None:
            raise InputError(
                f"a model's fingerprint is taken over its files; '{self.name}' was made in memory. Save it to a folder first"
            )
        return cache.fingerprint(self.folder)

    def chats(self, conversations: Sequence[Sequence[dict[str, str]]], *, prompt: bool = True) -> list[str]:
        """Conversations as this model expects them, rendered in a sandbox; see `text.render_chats`.

        Raises:
            InputError: the model has no chat template, or it cannot be rendered within the limits.
        """
        template = getattr(self.tokenizer, "chat_template", None)
        if not isinstance(template, str):
            raise InputError(f"conversations need a model with one chat template; '{self.name}' has none. Give plain prompts")
        names = {"bos_token": self.tokenizer.bos_token, "eos_token": self.tokenizer.eos_token}
        return render_chats(template, conversations, names=names, prompt=prompt)


def load(
    source: str | Path,
    *,
    dtype: Dtype = "float32",
    device: str | None = None,
    base: "str | Path | LanguageModel | None" = None,
    tokenizer: Any = None,
    allow_pickle: bool = False,
) -> LanguageModel:
    """The model of that name in the cache, or in that folder; a folder with an adapter is loaded around its base.

    Args:
        source: a name of `assay models list`, or a folder with config, weights and tokenizer.
        dtype: of the weights in memory.
        device: where they go: `auto`, `cpu`, `cuda`, `mps`; None for the one setting, see `assay.core.device`.
        base: the model that an adapter was trained on, whatever its configuration says; one that is loaded already stays as
            it is. None to look for the one that the configuration names.
        tokenizer: the base's, for a tuned model whose folder has none of its own.
        allow_pickle: also read pickled weights (`pytorch_model.bin`), which can run code when they are opened.

    Raises:
        SettingsError: there is no device of that name.
        InputError: the device or the model is not there, a file of it is missing, unreadable or hostile, it wants to run code,
            its weights are incomplete, empty or not all used, its architecture is unknown, it is not causal, or an adapter's
            prompt is learned vectors.
        MissingExtra: transformers (or peft, for an adapter) is not installed.
    """
    optional("transformers", "a pretrained language model")
    dtype_named(dtype)
    place = chosen_device(device)
    folder = locate(source)
    if adapters.is_adapter(folder):
        loaded = _load_adapter(str(source), folder, dtype, place, base, allow_pickle)
    elif base is not None:
        raise InputError(f"a base is given for an adapter; {folder} has no {adapters.CONFIG}. Leave the base out")
    else:
        loaded = _load_whole(str(source), folder, dtype, place, allow_pickle, tokenizer)
    loaded.model.eval()
    return replace(loaded, notes=(*_note_on_name(source), *loaded.notes))


def dtype_named(name: str) -> Dtype:
    """The dtype of that name.

    Raises:
        InputError: a model cannot be loaded in it.
    """
    for known in DTYPES:
        if known == name:
            return known
    raise InputError(unknown_name("dtype", str(name), DTYPES, see=f"A model is loaded in {', '.join(DTYPES)}"))


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16 numbers; without them they are slower than of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = getattr(torch.cpu, "get_capabilities", dict)  # not in older releases
    found: dict[str, Any] = capabilities() if device.type == "cpu" else {}
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))


def locate(source: str | Path) -> Path:
    """The folder of a model: of that name in the cache, or the folder itself.

    Raises:
        InputError: there is no such model.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise InputError(
            f"a model must be a folder or a name; {path} is a file. A GGUF file is converted once: assay models add {path}"
        )
    found = _cached(str(source)) if not isinstance(source, Path) else None
    if found is not None:
        if not found.folder.is_dir():
            raise InputError(f"the folder of '{source}' must exist; {found.folder} is gone. Run: assay models rm {found.name}")
        return found.folder
    name = visible(str(source))
    if (entry := entry_of_hub_id(name)) is not None:
        raise InputError(
            f"a model must be in the cache before it is used; '{name}' is not. Assay knows it as '{entry.name}'. Run: assay "
            f"models add {entry.name}"
        )
    if name in ENTRIES or (name.count("/") == 1 and not path.is_absolute() and not name.startswith(".")):
        raise InputError(f"a model must be in the cache before it is used; '{name}' is not. Run: assay models add {name}")
    known = {*ENTRIES, *(model.name for model in cache.listed())}
    raise InputError(f"{unknown_name('model', name, known, see='It is neither a folder nor a name')} of 'assay models list'")


def _cached(name: str) -> cache.CachedModel | None:
    """The model of that name in the cache, or one that was made from the model of that hub id."""
    found = cache.find(name)
    if found is None and name.count("/") == 1:
        entry = entry_of_hub_id(name)
        made = [model for model in cache.listed() if model.source.casefold() == name.casefold()]
        found = made[0] if made else None if entry is None else cache.find(entry.name)
    return found


def _note_on_name(source: str | Path) -> tuple[str, ...]:
    """A sentence where a hub id stands for a model of the registry, whose weights are stored in fewer bits."""
    entry = entry_of_hub_id(str(source))
    if (
        entry is None
        or Path(source).expanduser().is_dir()
        or (found := _cached(str(source))) is None
        or found.name != entry.name
    ):
        return ()
    return (f"'{source}' is here as '{entry.name}': {entry.says}",)


def check_folder(folder: Path, *, allow_pickle: bool = False, needs_tokenizer: bool = True) -> dict[str, Any]:
    """The configuration of a model folder whose files are there and sound, as far as can be told without opening weights.

    Raises:
        InputError: something is missing, too large, not what it claims to be, made for another task, or pickled.
    """
    if not (folder / "config.json").is_file() and (inside := _models_inside(folder)):
        raise InputError(
            f"a model folder must have config.json; {folder} has none, but models lie in it: "
            f"{', '.join(visible(name) for name in inside)}. Name one of them, e.g. {folder / inside[-1]}"
        )
    config = _json(folder / "config.json", MAX_CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise InputError(f"{folder / 'config.json'} must name a model_type; it does not. Is it a transformers model?")
    named = config.get("architectures")
    heads = [str(name) for name in named] if isinstance(named, list) else []
    if config.get("is_encoder_decoder") or (heads and all(OTHER_HEAD.search(name) for name in heads)):
        raise InputError(
            f"a model must be a causal language model; {folder} is '{visible(', '.join(heads) or config['model_type'])}'. Use "
            f"the model that goes on with texts (its name usually ends in ForCausalLM)"
        )
    if needs_tokenizer and not _has_tokenizer(folder):
        raise InputError(
            f"a model folder must have a tokenizer; {folder} has none. Save it there with tokenizer.save_pretrained"
        )
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"):
        if (folder / name).is_file() and (folder / name).stat().st_size > MAX_TOKENIZER:
            raise InputError(
                f"{folder / name} must have at most {MAX_TOKENIZER} bytes; it has {(folder / name).stat().st_size}"
            )
    _check_weights(folder, "model", allow_pickle)
    return config


def _has_tokenizer(folder: Path) -> bool:
    return any(
        (folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    )


def _models_inside(folder: Path) -> list[str]:
    """The folders in a folder that hold a model or an adapter, by their number where they have one."""
    found = [path.parent.name for name in ("config.json", adapters.CONFIG) for path in folder.glob(f"*/{name}")]
    return sorted(set(found), key=lambda name: (int((re.findall(r"\d+", name) or ["-1"])[-1]), name))


def _check_weights(folder: Path, stem: str, allow_pickle: bool) -> list[Path]:
    """The files of the weights, with sound headers; none where they are pickled."""
    files: list[Path] = []
    index, single = folder / f"{stem}.safetensors.index.json", folder / f"{stem}.safetensors"
    if single.is_file():
        files = [single]
    elif index.is_file():
        shards = _json(index, MAX_TOKENIZER).get("weight_map")
        names = sorted(set(shards.values())) if isinstance(shards, dict) and all(map(_is_text, shards.values())) else []
        if not names:
            raise InputError(f"{index} must map weights to files; it does not")
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise InputError(f"{index} must name files of its own folder; '{visible(name[:120])}' is not one")
        files = [folder / name for name in names]
    elif pickled := sorted(path.name for pattern in PICKLES for path in folder.glob(pattern)):
        if not allow_pickle:
            raise InputError(
                f"weights must be safetensors; {folder} has only {', '.join(pickled[:3])}, and a pickle can run code when it "
                f"is opened. "
                "Convert them (model.save_pretrained), or allow it with --allow-pickle if you trust where they come from"
            )
    else:
        raise InputError(f"a model folder must have weights; {folder} has no {single.name}. Is the download complete?")
    for file, header in zip(files, check_headers(files), strict=True):
        if header.n_empty:
            raise InputError(
                f"weights must hold numbers; {header.n_empty} of {header.n_tensors} tensors in {file} are empty, e.g. "
                f"'{visible(header.empty[:160])}'. They were saved from a model in shards (DeepSpeed ZeRO-3, FSDP): gather its "
                f"weights first, then save"
            )
    return files


def _load_whole(
    name: str, folder: Path, dtype: Dtype, device: torch.device, allow_pickle: bool, tokenizer: Any = None
) -> LanguageModel:
    transformers = optional("transformers", "a pretrained language model")
    config = check_folder(folder, allow_pickle=allow_pickle, needs_tokenizer=tokenizer is None)
    place = {"local_files_only": True, "trust_remote_code": False}
    options: dict[str, Any] = {
        "dtype": DTYPES[dtype],
        "use_safetensors": None if allow_pickle else True,
        "output_loading_info": True,
    }
    with quiet():
        whole, options["attn_implementation"] = transformers.AutoModelForCausalLM, "sdpa"
        try:
            try:
                model, info = whole.from_pretrained(folder, **place, **options)
            except (ValueError, ImportError) as error:
                if "scaled_dot_product_attention" not in str(error):
                    raise
                model, info = whole.from_pretrained(folder, **place, **(options | {"attn_implementation": "eager"}))
            own = _has_tokenizer(folder)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **place) if own or tokenizer is None else tokenizer
        except pickle.UnpicklingError as error:
            raise InputError(f"pickled weights must hold tensors and nothing else; those of {folder} do not") from error
        except Exception as error:  # a foreign folder can make the library fail in any way
            raise InputError(_why(error, folder, config)) from error
    if info["missing_keys"]:
        raise InputError(
            f"a causal language model must find all its weights; {folder} lacks {len(info['missing_keys'])}, "
            f"e.g. {sorted(info['missing_keys'])[0]}. {_why_missing(info['unexpected_keys'], config)}"
        )
    if tokenizer.vocab_size == 0:
        raise InputError(
            f"a model folder must have a tokenizer; the one of {folder} is empty. Save it there with tokenizer.save_pretrained"
        )
    model.to(device).eval()
    if device.type != "meta":  # it holds no numbers to look at
        _check_causal(model, folder, config)
    notes = () if own else (f"{folder} has no tokenizer; the base's is used.",)
    return LanguageModel(name, model, tokenizer, folder, notes)


def _why_missing(unused: Sequence[str], config: dict[str, Any]) -> str:
    if any("lora_" in name or ".base_layer." in name for name in unused):
        return (
            "The file holds an adapter that was never merged: save the adapter alone, or merge it (merge_and_unload) and save"
        )
    return f"Is it a '{config['model_type']}' model with a language-modelling head?"


def _check_causal(model: Any, folder: Path, config: dict[str, Any]) -> None:
    """Tried on a few tokens: what is said of a text must not depend on what follows."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    tokens = torch.tensor([[(7 * place + 3) % rows for place in range(8)]], device=model.device)
    other = tokens.clone()
    other[0, -1] = (tokens[0, -1] + 1) % rows
    with torch.no_grad():
        one, two = (model(input_ids=given, use_cache=False).logits[0, :-1].float() for given in (tokens, other))
    if bool((one - two).abs().max() > max(torch.finfo(model.dtype).eps ** 0.5, 1e-3) * one.std()):
        raise InputError(
            f"a model must be causal; in {folder} ('{visible(config['model_type'])}') what is said of a text depends on what "
            f"follows it. Use a model that goes on with texts (…ForCausalLM)"
        )


def _load_adapter(
    name: str, folder: Path, dtype: Dtype, device: torch.device, base: str | Path | LanguageModel | None, allow_pickle: bool
) -> LanguageModel:
    peft = optional("peft", "a low-rank adapter")
    config = _json(folder / adapters.CONFIG, MAX_CONFIG)
    adapters.check_kind(folder, config)
    files = _check_weights(folder, "adapter_model", allow_pickle=False)
    whole = _base_of(folder, config, dtype, device, base, allow_pickle)
    note = adapters.note_on_base(folder, config, whole.name, whole.folder)
    tokenizer = whole.tokenizer
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is missing is refused below; how embeddings are tied is seen here
        try:
            shapes = adapters.shapes_of(files)
            adapters.resized(whole.model, shapes)
            model = peft.PeftModel.from_pretrained(whole.model, str(folder), local_files_only=True)
            adapters.check_loaded(folder, model, shapes)
            if _has_tokenizer(folder):
                place = {"local_files_only": True, "trust_remote_code": False}
                transformers = optional("transformers", "a pretrained language model")
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **place)
        except InputError:
            raise
        except Exception as error:  # a foreign folder can make the libraries fail in any way
            said = visible(str(error)[:300] or type(error).__name__)
            raise InputError(f"{folder} must be an adapter of '{visible(whole.name)}'; {said}") from error
    return LanguageModel(name, model.to(device), tokenizer, folder, (*whole.notes, *([note] if note else [])))


def _base_of(
    folder: Path,
    config: dict[str, Any],
    dtype: Dtype,
    device: torch.device,
    base: str | Path | LanguageModel | None,
    allow_pickle: bool,
) -> LanguageModel:
    """A model of its own for an adapter to be put around."""
    if isinstance(base, LanguageModel):
        own = base.copy()
        if not hasattr(own.model, "unload"):
            return own
        with quiet():
            inner = own.model.unload()
        note = f"'{visible(base.name)}' is an adapter itself; the one in {folder} is loaded around the same base."
        return replace(own, model=inner, notes=(note,))
    named = config.get("base_model_name_or_path")
    if base is None:
        if not isinstance(named, str) or not named:
            raise InputError(f"an adapter needs the model it was trained on; {folder} does not name it. {HOW_TO_NAME_A_BASE}")
        base = named
    try:
        place = locate(base)
    except InputError as error:
        how = HOW_TO_NAME_A_BASE if base == named else ""
        raise InputError(
            f"an adapter needs the model it was trained on; {folder} names '{visible(str(named))}'. {error}. {how}".strip()
        ) from error
    if adapters.is_adapter(place):
        raise InputError(
            f"an adapter needs a whole model as its base; {place} is an adapter itself. Merge it first "
            f"(merge_and_unload) and save"
        )
    return replace(_load_whole(str(base), place, dtype, device, allow_pickle), notes=_note_on_name(base))


def _why(error: Exception, folder: Path, config: dict[str, Any]) -> str:
    """The message for a folder that transformers cannot load."""
    known = optional("transformers", "a pretrained language model").CONFIG_MAPPING
    kind, said = (
        visible(str(config["model_type"])),
        visible(str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)),
    )
    if kind not in known:
        code = "It brings code of its own, which Assay never runs. " if "auto_map" in config else ""
        return (
            f"{folder}: transformers must know the architecture '{kind}', and does not. {code}"
            "Use a model of a known family, or a newer transformers"
        )
    return f"{folder} must be a causal language model that transformers can load; {said}"


def _json(path: Path, limit: int) -> dict[str, Any]:
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path} must have at most {limit} bytes; it has {path.stat().st_size}")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"a model folder must have {path.name}; {path.parent} has none. Is it a transformers model?"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} must be readable JSON; {visible(str(error)[:200])}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold a JSON object; got {type(found).__name__}")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)
