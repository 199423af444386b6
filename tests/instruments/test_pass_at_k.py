"""Pass@k: the mean over all subsets, unbiased where rivals are not, refused where it does not exist."""

import json
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from assay.audit.grading import Graded, grade_pass_at_k, read_graded
from assay.cli.main import app
from assay.core.errors import InputError, SettingsError, UsageError
from assay.core.seeds import Seeds
from assay.instruments.pass_at_k import exact_pass_at_k, over_prompts, pass_at_k

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("n", [1, 4, 7])
def test_it_is_the_share_of_all_subsets_that_hold_a_right_answer(n: int) -> None:
    for k in range(1, n + 1):
        expected = [np.mean([any(i < c for i in subset) for subset in combinations(range(n), k)]) for c in range(n + 1)]
        np.testing.assert_allclose(pass_at_k(n, np.arange(n + 1), k), expected, atol=1e-15)


@given(st.integers(1, 2_000), st.data())
def test_it_is_the_ratio_of_binomials_in_whole_numbers(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = 1 - comb(n - c, k) / comb(n, k)
    assert float(pass_at_k(n, np.array([c]), k)[0]) == pytest.approx(exact, abs=1e-12)


def test_nothing_solved_is_zero_and_enough_solved_is_one() -> None:
    assert pass_at_k(64, np.array([0, 1, 63, 64]), 64).tolist() == [0, 1, 1, 1]
    assert pass_at_k(200, np.array([0]), 200).tolist() == [0]
    assert pass_at_k(200, np.array([137]), 64).tolist() == [1]  # at least one is right among any 64
    assert pass_at_k(200, np.array([3]), 1) == pytest.approx(3 / 200)


def test_it_is_unbiased_and_its_rivals_are_not() -> None:
    """Over the binomial law of c: the mean is 1 - (1 - p)^k to rounding, whereas resampling with replacement is below it."""
    n, k, p = 32, 16, 0.05
    c = np.arange(n + 1)
    law = np.array([comb(n, int(i)) * p**i * (1 - p) ** (n - i) for i in c])
    truth = float(exact_pass_at_k(np.array([p]), k)[0])
    assert law @ pass_at_k(n, c, k) == pytest.approx(truth, abs=1e-14)
    assert law @ (1 - (1 - c / n) ** k) < truth - 0.02
    assert float(law @ (c > 0)) > truth + 0.1  # pass@n in its place


def test_where_the_chance_is_known_it_is_exact() -> None:
    chances = np.array([0.0, 1e-18, 0.25, 1.0])
    assert exact_pass_at_k(chances, 2) == pytest.approx([0, 2e-18, 1 - 0.75**2, 1], rel=1e-12)
    with pytest.raises(SettingsError, match=r"\[0, 1\]"):
        exact_pass_at_k(np.array([1.2]), 2)


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="pass@65 needs at least 65 answers to every prompt; got 64"):
        pass_at_k(64, np.array([1]), 65)
    with pytest.raises(InputError, match="from 0 to 64; got -1 to 65"):
        pass_at_k(64, np.array([-1, 65]), 8)
    with pytest.raises(SettingsError, match="at least 1"):
        pass_at_k(64, np.array([1]), 0)


def test_intervals_over_prompts_stay_within_what_the_mean_can_be_and_claim_no_certainty() -> None:
    for values in (np.ones(20), np.zeros(20), np.array([1.0] * 19 + [0.0]), np.array([0.5]), np.array([1.0, 1.0, 0.9])):
        interval = over_prompts(values)
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert interval.high > interval.low
    assert over_prompts(np.ones(20)).low == pytest.approx(0.025 ** (1 / 20))
    assert over_prompts(np.zeros(5), signed=True).low < 0
    with pytest.raises(InputError):
        over_prompts(np.array([1.5]))
    with pytest.raises(InputError):
        over_prompts(np.array([]))


def test_intervals_cover_and_a_paired_difference_is_narrower() -> None:
    rng = Seeds(0)("coverage")
    covered, narrower, n_tables = 0, 0, 200
    for _ in range(n_tables):
        chance = rng.beta(0.4, 2.0, size=30)
        one, two = (pass_at_k(64, rng.binomial(64, p), 8) for p in (chance, chance * 0.8))
        truth = np.mean(exact_pass_at_k(chance, 8)) - np.mean(exact_pass_at_k(chance * 0.8, 8))
        gap = over_prompts(one - two, signed=True)
        covered += gap.low <= truth <= gap.high
        apart = over_prompts(one), over_prompts(two)
        narrower += gap.high - gap.low < sum(each.high - each.low for each in apart) / 2
    assert covered >= 0.9 * n_tables
    assert narrower == n_tables


# ------------------------------------------------------------------------------------------------------------- the files


def written(folder: Path, rows: list[object], name: str = "samples.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_answers_and_counts_say_the_same(tmp_path: Path) -> None:
    rng = Seeds(1)("answers")
    right = {f"prompt {i}": int(rng.integers(5)) for i in range(6)}
    answers = [{"prompt": name, "correct": place < c} for name, c in right.items() for place in range(4)]
    one = read_graded(written(tmp_path, [answers[i] for i in rng.permutation(len(answers))]))
    two = read_graded(written(tmp_path, [{"prompt": name, "n": 4, "correct": c} for name, c in right.items()]))
    assert dict(zip(one.prompts, one.correct, strict=True)) == right == dict(zip(two.prompts, two.correct, strict=True))
    assert one.n == two.n == 4
    odd = [{"task_id": {"set": 1, "number": [2]}, "passed": value} for value in (1, 0.0, True)]
    read = read_graded(written(tmp_path, odd), prompt_field="task_id", correct_field="passed")
    assert (read.prompts, read.n, read.correct.tolist()) == (('{"number": [2], "set": 1}',), 3, [2])


REFUSED = {
    "no such field": ([{"prompt": "a", "passed": True}], r"line 1 \(prompt 'a'\): a row must have 'correct'; it has prompt, p"),
    "no prompt": ([{"correct": True}], "line 1: a row must have 'prompt'"),
    "a grade": ([{"prompt": "a", "correct": 0.5}], r"line 1 \(prompt 'a'\): 'correct' must be true, false, 1 or 0"),
    "a word": ([{"prompt": "a", "correct": "yes"}], "must be true, false, 1 or 0"),
    "nothing": ([{"prompt": "a", "correct": None}], "must be true, false, 1 or 0"),
    "no count": ([{"prompt": "a", "n": 4, "correct": 5}], r"counts must be whole numbers.*from 0 to it; got n 4, 5"),
    "a count of none": ([{"prompt": "a", "n": 0, "correct": 0}], "counts must be whole numbers"),
    "half a count": ([{"prompt": "a", "n": 4.5, "correct": 2}], "counts must be whole numbers"),
    "both kinds": ([{"prompt": "a", "n": 2, "correct": 1}, {"prompt": "b", "correct": True}], r"line 2 \(prompt 'b'\): rows"),
    "counts twice": ([{"prompt": "a", "n": 2, "correct": 1}] * 2, "'a' has a second"),
    "other n": (
        [{"prompt": "a", "n": 2, "correct": 1}, {"prompt": "b", "n": 3, "correct": 1}],
        "'a' has 2, 'b' has 3",
    ),
    "no JSON": (["{prompt"], "line 1: a row must be a JSON object"),
    "a list": ([[1, 2]], "line 1: a row must be a JSON object"),
    "empty": ([], "at least one row"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_graded_are_refused_with_the_place(name: str, tmp_path: Path) -> None:
    rows, says = REFUSED[name]
    with pytest.raises(InputError, match=says):
        read_graded(written(tmp_path, rows))


def test_too_many_tries_and_other_prompts_are_refused() -> None:
    one, two = Graded("one", ("a", "b"), 4, np.array([1, 2])), Graded("two", ("b", "c"), 2, np.array([1, 2]))
    with pytest.raises(InputError, match="pass@5 needs at least 5 answers to every prompt; one has 4 to 'a'"):
        grade_pass_at_k(one, [1, 5])
    with pytest.raises(InputError, match=r"pass@3 .*; two has 2 to 'b'"):
        grade_pass_at_k(one, [3], two)
    with pytest.raises(InputError, match="1 of one are not in two, such as 'a'"):
        grade_pass_at_k(one, [1], two)
    with pytest.raises(InputError, match="1 of two are not in one, such as 'c'"):
        grade_pass_at_k(Graded("one", ("b",), 4, np.array([1])), [1], two)


def test_two_files_are_compared_prompt_by_prompt_whatever_their_order() -> None:
    one = Graded("one", ("a", "b", "c"), 4, np.array([1, 2, 3]))
    two = Graded("two", ("c", "a", "b"), 8, np.array([6, 2, 4]))
    (row,) = grade_pass_at_k(one, [1], two)
    assert (row.pass_at_k, row.other, row.difference) == pytest.approx((0.5, 0.5, 0))
    assert row.difference_low is not None
    # No prompt differs, which does not prove that none would.
    assert row.difference_low < 0 < row.difference_high


def test_the_command_on_the_examples() -> None:
    file = str(ROOT / "examples" / "samples.jsonl")
    done = CliRunner().invoke(app, ["grade", "pass-at-k", file, "--k", "1,8,64", "--json"], catch_exceptions=False)
    rows = json.loads(done.stdout)
    graded = read_graded(Path(file))
    assert [row["k"] for row in rows] == [1, 8, 64]
    assert rows[0]["pass_at_k"] == pytest.approx(graded.correct.mean() / graded.n)
    assert rows[0]["pass_at_k"] < rows[1]["pass_at_k"] < rows[2]["pass_at_k"]
    assert all(row["other"] is None and 0 <= row["low"] <= row["pass_at_k"] <= row["high"] <= 1 for row in rows)
    with pytest.raises(InputError, match="pass@1000 needs at least 1000 answers"):
        CliRunner().invoke(app, ["grade", "pass-at-k", file, "--k", "1000"], catch_exceptions=False)
    other = file.replace("samples", "samples-cooler")
    done = CliRunner().invoke(app, ["grade", "pass-at-k", file, "--k", "1,64", "--compare", other], catch_exceptions=False)
    assert "difference low" in done.stdout
    for asked, says in (("1,x", "whole numbers"), ("0", "at least 1")):
        with pytest.raises(UsageError, match=says):
            CliRunner().invoke(app, ["grade", "pass-at-k", file, "--k", asked], catch_exceptions=False)
    with pytest.raises(UsageError, match=r"must be a plain file; nowhere\.jsonl is none"):
        CliRunner().invoke(app, ["grade", "pass-at-k", "nowhere.jsonl"], catch_exceptions=False)
