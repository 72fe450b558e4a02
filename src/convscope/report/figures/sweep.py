"""Parallel coordinates: a scale for each quantity, and for each job a line through all of them.

After Inselberg, "The plane with parallel coordinates" (1985).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from convscope.report.figures.canvas import round_step
from convscope.tracking.multirun import numbers, spelled

DECADE = 10.0  # the least factor between smallest and largest value on a logarithmic scale
ZERO = 0.18  # where a logarithmic scale begins, if there are zeros: they stand below, at 0
APART = 0.055  # the least distance of two labels
FEW = 7  # so many different values label a scale themselves


@dataclass(frozen=True)
class Axis:
    """The scale of one quantity.

    Attributes:
        name: of the quantity.
        kind: "linear", "log" or "words".
        ticks: place from 0 to 1, and label.
        places: from 0 to 1 for each job; None where it has no value.
    """

    name: str
    kind: str
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float | None, ...]


def axis(name: str, values: Sequence[object], measured: bool = False) -> Axis:
    """Return the scale for the values of all jobs.

    Numbers that span decades lie on a logarithmic scale, zeros below it, if that brings their
    median nearer to the middle; what is no number gets a place for each different value, in the
    order given.

    Args:
        name: of the quantity.
        values: one for each job.
        measured: whether None means that there is no value, and the scale may begin and end beyond
            the values, at round numbers.
    """
    given = [value for value in values if not (measured and value is None)]
    if not given or not numbers(given):
        words = list(dict.fromkeys(json.dumps(value) for value in given))
        place = {word: _share(at, 0, len(words) - 1) for at, word in enumerate(words)}
        ticks = [(at, spelled(json.loads(word))) for word, at in place.items()]
        found = (None if measured and v is None else place[json.dumps(v)] for v in values)
        return Axis(name, "words", _thinned(ticks), tuple(found))
    points = sorted({float(value) for value in given})  # type: ignore[arg-type]
    above = [point for point in points if point > 0]
    log = points[0] >= 0 and _spread(above)
    if len(points) <= FEW and not measured:
        marks = points
    elif log:
        marks = _decades(points[0] == 0, above[0], above[-1])
    elif points[0] == points[-1]:
        marks = points[:1]
    else:  # round numbers, from at most the lowest to at least the highest value
        step = round_step((points[-1] - points[0]) / 4, (1, 2, 2.5, 5, 10))
        first, last = math.floor(points[0] / step + 1e-9), math.ceil(points[-1] / step - 1e-9)
        marks = [step * number for number in range(first, last + 1)]
    ends = [*marks, *points] if measured and not log else points
    low, high = min(ends), max(ends)
    start = ZERO if points[0] == 0 else 0.0

    def place_of(value: float) -> float:
        if not log:
            return _share(value, low, high)
        if value == 0:
            return 0.0
        return start + (1 - start) * _share(math.log(value), math.log(above[0]), math.log(high))

    places = (None if v is None else place_of(float(v)) for v in values)  # type: ignore[arg-type]
    ticks = [(place_of(mark), spelled(_short(mark))) for mark in marks if low <= mark <= high]
    return Axis(name, "log" if log else "linear", _thinned(ticks), tuple(places))


def line(places: Sequence[float | None], width: float, height: float, upright: bool) -> str:
    """Return the path of one job through its places, for SVG.

    Args:
        places: on each axis; the line ends before the first without one.
        width: of the drawing; its upright axes stand evenly from left to right.
        height: of the drawing; its level axes lie evenly from top to bottom.
        upright: whether axes are upright, with 1 at the top, or level, with 1 at the right.
    """
    points: list[tuple[float, float]] = []
    for number, place in enumerate(places):
        if place is None:
            break
        along = _share(number, 0, len(places) - 1)
        points.append(
            (width * along, height * (1 - place)) if upright else (width * place, height * along)
        )
    path = "".join("M{:.1f} {:.1f}".format(*point) for point in points[:1])
    for (x, y), (across, down) in pairwise(points):
        right, under = (0.4 * (across - x), 0) if upright else (0, 0.4 * (down - y))
        bend = x + right, y + under, across - right, down - under
        path += "C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*bend, across, down)
    return path


def _share(value: float, low: float, high: float) -> float:
    """Return where a value lies between two others; the middle if they are equal."""
    return (value - low) / (high - low) if high > low else 0.5


def _spread(points: Sequence[float]) -> bool:
    """Return whether positive numbers stand more evenly on a logarithmic scale."""
    if len(points) < 2 or points[-1] / points[0] < DECADE:
        return False
    low, middle, high = points[0], median(points), points[-1]
    logarithmic = _share(math.log(middle), math.log(low), math.log(high))
    return abs(logarithmic - 0.5) < abs(_share(middle, low, high) - 0.5) - 1e-9


def _decades(zero: bool, low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 in each decade from `low` to `high`, and zero before them if asked."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    parts = (1,) if last - first > 3 else (1, 2, 5)
    marks = [part * 10.0**power for power in range(first, last + 1) for part in parts]
    return [0.0] * zero + [mark for mark in marks if low <= mark <= high]


def _short(value: float) -> float | int:
    value = float(f"{value:.10g}")
    return int(value) if value.is_integer() and abs(value) < 1e6 else value


def _thinned(ticks: Sequence[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    """Return the ticks without those whose label would touch another; both ends stay."""
    kept: list[tuple[float, str]] = []
    ordered = sorted(ticks)
    for tick in ordered[:-1]:
        if all(abs(tick[0] - other[0]) >= APART for other in (*kept, ordered[-1])):
            kept.append(tick)
    return (*kept, *ordered[-1:])
