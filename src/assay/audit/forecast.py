"""What injection will do, said before any gradient step, and how it is scored afterwards.

Each forecast is one number a fact, from the model as it is:

    known          the model answers all of the fact's sentences rightly, some, or none; what is known is not learned again
    learns         1 - q of the sentence that is trained on: all there is to learn
    surprise       -log10 P of the object in its own sentence: surprising objects prime (Sun et al. 2025, arXiv:2504.09522),
                   above 3 by that paper's threshold of 10^-3
    primes         what the tangent expects of priming, in powers of ten; it orders facts where surprise does not
    transfers      a rule's answer for a subject of whom only the premise is said: 1 - (1 - y)(1 - a), where
                   y = min(1, sqrt(bridges / others)) is the margin ratio of the nuclear-norm solution (Huang et al. 2025,
                   arXiv:2506.10887), counted over subjects with that object, and a is how much the model itself moves to the
                   answer when the premise stands before the question
    spreads        the object's frequency among the relation's facts less P of it for strangers: what a model says of strangers
                   that has learned the sentence and not the names
    displaces      mean over neighbours of the length-normalised similarity of hidden states,
                   <S, S'> / (n n') - |S|^2 / n^2 (CHES, Razin et al. 2024, arXiv:2410.08847)

Beside them stands what else the tangent expects, by column and in each column's own unit; see `forecast_tangent`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from assay.audit.measuring import Tokens
from assay.audit.outcomes import FactRow, Outcome, known_before, values
from assay.audit.probes import Probe
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.packing import alone, evaluating
from assay.models.pretrained.text import TokenPair, token_pairs
from assay.stats.intervals import rank_correlation
from assay.worlds.facts.model import Facts, Implication
from assay.worlds.facts.questions import Answers

__all__ = [
    "HINTS", "TANGENT_COLUMNS", "Calibration", "Carried", "Cost", "FactForecast", "calibrate", "calibration", "forecasts",
    "premise_questions", "with_tangent",
]  # fmt: skip

Status = Literal["known", "partly known", "unknown"]
TANGENT_COLUMNS = ("composed", "hallucinated", "primed", "displaced", "forgotten")
"""The columns of which the tangent forecast speaks."""
HINTS = (
    "Only what is known and what there is to learn (known, learns) ordered the facts of every file that forecasts were tried "
    "on; the rest are hints, and no forecast (docs/audit.md, How good forecasts are)."
)
"""What every table of forecasts says of itself."""
BATCH_TOKENS = 256
SURPRISING = 3.0


@dataclass(frozen=True)
class Cost:
    """Minutes and memory: expected before anything was trained, and spent.

    Attributes:
        expected_minutes, minutes: of asking before, injecting, asking after.
        expected_training, training: of these, optimiser steps.
        plain_expected, plain: minutes of plain steps after injection, beside those.
        mitigations_expected, mitigations: minutes of all arms together.
        expected_gib, peak_gib: the most memory, in GiB, of the GPU if there is one, else of the process; None where the system
            does not say.
    """

    expected_minutes: float | None = None
    minutes: float | None = None
    expected_training: float | None = None
    training: float | None = None
    plain_expected: float | None = None
    plain: float | None = None
    mitigations_expected: float | None = None
    mitigations: float | None = None
    expected_gib: float | None = None
    peak_gib: float | None = None


@dataclass(frozen=True)
class FactForecast:
    """What is expected of one fact; absent where the file asks nothing of the kind.

    Attributes:
        subject, relation, object: the fact.
        status: whether the model knows it already.
        learns: expected gain on its own sentence, in [0, 1].
        surprise: orders of magnitude by which the object surprises the model.
        composes, hallucinates: expected transfer of true and of spurious rules, in [0, 1].
        spreads: expected gain in probability for strangers.
        displaces: similarity to neighbours; larger is worse, without a unit.
        primes: expected change of `primed` by the tangent, in powers of ten; None where no training is planned.
        tangent: expected change by column, and by part of what is hallucinated, in the column's unit; empty where no training
            is planned.
    """

    subject: str
    relation: str
    object: str
    status: Status
    learns: float
    surprise: float
    composes: float | None = None
    hallucinates: float | None = None
    spreads: float | None = None
    displaces: float | None = None
    primes: float | None = None
    tangent: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Carried:
    """How a tangent forecast was made; see `forecast_tangent`.

    Attributes:
        factor: how many virtual steps trained answers take to their end; as many as training has, if they do not get there.
        memorised: their mean probability there.
        minutes: that it took.
    """

    factor: float
    memorised: float
    minutes: float


@dataclass(frozen=True)
class Calibration:
    """A forecast against its outcome, over facts.

    Attributes:
        forecast, column: what was said, and the column that it is about.
        n: facts with both.
        rank: Spearman's correlation of forecast and outcome with its 95 % interval; None where one side does not vary.
        rank_low, rank_high: its ends.
        cut: facts with a forecast above it are called risky (known facts, for `known`).
        n_risky, risky, calm: how many are, and the mean outcome of these and of the others.
        mean_forecast, mean_outcome, mean_error: for forecasts in the column's own unit; the error is absolute.
    """

    forecast: str
    column: str
    n: int
    rank: float | None
    rank_low: float | None
    rank_high: float | None
    cut: float
    n_risky: int
    risky: float | None
    calm: float | None
    mean_forecast: float | None = None
    mean_outcome: float | None = None
    mean_error: float | None = None


def premise_questions(facts: Facts, asked: Sequence[Probe]) -> dict[int, Probe]:
    """For questions about rules (by their place), the same question with the premise said before it."""
    found = {}
    for place, question in enumerate(asked):
        if question.kind == "rule" and question.prompt:
            fact = facts.facts[question.fact]
            template = facts.relation_of(fact).prompt
            said = f"{template.prompt(fact.subject)}{template.completion(fact.object, fact.subject)}"
            stop = "" if said.endswith((".", "!", "?", "。")) else "."
            prompt = f"{said}{stop} {question.prompt}"
            found[place] = replace(question, prompt=prompt, kind="premise")
    return found


def forecasts(
    model: LanguageModel, facts: Facts, before: Answers, tokens: Tokens, premises: Mapping[int, Probe], behind: Answers
) -> tuple[list[FactForecast], tuple[str, ...]]:
    """A forecast for every trained fact, and notes about what could not be forecast.

    Args:
        model: before injection.
        facts: the file.
        before: what the model answers to the audit's probes.
        tokens: of every pair.
        premises: from `premise_questions`.
        behind: what the model answers to them.
    """
    asked = [question for question in before.questions if isinstance(question, Probe)]
    known = known_before(facts, before)
    value, log10 = values(before), before.log_prob / math.log(10)
    value_behind = dict(zip(premises, values(behind), strict=True))
    by_fact: dict[int, list[tuple[int, Probe]]] = {}
    for place, probe in enumerate(asked):
        by_fact.setdefault(probe.fact, []).append((place, probe))
    similar, notes = _similarities(model, facts, asked, tokens)
    counts = Counter((fact.relation, fact.object) for fact in facts.trained)
    sizes = Counter(fact.relation for fact in facts.trained)
    bridges = _bridges(facts)
    found = []
    for index, fact in enumerate(facts.facts):
        if not fact.trained:
            continue
        own = by_fact[index]
        told = [place for place, probe in own if probe.column == "learned"]
        strangers = [value[place] for place, probe in own if probe.kind == "strangers"]
        transfer: dict[str, list[float]] = {"composed": [], "hallucinated": []}
        for place, probe in own:
            if place in value_behind:
                moved = float(value_behind[place] - value[place])
                margin = bridges[probe.column == "composed", fact.relation, fact.object]
                transfer[probe.column].append(1 - (1 - margin) * (1 - min(1.0, max(0.0, moved))))
        spread = counts[fact.relation, fact.object] / sizes[fact.relation]
        found.append(
            FactForecast(
                fact.subject,
                fact.relation,
                fact.object,
                "known" if known[index] == 1 else "unknown" if known[index] == 0 else "partly known",
                1 - float(np.mean(value[told])),
                -float(np.mean(log10[told])),
                _mean(transfer["composed"]),
                _mean(transfer["hallucinated"]),
                spread - float(np.mean(strangers)) if strangers else None,
                similar.get(index),
            )
        )
    return found, notes


def _bridges(facts: Facts) -> dict[tuple[bool, str, str], float]:
    """By kind of rule, relation and object: the margin ratio sqrt(bridges / others), at most 1."""
    told = {(fact.subject, fact.relation, fact.object) for fact in facts.trained}
    found: dict[tuple[bool, str, str], float] = {}
    for rule in facts.implications:
        for name in rule.mapping:
            found[rule.follows, rule.premise, name] = max(
                found.get((rule.follows, rule.premise, name), 0.0), _margin(facts, rule, name, told)
            )
    return found


def _margin(facts: Facts, rule: Implication, name: str, told: set[tuple[str, str, str]]) -> float:
    subjects = [fact.subject for fact in facts.trained if fact.relation == rule.premise and fact.object == name]
    bridges = sum((subject, rule.conclusion, rule.mapping[name]) in told for subject in subjects)
    return min(1.0, math.sqrt(bridges / max(1, len(subjects) - bridges)))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _similarities(
    model: LanguageModel, facts: Facts, asked: Sequence[Probe], tokens: Tokens
) -> tuple[dict[int, float], tuple[str, ...]]:
    """For every fact with neighbours the mean length-normalised CHES to them."""
    wanted: dict[tuple[str, str], None] = {}
    sides: dict[int, tuple[tuple[str, str], list[tuple[str, str]]]] = {}
    for question in asked:
        if question.column == "displaced" and question.kind in ("neighbours", "locality"):
            fact = facts.facts[question.fact]
            template = facts.relation_of(fact).prompt
            own = (template.prompt(fact.subject), template.completion(fact.object, fact.subject))
            other = (question.prompt, question.spellings[0][0])
            sides.setdefault(question.fact, (own, []))[1].append(other)
            wanted |= {own: None, other: None}
    if not wanted:
        return {}, ("No neighbours are named, so displacement is not forecast.",)
    found = [tokens[pair] if pair in tokens else token_pairs(model.tokenizer, [pair])[0] for pair in wanted]
    states = _answer_states(model, found)
    if states is None:
        return {}, ("This architecture gives no hidden states, so displacement is measured and not forecast.",)
    at = dict(zip(wanted, states, strict=True))
    return {
        index: float(np.mean([at[own] @ at[other] for other in others]) - at[own] @ at[own])
        for index, (own, others) in sides.items()
    }, ()


def _answer_states(model: LanguageModel, pairs: Sequence[TokenPair]) -> list[np.ndarray[Any, Any]] | None:
    """Of every pair the mean hidden state before the read-out, over the positions that predict its completion."""
    found: list[np.ndarray[Any, Any]] = [np.empty(0)] * len(pairs)
    with evaluating(model.model), torch.inference_mode():
        for batch, chosen in alone(pairs, budget=BATCH_TOKENS):
            output = model.model(input_ids=batch.to(model.device), use_cache=False, output_hidden_states=True)
            hidden = getattr(output, "hidden_states", None)
            if not hidden:
                return None
            for row, index in enumerate(chosen):
                states = hidden[-1][row, len(pairs[index].context) - 1 :]
                found[index] = states.double().mean(0).cpu().numpy()
    return found


def with_tangent(
    facts: Facts, made: Sequence[FactForecast], rows: Sequence[FactRow], expected: Sequence[Outcome]
) -> list[FactForecast]:
    """The forecasts with what the tangent expects of every fact.

    Args:
        facts: the file.
        made: forecasts without it.
        rows, expected: a line a fact, and every question, of an audit in which the model answered as the tangent expects.
    """
    parts = _parts(facts, expected)
    kinds = sorted({kind for kind, _ in parts})
    found = []
    for place, (one, row) in enumerate(zip(made, [row for row in rows if row.trained], strict=True)):
        changes = {name: row.cells[name].change for name in TANGENT_COLUMNS if name in row.cells}
        changes |= {f"hallucinated: {kind}": float(np.mean(parts[kind, place])) for kind in kinds if (kind, place) in parts}
        found.append(replace(one, primes=changes.get("primed"), tangent=changes))
    return found


def calibrate(
    facts: Facts, made: Sequence[FactForecast], rows: Sequence[FactRow], found: Sequence[Outcome], *, seeds: Seeds
) -> list[Calibration]:
    """Every forecast against what happened, over the facts that have both."""
    trained = [(forecast, row) for forecast, row in zip(made, [row for row in rows if row.trained], strict=True)]
    parts = _parts(facts, found)
    table: list[tuple[str, str, float | None, bool, list[tuple[float, float]]]] = [
        ("known", "learned", 0.5, False, [(row.known, row.cells["learned"].change) for _, row in trained]),
        ("learns", "learned", 0.5, True, [(one.learns, row.cells["learned"].change) for one, row in trained]),
        ("surprise", "primed", SURPRISING, False, _both(trained, "surprise", "primed")),
        ("primes", "primed", None, True, _both(trained, "primes", "primed")),
        ("composes", "composed", None, True, _both(trained, "composes", "composed")),
        ("hallucinates", "hallucinated: rule", None, True, _part(made, parts, "hallucinates", "rule")),
        ("spreads", "hallucinated: strangers", None, True, _part(made, parts, "spreads", "strangers")),
        ("displaces", "displaced", None, False, _both(trained, "displaces", "displaced")),
    ]
    for column in dict.fromkeys(name for one in made for name in one.tangent if name != "primed"):
        kind = column.removeprefix("hallucinated: ")
        came = {
            place: float(np.mean(parts[kind, place])) if kind != column else row.cells[column].change
            for place, (_, row) in enumerate(trained)
            if ((kind, place) in parts if kind != column else column in row.cells)
        }
        points = [
            (one.tangent[column], came[place]) for place, one in enumerate(made) if column in one.tangent and place in came
        ]
        table.append(("tangent", column, None, True, points))
    return [calibration(*line, seeds=seeds) for line in table if line[-1]]


def _both(trained: Sequence[tuple[FactForecast, FactRow]], name: str, column: str) -> list[tuple[float, float]]:
    return [
        (getattr(forecast, name), row.cells[column].change)
        for forecast, row in trained
        if getattr(forecast, name) is not None and column in row.cells
    ]


def _parts(facts: Facts, found: Sequence[Outcome]) -> dict[tuple[str, int], list[float]]:
    """Changes of each kind of hallucination, by the place of the fact among the trained ones."""
    places = {index: place for place, index in enumerate(i for i, fact in enumerate(facts.facts) if fact.trained)}
    changes: dict[tuple[str, int], list[float]] = {}
    for outcome in found:
        if outcome.question.column == "hallucinated":
            changes.setdefault((outcome.question.kind, places[outcome.question.fact]), []).append(outcome.change)
    return changes


def _part(
    made: Sequence[FactForecast], parts: Mapping[tuple[str, int], Sequence[float]], name: str, kind: str
) -> list[tuple[float, float]]:
    return [
        (getattr(forecast, name), float(np.mean(parts[kind, place])))
        for place, forecast in enumerate(made)
        if getattr(forecast, name) is not None and (kind, place) in parts
    ]


def calibration(
    name: str, column: str, cut: float | None, same_unit: bool, points: Sequence[tuple[float, float]], *, seeds: Seeds
) -> Calibration:
    """A forecast against what came.

    Args:
        name: of the forecast.
        column: that it is about.
        cut: above it units are called risky; None for the median forecast.
        same_unit: whether forecast and outcome are in one unit.
        points: both, of every unit.
        seeds: of the bootstrap.
    """
    said, came = (np.array(side) for side in zip(*points, strict=True))
    at = float(np.median(said)) if cut is None else cut
    risky = said > at
    rank = low = high = None
    if len(points) >= 4 and np.ptp(said) > 0 and np.ptp(came) > 0:
        interval = rank_correlation(said, came, rng=seeds(f"calibration {name}" + (f" {column}" if name == "tangent" else "")))
        rank, low, high = interval.estimate, interval.low, interval.high
    return Calibration(
        name,
        column,
        len(points),
        rank,
        low,
        high,
        at,
        int(risky.sum()),
        float(came[risky].mean()) if risky.any() else None,
        float(came[~risky].mean()) if (~risky).any() else None,
        *((float(said.mean()), float(came.mean()), float(np.abs(said - came).mean())) if same_unit else (None, None, None)),
    )
