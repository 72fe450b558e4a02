"""What a histogram of float16 preactivations says: its values, quantiles and densities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.unit import Unit

# Bins hold the values whose float16 patterns share the upper 9 bits: sign, exponent and three bits
# of the mantissa. 248 of each sign are finite; magnitudes grow by an eighth of a power of two.
BINS, FINITE = 512, 248
MAGNITUDES = np.append(
    (np.arange(FINITE, dtype=np.uint16) << 7).view(np.float16).astype(np.float64), 2.0**16
)
EDGES = np.concatenate([-MAGNITUDES[:0:-1], MAGNITUDES])
"""Edges of all finite bins in the order of their values `(2 * 248 + 1,)`; zero in the middle."""


def ordered(histogram: np.ndarray) -> np.ndarray:
    """Return the finite bins of a histogram `(512,)` in the order of `EDGES` `(496,)`.

    Raises:
        ValueError: there are not 512 bins, or no position in the finite ones.
    """
    histogram = np.asarray(histogram)
    if histogram.shape != (BINS,):
        raise ValueError(f"A histogram has 512 bins. Received: shape={histogram.shape}.")
    negative, positive = histogram[256 : 256 + FINITE], histogram[:FINITE]
    counts = np.concatenate([negative[::-1], positive]).astype(np.float64)
    if not counts.sum():
        raise ValueError("A distribution needs a finite value. Received: a histogram of none.")
    return counts


def firing(histograms: np.ndarray) -> np.ndarray:
    """Return the share of positions above zero, exactly: zero has its place among those below.

    Args:
        histograms: positions in each bin `(..., 512)`.
    """
    shares: np.ndarray = histograms[..., : BINS // 2].sum(axis=-1) / histograms.sum(axis=-1)
    return shares


def below(histogram: np.ndarray, value: float) -> float:
    """Return the share of positions that lie below a value; even inside of its bin."""
    counts = np.concatenate([[0], np.cumsum(ordered(histogram))])
    return float(np.interp(value, EDGES, counts) / counts[-1])


def quantiles(histogram: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the values that these shares of the positions lie below; even inside of each bin."""
    counts = ordered(histogram)
    (filled,) = np.nonzero(counts)
    # Steps that hold nothing take no part: between two filled bins the quantile jumps.
    reached = np.cumsum(counts[filled]) / counts.sum()
    below = np.append(0, reached[:-1])
    places = np.searchsorted(reached, np.asarray(shares) - 1e-12)
    places = np.minimum(places, len(filled) - 1)
    low, high = EDGES[filled[places]], EDGES[filled[places] + 1]
    inside = (np.asarray(shares) - below[places]) / (reached[places] - below[places])
    return low + np.clip(inside, 0, 1) * (high - low)


def cells(histogram: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbouring bins joined until each is at least `width` wide: edges and counts.

    The bins near zero are far narrower than a drawing can show. Zero stays an edge; what is empty
    at both ends is left out.
    """
    steps = [0]
    while steps[-1] < FINITE:
        wide = np.searchsorted(MAGNITUDES, MAGNITUDES[steps[-1]] + width * (1 - 1e-9))
        steps.append(min(int(wide), FINITE))
    zero, outwards = len(steps) - 1, np.array(steps)
    places = FINITE + np.concatenate([-outwards[:0:-1], outwards])
    counts = np.add.reduceat(ordered(histogram), places[:-1])
    filled = np.flatnonzero(counts)
    first, last = min(filled[0], zero), max(filled[-1] + 1, zero)
    return EDGES[places[first : last + 1]], counts[first:last]


@dataclass(frozen=True)
class Peaks:
    """What every filter of a layer does on some photographs.

    Attributes:
        values: largest preactivation on each, float32 `(photographs, filters)`.
        rows: its row in the layer's map, likewise; the first of equal ones.
        columns: its column.
        means: mean preactivation over the map.
        histogram: positions in each bin, over these photographs, as the index has them
            `(filters, 512)`.
    """

    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    means: np.ndarray
    histogram: np.ndarray

    @property
    def count(self) -> int:
        """The positions in all, over the photographs."""
        return int(self.histogram[0].sum())

    @property
    def firing_rate(self) -> np.ndarray:
        """The share of positions at which each filter is above zero, exactly `(filters,)`."""
        return firing(self.histogram)

    def strongest(self, filter: int, count: int) -> np.ndarray:
        """Return the photographs with the highest peaks of a filter, strongest first."""
        return np.argsort(-self.values[:, filter], kind="stable")[:count]

    def positions(self, places: np.ndarray, filters: np.ndarray | int) -> np.ndarray:
        """Return (row, column) of the peak of a filter on each photograph `(places, 2)`."""
        return np.stack([self.rows[places, filters], self.columns[places, filters]], axis=1)


@dataclass(frozen=True)
class Observation:
    """What some photographs do to one layer and the layers before it.

    Attributes:
        peaks: {layer: what its filters do}.
        lowest: the smallest value of each input channel `(C,)`.
    """

    peaks: dict[str, Peaks]
    lowest: np.ndarray

    def below(self, unit: Unit, activation: float) -> float | None:
        """Return the share of positions at which a unit is less active; None: not observed."""
        if unit.layer not in self.peaks:
            return None
        peaks = self.peaks[unit.layer]
        if activation > peaks.values[:, unit.filter].max():
            return 1.0
        return below(peaks.histogram[unit.filter], activation)


def join(observations: Sequence[Observation]) -> Observation:
    """Return several batches' observations as one, in order."""
    peaks = {}
    for layer in observations[0].peaks:
        parts = [vars(one.peaks[layer]) for one in observations]
        peaks[layer] = Peaks(
            **{
                name: (np.sum if name == "histogram" else np.concatenate)(
                    [part[name] for part in parts], axis=0
                )
                for name in parts[0]
            }
        )
    return Observation(peaks, np.min([one.lowest for one in observations], axis=0))
