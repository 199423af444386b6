"""The solution of any game file as plain data: value, optimal policies, sets, prices and certificate."""

import decimal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np

from assay.core.errors import InputError
from assay.solvers.games.dec_pomdp import DEFAULT_WORK
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, Reply, best_assistant
from assay.solvers.games.matrix import MAX_BASES, solve_matrix
from assay.solvers.games.pairs import DEFAULT_LIMIT, SIDES, Certificate, optimal_pairs, optimal_value, refuse_policies
from assay.solvers.games.sequential import solve_sequential
from assay.solvers.games.two_stage import TwoStageSolution, solve_two_stage
from assay.worlds.games.assistance import TwoStageGame
from assay.worlds.games.files import Game, OneShot
from assay.worlds.games.matrix import MatrixGame
from assay.worlds.games.off_switch import OffSwitchGame
from assay.worlds.games.rationals import shown
from assay.worlds.games.sequential import SequentialGame
from assay.worlds.games.team import TeamForm

__all__ = ["count", "replies_told", "spelled", "summary"]

MAX_LISTED_PAIRS = 10_000  # explicit pairs in a summary; the policies with all their replies say the same more briefly
WORD_LIMIT = 20_000  # policies a search may cover to say what one more word would be worth


def summary(
    game: Game,
    human: Human | None = None,
    *,
    limit: int | None = None,
    horizon: int | None = None,
    discount: Fraction | None = None,
) -> dict[str, Any]:
    """What is known about a game once solved, ready for JSON; rationals are texts such as "7/4".

    Args:
        game: any game a file can hold.
        human: how H behaves; optimal where None.
        limit: how much the search may have to cover: policies, supports of a matrix game, or work of a game of several steps;
            the default of its kind where None.
        horizon: steps of a game of several; the file's own where None.
        discount: factor per step of such a game; the file's own where None.

    Raises:
        InputError: the game is too large, or has several steps and nobody says how many.
    """
    human = Optimal() if human is None else human
    if isinstance(game, MatrixGame):
        return solve_matrix(game, limit=limit or MAX_BASES)
    if isinstance(game, SequentialGame):
        steps = horizon or game.horizon
        if steps is None:
            raise InputError(f"'{game.name}' has several steps and does not say how many. Say so: --horizon N")
        return solve_sequential(game, steps, discount=discount, limit=limit or DEFAULT_WORK)
    limit = limit or DEFAULT_LIMIT
    head = {"game": game.name, "human": type(human).__name__.lower()}
    if isinstance(game, TwoStageGame):
        return head | _two_stage(game, human, limit)
    _refuse_large(game, human, limit)
    if isinstance(human, Optimal):
        return head | _optimal(game, limit)
    return head | _behavioural(game, human, limit)


def _refuse_large(game: OneShot, human: Human, limit: int) -> None:
    """Refuse what is too large before any table is built."""
    n_a, k_a, n_z, k_h = game.shape()
    if isinstance(human, Naive) or game.legal_assistant or game.legal_human:
        return  # the first needs no search; the others are counted once the form is there
    small, side = n_a, k_a
    who = "assistant"
    if isinstance(human, Optimal) and n_z * np.log(k_h) < n_a * np.log(k_a):
        small, side, who = n_z, k_h, "human"
    if side > 1 and small * np.log2(side) > 64:
        what = f"the smaller side ({SIDES[who]})" if isinstance(human, Optimal) else "with a Boltzmann human A"
        refuse_policies(side ** min(small, 2000), limit, what=f"'{game.name}': {what}")


def _optimal(game: OneShot, limit: int) -> dict[str, Any]:
    form = game.team_form()
    solution = optimal_pairs(form, limit=limit)
    listed = None
    if solution.complete and solution.n_pairs <= MAX_LISTED_PAIRS:
        listed = [
            {
                "assistant": _assistant(form, assistant),
                "human": dict(zip(form.human_observations, _human(form, replies), strict=True)),
            }
            for assistant, replies in solution.pairs()
        ]
    return {
        "value": shown(solution.value),
        "value_float": float(solution.value),
        "n_optimal_pairs": count(solution.n_pairs),
        "n_optimal_pairs_on_path": None if solution.n_pairs_on_path is None else count(solution.n_pairs_on_path),
        "all_listed": solution.complete,
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
                **(
                    {"assistant_unreached": _unreached(form, [list(options) for options in policies.human])}
                    if form.human_reach
                    else {}
                ),
                "n_pairs": count(policies.n_pairs),
            }
            for policies in solution.policies
        ],
        **({"first": "human"} if form.human_reach else {}),
        **(
            {f"{form.mark}_sets": [sorted(found, key=form.assistant_observations.index) for found in solution.marked_sets]}
            if form.mark
            else {}
        ),
        **_prices(game, form, Optimal(), solution.value, limit),
        "certificate": _certificate(form, solution.certificate),
    }


def _unreached(form: TeamForm, replies: list[list[int]]) -> list[str]:
    """What A cannot come to see where H, moving first, keeps to these actions at each of her observations."""
    seen = 0
    for reach, actions in zip(form.human_reach, replies, strict=True):
        for action in actions:
            seen |= reach[action]
    return [name for i, name in enumerate(form.assistant_observations) if not seen >> i & 1]


@dataclass(frozen=True)
class _Answer:
    """The best an assistant can do with a behavioural human, and what she says where she has words."""

    reply: Reply
    words: tuple[int, ...] | None


def _answer(game: OneShot, form: TeamForm, human: Human, limit: int) -> _Answer:
    """The best assistant; a behavioural human with words for A uses them to the common good, as they cost nothing."""
    n_words = getattr(game, "to_assistant", 1)
    if n_words == 1:
        return _Answer(best_assistant(form, human, limit=limit), None)
    n_z, k_h = form.shape[2], form.shape[3] // n_words
    n_maps = n_words**n_z
    refuse_policies(n_maps, limit, what=f"'{game.name}': what H can say at each observation")
    each = 1 if isinstance(human, Naive) else prod(sum(row) for row in form.allowed("assistant"))
    refuse_policies(n_maps * each, limit, what=f"'{game.name}': with this human, what H says and A")
    best: _Answer | None = None
    for words in product(range(n_words), repeat=n_z):
        found = best_assistant(
            _saying(form, words, n_words, k_h, says_first=isinstance(game, OffSwitchGame)), human, limit=limit
        )
        if best is None or found.precise > best.reply.precise:
            best = _Answer(found, words)
    assert best is not None
    return best


def _saying(form: TeamForm, words: tuple[int, ...], n_words: int, k_h: int, *, says_first: bool) -> TeamForm:
    """The game in which H says a fixed word at each observation and chooses only what she does."""
    columns = [[word * k_h + h if says_first else h * n_words + word for h in range(k_h)] for word in words]
    names = tuple(
        form.human_actions[c].split(", ", 1)[1] if says_first else form.human_actions[c].rsplit(", ", 1)[0] for c in columns[0]
    )
    return replace(
        form,
        payoff=np.stack([form.payoff[:, :, z, row] for z, row in enumerate(columns)], axis=2),
        human_actions=names,
        legal_human=tuple(tuple(may[c] for c in row) for may, row in zip(form.legal_human, columns, strict=False)),
        human_reach=(),
    )


def _behavioural(game: OneShot, human: Human, limit: int) -> dict[str, Any]:
    form = game.team_form()
    answer = _answer(game, form, human, limit)
    found = answer.reply
    marked = {
        frozenset(name for name, a in zip(form.assistant_observations, policy, strict=True) if form.marked[a])
        for policy in found.assistants
    }
    exact = found.exact is not None
    chances = found.chances if found.chances is not None else found.human
    if answer.words is None:
        replies = form.human_actions
    else:
        k_h, first = form.shape[3] // game.to_assistant, isinstance(game, OffSwitchGame)  # type: ignore[union-attr]
        replies = _saying(form, answer.words, game.to_assistant, k_h, says_first=first).human_actions  # type: ignore[union-attr]
    return {
        "value": shown(found.exact) if found.exact is not None else f"{found.value:.12g}",
        "value_float": found.value,
        "n_optimal_policies": count(found.n_best),
        "all_listed": found.n_best == len(found.assistants),
        "optimal_policies": [{"assistant": _assistant(form, policy)} for policy in found.assistants],
        **_human_first(form, answer, chances),
        "human_reply": {
            name: {action: shown(p) if exact else float(p) for action, p in zip(replies, row, strict=True) if p or not exact}
            for name, row in zip(form.human_observations, chances, strict=True)
        },
        **(
            {"human_says": {name: m + 1 for name, m in zip(form.human_observations, answer.words, strict=True)}}
            if answer.words is not None
            else {}
        ),
        **(
            {f"{form.mark}_sets": sorted((sorted(names, key=form.assistant_observations.index) for names in marked), key=len)}
            if form.mark
            else {}
        ),
        **_prices(game, form, human, found.precise, limit),
        "certificate": None if found.worth is None or answer.words is not None else _fixed_certificate(form, found.worth),
    }


def _human_first(form: TeamForm, answer: _Answer, chances: Any) -> dict[str, Any]:
    """Where H moves first: that she does, and what A cannot come to see."""
    if not form.human_reach:
        return {}
    n_words = 1 if answer.words is None else form.shape[3] // len(chances[0])
    words = answer.words or (0,) * len(chances)
    taken = [[h * n_words + word for h, p in enumerate(row) if p] for row, word in zip(chances, words, strict=True)]
    return {"first": "human", "assistant_unreached": _unreached(form, taken)}


def replies_told(found: dict[str, Any]) -> dict[str, str]:
    """What a behavioural H does at each observation, for people: "ON", "ON (2/3) or OFF (1/3)", "ON, saying 1"."""
    said = found.get("human_says", {})
    told = {}
    for name, row in found["human_reply"].items():
        parts = [a if p in ("1", 1) else f"{a} ({p if isinstance(p, str) else format(p, '.3g')})" for a, p in row.items()]
        told[name] = " or ".join(parts) + (f", saying {said[name]}" if name in said else "")
    return told


def _fixed_certificate(form: TeamForm, worth: list[list[Fraction]]) -> dict[str, Any]:
    """Why nothing does better against a human whose reply is fixed: A's observations are separate maximisations."""
    return {
        "says": "this human's reply does not depend on what A does, so that each observation of A is a maximisation of its "
        "own; the best worths (payoff times probability) add up to the value",
        "side": "assistant",
        "worth": {
            name: {action: shown(x) for action, x, may in zip(form.assistant_actions, row, allowed, strict=True) if may}
            for name, row, allowed in zip(form.assistant_observations, worth, form.allowed("assistant"), strict=True)
        },
    }


def _prices(game: OneShot, form: TeamForm, human: Human, value: Fraction, limit: int) -> dict[str, Any]:
    """Best values with the marked actions forced everywhere and forbidden everywhere, and what words are worth."""
    exact = not isinstance(human, Boltzmann)

    def solve(other: Any, at: TeamForm, most: int) -> Fraction:
        if isinstance(human, Optimal):
            return optimal_value(at, limit=most)[0]
        return _answer(other, at, human, most).reply.precise

    prices: dict[str, Any] = {}
    for what, keep in ((f"always_{form.mark}", form.marked), (f"never_{form.mark}", tuple(not t for t in form.touched))):
        actions = [a for a, kept in enumerate(keep) if kept]
        if not form.mark or not actions or not all(any(row[a] for a in actions) for row in form.allowed("assistant")):
            continue
        restricted = solve(game, form.with_actions(actions), limit)
        prices |= {f"{what}_value": spelled(restricted, exact), f"price_of_{what}": spelled(value - restricted, exact)}
    for other, says in _other_words(game):
        n_a, k_a, n_z, k_h = other.shape()
        smaller = min(n_a * np.log2(k_a), n_z * np.log2(k_h)) if isinstance(human, Optimal) else n_a * np.log2(k_a)
        if smaller > np.log2(WORD_LIMIT) or n_a * k_a * n_z * k_h > 200_000:
            continue  # a search of its own, larger than the game's
        try:
            worth = solve(other, other.team_form(), WORD_LIMIT)
        except InputError:
            continue
        prices |= _worth(says, worth, value, exact)
    return prices


def _worth(says: str, other: Fraction, value: Fraction, exact: bool) -> dict[str, str]:
    """What another set of words would give, beside what it is worth or, for none at all, what it costs."""
    difference = {"price_of_silence": value - other} if says == "silence" else {f"worth_of_{says}": other - value}
    return {f"{says}_value": spelled(other, exact)} | {name: spelled(x, exact) for name, x in difference.items()}


def _other_words(game: Any) -> Iterator[tuple[Any, str]]:
    """The same game with one word more or, where it has words, with none."""
    to_human, to_assistant = getattr(game, "to_human", 1), getattr(game, "to_assistant", 1)
    if to_human > 1 or to_assistant > 1:
        silent: dict[str, int] = {name: 1 for name in ("to_human", "to_assistant") if hasattr(game, name)}
        yield replace(game, **silent), "silence"
    else:
        for name in ("to_human", "to_assistant"):
            if hasattr(game, name):
                yield replace(game, **{name: 2}), f"a_word_{name}"


def _two_stage(game: TwoStageGame, human: Human, limit: int) -> dict[str, Any]:
    found = solve_two_stage(game, human, limit=limit)
    first = game.first
    names = first.assistant_observations
    exact = found.exact
    prices: dict[str, Any] = {}
    for what, keep in (("always_hide", first.hides), ("never_hide", tuple(not hides for hides in first.hides))):
        actions = [a for a, kept in enumerate(keep) if kept]
        legal = first.legal_assistant or ((True,) * len(first.hides),)
        if actions and any(first.hides) and all(any(row[a] for a in actions) for row in legal):
            plain = solve_two_stage(game.restricted(actions), human, limit=limit).value
            prices |= {f"{what}_value": spelled(plain, exact), f"price_of_{what}": spelled(found.value - plain, exact)}
    silent = game.to_assistant > 1
    other = game.with_channel(to_assistant=1 if silent else 2)
    options = len(first.human_actions) * other.to_assistant if isinstance(human, Optimal) else other.to_assistant
    if len(first.human_observations) * np.log2(options) <= np.log2(WORD_LIMIT):
        worth = solve_two_stage(other, human, limit=WORD_LIMIT).value
        says = "silence" if silent else "a_word_to_assistant"
        prices |= _worth(says, worth, found.value, exact)
    return {
        "value": spelled(found.value, exact),
        "value_float": float(found.value),
        "n_optimal_human_policies": count(found.n_plans),
        "all_listed": found.n_plans == len(found.plans),
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
            name: {action: spelled(v, exact) for action, v in zip(first.assistant_actions, row, strict=True)}
            for name, row in zip(names, found.by_action, strict=True)
        },
        "human_reply": {
            name: {action: spelled(p, exact) for action, p in zip(first.human_actions, row, strict=True) if p}
            for name, row in zip(first.human_observations, found.human, strict=True)
        },
        "hide_sets": _hide_sets(game, found),
        **prices,
        "certificate": _two_stage_certificate(game, found, chosen=isinstance(human, Optimal)),
    }


def _hide_sets(game: TwoStageGame, found: TwoStageSolution) -> list[list[str]]:
    """The sets of observations at which an optimal first policy hides, at most a thousand."""
    names, hides = game.first.assistant_observations, game.first.hides
    sets: set[tuple[str, ...]] = set()
    for first in dict.fromkeys(plan.first for plan in found.plans):
        either = [sorted({hides[a] for a in actions}) for actions in first]
        for picked in product(*either):
            sets.add(tuple(name for name, hidden in zip(names, picked, strict=True) if hidden))
            if len(sets) >= 1000:
                break
    return [list(names_) for names_ in sorted(sets, key=lambda names_: (len(names_), names_))]


def _two_stage_certificate(game: TwoStageGame, found: TwoStageSolution, *, chosen: bool) -> dict[str, Any]:
    n_m, actions = game.to_assistant, game.first.human_actions

    def name(option: int) -> str:
        said = f"say {option % n_m + 1}"
        if not chosen:
            return said
        return actions[option // n_m] if n_m == 1 else f"{actions[option // n_m]}, {said}"

    return _spelled_certificate(found.certificate, game.first.human_observations, name)


def _certificate(form: TeamForm, certificate: Certificate) -> dict[str, Any]:
    assistant = certificate.side == "assistant"
    observations = form.assistant_observations if assistant else form.human_observations
    actions = form.assistant_actions if assistant else form.human_actions
    return _spelled_certificate(certificate, observations, lambda action: actions[action])


def _spelled_certificate(certificate: Certificate, observations: tuple[str, ...], name: Callable[[int], str]) -> dict[str, Any]:
    return {
        "says": "every policy of this side extends exactly one of these; closed ones earn at most their bound",
        "side": certificate.side,
        "order": [observations[i] for i in certificate.order],
        "closed": [{"first": [name(a) for a in prefix], "bound": shown(bound)} for prefix, bound in certificate.closed],
        "attained": [[name(a) for a in policy] for policy in certificate.attained],
        "largest_bound": None if certificate.margin is None else shown(certificate.margin),
    }


def _assistant(form: TeamForm, policy: tuple[int, ...]) -> dict[str, str]:
    return {name: form.assistant_actions[action] for name, action in zip(form.assistant_observations, policy, strict=True)}


def _human(form: TeamForm, policy: tuple[int, ...]) -> list[str]:
    return [form.human_actions[action] for action in policy]


def spelled(value: Fraction, exact: bool = True) -> str:
    """A number as text: the fraction where it is exact, twelve digits where it is not."""
    return shown(value) if exact else f"{float(value):.12g}"


def count(n: int) -> int | str:
    """A count for JSON: a number where every reader keeps it, its digits as text where it has more than fifteen."""
    if n < 10**15:
        return n
    context = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    return f"{context.create_decimal(n):f}"
