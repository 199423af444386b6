"""What an audit will cost, measured on a handful of texts before anything long is begun."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from assay.audit.inject import Example, n_steps
from assay.audit.measuring import continued
from assay.core.errors import InputError
from assay.instruments.displacement import forecast_alone, similarities
from assay.instruments.scoring import score_tokens
from assay.models.pretrained.limits import limits_of
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import BUDGET, evaluating, readings
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.training.chosen import chosen_names
from assay.training.preference import PreferenceRecipe
from assay.training.recipe import Recipe

__all__ = ["PairMinutes", "expected_minutes", "expected_minutes_of_pairs", "peak_gib", "refuse_beyond"]

SAMPLED_PAIRS = 5  # of these the shortest is scored
SAMPLE, PLACES = 96, 4  # pairs, and from how many places of the list
DISK_BYTES_A_SECOND = 4e8
BACKWARD = 3.0  # a training pass over a token against a forward pass


def expected_minutes(
    model: LanguageModel,
    pairs: Sequence[tuple[str, str]],
    sentences: Sequence[Example],
    recipe: Recipe | None,
    *,
    kept: bool,
    n_said: int = 0,
) -> tuple[float, float]:
    """Minutes of the whole audit (asking twice, training once) and of its training; nothing is trained.

    Args:
        model: before.
        pairs: all that will be asked.
        sentences: all that will be trained on.
        recipe: how; None where nothing is trained.
        kept: whether states of the training are written to disk.
        n_said: prompts that the models continue in their own words.
    """
    in_order = sorted(pairs)
    each = SAMPLE // PLACES  # neighbours in order share their beginning, in the sample as in the whole
    starts = [int((place + 0.5) * len(pairs) / PLACES) for place in range(PLACES)]
    some = [pair for start in starts for pair in in_order[start : start + each]]
    tokens = _usable(model, some)
    score_tokens(model.model, tokens[:2], ranked=set())  # the first pass finds out how this model can be run
    asking = _seconds(lambda: score_tokens(model.model, tokens, ranked=set()), model.device) / max(1, len(tokens)) * len(pairs)
    some_pairs = [pair for pair in tokens[:2] if pair.context]
    if n_said and some_pairs:
        asking += _seconds(lambda: continued(model, some_pairs), model.device) / len(some_pairs) * n_said
    training = 0.0
    if recipe is not None:
        batch = _usable(model, sentences[: recipe.batch_size])

        def forward() -> None:
            with evaluating(model.model), torch.inference_mode():
                for _ in readings(model.model, batch, budget=BUDGET, share=False):
                    pass

        steps = n_steps(len(sentences), recipe)
        names = set(chosen_names(model.model, recipe))
        chosen = sum(value.numel() for name, value in model.model.named_parameters() if name in names)
        trained = chosen * min(1.0, recipe.lora_rank / 100) if recipe.method == "lora" else chosen
        step = _seconds(forward, model.device) * BACKWARD + 40 * trained / _bandwidth(model.device)
        saves = 5 * 12 * trained / DISK_BYTES_A_SECOND if kept else 0.0
        training = (steps * step + saves) / 60
    return (2 * asking) / 60 + training, training


@dataclass(frozen=True)
class PairMinutes:
    """What the parts of an audit of preferences are expected to take, in minutes.

    Attributes:
        asking: for the answers of all pairs, once.
        forecasting: scores of every pair and the first step of all.
        training: once.
    """

    asking: float
    forecasting: float
    training: float


def expected_minutes_of_pairs(
    model: LanguageModel, pairs: Sequence[tuple[TokenPair, TokenPair]], recipe: PreferenceRecipe | None, *, kept: bool
) -> PairMinutes:
    """Minutes of an audit of preferences; nothing is trained.

    Args:
        model: before.
        pairs: in tokens.
        recipe: of the training; None where nothing is trained.
        kept: whether states of the training are written to disk.
    """
    in_order = sorted(pairs, key=_length)
    some = [in_order[int((place + 0.5) * len(pairs) / SAMPLED_PAIRS)] for place in range(SAMPLED_PAIRS)]
    answers = [answer for pair in some for answer in pair]
    score_tokens(model.model, answers[:2], ranked=set())  # the first pass finds out how this model can be run
    asking = _seconds(lambda: score_tokens(model.model, answers, ranked=set()), model.device) / len(some) * len(pairs)
    scored = _seconds(lambda: (similarities(model, some[:1]), forecast_alone(model, some[:1])), model.device)
    longest = _length(some[-1]) / max(1, _length(some[0]))
    scored *= (1 + longest) / 2  # the pair that was tried is the shortest of these
    training = 0.0
    if recipe is not None:
        steps = n_steps(len(pairs), recipe)
        names = set(chosen_names(model.model, recipe))
        chosen = sum(value.numel() for name, value in model.model.named_parameters() if name in names)
        trained = chosen * min(1.0, recipe.lora_rank / 100) if recipe.method == "lora" else chosen
        saves = 5 * 12 * trained / DISK_BYTES_A_SECOND if kept else 0.0
        training = recipe.n_epochs * asking * BACKWARD + steps * 40 * trained / _bandwidth(model.device) + saves
    stepped = 2 * BACKWARD * asking if recipe is not None else 0.0
    return PairMinutes(asking / 60, (scored * len(pairs) + stepped) / 60, training / 60)


def _length(pair: tuple[TokenPair, TokenPair]) -> int:
    return sum(len(one.context) + len(one.completion) for one in pair)


def refuse_beyond(budget: float, expected: float, n: int, what: str, less: str = "ask less (--brief), ") -> None:
    """Raise where an audit is expected to take longer than its budget.

    Args:
        budget: minutes.
        expected: minutes.
        n: facts or pairs of the file.
        what: they are, with what makes them long.
        less: what else would make it shorter.

    Raises:
        InputError: with the expected minutes and what would make them fewer.
    """
    if expected > budget:
        fits = max(1, int(n * budget / expected))
        raise InputError(
            f"an audit must fit its budget of {budget:g} minutes; {what} would take about "
            f"{expected:.{0 if expected >= 10 else 1}f}. Audit the first {fits} (--limit {fits}), "
            f"{less}or allow it (--budget {math.ceil(12 * expected) / 10:g})"
        )


def peak_gib(device: torch.device) -> float | None:
    """The most memory held so far, in GiB: of a GPU, else of this process; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    try:
        import resource
        import sys
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**30 if sys.platform == "darwin" else 2**20)


def _usable(model: LanguageModel, pairs: Sequence[tuple[str, str]]) -> list[TokenPair]:
    """Those that the model can take; the others are refused when all are looked at."""
    limits = limits_of(model.model)
    found = [pair for pair in try_token_pairs(model.tokenizer, pairs) if isinstance(pair, TokenPair)]
    return [pair for pair in found if not limits.fault(pair)]


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - begun


def _finish(device: torch.device) -> None:
    """Waits for what was handed to a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _bandwidth(device: torch.device) -> float:
    """Bytes a second that this machine moves through the device's memory with what torch may use of it."""
    values = torch.ones(2**23, device=device)
    _seconds(lambda: values.add_(1), device)
    return 8 * 2**23 * 3 / _seconds(lambda: [values.add_(1) for _ in range(3)], device)
