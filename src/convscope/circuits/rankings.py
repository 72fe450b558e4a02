"""Orders of a filter's inputs, by the weights and by what the inputs do, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from convscope.circuits.effects import Effects
from convscope.circuits.sample import Part

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
    found = np.empty(len(order), int)
    found[order] = np.arange(1, len(order) + 1)
    return found


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
    count = min(count, len(gram))
    first = _exchanged(gram, _forward(gram, [])[:count])
    start = _forward(gram, [], first)
    return np.array(_forward(gram, start))


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


def _forward(
    gram: np.ndarray, start: Sequence[int], among: Sequence[int] | None = None
) -> list[int]:
    """Return `start` and then further inputs, `among` these or all, each by its gain."""
    size = len(gram)
    chosen = list(start)
    free = np.zeros(size, bool)
    free[range(size) if among is None else list(among)] = True
    free[chosen] = False
    left = gram.sum(axis=1) - gram[:, chosen].sum(axis=1)
    diagonal = gram.diagonal()
    for _ in range(int(free.sum())):
        gain = np.where(free, 2 * left - diagonal, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        free[best] = False
        left -= gram[best]
    return chosen


def _exchanged(gram: np.ndarray, chosen: Sequence[int]) -> list[int]:
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
    return np.flatnonzero(inside).tolist()
