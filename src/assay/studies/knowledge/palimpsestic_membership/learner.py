"""Alice's trainer: small decoders side by side, each in its own order; they can be forked with their optimiser's moments."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Int

from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.fused import cross_entropies
from assay.models.sampling import sample
from assay.studies.knowledge.palimpsestic_membership.settings import Scale
from assay.studies.knowledge.palimpsestic_membership.stories import BEGIN
from assay.training.losses import IGNORED, Batch, next_token_loss
from assay.training.optimiser import Optimiser, Stepper
from assay.training.order import Order

__all__ = ["Learner", "losses", "network", "written"]

Texts = Int[np.ndarray, "text place"]
SCORED = 32  # texts of each run computed at a time: more leave the cache, and take twice as long


class Learner:
    """Decoders that train side by side: the weights, and what their optimiser remembers.

    Attributes:
        model: with a run axis.
        optimiser: one for all runs, or one a run; they may differ in rate and decay.
    """

    def __init__(self, model: Decoder, optimiser: Optimiser | Sequence[Optimiser]) -> None:
        self.model, self.optimiser = model, optimiser
        self.parameters = list(model.parameters())
        self.stepper = Stepper(self.parameters, optimiser, n_runs=model.n_runs)

    @classmethod
    def fresh(
        cls, config: DecoderConfig, optimiser: Optimiser | Sequence[Optimiser], rngs: Sequence[np.random.Generator]
    ) -> "Learner":
        """One run for each generator, which its weights are drawn from."""
        return cls(Decoder.init(config, list(rngs)), optimiser)

    def forked(self, runs: Sequence[int], optimiser: Optimiser | Sequence[Optimiser] | None = None) -> "Learner":
        """Copies of these runs with their moments, for which the optimiser is one for all; another optimiser begins anew."""
        copy = Learner(self.model.select(runs), optimiser or self.optimiser)
        if optimiser is None:
            copy.stepper.moments = [[moment[list(runs)].clone() for moment in some] for some in self.stepper.moments]
            copy.stepper.taken = [taken.clone() for taken in self.stepper.taken]
        return copy

    def train(
        self,
        texts: Sequence[Texts],
        orders: Sequence[Order],
        first: int = 0,
        last: int | None = None,
        *,
        decay_from: float = 1.0,
    ) -> "Learner":
        """Takes the steps from `first` to before `last` of each run's order through its texts; returns itself.

        Behind the share `decay_from` of all steps the rate falls linearly, to zero at the end.

        Raises:
            Diverged: a run's weights left the finite numbers.
        """
        n_steps = orders[0].n_steps
        last = n_steps if last is None else last
        assert all(order.n_steps == n_steps for order in orders)
        with _without_denormals():
            for step in range(first, last):
                batch = np.stack([own[order.batch(step)] for own, order in zip(texts, orders, strict=True)])
                self.step(_lesson(batch), min(1.0, (1 - step / n_steps) / (1 - decay_from)) if decay_from < 1 else 1.0)
                if step % 25 == 0:
                    progress((step - first) / (last - first))
        if not all(bool(torch.isfinite(value).all()) for value in self.parameters):
            raise Diverged(last, math.nan)
        return self

    def step(self, batch: Batch, share_of_rate: float = 1.0) -> None:
        """One step of every run."""
        loss = next_token_loss(self.model, batch)
        self.stepper.step(torch.autograd.grad(loss.sum(), self.parameters), share_of_rate)


def network(scale: Scale) -> DecoderConfig:
    """The network of a run."""
    return DecoderConfig(
        scale.n_words, scale.n_words, n_layers=scale.n_layers, d_model=scale.d_model, d_mlp=4 * scale.d_model,
        n_positions=scale.length,
    )  # fmt: skip


def losses(model: Decoder, texts: Texts) -> Float[np.ndarray, "run text"]:
    """Mean loss of every text's words under each run, in nats."""
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), SCORED):
            some = np.broadcast_to(texts[start : start + SCORED], (model.n_runs or 1, *texts[start : start + SCORED].shape))
            batch = _lesson(some)
            logits = model(batch.inputs)
            each = cross_entropies(logits.flatten(0, -2), batch.targets.flatten(), ignored=IGNORED)
            found.append(each.view(batch.targets.shape).mean(-1).double().numpy())
    return np.concatenate(found, axis=1)


def written(model: Decoder, run: int, n: int, length: int, rng: np.random.Generator) -> Texts:
    """Texts that a run writes, the beginning in front."""
    drawn = sample(model.run(run), [[BEGIN]], n=n, n_new=length, rng=rng)
    return np.concatenate([np.full((n, 1), BEGIN), drawn.tokens[0]], axis=1)


def _lesson(texts: Int[np.ndarray, "run text place"]) -> Batch:
    tokens = torch.from_numpy(np.array(texts))
    return Batch(tokens[..., :-1].contiguous(), tokens[..., 1:].contiguous())


@contextmanager
def _without_denormals() -> Iterator[None]:
    """As in `sequence.train`: numbers below 1.2e-38 count as zero."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
