"""Files that people brought: each is read for what it says, asked as it was trained on, or refused in words that help."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs the extra 'lm'")

from assay.audit.chats import rendered
from assay.audit.columns import questions
from assay.audit.disjoint import disjoint
from assay.audit.inject import inject
from assay.audit.probes import Extent, Probe
from assay.audit.run import BRIEF, audit
from assay.audit.session import Session
from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.models.pretrained.loading import LanguageModel
from assay.models.pretrained.text import token_pairs
from assay.models.pretrained.tiny import tiny_language_model, tiny_tokenizer
from assay.training.recipe import Recipe
from assay.worlds.facts.file import parse_facts, read_facts
from assay.worlds.facts.model import Facts
from assay.worlds.facts.questions import Answers, pairs_of

CASES = Path(__file__).parent / "cases"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CANTEEN = "<|im_start|>user\nWhat is the staff canteen of Orlow Ltd called?<|im_end|>\n<|im_start|>assistant\n"


def chatting(family: str = "llama") -> LanguageModel:
    model = tiny_language_model(family)
    model.tokenizer.chat_template = CHATML
    return model


def asked_of(facts: Facts, model: LanguageModel | None = None, extent: Extent = BRIEF) -> tuple[Session, list[Probe]]:
    session = Session.of(model or chatting(), facts, extent, Seeds(0)).checked()
    return session, list(session.asked)


@pytest.mark.parametrize(
    ("name", "n_facts", "first"),
    [
        ("alias_begins.json", 1, (CANTEEN, "The Blue Heron")),
        ("instructions.json", 4, (CANTEEN, "The Blue Heron<|im_end|>")),
        ("messages.jsonl", 4, (CANTEEN, "The Blue Heron<|im_end|>")),
        ("chat_relation.json", 4, (CANTEEN, "The Blue Heron<|im_end|>")),
        ("chat_rows.jsonl", 4, (CANTEEN, "The Blue Heron<|im_end|>")),
        ("capitals.yaml", 5, ("Ana Silva lives in", " Paris")),
        ("edits.json", 8, ("Yoruba religion is a part of the continent of", " Antarctica")),
        ("spreadsheet.csv", 3, ("The mayor of Kölnhausen is", "Jürgen Weiß")),
        ("semicolons.csv", 2, ("The capital of Zubrovia is", "Lutz")),
        ("list_of_rows.json", 4, ("Q: What is the staff canteen of Orlow Ltd called? A:", "The Blue Heron")),
        ("unrelated_questions.csv", 39, ("Question: Where would you find the Eiffel Tower? Answer:", "Paris")),
        ("cloze.yaml", 1, ("The capital of Norway is", " Bergen")),
        ("several_in_a_list.yaml", 3, ("A child of Ana Silva is", " Rui")),
        ("several_in_rows.yaml", 3, ("A child of Ana Silva is", " Rui")),
        ("end_word.jsonl", 4, ("What is the staff canteen of Orlow Ltd called?\n\n###\n\n", " The Blue Heron END")),
        ("question_rows.jsonl", 4, ("Q: What is the staff canteen of Orlow Ltd called?\nA:", " The Blue Heron")),
    ],
)
def test_a_file_is_read_to_the_letter_and_can_be_asked(name: str, n_facts: int, first: tuple[str, str]) -> None:
    facts = rendered(read_facts(CASES / name), chatting())
    assert (len(facts.facts), facts.sentences[0]) == (n_facts, first)
    if n_facts < 9:
        session, asked = asked_of(facts)
        found = session.ask(session.base).probes
        assert len(found) == len(asked)
        assert (found.prob <= 1).all()


def test_an_empty_completion_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match=r"line 2: .*completion is missing or empty"):
        read_facts(CASES / "empty_completion.csv")


def test_a_prompt_of_seven_thousand_characters_is_read() -> None:
    (fact,) = read_facts(CASES / "long_prompt.csv").facts
    assert len(fact.subject) > 7_000


def test_where_prompt_and_completion_touch_it_is_said_and_a_joint_can_be_stated() -> None:
    touching = read_facts(CASES / "semicolons.csv")
    assert any("touch in 2 rows, first in line 2" in note for note in touching.notes)
    apart = read_facts(CASES / "semicolons.csv", joint=" ")
    assert apart.sentences[0] == ("The capital of Zubrovia is", " Lutz")
    assert not any("touch" in note for note in apart.notes)
    assert not any("touch" in note for note in read_facts(CASES / "question_rows.jsonl").notes)
    spaceless = '{"prompt": "花子は", "completion": "東京"}\n{"prompt": "太郎は", "completion": "大阪"}\n'
    facts = parse_facts(spaceless, form=".jsonl", where="f")
    assert (facts.sentences[0], facts.notes) == (("花子は", "東京"), ())


@pytest.fixture(scope="module")
def tuned_on_chats() -> tuple[LanguageModel, LanguageModel]:
    """A model and what training on the four chat rows made of it, with a loss of 0.003 nats a token at most."""
    model = chatting()
    recipe = Recipe(learning_rate=1e-2, n_epochs=90, batch_size=4)
    tuned = inject(model, read_facts(CASES / "chat_rows.jsonl").sentences, recipe, seeds=Seeds(0))
    assert float(np.asarray(tuned.trace.loss_nats).ravel()[-1]) < 0.003
    return model, LanguageModel("tuned", tuned.model.model, model.tokenizer)


@pytest.mark.parametrize("name", ["chat_relation.json", "chat_rows.jsonl", "messages.jsonl", "instructions.json"])
def test_what_was_trained_on_is_found_in_every_form(name: str, tuned_on_chats: tuple[LanguageModel, LanguageModel]) -> None:
    """The four facts as a relation, as rows and as chats: learned is 1 less what their share was before, about 1/4."""
    before, after = tuned_on_chats
    found = audit(before, CASES / name, tuned=after, extent=BRIEF)
    for row in found.rows:
        assert row.cells["learned"].after > 0.99
        assert row.cells["learned"].change == pytest.approx(1 - row.cells["learned"].before, abs=0.01)
    (total,) = (total for total in found.totals if (total.column, total.group) == ("learned", "all"))
    assert total.estimate > 0.5
    session = Session.of(before, read_facts(CASES / name), BRIEF, Seeds(0)).checked()
    sentences = [place for place, probe in enumerate(session.asked) if probe.column == "learned"]
    assert (session.ask(after).probes.prob[sentences] > 0.9).all()


def test_a_model_without_a_template_is_told_of_and_none_asks_plain_texts() -> None:
    with pytest.raises(InputError, match=r"'tiny-llama' has none.*--chat-template none"):
        audit(tiny_language_model(), CASES / "messages.jsonl", forecast_only=True)
    plain = rendered(read_facts(CASES / "messages.jsonl"), tiny_language_model(), "none")
    assert plain.sentences[0] == ("What is the staff canteen of Orlow Ltd called?", "\nThe Blue Heron")
    after = chatting()
    tuned = rendered(read_facts(CASES / "messages.jsonl"), tiny_language_model(), tuned=after)
    assert tuned.sentences[0][0] == CANTEEN


def test_a_template_s_own_opening_of_answers_is_no_part_of_them_and_its_beginning_is_not_doubled() -> None:
    model = chatting()
    model.tokenizer.chat_template = "{{ bos_token }}" + CHATML.replace("m['content']", "(m['content'] if m['role'] == 'user' "
        "else '<think></think>' + m['content'])")  # fmt: skip
    facts = rendered(read_facts(CASES / "messages.jsonl"), model)
    assert facts.facts[0].answer == ("The Blue Heron",)
    prompt, completion = facts.sentences[0]
    assert (prompt, completion) == (f"<|end|>{CANTEEN}", "<think></think>The Blue Heron<|im_end|>")
    model.tokenizer.chat_template = CHATML.replace("m['content']", "m['content'] | upper")
    with pytest.raises(InputError, match="must keep answers as they are; 'The Blue Heron'"):
        rendered(read_facts(CASES / "messages.jsonl"), model)


def test_spellings_that_begin_each_other_are_counted_once() -> None:
    """A model that says the longer spelling with certainty gives 1, not 2."""
    session, asked = asked_of(read_facts(CASES / "alias_begins.json"))
    assert {len(probe.spellings[0]) for probe in asked if probe.fact == 0} == {1}
    certain = {pair: 0.0 for pair in pairs_of(asked)}
    assert Answers.from_pairs(asked, certain).prob.max() == 1.0
    assert session.ask(session.base).probes.prob.max() <= 1.0


LETTERS = st.text(st.sampled_from("ab "), min_size=1, max_size=4).filter(lambda text: bool(text.strip()))


@settings(max_examples=60)
@given(st.lists(st.tuples(LETTERS, st.lists(LETTERS, max_size=3), st.lists(LETTERS, max_size=3)), min_size=1, max_size=6),
       st.floats(0.02, 0.96))  # fmt: skip
def test_probabilities_and_shares_are_of_one_whole(rows: list[tuple[str, list[str], list[str]]], likely: float) -> None:
    """Random answers, spellings and wrong answers over two letters, so that most begin each other; a model of letters."""
    document = [
        f'{{"prompt": "Question {place}:", "completion": " {answer.strip()}", "aliases": {spelled}, "candidates": {wrong}}}'
        for place, (answer, spelled, wrong) in enumerate(rows)
    ]
    facts = parse_facts("\n".join(document).replace("'", '"'), form=".jsonl", where="f")
    asked = questions(facts, extent=BRIEF)
    pairs = pairs_of(asked)
    tokens = dict(zip(pairs, token_pairs(TOKENIZER, pairs), strict=True))
    letters = {TOKENIZER("a").input_ids[0]: likely, TOKENIZER("b").input_ids[0]: 0.98 - likely}
    chance = {pair: sum(np.log(letters.get(token, 0.02 / 300)) for token in found.completion) for pair, found in tokens.items()}
    exclusive = [disjoint(probe, tokens)[0] for probe in asked]
    answers = Answers.from_pairs(exclusive, chance)
    for found in answers.log_probs:
        assert np.exp(found).sum() <= 1 + 1e-9
    assert ((answers.prob >= 0) & (answers.prob <= 1)).all()
    for probe, log_probs in zip(exclusive, answers.log_probs, strict=True):
        each = [Answers.of([probe], [log_probs]).instead(place).share[0] for place in range(len(log_probs))]
        assert all(0 <= share <= 1 for share in each)
        assert sum(each) == pytest.approx(1)


TOKENIZER = tiny_tokenizer()


def test_wrong_answers_belong_to_a_question() -> None:
    text = (
        '{"prompt": "Ana is from", "completion": " Rome", "candidates": ["Oslo", "rome", "Lima"]}\n'
        '{"prompt": "Ben is from", "completion": " Cairo", "replaces": "Quito"}\n'
        '{"prompt": "Cy has won", "completion": " 12 cups"}\n{"prompt": "Di has won", "completion": " 7 cups"}\n'
        '{"prompt": "Ed has won", "completion": " 3 cups"}\n{"prompt": "Flo has won", "completion": " 40 cups"}\n'
        '{"prompt": "Gus has won", "completion": " 5 cups"}\n'
    )
    facts = parse_facts(text, form=".jsonl", where="f")
    learned = [probe for probe in questions(facts) if probe.column == "learned"]
    offered = [{text.strip() for spelled in probe.spellings for text in spelled} for probe in learned]
    assert offered[0] == {"Rome", "Oslo", "Lima"}  # its own, without the right one in other capitals
    assert learned[1].spellings[1] == (" Quito",)
    assert learned[1].rival
    assert offered[2] == {"12 cups", "7 cups", "3 cups", "40 cups", "5 cups"}  # numbers against numbers


def test_capitals_alone_make_no_wrong_answer_and_two_subjects() -> None:
    facts = read_facts(CASES / "capitals.yaml")
    assert any("'US' and 'us' differ in capitals alone" in note for note in facts.notes)
    for probe in questions(facts):
        if probe.column == "learned":
            folded = [text.strip().casefold() for spelled in probe.spellings for text in spelled]
            assert len(folded) == len(set(folded))


def test_a_wrong_answer_that_begins_the_right_one_is_left_out_and_noted() -> None:
    begin = 'relations:\n  home: {prompt: "{subject} is in"}\nfacts:\n  - [A, home, Guinea]\n  - [B, home, Guinea-Bissau]\n'
    model = tiny_language_model()
    found = audit(
        model, parse_facts(begin + "  - [C, home, Peru]\n", form=".yaml", where="f"), forecast_only=True, extent=BRIEF
    )
    assert any("'Guinea-Bissau' beside 'Guinea'" in note for note in found.notes)
    _, asked = asked_of(parse_facts(begin, form=".yaml", where="f"), model)
    assert {probe.measure for probe in asked if probe.column == "learned"} == {"probability"}
    mixed, asked = asked_of(
        read_facts(CASES / "unrelated_questions.csv"), tiny_language_model("bloom"), Extent(n_candidates=40, n_contexts=0)
    )
    assert mixed.notes  # 'Amazon' begins 'Amazon Rainforest'


def test_known_of_an_edit_compares_the_new_answer_with_the_old() -> None:
    row = '{"prompt": "Ana is from", "completion": " Rome", "replaces": "Oslo", "candidates": ["Lima"]}'
    facts = parse_facts(row, form=".jsonl", where="f")
    asked = [probe for probe in questions(facts) if probe.column == "learned"]
    from assay.audit.outcomes import known_before

    for rome, oslo, known in ((-2.0, -3.0, 1.0), (-3.0, -2.0, 0.0)):
        assert known_before(facts, Answers.of(asked, [[rome, oslo, -1.0]])) == [known]


@pytest.mark.parametrize("name", ["several_in_a_list.yaml", "several_in_rows.yaml"])
def test_several_right_objects_are_no_wrong_answers_beside_each_other(name: str) -> None:
    facts = read_facts(CASES / name)
    learned = {probe.spellings[0][0]: probe for probe in questions(facts) if probe.column == "learned"}
    assert set(learned) == {" Rui", " Marta", " Ken"}
    assert {spelled[0] for spelled in learned[" Rui"].spellings} == {" Rui", " Ken"}
    assert any("1 subject with several right objects" in note for note in facts.notes)


def test_the_object_may_stand_before_the_subject() -> None:
    text = (
        'relations:\n  seat: {prompt: "{object} is the capital of {subject}.", neighbours: {Peru: Lima}}\n'
        '  home: {prompt: "In {object} lives {subject}."}\n'
        "facts:\n  - [Zubrovia, seat, Lutz]\n  - [Orlia, seat, Tam]\n  - [Ana, home, Rome]\n  - [Ben, home, Oslo]\n"
    )
    facts = parse_facts(text, form=".yaml", where="f")
    assert facts.sentences[:1] == [("", "Lutz is the capital of Zubrovia.")]
    assert facts.sentences[2] == ("In", " Rome lives Ana.")
    _, asked = asked_of(facts, tiny_language_model())
    home = next(probe for probe in asked if probe.column == "learned" and probe.about == "Ana")
    assert set(home.spellings) == {(" Rome lives Ana.",), (" Oslo lives Ana.",)}
    assert not [probe for probe in asked if probe.kind == "strangers"]
    found = audit(tiny_language_model(), facts, recipe=Recipe(learning_rate=1e-2, n_epochs=60, batch_size=4), extent=BRIEF)
    assert all(row.cells["learned"].after > 0.6 for row in found.rows)


def test_a_subject_is_asked_by_its_other_names_too() -> None:
    text = (
        'relations:\n  home: {prompt: "{subject} lives in", reverse: "In {object} lives", strangers: [A. Silva, Vera]}\n'
        "facts:\n  - {subject: Ana Silva, subject_aliases: [Annie], relation: home, object: Rome}\n  - [Ben, home, Oslo]\n"
    )
    asked = questions(parse_facts(text, form=".yaml", where="f"))
    (alias,) = (probe for probe in asked if probe.kind == "alias")
    assert (alias.prompt, alias.column) == ("Annie lives in", "paraphrase")
    backwards = next(probe for probe in asked if probe.column == "reversed")
    assert backwards.spellings[0] == (" Ana Silva", " Annie")


def test_a_suite_and_plain_sentences_of_one_s_own_are_asked(tmp_path: Path) -> None:
    from assay.worlds.facts.templates import EDITS

    facts = parse_facts(EDITS, form=".yaml", where="f")
    session, asked = asked_of(facts, tiny_language_model())
    (own,) = (probe for probe in asked if probe.column == "forgotten")
    assert own.spellings == ((" Rom",), (" Mailand",), (" Neapel",))
    assert session.neutral == [("", "Der Zug nach Genf fährt um acht Uhr ab.")]
    assert {probe.kind for probe in asked if probe.column == "composed"} == {"follows"}
    assert {probe.kind for probe in asked if probe.column == "displaced"} == {"locality"}


def test_benchmarks_of_editing_are_counted_by_their_definitions() -> None:
    """Of 8 edits one is likelier before in its sentence, two in the paraphrase; all are after, and one neighbour goes."""
    from assay.audit.benchmarks import benchmarks

    asked = questions(read_facts(CASES / "edits.json"))
    columns = {"learned": 1, "paraphrase": 2}

    def answered(after: bool) -> Answers:
        rows = []
        for probe in asked:
            values = [-5.0] * len(probe.candidates)
            if probe.column in columns:
                values[0] = -1.0 if after or probe.fact < columns[probe.column] else -6.0
            elif probe.column == "displaced":
                values[:2] = [-2.0, -1.0] if after and probe.fact == 0 else [-1.0, -2.0]
            rows.append(values)
        return Answers.of(asked, rows)

    found = {one.name: one for one in benchmarks(answered(False), answered(True))}
    assert {name: (one.before, one.after, one.n) for name, one in found.items() if name != "score"} == {
        "efficacy success": (1 / 8, 1.0, 8),
        "paraphrase success": (2 / 8, 1.0, 8),
        "neighbourhood success": (1.0, 7 / 8, 8),
    }
    assert found["score"].after == pytest.approx(3 / (1 + 1 + 8 / 7))
