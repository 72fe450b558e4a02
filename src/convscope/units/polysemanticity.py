"""Whether the photographs that excite a unit fall into groups, and whether those mean one thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.data.wordnet import lin, taxonomy

MONO, MULTI = "mono-faceted (no split found)", "multifaceted (union over cases)"
POLY, UNDECIDED = "polysemantic", "undecided"

FEWEST, ENOUGH = 12, 30
"""Exemplars that can be split at all, and those of which no split says that there is none."""

ALPHA, STABLE, CLOSE = 0.05, 0.5, 0.5
"""What p is small, what adjusted Rand index is stable, what Lin similarity, across over within,
is close."""

SMALLEST = 0.1
"""The share of the smaller group below which it is a few odd exemplars, no group."""

DIMENSIONS, STARTS, STEPS = 20, 6, 30
"""Principal axes at most; starts of 2-means, the best of which counts; its steps at most."""


@dataclass(frozen=True)
class Split:
    """The best division of exemplars into two groups, and how good it would be of one Gaussian.

    Attributes:
        groups: 0 or 1 for each exemplar, the larger group 0 `(count,)`.
        index: what 2-means leaves of the summed squares, from 0 to 1: small for two groups.
        sharpness: what 2-means explains of them over what the longest axis does: 1 for two points,
            2 / pi for one long Gaussian.
        null: its mean over draws of one Gaussian with the same mean and variances.
        p: the share of those draws that are as sharp.
        stability: mean adjusted Rand index with the divisions of bootstrap samples.
        poly: 1 - mean cosine across groups / mean cosine within them.
        poly_null: its mean over the draws.
        dimensions: principal axes that were kept.
    """

    groups: np.ndarray
    index: float
    sharpness: float
    null: float
    p: float
    stability: float
    poly: float
    poly_null: float
    dimensions: int

    @property
    def smaller(self) -> float:
        """The share of the smaller group."""
        return float(self.groups.mean())


@dataclass(frozen=True)
class Meaning:
    """How alike the classes of two groups are in WordNet.

    Attributes:
        within: mean Lin similarity of pairs in one group.
        across: that of pairs in two groups.
        p: the share of exchanged groups that are as far apart.
        known: exemplars with a class of ImageNet.
    """

    within: float
    across: float
    p: float
    known: int

    @property
    def ratio(self) -> float:
        """Across over within; below `CLOSE` the groups mean different things."""
        return self.across / self.within if self.within else math.nan


def split(vectors: np.ndarray, seed: int, draws: int = 500, boots: int = 100) -> Split | None:
    """Return the best division of exemplars into two groups, tested against one Gaussian.

    Vectors count by their direction alone, in their first principal axes. The Gaussian has the
    mean and the variances of the vectors, and its draws become directions as they do: one with a
    single long axis around zero has two directions, and is still no two groups. What is compared
    is not the cluster index itself, which varies with the length of a draw's longest axis, but what
    the groups explain over what that axis does. Of exemplars of two filters of VGG16 that were
    added up, the index finds 4 in 10, this 9 in 10.

    Args:
        vectors: what stands for each exemplar, such as its inputs' contributions less their means
            `(count, C)`. Those without length are an error.
        seed: of draws, starts and bootstrap samples.
        draws: of the Gaussian.
        boots: bootstrap samples.

    Returns:
        None for fewer than 12 exemplars, or exemplars that are all the same.

    Source: after Liu, Hayes, Nobel and Marron, "Statistical Significance of Clustering for
    High-Dimension, Low-Sample Size Data", 2008.
    """
    if len(vectors) < FEWEST:
        return None
    if not (np.isfinite(vectors).all() and vectors.any(axis=1).all()):
        raise ValueError("Each exemplar needs a vector of finite length above zero.")
    random = np.random.default_rng(seed)
    middle = vectors.mean(axis=0, dtype=np.float64)
    _, spread, axes = np.linalg.svd(vectors - middle, full_matrices=False)
    kept = min(DIMENSIONS, len(vectors) // 3, int(np.sum(spread > 1e-9 * np.abs(middle).max())))
    if not kept:
        return None
    # Where the mean lies along the axes kept, and all that is left of it as one axis more.
    along = axes[:kept] @ middle
    along = np.append(along, math.sqrt(max(float(middle @ middle - along @ along), 0.0)))
    points = np.pad((vectors - middle) @ axes[:kept].T, ((0, 0), (0, 1))) + along
    deviations = np.append(spread[:kept], 0.0) / math.sqrt(len(vectors))
    gaussian = random.standard_normal((draws, *points.shape)) * deviations + along
    beyond = float((spread[kept:] ** 2).sum() / len(vectors))
    units, drawn = _directions(points[None], beyond), _directions(gaussian, beyond)
    index, sharpness, groups = _two_means(units, random)
    _, null, parted = _two_means(drawn, random)
    return Split(
        groups=groups[0],
        index=float(index[0]),
        sharpness=float(sharpness[0]),
        null=float(null.mean()),
        p=float((1 + np.sum(null >= sharpness[0])) / (1 + draws)),
        stability=_stability(units[0], groups[0], boots, random),
        poly=float(_poly(units, groups)[0]),
        poly_null=float(_poly(drawn, parted).mean()),
        dimensions=kept,
    )


def meaning(
    groups: np.ndarray, keys: Sequence[str | None], seed: int, draws: int = 999
) -> Meaning | None:
    """Return how alike the classes of two groups are.

    Args:
        groups: 0 or 1 for each exemplar.
        keys: their classes; others than synsets of ImageNet's taxonomy are left out.
        seed: of the exchanges.
        draws: exchanges of exemplars between the groups.

    Returns:
        None where a group has fewer than two exemplars with a known class.
    """
    known = np.array([at for at, key in enumerate(keys) if key and key in taxonomy().words], int)
    mine = groups[known].astype(bool) if len(known) else np.zeros(0, bool)
    if min(mine.sum(), (~mine).sum()) < 2:
        return None
    names = [str(keys[at]) for at in known]
    alike = np.array([[lin(one, other) for other in names] for one in names])
    random = np.random.default_rng(seed)
    shuffled = random.permuted(np.tile(mine, (draws + 1, 1)), axis=1)
    shuffled[0] = mine
    cross = shuffled[:, :, None] != shuffled[:, None, :]
    apart = np.triu(np.ones_like(alike, dtype=bool), 1)
    across = (alike * (cross & apart)).sum(axis=(1, 2)) / (cross & apart).sum(axis=(1, 2))
    inside = ~cross[0] & apart
    p = float(np.sum(across <= across[0] + 1e-12) / (1 + draws))
    return Meaning(float(alike[inside].mean()), float(across[0]), p, len(known))


def verdict(found: Split | None, meant: Meaning | None) -> tuple[str, str]:
    """Return the word for a unit, and the rule and numbers that led to it."""
    if found is None:
        return UNDECIDED, f"fewer than {FEWEST} different exemplars"
    sharp = f"sharpness {found.sharpness:.2f}, {found.null:.2f} of one Gaussian"
    numbers = f"{sharp}, p = {found.p:.3g}"
    if found.p > ALPHA:
        if len(found.groups) < ENOUGH:
            few = f"no split, but {len(found.groups)} exemplars show little"
            return UNDECIDED, f"{few}: {numbers}"
        return MONO, f"no split: {numbers}"
    if found.smaller < SMALLEST or found.stability < STABLE:
        return UNDECIDED, (
            f"a split that may be a few odd exemplars: {numbers}, the smaller group"
            f" {100 * found.smaller:.0f} %, stability {found.stability:.2f}"
        )
    numbers += f", stability {found.stability:.2f}"
    if meant is None:
        return UNDECIDED, f"two groups whose classes are not known: {numbers}"
    numbers += f"; Lin similarity {meant.across:.2f} across, {meant.within:.2f} within"
    if meant.ratio >= CLOSE:
        return MULTI, f"two groups of alike classes: {numbers}"
    if meant.p < ALPHA:
        return POLY, f"two groups of unlike classes: {numbers}, p = {meant.p:.3g}"
    return UNDECIDED, f"two groups, neither clearly alike nor unlike: {numbers}, p = {meant.p:.3g}"


def rand(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the adjusted Rand index of divisions into two groups `(..., count)`, 1 for the same.

    Source: Hubert and Arabie, "Comparing Partitions", 1985.
    """
    both = [
        ((one == a) & (other == b)).sum(axis=-1).astype(np.float64) for a in (0, 1) for b in (0, 1)
    ]
    count = one.shape[-1]
    rows, columns = (both[0] + both[1], both[2] + both[3]), (both[0] + both[2], both[1] + both[3])
    expected = _pairs(*rows) * _pairs(*columns) / _pairs(np.array(count))
    ideal = (_pairs(*rows) + _pairs(*columns)) / 2 - expected
    return np.where(ideal > 0, (_pairs(*both) - expected) / np.where(ideal > 0, ideal, 1), 1.0)


def _pairs(*sizes: np.ndarray) -> np.ndarray:
    """Return how many pairs there are within groups of these sizes."""
    return np.sum([size * (size - 1) / 2 for size in sizes], axis=0)


def _two_means(
    points: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return index and sharpness of 2-means `(sets,)`, and the groups `(sets, count)`.

    Starts are pairs of points of each set.

    Args:
        points: `(sets, count, dimensions)`.
        random: of the starts.
    """
    points = points - points.mean(axis=1, keepdims=True)
    sets, count, _ = points.shape
    total = (points**2).sum(axis=(1, 2))
    best, groups = np.full(sets, np.inf), np.zeros((sets, count), bool)
    everyone = np.arange(sets)
    for _ in range(STARTS):
        first = random.integers(0, count, sets)
        second = (first + random.integers(1, count, sets)) % count
        ends = points[everyone, first], points[everyone, second]
        mine = _side(points, *ends)
        for _ in range(STEPS):
            before, ends = mine, _centres(points, mine)
            mine = _side(points, *ends)
            if (mine == before).all():
                break
        sizes = mine.sum(axis=1)
        ends = _centres(points, mine)
        # Of centred points, the groups' squared means are what the division explains.
        explained = (count - sizes) * (ends[0] ** 2).sum(axis=1) + sizes * (ends[1] ** 2).sum(
            axis=1
        )
        left = 1 - explained / total
        better = left < best
        best = np.where(better, left, best)
        groups[better] = mine[better]
    larger = groups.sum(axis=1) > count / 2
    groups[larger] = ~groups[larger]
    longest = np.linalg.eigvalsh(np.matmul(points.swapaxes(1, 2), points))[:, -1]
    return best, (1 - best) * total / longest, groups.astype(int)


def _side(points: np.ndarray, zero: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Return which points lie nearer to the second of two centres `(sets, dimensions)`."""
    between = one - zero
    middle = ((one + zero) * between).sum(axis=1) / 2
    return np.matmul(points, between[:, :, None])[:, :, 0] > middle[:, None]


def _centres(points: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of two groups; that of an empty one is the origin."""
    weights = np.stack([~mine, mine], axis=1).astype(np.float64)
    means = np.matmul(weights, points) / np.maximum(weights.sum(axis=2, keepdims=True), 1)
    return means[:, 0], means[:, 1]


def _stability(
    points: np.ndarray, groups: np.ndarray, boots: int, random: np.random.Generator
) -> float:
    """Return how alike the divisions by the centres of bootstrap samples are to this one."""
    chosen = random.integers(0, len(points), (boots, len(points)))
    drawn = points[chosen]
    _, _, parted = _two_means(drawn, random)
    ends = _centres(drawn, parted.astype(bool))
    everyone = np.broadcast_to(points, drawn.shape)
    sides = _side(everyone, *ends)
    return float(rand(sides.astype(int), np.broadcast_to(groups, sides.shape)).mean())


def _directions(points: np.ndarray, beyond: float) -> np.ndarray:
    """Return points scaled to length one, with as much squared length `beyond` their axes."""
    return points / np.sqrt((points**2).sum(axis=-1, keepdims=True) + beyond)


def _poly(units: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return 1 - mean cosine across groups / mean cosine within, of each set `(sets,)`."""
    whole = units / np.maximum(np.linalg.norm(units, axis=2, keepdims=True), 1e-12)
    counts, sums = [], []
    for mine in (groups == 0, groups == 1):
        counts.append(mine.sum(axis=1))
        sums.append(np.einsum("sn,snd->sd", mine.astype(np.float64), whole))
    across = (sums[0] * sums[1]).sum(axis=1) / np.maximum(counts[0] * counts[1], 1)
    pairs = sum(size * (size - 1) for size in counts)
    inside = sum((one**2).sum(axis=1) - size for one, size in zip(sums, counts, strict=True))
    within = inside / np.maximum(pairs, 1)
    return 1 - np.divide(across, within, out=np.zeros_like(across), where=np.abs(within) > 1e-9)
