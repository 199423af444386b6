"""What training on preferences hit hardest, in words: counts, then the chosen answers that fell most, and what gained there."""

from assay.audit.preference_record import PairAudit, PairRow
from assay.core.text import visible

__all__ = ["MOST_PAIRS", "pair_sentences", "short"]

MOST_PAIRS = 3
SHOWN = 60  # characters of a text in a sentence


def pair_sentences(found: PairAudit, most: int = MOST_PAIRS) -> list[str]:
    """The count of what fell, and the pairs that fell most; of a forecast nothing."""
    if not found.totals:
        return []
    fell = [row for row in found.rows if row.displaced]
    n = len(found.rows)
    was, now = (sum(one) for one in zip(*((_prefers(row, 0), _prefers(row, 1)) for row in found.rows), strict=True))
    counts = [
        f"{len(fell)} of {n} chosen answers are less likely than before.",
        f"The chosen answer is the likelier one in {now} of {n} pairs ({was} before).",
    ]
    worst = sorted(fell, key=lambda row: row.changes["chosen"])[:most]
    return [*counts, *(_sentence(row) for row in worst)]


def _prefers(row: PairRow, after: int) -> int:
    sides = ((row.log_prob_chosen, row.log_prob_rejected), (row.chosen_after, row.rejected_after))
    chosen, rejected = sides[after]
    return int(chosen is not None and rejected is not None and chosen > rejected)


def _sentence(row: PairRow) -> str:
    """A pair whose chosen answer fell, and the tokens that gained where its answers part."""
    fall = f"log P {row.log_prob_chosen:.1f} → {row.chosen_after:.1f}"
    took = ", ".join(f"“{visible(one.token)}” {one.before:.2f} → {one.after:.2f}" for one in row.gained)
    where = f"; where the answers part {took}" if took else ""
    return f"Line {row.line}, “{short(row.prompt, end=True)}”: “{short(row.chosen)}” fell, {fall}{where}."


def short(text: str, most: int = SHOWN, *, end: bool = False) -> str:
    """A text in one line of at most so many characters: its beginning, or its end."""
    shown = visible(" ".join(text.split()))
    if len(shown) <= most:
        return shown
    return f"…{shown[-most:]}" if end else f"{shown[:most]}…"
