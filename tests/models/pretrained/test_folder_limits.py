"""A model folder that declares what cannot be is refused in one line, before anything of it is built."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra 'lm'")

import assay
from assay.cli.main import main
from assay.core.errors import InputError
from assay.models.pretrained.folder_limits import check_model_folder
from assay.models.pretrained.tiny import tiny_folder
from assay.worlds.facts.file import TEMPLATE


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("sound") / "model")


def altered(sound: Path, folder: Path, name: str, **changes: Any) -> Path:
    """A copy of the folder whose JSON file `name` has other values."""
    folder.mkdir()
    for file in sound.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    file = folder / name
    there = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(there | changes))
    return folder


def test_a_sound_folder_is_within_limits(sound: Path) -> None:
    check_model_folder(sound)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": 100_000}, "num_hidden_layers must be a whole number from 1 to 1024; got 100000"),
        ({"num_hidden_layers": 1000}, "it declares 1000 layers; the weights hold"),
        ({"hidden_size": -64}, "hidden_size must be"),
        ({"hidden_size": "64"}, "hidden_size must be .* got '64'"),
        ({"num_attention_heads": 0}, "num_attention_heads must be"),
        ({"vocab_size": 2**22, "hidden_size": 2**16}, "it declares at least"),
        ({"intermediate_size": 2**20}, "it declares at least"),
        ({"vocab_size": True}, "vocab_size must be"),
        ({"text_config": {"num_hidden_layers": 10**6}}, "num_hidden_layers must be"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sound: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder = altered(sound, tmp_path / "model", "config.json", **changes)
    with pytest.raises(InputError, match=says):
        assay.load_model(folder)


@pytest.mark.parametrize("length", ["many", -1, True, [1]])
def test_the_longest_text_is_a_number(sound: Path, tmp_path: Path, length: object) -> None:
    folder = altered(sound, tmp_path / "model", "tokenizer_config.json", model_max_length=length)
    with pytest.raises(InputError, match="model_max_length must be a number above 0"):
        check_model_folder(folder)


BOMB = {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 60}] * 5}
ODD = {
    "no [UNK]": {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
    "a normaliser that blows up": {"normalizer": BOMB},
    "a broken character map": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "no tokenizer": {"model": 3},
    "a pattern without end": {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
    },
}


@pytest.mark.parametrize("what", ODD)
def test_a_tokenizer_that_cannot_read_a_sentence_is_refused(sound: Path, tmp_path: Path, what: str) -> None:
    folder = altered(sound, tmp_path / "model", "tokenizer.json", **ODD[what])
    with pytest.raises(InputError, match=r"tokenizer\.json must be a tokenizer that reads a plain sentence"):
        check_model_folder(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"r": 10**9}, "r must be a whole number from 0 to 65536"),
        ({"r": "8"}, "r must be"),
        ({"layers_to_transform": [0, -1]}, "layers_to_transform must be"),
        ({"layers_to_transform": 10**12}, "layers_to_transform must be"),
        ({"lora_alpha": "x"}, "lora_alpha must be a finite number"),
        ({"target_modules": "(q_proj"}, "target_modules must hold patterns"),
        ({"rank_pattern": {"q": -3}}, "rank_pattern must be"),
        ({"target_modules": [3]}, "target_modules must hold patterns"),
    ],
)
def test_an_adapters_numbers_are_held_to_limits(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8} | changes))
    with pytest.raises(InputError, match=says):
        check_model_folder(tmp_path)


@pytest.mark.parametrize("text", ["[1]", "{", "\xff", "[" * 100_000])
def test_a_configuration_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"config\.json must"):
        check_model_folder(tmp_path)


def test_an_object_of_the_users_own_needs_its_tokenizer_and_stays_itself() -> None:
    from assay.models.pretrained.tiny import tiny_language_model

    tiny = tiny_language_model("llama")
    model = assay.load_model(tiny.model, tiny.tokenizer, name="mine")
    assert (model.model is tiny.model, model.name) == (True, "mine")
    assert assay.load_model(model) is model
    with pytest.raises(InputError, match="needs its tokenizer"):
        assay.load_model(tiny.model)
    with pytest.raises(InputError, match="got a dict"):
        assay.load_model({}, tiny.tokenizer)


def test_every_command_that_loads_a_folder_holds_it_to_its_limits(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration with 100,000 layers is refused in one line, by whichever way the folder is named."""
    folder = altered(sound, tmp_path / "model", "config.json", num_hidden_layers=100_000)
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "store"))
    texts = [f"story number {i}" for i in range(60)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"text": text, "step": i}) + "\n" for i, text in enumerate(texts)))
    (tmp_path / "corpus.jsonl").write_text('{"text": "Paris is the capital of France."}\n')
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    for command in (
        ["provenance", str(folder), str(tmp_path / "log.jsonl")],
        ["provenance", "tiny", str(tmp_path / "log.jsonl"), "--reference", str(folder)],
        ["exposure", str(tmp_path / "corpus.jsonl"), str(tmp_path / "facts.yaml"), "--model", str(folder)],
        ["run", "out-of-context-reasoning", "-e", "language-model", "--preset", "quick", "--set", f"model={folder}"],
        ["audit", str(folder), str(tmp_path / "facts.yaml")],
    ):
        with pytest.raises(SystemExit) as left:
            main([*command, "-q"])
        assert left.value.code == 3, command
        said = capsys.readouterr().err
        assert "num_hidden_layers must be a whole number from 1 to 1024; got 100000" in said, command
        assert "Traceback" not in said
