"""Intervals by drawing photographs again and again, since positions of one are no new evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

COVERAGE = 0.95
DRAWS = 1000


def draws(photographs: int, seed: int, count: int = DRAWS) -> np.ndarray:
    """Return how often each photograph is drawn, float64 `(draws, photographs)`.

    Each draw takes as many photographs as there are, with replacement.
    """
    even = np.full(photographs, 1 / photographs)
    random = np.random.default_rng(seed)
    return random.multinomial(photographs, even, size=count).astype(np.float64)


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


def counts(images: int) -> np.ndarray:
    """Return how often each photograph counts: once, as often as it is drawn, all without one.

    Returns:
        `(1 + draws + images, images)`: a row of ones, the bootstrap, the jackknife.
    """
    drawn = np.random.default_rng(0).integers(images, size=(DRAWS, images))
    found = [np.bincount(row, minlength=images) for row in drawn]
    return np.concatenate([np.ones((1, images)), found, 1 - np.eye(images)], dtype=np.float64)


@dataclass(frozen=True)
class Bootstrap:
    """A number as it is, and as it would be with other photographs.

    The interval has the bias and the skewness of the draws taken off (BCa) and the tails of
    Student's t, so that it is not too narrow for few photographs, and for a mean about the t
    interval.

    Sources: Efron, Better bootstrap confidence intervals, JASA 1987; Hesterberg, What teachers
    should know about the bootstrap, The American Statistician 2015 (section 5.3, the tails).

    Attributes:
        value: the number itself `(...)`.
        draws: of the bootstrap `(draws, ...)`; NaN where it cannot be told.
        images: the photographs that carry it.
        left: without each photograph `(photographs, ...)`; None: not known, so that nothing is
            taken off.
    """

    value: np.ndarray
    draws: np.ndarray
    images: int
    left: np.ndarray | None = None

    def interval(self, coverage: float = COVERAGE, sides: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return its ends `(...)`.

        Args:
            coverage: of the interval.
            sides: upper ends among which the smallest is taken later; they share the upper tail.
        """
        tail = (1 - coverage) / 2
        return self._quantile(self._reach(tail)), self._quantile(-self._reach(tail / sides))

    def above(self, bound: float) -> np.ndarray:
        """Return the one-sided p `(...)` that the truth is no larger than a bound."""
        known = np.sum(~np.isnan(self.draws), axis=0)
        share = (1 + np.sum(self.draws <= bound, axis=0)) / (1 + known)
        share = np.minimum(share, 1 - 1 / (1 + known))
        reach = special.ndtri(share) - self._bias
        reach = reach / (1 + self._skew * reach) - self._bias
        return special.stdtr(max(self.images - 1, 1), reach * np.sqrt(1 - 1 / self.images))

    def below(self, bound: float) -> np.ndarray:
        """Return the one-sided p `(...)` that the truth is no smaller than a bound."""
        left = None if self.left is None else -self.left
        return Bootstrap(-self.value, -self.draws, self.images, left).above(-bound)

    def _reach(self, tail: float) -> float:
        """Return how many standard errors of the draws leave this lower tail."""
        freedom = max(self.images - 1, 1)
        return float(special.stdtrit(freedom, tail) * np.sqrt(self.images / freedom))

    def _quantile(self, reach: float) -> np.ndarray:
        reaches = self._bias + reach
        share = special.ndtr(self._bias + reaches / np.maximum(1 - self._skew * reaches, 1e-9))
        flat = self.draws.reshape(len(self.draws), -1)
        found = [
            np.nanquantile(column, one) for column, one in zip(flat.T, np.ravel(share), strict=True)
        ]
        return np.reshape(found, self.draws.shape[1:])

    @cached_property
    def _bias(self) -> np.ndarray:
        """By how many standard errors the median of the draws lies below the value."""
        if self.left is None:
            return np.zeros(self.draws.shape[1:])
        known = np.sum(~np.isnan(self.draws), axis=0)
        lower = np.sum(self.draws < self.value, axis=0)
        equal = np.sum(self.draws == self.value, axis=0)
        share = (lower + equal / 2 + 0.5) / (known + 1)
        return special.ndtri(share)

    @cached_property
    def _skew(self) -> np.ndarray:
        """A sixth of the skewness of what each photograph contributes."""
        if self.left is None:
            return np.zeros(self.draws.shape[1:])
        moved = np.nanmean(self.left, axis=0) - self.left
        spread = np.nansum(moved**2, axis=0) ** 1.5
        third = np.nansum(moved**3, axis=0)
        return np.divide(third, 6 * spread, out=np.zeros_like(third), where=spread > 0)


def resampled(values: np.ndarray, images: int) -> Bootstrap:
    """Return what was computed with each row of `counts`.

    Args:
        values: `(1 + draws + photographs, ...)`.
        images: the photographs that carry it, at most all that are drawn from.
    """
    return Bootstrap(values[0], values[1 : 1 + DRAWS], images, values[1 + DRAWS :])
