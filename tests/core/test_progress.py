"""Nested parts of a computation are told as one share from 0 to 1."""

import pytest

from assay.core.progress import listening, part, parts, progress


def test_nobody_listens() -> None:
    progress(0.5)
    with part(0.0, 1.0, "alone"):
        progress(0.5)
    assert list(parts([1, 2])) == [1, 2]


def test_parts_nest_and_labels_join() -> None:
    heard: list[tuple[float, str]] = []
    with listening(lambda share, label: heard.append((round(share, 6), label))):
        with part(0.2, 0.6, "training"):
            for _ in parts("ab", label=str, weights=(1, 3)):
                progress(0.5, "half")
        progress(0.9)
    assert heard == [
        (0.2, "training"),
        (0.2, "training, a"), (0.25, "training, a, half"), (0.3, "training, a"),
        (0.3, "training, b"), (0.45, "training, b, half"), (0.6, "training, b"),
        (0.6, "training"),
        (0.9, ""),
    ]  # fmt: skip


def test_shares_stay_within_the_part() -> None:
    heard: list[float] = []
    with listening(lambda share, _: heard.append(share)), part(0.5, 0.75):
        progress(-3)
        progress(7)
    assert heard == [0.5, 0.5, 0.75, 0.75]


def test_a_part_that_fails_or_is_left_does_not_stay_open() -> None:
    heard: list[float] = []
    with listening(lambda share, _: heard.append(share)):
        with pytest.raises(ValueError, match="x"), part(0.0, 0.1):
            raise ValueError("x")
        for _ in parts(range(10)):
            break
        progress(1.0)
    assert heard[-1] == 1.0


def test_one_weight_an_item() -> None:
    with listening(lambda share, label: None), pytest.raises(ValueError, match="argument"):
        list(parts([1, 2], weights=[1.0]))
