"""Every model is trained as its name says: from which start, on which texts, in which order, batch and schedule."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from assay.core.seeds import Seeds
from assay.studies.knowledge.palimpsestic_membership import small
from assay.studies.knowledge.palimpsestic_membership.learner import Learner, network
from assay.studies.knowledge.palimpsestic_membership.settings import SmallSettings
from assay.studies.knowledge.palimpsestic_membership.stories import StoryWorld
from assay.training.optimiser import Optimiser
from assay.training.order import Order

SETTINGS = SmallSettings(
    n_texts=80, length=8, n_words=100, n_patterns=4, n_other=48, n_written=40, batch=8, small_batch=4, large_batch=16, rate=0.1,
    small_rates=(0.06, 0.08), large_rates=(0.15, 0.25), other_rates=(0.03, 0.3),
)  # fmt: skip
SEEDS = Seeds(3)


class Planned:
    """Stands for a learner: each run is the list of what was done to it, and its losses are a number of that and the text."""

    def __init__(self, runs: Sequence[tuple[Any, ...]], rates: Sequence[float]) -> None:
        self.runs, self.rates = list(runs), list(rates)

    @property
    def model(self) -> "Planned":
        return self

    def select(self, which: Sequence[int]) -> "Planned":
        return Planned([self.runs[i] for i in which], [self.rates[i] for i in which])

    @classmethod
    def fresh(cls, config: Any, optimiser: Any, rngs: Sequence[np.random.Generator]) -> "Planned":
        assert config == network(SETTINGS)
        each = [optimiser] * len(rngs) if isinstance(optimiser, Optimiser) else optimiser
        return cls([(rng.random(),) for rng in rngs], [one.learning_rate for one in each])

    def forked(self, runs: Sequence[int], optimiser: Any = None) -> "Planned":
        if optimiser is None:
            return self.select(runs)
        rates = [one.learning_rate for one in (optimiser if isinstance(optimiser, list) else [optimiser] * len(runs))]
        return Planned([self.runs[i] for i in runs], rates)

    def train(
        self, texts: Any, orders: Sequence[Order], first: int = 0, last: int | None = None, *, decay_from: float = 1.0
    ) -> "Planned":
        for i, (own, order) in enumerate(zip(texts, orders, strict=True)):
            end = order.n_steps if last is None else last
            seen = [order.batch(step).tolist() for step in range(first, end)]
            self.runs[i] = (*self.runs[i], told(own, seen, self.rates[i], decay_from))
        return self


def told(texts: Any, batches: Any, rate: float, decay_from: float = 1.0) -> tuple[Any, ...]:
    return (hash(np.asarray(texts).tobytes()), repr(batches), round(rate, 6), decay_from)


def losses(model: Planned, texts: Any) -> np.ndarray:
    return np.stack([Seeds(0)(repr((run, hash(np.asarray(texts).tobytes())))).random(len(texts)) for run in model.runs])


def written(model: Planned, run: int, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    assert (n, length) == (40, 8)
    return Seeds(0)(repr((model.runs[run], rng.random()))).integers(100, size=(n, length + 1))


def batches(order: Order) -> list[Any]:
    return [order.batch(step).tolist() for step in range(order.n_steps)]


def test_every_model_is_trained_as_its_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def numbers(settings: Any, seeds: Any, alices: Any, found: Any, rehearsed: Any, final: Any) -> dict[str, float]:
        kept.update(alices=alices, found=dict(found), rehearsed=rehearsed, final=dict(final))
        return {}

    for name, stand_in in (("Learner", Planned), ("losses", losses), ("written", written), ("numbers", numbers)):
        monkeypatch.setattr(small, name, stand_in)
    tables = small.measure(SETTINGS, SEEDS).tables
    world = StoryWorld.drawn(100, 4, rng=SEEDS("world"))
    texts, other = (world.stories(n, 8, rng=SEEDS(name)) for n, name in ((80, "texts"), (48, "other texts")))
    orders = {name: Order.shuffled(80, 8, 1, SEEDS(f"order {name}")) for name in ("alice", "reference", "other")}
    seen = {name: batches(order) for name, order in orders.items()}
    in_order = [text for batch in seen["alice"] for text in batch]
    assert sorted(in_order) == list(range(80))

    def start(name: str) -> float:
        return SEEDS(f"weights {name}").random()

    plan = {name: (start(name), told(texts, seen[order][:5], 0.1), told(texts, seen[order][5:], 0.1)) for name, order in (
        ("alice", "alice"), ("reference", "reference"), ("independent", "other"), ("another-start", "alice"))}  # fmt: skip
    plan["decayed"] = (*plan["alice"][:-1], told(texts, seen["alice"][5:], 0.1, 0.5))
    for name, size, rate in (
        ("small-batch-slow", 4, 0.06), ("small-batch-fast", 4, 0.08),
        ("large-batch-slow", 16, 0.15), ("large-batch-fast", 16, 0.25),
    ):  # fmt: skip
        again = [in_order[place : place + size] for place in range(0, 80, size)]
        plan[name] = (start("alice"), told(texts, again, rate))
    more = batches(Order.shuffled(48, 8, 1, SEEDS("order other texts")))
    halves = [more[:1], more[1:]]
    for name in ("alice", "independent"):
        tuned = "fine-tuned" if name == "alice" else "independent-fine-tuned"
        plan[tuned] = (*plan[name], *(told(other, half, 0.01) for half in halves))
    for run, name in ((0, "alice"), (2, "independent")):
        wrote = Seeds(0)(repr((plan[name], SEEDS(f"written by {run}").random()))).integers(100, size=(40, 9))
        order = Order.shuffled(40, 8, 1, SEEDS(f"order distilled {run}"))
        distilled = "distilled" if name == "alice" else "independent-distilled"
        plan[distilled] = (start(f"distilled {run}"), told(wrote, batches(order), 0.1))

    def loss(run: tuple[Any, ...], of: Any = texts) -> np.ndarray:
        return losses(Planned([run], [0.1]), of)[0]

    assert set(kept["found"]) == set(plan)
    for name, run in plan.items():
        np.testing.assert_array_equal(kept["found"][name], loss(run), err_msg=name)
    alice, second = kept["alices"]
    for steps, order in ((alice.steps, "alice"), (second.steps, "other"), (kept["rehearsed"], "reference")):
        assert [int(steps[text]) for text in orders[order].examples] == list(np.repeat(range(10), 8))
    for one in (alice, second):
        np.testing.assert_array_equal(one.reference, loss(plan["reference"]))
    fresh = world_fresh(world)
    batched = ("alice", *(name for name in plan if "batch" in name))
    assert kept["final"] == {name: pytest.approx(loss(plan[name], fresh).mean()) for name in batched}
    shown = {row["model"]: row["rho"] for row in tables["models"]}
    assert shown == {name: alice.rho(loss(run)) for name, run in plan.items() if name != "reference"}
    expected = {}
    for share in (0.1, 0.03, 0.3):
        run = plan["alice"]
        expected[round(0.1 * share, 6), 0] = alice.rho(loss(run))
        for half, n in zip(halves, (8, 48), strict=True):
            run = (*run, told(other, half, 0.1 * share))
            expected[round(0.1 * share, 6), n] = alice.rho(loss(run))
    assert {(round(float(row["rate"]), 6), row["texts"]): row["rho"] for row in tables["fine_tuning"]} == expected
    assert len(tables["fine_tuning"]) == len(expected)


def world_fresh(world: StoryWorld) -> np.ndarray:
    """Texts that no model has seen, as many as Alice's."""
    return world.stories(80, 8, rng=SEEDS("fresh texts"))


class Reordered(Seeds):
    """Seeds of which one order is another one's."""

    def __call__(self, name: str) -> np.random.Generator:
        return super().__call__("another order altogether" if name == "order alice" else name)


def test_who_has_nothing_to_do_with_alice_does_not_know_her_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """If she shuffles her texts in another way, no bit of a loss of the independent models changes: nothing of her leaks."""
    settings = replace(SETTINGS, rate=1e-2, small_rates=(8e-3, 1e-2), large_rates=(1e-2, 2e-2))
    found: list[dict[str, np.ndarray]] = []
    monkeypatch.setattr(small, "numbers", lambda settings, seeds, alices, losses, *rest: found.append(dict(losses)) or {})
    for seeds in (SEEDS, Reordered(3)):
        small.measure(settings, seeds)
    same = {name for name in found[0] if np.array_equal(found[0][name], found[1][name])}
    assert same == {"reference", "independent", "independent-fine-tuned", "independent-distilled"}


def test_what_deciles_show_is_the_model_s_loss_less_the_reference_s() -> None:
    steps = np.arange(40)
    alice = small.Alice(steps, np.where(steps < 20, 1.0, 3.0))
    found = {name: alice.reference + i * steps for i, name in enumerate(("independent", "alice", "fine-tuned"))}
    rows = {(row["model"], row["tenth"]): row["nats"] for row in small.deciles(alice, found)}
    assert rows == {
        (name, tenth): pytest.approx(i * (4 * (tenth - 1) + 1.5 - 19.5))
        for i, name in enumerate(found)
        for tenth in range(1, 11)
    }


def test_training_leaves_small_numbers_of_others_alone() -> None:
    texts = SETTINGS.world(SEEDS).stories(16, 8, rng=SEEDS("texts"))
    tiny = SmallSettings(n_texts=40, length=8, n_words=100, n_patterns=4, d_model=8, n_layers=1)
    Learner.fresh(network(tiny), Optimiser(), [SEEDS("weights")]).train([texts], [Order.shuffled(16, 8, 1, SEEDS("order"))])
    assert float(torch.tensor([1e-40]) * torch.tensor([0.5])) > 0


class Strange:
    """A generator whose shares of even draws are planned, one a story."""

    def __init__(self, shares: np.ndarray) -> None:
        self.shares, self.rng = shares, SEEDS("stories")

    def beta(self, a: float, b: float, size: Any = None) -> np.ndarray:
        assert size == self.shares.shape
        assert a / (a + b) < 0.5  # most stories are usual
        return self.shares

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rng, name)


def test_stories_differ_in_how_strange_their_words_are() -> None:
    world = StoryWorld.drawn(700, 24, rng=SEEDS("w"))
    texts = world.stories(600, 32, rng=Strange(np.repeat([0.0, 1.0], 300)[:, None]))[:, 1:]  # type: ignore[arg-type]
    rank = np.full(700, np.nan)
    for words in world.words:
        rank[words] = np.arange(len(words)) / len(words)
    usual, strange = (float(np.nanmean(rank[some])) for some in (texts[:300], texts[300:]))
    assert strange == pytest.approx(0.5, abs=0.03)
    assert usual < 0.3
