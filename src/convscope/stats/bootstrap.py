"""Intervals by drawing photographs again and again, since positions of one are no new evidence."""

from __future__ import annotations

import numpy as np

COVERAGE = 0.95
DRAWS = 1000


def draws(photographs: int, seed: int, count: int = DRAWS) -> np.ndarray:
    """Return how often each photograph is drawn, float64 `(draws, photographs)`.

    Each draw takes as many photographs as there are, with replacement.
    """
    even = np.full(photographs, 1 / photographs)
    found = np.random.default_rng(seed).multinomial(photographs, even, size=count)
    return found.astype(np.float64)


def sums(values: np.ndarray, of: np.ndarray, photographs: int) -> np.ndarray:
    """Return the sum of values `(n, ...)` over each photograph, float64 `(photographs, ...)`.

    Args:
        values: one for each position.
        of: the photograph of each `(n,)`, in ascending order.
        photographs: how many there are.
    """
    ends = np.searchsorted(of, np.arange(photographs + 1))
    total = np.zeros((photographs, *values.shape[1:]))
    filled = np.flatnonzero(np.diff(ends))
    if len(filled):
        total[filled] = np.add.reduceat(values, ends[filled], axis=0, dtype=np.float64)
    return total


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the middle 95 % of the draws begin and end, over the first axis.

    A draw without a value, as one in which no photograph has a strong response, does not count;
    where none has one the ends are NaN.
    """
    tail = (1 - COVERAGE) / 2
    finite = np.isfinite(values)
    gone = ~finite.any(axis=0)
    quantile = np.quantile if finite.all() else np.nanquantile
    filled = np.where(gone, 0.0, np.where(finite, values, np.nan))
    low, high = np.where(gone, np.nan, quantile(filled, [tail, 1 - tail], axis=0))
    return low, high
