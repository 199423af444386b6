"""The report's colours, in light and dark: told apart without colour vision too, and never the only sign of anything.

Every series colour has a contrast of at least 4.5 to 1 with its page, so that a label may wear it. Drawings are made in the
light palette; inside a page each colour is a CSS variable, which the page sets for light, dark and print.
"""

from dataclasses import dataclass

__all__ = ["INK", "PAPER", "RAMP", "RULE", "SERIES", "SOFT", "STRONG", "VERDICT", "Colour", "css_variables", "svg_variables"]


@dataclass(frozen=True)
class Colour:
    """One role: its CSS variable and its values on a light and on a dark page."""

    name: str
    light: str
    dark: str


INK = Colour("ink", "#1d2126", "#e8e6e1")  # text, axes' labels
SOFT = Colour("soft", "#565c64", "#a8adb4")  # ticks, notes, controls
RULE = Colour("rule", "#d6d9dd", "#3b4046")  # hairlines and grids
PAPER = Colour("paper", "#ffffff", "#15181b")  # the page, and the inside of hollow marks
STRONG = Colour("strong", "#fffffe", "#fffffe")  # numbers on the strongest cells of a heat map

# Blue, vermilion, bluish green, purple, ochre, slate: after Okabe and Ito, darkened or lightened for contrast.
SERIES = (
    Colour("c1", "#0b63a8", "#6cb6f2"),
    Colour("c2", "#b8450c", "#f2935c"),
    Colour("c3", "#0d7359", "#4cc9a0"),
    Colour("c4", "#8a3b8f", "#d894dc"),
    Colour("c5", "#7a6000", "#d9bd4e"),
    Colour("c6", "#4c5666", "#aab4c2"),
)
# Ordered series: steps of viridis, small to large, each end kept away from its page.
RAMP = (
    Colour("r1", "#29798e", "#21918c"),
    Colour("r2", "#2f6b8e", "#1fa187"),
    Colour("r3", "#365d8d", "#2db27d"),
    Colour("r4", "#3d4d8a", "#4ac16d"),
    Colour("r5", "#443b84", "#73d056"),
    Colour("r6", "#482979", "#a0da39"),
    Colour("r7", "#481668", "#d0e11c"),
    Colour("r8", "#440154", "#fde725"),
)
VERDICT = {
    "supported": SERIES[2], "refuted": SERIES[1], "not-reproduced": SERIES[3], "inconclusive": SERIES[4], "void": SERIES[5],
    "not-asked": SERIES[5], "holds": SERIES[2], "fails": SERIES[1],
}  # fmt: skip

_ALL = (INK, SOFT, RULE, PAPER, STRONG, *SERIES, *RAMP)


def css_variables(theme: str) -> dict[str, str]:
    """The values of the CSS variables, by name, for the theme "light" or "dark"."""
    return {f"--{colour.name}": colour.dark if theme == "dark" else colour.light for colour in _ALL}


def svg_variables() -> dict[str, str]:
    """The CSS value that stands for each colour of the light palette inside a page."""
    return {colour.light: f"var(--{colour.name})" for colour in _ALL}
