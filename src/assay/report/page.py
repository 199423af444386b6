"""Pages from stored rows: one self-contained file a study, and the atlas over all studies; no script, nothing loaded.

Whatever comes from a study, a store or a model is text: templates escape it, `visible` shows its control characters, and the
page's policy forbids everything but its own style sheet and pictures within it.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from assay import __version__
from assay.claims.charts import Figure
from assay.claims.exact import ExactVerdict
from assay.claims.study import Experiment, Study, Table
from assay.claims.verdict import ONE_LOOK, VERDICTS, ControlVerdict, Verdict, expected_false, peeked
from assay.core.errors import InputError, StoreError
from assay.core.settings import fields_of
from assay.core.text import visible
from assay.report.charts import draw
from assay.report.forest import forest, lane_of
from assay.report.found import headlines_found, number_text, what_was_found
from assay.report.numbers import general, interval_text, level_text, shared, typeset
from assay.report.palette import css_variables
from assay.report.sketch import Picture
from assay.report.tables import VerdictTable, csv_text
from assay.store.files import write_atomically

__all__ = [
    "AtlasEntry",
    "AuditEntry",
    "ExperimentData",
    "Plate",
    "index_page",
    "plate",
    "put_in_place",
    "rendered",
    "shown_title",
    "study_page",
    "write_atlas",
    "write_report",
]


@dataclass(frozen=True)
class ExperimentData:
    """The stored rows of one experiment under one value of its settings, as plain data.

    Attributes:
        experiment: as declared.
        preset: the name of the preset the settings started from.
        settings: the settings in force.
        custom: whether they differ from the preset's.
        n_runs: runs judged.
        n_stale: stored runs that an earlier version of the code made; not judged.
        why_stale: which version made them, in a clause ("made by other code").
        edited_claims: names of claims that were edited after these runs were stored.
        tables: rows of all runs, each with the column `run` (its seed).
        environment: versions, device, threads.
        wall_s: time all runs took together, in seconds.
        command: the exact command that makes these runs again.
        code: fingerprint of the code that made them.
        made: the days on which they were made, first and last ("2026-11-30").
        elsewhere: what is stored of the experiment at other settings ("2 runs at n_facts=4"); not shown here.
    """

    experiment: Experiment
    preset: str
    settings: Mapping[str, object]
    custom: bool
    n_runs: int
    n_stale: int
    edited_claims: tuple[str, ...]
    tables: Mapping[str, Table]
    environment: Mapping[str, object]
    wall_s: float
    command: str
    why_stale: str = ""
    code: str = ""
    made: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class AtlasEntry:
    """One study's line in the atlas.

    Attributes:
        study: as declared; claims without a verdict are shown as not run.
        verdicts: of the experiments that have runs.
        exact: what became of the exact checks.
        wing: the subject it is shown under.
        elsewhere: what is stored of it at other settings.
        n_runs: runs judged.
        quick: whether any of them come from the quick preset.
        n_stale: stored runs of an earlier version of the code.
        linked: whether the study's page stands beside the atlas.
        command: what makes a study's first runs; shown where there are none.
    """

    study: Study
    verdicts: Sequence[Verdict] = ()
    n_runs: int = 0
    quick: bool = False
    n_stale: int = 0
    linked: bool = False
    command: str = ""
    exact: Sequence[ExactVerdict] = ()
    wing: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Whether anything of it counts: runs, or exact checks that were computed."""
        return self.n_runs > 0 or any(found.number is not None for found in self.exact)


@dataclass(frozen=True)
class AuditEntry:
    """One audit's line in the atlas.

    Attributes:
        title: what was audited.
        injected: how facts were injected.
        told: its counts in words, each with whether its evidence is "good", "bad" or "" for neither.
        notes: how often it was trained, when it was made.
        href: its page, where that stands beside the atlas; empty where it does not.
        command: what writes the page.
    """

    title: str
    injected: str
    told: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    href: str
    command: str


def study_page(
    study: Study,
    verdicts: Sequence[Verdict],
    data: Sequence[ExperimentData],
    *,
    exact: Sequence[ExactVerdict] = (),
    created: str | None = None,
) -> str:
    """The page of a study, as one HTML text.

    Args:
        study: as declared.
        verdicts: of the experiments in `data`.
        data: one element an experiment; experiments without one are shown as not run.
        exact: what became of the exact checks.
        created: a date for the colophon; None keeps the page the same for the same rows.
    """
    return _compose(study, verdicts, data, exact, created).page


def index_page(entries: Sequence[AtlasEntry], audits: Sequence[AuditEntry] = (), *, created: str | None = None) -> str:
    """The atlas as one HTML text: studies with runs by wing, their headlines and what came of them; the others; audits."""
    lines = [_atlas_line(entry) for entry in entries]
    wings: dict[str, list[_AtlasLine]] = {}
    for line in lines:
        if line.shown:
            wings.setdefault(line.wing, []).append(line)
    every = [mark.verdict for line in lines for mark in line.marks]
    counted = f"{_count(len(entries), 'study', 'studies')}, {_count(len(every), 'claim')}"
    counted += f", {_count(len(audits), 'audit')}" if audits else ""
    return rendered(
        "atlas.html.j2",
        wings=[(wing, wings[wing]) for wing in sorted(wings, key=lambda wing: (wing == "", wing))],
        waiting=[line for line in lines if not line.shown],
        audits=audits,
        tally=_tally(every),
        counted=counted,
        created=created,
    )


@dataclass(frozen=True)
class _AtlasLine:
    title: str
    question: str
    paper: "list[_Part]"
    href: str
    wing: str
    shown: bool  # among the studies that have rows
    headlines: "list[_Headline]"
    marks: "list[_Mark]"
    tally: str
    notes: list[str]
    command: str
    ident: str
    outcomes: list[tuple[str, str]]  # of its headlines: a verdict whose sign it wears, and "3 hold"


def _atlas_line(entry: AtlasEntry) -> _AtlasLine:
    study = entry.study
    title, question = _title_and_question(study)
    marks = [mark for own in _marks(study.slug, study.experiments, entry.verdicts, linked=entry.linked) for mark in own]
    notes = [f"{_count(entry.n_runs, 'run')}"] * (entry.n_runs > 0)
    notes += ["quick preset: void"] * entry.quick + [f"{_count(entry.n_stale, 'stale run')}"] * (entry.n_stale > 0)
    shown = entry.has_rows or bool(entry.elsewhere)
    headlines = _headlines(study, entry.verdicts, entry.exact, marks) if entry.has_rows and not entry.quick else []
    return _AtlasLine(
        title=title,
        question=question,
        paper=_linked(study.paper.text),
        href=f"{study.slug}/index.html" if entry.linked else "",
        wing=entry.wing,
        shown=shown,
        headlines=headlines,
        marks=marks,
        tally=_tally([mark.verdict for mark in marks]),
        notes=[*notes, *(f"also {text}" for text in entry.elsewhere)],
        command="" if entry.n_runs else entry.command,
        ident=f"study-{study.slug}",
        outcomes=_outcomes(headlines),
    )


_IN_ONE_WORD = {"holds": "hold", "holds in part": "in part", "fails": "fail"}  # the other outcomes are adjectives


def _outcomes(headlines: "Sequence[_Headline]") -> list[tuple[str, str]]:
    """How many headlines came out how, the best first."""
    counted = Counter((one.mark, one.outcome) for one in headlines if one.outcome not in ("not run", "not tested"))
    order = ("holds", "holds in part", "open", "not reproduced", "fails")
    found = sorted(counted.items(), key=lambda item: order.index(item[0][1]))
    return [
        (mark, f"{n} {outcome if n == 1 and outcome in ('holds', 'fails') else _IN_ONE_WORD.get(outcome, outcome)}")
        for (mark, outcome), n in found
    ]


def write_report(
    study: Study,
    verdicts: Sequence[Verdict],
    data: Sequence[ExperimentData],
    out: Path,
    *,
    exact: Sequence[ExactVerdict] = (),
    created: str | None = None,
) -> Path:
    """Write a study's page with its figures and tables under `out/<slug>/` and return the path of its `index.html`.

    Beside the page: `figures/<experiment>/<figure>.svg`, `.pdf` and `.csv`, `figures/<experiment>-verdicts.*`, and
    `verdicts.csv`, `.json`, `.md` and `.tex`. Each file is replaced as a whole, the page last; pictures in `figures/` that the
    study no longer has are removed.

    Raises:
        StoreError: a file cannot be written.
    """
    folder = out / study.slug
    composed = _compose(study, verdicts, data, exact, created)
    for name, content in composed.files.items():
        put_in_place(folder / name, content)
    for path in sorted((folder / "figures").rglob("*")):
        if path.suffix in (".svg", ".pdf", ".csv") and path.relative_to(folder).as_posix() not in composed.files:
            path.unlink(missing_ok=True)
    put_in_place(folder / "index.html", composed.page.encode())
    return folder / "index.html"


def write_atlas(
    entries: Sequence[AtlasEntry], out: Path, audits: Sequence[AuditEntry] = (), *, created: str | None = None
) -> Path:
    """Write the atlas to `out/index.html` and return its path.

    Raises:
        StoreError: it cannot be written.
    """
    put_in_place(out / "index.html", index_page(entries, audits, created=created).encode())
    return out / "index.html"


def put_in_place(path: Path, content: bytes) -> None:
    """Put a file in place as a whole: a reader, or a full disk, never meets half of it."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(
            f"a report is written as whole files; {path} could not be written: {error.strerror or error}. "
            "Free some space or choose another folder with --out"
        ) from error


# What a study's page shows


@dataclass(frozen=True)
class _Composed:
    page: str
    files: Mapping[str, bytes]  # by path within the study's folder


@dataclass(frozen=True)
class _Mark:
    """A claim in a strip: `verdict` is a verdict or "unrun"."""

    claim: str
    verdict: str
    says: str
    href: str

    @property
    def word(self) -> str:
        return "not run" if self.verdict == "unrun" else self.verdict


@dataclass(frozen=True)
class _Drawn:
    """An interval against its rule, in a drawing of `LANE` by 18: (x, width) of each zone, bounds, and low, estimate, high."""

    zones: tuple[tuple[float, float], ...]
    bounds: tuple[float, ...]
    interval: tuple[float, float, float] | None


@dataclass(frozen=True)
class _Lead:
    """A claim or check that tests a headline, in one line."""

    name: str
    says: str
    verdict: str
    number: str
    rule: str
    paper: str
    reason: str
    href: str
    drawn: _Drawn | None


@dataclass(frozen=True)
class _Headline:
    """A headline with what became of it; `mark` is the verdict whose sign it wears."""

    says: str
    reason: str
    outcome: str
    mark: str
    leads: tuple[_Lead, ...]
    marks: tuple[_Mark, ...]
    checks: str


@dataclass(frozen=True)
class _Part:
    """A stretch of a citation, perhaps a link."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class _Warning:
    head: str
    text: str


@dataclass(frozen=True)
class _Setting:
    name: str
    value: str
    says: str
    preset: str
    changed: bool


@dataclass(frozen=True)
class _Item:
    name: str
    value: str


@dataclass(frozen=True)
class _ControlCell:
    what: str  # "Negative" or "Positive"
    says: str
    estimate: str
    interval: str
    failed: bool
    outcome: str


@dataclass(frozen=True)
class _ClaimRow:
    ident: str
    name: str
    says: str
    source: str
    rule: str
    margin: str
    estimate: str
    interval: str
    basis: str
    effect: str
    paper: str
    controls: tuple[_ControlCell, ...]
    verdict: str
    reason: str


@dataclass(frozen=True)
class Plate:
    """A figure on the page; without pictures, its note says why."""

    title: str
    caption: str
    note: str
    stem: str = ""
    wide: Markup | None = None
    narrow: Markup | None = None
    stacked: bool = False  # shown in its narrow layout where a page opens with it: its panels are too many for half a line


@dataclass(frozen=True)
class _Arm:
    """An experiment on the page."""

    ident: str
    name: str
    question: str
    command: str
    facts: tuple[str, ...] = ()
    warnings: tuple[_Warning, ...] = ()
    claims: tuple[_ClaimRow, ...] = ()
    caption: str = ""
    forest: Plate | None = None
    figures: tuple[Plate, ...] = ()
    further: tuple[Plate, ...] = ()
    settings: tuple[_Setting, ...] = ()
    settings_note: str = ""
    environment: tuple[_Item, ...] = ()
    summary: str = ""  # of the claims, which are folded


LANE = 150.0  # width of a claim's own drawing
_SIGNS = {
    "holds": "supported", "holds in part": "inconclusive", "fails": "refuted", "not reproduced": "not-reproduced",
    "open": "inconclusive", "not run": "unrun", "not tested": "not-asked",
}  # fmt: skip


def _compose(
    study: Study,
    verdicts: Sequence[Verdict],
    data: Sequence[ExperimentData],
    exact: Sequence[ExactVerdict],
    created: str | None,
) -> _Composed:
    by_name = {item.experiment.name: item for item in data}
    assert len(by_name) == len(data), "one ExperimentData an experiment"
    files: dict[str, bytes] = {}
    opening = _opening(study, by_name, files)
    groups: dict[str, list[_Arm]] = {}
    for experiment in study.experiments:
        own = [verdict for verdict in verdicts if verdict.experiment == experiment.name]
        groups.setdefault(experiment.family, []).append(_arm(study, experiment, by_name.get(experiment.name), own, files))
    table = VerdictTable(tuple(verdicts), tuple(exact), study.slug)
    for suffix, text in (("csv", table.csv()), ("json", table.json()), ("md", table.markdown()), ("tex", table.latex())):
        files[f"verdicts.{suffix}"] = text.encode()
    marks = [mark for own_marks in _marks("", study.experiments, verdicts, linked=True) for mark in own_marks]
    title, question = _title_and_question(study)
    quick = any(item.preset == "quick" and item.n_runs for item in data)
    page = rendered(
        "study.html.j2",
        study=study,
        title=title,
        question=question,
        paper=_linked(study.paper.text),
        quick=quick,
        found=what_was_found(study, verdicts, exact, quick=quick),
        opening=opening,
        tally=_tally([mark.verdict for mark in marks]),
        headlines=_headlines(study, verdicts, exact, marks),
        promise=_promise(study),
        groups=[
            {"question": family, "ident": f"question-{i}", "arms": arms} for i, (family, arms) in enumerate(groups.items(), 1)
        ],
        exact=[_exact_row(found) for found in exact],
        exact_tally=", ".join(f"{name} ({n})" for name, n in Counter(found.verdict for found in exact).items()),
        made=_made(data),
        created=created,
    )
    return _Composed(page, files)


def _opening(study: Study, by_name: Mapping[str, ExperimentData], files: dict[str, bytes]) -> Plate | None:
    """The figure that explains the study, from the rows there are; the next one that can be drawn where it cannot."""
    chosen = study.opening
    others = [(experiment, figure) for experiment in study.experiments for figure in experiment.figures if not figure.further]
    for experiment, figure in [*([chosen] if chosen else []), *others]:
        data = by_name.get(experiment.name)
        if data is not None and data.n_runs and data.tables.get(figure.chart.table):
            return _drawn(experiment, figure, data.tables, files)
    return None


def _made(data: Sequence[ExperimentData]) -> str:
    """When the rows were made, in days; empty where there are none."""
    days = sorted({day for item in data for day in item.made})
    return "" if not days else f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"


def _promise(study: Study) -> str:
    """How many false verdicts a reader must reckon with; empty where nothing is inferred."""
    false, n = expected_false(study), len(study.families)
    if not false:
        return ""
    of = "the one family" if n == 1 else f"the {n} families"
    return f"In expectation, at most {false:.2g} of {of} of claims holds a false verdict."


def _headlines(
    study: Study, verdicts: Sequence[Verdict], exact: Sequence[ExactVerdict], marks: Sequence[_Mark]
) -> list[_Headline]:
    """Each headline of the paper with what became of it, the claims that tell it best, and the others as marks."""
    hrefs = {mark.claim: mark.href for mark in marks}
    checks = {found.check.name: found.verdict for found in exact}
    lines = []
    for found in headlines_found(study, verdicts, exact):
        leads = tuple(_lead(study, one, hrefs) for one in found.told)
        told = {lead.name for lead in leads}
        counted = Counter(checks[name] for name in found.headline.claims if name in checks and name not in told)
        lines.append(
            _Headline(
                says=found.headline.says,
                reason=found.headline.reason,
                outcome=found.outcome,
                mark=_SIGNS[found.outcome],
                leads=leads,
                marks=tuple(mark for mark in marks if mark.claim in found.headline.claims and mark.claim not in told),
                checks=", ".join(f"{_count(n, 'exact check')}: {verdict}" for verdict, n in counted.items()),
            )
        )
    return lines


def _lead(study: Study, one: Verdict | ExactVerdict, hrefs: Mapping[str, str]) -> _Lead:
    if isinstance(one, ExactVerdict):
        check = one.check
        number = "" if one.number is None else typeset(shared([one.number], 0.0)[0])
        number = f"{number} {check.unit}".strip()
        return _Lead(
            check.name, check.sentence, one.verdict, number, typeset(check.rule.text), _cited(check.paper), "", "", None
        )
    drawn = None
    if one.estimate is not None:
        lane = lane_of(study, one)

        def at(place: float) -> float:
            return round((place + 1) / 2 * (LANE - 12) + 6, 1)

        drawn = _Drawn(
            tuple((at(low), round(at(high) - at(low), 1)) for low, high in lane.zones),
            tuple(at(bound) for bound in lane.bounds),
            None if lane.interval is None else (at(lane.interval[0]), at(lane.interval[1]), at(lane.interval[2])),
        )
    return _Lead(
        one.claim,
        one.says,
        one.verdict,
        number_text(one),
        typeset(one.rule),
        _cited(one.paper_value),
        "; ".join(filter(None, (one.reason, f"the interval {one.looks}" if peeked(one.looks) else ""))),
        hrefs.get(one.claim, ""),
        drawn,
    )


def _cited(paper: str | float | None) -> str:
    """The paper's own value as a page sets it."""
    return "–" if paper is None else typeset(paper) if isinstance(paper, str) else typeset(general(paper))


def _exact_row(found: ExactVerdict) -> dict[str, str]:
    return {
        "name": found.check.name,
        "says": found.check.sentence,
        "why": found.check.why,
        "number": "–" if found.number is None else shared([found.number], 0.0)[0],
        "rule": found.check.rule.text,
        "verdict": found.verdict,
    }


def _arm(
    study: Study, experiment: Experiment, data: ExperimentData | None, verdicts: Sequence[Verdict], files: dict[str, bytes]
) -> _Arm:
    ident = f"experiment-{experiment.name}"
    if data is None or data.n_runs == 0:
        facts = (
            *(
                [f"not run at these settings; stored: {', '.join(data.elsewhere)}"]
                if data and data.elsewhere
                else ["not run yet"]
            ),
            *([f"takes {experiment.cost.text} at the laptop preset"] if experiment.cost else []),
        )
        command = data.command if data else f"assay run {study.slug} --experiment {experiment.name}"
        return _Arm(ident, experiment.name, experiment.question, command, facts, tuple(_warnings(data)) if data else ())
    numbers = any(verdict.estimate is not None for verdict in verdicts)
    picture = forest(study, verdicts, ident=f"{experiment.name}-verdicts") if numbers else None
    margins = {claim.name: claim.why for claim in experiment.claims}
    # What the page opens with is not drawn twice.
    figures = [figure for figure in experiment.figures if f"figures/{experiment.name}/{figure.name}.svg" not in files]
    opens = len(figures) < len(experiment.figures)
    return _Arm(
        ident=ident,
        name=experiment.name,
        question=experiment.question,
        command=data.command,
        facts=(
            _count(data.n_runs, "run"),
            f"{data.preset} preset{', changed' if data.custom else ''}",
            f"{_time(data.wall_s)} of computing",
            *([f"code {data.code}"] if data.code else []),
            *(["its figure opens this page"] if opens else []),
            *(f"also stored: {text}" for text in data.elsewhere),
        ),
        warnings=tuple(_warnings(data)),
        claims=tuple(
            _claim_row(f"{ident}-{i}", verdict, margins.get(verdict.claim, "")) for i, verdict in enumerate(verdicts, 1)
        ),
        caption=f"Over {_count(data.n_runs, 'run')}: the interval that decided, the paper’s own value, the control.",
        forest=plate(f"figures/{experiment.name}-verdicts", "", "", picture, files) if picture else None,
        figures=tuple(_drawn(experiment, figure, data.tables, files) for figure in figures if not figure.further),
        further=tuple(_drawn(experiment, figure, data.tables, files) for figure in figures if figure.further),
        settings=tuple(_settings(experiment, data)),
        settings_note=f"Settings of the preset {data.preset}" + ("; those changed are marked." if data.custom else "."),
        environment=tuple(_Item(name, value) for name, value in _flat(data.environment)),
        summary=_tally([verdict.verdict for verdict in verdicts]),
    )


def _drawn(experiment: Experiment, figure: Figure, tables: Mapping[str, Table], files: dict[str, bytes]) -> Plate:
    """The figure with its files; where it cannot be drawn the page says why in its place."""
    stem = f"figures/{experiment.name}/{figure.name}"
    try:
        picture = draw(figure, tables, ident=f"{experiment.name}-figure-{figure.name}")
    except InputError as error:
        return Plate(figure.title.rstrip("."), figure.caption, f"Not drawn: {error}.")
    return plate(stem, figure.title.rstrip("."), figure.caption, picture, files)


def plate(stem: str, title: str, caption: str, picture: Picture, files: dict[str, bytes]) -> Plate:
    """The picture on a page, with its SVG, PDF and CSV added to `files` under `stem`."""
    files[f"{stem}.svg"] = picture.wide.standalone.encode()
    files[f"{stem}.pdf"] = picture.pdf
    files[f"{stem}.csv"] = csv_text(picture.columns, picture.rows).encode()
    narrow = Markup(picture.narrow.inline) if picture.narrow else None
    return Plate(title, caption, picture.note, stem, Markup(picture.wide.inline), narrow, stacked=picture.n_panels > 2)


def _warnings(data: ExperimentData) -> Iterable[_Warning]:
    if data.preset == "quick" and data.n_runs:
        yield _Warning("Quick preset.", "These runs judge nothing; every verdict here is void.")
    if data.n_stale:
        were, are = ("was", "is") if data.n_stale == 1 else ("were", "are")
        made = data.why_stale or "made by an earlier version of the code"
        yield _Warning("Stale runs.", f"{_count(data.n_stale, 'stored run')} {were} {made} and {are} not counted here.")
    if data.edited_claims:
        names = ", ".join(data.edited_claims)
        were, they = ("was", "It is") if len(data.edited_claims) == 1 else ("were", "They are")
        yield _Warning(
            "Claims edited since.", f"{names} {were} edited after these runs were stored. {they} judged here as now written."
        )


def _claim_row(ident: str, verdict: Verdict, margin: str) -> _ClaimRow:
    estimate, interval = interval_text(verdict.estimate, verdict.low, verdict.high)
    found = verdict.estimate is not None
    return _ClaimRow(
        ident=ident,
        name=verdict.claim,
        says=verdict.says,
        source=verdict.source,
        rule=typeset(verdict.rule),
        margin=margin,
        estimate=typeset(estimate) if found else "",
        interval=f"{typeset(interval)} {'' if verdict.estimand_unit == 'yes or no' else verdict.estimand_unit}".strip()
        if found
        else "",
        basis=_basis(verdict),
        effect=_effect(verdict),
        paper=_cited(verdict.paper_value),
        controls=tuple(
            _control_cell(what, control)
            for what, control in (("Negative", verdict.control), ("Positive", verdict.positive))
            if control is not None
        ),
        verdict=verdict.verdict,
        reason=verdict.reason,
    )


def _basis(verdict: Verdict) -> str:
    """What the interval is: its level and method, and over how many units."""
    over = f"{_count(verdict.n_runs, 'run')}" + ("" if verdict.unit == "run" else f", unit: {verdict.unit}")
    step = "of the weakest step" if verdict.rule.startswith("rising") else ""
    quantity = ", ".join(filter(None, (step, verdict.estimand_unit, verdict.range)))
    over += f"; {typeset(quantity)}" if quantity else ""
    over += f"; {verdict.looks}" if verdict.looks not in ("", ONE_LOOK) else ""
    if verdict.level is None or verdict.level >= 1:
        return f"{verdict.method or 'no interval'}, {over}"
    return f"{level_text(verdict.level)} interval ({verdict.method}), {over}"


MOST_SD = 100  # beyond it, how many standard deviations says nothing but that runs hardly differ


def _effect(verdict: Verdict) -> str:
    if verdict.effect is None:
        return ""
    size = "> 100" if abs(verdict.effect) > MOST_SD else typeset(general(abs(verdict.effect), 2))
    return f"{size} SD {'inside the rule' if verdict.effect >= 0 else 'short of the rule'}"


def _control_cell(what: str, control: ControlVerdict) -> _ControlCell:
    estimate, interval = interval_text(control.estimate, control.low, control.high)
    if control.judgement is None:
        outcome = "No number to judge"
    elif control.flips:
        outcome = f"{control.judgement.capitalize()}, as it must be"
    else:
        outcome = f"{control.judgement.capitalize()}; it had to be {control.expected}"
    if control.judgement is not None:
        outcome += f" ({typeset(control.rule)})"
    found = control.estimate is not None
    failed = control.judgement is not None and not control.flips
    numbers = (typeset(estimate), typeset(interval)) if found else ("", "")
    return _ControlCell(what, control.says, *numbers, failed, outcome)


def _settings(experiment: Experiment, data: ExperimentData) -> Iterable[_Setting]:
    declared = {info.name: info for info in fields_of(experiment.preset(data.preset).settings)}
    for name, value in data.settings.items():
        info = declared.get(name)
        text, preset = _spelled(value), _spelled(info.value) if info else "none"
        yield _Setting(name, text, info.says if info else "", preset, changed=info is not None and text != preset)


def _spelled(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_spelled(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return typeset(str(value)) if isinstance(value, float) else "none" if value is None else str(value)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", _spelled(value)


# Shared by both pages


def _marks(base: str, experiments: Iterable[Experiment], verdicts: Sequence[Verdict], *, linked: bool) -> list[list[_Mark]]:
    """One mark a claim, by experiment; a link leads to the claim's row on its study's page."""
    marks = []
    for experiment in experiments:
        own = [verdict for verdict in verdicts if verdict.experiment == experiment.name]
        places = {verdict.claim: (i, verdict.verdict) for i, verdict in enumerate(own, 1)}
        found = []
        for claim in experiment.claims:
            place, verdict = places.get(claim.name, (0, "unrun"))
            anchor = f"#experiment-{experiment.name}-{place}" if place else f"#experiment-{experiment.name}"
            found.append(
                _Mark(claim.name, verdict, claim.sentence, f"{base + '/index.html' if base else ''}{anchor}" if linked else "")
            )
        marks.append(found)
    return marks


def _tally(verdicts: Sequence[str]) -> str:
    parts = [
        f"{count} {'not run' if name == 'unrun' else name}"
        for name in (*VERDICTS, "unrun")
        if (count := list(verdicts).count(name))
    ]
    return ", ".join(parts) + f" of {_count(len(verdicts), 'claim')}." if parts else "No claims."


def _title_and_question(study: Study) -> tuple[str, str]:
    title, _, question = study.title.partition(": ")
    return title, question[:1].upper() + question[1:]


def shown_title(study: Study) -> str:
    """A study's title without its question."""
    return _title_and_question(study)[0]


_IDENTIFIER = re.compile(r"arXiv:\d{4}\.\d{4,5}(?:v\d+)?|doi:10\.\d{4,9}/[\w.()/:-]*\w", re.IGNORECASE)


def _linked(citation: str) -> list[_Part]:
    """The citation in parts, with arXiv and DOI identifiers as links; nothing else in it becomes one."""
    parts, end = [], 0
    for found in _IDENTIFIER.finditer(citation):
        kind, _, identifier = found[0].partition(":")
        host = "https://arxiv.org/abs/" if kind.lower() == "arxiv" else "https://doi.org/"
        parts += [_Part(citation[end : found.start()]), _Part(found[0], host + identifier)]
        end = found.end()
    return [*parts, _Part(citation[end:])]


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _prose(text: str) -> Markup:
    """Running text: names between backticks as code, numbers and signs (>=, -1, 1e-8) as a page sets them."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(visible(typeset(text))))))


def _defined(text: str) -> Markup:
    """Running text in which a word between asterisks is one that it explains."""
    return Markup(re.sub(r"\*([^*]+)\*", r"<dfn>\1</dfn>", str(_prose(text))))


def _breakable(text: str) -> Markup:
    """The text, where a narrow column may break a formula behind a slash or a bracket rather than inside a word."""
    return Markup(re.sub(r"(?<=\S)[/(](?=\S)", r"\g<0><wbr>", str(escape(visible(text)))))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("assay.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"breakable": _breakable, "prose": _prose, "defined": _defined}
    return environment


@cache
def _style() -> tuple[Markup, str]:
    """The style sheet and the hash under which the page's policy allows it."""
    block = {
        theme: "\n".join(f"    {name}: {value};" for name, value in css_variables(theme).items()) for theme in ("light", "dark")
    }
    source, _, _ = PackageLoader("assay.report", "templates").get_source(_environment(), "page.css")
    sheet = source.replace("{{ light }}", block["light"]).replace("{{ dark }}", block["dark"])
    return Markup(sheet), f"sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}"


def rendered(template: str, **context: Any) -> str:
    """A page of the report: every text escaped and made visible, the style sheet within it."""
    style, style_hash = _style()
    return _environment().get_template(template).render(version=__version__, style=style, style_hash=style_hash, **context)
