"""Texts and tokens: cut where the prompt ends, given back as they were; chat templates cannot get out or run on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.core.errors import InputError
from assay.models.pretrained.text import leading_tokens, render_chats, round_trip_faults, token_pairs, try_token_pairs
from assay.models.pretrained.tiny import tiny_language_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def with_beginning() -> object:
    import tokenizers

    made = tiny_tokenizer()
    made.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|end|> $A <|end|>", special_tokens=[("<|end|>", 0)]
    )
    return made


@settings(max_examples=60)
@given(st.text(max_size=12), st.text(min_size=1, max_size=12))
def test_any_text_is_cut_where_the_prompt_ends_or_refused(prompt: str, completion: str) -> None:
    (found,) = try_token_pairs(TOKENIZER, [(prompt, completion)])
    if isinstance(found, InputError):
        assert "must" in str(found)
        return
    assert TOKENIZER.decode(list(found.context + found.completion), clean_up_tokenization_spaces=False) == prompt + completion
    if prompt:
        assert TOKENIZER.decode(list(found.context), clean_up_tokenization_spaces=False) == prompt


def test_a_beginning_token_stands_before_every_context_and_an_ending_one_nowhere() -> None:
    tokenizer = with_beginning()
    assert leading_tokens(tokenizer) == (0,)
    assert leading_tokens(TOKENIZER) == ()
    plain, begun = token_pairs(TOKENIZER, [("Ana", " Paris")])[0], token_pairs(tokenizer, [("Ana", " Paris")])[0]
    assert begun.context == (0, *plain.context)
    assert begun.completion == plain.completion
    (unprompted,) = token_pairs(tokenizer, [("", " Paris")])
    assert (unprompted.context, unprompted.completion) == ((0,), plain.completion)


def test_without_a_beginning_token_the_first_token_of_a_text_is_given() -> None:
    (pair,) = token_pairs(TOKENIZER, [("", " Paris is")])
    assert len(pair.context) == 1
    assert TOKENIZER.decode(list(pair.context + pair.completion)) == " Paris is"


@pytest.mark.parametrize(
    ("prompt", "completion", "says"),
    [
        ("Ana", "", "must not be empty"),
        ("Ana lives in ", "Paris", "must not span"),
        ("", "!", "at least two tokens"),
    ],
)
def test_pairs_without_tokens_say_why(prompt: str, completion: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        token_pairs(TOKENIZER, [("Ana", " Paris"), (prompt, completion)])


def test_a_tokenizer_that_changes_texts_is_found_out() -> None:
    import tokenizers

    lossy = tiny_tokenizer()
    lossy.backend_tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    assert round_trip_faults(lossy, ["ana", "Ana", "ŁUK"]) == ["Ana", "ŁUK"]
    assert round_trip_faults(TOKENIZER, ["Ana", "محمد", " a  b\n", ""]) == []
    with pytest.raises(InputError, match="must give back the text"):
        token_pairs(lossy, [("Ana", " Paris")])


def test_messages_do_not_steer_a_terminal() -> None:
    with pytest.raises(InputError) as caught:
        token_pairs(TOKENIZER, [("\x1b[31m\u202e", "")])
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


# --- chat templates

TALK = [[{"role": "user", "content": "Who <b>is</b> it?"}]]


def test_a_template_renders_as_its_model_expects() -> None:
    template = (
        "{% for message in messages %}{{ bos_token }}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    names = {"bos_token": "^"}
    assert render_chats(template, TALK * 2, names=names) == ["^<|user|>Who <b>is</b> it?\n<|assistant|>"] * 2
    assert render_chats(template, TALK, names=names, prompt=False) == ["^<|user|>Who <b>is</b> it?\n"]
    assert render_chats("{% generation %}{{ messages | tojson }}{% endgeneration %}", [[]]) == ["[]"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
        "{{ messages.append(1) }}",
        "{% set x = messages[0].update({'a': 1}) %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**9 }}",
        "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% for a in range(10**9) %}{% endfor %}",
        "{{ raise_exception('no system messages') }}",
        "{% include 'other' %}",
        "{{ 1 / 0 }}",
        "{% if %}",
        "x" * (2**18 + 1),
    ],
    ids=lambda template: template[:30],
)
def test_a_hostile_template_is_refused(template: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(InputError, match="chat template"):
        render_chats(template, TALK)
    assert not (tmp_path / "canary").exists()  # type: ignore[operator]


def test_a_model_renders_its_own_template() -> None:
    model = tiny_language_model()
    with pytest.raises(InputError, match="has none"):
        model.chats(TALK)
    model.tokenizer.chat_template = "{{ bos_token }}{{ messages[0]['content'] }}"
    assert model.chats(TALK) == ["<|end|>Who <b>is</b> it?"]
