import math

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.instruments import (
    RecallProbe,
    block_completion,
    key_query_profile,
    shape_distance,
    value_output,
)
from assay.studies.knowledge.out_of_context_reasoning.max_margin import symmetric
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

WORLD = RecallWorld.intact(n=4, m_train=1, m_test=2, n_noise=2, length=6)


def planted(W, world=WORLD, scale=1.0):
    """A combined model with fixed attention whose answers' rows are `scale` times W."""
    stack = RecallStack.constant(world, Architecture(1, key_query="fixed"), n_runs=1, scale=0.0, dtype=torch.float64)
    stack.factors[0][0, stack.answer_rows, : W.shape[1]] = scale * torch.from_numpy(W)
    return stack


def test_a_model_that_knows_nothing_reads_at_chance():
    scores = RecallProbe.sampled([WORLD], [Seeds(0)]).read(planted(np.zeros((8, 14))))
    assert set(scores) == {"train_fact", "train_implication", "test_fact", "test_implication"}
    n, vocab = WORLD.n, WORLD.vocab_size
    for score in scores.values():
        assert score.loss_nats[0] == pytest.approx(math.log(vocab))
        assert score.accuracy[0] == pytest.approx(1 / vocab)
        assert score.family_accuracy[0] == pytest.approx(1 / n)
        assert score.rank[0] == pytest.approx((n - 1) / 2)
        assert score.family_loss_nats[0] == pytest.approx(math.log(vocab / n))
        assert score.pair_loss_nats[0] == pytest.approx(math.log(vocab / 2))


def test_max_margin_solutions_are_told_apart_by_the_held_out_questions_alone():
    for norm, rank in (("nuclear", 0.0), ("frobenius", (WORLD.n - 1) / 2)):
        best = symmetric(4, 1, 2, norm)
        stack = planted(best.matrix(), scale=30.0)
        scores = RecallProbe.sampled([WORLD], [Seeds(0)]).read(stack)
        for kind in WORLD.taught:
            assert scores[kind].loss_nats[0] < 1e-9
            assert scores[kind].accuracy[0] == 1
        assert scores["test_implication"].rank[0] == pytest.approx(rank)
        W = value_output(stack)[0]
        assert block_completion(W, WORLD) == pytest.approx(best.completion, abs=1e-12)
        assert shape_distance(W[:, :14], best.matrix()) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_a_weighted_matrix_is_what_each_token_adds(attention):
    stack = RecallStack.gaussian(
        WORLD, Architecture(attention=attention), rngs=[Seeds(0)("init")], std=0.5, dtype=torch.float64
    )
    plain, weighted = (value_output(stack, weighted=weighted)[0] for weighted in (False, True))
    assert np.abs(weighted / plain - 1).max() > 0.1
    one_token = torch.eye(WORLD.n_inputs, dtype=torch.float64)[None]  # sequences of a single token each
    if attention == "linear":
        np.testing.assert_allclose(weighted, stack.logits(one_token)[0, :, stack.answer_rows].T, rtol=1e-12)
    else:
        np.testing.assert_allclose(weighted, plain * np.exp(stack.scores[0].numpy() / math.sqrt(WORLD.vocab_size)), rtol=1e-12)


def test_scores_agree_with_probabilities_worked_out_one_by_one():
    stack = RecallStack.gaussian(WORLD, Architecture(), rngs=[Seeds(i)("init") for i in range(2)], std=0.5, dtype=torch.float64)
    worlds = [WORLD, WORLD.with_rule([1, 2, 3, 0])]
    scores = RecallProbe.sampled(worlds, [Seeds(5), Seeds(6)], n_noise_draws=1).read(stack)
    for run, world in enumerate(worlds):
        draws = world.every_pair(world.kinds, 1, Seeds(5 + run)("probe"))
        logits = stack.logits(torch.from_numpy(world.counts(draws)).expand(2, -1, -1))[run].numpy()
        probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        rows = []
        for subject, relation, p in zip(draws.subject, draws.relation, probability, strict=True):
            if relation == 1 and subject in world.subjects("test_implication"):
                facts, implications = p[2:6], p[6:10]
                right = world.rule[subject % 4]
                rows.append(
                    [
                        -np.log(implications[right]),
                        float(p.argmax() == 6 + right),
                        float(implications.argmax() == right),
                        float((implications > implications[right]).sum()),
                        -np.log(implications.sum()),
                        -np.log(implications[right] + facts[subject % 4]),
                        float(implications[right] > 0.5),
                        float((implications > 0.5).any()),
                    ]
                )
        got = scores["test_implication"]
        expected = np.mean(rows, axis=0)
        values = [
            got.loss_nats,
            got.accuracy,
            got.family_accuracy,
            got.rank,
            got.family_loss_nats,
            got.pair_loss_nats,
            got.asserted,
            got.any_asserted,
        ]
        np.testing.assert_allclose([value[run] for value in values], expected, rtol=1e-6)


def test_the_exact_probe_is_the_mean_of_all_sequences_by_their_probability():
    stack = RecallStack.gaussian(WORLD, Architecture(), rngs=[Seeds(1)("init")], std=0.5, dtype=torch.float64)
    exact = RecallProbe.exact([WORLD]).read(stack)["test_implication"].loss_nats[0]
    sampled = RecallProbe.sampled([WORLD], [Seeds(2)], n_noise_draws=4000).read(stack)["test_implication"].loss_nats[0]
    assert sampled == pytest.approx(exact, rel=0.02)
    assert exact == RecallProbe.exact([WORLD]).read(stack)["test_implication"].loss_nats[0]


def test_score_leaves_the_model_alone():
    stack = RecallStack.gaussian(WORLD, Architecture(), rngs=[Seeds(1)("init")])
    before = stack.weights.detach().clone()
    RecallProbe.sampled([WORLD], [Seeds(0)]).read(stack)
    assert torch.equal(before, stack.weights)


def test_abstaining_subjects_are_asked_for_the_answer_unknown():
    world = RecallWorld.intact(n=3, m_train=1, m_test=1, m_abstain=2, n_noise=2, length=6)
    W = np.zeros((7, world.n_inputs))
    W[6, 1] = 50.0  # r2 -> "unknown"
    scores = RecallProbe.sampled([world], [Seeds(0)]).read(planted(W, world))
    assert scores["abstain_implication"].accuracy[0] == 1
    assert scores["test_implication"].abstained[0] == 1
    assert scores["test_implication"].any_asserted[0] == 0  # "unknown" asserts nothing
    assert scores["test_implication"].accuracy[0] == 0
    assert scores["test_implication"].loss_nats[0] == pytest.approx(50, abs=0.1)


def test_attention_is_read_where_it_was_planted():
    W = np.zeros((8, 14))
    profile = key_query_profile(planted(W), WORLD)
    assert {name: float(value[0]) for name, value in profile.items()} == {
        "relation": 1.0,
        "bridge": 1.0,
        "held_out": 1.0,
        "noise": 0.0,
        "eos": 0.0,
    }


def test_the_distance_of_shapes_ignores_scale_and_column_shifts_only():
    W = symmetric(4, 1, 2, "nuclear").matrix()
    assert shape_distance(5 * W + np.arange(14), W) == pytest.approx(0, abs=1e-7)
    assert shape_distance(-W, W) == pytest.approx(2)
    assert shape_distance(symmetric(4, 1, 2, "frobenius").matrix(), W) > 0.3
