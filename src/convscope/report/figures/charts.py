"""Charts of one unit, for pictures and for pages: its activations, and how faithful its inputs are.

A chart is laid out once, in units of its own: pages draw it as SVG, `*_picture` as pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convscope.activations.statistics import EDGES, cells, firing, ordered, quantiles
from convscope.report.figures.canvas import PAPER, QUIET, RULE, Page, multiples, round_step
from convscope.text import number

if TYPE_CHECKING:  # stage=rank draws charts too, without TensorFlow
    from convscope.circuits.faithfulness import Faithfulness

SHARES = (0.9, 0.99, 0.999)  # the quantiles that are marked
LINE, LETTER = 18, 7.2  # units of a drawing: from one line of words to the next, and of a letter
MARGIN = 24  # units of a picture around its chart
COLOURS = {
    "silent": "#c3c8d3", "firing": "#5b6b8c", "peaks": "#b5540a", "zero": "#5d6472",
    "quantile": "#1b1e25", "strongest": "#b5540a", "optimum": "#7a1fa2",
    "l2": "#1b1e25", "top_shift": "#b5540a", "greedy": "#1853c6", "best": "#2c7a3f",
    "random": "#8a90a0",
}  # fmt: skip
RANKINGS = ("l2", "top_shift", "greedy", "best", "random")
"""The rankings that are drawn; the random sets as a band around their mean."""
OTHER = "#7a1fa2"  # the colour of any other ranking
DASHES = {"best": {"dashes": (2, 2.5)}}
MEASURES = {
    "recovery": "recovery of a strong response",
    "r2": "explained variance, R²",
    "necessity": "necessity for a strong response",
}
HEIGHT, GAP, TOP, LEFT = 220, 52, 30, 44

Points = tuple[tuple[float, float], ...]
Ticks = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Scale:
    """An axis: values whose `form` goes from `low` to `high` are drawn from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float
    form: Callable[[float], float] = float

    def at(self, value: float) -> float:
        """Return where a value is drawn; at an end of the axis where it lies beyond."""
        share = (self.form(value) - self.low) / (self.high - self.low)
        return round(self.start + (self.stop - self.start) * min(max(share, 0.0), 1.0), 1)


@dataclass(frozen=True)
class Panel:
    """One pair of axes and what is drawn in them.

    Attributes:
        left: edge of the axes.
        right: edge of the axes.
        top: edge of the axes.
        bottom: edge of the axes.
        down: (height, label) of the ticks beside the axes.
        across: (place, label) of the ticks below the axes.
        areas: (kind, corners) of what is filled.
        lines: (kind, corners).
        title: what it shows.
        mark: where the line that a panel of `faithfulness_chart` has stands.
    """

    left: float
    right: float
    top: float
    bottom: float
    down: Ticks
    across: Ticks
    areas: tuple[tuple[str, Points], ...]
    lines: tuple[tuple[str, Points], ...] = ()
    title: str = ""
    mark: float = 0.0


@dataclass(frozen=True)
class Mark:
    """A value that a line through the drawing stands for.

    Attributes:
        kind: zero, quantile, strongest or optimum.
        label: in words.
        across: where its line stands.
        down: the middle of its label.
        before: whether the label ends at the line instead of beginning there.
    """

    kind: str
    label: str
    across: float
    down: float
    before: bool


@dataclass(frozen=True)
class Distribution:
    """The distributions of a unit's activations, two panels above one axis of values.

    Attributes:
        width: of all.
        height: of all.
        positions: preactivations at all positions of all photographs.
        photographs: one score for each photograph.
        marks: the values that are marked, from left to right.
        gap: where the axis is interrupted since the optimum lies far beyond; None: nowhere.
        unit: the stretch of values that a count is for, in words.
    """

    width: int
    height: int
    positions: Panel
    photographs: Panel
    marks: tuple[Mark, ...]
    gap: float | None
    unit: str


def distribution(
    histogram: np.ndarray, scores: np.ndarray, optimum: float | None = None, width: int = 960
) -> Distribution:
    """Return the chart of a unit's distributions over all positions and over photographs.

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
    unit = round_step((high - low) / 100)
    far = optimum is not None and optimum > 2 * high - low
    if optimum is not None and not far:
        low, high = min(low, optimum), max(high, optimum)
    small = width < 600
    left, right = (44, width - 8) if small else (64, width - 16)
    axis = Scale(low - unit, high + unit, left, right - far * (48 if small else 110))
    values = [("zero", f"fires at {number(100 * float(firing(histogram)))} %", 0.0)]
    of = "" if small else " of positions"
    for share, value in zip(SHARES, quantiles(histogram, SHARES).tolist(), strict=True):
        values.append(("quantile", f"{100 * share:g} %{of} below {number(value)}", value))
    strongest = float(scores.max())
    values.append(("strongest", f"strongest photograph {number(strongest)}", strongest))
    named = [(kind, label, axis.at(value)) for kind, label, value in values]
    if optimum is not None:
        place = right - 12.0 if far else axis.at(optimum)
        named.append(("optimum", f"optimum {number(optimum)}", place))
    marks, top = _marks(named, width)
    step = round_step((axis.high - axis.low) / (4 if small else 9))
    ticks = tuple(
        (axis.at(value), f"{value:,.10g}".replace("-", "\N{MINUS SIGN}"))
        for value in multiples(step, axis.low, axis.high)
    )

    def panel(
        kinds: Sequence[tuple[str, np.ndarray, np.ndarray]],
        top: float,
        bottom: float,
        least: float,
        most: float,
    ) -> Panel:
        """Return kinds with edges and heights on a logarithmic axis from `least` to `most`."""
        down, labels = _logarithmic(least, most, top, bottom)
        areas = tuple(
            (kind, _outline([*map(axis.at, edges.tolist())], [*map(down.at, heights)], bottom))
            for kind, edges, heights in kinds
        )
        return Panel(left, right, top, bottom, labels, ticks, areas)

    # Over positions, parted where the unit begins to fire.
    edges, counts = cells(histogram, unit / 2)
    heights = counts / np.diff(edges) * unit
    zero = int(np.searchsorted(edges, 0.0))
    parts = [
        ("silent", edges[: zero + 1], heights[:zero]),
        ("firing", edges[zero:], heights[zero:]),
    ]
    positions = panel(parts, top, top + 220, heights[heights > 0].min(), heights.max())
    # Over photographs, in bins as wide as the unit of the counts.
    first, last = math.floor(scores.min() / unit), math.floor(scores.max() / unit)
    many = np.bincount(np.floor(scores / unit).astype(int) - first, minlength=last - first + 1)
    peaks = [("peaks", np.arange(first, last + 2) * unit, many)]
    top = positions.bottom + 40
    photographs = panel(peaks, top, top + 80, 1, max(many.max(), 10))
    gap = (axis.stop + right - 12) / 2 if far else None
    height = round(photographs.bottom) + 46
    return Distribution(width, height, positions, photographs, marks, gap, f"{unit:g}")


def _outline(across: Sequence[float], heights: Sequence[float], bottom: float) -> Points:
    """Return the corners of steps between edges, along the bottom where there is nothing."""
    if not heights:
        return ()
    corners = np.repeat(across, 2), [bottom, *np.repeat(heights, 2), bottom]
    return tuple(zip(corners[0].tolist(), map(float, corners[1]), strict=True))


def _logarithmic(least: float, most: float, top: float, bottom: float) -> tuple[Scale, Ticks]:
    """Return a logarithmic axis of counts from `bottom` to `top`, and its ticks.

    The axis ends above `most`, and begins below `least` so that it, too, has a height.
    """
    low = math.log10(least) - 0.3
    high = max(math.log10(most) + 0.05, low + 1)
    scale = Scale(low, high, bottom, top, lambda n: math.log10(n) if n > 0 else -math.inf)
    decades = range(math.ceil(low), math.floor(high) + 1)
    room = max(1, round((bottom - top) / 24))
    every = decades[:: -(-len(decades) // room)]
    return scale, tuple((scale.at(10.0**power), _power(power)) for power in every)


def _power(power: int) -> str:
    """Return a power of ten: in full from 0.01 to 100,000, otherwise as a power."""
    if -2 <= power <= 5:
        return f"{10.0**power:,.{max(0, -power)}f}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _marks(named: Sequence[tuple[str, str, float]], width: float) -> tuple[tuple[Mark, ...], float]:
    """Return the marks from left to right, none covering another, and the height below them.

    All labels end at their lines, or all begin there, so that no line crosses a label of another;
    only where neither fits, some do this and some that.

    Args:
        named: kind, label and place of each.
        width: of the drawing.
    """

    def span(label: str, across: float, before: bool) -> tuple[float, float]:
        reach = LETTER * len(label) + 8
        return (across - reach, across) if before else (across, across + reach)

    def fits(label: str, across: float, before: bool) -> bool:
        return span(label, across, before)[0] >= 0 and span(label, across, before)[1] <= width

    fitting = [side for side in (True, False) if all(fits(*one[1:], side) for one in named)]
    # Where labels end at their lines, those further right stand higher, and the other way round.
    order = sorted(named, key=lambda one: one[2], reverse=fitting[:1] != [True])
    placed: list[tuple[float, float, float, int]] = []
    for _, label, across in order:
        before = fitting[0] if fitting else not fits(label, across, False)
        start, stop = span(label, across, before)
        under = [
            level + 1
            for low, high, line, level in placed
            if (low < stop and start < high) or start <= line <= stop
        ]
        placed.append((start, stop, across, max(under, default=0)))
    lines = 1 + max(level for *_, level in placed)
    marks = [
        Mark(kind, label, across, LINE * (lines - level) - 8, stop == across)
        for (kind, label, across), (_, stop, _, level) in zip(order, placed, strict=True)
    ]
    return tuple(sorted(marks, key=lambda mark: mark.across)), 24 + LINE * lines


def distribution_picture(
    name: str, histogram: np.ndarray, scores: np.ndarray, optimum: float | None = None
) -> np.ndarray:
    """Return the distributions of the unit `name` as a picture, uint8 `(height, width, 3)`.

    The arguments, and what is raised, are those of `distribution`.
    """
    drawn, head = distribution(histogram, scores, optimum), 62
    page = Page(drawn.width + 2 * MARGIN, drawn.height + head, scale=2, origin=(MARGIN, head))
    page.text(0, 34 - head, f"How {name} responds", 22, weight="bold", fit=drawn.width)
    panels = {"positions": drawn.positions, "photographs": drawn.photographs}
    for panel in panels.values():
        for kind, points in panel.areas:
            if points:
                page.shape(points, COLOURS[kind])
        for down, label in panel.down:
            page.box(panel.left - 5, down, 5, 1, QUIET)
            page.text(panel.left - 10, down, label, 12, color=QUIET, ha="right")
        page.box(panel.left, panel.top, 1, panel.bottom - panel.top, QUIET)
        page.box(panel.left, panel.bottom, panel.right - panel.left, 1, QUIET)
    bottom = panel.bottom
    for mark in drawn.marks:
        thick = 2 if mark.kind == "optimum" else 1
        page.box(mark.across, mark.down - 7, thick, bottom - mark.down + 7, COLOURS[mark.kind])
    # After all lines, which pass behind the words.
    plate = {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"}
    for of, panel in panels.items():
        words = f"{of} per {drawn.unit} (log scale)"
        page.text(panel.left, panel.top - 12, words, 12, color=QUIET, bbox=plate)
    for mark in drawn.marks:
        side, away = ("right", -6) if mark.before else ("left", 7)
        across, colour = mark.across + away, COLOURS[mark.kind]
        page.text(across, mark.down, mark.label, 13, color=colour, ha=side, bbox=plate)
    for across, label in panel.across:
        page.box(across, bottom, 1, 5, QUIET)
        page.text(across, bottom + 16, label, 12, color=QUIET, ha="center")
    if drawn.gap is not None:
        page.box(drawn.gap - 4, bottom - 3, 8, 7, PAPER)
        for across in (drawn.gap - 6, drawn.gap + 2):
            page.shape([(across, bottom + 6), (across + 5, bottom - 6)], QUIET, edgecolor=QUIET)
    page.text(panel.right, bottom + 36, "preactivation", 13, color=QUIET, ha="right")
    return page.array()


@dataclass(frozen=True)
class FaithfulnessChart:
    """Panels side by side, in units of a drawing that is `width` wide.

    Attributes:
        width: of all.
        height: of all.
        panels: one for each measure, from left to right.
        names: (ranking, words) of the lines.
    """

    width: float
    height: float
    panels: tuple[Panel, ...]
    names: tuple[tuple[str, str], ...]


def faithfulness_chart(
    found: Faithfulness, by: str = "l2", width: float = 1160
) -> FaithfulnessChart:
    """Return the chart of how much of a unit a few of its inputs explain.

    Args:
        found: what was measured.
        by: the ranking whose interval is drawn, and which is drawn whatever it is.
        width: of the drawing.
    """
    from convscope.circuits.effects import TITLES

    names = list(dict.fromkeys(name for name in (*RANKINGS, by) if name in found.curves))
    wide = (width - GAP * (len(MEASURES) - 1)) / len(MEASURES)
    panels = []
    for at, measure in enumerate(MEASURES):
        start, last = at * (wide + GAP), math.log2(float(found.sizes[-1]) + 1)
        across = Scale(0, last, start + LEFT, start + wide, lambda size: math.log2(size + 1))
        panels.append(_faithfulness_panel(found, names, by, measure, across))
    titles = tuple((name, TITLES[name]) for name in names)
    return FaithfulnessChart(width, TOP + HEIGHT + 44, tuple(panels), titles)


def _faithfulness_panel(
    found: Faithfulness, names: Sequence[str], by: str, measure: str, across: Scale
) -> Panel:
    """Return one measure of all rankings over the number of inputs kept."""
    curves, sizes = found.curves, found.sizes.tolist()
    values = {name: getattr(curves[name], measure) for name in names}
    every = np.concatenate(list(values.values()))
    every = every[np.isfinite(every)]
    # The axis ends at 1, or beyond where recovery overshoots. It is a share of a whole: below zero
    # only as far as a line goes that matters.
    low, high = max(-0.5, every.min(initial=0.0)), min(every.max(initial=1.0), 2.5)
    down = Scale(low, high, TOP + HEIGHT, TOP)

    def points(heights: np.ndarray) -> Points:
        pairs = zip(sizes, heights.tolist(), strict=True)
        return tuple((across.at(size), down.at(it)) for size, it in pairs if math.isfinite(it))

    bands = {
        name: points(curves[name].high[measure]) + points(curves[name].low[measure])[::-1]
        for name in ("random", by)
    }
    ticks: list[tuple[float, str]] = []
    for size in sizes[::-1]:  # the last one always, the others where there is room
        if not ticks or ticks[-1][0] - across.at(size) >= 26:
            ticks.append((across.at(size), f"{size}"))
    shares = multiples(0.25 if high - low <= 1.5 else 0.5, low, high)
    labels = [f"{100 * share:.0f} %".replace("-", "\N{MINUS SIGN}") for share in shares]
    return Panel(
        left=across.start,
        right=across.stop,
        top=TOP,
        bottom=TOP + HEIGHT,
        down=tuple(zip(map(down.at, shares), labels, strict=True)),
        across=tuple(ticks),
        areas=tuple((name, band) for name, band in bands.items() if band),
        lines=tuple((name, line) for name in names if (line := points(values[name]))),
        title=MEASURES[measure],
        mark=across.at(found.count),
    )


def faithfulness_picture(name: str, found: Faithfulness, by: str = "l2") -> np.ndarray:
    """Return the chart as a picture, uint8 `(height, width, 3)`.

    Args:
        name: the unit.
        found: what was measured.
        by: the ranking that the inputs shown were chosen by.
    """
    drawn, head = faithfulness_chart(found, by), 84
    size = int(drawn.width) + 2 * MARGIN, int(drawn.height) + head + 16
    page = Page(*size, scale=2, origin=(MARGIN, head))
    title = f"How much of {name} a few of its inputs explain"
    page.text(0, 32 - head, title, 22, weight="bold", fit=drawn.width)

    def line(name: str, points: Points) -> None:
        page.line(points, COLOURS.get(name, OTHER), 2.2, **DASHES.get(name, {}))

    across, middle = 0.0, 66.0 - head
    for ranking, words in drawn.names:
        line(ranking, ((across, middle), (across + 26, middle)))
        page.text(across + 34, middle, words, 13)
        across += 58 + 7.6 * len(words)
    for panel in drawn.panels:
        page.text(panel.left - LEFT + 2, 10, panel.title, 13, weight="bold")
        for down, label in panel.down:
            page.box(panel.left, down, panel.right - panel.left, 1, RULE)
            page.text(panel.left - 8, down, label, 12, color=QUIET, ha="right")
        for ranking, points in panel.areas:
            page.shape(points, COLOURS.get(ranking, OTHER), alpha=0.15, linewidth=0)
        page.box(panel.mark, panel.top, 1, HEIGHT, QUIET)
        for ranking, points in panel.lines:
            line(ranking, points)
        for across, label in panel.across:
            page.text(across, panel.bottom + 16, label, 12, color=QUIET, ha="center")
        page.text(panel.right, panel.bottom + 36, "inputs kept", 12, color=QUIET, ha="right")
    return page.array()
