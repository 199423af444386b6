"""The audit of preferences on tiny models: what is said is what comes, nothing changes where nothing was trained."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.kept import KeptAudits
from assay.audit.pairs import Pair, Pairs, as_texts, in_tokens, read_pairs
from assay.audit.preference import audit_pairs, pair_recipe
from assay.audit.preference_advice import pair_advice
from assay.audit.preference_mitigations import CLOSE, FILTER, RANDOM, chosen_for_pairs
from assay.audit.preference_record import PAIR_COLUMNS, PairArm, PairAudit
from assay.audit.record import Harm
from assay.core.errors import Diverged, InputError
from assay.instruments.displacement import forecast_alone, similarities
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.tiny import tiny_language_model
from assay.training.preference import PreferenceRecipe, answer_log_probs

WORDS = ("no", "yes", "go", "on", "up", "is", "it", "so")
RECIPE = replace(pair_recipe(), learning_rate=3e-3, n_epochs=1, batch_size=8)
TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def pairs_of(n: int, per_prompt: int = 1) -> Pairs:
    made = [
        Pair(i + 1, f"q{i // per_prompt}:", f" {WORDS[i % 8]} a", f" {WORDS[(3 * i + 1) % 8]}" + " b" * (i % 3))
        for i in range(n)
    ]
    return Pairs("pairs", tuple(made))


def written(folder: Path, rows: Sequence[Any], name: str = "pairs.jsonl") -> Path:
    file = folder / name
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def row(prompt: Any = "q:", chosen: Any = " yes", rejected: Any = " no") -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


# ---------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(), row("p:", " a", " a")], "line 2: the answers of a pair must differ"),
        ([row(chosen=""), row(rejected="  ")], r"(?s)2 faults.*line 1: an answer must not be empty; chosen is.*line 2"),
        ([row(), row("p:"), row("q:", " no", " yes")], "lines 1 and 3: a pair must be told one way"),
        (
            [row(), {"prompt": "q:", "answer": " yes"}],
            "line 2: a row must have prompt, chosen and rejected; it has prompt, answer",
        ),
        (
            [{"chosen": " a", "rejected": " b"}],
            "line 1: where chosen and rejected are texts the prompt must be a text too; got none",
        ),
        ([row(prompt="")], "line 1: a prompt must not be empty"),
        ([row(), "{"], "line 2: must be JSON"),
        ([row(), "[1]"], "line 2: a row must be an object"),
        ([row("q", [{"role": "user", "content": "x"}], " no")], "line 1: messages must be readable"),
        (
            [
                row(
                    [{"role": "user", "content": "x"}],
                    [{"role": "user", "content": "y"}],
                    [{"role": "assistant", "content": "z"}],
                )
            ],
            "line 1: chosen must end with the assistant's answer",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, rows: list[Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_pairs(written(tmp_path, rows))


def test_files_that_are_too_large_or_of_another_form_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"may have 20000 pairs; it has 20001"):
        read_pairs(written(tmp_path, [row(f"q{i}:") for i in range(20_001)]))
    with pytest.raises(InputError, match="a file of preferences may have 8 MiB"):
        read_pairs(written(tmp_path, [row("q" * 9_000_000)]))
    with pytest.raises(InputError, match=r"must end in \.jsonl or \.json"):
        read_pairs(tmp_path / "pairs.csv")
    with pytest.raises(InputError, match="a file of preferences must be readable"):
        read_pairs(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="holds none"):
        read_pairs(written(tmp_path, []))


def test_what_can_be_meant_and_may_surprise_is_noted(tmp_path: Path) -> None:
    rows = [row("a:", " yes", " yes please"), row("b:", " one", " two"), row("b:", " two", " three"), row("b:", " one", " two")]
    found = read_pairs(written(tmp_path, rows))
    assert [pair.line for pair in found.pairs] == [1, 2, 3, 4]
    begins, both, twice = found.notes
    assert "1 of 4 pairs one answer begins the other (line 1): its loser's tokens are its winner's" in begins
    assert "1 of 3 chosen answers (33 %) are rejected in another pair" in both
    assert "1 of 4 pairs is told once more" in twice
    assert not found.first(1).notes[1:]
    assert "touch without a blank (line 1)" in read_pairs(written(tmp_path, [row(chosen="yes")])).notes[0]


def test_chats_are_met_as_the_template_renders_them(tmp_path: Path) -> None:
    ask, yes, no = (
        {"role": role, "content": text} for role, text in (("user", "Well?"), ("assistant", "yes"), ("assistant", "no"))
    )
    rows = [row([ask], [yes], [no]), {"chosen": [ask, yes], "rejected": [ask, no]}, row("Well?", [yes], [no])]
    read = read_pairs(written(tmp_path, rows))
    model = tiny_language_model()
    with pytest.raises(InputError, match="chats need a model with one chat template"):
        as_texts(read, model)
    model.tokenizer.chat_template = TEMPLATE
    found = as_texts(read, model)
    assert [pair.texts for pair in found.pairs] == [("[user] Well?[assistant]", " yes", " no")] * 3
    assert [pair.texts for pair in as_texts(read, model, "none").pairs] == [("Well?\n", "yes", "no")] * 3
    with pytest.raises(InputError, match="must differ in their last answer alone"):
        read_pairs(written(tmp_path, [{"chosen": [ask, yes, ask, yes], "rejected": [ask, no, ask, no]}]))


class Lossy:
    """A tokenizer that loses accents, as some do."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, text: Any, **options: Any) -> Any:
        plain = [one.replace("é", "e") for one in text] if isinstance(text, list) else text.replace("é", "e")
        return self.inner(plain, **options)


def test_what_a_model_cannot_take_is_named_with_its_line() -> None:
    model = tiny_language_model()
    lossy = LanguageModel(model.name, model.model, Lossy(model.tokenizer))
    with pytest.raises(InputError, match=r"line 7: the tokenizer must give back.*é"):
        in_tokens(lossy, Pairs("p", (Pair(7, "q:", " é", " e"),)))
    with pytest.raises(InputError, match=r"line 3: a token must not span prompt and completion"):
        in_tokens(model, Pairs("p", (Pair(3, "q: P", "aris", " no"),)))
    with pytest.raises(InputError, match=r"line 9: a prompt with its completion must have at most 128 tokens"):
        in_tokens(model, Pairs("p", (Pair(9, "q:", " yes", " no" * 100),)))


# ------------------------------------------------------------------------------------------------------------- the audit


@pytest.fixture(scope="module")
def whole() -> PairAudit:
    return audit_pairs(tiny_language_model(), pairs_of(24), recipe=RECIPE, mitigations=["filter-ches", "nll"])


def test_a_tuned_model_that_is_the_same_changes_nothing_to_the_bit() -> None:
    model = tiny_language_model()
    found = audit_pairs(model, pairs_of(6), tuned=model.copy())
    assert "exactly the probability that the model before does" in found.notes[0]
    assert {total.column: (total.estimate, total.low, total.high, total.clear) for total in found.totals} == dict.fromkeys(
        PAIR_COLUMNS, (0.0, 0.0, 0.0, False)
    )
    assert not any(row.displaced or row.gained for row in found.rows)
    assert (found.recipe, found.rows[0].together, found.method) == ({}, None, "")


def test_numbers_before_are_those_of_the_instruments(whole: PairAudit) -> None:
    model, pairs = tiny_language_model(), pairs_of(24)
    tokens = in_tokens(model, pairs)
    with torch.no_grad():
        chosen, rejected = answer_log_probs(model.model, tokens)
    similar, alone = similarities(model, tokens), forecast_alone(model, tokens)
    assert [row.log_prob_chosen for row in whole.rows] == pytest.approx(chosen.tolist(), rel=1e-5)
    assert [row.log_prob_rejected for row in whole.rows] == pytest.approx(rejected.tolist(), rel=1e-5)
    assert [row.ches_per_token for row in whole.rows] == similar.ches_per_token.tolist()
    assert [row.alone for row in whole.rows] == pytest.approx(alone.chosen.tolist(), rel=1e-4)
    by_rank = sorted(whole.rows, key=lambda row: row.rank)
    assert [row.rank for row in by_rank] == list(range(1, 25))
    assert [row.ches_per_token for row in by_rank] == sorted((row.ches_per_token for row in whole.rows), reverse=True)


@pytest.mark.parametrize("method", ["dpo", "ipo", "simpo", "dpo+nll"])
def test_the_forecast_is_the_first_step_of_that_training(method: str) -> None:
    recipe = replace(pair_recipe(method=method), learning_rate=1e-6, n_epochs=1, batch_size=6)
    found = audit_pairs(tiny_language_model(), pairs_of(6), recipe=recipe)
    came = np.array([row.changes["chosen"] for row in found.rows])
    said = np.array([row.together for row in found.rows])
    assert np.abs(came - said).max() < 0.02 * np.abs(said).max() + 2e-4  # single precision of sums of some nats


def test_an_adapter_s_first_step_is_forecast_too() -> None:
    recipe = replace(pair_recipe("lora"), lora_rank=2, learning_rate=1e-4, n_epochs=1, batch_size=6)
    found = audit_pairs(tiny_language_model(), pairs_of(6), recipe=recipe)
    came = np.array([row.changes["chosen"] for row in found.rows])
    said = np.array([row.together for row in found.rows])
    assert np.abs(came - said).max() < 0.05 * np.abs(said).max() + 2e-4
    assert np.abs(said).max() > 1e-3


def test_totals_are_means_over_prompts_and_rows_add_up() -> None:
    found = audit_pairs(tiny_language_model(), pairs_of(8, per_prompt=2), recipe=RECIPE)
    by_prompt: dict[str, list[float]] = {}
    for one in found.rows:
        assert one.changes["margin"] == pytest.approx(one.changes["chosen"] - one.changes["rejected"])
        assert one.displaced == (one.changes["chosen"] < 0)
        by_prompt.setdefault(one.prompt, []).append(one.changes["chosen"])
    total = next(total for total in found.totals if total.column == "chosen")
    assert (total.n_units, total.n_facts, found.n_prompts) == (4, 8, 4)
    assert total.estimate == pytest.approx(np.mean([np.mean(own) for own in by_prompt.values()]))
    assert {one.forecast for one in found.calibration} == {"ches", "ches_per_token", "alone", "together"}
    assert {one.n for one in found.calibration} == {4}


def test_tokens_that_gained_are_those_of_both_laws() -> None:
    model, pairs = tiny_language_model(), pairs_of(4)
    after = tiny_language_model(seed=1)
    found = audit_pairs(model, pairs, tuned=after)
    assert "no tuned version" in found.notes[0]
    for pair, one in zip(in_tokens(model, pairs), found.rows, strict=True):
        common = next(i for i, (a, b) in enumerate(zip(*(answer.completion for answer in pair), strict=False)) if a != b)
        given = torch.tensor([[*pair[0].context, *pair[0].completion[:common]]])
        with torch.no_grad():
            was, now = (other.model(input_ids=given).logits[0, -1].softmax(-1) for other in (model, after))
        best = int((now - was).argmax())
        assert one.gained[0].token == model.tokenizer.decode([best])
        assert (one.gained[0].before, one.gained[0].after) == pytest.approx((float(was[best]), float(now[best])), abs=1e-5)


def test_arms_are_compared_at_one_margin_and_a_filter_never_without_its_control(whole: PairAudit) -> None:
    arms = {arm.name: arm for arm in whole.arms}
    assert list(arms) == ["plain", FILTER, RANDOM, "nll"]
    lowest = sorted(whole.rows, key=lambda row: row.ches_per_token)[:4]
    assert arms[FILTER].lines == tuple(sorted(row.line for row in lowest))
    assert len(arms[RANDOM].lines) == 4
    assert arms["nll"].lines == ()
    assert whole.margin is not None
    compared = [arm for arm in whole.arms if not arm.reason]
    assert len(compared) > 1
    for arm in compared:
        assert arm.columns["margin"] == pytest.approx(whole.margin, rel=2.5 * CLOSE)
        assert arm.scale is not None
        assert 0 < arm.scale <= 1
        assert {harm.column for harm in arm.harms} == (set() if arm.name == "plain" else {"chosen", "rejected", "displaced"})
    assert arms["plain"].full["chosen"] == pytest.approx(
        next(t.estimate for t in whole.totals if t.column == "chosen"), abs=1e-3
    )
    assert arms[FILTER].n_steps == 6  # six passes of one step see as many pairs as one pass over the file


def test_mitigations_say_when_they_cannot_be_applied() -> None:
    found = audit_pairs(tiny_language_model(), pairs_of(8), recipe=replace(RECIPE, loss="ipo"), mitigations=["all"])
    reasons = {arm.name: arm.reason for arm in found.arms}
    assert "fewer than 4" in reasons[FILTER]
    assert reasons["nll"] == reasons["dpop"] == "it changes dpo's loss, and plain training has ipo's"
    with pytest.raises(InputError, match=r"unknown mitigation 'fliter-ches'; did you mean 'filter-ches'"):
        chosen_for_pairs(["fliter-ches"])


def arm(name: str, estimate: float, clear: bool, lines: tuple[int, ...] = ()) -> PairArm:
    return PairArm(name, "does so", harms=(Harm("chosen", estimate, estimate - 0.1, estimate + 0.1, 8, clear),), lines=lines)


def fallen(whole: PairAudit) -> PairAudit:
    """The audit as it would be if chosen answers had fallen by two nats."""
    totals = [
        replace(total, estimate=-2.0, low=-3.0, high=-1.0, clear=True) if total.column == "chosen" else total
        for total in whole.totals
    ]
    rows = [replace(one, displaced=True, chosen_after=one.log_prob_chosen - 2) for one in whole.rows]
    return replace(whole, totals=tuple(totals), rows=tuple(rows))


def test_advice_says_which_pairs_to_drop_and_that_a_random_subset_does_not_help_where_it_does_not(whole: PairAudit) -> None:
    kept = tuple(one.line for one in whole.rows if one.rank > 20)

    def advised(filtered: PairArm, drawn: PairArm) -> str:
        return " ".join(one.says for one in pair_advice(replace(fallen(whole), arms=(filtered, drawn))))

    helps, not_clear = arm(FILTER, 1.0, True, kept), arm(RANDOM, 0.05, False, kept)
    said = advised(helps, not_clear)
    worst = sorted(whole.rows, key=lambda one: one.rank)[:3]
    assert (
        f"Drop the 20 pairs of the highest normalised CHES, the first of them lines {', '.join(str(one.line) for one in worst)}"
        in said
    )
    assert "A random subset of that size does not help." in said
    assert "Fewer pairs help, whichever they are" in advised(helps, arm(RANDOM, 1.0, True, kept))
    assert "does not clearly help here: keep them" in advised(arm(FILTER, 0.05, False, kept), not_clear)
    assert "loses more of the chosen answers" in advised(arm(FILTER, -1.0, True, kept), not_clear)
    alone = " ".join(one.says for one in pair_advice(replace(fallen(whole), arms=())))
    assert "Chosen answers fell: 24 of 24, by 2 nats in the mean" in alone
    assert "Compare --mitigate filter-ches,nll" in alone
    rose = pair_advice(replace(whole, arms=(helps, not_clear)))
    assert not any("Drop the" in one.says for one in rose)


def test_a_forecast_names_the_pairs_whose_chosen_answer_falls() -> None:
    found = audit_pairs(tiny_language_model(), pairs_of(6), recipe=RECIPE, forecast_only=True)
    assert (found.totals, found.arms, found.rows[0].changes) == ((), (), {})
    rows = [
        replace(one, together=-1.0 if one.line in (2, 5) else 1.0, alone=-1.0 if one.line == 2 else 1.0) for one in found.rows
    ]
    first, second = pair_advice(replace(found, rows=tuple(rows)))
    assert "lowers the chosen answer of 2 of 6 pairs (lines 2, 5)" in first.says
    assert "1 of 6 pairs lower their own chosen answer where they are trained on alone (line 2)" in second.says
    assert json.loads(json.dumps(found.json(), allow_nan=False))["rows"][0]["rank"] == found.rows[0].rank


def test_contradictions_and_what_is_too_much_are_refused() -> None:
    model = tiny_language_model()
    with pytest.raises(InputError, match="nothing is trained, and mitigations of preferences train"):
        audit_pairs(model, pairs_of(4), tuned=model.copy(), mitigations=["nll"])
    with pytest.raises(InputError, match="nothing is trained or forecast"):
        audit_pairs(model, pairs_of(4), tuned=model.copy(), forecast_only=True)
    with pytest.raises(
        InputError, match=r"budget of 1e-09 minutes; 4 pairs with \d+ tokens of answers would take .*--limit 1\)"
    ):
        audit_pairs(model, pairs_of(4), budget_minutes=1e-9)
    with pytest.raises(InputError, match="unknown method 'simppo'; did you mean 'simpo'"):
        pair_recipe(method="simppo")
    assert (pair_recipe(method="simpo").beta, pair_recipe(method="ipo").beta, pair_recipe(beta=0.3).beta) == (2.0, 0.1, 0.3)
    assert isinstance(pair_recipe("lora"), PreferenceRecipe)


def test_it_is_kept_read_again_and_a_diverged_training_leaves_what_was_measured(tmp_path: Path) -> None:
    model, store, folder = tiny_language_model(), KeptAudits(tmp_path / "kept"), tmp_path / "parts"
    wild = replace(RECIPE, learning_rate=9.9, max_grad_norm=None, n_epochs=200)
    with pytest.raises(Diverged, match="left the finite numbers"):
        audit_pairs(model, pairs_of(4), recipe=wild, folder=folder, kept=store)
    parts = {path: path.stat().st_mtime_ns for path in folder.rglob("value.json")}
    assert {path.parent.name.rsplit("-", 1)[0] for path in parts} == {"log-probs", "pair-scores", "pair-step"}
    found = audit_pairs(model, pairs_of(4), recipe=replace(wild, learning_rate=1e-3, n_epochs=1), folder=folder, kept=store)
    assert all(path.stat().st_mtime_ns == made for path, made in parts.items())  # answers and scores are those of before
    assert not list(folder.rglob("training"))
    again = audit_pairs(model, pairs_of(4), recipe=replace(wild, learning_rate=1e-3, n_epochs=1), folder=folder, kept=store)
    assert again == found == store.find(found.digest[:6])
    other = audit_pairs(model, pairs_of(4), recipe=replace(wild, learning_rate=2e-3, n_epochs=1), folder=folder, kept=store)
    assert other.digest != found.digest
    assert [(one.facts, one.injected, one.runs) for one in store.listed()] == [("pairs", "dpo", 1)] * 2
