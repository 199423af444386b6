"""The picture of W_OV beside the two max-margin solutions, and the margins read off it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.instruments import value_output
from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack
from assay.studies.knowledge.out_of_context_reasoning.world import Kind, RecallWorld

SHOWN = 5  # groups in the picture


def enter_weights(ledger: Rows, world: RecallWorld, factorised: RecallStack, combined: RecallStack) -> None:
    """The blocks of the first groups beside both max-margin solutions, in units of the bridges' mean implication margin."""
    sizes = (world.n, world.m_train, world.m_test)
    panels: dict[str, Sequence[Float[ndarray, "n_answers n_inputs"]]] = {
        "factorised, trained": list(value_output(factorised, weighted=True)),
        "least nuclear norm": [symmetric(*sizes, "nuclear").matrix()] * len(ledger),
        "combined, trained": list(value_output(combined, weighted=True)),
        "least Frobenius norm": [symmetric(*sizes, "frobenius").matrix()] * len(ledger),
    }
    shown = range(min(SHOWN, world.n))
    rows = [(f"b{g + 1}", g) for g in shown] + [(f"c{g + 1}", world.n + g) for g in shown]
    columns = [("r1", 0), ("r2", 1)]
    for subject in np.flatnonzero(world.group < SHOWN):
        label = "bridge" if subject < world.n_bridges else "held out"
        columns.append((f"{label} {world.group[subject] + 1}.{subject // world.n + 1}", 2 + int(subject)))
    for panel, matrices in panels.items():
        scaled = np.array([in_margins(W, world) for W in matrices])
        for answer, row in rows:
            for token, column in columns:
                ledger.rows("weights", {"matrix": panel, "answer": answer, "token": token, "weight": scaled[:, row, column]})


def in_margins(W: Float[ndarray, "n_answers n_inputs"], world: RecallWorld) -> Float[ndarray, "n_answers n_inputs"]:
    """The matrix with every column centred, in units of the bridges' mean implication margin."""
    unit = float(implication_margins(W, world, "train_implication").mean())
    centred: Float[ndarray, "n_answers n_inputs"] = (W - W.mean(axis=0)) / unit
    return centred


def implication_margins(
    W: Float[ndarray, "n_answers n_inputs"], world: RecallWorld, kind: Kind = "test_implication"
) -> Float[ndarray, "subjects others"]:
    """Margins of the right implication over each other one, for every subject of the kind, in logits."""
    subjects = world.subjects(kind)
    logits = (W[world.n : 2 * world.n, 1:2] + W[world.n : 2 * world.n, 2 + subjects]).T
    right = world.implication[subjects]
    margins = np.take_along_axis(logits, right[:, None], axis=1) - logits
    over_others: Float[ndarray, "subjects others"] = margins[np.arange(world.n) != right[:, None]].reshape(len(subjects), -1)
    return over_others
