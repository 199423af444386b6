"""Every arm's name is true: it differs from the arm beside it in what it says, and in nothing else."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.errors import Diverged
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning import (
    STUDY,
    arms,
    depth,
    descent,
    dose_response,
    mitigation,
    optimiser,
    symbolic,
    width,
)
from assay.studies.knowledge.out_of_context_reasoning.arms import TrainedArm
from assay.studies.knowledge.out_of_context_reasoning.claims.symbolic import QUICK
from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe, block_completion, value_output
from assay.studies.knowledge.out_of_context_reasoning.max_margin import least_schatten, symmetric
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import (
    DepthSettings,
    DoseSettings,
    MitigationSettings,
    OptimiserSettings,
)
from assay.studies.knowledge.out_of_context_reasoning.training import PAPER_ADAMW
from assay.studies.knowledge.out_of_context_reasoning.world import UNKNOWN, RecallWorld
from assay.training.optimiser import Optimiser

SEEDS = [Seeds(901), Seeds(902)]
SHORT = replace(QUICK, n_steps=2, n_steps_long=3, n_steps_slow=4, n_steps_narrow=5, n_steps_wide=6, widths=(8, 16))


@dataclass
class Call:
    """One training: what was asked for, and what came out."""

    worlds: list[RecallWorld]
    seeds: list[Seeds]
    asked: dict[str, Any]
    arm: Any


def recorded(monkeypatch, module, name):
    """The calls of a module's `train_arm` or `descend_arm` from here on."""
    calls, real = [], getattr(module, name)

    def record(worlds, seeds, **asked):
        arm = real(worlds, seeds, **asked)
        calls.append(Call(list(worlds), list(seeds), asked, arm))
        return arm

    monkeypatch.setattr(module, name, record)
    return calls


def estimands(rows: Rows) -> list[dict[str, float]]:
    found = rows.measurements()
    assert not any(isinstance(one, Diverged) for one in found)
    return [dict(one.estimands) for one in found]


def sizes(world: RecallWorld) -> tuple[int, ...]:
    return world.n, world.m_train, world.m_test, world.m_abstain, world.n_noise, world.length


def same_world(one: RecallWorld, other: RecallWorld) -> bool:
    return same_but_for_implications(one, other) and one.implication.tolist() == other.implication.tolist()


def same_but_for_implications(one: RecallWorld, other: RecallWorld) -> bool:
    return (sizes(one), one.rule.tolist()) == (sizes(other), other.rule.tolist())


def is_intact(world: RecallWorld) -> bool:
    return bool((world.implication == world.rule[world.group]).all())


# ------------------------------------------------------------------------------------------------------------- symbolic


@pytest.fixture
def named(monkeypatch):
    """The trainings behind every arm of the symbolic experiment that is entered whole, by its name."""
    calls = recorded(monkeypatch, symbolic, "train_arm")
    found, real = {}, symbolic.enter_arm

    def enter(ledger, name, arm):
        found[name] = next((call for call in calls if call.arm is arm), arm)
        real(ledger, name, arm)

    monkeypatch.setattr(symbolic, "enter_arm", enter)
    rows = Rows(2)
    symbolic.headline(SHORT, SEEDS, rows)
    symbolic.robustness(SHORT, SEEDS, rows)
    return found, calls, estimands(rows)


DECAYED, PLAIN = Optimiser("adamw", 5e-3, 0.03), Optimiser("adamw", 5e-3, 0.0)
LINEAR, SOFTMAX = (lambda d: Architecture(d)), (lambda d: Architecture(d, attention="softmax"))


def test_symbolic_arms_are_trained_as_they_are_called(named):
    found, _, _ = named
    expected = {
        "factorised": (LINEAR(2), DECAYED, 2),
        "combined": (LINEAR(1), DECAYED, 2),
        "combined-longer": (LINEAR(1), DECAYED, 3),
        "shuffled": (LINEAR(2), DECAYED, 2),
        "four-bridges": (LINEAR(2), DECAYED, 2),
        "no-decay": (LINEAR(2), PLAIN, 3),
        "no-decay-combined": (LINEAR(1), PLAIN, 3),
        "softmax": (SOFTMAX(2), DECAYED, 4),
        "softmax-combined": (SOFTMAX(1), DECAYED, 4),
    }
    assert set(found) == {*expected, "planted"}
    for name, (architecture, its_optimiser, n_steps) in expected.items():
        asked = found[name].asked
        assert (asked["architecture"], asked["optimiser"], asked["n_steps"]) == (architecture, its_optimiser, n_steps), name
        assert asked.get("initialisation", "constant") == "constant", name
        assert asked.get("product_penalty", 0.0) == 0, name
        assert found[name].seeds == SEEDS, name
    reference = symbolic.reference_world(SHORT)
    assert (reference.n, reference.m_train, reference.m_test) == (SHORT.n, 1, 3)
    for name in set(expected) - {"shuffled", "four-bridges"}:
        assert all(same_world(world, reference) for world in found[name].worlds), name


def test_the_shuffled_arm_differs_from_the_one_beside_it_in_whose_the_implications_are(named):
    found, _, _ = named
    for shuffled, intact in zip(found["shuffled"].worlds, found["four-bridges"].worlds, strict=True):
        assert is_intact(intact)
        assert intact.m_train == 4
        bridges = slice(0, intact.n_bridges)
        assert (shuffled.implication[bridges] != intact.implication[bridges]).mean() > 0.4
        assert sorted(shuffled.implication[bridges]) == sorted(intact.implication[bridges])
        assert (shuffled.implication[intact.n_bridges :] == intact.implication[intact.n_bridges :]).all()
        assert same_but_for_implications(shuffled, intact)
    first, second = found["shuffled"].worlds
    assert (first.implication != second.implication).any()


def test_symbolic_numbers_are_those_of_their_arms(named):
    found, _, numbers = named
    for run, mine in enumerate(numbers):
        for name in set(found) - {"planted"}:
            arm = found[name].arm
            assert mine[f"{name}/test_loss"] == arm.final("test_implication", "loss_nats")[run]
            assert mine[f"{name}/test_accuracy"] == arm.final("test_implication", "accuracy")[run]
            assert mine[f"{name}/accuracy_over_chance"] == 4 * arm.final("test_implication", "family_accuracy")[run]
            least = min(scores["test_implication"].loss_nats[run] for scores in arm.scores)
            assert mine[f"{name}/least_excess"] == pytest.approx(least - np.log(4))
            taught = [arm.final(kind, "loss_nats")[run] for kind in ("train_fact", "train_implication", "test_fact")]
            assert mine[f"{name}/worst_taught_loss"] == max(taught)
            W = value_output(arm.stack, weighted=True)[run]
            assert mine[f"{name}/completion"] == block_completion(W, arm.worlds[run])
        both = max(mine[f"{name}/worst_taught_loss"] for name in ("factorised", "combined"))
        assert mine["factorised-and-combined/worst_taught_loss"] == both
        vocabulary = symbolic.reference_world(SHORT).vocab_size
        assert mine["untrained/worst_taught_loss"] == pytest.approx(np.log(vocabulary), abs=1e-3)
        wider = symbolic.reference_world(SHORT, m_train=4).vocab_size
        assert mine["shuffled-untrained/worst_taught_loss"] == pytest.approx(np.log(wider), abs=1e-3)


def test_the_planted_arm_is_the_solution_of_least_nuclear_norm(named):
    found, _, numbers = named
    assert isinstance(found["planted"], TrainedArm)
    for mine in numbers:
        assert mine["planted/test_loss"] < 0.1
        assert mine["planted/test_accuracy"] == 1
        assert mine["planted/worst_taught_loss"] < 1e-3
        assert mine["planted/completion"] == pytest.approx(np.sqrt(1 / 3), abs=1e-5)


def test_bridges_of_the_efficiency_arms_are_as_many_as_they_say(monkeypatch):
    calls, rows = recorded(monkeypatch, symbolic, "train_arm"), Rows(2)
    symbolic.efficiency(SHORT, SEEDS, rows)
    by_bridges = {call.worlds[0].m_train: call for call in calls}
    assert list(by_bridges) == [0, 1, 2, 4, 7]
    for m_train, call in by_bridges.items():
        assert all(is_intact(world) and world.m_test == 8 - m_train for world in call.worlds)
        assert (call.asked["architecture"], call.asked["optimiser"], call.asked["n_steps"]) == (LINEAR(2), DECAYED, 4)
    final = {m: call.arm.final("test_implication", "accuracy") for m, call in by_bridges.items()}
    for run, mine in enumerate(estimands(rows)):
        assert mine["no-bridges/test_accuracy"] == final[0][run]
        assert mine["some-bridges/test_accuracy"] == min(final[m][run] for m in (1, 2, 4, 7))


def test_widths_of_the_rank_sweep_are_as_they_say(monkeypatch):
    calls, rows = recorded(monkeypatch, symbolic, "train_arm"), Rows(2)
    symbolic.rank_sweep(SHORT, SEEDS, rows)
    by_width = {call.asked["architecture"].d_hidden: call for call in calls}
    assert list(by_width) == [1, 3, 4, 8, 16]
    reference = symbolic.reference_world(SHORT)
    for d_hidden, call in by_width.items():
        assert call.asked["architecture"] == Architecture(2, d_hidden=d_hidden)
        assert call.asked["n_steps"] == (5 if d_hidden in (3, 4) else 6)
        assert (call.asked["optimiser"], call.asked["initialisation"]) == (DECAYED, "gaussian")
        assert all(same_world(world, reference) for world in call.worlds)
        assert call.arm.stack.factors[0].shape[2] == d_hidden
    test = {d_hidden: call.arm.final("test_implication", "loss_nats") for d_hidden, call in by_width.items()}
    right = {d_hidden: call.arm.final("test_implication", "accuracy") for d_hidden, call in by_width.items()}
    taught = {d_hidden: call.arm.worst_taught_loss() for d_hidden, call in by_width.items()}
    for run, mine in enumerate(estimands(rows)):
        assert [mine[f"width-{one}/test_loss"] for one in (1, 3, 4)] == [test[one][run] for one in (1, 3, 4)]
        assert mine["width-8-up/test_loss"] == max(test[8][run], test[16][run])
        assert [mine[f"width-{one}/test_accuracy"] for one in (1, 3, 4)] == [right[one][run] for one in (1, 3, 4)]
        assert mine["width-8-up/test_accuracy"] == min(right[8][run], right[16][run])
        assert mine["width-3-up/worst_taught_loss"] == max(taught[one][run] for one in (3, 4, 8, 16))
        assert mine["width-1/worst_taught_loss"] == taught[1][run]


def test_widths_by_themselves_are_those_of_the_rank_sweep(monkeypatch):
    calls = recorded(monkeypatch, width, "train_arm")
    measured = width.measure_many(SHORT, SEEDS)
    by_width = {call.asked["architecture"].d_hidden: call for call in calls}
    assert list(by_width) == [3, 4, 8]
    for d_hidden, call in by_width.items():
        assert call.asked["architecture"] == Architecture(2, d_hidden=d_hidden)
        assert call.asked["n_steps"] == (5 if d_hidden in (3, 4) else 6)
        assert (call.asked["optimiser"], call.asked["initialisation"]) == (DECAYED, "gaussian")
        assert all(same_world(world, symbolic.reference_world(SHORT)) for world in call.worlds)
    right = {d_hidden: call.arm.course("test_implication", "accuracy") for d_hidden, call in by_width.items()}
    for run, found in enumerate(measured):
        assert found.estimands == {
            **{f"width-{d_hidden}/test_accuracy": accuracy[-1][run] for d_hidden, accuracy in right.items()},
            "untrained/test_accuracy": right[4][0][run],
        }
    rows, sweep = Rows(2), recorded(monkeypatch, symbolic, "train_arm")
    symbolic.rank_sweep(SHORT, SEEDS, rows)
    again = {call.asked["architecture"].d_hidden: call.arm.final("test_implication", "accuracy") for call in sweep}
    assert all((again[d_hidden] == accuracy[-1]).all() for d_hidden, accuracy in right.items())


# -------------------------------------------------------------------------------------------------------------- descent


def test_every_depth_descends_in_a_world_without_noise(monkeypatch):
    worlds = []

    def descend(told, starts, **asked):
        worlds.extend(told)
        return descend_arm(told, starts, **asked)

    descend_arm = depth.descend_arm
    monkeypatch.setattr(depth, "descend_arm", descend)
    depth.measure_many(DepthSettings(n_steps=1), SEEDS)
    assert {(world.n, world.n_noise, world.length) for world in worlds} == {(4, 0, 3)}
    assert {(world.m_train, world.m_test) for world in worlds} == {depth.RARE, depth.EVEN}


@pytest.mark.parametrize("depth_", [1, 3])
def test_descent_starts_at_the_size_that_is_said_with_attention_fixed(depth_):
    world = RecallWorld.intact(n=4, m_train=1, m_test=3, n_noise=0, length=3)
    asked = {"depth": depth_, "std": 0.3, "n_steps": 1}
    still, _ = arms.descend_arm([world] * 2, SEEDS, step_size=1e-12, growth=1e-12, **asked)
    start = arms.draw_fixed(world, SEEDS, depth=depth_, std=0.3)
    for ours, drawn in zip(still.factors, start.factors, strict=True):
        torch.testing.assert_close(ours, drawn, rtol=0, atol=1e-9)
        used = drawn[drawn != 0]
        assert float(used.std()) == pytest.approx(0.3, rel=0.2)
    assert not torch.equal(still.factors[0][0], still.factors[0][1])
    assert (still.scores[:, : 2 + world.n_subjects] == 1).all()
    moved, _ = arms.descend_arm([world] * 2, SEEDS, step_size=0.1, growth=1e-12, **asked)
    torch.testing.assert_close((moved.weights - start.weights).norm(dim=1).detach(), torch.full((2,), 0.1, dtype=torch.float64))


def planted_stack(world, matrices):
    stack = RecallStack.constant(
        world, Architecture(1, key_query="fixed"), n_runs=len(matrices), scale=0.0, dtype=torch.float64
    )
    for run, W in enumerate(matrices):
        stack.factors[0][run, stack.answer_rows, : W.shape[1]] = torch.from_numpy(W)
    return stack


def plant_solutions(monkeypatch, norm_of_depth):
    """Descent that ends at a solution at once; what it was asked for."""
    calls = []

    def descend(worlds, seeds, **asked):
        world = worlds[0]
        W = symmetric(world.n, world.m_train, world.m_test, norm_of_depth[asked["depth"]]).matrix()
        calls.append(Call(list(worlds), list(seeds), asked, None))
        return planted_stack(world, [3 * W] * len(seeds)), (None,) * len(seeds)

    monkeypatch.setattr(descent, "descend_arm", descend)
    return calls


def test_descent_that_ends_at_the_solutions_is_read_so(monkeypatch):
    calls, rows = plant_solutions(monkeypatch, {2: "nuclear", 1: "frobenius"}), Rows(2)
    descent.implicit_bias(SHORT, SEEDS, rows)
    assert [(call.asked["depth"], call.asked["std"]) for call in calls] == [(2, 1e-3), (1, 1e-3)]
    assert {call.asked["n_steps"] for call in calls} == {SHORT.n_steps_descent}
    for mine in estimands(rows):
        assert mine["product/nuclear_shortfall"] == pytest.approx(0, abs=1e-9)
        assert mine["matrix/frobenius_shortfall"] == pytest.approx(0, abs=1e-9)
        assert mine["matrix/nuclear_shortfall"] == pytest.approx(0.09, abs=0.01)  # as the claims' margins say
        assert mine["product/frobenius_shortfall"] == pytest.approx(0.12, abs=0.01)
        assert mine["product/nearer_to_nuclear"] == -mine["matrix/nearer_to_nuclear"] > 0.4


def test_margins_that_are_the_solutions_are_read_so(monkeypatch):
    calls, rows = plant_solutions(monkeypatch, {2: "nuclear", 1: "frobenius"}), Rows(2)
    descent.margin_ratios(SHORT, SEEDS, rows)
    asked = [(call.worlds[0].m_train, call.worlds[0].m_test, call.asked["depth"], call.asked["std"]) for call in calls]
    rare = [(*split, *arm) for split in ((1, 7), (1, 3), (2, 3)) for arm in ((2, 1e-3), (1, 1e-3), (2, 0.3))]
    assert asked == rare + [(*split, *arm) for split in ((1, 1), (3, 1)) for arm in ((2, 1e-3), (1, 1e-3))]
    for mine in estimands(rows):
        for m_train, m_test in ((1, 7), (1, 3), (2, 3)):
            assert mine[f"product-{m_train}-{m_test}/held_out_margin"] == pytest.approx(np.sqrt(m_train / m_test))
            assert mine[f"matrix-{m_train}-{m_test}/held_out_margin"] == pytest.approx(0, abs=1e-12)
        assert mine["product/margin_above_bound"] == pytest.approx(0, abs=1e-9)
        assert mine["product/margin_error"] == pytest.approx(0, abs=1e-9)
        assert mine["matrix/margin_above_bound"] == pytest.approx(-1)
        assert mine["matrix/margin_error"] == pytest.approx(1)
        assert mine["small-start/low_rank_share"] == pytest.approx(0, abs=1e-6)
        assert mine["ordinary-start/low_rank_share"] == pytest.approx(0, abs=1e-6)


def test_the_margin_of_least_rank_is_the_other_end_of_the_share():
    ratio = {split: np.array([descent.low_rank_margin(split)]) for split in descent.RARE}
    assert descent.low_rank_share(ratio) == pytest.approx(1)
    for m_train, m_test in descent.RARE:  # close to the fourth root, and above the square root
        assert descent.low_rank_margin((m_train, m_test)) == pytest.approx((m_train / m_test) ** 0.25, abs=0.06)


# ----------------------------------------------------------------------------------------------------------------- dose


def test_contradictions_are_of_the_kind_and_dose_that_they_say(monkeypatch):
    settings = DoseSettings(n=20, n_steps=1)
    intact = RecallWorld.intact(n=20, m_train=8, m_test=4)
    for kind, dose, worlds in dose_response.dosed_worlds(settings, SEEDS):
        for world in worlds:
            wrong = world.implication[: world.n_bridges] != intact.implication[: world.n_bridges]
            assert wrong.mean() == pytest.approx(dose, abs=0.13 if kind == "scattered" else 0)
            assert (world.implication[world.n_bridges :] == intact.implication[world.n_bridges :]).all()
            offsets = (world.implication - world.group)[: world.n_bridges][wrong] % 20
            assert len(set(offsets.tolist())) == {"none": 0, "concerted": 1}.get(kind, len(set(offsets.tolist())))
            assert kind != "scattered" or len(set(offsets.tolist())) > 5
    calls = recorded(monkeypatch, dose_response, "train_arm")
    drawn = dose_response.dosed_worlds(replace(settings, n=4), SEEDS)
    monkeypatch.setattr(dose_response, "dosed_worlds", lambda *_: drawn)
    found = dose_response.measure_many(replace(settings, n=4), SEEDS)
    depths = [call.asked["architecture"].depth for call in calls]
    assert depths.count(2) == 11
    assert depths.count(1) == 4  # three quarters scattered; 3, 5 and 6 of 8 concerted

    def accuracy(n_wrong: int, depth_: int, kind: str) -> np.ndarray:
        for call in calls:
            world = call.worlds[0]
            wrong = (world.implication - world.group)[: world.n_bridges] % 4
            is_kind = (len(set(wrong[wrong > 0])) > 1) == (kind == "scattered")
            if is_kind and call.asked["architecture"].depth == depth_ and (wrong > 0).sum() == n_wrong * 4:
                return call.arm.final("test_implication", "family_accuracy")
        raise AssertionError(f"no training with {n_wrong} of 8 {kind}")

    (most,) = (worlds for kind, dose, worlds in drawn if (kind, dose) == ("scattered", 0.75))
    for model, depth_ in (("factorised", 2), ("combined", 1)):
        fall = accuracy(3, depth_, "concerted") - accuracy(5, depth_, "concerted")
        for run, one in enumerate(found):
            assert one.estimands[f"{model}/fall_across_half"] == fall[run]
            difference = one.estimands[f"{model}/scattered_minus_concerted"]
            scattered = next(call for call in calls if call.asked["architecture"].depth == depth_ and call.worlds == most)
            of_rule = scattered.arm.final("test_implication", "family_accuracy")[run]
            assert difference == of_rule - accuracy(6, depth_, "concerted")[run]


# ---------------------------------------------------------------------------------------------------------------- depth


def test_products_are_as_deep_as_they_say(monkeypatch):
    calls = recorded(monkeypatch, depth, "descend_arm")
    found = depth.measure_many(DepthSettings(n_steps=2), SEEDS)
    assert [(call.worlds[0].m_train, call.worlds[0].m_test, call.asked["depth"]) for call in calls] == [
        *((1, 3, deep) for deep in (1, 2, 3, 4)),
        *((2, 2, deep) for deep in (1, 2, 3, 4)),
    ]
    assert {call.asked["std"] for call in calls} == {0.3}
    two = calls[1]
    assert two.seeds[:2] == SEEDS
    assert len({(node.root, node.path) for node in two.seeds}) == 6
    target = least_schatten(4, 1, 3, 2 / 3).completion
    for run, one in enumerate(found):
        for call in calls:
            stack, deep = call.arm[0], call.asked["depth"]
            own = block_completion(value_output(stack)[run], call.worlds[run])
            suffix = "" if call.worlds[0].m_test == 3 else "-even"
            assert one.estimands[f"depth-{deep}{suffix}/completion"] == own
            if not suffix:
                assert one.estimands[f"depth-{deep}/deviation"] == pytest.approx(own - target)
        again = [value_output(two.arm[0])[2 * k + run] for k in (1, 2)]
        for name, W in zip(("again", "once-more"), again, strict=True):
            assert one.estimands[f"depth-2-{name}/completion"] == block_completion(W, two.worlds[0])


# ----------------------------------------------------------------------------------------------------------- mitigation


def test_mitigations_differ_from_the_baseline_in_what_they_say_alone():
    arms = mitigation.mitigations(MitigationSettings())
    base = arms["baseline"]
    assert is_intact(base.world)
    assert (base.world.m_train, base.world.m_test, base.world.m_abstain) == (4, 4, 0)
    assert (base.architecture, base.optimiser, base.initialisation, base.product_penalty) == (
        Architecture(2), PAPER_ADAMW, "constant", 0.0)  # fmt: skip
    unknown = {m: RecallWorld.intact(n=10, m_train=4, m_test=4, m_abstain=m) for m in (1, 4)}
    changes: dict[str, dict[str, Any]] = {
        "combined": {"architecture": Architecture(1)},
        **{f"penalty-{p:g}": {"product_penalty": p} for p in (1e-4, 1e-3)},
        "decay-0.3": {"optimiser": replace(PAPER_ADAMW, weight_decay=0.3)},
        **{
            f"width-{width}": {"architecture": Architecture(2, d_hidden=width), "initialisation": "gaussian"}
            for width in (1, 3, 4)
        },
        **{f"unknown-{m}": {"world": world} for m, world in unknown.items()},
        "unknown-4-combined": {"world": unknown[4], "architecture": Architecture(1)},
        **{f"counter-{n}": {"world": base.world.countered(n)} for n in (1, 2, 3)},
        "counter-2-combined": {"world": base.world.countered(2), "architecture": Architecture(1)},
    }
    assert set(arms) == {"baseline", *changes}
    for name, change in changes.items():
        wanted = replace(base, **change)
        for field in ("architecture", "optimiser", "initialisation", "product_penalty"):
            assert getattr(arms[name], field) == getattr(wanted, field), (name, field)
        assert same_world(arms[name].world, wanted.world), name
    for n in (1, 2, 3):
        world = arms[f"counter-{n}"].world
        wrong = world.implication[: world.n_bridges] != base.world.implication[: world.n_bridges]
        assert wrong.mean() == n / 4
    taught = unknown[4].implication
    assert (taught == UNKNOWN).sum() == 40
    assert unknown[4].n_bridges == 40


def test_mitigations_are_trained_as_they_are_declared_and_read_as_they_are_called(monkeypatch):
    calls = recorded(monkeypatch, mitigation, "train_arm")
    settings = MitigationSettings(n=4, n_steps=2)
    found = mitigation.measure_many(settings, SEEDS)
    arms = mitigation.mitigations(settings)
    assert len(calls) == len(arms)
    for call, (name, arm) in zip(calls, arms.items(), strict=True):
        for field in ("architecture", "optimiser", "initialisation", "product_penalty"):
            assert call.asked[field] == getattr(arm, field), (name, field)
        assert all(same_world(world, arm.world) for world in call.worlds)
        for run, one in enumerate(found):
            assert one.estimands[f"{name}/rule_first"] == call.arm.final("test_implication", "accuracy")[run]
            assert one.estimands[f"{name}/facts_kept"] == call.arm.facts_kept()[run]
    for one in found:
        both = [one.estimands[f"{name}/facts_kept"] for name in ("combined", "penalty-0.001")]
        assert one.estimands["removers/facts_kept"] == min(both)


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ("rule", {"rule_asserted": 1, "rival_asserted": 0, "any_asserted": 1, "abstained": 0}),
        ("rival", {"rule_asserted": 0, "rival_asserted": 1, "any_asserted": 1, "abstained": 0}),
        ("third", {"rule_asserted": 0, "rival_asserted": 0, "any_asserted": 1, "abstained": 0}),
        ("half", {"rule_asserted": 0, "rival_asserted": 0, "any_asserted": 0, "abstained": 0}),
        ("unknown", {"rule_asserted": 0, "rival_asserted": 0, "any_asserted": 0, "abstained": 1}),
    ],
)
def test_what_a_model_asserts_is_read_off(planted, expected):
    world = RecallWorld.intact(n=5, m_train=2, m_test=2, m_abstain=1)
    W = np.zeros((world.n_answers, world.n_inputs))
    for subject in world.subjects("test_implication"):
        group = world.group[subject]
        steps = {"rule": [0], "rival": [1], "third": [2], "half": [0, 1]}.get(planted, [])
        for step in steps:
            W[5 + (group + step) % 5, 2 + subject] = 40.0
        if planted == "unknown":
            W[10, 2 + subject] = 40.0
    stack, rows = planted_stack(world, [W]), Rows(1)
    scores = [RecallProbe.sampled([world], SEEDS[:1]).read(stack)]
    mitigation.enter(rows, "planted", "none", TrainedArm(stack, [world], (0,), scores, (None,)), SEEDS[:1])
    (mine,) = estimands(rows)
    assert {name: mine[f"planted/{name}"] for name in expected} == expected


def test_asking_for_rivals_changes_what_is_asked_and_nothing_that_is_taught():
    world = RecallWorld.intact(n=5, m_train=3, m_test=2, m_abstain=1).with_rule([2, 3, 4, 0, 1]).countered(1)
    rival = world.asked_for_rivals()
    held_out = world.subjects("test_implication")
    assert (rival.implication[: held_out[0]] == world.implication[: held_out[0]]).all()
    assert (rival.implication[held_out] == world.implication[: world.n][world.group[held_out]]).all()  # the first are countered
    assert rival.taught == world.taught


# ------------------------------------------------------------------------------------------------------------ optimiser


def test_optimisers_are_those_that_are_named_on_the_same_batches(monkeypatch):
    calls = recorded(monkeypatch, optimiser, "train_arm")
    found = optimiser.measure_many(OptimiserSettings(n=4, n_steps=3), SEEDS)
    kinds = {"AdamW, decay 0.03": ("adamw", 0.03), "AdamW, no decay": ("adamw", 0.0), "SGD": ("sgd", 0.0),
             "sign descent": ("sign", 0.0)}  # fmt: skip
    assert {name: (one.kind, one.weight_decay) for name, one in optimiser.OPTIMISERS.items()} == kinds
    assert len(calls) == 8
    for i, call in enumerate(calls):
        name = list(kinds)[i % 4]
        assert call.asked["optimiser"] == optimiser.OPTIMISERS[name]
        assert call.asked["architecture"] == Architecture(2 if i < 4 else 1)
        assert call.asked["initialisation"] == ("gaussian" if name == "SGD" else "constant")
        assert call.seeds == SEEDS
    completion = [[block_completion(W, call.worlds[0]) for W in value_output(call.arm.stack, weighted=True)] for call in calls]
    for run, one in enumerate(found):
        for model, first in (("factorised", 0), ("combined", 4)):
            mine = calls[first : first + 4]
            loss = [call.arm.final("test_implication", "loss_nats")[run] for call in mine]
            accuracy = [call.arm.final("test_implication", "family_accuracy")[run] for call in mine]
            own = [completion[first + k][run] for k in range(4)]
            assert one.estimands[f"{model}/least_accuracy"] == min(accuracy)
            assert one.estimands[f"{model}/largest_completion"] == max(map(abs, own))
            assert one.estimands[f"{model}/log10_loss_without_decay"] == pytest.approx(np.log10(loss[1] / loss[0]))
            assert one.estimands[f"{model}/completion_adamw_minus_sgd"] == own[1] - own[2]
        assert one.estimands["all/worst_taught_loss"] == max(call.arm.worst_taught_loss()[run] for call in calls)


# ---------------------------------------------------------------------------------------------------------------- nulls


@pytest.mark.parametrize("name", [one.name for one in STUDY.experiments if one.measure_nulls is not None])
def test_nulls_have_been_trained_on_nothing(name, monkeypatch):
    def refuse(*_, **__):
        pytest.fail("a null was trained")

    for module in (symbolic, depth, mitigation, optimiser):
        for function in ("train_arm", "descend_arm"):
            if hasattr(module, function):
                monkeypatch.setattr(module, function, refuse)
    experiment = STUDY.experiment(name)
    found = experiment.measure_null_run(experiment.preset("quick").settings, Seeds(901)).estimands
    assert found
    assert all(arm.partition("/")[0].startswith("untrained") for arm in found)
