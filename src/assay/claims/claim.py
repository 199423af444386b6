"""Claim and Arm: a falsifiable sentence bound to a number and a rule, with the controls that could have embarrassed it."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

from assay.claims.estimand import Estimand, arm_of, name_of
from assay.claims.rules import Equals, Ordered, Outside, Rule, Within
from assay.core.errors import SettingsError, unknown_name

__all__ = ["Arm", "Claim", "Kind", "Names", "Summary", "check_defined", "names"]

Summary = Literal["mean", "bca", "median", "iqm", "share", "every", "clustered"]
Kind = Literal["finding", "every", "exact"]
Names = str | tuple[str, ...]
_PLACE = re.compile(r"\{(bound|low|high|margin|value|tolerance)(?::([^{}]*))?\}")


@dataclass(frozen=True)
class Arm:
    """A variant of an experiment on which a claim's estimand is measured as well: its control.

    Of a negative control the cause is taken away, and the claim's rule must fail on it; on a positive control the effect is
    known to be there, and the rule must pass. With a rule of its own the arm must fulfil that one.

    Attributes:
        name: the first segment of the measured name; several, in order, for a claim with the rule `Ordered`.
        says: what was changed, and what must happen then.
        rule: its own rule, where the claim's does not fit: a null effect is `Within` a band, it does not merely miss a bound.
        estimand: another estimand than the claim's, for the few exceptions; then `why` is required.
        why: why this control needs another estimand, or why this null arm lacks some.
        power_only: of a positive control: the effect was not trained or prompted into the very system that the claim is about
            (numbers written into scores, shifted answers, another system); it shows that one of this size would be seen.
        lacks: of a null arm, the estimands that it cannot have; then `why` is required.
    """

    name: Names
    says: str
    rule: Rule | None = None
    estimand: str | None = None
    why: str = ""
    power_only: bool = False
    lacks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(name.strip() for name in names(self.name)) or not names(self.name):
            raise SettingsError(f"an arm must have a name; got {self.name!r}")
        if not self.says.strip():
            raise SettingsError(f"arm '{self.name}': says must tell what was changed; it is empty")
        if self.estimand is not None and not self.why.strip():
            raise SettingsError(
                f"arm '{self.name}' is read by another estimand, '{self.estimand}', than its claim: say why=..., or leave "
                "estimand out, so that claim and control are the same number of two arms"
            )
        if self.lacks and not self.why.strip():
            raise SettingsError(f"arm '{self.name}' lacks {', '.join(self.lacks)}: say why=..., or measure it there")

    def measured(self, claimed: Names) -> Names:
        """The name(s) under which a run yields this arm's number for a claim about `claimed`."""
        if isinstance(self.name, tuple):
            own = [self.estimand] * len(self.name) if self.estimand is not None else [name_of(one) for one in names(claimed)]
            return tuple(f"{arm}/{estimand}" for arm, estimand in zip(self.name, own, strict=False))
        if self.estimand is not None:
            return f"{self.name}/{self.estimand}"
        return f"{self.name}/{name_of(names(claimed)[0])}"


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence of a paper (or of ours), bound to a number and a rule before anything is run.

    Attributes:
        name: short and unique within the study ("C1").
        says: the sentence, in our words, whole without the claims around it. It names the rule's numbers by `{bound}`, `{low}`,
            `{high}`, `{margin}`, `{value}` or `{tolerance}`, which are filled in from the rule; `{bound:.0%}` writes 25%.
        estimand: "arm/estimand", the number each run yields; one an arm, in order, for the rule `Ordered`.
        rule: how the interval over runs becomes a verdict.
        why: why the rule's numbers are what they are, in one line.
        at: the place in the study's paper (section, figure, theorem), or "ours".
        negative: the same estimand where the cause is taken away. Required: it is what could have refuted the claim.
        positive: the same estimand where the effect is known to be there.
        paper: the paper's own number or finding, as a reader compares it with ours.
        summary: how runs are summarised. `mean` (t interval), `bca`, `median`, `iqm`, `share` (0/1 per run, exact binomial),
            `every` (the range over runs: for statements that hold in each run), `clustered` (items inside runs).
        given: what a run must hold for the claim's numbers to exist at all ("a wrong answer"); runs without it take no part,
            as long as most have it. Empty: every run must have the numbers.
        run_is: what a run is, which the interval is taken over.
        null_passes: which null arm passes the rule and why that is no fault (an equivalence, a bound from above, a bias), with
            the claim that is its other half; empty where none may (see `assay check --nulls`).
        related: why this is a finding of its own although its number goes with another claim's over the runs, does not vary, or
            has the same control; empty where it needs no explanation (see `assay check`).
        defined: what the estimand is; filled in by the experiment the claim belongs to.
    """

    name: str
    says: str
    estimand: Names
    rule: Rule
    why: str
    at: str
    negative: Arm
    positive: Arm | None = None
    paper: str | float | None = None
    summary: Summary = "mean"
    given: str = ""
    run_is: str = "run"
    null_passes: str = ""
    related: str = ""
    defined: Estimand | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Studies arrive through entry points too, untyped; a claim that nothing could refute is refused at load.
        if not isinstance(self.negative, Arm):
            raise SettingsError(
                f"claim '{self.name}' must have a negative control that could refute it; got {self.negative!r}. "
                'Add negative=Arm("the arm without the cause", "what was taken away")'
            )
        if not (self.positive is None or isinstance(self.positive, Arm)):
            raise SettingsError(f"claim '{self.name}': positive must be an Arm or None; got {self.positive!r}")
        for what in ("name", "says", "why", "at"):
            if not str(getattr(self, what)).strip():
                raise SettingsError(f"claim '{self.name}': {what} must not be empty")
        if isinstance(self.rule, Ordered) != isinstance(self.estimand, tuple):
            raise SettingsError(
                f"claim '{self.name}': the rule Ordered goes with a tuple of estimands, every other rule with one; "
                f"got {self.estimand!r}"
            )
        if isinstance(self.estimand, tuple) and len(self.estimand) < 2:
            raise SettingsError(f"claim '{self.name}': Ordered needs at least two estimands; got {self.estimand!r}")
        for control in self.controls:
            if control.rule is None and (
                isinstance(control.name, tuple) != isinstance(self.estimand, tuple)
                or len(names(control.name)) != len(names(self.estimand))
            ):
                raise SettingsError(
                    f"claim '{self.name}': a control judged by the claim's own rule needs as many arms as the claim; "
                    f"got {control.name!r} beside {self.estimand!r}. Name as many, or give the control a rule of its own"
                )

    @property
    def controls(self) -> tuple[Arm, ...]:
        """The negative control, and the positive one where there is one."""
        return (self.negative,) if self.positive is None else (self.negative, self.positive)

    @property
    def kind(self) -> Kind:
        """`every` for a statement about each run, outside the correction for many claims; else `finding`."""
        return "every" if self.summary == "every" else "finding"

    @property
    def sentence(self) -> str:
        """What is claimed, with the rule's numbers in it: the ratio, where the estimand is a logarithm."""
        return _PLACE.sub(lambda place: self._number(place[1], place[2]), self.says)

    @property
    def rule_text(self) -> str:
        """The rule as a reader writes it, on the ratio where the estimand is a logarithm, and with the unit."""
        if self.defined is None:
            return self.rule.text
        text = self.rule.as_text(self.bound_shown)
        return text if self.defined.is_pure else f"{text} {self.defined.unit}"

    def bound_shown(self, value: float) -> float:
        """A number of the rule as a reader is shown it: the ratio, in four digits, where the estimand is a logarithm."""
        ratio = value if self.defined is None else self.defined.shown(value)
        return value if ratio == value else float(f"{ratio:.4g}")

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change when anything the verdict depends on changes."""
        controls = tuple((control.measured(self.estimand), control.rule) for control in self.controls)
        judged = (self.name, self.estimand, self.rule, self.summary, controls, bool(self.given))
        return hashlib.sha256(repr(judged).encode()).hexdigest()[:16]

    def check_sentence(self, defined: Estimand) -> None:
        """Refuses a sentence that does not state the numbers its rule tests.

        Raises:
            SettingsError: a number is missing, is written so short that it is another one, or is none of the rule's.
        """
        named = [place[1] for place in _PLACE.finditer(self.says)]
        for missing in sorted(set(named) - set(self.rule.numbers)):
            raise SettingsError(
                f"claim '{self.name}': its sentence names {{{missing}}}, which {type(self.rule).__name__} does not have; "
                f"it has {', '.join(f'{{{name}}}' for name in self.rule.numbers)}"
            )
        if not any(needed <= set(named) for needed in _needed(self.rule, defined)):
            wanted = " or ".join(
                " and ".join(f"{{{name}}}" for name in sorted(needed)) for needed in _needed(self.rule, defined)
            )
            raise SettingsError(
                f"claim '{self.name}': the sentence must state the number that its rule tests ({self.rule.text}): "
                f"write {wanted} where the number stands"
            )
        for place in _PLACE.finditer(self.says):
            written, exact = self._number(place[1], place[2]), defined.shown(self.rule.numbers[place[1]])
            read = float(written.rstrip("%").replace(",", "")) / (100 if written.endswith("%") else 1)
            if abs(read - exact) > 0.005 * abs(exact):
                raise SettingsError(
                    f"claim '{self.name}': {place[0]} writes {exact:.6g} as {written}, which is another number; "
                    "give it more digits"
                )

    def _number(self, name: str, form: str | None) -> str:
        value = self.rule.numbers[name]
        if self.defined is not None:
            value = self.defined.shown(value)
        return format(value, form or ".4g")


def _needed(rule: Rule, defined: Estimand) -> list[set[str]]:
    """The sets of numbers of which a sentence must name one whole."""
    if isinstance(rule, Within | Outside):
        return [{"margin"}, {"low", "high"}] if "margin" in rule.numbers else [{"low", "high"}]
    if isinstance(rule, Equals):
        return [set()] if defined.is_fact else [{"value"}]
    return [{"margin"}] if isinstance(rule, Ordered) else [{"bound"}]


def names(one_or_more: Names) -> tuple[str, ...]:
    """The names as a tuple, one or several."""
    return (one_or_more,) if isinstance(one_or_more, str) else one_or_more


def check_defined(owner: str, claim: Claim, estimands: dict[str, Estimand]) -> Estimand:
    """What the estimand of a claim is, one for all its arms.

    Raises:
        SettingsError: the claim or one of its controls names a number that is not defined, or an ordering mixes several.
    """
    for measured in (
        name for group in (claim.estimand, *(c.measured(claim.estimand) for c in claim.controls)) for name in names(group)
    ):
        if not name_of(measured) or not arm_of(measured):
            raise SettingsError(f"{owner}, claim '{claim.name}': an estimand is named 'arm/estimand'; got '{measured}'")
        if name_of(measured) not in estimands:
            see = f'Define it: estimands=(Estimand({name_of(measured)!r}, "what it is"), ...)'
            raise SettingsError(
                f"{owner}, claim '{claim.name}': " + unknown_name("estimand", name_of(measured), estimands, see=see)
            )
    for control in claim.controls:
        if control.measured(claim.estimand) == claim.estimand:
            raise SettingsError(
                f"{owner}, claim '{claim.name}': a control must be another arm than the claim's; both are {claim.estimand!r}"
            )
    own = {name_of(measured) for measured in names(claim.estimand)}
    if len(own) > 1:
        raise SettingsError(
            f"{owner}, claim '{claim.name}': an ordering compares one estimand on several arms; got {', '.join(sorted(own))}"
        )
    return estimands[own.pop()]
