"""The second page of an audit: all of its questions, to sort, filter and search; self-contained, with one script of its own.

What a file or a model wrote is data in the page, and becomes text of a cell; nothing of it is ever markup or code. The page's
policy allows this one script, by its hash, and loads nothing.
"""

import base64
import hashlib
import json
import math
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from assay.audit.columns import column_named
from assay.audit.hits import reply
from assay.audit.outcomes import Outcome
from assay.audit.record import Audit, Spoken
from assay.core.text import visible
from assay.report.page import rendered

__all__ = ["MOST_QUESTIONS", "explore_page"]

MOST_QUESTIONS = 20_000  # on the page; the CSV has all


def explore_page(found: Audit, title: str) -> str:
    """The page as one HTML text: of many questions those that changed most."""
    script, script_hash = _script()
    spoken = {one.prompt: one for one in found.spoken}
    chosen = sorted(found.outcomes, key=_small)[:MOST_QUESTIONS]
    rows = [_row(found, one, spoken) for one in chosen]
    titles = list(dict.fromkeys(column_named(one.question.column).title for one in found.outcomes))
    return rendered(
        "explore.html.j2",
        title=title,
        columns=titles,
        shown=len(rows),
        hidden=len(found.outcomes) - len(rows),
        data=Markup(_inert(json.dumps(rows, ensure_ascii=False, allow_nan=False))),
        script=script,
        script_hash=script_hash,
    )


def _small(outcome: Outcome) -> float:
    """How little a question changed, in parts of what its column can change."""
    reach = column_named(outcome.question.column).reach
    return -abs(outcome.change) / (reach if math.isfinite(reach) else 10.0)


def _row(found: Audit, outcome: Outcome, spoken: dict[str, Spoken]) -> list[object]:
    """A question as the script reads it: texts, then numbers, then whether its change is for the worse, better or neither."""
    question, said = outcome.question, reply(outcome, spoken)
    column = column_named(question.column)
    fact = "" if question.fact < 0 else " · ".join((found.rows[question.fact].subject, found.rows[question.fact].object))
    flipped = int(round(outcome.right_before) != round(outcome.right_after))
    worse = column.losses or not column.wanted
    texts = (column.title, question.kind, fact, question.prompt, question.lesson[1].strip(), said.before, said.after)
    tone = 0 if not outcome.change else (-1 if worse == (outcome.change > 0) else 1)
    numbers = [round(value, 4) for value in (outcome.before, outcome.after, outcome.change)]
    return [*map(visible, texts), *numbers, flipped, tone, int(said.aloud)]


def _inert(text: str) -> str:
    """JSON in which no markup can begin."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _script() -> tuple[Markup, str]:
    """The script and the hash under which the page's policy allows it."""
    source, _, _ = PackageLoader("assay.report", "templates").get_source(Environment(autoescape=True), "explore.js")
    return Markup(source), f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
