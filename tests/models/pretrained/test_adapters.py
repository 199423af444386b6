"""Models as people keep them: adapters around this base or another, grown vocabularies, folders that hold no whole model."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("peft", reason="needs the extra 'lm'")

import peft
import transformers
from safetensors.torch import load_file, save_file

from assay.core.errors import InputError
from assay.instruments.scoring import score_completions
from assay.models.pretrained import cache
from assay.models.pretrained.adding import add
from assay.models.pretrained.library import quiet
from assay.models.pretrained.loading import LanguageModel, load, locate
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model, tiny_model, tiny_tokenizer

ASKED = [("Ana lives in", " Paris"), ("Ben is", " no fool")]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "base")


def adapter(folder: Path, model: LanguageModel, **options: Any) -> Any:
    """A low-rank adapter with an update that is not zero, saved; and the model with it around."""
    given = {"r": 2, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"} | options
    tuned = wrapped(model.copy().model, peft.LoraConfig(**given)).eval()
    with torch.no_grad():
        for name, value in tuned.named_parameters():
            if value.requires_grad:
                value.normal_(generator=torch.Generator().manual_seed(len(name)), std=0.3)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the library's, about embeddings that it saves as well
        tuned.save_pretrained(folder)
    return tuned


def wrapped(model: Any, config: Any, name: str = "default") -> Any:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the library's, about tied embeddings
        return peft.get_peft_model(model, config, name)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder: Path, change: Any, name: str = "adapter_model") -> None:
    path = folder / f"{name}.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def scores(model: LanguageModel) -> list[float]:
    found: list[float] = score_completions(model, ASKED).log_prob.tolist()
    return found


@pytest.mark.parametrize("named", ["someone/something", "/root/of/another/machine", None, "Z:\\models\\base"])
def test_the_base_that_is_given_is_used_whatever_the_adapter_says(named: str | None, base: Path, tmp_path: Path) -> None:
    model = load(base)
    tuned = adapter(tmp_path / "adapter", model)
    edit(tmp_path / "adapter", base_model_name_or_path=named)
    expected = scores(LanguageModel("tuned", tuned, model.tokenizer))
    loaded = load(tmp_path / "adapter", base=base)
    assert scores(loaded) == expected != scores(model)
    assert scores(load(tmp_path / "adapter", base=model)) == expected
    said = " ".join(loaded.notes)
    # A path of another machine that ends as the base's does is the same model as far as can be told.
    assert (named is None or named.endswith("base")) == (said == "")
    assert said == "" or f"says that it was trained on '{named}'" in said.replace("\\\\", "\\")


def test_a_base_that_was_given_stays_as_it_is(base: Path, tmp_path: Path) -> None:
    model = load(base)
    before = scores(model)
    adapter(tmp_path / "adapter", model)
    load(tmp_path / "adapter", base=model)
    assert scores(model) == before
    assert not any("lora" in name for name, _ in model.model.named_parameters())


def test_an_adapter_that_names_no_base_or_one_that_is_not_here_says_how_to_name_one(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", load(base))
    edit(tmp_path / "adapter", base_model_name_or_path=None)
    with pytest.raises(InputError, match=r"does not name it.*assay audit FACTS --base MODEL --tuned ADAPTER"):
        load(tmp_path / "adapter")
    edit(tmp_path / "adapter", base_model_name_or_path="/root/of/another/machine")
    with pytest.raises(InputError, match=r"names '/root/of/another/machine'.*--base MODEL"):
        load(tmp_path / "adapter")
    edit(tmp_path / "adapter", base_model_name_or_path=str(base))
    assert load(tmp_path / "adapter").notes == ()


def test_a_base_that_is_an_adapter_itself_is_put_aside_or_refused(base: Path, tmp_path: Path) -> None:
    """Two states of one training are compared: both stand around the same base."""
    model = load(base)
    early, late = adapter(tmp_path / "early", model), adapter(tmp_path / "late", model, r=3)
    loaded = load(tmp_path / "late", base=LanguageModel("early", early, model.tokenizer, tmp_path / "early"))
    assert scores(loaded) == scores(LanguageModel("late", late, model.tokenizer))
    assert "'early' is an adapter itself" in loaded.notes[0]
    edit(tmp_path / "late", base_model_name_or_path=str(tmp_path / "early"))
    with pytest.raises(InputError, match=r"is an adapter itself\. Merge it first"):
        load(tmp_path / "late")


def test_the_registry_knows_its_models_by_their_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of the cache stands in for what an adapter of the original names, and that its weights are others is said."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    hub_id = "HuggingFaceTB/SmolLM2-135M-Instruct"
    with pytest.raises(InputError, match=r"Assay knows it as 'smollm2-135m'. Run: assay models add smollm2-135m"):
        locate(hub_id)
    model = tiny_language_model()

    def build(into: Path) -> dict[str, object]:
        model.save(into)
        return {"source": "a wheel", "licence": "", "architecture": "llama", "n_parameters": 1, "name": "smollm2-135m"}

    kept = cache.put("smollm2-135m", build)
    assert locate(hub_id) == locate(hub_id.lower()) == kept.folder
    adapter(tmp_path / "adapter", model)
    edit(tmp_path / "adapter", base_model_name_or_path=hub_id)
    (note,) = load(tmp_path / "adapter").notes
    assert "is here as 'smollm2-135m'" in note
    assert "weights stored in about 5 bits" in note
    assert load(tmp_path / "adapter", base="smollm2-135m").notes == ()
    edit(tmp_path / "adapter", base_model_name_or_path="/data/SmolLM2-135M-Instruct")
    assert load(tmp_path / "adapter", base="smollm2-135m").notes == ()
    edit(tmp_path / "adapter", base_model_name_or_path="HuggingFaceTB/SmolLM2-360M-Instruct")
    assert len(load(tmp_path / "adapter", base="smollm2-135m").notes) == 1


def test_a_model_linked_under_another_name_is_found_by_what_it_was_made_from(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    add(str(base), name="mine")
    adapter(tmp_path / "adapter", load(base))
    edit(tmp_path / "adapter", base_model_name_or_path=str(base))
    assert load(tmp_path / "adapter", base="mine").notes == ()


def lose_one(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tensors.items() if "layers.1.self_attn.q_proj.lora_B" not in name}


def rename_all(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("base_model.model.", "base_model.model.module."): value for name, value in tensors.items()}


def one_more(tensors: dict[str, Any]) -> dict[str, Any]:
    (name,) = [name for name in tensors if "layers.1.self_attn.q_proj.lora_B" in name]
    return {**tensors, name.replace("layers.1.", "layers.7."): tensors[name].clone()}


def empty_one(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:0].clone() if "layers.1" in name else value for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lose_one, r"must find all its weights.* 1 is not: '.*layers\.1\.self_attn\.q_proj\.lora_B"),
        (rename_all, r"must find all its weights.* 12 are not: .* and 9 more"),
        (one_more, r"must be used with all its weights.* 1 is not: '.*layers\.7\.self_attn\.q_proj\.lora_B"),
        (empty_one, r"weights must hold numbers; 4 of 12 tensors.*layers\.1.*ZeRO-3"),
    ],
)
def test_an_adapter_is_refused_unless_all_weights_are_found_and_used(
    change: Any, says: str, base: Path, tmp_path: Path
) -> None:
    adapter(tmp_path / "adapter", load(base))
    rewrite(tmp_path / "adapter", change)
    with pytest.raises(InputError, match=says):
        load(tmp_path / "adapter", base=base)


def test_an_adapter_of_a_model_of_another_width_is_refused(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", load(base))
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
    )
    other = LanguageModel("other", transformers.LlamaForCausalLM(config).eval(), tiny_tokenizer())
    with pytest.raises(InputError, match=r"must be an adapter of 'other'; .*size mismatch"):
        load(tmp_path / "adapter", base=other)


def test_whole_models_saved_from_shards_or_with_an_adapter_inside_are_refused(base: Path, tmp_path: Path) -> None:
    rewrite(
        base, lambda tensors: {name: value[:0].clone() if "mlp" in name else value for name, value in tensors.items()}, "model"
    )
    with pytest.raises(InputError, match=r"weights must hold numbers; 9 of \d+ tensors in .*model\.layers\.0\.mlp"):
        load(base)
    inside = tiny_folder(tmp_path / "inside")
    tuned = wrapped(tiny_model("llama"), peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    save_file(
        {name: value.clone() for name, value in tuned.base_model.model.state_dict().items()}, inside / "model.safetensors"
    )
    with pytest.raises(InputError, match=r"lacks 3, .*The file holds an adapter that was never merged"):
        load(inside)


@pytest.mark.parametrize("names", [["embed_tokens", "lm_head"], ["lm_head", "embed_tokens", "q_proj"]])
@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_a_vocabulary_that_grew_in_training_is_loaded(family: str, names: list[str], tmp_path: Path) -> None:
    """Tokens were added and the embedding was trained, as `modules_to_save` or as targets; the base on disk has fewer rows."""
    folder = tiny_folder(tmp_path / "base", family)
    model = load(folder)
    grown = model.copy()
    grown.model.resize_token_embeddings(308, mean_resizing=False)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<one>", "<two>"])
    given = {"modules_to_save": names} if "q_proj" not in names else {"target_modules": names}
    tuned = adapter(tmp_path / "adapter", grown, **given)
    tokenizer.save_pretrained(tmp_path / "adapter")
    loaded = load(tmp_path / "adapter", base=folder)
    assert loaded.vocab_size == 308
    assert len(loaded.tokenizer) == len(tokenizer)
    assert scores(loaded) == pytest.approx(scores(LanguageModel("tuned", tuned, tokenizer)))
    assert scores(loaded) != pytest.approx(scores(model))
    added = [("Ana lives in", " <one> Paris")]
    assert score_completions(loaded, added).log_prob[0] < 0


def test_a_whole_model_with_added_tokens_is_loaded(tmp_path: Path) -> None:
    model = tiny_language_model("gpt2")
    model.tokenizer.add_tokens([f"<{number}>" for number in range(60)])
    model.model.resize_token_embeddings(len(model.tokenizer), mean_resizing=False)
    model.save(tmp_path)
    assert load(tmp_path).vocab_size == len(model.tokenizer) > 300


def test_a_token_without_a_row_in_the_embedding_is_named(tmp_path: Path) -> None:
    """The tokenizer knows a token whose embedding was not saved with the adapter."""
    model = tiny_language_model()
    model.tokenizer.add_tokens([f"<{number}>" for number in range(60)])
    with pytest.raises(InputError, match=r"every token must have a row in the model's embedding; .*300 rows.*got token 32\d"):
        score_completions(model, [("Ana lives in", "<59> Paris")])
    assert score_completions(model, ASKED).log_prob[0] < 0


@pytest.mark.parametrize(
    "kind",
    [
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=8),
    ],
    ids=lambda kind: kind.peft_type,
)
def test_prompts_of_learned_vectors_are_refused_by_their_name(kind: Any, base: Path, tmp_path: Path) -> None:
    tuned = wrapped(tiny_model("llama"), kind)
    tuned.save_pretrained(tmp_path / "adapter")
    with pytest.raises(InputError, match=rf"is {kind.peft_type.value}, a prompt of learned vectors.*LoRA"):
        load(tmp_path / "adapter", base=base)


def test_an_adapter_of_a_classifier_is_refused(base: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", load(base))
    edit(tmp_path / "adapter", task_type="SEQ_CLS")
    with pytest.raises(InputError, match=r"task_type CAUSAL_LM\); .* is made for 'SEQ_CLS'"):
        load(tmp_path / "adapter", base=base)


def saved(folder: Path, model: Any) -> Path:
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_models_that_are_not_causal_are_refused(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    llama = transformers.LlamaConfig(**sizes, num_key_value_heads=4, pad_token_id=0, tie_word_embeddings=True)
    bert = transformers.BertConfig(**sizes, max_position_embeddings=64)
    t5 = transformers.T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    classifier = saved(tmp_path / "classifier", transformers.LlamaForSequenceClassification(llama))
    with pytest.raises(InputError, match=r"must be a causal language model; .*'LlamaForSequenceClassification'"):
        load(classifier)
    masked = saved(tmp_path / "masked", transformers.BertForMaskedLM(bert))
    with pytest.raises(InputError, match=r"must be a causal language model; .*'BertForMaskedLM'"):
        load(masked)
    with pytest.raises(InputError, match=r"must be a causal language model; .*'T5ForConditionalGeneration'"):
        load(saved(tmp_path / "seq2seq", transformers.T5ForConditionalGeneration(t5)))
    # Whatever it calls itself: what it says of a text may not depend on what follows.
    head = saved(tmp_path / "head", transformers.BertLMHeadModel(bert))
    with pytest.raises(InputError, match=r"must be causal; .*depends on what follows it"):
        load(head)


def test_a_folder_that_holds_models_but_is_none_names_them(base: Path, tmp_path: Path) -> None:
    for name in ("checkpoint-20", "checkpoint-100"):
        adapter(tmp_path / "out" / name, load(base))
    with pytest.raises(InputError, match=r"models lie in it: checkpoint-20, checkpoint-100. Name one.*out/checkpoint-100"):
        load(tmp_path / "out")
    model = load(base)
    tuned = wrapped(model.model, peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"), "style")
    tuned.save_pretrained(tmp_path / "named")
    with pytest.raises(InputError, match=r"models lie in it: style. Name one.*named/style"):
        load(tmp_path / "named")


def test_a_tokenizer_that_is_given_is_used_where_the_folder_has_none_and_that_is_said(base: Path) -> None:
    given = tiny_tokenizer(())
    assert load(base, tokenizer=given).notes == ()
    assert load(base, tokenizer=given).tokenizer is not given
    for path in base.glob("tokenizer*"):
        path.unlink()
    loaded = load(base, tokenizer=given)
    assert loaded.tokenizer is given
    assert loaded.notes == (f"{base} has no tokenizer; the base's is used.",)
