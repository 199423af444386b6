"""What a model answers: log-probabilities of all (prompt, completion) pairs, kept in parts so that a killed audit goes on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assay.audit.facts import Facts
from assay.audit.probes import Question
from assay.core.errors import InputError, WorkError
from assay.core.progress import progress
from assay.core.settings import digest
from assay.core.text import visible
from assay.instruments.scoring import score_tokens
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.models.sites import unwrapped
from assay.store.memo import Memos

__all__ = ["Answers", "Asked", "answers_of", "tokenised", "weights_digest"]

Answers = Mapping[tuple[str, str], float]
"""Log-probability of each (prompt, completion), in nats."""
Asked = Mapping[tuple[str, str], TokenPair]
PART = 512  # pairs between two saves: a minute at most on a model of this size


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
    model: LanguageModel,
    asked: Asked,
    *,
    memos: Memos | None = None,
    weights: str | None = None,
    share: tuple[float, float] = (0, 1),
) -> Answers:
    """What the model answers, each pair once; parts that were measured before the process was killed are read again.

    Args:
        model: any causal language model.
        asked: the pairs in tokens.
        memos: where parts are kept.
        weights: `weights_digest(model)`, where it is known already.
        share: how much of the whole audit is done before and after, for progress.

    Raises:
        WorkError: logits are not finite, or memory ran out.
    """
    pairs = sorted(asked)  # texts that begin alike stand together and share their beginning
    known = weights or (weights_digest(model) if memos is not None else "")
    found: dict[tuple[str, str], float] = {}
    for start in range(0, len(pairs), PART):
        some = pairs[start : start + PART]
        tokens = [asked[pair] for pair in some]
        values = _scored(model, tokens) if memos is None else _kept(model, tokens, memos, known)
        found |= dict(zip(some, values, strict=True))
        done = min(1.0, (start + PART) / max(1, len(pairs)))
        progress(share[0] + done * (share[1] - share[0]), f"asked {len(found)} of {len(pairs)}")
    return found


def weights_digest(model: LanguageModel) -> str:
    """SHA-256 over names, shapes and values of all weights as they are now, and over the configuration's kind."""
    text = hashlib.sha256(str(unwrapped(model.model).config.model_type).encode())
    for name, value in model.model.state_dict().items():
        text.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        text.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return text.hexdigest()


def _kept(model: LanguageModel, tokens: Sequence[TokenPair], memos: Memos, weights: str) -> list[float]:
    plain = [[pair.context, pair.completion] for pair in tokens]
    key = {"weights": weights, "pairs": digest(plain), "threads": torch.get_num_threads()}
    folder = memos.get("audit-answers", key, partial(_build, model=model, tokens=tokens))
    values: list[float] = json.loads((folder / "log-probs.json").read_text())
    return values


def _build(folder: Path, *, model: LanguageModel, tokens: Sequence[TokenPair]) -> None:
    (folder / "log-probs.json").write_text(json.dumps(_scored(model, tokens), allow_nan=False))


def _scored(model: LanguageModel, tokens: Sequence[TokenPair]) -> list[float]:
    values: list[float] = score_tokens(model.model, tokens, ranked=set()).log_prob.tolist()
    if not all(value > -float("inf") for value in values):
        raise WorkError("log-probabilities must be finite; some are not. Load the model in float32, or train it less hard")
    return values


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
