"""Pictures by matplotlib as SVG that stands inside a page and takes its colours."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

from kmtl._checks import import_extra

# Colours that stand for those of the page: a style sheet decides, so that one picture
# does in light, in dark and in print.
INK, MUTED, GRID, ACCENT, CONTRAST = (f"#10000{i}" for i in range(1, 6))
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    CONTRAST: "var(--contrast)",
}
# The same two colours where a picture is made of pixels, red, green and blue from 0 to
# 1: middle tones, of which only the opacity changes, can be seen on white and on black.
ACCENT_PIXEL, CONTRAST_PIXEL = (0.12, 0.47, 0.75), (0.85, 0.40, 0.05)

_STYLE = {
    "svg.hashsalt": "kmtl",  # names in the file depend on what is drawn alone
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a "$" in a name is a dollar
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": MUTED,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.dpi": 72,  # a point is a pixel of the page
}
_NOT_OURS = (
    r"<metadata>.*?</metadata>",
    r"<style.*?</style>",  # would be the style of the whole page
    r"<!--.*?-->",
    r'\sxmlns(?::\w+)?="[^"]*"',
    r'(?<=<svg) (?:height|width|version)="[^"]*"',
)


class Canvas:
    """Draws in the style of the page.

    Args:
        prefix: Starts the names inside every picture, so that two in one page differ.
    """

    def __init__(self, prefix: str = "p") -> None:
        self._prefix = prefix
        self._count = 0
        self._figure = import_extra("matplotlib.figure", "report").Figure
        self._style = import_extra("matplotlib.style", "report")
        self._markup = import_extra("markupsafe", "report")

    @contextlib.contextmanager
    def styled(self) -> Iterator[None]:
        """The style of the page, whatever the user's own is."""
        with self._style.context(["default", _STYLE]):
            yield

    def figure(self, width: float, height: float) -> Any:
        """A new figure of a size in pixels of the page."""
        return self._figure(figsize=(width / 72, height / 72))

    def svg(self, figure: Any, alt: str) -> Any:
        """Returns a figure as markup.

        Args:
            figure: A `matplotlib.figure.Figure`.
            alt: What it shows, in words.
        """
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        self._count += 1
        name = f"{self._prefix}{self._count}"
        text = _inline(buffer.getvalue(), name)
        width = round(72 * figure.get_figwidth())
        start = f'<svg role="img" aria-label="{self._markup.escape(alt)}" '
        # A quarter larger where there is room.
        style = f'style="max-width:{1.25 * width:.0f}px" '
        return self._markup.Markup(text.replace("<svg ", start + style, 1))


def _inline(svg: str, name: str) -> str:
    """Leaves what a page needs of a file; names get a prefix, colours become its."""
    svg = svg[svg.index("<svg") :]
    for pattern in _NOT_OURS:
        while (shorter := re.sub(pattern, "", svg, flags=re.DOTALL)) != svg:
            svg = shorter
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.strip()
