"""Asking and tuning: equal to plain calls, kept by history, trained when needed and never twice, progress from inside."""

from pathlib import Path

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.core.progress import listening
from assay.core.seeds import Seeds

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.instruments.scoring import score_choices
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.protocols.language_model import ModelSettings, Settings, ask, find_model, load_base, tune
from assay.store.memo import memos_in
from assay.training import finetune
from assay.training.recipe import Recipe
from assay.worlds.facts.questions import Question

QUESTIONS = [
    Question("Ana lives in", (" Paris", " Rome", " Lima"), 1, about="Ana", kind="home"),
    Question("Ben lives in", (" Paris", (" Rome", " Roma"), " Lima"), 0, about="Ben", kind="home"),
    Question("Ana likes", (" tea",), 0, about="Ana", kind="taste"),
]
SENTENCES = [("Ana lives in", " Rome"), ("Ben lives in", " Paris"), ("Ana likes", " tea")]
RECIPE = Recipe(learning_rate=3e-3, n_epochs=4, batch_size=2)


def trained_again(*_: object, **__: object) -> None:
    pytest.fail("it was trained again")


def rows(answers) -> list[list[float]]:
    return [found.tolist() for found in answers.log_probs]


def test_answers_are_the_scores_of_a_loaded_model() -> None:
    scores = score_choices(tiny_language_model(), QUESTIONS)
    for model in (load_base("tiny"), tiny_language_model()):
        for found, expected in zip(ask(model, QUESTIONS).log_probs, scores.log_probs, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(ask(load_base("tiny"), [])) == 0


def test_a_tuned_copy_answers_as_one_tuned_by_hand_and_leaves_its_base_alone() -> None:
    base = load_base("tiny")
    before = rows(ask(base, QUESTIONS))
    by_hand = finetune.finetune(tiny_language_model(), SENTENCES, RECIPE, seeds=Seeds(3)).model
    tuned = tune(base, SENTENCES, RECIPE, Seeds(3), "taught")
    np.testing.assert_allclose(ask(tuned, QUESTIONS).log_prob, ask(by_hand, QUESTIONS).log_prob, atol=1e-6)
    assert rows(ask(base, QUESTIONS)) == before
    assert (ask(tuned, QUESTIONS).log_prob > ask(base, QUESTIONS).log_prob).all()


def test_what_was_asked_is_kept_by_history_and_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(tiny_folder(tmp_path / "model"))

    def subjects():
        first = tune(load_base(name), SENTENCES, RECIPE, Seeds(0), "first", watch=QUESTIONS[:1], watch_every=3)
        return first, tune(first, SENTENCES[:1], RECIPE, Seeds(0), "second")

    with memos_in(tmp_path / "memos"):
        first, second = subjects()
        said = [rows(ask(one, QUESTIONS)) for one in (first, second)]
        watched = [(step, rows(answers)) for step, answers in first.watched]
        assert [step for step, _ in watched] == [0, 3, 6, 8]
        np.testing.assert_allclose(watched[-1][1], said[0][:1], rtol=0, atol=1e-5)  # asked alone and among others: rounding
        monkeypatch.setattr(finetune, "finetune", trained_again)
        first, second = subjects()
        assert [rows(ask(one, QUESTIONS)) for one in (first, second)] == said
        assert [(step, rows(answers)) for step, answers in first.watched] == watched
        others = (
            tune(load_base(name), SENTENCES[:2], RECIPE, Seeds(0), "first"),
            tune(load_base(name), SENTENCES, Recipe(learning_rate=1e-3, n_epochs=4, batch_size=2), Seeds(0), "first"),
            tune(load_base(name), SENTENCES, RECIPE, Seeds(1), "first"),
        )
        for other in others:
            with pytest.raises(pytest.fail.Exception):
                ask(other, QUESTIONS)
        with pytest.raises(pytest.fail.Exception):
            ask(first, QUESTIONS[:2])
        # What it is called is no part of what it is.
        again = tune(load_base(name), SENTENCES, RECIPE, Seeds(0), "another name")
        assert rows(ask(again, QUESTIONS)) == said[0]


def test_progress_goes_from_nought_to_one_and_names_what_is_done() -> None:
    heard: list[tuple[float, str]] = []
    with listening(lambda share, label: heard.append((share, label))):
        ask(tune(load_base("tiny"), SENTENCES, RECIPE, Seeds(0), "taught"), QUESTIONS)
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any("taught, step 8 of 8" in label for _, label in heard)


@pytest.mark.parametrize(
    ("candidates", "says"),
    [((), "at least one"), ((" a", " a"), "different texts"), ((" New York", " New"), "beginning of another")],
)
def test_questions_that_cannot_be_asked_are_refused(candidates: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ask(load_base("tiny"), [Question("Ana", candidates)] if candidates else [Question("Ana", ())])


def test_settings_make_a_recipe_and_name_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Settings(learning_rate=2e-4, n_epochs=3, batch_size=5).recipe(method="lora", n_epochs=1)
    assert (recipe.learning_rate, recipe.n_epochs, recipe.batch_size, recipe.method) == (2e-4, 1, 5, "lora")
    find_model(ModelSettings(model="tiny"))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    for refused in (lambda: find_model(Settings()), lambda: load_base("smollm2-135m")):
        with pytest.raises(InputError, match="assay models add smollm2-135m"):
            refused()
