"""What the positions of a layer see of the image: plain numbers, without the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """Half-open pixels `[top, bottom) x [left, right)`; may reach beyond the image."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Axis:
    """One axis of a receptive field: position u sees pixels [stride u - padding, ... + size).

    Attributes:
        size: pixels seen.
        stride: pixels between neighbouring positions.
        padding: pixels by which the first position's field reaches beyond the image.
    """

    size: int = 1
    stride: int = 1
    padding: int = 0

    def behind(self, kernel: int, stride: int, padding: int) -> Axis:
        """Return this axis seen through one more layer in front of it."""
        return Axis(
            size=stride * self.size + kernel - stride,
            stride=stride * self.stride,
            padding=stride * self.padding + padding,
        )


@dataclass(frozen=True)
class ReceptiveField:
    """What the positions of one layer see of the image."""

    rows: Axis
    columns: Axis

    def box(self, row: int, column: int) -> Box:
        """Return the pixels that position (row, column) sees, zero padding included."""
        top = self.rows.stride * row - self.rows.padding
        left = self.columns.stride * column - self.columns.padding
        return Box(top, left, top + self.rows.size, left + self.columns.size)


SMALLEST, LARGEST = 64, 128
"""Pixels of an automatic canvas: enough to see a texture; Lucid's published canvas, 2017."""


def canvas(field: ReceptiveField) -> int:
    """Return the side in pixels of a square canvas for the optimum of a layer with this field.

    It is the receptive field rounded up to whole strides, so that every position that the network
    computes is fed by image; no smaller than a texture needs and no larger than the published
    recipes', since the fields of deep layers reach far beyond what their units use.
    """
    sides = [-(-axis.size // axis.stride) * axis.stride for axis in (field.rows, field.columns)]
    return min(max(SMALLEST, *sides), LARGEST)
