"""Sites: the same names mean the same places in every family, looking changes nothing, and what a model lacks is said."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.pretrained.library import quiet
from assay.models.pretrained.tiny import MAPPED, tiny_model
from assay.models.sites import (
    FAMILIES,
    SITES,
    Site,
    at_positions,
    attn_out,
    captured,
    every_site,
    logits_of,
    mlp_out,
    patched,
    resid_post,
    resid_pre,
    site_map,
    visiting,
)

TOKENS = torch.tensor([[3, 9, 27, 81, 243, 7, 21], [200, 5, 5, 5, 61, 62, 63]])
HEADS = [attn_out(layer, head) for layer in range(3) for head in range(4)]


@pytest.fixture(scope="module", params=sorted(MAPPED))
def model(request: pytest.FixtureRequest) -> nn.Module:
    found: nn.Module = tiny_model(request.param)
    return found


def run(model: nn.Module) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(input_ids=TOKENS, use_cache=False).logits
    return logits


def n_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_the_families_of_the_site_map_are_the_families_tested() -> None:
    assert {family.model_type for family in FAMILIES} == set(MAPPED)


def test_idle_hooks_leave_the_logits_equal_to_the_bit_and_the_model_untouched(model: nn.Module) -> None:
    weights = copy.deepcopy(model.state_dict())
    source, before = run(model), n_hooks(model)
    seen: list[Site] = []

    def look(site: Site, value: Tensor) -> None:
        seen.append(site)

    with visiting(model, look, [*every_site(model), *HEADS]):
        assert n_hooks(model) > before
        assert torch.equal(run(model), source)
    assert set(seen) == {*every_site(model), *HEADS}
    assert len(seen) == len(set(seen))
    assert n_hooks(model) == before
    assert torch.equal(run(model), source)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not model.training


def test_the_stream_is_the_sum_of_what_is_added_to_it(model: nn.Module) -> None:
    """resid_post = resid_pre + attn_out + mlp_out, and one layer's resid_post is the next one's resid_pre."""
    with captured(model, every_site(model)) as seen:
        run(model)
    scale = max(float(value.abs().max()) for value in seen.values())
    for layer in range(3):
        total = seen[resid_pre(layer)] + seen[attn_out(layer)] + seen[mlp_out(layer)]
        assert torch.allclose(seen[resid_post(layer)], total, atol=1e-6 * scale)
        assert float(seen[attn_out(layer)].abs().max()) > 0
        assert float(seen[mlp_out(layer)].abs().max()) > 0
    for layer in range(2):
        assert torch.equal(seen[resid_post(layer)], seen[resid_pre(layer + 1)])


def test_patching_a_run_with_its_own_activations_changes_nothing(model: nn.Module) -> None:
    source = run(model)
    sites = [*every_site(model), *HEADS]
    with captured(model, sites) as seen:
        run(model)
    with patched(model, dict(seen)):
        assert torch.allclose(run(model), source, atol=1e-6)
    with patched(model, {site: at_positions(seen[site][:, 2:5], slice(2, 5)) for site in sites}):
        assert torch.allclose(run(model), source, atol=1e-6)


@pytest.mark.parametrize("site", [resid_pre(1), attn_out(1), mlp_out(1), resid_post(1), attn_out(1, head=2)], ids=str)
def test_a_patch_arrives_and_reaches_later_tokens_only(model: nn.Module, site: Site) -> None:
    """Planted effect: position 3 replaced; the logits before it stay, those at or behind it move."""
    source = run(model)
    with captured(model, [site]) as seen:
        run(model)
    # The third token of the first sequence gets what the last one had.
    other = at_positions(lambda value: value + seen[site][:, -1:, :] + 1.0, 3)
    with patched(model, {site: other}), captured(model, [site]) as after:
        moved = run(model)
    assert torch.equal(moved[:, :3], source[:, :3])
    assert float((moved[:, 3:] - source[:, 3:]).abs().max()) > 1e-4
    assert torch.allclose(after[site][:, 3], seen[site][:, 3] + seen[site][:, -1] + 1.0)


def test_heads_together_make_attentions_output() -> None:
    """Without a norm behind attention: attn_out = Σ_h z_h W_O[h] (llama has no bias)."""
    model = tiny_model("llama")
    with captured(model, [attn_out(1), *HEADS]) as seen:
        run(model)
    weight = model.model.layers[1].self_attn.o_proj.weight.unflatten(1, (4, 8))
    total = sum(seen[attn_out(1, head)] @ weight[:, head].T for head in range(4))
    assert isinstance(total, Tensor)
    assert torch.allclose(seen[attn_out(1)], total, atol=1e-6)


def test_hooks_are_removed_on_error(model: nn.Module) -> None:
    before = n_hooks(model)
    with pytest.raises(RuntimeError, match="on purpose"), visiting(model, lambda site, value: None, every_site(model)):
        raise RuntimeError("on purpose")
    assert n_hooks(model) == before

    def failing(site: Site, value: Tensor) -> None:
        raise ArithmeticError("in a visit")

    with pytest.raises(ArithmeticError), visiting(model, failing, [mlp_out(2)]):
        run(model)
    assert n_hooks(model) == before
    with pytest.raises(InputError), visiting(model, failing, [mlp_out(0), mlp_out(7)]):
        raise AssertionError("not reached")
    assert n_hooks(model) == before


def test_gradients_pass_through_a_kept_graph() -> None:
    model = tiny_model("gpt2")
    with captured(model, [resid_post(0)], keep_graph=True) as seen:
        logits = model(input_ids=TOKENS, use_cache=False).logits
    (gradient,) = torch.autograd.grad(logits[0, -1, 5], seen[resid_post(0)])
    assert gradient.shape == (2, 7, 32)
    assert float(gradient[1].abs().max()) == 0.0
    assert float(gradient[0].abs().max()) > 0.0


@pytest.mark.parametrize(
    ("site", "says"),
    [
        (resid_post(7), "patch at resid_post, layer 7: this model has layers 0–2"),
        (resid_post(-1), "patch at resid_post, layer -1: this model has layers 0–2"),
        (attn_out(0, head=4), "patch at attn_out, layer 0, head 4: this model has heads 0–3"),
        (Site("mlp_out", 0, head=1), "only attn_out is split by head"),
        (Site("resid_mid", 0), "unknown site 'resid_mid'"),  # type: ignore[arg-type]
    ],
)
def test_a_site_that_the_model_lacks_is_said(site: Site, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("(", "\\(")), patched(tiny_model("llama"), {site: 0.0}):
        raise AssertionError("not reached")


def test_a_value_of_another_shape_is_said() -> None:
    model = tiny_model("llama")
    with pytest.raises(InputError, match=r"must have the shape \[2, 7, 32\]"), patched(model, {mlp_out(0): torch.ones(5)}):
        run(model)


def test_an_unknown_architecture_names_what_is_missing() -> None:
    model = tiny_model("bloom")
    with pytest.raises(InputError, match="'bloom' needs a site map") as caught:
        site_map(model)
    assert all(site in str(caught.value) for site in SITES)
    assert "Scoring and fine-tuning work" in str(caught.value)


def test_a_block_without_the_part_names_the_site() -> None:
    model = tiny_model("llama")
    del model.model.layers[1].mlp
    with pytest.raises(InputError, match="look at mlp_out, layer 1: this block has no 'mlp'"):
        site_map(model).check(mlp_out(1))
    site_map(model).check(mlp_out(0))


def test_an_adapter_has_the_sites_of_its_base() -> None:
    peft = pytest.importorskip("peft", reason="needs the extra 'lm'")
    base = tiny_model("llama")
    source = run(base)
    with quiet():
        adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM"))
    with captured(adapted, every_site(adapted)) as seen:
        assert torch.equal(run(adapted), source)  # an adapter begins at zero
    assert torch.allclose(seen[resid_post(2)], seen[resid_pre(2)] + seen[attn_out(2)] + seen[mlp_out(2)], atol=1e-6)


def test_one_instrument_runs_on_our_decoder_and_on_a_pretrained_model() -> None:
    decoder = Decoder.init(DecoderConfig(n_outputs=300, vocab_size=300), np.random.default_rng(0)).eval()
    for model in (decoder, tiny_model("gpt_neox")):
        norms: dict[Site, float] = {}

        def size(site: Site, value: Tensor, norms: dict[Site, float] = norms) -> None:
            norms[site] = float(value.norm())

        with torch.no_grad():
            plain = logits_of(model, TOKENS)
            looked = logits_of(model, TOKENS, visit=size, sites=every_site(model))
            ablated = logits_of(model, TOKENS, visit=lambda site, value: torch.zeros_like(value), sites=[mlp_out(0)])
        assert torch.equal(plain, looked)
        assert set(norms) == set(every_site(model))
        assert not torch.equal(plain, ablated)
    with pytest.raises(InputError, match="layers 0–1"):
        logits_of(decoder, TOKENS, visit=lambda site, value: None, sites=[mlp_out(5)])
    with pytest.raises(InputError, match="logits_of"), captured(decoder, [mlp_out(0)]):
        raise AssertionError("not reached")
