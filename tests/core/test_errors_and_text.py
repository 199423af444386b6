import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import (
    AssayError,
    Diverged,
    InputError,
    MissingExtra,
    SettingsError,
    StoreError,
    UsageError,
    unknown_name,
)
from assay.core.progress import listening, progress
from assay.core.text import visible


def test_exit_codes_follow_the_tree() -> None:
    codes = {UsageError: 2, InputError: 3, SettingsError: 3, StoreError: 4, AssayError: 4}
    assert {kind: kind.exit_code for kind in codes} == codes
    assert Diverged(3, 0.5).exit_code == MissingExtra("cvxpy", "opt", "the conic program").exit_code == 4


@pytest.mark.parametrize("error", [Diverged(3, 0.5), MissingExtra("cvxpy", "opt", "the conic program")])
def test_errors_survive_the_way_back_from_a_worker(error: AssayError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean 'symbolic'?" in unknown_name("experiment", "simbolic", ["symbolic", "depth"], see="")
    assert "did you mean" not in unknown_name("experiment", "zzz", ["symbolic", "depth"], see="")


@given(st.text())
def test_visible_text_cannot_steer_a_terminal(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in shown)
    assert visible(shown) == shown


def test_visible_keeps_ordinary_text_of_any_script() -> None:
    for text in ("Paris", "日本語", "العربية", "na\u00efve – π"):
        assert visible(text) == text
    assert visible("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\\x0a"


def test_progress_reaches_only_the_innermost_listener() -> None:
    heard: list[tuple[float, str]] = []
    progress(0.1, "nobody listens")
    with listening(lambda share, label: heard.append((share, label))):
        progress(0.5, "half")
        progress(7, "clipped")
    progress(0.9)
    assert heard == [(0.5, "half"), (1.0, "clipped")]
