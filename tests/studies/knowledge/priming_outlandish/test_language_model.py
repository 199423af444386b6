"""The language model's run on a tiny model: what it is told, that it stays as it is, what is asked, what is kept."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.models.pretrained.named import folder_of
from assay.models.pretrained.text import token_pairs
from assay.protocols.language_model import load_base
from assay.studies.knowledge.priming_outlandish import language_model as study
from assay.studies.knowledge.priming_outlandish.english import (
    BEGINNINGS,
    KEYWORDS,
    KINDS,
    PREFIXES,
    english_texts,
    plain_sentences,
    prompt_of,
)
from assay.studies.knowledge.priming_outlandish.settings import LanguageModelSettings
from assay.training.optimiser import Optimiser

SETTINGS = LanguageModelSettings(
    model="tiny", n_keywords=4, n_texts=2, n_stones=2, n_presentations=2, n_prefixes=2, rate=1e-2, n_halvings=4
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


def test_a_text_is_presented_at_every_step_and_the_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_base("tiny").model
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    seen: list[Any] = []
    train = study.finetune_batches

    def noted(model: Any, examples: Any, batches: Any, recipe: Any, **rest: Any) -> Any:
        seen.append(([[examples[i] for i in batch] for batch in batches], recipe))
        return train(model, examples, batches, recipe, **rest)

    monkeypatch.setattr(study, "finetune_batches", noted)
    subject = load_base("tiny")
    subject.base = model
    row = study.learned(subject, SETTINGS, TEXTS[0], PLAIN, Seeds(0), True)
    ((plain, recipe), (stepping, _), (elsewhere, _)) = seen
    for batches, text in ((plain, TEXTS[0].plain), (stepping, TEXTS[0].stepping), (elsewhere, TEXTS[0].elsewhere)):
        assert [batch[0] for batch in batches] == [text, text]
        assert [batch[1:] for batch in batches] == [PLAIN[:3], PLAIN[3:6]]
    assert recipe.learning_rate == SETTINGS.rate
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert set(row) == {"own", "elsewhere", "stone stepping", "stone elsewhere", "step largest", "step random"}
    asked = study.says(model, [(TEXTS[0].prompt, TEXTS[0].completion)])[0]
    assert row["own"] > asked  # type: ignore[operator]
    assert len(row["elsewhere"]) == 8  # type: ignore[arg-type]
    assert set(study.learned(subject, SETTINGS, TEXTS[0], PLAIN, Seeds(0), False)) == {"own", "elsewhere"}


def test_what_is_read_before_is_what_is_said() -> None:
    model = load_base("tiny").model
    before = study.reading_before(model, SETTINGS, TEXTS)
    assert before.own == pytest.approx(study.says(model, [(text.prompt, text.completion) for text in TEXTS]), abs=1e-4)
    for i, text in enumerate(TEXTS):
        contexts = study.contexts_of(text, 2)
        assert [prefix for prefix, _ in contexts[:2]] == list(PREFIXES[text.theme][:2])
        assert before.elsewhere[i] == pytest.approx(study.says(model, contexts), abs=1e-4)
    taught = study.lessons_of(model, SETTINGS, [text.plain for text in TEXTS], PLAIN)
    assert len(taught.plain) == SETTINGS.n_presentations
    sums = taught.text.sum(-1)
    assert torch.allclose(sums, (taught.words >= 0).float(), atol=1e-4)


def test_the_least_likely_text_of_each_keyword_is_rewritten() -> None:
    own = np.array([-1.0, -5, -3, -2, -9, -4, -6, -7])
    found = study.least_likely(own, TEXTS, 3)
    assert len({TEXTS[i].keyword for i in found}) == 3
    assert found == (4, 7, 1)


def test_biases_prime_no_theme_and_a_planted_theme_is_seen() -> None:
    rng = np.random.default_rng(3)
    before = rng.uniform(-6, -4, (4, 8))
    keywords = np.arange(4)
    assert study.theme_gap(before, before + 2, 2, keywords) == pytest.approx(0)
    after = before + np.repeat([2.0, 0.5], [2, 6])
    assert study.theme_gap(before, after, 2, keywords) == pytest.approx(1.5 / study.LN10)


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
