"""What to do, in plain words: each line with the number that it rests on, of this record or of our own comparison.

A line fits what was done: of a model that somebody else tuned nothing is said about training, of a forecast nothing about
what came. A harm is told with a remedy: one that helped here, else one that helped in our own comparison of all mitigations,
which is a table of docs/audit.md. What a table speaks against is not named: no line rests on a forecast that did not order
facts there.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from assay.audit.columns import COLUMNS, column_named
from assay.audit.counts import Count
from assay.audit.mitigations import MITIGATIONS, SHRUNK
from assay.audit.record import Advice, Arm, Audit, Harm
from assay.audit.retention_record import steps_text
from assay.audit.totals import EVERYTHING, Total

__all__ = ["advice", "ranked"]

TABLE = "docs/audit.md, Mitigations at equal memorisation"
SPURIOUS = 0.25
FEW = 0.5  # of what was asked
FAR = 10  # times as many steps as were made: a line is not followed further


def advice(found: Audit) -> tuple[Advice, ...]:
    """What to do, the most useful first."""
    if not found.rows:
        return (*_of_forecast(found), *_of_known(found))
    lines = [*_of_learning(found), *_of_retention(found), *_of_harms(found), *_of_wants(found), *_of_arms(found)]
    return (*lines, *(() if found.tuned else _of_known(found)))


def ranked(arms: Sequence[Arm]) -> list[Arm]:
    """Arms that were compared, the best first: by clear improvements less clear damage, then by minutes.

    The smaller step comes last: it is the others' control, and its own is plain training.
    """
    compared = [arm for arm in arms if arm.harms]
    return sorted(compared, key=lambda arm: (arm.name == SHRUNK, -sum(map(_good, arm.harms)), arm.minutes, arm.name))


def _good(harm: Harm) -> int:
    """1 for a clear improvement that is worth a sentence, -1 for clear damage, else 0."""
    column = column_named(harm.column)
    if not harm.clear or abs(harm.estimate) < column.worth:
        return 0
    return 1 if (harm.estimate > 0) == column.wanted else -1


def _of_learning(found: Audit) -> Iterator[Advice]:
    """What to do where little was learned."""
    count = _count(found, "learned")
    if count is None or count.after >= FEW * count.n:
        return
    remedy = (
        "was it trained on these very texts, and saved and merged afterwards?"
        if found.tuned
        else f"train longer or harder (--set n_epochs={2 * int(str(found.recipe['n_epochs']))}, or a larger learning_rate)."
    )
    yield Advice(f"Little was learned: {remedy}", _cite_count(count))


def _of_retention(found: Audit) -> Iterator[Advice]:
    """When facts are to be told again, where plain steps were followed and something had been gained."""
    kept = found.retention
    if kept is None or len(kept.steps) < 2 or not kept.kept:
        return
    left = f"{kept.kept[-1]:.2f} of what was gained is left after {_steps(kept.n_steps)} on plain text"
    cites = f"Retained: gain {kept.gain:.2g} nats, {kept.kept[-1]:.2f} kept after {kept.n_steps:,} steps"
    if kept.slope is None or kept.threshold is None:
        yield Advice(f"{_capital(left)}; two askings or more tell how fast it goes.", cites)
        return
    cites = (
        f"Retained: slope {_signed(kept.slope)}{_interval(kept.slope_low, kept.slope_high)} of the gain per factor of ten in "
        f"steps, threshold {_within(kept.threshold, kept.threshold_low, kept.threshold_high)} steps"
    )
    if kept.slope_low is None or kept.slope_low <= 0:
        yield Advice(f"{_capital(left)}; that facts are forgotten is not clear.", cites)
        return
    surely = kept.threshold if kept.threshold_low is None else kept.threshold_low
    if surely > FAR * kept.n_steps:
        yield Advice(f"{_capital(left)}; nothing has to be told again within {_steps(FAR * kept.n_steps)}.", cites)
        return
    if surely < 1:
        yield Advice(f"Tell them in every step (--mitigate replay mixes plain text in): {left}.", cites)
        return
    yield Advice(f"Tell it again within {_steps(_round_down(surely))}: {left}.", cites)


def _of_harms(found: Audit) -> Iterator[Advice]:
    """Every clear harm with what helps against it."""
    unwanted = [total for total in found.totals if total.group == EVERYTHING and not column_named(total.column).wanted]
    harms = [total for total in unwanted if total.clear and total.estimate >= column_named(total.column).worth]
    for total in sorted(harms, key=lambda one: -one.estimate / column_named(one.column).reach):
        yield _remedied(found, total)
    if not harms:
        widest = [f"{_title(one)} {_signed(one.high)}" for one in unwanted if one.high is not None]
        if widest:
            small = any(one.clear and one.estimate > 0 for one in unwanted)
            said = "What is clear is small" if small else "No harm is clear"
            likely = [count for count in found.counts if _likely_harm(count)]
            rest = "How large a harm may still be is the upper end of its interval."
            cites = f"In total, upper ends: {', '.join(widest)}"
            if likely:
                compared = {arm.name for arm in found.arms}
                offered = _offered(likely[0].column, without=compared, trains=not found.tuned)
                rest = f"Looked at alone, this would be: {'; '.join(count.text for count in likely)}."
                said += " with all columns allowed for"
                if offered is not None:
                    rest, cites = f"{rest} Compare {offered[0]}.", f"{cites}; {offered[1]}"
                elif SHRUNK not in compared:
                    rest = f"{rest} Compare {_smaller()}."
            yield Advice(f"{said}. {rest}", cites)


def _likely_harm(count: Count) -> bool:
    """Whether what nobody wanted moved beyond the count's interval of 95 %, which allows for no other column."""
    column = column_named(count.column)
    kept = column.losses and column.counts == "right"  # what was known is counted as long as it is
    return count.moved and not column.wanted and (count.after < count.before) == kept


def _remedied(found: Audit, total: Total) -> Advice:
    """A harm, and what helps against it: the best of this record's arms, else what helped in our own comparison."""
    column = column_named(total.column)
    said = f"{column.said[:1].upper()}{column.said[1:]}".format(
        change=_signed(total.estimate), times=f"{10**total.estimate:.2g}"
    )
    cite = f"In total, {_title(total)} {_signed(total.estimate)}{_interval(total.low, total.high)}"
    helping = [
        (harm.estimate, arm, harm)
        for arm in found.arms
        for harm in arm.harms
        if harm.column == total.column and _good(harm) > 0
    ]
    # A smaller step gives up some of everything, so what it costs is said; another arm must give more than it costs.
    worth = [one for one in helping if one[1].name == SHRUNK or sum(map(_good, one[1].harms)) > 0]
    if worth:
        # What a smaller step does is measured against plain training, what the others do against the smaller step.
        _, arm, harm = min(worth, key=lambda one: (one[1].name == SHRUNK, one[0]))
        return Advice(f"{said}. {_do(arm)}", f"{cite}; {_cite_arm(arm, harm)}")
    compared = {arm.name for arm in found.arms}
    offered = _offered(total.column, without=compared, trains=not found.tuned)
    if offered is None and SHRUNK in compared:
        rest = "keep less of the update" if found.tuned else "inject fewer facts, or keep less of the update"
        vain = "What was compared helps at the price of as much" if helping else "Nothing that was compared clearly helps"
        return Advice(
            f"{said}. {vain}; {rest}.",
            f"{cite}; Mitigations: {', '.join(arm.name for arm in found.arms if arm.harms)}",
        )
    if offered is None:
        said = f"{said}. Compare {_smaller()}."
        return Advice(said, f"{cite}; nothing of our own comparison speaks of it")
    remedy, number = offered
    return Advice(f"{said}. Compare {remedy}.", f"{cite}; {number}")


def _smaller() -> str:
    """The smaller step, which does less of anything, in words."""
    return f"'{SHRUNK}', which {MITIGATIONS[SHRUNK].says} (--mitigate {SHRUNK})"


def _offered(column: str, *, without: Collection[str] = (), trains: bool = True) -> tuple[str, str] | None:
    """What helped with a column in our own comparison, in words, and the numbers that say so; None where nothing did."""
    found = {
        name: one
        for name, one in MITIGATIONS.items()
        if column in one.helps and name not in without and (trains or not one.trains)
    }
    if not found:
        return None
    named = ", or ".join(f"'{name}', which {one.says}" for name, one in found.items())
    numbers = "; ".join(f"{name} {one.helps[column]}" for name, one in found.items())
    return f"{named} (--mitigate {','.join(found)})", f"{TABLE}: {column_named(column).title}: {numbers}"


def _do(arm: Arm) -> str:
    """What to do about a harm that this arm lowers."""
    recalled = next((count for count in arm.counts if count.column == "learned"), None)
    still = "" if recalled is None else f"; {recalled.after:.0f} of {recalled.n} are still recalled"
    costs = [_change(harm) for harm in arm.harms if _good(harm) < 0]
    price = f", at the price of {'; '.join(costs)}" if costs else ""
    if arm.name == SHRUNK:
        return (
            f"Keep {arm.scale or 0:.2f} of the update (weights before + {arm.scale or 0:.2f} × what training added; of an "
            f"adapter, its alpha times {arm.scale or 0:.2f}){still}{price}."
        )
    return f"'{arm.name}', which {arm.says}, lowers it at the same memorisation{price}."


def _of_wants(found: Audit) -> Iterator[Advice]:
    """What was wanted and came only in part, where something is known to help."""
    learned = _count(found, "learned")
    if found.tuned or learned is None or learned.after < FEW * learned.n:
        return
    compared = {arm.name for arm in found.arms}
    for column in COLUMNS.values():
        count = _count(found, column.name)
        if not column.wanted or count is None or count.after >= FEW * count.n:
            continue
        offered = _offered(column.name, without=compared)
        if offered is not None:
            remedy, number = offered
            yield Advice(f"Few {column.counted}: compare {remedy}.", f"{_cite_count(count)}; {number}")


def _of_arms(found: Audit) -> Iterator[Advice]:
    """What the comparison says beside remedies: improvements of what is wanted, and that nothing beats the control."""
    arms = ranked(found.arms)
    for arm in arms:
        better = [harm for harm in arm.harms if _good(harm) > 0 and column_named(harm.column).wanted]
        worse = [harm for harm in arm.harms if _good(harm) < 0]
        if better and sum(map(_good, arm.harms)) > 0:
            price = f", at the price of {'; '.join(map(_change, worse))}" if worse else ""
            yield Advice(
                f"'{arm.name}', which {arm.says}, gives {'; '.join(map(_change, better))} at the same memorisation{price}.",
                _cite_arm(arm, better[0]),
            )
    others = [arm for arm in arms if arm.name != SHRUNK]
    if others and not any(_good(harm) > 0 for arm in others for harm in arm.harms):
        yield Advice(
            "No other mitigation clearly beats the smaller step.", f"Mitigations: {', '.join(arm.name for arm in others)}"
        )


def _of_known(found: Audit) -> Iterator[Advice]:
    known = sum(one.status == "known" for one in found.forecast)
    if known:
        yield Advice(
            f"{known} of {len(found.forecast)} facts to inject are known already: leave them out, there is nothing to gain.",
            f"Forecast, known: {known}",
        )


def _of_forecast(found: Audit) -> Iterator[Advice]:
    """What the file itself says may come, where nothing was trained yet, with what helped elsewhere."""
    spurious = sum((one.hallucinates or 0.0) > SPURIOUS for one in found.forecast)
    if spurious:
        yield _warned(
            f"For {spurious} facts the file teaches a pairing that does not follow to a part of the subjects; it may be made "
            f"up of the others too.",
            "hallucinated",
            f"Forecast, hallucinates above {SPURIOUS:g}: {spurious}",
        )


def _warned(says: str, column: str, cite: str) -> Advice:
    offered = _offered(column)
    if offered is None:
        return Advice(says, cite)
    remedy, number = offered
    return Advice(f"{says} When it is trained, compare {remedy}.", f"{cite}; {number}")


# Words for numbers


def _steps(n: int) -> str:
    return f"{n:,} step{'' if n == 1 else 's'}"


def _round_down(value: float) -> int:
    """At most the value, with two digits."""
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return int(value // unit * unit)


def _within(value: float, low: float | None, high: float | None) -> str:
    """A number of steps with its interval."""
    ends = "" if low is None or high is None or not low else f" [{steps_text(low)}, {steps_text(high)}]"
    return f"{steps_text(value)}{ends}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(found: Audit, column: str) -> Count | None:
    return next((count for count in found.counts if count.column == column), None)


def _cite_count(count: Count) -> str:
    return f"Counted: {count.after:.3g} of {count.n} {column_named(count.column).counted}"


def _cite_arm(arm: Arm, harm: Harm) -> str:
    return (
        f"Mitigations: {arm.name} against {arm.against}, {column_named(harm.column).title} {_signed(harm.estimate)}"
        f"{_interval(harm.low, harm.high)}"
    )


def _change(harm: Harm) -> str:
    column = column_named(harm.column)
    unit = "" if column.unit == "probability" else f" {column.unit}"
    return f"{'more' if harm.estimate > 0 else 'less'} {column.word} ({_signed(harm.estimate)}{unit})"


def _title(total: Total) -> str:
    return column_named(total.column).title


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2g}"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None or math.isinf(low) or math.isinf(high):
        return ""
    return f" [{_signed(low)}, {_signed(high)}]"
