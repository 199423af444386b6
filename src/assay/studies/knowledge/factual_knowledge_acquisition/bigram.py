"""A table of word pairs, with a run axis: what a model learns that cannot know whom a sentence is about."""

from jaxtyping import Float, Int
from torch import Tensor

from assay.models.decoder import Visitor, looked_up
from assay.models.runs import Parameters, SideBySide

__all__ = ["Bigram"]


class Bigram(SideBySide):
    """Logits u[word] + B[word before, word]; it starts at zero."""

    def __init__(self, n_words: int, n_runs: int) -> None:
        super().__init__(n_runs)
        parameter = Parameters(n_runs, None)
        self.u = parameter.zeros(n_words)
        self.B = parameter.zeros(n_words, n_words)

    def forward(
        self, inputs: Int[Tensor, "run batch pos"], *, at: int | None = None, visit: Visitor | None = None
    ) -> Float[Tensor, "run batch *pos n_words"]:
        """Logits at every position, or at position `at` alone; nothing can be visited."""
        if at is not None:
            inputs = inputs[..., [at]]
        logits = looked_up(self.B, inputs) + self.u[:, None, None, :]
        return logits if at is None else logits.squeeze(-2)
