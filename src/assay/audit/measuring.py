"""An audit's texts in tokens, with the line of the file that is at fault, and what a model makes of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.audit.probes import Probe
from assay.core.errors import InputError
from assay.core.progress import progress
from assay.core.text import visible
from assay.models.pretrained.limits import limits_of
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, leading_tokens, try_token_pairs
from assay.models.sampling import NOTHING, sample
from assay.protocols.log_probs import log_probs
from assay.store.memo import Memos
from assay.worlds.facts.model import Facts
from assay.worlds.facts.sentences import touching

__all__ = ["LogProbs", "Tokens", "continued", "log_probs_of", "tokenised"]

LEAST_SAID, MOST_SAID = 6, 24  # tokens of a continuation
LogProbs = Mapping[tuple[str, str], float]
"""Log-probability of each (prompt, completion), in nats."""
Tokens = Mapping[tuple[str, str], TokenPair]


def tokenised(model: LanguageModel, pairs: Sequence[tuple[str, str]], *, facts: Facts, asked: Sequence[Probe] = ()) -> Tokens:
    """Each pair in tokens.

    Raises:
        InputError: the tokenizer does not give texts back, a token spans prompt and answer, or a text is longer than the model
            can take; named by the facts they belong to.
    """
    found: dict[tuple[str, str], TokenPair] = {}
    faults = []
    limits = limits_of(model.model)
    whole = {pair for probe in asked if not probe.prompt for pair in probe.pairs}
    for pair, tokens in zip(pairs, try_token_pairs(model.tokenizer, pairs), strict=True):
        if pair in whole and isinstance(tokens, TokenPair):
            tokens = _from_the_start(model.tokenizer, tokens)
        if isinstance(tokens, InputError):
            faults.append((pair, tokens))
        elif fault := limits.fault(tokens):
            faults.append((pair, InputError(fault)))
        else:
            found[pair] = tokens
    if faults:
        (prompt, completion), error = faults[0]
        more = f" ({len(faults)} of {len(pairs)} texts are so)" if len(faults) > 1 else ""
        touch = " If words are meant to be apart, state joint: ' ' (--joint ' ')" if touching(prompt, completion) else ""
        raise InputError(f"{visible(facts.name)}{_line(facts, prompt, asked)}: {error}.{touch}{more}") from error
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


def continued(model: LanguageModel, pairs: Sequence[TokenPair]) -> list[str]:
    """What the model says behind each context, the likeliest token at each step: one line, hardly longer than the completion.

    Empty where the context leaves no room for it.
    """
    most = limits_of(model.model).positions
    end = getattr(model.tokenizer, "eos_token_id", None)
    rng, found = np.random.default_rng(0), []
    for place, pair in enumerate(pairs):
        n_new = min(MOST_SAID, max(LEAST_SAID, len(pair.completion) + 2))
        if most is not None and len(pair.context) + n_new > most:
            found.append("")
            continue
        drawn = sample(model, [pair.context], n_new=n_new, rng=rng, temperature=0, stop=() if end is None else (int(end),))
        tokens = [int(token) for token in drawn.tokens[0, 0] if token != NOTHING]
        text = str(model.tokenizer.decode(tokens, skip_special_tokens=True)).lstrip("\n")
        found.append(text.partition("\n")[0].rstrip())
        progress((place + 1) / len(pairs), f"listened to {place + 1} of {len(pairs)}")
    return found


def _from_the_start(tokenizer: Any, pair: TokenPair) -> TokenPair:
    """A sentence that begins with what is asked, asked from its first token on: behind the token that ends texts."""
    lead, end = leading_tokens(tokenizer), getattr(tokenizer, "eos_token_id", None)
    if lead or end is None:
        return pair
    return TokenPair((int(end),), (*pair.context, *pair.completion))


def _line(facts: Facts, prompt: str, asked: Sequence[Probe]) -> str:
    """Where the fact stands that a prompt is about, as far as that shows."""
    of = next((probe.fact for probe in asked if probe.prompt == prompt and probe.fact >= 0), None)
    if of is not None and facts.facts[of].line:
        return f", line {facts.facts[of].line}"
    lines = [fact.line for fact in facts.facts if fact.line and (fact.subject in prompt or fact.object in prompt)]
    return f", line {lines[0]}" if lines else ""
