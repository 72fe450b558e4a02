"""A picture of how a unit's preactivation is spread over positions and over photographs."""

from __future__ import annotations

import numpy as np

from convscope.report.figures.canvas import PAPER, QUIET, Page
from convscope.report.figures.charts import Panel, Spread, spread

COLOURS = {
    "silent": "#c3c8d3", "firing": "#5b6b8c", "peaks": "#b5540a", "zero": "#5d6472",
    "quantile": "#1b1e25", "strongest": "#b5540a", "optimum": "#7a1fa2",
}  # fmt: skip

MARGIN = 24  # units of the picture around the drawing


def distribution_picture(
    name: str, histogram: np.ndarray, scores: np.ndarray, optimum: float | None = None
) -> np.ndarray:
    """Return the distribution of a unit as a picture, uint8 `(height, width, 3)`.

    Args:
        name: the unit.
        histogram: positions for each upper 9 bits of the float16 preactivation `(512,)`.
        scores: the photographs' scores, NaN where there is none.
        optimum: the activation on an image that was made for the unit; None: there is none.

    Raises:
        ValueError: there is nothing to draw.
    """
    drawn, head = spread(histogram, scores, optimum), 62
    page = Page(drawn.width + 48, drawn.height + head, scale=2)
    page.text(MARGIN, 34, f"How {name} responds", 22, weight="bold", fit=drawn.width)
    for panel in (drawn.positions, drawn.photographs):
        _panel(page, drawn, panel, head)
    bottom = head + drawn.photographs.bottom
    for mark in drawn.marks:
        top = head + drawn.label(mark) - 7
        thick = 2 if mark.kind == "optimum" else 1
        page.box(MARGIN + mark.across, top, thick, bottom - top, COLOURS[mark.kind])
    # After all lines, which pass behind the words.
    plate = {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
    for panel, of in ((drawn.positions, "positions"), (drawn.photographs, "photographs")):
        words, top = f"{of} per {drawn.unit} (log scale)", head + panel.top - 12
        page.text(MARGIN + drawn.left, top, words, 12, color=QUIET, bbox=plate)
    for mark in drawn.marks:
        across, colour = MARGIN + mark.across + (-6 if mark.before else 7), COLOURS[mark.kind]
        side, down = "right" if mark.before else "left", head + drawn.label(mark)
        page.text(across, down, mark.label, 13, color=colour, ha=side, bbox=plate)
    for across, label in drawn.values:
        page.box(MARGIN + across, bottom, 1, 5, QUIET)
        page.text(MARGIN + across, bottom + 16, label, 12, color=QUIET, ha="center")
    if drawn.gap is not None:
        page.box(MARGIN + drawn.gap - 4, bottom - 3, 8, 7, PAPER)
        for across in (MARGIN + drawn.gap - 6, MARGIN + drawn.gap + 2):
            page.shape([(across, bottom + 6), (across + 5, bottom - 6)], QUIET, QUIET)
    right = MARGIN + drawn.right
    page.text(right, bottom + 36, "preactivation", 13, color=QUIET, ha="right")
    return page.array()


def _panel(page: Page, drawn: Spread, panel: Panel, head: float) -> None:
    """Draw the outlines of a distribution, `head` units below the top, with its counts."""
    left, wide = MARGIN + drawn.left, drawn.right - drawn.left
    for kind, points in panel.outlines:
        if points:
            page.shape([(MARGIN + x, head + y) for x, y in points], COLOURS[kind])
    for down, label in panel.ticks:
        page.box(left - 5, head + down, 5, 1, QUIET)
        page.text(left - 10, head + down, label, 12, color=QUIET, ha="right")
    page.box(left, head + panel.top, 1, panel.bottom - panel.top, QUIET)
    page.box(left, head + panel.bottom, wide, 1, QUIET)
