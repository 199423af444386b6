"""Finite common-payoff games: off-switch games, assistance games of one and two stages, small Dec-POMDPs, product selection.

Records are immutable and their numbers are exact rationals; `files` reads and writes the documented JSON form, `team` holds
the reduced form on which every solver works, and `random_games` draws batches of integer games whose arithmetic is exact too.
"""
