"""The language model's run on a tiny model: whose order is tested, what is trained on what, what is kept."""

import dataclasses
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.core.seeds import Seeds
from assay.protocols.language_model import Subject
from assay.studies.knowledge.palimpsestic_membership import language_model as study
from assay.studies.knowledge.palimpsestic_membership.english import english_texts
from assay.studies.knowledge.palimpsestic_membership.settings import LanguageModelSettings
from assay.studies.knowledge.palimpsestic_membership.small import PARTS
from assay.training.finetune import finetune
from assay.training.order import Order
from assay.training.recipe import batches

SETTINGS = LanguageModelSettings(model="tiny", n_texts=40, n_other=8, layers=(1,))


def test_texts_are_different_and_of_one_size() -> None:
    texts = english_texts(900, rng=np.random.default_rng(0))
    assert len(set(texts)) == 900
    words = np.array([len(text.split()) for text in texts])
    assert words.min() >= 12
    assert words.max() <= 25


def test_copies_read_the_same_texts_in_their_own_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Subject] = {}
    steps: list[Any] = []

    def losses(reader: Subject, texts: list[str]) -> np.ndarray:
        asked[reader.name] = reader
        return np.random.default_rng(len(asked)).normal(size=len(texts))

    numbers = study.numbers
    monkeypatch.setattr(study, "losses", losses)
    monkeypatch.setattr(
        study, "numbers", lambda s, seeds, alices, found: steps.append(alices) or numbers(s, seeds, alices, found)
    )
    study.measure(SETTINGS, Seeds(4))
    assert set(asked) == {"alice", "reference", "independent", "fine-tuned", "independent-fine-tuned"}
    readers = [asked[name] for name in ("alice", "reference", "independent")]
    assert len({tuple(reader.sentences) for reader in readers}) == 1
    assert len({reader.seeds for reader in readers}) == 3
    assert len(readers[0].sentences) == 40
    for name, parent in (("fine-tuned", "alice"), ("independent-fine-tuned", "independent")):
        assert asked[name].parent is asked[parent]
        assert len(asked[name].sentences) == 8
        assert set(asked[name].sentences).isdisjoint(readers[0].sentences)
        assert asked[name].recipe is not None
        assert asked[name].recipe.learning_rate == pytest.approx(SETTINGS.rate / 10)
        assert asked[name].recipe.layers == readers[0].recipe.layers == SETTINGS.layers
        assert asked[name].recipe.precision == readers[0].recipe.precision == "bfloat16"
    for name, alice in zip(("alice", "independent"), steps[0], strict=True):
        recipe = asked[name].recipe
        assert recipe is not None
        order = Order.of(batches(range(40), recipe, asked[name].seeds, 0), 40)  # type: ignore[arg-type]
        assert np.array_equal(alice.steps, order.step_of(range(40)))


def test_the_order_is_the_one_that_fine_tuning_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.models.pretrained.tiny import tiny_language_model
    from assay.training import one_run

    seen: list[str] = []
    model = tiny_language_model()
    texts = [f"text {letter * 3}" for letter in "abcdefghijkl"]
    backward = one_run.Run.backward

    def noted(self: Any, batch: Any, *rest: Any) -> float:
        seen.extend(model.tokenizer.decode([*pair.context, *pair.completion], skip_special_tokens=True) for pair in batch)
        return backward(self, batch, *rest)

    monkeypatch.setattr(one_run.Run, "backward", noted)
    recipe = study.Recipe(learning_rate=1e-5, n_epochs=1, batch_size=4)
    finetune(model, study.plain(texts), recipe, seeds=Seeds(3))
    order = Order.of(batches(range(12), recipe, Seeds(3), 0), 12)  # type: ignore[arg-type]
    assert [text.strip() for text in seen] == [texts[i] for i in order.examples]


def test_losses_are_means_over_tokens() -> None:
    from assay.protocols.language_model import load_base

    found = study.losses(load_base("tiny"), english_texts(3, rng=np.random.default_rng(1)))
    assert found.shape == (3,)
    assert ((found > 3) & (found < 8)).all()


def test_models_of_no_such_order_are_asked_about_many() -> None:
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=40) for pair in PARTS[:2] for name in pair} | {"reference": rng.normal(size=40)}
    orders = [rng.permutation(40) for _ in range(2)]
    alices = tuple(study.Alice(order, found["reference"]) for order in orders)
    alone, _ = study.numbers(dataclasses.replace(SETTINGS, n_orders=1), Seeds(5), alices, found)
    many, _ = study.numbers(dataclasses.replace(SETTINGS, n_orders=60), Seeds(5), alices, found)
    assert {name for name in alone if alone[name] != many[name]} == {"independent/rho", "independent-fine-tuned/rho"}
    own = [study.Alice(orders[0], found["reference"]).rho(found["independent"])]
    own.append(study.Alice(orders[1], found["reference"]).rho(found["alice"]))
    assert alone["independent/rho"] == pytest.approx(np.mean(own))
    assert abs(many["independent/rho"]) < 0.1 < 1 / np.sqrt(39)
    told = np.argsort(np.argsort(found["independent"] - found["reference"]))  # an order that the losses do follow
    following = study.untold(study.Alice(told, found["reference"]), found, [told])
    assert following["independent/rho"] == pytest.approx(1)
