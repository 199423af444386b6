"""One setting for the device: option, variable and default, what is unknown, and what is not there."""

import pytest

from assay.core.device import DEVICES, asked_device, on_device
from assay.core.errors import InputError, SettingsError
from assay.runner.environment import environment


def test_the_option_wins_over_the_variable_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_DEVICE", raising=False)
    assert asked_device() == "cpu"
    monkeypatch.setenv("ASSAY_DEVICE", "mps")
    assert asked_device() == "mps"
    with on_device("cuda"):
        assert asked_device() == "cuda"
        assert environment(1)["device"] == "cuda"
        with on_device(None):
            assert asked_device() == "cuda"
        assert asked_device("auto") == "auto"
    assert asked_device() == "mps"


def test_an_unknown_device_is_named_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gpu", "cud", "cuda:x"):
        with pytest.raises(SettingsError, match=f"unknown device '{name}'"):
            asked_device(name)
    monkeypatch.setenv("ASSAY_DEVICE", "tpu")
    with pytest.raises(SettingsError, match=", ".join(DEVICES)):
        asked_device()


def test_a_device_that_is_not_there_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from assay.models.device import chosen_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(InputError, match="--device cpu or auto"):
            chosen_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert chosen_device("auto") == torch.device("cuda")
    assert chosen_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match="sees 1 CUDA devices; got 'cuda:1'"):
        chosen_device("cuda:1")


@pytest.mark.parametrize("device", ["meta"])
def test_every_tensor_of_a_model_follows_the_setting(device: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device without memory, which stands for one that this machine does not have."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from assay.models.pretrained import loading
    from assay.models.pretrained.named import base_model
    from assay.models.pretrained.tiny import tiny_folder

    monkeypatch.setattr("assay.models.device.chosen_device", lambda name=None: torch.device(device))
    monkeypatch.setattr(loading, "chosen_device", lambda name=None: torch.device(device))
    for model in (base_model("tiny"), base_model(str(tiny_folder(tmp_path / "model")))):
        tensors = [*model.model.parameters(), *model.model.buffers()]
        assert {tensor.device.type for tensor in tensors} == {device}
