"""Large models: where tensors lie, in which precision, what memory it takes, and that it is said before a weight is loaded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("peft", reason="needs the extra 'lm'")

import transformers
from typer.testing import CliRunner

from assay.audit import memory, run
from assay.audit.memory import GIB, Memory, available_gib, expected_memory, refuse_beyond_memory
from assay.audit.run import BRIEF, audit
from assay.cli.main import app
from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.instruments.scoring import score_completions
from assay.models.pretrained import loading
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.packing import readings
from assay.models.pretrained.text import token_pairs
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model, tiny_tokenizer
from assay.training.chosen import merged, prepared
from assay.training.finetune import finetune
from assay.training.recipe import Recipe
from assay.worlds.facts.file import TEMPLATE, parse_facts

FACTS = parse_facts(TEMPLATE, form=".yaml", where="f.yaml")
LORA = Recipe(method="lora", lora_rank=2, learning_rate=1e-2, n_epochs=2, batch_size=4)
FULL = Recipe(learning_rate=1e-3, n_epochs=2, batch_size=4)
CPU = torch.device("cpu")


# --- what memory it takes


def of_size(width: int, n_layers: int, vocabulary: int, **more: Any) -> LanguageModel:
    """A model of that size whose tensors have shapes and no values."""
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=n_layers, **{"num_attention_heads": width // 64, **more}
    )
    with torch.device("meta"):
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return LanguageModel("large", made, tiny_tokenizer())


@pytest.fixture(scope="module")
def eight_billion() -> LanguageModel:
    """As Llama 3.1 8B is: 32 blocks of width 4,096, eight key-value heads, 128,256 tokens."""
    made = of_size(4096, 32, 128_256, num_attention_heads=32, num_key_value_heads=8, intermediate_size=14_336)
    assert made.n_parameters == 8_030_261_248
    return made


def test_weights_gradients_and_moments_are_counted_to_the_byte() -> None:
    model = of_size(512, 4, 32_000)
    n = model.n_parameters
    whole = expected_memory(model, FACTS.sentences, FULL)
    assert (whole.weights, whole.training) == (4 * n, 12 * n)
    adapter = expected_memory(model, FACTS.sentences, LORA, n_models=3)
    with prepared(model, LORA, split=False) as tuned:
        added = sum(value.numel() for name, value in tuned.model.named_parameters() if "lora_" in name)
    assert (adapter.weights, adapter.training) == (12 * n, 16 * added)
    assert expected_memory(model, FACTS.sentences, None).training == 0


@pytest.mark.parametrize("recipe", [FULL, LORA, Recipe(gradient_checkpointing=True), Recipe(precision="bfloat16")])
def test_what_a_step_keeps_is_forecast_from_above_and_near(recipe: Recipe) -> None:
    """Measured on a model with values, of all blocks; forecast without values, from two passes of few blocks."""
    import inspect

    from assay.training.chosen import checkpointed

    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4, pad_token_id=0
    )
    model = LanguageModel("small", transformers.LlamaForCausalLM(config), tiny_tokenizer())
    prompt, completion = "x" * 240, "y" * 60  # 80 and 20 tokens, as they are reckoned
    said = expected_memory(model, [(prompt, completion)] * recipe.batch_size, recipe)
    seen: dict[int, Any] = {}
    with prepared(model, recipe, split=False) as tuned, checkpointed(tuned.model, recipe):
        own = {value.untyped_storage().data_ptr() for value in tuned.model.parameters()}

        def note(value: torch.Tensor) -> torch.Tensor:
            storage = value.untyped_storage()
            if storage.data_ptr() not in own:
                seen[storage.data_ptr()] = storage
            return value

        tuned.model.train()
        tokens = torch.zeros((1, 100 * recipe.batch_size), dtype=torch.int64)
        reduced = torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16")
        assert "logits_to_keep" in inspect.signature(type(model.model).forward).parameters
        with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value), reduced:
            tuned.model(input_ids=tokens, use_cache=False, logits_to_keep=1)
    found = sum(storage.nbytes() for storage in seen.values())
    logits = 16 * 20 * recipe.batch_size * 300
    again = expected_memory(model, [(prompt, completion)] * recipe.batch_size, replace(recipe, gradient_checkpointing=False))
    block = (again.step - logits) / 6 if recipe.gradient_checkpointing else 0  # of which one is kept whole at a time
    # Without values, what a kernel shares between its inputs may count twice: never less than the real step keeps.
    assert 0.95 * (found + block) <= said.step - logits <= 1.5 * (found + block)


def test_checkpointing_and_adapters_are_what_lets_a_large_model_fit(eight_billion: LanguageModel) -> None:
    """A 8B model: its weights are 30 GiB in float32 and 15 in bfloat16, and only the latter fit a card of 24 or 40."""
    texts = [("Ana Silva lives in the city of", " Paris")] * 64
    lora, checkpointed = Recipe(method="lora"), Recipe(method="lora", gradient_checkpointing=True)
    full = expected_memory(eight_billion, texts, Recipe())
    assert full.gib > 120
    half = LanguageModel("half", eight_billion.model.to(torch.bfloat16), eight_billion.tokenizer)
    assert expected_memory(half, texts, lora).weights == pytest.approx(14.96 * GIB, rel=0.01)
    assert expected_memory(half, texts, checkpointed).gib < 24
    assert expected_memory(half, texts, checkpointed).step < expected_memory(half, texts, lora).step / 4
    half.model.float()


def test_what_does_not_fit_is_refused_with_what_would_make_it_fit() -> None:
    needed = Memory(weights=30 * GIB, training=90 * GIB, step=10 * GIB, asking=GIB)
    assert refuse_beyond_memory(needed, 200.0, CPU, Recipe(), "float32") is None
    says = (
        r"must fit in memory; this one would take about 143\.\d GiB \(weights 30\.0, gradients and moments 90\.0, a training "
        r"step 10\.0\), and cpu has 16\.0 free\. Train an adapter \(--recipe lora\), keep less of a step \(--set "
        r"gradient_checkpointing=true\), take fewer sentences .*, take another device \(--device\), or allow it \(--memory 14"
    )
    with pytest.raises(InputError, match=says):
        refuse_beyond_memory(needed, 16.0, CPU, Recipe(), "float32")
    with pytest.raises(InputError, match=r"Hold the weights in 16 bits \(--dtype bfloat16\)"):
        refuse_beyond_memory(needed, 16.0, CPU, Recipe(method="lora", gradient_checkpointing=True), "float32")
    with pytest.raises(InputError, match=r"free\. Take another device \(--device\)"):
        refuse_beyond_memory(needed, 16.0, CPU, None, "bfloat16")


def test_memory_is_refused_before_a_weight_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder(tmp_path / "model")
    monkeypatch.setattr(run, "load", lambda *_, **__: pytest.fail("a weight was loaded"))
    monkeypatch.setattr(memory, "available_gib", lambda device: 0.001)
    with pytest.raises(InputError, match=r"must fit in memory; .* and cpu has 0\.0 free"):
        audit(folder, FACTS, extent=BRIEF)
    with pytest.raises(InputError, match="must fit in memory"):
        audit(folder, FACTS, extent=BRIEF, tuned=folder)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"and cpu has 0\.3 free"):
        audit(folder, FACTS, extent=BRIEF, memory_gib=0.3)
    found = audit(folder, FACTS, extent=BRIEF, forecast_only=True, memory_gib=2.0)
    assert found.cost.expected_gib is not None
    assert 0 < available_gib(CPU) < 10_000


# --- in which precision


def test_adapters_are_trained_beside_weights_in_16_bits_and_stay_beside_them(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model", "gpt2")
    found = audit(folder, FACTS, recipe=LORA, dtype="bfloat16", extent=BRIEF, keep=tmp_path / "kept")
    assert any(cell.change for row in found.rows for cell in row.cells.values())
    kept = load(tmp_path / "kept", base=folder, dtype="bfloat16")
    kinds = {name: value.dtype for name, value in kept.model.named_parameters()}
    assert {dtype for name, dtype in kinds.items() if "lora_" in name} == {torch.float32}
    assert {dtype for name, dtype in kinds.items() if "lora_" not in name} == {torch.bfloat16}
    again = audit(folder, FACTS, tuned=tmp_path / "kept", dtype="bfloat16", extent=BRIEF)
    assert again.totals == found.totals


def test_what_needs_float32_says_so(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    with pytest.raises(InputError, match=r"training the weights themselves needs float32.*--recipe lora"):
        audit(folder, FACTS, dtype="bfloat16", extent=BRIEF)
    with pytest.raises(InputError, match=r"mitigations are compared by scaling updates, which needs float32"):
        audit(folder, FACTS, dtype="bfloat16", recipe=LORA, mitigations=["replay"], extent=BRIEF)
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    done = CliRunner().invoke(app, ["audit", str(folder), str(tmp_path / "facts.yaml"), "--dtype", "bfloat61"])
    assert isinstance(done.exception, InputError)
    assert "did you mean 'bfloat16'" in str(done.exception)


def test_the_command_takes_dtype_and_memory(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    command = [
        "audit",
        str(folder),
        str(tmp_path / "facts.yaml"),
        "--brief",
        "-q",
        "--json",
        "--store",
        str(tmp_path / "store"),
    ]
    given = ["--dtype", "bfloat16", "--recipe", "lora", "--set", "n_epochs=1", "--set", "gradient_checkpointing=true"]
    done = CliRunner().invoke(app, [*command, *given])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["recipe"]["gradient_checkpointing"] is True
    assert found["cost"]["expected_gib"] > 0
    done = CliRunner().invoke(app, [*command, "--memory", "0.02"])
    assert "must fit in memory" in str(done.exception)


@pytest.mark.parametrize("recipe", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_checkpointing_gradients_changes_no_number(family: str, recipe: Recipe) -> None:
    plain = finetune(tiny_language_model(family), FACTS.sentences, recipe, seeds=Seeds(0))
    less = finetune(tiny_language_model(family), FACTS.sentences, replace(recipe, gradient_checkpointing=True), seeds=Seeds(0))
    assert less.trace.loss_nats.tolist() == plain.trace.loss_nats.tolist()
    assert all(
        torch.equal(value, less.model.model.state_dict()[name]) for name, value in plain.model.model.state_dict().items()
    )
    assert not any(getattr(module, "gradient_checkpointing", False) for module in less.model.model.modules())


def test_a_model_that_cannot_checkpoint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_language_model()
    monkeypatch.setattr(type(model.model), "supports_gradient_checkpointing", False)
    with pytest.raises(SettingsError, match="gradient_checkpointing needs a model that supports it"):
        finetune(model, FACTS.sentences, Recipe(gradient_checkpointing=True), seeds=Seeds(0))


def test_training_the_loaded_model_itself_gives_the_numbers_of_a_copy(tmp_path: Path) -> None:
    """A model that the audit loaded is trained in its own memory; one that was given stays as it is."""
    folder = tiny_folder(tmp_path / "model")
    model = load(folder)
    for recipe in (FULL, LORA):
        assert (
            audit(folder, FACTS, recipe=recipe, extent=BRIEF).totals == audit(model, FACTS, recipe=recipe, extent=BRIEF).totals
        )
    assert score_completions(model, FACTS.sentences).log_prob.tolist() == pytest.approx(
        score_completions(load(folder), FACTS.sentences).log_prob.tolist(), abs=0
    )


# --- on which device


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices; counts those that run on the device in question."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.count = device, 0

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], arguments: tuple[Any, ...] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        given = [one for one in torch.utils._pytree.tree_leaves((arguments, options)) if isinstance(one, torch.Tensor)]
        devices = {one.device.type for one in given if one.dim() > 0}
        moves = "copy" in str(operation)
        assert moves or len(devices) < 2, f"{operation} of tensors on {devices}"
        self.count += self.device in devices
        return operation(*arguments, **(options or {}))


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom"])
@pytest.mark.parametrize("recipe", [FULL, LORA], ids=["full", "lora"])
def test_every_tensor_of_scoring_and_training_lies_on_the_model_s_device(
    family: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the device without values, which takes part in no operation with another one."""
    model = tiny_language_model(family)
    pairs = token_pairs(
        model.tokenizer, [*FACTS.sentences, *[("a common beginning of many words, " * 2, f" {n}") for n in "abc"]]
    )
    from assay.models.pretrained import packing

    packs = packing.packs_exactly(model.model)
    monkeypatch.setattr(packing, "packs_exactly", lambda model: packs)
    model.model.to("meta")
    with OneDevice("meta") as watch:
        with torch.no_grad():
            for reading in readings(model.model.eval(), pairs):
                assert {reading.logits.device.type, reading.row.device.type, reading.target.device.type} == {"meta"}
        scored = watch.count
        with prepared(model, recipe, split=False) as tuned:
            tuned.model.train()
            parameters = [value for value in tuned.model.parameters() if value.requires_grad]
            optimiser = torch.optim.AdamW(parameters)
            for reading in readings(tuned.model, pairs, share=False):
                torch.nn.functional.cross_entropy(reading.logits[reading.row].float(), reading.target).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            assert {value.grad.device.type for value in parameters if value.grad is not None} == {"meta"}
        folded = merged(tuned)
    assert scored
    assert watch.count > scored
    assert {value.device.type for value in folded.model.parameters()} == {"meta"}


def test_models_are_loaded_where_the_setting_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole models, adapters and the model that is compared: with the setting turned to the device without values."""
    folder = tiny_folder(tmp_path / "model")
    monkeypatch.setattr(loading, "chosen_device", lambda name: torch.device("meta"))
    monkeypatch.setattr(loading, "_check_causal", lambda *_: None)  # it looks at values
    whole = load(folder)
    with prepared(tiny_language_model(), LORA, split=False) as tuned:
        tuned.save(tmp_path / "adapter")
    around = load(tmp_path / "adapter", base=folder)
    for model in (whole, around, load(tmp_path / "adapter", base=whole), run.loaded_tuned(folder, whole)):
        assert {value.device.type for value in (*model.model.parameters(), *model.model.buffers())} == {"meta"}


def test_both_commands_refuse_a_device_that_is_not_there_before_they_load_anything(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    (tmp_path / "facts.yaml").write_text(TEMPLATE)
    done = CliRunner().invoke(app, ["audit", "smollm2-135m", str(tmp_path / "facts.yaml"), "--device", "cuda"])
    assert "a device must be there" in str(done.exception)
