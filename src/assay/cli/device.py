"""The option that says where language models are loaded, for the commands that load any."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from assay.cli.completing import one_of
from assay.core.device import DEVICES, asked_device, on_device

__all__ = ["DEVICE_OPTION", "device_of"]

DEVICE_OPTION = typer.Option(
    None,
    "--device",
    metavar="auto|cpu|cuda|mps",
    help="Where models are loaded and trained. [default: $ASSAY_DEVICE or cpu]",
    autocompletion=one_of(*DEVICES),
)


@contextmanager
def device_of(option: str | None) -> Iterator[None]:
    """Inside the block models are loaded on the device of the option, or of the variable; one that is not there is refused now.

    Raises:
        SettingsError: there is no such name.
        InputError: this machine has no such device.
    """
    with on_device(option):
        if asked_device() not in ("auto", "cpu"):
            from assay.models.device import chosen_device

            chosen_device()
        yield
