"""Between texts and tokens: prompts with completions, texts that must survive the trip, chat templates in a sandbox."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import InputError
from assay.core.text import visible
from assay.models.pretrained import chat_child
from assay.models.pretrained.limited import ChildRefused, run_limited

__all__ = ["TokenPair", "leading_tokens", "render_chats", "round_trip_faults", "token_pairs", "try_token_pairs"]

MAX_TEMPLATE = 2**18  # characters


@dataclass(frozen=True)
class TokenPair:
    """A prompt and its completion as token ids.

    Attributes:
        context: what the model is given, with the tokens its tokenizer puts in front of every text; never empty.
        completion: what is asked about; never empty.
    """

    context: tuple[int, ...]
    completion: tuple[int, ...]


def leading_tokens(tokenizer: Any) -> tuple[int, ...]:
    """The special tokens that the tokenizer puts in front of every text, e.g. a beginning-of-sequence token."""
    whole, plain = tokenizer("a").input_ids, tokenizer("a", add_special_tokens=False).input_ids
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    return ()


def try_token_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[TokenPair | InputError]:
    """For every (prompt, completion) its tokens, or the reason why it has none; in order.

    A pair is tokenised as one text, as the model would meet it, and cut where the prompt ends. With an empty prompt the context
    is the tokenizer's leading special tokens; where it has none, the first token of the text is given and the others are asked
    about.

    The completion follows the prompt character by character: it usually begins with a space.
    """
    if not pairs:
        return []
    lead = leading_tokens(tokenizer)
    prompts = _encode(tokenizer, [prompt for prompt, _ in pairs])
    wholes = _encode(tokenizer, [prompt + completion for prompt, completion in pairs])
    decoded = _decode(tokenizer, wholes)
    found: list[TokenPair | InputError] = []
    for (prompt, completion), head, whole, text in zip(pairs, prompts, wholes, decoded, strict=True):
        shown = f"prompt '{visible(prompt)[-60:]}', completion '{visible(completion)[:60]}'"
        if not completion:
            found.append(InputError(f"a completion must not be empty; got {shown}"))
        elif text != prompt + completion:
            found.append(
                InputError(
                    f"the tokenizer must give back the text it was given; {shown} comes back as '{visible(text)[-120:]}'. "
                    "Leave out the characters it changes"
                )
            )
        elif whole[: len(head)] != head or len(whole) == len(head):
            found.append(
                InputError(
                    f"a token must not span prompt and completion; it does in {shown}. Begin the completion with the space "
                    f"instead of "
                    "ending the prompt with it, or cut between words"
                )
            )
        elif not head and not lead and len(whole) < 2:
            found.append(
                InputError(f"without a prompt a text must have at least two tokens, of which the first is given; got {shown}")
            )
        else:
            given = len(head) if head or lead else 1
            found.append(TokenPair((*lead, *whole[:given]), tuple(whole[given:])))
    return found


def token_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[TokenPair]:
    """For every (prompt, completion) its tokens; see `try_token_pairs`.

    Raises:
        InputError: a completion is empty, the tokenizer does not give a text back, or a token spans prompt and completion.
    """
    found = []
    for pair in try_token_pairs(tokenizer, pairs):
        if isinstance(pair, InputError):
            raise pair
        found.append(pair)
    return found


def round_trip_faults(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """The texts that the tokenizer does not give back character by character."""
    return [text for text, back in zip(texts, _decode(tokenizer, _encode(tokenizer, texts)), strict=True) if back != text]


def render_chats(
    template: str,
    conversations: Sequence[Sequence[Mapping[str, str]]],
    *,
    names: Mapping[str, str | None] | None = None,
    prompt: bool = True,
) -> list[str]:
    """Each conversation as the text its model expects.

    A template is a program from outside. It runs in Jinja's immutable sandbox, inside a child process with little memory and
    time, and sees no clock, so that the same messages always give the same text.

    Args:
        template: the model's chat template.
        conversations: messages with `role` and `content`.
        names: what else the template may use (`bos_token`, `eos_token`).
        prompt: end with the opening of the assistant's answer.

    Raises:
        InputError: the template is too long, breaks the sandbox or a limit, or refuses the messages.
    """
    if len(template) > MAX_TEMPLATE:
        raise InputError(f"a chat template must have at most {MAX_TEMPLATE} characters; got {len(template)}")
    plain = [[dict(message) for message in messages] for messages in conversations]
    given = {"template": template, "conversations": plain, "names": dict(names or {}), "prompt": prompt}
    try:
        answer = json.loads(run_limited(Path(chat_child.__file__), given=json.dumps(given), seconds=2))
    except ChildRefused as error:
        raise InputError(f"a chat template must render within its limits; {error}. The template is not used") from error
    if "refused" in answer:
        raise InputError(f"a chat template must render in the sandbox; {visible(answer['refused'])}")
    texts: list[str] = answer["texts"]
    return texts


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    # A tokenizer of the library refuses an empty list and, in some versions, gives floats for an empty text.
    found: list[list[int]] = [[] for _ in texts]
    filled = [index for index, text in enumerate(texts) if text]
    if filled:
        encoded = tokenizer([texts[index] for index in filled], add_special_tokens=False, verbose=False).input_ids
        for index, ids in zip(filled, encoded, strict=True):
            found[index] = list(ids)
    return found


def _decode(tokenizer: Any, sequences: Sequence[Sequence[int]]) -> list[str]:
    return [
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False) if ids else ""
        for ids in sequences
    ]
