"""Changes of a model's weights as values: taken between two models, cut, combined, put into a model, and kept in a file.

    change = Change.between(before, after)                      # after - before, weight by weight
    cut = change.only(layers=range(4), parts=["mlp"])           # shares its numbers with the whole
    graft = (change - 0.5 * other).applied_to(model)            # a copy of the model that has it
    with change.without_largest(0.08).inside(model):            # the model itself has it in the block, and not after it
        ...
    change.save(Path("change.safetensors"), before)
    change = Change.load(Path("change.safetensors"), before)    # refused for a model with other weights

It works on our own `Decoder` and on a pretrained `LanguageModel`. Weights are the parameters, and the buffers of floating-point
numbers that are saved with them.

Tied weights are one weight, under the first of its names: its change is taken, cut and added once. Models that are tied
differently do not fit each other.
Adapters stand beside the weights and are no part of them, so a model with one is refused: fold it in first
(`assay.training.chosen.merged`), or leave it out.
Buffers that hold whole numbers cannot be added to; where they differ there is no change between two models.
Of decoders with a run axis everything is done for each run as for that run alone. The heads of a decoder's weight matrix are
matrices of their own; in a language model they lie side by side in one.
"""

import copy
import hashlib
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from assay.core.errors import InputError, SettingsError, StoreError
from assay.core.seeds import Seeds
from assay.core.text import visible
from assay.models.decoder import Decoder
from assay.models.pretrained.library import optional
from assay.models.pretrained.limited import check_headers
from assay.models.pretrained.loading import LanguageModel
from assay.models.sites import FAMILIES, unwrapped
from assay.store.files import sync_folder

__all__ = ["Change", "Weight", "displaced"]

Model = TypeVar("Model", Decoder, LanguageModel)
FORM = "weight change 1"  # how files are written; says of others that they are none
PURPOSE = "a change of weights in a file"
BLOCK_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")
DECODER_PARTS: Mapping[str, Collection[str]] = {
    "attention": ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"),
    "mlp": ("W_in", "W_gate", "W_out", "b_in", "b_out"),
    "norm": ("w_ln1", "w_ln2", "b_ln1", "b_ln2", "w_final", "b_final"),
    "embedding": ("W_E", "W_U"),
}


@dataclass(frozen=True)
class Weight:
    """Where a weight stands in its model.

    Attributes:
        shape: with the run axis, where there is one.
        layer: its block, from 0; None outside of blocks.
        parts: what it belongs to among `attention`, `mlp`, `norm` and `embedding` (which is the read-out too).
        is_matrix: its last two axes are a matrix; else it is a vector, such as a bias or a norm's scale.
    """

    shape: tuple[int, ...]
    layer: int | None
    parts: frozenset[str]
    is_matrix: bool


@dataclass(frozen=True, eq=False)
class Change:
    """What is added to the weights of a model.

    Attributes:
        tensors: by weight. Changes share them, so they are never written to; a weight without one does not move.
        weights: all weights of the models that it fits.
        n_runs: of decoders side by side; None without a run axis.
        scale: by which the tensors are multiplied wherever they are used, so that a multiple needs no memory of its own.
    """

    tensors: Mapping[str, Tensor]
    weights: Mapping[str, Weight]
    n_runs: int | None = None
    scale: float = 1.0

    @classmethod
    @torch.no_grad()
    def between(cls, before: Decoder | LanguageModel, after: Decoder | LanguageModel) -> "Change":
        """The weights after less those before, in the dtype and on the device of those before.

        Added to `before` it gives `after` up to rounding; to the bit wherever the difference is exact, as it is of two numbers
        of one sign that lie within a factor of two of each other.

        Raises:
            InputError: the models have other weights, one has an adapter, or they differ in a buffer of whole numbers.
        """
        weights = _weights(before)
        _check_fit(weights, _weights(after), "before", "after")
        ours, theirs = (_tensors(_module(model)) for model in (before, after))
        tensors = {}
        for name, value in ours.items():
            if not value.is_floating_point():
                if not torch.equal(value, theirs[name].to(value)):
                    raise InputError(
                        f"weights must be floating-point numbers to have a change; '{name}' is {value.dtype} and differs "
                        f"between the models. Load both in float32"
                    )
                continue
            moved = theirs[name].to(value) - value
            if bool(moved.any()):
                tensors[name] = moved
        return cls(tensors, weights, _runs(before))

    def of(self, name: str) -> Tensor:
        """The change of one weight, of that weight's shape; zeros where it does not move.

        Raises:
            InputError: there is no such weight.
        """
        if name not in self.weights:
            raise InputError(f"a weight must be in the model; '{visible(name)}' is not. It has {', '.join(self.weights)}")
        if name in self.tensors:
            return self.tensors[name] * self.scale
        like = next(iter(self.tensors.values()), torch.zeros(()))
        return like.new_zeros(self.weights[name].shape)

    def only(self, *, layers: Collection[int] | None = None, parts: Collection[str] | None = None) -> "Change":
        """The change of some weights alone, as the `layers` and `parts` of a training recipe choose them; nothing is copied.

        Args:
            layers: which blocks, from 0; None for all of them and what is outside of blocks.
            parts: `attention`, `mlp`, `norm`, `embedding` (whatever the layers), or names of modules or weights (`o_proj`,
                `mlp.down_proj`, `W_Q`); None for all.

        Raises:
            InputError: the model has no such layer or part.
        """
        n_layers = 1 + max((weight.layer for weight in self.weights.values() if weight.layer is not None), default=-1)
        if missing := [layer for layer in layers or () if not 0 <= layer < n_layers]:
            raise InputError(f"layers must be among 0–{n_layers - 1}; got {missing[0]}")
        for part in parts or ():
            if not any(_is_part(name, weight, part) for name, weight in self.weights.items()):
                raise InputError(
                    f"parts must be attention, mlp, norm, embedding, or modules or weights of the model; it has no "
                    f"'{visible(part)}'. Weights of a block: {', '.join(_within_blocks(self.weights))}"
                )

        def kept(name: str) -> bool:
            weight = self.weights[name]
            named = parts is None or any(_is_part(name, weight, part) for part in parts)
            embedding = parts is not None and "embedding" in parts and "embedding" in weight.parts
            return named and (layers is None or weight.layer in layers or embedding)

        return replace(self, tensors={name: value for name, value in self.tensors.items() if kept(name)})

    def __mul__(self, by: float) -> "Change":
        if not math.isfinite(by):
            raise SettingsError(f"a change is multiplied by a finite number; got {by}")
        return replace(self, scale=self.scale * float(by))

    __rmul__ = __mul__

    def __neg__(self) -> "Change":
        return self * -1.0

    def __sub__(self, other: "Change") -> "Change":
        return self + -other

    @torch.no_grad()
    def __add__(self, other: "Change") -> "Change":
        _check_fit(self.weights, other.weights, "one change", "the other")
        tensors = {}
        for name in self.weights:
            ours, theirs = self.tensors.get(name), other.tensors.get(name)
            if ours is not None and theirs is not None:
                tensors[name] = torch.add(_times(ours, self.scale), theirs.to(ours), alpha=other.scale)
            elif ours is not None:
                tensors[name] = _times(ours, self.scale)
            elif theirs is not None:
                tensors[name] = _times(theirs, other.scale)
        return replace(self, tensors=tensors, scale=1.0)

    def low_rank(self, k: int) -> "Change":
        """Every matrix replaced by the nearest one of rank `k`, in the Frobenius norm; vectors stay as they are.

        Source: Eckart and Young 1936, Psychometrika 1, 211–218: the first `k` terms of the singular value decomposition.

        Raises:
            SettingsError: the rank is not positive.
            InputError: a matrix holds numbers that are not finite.
        """
        if k < 1:
            raise SettingsError(f"a low-rank change needs a rank of at least 1; got {k}")

        def nearest(name: str, value: Tensor) -> Tensor:
            if not self.weights[name].is_matrix or k >= min(value.shape[-2:]):
                return value
            precise = value.to(torch.promote_types(value.dtype, torch.float32))
            if not bool(precise.isfinite().all()):
                raise InputError(f"a change must be finite to have a nearest one of low rank; that of '{name}' is not")
            left, sizes, right = torch.linalg.svd(precise, full_matrices=False)
            product: Tensor = (left[..., :k] * sizes[..., None, :k]) @ right[..., :k, :]
            return product.to(value.dtype)

        return self._each(nearest)

    def without_largest(self, share: float, *, signed: bool = False) -> "Change":
        """The change with the largest entries of every weight set to zero, the rest not rescaled.

        Exactly round(share * entries) of each weight go (of each run of it). Of equals on the edge it is torch's choice which
        go; it makes the same one every time on one device.

        Source: Sun et al. 2025, arXiv:2504.09522, equation 3, which does not say whether the sign counts.

        Args:
            share: of every weight's entries, in [0, 1].
            signed: largest as numbers, so that the most positive go; else largest in magnitude.

        Raises:
            SettingsError: the share is outside.
        """
        _check_share(share)
        upwards = not signed or self.scale >= 0  # a negative multiple turns the order round

        def pruned(name: str, value: Tensor) -> Tensor:
            rows = self._rows(value)
            drop = round(share * rows.shape[1])
            chosen = (rows if signed else rows.abs()).topk(drop, dim=1, largest=upwards).indices
            return rows.scatter_(1, chosen, 0.0).view(value.shape)

        return self._each(pruned)

    def without_random(self, share: float, rng: np.random.Generator | Sequence[np.random.Generator]) -> "Change":
        """The change with round(share * entries) entries of every weight, drawn at random, set to zero, the rest not rescaled.

        What is drawn of one weight does not depend on which others move.

        Args:
            share: of every weight's entries, in [0, 1].
            rng: one generator, or with a run axis one a run.

        Raises:
            SettingsError: the share is outside, or there are not as many generators as runs.
        """
        _check_share(share)
        rngs = [rng] if isinstance(rng, np.random.Generator) else list(rng)
        if len(rngs) != (self.n_runs or 1):
            raise SettingsError(f"a change of {self.n_runs or 1} runs needs as many generators; got {len(rngs)}")
        streams = [Seeds(int(one.integers(2**63 - 1))) for one in rngs]

        def pruned(name: str, value: Tensor) -> Tensor:
            rows = self._rows(value)
            drop = round(share * rows.shape[1])
            for row, seeds in zip(rows, streams, strict=True):
                chosen = seeds(name).choice(rows.shape[1], size=drop, replace=False, shuffle=False)
                row[torch.from_numpy(chosen).to(row.device)] = 0.0
            return rows.view(value.shape)

        return self._each(pruned)

    def applied_to(self, model: Model) -> Model:
        """A copy of the model with the change added to its weights; the model itself stays as it is.

        Raises:
            InputError: the model has other weights, or an adapter.
        """
        self._check_fits(model)
        copied = copy.deepcopy(model) if isinstance(model, Decoder) else model.copy()
        own = _tensors(_module(copied))
        with torch.no_grad():
            for name, value in self.tensors.items():
                own[name].add_(value.to(own[name]), alpha=self.scale)
        return copied

    @contextmanager
    def inside(self, model: Model) -> Iterator[Model]:
        """Inside the block the model has the change added to its weights; afterwards, on error too, they are what they were.

        They come back to the bit, whatever the block did to their values. Blocks can stand inside each other. Copies are kept
        of the weights that move and of nothing else.

        Raises:
            InputError: the model has other weights, or an adapter.
        """
        self._check_fits(model)
        with displaced(_module(model), self.tensors, self.scale):
            yield model

    def save(self, file: Path, base: Decoder | LanguageModel, *, notes: Mapping[str, str] | None = None) -> None:
        """Write the change into a safetensors file, for the model whose weights are those of `base` as they are now.

        The file is whole or not there. Weights that do not move take no room in it.

        Args:
            file: its place; folders are made.
            base: the model that it can be loaded for again.
            notes: further entries of the file's metadata.

        Raises:
            InputError: the base has other weights than the change, or an adapter.
            MissingExtra: safetensors is not installed.
            StoreError: the file cannot be written.
        """
        library, torch_files = optional("safetensors", PURPOSE), optional("safetensors.torch", PURPOSE)
        self._check_fits(base)
        said = {"form": FORM, "base": _digest(base), "name": _named(base), "scale": repr(self.scale)}
        unfinished = file.with_name(f".part-{os.getpid()}-{file.name}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            tensors = {name: value.contiguous() for name, value in self.tensors.items()}
            torch_files.save_file(tensors, unfinished, metadata={**(notes or {}), **said})
            with unfinished.open("rb+") as stream:
                os.fsync(stream.fileno())
            unfinished.replace(file)
            sync_folder(file.parent)
        except (OSError, library.SafetensorError) as error:
            with suppress(OSError):
                unfinished.unlink()
            raise StoreError(f"a change must be writable; {file}: {error}. Free space, or name another file") from error

    @classmethod
    def load(cls, file: Path, base: Decoder | LanguageModel) -> "Change":
        """The change that was saved into a file for this model, on the model's device.

        Raises:
            InputError: the file is missing, unreadable or no change, or it was saved for a model with other weights.
            MissingExtra: safetensors is not installed.
        """
        library = optional("safetensors", PURPOSE)
        weights, device = _weights(base), next(_module(base).parameters()).device
        (header,) = check_headers([file])
        said = header.metadata
        if said.get("form") != FORM:
            raise InputError(f"a change is loaded from a file that Change.save wrote; {file} is none. Save the change again")
        if said.get("base") != (digest := _digest(base)):
            raise InputError(
                f"a change is loaded for the weights that it was saved for; {file} was saved for {visible(str(said['name']))} "
                f"(weights {str(said['base'])[:12]}), and {_named(base)} has others ({digest[:12]}). Load that model, in the "
                f"same dtype and as it was before training; to put the change into another model, load it for that one and "
                f"call change.applied_to(other)"
            )
        try:
            scale = float(said["scale"])
            with library.safe_open(file, "pt") as opened:
                tensors = {name: opened.get_tensor(name).to(device) for name in opened.keys()}  # noqa: SIM118 - no mapping
        except (OSError, KeyError, ValueError, library.SafetensorError) as error:
            raise InputError(f"a change must be readable; {file} is not ({error}). Save the change again") from error
        for name, value in tensors.items():
            if name not in weights or weights[name].shape != tuple(value.shape):
                raise InputError(f"{file} must change weights of its base; '{visible(name)}' is none. Save the change again")
        return cls(tensors, weights, _runs(base), scale)

    @torch.no_grad()
    def _each(self, made: Callable[[str, Tensor], Tensor]) -> "Change":
        """The change with something else made of every tensor, one after the other."""
        return replace(self, tensors={name: made(name, value) for name, value in self.tensors.items()})

    def _rows(self, value: Tensor) -> Tensor:
        """A copy of a tensor with all that belongs to one run in one row, [run, entry]."""
        return value.clone(memory_format=torch.contiguous_format).view(self.n_runs or 1, -1)

    def _check_fits(self, model: Decoder | LanguageModel) -> None:
        _check_fit(self.weights, _weights(model), "the change", _named(model))


@contextmanager
def displaced(module: nn.Module, by: Mapping[str, Tensor], scale: float = 1.0) -> Iterator[None]:
    """Inside the block `scale` times the given tensors are added to parameters and buffers; afterwards all are what they were.

    They are restored to the bit, on error too.

    Args:
        module: which has them.
        by: what is added, by the name of a parameter or buffer.
        scale: by which it is multiplied.
    """
    # Every name of a tied weight counts here: callers name weights as torch does.
    own = {**dict(module.named_buffers(remove_duplicate=False)), **dict(module.named_parameters(remove_duplicate=False))}
    moving = {name: own[name].detach() for name in by}
    before = {name: value.clone() for name, value in moving.items()}
    try:
        with torch.no_grad():
            for name, value in moving.items():
                # Onto the copy, so that memory that has two names is moved once.
                torch.add(before[name], by[name].to(value), alpha=scale, out=value)
        yield
    finally:
        with torch.no_grad():
            for name, value in moving.items():
                value.copy_(before[name])


def _module(model: Decoder | LanguageModel) -> nn.Module:
    """The network itself.

    Raises:
        InputError: it has an adapter.
    """
    if isinstance(model, Decoder):
        return model
    if hasattr(model.model, "get_base_model"):
        raise InputError(
            f"a change is of a model's own weights; {_named(model)} has an adapter beside them. Fold it in first: "
            f"assay.training.chosen.merged(model.copy())"
        )
    module: nn.Module = unwrapped(model.model)
    return module


def _named(model: Decoder | LanguageModel) -> str:
    return "this decoder" if isinstance(model, Decoder) else f"'{visible(model.name)}'"


def _runs(model: Decoder | LanguageModel) -> int | None:
    return model.n_runs if isinstance(model, Decoder) else None


def _digest(model: Decoder | LanguageModel) -> str:
    """SHA-256 over names, shapes and values of all weights as they are now, and over the model's kind.

    Of a language model the same as `weights_digest` of `assay.protocols.log_probs`, a room above this one.
    """
    module: Any = _module(model)
    text = hashlib.sha256(("decoder" if isinstance(model, Decoder) else str(module.config.model_type)).encode())
    for name, value in module.state_dict().items():
        text.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        text.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return text.hexdigest()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, and the buffers that are saved with them, as they lie in the model; a tied one under its first name alone."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def _weights(model: Decoder | LanguageModel) -> dict[str, Weight]:
    """Where every weight of a model stands."""
    tensors = _tensors(_module(model))
    if isinstance(model, Decoder):
        names = {name: name.rpartition(".")[2] for name in tensors}
        parts = {name: {part for part, own in DECODER_PARTS.items() if last in own} for name, last in names.items()}
        matrices = {name for name, last in names.items() if last.startswith("W_")}
    else:
        whole = unwrapped(model.model)
        ends = [whole.get_input_embeddings(), whole.get_output_embeddings()]
        embeddings = [end.weight for end in ends if end is not None]
        family = next((family for family in FAMILIES if family.model_type == whole.config.model_type), None)
        places = {} if family is None else {"attention": f".{family.attention}.", "mlp": f".{family.mlp}."}
        parts = {
            name: {part for part, place in places.items() if place in name}
            | ({"norm"} if "norm" in name or ".ln_" in name else set())
            | ({"embedding"} if any(value is one for one in embeddings) else set())
            for name, value in tensors.items()
        }
        matrices = {name for name, value in tensors.items() if value.dim() > 1}
    return {
        name: Weight(
            tuple(value.shape), None if (number := BLOCK_NUMBER.search(name)) is None else int(number[1]),
            frozenset(parts[name]), name in matrices,
        )
        for name, value in tensors.items()
    }  # fmt: skip


def _is_part(name: str, weight: Weight, part: str) -> bool:
    """Whether the part is one of the weight's, the end of its module's name, or the end of its own."""
    return part in weight.parts or any(f".{ending}".endswith(f".{part}") for ending in (name, name.rpartition(".")[0]))


def _within_blocks(weights: Mapping[str, Weight]) -> list[str]:
    """The names of weights inside of a block, without its number."""
    names = [name.partition(f".{weight.layer}.")[2] for name, weight in weights.items() if weight.layer is not None]
    return list(dict.fromkeys(names))


def _check_fit(ours: Mapping[str, Weight], theirs: Mapping[str, Weight], here: str, there: str) -> None:
    """Nothing when both have the same weights of the same shapes."""
    for name in {**ours, **theirs}:
        said = [f"has shape {one[name].shape}" if name in one else "is missing" for one in (ours, theirs)]
        if said[0] != said[1]:
            raise InputError(
                f"a change fits models with the same weights, tied alike, and as many runs; '{visible(name)}' {said[0]} in "
                f"{here} and {said[1]} in {there}. Take models of one architecture and size"
            )


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise SettingsError(f"a share of entries must lie in [0, 1]; got {share}")


def _times(value: Tensor, scale: float) -> Tensor:
    return value if scale == 1.0 else value * scale
