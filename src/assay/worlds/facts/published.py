"""Files of other tools and published tests as documents of our own form.

    counterfact  Meng et al. 2022, arXiv:2202.05262: an edit, its paraphrases, prompts of its neighbourhood
    easyedit     rows of editing toolkits: prompt, target_new, ground_truth, rephrase_prompt, locality, portability
    zsre         questions with an edited answer (src, alt, answers, rephrase, loc, loc_ans)
    mquake       Zhong et al. 2023, arXiv:2305.14795: edits and what follows from them in several hops
    ripple       Cohen et al. 2023, arXiv:2307.12976: an edit, what follows from it, what must not change
    popqa        Mallen et al. 2022, arXiv:2212.10511: questions about entities
    tofu         Maini et al. 2024, arXiv:2401.06121: questions and answers about invented authors
    alpaca, sharegpt, messages   rows of chats

An edit is a bare prompt with its completion, `replaces` (the old answer), `locality` (what must survive) and `follows`.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.worlds.facts.chats import as_chat

__all__ = ["PUBLISHED", "converted", "recognised"]

Row = dict[str, Any]
LOCAL = ("Relation_Specificity", "Forgetfulness")
FOLLOWS = ("Logical_Generalization", "Compositionality_I", "Compositionality_II")


def recognised(document: Any, where: str) -> tuple[Any, tuple[str, ...]]:
    """The document in our own form, with a note, if its rows are those of another tool; else as it is.

    Raises:
        InputError: they are, and one lacks what it needs.
    """
    rows = document.get("facts") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict) or "relations" in document:
        return document, ()
    name = next((one for one, holds in _SIGNS.items() if holds(rows[0])), None)
    if name is None:
        return document, ()
    made, notes = converted(rows, name, where)
    return {**{key: value for key, value in document.items() if key != "facts"}, **made}, notes


def converted(rows: list[Any], name: str, where: str) -> tuple[Row, tuple[str, ...]]:
    """A document of our own form from rows of that name, and notes of how they were read.

    Raises:
        InputError: there is no such form, or a row lacks what it needs.
    """
    if name not in PUBLISHED:
        raise InputError(unknown_name("form", name, PUBLISHED, see=f"Forms are {', '.join(PUBLISHED)}"))
    facts: list[Row] = []
    seen: dict[str, None] = {}
    faults, twice = [], 0
    for number, row in enumerate(rows, 1):
        try:
            made = PUBLISHED[name](row)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            lacks = f"it lacks {error}" if isinstance(error, KeyError) else visible(str(error)[:120])
            faults.append(f"row {number}: {lacks}")
            continue
        for fact in made:
            key = json.dumps([fact.get("prompt"), fact.get("chat"), fact.get("completion")])
            twice += key in seen
            if key not in seen:
                facts.append(fact)
            seen[key] = None
    if faults:
        raise InputError(f"{where}: rows must be of the form '{name}'; {'; '.join(faults)}. Name another form, or mend them")
    notes = [f"Read as {name}: {len(rows)} rows, {len(facts)} facts."]
    if twice:
        notes.append(f"{twice} facts stood several times and are read once.")
    return {"facts": facts}, tuple(notes)


def _edit(
    prompt: str, new: str, old: list[str], *, subject: str | None = None, paraphrases: list[str] | None = None, **rest: Any
) -> Row:
    """A bare row of an edit; what is empty is left out."""
    given = {
        "subject": subject,
        "prompt": prompt,
        "completion": _following(prompt, new),
        "replaces": [text for text in dict.fromkeys(old) if text and text.strip() != new.strip()],
        "paraphrases": paraphrases or [],
        **rest,
    }
    return {key: value for key, value in given.items() if value}


def _following(prompt: str, answer: str) -> str:
    """The answer as it follows a prompt, with a blank where there is none."""
    return answer if prompt[-1:].isspace() or answer[:1].isspace() else f" {answer}"


def _texts(value: Any) -> list[str]:
    """Texts of a text, a list, or a list of lists, as toolkits write answers."""
    if value is None:
        return []
    if isinstance(value, (str, int, float)):
        return [str(value)] if str(value).strip() else []
    if isinstance(value, Mapping):
        return _texts(value.get("str", value.get("value")))
    return [text for one in value for text in _texts(one)]


def _first(value: Any, name: str) -> str:
    texts = _texts(value)
    if not texts:
        raise ValueError(f"{name} is empty")
    return texts[0]


def _question(prompt: str, answers: list[str], candidates: list[str] | None = None) -> Row:
    one: Row = {"prompt": prompt, "object": answers[0]}
    if answers[1:]:
        one["aliases"] = list(dict.fromkeys(answers[1:]))
    if candidates:
        one["candidates"] = candidates
    return one


def _counterfact(row: Row) -> list[Row]:
    rewrite = row["requested_rewrite"]
    new, old = _first(rewrite["target_new"], "target_new"), _first(rewrite["target_true"], "target_true")
    local = [_question(prompt, [old]) for prompt in _texts(row.get("neighborhood_prompts"))]
    return [
        _edit(
            rewrite["prompt"].replace("{}", rewrite["subject"]),
            new,
            [old],
            subject=rewrite["subject"],
            paraphrases=_texts(row.get("paraphrase_prompts")),
            kind=rewrite.get("relation_id"),
            locality=local,
        )
    ]


def _easyedit(row: Row) -> list[Row]:
    local = [_question(prompt, answers) for prompt, answers in _pairs(row.get("locality"))]
    if row.get("locality_prompt"):
        local.append(_question(row["locality_prompt"], [_first(row["locality_ground_truth"], "locality_ground_truth")]))
    follows, paraphrases = [], _texts(row.get("rephrase_prompt") or row.get("rephrase"))
    portable = row.get("portability")
    for name, part in portable.items() if isinstance(portable, Mapping) else ():
        for prompt, answers in _pairs({name: part}):
            if "alias" in name.casefold():
                paraphrases.append(prompt)
            else:
                follows.append(_question(prompt, answers))
    if row.get("portability_prompt"):
        follows.append(_question(row["portability_prompt"], [_first(row["portability_ground_truth"], "its ground truth")]))
    return [
        _edit(
            row["prompt"],
            _first(row["target_new"], "target_new"),
            _texts(row.get("ground_truth"))[:1],
            subject=row.get("subject"),
            paraphrases=paraphrases,
            kind=row.get("relation_id"),
            locality=local,
            follows=follows,
        )
    ]


def _pairs(parts: Any) -> list[tuple[str, list[str]]]:
    """Prompts with answers of {name: {prompt, ground_truth}} or {name: [{prompt, ground_truth}]}."""
    found = []
    for part in parts.values() if isinstance(parts, Mapping) else ():
        for one in part if isinstance(part, list) else [part]:
            prompts, answers = _texts(one["prompt"]), one["ground_truth"]
            each = answers if isinstance(answers, list) and len(prompts) > 1 else [answers]
            found += [
                (prompt, _texts(answer)) for prompt, answer in zip(prompts, each, strict=len(prompts) > 1) if _texts(answer)
            ]
    return found


def _zsre(row: Row) -> list[Row]:
    old = _texts(row.get("answers"))
    new = _texts(row.get("alt")) or old[:1]
    local = []
    if row.get("loc") and _texts(row.get("loc_ans")):
        asked = row["loc"].removeprefix("nq question: ").strip()
        local.append(_question(asked if asked.endswith("?") else f"{asked}?", _texts(row["loc_ans"])))
    return [
        _edit(
            row["src"],
            _first(new, "alt and answers"),
            old[:1],
            subject=row.get("subject"),
            paraphrases=_texts(row.get("rephrase")),
            locality=local,
        )
    ]


def _mquake(row: Row) -> list[Row]:
    made = []
    for place, rewrite in enumerate(row["requested_rewrite"]):
        follows = []
        if place == 0 and row.get("new_answer"):
            answers = [row["new_answer"], *_texts(row.get("new_answer_alias"))]
            old = [text for text in _texts(row.get("answer")) if text not in answers]
            follows = [_question(question, answers, old) for question in _texts(row.get("questions"))]
        made.append(
            _edit(
                rewrite["prompt"].replace("{}", rewrite["subject"]),
                _first(rewrite["target_new"], "target_new"),
                _texts(rewrite["target_true"]),
                subject=rewrite["subject"],
                paraphrases=_texts(rewrite.get("question")),
                kind=rewrite.get("relation_id"),
                follows=follows,
            )
        )
    return made


def _ripple(row: Row) -> list[Row]:
    edit = row["edit"]
    said, original = edit["prompt"].strip(), (edit.get("original_fact") or {}).get("prompt", "").strip()
    shared = _shared(said, original) if original else ""
    cut = shared.rfind(" ") if shared.strip() else said.rfind(" is ") + len(" is") if " is " in said else -1
    if cut <= 0:
        raise ValueError("the edit's answer is not told from its prompt")
    prompt, new = said[:cut], said[cut:].strip().rstrip(".")
    aliased = [asked for asked, _ in _queries(row, ("Subject_Aliasing",))]
    return [
        _edit(
            prompt,
            new,
            [original[cut:].strip().rstrip(".")] if shared.strip() else [],
            paraphrases=aliased,
            kind=edit.get("relation"),
            locality=[_question(asked, answers) for asked, answers in _queries(row, LOCAL)],
            follows=[_question(asked, answers) for asked, answers in _queries(row, FOLLOWS)],
        )
    ]


def _shared(one: str, other: str) -> str:
    """What both texts begin with."""
    length = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _queries(row: Row, names: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    found = []
    for name in names:
        for test in row.get(name) or ():
            for query in test["test_queries"]:
                answers = [text for one in query["answers"] for text in (one["value"], *_texts(one.get("aliases")))]
                if any(text.strip() for text in answers):
                    found.append((query["prompt"], [text for text in answers if text.strip()]))
    return found


def _popqa(row: Row) -> list[Row]:
    answers, names = row.get("possible_answers"), row.get("s_aliases")
    spelled = json.loads(answers) if isinstance(answers, str) else _texts(answers)
    also = json.loads(names) if isinstance(names, str) else _texts(names)
    asked = row.get("question") or f"What is the {row['prop']} of {row['subj']}?"
    one = {
        "subject": row["subj"],
        "subject_aliases": [text for text in also if text != row["subj"]],
        "prompt": f"Q: {asked} A:",
        "completion": f" {row['obj']}",
        "aliases": [text for text in spelled if text != row["obj"]],
        "kind": row["prop"],
    }
    return [{key: value for key, value in one.items() if value}]


def _tofu(row: Row) -> list[Row]:
    one = {
        "chat": [{"role": "user", "content": row["question"]}],
        "completion": row["answer"],
        "paraphrases": _texts(row.get("paraphrased_question")),
        "candidates": _texts(row.get("perturbed_answer")),
    }
    return [{key: value for key, value in one.items() if value}]


def _chat(row: Row) -> list[Row]:
    made = as_chat(row)
    if "chat" not in made:
        raise ValueError("there is no chat in it")
    return [{key: made[key] for key in ("chat", "completion", "paraphrases", "subject") if key in made}]


PUBLISHED: Mapping[str, Callable[[Row], list[Row]]] = MappingProxyType(
    {
        "counterfact": _counterfact,
        "easyedit": _easyedit,
        "zsre": _zsre,
        "mquake": _mquake,
        "ripple": _ripple,
        "popqa": _popqa,
        "tofu": _tofu,
        "alpaca": _chat,
        "sharegpt": _chat,
        "messages": _chat,
    }
)
"""What `assay facts convert --from` knows: from one of its rows to rows of ours."""

_SIGNS: Mapping[str, Callable[[Row], bool]] = {
    "counterfact": lambda row: isinstance(row.get("requested_rewrite"), Mapping),
    "mquake": lambda row: isinstance(row.get("requested_rewrite"), list),
    "ripple": lambda row: isinstance(row.get("edit"), Mapping),
    "zsre": lambda row: "src" in row and ("alt" in row or "answers" in row),
    "popqa": lambda row: {"subj", "prop", "obj"} <= set(row),
    "tofu": lambda row: (
        {"question", "answer"} <= set(row)
        and bool({"perturbed_answer", "paraphrased_question", "paraphrased_answer"} & set(row))
    ),
    "easyedit": lambda row: "target_new" in row and "prompt" in row,
}
