"""Passages in plain English that a language model is told, and how their facts are asked for. NumPy only.

They are drawn from an encyclopaedia about invented people, or read from a file in the form of the paper's own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.errors import InputError
from assay.core.seeds import Seeds
from assay.core.text import visible
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia

__all__ = ["LM_GROUPS", "N_FACTS", "Passages", "invented", "read_passages"]

LM_GROUPS = ("paraphrase", "duplicate", "never")
N_FACTS = 4  # of a passage, in as many sentences and two rows
RELATIONS = ("home", "craft", "instrument", "employer")
OTHERS = ("setting", "seat", "product")  # relations of which plain pages speak: what is told is in no page, as in the paper
N_TOLD = 6  # wordings that passages may use
ROW_WORDS = 18  # of a row of pages: about 32 tokens
Asked = tuple[str, str]


@dataclass(frozen=True)
class Passages:
    """What is told and asked; items come in blocks, one of each group of `LM_GROUPS`.

    Attributes:
        rows: of an item and an exposure the two texts that are told; none of an item that is never told.
        told: of an item, a subject, an exposure and a fact the prompt in the words told then.
        held: of an item, a subject and a fact the prompt in words that are never told.
        values: of an item and a fact what follows.
        dealt: the same of another item.
        plain: texts about other things.
    """

    rows: tuple[tuple[tuple[str, ...], ...], ...]
    told: tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]
    held: tuple[tuple[tuple[str, ...], ...], ...]
    values: tuple[tuple[str, ...], ...]
    dealt: tuple[tuple[str, ...], ...]
    plain: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


def invented(n_blocks: int, n_exposures: int, n_plain: int, seeds: Seeds) -> Passages:
    """Passages about people of an invented encyclopaedia, and its pages about works and firms as plain text.

    Subjects of an item are its own person, the one of its block that is never told, and that of the next block.
    """
    n_items = len(LM_GROUPS) * n_blocks
    design = Design(max(80, 6 * n_items), RELATIONS + OTHERS, n_held_out=0, surnames_shared_by=1, n_aliases=0, shared_names=0.0)
    world = Encyclopaedia.drawn(design, rng=seeds("world"))
    rng = seeds("items")
    people = rng.permutation([i for i, one in enumerate(world.entities) if one.kind == "person"])[:n_items]
    number = {(fact.subject, fact.relation): i for i, fact in enumerate(world.facts)}
    facts = [[number[int(person), relation] for relation in RELATIONS] for person in people]
    present = np.array([fact.relation in OTHERS for fact in world.facts])
    pages = Pages(n_plain, ROW_WORDS, forms=(1, 0, 1, 1, 0))
    tellings = np.where(present, max(1, round(n_plain / present.sum())), 0)
    corpus = Corpus.written(world, tellings, pages, rng=seeds("pages"), absent=people)
    rows, told, held = list[Any](), list[Any](), list[Any]()
    for item, own in enumerate(facts):
        group, block = divmod(item, n_blocks)
        untold = (len(LM_GROUPS) - 1) * n_blocks
        subjects = (item, untold + block, untold + (block + 1) % n_blocks)
        wordings = [rng.permutation(world.wordings_of(relation))[: N_TOLD + 1].tolist() for relation in RELATIONS]
        repeated = LM_GROUPS[group] != "paraphrase"
        words = [[some[0 if repeated else this % N_TOLD] for some in wordings] for this in range(n_exposures)]
        rows.append(() if LM_GROUPS[group] == "never" else tuple(_rows(world, own, some, rng, repeated) for some in words))
        names = [world.entities[int(people[who])].name for who in subjects]

        def prompts(
            chosen: Sequence[int], own: Sequence[int] = own, names: Sequence[tuple[int, ...]] = names
        ) -> list[tuple[str, ...]]:
            return [
                tuple(world.english(world.prompt(fact, word, subject=name)) for fact, word in zip(own, chosen, strict=True))
                for name in names
            ]

        asked = [prompts(some) for some in words]
        told.append(tuple(tuple(one[who] for one in asked) for who in range(len(subjects))))
        held.append(tuple(prompts([some[N_TOLD] for some in wordings])))
    values = [[_value(world, fact) for fact in own] for own in facts]
    return Passages(
        tuple(rows), tuple(told), tuple(held), tuple(map(tuple, values)), _dealt(values, 2 * n_blocks, rng), corpus.texts
    )


def read_passages(path: Path, n_blocks: int, n_exposures: int, plain: Sequence[str], seeds: Seeds) -> Passages:
    """Passages of a file in the form of the paper's: JSON objects with `mem_input`, `mem_target`, `gen_input` and `gen_target`.

    Told are an item's first sentences in the words of `mem_input`, and `duplicate` and `paraphrase` differ in nothing: the
    file's paraphrases are of whole passages. Asked in other words is `gen_input`. What takes the place of another subject is
    the prompt of a passage that is never told, which has other words as well.

    Raises:
        InputError: the file cannot be read, or has too few passages with probes.
    """
    needed = len(LM_GROUPS) * n_blocks
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"passages must be a JSON file; {path}: {error}. Name the file of the paper's repository") from error
    if not isinstance(found, list) or len(found) < needed:
        n = len(found) if isinstance(found, list) else "no list"
        raise InputError(
            f"{path.name} must be a list of at least {needed} passages; got {n}. Take a longer file, or fewer blocks"
        )
    order = seeds("passages").permutation(len(found))[:needed].tolist()
    probes = [_probes(found[i], i, path.name) for i in order]
    rows, told, held = list[Any](), list[Any](), list[Any]()
    untold = (len(LM_GROUPS) - 1) * n_blocks
    for item, (sentences, _, _, _) in enumerate(probes):
        group, block = divmod(item, n_blocks)
        subjects = (item, untold + block, untold + (block + 1) % n_blocks)
        passage = (" ".join(sentences[: N_FACTS // 2]), " ".join(sentences[N_FACTS // 2 :]))
        rows.append(() if LM_GROUPS[group] == "never" else (passage,) * n_exposures)
        told.append(tuple((probes[who][1],) * n_exposures for who in subjects))
        held.append(tuple(probes[who][2] for who in subjects))
    values = [list(targets) for _, _, _, targets in probes]
    return Passages(
        tuple(rows), tuple(told), tuple(held), tuple(map(tuple, values)), _dealt(values, untold, seeds("dealt")), tuple(plain)
    )


def _probes(entry: object, number: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Sentences, prompts in their words, prompts in others, and what follows both."""
    fields = ("mem_input", "mem_target", "gen_input", "gen_target")
    lists = [entry.get(field) if isinstance(entry, dict) else None for field in fields]
    for field, found in zip(fields, lists, strict=True):
        if (
            not isinstance(found, list)
            or len(found) < N_FACTS
            or not all(isinstance(one, str) and one.strip() for one in found)
        ):
            raise InputError(
                f"{name}, passage {number}: '{field}' must be a list of at least {N_FACTS} texts; got "
                f"'{visible(str(found)[:60])}'. A passage without probes cannot be asked for: leave it out"
            )
    said, target, other, other_target = ([str(one).strip() for one in found[:N_FACTS]] for found in lists if found is not None)
    for a, b in zip(target, other_target, strict=True):
        if a != b:
            raise InputError(
                f"{name}, passage {number}: both wordings must ask for the same; got '{visible(a)}' and '{visible(b)}'"
            )
    sentences = tuple(f"{a} {b}." for a, b in zip(said, target, strict=True))
    return sentences, tuple(said), tuple(other), tuple(f" {one}" for one in target)


def _rows(
    world: Encyclopaedia, facts: Sequence[int], words: Sequence[int], rng: np.random.Generator, repeated: bool
) -> tuple[str, ...]:
    """Two rows of two sentences each, in an order of their own unless they are repeated."""
    order = range(len(facts)) if repeated else rng.permutation(len(facts)).tolist()
    sentences = [world.sentence(facts[i], words[i]) for i in order]
    half = len(sentences) // 2
    return tuple(
        world.english([token for sentence in some for token in sentence]) for some in (sentences[:half], sentences[half:])
    )


def _value(world: Encyclopaedia, fact: int) -> str:
    """The value as it stands in a sentence, with the space before it."""
    word = int(world.wordings_of(world.facts[fact].relation)[0])
    return world.english(world.sentence(fact, word))[len(world.english(world.prompt(fact, word))) : -1]


def _dealt(
    values: Sequence[Sequence[str]], n_told: int, rng: np.random.Generator, tries: int = 200
) -> tuple[tuple[str, ...], ...]:
    """Values of told items dealt out anew among them, as few as possible to their own; those of others stay."""
    columns = []
    for own in zip(*values, strict=True):
        drawn = [rng.permutation(own[:n_told]).tolist() for _ in range(tries)]
        columns.append([*min(drawn, key=lambda some: sum(a == b for a, b in zip(some, own, strict=False))), *own[n_told:]])
    return tuple(zip(*columns, strict=True))
