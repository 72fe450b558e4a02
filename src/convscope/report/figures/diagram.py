"""The picture of a circuit as a graph: columns of units with arrows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.report.figures.canvas import EFFECTS, INK, QUIET, RULE, Page, kernel_tile

WIDTH, TOP, SCALE = 1560, 130, 2
ROW, LEAST = 92, 34  # height of a unit with a picture, and of one without
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
    height = TOP + max(tall, 3 * ROW) + 40
    page = Page(WIDTH, height, SCALE)
    page.text(40, 38, title, 24, weight="bold", fit=WIDTH - 80)
    page.text(40, 68, subtitle, 14, color=QUIET, fit=WIDTH - 80)
    space = (WIDTH - 80) / len(columns)
    wide = min(0.62 * space, 250)
    places: dict[int, dict[str, float]] = {}
    for at in reversed(range(len(columns))):
        beside = places.get(at + 1, {})
        places[at] = _places(columns[at], beside, height)
    for at, column in enumerate(columns):
        left = 40 + at * space + (space - wide) * at / max(len(columns) - 1, 1)
        page.text(left, TOP - 26, column.title, 13, color=QUIET, fit=space - 10)
        following = 40 + (at + 1) * space + (space - wide) * (at + 1) / max(len(columns) - 1, 1)
        largest = max((abs(arrow.value) for arrow in column.arrows), default=0.0) or 1.0
        ends = _ends(column.arrows, places[at], places.get(at + 1, {}))
        for arrow in sorted(column.arrows, key=lambda it: abs(it.value)):
            start = left + wide + GAP, places[at][arrow.source]
            end = following - GAP, ends[arrow.source, arrow.target]
            _arrow(page, start, end, arrow.value / largest)
        limit = max((float(np.abs(node.kernel).max()) for node in column.nodes
                     if node.kernel is not None), default=0.0)  # fmt: skip
        for node in column.nodes:
            _node(page, node, left, places[at][node.name], wide, limit)
    return page.array()


def _height(node: Node) -> int:
    return LEAST if node.picture is None else ROW


def _places(column: Column, beside: Mapping[str, float], height: float) -> dict[str, float]:
    """Return the middle of each unit of a column, beside what it leads to if it may move."""
    nodes = list(column.nodes)
    if column.sorted:
        pulls = {node.name: [beside[it.target] for it in column.arrows if it.source == node.name]
                 for node in nodes}  # fmt: skip
        nodes.sort(key=lambda node: float(np.mean(pulls[node.name] or [height])))
    used = sum(_height(node) for node in nodes)
    spare = (height - TOP - 40 - used) / len(nodes)
    found, down = {}, float(TOP)
    for node in nodes:
        step = _height(node) + spare
        found[node.name] = down + step / 2
        down += step
    return found


def _ends(
    arrows: Sequence[Arrow], sources: Mapping[str, float], targets: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """Return where each arrow ends: those of one target below each other, as their sources are."""
    found = {}
    for target in dict.fromkeys(arrow.target for arrow in arrows):
        own = sorted(
            (it for it in arrows if it.target == target), key=lambda it: sources[it.source]
        )
        step = min(APART, (ROW - 22) / len(own))
        for place, arrow in enumerate(own):
            middle = place - (len(own) - 1) / 2
            found[arrow.source, target] = targets[target] + step * middle
    return found


def _node(page: Page, node: Node, left: float, middle: float, wide: float, limit: float) -> None:
    """Draw a unit between `left` and `left + wide` around the height `middle`."""
    side = _height(node) - 10
    start = left
    if node.picture is not None:
        page.paste(node.picture, round(start), round(middle - side / 2), side, side)
        start += side + 10
    elif node.kernel is not None:
        page.paste(kernel_tile(node.kernel, limit, 4 * side), round(start),
                   round(middle - side / 2), side, side)  # fmt: skip
        start += side + 10
    else:
        page.box(left, middle - side / 2, 2, side, RULE)
        start += 10
    room = left + wide - start
    up = 8 if node.remark else 0
    page.text(start, middle - up, node.name, 14, fit=room, color=INK, weight="bold")
    if node.remark:
        page.text(start, middle + 9, node.remark, 11, fit=room, color=QUIET)


def _arrow(page: Page, start: tuple[float, float], end: tuple[float, float], share: float) -> None:
    """Draw a curved arrow, as wide as the magnitude of `share`."""
    colour = EFFECTS["excitatory" if share > 0 else "inhibitory"]
    width = max(WIDE * abs(share), 0.8)
    tip = 6 + 0.9 * width
    neck = end[0] - tip
    along = np.linspace(0, 1, 40)
    smooth = along**2 * (3 - 2 * along)
    points = zip(start[0] + (neck - start[0]) * along, start[1] + (end[1] - start[1]) * smooth,
                 strict=True)  # fmt: skip
    page.line(list(points), colour, width, alpha=0.35 + 0.5 * abs(share), solid_capstyle="butt")
    half = 3 + 0.75 * width
    page.shape([(neck, end[1] - half), end, (neck, end[1] + half)], colour)
