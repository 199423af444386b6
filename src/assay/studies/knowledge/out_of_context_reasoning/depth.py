"""Deeper products: what bias a W_OV of three or four factors has, against the exact least-Schatten solutions."""

from collections.abc import Sequence

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import completions, descend_arm, draw_fixed
from assay.studies.knowledge.out_of_context_reasoning.max_margin import least_schatten
from assay.studies.knowledge.out_of_context_reasoning.settings import DepthSettings
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

RARE, EVEN = (1, 3), (2, 2)  # bridges and held-out subjects in each of four groups
DEPTHS = (1, 2, 3, 4)
# The control's further starts are further runs of the product of two where bridges are rare; names of arms and streams.
STARTS = {"": "", "-again": "_again", "-once-more": "_once_more"}
STEP_SIZE = 0.02


def measure_many(settings: DepthSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Held-out over bridges' margin for every depth and split."""
    ledger = Rows(len(seeds))
    target = least_schatten(4, *RARE, 2 / 3).completion
    designs = [(split, depth) for split in (RARE, EVEN) for depth in DEPTHS]
    for (m_train, m_test), depth in parts(designs, label=lambda design: f"{design[1]} factors, {design[0][0]}:{design[0][1]}"):
        is_rare = (m_train, m_test) == RARE
        world = RecallWorld.intact(n=4, m_train=m_train, m_test=m_test, n_noise=0, length=3)
        repeats = STARTS if is_rare and depth == 2 else {"": ""}
        starts = [node.child(stream) if stream else node for stream in repeats.values() for node in seeds]
        stack, diverged = descend_arm(
            [world] * len(starts),
            starts,
            depth=depth,
            std=settings.std,
            n_steps=settings.n_steps,
            step_size=STEP_SIZE,
            growth=settings.growth,
        )
        found = completions(stack, [world] * len(starts)).reshape(len(repeats), len(seeds))
        for k, again in enumerate(repeats):
            ledger.failures(diverged[k * len(seeds) : (k + 1) * len(seeds)])
            ledger.estimand(f"depth-{depth}{again}/completion" if is_rare else f"depth-{depth}-even/completion", found[k])
        if is_rare:
            ledger.estimand(f"depth-{depth}/deviation", found[0] - target)
        label = f"{m_train} bridge : {m_test} held out" if m_train == 1 else f"{m_train} bridges : {m_test} held out"
        exact = least_schatten(4, m_train, m_test, 2 / depth).completion
        ledger.rows("depth", {"depth": depth, "split": label, "ratio": found[0], "theory": exact})
    return ledger.measurements()


def measure_nulls(settings: DepthSettings, seeds: Seeds) -> Measurement:
    """The same numbers of products as they are drawn."""
    world, ledger = RecallWorld.intact(n=4, m_train=RARE[0], m_test=RARE[1], n_noise=0, length=3), Rows(1)
    for depth in DEPTHS:
        found = completions(draw_fixed(world, [seeds], depth=depth, std=settings.std), [world])
        ledger.estimand(f"untrained-depth-{depth}/completion", found)
        if depth == 2:
            ledger.estimand("untrained/completion", found)
            ledger.estimand("untrained/deviation", found - least_schatten(4, *RARE, 2 / 3).completion)
    (measured,) = ledger.measurements()
    assert isinstance(measured, Measurement)
    return measured
