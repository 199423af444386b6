"""`assay compare`: two kept audits, two settings or two stores beside each other."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from assay.cli.completing import studies_named
from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.cli.running import EXPERIMENT_OPTION, PRESET_OPTION, SET_OPTION
from assay.cli.store import sources
from assay.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from assay.api.results import Results
    from assay.audit.kept import KeptAudits
    from assay.audit.record import Audit
    from assay.claims.study import Study

__all__ = ["compare"]

AUDITS = ("column", "first", "second", "estimate", "low", "high", "level", "n_questions", "n_units", "says")
STUDIES = ("experiment", "claims", "estimand", "unit", "first", "second", "estimate", "low", "high", "level", "n_runs", "says")


def compare(
    first: str = typer.Argument(
        metavar="A", help="A kept audit, by the beginning of its digest, or the folder of its page; or as of --study."
    ),
    second: str = typer.Argument(metavar="B", help="Another: an audit of the same file of facts."),
    study: str | None = typer.Option(
        None,
        "--study",
        metavar="STUDY",
        help="Compare runs of this study: A and B are settings (NAME=VALUE) or stores (folders, exports, 'reference').",
        autocompletion=studies_named,
    ),
    experiment: list[str] | None = EXPERIMENT_OPTION,
    preset: str = PRESET_OPTION,
    overrides: list[str] | None = SET_OPTION,
    store: Path | None = STORE_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Compare two audits, two settings or two stores: what B did beyond A, with intervals, paired over what both share.

    Audits are paired over their questions, runs over their seeds. With --study, a preset's name is its settings as they are.

    Examples:
      assay compare 3f9c 81d0
      assay compare reports/plain reports/replay --json
      assay compare laptop n_tosses=300 --study coin_weighing.py
      assay compare ./mine reference --study off-switch-game
    """
    if study is not None:
        _compare_runs(study, (first, second), experiment, preset, overrides or [], store, as_json)
        return
    if experiment or overrides:
        raise UsageError(
            "compare: --experiment and --set go with --study; audits have neither. Give --study, or leave them out"
        )
    from assay.api.comparing import compare as compared
    from assay.audit.kept import KeptAudits
    from assay.audit.record import plain
    from assay.core.places import default_folder

    kept = KeptAudits((store or default_folder()) / "audits")
    found = compared(_named(kept, first), _named(kept, second))
    if as_json:
        typer.echo(json.dumps(plain(found), ensure_ascii=False, indent=2, allow_nan=False))
        return
    emit([dataclasses.asdict(one) for one in found.differences], as_json=False, columns=AUDITS)
    for side, name in ((found.first, "first"), (found.second, "second")):
        which = f"{side.tuned} against {side.model}" if side.tuned else f"{side.model}, {side.injected}"
        note(f"assay: {name}: {side.digest}, {which}, {side.n_runs} training{'s' if side.n_runs > 1 else ''}")
    only = f"; {found.only_first} of the first and {found.only_second} of the second alone" * bool(
        found.only_first or found.only_second
    )
    note(f"assay: {found.n_shared} questions shared{only}")
    for line in found.notes:
        note(f"assay: {line}")


def _compare_runs(
    named: str,
    sides: tuple[str, str],
    experiment: list[str] | None,
    preset: str,
    overrides: list[str],
    store: Path | None,
    as_json: bool,
) -> None:
    from assay.api.comparing import compare as compared
    from assay.api.running import study as find

    study = find(named)
    with (
        _judged(study, sides[0], experiment, preset, overrides, store) as first,
        _judged(study, sides[1], experiment, preset, overrides, store) as second,
    ):
        found = compared(first, second)
    if as_json:
        emit(found.to_dicts(), as_json=True)
        return
    emit(found.to_dicts(), as_json=False, columns=STUDIES)
    for line in found.notes:
        note(f"assay: {line}")


@contextmanager
def _judged(
    study: "Study", side: str, experiment: list[str] | None, preset: str, overrides: list[str], store: Path | None
) -> Iterator["Results"]:
    """The results that a side stands for: a preset's, those at other settings, or those of another store or export."""
    from assay.api.running import judge
    from assay.claims.study import PRESETS
    from assay.store.exchange import import_runs
    from assay.store.store import Store

    if side in PRESETS:
        yield judge(study, experiments=experiment, preset=side, set=overrides, store=store)
    elif "=" in side:
        yield judge(study, experiments=experiment, preset=preset, set=[*overrides, *side.split()], store=store)
    elif (Path(side) / "store.json").is_file():
        yield judge(study, experiments=experiment, preset=preset, set=overrides, store=side)
    else:
        if not (found := [one for one in sources(Path(side)) if one.exists()]):
            raise UsageError(
                f"compare: with --study, A and B are settings (NAME=VALUE), a preset, or stores; '{side}' is none of them, and "
                "no folder or file of that name is here"
            )
        with TemporaryDirectory() as scratch, Store.open(Path(scratch)) as opened:
            for one in found:
                if len(found) == 1 or one.name.startswith(f"{study.slug}."):
                    import_runs(opened, one)
            yield judge(study, experiments=experiment, preset=preset, set=overrides, store=opened)


def _named(kept: "KeptAudits", name: str) -> "Audit":
    """The audit of facts of that digest, or the one whose page lies in that folder."""
    record = Path(name) / "audit.json"
    if record.is_file():
        with suppress(ValueError, KeyError, TypeError):  # where it is no record of ours, the name is looked for as it is
            name = str(json.loads(record.read_text(encoding="utf-8"))["digest"]) or name
    from assay.audit.preference_record import PairAudit

    found = kept.find(name)
    if isinstance(found, PairAudit):
        raise InputError(
            f"two audits are compared over the questions that they share; {found.digest} is of preferences and asks none. Name "
            "audits of facts"
        )
    return found
