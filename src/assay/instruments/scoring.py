"""What a language model thinks of given texts: log-probabilities and exact ranks, many prompts at a time.

    scores = score_choices(model, [Question("Ana Silva lives in Paris. She speaks", (" French", " Polish", " Hindi"))])
    scores.rank, scores.log_prob, scores.vocabulary_rank

The model is run on each token once: sequences that begin alike share their beginning, answers of several tokens branch from
their prompt like a trie, a prompt that all share is kept as a cache, and logits are made only where they are read. Nothing is
sampled or
approximated: the numbers are those of one forward pass a sequence, up to the order of floating-point additions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from assay.core.errors import InputError, WorkError
from assay.models.pretrained.limits import check_limits
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, Reading, evaluating, readings
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.worlds.facts.questions import Answers, Question, pairs_of

__all__ = [
    "ChoiceScores",
    "CompletionScores",
    "check_questions",
    "counted_once",
    "mid_rank",
    "score_choices",
    "score_completions",
    "score_tokens",
]

AnyQuestion = TypeVar("AnyQuestion", bound=Question)


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
    token_log_probs: tuple[Float[np.ndarray, " _token"], ...]
    token_ranks: tuple[Float[np.ndarray, " _token"], ...]

    @property
    def vocabulary_rank(self) -> Float[np.ndarray, " item"]:
        """Rank of each completion's first token in the vocabulary; 0 is the most likely."""
        return np.array([ranks[0] for ranks in self.token_ranks])

    @property
    def is_greedy(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether decoding the most likely token each time would give the completion."""
        return np.array([bool((ranks == 0).all()) for ranks in self.token_ranks], dtype=bool)


@dataclass(frozen=True, eq=False)
class ChoiceScores(Answers):
    """Answers with the ranks that papers take from first tokens.

    Attributes:
        first_token_rank: of the answer among the candidates by their first tokens only; nan where two candidates share theirs
            or have several spellings.
        vocabulary_rank: rank of the answer's first token in the whole vocabulary.
    """

    first_token_rank: Float[np.ndarray, " question"]
    vocabulary_rank: Float[np.ndarray, " question"]


def score_choices(model: LanguageModel, questions: Sequence[Question], *, budget: int = BUDGET) -> ChoiceScores:
    """Log-probabilities of candidate answers, and ranks by their first tokens.

    Args:
        model: any causal language model; unknown architectures too.
        questions: what is asked; the order does not matter for speed.
        budget: tokens computed at a time; less takes less memory.

    Raises:
        InputError: candidates are equal, or one is the beginning of another; a text does not survive the tokenizer; a sequence
            is longer than the model can take.
        WorkError: logits are not finite, or memory ran out.
    """
    pairs = pairs_of(questions)
    tokens = check_questions(model.tokenizer, questions, pairs)
    questions = [counted_once(question, tokens) for question in questions]
    place = {pair: index for index, pair in enumerate(pairs)}
    # Vocabulary ranks cost a pass over the vocabulary each, so only answers in view get them.
    ranked = {place[question.lesson] for question in questions}
    scored = score_tokens(model.model, [tokens[pair] for pair in pairs], budget=budget, ranked=ranked)
    answers = Answers.from_pairs(questions, dict(zip(pairs, scored.log_prob.tolist(), strict=True)))
    by_first = []
    for question in questions:
        own = [place[pair] for pair in question.pairs]
        distinct = len({tokens[pairs[index]].completion[0] for index in own}) == len(own) == len(question.candidates)
        first = np.array([scored.token_log_probs[index][0] for index in own])
        by_first.append(mid_rank(first, question.answer) if distinct else np.nan)
    in_vocabulary = [scored.token_ranks[place[question.lesson]][0] for question in questions]
    return ChoiceScores(
        answers.questions, answers.log_probs, np.array(by_first, dtype=float), np.array(in_vocabulary, dtype=float)
    )


def check_questions(
    tokenizer: Any, questions: Sequence[Question], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], TokenPair]:
    """The tokens of all (prompt, completion) pairs of questions that can be asked of a model with that tokenizer.

    Raises:
        InputError: a question has no candidates or equal ones, or one is the beginning of another in tokens; a text does not
            survive the tokenizer.
    """
    for question in questions:
        _check(question)
    tokens = dict(zip(pairs, token_pairs(tokenizer, pairs), strict=True))
    for question in questions:
        _check_tokens(question, tokens)
    return tokens


def counted_once(question: AnyQuestion, tokens: Mapping[tuple[str, str], TokenPair]) -> AnyQuestion:
    """The question without spellings that another spelling of the same answer begins, in tokens.

    A text that goes on with the longer one has gone on with the shorter: its probability is in the other's, and is not added.
    """
    kept = []
    for spelled in question.spellings:
        written = {text: tokens[question.prompt, text].completion for text in spelled}
        all_of_them = set(written.values())
        kept.append(
            tuple(
                text
                for text, completion in written.items()
                if not any(completion[:length] in all_of_them for length in range(1, len(completion)))
            )
        )
    return question if tuple(kept) == question.spellings else replace(question, candidates=tuple(kept))


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
    check_limits(model, pairs)
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


def _check(question: Question) -> None:
    texts = [text for spelled in question.spellings for text in spelled]
    if not texts or len(set(texts)) != len(texts):
        raise InputError(
            f"candidates must be different texts, at least one; got {len(texts)}, {len(set(texts))} different, after "
            f"'{question.prompt[-60:]}'"
        )
    if not 0 <= question.answer < len(question.candidates):
        raise InputError(
            f"the answer must be one of {len(question.candidates)} candidates; got number {question.answer} after "
            f"'{question.prompt[-60:]}'"
        )


def _check_tokens(question: Question, tokens: Mapping[tuple[str, str], TokenPair]) -> None:
    """No candidate is the beginning of another: it would be more likely by being shorter, and its rank would mean nothing."""
    spelled = {
        tokens[question.prompt, text].completion: (place, text)
        for place, texts in enumerate(question.spellings)
        for text in texts
    }
    for completion, (place, longer) in spelled.items():
        for length in range(1, len(completion)):
            other, text = spelled.get(completion[:length], (place, ""))
            if other != place:
                raise InputError(
                    f"no candidate may be the beginning of another; '{text}' begins '{longer}' after "
                    f"'{question.prompt[-60:]}'. End all of them the same way, e.g. with a full stop"
                )
