"""A pretrained language model that is told invented facts among other text: how do they rise? (C1.rise.lm, C3.order.lm)

One run draws passages, plain texts and an order; one copy of the model reads them.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from assay.claims.study import Measurement, Table
from assay.core.arrays import Floats
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.instruments.scoring import score_completions
from assay.models.pretrained.loading import LanguageModel
from assay.protocols.language_model import Subject, load_base, precision_of
from assay.store.memo import memoised_json
from assay.studies.knowledge.factual_knowledge_acquisition import bounds
from assay.studies.knowledge.factual_knowledge_acquisition.levels import matched
from assay.studies.knowledge.factual_knowledge_acquisition.passages import (
    LM_GROUPS,
    N_FACTS,
    Passages,
    invented,
    read_passages,
)
from assay.studies.knowledge.factual_knowledge_acquisition.settings import LanguageModelSettings
from assay.training.finetune import finetune_batches
from assay.training.recipe import Recipe
from assay.worlds.texts import load

__all__ = ["measure", "schedule"]

BEFORE, AFTER = (-3, 0), (6, 10)  # states around an exposure at which its facts are scored
EVERY = 2  # an item every second step
KINDS = ("told", "held")
IN_ORDER = ("never", "held-out", "told")
Scores = Float[np.ndarray, "kind 3 value item exposure window fact"]
"""log P in nats: in the words told and in others; after the item's own subject and after two that are never told; of its own
value and of another item's."""


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of passages and their order, one copy of the model.

    Raises:
        InputError: the model or the text is not in the cache, or the passages cannot be read.
        Diverged: the training left the finite numbers.
    """
    base = load_base(settings.model)
    passages = drawn(settings, seeds)
    at = schedule(settings, seeds("order"))
    make = partial(_scores, base, settings, passages, at, seeds)
    key = base.key
    if key is None:
        scores = np.array(make())
    else:
        told = digest([passages.rows, passages.told, passages.held, passages.values, passages.dealt, passages.plain])
        whole = {**key, "told": told, "at": at.tolist(), "settings": digest(settings), "seed": [seeds.root, list(seeds.path)]}
        scores = np.array(memoised_json("acquisition-scores", whole, make))
    return Measurement(numbers(scores, settings), {"course": course(scores, settings)})


def drawn(settings: LanguageModelSettings, seeds: Seeds) -> Passages:
    """The passages of a run and its plain texts."""
    made = invented(settings.blocks, settings.exposures, settings.n_steps * settings.batch, seeds)
    plain = made.plain
    if settings.text:
        pieces = [piece for article in load(settings.text) for piece in cut(article.text, settings.row_words)]
        order = seeds("plain").permutation(len(pieces))[: len(plain)]
        plain = tuple(pieces[i] for i in order)
    if not settings.passages:
        return Passages(made.rows, made.told, made.held, made.values, made.dealt, plain)
    return read_passages(Path(settings.passages), settings.blocks, settings.exposures, plain, seeds)


def cut(text: str, n_words: int) -> list[str]:
    """Stretches of so many words; what is left over is dropped."""
    words = text.split()
    return [" ".join(words[start : start + n_words]) for start in range(0, len(words) - n_words + 1, n_words)]


def schedule(settings: LanguageModelSettings, rng: np.random.Generator) -> Int[np.ndarray, "item exposure"]:
    """The step that tells each item at each exposure, at most one every second step; -1 for those never told."""
    slots = settings.spacing // settings.blocks // EVERY
    at = np.full((len(LM_GROUPS) * settings.blocks, settings.exposures), -1)
    for this in range(settings.exposures):
        for block in range(settings.blocks):
            own = [block, settings.blocks + block]
            at[own, this] = settings.lead + this * settings.spacing + EVERY * (block * slots + rng.permutation(slots)[:2])
    return at


def _scores(
    base: Subject, settings: LanguageModelSettings, passages: Passages, at: Int[np.ndarray, "item exposure"], seeds: Seeds
) -> list[object]:
    """Trains a copy on the passages and plain texts, and scores every told fact around each exposure and at the end."""
    plain = list(range(len(passages.plain)))
    examples = [("", text) for text in passages.plain]
    batches = [plain[start : start + settings.batch] for start in range(0, settings.n_steps * settings.batch, settings.batch)]
    for item, this in np.argwhere(at >= 0).tolist():
        rows = passages.rows[item][this]
        step = int(at[item, this])
        batches[step] = [*range(len(examples), len(examples) + len(rows)), *batches[step][len(rows) :]]
        examples += [("", text) for text in rows]
    scores = np.full((2, 3, 2, *at.shape, len(BEFORE + AFTER) + 1, N_FACTS), np.nan)
    due: dict[int, list[tuple[int, int, int]]] = {}
    for item, this in np.argwhere(at >= 0).tolist():
        for window, offset in enumerate(BEFORE + AFTER):
            due.setdefault(int(at[item, this]) + offset, []).append((item, this, window))
        if this == at.shape[1] - 1:
            due.setdefault(settings.n_steps, []).append((item, this, len(BEFORE + AFTER)))

    def observe(step: int, model: LanguageModel) -> Mapping[str, float]:
        wanted = due[step]
        asked = [pair for item, this, _ in wanted for pair in questions(passages, item, this)]
        values = score_completions(model, asked, ranks=False).log_prob.reshape(len(wanted), 2, 3, 2, N_FACTS)
        for (item, this, window), found in zip(wanted, values, strict=True):
            scores[:, :, :, item, this, window] = found
        return {}

    recipe = Recipe(
        layers=settings.layers, learning_rate=settings.rate, batch_size=settings.batch,
        precision=precision_of(settings.precision),
    )  # fmt: skip
    finetune_batches(
        base.model.copy(), examples, batches, recipe, seeds=seeds.child("training"), observe=observe, observe_at=sorted(due)
    )
    found: list[object] = scores.tolist()
    return found


def questions(passages: Passages, item: int, this: int) -> list[tuple[str, str]]:
    """Prompts and completions of an item's facts, by wording, subject, value and fact."""
    return [
        (prompt, value)
        for prompts in ([passages.told[item][who][this] for who in range(3)], passages.held[item])
        for some in prompts
        for values in (passages.values[item], passages.dealt[item])
        for prompt, value in zip(some, values, strict=True)
    ]


# --------------------------------------------------------------------------------------------------- numbers


def windows(scores: Scores, kind: str, who: int, value: int = 0) -> tuple[Floats, Floats]:
    """log P before each exposure after a subject, and the jump of its level, [item, exposure, fact]."""
    own, reference = (scores[KINDS.index(kind), subject, value] for subject in (who, min(who + 1, 2)))
    before, after = slice(0, len(BEFORE)), slice(len(BEFORE), len(BEFORE + AFTER))
    level = own - reference
    return own[..., before, :].mean(-2), level[..., after, :].mean(-2) - level[..., before, :].mean(-2)


def numbers(scores: Scores, settings: LanguageModelSettings) -> dict[str, float]:
    """The estimands of a run."""
    told, duplicates = slice(0, 2 * settings.blocks), slice(settings.blocks, 2 * settings.blocks)

    def jump(who: int, value: int = 0) -> float:
        return float(np.nanmean(windows(scores, "held", who, value)[1][told]))

    def asked(kind: str, who: int, value: int = 0, added: float = 0.0) -> tuple[Floats, Floats]:
        before, jumps = windows(scores, kind, who, value)
        return before[duplicates] + added * np.arange(before.shape[1])[:, None], jumps[duplicates] + added

    def order(*parts: tuple[Floats, Floats]) -> list[float]:
        return matched(parts, fewest=settings.fewest)

    reversed_untold = (asked("told", 1)[0], -asked("told", 1)[1])
    in_order = {
        "": order(asked("told", 1), asked("held", 0), asked("told", 0)),
        "dealt-": order(asked("told", 1, 1), asked("held", 0, 1), asked("told", 0, 1)),
        "untold-": order(asked("told", 1), asked("held", 1), reversed_untold),
        "planted-": order(asked("told", 1), asked("held", 1, added=2 * bounds.ORDER), asked("told", 1, added=4 * bounds.ORDER)),
    }
    return {
        "both/jump": jump(0),
        "dealt/jump": jump(0, 1),
        "untold/jump": jump(1),
        "planted/jump": jump(1) + 2 * bounds.RISE,
        **{
            f"{name}{arm}/matched_jump": value
            for name, some in in_order.items()
            for arm, value in zip(IN_ORDER, some, strict=True)
        },
    }


def course(scores: Scores, settings: LanguageModelSettings) -> Table:
    """Mean level by wording and group: around each exposure by its steps, and at the end."""
    rows: Table = []
    for k, kind in enumerate(KINDS):
        level = scores[k, 0, 0] - scores[k, 1, 0]
        for group, name in enumerate(LM_GROUPS[:2]):
            own = level[group * settings.blocks : (group + 1) * settings.blocks].mean((0, -1))
            for this in range(settings.exposures):
                rows += [
                    {"wording": kind, "group": name, "step": this * settings.spacing + offset, "nats": float(own[this, w])}
                    for w, offset in enumerate(BEFORE + AFTER)
                ]
            rows.append({"wording": kind, "group": name, "step": settings.n_steps - settings.lead, "nats": float(own[-1, -1])})
    return rows
