"""Which mentions mean the same: the nearest antecedent of what is no name, and the four scores of a mention.

The scores are those of Gottesman et al. 2025, arXiv:2509.03405, section 3, as the released code computes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Ints
from assay.core.errors import InputError

__all__ = ["Scores", "clusters", "mention_scores", "nearest_antecedent", "similarity"]

NONE = -1
SIMILAR = 0.3  # a similarity at most this counts as none
ARTICLES = ("the ", "a ", "an ")
PRONOUNS = frozenset(
    {"i", "me", "my", "you", "your", "he", "him", "his", "she", "her", "hers", "it", "its", "we", "us", "our", "they", "them",
     "their", "theirs", "who", "whom", "whose"}
)  # fmt: skip
COMBINED = (0.4, 0.3, 0.2, 0.1)  # link, linker, coreference, cluster


def nearest_antecedent(
    page: Int[np.ndarray, " mention"],
    entity: Int[np.ndarray, " mention"],
    form: Int[np.ndarray, " mention"],
    forms_of: Mapping[int, Sequence[int]],
) -> Int[np.ndarray, " mention"]:
    """For each mention without entity the nearest earlier one on its page whose entity has its form; -1 for the others.

    A mention that was resolved is an antecedent in its turn.

    Args:
        page: of each mention, in the order of the text; mentions of a page follow each other.
        entity: who is meant, where that is known; -1 where it is to be found.
        form: what it says (a pronoun, a description, a surname), as a number; used where the entity is not known.
        forms_of: the forms of each entity.
    """
    found = np.full(len(page), NONE, dtype=np.int64)
    meant = entity.tolist()
    last: dict[int, int] = {}
    current = None
    for i, (on, said) in enumerate(zip(page.tolist(), form.tolist(), strict=True)):
        if on != current:
            current, last = on, {}
        if meant[i] == NONE and said in last:
            found[i] = last[said]
            meant[i] = meant[last[said]]
        if meant[i] != NONE:
            for own in forms_of.get(meant[i], ()):
                last[own] = i
    return found


def clusters(antecedent: Int[np.ndarray, " mention"]) -> Int[np.ndarray, " mention"]:
    """The number of each mention's cluster: that of its first mention. A mention that is no antecedent and has none is alone.

    Raises:
        InputError: an antecedent does not come before its mention.
    """
    found = np.arange(len(antecedent))
    if (antecedent >= found).any():
        i = int(np.flatnonzero(antecedent >= found)[0])
        raise InputError(f"an antecedent must come before its mention; that of mention {i} is mention {antecedent[i]}")
    for i, before in enumerate(antecedent.tolist()):
        if before != NONE:
            found[i] = found[before]
    return found


@lru_cache(maxsize=100_000)
def similarity(one: str, other: str) -> float:
    """Harmonic mean of the longest common substring's shares of both texts, in [0, 1]; 0 where one is a pronoun.

    Capitals, leading articles and possessive endings aside.
    """
    first, second = _bare(one), _bare(other)
    if not first or not second or first in PRONOUNS or second in PRONOUNS:
        return 0.0
    common = _common(first, second)
    return 2 * common / (len(first) + len(second))


def _bare(text: str) -> str:
    found = text.lower().strip()
    for article in ARTICLES:
        found = found.removeprefix(article)
    for ending in ("'s", "’s", "'", "’"):
        found = found.removesuffix(ending)
    return found.strip()


def _common(one: str, other: str) -> int:
    """Length of the longest common substring."""
    best, row = 0, [0] * (len(other) + 1)
    for letter in one:
        row = [0, *((row[j] + 1 if letter == against else 0) for j, against in enumerate(other))]
        best = max(best, *row)
    return best


@dataclass(frozen=True, eq=False)
class Scores:
    """The four scores of a mention for an entity, one row for each pair that has one above 0.

    Attributes:
        mention: number of the mention.
        entity: number of the entity.
        link: H, 1 where the mention is a link to the entity's page, else 0.
        linker: EL, the linker's confidence, in [0, 1].
        coreference: C, the largest similarity to a mention of its cluster times that one's link or linker score, in [0, 1].
        cluster: CC, the softmax over the cluster's entities of their summed evidence, in [0, 1].
    """

    mention: Int[np.ndarray, " row"]
    entity: Int[np.ndarray, " row"]
    link: Float[np.ndarray, " row"]
    linker: Float[np.ndarray, " row"]
    coreference: Float[np.ndarray, " row"]
    cluster: Float[np.ndarray, " row"]

    @property
    def combined(self) -> Float[np.ndarray, " row"]:
        """(4 H + 3 EL + 2 C + CC) / 10, the score that the released data store."""
        parts = np.stack([self.link, self.linker, self.coreference, self.cluster])
        return np.asarray(np.array(COMBINED) @ parts)

    def accepted(
        self, *, linker: float = 0.6, coreference: float | None = 0.6, cluster: float | None = None
    ) -> Int[np.ndarray, " accepted"]:
        """The rows with a link, or a score of at least its threshold; a source with None takes no part."""
        kept = (self.link == 1) | (self.linker >= linker)
        if coreference is not None:
            kept |= self.coreference >= coreference
        if cluster is not None:
            kept |= self.cluster >= cluster
        return np.flatnonzero(kept)


def mention_scores(
    texts: Sequence[str],
    cluster: Int[np.ndarray, " mention"],
    linked: Int[np.ndarray, " mention"],
    candidates: Sequence[tuple[int, int, float]],
) -> Scores:
    """The four scores of every mention.

    Args:
        texts: what each mention says.
        cluster: the number of each mention's coreference cluster; -1 for none.
        linked: the entity to whose page each mention is a link; -1 for none.
        candidates: mention, entity and confidence of the linker.

    Raises:
        InputError: the lengths differ, or a confidence is not in [0, 1].
    """
    if not len(texts) == len(cluster) == len(linked):
        raise InputError(f"mentions need texts, clusters and links alike; got {len(texts)}, {len(cluster)} and {len(linked)}")
    own: list[dict[int, list[float]]] = [{} for _ in texts]  # of each mention by entity: H, EL, C, CC
    for i, entity in enumerate(linked.tolist()):
        if entity != NONE:
            own[i][entity] = [1.0, 0.0, 0.0, 0.0]
    for i, entity, confidence in candidates:
        if not 0 <= confidence <= 1:
            raise InputError(f"a linker's confidence must be in [0, 1]; got {confidence} for mention {i}")
        row = own[i].setdefault(entity, [0.0, 0.0, 0.0, 0.0])
        row[1] = max(row[1], confidence)
    for members in _members(cluster):
        _score_cluster(texts, members, own)
    rows = [(i, entity, *values) for i, mine in enumerate(own) for entity, values in mine.items() if max(values) > 0]
    columns = np.array(rows, dtype=float).reshape(-1, 6).T
    return Scores(columns[0].astype(np.int64), columns[1].astype(np.int64), *columns[2:])


def _members(cluster: Ints) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for i, number in enumerate(cluster.tolist()):
        if number != NONE:
            found.setdefault(number, []).append(i)
    return list(found.values())


def _score_cluster(texts: Sequence[str], members: Sequence[int], own: list[dict[int, list[float]]]) -> None:
    """Enter C and CC for the mentions of a cluster."""
    evidence = [(i, entity, max(values[:2])) for i in members for entity, values in own[i].items() if max(values[:2]) > 0]
    entities = list(dict.fromkeys(entity for _, entity, _ in evidence))
    if not entities:
        return
    for i in members:
        for j, entity, score in evidence:
            like = similarity(texts[i], texts[j]) if i != j else 0.0
            if like > SIMILAR:
                row = own[i].setdefault(entity, [0.0, 0.0, 0.0, 0.0])
                row[2] = max(row[2], like * score)
    support = np.zeros(len(entities))
    for i in members:
        for place, entity in enumerate(entities):
            link, linker, coreference, _ = own[i].get(entity, (0.0, 0.0, 0.0, 0.0))
            support[place] += link or linker or coreference
    weights = np.exp(support - support.max())
    for entity, share in zip(entities, (weights / weights.sum()).tolist(), strict=True):
        for i in members:
            own[i].setdefault(entity, [0.0, 0.0, 0.0, 0.0])[3] = share
