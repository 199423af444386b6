"""Written-out gradients: values and slopes are the library's, and differences agree with them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.models.fused import cross_entropies, gelu, rms_norm, rotate, turns

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return (2 * torch.randn(shape, generator=GENERATOR, dtype=torch.float64)).requires_grad_()


def test_gelu_is_the_library_s() -> None:
    x = normal(50)
    torch.testing.assert_close(gelu(x), F.gelu(x, approximate="tanh"))
    assert torch.autograd.gradcheck(gelu, x)
    wide = torch.tensor([-1e4, -30.0, 0.0, 30.0, 1e4], requires_grad=True)
    assert gelu(wide).tolist() == [0, 0, 0, 30, 1e4]
    (slope,) = torch.autograd.grad(gelu(wide).sum(), wide)
    assert slope.tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("n_runs", [None, 1, 3])
def test_rms_norm_is_the_library_s_of_each_run(n_runs: int | None) -> None:
    lead = () if n_runs is None else (n_runs,)
    x, weight = normal(*lead, 4, 5, 6), normal(*lead, 6)
    runs = [(x, weight)] if n_runs is None else list(zip(x, weight, strict=True))
    theirs = torch.stack([F.rms_norm(one, (6,), scale, 1e-5) for one, scale in runs]).view(x.shape)
    torch.testing.assert_close(rms_norm(x, weight, 1e-5), theirs)
    assert torch.autograd.gradcheck(lambda a, b: rms_norm(a, b, 1e-5), (x, weight))


def test_rotation_turns_pairs_and_its_slope_turns_back() -> None:
    x = normal(2, 5, 6)
    cos, sin = turns(6, 100.0, 3, 5, torch.float64, x.device)
    pairs = torch.complex(x[..., :3], x[..., 3:]) * torch.complex(cos, sin)
    torch.testing.assert_close(rotate(x, cos, sin), torch.cat((pairs.real, pairs.imag), -1))
    torch.testing.assert_close(cos[:, 0], torch.cos(torch.arange(3.0, 8.0, dtype=torch.float64)))
    assert torch.autograd.gradcheck(lambda a: rotate(a, cos, sin), x)


def test_cross_entropies_are_the_library_s() -> None:
    logits, targets = normal(7, 9), torch.tensor([0, 8, -100, 3, 3, -100, 1])
    theirs = F.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(cross_entropies(logits, targets, ignored=-100), theirs)
    assert torch.autograd.gradcheck(lambda a: cross_entropies(a, targets, ignored=-100), logits)
    (slope,) = torch.autograd.grad(theirs.square().sum(), logits)
    (ours,) = torch.autograd.grad(cross_entropies(logits, targets, ignored=-100).square().sum(), logits)
    torch.testing.assert_close(ours, slope)


def test_cross_entropies_of_hopeless_targets_stay_finite() -> None:
    logits = torch.tensor([[0.0, -300.0, 50.0], [1e4, 0.0, 0.0]], requires_grad=True)
    losses = cross_entropies(logits, torch.tensor([1, 0]), ignored=-100)
    assert losses.tolist() == [350, 0]
    (slope,) = torch.autograd.grad(losses.sum(), logits)
    torch.testing.assert_close(slope, torch.tensor([[0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]))
