"""Product selection: the human sees one attribute of each product, the assistant the other, and hiding conveys what it saw.

Product i of d has attributes H_i and R_i, all independent and uniform on [0, 1], and pays H_i + R_i. The human sees every H_i
that is not hidden; the assistant sees R_i of the first k products, and hides the j = d - m products with the lowest expected R;
the human takes the visible product with the largest H_i.

Source: Emmons, Oesterheld et al. 2024, arXiv:2412.17797, section 7 (the model); the attributes' laws, the hiding rule and the
closed forms are our reconstruction.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import comb

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError
from assay.worlds.games.assistance import AssistanceGame, deterministic_game

__all__ = [
    "Trials",
    "best_depth",
    "expected_payoff",
    "informed_reply_gain",
    "mean_visible_r",
    "product_game",
    "simulate",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trials:
    """Averages over independent draws of the product model, for every hiding depth.

    Attributes:
        h: [depth]; mean H of the product taken when the `depth` least promising products are hidden.
        r: [depth]; mean R of it.
        h_random: [depth]; mean H of a visible product taken at random.
        r_random: [depth]; mean R of it when as many products are hidden at random.
        adaptive: mean payoff when A chooses the depth by what it saw, best against a human who takes the best visible product.
        informed: [depth]; mean payoff when H may also take a hidden product and does so whenever that pays in expectation.
        ceiling: mean payoff of the best product given all that the two sides see together.
    """

    h: Floats
    r: Floats
    h_random: Floats
    r_random: Floats
    adaptive: float
    informed: Floats
    ceiling: float

    @property
    def payoff(self) -> Floats:
        """[depth]; mean payoff H + R under the depth rule."""
        return self.h + self.r


def mean_visible_r(d: int, k: int, m: int) -> Fraction:
    """Expected R of a product among the m most promising of d, of which A has seen k; exact.

    Of the k seen, N fall below the mean 1/2, binomially; the others lead, the d - k unseen stand at 1/2, the N come last. Order
    statistics of uniforms do the rest.

    Raises:
        InputError: not 1 <= m <= d or not 0 <= k <= d.
    """
    _check(d, k, m)
    total = Fraction(0)
    for low in range(k + 1):
        high, middle = k - low, d - k
        taken_high = min(m, high)
        taken_middle = min(m - taken_high, middle)
        taken_low = m - taken_high - taken_middle
        top = Fraction(taken_high, 2) + _top_sum(high, taken_high) / 2
        total += Fraction(comb(k, low), 2**k) * (top + Fraction(taken_middle, 2) + _top_sum(low, taken_low) / 2)
    return total / m


def expected_payoff(d: int, k: int, m: int) -> Fraction:
    """Expected payoff when the m most promising of d products are visible and H takes the largest H among them; exact.

    For k = d this is m/(m+1) + 1 - (m+1)/(2(d+1)): information kept plus information conveyed.
    """
    return Fraction(m, m + 1) + mean_visible_r(d, k, m)


def best_depth(d: int, k: int) -> tuple[int, Fraction]:
    """The hiding depth with the largest expected payoff (the smallest such depth), and its gain over hiding nothing; exact."""
    values = [expected_payoff(d, k, d - j) for j in range(d)]
    best = max(values)
    return values.index(best), best - values[0]


def informed_reply_gain(d: int, k: int, m: int) -> Fraction:
    """What H gains in expectation by taking a hidden product when every visible H is small; exact, 0 where nothing is hidden.

    She switches when the largest visible H is below c = 1/2 + E[R | hidden] - E[R | visible]; the gain is c^(m+1) / (m+1).
    """
    if m == d:
        return Fraction(0)
    visible = mean_visible_r(d, k, m)
    hidden = (Fraction(d, 2) - m * visible) / (d - m)
    threshold = max(Fraction(0), Fraction(1, 2) + hidden - visible)
    return threshold ** (m + 1) / (m + 1)


def simulate(d: int, k: int, n_trials: int, *, rng: np.random.Generator) -> Trials:
    """Monte Carlo averages of the product model over `n_trials` independent draws, the same draws at every depth.

    Raises:
        InputError: not 0 <= k <= d, or no trials.
    """
    _check(d, k, d)
    if n_trials < 1:
        raise InputError(f"n_trials must be at least 1; got {n_trials}")
    h, r = rng.random((n_trials, d)), rng.random((n_trials, d))
    promise = np.where(np.arange(d) < k, r, 0.5)
    order = np.argsort(-promise, axis=1, kind="stable")  # products are exchangeable, so ties may fall as they come
    led_h, led_r, led_promise = (np.take_along_axis(x, order, axis=1) for x in (h, r, promise))
    rows = np.arange(n_trials)
    chosen = _running_argmax(led_h)
    taken_h, taken_r = led_h[rows[:, None], chosen], led_r[rows[:, None], chosen]
    random_r = r[rows[:, None], _running_argmax(h)]  # hiding the last products whatever they are
    visible = np.arange(1, d + 1)
    any_h = led_h[rows[:, None], rng.integers(0, visible, size=(n_trials, d))]
    score = visible / (visible + 1) + np.cumsum(led_promise, axis=1) / visible
    pick = score.argmax(axis=1)
    informed = taken_h + taken_r
    for m in range(1, d):
        mean_visible = float(mean_visible_r(d, k, m))
        threshold = 0.5 + (d / 2 - m * mean_visible) / (d - m) - mean_visible
        switches = taken_h[:, m - 1] < threshold
        # Hidden products look alike to her (she does not know which of them A has seen): she takes any of them.
        blind = order[rows, rng.integers(m, d, size=n_trials)]
        informed[switches, m - 1] = (h + r)[rows, blind][switches]
    return Trials(
        h=taken_h.mean(axis=0)[::-1],
        r=taken_r.mean(axis=0)[::-1],
        h_random=any_h.mean(axis=0)[::-1],
        r_random=random_r.mean(axis=0)[::-1],
        adaptive=float((taken_h + taken_r)[rows, pick].mean()),
        informed=informed.mean(axis=0)[::-1],
        ceiling=float((h + r)[rows, (h + promise).argmax(axis=1)].mean()),
    )


def product_game(d: int, levels: int) -> AssistanceGame:
    """The product model on a grid: `levels` equally spaced values in [0, 1]; A sees every R and may hide any set of products.

    Its exact optimum, over all hiding rules and all replies, is what the depth rule is measured against.
    """
    grid = [Fraction(i, levels - 1) for i in range(levels)] if levels > 1 else [Fraction(1, 2)]
    vectors = list(product(range(levels), repeat=d))
    states = {
        f"{'.'.join(map(str, h))}|{'.'.join(map(str, r))}": Fraction(1, len(vectors) ** 2) for h in vectors for r in vectors
    }
    sets = [chosen for size in range(d + 1) for chosen in combinations(range(d), size)]
    names = ["show all" if not chosen else "hide " + "".join(str(i + 1) for i in chosen) for chosen in sets]
    hidden = dict(zip(names, sets, strict=True))

    def human_sees(state: str, action: str) -> str:
        seen = state.split("|")[0].split(".")
        return ".".join("?" if i in hidden[action] else seen[i] for i in range(d))

    def reward(state: str, _: str, human: str) -> Fraction:
        i = int(human.split()[1]) - 1
        h, r = (part.split(".")[i] for part in state.split("|"))
        return grid[int(h)] + grid[int(r)]

    return deterministic_game(
        f"Product selection, {d} products, {levels} levels",
        states=states,
        assistant_sees=lambda state: state.split("|")[1],
        assistant_actions=names,
        hides=[bool(chosen) for chosen in sets],
        human_sees=human_sees,
        human_actions=[f"take {i + 1}" for i in range(d)],
        reward=reward,
    )


@cache
def _top_sum(n: int, m: int) -> Fraction:
    """Expected sum of the m largest of n uniforms on [0, 1]."""
    return Fraction(m * (2 * n - m + 1), 2 * (n + 1))


def _running_argmax(values: Floats) -> npt.NDArray[np.int64]:
    """[trial, m-1]: the index of the largest of the first m values."""
    best = np.maximum.accumulate(values, axis=1)
    fresh = np.where(values == best, np.arange(values.shape[1]), 0)
    return np.asarray(np.maximum.accumulate(fresh, axis=1))


def _check(d: int, k: int, m: int) -> None:
    if not (1 <= m <= d and 0 <= k <= d):
        raise InputError(f"a product model needs 1 <= m <= d visible and 0 <= k <= d seen products; got d={d}, k={k}, m={m}")
