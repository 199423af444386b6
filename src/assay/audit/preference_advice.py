"""What an audit of preferences advises, in plain words: each line with the number that it rests on, of this record."""

from collections.abc import Iterator, Sequence

from assay.audit.preference_mitigations import FILTER, PAIR_MITIGATIONS, RANDOM
from assay.audit.preference_record import PAIR_COLUMNS, PairArm, PairAudit, PairRow
from assay.audit.record import Advice, Harm
from assay.audit.totals import Total

__all__ = ["pair_advice"]

OFFERED = ("filter-ches", "nll")  # what is told to be compared where nothing was
MOST_LINES = 8


def pair_advice(found: PairAudit) -> tuple[Advice, ...]:
    """What to do, the most useful first."""
    if not found.totals:
        return tuple(_of_forecast(found))
    return (*_of_learning(found), *_of_falls(found), *(_of_filter(found) if _fell(found) else ()), *_of_arms(found))


def _of_forecast(found: PairAudit) -> Iterator[Advice]:
    """What the first step would do, and by which pairs."""
    told = [row for row in found.rows if row.together is not None and row.together < 0]
    own = [row for row in found.rows if row.alone is not None and row.alone < 0]
    n = len(found.rows)
    if told:
        mean = sum(row.together or 0.0 for row in found.rows) / n
        yield Advice(
            f"The first step lowers the chosen answer of {len(told)} of {n} pairs ({_lines(told)}). Train with --mitigate "
            f"{','.join(OFFERED)} to see what helps.",
            f"Forecast, together below 0: {len(told)}; mean {mean:+.2g} nats a step",
        )
    else:
        yield Advice(
            f"The first step lowers the chosen answer of none of the {n} pairs; later steps may.",
            "Forecast, together below 0: 0",
        )
    if own:
        yield Advice(
            f"{len(own)} of {n} pairs lower their own chosen answer where they are trained on alone ({_lines(own)}): their two "
            "answers are too alike for this model. Look at these first.",
            f"Forecast, alone below 0: {len(own)}",
        )


def _of_learning(found: PairAudit) -> Iterator[Advice]:
    margin = _total(found, "margin")
    if margin.clear and margin.estimate >= PAIR_COLUMNS["margin"].worth:
        return
    harder = "was it trained on these very pairs, and saved and merged afterwards?"
    if not found.tuned:
        harder = f"train longer or harder (--set n_epochs={2 * int(str(found.recipe['n_epochs']))}, or a larger learning_rate)."
    yield Advice(f"Little was learned: {harder}", f"In total, {_cite(margin)}")


def _fell(found: PairAudit) -> bool:
    """Whether chosen answers clearly fell, by as much as is worth a sentence."""
    chosen = _total(found, "chosen")
    return chosen.clear and chosen.estimate <= -PAIR_COLUMNS["chosen"].worth


def _of_falls(found: PairAudit) -> Iterator[Advice]:
    """Whether chosen answers fell, and what helps."""
    chosen, margin, displaced = (_total(found, name) for name in ("chosen", "margin", "displaced"))
    cite = f"In total, {_cite(chosen)}; {_cite(displaced)}; {_cite(margin)}"
    fell = [row for row in found.rows if row.displaced]
    if not _fell(found):
        said = "Chosen answers did not clearly fall"
        rest = f"; {len(fell)} of {len(found.rows)} did ({_lines(fell)})." if fell else "."
        yield Advice(f"{said} in the mean{rest}", cite)
        return
    said = (
        f"Chosen answers fell: {len(fell)} of {len(found.rows)}, by {-chosen.estimate:.2g} nats in the mean, while the margin "
        f"{'rose' if margin.estimate > 0 else 'fell'} by {abs(margin.estimate):.2g}. Their probability went to other texts."
    )
    helping = sorted((one for one in found.arms if _helps(one) is not None), key=lambda one: -(_difference(one)))
    if helping:
        arm = helping[0]
        yield Advice(
            f"{said} '{arm.name}', which {arm.says}, loses less at the same margin.", f"{cite}; {_cite_arm(arm, _helps(arm))}"
        )
        return
    left = [name for name in OFFERED if name not in {one.name for one in found.arms}]
    if left and not found.tuned:
        yield Advice(f"{said} Compare --mitigate {','.join(left)}.", cite)
    else:
        yield Advice(f"{said} Nothing that was compared clearly helps." if found.arms else said, cite)


def _of_filter(found: PairAudit) -> Iterator[Advice]:
    """Which pairs to drop, and whether that is owed to which they are or to how many."""
    filtered, drawn = (next((arm for arm in found.arms if arm.name == name), None) for name in (FILTER, RANDOM))
    if filtered is None or drawn is None:
        return
    if filtered.reason:
        yield Advice(f"Dropping pairs by CHES was not compared: {filtered.reason}.", f"Mitigations: {FILTER}")
        return
    cites = f"Mitigations: {_cite_arm(filtered, _harm(filtered))}; {_cite_arm(drawn, _harm(drawn))}"
    dropped = [row for row in found.rows if row.line not in set(filtered.lines)]
    worst = sorted(dropped, key=lambda row: row.rank)
    if _helps(filtered) is None:
        yield Advice("Dropping the pairs of high CHES does not clearly help here: keep them.", cites)
    elif drawn.reason or _helps(drawn) is None:
        yield Advice(
            f"Drop the {len(dropped)} pairs of the highest normalised CHES, the first of them {_lines(worst)}: chosen answers "
            "fall less at the same margin. A random subset of that size does not help.",
            cites,
        )
    else:
        yield Advice(
            "Fewer pairs help, whichever they are: a random subset of that size does as well as a choice by CHES.", cites
        )


def _of_arms(found: PairAudit) -> Iterator[Advice]:
    """What else was compared and clearly does worse."""
    for arm in found.arms:
        harm = _harm(arm)
        if harm is not None and harm.clear and harm.estimate <= -PAIR_COLUMNS["chosen"].worth:
            yield Advice(f"'{arm.name}' loses more of the chosen answers at the same margin.", _cite_arm(arm, harm))


def _harm(arm: PairArm) -> Harm | None:
    return next((harm for harm in arm.harms if harm.column == "chosen"), None)


def _helps(arm: PairArm) -> Harm | None:
    """What an arm gains in chosen answers, where that is clear and worth a sentence."""
    harm = _harm(arm)
    return harm if harm is not None and harm.clear and harm.estimate >= PAIR_COLUMNS["chosen"].worth else None


def _difference(arm: PairArm) -> float:
    harm = _harm(arm)
    return 0.0 if harm is None else harm.estimate


def _total(found: PairAudit, column: str) -> Total:
    return next(total for total in found.totals if total.column == column)


def _cite(total: Total) -> str:
    return f"{total.column} {total.estimate:+.2g}{_interval(total.low, total.high)}"


def _cite_arm(arm: PairArm, harm: Harm | None) -> str:
    if harm is None:
        return f"{arm.name}: {arm.reason or PAIR_MITIGATIONS[arm.name].says}"
    return f"{arm.name} against plain, chosen {harm.estimate:+.2g}{_interval(harm.low, harm.high)} nats"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:+.2g}, {high:+.2g}]"


def _lines(rows: Sequence[PairRow]) -> str:
    lines = [str(row.line) for row in rows[:MOST_LINES]]
    more = " and others" if len(rows) > MOST_LINES else ""
    return f"{'line' if len(rows) == 1 else 'lines'} {', '.join(lines)}{more}"
