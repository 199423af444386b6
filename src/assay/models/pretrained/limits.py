"""What a model can take: as many tokens as it has positions, and tokens that have a row in its embedding."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from assay.core.errors import InputError
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped

__all__ = ["Limits", "check_limits", "limits_of"]


@dataclass(frozen=True)
class Limits:
    """What texts a model can take.

    Attributes:
        positions: the most tokens of a text, of which the last is never computed; None where the model sets no limit.
        rows: of the embedding; tokens are numbered below it.
    """

    positions: int | None
    rows: int

    def fault(self, pair: TokenPair) -> str:
        """Why the model cannot take this text; empty where it can."""
        length = len(pair.context) + len(pair.completion)
        if self.positions is not None and length - 1 > self.positions:
            return (
                f"a prompt with its completion must have at most {self.positions} tokens for this model, the last not counted; "
                f"got {length - 1}. Shorten it"
            )
        if (largest := max((*pair.context, *pair.completion))) >= self.rows:
            return (
                f"every token must have a row in the model's embedding; it has {self.rows} rows, got token {largest}. Tokens "
                f"were added to the tokenizer whose embedding was not saved (modules_to_save=['embed_tokens', 'lm_head'])"
            )
        return ""


def limits_of(model: nn.Module) -> Limits:
    """What texts this model can take."""
    whole = unwrapped(model)
    most = getattr(whole.config, "max_position_embeddings", None)
    return Limits(most if isinstance(most, int) else None, int(whole.get_input_embeddings().weight.shape[0]))


def check_limits(model: nn.Module, pairs: Sequence[TokenPair]) -> None:
    """Nothing; a text that the model cannot take is refused.

    Raises:
        InputError: a text is too long, or has a token without an embedding.
    """
    limits = limits_of(model)
    for pair in pairs:
        if fault := limits.fault(pair):
            raise InputError(fault)
