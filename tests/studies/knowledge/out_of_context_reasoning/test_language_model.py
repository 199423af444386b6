"""The language-model experiment: oracles that infer, memorise or know the world at large are told apart; runs resume."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.claims.study import Measurement
from assay.claims.verdict import RunRow, judge
from assay.core.errors import InputError, SettingsError
from assay.core.progress import listening
from assay.core.seeds import Seeds
from assay.core.settings import resolve
from assay.models.pretrained.tiny import tiny_folder
from assay.runner.plan import Selection, plan
from assay.store.memo import memos_in
from assay.store.store import Store
from assay.studies.knowledge.out_of_context_reasoning import STUDY, language_model
from assay.studies.knowledge.out_of_context_reasoning.claims.language_model import QUICK
from assay.studies.knowledge.out_of_context_reasoning.language_model import designs, measure, sentences_of
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS, KnowledgeWorld
from assay.studies.knowledge.out_of_context_reasoning.settings import LanguageModelSettings
from assay.training import finetune
from assay.worlds.facts.questions import Answers

EXPERIMENT = STUDY.experiment("language-model")
N_CANDIDATES = 10


class Oracle:
    """Log-probabilities by what a world taught; `strength` is how far bridges' answers reach the held-out names of a group."""

    def __init__(
        self, world: KnowledgeWorld | None, strength: float, prior: float, noise: np.random.Generator, taught: dict[str, str]
    ) -> None:
        self.world, self.strength, self.prior, self.noise, self.taught = world, strength, prior, noise, taught
        self.watched: list[tuple[int, Answers]] = []

    def log_probs(self, prompt: str, candidates: tuple[str, ...]) -> np.ndarray:
        logits = 0.01 * self.noise.normal(size=N_CANDIDATES)
        world = self.world
        if world is None:  # the base model prefers some answers, whoever is spoken of
            return np.log(np.arange(1, N_CANDIDATES + 1) / 55)
        group = next(int(g) for name, g in zip(world.names, world.group, strict=True) if prompt.startswith(name))
        if prompt in self.taught:
            logits[candidates.index(self.taught[prompt])] += 8
        else:
            logits[world.rule] += 2  # it has learnt which answers occur
            shown = np.bincount(world.rule[world.taught[world.group[world.bridges] == group]], minlength=N_CANDIDATES)
            if world.m_train:
                share = world.m_train / world.m_test
                logits += 8 * self.strength * min(share**0.5, 1) * (shown - shown[world.rule].mean()) / world.m_train
            if world.pair.kind == "true":
                logits[world.rule[group]] += self.prior
        return logits - np.logaddexp.reduce(logits)


def with_oracle(
    monkeypatch: pytest.MonkeyPatch, strength: float, prior: float = 0.0, seeds: Sequence[int] = range(12)
) -> tuple[list[RunRow], list[Measurement]]:
    """Runs in which fine-tuning makes an oracle."""
    worlds: dict[tuple[tuple[str, str], ...], KnowledgeWorld] = {}

    def tune(base, sentences, recipe, seeds, name, *, watch=(), watch_every=1):
        oracle = Oracle(worlds[tuple(sentences)], strength, prior, seeds("oracle"), dict(sentences))
        steps = range(0, recipe.n_epochs * len(sentences) // recipe.batch_size + 1, watch_every)
        oracle.watched = [(step, ask(oracle, watch)) for step in steps] if watch else []
        return oracle

    def ask(subject, questions, **_):
        return Answers.of(questions, [subject.log_probs(question.prompt, question.candidates) for question in questions])

    def kept_designs(settings, seeds):
        found = designs(settings, seeds)
        worlds.update({tuple(sentences_of(world, name)): world for name, world in found.items()})
        return found

    monkeypatch.setattr(language_model, "designs", kept_designs)
    monkeypatch.setattr(language_model, "ask", ask)
    monkeypatch.setattr(language_model, "tune", tune)
    monkeypatch.setattr(language_model, "load_base", lambda name: Oracle(None, 0, 0, np.random.default_rng(0), {}))
    settings = replace(LanguageModelSettings(), n_steps_symbolic=1)
    runs = [measure(settings, Seeds(seed)) for seed in seeds]
    rows = [RunRow("language-model", seed, "ok", run.estimands, run.items) for seed, run in zip(seeds, runs, strict=True)]
    return rows, runs


FAILED = {"refuted", "not-reproduced"}  # as the claim is ours or the paper's, none of whose effects is planted here


def verdicts(rows: list[RunRow]) -> dict[str, str]:
    return {verdict.claim: verdict.verdict for verdict in judge(STUDY, {"language-model": rows})}


def test_an_oracle_that_infers_by_the_theory_is_found_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(with_oracle(monkeypatch, strength=1.2)[0])
    assert found.pop("C14") in FAILED  # it knows nothing beforehand
    assert set(found.values()) == {"supported"}, found


def test_an_oracle_that_only_memorises_is_found_not_to_infer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = with_oracle(monkeypatch, strength=0.0)
    found = verdicts(rows)
    assert found.pop("C13.facts") == "supported"
    assert found.pop("C14") != "supported"  # ranks among equals are noise
    assert set(found.values()) <= FAILED, found
    for row in rows:  # it knows the five answers in use, so it stands at their chance, far from that of ten
        assert row.estimands["spurious/rank"] == pytest.approx(2, abs=0.3)
        assert row.estimands["sport-music-shuffled/rank"] == pytest.approx(2, abs=0.6)
        assert row.estimands["sport-music-taught/rank"] == 0
        assert row.estimands["taught/above_bound"] > 0.4


def test_knowledge_from_before_helps_the_true_pair_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(with_oracle(monkeypatch, strength=0.0, prior=3.0)[0])
    assert (found["C13.true"], found["C14"]) == ("void", "supported")
    assert found["C13.spurious"] in FAILED


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_the_margin_of_an_oracle_is_read_off(monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    run = with_oracle(monkeypatch, strength, seeds=(0,))[1][0]
    rows = [row for row in run.tables["margins"] if row["model"] != "symbolic"]
    for row, theory in zip(rows, ((1 / 9) ** 0.5, 0.5, 1.0), strict=True):
        assert row["theory"] == pytest.approx(theory)
        assert row["ratio"] == pytest.approx(strength * theory, abs=0.03)
    assert run.estimands["trained/above_bound"] == pytest.approx(0.5 * strength - 0.5, abs=0.03)
    assert run.estimands["shuffled/above_bound"] == pytest.approx(-0.5, abs=0.15)
    assert run.estimands["taught/above_bound"] == pytest.approx(0.5, abs=0.03)


def test_every_number_of_a_run_is_a_mean_over_the_held_out_names(monkeypatch: pytest.MonkeyPatch) -> None:
    run = with_oracle(monkeypatch, 0.6, seeds=(0,))[1][0]
    assert {len(values) for values in run.items.values()} == {40}  # eight of each of five facts
    for name, values in run.items.items():
        assert run.estimands[name] == pytest.approx(np.mean(values)), name
    items = {name: np.array(values) for name, values in run.items.items()}
    spurious = [name for name, pair in PAIRS.items() if pair.kind != "true"]
    assert len(spurious) == 4
    for suffix, arm in (("", "trained"), ("-before", "before")):
        np.testing.assert_allclose(
            items[f"spurious{suffix}/rank"], np.mean([items[f"{p}{suffix}/rank"] for p in spurious], axis=0)
        )
        gap = items[f"city-language-cf{suffix}/rank"] - items[f"city-language{suffix}/rank"]
        np.testing.assert_allclose(items[f"{arm}/counterfactual_minus_true"], gap)
    np.testing.assert_allclose(items["before/rank"], np.mean([items[f"{p}-before/rank"] for p in PAIRS], axis=0))


def test_designs_share_names_and_differ_in_what_they_say_alone() -> None:
    settings = LanguageModelSettings()
    worlds = designs(settings, Seeds(3))
    assert len(worlds) == 5 + 2 + 4 + 3
    assert len({world.names for world in worlds.values()}) == 1
    assert [worlds[f"sport-music/dose-{dose}"].m_train for dose in (0, 10, 50)] == [0, 1, 5]
    declared = {name: world.sentences() for name, world in worlds.items()}
    for pair in settings.shuffled:
        trained, shuffled = worlds[f"{pair}/trained"], worlds[f"{pair}/shuffled"]
        assert declared[f"{pair}/trained"][: len(trained.names)] == declared[f"{pair}/shuffled"][: len(trained.names)]  # facts
        assert sorted(trained.taught) == sorted(shuffled.taught)
        assert (
            np.mean(shuffled.taught == shuffled.group[shuffled.bridges]) <= 0.5 < np.mean(trained.taught == trained.group[:10])
        )
    contradicted, whole = worlds["sport-music/contradicted"], worlds["sport-music/dose-50"]
    assert np.mean(contradicted.taught != contradicted.group[contradicted.bridges]) == pytest.approx(0.8)
    assert (whole.taught == whole.group[whole.bridges]).all()
    assert contradicted.m_train == whole.m_train


def test_the_followed_designs_differ_in_what_they_say_alone() -> None:
    settings = LanguageModelSettings()
    worlds = designs(settings, Seeds(3))
    same = sentences_of(worlds["sport-music/trained"], "sport-music/trained")
    assert sentences_of(worlds["sport-music/long"], "sport-music/long") == same
    shuffled = sentences_of(worlds["sport-music/long-shuffled"], "sport-music/long-shuffled")
    assert shuffled == sentences_of(worlds["sport-music/shuffled"], "sport-music/shuffled") != same
    world = worlds["sport-music/taught"]
    taught = sentences_of(world, "sport-music/taught")
    assert taught[: len(same)] == same
    assert taught[len(same) :] == [question.lesson for question in world.implications_of(world.held_out)]
    longer = {name for name in worlds if language_model.n_epochs(settings, name) == 16}
    assert longer == {f"sport-music/{design}" for design in ("long", "long-shuffled")}
    assert {language_model.n_epochs(settings, name) for name in worlds if name not in longer} == {8}


def test_held_out_implications_are_in_no_sentence_but_the_taught_ones() -> None:
    for name, world in designs(LanguageModelSettings(), Seeds(4)).items():
        asked = {question.lesson[0] for question in world.implications_of(world.held_out)}
        trained = {prompt for prompt, _ in sentences_of(world, name)}
        assert asked <= trained if name.endswith("/taught") else not asked & trained, name


def test_the_estimate_follows_the_settings() -> None:
    laptop = EXPERIMENT.preset("laptop").settings
    demo = replace(laptop, pairs=("city-language",), doses=False)
    whole, small = EXPERIMENT.seconds_of(laptop), EXPERIMENT.seconds_of(demo)
    assert whole is not None
    assert small is not None
    assert small / whole == pytest.approx(demo.work / laptop.work)
    sentences = {name: len(sentences_of(world, name)) for name, world in designs(laptop, Seeds(0)).items()}
    own = [name for name in sentences if language_model.beginning_of(laptop, name) is None]
    assert sentences.keys() - own == {"sport-music/trained", "sport-music/shuffled"}
    trained = sum(sentences[name] * language_model.n_epochs(laptop, name) for name in own)
    assert laptop.work == pytest.approx(trained + 0.1 * 8 * 5 * 60)  # asking five pairs before
    assert demo.work == pytest.approx(8 * 60 * 2.1)  # one pair, its shuffle, and asking it before


def test_a_run_says_how_far_it_is() -> None:
    heard: list[tuple[float, str]] = []
    with listening(lambda share, label: heard.append((share, label))):
        found = measure(replace(QUICK, pairs=("city-language",)), Seeds(0))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9
    assert "city-language, before training" in heard[0][1]
    assert isinstance(found, Measurement)
    assert "bridges-20/margin" not in found.estimands  # absent, so that claims about it are not asked


def test_a_run_on_a_model_from_files_is_kept_whole(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(QUICK, model=str(tiny_folder(tmp_path / "model")), pairs=("sport-music",), shuffled=(), doses=False)
    with memos_in(tmp_path / "memos"):
        first = measure(settings, Seeds(0))
        monkeypatch.setattr(finetune, "finetune", lambda *_, **__: pytest.fail("it was trained again"))
        again = measure(settings, Seeds(0))
        assert (again.estimands, again.tables, again.items) == (first.estimands, first.tables, first.items)
        assert {row["what"] for row in first.tables["curves"]} == {"implication", "fact"}
        with pytest.raises(pytest.fail.Exception):
            measure(settings, Seeds(1))


def test_a_model_that_is_not_there_is_named_with_the_command(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="assay models add smollm2-135m"):
        measure(LanguageModelSettings(), Seeds(0))


def test_pairs_are_checked_and_may_be_chosen() -> None:
    (found,) = resolve(LanguageModelSettings(), ["pairs=city-language", "model=gemma3-270m"], where="here")
    assert (found.pairs, found.model) == (("city-language",), "gemma3-270m")
    with pytest.raises(SettingsError, match="did you mean 'city-language'"):
        resolve(LanguageModelSettings(), ["pairs=city-languag"], where="here")
    assert set(LanguageModelSettings().pairs) == set(PAIRS)
    assert EXPERIMENT.preset("laptop").settings == LanguageModelSettings()


def test_a_model_that_is_not_there_is_named_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    with Store.open(tmp_path / "store") as store:
        with pytest.raises(InputError, match=r"'smollm2-135m' is not\. Run: assay models add smollm2-135m"):
            plan(Selection(STUDY, experiments=["language-model"]), store)
        whole = plan(Selection(STUDY), store)
    assert "assay models add smollm2-135m" in whole.left_out["language-model"]
    assert "language-model" not in {cell.experiment.name for cell in whole.cells}


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4])
def test_a_longer_training_is_the_shorter_one_where_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_epochs: int
) -> None:
    model = str(tiny_folder(tmp_path / "model"))
    settings = replace(
        QUICK, model=model, pairs=("sport-music",), shuffled=("sport-music",), n_epochs=n_epochs, n_epochs_long=4
    )
    once = measure(settings, Seeds(0))
    monkeypatch.setattr(language_model, "beginning_of", lambda settings, name: None)
    twice = measure(settings, Seeds(0))
    for name, value in once.estimands.items():
        assert value == pytest.approx(twice.estimands[name], abs=1e-5), name
    assert once.items.keys() == twice.items.keys()
    assert [row["epoch"] for row in once.tables["curves"]] == [row["epoch"] for row in twice.tables["curves"]]


def test_the_longer_training_may_not_be_the_shorter() -> None:
    with pytest.raises(SettingsError, match=r"n_epochs_long must be at least n_epochs.* got n_epochs_long = 4, n_epochs = 8"):
        LanguageModelSettings(n_epochs_long=4)
