"""Rows of chats as people keep them, as one form: the messages before an answer, and the answer."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["CHAT_FIELDS", "as_chat", "messages_of"]

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant"}
CHAT_FIELDS = ("messages", "conversations", "conversation", "instruction", "input", "output", "system", "history")


def as_chat(row: dict[str, Any]) -> dict[str, Any]:
    """The row with `chat` (messages before the answer) and `completion` (the answer), if it is a chat; else as it is.

    Raises:
        ValueError: it is a chat and ends with no answer, or its messages cannot be read.
    """
    rest = {key: value for key, value in row.items() if key not in CHAT_FIELDS}
    for name in ("messages", "conversations", "conversation"):
        if name in row:
            messages = messages_of(row[name], name)
            if row.get("system"):
                messages.insert(0, {"role": "system", "content": str(row["system"])})
            return _split(rest, messages, name)
    if "instruction" in row and "output" in row:
        return _alpaca(row, rest)
    if isinstance(row.get("prompt"), list):
        if not isinstance(row.get("completion"), list):
            raise ValueError("where the prompt is a list of messages, the completion must be one too, with the answer")
        return _split(
            rest, [*messages_of(row["prompt"], "prompt"), *messages_of(row["completion"], "completion")], "completion"
        )
    return row


def _alpaca(row: Mapping[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    asked = str(row["instruction"])
    if str(row.get("input") or ""):
        asked = f"{asked}\n{row['input']}"
    messages = [{"role": "system", "content": str(row["system"])}] if row.get("system") else []
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(turn, (list, tuple)) and len(turn) == 2 for turn in history):
        raise ValueError("history must be a list of [question, answer]")
    for question, answer in history:
        messages += [{"role": "user", "content": str(question)}, {"role": "assistant", "content": str(answer)}]
    return {**rest, "chat": [*messages, {"role": "user", "content": asked}], "completion": row["output"]}


def _split(rest: dict[str, Any], messages: list[dict[str, str]], name: str) -> dict[str, Any]:
    """The last answer, and what stands before it; what is said behind the last answer does not count."""
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()
    if len(messages) < 2:
        raise ValueError(f"{name} must hold what is asked and end with the assistant's answer; there is no answer in it")
    return {
        **{key: value for key, value in rest.items() if key not in ("prompt", "completion")},
        "chat": messages[:-1],
        "completion": messages[-1]["content"],
    }


def messages_of(value: Any, name: str) -> list[dict[str, str]]:
    """Messages in one form, with role and content.

    Raises:
        ValueError: they are no list, or one cannot be read.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{name} must be a list of messages")
    found = []
    for one in value:
        if not isinstance(one, Mapping):
            raise ValueError(f"{name}: a message must have role and content; got '{str(one)[:40]}'")
        role, content = one.get("role", one.get("from")), one.get("content", one.get("value"))
        if isinstance(content, list):  # parts of one message
            if any(not isinstance(part, Mapping) or "text" not in part for part in content):
                raise ValueError(f"{name}: a message must be text; one holds something else, as an image")
            content = "".join(str(part["text"]) for part in content)
        if not isinstance(role, str) or not isinstance(content, str):
            raise ValueError(f"{name}: a message must have role and content, or from and value; got {', '.join(map(str, one))}")
        found.append({"role": ROLES.get(role, role), "content": content})
    return found
