"""Agents that explore, ask, assist, imitate and pass on."""
