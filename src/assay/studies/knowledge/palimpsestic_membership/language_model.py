"""A pretrained language model that reads short texts once: does the loss tell when they were read? (C1.lm, C3.lm, C5.lm)

One run draws texts and three orders. Three copies of the model read them, one in each order; two of them are fine-tuned on
other texts afterwards.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.core.settings import digest
from assay.instruments.scoring import score_completions
from assay.protocols.language_model import Subject, load_base, precision_of, tune
from assay.store.memo import memoised_json
from assay.studies.knowledge.palimpsestic_membership.english import english_texts
from assay.studies.knowledge.palimpsestic_membership.settings import LanguageModelSettings
from assay.studies.knowledge.palimpsestic_membership.small import Alice, Losses, asked, deciles, in_turn
from assay.training.order import Order
from assay.training.recipe import Recipe, batches

__all__ = ["measure"]


def measure(settings: LanguageModelSettings, seeds: Seeds) -> Measurement:
    """One run: one draw of texts and orders, five copies of the model.

    Raises:
        InputError: the model is not in the cache.
        Diverged: a training left the finite numbers.
    """
    base = load_base(settings.model)
    drawn = english_texts(settings.n_texts + settings.n_other, rng=seeds("texts"))
    texts, other = drawn[: settings.n_texts], drawn[settings.n_texts :]
    recipe = Recipe(
        layers=settings.layers, learning_rate=settings.rate, n_epochs=1, batch_size=settings.batch,
        precision=precision_of(settings.precision),
    )  # fmt: skip
    gentle = replace(recipe, learning_rate=settings.rate / 10)
    orders = {name: seeds.child(f"order {name}") for name in ("alice", "reference", "independent")}
    readers = {name: tune(base, plain(texts), recipe, own, name) for name, own in orders.items()}
    for name, whose in (("fine-tuned", "alice"), ("independent-fine-tuned", "independent")):
        readers[name] = tune(readers[whose], plain(other), gentle, seeds.child("order other texts"), name)
    found: dict[str, Float[np.ndarray, " text"]] = {}
    for name in parts(["reference", "alice", "fine-tuned", "independent", "independent-fine-tuned"], label=str):
        found[name] = losses(readers[name], texts)
        if name not in ("alice", "independent"):
            del readers[name]  # a copy takes a gigabyte and more
    first, second = (Alice(steps(recipe, orders[name], len(texts)), found["reference"]) for name in ("alice", "independent"))
    return Measurement(*numbers(settings, seeds, (first, second), found))


def steps(recipe: Recipe, seeds: Seeds, n: int) -> Int[np.ndarray, " text"]:
    """The step at which fine-tuning with these seeds sees each of n texts."""
    return Order.of(batches(range(n), recipe, seeds, 0), n).step_of(range(n))  # type: ignore[arg-type]


def plain(texts: list[str]) -> list[tuple[str, str]]:
    """Texts without a prompt, of which every token but a first one is trained on."""
    return [("", text) for text in texts]


def losses(reader: Subject, texts: list[str]) -> Float[np.ndarray, " text"]:
    """Mean loss of a token of each text, in nats; kept where the model has a fingerprint."""
    key = reader.key
    make = partial(_losses, reader, texts)
    return np.array(make() if key is None else memoised_json("palimpsest-losses", {**key, "texts": digest(texts)}, make))


def _losses(reader: Subject, texts: list[str]) -> list[float]:
    scored = score_completions(reader.model, plain(texts), ranks=False)
    return [float(value) for value in -scored.log_prob / scored.n_tokens]


def numbers(
    settings: LanguageModelSettings, seeds: Seeds, alices: tuple[Alice, Alice], found: dict[str, Float[np.ndarray, " text"]]
) -> tuple[dict[str, float], dict[str, Table]]:
    """Estimands and tables from the loss of every text under every copy."""
    further = [seeds(f"further order {i}").permutation(len(alices[0].steps)) for i in range(1, settings.n_orders)]

    def number(alice: Alice, some: Losses) -> dict[str, float]:
        own = asked(alice, some, seeds, settings.planted, settings.planted)
        return own | untold(alice, some, [alice.steps, *further])

    estimands = in_turn(alices, found, number)
    return {name: float(value) for name, value in estimands.items()}, {"deciles": deciles(alices[0], found)}


def untold(alice: Alice, found: Losses, orders: Sequence[Int[np.ndarray, " text"]]) -> dict[str, float]:
    """The rank correlations of models that were trained in none of these orders, the mean over orders.

    Alice's order is one of them. Chance moves a single one by 1 / sqrt(n - 1), which with 600 texts is twice the bound.
    """
    names = ("independent", "independent-fine-tuned")
    return {
        f"{name}/rho": float(np.mean([Alice(order, alice.reference).rho(found[name]) for order in orders])) for name in names
    }
