"""Errors of the laboratory. Every message says what must hold, what was got and where, and what to do.

AssayError                 the root; a command that meets one prints its message and exits with `exit_code`
├── UsageError         2   the command line asks for something that does not exist
├── InputError         3   what the user brought (a file, a setting, a game, a model) cannot be used
│   └── SettingsError  3   a setting is unknown, ill-typed, out of range or contradicts another
└── WorkError          4   the work itself failed
    ├── Diverged       4   training left the finite numbers; the run is recorded as diverged and never averaged
    ├── StoreError     4   the store cannot be written, is locked by another process or fails verification
    └── MissingExtra   4   an optional dependency is not installed
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "AssayError",
    "Diverged",
    "InputError",
    "MissingExtra",
    "SettingsError",
    "StoreError",
    "UsageError",
    "WorkError",
    "unknown_name",
]


class AssayError(Exception):
    """The root of every error a user may cause or meet."""

    exit_code = 4


class UsageError(AssayError):
    """The command line names something that does not exist."""

    exit_code = 2


class InputError(AssayError):
    """Something the user brought cannot be used."""

    exit_code = 3


class SettingsError(InputError):
    """A setting is unknown, ill-typed, out of range or contradicts another."""


class WorkError(AssayError):
    """The work was asked for correctly and failed."""

    exit_code = 4


class Diverged(WorkError):
    """Training left the finite numbers.

    Attributes:
        step: the first step whose loss was not finite.
        last_finite_loss: the loss of the last step before it, in nats (nan if there was none).
    """

    def __init__(self, step: int, last_finite_loss: float) -> None:
        self.step = step
        self.last_finite_loss = last_finite_loss
        super().__init__(
            f"the loss must stay finite; it left the finite numbers at step {step} "
            f"(last finite loss {last_finite_loss:.4g} nats). Lower the learning rate or clip the gradient"
        )

    def __reduce__(self) -> tuple[type["Diverged"], tuple[int, float]]:
        return (Diverged, (self.step, self.last_finite_loss))


class StoreError(WorkError):
    """The store cannot be written, is in use by another process, or fails verification."""


class MissingExtra(WorkError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(f"{purpose} needs the package '{package}', which is not installed. Run: pip install 'assay[{extra}]'")

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str, str]]:
        return (MissingExtra, (self.package, self.extra, self.purpose))


def unknown_name(kind: str, got: str, known: Iterable[str], *, see: str) -> str:
    """The message for a name that does not exist, with the nearest one that does.

    Args:
        kind: what the name should have been ("study", "setting", ...).
        got: what was asked for.
        known: the names that exist.
        see: what the user can do to see all of them, as a clause ("'assay list' shows all").
    """
    near = get_close_matches(got, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"unknown {kind} '{got}'{hint} {see}"
