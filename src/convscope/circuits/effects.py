"""What each input of a filter does to it on photographs, beside what the weights alone say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from convscope.circuits.attribution import Part
from convscope.circuits.weights import label, sign_index
from convscope.stats import bootstrap

SMALL = 0.01  # of the unit's deviation: an input that moves it less has no effect to speak of
BLOCK = 256  # inputs at a time, which bounds the memory


@dataclass(frozen=True)
class Effects:
    """What each of the C inputs does; arrays `(C,)`, contributions in units of the preactivation.

    Attributes:
        mean: expected contribution.
        deviation: its standard deviation over positions.
        covariance_share: covariance of contribution and preactivation over the preactivation's
            variance; all sum to 1, and one below zero dampens the unit.
        top_shift: mean contribution at strong responses minus `mean`; all sum to what the whole
            preactivation rises by.
        drive: the part of the shift that comes from contributions above zero.
        release: the part from those below zero, which fall silent.
        ablation: what the unit's mean output loses where the contribution is replaced by `mean`.
        ablation_top: the same at strong responses.
        functional_sign: from -1, all contributions lower the unit, to 1, all raise it.
        sign_low: where its 95 % interval begins.
        sign_high: where it ends.
        effect: excitatory, inhibitory or mixed by the functional sign; negligible where the shift
            may be zero and the deviation is below 1 % of the unit's.
        confidence: the share of draws of photographs that give the same label, mixed ones apart.
    """

    mean: np.ndarray
    deviation: np.ndarray
    covariance_share: np.ndarray
    top_shift: np.ndarray
    drive: np.ndarray
    release: np.ndarray
    ablation: np.ndarray
    ablation_top: np.ndarray
    functional_sign: np.ndarray
    sign_low: np.ndarray
    sign_high: np.ndarray
    effect: np.ndarray
    confidence: np.ndarray


def measure(part: Part, mixed: float, weights: np.ndarray) -> Effects:
    """Return what each input does on some photographs.

    Args:
        part: what the filter gets from its inputs.
        mixed: |functional sign| below this is neither excitatory nor inhibitory.
        weights: how often each draw takes each photograph `(draws, photographs)`.
    """
    found = [_block(part, at, mixed, weights) for at in range(0, part.u.shape[1], BLOCK)]
    return Effects(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _block(part: Part, at: int, mixed: float, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the fields of `Effects` for some of the inputs."""
    which = slice(at, at + BLOCK)
    u, top = part.u[:, which].astype(np.float64), part.top[:, which].astype(np.float64)
    mean, z = part.center[which], part.sampled
    centered = u - u.mean(axis=0)
    variance = z.var()
    share = centered.T @ (z - z.mean()) / len(z) / variance if variance else 0 * mean
    shift = top.mean(axis=0) - mean
    above, below = np.maximum(u, 0).mean(axis=0), np.maximum(-u, 0).mean(axis=0)
    # Where contributions seldom fall below zero, the mean over all positions says more.
    above = np.where(below <= above, mean + below, above)
    drive = np.maximum(top, 0).mean(axis=0) - above

    photographs = part.photographs
    counts = np.bincount(part.of, minlength=photographs)
    up = bootstrap.sums(np.maximum(u, 0), part.of, photographs)
    down = bootstrap.sums(np.maximum(-u, 0), part.of, photographs)
    sign = sign_index(up.sum(axis=0), down.sum(axis=0))
    signs = sign_index(weights @ up, weights @ down)
    low, high = bootstrap.interval(signs)
    deviation = u.std(axis=0)
    least, most = bootstrap.interval(shifts(part, weights, which))
    shiftless = ~((least > 0) | (most < 0))
    small = shiftless & (deviation <= SMALL * np.sqrt(variance))
    effect = label(sign, mixed, small)
    drawn = np.where(np.abs(signs) < mixed, 0, np.sign(signs))
    own = np.where(np.abs(sign) < mixed, 0, np.sign(sign))
    confidence = (drawn == own)[(weights @ counts) > 0].mean(axis=0)
    return (
        mean, deviation, share, shift, drive, shift - drive, _lost(z, u, mean),
        _lost(part.strong, top, mean), sign, low, high, effect, confidence,
    )  # fmt: skip


def _lost(z: np.ndarray, u: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return what the mean output loses where each contribution becomes its mean `(C,)`."""
    without = np.maximum(z[:, None] - u + mean, 0).mean(axis=0)
    return np.maximum(z, 0).mean() - without


@np.errstate(divide="ignore", invalid="ignore")
def shifts(part: Part, weights: np.ndarray, which: slice = slice(None)) -> np.ndarray:
    """Return the top shift of inputs for each draw of photographs `(draws, inputs)`.

    Args:
        part: what the filter gets from its inputs.
        weights: how often each draw takes each photograph `(draws, photographs)`.
        which: some of the inputs.
    """
    photographs = part.photographs
    strong = bootstrap.sums(part.top[:, which], part.top_of, photographs)
    count = np.bincount(part.top_of, minlength=photographs)
    means: np.ndarray = (weights @ strong) / (weights @ count)[:, None]
    return means - weights @ part.mean[:, which] / photographs


L2, TOP_SHIFT, COVARIANCE, ABLATION = "l2", "top_shift", "covariance", "ablation"
GREEDY, VARIANCE, BEST, RANDOM = "greedy", "greedy_variance", "best", "random"
TITLES = {
    "l2": "L2", "top_shift": "top shift", "covariance": "covariance", "ablation": "ablation",
    "greedy": "greedy, by activation", "greedy_variance": "greedy, by variance",
    "best": "best: signed top shift", "random": "random",
}  # fmt: skip
"""The rankings in words."""
SWAPS = 1000  # exchanges at most; each lowers the cost, so far fewer do
FLOOR = 0.01  # weight of a silent position beside the mean weight of 1


@dataclass(frozen=True)
class Agreement:
    """How far two rankings agree.

    Attributes:
        one: a ranking.
        other: another.
        kendall: Kendall's tau over all inputs, from -1 to 1.
        jaccard: of the first inputs of both, those in common over those in either.
    """

    one: str
    other: str
    kendall: float
    jaccard: float


def orders(l2: np.ndarray, effects: Effects, part: Part, count: int) -> dict[str, np.ndarray]:
    """Return {ranking: the inputs, first to last `(C,)`}; of equal ones the lower comes first.

    Args:
        l2: each input's norm.
        effects: what each input does on the discovery half.
        part: that half.
        count: the size for which the greedy sets are improved by exchanges.
    """
    z = np.maximum(part.sampled, 0)
    weight = z / z.mean() + FLOOR if z.any() else np.ones_like(z)
    ones = np.ones_like(weight)
    return {
        L2: _descending(l2),
        TOP_SHIFT: _descending(np.abs(effects.top_shift)),
        COVARIANCE: _descending(np.abs(effects.covariance_share)),
        ABLATION: _descending(np.abs(effects.ablation)),
        GREEDY: greedy(gram(part, weight), count),
        VARIANCE: greedy(gram(part, ones), count),
        BEST: _descending(effects.top_shift),
    }


def ranks(order: np.ndarray) -> np.ndarray:
    """Return the place of each input in an order, from 1 `(C,)`."""
    return np.argsort(order) + 1


def gram(part: Part, weight: np.ndarray) -> np.ndarray:
    """Return the weighted second moments of what inputs add beyond their mean `(C, C)`.

    Args:
        part: what the filter gets from its inputs.
        weight: of each sampled position `(n,)`.
    """
    root = np.sqrt(weight / len(weight)).astype(np.float32)
    apart = (part.u - part.center.astype(np.float32)) * root[:, None]
    return (apart.T @ apart).astype(np.float64)


def greedy(gram: np.ndarray, count: int) -> np.ndarray:
    """Return inputs in an order in which few explain much `(C,)`.

    At each step comes the input that most lowers the mean squared difference between the unit and
    the unit with only the inputs so far, all others at their mean: the sum of `gram` over the
    inputs left out. The first `count` are then exchanged for others, one pair at a time, until no
    exchange lowers it.
    """
    every = np.arange(len(gram))
    first = _exchanged(gram, _forward(gram, [], every)[:count])
    return np.array(_forward(gram, _forward(gram, [], first), every))


def agreements(orders: Mapping[str, np.ndarray], count: int) -> tuple[Agreement, ...]:
    """Return how far each two rankings agree; `count` inputs are the first of each."""
    places = {name: ranks(order) for name, order in orders.items()}
    found = []
    for one, other in combinations(orders, 2):
        ours, theirs = set(orders[one][:count].tolist()), set(orders[other][:count].tolist())
        many = len(places[one]) > 1
        tau = float(stats.kendalltau(places[one], places[other]).statistic) if many else 1.0
        found.append(Agreement(one, other, tau, len(ours & theirs) / len(ours | theirs)))
    return tuple(found)


def _descending(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind="stable")


def _forward(gram: np.ndarray, start: Sequence[int], among: np.ndarray) -> list[int]:
    """Return `start` and then the inputs `among` that are not in it, each by its gain."""
    chosen = list(start)
    free = np.isin(np.arange(len(gram)), np.setdiff1d(among, chosen))
    left = gram.sum(axis=1) - gram[:, chosen].sum(axis=1)
    diagonal = gram.diagonal()
    for _ in range(int(free.sum())):
        gain = np.where(free, 2 * left - diagonal, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        free[best] = False
        left -= gram[best]
    return chosen


def _exchanged(gram: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Return a set no exchange of one member for one other improves."""
    inside = np.zeros(len(gram), bool)
    inside[list(chosen)] = True
    diagonal, least = gram.diagonal(), 1e-9 * max(float(gram.trace()), 0.0)
    for _ in range(SWAPS):
        members, others = np.flatnonzero(inside), np.flatnonzero(~inside)
        if not len(members) or not len(others):
            break
        left = gram[:, others].sum(axis=1)
        # The sum over those left out, once a member is left out and another is not.
        change = (2 * left + diagonal)[members][:, None] + (diagonal - 2 * left)[others]
        change -= 2 * gram[np.ix_(members, others)]
        out, to = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[out, to] >= -least:
            break
        inside[members[out]], inside[others[to]] = False, True
    return np.flatnonzero(inside)


ACTIVE = 0.01  # the share of positions at which an input inhibits most


@dataclass(frozen=True)
class SilencingInput:
    """What one input keeps a filter from.

    Attributes:
        channel: the input.
        share: the share of positions at which the filter would fire without the input, and does
            not.
        active: the same among the 1 % of positions at which the input inhibits most.
        photographs: where that happens, most positions first.
        positions: sampled positions of each of these.
    """

    channel: int
    share: float
    active: float
    photographs: tuple[int, ...]
    positions: tuple[int, ...]


def silencing(part: Part, channels: Sequence[int]) -> tuple[SilencingInput, ...]:
    """Return what each of some inputs keeps the filter from, z <= 0 < z - u_c, on the sample."""
    z = part.sampled
    found = []
    for channel in channels:
        u = part.u[:, channel]
        kept = (z <= 0) & (z - u > 0)
        most = np.argsort(u, kind="stable")[: max(1, round(ACTIVE * len(u)))]
        active = most[u[most] < 0]
        share = float(kept[active].mean()) if len(active) else 0.0
        counts = np.bincount(part.of[kept], minlength=part.photographs)
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        photographs, positions = tuple(order.tolist()), tuple(counts[order].tolist())
        found.append(SilencingInput(channel, float(kept.mean()), share, photographs, positions))
    return tuple(found)
