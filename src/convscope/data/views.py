"""Views: how an image of one size shows a photograph, and which pixels decide a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.settings import sides as pair

Size = int | tuple[int, int]  # in pixels: one side, or height and width
Sides = tuple[int, int]  # height and width in pixels
Fit = Literal["crop", "squash", "pad", "center"]

# Pillow resamples eight bits with whole weights, in units of this one.
WEIGHT = 2.0**-22

# The share of the shorter side that "center" keeps: 224 of 256 pixels, as ImageNet's networks are
# tested.
MIDDLE = 0.875
# A strip that is longer than this many squares is not scaled as a whole: it would fill the memory.
LONGEST_STRIP = 16


@dataclass(frozen=True)
class View:
    """How a view shows a photograph: view = original * scale - offset.

    Attributes:
        scale: view pixels for one pixel of the original, (rows, columns).
        offset: view pixels cut away above and to the left; below zero, what is padded there.
        size: height and width of the original, upright.
        sides: height and width of the view.
        whole: whether all of the photograph is scaled before the view is cut from it, and not
            only what the view shows; the pixels then differ by what Pillow rounds between its two
            passes, whose order it chooses by what it scales.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]
    sides: Sides
    whole: bool = False

    def original(self, top: int, left: int, bottom: int, right: int) -> tuple[int, int, int, int]:
        """Return the half-open box of all original pixels that decide a half-open box of the view.

        It takes in the support of the bicubic filter, and nothing whose weight that filter rounds
        to zero. What the box covers beyond the view counts for nothing. Where only padding lies
        under it, no pixel decides, and the row or column of the photograph that is nearest is
        returned, so that there is always one to show.
        """
        first, last = self._deciding(0, top, bottom)
        near, far = self._deciding(1, left, right)
        return first, near, last, far

    def window(self, axis: int) -> tuple[int, int, float, float]:
        """Return where the scaled photograph lies in the view, and which part of it is scaled.

        Args:
            axis: 0 for rows, 1 for columns.

        Returns:
            The first pixel of the view that has it, how many pixels there are, and the edges in
            original pixels. Of a whole photograph some lie before the view and some behind it.
        """
        length, offset = self.size[axis], self.offset[axis]
        scaled = round(length * self.scale[axis])
        if self.whole:
            return -offset, scaled, 0.0, float(length)
        count, start, step = min(self.sides[axis], scaled), max(offset, 0), length / scaled
        return max(-offset, 0), count, start * step, (start + count) * step

    def _deciding(self, axis: int, low: int, high: int) -> tuple[int, int]:
        """Return the half-open range of original pixels that decide view pixels along an axis.

        This follows `precompute_coeffs` of Pillow 13, which keeps the edges in single precision.
        """
        margin, count, *edges = self.window(axis)
        start, stop = np.float32(edges[0]), np.float32(edges[1])
        length, step = self.size[axis], float(stop - start) / count
        # Of the scaled pixels, those that the view shows.
        first, last = max(-margin, 0), min(self.sides[axis] - margin, count)
        low, high = max(low - margin, first), min(high - margin, last)
        if low >= high:  # only padding
            before, behind = first * step, (count - last) * step
            place = int(start + before) if high <= first else int(np.ceil(stop - behind)) - 1
            return place, place + 1
        # Where the view is the smaller one, the reach grows from pixel to pixel: two will do.
        chosen = np.arange(low, high) if step < 1 else np.unique([low, high - 1])
        stretch = max(step, 1.0)
        centres = float(start) + (chosen + 0.5) * step
        first = np.maximum(np.trunc(centres - 2 * stretch + 0.5), 0).astype(int)
        last = np.minimum(np.trunc(centres + 2 * stretch + 0.5), length).astype(int)
        places = first[:, None] + np.arange((last - first).max())
        weights = _bicubic((places - centres[:, None] + 0.5) * (1 / stretch))
        weights[places >= last[:, None]] = 0
        weights /= weights.sum(1, keepdims=True)
        deciding = places[np.abs(weights) >= WEIGHT / 2]
        return int(deciding.min()), int(deciding.max()) + 1


def view(height: int, width: int, size: Size, fit: Fit = "crop") -> View:
    """Return how a photograph is shown on a view of some size.

    Args:
        height: of the upright photograph, in pixels.
        width: of the upright photograph, in pixels.
        size: of the view in pixels, one side or (height, width).
        fit: "crop" scales the photograph until it just covers the view and keeps its middle,
            "squash" brings either side to the view's, "pad" scales it until it just fits inside,
            with mid-grey beside the middle, "center" covers a seventh more than the view and keeps
            the middle, the pixels that torchvision's `Resize` and `CenterCrop` keep.
    """
    tall, wide = sides = pair(size)
    if fit == "center":
        covered = round(tall / MIDDLE), round(wide / MIDDLE)
        times, over = _ratio(height, width, covered, cover=True)
        rows, columns = (side * times // over for side in (height, width))
        middle = round((rows - tall) / 2), round((columns - wide) / 2)
        whole = rows * columns <= LONGEST_STRIP * covered[0] * covered[1]
        return View((rows / height, columns / width), middle, (height, width), sides, whole)
    if fit == "squash":
        rows, columns = sides
    elif fit == "pad":
        times, over = _ratio(height, width, sides, cover=False)
        rows, columns = (max(1, round(side * times / over)) for side in (height, width))
    else:
        times, over = _ratio(height, width, sides, cover=True)
        factor = times / over
        rows, columns = max(tall, round(height * factor)), max(wide, round(width * factor))
    # Rounded towards zero: the odd pixel lies below and to the right, cut away or padded.
    offset = int((rows - tall) / 2), int((columns - wide) / 2)
    return View((rows / height, columns / width), offset, (height, width), sides)


def _ratio(height: int, width: int, sides: Sides, *, cover: bool) -> tuple[int, int]:
    """Return by what a photograph is scaled to cover a view, or to fit inside: (times, over)."""
    tall, wide = sides
    by_height = tall * width >= wide * height if cover else tall * width <= wide * height
    return (tall, height) if by_height else (wide, width)


def _bicubic(distances: np.ndarray) -> np.ndarray:
    """Return the weights of Pillow's bicubic filter (Keys 1981, a = -0.5) at distances."""
    near, far = np.abs(distances), np.abs(distances)
    inner = (1.5 * near - 2.5) * near * near + 1
    outer = (((far - 5) * far + 8) * far - 4) * -0.5
    return np.where(near < 1, inner, np.where(far < 2, outer, 0.0))
