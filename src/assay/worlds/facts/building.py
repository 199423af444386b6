"""From the fields of a file to facts: sentences cut, spellings gathered, several right objects as several facts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assay.core.errors import unknown_name
from assay.core.text import visible
from assay.worlds.facts.faults import Fault, Faults, refuse
from assay.worlds.facts.model import (
    PAIRS,
    Answer,
    Fact,
    Facts,
    Implication,
    Other,
    Relation,
    Template,
    same_answer,
)
from assay.worlds.facts.schema import FactPart, OtherPart, RelationPart, RulePart
from assay.worlds.facts.sentences import common_ending, literal, sentence, spaceless, touching

__all__ = ["Builder", "counted", "spellings"]


class Builder:
    """Makes facts of one file's fields; what cannot be meant is noted among its faults."""

    def __init__(self, joint: str | None, faults: Faults) -> None:
        self.joint, self.faults = joint, faults
        self.touching: list[int] = []
        self.relations: dict[str, Relation] = {}

    def relation(self, name: str, part: RelationPart, place: str) -> None:
        """Add a relation; each of its sentences may be at fault."""
        if name == PAIRS or not name.strip():
            self.faults.add(place, f"a relation must have a name that is not empty and not '{PAIRS}'. Name it otherwise")
        made: dict[str, tuple[Template, ...]] = {}
        for field in ("prompt", "train", "paraphrases", "reverse", "stepping_stones"):
            given = getattr(part, field)
            texts = [given] if isinstance(given, str) else given or []
            cut = []
            for text in texts:
                with self.faults.collected():
                    asked = "subject" if field == "reverse" else "object"
                    cut.append(sentence(text, f"{place}, {field}", asked=asked, joint=self.joint))  # type: ignore[arg-type]
            made[field] = tuple(cut)
        prompt = made["prompt"][0] if made["prompt"] else Template("{subject}", " ", "")
        self.relations[name] = Relation(
            name=name,
            prompt=prompt,
            train=made["train"] or (prompt,),
            paraphrases=made["paraphrases"],
            reverse=made["reverse"][0] if made["reverse"] else None,
            candidates=_distinct(part.candidates),
            strangers=_distinct(part.strangers),
            neighbours=tuple((one.subject.strip(), spellings(one.object, one.aliases)) for one in part.neighbours),
            contexts=tuple(text.rstrip() for text in part.contexts),
            stepping_stones=made["stepping_stones"],
        )

    def facts(self, part: FactPart, line: int, place: str) -> list[Fact]:
        """The facts of one row: one, or one for each of several right objects; none where it is at fault."""
        with self.faults.collected():
            if part.chat:
                return [self._chat(part, line, place)]
            if part.prompt is not None and part.completion is not None:
                return [self._bare(part, line, place)]
            return self._named(part, line, place)
        return []

    def rule(self, part: RulePart) -> Implication:
        """A rule; whether it can be meant shows beside the facts."""
        mapping = {key.strip(): value.strip() for key, value in part.map.items()}
        return Implication(part.premise, part.conclusion, mapping, part.kind == "true")

    def finished(self, facts: Sequence[Fact]) -> list[Fact]:
        """The facts, with the end markers that all bare completions share taken from their answers."""
        bare = [place for place, fact in enumerate(facts) if fact.relation == PAIRS and not fact.chat]
        marker = common_ending([facts[place].object for place in bare])
        found = list(facts)
        for place in bare if marker else ():
            fact = found[place]
            assert fact.own is not None
            answer = tuple(dict.fromkeys(text.removesuffix(marker) for text in fact.answer))
            own = replace(
                fact.own,
                prompt=_ended(fact.own.prompt, marker),
                train=tuple(_ended(one, marker) for one in fact.own.train),
                paraphrases=tuple(_ended(one, marker) for one in fact.own.paraphrases),
            )
            found[place] = replace(
                fact,
                answer=answer,
                own=own,
                replaces=tuple(text.removesuffix(marker) for text in fact.replaces),
                candidates=tuple(text.removesuffix(marker) for text in fact.candidates),
                locality=tuple(replace(one, sentence=_ended(one.sentence, marker)) for one in fact.locality),
                follows=tuple(replace(one, sentence=_ended(one.sentence, marker)) for one in fact.follows),
            )
        return found

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What a reader of the audit should know about how the file was read."""
        found = []
        if self.touching:
            first = f", first in line {self.touching[0]}" if self.touching[0] else ""
            found.append(
                f"Prompt and completion touch in {counted(len(self.touching), 'row')}{first}: they are asked as they stand, "
                "without a blank. "
                "If words are meant to be apart, begin completions with the blank or state joint: ' ' (--joint ' ')."
            )
        several: dict[tuple[str, str], set[str]] = {}
        for fact in facts.trained:
            key = fact.own.prompt.before if fact.relation == PAIRS and fact.own is not None else fact.subject
            several.setdefault((fact.relation, key), set()).add(fact.object)
        count = sum(len(objects) > 1 for objects in several.values())
        if count:
            found.append(
                f"{counted(count, 'subject')} with several right objects: none is offered as a wrong answer beside another."
            )
        folded: dict[str, set[str]] = {}
        for fact in facts.facts:
            folded.setdefault(fact.subject.casefold(), set()).add(fact.subject)
        odd = next((sorted(names) for names in folded.values() if len(names) > 1), None)
        if odd:
            found.append(
                f"'{visible(odd[0][:40])}' and '{visible(odd[1][:40])}' differ in capitals alone; they are two subjects."
            )
        return tuple(found)

    # ------------------------------------------------------------------------------------------------- the three forms

    def _chat(self, part: FactPart, line: int, place: str) -> Fact:
        """A chat: its sentences hold the last user's text until the model's template is known."""
        if part.relation or part.object:
            refuse(place, "a fact is a chat with its answer, or a relation with an object; this is both", "Leave one out")
        if part.completion is None or not part.completion.strip():
            refuse(place, "an answer must not be empty; this chat ends with none", "Write it out, or leave the row out")
        asked = next((one.content for one in reversed(part.chat) if one.role == "user"), part.chat[-1].content)
        own = Template(asked, "\n", "", "")
        fact = self._row(part, asked, own, spellings(part.completion or "", part.aliases), line, place)
        return replace(fact, chat=tuple((one.role, one.content) for one in part.chat))

    def _bare(self, part: FactPart, line: int, place: str) -> Fact:
        """A prompt with its completion, to the letter: the completion's blanks become the sentence's."""
        prompt, completion = part.prompt or "", part.completion or ""
        if part.relation is not None or part.object:
            refuse(place, "a fact is a prompt with a completion, or a relation with an object; this is both", "Leave one out")
        answer = completion.strip()
        if not answer:
            refuse(place, "completion must not be empty", "Write it out, or leave the row out")
        gap = completion[: len(completion) - len(completion.lstrip())]
        after = completion[len(gap) + len(answer) :]
        if not gap and not prompt[-1:].isspace():
            if self.joint is not None:
                gap = self.joint
            elif touching(prompt, completion):
                self.touching.append(line)
        own = Template(prompt, gap, after, "")
        return self._row(part, prompt, own, spellings(answer, part.aliases), line, place)

    def _row(self, part: FactPart, asked: str, own: Template, answer: Answer, line: int, place: str) -> Fact:
        like = own if own.gap or own.before[-1:].isspace() else replace(own, gap=_word_joint(own.before, self.joint))
        paraphrases = tuple(literal(text, own) for text in part.paraphrases)
        self._edit(part, answer, place)
        return Fact(
            subject=(part.subject or asked).strip(),
            relation=PAIRS,
            answer=answer,
            trained=part.trained,
            line=line,
            own=Relation(PAIRS, own, (own,), paraphrases),
            also=_distinct(part.subject_aliases),
            replaces=_distinct(part.replaces),
            candidates=_wrong(part.candidates, answer),
            locality=tuple(_other(one, like) for one in part.locality),
            follows=tuple(_other(one, like) for one in part.follows),
            kind=part.kind or "",
        )

    def _named(self, part: FactPart, line: int, place: str) -> list[Fact]:
        if part.subject is None or part.relation is None or not part.object:
            refuse(place, f"a fact needs subject, relation and object, or prompt and completion; {_missing(part)}", "Add it")
        if part.completion is not None:
            refuse(place, "a fact is a prompt with a completion, or a relation with an object; this is both", "Leave one out")
        name = part.relation or ""
        if name not in self.relations:
            raise Fault(place, unknown_name("relation", visible(name[:60]), self.relations, see=_see(self.relations)))
        if len(part.object) > 1 and part.aliases:
            refuse(place, "aliases belong to one object; this fact has several", "Write one fact for each object")
        relation = self.relations[name]
        own = None
        if part.prompt is not None or part.paraphrases:
            prompt = sentence(part.prompt, f"{place}, prompt", joint=self.joint) if part.prompt else relation.prompt
            texts = tuple(sentence(text, f"{place}, paraphrases", joint=self.joint) for text in part.paraphrases)
            train = (prompt,) if part.prompt else relation.train
            own = replace(relation, prompt=prompt, train=train, paraphrases=texts or relation.paraphrases)
        blank = Template("", _word_joint("", self.joint), relation.prompt.after if not relation.prompt.answer_first else "", "")
        made = []
        for text in part.object:
            answer = spellings(text, part.aliases)
            self._edit(part, answer, place)
            made.append(
                Fact(
                    subject=(part.subject or "").strip(),
                    relation=name,
                    answer=answer,
                    trained=part.trained,
                    line=line,
                    own=own,
                    also=_distinct(part.subject_aliases),
                    replaces=_distinct(part.replaces),
                    candidates=_wrong(part.candidates, answer),
                    locality=tuple(_other(one, blank) for one in part.locality),
                    follows=tuple(_other(one, blank) for one in part.follows),
                    kind=part.kind or "",
                )
            )
        return made

    def _edit(self, part: FactPart, answer: Answer, place: str) -> None:
        if part.replaces and same_answer(tuple(part.replaces), answer):
            shown = visible(part.replaces[0][:60])
            self.faults.add(place, f"replaces must be another answer than the new one; both are '{shown}'. Leave it out")


def counted(count: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def spellings(text: str, aliases: Sequence[str] = ()) -> Answer:
    """The spellings of one answer, the first first, none twice."""
    return tuple(dict.fromkeys(part.strip() for part in (text, *aliases)))


def _missing(part: FactPart) -> str:
    if part.prompt is not None and part.relation is None:
        return "completion is missing or empty"
    if part.completion is not None and part.relation is None:
        return "prompt is missing or empty"
    missing = [name for name in ("subject", "relation", "object") if not getattr(part, name)]
    return f"{missing[0]} is missing or empty"


def _see(relations: Mapping[str, Relation]) -> str:
    if relations:
        return f"This file has: {', '.join(relations)}"
    return 'It must be said how it is asked: in a file by relations, or by the option --prompt NAME="{subject} ..."'


def _other(part: OtherPart, like: Template) -> Other:
    cut = literal(part.prompt, like)
    return Other(cut, spellings(part.object, part.aliases), _wrong(part.candidates, spellings(part.object, part.aliases)))


def _word_joint(before: str, joint: str | None) -> str:
    return joint if joint is not None else "" if before and spaceless(before[-1]) else " "


def _wrong(candidates: Sequence[str], right: Answer) -> tuple[str, ...]:
    """Wrong answers without the right one, which choices of a test usually hold."""
    return tuple(text for text in _distinct(candidates) if not same_answer((text,), right))


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _ended(template: Template, marker: str) -> Template:
    return replace(template, after=f"{marker}{template.after}")
