"""What the figures show is of the arm, the kind of question and the step that they name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning import depth, descent, dose_response, mitigation, optimiser, symbolic
from assay.studies.knowledge.out_of_context_reasoning.claims.symbolic import QUICK
from assay.studies.knowledge.out_of_context_reasoning.instruments import block_completion, key_query_profile, value_output
from assay.studies.knowledge.out_of_context_reasoning.max_margin import least_schatten
from assay.studies.knowledge.out_of_context_reasoning.settings import (
    DepthSettings,
    DoseSettings,
    MitigationSettings,
    OptimiserSettings,
)

SEEDS = [Seeds(901), Seeds(902)]
SHORT = replace(QUICK, n_steps=2, n_steps_long=3, n_steps_slow=4, n_steps_narrow=5, n_steps_wide=6, widths=(8, 16))


@pytest.fixture
def arms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], Any]]:
    """What every training was asked for, and what came out."""
    made: list[tuple[dict[str, Any], Any]] = []
    for module, name in [
        *((module, "train_arm") for module in (symbolic, dose_response, mitigation, optimiser)),
        (depth, "descend_arm"),
        (descent, "descend_arm"),
    ]:
        real = getattr(module, name)

        def record(worlds: Any, seeds: Any, real: Any = real, **asked: Any) -> Any:
            made.append(({"worlds": worlds, **asked}, real(worlds, seeds, **asked)))
            return made[-1][1]

        monkeypatch.setattr(module, name, record)
    return made


def rows_of(found: Any, table: str, *keys: str) -> dict[tuple[Any, ...], Any]:
    """A run's rows by what they are of; the same is said once."""
    by = {tuple(row[key] for key in keys): row for row in found.tables[table]}
    assert len(by) == len(found.tables[table])
    return by


def test_pictures_of_the_symbolic_model(arms: list[tuple[dict[str, Any], Any]]) -> None:
    rows = Rows(2)
    for design in (symbolic.headline, symbolic.efficiency, symbolic.rank_sweep):
        design(SHORT, SEEDS, rows)
    factorised, combined, _, shuffled, four = (arm for _, arm in arms[:5])
    for run, found in enumerate(rows.measurements()):
        curves = rows_of(found, "curves", "model", "kind", "step")
        attention = rows_of(found, "attention", "model", "tokens")
        for name, arm in (("factorised", factorised), ("combined", combined)):
            for step, scores in zip(arm.steps, arm.scores, strict=True):
                for kind in ("train_fact", "train_implication", "test_fact", "test_implication"):
                    assert curves[name, kind, step]["loss_nats"] == scores[kind].loss_nats[run]
            for tokens, weight in key_query_profile(arm.stack, arm.worlds[run]).items():
                assert attention[name, tokens]["weight"] == weight[run]
        associations = rows_of(found, "associations", "association", "step")
        named = {"one bridge a group": factorised, "four bridges": four, "four bridges, shuffled": shuffled}
        for name, arm in named.items():
            for step, scores in zip(arm.steps, arm.scores, strict=True):
                assert associations[name, step]["loss_nats"] == scores["test_implication"].loss_nats[run]
        bridges, widths = rows_of(found, "efficiency", "bridges"), rows_of(found, "rank", "d_hidden", "kind")
        for asked, arm in arms[5:]:
            scores = arm.scores[-1]
            width = asked["architecture"].d_hidden
            if width is None:
                shown = bridges[f"{asked['worlds'][0].m_train} of 8",]
                assert shown["accuracy"] == scores["test_implication"].accuracy[run]
            elif width > 1:
                assert widths[width, "held-out implication"]["loss_nats"] == scores["test_implication"].loss_nats[run]
                assert widths[width, "worst taught kind"]["loss_nats"] == arm.worst_taught_loss()[run]
        assert (len(bridges), len(widths)) == (5, 2 * 4)


def test_pictures_of_descent(arms: list[tuple[dict[str, Any], Any]]) -> None:
    rows, settings = Rows(2), replace(SHORT, n_steps_descent=3)
    descent.implicit_bias(settings, SEEDS, rows)
    descent.margin_ratios(settings, SEEDS, rows)
    labels = {(2, 1e-3): "factorised, small start", (1, 1e-3): "combined", (2, 0.3): "factorised, ordinary start"}
    for run, found in enumerate(rows.measurements()):
        norms = rows_of(found, "norms", "model")
        for arm, model in (("product", "factorised"), ("matrix", "combined")):
            for norm in ("nuclear", "frobenius"):
                assert norms[model,][norm] == pytest.approx(100 * found.estimands[f"{arm}/{norm}_shortfall"])  # type: ignore[union-attr]
        ratios = rows_of(found, "margin_ratio", "model", "share")
        for asked, (stack, _) in arms[2:]:
            world = asked["worlds"][run]
            row = ratios[labels[asked["depth"], asked["std"]], world.m_train / world.m_test]
            assert row["ratio"] == pytest.approx(block_completion(value_output(stack)[run], world))
            theory = min((world.m_train / world.m_test) ** 0.5, 1.0) if asked["depth"] == 2 else 0
            assert row["theory"] == pytest.approx(theory, abs=1e-9)
        for m_train, m_test in ((1, 7), (1, 3), (2, 3), (1, 1), (3, 1)):
            row = ratios["solution of least rank (theory)", m_train / m_test]
            assert row["ratio"] == pytest.approx(least_schatten(4, m_train, m_test, 2 / 3).completion)
        assert len(ratios) == len(arms[2:]) + 5


def test_pictures_of_doses(arms: list[tuple[dict[str, Any], Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = DoseSettings(n=4, n_steps=1)
    designs = dose_response.dosed_worlds(settings, SEEDS)
    monkeypatch.setattr(dose_response, "dosed_worlds", lambda *_: designs)
    for run, one in enumerate(dose_response.measure_many(settings, SEEDS)):
        doses = rows_of(one, "doses", "contradictions", "dose")
        factorised = [arm for asked, arm in arms if asked["architecture"].depth == 2]
        expected = {}
        for (kind, dose, worlds), arm in zip(designs, factorised, strict=True):
            assert arm.worlds == worlds
            for curve in ("scattered", "concerted") if kind == "none" else (kind,):
                expected[curve, dose] = arm.final("test_implication", "family_accuracy")[run]
        assert {key: row["accuracy"] for key, row in doses.items()} == expected


def test_pictures_of_depths(arms: list[tuple[dict[str, Any], Any]]) -> None:
    deep = depth.measure_many(DepthSettings(n_steps=2), SEEDS)
    for run, one in enumerate(deep):
        depths = rows_of(one, "depth", "depth", "split")
        assert len(depths) == len(arms) == 8
        for asked, (stack, _) in arms:
            world = asked["worlds"][run]
            split = "1 bridge : 3 held out" if world.m_train == 1 else "2 bridges : 2 held out"
            row = depths[asked["depth"], split]
            assert row["ratio"] == pytest.approx(block_completion(value_output(stack)[run], world))
            theory = least_schatten(4, world.m_train, world.m_test, 2 / asked["depth"]).completion
            assert row["theory"] == pytest.approx(theory)


def test_pictures_of_mitigations(arms: list[tuple[dict[str, Any], Any]]) -> None:
    settings = MitigationSettings(n=4, n_steps=2)
    found = mitigation.measure_many(settings, SEEDS)
    designs = mitigation.mitigations(settings)
    for run, one in enumerate(found):
        frontier, asserted = rows_of(one, "frontier", "mitigation"), rows_of(one, "asserted", "mitigation", "what")
        assert len(frontier) == len(designs)
        for (name, design), (_, arm) in zip(designs.items(), arms, strict=True):
            row, label = frontier[name.replace("-", " "),], name.replace("-", " ")
            assert row["kind"] == design.kind
            assert row["transfer"] == pytest.approx(np.exp(-arm.final("test_implication", "loss_nats")[run]))
            assert row["kept"] == pytest.approx(np.exp(-arm.worst_taught_loss()[run]))
            whats = {what for shown, what in asserted if shown == label}
            told = design.kind in ("none", "one matrix", "counter-examples", "'unknown' label")
            assert whats == ({"rule_asserted", "rival_asserted", "abstained"} if told else set())
            for what in whats:
                assert asserted[label, what]["share"] == one.estimands[f"{name}/{what}"]  # type: ignore[union-attr]


def test_pictures_of_optimisers(arms: list[tuple[dict[str, Any], Any]]) -> None:
    found = optimiser.measure_many(OptimiserSettings(n=4, n_steps=3), SEEDS)
    names = [(model, name) for model in ("factorised", "combined") for name in optimiser.OPTIMISERS]
    for run, one in enumerate(found):
        curves = rows_of(one, "curves", "model", "optimiser", "step")
        completions = rows_of(one, "completions", "model", "optimiser")
        assert set(completions) == set(names)
        for key, (_, arm) in zip(names, arms, strict=True):
            W = value_output(arm.stack, weighted=True)[run]
            assert completions[key]["completion"] == pytest.approx(block_completion(W, arm.worlds[run]))
            for step, scores in zip(arm.steps, arm.scores, strict=True):
                assert curves[*key, step]["loss_nats"] == scores["test_implication"].loss_nats[run]
