"""`assay provenance` as a user meets it, on a tiny model and on log-probabilities: answers, JSON, refusals by name."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.cli.main import main
from assay.training.order import Order, Transcript

TEXTS = tuple(f"story number {i} about {i * 7919 % 1000}" for i in range(80))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log whose order a file of log-probabilities follows."""
    order = Order.shuffled(80, 4, 1, np.random.default_rng(5))
    Transcript(order, TEXTS).save(tmp_path / "log")
    noise = np.random.default_rng(1).normal(size=80)
    for name, amount in (("knows", 0.2), ("knows-not", 0.0)):
        values = -20 + noise + amount * order.step_of(range(80)) - 0.2 * 20
        rows = [{"text": text, "log_prob": float(value)} for text, value in zip(TEXTS, values, strict=True)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "log"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in ("provenance", *arguments)])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_log_probabilities_that_follow_the_order(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "--scores", log.parent / "knows.jsonl", log, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["p_value"] < 0.001
    assert found["says"].startswith("Yes")
    assert found["correlation"] < -0.5
    assert len(found["tenths"]) == 10
    assert found["floor"] <= 1e-6
    code, out, err = said(capsys, "--scores", log.parent / "knows.jsonl", log)
    assert code == 0
    assert "Yes: the later this log has a text" in err
    assert "rank correlation" in out
    code, out, _ = said(
        capsys, "--scores", log.parent / "knows-not.jsonl", log, "--json", "--reference", "tiny", "--assume-shuffled"
    )
    assert (code, json.loads(out)["n_references"]) == (0, 1)
    assert json.loads(out)["p_value"] > 0.01


def test_a_model_that_has_nothing_to_do_with_the_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(
        capsys, "tiny", log, "--reference", log.parent / "knows-not.jsonl", "--json", "--sample", 60, "--assume-shuffled", "-q"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["n_texts"] == 60
    assert found["p_value"] > 0.001


def test_what_cannot_be_tested_is_refused_by_name(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps({"text": text, "step": i}) + "\n" for i, text in enumerate(TEXTS[:40])))
    by_length = tmp_path / "sorted.jsonl"
    rows = [{"text": "x" * (i + 5), "step": i} for i in range(80)]
    by_length.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = tmp_path / "scores.jsonl"
    known = [{"text": row["text"], "log_prob": -float(i % 7) - 1} for i, row in enumerate(rows)]
    scores.write_text("".join(json.dumps(row) + "\n" for row in known))
    for code, message, *arguments in (
        (2, "MODEL and LOG", "tiny"),
        (2, "log alone", "tiny", log, "--scores", scores),
        (2, "there is no", "--scores", tmp_path / "none", log),
        (3, "there is no", "tiny", tmp_path / "nowhere"),
        (3, "at least 50 texts; got 40", "tiny", few),
        (3, "--assume-shuffled", "--scores", scores, by_length),
        (3, "unknown model", "no-such-model", log),
    ):
        found = said(capsys, *arguments)
        assert (found[0], message in found[2]) == (code, True), (arguments, found)
    code, _, err = said(capsys, "--scores", scores, by_length, "--assume-shuffled")
    assert code == 0
    assert "as you say" in err
