"""A game: told only the hypothesis, which of two photographs excites the filter more?

One of each pair is among those that excite it most, the other is any of the rest, and all are held
back from what the hypothesis was made of.

Source: after the two-alternative test of Borowski et al., Exemplary natural images explain CNN
activations better than state-of-the-art feature visualization, 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

COVERAGE = 0.95


@dataclass(frozen=True)
class Game:
    """How a hypothesis played.

    Attributes:
        right: pairs that it guessed right; a coin decides where it does not prefer either.
        pairs: pairs in all.
        tossed: pairs that a coin decided.
    """

    right: int
    pairs: int
    tossed: int

    @property
    def accuracy(self) -> float:
        """The share of pairs that it guessed right."""
        return self.right / self.pairs

    @property
    def p(self) -> float:
        """The chance that a coin alone guesses so many right."""
        test = stats.binomtest(self.right, self.pairs, 0.5, alternative="greater")
        return float(test.pvalue)

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval of the accuracy (Wilson's)."""
        test = stats.binomtest(self.right, self.pairs)
        ends = test.proportion_ci(COVERAGE, method="wilson")
        return float(ends.low), float(ends.high)


def pairs(scores: np.ndarray, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return pairs of photographs `(pairs, 2)`, the one that excites the filter most first.

    Each photograph is in one pair at most, so that pairs are independent.

    Args:
        scores: of the photographs that were held back `(N,)`; NaN is left out.
        share: of them that count as those that excite it most, at most a half.
        seed: of the draw of the others.
    """
    if not 0 < share <= 0.5:
        raise ValueError(f"share={share} does not fit. It lies above 0 and is at most 0.5.")
    known = np.flatnonzero(~np.isnan(scores))
    order = known[np.argsort(-scores[known], kind="stable")]
    count = int(share * len(order))
    if not count:
        raise ValueError(
            f"{len(order)} photographs are too few: {share:g} of them are none. Give more."
        )
    random = np.random.default_rng(seed)
    top, rest = order[:count], random.permutation(order[count:])[:count]
    apart = scores[top] > scores[rest]
    return np.stack([top, rest], axis=1)[apart]


def play(expected: np.ndarray, pairs: np.ndarray, seed: int = 0) -> Game:
    """Return how a hypothesis guesses.

    Args:
        expected: what it expects of each photograph `(N,)`, higher for more: 1 for members of the
            group and 0 for others, or what `nearness` says.
        pairs: `(pairs, 2)`, as `pairs` makes them; one or more.
        seed: of the coin.
    """
    if not len(pairs):
        raise ValueError("There are no pairs to guess: all scores are equal. Give other scores.")
    first, second = expected[pairs[:, 0]], expected[pairs[:, 1]]
    coin = np.random.default_rng(seed).random(len(pairs)) < 0.5
    tossed = first == second
    right = np.where(tossed, coin, first > second)
    return Game(int(right.sum()), len(pairs), int(tossed.sum()))


def nearness(features: np.ndarray, exemplars: np.ndarray) -> np.ndarray:
    """Return how near each photograph is to the nearest exemplar `(N,)`, by cosine.

    Args:
        features: of the photographs that were held back `(N, D)`.
        exemplars: of those that the hypothesis was made of `(m, D)`.
    """

    def directed(values: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return np.divide(values, length, out=np.zeros_like(values, np.float64), where=length > 0)

    nearest: np.ndarray = (directed(features) @ directed(exemplars).T).max(axis=1)
    return nearest


Z = 1.959963984540054  # of a normal distribution, 95 % lie within so many deviations


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which `hits` of `total` were observed.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It
    holds its level for few photographs too, and never leaves 0 to 1.

    Raises:
        ValueError: there are fewer than 0 hits, or more than there can be.
    """
    if not 0 <= hits <= total or total < 1:
        raise ValueError(f"{hits} of {total} is no share. Hits are 0 to the total, which is 1 up.")
    share, spread = hits / total, Z * Z / total
    middle = (share + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    # What rounding leaves of nothing: the ends are exact where all or none are hits.
    low = 0.0 if hits == 0 else max(middle - reach, 0.0)
    return low, 1.0 if hits == total else min(middle + reach, 1.0)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p `(n,)` adjusted so that any error among them all is as rare as each says.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 1979.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)
