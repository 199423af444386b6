"""`assay game`: solve a finite game from a file, exactly; check a file; begin one."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from assay.cli.game_text import as_text
from assay.core.errors import UsageError
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.worlds.games.files import Game

__all__ = ["app"]

app = typer.Typer(
    name="game",
    help=(
        "Exact solutions of small games from JSON, POMDP, Dec-POMDP and Gambit files: off-switch and assistance games of "
        "one, two or several steps, and two-player matrix games."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
FILE = typer.Argument(help="A game: JSON as in docs/games.md, .pomdp, .dpomdp, .nfg or .efg; - for standard input.")


@app.callback()
def _root() -> None:
    pass


class HumanModel(StrEnum):
    """How the human behaves."""

    optimal = "optimal"
    naive = "naive"
    boltzmann = "boltzmann"


class Kind(StrEnum):
    """Kinds of game a file can hold."""

    off_switch = "off-switch"
    assistance = "assistance"
    two_stage = "two-stage-assistance"
    sequential = "sequential"
    matrix = "matrix"


@app.command()
def solve(
    file: Path = FILE,
    human: HumanModel = typer.Option(HumanModel.optimal, "--human", help="How the human behaves."),
    beta: float | None = typer.Option(None, "--beta", help="Inverse temperature, with --human boltzmann."),
    horizon: int | None = typer.Option(None, "--horizon", min=1, help="Steps of a game of several. [default: the file's]"),
    discount: str | None = typer.Option(None, "--discount", help="Factor per step of such a game. [default: the file's]"),
    limit: int | None = typer.Option(
        None,
        "--limit",
        min=1,
        help="How much the search may have to cover: policies of the smaller side [default: 2,000,000], supports of a matrix "
        "game [40,000], decision rules and beliefs of a game of several steps [50,000,000].",
    ),
    out: Path | None = typer.Option(
        None, "--out", metavar="DIR", help="Write a page, its data as JSON and a LaTeX table there."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print everything, the whole certificate included, as JSON."),
) -> None:
    """Print a game's value, its optimal policies, where A waits or hides, what that is worth, and a certificate.

    Examples:
      assay game solve examples/file-deletion-game.json
      assay game solve examples/hiding-as-query-game.json --human naive --json
      assay game solve examples/two-doors.dpomdp --horizon 3 --out doors
    """
    from assay.worlds.games.files import read_game
    from assay.worlds.games.rationals import exact

    if (beta is not None) != (human is HumanModel.boltzmann):
        raise UsageError("--beta goes with --human boltzmann and with nothing else. Give both or neither")
    game = read_game(file)  # before the solvers are loaded: what is wrong with a file is said at once
    kind = kind_name(game)
    if kind in ("sequential", "matrix") and human is not HumanModel.optimal:
        raise UsageError(f"--human {human.value} has no place in a game of kind '{kind}'. Leave it out")
    if kind != "sequential" and (horizon is not None or discount is not None):
        raise UsageError(f"--horizon and --discount go with games of several steps; this is of kind '{kind}'. Leave them out")
    factor = None if discount is None else exact(discount, where="--discount")
    if factor is not None and not 0 <= factor <= 1:
        raise UsageError(f"--discount must lie in [0, 1]; got {discount}")
    from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal
    from assay.solvers.games.summary import summary

    chosen: Human = Boltzmann(beta) if beta is not None else Naive() if human is HumanModel.naive else Optimal()
    found = escaped(summary(game, chosen, limit=limit, horizon=horizon, discount=factor) | {"kind": kind})
    if out is not None:
        from assay.report.game_page import write_game_page

        typer.echo(str(write_game_page(game, found, out)), err=as_json)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False))
    elif out is None:
        typer.echo(as_text(found), nl=False)


@app.command()
def check(file: Path = FILE) -> None:
    """Say what a game file holds, or what is wrong with it; nothing is solved.

    Examples:
      assay game check examples/file-deletion-game.json
      assay game check examples/two-doors.dpomdp
    """
    from assay.worlds.games.files import read_game

    typer.echo(described(read_game(file)))


@app.command()
def template(kind: Kind = typer.Argument(help="The kind of game.")) -> None:
    """Print a small game of a kind to begin from.

    Examples:
      assay game template sequential > mine.json
      assay game template matrix | assay game solve -
    """
    from assay.worlds.games.templates import TEMPLATES

    typer.echo(json.dumps(TEMPLATES[kind.value], ensure_ascii=False, indent=2))


@app.command("schema")
def print_schema() -> None:
    """Print the form of a game file as a JSON schema, for editors and generators.

    Examples:
      assay game schema
      assay game schema > assay-game.schema.json
    """
    from assay.worlds.games.templates import schema

    typer.echo(json.dumps(schema(), indent=2))


def kind_name(game: "Game") -> str:
    """The kind of a game as files and people call it."""
    from assay.worlds.games.files import KINDS

    return KINDS.get(type(game), "assistance")


def described(game: "Game") -> str:
    """One or two lines on what a game file holds."""
    from assay.worlds.games.assistance import TwoStageGame
    from assay.worlds.games.matrix import MatrixGame
    from assay.worlds.games.sequential import SequentialGame

    head = f"{visible(game.name)}: a game of kind '{kind_name(game)}', in order"
    if isinstance(game, MatrixGame):
        return f"{head}\n{len(game.actions[0])} by {len(game.actions[1])} actions, {game.rounds} round{'s' * (game.rounds > 1)}"
    if isinstance(game, SequentialGame):
        acts, seen = (game.assistant_actions, game.human_actions), (game.assistant_observations, game.human_observations)
        return (
            f"{head}\n{len(game.states)} states, {len(acts[0])} by {len(acts[1])} actions, {len(seen[0])} by {len(seen[1])} "
            f"observations, discount {game.discount}" + ("" if game.horizon is None else f", {game.horizon} steps")
        )
    n_a, k_a, n_z, k_h = (game.first if isinstance(game, TwoStageGame) else game).shape()
    sees = [f"{n} observation{'s' * (n != 1)}" for n in (n_a, n_z)]
    return f"{head}\nwhat can occur: A has {k_a} actions at {sees[0]}, H {k_h} at {sees[1]}"


def escaped(found: Any) -> Any:
    """The same data with control characters of names shown as escapes."""
    if isinstance(found, dict):
        return {visible(key): escaped(value) for key, value in found.items()}
    if isinstance(found, list):
        return [escaped(value) for value in found]
    return visible(found) if isinstance(found, str) else found
