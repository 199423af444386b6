"""The step without bookkeeping: the library's own, to the bit."""

import torch

from assay.training.optimiser import Optimiser, Stepper


def test_equals_the_library_s_step_to_the_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((7, 5), (3,), (2, 4, 6), (1,))
    ours = [torch.randn(shape, generator=generator) for shape in shapes]
    theirs = [value.clone().requires_grad_() for value in ours]
    library = torch.optim.AdamW(theirs, lr=1.0, betas=(0.8, 0.9), weight_decay=0.3, fused=True)
    stepper = Stepper(ours, Optimiser(learning_rate=1.0, betas=(0.8, 0.9), weight_decay=0.3))
    for count in range(5):
        gradients: list[torch.Tensor | None] = [torch.randn(shape, generator=generator) for shape in shapes]
        gradients[0] = torch.randn(5, 7, generator=generator).T  # lies in memory otherwise than its parameter
        gradients[3] = None if count < 2 else gradients[3]  # its moments start later
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.contiguous()
        library.param_groups[0]["lr"] = rate = 0.1 / (1 + count)
        library.step()
        stepper.step(gradients, rate)
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine, other)
