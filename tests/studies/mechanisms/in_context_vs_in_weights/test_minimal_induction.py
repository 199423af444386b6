"""The two-parameter induction head: its attention is the written-out one, and with large logits it solves the task."""

import numpy as np
import pytest
import torch

from assay.core.errors import InputError
from assay.studies.mechanisms.in_context_vs_in_weights.minimal_induction import MinimalInduction
from assay.studies.mechanisms.in_context_vs_in_weights.world import ItemLabelWorld


def model_with(beta_1: float, alpha: float, beta_2: float = 0.0, *, label_bias: bool = False) -> MinimalInduction:
    model = MinimalInduction(rng=np.random.default_rng(0), d_content=63, n_labels=32, label_bias=label_bias)
    model.gates.data[:] = torch.tensor([beta_1, alpha, beta_2])
    return model


def test_attention_is_the_written_out_one() -> None:
    content = torch.randn(2, 5, 63, generator=torch.Generator().manual_seed(0))
    beta_1, alpha, beta_2 = 1.3, 0.7, -0.4
    for biased in (False, True):
        attention = model_with(beta_1, alpha, beta_2, label_bias=biased).attention(content)
        for b in range(2):
            logits = []
            for j in range(5):
                weights = np.exp([beta_1 if i == j - 1 else 0.0 for i in range(j + 1)])
                carried = (weights[:, None] / weights.sum() * content[b, : j + 1].numpy()).sum(0)
                logits.append(alpha * content[b, -1].numpy() @ carried + (beta_2 if biased and j % 2 else 0.0))
            by_hand = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(attention[b].detach().numpy(), by_hand, rtol=1e-4)


def test_large_logits_attend_to_the_label_of_the_query_s_class() -> None:
    world = ItemLabelWorld.sample(rng=np.random.default_rng(1), n_classes=64)
    drawn = world.in_context(200, rng=np.random.default_rng(2), burst=1)
    attention = model_with(20.0, 40.0).attention(torch.from_numpy(drawn.content)).detach().numpy()
    on_label = (attention[:, 1::2] * drawn.matches).sum(1)
    first = drawn.matches[:, 0]  # the first token has nothing before it and carries itself, so it matches as well as its label
    assert on_label[~first].min() > 0.95
    np.testing.assert_allclose(on_label[first], 0.5, atol=0.1)
    even = model_with(0.0, 0.0).attention(torch.from_numpy(drawn.content)).detach().numpy()
    np.testing.assert_allclose(even, 1 / 17, rtol=1e-5)


def test_held_numbers_do_not_move_and_names_are_told() -> None:
    model = model_with(1.0, 2.0)
    assert model.parameters_by_name == {"beta_1": 1.0, "alpha": 2.0, "beta_2": 0.0}
    model.hold(True)
    model(torch.randn(4, 17, 63)).sum().backward()
    assert model.gates.grad is not None
    assert model.gates.grad.tolist() == [0.0, 0.0, 0.0]
    assert model.W_U.grad is not None


def test_runs_side_by_side_equal_runs_alone_and_held_gates_get_no_gradient() -> None:
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    several = MinimalInduction(rng=rngs, d_content=63, n_labels=32)
    several.gates.data[:] = torch.tensor([[1.0, 2.0, 0.0], [0.5, 3.0, 0.0], [2.0, 1.0, 0.0]])
    several.hold(np.array([False, True, False]))
    content = torch.randn(3, 4, 17, 63, generator=torch.Generator().manual_seed(0))
    logits = several(content)
    logits.square().sum().backward()
    for i in range(3):
        alone = MinimalInduction(rng=np.random.default_rng(i), d_content=63, n_labels=32)
        alone.gates.data[:] = several.gates[i].detach()
        torch.testing.assert_close(several.run(i)(content[i]), alone(content[i]), atol=0.0, rtol=0.0)
        single = alone(content[i])
        torch.testing.assert_close(logits[i], single, atol=1e-5, rtol=1e-5)
        single.square().sum().backward()
        for (name, together), parameter in zip(several.named_parameters(), alone.parameters(), strict=True):
            assert together.grad is not None
            assert parameter.grad is not None
            expected = torch.zeros(3) if name == "gates" and i == 1 else parameter.grad
            torch.testing.assert_close(together.grad[i], expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="run axis"):
        alone.run(0)
