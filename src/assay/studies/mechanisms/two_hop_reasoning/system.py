"""The paper's symbolic system: its network, its training, and what is measured of a network on fresh sequences."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.seeds import Seeds
from assay.instruments.attention import attended, attention_on
from assay.models.decoder import Decoder, DecoderConfig
from assay.store.memo import memoised
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences, ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.lens import diagonal_margin, value_lens
from assay.studies.mechanisms.two_hop_reasoning.settings import Training
from assay.training.losses import Batch, cross_entropy, last_token_loss
from assay.training.optimiser import Optimiser
from assay.training.sequence import Stage, log_steps, train
from assay.training.trace import Observation, Trace

__all__ = [
    "Course",
    "all_chains_loss",
    "answers_of_all",
    "copy_margin",
    "gates_of",
    "network",
    "observed",
    "probabilities",
    "train_network",
    "train_start",
    "untrained",
]


def network(settings: Training, world: ChainWorld, *, n_layers: int = 3, n_heads: int = 1) -> DecoderConfig:
    """`strict`: pre-LayerNorm blocks without biases, learned positions, free read-out; attention only unless `mlp`."""
    width, vocab = settings.d_model, world.vocab_size
    if settings.network == "modern":
        return DecoderConfig(
            vocab, vocab, n_layers=n_layers, n_heads=n_heads, d_model=width, d_mlp=2 * width, act="silu", gated=True
        )
    return DecoderConfig(
        vocab, vocab, n_layers=n_layers, n_heads=n_heads, d_model=width, d_mlp=4 * width if settings.mlp else 0, act="relu",
        norm="layer", positions="learned", n_positions=256, embed_std=settings.embed, weight_std=(3 * width) ** -0.5,
    )  # fmt: skip


def untrained(
    settings: Training, world: ChainWorld, rng: np.random.Generator, *, n_layers: int = 3, n_heads: int = 1
) -> Decoder:
    """A network before training: attention is uniform, since W_Q is zero, and positions are half as large as tokens.

    Otherwise the first layer may come to look at children everywhere, the query's shortest way to a guess; then no child ever
    looks at its parent.
    """
    model = Decoder.init(network(settings, world, n_layers=n_layers, n_heads=n_heads), rng)
    with torch.no_grad():
        if model.W_pos is not None:
            model.W_pos.mul_(0.5)
        for block in model.blocks:
            block.W_Q.zero_()  # type: ignore[operator]
    return model


def answers_of_all(
    model: Decoder, contexts: Int[Tensor, "batch pos"], sources: Int[Tensor, "batch chain"]
) -> Float[Tensor, "batch chain vocab"]:
    """Logits after each of several queries about a context, as if each stood alone behind it.

    All queries stand at the same position and see the context and themselves. The context, which sees none of them, is
    computed once.
    """
    n_told, n_asked = contexts.shape[-1], sources.shape[-1]
    queries = model.embed(sources.reshape(-1, 1), first=n_told).view(*sources.shape, -1)
    x = torch.cat((model.embed(contexts), queries), -2)
    hidden = torch.ones(n_told + n_asked, n_told + n_asked, dtype=torch.bool).triu(1)
    hidden[n_told:, n_told:] = ~torch.eye(n_asked, dtype=torch.bool)
    asked = slice(n_told, n_told + n_asked)
    for block in model.blocks[:-1]:
        x = block(x, hidden)
    x = model.blocks[-1](x, hidden[asked], rows=asked)
    return model.read_out(model.final_norm(x))


def all_chains_loss(model: Decoder, batch: Batch) -> Float[Tensor, ""]:
    """Mean cross-entropy of the answers to all queries of every context, in nats; inputs are the context, then the queries."""
    n_asked = batch.targets.shape[-1]
    logits = answers_of_all(model, batch.inputs[:, :-n_asked], batch.inputs[:, -n_asked:])
    return cross_entropy(logits, batch.targets, over=2)


def train_network(
    name: str,
    world: ChainWorld,
    settings: Training,
    seeds: Seeds,
    *,
    observe: Callable[[Decoder], Observation],
    observe_at: Sequence[int],
    n_layers: int = 3,
    n_heads: int = 1,
    n_steps: int | None = None,
    stop: Callable[[int, Observation], bool] | None = None,
) -> tuple[Decoder, Trace]:
    """A network trained from scratch on fresh sequences, and its trace.

    With `ask_all` every context is asked for each of its chains. The expected gradient is that of one question a context; it
    has less noise, since no end of a context is the answer more often than another.

    Args:
        name: of the arm; names its random streams.
        world: the task.
        settings: network and optimiser.
        seeds: of the run.
        observe: what is measured at the observed steps.
        observe_at: those steps.
        n_layers: depth.
        n_heads: heads of each layer.
        n_steps: instead of the settings' own.
        stop: ends training after an observation for which it is true.

    Raises:
        Diverged: the loss left the finite numbers.
    """
    mine = seeds.child(name)
    batches = mine("batches")

    def draw(step: int) -> Batch:
        drawn = world.sequences(settings.batch, rng=batches)
        if not settings.ask_all:
            return Batch(torch.from_numpy(drawn.tokens), torch.from_numpy(drawn.answers))
        asked = np.concatenate((drawn.tokens[:, :-1], drawn.sources), axis=1)
        return Batch(torch.from_numpy(asked), torch.from_numpy(drawn.ends.copy()))

    model = untrained(settings, world, mine("init"), n_layers=n_layers, n_heads=n_heads)
    optimiser = Optimiser("adamw", settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.99))
    loss = all_chains_loss if settings.ask_all else last_token_loss
    trace = train(
        model, Stage(n_steps or settings.n_steps, draw, loss), optimiser, observe=lambda step, m: observe(m),
        observe_at=observe_at, stop=stop,
    )  # fmt: skip
    return model, trace


@dataclass(frozen=True)
class Course:
    """What was observed while a network was trained, one entry an observation.

    Attributes:
        steps: rising; the last is where training stopped.
        rows: what `probabilities` gives; of three layers also the three gates of `gates_of`, and `copy_0` and `copy_2`, the
            `copy_margin` of the first and the third layer.
        solved: whether it had solved the task there.
    """

    steps: tuple[int, ...]
    rows: tuple[Mapping[str, float], ...]
    solved: bool

    def series(self, name: str) -> Float[np.ndarray, " observation"]:
        """One of the observed quantities."""
        return np.array([row[name] for row in self.rows])

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """All of them."""
        return {name: self.series(name) for name in self.rows[0]}


def train_start(
    settings: Training, seeds: Seeds, drawn: ChainSequences, *, n_layers: int = 3, n_heads: int = 1, start: int = 1
) -> tuple[Decoder, Course]:
    """A network of some depth, trained until it has solved the task, and its course.

    It ends at the first observation that is sure enough, or after all steps. A memoised step of the store, because two
    experiments need the same networks of three layers.

    Args:
        settings: network and optimiser; fields that a subclass adds do not count.
        seeds: of the run.
        drawn: the sequences that it is observed on.
        n_layers: depth.
        n_heads: heads of each layer.
        start: which of the run's networks of this kind, from 1.
    """
    settings = Training(**{field.name: getattr(settings, field.name) for field in fields(Training)})

    def solved(row: Observation) -> bool:
        return bool(row["target"] >= settings.solved)

    def build(folder: Path) -> None:
        name = "three layers" if (n_layers, n_heads) == (3, 1) else f"{n_layers} layers, {n_heads} heads"
        model, trace = train_network(
            f"{name}, start {start}", settings.world, settings, seeds, n_layers=n_layers, n_heads=n_heads,
            observe=lambda model: observed(model, drawn),
            observe_at=log_steps(settings.n_steps, per_decade=12, dense_from=settings.n_steps // 20, every=settings.every),
            stop=lambda step, row: step > 0 and solved(row),
        )  # fmt: skip
        np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
        rows = tuple({name: float(value) for name, value in row.items()} for row in trace.observations)
        (folder / "course.json").write_text(json.dumps(asdict(Course(trace.steps, rows, solved(rows[-1])))))

    key = {
        "settings": asdict(settings), "seed": seeds.root, "path": list(seeds.path), "layers": n_layers, "heads": n_heads,
        "start": start,
    }  # fmt: skip
    folder = memoised("two-hop-network", key, build)
    course = json.loads((folder / "course.json").read_text())
    with np.load(folder / "weights.npz") as weights:
        kept = {name: torch.from_numpy(weights[name]) for name in weights.files}
    model = Decoder.from_weights(network(settings, settings.world, n_layers=n_layers, n_heads=n_heads), kept)
    return model, Course(tuple(course["steps"]), tuple(course["rows"]), course["solved"])


def observed(model: Decoder, drawn: ChainSequences) -> dict[str, float]:
    """What is followed while a network is trained: see `Course`."""
    if model.config.n_layers != 3:
        with torch.no_grad():
            return probabilities(model(torch.from_numpy(drawn.tokens), at=-1).numpy(), drawn)
    few = drawn[:64]  # enough for the copying, a mean over the ends of all chains
    return gates_of(model, drawn) | {f"copy_{layer}": copy_margin(model, few, layer=layer) for layer in (0, 2)}


def probabilities(logits: np.ndarray, drawn: ChainSequences) -> dict[str, float]:
    """Mean probability of the answer, of all ends, of sources and bridges, of tokens outside; accuracy; loss in nats."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    p = odds / odds.sum(-1, keepdims=True)
    rows = np.arange(len(p))
    target = p[rows, drawn.answers]
    ends = np.take_along_axis(p, drawn.ends, 1).sum(1)
    middle = np.take_along_axis(p, drawn.chains[..., :-1].reshape(len(p), -1), 1).sum(1)
    return {
        "target": float(target.mean()),
        "ends": float(ends.mean()),
        "middle": float(middle.mean()),
        "outside": float((1 - ends - middle).mean()),
        "accuracy": float((logits.argmax(-1) == drawn.answers).mean()),
        "loss": float(-np.log(np.maximum(target, 1e-12)).mean()),
    }


def gates_of(model: Decoder, drawn: ChainSequences) -> dict[str, float]:
    """The three attention weights of the sequential query, and the probabilities of what is answered, from one pass.

    `parent`: layer 1, every child on its parent; `bridge`: layer 2, the query on the bridge where it is the source's child;
    `end`: layer 3, the query on the end of the asked chain. With several heads the most attentive one counts.
    """
    logits, (first, second, third) = attended(model, torch.from_numpy(drawn.tokens))
    n, n_tokens = drawn.tokens.shape
    children = torch.arange(2, n_tokens - 1, 2).expand(n, -1)
    query = torch.full((n, 1), n_tokens - 1)
    asked = torch.from_numpy(2 + 2 * drawn.asked_slots)
    return probabilities(logits[:, -1].numpy(), drawn) | {
        "parent": float(attention_on(first, children, children - 1).max()),
        "bridge": float(attention_on(second, query, asked[:, :1]).max()),
        "end": float(attention_on(third, query, asked[:, -1:]).max()),
    }


def copy_margin(model: Decoder, drawn: ChainSequences, *, layer: int) -> float:
    """How far the value vectors of a layer vote for their own token above the best other one, in logits, over all ends."""
    tokens = torch.from_numpy(drawn.tokens)
    margins = [
        diagonal_margin(value_lens(model, tokens, layer=layer, head=head), tokens) for head in range(model.config.n_heads)
    ]
    places = torch.from_numpy(2 + 2 * drawn.slots[..., -1])
    return max(float(margin.gather(1, places).mean()) for margin in margins)
