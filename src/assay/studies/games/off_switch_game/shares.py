"""How common what the paper's examples show is among random games, by arm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le, doc

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.solvers.games.batches import (
    alternating_values,
    channel_values,
    naive_values,
    optimal_values,
    policies,
    team_payoffs,
    wait_table,
)
from assay.studies.games.off_switch_game.arms import (
    alike_in_two_rows,
    changes,
    near,
    shown_to_assistant,
    shown_to_human,
    silent_values,
    with_coin,
)
from assay.studies.games.off_switch_game.random_games import Integers, cell_games

FILE_DELETION = ((3, -5), (-1, 5))  # Table 1: rows 1.0 and 2.0, which H sees; columns legacy and modern, which A sees
THREE_VERSIONS = ((1, -5), (-2, 3), (3, 3))  # Table 2: rows 1.0, 1.1 and 2.0
BOUNDED_TALK = ((-2, 4, 2), (-2, -3, -1), (4, -2, 4))  # ours
TWO_WORDS = 2  # of the narrow channel: silence and one more


@dataclass(frozen=True)
class Settings:
    """Sizes of one run; payoffs are integers, so that optima are compared without a tolerance."""

    n_games: Annotated[int, Ge(64), doc("random games of one run")] = 4096
    n_talks: Annotated[int, Ge(64), doc("random games of one run in which talk is allowed")] = 32_768
    n_human: Annotated[int, Ge(3), Le(6), doc("H's observations")] = 4
    n_assistant: Annotated[int, Ge(3), Le(5), doc("A's observations")] = 4
    largest: Annotated[int, Ge(4), Le(999), doc("payoffs are integers up to this; small ones tie often")] = 99


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Draw random games, and count in which of them waiting is given up, information is wasted or words are needed."""
    estimands: dict[str, float] = {}
    tables: dict[str, Table] = {}
    counted: tuple[Callable[[Settings, Seeds], tuple[dict[str, float], dict[str, Table]]], ...] = (
        _deference, _information, _talk, _curve,
    )  # fmt: skip
    for part in parts(counted):
        numbers, drawn = part(settings, seeds)
        estimands |= numbers
        tables |= drawn
    return Measurement(estimands, tables)


def _games(settings: Settings, seeds: Seeds, name: str, n: int = 0) -> Integers:
    """Payoff tables of games on the cells of a table: H sees the row, A the column, all cells equally likely."""
    sizes = (settings.n_human, settings.n_assistant)
    return cell_games(n or settings.n_games, *sizes, rng=seeds(name), largest=settings.largest).tables()[0]


def acts_alone(on: Integers) -> float:
    """Share of games in which every optimal pair sometimes decides without H: always waiting falls short."""
    table = wait_table(on, np.zeros_like(on))
    return float((table.always < table.total.max(axis=1)).mean())


def unaware_loss(on: Integers, unit: float) -> float:
    """Mean loss from a human who ignores that she was asked, while A knows that she does; in units of `unit`."""
    payoff = team_payoffs(on, np.zeros_like(on))
    aware = silent_values(on).max(axis=1)
    unaware = naive_values(payoff, policies(on.shape[2], payoff.shape[2])).max(axis=1)
    return float((aware - unaware).mean() / unit)


def stops_short(on: Integers, start: np.random.Generator) -> float:
    """Share of games in which best replies in turn, from random replies of H, stop below the optimum."""
    payoff = team_payoffs(on, np.zeros_like(on))
    reached = alternating_values(payoff, start.integers(0, 2, size=(len(on), payoff.shape[3])))
    best, _ = optimal_values(on, np.zeros_like(on))
    return float((reached < best).mean())


def _deference(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    private, unit = _games(settings, seeds, "games"), settings.n_human * settings.n_assistant * settings.largest
    shown = shown_to_human(private)
    planted = near(FILE_DELETION, settings.n_games, rng=seeds("near File Deletion")).tables()[0]
    found = {
        "private/acts_alone": acts_alone(private),
        "shown/acts_alone": acts_alone(shown),
        "planted/acts_alone": acts_alone(planted),
        "private/unaware_loss": unaware_loss(private, unit),
        "shown/unaware_loss": unaware_loss(shown, unit),
        "private/stops_short": stops_short(private, seeds("start")),
        "alone/stops_short": stops_short(shown_to_assistant(private), seeds("start alone")),
    }
    return found, {}


def _information(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """What telling H's first two observations apart does to the only wait set."""
    fine = _games(settings, seeds, "refined", settings.n_talks)
    coarse = alike_in_two_rows(fine)
    three = near(THREE_VERSIONS, settings.n_games, rng=seeds("near three versions")).tables()[0]
    by_arm = {
        "finer": changes(silent_values(coarse), silent_values(fine)),
        "coin": changes(silent_values(coarse), silent_values(with_coin(coarse))),
        "planted": changes(silent_values(alike_in_two_rows(three)), silent_values(three)),
    }
    found = {f"{arm}/refining_waits_less": shares["waits less"] for arm, shares in by_arm.items()}
    found |= {f"{arm}/refining_net": shares["waits more"] - shares["waits less"] for arm, shares in by_arm.items()}
    return found, {"refining": [{"change": change, "share": share} for change, share in by_arm["finer"].items()]}


def _talk(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """What a channel from A to H does to the only wait set, and to the price of always waiting."""
    games, unit = _games(settings, seeds, "talk", settings.n_talks), settings.n_human * settings.n_assistant * settings.largest
    planted = near(BOUNDED_TALK, settings.n_games, rng=seeds("near bounded talk")).tables()[0]
    silent, two, *_, every = channel_values(wait_table(games, np.zeros_like(games)), settings.n_assistant)
    jammed = silent_values(with_coin(games))  # a word that arrives as a coin flip
    near_silent, near_two = channel_values(wait_table(planted, np.zeros_like(planted)), TWO_WORDS)
    by_arm = {
        "two-words": changes(silent, two),
        "every-word": changes(silent, every),
        "jammed": changes(silent, jammed),
        "planted": changes(near_silent, near_two),
    }
    found = {f"{arm}/talking_waits_less": shares["waits less"] for arm, shares in by_arm.items()}
    found |= {f"{arm}/talking_waits_more": shares["waits more"] for arm, shares in by_arm.items()}
    price = _price(silent, unit)
    found |= {
        "two-words/price_cut": price - _price(two, unit),
        "jammed/price_cut": price - _price(jammed, 2 * unit),
    }
    return found, {"signs": [{"change": change, "share": share} for change, share in by_arm["two-words"].items()]}


def _price(values: Integers, unit: float) -> float:
    """Mean of what always waiting costs, from values [game, wait set]."""
    return float((values.max(axis=1) - values[:, -1]).mean() / unit)


def _curve(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Waiting, its price and the bonus that would restore it, by channel size; for figures."""
    waiting: Table = []
    costs: Table = []
    private, unit = _games(settings, seeds, "curve"), settings.n_human * settings.n_assistant * settings.largest
    sets = np.arange(2**settings.n_assistant)
    mass = np.bitwise_count(sets) / settings.n_assistant  # every observation of A is equally likely
    for kind, games in (("private", private), ("shown", shown_to_human(private))):
        for words, values in enumerate(channel_values(wait_table(games, np.zeros_like(games)), settings.n_assistant), start=1):
            best = values.max(axis=1)
            # Where several wait sets tie, the most deferential of them.
            most = np.where(values == best[:, None], mass, -1.0).max(axis=1)
            shortfall = np.maximum(values[:, :-1] - values[:, -1:], 0) / unit
            bonus = (shortfall / (1 - mass[:-1])).max(axis=1)
            where: dict[str, float | int | str | bool] = {"games": kind, "messages": words}
            waiting.append(where | {"most": float(most.mean()), "value": float((best / unit).mean())})
            costs += [
                where | {"quantity": "price of always waiting", "mean": _price(values, unit)},
                where | {"quantity": "bonus that restores waiting", "mean": float(bonus.mean())},
            ]
    return {}, {"waiting": waiting, "costs": costs}
