"""The language model's run on a tiny model: what it is told, that it stays as it is, what is asked, what is kept."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.instruments.scoring import score_tokens
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.named import folder_of
from assay.models.pretrained.text import token_pairs
from assay.models.pretrained.tiny import MAPPED, UNMAPPED, tiny_language_model
from assay.protocols.language_model import load_base
from assay.studies.knowledge.priming_outlandish import language_model as study
from assay.studies.knowledge.priming_outlandish import last_blocks
from assay.studies.knowledge.priming_outlandish.english import (
    BEGINNINGS,
    KEYWORDS,
    KINDS,
    OPEN,
    PREFIXES,
    english_texts,
    plain_sentences,
    prompt_of,
)
from assay.studies.knowledge.priming_outlandish.equal import Changed, at_equal_p
from assay.studies.knowledge.priming_outlandish.last_blocks import LastBlocks
from assay.studies.knowledge.priming_outlandish.settings import LanguageModelSettings
from assay.training.finetune import finetune_batches
from assay.training.optimiser import Optimiser
from assay.training.recipe import Recipe

SETTINGS = LanguageModelSettings(
    model="tiny", n_keywords=4, n_texts=2, n_stones=2, n_presentations=2, n_prefixes=2, rate=1e-2, n_blocks=2, n_cuts=3
)
TEXTS = english_texts(4, 2, rng=np.random.default_rng(0))
PLAIN = plain_sentences(6, rng=np.random.default_rng(1))


def test_texts_are_of_eleven_kinds_about_four_themes() -> None:
    assert len(KINDS) == 11
    assert KEYWORDS.keys() == BEGINNINGS.keys() == PREFIXES.keys()
    for theme, keywords in KEYWORDS.items():
        assert len(keywords) == len(PREFIXES[theme]) == 12
        for keyword in keywords:
            prompts = {prompt_of(theme, keyword, kind) for kind in KINDS}
            assert len(prompts) == 11
            # Only what is true of a keyword may name it; a text says it once, at its end.
            assert not any(keyword in prompt.split() for prompt in prompts), keyword
    drawn = english_texts(12, 3, rng=np.random.default_rng(2))
    assert len(drawn) == 36
    assert len({text.keyword for text in drawn}) == 12
    for text in drawn:
        assert text.plain[1] == f"{text.prompt} {text.keyword}."
        assert text.stepping[1].endswith(f"{text.description}, namely {text.keyword}.")
        assert text.stepping[1].startswith(text.prompt)
        assert text.elsewhere[1].endswith(text.plain[1])
        assert text.description in text.elsewhere[1]
        assert len({text.before("X", wording) for wording in ("one", "another")}) == 2


def test_keywords_are_one_token_in_the_real_model() -> None:
    from transformers import AutoTokenizer

    try:
        folder = folder_of("smollm2-135m")
    except InputError:
        pytest.skip("smollm2-135m is not in the cache")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for theme, keywords in KEYWORDS.items():
        pairs = token_pairs(tokenizer, [(PREFIXES[theme][0], f" {keyword}") for keyword in keywords])
        assert [len(pair.completion) for pair in pairs] == [1] * len(keywords), list(keywords)


def tiny_blocks(n_blocks: int = 2) -> LastBlocks:
    return LastBlocks(load_base("tiny").model, n_blocks)


def whole(model: LanguageModel, asked: list[tuple[str, str]]) -> Any:
    """What the model says, every block of it run."""
    return score_tokens(model.model, study.first_tokens(model, asked), ranked=set()).log_prob


def without_dropout(model: LanguageModel) -> LanguageModel:
    for module in model.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]
    return model


@pytest.mark.parametrize("family", [*MAPPED, *UNMAPPED])
def test_the_last_blocks_alone_say_and_learn_what_the_whole_model_does(family: str) -> None:
    model, other = (without_dropout(tiny_language_model(family)) for _ in range(2))
    asked = [("abc", "d"), ("abcd", "e"), ("xy z", "w"), ("q", "abc")]
    examples = [("", "so it was said"), ("", "and it was so"), ("", "no more")]
    batches, recipe = [[0, 1], [0, 2], [0, 1]], Recipe(learning_rate=1e-2, max_grad_norm=None)
    blocks = LastBlocks(model, 2)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    change = blocks.trained(examples, batches, recipe, seeds=Seeds(0))
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert change.tensors
    assert {change.weights[name].layer for name in change.tensors} == set(blocks.layers)
    finetune_batches(
        other, examples, batches, Recipe(layers=blocks.layers, learning_rate=1e-2, max_grad_norm=None), seeds=Seeds(0)
    )
    learned = dict(other.model.named_parameters())
    for name, value in change.tensors.items():
        assert torch.allclose(before[name] + value, learned[name], atol=2e-4), name
    with change.inside(model):
        assert study.says(blocks, asked) == pytest.approx(whole(model, asked), abs=1e-4)
    assert study.says(blocks, asked) == pytest.approx(whole(model, asked), abs=1e-4)


def test_the_first_blocks_see_each_sequence_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = tiny_blocks()
    first = blocks.model.model.model.layers[0].self_attn
    calls: list[int] = []
    first.register_forward_hook(lambda *_: calls.append(1))
    asked = [("abc", "d"), ("xy z", "w")]
    said = study.says(blocks, asked)
    assert len(calls) == 1
    assert np.array_equal(study.says(blocks, asked), said)
    assert len(calls) == 1
    study.says(blocks, [*asked, ("n", "e")])
    assert len(calls) == 2


def test_weights_come_back_when_a_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = tiny_blocks()
    before = {name: value.clone() for name, value in blocks.model.model.state_dict().items()}

    def failing(model: LanguageModel, *rest: Any, **more: Any) -> None:
        with torch.no_grad():
            for value in model.model.parameters():
                if value.shape == (32,):
                    value.add_(1.0)
        raise RuntimeError("failed")

    monkeypatch.setattr(last_blocks, "finetune_batches", failing)
    with pytest.raises(RuntimeError, match="failed"):
        blocks.trained([("", "so it was")], [[0]], Recipe(), seeds=Seeds(0))
    weights = blocks.model.model.state_dict()
    assert all(
        torch.equal(weights[name], value) for name, value in before.items() if ".0." not in name and "model.norm" not in name
    )


def test_a_text_is_presented_at_every_step_and_the_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = tiny_blocks()
    before = {name: value.clone() for name, value in blocks.model.model.state_dict().items()}
    seen: list[Any] = []
    train = last_blocks.finetune_batches

    def noted(model: Any, examples: Any, batches: Any, recipe: Any, **rest: Any) -> Any:
        seen.append(([[examples[i] for i in batch] for batch in batches], recipe))
        return train(model, examples, batches, recipe, **rest)

    monkeypatch.setattr(last_blocks, "finetune_batches", noted)
    places = study.Places(PREFIXES["colour"][:2], (1,), OPEN[:1])
    row = study.learned(blocks, SETTINGS, TEXTS[0], places, PLAIN, Seeds(0), True)
    ((plain, recipe), (stepping, _), (elsewhere, _)) = seen
    for batches, text in ((plain, TEXTS[0].plain), (stepping, TEXTS[0].stepping), (elsewhere, TEXTS[0].elsewhere)):
        assert [batch[0] for batch in batches] == [text, text]
        assert [batch[1:] for batch in batches] == [PLAIN[:3], PLAIN[3:6]]
    assert recipe.learning_rate == SETTINGS.rate
    assert recipe.layers == (1, 2)
    assert all(torch.equal(value, before[name]) for name, value in blocks.model.model.state_dict().items())
    assert set(row) == {"own", "elsewhere", "stone stepping", "stone elsewhere", "step largest", "step random"}
    asked = study.says(blocks, [(TEXTS[0].prompt, TEXTS[0].completion)])[0]
    assert row["own"] > asked  # type: ignore[operator]
    assert len(row["elsewhere"]) == 3  # type: ignore[arg-type]
    assert set(study.learned(blocks, SETTINGS, TEXTS[0], places, PLAIN, Seeds(0), False)) == {"own", "elsewhere"}


def test_what_is_read_before_is_what_is_said() -> None:
    blocks = tiny_blocks()
    before, places = study.reading_before(blocks, SETTINGS, TEXTS)
    prompts = [(text.prompt, text.completion) for text in TEXTS]
    assert before.own == pytest.approx(whole(blocks.model, prompts), abs=1e-4)
    for i, (text, place) in enumerate(zip(TEXTS, places, strict=True)):
        assert place.own == PREFIXES[text.theme][:2]
        assert not set(place.others) & set(PREFIXES[text.theme])
        contexts = [(prefix, text.completion) for prefix in (*place.own, *place.others)]
        said = whole(blocks.model, contexts)
        assert before.elsewhere[i, : len(contexts)] == pytest.approx(said, abs=1e-4)
        for own, other in zip(place.paired, range(len(place.own), len(contexts)), strict=True):
            assert said[own] == pytest.approx(said[other], abs=0.3 * study.LN10 + 1e-3)
        assert len(set(place.paired)) == len(place.paired)
        assert len(set(place.others)) == len(place.others)
    assert any(place.others for place in places)
    taught = study.lessons_of(blocks, SETTINGS, [text.plain for text in TEXTS], PLAIN)
    assert len(taught.plain) == SETTINGS.n_presentations
    sums = taught.text.sum(-1)
    assert torch.allclose(sums, (taught.words >= 0).float(), atol=1e-4)


def test_one_text_at_equal_probability_is_as_many_are() -> None:
    blocks = tiny_blocks()
    text = TEXTS[0]
    prompt, *prefixes = [(one, text.completion) for one in (text.prompt, *PREFIXES[text.theme][:2])]
    before = study.says(blocks, [prompt, *prefixes])
    effects = [
        study.Effect(blocks, study.change_by(blocks, SETTINGS, one, PLAIN, Seeds(0)), prompt, prefixes, before)
        for one in (text.plain, text.stepping)
    ]

    def changed(effect: study.Effect) -> Changed:
        return Changed(
            lambda shares: np.array([effect.says(float(shares[0]))]), lambda shares: np.array([effect.primes(float(shares[0]))])
        )

    expected = at_equal_p(*[changed(effect) for effect in effects], 1, 8).difference[0]
    assert study.gap(*effects, 8) == pytest.approx(expected, abs=1e-3)
    assert study.gap(effects[0], effects[0], 3) == 0
    worse = study.Effect(blocks, -1.0 * effects[0].change, prompt, prefixes, before)
    assert np.isnan(study.gap(effects[0], worse, 3))


def test_the_least_likely_text_of_each_keyword_is_rewritten() -> None:
    own = np.array([-1.0, -5, -3, -2, -9, -4, -6, -7])
    found = study.least_likely(own, TEXTS, 3)
    assert len({TEXTS[i].keyword for i in found}) == 3
    assert found == (4, 7, 1)


def test_biases_prime_no_theme_and_a_planted_theme_is_seen() -> None:
    rng = np.random.default_rng(3)
    before = rng.uniform(-6, -4, (4, 8))
    places = [study.Places(("a", "b"), (0, 1), ("c", "d"))] * 3 + [study.Places(("a", "b"), (0,), ("c",))]
    assert study.theme_gaps(before, before + 2, places)[:3] == pytest.approx(np.zeros(3))
    after = before + np.repeat([2.0, 0.5], [2, 6])
    found = study.theme_gaps(before, after, places)
    assert found[:3] == pytest.approx(np.full(3, 1.5 / study.LN10))
    assert np.isnan(found[3])  # a single pair is too few


def test_the_second_biases_are_trained_at_the_rate_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[float] = []
    second: list[float] = []
    equal, train = study.with_equal_memory, study.train_biases

    def found(*arguments: Any) -> Any:
        rate, biases = equal(*arguments)
        first.append(rate)
        return rate, biases

    def trained(lessons: Any, optimiser: Optimiser) -> Any:
        second.append(optimiser.learning_rate)
        return train(lessons, optimiser)

    monkeypatch.setattr(study, "with_equal_memory", found)
    monkeypatch.setattr(study, "train_biases", trained)
    study.measure(SETTINGS, Seeds(0))
    assert second[-1:] == first  # the tries of the first come before
    assert first != [Optimiser().learning_rate]  # else it shows nothing
