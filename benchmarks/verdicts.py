"""How often verdicts are false, and how often true effects are found, in simulation: the second table of docs/statistics.md.

    python -m benchmarks.verdicts             # the table, some minutes on one core
    python -m benchmarks.verdicts --scale 0.1 # as many studies as the tests use

A case draws studies whose truth is known and counts those with at least one false verdict of one kind, or those in which a
planted effect was found. Truths lie exactly on the rules' bounds, where a verdict is wrong most often.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.claims.claim import Arm, Claim
from assay.claims.evidence import Runs, decide, look_at
from assay.claims.paper import Paper
from assay.claims.rules import Above, Below, Equals, Judgement, Ordered, Outside, Rule, Within
from assay.claims.study import Experiment, Measurement, Preset, Study
from assay.claims.verdict import RunRow, judge
from assay.core.seeds import Seeds
from assay.stats.families import ERROR
from assay.stats.power import clear_distance
from assay.stats.sequential import planned_looks

SEEDS = Seeds(20_27)
Array = NDArray[np.float64]
Rng = np.random.Generator
Expected = Literal["at most 5 %", "5 to 9 %", "at least 90 %", "about half", "broken"]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        what: the rule, summary or kind of study.
        truth: where the truth lies.
        counted: what is counted.
        expected: `at most 5 %` is what the page promises; `5 to 9 %` is a summary that misses more often, said so; `broken` is
            the mistake that another row avoids.
        studies: how many the table takes; the tests take a tenth.
        hit: whether one drawn study counts.
    """

    what: str
    truth: str
    counted: str
    expected: Expected
    studies: int
    hit: Callable[[Rng], bool]

    @property
    def name(self) -> str:
        """What distinguishes the row."""
        return f"{self.what} | {self.truth} | {self.counted}"

    def run(self, scale: float) -> tuple[int, int]:
        """Hits and studies, at a share of the table's studies; the same at every call."""
        rng, n = SEEDS(self.name), round(self.studies * scale)
        return sum(self.hit(rng) for _ in range(n)), n


# One claim alone


def one_claim(rule: Rule, summary: str, draw: Callable[[Rng], Array], kind: Judgement) -> Callable[[Rng], bool]:
    """Whether one claim at 5 % comes to a judgement; `draw` gives values [estimands, runs] or, for items, [runs, items]."""

    def hit(rng: Rng) -> bool:
        drawn = draw(rng)
        if summary == "clustered":
            rows = [RunRow("one", i, "ok", {}, {"a/x": items}) for i, items in enumerate(drawn)]
            names: str | tuple[str, ...] = "a/x"
        else:
            rows = [RunRow("one", i, "ok", {f"{k}/x": v for k, v in enumerate(run)}) for i, run in enumerate(drawn.T)]
            names = tuple(f"{k}/x" for k in range(len(drawn))) if isinstance(rule, Ordered) else "0/x"
        look = look_at(names, summary, Runs(rows), Seeds(0), anytime=False, part=1.0)  # type: ignore[arg-type]
        return decide(rule, (look,), ERROR).judgement == kind

    return hit


def normal(n: int, mean: float = 0.0) -> Callable[[Rng], Array]:
    """One estimand of n runs."""
    return lambda rng: mean + rng.standard_normal((1, n))


def rising(n: int, steps: Sequence[float]) -> Callable[[Rng], Array]:
    """Estimands that rise by these steps, with independent noise."""
    centres = np.cumsum([0.0, *steps])[:, None]
    return lambda rng: centres + rng.standard_normal((len(centres), n))


def rules() -> Iterator[Case]:
    """Each rule with the mean of normal values."""
    wide = Within(-3.0, 3.0)
    for rule in (Above(0.0), Below(0.0)):
        for kind in ("supported", "refuted"):
            yield Case(f"{type(rule).__name__}, 8 runs", "on the bound", kind, "at most 5 %", 20_000,
                       one_claim(rule, "mean", normal(8), kind))  # type: ignore[arg-type]  # fmt: skip
    yield Case(
        "Within, 8 runs", "on an end", "supported", "at most 5 %", 20_000, one_claim(wide, "mean", normal(8, 3), "supported")
    )
    yield Case(
        "Within, 8 runs", "on an end", "refuted", "at most 5 %", 20_000, one_claim(wide, "mean", normal(8, 3), "refuted")
    )
    yield Case("Outside, 8 runs", "on an end", "supported", "at most 5 %", 20_000,
               one_claim(Outside(-3, 3), "mean", normal(8, 3), "supported"))  # fmt: skip
    yield Case("Outside, 8 runs", "on an end", "refuted", "at most 5 %", 20_000,
               one_claim(Outside(-3, 3), "mean", normal(8, 3), "refuted"))  # fmt: skip
    yield Case("Equals without tolerance, 8 runs", "equal", "refuted", "at most 5 %", 20_000,
               one_claim(Equals(0.0), "mean", normal(8), "refuted"))  # fmt: skip
    yield Case("Outside of nothing, 8 runs", "equal", "supported", "at most 5 %", 20_000,
               one_claim(Outside(0.0, 0.0), "mean", normal(8), "supported"))  # fmt: skip
    for k in (2, 3, 4, 6, 8):
        yield Case(f"Ordered, {k} steps, 8 runs", "all steps on the bound", "refuted", "at most 5 %", 10_000,
                   one_claim(Ordered(0.5), "mean", rising(8, [0.5] * k), "refuted"))  # fmt: skip
    yield Case("Ordered, 4 steps, 8 runs", "one step on the bound, the others far above", "supported", "at most 5 %", 10_000,
               one_claim(Ordered(0.5), "mean", rising(8, [9, 9, 0.5, 9]), "supported"))  # fmt: skip


def summaries() -> Iterator[Case]:
    """Each summary with the rule Above, on its bound."""

    def graded(k: int) -> Callable[[Rng], Array]:
        return lambda rng: (rng.random((k, 50)) < rng.beta(18, 2, size=(k, 1))).astype(float)

    def shares(rng: Rng) -> Array:
        return (rng.random((1, 32)) < 0.9).astype(float)

    def items(rng: Rng) -> Array:
        return rng.standard_normal((8, 1)) + rng.standard_normal((8, 9))

    draws: tuple[tuple[str, str, Callable[[Rng], Array], float, Expected, int], ...] = (
        ("median", "median, 12 runs", lambda rng: rng.lognormal(size=(1, 12)), 1.0, "at most 5 %", 10_000),
        ("share", "share, 32 runs of probability 0.9", shares, 0.9, "at most 5 %", 10_000),
        ("iqm", "interquartile mean, 12 runs", normal(12), 0.0, "5 to 9 %", 10_000),
        ("iqm", "interquartile mean, 24 runs", normal(24), 0.0, "at most 5 %", 1_000),
        ("bca", "BCa bootstrap, 24 runs", normal(24), 0.0, "5 to 9 %", 1_000),
        ("clustered", "items in runs, 8 runs", items, 0.0, "at most 5 %", 10_000),
        ("clustered", "graded items in runs, about 0.9 right, 24 runs", graded(24), 0.9, "5 to 9 %", 1_000),
    )  # fmt: skip
    for summary, what, draw, bound, expected, studies in draws:
        for kind in ("supported", "refuted"):
            yield Case(what, "on the bound", kind, expected, studies, one_claim(Above(bound), summary, draw, kind))  # type: ignore[arg-type]


# Whole studies, through `judge`


def build(claims: Sequence[Claim], *, n_experiments: int = 1) -> Study:
    """A study with one family; the claims are dealt out to its experiments."""
    presets = {"quick": Preset("settings", 1), "laptop": Preset("settings", 12)}
    arms = tuple(
        Experiment(f"part-{k}", "Is it so?", tuple(claims[k::n_experiments]), presets, lambda settings, seeds: Measurement({}))
        for k in range(n_experiments)
    )
    return Study("simulated", title="Simulated: is it so?", paper=Paper("Nobody", 2020, "Nothing", "nowhere"), scale="None.",
                 experiments=arms)  # fmt: skip


def claims_of(n_paper: int, n_ours: int, rule: Rule = Above(0.0)) -> list[Claim]:  # noqa: B008
    """Claims about estimands of their own; the control is far on the other side."""
    places = ["section 1"] * n_paper + ["ours"] * n_ours
    return [Claim(f"C{i}", "It is so.", f"a{i}/x", rule, "given", place, Arm("far", "far below"), Arm("planted", "far above"))
            for i, place in enumerate(places)]  # fmt: skip


def rows_of(study: Study, values: Mapping[str, Array], n: int) -> dict[str, list[RunRow]]:
    """Runs in which each claim's estimand has its values; controls lie where they must."""
    far, planted = -9 - 0.1 * np.arange(n), 9 + 0.1 * np.arange(n)
    found = {}
    for experiment in study.experiments:
        columns = {claim.estimand: values[claim.name] for claim in experiment.claims} | {"far/x": far, "planted/x": planted}
        found[experiment.name] = [
            RunRow(experiment.name, i, "ok", {str(name): float(column[i]) for name, column in columns.items()})
            for i in range(n)
        ]
    return found


def any_false(
    study: Study, rows: Mapping[str, Sequence[RunRow]], at_bound: Sequence[str], kind: str, looks: int | None = None
) -> bool:
    """Whether a claim whose truth lies on its bound has this verdict."""
    plan = None if looks is None else {name: looks for name in rows}
    return any(one.verdict == kind and one.claim in at_bound for one in judge(study, rows, looks=plan))


def family(
    n_paper: int, n_ours: int, effects: Sequence[float], n: int, kind: str, *, shared: float = 0.0, n_experiments: int = 1
) -> Callable[[Rng], bool]:
    """Whether a family whose claims have these effects (0: on the bound) holds a false verdict."""
    study = build(claims_of(n_paper, n_ours), n_experiments=n_experiments)
    at_bound = [claim.name for claim, effect in zip(claims_of(n_paper, n_ours), effects, strict=True) if effect == 0]

    def hit(rng: Rng) -> bool:
        common = rng.standard_normal(n)
        noise = {
            f"C{i}": math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.standard_normal(n) for i in range(len(effects))
        }
        values = {name: effects[i] + one for i, (name, one) in enumerate(noise.items())}
        return any_false(study, rows_of(study, values, n), at_bound, kind)

    return hit


def peeked(
    effects: Sequence[float], n_paper: int, most: int, kind: str, *, every_run: bool, design: str
) -> Callable[[Rng], bool]:
    """Whether a false verdict is ever seen while runs are added; each look judges what is stored then, as the command does."""
    n_ours = len(effects) - n_paper
    study = build(claims_of(n_paper, n_ours))
    at_bound = [f"C{i}" for i, effect in enumerate(effects) if effect == 0]
    stops = range(2, most + 1) if every_run else planned_looks(most)
    looks = {"planned": most, "unplanned": 0, "none": None}[design]

    def hit(rng: Rng) -> bool:
        values = {f"C{i}": effect + rng.standard_normal(most) for i, effect in enumerate(effects)}
        rows = rows_of(study, values, most)
        return any(any_false(study, {name: own[:n] for name, own in rows.items()}, at_bound, kind, looks) for n in stops)

    return hit


def mixed(kind: str, n: int) -> tuple[Study, Callable[[Rng], bool]]:
    """A family of all rules and summaries, each truth on its bound, and whether it holds a verdict of this kind."""
    far, planted = Arm("far", "far off", Below(-5)), Arm("planted", "far above", Above(5))
    own: list[tuple[str, Rule]] = [
        ("mean", Above(0.0)), ("mean", Below(0.0)), ("mean", Within(-2.0, 0.0)), ("mean", Outside(-2.0, 0.0)),
        ("median", Above(0.0)), ("iqm", Above(0.0)), ("clustered", Above(0.0)), ("share", Above(0.5)), ("every", Above(-50.0)),
    ]  # fmt: skip
    far_share, far_item = Arm("none", "never"), Arm("far", "far off", Below(-5))
    claims = [
        Claim(f"C{i}", "It is so.", f"a{i}/x", rule, "given", "section 1" if i % 3 else "ours",
              far_share if summary == "share" else far_item if summary == "clustered" else far,
              Arm("all", "always") if summary == "share" else planted, summary=summary)  # type: ignore[arg-type]
        for i, (summary, rule) in enumerate(own)
    ]  # fmt: skip
    steps = ("s0/x", "s1/x", "s2/x", "s3/x")
    # For refutation all steps lie on the bound; for support one does, and the others are clear of it.
    centres = np.array([0.0, 1.0, 2.0, 3.0]) if kind == "refuted" else np.array([0.0, 9.0, 10.0, 19.0])
    claims.append(Claim("C9", "It rises.", steps, Ordered(1.0), "given", "section 1", Arm("far", "far off", Below(-5)),
                        Arm("planted", "far above", Above(5))))  # fmt: skip
    study = build(claims)

    def hit(rng: Rng) -> bool:
        far_values, planted_values = -9 - 0.1 * np.arange(n), 9 + 0.1 * np.arange(n)
        rows = []
        x, items, share = rng.standard_normal((10, n)), rng.standard_normal((n, 5)), rng.random(n) < 0.5
        for r in range(n):
            numbers = {f"a{i}/x": float(x[i, r]) for i in range(9)} | {
                "a7/x": float(share[r]), "none/x": 0.0, "all/x": 1.0, "far/x": far_values[r], "planted/x": planted_values[r],
            }  # fmt: skip
            numbers |= {name: float(c + rng.standard_normal()) for name, c in zip(steps, centres, strict=True)}
            own_items = {"a6/x": x[6, r] + items[r], "far/x": (far_values[r],), "planted/x": (planted_values[r],)}
            rows.append(RunRow("part-0", r, "ok", numbers, own_items))
        return any(one.verdict == kind and one.kind == "finding" for one in judge(study, {"part-0": rows}))

    return study, hit


def studies() -> Iterator[Case]:
    """Families, peeking and power."""
    null, half = [0.0] * 12, [4.0] * 6 + [0.0] * 2 + [4.0] * 2 + [0.0] * 2
    for kind in ("supported", "refuted"):
        yield Case("8 claims of the paper and 4 of ours, 12 runs", "all on their bounds", kind, "at most 5 %", 4_000,
                   family(8, 4, null, 12, kind))  # fmt: skip
        yield Case("8 claims of the paper and 4 of ours, 12 runs", "8 clear, 4 on their bounds", kind, "at most 5 %", 4_000,
                   family(8, 4, half, 12, kind))  # fmt: skip
        yield Case("all rules and summaries, 10 claims, 12 runs", "all on their bounds", kind, "at most 5 %", 4_000,
                   mixed(kind, 12)[1])  # fmt: skip
    yield Case("8 claims of the paper and 4 of ours in 3 experiments", "8 clear, 4 on their bounds", "supported", "at most 5 %",
               4_000, family(8, 4, half, 12, "supported", n_experiments=3))  # fmt: skip
    yield Case("12 claims that share 0.8 of their variance, 12 runs", "all on their bounds", "supported", "at most 5 %", 4_000,
               family(8, 4, null, 12, "supported", shared=0.8))  # fmt: skip
    few = [3.0, 3.0, 0.0, 3.0, 0.0]
    for kind in ("supported", "refuted"):
        yield Case("looked at four times, as planned, at most 32 runs", "3 clear, 2 on their bounds", kind, "at most 5 %",
                   4_000, peeked(few, 3, 32, kind, every_run=False, design="planned"))  # fmt: skip
    yield Case("looked at after every run, at most 32 runs", "3 clear, 2 on their bounds", "supported", "at most 5 %",
               1_000, peeked(few, 3, 32, "supported", every_run=True, design="unplanned"))  # fmt: skip
    yield Case("looked at after every run, as if each were the only look", "3 clear, 2 on their bounds", "supported",
                   "broken", 1_000, peeked(few, 3, 32, "supported", every_run=True, design="none"))  # fmt: skip
    for m, n in ((4, 5), (4, 12), (8, 8), (8, 32), (12, 16)):
        for times, expected in ((1.0, "about half"), (1.6, "at least 90 %")):
            effects = [times * clear_distance(n, ERROR / m)] + [0.0] * (m - 1)
            yield Case(f"{m} claims of the paper, {n} runs", f"one inside by {times:g} times the tabled distance",
                       "found", expected, 4_000, found(m, effects, n))  # type: ignore[arg-type]  # fmt: skip


def found(m: int, effects: Sequence[float], n: int) -> Callable[[Rng], bool]:
    """Whether the first claim, whose effect is planted, is supported."""
    study = build(claims_of(m, 0))

    def hit(rng: Rng) -> bool:
        values = {f"C{i}": effect + rng.standard_normal(n) for i, effect in enumerate(effects)}
        return judge(study, rows_of(study, values, n))[0].verdict == "supported"

    return hit


CASES = tuple(case for part in (rules, summaries, studies) for case in part())
HEADER = ("rule, summary or study", "truth", "counted", "expected", "rate", "studies")


def row(case: Case, hits: int, n: int) -> str:
    """The table's line for a case."""
    share = hits / n
    error = math.sqrt(max(share * (1 - share), 1 / n) / n)
    return f"| {' | '.join((case.what, case.truth, case.counted, case.expected, f'{share:.2%} ± {error:.2%}', f'{n:,}'))} |"


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the table's studies (default 1)")
    scale = parser.parse_args().scale
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}", flush=True)
    for case in CASES:
        print(row(case, *case.run(scale)), flush=True)


if __name__ == "__main__":
    main()
