"""Every fork differs from its neighbour in what its name says and in nothing else; what is planted is found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.knowledge.factual_knowledge_acquisition import STUDY, acquisition, bounds, levels
from assay.studies.knowledge.factual_knowledge_acquisition.acquisition import Forks
from assay.studies.knowledge.factual_knowledge_acquisition.claims import ACQUISITION
from assay.studies.knowledge.factual_knowledge_acquisition.course import World, silence
from assay.studies.knowledge.factual_knowledge_acquisition.exact import check
from assay.studies.knowledge.factual_knowledge_acquisition.items import FORMS, Items, Plan
from assay.studies.knowledge.factual_knowledge_acquisition.levels import Track

SETTINGS = replace(
    ACQUISITION.presets["quick"].settings,
    rounds=4,
    spacing=40,
    plain=60,
    rate=0.01,
    narrow_rate=0.02,
    wide_rate=0.07,
    features_rate=0.03,
    narrow_features_rate=0.04,
    large_rate=0.05,
)
SEEDS = Seeds(3)
WORLD = World.drawn(SETTINGS, SEEDS)
ITEMS = WORLD.items


@dataclass(frozen=True)
class Read:
    """Stands for a reader: the network, and how many steps of pages it has read."""

    what: str
    width: int
    rate: float
    frozen: bool
    steps: int = 0

    def alone(self, run: int) -> "Read":
        return self

    @property
    def state(self) -> Any:
        class Some:
            optimisers = (acquisition.Optimiser(learning_rate=self.rate),)

        return Some


class Told:
    """Stands for a track; any items of it are itself."""

    def of(self, items: object) -> "Told":
        return self


def taken(monkeypatch: pytest.MonkeyPatch, tau: float) -> dict[str, tuple[Read, Any, int, dict[str, Any]]]:
    """Every fork's start, plan, plain steps and further arguments."""
    found: dict[str, tuple[Read, Any, int, dict[str, Any]]] = {}

    def take(self: Any, name: str, start: Read, plans: Any, n_plain: int, **how: Any) -> None:
        found[name] = (start, plans[0], n_plain, how)
        self.tracks[0][name] = {"told": Told(), "held": Told()}
        self.loss[0][name] = 1.0

    def read_pages(worlds: Any, start: Any, n_steps: int) -> Read:
        read = start if isinstance(start, Read) else Read("bigram", 0, start.state.optimisers[0].learning_rate, False)
        return replace(read, steps=read.steps + n_steps)

    monkeypatch.setattr(acquisition._Forking, "take", take)
    monkeypatch.setattr(acquisition._Forking, "fresh", lambda self, d, rate, frozen=False: Read("net", d, rate, frozen))
    monkeypatch.setattr(acquisition, "read_pages", read_pages)
    monkeypatch.setattr(acquisition, "reach", lambda settings, track: tau)
    acquisition.trained(SETTINGS, [WORLD])
    return found


def as_told(plan: Plan) -> tuple[Any, ...]:
    return (plan.at.tobytes(), plan.rows.tobytes(), plan.asked.tobytes(), plan.n_steps)


def test_forks_are_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch, math.inf)
    late = Read("net", 16, 0.01, False, 40)
    start = {name: one[0] for name, one in found.items()}
    assert start == {
        "main": late, "late": late, "other-order": late, "slow": late, "silent": late, "large-batch": late,
        "large-batch, retold": late,
        "swapped": late, "retold": late, "seldom": late, "narrow, seldom": Read("net", 8, 0.02, False, 40),
        "short-spacing": late, "other-values": late,
        "bigram": Read("bigram", 0, 0.01, False, 40), "early": replace(late, steps=20),
        "wide": Read("net", 16, 0.07, False, 30), "narrow": Read("net", 8, 0.02, False, 40),
        "wide features": Read("net", 16, 0.03, True, 10), "narrow features": Read("net", 8, 0.04, True, 20),
    }  # fmt: skip
    plan = {name: one[1] for name, one in found.items()}
    assert as_told(plan["main"]) == as_told(plan["bigram"]) == as_told(plan["retold"])
    short = [
        name
        for name in plan
        if name not in ("main", "swapped", "retold", "bigram", "other-order", "short-spacing", "other-values")
    ]
    assert len({as_told(plan[name]) for name in short}) == 1
    late_plan, other = plan["late"], plan["other-order"]
    assert not np.array_equal(late_plan.at, other.at)
    assert np.array_equal(
        np.sort(late_plan.rows.reshape(len(ITEMS), 2, -1), -1), np.sort(other.rows.reshape(len(ITEMS), 2, -1), -1)
    )
    assert late_plan.at.shape[1] == SETTINGS.rounds // 2
    for item in ITEMS.among(*FORMS).tolist():
        assert len({late_plan.rows[item, this].tobytes() for this in range(late_plan.at.shape[1])}) == 1
    assert (plan["main"].at[ITEMS.among("half"), : SETTINGS.short] == -1).all()
    assert (plan["main"].at[ITEMS.among("near", "paraphrase", "duplicate")] >= 0).all()
    how = {name: {k: v for k, v in one[3].items() if k != "kinds"} for name, one in found.items() if one[3].keys() - {"kinds"}}
    assert set(how) == {
        "other-order",
        "slow",
        "silent",
        "large-batch",
        "large-batch, retold",
        "retold",
        "seldom",
        "narrow, seldom",
    }
    assert how["retold"] == {"retold": ITEMS.among("paraphrase").tolist()}
    assert how["narrow, seldom"] == {"seldom": ITEMS.among(*FORMS).tolist()}
    assert how["seldom"] == {"seldom": ITEMS.among("paraphrase").tolist()}
    assert how["other-order"] == {"order": "other order"}
    assert how["silent"] == {"visit": silence}
    assert how["slow"]["plain_optimiser"] == acquisition.Optimiser(learning_rate=0.001)
    large = {"batch": 16, "optimiser": acquisition.Optimiser(learning_rate=0.05)}
    assert how["large-batch"] == large | {"retold": []}
    assert how["large-batch, retold"] == large | {"retold": ITEMS.among(*FORMS).tolist()}
    plain = {name: one[2] for name, one in found.items()}
    assert (
        plain["main"] == plain["swapped"] == plain["retold"] == plain["bigram"] == plain["late"] == plain["other-order"] == 60
    )
    assert plain["large-batch"] >= 60 // 2  # as many tokens


def test_other_spacings_are_tried_where_the_threshold_is_in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    spacings = {"short-spacing", "other-values", "long-spacing", "no-plain-steps"}
    for tau in (math.nan, 15):
        assert not spacings & taken(monkeypatch, tau).keys()
    for tau in (math.inf, 161):
        found = taken(monkeypatch, tau)
        assert spacings & found.keys() == {"short-spacing", "other-values"}
        assert found["short-spacing"][1].n_steps == 5 + SETTINGS.short * SETTINGS.spacing
    found = taken(monkeypatch, 80.0)
    assert spacings <= found.keys()
    plan = {name: found[name][1] for name in spacings}
    told = ITEMS.among(*FORMS)
    assert np.abs(np.diff(plan["short-spacing"].at[told], axis=1) - 20).max() < 20
    assert plan["short-spacing"].n_steps == 5 + SETTINGS.short * 20
    assert plan["long-spacing"].at.shape[1] == plan["no-plain-steps"].at.shape[1] == 3
    assert plan["long-spacing"].n_steps == 5 + 3 * 320
    assert plan["no-plain-steps"].n_steps < 100
    for name, n_values in (("short-spacing", 1), ("long-spacing", 1), ("no-plain-steps", 1), ("other-values", SETTINGS.short)):
        words = np.sort(plan[name].rows.reshape(len(ITEMS), plan[name].rows.shape[1], -1), axis=-1)
        n_told = [len({row.tobytes() for row in words[item]}) for item in told.tolist()]
        assert max(n_told) <= n_values, name  # the same words each time, where the values are
        assert (min(n_told) > 1) == (n_values > 1)
    assert all(found[name][0].steps == 40 for name in spacings)


# --------------------------------------------------------------------------------------------------- numbers


RNG = SEEDS("levels")
BIG = replace(SETTINGS, plain=1000, rounds=10)
PLANS = {
    "swapped": Plan.drawn(ITEMS.swapped, 10, 40, {n: (f, 5 if n == "half" else 0) for n, f in FORMS.items()}, rng=SEEDS("c")),
    "main": Plan.drawn(ITEMS, 10, 40, {n: (f, 5 if n == "half" else 0) for n, f in FORMS.items()}, rng=SEEDS("a")),
    "short": Plan.drawn(ITEMS, 5, 40, {n: ("duplicate", 0) for n in FORMS}, rng=SEEDS("b")),
}
FORK_NAMES = (
    "late",
    "other-order",
    "early",
    "slow",
    "silent",
    "seldom",
    "wide",
    "narrow",
    "narrow, seldom",
    "wide features",
    "narrow features",
    "large-batch",
    "large-batch, retold",
)


def untold(plan: Plan, noise: float = 0.02) -> Track:
    states = np.array([*range(1, plan.n_steps + 101), *range(plan.n_steps + 108, plan.n_steps + 1001, 8)])
    shape = (len(states), *ITEMS.facts.shape)
    own, reference, other = (noise * RNG.normal(size=shape) - 3 for _ in range(3))
    return Track(
        states, plan.at, own, reference, other, noise * RNG.normal(size=(3, *shape)) - 3, np.full((3, *shape[1:]), -3.0)
    )


def told(track: Track, of: Items = ITEMS, **responses: levels.Response) -> Track:
    """Responses put into the groups that are named, `all_` for every group."""
    own = track.own.copy()
    for name, response in responses.items():
        items = of.among(*FORMS) if name == "all_" else of.among(name)
        own[:, items] += track.of(items).planted(response).level - track.of(items).untold.level
    return replace(track, own=own)


def forks(**changed: Any) -> Forks:
    main = {kind: untold(PLANS["main"]) for kind in ("told", "held")}
    swapped = {kind: untold(PLANS["swapped"]) for kind in main}
    tracks: dict[str, Any] = {
        "main": main,
        "swapped": swapped,
        "retold": main,
        "bigram": {kind: untold(PLANS["main"], 0.0) for kind in main},
    }
    tracks |= {name: {"told": untold(PLANS["short"])} for name in FORK_NAMES}
    return Forks(ITEMS, tracks | changed, dict.fromkeys(tracks, 1.6))


def both_forks(**responses: Mapping[str, levels.Response]) -> dict[str, Any]:
    """The main fork and the one in which paraphrases and duplicates change places, with responses by the wording."""
    return {
        name: {kind: told(untold(PLANS[name]), items, **own) for kind, own in responses.items()}
        for name, items in (("main", ITEMS), ("swapped", ITEMS.swapped))
    }


def const(size: float) -> levels.Response:
    return acquisition.constant(size)


def line(size: float, fall: float) -> levels.Response:
    return acquisition.line(size, fall)


def test_nothing_is_found_where_nothing_was_told() -> None:
    found = acquisition.numbers(BIG, forks())
    assert set(name.partition("/")[2] for name in found) == {one.name for one in ACQUISITION.estimands}
    for name in ("both/jump", "dealt/jump", "paraphrase/jump_gap", "near/jump_gap", "paraphrase/level_gap", "near/level_gap"):
        assert abs(found[name]) < 0.03
    for arm in ("never", "held-out", "told"):
        assert abs(found[f"{arm}/matched_jump"]) < 0.03
    for claim in ACQUISITION.claims:  # no bigram number passes, and those that do not exist are declared
        if isinstance(claim.estimand, str):
            name = f"bigram/{claim.estimand.partition('/')[2]}"
            value = found.get(name, math.nan)
            if math.isnan(value):
                assert name.partition("/")[2] in ACQUISITION.nulls[0].lacks
            else:
                assert claim.rule.distance(value) < 0
    for name in ("short-spacing/climb_low", "other-values/climb_low", "long-spacing/climb_high", "no-plain-steps/climb_high"):
        assert math.isnan(found[name])


def test_what_is_planted_has_the_size_that_claims_ask() -> None:
    main = both_forks(told={"all_": line(1.0, 0.2)}, held={"all_": line(1.0, 0.2)})
    short = {"told": told(untold(PLANS["short"]), all_=const(0.3))}
    found = acquisition.numbers(BIG, forks(**main, late=short, **{"large-batch": short}))
    assert found["planted/jump"] == pytest.approx(2 * bounds.RISE, abs=0.02)
    assert found["planted-falling/fall"] == pytest.approx(2 * bounds.FALL, abs=0.05)
    assert abs(found["planted-staying/fall"]) < 0.05
    assert found["planted-line/shape"] < 0
    assert found["planted-floored/shape"] > 0


def test_each_claim_sees_its_effect_and_no_control_does() -> None:
    main = both_forks(
        told={"paraphrase": const(0.3), "duplicate": const(0.6), "half": const(0.6), "near": const(0.6)},
        held={"paraphrase": const(0.4), "duplicate": const(0.2), "half": const(0.2), "near": const(0.2)},
    )
    seldom = {"told": told(untold(PLANS["short"]), duplicate=const(0.6), paraphrase=const(0.3))}
    found = acquisition.numbers(BIG, forks(**main, seldom=seldom))
    assert found["seldom/jump_gap"] == pytest.approx(0.3, abs=0.03)
    in_order = [found[f"seldom-{arm}/matched_jump"] for arm in ("never", "held-out", "told")]
    assert np.diff(in_order) == pytest.approx([0.3, 0.3], abs=0.05)
    assert found["both/jump"] == pytest.approx(0.3, abs=0.02)
    assert found["paraphrase/jump_gap"] == pytest.approx(0.3, abs=0.03)
    assert abs(found["near/jump_gap"]) < 0.03
    assert found["paraphrase/level_gap"] == pytest.approx(2.0, abs=0.1)
    assert abs(found["near/level_gap"]) < 0.1
    assert abs(found["dealt/jump"]) < 0.02
    assert abs(found["dealt-told/matched_jump"]) < 0.03


def test_forks_are_compared_with_the_fork_that_is_named() -> None:
    def short(size: float, fall: float = 0.2) -> dict[str, Track]:
        track = untold(PLANS["short"])
        return {"told": replace(told(replace(track, at=track.ending.at), all_=line(4 * size, fall)), at=track.at)}

    def jumping(size: float) -> dict[str, Track]:
        return {"told": told(untold(PLANS["short"]), all_=const(size))}

    found = acquisition.numbers(
        BIG, forks(late=short(0.5, 0.3), early=short(0.5, 0.3), slow=short(0.5, 0.05), **{"other-order": short(0.5, 0.3)})
    )
    assert abs(found["late/keep_gap"]) < 0.03
    assert found["slow/keep_gap"] == pytest.approx(0.25 * math.log10(500 / 8.3), abs=0.05)
    assert abs(found["other-order/keep_gap"]) < 0.03
    assert abs(found["other-order/batch_gap"]) < 0.03
    sizes = {
        "late": 0.5,
        "early": 0.2,
        "other-order": 0.5,
        "wide": 0.5,
        "narrow": 0.2,
        "narrow, seldom": 0.1,
        "wide features": 0.1,
        "narrow features": 0.1,
    }
    made = forks(**{name: jumping(size) for name, size in sizes.items()})
    found = acquisition.numbers(BIG, made)
    assert found["late/stage"] == pytest.approx(math.log(2.5), abs=0.2)
    assert abs(found["other-order/stage"]) < 0.1
    assert found["silent/stage"] < -1
    assert found["width/growth"] == pytest.approx(math.log(2.5), abs=0.2)
    assert found["narrow-seldom/growth"] == pytest.approx(math.log(5), abs=0.25)
    assert abs(found["random-features/growth"]) < 0.3
    apart = acquisition.numbers(BIG, replace(made, loss=made.loss | {"wide": 1.66}))
    assert math.isnan(apart["width/growth"])
    assert not math.isnan(apart["random-features/growth"])


def test_decay_is_compared_at_an_equal_gain() -> None:
    assert acquisition.at_equal_gain((1.5, 0.2), (1.0, 0.3), (2.0, 0.5)) == pytest.approx(-0.2)
    assert acquisition.at_equal_gain((3.0, 0.2), (1.0, 0.3), (2.0, 0.5)) == pytest.approx(-0.3)
    assert acquisition.at_equal_gain((0.5, 0.2), (1.0, 0.3), (2.0, 0.5)) == pytest.approx(-0.1)
    assert math.isnan(acquisition.at_equal_gain((1.5, 0.2), (2.0, 0.3), (2.0, 0.5)))


def test_a_level_that_climbs_and_one_that_does_not() -> None:
    tracks = {name: {"told": untold(PLANS["short"])} for name in ("other-values", "long-spacing")}
    tracks |= {name: {"told": told(untold(PLANS["short"]), all_=const(0.3))} for name in ("short-spacing", "no-plain-steps")}
    main = {"told": told(untold(PLANS["main"]), all_=const(0.3)), "held": untold(PLANS["main"])}
    found = acquisition.numbers(BIG, forks(main=main, **tracks))
    assert found["short-spacing/climb_low"] == pytest.approx(1, abs=0.1)
    assert found["no-plain-steps/climb_high"] == pytest.approx(1, abs=0.1)
    assert abs(found["other-values/climb_low"]) < 0.05
    assert abs(found["long-spacing/climb_high"]) < 0.05
    assert found["planted/climb_low"] == pytest.approx(2 * bounds.CLIMB, abs=0.05)


def test_exact_checks_hold() -> None:
    found = check(SETTINGS)
    assert {one.name: one.judge(found[one.name]) for one in ACQUISITION.exact} == dict.fromkeys(found, "holds")


def test_headlines_name_both_halves_of_the_story() -> None:
    told_by = {name for headline in STUDY.paper.headlines for name in headline.claims}
    assert told_by == {claim.name for claim in STUDY.claims}
