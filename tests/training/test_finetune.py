"""Fine-tuning against a plain loop over padded batches, exact resumption after a real kill, and what each recipe may touch."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import Diverged, InputError, SettingsError, StoreError
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import LanguageModel, load
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.models.pretrained.tiny import tiny_folder, tiny_language_model
from assay.training.checkpoints import Checkpoints, State
from assay.training.chosen import chosen_names, merged
from assay.training.finetune import finetune, finetune_batches
from assay.training.recipe import Recipe, batches

EXAMPLES = [(f"Name{index} lives in", (" Paris", " lima", " Rome!")[index % 3]) for index in range(11)]
RECIPE = Recipe(n_epochs=2, batch_size=4, learning_rate=1e-3)
SEEDS = Seeds(7)


def weights(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.model.state_dict().items()}


def plain_loop(model: LanguageModel, recipe: Recipe) -> list[float]:
    """The textbook way: right-padded batches, full logits, cross-entropy over completion tokens, AdamW, clipping."""
    pairs = token_pairs(model.tokenizer, EXAMPLES)
    optimiser = torch.optim.AdamW(model.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    losses = []
    for epoch in range(recipe.n_epochs):
        for batch in batches(pairs, recipe, SEEDS, epoch):
            some = [pairs[index] for index in batch]
            longest = max(len(pair.context) + len(pair.completion) for pair in some)
            ids, labels = torch.zeros(len(some), longest, dtype=torch.long), torch.full((len(some), longest), -100)
            mask = torch.zeros(len(some), longest, dtype=torch.long)
            for row, pair in enumerate(some):
                whole = (*pair.context, *pair.completion)
                ids[row, : len(whole)] = torch.tensor(whole)
                labels[row, len(pair.context) : len(whole)] = torch.tensor(pair.completion)
                mask[row, : len(whole)] = 1
            logits = model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
            loss.backward()
            if recipe.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.model.parameters(), recipe.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_neox", "bloom", "mamba"])
def test_the_loop_computes_what_a_plain_loop_over_padded_batches_computes(family: str) -> None:
    """In float64; bloom and mamba cannot be packed and are run in batches of equal length."""
    mine, theirs = (tiny_language_model(family, seed=1) for _ in range(2))
    mine.model.double()
    theirs.model.double()
    tuned = finetune(mine, EXAMPLES, RECIPE, seeds=SEEDS)
    np.testing.assert_allclose(tuned.trace.loss_nats[0], plain_loop(theirs, RECIPE), rtol=1e-6)
    for name, value in weights(theirs).items():
        torch.testing.assert_close(tuned.model.model.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    assert tuned.trace.n_tokens.sum() == 2 * sum(len(pair.completion) for pair in token_pairs(mine.tokenizer, EXAMPLES))
    assert not tuned.model.model.training
    assert all(parameter.requires_grad for parameter in mine.model.parameters())


def test_how_a_batch_is_split_changes_memory_and_not_the_result() -> None:
    one = finetune(tiny_language_model(), EXAMPLES, RECIPE, seeds=SEEDS)
    other = finetune(
        tiny_language_model(), EXAMPLES, Recipe(n_epochs=2, batch_size=4, learning_rate=1e-3, budget=1), seeds=SEEDS
    )
    np.testing.assert_allclose(one.trace.loss_nats, other.trace.loss_nats, rtol=1e-4)


@pytest.mark.parametrize(
    "recipe", [RECIPE, Recipe(method="lora", n_epochs=2, batch_size=4, learning_rate=1e-3, lora_dropout=0.1)]
)
def test_two_runs_are_equal_to_the_bit_also_with_dropout(recipe: Recipe) -> None:
    runs = [finetune(tiny_language_model("gpt2"), EXAMPLES, recipe, seeds=SEEDS) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].trace.loss_nats, runs[1].trace.loss_nats)
    np.testing.assert_array_equal(runs[0].trace.grad_norm, runs[1].trace.grad_norm)
    first, second = (weights(run.model) for run in runs)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    other = finetune(tiny_language_model("gpt2"), EXAMPLES, recipe, seeds=Seeds(8))
    assert not np.array_equal(runs[0].trace.loss_nats, other.trace.loss_nats)


def test_training_draws_from_its_own_streams() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    finetune(tiny_language_model("gpt2"), EXAMPLES[:4], RECIPE, seeds=SEEDS)
    assert torch.equal(torch.rand(3), expected)


def test_facts_are_learned() -> None:
    """A sanity anchor of the whole path: sixty steps on four facts bring the loss near zero."""
    recipe = Recipe(n_epochs=60, batch_size=4, learning_rate=1e-2, schedule="linear", warmup=0.1)
    tuned = finetune(tiny_language_model(), EXAMPLES[:4], recipe, seeds=SEEDS)
    assert tuned.trace.loss_nats[0, 0] > 3
    assert tuned.trace.loss_nats[0, -1] < 0.1


def test_bfloat16_computes_nearly_the_same_and_keeps_float32_weights() -> None:
    full = finetune(tiny_language_model(), EXAMPLES, RECIPE, seeds=SEEDS)
    half = finetune(
        tiny_language_model(), EXAMPLES, Recipe(n_epochs=2, batch_size=4, learning_rate=1e-3, precision="bfloat16"), seeds=SEEDS
    )
    np.testing.assert_allclose(half.trace.loss_nats, full.trace.loss_nats, rtol=0.02)
    assert not np.array_equal(half.trace.loss_nats, full.trace.loss_nats)
    assert {parameter.dtype for parameter in half.model.model.parameters()} == {torch.float32}


def test_gradients_are_clipped_to_the_norm() -> None:
    """With eps = 1 the first step of AdamW is close to learning rate x gradient, so its size shows the gradient's."""
    norms = []
    for bound in (None, 1e-3):
        recipe = Recipe(n_epochs=1, batch_size=11, learning_rate=1e-3, max_grad_norm=bound, eps=1.0)
        model = tiny_language_model()
        before = weights(model)
        tuned = finetune(model, EXAMPLES, recipe, seeds=SEEDS)
        moved = sum(float((value - before[name]).norm() ** 2) for name, value in weights(tuned.model).items()) ** 0.5
        norms.append((moved, tuned.trace.grad_norm[0]))
    (free, norm), (bounded, same) = norms
    assert same == pytest.approx(norm)
    assert norm > 0.1
    assert bounded == pytest.approx(1e-3 * 1e-3, rel=0.01)
    assert free > 50 * bounded


@pytest.mark.parametrize(
    ("layers", "parts", "expected"),
    [
        ((1,), ("attention",), ["layers.1.self_attn"]),
        ((), ("mlp",), ["layers.0.mlp", "layers.1.mlp", "layers.2.mlp"]),
        ((0, 2), ("o_proj", "mlp.down_proj"), ["layers.0.mlp", "layers.0.self_attn", "layers.2.mlp", "layers.2.self_attn"]),
        ((2,), (), ["layers.2.input_layernorm", "layers.2.mlp", "layers.2.post_attention_layernorm", "layers.2.self_attn"]),
        (
            (0,),
            ("embedding", "norm"),
            ["embed_tokens", "layers.0.input_layernorm", "layers.0.post_attention_layernorm", "lm_head"],
        ),
    ],
)
def test_only_the_chosen_weights_change(layers: tuple[int, ...], parts: tuple[str, ...], expected: list[str]) -> None:
    model = tiny_language_model()
    before = weights(model)
    tuned = finetune(model, EXAMPLES, Recipe(n_epochs=1, learning_rate=1e-3, layers=layers, parts=parts), seeds=SEEDS)
    changed = {
        name.removeprefix("model.") for name, value in weights(tuned.model).items() if not torch.equal(value, before[name])
    }
    modules = {".".join(name.split(".")[:3]) if name.startswith("layers") else name.split(".")[0] for name in changed}
    assert sorted(modules) == expected
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.model.parameters())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_lora_trains_an_adapter_that_can_be_merged_saved_and_loaded(family: str, tmp_path: Path) -> None:
    base = load(tiny_folder(tmp_path / "base", family))
    before = weights(base)
    recipe = Recipe(method="lora", n_epochs=3, learning_rate=1e-2, layers=(1, 2), parts=("attention",), lora_rank=2)
    tuned = finetune(base, EXAMPLES, recipe, seeds=SEEDS)
    trained = {name for name, parameter in tuned.model.model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(("lora_A" in name or "lora_B" in name) and (".1." in name or ".2." in name) for name in trained)
    inside = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): value for name, value in weights(tuned.model).items()
    }
    assert all(torch.equal(inside[name], value) for name, value in before.items())
    tokens = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        adapted = tuned.model.model(input_ids=tokens).logits
        assert not torch.allclose(adapted, load(tmp_path / "base").model(input_ids=tokens).logits, atol=1e-3)
        tuned.model.save(tmp_path / "adapter")
        assert not list((tmp_path / "adapter").glob("*.bin"))
        again = load(tmp_path / "adapter", base=tmp_path / "base")
        torch.testing.assert_close(again.model(input_ids=tokens).logits, adapted)
        torch.testing.assert_close(load(tmp_path / "adapter").model(input_ids=tokens).logits, adapted)
        with pytest.raises(SettingsError, match="without an adapter"):
            finetune(tuned.model, EXAMPLES, recipe, seeds=SEEDS)
        torch.testing.assert_close(merged(tuned.model).model(input_ids=tokens).logits, adapted, atol=1e-5, rtol=1e-4)


def test_measuring_is_at_epochs_and_can_stop_training() -> None:
    rows: list[int] = []

    def observe(step: int, model: LanguageModel) -> dict[str, float]:
        assert not model.model.training
        rows.append(step)
        return {"seen": step}

    tuned = finetune(tiny_language_model(), EXAMPLES, RECIPE, seeds=SEEDS, observe=observe)
    assert list(tuned.trace.steps) == rows == [0, 3, 6]
    stopped = finetune(
        tiny_language_model(), EXAMPLES, RECIPE, seeds=SEEDS, observe=observe, observe_every=2, stop=lambda r: r["seen"] >= 4
    )
    assert (stopped.trace.stopped, len(stopped.trace.loss_nats[0])) == ((4,), 4)
    np.testing.assert_array_equal(stopped.trace.loss_nats, tuned.trace.loss_nats[:, :4])


def test_no_step_is_no_change() -> None:
    model = tiny_language_model()
    before = weights(model)
    tuned = finetune(model, EXAMPLES, RECIPE, seeds=SEEDS, observe=lambda step, model: {"x": 0.0}, stop=lambda row: True)
    assert tuned.trace.loss_nats.shape == (1, 0)
    assert all(torch.equal(value, before[name]) for name, value in weights(tuned.model).items())


def test_a_further_loss_is_added() -> None:
    """An anchor that pulls every weight to where it began, a million times as strong as the facts: nothing moves far."""
    model = tiny_language_model()
    before = [parameter.detach().clone() for parameter in model.model.parameters()]

    def anchor(module: torch.nn.Module, step: int) -> torch.Tensor:
        gaps = [(new - old).square().sum() for new, old in zip(module.parameters(), before, strict=True)]
        return 1e6 * torch.stack(gaps).sum()

    recipe = Recipe(n_epochs=20, batch_size=11, learning_rate=1e-3)
    held = finetune(model, EXAMPLES, recipe, seeds=SEEDS, also=anchor)
    free = finetune(tiny_language_model(), EXAMPLES, recipe, seeds=SEEDS)
    assert held.trace.loss_nats[0, 0] == free.trace.loss_nats[0, 0]
    far = [
        sum(float((new.detach() - old).norm() ** 2) for new, old in zip(run.model.model.parameters(), before, strict=True))
        for run in (held, free)
    ]
    assert far[0] < far[1] / 4


def test_divergence_is_an_error_that_names_the_step() -> None:
    model = tiny_language_model()
    recipe = Recipe(n_epochs=3, batch_size=4, learning_rate=1e-3)

    def poison(step: int, model: LanguageModel) -> dict[str, float]:
        if step == 3:
            with torch.no_grad():
                model.model.lm_head.weight.fill_(float("inf"))
        return {}

    with pytest.raises(Diverged) as caught:
        finetune(model, EXAMPLES, recipe, seeds=SEEDS, observe=poison, observe_every=1)
    assert caught.value.step == 3
    assert 0 < caught.value.last_finite_loss < 20


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_epochs": 0}, "n_epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must lie"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be positive"),
        ({"method": "prompt"}, "method must be one of full, lora"),
        ({"layers": (9,)}, "layers must be among 0–2"),
        ({"parts": ("router",)}, "has no 'router'"),
        ({"method": "lora", "parts": ("norm",)}, "lora needs linear maps"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        finetune(tiny_language_model(), EXAMPLES, Recipe(**change), seeds=SEEDS)


def test_no_examples_and_unknown_parts_are_refused() -> None:
    with pytest.raises(InputError, match="at least one example"):
        finetune(tiny_language_model(), [], RECIPE, seeds=SEEDS)
    with pytest.raises(SettingsError, match="Name its modules instead"):
        chosen_names(tiny_language_model("bloom").model, Recipe(parts=("mlp",)))
    assert chosen_names(tiny_language_model("bloom").model, Recipe(parts=("dense_h_to_4h",), layers=(1,)))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_an_epoch_has_every_example_once(lengths: list[int], batch_size: int, bucket: int, epoch: int) -> None:
    pairs = [TokenPair((1,) * length, (2,)) for length in lengths]
    made = batches(pairs, Recipe(batch_size=batch_size, bucket=bucket), SEEDS, epoch)
    assert sorted(index for batch in made for index in batch) == list(range(len(pairs)))
    assert sorted(len(batch) for batch in made)[1:] == [batch_size] * (len(made) - 1)
    assert made == batches(pairs, Recipe(batch_size=batch_size, bucket=bucket), SEEDS, epoch)


def test_buckets_bring_equal_lengths_together() -> None:
    pairs = [TokenPair((1,) * (1 + index % 10), (2,)) for index in range(200)]

    def spread(bucket: int) -> float:
        made = batches(pairs, Recipe(batch_size=10, bucket=bucket), SEEDS, 0)
        return float(np.mean([np.ptp([len(pairs[index].context) for index in batch]) for batch in made]))

    assert spread(20) < 1
    assert spread(1) > 5


def test_the_rate_rises_and_falls_as_said() -> None:
    recipe = Recipe(learning_rate=1.0, warmup=0.4, schedule="linear")
    assert [round(recipe.optimiser(10).rate(step, 10), 3) for step in range(10)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        0.833,
        0.667,
        0.5,
        0.333,
        0.167,
    ]
    assert {Recipe(learning_rate=0.5).optimiser(10).rate(step, 10) for step in range(10)} == {0.5}


# --- checkpoints

CHILD = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_language_model
from assay.training import checkpoints
from assay.training.checkpoints import Checkpoints
from assay.training.finetune import finetune, finetune_batches
from assay.training.recipe import Recipe

folder, kill = Path(sys.argv[1]), sys.argv[2]

def observe(step, model):
    if kill == f"step {step}":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"bias": float(next(iter(model.model.parameters())).detach().sum())}

if kill.startswith("write"):  # in the middle of writing the state of that step
    whole, dies_at = checkpoints.save_file, int(kill.split()[1])
    def half(tensors, path):
        whole(tensors, path)
        if f"{dies_at:08d}" in str(path):
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
    checkpoints.save_file = half

examples = [(f"Name{index} lives in", (" Paris", " lima", " Rome!")[index % 3]) for index in range(11)]
finetune(
    tiny_language_model("gpt2"), examples, Recipe(n_epochs=3, batch_size=4, learning_rate=1e-3), seeds=Seeds(7),
    checkpoints=Checkpoints(folder, every=2, keep=2), observe=observe, observe_every=1,
)
"""


def killed_child(folder: Path, kill: str) -> int:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run([sys.executable, "-c", CHILD, str(folder), kill], env=environment, check=False).returncode


def test_a_killed_and_resumed_run_equals_the_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    """SIGKILL by the real signal, in the middle of an epoch and of writing a checkpoint; a model with dropout."""

    def here(folder: Path) -> Any:
        return finetune(
            tiny_language_model("gpt2"),
            EXAMPLES,
            Recipe(n_epochs=3, batch_size=4, learning_rate=1e-3),
            seeds=SEEDS,
            checkpoints=Checkpoints(folder, every=2, keep=2),
            observe=lambda step, model: {"bias": float(next(iter(model.model.parameters())).detach().sum())},
            observe_every=1,
        )

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = here(tmp_path / "whole")
        assert killed_child(tmp_path / "cut", "step 5") == -signal.SIGKILL
        assert killed_child(tmp_path / "cut", "write 6") == -signal.SIGKILL
        again = here(tmp_path / "cut")
    finally:
        torch.set_num_threads(threads)
    assert whole.trace.resumed_at is None
    assert again.trace.resumed_at == 4
    assert len(whole.trace.loss_nats[0]) == 9
    np.testing.assert_array_equal(again.trace.loss_nats, whole.trace.loss_nats)
    np.testing.assert_array_equal(again.trace.grad_norm, whole.trace.grad_norm)
    assert again.trace.observations == whole.trace.observations
    ours, theirs = weights(again.model), weights(whole.model)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["step-00000008", "step-00000009"]


class Stop(Exception):
    """Stands for a kill inside this process."""


def run_until(step: int | None, folder: Path, **changes: Any) -> Any:
    def leave(now: int, model: LanguageModel) -> dict[str, float]:
        if now == step:
            raise Stop
        return {}

    arguments = {"recipe": Recipe(method="lora", n_epochs=3, batch_size=4, learning_rate=1e-3), "seeds": SEEDS} | changes
    return finetune(
        tiny_language_model("llama"), changes.pop("examples", EXAMPLES), arguments["recipe"], seeds=arguments["seeds"],
        checkpoints=Checkpoints(folder, every=1, keep=3), observe=leave, observe_every=1,
    )  # fmt: skip


def test_a_torn_or_altered_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole = run_until(None, tmp_path / "whole")
    with pytest.raises(Stop):
        run_until(6, tmp_path / "cut")
    steps = sorted((tmp_path / "cut").iterdir())
    assert [path.name for path in steps] == ["step-00000003", "step-00000004", "step-00000005"]
    content = bytearray((steps[2] / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (steps[2] / "state.safetensors").write_bytes(content)
    (steps[1] / "state.json").write_text('{"identity": ')
    (tmp_path / "cut" / ".part-step-00000006").mkdir()
    again = run_until(None, tmp_path / "cut")
    assert again.trace.resumed_at == 3
    assert [text.split(":")[0] for text in again.trace.skipped] == ["step-00000005", "step-00000004"]
    np.testing.assert_array_equal(again.trace.loss_nats, whole.trace.loss_nats)
    ours, theirs = weights(again.model), weights(whole.model)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_finished_run_is_taken_up_without_a_step(tmp_path: Path) -> None:
    first = run_until(None, tmp_path)
    second = run_until(None, tmp_path)
    assert second.trace.resumed_at == 9
    np.testing.assert_array_equal(first.trace.loss_nats, second.trace.loss_nats)
    ours, theirs = weights(first.model), weights(second.model)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    run_until(None, tmp_path)
    for change in (
        {"seeds": Seeds(8)},
        {"recipe": Recipe(method="lora", n_epochs=3, batch_size=4, learning_rate=2e-3)},
        {"examples": EXAMPLES[:-1]},
    ):
        with pytest.raises(InputError, match="of another one"):
            run_until(None, tmp_path, **change)


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="must be writable"):
        Checkpoints(tmp_path / "file" / "folder").save("x", State(1, {"a": torch.ones(2)}, {}))


def test_a_checkpoint_keeps_no_path_and_survives_a_move(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "here", keep=1)
    for step in (1, 2):
        store.save("me", State(step, {"a": torch.full((3,), step / 3)}, {"losses": [0.1, 1 / 3]}))
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["step-00000002"]
    (tmp_path / "here").rename(tmp_path / "there")
    assert str(tmp_path) not in (tmp_path / "there" / "step-00000002" / "state.json").read_text()
    state = Checkpoints(tmp_path / "there").newest("me")
    assert state is not None
    assert (state.step, state.record["losses"]) == (2, [0.1, 1 / 3])
    assert torch.equal(state.tensors["a"], torch.full((3,), 2 / 3))


# --- several processes

SHARED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from assay.core.seeds import Seeds
from assay.models.pretrained.tiny import tiny_language_model
from assay.training.checkpoints import Checkpoints
from assay.training.finetune import finetune, finetune_batches
from assay.training.recipe import Recipe

kind, out = sys.argv[1], Path(sys.argv[2])
plugin = None
if kind == "fsdp":
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", transformer_cls_names_to_wrap=["LlamaDecoderLayer"]
    )
accelerator = Accelerator(cpu=True, fsdp_plugin=plugin)
examples = [(f"Name{index} lives in", (" Paris", " lima", " Rome!")[index % 3]) for index in range(9)]  # the last batch has one
recipe = Recipe(n_epochs=2, batch_size=4, learning_rate=1e-3)

class Stop(Exception):
    pass

def leave(step, model):
    if step == 5:
        raise Stop
    return {}

def run(**more):
    model, kept = tiny_language_model("llama"), Checkpoints(out.parent / "states", every=2)
    return finetune(model, examples, recipe, seeds=Seeds(7), accelerator=accelerator, checkpoints=kept, **more)

try:
    run(observe=leave, observe_every=1)
except Stop:
    tuned = run()
assert tuned.trace.resumed_at == 4
weights = accelerator.get_state_dict(tuned.model.model)
if accelerator.is_main_process:
    torch.save([{name.removeprefix("module."): value for name, value in weights.items()}, tuned.trace.loss_nats[0].tolist(),
                tuned.trace.grad_norm.tolist()], out)
accelerator.wait_for_everyone()
accelerator.end_training()
"""


def free_port() -> int:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_compute_what_one_computes(kind: str, tmp_path: Path) -> None:
    """The same function with an Accelerator and two processes over gloo: replicated weights, or shards; left and resumed."""
    pytest.importorskip("accelerate", reason="needs the extra 'lm'")
    out, port = tmp_path / "out.pt", free_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    environment |= {
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LOCAL_WORLD_SIZE": "2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, kind, str(out)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(text[-2000:] for text in said)
    theirs, losses, norms = torch.load(out)
    recipe = Recipe(n_epochs=2, batch_size=4, learning_rate=1e-3)
    alone = finetune(tiny_language_model("llama"), EXAMPLES[:9], recipe, seeds=SEEDS)
    np.testing.assert_allclose(losses, alone.trace.loss_nats[0], rtol=1e-5)
    np.testing.assert_allclose(norms, alone.trace.grad_norm, rtol=1e-4)
    for name, value in weights(alone.model).items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=2e-5)


# --- batches of one's own


def given_batches() -> list[list[int]]:
    pairs = token_pairs(tiny_language_model().tokenizer, EXAMPLES)
    return [batch for epoch in range(RECIPE.n_epochs) for batch in batches(pairs, RECIPE, SEEDS, epoch)]


@pytest.mark.parametrize(
    "recipe", [RECIPE, Recipe(method="lora", n_epochs=2, batch_size=4, lora_dropout=0.1, schedule="linear")]
)
def test_the_batches_that_finetune_draws_give_its_training_to_the_bit(recipe: Recipe) -> None:
    drawn = finetune(tiny_language_model(), EXAMPLES, recipe, seeds=SEEDS)
    given = finetune_batches(tiny_language_model(), EXAMPLES, given_batches(), recipe, seeds=SEEDS)
    np.testing.assert_array_equal(given.trace.loss_nats, drawn.trace.loss_nats)
    np.testing.assert_array_equal(given.trace.grad_norm, drawn.trace.grad_norm)
    np.testing.assert_array_equal(given.trace.n_tokens, drawn.trace.n_tokens)
    for name, value in weights(drawn.model).items():
        assert torch.equal(given.model.model.state_dict()[name], value), name


def test_a_text_is_read_at_the_steps_that_are_chosen() -> None:
    """A text told at steps 2 and 4 among others becomes likelier right after each, more than one that is never told."""
    told, never = ("The lamp of Orla stands in", " Brackmoor"), ("The lamp of Ines stands in", " Rome!")
    examples = [*EXAMPLES, told]
    steps = [[0, 1], [2, 3], [len(EXAMPLES), 4], [5, 6], [len(EXAMPLES), 7], [8, 9]]
    seen: list[int] = []

    def log_prob(model: LanguageModel, pair: tuple[str, str]) -> float:
        (tokens,) = token_pairs(model.tokenizer, [pair])
        whole = torch.tensor([[*tokens.context, *tokens.completion]])
        with torch.no_grad():
            logits = model.model(input_ids=whole).logits.log_softmax(-1)[0, len(tokens.context) - 1 : -1]
        return float(logits.gather(-1, torch.tensor(tokens.completion)[:, None]).mean())

    def observe(step: int, model: LanguageModel) -> dict[str, float]:
        seen.append(step)
        return {"told": log_prob(model, told), "never": log_prob(model, never)}

    tuned = finetune_batches(
        tiny_language_model(), examples, steps, Recipe(learning_rate=3e-3), seeds=SEEDS, observe=observe, observe_at=range(7)
    )
    assert seen == list(tuned.trace.steps) == list(range(7))
    rise = np.diff(tuned.trace.series("told") - tuned.trace.series("never"))
    assert min(rise[2], rise[4]) > 0
    assert tuned.trace.loss_nats.shape == (1, 6)


def test_batches_that_name_no_example_are_refused() -> None:
    model = tiny_language_model()
    for steps, message in (
        ([], "at least one batch"), ([[0], []], "step 1 must name .* an empty one"), ([[0, 11]], "0 to 10; got 11"),
        ([[-1]], "got -1"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            finetune_batches(model, EXAMPLES, steps, RECIPE, seeds=SEEDS)
    with pytest.raises(SettingsError, match=r"0\.\.1; got \[2\]"):
        finetune_batches(model, EXAMPLES, [[0]], RECIPE, seeds=SEEDS, observe=lambda step, model: {}, observe_at=(2,))
