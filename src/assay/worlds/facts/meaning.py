"""Whether a file of facts can be meant: nothing empty, nothing twice, no contradiction, names that can be shown."""

import unicodedata
from typing import NoReturn

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.worlds.facts.model import PAIRS, Answer, Facts, Relation, same_text

__all__ = ["check", "refuse"]


def refuse(where: str, must: str, do: str) -> NoReturn:
    """Raise the error of a facts file."""
    raise InputError(f"{where}: {must}. {do}")


def check(facts: Facts, where: str, rule_places: list[str]) -> None:
    """Holds what a single field cannot show.

    Raises:
        InputError: names the line, what stands there and what to do.
    """
    if not facts.trained:
        refuse(where, "a file must have at least one fact to inject; all of its facts say trained: false", "Let one be trained")
    for relation in facts.relations.values():
        _check_names(relation, where)
    _check_facts(facts, where)
    _check_others(facts, where)
    _check_rules(facts, where, rule_places)


def _check_facts(facts: Facts, where: str) -> None:
    first: dict[tuple[str, str], tuple[str, int]] = {}
    for number, fact in enumerate(facts.facts, 1):
        place = f"{where}, line {fact.line}" if fact.line else f"{where}, fact {number}"
        for kind, text in (("subject", fact.subject), *(("object", spelling) for spelling in fact.answer)):
            _check_name(text, kind, place)
        key, answer = (fact.relation, same_text(fact.subject)), same_text(fact.object)
        if fact.own is not None and fact.own.name == PAIRS:
            key = (PAIRS, same_text(fact.own.prompt.before))
        if key in first:
            said, line = first[key]
            earlier = f"line {line}" if line else "an earlier fact"
            name = visible(fact.subject[:60])
            if said == answer:
                refuse(
                    place,
                    f"a fact must stand once; '{name}' has the same one in {earlier}",
                    "Leave it out; a recipe sets how often facts are seen",
                )
            refuse(
                place,
                f"a subject must have one object in a relation; '{name}' has another in {earlier}",
                "Leave one out, or use two relations",
            )
        first[key] = (answer, fact.line)


def _check_others(facts: Facts, where: str) -> None:
    """Strangers and neighbours are others than the subjects of facts."""
    subjects = {(fact.relation, same_text(fact.subject)) for fact in facts.facts}
    for name, relation in facts.relations.items():
        for kind, others in (
            ("strangers", relation.strangers),
            ("neighbours", [subject for subject, _ in relation.neighbours]),
        ):
            for other in others:
                if (name, same_text(other)) in subjects:
                    refuse(
                        f"{where}: relation '{visible(name[:60])}', {kind}",
                        f"they must not be subjects of facts; '{visible(other[:60])}' is one",
                        "Leave the name out there",
                    )


def _check_rules(facts: Facts, where: str, places: list[str]) -> None:
    said: dict[tuple[str, str, str], tuple[bool, str]] = {}
    for rule, place in zip(facts.implications, places, strict=True):
        for side, name in (("if", rule.premise), ("then", rule.conclusion)):
            if name not in facts.relations or name == PAIRS:
                known = [key for key in facts.relations if key != PAIRS]
                see = f"This file has: {', '.join(known) or 'none'}"
                raise InputError(f"{where}{place}: rules.{side}: {unknown_name('relation', name, known, see=see)}")
        if rule.premise == rule.conclusion:
            refuse(f"{where}{place}", "a rule must lead from one relation to another; this one stays in one", "Name another")
        objects = {fact.object for fact in facts.facts if fact.relation == rule.premise}
        for key, value in rule.mapping.items():
            _check_name(value, "map", f"{where}{place}: rules.map")
            if key not in objects:
                see = f"Objects of '{visible(rule.premise[:60])}' are: {visible(', '.join(sorted(objects)[:8]))}"
                raise InputError(f"{where}{place}: rules.map: {unknown_name('object', visible(key[:60]), objects, see=see)}")
            earlier = said.setdefault((rule.premise, rule.conclusion, key), (rule.follows, value))
            if rule.follows and earlier[0] and earlier[1] != value:
                refuse(
                    f"{where}{place}", f"what truly follows must be one thing; '{visible(key[:60])}' has two", "Leave one out"
                )
            if earlier[1] == value and earlier[0] != rule.follows:
                refuse(
                    f"{where}{place}", f"a rule must be true or spurious; for '{visible(key[:60])}' it is both", "Leave one out"
                )


def _check_names(relation: Relation, where: str) -> None:
    place = f"{where}: relation '{visible(relation.name[:60])}'"
    answers: list[Answer] = [answer for _, answer in relation.neighbours]
    for kind, texts in (
        ("candidates", relation.candidates),
        ("strangers", relation.strangers),
        ("neighbours", [subject for subject, _ in relation.neighbours]),
        ("neighbours", [spelling for answer in answers for spelling in answer]),
    ):
        for text in texts:
            _check_name(text, kind, f"{place}, {kind}")


def _check_name(text: str, kind: str, place: str) -> None:
    if not text.strip():
        refuse(place, f"{kind} must not be empty", "Write it out, or leave the fact out")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") or visible(character) != character:
            refuse(
                place,
                f"{kind} must not hold control characters or marks that turn the reading direction; got '{visible(text[:60])}'",
                "Leave them out; right-to-left names need none",
            )
