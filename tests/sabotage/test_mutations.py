"""The mutations that `python -m tests.sabotage` makes: each kind, what is left alone, and the same draw every time."""

import ast
from pathlib import Path

import pytest
from tests.sabotage import __main__ as command
from tests.sabotage.__main__ import (
    AT_LEAST,
    CONTRACT,
    COUNTED,
    ROOT,
    asked_elsewhere,
    chosen,
    declares,
    folders,
    kept,
    ordered_tests,
    own_tests,
)
from tests.sabotage.mutations import KINDS, Mutation, drawn, fields_of, literals_of, mutations_of

SOURCE = '''"""A study."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Mode = Literal["joint", "apart"]


@dataclass(frozen=True)
class Settings:
    """What can be set."""

    rate: Annotated[float, Ge(1)] = 0.5
    decay: Annotated[float, Ge(1)] = 0.0
    mode: Literal["joint", "apart"] = "joint"
    n_steps: int = 100


CLAIMS = (Claim("C1", "It is below {bound}.", Below(0.3)),)


def train(world: World, other: World, settings: Settings):
    if settings.n_steps < 3:
        raise ValueError(f"at least {3} steps")
    progress(0.5, "half")
    for arm in (run(world, rate=settings.rate, shuffle=False, seed=-1), run(other, mode="apart")):
        total = arm.loss + arm.decay * 2
    return total
'''


def found(kind: str) -> set[str]:
    texts = [SOURCE]
    return {one.after for one in mutations_of("a.py", SOURCE, literals_of(texts), fields_of(texts)) if one.kind == kind}


def test_numbers_are_doubled_and_made_nothing() -> None:
    assert "rate: Annotated[float, Ge(1)] = 1.0" in found("number")
    assert "rate: Annotated[float, Ge(1)] = 0.0" in found("number")
    assert "decay: Annotated[float, Ge(1)] = 1" in found("number")
    assert "total = arm.loss + arm.decay * 4" in found("number")


def test_switches_signs_and_arguments() -> None:
    line = 'for arm in (run(world, rate=settings.rate, shuffle=False, seed=-1), run(other, mode="apart")):'
    assert found("boolean") == {line.replace("False", "True")}
    assert 'mode: Literal["joint", "apart"] = "apart"' in found("switch")
    assert line.replace("apart", "joint") in found("switch")
    assert found("sign") == {
        "if settings.n_steps >= 3:",
        line.replace("-1", "1"),
        "total = arm.loss - arm.decay * 2",
        "total = arm.loss + arm.decay / 2",
    }
    assert found("argument") == {
        line.replace("run(world", "run(other"),
        line.replace("run(other", "run(world"),
        line.replace("settings.rate", "settings.decay"),
    }
    assert found("dropped") == {
        line.replace("rate=settings.rate, ", ""),
        line.replace("shuffle=False, ", ""),
        line.replace(", seed=-1", ""),
        line.replace(', mode="apart"', ""),
    }


def test_what_only_speaks_is_left_alone() -> None:
    texts = [SOURCE]
    for one in mutations_of("a.py", SOURCE, literals_of(texts), fields_of(texts)):
        assert not one.before.startswith(("CLAIMS", "raise", "progress", '"""', "from", "Mode"))
        assert "Ge(2)" not in one.after
        changed = one.applied(SOURCE).split("\n")
        differ = [number for number, (a, b) in enumerate(zip(SOURCE.split("\n"), changed, strict=True), 1) if a != b]
        assert differ == [one.line]


def test_a_draw_is_the_same_every_time_and_has_every_kind() -> None:
    candidates = mutations_of("a.py", SOURCE, literals_of([SOURCE]), fields_of([SOURCE]))
    first = drawn(candidates, 6, "0", {"a.py": SOURCE})
    assert first == drawn(candidates, 6, "0", {"a.py": SOURCE})
    assert {one.kind for one in first} == set(KINDS)
    assert first != drawn(candidates, 6, "1", {"a.py": SOURCE})
    everything = drawn(candidates, 1000, "0", {"a.py": SOURCE})
    assert len(everything) == len(set(everything)) > 15
    for one in everything:
        ast.parse(one.applied(SOURCE))


def test_an_edit_elsewhere_leaves_the_draw_as_it_is() -> None:
    def changes(source: str) -> list[tuple[str, str]]:
        made = mutations_of("a.py", source, literals_of([source]), fields_of([source]))
        return [(one.before, one.after) for one in drawn(made, 6, "0", {"a.py": source})]

    before = changes(SOURCE)
    assert changes(SOURCE.replace("CLAIMS =", "# A word more.\n\nCLAIMS =")) == before
    added = "\n\ndef more(n: int = 7):\n    return n * 3 - 2\n"
    after = changes(SOURCE + added)
    gone, new = set(before) - set(after), set(after) - set(before)
    assert len(gone) == len(new) < 4
    assert all(old.removeprefix("return ") in added for old, _ in new)
    twice = changes("x = 3\nx = 3\n")
    assert sorted(twice) == [("x = 3", "x = 0"), ("x = 3", "x = 0"), ("x = 3", "x = 6"), ("x = 3", "x = 6")]


def test_what_is_no_python_any_more_is_not_drawn() -> None:
    broken = Mutation("a.py", 1, 0, 3, "(", "sign", "", "")
    assert drawn([broken], 1, "0", {"a.py": "x = 1"}) == []


def test_every_study_is_drawn_from() -> None:
    slugs = [slug for slug, _ in chosen(0, [])]
    assert len(slugs) >= AT_LEAST
    assert min(slugs.count(slug) for slug in folders()) >= 3
    assert all(own_tests(folder).is_dir() for folder in folders().values())
    assert (ROOT / CONTRACT).is_file()
    file, _, test = COUNTED.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()


def test_what_only_declares_is_left_to_other_tests() -> None:
    for name in ("claims.py", "claims/further.py", "language_model_claims.py", "figures.py", "__init__.py"):
        assert declares(Path(name))
    for name in ("settings.py", "language_model.py", "claimed.py"):
        assert not declares(Path(name))
    assert not [one.path for _, one in chosen(0, []) if declares(Path(one.path).relative_to("src/assay/studies"))]


def test_tests_that_name_the_mutated_file_come_first() -> None:
    folder = "src/assay/studies/games/off_switch_game"
    *files, counted = ordered_tests("off-switch-game", f"{folder}/learners.py")
    assert counted == f"{COUNTED}[off-switch-game]"
    assert len(files) == len(set(files)) > 2
    names_it = ["learners" in (ROOT / file).read_text() for file in files]
    assert names_it == sorted(names_it, reverse=True)
    assert not all(names_it)
    first, *others = ordered_tests("off-switch-game", f"{folder}/settings.py")
    assert (first, set(others)) == (counted, set(files))


def test_tests_of_a_file_that_stand_elsewhere_are_found() -> None:
    studies = "src/assay/studies"
    assert asked_elsewhere(f"{studies}/mechanisms/two_hop_reasoning/patching.py") == [
        "tests/instruments/test_looking_inside.py"
    ]
    found = asked_elsewhere(f"{studies}/games/off_switch_game/random_games.py")
    assert "tests/solvers/games/test_properties.py" in found
    assert not [file for file in found if file.startswith("tests/studies/games/off_switch_game")]
    assert asked_elsewhere(f"{studies}/games/off_switch_game/shares.py") == []


@pytest.mark.parametrize(
    ("said", "noticed"),
    [
        ([{"C1": "supported", "C2": "supported"}], []),
        ([{"C1": "refuted", "C2": "void"}, {"C1": "refuted", "C2": "supported"}], ["C1"]),
        ([{"C1": "inconclusive", "C2": "supported"}, {"C1": "supported", "C2": "supported"}], []),
        ([{"C1": "refuted"}, {"C1": "supported"}], []),
        ([{"an experiment": "error"}, {"an experiment": "error"}], ["an experiment"]),
        ([None], ["the quick runs break"]),
        ([{"C1": "refuted"}, None], ["the quick runs break"]),
    ],
)
def test_a_verdict_is_another_one_on_both_sets_of_seeds(
    said: list[dict[str, str] | None], noticed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unharmed = iter([{"C1": "supported", "C2": "supported"}, {"C1": "supported", "C2": "inconclusive"}])
    monkeypatch.setattr(command, "look", lambda root, slug, seeds: next(unharmed))
    words = command.words_of(ROOT, "a-study")
    assert words == {"C1": {"supported"}, "C2": {"supported", "inconclusive"}}
    looks = iter(said)
    monkeypatch.setattr(command, "look", lambda root, slug, seeds: next(looks))
    assert command.other_verdicts(ROOT, "a-study", words) == noticed
    assert not list(looks)


def test_results_outlive_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    assert kept(file) == {}
    file.write_text('{"name": "a", "test": ""}\n{"name": "b", "te')
    assert list(kept(file)) == ["a"]


@pytest.mark.parametrize(
    ("fails", "noticed"),
    [
        ({"own"}, ("test_own.py::test_a", [])),
        ({"own", "verdict", "contract"}, ("test_own.py::test_a", [])),
        ({"verdict", "contract"}, ("", ["C1"])),
        ({"contract"}, ("test_contract.py::test_b", [])),
        (set(), ("", [])),
    ],
)
def test_own_tests_are_asked_first_and_the_contract_last(
    fails: set[str], noticed: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slug, mutation), *_ = chosen(0, ["off-switch-game"])
    before = (ROOT / mutation.path).read_text()

    def copied(folder: Path) -> Path:
        (folder / mutation.path).parent.mkdir(parents=True)
        (folder / mutation.path).write_text(before)
        return folder

    def failing(root: Path, *which: str) -> str:
        if root != ROOT:
            assert mutation.after in (root / mutation.path).read_text()
            if "contract" in fails and CONTRACT in which:
                return "test_contract.py::test_b"
            if "own" in fails and CONTRACT not in which:
                return "test_own.py::test_a"
        return ""

    monkeypatch.setattr(command, "copied", copied)
    monkeypatch.setattr(command, "failing_test", failing)
    monkeypatch.setattr(
        command, "look", lambda root, slug, seeds: {"C1": "refuted" if root != ROOT and "verdict" in fails else "supported"}
    )
    command.unharmed_words.cache_clear()
    command.must_pass.cache_clear()
    result = command.tried(slug, mutation)
    assert (result["test"], result["verdicts"]) == noticed
    monkeypatch.setattr(command, "failing_test", lambda root, *which: "test_c" if CONTRACT in which else "")
    if not fails:
        command.must_pass.cache_clear()
        with pytest.raises(command.BrokenSource, match="must pass test_c"):
            command.tried(slug, mutation)
    command.unharmed_words.cache_clear()
    command.must_pass.cache_clear()


@pytest.mark.parametrize("line", ["x = 'ü' + f(1, a=2)", "x = f(a=1)", "x = f(a=1, )"])
def test_places_are_bytes(line: str) -> None:
    for one in drawn(mutations_of("a.py", line, [], {}), 100, "0", {"a.py": line}):
        assert one.after == one.applied(line)
        ast.parse(one.after)
