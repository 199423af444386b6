"""The device that models are loaded and trained on, as torch knows it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from assay.core.device import VARIABLE, asked_device
from assay.core.errors import InputError

__all__ = ["chosen_device", "placed_on", "tensors_on"]


def chosen_device(name: str | None = None) -> torch.device:
    """The device of that name, or the one that is asked for by option or variable; `auto` is the first GPU, else the CPU.

    Raises:
        SettingsError: there is no such name.
        InputError: this machine, or this torch, has no such device.
    """
    found = asked_device(name)
    if found == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = found.partition(":")
    if kind == "cuda" and (not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count()):
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise InputError(
            f"a device must be there; this torch ({torch.__version__}) sees {there} CUDA devices; got '{found}'. Take "
            f"--device cpu or auto ({VARIABLE}), or install a driver and a torch that was built for CUDA"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            f"a device must be there; 'mps' needs a Mac with Apple's chips and a torch built for it. Take --device cpu or auto "
            f"({VARIABLE})"
        )
    return torch.device(found)


@contextmanager
def tensors_on(name: str | None = None) -> Iterator[None]:
    """Inside the block every tensor is made on that device, those from arrays too; arrays are read from it by themselves.

    So studies whose tiny models are written without a device are computed where `--device` says. Nothing is done on the CPU,
    nor on Apple's chips, which know no double precision.

    Raises:
        SettingsError: there is no such name.
        InputError: this machine, or this torch, has no such device.
    """
    device = chosen_device(name)
    if device.type in {"cpu", "mps"}:
        yield
        return
    with placed_on(device):
        yield


@contextmanager
def placed_on(device: torch.device) -> Iterator[None]:
    """Inside the block tensors are made on the device, unless one is named, and read from it where they become arrays."""
    from_numpy = torch.from_numpy
    # torch shows this one function to no mode.
    torch.from_numpy = lambda array: from_numpy(array).to(device)  # type: ignore[assignment]
    try:
        with device, _ReadAsArrays():
            yield
    finally:
        torch.from_numpy = from_numpy


class _ReadAsArrays(TorchFunctionMode):
    """Brings a tensor back before it becomes an array."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            args = (args[0].cpu(), *args[1:])
        return func(*args, **(kwargs or {}))
