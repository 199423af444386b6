"""The device that models are loaded and trained on, as torch knows it."""

import torch

from assay.core.device import VARIABLE, asked_device
from assay.core.errors import InputError

__all__ = ["chosen_device"]


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
