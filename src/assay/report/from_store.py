"""From the store to pages: gathers what `assay.report.page` shows, and computes nothing but verdicts."""

import dataclasses
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.claims.study import Experiment, Study, Table
from assay.claims.verdict import VERDICTS, Verdict
from assay.core.errors import InputError, UsageError
from assay.core.places import default_folder
from assay.core.settings import canonical_json, changes, spelled
from assay.report.grid import GridPoint, grid_page
from assay.report.page import AtlasEntry, AuditEntry, ExperimentData, put_in_place, write_atlas, write_report
from assay.report.seen import figure_in_words
from assay.runner.cost import minutes_text
from assay.runner.discovery import address_of, wing_of
from assay.runner.plan import Cell, Selection
from assay.runner.run import Judged, judge_stored
from assay.runner.study_files import called
from assay.store.exchange import REFERENCE
from assay.store.store import Store, StoredRun

if TYPE_CHECKING:
    from assay.audit.preference_record import PairAudit

__all__ = ["Reported", "gather", "next_steps", "report_atlas", "report_grid", "report_study", "seen", "write_study"]

_MOST_ELSEWHERE = 3  # other settings that are told one by one


@dataclasses.dataclass(frozen=True)
class Reported:
    """A study's page as it was written, with what stands on it."""

    page: Path
    judged: Judged
    data: list[ExperimentData]


def report_study(selection: Selection, store: Store, out: Path, *, created: str | None = None) -> Path:
    """Write the page of a study from its stored rows under `out/<slug>/` and return the path of its `index.html`.

    Args:
        selection: what is shown, one settings value in all. Experiments that it does not name are shown at the preset's own
            settings; those without stored runs as not run.
        store: open; read only suffices.
        out: the folder of all reports.
        created: a date for the page; None keeps it the same for the same rows.

    Raises:
        UsageError: unknown experiment or preset, or overrides that make a grid.
        SettingsError: an override is refused.
        StoreError: stored rows do not verify, or a file cannot be written.
    """
    return write_study(selection, store, out, created=created).page


def write_study(selection: Selection, store: Store, out: Path, *, created: str | None = None) -> Reported:
    """The same, with what stands on the page."""
    study, points = selection.study, judge_stored(selection, store)
    if len(points) != 1:
        grid = " ".join(selection.overrides)
        raise UsageError(
            f"report: a study's page shows one settings value; got a grid of {len(points)} (from --set {grid}). "
            "Give one value each; report_grid writes the page of a grid"
        )
    judged = _whole(selection, points[0], store)
    verdicts = [verdict for verdict in judged.verdicts if judged.runs[verdict.experiment]]
    data = gather(study, store, judged)
    return Reported(write_report(study, verdicts, data, out, exact=judged.exact, created=created), judged, data)


def report_grid(selection: Selection, store: Store, out: Path, *, created: str | None = None) -> Path:
    """Write the page of a grid of settings to `out/<slug>/grid-<what was swept>.html` and return its path.

    Raises:
        UsageError: the selection is no grid.
        StoreError: stored rows do not verify, or a file cannot be written.
    """
    study, points = selection.study, judge_stored(selection, store)
    fields: dict[tuple[str, str], list[object]] = {}
    for judged in points:
        for name, cell in judged.cells.items():
            for field in dataclasses.fields(cell.settings):  # type: ignore[arg-type]
                fields.setdefault((name, field.name), []).append(getattr(cell.settings, field.name))
    swept = list(dict.fromkeys(name for (_, name), values in fields.items() if any(value != values[0] for value in values)))
    if not swept:
        raise UsageError("report: a grid needs a setting with several values, such as --set n_facts=4,8")

    def value(judged: Judged, name: str) -> object:
        return next(getattr(cell.settings, name) for cell in judged.cells.values() if hasattr(cell.settings, name))

    found = [
        GridPoint(
            tuple(value(judged, name) for name in swept),
            sum(map(len, judged.runs.values())),
            [verdict for verdict in judged.verdicts if judged.runs[verdict.experiment]],
        )
        for judged in points
    ]
    page, files = grid_page(study, swept, found, created=created)
    folder = out / study.slug
    for name, content in files.items():
        put_in_place(folder / name, content)
    path = folder / f"grid-{'-'.join(swept)}.html"
    put_in_place(path, page.encode())
    return path


def seen(reported: Reported) -> list[str]:
    """What the stored runs show, for a terminal: per experiment how many of its runs there are, and its figures in numbers."""
    lines = []
    for item in reported.data:
        if not item.n_runs or item.preset == "quick":
            continue
        wanted = item.experiment.preset(item.preset).n_runs
        state = "shows, does not decide" if item.n_runs < wanted else _tally(reported.judged.verdicts, item.experiment.name)
        lines.append(f"{item.experiment.name}, {item.n_runs} of {wanted} runs: {state}")
        told = ((figure, figure_in_words(figure, item.tables)) for figure in item.experiment.figures if not figure.further)
        for figure, words in [(figure, words) for figure, words in told if words][:1]:
            lines += [f"  {figure.title}", *(f"    {line}" for line in words)]
    return lines


def _tally(verdicts: Sequence[Verdict], experiment: str) -> str:
    counted = Counter(one.verdict for one in verdicts if one.experiment == experiment)
    return ", ".join(f"{n} {name}" for name in VERDICTS if (n := counted[name])) or "no claims"


def next_steps(selection: Selection, reported: Reported, store: Store) -> list[str]:
    """At most three things to do after a report: decide what is open, see all counted runs, ask something new."""
    study, where = selection.study, _where(study=selection.study, store=store)
    steps = []
    for item in reported.data:
        wanted = item.experiment.preset(item.preset).n_runs
        if item.experiment.has_runs and item.n_runs < wanted and item.preset == "laptop":
            cell = reported.judged.cells[item.experiment.name]
            sets = [
                part
                for change in changes(item.experiment.preset("laptop").settings, cell.settings)
                for part in ("--set", change)
            ]
            seconds = item.experiment.seconds_of(cell.settings)
            time = "" if seconds is None else f" (about {minutes_text((wanted - item.n_runs) * seconds / 120)} on two cores)"
            command = shlex.join(["assay", "run", called(study.slug), "--experiment", item.experiment.name, *sets, *where])
            steps.append((item.n_runs == 0, f"decide {item.experiment.name}{time}: {command}"))
    steps = sorted(steps)[:1]
    own = [] if store.folder == default_folder().absolute() else ["--store", str(store.folder)]
    if REFERENCE not in store.origins().values():
        command = shlex.join(["assay", "store", "import", REFERENCE, *own])
        steps.append((False, f"see the counted runs of every study: {command}, then {shlex.join(['assay', 'report', *own])}"))
    steps.append((False, f"read the claims, and the settings that --set changes: assay show {called(study.slug)}"))
    steps.append(
        (False, "ask the same of a model of yours: assay audit smollm2-135m examples/countries.yaml --out reports/countries")
    )
    return [text for _, text in steps[:3]]


def _whole(selection: Selection, judged: Judged, store: Store) -> Judged:
    """The judged experiments, and the study's others at the preset's own settings: a page shows the whole study."""
    study = selection.study
    others = [one.name for one in study.experiments if one.name not in judged.cells]
    if not others:
        return judged
    (rest,) = judge_stored(Selection(study, others, selection.preset), store)
    order = [experiment.name for experiment in study.experiments]
    both = {name: (judged if name in judged.cells else rest) for name in order}
    edited = {*judged.edited, *rest.edited}
    return dataclasses.replace(
        judged,
        cells={name: side.cells[name] for name, side in both.items()},
        verdicts=sorted((*judged.verdicts, *rest.verdicts), key=lambda one: order.index(one.experiment)),
        runs={name: side.runs[name] for name, side in both.items()},
        stale={name: side.stale[name] for name, side in both.items()},
        edited=tuple(claim.name for claim in study.claims if claim.name in edited),
        looks={**judged.looks, **rest.looks},
        aside={**judged.aside, **rest.aside},
        why_stale={**judged.why_stale, **rest.why_stale},
        elsewhere={**judged.elsewhere, **rest.elsewhere},
        exact=tuple(sorted((*judged.exact, *rest.exact), key=lambda one: order.index(one.experiment))),
    )


def report_atlas(
    studies: Iterable[Study],
    store: Store,
    out: Path,
    *,
    preset: str = "laptop",
    audits: Path | None = None,
    created: str | None = None,
) -> Path:
    """Write the atlas of all studies and audits to `out/index.html` and return its path.

    A study, or an audit, is linked where its page lies in `out`.

    Args:
        studies: that are shown.
        store: open; read only suffices.
        out: the folder of all reports.
        preset: whose runs are judged.
        audits: the folder of kept audits; None shows none.
        created: a date for the page.

    Raises:
        StoreError: stored rows do not verify, or the file cannot be written.
    """
    entries = []
    for study in studies:
        (judged,) = judge_stored(Selection(study, preset=preset), store)
        entries.append(
            AtlasEntry(
                study=study,
                verdicts=[verdict for verdict in judged.verdicts if judged.runs[verdict.experiment]],
                n_runs=sum(map(len, judged.runs.values())),
                quick=preset == "quick" and any(judged.runs.values()),
                n_stale=sum(judged.stale.values()),
                linked=(out / study.slug / "index.html").is_file(),
                command=shlex.join(["assay", "run", study.slug, *_where(study, store)]),
                exact=judged.exact,
                wing=wing_of(study.slug),
                elsewhere=tuple(
                    f"{name}: {text}"
                    for name, cell in judged.cells.items()
                    for text in _elsewhere(cell, judged.elsewhere[name])
                ),
            )
        )
    return write_atlas(entries, out, [] if audits is None else _audits(audits, out), created=created)


def _audits(folder: Path, out: Path) -> list[AuditEntry]:
    """Every kept audit's line, the newest first; trainings that are told together are one."""
    if not folder.is_dir():
        return []
    from assay.audit.columns import column_named
    from assay.audit.kept import KeptAudits
    from assay.audit.preference_record import PairAudit
    from assay.audit.record import Audit
    from assay.audit.totals import EVERYTHING

    kept = KeptAudits(folder)
    found = [audit for one in kept.listed() if (audit := kept.get(one.digest)) is not None]
    within = {run.digest for audit in found if isinstance(audit, Audit) for run in audit.runs}
    entries = []
    for audit in found:
        if audit.digest in within:
            continue
        page = f"audit-{audit.digest}/index.html"
        link = {"href": page if (out / page).is_file() else "", "command": f"assay report --audit {audit.digest}"}
        if isinstance(audit, PairAudit):
            entries.append(_of_preferences(audit, link))
            continue
        tones = {
            total.column: "good" if column_named(total.column).wanted == (total.estimate > 0) else "bad"
            for total in audit.totals
            if total.group == EVERYTHING and total.clear
        }
        runs = len(audit.runs) or (1 if audit.rows and not audit.tuned else 0)
        entries.append(
            AuditEntry(
                title=f"{audit.tuned} against {audit.model}" if audit.tuned else f"{audit.model} and {audit.facts_name}",
                injected=f"{audit.n_trained} facts"
                + (f", recipe {audit.recipe.get('method', '')}" if audit.rows and not audit.tuned else "")
                + ("" if audit.rows else ", forecast alone"),
                told=tuple((count.text, tones.get(count.column, "")) for count in audit.counts),
                notes=(*([f"{runs} training{'s' * (runs > 1)}"] if runs else []), audit.made[:10]),
                **link,
            )
        )
    return entries


def _of_preferences(audit: "PairAudit", link: Mapping[str, str]) -> AuditEntry:
    """The line of an audit of preferences."""
    from assay.audit.preference_hits import pair_sentences

    fell = any(total.column == "displaced" and total.clear for total in audit.totals)
    told = pair_sentences(audit, 0)
    return AuditEntry(
        title=f"{audit.tuned} against {audit.model}" if audit.tuned else f"{audit.model} and {audit.pairs_name}",
        injected=f"{audit.n_pairs} pairs"
        + (f", method {audit.method}" if audit.totals and not audit.tuned else "")
        + ("" if audit.totals else ", forecast alone"),
        told=tuple((text, "bad" if fell and place == 0 else "") for place, text in enumerate(told)),
        notes=(*(["1 training"] if audit.totals and not audit.tuned else []), audit.made[:10]),
        **link,
    )


def gather(study: Study, store: Store, judged: Judged) -> list[ExperimentData]:
    """What a page shows of each experiment that has stored runs, stale ones included.

    Raises:
        StoreError: a table is missing or altered.
    """
    found = []
    for name, cell in judged.cells.items():
        runs, n_stale = judged.runs[name], judged.stale[name]
        claims = {claim.name for claim in cell.experiment.claims}
        found.append(
            ExperimentData(
                experiment=cell.experiment,
                preset=judged.preset,
                settings={field.name: getattr(cell.settings, field.name) for field in dataclasses.fields(cell.settings)},  # type: ignore[arg-type]
                custom=cell.custom,
                n_runs=len(runs),
                n_stale=n_stale,
                why_stale=judged.why_stale.get(name, ""),
                edited_claims=tuple(claim for claim in judged.edited if claim in claims),
                tables=_tables(store, cell.experiment, runs),
                environment=_environment(runs),
                wall_s=sum(run.wall_s for run in runs),
                command=_command(study, cell, judged.preset, runs, store),
                code=cell.fingerprint,
                made=tuple(sorted({run.created[:10] for run in runs})),
                elsewhere=_elsewhere(cell, judged.elsewhere.get(name, ())),
            )
        )
    return found


def _elsewhere(cell: Cell, runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """What these runs of an experiment at other settings are: "2 runs at n_facts=4", the most first."""
    others = Counter((run.preset, canonical_json(dict(run.settings))) for run in runs)
    told = []
    for (preset, settings), n in others.most_common(_MOST_ELSEWHERE):
        base = json.loads(canonical_json(cell.experiment.preset(preset).settings))
        changed = [f"{key}={spelled(value)}" for key, value in json.loads(settings).items() if value != base.get(key)]
        at = f" at {', '.join(changed)}" if changed else ""
        told.append(f"{n} run{'s' * (n > 1)}{at}{'' if changed and preset == 'laptop' else f' of the {preset} preset'}")
    more = len(others) - _MOST_ELSEWHERE
    return (*told, *([f"and runs at {more} other settings"] if more > 0 else []))


def _tables(store: Store, experiment: Experiment, runs: Sequence[StoredRun]) -> dict[str, Table]:
    """The tables that the experiment's charts draw, of all runs together."""
    wanted = sorted({figure.chart.table for figure in experiment.figures})
    return {name: store.pooled_table(runs, name) for name in wanted}


def _environment(runs: Sequence[StoredRun]) -> dict[str, object]:
    """What the runs were made with; where they differ, every value."""
    values: dict[str, dict[str, None]] = {}
    for environment in {id(run.environment): run.environment for run in runs}.values():  # the store shares equal ones
        for name, value in environment.items():
            if value is not None:
                values.setdefault(name, {})[str(value)] = None
    return {name: " or ".join(sorted(found)) for name, found in sorted(values.items())}


def _where(study: Study, store: Store) -> list[str]:
    """The options that every command about this store needs: its folder, unless it is the default, and two cores if it can."""
    own = [] if store.folder == default_folder().absolute() else ["--store", str(store.folder)]
    try:
        address_of(study)
    except InputError:  # no other process could find it
        return own
    return ["--on", "processes", *own]


def _command(study: Study, cell: Cell, preset: str, runs: Sequence[StoredRun], store: Store) -> str:
    """The command that makes these very runs, with every option it needs: one for each stretch of seeds."""
    parts = ["assay", "run", called(study.slug), "--experiment", cell.experiment.name, "--preset", preset]
    for change in changes(cell.experiment.preset(preset).settings, cell.settings):
        parts += ["--set", change]
    where = _where(study, store)
    stretches, own = _stretches(sorted(run.seed for run in runs)), study.first_seed_of(cell.experiment.name)
    if any(run.sequential for run in runs):
        return shlex.join(
            [
                *parts,
                *(["--seed", str(stretches[0][0])] * (stretches[0][0] != own)),
                "--until-decided",
                "--max-runs",
                str(max(len(runs), *(run.sequential for run in runs))),
                *where,
            ]
        )
    return " && ".join(
        shlex.join([*parts, "--runs", str(count), *(["--seed", str(first)] if first != own else []), *where])
        for first, count in stretches or [(own, cell.experiment.preset(preset).n_runs)]
    )


def _stretches(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive seeds, as (first, how many)."""
    found: list[tuple[int, int]] = []
    for seed in seeds:
        if found and seed == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((seed, 1))
    return found
