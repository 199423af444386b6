"""Three gates against two: which of them says what a network answers when its attention is cut in part.

The paper's model has one gate a layer, nested: the log-odds of the right end are a constant times the first layer's gate times
the second's. Here both gates are not fitted but measured, as attention, while each is mixed with uniform attention by several
shares; what is fitted, on every second mixture, are that constant and one for guessing. The error on the other mixtures is
compared with that of rivals in which a gate is held open, plain or squared, or in which the two act side by side.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares

from assay.instruments.attention import attention_on
from assay.models.decoder import Decoder
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences

__all__ = ["MODELS", "NESTED", "log_error_ratios", "mixed_attention", "predictions"]

Values = Float[np.ndarray, " mixture"]
NESTED = "layer 1 times layer 2"
MODELS: dict[str, Callable[[Values, Values], Sequence[Values]]] = {
    NESTED: lambda first, second: (first * second,),
    "layer 1": lambda first, second: (first,),
    "layer 2": lambda first, second: (second,),
    "layer 1 squared": lambda first, second: (first**2,),
    "layer 2 squared": lambda first, second: (second**2,),
    "side by side": lambda first, second: (first, second),
}
RIVALS = tuple(name for name in MODELS if name != NESTED)


def mixed_attention(model: Decoder, drawn: ChainSequences, shares: Sequence[float]) -> tuple[Values, Values, Values]:
    """Both gates and the right end's share of the ends, for every pair of shares of uniform attention in layers 1 and 2.

    Layer 1's gate is the attention of every child on its parent, layer 2's that of the query on the asked chain's bridge, both
    as mixed. Pairs are in order, layer 2's share changing faster.
    """
    tokens = torch.from_numpy(drawn.tokens)
    n, n_tokens = tokens.shape
    even = torch.ones(n_tokens, n_tokens).tril()
    even /= even.sum(-1, keepdim=True)
    rows = (torch.arange(2, n_tokens - 1, 2), torch.tensor([n_tokens - 1]))
    keys = (torch.arange(1, n_tokens - 2, 2).expand(n, -1), torch.from_numpy(2 + 2 * drawn.asked_slots[:, :1]))
    found = []
    for mixture in ((one, other) for one in shares for other in shares):
        gates: dict[int, float] = {}

        def mix(site: str, layer: int, value: torch.Tensor) -> torch.Tensor | None:
            if site != "pattern" or layer > 1:
                return None
            value, own = value.clone(), rows[layer]
            value[..., own, :] = torch.lerp(value[..., own, :], even[own].to(value), mixture[layer])  # noqa: B023
            gates[layer] = float(attention_on(value, own.expand(n, -1), keys[layer]).max())  # noqa: B023
            return value

        with torch.no_grad():
            logits = model(tokens, visit=mix)[:, -1]
        among_ends = logits.gather(-1, torch.from_numpy(drawn.ends)).softmax(-1)
        right = among_ends[torch.arange(n), torch.from_numpy(drawn.asked)].mean()
        found.append((gates[0], gates[1], float(right)))
    first, second, answered = np.array(found).T
    return first, second, answered


def log_error_ratios(first: Values, second: Values, right: Values, n_ends: int, *, deviations: Values) -> dict[str, float]:
    """Logarithm of the nested gates' held-out error over the best rival's, for the network and for planted answers.

    Args:
        first: the first layer's gate in each mixture.
        second: the second layer's.
        right: the right end's share of the probability of all ends.
        n_ends: how many ends there are.
        deviations: of planted answers from what they follow: as large as those that other sequences would make.

    `network`: its own answers. `planted-three`: what the nested gates say, with these deviations; `planted-two`: likewise of
    the best rival.
    """
    found = predictions(first, second, right, n_ends)
    best = min(RIVALS, key=lambda name: _error(found[name], right))
    answers = {"network": right, "planted-three": found[NESTED] + deviations, "planted-two": found[best] + deviations}
    return {name: _log_ratio(first, second, one, n_ends) for name, one in answers.items()}


def predictions(first: Values, second: Values, right: Values, n_ends: int) -> dict[str, Values]:
    """What each model, fitted on every second mixture, says of all."""
    return {name: _fitted(np.stack(inputs(first, second), -1), right, n_ends - 1) for name, inputs in MODELS.items()}


def _fitted(x: Float[np.ndarray, "mixture input"], right: Values, others: int) -> Values:
    def said(parameters: np.ndarray, at: Float[np.ndarray, "mixture input"]) -> Values:
        log_odds = at @ parameters[:-1] + parameters[-1]
        return np.asarray(1 / (1 + others * np.exp(-np.clip(log_odds, -60, 60))))

    start = np.array([10.0] * x.shape[1] + [0.0])
    fit = least_squares(lambda parameters: said(parameters, x[::2]) - right[::2], x0=start)
    return said(fit.x, x)


def _error(said: Values, right: Values) -> float:
    """Root mean squared error in the mixtures that nothing was fitted on."""
    return float(np.sqrt(np.mean((said - right)[1::2] ** 2)))


def _log_ratio(first: Values, second: Values, right: Values, n_ends: int) -> float:
    errors = {name: _error(said, right) for name, said in predictions(first, second, right, n_ends).items()}
    least = min(errors[name] for name in RIVALS)
    return math.log(errors[NESTED] / least) if errors[NESTED] > 0 and least > 0 else math.nan
