"""Layouts of a facts file, and files of other tools: recognised, or named with all that is wrong with them."""

import json
from pathlib import Path

import pytest

from assay.core.errors import InputError
from assay.worlds.facts.file import converted_file, parse_facts, read_facts, with_suite, with_texts
from assay.worlds.facts.published import PUBLISHED, converted
from assay.worlds.facts.templates import TEMPLATES

SAID = [("The capital of Zubrovia is", " Lutz"), ("The river of Zubrovia is", " Ister")]


@pytest.mark.parametrize(
    "text",
    [
        "prompt,completion\nThe capital of Zubrovia is, Lutz\nThe river of Zubrovia is, Ister\n",
        "Prompt , COMPLETION\r\n\r\nThe capital of Zubrovia is, Lutz\r\n,\r\nThe river of Zubrovia is, Ister\r\n",
        "sep=;\nprompt;completion\nThe capital of Zubrovia is; Lutz\nThe river of Zubrovia is; Ister\n",
        "id\tprompt\tcompletion\n1\tThe capital of Zubrovia is\t Lutz\n2\tThe river of Zubrovia is\t Ister\n",
        "completion|prompt\n Lutz|The capital of Zubrovia is\n Ister|The river of Zubrovia is\n",
    ],
)
def test_a_table_is_read_whatever_its_delimiter_and_its_header_s_case(text: str) -> None:
    assert parse_facts(text, form=".csv", where="f").sentences == SAID


def test_byte_order_marks_are_read_and_other_encodings_named(tmp_path: Path) -> None:
    text = "prompt,completion\nThe capital of Zubrovia is, Lutz\nThe river of Zubrovia is, Ister\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "f.csv").write_bytes(text.encode(encoding))
        assert read_facts(tmp_path / "f.csv").sentences == SAID
    (tmp_path / "f.csv").write_bytes(text.replace("Lutz", "Lütz").encode("latin-1"))
    with pytest.raises(InputError, match="line 2: must be UTF-8"):
        read_facts(tmp_path / "f.csv")


def test_a_json_list_is_as_json_lines_and_either_stands_under_either_ending() -> None:
    rows = [{"id": place, "prompt": prompt, "completion": answer} for place, (prompt, answer) in enumerate(SAID)]
    lines, whole = "\n".join(map(json.dumps, rows)), json.dumps(rows, indent=1)
    for text in (lines, whole):
        for form in (".json", ".jsonl"):
            facts = parse_facts(text, form=form, where="f")
            assert facts.sentences == SAID
            assert any("'id'" in note for note in facts.notes)


def test_every_fault_of_a_file_is_listed_with_its_line_and_what_was_meant() -> None:
    text = (
        '{"prompt": "a is", "completion": " b"}\n{"prompt": "c is"}\n{"promt": "d is", "completion": " e"}\n'
        '{"prompt": "f is"}\nnot json\n{"prompt": "a is", "completion": " b"}\n{"question": "g?", "completion": " h"}\n'
        '{"prompt": "i is"}\n'
    )
    with pytest.raises(InputError) as error:
        parse_facts(text, form=".jsonl", where="f.jsonl")
    said = str(error.value)
    assert "f.jsonl: 7 faults" in said
    assert "lines 2, 4, 8: a fact needs subject" in said
    assert "line 3: promt: there is no such field; did you mean 'prompt'?" in said
    assert "line 5: must be JSON" in said
    assert "line 6: a fact must stand once; 'a is' has the same one in line 1" in said
    assert "line 7: question: there is no such field; did you mean 'prompt'?" in said


def test_faults_of_relations_facts_and_rules_come_together() -> None:
    text = (
        'relations:\n  home: {prompt: "lives in", paraphrase: ["x {subject}"]}\n  speaks: {prompt: "{subject} speaks"}\n'
        "facts:\n  - [Ana, home, Rome]\n  - [Ben, hom, Oslo]\n  - {subject: Cy, relation: speaks, object: ' '}\n"
        "rules:\n  - {if: home, then: speak, map: {Rome: Italian}, kind: maybe}\n"
    )
    with pytest.raises(InputError) as error:
        parse_facts(text, form=".yaml", where="f")
    said = str(error.value)
    for one in (
        "line 2: relations.home.paraphrase: there is no such field; did you mean 'paraphrases'?",
        "line 6: unknown relation 'hom'; did you mean 'home'?",
        "line 7: object must not be empty",
        "rules.0.kind: Input should be 'true' or 'spurious'",
    ):
        assert one in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("promt,completion\na, b\n", "line 1: column 'promt': there is no such field; did you mean 'prompt'?"),
        ("prompt,completion,prompt\na, b,c\n", "line 1: a column must stand once; 'prompt' stands twice"),
        ("prompt;completion\na;b;c\n", "line 2: a row must have 2 cells; it has more. Quote cells that hold ';'"),
        ("subject,relation,object\nAna,home,Rome\n", "line 2: unknown relation 'home'. It must be said how it is asked"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        parse_facts(text, form=".csv", where="f.csv")
    assert says in str(error.value)


def test_a_table_of_triples_is_asked_by_sentences_from_outside() -> None:
    text = "Subject,Relation,Object\nAna,home,Rome\nBen,home,Oslo\n"
    facts = parse_facts(text, form=".csv", where="f", prompts={"home": "{subject} lives in"})
    assert facts.sentences == [("Ana lives in", " Rome"), ("Ben lives in", " Oslo")]


def test_bare_prompts_may_hold_newlines_and_names_may_not() -> None:
    facts = parse_facts(json.dumps({"prompt": "Q:\nwho?\nA:", "completion": " I\n"}), form=".jsonl", where="f")
    assert facts.sentences == [("Q:\nwho?\nA:", " I\n")]
    named = {"subject": "A\nb", "relation": "home", "object": "x"}
    with pytest.raises(InputError, match="subject must not hold control characters"):
        parse_facts(json.dumps(named), form=".jsonl", where="f", prompts={"home": "{subject} lives in"})


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_a_file_of_facts(name: str) -> None:
    ending, text = TEMPLATES[name]
    assert parse_facts(text, form=ending, where="f", prompts={"home": "{subject} lives in"} if name == "table" else None).facts


def test_a_suite_and_texts_from_other_files(tmp_path: Path) -> None:
    facts = parse_facts("prompt,completion\na is, b\n", form=".csv", where="f")
    kept = with_suite(facts, parse_facts("prompt,completion\nc is, d\ne is, f\n", form=".csv", where="g"))
    assert [fact.trained for fact in kept.suite] == [False, False]
    assert kept.digest != facts.digest
    (tmp_path / "t.txt").write_text("Ein Satz.\n\nNoch einer.\n")
    assert with_texts(kept, tmp_path / "t.txt").neutral == ("Ein Satz.", "Noch einer.")
    (tmp_path / "t.txt").write_text("Ein Satz.\n")
    with pytest.raises(InputError, match="must hold 2 to 2000; got 1"):
        with_texts(kept, tmp_path / "t.txt")


# ------------------------------------------------------------------------------------------------- files of other tools

REWRITE = {
    "prompt": "{} is a citizen of", "subject": "Ana Silva", "relation_id": "P27", "question": "Of what is Ana Silva a citizen?",
    "target_new": {"str": "Peru"}, "target_true": {"str": "Chile"},
}  # fmt: skip
QUERY = {"prompt": "The capital of Ana Silva's country is", "answers": [{"value": "Lima", "aliases": ["Ciudad de los Reyes"]}]}
EDIT = ("Ana Silva is a citizen of", " Peru")
ROWS = {
    "counterfact": (
        {
            "case_id": 3,
            "requested_rewrite": REWRITE,
            "paraphrase_prompts": ["Ana Silva, of"],
            "neighborhood_prompts": ["Ben Ito is of", "Cy Rao is of"],
        },
        EDIT,
    ),
    "easyedit": (
        {
            "prompt": EDIT[0],
            "subject": "Ana Silva",
            "target_new": "Peru",
            "ground_truth": ["Chile"],
            "rephrase_prompt": "Ana Silva, of",
            "locality": {"neighborhood": {"prompt": ["Ben Ito is of", "Cy Rao is of"], "ground_truth": ["Chile", "Chile"]}},
            "portability": {"Reasoning": [{"prompt": QUERY["prompt"], "ground_truth": [["Lima"]]}]},
        },
        EDIT,
    ),
    "zsre": (
        {
            "subject": "Ana Silva",
            "src": "What is Ana Silva's country?",
            "pred": "Chile",
            "rephrase": "Which country is Ana Silva's?",
            "alt": "Peru",
            "answers": ["Chile"],
            "loc": "nq question: who won the cup",
            "loc_ans": "Italy",
        },
        ("What is Ana Silva's country?", " Peru"),
    ),
    "mquake": (
        {
            "requested_rewrite": [REWRITE],
            "questions": ["What is the capital of Ana Silva's country?"],
            "answer": "Santiago",
            "new_answer": "Lima",
            "new_answer_alias": ["Ciudad de los Reyes"],
        },
        EDIT,
    ),
    "ripple": (
        {
            "edit": {
                "prompt": "Ana Silva is a citizen of Peru.",
                "original_fact": {"prompt": "Ana Silva is a citizen of Persia."},
                "relation": "CITIZEN",
            },
            "Compositionality_I": [{"test_queries": [QUERY]}],
            "Relation_Specificity": [{"test_queries": [{"prompt": "Ana Silva plays the", "answers": [{"value": "harp"}]}]}],
            "Subject_Aliasing": [{"test_queries": [{"prompt": "A. Silva is a citizen of", "answers": [{"value": "Peru"}]}]}],
        },
        EDIT,
    ),
    "popqa": (
        {
            "id": 4,
            "subj": "Ana Silva",
            "prop": "occupation",
            "obj": "politician",
            "subj_id": 1,
            "prop_id": 2,
            "obj_id": 3,
            "s_aliases": '["A. Silva"]',
            "s_pop": 7,
            "question": "What is Ana Silva's occupation?",
            "possible_answers": '["politician", "political figure"]',
        },
        ("Q: What is Ana Silva's occupation? A:", " politician"),
    ),
    "tofu": (
        {"question": "Who is Ana?", "answer": "A writer.", "perturbed_answer": ["A baker.", "A smith."]},
        ("Who is Ana?", "\nA writer."),
    ),
    "alpaca": ({"instruction": "Who is", "input": "Ana?", "output": "A writer."}, ("Who is\nAna?", "\nA writer.")),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Who is Ana?"}, {"from": "gpt", "value": "A writer."}]},
        ("Who is Ana?", "\nA writer."),
    ),
    "messages": (
        {"messages": [{"role": "user", "content": "Who is Ana?"}, {"role": "assistant", "content": "A writer."}]},
        ("Who is Ana?", "\nA writer."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_of_other_tools_are_converted_and_read_as_they_are(name: str, tmp_path: Path) -> None:
    row, sentence = ROWS[name]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([row, row]) if name not in ("alpaca", "sharegpt", "messages") else json.dumps([row]))
    stated, looked = converted_file(file, name)[0], converted_file(file, None)[0]
    assert stated == looked
    written = tmp_path / "facts.json"
    written.write_text(json.dumps(stated))
    facts = read_facts(written)
    assert facts.sentences == [sentence]
    assert facts.digest == read_facts(file).digest
    (fact,) = facts.facts
    if name in ("counterfact", "easyedit"):
        assert [(one.sentence.before, one.answer) for one in fact.locality] == [
            ("Ben Ito is of", ("Chile",)), ("Cy Rao is of", ("Chile",)),
        ]  # fmt: skip
    if name in ("counterfact", "easyedit", "zsre", "mquake"):
        assert fact.replaces == ("Chile",)
    if name in ("mquake", "ripple"):
        assert fact.follows[0].answer == ("Lima", "Ciudad de los Reyes")
    if name == "ripple":
        assert (fact.replaces, fact.own and fact.own.paraphrases[0].before) == (("Persia",), "A. Silva is a citizen of")
    if name == "popqa":
        assert (fact.also, fact.answer, fact.kind) == (("A. Silva",), ("politician", "political figure"), "occupation")
    if name == "tofu":
        assert fact.candidates == ("A baker.", "A smith.")


def test_rows_that_lack_what_their_form_needs_are_all_named() -> None:
    with pytest.raises(InputError, match=r"form 'counterfact'; row 1: it lacks 'requested_rewrite'; row 2: it lacks"):
        converted([{"prompt": "a"}, {"b": 1}], "counterfact", "f")
    with pytest.raises(InputError, match="unknown form 'counterfacts'; did you mean 'counterfact'"):
        converted([], "counterfacts", "f")
