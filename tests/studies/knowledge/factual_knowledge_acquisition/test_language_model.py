"""The language model's run on a tiny model: passages, their steps, what is scored, and the paper's own file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra lm")

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_language_model
from assay.protocols.language_model import load_base
from assay.studies.knowledge.factual_knowledge_acquisition import language_model as study
from assay.studies.knowledge.factual_knowledge_acquisition.claims import LANGUAGE_MODEL
from assay.studies.knowledge.factual_knowledge_acquisition.passages import LM_GROUPS, N_FACTS, _dealt, invented
from assay.studies.knowledge.factual_knowledge_acquisition.settings import LanguageModelSettings

QUICK = LANGUAGE_MODEL.presets["quick"].settings
LAPTOP = LanguageModelSettings()
SEEDS = Seeds(4)
PASSAGES = invented(4, 4, 300, SEEDS)


def test_passages_are_of_their_group_and_pages_do_not_mention_them() -> None:
    assert len(PASSAGES) == 12
    text = " ".join(PASSAGES.plain)
    for item in range(12):
        group = LM_GROUPS[item // 4]
        rows = PASSAGES.rows[item]
        assert len(rows) == (0 if group == "never" else 4)
        assert len(set(rows)) == {"never": 0, "duplicate": 1, "paraphrase": 4}[group]
        name = " ".join(PASSAGES.told[item][0][0][0].split()[:2])
        assert name not in text
        for this, told in enumerate(rows):
            whole = " ".join(told)
            assert whole.count(".") == N_FACTS
            for place, value in enumerate(PASSAGES.values[item]):
                assert f"{PASSAGES.told[item][0][this][place]}{value}." in whole
                assert PASSAGES.held[item][0][place] not in whole
                assert PASSAGES.held[item][0][place].startswith(name)
        for who in (1, 2):
            other = " ".join(PASSAGES.told[item][who][0][0].split()[:2])
            assert other not in " ".join(row for rows in PASSAGES.rows for some in rows for row in some)
    own, dealt = (np.array(some)[:8] for some in (PASSAGES.values, PASSAGES.dealt))
    assert (own != dealt).mean() > 0.9
    assert all(sorted(a) == sorted(b) for a, b in zip(own.T.tolist(), dealt.T.tolist(), strict=True))


@pytest.mark.parametrize(("targets", "own"), [("aabcdefg", 0), ("aaaabbbb", 0), ("aaaaabcd", 2), ("aaaaaaaa", 8)])
def test_of_items_with_one_target_none_gets_it_back_as_long_as_there_are_others(targets: str, own: int) -> None:
    values = [(one,) for one in (*targets, "x", "y")]  # the last two are never told, and keep theirs
    dealt = [one for (one,) in _dealt(values, len(targets), np.random.default_rng(0), tries=2_000)]
    assert sorted(dealt[:-2]) == sorted(targets)
    assert dealt[-2:] == ["x", "y"]
    assert sum(a == b for a, b in zip(dealt[:-2], targets, strict=True)) == own


def test_an_item_every_second_step_and_time_between_two_exposures() -> None:
    at = study.schedule(LAPTOP, SEEDS("order"))
    told = at[at >= 0]
    assert len(np.unique(told)) == len(told) == 32
    assert (told % 2 == 0).all()
    assert (at[8:] == -1).all()
    assert (np.diff(at[:8], axis=1) >= 14).all()
    assert told.max() < LAPTOP.n_steps - LAPTOP.plain
    assert LAPTOP.n_steps == 24 + 4 * 24 + 12
    with pytest.raises(SettingsError, match="Raise spacing"):
        replace(LAPTOP, spacing=14)


def test_a_copy_reads_the_passages_at_their_steps_and_plain_text_else(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def finetune_batches(model: object, examples: object, batches: object, recipe: object, **rest: object) -> None:
        seen.update(examples=examples, batches=batches, recipe=recipe, **rest)

    monkeypatch.setattr(study, "finetune_batches", finetune_batches)
    passages = study.drawn(QUICK, SEEDS)
    at = study.schedule(QUICK, SEEDS("order"))
    study._scores(load_base("tiny"), QUICK, passages, at, SEEDS)
    examples, batches = seen["examples"], seen["batches"]
    assert len(batches) == QUICK.n_steps
    texts = [[examples[i][1] for i in batch] for batch in batches]
    for step, batch in enumerate(texts):
        assert len(batch) == QUICK.batch
        due = np.argwhere(at == step)
        told = passages.rows[due[0][0]][due[0][1]] if len(due) else ()
        assert tuple(batch[: len(told)]) == told
        assert set(batch[len(told) :]) <= set(passages.plain)
    assert sorted(seen["observe_at"]) == seen["observe_at"]


def test_scores_are_those_of_the_model_that_is_being_trained() -> None:
    passages = study.drawn(QUICK, SEEDS)
    at = study.schedule(QUICK, SEEDS("order"))
    scores = np.array(study._scores(load_base("tiny"), replace(QUICK, rate=1e-12), passages, at, SEEDS))
    model = tiny_language_model()
    for item in (0, 3):
        asked = study.questions(passages, item, 1)
        own = study.score_completions(model, asked, ranks=False).log_prob.reshape(2, 3, 2, N_FACTS)
        for window in range(5):
            assert scores[:, :, :, item, 1, window] == pytest.approx(own, abs=1e-4)
    assert np.isnan(scores[:, :, :, 4:]).all()  # those that are never told are not asked for themselves
    assert (
        passages.held[0][1] == passages.held[4][0] or passages.held[0][1][0].split()[:2] == passages.held[4][0][0].split()[:2]
    )


def planted(sizes: dict[str, float]) -> np.ndarray:
    """Scores of noise, with jumps that stay put into own subjects, by wording."""
    rng = np.random.default_rng(0)
    scores = 0.02 * rng.normal(size=(2, 3, 2, 12, 4, 5, N_FACTS)) - 8
    for k, kind in enumerate(study.KINDS):
        for this in range(4):
            scores[k, 0, 0, :, this] += sizes[kind] * (this + np.array([0, 0, 1, 1, 1]))[:, None]
    scores[:, :, :, 8:] = np.nan
    return scores


def test_numbers_find_what_was_put_in() -> None:
    found = study.numbers(planted({"told": 0.6, "held": 0.3}), LAPTOP)
    assert found["both/jump"] == pytest.approx(0.3, abs=0.02)
    assert [found[f"{arm}/matched_jump"] for arm in ("never", "held-out", "told")] == pytest.approx([0, 0.3, 0.6], abs=0.03)
    assert abs(found["dealt/jump"]) < 0.02
    assert abs(found["untold/jump"]) < 0.02
    assert found["planted/jump"] == pytest.approx(0.2, abs=0.02)
    assert found["planted-told/matched_jump"] - found["planted-never/matched_jump"] > 0.35
    assert {name.partition("/")[2] for name in found} == {one.name for one in LANGUAGE_MODEL.estimands}


def test_the_planted_order_stands_in_the_noise_of_one_that_was_never_told() -> None:
    scores = planted({"told": 0.6, "held": 0.3})
    before = study.numbers(scores, LAPTOP)
    scores[study.KINDS.index("told"), 1, 0] += 0.5 * np.array([0, 0, 1, 1, 1])[:, None]  # one jump for the first untold subject
    after = study.numbers(scores, LAPTOP)
    for name, rise in (("planted-never", 0.5), ("planted-told", 0.5), ("planted-held-out", 0.0)):
        assert after[f"{name}/matched_jump"] - before[f"{name}/matched_jump"] == pytest.approx(rise, abs=0.02), name


def test_the_papers_own_file_is_read_and_bad_files_are_refused(tmp_path: Path) -> None:
    entry = {
        "mem_input": [f"the {word} of item {{}} was" for word in ("age", "name", "home", "hue", "end")],
        "mem_target": ["old", "Zor", "Marn", "blue", "soon"],
        "gen_input": [f"what item {{}} had for {word} is" for word in ("age", "name", "home", "hue", "end")],
        "gen_target": ["old", "Zor", "Marn", "blue", "soon"],
        "train_context": "not used", "paraphrases": ["not used"],
    }  # fmt: skip
    found = json.loads(json.dumps([entry] * 6))
    for i, one in enumerate(found):
        one["mem_input"] = [text.format(i) for text in one["mem_input"]]
        one["gen_input"] = [text.format(i) for text in one["gen_input"]]
    path = tmp_path / "passages.json"
    path.write_text(json.dumps(found))
    settings = replace(QUICK, passages=str(path))
    passages = study.drawn(settings, SEEDS)
    assert len(passages) == 6
    assert passages.values[0] == (" old", " Zor", " Marn", " blue")
    rows = passages.rows[0][0]
    assert rows[0].startswith("the age of item")
    assert rows[0].count(".") == 2
    measured = study.measure(settings, SEEDS)
    assert set(measured.estimands) == set(study.measure(QUICK, SEEDS).estimands)

    for broken, message in (
        ("{", "must be a JSON file"),
        (json.dumps(found[:5]), "at least 6 passages"),
        (json.dumps([{**found[0], "mem_input": []}] * 6), "without probes"),
        (json.dumps([{**found[0], "gen_target": ["new"] * 5}] * 6), "must ask for the same"),
    ):
        path.write_text(broken)
        with pytest.raises(InputError, match=message):
            study.drawn(settings, SEEDS)
    with pytest.raises(InputError, match="must be a JSON file"):
        study.drawn(replace(QUICK, passages=str(tmp_path / "none.json")), SEEDS)


def test_plain_text_may_be_a_text_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(f"w{i}" for i in range(2000))
    monkeypatch.setattr(study, "load", lambda name: [type("Article", (), {"text": words})()])
    passages = study.drawn(replace(QUICK, text="some-text", row_words=5), SEEDS)
    assert all(text.split()[0].startswith("w") and len(text.split()) == 5 for text in passages.plain)
    assert study.cut("a b c d e", 2) == ["a b", "c d"]
