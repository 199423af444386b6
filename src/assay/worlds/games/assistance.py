"""Partially observable assistance games: an assistant may change what the human sees, and both share the human's payoff.

Source: Emmons, Oesterheld et al. 2024, "Observation Interference in Partially Observable Assistance Games", arXiv:2412.17797
(model). The three small games below were built for this laboratory; the paper's own examples tell other stories.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from assay.core.errors import InputError
from assay.worlds.games.off_switch import check_legal, check_names
from assay.worlds.games.rationals import Exact, check_kernel, exact
from assay.worlds.games.team import MAX_CELLS, Legal, TeamForm, integers, refuse_above

__all__ = ["AssistanceGame", "HumanFirstGame", "TwoStageGame", "blurred_choice", "hiding_as_query", "hiding_as_signal"]

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class AssistanceGame:
    """A one-shot assistance game: A sees, A acts (which decides what H sees), H sees, H acts.

    Given the state, A's observation and H's signal are independent; whatever correlates them belongs into the state. What H
    knows for herself (her preferences theta, her own observation) is part of her signal.

    Attributes:
        name: for tables.
        states: names of Nature's states, preferences included.
        prior: probability of each state.
        assistant_observations: what A may see; `assistant_sees` is [state][observation], its law.
        assistant_actions: what A may do; `hides` says of each whether it is an interference worth reporting.
        human_observations: what H may see; `human_sees` is [state][assistant action][observation], its law.
        human_actions: what H may do.
        reward: [state][assistant action][human action]; the common payoff.
        to_human: free messages A may send along with its action; 1 is silence.
        legal_assistant: [assistant observation][assistant action], whether it may be taken; everything where empty.
        legal_human: [human observation][human action], likewise.
    """

    name: str
    states: tuple[str, ...]
    prior: Row
    assistant_observations: tuple[str, ...]
    assistant_sees: tuple[Row, ...]
    assistant_actions: tuple[str, ...]
    hides: tuple[bool, ...]
    human_observations: tuple[str, ...]
    human_sees: tuple[tuple[Row, ...], ...]
    human_actions: tuple[str, ...]
    reward: tuple[tuple[Row, ...], ...]
    to_human: int = 1
    legal_assistant: Legal = ()
    legal_human: Legal = ()

    def __post_init__(self) -> None:
        for what, names in (
            ("states", self.states),
            ("assistant_observations", self.assistant_observations),
            ("assistant_actions", self.assistant_actions),
            ("human_observations", self.human_observations),
            ("human_actions", self.human_actions),
        ):
            check_names(names, where=f"{self.name}: {what}")
        n_s, n_a, k_a = len(self.states), len(self.assistant_observations), len(self.assistant_actions)
        n_z, k_h = len(self.human_observations), len(self.human_actions)
        _check_shape(self.prior, (n_s,), where=f"{self.name}: prior")
        _check_shape(self.assistant_sees, (n_s, n_a), where=f"{self.name}: assistant_sees")
        _check_shape(self.hides, (k_a,), where=f"{self.name}: hides")
        _check_shape(self.human_sees, (n_s, k_a, n_z), where=f"{self.name}: human_sees")
        _check_shape(self.reward, (n_s, k_a, k_h), where=f"{self.name}: reward")
        check_kernel(self.prior, where=f"{self.name}: the prior")
        for state, sees, signals in zip(self.states, self.assistant_sees, self.human_sees, strict=True):
            check_kernel(sees, where=f"{self.name}: what A sees in state '{state}'")
            for action, row in zip(self.assistant_actions, signals, strict=True):
                check_kernel(row, where=f"{self.name}: what H sees in state '{state}' after '{action}'")
        check_legal(self.legal_assistant, n_a, k_a, where=f"{self.name}: legal_assistant")
        check_legal(self.legal_human, n_z, k_h, where=f"{self.name}: legal_human")
        if self.to_human < 1:
            raise InputError(f"{self.name}: to_human must be at least 1 message (1 is silence); got {self.to_human}")

    def team_form(self) -> TeamForm:
        """The reduced form, with hiding as the marked set.

        Raises:
            InputError: the table would exceed the stated limit.
        """
        n_a, k_a = len(self.assistant_observations), len(self.assistant_actions)
        n_z, k_h = len(self.human_observations), len(self.human_actions)
        refuse_above(MAX_CELLS, n_a * k_a * n_z * k_h, what=f"the payoff table of '{self.name}'", unit="cells")
        payoff = np.full((n_a, k_a, n_z, k_h), Fraction(0), dtype=object)
        mass = np.full((n_a, k_a, n_z), Fraction(0), dtype=object)
        for p, sees, signals, rewards in zip(self.prior, self.assistant_sees, self.human_sees, self.reward, strict=True):
            if p == 0:
                continue
            for o, q in enumerate(sees):
                if q == 0:
                    continue
                for a, row in enumerate(signals):
                    for z, r in enumerate(row):
                        if r:
                            mass[o, a, z] += p * q * r
                            payoff[o, a, z] += p * q * r * np.array(rewards[a], dtype=object)
        numbers, denominator = integers(payoff)
        masses, mass_denominator = integers(mass)
        form = TeamForm(
            numbers,
            denominator,
            masses,
            mass_denominator,
            self.assistant_observations,
            self.assistant_actions,
            self.human_observations,
            self.human_actions,
            self.hides,
            "hide",
            self.name,
            legal_assistant=self.legal_assistant,
            legal_human=self.legal_human,
        )
        return form.with_messages(self.to_human)

    def shape(self) -> tuple[int, int, int, int]:
        """The reduced form's counts of A's observations and actions, H's observations and actions, before it is built."""
        return (
            len(self.assistant_observations),
            len(self.assistant_actions) * self.to_human,
            len(self.human_observations) * self.to_human,
            len(self.human_actions),
        )

    def signal(self, assistant: Sequence[int]) -> tuple[Row, ...]:
        """What H learns under a deterministic A-policy: [hidden state][human observation], rows summing to one.

        A hidden state is a state together with an observation of A (all of positive probability), since which item A hides may
        tell H what A saw. Without messages.

        Args:
            assistant: an action index for every assistant observation.
        """
        return tuple(
            self.human_sees[s][assistant[o]]
            for s, sees in enumerate(self.assistant_sees)
            for o, q in enumerate(sees)
            if q and self.prior[s]
        )

    def shuffled(self, rng: np.random.Generator) -> "AssistanceGame":
        """The same game with states, observations and actions listed in a random order, so that no answer can hang on it."""
        s, o, z, h = (
            rng.permutation(len(x))
            for x in (self.states, self.assistant_observations, self.human_observations, self.human_actions)
        )
        game = self.restricted(rng.permutation(len(self.assistant_actions)).tolist())
        return replace(
            game,
            states=tuple(game.states[i] for i in s),
            prior=tuple(game.prior[i] for i in s),
            assistant_observations=tuple(game.assistant_observations[j] for j in o),
            assistant_sees=tuple(tuple(game.assistant_sees[i][j] for j in o) for i in s),
            human_observations=tuple(game.human_observations[j] for j in z),
            human_sees=tuple(tuple(tuple(row[j] for j in z) for row in game.human_sees[i]) for i in s),
            human_actions=tuple(game.human_actions[j] for j in h),
            reward=tuple(tuple(tuple(row[j] for j in h) for row in game.reward[i]) for i in s),
            legal_assistant=tuple(game.legal_assistant[j] for j in o) if game.legal_assistant else (),
            legal_human=tuple(tuple(game.legal_human[j][i] for i in h) for j in z) if game.legal_human else (),
        )

    def with_channel(self, *, to_human: int) -> "AssistanceGame":
        """The same game with another set of messages from A to H."""
        return replace(self, to_human=to_human)

    def restricted(self, assistant_actions: Sequence[int]) -> "AssistanceGame":
        """The same game in which A may only use the actions with these indices."""
        keep = tuple(assistant_actions)
        return replace(
            self,
            assistant_actions=tuple(self.assistant_actions[a] for a in keep),
            hides=tuple(self.hides[a] for a in keep),
            human_sees=tuple(tuple(rows[a] for a in keep) for rows in self.human_sees),
            reward=tuple(tuple(rows[a] for a in keep) for rows in self.reward),
            legal_assistant=tuple(tuple(row[a] for a in keep) for row in self.legal_assistant),
        )

    def without_hiding(self) -> "AssistanceGame":
        """The same game in which A may only use actions that hide nothing.

        Raises:
            InputError: every action hides.
        """
        return self.restricted([a for a, hides in enumerate(self.hides) if not hides])


@dataclass(frozen=True)
class TwoStageGame:
    """An assistance game whose second stage is a task for A, who may have learned the human's preferences meanwhile.

    Stage 1: A sees and acts, H sees and acts; payoff `first.reward`. A observes H's action (and message). Stage 2: A picks a
    second action; payoff `second_reward`, which may depend on both earlier actions. The common payoff is the sum.

    Attributes:
        first: the first stage; its channel to H must be silent.
        second_actions: what A may do in stage 2.
        second_reward: [state][first assistant action][human action][second action].
        to_assistant: free messages H may send along with her action; 1 is silence.
    """

    first: AssistanceGame
    second_actions: tuple[str, ...]
    second_reward: tuple[tuple[tuple[Row, ...], ...], ...]
    to_assistant: int = 1

    def __post_init__(self) -> None:
        check_names(self.second_actions, where=f"{self.name}: second_actions")
        first = self.first
        shape = (len(first.states), len(first.assistant_actions), len(first.human_actions), len(self.second_actions))
        _check_shape(self.second_reward, shape, where=f"{self.name}: second_reward")
        if self.first.to_human != 1:
            raise InputError(
                f"{self.name}: a two-stage game has messages to A only; got to_human={self.first.to_human}. Set it to 1"
            )
        if self.to_assistant < 1:
            raise InputError(f"{self.name}: to_assistant must be at least 1 message (1 is silence); got {self.to_assistant}")

    @property
    def name(self) -> str:
        """For tables."""
        return self.first.name

    def with_channel(self, *, to_assistant: int) -> "TwoStageGame":
        """The same game with another set of messages from H to A."""
        return replace(self, to_assistant=to_assistant)

    def restricted(self, assistant_actions: Sequence[int]) -> "TwoStageGame":
        """The same game in which A may only use the first actions with these indices."""
        rewards = tuple(tuple(rows[a] for a in assistant_actions) for rows in self.second_reward)
        return replace(self, first=self.first.restricted(assistant_actions), second_reward=rewards)

    def without_hiding(self) -> "TwoStageGame":
        """The same game in which A may only use first actions that hide nothing."""
        return self.restricted([a for a, hides in enumerate(self.first.hides) if not hides])


@dataclass(frozen=True)
class HumanFirstGame:
    """A one-shot game in which H moves first: H sees, H acts (which may decide what A sees), A sees, A acts.

    Attributes:
        name: for tables.
        states: names of Nature's states.
        prior: probability of each state.
        human_observations: what H may see; `human_sees` is [state][observation], its law.
        human_actions: what H may do.
        assistant_observations: what A may see; `assistant_sees` is [state][human action][observation], its law.
        assistant_actions: what A may do.
        reward: [state][assistant action][human action]; the common payoff.
        to_assistant: free messages H may send along with her action; 1 is silence.
        legal_assistant: [assistant observation][assistant action], whether it may be taken; everything where empty.
        legal_human: [human observation][human action], likewise.
    """

    name: str
    states: tuple[str, ...]
    prior: Row
    human_observations: tuple[str, ...]
    human_sees: tuple[Row, ...]
    human_actions: tuple[str, ...]
    assistant_observations: tuple[str, ...]
    assistant_sees: tuple[tuple[Row, ...], ...]
    assistant_actions: tuple[str, ...]
    reward: tuple[tuple[Row, ...], ...]
    to_assistant: int = 1
    legal_assistant: Legal = ()
    legal_human: Legal = ()

    def __post_init__(self) -> None:
        self.mirrored()  # the same checks, the two sides exchanged

    def mirrored(self) -> AssistanceGame:
        """The game with the names of the sides exchanged, so that whoever moves first is called the assistant."""
        return AssistanceGame(
            self.name,
            self.states,
            self.prior,
            self.human_observations,
            self.human_sees,
            self.human_actions,
            (False,) * len(self.human_actions),
            self.assistant_observations,
            self.assistant_sees,
            self.assistant_actions,
            tuple(tuple(zip(*rows, strict=True)) for rows in self.reward),
            self.to_assistant,
            self.legal_human,
            self.legal_assistant,
        )

    def shape(self) -> tuple[int, int, int, int]:
        """The reduced form's counts of A's observations and actions, H's observations and actions, before it is built."""
        leader, leads, follower, follows = self.mirrored().shape()
        return follower, follows, leader, leads

    def with_channel(self, *, to_assistant: int) -> "HumanFirstGame":
        """The same game with another set of messages from H to A."""
        return replace(self, to_assistant=to_assistant)

    def team_form(self) -> TeamForm:
        """The reduced form; H is asked at every observation, and nothing is marked."""
        form = self.mirrored().team_form()
        n_z, _, n_a, k_a = form.shape
        seen = form.mass.sum(axis=2).max(axis=1)  # H's own observation does not depend on what she does
        mass = np.zeros((n_a, k_a, n_z), dtype=form.mass.dtype)
        mass[0] = seen[None]
        return TeamForm(
            np.ascontiguousarray(form.payoff.transpose(2, 3, 0, 1)),
            form.denominator,
            mass,
            form.mass_denominator,
            form.human_observations,
            form.human_actions,
            form.assistant_observations,
            form.assistant_actions,
            (False,) * k_a,
            "",
            self.name,
            legal_assistant=form.legal_human,
            legal_human=form.legal_assistant,
            human_reach=form.reach(),
        )


def deterministic_game(
    name: str,
    *,
    states: Mapping[str, Exact],
    assistant_sees: Callable[[str], str],
    assistant_actions: Sequence[str],
    hides: Sequence[bool],
    human_sees: Callable[[str, str], str],
    human_actions: Sequence[str],
    reward: Callable[[str, str, str], Exact],
) -> AssistanceGame:
    """The assistance game whose observations are functions of the state (and, for H, of A's action).

    Args:
        name: for tables.
        states: probability of each state by name.
        assistant_sees: state to A's observation.
        assistant_actions: names; `hides` says of each whether it hides.
        hides: one flag an action.
        human_sees: (state, assistant action) to H's observation.
        human_actions: names.
        reward: (state, assistant action, human action) to the common payoff.
    """
    names = tuple(states)
    saw = [assistant_sees(s) for s in names]
    shown = [[human_sees(s, a) for a in assistant_actions] for s in names]
    assistant_observations = tuple(dict.fromkeys(saw))
    human_observations = tuple(dict.fromkeys(z for row in zip(*shown, strict=True) for z in row))
    return AssistanceGame(
        name=name,
        states=names,
        prior=tuple(exact(p, where=f"{name}: prior of '{s}'") for s, p in states.items()),
        assistant_observations=assistant_observations,
        assistant_sees=tuple(tuple(Fraction(int(o == seen)) for o in assistant_observations) for seen in saw),
        assistant_actions=tuple(assistant_actions),
        hides=tuple(hides),
        human_observations=human_observations,
        human_sees=tuple(tuple(tuple(Fraction(int(z == seen)) for z in human_observations) for seen in row) for row in shown),
        human_actions=tuple(human_actions),
        reward=tuple(
            tuple(
                tuple(exact(reward(s, a, h), where=f"{name}: reward of '{s}', '{a}', '{h}'") for h in human_actions)
                for a in assistant_actions
            )
            for s in names
        ),
    )


def hiding_as_signal(*, assistant_informed: bool = True) -> AssistanceGame:
    """Two products with a part H sees and a part A sees; hiding one tells H which part A prefers (ours, after result 1).

    Product i pays H_i + R_i, with H_i in {0, 1} and R_i in {0, 2}, all independent and uniform. H sees what is not hidden of
    (H_1, H_2), A sees (R_1, R_2); A shows all, hides H_1 or hides H_2; H picks a product.

    Args:
        assistant_informed: False leaves A without any observation, so that hiding can carry nothing.
    """
    states = {f"H={h1}{h2} R={r1}{r2}": Fraction(1, 16) for h1, h2, r1, r2 in product((0, 1), (0, 1), (0, 2), (0, 2))}

    def human_sees(state: str, action: str) -> str:
        first, second = state[2], state[3]
        return {"show": f"{first}{second}", "hide 1": f"?{second}", "hide 2": f"{first}?"}[action]

    return deterministic_game(
        "Hiding as signalling" if assistant_informed else "Hiding as signalling, A uninformed",
        states=states,
        assistant_sees=lambda state: f"R={state[-2:]}" if assistant_informed else "nothing",
        assistant_actions=("show", "hide 1", "hide 2"),
        hides=(False, True, True),
        human_sees=human_sees,
        human_actions=("pick 1", "pick 2"),
        reward=lambda state, _, human: int(state[2 if human == "pick 1" else 3]) + int(state[-2 if human == "pick 1" else -1]),
    )


def hiding_as_query(stake: Exact) -> TwoStageGame:
    """A hidden attribute makes the human's choice reveal her type, which is worth `stake` later (ours, after result 2).

    H's type theta is 1 or 2; the attribute is common or divisive; both uniform, independent. H knows theta, A sees the
    attribute and may hide it from H. Stage 1: H picks x or y. In the common case x pays 1 and y pays 0 to either type; in the
    divisive case x pays 1 to type 1 and y pays 3 to type 2, everything else 0. So with the attribute hidden type 1 prefers x
    and type 2 prefers y, and in the common case, shown, both prefer x. Stage 2: A picks a type; the right one pays `stake`.
    """
    worth = exact(stake, where="stake")
    states = {f"theta={t} {kind}": Fraction(1, 4) for kind in ("common", "divisive") for t in (1, 2)}

    def reward(state: str, _: str, human: str) -> int:
        if state.endswith("common"):
            return int(human == "x")
        return 3 * int(human == "y") if "theta=2" in state else int(human == "x")

    first = deterministic_game(
        "Hiding as a query",
        states=states,
        assistant_sees=lambda state: state.split()[1],
        assistant_actions=("show", "hide"),
        hides=(False, True),
        human_sees=lambda state, action: state if action == "show" else f"{state.split()[0]} ?",
        human_actions=("x", "y"),
        reward=reward,
    )
    second = tuple(
        ((tuple(worth if f"theta={t}" in state else Fraction(0) for t in (1, 2)),) * 2,) * 2 for state in first.states
    )
    return TwoStageGame(first, ("serve type 1", "serve type 2"), second)


def blurred_choice(values: Sequence[Exact] = (3, 9)) -> AssistanceGame:
    """One option worth nothing, one worth X; A may hide X from a human who chooses noisily (ours, after result 3).

    Args:
        values: the equally likely values of X.
    """
    return deterministic_game(
        "Hiding from a noisy chooser",
        states={f"X={x}": Fraction(1, len(values)) for x in values},
        assistant_sees=lambda _: "nothing",
        assistant_actions=("show", "hide"),
        hides=(False, True),
        human_sees=lambda state, action: state if action == "show" else "?",
        human_actions=("take 0", "take X"),
        reward=lambda state, _, human: state[2:] if human == "take X" else 0,
    )


def _check_shape(table: Any, shape: tuple[int, ...], *, where: str) -> None:
    if len(table) != shape[0]:
        raise InputError(f"{where} must have {shape[0]} entries to fit the names given; got {len(table)}")
    if len(shape) > 1:
        for i, row in enumerate(table):
            _check_shape(row, shape[1:], where=f"{where}[{i}]")
