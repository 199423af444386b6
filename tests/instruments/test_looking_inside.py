"""Knock-outs, patching, lens and progress measures find a circuit set by hand, and do not find it in shuffled weights."""

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.core.errors import InputError
from assay.instruments.attention import Silent, Uniform, attention_on, knocked_out, patterns
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.sites import attn_out, mlp_out, resid_post, resid_pre
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences, ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.lens import diagonal_margin, logit_lens, value_lens
from assay.studies.mechanisms.two_hop_reasoning.patching import activation_patching, path_patching, values_at

WORLD = ChainWorld(n_chains=4, n_hops=1, n_nodes=12)
VOCAB, N_POS = WORLD.vocab_size, WORLD.n_tokens
CONTENT, BUFFER, OUTPUT = (slice(i * VOCAB, (i + 1) * VOCAB) for i in range(3))
PLACE = slice(3 * VOCAB, 3 * VOCAB + N_POS)
CONFIG = DecoderConfig(
    VOCAB, VOCAB, n_layers=3, n_heads=2, d_model=3 * VOCAB + N_POS, d_head=VOCAB, d_mlp=0, norm="none", positions="learned",
    n_positions=N_POS, scaled=False,
)  # fmt: skip
SHARP = 30.0


def lookup_circuit() -> Decoder:
    """Looks up what follows the query.

    Head 0 of layer 0 copies the previous token into the buffer, head 0 of layer 1 attends where the buffer holds the query;
    head 1 of both layers and the whole third layer do nothing.
    """
    model = Decoder(CONFIG)
    assert model.W_E is not None
    assert model.W_pos is not None
    assert model.W_U is not None
    eye, places = torch.eye(VOCAB), torch.eye(N_POS)
    with torch.no_grad():
        model.W_E[:, CONTENT] = eye
        model.W_pos[:, PLACE] = places
        model.W_U[OUTPUT] = SHARP * eye
        first, second = model.blocks[0], model.blocks[1]
        first.W_Q[0, PLACE, :N_POS] = SHARP * places.roll(-1, 1)  # type: ignore[index]
        first.W_K[0, PLACE, :N_POS] = places  # type: ignore[index]
        first.W_V[0, CONTENT] = eye  # type: ignore[index]
        first.W_O[0, :, BUFFER] = eye  # type: ignore[index]
        second.W_Q[0, CONTENT] = SHARP * eye  # type: ignore[index]
        second.W_K[0, BUFFER] = eye  # type: ignore[index]
        second.W_V[0, CONTENT] = eye  # type: ignore[index]
        second.W_O[0, :, OUTPUT] = eye  # type: ignore[index]
    return model


def shuffled(model: Decoder, seed: int = 0) -> Decoder:
    """The same rows and columns in every matrix, in random order: each map keeps its spectrum, none fits another."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, value in model.state_dict().items():
        for axis in (-2, -1):
            value = value.index_select(axis, torch.randperm(value.shape[axis], generator=generator))
        weights[name] = value
    return Decoder.from_weights(model.config, weights)


def accuracy(logits: torch.Tensor, drawn: ChainSequences) -> float:
    """Share of sequences whose answer is the most likely token."""
    return float((logits.argmax(-1).numpy() == drawn.answers).mean())


DRAWN = WORLD.sequences(64, rng=np.random.default_rng(0))
TOKENS = torch.from_numpy(DRAWN.tokens)
ANSWERS = torch.from_numpy(DRAWN.answers)
CIRCUIT, SHUFFLED = lookup_circuit(), shuffled(lookup_circuit())
CHILDREN = torch.arange(2, N_POS - 1, 2)
ASKED_CHILD = torch.from_numpy(2 + 2 * DRAWN.asked_slots)  # [batch, 1]
LAST = torch.full((64, 1), N_POS - 1)


def answer_logit(logits: Tensor) -> Tensor:
    return logits[:, -1].gather(-1, ANSWERS[:, None]).squeeze(-1)


def parents_swapped() -> Tensor:
    """The asked parent trades places with another chain's parent, so that the query now leads elsewhere."""
    tokens, rows = TOKENS.clone(), torch.arange(64)
    mine = 1 + 2 * torch.from_numpy(DRAWN.asked_slots[:, 0])
    other = 1 + 2 * torch.from_numpy(DRAWN.slots[np.arange(64), (DRAWN.asked + 1) % 4, 0])
    tokens[rows, mine], tokens[rows, other] = TOKENS[rows, other], TOKENS[rows, mine]
    return tokens


def test_the_planted_circuit_works_and_the_shuffled_one_does_not() -> None:
    assert accuracy(CIRCUIT(TOKENS, at=-1), DRAWN) == 1.0
    assert accuracy(SHUFFLED(TOKENS, at=-1), DRAWN) < 0.4


def test_progress_measures_see_both_heads() -> None:
    layers = patterns(CIRCUIT, TOKENS)
    assert [tuple(layer.shape) for layer in layers] == [(64, 2, N_POS, N_POS)] * 3
    queries = CHILDREN.expand(64, -1)
    previous = attention_on(layers[0], queries, queries - 1)
    assert previous[0] > 0.999
    assert previous[1] == pytest.approx(np.mean([1 / (1 + int(q)) for q in CHILDREN]), rel=1e-4)  # the idle head is even
    assert attention_on(layers[1], LAST, ASKED_CHILD)[0] > 0.999
    both = torch.stack((ASKED_CHILD, ASKED_CHILD - 1), -1)
    assert attention_on(layers[2], LAST, both)[0] == pytest.approx(2 / N_POS, rel=1e-4)
    mask = torch.zeros(64, 1, N_POS, dtype=torch.bool)
    mask[torch.arange(64), 0, ASKED_CHILD[:, 0]] = True
    torch.testing.assert_close(attention_on(layers[1], LAST, mask), attention_on(layers[1], LAST, ASKED_CHILD))
    raw = patterns(CIRCUIT, TOKENS, scores=True)
    torch.testing.assert_close(raw[1].softmax(-1), layers[1])
    none_found = patterns(SHUFFLED, TOKENS)
    assert attention_on(none_found[0], queries, queries - 1).max() < 0.6
    assert attention_on(none_found[1], LAST, ASKED_CHILD).max() < 0.6


def test_knock_outs_break_what_is_needed_and_nothing_else() -> None:
    def after(*cuts: Uniform | Silent) -> float:
        return accuracy(knocked_out(CIRCUIT, TOKENS, *cuts, at=-1), DRAWN)

    broken = [
        Uniform(0), Uniform(0, head=0), Uniform(1, rows=(-1,)),
        Silent(0), Silent(0, head=0), Silent(1, head=0),
    ]  # fmt: skip
    harmless = [
        Uniform(0, rows=LAST), Uniform(0, head=1), Uniform(1, rows=CHILDREN), Uniform(2), Silent(2), Silent(0, head=1),
        Silent(1, head=1),
    ]  # fmt: skip
    assert max(after(cut) for cut in broken) < 0.5
    assert min(after(cut) for cut in harmless) == 1.0
    assert after(harmless[0], harmless[3]) == 1.0
    assert after(Uniform(2), Silent(1)) < 0.5
    assert torch.equal(knocked_out(CIRCUIT, TOKENS), CIRCUIT(TOKENS))
    for cut in (*broken, *harmless):  # nothing to break
        assert accuracy(knocked_out(SHUFFLED, TOKENS, cut, at=-1), DRAWN) < 0.5


def test_uniform_attention_is_even_over_what_may_be_seen() -> None:
    seen: list[Tensor] = []

    def look(site: str, layer: int, value: Tensor) -> None:
        if site == "attn_out" and layer == 0:
            seen.append(value)

    knocked = knocked_out(CIRCUIT, TOKENS, Uniform(0, rows=(3,)))
    CIRCUIT(TOKENS, visit=look)
    content = torch.nn.functional.one_hot(TOKENS, VOCAB).float()
    stream = values_at(CIRCUIT, TOKENS, [attn_out(0)])[attn_out(0)]
    torch.testing.assert_close(stream, seen[0])
    assert knocked.shape == (64, N_POS, VOCAB)
    even = content[:, :4].mean(1)

    def check(site: str, layer: int, value: Tensor) -> Tensor | None:
        if site == "pattern" and layer == 0:
            value = value.clone()
            value[:, :, 3] = torch.tensor([0.25] * 4 + [0.0] * (N_POS - 4))
            return value
        if site == "attn_out" and layer == 0:
            torch.testing.assert_close(value[:, 3, BUFFER], even)
        return None

    torch.testing.assert_close(CIRCUIT(TOKENS, visit=check), knocked)


def test_activation_patching_finds_the_places() -> None:
    sites = [resid_pre(0), attn_out(0), attn_out(1), attn_out(2), resid_post(2)]
    shares = activation_patching(
        CIRCUIT, TOKENS, parents_swapped(), answer_logit, sites, positions=[slice(None), CHILDREN.tolist(), -1]
    )
    expected = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=torch.float)
    torch.testing.assert_close(shares, expected, atol=0.02, rtol=0)
    with pytest.raises(InputError, match="must tell clean from corrupted"):  # shuffled weights do not notice the swap at all
        activation_patching(SHUFFLED, TOKENS, parents_swapped(), answer_logit, sites)


def test_path_patching_finds_the_route() -> None:
    other = parents_swapped()

    def lost(sender: object, receiver: object) -> float:
        return path_patching(CIRCUIT, TOKENS, other, answer_logit, sender, receiver)  # type: ignore[arg-type]

    assert lost(attn_out(0), attn_out(1)) == pytest.approx(1.0, abs=0.02)
    assert lost(attn_out(0), attn_out(2)) == pytest.approx(0.0, abs=0.02)
    assert lost(resid_pre(0), attn_out(0)) == pytest.approx(1.0, abs=0.02)
    assert lost(resid_pre(0), attn_out(1)) == pytest.approx(
        0.0, abs=0.02
    )  # the matching head reads parents from the buffer only
    assert lost(attn_out(1), attn_out(2)) == pytest.approx(0.0, abs=0.02)
    with pytest.raises(InputError, match="must come after"):
        lost(attn_out(1), attn_out(0))
    with pytest.raises(InputError, match="a path goes"):
        lost(resid_post(0), attn_out(1))


def test_the_lens_reads_the_answer_where_it_is_written() -> None:
    before, after, last = logit_lens(CIRCUIT, TOKENS, [0, 1, 2])
    assert accuracy(after[:, -1], DRAWN) == 1.0
    assert accuracy(before[:, -1], DRAWN) < 0.5
    torch.testing.assert_close(last, CIRCUIT(TOKENS))
    copying = value_lens(CIRCUIT, TOKENS, layer=1)
    assert diagonal_margin(copying, TOKENS).min() > 0.9 * SHARP
    assert diagonal_margin(copying, TOKENS, positions=slice(1, 3)).shape == (64, 2)
    for absent in (value_lens(CIRCUIT, TOKENS, layer=0), value_lens(CIRCUIT, TOKENS, layer=1, head=1)):
        assert diagonal_margin(absent, TOKENS).max() <= 0.0
    assert diagonal_margin(value_lens(SHUFFLED, TOKENS, layer=1), TOKENS).mean() < 0.0


def test_the_same_instruments_run_on_pretrained_architectures() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 31, "bos_token_id": 0, "eos_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)  # a share is a ratio: random weights may put its denominator near zero
        gpt2 = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_positions=16, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3, **sizes)
        )
        llama = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.3, **sizes
            )
        )
    tokens = torch.from_numpy(np.random.default_rng(0).integers(31, size=(2, 5, 9)))

    def metric(logits: Tensor) -> Tensor:
        return logits[:, -1, 3]

    for model in (gpt2.eval(), llama.eval()):
        lens = logit_lens(model, tokens[0], [0, 1])
        torch.testing.assert_close(lens[1], model(input_ids=tokens[0]).logits)
        shares = activation_patching(
            model, tokens[0], tokens[1], metric, [resid_pre(0), resid_post(1), attn_out(0)], positions=[slice(None), -1]
        )
        torch.testing.assert_close(shares[:2, 0], torch.ones(2), atol=1e-4, rtol=0)
        assert shares[1, 1] == pytest.approx(1.0, abs=1e-4)
        assert abs(path_patching(model, tokens[0], tokens[1], metric, attn_out(0), attn_out(1))) < 5


def test_bad_requests_are_refused() -> None:
    for cut in (Uniform(3), Silent(-1)):
        with pytest.raises(InputError, match="layers 0–2"):
            knocked_out(CIRCUIT, TOKENS, cut)
    with pytest.raises(InputError, match="heads 0–1"):
        knocked_out(CIRCUIT, TOKENS, Silent(0, head=2))
    with pytest.raises(InputError, match="rows must be positions"):
        knocked_out(CIRCUIT, TOKENS, Uniform(0, rows=(99,)))
    with pytest.raises(InputError, match="one shape"):
        activation_patching(CIRCUIT, TOKENS, TOKENS[:, 1:], answer_logit, [attn_out(0)])
    with pytest.raises(InputError, match="must tell clean from corrupted"):
        activation_patching(CIRCUIT, TOKENS, TOKENS, answer_logit, [attn_out(0)])
    with pytest.raises(InputError, match="heads 0–1"):
        value_lens(CIRCUIT, TOKENS, layer=0, head=5)
    with pytest.raises(InputError, match="no MLP"):
        activation_patching(CIRCUIT, TOKENS, parents_swapped(), answer_logit, [mlp_out(0)])
