"""What the experiments share: which lengths of a run they accept, and how many copies a run averages over."""

from assay.core.errors import SettingsError

__all__ = ["check_horizons", "copies_of"]


def check_horizons(horizons: tuple[int, ...]) -> None:
    """Refuse lengths that do not rise or are too short to speak of.

    Raises:
        SettingsError: they do not rise, or one is below 10.
    """
    if any(horizon < 10 for horizon in horizons) or list(horizons) != sorted(set(horizons)):
        raise SettingsError(f"horizons must rise and be at least 10 rounds each; got {horizons}")


def copies_of(n_copies: int, horizon: int) -> int:
    """How many copies a run of this length averages over: three times as many up to 10,000 rounds, where events are few."""
    return n_copies * (3 if horizon <= 10_000 else 1)
