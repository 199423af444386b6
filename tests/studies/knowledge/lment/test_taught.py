"""Pages with known tellings, forks that add chunks, networks that are asked: each is what it says, and nothing else differs."""

import numpy as np
import pytest
import torch

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.lment import learning
from assay.studies.knowledge.lment.bigram import Pairs, favourites
from assay.studies.knowledge.lment.claims import LEARNING
from assay.studies.knowledge.lment.networks import Asked, forked, fresh, go_on, reading, reading_more
from assay.studies.knowledge.lment.settings import LearningSettings
from assay.studies.knowledge.lment.taught import TREATMENTS, Dosed, Lesson, dosed, drawn_pages, tellings
from assay.training.order import Order

SETTINGS: LearningSettings = LEARNING.presets["quick"].settings


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return drawn_pages(learning.design(SETTINGS), SETTINGS, SETTINGS.n_chunks, Seeds(2))


@pytest.fixture(scope="module")
def plan(lesson: Lesson) -> Dosed:
    return dosed(lesson, SETTINGS, Seeds(2))


def test_the_full_world_has_few_words() -> None:
    lesson = drawn_pages(learning.design(LearningSettings()), LearningSettings(), 4000, Seeds(0))
    assert lesson.corpus.world.vocab_size <= 500
    assert len(lesson.corpus.world.facts) == 720
    assert abs(np.corrcoef(lesson.k, lesson.subject)[0, 1]) < 0.2
    assert (lesson.k == 0).mean() == pytest.approx(0.5, abs=0.01)


def test_the_two_widths_are_a_factor_of_three_apart() -> None:
    assert (LearningSettings().small, LearningSettings().large) == (32, 96)  # C5 is said of these; both have two layers
    assert LearningSettings().n_layers == 2


def test_facts_are_told_as_often_as_drawn(lesson: Lesson) -> None:
    assert np.array_equal(lesson.corpus.tellings, lesson.k)
    assert set(lesson.k.tolist()) == {0, *SETTINGS.told}
    assert np.array_equal(np.sort(lesson.k), np.sort(lesson.other_k))
    assert not np.array_equal(lesson.k, lesson.other_k)
    k = tellings(SETTINGS, 1000, np.random.default_rng(0))
    assert (k == 0).sum() == 500


def test_frequencies_are_counted(lesson: Lesson) -> None:
    world, tokens = lesson.corpus.world, lesson.corpus.tokens
    for number in (0, len(world.facts) - 1):
        fact = world.facts[number]
        assert lesson.subject[number] == (lesson.corpus.mentions.entity == fact.subject).sum()
        if fact.value_entity < 0:
            assert lesson.value[number] == (tokens == fact.value[0]).sum()


def test_steps_and_chunks_are_inverse_and_passes_add_up(lesson: Lesson) -> None:
    order = Order.shuffled(SETTINGS.n_chunks, SETTINGS.batch, 4, np.random.default_rng(0))
    for epoch in range(4):
        steps = order.step_of(range(SETTINGS.n_chunks), epoch)
        assert all(chunk in order.batch(step) for chunk, step in enumerate(steps.tolist()))
    at = tuple(range(0, order.n_steps + 1, order.n_steps // 8))
    told = learning.told_between(lesson, order, at)
    own = lesson.corpus.statements
    once = np.bincount(np.unique(np.stack([own.fact, own.chunk]), axis=1)[0], minlength=len(lesson.k))
    assert np.array_equal(told.sum(0), 4 * once)  # four passes are four times the exposures
    assert np.array_equal(told[:2].sum(0), once)


def test_every_fact_gets_every_dose_and_forks_are_equally_long(lesson: Lesson, plan: Dosed) -> None:
    assert (lesson.k[plan.fact] == 0).all()
    assert len(set(plan.fact.tolist())) == len(plan.fact)
    assert np.array_equal(np.sort(plan.dose, axis=0), np.tile(np.array(SETTINGS.doses)[:, None], len(plan.fact)))
    assert len({len(chunks) for chunks in plan.chunks}) == 1
    assert len(plan.chunks) == len(TREATMENTS) * len(SETTINGS.doses)
    assert len(plan.chunks[0]) == len(TREATMENTS) * SETTINGS.n_dosed * sum(SETTINGS.doses)
    assert np.array_equal(np.sort(plan.treatment, axis=0), np.tile(np.arange(len(TREATMENTS))[:, None], len(plan.fact)))
    for block in plan.treatment:
        for fork in plan.dose:
            for treatment in range(len(TREATMENTS)):
                assert sorted(fork[block == treatment].tolist()) == sorted(SETTINGS.doses * SETTINGS.n_dosed)
    assert all(lesson.corpus.world.facts[number].value_entity < 0 for number in plan.fact.tolist())


@pytest.mark.parametrize("block", range(5))
def test_chunks_say_what_their_treatment_says(lesson: Lesson, plan: Dosed, block: int) -> None:
    world, stop = lesson.corpus.world, lesson.corpus.world.stop
    n_doses = len(SETTINGS.doses)
    forks = plan.chunks[block * n_doses : (block + 1) * n_doses]
    for place, number in enumerate(plan.fact.tolist()):
        name, fact = TREATMENTS[plan.treatment[block, place]], world.facts[number]
        subject = world.entities[fact.subject]
        pronoun = world.surfaces[fact.subject]["pronoun"][0]
        wordings = {world.wordings[w].words for w in world.wordings_of(fact.relation)}
        for fork, chunks in enumerate(forks):
            own = [chunk for chunk in chunks if chunk[: len(subject.name)] == subject.name and chunk[-4:-2] in wordings]
            if name.startswith("other"):
                assert not own  # nobody tells anything of the subject itself
                said = [chunk for chunk in chunks if chunk[-2:] == (*fact.value, stop) and chunk[-4:-2] in wordings]
                assert len(said) >= plan.dose[fork, place]
                continue
            assert len(own) == plan.dose[fork, place]
            for chunk in own:
                opening, told = chunk[: chunk.index(stop) + 1], chunk[chunk.index(stop) + 1 :]
                form = pronoun if name == "pronoun" else subject.name
                assert told[: len(form)] == form
                assert told[len(form) : -2] in wordings
                assert told[-2:] == (*fact.value, stop)
                stranger = opening[len(subject.name) + 1 : -1]
                assert any(one.name == stranger and one.pronoun != subject.pronoun for one in world.entities)


def test_too_few_untold_facts_are_refused(lesson: Lesson) -> None:
    with pytest.raises(SettingsError, match="untold facts"):
        dosed(lesson, LearningSettings(**{**SETTINGS.__dict__, "n_dosed": 50}), Seeds(0))


def test_slopes_are_of_each_fact_and_zero_where_only_the_answer_counts(plan: Dosed) -> None:
    base = np.random.default_rng(0).normal(size=len(plan.fact))
    gain = np.where(plan.treatment == TREATMENTS.index("named"), 0.3, 0.1)[:, None] * np.log2(1 + plan.dose)
    log_prob = (base + gain).reshape(len(plan.chunks), -1)
    slopes = plan.slopes(log_prob)
    assert slopes == pytest.approx({"named": 0.3, "named-again": 0.1, "pronoun": 0.1, "other": 0.1, "other-again": 0.1})
    numbers = learning.cause_numbers(plan, {"narrow": log_prob})
    assert numbers == pytest.approx(
        {"narrow/cause": 0.2, "narrow/cause_how": 0.2, "other-subjects/cause": 0.0, "put-back/cause_how": 0.2}
    )
    rows = {(name, dose): nats for name, dose, nats in plan.by_dose(log_prob)}
    assert rows["named", 8] == pytest.approx(0.3 * np.log2(9))
    assert rows["other", 2] == pytest.approx(0.1 * np.log2(3))
    assert rows["other", 0] == pytest.approx(0)


def test_a_table_of_word_pairs_cannot_tell_whose_answer_it_was(lesson: Lesson) -> None:
    """`cause` is 0 in a bigram: the same chunks about another subject change each fact's log-probability alike."""
    world = lesson.corpus.world
    asked, read = Asked(world), Pairs(world.vocab_size).read(lesson.corpus.tokens)
    number = int(np.flatnonzero(lesson.k == 0)[0])
    fact = world.facts[number]
    stranger = next(one.subject for one in world.facts if one.relation == fact.relation and one.subject != fact.subject)
    wording = int(world.wordings_of(fact.relation)[0])
    found = []
    for subject in (fact.subject, stranger):
        sentence = world.sentence(number, wording, subject=world.entities[subject].name)
        pairs = Pairs(world.vocab_size, read.counts).read(np.array([sentence]))
        found.append(asked.read(pairs.log_probs(asked.last).mean(1)).log_prob[number])
    assert found[0] == found[1]
    assert found[0] > asked.read(read.log_probs(asked.last).mean(1)).log_prob[number]


def test_pairs_and_favourites_by_counting(lesson: Lesson) -> None:
    pairs = Pairs(5).read(np.array([[2, 3, 2, 3, 0], [3, 4, 0, 0, 0]]))
    assert (pairs.counts[2, 3], pairs.counts[3, 2], pairs.counts[3, 4], pairs.counts.sum()) == (2, 1, 1, 4)
    assert np.exp(pairs.log_probs(np.array([2])))[0] == pytest.approx((np.array([0, 0, 0, 2, 0]) + 0.2) / 3)
    best = favourites(lesson.corpus.world, lesson.k)
    for name in lesson.corpus.world.values:
        own = [i for i, fact in enumerate(lesson.corpus.world.facts) if fact.relation == name]
        told = {}
        for i in own:
            value = lesson.corpus.world.facts[i].value
            told[value] = told.get(value, 0) + int(lesson.k[i])
        assert len({lesson.corpus.world.facts[i].value for i in own if best[i]}) <= 1
        assert all(told[lesson.corpus.world.facts[i].value] == max(told.values()) for i in own if best[i])


def test_what_is_asked_is_the_log_probability_of_the_value(lesson: Lesson) -> None:
    world = lesson.corpus.world
    state = fresh(SETTINGS, world, 8, 1e-3, [np.random.default_rng(i) for i in range(2)])
    known = Asked(world).ask(state.model)
    number = len(world.facts) // 2
    fact = world.facts[number]
    candidates = [value[0] for value in dict.fromkeys(world.values[fact.relation])]
    each = []
    for wording in world.wordings_of(fact.relation).tolist():
        prompt = torch.tensor(world.prompt(number, wording)).expand(2, 1, -1)
        with torch.no_grad():
            each.append(state.model(prompt)[:, 0, -1].log_softmax(-1).numpy())
    mean = np.mean(each, axis=0)
    assert known.log_prob[:, number] == pytest.approx(mean[:, fact.value[0]], abs=1e-5)
    others = [c for c in candidates if c != fact.value[0]]
    odds = mean[:, fact.value[0]] - np.logaddexp.reduce(mean[:, others], axis=1)
    assert known.odds[:, number] == pytest.approx(odds, abs=1e-5)
    assert known.right[:, number].tolist() == (mean[:, candidates].argmax(1) == candidates.index(fact.value[0])).tolist()


def test_forks_read_the_same_pages_and_their_own_chunks(lesson: Lesson, plan: Dosed) -> None:
    order = Order.shuffled(SETTINGS.n_chunks, SETTINGS.batch, 2, np.random.default_rng(0))
    draw, n_steps = reading_more(lesson.corpus.tokens, order, plan.chunks, 7, 5)
    seen: list[list[tuple[int, ...]]] = [[] for _ in plan.chunks]
    for step in range(5, 5 + n_steps):
        batch = draw(step)
        pages = batch.inputs[:, : SETTINGS.batch].numpy()
        assert (pages == pages[0]).all()
        assert np.array_equal(pages[0], lesson.corpus.tokens[order.batch(step), :-1])
        for fork, rows in enumerate(batch.inputs[:, SETTINGS.batch :].tolist()):
            seen[fork] += [tuple(token for token in row if token) for row in rows if any(row)]
    assert [sorted(own) for own in seen] == [sorted(chunks) for chunks in plan.chunks]
    plain = reading(lesson.corpus.tokens, [order, order])(5)
    assert torch.equal(plain.inputs[0], draw(5).inputs[0, : SETTINGS.batch])
    assert ((plain.targets == -100) == (torch.from_numpy(lesson.corpus.tokens[order.batch(5), 1:]) == 0)).all()


def test_a_fork_goes_on_as_the_training_did(lesson: Lesson) -> None:
    orders = [Order.shuffled(SETTINGS.n_chunks, SETTINGS.batch, 2, np.random.default_rng(i)) for i in range(2)]
    state = fresh(SETTINGS, lesson.corpus.world, 8, 1e-3, [np.random.default_rng(5)] * 2)
    tokens = lesson.corpus.tokens
    half, _ = go_on(state, reading(tokens, orders), 6)
    whole, _ = go_on(half, reading(tokens, orders), 4)
    alone, _ = go_on(forked(half, 1, 3), reading(tokens, [orders[1]] * 3), 4)
    for name, value in whole.model.state_dict().items():
        for run in range(3):
            assert torch.allclose(alone.model.state_dict()[name][run], value[1], atol=1e-6), name
    assert isinstance(half.model, Decoder)


def test_both_orders_begin_with_the_same_weights(lesson: Lesson) -> None:
    state = fresh(SETTINGS, lesson.corpus.world, 8, 1e-3, [Seeds(1)("weights")] * 1)
    again = fresh(SETTINGS, lesson.corpus.world, 8, 1e-3, [Seeds(1)("weights"), Seeds(1)("weights")])
    for name, value in again.model.state_dict().items():
        assert torch.equal(value[0], value[1])
        assert torch.equal(value[0], state.model.state_dict()[name][0])


def test_settings_that_make_no_experiment_are_refused() -> None:
    with pytest.raises(SettingsError, match="checkpoints"):
        LearningSettings(n_checkpoints=7)
    with pytest.raises(SettingsError, match="passes"):
        LearningSettings(n_epochs=3)
    with pytest.raises(SettingsError, match="doses"):
        LearningSettings(doses=(0, 2, 1))
    with pytest.raises(SettingsError, match="multiples of 8"):
        LearningSettings(large=12)
    with pytest.raises(SettingsError, match="frequent"):
        LearningSettings(rare=20)
