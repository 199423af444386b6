"""A task's tensors are where its device says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from assay.claims.study import Experiment, Measurement
from assay.core.seeds import Seeds
from assay.runner.work import Task, carry_out


@pytest.mark.parametrize(("device", "made_on"), [("cpu", "cpu"), ("cuda", "meta")])
def test_a_study_that_names_no_device_is_computed_where_the_task_says(
    device: str, made_on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No GPU is at hand: torch's device without values stands for it.
    monkeypatch.setattr("assay.models.device.chosen_device", lambda name: torch.device("meta"))
    seen = []

    def measure_run(settings: object, seeds: Seeds) -> Measurement:
        seen.append(torch.zeros(2).device.type)
        return Measurement({"rate": 0.0})

    experiment = cast("Experiment", SimpleNamespace(has_many=False, measure_run=measure_run))
    task = Task("study", "experiment", cast("Any", None), (0,), "", tmp_path, None, device=device)
    done = carry_out(experiment, task, 1, lambda share, says: None)
    assert [result.status for result in done.results] == ["ok"]
    assert seen == [made_on]
    assert torch.zeros(2).device.type == "cpu"
