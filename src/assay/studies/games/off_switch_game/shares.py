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


def deference_games(settings: GameSettings, seeds: Seeds) -> dict[str, Integers]:
    """The games of each arm on which acting alone is counted."""
    private = _games(settings, seeds, "games")
    planted = near(FILE_DELETION, settings.n_games, rng=seeds("near File Deletion")).tables()[0]
    return {"private": private, "shown": shown_to_human(private), "planted": planted}


def refined_games(settings: GameSettings, seeds: Seeds) -> dict[str, tuple[Integers, Integers]]:
    """The games of each arm before and after H is shown more."""
    fine = _games(settings, seeds, "refined", settings.n_talks)
    coarse = alike_in_two_rows(fine)
    three = near(THREE_VERSIONS, settings.n_games, rng=seeds("near three versions")).tables()[0]
    return {"finer": (coarse, fine), "coin": (coarse, with_coin(coarse)), "planted": (alike_in_two_rows(three), three)}


def spoken_games(settings: GameSettings, seeds: Seeds) -> dict[str, tuple[Integers, Integers, int]]:
    """The games of each arm before and after A may speak, and how many words it has then."""
    games = _games(settings, seeds, "talk", settings.n_talks)
    planted = near(BOUNDED_TALK, settings.n_games, rng=seeds("near bounded talk")).tables()[0]
    return {
        "two-words": (games, games, TWO_WORDS),
        "every-word": (games, games, settings.n_assistant),
        "jammed": (games, with_coin(games), 1),  # the word arrives as a coin flip
        "planted": (planted, planted, TWO_WORDS),
    }


def _deference(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    arms, unit = deference_games(settings, seeds), settings.n_human * settings.n_assistant * settings.largest
    found = {f"{arm}/acts_alone": acts_alone(on) for arm, on in arms.items()}
    return found | {f"{arm}/unaware_loss": unaware_loss(arms[arm], unit) for arm in ("private", "shown")}, {}


def _information(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """What telling H's first two observations apart does to the only wait set."""
    by_arm = {
        arm: changes(silent_values(before), silent_values(after))
        for arm, (before, after) in refined_games(settings, seeds).items()
    }
    found = {f"{arm}/refining_waits_less": shares["waits less"] for arm, shares in by_arm.items()}
    found |= {f"{arm}/refining_net": shares["waits more"] - shares["waits less"] for arm, shares in by_arm.items()}
    return found, {"refining": [{"change": change, "share": share} for change, share in by_arm["finer"].items()]}


def _talk(settings: GameSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """What a channel from A to H does to the only wait set, and to the price of always waiting."""
    unit, found, signs = settings.n_human * settings.n_assistant * settings.largest, {}, {}
    for arm, (before, after, words) in spoken_games(settings, seeds).items():
        silent, spoken = silent_values(before), channel_values(wait_table(after, np.zeros_like(after)), words)[-1]
        signs[arm] = changes(silent, spoken)
        found[f"{arm}/talking_waits_less"] = signs[arm]["waits less"]
        found[f"{arm}/talking_waits_more"] = signs[arm]["waits more"]
        if arm in ("two-words", "jammed"):
            grown = after.shape[1] / before.shape[1]  # a coin beside H's observation doubles the scale of payoffs
            found[f"{arm}/price_cut"] = _price(silent, unit) - _price(spoken, unit * grown)
    return found, {"signs": [{"change": change, "share": share} for change, share in signs["two-words"].items()]}


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
