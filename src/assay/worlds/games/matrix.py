"""Games of two players with payoffs of their own, as a matrix: the file kind `matrix`."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from assay.core.errors import InputError
from assay.worlds.games.fields import Fields, checked_names, kind_of
from assay.worlds.games.off_switch import check_names
from assay.worlds.games.rationals import exact, shown
from assay.worlds.games.team import refuse_above

__all__ = ["MatrixGame", "matrix_document", "matrix_from"]

MAX_CELLS = 1_000_000


@dataclass(frozen=True)
class MatrixGame:
    """A game in which two players choose at once.

    Attributes:
        name: for tables.
        players: names of the row player and the column player.
        actions: names of the rows and of the columns.
        payoffs: [row][column] = (row player's, column player's).
        rounds: how often it is played.
    """

    name: str
    players: tuple[str, str]
    actions: tuple[tuple[str, ...], tuple[str, ...]]
    payoffs: tuple[tuple[tuple[Fraction, Fraction], ...], ...]
    rounds: int = 1

    def __post_init__(self) -> None:
        check_names(self.players, where=f"{self.name}: players")
        for player, names in zip(self.players, self.actions, strict=True):
            check_names(names, where=f"{self.name}: the actions of {player}")
        rows, columns = map(len, self.actions)
        if len(self.payoffs) != rows or any(len(row) != columns for row in self.payoffs):
            raise InputError(f"{self.name}: payoffs must be a table of {rows} rows by {columns} columns; it is not")
        if self.rounds < 1:
            raise InputError(f"{self.name}: rounds must be at least 1; got {self.rounds}")

    def payoff(self, player: int) -> tuple[tuple[Fraction, ...], ...]:
        """[row][column]: the payoffs of one player."""
        return tuple(tuple(cell[player] for cell in row) for row in self.payoffs)


def matrix_from(fields: Fields, name: str) -> MatrixGame:
    """The game a JSON object of kind `matrix` describes."""
    players = fields.names("players", ["row player", "column player"])
    if len(players) != 2:
        raise InputError(f"{fields.where}: players must be two names, the row player's first; got {len(players)}")
    given = fields.get("actions")
    if not isinstance(given, list) or len(given) != 2:
        raise InputError(f"{fields.where}: actions must be two lists of names, rows and columns; got {kind_of(given)}")
    rows, columns = (checked_names(names, f"{fields.where}: actions[{i}]") for i, names in enumerate(given))
    refuse_above(MAX_CELLS, len(rows) * len(columns), what=f"{fields.where}: the payoff table", unit="cells")
    table = fields.get("payoffs")
    where = f"{fields.where}: payoffs"
    if not isinstance(table, list) or len(table) != len(rows):
        raise InputError(f"{where} must have one row for each of the {len(rows)} row actions; got {_length(table)}")
    found = []
    for i, row in enumerate(table):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InputError(
                f"{where}[{i}] must have one cell for each of the {len(columns)} column actions; got {_length(row)}"
            )
        cells = []
        for j, cell in enumerate(row):
            if not isinstance(cell, list) or len(cell) != 2:
                raise InputError(f"{where}[{i}][{j}] must be [row player's, column player's] payoff; got {_length(cell)}")
            cells.append((exact(cell[0], where=f"{where}[{i}][{j}][0]"), exact(cell[1], where=f"{where}[{i}][{j}][1]")))
        found.append(tuple(cells))
    return MatrixGame(name, (players[0], players[1]), (rows, columns), tuple(found), fields.whole("rounds", 1))


def matrix_document(game: MatrixGame) -> dict[str, Any]:
    """The fields of a matrix game for JSON."""
    return {
        "players": list(game.players),
        "actions": [list(names) for names in game.actions],
        "payoffs": [[[_number(x) for x in cell] for cell in row] for row in game.payoffs],
        "rounds": game.rounds,
    }


def _number(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else shown(value)


def _length(value: object) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else kind_of(value)
