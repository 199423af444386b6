"""The suite checks shapes: what a function of a general room says of its arrays is held against what it gets and returns."""

import importlib
import inspect
import pkgutil

import jaxtyping
import pytest
import torch
from tests.conftest import ROOMS, says_arrays

from assay.training.losses import answer_loss

LOGITS = torch.zeros(3, 5)


def test_a_false_shape_is_noticed():
    answer_loss(LOGITS, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(jaxtyping.TypeCheckError):
        answer_loss(LOGITS, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(jaxtyping.TypeCheckError):
        answer_loss(LOGITS, torch.zeros(3))


@pytest.mark.parametrize("room", ROOMS)
def test_every_function_that_speaks_of_arrays_is_looked_at(room):
    package = importlib.import_module(f"assay.{room}")
    found = {}
    for place in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(place.name)
        own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
        methods = [one for cls in own if inspect.isclass(cls) for one in vars(cls).values()]
        for one in filter(inspect.isfunction, [*own, *methods]):
            if any(map(says_arrays, one.__annotations__.values())) and one.__code__.co_name != "__init__":
                found[f"{module.__name__}.{one.__qualname__}"] = hasattr(one, "__wrapped__")
    assert found
    assert [name for name, looked_at in found.items() if not looked_at] == []
