"""The nearest antecedent on generated pages, clusters, and the four scores by hand."""

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.instruments.entity_index.coreference import clusters, mention_scores, nearest_antecedent, similarity
from assay.worlds.encyclopaedia.pages import HOWS, Corpus, Pages
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia


def test_the_nearest_antecedent_resolves_generated_pages() -> None:
    rng = np.random.default_rng(2)
    world = Encyclopaedia.drawn(Design(n_entities=40), rng=rng)
    corpus = Corpus.written(world, np.ones(len(world.facts), dtype=int), Pages(n_chunks=150), rng=rng)
    own, number = corpus.mentions, dict[tuple[int, ...], int]()
    for surfaces in world.surfaces:
        for how in HOWS:
            for form in surfaces[how]:
                number.setdefault(form, len(number))
    said = [number[tuple(corpus.tokens[c, a:b].tolist())] for c, a, b in zip(own.chunk, own.start, own.end, strict=True)]
    forms_of = {i: [number[form] for how in HOWS for form in one[how]] for i, one in enumerate(world.surfaces)}
    known = np.where(own.how == HOWS.index("link"), own.entity, -1)
    page = corpus.page[own.chunk]
    antecedent = nearest_antecedent(page, known, np.array(said), forms_of)
    hidden = known < 0
    assert hidden.sum() > 100
    assert (antecedent[~hidden] == -1).all()
    assert np.array_equal(own.entity[antecedent[hidden]], own.entity[hidden])
    assert np.array_equal(page[antecedent[hidden]], page[hidden])
    assert (antecedent < np.arange(len(own))).all()


def test_clusters_are_chains_of_antecedents() -> None:
    assert clusters(np.array([-1, 0, -1, 1, 2])).tolist() == [0, 0, 2, 0, 2]
    assert nearest_antecedent(np.array([0, 1]), np.array([5, -1]), np.array([0, 0]), {5: [0]}).tolist() == [-1, -1]
    with pytest.raises(InputError, match="that of mention 1 is mention 1"):
        clusters(np.array([-1, 1]))


def test_similarity_is_the_harmonic_mean_of_the_common_shares() -> None:
    assert similarity("Orla Venn", "Venn") == pytest.approx(2 * 4 / 13)
    assert similarity("the Director's", "a director") == 1.0
    assert similarity("She", "Orla") == 0.0
    assert similarity("abc", "xyz") == 0.0
    assert similarity("", "Orla") == 0.0


def test_scores_of_a_small_cluster_by_hand() -> None:
    # "Orla Venn" is a link to 7; the linker takes "Venn" for 7 (0.6) or 9 (0.4); "she" is of the same cluster.
    texts = ["Orla Venn", "Venn", "she", "Oslo"]
    found = mention_scores(texts, np.array([0, 0, 0, -1]), np.array([7, -1, -1, -1]), [(1, 7, 0.6), (1, 9, 0.4), (3, 4, 0.3)])
    rows = {
        (m, e): tuple(scores)
        for m, e, *scores in zip(
            found.mention.tolist(),
            found.entity.tolist(),
            found.link,
            found.linker,
            found.coreference,
            found.cluster,
            strict=True,
        )
    }
    like = 2 * 4 / 13
    support = np.array([1 + 0.6, like * 0.4 + 0.4])  # of 7: H of the link, EL of "Venn"; of 9: C of the link, EL of "Venn"
    share = np.exp(support) / np.exp(support).sum()
    assert rows[0, 7] == pytest.approx((1, 0, like * 0.6, share[0]))
    assert rows[0, 9] == pytest.approx((0, 0, like * 0.4, share[1]))
    assert rows[1, 7] == pytest.approx((0, 0.6, like, share[0]))
    assert rows[1, 9] == pytest.approx((0, 0.4, 0, share[1]))
    assert rows[2, 7] == pytest.approx((0, 0, 0, share[0]))
    assert rows[3, 4] == pytest.approx((0, 0.3, 0, 0))
    assert found.combined[0] == pytest.approx((4 * 1 + 2 * like * 0.6 + share[0]) / 10)

    def kept(**thresholds: float | None) -> list[tuple[int, int]]:
        return [(int(found.mention[i]), int(found.entity[i])) for i in found.accepted(**thresholds)]

    assert kept() == [(0, 7), (1, 7)]
    assert kept(coreference=None, linker=0.3) == [(0, 7), (1, 7), (1, 9), (3, 4)]
    assert kept(cluster=0.6) == [(0, 7), (1, 7), (2, 7)]


def test_scores_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="clusters and links alike"):
        mention_scores(["a"], np.array([0, 0]), np.array([1, 1]), [])
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        mention_scores(["a"], np.array([0]), np.array([-1]), [(0, 1, 1.5)])
    assert len(mention_scores([], np.zeros(0, dtype=int), np.zeros(0, dtype=int), []).mention) == 0
