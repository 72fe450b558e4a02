"""What all filters of a layer are tuned to, from one pass of drawn stimuli.

A response is how far the rectified preactivation rises above that to mid-grey, never below zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from convscope.stats import circular
from convscope.units import stimuli
from convscope.units.stimuli import Size, Stimuli

Respond = Callable[[np.ndarray], np.ndarray]
"""images `(count, height, width, 3)` in [0, 1] -> preactivations `(count, filters)`."""

Responses = Mapping[str, np.ndarray]
Axes = Mapping[str, Mapping[str, np.ndarray]]
Found = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
"""Curves and measures; see `Tuning`."""

SMALL = 48
"""Pixels of a side up to which the fine battery takes seconds on two cores."""

ECHO = 36.0
"""Degrees around the opposite direction in which a second peak is an echo (Cammarata et al.)."""


@dataclass(frozen=True)
class Battery:
    """How finely stimuli are sampled.

    Attributes:
        orientations: of gratings and lines over 180 degrees.
        frequencies: of gratings, in even steps of the logarithm.
        phases: of gratings over 360 degrees.
        edges: directions of straight edges over 360 degrees.
        radii: of arcs and of disks, in shares of the side; the latter take one more, infinite.
    """

    orientations: int
    frequencies: int
    phases: int
    edges: int
    radii: tuple[float, ...]


FINE = Battery(24, 8, 8, 48, (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2))
COARSE = Battery(12, 6, 4, 24, (1 / 8, 1 / 4, 1 / 2))

TURNS = 24
"""Directions of arcs, corners and pairs, and hues: a step is 15 degrees."""


def battery(size: Size) -> Battery:
    """Return the battery for images of a size: the finer one, where it takes few seconds."""
    return FINE if min(size) <= SMALL else COARSE


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
    sets: Responses
    axes: Axes
    curves: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]

    def percentile(self, name: str, filter: int) -> float | None:
        """Return how many of 100 other filters of the layer have less of something."""
        return percentile(self.measures[name], filter)


def percentile(values: np.ndarray, filter: int) -> float | None:
    """Return how many of 100 others lie below one of some values; ties count half, NaN not."""
    others = np.delete(values, filter)
    others = others[np.isfinite(others)]
    if not len(others) or not np.isfinite(values[filter]):
        return None
    below, level = np.sum(others < values[filter]), np.sum(others == values[filter])
    return float(100 * (below + level / 2) / len(others))


def kinds(size: Size, how: Battery) -> Iterator[tuple[str, Stimuli]]:
    """Yield the stimuli of a battery by kind."""
    side, both = min(size), (1, -1)
    half = np.linspace(0, 180, how.orientations, endpoint=False)
    whole = np.linspace(0, 360, TURNS, endpoint=False)
    phases = np.linspace(0, 360, how.phases, endpoint=False)
    radii = side * np.asarray(how.radii)
    paces = stimuli.frequencies(size, how.frequencies)
    yield "grating", stimuli.gratings(size, half, paces, phases)
    yield "edge", stimuli.edges(size, np.linspace(0, 360, how.edges, endpoint=False))
    yield "arc", stimuli.arcs(size, radii[radii >= 1.5], whole, both)
    yield "line", stimuli.lines(size, half, both)
    yield "corner", stimuli.corners(size, whole, both)
    yield "pair", stimuli.pairs(size, whole)
    yield "texture", stimuli.textures(size, np.linspace(0, 360, 8, endpoint=False))
    yield "hue", stimuli.hues(size, whole)
    yield "grey", stimuli.greys(size)
    yield "disk", stimuli.disks(size, np.append(radii, np.inf), both)
    yield "noise", stimuli.noises(size, 4)


def measure(respond: Respond, size: Size, how: Battery | None = None) -> Tuning:
    """Return what all filters of a layer are tuned to.

    Args:
        respond: what one position of the layer answers.
        size: of the images that it takes.
        how: how finely; None decides by the size.
    """
    nothing = respond(stimuli.blank(size).images)[0]
    sets: dict[str, np.ndarray] = {}
    axes: dict[str, dict[str, np.ndarray]] = {}
    for kind, shown in kinds(size, how or battery(size)):
        found = rise(respond(shown.images), nothing)
        sets[kind] = found.reshape(*shown.shape, -1)
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
    respond: Respond, tuning: Tuning, filter: int, levels: int = 8
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return contrasts, the responses of one filter to its best grating at them, and its c50.

    The c50 is the contrast of half the response to full contrast, between the levels that lie
    around it; None for a filter that no grating excites.

    Source: Albrecht and Hamilton, "Striate cortex of monkey and cat", 1982.
    """
    contrasts = np.linspace(0, 1, levels + 1)
    best = np.unravel_index(
        tuning.sets["grating"][..., filter].argmax(), tuning.sets["grating"].shape[:-1]
    )
    given = tuning.axes["grating"]
    turn, pace, phase = (
        given[name][[at]]
        for name, at in zip(("orientation", "frequency", "phase"), best[:3], strict=True)
    )
    shown = stimuli.gratings(tuning.size, turn, pace, phase, list(contrasts))
    found = rise(respond(shown.images), tuning.blank)[:, filter]
    if found[-1] <= 0:
        return contrasts, found, None
    above = int(np.argmax(found >= found[-1] / 2))
    low, high = found[above - 1], found[above]
    share = (found[-1] / 2 - low) / (high - low)
    return (
        contrasts,
        found,
        float(contrasts[above - 1] + share * (contrasts[above] - contrasts[above - 1])),
    )


# Measures


def _gratings(sets: Responses, axes: Axes) -> Found:
    """Measure orientation, spatial frequency and phase."""
    found, given = sets["grating"][..., 0, :], axes["grating"]
    means = found.mean(axis=2)  # (orientations, frequencies, filters)
    filters = np.arange(means.shape[-1])
    turn, pace = _best(means, 2)
    curve, paces = means[:, pace, filters], means[turn, :, filters].T
    phases = found[turn, pace, :, filters].T
    wave = np.tensordot(np.exp(1j * np.radians(given["phase"])), phases, axes=(0, 0))
    mean, alive = circular.resultant(curve, given["orientation"], 2), means.max(axis=(0, 1)) > 0
    return {"orientation": curve, "frequency": paces, "phase": phases}, {
        "osi": np.where(alive, np.abs(mean), np.nan),
        "orientation": circular.direction(mean, 2),
        "half_width": np.array([_half_width(one, given["orientation"]) for one in curve.T]),
        "frequency": np.where(alive, given["frequency"][pace], np.nan),
        "bandwidth": np.array([_bandwidth(one, given["frequency"]) for one in paces.T]),
        "modulation": _over(2 * np.abs(wave), phases.sum(axis=0)),
        "grating": found.max(axis=(0, 1, 2)),
    }


def _edges(sets: Responses, axes: Axes) -> Found:
    """Measure which way across an edge it must become brighter, and how edges must lie."""
    curve, angles = sets["edge"], axes["edge"]["angle"]
    mean, axis = circular.resultant(curve, angles), circular.resultant(curve, angles, 2)
    alive = curve.max(axis=0) > 0
    return {"edge": curve}, {
        "polarity": np.where(alive, np.abs(mean), np.nan),
        "edge": circular.direction(mean),
        "edge_axis": np.where(alive, np.abs(axis), np.nan),
        "edge_orientation": circular.direction(axis * np.exp(1j * np.pi), 2),
    }


def _curves(sets: Responses, axes: Axes) -> Found:
    """Measure curves against lines, and corners against both."""
    arcs, angles, corners = sets["arc"], axes["arc"]["angle"], sets["corner"]
    radius, _, sign = _best(arcs, 3)
    curve = arcs[radius, :, sign, np.arange(arcs.shape[-1])].T
    mean, best = circular.resultant(curve, angles), curve.max(axis=0)
    far = circular.apart(angles[:, None], angles[curve.argmax(axis=0)])
    echo = np.where(far >= 180 - ECHO, curve, 0).max(axis=0)
    line = sets["line"].max(axis=(0, 1))
    curves = {"arc": curve, "radius": arcs.max(axis=(1, 2)), "corner": corners.max(axis=1)}
    return curves, {
        "curve": index(best, line),
        "curve_r": np.where(best > 0, np.abs(mean), np.nan),
        "curve_angle": circular.direction(mean),
        "curve_radius": np.where(best > 0, axes["arc"]["radius"][radius], np.nan),
        "echo": _over(echo, best),
        "corner": index(corners.max(axis=(0, 1)), np.maximum(best, line)),
    }


def _pairs(sets: Responses, axes: Axes) -> Found:
    """Measure fast beside slow textures against either alone, and 1/f noise against white."""
    curve, noise = sets["pair"], sets["noise"].mean(axis=1)
    return {"pair": curve}, {
        "high_low": index(curve.max(axis=0), sets["texture"].max(axis=(0, 1))),
        "high_low_angle": circular.direction(circular.resultant(curve, axes["pair"]["angle"])),
        "natural": index(noise[1], noise[0]),
    }


def _colours(sets: Responses, axes: Axes) -> Found:
    """Measure hues against greys."""
    hues = sets["hue"]
    radius, _ = _best(hues, 2)
    curve = hues[radius, :, np.arange(hues.shape[-1])].T
    mean, best = circular.resultant(curve, axes["hue"]["angle"]), curve.max(axis=0)
    return {"hue": curve}, {
        "colour": index(best, sets["grey"].max(axis=(0, 1))),
        "hue_r": np.where(best > 0, np.abs(mean), np.nan),
        "hue": circular.direction(mean),
    }


def _sizes(sets: Responses, axes: Axes) -> Found:
    """Measure how much a disk that grows beyond the best size takes away."""
    disks = sets["disk"]
    sign = disks.max(axis=0).argmax(axis=0)
    curve = disks[:, sign, np.arange(disks.shape[-1])]
    best, at = curve.max(axis=0), curve.argmax(axis=0)
    return {"disk": curve}, {
        "suppression": 1 - _over(curve[-1], best),
        "disk_radius": np.where(best > 0, axes["disk"]["radius"][at], np.nan),
    }


# Pieces


def _best(responses: np.ndarray, axes: int) -> tuple[np.ndarray, ...]:
    """Return where each filter responds most, along the first `axes` axes, each `(filters,)`."""
    shape = responses.shape[:axes]
    return np.unravel_index(responses.reshape(-1, responses.shape[-1]).argmax(axis=0), shape)


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
