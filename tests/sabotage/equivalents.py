"""Mutations that change no number and no behaviour, each with the reason; they are drawn, shown and not counted as missed."""

__all__ = ["EQUIVALENT"]

# (path below src/assay/studies, the line before, the line after): why it is the same.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "games/observation_interference/random_hiding.py",
        'x1, x2, r = np.meshgrid(np.arange(2), np.arange(2), np.arange(4), indexing="ij")',
        "x1, x2, r = np.meshgrid(np.arange(2), np.arange(2), np.arange(4))",
    ): "what H sees of the two products changes places; both are alike in every law, so the games are the same by other names",
    (
        "games/observation_interference/random_hiding.py",
        'table: Integers = np.einsum("gxyrto,gaxyz->grazto", weighted, self.readings(), optimize=True)',
        'table: Integers = np.einsum("gxyrto,gaxyz->grazto", weighted, self.readings(), optimize=False)',
    ): "the order in which a sum over integers is contracted changes its speed alone",
    (
        "mechanisms/two_hop_reasoning/gate_fit.py",
        "return np.asarray(1 / (1 + others * np.exp(-np.clip(log_odds, -60, 60))))",
        "return np.asarray(1 / (1 + others * np.exp(np.clip(log_odds, -60, 60))))",
    ): "all constants of these log-odds are fitted and none is told: they change their signs, and what is said stays",
}
