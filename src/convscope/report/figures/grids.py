"""Contact sheets: many images on one page, each above its caption."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convscope.report.card import Card, by_unit
from convscope.report.figures.canvas import INK, QUIET, Page, number

WIDE = 2600
"""Pixels that a sheet of many images is wide, about."""


def contact_sheet(
    images: Sequence[np.ndarray | None],
    captions: Sequence[str],
    columns: int,
    *,
    side: int = 176,
    gap: int = 16,
    group: int = 1,
) -> np.ndarray:
    """Return `images` in rows of `columns`, each in a square of `side` pixels above its caption.

    A caption may have several lines; each is made smaller where it would be too wide. A tab in a
    line parts it: what stands before begins at the left edge in bold, what follows ends at the
    right edge.

    Args:
        images: uint8 `(height, width, 3)`; None leaves its place empty.
        captions: one for each image.
        columns: images in a row.
        side: of the square for each image, in pixels.
        gap: pixels between images.
        group: how many neighbours belong together and stand closer to each other.

    Raises:
        ValueError: there are no images, a caption too few or too many, or no column.
    """
    if not images or len(images) != len(captions) or columns < 1:
        message = "A contact sheet needs images, a caption for each, and at least one column."
        received = f"{len(images)} images, {len(captions)} captions, columns={columns}"
        raise ValueError(f"{message} Received: {received}.")
    columns = min(columns, len(images))
    line, near = (16, gap) if side > 128 else (14, gap)
    if group > 1:
        near = max(2, gap // 4)
    size = 12 if side > 128 else 11
    below = 8 + line * max(caption.count("\n") + 1 for caption in captions)
    lefts = [gap + at * (side + near) + at // group * (gap - near) for at in range(columns)]
    tall = side + below + gap
    page = Page(lefts[-1] + side + gap, gap + -(-len(images) // columns) * tall, 1)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = lefts[index % columns], gap + index // columns * tall
        if image is not None:
            page.paste(image, left, top, side, side)
        for place, words in enumerate(caption.split("\n") if caption else ()):
            down, colour = top + side + line - 2 + place * line, QUIET if place else INK
            first, tab, last = words.partition("\t")
            if tab:
                page.text(left, down, first, size, weight="bold", fit=0.6 * side)
                page.text(left + side, down, last, size, ha="right", fit=0.6 * side)
            elif words:
                page.text(left + side / 2, down, words, size, ha="center", color=colour, fit=side)
    return page.array()


def optima_sheet(cards: Sequence[Card]) -> np.ndarray:
    """Return all images on one page that is about as tall as wide, uint8 `(height, width, 3)`.

    The images of a unit stand side by side: its samples in a row, what excites it before what it
    dislikes. Below each stand the filter and the activation, and in words what is to be said
    against it; an image that the unit does not respond to is faded.

    Raises:
        ValueError: there are no cards.
    """
    if not cards:
        raise ValueError("A contact sheet needs at least one image. Received: none.")
    units = by_unit(cards)
    both, samples = len({card.sign for card in cards}) > 1, any(card.sample for card in cards)
    marked = any(card.marks for card in cards)
    # One unit alone fills the page as its images do; otherwise each unit is a block of one row.
    group = max(map(len, units)) if len(units) > 1 else 1 + both
    blocks = len(units) if len(units) > 1 else -(-len(cards) // group)
    columns, side = _arrangement(blocks, group, max(max(card.image.shape[:2]) for card in cards))
    images: list[np.ndarray | None] = []
    captions = []
    for unit in units:
        empty = -len(unit) % group
        images += [*map(_faded, unit), *[None] * empty]
        captions += [*(_caption(card, both, samples, marked) for card in unit), *[""] * empty]
    gap = 16 if side > 128 else 12 if group > 1 else 8
    return contact_sheet(images, captions, columns * group, side=side, gap=gap, group=group)


def _arrangement(blocks: int, group: int, longest: int) -> tuple[int, int]:
    """Return how many blocks of images stand in a row, and the side of an image in pixels.

    The page comes near to a square with few empty places. Few images are not enlarged beyond
    `longest`, their own longer side, unless they are tiny; hundreds become smaller.
    """

    def flaw(columns: int) -> float:
        rows = -(-blocks // columns)
        return abs(math.log(columns * group / rows / 1.2)) + 2 * (1 - blocks / (rows * columns))

    columns = min(range(1, blocks + 1), key=flaw)
    fitting = WIDE // (columns * group) - 8
    return columns, min(max(fitting, 72), max(longest, 176), 512)


def _faded(card: Card) -> np.ndarray:
    """Return the image, without colour and nearly white if the unit does not respond to it."""
    if card.alive:
        return card.image
    grey = card.image.mean(-1, keepdims=True).repeat(3, axis=-1)
    return np.rint(255 - 0.35 * (255 - grey)).astype(np.uint8)


def _caption(card: Card, both: bool, samples: bool, marked: bool) -> str:
    name = "whole" if card.filter < 0 else str(card.filter)
    name += f"-{card.sample}" if samples else ""
    first = f"{name}\t{number(card.activation, signed=both, digits=4)}"
    return f"{first}\n{', '.join(card.marks)}" if marked else first
