"""The page of a solved game: the game in words, its optimum, what restrictions cost, the certificate; with JSON and LaTeX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from assay.report.page import put_in_place, rendered
from assay.report.tables import latex_text
from assay.solvers.games.summary import replies_told
from assay.worlds.games.assistance import AssistanceGame, HumanFirstGame, TwoStageGame
from assay.worlds.games.files import Game, document
from assay.worlds.games.gambit_files import TreeGame
from assay.worlds.games.matrix import MatrixGame
from assay.worlds.games.off_switch import OffSwitchGame
from assay.worlds.games.sequential import SequentialGame

__all__ = ["game_page", "write_game_page"]

MAX_ROWS = 60
MAX_NODES = 200
PRICES = {
    "": "the optimum",
    "always_wait": "A always waits",
    "never_wait": "A never waits",
    "always_hide": "A always hides",
    "never_hide": "A never hides",
    "silence": "without words",
    "a_word_to_human": "A may say one of two words to H",
    "a_word_to_assistant": "H may say one of two words to A",
}


@dataclass(frozen=True)
class _Bar:
    """One value beside the others: where its bar begins and how long it is, in hundredths of the width."""

    says: str
    value: str
    start: float
    length: float
    best: bool


@dataclass(frozen=True)
class _Node:
    """What one side does after what it saw, and what may follow."""

    saw: str
    does: str
    children: tuple["_Node", ...]


@dataclass(frozen=True)
class _Table:
    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    hidden: int = 0


def write_game_page(game: Game, found: dict[str, Any], out: Path) -> Path:
    """Write `index.html`, `solution.json`, `table.tex` and, where the game has a JSON form, `game.json`; the page's path.

    Raises:
        StoreError: a file cannot be written.
    """
    tables = _tables(found)
    files = {
        "solution.json": json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "table.tex": "\n".join(latex_text(table.head, table.rows) for table in tables),
        "index.html": game_page(game, found),
    }
    if not isinstance(game, TreeGame):  # a tree's own file is its form
        files["game.json"] = json.dumps(document(game), ensure_ascii=False, indent=1) + "\n"
    for name, content in sorted(files.items()):
        put_in_place(out / name, content.encode())
    return out / "index.html"


def game_page(game: Game, found: dict[str, Any]) -> str:
    """The page as one HTML text."""
    value = found.get("value_decimal", found.get("value"))
    trees = _trees(found)
    return rendered(
        "game.html.j2",
        found=found,
        value=value,
        says=_in_words(game),
        tables=[] if trees else _tables(found),
        bars=_bars(found),
        trees=trees,
        facts=_facts(found),
        certificate=_certificate(found),
        has_json=not isinstance(game, TreeGame),
    )


def _in_words(game: Game) -> list[str]:
    """The game told in a few sentences."""
    if isinstance(game, MatrixGame):
        rows, columns = game.players
        times = "once" if game.rounds == 1 else f"{game.rounds} times; one round is solved here"
        return [
            f"{rows} chooses one of {_listed(game.actions[0])}; at the same time {columns} one of {_listed(game.actions[1])}.",
            f"Each has payoffs of their own. The game is played {times}.",
        ]
    if isinstance(game, SequentialGame):
        both = len(game.human_actions) > 1
        return [
            f"The world is in one of {len(game.states)} states and moves with what {'A and H do' if both else 'A does'}.",
            f"A can {_listed(game.assistant_actions)}"
            + (f"; H can {_listed(game.human_actions)}." if both else "; nobody else acts."),
            "Each step pays both the same; each sees something of the new state, and remembers all it saw.",
        ]
    if isinstance(game, OffSwitchGame):
        return [
            f"One of {len(game.states)} states holds. A sees one of {_listed(game.assistant_observations)}; "
            f"H sees one of {_listed(game.human_observations)}.",
            "A acts, shuts down, or waits. If A waits, H says ON (the action goes through) or OFF (it does not).",
            *_words(game),
            "Both want the same payoff." + (" Waiting costs something." if game.waiting_cost else ""),
        ]
    if isinstance(game, TreeGame):
        return ["A game tree with one common payoff; the first player is A, the second H, and each moves at most once."]
    first = game.first if isinstance(game, TwoStageGame) else game
    leader, follower = ("H", "A") if isinstance(first, HumanFirstGame) else ("A", "H")
    acts = {"A": first.assistant_actions, "H": first.human_actions}
    says = [
        f"One of {len(first.states)} states holds. {leader} sees something of it and does one of {_listed(acts[leader])}.",
        f"What {follower} then sees may depend on that; {follower} does one of {_listed(acts[follower])}.",
    ]
    if isinstance(game, TwoStageGame):
        says.append(f"A saw what H did, and acts again: one of {_listed(game.second_actions)}.")
    return [*says, *_words(game), "Both want the same payoff."]


def _words(game: OffSwitchGame | AssistanceGame | HumanFirstGame | TwoStageGame) -> list[str]:
    """Who can say how much, where somebody can."""
    says = []
    for field, speaker, hearer in (("to_human", "A", "H"), ("to_assistant", "H", "A")):
        n_words = getattr(game, field, 1)
        if n_words > 1:
            says.append(f"{speaker} can say one of {n_words} words to {hearer}, free of charge.")
    return says


def _listed(names: tuple[str, ...]) -> str:
    shown = [f"‘{name}’" for name in names[:6]]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(shown) + more


def _facts(found: Mapping[str, Any]) -> list[str]:
    facts = [f"kind: {found['kind']}"]
    if found["kind"] == "sequential":
        return [*facts, f"{found['horizon']} steps", f"discount {found['discount']}"]
    if found["kind"] == "matrix":
        return facts
    facts.append(f"{found['human']} human")
    for key, says in (
        ("n_optimal_pairs_on_path", "optimal pair|optimal pairs"),
        ("n_optimal_policies", "optimal policy of A|optimal policies of A"),
        ("n_optimal_human_policies", "optimal policy of H|optimal policies of H"),
    ):
        if found.get(key) is not None:
            n = str(found[key])
            facts.append(f"{n if len(n) < 20 else n[:6] + '…'} {says.split('|')[n != '1']}")
    return facts


def _bars(found: Mapping[str, Any]) -> list[_Bar]:
    """The optimum's value beside those under restrictions and with words."""
    values = [
        (key, says, str(found[f"{key}_value" if key else "value"]))
        for key, says in PRICES.items()
        if f"{key}_value" in found or (not key and "value" in found)
    ]
    if found["kind"] in ("matrix", "sequential") or len(values) < 2:
        return []
    numbers = [float(Fraction(text)) for _, _, text in values]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    width = (high - low) or 1.0
    return [
        _Bar(says, text, 100 * (min(x, 0.0) - low) / width, max(100 * abs(x) / width, 0.4), not key)
        for (key, says, text), x in zip(values, numbers, strict=True)
    ]


def _tables(found: dict[str, Any]) -> list[_Table]:
    """The optimum as tables."""
    if found["kind"] == "matrix":
        return _matrix_tables(found)
    if found["kind"] == "sequential":
        sides = [("A", found["assistant"]), ("H", found["human_policy"])]
        return [
            _cut(
                f"What {side} does",
                (f"{side} has seen", "does"),
                [(", ".join(row["after"]) or "nothing yet", row["action"]) for row in rows],
            )
            for side, rows in sides
            if rows is not None
        ]
    if "optimal_plans" in found:
        plan = found["optimal_plans"][0]
        values = found["value_by_first_action"]
        rows = [
            (name, " or ".join(actions), "; ".join(f"{a}: {v}" for a, v in values[name].items()))
            for name, actions in plan["first_actions"].items()
        ]
        tables = [_cut("What A does first", ("A sees", "best", "worth of each first action"), rows)]
        replies = [
            (name, " or ".join(f"{a} ({p})" if p != "1" else a for a, p in row.items()))
            for name, row in found["human_reply"].items()
        ]
        return [*tables, _cut("What H does", ("H sees", "does"), replies)]
    policies = found["optimal_policies"][0]
    unseen = policies.get("assistant_unreached", found.get("assistant_unreached", ()))
    acts = [(name, "(not reached)" if name in unseen else action) for name, action in policies["assistant"].items()]
    if "human" in policies:
        unreached = set(policies["unreached"])
        replies = [
            (name, "(not reached)" if name in unreached else " or ".join(options))
            for name, options in policies["human"].items()
        ]
    else:
        replies = list(replies_told(found).items())
    first, second = (
        _cut("What A does", ("A sees", "does"), acts),
        _cut("What H does", ("H sees", "does"), replies),
    )
    return [second, first] if found.get("first") == "human" else [first, second]


def _matrix_tables(found: Mapping[str, Any]) -> list[_Table]:
    players = found["players"]

    def mixed(strategy: Mapping[str, str]) -> str:
        return " + ".join(a if p == "1" else f"{p} {a}" for a, p in strategy.items())

    equilibria = [
        (*(mixed(strategy) for strategy in entry["strategies"]), ", ".join(entry["payoffs"])) for entry in found["equilibria"]
    ]
    sure = [
        (entry["player"], entry["value"], mixed(entry["strategy"]), mixed(entry["held_down_by"])) for entry in found["maximin"]
    ]
    tables = [
        _cut("Equilibria", (*players, "payoffs"), equilibria),
        _cut("What each can make sure of", ("player", "value", "by", "held down by"), sure),
        _cut(
            "Pareto cells",
            (*players, "payoffs"),
            [(*cell["actions"], ", ".join(cell["payoffs"])) for cell in found["pareto_cells"]],
        ),
    ]
    if found["dominated"]:
        rows = [
            (entry["player"], entry["action"], entry["by"], "strictly" if entry["strictly"] else "weakly")
            for entry in found["dominated"]
        ]
        tables.append(_cut("Dominated actions", ("player", "action", "by", "how"), rows))
    return tables


def _cut(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> _Table:
    return _Table(title, head, list(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS))


def _trees(found: Mapping[str, Any]) -> list[tuple[str, list[_Node]]]:
    """The policies of a game of several steps as trees, as far as they are small."""
    if found["kind"] != "sequential":
        return []
    trees = []
    for side, rows in (("A", found["assistant"]), ("H", found["human_policy"])):
        if rows is None or len(rows) > MAX_NODES:
            continue
        by_history = {tuple(row["after"]): row["action"] for row in rows}
        shortest = min(map(len, by_history))

        def grow(history: tuple[str, ...], known: Mapping[tuple[str, ...], str] = by_history) -> _Node:
            after = [other for other in known if len(other) == len(history) + 1 and other[:-1] == history]
            return _Node(history[-1] if history else "", known[history], tuple(grow(other) for other in after))

        trees.append((side, [grow(history) for history in by_history if len(history) == shortest]))
    return trees


def _certificate(found: Mapping[str, Any]) -> list[str]:
    if found["kind"] == "matrix":
        return [
            "At each equilibrium every action in use earns what the best action earns; solution.json lists what each earns."
        ]
    certificate = found["certificate"]
    if certificate is None:
        if "human_says" in found:
            return ["None: whatever H can say at each observation was tried, with the best reply of A to each."]
        return ["None: every policy of A was evaluated."]
    if "worth" in certificate:
        return ["Her reply is fixed, so that each observation of A is a maximisation of its own; solution.json lists them."]
    if found["kind"] == "sequential":
        return [
            "The value is exactly what these policies earn, in rational arithmetic.",
            f"That no joint policy earns {certificate['slack']:.1g} more was found in floating point: "
            f"{certificate['n_occupancy_states']:,} joint distributions of state and histories were visited, and every other "
            "branch is bounded by what both could earn if they shared what they see.",
        ]
    side = "A" if certificate["side"] == "assistant" else "H"
    closed, attained = len(certificate["closed"]), len(certificate["attained"])
    says = [
        f"{attained:,} of {side}’s policies attain{'s' * (attained == 1)} the value; {closed:,} bounds below it close the rest."
    ]
    if certificate["largest_bound"] is not None:
        says.append(
            f"The largest bound is {certificate['largest_bound']}, the value {found['value']}. solution.json lists all parts."
        )
    return says
