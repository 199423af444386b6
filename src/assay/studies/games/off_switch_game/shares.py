"""How common what the paper's examples show is among random games, by arm."""

from collections.abc import Callable

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.solvers.games.batches import channel_values, naive_values, policies, team_payoffs, wait_table
from assay.studies.games.off_switch_game.arms import (
    alike_in_two_rows,
    changes,
    near,
    shown_to_human,
    silent_values,
    with_coin,
)
from assay.studies.games.off_switch_game.examples import tables as example_tables
from assay.studies.games.off_switch_game.random_games import Integers, cell_games
from assay.studies.games.off_switch_game.settings import GameSettings

FILE_DELETION = ((3, -5), (-1, 5))  # Table 1: rows 1.0 and 2.0, which H sees; columns legacy and modern, which A sees
THREE_VERSIONS = ((1, -5), (-2, 3), (3, 3))  # Table 2: rows 1.0, 1.1 and 2.0
BOUNDED_TALK = ((-2, 4, 2), (-2, -3, -1), (4, -2, 4))  # ours
TWO_WORDS = 2  # of the narrow channel: silence and one more
View = Callable[[Integers], Integers]  # the same games with other payoffs, or with more shown to a side


def measure(settings: GameSettings, seeds: Seeds) -> Measurement:
    """Draw random games, and count in which of them waiting is given up, information is wasted or words are needed."""
    estimands: dict[str, float] = {}
    tables: dict[str, Table] = {}
    counted: tuple[Callable[[GameSettings, Seeds], tuple[dict[str, float], dict[str, Table]]], ...] = (
        _deference, _information, _talk, _curve,
    )  # fmt: skip
    for part in parts(counted):
        numbers, drawn = part(settings, seeds)
        estimands |= numbers
        tables |= drawn
    return Measurement(estimands, tables | example_tables())


def measure_nulls(settings: GameSettings, seeds: Seeds) -> Measurement:
    """Every estimand of a claim on games in which nothing can be lost by waiting."""
    found: dict[str, float] = {}
    same: View = np.asarray
    for null, payoffs, seen in (("shared", same, shown_to_human), ("harmless", np.abs, same)):
        games = payoffs(_games(settings, seeds, "null games"))
        told, unit = seen(games), settings.n_human * settings.n_assistant * settings.largest
        silent, two = channel_values(wait_table(told, np.zeros_like(told)), TWO_WORDS)
        refined = changes(silent_values(seen(alike_in_two_rows(games))), silent)
        spoken = changes(silent, two)
        found |= {
            f"{null}/acts_alone": acts_alone(told),
            f"{null}/unaware_loss": unaware_loss(told, unit),
            f"{null}/refining_waits_less": refined["waits less"],
            f"{null}/refining_net": refined["waits more"] - refined["waits less"],
            f"{null}/talking_waits_less": spoken["waits less"],
            f"{null}/talking_waits_more": spoken["waits more"],
            f"{null}/price_cut": _price(silent, unit) - _price(two, unit),
        }
    return Measurement(found)


def _games(settings: GameSettings, seeds: Seeds, name: str, n: int = 0) -> Integers:
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


def _deference(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    private, unit = _games(settings, seeds, "games"), settings.n_human * settings.n_assistant * settings.largest
    shown = shown_to_human(private)
    planted = near(FILE_DELETION, settings.n_games, rng=seeds("near File Deletion")).tables()[0]
    found = {
        "private/acts_alone": acts_alone(private),
        "shown/acts_alone": acts_alone(shown),
        "planted/acts_alone": acts_alone(planted),
        "private/unaware_loss": unaware_loss(private, unit),
        "shown/unaware_loss": unaware_loss(shown, unit),
    }
    return found, {}


def _information(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
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


def _talk(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
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


def _curve(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
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
