"""The decoder: equal to GPT-2 and Llama from shared weights, and each of its shortcuts equal to the long way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from assay.core.errors import InputError, SettingsError
from assay.models.decoder import SITES, Decoder, DecoderConfig, Past

PLAIN = DecoderConfig(
    n_outputs=13, vocab_size=13, n_layers=3, n_heads=1, d_model=16, d_mlp=24, norm="layer", positions="learned", n_positions=12
)


def model_of(config: DecoderConfig, seed: int = 0) -> Decoder:
    return Decoder.init(replace(config, embed_std=0.5), np.random.default_rng(seed))


def tokens_of(*shape: int, vocab: int = 13, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(vocab, size=shape))


def gradients(model: torch.nn.Module, logits: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (logits * torch.linspace(-1, 1, logits.numel()).view(logits.shape)).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def same_gradients(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    largest = max(float(gradient.abs().max()) for gradient in theirs.values())
    for name, gradient in ours.items():
        scale = max(float(theirs[name].abs().max()), 0.01 * largest)  # a key's bias has gradient zero but for rounding
        torch.testing.assert_close(
            gradient / scale, theirs[name] / scale, atol=1e-5, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


def reference_of(family: str, model: str, **config: object) -> torch.nn.Module:
    """A model of the transformers library with weights from a fixed seed, none of them zero or one."""
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference: torch.nn.Module = getattr(transformers, model)(getattr(transformers, f"{family}Config")(**config))
        for parameter in reference.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return reference


def test_a_past_goes_on_without_copying_its_first_pass_and_branches_leave_no_trace() -> None:
    model = Decoder.init(DecoderConfig(7, 7, d_model=16, n_heads=2), np.random.default_rng(0))
    tokens = torch.from_numpy(np.random.default_rng(1).integers(7, size=(3, 6)))
    past = Past()
    whole, first = model.hidden(tokens), model.hidden(tokens[:, :3], past=past)
    kept = past.layers[0][0][0]
    there = past.branch()
    elsewhere = past.branch()
    model.hidden(tokens[:, :1], first=3, past=elsewhere)
    rest = [model.hidden(tokens[:, at : at + 1], first=at, past=there) for at in (3, 4, 5)]
    torch.testing.assert_close(torch.cat((first, *rest), 1), whole, rtol=1e-4, atol=1e-5)
    assert there.layers[0][0][0] is kept
    twice = torch.tensor([2, 0, 2])
    again = model.hidden(tokens[twice][:, 3:], first=3, past=past.of(twice))
    torch.testing.assert_close(again, whole[twice][:, 3:], rtol=1e-4, atol=1e-5)
    assert (past.n_positions(0), there.n_positions(1), elsewhere.n_positions(0)) == (3, 6, 4)


def test_keys_left_as_the_stream_give_the_same_attention() -> None:
    config = DecoderConfig(7, 7, d_model=16, n_heads=2, positions="none", biases=True, norm="layer")
    block = Decoder.init(config, np.random.default_rng(0)).blocks[0]
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 6, 16), dtype=np.float32))
    later = torch.ones(6, 6, dtype=torch.bool).triu(1)
    for rows in (None, slice(3, 6)):
        mask = later if rows is None else later[rows]
        torch.testing.assert_close(block(x, mask, rows=rows, few=True), block(x, mask, rows=rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 4])
def test_equals_gpt2_with_gradients(heads: int) -> None:
    d = 32
    reference = reference_of(
        "GPT2", "GPT2LMHeadModel", vocab_size=29, n_positions=20, n_embd=d, n_layer=2, n_head=heads, bos_token_id=0,
        eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.3,
    ).double()  # fmt: skip
    config = DecoderConfig(
        n_outputs=29, vocab_size=29, n_layers=2, n_heads=heads, d_model=d, d_mlp=4 * d, act="gelu", norm="layer",
        positions="learned", n_positions=20, tied=True, biases=True,
    )  # fmt: skip

    def renamed(source: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {"W_E": source["transformer.wte.weight"], "W_pos": source["transformer.wpe.weight"]}
        out |= {"w_final": source["transformer.ln_f.weight"], "b_final": source["transformer.ln_f.bias"]}
        for i in range(2):
            layer = {k.removeprefix(f"transformer.h.{i}."): v for k, v in source.items() if f".h.{i}." in k}
            split = layer["attn.c_attn.weight"].split(d, 1), layer["attn.c_attn.bias"].split(d)
            for letter, weight, bias in zip("QKV", *split, strict=True):
                out[f"blocks.{i}.W_{letter}"] = weight.unflatten(1, (heads, -1)).transpose(0, 1)
                out[f"blocks.{i}.b_{letter}"] = bias.unflatten(0, (heads, -1))
            out[f"blocks.{i}.W_O"] = layer["attn.c_proj.weight"].unflatten(0, (heads, -1))
            names = {
                "b_O": "attn.c_proj.bias", "W_in": "mlp.c_fc.weight", "b_in": "mlp.c_fc.bias", "W_out": "mlp.c_proj.weight",
                "b_out": "mlp.c_proj.bias", "w_ln1": "ln_1.weight", "b_ln1": "ln_1.bias",
                "w_ln2": "ln_2.weight", "b_ln2": "ln_2.bias",
            }  # fmt: skip
            out |= {f"blocks.{i}.{ours}": layer[theirs] for ours, theirs in names.items()}
        return out

    ours = Decoder.from_weights(config, renamed(dict(reference.state_dict()))).double()  # in float32 rounding takes up to 1e-5
    tokens = tokens_of(3, 17, vocab=29)
    theirs_logits, our_logits = reference(tokens).logits, ours(tokens)
    torch.testing.assert_close(our_logits, theirs_logits, atol=1e-9, rtol=1e-9)
    theirs = renamed(gradients(reference, theirs_logits))
    same_gradients(gradients(ours, our_logits), theirs)


def test_equals_llama_with_gradients() -> None:
    heads, d = 4, 32
    reference = reference_of(
        "Llama", "LlamaForCausalLM", vocab_size=29, hidden_size=d, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=64, rms_norm_eps=1e-6,
        initializer_range=0.3, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    config = DecoderConfig(
        n_outputs=29,
        vocab_size=29,
        n_layers=2,
        n_heads=heads,
        d_model=d,
        d_mlp=48,
        act="silu",
        gated=True,
        norm="rms",
        norm_eps=1e-6,
    )

    def renamed(source: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {
            "W_E": source["model.embed_tokens.weight"], "W_U": source["lm_head.weight"].T,
            "w_final": source["model.norm.weight"]
        }  # fmt: skip
        for i in range(2):
            layer = {k.removeprefix(f"model.layers.{i}."): v for k, v in source.items() if f".layers.{i}." in k}
            for letter in "QKV":
                weight = layer[f"self_attn.{letter.lower()}_proj.weight"].T
                out[f"blocks.{i}.W_{letter}"] = weight.unflatten(1, (heads, -1)).transpose(0, 1)
            out[f"blocks.{i}.W_O"] = layer["self_attn.o_proj.weight"].T.unflatten(0, (heads, -1))
            names = {"W_in": "mlp.up_proj", "W_gate": "mlp.gate_proj", "W_out": "mlp.down_proj"}
            out |= {f"blocks.{i}.{ours}": layer[f"{theirs}.weight"].T for ours, theirs in names.items()}
            out[f"blocks.{i}.w_ln1"] = layer["input_layernorm.weight"]
            out[f"blocks.{i}.w_ln2"] = layer["post_attention_layernorm.weight"]
        return out

    ours = Decoder.from_weights(config, renamed(dict(reference.state_dict())))
    tokens = tokens_of(3, 17, vocab=29)
    theirs_logits, our_logits = reference(tokens).logits, ours(tokens)
    torch.testing.assert_close(our_logits, theirs_logits, atol=1e-5, rtol=1e-5)
    theirs = renamed(gradients(reference, theirs_logits))
    same_gradients(gradients(ours, our_logits), theirs)


VARIANTS = {
    "one head": PLAIN,
    "two heads": replace(PLAIN, n_heads=2),
    "rotary": replace(PLAIN, positions="rotary", n_heads=2, norm="rms", act="silu", gated=True),
    "no mlp": replace(PLAIN, d_mlp=0, norm="none", positions="none"),
    "linear": replace(PLAIN, attention="linear", n_heads=2),
    "linear, one head": replace(PLAIN, attention="linear", d_mlp=0, norm="none", weight_std=0.1),
    "bare": replace(PLAIN, d_mlp=0, norm="none", scaled=False, output_matrix=False, readout_layers=3),
    "replaced stream": replace(PLAIN, n_layers=1, residual=False, norm="none"),
    "biases": replace(PLAIN, biases=True, tied=True),
    "biases, two heads": replace(PLAIN, biases=True, n_heads=2),
    "wide heads": replace(PLAIN, n_heads=2, d_head=16, output_matrix=False),
    "one-hot": replace(PLAIN, positions="one-hot"),
}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())


@variants
def test_reading_one_position_equals_reading_all(config: DecoderConfig) -> None:
    model, tokens = model_of(config), tokens_of(4, 9)
    everywhere = model(tokens)
    for at in (-1, 0, 5):
        torch.testing.assert_close(model(tokens, at=at), everywhere[:, at], atol=1e-5, rtol=1e-5)
    one, all_ = gradients(model, model(tokens, at=-1)), gradients(model, model(tokens)[:, -1])
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, all_[name], atol=2e-5, rtol=2e-5)


@variants
def test_the_future_is_not_read(config: DecoderConfig) -> None:
    model, tokens = model_of(config), tokens_of(4, 9)
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 13
    torch.testing.assert_close(model(tokens)[:, :6], model(changed)[:, :6], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(model(tokens)[:, 6:], model(changed)[:, 6:], atol=1e-3)


@variants
def test_a_run_of_a_batch_equals_the_run_alone(config: DecoderConfig) -> None:
    config = replace(config, embed_std=0.5)
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    batch, tokens = Decoder.init(config, rngs), tokens_of(3, 4, 9)
    logits = batch(tokens, at=-1)
    stacked = gradients(batch, logits)
    for i in range(3):
        alone = Decoder.init(config, np.random.default_rng(i))
        torch.testing.assert_close(batch.run(i)(tokens[i]), alone(tokens[i]), atol=0.0, rtol=0.0)
        single = alone(tokens[i], at=-1)
        torch.testing.assert_close(logits[i], single, atol=1e-5, rtol=1e-5)
        weights = torch.linspace(-1, 1, logits.numel()).view(logits.shape)[i]
        alone.zero_grad()
        (single * weights).sum().backward()
        for name, parameter in alone.named_parameters():
            if parameter.grad is None:  # a key's bias, which the softmax does not see
                assert name not in stacked
                continue
            torch.testing.assert_close(stacked[name][i], parameter.grad, atol=3e-5, rtol=3e-5)
    again = Decoder.stack([batch.run(i) for i in range(3)])
    assert torch.equal(again(tokens), batch(tokens))


@variants
def test_batch_mates_do_not_change_a_run(config: DecoderConfig) -> None:
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    batch, tokens = Decoder.init(config, rngs), tokens_of(3, 4, 9)
    before = batch(tokens)
    with torch.no_grad():
        for parameter in batch.parameters():
            parameter[1:] = torch.nan
    assert torch.equal(batch(tokens)[0], before[0])


@variants
def test_thinking_equals_feeding_the_hidden_state_by_hand(config: DecoderConfig) -> None:
    if config.positions == "one-hot":
        with pytest.raises(InputError, match="d_content"):
            model_of(config).think(tokens_of(4, 5), 1)
        return
    model, tokens, ending = model_of(config).double(), tokens_of(4, 5), tokens_of(4, 2, seed=3)
    thought = model.think(tokens, 3, ending)
    assert model.W_E is not None
    stream = model.W_E[tokens]
    for step in range(3):
        state = model.hidden(stream)[:, -1:]
        torch.testing.assert_close(thought.thoughts[:, step : step + 1], state, atol=1e-9, rtol=1e-9)
        stream = torch.cat((stream, state), 1)
    logits = model(torch.cat((stream, model.W_E[ending]), 1))[:, -1]
    torch.testing.assert_close(thought.logits, logits, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(model.think(tokens, 0).logits, model(tokens, at=-1), atol=1e-9, rtol=1e-9)
    assert model.think(tokens, 0).thoughts.shape == (4, 0, config.d_model)
    ours, by_hand = gradients(model, thought.logits), gradients(model, logits)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, by_hand[name], atol=1e-9, rtol=1e-9)


@variants
def test_visits_every_site_once_and_looking_changes_nothing(config: DecoderConfig) -> None:
    model, tokens = model_of(config), tokens_of(4, 9)
    seen: list[tuple[str, int]] = []
    values: dict[tuple[str, int], Tensor] = {}

    def look(site: str, layer: int, value: Tensor) -> None:
        config.check_site(site, layer)
        seen.append((site, layer))
        values[site, layer] = value

    assert torch.equal(model(tokens, visit=look), model(tokens))
    has = [s for s in SITES if config.d_mlp or s not in ("mlp_out", "resid_mid")]
    assert seen == [(site, layer) for layer in range(config.n_layers) for site in has]
    assert values["pattern", 0].shape == (4, config.n_heads, 9, 9)
    if config.attention == "softmax":
        torch.testing.assert_close(values["pattern", 0].sum(-1), torch.ones(4, config.n_heads, 9))
    if config.residual:
        parts = values["resid_pre", 0] + values["attn_out", 0] + values.get(("mlp_out", 0), 0.0)
        torch.testing.assert_close(parts, values["resid_post", 0])


def test_a_returned_value_replaces_the_site() -> None:
    model, tokens, other = model_of(PLAIN), tokens_of(4, 9), tokens_of(4, 9, seed=5)
    stored: list[Tensor] = []
    model(other, visit=lambda site, layer, value: stored.append(value) if (site, layer) == ("resid_post", 1) else None)

    def swap(site: str, layer: int, value: Tensor) -> Tensor | None:
        return stored[0] if (site, layer) == ("resid_post", 1) else None

    assert torch.equal(model(tokens, visit=swap), model(other))


@variants
def test_cutting_attention_means_the_same_folded_or_not(config: DecoderConfig) -> None:
    # One query folds W_K and W_O away where the heads are several; all queries do not.
    model, tokens = model_of(config), tokens_of(4, 9)
    last = config.n_layers - 1

    def halved(site: str, layer: int, value: Tensor) -> Tensor | None:
        return value * 0.5 if (site, layer) == ("pattern", last) else None

    torch.testing.assert_close(model(tokens, at=-1, visit=halved), model(tokens, visit=halved)[:, -1], atol=1e-5, rtol=1e-5)


def test_one_hot_positions_shift_with_the_offset() -> None:
    config = DecoderConfig(
        n_outputs=5, n_layers=1, n_heads=1, d_model=20, d_mlp=0, norm="none", positions="one-hot", n_positions=12, scaled=False
    )
    model = model_of(config)
    vectors = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    stream = model.embed(vectors, offset=torch.tensor([0, 3, 8]))
    assert stream.shape == (3, 4, 20)
    assert [int(row.argmax()) for row in stream[1, :, :12]] == [3, 4, 5, 6]
    assert torch.equal(stream[..., 12:], vectors)
    with pytest.raises(InputError, match="it ends at 13"):
        model(vectors, offset=torch.tensor([0, 3, 9]))


def test_linear_attention_without_scale_is_the_bilinear_form() -> None:
    config = DecoderConfig(
        n_outputs=4, vocab_size=7, n_layers=1, n_heads=1, d_model=6, d_mlp=0, norm="none", positions="none",
        attention="linear", scaled=False, output_matrix=False,
    )  # fmt: skip
    model, tokens = model_of(config), tokens_of(2, 5, vocab=7)
    assert model.W_E is not None
    assert model.W_U is not None
    x, block = model.W_E[tokens], model.blocks[0]
    scores = (x @ block.W_Q[0]) @ (x @ block.W_K[0]).mT
    expected = (x + scores.tril() @ (x @ block.W_V[0])) @ model.W_U
    torch.testing.assert_close(model(tokens), expected, atol=1e-6, rtol=1e-5)


def test_training_one_of_several_runs_equals_training_it_alone() -> None:
    config = replace(PLAIN, d_mlp=0)
    tokens, targets = tokens_of(2, 8, 9), tokens_of(2, 8, seed=7)
    both = Decoder.init(config, [np.random.default_rng(0), np.random.default_rng(1)])
    alone = Decoder.init(config, np.random.default_rng(1))
    for model, x, y in ((both, tokens, targets), (alone, tokens[1], targets[1])):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(20):
            loss = F.cross_entropy(model(x, at=-1).flatten(0, -2), y.flatten(), reduction="sum")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(both.run(1)(tokens[1]), alone(tokens[1]), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "n_heads must divide d_model"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"n_heads": 2, "output_matrix": False}, "as wide as the stream"),
        ({"tied": True, "n_outputs": 5}, "tied read-out"),
        ({"positions": "one-hot", "n_positions": 16}, "room for content"),
        ({"positions": "rotary", "d_head": 3}, "even d_head"),
        ({"gated": True, "d_mlp": 0}, "gated MLP"),
    ],
)
def test_refuses_impossible_parts(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_refuses_sites_and_weights_of_another_configuration() -> None:
    small = replace(PLAIN, d_mlp=0)
    with pytest.raises(InputError, match="did you mean 'attn_out'"):
        PLAIN.check_site("atn_out", 0)
    with pytest.raises(InputError, match="has layers 0–2"):
        PLAIN.check_site("attn_out", 3)
    with pytest.raises(InputError, match="no MLP"):
        small.check_site("mlp_out", 0)
    with pytest.raises(InputError, match="this configuration"):
        Decoder.from_weights(small, model_of(PLAIN).state_dict())
    with pytest.raises(InputError, match="this configuration"):
        Decoder.from_weights(replace(PLAIN, n_positions=20), model_of(PLAIN).state_dict())
    with pytest.raises(InputError, match="share one configuration"):
        Decoder.stack([model_of(PLAIN), model_of(small)])
    with pytest.raises(InputError, match="single run"):
        model_of(PLAIN).run(0)
    with pytest.raises(InputError, match="takes vectors"):
        model_of(replace(PLAIN, vocab_size=None))(tokens_of(2, 3))
    with pytest.raises(SettingsError, match="n_thoughts"):
        model_of(PLAIN).think(tokens_of(2, 3), -1)
