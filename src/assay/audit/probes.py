"""The questions of an audit: what is asked of a model before and after, for which fact, and what its answer would mean.

A question is a prompt with several possible answers, one of them in view. Its value is a number of the log-probabilities of
those answers, and a column of the audit is the change of such values; `columns` says which questions each column asks, and
`outcomes` what they count.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from assay.worlds.facts.model import Answer, Template
from assay.worlds.facts.questions import Question

__all__ = [
    "MODEL_WIDE",
    "Extent",
    "Measure",
    "Probe",
    "asked",
    "invented_people",
    "neutral_texts",
    "probe",
    "replay_texts",
    "shipped",
    "suite",
]

Measure = Literal["share", "probability", "log10", "nats"]
MODEL_WIDE = -1
"""The fact of questions that belong to no fact: the suite of what the model knew."""


@dataclass(frozen=True, kw_only=True)
class Probe(Question):
    """A question of an audit: which column it speaks of, for which fact, and what its value is.

    Its `kind` is the column's part (the sentence, a rule, strangers, neighbours, ...), its `about` the subject, a stranger, a
    neighbour or a context; its candidates come with all their spellings.

    Attributes:
        column: what a change of its value speaks of, by its name in `COLUMNS`.
        fact: index of the fact in the file; -1 for the suite.
        measure: `share` of the answer among the candidates, its `probability`, `log10` of it, or the `nats` a token that a
            plain text costs. Only a share looks at the candidates that are not in view.
        rival: whether the candidate behind the right one has a part of its own: the old answer of an edit, or, where something
            must survive a fact, that fact's object. Benchmarks of editing compare the two.
    """

    column: str
    fact: int
    measure: Measure
    rival: bool = False


@dataclass(frozen=True)
class Extent:
    """How much is asked; more costs time and narrows intervals over the model's answers.

    Attributes:
        n_candidates: answers of a question, the right one included.
        n_strangers: names per relation of which nothing is said.
        n_neighbours: true neighbours per relation.
        n_contexts: unrelated prompts per object.
        n_injected: injected objects of the whole file that are offered where something must survive.
        n_injected_locally: the same for what must survive one fact, beside that fact's own object.
        n_kept: neighbours per relation that are asked once against all of those.
        n_said: prompts that the models before and after continue in their own words, the likeliest at each step.
    """

    n_candidates: int = 10
    n_strangers: int = 6
    n_neighbours: int = 8
    n_contexts: int = 12
    n_injected: int = 32
    n_injected_locally: int = 8
    n_kept: int = 60
    n_said: int = 48


def asked(
    column: str,
    kind: str,
    fact: int,
    about: str,
    template: Template,
    answers: Sequence[Answer],
    *,
    given: str | None = None,
    rival: bool = False,
) -> Probe:
    """A question for the first of the answers, with its share among them; with its probability where it is the only one.

    The template is about `about`, or about what is `given` where that is another name.
    """
    name = about if given is None else given
    spelled = tuple(tuple(template.completion(spelling, name) for spelling in answer) for answer in answers)
    measure: Measure = "share" if len(spelled) > 1 else "probability"
    return probe(column, kind, fact, about, template.prompt(name), spelled, measure, rival=rival and len(spelled) > 1)


def probe(
    column: str,
    kind: str,
    fact: int,
    about: str,
    prompt: str,
    candidates: tuple[Answer, ...],
    measure: Measure,
    *,
    rival: bool = False,
) -> Probe:
    """A question for the first of the candidates, each with its spellings, behind this very prompt."""
    return Probe(prompt, candidates, 0, about, kind, column=column, fact=fact, measure=measure, rival=rival)


# What the package brings along


@dataclass(frozen=True)
class SuiteItem:
    """A real fact that a model may know: whom it is about, the prompt, the true answer first, then wrong ones."""

    subject: str
    prompt: str
    answers: tuple[str, ...]


def suite() -> tuple[SuiteItem, ...]:
    """Real facts asked before and after, with wrong answers of the same kind."""
    items = []
    for group in shipped()["suite"]:
        pool = [answer for _, answer in group["facts"]]
        for place, (subject, answer) in enumerate(group["facts"]):
            turned = [*pool[place + 1 :], *pool[:place]]
            wrong = [other for other in dict.fromkeys(turned) if other != answer][:9]
            items.append(SuiteItem(subject, group["prompt"].replace("{subject}", subject), (answer, *wrong)))
    return tuple(items)


def neutral_texts() -> tuple[str, ...]:
    """Plain sentences about nothing in particular, written for this package; measured and never trained on."""
    return tuple(shipped()["neutral"][::2])


def replay_texts() -> tuple[str, ...]:
    """Others of the kind, for mitigations to train on or to hold predictions on."""
    return tuple(shipped()["neutral"][1::2])


def invented_people() -> tuple[str, ...]:
    """Names for counter-examples; never asked about."""
    return tuple(shipped()["people"])


@cache
def shipped() -> dict[str, list]:  # type: ignore[type-arg]
    """The package's own texts by name: contexts, strangers, people, neutral sentences and the suite."""
    found: dict[str, list] = json.loads(files("assay.audit").joinpath("data/probes.json").read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return found
