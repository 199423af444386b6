"""Policies that learn or plan."""
