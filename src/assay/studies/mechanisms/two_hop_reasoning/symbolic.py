"""The symbolic task: phases, gates, causes, copying, the three-parameter model and fewer chains (C1 to C4, C6, C8)."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.instruments.abruptness import jump_of
from assay.instruments.attention import Uniform, knocked_out
from assay.models.decoder import Decoder
from assay.models.sites import attn_out, resid_pre
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences, ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.gate_fit import MODELS, log_error_ratios, mixed_attention, predictions
from assay.studies.mechanisms.two_hop_reasoning.patching import path_patching
from assay.studies.mechanisms.two_hop_reasoning.settings import SymbolicSettings
from assay.studies.mechanisms.two_hop_reasoning.system import (
    Course,
    observed,
    probabilities,
    train_network,
    train_start,
    untrained,
)
from assay.training.sequence import log_steps

CIRCUIT = ("layer 1, children", "layer 2, query", "layer 3, query")
OTHERS = ("layer 1, other rows", "layer 2, other rows", "layer 3, other rows")
GATES = ("parent", "bridge", "end", "accuracy")
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of uniform attention in a layer
UNITS = np.round(np.arange(0.05, 1.3001, 0.05), 2)


def measure(settings: SymbolicSettings, seeds: Seeds) -> Measurement:
    """One seed: the first of several networks that solves the task, everything measured on it, and its controls.

    Where none solves it, what is said of solved networks does not exist.
    """
    rng = seeds("further evaluation")
    drawn = settings.world.sequences(settings.n_eval, rng=seeds("evaluation"))
    with part(0.0, 0.9):
        for start in parts(range(1, settings.n_starts + 1), label=lambda start: f"start {start}"):
            model, course = train_start(settings, seeds, drawn, start=start)
            if course.solved:
                break
    estimands: dict[str, float] = {"first-start/solved": float(course.solved and start == 1)}
    tables: dict[str, Table] = {}
    if course.solved:
        from_course, tables = course_numbers(course, n_ends=settings.n_chains)
        from_model, more_tables = model_numbers(model, drawn, settings, rng)
        from_gates, gate_tables = gate_numbers(model, drawn)
        estimands |= {"network/start": float(start), **from_course, **from_model, **from_gates}
        tables |= more_tables | gate_tables
    with part(0.9, 1.0, "one chain"):
        alone = single_chain(settings, seeds, rng)
    return Measurement(estimands | alone, tables)


def measure_nulls(settings: SymbolicSettings, seeds: Seeds) -> Measurement:
    """The same of a network that was never trained."""
    drawn = settings.world.sequences(settings.n_eval, rng=seeds("evaluation"))
    model = untrained(settings, settings.world, seeds.child("untrained")("init"))
    row = observed(model, drawn)
    never = Course((0, settings.n_steps), (row, row), solved=False)
    numbers = course_numbers(never, n_ends=settings.n_chains)[0]
    numbers |= model_numbers(model, drawn, settings, seeds("further evaluation"))[0]
    numbers |= gate_numbers(model, drawn)[0]
    claimed = ("network/", "circuit/", "fewer-chains/", "layer-2-to-3/", "layer-3/")
    return Measurement(
        {f"untrained/{name.partition('/')[2]}": value for name, value in numbers.items() if name.startswith(claimed)}
    )


# ----------------------------------------------------------------------------------------------- from the course of training


def course_numbers(course: Course, *, n_ends: int) -> tuple[dict[str, float], dict[str, Table]]:
    """What the course of a network's training says: phases, jump, coincidence, copying."""
    steps, curves = np.array(course.steps, dtype=float), course.curves
    jump = jump_of(steps, curves["target"], 0.5).step
    copying = {
        f"layer-{layer}{arm}/copy_margin": float(np.interp(at, steps, curves[f"copy_{layer - 1}"]))
        for layer in (1, 3)
        for arm, at in (("", jump / 2), ("-untrained", steps[0]), ("-end", steps[-1]))
    }
    del copying["layer-1-end/copy_margin"]
    estimands = {
        "network/jump_step": jump,
        "network/guessing_share": guessing_share(steps, curves["target"], jump, n_ends=n_ends),
        "network/ends_probability": float(np.interp(jump / 2, steps, curves["ends"])),
        "at-jump/ends_probability": float(np.interp(jump, steps, curves["ends"])),
        "untrained/ends_probability": float(curves["ends"][0]),
        "network/cliff": cliff(steps, curves["target"], n_ends=n_ends),
        "network/coincidence": coincidence(steps, curves, GATES, jump),
        "with-guessing/coincidence": coincidence(steps, curves, (*GATES, "ends"), jump),
        **copying,
    }
    phases: Table = [
        {"time": float(t), "measure": name, "value": float(np.interp(t * jump, steps, curves[name]))}
        for name in ("target", "ends", "middle", "parent", "bridge", "end")
        for t in UNITS
    ]
    lens: Table = [
        {"time": float(t), "layer": layer, "margin": float(np.interp(t * jump, steps, curves[name]))}
        for layer, name in (("layer 1", "copy_0"), ("layer 3", "copy_2"))
        for t in UNITS
    ]
    return estimands, {"phases": phases, "lens": lens}


def guessing_share(steps: np.ndarray, target: np.ndarray, jump: float, *, n_ends: int) -> float:
    """Share of the steps before the jump at which the right end has 1/k - 0.05 to 1/k + 0.1 of k ends.

    By trapezoids between observations.
    """
    before = steps < jump
    grid = np.append(steps[before], jump)
    held = np.append((np.abs(target - 1 / n_ends - 0.025) <= 0.075)[before], False).astype(float)
    return float(np.trapezoid(held, grid) / jump) if jump > 0 else math.nan


def cliff(steps: np.ndarray, target: np.ndarray, *, n_ends: int) -> float:
    """Steps from 1/k + 0.15 of k ends to 0.95 as a share of those to 0.5; 1 where that first level never comes.

    A level that has not come by the end counts as coming there.
    """
    start, jump, end = (jump_of(steps, target, level) for level in (1 / n_ends + 0.15, 0.5, 0.95))
    return (end.step - start.step) / jump.step if start.seen and jump.step > 0 else 1.0


def coincidence(steps: np.ndarray, curves: Mapping[str, np.ndarray], names: tuple[str, ...], jump: float) -> float:
    """Largest distance between the steps from which on each curve stays past half of its rise, in steps to the jump.

    1 where one of them does not rise.
    """
    halves = [last_rise(steps, curves[name]) for name in names]
    return float(np.ptp(halves)) / jump if jump > 0 and np.isfinite(halves).all() else 1.0


def last_rise(steps: np.ndarray, values: np.ndarray) -> float:
    """The step from which on a curve stays above the middle of its first and last value, interpolated; nan without a rise."""
    level = (values[0] + values[-1]) / 2
    below = np.flatnonzero(values < level)
    if values[-1] <= values[0] or not below.size:
        return math.nan
    i = int(below[-1])
    return float(steps[i] + (level - values[i]) / (values[i + 1] - values[i]) * (steps[i + 1] - steps[i]))


# ------------------------------------------------------------------------------------------------------- from the network


def model_numbers(
    model: Decoder, drawn: ChainSequences, settings: SymbolicSettings, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, Table]]:
    """What cuts, exchanged bridges and fewer chains do to a network's answers."""
    world = settings.world
    accuracy = {name: accuracy_of(model, drawn, cut) for name, cut in cuts(world.n_tokens).items()}
    shares = routes(model, drawn[:64])
    fewer = fewer_chains(model, world, settings.n_eval, rng)

    def least(rest: str) -> float:
        found = [float(row["accuracy"]) for row in fewer if row["rest"] == rest and row["chains"] != world.n_chains]
        return min(found, default=math.nan)

    whole = accuracy_of(model, drawn)
    lost = {arm: [whole - accuracy[name] for name in names] for arm, names in (("circuit", CIRCUIT), ("other-rows", OTHERS))}
    estimands = {f"{arm}/{what}": of(lost[arm]) for arm in lost for what, of in (("least_lost", min), ("most_lost", max))} | {
        **{f"{route}/route_share": share for route, share in shares.items()},
        "fewer-chains/least_accuracy": least("unrelated edges"),
        "fewer-chains-cut/least_accuracy": least("unrelated edges, layer 2 cut"),
    }
    causes: Table = [{"cut": name, "accuracy": value} for name, value in accuracy.items()]
    paths: Table = [{"route": name, "share": value} for name, value in shares.items()]
    return estimands, {"cuts": causes, "routes": paths, "fewer": fewer}


def cuts(n_tokens: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Layer and rows made uniform: the sequential query's own, and all others of each layer."""
    query = n_tokens - 1
    children = tuple(range(2, query, 2))
    rest = tuple(row for row in range(n_tokens) if row not in children)
    rows = (children, (query,), (query,), rest, tuple(range(query)), tuple(range(query)))
    return {name: (place % 3, rows[place]) for place, name in enumerate((*CIRCUIT, *OTHERS))}


def accuracy_of(model: Decoder, drawn: ChainSequences, cut: tuple[int, tuple[int, ...]] | None = None) -> float:
    """Share of right answers, with the attention of some rows of a layer made uniform."""
    evened = () if cut is None else (Uniform(cut[0], rows=cut[1]),)
    logits = knocked_out(model, torch.from_numpy(drawn.tokens), *evened, at=-1)
    return float((logits.argmax(-1).numpy() == drawn.answers).mean())


def routes(model: Decoder, drawn: ChainSequences) -> dict[str, float]:
    """Share of the preference for the right end that each route carries, when the first edges' bridges are exchanged."""
    tokens, other = exchanged_bridges(drawn)
    rows = np.arange(len(drawn.answers))
    right, wrong = torch.from_numpy(drawn.answers), torch.from_numpy(drawn.chains[rows, other, -1])

    def preference(logits: torch.Tensor) -> torch.Tensor:
        last = logits[:, -1]
        return last.gather(-1, right[:, None])[:, 0] - last.gather(-1, wrong[:, None])[:, 0]

    clean, corrupted = torch.from_numpy(drawn.tokens), torch.from_numpy(tokens)
    sites = {
        "tokens-to-2": (resid_pre(0), attn_out(1)),
        "layer-1-to-2": (attn_out(0), attn_out(1)),
        "layer-2-to-3": (attn_out(1), attn_out(2)),
        "layer-1-to-3": (attn_out(0), attn_out(2)),
        "tokens-to-3": (resid_pre(0), attn_out(2)),
    }
    return {name: path_patching(model, clean, corrupted, preference, *route) for name, route in sites.items()}


def exchanged_bridges(drawn: ChainSequences) -> tuple[np.ndarray, np.ndarray]:
    """The sequences with the bridge of the asked chain's first edge and that of the next chain exchanged; and that chain."""
    rows = np.arange(len(drawn.answers))
    other = (drawn.asked + 1) % drawn.chains.shape[1]
    tokens = drawn.tokens.copy()
    mine, theirs = (2 + 2 * drawn.slots[rows, chain, 0] for chain in (drawn.asked, other))
    tokens[rows, mine], tokens[rows, theirs] = drawn.tokens[rows, theirs], drawn.tokens[rows, mine]
    return tokens, other


def fewer_chains(model: Decoder, world: ChainWorld, n: int, rng: np.random.Generator) -> Table:
    """Accuracy with fewer chains: in place of the missing ones unrelated edges, or nothing (a shorter sequence)."""
    cut = cuts(world.n_tokens)["layer 2, query"]
    rows: Table = []
    for k in range(2, world.n_chains + 1):
        padded = ChainWorld(k, 2, world.n_nodes, n_loose=2 * (world.n_chains - k)).sequences(n, rng=rng)
        shorter = ChainWorld(k, 2, world.n_nodes).sequences(n, rng=rng)
        rows.append({"chains": k, "rest": "unrelated edges", "accuracy": accuracy_of(model, padded)})
        rows.append({"chains": k, "rest": "unrelated edges, layer 2 cut", "accuracy": accuracy_of(model, padded, cut)})
        rows.append({"chains": k, "rest": "nothing (shorter)", "accuracy": accuracy_of(model, shorter)})
    return rows


# ---------------------------------------------------------------------------------------------------- three gates against two


def gate_numbers(model: Decoder, drawn: ChainSequences) -> tuple[dict[str, float], dict[str, Table]]:
    """How well both gates together say what a network answers, beside the best that says it with less.

    Two halves of the sequences are measured apart: half of their difference is how far a mean over both is off by the draw.
    """
    half, n_ends = len(drawn.answers) // 2, drawn.ends.shape[-1]
    one, other = (np.array(mixed_attention(model, part, SHARES)) for part in (drawn[:half], drawn[half:]))
    first, second, right = (one + other) / 2
    ratios = log_error_ratios(first, second, right, n_ends, deviations=(one - other)[2] / 2)
    said = predictions(first, second, right, n_ends)
    rows: Table = [
        {"model": name, "said": float(said[name][i]), "answered": float(right[i]), "mixture": i}
        for name in MODELS
        for i in range(1, len(right), 2)
    ]
    return {f"{arm}/log_error_ratio": ratio for arm, ratio in ratios.items()}, {"mixtures": rows}


# --------------------------------------------------------------------------------------------------------- a single chain


def single_chain(settings: SymbolicSettings, seeds: Seeds, rng: np.random.Generator) -> dict[str, float]:
    """How a network learns that sees one chain and nothing else, so that there is nothing to guess among."""
    world = ChainWorld(1, 2, settings.n_nodes)
    drawn = world.sequences(settings.n_eval, rng=rng)

    def answered(model: Decoder) -> dict[str, float]:
        return probabilities(model(torch.from_numpy(drawn.tokens), at=-1).numpy(), drawn)

    _, trace = train_network(
        "one chain", world, settings, seeds, n_steps=settings.single_steps, observe=answered,
        observe_at=log_steps(settings.single_steps, per_decade=30),
        stop=lambda step, row: step > 0 and bool(row["target"] >= settings.solved),
    )  # fmt: skip
    steps, target = np.array(trace.steps, dtype=float), trace.series("target")
    jump = jump_of(steps, target, 0.5).step
    n_ends = settings.n_chains  # the same levels as with several chains
    return {
        "one-chain/guessing_share": guessing_share(steps, target, jump, n_ends=n_ends),
        "one-chain/cliff": cliff(steps, target, n_ends=n_ends),
    }
