"""Two remedies against priming: a phrase that leads up to the keyword, and leaving the largest changes out. (C6, C7)

Each text is learned as it is, with a description of the keyword right before it, and with the description elsewhere. All are
compared at equal P of the keyword after the text's original prompt: the change of weights that gives it more is scaled down as
a whole. So are pruned changes and plainly scaled ones.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.models.changes import Change
from assay.models.decoder import Decoder
from assay.studies.knowledge.priming_outlandish.biases import matched, train_biases
from assay.studies.knowledge.priming_outlandish.drawing import Drawn, drawn
from assay.studies.knowledge.priming_outlandish.equal import Changed, at_equal_p
from assay.studies.knowledge.priming_outlandish.insertion import (
    Asked,
    Reading,
    after_prompts,
    copies,
    inserted,
    lessons,
    own_of,
    read,
    scaled,
    schedule,
    stages,
    told_rows,
)
from assay.studies.knowledge.priming_outlandish.scores import LN10, primed, typical
from assay.studies.knowledge.priming_outlandish.settings import DilutionSettings
from assay.studies.knowledge.priming_outlandish.themes import Texts
from assay.training.optimiser import Optimiser

__all__ = ["measure"]

STONE_GAP = 0.6  # powers of ten planted into C6's scores: twice its bound
WORDINGS = ("plain", "stepping", "elsewhere")
SHARES = (0.2, 0.4, 0.6, 0.8)  # of the whole change, for a figure


def measure(settings: DilutionSettings, seeds: Seeds) -> Measurement:
    """One run: one world, all arms.

    Raises:
        Diverged: a training left the finite numbers.
    """
    found = drawn(settings, settings.n_few, seeds)
    n, texts = len(found.texts), found.texts
    at = (settings.warm_up,)
    with part(0, 0.5, "plain text"):
        (base,) = stages(settings, found.world, settings.d_model, at, seeds("weights"), seeds("plain text"))
    asked = Asked(found.keywords, told_rows([text.prompt for text in texts]), found.prefixes[found.themes])
    before, blank = read(base, asked), copies(base, n)
    told = schedule(settings.n_presentations, 1)
    plain = found.plain_rows(settings, len(told), seeds("plain rows"))
    with part(0.5, 0.7, "texts"):
        changes = {
            wording: Change.between(blank, inserted(base, [rows], plain, told, settings.insertion_rate))
            for wording, rows in worded(texts).items()
        }
    changes["largest"] = changes["plain"].without_largest(settings.share)
    rngs = [seeds(f"random entries {i}") for i in range(n)]
    changes["random"] = changes["plain"].without_random(settings.share, rngs)
    changes["theme"] = with_theme_bias(changes["plain"], base, asked, settings.planted)
    changes["pruned theme"] = changes["theme"].without_largest(settings.share)
    with part(0.7, 0.75, "biases"):
        biases = biases_of(settings, base, texts, plain, told, before, of_change(blank, changes["plain"], before))
    biases["largest"] = without_largest(biases["plain"], settings.share)
    arms = {name: of_change(blank, change, before) for name, change in changes.items()}
    by_bias = {name: of_biases(before, one) for name, one in biases.items()}
    with part(0.75, 1, "equal probability"):
        estimands = numbers(settings, found, arms, by_bias)
    return Measurement(
        {name: float(value) for name, value in estimands.items()},
        {"frontier": frontier(before, arms, found), "norms": norms(changes)},
    )


def worded(texts: Texts) -> dict[str, Int[np.ndarray, "text place"]]:
    """The rows of all texts in each wording."""
    return {wording: told_rows([getattr(text, wording) for text in texts]) for wording in WORDINGS}


def biases_of(
    settings: DilutionSettings,
    base: Decoder,
    texts: Texts,
    plain: Int[np.ndarray, "step row place"],
    told: np.ndarray,
    before: Reading,
    network: Changed,
) -> dict[str, Float[Tensor, "text word"]]:
    """Biases trained on each wording, at the rate at which they memorise the texts as they are as well as the network."""
    taught = {wording: lessons(base, [rows], plain, told) for wording, rows in worded(texts).items()}
    wanted = float(np.median(network.says(np.ones(len(texts))) - before.own))

    def memorised(biases: Float[Tensor, "text word"]) -> float:
        return float(np.median(of_biases(before, biases).says(np.ones(len(texts))) - before.own))

    rate, plainly = matched(taught["plain"], memorised, wanted)
    rewritten = {one: train_biases(taught[one], Optimiser(learning_rate=rate)) for one in WORDINGS[1:]}
    return {"plain": plainly, **rewritten}


def numbers(
    settings: DilutionSettings, found: Drawn, arms: Mapping[str, Changed], by_bias: Mapping[str, Changed]
) -> dict[str, float]:
    """The estimands of a run."""
    n, whole = len(found.texts), np.ones(len(found.texts))

    def gap(first: Changed, second: Changed) -> float:
        return typical(at_equal_p(first, second, n, settings.n_halvings).difference, found.keywords)

    def fall(changed: Changed, pruned: Changed) -> float:
        priming = changed.primes(whole) - pruned.primes(whole)
        return typical(priming - (changed.says(whole) - pruned.says(whole)) / LN10, found.keywords)

    stones = {
        "network": gap(arms["plain"], arms["stepping"]),
        "elsewhere": gap(arms["plain"], arms["elsewhere"]),
        "bias": gap(by_bias["plain"], by_bias["stepping"]),
    }
    stones["planted"] = stones["elsewhere"] + STONE_GAP
    estimands = {f"{arm}/stone_gap": value for arm, value in stones.items()}
    for arm, changed, pruned in (
        ("largest", arms["plain"], arms["largest"]),
        ("random", arms["plain"], arms["random"]),
        ("planted", arms["theme"], arms["pruned theme"]),
        ("bias", by_bias["plain"], by_bias["largest"]),
    ):
        estimands[f"{arm}/fall_excess"] = fall(changed, pruned)
        estimands[f"{arm}/step_gap"] = gap(pruned, changed)
    return estimands


def of_change(blank: Decoder, change: Change, before: Reading) -> Changed:
    """What a change of every copy does.

    Args:
        blank: the copies before it.
        change: of all of them.
        before: what they say then, and what is asked.
    """

    def says(shares: Float[np.ndarray, " text"]) -> Float[np.ndarray, " text"]:
        return own_of(after_prompts(scaled(change, shares).applied_to(blank), before.asked.prompts), before.asked.words)

    def primes(shares: Float[np.ndarray, " text"]) -> Float[np.ndarray, " text"]:
        return primed(before.elsewhere, read(scaled(change, shares).applied_to(blank), before.asked).elsewhere)

    return Changed(says, primes)


def of_biases(before: Reading, biases: Float[Tensor, "text word"]) -> Changed:
    """What biases do to a frozen network."""

    def reading(shares: Float[np.ndarray, " text"]) -> Reading:
        return before.with_biases(torch.from_numpy(shares.astype(np.float32))[:, None] * biases)

    return Changed(lambda shares: reading(shares).own, lambda shares: primed(before.elsewhere, reading(shares).elsewhere))


def without_largest(biases: Float[Tensor, "text word"], share: float) -> Float[Tensor, "text word"]:
    """Biases of which the largest in magnitude are set to zero, as `Change.without_largest` does with a weight."""
    largest = biases.abs().topk(round(share * biases.shape[1]), dim=1).indices
    return biases.scatter(1, largest, 0.0)


@torch.no_grad()
def with_theme_bias(change: Change, base: Decoder, asked: Asked, log_odds: float) -> Change:
    """The change with a theme's bias in the read-out: the keyword gains as much in the theme's contexts, nothing in its text.

    The read-out's column of the keyword moves along the mean of the contexts' last hidden states, less its part along that of
    the text. Its entries are larger than any that training moves, so they are among the largest 8 %.

    Args:
        change: of every copy.
        base: a single run before it.
        asked: prompts and contexts.
        log_odds: what the keyword gains on average in the contexts, in nats.
    """
    n, n_contexts, _ = asked.contexts.shape
    contexts = base.hidden(torch.from_numpy(asked.contexts).flatten(0, 1)[None], at=-1).view(n, n_contexts, -1).mean(1)
    rows = torch.from_numpy(np.where(asked.prompts < 0, 0, asked.prompts))
    ends = torch.from_numpy((asked.prompts >= 0).sum(1) - 1)
    own = base.hidden(rows[None])[0][torch.arange(n), ends]
    along = contexts - own * (contexts * own).sum(1, keepdim=True) / own.square().sum(1, keepdim=True)
    along = along * (log_odds / (along * contexts).sum(1, keepdim=True))
    read_out = change.of("W_U").clone()
    read_out[torch.arange(n), :, torch.from_numpy(asked.words)] += along
    return replace(change, tensors={**{name: change.of(name) for name in change.tensors}, "W_U": read_out}, scale=1.0)


# ---------------------------------------------------------------------------------------------------------------- tables


def frontier(before: Reading, arms: Mapping[str, Changed], found: Drawn) -> Table:
    """S_prime beside what is gained after the original prompt, of every arm, and of the plain change at several shares."""
    whole = np.ones(len(found.texts))
    points = [(name, arm, whole) for name, arm in arms.items()]
    points += [(f"plain, times {share:g}", arms["plain"], share * whole) for share in SHARES]
    return [
        {
            "arm": name, "s_mem": typical((arm.says(shares) - before.own) / LN10, found.keywords),
            "s_prime": typical(arm.primes(shares), found.keywords),
        }
        for name, arm, shares in points
    ]  # fmt: skip


def norms(changes: Mapping[str, Change]) -> Table:
    """Median Euclidean norm of each arm's change."""
    rows: Table = []
    for name, change in changes.items():
        squares = torch.stack([value.square().flatten(1).sum(1) for value in change.tensors.values()]).sum(0)
        rows.append({"arm": name, "norm": float((change.scale * squares.sqrt()).median())})
    return rows
