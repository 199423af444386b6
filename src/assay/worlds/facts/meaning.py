"""Whether a file of facts can be meant: nothing empty, nothing twice, no contradiction, names that can be shown."""

import unicodedata

from assay.core.errors import unknown_name
from assay.core.text import visible
from assay.worlds.facts.faults import Faults
from assay.worlds.facts.model import PAIRS, Answer, Fact, Facts, Relation, same_answer, same_name, same_text

__all__ = ["check", "place_of"]


def place_of(line: int, number: int, kind: str = "fact") -> str:
    """A row's place as it continues the file's name: its line, or its number where lines are not known."""
    return f", line {line}" if line else f", {kind} {number}"


def check(facts: Facts, faults: Faults, rule_places: list[str]) -> None:
    """Notes what a single field cannot show."""
    if not facts.trained:
        faults.add("", "a file must have at least one fact to inject; all of its facts say trained: false. Let one be trained")
    for relation in facts.relations.values():
        _check_names(relation, faults)
    _check_facts(facts, faults)
    _check_others(facts, faults)
    _check_rules(facts, faults, rule_places)


def _check_facts(facts: Facts, faults: Faults) -> None:
    first: dict[tuple[object, ...], list[Fact]] = {}
    for number, fact in enumerate(facts.facts, 1):
        place = place_of(fact.line, number)
        bare = fact.own is not None and fact.own.name == PAIRS
        assert fact.own is not None or not bare
        if bare and fact.own is not None:
            key: tuple[object, ...] = (PAIRS, fact.own.prompt.before, fact.chat)
        else:
            key = (fact.relation, same_name(fact.subject))
            names = (("subject", fact.subject), *(("object", text) for text in fact.answer))
            for kind, text in names:
                _check_name(text, kind, place, faults)
        for text in fact.also:
            _check_name(text, "subject_aliases", place, faults)
        for earlier in first.setdefault(key, []):
            # The same in other capitals may be a second spelling; the very same is a row twice.
            if earlier.object == fact.object and earlier.trained == fact.trained:
                where = f"line {earlier.line}" if earlier.line else "an earlier fact"
                faults.add(
                    place,
                    f"a fact must stand once; '{visible(fact.subject[:60])}' has the same one in {where}. "
                    "Leave it out; a recipe sets how often facts are seen",
                )
                break
            if same_answer(earlier.answer, fact.answer) and earlier.trained != fact.trained:
                faults.add(
                    place,
                    f"a fact is injected or must survive; '{visible(fact.subject[:60])}' has the same object in both ways. "
                    "Leave one out",
                )
                break
        first[key].append(fact)


def _check_others(facts: Facts, faults: Faults) -> None:
    """Strangers and neighbours are others than the subjects of facts."""
    subjects = {(fact.relation, same_text(name)) for fact in facts.facts for name in (fact.subject, *fact.also)}
    for name, relation in facts.relations.items():
        for kind, others in (
            ("strangers", relation.strangers),
            ("neighbours", [subject for subject, _ in relation.neighbours]),
        ):
            for other in others:
                if (name, same_text(other)) in subjects:
                    faults.add(
                        f": relation '{visible(name[:60])}', {kind}",
                        f"they must not be subjects of facts; '{visible(other[:60])}' is one. Leave the name out there",
                    )


def _check_rules(facts: Facts, faults: Faults, places: list[str]) -> None:
    said: dict[tuple[str, str, str], tuple[bool, str]] = {}
    for rule, place in zip(facts.implications, places, strict=True):
        sound = True
        for side, name in (("if", rule.premise), ("then", rule.conclusion)):
            if name not in facts.relations or name == PAIRS:
                known = [key for key in facts.relations if key != PAIRS]
                see = f"This file has: {', '.join(known) or 'none'}"
                faults.add(place, f"rules.{side}: {unknown_name('relation', name, known, see=see)}")
                sound = False
        if not sound:
            continue
        if rule.premise == rule.conclusion:
            faults.add(place, "a rule must lead from one relation to another; this one stays in one. Name another")
        objects = {fact.object for fact in facts.facts if fact.relation == rule.premise}
        for key, value in rule.mapping.items():
            _check_name(value, "map", f"{place}: rules.map", faults)
            if key not in objects:
                see = f"Objects of '{visible(rule.premise[:60])}' are: {visible(', '.join(sorted(objects)[:8]))}"
                faults.add(place, f"rules.map: {unknown_name('object', visible(key[:60]), objects, see=see)}")
            earlier = said.setdefault((rule.premise, rule.conclusion, key), (rule.follows, value))
            shown = visible(key[:60])
            if rule.follows and earlier[0] and earlier[1] != value:
                faults.add(place, f"what truly follows must be one thing; '{shown}' has two. Leave one out")
            if earlier[1] == value and earlier[0] != rule.follows:
                faults.add(place, f"a rule must be true or spurious; for '{shown}' it is both. Leave one out")


def _check_names(relation: Relation, faults: Faults) -> None:
    place = f": relation '{visible(relation.name[:60])}'"
    answers: list[Answer] = [answer for _, answer in relation.neighbours]
    for kind, texts in (
        ("candidates", relation.candidates),
        ("strangers", relation.strangers),
        ("neighbours", [subject for subject, _ in relation.neighbours]),
        ("neighbours", [spelling for answer in answers for spelling in answer]),
    ):
        for text in texts:
            _check_name(text, kind, f"{place}, {kind}", faults)


def _check_name(text: str, kind: str, place: str, faults: Faults) -> None:
    if not text.strip():
        faults.add(place, f"{kind} must not be empty. Write it out, or leave the fact out")
    elif any(unicodedata.category(one) in ("Cc", "Cs") or visible(one) != one for one in text):
        faults.add(
            place,
            f"{kind} must not hold control characters or marks that turn the reading direction; got '{visible(text[:60])}'. "
            "Leave them out; right-to-left names need none",
        )
