"""Orders of training: what is drawn is asked back, what is written is read back, what is cut or changed is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from assay.core.errors import InputError, StoreError
from assay.training import order as training_order
from assay.training.order import Order, Transcript, texts_digest

RNG = np.random.default_rng(7)


def test_every_pass_sees_every_example_once_in_an_order_of_its_own() -> None:
    order = Order.shuffled(21, 4, 3, np.random.default_rng(0), seed=0)
    assert order.n_steps == 3 * 6
    assert order.epochs == (0, 6, 12)
    for first in order.epochs:
        seen = np.concatenate([order.batch(step) for step in range(first, first + 6)])
        assert sorted(seen) == list(range(21))
    assert [len(order.batch(step)) for step in range(6)] == [4, 4, 4, 4, 4, 1]
    assert order.examples[:21].tolist() != order.examples[21:42].tolist()


def test_steps_and_examples_are_each_others_inverse() -> None:
    order = Order.shuffled(50, 8, 2, np.random.default_rng(1))
    for epoch in (0, 1, -1):
        for example, step in enumerate(order.step_of(range(50), epoch)):
            assert example in order.batch(int(step))
    assert (order.step_of(range(50), 0) < order.epochs[1]).all()
    assert (order.step_of(range(50)) >= order.epochs[1]).all()
    assert order.step_of(3) == order.step_of([3])[0]
    assert order.between(range(50), 0, order.n_steps).tolist() == [2] * 50
    assert order.between(order.batch(2), 2, 3).tolist() == [1] * 8
    assert order.between(order.batch(2), 3, 3).tolist() == [0] * 8


def test_an_order_of_given_batches_may_leave_out_and_repeat() -> None:
    order = Order.of([[0, 1], [1], [3, 0]], 5)
    assert order.step_of(range(5)).tolist() == [2, 1, -1, 2, -1]
    assert order.between(range(5), 0, 3).tolist() == [2, 2, 0, 1, 0]
    for batches, n, epochs in (([[0], []], 2, 1), ([[0, 5]], 2, 1), ([[0], [1], [2]], 3, 2), ([], 2, 1)):
        with pytest.raises(InputError):
            Order.of(batches, n, epochs)
    with pytest.raises(InputError, match="steps 0 to 2"):
        order.batch(3)
    with pytest.raises(InputError, match="1 passes"):
        order.step_of(0, 1)
    with pytest.raises(InputError, match="0 to 4"):
        order.step_of(5)
    with pytest.raises(InputError, match="a before b"):
        order.between(0, 2, 1)


def written(folder: Path, n: int = 30) -> Transcript:
    made = Transcript(Order.shuffled(n, 4, 2, np.random.default_rng(3), seed=3), tuple(f"text {i} äöü\n" for i in range(n)))
    made.save(folder)
    return made


def test_a_transcript_is_read_as_it_was_written(tmp_path: Path) -> None:
    made, found = written(tmp_path), Transcript.read(tmp_path)
    assert found.texts == made.texts
    assert found.order.seed == 3
    for name in ("examples", "bounds", "epochs"):
        assert np.array_equal(getattr(found.order, name), getattr(made.order, name))
    head = json.loads((tmp_path / "order.json").read_text())
    assert head["texts_sha256"] == texts_digest(made.texts)
    assert {"python", "numpy"} <= head["versions"].keys()


def test_a_transcript_that_is_cut_or_changed_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    for name in (json.loads((tmp_path / "order.json").read_text())["order"], "order.json", "texts.jsonl"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError):
            Transcript.read(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match=f"has no {name}"):
            Transcript.read(tmp_path)
        (tmp_path / name).write_bytes(whole)
    texts = (tmp_path / "texts.jsonl").read_text()
    (tmp_path / "texts.jsonl").write_text(texts.replace("text 3 ", "text 4 "))
    with pytest.raises(InputError, match="other ones"):
        Transcript.read(tmp_path)
    (tmp_path / "order.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="format 1"):
        Transcript.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        written(tmp_path / "file")


@pytest.mark.parametrize("kept", range(4))
def test_a_log_that_grows_can_be_read_wherever_a_kill_stops_its_writing(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written(tmp_path)
    half = Transcript(Order.of([made.order.batch(step) for step in range(8)], 30, seed=3), made.texts)
    half.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3  # the longer one is gone
    left = [kept]
    write = training_order.write_atomically

    def killed(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, content)

    monkeypatch.setattr(training_order, "write_atomically", killed)
    if kept < 3:
        with pytest.raises(KeyboardInterrupt):
            made.save(tmp_path)
    else:
        made.save(tmp_path)
    found = Transcript.read(tmp_path)
    assert found.order.n_steps == (made if kept == 3 else half).order.n_steps
    left[0] = 3
    made.save(tmp_path)
    assert Transcript.read(tmp_path).order.n_steps == made.order.n_steps
    assert len(list(tmp_path.iterdir())) == 3


def test_a_log_whose_head_names_no_order_has_it_in_a_file_of_that_name(tmp_path: Path) -> None:
    made = written(tmp_path)
    head = json.loads((tmp_path / "order.json").read_text())
    (tmp_path / head.pop("order")).rename(tmp_path / "order.npz")
    (tmp_path / "order.json").write_text(json.dumps(head))
    assert np.array_equal(Transcript.read(tmp_path).order.examples, made.order.examples)


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_lines_of_ones_own(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(lines({"text": "b", "step": 5}, {"text": "a", "step": 2}, {"text": "c", "step": 5}))
    found = Transcript.read(log)
    assert found.texts == ("a", "b", "c")
    assert found.order.step_of(range(3)).tolist() == [0, 1, 1]
    assert "not sorted" in found.notes[0]
    log.write_text(lines(*({"text": text, "step": i} for i, text in enumerate("abccabbca"))))
    found = Transcript.read(log)
    assert (found.texts, found.order.epochs) == (("a", "b", "c"), (0, 3, 6))
    assert "3 passes" in found.notes[0]
    log.write_text(lines(*({"text": text, "step": i} for i, text in enumerate("abca"))))
    assert Transcript.read(log).texts == ("a", "b", "c", "a")
    log.write_text(lines({"text": "a", "step": 9, "epoch": 0}, {"text": "a", "step": 1, "epoch": 1}))
    assert Transcript.read(log).order.epochs == (0, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "at least one row"),
        ('{"text": "a", "step": 0}\n{"text": "b", "st', "line 2"),
        ("[1, 2]\n", "line 1"),
        ('{"text": "a"}\n', "whole 'step'"),
        ('{"text": "a", "step": -1}\n', "whole 'step'"),
        ('{"text": 3, "step": 1}\n', "a 'text'"),
        ('{"text": "a", "step": true}\n', "whole 'step'"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(InputError, match=said):
        Transcript.read(tmp_path / "log.jsonl")


def test_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        Transcript.read(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="UTF-8"):
        Transcript.read(tmp_path / "binary")
