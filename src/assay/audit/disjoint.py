"""Questions whose answers exclude each other, so that shares are shares of one whole."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assay.audit.probes import Measure, Probe
from assay.instruments.scoring import counted_once
from assay.models.pretrained.text import TokenPair

__all__ = ["disjoint", "left_out_note"]


def disjoint(probe: Probe, tokens: Mapping[tuple[str, str], TokenPair]) -> tuple[Probe, tuple[str, ...]]:
    """The question with answers that exclude each other in tokens, and the wrong answers that had to be left out.

    Of spellings of one answer that begin each other the shortest counts. A wrong answer that begins the right one, or that the
    right one begins, is left out; of two wrong ones the later is.
    """
    once = counted_once(probe, tokens)
    kept: list[tuple[str, ...]] = []
    taken: list[tuple[int, ...]] = []
    left_out = []
    for place, spelled in enumerate(once.spellings):
        own = [tokens[probe.prompt, text].completion for text in spelled]
        if place and any(_begins(one, other) or _begins(other, one) for one in own for other in taken):
            left_out.append(spelled[0])
            continue
        kept.append(spelled)
        taken += own
    if not left_out:
        return once, ()
    measure: Measure = "probability" if probe.measure == "share" and len(kept) == 1 else probe.measure
    rival = probe.rival and once.spellings[1][0] not in left_out
    return replace(once, candidates=tuple(kept), measure=measure, rival=rival), tuple(left_out)


def left_out_note(left_out: Sequence[tuple[Probe, tuple[str, ...]]]) -> tuple[str, ...]:
    """A sentence on wrong answers that were left out of questions; none where none was."""
    own = [(probe, texts) for probe, texts in left_out if texts]
    if not own:
        return ()
    probe, texts = own[0]
    more = "" if len(own) == 1 else f", and {len(own) - 1} others"
    return (
        f"A wrong answer that begins the right one, or is begun by it, cannot be told apart and was left out: "
        f"'{texts[0].strip()}' beside '{probe.lesson[1].strip()}'{more}. A full stop behind the object tells them apart.",
    )


def _begins(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return other[: len(one)] == one
