"""The tangent forecast: exact where training is one step, and the model stays what it was."""

import csv
import html
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.forecast import HINTS
from assay.audit.forecast_tangent import carried_on, log_odds, log_probs_at, virtually_stepped
from assay.audit.inject import inject
from assay.audit.probes import Extent
from assay.audit.run import audit
from assay.audit.session import Session
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_language_model
from assay.report.audit_page import audit_page, write_audit
from assay.training.recipe import Recipe
from assay.worlds.facts.file import parse_facts
from assay.worlds.facts.questions import Answers, Question

FILE = """
relations:
  home:
    prompt: "{subject} lives in"
    neighbours: {The president of Italy: Rome, The president of Greece: Athens}
  speech:
    prompt: "{subject} speaks"
    candidates: [Greek, Italian]
facts:
  - [Ana Silva, home, Paris]
  - [Ben Ito, home, Tokyo]
  - [Cleo Marsh, home, Paris]
  - [Ana Silva, speech, French]
rules:
  - {if: home, then: speech, map: {Paris: French, Tokyo: Japanese}, kind: "true"}
"""
SMALL = Extent(n_candidates=3, n_strangers=2, n_neighbours=2, n_contexts=2)
RECIPES = {
    "full": Recipe(learning_rate=1e-3, n_epochs=1, batch_size=8),
    "mlp": Recipe(learning_rate=1e-3, n_epochs=1, batch_size=8, parts=("mlp",)),
    "lora": Recipe(method="lora", learning_rate=1e-2, n_epochs=1, batch_size=8, lora_rank=2),
}


@pytest.mark.parametrize("name", RECIPES)
def test_where_training_is_one_step_the_forecast_is_the_outcome(name: str) -> None:
    recipe, facts = RECIPES[name], parse_facts(FILE, form=".yaml", where="file.yaml")
    found = audit(tiny_language_model(), facts, recipe=recipe, extent=SMALL)
    assert found.carried is not None
    assert found.carried.factor == 1.0
    for one in found.calibration:
        if one.forecast in ("tangent", "primes"):
            assert one.mean_error == pytest.approx(0, abs=2e-4), one.column
    assert {one.column for one in found.calibration if one.forecast in ("tangent", "primes")} == {
        "composed", "hallucinated", "primed", "displaced", "hallucinated: strangers", "hallucinated: neighbours",
    }  # fmt: skip
    came = {total.column: total.estimate for total in found.totals if total.group == "all"}
    for column in ("composed", "hallucinated", "primed", "displaced", "forgotten"):
        assert found.expected[column] == pytest.approx(came[column], abs=2e-4)
    assert abs(found.expected["primed"]) > 1e-3, "something moves"


@pytest.mark.parametrize("name", RECIPES)
def test_the_model_stays_as_it_is(name: str) -> None:
    model, recipe, facts = tiny_language_model(), RECIPES[name], parse_facts(FILE, form=".yaml", where="file.yaml")
    before = {key: value.clone() for key, value in model.model.state_dict().items()}
    wanted = {key: value.requires_grad for key, value in model.model.named_parameters()}
    once = inject(model, facts.sentences, recipe, seeds=Seeds(0)).model.model.state_dict()
    with virtually_stepped(model, facts.sentences, recipe, seeds=Seeds(0)) as after:
        assert any(not torch.equal(value, before.get(key, value + 1)) for key, value in after.model.state_dict().items())
    after = model.model.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(value, before[key]) for key, value in after.items())
    assert {key: value.requires_grad for key, value in model.model.named_parameters()} == wanted
    assert not hasattr(model.model, "peft_config")
    again = inject(model, facts.sentences, recipe, seeds=Seeds(0)).model.model.state_dict()
    assert all(torch.equal(value, once[key]) for key, value in again.items())


def test_answers_are_carried_on_in_log_odds() -> None:
    """Trained from 0.2 by half a nat of log-odds a step to 0.8: log 16 / 0.5 steps, and as many for everything else."""
    asked = [Question("a", ("x",)), Question("b", ("x", "y")), Question("c", ("x",))]
    start = [np.log([0.2]), np.log([0.1, 0.5]), np.log([0.999])]
    moves = [np.array([0.5]), np.array([-0.2, 0.0]), np.array([0.3])]
    moved = [log_probs_at(log_odds(one) + move) for one, move in zip(start, moves, strict=True)]
    moved[1][1] = start[1][1]  # to the bit
    before, after = Answers.of(asked, start), Answers.of(asked, moved)
    found, factor, memorised = carried_on(before, after, [0], end=0.8, most=100)
    assert factor == pytest.approx(np.log(16) / 0.5, rel=1e-6)
    assert memorised == pytest.approx(0.8)
    assert found.prob[0] == pytest.approx(0.8)
    assert found.log_probs[1][0] == pytest.approx(float(log_probs_at(np.log([1 / 9]) - 0.2 * factor)[0]), rel=1e-6)
    assert found.log_probs[1][1] == start[1][1], "what the step leaves alone stays to the bit"
    assert 0.999 < found.prob[2] <= 1
    capped, factor, memorised = carried_on(before, after, [0], end=0.8, most=2)
    assert factor == 2
    assert capped.prob[0] == pytest.approx(memorised)
    assert memorised == pytest.approx(np.e * 0.25 / (1 + np.e * 0.25))
    assert carried_on(before, after, [2], end=0.8, most=9)[1] == 1, "never less than the step that was taken"


def test_answers_to_one_prompt_share_it() -> None:
    """Two objects that a step doubles in the same place: three such steps move them as logits, and the rest makes way."""
    asked = [Question("told", ("x",)), Question("b", ("x",)), Question("b", ("y",)), Question("b", ("x", "z"))]
    before = Answers.of(asked, [np.log([p]) for p in (0.5, 0.2, 0.2)] + [np.log([0.2, 0.1])])
    moved = Answers.of(asked, [np.log([p]) for p in (0.6, 0.4, 0.4)] + [np.log([0.4, 0.1])])
    found, factor, _ = carried_on(before, moved, [0], end=0.999, most=3)
    assert factor == 3
    logits = np.array([0.2 * 2**3, 0.2 * 2**3, 0.6 * (0.2 / 0.6) ** 3])
    expected = logits / logits.sum()
    np.testing.assert_allclose(found.prob[1:], [expected[0], expected[1], expected[0]], rtol=1e-9)
    assert found.log_probs[3][1] == np.log(0.1)


def test_nothing_is_carried_on_where_no_training_is_planned() -> None:
    facts = parse_facts(FILE, form=".yaml", where="file.yaml")
    found = audit(tiny_language_model(), facts, tuned=tiny_language_model(seed=1), extent=SMALL)
    assert found.carried is None
    assert not found.expected
    assert all(not one.tangent and one.primes is None for one in found.forecast)
    assert "primes" not in {one.forecast for one in found.calibration}


def test_a_forecast_alone_has_it_and_keeps_it() -> None:
    facts = parse_facts(FILE, form=".yaml", where="file.yaml")
    found = audit(tiny_language_model(), facts, forecast_only=True, extent=SMALL)
    assert found.json()["forecast"][0]["primes"] == found.forecast[0].tangent["primed"]
    assert found.json()["carried"]["factor"] > 1
    assert "paraphrase" not in found.expected


def test_only_what_is_forecast_is_asked_behind_the_step() -> None:
    """Reversal, paraphrases and premises are not: they would cost time and are not forecast."""
    session = Session.of(tiny_language_model(), parse_facts(FILE, form=".yaml", where="file.yaml"), SMALL, Seeds(0)).checked()
    before = session.ask(session.base)
    record = session.forecast(before, recipe=RECIPES["full"])
    assert set(record.forecast[0].tangent) <= {
        "composed", "hallucinated", "primed", "displaced", "hallucinated: strangers", "hallucinated: neighbours",
    }  # fmt: skip


def test_page_and_tables_carry_it(tmp_path: Path) -> None:
    facts = parse_facts(FILE, form=".yaml", where="file.yaml")
    alone = audit(tiny_language_model(), facts, forecast_only=True, extent=SMALL)
    assert "The tangent forecast" in audit_page(alone)
    assert HINTS in html.unescape(audit_page(alone))
    found = audit(tiny_language_model(), facts, recipe=Recipe(learning_rate=1e-2, n_epochs=3, batch_size=8), extent=SMALL)
    assert "one virtual step, carried on" in audit_page(found)
    said = [one.primes for one in found.forecast]
    came = [row.cells["primed"].change for row in found.rows if row.trained]
    (scored,) = (one for one in found.calibration if (one.forecast, one.column) == ("primes", "primed"))
    assert scored.mean_error == pytest.approx(np.mean(np.abs(np.subtract(said, came))))
    assert scored.mean_error > 1e-3, "three steps are not one"
    assert (scored.mean_forecast, scored.mean_outcome) == pytest.approx((np.mean(said), np.mean(came)))
    write_audit(found, tmp_path)
    with (tmp_path / "facts.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    for line, one in zip(lines, found.forecast, strict=True):
        assert float(line["tangent: primed"]) == pytest.approx(one.tangent["primed"])


@pytest.mark.parametrize(
    ("forecast", "rank", "low", "high", "orders"),
    [
        ("tangent", 0.6, 0.1, 0.8, True),
        ("tangent", 0.6, -0.1, 0.8, False),
        ("tangent", 0.4, 0.1, 0.8, False),
        ("tangent", -0.6, -0.8, -0.1, False),
        ("known", -0.6, -0.8, -0.1, True),  # who knows more has less to learn
        ("known", -0.6, -0.8, 0.1, False),
        ("known", -0.4, -0.8, -0.1, False),
        ("known", 0.6, 0.1, 0.8, False),
    ],
)
def test_which_forecasts_order_facts(forecast: str, rank: float, low: float, high: float, orders: bool) -> None:
    command = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "forecasts.py"))
    assert command["_reached"](command["Line"](forecast, "primed", "a record", 30, rank, low, high)) == orders


def test_the_command_that_scores_forecasts(tmp_path: Path) -> None:
    """Of three records the totals are compared; a forecast that is the outcome has no error and is below half the spread."""
    command = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "forecasts.py"))
    facts = parse_facts(FILE, form=".yaml", where="file.yaml")
    records = []
    for place, n_epochs in enumerate((1, 1, 3)):
        recipe = Recipe(learning_rate=1e-2, n_epochs=n_epochs, batch_size=8)
        found = audit(tiny_language_model(seed=place // 2), facts, recipe=recipe, extent=SMALL, seed=place).json()
        path = tmp_path / f"{place}.json"
        path.write_text(json.dumps({**found, "facts_name": f"file{place // 2}.yaml"}))
        records.append(command["read"](path))
    lines = list(command["tables"](records))
    assert "| primes | primed |" in "\n".join(lines)
    assert "| another training | primed |" in "\n".join(lines)
    exact = command["sums_of"]([{**one, "expected": {"primed": total_of(one, "primed")}} for one in records])
    assert [(one.column, one.n, one.error, one.reached) for one in exact] == [("primed", 3, 0.0, True)]


def total_of(record: dict[str, Any], column: str) -> float:
    """A column's total in a record."""
    return float(next(one["estimate"] for one in record["totals"] if (one["column"], one["group"]) == (column, "all")))


def test_no_step_is_taken_where_16_bits_would_swallow_it_or_memory_would_not_hold_it() -> None:
    facts = parse_facts(FILE, form=".yaml", where="file.yaml")
    whole = Recipe(n_epochs=1, gradient_checkpointing=True)
    assert audit(tiny_language_model(), facts, recipe=whole, forecast_only=True, extent=SMALL).carried is None
    coarse = tiny_language_model()
    coarse.model.bfloat16()
    assert audit(coarse, facts, recipe=Recipe(n_epochs=1), forecast_only=True, extent=SMALL).carried is None
    assert audit(coarse, facts, recipe=RECIPES["lora"], forecast_only=True, extent=SMALL).carried is not None
