"""A solved game as text for people; `--json` prints the same in full."""

from typing import Any

from assay.cli.output import table

__all__ = ["PRICES", "as_text", "digits"]

MAX_ROWS = 40  # of a table for people; --json prints everything
NOT_REACHED = "(not reached)"
MAX_COLUMNS = 8  # beyond which a policy is written into one cell

PRICES = {
    "always_wait": "best if A always waits",
    "never_wait": "best if A never waits",
    "never_hide": "best if A never hides",
    "silence": "best without words",
    "a_word_to_human": "best if A could say one of two words to H",
    "a_word_to_assistant": "best if H could say one of two words to A",
}


def as_text(found: dict[str, Any]) -> str:
    """The solution of any kind of game for a person to read."""
    if found["kind"] == "matrix":
        return _matrix(found)
    if found["kind"] == "sequential":
        return _sequential(found)
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
    if found.get("first") == "human" and len(rows) < len(found["optimal_policies"]):
        text += "Policies that differ only where nothing leads are shown once.\n"
    return text + _certificate(found)


def digits(n: int | str) -> str:
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
    from assay.solvers.games.summary import replies_told

    told = replies_told(found) if "human_reply" in found else {}
    shown: list[dict[str, object]] = []
    for policies in found["optimal_policies"]:
        assistant = policies["assistant"]
        human = {
            name: NOT_REACHED if name in policies["unreached"] else " or ".join(options)
            for name, options in policies.get("human", {}).items()
        }
        human = human or told
        unseen = policies.get("assistant_unreached", found.get("assistant_unreached", ()))
        assistant = {name: NOT_REACHED if name in unseen else action for name, action in assistant.items()}
        if len(assistant) + len(human) <= MAX_COLUMNS:
            sides = (
                {f"A on {name}": action for name, action in assistant.items()},
                {f"H on {name}": action for name, action in human.items()},
            )
        else:
            sides = {"A": _listed(assistant)}, {"H": _listed(human)}
        first, second = reversed(sides) if found.get("first") == "human" else sides
        cells = first | second
        if cells not in shown:  # they may differ where nothing comes
            shown.append(cells)
    return [{"optimal": i + 1, **cells} for i, cells in enumerate(shown)]


def _listed(policy: dict[str, str]) -> str:
    """A policy in one cell, observations with the same action together."""
    by_action: dict[str, list[str]] = {}
    for name, action in policy.items():
        by_action.setdefault(action, []).append(name)
    return "; ".join(f"{action} on {', '.join(names)}" for action, names in by_action.items())


def _certificate(found: dict[str, Any]) -> str:
    certificate = found["certificate"]
    if certificate is None or "worth" in certificate:
        n = found["n_optimal_policies"]
        why = "none: every policy was evaluated"
        if certificate is not None:
            why = "her reply is fixed, so that each observation of A is a maximisation of its own; --json lists their worths"
        return f"\n{digits(n)} optimal polic{'y' if n == 1 else 'ies'} of A\n\ncertificate  {why}\n"
    if "n_optimal_human_policies" in found:
        plans = found["n_optimal_human_policies"]
        several = f"{digits(plans)} policies of H attain the value; the table shows the first, --json all" if plans != 1 else ""
    else:
        on_path, pairs = found["n_optimal_pairs_on_path"], found["n_optimal_pairs"]
        several = (
            f"{digits(pairs)} optimal pairs" if on_path is None else f"{digits(on_path)} optimal pair{'s' * (on_path != 1)}"
        )
        if on_path is not None and pairs != on_path:
            several += f" ({digits(pairs)} with choices where one is never asked)"
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


def _sequential(found: dict[str, Any]) -> str:
    """An optimal joint policy, history by history."""
    exact = (
        "" if found["value"] == found["value_decimal"] else f"  (exactly {found['value']})" if len(found["value"]) < 60 else ""
    )
    lines = [
        f"{found['game']}  ({found['horizon']} step{'s' * (found['horizon'] > 1)}, discount {found['discount']})",
        "",
        f"value  {found['value_decimal']}{exact}",
        "",
    ]
    text = "\n".join(lines)
    for side, rows in (("A", found["assistant"]), ("H", found["human_policy"])):
        if rows is None:
            continue
        cells = [{f"{side} after": ", ".join(row["after"]) or "(nothing yet)", "does": row["action"]} for row in rows]
        text += table(cells[:MAX_ROWS], list(cells[0]))
        if len(cells) > MAX_ROWS:
            text += f"... and {len(cells) - MAX_ROWS} more; --json prints all\n"
        text += "\n"
    certificate = found["certificate"]
    return text + (
        "certificate  the value is exactly what these policies earn; that none earns "
        f"{certificate['slack']:.1g} more was found in floating point:\n"
        f"  {certificate['n_occupancy_states']:,} occupancy states visited, every other branch is bounded below the value\n"
    )


def _matrix(found: dict[str, Any]) -> str:
    """Dominance, what each can make sure of, equilibria and Pareto cells."""
    rounds = "" if found["rounds"] == 1 else f", {found['rounds']} rounds; one round is solved"
    text = f"{found['game']}  ({' and '.join(found['players'])}{rounds})\n\n"
    for entry in found["dominated"]:
        how = "strictly" if entry["strictly"] else "weakly"
        text += f"{entry['player']}: '{entry['action']}' is {how} dominated by '{entry['by']}'\n"
    for entry in found["maximin"]:
        text += f"{entry['player']} can make sure of {entry['value']}, by {_mixed(entry['strategy'])}\n"
    rows = [
        {
            "equilibrium": i + 1,
            **{player: _mixed(mixed) for player, mixed in zip(found["players"], entry["strategies"], strict=True)},
            "payoffs": ", ".join(entry["payoffs"]),
        }
        for i, entry in enumerate(found["equilibria"])
    ]
    text += "\n" + table(rows[:MAX_ROWS], list(rows[0]))
    if len(rows) > MAX_ROWS:
        text += f"... and {len(rows) - MAX_ROWS} more; --json prints all\n"
    cells = [f"({', '.join(cell['actions'])}) = {', '.join(cell['payoffs'])}" for cell in found["pareto_cells"]]
    text += "\nPareto cells  " + "; ".join(cells[:MAX_ROWS]) + (" ..." if len(cells) > MAX_ROWS else "") + "\n"
    return (
        text
        + "\ncertificate  at each equilibrium every action in use earns what the best action earns; --json lists them all\n"
    )


def _mixed(strategy: dict[str, str]) -> str:
    return " + ".join(action if p == "1" else f"{p} {action}" for action, p in strategy.items())
