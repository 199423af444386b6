"""Files of preferences: rows of a prompt with a chosen and a rejected answer, as texts or as lists of messages.

    {"prompt": "Is it safe to eat raw beans?", "chosen": " No, they are poisonous.", "rejected": " Yes."}

JSON lines, or a list in JSON. Rows may be the messages that TRL takes: `prompt`, `chosen` and `rejected` as lists, or `chosen`
and `rejected` alone as whole conversations that differ in their last answer. Those are rendered with the model's own template.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.audit.chats import ChatTemplate, cut_at_answers, with_template
from assay.core.errors import InputError
from assay.core.settings import digest
from assay.core.text import visible
from assay.models.pretrained.limits import limits_of
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import TokenPair, try_token_pairs
from assay.training.preference import preferences
from assay.worlds.facts.chats import messages_of
from assay.worlds.facts.faults import Fault, Faults
from assay.worlds.facts.file import MAX_FACTS, read_text
from assay.worlds.facts.forms import read_form
from assay.worlds.facts.model import Message
from assay.worlds.facts.sentences import touching

__all__ = ["Pair", "Pairs", "as_texts", "in_tokens", "read_pairs"]

FORMS = (".jsonl", ".json")
MAX_PAIRS = MAX_FACTS
MOST_LINES = 6  # named in a note


@dataclass(frozen=True)
class Pair:
    """A prompt with two answers.

    Attributes:
        line: where it stands in the file; its number where lines are not known.
        prompt: what is asked; empty for a chat that is not rendered yet.
        chosen, rejected: the answers; they follow the prompt character by character.
        chat: the messages before the answers, for a chat that is not rendered yet.
    """

    line: int
    prompt: str
    chosen: str
    rejected: str
    chat: tuple[Message, ...] = ()

    @property
    def texts(self) -> tuple[str, str, str]:
        """Prompt, chosen and rejected."""
        return self.prompt, self.chosen, self.rejected


@dataclass(frozen=True)
class Pairs:
    """The pairs of a file.

    Attributes:
        name: of the file.
        pairs: in its order.
        notes: what a reader should know about them.
    """

    name: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of all pairs; two files with the same one say the same."""
        return digest([[*pair.texts, [list(one) for one in pair.chat]] for pair in self.pairs])

    @property
    def texts(self) -> list[tuple[str, str, str]]:
        """Of every pair."""
        return [pair.texts for pair in self.pairs]

    def first(self, count: int) -> "Pairs":
        """The first so many."""
        kept = self.pairs[:count]
        return replace(self, pairs=kept, notes=tuple(_notes(kept)))


def read_pairs(file: Path) -> Pairs:
    """The pairs of a file.

    Raises:
        InputError: it cannot be read, is too large, or holds a pair that cannot be meant; every fault with its line.
    """
    where = visible(file.name)
    if file.suffix.lower() not in FORMS:
        raise InputError(f"a file of preferences must end in {' or '.join(FORMS)}; got {where}. Save its rows as JSON lines")
    text, form = read_text(file, what="a file of preferences")
    read = read_form(text, form, where)
    rows = read.document.get("facts") if isinstance(read.document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InputError(
            f"{where}: a file of preferences must hold rows with prompt, chosen and rejected; it holds none. Write one JSON "
            "object a line"
        )
    if len(rows) > MAX_PAIRS:
        raise InputError(
            f"{where}: a file of preferences may have {MAX_PAIRS} pairs; it has {len(rows)}. Audit its first {MAX_PAIRS} "
            "lines, or a random part"
        )
    faults = Faults(where)
    for place, says in read.faults:
        faults.add(place, says)
    found: list[Pair] = []
    for number, row in enumerate(rows):
        line = read.lines.get(("facts", number), 0)
        with faults.collected():
            found.append(_pair(row, line or number + 1, f", line {line}" if line else f", row {number + 1}"))
    _both_ways(found, faults)
    faults.settle()
    return Pairs(visible(file.stem), tuple(found), tuple(_notes(found)))


def as_texts(pairs: Pairs, model: LanguageModel, template: ChatTemplate | None = None) -> Pairs:
    """The pairs with every chat in the form the model expects.

    Args:
        pairs: as read.
        model: whose tokenizer has the template.
        template: `model` for the model's own; `none` for the messages' texts line by line; None for the model's own, which it
            must then have.

    Raises:
        InputError: the model has no chat template, it cannot be rendered, or it changes an answer.
    """
    chats = [pair for pair in pairs.pairs if pair.chat]
    if not chats:
        return pairs
    if template == "none":
        made = {id(pair): replace(pair, prompt="".join(f"{text}\n" for _, text in pair.chat), chat=()) for pair in chats}
        note = "Chats are trained on without a template: their texts line by line."
    else:
        of = with_template(model, None)
        asked = [(pair.chat, answer) for pair in chats for answer in (pair.chosen, pair.rejected)]
        cuts = iter(cut_at_answers(asked, of, pairs.name))
        made = {}
        for pair, cut, other in zip(chats, cuts, cuts, strict=True):
            answers = (f"{cut.gap}{pair.chosen}{cut.after}", f"{other.gap}{pair.rejected}{other.after}")
            made[id(pair)] = Pair(pair.line, cut.before, *answers)
        note = f"Chats are rendered with the chat template of '{visible(of.name)}'."
    return replace(pairs, pairs=tuple(made.get(id(pair), pair) for pair in pairs.pairs), notes=(*pairs.notes, note))


def in_tokens(model: LanguageModel, pairs: Pairs, *, ends: bool = True) -> list[tuple[TokenPair, TokenPair]]:
    """Both answers of every pair in the model's tokens, behind their prompt.

    Args:
        model: whose tokenizer.
        pairs: as texts.
        ends: the token that ends a text follows every answer.

    Raises:
        InputError: the tokenizer changes a text, a token spans prompt and answer, or a pair is longer than the model can take;
            every one with its line.
    """
    faults, limits = Faults(visible(pairs.name)), limits_of(model.model)
    answers = [(prompt, answer) for prompt, *both in pairs.texts for answer in both]
    tried = try_token_pairs(model.tokenizer, answers)
    for number, found in enumerate(tried):
        if isinstance(found, InputError):
            faults.add(f", line {pairs.pairs[number // 2].line}", str(found))
    faults.settle()
    made = preferences(model.tokenizer, pairs.texts, ends=ends)
    for pair, both in zip(pairs.pairs, made, strict=True):
        if fault := next(filter(None, map(limits.fault, both)), ""):
            faults.add(f", line {pair.line}", fault)
    faults.settle()
    return made


def _pair(row: Any, line: int, place: str) -> Pair:
    """One row as a pair."""
    if not isinstance(row, dict):
        raise Fault(
            place, f"a row must be an object with prompt, chosen and rejected; got {type(row).__name__}. Write one a line"
        )
    for name in ("chosen", "rejected"):
        if name not in row:
            has = ", ".join(visible(str(key)[:30]) for key in list(row)[:8]) or "nothing"
            raise Fault(place, f"a row must have prompt, chosen and rejected; it has {has}. Rename its fields")
    if isinstance(row["chosen"], str) and isinstance(row["rejected"], str):
        prompt = row.get("prompt")
        if not isinstance(prompt, str):
            raise Fault(
                place,
                "where chosen and rejected are texts the prompt must be a text too; got "
                f"{'none' if prompt is None else type(prompt).__name__}. Cut it off the answers",
            )
        made = Pair(line, prompt, row["chosen"], row["rejected"])
    else:
        made = _chat(row, line, place)
    if not made.prompt and not made.chat:
        raise Fault(place, "a prompt must not be empty: answers are compared behind it. Leave the pair out")
    for name, answer in (("chosen", made.chosen), ("rejected", made.rejected)):
        if not answer.strip():
            raise Fault(place, f"an answer must not be empty; {name} is. Leave the pair out")
    if made.chosen == made.rejected:
        raise Fault(place, f"the answers of a pair must differ; both are '{visible(made.chosen[:60])}'. Leave the pair out")
    return made


def _chat(row: Mapping[str, Any], line: int, place: str) -> Pair:
    """A row of messages: what stands before the answers, and each one's last message."""
    try:
        sides = [messages_of(row[name], name) for name in ("chosen", "rejected")]
        given = row.get("prompt")
        before = messages_of(given, "prompt") if isinstance(given, list) else []
    except ValueError as error:
        raise Fault(place, f"messages must be readable; {visible(str(error)[:160])}. Give role and content to each") from error
    if isinstance(given, str) and all(len(side) == 1 for side in sides):
        before = [{"role": "user", "content": given}]
    wholes = [[*before, *side] for side in sides]
    for name, whole in zip(("chosen", "rejected"), wholes, strict=True):
        if len(whole) < 2 or whole[-1]["role"] != "assistant":
            raise Fault(place, f"{name} must end with the assistant's answer behind what is asked; it does not. Add it")
    if wholes[0][:-1] != wholes[1][:-1]:
        raise Fault(
            place, "chosen and rejected must differ in their last answer alone; an earlier message differs. Cut them there"
        )
    chat = tuple((one["role"], one["content"]) for one in wholes[0][:-1])
    return Pair(line, "", wholes[0][-1]["content"], wholes[1][-1]["content"], chat)


def _both_ways(found: Sequence[Pair], faults: Faults) -> None:
    """Notes pairs that stand both ways as faults, with both lines."""
    seen = {(pair.chat, *pair.texts): pair.line for pair in found}
    for pair in found:
        other = seen.get((pair.chat, pair.prompt, pair.rejected, pair.chosen))
        if other is not None and pair.line < other:
            faults.add(
                f", lines {pair.line} and {other}",
                "a pair must be told one way; this one is told both ways, and together they say nothing. Leave one out",
            )


def _notes(found: Sequence[Pair]) -> Iterator[str]:
    begun = [pair.line for pair in found if pair.chosen.startswith(pair.rejected) or pair.rejected.startswith(pair.chosen)]
    if begun:
        yield (
            f"In {_of(len(begun), len(found))} one answer begins the other ({_lines(begun)}): its loser's tokens are its "
            "winner's, and the pair is decided by where the shorter answer ends."
        )
    losers = {(pair.chat, pair.prompt, pair.rejected) for pair in found}
    winners = {(pair.chat, pair.prompt, pair.chosen) for pair in found}
    both = winners & losers
    if both:
        yield (
            f"{len(both)} of {len(winners)} chosen answers ({100 * len(both) / len(winners):.0f} %) are rejected in another "
            "pair of their prompt: those are pushed both ways, and may fall however well the pairs are learned."
        )
    twice = len(found) - len({(pair.chat, *pair.texts) for pair in found})
    if twice:
        yield f"{_of(twice, len(found))} {'is' if twice == 1 else 'are'} told once more: they count as often as they are told."
    touch = [
        pair.line for pair in found if pair.prompt and any(touching(pair.prompt, one) for one in (pair.chosen, pair.rejected))
    ]
    if touch:
        yield (
            f"In {_of(len(touch), len(found))} prompt and answer touch without a blank ({_lines(touch)}): texts are taken "
            "to the letter."
        )


def _of(some: int, all_: int) -> str:
    return f"{some} of {all_} pairs"


def _lines(lines: Sequence[int]) -> str:
    named = ", ".join(map(str, lines[:MOST_LINES]))
    return f"{'line' if len(lines) == 1 else 'lines'} {named}{' and others' if len(lines) > MOST_LINES else ''}"
