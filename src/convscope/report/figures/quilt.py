"""Photographs over the range of a unit's activation, and the strongest of them, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from convscope.activations.dataset_examples import Example
from convscope.report.figures.canvas import INK, QUIET, RULE, VOID, Page, number

TOP = 0.001  # the share of the photographs that counts as the strongest
# The quantiles that other bins lie around, and the least that each reaches to: halfway between.
AROUND = ((0.99, 0.945), (0.9, 0.7), (0.5, 0.25))

MARGIN, GAP, LABEL = 32, 12, 248  # units of a page; LABEL: what a row of the quilt begins with
ACROSS, SIDE = 4, 156  # tiles of the top images in a row, and units of each picture in one


@dataclass(frozen=True)
class Bin:
    """Photographs that excite a unit about equally much.

    Attributes:
        name: which part of the range: `top 0.1 %`, `around 99 %`, ..., `bottom`.
        quantiles: the shares of all photographs below its weakest, and up to its strongest.
        low: the score of its weakest.
        high: the score of its strongest.
        places: those to show, indices of the values that were given, strongest first.
        count: how many photographs it has; those to show are spread evenly over them.
        beyond: the share of all photographs that lies at or above what it is named after.
        share: how much of all excitation (the sum of the scores above zero) those photographs
            have, from 0 to 1; None: they are less than one, or nothing is excited.
    """

    name: str
    quantiles: tuple[float, float]
    low: float
    high: float
    places: tuple[int, ...]
    count: int
    beyond: float
    share: float | None

    @property
    def note(self) -> str:
        """What to know about a bin that is named after less than one photograph; or nothing."""
        covered = self.quantiles[1] - self.quantiles[0]
        few = self.name.startswith("top") and covered > self.beyond + 1e-9
        return "0.1 % is less than one photograph: this is the strongest." if few else ""

    @property
    def range(self) -> str:
        """Which part of the photographs it is, in words, such as `quantiles 96.6 to 99.5 %`."""
        low, high = (100 * quantile for quantile in self.quantiles)
        digits = 1 if high - low >= 0.2 else 2 if high - low >= 0.02 else 3
        return f"quantiles {low:.{digits}f} to {high:.{digits}f} %"


def bins(values: np.ndarray, each: int) -> tuple[Bin, ...]:
    """Return photographs from all parts of a unit's range, the strongest bin first.

    The bins are the top 0.1 %, those nearest to the quantiles 99, 90 and 50 %, and the bottom. No
    photograph is in two of them; where photographs are few, a bin has fewer or is left out.

    Args:
        values: the score of each photograph `(photographs,)`; NaN for those without one.
        each: photographs to show in each bin.

    Raises:
        ValueError: no photograph has a score, or `each` is below 1.

    Source: the bins are those of Cammarata et al., "Curve Detectors", Distill, 2020.
    """
    scores = np.asarray(values, np.float64)
    count = int(np.count_nonzero(~np.isnan(scores)))
    if each < 1 or not count:
        message = "Bins need photographs with a score, and room for at least one in each."
        raise ValueError(f"{message} Received: {count} photographs, {each} for each bin.")
    order = np.argsort(-scores, kind="stable")[:count]  # NaN comes after all numbers
    found = []
    for name, beyond, start, stop in _spans(count, each):
        # The first is always among them, and of the bottom the last.
        ends = (stop - 1, start) if name == "bottom" else (start, stop - 1)
        shown = np.sort(np.linspace(*ends, min(each, stop - start)).round().astype(int))
        found.append(
            Bin(
                name=name,
                quantiles=(1 - stop / count, 1 - start / count),
                low=float(scores[order[stop - 1]]),
                high=float(scores[order[start]]),
                places=tuple(order[shown].tolist()),
                count=stop - start,
                beyond=beyond,
                share=_share(scores[order], beyond),
            )
        )
    return tuple(found)


def _spans(count: int, each: int) -> list[tuple[str, float, int, int]]:
    """Return name, share of photographs at or above it, and the half-open ranks of each bin.

    Ranks count from 0 for the strongest. The weakest of several photographs is the bottom's.
    """
    thousandth = math.floor(round(count * TOP, 9))
    start = max(1, thousandth)
    spans = [("top 0.1 %", TOP, 0, start)]
    for quantile, least in AROUND:
        # A rank stands for the middle of its step of 1 / count.
        stop = min(math.floor(round(count * (1 - least), 9) + 0.5), count - 1)
        wanted = round((1 - quantile) * (count - 1) - (each - 1) / 2)
        first = min(max(wanted, start), max(start, stop - each))
        name, beyond = f"around {100 * quantile:.0f} %", round(1 - quantile, 9)
        spans.append((name, beyond, first, min(first + each, stop)))
        start = max(start, stop)
    spans.append(("bottom", 1.0, max(start, count - max(each, thousandth)), count))
    return [span for span in spans if span[3] > span[2]]


def _share(ordered: np.ndarray, beyond: float) -> float | None:
    """Return how much of all that is above zero the strongest share `beyond` holds."""
    excited = np.maximum(ordered, 0)
    strongest, total = round(len(ordered) * beyond), float(excited.sum())
    if round(len(ordered) * beyond, 9) < 1 or not total or not math.isfinite(total):
        return None
    return float(excited[:strongest].sum() / total)


def quilt_picture(
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
        raise ValueError(f"A quilt needs examples in each of its bins. Received: {received}.")
    most = max(len(examples) for _, examples in rows)
    side = min(160, max(72, (1360 - 2 * MARGIN - LABEL) // most - GAP))
    wide = max(most * (side + GAP) - GAP, 480)
    page = Page(2 * MARGIN + LABEL + wide, 106 + len(rows) * (side + 58), scale=2)
    page.text(MARGIN, 40, f"{name} over its range", 22, weight="bold", fit=LABEL + wide)
    many = f"{photographs:,} photograph{'s' * (photographs != 1)}"
    words = f"{many} by their {score}, from the strongest to the weakest"
    page.text(MARGIN, 70, words, 13, color=QUIET, fit=LABEL + wide)
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


def _short(words: str, most: int) -> str:
    """Return `words` of at most so many letters; of longer ones the middle is left out."""
    keep = most - 1
    return words if len(words) <= most else f"{words[: keep - keep // 2]}…{words[-(keep // 2) :]}"


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
    page.text(MARGIN, 40, f"What excites {name} most", 22, weight="bold", fit=width - 2 * MARGIN)
    words = f"the part that the unit saw, the photograph it is from, and its {score}"
    words += f"; {more} more are in the table" * bool(more)
    page.text(MARGIN, 70, words, 13, color=QUIET, fit=width - 2 * MARGIN)
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
