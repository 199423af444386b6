"""Was a model trained on these texts in this order? A test of its losses, exact if the order was drawn at random.

    found = provenance(Transcript.read(Path("log")), losses_of(load("mine"), texts), [losses_of(load("base"), texts)])
    found.p_value, found.says

Models remember what they saw last better. If a model has nothing to do with the order, its losses cannot go with it, whatever
texts and model are; so the p-value is exact. A reference, any model without the order, takes off what makes texts difficult.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.core.text import visible
from assay.models.pretrained.loading import LanguageModel
from assay.stats.order_tests import bet_on_order, order_correlation, order_test, savage, uniform
from assay.training.order import Order, Transcript

__all__ = ["FEWEST", "Provenance", "Tenth", "chosen_examples", "losses_of", "provenance", "read_scores"]

FEWEST = 50
SURE, OPEN = 0.001, 0.05
SHUFFLED = 0.001  # of a thousand shuffled orders about one for each quantity looks sorted
N_PERMUTATIONS = 1_000_000
SCORED = 64  # texts between two reports of progress
MOST_TOKENS = 512


@dataclass(frozen=True)
class Tenth:
    """A tenth of the order: mean residual loss of its texts, from the mean of all, in nats a byte, and its standard error."""

    tenth: int
    first_step: int
    last_step: int
    n_texts: int
    residual: float
    error: float


@dataclass(frozen=True)
class Provenance:
    """What the test found.

    Attributes:
        says: the answer in a sentence.
        n_texts: that were tested.
        n_references: models whose loss was taken off.
        correlation: Spearman's, of residual loss with the order; negative where later texts have lower losses.
        p_value: exact, one-sided, by Savage's scores, which weigh late texts most.
        floor: the smallest p-value that so many permutations can give.
        approximate: the same from Student's t, for what lies below the floor.
        e_value: of a bet that could have been stopped at any text; its mean is at most 1 for a model without the order.
        texts_needed: after how many texts, in random order, the bet reached 1,000; None where it never did.
        tenths: residual loss along the order.
        notes: what the reader should know.
    """

    says: str
    n_texts: int
    n_references: int
    correlation: float
    p_value: float
    floor: float
    approximate: float
    e_value: float
    texts_needed: int | None
    tenths: tuple[Tenth, ...]
    notes: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def chosen_examples(transcript: Transcript, n: int | None = None, *, seed: int = 0) -> Ints:
    """The examples that can be tested, in the order of their numbers; of more than `n`, so many drawn at random.

    Those of the last pass; while that has only begun, those of the one before it as well.

    Raises:
        InputError: there are fewer than 50.
    """
    seen = np.flatnonzero(_last_seen(transcript.order)[0] >= 0)
    if n is not None and n < len(seen):
        seen = np.sort(Seeds(seed).child("provenance")("texts").choice(seen, size=n, replace=False))
    if len(seen) < FEWEST:
        raise InputError(
            f"a test of the order needs at least {FEWEST} texts; got {len(seen)}. With fewer, hardly any order can be told"
        )
    return seen


def losses_of(model: LanguageModel, texts: Sequence[str], *, most_tokens: int = MOST_TOKENS) -> Floats:
    """Loss of each text in nats a byte, over its first tokens; nan where the model's tokenizer does not give the text back.

    Raises:
        WorkError: logits are not finite, or memory ran out.
    """
    from assay.instruments.scoring import score_tokens
    from assay.models.pretrained.limits import limits_of
    from assay.models.pretrained.text import TokenPair, try_token_pairs

    most = min(most_tokens, limits_of(model.model).positions or most_tokens)
    found = np.full(len(texts), np.nan)
    for start in range(0, len(texts), SCORED):
        some = texts[start : start + SCORED]
        pairs = try_token_pairs(model.tokenizer, [("", text) for text in some])
        kept = [(i, pair) for i, pair in enumerate(pairs) if not isinstance(pair, InputError)]
        cut = [TokenPair(pair.context, pair.completion[: max(1, most - len(pair.context))]) for _, pair in kept]
        scored = score_tokens(model.model, cut, ranked=set()).log_prob if cut else np.empty(0)
        for (i, whole), pair, log_prob in zip(kept, cut, scored, strict=True):
            short = len(pair.completion) < len(whole.completion)
            read = model.tokenizer.decode([*pair.context, *pair.completion], skip_special_tokens=True) if short else some[i]
            found[start + i] = -log_prob / _n_bytes(read)
        progress((start + len(some)) / len(texts), f"{model.name}: {start + len(some)} of {len(texts)} texts")
    return found


def read_scores(path: Path, texts: Sequence[str]) -> Floats:
    """Loss of each text in nats a byte from a file of JSON lines with `text` and `log_prob` (natural); nan where it has none.

    Raises:
        InputError: there is no such file, or a line is not one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"scores must be a UTF-8 file of JSON lines; {path}: {error}") from error
    known: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, value = row["text"], row["log_prob"]
            right = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value <= 0
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path.name}, line {number}: a row must be a JSON object with 'text' and 'log_prob'; got "
                f"'{visible(line[:60])}'"
            ) from error
        if not isinstance(text, str) or not right:
            raise InputError(
                f"{path.name}, line {number}: 'log_prob' must be the natural logarithm of a text's probability, at most 0; got "
                f"{value!r}"
            )
        known[text] = float(value)
    return np.array([-known[text] / _n_bytes(text) if text in known else np.nan for text in texts])


def provenance(
    transcript: Transcript,
    examples: Ints,
    losses: Floats,
    references: Sequence[Floats] = (),
    *,
    assume_shuffled: bool = False,
    seed: int = 0,
) -> Provenance:
    """Whether losses fall along the order by more than chance, each example at the step of the last pass.

    Of a last pass that has only begun, examples that it has not come to are at the step of the one before: at the step, that
    is, at which each was last seen.

    What the references' losses predict is taken off by least squares, which looks at no order. Examples without a loss take no
    part.

    Args:
        transcript: whose order is tested.
        examples: the numbers of its examples that were asked.
        losses: [n] of each, in nats a byte; nan for none.
        references: the same of models that do not know the order.
        assume_shuffled: test an order that goes with the texts' lengths or a reference's losses, too.
        seed: of the permutations.

    Raises:
        InputError: fewer than 50 texts have losses, all losses are equal, or the order is not a shuffle.
    """
    everything = np.column_stack([losses, *references])
    there = np.isfinite(everything).all(axis=1)
    notes = list(transcript.notes)
    if not there.all():
        notes.append(f"{int((~there).sum()):,} texts without a loss, or that a tokenizer changes, take no part.")
    examples, everything = examples[there], everything[there]
    if len(examples) < FEWEST:
        raise InputError(f"a test of the order needs losses of at least {FEWEST} texts; got {len(examples)}")
    texts = [transcript.texts[example] for example in examples]
    last_seen, begun = _last_seen(transcript.order)
    notes += begun
    steps = last_seen[examples]
    if (copies := len(texts) - len(set(texts))) > 0:
        notes.append(f"{copies:,} texts repeat others; each is tested at its own step.")
    sizes = {"the texts' lengths": np.array([_n_bytes(text) for text in texts], dtype=float)}
    sizes |= {
        "the reference's losses" if len(references) == 1 else f"the losses of reference {i}": everything[:, i]
        for i in range(1, everything.shape[1])
    }
    against = _check_shuffled(steps, sizes, assume_shuffled)
    notes += against
    residual = _residual(everything[:, 0], everything[:, 1:])
    seeds = Seeds(seed).child("provenance")
    tested = order_test(steps, residual, rng=seeds("permutations"), scores=savage, n_permutations=N_PERMUTATIONS)
    bet = bet_on_order(steps, residual, rng=seeds("bet"))
    return Provenance(
        says=_said(tested.p_value, tested.floor, tested.approximate, doubted=bool(against)),
        n_texts=len(texts),
        n_references=len(references),
        correlation=order_correlation(steps, residual),
        p_value=tested.p_value,
        floor=tested.floor,
        approximate=tested.approximate,
        e_value=min(bet.e_value, 1e300),
        texts_needed=bet.examples_until(SURE),
        tenths=_tenths(steps, residual),
        notes=tuple(notes),
    )


def _last_seen(order: Order) -> tuple[Ints, list[str]]:
    """The step at which each example was last seen, -1 where it takes no part, and a note where the last pass has only begun.

    A pass has begun if it has fewer examples than the one before and none that was not seen earlier. If every pass is a shuffle
    of the same examples, any of them is as likely to have been last seen at any of the steps.
    """
    everything = np.arange(order.n_examples)
    last = order.step_of(everything)
    if len(order.epochs) == 1:
        return last, []
    before, n_last = order.step_of(everything, -2), int((last >= 0).sum())
    earlier = order.examples[: order.bounds[order.epochs[-1]]]
    if n_last >= (before >= 0).sum() or not np.isin(everything[last >= 0], earlier).all():
        return last, []
    note = (
        f"The last pass has only begun, with {n_last:,} of {len(np.unique(earlier)):,} texts: each text is tested at the step "
        "at which it was last seen. If these were chosen and not the next ones of a shuffle, nothing follows."
    )
    return np.where(last >= 0, last, before), [note]


def _n_bytes(text: str) -> int:
    return max(1, len(text.encode("utf-8", "replace")))


def _check_shuffled(steps: Ints, sizes: Mapping[str, Floats], assumed: bool) -> list[str]:
    """A note for each quantity that the order goes with, if it is assumed to be shuffled all the same."""
    notes = []
    for what, values in sizes.items():
        if np.ptp(values) == 0 or np.ptp(steps) == 0:
            continue
        # By the scores of the test as well: late texts may stand out where the whole order goes with nothing.
        rising = [
            order_test(steps, values, rng=np.random.default_rng(0), scores=scores, n_permutations=1).approximate
            for scores in (uniform, savage)
        ]
        p = min(1.0, 4 * min(min(one, 1 - one) for one in rising))
        if p >= SHUFFLED:
            continue
        said = f"the order goes with {what} (rank correlation {order_correlation(steps, values):.2f}, p = {p:.1g})"
        if not assumed:
            raise InputError(
                f"an order must be drawn at random for its p-value to mean anything; {said}: it looks sorted, or the reference "
                "knows it. If it was a shuffle that came out so and the reference was trained apart, say --assume-shuffled"
            )
        notes.append(f"{said[0].upper()}{said[1:]}; the p-value holds only if it was drawn at random, as you say.")
    return notes


def _residual(losses: Floats, references: Floats) -> Floats:
    """What is left of the losses when the best linear function of the references' is taken off."""
    given = np.column_stack([np.ones(len(losses)), references])
    fitted: Floats = given @ np.linalg.lstsq(given, losses, rcond=None)[0]
    residual: Floats = losses - fitted
    if np.ptp(residual) <= 1e-12 * max(1.0, float(np.abs(losses).max())):
        raise InputError(
            "the model's losses must differ from the references'; they are the same up to a linear function. Name a reference "
            "that is another model"
        )
    return residual


def _tenths(steps: Ints, residual: Floats) -> tuple[Tenth, ...]:
    order = np.argsort(steps, kind="stable")
    found = []
    for number, some in enumerate(np.array_split(order, 10), 1):
        values = residual[some] - residual.mean()
        error = float(values.std(ddof=1) / len(values) ** 0.5)
        found.append(Tenth(number, int(steps[some].min()), int(steps[some].max()), len(some), float(values.mean()), error))
    return tuple(found)


def _said(p: float, floor: float, approximate: float, *, doubted: bool) -> str:
    shown = f"p = {p:.2g}" if p > floor else f"p = {floor:.1g} or less, about {approximate:.1g}"
    if p <= SURE and doubted:
        return (
            f"If this order was drawn at random, which the notes speak against: later texts have lower losses than chance "
            f"allows ({shown}). If it was not, nothing follows."
        )
    if p <= SURE:
        return (
            f"Yes: the later this log has a text, the lower the model's loss on it, more than chance allows ({shown}). The "
            "model was trained in this order, or made from one that was."
        )
    if p <= OPEN:
        return f"Perhaps: later texts have somewhat lower losses ({shown}). More texts, or a closer reference, would tell."
    return f"No sign of it: losses do not fall along this order ({shown}). A model that has forgotten it looks the same."
