"""The model that an experiment names in its settings: one on this machine, or a random one made in memory. Loads no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assay.models.pretrained.loading import LanguageModel

__all__ = ["NamesModel", "base_model", "check_own_folder", "find_model", "folder_of"]

TINY = "tiny"


class NamesModel(Protocol):
    """Settings that name a model."""

    @property
    def model(self) -> str:
        """A name of `assay models list`, a folder, or 'tiny'."""
        ...


def find_model(settings: NamesModel) -> None:
    """Nothing; raises `InputError` if the model is not on this machine, or is a folder that breaks a limit.

    What an experiment's `ready` wants.
    """
    folder_of(settings.model)
    check_own_folder(settings.model)


def check_own_folder(source: str | Path) -> None:
    """Nothing; a folder of the user's own whose declarations break a limit is refused before anything of it is built.

    Names are passed over: what is in the cache was looked at when it was added.

    Raises:
        InputError: what must hold, what was got, and in which file.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        from assay.models.pretrained.folder_limits import check_model_folder

        check_model_folder(folder)


def folder_of(name: str) -> Path | None:
    """Where the model lies; None for the random one made in memory.

    Raises:
        InputError: it is not there.
    """
    if name == TINY:
        return None
    from assay.models.pretrained.loading import locate

    return locate(name)


def base_model(name: str) -> "LanguageModel":
    """The model as it is on this machine, loaded anew for every run, because a fine-tuned copy shares nothing with it.

    Raises:
        InputError: it is not there, or the device that is asked for is not.
    """
    if name == TINY:
        from assay.models.device import chosen_device
        from assay.models.pretrained.tiny import tiny_language_model

        made = tiny_language_model()
        made.model.to(chosen_device())
        made.model.config.max_position_embeddings = 2048  # its tokens are letters; rotary positions need no table
        return made
    from assay.models.pretrained.loading import load

    return load(name)
