"""What the study of storing and asking computes: on weights set by hand, on planted data, against closed forms."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.knowledge.filtering_attention_storing_mlp.acquisition import hold_even
from assay.studies.knowledge.filtering_attention_storing_mlp.collapse import falling_fit, log_odds_slope
from assay.studies.knowledge.filtering_attention_storing_mlp.fine_tuning import _fates
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import ExtractionSettings, FineTuningSettings, Scale
from assay.studies.knowledge.filtering_attention_storing_mlp.system import (
    answers,
    chosen_subjects,
    filtering,
    network,
    shuffled,
    strangers,
    told,
    train_on,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.triples import TripleSequences, TripleWorld
from assay.training.optimiser import Optimiser

SMALL = Scale(n_subjects=40, n_values=5, d_model=16)


def world_of(*, shared: bool = False) -> TripleWorld:
    return SMALL.world(Seeds(0), n_templates=4, multiplicity=2, shared=shared)


def additive(world: TripleWorld) -> Decoder:
    """Attention alone, spread evenly: a subject votes for its own values, a template for the values of its type."""
    d = world.n_outputs
    config = DecoderConfig(
        d, world.vocab_size, n_layers=1, n_heads=1, d_model=d, d_mlp=0, norm="none", positions="none", output_matrix=False,
        residual=False,
    )  # fmt: skip
    weights = dict(Decoder(config).state_dict())
    embedding = torch.zeros(world.vocab_size, d)
    for who in range(world.n_subjects):
        embedding[who, torch.from_numpy(world.values[who])] = 1.0
    for j in range(world.n_types):
        own = slice(None) if world.shared else slice(j * world.n_values, (j + 1) * world.n_values)
        for token in world.template_tokens(np.full(world.n_templates, j), np.arange(world.n_templates)):
            embedding[token, own] = 1.0
    weights |= {"W_E": embedding, "blocks.0.W_V": torch.eye(d)[None], "W_U": 10 * torch.eye(d)}
    return Decoder.stack([Decoder.from_weights(config, weights)])


def test_a_sum_stores_values_of_each_type_s_own_and_not_shared_ones() -> None:
    rng = np.random.default_rng(0)
    own, shared = world_of(), world_of(shared=True)
    assert answers(additive(own), [[own.stated(rng=rng)]]).accuracy() == 1.0
    assert answers(additive(shared), [[shared.stated(rng=rng)]]).accuracy() < 0.7
    asked = answers(additive(own), [[own.asked(rng=rng) for _ in range(3)]])
    assert asked.accuracy() == pytest.approx(1 / 3, abs=0.05)  # without a trigger, one of the subject's three values
    assert np.isnan(asked.accuracy(np.zeros((1, 120), dtype=bool))).all()


def test_untrained_attention_is_even_and_its_share_two_fifths() -> None:
    world = world_of()
    blank = Decoder(network(SMALL, [world]), n_runs=2)
    drawn = world.stated(rng=np.random.default_rng(0))
    assert filtering(blank, [drawn, drawn]) == pytest.approx([0.4, 0.4])


def test_worlds_of_different_sizes_share_a_program_and_a_run_is_what_it_is_alone() -> None:
    small, large = (SMALL.world(Seeds(1).child(str(r)), n_templates=r, multiplicity=1) for r in (2, 6))
    config = network(SMALL, [small, large])
    assert config.vocab_size == large.vocab_size
    losses = []
    for worlds in ([large], [small, large]):
        model = Decoder.init(config, [np.random.default_rng(len(w.wordings) + w.n_templates) for w in worlds])
        lessons = [told(w, np.random.default_rng(w.n_templates)) for w in worlds]
        trace = train_on(model, lessons, Optimiser("adamw", 1e-3), n_steps=60, batch=16)
        losses.append(trace.loss_nats[-1])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_chosen_subjects_are_nested_and_leave_some_to_ask() -> None:
    world = world_of()
    few, many = (set(chosen_subjects(world, n, Seeds(3)).tolist()) for n in (5, 20))
    assert few < many
    with pytest.raises(SettingsError, match="1 to 39 subjects"):
        chosen_subjects(world, 40, Seeds(3))


def test_strangers_are_copies_with_question_tokens_of_their_own() -> None:
    world = world_of()
    model = Decoder.init(network(SMALL, [world]), [np.random.default_rng(0)])
    copies = strangers(model, world, [np.random.default_rng(i) for i in (1, 2, 1)])
    assert copies.n_runs == 3
    rows = world.question_tokens(np.arange(3))
    for name, value in copies.state_dict().items():
        moved = value != model.state_dict()[name]
        if name == "W_E":
            assert moved[:, rows].all()
            moved[:, rows] = False
        assert not moved.any()
    drawn = copies.state_dict()["W_E"][:, rows]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    many = strangers(model, world, [np.random.default_rng(i) for i in range(100)]).state_dict()["W_E"][:, rows]
    assert float(many.std()) == pytest.approx(1.0, abs=0.03)  # as in the layer's own first draw


def test_dealing_values_out_anew_keeps_how_often_each_occurs() -> None:
    world = world_of()
    other = shuffled(world, np.random.default_rng(0))
    assert (np.sort(other.values, axis=0) == np.sort(world.values, axis=0)).all()
    assert (other.values != world.values).any()
    assert (other.wordings == world.wordings).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_falling_fit_is_one_for_falling_data_and_the_mean_for_rising_data(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.permutation(30) / 7.0
    assert falling_fit(x, -np.exp(x)) == pytest.approx(1.0)
    assert falling_fit(x, np.exp(x)) == pytest.approx(0.0, abs=1e-9)
    # Two levels: the fit is the means of the groups, as in an analysis of variance.
    group, y = np.repeat([0.0, 1.0], 15), rng.normal(size=30) - np.repeat([0.0, 3.0], 15)
    between = 15 * sum((y[group == g].mean() - y.mean()) ** 2 for g in (0, 1))
    assert falling_fit(group, y) == pytest.approx(between / ((y - y.mean()) ** 2).sum())


def test_the_slope_of_log_odds_is_that_of_a_two_by_two_table() -> None:
    x = np.repeat([0.0, 1.0], 50)
    y = np.concatenate([np.arange(50) < 10, np.arange(50) < 30]).astype(float)
    assert log_odds_slope(x, y, ridge=0.0) == pytest.approx(np.log(30 / 20) - np.log(10 / 40))
    assert np.isfinite(log_odds_slope(x, x))  # separable


@pytest.mark.parametrize(
    ("settings", "override", "message"),
    [
        (ExtractionSettings(), "subjects=10,30", "three numbers of subjects"),
        (ExtractionSettings(), "multiplicities=2,4", "one wording with several"),
        (FineTuningSettings(), "ranks=2,4", "must start with 1"),
        (FineTuningSettings(), "ranks=1", "its positive control"),
        (FineTuningSettings(), "n_taught=200", "some subjects must be left"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_trained(settings: object, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve(settings, [override], where="x")


def test_a_batch_of_sequences_keeps_the_order_of_facts() -> None:
    world = world_of()
    drawn = world.stated(rng=np.random.default_rng(0))
    swapped = TripleSequences(drawn.tokens, np.roll(drawn.answers, 1), drawn.subjects, drawn.types)
    both = answers(additive(world).select([0, 0]), [[drawn], [swapped]])
    assert (both.said[0] == both.said[1]).all()
    assert both.accuracy()[0] > both.accuracy()[1]


def test_attention_that_is_held_even_stays_so_and_the_network_beside_it_learns_to_filter() -> None:
    world = world_of(shared=True)
    model = Decoder.init(network(SMALL, [world], mlp=False), [np.random.default_rng(i) for i in range(2)])
    hold_even(model, [False, True])
    lessons = [told(world, np.random.default_rng(5)) for _ in range(2)]
    train_on(model, lessons, Optimiser("adamw", 1e-2), n_steps=150, batch=64)
    drawn = world.stated(rng=np.random.default_rng(0))
    free, held = filtering(model, [drawn, drawn])
    assert held == pytest.approx(0.4, abs=1e-6)
    assert free > 0.5


def test_fates_are_told_apart_and_add_up() -> None:
    world = world_of()
    model, rng = additive(world), np.random.default_rng(0)
    stated, asked = world.stated(rng=rng), world.asked(rng=rng)
    seen = np.arange(120) < 60
    stored = np.ones((1, 120), dtype=bool)
    found = _fates(model, [asked], [stated], seen, stored)
    assert found["told"] + found["not triggered"] == pytest.approx(1.0)
    assert found["overwritten"] == found["never stored"] == 0
    deaf = model.select([0])
    with torch.no_grad():
        deaf.W_U.zero_()  # type: ignore[union-attr]
    lost = _fates(deaf, [asked], [stated], seen, stored)
    assert lost["not triggered"] < 0.2
    assert sum(lost[name] for name in ("told", "not triggered", "overwritten")) == pytest.approx(1.0)
    never = _fates(deaf, [asked], [stated], seen, ~stored)
    assert never["never stored"] == pytest.approx(lost["overwritten"])
