"""Intervals and tests: every number that carries uncertainty is made here. NumPy and SciPy only."""
