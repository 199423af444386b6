"""Deeper products: what bias a W_OV of three or four factors has, against the exact least-Schatten solutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Below, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import descended
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["DEPTH"]

CLAIMS = (
    Claim(
        "depth.order",
        says="With one bridge to three held-out subjects, the held-out margin rises from one matrix to a product of two to a "
        "product of three.",
        source="ours, from theorem 1 and the Schatten-2/L bias of products of L matrices",
        estimand=("completion/1:3/1", "completion/1:3/2", "completion/1:3/3"),
        rule=Ordered(0.05),
        margin="the exact solutions' steps are 0.58 and 0.21; a quarter of the smaller one",
        control=Control(
            "a product of two, three times from other starts: no order",
            ("completion/1:3/2", "completion/1:3/2_again", "completion/1:3/2_once_more"),
        ),
    ),
    Claim(
        "depth.value",
        says="A product of three ends at the held-out margin of the least Schatten-2/3 solution.",
        source="ours",
        estimand="deviation/3",
        rule=Within(-0.05, 0.05),
        margin="as in C8: directions still move by 0.05 at the margins that we reach",
        control=Control("a product of two is far from that solution", "deviation_of_2_from_3"),
    ),
    Claim(
        "depth.not-one",
        says="Depth does not make the transfer complete where bridges are rare: with a product of four the held-out "
        "margin stays below 0.9 of the bridges'.",
        source="ours",
        estimand="completion/1:3/4",
        rule=Below(0.9),
        margin="the least Schatten-1/2 solution has 0.79; 1 would be complete",
        control=Control("as many bridges as held-out subjects: complete", "completion/2:2/4"),
    ),
)


@dataclass(frozen=True)
class Settings:
    """Four groups; normalised descent on the exact population with attention fixed, in double precision."""

    n_steps: Annotated[int, Ge(1), doc("steps of normalised descent")] = 2_500
    growth: Annotated[float, Gt(0), doc("length of a late step, as a share of the weights' length")] = 4e-3
    std: Annotated[float, Gt(0), doc("standard deviation of the initial weights; small ones starve directions")] = 0.3


SPLITS = ((1, 3), (2, 2))
DEPTHS = (1, 2, 3, 4)


def measure_many(settings: Settings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Held-out over bridges' margin for every depth and split."""
    from assay.studies.knowledge.out_of_context_reasoning.instruments import block_completion, value_output
    from assay.studies.knowledge.out_of_context_reasoning.max_margin import least_schatten

    ledger = Rows(len(seeds))
    theory = {(split, depth): least_schatten(4, *split, 2 / depth).completion for split in SPLITS for depth in DEPTHS}
    arms = [(split, depth) for split in SPLITS for depth in DEPTHS]
    for i, ((m_train, m_test), depth) in enumerate(arms):
        progress(i / len(arms), f"{depth} factors, {m_train}:{m_test}")
        world = RecallWorld.intact(n=4, m_train=m_train, m_test=m_test, n_noise=0, length=3)
        # The control's further starts are further runs of the same stack.
        repeats = ("", "_again", "_once_more") if ((m_train, m_test), depth) == ((1, 3), 2) else ("",)
        starts = [node.child(again) if again else node for again in repeats for node in seeds]
        stack, diverged = descended(
            [world] * len(starts),
            starts,
            depth=depth,
            std=settings.std,
            n_steps=settings.n_steps,
            step_size=0.02,
            growth=settings.growth,
        )
        found = np.array([block_completion(W, world) for W in value_output(stack)]).reshape(len(repeats), len(seeds))
        for k, again in enumerate(repeats):
            ledger.failures(diverged[k * len(seeds) : (k + 1) * len(seeds)])
            ledger.estimand(f"completion/{m_train}:{m_test}/{depth}{again}", found[k])
        label = f"{m_train} bridge : {m_test} held out" if m_train == 1 else f"{m_train} bridges : {m_test} held out"
        exact = theory[(m_train, m_test), depth]
        ledger.rows("depth", {"depth": depth, "split": label, "ratio": found[0], "theory": exact})
        if (m_train, m_test) == (1, 3) and depth in (2, 3):
            name = "deviation/3" if depth == 3 else "deviation_of_2_from_3"
            ledger.estimand(name, found[0] - theory[(1, 3), 3])
    return ledger.measurements()


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run of the design."""
    (found,) = measure_many(settings, [seeds])
    if isinstance(found, Diverged):
        raise found
    return found


DEPTH = Experiment(
    name="depth",
    question="Does a product of more matrices transfer more?",
    cost="13 s",
    claims=CLAIMS,
    presets={"quick": Preset(Settings(n_steps=60), 2), "laptop": Preset(Settings(), 10)},
    measure=measure,
    measure_many=measure_many,
    batch=5,
    figures=(
        Figure(
            "depth",
            "Deeper products transfer more, up to a limit",
            "Held-out over bridges' margin after long descent on the exact population. The dashed lines are the least "
            "Schatten-2/L solutions of L factors.",
            Lines(
                "depth",
                x="depth",
                y="ratio",
                by="split",
                theory="theory",
                x_label="matrices in the product",
                y_label="margin, held out / bridges",
                markers=True,
            ),
            further=True,
        ),
    ),
)
