"""What was found, in sentences made from verdicts: true of whatever rows are stored."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from assay.claims.exact import ExactVerdict
from assay.claims.paper import Headline
from assay.claims.study import Study
from assay.claims.verdict import VERDICTS, Verdict
from assay.report.numbers import interval_text, typeset

__all__ = ["HeadlineFound", "Outcome", "headlines_found", "number_text", "what_was_found"]

Outcome = Literal["holds", "holds in part", "fails", "not reproduced", "open", "not run", "not tested"]
GOOD = ("supported", "holds")
BAD = ("refuted", "fails", "not-reproduced")
_TOLD = 2  # claims that failed, told in full
_LENGTH = 360  # letters of them; the first is always told


@dataclass(frozen=True)
class HeadlineFound:
    """A headline of the paper with what came of its claims and checks, in the order in which it names them.

    Attributes:
        headline: the sentence.
        tested: verdicts of its claims and checks; those that nobody ran are left out.
        unrun: the names of the others.
    """

    headline: Headline
    tested: tuple[Verdict | ExactVerdict, ...]
    unrun: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """What became of it: it holds where all that tests it does, and in part where some of that fails or is open."""
        if not self.headline.claims:
            return "not tested"
        names = [one.verdict for one in self.tested if one.verdict != "not-asked"]
        if not names:
            return "not run"
        n_good, bad = sum(name in GOOD for name in names), [name for name in names if name in BAD]
        if n_good == len(self.headline.claims):
            return "holds"
        if n_good:
            return "holds in part"
        if bad:
            return "not reproduced" if set(bad) == {"not-reproduced"} else "fails"
        return "open"

    @property
    def told(self) -> list[Verdict | ExactVerdict]:
        """What a reader is shown of it in full, at most three: the first that tests it, the first finding, and what failed."""
        judged = [one for one in self.tested if one.verdict != "not-asked"]
        findings = [one for one in judged if isinstance(one, Verdict)]
        failed = [one for one in judged if one.verdict in (*BAD, "void")]
        chosen: list[Verdict | ExactVerdict] = []
        for one in [*judged[:1], *findings[:1], *failed]:
            if one not in chosen and len(chosen) < 3:
                chosen.append(one)
        return [one for one in judged if one in chosen]


def headlines_found(study: Study, verdicts: Sequence[Verdict], exact: Sequence[ExactVerdict]) -> list[HeadlineFound]:
    """Each headline of the study's paper with what came of it."""
    by_name: dict[str, Verdict | ExactVerdict] = {one.claim: one for one in verdicts}
    by_name |= {one.check.name: one for one in exact}
    return [
        HeadlineFound(
            headline,
            tuple(by_name[name] for name in headline.claims if name in by_name),
            tuple(name for name in headline.claims if name not in by_name or by_name[name].verdict == "not-asked"),
        )
        for headline in study.paper.headlines
    ]


def number_text(verdict: Verdict) -> str:
    """A verdict's estimate, interval and unit, such as "3.04 [3.02, 3.06] nats"; empty where there is no number."""
    if verdict.estimate is None:
        return ""
    estimate, interval = interval_text(verdict.estimate, verdict.low, verdict.high)
    unit = "" if verdict.estimand_unit == "yes or no" else verdict.estimand_unit
    return typeset(" ".join(filter(None, (estimate, interval, unit))))


def what_was_found(study: Study, verdicts: Sequence[Verdict], exact: Sequence[ExactVerdict], *, quick: bool) -> list[str]:
    """One to three sentences: how the paper's headlines came out, how many findings, and which failed or are open.

    Args:
        study: as declared.
        verdicts: of the experiments that have runs.
        exact: of the exact checks.
        quick: whether the runs are of the quick preset, which judges nothing.
    """
    if quick:
        return ["These runs are of the quick preset: they exercise the plumbing, and nothing was found."]
    asked = [one for one in verdicts if one.verdict != "not-asked"]
    checked = [one for one in exact if one.verdict != "not-asked"]
    if not asked and not checked:
        return ["Nothing has been run yet."]
    sentences = [
        _of_headlines(headlines_found(study, verdicts, exact)),
        _of_findings(asked, checked),
        _of_failures(asked, checked),
    ]
    return [sentence for sentence in sentences if sentence]


def _of_headlines(found: Sequence[HeadlineFound]) -> str:
    outcomes = Counter(one.outcome for one in found)
    n = sum(count for outcome, count in outcomes.items() if outcome not in ("not run", "not tested"))
    if not n:
        return ""
    if outcomes["holds"] == n:
        which = (
            "The one headline of the paper that was tested holds"
            if n == 1
            else f"All {n} headlines of the paper that were tested hold"
        )
        return f"{which} here: everything that tests {'it' if n == 1 else 'them'} came out so."
    words: tuple[tuple[Outcome, str, str], ...] = (
        ("holds", "holds in full", "hold in full"),
        ("holds in part", "holds in part", "hold in part"),
        ("fails", "fails", "fail"),
        ("not reproduced", "is not reproduced", "are not reproduced"),
        ("open", "is open", "are open"),
    )
    parts = [f"{count} {one if count == 1 else many}" for outcome, one, many in words if (count := outcomes[outcome])]
    if n == 1:
        one = next(one.outcome for one in found if one.outcome not in ("not run", "not tested"))
        return f"The one headline of the paper that was tested {'is ' if one in ('open', 'not reproduced') else ''}{one}."
    return f"Of {n} headlines of the paper that were tested, {', '.join(parts)}."


def _of_findings(asked: Sequence[Verdict], checked: Sequence[ExactVerdict]) -> str:
    parts = []
    if asked:
        counted = Counter(one.verdict for one in asked)
        words = {"not-reproduced": "not reproduced", "inconclusive": "open"}
        told = [f"{n} {words.get(name, name)}" for name in VERDICTS if (n := counted[name])]
        parts.append(
            f"Of {len(asked)} claims {_joined(told)}" if len(asked) > 1 else f"The one claim is {told[0].partition(' ')[2]}"
        )
    if checked:
        n = sum(one.verdict == "holds" for one in checked)
        what = f"{len(checked)} exact checks" if len(checked) > 1 else "exact check"
        parts.append(
            f"{'all' if len(checked) > 1 else 'the one'} {what} hold{'s' * (len(checked) == 1)}"
            if n == len(checked)
            else f"{n} of {what} hold"
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _of_failures(asked: Sequence[Verdict], checked: Sequence[ExactVerdict]) -> str:
    failed = [f'"{one.check.sentence}" (exact check)' for one in checked if one.verdict == "fails"]
    failed += [_failure(one) for name in ("refuted", "not-reproduced") for one in asked if one.verdict == name]
    if failed:
        told = failed[:_TOLD] if len(" ".join(failed[:_TOLD])) <= _LENGTH else failed[:1]
        more = len(failed) - len(told)
        return f"What did not come out: {' '.join(told)}" + (f" And {more} more." if more else "")
    opened = [one for one in asked if one.verdict == "inconclusive"]
    return f"Open: {' '.join(_failure(one) for one in opened[:1])}" if opened else ""


def _failure(verdict: Verdict) -> str:
    number = number_text(verdict)
    seen = f"{number}, where the rule asks {typeset(verdict.rule)}" if number else verdict.reason
    word = {"not-reproduced": "not reproduced", "inconclusive": "open"}.get(verdict.verdict, verdict.verdict)
    return f"“{verdict.says.rstrip('.')}” – {word}: {seen}."


def _joined(parts: Sequence[str]) -> str:
    """Parts with commas and an "and": "12 are supported, 1 is refuted and 2 are open"."""
    words = [f"{part.partition(' ')[0]} {'is' if part.startswith('1 ') else 'are'} {part.partition(' ')[2]}" for part in parts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
