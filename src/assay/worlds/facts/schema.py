"""What may stand in a file of facts, field by field, and what a misspelt field was meant to be."""

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from assay.worlds.facts.chats import as_chat

__all__ = ["MAX_FACTS", "Document", "FactPart", "OtherPart", "RelationPart", "RulePart", "json_schema", "meant_field"]

MAX_FACTS = 20_000

Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Long = Annotated[str, Field(min_length=1, max_length=200_000)]


def _listed(value: Any) -> Any:
    """A single text where several may stand."""
    return [value] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


Names = Annotated[list[Text], Field(max_length=200), BeforeValidator(_listed)]
Sentences = Annotated[list[Long], Field(max_length=200), BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class _Neighbour(_Part):
    subject: Text
    object: Text
    aliases: Names = []


def _neighbours(value: Any) -> Any:
    return [{"subject": key, "object": answer} for key, answer in value.items()] if isinstance(value, dict) else value


class OtherPart(_Part):
    """A question of a fact's own about something else, with its right answer."""

    prompt: Long
    object: Text
    aliases: Names = []
    candidates: Names = []

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, value: Any) -> Any:
        if isinstance(value, dict) and "completion" in value and "object" not in value:
            return {**{key: text for key, text in value.items() if key != "completion"}, "object": value["completion"]}
        return value


def _others(value: Any) -> Any:
    if isinstance(value, dict) and not {"prompt", "object", "completion"} & set(value):
        return [{"prompt": prompt, "object": answer} for prompt, answer in value.items()]
    return [value] if isinstance(value, dict) else value


Others = Annotated[list[OtherPart], Field(max_length=200), BeforeValidator(_others)]


class RelationPart(_Part):
    """How a relation is said. In sentences, {subject} and {object} stand for names."""

    prompt: Annotated[Long, Field(description="The sentence that is trained on and asked; holds {subject}.")]
    train: Annotated[Names, Field(description="Sentences that are trained on instead of the prompt.")] = []
    paraphrases: Annotated[Names, Field(description="The same in other words; asked, not trained on.")] = []
    reverse: Annotated[Text | None, Field(description="Holds {object}; asks for the subject.")] = None
    candidates: Annotated[Names, Field(description="Possible answers beside the objects of the facts.")] = []
    strangers: Annotated[Names, Field(description="Names of which nothing is said.")] = []
    neighbours: Annotated[
        list[_Neighbour],
        BeforeValidator(_neighbours),
        Field(max_length=2_000, description="Other subjects with true objects; also as a mapping."),
    ] = []
    contexts: Annotated[Names, Field(description="Prompts of the same theme, unrelated to every fact.")] = []
    stepping_stones: Annotated[Names, Field(description="Rewrites that make the object less surprising.")] = []


class _MessagePart(_Part):
    role: Text
    content: Long


class FactPart(_Part):
    """A subject, relation and object; a prompt with its completion, taken to the letter; or a chat that ends with an answer.

    A chat may also be written as `messages`, `conversations`, `instruction` with `input` and `output`, or as lists of messages
    in `prompt` and `completion`.
    """

    subject: Text | None = None
    subject_aliases: Annotated[Names, Field(description="Other names of the subject; asked, not trained on.")] = []
    relation: Text | None = None
    object: Annotated[
        list[Text], BeforeValidator(_listed), Field(max_length=200, description="Or several right objects, each injected.")
    ] = []
    aliases: Annotated[Names, Field(description="Other spellings that count as right.")] = []
    replaces: Annotated[Names, Field(description="The old answer of an edit, with its spellings; always offered.")] = []
    candidates: Annotated[Names, Field(description="Wrong answers of its own, offered instead of drawn ones.")] = []
    kind: Annotated[Text | None, Field(description="Bare prompts of one kind share their wrong answers.")] = None
    prompt: Annotated[Long | None, Field(description="Its own sentence; alone with a completion it needs no relation.")] = None
    completion: Annotated[Long | None, Field(description="What follows the prompt, blanks and all.")] = None
    chat: Annotated[list[_MessagePart], Field(max_length=200, description="Messages before the completion.")] = []
    paraphrases: Annotated[Sentences, Field(description="Asked, not trained on.")] = []
    locality: Annotated[Others, Field(description="Prompts with true answers that must survive this fact.")] = []
    follows: Annotated[Others, Field(description="Prompts with answers that truly follow from this fact.")] = []
    trained: Annotated[bool, Field(description="false: asked before and after, never trained on.")] = True

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, value: Any) -> Any:
        if isinstance(value, list):
            if len(value) != 3:
                raise ValueError(f"a fact written as a list must be [subject, relation, object]; got {len(value)} values")
            return dict(zip(("subject", "relation", "object"), value, strict=True))
        if isinstance(value, dict):
            return as_chat({key: one for key, one in value.items() if one is not None})
        return value


class RulePart(_Part):
    """If a subject has an object in one relation, then that answer in another."""

    premise: Annotated[Text, Field(alias="if")]
    conclusion: Annotated[Text, Field(alias="then")]
    map: Annotated[dict[str, Text], Field(min_length=1, max_length=2_000)]
    kind: Annotated[Literal["true", "spurious"], Field(description="true: it follows; spurious: it does not.")]

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {**value, "kind": "true"} if isinstance(value, dict) and value.get("kind") is True else value


class Document(_Part):
    """A file of facts for `assay audit`."""

    name: Text | None = None
    joint: Annotated[
        str | None, Field(max_length=20, description="What stands between prompt and completion where neither has a blank.")
    ] = None
    relations: dict[str, RelationPart] = {}
    facts: Annotated[list[FactPart], Field(min_length=1, max_length=MAX_FACTS)]
    rules: Annotated[list[RulePart], Field(max_length=1_000)] = []
    suite: Annotated[list[FactPart], Field(max_length=2_000, description="Facts to keep, instead of those of Assay.")] = []
    neutral: Annotated[
        list[Long], Field(max_length=2_000, description="Plain sentences to measure, instead of those of Assay.")
    ] = []


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a facts file in its YAML and JSON form (a fact may also be a list of three texts)."""
    schema = Document.model_json_schema()
    triple = {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3, "description": "A fact as a list."}
    schema["properties"]["facts"]["items"] = {"anyOf": [schema["properties"]["facts"]["items"], triple]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


# Misspelt fields

MEANT = {
    "question": "prompt",
    "query": "prompt",
    "text": "prompt",
    "answer": "completion",
    "answers": "completion",
    "response": "completion",
    "target": "completion",
    "label": "completion",
    "entity": "subject",
    "property": "relation",
    "predicate": "relation",
    "value": "object",
    "tail": "object",
    "head": "subject",
    "old": "replaces",
    "choices": "candidates",
    "options": "candidates",
    "distractors": "candidates",
    "keep": "suite",
}
"""What people call the fields of a fact elsewhere."""


def fields_of(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The fields that may stand where this path ends."""
    part: type[BaseModel] = Document
    if path[:1] == ("relations",) and len(path) > 2:
        part = _Neighbour if "neighbours" in path else RelationPart
    elif path[:1] in (("facts",), ("suite",)) and len(path) > 2:
        part = OtherPart if {"locality", "follows"} & set(path[:-1]) else FactPart
    elif path[:1] == ("rules",) and len(path) > 2:
        part = RulePart
    return tuple(field.alias or name for name, field in part.model_fields.items())


def meant_field(path: tuple[str | int, ...]) -> str:
    """What to say of a field that does not exist: the nearest that does, and all of them."""
    known, got = fields_of(path), str(path[-1])
    near = MEANT.get(got.strip().casefold(), "")
    if near not in known:
        near = next(iter(get_close_matches(got.strip().casefold(), known, n=1, cutoff=0.6)), "")
    hint = f"; did you mean '{near}'?" if near else "."
    return f"there is no such field{hint} Fields are {', '.join(known)}"
