"""Scoring against one forward pass a sequence in float64, ranks against counting, and the refusals."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError, WorkError
from assay.instruments.scoring import mid_rank, score_choices, score_completions, score_tokens
from assay.models.pretrained import packing
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import pack, packs_exactly, shared_prefix
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.models.pretrained.tiny import MAPPED, UNMAPPED, tiny_language_model, tiny_model, tiny_tokenizer
from assay.worlds.facts.questions import Question

PROMPTS = ("Ana lives in", "Ana lives near", "Boris Łuk", "", "محمد", "Ana lives in Paris. She speaks")
ENDINGS = (" Paris", " Parma", " Paderborn", " lima", "!", " li is")
PAIRS = [pair for pair in product(PROMPTS, ENDINGS) if pair != ("", "!")]  # without a prompt the first token is given


def plainly(model: torch.nn.Module, pair: TokenPair) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and ranks by one call of the model and by counting."""
    ids = [*pair.context, *pair.completion]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    log_probs, ranks = [], []
    for place in range(len(pair.context), len(ids)):
        row = logits[place - 1]
        log_probs.append(float(row.log_softmax(-1)[ids[place]]))
        greater, equal = int((row > row[ids[place]]).sum()), int((row == row[ids[place]]).sum())
        ranks.append(greater + (equal - 1) / 2)
    return np.array(log_probs), np.array(ranks)


@pytest.mark.parametrize("family", sorted(MAPPED | UNMAPPED))
def test_scores_are_those_of_one_forward_pass_a_sequence(family: str) -> None:
    """In float64, so that nothing but a wrong mask, position or place could make a difference."""
    made = tiny_language_model(family)
    model = LanguageModel(made.name, made.model.double(), made.tokenizer)
    scores = score_completions(model, PAIRS, budget=40)
    for index, pair in enumerate(token_pairs(model.tokenizer, PAIRS)):
        log_probs, ranks = plainly(model.model, pair)
        np.testing.assert_allclose(scores.token_log_probs[index], log_probs, atol=1e-5)  # logits are read out in float32
        np.testing.assert_array_equal(scores.token_ranks[index], ranks)
        assert scores.log_prob[index] == pytest.approx(log_probs.sum(), abs=1e-5)
        assert scores.n_tokens[index] == len(pair.completion)
        assert scores.vocabulary_rank[index] == ranks[0]
        assert scores.is_greedy[index] == bool((ranks == 0).all())


def test_coarse_passes_are_packed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding to bfloat16 is coarser than the trial allows, so the trial is made in the weights' own precision."""
    coarse: list[bool] = []

    def trial(*_: object) -> bool:
        coarse.append(torch.is_autocast_enabled("cpu"))
        return True

    monkeypatch.setattr(packing, "_exact", {})
    monkeypatch.setattr(packing, "_try_packing", trial)
    with torch.autocast("cpu", torch.bfloat16):
        assert packs_exactly(tiny_model("llama"))
        assert torch.is_autocast_enabled("cpu")
    assert coarse == [False]


def test_which_architectures_can_be_packed_is_found_by_trying() -> None:
    assert all(packs_exactly(tiny_model(family)) for family in MAPPED)
    assert packs_exactly(tiny_model("opt"))
    assert not packs_exactly(tiny_model("bloom"))  # biases on distances ignore positions
    assert not packs_exactly(tiny_model("mamba"))  # states have no mask


def test_a_common_beginning_is_computed_once() -> None:
    beginning = tuple(range(10, 30))
    pairs = [TokenPair((*beginning, 40 + index), (50, 60 + index)) for index in range(5)]
    (row,) = pack(pairs)
    # 20 shared, then for each pair its own last context token and the first of two completion tokens.
    assert len(row.tokens) == 20 + 5 * 2
    assert row.positions.max() == 21
    assert len(row.read) == 10
    apart = pack(pairs, share=False, budget=1000)
    assert [len(row.tokens) for row in apart] == [5 * 22]
    assert not bool(apart[0].mask[22:, :22].any())


def test_a_prompt_that_all_share_is_cached_and_changes_nothing() -> None:
    model = tiny_model("gemma3_text").double()
    beginning = tuple(range(10, 34))
    pairs = [TokenPair((*beginning, 40 + index), (50, 60 + index)) for index in range(8)]
    with torch.no_grad():
        prefix = shared_prefix(model, pairs)
    assert prefix is not None
    assert prefix.tokens == beginning
    scores = score_tokens(model, pairs, budget=8)
    for index, pair in enumerate(pairs):
        log_probs, ranks = plainly(model, pair)
        np.testing.assert_allclose(scores.token_log_probs[index], log_probs, atol=1e-5)
        np.testing.assert_array_equal(scores.token_ranks[index], ranks)


def test_beyond_a_sliding_window_sequences_are_run_apart() -> None:
    model = tiny_model("mistral").double()
    model.config.sliding_window = 6
    rng = np.random.default_rng(0)
    pairs = [TokenPair(tuple(map(int, rng.integers(1, 300, n))), (int(n), 9)) for n in (3, 4, 5, 9, 12)]
    assert packing.longest_packed(model) == 6
    scores = score_tokens(model, pairs)
    for index, pair in enumerate(pairs):
        np.testing.assert_allclose(scores.token_log_probs[index], plainly(model, pair)[0], atol=1e-5)


tokens = st.lists(st.integers(1, 4), min_size=1, max_size=6).map(tuple)


@settings(max_examples=60)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12), st.integers(1, 30), st.booleans())
def test_every_completion_token_is_scored_once_and_sees_its_own_past(
    drawn: list[tuple[tuple[int, ...], tuple[int, ...]]], budget: int, share: bool
) -> None:
    """Read off the mask and positions alone: the tokens a scored place attends to are exactly its sequence so far."""
    pairs = [TokenPair(context, completion) for context, completion in drawn]
    seen: dict[int, list[tuple[tuple[int, ...], int]]] = {index: [] for index in range(len(pairs))}
    for row in pack(pairs, budget=budget, share=share):
        for place, target, owner in zip(row.row.tolist(), row.target.tolist(), row.owner.tolist(), strict=True):
            node = int(row.read[place])
            visible = row.mask[node].nonzero().flatten()
            assert row.positions[visible].tolist() == list(range(len(visible)))
            seen[owner].append((tuple(row.tokens[visible].tolist()), target))
    for index, pair in enumerate(pairs):
        whole = (*pair.context, *pair.completion)
        expected = [(whole[:place], whole[place]) for place in range(len(pair.context), len(whole))]
        assert seen[index] == expected


def test_choices_are_ranked_as_whole_answers_and_by_first_tokens() -> None:
    """A uniform model: every token has log-probability -log V, so shorter answers win and equal lengths tie."""
    model = tiny_language_model("llama")
    torch.nn.init.zeros_(model.model.lm_head.weight)
    choices = [Question("Ana lives in", (" Paris", " Parma", " lima", "!"), 1), Question("Ana", ("!", "?"), 0)]
    scores = score_choices(model, choices)
    asked = [("Ana lives in", text) for text in choices[0].candidates]
    lengths = [len(pair.completion) for pair in token_pairs(model.tokenizer, asked)]
    assert lengths == [2, 3, 4, 1]  # " Par"+"is", " Par"+"m"+"a", " l"+"i"+"m"+"a", "!"
    np.testing.assert_allclose(scores.log_probs[0], [-length * math.log(300) for length in lengths], rtol=1e-5)
    assert scores.rank.tolist() == [2.0, 0.5]
    assert np.isnan(scores.first_token_rank[0])  # " Par" begins two candidates
    assert scores.first_token_rank[1] == 0.5
    assert scores.vocabulary_rank.tolist() == [149.5, 149.5]
    assert scores.share[1] == pytest.approx(0.5)


def test_choices_agree_with_scoring_each_answer_alone() -> None:
    model = tiny_language_model("qwen2", seed=3)
    choices = [Question(prompt, ENDINGS[:4], index % 4) for index, prompt in enumerate(PROMPTS) if prompt]
    scores = score_choices(model, choices, budget=30)
    for index, choice in enumerate(choices):
        pairs = token_pairs(model.tokenizer, [(choice.prompt, text) for text in choice.candidates])
        whole = np.array([plainly(model.model, pair)[0].sum() for pair in pairs])
        np.testing.assert_allclose(scores.log_probs[index], whole, atol=1e-4)
        assert scores.rank[index] == (whole > whole[choice.answer]).sum()
        assert scores.log_prob[index] == pytest.approx(whole[choice.answer], abs=1e-4)
        assert scores.share[index] == pytest.approx(np.exp(whole[choice.answer]) / np.exp(whole).sum(), rel=1e-3)
        assert scores.vocabulary_rank[index] == plainly(model.model, pairs[choice.answer])[1][0]


def test_a_planted_answer_is_found() -> None:
    """The read-out is turned towards one token: its answer has rank 0 everywhere, the others not."""
    model = tiny_language_model("llama")
    favoured = token_pairs(model.tokenizer, [("a", "!")])[0].completion[0]
    with torch.no_grad():
        model.model.lm_head.weight.zero_()
    model.model.lm_head.register_parameter("bias", torch.nn.Parameter(torch.zeros(300)))
    with torch.no_grad():
        model.model.lm_head.bias[favoured] = 5.0
    scores = score_choices(model, [Question(prompt, ("!", "?", "#"), 0) for prompt in PROMPTS if prompt])
    assert (scores.rank == 0).all()
    assert (scores.vocabulary_rank == 0).all()
    assert np.allclose(scores.share, math.exp(5) / (math.exp(5) + 2), rtol=1e-5)


def test_the_order_of_questions_and_the_budget_do_not_matter() -> None:
    model = tiny_language_model("gpt2")
    one = score_completions(model, PAIRS, budget=500)
    other = score_completions(model, PAIRS[::-1], budget=7)
    np.testing.assert_allclose(one.log_prob, other.log_prob[::-1], atol=1e-5)


def test_scoring_leaves_the_model_as_it_was() -> None:
    model = tiny_language_model("gpt2")
    model.model.train()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    one, other = score_completions(model, PAIRS), score_completions(model, PAIRS)
    np.testing.assert_array_equal(one.log_prob, other.log_prob)  # no dropout although the model is in training mode
    assert model.model.training
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())


def test_nothing_asked_nothing_answered() -> None:
    model = tiny_language_model()
    assert score_completions(model, []).log_prob.shape == (0,)
    assert score_choices(model, []).rank.shape == (0,)


def test_ranks_nobody_asked_for_are_absent_not_zero() -> None:
    scores = score_completions(tiny_language_model(), PAIRS[:3], ranks=False)
    assert all(np.isnan(ranks).all() for ranks in scores.token_ranks)
    assert np.isfinite(scores.log_prob).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_mid_rank_averages_over_ways_to_break_ties(values: list[int], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(values) - 1))
    array = np.array(values, dtype=float)
    best = sum(value > values[index] for value in values)
    worst = sum(value >= values[index] for value in values) - 1
    assert mid_rank(array, index) == (best + worst) / 2
    assert sum(mid_rank(array, place) for place in range(len(values))) == len(values) * (len(values) - 1) / 2


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (Question("Ana", ()), "different texts, at least one"),
        (Question("Ana", (" Paris", " Paris"), 0), "different texts"),
        (Question("Ana", (" Paris", " Rome"), 2), "must be one of 2 candidates"),
        (Question("Ana", (" New York", " New"), 0), "beginning of another"),
        (Question("Ana", (" Paris", ""), 0), "must not be empty"),
        (Question("Ana lives in ", ("Paris", "Rome"), 0), "must not span"),
    ],
)
def test_choices_that_cannot_be_ranked_are_refused(choice: Question, says: str) -> None:
    with pytest.raises(InputError, match=says):
        score_choices(tiny_language_model(), [choice])


def test_a_prompt_longer_than_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="at most 128 tokens"):
        score_completions(tiny_language_model(), [("x" * 200, " y")])


def test_logits_that_are_not_finite_are_an_error() -> None:
    model = tiny_language_model()
    with torch.no_grad():
        model.model.lm_head.weight[7] = float("nan")
    with pytest.raises(WorkError, match="must be finite"):
        score_completions(model, PAIRS[:2])


def test_running_out_of_memory_gives_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    model = tiny_language_model()
    packs_exactly(model.model)
    monkeypatch.setattr(packing, "read_logits", full)
    with pytest.raises(WorkError, match="Lower the budget"):
        score_completions(model, PAIRS[:2])


def test_a_tokenizer_of_single_bytes_scores_right_to_left_names() -> None:
    model = LanguageModel("bytes", tiny_model("llama"), tiny_tokenizer(merges=()))
    scores = score_completions(model, [("محمد يعيش في", " القاهرة"), ("שרה גרה ב", "ירושלים")])
    assert scores.n_tokens.tolist() == [len(" القاهرة".encode()), len("ירושלים".encode())]
    assert (scores.log_prob < 0).all()
