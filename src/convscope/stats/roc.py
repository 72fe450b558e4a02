"""Areas under the ROC curve: how far the scores of some images lie above those of all the others.

Everything follows from one ranking of the scores, so that a thousand classes cost little more than
one. Images come ordered by class: `codes` counts the classes up from 0, and none is without image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb

import numpy as np
from scipy import special

TAIL = 0.975  # where a 95 % interval ends
EXACT_SIZE = 8  # scipy's: with a sample up to this size and no ties its p is exact
EXACT_PAIRS = 2**20  # beyond, with so many others, the exact distribution is long and near normal
HALVINGS = 40  # of an interval of length 1


@dataclass(frozen=True)
class Ranking:
    """Scores in ascending order.

    Attributes:
        levels: which of the K different scores each image has `(n,)`, 0 for the lowest.
        sizes: the images at each level `(K,)`.
    """

    levels: np.ndarray
    sizes: np.ndarray

    @cached_property
    def placed(self) -> np.ndarray:
        """The images below each level `(K,)`, those at it counted half."""
        return np.cumsum(self.sizes) - self.sizes / 2

    @property
    def midranks(self) -> np.ndarray:
        """The rank of each image `(n,)`, from 1; equal scores share the mean of their ranks."""
        return self.placed[self.levels] + 0.5

    @property
    def normal(self) -> np.ndarray:
        """Van der Waerden's normal scores `(n,)`: the ranks spread like a normal distribution."""
        return special.ndtri(self.midranks / (len(self.levels) + 1))

    @property
    def ties(self) -> float:
        """The sum of `t^3 - t` over the levels, t images each; 0 where all scores differ."""
        sizes = self.sizes.astype(np.float64)
        return float(np.sum(sizes**3 - sizes))


@dataclass(frozen=True)
class Area:
    """AUROCs with the two parts of their variance; arrays, one value for each class or group.

    Attributes:
        auroc: the share of pairs that the own image wins, ties half.
        inside: the part of the variance that the own images bring.
        outside: the part that the others bring.
        units: independent units (images or classes) inside.
        others: independent units outside.
        images: images inside.
        rest: images outside.
    """

    auroc: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    units: np.ndarray
    others: np.ndarray
    images: np.ndarray
    rest: np.ndarray

    def of(self, places: np.ndarray) -> Area:
        """Return the values of the classes or groups at these places."""
        return Area(**{name: values[places] for name, values in vars(self).items()})


def ranking(scores: np.ndarray) -> Ranking:
    """Return the order of scores `(n,)`, none of them NaN."""
    _, levels, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    return Ranking(levels, sizes)


def aurocs(sums: np.ndarray, counts: np.ndarray, total: int) -> np.ndarray:
    """Return the AUROC against the rest of sets with these sums of midranks and these sizes."""
    return (sums - counts * (counts + 1) / 2) / (counts * (total - counts))


def mann_whitney(order: Ranking, codes: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return the two-sided p of each tested class against all other images, `(tested,)`.

    The figures are those of `scipy.stats.mannwhitneyu` with its own choice of method: normal with
    corrections for ties and continuity, or exact for at most eight images and no ties. Only where
    the exact distribution would be too long (`EXACT_PAIRS`) the normal one stands in for it.
    scipy itself would rank all the images again for each class.
    """
    total = len(codes)
    ranks = order.midranks
    count = np.bincount(codes)[tested].astype(np.float64)
    sums = np.bincount(codes, ranks)[tested]
    pairs = count * (total - count)
    won = sums - count * (count + 1) / 2
    spread = np.sqrt(pairs / 12 * (total + 1 - order.ties / (total * (total - 1))))
    with np.errstate(divide="ignore"):
        z = (np.maximum(won, pairs - won) - pairs / 2 - 0.5) / spread
    p = np.clip(2 * special.ndtr(-z), 0, 1)
    few = np.minimum(count, total - count)
    if not order.ties:
        for place in np.flatnonzero((few <= EXACT_SIZE) & (pairs <= EXACT_PAIRS)):
            tails = _tails(int(few[place]), int(total - few[place]))
            p[place] = min(1, 2 * tails[int(min(won[place], pairs[place] - won[place]))])
    return p


def by_image(order: Ranking, codes: np.ndarray) -> Area:
    """Return the AUROC of every class against the rest, images taken as independent.

    A class's share of the images below a score is a staircase with a step at each of its own
    images. So the squares over all others are summed stair by stair and not image by image.

    Source: DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated
    receiver operating characteristic curves, Biometrics 1988.
    """
    total = len(codes)
    stairs, height = np.unique(codes * len(order.sizes) + order.levels, return_counts=True)
    owner, level = np.divmod(stairs, len(order.sizes))
    count = np.bincount(owner, height)
    rest = total - count
    start = np.cumsum(height) - height - (np.cumsum(count) - count)[owner]
    beaten = (order.placed[level] - start - height / 2) / rest[owner]
    auroc = np.bincount(owner, height * beaten) / count
    inside = np.bincount(owner, height * (beaten - auroc[owner]) ** 2)

    first = np.append(True, owner[1:] != owner[:-1])
    last = np.append(first[1:], True)
    reached = np.cumsum(order.sizes)
    under = reached - order.sizes
    between = np.where(last, total, np.append(under[level[1:]], total)) - reached[level]
    lost = 1 - auroc[owner]
    squares = (order.sizes[level] - height) * ((start + height / 2) / count[owner] - lost) ** 2
    squares += between * ((start + height) / count[owner] - lost) ** 2
    squares += first * under[level] * lost**2
    outside = np.bincount(owner, squares)
    within, without = (
        squares / (np.maximum(size - 1, 1) * size)  # 0 for a single value
        for squares, size in ((inside, count), (outside, rest))
    )
    return Area(auroc, within, without, count, rest, count, rest)


def by_class(order: Ranking, codes: np.ndarray, members: np.ndarray) -> Area:
    """Return the AUROC of each group of classes against the rest, classes taken as independent.

    With one image of each class it is DeLong's variance.

    Source: Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 1997.

    Args:
        order: the ranking of the images.
        codes: the class of each image.
        members: bool `(groups, classes)`; no group holds all classes or none.
    """
    counts = np.bincount(codes).astype(np.float64)
    starts = np.searchsorted(codes, np.arange(len(counts)))
    ranks = np.add.reduceat(order.placed[order.levels], starts)
    found = []
    for own in members:
        sizes = np.bincount(order.levels[own[codes]], minlength=len(order.sizes))
        # For each class: how many images of the group lie below its images, all together.
        below = np.add.reduceat((np.cumsum(sizes) - sizes / 2)[order.levels], starts)
        count, rest = counts[own].sum(), counts[~own].sum()
        won = (ranks - below)[own] / rest
        lost = counts[~own] - below[~own] / count
        auroc = won.sum() / count
        within = _cluster_variance(won - counts[own] * auroc, count)
        found.append((auroc, within, _cluster_variance(lost - counts[~own] * auroc, rest)))
    units, images = members.sum(axis=1), members @ counts
    auroc, inside, outside = np.reshape(found, (-1, 3)).T
    others, rest = len(counts) - units, len(codes) - images
    return Area(auroc, inside, outside, units, others, images, rest)


def interval(area: Area) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper ends of the 95 % intervals; never outside [0, 1], never empty.

    It is symmetric on the logit scale, with Student's t for the few units (Satterthwaite's degrees
    of freedom, as in Brunner and Munzel's test). Where all own images lie above all others, the
    variance is 0 and says nothing; so the interval also covers Newcombe's, whose variance hangs on
    the AUROC and the numbers of images alone.

    Sources: Perme and Manevski, Confidence intervals for the Mann-Whitney test, Statistical Methods
    in Medical Research 2018 (logit); Brunner and Munzel, The nonparametric Behrens-Fisher problem,
    Biometrical Journal 2000; Newcombe, Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic, part 2, Statistics in Medicine 2006 (method 5).
    """
    low, high = _newcombe(area)
    variance = area.inside + area.outside
    inner = (area.auroc > 0) & (area.auroc < 1) & (variance > 0)
    part, spread = area.of(inner), np.sqrt(variance[inner])
    freedom = variance[inner] ** 2 / (
        part.inside**2 / np.maximum(part.units - 1, 1)
        + part.outside**2 / np.maximum(part.others - 1, 1)
    )
    middle = special.logit(part.auroc)
    reach = special.stdtrit(freedom, TAIL) * spread / (part.auroc * (1 - part.auroc))
    low[inner] = np.minimum(low[inner], special.expit(middle - reach))
    high[inner] = np.maximum(high[inner], special.expit(middle + reach))
    return low, high


def hedges(
    counts: np.ndarray, totals: np.ndarray, squares: np.ndarray, members: np.ndarray
) -> np.ndarray:
    """Return Hedges' g of each set of classes against the rest `(sets,)`.

    Where neither side varies it is 0, or infinite if they differ.

    Source: Hedges, Distribution theory for Glass's estimator of effect size and related
    estimators, Journal of Educational Statistics 1981.

    Args:
        counts: images of each class `(classes,)`.
        totals: the sum of their scores.
        squares: the sum of the squares of their scores.
        members: bool `(sets, classes)`.
    """
    inside, outside = (
        tuple(part.astype(np.float64) @ values for values in (counts, totals, squares))
        for part in (members, ~members)
    )
    gap = inside[1] / inside[0] - outside[1] / outside[0]
    left = sum(square - total**2 / count for count, total, square in (inside, outside))
    freedom = inside[0] + outside[0] - 2
    # What float64 leaves of equal scores is no spread.
    level = np.finfo(np.float64).eps * (inside[2] + outside[2]) * freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        g = gap / np.sqrt(np.where(left > level, left, 0) / freedom)
    g[np.abs(gap) <= np.sqrt(level)] = 0
    return g * (1 - 3 / (4 * freedom - 1))


@lru_cache(maxsize=64)
def _tails(few: int, many: int) -> np.ndarray:
    """Return the chance that a sample of `few` wins at most u pairs, for u up to half of them.

    The ways to win u pairs are the coefficients of a Gaussian binomial, the product over i of
    (1 - q^(many + i)) / (1 - q^i).
    """
    size = few * many // 2 + 1
    ways = np.zeros(size)
    ways[0] = 1
    for step in range(1, few + 1):
        ways[many + step :] -= ways[: max(0, size - many - step)].copy()
        filled = np.pad(ways, (0, -size % step)).reshape(-1, step)
        ways = np.cumsum(filled, axis=0).ravel()[:size]
    return np.cumsum(ways) / comb(few + many, few)


def _cluster_variance(deviations: np.ndarray, images: float) -> float:
    units = len(deviations)
    return units / max(units - 1, 1) * float(deviations @ deviations) / images**2


def _newcombe(area: Area) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends at which the AUROC lies just 1.96 standard errors away, found by halving."""
    pairs = area.images * area.rest
    size = (area.images + area.rest) / 2 - 1
    z = special.ndtri(TAIL)

    def within(value: np.ndarray) -> np.ndarray:
        share = (1 - value) / (2 - value) + value / (1 + value)
        return (value - area.auroc) ** 2 <= z**2 * value * (1 - value) * (1 + size * share) / pairs

    ends = []
    for bound in (0.0, 1.0):
        near, far = area.auroc.astype(np.float64), np.full(len(area.auroc), bound)
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            inside = within(middle)
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        ends.append(near)
    return ends[0], ends[1]
