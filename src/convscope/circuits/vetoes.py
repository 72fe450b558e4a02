"""Positions at which an inhibitory input alone keeps a filter silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.circuits.sample import Part

ACTIVE = 0.01  # the share of positions at which an input inhibits most


@dataclass(frozen=True)
class Veto:
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


def vetoes(part: Part, channels: Sequence[int]) -> tuple[Veto, ...]:
    """Return what each of some inputs keeps the filter from, z <= 0 < z - u_c, on the sample."""
    z = part.sampled
    found = []
    for channel in channels:
        u = part.u[:, channel]
        kept = (z <= 0) & (z - u > 0)
        most = np.argsort(u, kind="stable")[: max(1, round(ACTIVE * len(u)))]
        active = most[u[most] < 0]
        counts = np.bincount(part.of[kept], minlength=part.photographs)
        order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
        found.append(
            Veto(
                channel,
                float(kept.mean()),
                float(kept[active].mean()) if len(active) else 0.0,
                tuple(order),
                tuple(int(counts[one]) for one in order),
            )
        )
    return tuple(found)
