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

    def hull(self, other: Axis) -> Axis:
        """Return an axis that sees what both see.

        Raises:
            ValueError: they have other strides, so that no one axis does.
        """
        if self.stride != other.stride:
            raise ValueError(
                f"Fields with positions {self.stride} and {other.stride} pixels apart have no hull."
            )
        end = max(self.size - self.padding, other.size - other.padding)
        padding = max(self.padding, other.padding)
        return Axis(end + padding, self.stride, padding)


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
        top = self.rows.stride * row - self.rows.padding
        left = self.columns.stride * column - self.columns.padding
        return Box(top, left, top + self.rows.size, left + self.columns.size)

    @property
    def words(self) -> str:
        """The field in words: what a position sees, how far apart they lie, what counts besides."""
        sizes = f"{self.rows.size} x {self.columns.size} pixels"
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


def sees_all(size: int) -> ReceptiveField:
    """Return the field of a layer that sees all of a square image of `size` pixels at once."""
    return ReceptiveField(Axis(size, size), Axis(size, size))


SMALLEST, LARGEST = 64, 128
"""Pixels of an automatic canvas: enough to see a texture; Lucid's published canvas, 2017."""


def canvas(field: ReceptiveField | None) -> int:
    """Return the side in pixels of a square canvas for the optimum of a layer with this field.

    It is the receptive field rounded up to whole strides, so that every position that the network
    computes is fed by image; no smaller than a texture needs and no larger than the published
    recipes', since the fields of deep layers reach far beyond what their units use. None is a layer
    that sees all of the image, whatever its size.
    """
    if field is None:
        return LARGEST
    sides = [-(-axis.size // axis.stride) * axis.stride for axis in (field.rows, field.columns)]
    return min(max(SMALLEST, *sides), LARGEST)
