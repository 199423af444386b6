"""Finite worlds that know the truth: generators of facts, sequences, graphs and games. NumPy only."""
