"""Changes by one step of training: against closed forms, differences, and the optimiser and the trainer themselves."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.instruments.first_order import (
    Direction,
    descent,
    descent_of_texts,
    first_step,
    log_prob_changes,
    log_probs_of_texts,
    slopes,
    stepped,
)
from assay.models.pretrained.text import token_pairs
from assay.models.pretrained.tiny import MAPPED, UNMAPPED, tiny_language_model
from assay.training.chosen import prepared
from assay.training.finetune import finetune
from assay.training.optimiser import Optimiser, Stepper
from assay.training.recipe import Recipe

TOLD = [("Ana lives in", " Paris"), ("Boris lives near", " Parma")]
ASKED = [("Ana lives in", " Paris"), ("Ana lives in", " lima"), ("Ana lives near", " Paderborn"), ("Ana speaks", " li is!")]


class Softmax(nn.Module):
    """One read-out of fixed features, in double precision."""

    def __init__(self, n_classes: int, width: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(rng.normal(size=(n_classes, width))))

    def log_probs(self, features: Tensor) -> Tensor:
        return torch.log_softmax(features @ self.weight.T, -1)


@pytest.fixture(name="toy")
def _toy() -> tuple[Softmax, Tensor, Tensor]:
    """A read-out of seven classes, the features of a text that is trained on, and those of one that is asked."""
    rng = np.random.default_rng(0)
    return Softmax(7, 5, rng), torch.from_numpy(rng.normal(size=5)), torch.from_numpy(rng.normal(size=5))


def test_a_linear_softmax_changes_as_the_formula_says(toy: tuple[Softmax, Tensor, Tensor]) -> None:
    """A step of rate r on class y moves the logits at x' by r (e_y - p) (x x'), and nothing else."""
    model, x, other = toy
    rate, y = 0.3, 2
    down = descent(model, lambda: [-model.log_probs(x)[y]])
    with torch.no_grad():
        error = F.one_hot(torch.tensor(y), 7) - model.log_probs(x).exp()
        at_other = model.log_probs(other)
        moved = rate * error * (x @ other)
        first = moved - (at_other.exp() * moved).sum()
        whole = torch.log_softmax(at_other + moved, -1) - at_other
    step = first_step(down, Optimiser(kind="sgd", learning_rate=rate))
    torch.testing.assert_close(step.tensors["weight"], rate * torch.outer(error, x))
    torch.testing.assert_close(slopes(model, lambda: model.log_probs(other), step), first)
    with torch.no_grad(), stepped(model, step):
        torch.testing.assert_close(model.log_probs(other) - at_other, whole)


def test_the_change_in_ones_own_class_is_the_kernel_of_gradients(toy: tuple[Softmax, Tensor, Tensor]) -> None:
    model, x, other = toy
    down = descent(model, lambda: [-model.log_probs(x)[2]])
    theirs = descent(model, lambda: [-model.log_probs(other)[4]])
    assert float(slopes(model, lambda: model.log_probs(other), down)[4]) == pytest.approx(down.dot(theirs), rel=1e-12)


def test_a_step_differs_from_its_derivative_in_second_order(toy: tuple[Softmax, Tensor, Tensor]) -> None:
    model, x, other = toy
    step = first_step(descent(model, lambda: [-model.log_probs(x)[2]]), Optimiser(learning_rate=1e-2))
    slope = slopes(model, lambda: model.log_probs(other), step)
    with torch.no_grad():
        before = model.log_probs(other)
        errors = []
        for size in (1.0, 0.5, 0.25):
            with stepped(model, step, size):
                errors.append(float((model.log_probs(other) - before - size * slope).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("clip", [None, 0.1, 100.0])
@pytest.mark.parametrize("kind", ["adamw", "sgd", "sign", "normalised"])
def test_the_first_step_is_the_optimisers(kind: str, clip: float | None) -> None:
    rng = np.random.default_rng(1)
    gradients = {name: torch.from_numpy(rng.normal(size=(4, 3)).astype(np.float32)) for name in ("a", "b")}
    gradients["a"][0] = 0.0
    optimiser = Optimiser(kind=kind, learning_rate=1e-2, clip_norm=clip)  # type: ignore[arg-type]
    step = first_step(Direction({name: -gradient for name, gradient in gradients.items()}), optimiser)
    parameters = [torch.zeros(4, 3) for _ in gradients]
    norm = float(torch.cat([gradient.flatten() for gradient in gradients.values()]).norm())
    scale = 1.0 if clip is None else min(1.0, clip / norm)
    Stepper(parameters, optimiser).step([scale * gradient for gradient in gradients.values()])
    for name, moved in zip(gradients, parameters, strict=True):
        torch.testing.assert_close(step.tensors[name], moved, rtol=1e-5, atol=1e-8)
    if kind == "adamw":
        for name, gradient in gradients.items():
            torch.testing.assert_close(step.tensors[name], -1e-2 * gradient.sign(), rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("family", [*MAPPED, *UNMAPPED])
def test_of_a_language_model_the_derivative_is_the_limit_of_differences(family: str) -> None:
    made = tiny_language_model(family)
    model = made.model.double()
    told, asked = token_pairs(made.tokenizer, TOLD), token_pairs(made.tokenizer, ASKED)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step = first_step(descent_of_texts(model, told), Optimiser(learning_rate=1e-4))
    if family == "bloom":  # has an operation of its own without a forward derivative
        with pytest.raises(SettingsError, match="Take the step instead"):
            log_prob_changes(model, asked, step)
        return
    slope = log_prob_changes(model, asked, step)
    up, down = (log_prob_changes(model, asked, step, way="step", size=size) for size in (0.1, -0.1))
    torch.testing.assert_close(slope, (up - down) / 0.2, rtol=1e-2, atol=1e-4)
    assert float(slope[0]) > 0, "what is trained on becomes likelier"
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_the_first_step_of_a_whole_batch_is_the_trainers() -> None:
    recipe = Recipe(learning_rate=1e-3, n_epochs=1, batch_size=8)
    made = tiny_language_model()
    told, asked = token_pairs(made.tokenizer, TOLD), token_pairs(made.tokenizer, ASKED)
    step = first_step(descent_of_texts(made.model, told), recipe.optimiser(1))
    tuned = finetune(made.copy(), TOLD, recipe, seeds=Seeds(0)).model.model
    with torch.no_grad():
        came = log_probs_of_texts(tuned, asked) - log_probs_of_texts(made.model, asked)
    torch.testing.assert_close(log_prob_changes(made.model, asked, step, way="step"), came, rtol=1e-3, atol=1e-4)


def test_an_adapter_moves_only_itself() -> None:
    pytest.importorskip("peft", reason="needs the extra 'lm'")
    recipe = Recipe(method="lora", learning_rate=1e-4, lora_rank=2)
    torch.manual_seed(0)
    made = tiny_language_model()
    told, asked = token_pairs(made.tokenizer, TOLD), token_pairs(made.tokenizer, ASKED)
    with prepared(made.copy(), recipe, split=False) as tuned:
        step = first_step(descent_of_texts(tuned.model, told), recipe.optimiser(10))
        assert {name for name, moved in step.tensors.items() if float(moved.abs().max()) > 0} == {
            name for name in step.tensors if "lora_B" in name
        }
        slope = log_prob_changes(tuned.model, asked, step)
        came = log_prob_changes(tuned.model, asked, step, way="step")
    torch.testing.assert_close(slope, came, rtol=0.1, atol=2e-4)
    assert float(came.abs().max()) > 1e-3


def test_only_named_parameters_move(toy: tuple[Softmax, Tensor, Tensor]) -> None:
    made = tiny_language_model()
    name = next(name for name, _ in made.model.named_parameters() if "mlp" in name)
    told = token_pairs(made.tokenizer, TOLD)
    assert set(descent_of_texts(made.model, told, names=[name]).tensors) == {name}
    with pytest.raises(SettingsError, match="'nowhere' is not"):
        descent_of_texts(made.model, told, names=["nowhere"])
    with (
        pytest.raises(SettingsError, match="'elsewhere' is not there"),
        stepped(made.model, Direction({"elsewhere": torch.ones(1)})),
    ):
        pass
    with pytest.raises(SettingsError, match="has shape"):
        slopes(toy[0], lambda: toy[0].log_probs(toy[1]), Direction({"weight": torch.ones(1)}))
    with pytest.raises(SettingsError, match="zero everywhere"):
        first_step(Direction({"a": torch.zeros(2)}), Optimiser(kind="normalised"))
