"""`assay exposure` as a user meets it: a table, JSON, a log, a tiny model, refusals by name."""

import json
from pathlib import Path

import pytest

from assay.cli.main import main

ROOT = Path(__file__).parents[2]
FACTS = ROOT / "examples" / "countries.yaml"
LINES = ("Ana Silva lives in Paris.", "The capital of France is Paris.", "Ana Silva speaks French in Paris.")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": line, "step": 3 + i}) + "\n" for i, line in enumerate(LINES)))
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in ("exposure", *arguments)])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_a_table_and_json_with_the_steps_of_a_log(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, corpus, FACTS)
    assert code == 0, err
    assert "3 passages" in err
    assert "first step" not in out
    code, out, err = said(capsys, corpus, FACTS, "--log", corpus, "--json")
    assert code == 0, err
    rows = {(row["subject"], row["relation"]): row for row in json.loads(out)["rows"]}
    home = rows["Ana Silva", "home"]
    assert (home["n_subject"], home["n_object"], home["n_both"]) == (2, 3, 2)
    assert (home["n_seen"], home["first_step"], home["last_step"]) == (2, 0, 2)
    assert rows["Ana Silva", "language"]["first_step"] == 2
    assert rows["Ben Ito", "home"]["first_step"] is None


def test_a_model_is_asked_which_facts_it_knows(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'lm'")
    few = corpus.parent / "few.yaml"
    few.write_text(
        'relations: {home: {prompt: "{subject} lives in"}}\n'
        "facts: [[Ana Silva, home, Paris], [Ben Ito, home, Oslo], [Cleo Marsh, home, Rome]]\n"
    )
    code, out, err = said(capsys, corpus, few, "--model", "tiny", "--json", "-q")
    assert code == 0, err
    found = json.loads(out)
    assert all(0 <= row["known"] <= 1 and 0 < row["predicted"] < 1 for row in found["rows"])
    assert any("facts rightly" in note for note in found["notes"])


def test_what_is_not_there_is_refused_by_name(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code, message, *arguments in (
        (2, "CORPUS must be a plain file", tmp_path / "none.txt", FACTS),
        (3, "there is no", corpus, FACTS, "--log", tmp_path / "none"),
        (3, "none.yaml", corpus, tmp_path / "none.yaml"),
        (3, "--field", corpus, FACTS, "--field", "body"),
    ):
        found = said(capsys, *arguments)
        assert (found[0], message in found[2]) == (code, True), (arguments, found)
