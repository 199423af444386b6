"""Where tensors are made: on the device that was asked for, whatever function makes them, and nowhere else afterwards.

No GPU is at hand; torch's device without values (`meta`) says where a tensor would be.
"""

import numpy as np
import pytest
import torch

from assay.core.device import on_device
from assay.core.errors import InputError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.device import placed_on, tensors_on

META = torch.device("meta")
CONFIG = DecoderConfig(11, vocab_size=11, n_heads=2, d_model=16, d_mlp=32)


def test_every_way_to_make_a_tensor_is_on_the_device() -> None:
    with placed_on(META):
        made = [torch.zeros(2), torch.ones(2), torch.arange(3), torch.tensor([1.0]), torch.full((2,), 1.0), torch.empty(2)]
        made += [
            torch.from_numpy(np.ones(2)),
            torch.as_tensor(np.ones(2)),
            torch.eye(2),
            torch.randn(2),
            torch.zeros_like(made[0]),
        ]
        made += [torch.nn.Parameter(torch.zeros(2)).data]
        named = torch.zeros(2, device="cpu")
    assert {tensor.device.type for tensor in made} == {"meta"}
    assert named.device.type == "cpu"
    assert torch.zeros(2).device.type == torch.from_numpy(np.ones(2)).device.type == "cpu"


@pytest.mark.parametrize("n_runs", [1, 3])
def test_a_step_of_training_leaves_nothing_on_the_cpu(n_runs: int) -> None:
    rngs = [np.random.default_rng(seed) for seed in range(n_runs)]
    with placed_on(META):
        model = Decoder.init(CONFIG, rngs if n_runs > 1 else rngs[0])
        tokens = torch.from_numpy(np.zeros((n_runs, 4, 8) if n_runs > 1 else (4, 8), dtype=np.int64))
        logits = model(tokens)
        optimiser = torch.optim.AdamW(model.parameters())
        logits.logsumexp(-1).sum().backward()
        optimiser.step()
    assert logits.device == META
    assert {parameter.device for parameter in model.parameters()} == {META}
    assert {parameter.grad.device for parameter in model.parameters() if parameter.grad is not None} == {META}


def test_on_the_cpu_numbers_are_the_same_to_the_bit() -> None:
    def losses() -> np.ndarray:
        model = Decoder.init(CONFIG, np.random.default_rng(0))
        optimiser = torch.optim.AdamW(model.parameters())
        found = []
        for _ in range(3):
            loss = model(torch.from_numpy(np.arange(32).reshape(4, 8) % 11)).logsumexp(-1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found.append(loss.detach().numpy())
        return np.asarray(found)

    plain = losses()
    with placed_on(torch.device("cpu")):
        np.testing.assert_array_equal(losses(), plain)
        np.testing.assert_array_equal(np.asarray(torch.arange(3)), [0, 1, 2])


def test_what_is_asked_for_is_where_tensors_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with on_device("cpu"), tensors_on():
        assert torch.zeros(1).device.type == "cpu"
    monkeypatch.setattr("assay.models.device.chosen_device", lambda name: torch.device(name or "cpu"))
    with tensors_on("meta"):
        assert torch.zeros(1).device.type == "meta"
    with tensors_on("mps"):
        assert torch.zeros(1).device.type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said without a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="sees 0 CUDA devices"), tensors_on("cuda"):
        pass
