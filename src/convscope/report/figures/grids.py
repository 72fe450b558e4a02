"""Grids of captioned images: contact sheets, quantiles, top images, predictions, mosaics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from convscope.activations.dataset_examples import CROPS, Bin, Example
from convscope.report.figures.canvas import INK, PAPER, QUIET, RULE, VOID, Page
from convscope.text import number, percent

if TYPE_CHECKING:
    from convscope.activations.predictions import Prediction

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
    line, size = (16, 12) if side > 128 else (14, 11)
    near = max(2, gap // 4) if group > 1 else gap
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


MARGIN, GAP, LABEL = 32, 12, 248  # units of a page; LABEL: what a row of quantiles begins with
ACROSS, SIDE = 4, 156  # tiles of the top images in a row, and units of each picture in one


def quantiles_picture(
    name: str,
    rows: Sequence[tuple[Bin, Sequence[Example]]],
    photographs: int,
    score: str = "peak activation",
) -> np.ndarray:
    """Return the bins as rows of crops, strongest first, uint8 `(height, width, 3)`.

    Args:
        name: the unit.
        rows: each bin with the examples of its places.
        photographs: how many have a score.
        score: what the score of a photograph is, in words.

    Raises:
        ValueError: there are no rows, or a bin has no examples.
    """
    if not rows or not all(examples for _, examples in rows):
        received = [len(examples) for _, examples in rows]
        raise ValueError(
            f"A picture of quantiles needs examples in each of its bins. Received: {received}."
        )
    most = max(len(examples) for _, examples in rows)
    side = min(160, max(72, (1360 - 2 * MARGIN - LABEL) // most - GAP))
    wide = max(most * (side + GAP) - GAP, 480)
    page = Page(2 * MARGIN + LABEL + wide, 106 + len(rows) * (side + 58), scale=2)
    many = f"{photographs:,} photograph{'s' * (photographs != 1)}"
    words = f"{many} by their {score}, from the strongest to the weakest"
    _head(page, f"{name} over its range", words, LABEL + wide)
    ends = min(bin_.low for bin_, _ in rows), max(bin_.high for bin_, _ in rows)
    for index, (bin_, examples) in enumerate(rows):
        top = 98 + index * (side + 58)
        page.box(MARGIN, top, LABEL + wide, 1, RULE)
        _bin(page, top + 14, bin_, side, ends)
        for place, example in enumerate(examples):
            left = MARGIN + LABEL + place * (side + GAP)
            page.paste(example.crop, left, top + 14, side, side)
            middle, down = left + side / 2, top + 14 + side
            page.text(middle, down + 13, number(example.activation), 13, ha="center", fit=side)
            words = _short(example.label or example.image, 28)
            page.text(middle, down + 29, words, 11, color=QUIET, ha="center", fit=side)
    return page.array()


def _bin(page: Page, top: int, bin_: Bin, side: int, ends: tuple[float, float]) -> None:
    """Write what a row holds, with its scores as a stretch of the whole range."""
    room = LABEL - 24
    page.text(MARGIN, top + 10, bin_.name, 17, weight="bold", fit=room)
    many = f", {bin_.count:,} photographs" if bin_.count > len(bin_.places) else ""
    page.text(MARGIN, top + 33, bin_.range + many, 12, color=QUIET, fit=room)
    low, high = number(bin_.low), number(bin_.high)
    page.text(MARGIN, top + 52, low if low == high else f"{low} to {high}", 13, fit=room)
    span = (ends[1] - ends[0]) or 1.0
    start, stop = ((value - ends[0]) / span for value in (bin_.low, bin_.high))
    page.box(MARGIN, top + 66, room, 5, VOID)
    page.box(MARGIN + min(start * room, room - 3), top + 66, max((stop - start) * room, 3), 5, INK)
    words = bin_.note
    if bin_.share is not None and bin_.beyond < 1:
        words = f"the top {100 * bin_.beyond:g} % hold {100 * bin_.share:.1f} %\nof all excitation"
    page.text(MARGIN, top + 82, words.replace(": ", ":\n"), 12, color=QUIET, va="top", fit=room)


def _short(words: str, most: int, middle: bool = True) -> str:
    """Return words of at most so many letters, else without their middle or their end."""
    keep = (most - 1) // 2 if middle else 0
    if len(words) <= most:
        return words
    return f"{words[: most - 1 - keep]}\N{HORIZONTAL ELLIPSIS}{words[len(words) - keep :]}"


def _head(page: Page, title: str, words: str, room: int) -> None:
    page.text(MARGIN, 40, title, 22, weight="bold", fit=room)
    page.text(MARGIN, 70, words, 13, color=QUIET, fit=room)


def framed(example: Example, side: int) -> np.ndarray:
    """Return the whole photograph with its longer side `side`, the unit's box drawn onto it."""
    height, width = example.size
    factor = side / max(height, width)
    down, across = max(1, round(height * factor)), max(1, round(width * factor))
    whole = Image.fromarray(example.whole).resize((across, down), Image.Resampling.LANCZOS)
    line, draw = max(1, side // 130), ImageDraw.Draw(whole)
    edges = [round(edge * factor) for edge in example.box]
    # Black around white can be told from any photograph; both lie outside the box.
    for reach, colour in ((2 * line, "black"), (line, "white")):
        top, left = (max(edge - reach, 0) for edge in edges[:2])
        bottom, right = min(edges[2] + reach, down) - 1, min(edges[3] + reach, across) - 1
        draw.rectangle((left, top, max(right, left), max(bottom, top)), None, colour, line)
    return np.asarray(whole)


def top_picture(
    name: str, examples: Sequence[Example], score: str = "peak activation", more: int = 0
) -> np.ndarray:
    """Return the strongest photographs, uint8 `(height, width, 3)`.

    Each is shown as the part that the unit saw, and whole with that part framed.

    Args:
        name: the unit.
        examples: the photographs, strongest first.
        score: what the number of each is, in words.
        more: how many examples there are beside these.

    Raises:
        ValueError: there are no examples.
    """
    if not examples:
        raise ValueError("The top images need at least one example. Received: none.")
    columns = min(ACROSS, len(examples))
    tile = 2 * SIDE + GAP // 2
    width = max(2 * MARGIN + columns * (tile + 2 * GAP) - 2 * GAP, 560)
    tall = SIDE + 60
    page = Page(width, 96 + -(-len(examples) // columns) * tall, scale=2)
    words = f"the part that the unit saw, the photograph it is from, and its {score}"
    words += f"; {more} more are in the table" * bool(more)
    _head(page, f"What excites {name} most", words, width - 2 * MARGIN)
    for index, example in enumerate(examples):
        left = MARGIN + index % columns * (tile + 2 * GAP)
        top = 98 + index // columns * tall
        page.paste(example.crop, left, top, SIDE, SIDE)
        page.paste(framed(example, 2 * SIDE), left + SIDE + GAP // 2, top, SIDE, SIDE)
        page.text(left, top + SIDE + 15, str(example.rank), 13, color=QUIET)
        words = _short(example.label or example.image, 34)
        page.text(left + 26, top + SIDE + 15, words, 14, weight="bold", fit=tile - 100)
        value = number(example.activation, digits=4)
        page.text(left + tile, top + SIDE + 15, value, 14, ha="right")
        words = _short(example.image, 56)
        page.text(left + 26, top + SIDE + 33, words, 11, color=QUIET, fit=tile - 26)
    return page.array()


# Never by colour alone: a mark stands beside each. They end what canvas.EFFECTS begins.
TRUTH = {True: "#17713f", False: "#b00b1a", None: QUIET}
TINTS = {True: "#bfe5cd", False: "#cdd7ea"}
MARKS = {True: "\N{CHECK MARK} ", False: "\N{BALLOT X} ", None: ""}
BARS = 5  # classes of a photograph that are drawn

GUESSES_ACROSS, CELL, GUESS_SIDE, GUESS_MARGIN, GUESS_GAP, LINE = 3, 392, 124, 24, 28, 21


def described(drawn: Sequence[Prediction], total: int) -> str:
    """Return in words which of all photographs `chosen` has left; nothing where that is all."""
    if len(drawn) == total:
        return ""
    half = max(len(drawn) // 2, 1)
    wrong = sum(one.correct is False for one in drawn[:half])
    many = f"{len(drawn)} of {total:,} photographs"
    if not wrong:
        return f"{many}, spread over all of them"
    first = f"the {wrong} most confident mistakes" if wrong > 1 else "the most confident mistake"
    rest = f", then {len(drawn) - wrong} spread over the others" * (wrong < len(drawn))
    return f"{many}: {first}{rest}"


def predictions_picture(
    name: str,
    drawn: Sequence[Prediction],
    views: Mapping[Path, np.ndarray],
    total: int,
    result: str,
) -> np.ndarray:
    """Return photographs with bars of their most probable classes, uint8 `(height, width, 3)`.

    Args:
        name: the network.
        drawn: the photographs.
        views: what the network saw of each, uint8 `(height, width, 3)`.
        total: photographs that there are.
        result: what came out, in a line.

    Raises:
        ValueError: there are no photographs.
    """
    if not drawn:
        message = "The picture of predictions needs at least one photograph."
        raise ValueError(f"{message} Received: none.")
    columns = min(GUESSES_ACROSS, len(drawn))
    bars = min(BARS, max(len(one.guesses) for one in drawn))
    tall = max(GUESS_SIDE, 26 + LINE * bars) + GUESS_GAP
    width = max(2 * GUESS_MARGIN + columns * (CELL + GUESS_GAP) - GUESS_GAP, 620)
    page = Page(width, 104 + -(-len(drawn) // columns) * tall, scale=2)
    room = width - 2 * GUESS_MARGIN
    page.text(GUESS_MARGIN, 36, f"What {name} takes photographs for", 22, weight="bold", fit=room)
    page.text(GUESS_MARGIN, 62, result, 14, fit=room)
    words = f"{MARKS[True]}stands for what a photograph is labelled" * any(
        one.rank for one in drawn
    )
    if left_out := described(drawn, total):
        words = "; ".join([f"{left_out} (the table has them all)", *filter(None, [words])])
    page.text(GUESS_MARGIN, 82, words, 13, color=QUIET, fit=room)
    for index, one in enumerate(drawn):
        left = GUESS_MARGIN + index % columns * (CELL + GUESS_GAP)
        top = 104 + index // columns * tall
        page.paste(views[one.path], left, top, GUESS_SIDE, GUESS_SIDE)
        _prediction(page, one, left + GUESS_SIDE + 12, top, CELL - GUESS_SIDE - 12)
    return page.array()


def _prediction(page: Page, one: Prediction, left: int, top: int, width: int) -> None:
    """Write what a photograph shows, and draw the bars of its classes."""
    words = MARKS[one.correct] + "labelled " * (one.correct is False)
    words += _short(one.label or one.image, 42, middle=False)
    words += ", no class of the network" * (one.state == "unknown")
    page.text(left, top + 9, words, 13.5, weight="bold", color=TRUTH[one.correct], fit=width)
    for rank, guess in enumerate(one.guesses[:BARS]):
        down, right = top + 24 + rank * LINE, bool(guess.right)
        middle, weight = down + (LINE - 3) / 2, "bold" if right else "normal"
        page.box(left, down, width, LINE - 3, VOID)
        page.box(left, down, max(width * guess.probability, 1.5), LINE - 3, TINTS[right])
        name = MARKS[True] * right + _short(guess.name, 40, middle=False)
        page.text(left + 5, middle, name, 12.5, fit=width - 58, weight=weight)
        page.text(left + width - 5, middle, percent(guess.probability), 12.5, ha="right")


GRAIN = 4
"""Enlargement from which a crop is shown as the pixels it has."""


def mosaic(crops: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Return up to nine crops as a square of three rows, uint8 `(side, side, 3)`.

    Each fills its square: of one that is longer, as the picture's edge has cut the field short, the
    ends are left out and the middle is kept, where the position that responds is. Crops of a few
    pixels are enlarged as the pixels they are. Where there is no crop, the paper is left.

    Args:
        crops: uint8 `(height, width, 3)` of any size, strongest first.
        side: pixels of the square.

    Raises:
        ValueError: there are more than nine crops, or fewer pixels than three.
    """
    if len(crops) > CROPS or side < 3:
        message = f"A mosaic has room for {CROPS} crops on a side of at least 3 pixels."
        raise ValueError(f"{message} Received: {len(crops)} crops, side={side}.")
    square = Image.new("RGB", (side, side), PAPER)
    edges = [round(side * third / 3) for third in range(4)]
    for place, crop in enumerate(crops):
        row, column = divmod(place, 3)
        size = edges[column + 1] - edges[column], edges[row + 1] - edges[row]
        enlarged = max(size) / min(crop.shape[:2])
        how = Image.Resampling.NEAREST if enlarged >= GRAIN else Image.Resampling.LANCZOS
        fitted = ImageOps.fit(Image.fromarray(crop), size, how)
        square.paste(fitted, (edges[column], edges[row]))
    return np.asarray(square)
