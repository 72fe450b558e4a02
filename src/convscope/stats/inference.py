"""Shares with intervals, many p at once, two-alternative forced choice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class ForcedChoice:
    """How a hypothesis guessed which of two photographs excites a filter more.

    One of each pair is among those that excite it most, the other is any of the rest, and all are
    held back from what the hypothesis was made of.

    Source: after the two-alternative test of Borowski et al., Exemplary natural images explain CNN
    activations better than state-of-the-art feature visualization, 2021.

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


SHARE = 0.1  # of the photographs: those that count as the ones that excite the filter most


def forced_choice(expected: np.ndarray, scores: np.ndarray) -> ForcedChoice | None:
    """Return how a hypothesis guesses; None where there is no pair of different scores.

    Each photograph is in one pair at most, so that pairs are independent.

    Args:
        expected: what it expects of each photograph `(N,)`, higher for more: 1 for members of the
            group and 0 for others.
        scores: of the photographs that were held back `(N,)`; NaN is left out.
    """
    known = np.flatnonzero(~np.isnan(scores))
    order = known[np.argsort(-scores[known], kind="stable")]
    count = int(SHARE * len(order))
    top, rest = order[:count], np.random.default_rng(0).permutation(order[count:])[:count]
    apart = scores[top] > scores[rest]
    if not apart.any():
        return None
    first, second = expected[top[apart]], expected[rest[apart]]
    coin = np.random.default_rng(0).random(len(first)) < 0.5
    tossed = first == second
    right = np.where(tossed, coin, first > second)
    return ForcedChoice(int(right.sum()), len(first), int(tossed.sum()))


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
