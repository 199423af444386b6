"""Exact games."""
