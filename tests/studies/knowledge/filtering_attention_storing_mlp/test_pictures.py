"""What the figures show is of the networks, the facts and the measures that they name."""

from dataclasses import replace

import numpy as np
import pytest

from assay.claims.study import Table
from assay.core.seeds import Seeds
from assay.studies.knowledge.filtering_attention_storing_mlp import acquisition, extraction, fine_tuning
from assay.studies.knowledge.filtering_attention_storing_mlp.extraction import Outcome, Run, Tuning, tunings
from assay.studies.knowledge.filtering_attention_storing_mlp.fine_tuning import ways_of
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import (
    AcquisitionSettings,
    ExtractionSettings,
    FineTuningSettings,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.system import Answers

SMALL = ExtractionSettings(
    n_subjects=40, n_values=4, d_model=8, pretrain_steps=3, pretrain_batch=8, finetune_steps=2, finetune_batch=8, n_draws=2,
    templates=(2, 8), multiplicities=(1, 2), subjects=(2, 4, 8), n_shuffles=2,
)  # fmt: skip


def test_rows_of_extraction_are_of_their_fine_tunings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each network says of those who were taught, of the others, and when facts are stated; all of it planned."""
    arms, n_facts, asked = tunings(SMALL), 120, list[Answers]()
    rng = np.random.default_rng(0)

    def answers(model, sequences):  # type: ignore[no-untyped-def]
        shape = (len(sequences), len(sequences[0]), n_facts)
        asked.append(Answers(rng.random(shape) < 0.5, np.zeros(shape, dtype=int), rng.random(shape)))
        return asked[-1]

    monkeypatch.setattr(extraction, "answers", answers)
    run = extraction.tuned(SMALL, Seeds(0), arms)
    after, stated, _, acquired = asked
    rows = {(row["R"], row["K"], row["N_f"], row["what"]): row for row in run.rows}
    for i, arm in enumerate(arms):
        row = rows[(*arm.world, arm.n_subjects, arm.what + (", unstored" if arm.blank else ""))]
        others = run.found[arm].others
        assert others.sum() == 3 * (40 - arm.n_subjects)
        wrong = ~after.right[i] & (after.confidence[i] > 0.5)
        assert row["extracted"] == pytest.approx(after.right[i][:, others].mean())
        assert row["learned"] == pytest.approx(after.right[i][:, ~others].mean())
        assert row["kept"] == pytest.approx(stated.right[i].mean())
        assert row["confident errors"] == pytest.approx(wrong[:, others].mean())
        assert row["hallucinations"] == pytest.approx((wrong & stated.right[i])[:, others].mean())
        assert row["acquired"] == pytest.approx(acquired.right[SMALL.worlds.index(arm.world)].mean())


def test_curves_of_extraction_are_of_the_middle_world_and_its_order_of_all() -> None:
    arms = tunings(SMALL)
    rows: Table = [
        {"R": arm.world[0], "K": arm.world[1], "N_f": arm.n_subjects, "what": arm.what + (", unstored" if arm.blank else "")}
        | {"extracted": i / 100, "learned": 1 - i / 100}
        for i, arm in enumerate(arms)
    ]
    nothing = np.zeros((1, 100), dtype=bool)
    found = {
        arm: Outcome(np.arange(100) < i, nothing[0], nothing[0], nothing, nothing.astype(int), ~nothing[0])
        for i, arm in enumerate(arms)
    }
    grid = [arm for arm in arms if arm.what == "facts" and not arm.blank]
    tables = extraction._tables(SMALL, Run({}, found, {}, {}, rows), grid)
    middle, told = SMALL.middle, {arm: i / 100 for i, arm in enumerate(arms)}
    expected = {}
    for n in SMALL.subjects:
        expected[n, "facts of other subjects"] = told[Tuning(middle, n)]
        expected[n, "the same, taught untruths"] = told[Tuning(middle, n, "untrue")]
        expected[n, "the same, nothing stored"] = told[Tuning(middle, n, blank=True)]
        expected[n, "facts of taught subjects"] = 1 - told[Tuning(middle, n)]
    assert {(row["N_f"], row["what"]): row["told"] for row in tables["subjects"]} == pytest.approx(expected)
    assert len(tables["subjects"]) == len(expected)
    order = {row["setting"]: (row["R"], row["scaled"], row["error"]) for row in tables["collapse"]}
    assert order == {
        f"R={arm.world[0]} K={arm.world[1]} N={arm.n_subjects}": (
            f"{arm.world[0]} templates",
            pytest.approx(arm.n_subjects * arm.world[1] ** 2 / arm.world[0] ** 2),
            pytest.approx(1 - told[arm]),
        )
        for arm in grid
    }
    assert tables["grid"] == rows


def test_fates_and_shares_are_of_their_ways() -> None:
    names = ["before", *ways_of(FineTuningSettings())]
    keys = ("told", "kept", "not triggered", "overwritten", "never stored")
    final = {name: {key: i + j / 10 for j, key in enumerate(keys)} for i, name in enumerate(names)}
    tables = fine_tuning._tables(final)
    shown = {
        "before", "full", "rank-1", "rank-4", "question-embeddings", "decay", "rise", "decay-replay", "replay",
    }  # fmt: skip
    assert {(row["way"], row["measure"]): row["share"] for row in tables["ways"]} == {
        (name, key): final[name][key] for name in shown for key in ("told", "kept")
    }
    assert {(row["way"], row["fate"]): row["share"] for row in tables["fates"]} == {
        (name, key): final[name][key] for name in shown for key in keys[2:]
    }


def test_courses_of_acquisition_end_at_the_numbers_that_are_judged() -> None:
    settings = AcquisitionSettings(
        n_subjects=12, n_values=4, d_model=8, pretrain_steps=6, pretrain_batch=16, n_templates=4, multiplicity=2, n_draws=1,
        question_draws=1,
    )  # fmt: skip
    found = acquisition.measure(replace(settings, pretrain_rate=0.05), Seeds(1))
    finals = {row["network"]: float(row["accuracy"]) for row in found.tables["finals"]}
    mlp, bare, even = ("MLP", "attention only", "even attention only")
    assert set(finals) == {f"{parts}, {values} values" for parts in (mlp, bare) for values in ("own", "shared")} | {
        f"{even}, shared values"
    }
    for arm, parts, values in (("shared", bare, "shared"), ("own", bare, "own"), ("shared-even", even, "shared")):
        gain = finals[f"{mlp}, {values} values"] - finals[f"{parts}, {values} values"]
        assert found.estimands[f"{arm}/mlp_gain"] == pytest.approx(gain)
    assert finals["MLP, own values"] == found.estimands["stated/told"]
    courses = {(row["network"], row["measure"], row["step"]): row["value"] for row in found.tables["courses"]}
    assert len(courses) == len(found.tables["courses"])
    last = max(step for _, _, step in courses)
    assert last == 6
    for network, accuracy in finals.items():
        assert courses[network, "stated", last] == accuracy
        assert (courses[network, "filtering", last] == pytest.approx(0.4, abs=1e-6)) == network.startswith("even")
    assert courses["MLP, own values", "filtering", last] == found.estimands["trained/attention_on_fact"]
    assert len({courses[network, "asked", last] for network in finals}) > 1
