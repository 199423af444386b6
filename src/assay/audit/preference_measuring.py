"""What an audit of preferences measures: log-probabilities of answers, scores and forecasts of pairs, and which tokens gained.

Everything that takes long is kept in parts, so that an audit that was killed goes on.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from assay.audit.forecast_tangent import adapted
from assay.audit.preference_record import PAIR_COLUMNS, Gained, changes_of
from assay.audit.totals import EVERYTHING, Total, Values, table
from assay.core.errors import SettingsError, WorkError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.instruments.displacement import forecast_alone, similarities, taken_step
from assay.instruments.first_order import descent, log_prob_changes
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import evaluating, readings
from assay.models.pretrained.text import TokenPair
from assay.protocols.log_probs import log_probs
from assay.store.memo import Memos
from assay.training.chosen import chosen_names
from assay.training.preference import LogProbs, PreferenceRecipe, answer_log_probs, grouped

__all__ = ["Asked", "Scores", "ask", "by_prompt", "changes", "first_step_changes", "gained", "pair_totals", "scores"]

Tokens = Sequence[tuple[TokenPair, TokenPair]]
PART = 8  # pairs whose scores are kept together: some seconds on a model of 135 million weights
AT_ONCE = 32  # pairs whose laws are held
MOST_GAINED = 3
LEAST_GAINED = 1e-3  # of probability; less is not told


@dataclass(frozen=True, eq=False)
class Asked:
    """Log-probabilities of the answers of every pair, in nats."""

    chosen: Float[ndarray, " pair"]
    rejected: Float[ndarray, " pair"]


@dataclass(frozen=True, eq=False)
class Scores:
    """What is said of every pair before training; see `PairRow`."""

    ches: Float[ndarray, " pair"]
    ches_per_token: Float[ndarray, " pair"]
    edit_distance: Float[ndarray, " pair"]
    alone: Float[ndarray, " pair"] | None = None

    @property
    def rank(self) -> list[int]:
        """Of every pair its place by `ches_per_token`, 1 for the highest; of equals the first in the file comes first."""
        order = np.argsort(-self.ches_per_token, kind="stable")
        rank = np.empty(len(order), dtype=int)
        rank[order] = np.arange(1, len(order) + 1)
        return [int(place) for place in rank]


def ask(model: LanguageModel, tokens: Tokens, *, memos: Memos | None = None) -> Asked:
    """What the model makes of the answers of every pair.

    Raises:
        WorkError: logits are not finite, or memory ran out.
    """
    found = np.array(log_probs(model, [answer for pair in tokens for answer in pair], memos=memos))
    return Asked(found[::2], found[1::2])


def changes(before: Asked, after: Asked) -> list[dict[str, float]]:
    """Every pair's number in every column."""
    sides = (before.chosen, before.rejected, after.chosen, after.rejected)
    return [changes_of(*map(float, values)) for values in zip(*sides, strict=True)]


def scores(
    model: LanguageModel, tokens: Tokens, recipe: PreferenceRecipe, *, seeds: Seeds, memos: Memos | None, weights: str
) -> Scores:
    """Similarities of every pair, and what a step on it alone would do to its own chosen answer; the model stays as it is.

    Args:
        model: before.
        tokens: of the pairs.
        recipe: which weights would move.
        seeds: of an adapter's beginning.
        memos: where parts are kept.
        weights: the digest of the model's weights, if parts are kept.
    """
    rows: list[list[float]] = []
    adapter = (recipe.lora_rank, recipe.lora_alpha) if recipe.method == "lora" else ()
    moves = digest([recipe.method, recipe.layers, recipe.parts, adapter])
    with _movable(model, recipe, seeds) as (moved, names):
        for start in range(0, len(tokens), PART):
            some = tokens[start : start + PART]
            make = partial(_score, moved, some, names)
            key = {**_key(weights, some, model), "moves": moves, "seed": seeds.root}
            rows += make() if memos is None else memos.json("pair-scores", key, make)
            progress(len(rows) / len(tokens), f"scored {len(rows)} of {len(tokens)} pairs")
    return Scores(*np.array(rows).T)


def _score(model: LanguageModel, tokens: Tokens, names: Collection[str] | None) -> list[list[float]]:
    similar = similarities(model, tokens)
    alone = forecast_alone(model, tokens, names=names).chosen
    found = [similar.ches, similar.ches_per_token, similar.edit_distance, alone]
    if not all(np.isfinite(one).all() for one in found):
        raise WorkError("scores of pairs must be finite; some are not. Load the model in float32")
    return [[float(value) for value in row] for row in zip(*found, strict=True)]


def first_step_changes(
    model: LanguageModel, tokens: Tokens, recipe: PreferenceRecipe, *, seeds: Seeds, memos: Memos | None, weights: str
) -> Float[ndarray, " pair"]:
    """Change of log P(chosen), in nats, by the first step of the training on all pairs at once; the model stays as it is.

    The step is the optimiser's own, of the loss's own gradient, at the full rate; the change is its derivative along it.
    """
    with _movable(model, recipe, seeds) as (moved, names):
        make = partial(_stepped, moved, tokens, recipe, names)
        key = {**_key(weights, tokens, model), "recipe": digest(recipe), "seed": seeds.root}
        return np.array(make() if memos is None else memos.json("pair-step", key, make))


def _stepped(model: LanguageModel, tokens: Tokens, recipe: PreferenceRecipe, names: Collection[str] | None) -> list[float]:
    def losses() -> Iterator[Tensor]:
        for some in grouped(tokens, recipe.budget):
            answers = [tokens[index] for index in some]
            policy = torch.stack(answer_log_probs(model.model, answers))
            lengths = torch.tensor([[len(one.completion) for one in pair] for pair in answers]).T.to(policy)
            yield recipe.pair_loss(LogProbs(*policy, *policy.detach(), *lengths)).sum() / len(tokens)

    with evaluating(model.model):
        down = descent(model.model, losses, names=names)
    step = taken_step(down, replace(recipe.optimiser(1), warmup_steps=0))
    chosen = [pair[0] for pair in tokens]
    try:
        moved = log_prob_changes(model.model, chosen, step)
    except SettingsError:  # an operation of this model has no derivative along a step
        moved = log_prob_changes(model.model, chosen, step, way="step")
    return [float(value) for value in moved.double().cpu()]


@contextmanager
def _movable(
    model: LanguageModel, recipe: PreferenceRecipe, seeds: Seeds
) -> Iterator[tuple[LanguageModel, Collection[str] | None]]:
    """The model as its training begins, and which of its parameters move; None for those that require a gradient."""
    if recipe.method == "lora":
        with adapted(model, recipe, seeds) as tuned:
            yield tuned, None
    else:
        yield model, chosen_names(model.model, recipe)


def _key(weights: str, tokens: Tokens, model: LanguageModel) -> dict[str, object]:
    plain = [[[one.context, one.completion] for one in pair] for pair in tokens]
    return {"weights": weights, "pairs": digest(plain), "threads": torch.get_num_threads(), "device": model.device.type}


def gained(before: LanguageModel, after: LanguageModel, tokens: Tokens) -> list[tuple[Gained, ...]]:
    """Of every pair the tokens that gained most probability where its answers part, the most first.

    The place is behind the prompt and what both answers begin with; both models must have one tokenizer.
    """
    found: list[tuple[Gained, ...]] = []
    for start in range(0, len(tokens), AT_ONCE):
        places = [_parting(*pair) for pair in tokens[start : start + AT_ONCE]]
        was, now = (_laws(model, places) for model in (before, after))
        gain, where = (now - was).topk(min(MOST_GAINED, was.shape[1]), dim=1)
        for row, (sizes, ids) in enumerate(zip(gain.tolist(), where.tolist(), strict=True)):
            found.append(
                tuple(
                    Gained(_text(before, token), float(was[row, token]), float(now[row, token]))
                    for size, token in zip(sizes, ids, strict=True)
                    if size >= LEAST_GAINED
                )
            )
    return found


def _parting(chosen: TokenPair, rejected: TokenPair) -> TokenPair:
    """The prompt with what both answers begin with, and the chosen answer's next token."""
    most = min(len(chosen.completion), len(rejected.completion)) - 1
    common = 0
    while common < most and chosen.completion[common] == rejected.completion[common]:
        common += 1
    return TokenPair((*chosen.context, *chosen.completion[:common]), chosen.completion[common : common + 1])


def _laws(model: LanguageModel, places: Sequence[TokenPair]) -> Float[Tensor, "pair vocab"]:
    """Probabilities of the next token at every place."""
    rows: list[Tensor] = [torch.empty(0)] * len(places)
    with evaluating(model.model), torch.inference_mode():
        for reading in readings(model.model, places):
            laws = reading.logits.float().softmax(-1).cpu()
            for row, owner in zip(reading.row, reading.owner, strict=True):
                rows[int(owner)] = laws[int(row)]
    return torch.stack(rows)


def _text(model: LanguageModel, token: int) -> str:
    return str(model.tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False))


def by_prompt(prompts: Sequence[str], numbers: Sequence[float]) -> dict[str, list[float]]:
    """A number of every pair, by its prompt: pairs of one prompt are not independent."""
    found: dict[str, list[float]] = {}
    for prompt, number in zip(prompts, numbers, strict=True):
        found.setdefault(prompt, []).append(number)
    return found


def pair_totals(prompts: Sequence[str], found: Sequence[Mapping[str, float]], *, seeds: Seeds) -> list[Total]:
    """Every column's mean over prompts; levels keep false alarms of all of them together."""
    lines = {(name, EVERYTHING): Values(by_prompt(prompts, [one[name] for one in found])) for name in PAIR_COLUMNS}
    return table(lines, seeds=seeds, columns=PAIR_COLUMNS.__getitem__)
