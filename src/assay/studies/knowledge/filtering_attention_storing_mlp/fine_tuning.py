"""How the fine-tuning reaches the facts, and what it costs: rank one, schedules, single embeddings, replay (C9, C11, ours)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Bars, Figure, Line
from assay.claims.rules import Above, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    PAPER,
    Lesson,
    Scale,
    answers,
    chosen_subjects,
    network,
    shuffled,
    taught,
    told,
    train_on,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleSequences, TripleWorld

if TYPE_CHECKING:
    import torch

    from assay.models.decoder import Decoder
    from assay.training.optimiser import Optimiser

__all__ = ["FINE_TUNING"]

CLAIMS = (
    Claim(
        "C9",
        says="The first step of fine-tuning is a rank-one update: the first singular value carries more than 0.6 of the energy "
        "of the MLP's gradient on the questions of one type.",
        source=PAPER + "theorem on low-rank fine-tuning",
        estimand="rank_one/share",
        rule=Above(0.6),
        margin="more than all other directions together, by half",
        control=Control("every question with an embedding of its own in the question token's place", "rank_one/share_apart"),
        paper_value="dominated by a rank-one component",
    ),
    Claim(
        "C9.aligned",
        says="Its direction is the question's: the first singular vector lies within |cos| > 0.8 of what the question token "
        "puts into the mix.",
        source=PAPER + "theorem on low-rank fine-tuning",
        estimand="rank_one/cosine",
        rule=Above(0.8),
        margin="37 degrees; two random directions of 64 have 0.1",
        control=Control("what another type's question token puts into the mix", "rank_one/cosine_other"),
        paper_value="aligned with the format embedding",
    ),
    Claim(
        "C9.low",
        says="So rank-one updates suffice: they extract at least 0.9 of what full fine-tuning extracts.",
        source=PAPER + "theorem on low-rank fine-tuning, experiments",
        estimand="ratio/rank 1",
        rule=Above(0.9),
        margin="nine tenths",
        control=Control("full fine-tuning of a network that was never pre-trained", "ratio/full, unstored"),
        paper_value="low rank works as full",
    ),
    Claim(
        "C11",
        says="A learning rate that decays from the same peak keeps at least 0.02 more of what was stored than a constant one.",
        source=PAPER + "discussion of learning-rate schedules",
        estimand="kept_more/decay",
        rule=Above(0.02),
        margin="one fact in fifty",
        control=Control("a network that was never pre-trained has nothing to keep", "kept_more/full, unstored"),
        paper_value="decay keeps more",
    ),
    Claim(
        "C11.equal",
        says="At equal extraction: both extract the same, within 0.05.",
        source=PAPER + "discussion of learning-rate schedules",
        estimand="extracted_more/decay",
        rule=Within(-0.05, 0.05),
        margin="one fact in twenty",
        control=Control("a network that was never pre-trained does not extract the same", "extracted_more/unstored"),
        paper_value="extraction unharmed",
    ),
    Claim(
        "C11.mean",
        says="It is the decay that keeps, not less learning: at the same mean rate a decaying one keeps at least 0.02 more.",
        source="ours",
        estimand="kept_more/decay, same mean",
        rule=Above(0.02),
        margin="as C11",
        control=Control("a network that was never pre-trained has nothing to keep", "kept_more/full, unstored"),
    ),
    Claim(
        "C11.rise",
        says="If anything it is the other way round: of two rates of the same mean, the rising one keeps at least 0.02 more "
        "than the decaying one.",
        source="ours, seen in a pilot on a seed of its own",
        estimand="kept_more/rise than decay",
        rule=Above(0.02),
        margin="as C11",
        control=Control("rising to the same peak, on a network that was never pre-trained", "kept_more/full, unstored"),
    ),
    Claim(
        "C12",
        says="Training the question tokens' embeddings alone, which can overwrite nothing, extracts at least 0.9 of what full "
        "fine-tuning extracts.",
        source="ours, a prediction of the rank-one picture",
        estimand="ratio/question embeddings",
        rule=Above(0.9),
        margin="as C9.low",
        control=Control("full fine-tuning of a network that was never pre-trained", "ratio/full, unstored"),
    ),
    Claim(
        "C13",
        says="Replaying statements among the questions, one in two, keeps at least 0.2 more of what was stored.",
        source="ours",
        estimand="kept_more/replay",
        rule=Above(0.2),
        margin="half of what fine-tuning loses in the card's reconstruction",
        control=Control("replayed with values dealt out anew", "kept_more/replay, shuffled"),
    ),
)


@dataclass(frozen=True)
class FineTuningSettings(Scale):
    """One stored world, fine-tuned in many ways."""

    n_templates: Annotated[int, Ge(1), doc("templates of each type (|R|)")] = 16
    multiplicity: Annotated[int, Ge(1), doc("templates in which each fact is stated (K)")] = 4
    n_taught: Annotated[int, Ge(1), doc("subjects fine-tuned on (N_f)")] = 100
    ranks: Annotated[tuple[int, ...], doc("ranks of low-rank updates; the first must be 1")] = (1, 2, 4)
    slow: Annotated[float, Gt(0), doc("a small learning rate beside, relative to the usual one")] = 0.1

    def __post_init__(self) -> None:
        if self.ranks[:1] != (1,):
            raise SettingsError(f"ranks must start with 1, which the claims speak of; got {self.ranks}")
        if self.n_taught >= self.n_subjects:
            raise SettingsError(
                f"some subjects must be left to ask; got n_taught = {self.n_taught} of n_subjects = {self.n_subjects}"
            )


@dataclass(frozen=True)
class Way:
    """A way of fine-tuning.

    Attributes:
        rank: of low-rank updates; 0 for all weights.
        embeddings: only the question tokens' embeddings.
        schedule: of the learning rate; "rise" grows linearly to its peak at the last step.
        rate: peak, relative to the usual one.
        replay: every other sequence is a statement.
        anew: the questions' (for replay, the statements') values are dealt out anew.
        blank: start from the network before pre-training.
    """

    rank: int = 0
    embeddings: bool = False
    schedule: str = "constant"
    rate: float = 1.0
    replay: bool = False
    anew: bool = False
    blank: bool = False


def _ways(settings: FineTuningSettings) -> dict[str, Way]:
    ranks = {f"rank {rank}": Way(rank=rank) for rank in settings.ranks}
    return {
        "full": Way(),
        "full, unstored": Way(blank=True),
        **ranks,
        "question embeddings": Way(embeddings=True),
        "decay": Way(schedule="decay"),
        "rise": Way(schedule="rise"),
        "decay, same mean": Way(schedule="decay", rate=2.0),
        "rise, same mean": Way(schedule="rise", rate=2.0),
        "slow": Way(rate=settings.slow),
        "replay": Way(replay=True),
        "replay, shuffled": Way(replay=True, anew=True),
    }


def _optimiser(settings: FineTuningSettings, way: Way) -> "Optimiser":
    from assay.training.optimiser import Optimiser

    rate = settings.finetune_rate * way.rate
    if way.schedule == "rise":
        return Optimiser("adamw", rate, warmup_steps=settings.finetune_steps)
    return Optimiser("adamw", rate, schedule="linear" if way.schedule == "decay" else "constant")


def _lesson(world: TripleWorld, chosen: np.ndarray, way: Way, seeds: Seeds) -> Lesson:
    """Questions about the chosen subjects; with replay, statements about all in every other place."""
    anew = shuffled(world, seeds("shuffled")) if way.anew else world
    if not way.replay:
        return taught(anew, chosen, seeds("questions"))

    def draw(n: int, rng: np.random.Generator) -> TripleSequences:
        asked, stated = world.questions(n, rng=rng, subjects=chosen), anew.statements(n, rng=rng)
        odd = np.arange(n) % 2 == 1
        pairs = ((asked.tokens, stated.tokens), (asked.answers, stated.answers), (asked.subjects, stated.subjects),
                 (asked.types, stated.types))  # fmt: skip
        return TripleSequences(*(np.where(odd if a.ndim == 1 else odd[:, None], b, a) for a, b in pairs))

    return Lesson(draw, seeds("questions"))


def _learner(base: "Decoder", world: TripleWorld, way: Way, rng: np.random.Generator) -> Any:
    """A copy of the stored network in which only what the way trains is trained."""
    from assay.studies.knowledge.filtering_attention_storing_mlp.low_rank import LowRank

    if way.rank:
        matrices = [name for name, value in base.named_parameters() if name.startswith("blocks.") and value.dim() > 2]
        return LowRank(base, matrices, rank=way.rank, rng=rng)
    model = base.select([0])
    if way.embeddings:
        import torch

        model.requires_grad_(requires_grad=False)
        assert model.W_E is not None
        asked = torch.zeros(model.W_E.shape[1], 1)
        asked[world.question_tokens(np.arange(world.n_types))] = 1.0
        model.W_E.requires_grad = True
        # A weight whose slope is always zero, AdamW leaves where it is.
        model.W_E.register_hook(lambda slope: slope * asked)  # type: ignore[no-untyped-call]
    return model


def _rank_one(base: "Decoder", world: TripleWorld, chosen: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Energy and direction of the MLP's gradient on the questions about the chosen subjects, before any step."""
    import torch

    model = base.run(0)
    block: Any = model.blocks[0]
    assert model.W_E is not None
    asked = world.questions(64 * world.n_types * world.n_values, rng=rng, subjects=chosen)
    tokens, values = torch.from_numpy(asked.tokens), torch.from_numpy(asked.answers)

    def energies(inputs: "torch.Tensor", targets: "torch.Tensor") -> tuple[np.ndarray, np.ndarray]:
        """Shares of the singular values' squares, and the first singular vector on the side of the mix."""
        loss = torch.nn.functional.cross_entropy(model(inputs, at=-1), targets)
        (slope,) = torch.autograd.grad(loss, [block.W_in])
        left, strengths, _ = np.linalg.svd(slope.double().numpy(), full_matrices=False)
        return strengths**2 / (strengths**2).sum(), left[:, 0]

    with torch.no_grad():
        marks = model.W_E[world.question_tokens(np.arange(world.n_types))]
        images = model.values_of(marks[None], layer=0)[0].sum(0).double().numpy()  # added to the mix, but for the weights
        apart = model.W_E[tokens]
        apart[:, -1] = torch.from_numpy(rng.standard_normal(apart[:, -1].shape, dtype=np.float32))
        apart[:, -1] *= marks.norm(dim=-1).mean() / apart[:, -1].norm(dim=-1, keepdim=True)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b))

    found = []
    for j in range(world.n_types):
        own = torch.from_numpy(asked.types == j)
        shares, first = energies(tokens[own], values[own])
        others = [cosine(first, images[i]) for i in range(world.n_types) if i != j]
        found.append((shares, energies(apart[own], values[own])[0], cosine(first, images[j]), float(np.mean(others or [0.0]))))
    whole = energies(tokens, values)[0]
    by_type, alone = np.mean([one[0] for one in found], axis=0), np.mean([one[1] for one in found], axis=0)
    return {
        "share": float(by_type[0]),
        "share_apart": float(alone[0]),
        "share_all": float(whole[0]),
        "cosine": float(np.mean([one[2] for one in found])),
        "cosine_other": float(np.mean([one[3] for one in found])),
        "spectra": {"questions of one type": by_type, "questions of all types": whole, "a token for every question": alone},
    }


def measure(settings: FineTuningSettings, seeds: Seeds) -> Measurement:
    """One seed: one stored network, fine-tuned in every way from the same start."""
    from assay.models.decoder import Decoder
    from assay.training.optimiser import Optimiser

    world = settings.world(seeds, n_templates=settings.n_templates, multiplicity=settings.multiplicity)
    base = Decoder.init(network(settings, [world]), [seeds("init")])
    blank = base.select([0])
    with part(0.0, 0.4, "statements"):
        train_on(
            base, [told(world, seeds("statements"))],
            Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
            batch=settings.pretrain_batch,
        )  # fmt: skip
    chosen = chosen_subjects(world, settings.n_taught, seeds)
    seen = np.isin(np.arange(settings.n_subjects), chosen).repeat(settings.n_types)
    rng = seeds("evaluation")
    asked, stated = ([one(rng=rng) for _ in range(settings.n_draws)] for one in (world.asked, world.stated))
    spectra = _rank_one(base, world, chosen, seeds("gradient"))
    stored = answers(base, [stated]).right[0]

    looks = sorted({round(settings.finetune_steps * i / 15) for i in range(16)})
    ways = _ways(settings)
    final: dict[str, dict[str, float]] = {"before": _fates(base, [asked], [stated], seen, stored)}
    course: Table = []
    for i, (name, way) in enumerate(ways.items()):
        model = _learner(blank if way.blank else base, world, way, seeds.child(name)("updates"))

        def observe(m: Any) -> dict[str, float]:
            return {"told": float(answers(m, [asked[:1]]).accuracy(~seen[None])[0]),
                    "kept": float(answers(m, [stated[:1]]).accuracy()[0])}  # fmt: skip

        timed = name in ("full", "decay", "decay, same mean", "replay", "question embeddings", "rank 1")
        with part(0.4 + 0.6 * i / len(ways), 0.4 + 0.6 * (i + 1) / len(ways), name):
            trace = train_on(
                model, [_lesson(world, chosen, way, seeds.child(name))], _optimiser(settings, way),
                n_steps=settings.finetune_steps, batch=settings.finetune_batch, observe=observe,
                observe_at=looks if timed else (),
            )  # fmt: skip
        final[name] = _fates(model, [asked], [stated], seen, stored)
        course += [
            {"way": name, "step": int(step), "measure": key, "share": float(value)}
            for key in ("told", "kept")
            for step, value in zip(trace.steps, trace.series(key) if timed else (), strict=True)
        ]
    full = final["full"]
    estimands = {f"rank_one/{name}": value for name, value in spectra.items() if isinstance(value, float)}
    estimands |= {f"ratio/{name}": final[name]["told"] / full["told"] if full["told"] else float("nan")
                  for name in ways if name != "full"}  # fmt: skip
    estimands |= {f"kept_more/{name}": final[name]["kept"] - full["kept"] for name in ways if name != "full"}
    estimands |= {
        "extracted_more/decay": final["decay"]["told"] - full["told"],
        "extracted_more/unstored": final["full, unstored"]["told"] - full["told"],
        "kept_more/rise than decay": final["rise, same mean"]["kept"] - final["decay, same mean"]["kept"],
        "told": full["told"],
        "kept": full["kept"],
        "stored": float(stored.mean()),
    }
    tables = _tables(final, spectra["spectra"])
    return Measurement(estimands, tables | {"course": course})


def _fates(
    model: Any,
    asked: Sequence[Sequence[TripleSequences]],
    stated: Sequence[Sequence[TripleSequences]],
    seen: np.ndarray,
    stored: np.ndarray,
) -> dict[str, float]:
    """What became of the facts not fine-tuned on: told when asked, not triggered, overwritten, never stored; and what is kept.

    A fact that is not told although its statement is still completed was not triggered; one whose statement was completed
    before fine-tuning and is not now was overwritten. Shares of facts and draws.
    """
    told_now, known_now = answers(model, asked).right[0][:, ~seen], answers(model, stated).right[0]
    known, had = known_now[:, ~seen], stored[:, ~seen]
    return {
        "told": float(told_now.mean()),
        "not triggered": float((~told_now & known).mean()),
        "overwritten": float((~told_now & ~known & had).mean()),
        "never stored": float((~told_now & ~known & ~had).mean()),
        "kept": float(known_now.mean()),
    }


def _tables(final: Mapping[str, Mapping[str, float]], spectra: Mapping[str, np.ndarray]) -> dict[str, Table]:
    """Rows for the figures."""
    shown = [name for name in final if "shuffled" not in name and "unstored" not in name]
    return {
        "ways": [{"way": name, "measure": key, "share": final[name][key]} for name in shown for key in ("told", "kept")],
        "fates": [
            {"way": name, "fate": key, "share": final[name][key]}
            for name in shown
            for key in ("not triggered", "overwritten", "never stored")
        ],
        "spectra": [
            {"of": name, "direction": i + 1, "share": float(share)}
            for name, shares in spectra.items()
            for i, share in enumerate(shares[:8])
        ],
    }


FIGURES = (
    Figure(
        "ways",
        "Reaching facts, and keeping them",
        "After fine-tuning in several ways on questions about half of the subjects: share of the other subjects' facts told "
        "when asked, and share of all facts still told when stated.",
        Bars("ways", x="way", y="share", by="measure", y_label="share of facts", lines=(Line(0.05, "chance in a type"),)),
        names={"told": "told when asked", "kept": "told when stated"},
    ),
    Figure(
        "fates",
        "Three ways to fail",
        "Facts of other subjects that are not told when asked: their statement is still completed (not triggered), no longer "
        "(overwritten), or never was.",
        Bars("fates", x="way", y="share", by="fate", y_label="share of facts"),
        further=True,
    ),
)  # fmt: skip

FINE_TUNING = Experiment(
    name="fine-tuning",
    question="Is fine-tuning a rank-one update that triggers what is stored, and what does it overwrite?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            FineTuningSettings(
                n_subjects=40, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, finetune_steps=5,
                finetune_batch=16, n_draws=1, n_templates=4, multiplicity=2, n_taught=20,
            ),
            n_runs=2,
        ),
        "laptop": Preset(FineTuningSettings(), n_runs=6),
    },
    measure=measure,
    figures=FIGURES,
    cost="5 min on one core",
)  # fmt: skip
