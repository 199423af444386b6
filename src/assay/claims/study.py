"""Study, Experiment, Claim, Control, Measurement: what a paper's file declares and what its code returns."""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.claims.charts import Figure
from assay.claims.rules import Ordered, Rule
from assay.core.errors import Diverged, SettingsError, UsageError, unknown_name
from assay.core.seeds import Seeds

__all__ = ["Claim", "Control", "Experiment", "Measurement", "Preset", "Study", "Summary", "Table"]

Scalar = float | int | str | bool
Table = list[dict[str, Scalar]]
Summary = Literal["mean", "bca", "median", "iqm", "share", "every", "clustered"]
PRESETS = ("quick", "laptop", "paper")
_TIME = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|h)")  # "40 s", "1.5 min", "2 h"


@dataclass(frozen=True)
class Measurement:
    """What one run yields.

    Attributes:
        estimands: the named numbers claims and controls speak of. A number that does not exist in this run is left out or nan;
            it is never replaced by zero, and a claim that needs it is void.
        tables: tidy rows for figures; a value is a number or a short text. Keep them small (thousands of rows, not millions).
        items: per-item values of an estimand, for claims summarised as `clustered` (items inside runs).
    """

    estimands: Mapping[str, float]
    tables: Mapping[str, Table] = field(default_factory=dict)
    items: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """A variant in which the claim's cause is removed (or, for a null claim, planted).

    The control must come out as expected or the claim is void: without a `rule` of its own, the claim's rule must be *refuted*
    on the control's estimand; with one, that rule must be *supported*.

    Attributes:
        says: what was changed, and what must happen then.
        estimand: the control's value in the same run (a tuple for a claim with the rule `Ordered`).
        rule: its own rule, where the claim's scale does not fit.
    """

    says: str
    estimand: str | tuple[str, ...]
    rule: Rule | None = None


@dataclass(frozen=True)
class Claim:
    """A falsifiable sentence of a paper (or of ours), bound to a number and a rule before anything is run.

    Attributes:
        name: short and unique within the study ("C1").
        says: the sentence, in our words, with the numbers that make it falsifiable.
        source: where it is claimed (section, figure, theorem; or "ours").
        estimand: the name of the number each run yields; several for the rule `Ordered`.
        rule: how the interval over runs becomes a verdict.
        control: what could have refuted the claim. Required.
        margin: why the rule's numbers are what they are, in one line.
        paper_value: the paper's own number or finding, as a reader compares it with ours.
        summary: how runs are summarised. `mean` (t interval), `bca`, `median`, `iqm`, `share` (0/1 per run, exact binomial),
            `every` (the range over runs: for statements that hold in each run), `clustered` (items inside runs).
        unit: what the interval is taken over.
        given: what a run must hold for the claim's numbers to exist at all ("a wrong answer"); runs without it take no part,
            as long as most have it. Empty: every run must have the numbers.
    """

    name: str
    says: str
    source: str
    estimand: str | tuple[str, ...]
    rule: Rule
    control: Control
    margin: str
    paper_value: str | float | None = None
    summary: Summary = "mean"
    unit: str = "run"
    given: str = ""

    def __post_init__(self) -> None:
        # Studies arrive through entry points too, untyped; a claim that nothing could refute is refused at load.
        if not isinstance(self.control, Control):
            raise SettingsError(
                f"claim '{self.name}' must have a control that could refute it; got {self.control!r}. Add control=Control(...)"
            )
        for what, text in (("name", self.name), ("says", self.says), ("source", self.source), ("margin", self.margin)):
            if not text.strip():
                raise SettingsError(f"claim '{self.name}': {what} must not be empty")
        if isinstance(self.rule, Ordered) != isinstance(self.estimand, tuple):
            raise SettingsError(
                f"claim '{self.name}': the rule Ordered goes with a tuple of estimands, every other rule with one; "
                f"got {self.estimand!r}"
            )
        if isinstance(self.estimand, tuple) and len(self.estimand) < 2:
            raise SettingsError(f"claim '{self.name}': Ordered needs at least two estimands; got {self.estimand!r}")
        if self.control.rule is None and isinstance(self.control.estimand, tuple) != isinstance(self.estimand, tuple):
            raise SettingsError(
                f"claim '{self.name}': a control judged by the claim's own rule needs estimands of the same form; "
                f"got {self.control.estimand!r} beside {self.estimand!r}. Give the control a rule of its own"
            )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change when anything the verdict depends on changes."""
        judged: tuple[object, ...] = (
            self.name, self.estimand, self.rule, self.summary, self.control.estimand, self.control.rule,
        )  # fmt: skip
        if self.given:
            judged += ("given",)
        return hashlib.sha256(repr(judged).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Preset:
    """A named scale of an experiment: its settings and how many runs (seeds) an interval gets."""

    settings: Any  # a frozen dataclass; every preset of an experiment has the same type
    n_runs: int

    def __post_init__(self) -> None:
        if self.n_runs < 1:
            raise SettingsError(f"a preset needs at least one run; got n_runs={self.n_runs}")


Measure = Callable[[Any, Seeds], Measurement]
MeasureMany = Callable[[Any, Sequence[Seeds]], "Sequence[Measurement | Diverged]"]


@dataclass(frozen=True)
class Experiment:
    """One arm of a study: a question, settings, a pure `measure`, and the claims it decides.

    Attributes:
        name: a slug, unique within the study.
        question: one sentence.
        claims: what this arm decides.
        presets: `quick` (seconds, plumbing only) and `laptop` (two cores, real verdicts) are required; `paper` where
            it differs.
        measure: one run. Pure: same settings and seed, same rows, on the same machine class and thread count. May
            raise `Diverged`.
        measure_many: the same for several seeds in one program; a run's row must not depend on its batch mates. A run that
            diverged is returned as its `Diverged`.
        batch: how many runs one call of `measure_many` should get at the most (memory, and what a kill can lose).
        figures: drawn from the tables by the report.
        cost: time of the laptop preset on two cores ("40 s", "5 min"), or "of one core", as measured; the estimate of a
            command that has seen no run begins with it.
        needs: extras without which it cannot run, as {"importable module": "extra"}.
        ready: called with the settings before anything starts; raises `InputError` where something else it needs, such as a
            model, is not there.
    """

    name: str
    question: str
    claims: tuple[Claim, ...]
    presets: Mapping[str, Preset]
    measure: Measure
    measure_many: MeasureMany | None = None
    batch: int = 16
    figures: tuple[Figure, ...] = ()
    cost: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        _slug("experiment", self.name)
        for name in ("quick", "laptop"):
            if name not in self.presets:
                raise SettingsError(
                    f"experiment '{self.name}' must have the preset '{name}'; it has {', '.join(self.presets) or 'none'}"
                )
        for name in self.presets:
            if name not in PRESETS:
                raise SettingsError(f"experiment '{self.name}': presets are {', '.join(PRESETS)}; got '{name}'")
        kinds = {type(preset.settings) for preset in self.presets.values()}
        if len(kinds) != 1:
            raise SettingsError(
                f"experiment '{self.name}': all presets must share one settings type; got {sorted(k.__name__ for k in kinds)}"
            )
        _unique(f"experiment '{self.name}': figure", [figure.name for figure in self.figures])
        for figure in self.figures:  # its files are called so
            _slug(f"experiment '{self.name}': figure", figure.name)

    @property
    def seconds_per_run(self) -> float | None:
        """Of one core, by the stated cost; None where that states no time."""
        stated = _TIME.search(self.cost)
        if stated is None:
            return None
        cores = 1 if "one core" in self.cost else 2
        return cores * float(stated[1]) * {"s": 1, "m": 60, "h": 3600}[stated[2]] / self.presets["laptop"].n_runs

    def preset(self, name: str) -> Preset:
        """The preset called `name`; `paper` falls back to `laptop` where the laptop already runs the paper's scale.

        Raises:
            UsageError: there is no such preset.
        """
        if name not in PRESETS:
            raise UsageError(unknown_name("preset", name, PRESETS, see=f"Presets are {', '.join(PRESETS)}"))
        return self.presets.get(name, self.presets["laptop"])


@dataclass(frozen=True)
class Study:
    """One paper: where it is from, what we do differently, and its experiments.

    The story stands once, in the module's docstring: `Title: question.` on the first line, then the sections `Paper`,
    `Scale` and `Departs` (items D1, D2, ...), each starting at the margin.

    Attributes:
        slug: the study's name on the command line; its file has the same name with underscores.
        doc: the module's `__doc__`.
        experiments: at least one.
        version: raised when its numbers may change; rows of different versions are never pooled.
    """

    slug: str
    doc: str
    experiments: tuple[Experiment, ...]
    version: int = 1

    def __post_init__(self) -> None:
        _slug("study", self.slug)
        if not self.experiments:
            raise SettingsError(f"study '{self.slug}' must have at least one experiment")
        _unique(f"study '{self.slug}': experiment", [experiment.name for experiment in self.experiments])
        _unique(f"study '{self.slug}': claim", [claim.name for claim in self.claims])
        for part in ("paper", "scale"):
            if not getattr(self, part):
                raise SettingsError(f"study '{self.slug}': its docstring must have a section '{part.title()}' at the margin")

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims, in the order of the experiments."""
        return tuple(claim for experiment in self.experiments for claim in experiment.claims)

    @property
    def title(self) -> str:
        """The docstring's first line without its full stop."""
        return self.doc.strip().splitlines()[0].strip().rstrip(".")

    @property
    def paper(self) -> str:
        """Authors, year, title, identifier."""
        return _section(self.doc, "Paper")

    @property
    def scale(self) -> str:
        """Theirs and ours."""
        return _section(self.doc, "Scale")

    @property
    def departures(self) -> tuple[str, ...]:
        """What we do differently and why, one text each, without the label."""
        text = _section(self.doc, "Departs")
        starts: list[re.Match[str]] = []
        for label in re.finditer(r"(?:^|\s)D(\d+)\s+", text):
            if int(label[1]) == len(starts) + 1:  # any other label is a mention inside a sentence
                starts.append(label)
        ends = [label.start() for label in starts[1:]] + [len(text)]
        return tuple(text[label.end() : end].strip() for label, end in zip(starts, ends, strict=False))

    def experiment(self, name: str) -> Experiment:
        """The experiment called `name`.

        Raises:
            UsageError: there is none.
        """
        names = [experiment.name for experiment in self.experiments]
        if name not in names:
            raise UsageError(unknown_name("experiment", name, names, see=f"'{self.slug}' has: {', '.join(names)}"))
        return self.experiments[names.index(name)]

    def claim(self, name: str) -> Claim:
        """The claim called `name`.

        Raises:
            UsageError: there is none.
        """
        names = [claim.name for claim in self.claims]
        if name not in names:
            raise UsageError(unknown_name("claim", name, names, see=f"'{self.slug}' has: {', '.join(names)}"))
        return self.claims[names.index(name)]


def _section(doc: str, name: str) -> str:
    """The text of a docstring section that starts with `name` at the margin, folded to one line."""
    found = re.search(rf"^{name}[ \t]+(.*(?:\n(?:[ \t]+.*|[ \t]*))*)", inspect.cleandoc(doc), re.M)
    return " ".join(found.group(1).split()) if found else ""


def _slug(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise SettingsError(f"a {kind} is named by a slug (lower-case letters, digits, single hyphens); got {name!r}")


def _unique(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{what} names must be unique; got {', '.join(twice)} more than once")
