"""Several trainings: intervals that include training, one record of them, each kept by itself and never made twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit import run as running
from assay.audit.kept import KeptAudits
from assay.audit.record import Audit
from assay.audit.run import BRIEF, audit
from assay.audit.session import TRAINED_ONCE
from assay.audit.totals import EVERYTHING, Values, interval_of
from assay.cli.main import app
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
RECIPE = Recipe(learning_rate=3e-3, n_epochs=2, batch_size=2)


def made(store: KeptAudits | None, runs: int, **given: Any) -> Audit:
    return audit(tiny_language_model(), FACTS, recipe=RECIPE, extent=BRIEF, kept=store, runs=runs, **given)


def test_every_training_is_kept_and_more_runs_train_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trained, inject = KeptAudits(tmp_path), [], running.inject
    monkeypatch.setattr(running, "inject", lambda *a, **k: trained.append(k["seeds"]) or inject(*a, **k))
    two = made(store, 2)
    assert len(trained) == 2
    five = made(store, 5)
    assert len(trained) == 5
    assert len(set(map(str, trained))) == 5
    assert made(store, 5) == five
    assert made(store, 1) == store.get(five.runs[0].digest)
    assert len(trained) == 5
    assert [one.digest for one in two.runs] == [one.digest for one in five.runs[:2]]
    assert made(None, 2).totals == two.totals
    assert len(store.listed()) == 7


def test_one_record_of_several_trainings_is_their_mean_with_an_interval_over_them() -> None:
    found, once = made(None, 3), made(None, 1)
    assert TRAINED_ONCE in once.notes
    assert TRAINED_ONCE not in found.notes
    assert len(found.runs) == 3
    for total in found.totals:
        if total.group == EVERYTHING:
            assert total.estimate == pytest.approx(np.mean([run.totals[total.column] for run in found.runs]), abs=1e-9)
    assert found.runs[0].totals["learned"] == next(one.estimate for one in once.totals if one.column == "learned")
    outcome, single = found.outcomes[0], once.outcomes[0]
    assert outcome.runs[0] == single.after
    assert outcome.after == pytest.approx(np.mean(outcome.runs))
    cell = found.rows[0].cells["learned"]
    assert cell.low is not None  # one question, but three trainings
    assert all(len(one.after) == 3 for one in found.spoken)
    json.dumps(found.json(), allow_nan=False)


def test_intervals_cover_where_both_questions_and_trainings_vary() -> None:
    """Of 300 tables with a spread over subjects and one over trainings, the 95 % interval holds the mean in 0.93 or more.

    The interval over subjects alone, that of one record, would miss it far more often.
    """
    rng, hit, alone = np.random.default_rng(0), [], []
    for _ in range(300):
        subjects, runs = 0.2 * rng.standard_normal(16), 0.15 * rng.standard_normal(5)
        table = subjects[:, None] + runs[None] + 0.1 * rng.standard_normal((16, 5))
        facts = {f"subject {place}": [float(row.mean())] for place, row in enumerate(table)}
        for found, values in ((hit, Values(facts, runs=(tuple(table.mean(0).tolist()),))), (alone, Values(facts))):
            interval = interval_of(values, Seeds(0))(0.95)
            found.append(interval.low <= 0 <= interval.high)
    assert np.mean(hit) >= 0.93
    assert np.mean(alone) < 0.9


def test_what_cannot_have_several_runs_says_so() -> None:
    model = tiny_language_model()
    for given in ({"tuned": model.copy()}, {"forecast_only": True}):
        with pytest.raises(InputError, match=r"nothing is trained; got 2 runs\. Leave out --runs"):
            audit(model, FACTS, runs=2, **given)


def test_the_command_trains_several_times(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = ["audit", str(folder), str(tmp_path / "facts.yaml"), "--brief", "-q", "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, [*command, "--set", "n_epochs=1", "--runs", "2", "--json", "--out", str(tmp_path / "page")])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["run"] for run in found["runs"]] == [0, 1]
    assert (tmp_path / "page" / "index.html").is_file()
    assert replace(made(None, 1)).runs == ()
