"""How told facts rise and fade in small networks: runs side by side, each with all of its forks (C1 to C8).

A run draws an encyclopaedia and twenty passages about entities that no page mentions, trains on pages, and tells the passages
in forks of that training: the main one in all forms, the others as duplicates over half of the rounds, under another stage,
width, batch, order or spacing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assay.claims.study import Measurement, Table
from assay.core.arrays import Floats, Ints
from assay.core.errors import Diverged
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.knowledge.factual_knowledge_acquisition import bounds, levels
from assay.studies.knowledge.factual_knowledge_acquisition.bigram import Bigram
from assay.studies.knowledge.factual_knowledge_acquisition.course import (
    Reader,
    World,
    follow,
    fresh_loss,
    network,
    read_pages,
    silence,
)
from assay.studies.knowledge.factual_knowledge_acquisition.items import FORMS, LAST_AFTER, Items, Plan
from assay.studies.knowledge.factual_knowledge_acquisition.levels import Response, Track
from assay.studies.knowledge.factual_knowledge_acquisition.settings import AcquisitionSettings
from assay.training.optimiser import Optimiser
from assay.training.sequence import State

__all__ = ["Forks", "measure_many", "numbers"]

Tracks = Mapping[str, Track]
Told = Sequence[tuple[Items, Track]]
"""Forks, each with the groups that its items were told as."""
Forms = Mapping[str, tuple[str, int]]
"""Of each group that is told the form, and the first round."""
COARSE = 5  # steps between the points of a course that is drawn
LONGEST_EFFECT = 50  # steps after an exposure within which the paper looks for the maximum
IN_ORDER = ("never", "held-out", "told")
MIDDLE = 8.3  # geometric mean of the steps at which a gain is measured
LINE = 0.3  # fall of a planted line
FROM = 0.06  # share of the plain steps from which on decay is compared between batches: 11,520 tokens after the last exposure
REACHED = (16.0, 100.0)  # steps between which a threshold must lie for a spacing above it to be tried
ALIKE = 0.05  # nats a token within which background losses count as equal
AFTER_ROUNDS = LAST_AFTER  # plain steps of a fork of which only the jumps are asked


@dataclass(frozen=True, eq=False)
class Forks:
    """What a run's forks gave.

    Attributes:
        items: the passages.
        tracks: of each fork, by the wording.
        loss: background loss of the network that each fork began at, in nats a token.
    """

    items: Items
    tracks: Mapping[str, Tracks]
    loss: Mapping[str, float]


def measure_many(settings: AcquisitionSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Runs side by side; where one of them left the finite numbers, each is trained anew alone, and that one returned as lost.

    Raises:
        SettingsError: a world does not fit the settings.
    """
    worlds = [World.drawn(settings, own) for own in seeds]
    try:
        return [_measured(settings, forks) for forks in trained(settings, worlds)]
    except Diverged as lost:
        return [lost] if len(worlds) == 1 else [measure_many(settings, [own])[0] for own in seeds]


def _measured(settings: AcquisitionSettings, forks: Forks) -> Measurement:
    found = numbers(settings, forks)
    return Measurement({name: float(value) for name, value in found.items()}, tables(settings, forks))


# --------------------------------------------------------------------------------------------------- forks


def trained(settings: AcquisitionSettings, worlds: Sequence[World]) -> list[Forks]:
    """Trains the networks of all runs, and forks them."""
    short = settings.short
    all_alike = {name: ("duplicate", 0) for name in FORMS}
    in_forms = {name: (form, short if name == "half" else 0) for name, form in FORMS.items()}
    fork = _Forking(settings, worlds)
    main_plans = fork.plans("plan", settings.rounds, in_forms)
    swapped_plans = [
        Plan.drawn(world.items.swapped, settings.rounds, settings.spacing, in_forms, rng=world.seeds("swapped plan"))
        for world in worlds
    ]
    plans, others = (fork.plans(name, short, all_alike) for name in ("short plan", "other plan"))

    with part(0, 0.25, "pages"):
        fresh = fork.fresh(settings.d_model, settings.rate)
        early = read_pages(worlds, fresh, settings.early)
        late = read_pages(worlds, early, settings.late - settings.early)
    with part(0.25, 0.4, "main"):
        fork.take("main", late, main_plans, settings.plain, kinds=("told", "held"))
        fork.take("swapped", late, swapped_plans, settings.plain, kinds=("told", "held"))
        again = worlds[0].items.among("paraphrase").tolist()
        fork.take("retold", late, main_plans, settings.plain, kinds=("told", "held"), retold=again)
    with part(0.4, 0.5, "bigram"):
        table = State.fresh(Bigram(settings.vocabulary, len(worlds)), late.state.optimisers[0])
        read = read_pages(worlds, Reader(table, 0, settings.batch), settings.late)
        fork.take("bigram", read, main_plans, settings.plain, kinds=("told", "held"))
    with part(0.5, 0.7, "stages"):
        fork.take("late", late, plans, settings.plain)
        fork.take("other-order", late, others, settings.plain, order="other order")
        fork.take("early", early, plans, settings.plain // 2 + settings.spacing)
        slow = replace(late.state.optimisers[0], learning_rate=settings.rate / 10)
        fork.take("slow", late, plans, settings.plain // 2 + settings.spacing, plain_optimiser=slow)
        fork.take("silent", late, plans, AFTER_ROUNDS, visit=silence)
        fork.take("seldom", late, plans, AFTER_ROUNDS, seldom=again)
    with part(0.7, 0.85, "widths"):
        wide = read_pages(worlds, fork.fresh(settings.d_model, settings.wide_rate), settings.equal)
        narrow = read_pages(worlds, fork.fresh(settings.d_narrow, settings.narrow_rate), settings.late)
        fork.take("wide", wide, plans, AFTER_ROUNDS)
        fork.take("narrow", narrow, plans, AFTER_ROUNDS)
        fork.take("narrow, seldom", narrow, plans, AFTER_ROUNDS, seldom=worlds[0].items.among(*FORMS).tolist())
        for name, width, rate, steps in (
            ("wide features", settings.d_model, settings.features_rate, settings.features),
            ("narrow features", settings.d_narrow, settings.narrow_features_rate, settings.narrow_features),
        ):
            fork.take(name, read_pages(worlds, fork.fresh(width, rate, frozen=True), steps), plans, AFTER_ROUNDS)
    with part(0.85, 0.95, "batch"):
        times = settings.large_batch // settings.batch
        large = replace(late.state.optimisers[0], learning_rate=settings.large_rate)
        everything = worlds[0].items.among(*FORMS).tolist()
        for name, retold in (("large-batch", []), ("large-batch, retold", everything)):
            fork.take(
                name, late, plans, settings.plain // times + settings.spacing, batch=settings.large_batch, optimiser=large,
                retold=retold,
            )  # fmt: skip
    with part(0.95, 1, "spacing"):
        for run, world in enumerate(worlds):
            tau = reach(settings, fork.tracks[run]["main"]["told"].of(world.items.among("duplicate")))
            alone = _Forking(settings, [world])
            spaced(alone, late.alone(run), tau, all_alike)
            fork.tracks[run] |= alone.tracks[0]
            fork.loss[run] |= alone.loss[0]
    return [Forks(world.items, own, loss) for world, own, loss in zip(worlds, fork.tracks, fork.loss, strict=True)]


def matched(tracks: Sequence[Track], *, fewest: int = levels.FEWEST) -> list[float]:
    """Mean jumps of several tracks whose facts are paired by log P before."""
    return levels.matched([track.probes for track in tracks], fewest=fewest)


class _Forking:
    """Takes forks of runs side by side and keeps, of each run, what they gave."""

    def __init__(self, settings: AcquisitionSettings, worlds: Sequence[World]) -> None:
        self.settings, self.worlds = settings, worlds
        self.tracks: list[dict[str, Tracks]] = [{} for _ in worlds]
        self.loss: list[dict[str, float]] = [{} for _ in worlds]

    def plans(self, name: str, n_rounds: int, forms: Forms, *, spacing: int | None = None, **how: Any) -> list[Plan]:
        """When and in which words each run's passages are told."""
        return [
            Plan.drawn(world.items, n_rounds, spacing or self.settings.spacing, forms, rng=world.seeds(name), **how)
            for world in self.worlds
        ]

    def fresh(self, d_model: int, rate: float, *, frozen: bool = False) -> Reader:
        """Untrained networks; `frozen` lets only their read-outs learn."""
        rngs = [world.seeds(f"weights {d_model}") for world in self.worlds]
        model = Decoder.init(network(self.settings, d_model), rngs)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name == "W_U" or not frozen)
        optimiser = Optimiser(learning_rate=rate, betas=(self.settings.first_beta, 0.999))
        return Reader(State.fresh(model, optimiser), 0, self.settings.batch)

    def take(self, name: str, start: Reader, plans: Sequence[Plan], n_plain: int, **how: Any) -> None:
        """Tells the passages of the plans in a fork of the reader's training."""
        losses = fresh_loss(self.worlds, start).tolist()
        course = follow(self.worlds, start, plans, n_plain, **how)
        for run, (loss, tracks) in enumerate(zip(losses, course.tracks, strict=True)):
            self.loss[run][name], self.tracks[run][name] = loss, tracks


def reach(settings: AcquisitionSettings, told: Track) -> float:
    """tau of these facts, in steps; nan where nothing was gained."""
    return levels.threshold(told, LAST_AFTER, settings.plain)


def spaced(fork: _Forking, late: Reader, tau: float, forms: Forms) -> None:
    """Forks of one run with exposures a quarter of tau apart or less, and, where that is within reach, four times tau."""
    settings = fork.settings
    if not tau >= REACHED[0]:
        return
    near = round(min(tau / 4, settings.spacing))
    arms = [("short-spacing", settings.short, near, False), ("other-values", settings.short, near, True)]
    blocks = max(1, min(settings.per_group, near // len(forms)))
    if tau <= REACHED[1]:
        arms += [
            ("long-spacing", 3, round(4 * tau), False), ("no-plain-steps", 3, LAST_AFTER + len(forms) * blocks, False),
        ]  # fmt: skip
    for name, n_rounds, spacing, other_values in arms:
        plans = fork.plans(name, n_rounds, forms, spacing=spacing, other_values=other_values, n_blocks=blocks)
        fork.take(name, late, plans, AFTER_ROUNDS)


# --------------------------------------------------------------------------------------------------- numbers


def numbers(settings: AcquisitionSettings, forks: Forks) -> dict[str, float]:
    """The estimands of a run."""
    items, tracks = forks.items, forks.tracks
    bigram = {of_bigram(name): value for name, value in of_main(settings, items, tracks["bigram"]).items()}
    both = [(items, tracks["main"]), (items.swapped, tracks["swapped"])]
    told, pairs_of_words = [(of, own["told"]) for of, own in both], [(items, tracks["bigram"]["told"])]
    found = [{**of_main(settings, *one), **main_controls(settings, *one)} for one in both]
    return {
        **{name: (value + found[1][name]) / 2 for name, value in found[0].items()},
        **told_seldom(items, tracks["seldom"]["told"]),
        "paraphrase/decay_gap": decay_gap(settings, told, "paraphrase", told),
        "near/decay_gap": decay_gap(settings, told, "near", told),
        "retold/decay_gap": decay_gap(settings, [(items, tracks["retold"]["told"])], "paraphrase", told),
        "bigram/decay_gap": decay_gap(settings, pairs_of_words, "paraphrase", pairs_of_words),
        "retold/level_gap": level_gap(settings, tracks["retold"]["held"], items, "paraphrase"),
        **bigram,
        **of_forks(settings, forks),
        **of_spacing(settings, forks),
    }


def of_main(settings: AcquisitionSettings, items: Items, tracks: Tracks) -> dict[str, float]:
    """What is claimed of the main fork (C1 to C4)."""
    held, told = tracks["held"], tracks["told"]
    both, duplicates = held.of(items.among("paraphrase", "duplicate")), items.among("duplicate")
    in_order = matched([told.of(duplicates).untold, held.of(duplicates), told.of(duplicates)])
    return {
        "both/jump": levels.jump(both),
        "both/fall": levels.fall(both),
        "both/shape": levels.shape_error(both, settings.plain),
        **{f"{arm}/matched_jump": value for arm, value in zip(IN_ORDER, in_order, strict=True)},
        "paraphrase/jump_gap": jump_gap(told, items, "paraphrase"),
        "paraphrase/level_gap": level_gap(settings, held, items, "paraphrase"),
    }


def of_bigram(name: str) -> str:
    """The bigram's name for a number of the main fork."""
    arm, _, estimand = name.partition("/")
    return f"bigram-{arm}/{estimand}" if estimand == "matched_jump" else f"bigram/{estimand}"


def main_controls(settings: AcquisitionSettings, items: Items, tracks: Tracks) -> dict[str, float]:
    """The same of values dealt out anew, of another function word each time, and of planted responses."""
    held, told = tracks["held"], tracks["told"]
    both, duplicates = held.of(items.among("paraphrase", "duplicate")), items.among("duplicate")
    own = told.of(duplicates)
    dealt = matched([own.untold.redealt, held.of(duplicates).redealt, own.redealt])
    risen, gained = max(levels.jump(both), 0.0), max(levels.gain(both), 0.0)
    return {
        "dealt/jump": levels.jump(both.redealt),
        "planted/jump": levels.jump(both.planted(constant(2 * bounds.RISE))),
        "planted-staying/fall": levels.fall(both.planted(constant(risen))),
        "planted-falling/fall": levels.fall(both.planted(falling(risen, 2 * bounds.FALL))),
        "planted-floored/shape": levels.shape_error(both.ending.planted(floored(gained)), settings.plain),
        "planted-line/shape": levels.shape_error(both.ending.planted(line(gained, LINE)), settings.plain),
        **{f"dealt-{arm}/matched_jump": value for arm, value in zip(IN_ORDER, dealt, strict=True)},
        "near/jump_gap": jump_gap(told, items, "near"),
        "near/level_gap": level_gap(settings, held, items, "near"),
    }


def told_seldom(items: Items, told: Track) -> dict[str, float]:
    """The order of jumps and their difference, both trained: four of the items are told at every second exposure only."""
    always, seldom = (told.of(items.among(name)) for name in ("duplicate", "paraphrase"))
    in_order = matched([always.untold, seldom, always])
    return {
        **{f"seldom-{arm}/matched_jump": value for arm, value in zip(IN_ORDER, in_order, strict=True)},
        "seldom/jump_gap": jump_gap(told, items, "paraphrase"),
    }


def jump_gap(told: Track, items: Items, group: str) -> float:
    """Mean jump of duplicates minus that of a group, in the words told, in nats."""
    return levels.jump(told.of(items.among("duplicate"))) - levels.jump(told.of(items.among(group)))


def level_gap(settings: AcquisitionSettings, held: Track, items: Items, group: str) -> float:
    """Level of a group minus that of duplicates at the end of the plain steps, in a wording that no passage used, in nats."""
    own, duplicates = (held.of(items.among(name)) for name in (group, "duplicate"))
    return levels.level_after(own, settings.plain / 1.1) - levels.level_after(duplicates, settings.plain / 1.1)


def decay_gap(settings: AcquisitionSettings, own: Told, group: str, others: Told) -> float:
    """a of a group minus a of duplicates at the same gain, on the line through five and ten tellings, in the words told.

    Gains and a are means over forks.
    """

    def point(forks: Told, name: str) -> Floats:
        some = [track.of(items.among(name)) for items, track in forks]
        return np.mean([(levels.gain(one), slope(settings, one)) for one in some], axis=0)  # type: ignore[no-any-return]

    return at_equal_gain(point(own, group), point(others, "half"), point(others, "duplicate"))


def at_equal_gain(own: ArrayLike, half: ArrayLike, whole: ArrayLike) -> float:
    """a of the first minus that of the others at its gain; each is a gain and an a. Beyond their ends, the nearer one's."""
    (gain, a), (low, a_low), (high, a_high) = np.asarray([own, half, whole], dtype=float).tolist()
    if not low < high:
        return math.nan
    share = min(1.0, max(0.0, (gain - low) / (high - low)))
    return float(a - (a_low + share * (a_high - a_low)))


def slope(settings: AcquisitionSettings, told: Track) -> float:
    """a from the end of the window of the gain to the last plain step."""
    return levels.decay(told, LAST_AFTER, settings.plain)


def of_forks(settings: AcquisitionSettings, forks: Forks) -> dict[str, float]:
    """What is claimed of width, stage and batch, and its controls (C5 to C7)."""
    own = {name: tracks["told"].of(forks.items.among(*FORMS)) for name, tracks in forks.tracks.items()}
    late, early, other, large = own["late"], own["early"], own["other-order"], own["large-batch"]
    middle = settings.plain / 2

    alike = abs(forks.loss["wide"] - forks.loss["narrow"]) <= ALIKE

    def growth(wide: str, narrow: str) -> float:
        return levels.log_ratio(*matched([own[wide], own[narrow]]))

    times = settings.large_batch / settings.batch
    first, last = FROM * settings.plain, settings.plain
    at_small = levels.decay(late, first, last)
    return {
        "width/growth": growth("wide", "narrow") if alike else math.nan,
        "random-features/growth": growth("wide features", "narrow features"),
        "narrow-seldom/growth": growth("wide", "narrow, seldom"),
        "late/stage": levels.log_ratio(*matched([late, early])),
        "silent/stage": levels.log_ratio(*matched([own["silent"], early], fewest=1)),
        "other-order/stage": levels.log_ratio(*matched([late, other])),
        "late/keep_gap": levels.kept_after(late, middle) - levels.kept_after(early, middle),
        "slow/keep_gap": levels.kept_after(own["slow"], middle) - levels.kept_after(early, middle),
        "other-order/keep_gap": levels.kept_after(late, middle) - levels.kept_after(other, middle),
        "large-batch/batch_gap": at_small - levels.decay(large, first / times, last / times),
        "other-order/batch_gap": at_small - levels.decay(other, first, last),
        "large-batch-retold/batch_gap": at_small - levels.decay(own["large-batch, retold"], first / times, last / times),
    }


def of_spacing(settings: AcquisitionSettings, forks: Forks) -> dict[str, float]:
    """How a level climbs from exposure to exposure, at spacings below and above tau (C8); nan where tau is out of reach."""
    arms = {"short-spacing": "low", "other-values": "low", "long-spacing": "high", "no-plain-steps": "high"}
    unit = levels.jump(forks.tracks["main"]["told"].of(forks.items.among("duplicate")))
    found = {
        f"{arm}/climb_{side}": climb(forks.tracks[arm]["told"].of(forks.items.among(*FORMS)), unit)
        if arm in forks.tracks
        else math.nan
        for arm, side in arms.items()
    }
    planted = math.nan
    if "short-spacing" in forks.tracks:
        track = forks.tracks["short-spacing"]["told"].of(forks.items.among(*FORMS))
        planted = climb(track.planted(constant(2 * bounds.CLIMB * max(unit, 0.0))), unit)
    return {**found, "planted/climb_low": planted}


def climb(track: Track, unit: float) -> float:
    """Rise of the level before an exposure, from one to the next, as a share of a jump; nan where nothing jumped."""
    before = np.nanmean(track.windows(track.level)[0], axis=(0, 2))
    return float((before[-1] - before[0]) / (len(before) - 1) / unit) if unit > 0 else math.nan


# --------------------------------------------------------------------------------------------------- what is planted


def constant(size: float) -> Response:
    """It stays."""
    return lambda since: np.full(since.shape, size)


def falling(size: float, share: float) -> Response:
    """It stays for twelve steps and loses that share in the next twelve."""
    return lambda since: size * (1 - share * ((since - LAST_AFTER) / LAST_AFTER).clip(0, 1))


def line(size: float, fall: float) -> Response:
    """It falls by that share for every factor of ten in steps, from the middle of the window of the gain on."""
    return lambda since: size * (1 - fall * np.log10(since / MIDDLE))


def floored(size: float) -> Response:
    """Two thirds of it fall off exponentially within some sixty steps, and one third stays."""
    return lambda since: size * (1 + 2 * np.exp(-since / 60)) / 3


# --------------------------------------------------------------------------------------------------- tables


def tables(settings: AcquisitionSettings, forks: Forks) -> dict[str, Table]:
    """Courses, kept shares, jumps by exposure and by fork, and the paper's own numbers beside the bigram's."""
    items, main = forks.items, forks.tracks["main"]
    groups = {name: items.among(name) for name in FORMS}
    found: dict[str, Table] = {"course": [], "kept": [], "exposures": [], "forks": [], "paper": []}
    for kind, track in main.items():
        n_rounds = settings.rounds * settings.spacing
        for place in np.flatnonzero((track.states <= n_rounds + settings.spacing) & (track.states % COARSE == 0)).tolist():
            found["course"] += [
                {
                    "wording": kind,
                    "group": name,
                    "step": int(track.states[place]),
                    "nats": float(track.level[place, own].mean()),
                }
                for name, own in groups.items()
            ]
        for name, own in groups.items():
            some = track.of(own)
            gained = levels.gain(some)
            times, kept = some.kept(settings.plain)
            found["kept"] += [
                {"wording": kind, "group": name, "steps": float(t), "share": float(k) / gained if gained > 0 else math.nan}
                for t, k in zip(times, kept.mean(0), strict=True)
            ]
            by_round = (
                np.nanmean(some.jumps, axis=(0, 2))
                if name != "half"
                else np.nanmean(some.jumps[:, settings.short :], axis=(0, 2))
            )
            found["exposures"] += [
                {"wording": kind, "group": name, "exposure": i + 1, "nats": float(nats)} for i, nats in enumerate(by_round)
            ]
    for fork, tracks in forks.tracks.items():
        some = tracks["told"].of(items.among(*FORMS))
        longest = float(some.states[-1] - some.at.max())
        tau = levels.threshold(some, LAST_AFTER, longest) if longest >= 2 * LAST_AFTER else math.nan
        found["forks"].append(
            {
                "fork": fork,
                "jump": levels.jump(some),
                "loss": forks.loss[fork],
                "gain": levels.gain(some),
                "a": levels.decay(some, LAST_AFTER, longest) if longest >= 2 * LAST_AFTER else math.nan,
                "tau": tau if math.isfinite(tau) else math.nan,  # a line that does not fall meets nothing
            }
        )
    for model in ("main", "bigram"):
        for name, own in groups.items():
            effect, left = papers(forks.tracks[model]["held"].of(own), settings)
            found["paper"] += [
                {"model": model, "group": name, "number": "effectivity", "value": effect},
                {"model": model, "group": name, "number": "retainability", "value": left},
            ]
    return found


def papers(track: Track, settings: AcquisitionSettings) -> tuple[float, float]:
    """The paper's effectivity, in nats, and its retainability half way through the plain steps, from log P as it is.

    Effectivity is the highest log P within fifty steps after an exposure minus that at the exposure: a maximum of noise, which
    holds the next exposure as well.
    """
    first, everybody = int(track.states[0]), np.arange(len(track.at))
    item, this = np.nonzero(track.at >= 0)
    start = track.at[item, this] - first
    effect = _highest(track, start, item) - track.own[start, item]
    before = track.own[np.where(track.at < 0, track.states[-1], track.at).min(axis=1) - first, everybody]
    peak = _highest(track, track.at.max(axis=1) - first, everybody)
    half_way = np.abs(track.states[:, None] - track.at.max(axis=1) - settings.plain / 2).argmin(axis=0)
    gained = float((peak - before).mean())
    left = float((track.own[half_way, everybody] - before).mean())
    return float(effect.mean()), left / gained if gained > 0 else math.nan


def _highest(track: Track, place: Ints, item: Ints) -> Floats:
    """The highest log P of each fact of an item in the fifty states after one, as far as there are so many."""
    after = (place[:, None] + np.arange(1, LONGEST_EFFECT + 1)).clip(max=len(track.states) - 1)
    return np.asarray(track.own[after, item[:, None]].max(axis=1))
