"""Chat rows in the form in which a model meets them: rendered with its own template, prompt and answer apart.

The template is a program from outside and runs in the sandbox of `assay.models.pretrained.text`. Forecast, training and
questions all see the rendered texts; markers behind the answer, as far as the one that ends it, belong to the completion.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast, get_args

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import leading_tokens
from assay.worlds.facts.model import Fact, Facts, Message, Relation, Template

__all__ = ["ChatTemplate", "chat_template_named", "cut_at_answers", "rendered", "with_template"]

ChatTemplate = Literal["none", "model"]
AT_ONCE = 256  # chats that one sandbox renders
MARK = "ANSWER4F1C"  # stands in for an answer, to see what a template puts around it
Chat = tuple[Message, ...]


def chat_template_named(name: str | None) -> ChatTemplate | None:
    """The way of rendering of that name; None for what fits the model.

    Raises:
        InputError: there is none.
    """
    if name is not None and name not in get_args(ChatTemplate):
        raise InputError(unknown_name("chat template", name, get_args(ChatTemplate), see="It is none or model"))
    return cast("ChatTemplate | None", name)


def rendered(
    facts: Facts, model: LanguageModel, template: ChatTemplate | None = None, *, tuned: LanguageModel | None = None
) -> Facts:
    """The facts with every chat in the form the model expects; facts that are no chats stay as they are.

    Args:
        facts: as read.
        model: whose tokenizer has the template.
        template: `model` for the model's own; `none` for the messages' texts line by line; None for the model's own, which it
            must then have.
        tuned: the model after, whose template is used if `model` has none.

    Raises:
        InputError: the model has no chat template, it cannot be rendered, or it changes an answer.
    """
    whole = (*facts.facts, *facts.suite)
    if not any(fact.chat for fact in whole):
        return facts
    if template == "none":
        made, note = [_plain(fact) for fact in whole], "Chats are asked without a template: their texts line by line."
    else:
        of = with_template(model, tuned)
        made = _in_template(whole, of, facts.name)
        note = f"Chats are rendered with the chat template of '{visible(of.name)}'."
    return replace(
        facts, facts=tuple(made[: len(facts.facts)]), suite=tuple(made[len(facts.facts) :]), notes=(*facts.notes, note)
    )


def with_template(model: LanguageModel, tuned: LanguageModel | None) -> LanguageModel:
    """The model whose chat template is used: the first of the two that has one.

    Raises:
        InputError: neither has.
    """
    for one in (model, tuned):
        if one is not None and isinstance(getattr(one.tokenizer, "chat_template", None), str):
            return one
    raise InputError(
        f"chats need a model with one chat template; '{visible(model.name)}' has none. Give the template to its tokenizer, or "
        "ask the texts as they stand: --chat-template none"
    )


def _plain(fact: Fact) -> Fact:
    """Messages line by line, the answer on a line of its own."""
    if not fact.chat:
        return fact
    before = "".join(f"{text}\n" for _, text in fact.chat[:-1])
    return _with_sentences(fact, [replace(one, before=f"{before}{one.before}", gap="\n") for one in _sentences(fact)])


def _in_template(facts: Sequence[Fact], model: LanguageModel, where: str) -> list[Fact]:
    """Every sentence of every chat, rendered with and without its answer."""
    asked: list[tuple[Chat, str]] = []
    for fact in facts:
        for one in _sentences(fact) if fact.chat else ():
            asked.append((_turned(fact.chat, one.before), fact.object))
    each = iter(cut_at_answers(asked, model, where))
    return [_with_sentences(fact, [next(each) for _ in _sentences(fact)]) if fact.chat else fact for fact in facts]


def cut_at_answers(asked: Sequence[tuple[Chat, str]], model: LanguageModel, where: str) -> list[Template]:
    """For every chat and its answer the rendered text around the answer: what stands before, what opens it, what follows it.

    Raises:
        InputError: the template cannot be rendered, or changes an answer.
    """
    opened = _rendered(model, [chat for chat, _ in asked], prompt=True)
    marked = _rendered(model, [(*chat, ("assistant", MARK)) for chat, _ in asked], prompt=False)
    closed = _rendered(model, [(*chat, ("assistant", answer)) for chat, answer in asked], prompt=False)
    lead = _lead(model)
    cut = []
    for start, with_mark, whole, (_, answer) in zip(opened, marked, closed, asked, strict=True):
        made = _cut(start, with_mark, lead)
        if (
            made is None
            or f"{lead if whole.startswith(lead) else ''}{made.before}{made.gap}{answer}"
            != whole[: len(whole) - len(whole.rpartition(answer)[2])]
        ):
            raise InputError(
                f"{visible(where)}: a chat template must keep answers as they are; '{visible(answer[:60])}' is not found in "
                "it. Ask the texts as they stand: --chat-template none"
            )
        cut.append(made)
    return cut


def _turned(chat: Chat, asked: str) -> Chat:
    """The chat with this as the last thing the user says."""
    last = max((place for place, (role, _) in enumerate(chat) if role == "user"), default=len(chat) - 1)
    return (*chat[:last], (chat[last][0], asked), *chat[last + 1 :])


def _rendered(model: LanguageModel, chats: Sequence[Chat], *, prompt: bool) -> list[str]:
    as_messages = [[{"role": role, "content": text} for role, text in chat] for chat in chats]
    return [
        text
        for start in range(0, len(as_messages), AT_ONCE)
        for text in model.chats(as_messages[start : start + AT_ONCE], prompt=prompt)
    ]


def _lead(model: LanguageModel) -> str:
    """The text of the tokens that the tokenizer puts in front by itself; a template often writes it out too."""
    tokens = leading_tokens(model.tokenizer)
    return str(model.tokenizer.decode(list(tokens), skip_special_tokens=False)) if tokens else ""


def _cut(opened: str, marked: str, lead: str) -> Template | None:
    """The chat cut where the answer begins: between prompt and answer is what the template opens every answer with."""
    place = marked.rfind(MARK)
    if place < 0:
        return None
    start = len(opened) if marked.startswith(opened) else place
    after = marked[place + len(MARK) :].rstrip()
    return Template(marked[:start].removeprefix(lead), marked[start:place], after, "")


def _sentences(fact: Fact) -> list[Template]:
    """All sentences of a chat: its own, its paraphrases, what must survive it and what follows from it."""
    assert fact.own is not None
    others = [one.sentence for one in (*fact.locality, *fact.follows)]
    return [fact.own.prompt, *fact.own.paraphrases, *others]


def _with_sentences(fact: Fact, made: Sequence[Template]) -> Fact:
    assert fact.own is not None
    own, rest = made[0], list(made[1:])
    paraphrases = tuple(rest.pop(0) for _ in fact.own.paraphrases)
    locality = tuple(replace(one, sentence=rest.pop(0)) for one in fact.locality)
    follows = tuple(replace(one, sentence=rest.pop(0)) for one in fact.follows)
    relation = Relation(fact.own.name, own, (own,), paraphrases)
    return replace(fact, own=relation, locality=locality, follows=follows, chat=())
