"""What a corpus says about facts: counted by hand, steps of a log, what exposure predicts, and corpora that are no good."""

import json
from pathlib import Path

import numpy as np
import pytest

from assay.audit.exposure import LONGEST, Exposures, exposure, predicted, with_known
from assay.core.errors import InputError
from assay.training.order import Order, Transcript
from assay.worlds.facts.file import parse_facts
from assay.worlds.facts.model import Facts

FACTS = """
name: small
relations:
  home: {prompt: "{subject} lives in"}
  trade: {prompt: "{subject} works as a"}
facts:
  - {subject: Ana Silva, subject_aliases: [Silva], relation: home, object: Paris}
  - [Ben Ito, home, Paris Hill]
  - {subject: Ben Ito, relation: trade, object: baker, aliases: [pastry cook]}
  - [Cleo, home, Oslo]
"""
LINES = (
    "Ana Silva lives in Paris.",  # Ana, Paris
    "Silva met Ben Ito. Paris was cold, and Paris Hill colder.",  # Ana, Ben, Paris, Paris Hill
    "A Parisian baker, and Anna Silvano.",  # baker
    "Ben  Ito\tis a pastry cook; so says BEN ITO.",  # Ben, baker by its other spelling
    "ana silva and ben ito stayed at home.",  # capitals count: nobody
    "Paris Hill, Paris Hill.",  # Paris Hill, once
)


def facts(text: str = FACTS) -> Facts:
    return parse_facts(text, form=".yaml", where="facts.yaml", name="facts")


def written(path: Path, lines: tuple[str, ...] = LINES) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"id": i, "text": line}) + "\n" for i, line in enumerate(lines)), "utf-8")
    else:
        path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def said(found: Exposures) -> str:
    return " ".join(found.notes)


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.jsonl"])
def test_passages_are_counted_as_by_hand(tmp_path: Path, name: str) -> None:
    found = exposure(written(tmp_path / name), facts())
    assert found.n_passages == 6
    assert [(row.n_subject, row.n_object, row.n_both) for row in found.rows] == [(2, 2, 2), (2, 2, 1), (2, 2, 1), (0, 0, 0)]
    assert all(row.n_seen is row.first_step is row.known is None for row in found.rows)
    assert json.loads(json.dumps(found.json()))["rows"][0]["subject"] == "Ana Silva"


def test_steps_are_those_of_the_log(tmp_path: Path) -> None:
    corpus = written(tmp_path / "corpus.jsonl")
    texts = (LINES[1], "another", LINES[0], LINES[3])
    log = Transcript(Order.of([[1], [0], [2], [1], [2], [0]], 4, 2), texts)
    found = exposure(corpus, facts(), log)
    # Both of the first fact stand in lines 0 (steps 2 and 4) and 1 (steps 1 and 5); line 3 was never seen.
    assert [(row.n_seen, row.first_step, row.last_step) for row in found.rows] == [
        (4, 1, 5),
        (2, 1, 5),
        (0, None, None),
        (0, None, None),
    ]
    assert "3 of 6 lines are in no step of the log" in said(found)
    twice = exposure(written(tmp_path / "twice.txt", (*LINES, LINES[0])), facts(), log)
    assert (twice.rows[0].n_both, twice.rows[0].n_seen) == (3, 4)  # a copy is another passage; the log's text was seen as often
    with pytest.raises(InputError, match="none of the 6 lines"):
        exposure(corpus, facts(), Transcript(Order.of([[0]], 1), ("other",)))


def test_odd_corpora_are_counted_and_named(tmp_path: Path) -> None:
    long = "x" * 50 + " filler" * 1_500_000 + " Ana Silva in Paris."  # 10 MB, one line
    solid = "y" * 50_000
    lines = ("Ana\x00Silva lives in\x1b[31m Paris", long, solid, "Ana Silva", "私はAna Silvaです")
    found = exposure(written(tmp_path / "odd.txt", lines), facts())
    assert found.n_passages == 1 + -(-len(long) // LONGEST) + -(-len(solid) // LONGEST) + 2
    assert (found.rows[0].n_subject, found.rows[0].n_both) == (4, 2)
    for part in (
        "2 lines are longer",
        "line 2: 10,500,",
        "control characters (first line 1)",
        "without a space (first line 3)",
    ):
        assert part in said(found)


def test_subjects_that_are_common_words_are_named(tmp_path: Path) -> None:
    text = """
relations: {home: {prompt: "{subject} lives in"}}
facts: [[Rose, home, Oslo], [The, home, Rome], [bank, home, Paris], [Ana Silva, home, Paris]]
"""
    lines = ("The rose by the bank.", "A rose.", "Rose lives in Oslo.", *["The end."] * 20, "Ana Silva.", *["x"] * 30)
    found = exposure(written(tmp_path / "common.txt", lines), facts(text))
    assert "'The' stands in 21 of 54 passages" in said(found)
    assert "'Rose' is a common word too: it stands in 1 passages, and 'rose' in 2" in said(found)
    assert "'bank' has no capital" in said(found)
    assert "Ana Silva" not in said(found)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", b"", "at least one passage"),
        ("blank.txt", b"\n \n", "at least one passage"),
        ("latin.txt", "fine\nAna caf\xe9\n".encode("latin-1"), "line 2: a corpus must be UTF-8"),
        ("cut.jsonl", b'{"text": "a"}\n{"text": "b', "line 2: a line must be a JSON object"),
        ("deep.jsonl", b"[" * 100_000, "line 1: a line must be a JSON object"),
        ("field.jsonl", b'{"body": "a"}\n', "it has body. Name the field with --field"),
        ("list.jsonl", b"[1]\n", "no object"),
        ("null.jsonl", b'{"text": null}\n', "a text in 'text'"),
    ],
)
def test_corpora_that_cannot_be_read_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        exposure(tmp_path / name, facts())
    with pytest.raises(InputError, match="file that can be read"):
        exposure(tmp_path / "nowhere.txt", facts())
    assert exposure(written(tmp_path / "other.jsonl"), facts(), text_field="text").n_passages == 6


def test_what_exposure_predicts_is_learned_from_other_subjects() -> None:
    rng = np.random.default_rng(0)
    n_both = rng.integers(0, 200, size=400)
    chance = 1 / (1 + np.exp(-(np.log2(1 + n_both) - 5)))
    known = (rng.random(400) < chance).astype(float)
    subjects = [f"subject {i // 2}" for i in range(400)]
    assert np.abs(predicted(n_both, known, subjects) - chance).mean() < 0.06
    assert np.allclose(predicted(n_both, np.full(400, 0.5), subjects), 0.5)
    everything = predicted(n_both, np.ones(400), subjects)
    assert (everything > 0.9).all()
    # The facts of a subject do not tell of themselves: turning all of them round leaves their own predictions as they are.
    own = np.array([i // 2 % 10 == 0 for i in range(400)])
    turned = np.where(own, 1 - known, known)
    assert np.allclose(predicted(n_both, turned, subjects)[own], predicted(n_both, known, subjects)[own])
    assert np.isnan(predicted(np.array([3, 4]), np.array([0.0, 1.0]), ["a", "a"])).all()


def test_known_stands_beside_what_is_predicted(tmp_path: Path) -> None:
    found = exposure(written(tmp_path / "corpus.txt"), facts())
    joined = with_known(found, np.array([1.0, 0.5, 1.0, 0.0]), ("a note",))
    assert [row.known for row in joined.rows] == [1.0, 0.5, 1.0, 0.0]
    assert all(0 < (row.predicted or 0) < 1 for row in joined.rows)
    assert "a note" in joined.notes
    assert "3 of 4 facts rightly" in joined.notes[-1]
    assert "rank correlation" in joined.notes[-1]
    json.dumps(joined.json(), allow_nan=False)
