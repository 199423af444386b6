"""The numbers of the exact checks: of the small games, of the product model's closed form, and exceptions to the theorems."""

from fractions import Fraction
from itertools import pairwise

from assay.core.seeds import Seeds
from assay.studies.games.observation_interference.products import best_depth, expected_payoff, mean_visible_r
from assay.studies.games.observation_interference.settings import GameSettings, ProductSettings
from assay.studies.games.observation_interference.small_games import numbers
from assay.studies.games.observation_interference.theorems import exceptions

# Gain of the best hiding depth for ten products by how many R's A sees; 30,000 trials each, computed for this laboratory.
PRODUCT_GAINS = {0: 0.0, 2: 0.014, 4: 0.037, 6: 0.075, 8: 0.126, 10: 0.165}
TEN = 10  # products
LARGE = (5, 10, 20)  # products in the check of an interior depth

# The number of each exact check, and the same number where what it is about is taken away.
OF_GAMES = {
    "C1": ("signalling/showing_optima", "talking/showing_optima"),
    "C1.value": ("signalling/value", "shown/value"),
    "C1.policies": ("signalling/optima", "talking/optima"),
    "C1.equivalent": ("hiding/unequal_payoffs", "choosing/unequal_payoffs"),
    "C1.telling": ("hiding/less_telling", "showing/less_telling"),
    "C1.signal": ("optimal/garblings", "same-everywhere/garblings"),
    "C1.talk": ("three-words/shown_value", "two-words/shown_value"),
    "C1.price": ("signalling/price", "blind/price"),
    "C4": ("naive/sign_misses", "optimal/sign_misses"),
    "C4.slope": ("naive/slope", "word/slope"),
    "C4.optimal": ("optimal/largest_price", "naive/largest_price"),
    "C4.channel": ("word/largest_price", "naive/largest_price"),
    "C5": ("middling/effect", "rational/effect"),
    "C5.random": ("nearly-random/effect", "middling/effect"),
    "C5.limit": ("nearly-rational/effect", "beta-1/effect"),
    "C5.values": ("listed/distance", "other-options/distance"),
    "E1": ("one-side/sign_errors", "straddling/sign_errors"),
    "C2": ("optimal-human/dominated", "noisy-human/dominated"),
    "C3": ("blind/gains", "seeing/gains"),
    "E4": ("every-word/reasons", "two-words/reasons"),
}
OF_PRODUCTS = {
    "C6.zero": ("blind/best_hiding_gain", "seeing/best_hiding_gain"),
    "C6": ("lowest/smallest_step", "random/smallest_step"),
    "C6.interior": ("seeing/interior", "blind/interior"),
    "C6.values": ("lowest/distance", "random/distance"),
    "C7": ("largest/step_of_h", "any/step_of_h"),
    "C7.conveyed": ("lowest/step_of_r", "random/step_of_r"),
}


def check_games(settings: GameSettings) -> dict[str, float]:
    """The numbers of the small games and of the theorems."""
    found = of_games(settings.n_checked, settings.beta)
    return {name: found[with_cause] for name, (with_cause, _) in OF_GAMES.items()}


def check_products(settings: ProductSettings) -> dict[str, float]:
    """The numbers of the product model, by its closed form."""
    found = of_products()
    return {name: found[with_cause] for name, (with_cause, _) in OF_PRODUCTS.items()}


def of_games(n_games: int, beta: float) -> dict[str, float]:
    """Each number, with its cause and without."""
    return numbers() | exceptions(n_games, beta, Seeds(0))


def of_products() -> dict[str, float]:
    """Each number of the product model with ten products, with its cause and without.

    Hiding depth j leaves m = 10 - j products visible, of which H takes the one with the largest H_i: E[H] = m/(m+1). Products
    hidden at random leave E[R] = 1/2; an H who takes any visible product has E[H] = 1/2 at every depth.
    """
    gains = {k: best_depth(TEN, k)[1] for k in PRODUCT_GAINS}
    at_random = {k: _random_gain(best_depth(TEN, k)[0]) for k in PRODUCT_GAINS}
    kept = [Fraction(TEN - j, TEN - j + 1) for j in range(TEN)]
    conveyed = [mean_visible_r(TEN, TEN, TEN - j) for j in range(TEN)]
    half = [Fraction(1, 2)] * TEN
    found = {
        "blind/best_hiding_gain": _best_hiding_gain(0),
        "seeing/best_hiding_gain": _best_hiding_gain(TEN),
        "lowest/smallest_step": min(_steps(list(gains.values()))),
        "random/smallest_step": min(_steps(list(at_random.values()))),
        "seeing/interior": all(0 < best_depth(d, d)[0] < d - 1 for d in LARGE),
        "blind/interior": all(0 < best_depth(d, 0)[0] < d - 1 for d in LARGE),
        "lowest/distance": max(abs(float(gains[k]) - value) for k, value in PRODUCT_GAINS.items()),
        "random/distance": max(abs(float(at_random[k]) - value) for k, value in PRODUCT_GAINS.items()),
        "largest/step_of_h": max(_steps(kept)),
        "any/step_of_h": max(_steps(half)),
        "lowest/step_of_r": min(_steps(conveyed)),
        "random/step_of_r": min(_steps(half)),
    }
    return {name: float(value) for name, value in found.items()}


def _best_hiding_gain(k: int) -> Fraction:
    """The gain of the best depth above 0 if A sees k of the R's."""
    return max(expected_payoff(TEN, k, TEN - j) for j in range(1, TEN)) - expected_payoff(TEN, k, TEN)


def _random_gain(depth: int) -> Fraction:
    """The gain of hiding as many products at random."""
    return Fraction(TEN - depth, TEN - depth + 1) - Fraction(TEN, TEN + 1)


def _steps(values: list[Fraction]) -> list[Fraction]:
    return [later - earlier for earlier, later in pairwise(values)]
