"""Sampling: greedy is the library's generate, draws follow the law, and no row depends on the others."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.sampling import NOTHING, sample

CONFIG = DecoderConfig(n_outputs=12, vocab_size=12, d_model=16, n_heads=2, d_mlp=32, n_positions=24, embed_std=1.0)
PROMPTS = [(1, 2, 3), (4, 5)]


def decoder(seed: int = 0) -> Decoder:
    return Decoder.init(CONFIG, np.random.default_rng(seed)).double()


def law_of(model: Decoder, tokens: list[int]) -> np.ndarray:
    """The model's log-probabilities behind these tokens, by a plain pass."""
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0, -1].log_softmax(-1).numpy()


FAMILIES = ("llama", "qwen3", "olmo2", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "opt", "bloom", "mamba")


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_what_the_library_generates_and_prompts_share_a_batch(family: str) -> None:
    """Prompts of three lengths in one call: padded together, or by length where the model takes no mask and positions."""
    pytest.importorskip("transformers")
    from assay.models.pretrained.tiny import tiny_language_model

    model, prompts = tiny_language_model(family), [(5, 6, 7, 8), (9,), (1, 2, 3, 4)]
    ours = sample(model, prompts, n=2, n_new=12, rng=np.random.default_rng(0), temperature=0)
    for place, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        theirs = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12, eos_token_id=None, pad_token_id=0
        )
        assert ours.tokens[place].tolist() == [theirs[0, len(prompt) :].tolist()] * 2
    assert (ours.log_prob_drawn == 0).all()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_of_a_pretrained_model_log_probabilities_are_those_of_scoring(attention: str) -> None:
    pytest.importorskip("transformers")
    from assay.instruments.scoring import score_tokens
    from assay.models.pretrained.text import TokenPair
    from assay.models.pretrained.tiny import tiny_language_model

    model, prompts = tiny_language_model(), [(5, 6, 7, 8), (9,)]
    model.model.set_attn_implementation(attention)
    drawn = sample(model, prompts, n=3, n_new=6, rng=np.random.default_rng(1), stop=range(100))
    greedy = sample(model, prompts, n_new=6, rng=np.random.default_rng(1), temperature=0)
    pairs = [
        TokenPair(prompt, tuple(row[row != NOTHING].tolist()))
        for prompt, rows in zip(prompts * 2, [*drawn.tokens, *greedy.tokens], strict=True)
        for row in rows
    ]
    scored = score_tokens(model.model, pairs)
    ours = np.concatenate([drawn.log_prob.sum(-1).ravel(), greedy.log_prob.sum(-1).ravel()])
    np.testing.assert_allclose(ours, scored.log_prob, atol=1e-5)
    assert scored.is_greedy.tolist() == [False] * 6 + [True] * 2
    assert len(set(drawn.n_tokens.ravel().tolist())) > 1


def test_log_probabilities_are_those_of_a_plain_pass_and_of_the_narrowed_law() -> None:
    model = decoder()
    drawn = sample(model, PROMPTS, n=3, n_new=5, rng=np.random.default_rng(1), temperature=0.5, top_k=4)
    for place, prompt in enumerate(PROMPTS):
        for tokens, own, narrowed in zip(drawn.tokens[place], drawn.log_prob[place], drawn.log_prob_drawn[place], strict=True):
            for step, token in enumerate(tokens):
                law = law_of(model, [*prompt, *tokens[:step].tolist()])
                assert own[step] == pytest.approx(law[token], abs=1e-9)
                best = np.sort(law)[-4:] / 0.5
                assert law[token] / 0.5 > best.min() - 1e-9
                assert narrowed[step] == pytest.approx(law[token] / 0.5 - np.logaddexp.reduce(best), abs=1e-9)


@pytest.mark.parametrize("narrowing", [{}, {"temperature": 2.0}, {"top_k": 3}, {"top_p": 0.6}])
def test_draws_follow_the_law(narrowing: dict[str, float]) -> None:
    """Chi-square over 12 tokens: 4,000 draws of one place; the 0.9999 quantile with 11 degrees of freedom is 37.4."""
    model = decoder()
    drawn = sample(model, [PROMPTS[0]], n=4_000, n_new=1, rng=np.random.default_rng(2), **narrowing)  # type: ignore[arg-type]
    counts = np.bincount(drawn.tokens[0, :, 0], minlength=12)
    law = np.zeros(12)
    scaled = law_of(model, list(PROMPTS[0])) / narrowing.get("temperature", 1.0)
    probs = np.exp(scaled - np.logaddexp.reduce(scaled))
    order = np.argsort(-probs)
    n_kept = int(narrowing.get("top_k", 12))
    if "top_p" in narrowing:
        n_kept = int((probs[order].cumsum() < narrowing["top_p"]).sum()) + 1
    law[order[:n_kept]] = probs[order[:n_kept]] / probs[order[:n_kept]].sum()
    assert set(np.flatnonzero(counts)) <= set(order[:n_kept].tolist())
    expected = 4_000 * law[law > 0]
    assert ((counts[law > 0] - expected) ** 2 / expected).sum() < 37.4


def test_many_draws_fit_the_law_and_do_not_fit_one_with_a_logit_moved() -> None:
    """200,000 draws over 12 tokens: the 0.9999 quantile of chi-square is 37.4; a logit moved by 0.1 adds more than 100."""
    model = decoder()
    drawn = sample(model, [PROMPTS[0]], n=200_000, n_new=1, rng=np.random.default_rng(8))
    counts = np.bincount(drawn.tokens[0, :, 0], minlength=12)
    own = law_of(model, list(PROMPTS[0]))

    def misfit(moved: float) -> float:
        logits = own.copy()
        logits[np.argmin(np.abs(np.exp(own) - 0.2))] += moved
        expected = 200_000 * np.exp(logits - np.logaddexp.reduce(logits))
        return float(((counts - expected) ** 2 / expected).sum())

    assert misfit(0.0) < 37.4
    assert misfit(0.1) > 100
    assert misfit(-0.1) > 100


def test_a_row_does_not_depend_on_its_batch_mates() -> None:
    model = decoder()
    whole = sample(model, PROMPTS, n=5, n_new=8, rng=np.random.default_rng(3), stop=(7,))
    fewer = sample(model, PROMPTS[:1], n=2, n_new=8, rng=np.random.default_rng(3), stop=(7,))
    np.testing.assert_array_equal(fewer.tokens[0], whole.tokens[0, :2])
    np.testing.assert_allclose(fewer.log_prob[0], whole.log_prob[0, :2], atol=1e-12)
    assert len({tuple(row) for row in whole.tokens[0]}) > 1


def test_runs_side_by_side_say_what_each_says_alone() -> None:
    models = [decoder(seed) for seed in (0, 1)]
    rngs = [np.random.default_rng(seed) for seed in (5, 6)]
    together = sample(Decoder.stack(models).double(), PROMPTS, n=9, n_new=6, rng=rngs, stop=(3, 7))
    assert together.tokens.shape == (2, 2, 9, 6)
    assert not np.array_equal(together.n_tokens[0], together.n_tokens[1])  # runs end at different times
    for run, model in enumerate(models):
        alone = sample(model, PROMPTS, n=9, n_new=6, rng=np.random.default_rng(5 + run), stop=(3, 7))
        np.testing.assert_array_equal(together.tokens[run], alone.tokens)
        np.testing.assert_allclose(together.log_prob[run], alone.log_prob, atol=1e-12)
    with pytest.raises(SettingsError, match="one generator for each of 2 runs; got 1"):
        sample(Decoder.stack(models), PROMPTS, n_new=1, rng=np.random.default_rng(0))


def test_a_stop_token_ends_its_row_and_only_that() -> None:
    drawn = sample(decoder(), PROMPTS, n=20, n_new=6, rng=np.random.default_rng(4), stop=(3, 7))
    lengths = set()
    for tokens, n_tokens in zip(drawn.tokens.reshape(-1, 6), drawn.n_tokens.reshape(-1), strict=True):
        assert not set(tokens[: n_tokens - 1].tolist()) & {3, 7, NOTHING}
        assert n_tokens == 6 or tokens[n_tokens - 1] in (3, 7)
        assert (tokens[n_tokens:] == NOTHING).all()
        lengths.add(int(n_tokens))
    assert len(lengths) > 2
    assert (drawn.log_prob[drawn.tokens == NOTHING] == 0).all()


def test_only_allowed_tokens_are_drawn() -> None:
    def alternating(drawn: tuple[int, ...]) -> np.ndarray:
        return np.arange(12) % 2 == len(drawn) % 2

    drawn = sample(decoder(), PROMPTS, n=4, n_new=6, rng=np.random.default_rng(5), allowed=alternating)
    assert (drawn.tokens % 2 == np.arange(6) % 2).all()
    with pytest.raises(SettingsError, match="leaves none"):
        sample(decoder(), PROMPTS, n_new=1, rng=np.random.default_rng(0), allowed=lambda _: np.zeros(12, dtype=bool))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n_new": 0}, "n_new must be"),
        ({"temperature": -1.0}, "temperature must be"),
        ({"top_k": 0}, "top_k must be"),
        ({"top_p": 0.0}, "top_p must lie"),
        ({"prompts": [()]}, "at least one token"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, object], says: str) -> None:
    whole = {"prompts": PROMPTS, "n_new": 2, "rng": np.random.default_rng(0)} | given
    with pytest.raises(SettingsError, match=says):
        sample(decoder(), **whole)  # type: ignore[arg-type]
