"""Pre-training: are facts acquired, by which part, and can a question reach them yet? (C1 to C3, C10)"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    PAPER,
    Scale,
    answers,
    filtering,
    network,
    told,
    train_on,
)

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["ACQUISITION"]

CLAIMS = (
    Claim(
        "C1",
        says="Next-token training on statements stores the facts: stated again, at least 99% are completed rightly.",
        source=PAPER + "theorem on pre-training (near-optimal loss)",
        estimand="acquired",
        rule=Above(0.99),
        margin="'near-optimal'; one fact in a hundred",
        control=Control("the same statements with noise in the subject's place", "acquired/no_subject"),
        paper_value="near-optimal loss",
    ),
    Claim(
        "C2",
        says="The MLP is needed to store what no sum can: where types share their values, a network without it completes at "
        "least 0.2 fewer statements after the same steps.",
        source=PAPER + "abstract (attention alone may fail to acquire)",
        estimand="mlp_gain/shared",
        rule=Above(0.2),
        margin="'may fail': a fifth of the facts is far more than seeds differ by",
        control=Control("types with values of their own, which a sum of subject and relation can tell", "mlp_gain/own"),
        paper_value="attention only may fail",
    ),
    Claim(
        "C3",
        says="Stored is not extractable: before any fine-tuning at most 0.3 of the stored facts are told when asked.",
        source=PAPER + "section 1 (extraction needs fine-tuning)",
        estimand="zero_shot",
        rule=Below(0.3),
        margin="well above chance within the type (0.05), far below what is stored (1)",
        control=Control("the same facts in a wording of pre-training", "acquired"),
        paper_value="not extractable by the question alone",
    ),
    Claim(
        "C10",
        says="Attention filters: after pre-training the last token spends more than 0.9 on subject and relation.",
        source=PAPER + "title, theorem on pre-training",
        estimand="filtering",
        rule=Above(0.9),
        margin="less than 0.1 is left for three noise tokens",
        control=Control("before pre-training it spends about two fifths on two of five tokens", "filtering/start"),
        paper_value="attention picks the informative tokens",
    ),
)


@dataclass(frozen=True)
class AcquisitionSettings(Scale):
    """Four networks: with and without MLP, on values of each type's own and on shared values."""

    n_templates: Annotated[int, Ge(1), doc("templates of each type (|R|)")] = 16
    multiplicity: Annotated[int, Ge(1), doc("templates in which each fact is stated (K)")] = 4
    per_decade: Annotated[int, Ge(1), doc("observations per factor of ten in steps")] = 8


def measure(settings: AcquisitionSettings, seeds: Seeds) -> Measurement:
    """One seed: both worlds, with the MLP and without."""
    from assay.models.decoder import Decoder
    from assay.training.optimiser import Optimiser
    from assay.training.sequence import log_steps

    sizes = {"n_templates": settings.n_templates, "multiplicity": settings.multiplicity}
    worlds = {name: settings.world(seeds.child(name), shared=name == "shared", **sizes) for name in ("own", "shared")}
    rng = seeds("evaluation")
    stated = [[world.stated(rng=rng) for _ in range(settings.n_draws)] for world in worlds.values()]
    asked = [[world.asked(rng=rng) for _ in range(settings.n_draws)] for world in worlds.values()]
    bare = [[one.without_subject(worlds[name].noise(one.answers.shape, rng=rng)) for one in draws]
            for name, draws in zip(worlds, stated, strict=True)]  # fmt: skip
    looks = log_steps(settings.pretrain_steps, per_decade=settings.per_decade)

    def observe(model: "Decoder") -> dict[str, np.ndarray]:
        return {
            "stated": answers(model, [draws[:1] for draws in stated]).accuracy(),
            "asked": answers(model, [draws[:1] for draws in asked]).accuracy(),
            "filtering": filtering(model, [draws[0] for draws in stated]),
        }

    estimands: dict[str, float] = {}
    courses: Table = []
    finals: Table = []
    for i, (parts, mlp) in enumerate((("MLP", True), ("attention only", False))):
        config = network(settings, list(worlds.values()), mlp=mlp)
        model = Decoder.init(config, [seeds.child(name)(f"init {parts}") for name in worlds])
        lessons = [told(world, seeds.child(name)(f"statements {parts}")) for name, world in worlds.items()]
        with part(i / 2, (i + 1) / 2, parts):
            trace = train_on(
                model, lessons, Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
                batch=settings.pretrain_batch, observe=observe, observe_at=looks,
            )  # fmt: skip
        found = {"stated": answers(model, stated), "asked": answers(model, asked), "no subject": answers(model, bare)}
        for j, name in enumerate(worlds):
            label = f"{parts}, {'shared values' if name == 'shared' else 'own values'}"
            finals += [
                {"network": label, "prompt": prompt, "accuracy": float(said.accuracy()[j])} for prompt, said in found.items()
            ]
            courses += [
                {"network": label, "step": int(step), "measure": key, "value": float(values[j])}
                for key in ("stated", "asked", "filtering")
                for step, values in zip(trace.steps, trace.series(key).T, strict=True)
                if step
            ]
            estimands[f"{'mlp' if mlp else 'bare'}/{name}"] = float(found["stated"].accuracy()[j])
        if mlp:
            estimands |= {
                "acquired": float(found["stated"].accuracy()[0]),
                "acquired/no_subject": float(found["no subject"].accuracy()[0]),
                "zero_shot": float(found["asked"].accuracy()[0]),
                "filtering": float(trace.series("filtering")[0, -1]),
                "filtering/start": float(trace.series("filtering")[0, 0]),
            }
    estimands |= {f"mlp_gain/{name}": estimands[f"mlp/{name}"] - estimands[f"bare/{name}"] for name in worlds}
    return Measurement(estimands, {"courses": courses, "finals": finals})


FIGURES = (
    Figure(
        "course",
        "Filtering and storing come together, answering does not",
        "During pre-training: share of facts told when stated and when asked, and the attention on subject and relation. "
        "Attention alone stores values of each type's own as well, shared values a little less.",
        Lines("courses", x="step", y="value", by="measure", panel="network", x_label="step", y_label="share, or attention",
              x_scale="log"),
        names={"stated": "told when stated", "asked": "told when asked", "filtering": "attention on subject and relation"},
    ),
)  # fmt: skip

ACQUISITION = Experiment(
    name="acquisition",
    question="Which part stores facts in pre-training, and can a question reach them without more?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            AcquisitionSettings(
                n_subjects=12, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, n_templates=4, multiplicity=2,
                n_draws=1,
            ),
            n_runs=2,
        ),
        "laptop": Preset(AcquisitionSettings(), n_runs=5),
    },
    measure=measure,
    figures=FIGURES,
    cost="3 min on one core",
)  # fmt: skip
