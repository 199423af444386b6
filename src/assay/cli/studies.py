"""`assay list` and `assay show`: what can be run, and what one study claims."""

import dataclasses

import typer

from assay.cli.output import JSON_OPTION, emit, note, table
from assay.core.text import visible

__all__ = ["list_studies", "show"]


def list_studies(as_json: bool = JSON_OPTION) -> None:
    """List the studies: slug, claims, experiments, title.

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
    study: str = typer.Argument(help="A slug of 'assay list'."),
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
            "claim": claim.name,
            "says": claim.sentence,
            "source": claim.at,
            "rule": f"{_estimand(claim.estimand)} {claim.rule_text}",
            "margin": claim.why,
            "control": claim.negative.says,
            "paper_value": claim.paper,
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
    settings = [
        {"experiment": experiment.name, "preset": name, "n_runs": preset.n_runs, **dataclasses.asdict(field)}
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
        }
        emit(
            [
                story
                | {
                    "departures": [departure.says for departure in found.departures],
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
    for experiment in found.experiments:
        cost = f" – {experiment.stated_cost.text} at the laptop preset" if experiment.stated_cost else ""
        typer.echo(f"\n{experiment.name}: {visible(experiment.question)}{cost}\n")
        own = [row for row in claims if row["experiment"] == experiment.name]
        typer.echo(table(own, ["claim", "says", "rule", "control", "paper_value"]))
        checks = [row for row in exact if row["experiment"] == experiment.name]
        if checks:
            typer.echo(table(checks, ["check", "says", "rule", "why", "paper"]))
        laptop = [row for row in settings if row["experiment"] == experiment.name and row["preset"] == "laptop"]
        typer.echo(table(laptop, ["name", "type", "value", "limits", "says"]) if laptop else "no settings\n")


def _estimand(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else " → ".join(names)
