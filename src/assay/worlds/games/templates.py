"""A small game of every kind to begin from, and the JSON schema of the file form."""

from typing import Any

__all__ = ["TEMPLATES", "schema"]

_HEAD: dict[str, Any] = {"format": "assay-game/1"}
_NOTHING = [["hear left", "hear left", "1/2"], ["hear right", "hear right", "1/2"]]  # what both hear says nothing
TEMPLATES: dict[str, dict[str, Any]] = {
    "off-switch": _HEAD
    | {
        "kind": "off-switch",
        "name": "Take the umbrella?",
        "comment": "A sees the forecast, H the sky. 'sees' lists [human, assistant, probability].",
        "human_observations": ["clouds", "clear"],
        "assistant_observations": ["wet forecast", "dry forecast"],
        "waiting_cost": 0,
        "states": [
            {
                "name": "rain",
                "prior": "1/3",
                "act": 2,
                "off": -1,
                "sees": [["clouds", "wet forecast", "3/4"], ["clear", "wet forecast", "1/8"], ["clear", "dry forecast", "1/8"]],
            },
            {
                "name": "dry",
                "prior": "2/3",
                "act": -1,
                "off": 0,
                "sees": [["clouds", "wet forecast", "1/4"], ["clear", "dry forecast", "3/4"]],
            },
        ],
    },
    "assistance": _HEAD
    | {
        "kind": "assistance",
        "name": "Show or hide a price",
        "comment": 'A may hide the price from H; "*" speaks for all other actions. Add "first": "human" if H moves first.',
        "assistant_observations": ["nothing"],
        "assistant_actions": ["show", "hide"],
        "hiding_actions": ["hide"],
        "human_observations": ["cheap", "dear", "hidden"],
        "human_actions": ["take", "leave"],
        "states": [
            {
                "name": name,
                "prior": "1/2",
                "assistant_sees": "nothing",
                "human_sees": {"show": name, "hide": "hidden"},
                "reward": {"*": {"take": worth, "leave": 0}},
            }
            for name, worth in (("cheap", 3), ("dear", -1))
        ],
    },
    "two-stage-assistance": _HEAD
    | {
        "kind": "two-stage-assistance",
        "name": "Learn from what she picks",
        "comment": "H's choice tells A her taste, which A serves afterwards.",
        "assistant_observations": ["-"],
        "assistant_actions": ["show", "hide"],
        "hiding_actions": ["hide"],
        "human_observations": ["likes tea", "likes coffee"],
        "human_actions": ["tea", "coffee"],
        "second_actions": ["serve tea", "serve coffee"],
        "states": [
            {
                "name": f"likes {drink}",
                "prior": "1/2",
                "assistant_sees": "-",
                "human_sees": {"*": f"likes {drink}"},
                "reward": {"*": {"tea": int(drink == "tea"), "coffee": int(drink == "coffee")}},
                "second_reward": {"serve tea": 2 * (drink == "tea"), "serve coffee": 2 * (drink == "coffee")},
            }
            for drink in ("tea", "coffee")
        ],
    },
    "sequential": _HEAD
    | {
        "kind": "sequential",
        "name": "Which door?",
        "comment": "By A's action, then H's; \"*\" for all others. 'sees' is what both see on arriving in the state.",
        "horizon": 3,
        "discount": 1,
        "assistant_actions": ["listen", "left", "right"],
        "human_actions": ["listen", "left", "right"],
        "assistant_observations": ["hear left", "hear right"],
        "human_observations": ["hear left", "hear right"],
        "states": [
            {
                "name": f"prize {here}",
                "prior": "1/2",
                "next": {
                    "*": {"*": {"prize left": "1/2", "prize right": "1/2"}},
                    "listen": {"*": {"prize left": "1/2", "prize right": "1/2"}, "listen": f"prize {here}"},
                },
                "sees": {
                    "*": {"*": _NOTHING},
                    "listen": {
                        "*": _NOTHING,
                        "listen": [
                            [f"hear {here}", f"hear {here}", "16/25"],
                            [f"hear {here}", f"hear {there}", "4/25"],
                            [f"hear {there}", f"hear {here}", "4/25"],
                            [f"hear {there}", f"hear {there}", "1/25"],
                        ],
                    },
                },
                "reward": {"*": {"*": -20}, "listen": {"*": -20, "listen": -1}, here: {"*": -20, here: 15}},
            }
            for here, there in (("left", "right"), ("right", "left"))
        ],
    },
    "matrix": _HEAD
    | {
        "kind": "matrix",
        "name": "Prisoner's dilemma",
        "comment": "payoffs[row][column] = [row player's, column player's].",
        "players": ["Row", "Column"],
        "actions": [["cooperate", "defect"], ["cooperate", "defect"]],
        "payoffs": [[[3, 3], [0, 5]], [[5, 0], [1, 1]]],
        "rounds": 1,
    },
}


def schema() -> dict[str, Any]:
    """The form of a game file as a JSON schema (draft 2020-12); that probabilities add up, only `assay game check` sees."""
    number = {"type": ["number", "string"], "description": 'a JSON number, or a text such as "1/3" or "0.25"'}
    name = {"type": "string", "minLength": 1}
    names = {"type": "array", "items": name, "minItems": 1, "uniqueItems": True}
    table = {"type": "object", "additionalProperties": number}
    law = {"anyOf": [name, table]}
    by_action = {"type": "object"}
    legal = {
        "type": "object",
        "properties": {side: {"type": "object", "additionalProperties": names} for side in ("assistant", "human")},
        "additionalProperties": False,
    }
    pairs = {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 2, "maxItems": 3}}
    remarks: dict[str, Any] = {"comment": {}, "source": {}}
    head = {"format": {"const": "assay-game/1"}, "name": name, **remarks}

    def messages(*directions: str) -> dict[str, Any]:
        words = {"type": "integer", "minimum": 1, "description": "free messages; 1 is silence"}
        return {"type": "object", "properties": dict.fromkeys(directions, words), "additionalProperties": False}

    def kind(
        called: str, fields: dict[str, Any], required: list[str], state: dict[str, Any] | None, needs: list[str]
    ) -> dict[str, Any]:
        properties = head | {"kind": {"const": called}} | fields
        if state is not None:
            item = {
                "type": "object",
                "properties": {"name": name, "prior": number, **remarks, **state},
                "required": ["name", "prior", *needs],
                "additionalProperties": False,
            }
            properties["states"] = {"type": "array", "minItems": 1, "items": item}
            required = [*required, "states"]
        return {
            "type": "object",
            "title": called,
            "properties": properties,
            "required": ["format", "kind", *required],
            "additionalProperties": False,
        }

    sides = ["assistant_observations", "assistant_actions", "human_observations", "human_actions"]
    stage = dict.fromkeys(sides, names) | {"hiding_actions": {"type": "array", "items": name}, "legal": legal}
    seen = {"assistant_sees": {"anyOf": [law, by_action]}, "human_sees": {"anyOf": [law, by_action]}, "reward": by_action}
    needs = ["assistant_sees", "human_sees", "reward"]
    kinds = [
        kind(
            "off-switch",
            {
                "human_observations": names,
                "assistant_observations": names,
                "waiting_cost": number,
                "legal": legal,
                "messages": messages("to_human", "to_assistant"),
            },
            ["human_observations", "assistant_observations"],
            {"act": number, "off": number, "waiting_cost": number, "sees": pairs},
            ["act", "sees"],
        ),
        kind(
            "assistance",
            stage | {"first": {"enum": ["assistant", "human"]}, "messages": messages("to_human", "to_assistant")},
            sides,
            seen,
            needs,
        ),
        kind(
            "two-stage-assistance",
            stage | {"second_actions": names, "messages": messages("to_assistant")},
            [*sides, "second_actions"],
            seen | {"second_reward": by_action},
            [*needs, "second_reward"],
        ),
        kind(
            "sequential",
            dict.fromkeys(sides, names) | {"horizon": {"type": "integer", "minimum": 1}, "discount": number},
            ["assistant_actions", "assistant_observations"],
            {"next": {}, "sees": {}, "reward": {}, "first": pairs},
            ["next", "sees", "reward"],
        ),
        kind(
            "matrix",
            {
                "players": names | {"minItems": 2, "maxItems": 2},
                "actions": {"type": "array", "items": names, "minItems": 2, "maxItems": 2},
                "payoffs": {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": number}}},
                "rounds": {"type": "integer", "minimum": 1},
            },
            ["actions", "payoffs"],
            None,
            [],
        ),
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A game for assay", "oneOf": kinds}
