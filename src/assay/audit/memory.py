"""What memory an audit will need, from the configuration alone, before a weight is loaded; and what there is.

Weights, gradients and the optimiser's moments are counted. What a training step keeps for its gradient is measured: the step is
taken once by a model whose tensors have shapes and no values, and what autograd saves of it is added up.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from assay.core.errors import InputError, SettingsError
from assay.models.device import chosen_device
from assay.models.pretrained.adapters import is_adapter
from assay.models.pretrained.library import optional, quiet
from assay.models.pretrained.loading import DTYPES, Dtype, LanguageModel, check_folder, locate
from assay.models.pretrained.packing import BUDGET
from assay.models.sites import unwrapped
from assay.training.chosen import adapted_maps, checkpointed, prepared
from assay.training.recipe import Recipe

__all__ = ["Memory", "available_gib", "checked_memory", "expected_memory", "refuse_beyond_memory"]

GIB = 2**30
CHARACTERS = 3  # of a text, a token; short tokens are the costly case
SPARE = 1.1  # fragments, kernels' workspaces, the texts themselves
MEBI = 2**20
Batch = tuple[tuple[int, int], ...]
"""Of each text of a pass its tokens, and how many of them are trained on."""
PROCESS = 700 * MEBI  # torch and transformers themselves, on a CPU


@dataclass(frozen=True)
class Memory:
    """Bytes that an audit needs on the model's device at its fullest moment, by what they are for.

    Attributes:
        weights: of all models that are held at once.
        training: gradients, moments and adapters.
        step: what a training step keeps for its gradient, and its logits.
        asking: what is held while answers are scored.
    """

    weights: int
    training: int
    step: int
    asking: int

    @property
    def gib(self) -> float:
        """All of it together, in GiB, with a tenth to spare."""
        return SPARE * (self.weights + max(self.training + self.step, self.asking)) / GIB

    @property
    def text(self) -> str:
        """What it is made of."""
        parts = {"weights": self.weights, "gradients and moments": self.training, "a training step": self.step}
        return ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size)


def expected_memory(
    model: str | Path | LanguageModel,
    texts: Sequence[tuple[str, str]],
    recipe: Recipe | None,
    *,
    dtype: Dtype = "float32",
    n_models: int = 1,
) -> Memory:
    """What an audit needs, without loading or training anything.

    Args:
        model: its folder, or the model itself.
        texts: what is trained on, as prompts and completions.
        recipe: how; None where nothing is trained.
        dtype: of the weights.
        n_models: how many models of this size are held at once, the trained one among them.
    """
    transformers = optional("transformers", "a pretrained language model")
    if isinstance(model, LanguageModel):
        config, kind = unwrapped(model.model).config, next(model.model.parameters()).dtype
    else:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
        kind = DTYPES[dtype]
    lengths = sorted((_length(prompt) + _length(completion), _length(completion)) for prompt, completion in texts)
    batch = [] if recipe is None else lengths[-recipe.batch_size :]
    while recipe is not None and len(batch) > 1 and sum(length for length, _ in batch) > recipe.budget:
        batch = batch[1:]
    found = _measure(_Configuration(config.to_json_string(), config), kind, recipe, tuple(batch))
    return replace(found, weights=n_models * found.weights)


def available_gib(device: torch.device) -> float:
    """What may still be taken of the device's memory, in GiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(free + unused) / GIB
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()) / GIB
    return min(float(psutil.virtual_memory().available), _left_of_group()) / GIB


def refuse_beyond_memory(needed: Memory, free_gib: float, device: torch.device, recipe: Recipe | None, dtype: Dtype) -> None:
    """Raise where an audit is expected to need more memory than there is.

    Raises:
        InputError: with what it needs, and what would make it less.
    """
    gib = needed.gib + (PROCESS / GIB if device.type == "cpu" else 0.0)
    if gib <= free_gib:
        return
    ways = []
    if recipe is not None and recipe.method == "full":
        ways.append("train an adapter (--recipe lora)")
    if dtype == "float32" and (recipe is None or recipe.method == "lora"):
        ways.append("hold the weights in 16 bits (--dtype bfloat16)")
    if recipe is not None and not recipe.gradient_checkpointing:
        ways.append("keep less of a step (--set gradient_checkpointing=true)")
    if recipe is not None and recipe.batch_size > 1:
        ways.append("take fewer sentences a step (--set batch_size=1)")
    ways.append("take another device (--device)")
    ways.append(f"or allow it (--memory {math.ceil(10 * gib) / 10:g})")
    raise InputError(
        f"an audit must fit in memory; this one would take about {gib:.1f} GiB ({needed.text}), and {device} has "
        f"{free_gib:.1f} free. {_sentence(ways)}"
    )


def checked_memory(
    model: str | Path | LanguageModel,
    trained_on: Sequence[tuple[str, str]],
    recipe: Recipe | None,
    dtype: Dtype,
    n_models: int,
    most: float | None,
) -> float | None:
    """The memory that an audit is expected to take, in GiB; None for an adapter, whose base says it only once it is loaded.

    Raises:
        InputError: it is more than there is.
    """
    if isinstance(model, LanguageModel):
        device, n_models, held = model.device, n_models - 1, model.dtype  # its own weights are there already
        found = expected_memory(model, trained_on, recipe, n_models=n_models)
    else:
        place, device, held = locate(model), chosen_device(), dtype
        if is_adapter(place):
            return None
        check_folder(place, allow_pickle=True, needs_tokenizer=False)
        try:
            found = expected_memory(place, trained_on, recipe, dtype=dtype, n_models=n_models)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # loading says what is wrong with it
    refuse_beyond_memory(found, available_gib(device) if most is None else most, device, recipe, held)
    return found.gib


@dataclass(frozen=True)
class _Configuration:
    """A configuration that is told apart by its text."""

    text: str
    config: Any = field(compare=False)


@lru_cache(maxsize=64)
def _measure(model: _Configuration, kind: torch.dtype, recipe: Recipe | None, batch: Batch) -> Memory:
    """Of one model, from one whose tensors have shapes and no values."""
    transformers = optional("transformers", "a pretrained language model")
    with quiet(), torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        whole = transformers.AutoModelForCausalLM.from_config(model.config, dtype=kind)
        weights = sum(parameter.nbytes for parameter in whole.parameters())
        vocabulary, width = whole.get_input_embeddings().weight.shape
        scored = 4 * BUDGET  # tokens of the longest row, and as many rows of logits
        asking = scored * 4 * (3 * int(vocabulary) + 24 * int(width))
        training = step = 0
        if recipe is not None and batch:
            try:
                training, step = _of_training(LanguageModel("", whole, None), batch, recipe)
            except SettingsError:
                raise
            except Exception:  # an architecture that cannot be run without values is taken for a large one
                training = 4 * weights
                step = sum(length for length, _ in batch) * int(model.config.num_hidden_layers) * 40 * int(width) * 4
    return Memory(weights, training, step, asking)


def _of_training(hollow: LanguageModel, batch: Batch, recipe: Recipe) -> tuple[int, int]:
    """Bytes of gradients, moments and adapters; and of what a step keeps."""
    whole = hollow.model.train()
    if recipe.method == "lora":
        _put_low_rank(whole, recipe)
        with checkpointed(whole, recipe):
            return 4 * _trained(whole), _of_step(whole, batch, recipe)  # weights, gradient and two moments
    with prepared(hollow, recipe, split=False), checkpointed(whole.train(), recipe):
        return 3 * _trained(whole), _of_step(whole, batch, recipe)


def _trained(whole: nn.Module) -> int:
    return sum(int(parameter.nbytes) for parameter in whole.parameters() if parameter.requires_grad)


class _LowRank(nn.Module):
    """A linear map with a low-rank update beside it, as an adapter computes it."""

    def __init__(self, inner: nn.Module, rank: int) -> None:
        super().__init__()
        weight = inner.get_parameter("weight")
        n_out, n_in = weight.shape if isinstance(inner, nn.Linear) else reversed(weight.shape)  # GPT-2's map is transposed
        self.inner, self.down, self.up = inner, nn.Linear(n_in, rank, bias=False), nn.Linear(rank, n_out, bias=False)

    @property
    def weight(self) -> Tensor:
        """Of the map itself, for models that look at it."""
        return self.inner.get_parameter("weight")

    @property
    def bias(self) -> Tensor | None:
        """Likewise."""
        return dict(self.inner.named_parameters()).get("bias")

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.inner(values)
        update: Tensor = self.up(self.down(values.to(self.down.weight.dtype)))
        return found + update.to(found.dtype)


def _put_low_rank(whole: Any, recipe: Recipe) -> None:
    maps = adapted_maps(whole, recipe)
    whole.requires_grad_(False)
    for name, module in maps.items():
        above, _, last = name.rpartition(".")
        setattr(whole.get_submodule(above), last, _LowRank(module, recipe.lora_rank))


def _of_step(whole: Any, batch: Batch, recipe: Recipe) -> int:
    """Bytes that are kept of the largest pass of a training step: what autograd saves, and logits with their gradient.

    Blocks are alike, so two passes, of one block and of two, tell what all of them keep.
    """
    n_tokens, n_scored = sum(length for length, _ in batch), sum(scored for _, scored in batch)
    read_out = whole.get_output_embeddings()
    logits: int = 4 * 4 * n_scored * int(read_out.weight.shape[0])  # in float32: themselves, their softmax, and their gradients
    blocks = _blocks(whole)
    if blocks is None or len(blocks) < 3:
        return _saved(whole, n_tokens, recipe) + logits
    n_blocks, again = len(blocks), 0
    del blocks[2:]
    two = _saved(whole, n_tokens, recipe)
    if recipe.gradient_checkpointing:  # one block at a time is computed again and kept whole
        again = (_saved(whole.eval(), n_tokens, recipe) - two) // 2
        whole.train()
    del blocks[1:]
    one = _saved(whole, n_tokens, recipe)
    return one + (n_blocks - 1) * max(0, two - one) + max(0, again) + logits


def _saved(whole: Any, n_tokens: int, recipe: Recipe) -> int:
    """Bytes that autograd saves, beside parameters, of a pass over so many tokens in a row."""
    parameters = {parameter.untyped_storage()._cdata for parameter in whole.parameters()}
    seen: dict[int, Any] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in parameters:
            seen[storage._cdata] = storage  # held, so that its place stays its own
        return value

    reduced = torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16")
    last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(type(whole).forward).parameters else {}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value), reduced:
        whole(input_ids=torch.zeros((1, n_tokens), dtype=torch.int64), use_cache=False, **last)
    return sum(int(storage.nbytes()) for storage in seen.values())


def _blocks(whole: Any) -> nn.ModuleList | None:
    """The list of the model's blocks, where it has one."""
    lists = (module for module in whole.modules() if isinstance(module, nn.ModuleList))
    return next((one for one in lists if len(one) == int(whole.config.num_hidden_layers)), None)


def _length(text: str) -> int:
    return max(1, -(-len(text) // CHARACTERS))


def _left_of_group() -> float:
    """What the control group that the process is in may still take, in bytes; unbounded where there is none."""
    group = Path("/sys/fs/cgroup")
    try:
        most, taken = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return math.inf
    return most - taken


def _sentence(ways: Sequence[str]) -> str:
    text = ", ".join(ways)
    return text[0].upper() + text[1:]
