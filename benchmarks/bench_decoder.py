"""Training steps of the small decoder beside plain PyTorch modules and Hugging Face's GPT-2 of the same configuration.

Every contender makes the same step: forward, cross-entropy at the last position, backward, AdamW. They take turns in one
process, one thread each, and the best of all turns counts, in processor time. Then: eight seeds in one program beside one at a
time, twelve toy arms beside a loop over plain modules, the cost of dense logging, and the share of a step that drawing its data
takes.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assay.core.memory import freed_memory_kept
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder, DecoderConfig
from assay.studies.mechanisms.in_context_vs_in_weights.settings import EmergenceSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import N_PLACES, network, optimiser_of, prepare
from assay.studies.mechanisms.in_context_vs_in_weights.world import ItemLabelWorld
from assay.studies.mechanisms.two_hop_reasoning import system as two_hop
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.settings import SymbolicSettings
from assay.training.losses import Batch, last_token_loss, next_token_loss
from assay.training.optimiser import Optimiser, Stepper
from assay.training.sequence import Stage, draw_together, log_steps, train


class PlainBlock(nn.Module):
    """Pre-norm attention and MLP out of PyTorch's own modules."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, biased = config.d_model, config.biases
        self.norm = nn.LayerNorm(d, bias=biased) if config.norm == "layer" else nn.Identity()
        self.attention = nn.MultiheadAttention(d, config.n_heads, bias=biased, batch_first=True)
        self.mlp = (
            nn.Sequential(
                nn.LayerNorm(d, bias=biased), nn.Linear(d, config.d_mlp, biased), nn.GELU("tanh"),
                nn.Linear(config.d_mlp, d, biased),
            )
            if config.d_mlp
            else None
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The stream after this block."""
        normed = self.norm(x)
        x = x + self.attention(normed, normed, normed, attn_mask=mask, is_causal=True, need_weights=False)[0]
        return x if self.mlp is None else x + self.mlp(x)


class Plain(nn.Module):
    """The same decoder as one would write it on an afternoon."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d = config.d_model
        self.tokens = nn.Embedding(config.vocab_size, d) if config.vocab_size else None
        self.places = nn.Embedding(config.n_positions, d) if config.positions == "learned" else None
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.n_layers))
        self.final = nn.LayerNorm(d, bias=config.biases) if config.norm == "layer" else nn.Identity()
        hidden = [layer for _ in range(config.readout_layers) for layer in (nn.Linear(d, d), nn.ReLU())]
        self.read_out = nn.Sequential(*hidden, nn.Linear(d, config.n_outputs, bias=False))

    def forward(self, inputs: Tensor, offset: Tensor | None, *, everywhere: bool = False) -> Tensor:
        """Logits at the last position, or at all of them."""
        n_pos = inputs.shape[1]
        if self.tokens is not None:
            x = self.tokens(inputs)
        else:
            assert offset is not None
            x = torch.cat((F.one_hot(offset[:, None] + torch.arange(n_pos), N_PLACES).float(), inputs), -1)
        if self.places is not None:
            x = x + self.places(torch.arange(n_pos))
        mask = nn.Transformer.generate_square_subsequent_mask(n_pos)
        for block in self.blocks:
            x = block(x, mask)
        return self.read_out(self.final(x if everywhere else x[:, -1]))


def gpt2(config: DecoderConfig) -> nn.Module:
    """Hugging Face's GPT-2 of the same configuration; only the last position is read."""
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.n_positions, n_embd=config.d_model, n_layer=config.n_layers,
            n_head=config.n_heads, n_inner=config.d_mlp, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0,
            eos_token_id=0,
        )
    )  # fmt: skip


def stepper(model: nn.Module, forward: Callable[[], Tensor], targets: Tensor) -> Callable[[], None]:
    """One training step as a function."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        loss = F.cross_entropy(forward().flatten(0, -2), targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def best_ms(contenders: dict[str, Callable[[], None]], *, rounds: int, steps: int) -> dict[str, float]:
    """Best processor milliseconds a step of each contender, taking turns."""
    best = dict.fromkeys(contenders, float("inf"))
    for turn in range(rounds + 1):
        for name, step in contenders.items():
            start = time.process_time()
            for _ in range(steps):
                step()
            if turn:  # the first warms up
                best[name] = min(best[name], (time.process_time() - start) / steps * 1e3)
    return best


def beside_others(rounds: int, steps: int) -> list[dict[str, object]]:
    """Our step beside plain modules, and beside GPT-2 where the configuration is one of GPT-2's."""
    rng = np.random.default_rng(0)
    chains = ChainWorld().sequences(256, rng=rng)
    tokens, ends = torch.from_numpy(chains.tokens), torch.from_numpy(chains.answers)
    items = ItemLabelWorld.sample(rng=rng, n_classes=512).sequences(128, rng=rng, burst=2)
    vectors, labels = torch.from_numpy(items.content), torch.from_numpy(items.answers)
    offset = torch.from_numpy(rng.integers(49, size=128))
    strict = two_hop.network(SymbolicSettings(), ChainWorld())
    as_gpt2 = replace(strict, d_mlp=256, act="gelu", biases=True, tied=True)
    words = torch.from_numpy(rng.integers(64, size=(128, 17)))
    wide = replace(as_gpt2, vocab_size=64, n_outputs=64, n_layers=2, d_model=128, d_mlp=512)
    sizes = {
        "two-hop, width 64": (strict, tokens, ends, None),
        "in-context, width 128": (network("strict", 32), vectors, labels, offset),
        "two-hop size, GPT-2's parts": (as_gpt2, tokens, ends, None),
        "in-context size, GPT-2's parts": (wide, words, labels, None),
    }
    rows: list[dict[str, object]] = []
    for name, (config, inputs, targets, places) in sizes.items():
        ours, plain = Decoder.init(config, rng), Plain(config)
        contenders = {
            "ours": stepper(ours, lambda m=ours, x=inputs, o=places: m(x, at=-1, offset=o), targets),
            "plain": stepper(plain, lambda m=plain, x=inputs, o=places: m(x, o), targets),
        }
        if config.biases:
            other = gpt2(config)
            contenders["GPT-2"] = stepper(
                other, lambda m=other, x=inputs: m(input_ids=x, use_cache=False, logits_to_keep=1).logits[:, -1], targets
            )
        best = best_ms(contenders, rounds=rounds, steps=steps)
        fastest = min(value for key, value in best.items() if key != "ours")
        rows.append(
            {"what": name, **{f"{key} ms": round(value, 2) for key, value in best.items()}, "ratio": fastest / best["ours"]}
        )
    return rows


def eight_seeds(rounds: int, steps: int) -> list[dict[str, object]]:
    """Per seed: eight in one program beside one at a time, at small sizes."""
    rows: list[dict[str, object]] = []
    world = ChainWorld(3, 2, 20)
    for width, batch in ((16, 16), (32, 32), (64, 64)):
        config = replace(two_hop.network(SymbolicSettings(), world), d_model=width)
        rngs = [np.random.default_rng(i) for i in range(8)]
        drawn = [world.sequences(batch, rng=rng) for rng in rngs]
        tokens, ends = (
            torch.from_numpy(np.stack([d.tokens for d in drawn])),
            torch.from_numpy(np.stack([d.answers for d in drawn])),
        )
        one, eight = Decoder.init(config, rngs[0]), Decoder.init(config, rngs)
        best = best_ms(
            {
                "one": stepper(one, lambda m=one, x=tokens[0]: m(x, at=-1), ends[0]),
                "eight": stepper(eight, lambda m=eight, x=tokens: m(x, at=-1), ends),
            },
            rounds=rounds,
            steps=4 * steps,
        )
        rows.append(
            {"what": f"8 seeds, width {width}, batch {batch}",
             "one ms": round(best["one"], 2), "eight ms": round(best["eight"], 2),
             "ratio": 8 * best["one"] / best["eight"]}
        )  # fmt: skip
    return rows


def twelve_arms(rounds: int, steps: int) -> list[dict[str, object]]:
    """The toy arms' step, a loss at every position: twelve decoders in one program beside a loop over twelve plain modules."""
    n_runs = 12
    ours_config = DecoderConfig(700, 700, n_layers=2, d_model=64)
    plain_config = replace(ours_config, norm="layer", positions="learned")
    rngs = [np.random.default_rng(i) for i in range(n_runs)]
    tokens, following = (torch.from_numpy(rngs[0].integers(700, size=(n_runs, 8, 32))) for _ in range(2))
    batch = Batch(tokens, following)

    def arm_steps(config: DecoderConfig) -> Callable[[], None]:
        model = Decoder.init(config, rngs)
        parameters = list(model.parameters())
        adam = Stepper(parameters, Optimiser(), n_runs=n_runs)
        return lambda: adam.step(torch.autograd.grad(next_token_loss(model, batch).sum(), parameters, allow_unused=True))

    plain = [Plain(plain_config) for _ in range(n_runs)]
    alone = [stepper(one, lambda m=one, x=tokens[i]: m(x, None, everywhere=True), following[i]) for i, one in enumerate(plain)]
    contenders = {
        "RMS norm, rotary": arm_steps(ours_config),
        "ours": arm_steps(plain_config),
        "plain": lambda: [step() for step in alone],
    }
    best = {name: value / n_runs for name, value in best_ms(contenders, rounds=rounds, steps=max(1, steps // 4)).items()}
    figures = {f"{name} ms a step and run": round(value, 2) for name, value in best.items()}
    return [{"what": "12 arms, width 64, 256 tokens, vocabulary 700", **figures, "ratio": best["plain"] / best["ours"]}]


def logging_and_data(steps: int) -> list[dict[str, object]]:
    """What dense logging adds to a run, and which share of a step its data take."""
    settings = SymbolicSettings(n_steps=20 * steps)
    world = settings.world
    drawn = world.sequences(settings.n_eval, rng=np.random.default_rng(0))
    few = world.sequences(64, rng=np.random.default_rng(1))

    def observe(model: Decoder) -> dict[str, float]:
        copying = {f"copy_{layer}": two_hop.copy_margin(model, few, layer=layer) for layer in (0, 2)}
        return two_hop.gates_of(model, drawn) | copying

    spent = SimpleNamespace(data=0.0, looking=0.0)

    def timed(key: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.process_time()
            found = function(*arguments, **named)
            setattr(spent, key, getattr(spent, key) + time.process_time() - start)
            return found

        return call

    rng = np.random.default_rng(2)
    model = Decoder.init(two_hop.network(settings, world), rng)

    def draw(step: int) -> Batch:
        batch = world.sequences(settings.batch, rng=rng)
        return Batch(torch.from_numpy(batch.tokens), torch.from_numpy(batch.answers))

    looking = timed("looking", observe)
    n_looks = 20
    looked_at = range(0, settings.n_steps, settings.n_steps // n_looks)
    start = time.process_time()
    train(
        model, Stage(settings.n_steps, timed("data", draw), last_token_loss), Optimiser(), observe_at=looked_at,
        observe=lambda step, m: looking(m),
    )  # fmt: skip
    total = time.process_time() - start
    # The study looks on a log grid, then every `every` steps; a run ends at about 2,000.
    n_steps = SymbolicSettings().n_steps
    looks = [step for step in log_steps(n_steps, per_decade=12, dense_from=n_steps // 20, every=settings.every) if step <= 2000]
    step_s = (total - spent.looking) / settings.n_steps
    rows: list[dict[str, object]] = [
        {
            "what": "two-hop, dense logging",
            "share": spent.looking / n_looks * len(looks) / (2000 * step_s),
            "looks": len(looks),
        },
        {"what": "two-hop, data", "share": spent.data / (total - spent.looking)},
    ]
    spent.data = 0.0
    emergence = EmergenceSettings()
    config = network("strict", emergence.regimes["isolated"].n_labels)
    arm = prepare("bench", emergence.regimes["isolated"], emergence, Seeds(0), d_content=config.d_content, placed=True)
    stage = Stage(10 * steps, timed("data", draw_together([arm.draw])), last_token_loss)
    start = time.process_time()
    train(Decoder.init(config, [rng]), stage, optimiser_of(emergence))
    total = time.process_time() - start
    rows.append({"what": "in-context, data (new classes)", "share": spent.data / total})
    return rows


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with (
        freed_memory_kept()
    ):  # as in our training loop, and for every contender: without it, clearing pages is half of a small step
        rows = beside_others(arguments.rounds, arguments.steps)
        rows += eight_seeds(arguments.rounds, arguments.steps)
        rows += twelve_arms(arguments.rounds, arguments.steps)
    rows += logging_and_data(arguments.steps)
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        figures = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("what", "ratio", "share"))
        result = f"{row['ratio']:.2f}x" if "ratio" in row else f"{100 * float(str(row['share'])):.1f} % of a step"
        print(f"{row['what']}: {result} ({figures})" if figures else f"{row['what']}: {result}")


if __name__ == "__main__":
    main()
