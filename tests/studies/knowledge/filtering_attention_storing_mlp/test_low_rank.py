"""Low-rank updates: nothing at first, of the rank asked for, the same once merged; the base never moves."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.filtering_attention_storing_mlp.low_rank import LowRank
from assay.training.losses import Batch, last_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, train

CONFIG = DecoderConfig(7, 11, n_layers=1, n_heads=2, d_model=16, d_mlp=24, positions="learned", n_positions=8)
NAMES = ("blocks.0.W_Q", "blocks.0.W_in", "W_E")


def base_of(n_runs: int | None) -> Decoder:
    rngs = [np.random.default_rng(i) for i in range(n_runs or 1)]
    return Decoder.init(CONFIG, rngs if n_runs else rngs[0])


@pytest.mark.parametrize("n_runs", [None, 3])
def test_updates_start_as_nothing_and_keep_their_rank(n_runs: int | None) -> None:
    base = base_of(n_runs)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    model = LowRank(base, NAMES, rank=2, rng=np.random.default_rng(9))
    rng, lead = np.random.default_rng(1), () if n_runs is None else (n_runs,)
    tokens = torch.from_numpy(rng.integers(11, size=(*lead, 6, 5)))
    assert torch.equal(model(tokens), base(tokens))

    batch = Batch(tokens, torch.from_numpy(rng.integers(7, size=(*lead, 6))))
    trace = train(model, Stage(20, lambda step: batch, last_token_loss), Optimiser("adamw", 1e-2))
    assert (trace.loss_nats[:, -1] < trace.loss_nats[:, 0]).all()
    torch.testing.assert_close(model.merged()(tokens), model(tokens))
    for name, value in base.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in model.weights().items():
        moved = value.detach() - before[name]
        if name in NAMES:
            assert (torch.linalg.matrix_rank(moved, rtol=1e-3) == 2).all(), name
        else:
            assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("names", "rank", "message"),
    [(NAMES, 0, "rank of at least 1"), ((), 1, "and a matrix"), (("W_X",), 1, "W_X"), (("w_final",), 1, "beside a matrix")],
)
def test_impossible_updates_are_refused(names: tuple[str, ...], rank: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        LowRank(base_of(2), names, rank=rank, rng=np.random.default_rng(0))
