"""The likeness of a unit: one drawing of what it is tuned to and of what it ignores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.report.figures.canvas import EFFECTS, INK, QUIET, RULE, VOID, Page
from convscope.text import number
from convscope.units import stimuli
from convscope.units.profile import Character

WIDTH, HEIGHT = 1400, 750
LEFTS = 40, 380, 720, 1060
TOPS = 120, 440
SIDE = 300
"""Units of a panel, square but for its words."""

LINE, BAND, RADIUS = EFFECTS["inhibitory"], "#c9d6f2", 92

KINDS = {"mirror": "mirrored", "scale": "scaled", "shift": "shifted", "hue": "other hues",
         "contrast": "less contrast", "polarity": "negative"}  # fmt: skip


def character_figure(character: Character) -> np.ndarray:
    """Return what a unit is tuned to and ignores, uint8 `(1500, 2800, 3)`.

    Above are its responses by angle: to gratings, edges, arcs and hues, each as a share of the
    largest, with their mean vector; below those by spatial frequency and contrast, and what is left
    when exemplars are turned and otherwise moved.
    """
    page = Page(WIDTH, HEIGHT, scale=2)
    page.text(40, 44, f"What {character.unit} is tuned to, and what it ignores", 25, weight="bold")
    page.text(40, 76, _reference(character), 14, color=QUIET, fit=WIDTH - 80)
    for draw, (top, left) in zip(
        (_orientation, _edge, _arc, _hue, _frequency, _contrast, _rotation, _moves),
        ((top, left) for top in TOPS for left in LEFTS),
        strict=True,
    ):
        draw(page, character, left, top)
    return page.array()


def _reference(character: Character) -> str:
    size = f"stimuli of {character.size[0]} x {character.size[1]} pixels, what one position sees"
    if character.natural is None:
        return f"{size}; responses above that to mid-grey"
    return (
        f"{size}; responses above that to mid-grey, as shares of the mean on its exemplars, "
        f"{number(character.natural)}"
    )


def _head(page: Page, left: float, top: float, title: str, words: str) -> None:
    page.text(left, top, title, 15, weight="bold", fit=SIDE)
    page.text(left, top + 22, words, 12, color=QUIET, fit=SIDE)


def _top(character: Character, response: float) -> str:
    """Return the largest response, as a share of that to exemplars where that is known."""
    if character.natural:
        return f"{100 * response / character.natural:.0f} % of exemplars"
    return f"largest {number(response)}"


def _share(character: Character, name: str) -> str:
    """Return the percentile of a measure, to be put behind its value."""
    found = character.percentile(name)
    return "" if found is None else f" (more than {found:.0f} % of filters)"


def _polar(
    page: Page,
    left: float,
    top: float,
    angles: np.ndarray,
    responses: np.ndarray,
    best: float | None,
    length: float | None,
    degrees: bool = True,
) -> None:
    """Draw responses around a circle whose rim is the largest, and their mean vector."""
    across, down = left + SIDE / 2, top + 160
    ring = np.linspace(0, 2 * np.pi, 121)
    for part in (0.5, 1.0):
        x, y = across + part * RADIUS * np.cos(ring), down - part * RADIUS * np.sin(ring)
        page.axes.plot(x, y, color=RULE, linewidth=0.72)
    for turn in range(0, 360, 90):
        x, y = np.cos(np.radians(turn)), -np.sin(np.radians(turn))
        page.axes.plot(
            [across, across + RADIUS * x], [down, down + RADIUS * y], color=VOID, lw=0.72
        )
        if degrees:
            words, away = f"{turn}\N{DEGREE SIGN}", (RADIUS + 18, RADIUS + 13)
            place = across + away[0] * x, down + away[1] * y
            page.text(*place, words, 11, ha="center", color=QUIET)
    if responses.max() <= 0:
        page.text(across, down, "no response", 13, ha="center", color=QUIET)
        return
    far = RADIUS * responses / responses.max()
    x, y = across + far * np.cos(np.radians(angles)), down - far * np.sin(np.radians(angles))
    page.axes.fill(x, y, facecolor=BAND, edgecolor=LINE, linewidth=1.4, alpha=0.9, zorder=3)
    if best is not None:
        far = np.array([0, RADIUS * (length or 0.0)])
        x, y = across + far * np.cos(np.radians(best)), down - far * np.sin(np.radians(best))
        page.axes.plot(x, y, color=EFFECTS["excitatory"], linewidth=1.6, zorder=4)


def _orientation(page: Page, character: Character, left: float, top: float) -> None:
    curve, angles = character.curve("orientation"), character.tuning.axes["grating"]["orientation"]
    osi, best = character.measure("osi"), character.measure("orientation")
    words = "no grating excites it"
    if osi is not None:
        words = f"OSI {osi:.2f}{_share(character, 'osi')}; {_top(character, curve.max())}"
    _head(page, left, top, "Orientation of bars", words)
    whole = np.concatenate([angles, angles + 180])
    _polar(page, left, top, whole, np.tile(curve, 2), best, osi)


def _edge(page: Page, character: Character, left: float, top: float) -> None:
    curve, size = character.curve("edge"), character.measure("polarity")
    words = "no edge excites it"
    if size is not None:
        words = f"mean vector {size:.2f}; {_top(character, curve.max())}"
    _head(page, left, top, "Edges, by their bright side", words)
    angles = character.tuning.axes["edge"]["angle"]
    _polar(page, left, top, angles, curve, character.measure("edge"), size)


def _arc(page: Page, character: Character, left: float, top: float) -> None:
    curve, index = character.curve("arc"), character.measure("curve")
    words = "neither arcs nor lines excite it"
    if index is not None:
        against = f"index against lines {index:+.2f}".replace("-", "\N{MINUS SIGN}")
        words = f"{against}; {_top(character, curve.max())}"
    _head(page, left, top, "Arcs, by the side they open to", words)
    angles = character.tuning.axes["arc"]["angle"]
    _polar(
        page,
        left,
        top,
        angles,
        curve,
        character.measure("curve_angle"),
        character.measure("curve_r"),
    )


def _hue(page: Page, character: Character, left: float, top: float) -> None:
    curve, index = character.curve("hue"), character.measure("colour")
    angles = character.tuning.axes["hue"]["angle"]
    words = "neither hues nor greys excite it"
    if index is not None:
        against = f"index against greys {index:+.2f}".replace("-", "\N{MINUS SIGN}")
        words = f"{against}; {_top(character, curve.max())}"
    _head(page, left, top, "Hues at the same luma", words)
    across, down, step = left + SIDE / 2, top + 160, angles[1] - angles[0]
    for angle, colour in zip(angles, stimuli.rgb(angles), strict=True):
        edge = np.radians(angle + step * np.array([-0.5, 0.5]))
        rim = [
            (r, t) for r, t in ((RADIUS + 2, 0), (RADIUS + 9, 0), (RADIUS + 9, 1), (RADIUS + 2, 1))
        ]
        points = [(across + r * np.cos(edge[t]), down - r * np.sin(edge[t])) for r, t in rim]
        page.shape(points, "#" + "".join(f"{round(255 * part):02x}" for part in colour))
    _polar(
        page,
        left,
        top,
        angles,
        curve,
        character.measure("hue"),
        character.measure("hue_r"),
        degrees=False,
    )


def _axes(
    page: Page, left: float, top: float, ticks: Sequence[tuple[float, str]], highest: float
) -> tuple[float, float, float, float]:
    """Draw a frame with ticks at shares of its width, and return it: left, top, width, height."""
    x, y, wide, tall = left + 34, top + 46, SIDE - 44, 200
    page.box(x, y + tall, wide, 1, QUIET)
    for share, words in ((0.0, "0"), (0.5, f"{highest / 2:.3g}"), (1.0, f"{highest:.3g}")):
        height = y + tall * (1 - share)
        page.box(x, height, wide, 0.7, RULE)
        page.text(x - 6, height, words, 11, ha="right", color=QUIET)
    for share, words in ticks:
        page.text(x + share * wide, y + tall + 14, words, 11, ha="center", color=QUIET)
    return x, y, wide, tall


def _line(
    page: Page,
    frame: tuple[float, float, float, float],
    across: np.ndarray,
    values: np.ndarray,
    highest: float,
) -> None:
    x, y, wide, tall = frame
    down = y + tall * (1 - np.clip(values / highest, 0, 1))
    page.axes.plot(x + wide * across, down, color=LINE, linewidth=1.6, marker="o", markersize=2.6)


def _scaled(character: Character, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return responses as shares of that to exemplars, if known, and where the axis ends."""
    shares = values / (character.natural or 1.0)
    return shares, float(max(shares.max(), 1.0 if character.natural else 1e-9))


def _frequency(page: Page, character: Character, left: float, top: float) -> None:
    best, octaves = character.measure("frequency"), character.measure("bandwidth")
    words = "no grating excites it"
    if best is not None:
        words = f"best {best:.3f} cycles per pixel"
        words += f", {octaves:.1f} octaves" if octaves is not None else ", bandwidth not told"
    _head(page, left, top, "Spatial frequency", words)
    paces = character.tuning.axes["grating"]["frequency"]
    shares, highest = _scaled(character, character.curve("frequency"))
    across = np.log(paces / paces[0]) / np.log(paces[-1] / paces[0])
    middle = len(paces) // 2
    ticks = [(float(across[at]), f"{paces[at]:.3f}") for at in (0, middle, len(paces) - 1)]
    _line(page, _axes(page, left, top, ticks, highest), across, shares, highest)


def _contrast(page: Page, character: Character, left: float, top: float) -> None:
    half, ratio = character.half_contrast, character.measure("modulation")
    words = "no grating excites it"
    if half is not None and ratio is not None:
        words = f"half at {half:.2f}; F1/F0 {ratio:.2f}"
    _head(page, left, top, "Contrast of its best grating", words)
    shares, highest = _scaled(character, character.contrast)
    frame = _axes(page, left, top, [(0, "0"), (0.5, "0.5"), (1, "1")], highest)
    _line(page, frame, character.contrasts, shares, highest)


def _rotation(page: Page, character: Character, left: float, top: float) -> None:
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
    highest = max(1.0, float(high.max()))
    ticks = [(0.0, "\N{MINUS SIGN}180°"), (0.5, "0°"), (1.0, "180°")]
    frame = _axes(page, left, top, ticks, highest)
    x, y, wide, tall = frame
    across = (angles + 180) / 360
    rim = [y + tall * (1 - side / highest) for side in (low, high)]
    page.axes.fill_between(x + wide * across, *rim, color=BAND, linewidth=0)
    _line(page, frame, across, shares, highest)


def _moves(page: Page, character: Character, left: float, top: float) -> None:
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
