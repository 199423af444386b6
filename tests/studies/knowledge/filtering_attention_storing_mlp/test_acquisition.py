"""The networks and prompts of pre-training are what their arms say, and each number is made of those that it names."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.filtering_attention_storing_mlp import acquisition
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import AcquisitionSettings
from assay.studies.knowledge.filtering_attention_storing_mlp.system import Answers, Lesson
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import SUBJECT, TripleSequences, TripleWorld

SETTINGS = AcquisitionSettings(
    n_subjects=12,
    n_values=4,
    d_model=8,
    pretrain_steps=4,
    pretrain_batch=16,
    n_templates=4,
    multiplicity=2,
    n_draws=2,
    question_draws=3,
)


def test_networks_differ_in_the_mlp_and_in_attention_that_is_held_even(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[Decoder, Sequence[Lesson]]] = []
    true = acquisition.train_on

    def look(model, lessons, optimiser, **sizes):  # type: ignore[no-untyped-def]
        trained.append((model, lessons))
        return true(model, lessons, optimiser, **sizes)

    monkeypatch.setattr(acquisition, "train_on", look)
    acquisition.measure(SETTINGS, Seeds(0))
    (full, full_lessons), (bare, bare_lessons) = trained
    assert (full.config.d_mlp, bare.config.d_mlp) == (32, 0)
    assert (full.n_runs, bare.n_runs) == (2, 3)
    for model, even in ((full, [False, False]), (bare, [False, False, True])):
        zero = [bool((model.state_dict()["blocks.0.W_Q"][run] == 0).all()) for run in range(len(even))]
        assert zero == even
    # Shared values are the outputs of every type; own ones are three sets of four.
    highest = [[int(lesson.draw(400, np.random.default_rng(0)).answers.max()) for lesson in lessons]
               for lessons in (full_lessons, bare_lessons)]  # fmt: skip
    assert highest == [[11, 3], [11, 3, 3]]
    for model in (full, bare):
        assert not torch.equal(model.state_dict()["W_U"][0], model.state_dict()["W_U"][1])


def test_each_number_is_made_of_the_network_and_the_prompts_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are planned from what is asked: one accuracy for each kind of prompt, network, kind of values, and time."""
    trained: set[bool] = set()

    def accuracy(mlp: bool, even: bool, shared: bool, question: bool, somebody: bool) -> float:
        own = 0.5 + 0.25 * mlp - 0.25 * shared * (not mlp) - 0.125 * even
        return own * (0.25 if question else 1.0) * (0.5 if not somebody else 1.0) * (1.0 if mlp in trained else 0.1)

    def answers(model: Decoder, sequences: Sequence[Sequence[TripleSequences]]) -> Answers:
        mlp = model.config.d_mlp > 0
        rows = []
        for run, draws in enumerate(sequences):
            tokens = np.concatenate([one.tokens for one in draws])
            shared = max(int(one.answers.max()) for one in draws) < SETTINGS.n_values
            even = bool((model.state_dict()["blocks.0.W_Q"][run] == 0).all())
            question = bool((tokens[:, -1] >= 12 + 3 * 4).all())
            share = accuracy(mlp, even, shared, question, bool((tokens[:, SUBJECT] < 12).all()))
            rows.append(np.broadcast_to(np.arange(4000) < share * 4000, (1, 4000)))
        right = np.stack(rows)
        return Answers(right, np.zeros(right.shape, dtype=int), np.ones(right.shape))

    def train_on(model, lessons, optimiser, *, observe, **sizes):  # type: ignore[no-untyped-def]
        found = true(model, lessons, optimiser, observe=observe, **sizes)
        trained.add(model.config.d_mlp > 0)
        return found

    true = acquisition.train_on
    monkeypatch.setattr(acquisition, "train_on", train_on)
    monkeypatch.setattr(acquisition, "answers", answers)
    found = acquisition.measure(SETTINGS, Seeds(0)).estimands
    planned = {
        "stated/told": 0.75,
        "asked/told": 0.75 / 4,
        "stated-no-subject/told": 0.75 / 2,
        "asked-no-subject/told": 0.75 / 8,
        "untrained/told": 0.075,
        "shared/mlp_gain": 0.75 - 0.25,
        "own/mlp_gain": 0.75 - 0.5,
        "shared-even/mlp_gain": 0.75 - 0.125,
        "untrained/mlp_gain": 0.075 - 0.025,
    }
    assert {name: found[name] for name in planned} == pytest.approx(planned, abs=1e-3)
    assert found["untrained/attention_on_fact"] == pytest.approx(0.4, abs=0.05)
    assert found["trained/attention_on_fact"] != found["untrained/attention_on_fact"]


def test_questions_are_put_to_the_network_with_values_of_each_type_s_own_by_tokens_drawn_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[Decoder] = []
    askers: list[tuple[Decoder, TripleWorld, int]] = []
    train_on, strangers = acquisition.train_on, acquisition.strangers

    def learn(model, lessons, optimiser, **sizes):  # type: ignore[no-untyped-def]
        trained.append(model)
        return train_on(model, lessons, optimiser, **sizes)

    def look(model, world, rngs):  # type: ignore[no-untyped-def]
        askers.append((model, world, len(rngs)))
        return strangers(model, world, rngs)

    monkeypatch.setattr(acquisition, "train_on", learn)
    monkeypatch.setattr(acquisition, "strangers", look)
    acquisition.measure(SETTINGS, Seeds(0))
    ((asker, world, n),) = askers
    assert (world.shared, n) == (False, 3)
    assert torch.equal(asker.state_dict()["W_U"], trained[0].state_dict()["W_U"][:1])
