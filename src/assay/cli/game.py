"""`assay game`: solve a finite common-payoff game from a file, exactly."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from assay.cli.output import table
from assay.core.errors import UsageError
from assay.core.text import visible

__all__ = ["app"]

MAX_ROWS = 40  # of a table for people; --json prints everything
MAX_COLUMNS = 8  # beyond which a policy is written into one cell

app = typer.Typer(
    name="game",
    help="Exact solutions of small common-payoff games: off-switch games and assistance games, from JSON files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


PRICES = {
    "always_wait": "best if A always waits",
    "never_wait": "best if A never waits",
    "never_hide": "best if A never hides",
    "silence": "best without words",
    "a_word_to_human": "best if A could say one of two words to H",
    "a_word_to_assistant": "best if H could say one of two words to A",
}


@app.callback()
def _root() -> None:
    pass


class HumanModel(StrEnum):
    """How the human behaves."""

    optimal = "optimal"
    naive = "naive"
    boltzmann = "boltzmann"


@app.command()
def solve(
    file: Path = typer.Argument(help="A game in the JSON form of docs/games.md."),
    human: HumanModel = typer.Option(HumanModel.optimal, "--human", help="How the human behaves."),
    beta: float | None = typer.Option(None, "--beta", help="Inverse temperature, with --human boltzmann."),
    limit: int | None = typer.Option(
        None, "--limit", min=1, help="Policies of the smaller side the search may have to cover. [default: 2,000,000]"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print everything, the whole certificate included, as JSON."),
) -> None:
    """Print a game's value, every optimal pair, where A waits or hides, what that is worth, and a certificate.

    Examples:
      assay game solve examples/file-deletion-game.json
      assay game solve examples/hiding-as-query-game.json --human naive --json
    """
    from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal
    from assay.solvers.games.pairs import DEFAULT_LIMIT
    from assay.solvers.games.summary import summary
    from assay.worlds.games.files import read_game

    if (beta is not None) != (human is HumanModel.boltzmann):
        raise UsageError("--beta goes with --human boltzmann and with nothing else. Give both or neither")
    chosen: Human = Boltzmann(beta) if beta is not None else Naive() if human is HumanModel.naive else Optimal()
    found = escaped(summary(read_game(file), chosen, limit=limit or DEFAULT_LIMIT))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False))
    else:
        typer.echo(_page(found), nl=False)


def escaped(found: Any) -> Any:
    """The same data with control characters of names shown as escapes."""
    if isinstance(found, dict):
        return {visible(key): escaped(value) for key, value in found.items()}
    if isinstance(found, list):
        return [escaped(value) for value in found]
    return visible(found) if isinstance(found, str) else found


def _page(found: dict[str, Any]) -> str:
    """The solution for a person to read."""
    lines = [f"{found['game']}  ({found['human']} human)", "", f"value  {found['value']}"]
    for key, says in PRICES.items():
        if f"{key}_value" in found:
            price = f"costs {found[f'price_of_{key}']}" if f"price_of_{key}" in found else f"worth {found[f'worth_of_{key}']}"
            lines.append(f"       {found[f'{key}_value']}  {says} ({price})")
    for mark, verb in (("wait", "waits"), ("hide", "hides")):
        if f"{mark}_sets" in found:
            sets = ["{" + ", ".join(names) + "}" for names in found[f"{mark}_sets"]]
            lines += ["", f"A {verb} on  " + "  or  ".join(sets[:MAX_ROWS]) + (" ..." if len(sets) > MAX_ROWS else "")]
    lines.append("")
    rows = _rows(found)
    text = "\n".join(lines) + "\n" + (table(rows[:MAX_ROWS], list(rows[0])) if rows else "")
    if len(rows) > MAX_ROWS:
        text += f"... and {len(rows) - MAX_ROWS} more; --json prints all\n"
    return text + _certificate(found)


def _digits(n: int | str) -> str:
    """A count for people: its digits, or how many there are."""
    text = str(n)
    return text if len(text) <= 30 else f"{text[:6]}... ({len(text):,} digits)"


def _rows(found: dict[str, Any]) -> list[dict[str, object]]:
    if "optimal_plans" in found:
        plan = found["optimal_plans"][0]
        return [
            {
                "A sees": name,
                "best first action": " or ".join(actions),
                **{f"value of '{action}'": value for action, value in found["value_by_first_action"][name].items()},
            }
            for name, actions in plan["first_actions"].items()
        ]
    rows: list[dict[str, object]] = []
    for i, policies in enumerate(found["optimal_policies"]):
        assistant = policies["assistant"]
        human = {
            name: "(not reached)" if name in policies["unreached"] else " or ".join(options)
            for name, options in policies.get("human", {}).items()
        }
        if len(assistant) + len(human) <= MAX_COLUMNS:
            cells = {f"A on {name}": action for name, action in assistant.items()}
            cells |= {f"H on {name}": action for name, action in human.items()}
        else:
            cells = {"A": _listed(assistant), "H": _listed(human)}
        rows.append({"optimal": i + 1, **cells})
    return rows


def _listed(policy: dict[str, str]) -> str:
    """A policy in one cell, observations with the same action together."""
    by_action: dict[str, list[str]] = {}
    for name, action in policy.items():
        by_action.setdefault(action, []).append(name)
    return "; ".join(f"{action} on {', '.join(names)}" for action, names in by_action.items())


def _certificate(found: dict[str, Any]) -> str:
    certificate = found["certificate"]
    if certificate is None:
        n = found["n_optimal_policies"]
        return f"\n{_digits(n)} optimal polic{'y' if n == 1 else 'ies'} of A\n\ncertificate  none: every policy was evaluated\n"
    if "n_optimal_human_policies" in found:
        plans = found["n_optimal_human_policies"]
        several = (
            f"{_digits(plans)} policies of H attain the value; the table shows the first, --json all" if plans != 1 else ""
        )
    else:
        on_path, pairs = found["n_optimal_pairs_on_path"], found["n_optimal_pairs"]
        several = (
            f"{_digits(pairs)} optimal pairs" if on_path is None else f"{_digits(on_path)} optimal pair{'s' * (on_path != 1)}"
        )
        if on_path is not None and pairs != on_path:
            several += f" ({_digits(pairs)} with choices where one is never asked)"
        if not found["all_listed"]:
            several += "; too many to list"
    closed, attained = len(certificate["closed"]), len(certificate["attained"])
    side = "A" if certificate["side"] == "assistant" else "H"
    says = f"{closed} bounds close all other policies of {side}"
    if certificate["largest_bound"] is not None:
        says += f"; the largest is {certificate['largest_bound']}, below {found['value']}"
    if not closed:
        says = f"every policy of {side} attains the value"
    lines = [f"\n{several}", f"certificate  {attained} policies of {side} attain the value; {says}" if attained != 1 else ""]
    if attained == 1:
        lines[-1] = f"certificate  one policy of {side} attains the value; {says}"
    for part in certificate["closed"][:8]:
        decided = ", ".join(f"{name}: {action}" for name, action in zip(certificate["order"], part["first"], strict=False))
        lines.append(f"  {side} with {decided}  earns at most {part['bound']}")
    if closed > 8:
        lines.append(f"  ... and {closed - 8} more; --json prints all")
    return "\n".join(lines) + "\n"
