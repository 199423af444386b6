"""What a language model thinks of given texts: log-probabilities and exact ranks, many prompts at a time.

    scores = score_choices(model, [Choice("Ana Silva lives in Paris. She speaks", (" French", " Polish", " Hindi"), 0)])
    scores.rank, scores.log_prob, scores.vocabulary_rank

The model is run on each token once: sequences that begin alike share their beginning, answers of several tokens branch from
their prompt like a trie, a prompt that all share is kept as a cache, and logits are made only where they are read. Nothing is
sampled or
approximated: the numbers are those of one forward pass a sequence, up to the order of floating-point additions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from assay.core.errors import InputError, WorkError
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, Reading, evaluating, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.models.sites import unwrapped

__all__ = ["Choice", "ChoiceScores", "CompletionScores", "mid_rank", "score_choices", "score_completions", "score_tokens"]


@dataclass(frozen=True)
class Choice:
    """A prompt, its possible answers, and which of them is right.

    Attributes:
        prompt: what the model is given.
        candidates: texts that follow it, each different and none the beginning of another in tokens; usually with a leading
            space.
        answer: index of the right one.
    """

    prompt: str
    candidates: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class CompletionScores:
    """How likely given completions are, one entry a (prompt, completion).

    Attributes:
        log_prob: log-probability of the whole completion given the prompt, in nats: the sum over its tokens.
        n_tokens: of the completion.
        token_log_probs: of each token given all before it, in nats.
        token_ranks: rank of each token in the vocabulary; 0 is the most likely, ties share the mean of their ranks.
    """

    log_prob: Float[np.ndarray, " item"]
    n_tokens: Int[np.ndarray, " item"]
    token_log_probs: tuple[Float[np.ndarray, " token"], ...]
    token_ranks: tuple[Float[np.ndarray, " token"], ...]

    @property
    def vocabulary_rank(self) -> Float[np.ndarray, " item"]:
        """Rank of each completion's first token in the vocabulary; 0 is the most likely."""
        return np.array([ranks[0] for ranks in self.token_ranks])

    @property
    def is_greedy(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether decoding the most likely token each time would give the completion."""
        return np.array([bool((ranks == 0).all()) for ranks in self.token_ranks], dtype=bool)


@dataclass(frozen=True)
class ChoiceScores:
    """How a model ranks candidate answers, one entry a `Choice`.

    Attributes:
        log_probs: of every candidate as a whole, in nats.
        log_prob: of the right answer, in nats.
        share: the right answer's probability among the candidates, in [0, 1].
        rank: of the right answer among the candidates by the probability of whole answers; 0 is best, ties share the mean of
            their ranks, so a model that cannot tell n candidates apart has (n - 1) / 2.
        first_token_rank: the same by first tokens only, as papers measure it; nan where two candidates share their first token.
        vocabulary_rank: rank of the right answer's first token in the whole vocabulary.
    """

    log_probs: tuple[Float[np.ndarray, " candidate"], ...]
    log_prob: Float[np.ndarray, " choice"]
    share: Float[np.ndarray, " choice"]
    rank: Float[np.ndarray, " choice"]
    first_token_rank: Float[np.ndarray, " choice"]
    vocabulary_rank: Float[np.ndarray, " choice"]


def score_choices(model: LanguageModel, choices: Sequence[Choice], *, budget: int = BUDGET) -> ChoiceScores:
    """Ranks and log-probabilities of candidate answers.

    Args:
        model: any causal language model; unknown architectures too.
        choices: what is asked; the order does not matter for speed.
        budget: tokens computed at a time; less takes less memory.

    Raises:
        InputError: candidates are fewer than two, equal, or one is the beginning of another; a text does not survive the
            tokenizer; a sequence is longer than the model can take.
        WorkError: logits are not finite, or memory ran out.
    """
    for choice in choices:
        _check(choice)
    pairs = token_pairs(model.tokenizer, [(choice.prompt, text) for choice in choices for text in choice.candidates])
    starts = np.cumsum([0, *(len(choice.candidates) for choice in choices)])
    for choice, start, stop in zip(choices, starts, starts[1:], strict=False):
        _check_tokens(choice, [pair.completion for pair in pairs[start:stop]])
    # Vocabulary ranks cost a pass over the vocabulary each, so only right answers get them.
    right = {int(start) + choice.answer for choice, start in zip(choices, starts, strict=False)}
    scored = score_tokens(model.model, pairs, budget=budget, ranked=right)
    rows: list[tuple[float, float, float, float, float]] = []
    log_probs = []
    for choice, start, stop in zip(choices, starts, starts[1:], strict=False):
        whole = np.array([scored.token_log_probs[index].sum() for index in range(start, stop)])
        first = np.array([scored.token_log_probs[index][0] for index in range(start, stop)])
        distinct = len({pair.completion[0] for pair in pairs[start:stop]}) == stop - start
        answer = choice.answer
        log_probs.append(whole)
        rows.append(
            (
                whole[answer],
                float(np.exp(whole[answer] - np.logaddexp.reduce(whole))),
                mid_rank(whole, answer),
                mid_rank(first, answer) if distinct else np.nan,
                scored.token_ranks[start + answer][0],
            )
        )
    log_prob, share, rank, first_token_rank, vocabulary_rank = np.array(rows, dtype=float).reshape(-1, 5).T
    return ChoiceScores(tuple(log_probs), log_prob, share, rank, first_token_rank, vocabulary_rank)


def score_completions(
    model: LanguageModel, pairs: Sequence[tuple[str, str]], *, budget: int = BUDGET, ranks: bool = True
) -> CompletionScores:
    """Log-probabilities and vocabulary ranks of completions given their prompts; a text alone has the empty prompt.

    Args:
        model: any causal language model.
        pairs: (prompt, completion); the completion follows the prompt character by character.
        budget: tokens computed at a time.
        ranks: also rank every token in the vocabulary; without it `token_ranks` are nan.

    Raises:
        InputError: a completion is empty, a text does not survive the tokenizer, or a sequence is longer than the model can
            take.
        WorkError: logits are not finite, or memory ran out.
    """
    tokens = token_pairs(model.tokenizer, pairs)
    return score_tokens(model.model, tokens, budget=budget, ranked=None if ranks else set())


def score_tokens(
    model: nn.Module, pairs: Sequence[TokenPair], *, budget: int = BUDGET, ranked: set[int] | None = None
) -> CompletionScores:
    """Log-probabilities and vocabulary ranks of token sequences; what the other functions of this module stand on.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        pairs: contexts and completions.
        budget: tokens computed at a time.
        ranked: the pairs whose tokens are ranked in the vocabulary; None for all. Elsewhere ranks are nan.

    Raises:
        InputError: a sequence is longer than the model can take.
        WorkError: logits are not finite, or memory ran out.
    """
    _check_lengths(model, pairs)
    log_probs = [np.full(len(pair.completion), np.nan) for pair in pairs]
    ranks = [np.full(len(pair.completion), np.nan) for pair in pairs]
    filled = [0] * len(pairs)
    try:
        with evaluating(model), torch.inference_mode():
            for reading in readings(model, pairs, budget=budget):
                for index, log_prob, rank in zip(reading.owner, *_judged(reading, ranked), strict=True):
                    log_probs[index][filled[index]] = log_prob
                    ranks[index][filled[index]] = rank
                    filled[index] += 1
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkError(
            f"scoring must fit in memory; {budget} tokens at a time do not. Lower the budget, or load the model in bfloat16"
        ) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error):
            raise
        raise WorkError(
            f"scoring must fit in memory; {budget} tokens at a time do not. Lower the budget, or load the model in bfloat16"
        ) from error
    assert filled == [len(pair.completion) for pair in pairs]
    return CompletionScores(
        np.array([values.sum() for values in log_probs]), np.array(filled, dtype=int), tuple(log_probs), tuple(ranks)
    )


def mid_rank(values: Float[np.ndarray, " candidate"], index: int) -> float:
    """How many values are greater than `values[index]`, and half of the others that equal it."""
    value = values[index]
    return float((values > value).sum() + ((values == value).sum() - 1) / 2)


def _judged(reading: Reading, ranked: set[int] | None) -> tuple[list[float], list[float]]:
    """Log-probability and vocabulary rank of each scored token; nan for ranks nobody asked for."""
    logits, row, target = reading.logits.float(), reading.row, reading.target
    norms = torch.logsumexp(logits, -1)
    if not bool(torch.isfinite(norms).all()):
        raise WorkError(
            "a model's logits must be finite; these are not. Load it in float32, or check that its training did not diverge"
        )
    own = logits[row, target]
    log_probs = (own - norms[row]).double()
    ranks = torch.full_like(log_probs, torch.nan)
    asked = [place for place, index in enumerate(reading.owner) if ranked is None or index in ranked]
    step = max(1, 2**24 // logits.shape[1])  # bounds the table of comparisons to 16 MiB
    for start in range(0, len(asked), step):
        some = torch.tensor(asked[start : start + step], device=logits.device)
        theirs, mine = logits[row[some]], own[some, None]
        ranks[some] = (theirs > mine).sum(-1).double() + ((theirs == mine).sum(-1) - 1).double() / 2
    return log_probs.tolist(), ranks.tolist()


def _check(choice: Choice) -> None:
    n = len(choice.candidates)
    if n < 2 or len(set(choice.candidates)) != n:
        raise InputError(
            f"candidates must be at least two different texts; got {n}, {len(set(choice.candidates))} different, after "
            f"'{choice.prompt[-60:]}'"
        )
    if not 0 <= choice.answer < n:
        raise InputError(f"the answer must be one of {n} candidates; got number {choice.answer} after '{choice.prompt[-60:]}'")


def _check_tokens(choice: Choice, completions: Sequence[tuple[int, ...]]) -> None:
    """No candidate is the beginning of another: it would be more likely by being shorter, and its rank would mean nothing."""
    in_order = sorted(range(len(completions)), key=completions.__getitem__)
    for one, other in pairwise(in_order):
        if completions[other][: len(completions[one])] == completions[one]:
            raise InputError(
                f"no candidate may be the beginning of another; '{choice.candidates[one]}' begins "
                f"'{choice.candidates[other]}' after "
                f"'{choice.prompt[-60:]}'. End all of them the same way, e.g. with a full stop"
            )


def _check_lengths(model: nn.Module, pairs: Sequence[TokenPair]) -> None:
    config = unwrapped(model).config
    most = getattr(config, "max_position_embeddings", None)
    longest = max((len(pair.context) + len(pair.completion) - 1 for pair in pairs), default=0)
    if isinstance(most, int) and longest > most:
        raise InputError(
            f"a prompt with its completion must have at most {most} tokens for this model; got {longest}. Shorten it"
        )
