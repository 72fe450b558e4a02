"""An optimum as it is shown: the image, what it does, how it came about, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

import numpy as np

from convscope.report.figures.canvas import number

WEAK = 0.999
"""Share of the photographs' positions that an image has to exceed, or it shows nothing new."""


@dataclass(frozen=True)
class Card:
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
        """What a link to this card is called: the file's name without its ending."""
        return PurePosixPath(self.file).stem

    @property
    def side(self) -> str:
        """What the image is for: "positive" where it excites the unit, otherwise "negative"."""
        return "positive" if self.sign > 0 else "negative"

    @property
    def beyond(self) -> float | None:
        """The share of the photographs' positions that do more than this image, from 0 to 1."""
        if self.quantile is None:
            return None
        return 1 - self.quantile if self.sign > 0 else self.quantile

    @property
    def weak(self) -> bool:
        """Whether photographs excite the unit more than this image does (or inhibit it more)."""
        # Shares come in steps of one position; the small difference is only that of floats.
        return self.alive and (self.beyond or 0) > 1 - WEAK + 1e-9

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
        if self.beyond is None:
            return "not compared with photographs"
        above = "above" if self.sign > 0 else "below"
        where = f"{positions:,} positions" if positions else "the positions"
        exceeding = round(self.beyond * positions) if positions else None
        if exceeding == 0 or self.beyond <= 0:
            return f"{above} all {where}" if positions else f"{above} all positions"
        if self.beyond > 0.5:
            return f"{above} only {_percent(1 - self.beyond)} of {where}"
        if exceeding and exceeding < 10:
            return f"{above} all but {exceeding} of {where}"
        return f"{above} all but {_percent(self.beyond)} of {where}"


def by_unit(cards: Sequence[Card]) -> list[list[Card]]:
    """Return the cards of each unit, in the units' order; samples count up, positive ones first."""
    places: dict[tuple[str, int], int] = {}
    for card in cards:
        places.setdefault((card.layer, card.filter), len(places))

    def place(card: Card) -> int:
        return places[card.layer, card.filter]

    ordered = sorted(cards, key=lambda card: (place(card), card.sample, -card.sign))
    return [list(group) for _, group in groupby(ordered, place)]


def _percent(share: float) -> str:
    return f"{number(100 * share, digits=2)}\N{NO-BREAK SPACE}%"
