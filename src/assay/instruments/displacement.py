"""What training on a pair will do to the chosen answer, told beforehand: similarities of states, and exact first-order changes.

    scores = similarities(model, pairs)                       # CHES and its rivals, one number a pair
    scores.ches_per_token, scores.weighted
    own = forecast_alone(model, pairs)                        # d log p(y+) and d log p(y-) by a step on that pair alone
    both = forecast_together(model, pairs, optimiser=RmsProp(learning_rate=1e-6), slope=0.05)   # by a first step on all of them

Training on a pair raises log p(y+) - log p(y-), and log p(y+) itself falls where grad log p(y+) points more along
grad log p(y-) than along itself. CHES (Razin et al. 2024, arXiv:2410.08847) reads that off the states that the read-out is fed
with; the forecast computes it. In a model whose states and read-out are free, the theorem's own coefficients make it exact:
`flow_terms`.

Pairs are answers in tokens, as `assay.training.preference` has them: the token that ends an answer is one of its tokens, and
the state that predicts it counts.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from assay.core.errors import InputError, SettingsError
from assay.instruments.first_order import Direction, descent, first_step, log_prob_changes
from assay.models.decoder import Decoder
from assay.models.fused import cross_entropies
from assay.models.pretrained.limits import check_limits
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, evaluating
from assay.models.pretrained.text import TokenPair
from assay.models.sites import unwrapped
from assay.training.optimiser import Optimiser
from assay.training.preference import answer_log_probs

__all__ = [
    "AnswerStates",
    "FlowTerms",
    "Forecast",
    "Similarities",
    "ches",
    "coefficients",
    "edit_distance",
    "flow_terms",
    "forecast_alone",
    "forecast_together",
    "mass_alignment",
    "similarities",
    "states_of",
    "taken_step",
    "weighted_ches",
]

Pair = tuple[TokenPair, TokenPair]
Model = Decoder | LanguageModel


@dataclass(frozen=True, eq=False)
class AnswerStates:
    """What the read-out is fed with when an answer is told, and what it says, one row a token of the answer.

    Attributes:
        tokens: of the answer.
        states: the state that predicts each of them; the first one stands at the last token of the prompt.
        laws: probabilities of the next token there.
    """

    tokens: Int[np.ndarray, " token"]
    states: Float[np.ndarray, "token d_model"]
    laws: Float[np.ndarray, "token vocab"]


# ---------------------------------------------------------------------------------------------------------- similarities


def ches(
    chosen: Float[np.ndarray, "token d_model"], rejected: Float[np.ndarray, "other d_model"], *, per_token: bool = False
) -> float:
    """Centred hidden embedding similarity, <S+, S-> - |S+|**2 with S the sum of an answer's states; high foretells a fall.

    Args:
        chosen: states of the chosen answer.
        rejected: states of the other one.
        per_token: sums become means, so that long rejected answers do not score high by their length.

    Source: Razin et al. 2024, arXiv:2410.08847, definition 2, and section 6.3 for means.
    """
    mine, other = (states.mean(0) if per_token else states.sum(0) for states in (chosen, rejected))
    return float(mine @ other - mine @ mine)


def coefficients(one: AnswerStates, other: AnswerStates) -> Float[np.ndarray, "token other"]:
    """<e_y - p, e_y' - p'> for each two tokens of two answers, in [-2, 2]: what CHES sets to one.

    Source: Razin et al. 2024, arXiv:2410.08847, theorem 6 (there a+ for one answer with itself, a- for the two).
    """
    same = (one.tokens[:, None] == other.tokens).astype(float)
    mine, theirs = one.laws[:, other.tokens], other.laws[:, one.tokens].T
    return np.asarray(same - mine - theirs + one.laws @ other.laws.T)


def weighted_ches(chosen: AnswerStates, rejected: AnswerStates) -> float:
    """CHES with the theorem's coefficients: minus the part of d log p(y+) that comes through the read-out, per unit of -l'."""
    across = (coefficients(chosen, rejected) * (chosen.states @ rejected.states.T)).sum()
    return float(across - (coefficients(chosen, chosen) * (chosen.states @ chosen.states.T)).sum())


@dataclass(frozen=True)
class FlowTerms:
    """d log p(y+) / dt where read-out and states are free, in parts, per unit of -l' (beta / 2 for DPO at its start).

    Attributes:
        read_out: through the read-out, minus `weighted_ches`.
        states: through the states; two answers share those of their common beginning.
    """

    read_out: float
    states: float

    @property
    def total(self) -> float:
        """The derivative."""
        return self.read_out + self.states


def flow_terms(chosen: AnswerStates, rejected: AnswerStates, read_out: Float[np.ndarray, "vocab d_model"]) -> FlowTerms:
    """How log p(y+) moves under gradient flow on l(log p(y+) - log p(y-)), if nothing but read-out and states could move.

    Args:
        chosen, rejected: the answers' states and laws, behind one prompt.
        read_out: a row for each token; logits are its products with a state.

    Source: Razin et al. 2024, arXiv:2410.08847, theorem 6; theorem 4 for one token.
    """
    pulls = [-answer.laws @ read_out + read_out[answer.tokens] for answer in (chosen, rejected)]
    own = float((pulls[0] ** 2).sum())
    shared = _common(chosen.tokens, rejected.tokens) + 1  # the state behind a common beginning is one and the same
    across = float((pulls[0][:shared] * pulls[1][:shared]).sum())
    return FlowTerms(-weighted_ches(chosen, rejected), own - across)


def mass_alignment(read_out: Float[np.ndarray, "vocab d_model"], chosen: int, rejected: int) -> Float[np.ndarray, " vocab"]:
    """<W_z, W+ - W-> for every token z: up to a common constant what d log p_z / dt is made of, for answers of one token.

    Source: Razin et al. 2024, arXiv:2410.08847, theorem 5.
    """
    return np.asarray(read_out @ (read_out[chosen] - read_out[rejected]))


def edit_distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Insertions, deletions and exchanges of tokens that turn one answer into the other, over the longer one's length."""
    row = np.arange(len(other) + 1)
    for place, token in enumerate(one, 1):
        before, row = row, np.empty_like(row)
        row[0] = place
        for column, theirs in enumerate(other, 1):
            row[column] = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (token != theirs))
    return float(row[-1]) / max(len(one), len(other), 1)


@dataclass(frozen=True, eq=False)
class Similarities:
    """Scores of pairs from one pass over each answer.

    Attributes:
        ches, ches_per_token: see `ches`.
        weighted: see `weighted_ches`.
        last_state: the product of the last two states, those that predict the last token of either answer.
        edit_distance: see there.
        n_chosen, n_rejected: tokens.
    """

    ches: Float[np.ndarray, " pair"]
    ches_per_token: Float[np.ndarray, " pair"]
    weighted: Float[np.ndarray, " pair"]
    last_state: Float[np.ndarray, " pair"]
    edit_distance: Float[np.ndarray, " pair"]
    n_chosen: Int[np.ndarray, " pair"]
    n_rejected: Int[np.ndarray, " pair"]


def similarities(model: Model, pairs: Sequence[Pair]) -> Similarities:
    """Scores of every pair under a model.

    Raises:
        InputError: there are no pairs, or an answer is longer than the model can take.
        SettingsError: a decoder has a run axis.
    """
    _check(model, pairs)
    rows = []
    for chosen, rejected in pairs:
        mine, other = states_of(model, chosen), states_of(model, rejected)
        rows.append(
            (
                ches(mine.states, other.states),
                ches(mine.states, other.states, per_token=True),
                weighted_ches(mine, other),
                float(mine.states[-1] @ other.states[-1]),
                edit_distance(chosen.completion, rejected.completion),
            )
        )
    lengths = np.array([[len(answer.completion) for answer in pair] for pair in pairs]).T
    return Similarities(*np.array(rows).T, *lengths)


def states_of(model: Model, answer: TokenPair) -> AnswerStates:
    """States and laws of an answer, in double precision.

    Raises:
        SettingsError: a decoder has a run axis.
    """
    laid = [*answer.context, *answer.completion[:-1]]
    with torch.no_grad():
        if isinstance(model, Decoder):
            _single(model)
            states = model.hidden(torch.tensor([laid], device=next(model.parameters()).device))
            logits = model.read_out(states)
        else:
            states, logits = _fed_to_read_out(model, laid)
    first = len(answer.context) - 1
    laws = logits[0, first:].double().softmax(-1)
    return AnswerStates(np.array(answer.completion), states[0, first:].double().cpu().numpy(), laws.cpu().numpy())


def _fed_to_read_out(model: LanguageModel, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What the read-out of a pretrained model is fed with at every token, and its logits."""
    seen: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[0].detach())

    hook = unwrapped(model.model).get_output_embeddings().register_forward_pre_hook(look)
    try:
        with evaluating(model.model):
            logits = model.model(input_ids=torch.tensor([list(tokens)], device=model.device), use_cache=False).logits
    finally:
        hook.remove()
    return seen[-1], logits


# -------------------------------------------------------------------------------------------------------------- forecast


@dataclass(frozen=True, eq=False)
class Forecast:
    """First-order changes of log-probabilities of answers, in nats.

    Attributes:
        chosen, rejected: of every pair's answers.
    """

    chosen: Float[np.ndarray, " pair"]
    rejected: Float[np.ndarray, " pair"]

    @property
    def displaced(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether the chosen answer falls."""
        return np.asarray(self.chosen < 0)


def forecast_alone(
    model: Model, pairs: Sequence[Pair], *, optimiser: Optimiser | None = None, names: Collection[str] | None = None
) -> Forecast:
    """What one step on each pair alone does to its own answers; the model stays as it is.

    Without an optimiser it is <grad log p(y+), grad log p(y+) - grad log p(y-)> and the same of y-: the change per unit of
    learning rate times -l'. With one it is the change by that optimiser's first step, of which AdamW and RMSProp take the sign.

    Args:
        model: a decoder without a run axis, or a pretrained model.
        pairs: the answers in tokens.
        optimiser: what makes a step of the gradient; None for the gradient itself.
        names: of the parameters that move; None for all that require a gradient.

    Raises:
        InputError: there are no pairs, or an answer is longer than the model can take.
        SettingsError: a decoder has a run axis, or a parameter is named that the model does not have.
    """
    _check(model, pairs)
    changes = np.zeros((2, len(pairs)))
    for index, pair in enumerate(pairs):
        gradients = [_ascent(model, answer, names) for answer in pair]
        step = _difference(*gradients)
        step = step if optimiser is None else taken_step(step, optimiser)
        changes[:, index] = [step.dot(gradient) for gradient in gradients]
    return Forecast(*changes)


def forecast_together(
    model: Model,
    pairs: Sequence[Pair],
    *,
    optimiser: Optimiser | None = None,
    slope: float = 1.0,
    names: Collection[str] | None = None,
    budget: int = BUDGET,
) -> Forecast:
    """What the first step of a training on all pairs at once does to every answer; the model stays as it is.

    Args:
        model: a decoder without a run axis, or a pretrained model.
        pairs: the answers in tokens.
        optimiser: what makes a step of the gradient; None for the gradient itself.
        slope: -l', how fast the loss of a pair falls with its margin before training: beta / 2 for DPO.
        names: of the parameters that move; None for all that require a gradient.
        budget: tokens of a pass; changes memory, not the result.

    Raises:
        InputError: there are no pairs, or an answer is longer than the model can take.
        SettingsError: a decoder has a run axis, a parameter is named that the model does not have, or an operation of the model
            has no derivative along a step.
    """
    _check(model, pairs)
    module = _module(model)

    def losses() -> Iterator[Tensor]:
        for pair in pairs:
            chosen, rejected = (_log_prob(model, answer, budget) for answer in pair)
            yield (rejected - chosen) * (slope / len(pairs))

    with evaluating(module):
        step = descent(module, losses, names=names)
    step = step if optimiser is None else taken_step(step, optimiser)
    answers = [answer for pair in pairs for answer in pair]
    if isinstance(model, LanguageModel):
        changes = log_prob_changes(module, answers, step, budget=budget).double().cpu().numpy()
    else:  # steps of a tiny network have gradients written out, and no derivative of the other kind
        changes = np.array([step.dot(_ascent(model, answer, names)) for answer in answers])
    return Forecast(changes[::2], changes[1::2])


def _log_prob(model: Model, answer: TokenPair, budget: int = BUDGET) -> Float[Tensor, ""]:
    """Summed log-probability of an answer, to be differentiated."""
    if isinstance(model, LanguageModel):
        chosen, _ = answer_log_probs(model.model, [(answer, answer)], budget=budget)
        return chosen[0]
    whole = torch.tensor([*answer.context, *answer.completion], device=next(model.parameters()).device)
    logits = model(whole[None, :-1])[0, len(answer.context) - 1 :]
    return -cross_entropies(logits, whole[len(answer.context) :], ignored=-1).sum()


def _ascent(model: Model, answer: TokenPair, names: Collection[str] | None) -> Direction:
    """The gradient of an answer's log-probability."""
    module = _module(model)
    with evaluating(module):
        return descent(module, lambda: [-_log_prob(model, answer)], names=names)


def _difference(one: Direction, other: Direction) -> Direction:
    return Direction({name: tensor - other.tensors[name] for name, tensor in one.tensors.items()})


def taken_step(step: Direction, optimiser: Optimiser) -> Direction:
    """The first step that an optimiser makes of a direction, at its share of the rate: as large as a training takes it."""
    return first_step(step, optimiser).scaled(optimiser.share_of_rate(0, 1))


def _module(model: Model) -> nn.Module:
    module: nn.Module = model if isinstance(model, Decoder) else model.model
    return module


def _common(one: Int[np.ndarray, " token"], other: Int[np.ndarray, " other"]) -> int:
    """How many tokens two answers begin with alike, less the last one of the shorter, behind which nothing is predicted."""
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if differs.size else length - 1


def _single(model: Decoder) -> None:
    if model.n_runs is not None:
        raise SettingsError(f"pairs are scored by one run; this decoder has {model.n_runs}. Take each out: model.run(index)")


def _check(model: Model, pairs: Sequence[Pair]) -> None:
    if not len(pairs):
        raise InputError("pairs must be given to be scored; got none")
    if isinstance(model, Decoder):
        _single(model)
    else:
        check_limits(model.model, [answer for pair in pairs for answer in pair])
