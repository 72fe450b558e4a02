"""Tuning and invariance of a unit in one figure: what it is tuned to, and what it ignores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from convscope.report.figures.canvas import EFFECTS, INK, QUIET, RULE, VOID, Page
from convscope.text import number
from convscope.units import stimuli
from convscope.units.profile import Profile

WIDTH, HEIGHT = 1400, 750
LEFTS = 40, 380, 720, 1060
TOPS = 120, 440
SIDE = 300
"""Units of a panel, square but for its words."""

LINE, BAND, RADIUS = EFFECTS["inhibitory"], "#c9d6f2", 92

KINDS = {"mirror": "mirrored", "scale": "scaled", "shift": "shifted", "hue": "other hues",
         "contrast": "less contrast", "polarity": "negative"}  # fmt: skip


class Angular(NamedTuple):
    """A curve of responses by angle, and how its panel speaks of it."""

    title: str
    curve: str  # its name among the tuning's curves
    axis: tuple[str, str]  # the stimulus and its quantity
    measure: str  # the measure that is told
    words: str  # for the measure, and where it is among other units' if that is told
    nothing: str  # the words where there is no measure
    vector: tuple[str, str]  # the measures that give direction and length of the mean vector


ANGULAR = (
    Angular("Orientation of bars", "orientation", ("grating", "orientation"), "osi",
            "OSI {:.2f}{}", "no grating excites it", ("orientation", "osi")),
    Angular("Edges, by their bright side", "edge", ("edge", "angle"), "polarity",
            "mean vector {:.2f}", "no edge excites it", ("edge", "polarity")),
    Angular("Arcs, by the side they open to", "arc", ("arc", "angle"), "curve",
            "index against lines {:+.2f}", "neither arcs nor lines excite it",
            ("curve_angle", "curve_r")),
    Angular("Hues at the same luma", "hue", ("hue", "angle"), "colour",
            "index against greys {:+.2f}", "neither hues nor greys excite it", ("hue", "hue_r")),
)  # fmt: skip


def tuning_figure(character: Profile) -> np.ndarray:
    """Return what a unit is tuned to and ignores, uint8 `(1500, 2800, 3)`.

    Above are its responses by angle: to gratings, edges, arcs and hues, each as a share of the
    largest, with their mean vector; below those by spatial frequency and contrast, and what is left
    when exemplars are turned and otherwise moved.
    """
    page = Page(WIDTH, HEIGHT, scale=2)
    page.text(40, 44, f"What {character.unit} is tuned to, and what it ignores", 25, weight="bold")
    words = f"stimuli of {character.size[0]} x {character.size[1]} pixels, what one position sees"
    words += "; responses above that to mid-grey"
    if character.natural is not None:
        words += f", as shares of the mean on its exemplars, {number(character.natural)}"
    page.text(40, 76, words, 14, color=QUIET, fit=WIDTH - 80)
    for angular, left in zip(ANGULAR, LEFTS, strict=True):
        _polar(page, character, angular, left, TOPS[0])
    for draw, left in zip((_frequency, _contrast, _rotation, _moves), LEFTS, strict=True):
        draw(page, character, left, TOPS[1])
    return page.array()


def _head(page: Page, left: float, top: float, title: str, words: str) -> None:
    page.text(left, top, title, 15, weight="bold", fit=SIDE)
    page.text(left, top + 22, words, 12, color=QUIET, fit=SIDE)


def _polar(page: Page, character: Profile, angular: Angular, left: float, top: float) -> None:
    """Draw responses around a circle whose rim is the largest, and their mean vector."""
    index, responses = character.measure(angular.measure), character.curve(angular.curve)
    stimulus, quantity = angular.axis
    angles, words = character.tuning.axes[stimulus][quantity], angular.nothing
    if index is not None:
        found = character.percentile(angular.measure)
        among = "" if found is None else f" (more than {found:.0f} % of filters)"
        words = angular.words.format(index, among).replace("-", "\N{MINUS SIGN}")
        if character.natural:
            words += f"; {100 * responses.max() / character.natural:.0f} % of exemplars"
        else:
            words += f"; largest {number(responses.max())}"
    _head(page, left, top, angular.title, words)

    def ring(radius: float | np.ndarray, angles: float | np.ndarray) -> tuple[Any, Any]:
        turn = np.radians(angles)
        return left + SIDE / 2 + radius * np.cos(turn), top + 160 - radius * np.sin(turn)

    if angular.curve == "hue":
        reach = (angles[1] - angles[0]) / 2
        for angle, colour in zip(angles, stimuli.rgb(angles), strict=True):
            sides = np.array([angle - reach, angle - reach, angle + reach, angle + reach])
            rim = ring(RADIUS + np.array([2, 9, 9, 2]), sides)
            shade = "#" + "".join(f"{round(255 * part):02x}" for part in colour)
            page.shape(zip(*rim, strict=True), shade)
    for part in (0.5, 1.0):
        page.axes.plot(*ring(part * RADIUS, np.linspace(0, 360, 121)), color=RULE, linewidth=0.72)
    for turn in range(0, 360, 90):
        page.axes.plot(*ring(np.array([0, RADIUS]), turn), color=VOID, lw=0.72)
        if angular.curve != "hue":
            away = RADIUS + (18 if turn % 180 == 0 else 13)
            page.text(*ring(away, turn), f"{turn}\N{DEGREE SIGN}", 11, ha="center", color=QUIET)
    if responses.max() <= 0:
        page.text(left + SIDE / 2, top + 160, "no response", 13, ha="center", color=QUIET)
        return
    if angular.curve == "orientation":
        angles, responses = np.concatenate([angles, angles + 180]), np.tile(responses, 2)
    shape = ring(RADIUS * responses / responses.max(), angles)
    page.axes.fill(*shape, facecolor=BAND, edgecolor=LINE, linewidth=1.4, alpha=0.9, zorder=3)
    best, length = map(character.measure, angular.vector)
    if best is not None:
        vector = ring(np.array([0, RADIUS * (length or 0.0)]), best)
        page.axes.plot(*vector, color=EFFECTS["excitatory"], linewidth=1.6, zorder=4)


def _line(
    page: Page,
    corner: tuple[float, float],
    ticks: Sequence[tuple[float, str]],
    across: np.ndarray,
    values: np.ndarray,
    natural: float | None = 1.0,
    band: Sequence[np.ndarray] = (),
) -> None:
    """Draw values over shares of the width, in a frame.

    Args:
        page: what is drawn on.
        corner: left and top of the panel.
        ticks: shares of the width, with words.
        across: where the values lie, as shares of the width.
        values: from 0.
        natural: the response to exemplars, of which values are drawn as shares where it is known.
        band: lower and upper ends of the values' intervals.
    """
    x, y, wide, tall = corner[0] + 34, corner[1] + 46, SIDE - 44, 200
    values = values / (natural or 1.0)
    highest = max(1.0 if natural else 1e-9, *(float(each.max()) for each in (values, *band)))
    page.box(x, y + tall, wide, 1, QUIET)
    for share, words in ((0.0, "0"), (0.5, f"{highest / 2:.3g}"), (1.0, f"{highest:.3g}")):
        height = y + tall * (1 - share)
        page.box(x, height, wide, 0.7, RULE)
        page.text(x - 6, height, words, 11, ha="right", color=QUIET)
    for share, words in ticks:
        page.text(x + share * wide, y + tall + 14, words, 11, ha="center", color=QUIET)
    if band:
        low, high = (y + tall * (1 - side / highest) for side in band)
        page.axes.fill_between(x + wide * across, low, high, color=BAND, linewidth=0)
    down = y + tall * (1 - np.clip(values / highest, 0, 1))
    page.axes.plot(x + wide * across, down, color=LINE, linewidth=1.6, marker="o", markersize=2.6)


def _frequency(page: Page, character: Profile, left: float, top: float) -> None:
    best, octaves = character.measure("frequency"), character.measure("bandwidth")
    words = "no grating excites it"
    if best is not None:
        words = f"best {best:.3f} cycles per pixel"
        words += f", {octaves:.1f} octaves" if octaves is not None else ", bandwidth not told"
    _head(page, left, top, "Spatial frequency", words)
    paces = character.tuning.axes["grating"]["frequency"]
    across = np.log(paces / paces[0]) / np.log(paces[-1] / paces[0])
    ticks = [(float(across[at]), f"{paces[at]:.3f}") for at in (0, len(paces) // 2, -1)]
    _line(page, (left, top), ticks, across, character.curve("frequency"), character.natural)


def _contrast(page: Page, character: Profile, left: float, top: float) -> None:
    half, ratio = character.half_contrast, character.measure("modulation")
    words = "no grating excites it"
    if half is not None and ratio is not None:
        words = f"half at {half:.2f}; F1/F0 {ratio:.2f}"
    _head(page, left, top, "Contrast of its best grating", words)
    ticks = [(0, "0"), (0.5, "0.5"), (1, "1")]
    contrasts, responses = character.contrasts, character.contrast
    _line(page, (left, top), ticks, contrasts, responses, character.natural)


def _rotation(page: Page, character: Profile, left: float, top: float) -> None:
    kept = character.invariance
    if kept is None:
        _head(page, left, top, "Exemplars turned", "not measured")
        return
    words = f"{kept.count} exemplars; half is left at "
    words += f"{kept.width:.0f} degrees" if kept.width is not None else "no angle asked"
    if kept.width_low is not None and kept.width_high is not None:
        words += f" ({kept.width_low:.0f} to {kept.width_high:.0f})"
    _head(page, left, top, "Exemplars turned", words)
    places = kept.of("rotation")
    rows = [(kept.moves[at].value, kept.shares[at], kept.low[at], kept.high[at]) for at in places]
    rows += [(0.0, 1.0, 1.0, 1.0), *((-180.0, *row[1:]) for row in rows if row[0] == 180)]
    angles, shares, low, high = np.array(sorted(rows)).T
    ticks = [(0.0, "\N{MINUS SIGN}180°"), (0.5, "0°"), (1.0, "180°")]
    _line(page, (left, top), ticks, (angles + 180) / 360, shares, band=(low, high))


def _moves(page: Page, character: Profile, left: float, top: float) -> None:
    kept = character.invariance
    if kept is None:
        _head(page, left, top, "Exemplars moved and recoloured", "not measured")
        return
    _head(page, left, top, "Exemplars moved and recoloured", "mean share left, 95 % of resamples")
    x, wide = left + 106, SIDE - 156
    for row, (kind, words) in enumerate(KINDS.items()):
        score, y = kept.scores[kind], top + 62 + 32 * row
        page.text(x - 10, y, words, 13, ha="right")
        page.box(x, y - 6, wide, 12, VOID)
        page.box(x, y - 6, wide * min(score.mean, 1), 12, LINE)
        ends = [x + wide * min(end, 1.0) for end in (score.mean_low, score.mean_high)]
        page.box(ends[0], y - 1, max(ends[1] - ends[0], 1), 2, INK)
        page.text(x + wide + 8, y, f"{score.mean:.2f}", 12, color=QUIET)
