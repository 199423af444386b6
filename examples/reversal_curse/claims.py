"""What the reversal curse claims, before anything is run."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.rules import Above, Below

ESTIMANDS = (
    Estimand("taught", "facts whose song is the likeliest of all songs, asked of the composer", "share of facts", 0, 1),
    Estimand("reversed", "facts whose composer is the likeliest of all names, asked of the song", "share of facts", 0, 1),
)
CLAIMS = (
    Claim(
        "C1",
        "Taught that a person composed a song, the model names the song of more than {bound:.0%} of these people.",
        "one-way/taught",
        Above(0.7),
        why="far above the untrained model's one in twenty, and what learning these sentences means",
        at="section 2.1, table 1",
        negative=Arm("untrained", "nothing was taught: the share is that of guessing"),
        paper="96 % in the order that was taught",
    ),
    Claim(
        "C2",
        "Taught that a person composed a song, the model names the composer of fewer than {bound:.0%} of these songs.",
        "one-way/reversed",
        Below(0.3),
        why="guessing gives one in twenty; knowing gives nearly all",
        at="section 2.1, table 1",
        negative=Arm("both-ways", "the other order is taught as well: nothing is left to infer"),
        paper="0 % in the other order",
        null_passes="an untrained model names no composer either; C1 is the other half",
    ),
)
