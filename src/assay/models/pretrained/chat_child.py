"""Runs in a limited child: renders chat templates from models, which are programs, in Jinja's immutable sandbox.

Reads {template, conversations, names, prompt} as JSON on standard input and prints the rendered texts, or what went wrong.
"""

import json
import sys
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEXT = 2**20  # characters of one rendered conversation


class _Generation(Extension):
    """`{% generation %}` marks what the model wrote, for training masks; here its content is all that counts."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own attribute

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(message: object) -> NoReturn:
    raise TemplateError(str(message)[:500])


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _render(template: Any, values: dict[str, object]) -> str:
    parts, length = [], 0
    for part in template.generate(values):
        length += len(part)
        if length > MAX_TEXT:
            raise TemplateError(f"a conversation must render to at most {MAX_TEXT} characters")
        parts.append(part)
    return "".join(parts)


def _main() -> dict[str, object]:
    given = json.load(sys.stdin)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    try:
        template = environment.from_string(given["template"])
        base = {**given["names"], "add_generation_prompt": given["prompt"]}
        return {"texts": [_render(template, {**base, "messages": messages}) for messages in given["conversations"]]}
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        return {"refused": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main()))
