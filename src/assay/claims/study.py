"""Study, Experiment, Preset and Measurement: what a paper's folder declares and what its code returns."""

import dataclasses
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.claims.charts import Figure
from assay.claims.claim import Arm, Claim, check_defined
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost, Departure, Example, Paper
from assay.core.errors import Diverged, InputError, SettingsError, UsageError, unknown_name
from assay.core.seeds import Seeds

__all__ = ["Experiment", "Measurement", "Preset", "Scalar", "Study", "Table"]

Scalar = float | int | str | bool
Table = list[dict[str, Scalar]]
PRESETS = ("quick", "laptop", "paper")
MAX_FAMILIES = 4
_NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


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
    """One part of a study: a question, settings, a pure `measure`, and the claims it decides.

    Attributes:
        name: a slug, unique within the study.
        question: one sentence.
        claims: what it decides.
        presets: `quick` (seconds, plumbing only) and `laptop` (two cores, real verdicts) are required; `paper` where
            it differs.
        measure: one run: a function, or its name as "module:function", which is loaded when something is run. Pure: same
            settings and seed, same rows, on the same machine class and thread count. May raise `Diverged`.
        measure_many: the same for several seeds in one program; a run's row must not depend on its batch mates. A run that
            diverged is returned as its `Diverged`. `measure` may then be left out.
        estimands: what the measured numbers are, each once for all arms.
        nulls: arms without the mechanism, which no claim of an effect may pass.
        measure_nulls: one run of the null arms, where `measure` does not have them: it yields "null/estimand" for every
            estimand of a claim, by the claim's own functions (a function or its name; see `assay check --nulls`).
        exact: what holds by identity or because the world was built so; no findings.
        check: the number of each exact check by its name, from the settings alone, without seeds (a function or its name).
        first_seed: the first seed that counts, where its protocol changed after counted runs and it alone is judged on fresh
            ones; None for the study's.
        family: the question of the paper that it belongs to; false verdicts are bounded a question, of which a study has at
            most four. Empty: the study's one question.
        batch: how many runs one call of `measure_many` should get at the most (memory, and what a kill can lose).
        figures: drawn from the tables by the report.
        cost: time of the laptop preset, as measured; the estimate of a command that has seen no run begins with it.
        needs: extras without which it cannot run, as {"importable module": "extra"}.
        ready: called with the settings before anything starts (a function or its name); raises `InputError` where something
            else it needs, such as a model, is not there.
    """

    name: str
    question: str
    claims: tuple[Claim, ...]
    presets: Mapping[str, Preset]
    measure: Measure | str | None = None
    measure_many: MeasureMany | str | None = None
    batch: int = 16
    figures: tuple[Figure, ...] = ()
    cost: Cost | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[Any], None] | str | None = None
    estimands: tuple[Estimand, ...] = ()
    nulls: tuple[Arm, ...] = ()
    measure_nulls: Measure | str | None = None
    exact: tuple[Exact, ...] = ()
    check: Callable[[Any], Mapping[str, float]] | str | None = None
    family: str = ""
    first_seed: int | None = None

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
        if not self.has_runs and (self.claims or not self.exact):
            raise SettingsError(
                f"experiment '{self.name}' must have measure or measure_many; it has neither. Without runs it can have exact "
                "checks alone"
            )
        if bool(self.exact) != (self.check is not None):
            raise SettingsError(
                f"experiment '{self.name}': exact checks go with a function that computes their numbers; got {len(self.exact)} "
                f"checks and check={self.check!r}. Give both, or neither"
            )
        if self.measure_nulls is not None and not self.nulls:
            raise SettingsError(f"experiment '{self.name}': measure_nulls goes with nulls=(Arm(...), ...), which name its arms")
        for what in ("measure", "measure_many", "measure_nulls", "check", "ready"):
            given = getattr(self, what)
            if isinstance(given, str) and not _NAMED.fullmatch(given):
                raise SettingsError(
                    f"experiment '{self.name}': {what} must be a function or 'module:function'; got '{given}'. "
                    f'Write {what}=f"{{__package__}}.the_file:{what}"'
                )
        _unique(f"experiment '{self.name}': figure", [figure.name for figure in self.figures])
        for figure in self.figures:  # its files are called so
            _slug(f"experiment '{self.name}': figure", figure.name)
        _unique(f"experiment '{self.name}': estimand", [estimand.name for estimand in self.estimands])
        if self.estimands:
            object.__setattr__(self, "claims", self._claims_with_estimands())

    def _claims_with_estimands(self) -> tuple[Claim, ...]:
        """The claims, each with what its estimand is; refuses those whose numbers are not defined or not said."""
        defined = {estimand.name: estimand for estimand in self.estimands}
        bound: list[Claim] = []
        for claim in self.claims:
            estimand = check_defined(f"experiment '{self.name}'", claim, defined)
            bound.append(dataclasses.replace(claim, defined=estimand))
            bound[-1].check_sentence(estimand)
        return tuple(bound)

    @property
    def has_runs(self) -> bool:
        """Whether there is something to measure in runs; an experiment of exact checks alone has no seeds."""
        return self.measure is not None or self.measure_many is not None

    @property
    def has_many(self) -> bool:
        """Whether several runs can be measured in one program."""
        return self.measure_many is not None

    def measure_run(self, settings: Any, seeds: Seeds) -> Measurement:
        """One run.

        Raises:
            Diverged: the run did.
        """
        if self.measure is not None:
            measure: Measure = self.function("measure")
            return measure(settings, seeds)
        found = self.measure_runs(settings, [seeds])[0]
        if isinstance(found, Diverged):
            raise found
        return found

    def measure_runs(self, settings: Any, seeds: Sequence[Seeds]) -> "Sequence[Measurement | Diverged]":
        """Several runs, in one program where the experiment has one for many."""
        if self.measure_many is None:
            return [self.measure_run(settings, one) for one in seeds]
        measure_many: MeasureMany = self.function("measure_many")
        return measure_many(settings, seeds)

    def function(self, what: str) -> Any:
        """The function that is given as `what` ("measure", "check", ...), itself or by its name.

        Raises:
            InputError: the module that is named has no such function.
        """
        given = getattr(self, what)
        if not isinstance(given, str):
            return given
        module, _, name = given.partition(":")
        loaded = importlib.import_module(module)
        if not callable(getattr(loaded, name, None)):
            raise InputError(
                f"experiment '{self.name}': {what} names '{given}', and {module} has no function '{name}'. "
                "Define it there, or name another"
            )
        return getattr(loaded, name)

    def measure_null_run(self, settings: Any, seeds: Seeds) -> Measurement:
        """One run of the arms without the mechanism; the experiment's own run, where that has them."""
        if self.measure_nulls is None:
            return self.measure_run(settings, seeds)
        measure: Measure = self.function("measure_nulls")
        return measure(settings, seeds)

    def exact_numbers(self, settings: Any) -> Mapping[str, float]:
        """The number of each exact check, by its name.

        Raises:
            InputError: the numbers are not those of the checks that are declared.
        """
        if self.check is None:
            return {}
        check: Callable[[Any], Mapping[str, float]] = self.function("check")
        found = check(settings)
        declared = {exact.name for exact in self.exact}
        if set(found) != declared:
            raise InputError(
                f"experiment '{self.name}': check must give one number for each exact check; without a number: "
                f"{', '.join(sorted(declared - set(found))) or 'none'}; not declared: "
                f"{', '.join(sorted(set(found) - declared)) or 'none'}"
            )
        return found

    def check_ready(self, settings: Any) -> None:
        """Nothing, or `InputError` where something that it needs is not there."""
        if self.ready is not None:
            self.function("ready")(settings)

    @property
    def seconds_per_run(self) -> float | None:
        """Of one core at the laptop preset, by the stated cost; None where that states no time."""
        laptop = self.presets["laptop"]
        return self.seconds_of(laptop.settings)

    def seconds_of(self, settings: Any) -> float | None:
        """A run's seconds of one core at these settings, by the stated cost; None where that states no time."""
        laptop, cost = self.presets["laptop"], self.cost
        return None if cost is None else cost.core_seconds(laptop.settings, settings) / laptop.n_runs

    def estimand(self, measured: str) -> Estimand | None:
        """What a measured number "arm/estimand" is; None where it is not defined."""
        return next((one for one in self.estimands if one.name == measured.partition("/")[2]), None)

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

    Attributes:
        slug: the study's name on the command line; its folder or file has the same name with underscores.
        title: "Title: question?", the first line of the module's docstring as well.
        paper: where the claims come from, and its headlines.
        scale: theirs and ours.
        departures: what we do differently and why, D1, D2, ...
        example: the task in one example, with which the study's page opens.
        experiments: at least one.
        version: raised when its numbers may change; rows of different versions are never pooled.
        first_seed: the first seed that counts, of every experiment without its own; runs of a pilot have others.
    """

    slug: str
    title: str
    paper: Paper
    scale: str
    experiments: tuple[Experiment, ...]
    departures: tuple[Departure, ...] = ()
    version: int = 1
    first_seed: int = 0
    example: Example | None = None

    def __post_init__(self) -> None:
        _slug("study", self.slug)
        if not self.experiments:
            raise SettingsError(f"study '{self.slug}' must have at least one experiment")
        _unique(f"study '{self.slug}': experiment", [experiment.name for experiment in self.experiments])
        _unique(
            f"study '{self.slug}': claim and exact check",
            [*(claim.name for claim in self.claims), *(exact.name for exact in self.exact)],
        )
        for experiment in self.experiments:
            if experiment.first_seed is not None and experiment.first_seed <= self.first_seed:
                raise SettingsError(
                    f"study '{self.slug}': an experiment's own first seed must lie beyond the study's, {self.first_seed}; "
                    f"experiment '{experiment.name}' has {experiment.first_seed}. Choose seeds that nobody has run yet"
                )
        for what in ("title", "scale"):
            if not getattr(self, what).strip():
                raise SettingsError(f"study '{self.slug}': {what} must not be empty")
        opening = [figure.name for experiment in self.experiments for figure in experiment.figures if figure.opens]
        if len(opening) > 1:
            raise SettingsError(f"study '{self.slug}': a page opens with one figure; got {', '.join(opening)}")
        expected = [f"D{i}" for i in range(1, len(self.departures) + 1)]
        if [departure.name for departure in self.departures] != expected:
            raise SettingsError(
                f"study '{self.slug}': departures are named {', '.join(expected)} in this order; "
                f"got {', '.join(departure.name for departure in self.departures)}"
            )
        if len(self.families) > MAX_FAMILIES:
            raise SettingsError(
                f"study '{self.slug}': a study has at most {MAX_FAMILIES} families, questions of its paper; got "
                f"{len(self.families)}: {'; '.join(self.families)}. Give experiments of one question the same family"
            )
        known = [*(claim.name for claim in self.claims), *(exact.name for exact in self.exact)]
        for headline in self.paper.headlines:
            for name in headline.claims:
                if name not in known:
                    see = f"'{self.slug}' has: {', '.join(known)}"
                    raise SettingsError(
                        f"study '{self.slug}', headline '{headline.says}': " + unknown_name("claim", name, known, see=see)
                    )

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims, in the order of the experiments."""
        return tuple(claim for experiment in self.experiments for claim in experiment.claims)

    @property
    def exact(self) -> tuple[Exact, ...]:
        """All exact checks, in the order of the experiments."""
        return tuple(exact for experiment in self.experiments for exact in experiment.exact)

    @property
    def opening(self) -> tuple[Experiment, Figure] | None:
        """The figure that explains the study, with its experiment: the one that opens, else the first not folded away."""
        pairs = [(experiment, figure) for experiment in self.experiments for figure in experiment.figures]
        chosen = [pair for pair in pairs if pair[1].opens] or [pair for pair in pairs if not pair[1].further]
        return chosen[0] if chosen else None

    @property
    def families(self) -> tuple[str, ...]:
        """The questions of the paper that the experiments belong to, in their order; one empty name where none is named."""
        return tuple(dict.fromkeys(experiment.family for experiment in self.experiments))

    def experiment(self, name: str) -> Experiment:
        """The experiment called `name`.

        Raises:
            UsageError: there is none.
        """
        names = [experiment.name for experiment in self.experiments]
        if name not in names:
            raise UsageError(unknown_name("experiment", name, names, see=f"'{self.slug}' has: {', '.join(names)}"))
        return self.experiments[names.index(name)]

    def first_seed_of(self, experiment: str) -> int:
        """The first seed that counts of the experiment called so: its own, or else the study's."""
        own = self.experiment(experiment).first_seed
        return self.first_seed if own is None else own

    def claim(self, name: str) -> Claim:
        """The claim called `name`.

        Raises:
            UsageError: there is none.
        """
        names = [claim.name for claim in self.claims]
        if name not in names:
            raise UsageError(unknown_name("claim", name, names, see=f"'{self.slug}' has: {', '.join(names)}"))
        return self.claims[names.index(name)]


def _slug(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise SettingsError(f"a {kind} is named by a slug (lower-case letters, digits, single hyphens); got {name!r}")


def _unique(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{what} names must be unique; got {', '.join(twice)} more than once")
