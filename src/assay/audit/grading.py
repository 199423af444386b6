"""Files of graded answers: what each prompt's answers were worth, and pass@k of one model or of two on the same prompts.

    graded = read_graded(Path("samples.jsonl"))
    grade_pass_at_k(graded, [1, 8, 64], read_graded(Path("other.jsonl")))

A file is JSON lines: a row an answer, {"prompt": …, "correct": true}, or a row a prompt, {"prompt": …, "n": 64, "correct": 12}.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.arrays import Ints
from assay.core.errors import InputError
from assay.core.text import visible
from assay.instruments.pass_at_k import over_prompts, pass_at_k

__all__ = ["Graded", "PassAtK", "grade_pass_at_k", "read_graded"]


@dataclass(frozen=True, eq=False)
class Graded:
    """How many answers to each prompt are right.

    Attributes:
        name: of the file.
        prompts: in the order in which they first stand there.
        n: answers to every prompt.
        correct: right ones of each.
    """

    name: str
    prompts: tuple[str, ...]
    n: int
    correct: Ints


@dataclass(frozen=True)
class PassAtK:
    """Pass@k over prompts, with a 95 % interval over prompts.

    Attributes:
        k: answers that may be tried.
        pass_at_k, low, high: the mean over prompts, and its interval.
        n_prompts: how many.
        n: answers to each, in the first file.
        other, other_low, other_high: of the other file; None without one.
        difference, difference_low, difference_high: the first less the other, prompt by prompt; None without another.
    """

    k: int
    pass_at_k: float
    low: float
    high: float
    n_prompts: int
    n: int
    other: float | None = None
    other_low: float | None = None
    other_high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


def grade_pass_at_k(graded: Graded, ks: Sequence[int], other: Graded | None = None) -> list[PassAtK]:
    """Pass@k for every k, of one file, or of two on the same prompts with their paired difference.

    Raises:
        InputError: a file has fewer than k answers to its prompts, or a prompt stands in one file only.
    """
    for file in (graded, other):
        if file is not None and max(ks) > file.n:
            raise InputError(
                f"pass@{max(ks)} needs at least {max(ks)} answers to every prompt; {file.name} has {file.n} to "
                f"'{_shown(file.prompts[0])}' and to every other. Draw more, or take a smaller k"
            )
    order = np.arange(len(graded.prompts))
    if other is not None:
        for one, two in ((graded, other), (other, graded)):
            if alone := sorted(set(one.prompts) - set(two.prompts)):
                raise InputError(
                    f"both files must have the same prompts; {len(alone)} of {one.name} are not in {two.name}, such as "
                    f"'{_shown(alone[0])}'. Compare answers to the same prompts"
                )
        place = {prompt: i for i, prompt in enumerate(other.prompts)}
        order = np.array([place[prompt] for prompt in graded.prompts])
    return [_row(graded, k, other, order) for k in ks]


def _row(graded: Graded, k: int, other: Graded | None, order: Ints) -> PassAtK:
    own = pass_at_k(graded.n, graded.correct, k)
    mine = over_prompts(own)
    row = PassAtK(k, mine.estimate, mine.low, mine.high, n_prompts=len(graded.prompts), n=graded.n)
    if other is None:
        return row
    others = pass_at_k(other.n, other.correct, k)[order]
    theirs, gap = over_prompts(others), over_prompts(own - others, signed=True)
    return replace(
        row,
        other=theirs.estimate,
        other_low=theirs.low,
        other_high=theirs.high,
        difference=gap.estimate,
        difference_low=gap.low,
        difference_high=gap.high,
    )


def read_graded(path: Path, *, prompt_field: str = "prompt", correct_field: str = "correct") -> Graded:
    """The counts of a file of graded answers.

    Args:
        path: JSON lines.
        prompt_field: of a row, what tells its prompt; any JSON value.
        correct_field: whether the answer is right, true, false, 1 or 0; or with `n` beside it how many of n are.

    Raises:
        InputError: the file cannot be read or is empty, a row is not one, or prompts differ in how many answers they have.
    """
    rows: dict[str, tuple[int, int]] = {}
    counted: bool | None = None
    try:
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                if not content.strip():
                    continue
                where = f"{visible(path.name)}, line {number}"
                prompt, n, right, counts = _row_of(_json_of(content, where), where, prompt_field, correct_field)
                if counted is not None and counts != counted:
                    raise InputError(
                        f"{where} (prompt '{_shown(prompt)}'): rows must be alike, answers or counts; this one has "
                        f"{'an' if counts else 'no'} 'n' and those before have {'none' if counts else 'one'}"
                    )
                counted = counts
                if counts and prompt in rows:
                    raise InputError(
                        f"{where}: a prompt must have one row of counts; '{_shown(prompt)}' has a second. Add its counts up"
                    )
                before = rows.get(prompt, (0, 0))
                rows[prompt] = (before[0] + n, before[1] + right)
    except OSError as error:
        raise InputError(f"graded answers must be a file that can be read; {visible(str(path))}: {error.strerror}") from error
    if not rows:
        raise InputError(f"graded answers must have at least one row; {visible(path.name)} has none. Name another file")
    first, (n, _) = next(iter(rows.items()))
    for prompt, (others, _) in rows.items():
        if others != n:
            raise InputError(
                f"{visible(path.name)}: every prompt must have as many answers; '{_shown(first)}' has {n}, '{_shown(prompt)}' "
                f"has {others}. Draw those that are missing, or leave the prompt out"
            )
    return Graded(visible(path.name), tuple(rows), n, np.array([right for _, right in rows.values()], dtype=np.int64))


def _json_of(content: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: a row must be a JSON object in UTF-8; it is not ({visible(str(error)[:80])})") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: a row must be a JSON object with a prompt and whether an answer is right; got {type(row)}")
    return row


def _row_of(row: dict[str, Any], where: str, prompt_field: str, correct_field: str) -> tuple[str, int, int, bool]:
    """The prompt of a row, how many answers it stands for, how many of them are right, and whether it counts."""
    has = ", ".join(visible(str(name)[:30]) for name in list(row)[:8]) or "nothing"
    if prompt_field not in row:
        raise InputError(
            f"{where}: a row must have '{visible(prompt_field)}'; it has {has}. Name the field with --prompt-field"
        )
    own = row[prompt_field]
    prompt = own if isinstance(own, str) else json.dumps(own, sort_keys=True, ensure_ascii=False)
    where = f"{where} (prompt '{_shown(prompt)}')"
    if correct_field not in row:
        raise InputError(
            f"{where}: a row must have '{visible(correct_field)}'; it has {has}. Name the field with --correct-field"
        )
    right = row[correct_field]
    if "n" not in row:
        if not isinstance(right, bool | int | float) or right not in (0, 1):
            raise InputError(
                f"{where}: '{visible(correct_field)}' must be true, false, 1 or 0, or a count beside 'n'; got "
                f"{visible(str(right)[:60])}. Say from which reward on an answer is right"
            )
        return prompt, 1, int(right), False
    n = row["n"]
    if any(isinstance(value, bool) or not isinstance(value, int) for value in (n, right)) or not 0 <= right <= n or n < 1:
        raise InputError(
            f"{where}: counts must be whole numbers, 'n' at least 1 and '{visible(correct_field)}' from 0 to it; got n "
            f"{visible(str(n)[:40])}, {visible(str(right)[:40])}"
        )
    return prompt, n, right, True


def _shown(prompt: str) -> str:
    return visible(prompt)[:60]
