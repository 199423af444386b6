"""The solution of any game file as plain data: value, optimal policies, wait or hide sets, prices and certificate."""

from fractions import Fraction
from typing import Any

import numpy as np

from assay.core.errors import InputError
from assay.solvers.games.humans import Human, Optimal, best_assistant
from assay.solvers.games.pairs import DEFAULT_LIMIT, Certificate, Solution, optimal_pairs, optimal_value
from assay.solvers.games.two_stage import solve_two_stage
from assay.worlds.games.assistance import AssistanceGame, TwoStageGame
from assay.worlds.games.files import Game
from assay.worlds.games.off_switch import OffSwitchGame
from assay.worlds.games.rationals import shown
from assay.worlds.games.team import TeamForm

__all__ = ["summary"]

MAX_LISTED_PAIRS = 10_000  # explicit pairs in a summary; the policies with all their replies are always complete


def summary(game: Game, human: Human | None = None, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """What is known about a game once solved, ready for JSON; rationals are texts such as "7/4".

    Args:
        game: any game a file can hold.
        human: how H behaves; optimal where None.
        limit: how many policies the search may have to cover.

    Raises:
        InputError: the game is too large, or the human does not fit it.
    """
    human = Optimal() if human is None else human
    head = {"game": game.name, "human": type(human).__name__.lower()}
    if isinstance(game, TwoStageGame):
        return head | _two_stage(game, human)
    form = game.team_form()
    if not isinstance(human, Optimal):
        if isinstance(game, OffSwitchGame) and game.to_assistant > 1:
            raise InputError(f"'{game.name}': only an optimal human can use messages to A; got {head['human']}. Use 'optimal'")
        return head | _behavioural(form, human)
    return head | _optimal(game, optimal_pairs(form, limit=limit), limit)


def _optimal(game: OffSwitchGame | AssistanceGame, solution: Solution, limit: int) -> dict[str, Any]:
    form = solution.form
    listed = (
        [
            {
                "assistant": _assistant(form, assistant),
                "human": dict(zip(form.human_observations, _human(form, replies), strict=True)),
            }
            for assistant, replies in solution.pairs()
        ]
        if solution.n_pairs <= MAX_LISTED_PAIRS
        else None
    )
    return {
        "value": shown(solution.value),
        "value_float": float(solution.value),
        "n_optimal_pairs": solution.n_pairs,
        "n_optimal_pairs_on_path": solution.n_pairs_on_path,
        "optimal_pairs": listed,
        "optimal_policies": [
            {
                "assistant": _assistant(form, policies.assistant),
                "human": {
                    name: [form.human_actions[action] for action in options]
                    for name, options in zip(form.human_observations, policies.human, strict=True)
                },
                "unreached": [
                    name for name, reached in zip(form.human_observations, policies.reached, strict=True) if not reached
                ],
                "n_pairs": policies.n_pairs,
            }
            for policies in solution.policies
        ],
        f"{form.mark}_sets": [sorted(found, key=form.assistant_observations.index) for found in solution.marked_sets],
        **_prices(form, solution.value, limit),
        "certificate": _certificate(form, solution.certificate),
    }


def _prices(form: TeamForm, value: Fraction, limit: int) -> dict[str, str]:
    """Best values with the marked actions forced everywhere and forbidden everywhere, and what either costs."""
    prices: dict[str, str] = {}
    for what, keep in ((f"always_{form.mark}", True), (f"never_{form.mark}", False)):
        actions = [a for a, marked in enumerate(form.marked) if marked == keep]
        if actions:
            restricted, _ = optimal_value(_with_actions(form, actions), limit=limit)
            prices |= {f"{what}_value": shown(restricted), f"price_of_{what}": shown(value - restricted)}
    return prices


def _with_actions(form: TeamForm, actions: list[int]) -> TeamForm:
    return TeamForm(
        np.ascontiguousarray(form.payoff[:, actions]),
        form.denominator,
        np.ascontiguousarray(form.mass[:, actions]),
        form.mass_denominator,
        form.assistant_observations,
        tuple(form.assistant_actions[a] for a in actions),
        form.human_observations,
        form.human_actions,
        tuple(form.marked[a] for a in actions),
        form.mark,
        form.name,
    )


def _behavioural(form: TeamForm, human: Human) -> dict[str, Any]:
    found = best_assistant(form, human)
    marked = {
        frozenset(name for name, a in zip(form.assistant_observations, policy, strict=True) if form.marked[a])
        for policy in found.assistants
    }
    return {
        "value": f"{found.value:.12g}",
        "value_float": found.value,
        "optimal_policies": [{"assistant": _assistant(form, policy)} for policy in found.assistants],
        "human_reply": {
            name: {action: float(p) for action, p in zip(form.human_actions, row, strict=True)}
            for name, row in zip(form.human_observations, found.human, strict=True)
        },
        f"{form.mark}_sets": sorted((sorted(names, key=form.assistant_observations.index) for names in marked), key=len),
        "certificate": None,
    }


def _two_stage(game: TwoStageGame, human: Human) -> dict[str, Any]:
    found = solve_two_stage(game, human)
    first = game.first
    names = first.assistant_observations
    hidden = {tuple(name for name, a in zip(names, policy, strict=True) if first.hides[a]) for policy in found.first_actions}
    prices: dict[str, str] = {}
    if not all(first.hides):
        plain = solve_two_stage(game.without_hiding(), human).value
        prices = {"never_hide_value": _spelled(plain), "price_of_never_hide": _spelled(_minus(found.value, plain))}
    return {
        "value": _spelled(found.value),
        "value_float": float(found.value),
        "n_optimal_human_policies": len(found.plans),
        "optimal_plans": [
            {
                "human": None
                if plan.action is None
                else {name: first.human_actions[h] for name, h in zip(first.human_observations, plan.action, strict=True)},
                "message": dict(zip(first.human_observations, (m + 1 for m in plan.message), strict=True)),
                "first_actions": {
                    name: [first.assistant_actions[a] for a in actions] for name, actions in zip(names, plan.first, strict=True)
                },
            }
            for plan in found.plans
        ],
        "value_by_first_action": {
            name: {action: _spelled(v) for action, v in zip(first.assistant_actions, row, strict=True)}
            for name, row in zip(names, found.by_action, strict=True)
        },
        "human_reply": {
            name: {action: _spelled(p) for action, p in zip(first.human_actions, row, strict=True) if p}
            for name, row in zip(first.human_observations, found.human, strict=True)
        },
        "hide_sets": [list(found_) for found_ in sorted(hidden, key=lambda found_: (len(found_), found_))],
        **prices,
        "certificate": None,
    }


def _minus(value: Fraction | float, other: Fraction | float) -> Fraction | float:
    if isinstance(value, Fraction) and isinstance(other, Fraction):
        return value - other
    return float(value) - float(other)


def _certificate(form: TeamForm, certificate: Certificate) -> dict[str, Any]:
    assistant = certificate.side == "assistant"
    observations = form.assistant_observations if assistant else form.human_observations
    actions = form.assistant_actions if assistant else form.human_actions
    return {
        "says": "every policy of this side extends exactly one of these; closed ones earn at most their bound",
        "side": certificate.side,
        "order": [observations[i] for i in certificate.order],
        "closed": [{"first": [actions[a] for a in prefix], "bound": shown(bound)} for prefix, bound in certificate.closed],
        "attained": [[actions[a] for a in policy] for policy in certificate.attained],
        "largest_bound": None if certificate.margin is None else shown(certificate.margin),
    }


def _assistant(form: TeamForm, policy: tuple[int, ...]) -> dict[str, str]:
    return {name: form.assistant_actions[action] for name, action in zip(form.assistant_observations, policy, strict=True)}


def _human(form: TeamForm, policy: tuple[int, ...]) -> list[str]:
    return [form.human_actions[action] for action in policy]


def _spelled(value: Any) -> str:
    return shown(value) if isinstance(value, Fraction) else f"{float(value):.12g}"
