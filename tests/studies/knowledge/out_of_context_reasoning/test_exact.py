"""The exact checks hold, and each fails where what it says is taken away."""

from dataclasses import replace

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning import STUDY, exact
from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe
from assay.studies.knowledge.out_of_context_reasoning.model import RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import SymbolicSettings

SYMBOLIC = STUDY.experiment("symbolic")
SETTINGS = SymbolicSettings()


def holds(name: str, number: float) -> bool:
    (check,) = (one for one in SYMBOLIC.exact if one.name == name)
    return check.judge(number) == "holds"


def test_all_of_them_hold() -> None:
    numbers = SYMBOLIC.exact_numbers(replace(SYMBOLIC.preset("quick").settings, n_steps_population=50))
    assert {name: holds(name, number) for name, number in numbers.items()} == dict.fromkeys(numbers, True), numbers


def test_the_bound_is_broken_by_the_factorised_model_from_the_same_start() -> None:
    sizes, scale = exact.BOUND_WORLDS[-1]
    assert holds("C7", exact.bound_excess(sizes, scale, 1, SETTINGS))
    assert exact.bound_excess(sizes, scale, 2, SETTINGS) < -0.5


def test_another_bijection_is_a_renaming_only_where_the_start_is_renamed_too() -> None:
    rule = np.roll(np.arange(exact.SMALL_WORLD.n), 2)
    _, plain = exact.train_small(exact.SMALL_WORLD)
    _, other = exact.train_small(exact.SMALL_WORLD.with_rule(rule))
    assert not holds("C10", max(abs(a - b) for a, b in zip(plain, other, strict=True)))
    assert plain[-1] < 0.7 * plain[0]  # something was learnt, so that there is something to compare


def test_a_graft_of_other_factors_is_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    real = RecallStack.combined

    def swapped(stack: RecallStack) -> RecallStack:
        other = real(stack)
        other.factors[0][:] = other.factors[0].flip(1)
        return other

    monkeypatch.setattr(RecallStack, "combined", swapped)
    assert not holds("C3", exact.graft_difference())


def test_the_closed_forms_are_told_from_an_earlier_statement_of_the_margin() -> None:
    found = exact.closed_forms([(3, 1, 2)])
    assert holds("C5", found["C5"])
    margin = found["C5.bound"] + np.sqrt(1 / 2)  # the conic solver's
    assert abs(margin - 1 / (1 + 2)) > 0.3  # m_train / (m_train + m_test)


def test_scores_of_an_exact_probe_need_no_draws() -> None:
    stack, _ = exact.train_small(exact.SMALL_WORLD)
    sampled = RecallProbe.sampled([exact.SMALL_WORLD], [Seeds(1)], n_noise_draws=300).read(stack)
    whole = RecallProbe.exact([exact.SMALL_WORLD]).read(stack)
    loss = [found["test_implication"].loss_nats[0] for found in (sampled, whole)]
    assert loss[0] == pytest.approx(loss[1], rel=0.05)
