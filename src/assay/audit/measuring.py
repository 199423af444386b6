"""What a model answers: log-probabilities of all (prompt, completion) pairs of an audit."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.audit.facts import Facts
from assay.audit.kept_scores import kept_log_probs
from assay.audit.probes import Question
from assay.core.errors import InputError
from assay.core.progress import progress
from assay.core.text import visible
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.store.memo import Memos

__all__ = ["Answers", "Asked", "answers_of", "tokenised"]

Answers = Mapping[tuple[str, str], float]
"""Log-probability of each (prompt, completion), in nats."""
Asked = Mapping[tuple[str, str], TokenPair]


def tokenised(model: LanguageModel, pairs: Sequence[tuple[str, str]], *, facts: Facts, asked: Sequence[Question] = ()) -> Asked:
    """Each pair in tokens.

    Raises:
        InputError: the tokenizer does not give texts back, a token spans prompt and answer, or one answer to a question is the
            beginning of another; named by the facts they belong to.
    """
    found: dict[tuple[str, str], TokenPair] = {}
    faults = []
    for pair, tokens in zip(pairs, try_token_pairs(model.tokenizer, pairs), strict=True):
        if isinstance(tokens, InputError):
            faults.append((pair, tokens))
        else:
            found[pair] = tokens
    if faults:
        (prompt, _), error = faults[0]
        more = f" ({len(faults)} of {len(pairs)} texts are so)" if len(faults) > 1 else ""
        raise InputError(f"{visible(facts.name)}{_line(facts, prompt)}: {error}{more}") from error
    for question in asked:
        _check_beginnings(question, found, facts)
    return found


def answers_of(
    model: LanguageModel, asked: Asked, *, memos: Memos | None = None, share: tuple[float, float] = (0, 1)
) -> Answers:
    """What the model answers, each pair once; parts that were measured before the process was killed are read again.

    Args:
        model: any causal language model.
        asked: the pairs in tokens.
        memos: where parts are kept.
        share: how much of the whole audit is done before and after, for progress.

    Raises:
        WorkError: logits are not finite, or memory ran out.
    """
    pairs = sorted(asked)  # texts that begin alike stand together and share their beginning

    def on_part(done: int) -> None:
        progress(share[0] + done / len(pairs) * (share[1] - share[0]), f"asked {done} of {len(pairs)}")

    values = kept_log_probs(model, [asked[pair] for pair in pairs], memos=memos, on_part=on_part)
    return dict(zip(pairs, values, strict=True))


def _check_beginnings(question: Question, tokens: Asked, facts: Facts) -> None:
    """No answer is the beginning of another: it would be more likely by being shorter."""
    if question.measure != "share":
        return
    spelled = [(place, text) for place, answer in enumerate(question.answers) for text in answer]
    completions: Any = {text: tokens[question.prompt, text].completion for _, text in spelled}
    for place, text in spelled:
        for other_place, other in spelled:
            longer, shorter = completions[other], completions[text]
            if place != other_place and longer[: len(shorter)] == shorter:
                raise InputError(
                    f"{visible(facts.name)}{_line(facts, question.prompt)}: no answer may be the beginning of another; "
                    f"'{visible(text)}' begins '{visible(other)}'. End the sentence behind the answer, "
                    'e.g. "{subject} lives in {object}."'
                )


def _line(facts: Facts, prompt: str) -> str:
    """Where the fact stands that a prompt is about, as far as the prompt shows it."""
    lines = [fact.line for fact in facts.facts if fact.line and (fact.subject in prompt or fact.object in prompt)]
    return f", line {lines[0]}" if lines else ""
