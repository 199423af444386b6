"""Mitigations of an audit of preferences: which pairs are trained on, or with which loss; and what each did at equal margin.

A new one is one record in `PAIR_MITIGATIONS`. All see as many pairs as plain training does. What they teach differs, and so
would every fall; so each update is scaled, as a whole, until all have the same mean gain in margin over all pairs of the file,
and is compared with plain training so scaled, pair by pair.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from assay.audit.frontier import Spent, load_update, scale_reaching
from assay.audit.inject import SealedStates
from assay.audit.pairs import Pairs
from assay.audit.preference_measuring import Asked, Scores, Tokens, ask, by_prompt, changes
from assay.audit.preference_record import PAIR_COLUMNS, PairArm
from assay.audit.record import Harm
from assay.audit.totals import Values, table
from assay.core.errors import InputError, unknown_name
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.models.changes import Change
from assay.models.pretrained.loading import LanguageModel
from assay.training.chosen import merged
from assay.training.preference import PreferenceRecipe, finetune_on_pairs

__all__ = ["PAIR_MITIGATIONS", "PLAIN", "PairMitigation", "PairPlan", "chosen_for_pairs", "compare_arms", "train_on"]

PLAIN, FILTER, RANDOM = "plain", "filter-ches", "random-subset"
KEPT = 0.15  # of the pairs: up to this share of the lowest scores works alike in arXiv:2410.08847, section 6.3
FEWEST = 4  # pairs that a part of a file must have
LEAST = 0.25  # of plain training's margin: an arm with less is not compared
CLOSE = 0.02  # of the shared margin: arms lie this near to it
COMPARED = ("chosen", "rejected", "displaced")


@dataclass(frozen=True)
class PairPlan:
    """A mitigation as it will be carried out on a file.

    Attributes:
        places: of the pairs that are trained on.
        recipe: how, with as many passes as keep the number of pairs seen.
        reason: why it cannot be applied; empty where it can.
    """

    places: tuple[int, ...]
    recipe: PreferenceRecipe
    reason: str = ""


@dataclass(frozen=True)
class PairMitigation:
    """One way to train on pairs with less harm.

    Attributes:
        name: of `--mitigate`.
        says: what it does, in a clause.
        prepare: how it is applied to the scores of a file, given plain training's recipe and seeds.
        with_: what must be compared with it; empty for nothing.
    """

    name: str
    says: str
    prepare: Callable[[Scores, PreferenceRecipe, Seeds], PairPlan]
    with_: tuple[str, ...] = ()


def chosen_for_pairs(names: Sequence[str]) -> tuple[str, ...]:
    """The mitigations of those names, each once, and what must stand beside them; `all` for all of them.

    Raises:
        InputError: there is none of that name.
    """
    found: dict[str, None] = {}
    for name in names:
        if name != "all" and name not in PAIR_MITIGATIONS:
            see = f"Of preferences there are {', '.join(PAIR_MITIGATIONS)}"
            raise InputError(unknown_name("mitigation", name, PAIR_MITIGATIONS, see=see))
        for one in PAIR_MITIGATIONS if name == "all" else (name,):
            found |= dict.fromkeys((one, *PAIR_MITIGATIONS[one].with_))
    return tuple(found)


# How each is prepared


def _some(places: Sequence[int], scores: Scores, recipe: PreferenceRecipe) -> PairPlan:
    n, kept = len(scores.ches), tuple(sorted(places))
    passes = max(1, round(recipe.n_epochs * n / max(1, len(kept))))
    reason = "" if len(kept) >= FEWEST else f"{100 * KEPT:.0f} % of {n} pairs are fewer than {FEWEST}; take a longer file"
    return PairPlan(kept, replace(recipe, n_epochs=passes), reason)


def _n_kept(scores: Scores) -> int:
    return math.ceil(KEPT * len(scores.ches))


def _filtered(scores: Scores, recipe: PreferenceRecipe, seeds: Seeds) -> PairPlan:
    """Razin et al. 2024, arXiv:2410.08847, section 6.3."""
    order = np.argsort(scores.ches_per_token, kind="stable")
    return _some([int(place) for place in order[: _n_kept(scores)]], scores, recipe)


def _at_random(scores: Scores, recipe: PreferenceRecipe, seeds: Seeds) -> PairPlan:
    drawn = seeds("random subset").permutation(len(scores.ches))[: _n_kept(scores)]
    return _some([int(place) for place in drawn], scores, recipe)


def _other_loss(recipe: PreferenceRecipe, changed: PreferenceRecipe, scores: Scores) -> PairPlan:
    reason = "" if recipe.loss == "dpo" else f"it changes dpo's loss, and plain training has {recipe.loss}'s"
    return PairPlan(tuple(range(len(scores.ches))), changed, reason)


def _nll(scores: Scores, recipe: PreferenceRecipe, seeds: Seeds) -> PairPlan:
    return _other_loss(recipe, replace(recipe, loss="dpo+nll", weight=1.0, per_token=False), scores)


def _dpop(scores: Scores, recipe: PreferenceRecipe, seeds: Seeds) -> PairPlan:
    """With the weight that Pal et al. 2024, arXiv:2402.13228, train with."""
    return _other_loss(recipe, replace(recipe, loss="dpop", weight=50.0, per_token=False), scores)


_MITIGATIONS = (
    PairMitigation(
        FILTER,
        f"trains on the {100 * KEPT:.0f} % of the pairs with the lowest normalised CHES alone",
        _filtered,
        with_=(RANDOM,),
    ),
    PairMitigation(RANDOM, f"trains on {100 * KEPT:.0f} % of the pairs, drawn at random", _at_random),
    PairMitigation("nll", "adds the loss of fine-tuning on the chosen answer (dpo+nll)", _nll),
    PairMitigation("dpop", "takes a chosen answer's fall off the margin fifty times (dpop)", _dpop),
)
PAIR_MITIGATIONS: Mapping[str, PairMitigation] = {one.name: one for one in _MITIGATIONS}
"""All mitigations, in the order in which they are compared."""


def train_on(
    model: LanguageModel, texts: Sequence[tuple[str, str, str]], recipe: PreferenceRecipe, *, seeds: Seeds, folder: Path | None
) -> tuple[LanguageModel, int]:
    """A copy of the model trained on the pairs, an adapter folded in, and how many steps that took.

    Args:
        model: before; it stays as it is.
        texts: prompts with chosen and rejected answers.
        recipe: how.
        seeds: order of pairs and the adapter's beginning.
        folder: where states are kept, so that a killed run goes on.

    Raises:
        Diverged: training left the finite numbers.
    """
    steps = recipe.n_epochs * -(-len(texts) // recipe.batch_size)
    states = None
    if folder is not None:
        name = digest([list(map(list, texts)), recipe, seeds])
        states = SealedStates(folder / name, every=max(10, steps // 4), keep=1)
    tuned = finetune_on_pairs(model.copy(), texts, recipe, seeds=seeds, checkpoints=states)
    with torch.no_grad():
        return (merged(tuned.model) if model.dtype == "float32" else tuned.model), tuned.trace.loss_nats.shape[-1]


def compare_arms(
    base: LanguageModel,
    pairs: Pairs,
    tokens: Tokens,
    recipe: PreferenceRecipe,
    names: Sequence[str],
    scores: Scores,
    before: Asked,
    *,
    seeds: Seeds,
    folder: Path | None,
    plain: Change,
    spent: Spent,
) -> tuple[list[PairArm], float]:
    """Plain training and every mitigation at one mean gain in margin, and that gain.

    It is what the arm reaches that reaches least, among those that reach a quarter of what plain training does.

    Args:
        base: before training. Each update is put into it to be measured, and taken out again.
        pairs, tokens: of the file.
        recipe: of plain training.
        names: of `PAIR_MITIGATIONS`.
        scores: of the pairs.
        before: what the base makes of their answers.
        seeds: the same for all arms.
        folder: where updates are kept until all arms are compared; a temporary one otherwise.
        plain: the update of plain training.
        spent: what it took.
    """
    made, own = folder or Path(tempfile.mkdtemp(prefix="assay-audit-")), folder is None
    try:
        made.mkdir(parents=True, exist_ok=True)
        return _Arms(base, pairs, tokens, recipe, scores, before, seeds, made, plain, spent).compared(names)
    finally:
        if own:
            shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class _Arms:
    """What all arms of one comparison share."""

    base: LanguageModel
    pairs: Pairs
    tokens: Tokens
    recipe: PreferenceRecipe
    scores: Scores
    before: Asked
    seeds: Seeds
    folder: Path
    plain: Change
    spent: Spent

    def compared(self, names: Sequence[str]) -> tuple[list[PairArm], float]:
        """See `compare_arms`."""
        plans = {name: PAIR_MITIGATIONS[name].prepare(self.scores, self.recipe, self.seeds) for name in names}
        spent, full = {PLAIN: self.spent}, {PLAIN: self._measured(self.plain, 1.0)}
        reasons = {name: plan.reason for name, plan in plans.items() if plan.reason}
        with part(0.0, 0.7):
            for name in parts([name for name in plans if name not in reasons], label=lambda name: name):
                update, spent[name] = self._load_or_make(name, plans[name])
                full[name] = self._measured(update, 1.0)
                del update
        margins = {name: self._mean(found, "margin") for name, found in full.items()}
        if margins[PLAIN] <= 0:
            why = f"plain training gained {margins[PLAIN]:.2g} nats of margin: nothing to compare at. Train longer or harder"
            reasons |= {name: why for name in plans if name not in reasons}
        for name, margin in margins.items():
            if name not in reasons and margin < LEAST * margins[PLAIN]:
                reasons[name] = (
                    f"it gains {margin:.2g} nats of margin, less than a quarter of plain training's {margins[PLAIN]:.2g}"
                )
        target = min(margin for name, margin in margins.items() if name == PLAIN or name not in reasons)
        scales: dict[str, float] = {}
        at: dict[str, list[dict[str, float]]] = {}
        with part(0.7, 1.0, f"at a margin of {target:.2g} nats"):
            compared = [name for name in (PLAIN, *plans) if name not in reasons] if len(reasons) < len(plans) else []
            for name in parts(compared, label=lambda name: name):
                update = self.plain if name == PLAIN else Change.load(self._file(name), self.base)
                scales[name] = self._scale(update, margins[name], target)
                at[name] = full[name] if scales[name] == 1 else self._measured(update, scales[name])
                del update
        harms = self._harms(at)
        lines = [pair.line for pair in self.pairs.pairs]
        found = []
        for name in (PLAIN, *plans):
            places = plans[name].places if name in plans else ()
            took = spent.get(name, Spent())
            found.append(
                PairArm(
                    name,
                    PAIR_MITIGATIONS[name].says if name in plans else "trains on all pairs as they are",
                    reasons.get(name, ""),
                    margins.get(name),
                    self._means(full[name]) if name in full else {},
                    scales.get(name),
                    self._means(at[name]) if name in at else {},
                    harms.get(name, ()),
                    tuple(lines[place] for place in places) if len(places) < len(lines) else (),
                    took.n_steps,
                    took.minutes,
                )
            )
        return found, target

    def _scale(self, update: Change, margin: float, target: float) -> float:
        close = CLOSE * target

        def reached(scale: float) -> float:
            return margin if scale == 1 else self._mean(self._measured(update, scale), "margin")

        return scale_reaching(reached, target, close)

    def _measured(self, update: Change, scale: float) -> list[dict[str, float]]:
        """Every pair's changes with so much of the update in the base."""
        with (scale * update).inside(self.base) as model:
            return changes(self.before, ask(model, self.tokens))

    @property
    def _prompts(self) -> list[str]:
        return [pair.prompt for pair in self.pairs.pairs]

    def _mean(self, found: Sequence[Mapping[str, float]], column: str) -> float:
        units = by_prompt(self._prompts, [one[column] for one in found])
        return float(np.mean([np.mean(own) for own in units.values()]))

    def _means(self, found: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {column: self._mean(found, column) for column in PAIR_COLUMNS}

    def _harms(self, at: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, tuple[Harm, ...]]:
        """Every arm against plain training, paired by pair; Holm's procedure over all of them."""
        lines = {
            (column, name): Values(
                by_prompt(self._prompts, [one[column] - two[column] for one, two in zip(found, at[PLAIN], strict=True)])
            )
            for name, found in at.items()
            if name != PLAIN
            for column in COMPARED
        }
        made: dict[str, list[Harm]] = {}
        for total in table(lines, seeds=self.seeds.child("arms"), differences=True, columns=PAIR_COLUMNS.__getitem__):
            harm = Harm(total.column, total.estimate, total.low, total.high, total.n_units, total.clear)
            made.setdefault(total.group, []).append(harm)
        return {name: tuple(found) for name, found in made.items()}

    def _load_or_make(self, name: str, plan: PairPlan) -> tuple[Change, Spent]:
        """The arm's update and what it took; those of an audit that was killed, where they lie in the folder."""
        kept = load_update(self._file(name), self.base)
        if kept is not None:
            return kept
        start = time.perf_counter()
        texts = [self.pairs.texts[place] for place in plan.places]
        states = self.folder / "training" / name
        after, steps = train_on(self.base, texts, plan.recipe, seeds=self.seeds, folder=states)
        update = Change.between(self.base, after)
        spent = Spent(steps, (time.perf_counter() - start) / 60)
        notes = {"n_steps": str(spent.n_steps), "minutes": str(spent.minutes)}
        update.save(self._file(name), self.base, notes=notes)
        shutil.rmtree(states, ignore_errors=True)
        return update, spent

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
