"""The two-hop experiment on a language model: oracles that follow, guess or go by place are told apart; runs resume."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from assay.claims.verdict import RunRow, judge
from assay.core.errors import InputError
from assay.core.progress import listening
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import load
from assay.models.pretrained.named import base_model
from assay.models.pretrained.tiny import tiny_folder
from assay.protocols.language_model import load_base
from assay.runner.plan import Selection, plan
from assay.store.memo import memos_in
from assay.store.store import Store
from assay.studies.mechanisms.two_hop_reasoning import STUDY, language_model
from assay.studies.mechanisms.two_hop_reasoning.heads import Looked
from assay.studies.mechanisms.two_hop_reasoning.language_model import (
    answers_to,
    fares,
    measure,
    measure_nulls,
    numbers,
    prompts_of,
)
from assay.studies.mechanisms.two_hop_reasoning.prompts import ENDINGS, STEMS, WORDINGS, Names
from assay.studies.mechanisms.two_hop_reasoning.settings import ModelSettings
from assay.training import finetune
from assay.worlds.facts.questions import Answers

QUICK = ModelSettings(model="tiny", n_training=4, batch_size=2, n_asked=2)
NAMES = {stem + ending for stem in STEMS for ending in ENDINGS.values()}
CERTAIN = 6.0  # nats between the oracle's choice and another name


class Oracle:
    """Answers by a rule that sees the text of a prompt and the candidates; names no end where the rule finds none."""

    def __init__(self, rule: str) -> None:
        self.rule = rule

    def choice(self, prompt: str, candidates: tuple[str, ...]) -> str:
        *told, asked_for = [[word for word in re.findall(r"\w+", part) if word in NAMES] for part in prompt.split(". ")]
        edges = {parent: child for parent, child in told}
        ends = [name.strip() for name in candidates[:-1]]
        if self.rule == "follow":
            node = asked_for[0]
            while node in edges:
                node = edges[node]
            return node
        if self.rule == "place":  # the first source has the first end, and so on: reads the question, not the bridges
            sources = [parent for parent in edges if parent not in edges.values() and edges[parent] not in ends]
            in_order = sorted(ends, key=list(edges.values()).index)
            return in_order[sources.index(asked_for[0])] if asked_for[0] in sources else in_order[0]
        return min(ends)  # an answer that does not depend on the question

    def log_probs(self, prompt: str, candidates: tuple[str, ...]) -> np.ndarray:
        chosen = self.choice(prompt, candidates)
        logits = np.array([CERTAIN * (name.strip() == chosen) for name in candidates])
        return logits - np.logaddexp.reduce(logits) - 0.1


@pytest.fixture
def oracles(monkeypatch: pytest.MonkeyPatch):
    """Replaces the base model and what fine-tuning makes of it; returns the rows of some runs."""

    def ask(subject, questions, **_):
        return Answers.of(questions, [subject.log_probs(question.prompt, question.candidates) for question in questions])

    def runs(before: str, after: str) -> list[RunRow]:
        monkeypatch.setattr(language_model, "ask", ask)
        monkeypatch.setattr(language_model, "load_base", lambda name: Oracle(before))
        monkeypatch.setattr(language_model, "tune", lambda *_, **__: Oracle(after))
        follows = after == "follow"
        right = {"whole": [1.0] * 16, "bridge-heads": [0.5] * 16, "other-heads": [0.5 + 0.5 * follows] * 16}
        monkeypatch.setattr(
            language_model, "looks", lambda model, *_: Looked([0.5 * (follows and model.rule == "follow")] * 16, right)
        )
        found = [measure(ModelSettings(n_training=2, n_asked=32, precision="float32"), Seeds(seed)) for seed in range(5)]
        return [RunRow("language-model", seed, "ok", run.estimands, run.items) for seed, run in enumerate(found)]

    return runs


def test_heads_are_read_in_prompts_with_a_path_and_in_cut_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def look(model, prompts, without_path, share, rng):
        given.update(path=prompts, cut=without_path, share=share)
        return Looked([0.5], {})

    monkeypatch.setattr(language_model, "look", look)
    settings = ModelSettings(n_asked=8)
    assert language_model.looks(Oracle("follow"), settings, Seeds(0), Names.split(Seeds(0)("names"))).end_margin == [0.5]
    assert (len(given["path"]), len(given["cut"]), given["share"]) == (8, 4, settings.cut_share)
    for kind in ("path", "cut"):
        for prompt in given[kind]:
            leads = [told == bridge for told, (_, bridge, _) in zip(prompt.told, prompt.chains, strict=True)]
            assert leads == [kind == "path"] * 2


FAILED = {"refuted", "not-reproduced"}  # as the claim is ours or the paper's, none of whose effects is planted here


def verdicts(rows: list[RunRow]) -> dict[str, str]:
    return {verdict.claim: verdict.verdict for verdict in judge(STUDY, {"language-model": rows})}


def test_an_oracle_that_learns_to_follow_supports_every_claim(oracles) -> None:
    rows = oracles("guess", "follow")
    assert set(verdicts(rows).values()) == {"supported"}
    for row in rows:
        for k in (2, 3, 4, 5):
            assert row.estimands[f"before-{k}/right"] == pytest.approx(1 / k)  # exactly: every source is asked
            assert row.estimands[f"after-{k}/right"] == row.estimands[f"any-{k}/right"] == 1
        assert row.estimands["before-2/log_ratio"] == pytest.approx(0, abs=1e-12)
        assert row.estimands["after-2/log_ratio"] == pytest.approx(CERTAIN)
        assert row.estimands["one-hop-2/right"] == row.estimands["after-more/right"] == 1
        assert len(row.items["after-more/right"]) == 3 * 32


def test_an_oracle_that_goes_on_guessing_supports_none(oracles) -> None:
    found = verdicts(oracles("guess", "guess"))
    assert (found.pop("C7.before.lm"), found.pop("C9.cut.lm")) == ("void", "void")  # nothing shows that the measure could tell
    assert set(found.values()) <= FAILED, found


def test_an_oracle_that_goes_by_place_is_found_out(oracles) -> None:
    rows = oracles("guess", "place")
    found = verdicts(rows)
    assert {found[name] for name in ("C7.after.lm", "C7.length.lm")} <= FAILED
    assert found["C7.order.lm"] != "supported"
    after, cut, mixed = (np.mean([row.estimands[f"{kind}-2/right"] for row in rows]) for kind in ("after", "cut", "any"))
    assert after == pytest.approx(cut, abs=0.1)  # place tells as much where there is no path
    assert after > 0.6 > mixed - 0.05  # and more than guessing only while chains are told in order


def test_an_oracle_that_follows_from_the_start_is_not_called_a_guesser(oracles) -> None:
    found = verdicts(oracles("follow", "follow"))
    assert found["C7.before.lm"] in FAILED
    assert found["C7.after.lm"] == "supported"


def test_prompts_of_a_run_are_the_same_before_and_after_and_have_only_new_names() -> None:
    settings, names = replace(QUICK, n_asked=8), Names.split(Seeds(3)("names"))
    for kind in ("in order", "any", "cut", "wording"):
        found = prompts_of(kind, 3, settings, Seeds(3), names)
        assert found == prompts_of(kind, 3, settings, Seeds(3), names)
        used = {name for prompt in found for chain in prompt.chains for name in chain}
        assert all(name.startswith(names.new) and not name.startswith(names.training) for name in used)
        assert {prompt.wording.held_out for prompt in found} == {kind == "wording"}
    assert len(WORDINGS) == 12


def test_a_copy_is_trained_on_chains_of_the_other_names_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, list[tuple[str, str]], Any]] = []
    monkeypatch.setattr(language_model, "tune", lambda base, lessons, recipe, seeds, name: told.append((base, lessons, recipe)))
    settings, names = replace(QUICK, n_training=160), Names.split(Seeds(3)("names"))
    base = load_base("tiny")
    language_model.tuned(base, settings, Seeds(3), names)
    ((given, lessons, recipe),) = told
    assert given is base
    assert (recipe.method, recipe.lora_rank, recipe.parts) == (
        "lora",
        settings.lora_rank,
        ("q_proj", "k_proj", "v_proj", "o_proj"),
    )
    assert len(lessons) == 160
    asked = set()
    for prompt, answer in lessons:
        *premises, question = re.split(r"(?<=\.) ", prompt)
        pairs = [[word for word in re.findall(r"\w+", premise) if word in NAMES] for premise in premises]
        edges, (source,) = dict(pairs), [word for word in re.findall(r"\w+", question) if word in NAMES]
        assert all(name.startswith(names.training) for pair in pairs for name in pair)
        assert len(pairs) == 4
        assert f" {edges[edges[source]]}" == answer
        for place, (parent, _) in enumerate(pairs):  # a chain's second premise comes after its first
            assert parent not in {child for _, child in pairs[place + 1 :]}
        asked.add(question.replace(source, "{}"))
    assert asked == {wording.question for wording in WORDINGS if not wording.held_out}


def test_the_shares_are_those_of_a_model(tmp_path) -> None:
    # Against probabilities computed one sequence at a time, without packing.
    model, names = base_model("tiny"), Names.split(Seeds(0)("names"))
    settings = replace(QUICK, n_asked=1, precision="float32")
    (prompt,) = prompts_of("in order", 2, settings, Seeds(0), names)
    said = answers_to(load_base("tiny"), {"before-2": ("in order", 2, 2)}, settings, Seeds(0), names)
    found = fares(said["before-2"], 2)
    chosen = np.zeros((2, 2))
    for chain in range(2):
        start = len(model.tokenizer(prompt.question(chain)).input_ids)
        for place, end in enumerate(prompt.ends):
            ids = torch.tensor(model.tokenizer(f"{prompt.question(chain)} {end}").input_ids)
            with torch.no_grad():
                log_probs = model.model(ids[None]).logits[0].log_softmax(-1)
            chosen[chain, place] = sum(float(log_probs[i - 1, ids[i]]) for i in range(start, len(ids)))
    assert found.target[0] == pytest.approx(np.exp(chosen.diagonal()).mean(), rel=1e-4)
    assert found.distractor[0] == pytest.approx(np.exp(chosen[[0, 1], [1, 0]]).mean(), rel=1e-4)
    assert found.log_ratio[0] == pytest.approx((chosen.diagonal() - chosen[[0, 1], [1, 0]]).mean(), abs=1e-4)
    assert found.right[0] == np.mean(chosen.argmax(axis=1) == [0, 1])


def test_a_single_chain_has_no_distractor() -> None:
    names = Names.split(Seeds(0)("names"))
    said = answers_to(load_base("tiny"), {"before-1": ("in order", 1, 2)}, QUICK, Seeds(0), names)
    estimands, tables, items = numbers(said)
    assert estimands["before-1/ends"] == estimands["before-1/right_end"]
    assert not [row for row in tables["probabilities"] if row["what"] == "each other end"]
    assert set(items) == {"before-1/right"}


def test_a_run_on_a_model_from_files_is_kept_and_another_is_not(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(tiny_folder(tmp_path / "model"))
    model.model.config.max_position_embeddings = 2048
    model.save(tmp_path / "long")
    settings = replace(QUICK, model=str(tmp_path / "long"), precision="float32")
    with memos_in(tmp_path / "memos"):
        first = measure(settings, Seeds(0))
        monkeypatch.setattr(finetune, "finetune", lambda *_, **__: pytest.fail("it was trained again"))
        assert repr(measure(settings, Seeds(0))) == repr(first)
        for seed, other in ((1, settings), (0, replace(settings, learning_rate=3e-3))):
            with pytest.raises(pytest.fail.Exception):
                measure(other, Seeds(seed))


def test_a_run_says_how_far_it_is_and_leaves_the_base_model_alone() -> None:
    heard: list[tuple[float, str]] = []
    with listening(lambda share, label: heard.append((share, label))):
        measure(QUICK, Seeds(0))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert any("fine-tuning, step 1 of 2" in label and "nats" in label for _, label in heard)


def test_a_model_that_is_not_there_is_named_before_anything_starts(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    with Store.open(tmp_path / "store") as store:
        with pytest.raises(InputError, match="assay models add smollm2-135m"):
            plan(Selection(STUDY, experiments=["language-model"]), store)
        assert "language-model" in plan(Selection(STUDY), store).left_out


def test_who_follows_nothing_is_right_as_often_as_chance_and_place_allow() -> None:
    found = measure_nulls(replace(QUICK, n_asked=400), Seeds(0)).estimands
    assert (found["constant/right"], found["constant/log_ratio"]) == (0.5, pytest.approx(0))
    assert found["place/right"] == pytest.approx(4 / 6, abs=0.06)  # four of six interleavings of two chains keep their places
    assert found["place/log_ratio"] == pytest.approx((4 / 6 - 2 / 6) * np.log(2), abs=0.1)
