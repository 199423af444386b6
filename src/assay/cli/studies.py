"""`assay list` and `assay show`: what can be run, and what one study claims."""

import dataclasses
from typing import TYPE_CHECKING

import typer

from assay.cli.output import JSON_OPTION, emit, note, table
from assay.cli.running import STUDY_ARGUMENT
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.claims.claim import Arm, Claim, Names
    from assay.claims.paper import Headline

__all__ = ["list_studies", "show"]


def list_studies(as_json: bool = JSON_OPTION) -> None:
    """List the studies: slug, claims, what all of it costs on two cores at the laptop preset, experiments, title.

    Examples:
      assay list
      assay list --json
    """
    from assay.runner.listing import listing

    lines, broken = listing()
    emit([dataclasses.asdict(line) for line in lines], as_json=as_json, empty="no studies are installed")
    for name, reason in broken.items():
        note(f"assay: the study plug-in '{name}' was skipped: {reason}")


def show(
    study: str = STUDY_ARGUMENT,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show one study: its paper, experiments, claims with their rules and controls, settings and cost.

    Examples:
      assay show out-of-context-reasoning
      assay show out-of-context-reasoning --json
    """
    from assay.core.settings import fields_of
    from assay.runner.discovery import find

    found = find(study)
    claims = [
        {
            "experiment": experiment.name,
            "family": experiment.family,
            "claim": claim.name,
            "kind": claim.kind,
            "says": claim.sentence,
            "at": claim.at,
            "estimand": claim.estimand,
            "rule": f"{_joined(claim.estimand)} {claim.rule_text}",
            "why": claim.why,
            "negative": _arm(claim.negative, claim),
            "positive": None if claim.positive is None else _arm(claim.positive, claim),
            "paper": claim.paper,
        }
        for experiment in found.experiments
        for claim in experiment.claims
    ]
    exact = [
        {
            "experiment": experiment.name,
            "check": one.name,
            "says": one.sentence,
            "at": one.at,
            "rule": one.rule.text,
            "why": one.why,
            "paper": one.paper,
        }
        for experiment in found.experiments
        for one in experiment.exact
    ]
    estimands = [
        {"experiment": experiment.name, **dataclasses.asdict(estimand), "range": estimand.range}
        for experiment in found.experiments
        for estimand in experiment.estimands
    ]
    headlines = [dataclasses.asdict(headline) for headline in found.paper.headlines]
    settings = [
        {
            "experiment": experiment.name,
            "preset": name,
            "n_runs": preset.n_runs,
            "first_seed": found.first_seed_of(experiment.name),
            **dataclasses.asdict(field),
        }
        for experiment in found.experiments
        for name, preset in experiment.presets.items()
        for field in fields_of(preset.settings)
    ]
    if as_json:
        story = {
            "study": found.slug,
            "title": found.title,
            "paper": found.paper.text,
            "scale": found.scale,
            "version": found.version,
            "first_seed": found.first_seed,
            "families": [family for family in found.families if family],
        }
        emit(
            [
                story
                | {
                    "headlines": headlines,
                    "departures": [dataclasses.asdict(departure) for departure in found.departures],
                    "estimands": estimands,
                    "claims": claims,
                    "exact": exact,
                    "settings": settings,
                }
            ],
            as_json=True,
        )
        return
    typer.echo(f"{visible(found.title)}\n\nPaper  {visible(found.paper.text)}\nScale  {visible(found.scale)}")
    for departure in found.departures:
        typer.echo(f"{departure.name:<6} {visible(departure.says)}")
    if headlines:
        typer.echo("\nWhat the paper says\n")
        typer.echo(table([_tested(headline) for headline in found.paper.headlines], ["headline", "tested by"]))
    for experiment in found.experiments:
        cost = f" – {experiment.cost.text} at the laptop preset" if experiment.cost else ""
        typer.echo(f"\n{experiment.name}: {visible(experiment.question)}{cost}\n")
        own = [
            row | {"negative control": claim.negative.says, "positive control": claim.positive.says if claim.positive else None}
            for row, claim in zip(
                [row for row in claims if row["experiment"] == experiment.name], experiment.claims, strict=True
            )
        ]
        typer.echo(table(own, ["claim", "says", "rule", "negative control", "positive control", "paper"]))
        defined = [row for row in estimands if row["experiment"] == experiment.name]
        if defined:
            typer.echo(table([row | {"estimand": row["name"]} for row in defined], ["estimand", "says", "unit", "range"]))
        checks = [row for row in exact if row["experiment"] == experiment.name]
        if checks:
            typer.echo(table(checks, ["check", "says", "rule", "why", "paper"]))
        laptop = [row for row in settings if row["experiment"] == experiment.name and row["preset"] == "laptop"]
        typer.echo(table(laptop, ["name", "type", "value", "limits", "says"]) if laptop else "no settings\n")


def _joined(names: "Names") -> str:
    return names if isinstance(names, str) else " → ".join(names)


def _arm(control: "Arm", claim: "Claim") -> dict[str, object]:
    """A control as a record: its arm, what was changed, the number it is read by, and its own rule."""
    return {
        "arm": control.name,
        "says": control.says,
        "estimand": control.measured(claim.estimand),
        "rule": None if control.rule is None else control.rule.text,
        "why": control.why,
    }


def _tested(headline: "Headline") -> dict[str, str]:
    return {"headline": headline.says, "tested by": ", ".join(headline.claims) or f"nothing here: {headline.reason}"}
