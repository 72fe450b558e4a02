"""What all filters of a layer are tuned to, from one pass of drawn stimuli.

A response is how far the rectified preactivation rises above that to mid-grey, never below zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from convscope.stats import circular
from convscope.units import stimuli
from convscope.units.stimuli import GREY, Size

Respond = Callable[[np.ndarray], np.ndarray]
"""images `(count, height, width, 3)` in [0, 1] -> preactivations `(count, filters)`."""

Values = Mapping[str, np.ndarray]
Axes = Mapping[str, Values]

ECHO = 36.0
"""Degrees around the opposite direction in which a second peak is an echo (Cammarata et al.)."""


@dataclass(frozen=True)
class Tuning:
    """Responses of all filters of a layer, as curves and as numbers.

    Attributes:
        size: of the stimuli.
        blank: preactivation of mid-grey `(filters,)`.
        sets: {kind of stimuli: responses `(..., filters)`, with the axes of the stimuli before}.
        axes: {kind: {parameter: its values}}.
        curves: {name: what a filter does along its preferred other parameters `(..., filters)`}.
        measures: {name: a number for each filter `(filters,)`; NaN where it has none}.
    """

    size: Size
    blank: np.ndarray
    sets: Values
    axes: Axes
    curves: Values
    measures: Values


def percentile(values: np.ndarray, filter: int) -> float | None:
    """Return how many of 100 others lie below one of some values; ties count half, NaN not."""
    others = np.delete(values, filter)
    others = others[np.isfinite(others)]
    if not len(others) or not np.isfinite(values[filter]):
        return None
    below, level = np.sum(others < values[filter]), np.sum(others == values[filter])
    return float(100 * (below + level / 2) / len(others))


def measure(respond: Respond, size: Size) -> Tuning:
    """Return what all filters of a layer are tuned to.

    Args:
        respond: what one position of the layer answers.
        size: of the images that it takes.
    """
    nothing = respond(np.full((1, *size, 3), GREY, np.float32))[0]
    sets, axes = {}, {}
    for kind, shown in stimuli.battery(size):
        shape = [len(axis) for axis in shown.axes.values()]
        sets[kind] = rise(respond(shown.images), nothing).reshape(*shape, -1)
        axes[kind] = shown.axes
    curves: dict[str, np.ndarray] = {}
    measures: dict[str, np.ndarray] = {}
    for part in (_gratings, _edges, _curves, _pairs, _colours, _sizes):
        drawn, counted = part(sets, axes)
        curves |= drawn
        measures |= counted
    return Tuning(size, nothing, sets, axes, curves, measures)


def rise(values: np.ndarray, nothing: np.ndarray) -> np.ndarray:
    """Return how far rectified preactivations rise above that to mid-grey, float64, from 0."""
    base = np.maximum(nothing.astype(np.float64), 0)
    return np.maximum(np.maximum(values.astype(np.float64), 0) - base, 0)


def index(more: np.ndarray, less: np.ndarray) -> np.ndarray:
    """Return (more - less) / (more + less), from -1 to 1; NaN where both are zero."""
    total = more + less
    return np.divide(more - less, total, out=np.full_like(total, np.nan), where=total > 0)


def contrast(
    respond: Respond, tuning: Tuning, filter: int
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return contrasts, the responses of one filter to its best grating at them, and its c50.

    The c50 is the contrast of half the response to full contrast, between the levels that lie
    around it; None for a filter that no grating excites.

    Source: Albrecht and Hamilton, "Striate cortex of monkey and cat", 1982.
    """
    contrasts = np.linspace(0, 1, 9)
    responses = tuning.sets["grating"][..., filter]
    best = np.unravel_index(responses.argmax(), responses.shape)[:3]
    values = list(tuning.axes["grating"].values())[:3]
    turn, pace, phase = (axis[[at]] for axis, at in zip(values, best, strict=True))
    shown = stimuli.gratings(tuning.size, turn, pace, phase, contrasts.tolist())
    found = rise(respond(shown.images), tuning.blank)[:, filter]
    if found[-1] <= 0:
        return contrasts, found, None
    above = int(np.argmax(found >= found[-1] / 2))
    around = slice(above - 1, above + 1)
    return contrasts, found, float(np.interp(found[-1] / 2, found[around], contrasts[around]))


# Measures


Found = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
"""Curves and measures; see `Tuning`."""


def _gratings(sets: Values, axes: Axes) -> Found:
    """Measure orientation, spatial frequency and phase."""
    found, given = sets["grating"][..., 0, :], axes["grating"]
    means = found.mean(axis=2)  # (orientations, frequencies, filters)
    filters = np.arange(means.shape[-1])
    turn, pace = _best(means, 2)
    curve, paces = means[:, pace, filters], means[turn, :, filters].T
    phases = found[turn, pace, :, filters].T
    wave = np.tensordot(np.exp(1j * np.radians(given["phase"])), phases, axes=(0, 0))
    osi, orientation = _vector(curve, given["orientation"], 2)
    return {"orientation": curve, "frequency": paces, "phase": phases}, {
        "osi": osi,
        "orientation": orientation,
        "half_width": np.array([_half_width(one, given["orientation"]) for one in curve.T]),
        "frequency": np.where(np.isnan(osi), np.nan, given["frequency"][pace]),
        "bandwidth": np.array([_bandwidth(one, given["frequency"]) for one in paces.T]),
        "modulation": _over(2 * np.abs(wave), phases.sum(axis=0)),
    }


def _edges(sets: Values, axes: Axes) -> Found:
    """Measure which way across an edge it must become brighter, and how edges must lie."""
    curve, angles = sets["edge"], axes["edge"]["angle"]
    polarity, edge = _vector(curve, angles)
    axis, _ = _vector(curve, angles, 2)
    across = circular.resultant(curve, angles, 2)
    return {"edge": curve}, {
        "polarity": polarity,
        "edge": edge,
        "edge_axis": axis,
        "edge_orientation": circular.direction(across * np.exp(1j * np.pi), 2),
    }


def _curves(sets: Values, axes: Axes) -> Found:
    """Measure curves against lines, and corners against both."""
    arcs, angles, corners = sets["arc"], axes["arc"]["angle"], sets["corner"]
    radius, _, sign = _best(arcs, 3)
    curve = arcs[radius, :, sign, np.arange(arcs.shape[-1])].T
    length, direction = _vector(curve, angles)
    best, line = curve.max(axis=0), sets["line"].max(axis=(0, 1))
    far = circular.apart(angles[:, None], angles[curve.argmax(axis=0)])
    echo = np.where(far >= 180 - ECHO, curve, 0).max(axis=0)
    return {"arc": curve}, {
        "curve": index(best, line),
        "curve_r": length,
        "curve_angle": direction,
        "echo": _over(echo, best),
        "corner": index(corners.max(axis=(0, 1)), np.maximum(best, line)),
    }


def _pairs(sets: Values, axes: Axes) -> Found:
    """Measure fast beside slow textures against either alone."""
    alone = sets["texture"].max(axis=(0, 1))
    return {}, {"high_low": index(sets["pair"].max(axis=0), alone)}


def _colours(sets: Values, axes: Axes) -> Found:
    """Measure hues against greys."""
    hues = sets["hue"]
    radius, _ = _best(hues, 2)
    curve = hues[radius, :, np.arange(hues.shape[-1])].T
    length, direction = _vector(curve, axes["hue"]["angle"])
    colour = index(curve.max(axis=0), sets["grey"].max(axis=(0, 1)))
    return {"hue": curve}, {"colour": colour, "hue_r": length, "hue": direction}


def _sizes(sets: Values, axes: Axes) -> Found:
    """Measure how much a disk that grows beyond the best size takes away."""
    disks = sets["disk"]
    sign = disks.max(axis=0).argmax(axis=0)
    curve = disks[:, sign, np.arange(disks.shape[-1])]
    return {}, {"suppression": 1 - _over(curve[-1], curve.max(axis=0))}


# Pieces


def _best(responses: np.ndarray, axes: int) -> tuple[np.ndarray, ...]:
    """Return where each filter responds most, along the first `axes` axes, each `(filters,)`."""
    shape = responses.shape[:axes]
    return np.unravel_index(responses.reshape(-1, responses.shape[-1]).argmax(axis=0), shape)


def _vector(curve: np.ndarray, angles: np.ndarray, turns: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return length and direction of tuning curves' mean vectors; NaN where nothing excites."""
    mean = circular.resultant(curve, angles, turns)
    length = np.where(curve.max(axis=0) > 0, np.abs(mean), np.nan)
    return length, circular.direction(mean, turns)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return a share; NaN of nothing."""
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _half_width(curve: np.ndarray, angles: np.ndarray) -> float:
    """Return half the width of an orientation's peak at half its height, in degrees, or NaN."""
    top, step = int(curve.argmax()), angles[1] - angles[0]
    if curve[top] <= 0:
        return np.nan
    sides = [_fall(np.roll(curve, -top)[: len(curve) // 2 + 1])]
    sides.append(_fall(np.roll(curve[::-1], top + 1)[: len(curve) // 2 + 1]))
    return float(np.mean(sides) * step)


def _bandwidth(curve: np.ndarray, paces: np.ndarray) -> float:
    """Return octaves between the half heights around the best frequency, or NaN."""
    if curve.max() <= 0:
        return np.nan
    top = int(curve.argmax())
    up, down = _fall(curve[top:]), _fall(curve[: top + 1][::-1])
    return float((up + down) * np.log2(paces[1] / paces[0]))


def _fall(curve: np.ndarray) -> float:
    """Return after how many steps a curve has fallen to half its beginning; NaN: not at all."""
    below = np.flatnonzero(curve <= curve[0] / 2)
    if not len(below):
        return np.nan
    at = int(below[0])
    return float(at - 1 + (curve[at - 1] - curve[0] / 2) / (curve[at - 1] - curve[at]))
