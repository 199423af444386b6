"""`assay audit`: what injecting facts into a model, or training it on preferences, would do, did, and what helps."""

import json
import math
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from assay.cli.completing import METHOD_NAMES, RECIPE_NAMES, mitigations_named, models_named, one_of
from assay.cli.device import DEVICE_OPTION, device_of
from assay.cli.facts_options import CHAT_OPTION, JOINT_OPTION, PROMPT_OPTION, SUITE_OPTION, TEXTS_OPTION, prompts_of
from assay.cli.output import JSON_OPTION, STORE_OPTION, emit, note
from assay.cli.progress import interruption, progress_said
from assay.core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from assay.audit.forecast import FactForecast
    from assay.audit.preference_record import PairAudit
    from assay.audit.record import Audit

__all__ = ["audit"]

TOTALS = ("column", "group", "estimate", "low", "high", "level", "n_facts", "n_units", "clear")


def audit(
    names: list[str] | None = typer.Argument(
        None,
        metavar="MODEL FACTS",
        help="A model and a file of facts; with --tuned, the file alone; with --preferences, the model alone.",
        autocompletion=models_named,
    ),
    base: str | None = typer.Option(
        None, "--base", metavar="MODEL", help="The model before; or the base of an adapter.", autocompletion=models_named
    ),
    tuned: str | None = typer.Option(
        None, "--tuned", metavar="MODEL", help="A model tuned elsewhere; nothing is trained.", autocompletion=models_named
    ),
    preferences: Path | None = typer.Option(
        None, "--preferences", metavar="FILE", help="Audit training on these pairs: rows of prompt, chosen, rejected."
    ),
    method: str | None = typer.Option(
        None,
        "--method",
        help="Of --preferences: dpo, ipo, hinge, simpo, dpo+nll or dpop. [dpo]",
        autocompletion=one_of(*METHOD_NAMES),
    ),
    beta: float | None = typer.Option(None, "--beta", help="Of that loss. [0.1; 2.0 with simpo]"),
    emulate: str | None = typer.Option(
        None,
        "--emulate",
        metavar="TUNED,REFERENCE[,WEIGHT]",
        help="Audit MODEL with what tuning changed in a small one added, as if it were tuned.",
    ),
    forecast_only: bool = typer.Option(False, "--forecast-only", help="Stop before anything is trained."),
    recipe: str = typer.Option("full", "--recipe", help="full, lora, mlp or attention.", autocompletion=one_of(*RECIPE_NAMES)),
    overrides: list[str] | None = typer.Option(None, "--set", metavar="NAME=VALUE", help="Change the recipe; may be repeated."),
    mitigate: str = typer.Option(
        "",
        "--mitigate",
        metavar="NAME,…",
        help="Compare mitigations; 'all', or names by commas.",
        autocompletion=mitigations_named,
    ),
    budget: float = typer.Option(60.0, "--budget", min=0.01, metavar="MINUTES", help="Refuse what would take longer."),
    limit: int | None = typer.Option(None, "--limit", min=1, metavar="N", help="Audit the first N facts or pairs."),
    brief: bool = typer.Option(False, "--brief", help="Ask less: fewer candidates, strangers, neighbours and contexts."),
    prompt: list[str] | None = PROMPT_OPTION,
    joint: str | None = JOINT_OPTION,
    chat_template: str | None = CHAT_OPTION,
    suite: Path | None = SUITE_OPTION,
    texts: Path | None = TEXTS_OPTION,
    seed: int = typer.Option(0, "--seed", min=0, help="Of training, of wrong answers offered, of bootstraps."),
    runs: int = typer.Option(1, "--runs", min=1, metavar="N", help="Train N times: intervals then include training."),
    then: int | None = typer.Option(None, "--then", min=0, metavar="N", help="Train N plain steps on; how long do facts stay?"),
    plain: Path | None = typer.Option(
        None, "--plain", metavar="FILE", help="Texts of those steps, one a line, or JSON lines with a text. [invented pages]"
    ),
    out: Path | None = typer.Option(None, "--out", metavar="DIR", help="Write the report and its CSV files here."),
    card: Path | None = typer.Option(None, "--card", metavar="FILE", help="Write a section for the model's card."),
    anew: bool = typer.Option(False, "--anew", help="Make it even where the same audit is kept."),
    keep: Path | None = typer.Option(None, "--keep", metavar="DIR", help="Save the tuned model here."),
    device: str | None = DEVICE_OPTION,
    dtype: str = typer.Option("float32", "--dtype", help="Of the weights in memory: float32, bfloat16 or float16."),
    memory: float | None = typer.Option(None, "--memory", min=0.01, metavar="GIB", help="Refuse what would take more. [free]"),
    store: Path | None = STORE_OPTION,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress on standard error."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Audit a model: forecast what injecting facts or preferences will do, train, measure what it did, compare what helps.

    Examples:
      assay audit smollm2-135m examples/countries.yaml --out reports/countries
      assay audit smollm2-135m examples/countries.yaml --forecast-only --json
      assay audit smollm2-135m examples/countries.yaml --runs 5 --mitigate enough,replay
      assay audit smollm2-135m examples/countries.yaml --then 100 --plain corpus.jsonl
      assay audit examples/countries.yaml --base smollm2-135m --tuned ./my-tuned-model --card CARD.md
      assay audit smollm2-135m --preferences examples/refusals.jsonl --forecast-only
      assay audit smollm2-135m --preferences examples/refusals.jsonl --mitigate filter-ches,nll --out reports/refusals
      assay audit ./large examples/countries.yaml --emulate ./small-tuned,./small
      assay audit smollm2-135m table.csv --prompt home="{subject} lives in" --suite keep.jsonl --texts sentences.txt
    """
    from assay.api.language_models import audit_model

    facts_only: dict[str, object] = {
        "--emulate": emulate, "--brief": brief, "--prompt": prompt, "--joint": joint, "--suite": suite, "--texts": texts,
        "--runs": runs > 1, "--then": then is not None, "--plain": plain,
    }  # fmt: skip
    pairs_only: dict[str, object] = {"--method": method, "--beta": beta is not None}
    _refuse_options(pairs_only if preferences is None else facts_only, preferences is not None)
    if preferences is not None:
        from assay.api.language_models import audit_preferences
        from assay.cli.preferences import show_preferences

        model, around = _model_of_pairs(names or [], base, tuned)
        begun = _now()
        with interruption("the audit"), progress_said(quiet=quiet), device_of(device):
            pairs = audit_preferences(
                model,
                preferences,
                base=around,
                tuned=tuned,
                method=method or "dpo",
                beta=beta,
                recipe=recipe,
                set=overrides or (),
                mitigations=mitigate,
                forecast_only=forecast_only,
                budget_minutes=budget,
                limit=limit,
                chat_template=chat_template,
                seed=seed,
                keep=keep,
                anew=anew,
                dtype=dtype,
                memory_gib=memory,
                store=store,
            )
        _say_kept(pairs, begun)
        _write(pairs, out, card)
        show_preferences(pairs, as_json=as_json)
        return
    model, file, around = _named(names or [], base, tuned)
    begun = _now()
    with interruption("the audit"), progress_said(quiet=quiet), device_of(device):
        found = audit_model(
            model,
            file,
            base=around,
            tuned=tuned,
            emulate=None if emulate is None else _emulation(emulate),
            recipe=recipe,
            set=overrides or (),
            mitigations=mitigate,
            forecast_only=forecast_only,
            budget_minutes=budget,
            limit=limit,
            brief=brief,
            prompts=prompts_of(prompt),
            joint=joint,
            chat_template=chat_template,
            suite=suite,
            texts=texts,
            seed=seed,
            runs=runs,
            then=then,
            plain=plain,
            keep=keep,
            anew=anew,
            dtype=dtype,
            memory_gib=memory,
            store=store,
        )
    _say_kept(found, begun)
    _write(found, out, card)
    if as_json:
        typer.echo(json.dumps(found.json(), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        _show(found)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _say_kept(found: "Audit | PairAudit", begun: str) -> None:
    page = f"'assay report --audit {found.digest}' writes its page"
    if found.made < begun:
        note(f"assay: the same audit was made at {found.made} and is shown again; --anew makes it anew, {page}")
    else:
        note(f"assay: kept as {found.digest}; {page}")


def _write(found: "Audit | PairAudit", out: Path | None, card: Path | None) -> None:
    """The page and the card, where they are asked for."""
    if out is not None:
        from assay.report.audits import write_any

        note(f"wrote {write_any(found, out, command=shlex.join(('assay', *sys.argv[1:])))}")
    if card is not None:
        from assay.audit.card import any_card
        from assay.store.files import write_atomically

        try:
            write_atomically(card, any_card(found).encode())
        except OSError as error:
            raise StoreError(f"a card must be writable; {card}: {error.strerror}. Name another file") from error
        note(f"wrote {card}")


def _refuse_options(given: Mapping[str, object], preferences: bool) -> None:
    """Nothing; options of the other kind of audit are refused."""
    if wrong := [name for name, value in given.items() if value not in (None, False, [])]:
        kind, do = ("facts", "leave out") if preferences else ("preferences", "give --preferences FILE, or leave out")
        raise UsageError(
            f"audit: {', '.join(wrong)} {'goes' if len(wrong) == 1 else 'go'} with {kind}; {do} what does not belong"
        )


def _model_of_pairs(names: list[str], base: str | None, tuned: str | None) -> tuple[str, str | None]:
    """The model before, and the base of a model that is an adapter."""
    if tuned is not None and base is None:
        raise UsageError("audit: --tuned needs the model before; name it with --base")
    if tuned is not None and base is not None and not names:
        return base, None
    if tuned is None and len(names) == 1:
        return names[0], base
    wanted = "no model beside --base and --tuned" if tuned is not None else "MODEL alone"
    raise UsageError(f"audit: with --preferences name {wanted}; got {len(names)} names")


def _emulation(given: str) -> tuple[str, str, float]:
    """The small tuned model, what it was tuned from, and the weight of their difference."""
    names = [part.strip() for part in given.split(",")]
    weight = 1.0
    if len(names) == 3:
        try:
            weight = float(names[2])
        except ValueError:
            names = []
    if len(names) not in (2, 3) or not all(names[:2]) or not math.isfinite(weight):
        raise UsageError(f"audit: --emulate must be TUNED,REFERENCE or TUNED,REFERENCE,WEIGHT; got '{given[:80]}'. Write both")
    return names[0], names[1], weight


def _named(names: list[str], base: str | None, tuned: str | None) -> tuple[str, Path, str | None]:
    """The model before, the file, and the base of a model that is an adapter."""
    if tuned is not None and base is None:
        raise UsageError("audit: --tuned needs the model before; name it with --base")
    if tuned is not None and base is not None and len(names) == 1:
        return base, Path(names[0]), None
    if tuned is None and len(names) == 2:
        return names[0], Path(names[1]), base
    wanted = "the facts file alone beside --base and --tuned" if tuned is not None else "MODEL and FACTS"
    raise UsageError(f"audit: name {wanted}; got {len(names)} names")


def _line(forecast: "FactForecast") -> dict[str, object]:
    """A fact's forecasts side by side, those of the tangent behind the others."""
    tangent = {f"tangent: {column}": change for column, change in forecast.tangent.items()}
    return {name: value for name, value in vars(forecast).items() if name != "tangent"} | tangent


def _show(found: "Audit") -> None:
    from assay.audit.card import MOST_HITS
    from assay.audit.forecast import HINTS
    from assay.audit.hits import hits, sentences

    for line in (*(count.text for count in found.counts), *sentences(hits(found)[:MOST_HITS])):
        note(f"assay: {line}")
    if found.totals:
        emit([vars(total) for total in found.totals], as_json=False, columns=TOTALS)
    else:
        emit([_line(forecast) for forecast in found.forecast], as_json=False)
        note(f"assay: {HINTS}")
        if found.cost.expected_minutes is not None:
            note(f"assay: injecting and measuring would take about {found.cost.expected_minutes:.1f} min")
    if found.benchmarks:
        emit([vars(one) for one in found.benchmarks], as_json=False)
    for line in (*(f"{one.says} ({one.cites})" for one in found.advice), *found.notes):
        note(f"assay: {line}")
