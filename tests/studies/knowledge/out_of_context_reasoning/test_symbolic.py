"""The study's plumbing at the quick preset: what every claim and figure needs is there, and a run is a run of its own."""

import math

import numpy as np
import pytest
import torch

from assay.core.errors import Diverged, SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning import STUDY
from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.weights import enter_weights, implication_margins
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

EXPERIMENTS = {experiment.name: experiment for experiment in STUDY.experiments if experiment.measure_many}


def test_a_run_that_diverges_is_said_to_and_spares_the_others(monkeypatch):
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
        assert laptop.n_runs >= (12 if experiment.name in EXPERIMENTS else 8)  # a language model's run takes minutes
        assert paper.n_runs >= laptop.n_runs
    reference = EXPERIMENTS["symbolic"].preset("laptop").settings
    assert (reference.n, reference.m_train, reference.m_test, reference.n_steps) == (20, 1, 3, 2000)


def test_the_paper_claims_are_all_there_and_all_have_reasons():
    symbolic = EXPERIMENTS["symbolic"]
    names = {one.name.split(".")[0] for one in (*symbolic.claims, *symbolic.exact)}
    assert names == {f"C{i}" for i in range(1, 13)}
    assert len(STUDY.departures) == 18


def test_at_most_sixteen_claims_infer():
    assert len([claim for claim in STUDY.claims if claim.kind == "finding"]) <= 16


def test_held_out_margins_of_a_max_margin_solution_are_its_completion():
    world = RecallWorld.intact(n=4, m_train=1, m_test=3, n_noise=0, length=3).with_rule([1, 2, 3, 0])
    W = symmetric(4, 1, 3, "nuclear").matrix()
    W[4:] = W[4:][np.argsort(world.rule)]  # rows of the implications under the rule
    np.testing.assert_allclose(implication_margins(W, world), math.sqrt(1 / 3))
    np.testing.assert_allclose(implication_margins(W, world, "train_implication"), 1.0)


def test_the_picture_of_weights_shows_what_tokens_add_under_their_names():
    world = RecallWorld.intact(n=6, m_train=2, m_test=1, n_noise=2, length=6).with_rule([1, 2, 3, 4, 5, 0])
    stacks = {
        f"{name}, trained": RecallStack.gaussian(
            world, Architecture(depth), rngs=[Seeds(run).child(name)("init") for run in (1, 2)], std=0.5, dtype=torch.float64
        )
        for name, depth in (("factorised", 2), ("combined", 1))
    }
    ledger = Rows(2)
    enter_weights(ledger, world, *stacks.values())
    for run, found in enumerate(ledger.measurements()):
        panels = {
            name: (stack.value_output()[run, stack.answer_rows] * stack.scores[run]).numpy() for name, stack in stacks.items()
        }
        panels |= {f"least {norm} norm": symmetric(6, 2, 1, norm.lower()).matrix() for norm in ("nuclear", "Frobenius")}
        shown = {(row["matrix"], row["answer"], row["token"]): row["weight"] for row in found.tables["weights"]}
        assert len(shown) == len(found.tables["weights"]) == 4 * 10 * (2 + 15)
        for name, W in panels.items():
            margins = [
                W[6 + right, 1] + W[6 + right, 2 + bridge] - W[6 + other, 1] - W[6 + other, 2 + bridge]
                for bridge in range(12)
                for right in [(bridge + 1) % 6]
                for other in set(range(6)) - {right}
            ]
            for place, group in (("b", 0), ("c", 6)):
                for label, column in (("r1", 0), ("r2", 1), ("bridge 2.1", 3), ("bridge 4.2", 11), ("held out 5.3", 18)):
                    expected = (W[group + 2, column] - W[:, column].mean()) / np.mean(margins)
                    assert shown[name, f"{place}3", label] == pytest.approx(expected), (name, place, label)
