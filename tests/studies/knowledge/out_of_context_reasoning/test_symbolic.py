"""The study's plumbing at the quick preset: what every claim and figure needs is there, and a run is a run of its own."""

import math
from dataclasses import replace

import numpy as np
import pytest

from assay.claims.study import Measurement
from assay.core.errors import Diverged, SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.studies.knowledge.out_of_context_reasoning import STUDY
from assay.studies.knowledge.out_of_context_reasoning.arms import Ledger
from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric
from assay.studies.knowledge.out_of_context_reasoning.symbolic import held_out_margins
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

EXPERIMENTS = {experiment.name: experiment for experiment in STUDY.experiments if experiment.measure_many}


@pytest.fixture(scope="module", params=list(EXPERIMENTS))
def measured(request):
    experiment = EXPERIMENTS[request.param]
    return experiment, experiment.measure_runs(experiment.preset("quick").settings, [Seeds(0), Seeds(1)])


def test_every_claim_and_control_finds_its_number(measured):
    experiment, runs = measured
    for run in runs:
        assert isinstance(run, Measurement)
        for claim in experiment.claims:
            for names in (claim.estimand, claim.negative.measured(claim.estimand)):
                for name in (names,) if isinstance(names, str) else names:
                    assert math.isfinite(run.estimands[name]), name


def test_every_figure_finds_its_columns(measured):
    experiment, runs = measured
    for figure in experiment.figures:
        rows = runs[0].tables[figure.chart.table]
        wanted = {
            getattr(figure.chart, name, None) for name in ("x", "y", "by", "panel", "theory", "row", "column", "value", "label")
        }
        for row in rows:
            assert wanted - {None} <= set(row), figure.name


def test_a_run_does_not_depend_on_its_batch_mates(measured):
    experiment, runs = measured
    alone = experiment.measure_run(experiment.preset("quick").settings, Seeds(1))
    assert alone.estimands == runs[1].estimands
    assert alone.tables == runs[1].tables


def test_a_run_that_diverges_is_said_to_and_spares_the_others(monkeypatch):
    import torch

    from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack

    experiment = EXPERIMENTS["dose-response"]
    settings = experiment.preset("quick").settings
    calm = experiment.measure_run(settings, Seeds(1))
    constant = RecallStack.constant.__func__

    def with_a_broken_first_run(cls, *args, **kwargs):
        stack = constant(cls, *args, **kwargs)
        stack.factors[0][0] = torch.inf
        return stack

    monkeypatch.setattr(RecallStack, "constant", classmethod(with_a_broken_first_run))
    broken, other = experiment.measure_runs(settings, [Seeds(0), Seeds(1)])
    assert isinstance(broken, Diverged)
    assert other.estimands == calm.estimands
    with pytest.raises(Diverged):
        experiment.measure_run(settings, Seeds(0))


@pytest.mark.parametrize("override", ["n=1", "m_train=0", "length=3", "learning_rate=0", "n_steps=0", "weight_decay=-1"])
def test_settings_out_of_range_are_refused(override):
    with pytest.raises(SettingsError, match=override.split("=")[0]):
        resolve(EXPERIMENTS["symbolic"].preset("laptop").settings, [override], where="out-of-context-reasoning/symbolic")


def test_the_paper_preset_is_at_least_the_laptop_preset():
    for experiment in STUDY.experiments:
        laptop, paper = experiment.preset("laptop"), experiment.preset("paper")
        assert laptop.n_runs >= (10 if experiment.name in EXPERIMENTS else 6)  # a language model's run takes minutes
        assert paper.n_runs >= laptop.n_runs
    reference = EXPERIMENTS["symbolic"].preset("laptop").settings
    assert (reference.n, reference.m_train, reference.m_test, reference.n_steps) == (20, 1, 3, 2000)


def test_the_paper_claims_are_all_there_and_all_have_reasons():
    names = {claim.name.split(".")[0] for claim in EXPERIMENTS["symbolic"].claims}
    assert names == {f"C{i}" for i in range(1, 13)}
    assert len(STUDY.departures) == 16


def test_held_out_margins_of_a_max_margin_solution_are_its_completion():
    world = RecallWorld.intact(n=4, m_train=1, m_test=3, n_noise=0, length=3).with_rule([1, 2, 3, 0])
    W = symmetric(4, 1, 3, "nuclear").matrix()
    W[4:] = W[4:][np.argsort(world.rule)]  # rows of the implications under the rule
    np.testing.assert_allclose(held_out_margins(W, world), math.sqrt(1 / 3))
    np.testing.assert_allclose(held_out_margins(W, world, "train_implication"), 1.0)


def test_the_ledger_keeps_runs_apart():
    ledger = Ledger(3)
    ledger.estimand("a", [1.0, 2.0, 3.0])
    ledger.rows("t", {"x": 5, "y": np.array([0.1, 0.2, 0.3])})
    failure = Diverged(7, 1.0)
    ledger.failures([None, failure, None])
    ledger.failures([None, Diverged(9, 1.0), None])
    first, second, third = ledger.measurements()
    assert first == Measurement({"a": 1.0}, {"t": [{"x": 5, "y": 0.1}]})
    assert second is failure
    assert third == replace(first, estimands={"a": 3.0}, tables={"t": [{"x": 5, "y": 0.3}]})
