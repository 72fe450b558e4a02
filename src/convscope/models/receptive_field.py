"""What the positions of a layer see of the image: plain numbers, without the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Box:
    """Half-open pixels `[top, bottom) x [left, right)`; may reach beyond the image."""

    top: int
    left: int
    bottom: int
    right: int


Number = int | Fraction


def plain(number: Number) -> Number:
    """Return a fraction as an int where it is one."""
    return int(number) if number == int(number) else number


@dataclass(frozen=True)
class Axis:
    """One axis of a receptive field: position u sees pixels [stride u - padding, ... + size).

    Behind layers that enlarge a map the three may be fractions: position u then sees the whole
    pixels from stride u - padding to stride u - padding + size - 1, both included.

    Attributes:
        size: pixels seen.
        stride: pixels between neighbouring positions.
        padding: pixels by which the first position's field reaches beyond the image.
    """

    size: Number = 1
    stride: Number = 1
    padding: Number = 0

    @property
    def end(self) -> Number:
        """The first pixel behind those that position 0 sees."""
        return self.size - self.padding

    @property
    def pixels(self) -> int:
        """The most pixels that a position sees."""
        return math.floor(self.size)

    @property
    def whole(self) -> bool:
        """Whether all positions see alike, so that nothing enlarged the map between."""
        return all(isinstance(part, int) for part in (self.size, self.stride, self.padding))

    def first(self, position: int) -> int:
        """Return the first pixel that a position sees; it sees at most `pixels` from there on."""
        return math.ceil(self.stride * position - self.padding)

    def behind(self, kernel: Number, stride: Number, padding: Number) -> Axis:
        """Return this axis seen through one more layer in front of it."""
        return Axis(
            size=plain(stride * self.size + kernel - stride),
            stride=plain(stride * self.stride),
            padding=plain(stride * self.padding + padding),
        )

    def inside(self, count: int, length: int) -> range:
        """Return which of the first `count` positions see nothing beyond `length` pixels."""
        first = math.ceil(Fraction(self.padding) / self.stride)
        last = math.floor(Fraction(length + self.padding - self.size) / self.stride)
        return range(max(first, 0), min(last + 1, count))

    def hull(self, other: Axis) -> Axis:
        """Return an axis that sees what both see.

        Raises:
            ValueError: they have other strides, so that no one axis does.
        """
        if self.stride != other.stride:
            raise ValueError(
                f"Fields with positions {self.stride} and {other.stride} pixels apart have no hull."
            )
        padding = max(self.padding, other.padding)
        return Axis(max(self.end, other.end) + padding, self.stride, padding)


@dataclass(frozen=True)
class Inside:
    """Positions of a map that are looked at.

    Attributes:
        rows: their rows.
        columns: their columns.
    """

    rows: range
    columns: range

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rows) * len(self.columns)

    def at(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column of positions that are counted row by row, from 0."""
        down, across = np.divmod(places, len(self.columns))
        return np.asarray(self.rows)[down], np.asarray(self.columns)[across]

    def of(self, maps: np.ndarray) -> np.ndarray:
        """Return the values of maps `(photographs, rows, columns)` there, counted row by row."""
        rows, columns = (slice(one.start, one.stop, one.step) for one in (self.rows, self.columns))
        return maps[:, rows, columns].reshape(len(maps), -1)

    def thinned(self, most: int) -> Inside:
        """Return at most about `most` of them: every second, every third and so on, both ways."""
        step = max(1, math.ceil(math.sqrt(self.count / max(most, 1))))
        return Inside(self.rows[::step], self.columns[::step])


@dataclass(frozen=True)
class ReceptiveField:
    """What the positions of one layer see of the image.

    Attributes:
        rows: along the rows.
        columns: along the columns.
        whole: layers through which all of the image counts besides, as in squeeze-and-excitation:
            rows and columns are what a position sees apart from those.
    """

    rows: Axis
    columns: Axis
    whole: tuple[str, ...] = ()

    def box(self, row: int, column: int) -> Box:
        """Return the pixels that position (row, column) sees, zero padding included."""
        top, left = self.rows.first(row), self.columns.first(column)
        return Box(top, left, top + self.rows.pixels, left + self.columns.pixels)

    def inside(self, positions: tuple[int, int], size: tuple[int, int]) -> Inside | None:
        """Return the positions of a map that see nothing but the image; None: there is none.

        Args:
            positions: rows and columns of the map.
            size: rows and columns of the image in pixels.
        """
        found = Inside(
            self.rows.inside(positions[0], size[0]), self.columns.inside(positions[1], size[1])
        )
        return found if found.count else None

    @property
    def words(self) -> str:
        """The field in words: what a position sees, how far apart they lie, what counts besides."""
        sizes = f"{self.rows.pixels} x {self.columns.pixels} pixels"
        strides = dict.fromkeys([self.rows.stride, self.columns.stride])
        apart = f", a position every {' x '.join(map(str, strides))}"
        return f"{sizes}{apart}{self.besides}"

    @property
    def besides(self) -> str:
        """What counts besides the pixels in the box, in words; "" where nothing does."""
        if not self.whole:
            return ""
        more = f" and {len(self.whole) - 1} more" if len(self.whole) > 1 else ""
        return f"; besides, all of the image counts through {self.whole[0]}{more}"


def sees_all(sides: tuple[int, int]) -> ReceptiveField:
    """Return the field of a layer that sees all of an image of this height and width at once."""
    rows, columns = (Axis(side, side) for side in sides)
    return ReceptiveField(rows, columns)


SMALLEST, LARGEST = 64, 128
"""Pixels of an automatic canvas: enough to see a texture; Lucid's published canvas, 2017."""
