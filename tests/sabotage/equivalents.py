"""Mutations that change no number and no behaviour, each with the reason; they are drawn, shown and not counted as missed."""

__all__ = ["EQUIVALENT"]

# (path below src/assay/studies, the line before, the line after): why it is the same.
EQUIVALENT: dict[tuple[str, str, str], str] = {}
