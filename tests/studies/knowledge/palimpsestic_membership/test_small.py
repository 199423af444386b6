"""The numbers of a run from given losses: what is planted comes out, what knows nothing does not."""

import math

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.stats.order_tests import order_correlation, order_test
from assay.studies.knowledge.palimpsestic_membership import STUDY, small
from assay.studies.knowledge.palimpsestic_membership.claims import SMALL
from assay.studies.knowledge.palimpsestic_membership.exact import BATCH, Bigram, check, two_domains
from assay.studies.knowledge.palimpsestic_membership.settings import SmallSettings, TextSettings
from assay.training.order import Order

N = 4000
RNG = np.random.default_rng(5)
SETTINGS = SmallSettings(n_texts=N)
STEPS = {name: Order.shuffled(N, 8, 1, RNG).step_of(range(N)) for name in ("alice", "reference", "other")}
DIFFICULTY = RNG.normal(size=N)
MODELS = (
    "alice", "reference", "independent", "another-start", "small-batch-slow", "small-batch-fast", "large-batch-slow",
    "large-batch-fast", "decayed", "fine-tuned", "independent-fine-tuned", "distilled", "independent-distilled",
)  # fmt: skip


def losses(**size: float) -> dict[str, np.ndarray]:
    """Difficulty, noise of each model, and an imprint of its own order where one is given.

    The independent model is given as much of its order as Alice's of hers, and so is what became of it.
    """
    found = {name: DIFFICULTY + 0.3 * RNG.normal(size=N) for name in MODELS}
    given = {name.replace("_", "-"): amount for name, amount in size.items()}
    given |= {f"{name}-{end}": given[name] for name in given if name.endswith("batch") for end in small.ENDS}
    given |= {theirs: given[hers] for hers, theirs in small.PARTS if hers in given}
    for name, amount in given.items():
        if name.endswith("batch"):
            continue
        steps = STEPS["reference" if name == "reference" else "other" if name.startswith("independent") else "alice"]
        found[name] -= amount * np.exp(8 * (steps / steps.max() - 1))
    return found


def numbers(found: dict[str, np.ndarray], **final: float) -> dict[str, float]:
    ends = dict.fromkeys(MODELS, 2.5) | {name.replace("_", "-"): loss for name, loss in final.items()}
    first, second = (small.Alice(STEPS[order], found["reference"]) for order in ("alice", "other"))
    return small.numbers(SETTINGS, Seeds(0), (first, second), found, STEPS["reference"], ends)


def test_an_imprint_is_seen_where_it_is_and_nowhere_else() -> None:
    found = numbers(
        losses(alice=0.5, reference=0.5, another_start=0.5, small_batch=0.5, large_batch=0.5, fine_tuned=0.3, distilled=0.2)
    )
    assert found["alice/rho"] < found["fine-tuned/rho"] < found["distilled/rho"] < -0.01
    for name in ("independent", "independent-fine-tuned", "independent-distilled"):
        assert abs(found[f"{name}/rho"]) < 0.06
    assert found["alice/reference_gain"] > 0.05 > abs(found["independent/reference_gain"])
    assert found["permuted/reference_gain"] < 0.02
    assert found["distilled/weaker"] > 0.02
    assert abs(found["another-start/weaker"]) < 0.05
    assert found["decayed/batch_gap"] < -0.03
    assert abs(found["small-batch/batch_gap"]) < 0.05
    assert found["alice/scores_gain"] > max(0.5, found["another-shuffle/scores_gain"])


def test_each_of_two_models_plays_alice_in_turn() -> None:
    found = losses(alice=0.5, reference=0.5, fine_tuned=0.3, distilled=0.2)
    alices = tuple(small.Alice(STEPS[order], found["reference"]) for order in ("alice", "other"))
    asked = numbers(found)
    for hers, theirs in small.PARTS:
        own, other = alices[0].rho(found[hers]), alices[1].rho(found[theirs])
        assert asked[f"{hers}/rho"] == pytest.approx((own + other) / 2)
        crossed = (alices[0].rho(found[theirs]) + alices[1].rho(found[hers])) / 2
        assert asked[f"{theirs}/rho"] == pytest.approx(crossed)
    swapped = {**found, **{a: found[b] for pair in small.PARTS for a, b in (pair, pair[::-1])}}
    again = small.numbers(SETTINGS, Seeds(0), alices[::-1], swapped, STEPS["reference"], dict.fromkeys(MODELS, 2.5))
    for name, value in asked.items():
        if not name.endswith("batch_gap") and not name.startswith("another-start"):
            assert again[name] == pytest.approx(value)


def test_two_turns_halve_the_variance_of_chance() -> None:
    """The standard deviation of a model that knows nothing is 1 / sqrt(2 (n - 1)), and not that of one turn."""
    drawn = np.array([in_two_turns(400) for _ in range(400)])
    assert drawn.mean() == pytest.approx(0, abs=0.006)
    assert drawn.std() == pytest.approx((2 * 399) ** -0.5, rel=0.12)


def in_two_turns(n: int) -> float:
    found = {name: RNG.normal(size=n) for pair in small.PARTS for name in pair}
    reference = RNG.normal(size=n)
    alices = (small.Alice(RNG.permutation(n), reference), small.Alice(RNG.permutation(n), reference))
    return small.in_turn(alices, found, lambda alice, some: {"rho": alice.rho(some["independent"])})["rho"]


def test_planted_correlations_have_their_size() -> None:
    found = [numbers(losses()) for _ in range(12)]
    assert np.mean([one["planted/rho"] for one in found]) == pytest.approx(-0.04, abs=0.015)
    assert np.mean([one["planted/reference_gain"] for one in found]) > 0.02


def test_the_imprint_is_planted_for_the_reference_and_the_correlation_for_the_order() -> None:
    found = losses()
    alice = small.Alice(STEPS["alice"], found["reference"])
    sizes = ((0.04, 0.1), (0.04, 0.4), (0.2, 0.1))
    weak, deep, strong = (small.asked(alice, found, Seeds(0), correlation, imprint) for correlation, imprint in sizes)
    assert deep["planted/reference_gain"] > weak["planted/reference_gain"] + 0.02
    assert strong["planted/reference_gain"] == weak["planted/reference_gain"]
    assert strong["planted/rho"] < weak["planted/rho"] - 0.1
    assert deep["planted/rho"] == weak["planted/rho"]


def test_what_is_planted_into_a_distilled_model_is_twice_the_bound_and_has_that_model_s_noise() -> None:
    bounds = {claim.name: claim.rule.numbers["bound"] for claim in SMALL.claims if claim.name.startswith("C6")}
    assert pytest.approx((-2 * bounds["C6.there"], 2 * bounds["C6.weaker"])) == (small.LEFT, small.LOST)
    found = [numbers(losses(alice=0.5, another_start=0.5)) for _ in range(12)]
    known = np.array([(one["planted-distilled/rho"], one["independent-distilled/rho"]) for one in found])
    assert known[:, 0].mean() == pytest.approx(-small.LEFT, abs=0.015)
    assert (known[:, 0] - known[:, 1]).std() < 0.2 * known[:, 0].std()  # the noise is the distilled model's
    assert np.mean([one["planted-distilled/weaker"] for one in found]) == pytest.approx(small.LOST, abs=0.015)
    assert np.mean([one["alice/rho"] for one in found]) < -0.1  # so that there is something to lose
    heavy = RNG.standard_t(2, size=N)
    for size in (0.04, 0.3):
        drawn = [small.planted(RNG.permutation(STEPS["alice"]), heavy, size) for _ in range(12)]
        assert np.mean(drawn) == pytest.approx(-size, abs=0.015)


def test_batches_are_compared_at_equal_final_losses_and_a_model_without_memory_fails() -> None:
    remembered = losses(alice=0.5, small_batch=0.5, large_batch=0.5, another_start=0.5)
    found = numbers(remembered, small_batch_slow=2.66, small_batch_fast=2.54, large_batch_slow=2.66, large_batch_fast=2.56)
    assert abs(found["small-batch/batch_gap"]) < 0.05
    assert math.isnan(found["large-batch/batch_gap"])
    assert math.isnan(small.gap(-0.3, -0.3, -0.06))
    assert found["decayed/batch_gap"] < -0.03  # whose final loss is no condition
    for claim in SMALL.claims:
        if claim.name.startswith("C8"):
            assert f"within {small.ALIKE} nats" in claim.given
            assert f"above {small.REMEMBERED} in size" in claim.given
            assert claim.rule.distance(found["independent/batch_gap"]) < 0
            assert not claim.null_passes


def test_a_batch_is_asked_at_alice_s_final_loss() -> None:
    assert small.between((2.7, -0.3), (2.5, -0.2), 2.55) == pytest.approx((2.55, -0.225))
    assert small.between((2.7, -0.3), (2.5, -0.2), 2.45) == pytest.approx((2.5, -0.2))
    assert small.between((2.7, -0.3), (2.5, -0.2), 2.8) == pytest.approx((2.7, -0.3))
    assert small.between((2.5, -0.3), (2.5, -0.2), 2.8) == (2.5, -0.3)
    found = losses(alice=0.5)
    for name, amount in (("slow", 0.1), ("fast", 0.7)):
        found[f"small-batch-{name}"] -= amount * np.exp(8 * (STEPS["alice"] / STEPS["alice"].max() - 1))
    alice = small.Alice(STEPS["alice"], found["reference"])
    slow, fast = (alice.rho(found[f"small-batch-{end}"]) for end in small.ENDS)
    asked = numbers(found, small_batch_slow=2.7, small_batch_fast=2.4)["small-batch/batch_gap"]
    assert asked == pytest.approx(abs(slow + 2 * (fast - slow) / 3) - abs(alice.rho(found["alice"])))


def test_headlines_about_memory_ask_for_memory() -> None:
    (memory,) = (headline for headline in STUDY.paper.headlines if "C1" in headline.claims)
    assert not any(name.startswith("C8") for name in memory.claims)


def test_where_nothing_is_remembered_the_batch_is_not_asked() -> None:
    found = numbers(losses())
    for name in ("small-batch", "large-batch", "decayed", "another-start", "independent"):
        assert math.isnan(found[f"{name}/batch_gap"])
    assert small.gap(-0.12, -0.1) == pytest.approx(0.02)


def test_gain_and_planting_by_hand() -> None:
    steps = np.arange(10)
    alice = small.Alice(steps, np.zeros(10))
    assert alice.rho(-steps.astype(float)) == pytest.approx(-1)
    assert alice.z(-steps.astype(float)) == pytest.approx(3)
    hard = small.Alice(steps, np.array([5.0, 0, 9, 3, 1, 8, 2, 7, 4, 6]))
    assert small.gain(hard, hard.reference - 0.01 * steps) == pytest.approx(
        1 - abs(order_correlation(steps, hard.reference - 0.01 * steps))
    )
    assert small.planted(steps, RNG.normal(size=10), 1.0) == pytest.approx(-1)


def test_the_same_examples_in_other_batches() -> None:
    order = Order.shuffled(21, 8, 1, RNG)
    other = small.rebatched(order, 4)
    assert np.array_equal(order.examples, other.examples)
    assert (order.n_steps, other.n_steps) == (3, 6)


def test_the_test_is_exact_whatever_is_tested() -> None:
    found = check(SETTINGS)
    assert set(found) == {one.name for one in SMALL.exact}
    assert all(0.03 <= share <= 0.07 for share in found.values()), found
    texts = two_domains(np.random.default_rng(0))
    assert len(texts) == 240
    assert len({tuple(text) for text in texts}) <= 240 - 36


def test_an_order_by_length_is_no_shuffle() -> None:
    texts = two_domains(np.random.default_rng(0))
    lengths = np.array([len(text) for text in texts])
    by_length = np.argsort(np.argsort(lengths, kind="stable"), kind="stable") // BATCH
    nats = Bigram().losses(texts) * (lengths - 1)  # of whole texts: the longer, the more
    assert order_test(by_length, -nats, rng=np.random.default_rng(1)).p_value < 0.001


def test_settings_that_make_no_experiment_are_refused() -> None:
    for wrong in ({"small_batch": 8}, {"large_batch": 8}):
        with pytest.raises(SettingsError, match="batches must rise"):
            SmallSettings(**wrong)
    for rates in ((1e-3, 1e-3), (0.0, 1e-3)):
        with pytest.raises(SettingsError, match="the lower one first"):
            SmallSettings(small_rates=rates)
    for phases in ((0.1,), (0.1, 0.05), (0.1, 1.0)):
        with pytest.raises(SettingsError, match="rising shares"):
            TextSettings(phases=phases)
    with pytest.raises(SettingsError, match="shortest phase"):
        TextSettings(n_texts=160, phases=(0.01, 0.1))
