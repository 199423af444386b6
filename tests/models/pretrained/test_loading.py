"""Loading: what comes out computes what went in, and what a folder brings along is never run."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError
from assay.instruments.scoring import score_completions
from assay.models.pretrained.loading import load, locate
from assay.models.pretrained.tiny import UNMAPPED, tiny_folder, tiny_language_model

TOKENS = torch.tensor([[3, 9, 27, 81]])


def logits(model: object) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.model(input_ids=TOKENS).logits  # type: ignore[attr-defined]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "a model")


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3_text", *UNMAPPED])
def test_a_loaded_model_computes_what_the_saved_one_did(family: str, tmp_path: Path) -> None:
    loaded = load(tiny_folder(tmp_path, family))
    torch.testing.assert_close(logits(loaded), logits(tiny_language_model(family)), rtol=0, atol=0)
    assert not loaded.model.training
    assert loaded.device.type == "cpu"
    assert loaded.vocab_size == 300
    assert next(loaded.model.parameters()).dtype == torch.float32


def test_weights_can_be_held_in_bfloat16(folder: Path) -> None:
    loaded = load(folder, dtype="bfloat16")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    with pytest.raises(InputError, match="unknown dtype 'int8'"):
        load(folder, dtype="int8")  # type: ignore[arg-type]


def test_shards_are_read_through_their_index(folder: Path) -> None:
    whole = load(folder)
    whole.model.save_pretrained(folder, max_shard_size="50KB")
    (folder / "model.safetensors").unlink()
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    torch.testing.assert_close(logits(load(folder)), logits(whole), rtol=0, atol=0)


def test_a_copy_has_weights_of_its_own(folder: Path) -> None:
    model = load(folder)
    other = model.copy()
    with torch.no_grad():
        next(iter(other.model.parameters())).zero_()
    assert not torch.equal(logits(model), logits(other))


def test_a_fingerprint_is_of_the_files(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert load(folder).fingerprint() == load(tmp_path / "elsewhere").fingerprint()
    tiny_folder(tmp_path / "other", seed=1)
    assert load(folder).fingerprint() != load(tmp_path / "other").fingerprint()
    with pytest.raises(InputError, match="made in memory"):
        tiny_language_model().fingerprint()


def remove(name: str):  # type: ignore[no-untyped-def]
    return lambda folder: (folder / name).unlink()


def edit(**changes: object):  # type: ignore[no-untyped-def]
    def put(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        kept = {name: value for name, value in {**config, **changes}.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return put


def write(name: str, content: str | bytes):  # type: ignore[no-untyped-def]
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def half_a_weight_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def an_index_that_leaves_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


BROKEN = {
    "no config": (remove("config.json"), "must have config.json"),
    "a config that is not JSON": (write("config.json", "{"), "readable JSON"),
    "a config that is a list": (write("config.json", "[]"), "JSON object"),
    "a config of two megabytes": (write("config.json", "{" + " " * 2**21), "at most"),
    "a config without a type": (edit(model_type=None), "model_type"),
    "an unknown architecture": (edit(model_type="quux"), "must know the architecture 'quux'"),
    "no weights": (remove("model.safetensors"), "must have weights"),
    "half a weight file": (half_a_weight_file, "cut short"),
    "weights that are text": (write("model.safetensors", "hello, weights"), "sound weight file"),
    "an index that leaves the folder": (an_index_that_leaves_the_folder, "of its own folder"),
    "no tokenizer": (no_tokenizer, "must have a tokenizer"),
    "a tokenizer that is not one": (write("tokenizer.json", "{}"), "that transformers can load"),
    "sizes that do not fit": (edit(intermediate_size=96), "that transformers can load"),
    "more layers than weights": (edit(num_hidden_layers=4, layer_types=None), "must find all its weights"),
    "a negative size": (edit(hidden_size=-5), "that transformers can load"),
    "control characters": (edit(model_type="\x1b[31mred"), r"\\x1b\[31mred"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_folders_are_refused_with_the_reason(name: str, folder: Path) -> None:
    breaking, says = BROKEN[name]
    breaking(folder)
    with pytest.raises(InputError, match=says):
        load(folder)


def test_models_that_are_nowhere_are_refused_with_the_way_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for source, says in (
        ("smollm2-135m", "Run: assay models add smollm2-135m"),
        ("smollm-135m", "did you mean 'smollm2-135m'"),
        ("someone/something", "Run: assay models add someone/something"),
        ("./nothing", "neither a folder nor a name"),
    ):
        with pytest.raises(InputError, match=says):
            locate(source)
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match="assay models add"):
        locate("x.gguf")


# --- nothing that comes with a model is run


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


def test_pickled_weights_are_refused_without_being_opened(folder: Path, tmp_path: Path) -> None:
    """An audit hook in a process of its own sees every unpickled name and every opened file."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    code = """
import sys
from pathlib import Path
import transformers, torch
from assay.core.errors import InputError
from assay.models.pretrained.loading import load
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[0]))) if event in ("pickle.find_class", "open") else None)
try:
    load(Path(sys.argv[1]))
except InputError as error:
    assert "pickle can run code" in str(error), error
    assert "--allow-pickle" in str(error), error
else:
    raise SystemExit("it was loaded")
assert not [one for one in seen if one[0] == "pickle.find_class" or one[1].endswith(".bin")], seen
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "canary").exists()


def test_safetensors_are_taken_where_both_lie(folder: Path, tmp_path: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    for allow_pickle in (False, True):
        torch.testing.assert_close(
            logits(load(folder, allow_pickle=allow_pickle)), logits(tiny_language_model()), rtol=0, atol=0
        )
    assert not (tmp_path / "canary").exists()


def test_pickled_weights_can_be_allowed_and_still_run_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny_language_model().model.state_dict(), folder / "pytorch_model.bin")
    torch.testing.assert_close(logits(load(folder, allow_pickle=True)), logits(tiny_language_model()), rtol=0, atol=0)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Canary(tmp_path / "canary")}, protocol=2))
    with pytest.raises(InputError, match="tensors and nothing else"):
        load(folder, allow_pickle=True)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("model_type", ["llama", "of-its-own"])
def test_code_of_a_model_is_never_run(model_type: str, folder: Path, tmp_path: Path) -> None:
    code = f"import os\nos.mkdir({str(tmp_path / 'canary')!r})\nclass Config: pass\nclass Model: pass\n"
    (folder / "evil.py").write_text(code)
    edit(model_type=model_type, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})(folder)
    if model_type == "llama":
        torch.testing.assert_close(logits(load(folder)), logits(tiny_language_model()), rtol=0, atol=0)
    else:
        with pytest.raises(InputError, match="code of its own, which Assay never runs"):
            load(folder)
    assert not (tmp_path / "canary").exists()


def test_an_adapter_without_its_base_says_so(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "some/base"}))
    with pytest.raises(InputError, match="must have weights"):
        load(adapter)
    (adapter / "adapter_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="pickle can run code"):
        load(adapter)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match="names 'some/base'"):
        load(adapter)
    with pytest.raises(InputError, match="has no adapter_config"):
        load(tiny_folder(tmp_path / "whole"), base="x")


def test_an_unknown_architecture_can_still_be_scored(tmp_path: Path) -> None:
    scores = score_completions(load(tiny_folder(tmp_path, "opt")), [("Ana lives in", " Paris")])
    assert scores.log_prob[0] < 0
