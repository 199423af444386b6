"""The symbolic task: phases, gates, causes, copying, the three-parameter model and fewer chains (C1 to C4, C6, C8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.mechanisms.two_hop_reasoning.chains import ChainSequences, ChainWorld
from assay.studies.mechanisms.two_hop_reasoning.system import PAPER, Training, probabilities, solver, train_network

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["SYMBOLIC"]

CLAIMS = (
    Claim(
        "C1",
        says="Before it solves the task the network guesses among the ends: for most of the steps before the jump all ends "
        "together have more than 0.8 and the right one between 0.15 and 0.3.",
        source=PAPER + "section 4, training curve",
        estimand="guessing_share",
        rule=Above(0.5),
        margin="'at least half of the training before the jump'; five ends, a fifth each",
        control=Control("with a single chain there is nothing to guess among: no plateau at a fifth", "single/guessing_share"),
        paper_value="0.2 to 0.25 from step 450 to 900",
    ),
    Claim(
        "C1.jump",
        says="Then it jumps: from 0.35 to 0.95 within a tenth of the steps it took to get there.",
        source=PAPER + "section 4, training curve",
        estimand="cliff",
        rule=Below(0.1),
        margin="the paper's jump takes about 30 of 900 steps",
        control=Control("with a single chain learning is gradual", "single/cliff"),
        paper_value="steps 900 to 930",
    ),
    Claim(
        "C2",
        says="The three attention patterns of the sequential query and accuracy jump together: their half-way steps lie "
        "within a tenth of the jump's.",
        source=PAPER + "section 4, attention curves",
        estimand="coincidence",
        rule=Below(0.1),
        margin="a tenth of the steps to the jump",
        control=Control("guessing among the ends, at half of its rise, comes far earlier", "early"),
        paper_value="all at about step 900",
    ),
    Claim(
        "C3",
        says="The sequential query is the cause: uniform attention of the query in layer 2 or 3, or of the children in "
        "layer 1, leaves at most twice the accuracy of guessing among the ends.",
        source="ours (the paper shows attention maps)",
        estimand="accuracy_cut",
        rule=Below(0.4),
        margin="guessing among five ends gives 0.2",
        control=Control("uniform attention in all other rows", "accuracy_cut_elsewhere"),
        paper_value="attention maps only",
    ),
    Claim(
        "C3.others",
        says="Nothing else is needed: with uniform attention in any of the other rows accuracy stays above 0.95.",
        source="ours",
        estimand="accuracy_cut_elsewhere",
        rule=Above(0.95),
        margin="the trained network is above 0.98",
        control=Control("uniform attention in the rows of the sequential query", "accuracy_cut"),
    ),
    Claim(
        "C3.route",
        says="Layer 3 is told by layer 2: when only what layer 2 sends directly to layer 3 comes from a prompt with exchanged "
        "bridges, most of the preference for the right end is lost.",
        source="ours (path patching)",
        estimand="route/layer 2 to layer 3",
        rule=Above(0.8),
        margin="the rest may flow through more than one route",
        control=Control("what the tokens themselves send directly to layer 3 carries little of it", "route/tokens to layer 3"),
    ),
    Claim(
        "C4",
        says="Copying comes before routing: half-way to the jump every end's value in layer 3 votes for its own token, by "
        "more than 3 logits above any other.",
        source=PAPER + "section 4, logit lens at step 400",
        estimand="copy_margin",
        rule=Above(3.0),
        margin="in the paper the ends' own logits are 6 to 7, others about 0",
        control=Control("before training they vote for nothing", "copy_margin_untrained"),
        paper_value="6 to 7",
    ),
    Claim(
        "C4.first",
        says="In this network layer 1 does the copying: half-way to the jump every end's value there votes for its own token, "
        "by more than 3 logits above any other.",
        source="ours, after C4",
        estimand="copy_margin_first",
        rule=Above(3.0),
        margin="as C4",
        control=Control("before training they vote for nothing", "copy_margin_first_untrained"),
        paper_value="layer 3 copies",
    ),
    Claim(
        "C6",
        says="Three nested gates follow the same curve: the best of their descents, aligned at the jump, correlates above "
        "0.95 with the network's loss.",
        source=PAPER + "section 5 (three-parameter model)",
        estimand="gates/correlation",
        rule=Above(0.95),
        margin="the card asks for 0.9, but a straight line has 0.86 with a step, and 0.9 with a fall that is not quite one",
        control=Control("a single gate, the other two held open: it has no plateau", "one_gate/correlation"),
        paper_value="same shape",
    ),
    Claim(
        "C8",
        says="The circuit works with fewer chains: trained with five, it answers above 0.8 with two, three and four among "
        "unrelated edges, at the same positions.",
        source="ours (the paper reports it for language models)",
        estimand="fewer/least_accuracy",
        rule=Above(0.8),
        margin="most of what it reaches with five",
        control=Control("the same sequences with layer 2 of the circuit made uniform", "fewer/accuracy_cut"),
    ),
)


@dataclass(frozen=True)
class SymbolicSettings(Training):
    """The three-layer network and its controls."""

    single_steps: Annotated[int, Ge(1), doc("steps of the network with a single chain, at the most")] = 1000


def _cuts(n_tokens: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Layer and rows made uniform; the first three are the sequential query's own."""
    query = n_tokens - 1
    children = tuple(range(2, query, 2))
    rest = tuple(row for row in range(n_tokens) if row not in children)
    return {
        "layer 1, children": (0, children),
        "layer 2, query": (1, (query,)),
        "layer 3, query": (2, (query,)),
        "layer 1, other rows": (0, rest),
        "layer 2, other rows": (1, tuple(range(query))),
        "layer 3, other rows": (2, tuple(range(query))),
    }


def _accuracy(model: "Decoder", drawn: ChainSequences, cut: tuple[int, tuple[int, ...]] | None = None) -> float:
    import torch

    from assay.instruments.attention import Uniform, knocked_out

    cuts = () if cut is None else (Uniform(cut[0], rows=cut[1]),)
    logits = knocked_out(model, torch.from_numpy(drawn.tokens), *cuts, at=-1)
    return float((logits.argmax(-1).numpy() == drawn.answers).mean())


def _routes(model: "Decoder", drawn: ChainSequences) -> dict[str, float]:
    """Share of the preference for the right end that each route carries, when the first edges' bridges are exchanged."""
    import torch

    from assay.models.sites import attn_out, resid_pre
    from assay.studies.mechanisms.two_hop_reasoning.patching import path_patching

    rows = np.arange(len(drawn.answers))
    other = (drawn.asked + 1) % drawn.chains.shape[1]
    tokens = drawn.tokens.copy()
    mine, theirs = (2 + 2 * drawn.slots[rows, chain, 0] for chain in (drawn.asked, other))
    tokens[rows, mine], tokens[rows, theirs] = drawn.tokens[rows, theirs], drawn.tokens[rows, mine]
    right, wrong = torch.from_numpy(drawn.answers), torch.from_numpy(drawn.chains[rows, other, -1])

    def preference(logits: torch.Tensor) -> torch.Tensor:
        last = logits[:, -1]
        return last.gather(-1, right[:, None])[:, 0] - last.gather(-1, wrong[:, None])[:, 0]

    clean, corrupted = torch.from_numpy(drawn.tokens), torch.from_numpy(tokens)
    routes = {
        "tokens to layer 2": (resid_pre(0), attn_out(1)),
        "layer 1 to layer 2": (attn_out(0), attn_out(1)),
        "layer 2 to layer 3": (attn_out(1), attn_out(2)),
        "layer 1 to layer 3": (attn_out(0), attn_out(2)),
        "tokens to layer 3": (resid_pre(0), attn_out(2)),
    }
    return {name: path_patching(model, clean, corrupted, preference, *route) for name, route in routes.items()}


def _fewer_chains(model: "Decoder", world: ChainWorld, n: int, rng: np.random.Generator) -> Table:
    """Accuracy with fewer chains: in place of the missing ones unrelated edges, or nothing (a shorter sequence)."""
    cut = _cuts(world.n_tokens)["layer 2, query"]
    rows: Table = []
    for k in range(2, world.n_chains + 1):
        padded = ChainWorld(k, 2, world.n_nodes, n_loose=2 * (world.n_chains - k)).sequences(n, rng=rng)
        shorter = ChainWorld(k, 2, world.n_nodes).sequences(n, rng=rng)
        rows.append({"chains": k, "rest": "unrelated edges", "accuracy": _accuracy(model, padded)})
        rows.append({"chains": k, "rest": "unrelated edges, layer 2 cut", "accuracy": _accuracy(model, padded, cut)})
        rows.append({"chains": k, "rest": "nothing (shorter)", "accuracy": _accuracy(model, shorter)})
    return rows


def _guessing_share(steps: np.ndarray, target: np.ndarray, ends: np.ndarray, jump: float, *, among_ends: bool) -> float:
    """Share of the steps before the jump spent guessing among five, by trapezoids between observations."""
    guessing = (target >= 0.15) & (target <= 0.3) & ((ends > 0.8) | (not among_ends))
    before = steps < jump
    grid = np.append(steps[before], jump)
    held = np.append(guessing[before], False).astype(float)
    return float(np.trapezoid(held, grid) / jump) if jump > 0 else float("nan")


def _cliff(steps: np.ndarray, target: np.ndarray) -> float:
    """Steps from 0.35 to 0.95 as a share of those to 0.5; a level that has not come by the end counts as coming there."""
    from assay.instruments.abruptness import jump_of

    start, jump, end = (jump_of(steps, target, level) for level in (0.35, 0.5, 0.95))
    return (end.step - start.step) / jump.step if start.seen and jump.step > 0 else float("nan")


def measure(settings: SymbolicSettings, seeds: Seeds) -> Measurement:
    """One seed: the three-layer network and everything measured on it, then its controls."""
    import torch

    from assay.instruments.abruptness import crossing, jump_of
    from assay.instruments.nested_gates import Gates, fit
    from assay.training.sequence import log_steps

    world, rng = settings.world, seeds("further evaluation")
    with part(0.0, 0.9, "three layers"):
        model, course, drawn = solver(settings, seeds)
    steps = np.array(course.steps, dtype=float)
    curve = {name: course.series(name) for name in course.rows[0]}
    # Gates start at their plateau; of the network's loss only what is below guessing among the ends is theirs to explain.
    curve["loss_among_ends"] = np.minimum(curve["loss"], np.log(max(2, settings.n_chains)))
    jump = jump_of(steps, curve["target"], 0.5).step
    halves = {
        name: crossing(steps, values, (values[0] + values[-1]) / 2)
        for name, values in curve.items()
        if name in ("parent", "bridge", "end", "accuracy", "ends")
    }
    together = [halves[name] for name in ("parent", "bridge", "end", "accuracy")]

    cuts = {name: _accuracy(model, drawn, cut) for name, cut in _cuts(world.n_tokens).items()}
    routes = _routes(model, drawn.first(64))
    fewer = _fewer_chains(model, world, settings.n_eval, rng)
    padded = [row for row in fewer if row["chains"] != world.n_chains]

    single_world = ChainWorld(1, 2, settings.n_nodes)
    single_drawn = single_world.sequences(settings.n_eval, rng=rng)

    def answered(one: "Decoder") -> dict[str, float]:
        return probabilities(one(torch.from_numpy(single_drawn.tokens), at=-1).numpy(), single_drawn)

    with part(0.9, 0.98, "one chain"):
        _, single = train_network(
            "one chain", single_world, settings, seeds, n_steps=settings.single_steps, observe=answered,
            observe_at=log_steps(settings.single_steps, per_decade=30),
            stop=lambda step, row: bool(row["target"] >= settings.solved),
        )  # fmt: skip
    single_steps, single_target = np.array(single.steps, dtype=float), single.series("target")

    others = (float(2 * settings.n_chains), float(2 * settings.n_chains), float(settings.n_nodes))
    fits = {
        name: fit(gates, steps, curve["loss_among_ends"], rng=seeds(f"fit {name}"))
        for name, gates in {"gates": Gates(others, "two-hop"), "one_gate": Gates(others, "two-hop", open=(0, 1))}.items()
    } if np.ptp(curve["loss_among_ends"]) > 0 else {}  # fmt: skip
    nan = float("nan")
    estimands = {
        "jump_step": jump,
        "accuracy": float(curve["accuracy"][-1]),
        "solved": float(curve["target"][-1] >= settings.solved),
        "starts": float(course.start),
        "guessing_share": _guessing_share(steps, curve["target"], curve["ends"], jump, among_ends=True),
        "single/guessing_share": _guessing_share(
            single_steps, single_target, single_target, jump_of(single_steps, single_target, 0.5).step, among_ends=False
        ),
        "cliff": _cliff(steps, curve["target"]),
        "single/cliff": _cliff(single_steps, single_target),
        "coincidence": (max(together) - min(together)) / jump,
        "early": (max(together) - halves["ends"]) / jump,
        "accuracy_cut": max(list(cuts.values())[:3]),
        "accuracy_cut_elsewhere": min(list(cuts.values())[3:]),
        **{f"route/{name}": share for name, share in routes.items()},
        "copy_margin": float(np.interp(jump / 2, steps, curve["copy_2"])),
        "copy_margin_untrained": float(curve["copy_2"][0]),
        "copy_margin_first": float(np.interp(jump / 2, steps, curve["copy_0"])),
        "copy_margin_first_untrained": float(curve["copy_0"][0]),
        "gates/correlation": fits["gates"].correlation if fits else nan,
        "one_gate/correlation": fits["one_gate"].correlation if fits else nan,
        "fewer/least_accuracy": min(
            [float(row["accuracy"]) for row in padded if row["rest"] == "unrelated edges"], default=nan
        ),
        "fewer/accuracy_cut": max([float(row["accuracy"]) for row in padded if "cut" in str(row["rest"])], default=nan),
    }
    tables = _tables(course.steps, curve, cuts, routes, fits, jump)
    return Measurement(estimands, tables | {"fewer": fewer})


def _tables(
    steps: tuple[int, ...], curve: Mapping[str, np.ndarray], cuts: Mapping[str, float], routes: Mapping[str, float],
    fits: Mapping[str, object], jump: float,
) -> dict[str, Table]:  # fmt: skip
    """Rows for the figures; time is in units of the run's own jump where runs are averaged."""
    from assay.instruments.abruptness import normalised
    from assay.instruments.nested_gates import ALIGNED, Fit

    units = np.round(np.arange(0.05, 1.3001, 0.05), 2)

    def read(name: str) -> np.ndarray:
        return np.asarray(np.interp(units * jump, np.array(steps, dtype=float), curve[name]))

    phases: Table = [
        {"time": float(t), "measure": name, "value": float(v)}
        for name in ("target", "ends", "middle", "parent", "bridge", "end")
        for t, v in zip(units, read(name), strict=True)
    ]
    lens: Table = [
        {"time": float(t), "layer": layer, "margin": float(v)}
        for layer, name in (("layer 1", "copy_0"), ("layer 3", "copy_2"))
        for t, v in zip(units, read(name), strict=True)
    ]
    causes: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    paths: Table = [{"route": name, "share": value} for name, value in routes.items()]
    own = normalised(steps, curve["loss_among_ends"], ALIGNED)
    shapes = {"network": own} | {name: found.curve for name, found in fits.items() if isinstance(found, Fit)}
    ladder: Table = [
        {"time": float(t), "model": name, "loss": float(v)}
        for name, values in shapes.items()
        for t, v in zip(ALIGNED[::4], values[::4], strict=True)
    ]
    return {"phases": phases, "lens": lens, "cuts": causes, "routes": paths, "ladder": ladder}


TIME = "steps, in units of the steps to the jump"
FIGURES = (
    Figure(
        "phases",
        "Guess among the ends, then know",
        "The network first learns that the answer is the end of some chain and stays at one in five; then the three "
        "attention patterns and the right answer jump together. Each run's time is measured in its own jump.",
        Lines("phases", x="time", y="value", by="measure", x_label=TIME, y_label="probability, or attention weight",
              lines=(Line(0.2, "one in five"), Line(1.0, "jump", axis="x"))),
        names={"target": "right end", "ends": "all ends", "middle": "sources and bridges", "parent": "layer 1: child to parent",
               "bridge": "layer 2: query to bridge", "end": "layer 3: query to end"},
    ),
    Figure(
        "causes",
        "What the answer needs",
        "Accuracy of the trained network with the attention of some rows made uniform: those of the sequential query above, "
        "all others of a layer below.",
        Bars("cuts", x="cut", y="accuracy", y_label="accuracy", lines=(Line(0.2, "one in five"),)),
    ),
    Figure(
        "ladder",
        "Three numbers follow the same curve",
        "Loss of the network below guessing among the ends, and of gates fitted to it by their start alone, both from 1 to 0 "
        "and aligned half-way. One gate "
        "has no plateau.",
        Lines("ladder", x="time", y="loss", by="model", x_label="steps, in units of the half-way step",
              y_label="loss, normalised"),
        names={"gates": "three gates", "one_gate": "one gate"},
        further=True,
    ),
)  # fmt: skip

SYMBOLIC = Experiment(
    name="symbolic",
    question="How does a small transformer learn to follow two edges, and which of its parts do it?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            SymbolicSettings(n_steps=20, n_eval=24, batch=16, d_model=16, n_chains=3, n_nodes=20, every=10, single_steps=20),
            n_runs=2,
        ),
        "laptop": Preset(SymbolicSettings(), n_runs=5),
        "paper": Preset(
            SymbolicSettings(n_steps=10_000, batch=512, d_model=256, mlp=True, learning_rate=3e-4, every=5, give_up=1.0),
            n_runs=5,
        ),
    },
    measure=measure,
    figures=FIGURES,
    cost="about 12 min of one core, and 3 more for every start that does not solve the task",
)
