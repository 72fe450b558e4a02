"""How much of a filter a few of its inputs explain, all others held at their mean.

With the inputs S alone, zhat = b + sum over S of u_c + sum over the others of their mean. On a log
grid of sizes each ranking of the inputs is measured, beside random sets of the same size. The
measures follow Wang et al., "Interpretability in the Wild" (2022), and Mueller et al., "MIB"
(2025); one layer back all of them are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from convscope.circuits.attribution import Part
from convscope.circuits.effects import BEST, RANDOM, shifts
from convscope.stats import bootstrap
from convscope.stats.inference import holm

SUBSETS = 100  # random sets of each size
HALF = 0.5  # of a strong response, which `Curve.half` inputs recover

MEASURES = ("recovery", "r2", "necessity", "auroc", "false_fire", "zero_r2")
INTERVALS = ("recovery", "r2", "necessity")


class Estimate(NamedTuple):
    """A value and where its 95 % interval begins and ends."""

    value: float
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class Curve:
    """One ranking at every size; arrays `(K,)`. NaN: not defined, as on a unit that is constant.

    Attributes:
        recovery: what the preactivation rises by at strong responses, over what it truly does.
        r2: explained variance of the preactivation over all positions.
        necessity: the part of the output at strong responses that is lost without these inputs.
        auroc: how well strong positions are told from others.
        false_fire: the share of silent positions at which it would fire.
        zero_r2: r2 where the others are held at zero instead of their mean.
        low: {measure: where its 95 % interval begins}; of random sets, of the sets' values.
        high: {measure: where it ends}.
        half: inputs needed for half of a strong response; of random sets, on average.
        normalized: mean recovery over the sizes on a log scale, where 0 is that of random sets and
            1 that of the best one.
    """

    recovery: np.ndarray
    r2: np.ndarray
    necessity: np.ndarray
    auroc: np.ndarray
    false_fire: np.ndarray
    zero_r2: np.ndarray
    low: Mapping[str, np.ndarray]
    high: Mapping[str, np.ndarray]
    half: Estimate
    normalized: Estimate

    def record(self, at: int) -> dict[str, float]:
        """Return what `faithfulness.csv` says of one size."""
        names = ("recovery", "r2", "necessity", "auroc", "zero_r2", "false_fire")
        found = {name: getattr(self, name)[at] for name in names}
        for name in INTERVALS:
            found |= {f"{name}_low": self.low[name][at], f"{name}_high": self.high[name][at]}
        return found


@dataclass(frozen=True)
class Faithfulness:
    """All curves.

    Attributes:
        sizes: how many inputs are kept `(K,)`.
        curves: {ranking: its curve}, "random" the last.
        count: the size that the ten shown have.
        p: of each input shown, how many of the others matter as much where it is left out `(n,)`.
        p_holm: the same, for all of them together.
    """

    sizes: np.ndarray
    curves: Mapping[str, Curve]
    count: int
    p: np.ndarray
    p_holm: np.ndarray

    @property
    def at(self) -> int:
        """Where `count` stands among the sizes."""
        return int(np.searchsorted(self.sizes, self.count))


def sizes(inputs: int, count: int) -> np.ndarray:
    """Return 0, 1, 2, 5, 10, 20 and so on up to all inputs, and `count` among them."""
    grid = {digit * 10**power for power in range(8) for digit in (1, 2, 5)}
    return np.array(sorted({0, inputs, count} | {size for size in grid if size < inputs}))


@np.errstate(divide="ignore", invalid="ignore")
def faithfulness(
    part: Part,
    orders: Mapping[str, np.ndarray],
    shown: np.ndarray,
    ablation_top: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Faithfulness:
    """Return how faithful the first inputs of each ranking are.

    Args:
        part: the photographs to measure on.
        orders: {ranking: all inputs in its order}, one of them "best".
        shown: the inputs that are shown.
        ablation_top: what the output loses at strong responses without each input `(C,)`.
        weights: how often each draw takes each photograph `(draws, photographs)`.
        seed: of the random sets.
    """
    inputs = part.u.shape[1]
    grid = sizes(inputs, len(shown))
    generator = np.random.default_rng(seed)
    drawn = np.argsort(generator.random((SUBSETS, inputs)), axis=1)
    ranked = np.concatenate([np.stack(list(orders.values())), drawn])
    table = _measured(part, ranked, grid)
    rise = shifts(part, np.concatenate([np.ones((1, part.photographs)), weights]))
    rise /= rise.sum(axis=1, keepdims=True)
    across = np.log2(grid + 1) / np.log2(grid[-1] + 1)
    recovered = {name: np.cumsum(rise[:, order], axis=1) for name, order in orders.items()}
    areas = {
        name: np.trapezoid(np.pad(values, ((0, 0), (1, 0)))[:, grid], across, axis=1)
        for name, values in recovered.items()
    }
    # On average k of C random inputs recover k / C.
    chance = float(np.trapezoid(grid / grid[-1], across))
    curves = {}
    for at, (name, order) in enumerate(orders.items()):
        enough = recovered[name] >= HALF
        curves[name] = Curve(
            **{key: found[at] for key, found in table.items()},
            **_ends(_drawn(part, order, grid, weights)),
            half=_estimate(np.where(enough.any(axis=1), 1.0 + enough.argmax(axis=1), np.nan)),
            normalized=_estimate((areas[name] - chance) / (areas[BEST] - chance)),
        )
    random = {key: found[len(orders) :] for key, found in table.items()}
    curves[RANDOM] = Curve(
        **{name: found.mean(axis=0) for name, found in random.items()},
        **_ends(random),
        half=Estimate(float(np.ceil(inputs * HALF))),
        normalized=Estimate(0.0),
    )
    p = minimality(shown, ablation_top)
    return Faithfulness(grid, curves, len(shown), p, holm(p))


def minimality(shown: np.ndarray, ablation_top: np.ndarray) -> np.ndarray:
    """Return for each input shown the share of others whose loss is as large, itself counted.

    A small one says that the strong response needs this input more than it needs most others.
    """
    others = np.delete(ablation_top, shown)
    larger = (others >= ablation_top[shown][:, None]).sum(axis=1)
    return (1 + larger) / (1 + len(others))


def _measured(part: Part, ranked: np.ndarray, grid: np.ndarray) -> dict[str, np.ndarray]:
    """Return {measure: `(rankings, K)`} of rankings `(rankings, C)`."""
    center = part.center
    apart = (part.u - center.astype(np.float32), part.top - center.astype(np.float32))
    z, strong = part.sampled, part.strong
    base = part.bias + center.sum()
    rise = strong.mean() - base
    fires = np.maximum(strong, 0).mean()
    found = {name: np.empty((len(ranked), len(grid))) for name in MEASURES}
    mask = np.zeros((part.u.shape[1], len(ranked)), np.float32)
    for column, (before, size) in enumerate(zip([0, *grid], grid, strict=False)):
        added = ranked[:, before:size]
        mask[added, np.arange(len(ranked))[:, None]] = 1
        kept, top = apart[0] @ mask, apart[1] @ mask
        zero = kept - (center.sum() - center @ mask)  # the others at zero
        found["recovery"][:, column] = top.mean(axis=0, dtype=np.float64) / rise
        found["r2"][:, column] = 1 - _error(z - base, kept) / z.var()
        found["zero_r2"][:, column] = 1 - _error(z - base, zero) / z.var()
        left = np.maximum(strong[:, None] - top, 0).mean(axis=0)
        found["necessity"][:, column] = 1 - left / fires
        found["false_fire"][:, column] = (kept[z <= 0] > -base).sum(axis=0) / (z <= 0).sum()
        found["auroc"][:, column] = _auroc(top, kept[z < part.threshold])
    return found


def _error(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the mean squared difference of each column."""
    apart = found - wanted[:, None].astype(np.float32)
    return np.asarray(np.mean(apart**2, axis=0, dtype=np.float64))


def _auroc(top: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return for each column the share of pairs that the first wins, ties half."""
    if not len(top) or not len(rest):
        return np.full(top.shape[1], np.nan)
    rest, found = np.sort(rest.T, axis=1), np.empty(top.shape[1])
    for column, (ours, theirs) in enumerate(zip(top.T, rest, strict=True)):
        won = np.searchsorted(theirs, ours, "left") + np.searchsorted(theirs, ours, "right")
        found[column] = won.mean() / (2 * len(theirs))
    return found


def _estimate(values: np.ndarray) -> Estimate:
    """Return the first of the values with the interval of the others, which are draws."""
    return Estimate(float(values[0]), *map(float, bootstrap.interval(values[1:])))


def _ends(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return where the intervals of `INTERVALS` begin and where they end, over draws or sets."""
    ends = {name: bootstrap.interval(values[name]) for name in INTERVALS}
    sides = enumerate(("low", "high"))
    return {side: {name: end[at] for name, end in ends.items()} for at, side in sides}


def _drawn(
    part: Part, order: np.ndarray, grid: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the measures of `INTERVALS` for each draw `(draws, K)`."""
    photographs, center = part.photographs, part.center
    mask = (np.argsort(order)[:, None] < grid).astype(np.float32)
    apart = (part.u - center.astype(np.float32)) @ mask
    top = (part.top - center.astype(np.float32)) @ mask
    z, strong = part.sampled, part.strong
    wanted = z - part.bias - center.sum()

    def drawn(values: np.ndarray, of: np.ndarray) -> np.ndarray:
        return weights @ bootstrap.sums(values, of, photographs)

    # The means move with the photographs drawn, for the others as for the inputs kept.
    moved = weights @ ((part.mean - center) @ mask) / photographs
    shift = weights @ (part.mean - center).sum(axis=1) / photographs
    count = drawn(np.ones((len(strong), 1)), part.top_of)
    recovery = drawn(top, part.top_of) / count - moved
    whole = drawn((strong - part.bias - center.sum())[:, None], part.top_of) / count
    recovery = recovery / (whole - shift[:, None])
    fires = drawn(np.maximum(strong, 0)[:, None], part.top_of)
    left = drawn(np.maximum(strong[:, None] - top, 0), part.top_of)
    number = drawn(np.ones((len(z), 1)), part.of)
    variance = drawn(wanted[:, None] ** 2, part.of) / number
    variance -= (drawn(wanted[:, None], part.of) / number) ** 2
    error = drawn((wanted[:, None] - apart) ** 2, part.of) / number
    return {"recovery": recovery, "r2": 1 - error / variance, "necessity": 1 - left / fires}
