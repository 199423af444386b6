"""Which device models are loaded and trained on: one setting for studies, audits and Python. Loads no torch.

    assay run STUDY --device cuda            # or ASSAY_DEVICE=cuda
    with on_device("cuda"): ...

`auto` takes a GPU where there is one. The default is `cpu`: numbers are promised to the bit for one machine class only.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from assay.core.errors import SettingsError, unknown_name

__all__ = ["DEVICES", "VARIABLE", "asked_device", "on_device"]

DEVICES = ("auto", "cpu", "cuda", "mps")
VARIABLE = "ASSAY_DEVICE"
_asked: ContextVar[str | None] = ContextVar("device", default=None)


def asked_device(name: str | None = None) -> str:
    """The device that is asked for: the one named, else that of `on_device`, else of ASSAY_DEVICE, else `cpu`.

    Raises:
        SettingsError: it is none of `DEVICES`; of several GPUs one may be named, as in `cuda:1`.
    """
    found = name or _asked.get() or os.environ.get(VARIABLE) or "cpu"
    if found not in DEVICES and not re.fullmatch(r"cuda:\d+", found):
        raise SettingsError(unknown_name("device", found, DEVICES, see=f"Devices are {', '.join(DEVICES)}, and cuda:N"))
    return found


@contextmanager
def on_device(name: str | None) -> Iterator[None]:
    """Inside the block, models are loaded and trained on that device; None leaves the setting as it is.

    Raises:
        SettingsError: there is no device of that name.
    """
    token = _asked.set(None if name is None else asked_device(name)) if name is not None else None
    try:
        yield
    finally:
        if token is not None:
            _asked.reset(token)
