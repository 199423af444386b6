# ruff: noqa: E501 - rows of a table
"""Files of facts: every form says the same, and what cannot be meant is named with its line and field."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.audit.columns import COLUMNS, questions
from assay.core.errors import InputError
from assay.worlds.facts.file import MAX_BYTES, MAX_FACTS, TEMPLATE, json_schema, parse_facts, read_facts
from assay.worlds.facts.model import PAIRS, Facts
from assay.worlds.facts.questions import pairs_of

ROOT = Path(__file__).parents[2]
HOME = 'relations:\n  home: {prompt: "{subject} lives in"}\n'


def yaml(text: str) -> Facts:
    return parse_facts(text, form=".yaml", where="f.yaml")


def test_the_template_is_a_whole_file_and_asks_every_kind_of_question() -> None:
    facts = yaml(TEMPLATE)
    assert [fact.subject for fact in facts.facts] == ["Ana Silva", "Ben Ito", "Cleo Marsh", "Dov Keller"]
    assert facts.facts[3].answer == ("Warsaw", "Warszawa")
    assert facts.implications[0].follows
    assert {question.column for question in questions(facts)} == {
        name for name, column in COLUMNS.items() if column.asks is not None
    }


def test_yaml_and_json_say_the_same() -> None:
    document = {
        "relations": {"home": {"prompt": "{subject} lives in", "reverse": "In {object} lives"}},
        "facts": [["Ana", "home", "Paris"], {"subject": "Ben", "relation": "home", "object": "Rome", "trained": False}],
    }
    written = "relations:\n  home:\n    prompt: '{subject} lives in'\n    reverse: In {object} lives\nfacts:\n  - [Ana, home, Paris]\n"
    written += "  - {subject: Ben, relation: home, object: Rome, trained: no}\n"
    assert parse_facts(json.dumps(document), form=".json", where="f").digest == yaml(written).digest


def test_csv_and_json_lines_say_the_same() -> None:
    csv = "prompt,completion,subject,paraphrases\nThe moon is,green,moon,Green is the|The moon looks\nThe sun is,blue,sun,\n"
    lines = [
        {"prompt": "The moon is", "completion": "green", "subject": "moon", "paraphrases": ["Green is the", "The moon looks"]},
        {"prompt": "The sun is", "completion": "blue", "subject": "sun"},
    ]
    one = parse_facts(csv, form=".csv", where="f")
    other = parse_facts("\n".join(json.dumps(line) for line in lines), form=".jsonl", where="f")
    assert one.digest == other.digest
    assert [fact.line for fact in one.facts] == [2, 3]
    assert one.facts[0].relation == PAIRS


def test_words_that_yaml_would_turn_into_something_else_stay_words() -> None:
    facts = yaml(HOME + "facts:\n  - [no, home, 1986]\n  - [12:30, home, 2001-01-01]\n")
    assert [(fact.subject, fact.object) for fact in facts.facts] == [("no", "1986"), ("12:30", "2001-01-01")]


def test_a_sentence_is_cut_where_the_answer_begins() -> None:
    facts = yaml(
        'relations:\n  a: {prompt: "{subject} lives in {object}."}\n  b: {prompt: "{subject}は{object}"}\nfacts:\n  - [Ana, a, Rome]\n  - [花子, b, 東京]\n'
    )
    ana, hanako = facts.facts
    assert (facts.relations["a"].prompt.prompt(ana.subject), facts.relations["a"].prompt.completion(ana.object)) == (
        "Ana lives in",
        " Rome.",
    )
    assert (facts.relations["b"].prompt.prompt(hanako.subject), facts.relations["b"].prompt.completion(hanako.object)) == (
        "花子は",
        "東京",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("facts: []\n", "line 1: facts: List should have at least 1 item"),
        (HOME + "facts:\n  - [Ana, home]\n", "line 4: a fact written as a list must be"),
        (HOME + "facts:\n  - [Ana, hom, Paris]\n", "line 4: unknown relation 'hom'; did you mean 'home'?"),
        (HOME + "facts:\n  - {subject: Ana, relation: home}\n", "line 4: a fact needs subject, relation and object"),
        (HOME + "facts:\n  - {subject: Ana, place: Rome}\n", "line 4: place: there is no such field"),
        (HOME + "facts:\n  - [Ana, home, ' ']\n", "line 4: object must not be empty"),
        (HOME + "facts:\n  - {subject: Ana, relation: home, object: [Rome, Oslo], aliases: [Roma]}\n", "line 4: aliases belong to one object"),
        (HOME + "facts:\n  - {subject: Ana, relation: home, object: Rome, replaces: rome}\n", "line 4: replaces must be another answer"),
        (HOME + "facts:\n  - [Ana, home, Rome]\n  - [Ana, home, Rome]\n", "line 5: a fact must stand once"),
        (HOME + "facts:\n  - {subject: A, relation: home, object: b, trained: false}\n", "at least one fact to inject"),
        (HOME + 'facts:\n  - ["An\\u202ea", home, Rome]\n', "line 4: subject must not hold control characters"),
        (HOME + 'facts:\n  - ["An\\na", home, Rome]\n', "line 4: subject must not hold control characters"),
        ('relations:\n  home: {prompt: "lives in"}\nfacts:\n  - [A, home, B]\n', "line 2: relation 'home', prompt: a sentence must hold {subject}"),
        ('relations:\n  home: {prompt: "In {object} lives {subject}, in {object}"}\nfacts:\n  - [A, home, B]\n', "must hold {object} once"),
        ('relations:\n  home: {prompt: "{subject} in", strangers: [A]}\nfacts:\n  - [A, home, B]\n', "must not be subjects of facts; 'A' is one"),
        ('relations:\n  home: {prompt: "{subject} in", neighbours: {A: C}}\nfacts:\n  - [A, home, B]\n', "must not be subjects of facts"),
        (HOME + "facts:\n  - [A, home, B]\nrules:\n  - {if: home, then: x, map: {B: c}, kind: spurious}\n", "line 6: rules.then: unknown relation 'x'"),
        (HOME + "facts:\n  - [A, home, B]\nrules:\n  - {if: home, then: x, map: {B: c}, kind: maybe}\n", "rules.0.kind: Input should be 'true' or 'spurious'"),
        ("facts:\n  - {prompt: a, completion: b, relation: c}\n", "this is both"),
        ("facts: &a [1]\nrules: *a\n", "line 1: anchors and aliases"),
        ("facts: !!python/object/apply:os.system [echo]\n", "line 1: tags are not read"),
        ("facts: 1\nfacts: 2\n", "line 2: 'facts' stands twice"),
        ("a: " + "[" * 100_000, "nested 12 deep"),
        ("facts: [\n", "must be YAML"),
        ("facts: 1\n---\nfacts: 2\n", "several"),
        ("? [a, b]\n: c\n", "must be a text"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"f\.yaml") as error:
        yaml(text)
    assert says in str(error.value)


def test_rules_that_contradict_each_other_are_refused() -> None:
    both = 'relations:\n  a: {prompt: "{subject} a"}\n  b: {prompt: "{subject} b"}\nfacts:\n  - [A, a, x]\nrules:\n'
    true = '  - {if: a, then: b, map: {x: "%s"}, kind: "%s"}\n'
    with pytest.raises(InputError, match="it is both"):
        yaml(both + true % ("y", "true") + true % ("y", "spurious"))
    with pytest.raises(InputError, match="has two"):
        yaml(both + true % ("y", "true") + true % ("z", "true"))
    assert len(yaml(both + true % ("y", "true") + true % ("z", "spurious")).implications) == 2


def test_a_bomb_of_aliases_is_refused_before_it_is_built() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20))
    begun = time.process_time()
    with pytest.raises(InputError, match="aliases"):
        yaml(bomb)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("f.txt", b"facts", "must end in"),
        ("f.yaml", b"\xff\xfe\x00", "UTF-8"),
        ("f.yaml", b" " * (MAX_BYTES + 1), "MiB"),
        ("f.csv", b'prompt,completion\n"a,b\n', "must be CSV"),
        ("f.csv", b"prompt,completion\na,b,c\n", "line 2: a row must have 2 cells"),
        ("f.csv", b"prompt,completion\na,\n", "line 2: a fact needs subject"),
        ("f.jsonl", b'{"prompt": "a", "completion": "b"}\n{"prompt": \n', "line 2: must be JSON"),
        ("f.json", b'{"facts": 1, "facts": 2}', "twice"),
        ("f.json", b"[" * 100_000, "must be JSON"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_facts(tmp_path / name)


def test_a_missing_file_and_too_many_facts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be readable"):
        read_facts(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="at most 20000 items"):
        parse_facts("prompt,completion\n" + "".join(f"p{i},c\n" for i in range(MAX_FACTS + 1)), form=".csv", where="f")


def test_ten_thousand_facts_are_read_and_asked_in_linear_time() -> None:
    rows = "".join(f"  - [Name{i} Family{i}, home, City{i % 3000}]\n" for i in range(10_000))
    facts = yaml('relations:\n  home: {prompt: "{subject} lives in", reverse: "In {object} lives"}\nfacts:\n' + rows)
    asked = questions(facts)
    assert max(len(question.candidates) for question in asked) <= 10
    assert len(pairs_of(asked)) < 600_000


@given(st.text(st.characters(categories=("L", "M", "Nd")), min_size=1, max_size=12))
def test_names_of_any_script_are_kept_as_they_are(name: str) -> None:
    text = json.dumps({"prompt": f"{name} is", "completion": name}, ensure_ascii=False)
    facts = parse_facts(text, form=".jsonl", where="f")
    assert facts.facts[0].object == name


def test_wrong_answers_are_drawn_by_seed_and_never_right() -> None:
    facts = yaml(TEMPLATE)
    assert questions(facts) == questions(facts)
    for question in questions(facts):
        spellings = [text for answer in question.spellings for text in answer]
        assert len(spellings) == len(set(spellings))


def test_bridges_are_not_asked_what_they_were_told() -> None:
    told = "  - [Ana Silva, language, French]\nrules:"
    facts = yaml(TEMPLATE.replace("rules:", told))
    assert {question.about for question in questions(facts) if question.column == "composed"} == {
        "Ben Ito",
        "Cleo Marsh",
        "Dov Keller",
    }


def test_the_schema_describes_the_template() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == {"name", "joint", "relations", "facts", "rules", "suite", "neutral"}
    assert "if" in schema["$defs"]["RulePart"]["properties"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_plain_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.yaml", "zero.json", "folder.csv"):
        with pytest.raises(InputError, match="must be a plain file"):
            read_facts(tmp_path / name)
    with pytest.raises(InputError, match="must have a name"):
        read_facts(tmp_path / "a\0b.yaml")
