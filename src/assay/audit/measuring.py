"""An audit's texts in tokens, with the line of the file that is at fault, and what a model makes of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.audit.probes import Probe
from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained.limits import limits_of
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.protocols.log_probs import log_probs
from assay.store.memo import Memos
from assay.worlds.facts.model import Facts

__all__ = ["LogProbs", "Tokens", "log_probs_of", "tokenised"]

LogProbs = Mapping[tuple[str, str], float]
"""Log-probability of each (prompt, completion), in nats."""
Tokens = Mapping[tuple[str, str], TokenPair]


def tokenised(model: LanguageModel, pairs: Sequence[tuple[str, str]], *, facts: Facts, asked: Sequence[Probe] = ()) -> Tokens:
    """Each pair in tokens.

    Raises:
        InputError: the tokenizer does not give texts back, a token spans prompt and answer, a text is longer than the model can
            take, or one answer to a question is the beginning of another; named by the facts they belong to.
    """
    found: dict[tuple[str, str], TokenPair] = {}
    faults = []
    limits = limits_of(model.model)
    for pair, tokens in zip(pairs, try_token_pairs(model.tokenizer, pairs), strict=True):
        if isinstance(tokens, InputError):
            faults.append((pair, tokens))
        elif fault := limits.fault(tokens):
            faults.append((pair, InputError(fault)))
        else:
            found[pair] = tokens
    if faults:
        (prompt, _), error = faults[0]
        more = f" ({len(faults)} of {len(pairs)} texts are so)" if len(faults) > 1 else ""
        raise InputError(f"{visible(facts.name)}{_line(facts, prompt)}: {error}{more}") from error
    for question in asked:
        _check_beginnings(question, found, facts)
    return found


def log_probs_of(model: LanguageModel, tokens: Tokens, *, memos: Memos | None = None) -> LogProbs:
    """What the model makes of each pair; parts that were scored before the process was killed are read again.

    Args:
        model: any causal language model.
        tokens: the pairs in tokens.
        memos: where parts are kept.

    Raises:
        WorkError: logits are not finite, or memory ran out.
    """
    pairs = sorted(tokens)  # texts that begin alike stand together and share their beginning
    return dict(zip(pairs, log_probs(model, [tokens[pair] for pair in pairs], memos=memos), strict=True))


def _check_beginnings(question: Probe, tokens: Tokens, facts: Facts) -> None:
    """No answer is the beginning of another: it would be more likely by being shorter."""
    if question.measure != "share":
        return
    spelled = [(place, text) for place, answer in enumerate(question.spellings) for text in answer]
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
