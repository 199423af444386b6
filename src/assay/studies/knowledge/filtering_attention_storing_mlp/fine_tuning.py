"""How the fine-tuning reaches the facts, and what it costs: rank one, schedules, single embeddings, replay (C9, C11 to C13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.filtering_attention_storing_mlp.low_rank import LowRank
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import FineTuningSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    Lesson,
    answers,
    chosen_subjects,
    network,
    shuffled,
    strangers,
    taught,
    told,
    train_on,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import LENGTH, SUBJECT, TripleSequences, TripleWorld
from assay.training.optimiser import Optimiser

__all__ = ["check", "measure"]

MOST_PASSES = 4  # trainings in which a schedule's peak rate is fitted to the length of its path


@dataclass(frozen=True)
class Way:
    """A way of fine-tuning.

    Attributes:
        rank: of low-rank updates; 0 for all weights.
        embeddings: only the question tokens' embeddings.
        schedule: of the learning rate; "rise" grows linearly to its peak at the last step.
        path_of: the way whose path's length this one's has; its peak rate is fitted to it. Empty: the usual rate.
        rate_of: the way whose (fitted) peak rate this one has.
        replay: every other sequence is a statement.
        untrue: the questions' values are permuted among all subjects; with replay the statements' are.
        blank: start from the network before pre-training.
        draw: another number, other questions.
    """

    rank: int = 0
    embeddings: bool = False
    schedule: str = "constant"
    path_of: str = ""
    rate_of: str = ""
    replay: bool = False
    untrue: bool = False
    blank: bool = False
    draw: int = 0


def ways_of(settings: FineTuningSettings) -> dict[str, Way]:
    """All ways of fine-tuning by their arms' names; one that another refers to comes before it."""
    reaching = {
        "full": Way(),
        "unstored": Way(blank=True),
        **{f"rank-{rank}": Way(rank=rank) for rank in settings.ranks},
        "question-embeddings": Way(embeddings=True),
    }
    return {
        **reaching,
        **{f"{name}-untrue": replace(way, untrue=True) for name, way in reaching.items()},
        "full-again": Way(draw=1),
        "decay": Way(schedule="decay", path_of="full"),
        "rise": Way(schedule="rise", path_of="full"),
        "decay-replay": Way(schedule="decay", rate_of="decay", replay=True),
        "replay": Way(replay=True),
        "replay-untrue": Way(replay=True, untrue=True),
    }


def optimiser_of(settings: FineTuningSettings, way: Way, rate: float) -> Optimiser:
    """How the way takes its steps, at that peak rate."""
    if way.schedule == "rise":
        return Optimiser("adamw", rate, warmup_steps=settings.finetune_steps)
    return Optimiser("adamw", rate, schedule="linear" if way.schedule == "decay" else "constant")


def lesson_of(world: TripleWorld, chosen: np.ndarray, way: Way, seeds: Seeds) -> Lesson:
    """Questions about the chosen subjects; with replay, statements about all in every other place.

    Ways that differ in other things ask the same questions in the same order.
    """
    other = shuffled(world, seeds("shuffled")) if way.untrue else world
    rng = seeds(f"questions {way.draw}")
    if not way.replay:
        return taught(other, chosen, rng)

    def draw(n: int, draws: np.random.Generator) -> TripleSequences:
        asked, stated = world.questions(n, rng=draws, subjects=chosen), other.statements(n, rng=draws)
        odd = np.arange(n) % 2 == 1
        pairs = ((asked.tokens, stated.tokens), (asked.answers, stated.answers), (asked.subjects, stated.subjects),
                 (asked.types, stated.types))  # fmt: skip
        return TripleSequences(*(np.where(odd if a.ndim == 1 else odd[:, None], b, a) for a, b in pairs))

    return Lesson(draw, rng)


def learner_of(base: Decoder, world: TripleWorld, way: Way, rng: np.random.Generator) -> Any:
    """Copies of the stored networks in which only what the way trains is trained."""
    if way.rank:
        matrices = [name for name, value in base.named_parameters() if name.startswith("blocks.") and value.dim() > 2]
        return LowRank(base, matrices, rank=way.rank, rng=rng)
    model = base.select(range(base.n_runs or 1))
    if way.embeddings:
        model.requires_grad_(requires_grad=False)
        assert model.W_E is not None
        asked = torch.zeros(model.W_E.shape[1], 1)
        asked[world.question_tokens(np.arange(world.n_types))] = 1.0
        model.W_E.requires_grad = True
        # A weight whose slope is always zero, AdamW leaves where it is.
        model.W_E.register_hook(lambda slope: slope * asked)  # type: ignore[no-untyped-call]
    return model


class Path:
    """The length of the way that a network's trained weights have gone, mean over runs, as an observer of every step."""

    def __init__(self) -> None:
        """A path of length zero."""
        self.length = 0.0
        self._last: list[torch.Tensor] = []

    def __call__(self, model: Any) -> dict[str, float]:
        """Adds the step since it was last called; gives the length so far."""
        now = [value.detach().clone() for value in model.parameters() if value.requires_grad]
        if self._last:
            steps = [(a - b).square().flatten(1).sum(1) for a, b in zip(now, self._last, strict=True)]
            self.length += float(torch.stack(steps).sum(0).sqrt().mean())
        self._last = now
        return {"path": self.length}


@dataclass(frozen=True)
class Tuned:
    """Fine-tuned networks, the peak rate they were trained at, and the length of their path."""

    model: Any
    rate: float
    path: float


def tune(
    base: Decoder, world: TripleWorld, chosen: np.ndarray, settings: FineTuningSettings, way: Way, seeds: Seeds, *, rate: float
) -> Tuned:
    """The networks fine-tuned in that way at that peak rate, each on questions of its own."""
    model, path = learner_of(base, world, way, seeds("updates")), Path()
    lessons = [lesson_of(world, chosen, way, seeds.child(f"copy {i}")) for i in range(base.n_runs or 1)]
    train_on(
        model, lessons, optimiser_of(settings, way, rate), n_steps=settings.finetune_steps, batch=settings.finetune_batch,
        observe=path, observe_at=range(settings.finetune_steps + 1),
    )  # fmt: skip
    return Tuned(model, rate, path.length)


def tune_to_path(
    base: Decoder,
    world: TripleWorld,
    chosen: np.ndarray,
    settings: FineTuningSettings,
    way: Way,
    seeds: Seeds,
    *,
    length: float,
) -> Tuned:
    """The same with the peak rate at which the path has that length, within the tolerance, after a few trials.

    Twice the usual peak has the constant rate's mean. A path grows with the rate, but not in proportion: from the second trial
    on, the logarithm of the length is a straight line through the last two, in the logarithm of the rate.
    """
    rate, power = 2 * settings.finetune_rate, 1.0
    trials: list[Tuned] = []
    for trial in range(MOST_PASSES):
        with part(trial / MOST_PASSES, (trial + 1) / MOST_PASSES):
            trials.append(tune(base, world, chosen, settings, way, seeds, rate=rate))
        found = trials[-1]
        if abs(found.path / length - 1) <= settings.path_tolerance:
            break
        if trial:
            rise = np.log(found.path / trials[-2].path) / np.log(found.rate / trials[-2].rate)
            power = float(np.clip(rise, 0.2, 2.0)) if np.isfinite(rise) else 1.0
        rate *= (length / found.path) ** (1 / power)
    return min(trials, key=lambda one: abs(one.path / length - 1))


def gradient_along_questions(
    base: Decoder, world: TripleWorld, chosen: np.ndarray, settings: FineTuningSettings, seeds: Seeds
) -> dict[str, float]:
    """Where the MLP's gradient on the questions about the chosen subjects points before any step.

    Mean over types and over embeddings of the question tokens, which are drawn anew: one network's three tokens are three
    draws, and whether the attention looks at a token that it has never seen differs from draw to draw.
    """
    rngs = [seeds(f"tokens {k}") for k in range(settings.question_draws)]
    copies = strangers(base.select([0]), world, rngs)
    each = [gradient_of_draw(copies.run(k), world, chosen, rng) for k, rng in enumerate(rngs)]
    return {name: float(np.mean([found[name] for found in each])) for name in each[0]}


def gradient_of_draw(model: Decoder, world: TripleWorld, chosen: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """The same with the embeddings that the question tokens have; mean over the types.

    `energy_along_question` is the share of its energy along what a question token puts into the attention's mix: of the own
    token, of another type's, and where the question token stands in the noise tokens' places as well, so that nothing but the
    subject is mixed in beside it. The first singular value's share stands beside it, with the question token shared as it is
    and with an embedding of its own for every question.
    """
    block: Any = model.blocks[0]
    assert model.W_E is not None
    asked = world.questions(32 * world.n_types * world.n_values, rng=rng, subjects=chosen)
    tokens, values = torch.from_numpy(asked.tokens), torch.from_numpy(asked.answers)
    filled = tokens[:, -1:].repeat(1, LENGTH)
    filled[:, SUBJECT] = tokens[:, SUBJECT]

    def slope(inputs: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        loss = torch.nn.functional.cross_entropy(model(inputs, at=-1), targets)
        return torch.autograd.grad(loss, [block.W_in])[0].double().numpy()

    def along(direction: np.ndarray, gradient: np.ndarray) -> float:
        whole = float((gradient**2).sum())
        return float(((direction @ gradient) ** 2).sum() / (direction @ direction)) / whole if whole else float("nan")

    def first_share(gradient: np.ndarray) -> float:
        strengths = np.linalg.svd(gradient, compute_uv=False)
        return float(strengths[0] ** 2 / (strengths**2).sum()) if strengths[0] else float("nan")

    with torch.no_grad():
        marks = model.W_E[world.question_tokens(np.arange(world.n_types))]
        images = model.values_of(marks[None], layer=0)[0].sum(0).double().numpy()  # added to the mix, but for the weights
        apart = model.W_E[tokens]
        apart[:, -1] = torch.from_numpy(rng.standard_normal(apart[:, -1].shape, dtype=np.float32))
        apart[:, -1] *= marks.norm(dim=-1).mean() / apart[:, -1].norm(dim=-1, keepdim=True)
    found: dict[str, list[float]] = {}
    for j in range(world.n_types):
        own = torch.from_numpy(asked.types == j)
        gradient = slope(tokens[own], values[own])
        numbers = {
            "own-question/energy_along_question": along(images[j], gradient),
            "other-question/energy_along_question": along(images[(j + 1) % world.n_types], gradient),
            "question-format/energy_along_question": along(images[j], slope(filled[own], values[own])),
            "shared-token/first_share": first_share(gradient),
            "own-tokens/first_share": first_share(slope(apart[own], values[own])),
        }
        for name, value in numbers.items():
            found.setdefault(name, []).append(value)
    return {name: float(np.mean(each)) for name, each in found.items()}


def measure(settings: FineTuningSettings, seeds: Seeds) -> Measurement:
    """One seed: one stored network, fine-tuned in every way from the same starts."""
    world = settings.world(seeds, n_templates=settings.n_templates, multiplicity=settings.multiplicity)
    base = Decoder.init(network(settings, [world]), [seeds("init")])
    blank = base.select([0])
    with part(0.0, 0.3, "statements"):
        train_on(
            base, [told(world, seeds("statements"))],
            Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
            batch=settings.pretrain_batch,
        )  # fmt: skip
    chosen = chosen_subjects(world, settings.n_taught, seeds)
    seen = np.isin(np.arange(settings.n_subjects), chosen).repeat(settings.n_types)
    rng = seeds("evaluation")
    asked, stated = ([one(rng=rng) for _ in range(settings.n_draws)] for one in (world.asked, world.stated))
    estimands = gradient_along_questions(base, world, chosen, settings, seeds.child("gradient"))
    nothing = gradient_along_questions(blank, world, chosen, settings, seeds.child("gradient"))
    estimands["unstored/energy_along_question"] = nothing["own-question/energy_along_question"]
    stored = answers(base, [stated]).right[0]
    base, blank = (
        strangers(one, world, [seeds(f"question tokens {i}") for i in range(settings.n_copies)]) for one in (base, blank)
    )
    ways = ways_of(settings)
    final: dict[str, dict[str, float]] = {"before": _fates(base, asked, stated, seen, stored)}
    trained: dict[str, Tuned] = {}
    with part(0.3, 1.0):
        for name in parts(list(ways), weights=[MOST_PASSES if way.path_of else 1 for way in ways.values()], label=str):
            way, start = ways[name], blank if ways[name].blank else base
            if way.path_of:
                trained[name] = tune_to_path(
                    start, world, chosen, settings, way, seeds.child("ways"), length=trained[way.path_of].path
                )
            else:
                rate = trained[way.rate_of].rate if way.rate_of else settings.finetune_rate
                trained[name] = tune(start, world, chosen, settings, way, seeds.child("ways"), rate=rate)
            final[name] = _fates(trained[name].model, asked, stated, seen, stored)
    full = final["full"]

    def excess(name: str) -> float:
        return final[name]["told"] - final[f"{name}-untrue"]["told"]

    for name in ("unstored", *(f"rank-{rank}" for rank in settings.ranks), "question-embeddings"):
        estimands[f"{name}/excess_ratio"] = excess(name) / excess("full") if excess("full") else float("nan")
    for name in ("unstored", "full-again", "decay", "rise", "decay-replay", "replay", "replay-untrue"):
        estimands[f"{name}/kept_more"] = final[name]["kept"] - full["kept"]
    for name in ("decay", "rise"):
        ratio = trained[name].path / trained["full"].path
        estimands[f"{name}/path_ratio"] = ratio
        estimands[f"{name}/extracted_more"] = final[name]["told"] - full["told"]
        if abs(ratio - 1) > settings.path_tolerance:  # such a run takes no part
            estimands[f"{name}/kept_more"] = float("nan")
    estimands |= {f"{name}/told": final[name]["told"] for name in final}
    estimands |= {f"{name}/kept": final[name]["kept"] for name in final}
    return Measurement(estimands, _tables(final))


def check(settings: FineTuningSettings) -> dict[str, float]:
    """The largest change of a statement's logits when the question tokens' embeddings are moved anywhere."""
    seeds = Seeds(0)
    world = settings.world(seeds, n_templates=settings.n_templates, multiplicity=settings.multiplicity)
    model = Decoder.init(network(settings, [world]), [seeds("init")])
    tokens = torch.from_numpy(world.stated(rng=seeds("statements")).tokens)[None]
    assert model.W_E is not None
    with torch.no_grad():
        before = model(tokens, at=-1)
        model.W_E[:, world.question_tokens(np.arange(world.n_types))] += 1.0
        return {"C12.keeps": float((model(tokens, at=-1) - before).abs().max())}


def _fates(
    model: Any,
    asked: Sequence[TripleSequences],
    stated: Sequence[TripleSequences],
    seen: np.ndarray,
    stored: np.ndarray,
) -> dict[str, float]:
    """What became of the facts not fine-tuned on: told when asked, not triggered, overwritten, never stored; and what is kept.

    A fact that is not told although its statement is still completed was not triggered; one whose statement was completed
    before fine-tuning and is not now was overwritten. Shares of facts, draws and runs.
    """
    n = model.n_runs or 1
    told_now, known_now = answers(model, [asked] * n).right[..., ~seen], answers(model, [stated] * n).right
    known, had = known_now[..., ~seen], stored[:, ~seen]
    return {
        "told": float(told_now.mean()),
        "not triggered": float((~told_now & known).mean()),
        "overwritten": float((~told_now & ~known & had).mean()),
        "never stored": float((~told_now & ~known & ~had).mean()),
        "kept": float(known_now.mean()),
    }


def _tables(final: Mapping[str, Mapping[str, float]]) -> dict[str, Table]:
    """Rows for the figures."""
    shown = [name for name in final if "untrue" not in name and "unstored" not in name and "again" not in name]
    return {
        "ways": [{"way": name, "measure": key, "share": final[name][key]} for name in shown for key in ("told", "kept")],
        "fates": [
            {"way": name, "fate": key, "share": final[name][key]}
            for name in shown
            for key in ("not triggered", "overwritten", "never stored")
        ],
    }
