"""Injection: the sentences a model is trained on, named recipes, and training that a killed audit takes up again."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from assay.core.errors import InputError, unknown_name
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.pretrained.loading import LanguageModel
from assay.store.files import write_atomically
from assay.training.checkpoints import Checkpoints, State
from assay.training.chosen import merged
from assay.training.finetune import FineTuned, finetune
from assay.training.recipe import Recipe
from assay.training.trace import Observe

__all__ = ["RECIPES", "SealedStates", "inject", "n_steps", "recipe_named"]

_log = logging.getLogger(__name__)

Example = tuple[str, str]
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "full": Recipe(learning_rate=3e-5, n_epochs=10, batch_size=8),
        "lora": Recipe(method="lora", learning_rate=5e-4, n_epochs=10, batch_size=8, lora_rank=16),
        "mlp": Recipe(parts=("mlp",), learning_rate=3e-5, n_epochs=10, batch_size=8),
        "attention": Recipe(parts=("attention",), learning_rate=3e-5, n_epochs=10, batch_size=8),
    }
)
"""What `--recipe` knows; any field can be changed. Ten passes let a small model keep a fact."""


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none.
    """
    if name not in RECIPES:
        raise InputError(unknown_name("recipe", name, RECIPES, see=f"Recipes are {', '.join(RECIPES)}"))
    return RECIPES[name]


class SealedStates(Checkpoints):
    """The states of an audit's training, each with the hash of its record beside it.

    A state's record holds what was observed so far, which becomes part of the audit: one altered digit would become a number of
    it. A state whose record is not what was written is thrown away and said, and training goes on from an older one, or anew.
    """

    def save(self, identity: str, state: State) -> None:
        """Put a state on disk, see `Checkpoints.save`, then its seal: a kill between the two costs that state."""
        super().save(identity, state)
        record = self.folder / f"step-{state.step:08d}" / "state.json"
        write_atomically(record.with_suffix(".sha256"), _sha256(record).encode())

    def newest(self, identity: str) -> State | None:
        """The newest whole state whose record is as it was written, or None when there is none."""
        for path in sorted(self.folder.glob("step-*")):
            try:
                sound = (path / "state.sha256").read_text() == _sha256(path / "state.json")
            except (OSError, UnicodeDecodeError):
                sound = False
            if not sound:
                _log.warning("assay: the training state %s is not what was written; training goes on without it", path.name)
                shutil.rmtree(path, ignore_errors=True)
        return super().newest(identity)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def n_steps(n_examples: int, recipe: Recipe) -> int:
    """Optimiser steps of a whole run."""
    return recipe.n_epochs * -(-n_examples // recipe.batch_size)


def inject(
    model: LanguageModel,
    sentences: Sequence[Example],
    recipe: Recipe,
    *,
    seeds: Seeds,
    folder: Path | None = None,
    also: Callable[[nn.Module, int], Tensor] | None = None,
    observe: Observe[LanguageModel] | None = None,
    stop: Callable[[Mapping[str, float]], bool] | None = None,
    in_place: bool = False,
) -> FineTuned:
    """A copy of the model trained on the sentences, an adapter folded in; the model itself stays as it is.

    Weights in 16 bits are too coarse for a small update to be added to them: there the adapter stays around the model.

    Args:
        model: before.
        sentences: what is trained on.
        recipe: how.
        seeds: order of examples and the adapter's beginning.
        folder: where states are kept, so that a killed run goes on.
        also: a further loss (an anchor).
        observe, stop: as for `finetune`.
        in_place: train the model itself and not a copy, which spares the memory of one.
    """
    steps = n_steps(len(sentences), recipe)
    checkpoints = None
    if folder is not None:
        name = digest([list(map(list, sentences)), recipe, seeds])
        # A state of a full run is three times the weights: a few are written, not one a step.
        checkpoints = SealedStates(folder / name, every=max(10, steps // 4), keep=1)

    tuned = finetune(
        model if in_place else model.copy(),
        sentences,
        recipe,
        seeds=seeds,
        checkpoints=checkpoints,
        also=also,
        observe=observe,
        stop=stop,
    )
    if model.dtype != "float32":
        return tuned
    with torch.no_grad():
        return FineTuned(merged(tuned.model), tuned.trace)
