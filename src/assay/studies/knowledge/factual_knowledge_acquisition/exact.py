"""What holds of any training: word pairs have no levels, small steps are gradient products, smooth falls have R² > 0.8."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from assay.core.arrays import Floats
from assay.core.seeds import Seeds
from assay.instruments.first_order import Direction, descent, stepped
from assay.models.decoder import Decoder
from assay.stats.curves import held_out_errors, on_log_grid
from assay.studies.knowledge.factual_knowledge_acquisition.bigram import Bigram
from assay.studies.knowledge.factual_knowledge_acquisition.course import Reader, World, follow, network, read_pages
from assay.studies.knowledge.factual_knowledge_acquisition.items import FORMS, Plan
from assay.studies.knowledge.factual_knowledge_acquisition.settings import AcquisitionSettings
from assay.training.optimiser import Optimiser
from assay.training.sequence import State

__all__ = ["check", "least_r_squared", "product_slope", "recognised", "table_levels"]

SMALL = AcquisitionSettings(
    n_entities=80, vocabulary=260, n_chunks=200, n_fresh=16, per_group=2, d_model=16, n_layers=1, late=40, early=20, rounds=2,
    plain=40, equal=30,
)  # fmt: skip
N_SIMULATED = 100
STEPS = 1500  # of the falls whose R² is taken


def check(settings: AcquisitionSettings) -> Mapping[str, float]:
    """The number of each check; a small world of its own is enough for all of them."""
    seeds = Seeds(0).child("factual-knowledge-acquisition").child("exact")
    return {
        "X.bigram": table_levels(seeds),
        "X.product": product_slope(seeds),
        "X.fit": least_r_squared(),
        "X.families": recognised(seeds),
    }


def table_levels(seeds: Seeds) -> float:
    """The largest level, in size, of a table of word pairs that is told passages, in nats."""
    world = World.drawn(SMALL, seeds)
    table = State.fresh(Bigram(SMALL.vocabulary, 1), Optimiser(learning_rate=1e-2))
    reader = read_pages([world], Reader(table, 0, SMALL.batch), SMALL.late)
    plan = Plan.drawn(
        world.items, SMALL.rounds, SMALL.spacing, {name: (form, 0) for name, form in FORMS.items()}, rng=seeds("plan")
    )
    (tracks,) = follow([world], reader, [plan], SMALL.plain, kinds=("told", "held")).tracks
    return max(float(np.nanmax(np.abs(track.level))) for track in tracks.values())


def product_slope(seeds: Seeds, rate: float = 1e-3) -> float:
    """Slope of what a passage adds to log P in a step of SGD on what the product of the gradients says it adds."""
    world = World.drawn(SMALL, seeds)
    items = world.items
    model = Decoder.init(network(SMALL, 32), seeds("weights")).double()
    plan = Plan.drawn(items, 2, SMALL.spacing, {"duplicate": ("duplicate", 0)}, rng=seeds("plan"))
    item = int(items.among("duplicate")[0])
    passage = torch.from_numpy(plan.rows[item, 0])
    others = torch.from_numpy(world.pages[: SMALL.batch - len(passage)])
    prompts = torch.from_numpy(items.prompts(items.told[:, :, 0], np.arange(len(items)))[item])
    values = torch.from_numpy(items.values[item])
    n_tokens = (len(passage) + len(others)) * (passage.shape[1] - 1)

    def loss(rows: Tensor) -> Float[Tensor, ""]:
        return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten(), reduction="sum") / n_tokens

    def log_probs() -> Float[Tensor, " fact"]:
        return torch.log_softmax(model(prompts, at=-1), -1).gather(-1, values[:, None])[:, 0]

    told = descent(model, lambda: [loss(passage)]).scaled(rate)
    plain = descent(model, lambda: [loss(others)]).scaled(rate)
    both = Direction({name: plain.tensors[name] + step for name, step in told.tensors.items()})
    rising = [descent(model, lambda fact=fact: [-log_probs()[fact]]) for fact in range(len(values))]  # type: ignore[misc]
    expected = np.array([gradient.dot(told) for gradient in rising])
    with torch.no_grad():
        with stepped(model, both):
            with_it = log_probs()
        with stepped(model, plain):
            without = log_probs()
    found = (with_it - without).numpy()
    return float(expected @ found / (expected @ expected))


def least_r_squared() -> float:
    """The smallest share of variance that a line in log time explains of smooth falls, every step weighing alike."""
    t = np.arange(1, STEPS + 1.0)
    x = np.log10(t)
    curves = (np.exp(-t / 300), np.exp(-t / 1000), t**-0.3, 0.3 + 0.7 * np.exp(-t / 300))
    return min(float(np.corrcoef(x, curve)[0, 1] ** 2) for curve in curves)


def recognised(seeds: Seeds) -> float:
    """The smallest share, over planted families, of simulations in which the comparison of C2 points to the planted one."""
    t = np.arange(1, 1001.0)
    rng = seeds("noise")
    planted: dict[float, Floats] = {-1.0: 1 - 0.3 * np.log10(t), 1.0: (1 + 2 * np.exp(-t / 60)) / 3}
    shares = []
    for sign, curve in planted.items():
        times, values = on_log_grid(t, curve + 0.02 * rng.normal(size=(N_SIMULATED, len(t))))
        errors = held_out_errors(times, values, fit_until=250)
        gap = errors["log-linear"] - np.minimum(errors["floored exponential"], errors["floored power"])
        shares.append(float((sign * gap > 0).mean()))
    return min(shares)
