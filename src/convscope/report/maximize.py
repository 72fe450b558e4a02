"""The page of a maximize run: one unit's images large, or a gallery of a layer's filters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

import numpy as np

from convscope.activations.dataset_examples import shrunk
from convscope.data.photograph import data_uri
from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.report.figures.grids import WIDE, contact_sheet
from convscope.report.html import flat, render
from convscope.text import number, precise, sized, some, sortable
from convscope.unit import WHOLE

LOSSLESS = 16  # images that a page holds as they are
PIXELS = 5_200_000  # that the images of a page have in all if there are more of them
LEAST = 64  # pixels of a side, however many images there are
CURVE_WIDTH, CURVE_HEIGHT = 1000, 320  # the drawing of an ascent, in its own units
POINTS = 72  # of its curve

COLUMNS = (
    "layer", "filter", "sample", "objective", "size", "steps", "activation_start", "activation",
    "activation_mean", "quantile", "alive", "seconds", "attempt", "sign", "score", "stopped",
)  # fmt: skip
# What a gallery can be sorted by: words, and whether the largest comes first.
ORDERS = (
    ("filter number", False),
    ("activation", True),
    ("mean of the map", True),
    ("quantile", True),
    ("seconds", True),
)


def maximize_page(
    optima: Sequence[OptimumSummary],
    facts: Mapping[str, str],
    settings: Mapping[str, object],
    notes: Sequence[str],
    positions: int | None = None,
) -> str:
    """Return the report of a maximize run as one HTML page that makes no network request.

    The images of one unit are shown large, with all that is known about each. Those of several are
    a gallery to search and sort; a click opens one large, and `#` with the name of its file links
    to it. There, and nowhere else, the page also looks for the image files beside itself: for the
    image as it was saved, and for the ascent as an animation.

    Args:
        optima: the images, in the order to show.
        facts: what the head of the page states, label to value.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.
        positions: how many positions on photographs the quantiles are about.

    Raises:
        ValueError: there are no optima, or two with the same file.
    """
    slugs = [optimum.slug for optimum in optima]
    if not optima or len(set(slugs)) < len(slugs):
        message = "A page needs images, each from a file of its own."
        received = f"{len(slugs)} images from {len(set(slugs))} files"
        raise ValueError(f"{message} Received: {received}.")
    units = by_unit(optima)
    signs = {optimum.sign for optimum in optima}
    layers = ", ".join(dict.fromkeys(optimum.layer for optimum in optima))
    return render(
        "maximize.html",
        units=[[_view(optimum, len(optima), positions) for optimum in unit] for unit in units],
        subject=optima[0].name if len(units) == 1 else f"{len(units)} filters of {layers}",
        count=len(optima),
        positive=1 in signs,
        negative=-1 in signs,
        samples=max(optimum.sample for optimum in optima) + 1,
        marks={
            mark: sum(mark in optimum.marks for optimum in optima)
            for mark in ("weak", "not alive", "diverged")
        },
        compared=all(optimum.quantile is not None for optimum in optima),
        orders=ORDERS,
        facts=facts,
        settings=flat(settings),
        notes=notes,
        curve={"wide": CURVE_WIDTH, "tall": CURVE_HEIGHT},
    )


def _view(optimum: OptimumSummary, count: int, positions: int | None) -> dict[str, object]:
    """Return one optimum as the template shows it; `count` optima share the page."""
    numbers = (
        optimum.filter, optimum.activation, optimum.activation_mean, optimum.quantile,
        optimum.seconds,
    )  # fmt: skip
    return {
        "optimum": optimum,
        "uri": _uri(optimum.image, count),
        "pixelated": max(optimum.image.shape[:2]) < 48,
        "facts": _facts(optimum, positions),
        "curve": _curve(optimum),
        "words": " ".join([optimum.side, *_words(optimum)]),
        "numbers": json.dumps([sortable(value) for value in numbers]),
    }


def _words(optimum: OptimumSummary) -> list[str]:
    """Return what a search finds the optimum by; "dead" since "not alive" has "alive" in it."""
    marks = [mark for mark in optimum.marks if mark != "not alive"]
    return ["alive" if optimum.alive else "dead", *marks]


def _uri(image: np.ndarray, count: int) -> str:
    """Return an image that shares the page with `count` - 1 others: as it is if they are few."""
    if count <= LOSSLESS:
        return data_uri(image)
    image = shrunk(image, max(LEAST, math.isqrt(PIXELS // count)))
    return data_uri(image, format="WEBP", quality=80, method=4)


def _facts(optimum: OptimumSummary, positions: int | None) -> dict[str, str]:
    """Return what is known about an optimum, label to words."""
    start, end = number(optimum.activation_start), number(optimum.activation_mean)
    height, width = optimum.image.shape[:2]
    extreme = "peak" if optimum.sign > 0 else "lowest"
    return {
        "activation": f"{number(optimum.activation, digits=4)}, the {extreme} on the saved image",
        "mean of the map": f"{start} at the start, {end} at the end",
        "on photographs": optimum.standing(positions),
        "score": number(optimum.score)
        + f" after {len(optimum.curve)} updates" * (len(optimum.curve) > 0),
        "starts": str(optimum.attempt),
        "time": f"{number(optimum.seconds, digits=2)} s",
        "size": f"{height} x {width} pixels",
    }


def _curve(optimum: OptimumSummary) -> dict[str, object] | None:
    """Return the drawing of an ascent: a path, its ends in words; None if there is nothing to draw.

    Of a long curve every so many points are drawn, the first and the last always.
    """
    scores = np.asarray(optimum.curve, np.float64)
    updates = np.arange(1, len(scores) + 1)
    usable = np.isfinite(scores)
    updates, scores = updates[usable], scores[usable]
    if len(scores) < 2:
        return None
    drawn = np.unique(np.linspace(0, len(scores) - 1, POINTS).round().astype(int))
    low, high = scores.min(), scores.max()
    last = max(int(updates[-1]), optimum.stopped or 0)
    across = CURVE_WIDTH * (updates[drawn] - 1) / max(last - 1, 1)
    down = CURVE_HEIGHT * (high - scores[drawn]) / ((high - low) or 1.0)
    points = zip(across.round().astype(int), down.round().astype(int), strict=True)
    return {
        "path": "M" + "L".join(f"{x} {y}" for x, y in points),
        "zero": round(CURVE_HEIGHT * high / (high - low)) if low < 0 < high else None,
        "low": number(float(low)),
        "high": number(float(high)),
        "first": number(float(scores[0])),
        "end": number(float(scores[-1])),
        "last": last,
        "stopped": round(CURVE_WIDTH * (optimum.stopped - 1) / max(last - 1, 1))
        if optimum.stopped
        else None,
    }


FEW = 100  # photographs, below which a quantile is a hint
NAMED = 8  # units in a note; of more only the number is said


def rows(
    optima: Sequence[OptimumSummary], objective: str, size: tuple[int, int], steps: int
) -> list[dict[str, object]]:
    """Return the rows of `optima.csv`.

    Args:
        optima: the images, in order.
        objective: what ascended.
        size: rows and columns of the canvas.
        steps: updates of each image.
    """
    same = {"objective": objective, "size": sized(size), "steps": steps}
    found = []
    for optimum in optima:
        own = vars(optimum) | same
        own["filter"] = None if optimum.filter == WHOLE else optimum.filter
        found.append({name: own[name] for name in COLUMNS})
    return found


def facts(
    optima: Sequence[OptimumSummary], network: Network, objective: str, photographs: int
) -> dict[str, str]:
    """Return what the head of the page states."""
    field = receptive_field(network, optima[0].layer)
    said = {
        "network": network.name,
        "weights": network.weights.source,
        "layer": optima[0].layer,
        "receptive field": field.words if field else "all of the image",
        "objective": objective,
        "images": str(len(optima)),
    }
    if photographs:
        said["photographs"] = str(photographs)
    if len(optima) > 1:
        said["alive"] = f"{sum(optimum.alive for optimum in optima)} of {len(optima)}"
        alike = [one for one in optima if one.alive and one.sign == optima[0].sign]
        if peaks := [optimum.activation for optimum in alike]:
            said["activation"] = f"{np.mean(peaks):.1f} on average over those alive"
    return said


def notes(optima: Sequence[OptimumSummary], network: Network, photographs: int) -> list[str]:
    """Return what a reader should keep in mind, as far as these findings themselves say so."""
    said = [
        f"These are the weights '{network.weights.source}'. A filter's number means nothing beyond "
        "one set of weights.",
        "One optimized image is no explanation: it shows one way to excite a unit. Other starts "
        "(stage.samples=4), what the unit dislikes (stage.sign=both) and photographs show others.",
    ]
    if weak := [optimum.name for optimum in optima if optimum.weak]:
        said.append(
            f"Weak, below {100 * WEAK:.1f} % of the positions on photographs: "
            f"{some(dict.fromkeys(weak), NAMED)}. Such an image is no evidence of what the unit "
            "responds to; try more steps (ascent.steps), another seed or a larger canvas "
            "(ascent.size)."
        )
    if silent := [optimum.name for optimum in optima if not optimum.alive]:
        said.append(
            f"Not alive from any start: {some(dict.fromkeys(silent), NAMED)}. That no image was "
            "found is no proof that there is none."
        )
    if 0 < photographs < FEW:
        said.append(
            f"{photographs} photographs are few: the shares of positions are a hint. Give more "
            "with images=folder images.root=PATH."
        )
    return said


WEAK = 0.999
"""Share of the photographs' positions that an image has to exceed, or it shows nothing new."""


@dataclass(frozen=True)
class OptimumSummary:
    """One image made for a unit.

    Attributes:
        name: the unit, such as `block4_conv3:17`.
        layer: its layer.
        filter: its filter; below zero for a layer as a whole.
        sample: which of several images of the unit, from 0.
        sign: 1 for what excites the unit most, -1 for what it most dislikes.
        image: uint8 `(height, width, 3)`, as saved.
        activation: the largest preactivation on that image; for a negative sign the smallest.
        activation_mean: the mean preactivation over the map of that image.
        activation_start: the mean preactivation of the image the ascent began with.
        score: what the objective gave at the last update.
        quantile: share of the photographs' positions whose preactivation lies below `activation`,
            from 0 to 1; None: not measured.
        alive: whether the unit responds to the image at all.
        attempt: how many starts it took.
        seconds: how long it took.
        curve: the score at each update of the last start.
        stopped: the update at which the ascent diverged, from 1; None: it did not.
        file: the image's path beside the page, such as `images/block4_conv3-17-0.png`.
        animation: the path of the ascent as an animated WebP, if there is one.
    """

    name: str
    layer: str
    filter: int
    sample: int
    sign: int
    image: np.ndarray
    activation: float
    activation_mean: float
    activation_start: float
    score: float
    quantile: float | None
    alive: bool
    attempt: int
    seconds: float
    curve: np.ndarray
    stopped: int | None
    file: str
    animation: str | None = None

    @property
    def slug(self) -> str:
        """What a link to this optimum is called: the file's name without its ending."""
        return PurePosixPath(self.file).stem

    @property
    def side(self) -> str:
        """What the image is for: "positive" where it excites the unit, otherwise "negative"."""
        return "positive" if self.sign > 0 else "negative"

    @property
    def exceeded(self) -> float | None:
        """The share of the photographs' positions that do more than this image, from 0 to 1."""
        if self.quantile is None:
            return None
        return 1 - self.quantile if self.sign > 0 else self.quantile

    @property
    def weak(self) -> bool:
        """Whether photographs excite the unit more than this image does (or inhibit it more)."""
        # Shares come in steps of one position; the small difference is only that of floats.
        return self.alive and (self.exceeded or 0) > 1 - WEAK + 1e-9

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands in the way of taking the image as it is, in a word each."""
        found = {"not alive": not self.alive, "weak": self.weak, "diverged": bool(self.stopped)}
        return tuple(word for word, holds in found.items() if holds)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The same as `marks`, as sentences."""
        more = "excite the unit more" if self.sign > 0 else "inhibit the unit more"
        sentences = {
            "not alive": "Not alive: the unit does not respond to this image, or to any before it.",
            "weak": f"Weak: photographs {more} than this image, so it is no evidence of what the "
            "unit responds to.",
            "diverged": f"Diverged at step {self.stopped}: the score was no number any more. The "
            "image is the last good one before.",
        }
        return tuple(sentences[mark] for mark in self.marks)

    def standing(self, positions: int | None = None) -> str:
        """Return in words how the activation compares with photographs.

        Args:
            positions: how many positions on photographs were looked at.
        """
        if self.exceeded is None:
            return "not compared with photographs"
        above = "above" if self.sign > 0 else "below"
        where = f"{positions:,} positions" if positions else "the positions"
        exceeding = round(self.exceeded * positions) if positions else None
        if exceeding == 0 or self.exceeded <= 0:
            return f"{above} all {where}" if positions else f"{above} all positions"
        if self.exceeded > 0.5:
            return f"{above} only {precise(1 - self.exceeded)} of {where}"
        if exceeding and exceeding < 10:
            return f"{above} all but {exceeding} of {where}"
        return f"{above} all but {precise(self.exceeded)} of {where}"


def by_unit(optima: Sequence[OptimumSummary]) -> list[list[OptimumSummary]]:
    """Return the optima of each unit, in the units' order; by sample, positive first."""
    places: dict[tuple[str, int], int] = {}
    for optimum in optima:
        places.setdefault((optimum.layer, optimum.filter), len(places))

    def place(optimum: OptimumSummary) -> int:
        return places[optimum.layer, optimum.filter]

    ordered = sorted(optima, key=lambda optimum: (place(optimum), optimum.sample, -optimum.sign))
    return [list(group) for _, group in groupby(ordered, place)]


def optima_sheet(optima: Sequence[OptimumSummary]) -> np.ndarray:
    """Return all images on one page that is about as tall as wide, uint8 `(height, width, 3)`.

    The images of a unit stand side by side: its samples in a row, what excites it before what it
    dislikes. Below each stand the filter and the activation, and in words what is to be said
    against it; an image that the unit does not respond to is faded.

    Raises:
        ValueError: there are no optima.
    """
    if not optima:
        raise ValueError("A contact sheet needs at least one image. Received: none.")
    units = by_unit(optima)
    both = len({optimum.sign for optimum in optima}) > 1
    samples = any(optimum.sample for optimum in optima)
    marked = any(optimum.marks for optimum in optima)
    # One unit alone fills the page as its images do; otherwise each unit is a block of one row.
    group = max(map(len, units)) if len(units) > 1 else 1 + both
    blocks = len(units) if len(units) > 1 else -(-len(optima) // group)
    longest = max(max(optimum.image.shape[:2]) for optimum in optima)
    columns, side = _arrangement(blocks, group, longest)
    images: list[np.ndarray | None] = []
    captions = []
    for unit in units:
        empty = -len(unit) % group
        images += [*map(_faded, unit), *[None] * empty]
        captions += [*(_caption(optimum, both, samples, marked) for optimum in unit), *[""] * empty]
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


def _faded(optimum: OptimumSummary) -> np.ndarray:
    """Return the image, without colour and nearly white if the unit does not respond to it."""
    if optimum.alive:
        return optimum.image
    grey = optimum.image.mean(-1, keepdims=True).repeat(3, axis=-1)
    return np.rint(255 - 0.35 * (255 - grey)).astype(np.uint8)


def _caption(optimum: OptimumSummary, both: bool, samples: bool, marked: bool) -> str:
    name = "whole" if optimum.filter < 0 else str(optimum.filter)
    name += f"-{optimum.sample}" if samples else ""
    first = f"{name}\t{number(optimum.activation, signed=both, digits=4)}"
    return f"{first}\n{', '.join(optimum.marks)}" if marked else first
