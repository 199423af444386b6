"""What the figures show is of the law, the record and the system that they name."""

import math
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization import engine, gap, misfit, transfer
from assay.studies.learners.offline_domain_randomization.settings import (
    EngineSettings,
    GapSettings,
    MisfitSettings,
    TransferSettings,
)


def test_losses_and_masses_are_of_their_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {law: i + 1 for i, law in enumerate(gap.LAWS)}
    monkeypatch.setattr(
        gap, "_lost", lambda settings, seeds, size, k: {law: (size * i * (1 + k), i / 10 + k / 100) for law, i in place.items()}
    )
    rows = gap.measure(GapSettings(sizes=(2, 4, 8), n_families=3, n_bound=1), Seeds(0)).tables["losses"]
    assert {(row["law"], row["candidates"]): (row["lost"], row["mass_on_real"]) for row in rows} == {
        (law, size): (pytest.approx(2 * size * i), pytest.approx(i / 10 + 0.01))
        for law, i in place.items()
        for size in (2, 4, 8)
    }


def test_the_bound_is_shown_beside_the_worst_of_its_families() -> None:
    settings = GapSettings(n_bound=3, horizon=2)
    rows = gap._bounds(settings, Seeds(2))
    assert [row["mass"] for row in rows] == [0.05, 0.1, 0.25, 0.5, 0.75, 0.95]
    for row in rows:
        ratios = []
        for k in range(3):
            family = gap.random_family(4, rng=Seeds(2)(f"bound/{k}"))
            mass = float(row["mass"])
            law = [mass, *[(1 - mass) / 3] * 3]
            gaps = gap.optimal_under_belief(family, law, 2).gaps
            if gaps @ law > 1e-12:
                ratios.append(gaps[0] / (gaps @ law))
        assert row["worst"] == pytest.approx(max(ratios, default=0.0))
        assert row["bound"] == 1 / float(row["mass"])
        assert float(row["worst"]) <= float(row["bound"]) + 1e-9


def test_costs_of_controllers_are_geometric_means_over_real_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    def costs(records: str, laws: tuple[str, ...]) -> Any:
        """The k-th copy of the i-th law costs (1 + i) 4^k."""
        calls: list[int] = []

        def rows(settings: Any, seeds: Any) -> list[dict[str, Any]]:
            calls.append(0)
            return [{"records": records, "law": law, "cost": (1 + i) * 4.0 ** (len(calls) - 1)} for i, law in enumerate(laws)]

        return rows

    fitted = ("fitted", "fitted, bonus", "fitted, ten times the bonus")
    plenty = (*fitted, "fitted to another system", "uniform", "the truth")
    monkeypatch.setattr(transfer, "_scarce", costs(transfer.SCARCE, fitted))
    monkeypatch.setattr(transfer, "_plenty", costs(transfer.PLENTY, plenty))
    rows = transfer.measure(TransferSettings(n_scarce=3, n_plenty=2), Seeds(0)).tables["transfer"]
    expected = {(transfer.SCARCE, law): pytest.approx((1 + i) * 4) for i, law in enumerate(fitted)}
    expected |= {(transfer.PLENTY, law): pytest.approx((1 + i) * 2) for i, law in enumerate(plenty)}
    assert {(row["records"], row["law"]): row["cost"] for row in rows} == expected


def test_widths_errors_and_lengths_are_of_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = [(arm, length, "right") for arm in misfit.RECORDS for length in (1, 16)] + [
        ("damping", 1, "tiny"),
        ("damping", 1, "double"),
    ]
    calls: list[int] = []

    def searches(*args: Any) -> dict[Any, float]:
        calls.append(0)
        return {fit: (i + 1) * (1.0 if len(calls) == 1 else 7.0) for i, fit in enumerate(fits)}

    monkeypatch.setattr(misfit, "_searches", searches)
    monkeypatch.setattr(misfit, "_with_friction", lambda settings, seeds, friction: (0.1 + friction, 0.3 + friction))
    settings = MisfitSettings(n_copies=2, friction=0.5)
    found = misfit.measure(settings, Seeds(0))
    shown = {(row["system"], row["fit"]): row["in_widths"] for row in found.tables["friction"]}
    assert shown == {
        ("with friction", "deviation of the law"): 0.6,
        ("with friction", "error of the point"): 0.8,
        ("without friction", "deviation of the law"): 0.1,
        ("without friction", "error of the point"): 0.3,
    }
    assert (found.estimands["with-friction/width"], found.estimands["without-friction/bias"]) == (0.6, 0.3)
    lengths = {(row["record"], row["length"]): row["error"] for row in found.tables["lengths"]}
    assert (
        lengths
        == {  # the root of the mean square over two copies, one of them seven times the other
            (arm, length): pytest.approx((i + 1) * 5.0) for i, (arm, length, _) in enumerate(fits[:6])
        }
    )


def test_costs_and_masses_of_the_engine_are_of_their_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    masses = [{"law": "fitted", "link": "torso, kg", "mean": 1.0, "truth": 2.0}]
    monkeypatch.setattr(engine, "_pendulum", lambda *args: {"uniform": 8.0, "fitted": 2.0, "other": 16.0})
    monkeypatch.setattr(engine, "_hopper", lambda *args: ({"fitted/log_nearer": math.log(3)}, masses))
    found = engine.measure(EngineSettings(), Seeds(0))
    assert {row["trained_on"]: row["cost"] for row in found.tables["costs"]} == {
        "every pendulum": 8.0, "fitted law": 2.0, "fitted to another": 16.0,
    }  # fmt: skip
    assert found.tables["masses"] is masses
    assert found.estimands["fitted/log_nearer"] == math.log(3)
    assert np.isclose(found.estimands["fitted/log_gain_over_uniform"], math.log(4))
