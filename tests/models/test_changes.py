"""Changes of weights as values: exact where subtraction is, cut as said, restored to the bit, kept for their own base alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

pytest.importorskip("transformers", reason="needs the extra 'lm'")
pytest.importorskip("peft", reason="needs the extra 'lm'")

import peft
from safetensors import safe_open
from safetensors.torch import save_file

from assay.core.errors import InputError, SettingsError, StoreError
from assay.models.changes import Change, Weight, displaced
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.pretrained.library import quiet
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.tiny import MAPPED, tiny_language_model
from assay.protocols.log_probs import weights_digest
from assay.training.chosen import chosen_names, merged
from assay.training.recipe import Recipe

CONFIG = DecoderConfig(
    n_outputs=11, vocab_size=11, n_layers=3, n_heads=2, d_model=8, d_mlp=12, norm="layer", positions="learned", n_positions=6,
    biases=True,
)  # fmt: skip
TIED = replace(CONFIG, tied=True, biases=False, norm="rms")
TOKENS = torch.tensor([[1, 5, 2, 7]])


def decoder(seed: int = 0, config: DecoderConfig = CONFIG) -> Decoder:
    return Decoder.init(config, np.random.default_rng(seed))


def side_by_side(seed: int = 0) -> Decoder:
    return Decoder.init(CONFIG, [np.random.default_rng([seed, run]) for run in range(3)])


MODELS: dict[str, Callable[[], Any]] = {
    "decoder": decoder,
    "tied decoder": lambda: decoder(config=TIED),
    "decoder of three runs": side_by_side,
    "llama": tiny_language_model,
    "gpt2, tied": lambda: tiny_language_model("gpt2"),
    "llama in bfloat16": lambda: in_bfloat16(tiny_language_model()),
}
EVERY_MODEL = pytest.mark.parametrize("made", list(MODELS.values()), ids=list(MODELS))


def in_bfloat16(model: LanguageModel) -> LanguageModel:
    model.model.bfloat16()
    return model


def network(model: Any) -> nn.Module:
    return model.model if isinstance(model, LanguageModel) else model


def copied(model: Any) -> Any:
    return (
        model.copy() if isinstance(model, LanguageModel) else Change({}, Change.between(model, model).weights).applied_to(model)
    )


def moved(model: Any, *, seed: int = 1, std: float = 0.05, only: str = "") -> Any:
    """A copy with noise added to its weights, to those alone whose name holds `only`."""
    made, rng = copied(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network(made).named_parameters():
            value.add_(std * torch.randn(value.shape, generator=rng) * (only in name))
    return made


def weights(model: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network(model).state_dict().items()}


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether weights are the same to the bit; minus zero is not zero, and nan is itself."""
    return one.keys() == other.keys() and all(
        torch.equal(value.flatten().view(torch.uint8), other[name].flatten().view(torch.uint8)) for name, value in one.items()
    )


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        if isinstance(model, LanguageModel):
            found: Tensor = model.model(input_ids=TOKENS, use_cache=False).logits
            return found
        return model(TOKENS if model.n_runs is None else TOKENS.expand(model.n_runs, *TOKENS.shape))


def change_of(*values: Tensor, runs: int | None = None, scale: float = 1.0, matrix: bool = True) -> Change:
    """A change of weights a, b, ... of no model in particular."""
    tensors = {"abc"[place]: value for place, value in enumerate(values)}
    return Change(
        tensors, {name: Weight(tuple(value.shape), None, frozenset(), matrix) for name, value in tensors.items()}, runs, scale
    )


@EVERY_MODEL
def test_added_to_the_model_before_it_gives_the_model_after(made: Callable[[], Any]) -> None:
    before = made()
    after = moved(before)
    kept = weights(before)
    change = Change.between(before, after)
    there, back = change.applied_to(before), (-change).applied_to(after)
    # One rounding of the difference and one of the sum.
    eps = torch.finfo(next(network(before).parameters()).dtype).eps
    for name, value in weights(after).items():
        torch.testing.assert_close(weights(there)[name], value, rtol=2 * eps, atol=eps)
        torch.testing.assert_close(weights(back)[name], kept[name], rtol=2 * eps, atol=eps)
    assert same_bits(weights(before), kept)
    torch.testing.assert_close(logits(there), logits(after), rtol=1e-4, atol=200 * eps)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_it_is_exact_to_the_bit_where_the_difference_is(seed: int) -> None:
    """Multiples of 1/16 below 2^16: their sums and differences need no rounding."""
    before, after = decoder(), decoder()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*before.parameters(), *after.parameters()):
            value.copy_(torch.randint(-(2**19), 2**19, value.shape, generator=rng) / 16)
    change = Change.between(before, after)
    assert same_bits(weights(change.applied_to(before)), weights(after))
    assert same_bits(weights((-change).applied_to(after)), weights(before))
    assert same_bits(weights((change - change).applied_to(before)), weights(before))
    for name in change.weights:
        assert torch.equal(change.of(name), weights(after)[name] - weights(before)[name])
        assert torch.equal((change + change).of(name), (2 * change).of(name))
        assert torch.equal((0.5 * change - change * 1.5).of(name), (-change).of(name))


def test_changes_combine_as_vectors_do_and_grafts_commute() -> None:
    before = decoder()
    one, other = (Change.between(before, moved(before, seed=seed)) for seed in (1, 2))
    for name in one.weights:
        torch.testing.assert_close((one + other - other).of(name), one.of(name), rtol=1e-5, atol=1e-7)
        torch.testing.assert_close((2 * one - 3 * other).of(name), 2 * one.of(name) - 3 * other.of(name))
    there, and_back = one.applied_to(other.applied_to(before)), other.applied_to(one.applied_to(before))
    for name, value in weights(there).items():
        torch.testing.assert_close(value, weights(and_back)[name], rtol=1e-5, atol=1e-7)


def test_cuts_and_multiples_share_their_numbers_and_never_write_to_them() -> None:
    before = decoder()
    change = Change.between(before, moved(before))
    kept = {name: value.clone() for name, value in change.tensors.items()}
    shared = (0.3 * change).only(parts=["mlp"])
    assert all(value is change.tensors[name] for name, value in shared.tensors.items())
    rng = np.random.default_rng(0)
    for made in (shared, change.low_rank(1), change.without_largest(0.5), change.without_random(0.5, rng), change + shared):
        with made.inside(before):
            pass
    assert same_bits(dict(change.tensors), kept)


def test_a_weight_that_does_not_move_takes_no_memory() -> None:
    before = side_by_side()
    change = Change.between(before, moved(before, only="W_out"))
    assert set(change.tensors) == {f"blocks.{layer}.W_out" for layer in range(3)}
    assert torch.equal(change.of("W_E"), torch.zeros(3, 11, 8))
    assert not Change.between(before, before).tensors
    other = Change.between(before, moved(before, only="W_E"))
    assert set((change + other).tensors) == {*change.tensors, "W_E"}
    assert (change + other).tensors["W_E"] is other.tensors["W_E"]


@pytest.mark.parametrize("what", ["largest", "largest as numbers", "random", "low rank"])
def test_runs_side_by_side_are_changed_as_each_alone(what: str) -> None:
    before = side_by_side()
    after = moved(before)

    def cut(change: Change, runs: list[int]) -> Change:
        rngs = [np.random.default_rng([7, run]) for run in runs]
        if what == "low rank":
            return change.low_rank(2)
        if what == "random":
            return change.without_random(0.3, rngs if change.n_runs else rngs[0])
        return change.without_largest(0.3, signed="numbers" in what)

    together = cut(Change.between(before, after), [0, 1, 2]).applied_to(before)
    for run in range(3):
        alone = cut(Change.between(before.run(run), after.run(run)), [run]).applied_to(before.run(run))
        for name, value in weights(together.run(run)).items():
            torch.testing.assert_close(value, weights(alone)[name], rtol=0, atol=1e-6 if what == "low rank" else 0)


entries = st.lists(st.integers(-4, 4), min_size=1, max_size=40)  # few values, so that many are equal


@settings(max_examples=40)
@given(entries, st.floats(0, 1), st.sampled_from([1.0, -2.0]))
def test_exactly_the_largest_entries_go(values: list[int], share: float, scale: float) -> None:
    given_values = torch.tensor(values, dtype=torch.float32)
    drop = round(share * len(values))
    for signed in (False, True):
        change = change_of(given_values, scale=scale)
        whole, found = change.of("a").tolist(), change.without_largest(share, signed=signed).of("a").tolist()
        assert all(after in (before, 0) for before, after in zip(whole, found, strict=True))
        order = sorted(whole, key=(lambda value: value) if signed else abs)
        expected = [*order[: len(order) - drop], *([0.0] * drop)]
        by_size = (lambda value: value) if signed else abs
        assert sorted(map(by_size, found)) == sorted(map(by_size, expected))


def test_what_goes_is_of_every_weight_and_what_stays_is_not_rescaled() -> None:
    small, large, none = torch.arange(-50.0, 50.0).view(10, 10), 1e3 * torch.arange(1.0, 26.0), torch.zeros(4)
    kept = change_of(small, large, none).without_largest(0.08)
    gone = set(small.flatten().tolist()) - set(kept.of("a").flatten().tolist())
    assert len(gone) == 8
    assert {-50, -49, -48, -47, 49, 48, 47} < gone
    assert torch.equal(kept.of("b"), torch.where(large < 24e3, large, 0))
    assert torch.equal(kept.of("c"), none)
    assert torch.equal(change_of(small).without_largest(0.08, signed=True).of("a"), torch.where(small < 42, small, 0))
    transposed = change_of(small.T).without_largest(0.08, signed=True).of("a")
    assert torch.equal(transposed, torch.where(small < 42, small, 0).T)


@settings(max_examples=40)
@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**32))
def test_as_many_entries_go_at_random(n: int, share: float, seed: int) -> None:
    ones = torch.ones(n)
    found = change_of(ones, ones).without_random(share, np.random.default_rng(seed))
    assert int((found.of("a") == 0).sum()) == int((found.of("b") == 0).sum()) == round(share * n)
    again = change_of(ones, ones).without_random(share, np.random.default_rng(seed))
    alone = replace(again, tensors={"b": ones}).without_random(share, np.random.default_rng(seed))
    assert torch.equal(again.of("a"), found.of("a"))
    assert torch.equal(alone.of("b"), found.of("b"))


def test_every_entry_is_as_likely_to_go() -> None:
    rng = np.random.default_rng(0)
    times = sum((change_of(torch.ones(20)).without_random(0.25, rng).of("a") == 0).int() for _ in range(400))
    # Binomial(400, 1/4): six standard deviations of 8.7.
    assert int((times - 100).abs().max()) < 52


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(1, 6), st.integers(0, 2**32))
def test_the_low_rank_change_is_the_nearest_one(rows: int, columns: int, k: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    heads = torch.randn(2, rows, columns, generator=rng, dtype=torch.float64)
    found = change_of(heads).low_rank(k).of("a")
    assert int(torch.linalg.matrix_rank(found).max()) <= k
    # Eckart and Young: no matrix of that rank is nearer than the singular values that are left out.
    left = torch.linalg.svdvals(heads)[:, k:].square().sum(-1).sqrt()
    torch.testing.assert_close(torch.linalg.matrix_norm(heads - found), left, rtol=1e-6, atol=1e-9)
    other = torch.randn(2, rows, k, generator=rng, dtype=torch.float64)
    nearest_on_it = other @ torch.linalg.lstsq(other, heads).solution
    assert bool((torch.linalg.matrix_norm(heads - nearest_on_it) >= left - 1e-9).all())
    torch.testing.assert_close(change_of(found).low_rank(k).of("a"), found)


def test_a_change_of_low_rank_is_found_whole_and_vectors_stay() -> None:
    before = decoder()
    after = copied(before)
    with torch.no_grad():
        for value in after.parameters():
            value.add_(torch.ones_like(value) / 7)
    change = Change.between(before, after)
    low = change.low_rank(1)
    for name, weight in change.weights.items():
        torch.testing.assert_close(low.of(name), change.of(name), rtol=1e-4, atol=1e-6)
        assert weight.is_matrix or torch.equal(low.of(name), change.of(name))
    assert {name.rpartition(".")[2] for name, weight in change.weights.items() if weight.is_matrix} == {
        "W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_U",
    }  # fmt: skip


@EVERY_MODEL
def test_inside_a_block_and_never_after_it(made: Callable[[], Any]) -> None:
    model = made()
    change, other = (Change.between(model, moved(model, seed=seed)) for seed in (1, 2))
    with torch.no_grad():
        next(iter(network(model).parameters())).view(-1)[:2] = torch.tensor([-0.0, float("nan")])
    kept, ids = weights(model), [id(value) for value in network(model).parameters()]

    def fail(cause: type[Exception]) -> None:
        with (0.5 * other).inside(model):
            assert not same_bits(weights(model), once)
            with torch.no_grad():
                for value in network(model).parameters():
                    value.mul_(3)
            raise cause

    applied = weights(change.applied_to(model))
    with change.inside(model) as inner:
        assert inner is model
        once = weights(model)
        assert same_bits(once, applied)
        with pytest.raises(ZeroDivisionError):
            fail(ZeroDivisionError)
        assert same_bits(weights(model), once)
    assert same_bits(weights(model), kept)
    with pytest.raises(KeyError):
        fail(KeyError)
    assert same_bits(weights(model), kept)
    assert [id(value) for value in network(model).parameters()] == ids
    assert all(value.requires_grad and value.grad is None for value in network(model).parameters())


def test_a_block_that_cannot_be_entered_leaves_the_weights() -> None:
    model = nn.Linear(2, 2)
    kept = weights(model)
    with pytest.raises(RuntimeError), displaced(model, {"weight": torch.ones(2, 2), "bias": torch.ones(3)}):
        pass
    assert same_bits(weights(model), kept)


@pytest.mark.parametrize("family", MAPPED)
def test_layers_and_parts_mean_what_they_mean_to_a_recipe(family: str) -> None:
    model = tiny_language_model(family)
    change = Change.between(model, moved(model))
    for layers, parts in (
        ((), ("attention",)), ((0, 2), ("mlp",)), ((1,), ()), ((1,), ("embedding", "norm")), ((), ("norm",)), ((), ()),
    ):  # fmt: skip
        if family == "olmo" and "norm" in parts:  # its norms have no weights
            with pytest.raises(InputError, match="it has no 'norm'"):
                change.only(parts=parts)
            continue
        found = change.only(layers=layers or None, parts=parts or None)
        assert list(found.tensors) == chosen_names(model.model, Recipe(layers=layers, parts=parts))


def test_modules_and_weights_are_parts_by_name() -> None:
    model = tiny_language_model()
    change = Change.between(model, moved(model))
    (found,) = change.only(layers=[2], parts=["mlp.down_proj"]).tensors
    assert found == "model.layers.2.mlp.down_proj.weight"
    of_decoder = Change.between(decoder(), decoder(1))
    assert list(of_decoder.only(layers=[1], parts=["W_Q", "b_in"]).tensors) == ["blocks.1.W_Q"]  # biases are zero in both
    assert not of_decoder.only(layers=[]).tensors


def test_the_parts_of_a_decoder_are_disjoint_and_leave_the_positions() -> None:
    before = decoder()
    change = Change.between(before, moved(before))
    parts = [set(change.only(parts=[part]).tensors) for part in ("attention", "mlp", "norm", "embedding")]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set(change.tensors) - set().union(*parts) == {"W_pos"}
    assert parts[3] == {"W_E", "W_U"}
    assert set(change.only(layers=[0]).tensors) == {name for name in change.tensors if name.startswith("blocks.0.")}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"layers": [3]}, "layers must be among 0–2; got 3"),
        ({"layers": [-1]}, "got -1"),
        ({"parts": ["atention"]}, "it has no 'atention'. Weights of a block: W_Q, W_K"),
        ({"parts": ["mlp", "W_gate"]}, "it has no 'W_gate'"),
    ],
)
def test_what_the_model_lacks_cannot_be_chosen(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Change.between(decoder(), decoder(1)).only(**chosen)


def test_without_a_map_of_the_family_its_parts_are_unknown() -> None:
    model = tiny_language_model("opt")
    change = Change.between(model, moved(model))
    with pytest.raises(InputError, match="it has no 'attention'"):
        change.only(parts=["attention"])
    assert len(change.only(parts=["q_proj"]).tensors) == 2 * 3  # weight and bias


def test_a_tied_weight_is_one_weight() -> None:
    model = tiny_language_model("gpt2")
    change = Change.between(model, moved(model))
    assert "lm_head.weight" in model.model.state_dict()
    assert list(change.only(parts=["embedding"]).tensors) == ["transformer.wte.weight"]
    untied = model.copy()
    untied.model.lm_head.weight = nn.Parameter(untied.model.lm_head.weight.detach().clone())
    with pytest.raises(InputError, match=r"tied alike.*'lm_head.weight' is missing in before and has shape .* in after"):
        Change.between(model, untied)
    with pytest.raises(InputError, match=r"in the change and has shape .* in 'tiny-gpt2'"):
        change.applied_to(untied)


def test_adapters_are_refused_until_they_are_folded_in() -> None:
    base = tiny_language_model()
    with quiet():
        config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
        adapted = LanguageModel("tuned", peft.get_peft_model(base.copy().model, config), base.tokenizer)
    for use in (lambda: Change.between(base, adapted), lambda: Change.between(base, base).applied_to(adapted)):
        with pytest.raises(InputError, match=r"'tuned' has an adapter beside them. Fold it in first"):
            use()
    change = Change.between(base, merged(adapted))
    assert set(change.tensors) == {f"model.layers.{layer}.self_attn.q_proj.weight" for layer in range(3)}
    for name, value in change.tensors.items():
        assert int(torch.linalg.matrix_rank(value, rtol=1e-4)) == 2, name


def test_buffers_of_numbers_move_and_those_of_whole_numbers_must_agree() -> None:
    before, after = tiny_language_model(), tiny_language_model()
    for model, mean, count in ((before, 1.0, 3), (after, 1.5, 3)):
        model.model.register_buffer("mean", torch.tensor([mean]))
        model.model.register_buffer("count", torch.tensor([count]))
        model.model.register_buffer("unsaved", torch.tensor([mean]), persistent=False)
    change = Change.between(before, after)
    assert list(change.tensors) == ["mean"]
    with change.inside(before):
        assert before.model.mean.item() == 1.5
        assert before.model.unsaved.item() == 1.0
    assert before.model.mean.item() == 1.0
    after.model.count += 1
    with pytest.raises(InputError, match=r"'count' is torch.int64 and differs"):
        Change.between(before, after)


@pytest.mark.parametrize(
    "other",
    [
        lambda: decoder(config=TIED),
        side_by_side,
        lambda: tiny_language_model(),
        lambda: decoder(config=replace(CONFIG, d_mlp=16)),
    ],
)
def test_models_with_other_weights_do_not_fit(other: Callable[[], Any]) -> None:
    change = Change.between(decoder(), decoder(1))
    for use in (
        lambda: Change.between(decoder(), other()),
        lambda: change.applied_to(other()),
        lambda: change.inside(other()).__enter__(),
        lambda: change + Change.between(other(), other()),
    ):
        with pytest.raises(InputError, match=r"the same weights, tied alike, and as many runs; '.*' .* Take models of one"):
            use()


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda change: change.low_rank(0), "a rank of at least 1; got 0"),
        (lambda change: change.without_largest(1.1), r"must lie in \[0, 1\]; got 1.1"),
        (lambda change: change.without_random(float("nan"), np.random.default_rng(0)), "got nan"),
        (lambda change: change.without_random(0.1, [np.random.default_rng(0)] * 2), "as many generators; got 2"),
        (lambda change: change * float("inf"), "a finite number; got inf"),
    ],
)
def test_settings_out_of_range_are_refused(use: Callable[[Change], Change], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        use(change_of(torch.ones(3, 3)))
    with pytest.raises(InputError, match="must be finite"):
        change_of(torch.full((3, 3), float("nan"))).low_rank(1)
    with pytest.raises(InputError, match=r"'d' is not\. It has a"):
        change_of(torch.ones(3)).of("d")


@EVERY_MODEL
def test_what_was_saved_is_loaded_for_its_own_base(made: Callable[[], Any], tmp_path: Path) -> None:
    base = made()
    change = (-0.37 * Change.between(base, moved(base))).only(layers=[0, 1])
    file = tmp_path / "new" / "change.safetensors"
    change.save(file, base, notes={"n_steps": "12"})
    with safe_open(file, "pt") as opened:
        assert opened.metadata()["n_steps"] == "12"
        if isinstance(base, LanguageModel):
            assert opened.metadata()["base"] == weights_digest(base)
    found = Change.load(file, made())
    assert (found.scale, found.n_runs, found.weights) == (change.scale, change.n_runs, change.weights)
    assert same_bits(dict(found.tensors), dict(change.tensors))
    assert same_bits(weights(found.applied_to(base)), weights(change.applied_to(base)))
    assert [path.name for path in file.parent.iterdir()] == ["change.safetensors"]
    with pytest.raises(InputError, match=r"and call change.applied_to\(other\)"):
        Change.load(file, moved(base, only="1"))
    with change.inside(base), pytest.raises(InputError, match="as it was before training"):
        Change.load(file, base)


def test_what_is_no_change_is_refused(tmp_path: Path) -> None:
    base = decoder()
    change, file = Change.between(base, decoder(1)), tmp_path / "change.safetensors"
    with pytest.raises(InputError, match="absent"):
        Change.load(tmp_path / "absent.safetensors", base)
    save_file({"W_E": torch.ones(11, 8)}, file)
    with pytest.raises(InputError, match="a file that Change"):
        Change.load(file, base)
    change.save(file, base)
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    with pytest.raises(InputError, match="sound weight file"):
        Change.load(file, base)
    file.write_bytes(whole)
    with safe_open(file, "pt") as opened:
        said = opened.metadata()
    for tensors, told in (({"W_X": torch.ones(2)}, {}), ({"W_E": torch.ones(2)}, {}), ({}, {"scale": "much"})):
        save_file(tensors, file, metadata={**said, **told})
        with pytest.raises(InputError, match="Save the change again"):
            Change.load(file, base)
    with pytest.raises(StoreError, match="a change must be writable"):
        change.save(file / "below.safetensors", base)
    with pytest.raises(InputError, match="the same weights"):
        change.save(file, side_by_side())
