"""Where all parts of a drawing of a unit's two distributions stand, in the drawing's own units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.activations.statistics import EDGES, cells, firing, ordered, quantiles
from convscope.circuits.effects import BEST, GREEDY, L2, RANDOM, TITLES, TOP_SHIFT
from convscope.circuits.faithfulness import Faithfulness
from convscope.report.figures.canvas import PAPER, QUIET, RULE, Page
from convscope.text import number

SHARES = (0.9, 0.99, 0.999)  # the quantiles that are marked
LINE, LETTER = 18, 7.2  # units of a drawing: from one line of words to the next, and of a letter

Points = tuple[tuple[float, float], ...]
Ticks = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Mark:
    """A value that a line through the drawing stands for.

    Attributes:
        kind: zero, quantile, strongest or optimum.
        label: in words.
        across: where its line stands.
        level: the line of words its label is in, from 0 just above the axes.
        before: whether the label ends at the line instead of beginning there.
    """

    kind: str
    label: str
    across: float
    level: int
    before: bool


@dataclass(frozen=True)
class Panel:
    """One distribution: its top and bottom, the ticks of its counts, and outlines to fill."""

    top: float
    bottom: float
    ticks: Ticks
    outlines: tuple[tuple[str, Points], ...]


@dataclass(frozen=True)
class Spread:
    """A drawing of two distributions above one axis of values, in its own units.

    Attributes:
        width: of all.
        height: of all.
        left: edge of the axes.
        right: edge of the axes.
        positions: preactivations at all positions of all photographs.
        photographs: one score for each photograph.
        values: (across, label) of the ticks of values.
        marks: the values that are marked, from left to right.
        gap: where the axis is interrupted since the optimum lies far beyond; None: nowhere.
        unit: the stretch of values that a count is for, in words.
    """

    width: int
    height: int
    left: int
    right: int
    positions: Panel
    photographs: Panel
    values: Ticks
    marks: tuple[Mark, ...]
    gap: float | None
    unit: str

    def label(self, mark: Mark) -> float:
        """Return the middle of the line of words that a mark's label is in."""
        return self.positions.top - 32 - LINE * mark.level


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high`, drawn from `left` to `right`."""

    low: float
    high: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """Return where a value is drawn."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.left + (self.right - self.left) * share, 1)

    def ticks(self, count: int) -> Ticks:
        """Return where about `count` round values are drawn, and their labels."""
        step = _nice((self.high - self.low) / count)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        values = [times * step for times in range(first, last + 1)]
        return tuple(
            (self.at(value), f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")) for value in values
        )


def spread(
    histogram: np.ndarray, scores: np.ndarray, optimum: float | None = None, width: int = 960
) -> Spread:
    """Return the drawing of a unit's distributions over all positions and over photographs.

    Heights are densities on a logarithmic axis: a bin's count over its width, so that the wide
    bins of large values do not look like many positions. An optimum that lies further out than
    photographs reach stands behind a gap in the axis.

    Args:
        histogram: positions for each upper 9 bits of the float16 preactivation `(512,)`.
        scores: the photographs' scores, NaN where there is none.
        optimum: the activation on an image that was made for the unit; None: there is none.
        width: of the drawing; a narrow one has less beside its axes.

    Raises:
        ValueError: there is nothing to draw.
    """
    scores = np.asarray(scores, np.float64)
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        raise ValueError("A distribution over photographs needs a finite score. Received: none.")
    filled = np.flatnonzero(ordered(histogram))
    low = min(EDGES[filled[0]], scores.min(), 0.0)
    high = max(EDGES[filled[-1] + 1], scores.max(), 0.0)
    unit = _nice((high - low) / 100)
    far = optimum is not None and optimum > 2 * high - low
    if optimum is not None and not far:
        low, high = min(low, optimum), max(high, optimum)
    small = width < 600
    left, right = (44, width - 8) if small else (64, width - 16)
    axis = _Axis(low - unit, high + unit, left, right - far * (48 if small else 110))
    named = _named(histogram, float(scores.max()), axis, small)
    if optimum is not None:
        place = right - 12.0 if far else axis.at(optimum)
        named.append(("optimum", f"optimum {number(optimum)}", place))
    marks = _marks(named, width)
    top = 24 + LINE * (1 + max(mark.level for mark in marks))
    positions = _positions(histogram, unit, axis, top)
    photographs = _photographs(scores, unit, axis, positions.bottom + 40)
    return Spread(
        width=width,
        height=round(photographs.bottom) + 46,
        left=left,
        right=right,
        positions=positions,
        photographs=photographs,
        values=axis.ticks(4 if small else 9),
        marks=marks,
        gap=(axis.right + right - 12) / 2 if far else None,
        unit=f"{unit:g}",
    )


def _named(
    histogram: np.ndarray, strongest: float, axis: _Axis, small: bool
) -> list[tuple[str, str, float]]:
    """Return kind, label and place of the marks that every drawing has."""
    of = "" if small else " of positions"
    named = [("zero", f"fires at {number(100 * firing(histogram))} %", axis.at(0.0))]
    for share, value in zip(SHARES, quantiles(histogram, SHARES).tolist(), strict=True):
        named.append(("quantile", f"{100 * share:g} %{of} below {number(value)}", axis.at(value)))
    label = f"strongest photograph {number(strongest)}"
    return [*named, ("strongest", label, axis.at(strongest))]


def _positions(histogram: np.ndarray, unit: float, axis: _Axis, top: float) -> Panel:
    """Return the distribution over positions, parted where the unit begins to fire."""
    edges, counts = cells(histogram, unit / 2)
    heights = counts / np.diff(edges) * unit
    zero = int(np.searchsorted(edges, 0.0))
    down, ticks = _logarithmic(heights[heights > 0].min(), heights.max(), top, top + 220)
    parts = (("silent", slice(None, zero)), ("firing", slice(zero, None)))
    outlines = []
    for name, part in parts:
        ends = edges[: zero + 1] if name == "silent" else edges[zero:]
        outlines.append((name, _outline(axis, ends, [*map(down, heights[part])], top + 220)))
    return Panel(top, top + 220, ticks, tuple(outlines))


def _photographs(scores: np.ndarray, unit: float, axis: _Axis, top: float) -> Panel:
    """Return the distribution over photographs, in bins as wide as the unit of the counts."""
    first, last = math.floor(scores.min() / unit), math.floor(scores.max() / unit)
    counts = np.bincount(np.floor(scores / unit).astype(int) - first, minlength=last - first + 1)
    edges = np.arange(first, last + 2) * unit
    down, ticks = _logarithmic(1, max(counts.max(), 10), top, top + 80)
    outline = _outline(axis, edges, [*map(down, counts)], top + 80)
    return Panel(top, top + 80, ticks, (("peaks", outline),))


def _outline(axis: _Axis, edges: np.ndarray, heights: Sequence[float], bottom: float) -> Points:
    """Return the corners of steps between `edges`, along the bottom where there is nothing."""
    if not heights:
        return ()
    across = [axis.at(float(edge)) for edge in edges]
    corners = [(across[0], bottom)]
    for left, right, height in zip(across, across[1:], heights, strict=False):
        corners += [(left, height), (right, height)]
    return (*corners, (across[-1], bottom))


def _logarithmic(
    least: float, most: float, top: float, bottom: float
) -> tuple[Callable[[float], float], Ticks]:
    """Return a function from counts to heights on a logarithmic axis, and the axis's ticks.

    The axis ends above `most`, and begins below `least` so that it, too, has a height.
    """
    low, high = math.log10(least) - 0.3, math.log10(most) + 0.05
    high = max(high, low + 1)

    def down(count: float) -> float:
        share = (math.log10(count) - low) / (high - low) if count > 0 else 0.0
        return round(bottom - (bottom - top) * share, 1)

    decades = range(math.ceil(low), math.floor(high) + 1)
    room = max(1, round((bottom - top) / 24))
    step = -(-len(decades) // room)
    return down, tuple((down(10.0**power), _power(power)) for power in decades[::step])


def _power(power: int) -> str:
    """Return a power of ten: in full from 0.01 to 100,000, otherwise as a power."""
    if -2 <= power <= 5:
        return f"{10.0**power:,.{max(0, -power)}f}"
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return "10" + str(power).translate(raised)


def _nice(step: float) -> float:
    """Return the smallest of 1, 2 or 5 times a power of ten that is no smaller than `step`."""
    power = math.floor(math.log10(step))
    values = (float(f"{digit}e{power}") for digit in (1, 2, 5, 10))
    return next(value for value in values if value >= step * (1 - 1e-9))


def _marks(named: Sequence[tuple[str, str, float]], width: float) -> tuple[Mark, ...]:
    """Return the marks from left to right, their labels on levels where none covers another.

    All labels end at their lines, or all begin there, so that no line crosses a label of another;
    only where neither fits, some do this and some that.
    """
    spans = [
        {
            True: (across - LETTER * len(label) - 8, across),
            False: (across, across + LETTER * len(label) + 8),
        }
        for _, label, across in named
    ]
    fitting = [
        side
        for side in (True, False)
        if all(span[side][0] >= 0 and span[side][1] <= width for span in spans)
    ]
    # Where labels end at their lines, those further right stand higher, and the other way round.
    order = sorted(range(len(named)), key=lambda at: named[at][2], reverse=fitting[:1] != [True])
    placed: list[tuple[float, float, Mark]] = []
    for at in order:
        kind, label, across = named[at]
        before = fitting[0] if fitting else spans[at][False][1] > width
        start, stop = spans[at][before]
        under = [
            mark.level + 1
            for low, high, mark in placed
            if (low < stop and start < high) or start <= mark.across <= stop
        ]
        placed.append((start, stop, Mark(kind, label, across, max(under, default=0), before)))
    return tuple(sorted((mark for _, _, mark in placed), key=lambda mark: mark.across))


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


RANKING_COLOURS = {L2: "#1b1e25", TOP_SHIFT: "#b5540a", GREEDY: "#1853c6", BEST: "#2c7a3f",
           RANDOM: "#8a90a0"}  # fmt: skip
"""The rankings that are drawn; the random sets as a band around their mean."""
DASHES = {BEST: (2, 2.5)}
PANELS = (
    ("recovery", "recovery of a strong response"),
    ("r2", "explained variance, R²"),
    ("necessity", "necessity for a strong response"),
)
HEIGHT, GAP, TOP, LEFT = 220, 52, 30, 44


@dataclass(frozen=True)
class CurvePanel:
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
    panels: tuple[CurvePanel, ...]
    names: tuple[tuple[str, str], ...]
    mark: str


def chart(found: Faithfulness, by: str = L2, width: float = 1160) -> Chart:
    """Return the drawing.

    Args:
        found: what was measured.
        by: the ranking whose interval is drawn, and which is drawn whatever it is.
        width: of the drawing.
    """
    names = [name for name in (*RANKING_COLOURS, by) if name in found.curves]
    names = list(dict.fromkeys(names))
    wide = (width - GAP * (len(PANELS) - 1)) / len(PANELS)
    panels = tuple(
        _curve_panel(
            found, names, by, measure, title, at * (wide + GAP) + LEFT, at * (wide + GAP) + wide
        )
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
    return RANKING_COLOURS.get(name, "#7a1fa2")


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


def _draw(page: Page, drawn: Chart, panel: CurvePanel, left: float, head: float) -> None:
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


def _curve_panel(
    found: Faithfulness,
    names: list[str],
    by: str,
    measure: str,
    title: str,
    left: float,
    right: float,
) -> CurvePanel:
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
    return CurvePanel(
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
