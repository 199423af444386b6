"""The theorems on random hiding games with integer payoffs: how many exceptions, with and without their condition."""

import numpy as np

from assay.core.progress import part, parts
from assay.core.seeds import Seeds
from assay.solvers.games.batches import assistance_values, policies
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.observation_interference.reasons import WEIGHTS, dominated, values_with_words

N_PRIVATE = 3  # values of what only A sees
N_COMPARED = 150  # games whose signals are compared by linear programs
CHUNK = 1024


def exceptions(n_games: int, beta: float, seeds: Seeds) -> dict[str, float]:
    """How many of `n_games` random games break each theorem, and how many break it once its condition is dropped."""
    found = dict.fromkeys(("blind/gains", "seeing/gains", "every-word/reasons", "two-words/reasons"), 0.0)
    with part(0.0, 0.5):
        for weight in parts(WEIGHTS.values()):
            rng, left = seeds(f"weight {weight}"), n_games // len(WEIGHTS)
            while left:
                n = min(left, CHUNK)
                games = hiding_games(n, rng=rng, n_private=N_PRIVATE, relevance=weight)
                seeing = assistance_values(games.payoff(), policies(N_PRIVATE, 3))
                blind = assistance_values(games.uninformed().payoff(), policies(1, 3))
                best = seeing.max(axis=1)
                found["blind/gains"] += float((blind.max(axis=1) > blind[:, 0]).sum())
                found["seeing/gains"] += float((best > seeing[:, 0]).sum())
                found["two-words/reasons"] += float((best > values_with_words(games, 2)).sum())
                found["every-word/reasons"] += float((best > values_with_words(games, N_PRIVATE)).sum())
                left -= n
    with part(0.5, 1.0):
        compared = hiding_games(N_COMPARED, rng=seeds("compared"), n_private=2)
        shares = dominated(compared, beta, np.random.default_rng(0))
    return found | {f"{human}-human/dominated": shares[f"{human}/dominated"] * N_COMPARED for human in ("optimal", "noisy")}
