"""Partially observable off-switch games: an assistant acts, shuts down, or waits for a human who sees something else.

Source: Garber et al. 2024, "The Partially Observable Off-Switch Game", arXiv:2411.17749, section 3 (model), Examples 4.1, 4.10
and A.13 (games). Games that are ours say so.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np

from assay.core.arrays import Numbers
from assay.core.errors import InputError
from assay.worlds.games.rationals import Exact, check_kernel, exact_row
from assay.worlds.games.team import MAX_CELLS, Legal, Table, TeamForm, integers, refuse_above

__all__ = [
    "OffSwitchGame",
    "bounded_talk_game",
    "file_deletion",
    "file_deletion_three_versions",
    "off_switch_from_table",
    "original_off_switch",
    "uncoordinated_garbling_pair",
]

SHUT, ON = 0, 1  # human's actions, in this order


@dataclass(frozen=True)
class OffSwitchGame:
    """A finite off-switch game with two-sided partial observability and optional cheap talk before acting.

    Attributes:
        name: for tables.
        states: names of Nature's states.
        prior: probability of each state.
        human_observations, assistant_observations: what each side may see.
        observe: [state][human observation][assistant observation]; probability of seeing the pair in that state.
        act: payoff of each state when the action goes through (A acts, or waits and H says ON).
        off: payoff of each state when it does not.
        to_human: messages A may send along with waiting; 1 is silence.
        to_assistant: messages H may send before A moves; 1 is silence.
        waiting_cost: what asking costs in each state, whatever H answers; nothing where empty.
        legal_assistant: [assistant observation] whether A may (act, wait, shut down) there; everything where empty.
        legal_human: [human observation] whether H may say (OFF, ON) there; everything where empty.
    """

    name: str
    states: tuple[str, ...]
    prior: tuple[Fraction, ...]
    human_observations: tuple[str, ...]
    assistant_observations: tuple[str, ...]
    observe: tuple[tuple[tuple[Fraction, ...], ...], ...]
    act: tuple[Fraction, ...]
    off: tuple[Fraction, ...]
    to_human: int = 1
    to_assistant: int = 1
    waiting_cost: tuple[Fraction, ...] = ()
    legal_assistant: Legal = ()
    legal_human: Legal = ()

    def __post_init__(self) -> None:
        for what, names in (
            ("states", self.states),
            ("human_observations", self.human_observations),
            ("assistant_observations", self.assistant_observations),
        ):
            check_names(names, where=f"{self.name}: {what}")
        n_s, n_h, n_a = len(self.states), len(self.human_observations), len(self.assistant_observations)
        for what, values in (("prior", self.prior), ("observe", self.observe), ("act", self.act), ("off", self.off)):
            if len(values) != n_s:
                raise InputError(f"{self.name}: {what} must have one entry for each of the {n_s} states; got {len(values)}")
        check_kernel(self.prior, where=f"{self.name}: the prior")
        if self.waiting_cost and len(self.waiting_cost) != n_s:
            raise InputError(f"{self.name}: waiting_cost must have one entry for each of the {n_s} states")
        check_legal(self.legal_assistant, n_a, 3, where=f"{self.name}: legal_assistant")
        check_legal(self.legal_human, n_h, 2, where=f"{self.name}: legal_human")
        for state, table in zip(self.states, self.observe, strict=True):
            if len(table) != n_h or any(len(row) != n_a for row in table):
                raise InputError(f"{self.name}: observe of state '{state}' must be a table of {n_h} by {n_a}; it is not")
            check_kernel([p for row in table for p in row], where=f"{self.name}: the observations of state '{state}'")
        for what, n in (("to_human", self.to_human), ("to_assistant", self.to_assistant)):
            if n < 1:
                raise InputError(f"{self.name}: {what} must be at least 1 message (1 is silence); got {n}")

    def through(self) -> tuple[Table, Table, Table]:
        """Expected payoff if the action goes through and if it does not, times the cell's probability, and that probability.

        All three are [human observation, assistant observation] arrays of `Fraction`.
        """
        shape = (len(self.human_observations), len(self.assistant_observations))
        act, off, seen = (np.full(shape, Fraction(0), dtype=object) for _ in range(3))
        for p, table, ua, uo in zip(self.prior, self.observe, self.act, self.off, strict=True):
            if not p:
                continue
            for i, row in enumerate(table):
                for j, q in enumerate(row):
                    if q:
                        seen[i, j] += p * q
                        act[i, j] += p * q * ua
                        off[i, j] += p * q * uo
        return act, off, seen

    def team_form(self) -> TeamForm:
        """The reduced form, with waiting as the marked set.

        With messages to H, A's wait splits into one wait per message. With messages to A, H first chooses what to say, so that
        A's action becomes a plan: one action for each message heard.

        Raises:
            InputError: messages go both ways, or the table would exceed the stated limit.
        """
        if self.to_human > 1 and self.to_assistant > 1:
            raise InputError(
                f"{self.name}: messages must go one way; got to_human={self.to_human} and to_assistant={self.to_assistant}. "
                "Set one of them to 1"
            )
        n_h, n_a, m = len(self.human_observations), len(self.assistant_observations), self.to_human
        refuse_above(MAX_CELLS, n_a * (m + 2) * n_h * m * 2, what=f"the payoff table of '{self.name}'", unit="cells")
        act, off, seen = self.through()
        cost = self._cost()
        payoff = np.full((n_a, m + 2, n_h, m, 2), Fraction(0), dtype=object)
        mass = np.full((n_a, m + 2, n_h, m), Fraction(0), dtype=object)
        # Without a wait H's choice has no effect: the cell is counted once, at the first message, for either choice.
        payoff[:, 0, :, 0, :] = act.T[:, :, None]
        payoff[:, m + 1, :, 0, :] = off.T[:, :, None]
        for message in range(m):
            payoff[:, 1 + message, :, message, SHUT] = (off - cost).T
            payoff[:, 1 + message, :, message, ON] = (act - cost).T
            mass[:, 1 + message, :, message] = seen.T
        numbers, denominator = integers(payoff.reshape(n_a, m + 2, n_h * m, 2))
        masses, mass_denominator = integers(mass.reshape(n_a, m + 2, n_h * m))
        waits = ("wait",) if m == 1 else tuple(f"wait, say {i + 1}" for i in range(m))
        told = [""] if m == 1 else [f", told {i + 1}" for i in range(m)]
        form = TeamForm(
            numbers,
            denominator,
            masses,
            mass_denominator,
            self.assistant_observations,
            ("act", *waits, "off"),
            tuple(f"{name}{suffix}" for name in self.human_observations for suffix in told),
            ("OFF", "ON"),
            (False, *(True for _ in waits), False),
            "wait",
            self.name,
            legal_assistant=tuple((may[0], *(may[1],) * m, may[2]) for may in self.legal_assistant),
            legal_human=tuple(may for may in self.legal_human for _ in range(m)),
        )
        return _heard_first(form, self.to_assistant)

    def _cost(self) -> Table:
        """[human observation, assistant observation]: expected cost of waiting, times the cell's probability."""
        table = np.full((len(self.human_observations), len(self.assistant_observations)), Fraction(0), dtype=object)
        for s, cost in enumerate(self.waiting_cost):
            if cost and self.prior[s]:
                for i, row in enumerate(self.observe[s]):
                    for j, q in enumerate(row):
                        if q:
                            table[i, j] += self.prior[s] * q * cost
        return table

    def shape(self) -> tuple[int, int, int, int]:
        """The reduced form's counts of A's observations and actions, H's observations and actions, before it is built."""
        n_h, n_a = len(self.human_observations), len(self.assistant_observations)
        return n_a, (self.to_human + 2) ** self.to_assistant, n_h * self.to_human, 2 * self.to_assistant

    def shuffled(self, rng: np.random.Generator) -> "OffSwitchGame":
        """The same game with states and observations listed in a random order, so that no answer can hang on the order."""
        s, h, a = (rng.permutation(len(x)) for x in (self.states, self.human_observations, self.assistant_observations))
        return replace(
            self,
            states=tuple(self.states[i] for i in s),
            prior=tuple(self.prior[i] for i in s),
            human_observations=tuple(self.human_observations[i] for i in h),
            assistant_observations=tuple(self.assistant_observations[i] for i in a),
            observe=tuple(tuple(tuple(self.observe[i][j][k] for k in a) for j in h) for i in s),
            act=tuple(self.act[i] for i in s),
            off=tuple(self.off[i] for i in s),
            waiting_cost=tuple(self.waiting_cost[i] for i in s) if self.waiting_cost else (),
            legal_assistant=tuple(self.legal_assistant[i] for i in a) if self.legal_assistant else (),
            legal_human=tuple(self.legal_human[i] for i in h) if self.legal_human else (),
        )

    def with_channel(self, *, to_human: int = 1, to_assistant: int = 1) -> "OffSwitchGame":
        """The same game with other message sets."""
        return replace(self, to_human=to_human, to_assistant=to_assistant)


def _heard_first(form: TeamForm, n: int) -> TeamForm:
    """The form in which H says one of `n` messages before A moves: A's actions become plans, H's actions gain what to say."""
    if n == 1:
        return form
    n_a, k_a, n_z, k_h = form.shape
    refuse_above(MAX_CELLS, n_a * k_a**n * n_z * n * k_h, what=f"the payoff table with {n} messages to A", unit="cells")
    plans = np.array(list(product(range(k_a), repeat=n)))
    payoff = np.stack([form.payoff[:, plans[:, said]] for said in range(n)], axis=3)
    return TeamForm(
        payoff.reshape(n_a, len(plans), n_z, n * k_h),
        form.denominator,
        form.mass[:, plans].max(axis=2),
        form.mass_denominator,
        form.assistant_observations,
        tuple(" | ".join(form.assistant_actions[action] for action in plan) for plan in plans),
        form.human_observations,
        tuple(f"say {said + 1}, {reply}" for said in range(n) for reply in form.human_actions),
        tuple(all(form.marked[action] for action in plan) for plan in plans),
        form.mark,
        form.name,
        tuple(any(form.marked[action] for action in plan) for plan in plans),
        tuple(tuple(all(row[action] for action in plan) for plan in plans) for row in form.legal_assistant),
        tuple(row * n for row in form.legal_human),
    )


def check_names(names: Sequence[str], *, where: str) -> None:
    """Return nothing if the names are usable: at least one, none twice.

    Raises:
        InputError: the set is empty or a name is repeated.
    """
    if not names:
        raise InputError(f"{where} must name at least one element; it is empty. A side that sees nothing has one observation")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"{where} must be distinct; {', '.join(repr(name) for name in twice)} appears more than once")


def check_legal(legal: Legal, n_observations: int, n_actions: int, *, where: str) -> None:
    """Return nothing if at every observation some action is legal.

    Raises:
        InputError: the table has another shape, or an observation is left without an action.
    """
    if not legal:
        return
    if len(legal) != n_observations or any(len(row) != n_actions for row in legal):
        raise InputError(f"{where} must be a table of {n_observations} by {n_actions}; it is not")
    if not all(any(row) for row in legal):
        raise InputError(f"{where} must leave at least one action at every observation; one has none")


def off_switch_from_table(
    name: str,
    act: Sequence[Sequence[Exact]] | Numbers,
    *,
    human: Sequence[str] | None = None,
    assistant: Sequence[str] | None = None,
    off: Exact = 0,
    human_sees: Mapping[int, str] | None = None,
) -> OffSwitchGame:
    """The game whose states are the cells of a payoff table, uniform; H sees the row, A the column.

    Args:
        name: for tables.
        act: payoff of acting, rows by H's type and columns by A's; nested lists or a NumPy array.
        human: names of the rows; numbers where omitted.
        assistant: names of the columns; numbers where omitted.
        off: payoff of not acting, the same in every state.
        human_sees: what H sees of each row, if coarser than the row (row index to observation name).
    """
    rows, columns = len(act), len(act[0]) if len(act) else 0
    human = tuple(human) if human is not None else tuple(str(i) for i in range(rows))
    assistant = tuple(assistant) if assistant is not None else tuple(str(j) for j in range(columns))
    seen = [human_sees[i] if human_sees is not None else human[i] for i in range(rows)]
    human_observations = tuple(dict.fromkeys(seen))
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    zero, one = Fraction(0), Fraction(1)
    return OffSwitchGame(
        name=name,
        states=tuple(f"{human[i]} {assistant[j]}" for i, j in cells),
        prior=tuple(Fraction(1, len(cells)) for _ in cells),
        human_observations=human_observations,
        assistant_observations=assistant,
        observe=tuple(
            tuple(tuple(one if seen[i] == o and assistant[j] == q else zero for q in assistant) for o in human_observations)
            for i, j in cells
        ),
        act=exact_row((act[i][j] for i, j in cells), where=f"{name}: act"),
        off=exact_row((off for _ in cells), where=f"{name}: off"),
    )


def file_deletion() -> OffSwitchGame:
    """The File Deletion Game: H knows the operating system's version, A the kind of code (paper, Example 4.1, Table 1)."""
    return off_switch_from_table("File Deletion Game", [[3, -5], [-1, 5]], human=("1.0", "2.0"), assistant=("L", "M"))


def file_deletion_three_versions(*, fine: bool) -> OffSwitchGame:
    """The File Deletion Game with three versions (paper, Example 4.10, Table 2).

    Args:
        fine: H sees the full version; otherwise its first digit only.
    """
    versions = ("1.0", "1.1", "2.0")
    return off_switch_from_table(
        f"Three-version File Deletion Game, {'full version' if fine else 'first digit'}",
        [[1, -5], [-2, 3], [3, 3]],
        human=versions,
        assistant=("A", "B"),
        human_sees=None if fine else {0: "1.x", 1: "1.x", 2: "2.0"},
    )


def uncoordinated_garbling_pair() -> tuple[OffSwitchGame, OffSwitchGame]:
    """Two information structures on one game, the second an uncoordinated garbling of the first (paper, Example A.13).

    Two fair bits; acting pays 2 if they differ and -1 if they agree. First: each side sees one bit. Second: H sees whether the
    bits differ, A sees nothing. No pair of independent garblings, even with a shared coin, leads from the first to the second.
    """
    first = off_switch_from_table("Example A.13, a bit each", [[-1, 2], [2, -1]])
    differ = tuple(Fraction(int(state.split()[0] != state.split()[1])) for state in first.states)
    second = OffSwitchGame(
        name="Example A.13, H sees whether they differ",
        states=first.states,
        prior=first.prior,
        human_observations=("same", "differ"),
        assistant_observations=("nothing",),
        observe=tuple(((1 - d,), (d,)) for d in differ),
        act=first.act,
        off=first.off,
    )
    return first, second


def original_off_switch(utilities: Sequence[Exact] | Numbers, prior: Sequence[Exact] | Numbers | None = None) -> OffSwitchGame:
    """The off-switch game with a fully informed human (Hadfield-Menell et al. 2017): H sees the state, A sees nothing.

    Args:
        utilities: payoff of acting in each state.
        prior: probability of each state; uniform where omitted.
    """
    n = len(utilities)
    names = tuple(f"u{i}" for i in range(n))
    weights = tuple(Fraction(1, n) for _ in names) if prior is None else exact_row(prior, where="prior")
    return OffSwitchGame(
        name="Off-switch game, informed human",
        states=names,
        prior=weights,
        human_observations=names,
        assistant_observations=("nothing",),
        observe=tuple(tuple((Fraction(int(i == j)),) for j in range(n)) for i in range(n)),
        act=exact_row(utilities, where="utilities"),
        off=tuple(Fraction(0) for _ in names),
    )


def bounded_talk_game() -> OffSwitchGame:
    """A game in which a channel of two messages lowers deference (ours, found by exhaustive search; not from the paper)."""
    return off_switch_from_table("Bounded talk lowers deference", [[-2, 4, 2], [-2, -3, -1], [4, -2, 4]])
