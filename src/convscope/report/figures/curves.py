"""A drawing of how faithful a few inputs are: curves over how many are kept, by each ranking."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convscope.circuits.faithfulness import Faithfulness
from convscope.circuits.rankings import BEST, GREEDY, L2, RANDOM, TITLES, TOP_SHIFT
from convscope.report.figures.canvas import QUIET, RULE, Page

COLOURS = {L2: "#1b1e25", TOP_SHIFT: "#b5540a", GREEDY: "#1853c6", BEST: "#2c7a3f",
           RANDOM: "#8a90a0"}  # fmt: skip
"""The rankings that are drawn; the random sets as a band around their mean."""
DASHES = {BEST: (2, 2.5)}
PANELS = (
    ("recovery", "recovery of a strong response"),
    ("r2", "explained variance, R²"),
    ("necessity", "necessity for a strong response"),
)
HEIGHT, GAP, TOP, LEFT = 220, 52, 30, 44

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """One measure.

    Attributes:
        title: what it shows.
        left: edge of its axes.
        right: edge of its axes.
        lines: (ranking, corners).
        areas: (ranking, corners) of the band of random sets and the interval of the ranking shown.
        across: (place, label) of the ticks of sizes.
        down: (place, label) of the ticks of the measure.
        mark: where the size of the inputs shown stands.
    """

    title: str
    left: float
    right: float
    lines: tuple[tuple[str, Points], ...]
    areas: tuple[tuple[str, Points], ...]
    across: tuple[tuple[float, str], ...]
    down: tuple[tuple[float, str], ...]
    mark: float


@dataclass(frozen=True)
class Chart:
    """Panels side by side, in units of a drawing that is `width` wide.

    Attributes:
        width: of all.
        height: of all.
        top: edge of all axes.
        bottom: edge of all axes.
        panels: from left to right.
        names: (ranking, words) of the lines.
        mark: what the vertical line says.
    """

    width: float
    height: float
    top: float
    bottom: float
    panels: tuple[Panel, ...]
    names: tuple[tuple[str, str], ...]
    mark: str


def chart(found: Faithfulness, by: str = L2, width: float = 1160) -> Chart:
    """Return the drawing.

    Args:
        found: what was measured.
        by: the ranking whose interval is drawn, and which is drawn whatever it is.
        width: of the drawing.
    """
    names = [name for name in (*COLOURS, by) if name in found.curves]
    names = list(dict.fromkeys(names))
    wide = (width - GAP * (len(PANELS) - 1)) / len(PANELS)
    panels = tuple(
        _panel(found, names, by, measure, title, at * (wide + GAP) + LEFT, at * (wide + GAP) + wide)
        for at, (measure, title) in enumerate(PANELS)
    )
    return Chart(
        width=width,
        height=TOP + HEIGHT + 44,
        top=TOP,
        bottom=TOP + HEIGHT,
        panels=panels,
        names=tuple((name, TITLES[name]) for name in names),
        mark=f"{found.count} shown",
    )


def colour(name: str) -> str:
    """Return the colour of a ranking's line."""
    return COLOURS.get(name, "#7a1fa2")


def faithfulness_picture(name: str, found: Faithfulness, by: str = L2) -> np.ndarray:
    """Return the drawing as a picture, uint8 `(height, width, 3)`.

    Args:
        name: the unit.
        found: what was measured.
        by: the ranking that the inputs shown were chosen by.
    """
    drawn, head, left = chart(found, by), 84, 24
    page = Page(int(drawn.width) + 2 * left, int(drawn.height) + head + 16, scale=2)
    title = f"How much of {name} a few of its inputs explain"
    page.text(left, 32, title, 22, weight="bold", fit=drawn.width)
    across = float(left)
    for ranking, words in drawn.names:
        _line(page, ranking, ((across, 66.0), (across + 26, 66.0)))
        page.text(across + 34, 66, words, 13)
        across += 58 + 7.6 * len(words)
    for panel in drawn.panels:
        _draw(page, drawn, panel, left, head)
    return page.array()


def _line(page: Page, name: str, points: Points) -> None:
    dashes = {"dashes": DASHES[name]} if name in DASHES else {}
    page.line(points, colour(name), 2.2, **dashes)


def _draw(page: Page, drawn: Chart, panel: Panel, left: float, head: float) -> None:
    """Draw one panel."""
    bottom = head + drawn.bottom
    page.text(left + panel.left - LEFT + 2, head + 10, panel.title, 13, weight="bold")
    for down, label in panel.down:
        page.box(left + panel.left, head + down, panel.right - panel.left, 1, RULE)
        page.text(left + panel.left - 8, head + down, label, 12, color=QUIET, ha="right")
    for name, points in panel.areas:
        shaded = [(left + x, head + y) for x, y in points]
        page.axes.fill(*zip(*shaded, strict=True), color=colour(name), alpha=0.15, linewidth=0)
    page.box(left + panel.mark, head + drawn.top, 1, HEIGHT, QUIET)
    for name, points in panel.lines:
        _line(page, name, tuple((left + x, head + y) for x, y in points))
    for across, label in panel.across:
        page.text(left + across, bottom + 16, label, 12, color=QUIET, ha="center")
    page.text(left + panel.right, bottom + 36, "inputs kept", 12, color=QUIET, ha="right")


def _panel(
    found: Faithfulness,
    names: list[str],
    by: str,
    measure: str,
    title: str,
    left: float,
    right: float,
) -> Panel:
    """Return one panel between `left` and `right`."""
    curves, sizes = found.curves, found.sizes
    values = [getattr(curves[name], measure) for name in names]
    high = _ceiling(values)
    # A share of a whole: below zero only as far as a line goes that matters.
    low = min(0.0, max(-0.5, _floor(values)))

    def across(size: float) -> float:
        share = math.log2(size + 1) / math.log2(float(sizes[-1]) + 1)
        return round(left + share * (right - left), 1)

    def down(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(TOP + HEIGHT * (1 - share), 1)

    def points(heights: np.ndarray) -> Points:
        return tuple(
            (across(size), down(value))
            for size, value in zip(sizes.tolist(), heights.tolist(), strict=True)
            if math.isfinite(value)
        )

    def area(name: str) -> Points:
        above, below = points(curves[name].high[measure]), points(curves[name].low[measure])
        return (*above, *below[::-1])

    drawn = tuple((name, points(line)) for name, line in zip(names, values, strict=True))
    areas = tuple((name, area(name)) for name in (RANDOM, by))
    shown: list[tuple[float, str]] = []
    for size in sizes[::-1].tolist():  # the last one always, the others where there is room
        if not shown or shown[-1][0] - across(size) >= 26:
            shown.append((across(size), f"{size}"))
    return Panel(
        title,
        left,
        right,
        tuple(line for line in drawn if line[1]),
        tuple(one for one in areas if one[1]),
        tuple(shown),
        tuple(
            (down(value), f"{100 * value:.0f} %".replace("-", "\N{MINUS SIGN}"))
            for value in _ticks(low, high)
        ),
        across(found.count),
    )


def _ceiling(values: Iterable[np.ndarray]) -> float:
    """Return where the axis ends: at 1, or beyond where recovery overshoots."""
    return min(max(value[np.isfinite(value)].max(initial=1.0) for value in values), 2.5)


def _floor(values: Iterable[np.ndarray]) -> float:
    return min(value[np.isfinite(value)].min(initial=0.0) for value in values)


def _ticks(low: float, high: float) -> list[float]:
    step = 0.25 if high - low <= 1.5 else 0.5
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]
