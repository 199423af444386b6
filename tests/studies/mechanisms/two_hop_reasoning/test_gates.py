"""The gates by themselves: every number is of the gates, and of the share of the loss, that its name says."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.instruments.attention import attended
from assay.instruments.nested_gates import Gates
from assay.models.decoder import Decoder
from assay.studies.mechanisms.two_hop_reasoning import gates
from assay.studies.mechanisms.two_hop_reasoning.settings import DepthSettings, GateSettings, SymbolicSettings
from assay.studies.mechanisms.two_hop_reasoning.system import gates_of, network


def test_networks_are_of_attention_alone_unless_it_is_said() -> None:
    for settings in (SymbolicSettings(), DepthSettings()):
        assert network(settings, settings.world).d_mlp == 0
        assert network(replace(settings, mlp=True), settings.world).d_mlp == 4 * settings.d_model


def test_a_network_is_read_at_the_query() -> None:
    """What is answered, and where each layer looks, one sequence at a time."""
    settings = SymbolicSettings()
    drawn = settings.world.sequences(6, rng=np.random.default_rng(1))
    model = Decoder.init(network(settings, settings.world), np.random.default_rng(0))
    found = gates_of(model, drawn)
    _, layers = attended(model, torch.from_numpy(drawn.tokens))
    patterns = [layer.numpy() for layer in layers]  # [sequence, head, query, key]
    last = drawn.tokens.shape[1] - 1
    expected: dict[str, list[float]] = {"target": [], "parent": [], "bridge": [], "end": []}
    with torch.no_grad():
        for i, tokens in enumerate(torch.from_numpy(drawn.tokens)):
            said = model(tokens[None])[0, last].softmax(-1)
            expected["target"].append(float(said[drawn.answers[i]]))
            expected["parent"].append(np.mean([patterns[0][i, 0, child, child - 1] for child in range(2, last, 2)]))
            bridge, end = (2 + 2 * int(slot) for slot in drawn.asked_slots[i])
            expected["bridge"].append(patterns[1][i, 0, last, bridge])
            expected["end"].append(patterns[2][i, 0, last, end])
    for name, values in expected.items():
        assert found[name] == pytest.approx(np.mean(values), rel=1e-5), name


def test_numbers_of_gates_are_of_their_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses fall straight from 4 to 0, each plan's from a step of its own and as long as its own; runs differ in both."""
    settings, calls = GateSettings(), list[tuple[Gates, np.ndarray]]()
    steps = np.arange(0, 4001, 5)

    def falls(one: Gates, run: int) -> tuple[float, float]:
        place = ["two-hop", "apart"].index(one.form) * 20 + sum(2**j for j in one.open) + 10 * (not one.guess)
        return 200.0 + 20 * place + 7 * run, 300.0 + 10 * place

    def descend(one: Gates, starts: np.ndarray, *, learning_rate: float, n_steps: int, every: int) -> Any:
        calls.append((one, starts))
        assert (learning_rate, n_steps) == (settings.learning_rate, settings.n_steps)
        lines = [np.clip((steps - first) / length, 0, 1) for first, length in (falls(one, run) for run in range(2))]
        return SimpleNamespace(steps=steps, loss_nats=4 * (1 - np.array(lines)))

    monkeypatch.setattr(gates, "descend", descend)
    found = gates.measure_many(settings, [Seeds(0), Seeds(1)])
    for one, starts in calls:
        assert one.others == settings.others
        np.testing.assert_array_equal(starts, [Seeds(seed)("start").normal(size=3) for seed in (0, 1)])

    def half(run: int, form: Any, *open_: int, guess: bool = True) -> float:
        first, length = falls(Gates(settings.others, form, open=open_, guess=guess), run)
        return first + length / 2

    def cliff(run: int, form: Any, *open_: int) -> float:
        """Steps from 12 % to 91 % of the fall, as a share of those before."""
        first, length = falls(Gates(settings.others, form, open=open_), run)
        return 0.79 * length / (first + 0.12 * length)

    for run, measured in enumerate(found):
        without = {form: [half(run, form, j) for j in range(3)] for form in ("two-hop", "apart")}
        expected = {
            "nested/half": half(run, "two-hop"),
            "nested/cliff": cliff(run, "two-hop"),
            "one-gate/cliff": cliff(run, "two-hop", 0, 1),
            "apart/cliff": cliff(run, "apart"),
            "nested/longest_without": max(without["two-hop"]) / half(run, "two-hop"),
            "apart/longest_without": max(without["apart"]) / half(run, "apart"),
            "nested/without_guess": half(run, "two-hop", guess=False) / half(run, "two-hop"),
            "second-open/without_guess": half(run, "two-hop", 1, guess=False) / half(run, "two-hop", 1),
            "apart/without_guess": half(run, "apart", guess=False) / half(run, "apart"),
            "nested/final_loss": 0.0,
        }
        assert measured.estimands == pytest.approx(expected, rel=1e-3)
        shown = {"three gates": {}, "no guessing route": {"guess": False}, "one gate": {"open": (0, 1)}}
        assert {row["model"] for row in measured.tables["loss"]} == set(shown)
        for row in measured.tables["loss"]:
            first, length = falls(Gates(settings.others, "two-hop", **shown[str(row["model"])]), run)  # type: ignore[arg-type]
            assert row["loss"] == pytest.approx(4 * (1 - np.clip((float(row["step"]) - first) / length, 0, 1)))
