"""The explorer: one drawing of a unit, its strongest inputs and what each of them does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.report.figures.canvas import (
    EFFECTS,
    PAPER,
    QUIET,
    RULE,
    SWATCHES,
    VOID,
    InputRow,
    Page,
    Portrait,
    fixed,
    kernel_tile,
    legend_bar,
    number,
)

# Pixels at single scale: the page, its head, a row, a picture; then where each column begins.
WIDTH, HEAD, ROW, PICTURE = 1400, 452, 142, 108
OPTIMUM, ARROW, TILE, WORDS, STRENGTH, MEAN, CROPS = 76, 204, 352, 492, 764, 948, 1136


def explorer(
    unit: Portrait, rows: Sequence[InputRow], *, title: str, subtitle: str, limit: float
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
        name: max((abs(getattr(row, name) or 0) for row in rows), default=0) or 1.0
        for name in ("l2", "mean", "top_shift", "ablation")
    }
    for index, row in enumerate(rows):
        _line(page, HEAD + ROW * index, index + 1, row, limit, largest)
    return page.array()


def _portrait(page: Page, unit: Portrait, left: int, top: int, side: int) -> None:
    """Draw the optimum of `unit`, or an empty field that says why there is none."""
    if unit.picture is not None:
        page.paste(unit.picture, left, top, side, side)
        return
    swatch = SWATCHES.get(unit.name)
    page.box(left - 1, top - 1, side + 2, side + 2, RULE)
    page.box(left, top, side, side, swatch or VOID)
    if not swatch:
        page.text(left + side / 2, top + side / 2, unit.absence, 13, ha="center", color=QUIET)


def _crops(page: Page, unit: Portrait, left: int, top: int, width: int, side: int) -> None:
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


def _head(page: Page, unit: Portrait) -> None:
    """Draw the unit in the middle, its photographs to the right, the titles of the columns."""
    _portrait(page, unit, 572, 112, 256)
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
    unit, top = row.portrait, top + 8
    middle = top + PICTURE // 2
    page.text(52, middle, str(rank), 15, ha="center", color=QUIET)
    _portrait(page, unit, OPTIMUM, top, PICTURE)
    if unit.picture is not None:
        words = f"peak {number(unit.activation)}"
        page.text(OPTIMUM + PICTURE / 2, top + PICTURE + 13, words, 12, ha="center", color=QUIET)
    _arrow(page, ARROW, middle, 124, 30 * row.l2 / largest["l2"], row.label, row.sign)
    tile = kernel_tile(row.kernel, limit, 2 * PICTURE)
    page.paste(tile, TILE, top, PICTURE, PICTURE)
    page.text(WORDS, middle - 30, unit.name, 16, weight="bold", fit=STRENGTH - WORDS - 24)
    page.text(WORDS, middle - 4, row.mostly, 14, color=EFFECTS[row.sign])
    chip = {"facecolor": EFFECTS[row.label], "edgecolor": "none", "boxstyle": "round,pad=0.35"}
    if row.effect and row.effect != row.label:
        words = f"by its effect {row.effect}, {fixed(row.functional_sign or 0)}"
        page.text(WORDS, middle + 50, words, 12, color=EFFECTS[row.effect])
    page.text(WORDS + 6, middle + 25, row.label, 11, color=PAPER, weight="bold", bbox=chip)
    words = f"sign index {fixed(row.sign_index)}"
    page.text(WORDS + 100, middle + 25, words, 12, color=QUIET)
    _numbers(page, middle, row, largest)
    _crops(page, unit, CROPS, top, WIDTH - 40 - CROPS, PICTURE)
    page.box(40, top - 8 + ROW - 4, WIDTH - 80, 1, VOID)


def _numbers(page: Page, middle: int, row: InputRow, largest: Mapping[str, float]) -> None:
    """Write what is measured, each with a bar that is full for the largest of all rows."""
    up, down = (middle - 36, middle + 22) if row.effect else (middle - 12, None)
    page.text(STRENGTH, up, f"{number(row.l2)}  ({100 * row.share:.1f} %)", 14)
    page.box(STRENGTH, up + 16, 150, 8, VOID)
    page.box(STRENGTH, up + 16, 150 * row.l2 / largest["l2"], 8, EFFECTS[row.label])
    _signed(page, MEAN, up, "", row.mean, largest["mean"])
    if down is not None:
        _signed(page, STRENGTH, down, "top shift", row.top_shift, largest["top_shift"])
        _signed(page, MEAN, down, "ablation", row.ablation, largest["ablation"])


def _signed(
    page: Page, left: int, top: int, name: str, value: float | None, largest: float
) -> None:
    """Write a value above or below zero, with a bar that begins in the middle."""
    page.text(left, top, number(value, signed=True), 14)
    page.text(left + 150, top, name, 12, ha="right", color=QUIET)
    page.box(left, top + 16, 150, 8, VOID)
    size = value or 0.0
    side = EFFECTS["excitatory" if size > 0 else "inhibitory"]
    page.box(left + 75, top + 16, 75 * size / largest, 8, side)
    page.box(left + 75, top + 12, 1, 16, QUIET)
