"""What a histogram of float16 preactivations says: its values, quantiles and densities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Bins hold the values whose float16 patterns share the upper 9 bits: sign, exponent and three bits
# of the mantissa. 248 of each sign are finite; magnitudes grow by an eighth of a power of two.
FINITE = 248
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
    if histogram.shape != (512,):
        raise ValueError(f"A histogram has 512 bins. Received: shape={histogram.shape}.")
    negative, positive = histogram[256 : 256 + FINITE], histogram[:FINITE]
    counts = np.concatenate([negative[::-1], positive]).astype(np.float64)
    if not counts.sum():
        raise ValueError("A distribution needs a finite value. Received: a histogram of none.")
    return counts


def firing(histogram: np.ndarray) -> float:
    """Return the share of positions above zero, exactly: zero has its place among those below."""
    counts = ordered(histogram)
    return float(counts[FINITE:].sum() / counts.sum())


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
    counts = ordered(histogram)
    sides = []
    for sign in (-1, 1):
        magnitudes, side = MAGNITUDES, counts[FINITE:] if sign > 0 else counts[:FINITE][::-1]
        kept = [0]
        while kept[-1] < FINITE:
            wide = np.searchsorted(magnitudes, magnitudes[kept[-1]] + width * (1 - 1e-9))
            kept.append(min(int(wide), FINITE))
        sums = np.add.reduceat(side, kept[:-1])
        last = np.flatnonzero(sums)[-1] + 1 if sums.any() else 0
        sides.append((sign * magnitudes[kept[: last + 1]], sums[:last]))
    (below, fewer), (above, more) = sides
    return np.concatenate([below[:0:-1], above]), np.concatenate([fewer[::-1], more])
