"""The circuit in two drawings: the explorer of a unit's inputs, and a graph of units and arrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.circuits.edges import Edge
from convscope.report.figures.canvas import (
    EFFECTS,
    PAPER,
    QUIET,
    RULE,
    SWATCHES,
    VOID,
    Page,
    kernel_tile,
    legend_bar,
)
from convscope.text import fixed, number

# Pixels at single scale: the page, its head, a row, a picture; then where each column begins.
WIDTH, HEAD, ROW, PICTURE = 1400, 452, 142, 108
OPTIMUM, ARROW, TILE, WORDS, STRENGTH, MEAN, CROPS = 76, 204, 352, 492, 764, 948, 1136


@dataclass(frozen=True)
class UnitPictures:
    """What one unit is shown by: its optimum and its dataset examples.

    Attributes:
        name: such as `block4_conv2:133`; for the inputs of the first layer `image:red`.
        optimum: the image that excites it most, uint8 `(height, width, 3)`; None: there is none.
        activation: peak preactivation on that image, as saved.
        activation_mean: mean preactivation on that image.
        alive: whether the ascent started; None where no optimum applies (colour inputs).
        crops: receptive fields cut from photographs, uint8, strongest first.
        crop_activations: preactivation at each crop.
        evidence: whether the image says what the unit does on photographs; None: not examined.
        standing: why, in a sentence.
    """

    name: str
    optimum: np.ndarray | None
    activation: float | None
    activation_mean: float | None
    alive: bool | None
    crops: tuple[np.ndarray, ...]
    crop_activations: tuple[float, ...]
    evidence: bool | None = None
    standing: str = ""

    @property
    def picture(self) -> np.ndarray | None:
        """The optimum, unless the unit is not alive: that image would be no result."""
        return None if self.alive is False else self.optimum

    @property
    def absence(self) -> str:
        """Why there is no picture, in plain words."""
        return {False: "not alive", None: "colour input", True: "no optimum"}[self.alive]


@dataclass(frozen=True)
class InputRow(Edge):
    """One input of the unit, a row of the explorer: its edge of the circuit and its pictures."""

    unit: UnitPictures

    @property
    def sign(self) -> str:
        """The side of zero that the weights lean to: excitatory or inhibitory."""
        return "inhibitory" if self.mostly.endswith("inhibitory") else "excitatory"

    @property
    def layout(self) -> str:
        """How the weights are laid out, in words; "" where there is nothing to say."""
        if self.pattern in ("", "other", "uniform"):
            return ""
        if self.angle is None:
            return self.pattern
        return f"{self.pattern}, positive towards {self.angle:.0f}\N{DEGREE SIGN}"


def explorer(
    unit: UnitPictures, rows: Sequence[InputRow], *, title: str, subtitle: str, limit: float
) -> np.ndarray:
    """Return the unit's optimum above one line for each of its inputs, 2800 pixels wide.

    Each line reads from left to right: optimum of the input, arrow (colour: effect, width: L2),
    kernel, effect in words, L2, expected contribution, photographs.

    Args:
        unit: the unit explained.
        rows: its inputs in the order to show.
        title: first line of the page.
        subtitle: second line.
        limit: the weight at both ends of the colour scale that all tiles share.
    """
    page = Page(WIDTH, HEAD + ROW * len(rows) + 24, scale=2)
    page.text(40, 46, title, 27, weight="bold", fit=WIDTH - 80)
    page.text(40, 82, subtitle, 14, color=QUIET, fit=WIDTH - 80)
    _legend(page, limit)
    _head(page, unit)
    largest = {
        name: max((abs(getattr(row, name)) for row in rows), default=0) or 1.0
        for name in ("l2", "mean", "top_shift", "ablation")
    }
    for index, row in enumerate(rows):
        _line(page, HEAD + ROW * index, index + 1, row, limit, largest)
    return page.array()


def _optimum(page: Page, unit: UnitPictures, left: int, top: int, side: int) -> None:
    """Draw the optimum of `unit`, or an empty field that says why there is none."""
    if unit.picture is not None:
        page.paste(unit.picture, left, top, side, side)
        return
    swatch = SWATCHES.get(unit.name)
    page.box(left - 1, top - 1, side + 2, side + 2, RULE)
    page.box(left, top, side, side, swatch or VOID)
    if not swatch:
        page.text(left + side / 2, top + side / 2, unit.absence, 13, ha="center", color=QUIET)


def _crops(page: Page, unit: UnitPictures, left: int, top: int, width: int, side: int) -> None:
    """Draw the crops of `unit` side by side, as large as `width` allows, activations below."""
    if not unit.crops:
        # A colour input is the photograph itself: nothing is missing there.
        words = "" if unit.alive is None else "no photograph"
        page.text(left, top + side / 2, words, 13, color=QUIET)
        return
    small = min(side, (width - 12 * (len(unit.crops) - 1)) // len(unit.crops))
    top, side = top + (side - small) // 2, small
    for index, (crop, activation) in enumerate(zip(unit.crops, unit.crop_activations, strict=True)):
        across = left + index * (side + 12)
        page.paste(crop, across, top, side, side)
        words = number(activation)
        page.text(across + side / 2, top + side + 13, words, 12, ha="center", color=QUIET)


def _head(page: Page, unit: UnitPictures) -> None:
    """Draw the unit in the middle, its photographs to the right, the titles of the columns."""
    _optimum(page, unit, 572, 112, 256)
    words = f"optimum of {unit.name}"
    page.text(700, 386, words, 14, ha="center", weight="bold", fit=400)
    measured = f"peak {number(unit.activation)}, mean {number(unit.activation_mean)}"
    words = measured if unit.picture is not None else unit.absence
    page.text(700, 407, words, 13, ha="center", color=QUIET)
    page.text(908, 122, "photographs that excite it most", 13, color=QUIET)
    _crops(page, unit, 908, 142, 452, 216)
    for left, words in (
        (OPTIMUM, "input"), (ARROW, "effect"), (TILE, "kernel"),
        (STRENGTH, "L2 (share), top shift"), (MEAN, "mean, ablation"),
        (CROPS, "photographs (peak)"),
    ):  # fmt: skip
        page.text(left, HEAD - 20, words, 12, color=QUIET)
    page.box(40, HEAD - 6, WIDTH - 80, 1, RULE)


def _legend(page: Page, limit: float) -> None:
    """Draw the colour scale that all tiles share, and how arrows are to be read."""
    page.text(40, 122, "weights, one scale for all kernels", 13, color=QUIET)
    page.paste(legend_bar(640, 44), 40, 138, 320, 22)
    for left, value, place in ((40, -limit, "left"), (200, 0.0, "center"), (360, limit, "right")):
        page.text(left, 174, number(value, signed=True), 12, ha=place)
    page.text(40, 192, "inhibits", 12, color=EFFECTS["inhibitory"])
    page.text(360, 192, "excites", 12, ha="right", color=EFFECTS["excitatory"])
    page.text(40, 236, "arrows, as wide as the kernel is strong (L2)", 13, color=QUIET)
    for index, (label, words) in enumerate((
        ("excitatory", "excitatory"), ("inhibitory", "inhibitory"),
        ("mixed", "mixed: the head shows the side it leans to"),
        ("negligible", "negligible: far weaker than the strongest"),
    )):  # fmt: skip
        down = 262 + 26 * index
        sign = "inhibitory" if label == "inhibitory" else "excitatory"
        _arrow(page, 40, down, 52, 10, label, sign)
        page.text(104, down, words, 13)


def _arrow(
    page: Page, left: float, middle: float, length: float, width: float, label: str, sign: str
) -> None:
    """Draw an arrow to the right: the shaft has the colour of `label`, the head that of `sign`."""
    shaft = EFFECTS[label]
    head = shaft if label == "negligible" else EFFECTS[sign]
    wide, tip = max(width, 1) / 2, max(14.0, 0.9 * width)
    neck, half = left + length - tip, max(8.0, 0.85 * width)
    page.box(left, middle - wide, neck - left, 2 * wide, shaft)
    page.shape([(neck, middle - half), (left + length, middle), (neck, middle + half)], head)


def _line(
    page: Page, top: int, rank: int, row: InputRow, limit: float, largest: Mapping[str, float]
) -> None:
    """Draw one input between `top` and `top + ROW`."""
    unit, top = row.unit, top + 8
    middle = top + PICTURE // 2
    page.text(52, middle, str(rank), 15, ha="center", color=QUIET)
    _optimum(page, unit, OPTIMUM, top, PICTURE)
    if unit.picture is not None:
        words = f"peak {number(unit.activation)}"
        page.text(OPTIMUM + PICTURE / 2, top + PICTURE + 13, words, 12, ha="center", color=QUIET)
    _arrow(page, ARROW, middle, 124, 30 * row.l2 / largest["l2"], row.label, row.sign)
    tile = kernel_tile(row.kernel, limit, 2 * PICTURE)
    page.paste(tile, TILE, top, PICTURE, PICTURE)
    page.text(WORDS, middle - 30, unit.name, 16, weight="bold", fit=STRENGTH - WORDS - 24)
    page.text(WORDS, middle - 4, row.mostly, 14, color=EFFECTS[row.sign])
    chip = {"facecolor": EFFECTS[row.label], "edgecolor": "none", "boxstyle": "round,pad=0.35"}
    if row.effect != row.label:
        words = f"by its effect {row.effect}, {fixed(row.functional_sign)}"
        page.text(WORDS, middle + 50, words, 12, color=EFFECTS[row.effect])
    page.text(WORDS + 6, middle + 25, row.label, 11, color=PAPER, weight="bold", bbox=chip)
    words = f"sign index {fixed(row.sign_index)}"
    page.text(WORDS + 100, middle + 25, words, 12, color=QUIET)
    _numbers(page, middle, row, largest)
    _crops(page, unit, CROPS, top, WIDTH - 40 - CROPS, PICTURE)
    page.box(40, top - 8 + ROW - 4, WIDTH - 80, 1, VOID)


def _numbers(page: Page, middle: int, row: InputRow, largest: Mapping[str, float]) -> None:
    """Write what is measured, each with a bar that is full for the largest of all rows."""
    up, down = middle - 36, middle + 22
    page.text(STRENGTH, up, f"{number(row.l2)}  ({100 * row.share:.1f} %)", 14)
    page.box(STRENGTH, up + 16, 150, 8, VOID)
    page.box(STRENGTH, up + 16, 150 * row.l2 / largest["l2"], 8, EFFECTS[row.label])
    # Above or below zero: their bars begin in the middle.
    for name, left, top in (
        ("mean", MEAN, up), ("top_shift", STRENGTH, down), ("ablation", MEAN, down),
    ):  # fmt: skip
        value = getattr(row, name)
        page.text(left, top, number(value, signed=True), 14)
        if top == down:
            words = name.replace("_", " ")
            page.text(left + 150, top, words, 12, ha="right", color=QUIET)
        page.box(left, top + 16, 150, 8, VOID)
        side = EFFECTS["excitatory" if value > 0 else "inhibitory"]
        page.box(left + 75, top + 16, 75 * value / largest[name], 8, side)
        page.box(left + 75, top + 12, 1, 16, QUIET)


GRAPH_WIDTH, TOP, SCALE = 1560, 130, 2
GRAPH_ROW, LEAST = 92, 34  # height of a unit with a picture, and of one without
GAP, WIDE = 9.0, 12.0  # pixels between arrow and unit; the widest arrow
APART = 16.0  # pixels between arrows that end at one unit, where there is room


@dataclass(frozen=True)
class Node:
    """One unit of the graph.

    Attributes:
        name: such as `block3_conv2:100`.
        picture: the image that excites it most, uint8 `(height, width, 3)`; None: there is none.
        kernel: weights that stand for it `(height, width)`; None: none.
        remark: a line below the name.
    """

    name: str
    picture: np.ndarray | None = None
    kernel: np.ndarray | None = None
    remark: str = ""


@dataclass(frozen=True)
class Arrow:
    """What one unit does to another: red above zero, blue below, as wide as it is strong."""

    source: str
    target: str
    value: float


@dataclass(frozen=True)
class Column:
    """Units that stand above each other.

    Attributes:
        title: what they are.
        nodes: the units; their order is kept unless `sorted`.
        arrows: how wide the arrows to the next column are, whatever their units mean.
        sorted: whether units may stand beside what they lead to.
    """

    title: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...] = ()
    sorted: bool = False


def diagram(columns: Sequence[Column], title: str, subtitle: str) -> np.ndarray:
    """Return the graph, uint8 `(height, width, 3)`.

    Args:
        columns: from left to right; the arrows of each lead to the next.
        title: what the picture shows.
        subtitle: what it is of.
    """
    columns = [column for column in columns if column.nodes]
    tall = max(sum(_height(node) for node in column.nodes) for column in columns)
    height = TOP + max(tall, 3 * GRAPH_ROW) + 40
    page = Page(GRAPH_WIDTH, height, SCALE)
    page.text(40, 38, title, 24, weight="bold", fit=GRAPH_WIDTH - 80)
    page.text(40, 68, subtitle, 14, color=QUIET, fit=GRAPH_WIDTH - 80)
    space = (GRAPH_WIDTH - 80) / len(columns)
    wide = min(0.62 * space, 250)
    following, beside = 0.0, dict[str, float]()  # where the next column and its units stand
    for at, column in reversed([*enumerate(columns)]):
        left = 40 + at * space + (space - wide) * at / max(len(columns) - 1, 1)
        places = _places(column, beside, height)
        page.text(left, TOP - 26, column.title, 13, color=QUIET, fit=space - 10)
        largest = max((abs(arrow.value) for arrow in column.arrows), default=0.0) or 1.0
        ends = _ends(column.arrows, places, beside)
        for arrow in sorted(column.arrows, key=lambda it: abs(it.value)):
            start = left + wide + GAP, places[arrow.source]
            end = following - GAP, ends[arrow.source, arrow.target]
            _graph_arrow(page, start, end, arrow.value / largest)
        kernels = [node.kernel for node in column.nodes if node.kernel is not None]
        limit = max((float(np.abs(kernel).max()) for kernel in kernels), default=0.0)
        for node in column.nodes:
            _node(page, node, left, places[node.name], wide, limit)
        following, beside = left, places
    return page.array()


def _height(node: Node) -> int:
    return LEAST if node.picture is None else GRAPH_ROW


def _places(column: Column, beside: Mapping[str, float], height: float) -> dict[str, float]:
    """Return the middle of each unit of a column, beside what it leads to if it may move."""
    nodes = list(column.nodes)
    if column.sorted:
        pulls: dict[str, list[float]] = {node.name: [] for node in nodes}
        for arrow in column.arrows:
            pulls[arrow.source].append(beside[arrow.target])
        nodes.sort(key=lambda node: float(np.mean(pulls[node.name] or [height])))
    steps = np.array([_height(node) for node in nodes], float)
    steps += (height - TOP - 40 - steps.sum()) / len(nodes)
    middles = TOP + np.cumsum(steps) - steps / 2
    return dict(zip((node.name for node in nodes), middles.tolist(), strict=True))


def _ends(
    arrows: Sequence[Arrow], sources: Mapping[str, float], targets: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """Return where each arrow ends: those of one target below each other, as their sources are."""
    own: dict[str, list[str]] = {}
    for arrow in sorted(arrows, key=lambda it: sources[it.source]):
        own.setdefault(arrow.target, []).append(arrow.source)
    return {
        (source, target): targets[target]
        + min(APART, (GRAPH_ROW - 22) / len(names)) * (place - (len(names) - 1) / 2)
        for target, names in own.items()
        for place, source in enumerate(names)
    }


def _node(page: Page, node: Node, left: float, middle: float, wide: float, limit: float) -> None:
    """Draw a unit between `left` and `left + wide` around the height `middle`."""
    side, picture = _height(node) - 10, node.picture
    if picture is None and node.kernel is not None:
        picture = kernel_tile(node.kernel, limit, 4 * side)
    if picture is not None:
        page.paste(picture, round(left), round(middle - side / 2), side, side)
    else:
        page.box(left, middle - side / 2, 2, side, RULE)
    start = left + 10 + side * (picture is not None)
    room = left + wide - start
    page.text(start, middle - 8 * bool(node.remark), node.name, 14, fit=room, weight="bold")
    page.text(start, middle + 9, node.remark, 11, fit=room, color=QUIET)


def _graph_arrow(
    page: Page, start: tuple[float, float], end: tuple[float, float], share: float
) -> None:
    """Draw a curved arrow, as wide as the magnitude of `share`."""
    colour = EFFECTS["excitatory" if share > 0 else "inhibitory"]
    width = max(WIDE * abs(share), 0.8)
    tip = 6 + 0.9 * width
    neck = end[0] - tip
    along = np.linspace(0, 1, 40)
    across = start[0] + (neck - start[0]) * along
    down = start[1] + (end[1] - start[1]) * along**2 * (3 - 2 * along)
    look = {"alpha": 0.35 + 0.5 * abs(share), "solid_capstyle": "butt"}
    page.line(zip(across, down, strict=True), colour, width, **look)
    half = 3 + 0.75 * width
    page.shape([(neck, end[1] - half), end, (neck, end[1] + half)], colour)
