"""What is said about one filter among all of a layer: figures, its best group, nine crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from convscope.data.splits import LEVEL
from convscope.report.figures.canvas import PAPER

CROPS = 9
"""That a filter is shown by."""
GRAIN = 4
"""Enlargement from which a crop is shown as the pixels it has."""
MARKS = ("selective", "avoiding", "silent")
"""What can be said about a filter in a word."""


@dataclass(frozen=True)
class UnitSummary:
    """One filter among all of its layer.

    Attributes:
        layer: its layer.
        filter: its number.
        firing_rate: share of the positions on photographs whose preactivation is above zero.
        sparseness: from 0, where it responds alike to all photographs, to 1, where to few; None:
            to none.
        activation: its largest peak on any photograph.
        best: the class or group that stands out most; None: there is none. The figures below are
            about it.
        side: whether the filter fires for `best` or avoids it.
        auroc: chance that a photograph of `best` excites the filter more than another does.
        low: lower end of its 95 % interval.
        high: upper end.
        q: its false discovery rate; None: not tested.
        avoids: what the filter avoids most; None: nothing.
        words: names of all groups that it fires for, those above them in the taxonomy included.
        crops: the receptive fields that excite it most, one of each photograph, strongest first,
            uint8 `(height, width, 3)` of any size; nine at most.
        labels: the class of each crop's photograph, where it is known.
        activations: the preactivation at each crop.
    """

    layer: str
    filter: int
    firing_rate: float
    sparseness: float | None
    activation: float
    best: str | None
    side: Literal["fires", "avoids"]
    auroc: float | None
    low: float | None
    high: float | None
    q: float | None
    avoids: str | None
    words: tuple[str, ...]
    crops: tuple[np.ndarray, ...]
    labels: tuple[str | None, ...]
    activations: tuple[float, ...]

    @property
    def name(self) -> str:
        """The unit, such as `block4_conv3:17`."""
        return f"{self.layer}:{self.filter}"

    @property
    def slug(self) -> str:
        """What a link to this filter is called."""
        return f"{self.layer}-{self.filter}"

    @property
    def significant(self) -> bool:
        """Whether its best group is more than chance would find."""
        return self.best is not None and self.q is not None and self.q < LEVEL

    @property
    def selective(self) -> bool:
        """Whether it fires for its best group."""
        return self.significant and self.side == "fires"

    @property
    def silent(self) -> bool:
        """Whether no photograph excites it anywhere."""
        return not self.firing_rate > 0

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups that it fires for, the best first, each once."""
        best = (self.best,) if self.selective and self.best else ()
        return tuple(dict.fromkeys((*best, *self.words)))

    @property
    def marks(self) -> tuple[str, ...]:
        """What a search finds it by beside its number and its groups."""
        found = self.selective, self.avoids is not None, self.silent
        return tuple(word for word, holds in zip(MARKS, found, strict=True) if holds)


def mosaic(crops: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Return up to nine crops as a quilt of three rows, uint8 `(side, side, 3)`.

    Each fills its square: of one that is longer, as the picture's edge has cut the field short, the
    ends are left out and the middle is kept, where the position that responds is. Crops of a few
    pixels are enlarged as the pixels they are. Where there is no crop, the paper is left.

    Args:
        crops: uint8 `(height, width, 3)` of any size, strongest first.
        side: pixels of the quilt.

    Raises:
        ValueError: there are more than nine crops, or fewer pixels than three.
    """
    if len(crops) > CROPS or side < 3:
        message = f"A quilt has room for {CROPS} crops on a side of at least 3 pixels."
        raise ValueError(f"{message} Received: {len(crops)} crops, side={side}.")
    quilt = Image.new("RGB", (side, side), PAPER)
    edges = [round(side * third / 3) for third in range(4)]
    for place, crop in enumerate(crops):
        row, column = divmod(place, 3)
        size = edges[column + 1] - edges[column], edges[row + 1] - edges[row]
        enlarged = max(size) / min(crop.shape[:2])
        how = Image.Resampling.NEAREST if enlarged >= GRAIN else Image.Resampling.LANCZOS
        fitted = ImageOps.fit(Image.fromarray(crop), size, how)
        quilt.paste(fitted, (edges[column], edges[row]))
    return np.asarray(quilt)


def rows(units: Sequence[UnitSummary]) -> list[dict[str, object]]:
    """Return the rows of `units.csv`."""
    return [
        {
            "layer": unit.layer,
            "filter": unit.filter,
            "firing_rate": unit.firing_rate,
            "sparseness": unit.sparseness,
            "activation": unit.activation,
            "group": unit.best,
            "side": unit.side if unit.best is not None else None,
            "auroc": unit.auroc,
            "low": unit.low,
            "high": unit.high,
            "q": unit.q,
            "avoids": unit.avoids,
        }
        for unit in units
    ]
