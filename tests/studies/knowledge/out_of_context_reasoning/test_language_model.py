"""The language-model experiment: oracles that infer, memorise or know the world at large are told apart; runs resume."""

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
from assay.runner.plan import plan
from assay.store.memo import memos_in
from assay.store.store import Store
from assay.studies.knowledge.out_of_context_reasoning import STUDY, language_model
from assay.studies.knowledge.out_of_context_reasoning.language_model import QUICK, Settings, designs, measure
from assay.studies.knowledge.out_of_context_reasoning.people import PAIRS, KnowledgeWorld
from assay.training import finetune
from assay.worlds.facts.questions import Answers

EXPERIMENT = STUDY.experiment("language-model")
N_CANDIDATES = 10


class Oracle:
    """Log-probabilities by what a world taught; `strength` is how far bridges' answers reach the held-out names of a group."""

    watched = ()

    def __init__(self, world: KnowledgeWorld | None, strength: float, prior: float, noise: np.random.Generator) -> None:
        self.world, self.strength, self.prior, self.noise = world, strength, prior, noise

    def log_probs(self, prompt: str, candidates: tuple[str, ...]) -> np.ndarray:
        logits = 0.01 * self.noise.normal(size=N_CANDIDATES)
        world = self.world
        if world is None:  # the base model prefers some answers, whoever is spoken of
            return np.log(np.arange(1, N_CANDIDATES + 1) / 55)
        taught = dict(world.sentences())
        group = next(int(g) for name, g in zip(world.names, world.group, strict=True) if prompt.startswith(name))
        if prompt in taught:
            logits[candidates.index(taught[prompt])] += 8
        else:
            logits[world.rule] += 2  # it has learnt which answers occur
            shown = np.bincount(world.rule[world.taught[world.group[world.bridges] == group]], minlength=N_CANDIDATES)
            if world.m_train:
                share = world.m_train / world.m_test
                logits += 8 * self.strength * min(share**0.5, 1) * (shown - shown[world.rule].mean()) / world.m_train
            if world.pair.kind == "true":
                logits[world.rule[group]] += self.prior
        return logits - np.logaddexp.reduce(logits)


def with_oracle(monkeypatch: pytest.MonkeyPatch, strength: float, prior: float = 0.0) -> list[RunRow]:
    """Twelve runs in which fine-tuning makes an oracle."""
    worlds: dict[tuple[tuple[str, str], ...], KnowledgeWorld] = {}

    def tune(base, sentences, recipe, seeds, name, **_):
        return Oracle(worlds[tuple(sentences)], strength, prior, seeds("oracle"))

    def ask(subject, questions, **_):
        return Answers.of(questions, [subject.log_probs(question.prompt, question.candidates) for question in questions])

    def kept_designs(settings, seeds):
        found = designs(settings, seeds)
        worlds.update({tuple(world.sentences()): world for world in found.values()})
        return found

    monkeypatch.setattr(language_model, "designs", kept_designs)
    monkeypatch.setattr(language_model, "ask", ask)
    monkeypatch.setattr(language_model, "tune", tune)
    monkeypatch.setattr(language_model, "load_base", lambda name: Oracle(None, 0, 0, np.random.default_rng(0)))
    settings = replace(Settings(), n_steps_symbolic=1)
    found = []
    for seed in range(12):
        run = measure(settings, Seeds(seed))
        found.append(RunRow("language-model", seed, "ok", run.estimands, run.items))
    return found


FAILED = {"refuted", "not-reproduced"}  # as the claim is ours or the paper's, none of whose effects is planted here


def verdicts(rows: list[RunRow]) -> dict[str, str]:
    return {verdict.claim: verdict.verdict for verdict in judge(STUDY, {"language-model": rows})}


def test_an_oracle_that_infers_by_the_theory_is_found_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(with_oracle(monkeypatch, strength=1.2))
    assert found.pop("C14") in FAILED  # it knows nothing beforehand
    assert set(found.values()) == {"supported"}, found


def test_an_oracle_that_only_memorises_is_found_not_to_infer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = with_oracle(monkeypatch, strength=0.0)
    found = verdicts(rows)
    assert found.pop("C13.facts") == "supported"
    assert found.pop("C14") != "supported"  # ranks among equals are noise
    assert set(found.values()) <= FAILED, found
    for row in rows:  # it knows the five answers in use, so it stands at their chance, far from that of ten
        assert row.estimands["spurious/rank"] == pytest.approx(2, abs=0.3)
        assert row.estimands["sport-music/rank_shuffled"] == pytest.approx(2, abs=0.6)
        assert row.estimands["dose/share/0"] == pytest.approx(0.2, abs=0.01)


def test_knowledge_from_before_helps_the_true_pair_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(with_oracle(monkeypatch, strength=0.0, prior=3.0))
    assert (found["C13.true"], found["C14"]) == ("void", "supported")
    assert found["C13.spurious"] in FAILED


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_the_margin_of_an_oracle_is_read_off(monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    row = with_oracle(monkeypatch, strength)[0]
    for dose, theory in ((10, (2 / 18) ** 0.5), (20, 0.5), (50, 1.0)):
        assert row.estimands[f"dose/margin_ratio/{dose}"] == pytest.approx(strength * theory, abs=0.02)
    assert row.estimands["shuffled/above_bound"] == pytest.approx(-0.5, abs=0.1)


def test_designs_share_names_and_differ_in_what_the_bridges_show() -> None:
    worlds = designs(Settings(), Seeds(3))
    assert len(worlds) == 5 + 2 + 4
    assert len({world.names for world in worlds.values()}) == 1
    assert [worlds[f"sport-music/dose-{dose}"].m_train for dose in (0, 10, 50)] == [0, 2, 10]
    contradicted = worlds["sport-music/contradicted"]
    assert np.mean(contradicted.taught != contradicted.group[contradicted.bridges]) == pytest.approx(0.7)


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
    assert "dose/share/20" not in found.estimands  # absent, so that claims about it are void


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
        measure(Settings(), Seeds(0))


def test_pairs_are_checked_and_may_be_chosen() -> None:
    (found,) = resolve(Settings(), ["pairs=city-language", "model=gemma3-270m"], where="here")
    assert (found.pairs, found.model) == (("city-language",), "gemma3-270m")
    with pytest.raises(SettingsError, match="did you mean 'city-language'"):
        resolve(Settings(), ["pairs=city-languag"], where="here")
    assert set(Settings().pairs) == set(PAIRS)
    assert EXPERIMENT.preset("laptop").settings == Settings()


def test_a_model_that_is_not_there_is_named_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    with Store.open(tmp_path / "store") as store:
        with pytest.raises(InputError, match=r"'smollm2-135m' is not\. Run: assay models add smollm2-135m"):
            plan(STUDY, store, experiments=["language-model"])
        whole = plan(STUDY, store)
    assert "assay models add smollm2-135m" in whole.left_out["language-model"]
    assert "language-model" not in {cell.experiment.name for cell in whole.cells}
