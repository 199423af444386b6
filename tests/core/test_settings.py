import json
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, doc
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.core.settings import canonical_json, digest, fields_of, from_mapping, resolve


@dataclass(frozen=True)
class Example:
    n_facts: Annotated[int, Ge(2), doc("facts, and as many implications")] = 20
    rate: Annotated[float, Gt(0), Le(1)] = 5e-3
    kind: Literal["linear", "softmax"] = "linear"
    widths: tuple[int, ...] = (3, 4)
    decay: bool = True
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < self.n_facts:
            raise SettingsError(f"cap must be at least n_facts={self.n_facts}; got {self.cap}")


def test_no_override_is_the_settings_themselves() -> None:
    assert resolve(Example(), [], where="x") == [Example()]


def test_values_are_typed_by_their_field() -> None:
    (only,) = resolve(Example(), ["n_facts=7", "rate=1e-2", "kind=softmax", "widths=8, 16", "decay=false", "cap=9"], where="x")
    assert only == Example(7, 1e-2, "softmax", (8, 16), False, 9)
    assert isinstance(only.rate, float)


def test_commas_make_a_grid_and_semicolons_do_for_tuples() -> None:
    grid = resolve(Example(), ["n_facts=2,3", "widths=1,2;3"], where="x")
    assert [(s.n_facts, s.widths) for s in grid] == [(2, (1, 2)), (2, (3,)), (3, (1, 2)), (3, (3,))]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("n_fact=3", "did you mean 'n_facts'"),
        ("n_facts", "name=value"),
        ("=3", "name=value"),
        ("n_facts=1", "greater than or equal to 2; got '1'"),
        ("n_facts=2.5", "n_facts"),
        ("n_facts=", "n_facts"),
        ("rate=nan", "rate"),
        ("rate=0", "greater than 0"),
        ("kind=quadratic", "'linear' or 'softmax'"),
        ("decay=perhaps", "bool"),
        ("widths=a", "widths"),
        ("cap=3", "cap must be at least n_facts=20; got 3"),
    ],
)
def test_a_bad_override_says_what_must_hold(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(Example(), [override], where="study/experiment")
    assert message in str(caught.value)
    assert "study/experiment" in str(caught.value)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="once"):
        resolve(Example(), ["n_facts=2", "n_facts=3"], where="x")


@given(
    st.builds(
        Example,
        n_facts=st.integers(2, 10**9),
        rate=st.floats(1e-300, 1, exclude_min=True),
        kind=st.sampled_from(["linear", "softmax"]),
        widths=st.lists(st.integers()).map(tuple),
        decay=st.booleans(),
        cap=st.none(),
    )
)
def test_canonical_text_reads_back_to_the_same_record(settings: Example) -> None:
    text = canonical_json(settings)
    assert from_mapping(Example, json.loads(text), where="x") == settings
    assert canonical_json(json.loads(text)) == text
    assert len(digest(settings)) == 16


def test_the_digest_sees_every_field_and_not_the_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(Example()) != digest(Example(decay=False))


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_what_has_no_canonical_text_is_refused(value: object) -> None:
    with pytest.raises(SettingsError):
        canonical_json({"a": value})


def test_stored_settings_of_another_shape_are_refused() -> None:
    with pytest.raises(SettingsError, match="changed since"):
        from_mapping(Example, {"n_labels": 3}, where="store")


def test_fields_carry_limits_and_sentences() -> None:
    first, second, *_ = fields_of(Example())
    assert (first.name, first.type, first.value) == ("n_facts", "int", 20)
    assert first.limits == "at least 2"
    assert first.says == "facts, and as many implications"
    assert second.says == ""
