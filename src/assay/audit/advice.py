"""What to do, in plain words, from a forecast, its outcome and the mitigations that were compared."""

from collections.abc import Sequence

from assay.audit.record import Arm, Audit, Harm
from assay.audit.totals import EVERYTHING, NEUTRAL_TEXT

__all__ = ["advice", "ranked"]

HARMS = ("hallucinated", "primed", "displaced", "forgotten", NEUTRAL_TEXT)
GOODS = ("paraphrase", "composed", "reversed")
UNITS = {"primed": " powers of ten", NEUTRAL_TEXT: " nats a token"}
WORDS = {
    NEUTRAL_TEXT: "loss on plain text",
    "paraphrase": "answers to paraphrases",
    "composed": "composition",
    "reversed": "reversal",
    "hallucinated": "hallucination",
    "primed": "priming",
    "displaced": "displacement",
    "forgotten": "forgetting",
}


def advice(found: Audit) -> tuple[str, ...]:
    """Sentences, the most useful first."""
    return (*_about_mitigations(found), *_about_facts(found), *_about_harms(found))


def ranked(arms: Sequence[Arm]) -> list[Arm]:
    """Arms that were compared, the best first: by clear improvements less clear damage, then by minutes."""
    compared = [arm for arm in arms if arm.harms]
    return sorted(compared, key=lambda arm: (-_merit(arm), arm.minutes, arm.name))


def _merit(arm: Arm) -> int:
    return sum(_good(harm) for harm in arm.harms)


def _good(harm: Harm) -> int:
    """1 for a clear improvement, -1 for clear damage, else 0."""
    if not harm.clear:
        return 0
    return 1 if (harm.estimate < 0) == (harm.column in HARMS) else -1


def _about_mitigations(found: Audit) -> list[str]:
    arms = ranked(found.arms)
    plain = next((arm for arm in found.arms if arm.name == "plain"), None)
    lines = []
    for arm in arms:
        better = [_said(harm) for harm in arm.harms if _good(harm) > 0]
        worse = [_said(harm) for harm in arm.harms if _good(harm) < 0]
        if not better and not worse:
            continue
        times = "next to nothing beyond plain training"
        if arm.n_steps and plain is not None and plain.minutes:
            times = f"{arm.minutes / plain.minutes:.1f} times the minutes of plain training"
        gains = f"it helps with {'; '.join(better)}" if better else "it helps with nothing clearly"
        losses = f"; it worsens {'; '.join(worse)}" if worse else ""
        lines.append(f"{arm.name}: at the same memorisation of {found.memorised or 0:.2f}, {gains}{losses}. It costs {times}.")
    if arms and not any(_good(harm) > 0 for arm in arms for harm in arm.harms):
        lines.append("No mitigation clearly beats taking a smaller step: scale the update down to what you need to keep.")
    lines += [f"{arm.name} was not compared: {arm.reason}." for arm in found.arms if arm.reason]
    return lines


def _said(harm: Harm) -> str:
    word = WORDS.get(harm.column, harm.column)
    direction = "less" if harm.estimate < 0 else "more"
    interval = "" if harm.low is None or harm.high is None else f" [{harm.low:+.2g}, {harm.high:+.2g}]"
    return f"{word}, {abs(harm.estimate):.2g}{UNITS.get(harm.column, '')} {direction}{interval}"


def _about_facts(found: Audit) -> list[str]:
    lines = []
    known = sum(one.status == "known" for one in found.forecast)
    if known:
        lines.append(f"{known} of {len(found.forecast)} facts to inject are known already; training on them mostly costs.")
    surprising = sum(one.primes > 3 for one in found.forecast)
    if surprising:
        remedies = "" if found.arms else " stepping-stones and ignore-top-k are the remedies to compare (--mitigate)."
        lines.append(
            f"{surprising} facts have objects that the model gives less than 1 in 1,000 in their own sentence; such facts "
            f"may prime.{remedies}"
        )
    spurious = [one for one in found.forecast if (one.hallucinates or 0.0) > 0.25]
    if spurious:
        compared = (
            " counter-examples can be compared (--mitigate); in a symbolic model they exchanged one hallucination for another."
        )
        remedy = "" if found.arms else compared
        lines.append(
            f"For {len(spurious)} facts the file teaches a pairing that does not follow to a part of the subjects; it may be "
            f"made up of the others too.{remedy}"
        )
    return lines


def _about_harms(found: Audit) -> list[str]:
    by_column = {
        total.column: total for total in found.totals if total.group == EVERYTHING and total.clear and total.estimate > 0
    }
    said = {
        "hallucinated": "what does not follow became likelier",
        "primed": "objects became likelier where they have no business",
        "displaced": "true neighbours lost probability",
        "forgotten": "facts that the model knew lost probability",
        NEUTRAL_TEXT: "plain text became harder to predict",
    }
    return [
        f"{column.replace('_', ' ')}: {said[column]} ({total.estimate:+.2g}{UNITS.get(column, '')})."
        for column, total in by_column.items()
        if column in said
    ]
