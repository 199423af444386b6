"""Two-hop questions in words: chains of three invented names told sentence by sentence, several chains among each other.

    Agima is the mother of Kuliba. Veroda is the mother of Tedila. Kuliba is the mother of Izora. Tedila is the mother of
    Wikara. Therefore, Agima is the grandmother of

A prompt has k chains source -> bridge -> end; each gives two premises, and each source may be asked for. Because all sources of
the same premises are asked, a model that does not read the question is right exactly once in k. Names are made of invented
stems, so nothing is known about them beforehand; within a prompt all begin with different letters, so that their first tokens
differ under any tokenizer that keeps a letter with its word. Nothing here knows a model.

Source: Guo et al. 2025, arXiv:2502.13913 (chains, interleaving, four topics). Names and wordings are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core.errors import SettingsError
from assay.worlds.facts.questions import Question

__all__ = ["ENDINGS", "STEMS", "TOPICS", "WORDINGS", "ChainPrompt", "Names", "Order", "Wording", "asked_about", "drawn_prompts"]

Order = Literal["forward", "any"]

_STEMS = """
    Agim Aldiv Arkol Askom  Bagor Barnur Berim Bombim  Cambag Cervod Coldol Corbod  Dagin Dimur Dresor Dulag
    Ekim Endud Ernab Eskor  Falim Fergor Findol Funib  Gandod Gelag Grimor Gumur  Hasib Hendol Hibil Hormag
    Imol Inkur Ivul Izor  Jarol Jinil Jobur Judur  Kandod Kirkag Krakod Kulib  Lambol Levor Linod Lobod
    Makag Mendur Mizib Mordil  Nazag Nebim Nimas Nordod  Olod Orbod Ornim Ozom  Pandil Pendib Pokar Polil
    Rankur Repib Rivod Rolim  Saskod Semor Sinur Skipol  Tankor Tasod Tedil Tombur  Ukil Umbod Undar Uzib
    Vandol Verod Vigol Vulim  Waldod Wedod Wikar Wormag  Yinan Yorag Yugib Yumiv  Zakim Zelor Zipin Zuror"""
STEMS = tuple(_STEMS.split())
ENDINGS = {"woman": "a", "man": "o", "place": "ia", "taxon": "us"}
PER_LETTER = 4  # stems with the same first letter; half of them are for training


@dataclass(frozen=True)
class Wording:
    """How a topic tells a chain and asks for its end.

    Attributes:
        name: a slug.
        topic: one of `TOPICS`.
        kind: what is named, a key of `ENDINGS`: people of one sex where the grammar wants it.
        first: the premise of source and bridge, `{}` for each in this order.
        second: the premise of bridge and end; it ends with the end.
        question: what comes before the answer, with `{}` for the source.
        held_out: kept from training.
    """

    name: str
    topic: str
    kind: str
    first: str
    second: str
    question: str
    held_out: bool = False


_TABLE = (
    ("mother", "kinship", "woman", "{} is the mother of {}.", "{} is the mother of {}.", "Therefore, {} is the grandmother of"),
    ("father", "kinship", "man", "{} is the father of {}.", "{} is the father of {}.", "So {} is the grandfather of"),
    ("state", "geography", "place", "{} is a city in the state of {}.", "The state of {} is part of the country of {}.",
     "Therefore, {} is a city in the country of"),
    ("district", "geography", "place", "The town of {} lies in the district of {}.",
     "The district of {} belongs to the province of {}.", "So the town of {} lies in the province of"),
    ("genus", "biology", "taxon", "The species {} belongs to the genus {}.", "The genus {} belongs to the family {}.",
     "Therefore, the species {} belongs to the family"),
    ("breed", "biology", "taxon", "Every {} is a kind of {}.", "Every {} is a kind of {}.", "So every {} is also a kind of"),
    ("ahead", "time", "place", "{} is two hours ahead of {}.", "{} is three hours ahead of {}.",
     "Therefore, {} is five hours ahead of"),
    ("behind", "time", "place", "{} is one hour behind {}.", "{} is two hours behind {}.", "So {} is three hours behind"),
)  # fmt: skip
_HELD_OUT = (
    ("daughter", "kinship", "woman", "{} has a daughter called {}.", "{} has a daughter called {}.",
     "This means that {} has a granddaughter called"),
    ("island", "geography", "place", "The village of {} stands on the island of {}.",
     "The island of {} is ruled by the kingdom of {}.", "Hence the village of {} is ruled by the kingdom of"),
    ("order", "biology", "taxon", "Scientists place the beetle {} in the group {}.",
     "Scientists place the group {} in the order {}.", "Hence scientists place the beetle {} in the order"),
    ("clocks", "time", "place", "When it is noon in {}, it is one in {}.", "When it is one in {}, it is two in {}.",
     "Hence, when it is noon in {}, it is two in"),
)  # fmt: skip
WORDINGS = tuple(Wording(*row) for row in _TABLE) + tuple(Wording(*row, held_out=True) for row in _HELD_OUT)
TOPICS = tuple(dict.fromkeys(wording.topic for wording in WORDINGS))


@dataclass(frozen=True)
class Names:
    """The stems that names are made of: `training` for fine-tuning, `new` for what is asked; no stem is in both."""

    training: tuple[str, ...]
    new: tuple[str, ...]

    @classmethod
    def split(cls, rng: np.random.Generator) -> "Names":
        """Half of the stems of every first letter for training, the others new."""
        training: list[str] = []
        new: list[str] = []
        for start in range(0, len(STEMS), PER_LETTER):
            order = rng.permutation(PER_LETTER)
            training += [STEMS[start + place] for place in sorted(order[: PER_LETTER // 2])]
            new += [STEMS[start + place] for place in sorted(order[PER_LETTER // 2 :])]
        return cls(tuple(training), tuple(new))


@dataclass(frozen=True)
class ChainPrompt:
    """Premises, and the chains that may be asked about.

    Attributes:
        wording: how they are told.
        chains: (source, bridge, end) of every chain.
        told: the bridges as the second premises call them: the chains' own, unless they are cut.
        slots: (chain, hop) of every sentence, in order.
    """

    wording: Wording
    chains: tuple[tuple[str, str, str], ...]
    told: tuple[str, ...]
    slots: tuple[tuple[int, int], ...]

    @property
    def premises(self) -> str:
        """All sentences."""
        sentences = []
        for chain, hop in self.slots:
            source, bridge, end = self.chains[chain]
            wording = self.wording
            sentences.append(wording.second.format(self.told[chain], end) if hop else wording.first.format(source, bridge))
        return " ".join(sentences)

    @property
    def ends(self) -> tuple[str, ...]:
        """The last name of every chain; the right answer to a question is the asked chain's."""
        return tuple(end for _, _, end in self.chains)

    def question(self, chain: int, *, hops: int = 2) -> str:
        """The prompt that asks for the end of a chain: from its source, or with one hop from its bridge.

        One hop asks for what stands word for word among the premises.

        Raises:
            SettingsError: there is no such number of hops.
        """
        if hops not in (1, 2):
            raise SettingsError(f"a chain of these prompts has 1 or 2 hops to ask for; got hops={hops}")
        if hops == 2:
            return f"{self.premises} {self.wording.question.format(self.chains[chain][0])}"
        said = self.wording.second.removesuffix(" {}.")
        said = said if said.startswith("{") else said[0].lower() + said[1:]
        # A premise merely begun again reads as the next premise, which would name somebody new.
        return f"{self.premises} As we said, {said.format(self.told[chain])}"

    def asked(self, chain: int, *, hops: int = 2, kind: str = "") -> Question:
        """The question for the end of a chain, about the topic; candidates are all ends, then the chain's own bridge."""
        candidates = tuple(f" {name}" for name in (*self.ends, self.chains[chain][1]))
        return Question(self.question(chain, hops=hops), candidates, chain, self.wording.topic, kind)


def drawn_prompts(
    n: int,
    n_chains: int,
    *,
    wordings: Sequence[Wording],
    stems: Sequence[str],
    rng: np.random.Generator,
    order: Order = "forward",
    cut: bool = False,
) -> list[ChainPrompt]:
    """Prompts of equally many chains, the wordings taking turns.

    Args:
        n: how many.
        n_chains: chains in each.
        wordings: which ones.
        stems: what names are made of.
        rng: names and orders are drawn from it.
        order: `forward` keeps a chain's first premise before its second, all interleavings equally likely (the paper's);
            `any` makes all orders of all sentences equally likely.
        cut: the second premises speak of other bridges than the first, so that no source leads to an end.

    Raises:
        SettingsError: fewer than one chain, no wording, or too few first letters for the names of a prompt.
    """
    by_letter: dict[str, list[str]] = {}
    for stem in stems:
        by_letter.setdefault(stem[0], []).append(stem)
    letters, needed = sorted(by_letter), (4 if cut else 3) * n_chains
    if n_chains < 1 or not wordings:
        raise SettingsError(f"prompts need at least one chain and one wording; got {n_chains} and {len(wordings)}")
    if needed > len(letters):
        raise SettingsError(
            f"the names of a prompt must begin with different letters; {n_chains} chains need {needed}, and there are "
            f"{len(letters)}. Take at most {len(letters) // (4 if cut else 3)} chains"
        )
    found = []
    for number in range(n):
        wording = wordings[number % len(wordings)]
        chosen = [by_letter[letters[place]] for place in rng.permutation(len(letters))[:needed]]
        names = [some[int(rng.integers(len(some)))] + ENDINGS[wording.kind] for some in chosen]
        chains = tuple((names[3 * c], names[3 * c + 1], names[3 * c + 2]) for c in range(n_chains))
        told = tuple(names[3 * n_chains :]) if cut else tuple(bridge for _, bridge, _ in chains)
        found.append(ChainPrompt(wording, chains, told, _interleaved(n_chains, order, rng)))
    return found


def asked_about(prompt: ChainPrompt, rng: np.random.Generator) -> tuple[str, str]:
    """One training example, (prompt, answer with its leading space): the question about a chain drawn at random."""
    chain = int(rng.integers(len(prompt.chains)))
    return prompt.question(chain), f" {prompt.ends[chain]}"


def _interleaved(n_chains: int, order: Order, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    sentences = [(chain, hop) for chain in range(n_chains) for hop in range(2)]
    shuffled = [sentences[place] for place in rng.permutation(len(sentences))]
    if order == "any":
        return tuple(shuffled)
    seen = [0] * n_chains  # which premise of a chain comes next; labels in random order make all interleavings equally likely
    found = []
    for chain, _ in shuffled:
        found.append((chain, seen[chain]))
        seen[chain] += 1
    return tuple(found)
