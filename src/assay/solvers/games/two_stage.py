"""Two-stage assistance games: the assistant's belief about the human after her first action, and the best plan, backwards.

For a fixed human the assistant's problem falls apart by what it saw. Its value at observation o after first action a is

    sum_z sum_h sigma(h|z) F1[o,a,z,h]  +  sum_{h,m} max_{a2} sum_{z: mu(z)=m} sigma(h|z) F2[o,a,z,a2]

with F1 and F2 the payoffs of the two stages times probability: the second term is backward induction, one belief for every
(first action, human action, message) that can be seen.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.errors import InputError
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal
from assay.worlds.games.assistance import TwoStageGame
from assay.worlds.games.team import integers

__all__ = ["Plan", "TwoStageSolution", "belief", "solve_two_stage"]

MAX_HUMAN_POLICIES = 2_000_000
MAX_PLANS = 20_000
CHUNK = 8192


@dataclass(frozen=True)
class Plan:
    """One optimal policy of H and A's best first actions against it.

    Attributes:
        action: for every observation of H, what she does; None for a behavioural human (see `TwoStageSolution.human`).
        message: for every observation of H, what she says.
        first: for every observation of A, all its optimal first actions.
    """

    action: tuple[int, ...] | None
    message: tuple[int, ...]
    first: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class TwoStageSolution:
    """The best plan of A with a given human, and hers.

    Attributes:
        value: expected common payoff of both stages; a Fraction unless the human is Boltzmann.
        plans: every optimal plan: all of H's policies that attain the value, with A's best first actions against each.
        by_action: [assistant observation][first action]; under the first plan, the value of that first action when A saw that,
            divided by the probability of the observation.
        human: [human observation, human action]; probabilities of H's action under the first plan.
    """

    value: Fraction | float
    plans: tuple[Plan, ...]
    by_action: tuple[tuple[Fraction | float, ...], ...]
    human: npt.NDArray[Any]

    @property
    def first_actions(self) -> frozenset[tuple[int, ...]]:
        """Every optimal deterministic first policy of A: an action for each of its observations."""
        return frozenset(policy for options in {plan.first for plan in self.plans} for policy in product(*options))


def solve_two_stage(game: TwoStageGame, human: Human) -> TwoStageSolution:
    """The optimum of A's plan with an optimal, an immediate-outcome (`Naive`) or a noisy (`Boltzmann`) human.

    An optimal human picks the joint optimum. A naive one maximises the payoff of stage 1 as if A's first action told nothing; a
    Boltzmann one does so noisily. Messages cost nothing at stage 1, so that either uses them to the common good.

    Raises:
        InputError: the human has too many policies to enumerate.
    """
    f1, f2, denominator, mass = _tables(game)
    n_z, k_h, n_m = f1.shape[2], f1.shape[3], game.to_assistant
    behaviour = _behaviour(game, human)
    exact = behaviour is None or behaviour.dtype == object
    # Exact arithmetic runs on integers: the human's chances are brought over one denominator too.
    sigma, parts = integers(behaviour) if exact and behaviour is not None else (behaviour, 1)
    options = k_h * n_m if sigma is None else n_m
    if options**n_z > MAX_HUMAN_POLICIES:
        raise InputError(
            f"'{game.name}': H must have at most {MAX_HUMAN_POLICIES:,} policies; she has {options}^{n_z}. Merge observations"
        )
    best: Any = None
    kept: list[tuple[npt.NDArray[np.int64], Any]] = []
    grid = product(range(options), repeat=n_z)
    while block := list(islice(grid, CHUNK)):
        policies = np.array(block, dtype=np.int64)
        values = _values(f1, f2, sigma, policies, n_m)
        total = values.max(axis=2).sum(axis=1)
        top = total.max()
        if best is None or top > best:
            best, kept = top, []
        kept += [(policies[i], values[i]) for i in np.flatnonzero(total == best)]
        if len(kept) > MAX_PLANS:
            raise InputError(
                f"'{game.name}': at most {MAX_PLANS:,} optimal plans can be listed; more of them tie. Remove messages or "
                "observations that make no difference"
            )
    scale = Fraction(1, denominator * parts)
    seen = mass.sum(axis=2)[:, 0]
    plans = tuple(
        Plan(
            tuple(int(x) for x in policy // n_m) if sigma is None else None,
            tuple(int(x) for x in policy % n_m),
            tuple(tuple(int(a) for a in np.flatnonzero(row == row.max())) for row in values),
        )
        for policy, values in kept
    )
    return TwoStageSolution(
        value=_plain(best, scale, exact),
        plans=plans,
        by_action=tuple(tuple(_plain(v, scale / (seen[o] or 1), exact) for v in row) for o, row in enumerate(kept[0][1])),
        human=behaviour
        if plans[0].action is None
        else np.array([[Fraction(int(h == a)) for h in range(k_h)] for a in plans[0].action], dtype=object),
    )


def belief(
    game: TwoStageGame, solution: TwoStageSolution, *, saw: int, first: int, human_action: int, message: int = 0
) -> tuple[Fraction | float, ...] | None:
    """A's belief over the states before stage 2, or None if what it observed cannot occur.

    Args:
        game: the game.
        solution: supplies the human's policy (of its first plan).
        saw: A's observation.
        first: its first action.
        human_action: what H did.
        message: what H said.
    """
    weights: list[Any] = []
    for s, prior in enumerate(game.first.prior):
        likelihood: Any = sum(
            (
                game.first.human_sees[s][first][z] * solution.human[z, human_action]
                for z in range(len(game.first.human_observations))
                if solution.plans[0].message[z] == message
            ),
            Fraction(0),
        )
        weights.append(prior * game.first.assistant_sees[s][saw] * likelihood)
    total = sum(weights)
    return tuple(w / total for w in weights) if total else None


def _tables(game: TwoStageGame) -> tuple[Any, Any, int, npt.NDArray[np.object_]]:
    """Integer tables of the two stages over one denominator, and the exact mass [oA, a, z]."""
    first = game.first
    n_a, k_a = len(first.assistant_observations), len(first.assistant_actions)
    n_z, k_h, k_2 = len(first.human_observations), len(first.human_actions), len(game.second_actions)
    f1 = np.full((n_a, k_a, n_z, k_h), Fraction(0), dtype=object)
    f2 = np.full((n_a, k_a, n_z, k_2), Fraction(0), dtype=object)
    mass = np.full((n_a, k_a, n_z), Fraction(0), dtype=object)
    for s, prior in enumerate(first.prior):
        for o, q in enumerate(first.assistant_sees[s]):
            for a in range(k_a):
                for z, r in enumerate(first.human_sees[s][a]):
                    p = prior * q * r
                    if p:
                        mass[o, a, z] += p
                        f1[o, a, z] += p * np.array(first.reward[s][a], dtype=object)
                        f2[o, a, z] += p * np.array(game.second_reward[s], dtype=object)
    both, denominator = integers(np.concatenate([f1.ravel(), f2.ravel()]))
    return both[: f1.size].reshape(f1.shape), both[f1.size :].reshape(f2.shape), denominator, mass


def _behaviour(game: TwoStageGame, human: Human) -> Any:
    """[human observation, human action] probabilities of a behavioural human; None for the optimal one."""
    if isinstance(human, Optimal):
        return None
    form = game.first.team_form()
    # Both behavioural humans look at stage 1 only and take A's first action to be uninformative.
    table = form.payoff.sum(axis=(0, 1))
    if isinstance(human, Naive):
        best = table == table.max(axis=1, keepdims=True)
        return np.array([[Fraction(int(b), int(row.sum())) for b in row] for row in best], dtype=object)
    if isinstance(human, Boltzmann):
        mass = np.asarray(form.mass.sum(axis=(0, 1)) / form.mass_denominator, dtype=float)
        return human.replies(form, np.asarray(table / form.denominator, dtype=float)[None], mass[None])[0]
    raise InputError(f"a two-stage game knows the humans Optimal, Naive and Boltzmann; got {type(human).__name__}")


def _values(f1: Any, f2: Any, sigma: Any, block: npt.NDArray[np.int64], n_m: int) -> Any:
    """[policy of H, assistant observation, first action]: value times probability, A replying best in stage 2."""
    k_h = f1.shape[3]
    message = block % n_m
    if sigma is None:
        action = block // n_m
        values = _gather(f1, action)
        for h in range(k_h):
            for m in range(n_m):
                values = values + _best_second(((action == h) & (message == m)).astype(np.int64), f2)
        return values
    values = np.broadcast_to((f1 * sigma).sum(axis=(2, 3)), (len(block), *f1.shape[:2]))
    for h in range(k_h):
        for m in range(n_m):
            values = values + _best_second((message == m).astype(np.int64) * sigma[:, h], f2)
    return values


def _gather(f1: Any, action: npt.NDArray[np.int64]) -> Any:
    """[policy, oA, a]: sum over z of f1[oA, a, z, action(z)]."""
    total = f1[:, :, 0, action[:, 0]]
    for z in range(1, f1.shape[2]):
        total = total + f1[:, :, z, action[:, z]]
    return total.transpose(2, 0, 1)


def _best_second(weight: Any, f2: Any) -> Any:
    """[policy, oA, a]: the best second action's value, given which of H's observations (with what weight) led here."""
    total = weight[:, 0, None, None, None] * f2[None, :, :, 0]
    for z in range(1, f2.shape[2]):
        total = total + weight[:, z, None, None, None] * f2[None, :, :, z]
    return total.max(axis=3)


def _plain(value: Any, scale: Fraction, exact: bool) -> Fraction | float:
    return int(value) * scale if exact else float(value) * float(scale)
