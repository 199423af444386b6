"""An index of whom a corpus mentions, and the passages shared by the subjects and objects of many facts, beside plain scans.

    python benchmarks/bench_exposure.py [--words 1000000] [--facts 10000] [--json]

The corpus is a generated encyclopaedia in plain English. Ours finds all names at once and intersects posting lists; the plain
way asks of every text whether it contains each name, on a share of the texts that takes seconds, and is scaled up. Both must
find the same names in the same texts. Budgets: 15 s for an index of a million words, 50 ms for all pairs
of ten thousand facts, and 50 times the speed of scanning; in processor time of one thread.
"""

import argparse
import json
import re
import time

import numpy as np

from assay.instruments.entity_index.names import NameFinder
from assay.instruments.entity_index.postings import EntityIndex
from assay.worlds.encyclopaedia.pages import Corpus, Pages
from assay.worlds.encyclopaedia.world import Design, Encyclopaedia

INDEX_S, PAIRS_S, RATIO = 15.0, 0.05, 50.0
WORDS_A_CHUNK = 48
SCANNED = 200  # texts that the plain way looks at
WORDS_AN_ENTITY = 200


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--facts", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()

    rng = np.random.default_rng(0)
    world = Encyclopaedia.drawn(Design(n_entities=max(20, chosen.words // WORDS_AN_ENTITY), shared_names=0.0), rng=rng)
    n_chunks = -(-chosen.words // WORDS_A_CHUNK)
    corpus = Corpus.written(world, np.zeros(len(world.facts), dtype=int), Pages(n_chunks=n_chunks, longest=64), rng=rng)
    texts = corpus.texts
    n_words = sum(len(text.split()) for text in texts)
    names = [world.english(one.name) for one in world.entities]
    pairs = rng.integers(len(names), size=(chosen.facts, 2))

    start = time.process_time()
    finder = NameFinder(names)
    found = [(number, i) for i, text in enumerate(texts) for _, _, number in finder.find(text)]
    entity, passage = np.array(found, dtype=np.int64).reshape(-1, 2).T
    index = EntityIndex.of(entity, passage, n_entities=len(names), n_chunks=len(texts))
    index_s = time.process_time() - start
    pairs_s = np.inf
    for _ in range(5):
        start = time.process_time()
        n_both = index.n_both(pairs)
        pairs_s = min(pairs_s, time.process_time() - start)

    patterns = [re.compile(rf"\b{re.escape(name)}\b") for name in names]
    some = range(0, len(texts), max(1, len(texts) // SCANNED))
    start = time.process_time()
    plain = {(number, i) for i in some for number, one in enumerate(patterns) if one.search(texts[i])}
    plain_s = (time.process_time() - start) * len(texts) / len(some)
    if plain != {(number, i) for number, i in found if i in set(some)}:
        raise SystemExit("both ways must find the same names in the same texts; they do not")

    numbers = {
        "words": n_words,
        "names": len(names),
        "index_s": index_s,
        "index_s_a_million_words": index_s * 1e6 / n_words,
        "pairs_ms": pairs_s * 1e3,
        "shared_passages": int(n_both.sum()),
        "plain_s": plain_s,
        "ratio": plain_s / index_s,
    }
    if chosen.json:
        print(json.dumps(numbers))
        return
    print(f"{n_words:,} words, {len(texts):,} passages, {len(names):,} names")
    million = numbers["index_s_a_million_words"]
    print(f"index {index_s:.2f} s, {million:.2f} s a million words   budget {INDEX_S:g} s: {_kept(million <= INDEX_S)}")
    print(f"{len(pairs):,} pairs {pairs_s * 1e3:.1f} ms   budget {PAIRS_S * 1e3:g} ms: {_kept(pairs_s <= PAIRS_S)}")
    print(f"scanning {plain_s:.1f} s, ratio {numbers['ratio']:.0f} x   budget {RATIO:g} x: {_kept(numbers['ratio'] >= RATIO)}")


def _kept(kept: bool) -> str:
    return "kept" if kept else "MISSED"


if __name__ == "__main__":
    main()
