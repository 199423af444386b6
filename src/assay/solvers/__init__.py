"""Exact optima for small worlds, with certificates."""
