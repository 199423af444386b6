"""Pre-training: are facts acquired, by which part, and can a question reach them yet? (C1 to C3, C10)"""

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import AcquisitionSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    answers,
    filtering,
    network,
    strangers,
    told,
    train_on,
)
from assay.training.optimiser import Optimiser
from assay.training.sequence import log_steps

__all__ = ["measure"]

# The networks of a run as (label, values of which world): those with an MLP train side by side, and those without do.
WITH_MLP = (("MLP", "own"), ("MLP", "shared"))
WITHOUT = (("attention only", "own"), ("attention only", "shared"), ("even attention only", "shared"))


def measure(settings: AcquisitionSettings, seeds: Seeds) -> Measurement:
    """One seed: both worlds, with the MLP and without; and shared values where no weight of attention can tell the relation."""
    sizes = {"n_templates": settings.n_templates, "multiplicity": settings.multiplicity}
    worlds = {name: settings.world(seeds.child(name), shared=name == "shared", **sizes) for name in ("own", "shared")}
    rng = seeds("evaluation")
    stated = {name: [world.stated(rng=rng) for _ in range(settings.n_draws)] for name, world in worlds.items()}
    asked = {name: [world.asked(rng=rng) for _ in range(settings.n_draws)] for name, world in worlds.items()}
    bare, mute = (
        {
            name: [one.without_subject(worlds[name].noise(one.answers.shape, rng=rng)) for one in draws]
            for name, draws in prompts.items()
        }
        for prompts in (stated, asked)
    )
    looks = log_steps(settings.pretrain_steps, per_decade=settings.per_decade)
    right: dict[tuple[str, str], float] = {}  # of statements, by network
    blank: dict[tuple[str, str], float] = {}  # the same before training
    estimands: dict[str, float] = {}
    courses: Table = []
    for i, (networks, mlp) in enumerate(((WITH_MLP, True), (WITHOUT, False))):
        names = [name for _, name in networks]
        model = Decoder.init(
            network(settings, list(worlds.values()), mlp=mlp), [seeds.child(name)(f"init {parts}") for parts, name in networks]
        )
        hold_even(model, [parts.startswith("even") for parts, _ in networks])
        lessons = [told(worlds[name], seeds.child(name)(f"statements {parts}")) for parts, name in networks]
        blank |= dict(zip(networks, answers(model, [stated[name] for name in names]).accuracy().tolist(), strict=True))

        def observe(m: Decoder, names: list[str] = names) -> dict[str, np.ndarray]:
            return {
                "stated": answers(m, [stated[name][:1] for name in names]).accuracy(),
                "asked": answers(m, [asked[name][:1] for name in names]).accuracy(),
                "filtering": filtering(m, [stated[name][0] for name in names]),
            }

        with part(i / 2, (i + 1) / 2, networks[0][0]):
            trace = train_on(
                model, lessons, Optimiser("adamw", settings.pretrain_rate, schedule="linear"), n_steps=settings.pretrain_steps,
                batch=settings.pretrain_batch, observe=observe, observe_at=looks,
            )  # fmt: skip
        right |= dict(zip(networks, answers(model, [stated[name] for name in names]).accuracy().tolist(), strict=True))
        for j, (parts, name) in enumerate(networks):
            label = f"{parts}, {name} values"
            courses += [
                {"network": label, "step": int(step), "measure": key, "value": float(values[j])}
                for key in ("stated", "asked", "filtering")
                for step, values in zip(trace.steps, trace.series(key).T, strict=True)
                if step
            ]
        if mlp:
            for arm, drawn in {"stated": stated, "stated-no-subject": bare}.items():
                estimands[f"{arm}/told"] = float(answers(model, [drawn[name] for name in names]).accuracy()[0])
            rngs = [seeds(f"question tokens {k}") for k in range(settings.question_draws)]
            askers = strangers(model.select([0]), worlds["own"], rngs)
            for arm, draws in {"asked": asked["own"], "asked-no-subject": mute["own"]}.items():
                questions = [[draws[k % len(draws)]] for k in range(len(rngs))]
                estimands[f"{arm}/told"] = float(answers(askers, questions).accuracy().mean())
            estimands["trained/attention_on_fact"] = float(trace.series("filtering")[0, -1])
            estimands["untrained/attention_on_fact"] = float(trace.series("filtering")[0, 0])
    for arm, parts, name in (
        ("shared", "attention only", "shared"),
        ("own", "attention only", "own"),
        ("shared-even", "even attention only", "shared"),
    ):
        estimands[f"{arm}/mlp_gain"] = right["MLP", name] - right[parts, name]
    estimands["untrained/told"] = blank["MLP", "own"]
    estimands["untrained/mlp_gain"] = blank["MLP", "shared"] - blank["attention only", "shared"]
    finals: Table = [{"network": f"{parts}, {name} values", "accuracy": share} for (parts, name), share in right.items()]
    return Measurement(estimands, {"courses": courses, "finals": finals})


def hold_even(model: Decoder, which: list[bool]) -> None:
    """Gives these runs attention that is even and stays so: with queries and keys of zero neither has a gradient."""
    runs = torch.tensor(which)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith((".W_Q", ".W_K")):
                weight[runs] = 0.0
