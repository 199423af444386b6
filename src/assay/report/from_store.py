"""From the store to pages: gathers what `assay.report.page` shows, and computes nothing but verdicts."""

import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from assay.claims.study import Experiment, Study, Table
from assay.core.errors import UsageError
from assay.report.page import AtlasEntry, AuditEntry, ExperimentData, write_atlas, write_report
from assay.runner.plan import Cell, Selection
from assay.runner.run import Judged, judge_stored
from assay.store.store import Store, StoredRun

__all__ = ["gather", "report_atlas", "report_study"]


def report_study(selection: Selection, store: Store, out: Path, *, created: str | None = None) -> Path:
    """Write the page of a study from its stored rows under `out/<slug>/` and return the path of its `index.html`.

    Args:
        selection: what is shown, one settings value in all. Experiments without stored runs are shown as not run.
        store: open; read only suffices.
        out: the folder of all reports.
        created: a date for the page; None keeps it the same for the same rows.

    Raises:
        UsageError: unknown experiment or preset, or overrides that make a grid.
        SettingsError: an override is refused.
        StoreError: stored rows do not verify, or a file cannot be written.
    """
    study, points = selection.study, judge_stored(selection, store)
    if len(points) != 1:
        grid = " ".join(selection.overrides)
        raise UsageError(
            f"report: a page shows one settings value; got a grid of {len(points)} (from --set {grid}). "
            "Give one value each, or print the grid with --format md"
        )
    verdicts = [verdict for verdict in points[0].verdicts if points[0].runs[verdict.experiment]]
    return write_report(study, verdicts, gather(study, store, points[0]), out, exact=points[0].exact, created=created)


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
                command=f"assay run {study.slug}",
            )
        )
    return write_atlas(entries, out, [] if audits is None else _audits(audits, out), created=created)


def _audits(folder: Path, out: Path) -> list[AuditEntry]:
    """Every kept audit's line, the newest first; trainings that are told together are one."""
    if not folder.is_dir():
        return []
    from assay.audit.columns import column_named
    from assay.audit.kept import KeptAudits
    from assay.audit.totals import EVERYTHING

    kept = KeptAudits(folder)
    found = [audit for one in kept.listed() if (audit := kept.get(one.digest)) is not None]
    within = {run.digest for audit in found for run in audit.runs}
    entries = []
    for audit in found:
        if audit.digest in within:
            continue
        tones = {
            total.column: "good" if column_named(total.column).wanted == (total.estimate > 0) else "bad"
            for total in audit.totals
            if total.group == EVERYTHING and total.clear
        }
        page = f"audit-{audit.digest}/index.html"
        runs = len(audit.runs) or (1 if audit.rows and not audit.tuned else 0)
        entries.append(
            AuditEntry(
                title=f"{audit.tuned} against {audit.model}" if audit.tuned else f"{audit.model} and {audit.facts_name}",
                injected=f"{audit.n_trained} facts"
                + (f", recipe {audit.recipe.get('method', '')}" if audit.rows and not audit.tuned else "")
                + ("" if audit.rows else ", forecast alone"),
                told=tuple((count.text, tones.get(count.column, "")) for count in audit.counts),
                notes=(*([f"{runs} training{'s' * (runs > 1)}"] if runs else []), audit.made[:10]),
                href=page if (out / page).is_file() else "",
                command=f"assay report --audit {audit.digest}",
            )
        )
    return entries


def gather(study: Study, store: Store, judged: Judged) -> list[ExperimentData]:
    """What a page shows of each experiment that has stored runs, stale ones included.

    Raises:
        StoreError: a table is missing or altered.
    """
    found = []
    for name, cell in judged.cells.items():
        runs, n_stale = judged.runs[name], judged.stale[name]
        if not runs and not n_stale:
            continue
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
                command=_command(study, cell, judged.preset, runs),
            )
        )
    return found


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


def _command(study: Study, cell: Cell, preset: str, runs: Sequence[StoredRun]) -> str:
    """The command that makes these very runs: one for each stretch of seeds."""
    parts = ["assay", "run", study.slug, "--experiment", cell.experiment.name, "--preset", preset]
    base = cell.experiment.preset(preset).settings
    for field in dataclasses.fields(cell.settings):  # type: ignore[arg-type]
        value = getattr(cell.settings, field.name)
        if value != getattr(base, field.name):
            parts += ["--set", f"{field.name}={_spelled(value)}"]
    stretches, own = _stretches(sorted(run.seed for run in runs)), study.first_seed_of(cell.experiment.name)
    if any(run.sequential for run in runs):
        return shlex.join(
            [
                *parts,
                *(["--seed", str(stretches[0][0])] * (stretches[0][0] != own)),
                "--until-decided",
                "--max-runs",
                str(max(len(runs), *(run.sequential for run in runs))),
            ]
        )
    return " && ".join(
        shlex.join([*parts, "--runs", str(count), *(["--seed", str(first)] if first != own else [])])
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


def _spelled(value: object) -> str:
    """A settings value as `--set` reads it."""
    if isinstance(value, (list, tuple)):
        return ",".join(_spelled(item) for item in value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
