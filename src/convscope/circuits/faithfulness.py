"""How much of a filter a few of its inputs explain, all others held at their mean.

With the inputs S alone, zhat = b + sum over S of u_c + sum over the others of their mean. On a log
grid of sizes each ranking of the inputs is measured, beside random sets of the same size. The
measures follow Wang et al., "Interpretability in the Wild" (2022), and Mueller et al., "MIB"
(2025); one layer back all of them are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.circuits.attribution import Part
from convscope.circuits.effects import BEST, RANDOM
from convscope.stats import bootstrap

SUBSETS = 100  # random sets of each size
HALF = 0.5  # of a strong response, which `Curve.half` inputs recover

MEASURES = ("recovery", "r2", "necessity", "auroc", "false_fire", "zero_r2")
INTERVALS = ("recovery", "r2", "necessity")


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
        half_low: where its interval begins.
        half_high: where it ends.
        area: mean recovery over the sizes on a log scale.
        normalized: this area, where 0 is that of random sets and 1 that of the best one.
        normalized_low: where its interval begins.
        normalized_high: where it ends.
    """

    recovery: np.ndarray
    r2: np.ndarray
    necessity: np.ndarray
    auroc: np.ndarray
    false_fire: np.ndarray
    zero_r2: np.ndarray
    low: Mapping[str, np.ndarray]
    high: Mapping[str, np.ndarray]
    half: float
    half_low: float
    half_high: float
    area: float
    normalized: float
    normalized_low: float
    normalized_high: float


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
    places = {name: at for at, name in enumerate(orders)}
    rise = _rises(part, weights)
    areas = {name: _area(rise, orders[name], grid) for name in orders}
    chance = _chance(grid)
    curves = {}
    for name, order in orders.items():
        values = {key: found[places[name]] for key, found in table.items()}
        low, high = _intervals(part, order, grid, weights)
        half, half_low, half_high = _half(rise, order)
        area = float(areas[name][0])
        with np.errstate(divide="ignore", invalid="ignore"):
            normalized = (areas[name] - chance) / (areas[BEST] - chance)
        ends = [float(end) for end in bootstrap.interval(normalized[1:])]
        curves[name] = Curve(
            **values, low=low, high=high, half=half, half_low=half_low, half_high=half_high,
            area=area, normalized=float(normalized[0]), normalized_low=ends[0],
            normalized_high=ends[1],
        )  # fmt: skip
    curves[RANDOM] = _random({key: found[len(orders) :] for key, found in table.items()}, inputs)
    p = minimality(shown, ablation_top)
    return Faithfulness(grid, curves, len(shown), p, holm(p))


def minimality(shown: np.ndarray, ablation_top: np.ndarray) -> np.ndarray:
    """Return for each input shown the share of others whose loss is as large, itself counted.

    A small one says that the strong response needs this input more than it needs most others.
    """
    others = np.delete(ablation_top, shown)
    larger = (others >= ablation_top[shown][:, None]).sum(axis=1)
    return (1 + larger) / (1 + len(others))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's method."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(adjusted, 1.0)
    return found


def _measured(part: Part, ranked: np.ndarray, grid: np.ndarray) -> dict[str, np.ndarray]:
    """Return {measure: `(rankings, K)`} of rankings `(rankings, C)`."""
    center = part.center
    apart = (part.u - center.astype(np.float32), part.top - center.astype(np.float32))
    z, strong = part.sampled, part.strong
    base = part.bias + center.sum()
    below = z < part.threshold
    rise = strong.mean() - base
    fires = np.maximum(strong, 0).mean()
    found = {name: np.empty((len(ranked), len(grid))) for name in MEASURES}
    mask = np.zeros((part.u.shape[1], len(ranked)), np.float32)
    for column, (before, size) in enumerate(zip([0, *grid], grid, strict=False)):
        added = ranked[:, before:size]
        mask[added, np.arange(len(ranked))[:, None]] = 1
        kept, top = apart[0] @ mask, apart[1] @ mask
        zero = kept - (center.sum() - center @ mask)  # the others at zero
        with np.errstate(divide="ignore", invalid="ignore"):
            found["recovery"][:, column] = top.mean(axis=0, dtype=np.float64) / rise
            found["r2"][:, column] = 1 - _error(z - base, kept) / z.var()
            found["zero_r2"][:, column] = 1 - _error(z - base, zero) / z.var()
            left = np.maximum(strong[:, None] - top, 0).mean(axis=0)
            found["necessity"][:, column] = 1 - left / fires
            found["false_fire"][:, column] = (kept[z <= 0] > -base).sum(axis=0) / (z <= 0).sum()
        found["auroc"][:, column] = _auroc(top, kept[below])
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


def _rises(part: Part, weights: np.ndarray) -> np.ndarray:
    """Return each input's share of the whole top shift, first as it is, then drawn `(1 + B, C)`."""
    photographs = part.photographs
    weights = np.concatenate([np.ones((1, photographs)), weights])
    strong = bootstrap.sums(part.top, part.top_of, photographs)
    count = np.bincount(part.top_of, minlength=photographs)
    with np.errstate(divide="ignore", invalid="ignore"):
        shifts = (weights @ strong) / (weights @ count)[:, None]
        shifts -= weights @ part.mean / photographs
        return shifts / shifts.sum(axis=1, keepdims=True)


def _area(rise: np.ndarray, order: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mean recovery over sizes on a log scale, for each draw."""
    summed = np.cumsum(rise[:, order], axis=1)
    values = np.concatenate([np.zeros((len(rise), 1)), summed], axis=1)[:, grid]
    areas: np.ndarray = np.asarray(np.trapezoid(values, _across(grid), axis=1))
    return areas


def _chance(grid: np.ndarray) -> float:
    """Return the area of random sets: on average k of C inputs recover k / C."""
    return float(np.trapezoid(grid / grid[-1], _across(grid)))


def _across(grid: np.ndarray) -> np.ndarray:
    return np.log2(grid + 1) / np.log2(grid[-1] + 1)


def _half(rise: np.ndarray, order: np.ndarray) -> tuple[float, float, float]:
    """Return how many inputs recover half of a strong response, with an interval."""
    enough = np.cumsum(rise[:, order], axis=1) >= HALF
    sizes = np.where(enough.any(axis=1), 1.0 + enough.argmax(axis=1), np.nan)
    low, high = bootstrap.interval(sizes[1:])
    return float(sizes[0]), float(low), float(high)


def _intervals(
    part: Part, order: np.ndarray, grid: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return where the intervals of `INTERVALS` begin and end `(K,)`."""
    photographs, center = part.photographs, part.center
    mask = np.zeros((len(order), len(grid)), np.float32)
    for column, size in enumerate(grid):
        mask[order[:size], column] = 1
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
    with np.errstate(divide="ignore", invalid="ignore"):
        recovery = drawn(top, part.top_of) / count - moved
        whole = drawn((strong - part.bias - center.sum())[:, None], part.top_of) / count
        recovery = recovery / (whole - shift[:, None])
        fires = drawn(np.maximum(strong, 0)[:, None], part.top_of)
        left = drawn(np.maximum(strong[:, None] - top, 0), part.top_of)
        number = drawn(np.ones((len(z), 1)), part.of)
        variance = drawn(wanted[:, None] ** 2, part.of) / number
        variance -= (drawn(wanted[:, None], part.of) / number) ** 2
        error = drawn((wanted[:, None] - apart) ** 2, part.of) / number
        values = {
            "recovery": recovery, "r2": 1 - error / variance, "necessity": 1 - left / fires,
        }  # fmt: skip
    ends = {name: bootstrap.interval(values[name]) for name in INTERVALS}
    return ({name: end[0] for name, end in ends.items()},
            {name: end[1] for name, end in ends.items()})  # fmt: skip


def _random(table: Mapping[str, np.ndarray], inputs: int) -> Curve:
    """Return the mean over random sets; the intervals are those that 95 % of the sets lie in."""
    ends = {name: bootstrap.interval(table[name]) for name in INTERVALS}
    return Curve(
        **{name: found.mean(axis=0) for name, found in table.items()},
        low={name: end[0] for name, end in ends.items()},
        high={name: end[1] for name, end in ends.items()},
        half=float(np.ceil(inputs * HALF)), half_low=np.nan, half_high=np.nan, area=np.nan,
        normalized=0.0, normalized_low=np.nan, normalized_high=np.nan,
    )  # fmt: skip
